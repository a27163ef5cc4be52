// What a board executes for each line of a source: the line, its WebAssembly and the Thumb-2 that the compiler makes of it.
import { spawnSync } from "node:child_process";
import type { Compiled } from "./engine.ts";

/** An instruction of the chip: its place in the code, its bytes, and its text where LLVM is there to give it. */
export interface Machine {
  at: number;
  bytes: string;
  text?: string;
}

/** An instruction of the module with those of the chip; one that none stands for is part of another, or costs nothing. */
export interface Step {
  offset: number;
  text: string;
  fuel: number;
  machine: Machine[];
}

/** What comes from one line of the source, in the order in which it lies in the module. */
export interface Line {
  file?: string;
  line?: number;
  source?: string;
  fuel: number;
  /** Of the chip, traps and what leaves included. */
  instructions: number;
  steps: Step[];
}

export interface Listing {
  /** Instructions that no line stands for: where functions begin and end. */
  frames: Machine[];
  lines: Line[];
  /** Why instructions have no text. */
  without?: string;
}

/** The instructions between two places of the code. */
function machine(code: Uint8Array, from: number, to: number): Machine[] {
  const all: Machine[] = [];
  for (let at = from; at < to;) {
    // An instruction has 32 bits where the first five of its upper half are 0b11101 or more (ARM DDI 0403, A5.1).
    const length = (code[at + 1] ?? 0) >> 3 >= 0b11101 ? 4 : 2;
    const bytes = Buffer.from(code.subarray(at, at + length)).toString("hex");
    all.push({ at, bytes });
    at += length;
  }
  return all;
}

/** Adds the text of instructions, as LLVM has it; why it cannot, or nothing. */
function addText(all: readonly Machine[]): string | undefined {
  const words = ["--disassemble", "--triple=thumbv7em-none-eabihf", "--mcpu=cortex-m4"];
  const input = all.map(({ bytes }) => bytes.replaceAll(/../g, "0x$& ")).join("\n");
  const { stdout, error } = spawnSync("llvm-mc", words, { input, encoding: "utf8" });
  if (error) return "there is no llvm-mc (Debian: llvm): instructions are shown as bytes";
  const texts = stdout
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("."));
  if (texts.length !== all.length)
    return "llvm-mc reads other instructions: they are shown as bytes";
  all.forEach((one, index) => {
    const text = texts[index]!.replaceAll("\t", " ");
    // Where a branch goes is shown as a place in the code: LLVM gives its distance from 4 bytes behind it.
    const [, name, by] = /^(b\S*) #(-?\d+)$/.exec(text) ?? [];
    one.text = by === undefined ? text : `${name} ${(one.at + 4 + Number(by)).toString(16)}`;
  });
  return undefined;
}

/** Joins code, instructions of the module, and lines of the source. */
export function disassemble(
  { code, marks, instructions }: Compiled,
  sourceOf: (offset: number) => Pick<Line, "file" | "line" | "source"> | undefined,
): Listing {
  const frames: Machine[] = [];
  const of = new Map<number, Machine[]>();
  const all: Machine[] = [];
  marks.forEach(({ at, place }, index) => {
    if (place === undefined) return;
    const found = machine(code, at, marks[index + 1]?.at ?? code.length);
    all.push(...found);
    if (place === 0) frames.push(...found);
    else of.set(place, [...(of.get(place) ?? []), ...found]);
  });
  const without = addText(all);
  const lines: Line[] = [];
  for (const { offset, length, text } of instructions) {
    const source = sourceOf(offset);
    let line = lines.at(-1);
    if (line === undefined || line.file !== source?.file || line.line !== source?.line) {
      line = { ...source, fuel: 0, instructions: 0, steps: [] };
      lines.push(line);
    }
    const made = of.get(offset) ?? [];
    line.steps.push({ offset, text, fuel: length, machine: made });
    line.fuel += length;
    line.instructions += made.length;
  }
  return { frames, lines, ...(without === undefined ? {} : { without }) };
}

/** The listing as text: a line of the source, and below it the module's instructions beside those of the chip. */
export function describeListing({ frames, lines, without }: Listing): string {
  const out = without === undefined ? [] : [`(${without})`];
  for (const { file, line, source, fuel, instructions, steps } of lines) {
    const where = file === undefined ? "no line of a source" : `${file}:${line}`;
    const text = source === undefined ? "" : `  ${source.trim()}`;
    out.push(`${where}${text}`, `  ${fuel} fuel, ${instructions} instructions`);
    for (const { offset, text, machine } of steps) {
      const left = `    ${String(offset).padStart(5)}  ${text}`;
      const right = machine.map(
        ({ at, bytes, text }) => `${at.toString(16).padStart(5)}: ${text ?? bytes}`,
      );
      out.push(`${left.padEnd(40)} ${right[0] ?? ""}`.trimEnd());
      for (const one of right.slice(1)) out.push(`${" ".repeat(40)} ${one}`);
    }
  }
  const rest = frames.map(
    ({ at, bytes, text }) => `${at.toString(16).padStart(5)}: ${text ?? bytes}`,
  );
  return [
    ...out,
    "where functions begin and end",
    ...rest.map((one) => `${" ".repeat(40)} ${one}`),
  ].join("\n");
}
