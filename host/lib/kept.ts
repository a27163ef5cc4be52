// What is kept of what was built and signed here: modules with their sources, by digest, so that a trap is read when another module runs
// already; packages by sequence number; and the last build of each source, since the compiler takes seconds.
//
// A kept module may be signed again, so what is believed of these files is checked: a module against its digest, a build against the
// digests of its inputs and the seal of this computer, a package against its signature.
import { existsSync } from "node:fs";
import { readWhole } from "./files.ts";
import type { KeyPair } from "./package.ts";
import { digestOf, openPackage } from "./package.ts";
import type { MemoryReport } from "./build/finish.ts";
import type { FunctionRange } from "./build/places.ts";
import type { Project } from "./project.ts";
import type { Place } from "./sourcemap.ts";
import { sameText } from "./state.ts";

/** What is kept of a module beside its bytes. */
export interface Kept {
  digest: string;
  /** The folder that the names of its sources begin in. */
  folder: string;
  places: Place[];
  /** The sources as they were, by name. */
  sources: Record<string, string>;
  /** Its functions, with the places of those that are the user's. */
  functions?: FunctionRange[];
  /** What its memory holds. */
  memory?: MemoryReport;
  /** Paths of requests that it names. */
  paths?: string[];
}

/** What a build was made from, and what it made. */
interface Build {
  /** Files with their digests. */
  inputs: Record<string, string>;
  /** Of the module. */
  digest: string;
  /** What else decides what is made: the version of this program, settings. */
  settings: string;
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

const digestText = (bytes: Uint8Array) => hex(digestOf(bytes));

/** What is kept of a module, by its digest. */
export function keptModule({ state }: Project, digest: string): Kept | undefined {
  return sound(state.readJson("modules", `${digest}.json`));
}

/** The bytes of a module that was built here, by its digest. */
export function keptBytes({ state }: Project, digest: string): Uint8Array | undefined {
  const bytes = state.readBytes("modules", `${digest}.wasm`);
  return bytes !== undefined && digestText(bytes) === digest ? new Uint8Array(bytes) : undefined;
}

/** The digests of all modules that were built here. */
export function keptDigests({ state }: Project): string[] {
  return state.list("modules").flatMap((name) => /^([0-9a-f]{64})\.wasm$/.exec(name)?.[1] ?? []);
}

/** What is kept of the module in a package that was made here: a node names the one that trapped by its sequence number. */
export function keptPackage({ state }: Project, sequence: number): Kept | undefined {
  return sound(state.readJson("packages", `${sequence}.json`));
}

/** A file of another form, as an older version of this program or a power cut leaves it, is as if it were not there. */
function sound(kept: unknown): Kept | undefined {
  const { digest, folder, places, sources, functions, memory, paths } = (kept ??
    {}) as Partial<Kept>;
  return typeof digest === "string" &&
    typeof folder === "string" &&
    Array.isArray(places) &&
    typeof sources === "object" &&
    sources !== null
    ? {
        digest,
        folder,
        places,
        sources,
        ...(Array.isArray(functions) ? { functions } : {}),
        ...(typeof memory === "object" && memory !== null ? { memory } : {}),
        ...(Array.isArray(paths) ? { paths } : {}),
      }
    : undefined;
}

/** Keeps a signed package, and which module it has with its sources as they are now. */
export function keepPackage(
  project: Project,
  sequence: number,
  digest: string,
  bytes: Uint8Array,
): void {
  const kept = keptModule(project, digest) ?? {
    digest,
    folder: project.folder,
    places: [],
    sources: {},
  };
  project.state.write(JSON.stringify(kept), ["packages", `${sequence}.json`]);
  project.state.write(bytes, ["packages", `${sequence}.wpkg`]);
}

/** The package that was made here with this number, when it is of this module and for this class, and this key signed it. */
export function packageOf(
  project: Project,
  sequence: number,
  wanted: { digest: string; boardClass: string; era: number; key: KeyPair },
): Uint8Array | undefined {
  const bytes = project.state.readBytes("packages", `${sequence}.wpkg`);
  if (bytes === undefined) return undefined;
  try {
    const opened = openPackage(bytes);
    const { manifest, module } = opened;
    const same =
      manifest.sequence === sequence &&
      manifest.class === wanted.boardClass &&
      (manifest.era ?? 0) === wanted.era &&
      manifest.addKey === undefined &&
      manifest.dropKey === undefined &&
      hex(manifest.digest) === wanted.digest &&
      digestText(module) === wanted.digest &&
      opened.verify(wanted.key.publicKey);
    return same ? new Uint8Array(bytes) : undefined;
  } catch {
    // Half of it was written when the power went.
    return undefined;
  }
}

const buildFile = (file: string) => `${digestText(Buffer.from(file)).slice(0, 16)}.json`;
const sealed = (file: string, build: Build) => JSON.stringify([file, build]);

/** Keeps a module, and what it was made from. */
export function keepBuild(
  { state }: Project,
  file: string,
  settings: string,
  { module, inputs, ...kept }: Kept & { module: Uint8Array; inputs: string[] },
): void {
  state.write(JSON.stringify(kept), ["modules", `${kept.digest}.json`]);
  state.write(module, ["modules", `${kept.digest}.wasm`]);
  const digests = inputs.map((input) => [input, digestText(readWhole(input))] as const);
  const build: Build = { inputs: Object.fromEntries(digests), digest: kept.digest, settings };
  const seal = state.seal(sealed(file, build));
  state.write(JSON.stringify({ ...build, seal }), ["builds", buildFile(file)]);
}

/** The last build of a source with these settings, where nothing that it was made from has changed since. */
export function keptBuild(
  project: Project,
  file: string,
  settings: string,
): (Kept & { module: Uint8Array; inputs: string[] }) | undefined {
  const { state } = project;
  const last = state.readJson<Build & { seal: string }>("builds", buildFile(file));
  if (typeof last !== "object" || last === null || last.settings !== settings) return undefined;
  const { seal, ...build } = last;
  if (typeof seal !== "string" || !sameText(seal, state.seal(sealed(file, build))))
    return undefined;
  const same = Object.entries(build.inputs).every(
    ([input, digest]) => existsSync(input) && digestText(readWhole(input)) === digest,
  );
  const kept = keptModule(project, build.digest);
  const module = keptBytes(project, build.digest);
  if (!same || kept === undefined || module === undefined) return undefined;
  // The same module may come of sources with other lines: its map is of those that were built last.
  const name = file.slice(kept.folder.length).replace(/^[/\\]/, "");
  if (kept.sources[name] !== readWhole(file).toString("utf8")) return undefined;
  return { ...kept, module, inputs: Object.keys(build.inputs) };
}
