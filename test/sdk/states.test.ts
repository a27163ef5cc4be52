// State that survives, in the build and on this computer; firmware/node/tests/states.rs cuts the power.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { build, BuildError } from "../../host/lib/build/build.ts";
import { readFacts } from "../../host/lib/build/section.ts";
import { engineNames, missingEngine } from "../../host/lib/engine.ts";
import { Simulation } from "../../host/lib/simulate.ts";
import { stateCost } from "../../host/lib/states.ts";
import { wasmote } from "../harness/command.ts";
import { scratch } from "../harness/target.ts";

const head = `import { log, output, sensor, state } from "wasmote";
const rain = sensor("rain");
const sum = output("sum", "mm");
`;

async function built(program: string) {
  using folder = scratch();
  const file = join(folder.path, "program.ts");
  writeFileSync(file, head + program);
  return await build(file);
}

/** The faults of a program, as `line message`. */
async function faults(program: string): Promise<string[]> {
  try {
    await built(program);
    return [];
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    return error.faults.map(({ line, message }) => `${line} ${message}`);
  }
}

const counting = `const total = state("total", 0);
class Day {
  rain: f32 = 1.5;
  hours: i32 = -3;
  wet: bool = true;
  ticks: i64 = 9007199254740991;
  mask: u32 = 4294967295;
  mean: number = 0.25;
  twice(): f32 {
    return this.rain * 2;
  }
}
const day = state("day", new Day());
const count = state<i32>("count", 7);
rain.onSample((mm) => {
  total.value += mm;
  day.value.rain += mm;
  day.value.hours++;
  day.value.wet = !day.value.wet;
  day.value.ticks--;
  day.value.mean *= 2;
  count.value++;
  sum.publish(day.value.twice());
});
`;

