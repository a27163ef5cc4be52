// Time on the emulated boards goes on where words end: the debugger sets their clock to a few seconds before, and everything that
// goes by it is watched across.
import { join } from "node:path";
import { expect, test } from "vitest";
import { Node } from "../../host/lib/node.ts";
import { root } from "../../host/setup.mjs";
import { debuggerWords, symbol, whileStopped } from "../harness/debugger.ts";
import { first, pack, provisioned } from "../harness/module.ts";
import { eachTarget, scratch } from "../harness/target.ts";
import { feeding } from "../harness/feeding.ts";

const images: Record<string, string> = {
  "qemu-stm32": "dist/stm32f407-qemu.elf",
  "qemu-mps2": "dist/mps2-an386.elf",
};

/** Counts its ticks of 50 ms, and says what time they come at. */
const ticking = `import { every, now, output } from "wasmote";
const count = output("count", "");
const time = output("time", "s");
let ticks = 0;
every(50, () => {
  ticks++;
  count.publish(<f32>ticks);
  time.publish(<f32>(now() / 1000));
});
`;

eachTarget(
  "the clock",
  (start, target) => {
    for (const [name, end] of [
      ["2^31 ms, day 24.8", 2 ** 31],
      ["2^32 ms, day 49.7", 2 ** 32],
    ] as const) {
      test(`goes on at ${name}: ticks, uptime, samples and observers`, async () => {
        using folder = scratch();
        const socket = join(folder.path, "gdb");
        const board = await provisioned(start, folder.path, { arguments: debuggerWords(socket) });
        await using node = await Node.connect(board.address);
        await node.push(await pack(target, ticking, 1));
        const count = async () => Number(await node.get("outputs/count"));
        await expect.poll(count, { timeout: 30_000 }).toBeGreaterThan(1);

        // A second and a half before the end: its lower word, and how many halves of it are over.
        const moment = end - 1500;
        const words = Buffer.alloc(8);
        words.writeUInt32LE(moment % 2 ** 32, 0);
        words.writeUInt32LE(Math.floor(moment / 2 ** 31), 4);
        const clock = symbol(join(root, images[target]!), "wasmote_clock");
        await whileStopped(socket, async (memory) => {
          const before = await memory.read(clock, 8);
          expect(before.readUInt32LE(0)).toBeGreaterThan(0);
          await memory.write(clock, words);
        });

        const uptime = async () => Number((await node.info()).uptime);
        // Uptime is in milliseconds, and goes over the end.
        await expect.poll(uptime, { timeout: 60_000 }).toBeGreaterThan(end + 500);
        const there = await count();
        await expect.poll(count, { timeout: 30_000 }).toBeGreaterThan(there + 10);
        // A module's clock has 32 bits: differences of its times stay right, and at the end of them it begins anew.
        const own = (Number(await node.get("outputs/time")) * 1000 - end) % 2 ** 32;
        expect((own + 2 ** 32) % 2 ** 32).toBeLessThan(600_000);
        // Observers, and the sensors' own time-outs, are served as before.
        const later = first(
          node.observe("outputs/count"),
          ({ value }) => Number(value) > there + 20,
        );
        await later;
        const level = () => node.get("sensors/level");
        await feeding(board, "level", 1234, () =>
          expect.poll(level, { timeout: 30_000 }).toBe("1234"),
        );
        expect(await uptime()).toBeLessThan(end + 600_000);
        expect((await node.app()).state).toBe("confirmed");
      }, 120_000);
    }
  },
  ["qemu-stm32", "qemu-mps2"],
);
