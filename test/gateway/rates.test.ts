// Links that packages do not fill: turns, blocks, nodes at once; a real package over one, which takes the time that its rate says.
import { describe, expect, test } from "vitest";
import { parseConfig } from "../../host/gateway/config.ts";
import { SharedLink, SharedLinks } from "../../host/gateway/rates.ts";
import {
  standardSettings,
  step,
  type Member,
  type Rollout,
  type Sight,
} from "../../host/gateway/rollout/machine.ts";
import type { RolloutView } from "../../host/gateway/rollout/rollouts.ts";
import { emulateFleet, missing } from "../../host/lib/emulate.ts";
import { pack } from "../harness/module.ts";
import { startGateway, until } from "./harness.ts";

const config = (rate: number, atOnce = 1) => ({ name: "radio", nodes: ["wye-*"], rate, atOnce });

describe("a link that is shared", () => {
  test("is the first that names a node", () => {
    const links = new SharedLinks([config(10), { ...config(20), name: "all", nodes: ["*"] }]);
    expect(links.of("wye-1")?.name).toBe("radio");
    expect(links.of("usk")?.name).toBe("all");
    expect(links.of("wye-1")).toBe(links.of("wye-2"));
    expect(new SharedLinks().of("usk")).toBeUndefined();
  });

  test.each([
    [1, 16],
    [8, 32],
    [16, 64],
    [50, 128],
    [127, 256],
    [1_000, 512],
  ])("of %i bytes a second has blocks of %i", (rate, size) => {
    expect(new SharedLink(config(rate)).blockSize).toBe(size);
  });

  test("gives turns one after the other, whoever asks, and ends a wait that is given up", async () => {
    const link = new SharedLink(config(1_000));
    const began = performance.now();
    const at = await Promise.all(
      [50, 100, 25, 10].map(async (bytes) => {
        await link.turn(bytes);
        return performance.now() - began;
      }),
    );
    // Each after the bytes before it: 0, 50, 150, 175 ms. Timers of Node.js may be a millisecond early.
    for (const [index, least] of [0, 50, 150, 175].entries())
      expect(at[index]).toBeGreaterThan(least - 2);
    const stop = new AbortController();
    const slow = new SharedLink(config(1));
    await slow.turn(1_000_000);
    const waiting = slow.turn(1, stop.signal);
    stop.abort();
    await expect(waiting).rejects.toThrow();
  });

  test.each([
    { nodes: ["a"] },
    { nodes: [], "bytes-per-second": 1 },
    { "bytes-per-second": 1 },
    { nodes: ["a"], "bytes-per-second": 0 },
    { nodes: ["a"], "bytes-per-second": 1, "at-once": 0 },
    { nodes: ["a"], "bytes-per-second": 1, other: 1 },
  ])("%j is refused", (radio) => {
    expect(() => parseConfig({ links: { radio } })).toThrow(/links\.radio/);
  });
});

