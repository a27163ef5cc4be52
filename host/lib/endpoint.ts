// A CoAP client over one link: messages, retransmission, separate responses, observing, and block-wise transfers driven block by
// block (RFC 7252, 7641, 7959), on the codec of npm `coap-packet`. Npm `coap` itself is not used here: it reassembles by
// token, matches message IDs without the address, and can end the process from its socket handler.
import { randomBytes, randomInt } from "node:crypto";
import { generate, parse, type ParsedPacket } from "coap-packet";
import { NodeError } from "./errors.ts";
import type { Link } from "./link.ts";

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
  signal?: AbortSignal | undefined;
}

export interface UploadOptions extends RequestOptions {
  /** Bytes of a block: 16 to 1024, a power of two; the node may ask for less. */
  blockSize?: number;
  /** Where to go on. */
  from?: number;
  onProgress?: (sent: number, total: number) => void;
}

export interface Response {
  /** As in `2.05`. */
  status: string;
  payload: Buffer;
  format: number | undefined;
}

interface Option {
  name: string | number;
  value: Buffer;
}

interface Waiting {
  settle(response: ParsedPacket): void;
  acknowledged(): void;
  rejected(): void;
}

/** Transmission parameters (RFC 7252 §4.8), in milliseconds; an emulator may run slower than real time. */
const ackTimeout = 2_000;
const maxRetransmit = 4;
/** How long a separate response may take: the longest that a node erases and verifies, many times over. */
const separateTimeout = 30_000;

export class Endpoint {
  readonly #link: Link;
  #id = randomInt(0x10000);
  /** Requests and observations by token. */
  readonly #waiting = new Map<string, Waiting>();
  readonly #byId = new Map<number, Waiting>();
  /** Message IDs of confirmable responses that came in: a repeated one is acknowledged again and goes no further. */
  readonly #seen = new Map<number, number>();
  #lost: Error | undefined;

