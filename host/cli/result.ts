// What a verb writes into a file. What lies under that name already and is nobody's work but somebody's own is not written over.
import { closeSync, lstatSync, openSync, readSync, statSync } from "node:fs";
import { UserError } from "../lib/errors.ts";
import { writeOutput } from "../lib/state.ts";
import { oneLine } from "../lib/text.ts";

/** What is made, each with how a file is told that was made like it. */
const kinds = {
  "a source of `wasmote model`": (start: Buffer) => start.includes("Made by `wasmote model`"),
  // Modules and pods: WebAssembly with the section that modules of Wasmote have.
  "a module of Wasmote": (start: Buffer) =>
    start.subarray(0, 4).equals(Buffer.from("\0asm")) && start.includes("wasmote"),
  // A COSE_Sign1 message (RFC 9052 §4.2), and behind it the module.
  "a package": (start: Buffer) => start[0] === 0xd2 && start.includes("\0asm"),
  "a report of tests": (start: Buffer) => start.includes("<testsuites "),
  "a recording": (start: Buffer) => start[0] === 0x7b && start.includes('"parameters":'),
  "a picture of `npm start`": (start: Buffer) =>
    start.includes("<svg") && start.includes("River Wye"),
  "a provisioning record": (start: Buffer) => start.subarray(0, 4).equals(Buffer.from("WMPR")),
} satisfies Record<string, (start: Buffer) => boolean>;

export type Kind = keyof typeof kinds;

/** Bytes that are looked at. */
const most = 1 << 20;

/** Refuses to write over a file that is not of this kind, unless it is empty, or no file but a device or a pipe. */
export function refuseForeign(file: string, kind: Kind, force = false): void {
  const found = statSync(file, { throwIfNoEntry: false });
  if (force || found === undefined || !found.isFile() || found.size === 0) return;
  const start = Buffer.alloc(Math.min(found.size, most));
  const handle = openSync(file, "r");
  try {
    readSync(handle, start);
  } finally {
    closeSync(handle);
  }
  if (!kinds[kind](start))
    throw new UserError(
      `${oneLine(file)} is there already, and is not ${kind}: it would be lost`,
      kind === "a picture of `npm start`"
        ? "name another file"
        : "name another file, or write over it with --force",
    );
}

export interface Writing {
  kind: Kind;
  /** What was named on the command line. */
  given: string | undefined;
  /** What the verb calls it otherwise. */
  own: string;
  force?: boolean | undefined;
}

/**
 * Refuses what must not be written, before the work for it is done: another's file, and under the name that the verb chose itself a link that
 * is there already: whoever made it chose which file would be overwritten.
 */
export function refuseResult({ kind, given, own, force = false }: Writing): void {
  if (given === undefined && lstatSync(own, { throwIfNoEntry: false })?.isSymbolicLink())
    throw new UserError(
      `${own} is a symbolic link: nothing is written through it`,
      "remove it, or name the file with --output",
    );
  refuseForeign(given ?? own, kind, force);
}

/** Writes what a verb makes; the name of the file. */
export function writeResult(content: Uint8Array, writing: Writing): string {
  refuseResult(writing);
  const output = writing.given ?? writing.own;
  writeOutput(output, content);
  return output;
}
