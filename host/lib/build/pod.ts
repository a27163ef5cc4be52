// A filter as a WASI command, for whatever runs those: wasmtime, runwasi's shims, node:wasi. The module stays as it is; an adapter stands where
// the node would.
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import asc from "assemblyscript/asc";
import binaryen from "binaryen";
import packageFile from "../../../package.json" with { type: "json" };
import { UserError } from "../errors.ts";
import { limits, types } from "../contract.ts";
import { inspect } from "../engine.ts";
import { packageRoot } from "../root.ts";
import {
  customBody,
  exportNames,
  joinSections,
  memoryBody,
  memorySection,
  placed,
  readFacts,
  readMemory,
  sections,
  withoutExports,
  withWidePages,
  type Facts,
} from "./section.ts";
import { temporaryFolder } from "../temporary.ts";

/** What modules may use, and several memories until they are one: no more, so that every runtime takes the result. */
const features = [
  "multimemory",
  "bulk-memory",
  "sign-ext",
  "nontrapping-float-to-int",
  "mutable-globals",
  "multivalue",
  "reference-types",
].map((name) => `--enable-${name}`);
const { MutableGlobals, NontrappingFPToInt, BulkMemory, SignExt, ReferenceTypes, Multivalue } =
  binaryen.Features;
const feature =
  MutableGlobals | NontrappingFPToInt | BulkMemory | SignExt | ReferenceTypes | Multivalue;
/** Sensors that the adapter keeps a value of. */
const mostSensors = 64;

/**
 * Joins a module with the adapter. The result reads SenML records from standard input and writes such to standard output; the values are those
 * that a node publishes, to the bit. Throws a UserError where the module wants what a pod has not.
 */
export async function makePod(module: Uint8Array): Promise<Uint8Array> {
  const facts = readFacts(module);
  const adapter = await compileAdapter(facts);
  const known = new Set(exportNames(adapter));
  const strange = inspect(module).imports.find(({ name }) => !known.has(name));
  if (strange !== undefined || facts.sensors.length > mostSensors)
    throw new UserError(
      strange === undefined
        ? `a pod has at most ${mostSensors} sensors`
        : `the module imports ${strange.module}.${strange.name}, which a pod does not have`,
      "run it on a node, or at the gateway",
      "source",
    );
  using scratch = temporaryFolder("pod");
  const folder = scratch.path;
  // The adapter comes first: its memory is the one that WASI sees, at the same addresses after the memories are one.
  const parts = { wasmote: adapter, filter: withHandlers(withWidePages(module)), peek: peek() };
  const words = Object.entries(parts).flatMap(([name, bytes]) => {
    const file = join(folder, `${name}.wasm`);
    writeFileSync(file, bytes);
    return [file, name];
  });
  const merged = join(folder, "merged.wasm");
  tool("wasm-merge", [...words, ...features, "-o", merged]);
  writeFileSync(merged, commandOf(readFileSync(merged), [adapter, parts.filter]));
  const pod = join(folder, "pod.wasm");
  tool("wasm-opt", [
    merged,
    ...features,
    "--multi-memory-lowering",
    "--remove-unused-module-elements",
    "-O2",
    "-o",
    pod,
  ]);
  return withProducer(withMemoryOf(readFileSync(pod), [adapter, parts.filter]));
}

/** Says what made it, in the section that WebAssembly's tools share (tool-conventions, "producers"). */
function withProducer(module: Uint8Array): Uint8Array {
  const text = (word: string) => [word.length, ...Buffer.from(word)];
  const content = [1, ...text("processed-by"), 1, ...text("wasmote"), ...text(packageFile.version)];
  const body = customBody("producers", Uint8Array.from(content));
  return joinSections([...sections(module), { id: 0, body }]);
}

function tool(name: string, words: string[]): void {
  const path = createRequire(import.meta.url).resolve("binaryen");
  execFileSync(process.execPath, [join(dirname(path), "bin", name), ...words], { stdio: "pipe" });
}

/** A function that reads the filter's memory, which is another one than the adapter's. */
function peek(): Uint8Array {
  const text = `(module (import "filter" "filter-memory" (memory 0))
    (func (export "byte") (param i32) (result i32) (i32.load8_u (local.get 0))))`;
  return binaryen.parseText(text).emitBinary();
}

/** The module with each handler that the adapter calls: one that it lacks does nothing. */
function withHandlers(module: Uint8Array): Uint8Array {
  const parsed = binaryen.readBinary(module);
  parsed.setFeatures(feature);
  const has = new Set(exportNames(module));
  const handlers = { start: [], sample: [binaryen.i32, binaryen.f32], tick: [] };
  for (const [name, parameters] of Object.entries(handlers)) {
    if (has.has(name)) continue;
    const made = `pod-${name}`;
    parsed.addFunction(made, binaryen.createType(parameters), binaryen.none, [], parsed.nop());
    parsed.addFunctionExport(made, name);
  }
  // Both have a memory of that name; a filter may have none at all.
  if (readMemory(module) === undefined) parsed.setMemory(0, 0, "filter-memory", []);
  else {
    parsed.removeExport("memory");
    parsed.addMemoryExport("0", "filter-memory");
  }
  return parsed.emitBinary();
}

