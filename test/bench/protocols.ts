// The same sensor by CoAP, by HTTP/1.1 and by MQTT 3.1.1: what an exchange costs on the wire and on the chip. An image for the emulated board
// with Ethernet (test/bench/protocols) has the node's CoAP server, and the least of an HTTP server and of an MQTT client around crates by
// others; it counts its own instructions, packets and bytes. The other ends are Node's HTTP client and the broker Aedes.
import { createSocket } from "node:dgram";
import { existsSync } from "node:fs";
import { Agent, get } from "node:http";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { Aedes } from "aedes";
import { generate, parse, type Packet } from "coap-packet";
import { lastOf, start, type Running } from "../../host/lib/emulate/process.ts";
import { qemu } from "../../host/lib/emulate/programs.ts";
import { forwarded, monitor } from "../../host/lib/emulate/qemu.ts";
import { root } from "../../host/setup.mjs";
import { scratch } from "../harness/scratch.ts";
import type { Cell, Report } from "./report.ts";

/** Exchanges that the image leaves out before it counts. */
const warm = 5;
/** Those that the page is made of, of each kind. */
const counted = 200;
const path = ["sensors", "level"];

/** One direction: IPv4 packets, their bytes, and the bytes of their frames on Ethernet. */
interface Way {
  packets: number;
  bytes: number;
  ethernet: number;
}

/** What the exchanges of one kind took together. */
export interface Sum {
  kind: number;
  exchanges: number;
  instructions: number;
  received: Way;
  sent: Way;
}

/** The other end of an exchange; resolves once the board has ended. Given the port of this computer that leads to the board. */
type Peer = (port: number, count: number, board: Running) => Promise<void>;

/** Every exchange: the image's word for it, what its kinds are called, and the peer. */
export const exchanges: Record<string, { word: string; kinds: string[]; peer?: Peer }> = {
  "CoAP GET": { word: "coap", kinds: ["CoAP GET, confirmable"], peer: ask },
  "HTTP, one connection": {
    word: "http",
    kinds: ["HTTP/1.1 GET, one connection for all"],
    peer: (port, count, board) => fetchAll(port, count, board, true),
  },
  "HTTP, a connection each": {
    word: "http",
    kinds: ["HTTP/1.1 GET, a connection each"],
    peer: (port, count, board) => fetchAll(port, count, board, false),
  },
  notifications: {
    word: "notify",
    kinds: ["CoAP notification, confirmable", "CoAP notification, not confirmable"],
    peer: observe,
  },
  "MQTT, QoS 0": { word: "mqtt0", kinds: ["MQTT PUBLISH at QoS 0"] },
  "MQTT, QoS 1": { word: "mqtt1", kinds: ["MQTT PUBLISH at QoS 1"] },
  "MQTT, a connection each": {
    word: "mqtt-each",
    kinds: ["MQTT PUBLISH at QoS 0, a connection each"],
  },
  "MQTT, keeping alive": { word: "mqtt-ping", kinds: ["MQTT PINGREQ, which keeps the connection"] },
};

const image = join(root, "dist/protocols.elf");

/** Why nothing can be measured; undefined where it can. */
export const missingProtocols =
  qemu() === undefined
    ? "there is no qemu-system-arm"
    : existsSync(image)
      ? undefined
      : "dist/protocols.elf has not been built here";

/** So many exchanges, and a few before that are not counted; every answer is checked, and every value that is published. */
export async function measure(name: string, count: number): Promise<Sum[]> {
  const { word, peer } = exchanges[name]!;
  using folder = scratch();
  const control = join(folder.path, "qmp");
  const broker = peer === undefined ? await startBroker() : undefined;
  const port = peer === undefined ? 0 : word === "http" ? 80 : 5683;
  const way = port === 0 ? "" : `,hostfwd=${word === "http" ? "tcp" : "udp"}:127.0.0.1:0-:${port}`;
  const line = ["protocols", word, count, ...(broker ? [broker.port] : [])];
  const board = start(qemu() ?? "qemu-system-arm", [
    ...`-M mps2-an386 -icount shift=0 -nic user${way} -display none -monitor none -serial none`.split(
      " ",
    ),
    "-qmp",
    `unix:${control},server=on,wait=off`,
    "-kernel",
    image,
    "-semihosting-config",
    `enable=on,target=native,${line.map((one) => `arg=${one}`).join(",")}`,
  ]);
  try {
    await board.first((said) => (said === "ready" ? true : undefined));
    if (peer) await peer(await forwarded(await monitor(control)), count + warm, board);
    await board.ended;
  } finally {
    await board.stop();
    await broker?.stop();
  }
  const sums = board.console.flatMap((said) =>
    said.startsWith("{") ? [JSON.parse(said) as Sum] : [],
  );
  if (sums.length === 0) throw new Error(`${name}: the board said${lastOf(board.console)}`);
  if (broker && word !== "mqtt-ping") check(broker.values, count + warm, name);
  return sums;
}