describe("a rollout over a link", () => {
  const links = {
    radio: { name: "radio", atOnce: 2, needed: 1_000_000 },
    none: undefined,
  };
  function fleet() {
    const settings = { waves: [{ share: 1 }], ...standardSettings, atOnce: 64 };
    const rollout: Rollout = {
      id: 1,
      digest: "new",
      name: "f",
      version: "1",
      sequence: 1,
      select: ["*"],
      settings,
      state: "running",
      wave: 0,
      created: 0,
    };
    const members = Array.from({ length: 12 }, (_, index): Member => {
      return { node: `node-${index}`, wave: 0, state: "waiting", since: 0 };
    });
    const sights = new Map(
      members.map(({ node }, index): [string, Sight] => {
        const link = index < 8 ? links.radio : links.none;
        const sight: Sight = { heard: 1, digest: "old", confirmed: true };
        return [node, link === undefined ? sight : { ...sight, link }];
      }),
    );
    return { rollout, members, sights };
  }

  test("sends to as many of its nodes at once as it may, and to all others; each gets its turn", () => {
    const { rollout, members, sights } = fleet();
    const first = step(rollout, members, sights, 1);
    const pushing = first.changed.filter(({ state }) => state === "pushing");
    expect(pushing.map(({ node }) => node)).toEqual([
      "node-0",
      "node-1",
      "node-8",
      "node-9",
      "node-10",
      "node-11",
    ]);
    let at = members.map((one) => first.changed.find(({ node }) => node === one.node) ?? one);
    for (let now = 2; now < 20; now++) {
      for (const { node, state } of at)
        if (state === "pushing")
          Object.assign(sights.get(node)!, { digest: "new", heard: now, faults: [] });
      const { changed } = step(rollout, at, sights, now);
      at = at.map((one) => changed.find(({ node }) => node === one.node) ?? one);
      const over = at.filter(({ node, state }) => state === "pushing" && sights.get(node)?.link);
      expect(over.length).toBeLessThanOrEqual(2);
    }
    expect(at.every(({ state }) => state === "trial")).toBe(true);
  });

  test("does not take a node for silent because its link is slow", () => {
    const { rollout, members, sights } = fleet();
    const first = step(rollout, members, sights, 1);
    const at = members.map((one) => first.changed.find(({ node }) => node === one.node) ?? one);
    const late = standardSettings.silence * 4 + 10;
    for (const sight of sights.values()) sight.heard = late;
    const { changed } = step(rollout, at, sights, late);
    const failed = changed.filter((one) => one.failed).map(({ node }) => node);
    expect(failed).toEqual(["node-8", "node-9", "node-10", "node-11"]);
  });
});

/** A filter that needs no samples to be confirmed. */
const counter = (step: number) => `
import { every, output } from "wasmote";
const count = output("count");
let ticks: f32 = 0;
every(100, () => {
  ticks += ${step};
  count.publish(ticks);
});
`;

const reason = missing("native");
test.skipIf(reason !== undefined)(
  `a package takes the time that its link's rate says; a gateway that ends does not wait for it${reason ? ` (skipped: ${reason})` : ""}`,
  async () => {
    const fleet = await emulateFleet(2, ["--dev"]);
    try {
      const bytes = await pack("native", counter(1), 1);
      const nodes = { "wye-1": fleet.nodes[0]!.address, "wye-2": fleet.nodes[1]!.address };
      const rate = bytes.length / 1.5;
      const push = (running: { url: string; token: string }, path: string) =>
        fetch(running.url + path, {
          method: "POST",
          headers: { authorization: `Bearer ${running.token}` },
          body: Buffer.from(bytes),
        });
      {
        await using running = await startGateway({ links: [config(rate)] }, { nodes });
        await until(() => [...running.gateway.nodes].every(({ app }) => app !== undefined));
        const began = performance.now();
        const query = "select=wye-*&waves=100%25&soak=0";
        const made = await push(running, `/api/rollouts?${query}`);
        expect(made.status).toBe(201);
        const { id } = (await made.json()) as RolloutView;
        await running.json(`/api/rollouts/${id}/start`, { method: "POST" });
        await until(async () => {
          const view = await running.json<RolloutView>(`/api/rollouts/${id}`);
          return view.state === "done";
        });
        // Two packages, without the last block of the second, which may go as soon as it is its turn.
        const { blockSize } = new SharedLink(config(rate));
        const least = ((2 * bytes.length - blockSize) / rate) * 1_000;
        expect(performance.now() - began).toBeGreaterThan(least - 5);
      }
      // A link that would take an hour: the gateway ends all the same.
      const next = await pack("native", counter(2), 2);
      await using running = await startGateway({ links: [config(next.length / 3_600)] }, { nodes });
      await until(() => [...running.gateway.nodes].every(({ app }) => app !== undefined));
      const made = await fetch(`${running.url}/api/rollouts?select=wye-1&waves=100%25`, {
        method: "POST",
        headers: { authorization: `Bearer ${running.token}` },
        body: Buffer.from(next),
      });
      expect(made.status).toBe(201);
      const { id, members } = (await made.json()) as RolloutView;
      expect(members.length).toBe(1);
      await running.json(`/api/rollouts/${id}/start`, { method: "POST" });
    } finally {
      await fleet.stop();
    }
  },
  120_000,
);
