// One serial line for everything: CoAP both ways, the node's log as text beside it (slipmux), and noise.
import { closeSync, constants, openSync, writeSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { generate } from "coap-packet";
import { expect, test } from "vitest";
import { encodeFrame, frameDecoder } from "../../host/lib/coap/slipmux.ts";
import { Node } from "../../host/lib/node.ts";
import { counted, counting, ticking } from "../harness/counting.ts";
import { pack, provisioned } from "../harness/module.ts";
import { randomBelow } from "../harness/random.ts";
import { eachTarget, scratch } from "../harness/target.ts";
import { feeding } from "../harness/feeding.ts";

test("a line is read right however its bytes are cut up, with noise between datagrams and text", () => {
  const below = randomBelow(7);
  const datagrams = Array.from({ length: 200 }, (_, number) =>
    Buffer.from([0x50, 0x00, number, ...Array.from({ length: below(80) }, () => below(256))]),
  );
  const line: number[] = [];
  for (const [number, datagram] of datagrams.entries()) {
    line.push(...encodeFrame(0x0a, Buffer.from(`line ${number} – ä\n`)));
    // Noise without the bytes that end or begin a frame, as of a cable that is plugged in.
    line.push(...Array.from({ length: below(20) }, () => 0x20 + below(90)));
    line.push(...encodeFrame(0xa9, datagram));
  }
  const [got, text]: [Buffer[], string[]] = [[], []];
  const decode = frameDecoder(
    (datagram) => got.push(Buffer.from(datagram)),
    (words) => text.push(words),
  );
  for (let at = 0; at < line.length;) {
    const length = 1 + below(40);
    decode(Buffer.from(line.slice(at, at + length)));
    at += length;
  }
  expect(got).toEqual(datagrams);
  expect(text).toEqual(datagrams.map((_, number) => `line ${number} – ä`));
});

eachTarget(
  "a serial line",
  (start, target) => {
    test("carries the log as text beside requests, observations and noise", async () => {
      using folder = scratch();
      const board = await provisioned(start, folder.path, { link: "serial" });
      const text: string[] = [];
      await using node = await Node.connect(board.address, { onText: (line) => text.push(line) });
      await node.push(await pack(target, "flood-alarm", 1));
      // A second hand on the same line, which writes what it likes and reads nothing.
      const noise = openSync(
        board.address.slice("serial:".length),
        constants.O_WRONLY | constants.O_NOCTTY,
      );
      const below = randomBelow(3);
      // Each round floods, or ends a flood, and the filter says so in the log.
      for (let round = 0; round < 10; round++) {
        const bytes = Array.from({ length: below(60) }, () => below(256));
        // Its end is marked: what came behind would else be lost with it, until the client sends it again.
        writeSync(noise, Buffer.from([...bytes, 0xc0, ...encodeFrame(0x0a, Buffer.from("hello"))]));
        const level = String(round % 2 ? 20 + round : 4800 + round);
        const shown = () => node.get("sensors/level");
        await feeding(board, "level", Number(level), () =>
          expect.poll(shown, { timeout: 20_000 }).toBe(level),
        );
      }
      closeSync(noise);
      await node.remove();
      // What the log has since then, the line has carried as text, in the same order.
      const log = await node.log();
      const since = log.slice(log.findIndex((line) => line.includes("goes on trial")));
      expect(since.filter((line) => /module@\d+: flood/.test(line)).length).toBeGreaterThan(2);
      const carried = () => text.filter((line) => since.includes(line));
      await expect.poll(carried, { timeout: 20_000 }).toEqual(since);
      expect((await node.info()).name).toBe("wye");
    });

    test("a flood of discovery takes no sample and no tick from the module", async () => {
      using folder = scratch();
      const board = await provisioned(start, folder.path, { link: "serial" });
      await using node = await Node.connect(board.address);
      await node.push(await pack(target, counting("level"), 1));
      board.feed("level", 1000);
      await expect.poll(() => counted(node, "samples"), { timeout: 30_000 }).toBeGreaterThan(0);
      await expect.poll(() => counted(node, "ticks"), { timeout: 30_000 }).toBeGreaterThan(1);
      const before = await counted(node, "samples");
      const paced = await ticking(node);

      // As much as the line takes, each request a new one; what it does not take now is left out.
      const path = board.address.slice("serial:".length);
      const line = openSync(path, constants.O_WRONLY | constants.O_NOCTTY | constants.O_NONBLOCK);
      let [flooding, sent] = [true, 0];
      const wave = async () => {
        for (let id = 0; flooding; id = (id + 1) % 0x1_0000) {
          const options = [".well-known", "core"].map((part) => ({
            name: "Uri-Path" as const,
            value: Buffer.from(part),
          }));
          const token = Buffer.of(id >> 8, id & 255, 7);
          const request = {
            code: "0.01",
            confirmable: false,
            messageId: id,
            token,
            options,
          } as const;
          try {
            sent += writeSync(line, Buffer.from([0xc0, ...encodeFrame(0xa9, generate(request))]));
          } catch (error) {
            if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
          }
          await delay(1);
        }
      };
      const waves = wave();
      const fed = 60;
      for (let sample = 0; sample < fed; sample++) {
        board.feed("level", 1000 + sample);
        await delay(50);
      }
      flooding = false;
      await waves;
      closeSync(line);
      expect(sent).toBeGreaterThan(4_000);

      // All samples came to the module, its ticks kept to the board's own time, and nothing was reset.
      const samples = async () => (await counted(node, "samples")) - before;
      await expect.poll(samples, { timeout: 60_000 }).toBe(fed);
      const { ticks, due } = await paced();
      expect(ticks).toBeGreaterThan(due - 3 - due / 50);
      expect((await node.stats()).samples_dropped).toBe(0);
    }, 120_000);
  },
  ["native", "qemu-stm32"],
);
