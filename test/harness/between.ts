// Somebody on the way between a client and a node: he sees every datagram, and does with it what he likes.
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { generate, parse, type Packet, type ParsedPacket } from "coap-packet";

/** Somebody between a client and a node, who sees and may change every datagram. */
export class Between {
  readonly captured: Buffer[] = [];
  /** What becomes of a datagram to the node: as many as are to go on. */
  onRequest: (datagram: Buffer) => Buffer[] = (datagram) => [datagram];
  /** The same on the way back. */
  onAnswer: (datagram: Buffer) => Buffer[] = (datagram) => [datagram];
  readonly #front: Socket = createSocket("udp4");
  readonly #back: Socket = createSocket("udp4");
  #client: { address: string; port: number } | undefined;

  static async before(address: string): Promise<Between> {
    const { hostname, port } = new URL(address.replace("coap:", "http:"));
    const one = new Between();
    one.#front.bind(0, "127.0.0.1");
    one.#back.bind(0, "127.0.0.1");
    await Promise.all([once(one.#front, "listening"), once(one.#back, "listening")]);
    one.#front.on("message", (datagram, from) => {
      one.#client = from;
      one.captured.push(datagram);
      for (const each of one.onRequest(datagram)) one.#back.send(each, Number(port), hostname);
    });
    one.#back.on("message", (datagram) => {
      for (const each of one.onAnswer(datagram))
        if (one.#client) one.#front.send(each, one.#client.port, one.#client.address);
    });
    one.send = (datagram) => one.#back.send(datagram, Number(port), hostname);
    return one;
  }

  send: (datagram: Buffer) => void = () => {};

  get address(): string {
    return `coap://127.0.0.1:${this.#front.address().port}`;
  }

  [Symbol.dispose](): void {
    this.#front.close();
    this.#back.close();
  }
}

/** What somebody on the way does to datagrams: what he changed goes first, and the true one follows, so that all goes on. */
export function hostile(draw: (limit: number) => number) {
  const kept: { request: Buffer[]; answer: Buffer[] } = { request: [], answer: [] };
  let held: Buffer[] = [];
  const pick = <T>(list: readonly T[]) => list[Math.floor(draw(list.length))];
  const option = (name: string, value: string | Buffer) => ({ name, value: Buffer.from(value) });
  const rewrite = (datagram: Buffer, change: (packet: ParsedPacket) => Partial<Packet>): Buffer => {
    const packet = parse(datagram);
    return generate({ ...packet, ...change(packet) } as Packet);
  };
  const changes: ((datagram: Buffer) => Buffer)[] = [
    // What is not protected may be taken away, and added; the node looks at what is within.
    (one) =>
      rewrite(one, ({ options }) => ({
        options: options.filter(({ name }) => name !== "Observe"),
      })),
    (one) =>
      rewrite(one, ({ options }) => ({ options: options.filter(({ name }) => name !== "OSCORE") })),
    (one) =>
      rewrite(one, ({ options }) => ({
        options: [...options, option("Uri-Path", "log")] as never,
      })),
    (one) =>
      rewrite(one, ({ options }) => ({
        options: [...options, option("Block1", Buffer.from([0x0e]))] as never,
      })),
    (one) =>
      rewrite(one, ({ options }) => ({ options: [...options, option("Uri-Query", "a")] as never })),
    (one) => rewrite(one, ({ code }) => ({ code: code === "0.02" ? "0.04" : "2.05" })),
    (one) => rewrite(one, ({ payload }) => ({ payload: payload.subarray(0, -1) })),
    (one) => rewrite(one, ({ payload }) => ({ payload: Buffer.from(payload.toReversed()) })),
    (one) => rewrite(one, () => ({ payload: Buffer.from("1800000000") })),
  ];
  const both = (way: "request" | "answer") => (datagram: Buffer) => {
    const before = kept[way];
    before.push(datagram);
    const sent: Buffer[] = held;
    held = [];
    for (let n = Math.floor(draw(3)); n >= 0; n--) {
      malice.done++;
      const again = Buffer.from(pick(before)!);
      const { messageId, token } = parse(datagram);
      const fate = draw(4);
      // As it was; under another message ID; as if it belonged to this one; changed.
      if (fate < 1) sent.push(again);
      else if (fate < 2)
        sent.push(rewrite(again, () => ({ messageId: Math.floor(draw(0x10000)) })));
      else if (fate < 3) sent.push(rewrite(again, () => ({ messageId, token })));
      else sent.push(pick(changes)!(datagram));
    }
    if (draw(3) < 1) held.push(datagram);
    // What an answer is held to is that it comes first.
    return way === "request"
      ? [...sent, datagram]
      : [...sent.slice(0, 1), datagram, ...sent.slice(1)];
  };
  const malice = { done: 0, request: both("request"), answer: both("answer") };
  return malice;
}
