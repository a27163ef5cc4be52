// The node's engine beside those that a user would pick instead, and beside native code, on an emulated Cortex-M4F: speed,
// flash, RAM, loading. Figures are instructions counted by QEMU, so that every machine gets the same.
import { command, engineImage, environment } from "../../host/setup.mjs";
import { readMemory, sections } from "../../host/lib/build/section.ts";
import { readImage } from "./elf.ts";
import {
  buildKernel,
  coremark,
  emulateKernels,
  kernels,
  micro,
  polybench,
  realsOf,
  withStandardPages,
  type Job,
  type Measured,
} from "./kernels.ts";
import { figure, type Cell, type Plot, type Report, type Table } from "./report.ts";

const engines = ["Wasmote", "wasmi", "wasm3"] as const;
type Engine =
  | (typeof engines)[number]
  | "native"
  | "GCC"
  | "compiled"
  | "wasmi with fuel"
  | "wasmi in a loop";

/** An image each; wasmi with fuel is wasmi's, told to count. */
const images: Record<Engine, string> = {
  native: "native",
  GCC: "gcc",
  Wasmote: "wasmote",
  compiled: "compiled",
  wasmi: "wasmi",
  wasm3: "wasm3",
  "wasmi with fuel": "wasmi",
  "wasmi in a loop": "wasmi-loop",
};

/** All that was measured of a kernel. */
interface Row extends Job {
  bytes: number;
  of: Record<Engine, Measured>;
}

const geometric = (values: number[]) =>
  Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);

/** Compiled code against the same work in C by GCC. */
const againstC = (row: Row) => row.of.compiled.run / row.of.GCC.run;
const slowdown = (row: Row, engine: Engine) => row.of[engine].run / row.of.native.run;
/** Wasmote against the faster of the others: below 1 it is ahead. */
const against = (row: Row) => row.of.Wasmote.run / Math.min(row.of.wasmi.run, row.of.wasm3.run);

export async function run(): Promise<Report> {
  if (!command("qemu-system-arm")) throw new Error("there is no qemu-system-arm: npm run build");
  if (!environment().toolchain?.ok) throw new Error("there is no Rust for the chip: npm run build");
  const rows = await measure();
  const empty = readImage(await image("none"), () => "").flash;
  const flash = async (name: string) => readImage(await image(name), () => "").flash - empty;
  const small = await flash("wasmi-small");
  const flashOf: Record<string, number> = {};
  for (const engine of engines) flashOf[engine] = await flash(images[engine]);

  const single = rows.filter(({ kernel, real }) => polybench.includes(kernel) && real === "f32");
  const double = rows.filter(({ kernel, real }) => polybench.includes(kernel) && real === "f64");
  const integer = rows.filter(({ kernel }) => coremark.includes(kernel) || micro.includes(kernel));
  return {
    name: "engine",
    title: "Engine: Wasm on a Cortex-M4F",
    method:
      "The 30 kernels of PolyBench 4.2 at MINI size (deriche at half of it; gramschmidt with its two sizes changed over), the work of " +
      "CoreMark (list, matrix, state machine, CRC) and micro-kernels, in AssemblyScript (assembly/bench) and as twins in Rust. Each " +
      "engine has an image of its own for QEMU's mps2-an386, a Cortex-M4F; `-icount` counts instructions (in steps of 40), so the figures " +
      "are the same on every machine. Timed is the kernel, not the filling of its arrays. Before anything is reported, the checksums of " +
      "all engines and of native code have to be equal, to the bit. Native: Rust at opt-level 3, no fused multiply-add. GCC: the same work in C " +
      "at -O3, without contraction, with the doubles of its own library, on the arrays of the Rust twin; square roots of doubles are Rust's in both. Wasmote: as the " +
      "node has it, fuel on, the module executed where it lies, in a region of the predicted size; compiled: the same, through the compiler and the " +
      "verifier as on a board, with 20 KiB for code. wasmi 2.0.0: opt-level 3, from one " +
      "instruction to the next by calls in tail position, as it does by itself on ARM (Rust does not promise that they leave the stack as " +
      "it is; here they do), without fuel where nothing else is said. wasm3 0.9.0 " +
      "(wasm3x 0.2.1): GCC -O3, with its own settings for microcontrollers; it has no fuel. Both translate all of a module when it is " +
      "loaded, and get it with 64 KiB pages, since they know no others.",
    notes: [...losses(single, double, integer), ...gains(rows, single, flashOf)],
    tables: [
      speed("PolyBench, f32 (which this chip computes in hardware)", single),
      speed("PolyBench, f64 (in software)", double),
      speed("CoreMark's work and micro-kernels", integer),
      engineTable(rows, single, { flashOf, small }),
      memory(rows),
      loading(rows),
    ],
    plots: [
      plot("PolyBench f32: slowdown against native", single),
      plot("CoreMark's work and micro-kernels: slowdown against native", integer),
    ],
  };
}

