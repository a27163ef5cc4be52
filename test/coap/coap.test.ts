// The wire vectors of test/vectors/coap, which firmware/node/tests/wire.rs reads as well: the codec that the library stands
// on reads and writes the same messages, the library's endpoint lives through all of them, and what holds of a node in
// memory holds over UDP.
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { generate, parse } from "coap-packet";
import { describe, expect, test } from "vitest";
import { Endpoint } from "../../host/lib/coap/endpoint.ts";
import type { Link } from "../../host/lib/coap/link.ts";
import { typeOf } from "../harness/plugtest.ts";
import { eachTarget } from "../harness/target.ts";

interface Message {
  type: "con" | "non" | "ack" | "rst";
  code: string;
  id: number;
  token: string;
  options: [number: number, value: string][];
  payload: string;
}

interface Vector {
  name: string;
  rfc: string;
  datagram: string;
}

interface Answered {
  datagram: string;
  answer: "ack" | "non" | "rst" | null;
  code?: string;
}

function vectors<T>(name: string): T[] {
  const url = new URL(`../vectors/coap/${name}.json`, import.meta.url);
  return JSON.parse(readFileSync(url, "utf8")) as T[];
}

const hex = (text: string) => Buffer.from(text, "hex");

const messages = vectors<Vector & { message?: Message; malformed?: string }>("messages");

/** Malformed messages that npm `coap-packet` takes all the same: the library asks for nothing that these could harm. */
const taken = [
  "a token length of 9",
  "a token length of 12",
  "a token cut short",
  "a marker without a payload",
  "a value cut short",
  "an extended length beyond the end",
  "option numbers beyond 65,535",
  "a length beyond 65,535",
];

/** Options by number, for the codec knows some by name. */
const names: Record<number, string> = {
  1: "If-Match",
  4: "ETag",
  6: "Observe",
  11: "Uri-Path",
  12: "Content-Format",
  14: "Max-Age",
  23: "Block2",
  27: "Block1",
  28: "Size2",
  35: "Proxy-Uri",
  60: "Size1",
  258: "No-Response",
};

describe("wire vectors and the library", () => {
  test("every message is read as it was written, and written as it was read", () => {
    for (const { name, datagram, message } of messages) {
      if (!message) continue;
      const packet = parse(hex(datagram));
      expect(typeOf(packet), name).toBe(message.type);
      expect(
        {
          code: packet.code,
          id: packet.messageId,
          token: packet.token.toString("hex"),
          options: packet.options.map(({ name: option, value }) => [
            String(option),
            Buffer.from(value as Uint8Array).toString("hex"),
          ]),
          payload: packet.payload.toString("hex"),
        },
        name,
      ).toEqual({
        code: message.code,
        id: message.id,
        token: message.token,
        options: message.options.map(([number, value]) => [names[number] ?? String(number), value]),
        payload: message.payload,
      });
      const written = generate({
        code: message.code,
        messageId: message.id,
        token: hex(message.token),
        confirmable: message.type === "con",
        ack: message.type === "ack",
        reset: message.type === "rst",
        options: message.options.map(([number, value]) => ({
          name: (names[number] ?? String(number)) as never,
          value: hex(value),
        })),
        payload: hex(message.payload),
      });
      expect(written.toString("hex"), name).toBe(datagram);
    }
  });

  test("every malformed message is refused, but for those that are known", () => {
    const refused = (datagram: string) => {
      try {
        parse(hex(datagram));
        return false;
      } catch {
        return true;
      }
    };
    const malformed = messages.filter((vector) => vector.malformed !== undefined);
    const accepted = malformed.filter(({ datagram }) => !refused(datagram)).map(({ name }) => name);
    expect(malformed.length).toBeGreaterThan(20);
    expect(accepted).toEqual(taken);
  });

  test("no datagram disturbs the endpoint: a request behind all of them is answered", async () => {
    const sent: Buffer[] = [];
    const link: Link = {
      address: "coap://vectors",
      send: (datagram) => void sent.push(Buffer.from(datagram)),
      onDatagram: () => {},
      onText: () => {},
      onLost: () => {},
      onUnreachable: () => {},
      close: async () => {},
    };
    const endpoint = new Endpoint(link);
    const all = [
      ...messages,
      ...vectors<Vector>("answers"),
      ...vectors<{ steps: Vector[] }>("exchanges").flatMap(({ steps }) => steps),
    ];
    for (const { datagram } of all) {
      const before = sent.length;
      link.onDatagram(hex(datagram));
      // RFC 7252 §4.2: what is confirmable and belongs to nothing is rejected, all else passed over or reset.
      for (const answer of sent.slice(before)) expect(typeOf(parse(answer))).toMatch(/rst|ack/);
    }
    sent.length = 0;
    const answer = endpoint.request("GET", "a");
    const request = parse(sent[0]!);
    link.onDatagram(
      generate({
        code: "2.05",
        ack: true,
        messageId: request.messageId,
        token: request.token,
        payload: Buffer.from("b"),
      }),
    );
    expect((await answer).payload.toString()).toBe("b");
    await endpoint.close();
  });
});

