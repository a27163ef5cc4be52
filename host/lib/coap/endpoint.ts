// A CoAP client over one link: messages, retransmission, separate responses, observing, and block-wise transfers driven block by
// block (RFC 7252, 7641, 7959), on the codec of npm `coap-packet`. Npm `coap` itself is not used here: it reassembles by
// token, matches message IDs without the address, and can end the process from its socket handler.
import { randomBytes, randomInt } from "node:crypto";
import { setMaxListeners } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { generate, parse, type ParsedPacket } from "coap-packet";
import { NodeError } from "../errors.ts";
import { oneLine } from "../text.ts";
import type { Link } from "./link.ts";
import type { Binding, Context } from "./oscore.ts";

export type Method = "GET" | "POST" | "PUT" | "DELETE" | "FETCH" | "PATCH" | "iPATCH";
const methodCodes: Record<Method, string> = {
  GET: "0.01",
  POST: "0.02",
  PUT: "0.03",
  DELETE: "0.04",
  FETCH: "0.05",
  PATCH: "0.06",
  iPATCH: "0.07",
};

/** Content-Formats by the names people use. */
export const formats = {
  text: 0,
  link: 40,
  octets: 42,
  json: 50,
  cbor: 60,
  "senml+json": 110,
  "senml+cbor": 112,
} as const;
export type Format = keyof typeof formats;

export interface RequestOptions {
  query?: readonly string[];
  payload?: Uint8Array | undefined;
  accept?: Format | undefined;
  format?: Format | undefined;
  /** Further options as they stand in the datagram: what a proxy passes on. */
  options?: readonly Option[];
  /** From how many bytes on a body goes block by block, and how long the blocks are (RFC 7959 §2.2); false: it goes whole. */
  blockwise?: { threshold: number; size: number } | false | undefined;
  signal?: AbortSignal | undefined;
}

export interface UploadOptions extends RequestOptions {
  /** Bytes of a block: 16 to 1024, a power of two; the node may ask for less. */
  blockSize?: number;
  /** Where to go on. */
  from?: number;
  onProgress?: (sent: number, total: number) => void;
  /** Resolves when it is the turn of a block of so many bytes; the time that it takes is nobody's silence. */
  pace?: ((bytes: number) => Promise<void>) | undefined;
}

export interface Response {
  /** As in `2.05`. */
  status: string;
  payload: Buffer;
  format: number | undefined;
  /** All options of the response, or of its first block. */
  options: readonly Option[];
}

export interface Option {
  name: string | number;
  value: Buffer;
}

export interface EndpointOptions {
  /**
   * How long a node may stay silent before it counts as gone, in milliseconds; at most the 93 s of RFC 7252 §4.8.2. An answer of
   * several blocks is whole within this time too: a node that lets one drip in now and then is as good as gone.
   */
  patience?: number;
  /** ACK_TIMEOUT in milliseconds: 2,000 unless the way is known to be faster (RFC 7252 §4.8.1). */
  ackTimeout?: number;
  /** MAX_RETRANSMIT: how often a datagram is sent again; 4 unless the way is known to be worse. */
  maxRetransmit?: number;
  /** Keys that are shared with the node: with them every request is protected, and only protected answers are believed. */
  context?: Context | undefined;
}

export interface ObserveOptions extends RequestOptions {
  /** After how long without a word the registration is renewed, in milliseconds; by default what the node says. */
  refresh?: number;
}

/** A request that has to be done at a time of the clock that nobody sets (performance.now). */
interface Timed extends RequestOptions {
  until?: number;
}

interface Waiting {
  settle(response: ParsedPacket): void;
  /** What came cannot be believed. */
  doubted(error: Error): void;
  acknowledged(): void;
  rejected(): void;
  unreachable(cause: Error): void;
}