/** The image of an engine, built if it has to be: wasmi takes minutes. */
function image(name: string): Promise<string> {
  process.stderr.write(`building the image for ${name}\n`);
  return engineImage(name);
}

async function measure(): Promise<Row[]> {
  const jobs: Job[] = [];
  for (const kernel of kernels)
    for (const real of realsOf(kernel))
      jobs.push({ kernel, real, module: (await buildKernel(kernel, real)).module });
  const wide = jobs.map((job) => ({ ...job, module: withStandardPages(job.module) }));
  const rows: Row[] = jobs.map((job) => ({ ...job, bytes: job.module.length, of: {} as never }));
  for (const [engine, name] of Object.entries(images) as [Engine, string][]) {
    const own = ["native", "GCC", "Wasmote", "compiled"].includes(engine);
    const fuel = engine === "wasmi with fuel";
    const found = await emulateKernels(
      await image(name),
      (own ? jobs : wide).map((job) => ({ ...job, fuel })),
    );
    rows.forEach((row, index) => {
      const measured = found[index]!;
      if (measured instanceof Error) throw new Error(`${engine}: ${measured.message}`);
      row.of[engine] = measured;
    });
  }
  const wrong = rows.flatMap(({ kernel, real, of }) => [
    ...Object.entries(of)
      .filter(([, { checksum }]) => checksum !== of.native.checksum)
      .map(
        ([engine, { checksum }]) =>
          `${kernel} ${real}: ${engine} gives ${checksum}, native code ${of.native.checksum}`,
      ),
    ...(of.Wasmote.peak === of.Wasmote.predicted
      ? []
      : [`${kernel} ${real}: ${of.Wasmote.peak} bytes of RAM, ${of.Wasmote.predicted} predicted`]),
  ]);
  if (wrong.length > 0) throw new Error(wrong.join("\n"));
  return rows;
}

/** Where Wasmote loses, which is to be read first. */
function losses(single: Row[], double: Row[], integer: Row[]): string[] {
  return (
    [
      ["PolyBench f32", single],
      ["PolyBench f64", double],
      ["CoreMark's work and micro-kernels", integer],
    ] as const
  ).map(([name, rows]) => {
    const behind = rows
      .filter((row) => against(row) > 1)
      .toSorted((a, b) => against(b) - against(a));
    const mean = geometric(rows.map(against));
    const all = `geometric mean ${mean.toFixed(2)} times the faster of wasmi and wasm3`;
    if (behind.length === 0) return `${name}: Wasmote is ahead of both in every kernel (${all}).`;
    const worst = behind
      .slice(0, 5)
      .map((row) => `${row.kernel} ${against(row).toFixed(2)}`)
      .join(", ");
    return `${name}: Wasmote is behind the faster of wasmi and wasm3 in ${behind.length} of ${rows.length} kernels (times as many instructions: ${worst}${behind.length > 5 ? ", …" : ""}); ${all}.`;
  });
}

