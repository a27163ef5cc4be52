// Signs a module for a class of boards.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { inspect } from "../lib/engine.ts";
import { makePackage, openPackage, type KeyPair } from "../lib/package.ts";
import {
  exitCode,
  print,
  project,
  readState,
  signingKey,
  stateFile,
  VerbError,
} from "./context.ts";
import { keptPackage, load, rememberPackage, type Program } from "./program.ts";

/** The next sequence number: never one that was used before, on this computer or on the node. */
export function nextSequence(highest = 0): number {
  const next = Math.max(highest, Number(readState("sequence") ?? 0)) + 1;
  writeFileSync(stateFile("sequence"), `${next}\n`);
  return next;
}

/** Signs a program for a class of boards, with the needs that the engine says it has. */
export function sign(
  { module, facts, name, digest }: Program,
  key: KeyPair,
  { sequence, boardClass }: { sequence: number; boardClass: string },
): Uint8Array {
  const { footprint, table } = inspect(module);
  const { vendor, version } = project();
  const needs = {
    ram: footprint.total,
    table,
    // What a run takes, the samples tell and not the module; the node holds it to its own limit.
    fuel: 0,
    sensors: facts.sensors.length,
    outputs: facts.outputs.length,
  };
  rememberPackage(sequence, digest);
  const facts_ = { vendor, class: boardClass, sequence, name, version, needs };
  const bytes = makePackage(module, facts_, key);
  writeFileSync(stateFile("packages", `${sequence}.wpkg`), bytes);
  return bytes;
}

/** The newest package that was made here, when it is of this module and a node of this class may still take it. */
export function newestPackage(
  digest: string,
  { boardClass, highest }: { boardClass: string; highest: number },
): Uint8Array | undefined {
  const sequence = Number(readState("sequence") ?? 0);
  const path = stateFile("packages", `${sequence}.wpkg`);
  if (sequence <= highest || keptPackage(sequence)?.digest !== digest || !existsSync(path))
    return undefined;
  const bytes = new Uint8Array(readFileSync(path));
  return openPackage(bytes).manifest.class === boardClass ? bytes : undefined;
}

export async function packageVerb(
  file: string | undefined,
  options: { output?: string; sequence?: string; class?: string; key?: string; json?: boolean },
): Promise<void> {
  const program = await load(file);
  const boardClass = options.class ?? project().class;
  if (boardClass === "")
    throw new VerbError(
      "no class of boards was named",
      'add --class stm32f407, or class = "stm32f407" to wasmote.toml',
      exitCode.usage,
    );
  const sequence = options.sequence === undefined ? nextSequence() : Number(options.sequence);
  if (!Number.isInteger(sequence) || sequence < 1 || sequence > 0xffff_ffff)
    throw new VerbError(
      `${options.sequence} is no sequence number`,
      "write a whole number from 1 on",
      exitCode.usage,
    );
  const bytes = sign(program, signingKey(options.key), { sequence, boardClass });
  const output = options.output ?? `${program.name}.wpkg`;
  writeFileSync(output, bytes);
  print(
    options.json,
    { output, bytes: bytes.length, sequence, class: boardClass },
    () => `${output}: ${bytes.length} bytes, sequence ${sequence}, for ${boardClass}`,
  );
}
