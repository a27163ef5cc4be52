// Scripts for the emulated Cortex-M4F with nothing on it but the engine (test/machine), and what came of them. The form of
// both is that of test/machine/src/script.rs.
import { execFile } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { environment, root } from "../../host/setup.mjs";
import { scratch } from "./target.ts";

const image = join(root, "dist/machine.elf");

/** Why there is no such machine here, or nothing. */
export const noMachine =
  environment().qemu?.ok === true && existsSync(image) ? "" : "no QEMU or no image for the chip";

/** A value with its type. */
export type Typed =
  | { type: "i32" | "f32" | "f64"; value: number }
  | { type: "i64"; value: bigint }
  | { type: "funcref" | "externref"; value: number };

export const i32 = (value: number): Typed => ({ type: "i32", value });
export const f32 = (value: number): Typed => ({ type: "f32", value });

export type MachineCommand =
  | { do: "instantiate"; name: string; module: Uint8Array }
  | { do: "register"; name: string; instance: string }
  | { do: "invoke"; instance: string; name: string; values: Typed[] }
  /** Fuel that ends at every unit up to `every` in each export, and by half more each time up to `most` in all of them. */
  | { do: "sweep"; module: Uint8Array; exports: string[]; every: number; most: number }
  /** Single bits of its code change, chosen by `seed`; what the verifier takes runs under the MPU. */
  | { do: "flip"; module: Uint8Array; exports: string[]; seed: number; count: number };

export interface Outcome {
  status: "ok" | "malformed" | "invalid" | "unsupported" | "unlinkable" | "trap" | "fuel" | "fault";
  text: string;
  place: { offset: number; function: number };
  /** The calls that were active at a trap, innermost first, at most a hundred. */
  backtrace: { offset: number; function: number }[];
  fuel: number;
  /** Ticks of the board's clock, 25 MHz. */
  time: number;
  values: Typed[];
}

const types = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c, funcref: 0x70, externref: 0x6f };
const statuses: Outcome["status"][] = [
  "ok",
  "malformed",
  "invalid",
  "unsupported",
  "unlinkable",
  "trap",
  "fuel",
  "fault",
];

/** Executes commands in the emulator, with slices of `slice` units of fuel, interpreted or compiled; `words` are more for QEMU. */
export async function executeOnChip(
  commands: MachineCommand[],
  slice: number,
  tier: "interpreted" | "compiled" = "interpreted",
  patience = 300_000,
  words: string[] = [],
): Promise<Outcome[]> {
  const settings = Buffer.alloc(29);
  settings.writeBigUInt64LE(BigInt(slice), 0);
  settings.writeBigUInt64LE(1n << 40n, 8);
  settings.writeUInt32LE(0, 16); // pages a memory may grow to
  settings.writeUInt32LE(0, 20);
  settings.writeUInt32LE(4096, 24);
  settings[28] = tier === "compiled" ? 2 : 0;
  using folder = scratch();
  writeFileSync(join(folder.path, "script"), Buffer.concat([settings, ...commands.map(encode)]));
  const machine = "-M mps2-an386 -icount shift=0 -display none -monitor none -serial none";
  const run = promisify(execFile)(
    "qemu-system-arm",
    [
      ...machine.split(" "),
      ...words,
      ..."-semihosting-config enable=on,target=native -kernel".split(" "),
      image,
    ],
    { cwd: folder.path, timeout: patience },
  );
  run.child.stdin?.end();
  await run;
  return decode(readFileSync(join(folder.path, "answer")));
}

/** Instructions for each tick, when an instruction takes 1 ns (`-icount shift=0`). */
const perTick = 40;

/** Instructions of the chip for one call of `compute` of a bare model: what a slice takes besides is in it. */
export async function countInstructions(module: Uint8Array, inputs: number[]): Promise<number> {
  const invoke = (name: string, values: Typed[]) =>
    ({ do: "invoke", instance: "model", name, values }) as const;
  const outcomes = await executeOnChip(
    [
      { do: "instantiate", name: "model", module },
      ...inputs.map((value, place) => invoke("put", [i32(place), f32(Math.fround(value))])),
      invoke("compute", []),
    ],
    1 << 30,
  );
  const last = outcomes.at(-1);
  if (last?.status !== "ok") throw new Error(`the model does not run on the chip: ${last?.text}`);
  return last.time * perTick;
}

function bytes(data: Uint8Array): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(data.length);
  return Buffer.concat([length, data]);
}

function encode(command: MachineCommand): Buffer {
  const text = (value: string) => bytes(Buffer.from(value));
  switch (command.do) {
    case "instantiate":
      return Buffer.concat([Buffer.from([1]), text(command.name), bytes(command.module)]);
    case "register":
      return Buffer.concat([Buffer.from([2]), text(command.name), text(command.instance)]);
    case "sweep":
    case "flip": {
      const numbers = Buffer.alloc(16);
      const [kind, first, second] =
        command.do === "sweep"
          ? [6, command.every, command.most]
          : [7, command.seed, command.count];
      numbers.writeUInt32LE(command.exports.length, 0);
      numbers.writeUInt32LE(first, 4);
      numbers.writeBigUInt64LE(BigInt(second), 8);
      const names = command.exports.map(text);
      return Buffer.concat([
        Buffer.from([kind]),
        bytes(command.module),
        numbers.subarray(0, 4),
        ...names,
        numbers.subarray(4),
      ]);
    }
    case "invoke": {
      const count = Buffer.alloc(4);
      count.writeUInt32LE(command.values.length);
      const names = [text(command.instance), text(command.name)];
      return Buffer.concat([Buffer.from([3]), ...names, count, ...command.values.map(encodeValue)]);
    }
  }
}

function encodeValue({ type, value }: Typed): Buffer {
  const out = Buffer.alloc(9);
  out[0] = types[type];
  if (type === "i32") out.writeInt32LE(value, 1);
  else if (type === "i64") out.writeBigInt64LE(value, 1);
  else if (type === "f32") out.writeFloatLE(value, 1);
  else if (type === "f64") out.writeDoubleLE(value, 1);
  else out.writeBigUInt64LE(BigInt(value + 1), 1);
  return out;
}

function decode(answer: Buffer): Outcome[] {
  const outcomes: Outcome[] = [];
  let at = 0;
  const word = () => answer.readUInt32LE((at += 4) - 4);
  while (at < answer.length) {
    const status = statuses[answer[at++] ?? 7] ?? "fault";
    const length = word();
    const text = answer.toString("utf8", at, (at += length));
    const place = { offset: word(), function: word() };
    const backtrace = Array.from({ length: word() }, () => ({ offset: word(), function: word() }));
    const fuel = Number(answer.readBigUInt64LE((at += 8) - 8));
    const time = word();
    const values = Array.from({ length: word() }, (): Typed => {
      const byte = answer[at++];
      const type = (Object.keys(types) as Typed["type"][]).find((name) => types[name] === byte)!;
      at += 8;
      if (type === "i64") return { type, value: answer.readBigInt64LE(at - 8) };
      if (type === "i32") return { type, value: answer.readInt32LE(at - 8) };
      if (type === "f32") return { type, value: answer.readFloatLE(at - 8) };
      if (type === "f64") return { type, value: answer.readDoubleLE(at - 8) };
      return { type, value: answer.readUInt32LE(at - 8) - 1 };
    });
    outcomes.push({ status, text, place, backtrace, fuel, time, values });
  }
  return outcomes;
}
