// The addons as such: what they offer, and that no argument, order of calls or module, however hostile, ends Node.
import { createRequire } from "node:module";
import { join } from "node:path";
import binaryen from "binaryen";
import { describe, expect, test } from "vitest";
import {
  engineNames,
  inspect,
  instantiate,
  missingEngine,
  type Host,
  type Instance,
} from "../host/lib/engine.ts";
import { root } from "../host/setup.mjs";

const module = (text: string) => {
  const parsed = binaryen.parseText(text);
  parsed.setFeatures(binaryen.Features.All);
  try {
    return parsed.emitBinary();
  } finally {
    parsed.dispose();
  }
};

const load = (name: string) =>
  createRequire(import.meta.url)(join(root, "dist", name)) as Record<string, unknown>;

const sample = module(`(module
  (import "wasmote" "n" (func $now (result i32)))
  (memory (export "memory") 1 3)
  (global (export "g") (mut i64) (i64.const 5))
  (func (export "add") (param i32 i64 f32 f64) (result f64)
    (f64.add (local.get 3) (f64.promote_f32 (local.get 2))))
  (func (export "now") (result i32) (call $now))
  (func (export "divide") (param i32) (result i32) (i32.div_s (i32.const 7) (local.get 0)))
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "peek") (param i32) (result i32) (i32.load8_u (local.get 0)))
  (func $deep (export "deep") (call $deep))
  (func (export "spin") (loop $on (br $on))))`);

describe.each(engineNames)("an instance in %s", (engine) => {
  const missing = missingEngine(engine) ?? missingEngine("wasmote");
  const skip = missing ? ` (skipped: ${missing})` : "";
  const make = (host: Host = () => 42): Instance => {
    const instance = instantiate(sample, engine, host, { pages: 3 });
    expect(instance.call(undefined, [], 1e6).trap).toBeUndefined();
    return instance;
  };

  test.skipIf(missing)(`takes and gives values of every type${skip}`, () => {
    const instance = make();
    expect(instance.call("add", [1, 2n ** 62n, 0.5, 1e300], 1e6).values).toEqual([1e300]);
    expect(instance.call("add", [-1, -1n, 1.5, -3], 1e6).values).toEqual([-1.5]);
    expect(instance.call("now", [], 1e6).values).toEqual([42]);
  });

  test.skipIf(missing)(`lets its memory be read and written, within its bounds${skip}`, () => {
    const instance = make();
    const pages = instance.memorySize();
    expect(pages).toBe(65_536);
    expect(instance.write(65_533, Buffer.from([1, 2, 3]))).toBe(true);
    expect(instance.call("peek", [65_534], 1e6).values).toEqual([2]);
    expect(Buffer.from(instance.read(65_532, 4)!)).toEqual(Buffer.from([0, 1, 2, 3]));
    expect(instance.write(65_534, Buffer.from([1, 2, 3]))).toBe(false);
    expect(instance.read(65_534, 3)).toBeUndefined();
    expect(instance.read(0xffff_ffff, 0xffff_ffff)).toBeUndefined();
    expect(instance.call("grow", [2], 1e7).values).toEqual([1]);
    expect(instance.memorySize()).toBe(3 * 65_536);
    expect(instance.call("grow", [1], 1e6).values).toEqual([-1]);
  });

  test.skipIf(missing)(`goes on after a trap${skip}`, () => {
    const instance = make();
    instance.write(7, Buffer.from([9]));
    expect(instance.call("divide", [0], 1e6).trap).toMatch(/divide by zero/);
    expect(instance.call("peek", [7], 1e6).values).toEqual([9]);
    expect(instance.call("peek", [-1], 1e6).trap).toMatch(/memory/);
    expect(instance.call("divide", [2], 1e6).values).toEqual([3]);
    expect(instance.call("deep", [], 1e7).trap).toMatch(/stack/);
    expect(instance.call("divide", [7], 1e6).values).toEqual([1]);
  });
});

