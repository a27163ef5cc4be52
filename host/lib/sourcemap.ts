// Source maps of WebAssembly (ECMA-426: the "column" of the generated file is a byte offset in the module): read into a
// list, looked up by offset.

/** From this byte of the module on, the code comes from this place (lines and columns from 1). */
export interface Place {
  offset: number;
  file: string;
  line: number;
  column: number;
}

/** A source map: places by offset, and the sources themselves by name. */
export interface SourceMap {
  places: Place[];
  sources: Record<string, string>;
}

/** Reads the map; `shift` is how far the code moved after the map was made. */
export function readSourceMap(json: string, shift = 0): SourceMap {
  if (json === "") return { places: [], sources: {} };
  const { sources, sourcesContent, mappings } = JSON.parse(json) as {
    sources: string[];
    sourcesContent?: (string | null)[];
    mappings: string;
  };
  const places: Place[] = [];
  let [offset, source, line, column] = [0, 0, 0, 0];
  for (const segment of mappings.split(",")) {
    const [a, b, c, d] = readNumbers(segment);
    offset += a ?? 0;
    if (b === undefined) continue;
    source += b;
    line += c ?? 0;
    column += d ?? 0;
    const file = sources[source] ?? "";
    places.push({ offset: offset + shift, file, line: line + 1, column: column + 1 });
  }
  // What the build step wrote itself is nobody's source.
  const texts = sources.map((name, index) => [name, sourcesContent?.[index] ?? ""] as const);
  return { places, sources: Object.fromEntries(texts.filter(([, text]) => text !== "")) };
}

/** Where the byte at `offset` of the module comes from. */
export function placeOf(places: readonly Place[], offset: number): Place | undefined {
  return places.findLast((place) => place.offset <= offset);
}

const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** Base-64 variable-length quantities: five bits a digit, the lowest first, the sign in the lowest bit. */
function readNumbers(segment: string): number[] {
  const numbers: number[] = [];
  let [value, shift] = [0, 0];
  for (const character of segment) {
    const digit = digits.indexOf(character);
    value |= (digit & 31) << shift;
    shift += 5;
    if (digit & 32) continue;
    numbers.push(value & 1 ? -(value >>> 1) : value >>> 1);
    [value, shift] = [0, 0];
  }
  return numbers;
}
