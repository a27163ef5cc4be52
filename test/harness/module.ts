// What most tests of a running node need: a board that trusts the tests' key, and packages signed with it.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "../../host/lib/build/build.ts";
import type { Emulated } from "../../host/lib/emulate.ts";
import {
  generateKey,
  makeFlash,
  makePackage,
  type KeyPair,
  type PackageOptions,
} from "../../host/lib/package.ts";
import type { Start, StartOptions } from "./target.ts";

/** The key that provisioned nodes trust. */
export const key = generateKey();

const examples = new URL("../../assembly/examples/", import.meta.url).pathname;

/** The class of boards that each target says it is. */
const classes: Record<string, string> = {
  native: "native",
  "qemu-stm32": "stm32f407",
  "qemu-mps2": "mps2-an386",
};

export function classOf(target: string): string {
  return classes[target] ?? "stm32f407";
}

/** Starts a node called wye that trusts the tests' key, on a flash file in this folder. */
export function provisioned(
  start: Start,
  folder: string,
  options: StartOptions = {},
): Promise<Emulated> {
  const flash = join(folder, "flash");
  writeFileSync(flash, makeFlash({ name: "wye", keys: [key.publicKey] }));
  return start({ ...options, flash });
}

/** A program as a package for a target, given by the name of an example or as source. */
export async function pack(
  target: string,
  program: string,
  sequence: number,
  options: Partial<PackageOptions> = {},
  signer: KeyPair = key,
): Promise<Uint8Array> {
  const folder = mkdtempSync(join(tmpdir(), "wasmote-"));
  try {
    const source = program.includes("\n");
    const file = source ? join(folder, "program.ts") : join(examples, `${program}.ts`);
    if (source) writeFileSync(file, program);
    const { module, facts } = await build(file);
    const needs = {
      ram: 0,
      table: 0,
      fuel: 0,
      sensors: facts.sensors.length,
      outputs: facts.outputs.length,
    };
    const name = source ? "program" : program;
    const about = { vendor: "", class: classOf(target), sequence, name, needs };
    return makePackage(module, { ...about, version: `1.0.${sequence}`, ...options }, signer);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The first of what comes that passes. */
export async function first<T>(
  items: AsyncIterable<T>,
  passes: (item: T) => boolean = () => true,
): Promise<T> {
  for await (const item of items) if (passes(item)) return item;
  throw new Error("nothing passed");
}

/** A program that publishes every level as it comes. */
export const echo = `
import { output, sensor } from "wasmote";
const level = sensor("level");
const out = output("echo");
level.onSample((value) => {
  out.publish(value);
});
`;

/** A program that is never done: each tick takes most of a run's fuel, and the next is due before it ends. */
export const busy = `
import { every } from "wasmote";
let spins = 0;
every(1, () => {
  for (let i = 0; i < 60000; i++) spins += i ^ spins;
});
`;

/** The same with runs that are long on a chip, which divides such numbers in software, compiled or not. */
export const long = `
import { every } from "wasmote";
let sum: f64 = 1;
every(1, () => {
  for (let i = 0; i < 30000; i++) sum = 1.0 / (sum + 1.5) + 3.0 / (sum + 0.5);
});
`;

/** A program that spins for ever at its first sample. */
export const spin = `
import { sensor } from "wasmote";
const level = sensor("level");
let spins = 0;
level.onSample((value) => {
  while (value > 0) spins++;
});
`;
