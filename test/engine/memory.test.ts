// Memory of modules: what handlers leave is collected, for ever; what cannot be given back is refused with its line; the size is
// known when a module is built; texts with numbers take none, and few bytes of code.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { build, BuildError, type Built } from "../../host/lib/build/build.ts";
import { inspect, missingEngine, type EngineName } from "../../host/lib/engine.ts";
import { exercise } from "../../host/lib/exercise.ts";
import { Simulation, type Sample } from "../../host/lib/simulate.ts";
import { root } from "../../host/setup.mjs";
import { random } from "../harness/link.ts";
import { executeOnChip, f32, i32, noMachine, type MachineCommand } from "../harness/machine.ts";
import { scratch } from "../harness/target.ts";

const recipe = (name: string) => join(root, "assembly/recipes", `${name}.ts`);

async function buildText(program: string, options = {}): Promise<Built> {
  using folder = scratch();
  const file = join(folder.path, "program.ts");
  writeFileSync(file, program);
  return await build(file, options);
}

/** Programs that allocate in a handler, each in another way. */
const allocating: Record<string, string> = {
  "a text that is kept": `
    import { sensor } from "wasmote";
    const level = sensor("level");
    let last = "";
    level.onSample((value) => { last = "level " + value.toString(); });`,
  "an array that grows and shrinks": `
    import { sensor } from "wasmote";
    const level = sensor("level");
    let list: f32[] = [];
    let longest = 0;
    level.onSample((value) => {
      list.push(value);
      if (list.length > 40) { longest = max(longest, list.length); list = []; }
    });`,
  "objects that refer to each other in a ring": `
    import { sensor } from "wasmote";
    class Link { other: Link | null = null; value: f32 = 0; }
    let kept: Link = new Link();
    const level = sensor("level");
    level.onSample((value) => {
      const one = new Link();
      const two = new Link();
      one.other = two; two.other = one; one.value = value;
      kept = one;
    });`,
  "a map of texts": `
    import { sensor } from "wasmote";
    const level = sensor("level");
    const counts = new Map<string, i32>();
    level.onSample((value) => {
      const key = "k" + (<i32>value % 7).toString();
      counts.set(key, counts.has(key) ? counts.get(key) + 1 : 1);
    });`,
};

/** Runs `count` samples; what happens is looked at and let go. */
function samples(module: Uint8Array, engine: EngineName, count: number): Simulation {
  const simulation = new Simulation(module, { engine });
  for (let run = 0; run < count && !simulation.trapped; run++) {
    simulation.sample({ at: run, sensor: "level", value: run % 5000 });
    if (simulation.happenings.length > 1000 && !simulation.trapped)
      simulation.happenings.length = 0;
  }
  return simulation;
}

