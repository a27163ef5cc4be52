// Days of a river station: as they are on the wire (assembly/flood/days.ts), and decided here by the package that decides on the node.
import { setImmediate as turn } from "node:timers/promises";
import { Simulation } from "../lib/simulate.ts";

/** How many days before tomorrow an alarm is made of, the newest included. */
export const depth = 5;
export const dayLength = 86_400_000;

/** What is known of a day. NaN where it was not measured. */
export interface DayInputs {
  /** Since 1970-01-01. */
  day: number;
  /** Millimetres. */
  level: number;
  /** Millimetres. */
  rain: number;
}

/** What is said on the evening of a day about the next one. */
export interface Decision {
  day: number;
  danger: number;
  alarm: boolean;
}

/** A day as a node tells it; without an alarm where it decided nothing. */
export interface NodeDay extends DayInputs {
  danger: number;
  alarm?: boolean;
}

/** Days from the first to the last that a clock may be set to: 1970 to 9999. */
const lastDay = 2_932_896;

const recordBytes = 20;
const givenBytes = 12;
/** Records that a node puts into an answer, and that fit into what it is given. */
export const mostRead = 9;
export const mostGiven = 20;

/** The date of a day: YYYY-MM-DD. */
export const dateOf = (day: number): string => new Date(day * dayLength).toISOString().slice(0, 10);

/** Reads what a node answers; a RangeError where it is nothing of the kind. Days rise. */
export function readNodeDays(bytes: Uint8Array): NodeDay[] {
  if (bytes.length % recordBytes !== 0)
    throw new RangeError(`${bytes.length} bytes are not the days of a station`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const days: NodeDay[] = [];
  for (let at = 0; at < bytes.length; at += recordBytes) {
    const day = view.getInt32(at, true);
    const [level = 0, rain = 0, danger = 0, alarm = 0] = [4, 8, 12, 16].map((offset) =>
      view.getFloat32(at + offset, true),
    );
    if (day < 0 || day > lastDay || day <= (days.at(-1)?.day ?? -1))
      throw new RangeError(`${day} does not come after the day before it`);
    const decided = alarm === 0 || alarm === 1;
    days.push({ day, level, rain, danger, ...(decided ? { alarm: alarm === 1 } : {}) });
  }
  return days;
}

/** What a node is given that has lost its days. */
export function writeDays(days: readonly DayInputs[]): Uint8Array {
  const bytes = new Uint8Array(days.length * givenBytes);
  const view = new DataView(bytes.buffer);
  days.forEach(({ day, level, rain }, index) => {
    view.setInt32(index * givenBytes, day, true);
    view.setFloat32(index * givenBytes + 4, level, true);
    view.setFloat32(index * givenBytes + 8, rain, true);
  });
  return bytes;
}

/** The hour of the day at which a day's values are put together: any would do. */
const evening = 0.75 * dayLength;

/** Days between two turns of the loop: some 50 ms. */
const daysAtOnce = 50;

/** What decided: days, units of fuel, milliseconds. */
export interface Spent {
  decisions: number;
  fuel: number;
  milliseconds: number;
}

/**
 * The station's package in the engine of this process, fed by whole days. It keeps nothing that the last five days do not say: where it does
 * not go on from the day that it has, it begins anew with what it is given.
 */
export class DayRunner {
  readonly #module: Uint8Array;
  readonly #parameters: Record<string, number>;
  #simulation: Simulation | undefined;
  #known = Number.NaN;
  readonly spent: Spent = { decisions: 0, fuel: 0, milliseconds: 0 };

  constructor(module: Uint8Array, parameters: Record<string, number> = {}) {
    this.#module = module;
    this.#parameters = parameters;
    // What does not start is refused here, and not with the first day.
    const { facts } = new Simulation(module, { parameters, wallClock: true });
    for (const sensor of ["level", "rain"])
      if (!facts.sensors.includes(sensor))
        throw new RangeError(`the module has no sensor ${sensor}`);
    if (!facts.outputs.some(({ name }) => name === "alarm"))
      throw new RangeError("the module has no output alarm");
  }

  /** Decisions of the days from `from` on, of which those before it are what they are made of; a day with too few before has none. */
  decide(days: readonly DayInputs[], from: number): Decision[] {
    const decisions: Decision[] = [];
    this.#begin(days, from);
    for (const one of days) this.#pass(one, from, decisions);
    return decisions;
  }

  /** The same for days that take seconds, with turns of the loop in between. */
  async decideAll(days: readonly DayInputs[], from: number): Promise<Decision[]> {
    const decisions: Decision[] = [];
    this.#begin(days, from);
    for (const [index, one] of days.entries()) {
      if (index % daysAtOnce === 0) await turn();
      this.#pass(one, from, decisions);
    }
    return decisions;
  }

  #begin(days: readonly DayInputs[], from: number): void {
    const first = days[0]?.day ?? from;
    if (!(this.#known < from && first <= this.#known + 1)) {
      this.#simulation = new Simulation(this.#module, {
        parameters: this.#parameters,
        wallClock: true,
      });
      this.#known = first - 1;
    }
  }

  /** A day goes by; what was decided is added. */
  #pass({ day, level, rain }: DayInputs, from: number, decisions: Decision[]): void {
    if (day <= this.#known) return;
    const began = performance.now();
    const simulation = this.#simulation!;
    const at = day * dayLength + evening;
    // A station that wakes by ticks slept in between.
    simulation.skipTo(at);
    simulation.sample({ at, sensor: "level", value: level });
    simulation.sample({ at, sensor: "rain", value: rain });
    this.#known = day;
    const made = new Map<string, number>();
    for (const one of simulation.happenings) {
      if (one.kind === "output") made.set(one.name, one.value);
      if (one.kind === "trap") {
        this.#simulation = undefined;
        this.#known = Number.NaN;
        throw new Error(`the module trapped: ${one.ended.trap ?? "trap"}`);
      }
    }
    simulation.happenings.length = 0;
    for (const fuel of simulation.fuel) this.spent.fuel += fuel;
    simulation.fuel.length = 0;
    simulation.hostFuel.length = 0;
    this.spent.milliseconds += performance.now() - began;
    const alarm = made.get("alarm");
    if (alarm === undefined || day < from) return;
    this.spent.decisions++;
    decisions.push({ day, danger: made.get("danger") ?? Number.NaN, alarm: alarm === 1 });
  }
}
