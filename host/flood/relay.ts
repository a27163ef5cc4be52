// Links that can be cut: what goes between a station and its gateway, or a gateway and the cloud, passes here and is counted. A cut link
// loses datagrams and answers no connection, as a radio out of reach and a network that is down do.
import { createSocket, type Socket } from "node:dgram";
import { createServer, connect, type Server, type Socket as Connection } from "node:net";
import { once } from "node:events";
import { parse } from "coap-packet";

/** Datagrams and their bytes: of CoAP, without the headers of what carries them. */
export interface Carried {
  datagrams: number;
  bytes: number;
}

export interface Link {
  readonly port: number;
  cut: boolean;
  close: () => Promise<void>;
}

/** Clients of a link at most; a gateway opens one socket for each connection. */
const mostClients = 256;

/** A link of datagrams to a port of this computer. What is CoAP is counted by the path that it is about. */
export class DatagramLink implements Link {
  readonly #front: Socket;
  #target: { address: string; port: number };
  readonly #back = new Map<string, Socket>();
  /** Which path a token and a message number are about. */
  readonly #paths = new Map<string, string>();
  readonly carried = new Map<string, Carried>();
  cut = false;
  port = 0;

  private constructor(target: { address: string; port: number }) {
    this.#target = target;
    this.#front = createSocket("udp4");
  }

  static async open(address: string): Promise<DatagramLink> {
    const link = new DatagramLink(targetOf(address));
    const front = link.#front;
    front.on("message", (bytes, from) => link.#forth(bytes, from.address, from.port));
    front.on("error", () => {});
    front.bind(0, "127.0.0.1");
    await once(front, "listening");
    link.port = front.address().port;
    return link;
  }

  /** What stood behind it is at another address. */
  retarget(address: string): void {
    this.#target = targetOf(address);
    for (const socket of this.#back.values()) socket.close();
    this.#back.clear();
  }

  get address(): string {
    return `coap://127.0.0.1:${this.port}`;
  }

  #forth(bytes: Buffer, address: string, port: number): void {
    this.#count(bytes);
    if (this.cut) return;
    const client = `${address}:${port}`;
    let back = this.#back.get(client);
    if (back === undefined) {
      if (this.#back.size >= mostClients) return;
      back = createSocket("udp4");
      back.on("message", (answer) => {
        this.#count(answer);
        if (!this.cut) this.#front.send(answer, port, address);
      });
      back.on("error", () => {});
      this.#back.set(client, back);
    }
    back.send(bytes, this.#target.port, this.#target.address);
  }

  /** What is sent is counted, also where it is lost. */
  #count(bytes: Buffer): void {
    const path = this.#pathOf(bytes);
    const carried = this.carried.get(path) ?? { datagrams: 0, bytes: 0 };
    carried.datagrams++;
    carried.bytes += bytes.length;
    this.carried.set(path, carried);
  }

  #pathOf(bytes: Buffer): string {
    try {
      const { options, token, messageId, code } = parse(bytes);
      const path = options
        .filter(({ name }) => name === "Uri-Path")
        .map(({ value }) => value.toString())
        .join("/");
      const keys = [`m${messageId}`, ...(token.length > 0 ? [`t${token.toString("hex")}`] : [])];
      const known =
        path !== "" ? path : (keys.map((key) => this.#paths.get(key)).findLast(Boolean) ?? "other");
      if (code !== "0.00") for (const key of keys) this.#paths.set(key, known);
      if (this.#paths.size > 100_000) this.#paths.clear();
      return known;
    } catch {
      return "other";
    }
  }

  close(): Promise<void> {
    for (const socket of this.#back.values()) socket.close();
    return new Promise((resolve) => this.#front.close(() => resolve()));
  }
}

function targetOf(address: string): { address: string; port: number } {
  const { hostname, port } = new URL(address.replace(/^coap:/, "http:"));
  return { address: hostname, port: Number(port || 5683) };
}

/** A link of connections to a port of this computer: cut, those that are there end and no other is taken. */
export class ConnectionLink implements Link {
  readonly #server: Server;
  readonly #open = new Set<Connection>();
  #cut = false;
  #target: number;
  bytes = 0;
  port = 0;

  private constructor(target: number) {
    this.#target = target;
    this.#server = createServer((near) => {
      if (this.#cut) return void near.destroy();
      const far = connect(this.#target, "127.0.0.1");
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#open.add(from);
        from.on("data", (part: Buffer) => {
          this.bytes += part.length;
          to.write(part);
        });
        from.on("error", () => {});
        from.on("close", () => {
          this.#open.delete(from);
          to.destroy();
        });
      }
    });
  }

  static async open(target: number): Promise<ConnectionLink> {
    const link = new ConnectionLink(target);
    link.#server.listen(0, "127.0.0.1");
    await once(link.#server, "listening");
    const address = link.#server.address();
    link.port = typeof address === "object" && address !== null ? address.port : 0;
    return link;
  }

  /** What stood behind it is at another port. */
  retarget(target: number): void {
    this.#target = target;
  }

  get cut(): boolean {
    return this.#cut;
  }

  set cut(cut: boolean) {
    this.#cut = cut;
    if (cut) for (const one of this.#open) one.destroy();
  }

  close(): Promise<void> {
    for (const one of this.#open) one.destroy();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }
}
