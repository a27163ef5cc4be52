// State that survives, on every target: an update and a return take it over, and a client reads it.
import { expect, test } from "vitest";
import { Node } from "../../host/lib/node.ts";
import { pack, provisioned } from "../harness/module.ts";
import { eachTarget, scratch } from "../harness/target.ts";

const program = (step: string) => `
import { output, sensor, state } from "wasmote";
const level = sensor("level");
const out = output("out");
const total = state("total", 0);
class Two { a: i32 = 0; b: i32 = 0; }
const two = state("two", new Two());
level.onSample((value) => {
  ${step}
  two.value.a++;
  two.value.b++;
  out.publish(<f32>total.value);
});
`;

eachTarget("states", (start, target) => {
  test("go on after an update, a reset in its trial, and a return", async () => {
    using folder = scratch();
    const board = await provisioned(start, folder.path);
    await using node = await Node.connect(board.address);
    const count = async () =>
      Number((await node.states())["two"]!.replace(/^a (\d+), b \1$/, "$1"));
    /** Feeds until so many have been counted: a board of its own may have a sensor that gives samples, too. */
    const until = async (least: number) => {
      for (let now = 0; now < least; now = await count().catch(() => 0)) board.feed("level", 100);
    };
    await node.push(await pack(target, program("total.value++;"), 1));
    await until(12);
    for await (const { state } of node.watchApp()) {
      if (state === "confirmed") break;
      board.feed("level", 100);
    }
    const before = await count();
    await node.push(await pack(target, program("total.value += 1;"), 2));
    await until(before + 1);
    expect((await node.app()).states).toEqual(["total", "two"]);
    const value = JSON.parse(await node.get("app/state/two", { accept: "json" })) as {
      value: { a: number; b: number };
    };
    expect(value.value.a).toBe(value.value.b);
    expect(value.value.a).toBeGreaterThan(before);
    await board.reset();
    // The package on trial was left for the one before, which goes on from where it was left.
    expect((await node.app()).sequence).toBe(1);
    await until(before + 1);
    const total = Number((await node.states())["total"]);
    expect(total).toBeGreaterThanOrEqual(before);
  });
});
