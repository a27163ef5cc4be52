// Ten thousand single bits of compiled code change, on the emulated Cortex-M4F. The verifier refuses the code, or it runs without privileges
// and under the chip's MPU, which lets it use its stack, the instance's own memory, and nothing else. What reaches for more is stopped and
// counted: it is what the verifier does not see. Afterwards code that was not changed comes to the same as before.
import { expect, test } from "vitest";
import { buildKernel, realsOf, type Real } from "../bench/kernels.ts";
import { executeOnChip, noMachine, type MachineCommand } from "../harness/machine.ts";

const kernels: [string, Real][] = [
  ["fib", "f32"],
  ["sieve", "f32"],
  ["crc", "f32"],
  ["dispatch", "f32"],
  ["list", "f32"],
  ["state", "f32"],
  ["jacobi-1d", "f32"],
  ["trisolv", "f32"],
  ["trisolv", "f64"],
  ["durbin", "f64"],
];
const each = Number(process.env["WASMOTE_FLIPS"] ?? 10_000) / kernels.length;

test.skipIf(noMachine)(
  `a bit of compiled code that changes is refused, or confined${noMachine && ` (skipped: ${noMachine})`}`,
  async () => {
    const commands: MachineCommand[] = [];
    for (const [index, [kernel, real]] of kernels.entries()) {
      expect(realsOf(kernel)).toContain(real);
      const { module } = await buildKernel(kernel, real);
      const exports = ["setup", "run", "checksum"];
      commands.push({ do: "flip", module, exports, seed: 0x9e37 + index * 2, count: each });
    }
    const outcomes = await executeOnChip(commands, 1, "compiled", 550_000);
    const told = outcomes.map(({ status, text }, index) => [
      kernels[index]!.join(" "),
      status,
      text,
    ]);
    expect(told).toEqual(kernels.map((kernel) => [kernel.join(" "), "ok", ""]));
    const all = [0, 0, 0, 0, 0];
    for (const { values } of outcomes)
      values.forEach(({ value }, place) => (all[place]! += Number(value)));
    const [refused, well, stopped, unknown, endless] = all as [
      number,
      number,
      number,
      number,
      number,
    ];
    expect(refused + well + stopped + unknown + endless).toBe(each * kernels.length);
    expect(refused).toBeGreaterThan(each * 2);
    expect(well).toBeGreaterThan(each);
    // What the verifier does not see: four reached for more, four had no end, and two were no instruction, of ten thousand.
    expect(stopped + unknown + endless).toBeLessThan(Math.max(3, each / 50));
  },
  600_000,
);
