// The new filter against the old one on the same node: how often its outputs come, where their values lie, traps, fuel.
import { counted } from "../../lib/text.ts";
import type { History, Point } from "../history.ts";
import type { ManagedNode } from "../nodes.ts";

/** Values below which nothing is said of an output. */
const least = 20;
/** How far back the old filter is looked at, in milliseconds. */
const past = 600_000;
/** By what factor an output may come more or less often, and a run take more fuel. */
const factor = 4;
/** Fuel of a run that is no fault, whatever it was before: what trapped at once took none. */
const little = 1_000;

/** What an output did over a time. */
interface Conduct {
  /** Values a second. */
  rate: number;
  low: number;
  high: number;
  median: number;
  count: number;
}

/** What a node's filter did before the new one came. */
export interface Baseline {
  outputs: Record<string, Conduct>;
  fuel: number;
}

function conductOf(points: readonly Point[], milliseconds: number): Conduct | undefined {
  const values = points.flatMap(({ value }) => (value === null ? [] : [value]));
  if (values.length === 0) return undefined;
  values.sort((a, b) => a - b);
  return {
    rate: (values.length * 1000) / Math.max(1, milliseconds),
    low: values[0]!,
    high: values.at(-1)!,
    median: values[values.length >> 1]!,
    count: values.length,
  };
}

async function outputsOf(
  node: ManagedNode,
  history: History,
  from: number,
  to: number,
): Promise<Record<string, Conduct>> {
  await history.flush();
  const found: Record<string, Conduct> = {};
  for (const output of (node.app?.outputs ?? []).slice(0, 16)) {
    const resource = `outputs/${output}`;
    const query = { node: node.name, resource, from, to, resolution: "raw", limit: 5_000 } as const;
    const points = await history.query(query);
    const conduct = conductOf(points, to - Math.max(from, points[0]?.time ?? from));
    if (conduct !== undefined) found[output] = conduct;
  }
  return found;
}

/** What a node's filter has done in the last ten minutes. */
export async function baselineOf(
  node: ManagedNode,
  history: History,
  now: number,
): Promise<Baseline> {
  return {
    outputs: await outputsOf(node, history, now - past, now),
    fuel: node.stats?.fuel_max ?? 0,
  };
}

/**
 * What is worse since the new filter runs, by `stats` that were asked for since then; `trapsBefore` were there when it began. An output that
 * the old one had not, or had too few values of, is not compared.
 */
export async function faultsOf(
  node: ManagedNode,
  history: History,
  before: Baseline | undefined,
  trapsBefore: number,
  since: number,
  now: number,
): Promise<string[]> {
  const faults: string[] = [];
  const { traps = 0, fuel_max: fuel = 0 } = node.stats ?? {};
  // A node counts its traps from its start on, those of filters before as well.
  if (traps > trapsBefore) faults.push(counted(traps - trapsBefore, "trap"));
  if (before === undefined) return faults;
  if (before.fuel > 0 && fuel > Math.max(little, factor * before.fuel))
    faults.push(`a run takes ${fuel} of fuel, before ${before.fuel}`);
  const after = await outputsOf(node, history, since, now);
  for (const [name, old] of Object.entries(before.outputs)) {
    if (old.count < least || node.app?.outputs?.includes(name) !== true) continue;
    const expected = (old.rate * (now - since)) / 1000;
    const { count, median } = after[name] ?? { count: 0, median: Number.NaN };
    if (expected >= least && (count < expected / factor || count > expected * factor))
      faults.push(
        `${name} came ${count} times, as often as before would be ${Math.round(expected)}`,
      );
    const room = Math.max(old.high - old.low, Math.abs(old.median) * 1e-3);
    if (count >= least && (median < old.low - room || median > old.high + room))
      faults.push(`${name} is ${median} in the middle, was ${old.low} to ${old.high}`);
  }
  return faults;
}
