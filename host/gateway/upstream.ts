// Requests to nodes on behalf of others: one at a time to each node (NSTART, RFC 7252 §4.7), a bounded queue behind it, identical ones
// joined, answers kept. A node that is slow holds up nobody who asks another one.
import {
  answerOf,
  type Method,
  type Option,
  type RequestOptions,
  type Response,
} from "../lib/coap/endpoint.ts";
import { NodeError } from "../lib/errors.ts";
import type { Node } from "../lib/node.ts";
import { Interest } from "./interest.ts";
import { steady } from "./steady.ts";
import { Cache, joinedBy, maxAgeOf, optionOf, type Entry, type Key } from "./cache.ts";

export interface UpstreamOptions {
  cache: Cache;
  /** Requests that may be under way to one node at once. */
  nstart?: number;
  /** Requests that may wait for one node. */
  queue?: number;
  /** Requests that may be under way to all nodes. */
  network?: number;
  /** From how many bytes on a body goes block by block, and bytes of a block (RFC 8075 §8.3). */
  threshold?: number;
  block?: number;
}

/** Servers that are remembered to take no blocks, at most. */
const mostBlockless = 4_096;

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
  readonly interest: Interest;
  readonly #nstart: number;
  readonly #queue: number;
  readonly #network: number;
  readonly #blockwise: { threshold: number; size: number };
  /** Servers that do not know blocks (RFC 8075 §8.3). */
  readonly #blockless = new Set<string>();
  #underway = 0;
  readonly #gates = new Map<string, Gate>();
  /** Requests under way that others may join, by what they ask for. */
  readonly #joined = new Map<string, Promise<Answer>>();
  requests = 0;
  joined = 0;
  refused = 0;

  constructor({
    cache,
    nstart = 1,
    queue = 64,
    network = 512,
    threshold = 1_024,
    block = 512,
  }: UpstreamOptions) {
    this.cache = cache;
    this.interest = new Interest(cache);
    this.#nstart = nstart;
    this.#queue = queue;
    this.#network = network;
    this.#blockwise = { threshold, size: block };
  }

  async ask(ask: Ask): Promise<Answer> {
    if (ask.method !== "GET" && ask.method !== "FETCH") return this.#change(ask);
    if (ask.method === "GET") this.interest.read(ask);
    const found = this.cache.find(ask);
    if (found?.fresh) {
      this.cache.hits++;
      return kept(found.entry, "cache");
    }
    this.cache.misses++;
    const name = joinedBy(ask);
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

  /** Asks in turn, ignoring the cache: an operator has to see the node as it is. */
  async pass(ask: Ask): Promise<Response> {
    const response = await this.#send(ask);
    if (ask.method !== "GET" && ask.method !== "FETCH" && /^2\.0[124]$/.test(response.status))
      this.cache.invalidateAll(ask.authority);
    return response;
  }

  async #read(ask: Ask, stale: Entry | undefined): Promise<Answer> {
    const validator: Option[] = stale?.etag ? [{ name: "ETag", value: stale.etag }] : [];
    const response = await this.#send({ ...ask, options: [...ask.options, ...validator] });
    if (response.status === "2.03") {
      const entry = this.cache.refresh(ask, response);
      if (entry !== undefined) {
        this.#came(ask, entry.response);
        return kept(entry, "validated");
      }
      // Nothing is known that this could confirm, any more: asked anew without a validator.
      return this.#fresh(ask, await this.#send(ask));
    }
    return this.#fresh(ask, response);
  }

  #fresh(ask: Ask, response: Response): Answer {
    this.cache.keep(ask, response);
    this.#came(ask, response);
    return { response, age: 0, left: maxAgeOf(response), from: "node" };
  }

  #came(ask: Ask, response: Response): void {
    if (ask.method === "GET") this.interest.came(ask, response, ask.connect);
  }

  async #change(ask: Ask): Promise<Answer> {
    const response = await this.#send(ask);
    if (/^2\.0[124]$/.test(response.status)) this.cache.invalidate(ask);
    return { response, age: 0, left: 0, from: "node" };
  }

  /** One request, in its turn; a response with an error code is a response. */
  async #send({ authority, method, options, payload, connect, heard }: Ask): Promise<Response> {
    const turn = this.#enter(authority);
    if (turn !== undefined) await turn;
    try {
      this.requests++;
      const node = await connect();
      const response =
        payload === undefined
          ? await answered(node, method, { options })
          : await this.#blocks(node, { authority, method, options, payload });
      heard?.();
      return response;
    } finally {
      this.#leave(authority);
    }
  }

  /** A body whole or in blocks, and the other way where the server wants it so (RFC 8075 §8.3). */
  async #blocks(
    node: Node,
    {
      authority,
      method,
      options,
      payload,
    }: Pick<Ask, "authority" | "method" | "options" | "payload">,
  ): Promise<Response> {
    const send = (blockwise: { threshold: number; size: number } | false) =>
      answered(node, method, { options, payload, blockwise });
    const length = payload?.length ?? 0;
    const { threshold, size } = this.#blockwise;
    const knows = !this.#blockless.has(authority);
    const inBlocks = knows && length > threshold;
    const first = await send(knows ? this.#blockwise : false);
    if (!inBlocks && knows && length > 16 && first.status === "4.13")
      return send({ threshold: 0, size: wantedBlock(first) ?? Math.min(size, below(length)) });
    if (!inBlocks || first.status !== "4.02" || length > 1_024) return first;
    const whole = await send(false);
    if (whole.status !== "4.02") {
      if (this.#blockless.size >= mostBlockless) this.#blockless.clear();
      this.#blockless.add(authority);
    }
    return whole;
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

/** What a server answers; an error code is an answer. */
async function answered(node: Node, method: Method, options: RequestOptions): Promise<Response> {
  try {
    return await node.request(method, "", options);
  } catch (error) {
    const answer = answerOf(error);
    if (answer === undefined) throw error;
    return answer;
  }
}

/** The size of blocks that a server names with its 4.13 (RFC 7959 §2.9.3). */
function wantedBlock(response: Response): number | undefined {
  const value = optionOf(response, "Block1");
  const exponent = (value?.at(-1) ?? 7) & 7;
  return value === undefined || exponent === 7 ? undefined : 16 << exponent;
}

/** The largest size of a block that is smaller than a body. */
const below = (length: number): number =>
  2 ** Math.min(10, Math.max(4, Math.ceil(Math.log2(length)) - 1));

function kept(entry: Entry, from: "cache" | "validated"): Answer {
  const age = Math.max(0, Math.floor((steady() - entry.at) / 1000));
  return { response: entry.response, age, left: Math.max(0, entry.maxAge - age), from };
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
