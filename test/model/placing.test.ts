// Where a model runs and that it moves: the table of costs, alarms once and in order under moves, cuts and ends of processes.
import { describe, expect, test } from "vitest";
import { Ledger, type Change } from "../../host/flood/alarms.ts";
import { choose, prices, type Situation } from "../../host/flood/place.ts";
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
