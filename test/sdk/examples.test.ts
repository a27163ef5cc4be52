// Every example gives the same outputs and burns the same fuel on this computer and on an emulated Cortex-M4F, call by call:
// the river's winter and made-up courses of other sensors, in the node's engine as an addon and as firmware.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import binaryen from "binaryen";
import { readRiver } from "../../host/demo/river.ts";
import { build } from "../../host/lib/build/build.ts";
import { importModule, imports } from "../../host/lib/contract.ts";
import { inspect } from "../../host/lib/engine.ts";
import { readFacts } from "../../host/lib/build/section.ts";
import { Simulation, type Sample } from "../../host/lib/simulate.ts";
import { root } from "../../host/setup.mjs";
import {
  executeOnChip,
  f32,
  i32,
  noMachine,
  type MachineCommand,
  type Typed,
} from "../harness/machine.ts";

const examples = readdirSync(join(root, "assembly/examples")).filter((name) =>
  name.endsWith(".ts"),
);

const samples: Sample[] = readRiver().flatMap(({ level, rain }, day) => {
  const at = day * 1000;
  return [
    { at, sensor: "level", value: level },
    { at, sensor: "rain", value: rain },
    { at, sensor: "temperature", value: 20 + 15 * Math.sin(day / 3) },
    { at, sensor: "az", value: 9.81 + 3 * Math.sin(day * 2.2) },
  ];
});

/**
 * The node's side of the imports, as a module: reads what was set before, and keeps what it is told, three words each, from
 * byte 1024 on.
 */
const names = Object.fromEntries(Object.entries(imports).map(([name, { link }]) => [name, link]));
const node = binaryen
  .parseText(
    `(module
      (memory 4)
      (global $told (mut i32) (i32.const 0))
      (global $now (mut i32) (i32.const 0))
      (func $tell (param $kind i32) (param $a i32) (param $b i32)
        (local $at i32)
        (local.set $at (i32.add (i32.const 1024) (i32.mul (global.get $told) (i32.const 12))))
        (i32.store (local.get $at) (local.get $kind))
        (i32.store offset=4 (local.get $at) (local.get $a))
        (i32.store offset=8 (local.get $at) (local.get $b))
        (global.set $told (i32.add (global.get $told) (i32.const 1))))
      (func (export "${names["read"]}") (param i32) (result f32)
        (f32.load (i32.shl (local.get 0) (i32.const 2))))
      (func (export "${names["parameter"]}") (param i32) (result f32)
        (f32.load offset=256 (i32.shl (local.get 0) (i32.const 2))))
      (func (export "${names["now"]}") (result i32) (global.get $now))
      (func (export "${names["unix"]}") (result i64) (i64.const 0))
      (func (export "${names["publish"]}") (param i32 f32)
        (call $tell (i32.const 1) (local.get 0) (i32.reinterpret_f32 (local.get 1))))
      (func (export "${names["log"]}") (param i32 i32)
        (call $tell (i32.const 2) (local.get 0) (local.get 1)))
      (func (export "${names["gpio"]}") (param i32 i32)
        (call $tell (i32.const 3) (local.get 0) (local.get 1)))
      (func (export "${names["reply"]}") (param i32 i32 i32)
        (call $tell (i32.const 4) (local.get 0) (local.get 2)))
      (func (export "sensor") (param i32 f32)
        (f32.store (i32.shl (local.get 0) (i32.const 2)) (local.get 1)))
      (func (export "setting") (param i32 f32)
        (f32.store offset=256 (i32.shl (local.get 0) (i32.const 2)) (local.get 1)))
      (func (export "time") (param i32) (global.set $now (local.get 0)))
      (func (export "told") (result i32) (global.get $told))
      (func (export "word") (param i32) (result i32)
        (i32.load offset=1024 (i32.shl (local.get 0) (i32.const 2)))))`,
  )
  .emitBinary();

const number = (bits: number) => new Float32Array(new Int32Array([bits]).buffer)[0];

