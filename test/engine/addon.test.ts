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
  ModuleError,
  type Host,
  type Instance,
  type Value,
} from "../../host/lib/engine.ts";
import { root } from "../../host/setup.mjs";

const module = (text: string) => {
  const parsed = binaryen.parseText(text);
  // Not all: it would write imports as a proposal has them.
  const { MutableGlobals, BulkMemory, ReferenceTypes } = binaryen.Features;
  parsed.setFeatures(MutableGlobals | BulkMemory | ReferenceTypes);
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
  (func (export "low") (param i32) (result i32) (i32.and (local.get 0) (i32.const 255)))
  (func (export "peek") (param i32) (result i32) (i32.load8_u (local.get 0)))
  (func $deep (export "deep") (call $deep))
  (func (export "spin") (loop $on (br $on))))`);

describe.each(engineNames)("an instance in %s", (engine) => {
  const missing = missingEngine(engine) ?? missingEngine("wasmote");
  const skip = missing ? ` (skipped: ${missing})` : "";
  const make = (host: Host = () => [42], bytes = sample): Instance => {
    const instance = instantiate(bytes, engine, host, { pages: 3 });
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

const asking = module(`(module
  (import "h" "pick" (func $pick (param i32 i64 f32 f64) (result i64)))
  (import "h" "told" (func $told (param i32)))
  (import "other" "half" (func $half (param f32) (result f32)))
  (memory (export "memory") 1)
  (global $n (mut i32) (i32.const 0))
  (func $start (call $told (i32.const -7)))
  (start $start)
  (func (export "sum") (param i64) (result i64) (local i32)
    (loop $on
      (i32.store (i32.const 8) (local.get 1))
      (local.set 0 (i64.add (local.get 0)
        (call $pick (local.get 1) (local.get 0) (f32.const 0.5) (f64.const -1e300))))
      (br_if $on (i32.lt_u (local.tee 1 (i32.add (local.get 1) (i32.const 1))) (i32.const 5))))
    (local.get 0))
  (func (export "half") (param f32) (result f32)
    (f32.add (call $half (local.get 0)) (f32.const 1)))
  (func (export "tell") (param i32)
    (global.set $n (i32.add (global.get $n) (i32.const 1))) (call $told (local.get 0)))
  (func (export "often") (param i32)
    (loop $on (call $told (local.get 0))
      (br_if $on (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))
  (func (export "told") (result i32) (global.get $n)))`);

const missingSecond = missingEngine("wasm3") ?? missingEngine("wasmote");
test.skipIf(missingSecond)(
  `what wasm3 has no values of is refused as a module${missingSecond ? ` (skipped: ${missingSecond})` : ""}`,
  () => {
    const bytes = module('(module (import "h" "f" (func (param externref))))');
    expect(instantiate(bytes, "wasmote", () => []).call(undefined, [], 1).trap).toBeUndefined();
    expect(() => instantiate(bytes, "wasm3", () => [])).toThrow(ModuleError);
    expect(() => instantiate(bytes, "wasm3", () => [])).toThrow(/no values of type externref/);
  },
);

describe.each(engineNames)("an import in %s", (engine) => {
  const missing = missingEngine(engine) ?? missingEngine("wasmote");
  const skip = missing ? ` (skipped: ${missing})` : "";
  /** A host that does what `next` says, once the module is set up. */
  const make = (next: Host) => {
    const told: Value[][] = [];
    const instance = instantiate(asking, engine, (one, values, read) => {
      if (values[0] !== -7 || one.name !== "told") return next(one, values, read);
      told.push(values);
      // V8 has no memory to show before it is set up.
      expect(read(65_535, 1)?.length).toBe(engine === "v8" ? undefined : 1);
      return [];
    });
    expect(instance.call(undefined, [], 1e6)).toMatchObject({ values: [], backtrace: [] });
    // The start function has asked, once.
    expect(told).toEqual([[-7]]);
    return instance;
  };

  test.skipIf(missing)(`is asked while the module runs, with values of every type${skip}`, () => {
    const asked: unknown[] = [];
    const instance = make((one, values, read) => {
      // What the module has written just before can be read by now.
      const [written] = read(8, 4) ?? [];
      asked.push([one.module, one.name, ...values, written]);
      return one.name === "half" ? [Number(values[0]) / 2] : [BigInt(values[0]!) + 2n ** 40n];
    });
    expect(instance.call("sum", [-3n], 1e6).values).toEqual([5n * 2n ** 40n + 10n - 3n]);
    let sum = -3n;
    const expected = [0, 1, 2, 3, 4].map((n) => {
      const line = ["h", "pick", n, sum, 0.5, -1e300, n];
      sum += BigInt(n) + 2n ** 40n;
      return line;
    });
    expect(asked).toEqual(expected);
    expect(instance.call("half", [3], 1e6).values).toEqual([2.5]);
    expect(asked.at(-1)).toEqual(["other", "half", 3, 4]);
  });

  test.skipIf(missing)(`sees the memory as it is, by its instance too${skip}`, () => {
    const instance: Instance = make((_, __, read) => {
      expect(read(0xffff_ffff, 1)).toBeUndefined();
      expect(read(65_535, 2)).toBeUndefined();
      expect(instance.write(0, Buffer.from([7, 8]))).toBe(true);
      expect(instance.write(65_535, Buffer.from([7, 8]))).toBe(false);
      expect(instance.memorySize()).toBe(65_536);
      expect(Buffer.from(instance.read(0, 3)!)).toEqual(Buffer.from([7, 8, 0]));
      return [1n];
    });
    expect(instance.call("sum", [0n], 1e6).values).toEqual([5n]);
    expect(Buffer.from(instance.read(0, 2)!)).toEqual(Buffer.from([7, 8]));
  });

  test.skipIf(missing)(`traps the call when the host refuses${skip}`, () => {
    const instance = make(() => undefined);
    expect(instance.call("tell", [1], 1e6).trap).toBe("host function failed");
    expect(instance.call("told", [], 1e6).values).toEqual([1]);
  });

  test.skipIf(missing)(`lets the host's exception through as it is, and goes on${skip}`, () => {
    class Ours extends Error {}
    const thrown: unknown[] = [new Ours("no"), "a text", null, undefined, { an: "object" }];
    let next: unknown;
    const instance = make(() => {
      throw next;
    });
    for (const [index, one] of thrown.entries()) {
      next = one;
      let caught: unknown = "nothing";
      try {
        instance.call("tell", [1], 1e6);
      } catch (error) {
        caught = error;
      }
      expect(caught).toBe(one);
      expect(instance.call("told", [], 1e6).values).toEqual([index + 1]);
    }
  });

  test.skipIf(missing)(`refuses answers of another type or number${skip}`, () => {
    const wrong: unknown[] = [[], [1n, 2n], [1], ["1"], [null], [undefined], null, 1n, "", {}];
    let next: unknown;
    const instance = make(() => next as Value[]);
    for (const one of wrong) {
      next = one;
      expect(() => instance.call("sum", [0n], 1e6)).toThrow(
        /^h\.pick gives i64, and the host answered/,
      );
    }
    next = [5n];
    expect(instance.call("sum", [0n], 1e6).values).toEqual([25n]);
    next = [1];
    expect(() => instance.call("tell", [0], 1e6)).toThrow(/^h\.told gives nothing/);
  });

  test.skipIf(missing)(`cannot call into the instance that waits for it${skip}`, () => {
    let refused: unknown;
    const instance: Instance = make(() => {
      try {
        instance.call("told", [], 1e6);
      } catch (error) {
        refused = error;
      }
      return [1n];
    });
    expect(instance.call("sum", [0n], 1e6).values).toEqual([5n]);
    expect(String(refused)).toMatch(/in the middle of a call/);
  });

  test.skipIf(missing)(`is asked a hundred thousand times in one call${skip}`, () => {
    let times = 0;
    const instance = make(() => {
      times += 1;
      return [];
    });
    expect(instance.call("often", [100_000], 1e9).trap).toBeUndefined();
    expect(times).toBe(100_000);
  });

  test.skipIf(missing)(`is a function, or the module is refused${skip}`, () => {
    for (const [text, what] of [
      ['(global (import "h" "g") i32)', /h\.g, a global/],
      ['(memory (import "h" "m") 1)', /h\.m, a memory/],
      ['(table (import "h" "t") 1 funcref)', /h\.t, a table/],
    ] as const)
      expect(() => instantiate(module(`(module ${text})`), engine, () => [])).toThrow(what);
  });
});

