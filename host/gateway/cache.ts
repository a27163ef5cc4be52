// The cache of responses (RFC 7252 §5.6): what is fresh answers by itself, what is stale is asked about with its ETag, what was written
// is asked for anew. Bounded in bytes; the entry used longest ago goes first.
import type { Option, Response } from "../lib/coap/endpoint.ts";
import { steady } from "./steady.ts";

export interface Entry {
  response: Response;
  /** When the response came in, by the steady clock. */
  at: number;
  /** Seconds it is fresh from then on (RFC 7252 §5.10.5: 60 where nothing is said). */
  maxAge: number;
  etag: Buffer | undefined;
  /** Marked by a change through this gateway. */
  stale: boolean;
}

/** What the cache needs to know of a request. */
export interface Key {
  /** Where it goes: the node's name, or host and port. */
  authority: string;
  method: string;
  options: readonly Option[];
  payload?: Uint8Array | undefined;
  /** What it is kept by, once somebody asked: one request is looked up several times. A changed copy of a key has none. */
  names?: Names;
}

interface Names {
  /** Everything that an answer depends on (RFC 7252 §5.6). */
  whole: string;
  /** The resource: what a change of it makes stale. */
  path: string;
}

/** An entry in the list of those of the same resource. */
interface Listed extends Entry {
  bytes: number;
  whole: string;
  path: string;
  before: Listed | undefined;
  after: Listed | undefined;
}

/** What an entry takes besides its bytes, as it was measured: objects, options, its places in two tables. */
const bytesOfEntry = 2_048;
/** Option numbers by the codec's names; those it has no name for are numbers already. */
const noCacheKey = new Set(["Size1", "Size2", "ETag", "Block1", "Block2", "Observe", "Hop-Limit"]);
const kept = new Set([
  "2.05",
  "4.00",
  "4.01",
  "4.02",
  "4.03",
  "4.04",
  "4.05",
  "4.06",
  "4.12",
  "4.13",
  "4.15",
  "5.00",
  "5.01",
  "5.02",
  "5.04",
]);

export class Cache {
  readonly #limit: number;
  readonly #entries = new Map<string, Listed>();
  /** The newest entry of each resource, at the head of a list of them all. */
  readonly #byPath = new Map<string, Listed>();
  #bytes = 0;
  hits = 0;
  misses = 0;
  validated = 0;

  constructor(limit = 32 << 20) {
    this.#limit = limit;
  }

  /** A fresh response, or a stale one to be validated. */
  find(key: Key, now = steady()): { entry: Entry; fresh: boolean } | undefined {
    const name = namesOf(key).whole;
    const entry = this.#entries.get(name);
    if (entry === undefined) return undefined;
    // Used just now: to the end.
    this.#entries.delete(name);
    this.#entries.set(name, entry);
    const age = (now - entry.at) / 1000;
    return { entry, fresh: !entry.stale && age < entry.maxAge };
  }

