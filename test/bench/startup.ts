// From the reset to the first sample and the first answer, counted in instructions: QEMU tells each instruction it executes by the
// function it is in. What is counted is the CPU's work; while it waits for the client it is not counted.
import { spawn, spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Node } from "../../host/lib/node.ts";
import { generateKey, makeFlash } from "../../host/lib/package.ts";
import { scratch, startTarget, unavailable } from "../harness/target.ts";
import type { Report } from "./report.ts";
import { moduleOf, pack } from "./update.ts";

/** Each emulated board: the interrupt that its link begins a request with, the sensor's, and the function that an answer leaves by. */
export const boards = {
  "qemu-stm32": { link: "USART2", sensor: "USART3", leaves: "4line3Out4send" },
  "qemu-mps2": { link: "ETHERNET", sensor: "UART1_RX", leaves: "11wasmote_net6output4emit" },
};

/** Parts of the symbols that mark what is looked for. */
export const loop = "3app4idle";
export const sampled = "wasmote_node..server..Server$LT$E$GT$$GT$6sample";

/** Parts of the symbols by which a package's module is entered. */
export const entered = { interpreted: "wasmote_engine_run", compiled: "wasmote_compiler_enter" };

interface Trace {
  /** Instructions so far, and at the first one of each function. */
  count: number;
  first: Map<string, number>;
  /** Forgets where functions were entered first. */
  again(): void;
}

export async function run(): Promise<Report> {
  const rows: (string | number)[][] = [];
  const packages: (string | number)[][] = [];
  const notes: string[] = [];
  for (const [target, marks] of Object.entries(boards)) {
    const reason = unavailable(target);
    if (reason !== undefined) {
      notes.push(`${target} is left out: ${reason}.`);
      continue;
    }
    const { trace, board, until } = await traced(target);
    const ready = await until(loop);
    // A board that samples by itself has done so by now.
    const own = await Promise.race([
      until(sampled),
      new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), 2000)),
    ]);
    trace.again();
    {
      await using node = await Node.connect(board.address);
      const level = await node.get("sensors/button");
      if (!["", "0"].includes(level)) throw new Error(`${target} answered ${level}`);
    }
    const answer = (await until(marks.leaves)) - (await until(marks.link));
    trace.again();
    board.feed("level", 1234);
    const sample = (await until(sampled)) - (await until(marks.sensor));
    rows.push([target, ready, own ?? ready + sample, ready + answer, answer, sample]);
    await board.stop();
    const of = {
      interpreted: await activated(target, "interpreted"),
      compiled: await activated(target, "compiled"),
    };
    packages.push([target, of.interpreted, of.compiled, of.compiled - of.interpreted]);
  }
  notes.push(
    "A request over the serial line of qemu-stm32 has in it what the node does between its bytes: on an idle computer 13,107 instructions, on a busy one up to twenty times as many.",
  );
  return {
    name: "startup",
    title: "Startup: from the reset to the first sample and answer",
    method:
      "QEMU executes instruction by instruction and names the function of each. The main loop runs when the clocks, the slots in flash, the " +
      "server and the link are set up; on the Ethernet board the address comes from DHCP meanwhile. A request then costs what is counted from " +
      "the link's first interrupt until the answer is handed to it, a sample from the sensor's first byte until the server has it, with what the main loop does between its bytes. The images are " +
      "those of the tests; their flash is a file of the host's, read once. A package that was confirmed before the reset is validated, compiled or not as " +
      "`/app/tier` says, and begun.",
    notes,
    tables: [
      {
        title: "Instructions",
        columns: [
          "board",
          "reset to main loop",
          "reset to first sample",
          "reset to first answer",
          "of these: the request",
          "a sample of the level sensor",
        ],
        rows,
      },
      {
        title: "From the reset to the first instruction of a package's module of 1 KiB",
        columns: ["board", "interpreted", "compiled", "for compiling, and looking at the code"],
        rows: packages,
      },
    ],
    plots: [],
  };
}

/** A board that tells each instruction, with this flash if it is given; and how to wait for a part of a function's symbol. */
async function traced(target: string, flash?: string) {
  const folder = scratch();
  const log = join(folder.path, "trace");
  if (spawnSync("mkfifo", [log]).status !== 0) throw new Error("mkfifo cannot be run here");
  const trace = follow(log);
  const words = ["-icount", "shift=0", "-singlestep", "-d", "exec,nochain", "-D", log];
  const board = await startTarget(target, { arguments: words, ...(flash ? { flash } : {}) });
  const at = (part: string) =>
    [...trace.first].find(([symbol]) => symbol.includes(part))?.[1] ?? NaN;
  const until = async (part: string) => {
    for (let tries = 0; Number.isNaN(at(part)); tries++) {
      if (tries === 1200) throw new Error(`${target} never came to ${part}`);
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
    return at(part);
  };
  const stop = async () => {
    await board.stop();
    folder[Symbol.dispose]();
  };
  const feed = (...words: Parameters<typeof board.feed>) => board.feed(...words);
  return { trace, until, board: { address: board.address, feed, stop } };
}

/** Instructions from the reset to the first one of a package's module, which was installed and confirmed before. */
async function activated(target: string, tier: keyof typeof entered): Promise<number> {
  using folder = scratch();
  const key = generateKey();
  const flash = join(folder.path, "flash");
  writeFileSync(flash, makeFlash({ keys: [key.publicKey] }));
  const before = await startTarget(target, { flash });
  try {
    await using node = await Node.connect(before.address);
    await node.setTier(tier);
    await node.push(
      pack(moduleOf(1024, 1), target === "qemu-stm32" ? "stm32f407" : "mps2-an386", 1, key),
    );
    // It ticks ten times a second, and is confirmed after some good runs.
    for (let tries = 0; ; tries++) {
      const { state, tier: now, why } = await node.app();
      if (now !== tier) throw new Error(`${target}: ${now} ${why}`);
      if (state === "confirmed") break;
      if (tries === 600) throw new Error(`${target}: never confirmed`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  } finally {
    await before.stop();
  }
  const { board, until } = await traced(target, flash);
  try {
    return await until(entered[tier]);
  } finally {
    await board.stop();
  }
}

/** Reads what QEMU writes about each instruction. */
function follow(log: string): Trace {
  const trace: Trace = {
    count: 0,
    first: new Map(),
    again: () => trace.first.clear(),
  };
  const reader = spawn("cat", [log], { stdio: ["ignore", "pipe", "inherit"] });
  createInterface({ input: reader.stdout }).on("line", (line) => {
    if (!line.startsWith("Trace")) return;
    trace.count += 1;
    const symbol = line.slice(line.lastIndexOf("]") + 2);
    if (!trace.first.has(symbol)) trace.first.set(symbol, trace.count);
  });
  return trace;
}