  constructor(link: Link) {
    this.#link = link;
    link.onDatagram = (datagram) => this.#receive(datagram);
    link.onLost = (cause) => {
      this.#lost = cause;
      for (const waiting of this.#waiting.values()) waiting.rejected();
    };
  }

  async close(): Promise<void> {
    this.#lost = new Error("closed");
    for (const waiting of this.#waiting.values()) waiting.rejected();
    await this.#link.close();
  }

  /** A request whose response may take several blocks. An error response is thrown as a NodeError. */
  async request(method: Method, path: string, options: RequestOptions = {}): Promise<Response> {
    const first = await this.#exchange(method, path, options, []);
    return this.#rest(method, path, options, first);
  }

  /** Fetches the blocks behind the first (RFC 7959 §2.4); a body that changes meanwhile is begun anew. */
  async #rest(
    method: Method,
    path: string,
    options: RequestOptions,
    first: ParsedPacket,
  ): Promise<Response> {
    for (let attempt = 0; attempt < 4; attempt++) {
      const tag = option(first, "ETag")?.toString("hex");
      const parts = [first.payload];
      let length = first.payload.length;
      let block = blockOf(first, "Block2");
      while (block?.more) {
        const next = { offset: length, size: block.size, more: false };
        const answer = await this.#exchange(method, path, options, [
          { name: "Block2", value: encodeBlock(next) },
        ]);
        const got = blockOf(answer, "Block2");
        if (option(answer, "ETag")?.toString("hex") !== tag || got?.offset !== length) {
          block = undefined;
          break;
        }
        parts.push(answer.payload);
        length += answer.payload.length;
        block = got;
      }
      if (block !== undefined || parts.length === 1) {
        return { status: first.code, payload: Buffer.concat(parts), format: formatOf(first) };
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
    let busy = 0;
    for (;;) {
      const payload = body.subarray(offset, offset + size);
      const more = offset + payload.length < body.length;
      const sizeOption: Option[] =
        offset === (options.from ?? 0) ? [{ name: "Size1", value: encodeUint(body.length) }] : [];
      let answer: ParsedPacket;
      try {
        answer = await this.#exchange(method, path, { ...options, payload }, [
          { name: "Block1", value: encodeBlock({ offset, size, more }) },
          ...sizeOption,
        ]);
      } catch (error) {
        // RFC 7252 §5.9.3.4: full for the moment.
        if (error instanceof NodeError && error.status === "5.03" && busy++ < 20) {
          await sleep(500, options.signal);
          continue;
        }
        throw error;
      }
      busy = 0;
      const taken = blockOf(answer, "Block1");
      offset += payload.length;
      options.onProgress?.(offset, body.length);
      if (!more) return { status: answer.code, payload: answer.payload, format: formatOf(answer) };
      // RFC 7959 §2.5: the node may ask for smaller blocks.
      if (taken && taken.size < size && offset % taken.size === 0) size = taken.size;
    }
  }

  /** Each state of a resource from now on. Ends when the loop is left, the signal fires, or the node ends it. */
  async *observe(path: string, options: RequestOptions = {}): AsyncGenerator<Response, void, void> {
    const token = randomBytes(4);
    const queue: ParsedPacket[] = [];
    let wake: () => void = () => {};
    let failed: Error | undefined;
    let newest: { sequence: number; at: number } | undefined;
    const register = async () => {
      const first = await this.#exchange(
        "GET",
        path,
        options,
        [{ name: "Observe", value: encodeUint(0) }],
        token,
      );
      take(first);
      return first;
    };
    const take = (packet: ParsedPacket) => {
      const sequence = uintOf(packet, "Observe");
      const at = Date.now();
      // RFC 7641 §3.4: what was overtaken on the way is older than what is known.
      if (sequence !== undefined && newest !== undefined && at < newest.at + 128_000) {
        const ahead = (sequence - newest.sequence) & 0xffffff;
        if (ahead === 0 || ahead >= 1 << 23) return;
      }
      if (sequence !== undefined) newest = { sequence, at };
      queue.push(packet);
      wake();
    };
    const key = token.toString("hex");
    // Known before it is registered: a notification may come right behind the response.
    this.#waiting.set(key, {
      settle: take,
      acknowledged: () => {},
      rejected: () => {
        failed = new NodeError("closed", `the link to ${this.#link.address} was lost`, {
          cause: this.#lost,
        });
        wake();
      },
    });
    try {
      const first = await register();
      if (uintOf(first, "Observe") === undefined) {
        throw new NodeError(
          "protocol",
          `${path} cannot be observed, or the node has no room for an observer`,
        );
      }
    } catch (error) {
      this.#waiting.delete(key);
      throw error;
    }
    const abort = () => wake();
    options.signal?.addEventListener("abort", abort);
    try {
      while (!options.signal?.aborted) {
        const packet = queue.shift();
        if (packet === undefined) {
          if (failed) throw failed;
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
          continue;
        }
        if (!packet.code.startsWith("2.")) throw failure(path, packet);
        yield await this.#rest("GET", path, options, packet);
      }
    } finally {
      options.signal?.removeEventListener("abort", abort);
      this.#waiting.delete(key);
      // RFC 7641 §3.6: the node is told; whether it hears is of no matter, its next notification is rejected.
      if (!this.#lost) {
        await this.#exchange(
          "GET",
          path,
          {},
          [{ name: "Observe", value: encodeUint(1) }],
          token,
        ).catch(() => {});
      }
    }
  }

  /** One confirmable request and its response (RFC 7252 §4.2, §5.2). */
  #exchange(
    method: Method,
    path: string,
    options: RequestOptions,
    extra: Option[],
    token: Buffer = randomBytes(4),
  ): Promise<ParsedPacket> {
    const { signal, payload } = options;
    const id = (this.#id = (this.#id + 1) & 0xffff);
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
      ...extra,
    ];
    const datagram = generate({
      code: methodCodes[method],
      messageId: id,
      token,
      confirmable: true,
      options: list as never,
      payload: Buffer.from(payload ?? []),
    });
    const key = token.toString("hex");
    return new Promise((resolve, reject) => {
      if (this.#lost) {
        reject(
          new NodeError("closed", `the link to ${this.#link.address} is closed`, {
            cause: this.#lost,
          }),
        );
        return;
      }
      let timer: NodeJS.Timeout;
      let attempt = 0;
      let timeout = ackTimeout * (1 + Math.random() / 2);
      const before = this.#waiting.get(key);
      const done = () => {
        clearTimeout(timer);
        this.#byId.delete(id);
        // An observation lives on under its token.
        if (before) this.#waiting.set(key, before);
        else this.#waiting.delete(key);
        signal?.removeEventListener("abort", abort);
      };
      const fail = (error: Error) => {
        done();
        reject(error);
      };
      const abort = () =>
        fail(signal?.reason instanceof Error ? signal.reason : new Error("aborted"));
      const silence = () =>
        fail(
          new NodeError(
            "timeout",
            `${this.#link.address} does not answer: is the address right, and is the node on?`,
          ),
        );
      const again = () => {
        if (attempt > maxRetransmit) return silence();
        this.#link.send(datagram);
        attempt++;
        timer = setTimeout(again, timeout);
        timeout *= 2;
      };
      const waiting: Waiting = {
        settle: (response) => {
          done();
          if (response.code.startsWith("2.")) resolve(response);
          else reject(failure(path, response));
        },
        acknowledged: () => {
          clearTimeout(timer);
          timer = setTimeout(silence, separateTimeout);
        },
        rejected: () =>
          fail(
            this.#lost
              ? new NodeError("closed", `the link to ${this.#link.address} was lost`, {
                  cause: this.#lost,
                })
              : new NodeError(
                  "protocol",
                  `${this.#link.address} rejects what was sent as no CoAP request`,
                ),
          ),
      };
      if (signal?.aborted) {
        reject(signal.reason instanceof Error ? signal.reason : new Error("aborted"));
        return;
      }
      signal?.addEventListener("abort", abort);
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
      waiting?.rejected();
      return;
    }
    if (packet.ack && packet.code === "0.00") {
      waiting?.acknowledged();
      return;
    }
    if (!/^[245]\./.test(packet.code)) return;
    const known = this.#waiting.get(packet.token.toString("hex"));
    if (packet.confirmable) {
      const now = Date.now();
      for (const [id, at] of this.#seen) if (at < now - 247_000) this.#seen.delete(id);
      const repeated = this.#seen.has(packet.messageId);
      // RFC 7252 §4.2: what nobody waits for is rejected, which also ends observations that were left.
      const answer = known || repeated ? { ack: true } : { reset: true };
      this.#link.send(
        generate({ ...answer, code: "0.00", messageId: packet.messageId, token: Buffer.alloc(0) }),
      );
      if (repeated) return;
      this.#seen.set(packet.messageId, now);
    } else if (!known && !packet.ack) {
      this.#link.send(
        generate({
          reset: true,
          code: "0.00",
          messageId: packet.messageId,
          token: Buffer.alloc(0),
        }),
      );
    }
    known?.settle(packet);
  }
}

function failure(path: string, packet: ParsedPacket): NodeError {
  const text = packet.payload.toString("utf8");
  const message = `/${path.replace(/^\//, "")}: ${packet.code}${text ? ` ${text}` : ` ${meanings[packet.code] ?? ""}`}`;
  return new NodeError("answer", message.trimEnd(), { status: packet.code });
}

const meanings: Record<string, string> = {
  "4.00": "Bad Request",
  "4.02": "Bad Option",
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

export function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer);
      reject(signal?.reason instanceof Error ? signal.reason : new Error("aborted"));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", abort, { once: true });
  });
}
