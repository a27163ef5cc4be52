// A flood alarm that moves: the station's module in the engine, its days on the wire, and placements under moves, cut links, lost days and
// ended processes. The stations are simulated here; test/gateway/placement.test.ts has real ones.
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Change } from "../../host/flood/alarms.ts";
import {
  DayRunner,
  dayLength,
  depth,
  mostRead,
  readNodeDays,
  writeDays,
  type DayInputs,
  type Decision,
  type NodeDay,
} from "../../host/flood/days.ts";
import { floodFlow, levelOf, ratingFlow, readDays } from "../../host/flood/history.ts";
import { Placement, type PlacementOptions } from "../../host/flood/placement.ts";
import { places, type Place } from "../../host/flood/place.ts";
import { buildGauge, buildStation, eveningFile, judgementFile } from "../../host/flood/station.ts";
import { openDatabase } from "../../host/gateway/sqlite/database.ts";
import { PlacementsStore } from "../../host/gateway/placement/store.ts";
import { Simulation, type KeptState } from "../../host/lib/simulate.ts";
import { compileModel, loadModel } from "../../host/model/model.ts";
import { randomBelow } from "../harness/random.ts";

const threshold = (
  JSON.parse(readFileSync(judgementFile, "utf8")) as { evening: { threshold: number } }
).evening.threshold;
let station: Uint8Array;
let gauge: Uint8Array;
beforeAll(async () => {
  station = (await buildStation()).module;
  gauge = (await buildGauge()).module;
});

/** The last three years as a station measures them. */
const days: DayInputs[] = readDays()
  .slice(-3 * 365)
  .map(({ day, flow, rain }) => ({ day, level: levelOf(flow), rain: Math.fround(rain) }));

/** A station's module as a node runs it, with what survives a power cut: what was saved some time ago. */
class Station {
  readonly #module: Uint8Array;
  #simulation: Simulation;
  #saved: KeptState[] = [];
  reached = true;

  constructor(module: Uint8Array) {
    this.#module = module;
    this.#simulation = new Simulation(module, { wallClock: true });
  }

  measure({ day, level, rain }: DayInputs): void {
    const at = day * dayLength;
    this.#simulation.sample({ at, sensor: "level", value: level });
    this.#simulation.sample({ at, sensor: "rain", value: rain });
  }

  save(): void {
    this.#saved = this.#simulation.kept().map((one) => ({ ...one, bytes: one.bytes.slice() }));
  }

  cutPower(): void {
    this.#simulation = new Simulation(this.#module, { wallClock: true, kept: this.#saved });
  }

  /** What is published, since it was asked last. */
  published(): [string, number][] {
    return this.#simulation.happenings
      .splice(0)
      .flatMap((one): [string, number][] => (one.kind === "output" ? [[one.name, one.value]] : []));
  }

  ask(method: number, path: string, payload: Uint8Array): { status: string; bytes: Uint8Array } {
    if (!this.reached) throw new Error("not reached");
    return (
      this.#simulation.ask(0, method, path, payload) ?? { status: "none", bytes: new Uint8Array() }
    );
  }

  read(from: number): NodeDay[] {
    return readNodeDays(this.ask(5, "days", Buffer.from(String(from))).bytes);
  }

  give(given: readonly DayInputs[]): string {
    return this.ask(3, "days", writeDays(given)).status;
  }
}

