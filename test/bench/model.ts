// The network of 3, 32, 16 and 1 units: bytes, RAM and instructions on the emulated Cortex-M4F beside plain C, and hosted instances.
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { crossCompiler, root } from "../../host/setup.mjs";
import { Hosted } from "../../host/gateway/hosted.ts";
import { emulate, type Emulated } from "../../host/lib/emulate.ts";
import { inspect } from "../../host/lib/engine.ts";
import { generateKey, makeFlash } from "../../host/lib/package.ts";
import {
  arithmetics,
  buildFilter,
  compileModel,
  costOf,
  loadModel,
  type Model,
} from "../../host/model/model.ts";
import { pythonWith } from "../../host/model/runtime.ts";
import { countInstructions } from "../harness/machine.ts";
import { scratch } from "../harness/target.ts";
import { chip, emulateImage, link } from "./compare.ts";
import { asked, askedColumns } from "./gateway/deciders.ts";
import type { Cell, Report } from "./report.ts";

const file = join(root, "examples/flood/flow.onnx");
const inputs = [9.3, 21.9, 116.4];
/** Where the C around a program is. */
const harness = join(root, "test/bench/compare");

/** A run in each arithmetic, and in C. */
export async function oneRun(): Promise<{ rows: Cell[][]; notes: string[] }> {
  const rows: Cell[][] = [];
  const notes: string[] = [];
  const bytes = readFileSync(file);
  for (const arithmetic of arithmetics) {
    const model = compileModel(bytes, { arithmetic, name: "flow" });
    const cost = costOf(model, await buildFilter(model));
    const { module, run: compute } = await loadModel(model);
    const { fuel } = compute(inputs);
    const instructions = await countInstructions(module, inputs);
    rows.push([`Wasmote, ${arithmetic}`, cost.package, cost.ram, fuel, instructions]);
    if (instructions > 300_000)
      throw new Error(`${arithmetic}: ${instructions} instructions, and 300,000 are the most`);
  }
  const model = compileModel(bytes, { name: "flow" });
  for (const [name, written] of [
    ["plain C, arm-none-eabi-gcc -O3, f32", plainC(model)],
    ["emlearn 0.23.2 (PyPI), the same compiler, f32", emlearnC(model)],
  ] as const) {
    const native = typeof written === "string" ? written : await inC(model, written);
    if (typeof native === "string") notes.push(`${name.split(",")[0]} is missing: ${native}.`);
    else rows.push([name, native.bytes, native.ram, "-", native.instructions]);
  }
  return { rows, notes };
}

export async function run(): Promise<Report> {
  const { rows, notes } = await oneRun();
  return {
    name: "model",
    title: "A neural network on the chip and at the gateway",
    method:
      "The network examples/flood/flow.onnx (3-32-16-1, 673 parameters, scaling inside). Bytes: the signed package of a filter that is nothing but the " +
      "network; of C, code and constants of the object, and its stack and variables. Instructions: of one run on the emulated mps2-an386 by -icount, in the interpreter " +
      "(the difference between many runs and few) and in C (a thousandth of a thousand). Hosted instances: resident memory and time of this process for each, beside its linear memory.",
    notes: [
      ...notes,
      "The prototype's network ran at the edge only: 888 ms in the mean with 64 callers, about 35 ms with one (its paper).",
    ],
    tables: [
      {
        title: "One run",
        columns: ["", "package, bytes", "RAM, bytes", "fuel", "instructions"],
        rows,
      },
      {
        title: "Hosted instances",
        columns: [
          "instances",
          "start, ms each",
          "memory, KiB each beside its own",
          "decision, ms at the median of 64",
        ],
        rows: await hosted(),
      },
      {
        title: "The same as processes: a node of this computer each, before it has a package",
        columns: ["processes", "start, ms each", "memory, KiB each"],
        rows: await processes(),
      },
      {
        title: "Decisions asked of a gateway over HTTP, of a package that it was handed",
        columns: askedColumns,
        rows: await asked(),
      },
    ],
    plots: [],
  } as Report;
}

/** A source in C with `float run(const float *)`, and folders that it includes from. */
interface InC {
  text: string;
  includes?: readonly string[];
}

const list = (values: ArrayLike<number>) =>
  Array.from(values, (one) => `${Math.fround(one).toExponential(9)}f`).join(",");

