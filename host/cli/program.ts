// What the verbs that take a source have in common: it is loaded with the time it takes shown, and its key is the one named.
import { existsSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { makeFolder } from "../lib/state.ts";
import { UserError } from "../lib/errors.ts";
import { loadProgram, type Program } from "../lib/program.ts";
import { packageRoot } from "../lib/root.ts";
import { project, waiting } from "./context.ts";

export interface MemoryOptions {
  /** Bytes of memory that handlers have at least, where the command line says so. */
  heap?: string;
}

/** Builds a source, or takes a module as it is. Without a name it is the project's main file. */
export function load(given: string | undefined, { heap }: MemoryOptions = {}): Promise<Program> {
  if (heap === undefined) return loadProgram(project(), given, waiting);
  const bytes = Number(heap);
  if (!/^\d+$/.test(heap) || bytes > 2 ** 24)
    throw new UserError(`${heap} is not a number of bytes`, "write: --heap 8192", "usage");
  return loadProgram({ ...project(), heap: bytes }, given, waiting);
}

/** Lets `import … from "wasmote"` find this package in a project, for its tests and for editors, installed or not. */
export function linkPackage(folder: string): void {
  const link = join(folder, "node_modules/wasmote");
  if (existsSync(link)) return;
  makeFolder(dirname(link));
  symlinkSync(packageRoot, link, "junction");
}
