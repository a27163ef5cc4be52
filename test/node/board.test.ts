// The STM32F407's firmware on a chip that lacks nearly everything: QEMU's netduinoplus2 has no ready flags of the clocks, no
// pins, no Ethernet, no DMA, no sensors, no flash that can be written and no factory values. What a real chip lacks is among it.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, expect, test } from "vitest";
import { flash as layout } from "../../host/lib/contract.ts";
import { missing } from "../../host/lib/emulate.ts";
import { Node } from "../../host/lib/node.ts";
import { root } from "../../host/setup.mjs";
import { readImage } from "../bench/elf.ts";
import { run as tasks } from "../bench/tasks.ts";
import { first, pack, provisioned } from "../harness/module.ts";
import { eachTarget, scratch } from "../harness/target.ts";
import { feeding } from "../harness/feeding.ts";

const product = join(root, "dist/stm32f407-discovery.elf");

/** Publishes ten times a second what it reads. */
const seeing = `import { every, output, sensor } from "wasmote";
const level = sensor("level");
const seen = output("seen");
every(100, () => seen.publish(level.value));
`;

/** The product's own image in QEMU, as it is flashed: its serial line's address, and how to stop it. */
async function boot(): Promise<{ address: string } & AsyncDisposable> {
  const words =
    "-M netduinoplus2 -icount shift=3 -display none -monitor none -serial null -serial pty -serial null";
  const child = spawn("qemu-system-arm", [...words.split(" "), "-kernel", product], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = new Promise((resolve) => child.once("close", resolve));
  const stop = async () => {
    child.kill("SIGKILL");
    await ended;
  };
  for await (const line of createInterface({ input: child.stdout })) {
    const [, path] = /redirected to (\/dev\/\S+) \(label serial1\)/.exec(line) ?? [];
    if (path) return { address: `serial:${path}`, [Symbol.asyncDispose]: stop };
  }
  throw new Error("qemu-system-arm ended without a serial line");
}

describe("the product's image", () => {
  const reason = existsSync(product) ? missing("qemu-stm32") : `${product} has not been built`;
  const why = reason === undefined ? "" : ` (skipped: ${reason})`;

  test.skipIf(reason)(`comes up on a chip without its parts, and names them${why}`, async () => {
    await using board = await boot();
    await using node = await Node.connect(board.address);
    // The converter is given five seconds before it is missing.
    await expect
      .poll(async () => (await node.info()).missing, { timeout: 30_000 })
      .toContain("temperature");
    expect(await node.info()).toMatchObject({
      board: "stm32f407-discovery",
      clock: "internal",
      hertz: 16_000_000,
      missing: ["crystal", "pll", "ethernet", "accelerometer", "flash", "level", "temperature"],
      limits: { memory: 64 * 1024, package: 14_336 },
      link: { lost: 0, damaged: 0, unsent: 0 },
    });
    const log = await node.log();
    expect(log).toContainEqual(expect.stringContaining("missing: temperature"));
    expect(await node.get("sensors/rain")).toBe("0");
    // Nothing can be written: it says so, and goes on answering.
    const pushed = node.push(await pack("qemu-stm32", "moving-average", 1));
    await expect(pushed).rejects.toMatchObject({ code: "refused" });
    expect(await node.app()).toMatchObject({ state: "empty" });
  });

  test.skipIf(!existsSync(product))("leaves the provisioning record and the slots alone", () => {
    const { provision, end: code } = layout;
    const flash = layout.start;
    const { places } = readImage(product, () => "");
    expect(places.length).toBeGreaterThan(3);
    for (const { start, end, writable } of places) {
      const vectors = start >= flash && end <= flash + provision;
      // In the part of 512 KiB and in that of 1 MiB.
      const rest = start >= flash + code && end <= flash + 512 * 1024;
      const ram = start >= 0x2000_0000 && end <= 0x2002_0000;
      expect(vectors || (writable ? ram : rest), `${start.toString(16)}`).toBe(true);
    }
  });
});

eachTarget(
  "the board",
  (start, target) => {
    test("notices a sensor that begins to answer, and one that stops", async () => {
      using folder = scratch();
      const board = await provisioned(start, folder.path);
      await using node = await Node.connect(board.address);
      const lacks = async () => (await node.info()).missing;
      await expect.poll(lacks).toContain("level");
      board.feed("level", 500);
      await expect.poll(lacks).not.toContain("level");
      await expect.poll(lacks, { timeout: 30_000 }).toContain("level");
      const log = (await node.log()).join("\n");
      expect(log).toMatch(/missing: level[^]*found: level[^]*missing: level/);
    });

    test("says why a ranger gives no level, and counts it", async () => {
      using folder = scratch();
      const board = await provisioned(start, folder.path);
      await using node = await Node.connect(board.address);
      const level = () => node.get("sensors/level");
      await node.push(await pack(target, seeing, 1));
      // The module has the same value, and none where the resource has none.
      const seen = () => node.get("outputs/seen");
      await expect.poll(seen).toBe("NaN");
      await feeding(board, "level", 500, async () => {
        await expect.poll(level).toBe("500");
        await expect.poll(seen).toBe("500");
      });
      // A model for 5 m without an echo.
      board.feed("level", 5000);
      const stats = async () => JSON.stringify(await node.stats());
      await expect.poll(stats).toMatch(/"no_echo":[1-9]/);
      // A cut wire.
      await expect.poll(stats, { timeout: 30_000 }).toMatch(/"silent":[1-9]/);
      await expect.poll(seen).toBe("NaN");
      await feeding(board, "level", 600, async () => {
        await expect.poll(level).toBe("600");
        await expect.poll(seen).toBe("600");
      });
    });

    test("keeps every task within its time, and an interrupt within a byte at 921,600 baud", async () => {
      // The benchmark fails where one of them does not.
      const { tables } = await tasks();
      const [line] = tables[0]!.rows;
      expect(line?.[0]).toBe("line");
      expect(Number(line?.[1])).toBeGreaterThan(10);
      expect(Number(line?.[1])).toBeLessThan(Number(line?.[2]) / 8);
    });

    test("sleeps while there is nothing to do, and less while there is", async () => {
      using folder = scratch();
      const board = await provisioned(start, folder.path);
      await using node = await Node.connect(board.address);
      const idle = async () => Number((await node.stats()).idle);
      await expect.poll(idle, { timeout: 30_000 }).toBeGreaterThan(900);
      // Uses up its fuel again and again: never asleep for a second.
      const spin =
        'import { every } from "wasmote";\nlet sum = 0;\nevery(1, () => {\n  for (let i = 0; i < 20000; i++) sum += i;\n});\n';
      await node.push(await pack(target, spin, 1));
      await expect.poll(idle, { timeout: 30_000 }).toBeLessThan(500);
    });

    test("keeps a quarter of its stack whatever it is put through", async () => {
      using folder = scratch();
      const board = await provisioned(start, folder.path);
      await using node = await Node.connect(board.address);
      for (const [index, program] of ["flood-alarm", "vibration", "request-handler"].entries()) {
        await node.push(await pack(target, program, index + 1));
        for (let level = 0; level < 12; level++) board.feed("level", 3000 + 200 * level);
        await first(node.watchApp(), ({ sequence }) => sequence === index + 1);
        await node.discover();
        for (const accept of ["text", "cbor", "json", "senml+json", "senml+cbor"] as const) {
          for (const path of ["node", "app", "stats", "log", "sensors/level"])
            await node.get(path, { accept });
        }
      }
      await node.request("GET", "app/x/count");
      await node.rollback();
      // Measured twice a second.
      const stack = async () => {
        const { stack_size, stack_free } = await node.info();
        return { size: Number(stack_size), free: Number(stack_free) };
      };
      await expect.poll(async () => (await stack()).free).toBeLessThan(1 << 20);
      const { size, free } = await stack();
      expect(size).toBeGreaterThan(24 * 1024);
      expect(free / size).toBeGreaterThan(0.25);
    });
  },
  ["qemu-stm32"],
);
