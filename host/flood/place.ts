// Where a model runs: on the node, at the gateway, or in the cloud, by stated costs.
//
// A decision costs energy on the node (for what it computes, sends and waits for), a price for fuel elsewhere, and staleness: how much
// later than its last input it is known where it is needed, at the gateway. All in one table below; each can be given another value.
// What does not fit, or cannot be reached, is no choice and says why. The cheapest of the rest is chosen; among equals the one
// nearest to the sensor, since it goes on when links go.

import { runFuel } from "../lib/simulate.ts";

export const places = ["node", "gateway", "cloud"] as const;
export type Place = (typeof places)[number];

/** How nodes are reached; energy is the node's, radio and all. */
export interface Link {
  /** Nanojoules a bit. */
  energyPerBit: number;
  /** Milliseconds from the node to the gateway. */
  delay: number;
  /** Bytes that each message has besides its payload. */
  overhead: number;
}

/**
 * Links by kind. Ethernet: LAN8720 at 100 Mbit/s, 0.16 W. 802.15.4: 250 kbit/s at 60 mW with the receiver's share. LoRa: spreading factor 9,
 * 1.76 kbit/s at 0.13 W. Serial: the converter's 10 mW at 115,200 baud.
 */
export const links: Record<string, Link> = {
  ethernet: { energyPerBit: 1.6, delay: 1, overhead: 60 },
  serial: { energyPerBit: 87, delay: 8, overhead: 14 },
  ieee802154: { energyPerBit: 240, delay: 15, overhead: 45 },
  lora: { energyPerBit: 74_000, delay: 1_200, overhead: 25 },
};

/** The prices of the table; costs are microjoules, and what is worth as much. */
export const prices = {
  /** Nanojoules of the chip for a unit of fuel: 7 instructions (the bound of `wasmote check`) of 1.7 nJ (STM32F407, 168 MHz, 287 mW). */
  nodeFuel: 12,
  /** For a million units of fuel. */
  gatewayFuel: 5,
  cloudFuel: 2,
  /** For each millisecond by which a decision comes later. */
  staleness: 0.05,
  /** Milliseconds from the gateway to the cloud and back. */
  cloudDelay: 80,
  /** For each byte between gateway and cloud. */
  cloudByte: 0.02,
  /** Units of fuel in a millisecond: the chip, interpreted; a computer. */
  nodeSpeed: 24_000,
  hostSpeed: 500_000,
} as const;

export interface Situation {
  /** Units of fuel a decision takes. */
  fuel: number;
  /** Values that go into a decision and are new for it, and values that come out. */
  inputs: number;
  outputs: number;
  /** How many nodes the inputs come from. */
  sources: number;
  /** Of all decisions, the share whose output changes: only that is sent from the node. */
  changes: number;
  /** Why the package does not fit the node, where it does not. */
  misfit?: string;
  /** Units of fuel that one run has at each place. */
  budget?: Partial<Record<Place, number>>;
  link: keyof typeof links;
  /** Links that are cut. */
  cut?: readonly ("gateway" | "cloud")[];
  /** Those of them of which nobody said where they are. */
  unnamed?: readonly ("gateway" | "cloud")[];
}

export interface Estimate {
  place: Place;
  /** Nothing where it is no choice. */
  cost?: number;
  /** Microjoules of the node, bytes on the node's link, milliseconds, for one decision. */
  energy?: number;
  bytes?: number;
  staleness?: number;
  /** Why it is no choice. */
  why?: string;
}

export interface Decision {
  place: Place;
  because: string;
  estimates: Estimate[];
}

/** Bytes of a value in a notification: text of seven figures. */
const valueBytes = 8;

function estimate(place: Place, situation: Situation): Estimate {
  const link = links[situation.link];
  if (link === undefined) throw new RangeError(`there is no link ${situation.link}`);
  const {
    fuel,
    inputs,
    outputs,
    sources,
    changes,
    misfit,
    budget = {},
    cut = [],
    unnamed = [],
  } = situation;
  const most = budget[place];
  if (place === "node" && misfit !== undefined) return { place, why: misfit };
  if (place === "node" && sources > 1)
    return { place, why: `its inputs come from ${sources} nodes` };
  // The cloud is beyond the gateway.
  const before = place === "cloud" ? cut[0] : cut.find((one) => one === place);
  if (before !== undefined)
    return {
      place,
      why: unnamed.includes(before)
        ? `nothing says where the ${before} is`
        : `the ${before} is not reached`,
    };
  if (most !== undefined && fuel > most)
    return { place, why: `a run takes ${fuel} fuel and has ${most}` };
  const message = valueBytes + link.overhead;
  const bytes = place === "node" ? outputs * message * changes : inputs * message;
  const radio = (bytes * 8 * link.energyPerBit) / 1000;
  const energy = radio + (place === "node" ? (fuel * prices.nodeFuel) / 1000 : 0);
  const computing = fuel / (place === "node" ? prices.nodeSpeed : prices.hostSpeed);
  const staleness = link.delay + computing + (place === "cloud" ? prices.cloudDelay : 0);
  const elsewhere =
    { node: 0, gateway: prices.gatewayFuel, cloud: prices.cloudFuel }[place] * (fuel / 1e6);
  const further = place === "cloud" ? (inputs + outputs) * message * prices.cloudByte : 0;
  const cost = energy + elsewhere + further + staleness * prices.staleness;
  return { place, cost, energy, bytes, staleness };
}

/** A flood alarm by the days of a station: level and rain of a day go into a decision, and an alarm changes seldom. */
export function stationSituation(
  fuel: number,
  {
    link,
    sources,
    cut = [],
    unnamed = [],
  }: Pick<Situation, "link" | "sources" | "cut" | "unnamed">,
): Situation {
  return {
    fuel,
    inputs: 2,
    outputs: 1,
    sources,
    changes: 0.05,
    link,
    budget: { node: runFuel },
    cut,
    unnamed,
  };
}

/** Chooses a place, and says why; throws a RangeError where there is none. */
export function choose(situation: Situation): Decision {
  const estimates = places.map((place) => estimate(place, situation));
  const possible = estimates.filter(
    (one): one is Required<Omit<Estimate, "why">> => one.cost !== undefined,
  );
  const [best] = possible.toSorted((a, b) => a.cost - b.cost);
  if (best === undefined)
    throw new RangeError(
      `it runs nowhere: ${estimates.map(({ place, why }) => `${place}: ${why}`).join("; ")}`,
    );
  const rest = estimates.filter(({ place }) => place !== best.place);
  const against = rest.map((one) =>
    one.cost === undefined
      ? `${one.place}: ${one.why}`
      : `${one.place} would cost ${short(one.cost)} uJ: ${reason(best, one as typeof best)}`,
  );
  return {
    place: best.place,
    because: `${best.place} costs ${short(best.cost)} uJ a decision; ${against.join("; ")}`,
    estimates,
  };
}

const short = (value: number) => String(Number(value.toPrecision(3)));

/** The largest of what makes another place dearer. */
function reason(
  best: { energy: number; staleness: number; bytes: number },
  other: typeof best,
): string {
  const energy = other.energy - best.energy;
  const staleness = (other.staleness - best.staleness) * prices.staleness;
  if (energy >= staleness && energy > 0)
    return other.bytes > best.bytes
      ? `${short(other.bytes)} bytes on the link instead of ${short(best.bytes)}`
      : `${short(energy)} uJ more for computing`;
  return staleness > 0
    ? `${short(other.staleness - best.staleness)} ms later`
    : "fuel and bytes beyond the gateway";
}