describe("a station", () => {
  test("warns by the network and the threshold of the example, and nobody else's", async () => {
    expect(Math.fround(threshold)).toBe(
      new Simulation(station).facts.parameters.find(({ name }) => name === "threshold")!.initial,
    );
    const { run } = await loadModel(
      compileModel(readFileSync(eveningFile), { arithmetic: "int8" }),
    );
    const here = new DayRunner(station).decide(days, days[0]!.day);
    expect(here).toHaveLength(days.length - depth + 1);
    for (const [index, { day, danger, alarm }] of here.entries()) {
      const window = days.slice(index, index + depth).toReversed();
      const row = [
        ...window.map(({ level }) => ratingFlow(level)),
        ...window.map(({ rain }) => rain),
      ];
      expect([day, danger]).toEqual([window[0]!.day, run(row).outputs[0]!]);
      expect(alarm).toBe(danger > Math.fround(threshold));
    }
    expect(here.filter(({ alarm }) => alarm).length).toBeGreaterThan(20);
  });

  test("publishes flow, danger and alarm of each day, and tells its days to whoever asks", () => {
    const one = new Station(station);
    for (const day of days.slice(0, 100)) one.measure(day);
    const decided = new DayRunner(station).decide(days.slice(0, 100), 0);
    const published = one.published();
    expect(published.filter(([name]) => name === "flow").map(([, value]) => value)).toEqual(
      days.slice(0, 100).map(({ level }) => ratingFlow(level)),
    );
    expect(published.filter(([name]) => name === "danger").map(([, value]) => value)).toEqual(
      decided.map(({ danger }) => danger),
    );
    // The last 64 are there, nine at a time.
    const kept: NodeDay[] = [];
    for (let from = 0; ; from = kept.at(-1)!.day + 1) {
      const part = one.read(from);
      expect(part.length).toBeLessThanOrEqual(mostRead);
      kept.push(...part);
      if (part.length < mostRead) break;
    }
    expect(kept).toEqual(
      days.slice(36, 100).map((day) => {
        const { danger, alarm } = decided.find((two) => two.day === day.day)!;
        return { ...day, danger, alarm };
      }),
    );
    expect(one.read(days[99]!.day + 1)).toEqual([]);
  });

  test("goes on behind a reset with the days that it saved, and takes those that it is given", () => {
    const one = new Station(station);
    for (const day of days.slice(0, 30)) one.measure(day);
    one.save();
    one.cutPower();
    // Nothing was lost: the next evening has its five days.
    one.measure(days[30]!);
    const [record] = one.read(days[30]!.day);
    const decided = new DayRunner(station).decide(days.slice(0, 40), 0);
    // What it saved it tells, though not what it had decided.
    expect(one.read(0).slice(0, -1)).toEqual(
      days.slice(25, 30).map((day) => ({ ...day, danger: Number.NaN })),
    );
    const of = (day: number) => decided.find((two) => two.day === day)!;
    expect(record).toEqual({
      ...days[30]!,
      danger: of(days[30]!.day).danger,
      alarm: of(days[30]!.day).alarm,
    });
    // Saved long ago: it has to be told of the days between.
    for (const day of days.slice(31, 35)) one.measure(day);
    one.cutPower();
    one.measure(days[35]!);
    expect(one.read(days[30]!.day)).toEqual([{ ...days[35]!, danger: Number.NaN }]);
    expect(one.give(days.slice(20, 34))).toBe("4.09");
    expect(one.give(days.slice(31, 36))).toBe("2.04");
    expect(one.read(days[35]!.day)).toEqual([
      { ...days[35]!, danger: of(days[35]!.day).danger, alarm: of(days[35]!.day).alarm },
    ]);
    one.measure(days[36]!);
    expect(one.read(days[36]!.day)[0]!.danger).toBe(of(days[36]!.day).danger);
  });

  test("counts a day once, begins anew behind a gap, and is not led astray by a clock", () => {
    const one = new Station(station);
    for (const day of days.slice(0, 10)) one.measure(day);
    one.measure({ ...days[9]!, rain: 99 });
    expect(one.read(days[9]!.day)).toMatchObject([{ rain: days[9]!.rain }]);
    one.measure(days[11]!);
    expect(one.read(days[11]!.day)).toMatchObject([{ danger: Number.NaN }]);
    // A clock that was years ahead and is right again.
    one.measure({ ...days[12]!, day: days[12]!.day + 4000 });
    for (const day of days.slice(13, 19)) one.measure(day);
    expect(one.read(days[18]!.day).at(-1)).toMatchObject({ day: days[18]!.day });
    expect(one.read(days[18]!.day).at(-1)!.alarm).toBeDefined();
  });

  test("refuses what are no days, and other requests", () => {
    const one = new Station(station);
    for (const day of days.slice(0, 10)) one.measure(day);
    const before = one.read(0);
    const status = (method: number, path: string, payload: Uint8Array) =>
      one.ask(method, path, payload).status;
    expect(status(3, "days", new Uint8Array())).toBe("4.00");
    expect(status(3, "days", new Uint8Array(13))).toBe("4.00");
    expect(status(3, "days", writeDays([days[9]!, days[9]!]))).toBe("4.00");
    expect(status(3, "days", writeDays([days[10]!, days[9]!]))).toBe("4.00");
    expect(status(3, "days", writeDays([{ ...days[10]!, rain: Number.NaN }]))).toBe("4.00");
    expect(status(3, "days", writeDays([{ ...days[10]!, level: Infinity }]))).toBe("4.00");
    expect(status(4, "days", new Uint8Array())).toBe("4.05");
    expect(status(1, "day", new Uint8Array())).toBe("4.04");
    expect(one.read(0)).toEqual(before);
    // No number is no reason to trap.
    expect(one.read(Number.NaN)).toEqual(before);
  });

  test("without a rain gauge warns by the flow, and keeps its days", () => {
    const one = new Station(gauge);
    const shown = days.slice(0, 400);
    const at = (day: number) => day * dayLength;
    const simulation = new Simulation(gauge, { wallClock: true });
    for (const { day, level } of shown)
      for (const part of [-100, 100])
        simulation.sample({ at: at(day) + 1000 + part, sensor: "level", value: level + part });
    const alarms = simulation.happenings.filter(
      (two) => two.kind === "output" && two.name === "alarm",
    );
    expect(alarms.length).toBeGreaterThan(0);
    for (const day of shown) one.measure(day);
    const kept = one.read(shown[350]!.day);
    expect(kept[0]).toMatchObject({
      day: shown[350]!.day,
      level: shown[350]!.level,
      rain: Number.NaN,
    });
    expect(kept.every(({ danger, alarm }) => alarm === false || danger > floodFlow * 0.9)).toBe(
      true,
    );
  });
});

