// Says what a module costs before anything is sent, and whether a node has room for it.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { inspect, refusal } from "../lib/engine.ts";
import { readSamples, runFuel, simulate, type Sample } from "../lib/simulate.ts";
import { describeTrap } from "../lib/backtrace.ts";
import { UserError } from "../lib/errors.ts";
import { keptModule } from "../lib/kept.ts";
import { address, print, project, table, withNode, type NodeOptions } from "./context.ts";
import { load } from "./program.ts";

/**
 * Instructions of a run on the Cortex-M4F, rounded up from what is measured: for a unit of fuel (fib, the largest of the kernels of
 * `npm run -s conformance -- --measure --target cortex-m4`: 6.2), and for the run itself with its calls to the node (the filters of
 * `npm run -s bench -- compare`); and the clock.
 */
const instructionsPerFuel = 7;
const instructionsPerRun = 1_000;
const hertz = 168e6;
/** Samples are gone through again until there were so many: what a handler leaks shows within them. */
const leastSamples = 2_000;

export async function checkVerb(
  file: string | undefined,
  options: NodeOptions & { samples?: string },
): Promise<void> {
  const { module, facts, name, digest } = await load(file);
  const { footprint, table: branches } = inspect(module);
  const refused = refusal(module);
  const own = join(project().folder, project().samples);
  const from = options.samples ?? (project().samples !== "" && existsSync(own) ? own : undefined);
  const samples = from === undefined ? [] : readSamples(readFileSync(from, "utf8"));
  const { fuel, happenings } = simulate(module, repeated(samples, facts.sensors));
  const trap = happenings.find((one) => one.kind === "trap");
  const [start = 0, ...runs] = fuel;
  const worst = Math.max(0, ...fuel);
  const mean = runs.length === 0 ? 0 : runs.reduce((sum, one) => sum + one, 0) / runs.length;
  const result = {
    name,
    digest,
    bytes: module.length,
    table: branches,
    ram: footprint.total,
    memory: footprint.memory,
    stack: footprint.stack,
    globals: footprint.globals,
    tables: footprint.tables,
    ...(footprint.depth === undefined ? {} : { depth: footprint.depth }),
    fuel: worst,
    startFuel: start,
    meanFuel: Math.round(mean),
    runs: fuel.length,
    microseconds: Math.ceil(((instructionsPerRun + worst * instructionsPerFuel) * 1e6) / hertz),
  };
  const faults: string[] = [];
  if (refused !== undefined) faults.push(`no node takes it: ${refused.what}`);
  if (trap?.kind === "trap") {
    const { trap: kind = "", backtrace } = trap.ended;
    const after =
      kind === "fuel"
        ? `a run uses more than the ${runFuel} units of fuel that nodes grant`
        : `it traps after ${fuel.length} runs`;
    faults.push(
      `${after}\n${describeTrap(
        kind,
        keptModule(project(), digest),
        backtrace.map(({ offset }) => offset),
      )}`,
    );
  }
  if (options.node !== undefined) {
    await withNode(options, async (node) => {
      const info = await node.info();
      const limit = (key: string) => info.limits[key] ?? Number.POSITIVE_INFINITY;
      if (info.contract !== facts.contract)
        faults.push(`it is for contract ${facts.contract}, the node has ${info.contract}`);
      if (footprint.total > limit("memory"))
        faults.push(`it needs ${footprint.total} bytes of RAM, the node has ${limit("memory")}`);
      if (module.length + branches > limit("package"))
        faults.push(
          `with its table it has ${module.length + branches} bytes, a slot takes ${limit("package")}`,
        );
      if (worst > limit("fuel"))
        faults.push(`a run uses ${worst} fuel, the node grants ${limit("fuel")}`);
      const there = await node.discover(["rt=wasmote.sensor"]);
      for (const sensor of facts.sensors)
        if (!there.some(({ path }) => path === `/sensors/${sensor}`))
          faults.push(`the node has no sensor ${sensor}`);
    });
  }
  const measured =
    samples.length === 0
      ? "the start alone: --samples measures more"
      : `${result.meanFuel} on average, ${start} at the start, in ${fuel.length} runs`;
  const fits = options.node === undefined ? [] : [["fits", `on ${address(options)}`] as const];
  print(options.json, { ...result, faults }, () =>
    table([
      ["module", `${module.length} bytes, and ${branches} of branch table in flash`],
      [
        "RAM",
        `${footprint.total} bytes: memory ${footprint.memory}, stack ${footprint.stack}, globals ${footprint.globals}, tables ${footprint.tables}`,
      ],
      [
        "stack",
        footprint.depth === undefined
          ? `${footprint.stack} bytes; it calls itself, and traps beyond them`
          : `${footprint.stack} bytes at worst, ${footprint.depth} ${footprint.depth === 1 ? "call" : "calls"} deep`,
      ],
      ["fuel", `${worst} at most (${measured})`],
      ["time", `about ${result.microseconds} us a run on a Cortex-M4F at 168 MHz`],
      ...(faults.length === 0 ? fits : []),
    ]),
  );
  if (faults.length > 0)
    throw new UserError(
      faults.join("\n       "),
      "change the module, or choose another node",
      "check",
    );
}

/** The samples over and over, each time later, when there are any that the module takes. */
function* repeated(samples: readonly Sample[], sensors: readonly string[]): Generator<Sample> {
  const span = (samples.at(-1)?.at ?? 0) + 1000;
  const taken = samples.filter(({ sensor }) => sensors.includes(sensor)).length;
  if (taken === 0) return yield* samples;
  for (let round = 0; round * taken < leastSamples || round === 0; round++)
    for (const sample of samples) yield { ...sample, at: sample.at + round * span };
}
