// A shadow run: a package at the gateway on what a node's sensors said, beside what the node made of it at the time. Nothing is sent anywhere.
import { setImmediate as breath } from "node:timers/promises";
import { inspect } from "../../lib/engine.ts";
import { Simulation } from "../../lib/simulate.ts";
import { readingOf } from "../../lib/states.ts";
import type { RuleConfig } from "../config.ts";
import { matchesAny } from "../envelope.ts";
import { Refused } from "../http.ts";

/** What a sensor said. */
export interface ShadowSample {
  sensor: string;
  time: number;
  value: number;
}

export interface ShadowOutput {
  name: string;
  /** Values, and the one in the middle: of the package, and of the node in that time. */
  count: number;
  median: number | null;
  wasCount: number;
  wasMedian: number | null;
  /** Thresholds that the values pass upwards or downwards, each with how often. */
  alarms: Record<string, number>;
  /** Against what the node's filter of today makes of the same samples. */
  differs?: Difference;
}

/** One output of two modules on the same samples. */
export interface Difference {
  /** Values that both have at the same time, of which so many are not the same. */
  both: number;
  other: number;
  /** Values that only the new one has, and only the old one. */
  added: number;
  missing: number;
  /** The largest difference of two values, and the time of it in milliseconds since 1970. */
  most: number;
  at: number | null;
  /** The old one's thresholds, as `alarms` has them. */
  alarms: Record<string, number>;
}

export interface Shadow {
  samples: number;
  runs: number;
  /** The most that one run took. */
  fuel: number;
  /** The same of the node's filter of today, where its module is known here. */
  oldFuel?: number;
  trap?: string;
  /** The time or the fuel for this was used up before the samples were. */
  cut: boolean;
  outputs: ShadowOutput[];
}

/** Fuel of a shadow run altogether, and ticks between two looks at it. */
const mostFuel = 100_000_000;
const ticksAtOnce = 200;
/** Milliseconds of this computer's time. */
const longest = 30_000;
const mostMemory = 1 << 20;

/** Values of one output, with the time since the first sample. */
type Made = Map<string, { at: number; value: number }[]>;

type Ran = Omit<Shadow, "outputs" | "oldFuel"> & { made: Made };

/**
 * Runs a module on samples in the order of their times; `was` has what the node published, by output. `old` is what the node runs, which is run
 * on the same samples beside it.
 */
export async function shadowOf(
  module: Uint8Array,
  samples: readonly ShadowSample[],
  was: Readonly<Record<string, readonly number[]>>,
  {
    rules = [],
    node = "",
    old,
  }: { rules?: readonly RuleConfig[]; node?: string; old?: Uint8Array | undefined } = {},
): Promise<Shadow> {
  const { made, ...ran } = await run(module, samples);
  const before = old === undefined ? undefined : await run(old, samples);
  const first = samples[0]?.time ?? 0;
  const outputs = [...made].map(([name, points]): ShadowOutput => {
    const values = points.map(({ value }) => value);
    const output = {
      name,
      count: values.length,
      median: medianOf(values),
      wasCount: was[name]?.length ?? 0,
      wasMedian: medianOf(was[name] ?? []),
      alarms: alarmsOf(values, rules, node, `outputs/${name}`),
    };
    const olds = before?.made.get(name);
    if (olds === undefined) return output;
    const alarms = alarmsOf(
      olds.map(({ value }) => value),
      rules,
      node,
      `outputs/${name}`,
    );
    return { ...output, differs: { ...differenceOf(points, olds, first), alarms } };
  });
  return { ...ran, ...(before === undefined ? {} : { oldFuel: before.fuel }), outputs };
}

/** Two outputs by the times of their values; several of one time are compared in their order. */
function differenceOf(
  points: readonly { at: number; value: number }[],
  olds: readonly { at: number; value: number }[],
  first: number,
): Omit<Difference, "alarms"> {
  const found = { both: 0, other: 0, added: 0, missing: 0, most: 0, at: null as number | null };
  let next = 0;
  for (const { at, value } of points) {
    while (next < olds.length && olds[next]!.at < at) {
      next++;
      found.missing++;
    }
    const old = olds[next];
    if (old === undefined || old.at !== at) {
      found.added++;
      continue;
    }
    next++;
    found.both++;
    if (Object.is(value, old.value)) continue;
    found.other++;
    const much = Math.abs(value - old.value);
    if (much > found.most || found.at === null)
      Object.assign(found, { most: Number.isNaN(much) ? found.most : much, at: first + at });
  }
  found.missing += olds.length - next;
  return found;
}

async function run(module: Uint8Array, samples: readonly ShadowSample[]): Promise<Ran> {
  const { footprint } = inspect(module);
  if (footprint.total > mostMemory)
    throw new Refused(
      422,
      `the module needs ${footprint.total} bytes, more than a shadow has here`,
    );
  const simulation = new Simulation(module);
  const { facts } = simulation;
  const first = samples[0]?.time ?? 0;
  const made: Made = new Map(facts.outputs.map(({ name }) => [name, []]));
  const ran: Ran = { samples: 0, runs: 0, fuel: 0, cut: false, made };
  const end = performance.now() + longest;
  let total = 0;
  const drain = () => {
    for (const used of simulation.fuel) {
      total += used;
      ran.runs++;
      ran.fuel = Math.max(ran.fuel, used);
    }
    for (const one of simulation.happenings) {
      const { at } = one;
      if (one.kind === "output") made.get(one.name)?.push({ at, value: one.value });
      // Texts are no numbers to be compared.
      if (one.kind === "told" && typeof one.value !== "string")
        made.get(one.name)?.push({ at, value: readingOf(one.value).value });
      if (one.kind === "trap") ran.trap = one.ended.trap ?? "trap";
    }
    simulation.fuel.length = simulation.hostFuel.length = simulation.happenings.length = 0;
    ran.cut ||= total > mostFuel || performance.now() > end;
    return ran.trap === undefined && !ran.cut;
  };
  drain();
  let now = 0;
  for (const { sensor, time, value } of samples) {
    const at = Math.max(now, time - first);
    // A module that ticks often has many runs between two samples: the gateway looks after others in between.
    while (facts.tick > 0 && at - now > facts.tick * ticksAtOnce) {
      simulation.until((now += facts.tick * ticksAtOnce));
      if (!drain()) break;
      await breath();
    }
    if (ran.trap !== undefined || ran.cut) break;
    now = at;
    if (!facts.sensors.includes(sensor)) continue;
    simulation.sample({ at, sensor, value });
    ran.samples++;
    if (!drain()) break;
    if (ran.samples % 200 === 0) await breath();
  }
  return ran;
}

function medianOf(values: readonly number[]): number | null {
  const sorted = values.filter(Number.isFinite).toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? null;
}

/** How often each threshold's alarm would have begun; how long a value has to last is left out. */
function alarmsOf(
  values: readonly number[],
  rules: readonly RuleConfig[],
  node: string,
  resource: string,
): Record<string, number> {
  const found: Record<string, number> = {};
  for (const rule of rules) {
    const { name, kind, above = Infinity, below = -Infinity, hysteresis } = rule;
    if (kind !== "threshold" || rule.resource !== resource || !matchesAny(rule.nodes, node))
      continue;
    let raised = false;
    let times = 0;
    for (const value of values) {
      if (!raised && (value > above || value < below)) {
        raised = true;
        times++;
      } else if (raised && value <= above - hysteresis && value >= below + hysteresis)
        raised = false;
    }
    found[name] = times;
  }
  return found;
}
