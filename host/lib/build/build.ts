// From a program to a module: compile, fit the memory, add what it says of itself, keep the source map outside.
import { existsSync } from "node:fs";
import { basename, dirname, extname, join, resolve } from "node:path";
import { importModule, imports as contractImports } from "../contract.ts";
import { inspect, missingEngine, ModuleError, refusal } from "../engine.ts";
import type { Fault } from "../fault.ts";
import { placeOf, type Place } from "../sourcemap.ts";
import { assemblyScript } from "./assemblyscript/front-end.ts";
import { finish, measure, type MemoryReport } from "./finish.ts";
import { BuildError, readSource, type Compiled, type FrontEnd } from "./front-end.ts";
import type { FunctionRange } from "./places.ts";
import type { Facts } from "./section.ts";

export { BuildError } from "./front-end.ts";

export interface BuildOptions {
  /** Bytes of memory that are free after the start. Default: 4096 if handlers allocate, otherwise 0. */
  heap?: number;
  /** Only the program's own exports, without the SDK's declarations: for the benchmark kernels. */
  plain?: boolean;
  /** Global names and what they stand for, as asc's `--use` takes them: `Real=f32`. */
  use?: string[];
}

export interface Built {
  module: Uint8Array;
  /** What the compiler emitted, before the last step. */
  compiled: Uint8Array;
  facts: Facts;
  /** What the memory holds. */
  memory: MemoryReport;
  /** Paths of requests that the program names, below `/app/x/`. */
  paths: string[];
  /** From byte offsets in the module to places in the source; kept beside the module, never in it. */
  places: Place[];
  /** The module's own functions, with the place of each that is the user's. */
  functions: FunctionRange[];
  /** The sources as they were, by the names in `places`. */
  sources: Record<string, string>;
  /** The files it was made from: it is made anew when one of them changes. */
  inputs: string[];
}

/** The languages, the first for sources that no other claims. */
const frontEnds: readonly FrontEnd[] = [assemblyScript];
/** Bytes that handlers which allocate have at least, where nobody says how many. */
const leastHeap = 4096;

/** Builds the program in `file`. */
export async function build(file: string, options: BuildOptions = {}): Promise<Built> {
  const path = resolve(file);
  const folder = dirname(path);
  const plain = options.plain ?? false;
  if (!existsSync(path)) {
    const nowhere = { file: basename(path), line: 0, column: 0 };
    throw new BuildError([{ ...nowhere, message: "there is no such file" }], folder);
  }
  const end = extname(path);
  const frontEnd = frontEnds.find(({ extensions }) => extensions.includes(end)) ?? frontEnds[0]!;
  const compiled = await frontEnd.compile(path, { plain, use: options.use ?? [], measure });
  const heap = options.heap ?? (compiled.allocates ? leastHeap : 0);
  const finished = finish(compiled, { heap, plain });
  const built: Built = {
    ...finished,
    compiled: compiled.module,
    facts: compiled.facts,
    paths: compiled.paths,
    inputs: compiled.inputs,
  };
  const refused = plain ? [] : nodeFaults(built, compiled, { file: basename(path), folder });
  if (refused.length > 0) throw new BuildError(refused, folder);
  return built;
}

/** What every node would refuse of a module, each with the place in the source that it comes from. */
function nodeFaults(
  { module, places }: Built,
  { wanted }: Compiled,
  { file, folder }: { file: string; folder: string },
): Fault[] {
  // Without the engine nothing can be checked here; running or pushing the module reports it.
  if (missingEngine("wasmote") !== undefined) return [];
  const nowhere = { file, line: 0, column: 0 };
  const links = new Set<string>(Object.values(contractImports).map(({ link }) => link));
  let foreign: { module: string; name: string }[];
  try {
    foreign = inspect(module).imports.filter(
      (one) => one.module !== importModule || !links.has(one.name),
    );
  } catch (error) {
    if (!(error instanceof ModuleError)) throw error;
    const place = error.offset === undefined ? undefined : placeOf(places, error.offset);
    return [{ ...nowhere, ...place, message: `no node takes this: ${error.message}` }];
  }
  if (foreign.length > 0) {
    const text = readSource(join(folder, file)) ?? "";
    return foreign.map((one) => ({
      ...(wanted.get(one.name) ?? mention(text, file, one.name) ?? nowhere),
      message: `this needs ${one.module}.${one.name}, which no node has`,
    }));
  }
  const refused = refusal(module);
  if (refused === undefined) return [];
  const place = refused.offset === undefined ? undefined : placeOf(places, refused.offset);
  return [{ ...nowhere, ...place, message: `no node takes this: ${refused.what}` }];
}

/** Where a program first uses what AssemblyScript's library takes from a browser, by the name of the import. */
function mention(text: string, file: string, name: string): Omit<Fault, "message"> | undefined {
  const [word = name] = name === "seed" ? ["Math.random"] : name.split(".").slice(0, 2);
  const lines = text.split("\n");
  const line = lines.findIndex((one) => one.includes(word));
  return line < 0 ? undefined : { file, line: line + 1, column: lines[line]!.indexOf(word) + 1 };
}
