// The tasks of the STM32F407's firmware: how long each takes at most, and whether that loses a byte at 921,600 baud.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { emulate, missing } from "../../host/lib/emulate.ts";
import { Node } from "../../host/lib/node.ts";
import { makeFlash } from "../../host/lib/package.ts";
import { first, key, pack } from "../harness/module.ts";
import type { Report } from "./report.ts";

/** SysTick counts at 168 MHz, in QEMU too, where an instruction takes 8 ns (`-icount shift=3`). */
const [megahertz, nanoseconds] = [168, 8];
/** A byte of the serial link: ten bits at 921,600 baud. */
const byteMicros = 10e6 / 921_600;
/** The circle that DMA fills. */
const circle = 2048;
/** What the processor does before the first instruction of a handler, with the registers of floats (ARMv7-M: 12 + 17). */
const entry = 29;
/** Instructions in `sleep` between masking and unmasking, and a multiple of what they can take with wait states. */
const masked = 30 * 6;

/** What each task must keep to, in microseconds, for the reason given. */
const limits: Record<string, [number, string]> = {
  line: [byteMicros, "a byte comes every 10.8 µs"],
  half: [byteMicros, "it shares its priority with `line`"],
  sonar: [1041, "a byte comes every 1,041 µs"],
  frames: [1041, "it shares its priority with `sonar`"],
  tick: [1000, "once a millisecond"],
  serve: [circle * byteMicros, "DMA fills the circle of 2,048 bytes in 22 ms"],
};

/** The most cycles of each task after everything that a node does. */
export async function longest(): Promise<Record<string, number>> {
  const folder = mkdtempSync(join(tmpdir(), "wasmote-"));
  const flash = join(folder, "flash");
  writeFileSync(flash, makeFlash({ name: "bench", keys: [key.publicKey] }));
  const board = await emulate({ machine: "qemu-stm32", flash });
  try {
    await using node = await Node.connect(board.address);
    for (const [index, program] of ["flood-alarm", "request-handler"].entries()) {
      await node.push(await pack("qemu-stm32", program, index + 1));
      for (let level = 0; level < 12; level++) board.feed("level", 3000 + 200 * level);
      await first(node.watchApp(), ({ sequence }) => sequence === index + 1);
    }
    await node.discover();
    for (const accept of ["text", "cbor", "json", "senml+json", "senml+cbor"] as const) {
      for (const path of ["node", "app", "stats", "log", "sensors/level"])
        await node.get(path, { accept });
    }
    await node.request("GET", "app/x/count");
    const stats = JSON.parse(await node.get("stats", { accept: "json" })) as object;
    return "longest" in stats ? (stats.longest as Record<string, number>) : {};
  } finally {
    await board.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

export async function run(): Promise<Report> {
  const reason = missing("qemu-stm32");
  if (reason !== undefined) throw new Error(reason);
  const found = await longest();
  const rows = Object.entries(limits).map(([task, [micros, why]]) => {
    const cycles = found[task] ?? Number.NaN;
    const instructions = Math.round((cycles / megahertz / nanoseconds) * 1000);
    if (!(cycles / megahertz <= micros)) throw new Error(`${task} takes ${cycles} cycles: ${why}`);
    return [task, cycles > 0 ? instructions : "does not run", Math.round(micros * megahertz), why];
  });
  const instructions = (task: string) => Number(rows.find(([name]) => name === task)?.[1]);
  // Twice an instruction's cycle for loads, and six more for each instruction that would have to wait for flash.
  const other = instructions("line");
  const latency = entry + masked + other * 8;
  if (!(latency < byteMicros * megahertz)) throw new Error(`an interrupt waits ${latency} cycles`);
  return {
    name: "tasks",
    title: "Tasks: longest times, and the serial link at 921,600 baud",
    method:
      "Each task of the firmware measures itself with SysTick, from its first line to its last and with what interrupted it, and /stats tells the " +
      "longest. Here in QEMU, after two updates, 24 samples and every resource in every format; an instruction is 8 ns there, so that cycles are " +
      "turned into instructions. `may take` is in cycles at 168 MHz.",
    notes: [
      "QEMU has no DMA, no Ethernet and no pins: `half` and `frames` do not run there, `line` also takes what DMA would; it is " +
        "measured for each byte.",
      `With DMA no instruction is needed between two bytes, and the circle lasts ${Math.round((circle * byteMicros) / 100) / 10} ms. Without it the interrupt would have ` +
        `${Math.round(byteMicros * megahertz)} cycles; it waits at most for the processor (${entry}), the masked part of sleep (${masked}) and one run of the other task of ` +
        `its priority, which is shorter than its own (eight cycles an instruction, as if each waited for flash): ${latency} cycles.`,
      "Erasing a sector stops the CPU for up to 500 ms, in which 46 KiB would come at that baud: no circle holds that, and the sender waits for the answer " +
        "to its first block meanwhile.",
    ],
    tables: [
      {
        title: "Longest times",
        columns: ["task", "instructions", "may take (cycles)", "because"],
        rows,
      },
    ],
    plots: [],
  };
}
