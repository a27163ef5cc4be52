// Requests to nodes on behalf of others: one at a time to each node (NSTART, RFC 7252 §4.7), a bounded queue behind it, identical ones
// joined, answers kept. A node that is slow holds up nobody who asks another one.
import { answerOf, type Method, type Option, type Response } from "../lib/coap/endpoint.ts";
import { NodeError } from "../lib/errors.ts";
import type { Node } from "../lib/node.ts";
import { Cache, maxAgeOf, type Entry, type Key } from "./cache.ts";

export interface UpstreamOptions {
  cache: Cache;
  /** Requests that may be under way to one node at once. */
  nstart?: number;
  /** Requests that may wait for one node. */
  queue?: number;
  /** Requests that may be under way to all nodes. */
  network?: number;
}

export interface Ask extends Key {
  method: Method;
  /** The open connection; throws where there is none. */
  connect: () => Promise<Node>;
  /** Called when the node answered. */
  heard?: () => void;
}

export interface Answer {
  response: Response;
  /** Seconds since the answer came in, and seconds that it is still fresh. */
  age: number;
  left: number;
  from: "node" | "cache" | "validated" | "joined";
}

/** There is no room for another request to this node. */
export class Busy extends Error {
  override name = "Busy";
}

interface Gate {
  running: number;
  waiting: (() => void)[];
}

export class Upstream {
  readonly cache: Cache;
  readonly #nstart: number;
  readonly #queue: number;
  readonly #network: number;
  #underway = 0;
  readonly #gates = new Map<string, Gate>();
  /** Requests under way that others may join, by what they ask for. */
  readonly #joined = new Map<string, Promise<Answer>>();
  requests = 0;
  joined = 0;
  refused = 0;

  constructor({ cache, nstart = 1, queue = 64, network = 512 }: UpstreamOptions) {
    this.cache = cache;
    this.#nstart = nstart;
    this.#queue = queue;
    this.#network = network;
  }

  async ask(ask: Ask): Promise<Answer> {
    if (ask.method !== "GET" && ask.method !== "FETCH") return this.#change(ask);
    const found = this.cache.find(ask);
    if (found?.fresh) {
      this.cache.hits++;
      return kept(found.entry, "cache");
    }
    this.cache.misses++;
    const name = joinName(ask);
    const other = this.#joined.get(name);
    if (other !== undefined) {
      this.joined++;
      return { ...(await other), from: "joined" };
    }
    const work = this.#read(ask, found?.entry);
    this.#joined.set(name, work);
    const done = () => void this.#joined.delete(name);
    work.then(done, done);
    return work;
  }

  async #read(ask: Ask, stale: Entry | undefined): Promise<Answer> {
    const validator: Option[] = stale?.etag ? [{ name: "ETag", value: stale.etag }] : [];
    const response = await this.#send({ ...ask, options: [...ask.options, ...validator] });
    if (response.status === "2.03") {
      const entry = this.cache.refresh(ask, response);
      if (entry !== undefined) return kept(entry, "validated");
      // Nothing is known that this could confirm, any more: asked anew without a validator.
      return this.#fresh(ask, await this.#send(ask));
    }
    return this.#fresh(ask, response);
  }

  #fresh(ask: Ask, response: Response): Answer {
    this.cache.keep(ask, response);
    return { response, age: 0, left: maxAgeOf(response), from: "node" };
  }

  async #change(ask: Ask): Promise<Answer> {
    const response = await this.#send(ask);
    if (/^2\.0[124]$/.test(response.status)) this.cache.invalidate(ask);
    return { response, age: 0, left: 0, from: "node" };
  }

  /** One request, in its turn; a response with an error code is a response. */
  async #send({ authority, method, options, payload, connect, heard }: Ask): Promise<Response> {
    await this.#enter(authority);
    try {
      this.requests++;
      const node = await connect();
      const response = await node
        .request(method, "", { options, payload })
        .catch((error: unknown) => {
          const answer = answerOf(error);
          if (answer === undefined) throw error;
          return answer;
        });
      heard?.();
      return response;
    } finally {
      this.#leave(authority);
    }
  }

  #enter(authority: string): Promise<void> | undefined {
    const gate = this.#gates.get(authority) ?? { running: 0, waiting: [] };
    this.#gates.set(authority, gate);
    if (gate.running < this.#nstart && this.#underway < this.#network) {
      gate.running++;
      this.#underway++;
      return undefined;
    }
    if (gate.waiting.length >= this.#queue || gate.running === 0) {
      this.refused++;
      if (gate.running === 0 && gate.waiting.length === 0) this.#gates.delete(authority);
      throw new Busy(`too many requests wait for ${authority}`);
    }
    return new Promise((resolve) => gate.waiting.push(resolve));
  }

  #leave(authority: string): void {
    const gate = this.#gates.get(authority);
    if (gate === undefined) return;
    const next = gate.waiting.shift();
    // The place is handed on as it is.
    if (next !== undefined) return next();
    this.#underway--;
    gate.running--;
    if (gate.running === 0) this.#gates.delete(authority);
  }
}

function kept(entry: Entry, from: "cache" | "validated"): Answer {
  const age = Math.max(0, Math.floor((Date.now() - entry.at) / 1000));
  return { response: entry.response, age, left: Math.max(0, entry.maxAge - age), from };
}

function joinName({ authority, method, options, payload }: Ask): string {
  const words = options.map(({ name, value }) => `${name}=${value.toString("base64")}`);
  return [authority, method, ...words, Buffer.from(payload ?? []).toString("base64")].join(" ");
}

/** What HTTP says of a node that could not be asked. */
export function failureStatus(error: unknown): { status: number; text: string } {
  if (error instanceof Busy) return { status: 503, text: error.message };
  if (!(error instanceof NodeError)) throw error;
  if (error.code === "timeout" || error.code === "aborted")
    return { status: 504, text: error.message };
  if (error.code === "closed" || error.code === "link") return { status: 503, text: error.message };
  return { status: error.code === "address" ? 400 : 502, text: error.message };
}
