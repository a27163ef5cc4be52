// A trap names the user's own source: whatever trapped, wherever it was inlined, and however deep the calls were.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { describeTrap } from "../../host/lib/backtrace.ts";
import { build } from "../../host/lib/build/build.ts";
import { missingEngine } from "../../host/lib/engine.ts";
import { Simulation } from "../../host/lib/simulate.ts";
import { scratch } from "../harness/target.ts";

const unbuilt = missingEngine("wasmote");

/** What is shown of the trap of a program, which a sample of 7 leads to; the body of a handler may be enough. */
async function shown(program: string, heap = 0): Promise<string[]> {
  using folder = scratch();
  const file = join(folder.path, "main.ts");
  writeFileSync(file, program);
  const built = await build(file, { heap });
  const simulation = new Simulation(built.module);
  for (let run = 0; run < 5000 && !simulation.trapped; run++)
    simulation.sample({ at: run, sensor: "level", value: 7 });
  const trap = simulation.happenings.at(-1);
  if (trap?.kind !== "trap") throw new Error("it did not trap");
  const offsets = trap.ended.backtrace.map(({ offset }) => offset);
  const text = describeTrap(
    trap.ended.trap ?? "",
    { ...built, digest: "", folder: folder.path },
    offsets,
  );
  return text.replaceAll(/\S*\/main\.ts/g, "main.ts").split("\n");
}

const head = `import { log, Median, MovingAverage, output, sensor, Window } from "wasmote";
const level = sensor("level");
const out = output("out");
`;

describe.skipIf(unbuilt)(`a trap${unbuilt ? ` (skipped: ${unbuilt})` : ""}`, () => {
  test.each<[what: string, program: string, first: RegExp]>([
    [
      "of an empty endless loop",
      `level.onSample((value) => {\n  for (;;) {}\n});`,
      /^main.ts:[45]:\d+: the run used up its fuel$/,
    ],
    [
      "of an endless loop in a function that is inlined",
      `let n = 0;\nfunction wait(): void {\n  while (n < 1) {}\n}\nlevel.onSample((value) => {\n  wait();\n});`,
      /^main.ts:[4-9]:\d+: the run used up its fuel$/,
    ],
    [
      "of an endless loop that only calls the node",
      `level.onSample((value) => {\n  while (true) out.publish(1);\n});`,
      /^main.ts:5:\d+: the run used up its fuel$/,
    ],
    [
      "of fuel that a library uses up",
      `const big = new StaticArray<f32>(2000);\nlevel.onSample((value) => {\n  while (value > 1) big.sort();\n});`,
      /^main.ts:6:\d+: the run used up its fuel$/,
    ],
    [
      "in the library, of an index",
      `const list: f32[] = [];\nlevel.onSample((value) => {\n  out.publish(list[list.length]);\n});`,
      /^main.ts:6:\d+: trap: error thrown: index out of range$/,
    ],
    [
      "in the library, of an empty array",
      `const list: i32[] = [];\nlevel.onSample((value) => {\n  out.publish(<f32>list.pop());\n});`,
      /^main.ts:6:\d+: trap: error thrown: the array is empty$/,
    ],
    [
      "in a building block, called where it does not belong",
      `const window = new Window(0);\nlevel.onSample((value) => {\n  window.push(value);\n  out.publish(load<f32>(<usize>value << 24));\n});`,
      /^main.ts:[67]:\d+: trap: out of bounds memory access$/,
    ],
    [
      "of memory that is used up",
      `const all: f32[] = [];\nlevel.onSample((value) => {\n  all.push(value);\n});`,
      /^main.ts:6:\d+: trap: out of memory$/,
    ],
    [
      "in the library, where that is all that is left of the handler",
      `level.onSample((value) => {\n  log("a".repeat(-1));\n});`,
      /^main.ts:5:\d+: trap: error thrown: invalid length$/,
    ],
    [
      "in the library, where that is all that is left of one of several statements",
      `let n = 0;\nlevel.onSample((value) => {\n  n++;\n  log("a".repeat(-1));\n});`,
      /^main.ts:[5-7]:\d+: trap: error thrown: invalid length$/,
    ],
    [
      "of memory that objects of the library use up",
      `const all: Uint8Array[] = [];\nlevel.onSample((value) => {\n  all.push(new Uint8Array(4000));\n});`,
      /^main.ts:6:\d+: trap: out of memory$/,
    ],
    [
      "of an assertion",
      `level.onSample((value) => {\n  assert(value < 3, "too high");\n});`,
      /^main.ts:5:\d+: trap: assertion failed$/,
    ],
    [
      "of an error of one's own",
      `level.onSample((value) => {\n  if (value > 3) throw new Error("too high");\n});`,
      /^main.ts:5:\d+: trap: error thrown: too high$/,
    ],
    [
      "of a division",
      `let zero = 0;\nlevel.onSample((value) => {\n  out.publish(<f32>(<i32>value / zero));\n});`,
      /^main.ts:6:\d+: trap: integer divide by zero$/,
    ],
    [
      "at the start",
      `const values = new StaticArray<f32>(3);\nvalues[<i32>level.value] = 1;\nlevel.onSample((value) => { values[9] = 1; });`,
      /^main.ts:[56]:\d+: trap: /,
    ],
  ])("%s names a line of the user's", async (_, program, first) => {
    const [line, source] = await shown(head + program);
    expect(line).toMatch(first);
    const number = Number(line!.split(":")[1]);
    expect(source!.trim()).toBe((head + program).split("\n")[number - 1]!.trim());
  });

  test("of recursion takes a few lines, with how often", async () => {
    const lines = await shown(
      `${head}function down(n: i32): i32 {
  return n > 100000 ? 0 : 1 + down(n + 1);
}
level.onSample((value) => {
  out.publish(<f32>down(0));
});`,
    );
    expect(lines.length).toBe(5);
    expect(lines[3]).toMatch(/^ {2}called from main.ts:5:\d+, \d{2,} times$/);
    expect(lines[4]).toMatch(/^ {2}called from main.ts:8:\d+$/);
  });

  test("of functions that call each other takes a few lines too", async () => {
    const lines = await shown(
      `${head}let least = -1;
function odd(n: i32): i32 {
  out.publish(1);
  return n < least ? 0 : even(n + 1) + 1;
}
function even(n: i32): i32 {
  out.publish(2);
  return n < least ? 0 : odd(n + 1) + 2;
}
level.onSample((value) => {
  out.publish(<f32>even(0));
});`,
    );
    expect(lines.length).toBeLessThan(8);
    expect(lines.join("\n")).toMatch(/, \d{2,} times/);
  });
});
