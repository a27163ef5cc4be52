// The nodes that are emulated on this computer just now: each leaves a note in the user's folder for state, so that `scan` names it at once
// and `feed` reaches it, and takes samples on a socket of its own.
import { existsSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { createConnection, createServer } from "node:net";
import { join } from "node:path";
import { UserError } from "./errors.ts";
import { eachLine } from "./lines.ts";
import { makeFolder, userFolder, writeWhole } from "./state.ts";
import { oneLine } from "./text.ts";
import { temporaryFolder } from "./temporary.ts";

/** A security context in a file: its secret in hexadecimal. */
export interface KeptKey {
  place: number;
  secret: string;
  salt?: string;
  peer: number;
  node: number;
  rights: number;
}

/** A node that is emulated. */
export interface EmulatedNote {
  name: string;
  address: string;
  machine: string;
  /** The process that runs it. */
  process: number;
  /** The socket that takes samples. */
  feed: string;
  /** The context with a node that has no name to keep it under. */
  key?: KeptKey;
}

const folder = () => join(userFolder(), "emulated");

/** All that run; the notes of those that were killed are taken away. */
export function emulatedHere(): EmulatedNote[] {
  if (!existsSync(folder())) return [];
  const notes = readdirSync(folder()).filter((name) => name.endsWith(".json"));
  return notes.flatMap((name) => {
    const path = join(folder(), name);
    try {
      const note = JSON.parse(readFileSync(path, "utf8")) as EmulatedNote;
      // Signal 0 asks whether the process is there.
      process.kill(note.process, 0);
      return [note];
    } catch {
      rmSync(path, { force: true });
      rmSync(numbersOf(Number.parseInt(name, 10)), { recursive: true, force: true });
      return [];
    }
  });
}

/** Where the sequence numbers of a context are reserved that lasts as long as a process. */
export const numbersOf = (id: number) => join(folder(), `${id}.numbers`);

/** Leaves a note of a node, and takes samples for it until `end`. */
export async function announce(
  note: Pick<EmulatedNote, "name" | "address" | "machine" | "key">,
  feed: (sensor: string, value: number) => void,
): Promise<{ end: () => void }> {
  const place = temporaryFolder("feed");
  const socket = join(place.path, "feed");
  const server = createServer((connection) => {
    connection.on("error", () => {});
    eachLine(connection, (line) => {
      let answer = "ok";
      try {
        feedLine(line, feed);
      } catch (error) {
        answer = `error ${oneLine((error as Error).message)}`;
      }
      connection.write(`${answer}\n`);
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(socket, resolve);
  });
  // It does not keep the process alive.
  server.unref();
  makeFolder(folder(), 0o700);
  const file = join(folder(), `${process.pid}.json`);
  const all: EmulatedNote = { ...note, process: process.pid, feed: socket };
  writeWhole(file, `${JSON.stringify(all)}\n`, 0o600);
  return {
    end: () => {
      server.close();
      rmSync(file, { force: true });
      rmSync(numbersOf(process.pid), { recursive: true, force: true });
      place[Symbol.dispose]();
    },
  };
}

/** A sample as a line: `level 1234`. */
export function feedLine(line: string, feed: (sensor: string, value: number) => void): void {
  const [sensor = "", value = "", ...more] = line.trim().split(/\s+/);
  if (sensor === "" || value === "" || more.length > 0 || Number.isNaN(Number(value)))
    throw new UserError(
      `${oneLine(line.slice(0, 60))}: not a sensor and a number`,
      "write: level 1234",
      "usage",
    );
  feed(sensor, Number(value));
}

/** Gives a node that is emulated here a sample. */
export async function feedNode({ feed, name }: EmulatedNote, line: string): Promise<void> {
  const connection = createConnection(feed);
  const answer = await new Promise<string>((resolve, reject) => {
    connection.setTimeout(5000, () => reject(new Error("it does not answer")));
    connection.once("error", reject);
    connection.once("close", () => reject(new Error("it ended")));
    eachLine(connection, resolve);
    connection.write(`${line}\n`);
  })
    .catch((cause: Error) => {
      throw new UserError(
        `${name} takes no samples: ${cause.message}`,
        "is it still running?",
        "unreachable",
        {
          cause,
        },
      );
    })
    .finally(() => connection.destroy());
  if (answer !== "ok")
    throw new UserError(answer.replace(/^error /, ""), "write: level 1234", "usage");
}
