// A CoAP server over whatever carries datagrams: messages, duplicates, blocks both ways, observers (RFC 7252 §4, 7641, 7959). What is served
// is a function's: a request in, a reply out. Everything from outside is bounded: replies kept, bodies under way, observers.
import { randomInt } from "node:crypto";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { generate, parse, type ParsedPacket } from "coap-packet";
import type { Option } from "../lib/coap/endpoint.ts";
import { steady } from "./steady.ts";

export interface Reply {
  code: string;
  options?: Option[];
  payload?: string | Uint8Array;
  /** Accepts an observation (RFC 7641 §3.1): begins to tell of each new state, and returns what ends it. */
  observe?: (notify: (reply: Reply) => void) => () => void;
}

export interface From {
  address: string;
  port: number;
  family: string;
}

/** A request, whole: a body of several blocks is put together. */
export interface Asked {
  /** `0.01` for GET. */
  code: string;
  /** All options but those of blocks and observing. */
  options: Option[];
  payload: Buffer;
  from: From;
  /** Whether the client asks to observe. */
  observes: boolean;
}

/** A request that is not served; the code says whose fault it is. */
export class Bad extends Error {
  readonly code: string;
  constructor(code: string, message = "") {
    super(message);
    this.code = code;
  }
}

export type Serve = (asked: Asked) => Reply | Promise<Reply>;

/** Replies kept against duplicates (RFC 7252 §4.2), at most and for how long. */
const mostReplies = 4_096;
const exchangeLifetime = 247_000;
/** Bodies of which blocks may still be asked for or sent, at most and for how long. */
const mostBodies = 256;
const bodyLifetime = 60_000;
const longestBody = 65_536;
const blockSize = 1_024;
/** Observers at most, of which so many at one address. */
const mostObservers = 1_024;
const mostObserversThere = 64;
/** Every so many notifications, or after so long, one is confirmable: who is gone is noticed (RFC 7641 §4.5). */
const confirmEvery = 16;
const confirmAfter = 30_000;
/** ACK_TIMEOUT and MAX_RETRANSMIT (RFC 7252 §4.8). */
const ackTimeout = 2_000;
const retransmissions = 4;

interface Observer {
  token: Buffer;
  to: From;
  stop: () => void;
  sequence: number;
  sinceConfirmed: number;
  confirmedAt: number;
  /** The notification that waits for its acknowledgement; of those that come meanwhile only the newest counts. */
  pending: { id: number; timer: NodeJS.Timeout } | undefined;
  next: Reply | undefined;
  /** The last message ID: a reset of it ends the observation. */
  last: number;
}

export interface CoapServerOptions {
  serve: Serve;
  /** Sends a datagram, or loses it. */
  send: (bytes: Buffer, to: From) => void;
  /** Blocks are passed on as they are, for a server behind this one to put together. */
  raw?: boolean;
}

export class CoapServer {
  readonly #options: CoapServerOptions;
  #socket: Socket | undefined;
  readonly #replies = new Map<string, { at: number; bytes: Buffer | undefined }>();
  /** What is asked for in blocks, and what comes in them. */
  readonly #out = new Map<string, { at: number; reply: Reply }>();
  readonly #in = new Map<string, { at: number; parts: Buffer[]; length: number }>();
  readonly #observers = new Map<string, Observer>();
  #id = randomInt(0x10000);
  #closed = false;

  constructor(options: CoapServerOptions) {
    this.#options = options;
  }

  /** Serves at a UDP socket; resolves once it is bound. */
  static async open(host: string, port: number, serve: Serve): Promise<CoapServer> {
    const socket = createSocket(host.includes(":") ? "udp6" : "udp4");
    const server = new CoapServer({
      serve,
      send: (bytes, to) => socket.send(bytes, to.port, to.address, () => {}),
    });
    server.#socket = socket;
    socket.bind(port, host);
    await once(socket, "listening");
    socket.on("message", (bytes, from) => server.receive(bytes, from));
    socket.on("error", () => {});
    return server;
  }

  /** The UDP port, where there is one. */
  get port(): number {
    return this.#socket?.address().port ?? 0;
  }

