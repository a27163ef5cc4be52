// A flood alarm that has a place, and moves while days come in: on the node, at this gateway, or in the cloud.
//
//   stations --days, in order--> store --window of days--> place: node | here | cloud --decisions--> ledger --> alarms
//
// Days are identified by their date, and a decision by its day, wherever it is made: the same package gets the same days and gives the
// same bits. So a move is no more than another place that is asked for the next day; what it needs to know goes along with the question
// (the last five days). What runs below a cut link goes on: stations keep 64 days with their own decisions, which are fetched when the
// link is back; and a gateway that does not reach the cloud decides itself. Days, ledger and alarms are kept in one transaction: a process
// may be killed at any moment, and no alarm is lost or told twice.
import { Ledger, type Change } from "./alarms.ts";
import {
  dayLength,
  depth,
  mostRead,
  type DayInputs,
  type DayRunner,
  type Decision,
  type NodeDay,
  type Spent,
} from "./days.ts";
import type { Place } from "./place.ts";

/** What a day's values come from: a station each. */
export interface Sources {
  level: string;
  rain: string;
}
export type Measured = keyof Sources;

/** A day as it is kept; what is not there has not come. */
export interface StoredDay {
  day: number;
  level: number | null;
  rain: number | null;
  /** What the station decided. */
  danger: number | null;
  alarm: boolean | null;
}

export interface LedgerState {
  next: number | undefined;
  on: boolean;
  repeated: number;
  missed: number;
}

/** Where days and what was told are kept. */
export interface PlacementStore {
  /** From this day on, in order. */
  days: (from: number) => StoredDay[];
  /** The newest day of which this was measured. */
  newest: (measured: Measured) => number | undefined;
  /** Keeps days; what is known of a day stays. `own` where the station measures all there is and so decides as well. */
  put: (measured: readonly Measured[], days: readonly NodeDay[], own: boolean) => void;
  ledger: () => LedgerState;
  /** What was decided of a day, and where. */
  decided: (decision: Decision, at: Place) => void;
  keepLedger: (state: LedgerState) => void;
  /** All of this work or none. */
  whole: (work: () => void) => void;
}

export interface Stations {
  /** Days of a station from this one on, at most {@link mostRead}; throws where it is not reached. */
  read: (station: string, from: number) => Promise<NodeDay[]>;
  /** Gives a station days that it has lost. */
  give: (station: string, days: readonly DayInputs[]) => Promise<void>;
}

/** Decides somewhere else; throws where that is not reached. */
export interface Cloud {
  decide: (days: readonly DayInputs[], from: number) => Promise<Decision[]>;
  stop: () => Promise<void>;
  readonly spent: Spent;
}

export interface PlacementOptions {
  sources: Sources;
  place: Place;
  store: PlacementStore;
  stations: Stations;
  here: DayRunner;
  cloud?: Cloud | undefined;
  /** Within the transaction that keeps it. */
  onChange: (change: Change, decision: Decision, at: Place) => void;
  /** Milliseconds since 1970. */
  now?: () => number;
  /** Behind it. */
  onDecision?: (decision: Decision, at: Place) => void;
}

/** A day that is so many after the one before is one of a clock that is wrong. */
const furthest = 366;
/** Days that a station keeps: a jump to one of them is to what it measured before it was asked. */
const kept = 64;
/** Days by which two clocks that are right may differ: zones, and the end of a day. */
const ahead = 2;
/** Days that are decided at a time. */
const batch = 128;

export class Placement {
  readonly #options: PlacementOptions;
  #place: Place;
  #ledger: Ledger;
  #running: Promise<void> | undefined;
  #again = false;
  #stopped = false;
  /** Where the newest decision was made. */
  decidedAt: Place | undefined;
  moves = 0;
  /** Decisions of stations that were taken as they are. */
  taken = 0;
  /** Why a station or the cloud does not do its part, by name. */
  readonly trouble = new Map<string, string>();
  /** Stations that measure no more than what is taken of them here: their days can be given back in whole. */
  readonly #whole = new Map<string, boolean>();
  #telling: { decision: Decision; at: Place } | undefined;

  constructor(options: PlacementOptions) {
    this.#options = options;
    this.#place = options.place;
    this.#ledger = this.#restored();
  }

  get place(): Place {
    return this.#place;
  }

  get ledger(): Pick<Ledger, "next" | "on" | "repeated" | "missed"> {
    return this.#ledger;
  }

