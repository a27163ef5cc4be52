// AssemblyScript, the first language of modules: its compiler, with the SDK's declarations taken out between parser and compiler.
import { basename, dirname, join, resolve } from "node:path";
import { readFileSync } from "node:fs";
import asc from "assemblyscript/asc";
import type * as assemblyscript from "assemblyscript";
import type { Fault } from "../../fault.ts";
import { packageRoot } from "../../root.ts";
import {
  BuildError,
  buildExports,
  isUsers,
  readSource,
  sourceFile,
  sourcePath,
  type Compiled,
  type CompileOptions,
  type FrontEnd,
  type Start,
} from "../front-end.ts";
import type { Declared } from "./declared.ts";
import { nothingDeclared, takeDeclarations } from "./declarations.ts";
import { reachOf, type Reach } from "./reach.ts";
import { stateName, statesFile } from "./states.ts";

export const assemblyScript: FrontEnd = { extensions: [".ts"], compile };

/** How memory is managed: files of assembly/runtime. */
type Runtime = "static" | "collecting";

/** What one run of the compiler gives. */
interface Pass {
  module: Uint8Array;
  map: string;
  declared: Declared;
  staticBytes: number;
  start: Start;
  reach: Reach;
  inputs: string[];
}

/**
 * Compiles with the runtime that never frees, which is a few bytes. Where handlers allocate, and where what the start takes
 * depends on what it reads, it compiles again with the one that collects.
 */
async function compile(path: string, options: CompileOptions): Promise<Compiled> {
  const first = await pass(path, options, "static", false);
  const { reach } = first;
  if (reach.kept.length > 0)
    throw new BuildError(reach.kept.slice(0, 3).map(keptFault), dirname(path));
  const allocates = !options.plain && reach.managed;
  const chosen =
    allocates || first.start.asked ? await pass(path, options, "collecting", allocates) : first;
  const { module, map, declared, staticBytes, inputs, start } = chosen;
  const { facts, wanted, functions } = declared;
  const paths = [...declared.paths];
  return {
    module,
    map,
    facts,
    paths,
    wanted,
    functions,
    staticBytes,
    top: start.top,
    allocates,
    inputs,
  };
}

function keptFault(place: Omit<Fault, "message">): Fault {
  return {
    ...place,
    message:
      "an object of this class is never given back: make it once, at the top level of the program, and not in a handler",
  };
}

async function pass(
  path: string,
  { plain, use, measure }: CompileOptions,
  runtime: Runtime,
  collects: boolean,
): Promise<Pass> {
  const folder = dirname(path);
  const output = new Map<string, Uint8Array | string>();
  const runtimeFile = join(packageRoot, "assembly/runtime", `${runtime}.ts`);
  const inputs = new Set([runtimeFile]);
  const faults: Fault[] = [];
  const found = {
    ...nothingDeclared(),
    staticBytes: 0,
    start: { top: 0, asked: false },
    reach: { managed: false, kept: [] } as Reach,
  };
  class Hooks {
    declare binaryen: unknown;
    afterParse(parser: assemblyscript.Parser) {
      // Only what is mentioned is compiled; the optimiser takes this out again.
      parser.parseFile("__heap_base;", "wasmote-memory.ts", true);
      if (!plain) takeDeclarations(parser, found, collects);
    }
    afterCompile(module: BinaryenModule) {
      found.staticBytes = constant(module, this.binaryen, "~lib/memory/__heap_base");
      for (const [index, state] of found.facts.states.entries()) {
        // The export kept it until here; the optimiser takes it out.
        state.at = constant(module, this.binaryen, `${statesFile}/${stateName}${index}`);
        module.removeExport(`${stateName}${index}`);
      }
      found.start = { top: found.staticBytes, asked: false };
      if (plain) return;
      found.reach = reachOf(module.emitText(), isUsers);
      const [top, limit] = ["~lib/rt/stub/top", "~lib/rt/stub/limit"] as const;
      if (module.getGlobal(limit) !== 0) module.addGlobalExport(limit, buildExports.limit);
      if (module.getGlobal(top) === 0) return;
      // Measured as it is now: that it is exported would keep the optimiser from taking it out.
      module.addGlobalExport(top, buildExports.top);
      found.start = measure(module.emitBinary(), found.staticBytes);
      module.removeExport(buildExports.top);
    }
  }
  const words = [
    basename(path),
    "--baseDir",
    folder,
    "--outFile",
    "module.wasm",
    "--sourceMap",
    // Names of functions: they stay in what is kept beside the module.
    "--debug",
    "--runtime",
    "stub",
    "-O3z",
    "--converge",
    ...["abort=", ...use].flatMap((alias) => ["--use", alias]),
    ...(plain ? ["--noAssert", "--disable", "bulk-memory"] : ["--exportStart", "start"]),
    "--noExportMemory",
    "--memoryBase",
    "16",
  ];
  const { error } = await attempt(runtimeFile, plain === true, words, {
    readFile: (name, base) => {
      // A configuration beside the source (asconfig.json) is no source: it names programs that the compiler would run, and options
      // that change what comes out of what is shown.
      if (!/\.ts$|^package\.json$/.test(basename(name))) return null;
      const text = readSource(resolve(base, name));
      if (text !== null) inputs.add(sourceFile(resolve(base, name)));
      return text;
    },
    writeFile: (name, contents) => void output.set(name, contents),
    listFiles: () => null,
    stderr: asc.createMemoryStream(),
    reportDiagnostic: (message) => {
      // Warnings and hints (categories 0 to 2) do not stop a build.
      if (message.category < 3) return;
      faults.push(faultOf(message, path));
    },
    transforms: [Hooks as never],
  });
  // A fault in a declaration explains what the compiler says of the same place.
  if (found.faults.length > 0) throw new BuildError(found.faults, folder);
  if (faults.length > 0) throw new BuildError(faults, folder);
  const module = output.get("module.wasm");
  if (error || !(module instanceof Uint8Array)) {
    const nowhere = { file: basename(path), line: 0, column: 0 };
    const message = error === null ? "no module came out" : inWords(error);
    throw new BuildError([{ ...nowhere, message }], folder);
  }
  return {
    module,
    map: String(output.get("module.wasm.map") ?? ""),
    declared: found,
    staticBytes: found.staticBytes,
    start: found.start,
    reach: found.reach,
    inputs: [...inputs],
  };
}

