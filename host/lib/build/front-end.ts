// What the build asks of a language: a module, what it says of itself, and where its code comes from. AssemblyScript is the
// first; another one is a folder beside it and an entry in the table of build.ts.
import { existsSync } from "node:fs";
import { join, relative } from "node:path";
import { readWhole } from "../files.ts";
import { describe, type Fault } from "../fault.ts";
import { packageRoot } from "../root.ts";
import type { Facts } from "./section.ts";

/** A compiler of programs. */
export interface FrontEnd {
  /** The ends of the names of its sources, as in `.ts`. */
  extensions: readonly string[];
  /** Compiles the program in a file (an absolute path); a program with faults is a {@link BuildError}. */
  compile(path: string, options: CompileOptions): Promise<Compiled>;
}

export interface CompileOptions {
  /** Only the program's own exports, without the SDK's declarations: for the benchmark kernels. */
  plain: boolean;
  /** Global names and what they stand for: `Real=f32`. */
  use: readonly string[];
  /** What the start of a module takes, which exports `__top`; by it a language may choose how memory is managed. */
  measure: (module: Uint8Array, staticBytes: number) => Start;
}

/** What the start of a module takes. */
export interface Start {
  /** The first byte of memory that is free after it. */
  top: number;
  /** Whether it asked the node for a value: what it takes then may depend on the answer. */
  asked: boolean;
}

/** Mutable i32 globals that a compiler exports to the build, which are not exported from the finished module. */
export const buildExports = {
  /** The first byte of memory that is free: of a module that is to be measured. */
  top: "__top",
  /** The end of the memory, which the build writes as it fits the memory. */
  limit: "__limit",
} as const;

/** What a compiler made. */
export interface Compiled {
  module: Uint8Array;
  /** Its source map (ECMA-426), as JSON; empty if there is none. */
  map: string;
  facts: Facts;
  /** The first byte of memory that the module's constants leave free. */
  staticBytes: number;
  /** The first byte that is free after the start. */
  top: number;
  /** Whether handlers allocate: then it is given room for that. */
  allocates: boolean;
  /** Paths of requests that the program names, below `/app/x/`. */
  paths: string[];
  /** Where the program declares functions that it wants from its host, by name. */
  wanted: Map<string, Omit<Fault, "message">>;
  /** Where functions are declared, by their names in the module. */
  functions: Map<string, Omit<Fault, "message">>;
  /** The files it was made from. */
  inputs: string[];
}

/** A program that cannot be built; the message shows each fault with its line of source. */
export class BuildError extends Error {
  override name = "BuildError";
  readonly faults: Fault[];
  constructor(faults: Fault[], folder: string) {
    const shown = faults.map((fault) =>
      describe(
        fault.file.startsWith("~lib/")
          ? fault
          : { ...fault, file: relative(process.cwd(), join(folder, fault.file)) },
        readSource(sourcePath(fault.file, folder)) ?? undefined,
      ),
    );
    super(shown.join("\n\n"));
    this.faults = faults;
  }
}

/** A source file; what is looked for in a `node_modules/wasmote` is this package, wherever the project is. */
export function readSource(path: string): string | null {
  const file = sourceFile(path);
  return existsSync(file) ? readWhole(file).toString("utf8") : null;
}

export function sourceFile(path: string): string {
  const own = /[\\/]node_modules[\\/]wasmote[\\/](.*)$/.exec(path)?.[1];
  return own === undefined ? path : join(packageRoot, own);
}

/** Where a source of the compiler's lies: this package's own are its library `wasmote`. */
export function sourcePath(file: string, folder: string): string {
  return file.startsWith("~lib/wasmote/")
    ? join("/node_modules/wasmote", file.slice("~lib/wasmote/".length))
    : join(folder, file);
}

/** Whether a source is the user's, by its name in the source map: not a library's, and not what the build step wrote. */
export function isUsers(file: string): boolean {
  return !file.startsWith("~lib/") && !/^wasmote-\w+\.ts$/.test(file);
}
