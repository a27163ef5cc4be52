// A winter of floods on stations that are processes, with a gateway and a cloud: bounded here, whole with `wasmote flood`.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { DayRunner, type DayInputs } from "../../host/flood/days.ts";
import { worthOf } from "../../host/flood/figures.ts";
import { floodFlow, levelOf } from "../../host/flood/history.ts";
import { places, type Place } from "../../host/flood/place.ts";
import { buildStation } from "../../host/flood/station.ts";
import { buildModules, runWinter, scriptOf, winterDays } from "../../host/flood/winter.ts";
import { missing } from "../../host/lib/emulate.ts";
import { begin, wasmote } from "../harness/command.ts";
import { scratch } from "../harness/target.ts";

const reason = missing("native");

describe("the script of a winter", () => {
  test("cuts no link that is cut, and mends what it has cut", () => {
    for (let year = 1970; year <= 2016; year++)
      for (const count of [10, 20, 36, 60, 100, 101, 150, 183]) {
        const days = winterDays(year, count);
        const script = [...scriptOf(days)].toSorted(([a], [b]) => a - b);
        for (const link of ["station", "cloud"] as const) {
          const done = script
            .flatMap(([, list]) => list)
            .flatMap((one) => ("link" in one && one.link === link ? [one.do] : []));
          expect(done, `${year} ${count} ${link}`).toEqual(
            done.map((_, index) => (index % 2 === 0 ? "cut" : "mend")),
          );
        }
      }
  });

  test("moves to every place, cuts both links, and mends what it cuts", () => {
    for (const year of [1950, 2000, 2013])
      for (const count of [30, 60, 183]) {
        const script = [...scriptOf(winterDays(year, count))].toSorted(([a], [b]) => a - b);
        const actions = script.flatMap(([, list]) => list);
        expect(new Set(actions.flatMap((one) => (one.do === "move" ? [one.to] : [])))).toEqual(
          new Set(places),
        );
        for (const link of ["station", "cloud"] as const) {
          const whole = actions.flatMap((one) =>
            one.do !== "move" && one.do !== "power" && one.link === link ? [one.do] : [],
          );
          expect(whole.filter((one) => one === "cut").length).toBe(
            whole.filter((one) => one === "mend").length,
          );
          expect(whole.length).toBeGreaterThan(0);
        }
        expect(script.every(([index]) => index > 0 && index < count)).toBe(true);
      }
  });
});

test("what alarms are worth is counted by hand", () => {
  const low = 10;
  const high = floodFlow;
  const flows = [low, low, high, high, low, high, low];
  const days = flows.map((flow, day) => ({ day, flow }));
  const alarms = new Map([false, true, true, true, false, false].map((alarm, day) => [day, alarm]));
  // Floods on 2, 3 and 5; alarms for 2, 3 and 4: the second flood was not seen to come, and 4 was false.
  expect(worthOf(days, alarms)).toEqual({
    floodDays: 3,
    floodDaysCaught: 2,
    onsets: 2,
    onsetsCaught: 1,
    falseAlarms: 1,
    leadDays: 1,
  });
  // A day without a decision on its evening before counts for nothing.
  expect(worthOf(days, new Map([[4, true]]))).toMatchObject({ floodDays: 1, onsetsCaught: 1 });
});

test.skipIf(reason !== undefined)(
  `a winter's alarms are those of the module, each delivered once, wherever they were decided${reason ? ` (skipped: ${reason})` : ""}`,
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "wasmote-winter-test-"));
    const said: string[] = [];
    const decidedAt = new Set<Place>();
    try {
      const figures = await runWinter({
        folder,
        machine: "native",
        winter: 2013,
        days: 36,
        pace: 0,
        port: 0,
        modules: await buildModules(),
        signal: new AbortController().signal,
        screen: {
          step: () => {},
          say: (text) => said.push(text),
          day: ({ place }) => decidedAt.add(place),
        },
      });
      const days = winterDays(2013, 36);
      const inputs = days.map(({ day, flow, rain }): DayInputs => ({
        day,
        level: levelOf(flow),
        rain: Math.fround(rain),
      }));
      const { module } = await buildStation();
      const decided = new DayRunner(module).decide(inputs, 0);
      expect(figures.worth).toEqual(
        worthOf(days, new Map(decided.map(({ day, alarm }) => [day, alarm]))),
      );
      const changes = decided.filter(
        ({ alarm }, index) => alarm !== (decided[index - 1]?.alarm ?? false),
      );
      expect(changes.length).toBeGreaterThan(2);
      expect(figures.alarms).toEqual({
        raised: changes.filter(({ alarm }) => alarm).length,
        ended: changes.filter(({ alarm }) => !alarm).length,
      });
      expect(figures.ledger).toMatchObject({ missed: 0, moves: 3 });
      expect(figures.costs.reduce((sum, one) => sum + one.decisions, 0)).toBe(decided.length);
      expect(decidedAt).toEqual(new Set(places));
      expect(figures.bytes.alarms).toBeLessThan(figures.bytes.samples);
      expect(said.join("\n")).toMatch(/loses its power/);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
  // It waits for events; this is for a machine that is busy with other things.
  600_000,
);

describe("wasmote flood", () => {
  test("says what is wrong with its words", async () => {
    using folder = scratch();
    for (const words of [
      ["--winter", "1900"],
      // The record begins before the clock of a node does.
      ["--winter", "1969"],
      ["--days", "3"],
      ["--machine", "renode"],
      ["--pace", "x"],
    ])
      expect(await wasmote(folder.path, "flood", ...words)).toMatchObject({ code: 2 });
  });

  test.skipIf(reason !== undefined)(
    `ends with everything that it started at Ctrl-C${reason ? ` (skipped: ${reason})` : ""}`,
    async () => {
      using folder = scratch();
      const { child, ran, ended } = begin(folder.path, ["flood", "--machine", "native", "--plain"]);
      await expect.poll(() => ran.out + ran.err, { timeout: 300_000 }).toMatch(/place node/);
      child.kill("SIGINT");
      expect((await ended).code).toBe(130);
      // It says that it has heard.
      expect(ran.err.trimEnd().split("\n").at(-1)).toBe("stopping");
    },
    600_000,
  );
});