/**
 * AssemblyScript's library of numbers, whose texts are those of JavaScript here: 5 and not 5.0, and a single's has the fewest digits
 * that read back, as in a log line: 12.2 and not 12.199999809265137. That of a single comes from assembly/text.ts, which needs no
 * tables of powers of ten (2 KiB).
 */
function withShortNumbers(library: string): string {
  return [
    // What is not reached is not compiled: whether it is a single is known then.
    ["  return dtoa_impl(value, isSingle);", "  if (isSingle) return __single(<f32>value);\n$&"],
    [
      "  return dtoa_buffered_impl(buffer, value, isSingle);",
      "  if (isSingle) return __singleAt(buffer, <f32>value);\n$&",
    ],
    ['return "0.0";', 'return "0";'],
    ["    store<u16>(buffer, CharCode.DOT, 2);", "    return 1;"],
    [
      "dtoa_core(dtoa_buf, value, isSingle) <<",
      "__whole(dtoa_buf, dtoa_core(dtoa_buf, value, isSingle)) <<",
    ],
    [
      "return dtoa_core(buffer, value, isSingle);",
      "return __whole(buffer, dtoa_core(buffer, value, isSingle));",
    ],
  ].reduce((text, [line = "", instead = ""]) => {
    if (!text.includes(line)) throw new Error(`AssemblyScript's util/number has changed: ${line}`);
    return text.replace(line, instead);
  }, library);
}

/** The compiler that works now: the file of the runtime is the same for all of this process, and so one works at a time. */
let busy: Promise<unknown> = Promise.resolve();

/** What the compiler says, or throws because a program is nested so deeply that its own stack does not do. */
async function attempt(...words: Parameters<typeof alone>): Promise<{ error: Error | null }> {
  try {
    return await alone(...words);
  } catch (error) {
    if (!(error instanceof Error && isTooDeep(error))) throw error;
    return { error };
  }
}

const isTooDeep = (error: Error) =>
  error instanceof RangeError && error.message.includes("call stack");

const inWords = (error: Error) =>
  isTooDeep(error)
    ? "this is nested too deeply for the compiler: take the longest expression apart, and give its parts names"
    : error.message;

function alone(
  runtimeFile: string,
  plain: boolean,
  words: string[],
  options: Parameters<typeof asc.main>[1],
): ReturnType<typeof asc.main> {
  const ran = busy.then(async () => {
    const { "rt/stub": stub = "", "util/number": numbers = "" } = asc.libraryFiles;
    asc.libraryFiles["rt/stub"] = readFileSync(runtimeFile, "utf8");
    if (!plain) asc.libraryFiles["util/number"] = withShortNumbers(numbers);
    try {
      return await asc.main(words, options);
    } finally {
      asc.libraryFiles["rt/stub"] = stub;
      asc.libraryFiles["util/number"] = numbers;
    }
  });
  busy = ran.catch(() => {});
  return ran;
}

interface Diagnostic {
  message: string;
  range: { start: number; source: { normalizedPath: string } | null } | null;
}

function faultOf({ message, range }: Diagnostic, path: string): Fault {
  const name = range?.source?.normalizedPath ?? basename(path);
  const text = readSource(sourcePath(name, dirname(path))) ?? "";
  const before = text.slice(0, range?.start ?? 0).split("\n");
  return {
    message: explained(message, text.slice(range?.start ?? 0)),
    file: name,
    line: range ? before.length : 0,
    column: (before.at(-1)?.length ?? 0) + 1,
  };
}

/** A message of the compiler, with what those have to write who know TypeScript only; `there` is the program from its place on. */
function explained(message: string, there: string): string {
  const cast = /^Conversion from type '\w+' to '(\w+)' requires an explicit cast\.$/.exec(message);
  if (cast === null) return message.replace("'~lib/wasmote'", "'wasmote'");
  const [, type = ""] = cast;
  const advice =
    type === "f32" && there.startsWith("Math.")
      ? "Math is of f64, Mathf of f32"
      : `write <${type}>(…) where that is meant`;
  return `${message.slice(0, -1)}: ${advice}.`;
}

/** The part of binaryen's module that is used here. */
interface BinaryenModule {
  getGlobal(name: string): number;
  addGlobalExport(internal: string, external: string): unknown;
  removeExport(external: string): void;
  emitBinary(): Uint8Array;
  emitText(): string;
}

/** The value of a constant that the compiler holds as a global; 0 where there is none. */
function constant(module: BinaryenModule, binaryen: unknown, name: string): number {
  const { getGlobalInfo, getExpressionInfo } = binaryen as {
    getGlobalInfo: (this: void, global: number) => { init: number };
    getExpressionInfo: (this: void, expression: number) => { value: number };
  };
  const global = module.getGlobal(name);
  return global === 0 ? 0 : getExpressionInfo(getGlobalInfo(global).init).value;
}