describe("handlers that allocate", () => {
  test.each(Object.keys(allocating))("%s: a million runs in a page of 16 KiB", async (name) => {
    const { module, memory } = await buildText(allocating[name]!);
    expect(memory.collected).toBe(true);
    expect(inspect(module).footprint.memory).toBe(16384);
    const simulation = samples(module, "v8", 1_000_000);
    expect(simulation.happenings.filter(({ kind }) => kind === "trap")).toEqual([]);
    // V8 has pages of 64 KiB, and tests the end of the memory by the module's own count only.
    expect(simulation.memorySize).toBe(65536);
  });

  test("the log book runs for ever, its requests too", async () => {
    const { module, paths, memory } = await build(recipe("log-book"));
    expect(memory.collected).toBe(true);
    expect(paths).toEqual(["book"]);
    const simulation = new Simulation(module, { engine: "v8" });
    for (let run = 0; run < 1_000_000 && !simulation.trapped; run++) {
      simulation.sample({ at: run, sensor: "level", value: run % 2 === 0 ? 4000 : 1000 });
      if (run % 3 === 0) simulation.request(run, 1, "book");
      if (simulation.happenings.length > 1000 && !simulation.trapped)
        simulation.happenings.length = 0;
    }
    expect(simulation.trapped).toBe(false);
    expect(simulation.memorySize).toBe(65536);
    const replies = simulation.happenings.flatMap((one) => (one.kind === "reply" ? [one] : []));
    expect(replies.at(-1)).toMatchObject({ status: "2.05" });
    expect(replies.at(-1)!.text.split("\n").length).toBe(5);
  });

  test.skipIf(noMachine).each(Object.keys(allocating))(
    `%s: 10,000 runs on the emulated chip, for the same fuel as here${noMachine ? ` (skipped: ${noMachine})` : ""}`,
    { timeout: 600_000 },
    async (name) => {
      const { module } = await buildText(allocating[name]!);
      const here = samples(module, "wasmote", 10_000);
      expect(here.trapped).toBe(false);
      const commands: MachineCommand[] = [
        { do: "instantiate", name: "module", module },
        { do: "invoke", instance: "module", name: "start", values: [] },
        ...Array.from({ length: 10_000 }, (_, run): MachineCommand => ({
          do: "invoke",
          instance: "module",
          name: "sample",
          values: [i32(0), f32(run % 5000)],
        })),
      ];
      const outcomes = await executeOnChip(commands, 600);
      expect(outcomes.filter(({ status }) => status !== "ok")).toEqual([]);
      const [instance, start, ...rest] = outcomes.map(({ fuel }) => fuel);
      expect([instance! + start!, ...rest]).toEqual(here.fuel);
    },
  );

  test("what a handler needs is there again, though it is more than half of the memory and others leave some too", async () => {
    const program = `
      import { Code, onRequest, sensor } from "wasmote";
      const level = sensor("level");
      let last = "";
      level.onSample((value) => { last = "level " + value.toString(); });
      onRequest((request) => {
        const parts: StaticArray<u8>[] = [];
        for (let count = 0; count < 10; count++) parts.push(new StaticArray<u8>(1000));
        request.reply(Code.CONTENT, last + parts.length.toString());
      });`;
    const { module } = await buildText(program);
    const simulation = new Simulation(module, { engine: "v8" });
    simulation.request(0, 1, "");
    // What the samples leave comes to every height.
    for (let run = 1; run < 20_000 && !simulation.trapped; run++) {
      for (let count = 0; count < run % 41; count++)
        simulation.sample({ at: run, sensor: "level", value: run });
      simulation.request(run, 1, "");
    }
    expect(simulation.trapped).toBe(false);
    expect(simulation.happenings.length).toBe(20_000);
  });

  test("more than there is room for traps as out of memory, and so does what is kept for ever", async () => {
    const { module } = await buildText(`
      import { sensor } from "wasmote";
      const level = sensor("level");
      const all: f32[] = [];
      level.onSample((value) => { all.push(value); });`);
    const { simulation } = exercise(module, [{ at: 0, sensor: "level", value: 1 }]);
    expect(simulation.trapped).toBe(true);
    expect(simulation.happenings.at(-1)).toMatchObject({ ended: { trap: "out of memory" } });
  });

  test.each([
    ["a building block", "const block = new Hysteresis();"],
    ["an unmanaged class of one's own", "const block = new Own();"],
  ])("%s made in a handler is refused with its line", async (_, line) => {
    const program = [
      'import { Hysteresis, sensor } from "wasmote";',
      'const level = sensor("level");',
      "@unmanaged class Own { on: bool = false; }",
      "function deeper(value: f32): void {",
      `  ${line}`,
      "  block.on = value > 3;",
      "}",
      "level.onSample((value) => deeper(value));",
    ].join("\n");
    const error = await buildText(program).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(BuildError);
    expect((error as BuildError).faults[0]).toMatchObject({ line: 5 });
    expect((error as BuildError).faults[0]!.message).toContain("make it once, at the top level");
  });
});