describe("a program's state", () => {
  test("is described by its name, type and place, and costs nothing in code", async () => {
    const { module, facts } = await built(counting);
    expect(readFacts(module)).toEqual(facts);
    expect(facts.states.map(({ name, fields }) => [name, fields.map(({ type }) => type)])).toEqual([
      ["total", ["f64"]],
      ["day", ["f32", "i32", "bool", "i64", "u32", "f64"]],
      ["count", ["i32"]],
    ]);
    expect(facts.states.every(({ at }) => at > 0 && at % 8 === 0)).toBe(true);
    const [plain, kept] = await Promise.all(
      ["let total: f64 = 0;", 'const total = state("total", 0);'].map(async (line) => {
        const use = line.startsWith("let") ? "total" : "total.value";
        const code = `${line}\nrain.onSample((mm) => { ${use} += mm; sum.publish(f32(${use})); });`;
        return (await built(code)).module.length;
      }),
    );
    // The name and the type, and addresses where a variable has a number.
    expect(kept! - plain!).toBeLessThanOrEqual(24);
    expect(stateCost(facts.states)).toEqual({ bytes: 52, flash: 16 * 6 });
  });

  test.each(engineNames)(
    "begins as it is written, and goes on from what was kept, in %s",
    async (engine) => {
      if (missingEngine(engine) !== undefined) throw new Error(missingEngine(engine));
      const { module } = await built(counting);
      const first = new Simulation(module, { engine });
      const begin = {
        rain: 1.5,
        hours: -3,
        wet: true,
        ticks: 9007199254740991n,
        mask: 4294967295,
        mean: 0.25,
      };
      expect(first.states()).toEqual({ total: 0, day: begin, count: 7 });
      for (const [at, value] of [1.5, 2, 0.25].entries())
        first.sample({ at, sensor: "rain", value });
      const now = {
        rain: 5.25,
        hours: 0,
        wet: false,
        ticks: 9007199254740988n,
        mask: 4294967295,
        mean: 2,
      };
      expect(first.states()).toEqual({ total: 3.75, day: now, count: 10 });
      const second = new Simulation(module, { engine, kept: first.kept() });
      expect(second.states()).toEqual(first.states());
      second.sample({ at: 0, sensor: "rain", value: 1 });
      expect(second.states()["total"]).toBe(4.75);
      expect(second.happenings.at(-1)).toMatchObject({ name: "sum", value: 12.5 });
    },
  );

  test("comes before the program starts, by name and by type", async () => {
    const one = new Simulation(
      (
        await built(
          'const total = state("total", 5);\nconst other = state<i32>("other", 2);\nrain.onSample((mm) => { total.value += mm; other.value++; });',
        )
      ).module,
    );
    const next = await built(
      'const total = state("total", 0);\nconst other = state("other", 3);\nlog(`${total.value} ${other.value}`);',
    );
    const two = new Simulation(next.module, { kept: one.kept() });
    expect(two.happenings).toMatchObject([{ kind: "log", text: "5 3" }]);
  });

  test("may be a record in a program whose handlers allocate", async () => {
    const { module } = await built(`class Day { rain: f32 = 0; }
const day = state("day", new Day());
const texts: string[] = [];
rain.onSample((mm) => {
  day.value.rain += mm;
  texts.push(day.value.rain.toString());
  if (texts.length > 3) texts.shift();
  log(texts.join(" "));
});`);
    const made = new Simulation(module);
    for (let at = 0; at < 5000; at++) made.sample({ at, sensor: "rain", value: 1 });
    expect(made.happenings.at(-1)).toMatchObject({ kind: "log", text: "4998 4999 5000" });
    expect(made.states()).toEqual({ day: { rain: 5000 } });
  });

  test("is refused with its line where it is no such thing", async () => {
    const lines = [
      ['const a = state("a");', 'a state has a name and what it begins with: state("total", 0)'],
      [
        'const b = state("b b", 0);',
        '"b b" is not a name for a state: 1 to 32 letters, digits, - and _',
      ],
      // What a program has in quotes begins no line of its own on a terminal.
      [
        'const n = state("n\\nerror: x\\t", 0);',
        '"n\ufffderror: x\ufffd" is not a name for a state: 1 to 32 letters, digits, - and _',
      ],
      ['const c = state("c", 0);', undefined],
      ['const d = state("c", 1);', 'the state "c" is declared twice'],
      [
        'const e = state("e", "text");',
        "a text is not kept: a state is a number, or a record of numbers",
      ],
      [
        'const f = state<string>("f", "x");',
        "a state is one of bool, i32, u32, i64, f32, f64, or a record: new and a class",
      ],
      ['const g = state<i32>("g", 1.5);', "this must be a whole number, as it is of type i32"],
      [
        'const h = state("h", rain.value);',
        "this must be a number that is known before the program runs: digits, const names, + - * /",
      ],
      [
        'const i = state("i", new Map<i32, i32>());',
        "a record is written as new and a class of this file: new Day()",
      ],
      [
        'class J { b: string = ""; } const j = state("j", new J());',
        "a field of a record is one of bool, i32, u32, i64, f32, f64, written: rain: f32 = 0",
      ],
      [
        'class K { b: f32 = 0; constructor() {} } const k = state("k", new K());',
        "the class of a record has no constructor: its fields say what they begin with",
      ],
      ['class L { } const l = state("l", new L());', "a record has 1 to 12 fields: this has 0"],
      [
        'rain.onSample((mm) => { const m = state("m", 0); });',
        'state stands at the top level of the program: const total = state("total", 0);',
      ],
    ] as const;
    const expected = lines.flatMap(([, message], at) =>
      message === undefined ? [] : [`${at + 4} ${message}`],
    );
    const found = await faults(lines.map(([line]) => line).join("\n"));
    expect(found.toSorted()).toEqual(expected.toSorted());
  });

  test("has a bound", async () => {
    const fields = Array.from({ length: 12 }, (_, at) => `f${at}: f64 = 0;`).join(" ");
    const records = [0, 1, 2].map(
      (at) => `class C${at} { ${fields} } const c${at} = state("c${at}", new C${at}());`,
    );
    expect(await faults(records.join("\n"))).toEqual([
      "6 states take at most 256 bytes together: these are 288",
    ]);
  });
});

test("run says what was kept, and check what that costs", async () => {
  using folder = scratch();
  const file = join(folder.path, "program.ts");
  writeFileSync(file, head + counting);
  const samples = join(folder.path, "rain.csv");
  writeFileSync(samples, "time,rain\n0,1.5\n60,2\n120,0.25\n");
  const run = await wasmote(folder.path, "run", file, "--samples", samples, "--engine", "all");
  expect(run.out).toContain("kept  total = 3.75\n");
  expect(run.out).toContain("kept  day = rain 5.25, hours 0, wet false, ticks 9007199254740988");
  const json = await wasmote(folder.path, "run", file, "--samples", samples, "--json");
  const lines = json.out
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as object);
  expect(lines).toContainEqual({ kind: "state", name: "total", value: 3.75 });
  const check = await wasmote(folder.path, "check", file, "--samples", samples);
  expect(check.out).toMatch(
    /state +total, day, count: 52 bytes, saved when changed, every 10 minutes at most: 96 bytes/,
  );
});
