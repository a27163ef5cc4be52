// A round of the loop: history of a gateway, training, judgement beside what runs, rollout to one node and then all. `--every` repeats it.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import type { Worth } from "../flood/figures.ts";
import { readDays, riverFile, type RiverDay } from "../flood/history.ts";
import {
  allowed,
  daysCsv,
  judgeModule,
  mergeDays,
  ratingOf,
  readGaugings,
  readTrained,
  scoreOf,
  splitOf,
  thresholdOf,
  train,
  trainingPython,
  type Candidate,
  type Trained,
} from "../flood/retrain.ts";
import { readFacts } from "../lib/build/section.ts";
import { UserError } from "../lib/errors.ts";
import { gatewayPlace, type GatewayPlace } from "../lib/gateway.ts";
import { openPackage } from "../lib/package.ts";
import type { Program } from "../lib/program.ts";
import { oneLine, shortest } from "../lib/text.ts";
import { ask, milliseconds, print, say, table, waiting } from "./context.ts";
import { heeding, untilInterrupted } from "./interruption.ts";
import { signedAs, stationOf } from "./place-station.ts";
import { setOnNodes, toNodes } from "./retrained.ts";
import { temporaryFolder } from "../lib/temporary.ts";

export interface RetrainOptions {
  gateway?: string;
  token?: string;
  history?: string;
  gaugings?: string;
  trained?: string;
  onlyParameters?: boolean;
  rounds: string;
  seeds: string;
  teachers: string;
  select?: string[];
  soak: string;
  dryRun?: boolean;
  every?: string;
  key?: string;
  json?: boolean;
}

/** Milliseconds that a timer of Node.js can take. */
const longestTimer = 2 ** 31 - 1;

export async function retrainVerb(name: string, options: RetrainOptions): Promise<void> {
  milliseconds(options.soak, "--soak 60");
  for (const key of ["rounds", "seeds", "teachers"] as const)
    if (!/^[1-9]\d{0,3}$/.test(options[key]))
      throw new UserError(
        `${oneLine(options[key])} is not a number of ${key}`,
        `write: --${key} 3`,
        "usage",
      );
  if (options.every === undefined) return round(name, options);
  const pause = milliseconds(options.every, "--every 86400");
  if (pause < 1000)
    throw new UserError("a round a second is the most", "write: --every 86400", "usage");
  const signal = untilInterrupted();
  while (!signal.aborted) {
    // A round that fails is told, and the next one is tried.
    await round(name, options).catch((error: unknown) => {
      if (signal.aborted) return;
      if (!(error instanceof UserError)) throw error;
      say(error.message);
    });
    // Interrupted, it ends without a fault.
    await setTimeout(Math.min(pause, longestTimer), undefined, { signal }).catch(() => {});
  }
}

interface Running {
  sources: { level: string; rain: string };
  parameters: Record<string, number>;
  /** Base64. */
  package: string;
}

const isRunning = (answer: unknown): answer is Running => {
  const { sources, parameters, package: bytes } = (answer ?? {}) as Partial<Running>;
  return (
    [sources?.level, sources?.rain, bytes].every((one) => typeof one === "string") &&
    typeof parameters === "object" &&
    parameters !== null &&
    Object.values(parameters).every((one) => typeof one === "number")
  );
};
const isGathered = (answer: unknown): answer is { csv: string; count: number } => {
  const { csv, count } = (answer ?? {}) as { csv?: unknown; count?: unknown };
  return typeof csv === "string" && Number.isSafeInteger(count);
};

/** What would run instead of what runs, and from which day on it was not made with. */
interface Next {
  program: Program | undefined;
  candidate: Required<Candidate>;
  judgedFrom: string;
}

async function round(name: string, options: RetrainOptions): Promise<void> {
  const place = gatewayPlace(options.gateway, options.token);
  const path = `/api/placements/${encodeURIComponent(name)}`;
  const running = await ask(place, `${path}/package`, { is: isRunning });
  const before = candidateOf(running);
  using scratch = temporaryFolder("retrain");
  const folder = scratch.path;
  // The curve by which levels are flows: that of new gaugings, or the one that counts so far.
  const rating =
    options.gaugings === undefined
      ? (before.parameters["rating"] ?? 20)
      : Math.fround(ratingOf(readGaugings(options.gaugings)));
  const { csv, count } = await ask(place, `${path}/days?rating=${rating}&format=json`, {
    is: isGathered,
  });
  const file = join(folder, "gathered.csv");
  writeFileSync(file, csv);
  const days = mergeDays(readDays(options.history ?? riverFile), readDays(file));
  const { program, candidate, judgedFrom } = await nextOf(options, before, days, rating, folder);
  // Neither was trained on these days, where the one that runs came from a round like this.
  const now = await judgeModule(before, days, judgedFrom, rating);
  const then = await judgeModule(candidate, days, judgedFrom, rating);
  const shown = {
    days: days.length,
    gathered: count,
    from: judgedFrom,
    running: now,
    next: then,
    parameters: candidate.parameters,
  };
  if (!(scoreOf(then) > scoreOf(now)))
    throw new UserError(
      `what is new is refused: ${words(then)} from ${judgedFrom} on, and what runs has ${words(now)}`,
      undefined,
      "check",
    );
  let sent: { rollout?: number; nodes: string[] } | undefined;
  if (options.dryRun !== true) {
    const station = running.sources.level;
    sent = await heeding((signal) => bring(place, station, program, candidate, options, signal));
    const query = new URLSearchParams(
      Object.entries(candidate.parameters).map(([key, value]): [string, string] => [
        `param.${key}`,
        String(value),
      ]),
    );
    const bytes = program
      ? signedAs(program, "hosted", 0, options.key)
      : Buffer.from(running.package, "base64");
    await ask(place, `${path}/package?${query.toString()}`, { method: "PUT", body: bytes });
  }
  print(options.json, { ...shown, ...sent }, () =>
    table([
      ["days", `${days.length}, ${count} of them from the gateway`],
      ["running", words(now)],
      [program ? "trained" : "estimated", words(then)],
      ...Object.entries(candidate.parameters).map(([key, value]): [string, string] => [
        key,
        shortest(value),
      ]),
      ["sent", sent === undefined ? "nothing" : `to ${sent.nodes.map(oneLine).join(", ")}`],
    ]),
  );
}