/** Transmission parameters (RFC 7252 §4.8), in milliseconds; an emulator may run slower than real time. */
const defaultAckTimeout = 2_000;
const defaultRetransmit = 4;
/** How long a separate response may take: the longest that a node erases and verifies, many times over. */
const separateTimeout = 30_000;
/** The longest payload that is sent in one datagram (RFC 7959 §2.2); what is longer goes block by block. */
const longestPayload = 1024;
/** So many blocks of an upload may take as long as a node may be silent. */
const blocksOfPatience = 16;
/** The largest body that is put together from blocks: many times what any resource of a node has. */
const longestBody = 1 << 18;
/** Notifications that wait for an observer; beyond that the oldest is dropped, since the newest state is what counts (RFC 7641 §1.3). */
const longestQueue = 256;
/** The longest Max-Age that is believed, in seconds. */
const longestAge = 86_400;
/** Message IDs that are remembered against duplicates, at most; and for how long (EXCHANGE_LIFETIME, RFC 7252 §4.8.2). */
const mostSeen = 4096;
const exchangeLifetime = 247_000;
/** How long an upload waits for a node that has no room for it at the moment. */
const busyLimit = 10_000;
/** A farewell is sent for this long and no longer. */
const farewell = 2_000;
/** Requests with one token whose answers may still come: an observation, its renewal, and its end. */
const mostBindings = 3;
/** Option numbers that the codec has no name for. */
const echo = "252";

export class Endpoint {
  #link: Link;
  #closed = false;
  #id = randomInt(0x10000);
  /** Whether uploads go without a token. */
  #plain = true;
  /** Requests and observations by token. */
  readonly #waiting = new Map<string, Waiting>();
  readonly #byId = new Map<number, Waiting>();
  readonly #context: Context | undefined;
  /** What protected requests were sent with each token, the newest first. */
  readonly #bindings = new Map<string, Binding[]>();
  /** Message IDs of confirmable responses that came in: a repeated one is acknowledged again and goes no further. */
  readonly #seen = new Map<number, number>();
  readonly #patience: number;
  readonly #ackTimeout: number;
  readonly #maxRetransmit: number;
  /** What the node asked for with an answer, to be echoed in the next request (RFC 9175 §2.3). */
  #toEcho: Buffer | undefined;
  /** Under a context: the newest value that shows a request to be fresh, for whatever changes something. */
  #fresh: Buffer | undefined;
  #lost: Error | undefined;

  constructor(link: Link, options: EndpointOptions = {}) {
    this.#link = link;
    this.#patience = options.patience ?? Number.POSITIVE_INFINITY;
    this.#ackTimeout = options.ackTimeout ?? defaultAckTimeout;
    this.#maxRetransmit = options.maxRetransmit ?? defaultRetransmit;
    this.#context = options.context;
    this.#use(link);
  }

