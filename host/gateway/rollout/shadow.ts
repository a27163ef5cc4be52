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
}

export interface Shadow {
  samples: number;
  runs: number;
  /** The most that one run took. */
  fuel: number;
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

/** Runs a module on samples in the order of their times; `was` has what the node published, by output. */
export async function shadowOf(
  module: Uint8Array,
  samples: readonly ShadowSample[],
  was: Readonly<Record<string, readonly number[]>>,
  rules: readonly RuleConfig[] = [],
  node = "",
): Promise<Shadow> {
  const { footprint } = inspect(module);
  if (footprint.total > mostMemory)
    throw new Refused(
      422,
      `the module needs ${footprint.total} bytes, more than a shadow has here`,
    );
  const simulation = new Simulation(module);
  const { facts } = simulation;
  const first = samples[0]?.time ?? 0;
  const made = new Map<string, number[]>(facts.outputs.map(({ name }) => [name, []]));
  const shadow: Shadow = { samples: 0, runs: 0, fuel: 0, cut: false, outputs: [] };
  const end = performance.now() + longest;
  let total = 0;
  const drain = () => {
    for (const used of simulation.fuel) {
      total += used;
      shadow.runs++;
      shadow.fuel = Math.max(shadow.fuel, used);
    }
    for (const one of simulation.happenings) {
      if (one.kind === "output") made.get(one.name)?.push(one.value);
      // Texts are no numbers to be compared.
      if (one.kind === "told" && typeof one.value !== "string")
        made.get(one.name)?.push(readingOf(one.value).value);
      if (one.kind === "trap") shadow.trap = one.ended.trap ?? "trap";
    }
    simulation.fuel.length = simulation.hostFuel.length = simulation.happenings.length = 0;
    shadow.cut ||= total > mostFuel || performance.now() > end;
    return shadow.trap === undefined && !shadow.cut;
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
    if (shadow.trap !== undefined || shadow.cut) break;
    now = at;
    if (!facts.sensors.includes(sensor)) continue;
    simulation.sample({ at, sensor, value });
    shadow.samples++;
    if (!drain()) break;
    if (shadow.samples % 200 === 0) await breath();
  }
  for (const [name, values] of made)
    shadow.outputs.push({
      name,
      count: values.length,
      median: medianOf(values),
      wasCount: was[name]?.length ?? 0,
      wasMedian: medianOf(was[name] ?? []),
      alarms: alarmsOf(values, rules, node, `outputs/${name}`),
    });
  return shadow;
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