/** What emlearn makes of its layers, for the C that it comes with; a reason where there is no Python that has it. */
function emlearnC(model: Model): InC | string {
  const python = pythonWith("emlearn");
  if (python === undefined) return "pip install emlearn, and name its Python: WASMOTE_PYTHON";
  const dense = model.plan.steps.flatMap((step) => (step.do === "dense" ? [step] : []));
  const scales = model.plan.steps.flatMap((step) =>
    (step.do === "divide" || step.do === "multiply") && "constant" in step.b
      ? [Array.from(step.b.constant)]
      : [],
  );
  const script = `
import json, sys, os, numpy, emlearn
from emlearn.net import c_generate_net_loadable
layers = json.load(sys.stdin)
weights = [numpy.array(l["weights"]).reshape(l["outputs"], l["inputs"]).T for l in layers]
code = c_generate_net_loadable(["relu" if l["relu"] else "identity" for l in layers], weights, [numpy.array(l["bias"]) for l in layers], prefix="net")
json.dump({"code": code, "folder": os.path.dirname(emlearn.__file__)}, sys.stdout)`;
  const input = JSON.stringify(
    dense.map(({ inputs: i, outputs: o, weights, bias = [], relu }) => ({
      inputs: i,
      outputs: o,
      weights: Array.from(weights),
      bias: Array.from(bias),
      relu: relu ?? false,
    })),
  );
  const said = execFileSync(python, ["-c", script], { input, encoding: "utf8" });
  const { code, folder } = JSON.parse(said) as { code: string; folder: string };
  const [before = [], after = []] = scales;
  return {
    text: `${code}
static const float before[] = {${list(before)}}, after[] = {${list(after)}};
float run(const float *v0) {
  float v[${before.length}];
  for (int i = 0; i < ${before.length}; i++) v[i] = v0[i] / before[i];
  return eml_net_regress1(&net, v, ${before.length}) * after[0];
}
`,
    includes: [folder],
  };
}

/** The same network in C, written by hand. */
function plainC(model: Model): InC {
  const data: string[] = [];
  const code: string[] = [];
  for (const step of model.plan.steps) {
    const { to } = step;
    if (step.do === "dense" && "value" in step.from) {
      const { inputs: i, outputs: o, weights, bias = [], relu } = step;
      const from = step.from.value;
      data.push(`static const float w${to}[] = {${list(weights)}}, b${to}[] = {${list(bias)}};`);
      code.push(
        `float v${to}[${o}]; for (int o = 0; o < ${o}; o++) { float s = 0; for (int i = 0; i < ${i}; i++) s += w${to}[o * ${i} + i] * v${from}[i]; s += b${to}[o]; v${to}[o] = ${relu ? "s > 0 ? s : 0" : "s"}; }`,
      );
    } else if (
      (step.do === "divide" || step.do === "multiply") &&
      "value" in step.a &&
      "constant" in step.b
    ) {
      const { constant } = step.b;
      const sign = step.do === "divide" ? "/" : "*";
      data.push(`static const float b${to}[] = {${list(constant)}};`);
      code.push(
        `float v${to}[${constant.length}]; for (int i = 0; i < ${constant.length}; i++) v${to}[i] = v${step.a.value}[i] ${sign} b${to}[i];`,
      );
    } else throw new Error(`${step.do} has no C here`);
  }
  const last = model.plan.steps.at(-1)!.to;
  return {
    text: `${data.join("\n")}\nfloat run(const float *v0) {\n${code.join("\n")}\nreturn v${last}[0];\n}\n`,
  };
}

