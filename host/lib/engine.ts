// The engines a module can be run in here, behind one interface: the node's own, wasm3, and the V8 of Node.js. The first is
// the truth about fuel, footprint and traps; the other two are second opinions on results.
import { createRequire } from "node:module";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { importModule, imports as contractImports } from "./contract.ts";
import { withWidePages } from "./section.ts";

/** A value of WebAssembly: an i64 is a bigint. */
export type Value = number | bigint;

/** What a module is, as the node's engine sees it. */
export interface Inspection {
  imports: {
    module: string;
    name: string;
    kind: string;
    parameters: string[];
    results: string[];
  }[];
  exports: { name: string; kind: string; parameters: string[]; results: string[] }[];
  /** Bytes of RAM, of which `total` is the region; `depth` in calls, unless there is recursion. */
  footprint: {
    memory: number;
    globals: number;
    tables: number;
    stack: number;
    total: number;
    depth?: number;
  };
  /** Bytes of the branch table. */
  table: number;
}

/** A place in the code of a module, and the instruction there in the text format. */
export interface CodePlace {
  function: number;
  offset: number;
  instruction?: string;
}

/** What an instance is granted beyond its own needs. */
export interface Grants {
  /** Bytes of stack where the depth of calls is not known: 4096 when not given. */
  stack?: number;
  /** Pages its memory may grow to, and entries each of its tables: no growth when not given. */
  pages?: number;
  entries?: number;
}

/** How a call ended. */
export interface Ended {
  /** Results; none after a trap. */
  values: Value[];
  /** Fuel used; only the node's own engine counts it. */
  fuel: number | undefined;
  /** Why it trapped, in the words of the specification; `fuel` when the budget was used up. */
  trap?: string;
  /** The calls that were active then, innermost first. */
  backtrace: CodePlace[];
}

/** What a module's imports do: by the contract's clear names. `undefined` refuses the call, which traps. */
export type Host = (
  name: ImportName,
  values: Value[],
  read: (at: number, length: number) => Uint8Array | undefined,
) => Value | null | undefined;

export type ImportName = keyof typeof contractImports;

/** An instance in one of the engines. */
export interface Instance {
  /** Calls an export with a budget of fuel; `undefined` sets the instance up (its start function). */
  call(name: string | undefined, values: Value[], fuel: number): Ended;
  has(name: string): boolean;
  /** Puts bytes into its memory; `false` where they do not fit. */
  write(at: number, bytes: Uint8Array): boolean;
  /** A copy of bytes of its memory; `undefined` where that does not have them. */
  read(at: number, length: number): Uint8Array | undefined;
  /** Bytes of its memory as it is now; none before it is set up. */
  memorySize(): number;
}

export type EngineName = "wasmote" | "wasm3" | "v8";
export const engineNames: readonly EngineName[] = ["wasmote", "wasm3", "v8"];

/** A module that the engine does not take; the message has the kind and the byte. */
export class ModuleError extends Error {
  override name = "ModuleError";
  /** The byte at which it was found, where it has one. */
  readonly offset: number | undefined;
  constructor(message: string, options: ErrorOptions & { offset?: number } = {}) {
    super(message, options);
    this.offset = options.offset;
  }
}

// ---- the addons ---------------------------------------------------------------------------------------------------------

interface RunFact {
  state: "done" | "fuel" | "host" | "trap";
  values: Value[];
  import?: number;
  trap?: string;
  backtrace: CodePlace[];
}

interface EngineAddon {
  inspect(bytes: Uint8Array, grants?: Grants): Inspection;
  refusal(bytes: Uint8Array): { what: string; offset?: number } | null;
  EngineInstance: new (
    bytes: Uint8Array,
    grants?: Grants,
  ) => {
    call(name: string, values: Value[]): void;
    run(fuel: number): RunFact;
    resume(values: Value[]): void;
    abort(): RunFact;
    cancel(): void;
    fuelUsed(): number;
    read(at: number, length: number): Uint8Array;
    write(at: number, bytes: Uint8Array): void;
    memorySize(): number;
  };
}

interface Wasm3Addon {
  Wasm3Instance: new (
    bytes: Uint8Array,
    imports: {
      module: string;
      name: string;
      parameters: string[];
      results: string[];
      answers: Value[];
    }[],
  ) => {
    answer(index: number, answers: Value[]): void;
    call(name: string, values: Value[]): Value[];
    calls(): { import: string; arguments: Value[] }[];
    read(at: number, length: number): Uint8Array;
    write(at: number, bytes: Uint8Array): void;
    memorySize(): number;
  };
}

