// A round of the loop: the history that a gateway has gathered, a network trained on it, judged beside the one that runs on days that neither
// was trained on; and parameters estimated anew.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { tie } from "../lib/emulate/process.ts";
import { NodeError, UserError } from "../lib/errors.ts";
import { readWhole } from "../lib/files.ts";
import { packageRoot } from "../lib/root.ts";
import { oneLine } from "../lib/text.ts";
import { pythonWith } from "../model/runtime.ts";
import { DayRunner, depth, type DayInputs } from "./days.ts";
import { worthOf, type Worth } from "./figures.ts";
import { floodFlow, isHead, levelOf, type RiverDay } from "./history.ts";

/** Older days, and behind them those of the gateway: where both have a day, the gateway's counts. */
export function mergeDays(before: readonly RiverDay[], gathered: readonly RiverDay[]): RiverDay[] {
  const days = new Map([...before, ...gathered].map((one) => [one.day, one]));
  return [...days.values()].toSorted((a, b) => a.day - b.day);
}

/** Days as train.py reads them. */
export function daysCsv(days: readonly RiverDay[]): string {
  return days.map(({ date, rain, flow }) => `${date},${rain},${flow}\n`).join("");
}

/** What a training run leaves: the network, its threshold, and from which day on it was not trained. */
export interface Trained {
  network: Uint8Array;
  threshold: number;
  judgedFrom: string;
}

export function readTrained(folder: string): Trained {
  const file = join(folder, "judgement.json");
  try {
    const { evening, judged_from: judgedFrom } = JSON.parse(readFileSync(file, "utf8")) as {
      evening: { threshold: number };
      judged_from: string;
    };
    if (!Number.isFinite(evening.threshold) || !/^\d{4}-\d\d-\d\d$/.test(judgedFrom))
      throw new Error("it has no threshold or no day from which it judged");
    return {
      network: readFileSync(join(folder, "evening.onnx")),
      threshold: evening.threshold,
      judgedFrom,
    };
  } catch (cause) {
    throw new UserError(
      `${folder} has no trained network: ${(cause as Error).message}`,
      "train one with examples/flood/train.py",
      "usage",
      { cause },
    );
  }
}

/** The Python that has what train.py needs. */
export const trainingPython = (): string | undefined => pythonWith("onnx, sklearn");

/** Trains on a history file; what comes out is in the folder. */
export async function train(
  python: string,
  history: string,
  folder: string,
  words: readonly string[],
  signal: AbortSignal,
): Promise<Trained> {
  const script = join(packageRoot, "examples/flood/train.py");
  signal.throwIfAborted();
  const line = [...tie(python), python, script, "--history", history, "--out", folder, ...words];
  const child = spawn(line[0]!, line.slice(1), {
    stdio: ["ignore", "ignore", "pipe"],
    signal,
  });
  let wrong = "";
  child.stderr
    .setEncoding("utf8")
    .on("data", (text: string) => (wrong = (wrong + text).slice(-4000)));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on("error", (cause) =>
      reject(signal.aborted ? new NodeError("aborted", "interrupted", { cause }) : cause),
    );
    child.on("close", resolve);
  });
  if (code !== 0)
    throw new UserError(
      `the training failed: ${oneLine(wrong.trim().split("\n").at(-1) || `it ended with ${code}`)}`,
      undefined,
      "failed",
    );
  return readTrained(folder);
}

/** What a river whose curve has this factor shows on these days. */
const inputsOf = (days: readonly RiverDay[], rating: number): DayInputs[] =>
  days.map(({ day, rain, flow }) => ({
    day,
    level: levelOf(flow, rating),
    rain: Math.fround(rain),
  }));

/** A module with its parameters, as it is judged. */
export interface Candidate {
  module: Uint8Array;
  parameters?: Record<string, number>;
}

