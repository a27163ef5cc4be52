// Shadow runs: a package on recorded samples, beside what the node made of them.
import { join } from "node:path";
import { writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { parseConfig } from "../../host/gateway/config.ts";
import { shadowOf, type Shadow } from "../../host/gateway/rollout/shadow.ts";
import { build } from "../../host/lib/build/build.ts";
import { generateKey, makePackage } from "../../host/lib/package.ts";
import { keepKey, openProject, signingKey } from "../../host/lib/project.ts";
import { scratch } from "../harness/target.ts";
import { startGateway } from "./harness.ts";

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
  const shadow = await shadowOf(module, samples, was, rules, "wye");
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
  expect((await shadowOf(module, samples, was, rules, "usk")).outputs[0]!.alarms).toEqual({});
  expect((await shadowOf(module, [], {}, rules, "wye")).outputs).toMatchObject([
    { count: 0, median: null },
  ]);
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