  get observers(): number {
    return this.#observers.size;
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const key of this.#observers.keys()) this.#forget(key);
    await new Promise<void>((resolve) => {
      if (this.#socket === undefined) resolve();
      else this.#socket.close(() => resolve());
    });
  }

  #send(bytes: Buffer, to: From): void {
    if (!this.#closed) this.#options.send(bytes, to);
  }

  /** Takes a datagram. */
  receive(bytes: Buffer, from: From): void {
    let packet: ParsedPacket;
    try {
      packet = parse(bytes);
    } catch {
      return;
    }
    const { messageId, confirmable } = packet;
    if (packet.reset || packet.ack) return this.#heard(packet, from);
    if (!/^0\.0[1-7]$/.test(packet.code) || packet.token.length > 8) {
      if (confirmable)
        this.#send(
          generate({ reset: true, code: "0.00", messageId, token: Buffer.alloc(0) }),
          from,
        );
      return;
    }
    const key = `${from.address}:${from.port}:${messageId}`;
    const now = steady();
    const before = this.#replies.get(key);
    if (before !== undefined && before.at > now - exchangeLifetime) {
      if (before.bytes !== undefined) this.#send(before.bytes, from);
      return;
    }
    tidy(this.#replies, now - exchangeLifetime, mostReplies);
    const kept: { at: number; bytes: Buffer | undefined } = { at: now, bytes: undefined };
    this.#replies.set(key, kept);
    void this.#answer(packet, from).then((reply) => {
      kept.bytes = this.#write(packet, reply);
      this.#send(kept.bytes, from);
    });
  }

  #write({ messageId, token, confirmable }: ParsedPacket, reply: Reply): Buffer {
    const head = {
      ack: confirmable,
      confirmable: false,
      messageId: confirmable ? messageId : this.#next(),
      token,
    };
    try {
      const { code, options = [], payload = "" } = reply;
      return generate({
        ...head,
        code,
        options: options as never,
        payload: Buffer.from(payload as string),
      });
    } catch {
      // Options that fit into no datagram.
      return generate({ ...head, code: "5.00" });
    }
  }

  #next(): number {
    return (this.#id = (this.#id + 1) & 0xffff);
  }

  async #answer(packet: ParsedPacket, from: From): Promise<Reply> {
    try {
      return await this.#whole(packet, from);
    } catch (error) {
      if (error instanceof Bad)
        return { code: error.code, payload: error.message.slice(0, blockSize) };
      return { code: "5.00", payload: "this could not be done" };
    }
  }

  /** Puts blocks together and takes them apart. */
  async #whole(packet: ParsedPacket, from: From): Promise<Reply> {
    const now = steady();
    const all = packet.options as Option[];
    const raw = this.#options.raw === true;
    const options = all.filter(
      ({ name }) => name !== "Observe" && (raw || !ofTransfer.has(String(name))),
    );
    const observe = all.find(({ name }) => name === "Observe")?.value;
    const body = `${from.address}:${from.port} ${packet.code} ${options.map(({ name, value }) => `${name}=${value.toString("base64")}`).join(" ")}`;
    const block1 = raw ? undefined : blockOf(all, "Block1");
    const block2 = raw ? undefined : blockOf(all, "Block2");
    let { payload } = packet;
    if (block1 !== undefined) {
      const taken = this.#take(body, block1, payload, now);
      if (!Buffer.isBuffer(taken)) return taken;
      payload = taken;
    } else if (payload.length > longestBody) throw new Bad("4.13");
    const key = `${from.address}:${from.port}:${packet.token.toString("hex")}`;
    const kept = this.#out.get(body);
    if (block2 !== undefined && block2.number > 0 && kept !== undefined)
      return sliced(kept.reply, block2, block1);
    // RFC 7641 §3.6: asked anew, or asked to end.
    if (observe !== undefined) this.#forget(key);
    const observes = packet.code === "0.01" && observe !== undefined && uintOf(observe) === 0;
    const asked = { code: packet.code, options, payload, from, observes };
    const reply = await this.#options.serve(asked);
    tidy(this.#out, now - bodyLifetime, mostBodies);
    this.#out.delete(body);
    if (Buffer.from((reply.payload ?? "") as string).length > blockSize || block2 !== undefined)
      this.#out.set(body, { at: now, reply });
    const accepted =
      observes && reply.observe !== undefined && reply.code.startsWith("2.")
        ? this.#observe(key, packet.token, from, reply.observe)
        : [];
    const whole = { ...reply, options: [...accepted, ...(reply.options ?? [])] };
    if (raw) return whole;
    return sliced(whole, block2, block1);
  }

  /** A block of a request's body (RFC 7959 §2.5): the whole body with the last one, otherwise the reply. */
  #take(key: string, { number, more, size }: Block, payload: Buffer, now: number): Buffer | Reply {
    tidy(this.#in, now - bodyLifetime, mostBodies);
    const known = number === 0 ? { at: now, parts: [], length: 0 } : this.#in.get(key);
    if (known === undefined || known.length !== number * size || (more && payload.length !== size))
      throw new Bad("4.08");
    if (known.length + payload.length > longestBody) {
      this.#in.delete(key);
      throw new Bad("4.13");
    }
    known.at = now;
    known.parts.push(payload);
    known.length += payload.length;
    this.#in.delete(key);
    if (!more) return Buffer.concat(known.parts);
    this.#in.set(key, known);
    return { code: "2.31", options: [{ name: "Block1", value: encode({ number, more, size }) }] };
  }

  // ---- observers (RFC 7641) -----------------------------------------------------------------------------------------

  #observe(
    key: string,
    token: Buffer,
    to: From,
    begin: NonNullable<Reply["observe"]>,
  ): { name: string; value: Buffer }[] {
    const there = [...this.#observers.values()].filter((one) => one.to.address === to.address);
    // No room: the request is answered as one that does not observe (§4.1).
    if (this.#observers.size >= mostObservers || there.length >= mostObserversThere) return [];
    const observer: Observer = {
      token,
      to,
      stop: () => {},
      sequence: 2,
      sinceConfirmed: 0,
      confirmedAt: steady(),
      pending: undefined,
      next: undefined,
      last: -1,
    };
    this.#observers.set(key, observer);
    observer.stop = begin((reply) => this.#notify(key, reply));
    return [{ name: "Observe", value: uint(1) }];
  }

  #forget(key: string): void {
    const observer = this.#observers.get(key);
    if (observer === undefined) return;
    this.#observers.delete(key);
    clearTimeout(observer.pending?.timer);
    observer.stop();
  }

  #notify(key: string, reply: Reply): void {
    const observer = this.#observers.get(key);
    if (observer === undefined) return;
    // One at a time (§4.5.2): what waits is replaced by what is newer.
    if (observer.pending !== undefined) return void (observer.next = reply);
    const good = reply.code.startsWith("2.");
    const confirmable =
      !good ||
      ++observer.sinceConfirmed >= confirmEvery ||
      steady() > observer.confirmedAt + confirmAfter;
    const id = (observer.last = this.#next());
    const sequence = (observer.sequence = (observer.sequence + 1) & 0xffffff);
    const whole = sliced(reply, undefined, undefined);
    const bytes = generate({
      code: whole.code,
      confirmable,
      messageId: id,
      token: observer.token,
      options: [
        ...(good ? [{ name: "Observe", value: uint(sequence) }] : []),
        ...(whole.options ?? []),
      ] as never,
      payload: Buffer.from((whole.payload ?? "") as string),
    });
    if (confirmable) {
      observer.sinceConfirmed = 0;
      this.#confirm(key, observer, id, bytes, 0);
    }
    this.#send(bytes, observer.to);
    // §3.2: an error is the last word.
    if (!good) {
      observer.stop();
      observer.stop = () => {};
    }
  }

  #confirm(key: string, observer: Observer, id: number, bytes: Buffer, attempt: number): void {
    const timer = setTimeout(
      () => {
        if (attempt >= retransmissions) return this.#forget(key);
        this.#send(bytes, observer.to);
        this.#confirm(key, observer, id, bytes, attempt + 1);
      },
      ackTimeout * 2 ** attempt * (1 + Math.random() / 2),
    );
    timer.unref();
    observer.pending = { id, timer };
  }

  /** An acknowledgement or a reset of a notification. */
  #heard({ messageId, reset }: ParsedPacket, from: From): void {
    for (const [key, observer] of this.#observers) {
      if (observer.to.address !== from.address || observer.to.port !== from.port) continue;
      if (reset && observer.last === messageId) return this.#forget(key);
      if (observer.pending?.id !== messageId) continue;
      clearTimeout(observer.pending.timer);
      observer.pending = undefined;
      observer.confirmedAt = steady();
      const { next } = observer;
      observer.next = undefined;
      if (next !== undefined) this.#notify(key, next);
      return;
    }
  }
}

