// Random modules in the node's engine, in V8 and in wasm3, through the one interface: results, traps and memory agree. What
// comes out of arithmetic as a NaN is made canonical by code in the modules.
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import {
  inspect,
  instantiate,
  missingEngine,
  type Ended,
  type EngineName,
  type Instance,
  type Value,
} from "../host/lib/engine.ts";
import { root } from "../host/setup.mjs";
import { executeOnChip, noMachine, type MachineCommand, type Typed } from "./harness/machine.ts";
import { scratch } from "./harness/target.ts";

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
  [/divide by zero|remainder by zero/, ["integer divide by zero"]],
  [/divide result unrepresentable|integer overflow/, ["integer overflow"]],
  [
    /float unrepresentable|invalid conversion to integer/,
    ["integer overflow", "invalid conversion to integer"],
  ],
  [/memory access out of bounds|out of bounds memory access/, ["out of bounds memory access"]],
  // The latter is what wasm3 says of some accesses to memory, too.
  [/data segment|^out of bounds table access/, ["out of bounds memory access"]],
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

describe.each(["v8", "wasm3"] as EngineName[])("random modules in %s", (other) => {
  const missing = missingEngine(other) ?? missingEngine("wasmote");
  test.skipIf(missing)(
    `give what they give in the node's engine${missing ? ` (skipped: ${missing})` : ""}`,
    { timeout: 600_000 },
    () => {
      const tally = { compared: 0, calls: 0, traps: 0, refused: 0, apart: 0 };
      for (const [name, module] of modules) {
        const { exports } = inspect(module);
        const host = () => undefined;
        const grants = { stack: 1 << 20, pages: 4, entries: 64 };
        const own = instantiate(module, "wasmote", host, grants);
        let there: Instance | undefined;
        let refusal = "";
        try {
          there = instantiate(module, other, host);
        } catch (error) {
          refusal = (error as Error).message;
        }
        const set = own.call(undefined, [], budget);
        const setThere: Ended = there?.call(undefined, [], budget) ?? {
          values: [],
          fuel: undefined,
          trap: refusal.replace(/^.*\[trap\] /, ""),
          backtrace: [],
        };
        // What wasm3 does not have it says; what traps while it is set up it cannot make.
        if (!there && !(set.trap !== undefined && sameTrap(set.trap, setThere.trap ?? ""))) {
          tally.refused += 1;
          continue;
        }
        if (ends.includes(set.trap ?? "") || stackEnd.test(setThere.trap ?? "")) {
          tally.apart += 1;
          continue;
        }
        tally.compared += 1;
        if (set.trap !== undefined || setThere.trap !== undefined) {
          tally.traps += 1;
          const agree = sameTrap(set.trap ?? "none", setThere.trap ?? "none");
          expect(agree, `${name}: ${set.trap} here, ${setThere.trap} there`).toBe(true);
          continue;
        }
        let apart = false;
        exports.forEach((one, number) => {
          if (one.kind !== "function" || apart) return;
          // A reference cannot be handed to wasm3.
          if ([...one.parameters, ...one.results].some((type) => type.endsWith("ref"))) {
            if (other === "wasm3") apart = true;
            if (one.parameters.some((type) => type.endsWith("ref"))) return;
          }
          if (apart) return;
          const values = one.parameters.map((type, index): Value => {
            const n = (number * 31 + index * 17 + 5) % 97;
            return type === "i64" ? BigInt(n) << 33n : type === "i32" ? n - 40 : n / 4;
          });
          const mine = own.call(one.name, values, budget);
          const theirs = there!.call(one.name, values, budget);
          tally.calls += 1;
          // wasm3 does not find every function by its name, and does not have every instruction.
          const unfound = /no function is exported|no operation found/.test(theirs.trap ?? "");
          if (ends.includes(mine.trap ?? "") || stackEnd.test(theirs.trap ?? "") || unfound) {
            apart = true;
            return;
          }
          const what = `${name} ${one.name}(${values.join(", ")})`;
          if (mine.trap !== undefined || theirs.trap !== undefined) {
            tally.traps += 1;
            const agree = sameTrap(mine.trap ?? "none", theirs.trap ?? "none");
            expect(agree, `${what}: ${mine.trap} here, ${theirs.trap} there`).toBe(true);
          } else {
            expect(plain(theirs.values, one.results), what).toEqual(
              plain(mine.values, one.results),
            );
          }
        });
        if (apart) {
          tally.apart += 1;
          continue;
        }
        const size = own.memorySize();
        if (size > 0 && exports.some((one) => one.kind === "memory")) {
          expect(there!.memorySize(), name).toBe(size);
          const same = Buffer.compare(own.read(0, size)!, there!.read(0, size)!) === 0;
          expect(same, `${name}: the memory`).toBe(true);
        }
      }
      console.log(`${other}: ${JSON.stringify(tally)}`);
      expect(tally.compared).toBeGreaterThan(count / 2);
      expect(tally.calls).toBeGreaterThan(count / 2);
      expect(tally.traps).toBeGreaterThan(count / 20);
      expect(tally.refused).toBeLessThan(other === "v8" ? 1 : count / 2);
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

describe("random modules on an emulated Cortex-M4F", () => {
  const skip = missingEngine("wasmote") ?? noMachine;
  test.skipIf(skip)(
    `burn the same fuel for the same results, and trap at the same byte${skip ? ` (skipped: ${skip})` : ""}`,
    { timeout: 600_000 },
    async () => {
      const chosen = [...modules].slice(0, Number(process.env["WASMOTE_ON_CHIP"] ?? 2000));
      const tally = { calls: 0, traps: 0, fuel: 0 };
      const batches = Array.from({ length: Math.ceil(chosen.length / 100) }, (_, index) =>
        chosen.slice(index * 100, index * 100 + 100),
      );
      for (const batch of batches) {
        const commands: MachineCommand[] = [];
        const expected: { what: string; ended: Ended; types: string[] }[] = [];
        for (const [name, module] of batch) {
          const own = instantiate(module, "wasmote", () => undefined);
          const set = own.call(undefined, [], 100_000);
          if (set.trap === "fuel") continue;
          commands.push({ do: "instantiate", name: "", module });
          expected.push({ what: name, ended: set, types: [] });
          if (set.trap !== undefined) continue;
          for (const [number, one] of inspect(module).exports.entries()) {
            if (one.kind !== "function") continue;
            const values = someValues(one.parameters, number);
            const ended = own.call(
              one.name,
              values.map(({ value }) => value),
              100_000,
            );
            // What was given up is in another state from here on.
            if (ended.trap === "fuel") break;
            commands.push({ do: "invoke", instance: "", name: one.name, values });
            expected.push({ what: `${name} ${one.name}`, ended, types: one.results });
          }
        }
        const outcomes = await executeOnChip(commands, 777);
        expect(outcomes.length).toBe(commands.length);
        outcomes.forEach(({ status, text, place, fuel, values }, index) => {
          const { what, ended, types } = expected[index]!;
          const trap = status === "ok" ? undefined : text;
          const there = {
            trap,
            fuel,
            values: plain(
              values.map(({ value }) => value),
              types,
            ),
            place: trap === undefined ? undefined : place,
          };
          const [top] = ended.backtrace;
          const here = {
            trap: ended.trap,
            fuel: ended.fuel,
            values: plain(ended.values, types),
            place: top && { offset: top.offset, function: top.function },
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
    },
  );
});
