// The benchmark kernels: the same checksum from the module in every engine here, on the emulated chip, and from the twin in
// Rust (test/bench/engine/tests); the same fuel here and there; and no byte more than is written down.
//
// test/golden/kernels.txt has a line for each: kernel, numbers, checksum, bytes of the module.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, expect, test } from "vitest";
import { build } from "../../host/lib/build/build.ts";
import { command, root } from "../../host/setup.mjs";
import { engineNames, inspect, instantiate, missingEngine } from "../../host/lib/engine.ts";
import {
  buildKernel,
  emulateKernels,
  kernels,
  realsOf,
  withStandardPages,
  type Job,
  type Real,
} from "../bench/kernels.ts";
import { executeOnChip, i32, noMachine, type MachineCommand } from "../harness/machine.ts";

const golden = readFileSync(new URL("../golden/kernels.txt", import.meta.url), "utf8")
  .split("\n")
  .filter((line) => line !== "" && !line.startsWith("#"))
  .map((line) => line.split(/\s+/))
  .map(([kernel, real, ...numbers]) => ({
    kernel: kernel!,
    real: real as Real,
    checksum: Number(numbers[0]),
    bytes: Number(numbers[1]),
  }));

/** The fewest instructions of wasmi and wasm3 for a kernel, as the benchmark `engine` measured them last. */
const peers = new Map<string, number>();
const report = readFileSync(join(root, "docs/benchmarks/engine.md"), "utf8");
for (const section of report.split(/^## /m)) {
  // Kernel, native, compiled, Wasmote, wasmi, wasm3.
  const rows = section.matchAll(
    /^\| (\S+) +\| +([\d,]+) \| [\d.]+x +\| [\d.]+x +\| ([\d.]+)x +\| ([\d.]+)x/gm,
  );
  for (const [, kernel, native, wasmi, wasm3] of rows)
    peers.set(
      `${kernel} ${section.startsWith("PolyBench, f64") ? "f64" : "f32"}`,
      Number(native!.replaceAll(",", "")) * Math.min(Number(wasmi), Number(wasm3)),
    );
}

const jobs: Job[] = [];
for (const { kernel, real } of golden)
  jobs.push({ kernel, real, module: (await buildKernel(kernel, real)).module });

/** Checksum and fuel of a kernel in an engine here. */
function run(engine: (typeof engineNames)[number], module: Uint8Array) {
  const fit = engine === "wasmote" ? module : withStandardPages(module);
  const instance = instantiate(fit, engine, () => undefined);
  const plenty = 2 ** 40;
  instance.call(undefined, [], plenty);
  instance.call("setup", [], plenty);
  const { fuel, trap } = instance.call("run", [], plenty);
  return { fuel, trap, checksum: instance.call("checksum", [], plenty).values[0] };
}

describe("the benchmark kernels", () => {
  test("are all written down", () => {
    const all = kernels.flatMap((kernel) => realsOf(kernel).map((real) => `${kernel} ${real}`));
    expect(golden.map(({ kernel, real }) => `${kernel} ${real}`)).toEqual(all);
  });

  test("are all that is in assembly/bench, but for what they have in common and the filters", () => {
    const files = readdirSync(join(root, "assembly/bench")).map((file) => basename(file, ".ts"));
    const others = ["array", "definite", "filters"];
    expect(files.toSorted()).toEqual([...kernels, ...others].toSorted());
  });

  test.skipIf(noMachine)(
    `come to the same for the same fuel on the emulated Cortex-M4F, the filters of \`compare\`${noMachine && ` (skipped: ${noMachine})`}`,
    async () => {
      const { module } = await build(join(root, "assembly/bench/filters.ts"), { plain: true });
      const instance = instantiate(module, "wasmote", () => undefined);
      const here = [instance.call(undefined, [], 1e9)];
      const commands: MachineCommand[] = [{ do: "instantiate", name: "", module }];
      for (const which of [0, 1, 2]) {
        const values = [i32(which), i32(3000)];
        here.push(
          instance.call(
            "run",
            values.map(({ value }) => value),
            1e9,
          ),
        );
        commands.push({ do: "invoke", instance: "", name: "run", values });
      }
      const there = await executeOnChip(commands, 1000);
      const facts = there.map(({ status, fuel, values }) => [
        status,
        fuel,
        values.map(({ value }) => value),
      ]);
      expect(facts).toEqual(here.map(({ fuel, values }) => ["ok", fuel, values]));
      expect(new Set(here.map(({ fuel }) => fuel)).size).toBe(4);
    },
    300_000,
  );

  test("are as large as is written down, with at most two pages", () => {
    const found = jobs.map(({ kernel, real, module }) => {
      const { footprint } = inspect(module);
      expect(footprint.memory, kernel).toBeLessThanOrEqual(2 * 16_384);
      return { kernel, real, bytes: module.length };
    });
    expect(found).toEqual(golden.map(({ kernel, real, bytes }) => ({ kernel, real, bytes })));
  });

  for (const engine of engineNames) {
    const reason = missingEngine(engine);
    test.skipIf(reason)(
      `give their checksums in ${engine}${reason ? ` (skipped: ${reason})` : ""}`,
      () => {
        golden.forEach(({ kernel, real, checksum }, index) => {
          const found = run(engine, jobs[index]!.module);
          expect([found.trap, found.checksum], `${kernel} with ${real}`).toEqual([
            undefined,
            checksum,
          ]);
        });
      },
      120_000,
    );
  }

  const image = join(root, "dist/bench-wasmote.elf");
  const reason = !existsSync(image)
    ? "dist/bench-wasmote.elf has not been built"
    : command("qemu-system-arm")
      ? ""
      : "there is no qemu-system-arm";
  test.skipIf(reason)(
    `give the same checksums for the same fuel on the emulated Cortex-M4F, in the RAM that was predicted, with fewer instructions than wasmi and wasm3${reason && ` (skipped: ${reason})`}`,
    async () => {
      const measured = await emulateKernels(image, jobs);
      golden.forEach(({ kernel, real, checksum }, index) => {
        const found = measured[index]!;
        if (found instanceof Error) throw found;
        const { module } = jobs[index]!;
        const { fuel } = run("wasmote", module);
        const { total } = inspect(module).footprint;
        expect(found, `${kernel} with ${real}`).toMatchObject({
          checksum,
          fuel,
          predicted: total,
          peak: total,
        });
        expect(found.run, `${kernel} with ${real}`).toBeLessThan(peers.get(`${kernel} ${real}`)!);
      });
    },
    300_000,
  );
});