describe("memory that is known beforehand", () => {
  test("a window of 5,000 samples has its memory from its constructor, to the byte", async () => {
    const { module, memory } = await build(recipe("long-window"));
    expect(memory).toEqual({
      constants: 16,
      start: 20_020,
      heap: 32_768 - 20_036,
      collected: false,
    });
    expect(inspect(module).footprint.memory).toBe(32_768);
    expect(samples(module, "wasmote", 10_000).trapped).toBe(false);
  });

  test("a size that is read from a parameter is tested when it is taken", async () => {
    const program = `
      import { MovingAverage, output, parameter, sensor } from "wasmote";
      const level = sensor("level");
      const size = parameter("size", 10, 1, 100000);
      const out = output("out");
      const average = new MovingAverage(<i32>size.value);
      level.onSample((value) => out.publish(average.next(value)));`;
    const { module } = await buildText(program);
    const run = (size: number) => new Simulation(module, { parameters: { size } }).trapped;
    expect([run(10), run(1000), run(10_000)]).toEqual([false, false, true]);
    const wide = await buildText(program, { heap: 45_000 });
    expect(new Simulation(wide.module, { parameters: { size: 10_000 } }).trapped).toBe(false);
  });

  test("`heap` gives handlers at least so much", async () => {
    for (const heap of [0, 100, 16_384, 40_000]) {
      const { memory, module } = await build(recipe("log-book"), { heap });
      expect(memory.heap).toBeGreaterThanOrEqual(heap);
      const total = memory.constants + memory.start + memory.heap;
      expect(inspect(module).footprint.memory).toBe(total);
    }
  });

  test("constants of more than a page get the pages they need", async () => {
    const { module } = await buildText(`
      import { output, sensor } from "wasmote";
      const level = sensor("level");
      const out = output("out");
      const table: usize = memory.data(40000);
      level.onSample((value) => {
        store<f32>(table + 39996, value);
        out.publish(load<f32>(table + 39996));
      });`);
    const simulation = new Simulation(module);
    simulation.sample({ at: 0, sensor: "level", value: 7 });
    expect(simulation.happenings).toEqual([{ at: 0, kind: "output", name: "out", value: 7 }]);
  });
});

