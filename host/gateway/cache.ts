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
}

const bytesOfEntry = 512;
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
  readonly #entries = new Map<string, Entry & { path: string }>();
  /** Names of entries by what a change makes stale. */
  readonly #byPath = new Map<string, Set<string>>();
  #bytes = 0;
  hits = 0;
  misses = 0;
  validated = 0;

  constructor(limit = 32 << 20) {
    this.#limit = limit;
  }

  /** A fresh response, or a stale one to be validated. */
  find(key: Key, now = steady()): { entry: Entry; fresh: boolean } | undefined {
    const name = nameOf(key);
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
    this.#drop(nameOf(key));
    if (!kept.has(response.status) || maxAge === 0) return undefined;
    if (response.payload.length > this.#limit / 8) return undefined;
    const entry = {
      response,
      at: now,
      maxAge,
      etag: optionOf(response, "ETag"),
      stale: false,
      path: pathOf(key),
    };
    this.#entries.set(nameOf(key), entry);
    const same = this.#byPath.get(entry.path) ?? new Set();
    this.#byPath.set(entry.path, same.add(nameOf(key)));
    this.#bytes += bytesOfEntry + response.payload.length;
    for (const [name] of this.#entries) {
      if (this.#bytes <= this.#limit) break;
      this.#drop(name);
    }
    return entry;
  }

  /** 2.03: what is kept is as good as new (RFC 7252 §5.6.2). */
  refresh(key: Key, response: Response, now = steady()): Entry | undefined {
    const entry = this.#entries.get(nameOf(key));
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
    for (const name of this.#byPath.get(pathOf(key)) ?? []) {
      const entry = this.#entries.get(name);
      if (entry !== undefined) entry.stale = true;
    }
  }

  /** A node is another one now, as after a new package: whatever is kept of it is stale. */
  invalidateAll(authority: string): void {
    for (const [name, entry] of this.#entries)
      if (name.startsWith(`${authority} `)) entry.stale = true;
  }

  /**
   * A notification is the newest representation there is (RFC 7641 §3.4): it answers what asks for text or for nothing in particular, and
   * what is kept in other formats is stale.
   */
  observed(authority: string, path: string, response: Response): void {
    const options = path.split("/").map((part) => ({ name: "Uri-Path", value: Buffer.from(part) }));
    const key = { authority, method: "GET", options };
    this.invalidate(key);
    this.keep(key, response);
    const text = { name: "Accept", value: Buffer.alloc(0) };
    this.keep({ ...key, options: [...options, text] }, response);
  }

  #drop(name: string): void {
    const entry = this.#entries.get(name);
    if (entry === undefined) return;
    this.#entries.delete(name);
    const same = this.#byPath.get(entry.path);
    same?.delete(name);
    if (same?.size === 0) this.#byPath.delete(entry.path);
    this.#bytes -= bytesOfEntry + entry.response.payload.length;
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

/** What an answer is kept by: whatever it depends on (RFC 7252 §5.6). */
export function nameOf(key: Key): string {
  const options = key.options
    .filter(({ name }) => !noCacheKey.has(String(name)) && !((Number(name) & 0x1e) === 0x1c))
    .map(({ name, value }) => `${name}=${value.toString("base64")}`);
  const body = key.method === "FETCH" ? Buffer.from(key.payload ?? []).toString("base64") : "";
  return [key.authority, key.method, ...options, body].join(" ");
}

function pathOf(key: Key): string {
  const parts = key.options.filter(({ name }) => name === "Uri-Path" || name === "Uri-Query");
  return [
    key.authority,
    ...parts.map(({ name, value }) => `${name}=${value.toString("base64")}`),
  ].join(" ");
}
