// Shadow runs: a package on recorded samples, beside what the node made of them.
import { join } from "node:path";
import { writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { describeShadows } from "../../host/cli/shadowed.ts";
import { parseConfig } from "../../host/gateway/config.ts";
import { shadowOf, type Shadow } from "../../host/gateway/rollout/shadow.ts";
import { build } from "../../host/lib/build/build.ts";
import { generateKey, makePackage } from "../../host/lib/package.ts";
import { keepKey, openProject, signingKey } from "../../host/lib/project.ts";
import { emulateFleet, missing } from "../../host/lib/emulate.ts";
import type { RolloutView } from "../../host/gateway/rollout/rollouts.ts";
import { newProject, wasmoteIn } from "../harness/command.ts";
import { scratch } from "../harness/target.ts";
import { startGateway, until } from "./harness.ts";

const { rules } = parseConfig({
  rules: { high: { nodes: ["wye"], resource: "outputs/out", above: 15, hysteresis: 5 } },
});

async function compiled(handler: string): Promise<Uint8Array> {
  using folder = scratch();
  const file = join(folder.path, "filter.ts");
  writeFileSync(
    file,
    `import { every, output, sensor } from "wasmote";\nconst level = sensor("level");\nconst out = output("out");\n${handler}\n`,
  );
  return (await build(file)).module;
}

const samples = [1, 10, 20, 12, 18, 9, 16].map((value, index) => ({
  sensor: "level",
  time: 5_000 + index * 1_000,
  value,
}));

test("says what a package makes of recorded samples, beside what there was, with the alarms it would begin", async () => {
  const module = await compiled("level.onSample((value) => { out.publish(value); });");
  const was = { out: [1, 2, 3] };
  const shadow = await shadowOf(module, samples, was, { rules, node: "wye" });
  expect(shadow).toMatchObject({
    samples: 7,
    cut: false,
    // Above 15 at 20; 12 is within the hysteresis, 9 ends it; above again at 16.
    outputs: [
      { name: "out", count: 7, median: 12, wasCount: 3, wasMedian: 2, alarms: { high: 2 } },
    ],
  });
  expect(shadow.fuel).toBeGreaterThan(0);
  expect(shadow.trap).toBeUndefined();
  expect((await shadowOf(module, samples, was, { rules, node: "usk" })).outputs[0]!.alarms).toEqual(
    {},
  );
  expect((await shadowOf(module, [], {}, { rules, node: "wye" })).outputs).toMatchObject([
    { count: 0, median: null },
  ]);
});

test("runs what the node has on the same samples, and says where they differ", async () => {
  const handler = (limit: number, more = "") =>
    compiled(`level.onSample((value) => { if (value > ${limit}) out.publish(value ${more}); });`);
  const old = await handler(10);
  const same = await shadowOf(old, samples, {}, { rules, node: "wye", old });
  // 1, 10, 20, 12, 18, 9, 16.
  expect(same.outputs[0]!.differs).toEqual({
    both: 4,
    other: 0,
    added: 0,
    missing: 0,
    most: 0,
    at: null,
    alarms: { high: 1 },
  });
  expect(same.oldFuel).toBe(same.fuel);
  const higher = await shadowOf(await handler(15, "* 2"), samples, {}, { rules, node: "wye", old });
  expect(higher.outputs[0]).toMatchObject({
    count: 3,
    alarms: { high: 1 },
    differs: { both: 3, other: 3, added: 0, missing: 1, most: 20, at: 7_000 },
  });
  const lower = await shadowOf(await handler(5), samples, {}, { rules, node: "wye", old });
  expect(lower.outputs[0]!.differs).toMatchObject({ both: 4, other: 0, added: 2, missing: 0 });
  // An output that the old one does not have is compared with nothing.
  const other = await compiled("level.onSample((value) => { out.publish(value); });");
  const silent = await compiled("level.onSample(() => {});");
  expect((await shadowOf(other, samples, {}, { old: silent })).outputs[0]!.differs).toMatchObject({
    both: 0,
    added: 7,
  });
});

test("says where there was nothing to compare", async () => {
  const old = await compiled("level.onSample((value) => { out.publish(value); });");
  const none = await shadowOf(old, [], {}, { old });
  expect(describeShadows({ wye: none })).toEqual([
    "  shadow of wye: its sensors said nothing then, there was nothing to compare",
  ]);
  const silent = await compiled("level.onSample(() => {});");
  const [, line] = describeShadows({ wye: await shadowOf(old, samples, {}, { old: silent }) });
  expect(line).toMatch(/; no value beside one of today's; 7 more and 0 fewer than today's$/);
  expect(describeShadows({}).join()).toMatch(/no shadow was run/);
});

test("ends at a trap, and where it takes too much", async () => {
  const trap = await compiled(
    "level.onSample((value) => { if (value > 15) unreachable(); out.publish(value); });",
  );
  expect(await shadowOf(trap, samples, {})).toMatchObject({
    trap: "unreachable",
    samples: 3,
    outputs: [{ count: 2 }],
  });
  // A tick a millisecond over a year: no gateway has the time.
  const busy = await compiled(
    "let spins = 0;\nevery(1, () => { for (let i = 0; i < 2000; i++) spins += i ^ spins; });\nlevel.onSample((value) => { out.publish(value); });",
  );
  const year = [
    { sensor: "level", time: 0, value: 1 },
    { sensor: "level", time: 31_536_000_000, value: 2 },
  ];
  expect(await shadowOf(busy, year, {})).toMatchObject({ cut: true });
}, 120_000);

test("is asked for over HTTP with a package of the project's, on the history of a node", async () => {
  using folder = scratch();
  const project = openProject(folder.path);
  keepKey(project);
  await using running = await startGateway({ rules }, { folder: folder.path, project });
  const about = {
    vendor: "",
    class: "native",
    sequence: 1,
    name: "f",
    version: "1",
    needs: { ram: 0, table: 0, fuel: 0, sensors: 1, outputs: 1 },
  };
  const module = await compiled("level.onSample((value) => { out.publish(value * 2); });");
  const now = Date.now() - 60_000;
  samples.forEach(({ value }, index) => {
    running.gateway.history.append({
      node: "wye",
      resource: "sensors/level",
      time: now + index,
      value,
    });
    running.gateway.history.append({
      node: "wye",
      resource: "outputs/out",
      time: now + index,
      value,
    });
  });
  const ask = (key = signingKey(project)) =>
    running.ask("/api/nodes/wye/shadow?hours=1", {
      method: "POST",
      body: Buffer.from(makePackage(module, about, key)),
    });
  expect((await (await ask()).json()) as Shadow).toMatchObject({
    samples: 7,
    outputs: [{ name: "out", count: 7, median: 24, wasCount: 7, wasMedian: 12 }],
  });
  expect((await ask(generateKey())).status).toBe(403);
}, 60_000);

const reason = missing("native");
test.skipIf(reason !== undefined)(
  `is told before the first wave, and nothing is begun that traps in it${reason ? ` (skipped: ${reason})` : ""}`,
  async () => {
    using folder = scratch();
    const root = await newProject(folder.path);
    const project = openProject(root);
    const fleet = await emulateFleet(1, ["--dev"]);
    try {
      const nodes = { wye: fleet.nodes[0]!.address };
      await using running = await startGateway({ rules }, { folder: root, project, nodes });
      const about = {
        vendor: "",
        class: "native",
        name: "f",
        version: "1",
        needs: { ram: 0, table: 0, fuel: 0, sensors: 1, outputs: 1 },
      };
      const made = async (sequence: number, handler: string) => {
        const module = await compiled(`level.onSample((value) => { ${handler} });`);
        return makePackage(module, { ...about, sequence }, signingKey(project));
      };
      const now = Date.now() - 60_000;
      samples.forEach(({ value }, index) =>
        running.gateway.history.append({
          node: "wye",
          resource: "sensors/level",
          time: now + index,
          value,
        }),
      );
      await until(() => running.gateway.nodes.get("wye")?.app);
      // What it runs came by a rollout, so that it is known here.
      const old = await running.ask("/api/rollouts?select=wye&waves=100%25&soak=0", {
        method: "POST",
        body: Buffer.from(await made(1, "out.publish(value);")),
      });
      const { id } = (await old.json()) as RolloutView;
      await running.json(`/api/rollouts/${id}/start`, { method: "POST" });
      await until(async () => {
        fleet.feed("node-1", "level", 1);
        return (await running.json<RolloutView>(`/api/rollouts/${id}`)).state === "done";
      });
      await running.gateway.history.flush();
      const start = async (name: string, bytes: Uint8Array, ...more: string[]) => {
        writeFileSync(join(root, name), bytes);
        const words = [
          "rollout",
          "start",
          name,
          "--gateway",
          running.url,
          "--shadow",
          "1",
          ...more,
        ];
        return wasmoteIn(root, { WASMOTE_TOKEN: running.token }, ...words);
      };
      const twice = await start("twice.wpkg", await made(2, "out.publish(value * 2);"));
      expect(twice.code, twice.err).toBe(0);
      expect(twice.out).toMatch(/shadow of wye: \d+ samples, \d+ of fuel at most \(today \d+\)/);
      expect(twice.out).toMatch(/out: \d+ values, .* in the middle \(the node had \d+, /);
      expect(twice.out).toMatch(/; (\d+) of \1 differ, by 20 at most \(\d{4}-/);
      expect(twice.out).toMatch(/; alarm high \d+ times? \(today's 2\)/);
      const words = await start(
        "trap.wpkg",
        await made(3, "if (value > 19) unreachable(); out.publish(value);"),
        "--go",
      );
      expect(words.code, words.out).toBe(6);
      expect(words.err).toMatch(/the package traps on what wye measured: unreachable/);
      const all = await running.json<RolloutView[]>("/api/rollouts");
      expect(all.map(({ state }) => state)).toEqual(["done", "planned", "planned"]);
    } finally {
      await fleet.stop();
    }
  },
  180_000,
);
