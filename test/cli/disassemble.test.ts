// `wasmote check` says what boards compile a module to, and shows it line by line.
import { expect, test } from "vitest";
import { compiled } from "../../host/lib/engine.ts";
import type { Listing } from "../../host/lib/disassembly.ts";
import { command } from "../../host/setup.mjs";
import { newProject, wasmote, wasmoteJson } from "../harness/command.ts";
import { scratch } from "../harness/target.ts";

interface Checked {
  tier: string;
  code: number;
  why?: string;
  microseconds: number;
  microsecondsInterpreted: number;
  listing: Listing;
}

test("check shows every instruction of a module, and all of its code, by the line of the source", async () => {
  using folder = scratch();
  const project = await newProject(folder.path);
  const { tier, code, listing, ...times } = await wasmoteJson<Checked>(
    project,
    "check",
    "--disassemble",
  );
  expect(tier).toBe("compiled");
  expect(times.microseconds).toBeLessThan(times.microsecondsInterpreted);
  const steps = listing.lines.flatMap((line) => line.steps);
  expect(steps.map(({ offset }) => offset)).toEqual(
    steps.map(({ offset }) => offset).toSorted((a, b) => a - b),
  );
  for (const { fuel, instructions, steps } of listing.lines) {
    expect(steps.reduce((sum, step) => sum + step.fuel, 0)).toBe(fuel);
    expect(steps.reduce((sum, step) => sum + step.machine.length, 0)).toBe(instructions);
  }
  const machine = [...listing.frames, ...steps.flatMap((step) => step.machine)];
  const places = new Set(machine.map(({ at }) => at));
  expect(places.size).toBe(machine.length);
  expect(machine.every(({ at, bytes }) => at + bytes.length / 2 <= code)).toBe(true);
  const own = listing.lines.filter(({ file }) => file === "src/main.ts");
  expect(
    own.some(({ source, instructions }) => /high/.test(source ?? "") && instructions > 20),
  ).toBe(true);
  if (command("llvm-mc")) {
    expect(listing.without).toBeUndefined();
    expect(machine.filter(({ text }) => text === undefined)).toEqual([]);
    const { out } = await wasmote(project, "check", "--disassemble");
    expect(out).toMatch(/^src\/main\.ts:\d+ {2}.*\n {2}\d+ fuel, \d+ instructions\n +\d+ {2}\S/m);
    expect(out).toMatch(/ {2}f32\.add +[0-9a-f]+: /);
  } else {
    console.log("skipped: no llvm-mc, instructions have no text");
    expect(listing.without).toMatch(/llvm-mc/);
  }
});

test("a module that boards interpret is said to be, and why", () => {
  const depth = 80;
  const code = [...Array(depth).fill([0x02, 0x40]).flat(), ...Array(depth).fill(0x0b)] as number[];
  const body = [0, ...code, 0x0b];
  const size = [(body.length & 0x7f) | 0x80, body.length >> 7];
  const section = [1, ...size, ...body];
  const whole = [(section.length & 0x7f) | 0x80, section.length >> 7];
  const header = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0, 10];
  const { refusal, code: made } = compiled(Uint8Array.of(...header, ...whole, ...section));
  expect([refusal, made.length]).toEqual(["blocks are nested too deeply", 0]);
});