test.skipIf(noMachine)(
  `every example gives the same outputs for the same fuel here and on the chip${noMachine ? ` (skipped: ${noMachine})` : ""}`,
  { timeout: 600_000 },
  async () => {
    expect(examples.length).toBeGreaterThan(5);
    await Promise.all(
      examples.map(async (name) => {
        const { module } = await build(join(root, "assembly/examples", name));
        const facts = readFacts(module);
        const here = new Simulation(module);

        const commands: MachineCommand[] = [
          { do: "instantiate", name: "node", module: node },
          { do: "register", name: importModule, instance: "node" },
        ];
        const set = (name: string, values: Typed[]) =>
          commands.push({ do: "invoke", instance: "node", name, values });
        // Which outcomes are runs of the module; what sets it up and `start` are one run.
        const runs: number[][] = [];
        const run = (name: string, values: Typed[] = []) => {
          runs.push([commands.length]);
          commands.push({ do: "invoke", instance: "module", name, values });
        };
        const has = new Set(inspect(module).exports.map((one) => one.name));
        facts.sensors.forEach((_, index) => set("sensor", [i32(index), f32(NaN)]));
        facts.parameters.forEach(({ initial }, index) =>
          set("setting", [i32(index), f32(initial)]),
        );
        commands.push({ do: "instantiate", name: "module", module });
        runs.push([commands.length - 1]);
        if (has.has("start")) {
          runs[0]!.push(commands.length);
          commands.push({ do: "invoke", instance: "module", name: "start", values: [] });
        }
        let next = facts.tick > 0 && has.has("tick") ? facts.tick : Infinity;
        const until = (at: number) => {
          for (; next <= at; next += facts.tick) {
            set("time", [i32(next)]);
            run("tick");
          }
          set("time", [i32(at)]);
        };
        for (const sample of samples) {
          here.sample(sample);
          until(sample.at);
          const index = facts.sensors.indexOf(sample.sensor);
          if (index < 0) continue;
          set("sensor", [i32(index), f32(sample.value)]);
          if (has.has("sample")) run("sample", [i32(index), f32(sample.value)]);
        }
        if (has.has("request")) {
          const end = samples.at(-1)!.at;
          here.request(end, 1, "");
          until(end);
          run("request", [i32(1), i32(0), i32(0)]);
        }
        expect(here.trapped, name).toBe(false);
        const told = here.happenings.length;
        set("told", []);
        for (let word = 0; word < told * 3; word++) set("word", [i32(word)]);

        const outcomes = await executeOnChip(commands, 1000);
        expect(outcomes.filter(({ status }) => status !== "ok").slice(0, 3)).toEqual([]);
        expect(outcomes.length).toBe(commands.length);
        const fuel = runs.map((parts) =>
          parts.reduce((sum, index) => sum + outcomes[index]!.fuel, 0),
        );
        // The engine alone counts here: what host calls cost is the node's to charge (test/engine/host-calls.test.ts).
        expect(fuel, name).toEqual(here.fuel.map((all, run) => all - here.hostFuel[run]!));
        expect(fuel.length, name).toBeGreaterThan(1);

        const words = outcomes.slice(-told * 3).map(({ values }) => Number(values[0]!.value));
        expect(outcomes.at(-told * 3 - 1)!.values, name).toEqual([i32(told)]);
        expect(told, name).toBeGreaterThan(0);
        here.happenings.forEach((one, index) => {
          const [kind, a = 0, b = 0] = words.slice(index * 3, index * 3 + 3);
          const there =
            kind === 1
              ? { kind: "output", name: facts.outputs[a]?.name, value: number(b) }
              : kind === 2
                ? { kind: "log", length: b }
                : kind === 3
                  ? { kind: "gpio", pin: a, level: b === 0 ? 0 : 1 }
                  : { kind: "reply", length: b };
          const { at: _, ...mine } = one;
          const size = "text" in mine ? Buffer.byteLength(mine.text) : 0;
          expect(there, `${name} ${index}`).toEqual(
            mine.kind === "log" || mine.kind === "reply" ? { kind: mine.kind, length: size } : mine,
          );
        });
      }),
    );
  },
);
