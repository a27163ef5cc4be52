// A recording of `observe --record`: what a node's sensors and outputs gave, for `run --replay`. A JSON object a line: first what
// ran, then `{"at":…,"path":"sensors/level","value":…}` in the order of their coming. `known` marks a value that was there before
// the recording began.
import { createWriteStream } from "node:fs";
import { finished } from "node:stream/promises";
import { readWhole } from "../lib/files.ts";
import type { Reading } from "../lib/node.ts";
import type { Sample } from "../lib/simulate.ts";
import { UserError } from "../lib/errors.ts";
import { oneLine } from "../lib/text.ts";

interface Head {
  digest?: string;
  parameters: Record<string, number>;
}

export interface Recording extends Head {
  samples: Sample[];
  /** Values by output, in order. */
  outputs: Map<string, number[]>;
}

export interface Recorder {
  write(path: string, reading: Reading, known: boolean): void;
  end(): Promise<void>;
  /** Fires when nothing more can be written: `end` says why. */
  readonly failed: AbortSignal;
}

/** JSON has no NaN and no infinities. */
const text = (value: number) => (Number.isFinite(value) ? value : String(value));

export function recorder(file: string, head: Head): Recorder {
  const stream = createWriteStream(file);
  const failed = new AbortController();
  stream.on("error", (error) => failed.abort(error));
  stream.write(`${JSON.stringify(head)}\n`);
  return {
    write: (path, { at, value, text: words }, known) => {
      const what = words === undefined ? { value: text(value) } : { text: words };
      stream.write(`${JSON.stringify({ at, path, ...what, ...(known ? { known } : {}) })}\n`);
    },
    end: async () => {
      stream.end();
      await finished(stream);
    },
    failed: failed.signal,
  };
}

export function readRecording(file: string): Recording {
  const lines = readWhole(file, 256 * 2 ** 20)
    .toString("utf8")
    .split("\n")
    .filter(Boolean);
  const [head, ...rest] = lines.map((line, index) => {
    try {
      return JSON.parse(line) as Record<string, unknown>;
    } catch {
      throw notRecorded(file, index + 1);
    }
  });
  const parameters = numbersOf(head?.["parameters"]);
  if (parameters === undefined)
    throw new UserError(
      `${file} is not a recording`,
      "make one with `wasmote observe --record FILE`",
      "usage",
    );
  const samples: Sample[] = [];
  const outputs = new Map<string, number[]>();
  const begin = Number(rest[0]?.["at"] ?? 0);
  rest.forEach((one, index) => {
    if (typeof one !== "object" || one === null) throw notRecorded(file, index + 2);
    if (typeof one["path"] !== "string" || !Number.isFinite(Number(one["at"])))
      throw notRecorded(file, index + 2);
    // A text is there to be read: what is compared are numbers.
    if (one["text"] !== undefined) return;
    const [folder, name = ""] = String(one["path"]).split("/");
    const [at, value] = [Number(one["at"]) - begin, numberOf(one["value"])];
    if (value === undefined) throw notRecorded(file, index + 2);
    if (folder === "sensors") samples.push({ at, sensor: name, value });
    // What was published before has its sample before the recording too.
    else if (!one["known"]) outputs.set(name, [...(outputs.get(name) ?? []), value]);
  });
  return {
    parameters,
    ...(typeof head?.["digest"] === "string" ? { digest: head["digest"] } : {}),
    samples,
    outputs,
  };
}

/** A number as it is recorded: see `text`. */
function numberOf(value: unknown): number | undefined {
  if (typeof value === "number") return value;
  return /^(NaN|-?Infinity)$/.test(String(value)) ? Number(value) : undefined;
}

/** An object of nothing but numbers. */
function numbersOf(value: unknown): Record<string, number> | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const all = Object.entries(value).map(([name, one]) => [name, numberOf(one)] as const);
  if (all.some(([, one]) => one === undefined)) return undefined;
  return Object.fromEntries(all) as Record<string, number>;
}

function notRecorded(file: string, line: number): UserError {
  return new UserError(
    `${oneLine(file)}:${line}: this is not a line of a recording`,
    "make one with `wasmote observe --record FILE`",
    "usage",
  );
}
