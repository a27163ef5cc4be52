// The engines a module can be run in here, behind one interface: the node's own, wasm3, and the V8 of Node.js. The first is
// the truth about fuel, footprint and traps; the other two are second opinions on results.
//
// `@assemblyscript/loader` does not serve here: it wraps an instance of V8's whose memory is exported and whose runtime exports __new and
// __pin, and a module for a node has neither, since each byte of them would lie in its flash.
import { createRequire } from "node:module";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "./root.ts";
import { withWidePages } from "./build/section.ts";
import { importModule, imports } from "./contract.ts";

/** A value of WebAssembly: an i64 is a bigint. */
export type Value = number | bigint;

/** What a module imports: a function with its types, or something else. */
export interface Import {
  module: string;
  name: string;
  kind: string;
  parameters: string[];
  results: string[];
}

/** What a module is, as the node's engine sees it. */
export interface Inspection {
  imports: Import[];
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

/** What boards compile a module to. */
export interface Compiled {
  /** Why there is no code: boards interpret it. */
  refusal?: string;
  code: Uint8Array;
  /** Where the code of each of the module's own functions begins. */
  functions: number[];
  /**
   * What lies from a byte of the code on: code of the instruction at `place` in the module, or where `place` is 0 of none; no place: data.
   */
  marks: { at: number; place?: number }[];
  /** All instructions of the module, in order; `length` in bytes. */
  instructions: { offset: number; length: number; text: string }[];
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
  /** What of it host calls cost (contract.toml). */
  hostFuel?: number;
  /** Why it trapped, in the words of the specification; `fuel` when the budget was used up. */
  trap?: string;
  /** The calls that were active then, innermost first. */
  backtrace: CodePlace[];
}

/**
 * What the functions that a module imports do. They are asked while the module runs, and answer with results;
 * `undefined` refuses the call, which traps. What they throw comes out of the call of the instance, which can be called
 * again, but not by them. They read the memory as it is then; in V8 not yet in a start function.
 */
export type Host = (
  one: Import,
  values: Value[],
  read: (at: number, length: number) => Uint8Array | undefined,
) => Value[] | undefined;

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
  compiled(bytes: Uint8Array, grants?: Grants): Compiled;
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
    imports: Import[],
  ) => {
    start(ask: Ask): void;
    call(name: string, values: Value[], ask: Ask): Value[];
    read(at: number, length: number): Uint8Array;
    write(at: number, bytes: Uint8Array): void;
    memorySize(): number;
  };
}

/** Asks the host for an import by its index; checks what it answers. */
type Ask = (index: number, values: Value[]) => Value[] | undefined;

const addons = new Map<string, unknown>();

function addon<T>(name: string): T {
  let loaded = addons.get(name);
  if (loaded === undefined) {
    const path = join(packageRoot, "dist", name);
    if (!existsSync(path)) throw new Error(`${path} has not been built: npm run build`);
    loaded = createRequire(import.meta.url)(path);
    addons.set(name, loaded);
  }
  return loaded as T;
}

/** Why an engine is not available here, or undefined. */
export function missingEngine(name: EngineName): string | undefined {
  if (name === "v8") return undefined;
  const file = name === "wasm3" ? "wasm3.node" : "engine.node";
  return existsSync(join(packageRoot, "dist", file))
    ? undefined
    : `dist/${file} has not been built`;
}

/** Validates a module in the node's engine and says what it needs. */
export function inspect(module: Uint8Array, grants: Grants = {}): Inspection {
  const engine = addon<EngineAddon>("engine.node");
  return taking(() => engine.inspect(module, grants));
}

/** Compiles a module as boards do, the verifier included; `grants` as for an instance. */
export function compiled(module: Uint8Array, grants: Grants = {}): Compiled {
  const engine = addon<EngineAddon>("engine.node");
  return taking(() => engine.compiled(module, grants));
}

