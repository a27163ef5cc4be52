// Updates from outside, on every target: resumed after a reset without sending twice what is there, over links that lose, repeat, reorder
// and damage, and with the power cut at chosen operations of the flash.
import { spawn, spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect, test } from "vitest";
import { build } from "../../host/lib/build/build.ts";
import { Node } from "../../host/lib/node.ts";
import {
  generateKey,
  keyId,
  makeFlash,
  makePackage,
  type PackageOptions,
} from "../../host/lib/package.ts";
import { chaoticProxy } from "../harness/link.ts";
import { classOf } from "../harness/module.ts";
import { eachTarget, scratch } from "../harness/target.ts";

const key = generateKey();
const example = new URL("../../assembly/examples/flood-alarm.ts", import.meta.url).pathname;
const { module, facts } = await build(example);
/** Loopback is fast: what gets lost is sent again soon. */
const fast = { ackTimeout: 60, maxRetransmit: 9 };

eachTarget("updates", (start, target) => {
  const pack = (sequence: number, options: Partial<PackageOptions> = {}) =>
    makePackage(
      module,
      {
        vendor: "",
        class: classOf(target),
        sequence,
        name: "flood-alarm",
        version: String(sequence),
        needs: { ram: 0, table: 0, fuel: 0, sensors: facts.sensors.length, outputs: 2 },
        ...options,
      },
      key,
    );
  const flashIn = (folder: string) => {
    const flash = join(folder, "flash");
    writeFileSync(flash, makeFlash({ name: "wye", keys: [key.publicKey] }));
    return flash;
  };
  /** Reaches the end of the trial. */
  const confirm = async (node: Node, feed: (value: number) => void) => {
    for (let i = 0; i < 9; i++) feed(100 + i);
    for await (const { state } of node.watchApp()) if (state === "confirmed") return;
  };

  test("an upload that a reset cut off goes on from the block it had come to", async () => {
    using folder = scratch();
    const board = await start({ flash: flashIn(folder.path) });
    await using node = await Node.connect(board.address);
    const bytes = pack(1);
    const blockSize = 64;
    const cut = new AbortController();
    const pushed = node.push(bytes, {
      blockSize,
      signal: cut.signal,
      onProgress: (sent) => sent >= 512 && cut.abort(new Error("cut")),
    });
    await expect(pushed).rejects.toMatchObject({ code: "aborted" });
    await board.reset();
    const staged = await node.get("app/staged", { accept: "json" });
    const { received, size } = JSON.parse(staged) as { received: number; size: number };
    expect(size).toBe(bytes.length);
    // The last piece that was begun does not count after a reset.
    expect(received).toBeGreaterThanOrEqual(512 - blockSize);
    const before = await datagrams(node);
    const told: number[] = [];
    await node.push(bytes, { blockSize, onProgress: (sent) => told.push(sent) });
    expect(told[0]).toBe(Math.floor(received / blockSize) * blockSize + blockSize);
    expect(await node.app()).toMatchObject({ state: "trial", sequence: 1 });
    // What the node counts: the blocks that were missing, /app/staged, /app, and this; an acknowledgement to a separate response.
    const blocks = Math.ceil(
      (bytes.length - Math.floor(received / blockSize) * blockSize) / blockSize,
    );
    expect((await datagrams(node)) - before).toBeLessThan(blocks * 2 + 8);
  });

  test("keys are changed by a package that the old one signed", async () => {
    using folder = scratch();
    const board = await start({ flash: flashIn(folder.path) });
    await using node = await Node.connect(board.address);
    const next = generateKey();
    const rotation = { addKey: next.publicKey, dropKey: keyId(key.publicKey) };
    await node.push(pack(1, rotation));
    await confirm(node, (value) => board.feed("level", value));
    await board.reset();
    expect((await node.info()).trusted).toEqual([
      Buffer.from(keyId(next.publicKey)).toString("hex"),
    ]);
    await expect(node.push(pack(2))).rejects.toMatchObject({ refusal: "unknown-key" });
    const own = makePackage(
      module,
      {
        vendor: "",
        class: classOf(target),
        sequence: 2,
        name: "flood-alarm",
        version: "2",
        needs: { ram: 0, table: 0, fuel: 0, sensors: 1, outputs: 2 },
      },
      next,
    );
    await node.push(own);
    // The same module once more is no way back from itself.
    expect(await node.app()).toMatchObject({ state: "trial", sequence: 2, previous: 0 });
  });

  if (target === "native") {
    test.each([1, 2, 3])(
      "a package arrives over a link that loses three in ten, repeats and reorders (seed %i)",
      async (seed) => {
        using folder = scratch();
        const board = await start({ flash: flashIn(folder.path) });
        const chaos = { seed, loss: 0.3, repeat: 0.2, late: 0.3, delay: 60 };
        await using proxy = await chaoticProxy(board.address, chaos);
        await using node = await Node.connect(proxy.address, fast);
        await node.push(pack(1), { blockSize: 64 });
        expect(await node.app()).toMatchObject({ sequence: 1, size: module.length });
        board.feed("level", 4000);
        for await (const { value } of node.observe("outputs/flow")) {
          expect(value).toBe(160);
          break;
        }
        const { lost, repeated, late } = proxy.counts;
        expect(Math.min(lost, repeated, late)).toBeGreaterThan(2);
      },
    );

    const python = spawnSync("python3", ["--version"]).error
      ? "python3 is not on the PATH"
      : undefined;
    test.skipIf(python !== undefined)(
      `a package arrives over a serial line with noise${python ? ` (skipped: ${python})` : ""}`,
      async () => {
        using folder = scratch();
        const board = await start({ flash: flashIn(folder.path), link: "serial" });
        const script = new URL("../harness/noise.py", import.meta.url).pathname;
        const words = [script, board.address.slice("serial:".length), "7", "400"];
        const noise = spawn("python3", words, { stdio: ["pipe", "pipe", "inherit"] });
        try {
          const lines = createInterface({ input: noise.stdout })[Symbol.asyncIterator]();
          const address = `serial:${String((await lines.next()).value)}`;
          await using node = await Node.connect(address, fast);
          await node.push(pack(1), { blockSize: 64 });
          expect(await node.app()).toMatchObject({ sequence: 1, size: module.length });
          noise.stdin.end();
          expect(Number((await lines.next()).value)).toBeGreaterThan(5);
        } finally {
          noise.kill();
        }
      },
    );
  }

  if (target === "qemu-stm32") {
    test("power that is cut in the middle of a flash operation leaves one good package", async () => {
      using folder = scratch();
      const flash = flashIn(folder.path);
      let board = await start({ flash });
      {
        await using node = await Node.connect(board.address);
        await node.push(pack(1));
        await confirm(node, (value) => board.feed("level", value));
      }
      await board.stop();
      let sequence = 2;
      let cuts = 0;
      const seen = new Set<number>();
      // The first operations prepare the slot, then come the blocks, the branch table, and what begins the trial.
      for (const operation of [1, 2, 3, 5, 8, 20, 60, 90]) {
        board = await start({
          flash,
          arguments: [
            "-semihosting-config",
            `enable=on,target=native,chardev=console,arg=cut=${operation}`,
          ],
        });
        {
          await using node = await Node.connect(board.address, { patience: 3000 });
          await node.push(pack(sequence), { blockSize: 512 }).catch(() => {});
          if (board.console.some((line) => line.startsWith("power cut"))) cuts++;
          // Behind the last operation the whole package is there.
          await board.stop();
        }
        board = await start({ flash });
        await using node = await Node.connect(board.address);
        const app = await node.app();
        expect([sequence - 1, sequence], `operation ${operation}`).toContain(app.sequence);
        expect(app.highest).toBeGreaterThanOrEqual(app.sequence ?? 0);
        expect(["trial", "confirmed"]).toContain(app.state);
        expect(app.event?.what).not.toBe("damaged");
        seen.add(app.sequence ?? 0);
        if (app.highest === sequence) {
          await confirm(node, (value) => board.feed("level", value));
          sequence = (app.sequence ?? 0) + 1;
        }
        await board.stop();
      }
      process.stdout.write(`QEMU was ended at ${cuts} flash operations\n`);
      expect(cuts).toBeGreaterThan(5);
    });
  }
});

/** Datagrams that the node has counted. */
async function datagrams(node: Node): Promise<number> {
  const { coap } = await node.info();
  return coap.received ?? 0;
}