/** Values come in order, each once: 1000, 1001 and so on. The last one may still be on its way. */
function check(values: string[], count: number, name: string): void {
  const wrong = values.findIndex((value, index) => value !== String(1000 + (index % 1000)));
  if (wrong >= 0 || values.length < count - 1 || values.length > count)
    throw new Error(`${name}: ${values.length} values came of ${count}, the ${wrong}th wrong`);
}

function options(): NonNullable<Packet["options"]> {
  return path.map((word) => ({ name: "Uri-Path", value: Buffer.from(word) }));
}

/** A client on UDP; whatever it is sent goes to `take`. */
async function client(port: number, board: Running, take: (datagram: Buffer) => void) {
  const socket = createSocket("udp4").bind(0, "127.0.0.1");
  await once(socket, "listening");
  let wrong: Error | undefined;
  socket.on("error", () => {});
  socket.on("message", (datagram) => {
    try {
      take(datagram);
    } catch (error) {
      wrong = error as Error;
      void board.stop();
    }
  });
  return {
    send: (datagram: Buffer) => socket.send(datagram, port, "127.0.0.1", () => {}),
    async end() {
      await board.ended;
      await new Promise<void>((resolve) => socket.close(() => resolve()));
      if (wrong) throw wrong;
    },
  };
}

async function ask(port: number, count: number, board: Running): Promise<void> {
  let number = 0;
  const next = () => {
    number += 1;
    const token = Buffer.from([number >> 8, number & 255]);
    to.send(
      generate({ code: "0.01", confirmable: true, messageId: number, token, options: options() }),
    );
  };
  const to = await client(port, board, (datagram) => {
    const { code, messageId, payload } = parse(datagram);
    if (code !== "2.05" || messageId !== number || payload.toString() !== "1000")
      throw new Error(`the board answered ${code} ${payload.toString()} to request ${number}`);
    if (number < count) next();
  });
  next();
  await to.end();
}

async function observe(port: number, _: number, board: Running): Promise<void> {
  let last: number | undefined;
  const to = await client(port, board, (datagram) => {
    const { code, confirmable, messageId, payload } = parse(datagram);
    const value = Number(payload.toString());
    if (code !== "2.05" || (last !== undefined && value !== 1000 + ((last - 999) % 1000)))
      throw new Error(`the board said ${code} ${payload.toString()} after ${last}`);
    last = value;
    if (confirmable) to.send(generate({ code: "0.00", ack: true, messageId }));
  });
  const observing = [{ name: "Observe" as const, value: Buffer.alloc(0) }, ...options()];
  const token = Buffer.from([1, 1]);
  to.send(generate({ code: "0.01", confirmable: true, messageId: 1, token, options: observing }));
  await to.end();
}

async function fetchAll(
  port: number,
  count: number,
  board: Running,
  keepAlive: boolean,
): Promise<void> {
  const agent = new Agent({ keepAlive, maxSockets: 1 });
  let over = false;
  void board.ended.then(() => (over = true));
  try {
    for (let number = 1; number <= count; number += 1) {
      const answer = await page(port, agent).catch(async (error: Error) => {
        // The board ends with its last answer.
        if (number < count) throw error;
        await board.ended;
        return undefined;
      });
      if (answer !== undefined && answer !== "200 1000")
        throw new Error(`the board answered ${answer}`);
    }
  } catch (error) {
    if (over) throw new Error(`the board has ended:${lastOf(board.console)}`);
    throw error;
  } finally {
    agent.destroy();
  }
}

function page(port: number, agent: Agent): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = get(
      { host: "127.0.0.1", port, path: `/${path.join("/")}`, agent },
      (response) => {
        let text = "";
        response.setEncoding("utf8");
        response.on("data", (part: string) => (text += part));
        response.on("end", () => resolve(`${response.statusCode} ${text}`));
        response.on("error", reject);
      },
    );
    request.on("error", reject);
  });
}

