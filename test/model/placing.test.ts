// Where a model runs and that it moves: the table of costs, alarms once and in order under moves, cuts and ends of processes.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Ledger, type Change } from "../../host/flood/alarms.ts";
import { readDays } from "../../host/flood/history.ts";
import { MovingModel, type Running } from "../../host/flood/moving.ts";
import { choose, places, prices, type Situation } from "../../host/flood/place.ts";
import { compileModel, loadModel } from "../../host/model/model.ts";
import { root } from "../../host/setup.mjs";
import { randomBelow } from "../harness/random.ts";

const usual: Situation = {
  fuel: 30_000,
  inputs: 2,
  outputs: 1,
  sources: 1,
  changes: 0.02,
  link: "ieee802154",
};

const situations: Record<string, Situation> = {
  "a small network behind a radio": usual,
  "the same over Ethernet": { ...usual, link: "ethernet" },
  "the same behind LoRa": { ...usual, link: "lora" },
  "every output another": { ...usual, changes: 1 },
  "a large network over Ethernet": { ...usual, fuel: 1_500_000, link: "ethernet" },
  "a large network behind LoRa": { ...usual, fuel: 1_500_000, link: "lora" },
  "more fuel than a node grants": { ...usual, fuel: 5_000_000, budget: { node: 2_000_000 } },
  "a package that does not fit": {
    ...usual,
    misfit: "it needs 90112 bytes of RAM, the node has 65536",
  },
  "two rivers": { ...usual, sources: 2 },
  "two rivers and much to compute": {
    ...usual,
    sources: 2,
    fuel: 900_000_000,
    budget: { node: 2e6, gateway: 5e8 },
  },
  "too much for the gateway": {
    ...usual,
    fuel: 3_000_000_000,
    budget: { node: 2e6, gateway: 1e9 },
  },
  "no gateway": { ...usual, link: "ethernet", fuel: 1_500_000, cut: ["gateway"] },
  "no cloud": { ...usual, sources: 2, fuel: 900_000_000, cut: ["cloud"] },
};

describe("auto", () => {
  test("decides and says why, as it did", async () => {
    const table = Object.entries(situations).map(([name, situation]) => {
      const { place, because } = choose(situation);
      return `${name}: ${place}\n  ${because}\n`;
    });
    await expect(table.join("")).toMatchFileSnapshot("../golden/placing.txt");
  });

  test("says it where there is no place", () => {
    expect(() => choose({ ...usual, sources: 2, cut: ["gateway"] })).toThrow(
      /node: its inputs come from 2 nodes; gateway: the gateway is not reached; cloud/,
    );
  });

  test("takes no dearer place, and counts what it says", () => {
    for (const situation of Object.values(situations)) {
      const { place, estimates } = choose(situation);
      const costs = estimates.filter(({ cost }) => cost !== undefined);
      expect(costs.find((one) => one.place === place)!.cost).toBe(
        Math.min(...costs.map(({ cost }) => cost!)),
      );
      for (const { energy = 0, bytes = 0, place: at } of costs)
        expect(energy).toBeGreaterThanOrEqual(
          at === "node" ? (situation.fuel * prices.nodeFuel) / 1000 : bytes * 8 * 1e-3,
        );
    }
  });
});

describe("the ledger", () => {
  test("takes each period once and tells changes in order, whatever the order they come in", () => {
    const below = randomBelow(7);
    for (let round = 0; round < 200; round++) {
      const alarms = Array.from({ length: 60 }, () => below(4) === 0);
      const told: Change[] = [];
      const ledger = new Ledger((change) => told.push(change), 0);
      const coming = alarms.flatMap((alarm, period) =>
        Array.from({ length: 1 + below(3) }, () => ({ period, alarm })),
      );
      for (let index = coming.length - 1; index > 0; index--) {
        const other = below(index + 1);
        [coming[index], coming[other]] = [coming[other]!, coming[index]!];
      }
      for (const one of coming) ledger.take(one);
      expect(told).toEqual(
        alarms.flatMap((alarm, period) =>
          alarm === (alarms[period - 1] ?? false) ? [] : [{ period, alarm }],
        ),
      );
      expect(ledger.repeated).toBe(coming.length - alarms.length);
      expect(ledger.missed).toBe(0);
    }
  });

  test("goes on behind what never came, counts it, and keeps a bounded number waiting", () => {
    const told: Change[] = [];
    const ledger = new Ledger((change) => told.push(change), 0);
    ledger.take({ period: 5, alarm: true });
    expect(told).toEqual([]);
    ledger.flush(5);
    expect(told).toEqual([{ period: 5, alarm: true }]);
    expect(ledger.missed).toBe(5);
    for (let period = 10; period < 10 + 5000; period++) ledger.take({ period, alarm: false });
    expect(told).toHaveLength(2);
    ledger.take({ period: 2 ** 50, alarm: true });
    ledger.flush(2 ** 50);
    expect(ledger.next).toBe(2 ** 50 + 1);
    expect(() => ledger.take({ period: 0.5, alarm: true })).toThrow(RangeError);
  });
});

