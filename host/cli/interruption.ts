// Ctrl-C and its relatives. A verb takes the signals only while it has something to close: a link, a node that it started, a terminal that
// it draws on. Whatever else it does is ended by the signal's own action, at once, also where the code computes for minutes or waits for a
// file and never returns to the loop.
import { closeSync } from "node:fs";
import { setImmediate as turn } from "node:timers/promises";
import { isatty } from "node:tty";
import { NodeError } from "../lib/errors.ts";

/** The exit code of a verb that took the signal; where its default acts, a shell says 128 and the signal's number: 130 for Ctrl-C. */
export const interruptedExit = 130;

const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
const controller = new AbortController();

/** How many have something to close now. */
let holders = 0;
/** Whether Ctrl-C is how the verb ends, and no failure. */
let regular = false;
/** Descriptors that are terminals; asked while they are there: one that is gone is no terminal any more. */
let terminals: readonly number[] = [];

const handlers = signals.map(
  (name) =>
    [
      name,
      () => {
        if (name === "SIGHUP") process.once("exit", leave);
        // A second time it ends at once.
        if (controller.signal.aborted) process.exit(interruptedExit);
        controller.abort(new Error(`interrupted (${name})`));
      },
    ] as const,
);

function hold(): void {
  if (holders++ > 0) return;
  terminals = [0, 1, 2].filter((descriptor) => isatty(descriptor));
  for (const [name, handler] of handlers) process.on(name, handler);
}

function release(): void {
  // What was interrupted is closing, and a second Ctrl-C is to find it.
  if (--holders > 0 || controller.signal.aborted) return;
  for (const [name, handler] of handlers) process.off(name, handler);
}

/** Signals that came while the code computed are heard: the loop asks for them once a turn, and may have asked in this one. */
async function heard(): Promise<void> {
  await turn();
  await turn();
}

/**
 * Does what has to be closed in order: the signal fires at Ctrl-C, when the terminal is closed, or when the verb is told to end. What comes of
 * it is not given once that has happened, unless Ctrl-C is the verb's regular end.
 */
export async function heeding<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  hold();
  try {
    const result = await work(controller.signal);
    await heard();
    if (controller.signal.aborted && !regular)
      throw new NodeError("aborted", "interrupted", { cause: controller.signal.reason });
    return result;
  } finally {
    await heard();
    release();
  }
}

/** For a verb that goes on until Ctrl-C, which is its regular end: from here on it takes the signals. */
export function untilInterrupted(): AbortSignal {
  endsRegularly();
  hold();
  return controller.signal;
}

/** From here on Ctrl-C is how the verb ends. */
export function endsRegularly(): void {
  regular = true;
}

/** The exit code of a verb that was interrupted: 0 where that is its regular end. */
export function interruptedCode(): number | undefined {
  if (!controller.signal.aborted) return undefined;
  return regular ? 0 : interruptedExit;
}

/** Node.js sets a terminal back when it ends, and crashes where that is gone; what is closed it leaves alone. */
function leave(): void {
  for (const descriptor of terminals)
    try {
      closeSync(descriptor);
    } catch {
      // It is closed.
    }
}
