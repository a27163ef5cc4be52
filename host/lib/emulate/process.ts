// A program on this computer that is a node or runs one: started, listened to line by line, and ended with this one, also when this one
// fails.
import { spawn, type ChildProcessByStdio } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
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
  ended: Promise<void>;
}

const running = new Set<ChildProcessByStdio<Writable, Readable, Readable>>();
process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** What starts a program so that it ends with this one, also when this one is killed and can do nothing about it. */
const bound = process.platform === "linux" ? onPath("setpriv") : undefined;

/** Starts a program; it ends with this one. */
export function start(program: string, words: string[]): Running {
  const bind = bound !== undefined && onPath(program) !== undefined;
  const child = bind
    ? spawn(bound, ["--pdeathsig", "KILL", program, ...words], { stdio: ["pipe", "pipe", "pipe"] })
    : spawn(program, words, { stdio: ["pipe", "pipe", "pipe"] });
  running.add(child);
  const console: string[] = [];
  const listeners = new Set<(line: string) => void>();
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on("line", (line) => {
      console.push(line);
      for (const listener of listeners) listener(line);
    });
  }
  // A node that has gone takes no more input; whoever writes to it learns that from `ended`.
  child.stdin.on("error", () => {});
  const ended = new Promise<void>((resolve) => {
    child.on("error", (error) => console.push(error.message));
    child.on("close", () => {
      running.delete(child);
      resolve();
    });
  });
  const stop = async () => {
    child.kill("SIGKILL");
    await ended;
  };
  return {
    console,
    ended,
    stop,
    write: (text) => child.stdin.write(text),
    each: (use) => listeners.add(use),
    first: (pick) =>
      new Promise((resolve, reject) => {
        const give = (why: string) => {
          done();
          void stop();
          reject(
            new Error(`${program} ${why}\n${console.map((line) => `  | ${line}`).join("\n")}`),
          );
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

/** A line of JSON, as the native node and QEMU's machine protocol write them. */
export function parseEvent(line: string): Record<string, unknown> | undefined {
  if (!line.startsWith("{")) return undefined;
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}