  /** Keeps a response, where it may be kept. */
  keep(key: Key, response: Response, now = steady()): Entry | undefined {
    const maxAge = maxAgeOf(response);
    const { whole, path } = namesOf(key);
    this.#drop(whole);
    if (!kept.has(response.status) || maxAge === 0) return undefined;
    if (response.payload.length > this.#limit / 8) return undefined;
    const head = this.#byPath.get(path);
    // The names are somebody else's to choose, as the payload is.
    const own = response.options.reduce((sum, { value }) => sum + value.length, 0);
    const bytes = bytesOfEntry + response.payload.length + own + whole.length + path.length;
    const entry: Listed = {
      response,
      at: now,
      maxAge,
      etag: optionOf(response, "ETag"),
      stale: false,
      whole,
      path,
      bytes,
      before: undefined,
      after: head,
    };
    if (head !== undefined) head.before = entry;
    this.#entries.set(whole, entry);
    this.#byPath.set(path, entry);
    this.#bytes += bytes;
    if (this.#bytes > this.#limit)
      for (const name of this.#entries.keys()) {
        if (this.#bytes <= this.#limit) break;
        this.#drop(name);
      }
    return entry;
  }

  /** 2.03: what is kept is as good as new (RFC 7252 §5.6.2). */
  refresh(key: Key, response: Response, now = steady()): Entry | undefined {
    const entry = this.#entries.get(namesOf(key).whole);
    const etag = optionOf(response, "ETag");
    if (entry === undefined || (etag !== undefined && entry.etag?.equals(etag) !== true))
      return undefined;
    this.validated++;
    entry.at = now;
    entry.maxAge = maxAgeOf(response);
    entry.stale = false;
    return entry;
  }

  /** A change went through: what is kept of the resource is stale (RFC 7252 §5.6, §5.8). */
  invalidate(key: Key): void {
    let entry = this.#byPath.get(namesOf(key).path);
    for (; entry !== undefined; entry = entry.after) entry.stale = true;
  }

  /** A node is another one now, as after a new package: whatever is kept of it is stale. */
  invalidateAll(authority: string): void {
    for (const [name, entry] of this.#entries)
      if (name.startsWith(placeOf(authority))) entry.stale = true;
  }

  /**
   * A notification is the newest representation there is (RFC 7641 §3.4): it answers what asks for text or for nothing in particular, and
   * what is kept in other formats is stale.
   */
  observed(authority: string, path: string, response: Response): void {
    const options = path.split("/").map((part) => ({ name: "Uri-Path", value: Buffer.from(part) }));
    const key: Key = { authority, method: "GET", options };
    this.invalidate(key);
    this.keep(key, response);
    const text = { name: "Accept", value: Buffer.alloc(0) };
    this.keep({ authority, method: "GET", options: [...options, text] }, response);
  }

  #drop(name: string): void {
    const entry = this.#entries.get(name);
    if (entry === undefined) return;
    this.#entries.delete(name);
    const { before, after, path } = entry;
    if (after !== undefined) after.before = before;
    if (before !== undefined) before.after = after;
    else if (after !== undefined) this.#byPath.set(path, after);
    else this.#byPath.delete(path);
    this.#bytes -= entry.bytes;
  }

  get size(): number {
    return this.#entries.size;
  }

  get bytes(): number {
    return this.#bytes;
  }
}

/**
 * Whether observing costs less than asking: when the mean time between reads is less than twice the mean time between changes (RFC 8075
 * §8.2). Both in milliseconds.
 */
export function observingPays(betweenReads: number, betweenChanges: number): boolean {
  return betweenReads < 2 * betweenChanges;
}

/** Seconds a response is fresh from when it was sent. */
export function maxAgeOf(response: Response): number {
  const value = optionOf(response, "Max-Age");
  return value === undefined || value.length > 4
    ? 60
    : value.reduce((sum, byte) => sum * 256 + byte, 0);
}

export function optionOf({ options }: Pick<Response, "options">, name: string): Buffer | undefined {
  return options.find((option) => option.name === name)?.value;
}

/** Each part with its length: two requests that differ have names that differ, whatever bytes are in them. */
const partOf = ({ name, value }: Option) => `${name}:${value.length}:${value.toString("latin1")};`;
const placeOf = (authority: string) => `${authority.length}:${authority}/`;

/** RFC 7252 §5.4.6: what says of itself that it is no part of the cache key, and what the gateway itself answers for. */
const outside = ({ name }: Option) =>
  noCacheKey.has(String(name)) || (Number(name) & 0x1e) === 0x1c;

/** What two requests have to agree in for one to get the other's answer while that is under way. */
export function joinedBy(key: Key): string {
  const more = key.options.filter(outside);
  const { whole } = namesOf(key);
  return more.length === 0 && key.payload === undefined
    ? whole
    : `${whole} ${more.map(partOf).join("")} ${Buffer.from(key.payload ?? []).toString("latin1")}`;
}

/** What an answer is kept by. */
export function namesOf(key: Key): Names {
  if (key.names !== undefined) return key.names;
  let path = placeOf(key.authority);
  let rest = key.method;
  for (const option of key.options) {
    const { name } = option;
    if (name === "Uri-Path" || name === "Uri-Query") path += partOf(option);
    else if (!outside(option)) rest += ` ${partOf(option)}`;
  }
  if (key.method === "FETCH") rest += Buffer.from(key.payload ?? []).toString("latin1");
  key.names = { whole: `${path} ${rest}`, path };
  return key.names;
}