/** What a package's alarms are worth on days from one on, at a river whose curve has the factor `rating`. */
export async function judgeModule(
  { module, parameters = {} }: Candidate,
  days: readonly RiverDay[],
  from: string,
  rating = 20,
): Promise<Worth> {
  const first = days.findIndex(({ date }) => date >= from);
  const judged = first < 0 ? [] : days.slice(first);
  // What it decides of a day is made of that day and those before it.
  const given = first < 0 ? [] : days.slice(Math.max(0, first - depth));
  const decided = await new DayRunner(module, parameters).decideAll(
    inputsOf(given, rating),
    judged[0]?.day ?? 0,
  );
  return worthOf(judged, new Map(decided.map(({ day, alarm }) => [day, alarm])));
}

/** One number for what an alarm is for: each flood that was seen to come, less each alarm for nothing. */
export const scoreOf = ({ onsetsCaught, falseAlarms }: Worth): number => onsetsCaught - falseAlarms;

/**
 * The threshold at which a module would have given so many false alarms a day on days that it is not judged on; between two days, so that
 * none lies on it. Undefined where the days are too few.
 */
export async function thresholdOf(
  { module, parameters = {} }: Candidate,
  days: readonly RiverDay[],
  share: number,
  rating = 20,
): Promise<number | undefined> {
  const decided = await new DayRunner(module, parameters).decideAll(
    inputsOf(days, rating),
    days[0]?.day ?? 0,
  );
  const flows = new Map(days.map(({ day, flow }) => [day, flow]));
  const dry = decided
    .filter(
      ({ day, danger }) => (flows.get(day + 1) ?? Infinity) < floodFlow && !Number.isNaN(danger),
    )
    .map(({ danger }) => danger)
    .toSorted((a, b) => b - a);
  const count = Math.max(1, Math.floor(share * decided.length));
  const [above, below] = [dry[count - 1], dry[count]];
  return above === undefined || below === undefined ? undefined : Math.fround((above + below) / 2);
}

/** False alarms a day that a threshold is estimated for: 20 on the 8,880 days that judge the river Wye's. */
export const allowed = 20 / 8880;

/** How days are split by time where nothing is trained, as examples/flood/train.py splits them: those that choose the threshold, and from which day on they judge. */
export function splitOf(days: readonly RiverDay[]): { choosing: RiverDay[]; judgedFrom: string } {
  const [first, second] = [Math.floor(days.length * 0.55), Math.floor(days.length * 0.7)];
  return {
    choosing: days.slice(first, second),
    judgedFrom: days[second]?.date ?? "9999-12-31",
  };
}

/** Gaugings of a station: lines of level in mm and flow in m3/s; what is none is a UserError with its line. */
export function readGaugings(file: string): { level: number; flow: number }[] {
  const gaugings: { level: number; flow: number }[] = [];
  for (const [index, line] of readWhole(file, 1 << 20)
    .toString("utf8")
    .split(/\r?\n/)
    .entries()) {
    if (line.trim() === "" || line.startsWith("#")) continue;
    if (gaugings.length === 0 && isHead(line)) continue;
    const [level = Number.NaN, flow = Number.NaN, ...more] = line
      .split(",")
      .map((part) => (part.trim() === "" ? Number.NaN : Number(part)));
    if (!(level > 0 && level < 1e5 && flow > 0 && flow < 1e6) || more.length > 0)
      throw new UserError(
        `${oneLine(file)}:${index + 1}: not a level in mm and its flow in m3/s`,
        "write a line for each gauging: 1250,28.1",
        "usage",
      );
    gaugings.push({ level, flow });
  }
  if (gaugings.length === 0)
    throw new UserError(`${oneLine(file)} has no gaugings`, "write: 1250,28.1", "usage");
  return gaugings;
}

/** The rating curve's factor from gaugings (level in mm, flow in m3/s), by least squares: flow = rating · h · √h. */
export function ratingOf(gaugings: readonly { level: number; flow: number }[]): number {
  let [product, square] = [0, 0];
  for (const { level, flow } of gaugings) {
    const x = Math.max(0, level / 1000) ** 1.5;
    product += x * flow;
    square += x * x;
  }
  if (!(square > 0)) throw new RangeError("the gaugings have no level above 0");
  return product / square;
}