  #use(link: Link): void {
    this.#link = link;
    link.onDatagram = (datagram) => this.#receive(datagram);
    link.onUnreachable = (cause) => {
      for (const waiting of this.#byId.values()) waiting.unreachable(cause);
    };
    link.onLost = (cause) => {
      this.#lost = cause;
      for (const waiting of this.#waiting.values()) waiting.rejected();
    };
  }

  /** Whether the link was lost or closed: everything fails until there is a new one. */
  get lost(): boolean {
    return this.#lost !== undefined;
  }

  /**
   * Goes on over another link to the same node, as after a cable was plugged in again. What was under way over the old one has failed, or fails now;
   * whoever observed observes again.
   */
  async reconnect(link: Link): Promise<void> {
    if (this.#closed) {
      await link.close();
      throw this.#gone("is closed");
    }
    const old = this.#link;
    this.#lost ??= new Error("there is a new link");
    for (const waiting of this.#waiting.values()) waiting.rejected();
    old.onDatagram = () => {};
    old.onLost = () => {};
    old.onUnreachable = () => {};
    this.#use(link);
    // A port that changed is another client to the node (RFC 7252 §1.2: an endpoint is an address with its port).
    this.#seen.clear();
    this.#toEcho = undefined;
    this.#lost = undefined;
    await old.close();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#lost = new Error("closed");
    for (const waiting of this.#waiting.values()) waiting.rejected();
    await this.#link.close();
  }

  /** A request whose response may take several blocks. An error response is thrown as a NodeError. */
  async request(method: Method, path: string, options: RequestOptions = {}): Promise<Response> {
    const { payload, blockwise = { threshold: longestPayload, size: 512 } } = options;
    if (payload !== undefined && blockwise && payload.length > blockwise.threshold)
      return this.upload(method, path, payload, { ...options, blockSize: blockwise.size });
    const within = { ...options, until: performance.now() + this.#patience };
    let first = await this.#exchange(method, path, within, []);
    // A node that does not know us yet gives only small blocks; once we have shown ourselves, large ones.
    if (this.#toEcho && method === "GET" && blockOf(first, "Block2")?.more)
      first = await this.#exchange(method, path, within, []);
    // Most answers are one message, which is what came.
    if (option(first, "Block2") === undefined) return responseOf(first);
    return this.#rest(method, path, within, first);
  }

  /** Fetches the blocks behind the first (RFC 7959 §2.4); a body that changes meanwhile is begun anew. */
  async #rest(
    method: Method,
    path: string,
    options: Timed,
    first: ParsedPacket,
  ): Promise<Response> {
    // Who chose the size of the first block has said so: each further one is asked for by its own place.
    const { options: given = [] } = options;
    const later = { ...options, options: given.filter(({ name }) => name !== "Block2") };
    for (let attempt = 0; attempt < 4; attempt++) {
      const tag = option(first, "ETag")?.toString("hex");
      const parts = [first.payload];
      let length = first.payload.length;
      let block = blockOf(first, "Block2");
      let whole = true;
      if (block && block.offset !== 0)
        throw new NodeError("protocol", `${path}: the answer begins in its middle`);
      while (block?.more) {
        if (length + block.size > longestBody || length % block.size !== 0 || length === 0)
          throw new NodeError(
            "protocol",
            `${path}: the answer has no end, or blocks of odd length`,
          );
        const next = { offset: length, size: block.size, more: false };
        const extra = [{ name: "Block2", value: encodeBlock(next) }];
        // 4.00: a body that has become shorter meanwhile has no such block any more.
        const answer = await this.#exchange(method, path, later, extra).catch((error: unknown) => {
          if (error instanceof NodeError && error.status === "4.00") return undefined;
          throw error;
        });
        if (answer === undefined) {
          whole = false;
          break;
        }
        const got = blockOf(answer, "Block2");
        const fits = got?.offset === length && (!got.more || answer.payload.length === got.size);
        if (option(answer, "ETag")?.toString("hex") !== tag || !fits) {
          whole = false;
          break;
        }
        parts.push(answer.payload);
        length += answer.payload.length;
        block = got;
      }
      if (whole) {
        return responseOf(first, Buffer.concat(parts));
      }
      first = await this.#exchange(method, path, options, []);
    }
    throw new NodeError("protocol", `${path} changes faster than it can be read`);
  }

  /** Sends a body block by block (RFC 7959 §2.5), each confirmed before the next. */
  async upload(
    method: Method,
    path: string,
    body: Uint8Array,
    options: UploadOptions = {},
  ): Promise<Response> {
    let size = options.blockSize ?? 512;
    if (![16, 32, 64, 128, 256, 512, 1024].includes(size)) {
      throw new RangeError(`a block is 16 to 1024 bytes, a power of two; not ${size}`);
    }
    let offset = options.from ?? 0;
    const blocks = Math.ceil(body.length / size / blocksOfPatience);
    let until = performance.now() + this.#patience * (1 + blocks);
    // RFC 7252 §5.3.1: requests that are made one after the other need no token, which is a tenth of a small block. Unless one was
    // given up, whose answer may still come.
    const token = this.#plain && !this.#waiting.has("") ? Buffer.alloc(0) : makeToken();
    for (;;) {
      const payload = body.subarray(offset, offset + size);
      const more = offset + payload.length < body.length;
      const sizeOption: Option[] =
        offset === (options.from ?? 0) ? [{ name: "Size1", value: encodeUint(body.length) }] : [];
      if (options.pace !== undefined) {
        const asked = performance.now();
        await options.pace(payload.length);
        until += performance.now() - asked;
      }
      let answer: ParsedPacket;
      try {
        const block = { name: "Block1", value: encodeBlock({ offset, size, more }) };
        const extra = [block, ...sizeOption];
        const given = { ...options, payload, until };
        answer = await this.#patiently(
          () => this.#exchange(method, path, given, extra, token),
          options.signal,
        );
      } catch (error) {
        if (!(error instanceof NodeError && error.code === "answer")) this.#plain = false;
        throw error;
      }
      const taken = blockOf(answer, "Block1");
      if (taken && taken.offset > offset)
        throw new NodeError("protocol", `${path}: the node acknowledges what was not sent`);
      // RFC 7959 §2.5: the node may ask for smaller blocks, of this one too.
      const smaller = more && taken !== undefined && taken.size < size;
      offset += smaller ? taken.size : payload.length;
      options.onProgress?.(offset, body.length);
      if (!more) return responseOf(answer);
      if (smaller) size = taken.size;
    }
  }

  /** Asks again for a while as long as the node has no room for the moment (RFC 7252 §5.9.3.4). */
  async #patiently<T>(work: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    for (const until = performance.now() + Math.min(this.#patience, busyLimit); ;) {
      try {
        return await work();
      } catch (error) {
        const busy = error instanceof NodeError && error.status === "5.03";
        if (!busy || performance.now() >= until) throw error;
      }
      await sleep(300, signal);
    }
  }

  /**
   * Each state of a resource from now on. Ends when the loop is left or the signal fires; fails when the node ends it or is gone. A
   * node that has forgotten its observers, after a reset, is asked again once its last word is too old (RFC 7641 §3.3.1).
   */
  async *observe(path: string, options: ObserveOptions = {}): AsyncGenerator<Response, void, void> {
    const { signal } = options;
    const token = makeToken();
    const queue: ParsedPacket[] = [];
    let wake: () => void = () => {};
    let failed: Error | undefined;
    let renewal: ParsedPacket | undefined;
    let newest: { sequence: number; at: number } | undefined;
    const take = (packet: ParsedPacket) => {
      const sequence = uintOf(packet, "Observe");
      const at = performance.now();
      // RFC 7641 §3.4: what was overtaken on the way is older than what is known.
      if (sequence !== undefined && newest !== undefined && at < newest.at + 128_000) {
        const ahead = (sequence - newest.sequence) & 0xffffff;
        if (ahead === 0 || ahead >= 1 << 23) return;
      }
      if (sequence !== undefined) newest = { sequence, at };
      if (queue.length === longestQueue) queue.shift();
      queue.push(packet);
      wake();
    };
    const key = token.toString("hex");
    const register = async () => {
      const extra = [{ name: "Observe", value: encodeUint(0) }];
      const answer = await this.#patiently(
        () => this.#exchange("GET", path, options, extra, token),
        signal,
      );
      if (uintOf(answer, "Observe") === undefined) {
        throw new NodeError(
          "protocol",
          `${path} cannot be observed, or the node has no room for an observer`,
        );
      }
      // After a reset the numbers begin anew: what answers the registration is the newest by itself.
      newest = undefined;
      renewal = answer;
      // Notifications of an earlier registration are older, whenever they come.
      this.#bindings.set(key, (this.#bindings.get(key) ?? []).slice(0, 1));
      take(answer);
    };
    // Known before it is registered: a notification may come right behind the response.
    this.#waiting.set(key, {
      settle: take,
      // Whoever sends what is not believed must not be able to end an observation.
      doubted: () => {},
      acknowledged: () => {},
      unreachable: () => {},
      rejected: () => {
        failed = this.#gone("was lost");
        wake();
      },
    });
    const abort = () => wake();
    listen(signal, abort);
    let shown: Buffer | undefined;
    let lifetime = 60_000;
    try {
      if (!signal?.aborted) await register();
      while (!signal?.aborted) {
        const packet = queue.shift();
        if (packet === undefined) {
          if (failed) throw failed;
          const quiet = options.refresh ?? lifetime;
          let timer: NodeJS.Timeout | undefined;
          const waited = await new Promise<boolean>((resolve) => {
            wake = () => resolve(false);
            timer = setTimeout(() => resolve(true), quiet);
          });
          clearTimeout(timer);
          if (waited) await register();
          continue;
        }
        if (!packet.code.startsWith("2.")) throw failure(path, packet);
        lifetime =
          (Math.min(uintOf(packet, "Max-Age") ?? 60, longestAge) + 5) *
          1000 *
          (1 + Math.random() / 4);
        const until = performance.now() + this.#patience;
        const state = await this.#rest("GET", path, { ...options, until }, packet);
        // A renewed registration is answered with the state there is, which may be known.
        if (packet === renewal && shown?.equals(state.payload)) continue;
        shown = state.payload;
        yield state;
      }
    } catch (error) {
      if (!signal?.aborted) throw error;
    } finally {
      signal?.removeEventListener("abort", abort);
      this.#waiting.delete(key);
      this.#bindings.delete(key);
      // RFC 7641 §3.6: the node is told; whether it hears is of no matter, its next notification is rejected.
      if (!this.#lost && !failed) {
        const extra = [{ name: "Observe", value: encodeUint(1) }];
        const brief = { signal: AbortSignal.timeout(farewell) };
        await this.#exchange("GET", path, brief, extra, token).catch(() => {});
      }
    }
  }

  #gone(how: string): NodeError {
    return new NodeError("closed", `the link to ${this.#link.address} ${how}`, {
      cause: this.#lost,
    });
  }

  /** One confirmable request and its response (RFC 7252 §4.2, §5.2). */
  #exchange(
    method: Method,
    path: string,
    options: Timed,
    extra: Option[],
    token: Buffer = makeToken(),
    echoed = false,
  ): Promise<ParsedPacket> {
    const { signal, payload, until = Number.POSITIVE_INFINITY } = options;
    const id = (this.#id = (this.#id + 1) & 0xffff);
    // RFC 9175 §2.3: a value serves for as long as the node takes it; when it does not any more, it tells a newer one.
    const changes = this.#context !== undefined && method !== "GET" && method !== "FETCH";
    const toEcho = echoed ? undefined : changes ? this.#fresh : this.#toEcho;
    this.#toEcho = undefined;
    const list: Option[] = [
      ...path
        .split("/")
        .filter(Boolean)
        .map((part) => ({ name: "Uri-Path", value: Buffer.from(part) })),
      ...(options.query ?? []).map((part) => ({ name: "Uri-Query", value: Buffer.from(part) })),
      ...(options.accept === undefined
        ? []
        : [{ name: "Accept", value: encodeUint(formats[options.accept]) }]),
      ...(options.format === undefined
        ? []
        : [{ name: "Content-Format", value: encodeUint(formats[options.format]) }]),
      ...(toEcho ? [{ name: echo, value: toEcho }] : []),
      ...(options.options ?? []),
      ...extra,
    ];
    const key = token.toString("hex");
    let datagram: Buffer;
    try {
      const plain = {
        code: methodCodes[method],
        options: list,
        payload: Buffer.from(payload ?? []),
      };
      const sealed = this.#context?.protect(plain);
      const { code, options: outer, payload: body } = sealed?.message ?? plain;
      datagram = generate({
        code,
        messageId: id,
        token,
        confirmable: true,
        options: outer as never,
        payload: Buffer.from(body),
      });
      if (sealed) {
        const bindings = [sealed.binding, ...(this.#bindings.get(key) ?? [])];
        this.#bindings.set(key, bindings.slice(0, mostBindings));
      }
    } catch (cause) {
      if (cause instanceof NodeError) return Promise.reject(cause);
      return Promise.reject(
        new NodeError("protocol", `${path}: this fits into no datagram`, { cause }),
      );
    }
    return new Promise((resolve, reject) => {
      if (this.#lost) return reject(this.#gone("is closed"));
      const aborted = () =>
        new NodeError("aborted", `${method} /${path.replace(/^\//, "")} was given up`, {
          cause: signal?.reason,
        });
      if (signal?.aborted) return reject(aborted());
      let timer: NodeJS.Timeout;
      const began = performance.now();
      let attempt = 0;
      let refused = 0;
      let timeout = this.#ackTimeout * (1 + Math.random() / 2);
      const before = this.#waiting.get(key);
      const done = () => {
        clearTimeout(timer);
        this.#byId.delete(id);
        // An observation lives on under its token.
        if (before) this.#waiting.set(key, before);
        else {
          this.#waiting.delete(key);
          this.#bindings.delete(key);
        }
        signal?.removeEventListener("abort", abort);
      };
      const fail = (error: Error) => {
        done();
        reject(error);
      };
      const abort = () => fail(aborted());
      const silence = () =>
        fail(
          new NodeError(
            "timeout",
            performance.now() >= until && began + this.#patience > until
              ? `${this.#link.address} does not answer in time: ${path} is not whole yet`
              : `${this.#link.address} does not answer: is the address right, and is the node on?`,
          ),
        );
      let acknowledged = false;
      const again = () => {
        const left = Math.min(began + this.#patience, until) - performance.now();
        if (attempt > this.#maxRetransmit || left <= 0) {
          if (acknowledged && left > 0) return separate();
          return silence();
        }
        this.#link.send(datagram);
        attempt++;
        timer = setTimeout(again, Math.min(timeout, left));
        timeout *= 2;
      };
      const separate = () => {
        clearTimeout(timer);
        const left = Math.min(began + this.#patience, until) - performance.now();
        timer = setTimeout(silence, Math.max(0, Math.min(separateTimeout, left)));
      };
      const waiting: Waiting = {
        settle: (response) => {
          // RFC 7252 §5.3.2: a piggybacked response has the ID of its request too.
          if (response.ack && response.messageId !== id) return;
          done();
          // RFC 9175 §2.3: the node wants to see that the address is ours.
          const value = option(response, echo);
          if (response.code.startsWith("2.")) {
            this.#toEcho = value ?? this.#toEcho;
            return resolve(response);
          }
          if (response.code === "4.01" && value && !echoed) {
            if (this.#context) this.#fresh = value;
            const repeated = [...extra, { name: echo, value }];
            resolve(this.#exchange(method, path, options, repeated, token, true));
          } else reject(failure(path, response));
        },
        doubted: fail,
        acknowledged: () => {
          acknowledged = true;
          // RFC 8613 §4.3: anybody may have said it. A node that did knows what it gets again, and does nothing twice.
          if (!this.#context) separate();
        },
        unreachable: (cause) => {
          // One may be of an earlier datagram, or of a node that is just starting.
          if (++refused < 2) return;
          const message = `nothing listens at ${this.#link.address}`;
          fail(new NodeError("timeout", message, { cause }));
        },
        rejected: () =>
          fail(
            this.#lost
              ? this.#gone("was lost")
              : new NodeError(
                  "protocol",
                  `${this.#link.address} rejects what was sent as no CoAP request`,
                ),
          ),
      };
      listen(signal, abort);
      this.#waiting.set(key, waiting);
      this.#byId.set(id, waiting);
      again();
    });
  }

  #receive(datagram: Buffer): void {
    let packet: ParsedPacket;
    try {
      packet = parse(datagram);
    } catch {
      // Noise; a client has nobody to tell.
      return;
    }
    const waiting = this.#byId.get(packet.messageId);
    if (packet.reset) {
      // RFC 8613 §4.3: what is not protected ends nothing that is.
      if (!this.#context) waiting?.rejected();
      return;
    }
    if (packet.ack && packet.code === "0.00") {
      waiting?.acknowledged();
      return;
    }
    const answerWith = (kind: { ack: true } | { reset: true }) => {
      const token = Buffer.alloc(0);
      this.#link.send(generate({ ...kind, code: "0.00", messageId: packet.messageId, token }));
    };
    if (!/^[245]\./.test(packet.code)) {
      // RFC 7252 §4.3: a ping, or a request: this endpoint answers none.
      if (packet.confirmable) answerWith({ reset: true });
      return;
    }
    const known = this.#waiting.get(packet.token.toString("hex"));
    if (packet.confirmable) {
      const now = performance.now();
      for (const [id, at] of this.#seen) {
        // In the order in which they came: behind the first that is fresh, all are.
        if (at >= now - exchangeLifetime && this.#seen.size < mostSeen) break;
        this.#seen.delete(id);
      }
      const repeated = this.#seen.has(packet.messageId);
      // RFC 7252 §4.2: what nobody waits for is rejected, which also ends observations that were left.
      answerWith(known || repeated ? { ack: true } : { reset: true });
      if (repeated) return;
      this.#seen.set(packet.messageId, now);
    } else if (!known && !packet.ack) answerWith({ reset: true });
    if (known) this.#settle(known, packet);
  }

  /** Hands a response to its request, as it was before it was protected. */
  #settle(waiting: Waiting, packet: ParsedPacket): void {
    if (!this.#context) return waiting.settle(packet);
    let doubt = new NodeError("insecure", "an answer to nothing that was asked");
    for (const binding of this.#bindings.get(packet.token.toString("hex")) ?? []) {
      try {
        return waiting.settle(this.#context.unprotect(packet, binding));
      } catch (error) {
        if (!(error instanceof NodeError && error.code === "insecure")) throw error;
        doubt = error;
      }
    }
    waiting.doubted(doubt);
  }
}

/** Tokens that nobody guesses (RFC 7252 §5.3.1); the system is asked for many of them at once, which costs it as much as one. */
let tokens = Buffer.alloc(0);
function makeToken(): Buffer {
  if (tokens.length < 4) tokens = randomBytes(1024);
  const token = tokens.subarray(0, 4);
  tokens = tokens.subarray(4);
  return token;
}

/** Any number of operations may wait for one signal. */
function listen(signal: AbortSignal | undefined, abort: () => void): void {
  if (!signal) return;
  setMaxListeners(0, signal);
  signal.addEventListener("abort", abort);
}

/** Error responses by the error they were thrown as. */
const answers = new WeakMap<NodeError, Response>();

/** The response behind an error with the code `answer`: a proxy passes it on whole. */
export function answerOf(error: unknown): Response | undefined {
  return error instanceof NodeError ? answers.get(error) : undefined;
}

function responseOf(packet: ParsedPacket, payload: Buffer = packet.payload): Response {
  const options = packet.options as readonly Option[];
  return { status: packet.code, payload, format: formatOf(packet), options };
}

function failure(path: string, packet: ParsedPacket): NodeError {
  const text = oneLine(packet.payload.toString("utf8"));
  const message = `/${path.replace(/^\//, "")}: ${packet.code}${text ? ` ${text}` : ` ${meanings[packet.code] ?? ""}`}`;
  const error = new NodeError("answer", message.trimEnd(), {
    status: packet.code,
    diagnostic: text,
  });
  answers.set(error, responseOf(packet));
  return error;
}

const meanings: Record<string, string> = {
  "4.00": "Bad Request",
  "4.01": "Unauthorized: this takes a security context, and this computer has none with the node",
  "4.02": "Bad Option",
  "4.03": "Forbidden: this computer's context does not have the right",
  "4.04": "Not Found",
  "4.05": "Method Not Allowed",
  "4.06": "Not Acceptable",
  "4.08": "Request Entity Incomplete",
  "4.12": "Precondition Failed",
  "4.13": "Request Entity Too Large",
  "4.15": "Unsupported Content-Format",
  "5.00": "Internal Server Error",
  "5.03": "Service Unavailable",
};

function option(packet: ParsedPacket, name: string): Buffer | undefined {
  return packet.options.find((entry) => entry.name === name)?.value as Buffer | undefined;
}

function uintOf(packet: ParsedPacket, name: string): number | undefined {
  const value = option(packet, name);
  return value && value.length <= 4 ? value.reduce((sum, byte) => sum * 256 + byte, 0) : undefined;
}

function formatOf(packet: ParsedPacket): number | undefined {
  return uintOf(packet, "Content-Format");
}

interface Block {
  offset: number;
  size: number;
  more: boolean;
}

function blockOf(packet: ParsedPacket, name: "Block1" | "Block2"): Block | undefined {
  const value = uintOf(packet, name);
  if (value === undefined || (value & 7) === 7) return undefined;
  const size = 16 << (value & 7);
  return { offset: Math.floor(value / 16) * size, size, more: (value & 8) !== 0 };
}

function encodeBlock({ offset, size, more }: Block): Buffer {
  return encodeUint((offset / size) * 16 + (more ? 8 : 0) + Math.log2(size) - 4);
}

function encodeUint(value: number): Buffer {
  const bytes = [];
  for (let rest = value; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest & 255);
  return Buffer.from(bytes);
}

/** Waits; fails as what it is part of does when the signal fires. */
export async function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  try {
    await delay(milliseconds, undefined, signal ? { signal } : {});
  } catch (error) {
    throw new NodeError("aborted", "given up while waiting", {
      cause: signal?.aborted ? signal.reason : error,
    });
  }
}