/** Bytes of code and constants of a network in C, of stack at its deepest, and instructions of a run. */
async function inC(
  model: Model,
  { text, includes = [] }: InC,
): Promise<{ bytes: number; ram: number; instructions: number } | string> {
  const found = (await crossCompiler()) as { ok: boolean; what: string };
  if (!found.ok) return found.what;
  using folder = scratch();
  writeFileSync(join(folder.path, "net.c"), text);
  const compile = (name: string) =>
    execFileSync(
      found.what,
      [
        ...chip,
        "-O3",
        "-w",
        ...[harness, ...includes].flatMap((one) => ["-I", one]),
        "-c",
        name,
        "-o",
        name.replace(/.*\/|c$/g, "") + "o",
      ],
      { cwd: folder.path },
    );
  compile("net.c");
  const size = execFileSync(found.what.replace(/gcc$/, "size"), ["net.o"], {
    cwd: folder.path,
    encoding: "utf8",
  });
  // As `compare` runs its programs; here a run of n is n decisions, of inputs that the compiler does not know.
  writeFileSync(
    join(folder.path, "glue.c"),
    `#include "harness.h"
     extern float run(const float *);
     static volatile float given[] = {${list(inputs)}};
     int engine_load(const char *program, size_t length) { return 0; }
     size_t engine_compiled(void) { return 0; }
     long engine_run(int which, int n) {
       float last = 0;
       while (n--) { float v[] = {given[0], given[1], given[2]}; last = run(v); }
       return (long)(last * 1000);
     }`,
  );
  compile("glue.c");
  compile(join(harness, "harness.c"));
  const elf = join(folder.path, "image.elf");
  execFileSync(found.what, [...link, "net.o", "glue.o", "harness.o", "-lm", "-o", elf], {
    cwd: folder.path,
  });
  writeFileSync(join(folder.path, "program"), "");
  const { result, instructions, stack } = (await emulateImage(elf)).runs[0]!;
  const { run: compute } = await loadModel(model);
  const ours = compute(inputs).outputs[0]!;
  if (Math.abs(result / 1000 - ours) > Math.abs(ours) * 1e-4 + 0.001)
    throw new Error(`C decides ${result / 1000}, and the module ${ours}`);
  // Variables with a beginning are in flash and in RAM.
  const [code = 0, variables = 0, zeroed = 0] = size
    .split("\n")[1]!
    .trim()
    .split(/\s+/)
    .map(Number);
  return {
    bytes: code + variables,
    ram: stack + variables + zeroed,
    instructions: Math.round(instructions / 1000),
  };
}

/** Proportional set size: what several share is divided among them. */
export function memoryOf(folder: string): number {
  let sum = 0;
  for (const one of readdirSync("/proc").filter((name) => /^\d+$/.test(name)))
    try {
      if (!readFileSync(`/proc/${one}/cmdline`, "latin1").includes(folder)) continue;
      const text = readFileSync(`/proc/${one}/smaps_rollup`, "utf8");
      sum += Number(/^Pss: +(\d+) kB/m.exec(text)?.[1] ?? 0);
    } catch {
      // It has ended in the meantime.
    }
  return sum;
}

/** Flash files of so many nodes, in a folder. */
export function flashFiles(folder: string, count: number): string[] {
  mkdirSync(folder, { recursive: true });
  const { publicKey } = generateKey();
  return Array.from({ length: count }, (_, index) => {
    const flash = join(folder, `${index}.flash`);
    writeFileSync(flash, makeFlash({ name: `i${index}`, keys: [publicKey] }));
    return flash;
  });
}

async function processes(): Promise<Cell[][]> {
  const rows: Cell[][] = [];
  if (process.platform !== "linux") return rows;
  for (const count of [1, 10, 100]) {
    using folder = scratch();
    const flashes = flashFiles(folder.path, count);
    const running: Emulated[] = [];
    const began = performance.now();
    try {
      for (const flash of flashes) running.push(await emulate({ machine: "native", flash }));
      const each = (performance.now() - began) / count;
      rows.push([count, each.toFixed(1), (memoryOf(folder.path) / count).toFixed(0)]);
    } finally {
      await Promise.all(running.map((one) => one.stop()));
    }
  }
  return rows;
}

async function hosted(): Promise<Cell[][]> {
  const { module } = await buildFilter(
    compileModel(readFileSync(file), { arithmetic: "int8", name: "flow" }),
  );
  const own = inspect(module).footprint.total;
  const rows: Cell[][] = [];
  for (const count of [1, 10, 100]) {
    const instances = new Hosted({ publish: () => {} });
    const before = process.memoryUsage().rss;
    const began = performance.now();
    for (let index = 0; index < count; index++)
      instances.start({
        name: `i${index}`,
        package: module,
        inputs: { "rain-1": "n/a", "rain-0": "n/b", "flow-1": "n/c" },
      });
    const each = (performance.now() - began) / count;
    const memory = (process.memoryUsage().rss - before) / count - own;
    for (const resource of ["a", "b"])
      instances.take({ node: "n", resource, value: 1, time: Date.now() });
    const times = Array.from({ length: 64 }, () => {
      const start = performance.now();
      instances.take({ node: "n", resource: "c", value: 100, time: Date.now() });
      return (performance.now() - start) / count;
    }).sort((a, b) => a - b);
    rows.push([
      count,
      each.toFixed(2),
      Math.max(0, memory / 1024).toFixed(0),
      times[32]!.toFixed(3),
    ]);
    instances.close();
  }
  return rows;
}
