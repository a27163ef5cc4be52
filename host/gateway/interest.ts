// When to observe rather than ask (RFC 8075 §8.2): a resource that is read more than half as often as it changes costs fewer messages when its
// server tells of changes. What is read and what changes is counted for each request that the cache knows by a name of its own; an observation
// begins and ends by the rule, and what it brings is the cache's newest.
import { NodeError } from "../lib/errors.ts";
import type { Response } from "../lib/coap/endpoint.ts";
import type { Node } from "../lib/node.ts";
import { namesOf, observingPays, type Cache, type Key } from "./cache.ts";
import { steady } from "./steady.ts";

/** Reads and changes that are looked back on, and reads that it takes to judge at all. */
const most = 8;
const least = 4;
/** Requests that are counted, and of them observed; at one server no more than leave room for others there. */
const mostKnown = 2_048;
const mostObserved = 256;
const mostObservedThere = 8;
/** A server that does not let itself be observed is asked for it again after this long. */
const refusedFor = 600_000;

interface Known {
  key: Key;
  began: number;
  reads: number[];
  changes: number[];
  newest: Buffer | undefined;
  refused: number;
  observing: AbortController | undefined;
}

export class Interest {
  readonly #cache: Cache;
  readonly #known = new Map<string, Known>();
  /** Observations under way. */
  observing = 0;

  constructor(cache: Cache) {
    this.#cache = cache;
  }

  /** Somebody reads. */
  read(key: Key, now = steady()): void {
    const known = this.#of(key, now);
    known.reads.push(now);
    if (known.reads.length > most) known.reads.shift();
  }

  /** A representation came in, asked for or not; where observing pays from here on, it begins. */
  came(key: Key, response: Response, connect: () => Promise<Node>, now = steady()): void {
    if (response.status !== "2.05") return;
    const known = this.#known.get(namesOf(key).whole) ?? this.#of(key, now);
    if (known.newest !== undefined && !known.newest.equals(response.payload)) {
      known.changes.push(now);
      if (known.changes.length > most) known.changes.shift();
    }
    known.newest = response.payload;
    if (known.observing === undefined && this.#worth(known, now)) this.#begin(known, connect);
  }

  #of(key: Key, now: number): Known {
    const name = namesOf(key).whole;
    let known = this.#known.get(name);
    if (known !== undefined) {
      // Used just now: to the end.
      this.#known.delete(name);
    } else {
      known = {
        key,
        began: now,
        reads: [],
        changes: [],
        newest: undefined,
        refused: -Infinity,
        observing: undefined,
      };
    }
    this.#known.set(name, known);
    if (this.#known.size > mostKnown)
      for (const [other, { observing }] of this.#known) {
        if (this.#known.size <= mostKnown) break;
        observing?.abort();
        this.#known.delete(other);
      }
    return known;
  }

  #pays({ reads, changes, began }: Known, now: number): boolean {
    if (reads.length < least) return false;
    // The last so many, or all there were since it was first asked for.
    const mean = (times: readonly number[]) =>
      times.length === most
        ? (now - times[0]!) / (most - 1)
        : (now - began) / Math.max(1, times.length);
    return observingPays(mean(reads), mean(changes));
  }

  #worth(known: Known, now: number): boolean {
    if (now < known.refused + refusedFor || this.observing >= mostObserved) return false;
    // Last what takes longest: most requests are not asked often enough.
    if (!this.#pays(known, now)) return false;
    const there = [...this.#known.values()].filter(
      ({ key, observing }) => observing !== undefined && key.authority === known.key.authority,
    );
    return there.length < mostObservedThere;
  }

  #begin(known: Known, connect: () => Promise<Node>): void {
    const ending = (known.observing = new AbortController());
    this.observing++;
    // Nobody reads any more, and nothing changes that would show it: looked after now and then.
    const timer = setInterval(() => {
      if (!this.#pays(known, steady())) ending.abort();
    }, 5_000);
    timer.unref();
    void this.#observe(known, connect, ending.signal)
      .catch((error: unknown) => {
        // No room for an observer, or none at all at this resource.
        if (error instanceof NodeError && (error.code === "protocol" || error.code === "answer"))
          known.refused = steady();
      })
      .finally(() => {
        clearInterval(timer);
        this.observing--;
        known.observing = undefined;
      });
  }

  async #observe(known: Known, connect: () => Promise<Node>, signal: AbortSignal): Promise<void> {
    const { options } = known.key;
    const node = await connect();
    for await (const response of node.notifications("", { options, signal })) {
      this.#cache.keep(known.key, response);
      this.came(known.key, response, connect);
      if (!this.#pays(known, steady())) return;
    }
  }

  close(): void {
    for (const { observing } of this.#known.values()) observing?.abort();
  }
}
