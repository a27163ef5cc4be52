// Random modules in the node's engine, in V8 and in wasm3, through the one interface: results, traps and memory agree. What
// comes out of arithmetic as a NaN is made canonical by code in the modules.
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import binaryen from "binaryen";
import { beforeAll, describe, expect, test } from "vitest";
import {
  inspect,
  instantiate,
  missingEngine,
  type Ended,
  type EngineName,
  type Host,
  type Instance,
  type Value,
} from "../../host/lib/engine.ts";
import { root } from "../../host/setup.mjs";
import { executeOnChip, noMachine, type MachineCommand, type Typed } from "../harness/machine.ts";
import { scratch } from "../harness/target.ts";

const count = Number(process.env["WASMOTE_MODULES"] ?? 2000);
const modules = new Map<string, Uint8Array>();

beforeAll(() => {
  using folder = scratch();
  const manifest = join(root, "firmware/Cargo.toml");
  const words = `run --quiet --locked --manifest-path ${manifest} -p wasmote-conformance --example modules --`;
  execFileSync("cargo", [...words.split(" "), folder.path, String(count)], { stdio: "pipe" });
  const names = readdirSync(folder.path).toSorted((a, b) => parseInt(a, 10) - parseInt(b, 10));
  for (const name of names) modules.set(name, readFileSync(join(folder.path, name)));
}, 600_000);

/** What the others call the traps of the specification. */
const traps: [RegExp, string[]][] = [
  [/^unreachable/, ["unreachable"]],
  [/^host function failed$/, ["host function failed"]],
  [/divide by zero|remainder by zero/, ["integer divide by zero"]],
  [/divide result unrepresentable|integer overflow/, ["integer overflow"]],
  [
    /float unrepresentable|invalid conversion to integer/,
    ["integer overflow", "invalid conversion to integer"],
  ],
  [/memory access out of bounds|out of bounds memory access/, ["out of bounds memory access"]],
  // The latter is what wasm3 says of some accesses to memory, too.
  [/data segment|^out of bounds table access/, ["out of bounds memory access"]],
  // Of a segment that does not fit.
  [/^table underflow/, ["out of bounds table access"]],
  [
    /table (index|access|or )|table .*out of bounds|out of bounds table|undefined element/,
    ["undefined element", "out of bounds table access", "uninitialized element"],
  ],
  [
    /null function or function signature|indirect call|uninitialized element|undefined element/,
    ["uninitialized element", "indirect call type mismatch", "undefined element"],
  ],
];

function sameTrap(ours: string, theirs: string): boolean {
  return traps.some(([pattern, names]) => pattern.test(theirs) && names.includes(ours));
}

const budget = 5_000_000;
const ends = ["call stack exhausted", "fuel"];
const stackEnd = /stack/;

/** Values as they can be compared: NaNs are all alike, references are numbers of each engine's own. */
function plain(values: Value[], types: string[]): unknown[] {
  return values.map((value, index) => {
    if (types[index]?.endsWith("ref")) return value === null || value === -1 ? "null" : "reference";
    return Number.isNaN(value) ? "NaN" : value;
  });
}

/** A host that answers from what it is asked, refuses now and then, and writes down what it saw. */
function witness(): { host: Host; seen: string[] } {
  const seen: string[] = [];
  const host: Host = ({ name, results }, values) => {
    const line = `${name}(${values.join(", ")})`;
    seen.push(line);
    // As good as random, and the same for the same question.
    let hash = 7;
    for (let at = 0; at < line.length; at++) hash = (hash * 31 + line.charCodeAt(at)) | 0;
    if (hash % 8 === 0) return undefined;
    return results.map((type) => {
      if (type === "i64") return BigInt(hash) << 13n;
      return type === "i32" ? hash : Math.fround(hash / 8);
    });
  };
  return { host, seen };
}

