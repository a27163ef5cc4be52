// The engines a module can be run in: they agree, and the node's own says what a module costs.
import { readFileSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, expect, test } from "vitest";
import binaryen from "binaryen";
import { readRiver } from "../../host/demo/river.ts";
import { build } from "../../host/lib/build/build.ts";
import {
  engineNames,
  inspect,
  missingEngine,
  ModuleError,
  type EngineName,
} from "../../host/lib/engine.ts";
import { readSamples, simulate, SamplesError, type Sample } from "../../host/lib/simulate.ts";

const example = (name: string) => build(join(folder, `${name}.ts`));
const folder = new URL("../../assembly/examples/", import.meta.url).pathname;
const examples = readdirSync(folder).map((file) => basename(file, ".ts"));

/** The winter of the river for the level, and made-up courses for the other sensors. */
const samples: Sample[] = readRiver().flatMap(({ level, rain }, day) => {
  const at = day * 1000;
  const wave = Math.sin(day / 3);
  return [
    { at, sensor: "level", value: level },
    { at, sensor: "rain", value: rain },
    { at, sensor: "temperature", value: 20 + 15 * wave },
    { at, sensor: "az", value: 9.81 + 3 * Math.sin(day * 2.2) },
    { at, sensor: "button", value: day % 3 },
  ];
});

describe("engines", () => {
  for (const engine of engineNames.filter((name) => name !== "wasmote")) {
    const reason = missingEngine(engine);
    test.skipIf(reason)(
      `every example gives the same in ${engine}${reason ? ` (skipped: ${reason})` : ""}`,
      async () => {
        for (const name of examples) {
          const { module } = await example(name);
          const asked = (in_: EngineName) => {
            const simulation = simulate(module, samples, { engine: in_ });
            simulation.request(1e6, 1, "count");
            simulation.request(1e6, 3, "count", "-42");
            simulation.request(1e6, 1, "count");
            simulation.request(1e6, 4, "count");
            simulation.request(1e6, 1, "nothing");
            return simulation.happenings;
          };
          const own = asked("wasmote");
          expect(own.length, name).toBeGreaterThan(0);
          expect(asked(engine), name).toEqual(own);
        }
      },
    );
  }

  test("a request handler is asked, and answers, as on the node", async () => {
    const { module } = await example("request-handler");
    const simulation = simulate(module, samples);
    const presses = samples.filter(({ sensor, value }) => sensor === "button" && value !== 0);
    const ask = (method: number, path: string, payload?: string) => {
      simulation.request(1e6, method, path, payload);
      const last = simulation.happenings.at(-1);
      return last?.kind === "reply" ? `${last.status} ${last.text}` : undefined;
    };
    expect(ask(1, "count")).toBe(`2.05 ${presses.length}`);
    expect(ask(3, "count", "-42")).toBe("2.04 ");
    expect(ask(1, "count")).toBe("2.05 -42");
    expect(ask(4, "count")).toBe("4.05 ");
    expect(ask(1, "nothing")).toBe("4.04 only count is here");
    expect(() => ask(1, "x".repeat(300))).toThrow(/at most 256 bytes/);
  });

  test("the flood alarm sees the flood of that winter", async () => {
    const { module } = await example("flood-alarm");
    const { happenings, fuel } = simulate(module, samples);
    const alarms = happenings.filter((one) => one.kind === "output" && one.name === "alarm");
    expect(alarms.length).toBeGreaterThan(1);
    expect(Math.max(...fuel)).toBeLessThan(2000);
  });

  test("what a module needs is said to the byte", async () => {
    const { module } = await example("moving-average");
    const { footprint, exports, table } = inspect(module);
    expect(footprint.memory).toBe(16_384);
    expect(footprint.total).toBe(
      footprint.memory + footprint.globals + footprint.tables + footprint.stack,
    );
    expect(footprint.depth).toBeGreaterThan(0);
    expect(exports.map(({ name }) => name)).toContain("sample");
    expect(table).toBeGreaterThan(0);
  });

  test("a trap has its kind and its calls", () => {
    const text =
      '(module (func $inner (unreachable)) (func (export "start") (call $inner)) (memory 1))';
    const module = binaryen.parseText(text).emitBinary();
    const [trap] = simulate(module, []).happenings;
    expect(trap).toMatchObject({ kind: "trap", ended: { trap: "unreachable" } });
    expect(trap?.kind === "trap" && trap.ended.backtrace.map((place) => place.function)).toEqual([
      0, 1,
    ]);
  });

  test("a module that spins is stopped at its budget, with exactly that fuel or a segment more", () => {
    const text = '(module (func (export "start") (loop $on (br $on))))';
    const module = binaryen.parseText(text).emitBinary();
    const { happenings, fuel } = simulate(module, [], { fuel: 1000 });
    expect(happenings).toMatchObject([{ kind: "trap", ended: { trap: "fuel" } }]);
    expect(fuel[0]).toBeGreaterThanOrEqual(1000);
    expect(fuel[0]).toBeLessThan(1010);
  });

  test("what is no module is refused with its place", () => {
    expect(() => inspect(Buffer.from("no module"))).toThrow(ModuleError);
    expect(() => inspect(Buffer.from("no module"))).toThrow(/malformed at byte \d+/);
  });
});

describe("samples from CSV", () => {
  test("with times, dates and gaps", () => {
    expect(readSamples("# river\ntime,level,rain\n0,100,\n500,,3\n")).toEqual([
      { at: 0, sensor: "level", value: 100 },
      { at: 500, sensor: "rain", value: 3 },
    ]);
    expect(readSamples("date,level\n2013-10-01,1\n2013-10-02,2\n")[1]?.at).toBe(86_400_000);
    expect(readSamples("level\n1\n2\n")[1]).toEqual({ at: 1000, sensor: "level", value: 2 });
  });

  test.each([
    ["", /no lines/],
    ["1,2\n", /line 1 has to name/],
    ["time,level\nx,1\n", /line 2: x is not a time/],
    ["time,level\n1,y\n", /line 2: y is not a number/],
  ])("refuses %j", (text, message) => {
    expect(() => readSamples(text)).toThrow(SamplesError);
    expect(() => readSamples(text)).toThrow(message);
  });

  test("the excerpt of the demonstration is measured, not made up", () => {
    const text = readFileSync(
      new URL("../../host/demo/river-wye-2013-14.csv", import.meta.url),
      "utf8",
    );
    expect(text).toContain("National River Flow Archive");
    expect(samples.length).toBeGreaterThan(400);
  });
});