test("what a station answers is days, or refused", () => {
  const [one, two] = [days[3]!, days[4]!];
  const bytes = (list: number[][]) => {
    const made = new Uint8Array(list.length * 20);
    const view = new DataView(made.buffer);
    list.forEach(([day = 0, ...rest], index) => {
      view.setInt32(index * 20, day, true);
      rest.forEach((value, place) => view.setFloat32(index * 20 + 4 + place * 4, value, true));
    });
    return made;
  };
  expect(
    readNodeDays(
      bytes([
        [one.day, one.level, one.rain, 0.5, 1],
        [two.day, 1, 2, Number.NaN, Number.NaN],
      ]),
    ),
  ).toEqual([
    { ...one, danger: 0.5, alarm: true },
    { day: two.day, level: 1, rain: 2, danger: Number.NaN },
  ]);
  for (const bad of [
    [
      [5, 1, 1, 1, 1],
      [5, 1, 1, 1, 1],
    ],
    [[-1, 1, 1, 1, 1]],
    [[2 ** 30, 1, 1, 1, 1]],
  ])
    expect(() => readNodeDays(bytes(bad))).toThrow(RangeError);
  expect(() => readNodeDays(new Uint8Array(19))).toThrow(RangeError);
});

describe("a placement", () => {
  const database = openDatabase(":memory:");
  const all = new PlacementsStore(database);
  afterAll(() => database.close());
  let names = 0;

  /** A gateway's placement over stations, with a cloud: all may be cut off, and begin anew. */
  function world(place: Place, stations: Record<string, Station>, level = "a", rain = "a") {
    const name = `p${names++}`;
    all.keep({ name, sources: { level, rain }, place, parameters: {} }, new Uint8Array());
    const told: (Change & { at: Place })[] = [];
    const state = { cloudReached: true, cloudRunner: new DayRunner(station), failing: false };
    const options = (at: Place): PlacementOptions => ({
      sources: { level, rain },
      place: at,
      store: {
        ...all.of(name),
        whole: (work) =>
          all.of(name).whole(() => {
            work();
            if (state.failing) throw new Error("the disk takes nothing");
          }),
      },
      stations: {
        read: async (one, from) => stations[one]!.read(from),
        give: async (one, given) => {
          const status = stations[one]!.give(given);
          if (status !== "2.04") throw new Error(status);
        },
      },
      here: new DayRunner(station),
      cloud: {
        decide: async (window, from) => {
          if (!state.cloudReached) throw new Error("not reached");
          return state.cloudRunner.decide(window, from);
        },
        stop: async () => void (state.cloudRunner = new DayRunner(station)),
        spent: { decisions: 0, fuel: 0, milliseconds: 0 },
      },
      onChange: (change, _, decidedAt) => {
        if (!state.failing) told.push({ ...change, at: decidedAt });
      },
    });
    let placement = new Placement(options(place));
    return {
      told,
      state,
      get placement() {
        return placement;
      },
      /** The gateway's process ends, and another one begins with what is kept. */
      async kill() {
        const { place: at } = placement;
        await placement.stop();
        placement = new Placement(options(at));
      },
    };
  }

  const changesOf = (decisions: readonly Decision[]): Change[] => {
    let on = false;
    return decisions.flatMap(({ day, alarm }) => {
      const changed = alarm !== on;
      on = alarm;
      return changed ? [{ period: day, alarm }] : [];
    });
  };
  const plain = (told: readonly Change[]) => told.map(({ period, alarm }) => ({ period, alarm }));

  test("moved a hundred times, with links cut and processes ended, tells every alarm once, in order, and none late once links are back", async () => {
    const expected = changesOf(new DayRunner(station).decide(days, 0));
    expect(expected.length).toBeGreaterThan(20);
    for (const seed of [1, 2, 3]) {
      const below = randomBelow(seed);
      const a = new Station(station);
      const it = world("node", { a });
      let [moves, cuts, kills] = [0, 0, 0];
      let whole = true;
      const decidedAt = new Set<Place>();
      for (const day of days) {
        if (below(9) === 0) {
          it.placement.move(places[below(3)]!);
          moves++;
        }
        if (below(a.reached ? 20 : 4) === 0) {
          a.reached = !a.reached;
          cuts++;
        }
        if (below(it.state.cloudReached ? 20 : 4) === 0) {
          it.state.cloudReached = !it.state.cloudReached;
          cuts++;
        }
        if (below(20) === 0) {
          kills++;
          await it.kill();
        }
        if (below(20) === 0) {
          kills++;
          it.state.cloudRunner = new DayRunner(station);
        }
        // A node that loses its power has saved its days some time ago; those that no gateway has yet are lost with it.
        if (below(6) === 0) a.save();
        if (whole && a.reached && below(25) === 0) {
          kills++;
          a.cutPower();
        }
        whole = a.reached;
        a.measure(day);
        await it.placement.settle();
        if (it.placement.decidedAt !== undefined) decidedAt.add(it.placement.decidedAt);
        // Nothing is wrong or twice at any moment, and with a whole link nothing is behind.
        expect(plain(it.told)).toEqual(expected.slice(0, it.told.length));
        if (a.reached)
          expect(plain(it.told)).toEqual(expected.filter(({ period }) => period <= day.day));
      }
      a.reached = true;
      await it.placement.settle();
      expect(plain(it.told)).toEqual(expected);
      expect(moves).toBeGreaterThanOrEqual(100);
      expect(cuts).toBeGreaterThan(80);
      expect(kills).toBeGreaterThan(80);
      expect(decidedAt).toEqual(new Set(places));
      expect(it.placement.ledger).toMatchObject({ missed: 0 });
    }
  });

  test("without the cloud is decided at the gateway, and says why", async () => {
    const a = new Station(station);
    const it = world("cloud", { a });
    for (const day of days.slice(0, 10)) a.measure(day);
    await it.placement.settle();
    expect(it.placement.decidedAt).toBe("cloud");
    it.state.cloudReached = false;
    a.measure(days[10]!);
    await it.placement.settle();
    expect(it.placement.decidedAt).toBe("gateway");
    expect([...it.placement.trouble.keys()]).toEqual(["cloud"]);
    it.state.cloudReached = true;
    a.measure(days[11]!);
    await it.placement.settle();
    expect(it.placement.decidedAt).toBe("cloud");
    expect(it.placement.trouble.size).toBe(0);
  });

  test("joins the level of one station with the rain of another, and waits for the later of them", async () => {
    const [a, b] = [new Station(station), new Station(gauge)];
    const it = world("gateway", { a, b }, "b", "a");
    expect(() => it.placement.move("node")).toThrow(/neither can decide/);
    for (const [index, day] of days.slice(0, 300).entries()) {
      // The gauge's day ends with the first level of the next.
      b.measure(day);
      a.measure(day);
      a.reached = index % 50 < 40;
      b.reached = index % 30 < 25;
      await it.placement.settle();
    }
    a.reached = b.reached = true;
    await it.placement.settle();
    const decided = new DayRunner(station).decide(days.slice(0, 299), 0);
    expect(plain(it.told)).toEqual(changesOf(decided));
    expect(it.placement.ledger).toMatchObject({ missed: 0, next: days[299]!.day });
  });

  test("gives a station its days back in whole, or not at all", async () => {
    const [a, b] = [new Station(station), new Station(gauge)];
    const alone = world("node", { a, b });
    const joined = world("gateway", { a, b }, "b", "a");
    for (const day of days.slice(0, 30)) {
      a.measure(day);
      b.measure(day);
      await alone.placement.settle();
      await joined.placement.settle();
    }
    a.cutPower();
    b.cutPower();
    // Who takes the rain alone has no level to give.
    await joined.placement.settle();
    expect([a.read(0), b.read(0).length]).toEqual([[], depth]);
    await alone.placement.settle();
    const given = a.read(days[25]!.day);
    expect(given.map(({ day, level, rain }) => ({ day, level, rain }))).toEqual(days.slice(25, 30));
    // Decided of the newest: those before it are known at the gateway.
    expect(given.at(-1)!.alarm).toBeDefined();
  });

  test("goes on behind days that nobody has, and counts them", async () => {
    const a = new Station(station);
    const it = world("gateway", { a });
    for (const day of days.slice(0, 20)) a.measure(day);
    await it.placement.settle();
    // Out of reach for longer than a station keeps days: the oldest are gone, and with them what needs them.
    a.reached = false;
    for (const day of days.slice(20, 120)) a.measure(day);
    a.reached = true;
    await it.placement.settle();
    expect(it.placement.ledger).toMatchObject({
      missed: 100 - 64 + depth - 1,
      next: days[119]!.day + 1,
    });
    expect(it.placement.behind).toBe(0);
  });

  test("keeps nothing and tells nothing of what the disk does not take, and does it later", async () => {
    const a = new Station(station);
    const it = world("gateway", { a });
    const expected = changesOf(new DayRunner(station).decide(days.slice(0, 200), 0));
    for (const [index, day] of days.slice(0, 200).entries()) {
      a.measure(day);
      it.state.failing = index % 3 !== 2 && index < 199;
      await it.placement.settle().catch((error: Error) => {
        expect(error.message).toBe("the disk takes nothing");
      });
    }
    expect(plain(it.told)).toEqual(expected);
  });

  test("believes no day that is not here yet, and a station that gets a clock later", async () => {
    const [a, b] = [new Station(station), new Station(station)];
    const it = world("node", { a, b });
    const today = Math.floor(Date.now() / 86_400_000);
    // Ahead from the first word on: without the gateway's own clock nothing would be read of it before that day.
    a.measure({ ...days[0]!, day: today + 100 });
    await it.placement.settle();
    expect(it.placement.trouble.get("a")).toMatch(/100 days ahead of this gateway/);
    expect(it.placement.ledger.next).toBeUndefined();
    for (let day = today - 10; day < today; day++) a.measure({ ...days[0]!, day });
    await it.placement.settle();
    expect(it.placement.trouble.size).toBe(0);
    expect(it.placement.ledger.next).toBe(today);
    // Days of 1970, from a station that had no clock, and then those of now.
    const other = world("gateway", { a: b });
    for (let day = 1; day < 8; day++) b.measure({ ...days[0]!, day });
    await other.placement.settle();
    expect(other.placement.ledger.next).toBe(8);
    for (let day = today - 6; day <= today; day++) b.measure({ ...days[0]!, day });
    await other.placement.settle();
    expect(other.placement.trouble.size).toBe(0);
    expect(other.placement.ledger.next).toBe(today + 1);
  });

  test("does not believe a station whose clock is years ahead", async () => {
    const a = new Station(station);
    const it = world("gateway", { a });
    for (const day of days.slice(0, 10)) a.measure(day);
    await it.placement.settle();
    a.measure({ ...days[10]!, day: days[10]!.day + 3000 });
    await it.placement.settle();
    expect(it.placement.trouble.get("a")).toMatch(/its clock is wrong/);
    expect(it.placement.ledger.next).toBe(days[9]!.day + 1);
    for (const day of days.slice(10, 20)) a.measure(day);
    await it.placement.settle();
    expect(it.placement.ledger.next).toBe(days[19]!.day + 1);
  });
});
