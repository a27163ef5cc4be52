// From a trap on a node to the line of the source: through the source map that was kept when the module was built.
import { join, relative } from "node:path";
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

/** Where the byte at `offset` of a module comes from. */
export function sourcePlace(module: Kept | undefined, offset: number): SourcePlace | undefined {
  const place = module && placeOf(module.places, offset);
  if (!module || !place) return undefined;
  const source = module.sources[place.file]?.split("\n")[place.line - 1];
  const own = !place.file.startsWith("~lib/") && !place.file.endsWith("wasmote-entry.ts");
  const file = own ? relative(process.cwd(), join(module.folder, place.file)) : place.file;
  return { ...place, file, own, ...(source === undefined ? {} : { source }) };
}

/**
 * A trap as a compiler shows a fault: place, kind, the line of the source with a mark, and where that was called from. What the user
 * wrote comes first: where the library trapped on his behalf, it is named behind.
 */
export function describeTrap(
  trap: string,
  module: Kept | undefined,
  offsets: readonly number[],
): string {
  const places = offsets.map((offset) => sourcePlace(module, offset));
  const message = trap === "fuel" ? "the run used up its fuel" : `trap: ${oneLine(trap)}`;
  const first = places.findIndex((place) => place?.own);
  const at = Math.max(first, 0);
  const top = places[at];
  if (top === undefined) {
    const where = offsets[0] === undefined ? "" : ` at byte ${offsets[0]}`;
    return `${message}${where} of a module that was not built in this folder`;
  }
  const text = top.source === undefined ? undefined : "\n".repeat(top.line - 1) + top.source;
  const shown = describe({ ...top, message }, text);
  const inside = places.slice(0, at).findLast((place) => place !== undefined);
  const within = inside === undefined ? "" : `\n  inside ${inside.file}:${inside.line}`;
  return shown + within + callers(places.slice(at + 1)).join("");
}

/** The calls that led there, a repeated one once with how often: recursion has a hundred of them. */
function callers(places: readonly (SourcePlace | undefined)[]): string[] {
  const lines: { text: string; times: number }[] = [];
  for (const place of places) {
    if (place === undefined || !place.own) continue;
    const text = `\n  called from ${place.file}:${place.line}:${place.column}`;
    const last = lines.at(-1);
    if (last?.text === text) last.times++;
    else lines.push({ text, times: 1 });
  }
  return lines.map(({ text, times }) => (times === 1 ? text : `${text} (${times} times)`));
}