/** Only what WASI asks of a command is exported: its start and its memory. */
function commandOf(merged: Uint8Array, parts: readonly Uint8Array[]): Uint8Array {
  const others = parts
    .flatMap(exportNames)
    .concat("byte")
    .filter((name) => name !== "_start" && name !== "memory");
  return joinSections(withoutExports(sections(merged), others));
}

/** The module with as much memory as these have together: the pass that makes one of them leaves the size of one. */
function withMemoryOf(module: Uint8Array, parts: readonly Uint8Array[]): Uint8Array {
  const memories = parts.map((part) => readMemory(part)!);
  const minimum = memories.reduce((sum, memory) => sum + memory.minimum, 0);
  // The adapter's never grows.
  const most = memories[1]!.maximum;
  const maximum = most === undefined ? undefined : memories[0]!.minimum + most;
  const body = memoryBody({ minimum, maximum, pageBits: 16 });
  return joinSections(
    sections(module).map((one) => (one.id === memorySection ? { id: one.id, body } : one)),
  );
}

/** The adapter for a module with these facts: it exports the imports that a pod has, by their link names. */
export async function compileAdapter(facts: Facts): Promise<Uint8Array> {
  const folder = join(packageRoot, "assembly/pod");
  const output = new Map<string, Uint8Array | string>();
  const stderr = asc.createMemoryStream();
  const { error } = await asc.main(
    ["adapter.ts", "--outFile", "adapter.wasm", "--runtime", "stub", "-O3z", "--use", "abort="],
    {
      readFile: (name) => {
        if (/(^|\/)facts\.ts$/.test(name)) return factsSource(facts);
        const path = join(folder, name);
        try {
          return readFileSync(path, "utf8");
        } catch {
          return null;
        }
      },
      writeFile: (name, contents) => void output.set(name, contents),
      listFiles: () => null,
      stderr,
    },
  );
  const bytes = output.get("adapter.wasm");
  if (error !== null || !(bytes instanceof Uint8Array))
    throw new Error(`the adapter does not compile: ${stderr.toString()}`, { cause: error });
  return bytes;
}

/** What the adapter knows of the module, as AssemblyScript. Names are lengths and bytes in memory. */
function factsSource({ sensors, outputs, parameters, tick }: Facts): string {
  const bytes = (name: string) => [...Buffer.from(name)];
  const is = (name: string) =>
    [
      `length == ${Buffer.byteLength(name)}`,
      ...bytes(name).map((byte, index) => `load<u8>(name, ${index}) == ${byte}`),
    ].join(" && ");
  const counted = (name: string) =>
    `return memory.data<u8>([${[Buffer.byteLength(name), ...bytes(name)].join(", ")}]) + 1;`;
  /** For each field of each output with a type: its name in full, the letter of its type, and where it lies. */
  const fields = outputs.map(({ name, type = [] }) => {
    if (type === "text") return [{ name, letter: types.text, at: 0 }];
    const { places } = placed(type);
    return type.map((one, index) => ({
      name: one.name === "" ? name : `${name}/${one.name}`,
      letter: types[one.type],
      at: places[index]!,
    }));
  });
  const ofFields = (head: string, line: (field: (typeof fields)[number][number]) => string) => `
export function ${head} {
  switch ((output << 8) | field) {
${fields.flatMap((all, output) => all.map((one, field) => `    case ${(output << 8) | field}: ${line(one)}`)).join("\n")}
  }
  unreachable();
  return 0;
}`;
  const cases = (lines: string[]) =>
    lines.map((line, index) => `    case ${index}: ${line}`).join("\n");
  return `
export const sensors: i32 = ${sensors.length};
export const tick: f64 = ${tick};
export function sensorOf(name: usize, length: i32): i32 {
${sensors.map((name, index) => `  if (${is(name)}) return ${index};`).join("\n")}
  return -1;
}
export function outputName(output: i32): usize {
  switch (output) {
${cases(outputs.map(({ name }) => counted(name)))}
  }
  unreachable();
  return 0;
}
${Object.entries(types)
  .map(([name, letter]) => `export const typeOf_${name}: u32 = ${letter.charCodeAt(0)};`)
  .join("\n")}
export const longestText: i32 = ${limits.output_bytes};
export function fieldCount(output: i32): i32 {
  switch (output) {
${cases(fields.map((all) => `return ${all.length};`))}
  }
  unreachable();
  return 0;
}
${ofFields("fieldName(output: i32, field: i32): usize", ({ name }) => counted(name))}
${ofFields("fieldType(output: i32, field: i32): u32", ({ letter }) => `return ${letter.charCodeAt(0)};`)}
${ofFields("fieldPlace(output: i32, field: i32): i32", ({ at }) => `return ${at};`)}
export function parameterOf(parameter: i32): f32 {
  switch (parameter) {
${cases(parameters.map(({ initial }) => `return ${Number.isInteger(initial) ? initial.toFixed(1) : String(initial)};`))}
  }
  unreachable();
  return 0;
}
`;
}
