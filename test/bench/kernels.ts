// The kernels of assembly/bench, the modules they become, and the image for the emulated Cortex-M4F that runs them.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "../../host/setup.mjs";
import { build } from "../../host/lib/build/build.ts";
import {
  joinSections,
  memoryBody,
  memorySection,
  readMemory,
  sections,
} from "../../host/lib/build/section.ts";

export const polybench = (
  "2mm 3mm adi atax bicg cholesky correlation covariance deriche doitgen durbin fdtd-2d floyd-warshall gemm gemver " +
  "gesummv gramschmidt heat-3d jacobi-1d jacobi-2d lu ludcmp mvt nussinov seidel-2d symm syr2k syrk trisolv trmm"
).split(" ");
/** The workloads of CoreMark. */
export const coremark = ["list", "matrix", "state", "crc"];
/** Calls, branches, bytes. */
export const micro = ["fib", "tak", "ackermann", "dispatch", "sieve"];
export const kernels = [...polybench, ...coremark, ...micro];

/** The numbers a kernel computes with. Kernels of integers alone are the same with both. */
export type Real = "f32" | "f64";
const integers = new Set(["floyd-warshall", "nussinov", ...coremark, ...micro]);
export const realsOf = (kernel: string): Real[] =>
  integers.has(kernel) ? ["f32"] : ["f32", "f64"];

export const sourceOf = (kernel: string) => join(root, "assembly/bench", `${kernel}.ts`);

export function buildKernel(kernel: string, real: Real) {
  return build(sourceOf(kernel), { plain: true, use: [`Real=${real}`] });
}

/** The same module with 64 KiB pages, for engines that know no others: as many as hold what it asks for. */
export function withStandardPages(module: Uint8Array): Uint8Array {
  const memory = readMemory(module);
  if (!memory) return module;
  const pages = Math.ceil((memory.minimum * 2 ** memory.pageBits) / 65536);
  const body = memoryBody({ minimum: pages, maximum: pages, pageBits: 16 });
  return joinSections(
    sections(module)
      .filter(({ id }) => id !== 0)
      .map((section) => (section.id === memorySection ? { id: memorySection, body } : section)),
  );
}

export interface Job {
  kernel: string;
  real: Real;
  module: Uint8Array;
  /** Whether an engine that can do without is to count fuel. */
  fuel?: boolean;
}

/** What the image measured of one kernel; see `Measured` in test/bench/engine/src/main.rs. Times are in instructions. */
export interface Measured {
  checksum: number;
  load: number;
  setup: number;
  run: number;
  heapLoad: number;
  heap: number;
  stackLoad: number;
  stack: number;
  predicted: number;
  peak: number;
  flash: number;
  scratch: number;
  fuel: number;
}

/** Instructions for each tick of the emulated board's 25 MHz clock, when an instruction takes 1 ns. */
const perTick = 40;

/** Runs kernels in an image on the emulated board: what was measured of each, or why it failed. */
export async function emulateKernels(image: string, jobs: Job[]): Promise<(Measured | Error)[]> {
  const folder = mkdtempSync(join(tmpdir(), "wasmote-bench-"));
  const word = (value: number) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value);
    return bytes;
  };
  const padded = (bytes: Uint8Array) =>
    Buffer.concat([word(bytes.length), bytes, Buffer.alloc(-bytes.length & 3)]);
  const script = jobs.flatMap(({ kernel, real, module, fuel }) => [
    padded(Buffer.from(kernel)),
    padded(Buffer.of(Number(real === "f64"), Number(fuel === true))),
    padded(module),
  ]);
  writeFileSync(join(folder, "script"), Buffer.concat(script));
  const words =
    "-M mps2-an386 -icount shift=0 -display none -monitor none -serial none -semihosting-config enable=on,target=native";
  const child = spawn("qemu-system-arm", [...words.split(" "), "-kernel", image], {
    cwd: folder,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const end = () => child.kill("SIGKILL");
  process.once("exit", end);
  let said = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (text: Buffer) => (said += text.toString()));
  const [code] = (await once(child, "close")) as [number | null];
  process.off("exit", end);
  const file = join(folder, "answer");
  const answer = existsSync(file) ? readFileSync(file) : Buffer.alloc(0);
  rmSync(folder, { recursive: true, force: true });
  const length = 14 * 4;
  return jobs.map(({ kernel }, index) => {
    const why = said.split("\n").find((line) => line.startsWith(`${kernel}: `));
    if (answer.length < (index + 1) * length)
      return new Error(`${kernel}: the emulation ended with ${code}: ${said.trim()}`);
    const at = (number: number) => answer.readUInt32LE(index * length + number * 4);
    if (at(0) !== 0) return new Error(why ?? `${kernel}: it failed without a reason`);
    return {
      checksum: at(1) | 0,
      load: at(2) * perTick,
      setup: at(3) * perTick,
      run: at(4) * perTick,
      heapLoad: at(5),
      heap: at(6),
      stackLoad: at(7),
      stack: at(8),
      predicted: at(9),
      peak: at(10),
      flash: at(11),
      scratch: at(12),
      fuel: at(13),
    };
  });
}
