// The same module, the same samples, the same outputs and the same fuel: on the laptop, and on every target, for every example.
import { readFileSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { readRiver } from "../../host/demo/river.ts";
import { Node } from "../../host/lib/node.ts";
import { openPackage } from "../../host/lib/package.ts";
import { readFacts } from "../../host/lib/build/section.ts";
import { Simulation } from "../../host/lib/simulate.ts";
import { pack, provisioned } from "../harness/module.ts";
import { eachTarget, scratch } from "../harness/target.ts";

const folder = join(import.meta.dirname, "../../assembly/examples");
const examples = readdirSync(folder).map((file) => basename(file, ".ts"));

/** What an example makes of the river: the river's level for its sensor, in a unit that its thresholds are in. */
const units: Record<string, { scale: number; count: number }> = {
  "moving-average": { scale: 1, count: 24 },
  "flood-alarm": { scale: 1, count: 60 },
  "threshold-alarm": { scale: 1 / 100, count: 60 },
  "dead-band": { scale: 1 / 300, count: 40 },
  // Two blocks of 64.
  vibration: { scale: 1, count: 130 },
  "request-handler": { scale: 1 / 1000, count: 24 },
};
// The days of the flood, so that alarms go on and off.
const river = readRiver().map(({ level }) => level);
const flood = Math.max(0, river.indexOf(Math.max(...river)) - 30);

test("every example has its unit, and no unit is without an example", () => {
  expect(Object.keys(units).toSorted()).toEqual(examples.toSorted());
});

eachTarget("every example on the river", (start, target) => {
  const packages = new Map<string, Uint8Array>();
  beforeAll(async () => {
    for (const [index, name] of examples.entries()) {
      // Not every board has every sensor, and all have the river's: names are no part of the code.
      const source = readFileSync(join(folder, `${name}.ts`), "utf8");
      const renamed = source.replaceAll(/sensor\("\w+"\)/g, 'sensor("level")');
      packages.set(name, await pack(target, renamed, index + 1));
    }
  });

  test("publishes, says, switches and burns on the node what `wasmote run` says", async () => {
    using scratch_ = scratch();
    const board = await provisioned(start, scratch_.path);
    await using node = await Node.connect(board.address);
    for (const [name, bytes] of packages) {
      const { module } = openPackage(bytes);
      const outputs = readFacts(module).outputs.map((output) => output.name);
      const here = new Simulation(module);
      const pins = board.pins.length;
      await node.push(bytes);
      const stats = () => node.stats();
      // The set-up is a run too.
      await expect
        .poll(async () => (await stats())["fuel"], { timeout: 60_000, interval: 5 })
        .toBe(here.fuel[0]);
      let runs = Number((await stats())["runs"]);
      const { scale, count } = units[name]!;
      const values = Array.from({ length: count }, (_, day) =>
        Math.round((river[(flood + day) % river.length] ?? 0) * scale),
      );
      const latest = new Map<string, number>();
      for (const [day, value] of values.entries()) {
        const before = here.happenings.length;
        here.sample({ at: day * 1000, sensor: "level", value });
        board.feed("level", value);
        runs++;
        let seen = await stats();
        const limit = Date.now() + 60_000;
        while (seen["runs"] !== runs && Date.now() < limit) seen = await stats();
        expect([seen["runs"], seen["fuel"]], `${name}, day ${day}`).toEqual([
          runs,
          here.fuel[day + 1],
        ]);
        const fresh = here.happenings
          .slice(before)
          .flatMap((one) => (one.kind === "output" ? [one.name] : []));
        for (const one of here.happenings)
          if (one.kind === "output") latest.set(one.name, one.value);
        // What it published now; and at the end that it published nothing else.
        for (const output of day === count - 1 ? outputs : new Set(fresh)) {
          const path = `outputs/${output}`;
          const text = await node.get(path).catch(() => "");
          const expected = latest.has(output) ? latest.get(output) : undefined;
          expect(
            text === "" ? undefined : Math.fround(Number(text)),
            `${name}, ${path}, day ${day}`,
          ).toBe(expected);
        }
      }
      if (name !== "request-handler") expect(latest.size, name).toBeGreaterThan(0);
      else {
        here.request(count * 1000, 1, "count");
        const reply = here.happenings.at(-1);
        const answer = await node.get("app/x/count");
        expect(reply).toMatchObject({ kind: "reply", status: "2.05", text: answer });
        expect(Number(answer)).toBeGreaterThan(10);
        await expect.poll(async () => (await stats())["fuel"]).toBe(here.fuel.at(-1));
      }
      const switched = here.happenings.flatMap((one) =>
        one.kind === "gpio" ? [{ pin: one.pin, level: one.level }] : [],
      );
      await expect.poll(() => board.pins.slice(pins), { timeout: 60_000 }).toEqual(switched);
      const log = (await node.log()).join("\n");
      for (const one of here.happenings) if (one.kind === "log") expect(log).toContain(one.text);
    }
  });
});
