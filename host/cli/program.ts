// From a source file or a module to what can be sent: shared by the verbs that build, check, run, package and push.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import type { Built } from "../lib/build.ts";
import { readFacts } from "../lib/section.ts";
import type { Place } from "../lib/sourcemap.ts";
import { digestOf } from "../lib/package.ts";
import { exitCode, project, readState, stateFile, VerbError } from "./context.ts";

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
    return { module, facts, places: places(digest) ?? [], name: own, digest };
  }
  const { build } = await import("../lib/build.ts");
  const built = await build(file);
  const digest = hex(digestOf(built.module));
  // By digest, so that the trap of an old module can be read as well.
  writeFileSync(stateFile("maps", `${digest}.json`), JSON.stringify(built.places));
  return { ...built, name: given === undefined && name !== "" ? name : own, digest };
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

function places(digest: string): Place[] | undefined {
  const text = readState("maps", `${digest}.json`);
  return text === undefined ? undefined : (JSON.parse(text) as Place[]);
}

/** A place in the source, `src/main.ts:4:7`, for an offset in a module that was built here. */
export function placeOf(list: readonly Place[], offset: number): Place | undefined {
  return list.findLast((place) => place.offset <= offset);
}

/** Remembers which module a package has, so that its traps can be read when another runs. */
export function rememberPackage(sequence: number, digest: string): void {
  writeFileSync(stateFile("packages", String(sequence)), `${digest}\n`);
}

/** The same for a package that was made here: a node names the one that trapped by its sequence number. */
export function placeByPackage(sequence: number, offset: number): Place | undefined {
  const digest = readState("packages", String(sequence));
  return digest === undefined ? undefined : placeOf(places(digest) ?? [], offset);
}
