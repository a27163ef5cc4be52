// From a source file or a module to what can be sent, and from a trap back to its line: shared by the verbs that do either.
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { Built } from "../lib/build/build.ts";
import { describe } from "../lib/fault.ts";
import { digestOf } from "../lib/package.ts";
import { readFacts } from "../lib/build/section.ts";
import { placeOf, type Place } from "../lib/sourcemap.ts";
import packageFile from "../../package.json" with { type: "json" };
import { exitCode, project, readState, stateFile, VerbError, waiting } from "./context.ts";

const { version } = packageFile;

/** What is kept of a module that was built here: with it, its traps can be read when another one runs. */
export interface Kept {
  digest: string;
  /** The folder that the names of its sources begin in. */
  folder: string;
  places: Place[];
  /** The sources as they were, by name. */
  sources: Record<string, string>;
}

export interface Program extends Omit<Built, "compiled"> {
  name: string;
  digest: string;
}

/** Builds a source, or takes a module as it is. Without a name it is the project's main file. */
export async function load(given: string | undefined): Promise<Program> {
  const { folder, main, name } = project();
  const file = given === undefined ? join(folder, main) : resolve(given);
  if (!existsSync(file)) {
    throw new VerbError(
      `there is no file ${file}`,
      given === undefined
        ? "name a source, or begin a project with `wasmote new NAME`"
        : "check the name",
    );
  }
  const own = basename(file).replace(/\.\w+$/, "");
  if (file.endsWith(".wasm")) {
    const module = new Uint8Array(readFileSync(file));
    const digest = hex(digestOf(module));
    let facts;
    try {
      facts = readFacts(module);
    } catch (error) {
      throw new VerbError(
        `${file} is no module: ${(error as Error).message}`,
        "build it with `wasmote build`",
        exitCode.source,
      );
    }
    const { places = [], sources = {} } = keptModule(digest) ?? {};
    return { module, facts, places, sources, inputs: [file], name: own, digest };
  }
  const { module, facts, ...rest } = remembered(file) ?? (await make(file));
  const program = { module, facts, ...rest, digest: hex(digestOf(module)) };
  return { ...program, name: given === undefined && name !== "" ? name : own };
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

/** What a build was made from, and what it made: files with their digests, and the digest of the module. */
interface Remembered {
  inputs: Record<string, string>;
  digest: string;
  version: string;
}

const buildFile = (file: string) => `${hex(digestOf(Buffer.from(file))).slice(0, 16)}.json`;

async function make(file: string): Promise<Omit<Built, "compiled">> {
  const { build } = await import("../lib/build/build.ts");
  const built = await waiting(`building ${basename(file)}`, build(file));
  const { module, places, sources, inputs } = built;
  const digest = hex(digestOf(module));
  const keep: Kept = { digest, folder: dirname(file), places, sources };
  writeFileSync(stateFile("modules", `${digest}.json`), JSON.stringify(keep));
  writeFileSync(stateFile("modules", `${digest}.wasm`), module);
  const digests = inputs.map((input) => [input, hex(digestOf(readFileSync(input)))] as const);
  const remember: Remembered = { inputs: Object.fromEntries(digests), digest, version };
  writeFileSync(stateFile("builds", buildFile(file)), JSON.stringify(remember));
  return built;
}

/** The last build of a source, where nothing that it was made from has changed since: the compiler takes seconds. */
function remembered(file: string): Omit<Built, "compiled"> | undefined {
  const last = readJson<Remembered>("builds", buildFile(file));
  if (last === undefined || last.version !== version) return undefined;
  const same = Object.entries(last.inputs).every(
    ([input, digest]) => existsSync(input) && hex(digestOf(readFileSync(input))) === digest,
  );
  const keep = keptModule(last.digest);
  const path = join(project().folder, ".wasmote/modules", `${last.digest}.wasm`);
  if (!same || keep === undefined || !existsSync(path)) return undefined;
  const module = new Uint8Array(readFileSync(path));
  // The same module may come of sources with other lines: its map is of those that were built last.
  const text = keep.sources[basename(file)];
  if (hex(digestOf(module)) !== last.digest || text !== readFileSync(file, "utf8"))
    return undefined;
  const { places, sources } = keep;
  return { module, facts: readFacts(module), places, sources, inputs: Object.keys(last.inputs) };
}

function readJson<T>(...names: string[]): T | undefined {
  const text = readState(...names);
  try {
    return text === undefined ? undefined : (JSON.parse(text) as T);
  } catch {
    // Written by halves when the power went: as if it were not there.
    return undefined;
  }
}

/** What is kept of a module, by its digest. */
export function keptModule(digest: string): Kept | undefined {
  return readJson<Kept>("modules", `${digest}.json`);
}

/** What is kept of the module in a package that was made here: a node names the one that trapped by its sequence number. */
export function keptPackage(sequence: number): Kept | undefined {
  return readJson<Kept>("packages", `${sequence}.json`);
}

/** Remembers which module a package has, and its sources as they are now. */
export function rememberPackage(sequence: number, digest: string): void {
  const keep = keptModule(digest) ?? { digest, folder: process.cwd(), places: [], sources: {} };
  writeFileSync(stateFile("packages", `${sequence}.json`), JSON.stringify(keep));
}

/** A place in the source of a module that was built here, as the reader finds it from where he is. */
export interface SourcePlace extends Place {
  /** The line itself. */
  source?: string;
}

export function sourcePlace(module: Kept | undefined, offset: number): SourcePlace | undefined {
  const place = module && placeOf(module.places, offset);
  if (!module || !place) return undefined;
  const source = module.sources[place.file]?.split("\n")[place.line - 1];
  const file = place.file.startsWith("~lib/")
    ? place.file
    : relative(process.cwd(), join(module.folder, place.file));
  return { ...place, file, ...(source === undefined ? {} : { source }) };
}

/** A trap as a compiler shows a fault: place, kind, the line of the source with a mark, and where that was called from. */
export function describeTrap(
  trap: string,
  module: Kept | undefined,
  offsets: readonly number[],
): string {
  const [top, ...callers] = offsets.map((offset) => sourcePlace(module, offset));
  const message = trap === "fuel" ? "the run used up its fuel" : `trap: ${trap}`;
  if (top === undefined) {
    const at = offsets[0] === undefined ? "" : ` at byte ${offsets[0]}`;
    return `${message}${at} of a module that was not built in this folder`;
  }
  const text = top.source === undefined ? undefined : "\n".repeat(top.line - 1) + top.source;
  const shown = describe({ ...top, message }, text);
  const rest = callers.flatMap((place) =>
    place && !place.file.startsWith("~lib/") && !place.file.endsWith("wasmote-entry.ts")
      ? [`\n  called from ${place.file}:${place.line}:${place.column}`]
      : [],
  );
  return shown + rest.join("");
}

/** Lets `import … from "wasmote"` find this package in a project, for its tests and for editors, installed or not. */
export function linkPackage(folder: string): void {
  const link = join(folder, "node_modules/wasmote");
  if (existsSync(link)) return;
  const root = fileURLToPath(
    new URL(import.meta.url.includes("/host/cli/") ? "../../" : "../", import.meta.url),
  );
  mkdirSync(dirname(link), { recursive: true });
  symlinkSync(root, link, "junction");
}
