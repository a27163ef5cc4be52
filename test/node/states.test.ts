// State that survives, on every target: an update and a return take it over, and a client reads it.
import { expect, test } from "vitest";
import { Node } from "../../host/lib/node.ts";
import { first, pack, provisioned } from "../harness/module.ts";
import { feeding } from "../harness/feeding.ts";
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
  test("go on after an update and a return", async () => {
    using folder = scratch();
    const board = await provisioned(start, folder.path);
    await using node = await Node.connect(board.address);
    const count = async () =>
      Number((await node.states())["two"]!.replace(/^a (\d+), b \1$/, "$1"));
    /** Feeds until the module says that it has counted so many. */
    const until = (least: number) =>
      feeding(board, "level", 100, () =>
        first(node.observe("outputs/out"), ({ value }) => value >= least),
      );
    const confirmed = () =>
      feeding(board, "level", 100, () =>
        first(node.watchApp(), ({ state }) => state === "confirmed"),
      );
    await node.push(await pack(target, program("total.value++;"), 1));
    await until(12);
    await confirmed();
    const before = await count();
    await node.push(
      await pack(target, program("total.value++; if (value < 0) total.value = 0;"), 2),
    );
    await until(before + 1);
    expect((await node.app()).states).toEqual(["total", "two"]);
    const value = JSON.parse(await node.get("app/state/two", { accept: "json" })) as {
      value: { a: number; b: number };
    };
    expect(value.value.a).toBe(value.value.b);
    expect(value.value.a).toBeGreaterThan(before);
    await confirmed();
    // Back by hand: the one before goes on from the newest.
    const newest = await count();
    await node.request("POST", "app/rollback");
    expect((await node.app()).sequence).toBe(1);
    await until(newest + 1);
    const total = Number((await node.states())["total"]);
    expect(total).toBeGreaterThan(newest);
  });

  test("go on when the package is executed by something else, at once and with a push", async () => {
    using folder = scratch();
    const board = await provisioned(start, folder.path);
    await using node = await Node.connect(board.address);
    const until = (least: number) =>
      feeding(board, "level", 100, () =>
        first(node.observe("outputs/out"), ({ value }) => value >= least),
      );
    const total = async () => Number((await node.states())["total"]);
    await node.setTier("interpreted");
    await node.push(await pack(target, program("total.value++;"), 1));
    await until(4);
    expect((await node.app()).tier).toBe("interpreted");
    // Compiled it begins anew, where the board compiles: with what was kept.
    await node.setTier("compiled");
    await until(6);
    const before = await total();
    expect(before).toBeGreaterThanOrEqual(6);
    await node.setTier("interpreted");
    await until(before + 1);
    const newest = await total();
    await node.setTier("compiled");
    const longer = "total.value++; if (value < 0) total.value = 1;";
    await node.push(await pack(target, program(longer), 2));
    const { value } = await until(newest + 1);
    expect(value).toBeGreaterThan(newest);
    const { tier, why, sequence } = await node.app();
    expect(sequence).toBe(2);
    // Native nodes interpret whatever is chosen, and say so.
    if (target !== "native") expect([tier, why]).toEqual(["compiled", undefined]);
  });
});