function gains(rows: Row[], single: Row[], flashOf: Record<string, number>): string[] {
  const peers = engines.filter((engine) => engine !== "Wasmote");
  const more = (of: (row: Row, engine: Engine) => number, engine: Engine) =>
    geometric(rows.map((row) => of(row, engine) / of(row, "Wasmote")));
  const beside = (row: Row, engine: Engine) => Math.max(1, ramBeside(row, engine));
  const each = (say: (engine: Engine) => string) => peers.map(say).join(", ");
  return [
    `Against wasmi with fuel, PolyBench f32 takes Wasmote ${geometric(single.map((row) => row.of.Wasmote.run / row.of["wasmi with fuel"].run)).toFixed(2)} times the instructions.`,
    `Beside the linear memory the others take more RAM (${each((engine) => `${engine} ${figure(more(beside, engine))} times`)}), more flash (${each((engine) => `${engine} ${(flashOf[engine]! / flashOf["Wasmote"]!).toFixed(1)} times`)}) and longer to load (${each((engine) => `${engine} ${more((row, one) => row.of[one].load, engine).toFixed(1)} times`)}); what they take is not known beforehand.`,
    `Compiled code takes ${(["f32", "f64"] as const).map((real) => `${figure(geometric(rows.filter((row) => polybench.includes(row.kernel) && row.real === real).map(againstC)))} times GCC's instructions in PolyBench ${real}`).join(", ")}. Its bytes are ${figure(geometric(rows.map((row) => row.of.compiled.flash / row.bytes)))} times the module's, and ${figure(geometric(rows.map((row) => row.of.compiled.flash / codeOf(row.module))))} times those of its code section. Loading takes ${figure(geometric(rows.map((row) => row.of.compiled.load / row.bytes)))} instructions for each byte of the module, of which ${figure(geometric(rows.map((row) => row.of.Wasmote.load / row.bytes)))} are not the compiler's or the verifier's.`,
    `Wasmote's RAM at its peak was what it predicted in all ${rows.length} cases: the region was painted before, and so were 256 bytes behind it.`,
  ];
}

/** A row for each kernel, and their geometric mean. */
function speed(title: string, rows: Row[]): Table {
  const mean = (of: (row: Row) => number) => geometric(rows.map(of));
  return {
    title,
    columns: [
      "kernel",
      "native",
      "compiled",
      ...engines,
      "Wasmote / faster peer",
      "GCC",
      "compiled / GCC",
    ],
    rows: [
      ...rows.map((row): Cell[] => [
        row.kernel,
        row.of.native.run,
        times(slowdown(row, "compiled")),
        ...engines.map((engine) => times(slowdown(row, engine))),
        against(row).toFixed(2),
        times(slowdown(row, "GCC")),
        againstC(row).toFixed(2),
      ]),
      [
        "geometric mean",
        Math.round(mean((row) => row.of.native.run)),
        times(mean((row) => slowdown(row, "compiled"))),
        ...engines.map((engine) => times(mean((row) => slowdown(row, engine)))),
        mean(against).toFixed(2),
        times(mean((row) => slowdown(row, "GCC"))),
        mean(againstC).toFixed(2),
      ],
    ],
  };
}

const times = (value: number) => `${figure(value)}x`;

/** RAM at the peak but for the linear memory: of the kernel's pages, or of the one 64 KiB page that holds them. */
function ramBeside({ module, of }: Row, engine: Engine): number {
  if (engine === "Wasmote") return of.Wasmote.predicted - memoryOf(module);
  return of[engine].heap - (memoryOf(module) === 0 ? 0 : 65536);
}

/** Bytes of the code section's body. */
const codeOf = (module: Uint8Array) =>
  sections(module).reduce((sum, { id, body }) => sum + (id === 10 ? body.length : 0), 0);

/** Bytes of linear memory, in the kernel's own pages. */
function memoryOf(module: Uint8Array): number {
  const memory = readMemory(module);
  return memory ? memory.minimum * 2 ** memory.pageBits : 0;
}