/** Options that are about the transfer, and not about what is asked for. */
const ofTransfer = new Set(["Block1", "Block2", "Size1", "Size2", "Observe"]);

interface Block {
  number: number;
  more: boolean;
  size: number;
}

function blockOf(options: readonly Option[], name: string): Block | undefined {
  const value = options.find((one) => one.name === name)?.value;
  if (value === undefined) return undefined;
  const bits = uintOf(value);
  if (value.length > 3 || (bits & 7) === 7) throw new Bad("4.00", `${name} is malformed`);
  return { number: bits >>> 4, more: (bits & 8) !== 0, size: 16 << (bits & 7) };
}

const encode = ({ number, more, size }: Block): Buffer =>
  uint((number << 4) | (more ? 8 : 0) | (Math.log2(size) - 4));

/** The block of a reply that was asked for (RFC 7959 §2.4), with the acknowledgement of the last block that came. */
function sliced(reply: Reply, asked: Block | undefined, taken: Block | undefined): Reply {
  const payload = Buffer.from((reply.payload ?? "") as string);
  const options = [...(reply.options ?? [])];
  if (taken !== undefined) options.push({ name: "Block1", value: encode(taken) });
  if (asked === undefined && payload.length <= blockSize) return { ...reply, options, payload };
  const size = Math.min(asked?.size ?? blockSize, blockSize);
  const number = asked?.number ?? 0;
  const start = number * size;
  if (start > 0 && start >= payload.length) throw new Bad("4.00", "there is no such block");
  const more = start + size < payload.length;
  options.push({ name: "Block2", value: encode({ number, more, size }) });
  return { ...reply, options, payload: payload.subarray(start, start + size) };
}

