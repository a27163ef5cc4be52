// From the reset to the first sample and the first answer, counted in instructions: QEMU tells each instruction it executes by the
// function it is in. What is counted is the CPU's work; while it waits for the client it is not counted.
import { spawn, spawnSync } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Node } from "../../host/lib/node.ts";
import { scratch, startTarget, unavailable } from "../harness/target.ts";
import type { Report } from "./report.ts";

/** Each emulated board: the interrupt that its link begins a request with, the sensor's, and the function that an answer leaves by. */
export const boards = {
  "qemu-stm32": { link: "USART2", sensor: "USART3", leaves: "4line3Out4send" },
  "qemu-mps2": { link: "ETHERNET", sensor: "UART1_RX", leaves: "11wasmote_net6output4emit" },
};

/** Parts of the symbols that mark what is looked for. */
export const loop = "3app4idle";
export const sampled = "wasmote_node..server..Server$LT$E$GT$$GT$6sample";

interface Trace {
  /** Instructions so far, and at the first one of each function. */
  count: number;
  first: Map<string, number>;
  /** Forgets where functions were entered first. */
  again(): void;
}

export async function run(): Promise<Report> {
  const rows: (string | number)[][] = [];
  const notes: string[] = [];
  for (const [target, marks] of Object.entries(boards)) {
    const reason = unavailable(target);
    if (reason !== undefined) {
      notes.push(`${target} is left out: ${reason}.`);
      continue;
    }
    using folder = scratch();
    const log = join(folder.path, "trace");
    if (spawnSync("mkfifo", [log]).status !== 0) throw new Error("mkfifo cannot be run here");
    const trace = follow(log);
    const words = ["-icount", "shift=0", "-singlestep", "-d", "exec,nochain", "-D", log];
    const board = await startTarget(target, { arguments: words });
    const at = (part: string) =>
      [...trace.first].find(([symbol]) => symbol.includes(part))?.[1] ?? NaN;
    const until = async (part: string) => {
      for (let tries = 0; Number.isNaN(at(part)); tries++) {
        if (tries === 1200) throw new Error(`${target} never came to ${part}`);
        await new Promise((resolve) => setTimeout(resolve, 25));
      }
      return at(part);
    };
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
  }
  return {
    name: "startup",
    title: "Startup: from the reset to the first sample and answer",
    method:
      "QEMU executes instruction by instruction and names the function of each. The main loop runs when the clocks, the slots in flash, the " +
      "server and the link are set up; on the Ethernet board the address comes from DHCP meanwhile. A request then costs what is counted from " +
      "the link's first interrupt until the answer is handed to it, a sample from the sensor's first byte until the server has it, with what the main loop does between its bytes. The images are " +
      "those of the tests; their flash is a file of the host's, read once.",
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
    ],
    plots: [],
  };
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