  /** Days that are known in whole and not decided. */
  get behind(): number {
    const { next } = this.#ledger;
    const horizon = this.#horizon();
    return next === undefined || horizon === undefined ? 0 : Math.max(0, horizon - next + 1);
  }

  get spent(): { gateway: Spent; cloud: Spent | undefined } {
    return { gateway: this.#options.here.spent, cloud: this.#options.cloud?.spent };
  }

  /** From the next day on it is decided there. */
  move(to: Place): void {
    if (to === this.#place) return;
    if (to === "node" && !this.#alone())
      throw new RangeError("level and rain come from two stations: neither can decide");
    if (to === "cloud" && this.#options.cloud === undefined)
      throw new RangeError("nothing says where the cloud is");
    const from = this.#place;
    this.#place = to;
    this.moves++;
    // What it leaves behind there goes on its own account: who does not hear of it now has nothing to decide anyway.
    if (from === "cloud") void this.#options.cloud?.stop().catch(() => {});
  }

  /** Gets what there is and decides what can be decided. Resolves when what was known at the call has been dealt with. */
  settle(): Promise<void> {
    if (this.#stopped) return Promise.resolve();
    if (this.#running !== undefined) {
      this.#again = true;
      return this.#running;
    }
    const work = async () => {
      do {
        this.#again = false;
        await this.#gather();
        while (!this.#stopped && (await this.#decide()));
      } while (this.#again && !this.#stopped);
    };
    this.#running = work().finally(() => (this.#running = undefined));
    return this.#running;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running?.catch(() => {});
  }

  #restored(): Ledger {
    const { next, on, repeated, missed } = this.#options.store.ledger();
    const tell = (change: Change) => {
      const { decision, at } = this.#telling!;
      this.#options.onChange(change, decision, at);
    };
    const ledger = new Ledger(tell, next, on);
    ledger.repeated = repeated;
    ledger.missed = missed;
    return ledger;
  }

  #alone(): boolean {
    const { level, rain } = this.#options.sources;
    return level === rain;
  }

  /** Up to this day everything has come that will come. */
  #horizon(): number | undefined {
    const { store } = this.#options;
    const [level, rain] = [store.newest("level"), store.newest("rain")];
    return level === undefined || rain === undefined ? undefined : Math.min(level, rain);
  }

  async #gather(): Promise<void> {
    const { sources } = this.#options;
    const stations = new Map<string, Measured[]>();
    for (const measured of ["level", "rain"] as const)
      stations.set(sources[measured], [...(stations.get(sources[measured]) ?? []), measured]);
    await Promise.all(
      [...stations].map(async ([station, measured]) => {
        try {
          await this.#read(station, measured);
          this.trouble.delete(station);
        } catch (error) {
          this.trouble.set(station, (error as Error).message);
        }
      }),
    );
  }

  async #read(station: string, measured: readonly Measured[]): Promise<void> {
    const { store, stations } = this.#options;
    const own = this.#alone();
    let known = newestOf(store, measured);
    const before = known;
    for (;;) {
      // The newest day that is known is asked for again: a station that does not have it has lost its days.
      const days = await stations.read(station, known ?? 0);
      this.#checkClock(station, known, days);
      store.put(measured, days, own);
      if (!own)
        for (const day of days)
          if (Number.isFinite(day.level) || Number.isFinite(day.rain))
            this.#whole.set(
              station,
              (["level", "rain"] as const).every(
                (one) => measured.includes(one) || !Number.isFinite(day[one]),
              ),
            );
      const last = days.at(-1);
      if (before !== undefined && (own || this.#whole.get(station) === true))
        await this.#restore(station, measured, last);
      if (last === undefined || days.length < mostRead || last.day === known) return;
      known = last.day;
    }
  }

  /**
   * Days are believed up to this gateway's own. A jump of more than a year is one of a clock that is wrong, unless it ends where this gateway's
   * clock is: then the one before it was wrong, as that of a station which began without a clock.
   */
  #checkClock(station: string, known: number | undefined, days: readonly NodeDay[]): void {
    const today = Math.floor((this.#options.now ?? Date.now)() / dayLength);
    const far = days.find(({ day }, index) => {
      const last = index === 0 ? known : days[index - 1]!.day;
      if (day > today + ahead) return true;
      return last !== undefined && day - last > furthest && day < today - kept;
    });
    if (far === undefined) return;
    const [from, of] = far.day > today + ahead ? [today, " of this gateway"] : [known ?? 0, ""];
    throw new RangeError(`${station} is ${far.day - from} days ahead${of}: its clock is wrong`);
  }

  /** A station that was reset without its days, or has too few to decide, gets those that are known here. */
  async #restore(
    station: string,
    measured: readonly Measured[],
    last: NodeDay | undefined,
  ): Promise<void> {
    const { store, stations } = this.#options;
    const newest = newestOf(store, measured);
    if (newest === undefined || (last?.day === newest && last.alarm !== undefined)) return;
    // In the middle of many days there is nothing to restore yet.
    if (last !== undefined && last.day < newest && last.alarm !== undefined) return;
    // As many as an alarm is made of: those before are decided here, and a run of the station takes no longer than that of a day.
    const days: DayInputs[] = [];
    for (const { day, level, rain } of store.days(newest - depth + 1).toReversed()) {
      // Of the other station there may be more.
      if (day > newest) continue;
      const there = measured.every((one) => (one === "level" ? level : rain) !== null);
      if (!there || day !== (days[0]?.day ?? newest + 1) - 1) break;
      const value = (one: Measured, found: number | null) =>
        measured.includes(one) ? (found ?? Number.NaN) : Number.NaN;
      days.unshift({ day, level: value("level", level), rain: value("rain", rain) });
    }
    if (days.length < (last === undefined ? 1 : depth)) return;
    await stations.give(station, days);
  }

  /** Decides the next days; whether there are more. */
  async #decide(): Promise<boolean> {
    const { store } = this.#options;
    const horizon = this.#horizon();
    if (horizon === undefined) return false;
    const next = this.#ledger.next;
    const stored = store
      .days((next ?? 0) - depth + 1)
      .filter(({ day }) => day <= horizon)
      .slice(0, batch);
    const whole = stored.filter(
      (one): one is StoredDay & DayInputs => one.level !== null && one.rain !== null,
    );
    const last = stored.at(-1)?.day;
    if (last === undefined || (next !== undefined && last < next)) return false;
    const from = next ?? whole[0]?.day ?? last + 1;
    const wanted = whole.filter(({ day }) => day >= from);
    const made = await this.#made(whole, from, wanted);
    if (this.#stopped) return false;
    const told: { decision: Decision; at: Place }[] = [];
    try {
      store.whole(() => {
        for (const { day } of wanted) {
          // Nothing earlier will come any more.
          this.#ledger.flush(day);
          const one = made.get(day);
          if (one === undefined) this.#ledger.flush(day + 1);
          else {
            this.#telling = one;
            this.#ledger.take({ period: day, alarm: one.decision.alarm });
            store.decided(one.decision, one.at);
            told.push(one);
          }
        }
        if (next !== undefined) this.#ledger.flush(last + 1);
        const { next: now, on, repeated, missed } = this.#ledger;
        store.keepLedger({ next: now, on, repeated, missed });
      });
    } catch (error) {
      // Nothing of it is kept, so nothing of it happened.
      this.#ledger = this.#restored();
      throw error;
    }
    for (const { decision, at } of told) {
      this.decidedAt = at;
      this.#options.onDecision?.(decision, at);
    }
    return stored.length === batch && this.#ledger.next !== next;
  }

  /** Decisions by day, from the place that is wanted or the best below it. */
  async #made(
    window: readonly DayInputs[],
    from: number,
    wanted: readonly StoredDay[],
  ): Promise<Map<number, { decision: Decision; at: Place }>> {
    const { here, cloud } = this.#options;
    const made = new Map<number, { decision: Decision; at: Place }>();
    const take = (decisions: readonly Decision[], at: Place) => {
      for (const decision of decisions) made.set(decision.day, { decision, at });
    };
    if (this.#place === "cloud" && cloud !== undefined) {
      try {
        take(await cloud.decide(window, from), "cloud");
        this.trouble.delete("cloud");
        return made;
      } catch (error) {
        this.trouble.set("cloud", (error as Error).message);
      }
    }
    if (this.#place === "node") {
      for (const { day, danger, alarm } of wanted)
        if (alarm !== null) take([{ day, danger: danger ?? Number.NaN, alarm }], "node");
      this.taken += made.size;
    }
    // What a station did not decide, because it had lost its days, is decided here.
    if (wanted.some(({ day }) => !made.has(day)))
      for (const decision of here.decide(window, from))
        if (!made.has(decision.day)) take([decision], "gateway");
    return made;
  }
}

function newestOf(store: PlacementStore, measured: readonly Measured[]): number | undefined {
  const found = measured.map((one) => store.newest(one));
  return found.some((one) => one === undefined) ? undefined : Math.min(...(found as number[]));
}
