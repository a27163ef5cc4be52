// What a node says of itself, read with distrust: `/node`, `/app`, `/app/staged` and `/stats` are CBOR maps with names for keys
// (RFC 8949). What is not there, of another type or out of range is a NodeError with the code `protocol`; keys that this program does
// not know are kept. Numbers that are signed, stored or added up come only from here.
import { decode, Tag } from "cbor2";
import { documentKeys } from "./contract.ts";
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
      throw new RangeError(`${shown(value)} is none of ${words.join(", ")}`);
    return value as T;
  };

type Fields = Record<string, Read<unknown>>;
type Values<F extends Fields> = { [K in keyof F]: ReturnType<F[K]> };

/** A map: what must be there, what may be there, and whatever else there is. */
const map =
  <R extends Fields, O extends Fields>(
    required: R,
    optional: O,
  ): Read<Values<R> & Partial<Values<O>>> =>
  (value) => {
    if (!(value instanceof Map)) throw new RangeError(`${shown(value)} is not a map`);
    const result: Record<string, unknown> = {};
    for (const [key, item] of value as Map<unknown, unknown>) {
      const name = typeof key === "string" ? oneLine(key) : shown(key);
      const known = own(required, name) ?? own(optional, name) ?? plain;
      // Defined, not assigned: a key may be called __proto__.
      const read = within(name, () => known(item));
      Object.defineProperty(result, name, { value: read, enumerable: true, configurable: true });
    }
    for (const [name, read] of Object.entries(required))
      if (!Object.hasOwn(result, name)) result[name] = absent(name, read);
    return result as Values<R> & Partial<Values<O>>;
  };

/** The value of what is not there, for those that have one. */
function absent<T>(name: string, read: Read<T>): T {
  try {
    return read(undefined);
  } catch (cause) {
    throw new RangeError(`${name} is missing`, { cause });
  }
}

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

/** Counters that a node may be without. */
const counted: Read<Record<string, number>> = (value) =>
  value === undefined ? {} : counters(value);

const linkMap = map(
  {},
  { lost: counter, damaged: counter, unsent: counter, address: text, origin: text },
);
/** A node's network: what was lost there, and the address it has. */
const link: Read<ReturnType<typeof linkMap>> = (value) =>
  value === undefined ? {} : linkMap(value);

/** `/node`: what a node is and has. */
const info = map(
  {
    class: text,
    contract: uint32,
    limits: counted,
    coap: counted,
    link,
    queues: counted,
  },
  {
    name: text,
    board: text,
    vendor: text,
    firmware: text,
    /** Milliseconds. */
    uptime: counter,
    reset: text,
    clock: text,
    hertz: counter,
    /** What this board could have and has not. */
    missing: list(text),
    /** Whether it takes packages without a known key. */
    development: boolean,
    /** Who is answered: whoever has a context (`secured`), everybody (`open`), or everybody for now (`unclaimed`). */
    security: oneOf("secured", "open", "unclaimed"),
    oscore: counted,
    /** How many keys it trusts, and their identifiers. */
    keys: uint32,
    trusted: list(bytes(8)),
    /** Millimetres from the bed up to the ranger. */
    height: uint32,
    free_slots: uint32,
    erased: list(counter),
    /** Erasures that are left for today to those without a key, and how often one was refused. */
    erasures_left: uint32,
    erasures_refused: counter,
    stack_size: counter,
    stack_free: counter,
  },
);
export type NodeInfo = ReturnType<typeof info>;

const event = map(
  { what: oneOf("trap", "fuel", "reset", "rollback", "damaged"), sequence: uint32 },
  { trap: text, function: uint32, offset: uint32, backtrace: list(uint32) },
);

/** `/app`: the package that runs, and what happened to the one before. */
const app = map(
  {
    state: oneOf("empty", "trial", "confirmed"),
    /** The sequence number of the package before, which a rollback returns to; 0 where there is none. */
    previous: uint32,
    /** The highest sequence number that was ever taken. */
    highest: uint32,
    /** Whether the node returned to this package because the one after it failed. */
    returned: boolean,
  },
  {
    name: text,
    version: text,
    sequence: uint32,
    digest: bytes(32),
    /** Bytes of the module, of its branch table, of RAM. */
    size: uint32,
    table: uint32,
    ram: uint32,
    slot: uint32,
    /** Within which sequence numbers count; 0 where it is not said. */
    era: uint32,
    trial: uint32,
    /** What executes it: bytes of compiled code, or why it is interpreted. */
    tier: oneOf("compiled", "interpreted"),
    code: uint32,
    why: text,
    tick: uint32,
    sensors: list(text),
    outputs: list(text),
    params: list(text),
    states: list(text),
    requests: boolean,
    event,
  },
);
export type AppState = ReturnType<typeof app>;

/** `/app/staged`: empty where nothing is on its way. */
const staged = map({}, { digest: bytes(32), size: uint32, received: uint32 });
export type Staged = ReturnType<typeof staged>;

/** A counter that a node may be without. */
const known: Read<number> = (value) => (value === undefined ? 0 : counter(value));

/** `/stats`: the runs since the package began, fuel in units, times in microseconds, gaps in milliseconds. */
const stats = map(
  {
    runs: known,
    fuel: known,
    fuel_max: known,
    fuel_total: known,
    micros: known,
    micros_max: known,
    gap_max: known,
    traps: known,
    ticks_missed: known,
    samples_dropped: known,
    idle: known,
    /** Faults of sensors, by kind. */
    faults: counted,
    /** The longest each part of the firmware took, in microseconds. */
    longest: counted,
  },
  {},
);
export type Stats = ReturnType<typeof stats>;

const documents = { node: info, app, "app/staged": staged, stats };
type Documents = { [K in keyof typeof documents]: ReturnType<(typeof documents)[K]> };

/** Whether all that is read stands in the contract: what does not is a fault of this file, found when it is compiled. */
type Told<
  Name extends keyof typeof documentKeys,
  T,
> = keyof T extends keyof (typeof documentKeys)[Name] ? true : never;
const told: [
  Told<"node", NodeInfo>,
  Told<"app", AppState>,
  Told<"staged", Staged>,
  Told<"stats", Stats>,
] = [true, true, true, true];
void told;

/** Reads the document of this resource. */
export function readDocument<K extends keyof Documents>(
  path: K,
  payload: Uint8Array,
): Documents[K] {
  const wrong = (what: string, cause?: unknown) =>
    new NodeError("protocol", `/${path}: the answer is not ${what}`, { cause });
  const decoded = decodeCbor(payload);
  if (decoded === undefined) throw wrong("CBOR");
  try {
    return documents[path](decoded.value) as Documents[K];
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
