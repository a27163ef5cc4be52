// Runs a module on this computer: over a CSV, on samples as they are typed, or over a recording.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { isDeepStrictEqual } from "node:util";
import { engineNames, missingEngine, type EngineName } from "../lib/engine.ts";
import { readSamples, simulate, Simulation, type Happening, type Sample } from "../lib/simulate.ts";
import type { Place } from "../lib/sourcemap.ts";
import { exitCode, print, spark, VerbError } from "./context.ts";
import { load, placeOf } from "./program.ts";

interface Options {
  samples?: string;
  engine: string;
  param?: string[];
  replay?: string;
  chart?: boolean;
  json?: boolean;
}

export async function runVerb(file: string | undefined, options: Options): Promise<void> {
  const { module, places } = await load(file);
  const parameters = Object.fromEntries((options.param ?? []).map(assignment));
  const wanted = options.engine === "all" ? engineNames : [options.engine as EngineName];
  for (const engine of wanted) {
    if (!engineNames.includes(engine))
      throw new VerbError(
        `there is no engine ${engine}`,
        `there are: ${engineNames.join(", ")}, all`,
        exitCode.usage,
      );
    const reason = missingEngine(engine);
    if (reason !== undefined) throw new VerbError(`${engine}: ${reason}`, "npm run build");
  }
  if (options.replay !== undefined) return replay(module, options.replay, { parameters });
  if (options.samples === undefined) return live(module, wanted[0]!, parameters, places, options);
  const samples = readSamples(readFileSync(options.samples, "utf8"));
  const [first, ...others] = wanted.map((engine) =>
    simulate(module, samples, { engine, parameters }),
  );
  for (const [index, other] of others.entries()) {
    const [mine, theirs] = [first!.happenings, other.happenings].map((list) =>
      list.map(comparable),
    );
    const differs = mine!.findIndex((one, at) => !isDeepStrictEqual(one, theirs![at]));
    if (differs >= 0 || mine!.length !== theirs!.length) {
      throw new VerbError(
        `${wanted[index + 1]} differs from ${wanted[0]} at event ${Math.max(differs, 0)}: ${JSON.stringify(mine![differs])} and ${JSON.stringify(theirs![differs])}`,
        "this is a fault of one of the engines: please report it with the module",
        exitCode.check,
      );
    }
  }
  if (options.chart && !options.json) {
    for (const { name, unit } of first!.facts.outputs) {
      const values = first!.happenings.flatMap((one) =>
        one.kind === "output" && one.name === name ? [one.value] : [],
      );
      if (values.length === 0) continue;
      const shown = values.slice(-100);
      process.stdout.write(
        `${name}  ${spark(shown)}  ${Math.min(...shown)} to ${Math.max(...shown)} ${unit}\n`,
      );
    }
  } else for (const one of first!.happenings) show(one, places, options.json);
  const trap = first!.happenings.find((one) => one.kind === "trap");
  if (options.json)
    process.stdout.write(
      `${JSON.stringify({ kind: "end", runs: first!.fuel.length, fuel: first!.fuel })}\n`,
    );
  if (trap?.kind === "trap") throw new VerbError("the module trapped", undefined, exitCode.check);
}

/** The engines have their own words for a trap, and only one of them knows where it was. */
function comparable(one: Happening): unknown {
  return one.kind === "trap" ? { at: one.at, kind: one.kind } : one;
}

function assignment(text: string): [string, number] {
  const [name = "", value = ""] = text.split("=");
  if (name === "" || value === "" || Number.isNaN(Number(value)))
    throw new VerbError(`${text} is no assignment`, "write --param limit=150", exitCode.usage);
  return [name, Number(value)];
}

/** One line for each thing that happened. */
function show(one: Happening, places: readonly Place[], json?: boolean): void {
  print(
    json,
    one.kind === "trap"
      ? { at: one.at, kind: "trap", trap: one.ended.trap, place: where(one, places) }
      : one,
    () => {
      const at = (one.at / 1000).toFixed(3).padStart(10);
      if (one.kind === "output") return `${at}  ${one.name} = ${one.value}`;
      if (one.kind === "log") return `${at}  log: ${one.text}`;
      if (one.kind === "gpio") return `${at}  gpio ${one.pin} = ${one.level}`;
      if (one.kind === "reply") return `${at}  reply ${one.status} ${one.text}`;
      return `${at}  trap: ${one.ended.trap ?? ""} ${where(one, places)}`;
    },
  );
}

function where(one: Happening, places: readonly Place[]): string {
  if (one.kind !== "trap") return "";
  const [top] = one.ended.backtrace;
  const place = top && placeOf(places, top.offset);
  return place ? `at ${place.file}:${place.line}:${place.column}` : "";
}

/** Samples from standard input, `SENSOR VALUE` a line, with the time at which they come. */
async function live(
  module: Uint8Array,
  engine: EngineName,
  parameters: Record<string, number>,
  places: readonly Place[],
  { json }: Options,
): Promise<void> {
  const simulation = new Simulation(module, { engine, parameters });
  let shown = 0;
  const tell = () => {
    for (; shown < simulation.happenings.length; shown++)
      show(simulation.happenings[shown]!, places, json);
  };
  tell();
  const began = Date.now();
  const timer = setInterval(() => {
    simulation.until(Date.now() - began);
    tell();
  }, 50);
  try {
    for await (const line of createInterface({ input: process.stdin })) {
      const [sensor = "", value = ""] = line.trim().split(/\s+/);
      if (sensor === "") continue;
      if (value === "" || Number.isNaN(Number(value)))
        throw new VerbError(
          `${line}: not a sensor and a number`,
          "write: level 1234",
          exitCode.usage,
        );
      simulation.sample({ at: Date.now() - began, sensor, value: Number(value) });
      tell();
    }
  } finally {
    clearInterval(timer);
  }
}

/** A recording has samples and outputs, a JSON object a line: `{"at":…,"path":"sensors/level","value":…}`. */
function replay(
  module: Uint8Array,
  file: string,
  options: { parameters: Record<string, number> },
): void {
  const lines = readFileSync(file, "utf8").split("\n").filter(Boolean);
  const records = lines.map(
    (line) => JSON.parse(line) as { at: number; path: string; value: number },
  );
  const begin = records[0]?.at ?? 0;
  const of = (folder: string) => records.filter(({ path }) => path.startsWith(`${folder}/`));
  const samples: Sample[] = of("sensors").map(({ at, path, value }) => ({
    at: at - begin,
    sensor: path.slice("sensors/".length),
    value,
  }));
  const { happenings } = simulate(module, samples, options);
  const wrong: string[] = [];
  for (const path of new Set(of("outputs").map((one) => one.path))) {
    const recorded = of("outputs").flatMap((one) => (one.path === path ? [one.value] : []));
    const name = path.slice("outputs/".length);
    const now = happenings.flatMap((one) =>
      one.kind === "output" && one.name === name ? [one.value] : [],
    );
    // A recording may begin late and a notification may be left out (RFC 7641 §4.5): what was seen has to come, in order.
    let from = 0;
    for (const value of recorded) {
      const found = now.indexOf(value, from);
      if (found < 0) wrong.push(`${name}: ${value} was recorded and does not come now`);
      else from = found;
    }
  }
  if (wrong.length > 0) throw new VerbError(wrong.join("\n       "), undefined, exitCode.check);
  process.stdout.write(`${samples.length} samples, ${of("outputs").length} outputs: as recorded\n`);
}
