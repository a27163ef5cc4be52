// From a program in AssemblyScript to a module: compile, number the names, fit the memory, keep the source map outside.
import { existsSync, readFileSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import asc from "assemblyscript/asc";
import { packageRoot } from "../root.ts";
import { customSection, importModule, imports as contractImports } from "../contract.ts";
import { inspect, missingEngine, ModuleError, refusal } from "../engine.ts";
import { describe, type Fault } from "../fault.ts";
import {
  codeSection,
  customBody,
  encodeFacts,
  joinSections,
  memoryBody,
  memorySection,
  readMemory,
  sections,
  type Facts,
} from "./section.ts";
import { placeOf, readSourceMap, type Place } from "../sourcemap.ts";
import { declarations, type Declared } from "./declarations.ts";

export interface BuildOptions {
  /** Further bytes of memory for what handlers allocate; the build counts in what the start of the program takes. */
  heap?: number;
  /** The program's own exports alone, without the SDK's declarations: for the benchmark kernels. */
  plain?: boolean;
  /** Global names and what they stand for, as asc's `--use` takes them: `Real=f32`. */
  use?: string[];
}

export interface Built {
  module: Uint8Array;
  /** What the compiler emitted, before the last step. */
  compiled: Uint8Array;
  facts: Facts;
  /** From byte offsets in the module to places in the source; kept beside the module, never in it. */
  places: Place[];
  /** The sources as they were, by the names in `places`. */
  sources: Record<string, string>;
  /** The files it was made from: it is made anew when one of them changes. */
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

/** 16 KiB pages, as the custom-page-sizes proposal writes them. */
const pageBits = 14;

/** Builds the program in `file`. */
export async function build(file: string, options: BuildOptions = {}): Promise<Built> {
  const path = resolve(file);
  const folder = dirname(path);
  const output = new Map<string, Uint8Array | string>();
  const { Hooks, declared } = declarations(options.plain ?? false);
  const faults: Fault[] = [];
  const inputs = new Set([join(packageRoot, "assembly/runtime.ts")]);
  const stub = asc.libraryFiles["rt/stub"];
  asc.libraryFiles["rt/stub"] = readFileSync(join(packageRoot, "assembly/runtime.ts"), "utf8");
  const words = [
    basename(path),
    "--baseDir",
    folder,
    "--outFile",
    "module.wasm",
    "--sourceMap",
    "--runtime",
    "stub",
    "-O3z",
    "--converge",
    "--noAssert",
    ...["abort=", ...(options.use ?? [])].flatMap((alias) => ["--use", alias]),
    ...(options.plain ? [] : ["--exportStart", "start"]),
    "--noExportMemory",
    "--memoryBase",
    "16",
    "--disable",
    "bulk-memory",
  ];
  const { error } = await asc
    .main(words, {
      readFile: (name, base) => {
        const text = readSource(resolve(base, name));
        if (text !== null) inputs.add(sourceFile(resolve(base, name)));
        return text;
      },
      writeFile: (name, contents) => void output.set(name, contents),
      listFiles: () => null,
      stderr: asc.createMemoryStream(),
      reportDiagnostic: (message) => {
        const { range } = message;
        // Warnings and hints (categories 0 to 2) do not stop a build.
        if (message.category < 3) return;
        const name = range?.source?.normalizedPath ?? basename(path);
        const text = readSource(sourcePath(name, folder)) ?? "";
        const before = text.slice(0, range?.start ?? 0).split("\n");
        faults.push({
          message: message.message,
          file: name,
          line: range ? before.length : 0,
          column: (before.at(-1)?.length ?? 0) + 1,
        });
      },
      transforms: [Hooks as never],
    })
    .finally(() => {
      asc.libraryFiles["rt/stub"] = stub ?? "";
    });
  // A fault in a declaration explains what the compiler says of the same place.
  if (declared.faults.length > 0) throw new BuildError(declared.faults, folder);
  if (faults.length > 0) throw new BuildError(faults, folder);
  const compiled = output.get("module.wasm");
  if (error || !(compiled instanceof Uint8Array)) {
    throw new BuildError(
      [
        {
          message: error?.message ?? "no module came out",
          file: basename(path),
          line: 0,
          column: 0,
        },
      ],
      folder,
    );
  }
  const map = output.get("module.wasm.map");
  const plain = options.plain ?? false;
  const heap = { bytes: declared.heapBase + (options.heap ?? 0), plain };
  const finished = finish(compiled, String(map ?? ""), declared.facts, heap);
  const built = { ...finished, inputs: [...inputs] };
  const refused = plain ? [] : nodeFaults(built, declared, { file: basename(path), folder });
  if (refused.length > 0) throw new BuildError(refused, folder);
  return built;
}

/** What every node would refuse of a module, each with the place in the source that it comes from. */
function nodeFaults(
  { module, places }: Built,
  { wanted }: Declared,
  { file, folder }: { file: string; folder: string },
): Fault[] {
  // Without the engine nothing can be said; whoever runs or sends the module is told of it then.
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

/** The last step: memory, custom section, source map. */
function finish(
  compiled: Uint8Array,
  map: string,
  facts: Facts,
  { bytes, plain }: { bytes: number; plain: boolean },
): Omit<Built, "inputs"> {
  const memory = readMemory(compiled);
  const fitted = (pages: number) =>
    joinSections([
      ...sections(compiled)
        .filter(({ id }) => id !== 0)
        .map(({ id, body }) =>
          id === memorySection
            ? { id, body: memoryBody({ minimum: pages, maximum: pages, pageBits }) }
            : { id, body },
        ),
      ...(plain ? [] : [{ id: 0, body: customBody(customSection, encodeFacts(facts)) }]),
    ]);
  const module = fitted(memory ? Math.max(1, Math.ceil(bytes / 2 ** pageBits)) : 0);
  const code = (bytes_: Uint8Array) =>
    sections(bytes_).find(({ id }) => id === codeSection)?.offset ?? 0;
  return { module, compiled, facts, ...readSourceMap(map, code(module) - code(compiled)) };
}

/** A source file; what is looked for in a `node_modules/wasmote` is this package, wherever the project is. */
function readSource(path: string): string | null {
  const file = sourceFile(path);
  return existsSync(file) ? readFileSync(file, "utf8") : null;
}

function sourceFile(path: string): string {
  const own = /[\\/]node_modules[\\/]wasmote[\\/](.*)$/.exec(path)?.[1];
  return own === undefined ? path : join(packageRoot, own);
}

/** Where a source of the compiler's lies: this package's own are its library `wasmote`. */
function sourcePath(file: string, folder: string): string {
  return file.startsWith("~lib/wasmote/")
    ? join("/node_modules/wasmote", file.slice("~lib/wasmote/".length))
    : join(folder, file);
}
