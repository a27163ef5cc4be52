// Runs a module on this computer: over a CSV, on samples as they are typed or as a node has them, or over a recording.
import { isDeepStrictEqual } from "node:util";
import { engineNames, missingEngine, type EngineName } from "../lib/engine.ts";
import { simulate, Simulation, type Happening } from "../lib/simulate.ts";
import { charts } from "./chart.ts";
import { describeTrap, sourcePlace, trapAdvice } from "../lib/backtrace.ts";
import { UserError } from "../lib/errors.ts";
import { keptModule } from "../lib/kept.ts";
import { levelName } from "../lib/log.ts";
import { readingOf, shown, writable } from "../lib/states.ts";
import { counted, oneLine, shortest } from "../lib/text.ts";
import type { Program } from "../lib/program.ts";
import { assignments, print, project, withNode, type NodeOptions } from "./context.ts";
import { untilInterrupted } from "./interruption.ts";
import { load, type MemoryOptions } from "./program.ts";
import { readRecording } from "./record.ts";
import { projectSamples, samplesFrom } from "./samples.ts";
import { inputIsGiven, readLines } from "./terminal.ts";

interface Options extends NodeOptions, MemoryOptions {
  samples?: string;
  engine: string;
  param?: string[];
  replay?: string;
  chart?: boolean;
}

export async function runVerb(file: string | undefined, options: Options): Promise<void> {
  const all = options.engine === "all";
  const wanted = (all ? engineNames : [options.engine as EngineName]).filter((engine) => {
    if (!engineNames.includes(engine))
      throw new UserError(
        `there is no engine ${engine}`,
        `there are: ${engineNames.join(", ")}, all`,
        "usage",
      );
    const reason = missingEngine(engine);
    if (reason === undefined) return true;
    // The node's own engine is the one that the others are compared with.
    if (!all || engine === "wasmote") throw new UserError(`${engine}: ${reason}`, "npm run build");
    process.stderr.write(`without ${engine}: ${reason}\n`);
    return false;
  });
  const program = await load(file, options);
  const parameters = Object.fromEntries(assignments(options.param ?? [], "--param limit=150"));
  if (options.replay !== undefined)
    return replay(program, options.replay, wanted[0]!, parameters, options);
  checkParameters(program, parameters);
  // Lines that come in by themselves are samples; at a terminal the project's own are.
  const typed = options.samples === "-" || options.node !== undefined || inputIsGiven();
  const from = options.samples ?? (typed ? undefined : projectSamples());
  if (from === undefined || from === "-") return live(program, wanted[0]!, parameters, options);
  const own = options.samples === undefined;
  const samples = samplesFrom(from, own ? [] : program.facts.sensors);
  const [first, ...others] = wanted.map((engine) =>
    simulate(program.module, samples, { engine, parameters }),
  );
  for (const [index, other] of others.entries()) {
    const [mine, theirs] = [first!.happenings, other.happenings].map((list) =>
      list.map(comparable),
    );
    const differs = mine!.findIndex((one, at) => !isDeepStrictEqual(one, theirs![at]));
    if (differs >= 0 || mine!.length !== theirs!.length) {
      throw new UserError(
        `${wanted[index + 1]} differs from ${wanted[0]} at event ${Math.max(differs, 0)}: ${JSON.stringify(mine![differs])} and ${JSON.stringify(theirs![differs])}`,
        "this is a fault of one of the engines: please report it with the module",
        "check",
      );
    }
  }
  const { happenings, fuel, facts } = first!;
  if (options.chart && !options.json) {
    const series = facts.outputs.map(({ name, unit }) => ({
      label: unit === "" ? name : `${name} (${unit})`,
      points: happenings.flatMap((one) => {
        if ((one.kind !== "output" && one.kind !== "told") || one.name !== name) return [];
        return [{ at: one.at, value: readingOf(one.value).value }];
      }),
    }));
    const moment = (at: number) => `${at / 1000} s`;
    const rows = charts(series, { columns: process.stdout.columns ?? 80, moment });
    process.stdout.write(rows.map((row) => `${row}\n`).join(""));
  } else for (const one of happenings) show(one, program, options.json);
  for (const [name, value] of Object.entries(first!.states()))
    print(
      options.json,
      { kind: "state", name, value: writable(value) },
      () => `${"kept".padStart(10)}  ${name} = ${shown(value)}`,
    );
  if (options.json)
    process.stdout.write(`${JSON.stringify({ kind: "end", runs: fuel.length, fuel })}\n`);
  const trap = happenings.find((one) => one.kind === "trap");
  if (trap?.kind === "trap") throw trapError(trap, program);
}