describe("a model that moves", () => {
  const days = readDays().slice(-3 * 365);
  const threshold = (
    JSON.parse(readFileSync(join(root, "examples/flood/judgement.json"), "utf8")) as {
      evening: { threshold: number };
    }
  ).evening.threshold;
  const loaded = loadModel(
    compileModel(readFileSync(join(root, "examples/flood/evening.onnx")), { arithmetic: "int8" }),
  );

  /** The alarm of the example: five days of flow and rain, and the network. */
  async function start(): Promise<() => Running> {
    const { run } = await loaded;
    return () => {
      const before: (readonly number[])[] = [];
      return {
        take(_, inputs) {
          before.unshift(inputs);
          before.length = Math.min(before.length, 5);
          if (before.length < 5) return undefined;
          const row = [...before.map(([flow = 0]) => flow), ...before.map(([, rain = 0]) => rain)];
          return run(row).outputs[0]! > threshold;
        },
      };
    };
  }

  async function alone(): Promise<Change[]> {
    const told: Change[] = [];
    const model = new MovingModel({
      start: await start(),
      depends: 5,
      from: 4,
      onChange: (change) => told.push(change),
    });
    days.forEach(({ flow, rain }, period) => model.take(period, [flow, rain]));
    return told;
  }

  test("a hundred times, with links cut and processes ended, gives every alarm once, in order, and none late once links are back", async () => {
    const expected = await alone();
    expect(expected.length).toBeGreaterThan(20);
    for (const seed of [1, 2, 3, 4]) {
      const below = randomBelow(seed);
      const told: Change[] = [];
      const model = new MovingModel({
        start: await start(),
        depends: 5,
        from: 4,
        onChange: (change) => told.push(change),
      });
      const cut = { gateway: false, cloud: false };
      let cuts = 0;
      let kills = 0;
      days.forEach(({ flow, rain }, period) => {
        if (model.moves < 100 && below(5) === 0) model.move(places[below(3)]!);
        for (const link of ["gateway", "cloud"] as const)
          if (below(cut[link] ? 4 : 20) === 0) {
            cut[link] = !cut[link];
            if (cut[link]) cuts++;
            model.link(link, !cut[link]);
          }
        if (below(15) === 0) {
          kills++;
          model.kill(places[below(3)]!);
        }
        model.take(period, [flow, rain]);
        // Nothing is wrong or twice at any moment, and with whole links nothing is behind by more than this period.
        expect(told).toEqual(expected.slice(0, told.length));
        if (!cut.gateway && !cut.cloud)
          expect(told).toEqual(expected.filter((one) => one.period <= period));
        expect(model.running().length).toBeLessThanOrEqual(2);
      });
      model.link("gateway", true);
      model.link("cloud", true);
      expect(told).toEqual(expected);
      expect(model.moves).toBeGreaterThanOrEqual(90);
      expect(cuts).toBeGreaterThan(40);
      expect(kills).toBeGreaterThan(40);
    }
  });

  test("goes on below a cut link, and nobody waits for what is above", async () => {
    const told: Change[] = [];
    const model = new MovingModel(
      { start: await start(), depends: 5, from: 4, onChange: (change) => told.push(change) },
      "cloud",
    );
    model.link("cloud", false);
    expect(model.running()).toEqual(["gateway"]);
    model.link("gateway", false);
    expect(model.running()).toContain("node");
    days.forEach(({ flow, rain }, period) => model.take(period, [flow, rain]));
    // The node has decided everything; the gateway hears of it when the link is back.
    expect(told).toEqual([]);
    model.link("gateway", true);
    expect(told).toEqual(await alone());
  });
});
