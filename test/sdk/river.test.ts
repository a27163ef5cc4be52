// A winter of the river Wye, through the level sensor's serial line: what the node makes of it is what the laptop's engine makes
// of it, to the bit and to the unit of fuel.
import { expect, test } from "vitest";
import { Node } from "../../host/lib/node.ts";
import { openPackage } from "../../host/lib/package.ts";
import { Simulation, type Happening } from "../../host/lib/simulate.ts";
import { readRiver } from "../../host/demo/river.ts";
import { pack, provisioned } from "../harness/module.ts";
import { eachTarget, scratch } from "../harness/target.ts";

const levels = readRiver().map(({ level }) => level);
eachTarget("the river", (start, target) => {
  test("a winter of levels gives the same outputs, pins and fuel as on the laptop", async () => {
    using folder = scratch();
    const board = await provisioned(start, folder.path);
    await using node = await Node.connect(board.address);
    const bytes = await pack(target, "flood-alarm", 1);
    await node.push(bytes);

    const laptop = new Simulation(openPackage(bytes).module);
    const outputs = (name: string) =>
      laptop.happenings.flatMap((one: Happening) =>
        one.kind === "output" && one.name === name ? [one.value] : [],
      );
    // How often each output has been published by the end of each sample.
    const published = levels.map((value, index) => {
      laptop.sample({ at: index * 100, sensor: "level", value });
      return { flow: outputs("flow").length, alarm: outputs("alarm").length };
    });
    const pins = laptop.happenings.flatMap((one: Happening) =>
      one.kind === "gpio" ? [{ pin: one.pin, level: one.level }] : [],
    );
    expect(outputs("flow")).toHaveLength(levels.length);
    expect(outputs("alarm").length).toBeGreaterThan(3);

    const seen = { flow: [] as number[], alarm: [] as number[] };
    let fed = 0;
    // The next when all of the one before has been seen: a node may pass over states while one is under way (RFC 7641 §4.5.1).
    const feed = () => {
      const last = published[fed - 1] ?? { flow: 0, alarm: 0 };
      if (seen.flow.length === last.flow && seen.alarm.length === last.alarm && fed < levels.length)
        board.feed("level", levels[fed++] ?? 0);
    };
    const watching = Object.entries(seen).map(async ([name, values]) => {
      for await (const { value } of node.observe(`outputs/${name}`)) {
        values.push(Math.fround(value));
        feed();
        if (values.length === outputs(name).length) return;
      }
    });
    const observers = async () => (await node.info()).coap.observers;
    await expect.poll(observers).toBe(2);
    feed();
    await Promise.all(watching);
    expect(seen).toEqual({ flow: outputs("flow"), alarm: outputs("alarm") });
    await expect.poll(() => board.pins).toEqual(pins);
    const fuel = laptop.fuel.reduce((sum, run) => sum + run, 0);
    await expect
      .poll(() => node.stats())
      .toMatchObject({ runs: levels.length + 1, fuel_total: fuel });
  }, 180_000);
});
