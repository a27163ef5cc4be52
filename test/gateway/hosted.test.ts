// Hosted instances: a package at the gateway is fed by resources of nodes, and its outputs are resources like a node's.
import { join } from "node:path";
import { readFileSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { Hosted, hostedLimits } from "../../host/gateway/hosted.ts";
import type { Envelope } from "../../host/gateway/envelope.ts";
import { Hub } from "../../host/gateway/hub.ts";
import { Virtuals } from "../../host/gateway/virtual.ts";
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
      it.hosted.take(value("wye", "sensors/level", 2000 + index, level), 2000 + index),
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

  test("has no old value of an input that has none now", async () => {
    using folder = scratch();
    const source = join(folder.path, "seen.ts");
    writeFileSync(
      source,
      `import { every, output, sensor } from "wasmote";
      const level = sensor("level");
      const seen = output("seen");
      let runs = 0;
      level.onSample(() => { runs++; });
      every(1000, () => { seen.publish(isNaN(level.value) ? -<f32>runs : level.value); });`,
    );
    const { module } = await build(source);
    using it = hosting();
    it.hosted.start({ name: "seen", package: module, inputs: { level: "wye/sensors/level" } }, 0);
    const given = [null, 7, null, null, 9];
    given.forEach((level, index) =>
      it.hosted.take(value("wye", "sensors/level", 1, level), 500 + 1000 * index),
    );
    it.hosted.tick(5001);
    // Nor does a handler run for a gap: the number of runs is what is published where there is no value.
    expect(it.told.map((one) => one.value)).toEqual([-0, 7, -1, -1, 9]);
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
    it.hosted.take(value("wye", "sensors/level", 1500, 7), 1500);
    it.hosted.tick(2001);
    const told = (output: string, at: unknown, rest: object) => ({
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
      // What comes of a tick is of now.
      told("state", expect.closeTo(Date.now(), -5), { value: null, text: "tick" }),
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

  test("that was late leaves out ticks as a node does: of each the newest happens", async () => {
    using folder = scratch();
    const source = join(folder.path, "ticks.ts");
    const ticking = (period: number) => {
      writeFileSync(
        source,
        `import { every, output } from "wasmote";\nconst ticks = output("ticks");\nlet n: f32 = 0;\nevery(${period}, () => ticks.publish(++n));\n`,
      );
      return build(source);
    };
    const [fast, slow] = [(await ticking(10)).module, (await ticking(60_000)).module];
    using it = hosting();
    it.hosted.start({ name: "fast", package: fast, inputs: {} }, 0);
    it.hosted.start({ name: "slow", package: slow, inputs: {} }, 0);
    const ticks = (time: number) => {
      const before = it.told.length;
      it.hosted.tick(time);
      const told = it.told.slice(before).map(({ node }) => node);
      return ["fast", "slow"].map((name) => told.filter((one) => one === name).length);
    };
    const minute = 60_000;
    const year = 31_536_000_000;
    for (const [time, expected] of [
      [1_000, [100, 0]],
      [minute, [5_900, 1]],
      // The process stood still: for two minutes, and for a year.
      [3 * minute + 5, [6_001, 2]],
      [year, [6_001, 2]],
      [year + 10, [1, 0]],
      [year + 5 * minute - 1, [6_001, 2]],
    ] as const)
      expect([time, ticks(time)]).toEqual([time, expected]);
  });

  test("is not fed by what it makes: a circle is refused, and one that comes about another way is stopped", async () => {
    using folder = scratch();
    const source = join(folder.path, "next.ts");
    const made = async (sensors: string[]) => {
      const each = sensors.flatMap((name) => [
        `const ${name} = sensor("${name}");`,
        `${name}.onSample((value) => out.publish(value + 1));`,
      ]);
      const sdk = [`import { output, sensor } from "wasmote";`, `const out = output("out");`];
      writeFileSync(source, [...sdk, ...each].join("\n"));
      return (await build(source)).module;
    };
    const [next, twice] = [await made(["level"]), await made(["one", "two"])];
    const hub = new Hub();
    const happenings: Happening[] = [];
    const hosted = new Hosted(hub, (one) => happenings.push(one));
    const virtuals = new Virtuals(hub, [
      {
        name: "most",
        kind: "aggregate",
        function: "max",
        sources: ["loop*/outputs/out"],
        fresh: 60,
      },
    ]);
    try {
      hub.view({}, { send: (envelope) => (virtuals.take(envelope), hosted.take(envelope), true) });
      const start = (name: string, level: string) =>
        hosted.start({ name, package: next, inputs: { level } });
      const value = (node: string) => hub.newest(node, "outputs/out")?.value;
      const feed = (given: number) =>
        hub.publish({ node: "wye", resource: "sensors/level", time: Date.now(), value: given });
      // A row as long as there may be, and the last of it may not feed the first.
      start("i0", "wye/sensors/level");
      const last = hostedLimits.instances - 30;
      for (let index = 1; index <= last; index++) start(`i${index}`, `i${index - 1}/outputs/out`);
      expect(() => start("i0", `i${last}/outputs/out`)).toThrow(
        /i0 would be fed by what it makes, through /,
      );
      expect(() => start("i3", "i4/outputs/out")).toThrow(/through i4$/);
      feed(5);
      expect(value(`i${last}`)).toBe(5 + last + 1);
      expect(happenings).toEqual([]);
      // Through what the gateway makes of them, and by doubling: the others go on.
      start("loop", "gateway/virtual/most");
      const pair = (from: string) => ({ one: from, two: from });
      hosted.start({ name: "d0", package: twice, inputs: pair("wye/sensors/level") });
      for (let index = 1; index < 20; index++)
        hosted.start({
          name: `d${index}`,
          package: twice,
          inputs: pair(`d${index - 1}/outputs/out`),
        });
      hub.publish({ node: "loop2", resource: "outputs/out", time: Date.now(), value: 1 });
      feed(6);
      expect(value(`i${last}`)).toBe(6 + last + 1);
      const stopped = hosted.states().filter(({ trap }) => trap !== undefined);
      const names = stopped.map(({ name }) => name);
      expect(names).toEqual(["loop", ...Array.from({ length: 11 }, (_, at) => `d${at + 9}`)]);
      expect(stopped[0]!.trap).toContain("it is fed by what it makes");
      expect(happenings.map(({ node, what }) => `${node} ${what}`).toSorted()).toEqual(
        names.map((name) => `${name} trap`).toSorted(),
      );
    } finally {
      hosted.close();
      virtuals.stop();
    }
  });

  test("that cannot be kept does not run, and the one before it stays", async () => {
    const { module } = await alarm;
    using it = hosting();
    const full = () => {
      throw new Error("ENOSPC: no space left on device");
    };
    const config = (level: string) => ({ name: "flood", package: module, inputs: { level } });
    expect(() => it.hosted.start(config("a/sensors/level"), 0, full)).toThrow("ENOSPC");
    expect(it.hosted.states()).toEqual([]);
    it.hosted.start(config("b/sensors/level"));
    expect(() => it.hosted.start(config("c/sensors/level"), 0, full)).toThrow("ENOSPC");
    expect(it.hosted.states()).toMatchObject([{ inputs: { level: "b/sensors/level" } }]);
  });

  test("with names that every object of JavaScript has is fed and set by what was said, and by nothing else", async () => {
    using folder = scratch();
    const source = join(folder.path, "names.ts");
    const names = ["constructor", "toString", "valueOf", "hasOwnProperty"];
    const lines = names.flatMap((name, index) => [
      `const s${index} = sensor("${name}");`,
      `const p${index} = parameter("${name}", ${index}, 0, 100);`,
      `const o${index} = output("${name}");`,
      `s${index}.onSample((value) => o${index}.publish(value + p${index}.value));`,
    ]);
    const sdk = `import { output, parameter, sensor } from "wasmote";`;
    writeFileSync(source, [sdk, ...lines].join("\n"));
    const { module } = await build(source);
    using it = hosting();
    expect(() => it.hosted.start({ name: "n", package: module, inputs: {} })).toThrow(
      `nothing feeds the sensor ${names.join(", ")}`,
    );
    const inputs = Object.fromEntries(names.map((name) => [name, `wye/sensors/${name}`]));
    it.hosted.start({ name: "n", package: module, inputs, parameters: { valueOf: 50 } });
    names.forEach((name, index) => it.hosted.take(value("wye", `sensors/${name}`, index, 1000)));
    expect(it.told.map((one) => one.value)).toEqual([1000, 1001, 1050, 1003]);
  });

  test("forgets what it handed on: a long run takes no more memory than a short one", async () => {
    const { module } = await alarm;
    using it = hosting();
    it.hosted.start({ name: "flood", package: module, inputs: { level: "wye/sensors/level" } }, 0);
    for (let index = 0; index < 20_000; index++)
      it.hosted.take(value("wye", "sensors/level", index, 2000), index);
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
    // Nodes may come later, which is told with what there is.
    const again = put(signed);
    expect(await running.json(again.path, again.init)).toMatchObject({
      unknown: ["there is no node usk; there are: flow", "there is no node wye; there are: flow"],
    });
    // Its outputs are where a node's are, before there is a value and afterwards.
    const read = (path: string, init: RequestInit = {}) => running.ask(`/nodes/flow/${path}`, init);
    expect((await read("outputs/flow")).status).toBe(200);
    expect(await (await read("outputs/flow")).text()).toBe("");
    expect((await read("outputs/flwo")).status).toBe(404);
    expect(await (await read("outputs/flwo")).text()).toContain("it has: outputs/flow");
    expect((await read("outputs/flow", { method: "PUT", body: "1" })).status).toBe(405);
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
    expect(Number(await (await read("outputs/flow")).text())).toBeCloseTo(seen[0]!.value!, 3);
    const accept = { headers: { accept: "application/senml+json" } };
    expect(await (await read("outputs/flow", accept)).json()).toMatchObject([
      { bn: "flow/", n: "outputs/flow", v: seen[0]!.value },
    ]);
    expect(await (await read(".well-known/core")).text()).toContain("</nodes/flow/outputs/flow>");
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
