// Says what a module costs before anything is sent, and whether a node has room for it.
import { compiled, inspect, refusal } from "../lib/engine.ts";
import { describeListing, disassemble } from "../lib/disassembly.ts";
import type { MemoryReport } from "../lib/build/finish.ts";
import type { StateFact } from "../lib/build/section.ts";
import { exercise } from "../lib/exercise.ts";
import { runFuel } from "../lib/simulate.ts";
import { describeTrap, sourcePlace, trapAdvice } from "../lib/backtrace.ts";
import { UserError } from "../lib/errors.ts";
import { keptModule } from "../lib/kept.ts";
import { stateCost, stateMinutes } from "../lib/states.ts";
import { counted, oneLine } from "../lib/text.ts";
import { address, print, project, table, withNode, type NodeOptions } from "./context.ts";
import { load, type MemoryOptions } from "./program.ts";
import { projectSamples, samplesFrom } from "./samples.ts";

/**
 * Instructions of a run on the Cortex-M4F, rounded up from what is measured: for a unit of fuel (fib, the largest of the kernels of
 * `npm run -s conformance -- --measure --target cortex-m4`: 6.2), and for the run itself with its calls to the node (the filters of
 * `npm run -s bench -- compare`); and the clock.
 */
const instructionsPerFuel = 7;
/** The same of compiled code, in the kernel that calls most (fib: 1.9). */
const compiledPerFuel = 2;
/** Bytes of code for which boards have room: those of the largest arena (docs/compiler.md). */
const arena = 20 * 1024;
const instructionsPerRun = 1_000;
const hertz = 168e6;

export async function checkVerb(
  file: string | undefined,
  options: NodeOptions & MemoryOptions & { samples?: string; disassemble?: boolean },
): Promise<void> {
  const { module, facts, name, digest, memory, paths } = await load(file, options);
  const { footprint, table: branches } = inspect(module);
  const refused = refusal(module);
  const made = compiled(module);
  const interpreted =
    made.refusal ??
    (made.code.length > arena
      ? `its code has ${made.code.length} bytes, an arena ${arena}`
      : undefined);
  const listing =
    options.disassemble !== true || made.refusal !== undefined
      ? undefined
      : disassemble(made, (offset) => sourcePlace(keptModule(project(), digest), offset));
  const from = options.samples ?? projectSamples();
  const samples =
    from === undefined
      ? []
      : // What the project names may be for another of its programs.
        options.samples === undefined
        ? samplesFrom(from, [])
        : samplesFrom(from, facts.sensors);
  const { simulation, unexercised, runs: counts, failed } = exercise(module, samples, paths);
  const { fuel, happenings } = simulation;
  const trap = happenings.find((one) => one.kind === "trap");
  const [start = 0, ...runs] = fuel;
  const worst = fuel.reduce((most, one) => Math.max(most, one), 0);
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
    exercised: counts,
    notExercised: unexercised,
    ...(failed.size > 0 ? { failedRequests: Object.fromEntries(failed) } : {}),
    ...(memory ? { holds: memory } : {}),
    ...(facts.states.length > 0 ? { state: stateCost(facts.states) } : {}),
    tier: interpreted === undefined ? "compiled" : "interpreted",
    code: made.code.length,
    ...(interpreted === undefined ? {} : { why: interpreted }),
    microseconds: microseconds(
      worst,
      interpreted === undefined ? compiledPerFuel : instructionsPerFuel,
    ),
    microsecondsInterpreted: microseconds(worst, instructionsPerFuel),
    ...(listing === undefined ? {} : { listing }),
  };
  const faults: string[] = [];
  if (refused !== undefined) faults.push(`no node takes it: ${refused.what}`);
  if (trap?.kind === "trap") {
    const { trap: kind = "", backtrace } = trap.ended;
    const after =
      kind === "fuel"
        ? `a run uses more than the ${runFuel} units of fuel that nodes grant`
        : `it traps after ${counted(fuel.length, "run")}`;
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
  const kinds = Object.entries(counts).filter(([, count]) => count > 0);
  const own = samples.filter(({ sensor }) => facts.sensors.includes(sensor)).length;
  const repeated = counts.sample > own ? `; the ${counted(own, "given sample")} over and over` : "";
  const measured =
    kinds.length === 0
      ? "the start only: --samples measures more"
      : `${result.meanFuel} on average, ${start} at the start, in ${kinds.map(([kind, count]) => counted(count, kind)).join(", ")}${repeated}`;
  const without = unexercised.map((sensor) => `sensor ${sensor}: no samples of it`);
  const fits = options.node === undefined ? [] : [["fits", `on ${address(options)}`] as const];
  const words = () =>
    table([
      ["module", `${module.length} bytes, and ${branches} of branch table in flash`],
      [
        "RAM",
        `${footprint.total} bytes: memory ${footprint.memory}, stack ${footprint.stack}, globals ${footprint.globals}, tables ${footprint.tables}`,
      ],
      ...(memory === undefined || footprint.memory === 0
        ? []
        : [["memory", describeMemory(memory)] as const]),
      [
        "stack",
        footprint.depth === undefined
          ? `${footprint.stack} bytes; it calls itself, and traps beyond them`
          : `${footprint.stack} bytes at worst, ${footprint.depth} ${footprint.depth === 1 ? "call" : "calls"} deep`,
      ],
      ...(facts.states.length === 0 ? [] : [["state", describeStates(facts.states)] as const]),
      ["fuel", `${worst} at most (${measured})`],
      ["code", describeCode(made.code.length, interpreted)],
      ["time", describeTime(result)],
      ...(without.length === 0 ? [] : [["not tried", without.join("; ")] as const]),
      ...[...failed].map(
        ([what, { count, path }]) =>
          [
            "requests",
            `${count} of ${counts.request} were answered ${oneLine(what)}: app/x/${path}`,
          ] as const,
      ),
      ...(faults.length === 0 ? fits : []),
    ]);
  print(options.json, { ...result, faults }, () =>
    listing === undefined ? words() : `${words()}\n\n${describeListing(listing)}`,
  );
  if (faults.length > 0)
    throw new UserError(
      faults.join("\n       "),
      (trap?.kind === "trap" ? trapAdvice(trap.ended.trap ?? "", memory?.heap) : undefined) ??
        (options.node === undefined
          ? "change the module"
          : "change the module, or choose another node"),
      "check",
    );
}

const microseconds = (fuel: number, perFuel: number) =>
  Math.ceil(((instructionsPerRun + fuel * perFuel) * 1e6) / hertz);

function describeCode(bytes: number, interpreted: string | undefined): string {
  return interpreted === undefined
    ? `${bytes} bytes, compiled by boards with room for it`
    : `interpreted by every board: ${interpreted}`;
}

function describeTime(result: {
  tier: string;
  microseconds: number;
  microsecondsInterpreted: number;
}): string {
  const more =
    result.tier === "compiled" ? `, ${result.microsecondsInterpreted} us interpreted` : "";
  return `about ${result.microseconds} us a run on a Cortex-M4F at 168 MHz${more}`;
}

function describeStates(states: readonly StateFact[]): string {
  const { bytes, flash } = stateCost(states);
  const names = states.map(({ name }) => name).join(", ");
  return `${names}: ${bytes} bytes, saved when changed, every ${stateMinutes} minutes at most: ${flash} bytes of flash a time`;
}

function describeMemory({ constants, start, heap, collected }: MemoryReport): string {
  const left = collected ? `${heap} for handlers, which are collected` : `${heap} free`;
  return `constants ${constants}, objects of the start ${start}, ${left}`;
}