/** A socket of its own, as the node tells clients apart by their address, that sends and sees what comes back. */
async function client(address: string) {
  const { hostname, port } = new URL(address);
  const socket = createSocket("udp4");
  const answers: Buffer[] = [];
  socket.on("message", (bytes: Buffer) => answers.push(bytes));
  return {
    ask: async (datagram: string) => {
      answers.length = 0;
      socket.send(hex(datagram), Number(port), hostname);
      // A ping behind it shows when everything before has been dealt with.
      socket.send(hex("4000ffff"), Number(port), hostname);
      const pong = (bytes: Buffer) => bytes.toString("hex") === "7000ffff";
      while (!answers.some(pong)) await once(socket, "message");
      return answers.filter((bytes) => !pong(bytes));
    },
    close: () => socket.close(),
  };
}

/** What is wrong with the answers to a datagram. */
function judge({ answer, code }: Answered, answers: Buffer[]): string | undefined {
  const packet = answers[0] && parse(answers[0]);
  const kind = packet ? typeOf(packet) : null;
  if (kind === answer && (code === undefined || packet?.code === code) && answers.length <= 1)
    return undefined;
  return `${kind} ${packet?.code ?? ""}, ${answers.length} answers`;
}

eachTarget(
  "wire vectors",
  (start) => {
    test("every datagram is answered as its RFC says", async () => {
      const node = await start();
      const wrong: string[] = [];
      for (const vector of vectors<Vector & Answered>("answers")) {
        const socket = await client(node.address);
        const problem = judge(vector, await socket.ask(vector.datagram));
        socket.close();
        if (problem) wrong.push(`${vector.name} (${vector.rfc}): ${problem}`);
      }
      expect(wrong).toEqual([]);
    });

    test("every exchange goes as its RFC says", async () => {
      const node = await start();
      type Step = Answered & { same?: number; has?: [number, string | null][] };
      for (const { name, steps } of vectors<Vector & { steps: Step[] }>("exchanges")) {
        const socket = await client(node.address);
        const all: (Buffer | undefined)[] = [];
        for (const [index, step] of steps.entries()) {
          const at = `${name}, step ${index}`;
          const answers = await socket.ask(step.datagram);
          expect(judge(step, answers), at).toBeUndefined();
          if (step.same !== undefined) expect(answers[0], at).toEqual(all[step.same]);
          const find = (bytes: Buffer | undefined, number: number) => {
            const found = bytes && parse(bytes).options.find((o) => o.name === names[number]);
            return found && Buffer.from(found.value as Uint8Array).toString("hex");
          };
          for (const [number, wanted] of step.has ?? []) {
            if (!(number in names)) continue;
            const value = find(answers[0], number);
            if (wanted === null) expect(value, at).toBeDefined();
            else if (wanted === "absent") expect(value, at).toBeUndefined();
            else if (wanted === "as before") expect(value, at).toBe(find(all[index - 1], number));
            else expect(value, at).toBe(wanted);
          }
          all.push(answers[0]);
        }
        socket.close();
      }
    });
  },
  ["native"],
);
