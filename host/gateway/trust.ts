// Whether the clock that people set may be believed where something is to be forgotten by its age: a computer that wakes in 2036 would
// forget everything. After a jump the clock has to go along with time for a week.
import { steady } from "./steady.ts";

const hour = 3_600_000;
const day = 24 * hour;
const calmAfterJump = 7 * day;
/** How far the clock may be off from what has passed, and how long the gateway may have been off, before that is a jump. */
const jumpWhileRunning = hour;
const jumpWhileOff = 30 * day;

/** The clock that people set, and the one that nobody does, both in milliseconds. */
export interface Clock {
  now: () => number;
  steady: () => number;
}

export const clock: Clock = { now: Date.now, steady };

export class Trust {
  readonly #clock: Clock;
  #seen: { now: number; steady: number };
  /** Since when both go along, by the steady one. */
  #calm = -Infinity;

  /** `before` is what the clock said when the gateway looked last, in an earlier run. */
  constructor(used: Clock, before: number | undefined) {
    this.#clock = used;
    this.#seen = { now: used.now(), steady: used.steady() };
    if (before === undefined) return;
    const off = this.#seen.now - before;
    if (off < -jumpWhileRunning || off > jumpWhileOff) this.#calm = this.#seen.steady;
  }

  /** Looks at both clocks; whether things may be forgotten by their age. */
  look(): boolean {
    const [now, time] = [this.#clock.now(), this.#clock.steady()];
    const passed = time - this.#seen.steady;
    if (Math.abs(now - this.#seen.now - passed) > jumpWhileRunning) this.#calm = time;
    this.#seen = { now, steady: time };
    return time - this.#calm >= calmAfterJump;
  }
}