describe("texts with numbers", () => {
  const unbuilt = missingEngine("wasmote");
  test.skipIf(unbuilt)(
    `take few bytes and no memory${unbuilt ? ` (skipped: ${unbuilt})` : ""}`,
    async () => {
      const line = await build(recipe("log-line"));
      const status = await build(recipe("status"));
      expect([line.memory.collected, status.memory.collected]).toEqual([false, false]);
      // Without the dead band around it.
      const bare = await buildText(`
      import { log, sensor } from "wasmote";
      const level = sensor("level");
      level.onSample((value) => log(\`level \${value} mm\`));`);
      expect(bare.module.length).toBeLessThanOrEqual(700);
      expect(status.module.length).toBeLessThanOrEqual(1200);
    },
  );

  test("numbers have the fewest digits that read back", async () => {
    const { module } = await buildText(`
      import { log, sensor } from "wasmote";
      const level = sensor("level");
      level.onSample((value) => log(\`\${value}\`));`);
    const next = random(11);
    const bits = new DataView(new ArrayBuffer(4));
    const values = Array.from({ length: 3000 }, (_, index) => {
      if (index % 3 === 0) return Math.fround(next(1e6) / 100);
      if (index % 3 === 1) return Math.fround(Math.round(next(2e5)) / 1000 - 50);
      bits.setUint32(0, Math.floor(next(2 ** 32)));
      return bits.getFloat32(0);
    });
    const given: Sample[] = values.map((value, at) => ({ at, sensor: "level", value }));
    const simulation = new Simulation(module);
    for (const one of given) simulation.sample(one);
    const texts = simulation.happenings.flatMap((one) => (one.kind === "log" ? [one.text] : []));
    expect(texts.length).toBe(values.length);
    texts.forEach((text, index) => {
      const value = values[index]!;
      expect(Math.fround(Number(text)), text).toBe(Object.is(value, -0) ? 0 : value);
      const [least] = Array.from({ length: 9 }, (_, digits) =>
        value.toPrecision(digits + 1),
      ).filter((one) => Math.fround(Number(one)) === value);
      const digits = (one: string) =>
        one.replace(/e.*/, "").replaceAll(/[-.]/g, "").replace(/^0+/, "").replace(/0+$/, "").length;
      const size = Math.abs(value);
      // Whole numbers below 10^15 are written out; beyond, and near zero, the last digit may be one more.
      if (Number.isFinite(value) && size >= 1e-6 && size < 2 ** 24)
        expect(digits(text), `${text} for ${least}`).toBe(digits(least!));
    });
  });

  test("that are too long for an answer are none: it says so, and so does check", async () => {
    const { module, paths } = await buildText(`
      import { Code, Format, onRequest, sensor } from "wasmote";
      const level = sensor("level");
      onRequest((request) => {
        if (request.at("short")) return request.reply(Code.CONTENT, "${"x".repeat(512)}");
        if (request.at("json")) return request.reply(Code.CONTENT, \`"${"x".repeat(508)}\${level.value}"\`, Format.JSON);
        request.reply(Code.CONTENT, "${"x".repeat(513)}");
      });`);
    const simulation = new Simulation(module);
    for (const path of ["short", "json", "long"]) simulation.request(0, 1, path);
    expect(simulation.happenings).toMatchObject([
      { status: "2.05", text: "x".repeat(512) },
      { status: "5.00", text: "reply > 512 bytes" },
      { status: "5.00", text: "reply > 512 bytes" },
    ]);
    const { failed, runs } = exercise(module, [], paths);
    const [[what, { count, path }] = ["", { count: 0, path: "" }], ...others] = failed;
    // Any path but the short one.
    expect([what, path, others]).toEqual(["5.00 reply > 512 bytes", "", []]);
    expect(count / runs.request).toBeCloseTo(3 / 4, 1);
  });

  test("have the same digits where they are kept: in templates, sums, toString and join", async () => {
    const { module } = await buildText(`
      import { log, sensor } from "wasmote";
      const level = sensor("level");
      const singles: f32[] = [0, 5, 12.2, -1.5, 1e-9, NaN, Infinity];
      const doubles: f64[] = [0, 5, 12.2, -1.5, 1e-9, 1e21, -Infinity];
      let kept = "";
      level.onSample((value) => {
        kept = "<" + value.toString() + "|" + \`\${value} \${-value}\` + ">";
        log(kept);
        // In the middle of a line that is nearly as long as one may be.
        log("${"x".repeat(80)}" + value.toString() + [value].join("") + (<f64>value).toString());
        log(singles.join(" "));
        log(doubles.join(" "));
        log(singles.slice(2, 3).toString() + " " + doubles.slice(1, 3).toString());
      });`);
    const simulation = new Simulation(module);
    simulation.sample({ at: 0, sensor: "level", value: 12.25 });
    expect(simulation.happenings.map((one) => (one.kind === "log" ? one.text : one))).toEqual([
      "<12.25|12.25 -12.25>",
      `${"x".repeat(80)}12.2512.2512.25`,
      "0 5 12.2 -1.5 1e-9 NaN Infinity",
      "0 5 12.2 -1.5 1e-9 1e+21 -Infinity",
      "12.2 5,12.2",
    ]);
  });

  test("in templates, sums and choices are what plain AssemblyScript makes of them", async () => {
    const { module, memory } = await buildText(`
      import { fixed, log, quoted, sensor } from "wasmote";
      const level = sensor("level");
      let name = "a\\"b\\\\é😀";
      const small: u8 = 200;
      function nested(): i32 { log("inner"); return 3; }
      level.onSample((value) => {
        log(\`\${<i32>value}|\${small}|\${value > 3}|\${<i64>-9000000000}|\${<u64>18446744073709551615}\`);
        log(\`\${fixed(value, 2)}|\${fixed(-0.005, 2)}|\${fixed(12, 0)}\`);
        log(quoted(name) + "|" + name + "|" + (value > 3 ? \`\${<i32>value} yes\` : "no"));
        log(\`a\${nested()}b\`);
        log(value > 3 ? "high" : "low");
        log("é😀");
      });`);
    expect(memory.collected).toBe(false);
    const simulation = new Simulation(module);
    simulation.sample({ at: 0, sensor: "level", value: 12.345 });
    expect(simulation.happenings.map((one) => (one.kind === "log" ? one.text : one))).toEqual([
      "12|200|true|-9000000000|18446744073709551615",
      "12.35|-0.01|12",
      '"a\\"b\\\\é😀"|a"b\\é😀|12 yes',
      "inner",
      "a3b",
      "high",
      "é😀",
    ]);
  });
});
