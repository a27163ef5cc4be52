// A CoAP server with the resources of the ETSI plugtests (test/plugtest/), and a client that sends one message at a time and sees
// every message that comes back.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createSocket } from "node:dgram";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { generate, parse, type ParsedPacket } from "coap-packet";
import { root } from "../../host/setup.mjs";

export interface Plugtest {
  port: number;
  /** The pseudo-terminal instead, when it was asked for. */
  serial: string | undefined;
  /** Whether it has joined the multicast group. */
  group: boolean;
  /** Moves the node's clock on, past every deadline on the way. */
  advance(milliseconds: number): Promise<void>;
  /** Begins anew, without any state. */
  reset(): Promise<void>;
  stop(): Promise<void>;
}

export async function startPlugtest(...words: string[]): Promise<Plugtest> {
  const child = spawn(join(root, "dist/wasmote-plugtest"), words, {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines = createInterface({ input: child.stdout });
  const waiting = new Map<string, (line: Record<string, string>) => void>();
  lines.on("line", (text) => {
    const line = JSON.parse(text) as Record<string, string>;
    waiting.get(line.event ?? "")?.(line);
  });
  const event = (name: string) =>
    new Promise<Record<string, string>>((resolve, reject) => {
      waiting.set(name, resolve);
      child.once("exit", () => reject(new Error("the node has ended")));
    });
  const ready = await event("ready");
  const command = async (text: string, answer: string) => {
    const answered = event(answer);
    child.stdin.write(`${text}\n`);
    await answered;
  };
  return {
    port: Number(ready.udp?.split(":")[1]),
    serial: ready.serial,
    group: String(ready.group) === "true",
    advance: (milliseconds) => command(`advance ${milliseconds}`, "advanced"),
    reset: () => command("reset", "ready"),
    stop: async () => {
      child.stdin.end();
      if (child.exitCode === null) await once(child, "exit");
    },
  };
}

export type Option = readonly [name: string, value: Uint8Array | string | number];

export interface Message {
  code?: string;
  type?: "con" | "non" | "ack" | "rst";
  id?: number;
  token?: Uint8Array;
  path?: string;
  options?: readonly Option[];
  payload?: Uint8Array | string;
}

/** A number as an option has it (RFC 7252 §3.2). */
export function uint(value: number): Buffer {
  const bytes = [];
  for (let rest = value; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest & 255);
  return Buffer.from(bytes);
}

/** A block option (RFC 7959 §2.2). */
export function block(number: number, more: boolean, size: number): Buffer {
  return uint(number * 16 + (more ? 8 : 0) + Math.log2(size) - 4);
}

export class Client {
  readonly #socket = createSocket("udp4");
  readonly #port: number;
  #id = 100;
  #pong: (() => void) | undefined;
  #pingId = 0xf000;
  /** What came in and was not taken yet. */
  messages: ParsedPacket[] = [];

  constructor(port: number) {
    this.#port = port;
    this.#socket.on("message", (bytes) => {
      const packet = parse(bytes);
      if (packet.reset && packet.messageId === this.#pingId) this.#pong?.();
      else this.messages.push(packet);
    });
  }

  close(): void {
    this.#socket.close();
  }

  /** Sends a message; its ID. */
  send({
    code = "0.01",
    type = "con",
    id = ++this.#id,
    token,
    path = "",
    options = [],
    payload = "",
  }: Message): number {
    const segments = path.split("/").filter(Boolean);
    const list = [...segments.map((segment): Option => ["Uri-Path", segment]), ...options] as const;
    const datagram = generate({
      code,
      confirmable: type === "con",
      ack: type === "ack",
      reset: type === "rst",
      messageId: id,
      token: Buffer.from(token ?? (code === "0.00" ? [] : [id & 255, 7])),
      options: list.map(([name, value]) => ({
        name: name as never,
        value: typeof value === "number" ? uint(value) : Buffer.from(value),
      })),
      payload: Buffer.from(payload),
    });
    this.#socket.send(datagram, this.#port, "127.0.0.1");
    return id;
  }

  /** All that has come until now: a ping behind it shows when everything before has been dealt with (RFC 7252 §4.3). */
  async take(): Promise<ParsedPacket[]> {
    const pong = new Promise<void>((resolve) => (this.#pong = resolve));
    this.#pingId = 0xf000 + ((this.#pingId + 1) & 0xfff);
    this.send({ code: "0.00", id: this.#pingId });
    await pong;
    return this.messages.splice(0);
  }

  /** What comes back for a message. */
  async ask(message: Message): Promise<ParsedPacket[]> {
    this.send(message);
    return this.take();
  }

  /** The one response to a request. */
  async one(message: Message): Promise<ParsedPacket> {
    const all = await this.ask(message);
    if (all.length !== 1) throw new Error(`${all.length} messages came back instead of one`);
    return all[0]!;
  }

  /** A body, block by block, with a token of its own for each. */
  async whole(message: Message, size?: number): Promise<string> {
    let body = "";
    for (let number = 0; ;) {
      const options = [...(message.options ?? [])];
      if (number > 0 || size) options.push(["Block2", block(number, false, size ?? 16)]);
      const answer = await this.one({ ...message, options });
      if (answer.code !== "2.05") throw new Error(`${message.path}: ${answer.code}`);
      body += answer.payload.toString();
      const part = blockOf(answer, "Block2");
      if (!part?.more) return body;
      size = part.size;
      number = part.number + 1;
    }
  }
}

export function valueOf(packet: ParsedPacket, name: string): Buffer | undefined {
  return packet.options.find((option) => String(option.name) === name)?.value as Buffer | undefined;
}

export function valuesOf(packet: ParsedPacket, name: string): string[] {
  return packet.options
    .filter((option) => option.name === name)
    .map((option) => (option.value as Buffer).toString());
}

export function uintOf(packet: ParsedPacket, name: string): number | undefined {
  return valueOf(packet, name)?.reduce((sum, byte) => sum * 256 + byte, 0);
}

export function blockOf(
  packet: ParsedPacket,
  name: string,
): { number: number; more: boolean; size: number } | undefined {
  const value = uintOf(packet, name);
  if (value === undefined) return undefined;
  return { number: value >> 4, more: (value & 8) !== 0, size: 16 << (value & 7) };
}

export function typeOf(packet: ParsedPacket): "con" | "non" | "ack" | "rst" {
  return packet.ack ? "ack" : packet.reset ? "rst" : packet.confirmable ? "con" : "non";
}
