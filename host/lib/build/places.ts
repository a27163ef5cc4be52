// From a byte of a module to the user's own source: the place itself, or the nearest in the same function where the byte is of a
// library or of nobody's, as of a loop that is empty.
import type { Fault } from "../fault.ts";
import type { Place } from "../sourcemap.ts";
import { isUsers } from "./front-end.ts";
import { codeSection, importedFunctions, readUnsigned, sections } from "./section.ts";

/** A function of a module: its bytes from `start` to before `end`, and where the user declared it, if it is the user's. */
export interface FunctionRange {
  start: number;
  end: number;
  place?: Omit<Fault, "message">;
}

/** The functions of a module; `names` is the body of its name section before it was taken out. */
export function functionRanges(
  module: Uint8Array,
  names: Uint8Array | undefined,
  declared: ReadonlyMap<string, Omit<Fault, "message">>,
): FunctionRange[] {
  const code = sections(module).find(({ id }) => id === codeSection);
  if (!code) return [];
  const named = names ? functionNames(names) : new Map<number, string>();
  const first = importedFunctions(module);
  const ranges: FunctionRange[] = [];
  let [left, place] = readUnsigned(code.body, 0);
  for (; left > 0; left--) {
    const [size, start] = readUnsigned(code.body, place);
    const known = declared.get(named.get(first + ranges.length) ?? "");
    ranges.push({
      start: code.offset + start,
      end: code.offset + start + size,
      ...(known ? { place: known } : {}),
    });
    place = start + size;
  }
  return ranges;
}

/** Names of functions by their index (WebAssembly 2.0, appendix "Custom Sections", §7.4.1). */
function functionNames(body: Uint8Array): Map<number, string> {
  const result = new Map<number, string>();
  let [, place] = nameAt(body, 0);
  while (place < body.length) {
    const id = body[place];
    const [size, start] = readUnsigned(body, place + 1);
    if (id === 1) {
      let [left, at] = readUnsigned(body, start);
      for (; left > 0; left--) {
        const [index, after] = readUnsigned(body, at);
        const [name, next] = nameAt(body, after);
        result.set(index, name);
        at = next;
      }
    }
    place = start + size;
  }
  return result;
}

function nameAt(body: Uint8Array, at: number): [name: string, after: number] {
  const [size, start] = readUnsigned(body, at);
  return [new TextDecoder().decode(body.subarray(start, start + size)), start + size];
}

/** The user's own place that is nearest to a byte of the module, in the function that the byte is in. */
export function usersPlace(
  places: readonly Place[],
  functions: readonly FunctionRange[],
  offset: number,
): Place | undefined {
  const own = functions.find(({ start, end }) => start <= offset && offset < end);
  if (!own) return undefined;
  const users = places.filter(
    (place) => place.offset >= own.start && place.offset < own.end && isUsers(place.file),
  );
  const nearest = users.findLast((place) => place.offset <= offset) ?? users[0];
  return nearest ?? (own.place && { ...own.place, offset });
}
