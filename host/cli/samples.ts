// The samples that a verb takes: a CSV, or a recording of `observe --record`.
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { readWhole } from "../lib/files.ts";
import { UserError } from "../lib/errors.ts";
import type { Program } from "../lib/program.ts";
import { readSamples, SamplesError, type Sample } from "../lib/samples.ts";
import { oneLine } from "../lib/text.ts";
import { project } from "./context.ts";
import { readRecording } from "./record.ts";

/** The samples that wasmote.toml names, where the file is there. */
export function projectSamples(): string | undefined {
  const { folder, samples } = project();
  const file = join(folder, samples);
  return samples !== "" && existsSync(file) ? file : undefined;
}

/** Reads samples for the sensors of a program; a file that has none for any of them is a mistake. */
export function samplesFrom(file: string, sensors: readonly string[]): Sample[] {
  const samples = readFile(file);
  const there = [...new Set(samples.map(({ sensor }) => sensor))];
  if (sensors.length > 0 && !there.some((name) => sensors.includes(name)))
    throw new UserError(
      `${oneLine(file)} has no samples for any sensor of the module: ${
        there.length === 0 ? "it has none at all" : `its columns are ${oneLine(there.join(", "))}`
      }`,
      `name a column after a sensor: ${sensors.join(", ")}`,
      "usage",
    );
  return samples;
}

export function samplesOf(file: string, { facts }: Program): Sample[] {
  return samplesFrom(file, facts.sensors);
}

/** Bytes of samples at most: five months of one a second. */
const longest = 256 * 2 ** 20;

function readFile(file: string): Sample[] {
  if (!existsSync(file)) throw new UserError(`there is no file ${oneLine(file)}`, "check the name");
  if (statSync(file).isDirectory())
    throw new UserError(`${oneLine(file)} is a folder`, "name a file with samples", "usage");
  if (file.endsWith(".jsonl")) return readRecording(file).samples;
  return fromCsv(file, "a CSV begins with: time,level", readSamples);
}

/** What is read from the text of a CSV, its faults told with the file and what its first line is to be. */
export function fromCsv<T>(file: string, advice: string, read: (text: string) => T): T {
  try {
    return read(readWhole(file, longest).toString("utf8"));
  } catch (error) {
    if (!(error instanceof SamplesError)) throw error;
    throw new UserError(`${oneLine(file)}: ${error.message}`, advice, "usage", { cause: error });
  }
}