const root = fileURLToPath(
  new URL(import.meta.url.includes("/host/lib/") ? "../../" : "../", import.meta.url),
);
const addons = new Map<string, unknown>();

function addon<T>(name: string): T {
  let loaded = addons.get(name);
  if (loaded === undefined) {
    const path = join(root, "dist", name);
    if (!existsSync(path)) throw new Error(`${path} has not been built: npm run build`);
    loaded = createRequire(import.meta.url)(path);
    addons.set(name, loaded);
  }
  return loaded as T;
}

/** Why an engine cannot be had here, or nothing. */
export function missingEngine(name: EngineName): string | undefined {
  if (name === "v8") return undefined;
  const file = name === "wasm3" ? "wasm3.node" : "engine.node";
  return existsSync(join(root, "dist", file)) ? undefined : `dist/${file} has not been built`;
}

/** Validates a module in the node's engine and says what it needs. */
export function inspect(module: Uint8Array, grants: Grants = {}): Inspection {
  try {
    return addon<EngineAddon>("engine.node").inspect(module, grants);
  } catch (error) {
    // The addon's error is a text; that of a refusal says at which byte.
    const { message } = error as Error;
    const offset = / at byte (\d+)/.exec(message)?.[1];
    throw new ModuleError(message, {
      cause: error,
      ...(offset === undefined ? {} : { offset: Number(offset) }),
    });
  }
}

/** Why every node would refuse a module that the engine takes, or nothing: its room to validate, names, imports, exports. */
export function refusal(module: Uint8Array): { what: string; offset?: number } | undefined {
  return addon<EngineAddon>("engine.node").refusal(module) ?? undefined;
}

/** Makes an instance of a module; `host` answers its imports. What is granted counts in the node's own engine alone. */
export function instantiate(
  module: Uint8Array,
  engine: EngineName,
  host: Host,
  grants: Grants = {},
): Instance {
  const facts = inspect(module);
  const make = { wasmote: own, wasm3, v8 }[engine];
  return make(module, facts, host, grants);
}

/** The clear name of an import by its name on the wire. */
function clearName(module: string, link: string): ImportName {
  const found = Object.entries(contractImports).find(([, { link: name }]) => name === link);
  if (module !== importModule || !found)
    throw new ModuleError(`it imports ${module}.${link}, which no node has`);
  return found[0] as ImportName;
}

/** Whether it worked. */
function attempt(work: () => void): boolean {
  try {
    work();
    return true;
  } catch {
    return false;
  }
}

function exported(facts: Inspection): (name: string) => boolean {
  return (name) => facts.exports.some((one) => one.kind === "function" && one.name === name);
}

function own(module: Uint8Array, facts: Inspection, host: Host, grants: Grants): Instance {
  const names = facts.imports.map((one) => clearName(one.module, one.name));
  const instance = new (addon<EngineAddon>("engine.node").EngineInstance)(module, grants);
  const read = (at: number, length: number) => {
    try {
      return instance.read(at >>> 0, length >>> 0);
    } catch {
      return undefined;
    }
  };
  return {
    has: exported(facts),
    write: (at, bytes) => attempt(() => instance.write(at >>> 0, bytes)),
    read,
    memorySize: () => instance.memorySize(),
    call(name, values, fuel) {
      const before = instance.fuelUsed();
      const used = () => instance.fuelUsed() - before;
      if (name !== undefined) instance.call(name, values);
      for (;;) {
        const run = instance.run(Math.max(0, fuel - used()));
        if (run.state === "done") return { values: run.values, fuel: used(), backtrace: [] };
        if (run.state === "trap")
          return { values: [], fuel: used(), trap: run.trap ?? "", backtrace: run.backtrace };
        if (run.state === "fuel") {
          instance.cancel();
          return { values: [], fuel: used(), trap: "fuel", backtrace: run.backtrace };
        }
        const answer = host(names[run.import ?? 0]!, run.values, read);
        if (answer === undefined) {
          const trap = instance.abort();
          return { values: [], fuel: used(), trap: trap.trap ?? "", backtrace: trap.backtrace };
        }
        instance.resume(answer === null ? [] : [answer]);
      }
    },
  };
}