const words = ({ onsetsCaught, onsets, falseAlarms }: Worth) =>
  `${onsetsCaught} of ${onsets} onsets, ${falseAlarms} false alarms`;

/** What runs, with the value of each parameter. */
function candidateOf({ package: bytes, parameters }: Running): Required<Candidate> {
  try {
    const { module } = openPackage(Buffer.from(bytes, "base64"));
    const initial = readFacts(module).parameters.map((one) => [one.name, one.initial]);
    return {
      module,
      parameters: { ...(Object.fromEntries(initial) as Record<string, number>), ...parameters },
    };
  } catch (cause) {
    throw new UserError(
      "the gateway answers with a package that is none",
      "is it a gateway of Wasmote?",
      "failed",
      { cause },
    );
  }
}

/** Trains, or only estimates the parameters of what runs. */
async function nextOf(
  options: RetrainOptions,
  before: Required<Candidate>,
  days: readonly RiverDay[],
  rating: number,
  folder: string,
): Promise<Next> {
  if (options.onlyParameters === true) {
    const { choosing, judgedFrom } = splitOf(days);
    const with_ = { ...before, parameters: { ...before.parameters, rating } };
    const threshold = await thresholdOf(with_, choosing, allowed, rating);
    if (threshold === undefined)
      throw new UserError(
        `${days.length} days are too few to estimate a threshold`,
        undefined,
        "check",
      );
    return {
      program: undefined,
      candidate: { ...before, parameters: within(before.module, { threshold, rating }) },
      judgedFrom,
    };
  }
  const history = join(folder, "history.csv");
  writeFileSync(history, daysCsv(days));
  const trained = await trainedFor(options, history, folder);
  const threshold = Math.fround(trained.threshold);
  const program = await stationOf({ network: trained.network, threshold });
  return {
    program,
    candidate: {
      module: program.module,
      parameters: within(program.module, { threshold, rating }),
    },
    judgedFrom: trained.judgedFrom,
  };
}

/** Values that a module takes; one that it has no parameter for is left out, one that is out of its range is refused. */
function within(module: Uint8Array, values: Record<string, number>): Record<string, number> {
  const taken: Record<string, number> = {};
  for (const { name, minimum, maximum } of readFacts(module).parameters) {
    const value = values[name];
    if (value === undefined) continue;
    if (!(value >= minimum && value <= maximum))
      throw new UserError(
        `${name} would be ${shortest(value)}, and the module takes ${shortest(minimum)} to ${shortest(maximum)}`,
        "are the history and the gaugings of this station?",
        "check",
      );
    taken[name] = value;
  }
  return taken;
}

async function trainedFor(
  options: RetrainOptions,
  history: string,
  folder: string,
): Promise<Trained> {
  if (options.trained !== undefined) return readTrained(options.trained);
  const python = trainingPython();
  if (python === undefined)
    throw new UserError(
      "there is no Python that can train",
      `python -m pip install --require-hashes --no-deps -r ${join(riverFile, "../requirements.txt")}, and name it: WASMOTE_PYTHON`,
      "failed",
    );
  const given = (["rounds", "seeds", "teachers"] as const).flatMap((key) => [
    `--${key}`,
    options[key],
  ]);
  return heeding((signal) => waiting("training", train(python, history, folder, given, signal)));
}

/** To one node first, then all, each on trial: the package where there is a new one, and the values that count there. */
async function bring(
  place: GatewayPlace,
  station: string,
  program: Program | undefined,
  candidate: Required<Candidate>,
  options: RetrainOptions,
  signal: AbortSignal,
): Promise<{ rollout?: number; nodes: string[] }> {
  const select = options.select ?? [station];
  const how = { place, station, select, soak: options.soak, signal };
  const rolled =
    program &&
    (await toNodes(how, program, (boardClass, highest) =>
      signedAs(program, boardClass, highest, options.key),
    ));
  const nodes = await setOnNodes(
    { ...how, soak: program ? "0" : options.soak },
    candidate,
    rolled?.nodes,
  );
  return { ...(rolled === undefined ? {} : { rollout: rolled.id }), nodes };
}
