// Hosted instances: a package at the gateway is fed by resources of nodes, and its outputs are resources like a node's.
import { join } from "node:path";
import { readFileSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { Hosted, hostedLimits } from "../../host/gateway/hosted.ts";
import type { Envelope } from "../../host/gateway/envelope.ts";
import type { Happening } from "../../host/gateway/nodes.ts";
import { build } from "../../host/lib/build/build.ts";
import { readReading } from "../../host/lib/node.ts";
import { inspect } from "../../host/lib/engine.ts";
import { generateKey, makePackage } from "../../host/lib/package.ts";
import { keepKey, openProject, signingKey } from "../../host/lib/project.ts";
import { simulate } from "../../host/lib/simulate.ts";
import { buildFilter, compileModel } from "../../host/model/model.ts";
import { root } from "../../host/setup.mjs";
import { scratch } from "../harness/target.ts";
import { startGateway, until } from "./harness.ts";

const alarm = build(join(root, "assembly/examples/flood-alarm.ts"));

function hosting() {
  const told: Omit<Envelope, "seq">[] = [];
  const happenings: Happening[] = [];
  const hosted = new Hosted({ publish: (one) => told.push(one) }, (one) => happenings.push(one));
  return { hosted, told, happenings, [Symbol.dispose]: () => hosted.close() };
}

const value = (node: string, resource: string, at: number, given: number | null) => ({
  node,
  resource,
  time: at,
  value: given,
});

describe("a hosted instance", () => {
  test("publishes what the module publishes on a node, under its name and with the time of its input", async () => {
    const { module } = await alarm;
    using it = hosting();
    it.hosted.start(
      { name: "flood", package: module, inputs: { level: "wye/sensors/level" } },
      1000,
    );
    const levels = [2000, 6000, 7000, 3000];
    levels.forEach((level, index) =>
      it.hosted.take(value("wye", "sensors/level", 2000 + index, level)),
    );
    const { happenings } = simulate(
      module,
      levels.map((level, index) => ({ at: 1000 + index, sensor: "level", value: level })),
    );
    const published = happenings.filter((one) => one.kind === "output");
    expect(published.length).toBeGreaterThan(4);
    expect(it.told).toEqual(
      published.map(({ name, value: given, at }) => ({
        node: "flood",
        resource: `outputs/${name}`,
        time: at + 1000,
        value: given,
      })),
    );
  });

  test("publishes texts, whole numbers and records as a node that is watched has them", async () => {
    using folder = scratch();
    const source = join(folder.path, "kinds.ts");
    writeFileSync(
      source,
      `import { every, output, sensor } from "wasmote";
      class Day { number: i32 = 0; rain: f32 = 0; wet: bool = false; }
      const level = sensor("level");
      const state = output<string>("state");
      const count = output<i32>("count");
      const big = output<i64>("big");
      const wet = output<bool>("wet");
      const day = output<Day>("day", "mm");
      const today = new Day();
      level.onSample((value) => {
        state.publish(\`level: \${value} mm\`);
        count.publish(-<i32>value);
        big.publish(<i64>value * 10000000000);
        wet.publish(value > 3);
        today.number++;
        today.rain = value / 10;
        today.wet = value > 3;
        day.publish(today);
      });
      every(1000, () => state.publish("tick"));`,
    );
    const { module } = await build(source);
    using it = hosting();
    it.hosted.start(
      { name: "kinds", package: module, inputs: { level: "wye/sensors/level" } },
      1000,
    );
    it.hosted.take(value("wye", "sensors/level", 1500, 7));
    it.hosted.tick(2001);
    const told = (output: string, at: number, rest: object) => ({
      node: "kinds",
      resource: `outputs/${output}`,
      time: at,
      ...rest,
    });
    expect(it.told).toEqual([
      told("state", 1500, { value: null, text: "level: 7 mm" }),
      told("count", 1500, { value: -7 }),
      told("big", 1500, { value: 70_000_000_000 }),
      told("wet", 1500, { value: 1, text: "true" }),
      told("day", 1500, { value: null, text: "number 1, rain 0.7, wet true" }),
      told("state", 2001, { value: null, text: "tick" }),
    ]);
    // What a node says of the same values in plain text is read as the same.
    const node = (output: string, text: string) => readReading(`outputs/${output}`, text);
    expect(node("state", "level: 7 mm")).toEqual({ value: Number.NaN, text: "level: 7 mm" });
    expect(node("big", "70000000000")).toEqual({ value: 70_000_000_000 });
    expect(node("wet", "true")).toEqual({ value: 1, text: "true" });
    expect(node("day", "number: 1\nrain: 0.7\nwet: true\n")).toEqual({
      value: Number.NaN,
      text: "number 1, rain 0.7, wet true",
    });
  });

  test("takes no other resource, no gap, and not its own outputs", async () => {
    const { module } = await alarm;
    using it = hosting();
    it.hosted.start({ name: "flood", package: module, inputs: { level: "flood/outputs/flow" } });
    for (const one of [
      value("wye", "sensors/level", 1, 5000),
      value("flood", "outputs/flow", 1, 5000),
      value("wye", "outputs/flow", 1, null),
    ])
      it.hosted.take(one);
    expect(it.told).toEqual([]);
    expect(it.hosted.states()).toMatchObject([{ taken: 0 }]);
  });

  test("that traps is told of and stopped, and the others go on", async () => {
    const { module } = await alarm;
    using folder = scratch();
    const file = join(folder.path, "trap.ts");
    const { writeFileSync } = await import("node:fs");
    writeFileSync(
      file,
      `import { output, sensor } from "wasmote";\nconst level = sensor("level");\nconst out = output("out");\nlevel.onSample((value) => { if (value > 5) unreachable(); out.publish(value); });\n`,
    );
    const trapping = await build(file);
    using it = hosting();
    const inputs = { level: "wye/sensors/level" };
    it.hosted.start({ name: "bad", package: trapping.module, inputs });
    it.hosted.start({ name: "flood", package: module, inputs });
    for (const level of [3, 6, 7]) it.hosted.take(value("wye", "sensors/level", Date.now(), level));
    expect(it.told.filter(({ node }) => node === "bad")).toHaveLength(1);
    expect(it.told.filter(({ resource }) => resource === "outputs/flow")).toHaveLength(3);
    expect(it.happenings).toMatchObject([{ node: "bad", what: "trap" }]);
    expect(it.hosted.states().map(({ trap }) => trap !== undefined)).toEqual([true, false]);
  });

  test("is refused without a name, a feed or room, and the one before it stays", async () => {
    const { module } = await alarm;
    using it = hosting();
    const inputs = { level: "wye/sensors/level" };
    it.hosted.start({ name: "flood", package: module, inputs });
    expect(() => it.hosted.start({ name: "flood", package: module, inputs: {} })).toThrow(
      /nothing feeds the sensor level/,
    );
    expect(() => it.hosted.start({ name: "../x", package: module, inputs })).toThrow(
      /is not a name/,
    );
    expect(() =>
      it.hosted.start({ name: "flood", package: Buffer.from("nothing"), inputs }),
    ).toThrow();
    expect(it.hosted.states()).toMatchObject([{ name: "flood", inputs }]);
    for (let index = 1; index < hostedLimits.instances; index++)
      it.hosted.start({ name: `i${index}`, package: module, inputs });
    expect(() => it.hosted.start({ name: "more", package: module, inputs })).toThrow(
      /run here already/,
    );
  });

  test("forgets what it handed on: a long run takes no more memory than a short one", async () => {
    const { module } = await alarm;
    using it = hosting();
    it.hosted.start({ name: "flood", package: module, inputs: { level: "wye/sensors/level" } }, 0);
    for (let index = 0; index < 20_000; index++)
      it.hosted.take(value("wye", "sensors/level", index, 2000));
    expect(it.hosted.states()).toMatchObject([{ taken: 20_000 }]);
    expect(it.hosted.states()[0]!.fuel).toBeGreaterThan(20_000);
    expect(it.told).toHaveLength(20_000);
  });
});

test("over HTTP a signed package is hosted, seen as a node's resource, kept over a restart, and stopped", async () => {
  using folder = scratch();
  const project = openProject(folder.path);
  keepKey(project);
  const model = compileModel(readFileSync(join(root, "examples/flood/flow.onnx")), {
    name: "flow",
    arithmetic: "int8",
  });
  const { module } = await buildFilter(model);
  const { footprint, table } = inspect(module);
  const needs = { ram: footprint.total, table, fuel: 0, sensors: 3, outputs: 1 };
  const manifest = {
    vendor: "",
    class: "native",
    sequence: 1,
    name: "flow",
    version: "1.0.0",
    needs,
  };
  const signed = makePackage(module, manifest, signingKey(project));
  const feeds = "rain-1=usk/sensors/rain&rain-0=wye/sensors/rain&flow-1=wye/outputs/flow";
  const put = (body: Uint8Array, query = feeds) => ({
    path: `/api/hosted/flow?${query}`,
    init: { method: "PUT", body: Buffer.from(body) },
  });
  let token = "";
  {
    await using running = await startGateway({}, { folder: folder.path, project });
    token = running.token;
    const ask = (given: ReturnType<typeof put>) =>
      running.ask(given.path, given.init).then(({ status }) => status);
    const { gateway } = running;
    expect(await ask(put(makePackage(module, manifest, generateKey())))).toBe(403);
    const changed = Uint8Array.from(signed);
    changed[changed.length - 1]! ^= 1;
    expect(await ask(put(changed))).toBe(400);
    expect(await ask(put(Buffer.from("nothing")))).toBe(400);
    expect(await ask(put(signed, "rain-1=usk/sensors/rain"))).toBe(422);
    expect(await ask(put(signed, `${feeds}&param.limit=1`))).toBe(422);
    expect(await ask(put(signed))).toBe(200);
    const seen: Envelope[] = [];
    gateway.hub.view({ nodes: ["flow"] }, { send: (envelope) => (seen.push(envelope), true) });
    const feed = (node: string, resource: string, given: number) =>
      gateway.hub.publish({ node, resource, time: Date.now(), value: given });
    feed("usk", "sensors/rain", 9.3);
    feed("wye", "sensors/rain", 21.9);
    feed("wye", "outputs/flow", 116.4);
    await until(() => seen.length > 0);
    expect(seen).toMatchObject([{ node: "flow", resource: "outputs/flow" }]);
    expect(seen[0]!.value).toBeGreaterThan(50);
  }
  await using running = await startGateway({}, { folder: folder.path, project });
  const headers = { authorization: `Bearer ${token}` };
  expect(await running.json("/api/hosted", { headers })).toMatchObject({
    hosted: [{ name: "flow", taken: 0 }],
  });
  expect((await running.ask("/api/hosted/flow", { method: "DELETE", headers })).status).toBe(200);
  expect((await running.ask("/api/hosted/flow", { method: "DELETE", headers })).status).toBe(404);
  expect(await running.json("/api/hosted", { headers })).toEqual({ hosted: [] });
});