/** The engines have their own words for a trap, and only one of them knows where it was. */
function comparable(one: Happening): unknown {
  return one.kind === "trap" ? { at: one.at, kind: one.kind } : one;
}

type Trap = Extract<Happening, { kind: "trap" }>;

function trapError({ ended }: Trap, { digest, memory }: Program): UserError {
  const offsets = ended.backtrace.map(({ offset }) => offset);
  const kind = ended.trap ?? "";
  const text = describeTrap(kind, keptModule(project(), digest), offsets);
  return new UserError(text, trapAdvice(kind, memory?.heap), "check");
}

/** One line for each thing that happened. */
function show(one: Happening, program: Program, json?: boolean): void {
  if (one.kind === "trap") {
    const [top] = one.ended.backtrace;
    const place = top && sourcePlace(keptModule(project(), program.digest), top.offset);
    const facts = { at: one.at, kind: "trap", trap: one.ended.trap, ...(place ? { place } : {}) };
    // For people it is the error that the verb ends with.
    if (json) print(json, facts, () => "");
    return;
  }
  const plain = {
    ...one,
    ...(one.kind === "told" ? { value: writable(one.value) } : {}),
    ...(one.kind === "reply" && one.payload !== undefined
      ? { payload: Buffer.from(one.payload).toString("hex") }
      : {}),
  };
  print(json, plain, () => {
    const at = (one.at / 1000).toFixed(3).padStart(10);
    if (one.kind === "output") return `${at}  ${one.name} = ${shortest(one.value)}`;
    if (one.kind === "told") return `${at}  ${one.name} = ${shown(one.value)}`;
    if (one.kind === "log") return `${at}  log${levelName(one.level)}: ${one.text}`;
    if (one.kind === "gpio") return `${at}  gpio ${one.pin} = ${one.level}`;
    return `${at}  reply ${one.status} ${one.text}`;
  });
}

/** Samples as they come: those of a node's sensors, or `SENSOR VALUE` a line on standard input. */
async function live(
  program: Program,
  engine: EngineName,
  parameters: Record<string, number>,
  options: Options,
): Promise<void> {
  const simulation = new Simulation(program.module, { engine, parameters });
  const began = performance.now();
  let shown = 0;
  const tell = () => {
    for (; shown < simulation.happenings.length; shown++)
      show(simulation.happenings[shown]!, program, options.json);
    const last = simulation.happenings.at(-1);
    if (last?.kind === "trap") throw trapError(last, program);
  };
  const take = (sensor: string, value: number) => {
    simulation.sample({ at: Math.round(performance.now() - began), sensor, value });
    tell();
  };
  tell();
  const over = new AbortController();
  let failed: unknown;
  const timer = setInterval(() => {
    try {
      simulation.until(Math.round(performance.now() - began));
      tell();
    } catch (error) {
      failed = error;
      over.abort();
    }
  }, 50);
  const stop = () => over.abort();
  const interrupted = untilInterrupted();
  interrupted.addEventListener("abort", stop);
  try {
    if (options.node !== undefined) await fromNode(program, options, over, take);
    else await fromInput(program, over.signal, take);
    if (failed) throw failed;
  } finally {
    clearInterval(timer);
    interrupted.removeEventListener("abort", stop);
  }
}

type Take = (sensor: string, value: number) => void;

/** The samples of a node's sensors. */
async function fromNode(
  { facts: { sensors } }: Program,
  options: Options,
  over: AbortController,
  take: Take,
): Promise<void> {
  if (sensors.length === 0)
    throw new UserError("the module has no sensors", "name a program that has some");
  await withNode(options, async (node, { open }) => {
    open();
    const all = sensors.map(async (sensor) => {
      const values = node.observe(`sensors/${sensor}`, over.signal);
      for await (const { value } of values) take(sensor, value);
    });
    // The first that fails ends the others.
    await Promise.all(all.map((one) => one.finally(() => over.abort())));
  });
}

