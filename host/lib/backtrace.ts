// From a trap on a node to the line of the source: through the source map that was kept when the module was built.
import { join, relative } from "node:path";
import { isUsers } from "./build/front-end.ts";
import { usersPlace } from "./build/places.ts";
import { describe } from "./fault.ts";
import type { Kept } from "./kept.ts";
import { placeOf, type Place } from "./sourcemap.ts";
import { oneLine } from "./text.ts";

/** A place in the source of a module that was built here, as the reader finds it from where he is. */
export interface SourcePlace extends Place {
  /** The line itself. */
  source?: string;
  /** Whether it is in a source of the user's, not in the SDK or the library of the language. */
  own: boolean;
}

function found(module: Kept, place: Place): SourcePlace {
  const source = module.sources[place.file]?.split("\n")[place.line - 1];
  const own = isUsers(place.file);
  const file = own ? relative(process.cwd(), join(module.folder, place.file)) : place.file;
  return { ...place, file, own, ...(source === undefined ? {} : { source }) };
}

/**
 * Where the byte at `offset` of a module comes from: the user's own place that is nearest to it in the same function, or else that of
 * a library.
 */
export function sourcePlace(module: Kept | undefined, offset: number): SourcePlace | undefined {
  const place =
    module &&
    (usersPlace(module.places, module.functions ?? [], offset) ?? placeOf(module.places, offset));
  return place && found(module, place);
}

/** The most lines of callers of a trap. */
const mostCallers = 8;

/**
 * A trap as a compiler shows a fault: place, kind, the line of the source with a mark, and where that was called from. The place is
 * the user's own, of the innermost call that has one; where the library trapped on his behalf, it is named behind.
 */
export function describeTrap(
  trap: string,
  module: Kept | undefined,
  offsets: readonly number[],
): string {
  const message =
    trap === "fuel"
      ? "the run used up its fuel"
      : `trap: ${oneLine(reason(trap, module, offsets))}`;
  const [offset] = offsets;
  const places = offsets.map((one) => sourcePlace(module, one));
  const users = places.flatMap((place) => (place?.own === true ? [place] : []));
  const top = users[0] ?? places.find((place) => place !== undefined);
  if (top === undefined || module === undefined || offset === undefined) {
    const where = offset === undefined ? "" : ` at byte ${offset}`;
    return `${message}${where} of a module that was not built in this folder`;
  }
  const text = top.source === undefined ? undefined : "\n".repeat(top.line - 1) + top.source;
  const exact = placeOf(module.places, offset);
  const within =
    top.own && exact?.file.startsWith("~lib/") ? [`inside ${exact.file}:${exact.line}`] : [];
  const callers = users.slice(1).map(({ file, line, column }) => `${file}:${line}:${column}`);
  const lines = [...within, ...folded(callers)].map((one) => `\n  ${one}`);
  return describe({ ...top, message }, text) + lines.join("");
}

/** What to do about a trap, where that can be said; `heap` is what handlers of the module have now, in bytes. */
export function trapAdvice(trap: string, heap = 16_384): string | undefined {
  const more = Math.ceil((heap + 1) / 16_384) * 16_384;
  const advice: Record<string, string> = {
    fuel: "end the loop, or do a part of the work at each run",
    "out of memory": `keep less, or give handlers more: heap = ${more} in wasmote.toml, or --heap ${more}. What one handler makes has to fit at once; what is in arrays and maps stays`,
    "call stack exhausted":
      "call less deep: a loop needs no stack, and a function that calls itself has 4,096 bytes of it",
  };
  return advice[trap];
}

/** What AssemblyScript's library calls its errors (std/assembly/util/error.ts). */
const libraryErrors: Record<string, string> = {
  E_INDEXOUTOFRANGE: "index out of range",
  E_INVALIDLENGTH: "invalid length",
  E_EMPTYARRAY: "the array is empty",
  E_HOLEYARRAY: "the array has a hole",
  E_NOTIMPLEMENTED: "not implemented",
  E_KEYNOTFOUND: "key does not exist",
  E_ALLOCATION_TOO_LARGE: "allocation too large",
  E_ALREADY_PINNED: "object is pinned",
  E_NOT_PINNED: "object is not pinned",
  E_URI_MALFORMED: "URI malformed",
  E_INVALIDDATE: "invalid date",
  E_UNPAIRED_SURROGATE: "unpaired surrogate",
};

/** Why it trapped, where the place says more than the kind: what the compiler's library ends with is `unreachable`. */
function reason(trap: string, module: Kept | undefined, [offset]: readonly number[]): string {
  const place = module && offset !== undefined ? placeOf(module.places, offset) : undefined;
  if (trap !== "unreachable" || place === undefined) return trap;
  if (place.file === "~lib/rt/stub.ts") return "out of memory";
  const line = module?.sources[place.file]?.split("\n")[place.line - 1] ?? "";
  const rest = line.slice(Math.max(0, place.column - 1));
  if (/\bassert\s*\(/.test(rest) || /^\s*assert\s*\(/.test(line)) return "assertion failed";
  const [, type = "", text, name = ""] =
    /\bthrow\s+new\s+(\w+)\((?:"([^"]*)"|(\w+))?/.exec(line) ?? [];
  return type === "" ? trap : `error thrown: ${text ?? libraryErrors[name] ?? type}`;
}

/** Where a trap was called from: calls that come again and again (recursion) in one line, and a bounded number of lines. */
function folded(callers: readonly string[]): string[] {
  const lines: string[] = [];
  for (let at = 0; at < callers.length && lines.length < mostCallers;) {
    // The shortest cycle that begins here and comes twice in a row.
    const size = [1, 2, 3, 4].find((length) =>
      callers.slice(at, at + length).every((one, index) => one === callers[at + length + index]),
    );
    const cycle = callers.slice(at, at + (size ?? 1));
    let times = 1;
    while (size && cycle.every((one, index) => one === callers[at + times * size + index])) times++;
    const again = times > 1 ? `, ${times} times` : "";
    lines.push(`called from ${cycle.join(", from ")}${again}`);
    at += cycle.length * times;
    if (lines.length === mostCallers && at < callers.length)
      lines.push(`and ${callers.length - at} more calls`);
  }
  return lines;
}
