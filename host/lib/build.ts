// From a program in AssemblyScript to a module: compile, number the names, fit the memory, keep the source map outside.
import { existsSync, readFileSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import asc from "assemblyscript/asc";
import { customSection } from "./contract.ts";
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
import { readSourceMap, type Place } from "./sourcemap.ts";
import { declarations, type Fault } from "./transform.ts";

export interface BuildOptions {
  /** Further bytes of memory for what handlers allocate; the build counts in what the start of the program takes. */
  heap?: number;
  /** The program's own exports alone, without the SDK's declarations: for the benchmark kernels. */
  plain?: boolean;
}

export interface Built {
  module: Uint8Array;
  facts: Facts;
  /** From byte offsets in the module to places in the source; kept beside the module, never in it. */
  places: Place[];
}

/** A program that cannot be built; the message shows each fault with its line of source. */
export class BuildError extends Error {
  override name = "BuildError";
  readonly faults: Fault[];
  constructor(faults: Fault[], folder: string) {
    super(faults.map((fault) => describe(fault, folder)).join("\n\n"));
    this.faults = faults;
  }
}

/** 16 KiB pages, as the custom-page-sizes proposal writes them. */
const pageBits = 14;
const root = fileURLToPath(
  new URL(import.meta.url.includes("/host/lib/") ? "../../" : "../", import.meta.url),
);

/** Builds the program in `file`. */
export async function build(file: string, options: BuildOptions = {}): Promise<Built> {
  const path = resolve(file);
  const folder = dirname(path);
  const output = new Map<string, Uint8Array | string>();
  const { Hooks, declared } = declarations();
  const faults: Fault[] = [];
  const stub = asc.libraryFiles["rt/stub"];
  asc.libraryFiles["rt/stub"] = readFileSync(join(root, "assembly/runtime.ts"), "utf8");
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
    "--use",
    "abort=",
    "--exportStart",
    "start",
    "--noExportMemory",
    "--memoryBase",
    "16",
    "--disable",
    "bulk-memory",
  ];
  const { error } = await asc
    .main(words, {
      readFile: (name, base) => readSource(resolve(base, name)),
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
      ...(options.plain ? {} : { transforms: [Hooks as never] }),
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
  return finish(compiled, String(map ?? ""), declared.facts, {
    bytes: declared.heapBase + (options.heap ?? 0),
    plain: options.plain ?? false,
  });
}

/** The last step: memory, custom section, source map. */
function finish(
  compiled: Uint8Array,
  map: string,
  facts: Facts,
  { bytes, plain }: { bytes: number; plain: boolean },
): Built {
  const memory = readMemory(compiled);
  const declared = plain && memory ? memory.minimum * 65536 : bytes;
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
  const module = fitted(memory ? Math.max(1, Math.ceil(declared / 2 ** pageBits)) : 0);
  const code = (bytes_: Uint8Array) =>
    sections(bytes_).find(({ id }) => id === codeSection)?.offset ?? 0;
  return { module, facts, places: readSourceMap(map, code(module) - code(compiled)) };
}

/** A source file; what is looked for in a `node_modules/wasmote` is this package's own assembly/. */
function readSource(path: string): string | null {
  const own = /[\\/]node_modules[\\/]wasmote[\\/](.*)$/.exec(path)?.[1];
  const file = own === undefined ? path : join(root, "assembly", own);
  return existsSync(file) ? readFileSync(file, "utf8") : null;
}

/** Where a source of the compiler's lies: this package's own are its library `wasmote`. */
function sourcePath(file: string, folder: string): string {
  return file.startsWith("~lib/wasmote/")
    ? join("/node_modules/wasmote", file.slice("~lib/wasmote/".length))
    : join(folder, file);
}

/** A fault as a compiler shows it: place, message, the line, and a mark under the column. */
export function describe({ message, file, line, column }: Fault, folder: string): string {
  if (line === 0) return `${file}: ${message}`;
  const shown = relative(process.cwd(), join(folder, file));
  const text = readSource(sourcePath(file, folder));
  const source = text?.split("\n")[line - 1];
  const place = `${file.startsWith("~lib/") ? file : shown}:${line}:${column}: ${message}`;
  if (source === undefined) return place;
  return `${place}\n  ${source}\n  ${" ".repeat(Math.max(0, column - 1))}^`;
}