function engineTable(
  rows: Row[],
  single: Row[],
  { flashOf, small }: { flashOf: Record<string, number>; small: number },
): Table {
  const most = (of: (row: Row) => number) => Math.max(...rows.map(of));
  const mean = (engine: Engine) => geometric(single.map((row) => slowdown(row, engine)));
  const column = (say: (engine: (typeof engines)[number]) => Cell) => engines.map(say);
  return {
    title: "The engines",
    columns: ["what", ...engines],
    rows: [
      ["slowdown against native, PolyBench f32", ...column((engine) => times(mean(engine)))],
      ["the same with its portable dispatch, a loop", "-", times(mean("wasmi in a loop")), "-"],
      ["the same with fuel", times(mean("Wasmote")), times(mean("wasmi with fuel")), "-"],
      ["flash, bytes", ...column((engine) => flashOf[engine]!)],
      ["flash at opt-level s, bytes", "as it is", small, "-"],
      [
        "RAM beside the linear memory, most of any kernel",
        ...column((engine) => most((row) => ramBeside(row, engine))),
      ],
      ["of it predicted", "all", "-", "-"],
      ["for loading alone", most(({ of }) => of.Wasmote.scratch), "in it", "in it"],
      [
        "RAM at the peak in all, most of any kernel",
        ...column((engine) =>
          most(({ of }) => (engine === "Wasmote" ? of.Wasmote.peak : of[engine].heap)),
        ),
      ],
      ["for compiling, painted before", most(({ of }) => of.compiled.scratch), "-", "-"],
      ["the chip's stack, compiling too", most(({ of }) => of.compiled.stackLoad), "-", "-"],
      ["the chip's stack, loading", ...column((engine) => most(({ of }) => of[engine].stackLoad))],
      ["the chip's stack, running", ...column((engine) => most(({ of }) => of[engine].stack))],
      [
        "instructions to load, geometric mean",
        ...column((engine) => Math.round(geometric(rows.map(({ of }) => of[engine].load)))),
      ],
      ["smallest page of memory", "1 byte (16 KiB here)", "64 KiB", "64 KiB"],
      ["runs the module where it lies", "yes", "no", "no"],
    ],
  };
}

function memory(rows: Row[]): Table {
  return {
    title: "Bytes: module and RAM",
    columns: [
      "kernel",
      "numbers",
      "module",
      "table in flash",
      "compiled",
      "linear memory",
      "Wasmote predicted",
      "Wasmote peak",
      "wasmi peak, less its memory",
      "wasm3 peak, less its memory",
    ],
    rows: rows.map((row) => [
      row.kernel,
      numbers(row),
      row.bytes,
      row.of.Wasmote.flash,
      row.of.compiled.flash,
      memoryOf(row.module),
      row.of.Wasmote.predicted,
      row.of.Wasmote.peak,
      ramBeside(row, "wasmi"),
      ramBeside(row, "wasm3"),
    ]),
  };
}

function loading(rows: Row[]): Table {
  return {
    title: "Instructions to load: validate, translate, instantiate",
    columns: ["kernel", "numbers", "compiled", ...engines],
    rows: rows.map((row) => [
      row.kernel,
      numbers(row),
      row.of.compiled.load,
      ...engines.map((engine) => row.of[engine].load),
    ]),
  };
}

const numbers = ({ kernel, real }: Row) => (realsOf(kernel).length === 1 ? "integers" : real);

function plot(title: string, rows: Row[]): Plot {
  return {
    title,
    unit: "times as many instructions; less is better",
    labels: ["geometric mean", ...rows.map(({ kernel }) => kernel)],
    emphasised: ["geometric mean"],
    series: engines.map((engine) => {
      const values = rows.map((row) => slowdown(row, engine));
      return { name: engine, values: [geometric(values), ...values] };
    }),
  };
}
