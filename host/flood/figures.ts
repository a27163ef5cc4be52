// What a winter's alarms were worth, and what they cost: the figures that `wasmote flood` ends with.
import type { PlacementView } from "../gateway/placement/placements.ts";
import { dateOf } from "./days.ts";
import { floodFlow, type RiverDay } from "./history.ts";
import { links, places, prices, type Estimate, type Place } from "./place.ts";
import type { Carried } from "./relay.ts";

/** How alarms did, each on the evening before. */
export interface Worth {
  /** Days with a flood whose evening before was decided, and those with an alarm on it. */
  floodDays: number;
  floodDaysCaught: number;
  /** Flood days after a day without. */
  onsets: number;
  onsetsCaught: number;
  /** Days with an alarm on the evening before, and no flood. */
  falseAlarms: number;
  /** Of the onsets that were caught: days from the evening of the first alarm before it to the flood, in the mean. */
  leadDays: number | null;
}

export interface Cost {
  place: Place;
  decisions: number;
  /** Units of fuel of a decision. */
  fuel: number;
  /** Milliseconds of a decision: computed at the chip's speed on the node, measured elsewhere. */
  milliseconds: number;
  /** On the station's link, for a decision. */
  bytes: number;
  /** Of the station, for a decision: radio (LoRa) and computing, in microjoules. */
  energy: number;
  /** What was thought before, by the table of host/flood/place.ts. */
  estimate: number | null;
}

export interface Figures {
  from: string;
  to: string;
  /** Days at the beginning that nothing was decided of: a decision is made of five. */
  undecided: number;
  worth: Worth;
  /** The same for "a flood today, so a flood tomorrow", which needs no network. */
  persistence: Worth;
  costs: Cost[];
  /** Bytes of CoAP on the station's link: all samples as they come; days as the gateway fetched them; only alarms. */
  bytes: { samples: number; days: number; alarms: number; rest: number; cloud: number };
  alarms: { raised: number; ended: number };
  /** The same of the other stations, by their placements. */
  others: Record<string, { raised: number; ended: number }>;
  ledger: { repeated: number; missed: number; moves: number };
}

/** Judges alarms, by the day on whose evening each was given. */
export function worthOf(
  days: readonly Pick<RiverDay, "day" | "flow">[],
  alarms: ReadonlyMap<number, boolean>,
): Worth {
  const worth: Worth = {
    floodDays: 0,
    floodDaysCaught: 0,
    onsets: 0,
    onsetsCaught: 0,
    falseAlarms: 0,
    leadDays: null,
  };
  let lead = 0;
  days.forEach(({ day, flow }, index) => {
    const before = days[index - 1];
    if (before?.day !== day - 1) return;
    const alarm = alarms.get(day - 1);
    if (alarm === undefined) return;
    const flood = flow >= floodFlow;
    const onset = flood && before.flow < floodFlow;
    if (flood) worth.floodDays++;
    if (onset) worth.onsets++;
    if (!alarm) return;
    if (!flood) worth.falseAlarms++;
    else worth.floodDaysCaught++;
    if (!onset) return;
    worth.onsetsCaught++;
    let first = day - 1;
    while (alarms.get(first - 1) === true) first--;
    lead += day - first;
  });
  if (worth.onsetsCaught > 0) worth.leadDays = lead / worth.onsetsCaught;
  return worth;
}

export interface FiguresOptions {
  days: readonly RiverDay[];
  decisions: readonly { day: number; alarm: boolean; at: Place }[];
  view: PlacementView;
  /** Names of the other stations' placements. */
  others: readonly string[];
  estimates: readonly Estimate[];
  carried: ReadonlyMap<string, Carried>;
  cloudBytes: number;
  /** Of a decision. */
  fuel: number;
  messages: readonly { change: string; text: string }[];
}

export function figuresOf(options: FiguresOptions): Figures {
  const { days, decisions, view, others, estimates, carried, cloudBytes, fuel, messages } = options;
  const alarms = new Map(decisions.map(({ day, alarm }) => [day, alarm]));
  const decided = days.filter(({ day }) => alarms.has(day));
  const sum = (wanted: (path: string) => boolean) =>
    [...carried].reduce((total, [path, { bytes }]) => total + (wanted(path) ? bytes : 0), 0);
  const is = {
    samples: (path: string) => path.startsWith("sensors/"),
    days: (path: string) => path === "app/x/days",
    alarms: (path: string) => path === "outputs/alarm",
  };
  const bytes = {
    samples: sum(is.samples),
    days: sum(is.days),
    alarms: sum(is.alarms),
    rest: sum((path) => !Object.values(is).some((one) => one(path))),
    cloud: cloudBytes,
  };
  const count = Math.max(1, decisions.length);
  const energyOf = (sent: number, computed: number) =>
    (sent * 8 * links["lora"]!.energyPerBit + computed * prices.nodeFuel) / 1000;
  const { gateway, cloud } = view.spent;
  const each = (spent: { decisions: number; milliseconds: number } | null) =>
    spent === null || spent.decisions === 0 ? Number.NaN : spent.milliseconds / spent.decisions;
  const milliseconds: Record<Place, number> = {
    node: fuel / prices.nodeSpeed,
    gateway: each(gateway),
    cloud: each(cloud),
  };
  const costs = places.flatMap((place): Cost[] => {
    const made = decisions.filter(({ at }) => at === place).length;
    if (made === 0) return [];
    // The node would have to tell no more than its alarms; above it the day's values have to come.
    const sent = (place === "node" ? bytes.alarms : bytes.days) / count;
    return [
      {
        place,
        decisions: made,
        fuel,
        milliseconds: milliseconds[place],
        bytes: sent,
        energy: energyOf(sent, place === "node" ? fuel : 0),
        estimate: estimates.find((one) => one.place === place)?.energy ?? null,
      },
    ];
  });
  const told = (name: string) => {
    const ours = messages.filter(({ text }) => text.startsWith(`${name}:`));
    return {
      raised: ours.filter(({ change }) => change === "raised").length,
      ended: ours.filter(({ change }) => change === "ended").length,
    };
  };
  const first = days.findIndex(({ day }) => alarms.has(day));
  return {
    from: dateOf(days[0]!.day),
    to: dateOf(days.at(-1)!.day),
    undecided: first < 0 ? days.length : first,
    worth: worthOf(days, alarms),
    persistence: worthOf(days, new Map(decided.map(({ day, flow }) => [day, flow >= floodFlow]))),
    costs,
    bytes,
    alarms: told(view.name),
    others: Object.fromEntries(others.map((name) => [name, told(name)])),
    ledger: { repeated: view.repeated, missed: view.missed, moves: view.moves },
  };
}
