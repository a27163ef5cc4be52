// Reading lines from standard input without being stopped: a job in the background that reads its terminal is sent SIGTTIN and stands
// still (POSIX.1-2017 §11.1.4). So a terminal is read only in the foreground.
import { fstatSync } from "node:fs";
import { createInterface, type Interface } from "node:readline";
import { isatty } from "node:tty";
import { inForeground } from "../lib/foreground.ts";

/** Whether lines come in by themselves: a pipe, a file, a socket; not a terminal and not nothing. */
export function inputIsGiven(): boolean {
  try {
    const input = fstatSync(0);
    return input.isFIFO() || input.isFile() || input.isSocket();
  } catch {
    // Closed by the process that started this.
    return false;
  }
}

/** Calls `use` with each line of standard input until it ends or `stop` is called. */
export function readLines(use: (line: string) => void): { ended: Promise<void>; stop(): void } {
  let end = () => {};
  const ended = new Promise<void>((resolve) => (end = resolve));
  let input: Interface | undefined;
  let stopped = false;
  const begin = () => {
    input = createInterface({ input: process.stdin, terminal: false });
    input.on("line", use);
    input.on("close", () => end());
    // A terminal that was closed.
    process.stdin.on("error", () => end());
  };
  const terminal = isatty(0);
  // Moved to the background (Ctrl-Z, bg) or to the foreground (fg).
  // A shell notifies only stopped jobs that they are in the foreground again, so a running one has to check.
  let looking: NodeJS.Timeout | undefined;
  const moved = () => {
    clearInterval(looking);
    looking = undefined;
    if (stopped) return;
    if (!inForeground()) {
      if (input !== undefined) process.stdin.pause();
      looking = setInterval(
        () => inForeground() && moved(),
        process.platform === "linux" ? 300 : 2000,
      );
      looking.unref();
    } else if (input === undefined) begin();
    else process.stdin.resume();
  };
  // Ctrl-Z: reading ends before the process stands still. Else what is typed right after `bg` is read before the signal that it goes on
  // has been handled, and that stops it again.
  const halt = () => {
    if (input !== undefined) process.stdin.pause();
    setImmediate(() => {
      process.off("SIGTSTP", halt);
      process.kill(process.pid, "SIGTSTP");
    });
  };
  const resumed = () => {
    if (!stopped && process.listenerCount("SIGTSTP") === 0) process.on("SIGTSTP", halt);
    moved();
  };
  if (terminal) {
    process.on("SIGCONT", resumed);
    process.on("SIGTSTP", halt);
    moved();
  } else begin();
  return {
    ended,
    stop: () => {
      if (stopped) return;
      stopped = true;
      clearInterval(looking);
      process.off("SIGCONT", resumed);
      process.off("SIGTSTP", halt);
      end();
      if (input === undefined) return;
      input.close();
      process.stdin.destroy();
    },
  };
}
