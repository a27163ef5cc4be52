// What executes a package on a board: code that the node made of it, or its interpreter, with the reason; the outputs, the fuel
// and the way back are the same.
import { expect, test } from "vitest";
import { Node } from "../../host/lib/node.ts";
import type { Emulated } from "../../host/lib/emulate.ts";
import { echo, first, pack, provisioned, spin } from "../harness/module.ts";
import { eachTarget, scratch } from "../harness/target.ts";

/** Feeds a level, and says what a program published of it. */
async function through(board: Emulated, node: Node, output: string, value: number) {
  const values = node.observe(`outputs/${output}`);
  const came = first(values, (reading) => reading.value === value);
  board.feed("level", value);
  return (await came).value;
}

/** A program with a heavy run: floats of both kinds, memory, calls and a division. */
const heavy = `
import { output, sensor } from "wasmote";
const level = sensor("level");
const out = output("echo");
const kept = new StaticArray<f64>(32);
let next = 0;
function mix(n: i32): f64 {
  return n < 2 ? <f64>n : mix(n - 1) + mix(n - 2) / 3.0;
}
level.onSample((value) => {
  for (let i = 0; i < 32; i++) kept[i] += mix(i % 9) * <f64>value;
  next = (next * 7 + <i32>value) / (1 + (next & 3));
  let sum: f64 = 0;
  for (let i = 0; i < 32; i++) sum += kept[i];
  if (sum >= 0 || sum < 0) out.publish(value);
});
`;

/** A program whose code is larger than any board's place for it, though its module fits a slot. */
const large = `
import { output, sensor } from "wasmote";
const level = sensor("level");
const out = output("echo");
let y: f64 = 1.5;
level.onSample((value) => {
  let x: f64 = <f64>value;
${"  x = x * y - value;\n".repeat(700)}
  y = x;
  out.publish(value);
});
`;

const traps = `
import { output, sensor } from "wasmote";
const level = sensor("level");
const out = output("echo");
let zero = 0;
function inner(value: f32): i32 {
  return <i32>value / zero;
}
level.onSample((value) => {
  if (value > 5) out.publish(<f32>inner(value));
  else out.publish(value);
});
`;

eachTarget("what executes a package", (start, target) => {
  if (target === "native") {
    test("is the interpreter on a computer, which says why", async () => {
      using folder = scratch();
      const board = await provisioned(start, folder.path);
      await using node = await Node.connect(board.address);
      await node.push(await pack(target, echo, 1));
      const why = "this board executes no compiled code";
      expect(await node.app()).toMatchObject({ tier: "interpreted", why });
      expect(await through(board, node, "echo", 3)).toBe(3);
      const told = JSON.parse(await node.get("app/tier", { accept: "json" })) as object;
      expect(told).toEqual({ chosen: "compiled", tier: "interpreted", why, arena: 0 });
      await expect(node.put("app/tier", "fast")).rejects.toMatchObject({ status: "4.00" });
    });
    return;
  }

  test("is code, until the operator chooses otherwise, for the same fuel; also after a reset", async () => {
    using folder = scratch();
    const board = await provisioned(start, folder.path);
    await using node = await Node.connect(board.address);
    await node.setTier("interpreted");
    await node.push(await pack(target, heavy, 1));
    expect(await node.app()).toMatchObject({
      tier: "interpreted",
      why: "the operator chose so",
      sequence: 1,
    });
    const runs = async () => {
      const fuel: number[] = [];
      for (const value of [1, 2, 300]) {
        expect(await through(board, node, "echo", value)).toBe(value);
        fuel.push((await node.stats()).fuel);
      }
      return fuel;
    };
    const interpreted = await runs();
    expect(interpreted[0]).toBeGreaterThan(5_000);
    // It begins anew, compiled.
    await node.setTier("compiled");
    const app = await node.app();
    expect(app).toMatchObject({ tier: "compiled", sequence: 1 });
    expect(app.code).toBeGreaterThan(200);
    expect(app.why).toBeUndefined();
    expect(await runs()).toEqual(interpreted);
    await board.reset();
    expect(await node.app()).toMatchObject({ sequence: 1 });
    // A reset during the trial would have returned from it.
    await node.push(await pack(target, echo, 2));
    for (let value = 10; (await node.app()).state !== "confirmed"; value++)
      await through(board, node, "echo", value);
    await board.reset();
    expect(await node.app()).toMatchObject({ tier: "compiled", sequence: 2, state: "confirmed" });
    expect(await through(board, node, "echo", 77)).toBe(77);
    // At once, without beginning anew.
    const { runs: before } = await node.stats();
    await node.setTier("interpreted");
    expect(await node.app()).toMatchObject({ tier: "interpreted", why: "the operator chose so" });
    expect(await through(board, node, "echo", 78)).toBe(78);
    expect((await node.stats()).runs).toBeGreaterThan(before);
    await board.reset();
    expect(await node.app()).toMatchObject({ tier: "interpreted", sequence: 2 });
  });

  test("is the interpreter where the code has no room, which the node says", async () => {
    using folder = scratch();
    const board = await provisioned(start, folder.path);
    await using node = await Node.connect(board.address);
    await node.push(await pack(target, large, 1));
    const why = "no room for the code";
    expect(await node.app()).toMatchObject({ tier: "interpreted", why, sequence: 1 });
    expect(await through(board, node, "echo", 3)).toBe(3);
    expect((await node.log()).join("\n")).toContain(`package 1 is interpreted: ${why}`);
  });

  test("a package that fails compiled gives way, with the place of its trap", async () => {
    using folder = scratch();
    const board = await provisioned(start, folder.path);
    await using node = await Node.connect(board.address);
    await node.push(await pack(target, echo, 1));
    for (let value = 10; (await node.app()).state !== "confirmed"; value++)
      await through(board, node, "echo", value);
    const failing = async (program: string, sequence: number, value: number) => {
      await node.push(await pack(target, program, sequence));
      expect(await node.app()).toMatchObject({ tier: "compiled", sequence });
      board.feed("level", value);
      await expect.poll(async () => (await node.app()).sequence, { timeout: 30_000 }).toBe(1);
      const app = await node.app();
      expect(app).toMatchObject({ tier: "compiled", returned: true });
      return app.event;
    };
    const trap = await failing(traps, 2, 7);
    expect(trap).toMatchObject({ what: "trap", trap: "integer divide by zero" });
    expect(trap!.backtrace!.length).toBeGreaterThan(0);
    expect(await failing(spin, 3, 7)).toMatchObject({ what: "fuel", sequence: 3 });
    expect(await through(board, node, "echo", 5)).toBe(5);
  });
});
