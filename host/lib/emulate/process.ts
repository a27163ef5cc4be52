// A program on this computer that is a node or runs one: it is started, its output is read line by line, and it ends with this process,
// even if this process is killed.
import { spawn, type ChildProcessByStdio } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { eachLine } from "../lines.ts";
import { onPath } from "./programs.ts";

/** How long a node may take to come up: an emulator on a busy machine is slow, a hung one is for ever. */
export const startLimit = 30_000;

/** A node's program, running. */
export interface Running {
  console: string[];
  write(text: string): void;
  /** The first line from now on that `pick` makes something of. */
  first<T>(pick: (line: string) => T | undefined): Promise<T>;
  each(use: (line: string) => void): void;
  stop(): Promise<void>;
  /** Ends its input, which tells some programs to end in order; one that does not is stopped. */
  end(): Promise<void>;
  ended: Promise<void>;
}

/** What ends each program that runs. */
const running = new Set<() => void>();
process.once("exit", () => {
  for (const kill of running) kill();
});

/** Lines of a console that are kept. */
const keptLines = 10_000;

const setpriv = process.platform === "linux" ? onPath("setpriv") : undefined;

/** Words before a program that is on the path, by which it ends with this process even if this one is killed; none where there is no way. */
export const tie = (program: string): string[] =>
  setpriv !== undefined && onPath(program) !== undefined ? [setpriv, "--pdeathsig", "KILL"] : [];

/**
 * Makes a program ignore the signals with which a terminal or a shell ends a job: ignored signals stay ignored in the program that a shell
 * replaces itself with (POSIX.1-2017 §2.11).
 */
const deafly = ["sh", "-c", 'trap "" INT HUP TERM; exec "$0" "$@"'];
const shell = process.platform === "win32" ? undefined : onPath("sh");

/** How long a program has to end in order. */
const endLimit = 5_000;

/** Runs a program as the child of a shell, so that it is no session leader: a terminal that it opens does not become its own. */
const below = ["sh", "-c", '"$@"; exit $?', "sh"];

/**
 * Starts a program; it ends with this one. One that is `deaf` ends by `end` or `stop` only. One that is `aside` is in a session of its own:
 * no terminal sends it signals, whatever it does about them.
 */
export function start(
  program: string,
  words: readonly string[],
  { deaf = false, aside = false } = {},
): Running {
  const there = onPath(program) !== undefined;
  const tied = tie(program);
  // Without what ties the two, who is below a shell would outlive it.
  const sideways = aside && shell !== undefined && tied.length > 0;
  const line = [
    ...tied,
    ...(sideways ? [...below, ...tied] : []),
    ...(deaf && shell !== undefined && there ? deafly : []),
    program,
    ...words,
  ];
  const child: ChildProcessByStdio<Writable, Readable, Readable> = spawn(line[0]!, line.slice(1), {
    stdio: ["pipe", "pipe", "pipe"],
    detached: sideways,
  });
  // In a session of its own it leads a group, in which is all that it has started.
  const kill = () => {
    child.kill("SIGKILL");
    if (!sideways || child.pid === undefined) return;
    try {
      process.kill(-child.pid, "SIGKILL");
    } catch {
      // Nobody is left in it.
    }
  };
  running.add(kill);
  child.once("exit", kill);
  const console: string[] = [];
  const listeners = new Set<(line: string) => void>();
  for (const stream of [child.stdout, child.stderr]) {
    eachLine(stream, (line) => {
      // One that never stops does not fill our memory.
      if (console.push(line) >= 2 * keptLines) console.splice(0, keptLines);
      for (const listener of listeners) listener(line);
    });
  }
  // A node that has ended takes no more input; writers learn that from `ended`.
  child.stdin.on("error", () => {});
  const ended = new Promise<void>((resolve) => {
    child.on("error", (error) => console.push(error.message));
    child.on("close", () => {
      running.delete(kill);
      resolve();
    });
  });
  const stop = async () => {
    kill();
    await ended;
  };
  const end = async () => {
    child.stdin.end();
    const timer = setTimeout(() => void stop(), endLimit);
    await ended;
    clearTimeout(timer);
  };
  return {
    console,
    ended,
    stop,
    end,
    write: (text) => child.stdin.write(text),
    each: (use) => listeners.add(use),
    first: (pick) =>
      new Promise((resolve, reject) => {
        const give = (why: string) => {
          done();
          void stop();
          reject(new Error(`${program} ${why}${lastOf(console)}`));
        };
        const timer = setTimeout(
          () => give(`did not come up within ${startLimit / 1000} s`),
          startLimit,
        );
        const listener = (line: string) => {
          const found = pick(line);
          if (found === undefined) return;
          done();
          resolve(found);
        };
        const done = () => {
          clearTimeout(timer);
          listeners.delete(listener);
        };
        listeners.add(listener);
        void ended.then(() => give("ended"));
      }),
  };
}

/** The last lines of a console, for the message of an error. */
export function lastOf(console: readonly string[]): string {
  return console
    .slice(-60)
    .map((line) => `\n  | ${line.slice(0, 1000)}`)
    .join("");
}

/** A line of JSON, as the native node and QEMU's machine protocol write them. */
export function parseEvent(line: string): Record<string, unknown> | undefined {
  if (!line.startsWith("{")) return undefined;
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}
