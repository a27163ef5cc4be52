// Whatever arrives by the link, the node goes on answering: malformed datagrams, and noise where the link is a serial line.
import { createSocket } from "node:dgram";
import { EventEmitter, once } from "node:events";
import { generate, parse } from "coap-packet";
import { SerialPort } from "serialport";
import { expect, test } from "vitest";
import type { Emulated } from "../../host/lib/emulate.ts";
import { encodeFrame, frameDecoder } from "../../host/lib/coap/slipmux.ts";
import { Node } from "../../host/lib/node.ts";
import { echo, first, pack, provisioned } from "../harness/module.ts";
import { randomBelow } from "../harness/random.ts";
import { eachTarget, scratch } from "../harness/target.ts";
import { feeding } from "../harness/feeding.ts";

/** Requests that are good, and will be made bad. */
const good = [
  generate({
    code: "0.01",
    confirmable: true,
    messageId: 1,
    token: Buffer.from([1]),
    options: path("node"),
  }),
  generate({
    code: "0.01",
    confirmable: false,
    messageId: 2,
    token: Buffer.from([2, 3]),
    options: [{ name: "Observe", value: Buffer.alloc(0) }, ...path("sensors", "level")],
  }),
  generate({
    code: "0.03",
    confirmable: true,
    messageId: 3,
    token: Buffer.from([4]),
    options: [...path("app"), { name: "Block1", value: Buffer.from([0x0e]) }],
    payload: Buffer.alloc(64, 0xd2),
  }),
  generate({ code: "0.00", confirmable: true, messageId: 4, token: Buffer.alloc(0) }),
];

function path(...segments: string[]) {
  return segments.map((segment) => ({ name: "Uri-Path" as const, value: Buffer.from(segment) }));
}

/** Datagrams that are random, or were good once: the same ones in every run. */
function* bad(count: number): Generator<Buffer> {
  const below = randomBelow(1);
  for (let i = 0; i < count; i++) {
    if (i % 3 === 0) {
      yield Buffer.from(Array.from({ length: below(60) }, () => below(256)));
      continue;
    }
    const bytes = Buffer.from(good[below(good.length)]!);
    for (let changes = 1 + below(4); changes > 0; changes--)
      bytes[below(bytes.length)] = below(256);
    yield bytes.subarray(0, below(4) === 0 ? below(bytes.length) : bytes.length);
  }
  // Longer than any CoAP message the node takes, and longer than a frame of Ethernet.
  yield Buffer.alloc(1400, 0x41);
  yield Buffer.alloc(4000, 0x41);
}

/** A way to send what no CoAP client would. */
async function sender(
  board: Emulated,
): Promise<{ send(datagram: Buffer): Promise<void>; close(): Promise<void> }> {
  if (board.address.startsWith("coap:")) {
    const { hostname, port } = new URL(board.address);
    const socket = createSocket("udp4");
    socket.on("error", () => {});
    return {
      send: (datagram) =>
        new Promise((resolve) => socket.send(datagram, Number(port), hostname, () => resolve())),
      close: async () => void socket.close(),
    };
  }
  const line = await openLine(board);
  return {
    send: (datagram) => line.send(Buffer.from(encodeFrame(0xa9, datagram))),
    close: () => line.close(),
  };
}

async function openLine(board: Emulated) {
  const port = new SerialPort({ path: board.address.slice("serial:".length), baudRate: 115_200 });
  await once(port, "open");
  const answers = new EventEmitter();
  port.on(
    "data",
    frameDecoder(
      (datagram) => answers.emit(String(parse(datagram).messageId)),
      () => {},
    ),
  );
  const send = (bytes: Buffer) =>
    new Promise<void>((resolve) => {
      port.write(bytes);
      port.drain(() => resolve());
    });
  return {
    send,
    /** Resolves when a ping (RFC 7252 §4.3) that is sent once is answered. */
    ping: async (messageId: number) => {
      const answered = once(answers, String(messageId), { signal: AbortSignal.timeout(20_000) });
      const ping = { code: "0.00", confirmable: true, messageId, token: Buffer.alloc(0) };
      await send(Buffer.from(encodeFrame(0xa9, generate(ping))));
      await answered;
    },
    close: () => new Promise<void>((resolve) => port.close(() => resolve())),
  };
}

/** The node is whole: its module runs, and it says how often it was wronged. */
async function alive(
  board: Emulated,
  level: number,
): Promise<Record<string, Record<string, number>>> {
  await using node = await Node.connect(board.address);
  await feeding(board, "level", level, () =>
    first(node.observe("outputs/echo"), ({ value }) => value === level),
  );
  const { coap, link, queues } = await node.info();
  const { lost = 0, damaged = 0, unsent = 0 } = link;
  return { coap, link: { lost, damaged, unsent }, queues };
}

eachTarget("hostile traffic", (start, target) => {
  test("malformed datagrams do no harm and are counted", async () => {
    using folder = scratch();
    const board = await provisioned(start, folder.path);
    {
      await using node = await Node.connect(board.address);
      await node.push(await pack(target, echo, 1));
    }
    const line = await sender(board);
    let sent = 0;
    // A line is slower than a network.
    for (const datagram of bad(board.address.startsWith("serial:") ? 400 : 1500)) {
      await line.send(datagram);
      // Now and then the node is left time to read, or the operating system drops most of it.
      if (++sent % 50 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await line.close();
    const { coap } = await alive(board, 1234);
    expect(coap?.malformed).toBeGreaterThan(50);
    expect(coap?.observers).toBeLessThanOrEqual(16);
    expect(board.console.join("\n")).not.toContain("panic");
  });

  if (target === "qemu-mps2") return;
  test("noise on the serial line costs the frame it is in and no other", async () => {
    using folder = scratch();
    const board = await provisioned(start, folder.path, { link: "serial" });
    {
      await using node = await Node.connect(board.address);
      await node.push(await pack(target, echo, 1));
    }
    const below = randomBelow(2);
    const line = await openLine(board);
    for (let burst = 1; burst <= 40; burst++) {
      const noise = Array.from({ length: below(400) }, () => below(256));
      // A frame cut in two, one with a wrong sum, an escape at the end, text; and then a good one.
      const frame = encodeFrame(0xa9, good[0]!);
      const damaged = frame.map((byte, index) => (index === 5 ? byte ^ 0x55 : byte));
      const text = encodeFrame(0x0a, Buffer.from("hello"));
      await line.send(
        Buffer.from([...noise, ...frame.slice(0, 9), ...damaged, 0xdb, 0xc0, ...text]),
      );
      await line.ping(burst);
    }
    await line.close();
    const { link } = await alive(board, 1234);
    expect(link?.damaged).toBeGreaterThanOrEqual(40);
    expect(board.console.join("\n")).not.toContain("panic");
  });
});