/** A broker on a port of the system's; what is published to the sensor's topic. */
async function startBroker() {
  const aedes = await Aedes.createBroker();
  const server = createServer(aedes.handle).listen(0, "127.0.0.1");
  await once(server, "listening");
  const values: string[] = [];
  aedes.on("publish", ({ topic, payload }) => {
    if (topic === path.join("/")) values.push(payload.toString());
  });
  return {
    port: (server.address() as AddressInfo).port,
    values,
    async stop() {
      await new Promise<void>((resolve) => aedes.close(() => resolve()));
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/** What one exchange took. */
export function each({ exchanges, instructions, received, sent }: Sum) {
  const of = (sum: number) => sum / exchanges;
  return {
    packets: of(received.packets + sent.packets),
    received: of(received.bytes),
    sent: of(sent.bytes),
    bytes: of(received.bytes + sent.bytes),
    ethernet: of(received.ethernet + sent.ethernet),
    instructions: of(instructions),
  };
}

export async function run(): Promise<Report> {
  if (missingProtocols !== undefined) throw new Error(missingProtocols);
  const rows: Cell[][] = [];
  const drawn: { name: string; bytes: number; instructions: number }[] = [];
  // At once: instructions are counted, and most of the time the boards sleep.
  const measured = await Promise.all(
    Object.entries(exchanges).map(async ([name, { kinds }]) => ({
      kinds,
      sums: await measure(name, counted),
    })),
  );
  for (const { kinds, sums } of measured) {
    for (const sum of sums) {
      const one = each(sum);
      const called = kinds[sum.kind]!;
      rows.push([
        called,
        sum.exchanges,
        one.packets,
        one.received,
        one.sent,
        one.bytes,
        one.ethernet,
        Math.round(one.instructions),
      ]);
      drawn.push({ name: called, bytes: one.bytes, instructions: one.instructions });
    }
  }
  const of = (name: string) => drawn.find((one) => one.name === name)!;
  const times = (name: string, base: string) => {
    const [a, b] = [of(name), of(base)];
    return `${(a.bytes / b.bytes).toFixed(1)} times the bytes and ${(a.instructions / b.instructions).toFixed(1)} times the instructions`;
  };
  const [got, told] = ["CoAP GET, confirmable", "CoAP notification, not confirmable"];
  const confirmed = "CoAP notification, confirmable";
  const ping = of("MQTT PINGREQ, which keeps the connection");
  return {
    name: "protocols",
    title: "CoAP beside HTTP and MQTT",
    method:
      "One sensor, four digits of text, on the emulated Cortex-M4F with an Ethernet controller (Arm MPS2 AN386 in QEMU, one nanosecond an instruction), in one image of the benchmark's own: " +
      "the same driver and the same smoltcp under each. CoAP: the node's own server. HTTP: httparse, answers with Content-Type and Content-Length. MQTT: mqttrs, 3.1.1, topic `sensors/level`. " +
      "The other ends are a CoAP client, Node's `http.get`, which sends Host and Connection, and the broker Aedes, through QEMU's user network. Each figure is the mean of 200 exchanges (of notifications as many in all: which are confirmed is the server's choice) after five that are not counted; " +
      "values are published 300 ms apart. Bytes are those of IPv4 packets with all headers, acknowledgements of TCP too; Ethernet has at least 64 a frame. Instructions are all that the CPU does while it is awake, driver and timers with it.",
    notes: [
      `A GET by HTTP in one connection takes ${times("HTTP/1.1 GET, one connection for all", got)} of CoAP's; with a connection each ${times("HTTP/1.1 GET, a connection each", got)}.`,
      `A value by MQTT at QoS 0 takes ${times("MQTT PUBLISH at QoS 0", told)} of a notification that is not confirmed; at QoS 1 ${times("MQTT PUBLISH at QoS 1", confirmed)} of one that is. With a connection each it is ${times("MQTT PUBLISH at QoS 0, a connection each", told)}.`,
      `What says nothing costs too: MQTT's connection wants a PINGREQ within its keep-alive, at 60 s ${Math.round(ping.bytes * 1440).toLocaleString("en")} bytes a day. An observer is asked once an hour, with a notification that is confirmed: ${Math.round(of(confirmed).bytes * 24).toLocaleString("en")} bytes a day.`,
      "In favour of the others: their servers know one path, one topic and one client, and check nothing else; the CoAP server is the product's, with rights, observers, duplicates (RFC 7252 §4.5) and limits for strangers. The HTTP server uses a socket again at once, which by RFC 9293 waits for minutes.",
      "Nothing is protected here. What OSCORE adds to a request is on the page of `coap`; TLS was not tried.",
    ],
    tables: [
      {
        title: "An exchange, at the board",
        columns: [
          "exchange",
          "exchanges",
          "packets",
          "bytes in",
          "bytes out",
          "bytes",
          "on Ethernet",
          "instructions",
        ],
        rows,
      },
    ],
    plots: [
      {
        title: "Bytes of an exchange",
        unit: "less is better",
        labels: drawn.map(({ name }) => name),
        series: [{ name: "bytes", values: drawn.map(({ bytes }) => Math.round(bytes)) }],
      },
      {
        title: "Instructions of an exchange",
        unit: "less is better",
        labels: drawn.map(({ name }) => name),
        series: [
          {
            name: "instructions",
            values: drawn.map(({ instructions }) => Math.round(instructions)),
          },
        ],
      },
    ],
  };
}