/** wasm3 cannot ask in the middle of a call: what the host would answer is set before, what it was told is passed on after. */
function wasm3(module: Uint8Array, facts: Inspection, host: Host): Instance {
  const names = facts.imports.map((one) => clearName(one.module, one.name));
  const nothing = () => undefined;
  const answers = (name: ImportName): Value[] => {
    const { parameters, result } = contractImports[name];
    if (result === null) return [];
    if (parameters.length === 0) return [host(name, [], nothing) ?? 0];
    const all: Value[] = [];
    for (let index = 0; index < 16; index++) {
      const answer = host(name, [index], nothing);
      if (answer === undefined || answer === null) break;
      all.push(answer);
    }
    return all.length > 0 ? all : [0];
  };
  const { Wasm3Instance } = addon<Wasm3Addon>("wasm3.node");
  const given = facts.imports.map((one, index) => ({ ...one, answers: answers(names[index]!) }));
  const instance = new Wasm3Instance(withWidePages(module), given);
  const read = (at: number, length: number) => {
    try {
      return instance.read(at >>> 0, length >>> 0);
    } catch {
      return undefined;
    }
  };
  const tell = () => {
    for (const call of instance.calls()) {
      const name = clearName(importModule, call.import);
      if (contractImports[name].result === null) host(name, call.arguments, read);
    }
  };
  return {
    has: exported(facts),
    write: (at, bytes) => attempt(() => instance.write(at >>> 0, bytes)),
    read,
    memorySize: () => instance.memorySize(),
    call(name, values) {
      if (name === undefined) {
        tell();
        return { values: [], fuel: undefined, backtrace: [] };
      }
      names.forEach((import_, index) => instance.answer(index, answers(import_)));
      try {
        const results = instance.call(name, values);
        tell();
        return { values: results, fuel: undefined, backtrace: [] };
      } catch (error) {
        tell();
        const trap = (error as Error).message.replace(/^.*\[trap\] /, "");
        return { values: [], fuel: undefined, trap, backtrace: [] };
      }
    },
  };
}

/** The part of JavaScript's interface to WebAssembly that is used here; its types come with those of a browser only. */
interface WebAssemblyPart {
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object, imports: object) => { exports: Record<string, unknown> };
  Memory: new (type: object) => { buffer: ArrayBuffer };
  RuntimeError: new () => Error;
}
const { WebAssembly: wasm } = globalThis as unknown as { WebAssembly: WebAssemblyPart };

function v8(module: Uint8Array, facts: Inspection, host: Host): Instance {
  let memory: { buffer: ArrayBuffer } | undefined;
  const read = (at: number, length: number) => {
    const bytes = new Uint8Array(memory?.buffer ?? new ArrayBuffer(0));
    const [start, end] = [at >>> 0, (at >>> 0) + (length >>> 0)];
    return end <= bytes.length ? bytes.slice(start, end) : undefined;
  };
  class Refused extends Error {}
  const functions: Record<string, (...values: Value[]) => Value | undefined> = {};
  for (const one of facts.imports) {
    const name = clearName(one.module, one.name);
    functions[one.name] = (...values) => {
      const answer = host(name, values, read);
      if (answer === undefined) throw new Refused("host function failed");
      return answer ?? undefined;
    };
  }
  let instance: InstanceType<WebAssemblyPart["Instance"]> | undefined;
  const guarded = (body: () => Value[]): Ended => {
    try {
      return { values: body(), fuel: undefined, backtrace: [] };
    } catch (error) {
      if (error instanceof RangeError && /call stack/.test(error.message))
        return { values: [], fuel: undefined, trap: "call stack exhausted", backtrace: [] };
      if (!(error instanceof wasm.RuntimeError || error instanceof Refused)) throw error;
      return { values: [], fuel: undefined, trap: error.message, backtrace: [] };
    }
  };
  return {
    has: exported(facts),
    write: (at, bytes) =>
      attempt(() => new Uint8Array(memory?.buffer ?? new ArrayBuffer(0)).set(bytes, at >>> 0)),
    read,
    memorySize: () => memory?.buffer.byteLength ?? 0,
    call(name, values) {
      return guarded(() => {
        if (instance === undefined) {
          const compiled = new wasm.Module(Buffer.from(withWidePages(module)));
          instance = new wasm.Instance(compiled, { [importModule]: functions });
          memory = Object.values(instance.exports).find(
            (one): one is NonNullable<typeof memory> => one instanceof wasm.Memory,
          );
        }
        if (name === undefined) return [];
        const result = (
          instance.exports[name] as (...values: Value[]) => Value | Value[] | undefined
        )(...values);
        return result === undefined ? [] : Array.isArray(result) ? result : [result];
      });
    },
  };
}