/** Samples as lines on standard input. */
async function fromInput({ facts }: Program, signal: AbortSignal, take: Take): Promise<void> {
  let failed: unknown;
  const input = readLines((line) => {
    const [sensor = "", value = "", ...more] = line.trim().split(/\s+/);
    if (sensor === "" || failed !== undefined) return;
    try {
      if (value === "" || more.length > 0 || Number.isNaN(Number(value)))
        throw new UserError(
          `${oneLine(line.slice(0, 60))}: not a sensor and a number`,
          "write: level 1234; a table of samples is read from its file: --samples FILE.csv",
          "usage",
        );
      if (!facts.sensors.includes(sensor))
        throw new UserError(
          `the module has no sensor ${oneLine(sensor)}`,
          `it has: ${facts.sensors.join(", ") || "none"}`,
          "usage",
        );
      take(sensor, Number(value));
    } catch (error) {
      failed = error;
      input.stop();
    }
  });
  const stop = () => input.stop();
  signal.addEventListener("abort", stop);
  if (signal.aborted) stop();
  await input.ended;
  signal.removeEventListener("abort", stop);
  input.stop();
  if (failed !== undefined) throw failed;
}

/** A value that the node would refuse is refused here too. */
function checkParameters({ facts }: Program, values: Record<string, number>): void {
  for (const [name, value] of Object.entries(values)) {
    const known = facts.parameters.find((one) => one.name === name);
    if (known === undefined)
      throw new UserError(
        `the module has no parameter ${oneLine(name)}`,
        `it has: ${facts.parameters.map((one) => one.name).join(", ") || "none"}`,
        "usage",
      );
    const { minimum, maximum } = known;
    if (!(value >= minimum && value <= maximum))
      throw new UserError(
        `${name} = ${value} is out of range`,
        `it takes ${shortest(minimum)} to ${shortest(maximum)}`,
        "usage",
      );
  }
}

/** Runs a recording's samples, and compares what comes out with what was recorded. */
function replay(
  program: Program,
  file: string,
  engine: EngineName,
  parameters: Record<string, number>,
  { json }: Options,
): void {
  const { module, digest, facts } = program;
  const recording = readRecording(file);
  const values = { ...recording.parameters, ...parameters };
  checkParameters(program, values);
  const { samples } = recording;
  if (samples.length > 0 && !samples.some(({ sensor }) => facts.sensors.includes(sensor)))
    throw new UserError(
      `${oneLine(file)} has samples of ${oneLine([...new Set(samples.map(({ sensor }) => sensor))].join(", "))}, and the module takes none of them`,
      `it takes: ${facts.sensors.join(", ") || "none"}; is it the module that was recorded?`,
      "usage",
    );
  const { happenings } = simulate(module, samples, { engine, parameters: values });
  const wrong: string[] = [];
  for (const [name, recorded] of recording.outputs) {
    const now = happenings.flatMap((one) =>
      one.kind === "output" && one.name === name ? [one.value] : [],
    );
    // A notification may be left out (RFC 7641 §4.5): what was seen has to come, in its order.
    let from = 0;
    for (const value of recorded) {
      const found = now.findIndex((one, index) => index >= from && Object.is(one, value));
      if (found < 0) wrong.push(`${name}: ${value} was recorded and does not come now`);
      else from = found + 1;
    }
  }
  const compared = [...recording.outputs.values()].reduce((sum, { length }) => sum + length, 0);
  const same = recording.digest === undefined || recording.digest === digest;
  if (wrong.length > 0)
    throw new UserError(
      wrong.join("\n       "),
      same
        ? "the module behaves otherwise than on the node: please report it with the recording"
        : "the module is another one than the one that was recorded: is the difference what you meant?",
      "check",
    );
  print(
    json,
    { samples: recording.samples.length, outputs: compared, same },
    () =>
      `${counted(recording.samples.length, "sample")}, ${counted(compared, "output")}: as recorded${same ? "" : ", with another module"}`,
  );
}