const missing = missingEngine("wasmote");
describe.skipIf(missing)(`the node's engine${missing ? ` (skipped: ${missing})` : ""}`, () => {
  test("says of a trap where it was, in which instruction, by which calls", () => {
    const instance = instantiate(sample, "wasmote", () => 42);
    instance.call(undefined, [], 1e6);
    const { trap, backtrace } = instance.call("divide", [0], 1e6);
    expect(trap).toBe("integer divide by zero");
    expect(backtrace).toEqual([
      { function: 3, offset: expect.any(Number) as number, instruction: "i32.div_s" },
    ]);
    expect(sample[backtrace[0]!.offset]).toBe(0x6d);
  });

  test("gives up what spins, and counts what it burnt", () => {
    const instance = instantiate(sample, "wasmote", () => 42);
    instance.call(undefined, [], 1e6);
    const { trap, fuel } = instance.call("spin", [], 5000);
    expect(trap).toBe("fuel");
    expect(fuel).toBeGreaterThanOrEqual(5000);
    expect(fuel).toBeLessThan(5010);
    expect(instance.call("divide", [2], 1e6).values).toEqual([3]);
  });

  test("refuses a call into an instance that waits for an answer, and then goes on", () => {
    let refused: unknown;
    const instance: Instance = instantiate(sample, "wasmote", () => {
      try {
        instance.call("divide", [2], 1e6);
      } catch (error) {
        refused = error;
      }
      return 5;
    });
    instance.call(undefined, [], 1e6);
    expect(instance.call("now", [], 1e6).values).toEqual([5]);
    expect(String(refused)).toMatch(/State/);
  });

  test("refuses modules that are not worth their memory here", () => {
    expect(() => inspect(Buffer.alloc((16 << 20) + 1))).toThrow(/16777216 bytes/);
    const wide = module('(module (memory (export "memory") 65535))');
    expect(inspect(wide).footprint.memory).toBe(65_535 * 65_536);
    expect(() => instantiate(wide, "wasmote", () => null)).toThrow(/region of 4294901760 bytes/);
    expect(() => instantiate(sample, "wasmote", () => null, { stack: 2 ** 32 - 1 })).toThrow(
      /region|Region/,
    );
  });

  const values: unknown[] = [
    undefined,
    null,
    true,
    -1,
    0.5,
    2 ** 53,
    Number.NaN,
    Infinity,
    -Infinity,
    1n,
    2n ** 80n,
    "",
    "add",
    "\0",
    "x".repeat(1 << 20),
    Symbol("s"),
    {},
    [],
    [1, 2, 3, 4],
    [1, 2n, 0.5, 1e300],
    Array.from({ length: 100_000 }, () => 1),
    () => 1,
    new Uint8Array(0),
    Buffer.alloc(10),
    new Uint8Array(new SharedArrayBuffer(8)),
    new DataView(new ArrayBuffer(4)),
    new Proxy({}, {}),
    Object.create(null),
    new Date(Number.NaN),
  ];

  test.each(["engine.node", "wasm3.node"])("takes any arguments in any order: %s", (name) => {
    const engine = name === "engine.node" ? "wasmote" : "wasm3";
    if (missingEngine(engine)) return;
    const addon = load(name);
    const [kind] = Object.values(addon).filter(
      (one): one is new (...words: unknown[]) => Record<string, (...words: unknown[]) => unknown> =>
        typeof one === "function" && one.name.endsWith("Instance"),
    );
    let thrown = 0;
    let done = 0;
    const attempt = (work: () => unknown) => {
      try {
        work();
        done += 1;
      } catch {
        thrown += 1;
      }
    };
    const made: object[] = [];
    for (const value of values) {
      for (const one of Object.values(addon))
        if (typeof one === "function")
          attempt(() => (one as (...words: unknown[]) => unknown)(value, value));
      attempt(() => made.push(new kind!(value, value)));
      attempt(() => made.push(new kind!(sample, value)));
    }
    const answers = {
      module: "wasmote",
      name: "n",
      parameters: [],
      results: ["i32"],
      answers: [7],
    };
    const fresh = () => new kind!(sample, name === "wasm3.node" ? [answers] : {});
    const methods = Object.getOwnPropertyNames(kind!.prototype).filter(
      (one) => one !== "constructor",
    );
    expect(methods.length).toBeGreaterThan(4);
    const instance = fresh();
    for (const first of values)
      for (const second of values)
        for (const method of methods) {
          // With the engine that has no fuel only what ends is called.
          if (method === "run") attempt(() => instance[method]!(1000));
          else attempt(() => instance[method]!(first, second));
        }
    // A method of one class on something else.
    for (const method of methods)
      for (const value of [undefined, {}, addon, kind])
        attempt(() => kind!.prototype[method].call(value, 1, 2));
    expect(thrown).toBeGreaterThan(100);
    expect(done).toBeGreaterThan(50);
    // A new one still works.
    if (name === "engine.node") {
      const last = fresh();
      expect(last["run"]!(1000)).toMatchObject({ state: "done" });
      last["call"]!("divide", [2]);
      expect(last["run"]!(1000)).toMatchObject({ state: "done", values: [3] });
    } else expect(fresh()["call"]!("divide", [2])).toEqual([3]);
  });

  test("takes random bytes as modules", () => {
    let seed = 1;
    const random = () => (seed = (seed * 48_271) % 2_147_483_647);
    let refused = 0;
    for (let round = 0; round < 2000; round++) {
      const bytes = Buffer.from(sample);
      for (let change = random() % 4; change >= 0; change--)
        bytes[8 + (random() % (bytes.length - 8))] = random() & 255;
      try {
        const instance = instantiate(bytes, "wasmote", () => 1);
        instance.call(undefined, [], 1000);
        for (const name of ["add", "now", "grow", "spin", "deep"])
          if (instance.has(name))
            try {
              instance.call(name, name === "grow" ? [1] : [], 1000);
            } catch {
              refused += 1;
            }
      } catch {
        refused += 1;
      }
    }
    expect(refused).toBeGreaterThan(100);
  });
});