/** Forgets what is old, and the oldest where there is too much. */
function tidy(map: Map<string, { at: number }>, oldest: number, most: number): void {
  for (const [key, { at }] of map) {
    if (at > oldest && map.size < most) break;
    map.delete(key);
  }
}

export const uint = (value: number): Buffer => {
  const bytes: number[] = [];
  for (let rest = value; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256);
  return Buffer.from(bytes);
};

export const uintOf = (value: Buffer): number =>
  value.subarray(0, 6).reduce((sum, byte) => sum * 256 + byte, 0);

/** The number of an option that the codec names, or has no name for: its bits say what to do with one that is not known (RFC 7252 §5.4.6). */
export function numberOf(name: string | number): number {
  return numbers[String(name)] ?? Number(name);
}

const numbers: Record<string, number> = {
  "If-Match": 1,
  "Uri-Host": 3,
  ETag: 4,
  "If-None-Match": 5,
  Observe: 6,
  "Uri-Port": 7,
  "Location-Path": 8,
  OSCORE: 9,
  "Uri-Path": 11,
  "Content-Format": 12,
  "Max-Age": 14,
  "Uri-Query": 15,
  "Hop-Limit": 16,
  Accept: 17,
  "Q-Block1": 19,
  "Location-Query": 20,
  Block2: 23,
  Block1: 27,
  Size2: 28,
  "Q-Block2": 31,
  "Proxy-Uri": 35,
  "Proxy-Scheme": 39,
  Size1: 60,
  "No-Response": 258,
  "OCF-Accept-Content-Format-Version": 2049,
  "OCF-Content-Format-Version": 2053,
};
