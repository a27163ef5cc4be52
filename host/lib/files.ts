// Files that somebody names: read whole, but never for ever and never without end, whatever kind of file it is.
import { closeSync, constants, fstatSync, openSync, readFileSync, readSync } from "node:fs";
import { UserError } from "./errors.ts";

/** Bytes of a source, a package, a key or a setting at most. */
const most = 16 * 2 ** 20;
/** Milliseconds that a pipe may say nothing. */
const patience = 10_000;

/**
 * All that is in a file; one with more than `limit` bytes is refused. A device may have no end, and a pipe nobody who writes: waiting for
 * those in `readFileSync` hears no Ctrl-C and fills the memory.
 */
export function readWhole(path: string, limit = most): Buffer {
  const file = opened(path);
  try {
    const kind = fstatSync(file);
    if (kind.isDirectory()) throw new UserError(`${path} is a folder`, "name a file", "usage");
    if (kind.size > limit) throw tooLong(path, limit);
    if (kind.isFile()) return readFileSync(file);
    return readStream(file, path, limit);
  } finally {
    closeSync(file);
  }
}

function opened(path: string): number {
  try {
    return openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "ENOENT") throw cause;
    throw new UserError(`there is no file ${path}`, "check the name", "failed", { cause });
  }
}

/** Waits without a turn of the loop. Meanwhile signals do what they do by themselves: whoever listens for them would not hear them. */
function stand(time: number): void {
  const names = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  const listeners = names.map((name) => [name, process.rawListeners(name)] as const);
  for (const name of names) process.removeAllListeners(name);
  try {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, time);
  } finally {
    for (const [name, all] of listeners)
      for (const one of all) process.on(name, one as NodeJS.SignalsListener);
  }
}

function readStream(file: number, path: string, limit: number): Buffer {
  const pieces: Buffer[] = [];
  let length = 0;
  const pipe = fstatSync(file).isFIFO();
  for (let silent = performance.now(); ;) {
    const piece = Buffer.alloc(1 << 16);
    const read = readSome(file, piece);
    if (read !== undefined && read > 0) {
      pieces.push(piece.subarray(0, read));
      length += read;
      if (length > limit) throw tooLong(path, limit);
      silent = performance.now();
      continue;
    }
    // A pipe that nobody has begun to write ends, too.
    if (read === 0 && !(pipe && length === 0)) return Buffer.concat(pieces);
    if (performance.now() - silent > patience)
      throw new UserError(
        `${path} says nothing for ${patience / 1000} s`,
        "is there somebody who writes to it?",
        "usage",
      );
    stand(20);
  }
}

/** The bytes that were read; nothing while there are none yet. */
function readSome(file: number, into: Buffer): number | undefined {
  try {
    return readSync(file, into);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EAGAIN") return undefined;
    throw error;
  }
}

function tooLong(path: string, limit: number): UserError {
  return new UserError(
    `${path} has more than ${limit / 2 ** 20} MiB`,
    "is it the file that is meant?",
    "usage",
  );
}
