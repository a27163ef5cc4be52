// A program as it can be sent: a source, built, or a module as it is.
import { existsSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { readWhole } from "./files.ts";
import packageFile from "../../package.json" with { type: "json" };
import type { Built } from "./build/build.ts";
import { UserError } from "./errors.ts";
import { hex, keepBuild, keptBuild, keptBytes, keptModule, type Kept } from "./kept.ts";
import { digestOf } from "./package.ts";
import type { Project } from "./project.ts";
import { readFacts } from "./build/section.ts";

/** A module that was not built here has no places, and nothing is known of its memory. */
export interface Program
  extends
    Omit<Built, "compiled" | "functions" | "memory" | "paths">,
    Partial<Pick<Built, "functions" | "memory" | "paths">> {
  name: string;
  digest: string;
}

/** Called around a build that takes seconds. */
export type Waiting = <T>(title: string, work: Promise<T>) => Promise<T>;

/** The file that is meant, which is there. */
export function programFile(project: Project, given: string | undefined): string {
  const file = given === undefined ? join(project.folder, project.main) : resolve(given);
  if (!existsSync(file))
    throw new UserError(
      `there is no file ${file}`,
      given === undefined
        ? "name a source, or begin a project with `wasmote new NAME`"
        : "check the name",
    );
  return file;
}

/** Builds a source, or takes a module as it is. Without a name it is the project's main file. */
export async function loadProgram(
  project: Project,
  given: string | undefined,
  waiting: Waiting = (_, work) => work,
): Promise<Program> {
  const file = programFile(project, given);
  const kind = statSync(file);
  if (kind.isDirectory())
    throw new UserError(`${file} is a folder, not a source`, "name a file in it", "source");
  if (!kind.isFile())
    throw new UserError(`${file} is a device or a pipe, not a source`, "name a file", "source");
  // The project's own program bears its name, however it was named on the command line.
  const own = resolve(file) === resolve(project.folder, project.main);
  const name = own && project.name !== "" ? project.name : nameOf(file);
  if (file.endsWith(".wasm")) return loadModule(project, file, name);
  refuseOther(file);
  const settings = `${version} heap ${project.heap ?? "fitted"}`;
  const { module, ...rest } = keptBuild(project, file, settings) ?? (await make());
  const facts = readFacts(module);
  return {
    ...known(rest),
    inputs: rest.inputs,
    name,
    digest: hex(digestOf(module)),
    module,
    facts,
  };

  async function make() {
    const { build } = await import("./build/build.ts");
    const options = project.heap === undefined ? {} : { heap: project.heap };
    const built = await waiting(`building ${basename(file)}`, build(file, options));
    const digest = hex(digestOf(built.module));
    const { module: bytes, inputs, ...about } = built;
    const folder = dirname(file);
    try {
      keepBuild(project, file, settings, {
        ...known(about),
        module: bytes,
        inputs,
        digest,
        folder,
      });
    } catch (error) {
      // Where nothing can be written, as in somebody else's folder or on a full disk, it is built anew each time. Who signs has to keep.
      if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
    }
    return built;
  }
}

const { version } = packageFile;

/** What is kept of a module beside its bytes. */
function known({ places, sources, functions, memory, paths }: Partial<Kept>) {
  return {
    places: places ?? [],
    sources: sources ?? {},
    ...(functions ? { functions } : {}),
    ...(memory ? { memory } : {}),
    ...(paths ? { paths } : {}),
  };
}

/** A file's name as the name of a package. */
function nameOf(file: string): string {
  const name = basename(file).replace(/\.\w+$/, "");
  return name.replaceAll(/[^\w.-]/g, "-").slice(0, 32) || "program";
}

/** A file that cannot be a source is told apart before the compiler makes a hundred faults of it. */
function refuseOther(file: string): void {
  const bytes = readWhole(file);
  const text = !bytes.includes(0) && Buffer.from(bytes.toString("utf8")).equals(bytes);
  if (text && /\.[cm]?ts$/.test(file)) return;
  throw new UserError(
    `${file} is not a source: ${text ? "a source is a file of AssemblyScript, NAME.ts" : "it is not text"}`,
    bytes.subarray(0, 4).equals(Buffer.from("\0asm"))
      ? "it is a module: call it NAME.wasm"
      : "name a source (NAME.ts) or a module (NAME.wasm)",
    "source",
  );
}

function loadModule(project: Project, file: string, name: string): Program {
  const module = new Uint8Array(readWhole(file));
  const digest = hex(digestOf(module));
  const kept = known(keptModule(project, digest) ?? {});
  try {
    const facts = readFacts(module);
    return { ...kept, module, facts, inputs: [file], name, digest };
  } catch (error) {
    throw new UserError(
      `${file} is not a module: ${(error as Error).message}`,
      "build it with `wasmote build`",
      "source",
      { cause: error },
    );
  }
}

/** A module that was built here, by its digest. */
export function keptProgram(project: Project, digest: string): Program | undefined {
  const module = keptBytes(project, digest);
  if (module === undefined) return undefined;
  const name = project.name || digest.slice(0, 8);
  const kept = known(keptModule(project, digest) ?? {});
  return { ...kept, module, facts: readFacts(module), inputs: [], name, digest };
}
