// The network of 3, 32, 16 and 1 units: bytes, RAM and instructions on the emulated Cortex-M4F beside plain C, and hosted instances.
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { crossCompiler, root } from "../../host/setup.mjs";
import { Hosted } from "../../host/gateway/hosted.ts";
import { inspect } from "../../host/lib/engine.ts";
import {
  arithmetics,
  buildFilter,
  compileModel,
  costOf,
  loadModel,
  type Model,
} from "../../host/model/model.ts";
import type { DenseStep } from "../../host/model/plan.ts";
import { countInstructions } from "../harness/machine.ts";
import { scratch } from "../harness/target.ts";
import type { Cell, Report } from "./report.ts";

const file = join(root, "examples/flood/flow.onnx");
const inputs = [9.3, 21.9, 116.4];

export async function run(): Promise<Report> {
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
  const native = await plainC(compileModel(bytes, { name: "flow" }));
  if (typeof native === "string") notes.push(`Plain C is missing: ${native}.`);
  else rows.push(["plain C, arm-none-eabi-gcc -O3, f32", native, "-", "-", "-"]);
  return {
    name: "model",
    title: "A neural network on the chip and at the gateway",
    method:
      "The network examples/flood/flow.onnx (3-32-16-1, 673 parameters, scaling inside). Bytes: the signed package of a filter that is nothing but the " +
      "network; of C, code and constants of the object. Instructions: of one run in the interpreter on the emulated mps2-an386 by -icount, the " +
      "difference between many runs and few. Hosted instances: resident memory and time of this process for each, beside its linear memory.",
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
    ],
    plots: [],
  } as Report;
}

/** The same network in C: bytes of code and constants. */
async function plainC(model: Model): Promise<number | string> {
  const found = (await crossCompiler()) as { ok: boolean; what: string };
  if (!found.ok) return found.what;
  using folder = scratch();
  const layers = model.plan.steps.filter((step): step is DenseStep => step.do === "dense");
  const list = (values: number[]) =>
    values.map((one) => `${Math.fround(one).toExponential(9)}f`).join(",");
  const code = layers.map(
    ({ inputs: i, outputs: o, relu }, n) =>
      `  for (int o = 0; o < ${o}; o++) { float s = 0; for (int i = 0; i < ${i}; i++) s += w${n}[o * ${i} + i] * v${n}[i]; s += b${n}[o]; v${n + 1}[o] = ${relu ? "s > 0 ? s : 0" : "s"}; }`,
  );
  const data = layers.map(
    ({ weights, bias = [] }, n) =>
      `static const float w${n}[] = {${list(weights)}}, b${n}[] = {${list(bias)}};`,
  );
  const values = layers.map(({ outputs }, n) => `  float v${n + 1}[${outputs}];`);
  writeFileSync(
    join(folder.path, "net.c"),
    `${data.join("\n")}\nfloat run(const float *v0) {\n${values.join("\n")}\n${code.join("\n")}\n  return v${layers.length}[0];\n}\n`,
  );
  const words = [
    "-mcpu=cortex-m4",
    "-mthumb",
    "-mfpu=fpv4-sp-d16",
    "-mfloat-abi=hard",
    "-O3",
    "-c",
    "net.c",
    "-o",
    "net.o",
  ];
  execFileSync(found.what, words, { cwd: folder.path });
  const size = execFileSync(found.what.replace(/gcc$/, "size"), ["net.o"], {
    cwd: folder.path,
    encoding: "utf8",
  });
  return Number(size.split("\n")[1]!.trim().split(/\s+/)[0]);
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
