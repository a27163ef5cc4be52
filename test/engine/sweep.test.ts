// Where fuel ends in the benchmark's kernels, compiled and interpreted on the emulated Cortex-M4F: what is left is the same to the
// bit: memory, globals, results, fuel, calls that are active. Every unit of fuel is tried while setup, run and checksum begin,
// and then by half more each time. WASMOTE_FUEL is up to where every unit is tried, WASMOTE_FUEL_MOST how far it goes: with
// `WASMOTE_FUEL=20000 WASMOTE_FUEL_MOST=1000000000 npx vitest run test/engine/sweep.test.ts` to the end of every kernel (hours).
import { availableParallelism } from "node:os";
import { expect, test } from "vitest";
import { buildKernel, kernels, realsOf } from "../bench/kernels.ts";
import { executeOnChip, noMachine, type MachineCommand, type Outcome } from "../harness/machine.ts";

const every = Number(process.env["WASMOTE_FUEL"] ?? 24);
const most = Number(process.env["WASMOTE_FUEL_MOST"] ?? 30_000);
/** Hours only where they are asked for; the emulator ends before the test does. */
const long = most > 100_000 || every > 1000;
const exports = ["setup", "run", "checksum"];

/** One tier after the other where there is one processor, and both at once where there are more. */
async function both(commands: MachineCommand[]): Promise<[Outcome[], Outcome[]]> {
  const run = (tier: "interpreted" | "compiled") =>
    executeOnChip(commands, 1, tier, long ? 0 : 550_000);
  const first = run("interpreted");
  if (availableParallelism() < 2) await first;
  return Promise.all([first, run("compiled")]);
}

test.skipIf(noMachine)(
  `fuel that ends anywhere in a kernel leaves the same compiled as interpreted${noMachine && ` (skipped: ${noMachine})`}`,
  async () => {
    const names: string[] = [];
    const commands: MachineCommand[] = [];
    for (const kernel of kernels)
      for (const real of realsOf(kernel)) {
        const { module } = await buildKernel(kernel, real);
        names.push(`${kernel} ${real}`);
        commands.push({ do: "sweep", module, exports, every, most });
      }
    const [interpreted, compiled] = await both(commands);
    expect(compiled.map(({ status, text }) => [status, text])).toEqual(
      names.map(() => ["ok", "compiled"]),
    );
    let [well, out] = [0, 0];
    for (const [index, name] of names.entries()) {
      const digests = ({ values }: Outcome) => values.map(({ value }) => String(value));
      const here = digests(interpreted[index]!);
      expect(digests(compiled[index]!), name).toEqual(here);
      // Each of three exports with no fuel, and with every unit that is tried; and the runs of all of them.
      const counts = here.slice(-3).map(Number);
      expect(counts.reduce((a, b) => a + b)).toBeGreaterThan(3 * (every + 1) + 5);
      expect(counts[1], `${name} traps`).toBe(0);
      well += counts[0]!;
      out += counts[2]!;
      expect(new Set(here.slice(0, -3)).size, name).toBe(here.length - 3);
    }
    expect(names.length).toBe(67);
    expect(well).toBeGreaterThan(20);
    expect(out).toBeGreaterThan(67 * 3 * 20);
  },
  long ? 1 << 30 : 600_000,
);
