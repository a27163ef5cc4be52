// Alarms that come once and in order, wherever they were decided: the ledger of a gateway.
//
// A decision is about a time (the day it warns of) and is the same wherever it is computed, since the engine gives the same bits
// everywhere. Its identity is that time. So while a model moves, both places may decide; while a link is cut, a place keeps
// its decisions and sends them later, perhaps twice: the ledger takes each time once, and tells what it took in the order of the times.
// It waits with later times for those that are missing, at most until `flush` says that nothing earlier will come.

export interface Decided {
  /** What was decided about: rises by one. */
  period: number;
  /** Whether there is an alarm. */
  alarm: boolean;
}

export interface Change {
  period: number;
  alarm: boolean;
}

/** Decisions that are kept while earlier ones are missing; beyond, the oldest gap is given up and counted. */
const mostWaiting = 4096;

export class Ledger {
  #next: number | undefined;
  #on = false;
  readonly #waiting = new Map<number, boolean>();
  readonly #tell: (change: Change) => void;
  /** Decisions that came again, that came too late, and periods that nobody decided. */
  repeated = 0;
  late = 0;
  missed = 0;

  /** `from` is the first period; without one it is that of the first decision. `on`: there was an alarm before it. */
  constructor(tell: (change: Change) => void, from?: number, on = false) {
    this.#tell = tell;
    this.#next = from;
    this.#on = on;
  }

  /** Whether there is an alarm, as far as is known. */
  get on(): boolean {
    return this.#on;
  }

  /** The first period that is not known. */
  get next(): number | undefined {
    return this.#next;
  }

  take({ period, alarm }: Decided): void {
    if (!Number.isSafeInteger(period)) throw new RangeError(`${period} is not a period`);
    this.#next ??= period;
    if (period < this.#next || this.#waiting.has(period)) {
      this.repeated++;
      return;
    }
    this.#waiting.set(period, alarm);
    if (this.#waiting.size > mostWaiting) this.flush(Math.min(...this.#waiting.keys()));
    this.#advance();
  }

  /** Nothing before this period will come any more. */
  flush(period: number): void {
    if (this.#next === undefined) return;
    while (this.#next < period) {
      this.#advance();
      if (this.#next >= period) return;
      // From one gap to the next decision in one step: a clock that jumped is no reason to count for years.
      const known = [...this.#waiting.keys()].filter((one) => one < period);
      const to = known.length === 0 ? period : Math.min(...known);
      this.missed += to - this.#next;
      this.#next = to;
    }
    this.#advance();
  }

  #advance(): void {
    while (this.#next !== undefined) {
      const alarm = this.#waiting.get(this.#next);
      if (alarm === undefined) return;
      this.#waiting.delete(this.#next);
      if (alarm !== this.#on) this.#tell({ period: this.#next, alarm });
      this.#on = alarm;
      this.#next++;
    }
  }
}