const missing = missingEngine("wasmote");
describe.skipIf(missing)(`the node's engine${missing ? ` (skipped: ${missing})` : ""}`, () => {
  test("says of a trap where it was, in which instruction, by which calls", () => {
    const instance = instantiate(sample, "wasmote", () => [42]);
    instance.call(undefined, [], 1e6);
    const { trap, backtrace } = instance.call("divide", [0], 1e6);
    expect(trap).toBe("integer divide by zero");
    expect(backtrace).toEqual([
      { function: 3, offset: expect.any(Number) as number, instruction: "i32.div_s" },
    ]);
    expect(sample[backtrace[0]!.offset]).toBe(0x6d);
  });

  test("gives up what spins, and counts what it burnt", () => {
    const instance = instantiate(sample, "wasmote", () => [42]);
    instance.call(undefined, [], 1e6);
    const { trap, fuel } = instance.call("spin", [], 5000);
    expect(trap).toBe("fuel");
    expect(fuel).toBeGreaterThanOrEqual(5000);
    expect(fuel).toBeLessThan(5010);
    expect(instance.call("divide", [2], 1e6).values).toEqual([3]);
  });

  test("refuses a call before it is set up, of what is not there, and with values of other types", () => {
    const instance = instantiate(sample, "wasmote", () => [42]);
    const call = (name: string, values: Value[]) => () => instance.call(name, values, 1e6);
    expect(call("divide", [1])).toThrow(/divide cannot be called: .* not set up/);
    instance.call(undefined, [], 1e6);
    expect(call("nothing", [])).toThrow(/no function is exported as "nothing"/);
    expect(call("divide", [])).toThrow(/1 values are wanted, 0 given/);
    expect(call("divide", [1n])).toThrow(/not of the type that is wanted/);
    // Numbers become i32 as ECMAScript has it.
    for (const [value, byte] of [
      [2 ** 32 + 7, 7],
      [-1.9, 255],
      [-1e20 - 2 ** 34, 0],
      [2 ** 53 - 1, 255],
      [Number.NaN, 0],
    ] as const) {
      expect(instance.call("low", [value], 1e6).values, String(value)).toEqual([byte]);
    }
  });

  test("refuses modules that are not worth their memory here", () => {
    expect(() => inspect(Buffer.alloc((16 << 20) + 1))).toThrow(/16777216 bytes/);
    const wide = module('(module (memory (export "memory") 65535))');
    expect(inspect(wide).footprint.memory).toBe(65_535 * 65_536);
    expect(() => instantiate(wide, "wasmote", () => [])).toThrow(/region of 4294901760 bytes/);
    expect(() => instantiate(wide, "wasmote", () => [])).toThrow(ModuleError);
    expect(() => instantiate(sample, "wasmote", () => [], { stack: 2 ** 32 - 1 })).toThrow(
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

  const addons = ["engine.node", ...(missingEngine("wasm3") ? [] : ["wasm3.node"])];
  const without = missingEngine("wasm3") ? ` (wasm3.node skipped: ${missingEngine("wasm3")})` : "";
  test.each(addons)(`takes any arguments in any order: %s${without}`, (name) => {
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
    const import_ = { module: "wasmote", name: "n", parameters: [], results: ["i32"] };
    const ask = () => [7];
    const fresh = () => {
      if (name === "engine.node") return new kind!(sample, {});
      const instance = new kind!(sample, [import_]);
      instance["start"]!(ask);
      return instance;
    };
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
    // A host that answers anything, calls anything back, or throws.
    if (name === "wasm3.node")
      for (const value of [...values, values]) {
        const asking = fresh();
        for (const host of [value, () => value, () => [value]])
          attempt(() => asking["call"]!("now", [], host));
        const thrown = () => {
          throw value;
        };
        attempt(() => asking["call"]!("now", [], thrown));
        const called = asking["call"]!("now", [], () => {
          for (const method of methods) {
            attempt(() => asking[method]!(ask));
            attempt(() => asking[method]!("now", value, ask));
          }
          return [1];
        });
        expect(called).toEqual([1]);
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
    } else expect(fresh()["call"]!("divide", [2], ask)).toEqual([3]);
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
        const instance = instantiate(bytes, "wasmote", () => [1]);
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