describe.each(["v8", "wasm3"] as EngineName[])("random modules in %s", (other) => {
  const missing = missingEngine(other) ?? missingEngine("wasmote");
  test.skipIf(missing)(
    `give what they give in the node's engine, and ask the host the same${missing ? ` (skipped: ${missing})` : ""}`,
    { timeout: 600_000 },
    () => {
      const tally = { compared: 0, calls: 0, traps: 0, asked: 0, refused: 0, apart: 0 };
      const reasons = new Map<string, number>();
      for (const [name, module] of modules) {
        const { exports } = inspect(module);
        const grants = { stack: 1 << 20, pages: 4, entries: 64 };
        const [here, there] = [witness(), witness()];
        const own = instantiate(module, "wasmote", here.host, grants);
        let second: Instance;
        const call = (export_: string | undefined, values: Value[]) => ({
          mine: own.call(export_, values, budget),
          theirs: second.call(export_, values, budget),
        });
        /** Whether they cannot be compared from here on: one is at the end of its stack or budget. */
        const parted = ({ mine, theirs }: ReturnType<typeof call>) =>
          ends.includes(mine.trap ?? "") || stackEnd.test(theirs.trap ?? "");
        const compare = (
          { mine, theirs }: ReturnType<typeof call>,
          what: string,
          types: string[],
        ) => {
          expect(there.seen, `${what}: what the host was asked`).toEqual(here.seen);
          if (mine.trap === undefined && theirs.trap === undefined)
            return expect(plain(theirs.values, types), what).toEqual(plain(mine.values, types));
          tally.traps += 1;
          const agree = sameTrap(mine.trap ?? "none", theirs.trap ?? "none");
          expect(agree, `${what}: ${mine.trap} here, ${theirs.trap} there`).toBe(true);
        };
        let set: ReturnType<typeof call>;
        try {
          second = instantiate(module, other, there.host);
          set = call(undefined, []);
        } catch (error) {
          // What an engine does not have it says.
          const { message } = error as Error;
          reasons.set(message, (reasons.get(message) ?? 0) + 1);
          tally.refused += 1;
          continue;
        }
        if (parted(set)) {
          tally.apart += 1;
          continue;
        }
        tally.compared += 1;
        compare(set, name, []);
        if (set.mine.trap !== undefined) continue;
        let apart = false;
        for (const [number, one] of exports.entries()) {
          if (one.kind !== "function") continue;
          // The others make references as they like: they cannot be handed over, and not at all to wasm3.
          const references = [...one.parameters, ...one.results].some((type) =>
            type.endsWith("ref"),
          );
          if (references && other === "wasm3") apart = true;
          if (apart) break;
          if (one.parameters.some((type) => type.endsWith("ref"))) continue;
          const values = one.parameters.map((type, index): Value => {
            const n = (number * 31 + index * 17 + 5) % 97;
            return type === "i64" ? BigInt(n) << 33n : type === "i32" ? n - 40 : n / 4;
          });
          let outcome: ReturnType<typeof call>;
          try {
            outcome = call(one.name, values);
          } catch (error) {
            // wasm3 compiles what it calls, and does not find every function by its name, or finds another whose name has a
            // NUL; an import is nobody's to call.
            const { message } = error as Error;
            const known =
              /no function is exported|no operation found|values are wanted|is a function of the host's/;
            if (!known.test(message)) throw error;
            if (/host's/.test(message)) continue;
            apart = true;
            break;
          }
          tally.calls += 1;
          if (parted(outcome)) {
            apart = true;
            break;
          }
          compare(outcome, `${name} ${one.name}(${values.join(", ")})`, one.results);
        }
        tally.asked += here.seen.length;
        if (apart) {
          tally.apart += 1;
          continue;
        }
        const size = own.memorySize();
        if (size > 0 && exports.some((one) => one.kind === "memory")) {
          expect(second.memorySize(), name).toBe(size);
          const same = Buffer.compare(own.read(0, size)!, second.read(0, size)!) === 0;
          expect(same, `${name}: the memory`).toBe(true);
        }
      }
      console.log(`${other}: ${JSON.stringify(tally)}`, Object.fromEntries(reasons));
      expect(tally.compared).toBeGreaterThan(count / 2);
      expect(tally.calls).toBeGreaterThan(count / 2);
      expect(tally.traps).toBeGreaterThan(count / 20);
      expect(tally.asked).toBeGreaterThan(count / 20);
      expect(tally.refused).toBeLessThan(other === "v8" ? 1 : count / 100);
      expect(tally.apart).toBeLessThan(count / 4);
    },
  );
});

/** Some arguments of these types. */
function someValues(types: string[], seed: number): Typed[] {
  return types.map((type, index): Typed => {
    const n = (seed * 31 + index * 17 + 5) % 97;
    if (type === "i64") return { type, value: (BigInt(n) << 33n) - 7n };
    if (type === "funcref" || type === "externref") return { type, value: -1 };
    return { type: type as "i32" | "f32" | "f64", value: type === "i32" ? n - 40 : n / 4 };
  });
}

/** The host of the random modules as a module, for where there is no other: answers from what it is asked. */
const answers = `(module
  (func (export "asks_i") (param i32 i64) (result i32)
    (i32.mul (i32.add (local.get 0) (i32.wrap_i64 (local.get 1))) (i32.const 0x9e3779b1)))
  (func (export "asks_j") (param i64) (result i64)
    (i64.mul (i64.add (local.get 0) (i64.const 1)) (i64.const 0x9e3779b97f4a7c15)))
  (func (export "asks_f") (param f32 i32) (result f32)
    (f32.div (local.get 0) (f32.convert_i32_s (local.get 1))))
  (func (export "asks_d") (param f64 f32) (result f64)
    (f64.sub (local.get 0) (f64.promote_f32 (local.get 1))))
  (func (export "asks_n")))`;

describe("random modules on an emulated Cortex-M4F", () => {
  const skip = missingEngine("wasmote") ?? noMachine;
  test.skipIf(skip)(
    `burn the same fuel for the same results, and trap at the same byte in the same calls${skip ? ` (skipped: ${skip})` : ""}`,
    { timeout: 600_000 },
    async () => {
      const chosen = [...modules].slice(0, Number(process.env["WASMOTE_ON_CHIP"] ?? 2000));
      const tally = { calls: 0, traps: 0, fuel: 0, asked: 0 };
      const answering = binaryen.parseText(answers).emitBinary();
      const other = instantiate(answering, "wasmote", () => undefined);
      other.call(undefined, [], 1);
      const host: Host = ({ name }, values) => {
        tally.asked += 1;
        return other.call(name, values, 1000).values;
      };
      const batches = Array.from({ length: Math.ceil(chosen.length / 100) }, (_, index) =>
        chosen.slice(index * 100, index * 100 + 100),
      );
      for (const batch of batches) {
        const commands: MachineCommand[] = [
          { do: "instantiate", name: "host", module: answering },
          { do: "register", name: "host", instance: "host" },
        ];
        const done: Ended = { values: [], fuel: 0, backtrace: [] };
        const expected: { what: string; ended: Ended; types: string[] }[] = [
          { what: "the host", ended: done, types: [] },
          { what: "its name", ended: done, types: [] },
        ];
        for (const [name, module] of batch) {
          const own = instantiate(module, "wasmote", host);
          const set = own.call(undefined, [], 100_000);
          if (set.trap === "fuel") continue;
          commands.push({ do: "instantiate", name: "", module });
          expected.push({ what: name, ended: set, types: [] });
          if (set.trap !== undefined) continue;
          for (const [number, one] of inspect(module).exports.entries()) {
            if (one.kind !== "function") continue;
            const values = someValues(one.parameters, number);
            let ended: Ended;
            try {
              ended = own.call(
                one.name,
                values.map(({ value }) => value),
                100_000,
              );
            } catch (error) {
              if (/is a function of the host's/.test(String(error))) continue;
              throw error;
            }
            // What was given up is in another state from here on.
            if (ended.trap === "fuel") break;
            commands.push({ do: "invoke", instance: "", name: one.name, values });
            expected.push({ what: `${name} ${one.name}`, ended, types: one.results });
          }
        }
        const outcomes = await executeOnChip(commands, 777);
        expect(outcomes.length).toBe(commands.length);
        outcomes.forEach(({ status, text, place, backtrace, fuel, values }, index) => {
          const { what, ended, types } = expected[index]!;
          const trap = status === "ok" ? undefined : text;
          const there = {
            trap,
            fuel,
            values: plain(
              values.map(({ value }) => value),
              types,
            ),
            // Setting up is no call: what fails there has its place alone.
            backtrace: trap !== undefined && backtrace.length === 0 ? [place] : backtrace,
          };
          const here = {
            trap: ended.trap,
            fuel: ended.fuel,
            values: plain(ended.values, types),
            backtrace: ended.backtrace
              .slice(0, 100)
              .map((call) => ({ offset: call.offset, function: call.function })),
          };
          expect(there, what).toEqual(here);
          tally.calls += 1;
          tally.traps += trap === undefined ? 0 : 1;
          tally.fuel += fuel;
        });
      }
      console.log(`chip: ${JSON.stringify(tally)}`);
      expect(tally.calls).toBeGreaterThan(chosen.length);
      expect(tally.traps).toBeGreaterThan(chosen.length / 10);
      expect(tally.asked).toBeGreaterThan(chosen.length / 10);
    },
  );
});
