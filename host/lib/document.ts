// What a node says of itself, read with distrust: `/node`, `/app`, `/app/staged` and `/stats` are CBOR maps with names for keys
// (RFC 8949). What is not there, of another type or out of range is a NodeError with the code `protocol`; keys that this program does
// not know are kept. Numbers that are signed, stored or added up come only from here.
import { decode, Tag } from "cbor2";
import {
  documents,
  resources,
  type AppDocument,
  type Documents,
  type NodeDocument,
  type StagedDocument,
  type StatsDocument,
} from "./contract.ts";
import { NodeError } from "./errors.ts";
import { oneLine } from "./text.ts";

/** Reads a value of one type; throws a RangeError with what is wrong. */
type Read<T> = (value: unknown) => T;

/** A whole number from 0 to `most`. */
const whole =
  (most: number): Read<number> =>
  (value) => {
    if (typeof value !== "number" || !Number.isInteger(value) || value < 0 || value > most)
      throw new RangeError(`${shown(value)} is not a whole number from 0 to ${most}`);
    return value;
  };
const uint32 = whole(0xffff_ffff);
/** A counter of up to 64 bits; beyond 2^53 to the nearest number that JavaScript has. */
const counter: Read<number> = (value) => {
  const big = typeof value === "bigint" && value >= 0n && value < 1n << 64n;
  return big ? Number(value) : whole(Number.MAX_SAFE_INTEGER)(value);
};
const text: Read<string> = (value) => {
  if (typeof value !== "string") throw new RangeError(`${shown(value)} is not a text`);
  return oneLine(value);
};
const boolean: Read<boolean> = (value) => {
  if (typeof value !== "boolean") throw new RangeError(`${shown(value)} is not true or false`);
  return value;
};
/** Bytes, as hexadecimal text. */
const bytes =
  (length: number): Read<string> =>
  (value) => {
    if (!(value instanceof Uint8Array) || value.length !== length)
      throw new RangeError(`${shown(value)} is not ${length} bytes`);
    return Buffer.from(value).toString("hex");
  };
const list =
  <T>(item: Read<T>): Read<T[]> =>
  (value) => {
    if (!Array.isArray(value)) throw new RangeError(`${shown(value)} is not a list`);
    return value.map(item);
  };
const oneOf =
  <T extends string>(...words: T[]): Read<T> =>
  (value) => {
    if (!words.includes(value as T))
      throw new RangeError(`${shown(value)} is not one of ${words.join(", ")}`);
    return value as T;
  };

/** An entry of a document, as the contract has it. */
interface Field {
  type: string;
  /** Whether a document without it is malformed. */
  always?: true;
  /** What its absence means. */
  absent?: number | object;
  fields?: Fields;
}
type Fields = Readonly<Record<string, Field>>;

/** Reads an entry by its type in the contract. */
function readerOf({ type, fields = {} }: Field): Read<unknown> {
  if (type.startsWith("list of ")) return list(readerOf({ type: type.slice("list of ".length) }));
  if (type.startsWith("one of ")) return oneOf(...type.slice("one of ".length).split(" "));
  if (type.startsWith("bytes ")) return bytes(Number(type.slice("bytes ".length)));
  if (type === "map") return map(fields);
  const reader = { text, bool: boolean, uint32, uint64: counter, counters }[type];
  if (reader === undefined)
    throw new TypeError(`the contract has a type that nobody reads: ${type}`);
  return reader;
}

/** A map with the entries of the contract, and whatever else there is. */
const map =
  (fields: Fields): Read<unknown> =>
  (value) => {
    if (!(value instanceof Map)) throw new RangeError(`${shown(value)} is not a map`);
    const result: Record<string, unknown> = {};
    for (const [key, item] of value as Map<unknown, unknown>) {
      const name = typeof key === "string" ? oneLine(key) : shown(key);
      const field = own(fields, name);
      // Defined, not assigned: a key may be called __proto__.
      const read = within(name, () => (field === undefined ? plain(item) : readerOf(field)(item)));
      Object.defineProperty(result, name, { value: read, enumerable: true, configurable: true });
    }
    for (const [name, { always, absent }] of Object.entries(fields)) {
      if (Object.hasOwn(result, name)) continue;
      if (always) throw new RangeError(`${name} is missing`);
      if (absent !== undefined) result[name] = typeof absent === "number" ? absent : {};
    }
    return result;
  };

const own = (fields: Fields, name: string) =>
  Object.hasOwn(fields, name) ? fields[name] : undefined;

function within<T>(name: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof RangeError)
      throw new RangeError(`${name}: ${error.message}`, { cause: error });
    throw error;
  }
}

function entries<T>(value: unknown, read: Read<T>): Record<string, T> {
  if (!(value instanceof Map)) throw new RangeError(`${shown(value)} is not a map`);
  return Object.fromEntries(
    [...(value as Map<unknown, unknown>)].map(([key, item]) => {
      const name = text(key);
      return [name, within(name, () => read(item))];
    }),
  );
}

/** Counters by name. */
const counters: Read<Record<string, number>> = (value) => entries(value, counter);

export type NodeInfo = NodeDocument;
export type AppState = AppDocument;
export type Staged = StagedDocument;
export type Stats = StatsDocument;

/** Where a document is. */
export function documentPath(name: keyof Documents): string {
  return resources.find((one) => one.name === name)!.path;
}

/** Reads the document of the resource with this name. */
export function readDocument<K extends keyof Documents>(
  name: K,
  payload: Uint8Array,
): Documents[K] {
  const wrong = (what: string, cause?: unknown) =>
    new NodeError("protocol", `/${documentPath(name)}: the answer is not ${what}`, { cause });
  const decoded = decodeCbor(payload);
  if (decoded === undefined) throw wrong("CBOR");
  try {
    return map(documents[name])(decoded.value) as Documents[K];
  } catch (error) {
    if (error instanceof RangeError) throw wrong(`as it should be: ${error.message}`, error);
    throw error;
  }
}

/** Any CBOR, its maps as maps; undefined where it is none. */
export function decodeCbor(payload: Uint8Array): { value: unknown } | undefined {
  try {
    // A Buffer would come out of the CBOR library as something else than bytes.
    const value: unknown = decode(new Uint8Array(payload), {
      preferMap: true,
      ignoreGlobalTags: true,
      maxDepth: 32,
    });
    return { value };
  } catch {
    return undefined;
  }
}

/** Any value of CBOR as JSON has it: bytes as hexadecimal text, what is too large for a number as text, names on one line. */
export function plain(value: unknown): unknown {
  if (value === undefined || value === null || typeof value === "boolean") return value ?? null;
  if (typeof value === "number") return Number.isFinite(value) ? value : String(value);
  if (typeof value === "bigint") return String(value);
  if (typeof value === "string") return oneLine(value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof Map) {
    const result: Record<string, unknown> = {};
    for (const [key, item] of value as Map<unknown, unknown>) {
      const name = typeof key === "string" ? oneLine(key) : shown(key);
      const read = plain(item);
      Object.defineProperty(result, name, { value: read, enumerable: true, configurable: true });
    }
    return result;
  }
  if (value instanceof Tag) return plain(value.contents);
  // A simple value that has no name (RFC 8949 §3.3).
  return "simple value";
}

/** A value in an error message. */
function shown(value: unknown): string {
  const simple = plain(value);
  const words = typeof simple === "string" ? simple : JSON.stringify(simple);
  return words.length > 40 ? `${words.slice(0, 40)}…` : words || "an empty text";
}
