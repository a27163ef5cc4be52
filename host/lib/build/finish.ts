// The last step of a build: memory, custom section, source map; and what the start of a module takes of the memory.
import { customSection, importModule, imports, limits } from "../contract.ts";
import { instantiate, missingEngine, type Host } from "../engine.ts";
import { runFuel } from "../simulate.ts";
import { readSourceMap, type Place } from "../sourcemap.ts";
import { buildExports, type Compiled, type Start } from "./front-end.ts";
import { functionRanges, type FunctionRange } from "./places.ts";
import {
  codeSection,
  customBody,
  customName,
  encodeFacts,
  exportedGlobal,
  joinSections,
  memoryBody,
  memorySection,
  readMemory,
  sections,
  withFunctionOf,
  withGlobal,
  withoutExports,
} from "./section.ts";

/** What the memory of a module holds, in bytes. */
export interface MemoryReport {
  /** Constants, and what the compiler keeps room for. */
  constants: number;
  /** What the start of the program takes: objects that are made at the top level. */
  start: number;
  /** What is left for handlers. */
  heap: number;
  /** Whether handlers allocate, so that what they leave is collected. */
  collected: boolean;
}

/** 16 KiB pages, as the custom-page-sizes proposal writes them. */
const pageBits = 14;
const page = 2 ** pageBits;
/** Memory of the run that measures: more than any board has. */
const wide = 16 * 2 ** 20;
/** Fuel of it: the module that is measured is not optimised, and takes more than the one that is sent. */
const measureFuel = 16 * runFuel;

/**
 * Runs the start of a module in the node's engine, with more memory than any node has, and sees how much it takes. Without the
 * engine, or where nothing is allocated, only the constants are known.
 */
export function measure(module: Uint8Array, staticBytes: number): Start {
  const top = exportedGlobal(module, buildExports.top);
  if (top === undefined || missingEngine("wasmote") !== undefined)
    return { top: staticBytes, asked: false };
  const probe = withFunctionOf(
    joinSections(
      withGlobal(sections(module), exportedGlobal(module, buildExports.limit), wide).map(
        ({ id, body }) =>
          id === memorySection
            ? { id, body: memoryBody({ minimum: wide / page, maximum: wide / page, pageBits }) }
            : { id, body },
      ),
    ),
    top,
  );
  let asked = false;
  const host: Host = ({ module: from, name, results }) => {
    const known = Object.entries(imports).find(([, { link }]) => link === name);
    if (from !== importModule || !known) return undefined;
    asked ||= results.length > 0;
    return results.map((type) => (type === "i64" ? 0n : type === "i32" ? 0 : Number.NaN));
  };
  try {
    const instance = instantiate(probe, "wasmote", host);
    let { trap, fuel = 0 } = instance.call(undefined, [], measureFuel);
    if (trap === undefined && instance.has("start"))
      ({ trap } = instance.call("start", [], measureFuel - fuel));
    const [bytes] = instance.call(buildExports.top, [], measureFuel).values;
    return { top: Math.max(staticBytes, Number(bytes ?? 0) >>> 0), asked };
  } catch {
    // What the engine does not take is refused, with its place, when the module is finished.
    return { top: staticBytes, asked };
  }
}

/** The module as it is sent, and what is known of it. */
export function finish(
  { module: compiled, map, facts, staticBytes, top, allocates, functions: declared }: Compiled,
  { heap, plain }: { heap: number; plain: boolean },
): {
  module: Uint8Array;
  memory: MemoryReport;
  places: Place[];
  sources: Record<string, string>;
  functions: FunctionRange[];
} {
  const pages = readMemory(compiled) ? Math.max(1, Math.ceil((top + heap) / page)) : 0;
  const limit = exportedGlobal(compiled, buildExports.limit);
  const list = withGlobal(sections(compiled), limit, pages * page).filter(({ id }) => id !== 0);
  const parts = withoutExports(list, Object.values(buildExports)).map(({ id, body }) =>
    id === memorySection
      ? { id, body: memoryBody({ minimum: pages, maximum: pages, pageBits }) }
      : { id, body },
  );
  // The custom section comes last: the places of the code are known before it.
  const bare = joinSections(parts);
  const code = (bytes: Uint8Array) => sections(bytes).find(({ id }) => id === codeSection)?.offset;
  const read = readSourceMap(map, (code(bare) ?? 0) - (code(compiled) ?? 0));
  const exhausted = exhaustedAt(bare, read.places);
  const all = exhausted.length > 0 ? { ...facts, exhausted } : facts;
  const module = plain
    ? bare
    : joinSections([...parts, { id: 0, body: customBody(customSection, encodeFacts(all)) }]);
  const names = sections(compiled).find(({ id, body }) => id === 0 && customName(body) === "name");
  return {
    module,
    memory: {
      constants: staticBytes,
      start: top - staticBytes,
      heap: Math.max(0, pages * page - top),
      collected: allocates,
    },
    ...read,
    functions: functionRanges(module, names?.body, declared),
  };
}

/** Where the runtime ends a run as there is no more memory: its only `unreachable`, in every function that it was put into. */
function exhaustedAt(module: Uint8Array, places: readonly Place[]): number[] {
  const unreachable = 0x00;
  const offsets = places.flatMap(({ file, offset }) =>
    file === "~lib/rt/stub.ts" && module[offset] === unreachable ? [offset] : [],
  );
  // A list of the custom section has no more entries.
  return [...new Set(offsets)].slice(0, limits.names);
}
