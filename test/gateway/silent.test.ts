// A wave in which a third of the nodes falls silent: the rollout halts, and every other node returns to what it ran before.
import { expect, test } from "vitest";
import type { RolloutView } from "../../host/gateway/rollout/rollouts.ts";
import { emulateFleet, missing } from "../../host/lib/emulate.ts";
import { Node } from "../../host/lib/node.ts";
import { pack } from "../harness/module.ts";
import { startGateway, until } from "./harness.ts";

const counter = `
import { every, output } from "wasmote";
const count = output("count");
let ticks: f32 = 0;
every(100, () => {
  ticks += 1;
  count.publish(ticks);
});
`;

const reason = missing("native");
test.skipIf(reason !== undefined)(
  `a wave with a third of the nodes silent is halted, and none of the others keeps the package${reason === undefined ? "" : ` (skipped: ${reason})`}`,
  async () => {
    const [well, silent] = await Promise.all([
      emulateFleet(8, ["--dev"]),
      emulateFleet(4, ["--dev"]),
    ]);
    try {
      const named = (word: string, { nodes }: typeof well) =>
        nodes.map(({ address }, index): [string, string] => [`${word}-${index}`, address]);
      const nodes = Object.fromEntries([...named("well", well), ...named("silent", silent)]);
      await using running = await startGateway({}, { nodes });
      await until(() => [...running.gateway.nodes].every(({ app }) => app !== undefined));
      const planned = await running.ask("/api/rollouts?select=*&waves=100%25&soak=0&silence=3", {
        method: "POST",
        body: Buffer.from(await pack("native", counter, 1)),
      });
      const { id, members } = (await planned.json()) as RolloutView;
      expect(members.map(({ state }) => state)).toEqual(Array(12).fill("waiting"));
      await silent.stop();
      await running.json(`/api/rollouts/${id}/start`, { method: "POST" });
      const halted = await until(async () => {
        const view = await running.json<RolloutView>(`/api/rollouts/${id}`);
        const moving = view.members.some(
          ({ node, state }) =>
            node.startsWith("well") &&
            ["pushing", "trial", "good", "failed", "returning"].includes(state),
        );
        return view.state === "halted" && !moving && view;
      });
      expect(halted.reason).toMatch(/of \d+ nodes? failed: .*silent/);
      // Whoever had not had a turn when it halted is left as he was.
      const failed = halted.members.filter((one) => one.failed === true);
      expect(failed.some(({ node }) => node.startsWith("silent"))).toBe(true);
      for (const { address } of well.nodes) {
        await using node = await Node.connect(address);
        expect((await node.app()).state).toBe("empty");
      }
    } finally {
      await well.stop();
      await silent.stop();
    }
  },
  180_000,
);