/** Lets an engine take a module; that it does not is a {@link ModuleError}. */
function taking<T>(take: () => T): T {
  try {
    return take();
  } catch (error) {
    // The engine's error is a text; that of a refusal says at which byte.
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

/** Makes an instance of a module; `host` answers its imports. Grants have an effect only in the node's own engine. */
export function instantiate(
  module: Uint8Array,
  engine: EngineName,
  host: Host,
  grants: Grants = {},
): Instance {
  const facts = inspect(module);
  const other = facts.imports.find((one) => one.kind !== "function");
  if (other)
    throw new ModuleError(
      `it imports ${other.module}.${other.name}, a ${other.kind}; the host here has functions only`,
    );
  let asking = false;
  const ask: Ask = (index, values) => {
    const one = facts.imports[index]!;
    asking = true;
    try {
      const answer = host(one, values, (at, length) => made.read(at, length));
      if (answer === undefined || fits(answer, one.results)) return answer;
      const list = (all: unknown[]) => all.map(String).join(", ") || "nothing";
      const given: unknown = answer;
      throw new TypeError(
        `${one.module}.${one.name} gives ${list(one.results)}, and the host answered with ${Array.isArray(given) ? list(given) : String(given)}`,
      );
    } finally {
      asking = false;
    }
  };
  const made = { wasmote: own, wasm3, v8 }[engine](module, facts, ask, grants);
  return {
    ...made,
    call(name, values, fuel) {
      if (!asking) return made.call(name, values, fuel);
      throw new Error("the instance is in the middle of a call: its host cannot call it");
    },
  };
}

/** Whether values are of these types; a reference is a number, -1 null. */
function fits(values: unknown, types: string[]): boolean {
  return (
    Array.isArray(values) &&
    values.length === types.length &&
    types.every((type, index) => typeof values[index] === (type === "i64" ? "bigint" : "number"))
  );
}

/** What comes of it, or nothing where it throws. */
function attempt<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}

function exported(facts: Inspection): (name: string) => boolean {
  return (name) => facts.exports.some((one) => one.kind === "function" && one.name === name);
}

/** The memory of an instance in an addon. */
function memoryOf(instance: {
  read(at: number, length: number): Uint8Array;
  write(at: number, bytes: Uint8Array): void;
}): Pick<Instance, "read" | "write"> {
  return {
    read: (at, length) => attempt(() => instance.read(at >>> 0, length >>> 0)),
    write: (at, bytes) => attempt(() => (instance.write(at >>> 0, bytes), true)) ?? false,
  };
}

/** Fuel of a host call beside the module's own instructions, as the node charges it (contract.toml). */
function callFuel(one: Import | undefined, values: Value[]): number {
  if (one?.module !== importModule) return 0;
  const found = Object.values(imports).find(({ link }) => link === one.name);
  if (!found) return 0;
  const length = Number(values.at(-1) ?? 0) >>> 0;
  return found.fuel + (found.fuelBytes > 0 ? Math.ceil(length / found.fuelBytes) : 0);
}

function own(module: Uint8Array, facts: Inspection, ask: Ask, grants: Grants): Instance {
  const { EngineInstance } = addon<EngineAddon>("engine.node");
  const functions = facts.imports.filter(({ kind }) => kind === "function");
  const instance = taking(() => new EngineInstance(module, grants));
  /** Answers a host call; `false` where it is refused. What is thrown ends the run. */
  const answer = (index: number, values: Value[]) => {
    try {
      const given = ask(index, values);
      if (given) instance.resume(given);
      return given !== undefined;
    } catch (error) {
      instance.cancel();
      throw error;
    }
  };
  return {
    has: exported(facts),
    ...memoryOf(instance),
    memorySize: () => instance.memorySize(),
    call(name, values, fuel) {
      const before = instance.fuelUsed();
      let hostFuel = 0;
      const used = () => instance.fuelUsed() - before + hostFuel;
      const ended = (end: Partial<Ended>): Ended => ({
        values: [],
        backtrace: [],
        fuel: used(),
        hostFuel,
        ...end,
      });
      if (name !== undefined) instance.call(name, values);
      for (;;) {
        const run = instance.run(Math.max(0, fuel - used()));
        if (run.state === "done") return ended({ values: run.values });
        if (run.state === "trap") return ended({ trap: run.trap ?? "", backtrace: run.backtrace });
        if (run.state === "fuel") {
          instance.cancel();
          return ended({ trap: "fuel", backtrace: run.backtrace });
        }
        hostFuel += callFuel(functions[run.import ?? 0], run.values);
        if (used() >= fuel) return ended({ trap: "fuel", backtrace: instance.abort().backtrace });
        if (!answer(run.import ?? 0, run.values)) {
          const { trap = "", backtrace } = instance.abort();
          return ended({ trap, backtrace });
        }
      }
    },
  };
}

/** How a call ended in an engine that neither counts fuel nor says where it trapped. */
function ended(outcome: { values?: Value[]; trap?: string }): Ended {
  return { values: [], fuel: undefined, backtrace: [], ...outcome };
}

const refused = "host function failed";

/** Whether a module used up the stack of this process: in V8, or so that there is none left to ask the host. */
function stackEnded(error: unknown): boolean {
  return error instanceof RangeError && /call stack/.test(error.message);
}

function wasm3(module: Uint8Array, facts: Inspection, ask: Ask): Instance {
  const { Wasm3Instance } = addon<Wasm3Addon>("wasm3.node");
  const instance = taking(() => new Wasm3Instance(withWidePages(module), facts.imports));
  return {
    has: exported(facts),
    ...memoryOf(instance),
    memorySize: () => instance.memorySize(),
    call(name, values) {
      // The very thing that the host threw is to come out, not what becomes of it on its way through wasm3.
      let cause: { thrown: unknown } | { trap: string } | undefined;
      const guarded: Ask = (index, given) => {
        try {
          const answer = ask(index, given);
          if (answer === undefined) cause = { trap: refused };
          return answer;
        } catch (thrown) {
          cause = { thrown };
          return undefined;
        }
      };
      try {
        if (name !== undefined) return ended({ values: instance.call(name, values, guarded) });
        instance.start(guarded);
        return ended({});
      } catch (error) {
        const reason = cause && "thrown" in cause ? cause.thrown : error;
        if (stackEnded(reason)) return ended({ trap: "call stack exhausted" });
        if (cause && "thrown" in cause) throw reason;
        if (cause) return ended(cause);
        const { message } = error as Error;
        // The latter two are segments that do not fit.
        const [, trap] = /(?:\[trap\] |error: (?=data segment|table ))(.*)/.exec(message) ?? [];
        if (trap === undefined) throw new ModuleError(message, { cause: error });
        return ended({ trap });
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

function v8(module: Uint8Array, facts: Inspection, ask: Ask): Instance {
  let memory: { buffer: ArrayBuffer } | undefined;
  const bytes = () => new Uint8Array(memory?.buffer ?? new ArrayBuffer(0));
  class Refused extends Error {}
  const functions = facts.imports.map(({ results }, index) => (...values: Value[]) => {
    const answer = ask(index, values);
    if (answer === undefined) throw new Refused(refused);
    const given = answer.map((one, at) =>
      one === -1 && results[at]?.endsWith("ref") ? null : one,
    );
    return given.length > 1 ? given : given[0];
  });
  // Imports are asked for in their order (WebAssembly JavaScript Interface, "read the imports"); two may have one name.
  let next = 0;
  const byOrder = new Proxy({}, { get: () => functions[next++] });
  const imports = new Proxy({}, { get: () => byOrder });
  let instance: InstanceType<WebAssemblyPart["Instance"]> | undefined;
  const guarded = (body: () => Value[]): Ended => {
    try {
      return ended({ values: body() });
    } catch (error) {
      if (stackEnded(error)) return ended({ trap: "call stack exhausted" });
      if (!(error instanceof wasm.RuntimeError || error instanceof Refused)) throw error;
      return ended({ trap: error.message });
    }
  };
  return {
    has: exported(facts),
    write: (at, piece) => attempt(() => (bytes().set(piece, at >>> 0), true)) ?? false,
    read(at, length) {
      const [start, end] = [at >>> 0, (at >>> 0) + (length >>> 0)];
      return end <= bytes().length ? bytes().slice(start, end) : undefined;
    },
    memorySize: () => bytes().length,
    call(name, values) {
      return guarded(() => {
        if (instance === undefined) {
          const compiled = taking(() => new wasm.Module(Buffer.from(withWidePages(module))));
          instance = new wasm.Instance(compiled, imports);
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
