// Networks as modules: against ONNX Runtime on random shapes and on all days of the river, against plain arithmetic, and their sizes.
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { floodFlow, readDays } from "../../host/flood/history.ts";
import { literal, quantise } from "../../host/model/emit.ts";
import {
  arithmetics,
  buildFilter,
  compileModel,
  costOf,
  distanceOf,
  loadModel,
} from "../../host/model/model.ts";
import type { Operand, Plan } from "../../host/model/plan.ts";
import { evaluate } from "../../host/model/reference.ts";
import { pythonWithRuntime, runRuntime } from "../../host/model/runtime.ts";
import { simulate } from "../../host/lib/simulate.ts";
import { root } from "../../host/setup.mjs";
import { countInstructions, executeOnChip, f32, i32, noMachine } from "../harness/machine.ts";
import { scratch } from "../harness/target.ts";
import { dense, encode } from "./onnx.ts";

const python = pythonWithRuntime();
const noPython = python === undefined ? "no Python with onnxruntime: the set-up says why" : "";
const examples = join(root, "examples/flood");
const modelOf = (name: string, arithmetic: "f32" | "int8" | "integer" = "f32") =>
  compileModel(readFileSync(join(examples, `${name}.onnx`)), { name, arithmetic });

/** A network of the prototype's shape. */
const prototype = () => encode(dense([3, 32, 16, 1], 7));

describe("a network of 3, 32, 16 and 1 units", () => {
  test.each([
    ["f32", 3379],
    ["int8", 1536],
  ] as const)("with weights as %s is a package of at most %i bytes", async (arithmetic, most) => {
    const model = compileModel(prototype(), { arithmetic, name: "net" });
    const cost = costOf(model, await buildFilter(model));
    expect(cost.parameters).toBe(673);
    expect(cost.package).toBeLessThanOrEqual(most);
    // One page, and a stack.
    expect(cost.ram).toBeLessThan(17 * 1024);
  });

  test.runIf(!noMachine)("takes at most 300,000 instructions on the chip", async () => {
    for (const arithmetic of arithmetics) {
      const { module } = await loadModel(compileModel(prototype(), { arithmetic }));
      expect(await countInstructions(module, [0.3, 0.1, 0.7])).toBeLessThanOrEqual(300_000);
    }
  });

  test("as a filter publishes once each of its inputs has a value", async () => {
    const model = compileModel(prototype(), {
      name: "net",
      inputs: ["a", "b", "c"],
      outputs: ["d"],
    });
    const { module, facts } = await buildFilter(model);
    expect([facts.sensors, facts.outputs]).toEqual([["a", "b", "c"], [{ name: "d", unit: "" }]]);
    const rows = [0.5, 0.25, 2];
    const { happenings } = simulate(
      module,
      ["a", "b", "c"].map((sensor, at) => ({ at, sensor, value: rows[at]! })),
    );
    expect(happenings).toHaveLength(1);
    const [one] = happenings;
    const { run } = await loadModel(model);
    expect(one).toMatchObject({ kind: "output", name: "d", at: 2, value: run(rows).outputs[0] });
  });
});

describe("bytes", () => {
  test("are within half a step of each weight", () => {
    const weights = Array.from({ length: 1000 }, (_, index) => Math.sin(index) * (index % 7));
    const { scale, bytes } = quantise(weights);
    expect(bytes.every((one) => Number.isInteger(one) && Math.abs(one) <= 127)).toBe(true);
    weights.forEach((one, index) =>
      expect(Math.abs(one - bytes[index]! * scale)).toBeLessThanOrEqual(scale * 0.5001),
    );
    expect(quantise([0, 0])).toEqual({ scale: 1, bytes: [0, 0] });
  });

  test("a float is written so that it is read back", () => {
    for (const value of [
      0,
      -0,
      1,
      0.1,
      1e-42,
      3.4028234e38,
      -123456.78,
      16777216,
      Math.fround(1 / 3),
    ])
      expect(
        Object.is(Math.fround(Number(literal(value))), Math.fround(value)),
        literal(value),
      ).toBe(true);
  });
});

describe("random networks", () => {
  const count = Number(process.env["WASMOTE_NETWORKS"] ?? 24);
  using folder = scratch();
  let expected: { rows: number[][]; outputs: number[][] }[] = [];
  beforeAll(() => {
    if (python === undefined) return;
    mkdirSync(folder.path, { recursive: true });
    execFileSync(python, [join(root, "test/model/networks.py"), folder.path, "19", String(count)]);
    expected = JSON.parse(
      readFileSync(join(folder.path, "expected.json"), "utf8"),
    ) as typeof expected;
  });

  test.skipIf(noPython)(
    `are computed as ONNX Runtime computes them (${noPython || "onnxruntime"})`,
    async () => {
      expect(expected).toHaveLength(count);
      for (const [index, { rows, outputs }] of expected.entries()) {
        const bytes = readFileSync(join(folder.path, `${index}.onnx`));
        const model = compileModel(bytes);
        const { run } = await loadModel(model);
        // Sums in another order: what is lost is in relation to the largest that was summed, and not to what is left of it.
        const size = outputs.flat().reduce((most, one) => Math.max(most, Math.abs(one)), 1);
        const results = rows.map((row) => run(row).outputs);
        expect(distanceOf(results, outputs).absolute / size, `network ${index}`).toBeLessThan(4e-6);
        expect(
          distanceOf(
            rows.map((row) => evaluate(model.plan, row)),
            outputs,
          ).absolute / size,
          `network ${index}`,
        ).toBeLessThan(4e-6);
      }
    },
  );

  test.skipIf(noPython)(
    "with weights in bytes are near, and nearer than coarser weights would be",
    async () => {
      let worst = 0;
      for (const [index, { rows, outputs }] of expected.slice(0, 8).entries()) {
        const bytes = readFileSync(join(folder.path, `${index}.onnx`));
        const size = outputs.flat().reduce((most, one) => Math.max(most, Math.abs(one)), 1);
        for (const arithmetic of ["int8", "integer"] as const) {
          const { run } = await loadModel(compileModel(bytes, { arithmetic }));
          worst = Math.max(
            worst,
            distanceOf(
              rows.map((row) => run(row).outputs),
              outputs,
            ).absolute / size,
          );
        }
      }
      expect(worst).toBeGreaterThan(0);
      expect(worst).toBeLessThan(0.1);
    },
  );
});

/** Dense layers in 32-bit floats: sums in the order of the elements, each product added with one rounding. */
function inOrder({ steps, sizes, output }: Plan, row: readonly number[]): number {
  const values = sizes.map((size) => new Float64Array(size));
  values[0]!.set(row.map(Math.fround));
  const read = (from: Operand, index: number) =>
    "value" in from
      ? values[from.value]![from.offset + index]!
      : Math.fround(from.constant[from.constant.length === 1 ? 0 : index]!);
  for (const step of steps) {
    const to = values[step.to]!;
    to.forEach((_, place) => {
      if (step.do === "dense") {
        let sum = 0;
        // A double holds the product of two floats without rounding.
        for (let index = 0; index < step.inputs; index++)
          sum = Math.fround(
            sum + Math.fround(step.weights[place * step.inputs + index]!) * read(step.from, index),
          );
        sum = Math.fround(sum + Math.fround(step.bias?.[place] ?? 0));
        to[place] = step.relu ? Math.max(0, sum) : sum;
      } else if (step.do === "multiply" || step.do === "divide") {
        const [a, b] = [read(step.a, place), read(step.b, place)];
        to[place] = Math.fround(step.do === "multiply" ? a * b : a / b);
      } else throw new Error(`${step.do} is not expected here`);
    });
  }
  return values[output]![0]!;
}

describe("the flood models", () => {
  const days = readDays();
  const all = days.flatMap((_, index) => (index < 5 ? [] : [inputsAt(index)]));

  /** Five days of flow, newest first, and five of rain. */
  function inputsAt(index: number): number[] {
    const before = [1, 2, 3, 4, 5].map((back) => days[index - back]!);
    return [...before.map(({ flow }) => flow), ...before.map(({ rain }) => rain)];
  }

  /** Rows of the network of the flow, for each of the 29,617 days that has one before it. */
  const rows = days.slice(1).map(({ rain }, index) => [days[index]!.rain, rain, days[index]!.flow]);

  /** Days whose decision is another one. */
  const flips = (these: number[][], those: number[][], threshold: number) =>
    these.filter(([one = 0], index) => one > threshold !== those[index]![0]! > threshold).length;

  test("of the flow are on all days sums of products that are rounded once, in order", async () => {
    const model = modelOf("flow");
    const { run } = await loadModel(model);
    expect(rows).toHaveLength(29_617);
    const wrong = rows.filter((row) => run(row).outputs[0] !== inOrder(model.plan, row));
    expect(wrong).toEqual([]);
  });

  test.skipIf(noPython)(
    "give on all days what ONNX Runtime gives, the flow within 1e-6 of each value",
    async () => {
      const model = modelOf("flow");
      const outputs = await runRuntime(python!, join(examples, "flow.onnx"), rows);
      const exact = await loadModel(model);
      const results = rows.map((row) => exact.run(row).outputs);
      const { absolute, relative } = distanceOf(results, outputs);
      // ONNX Runtime chooses its kernels by the processor. Where they do not sum in order with one rounding, its own results are as far from the truth as ours.
      const truth = rows.map((row) => evaluate(model.plan, row));
      const own = distanceOf(outputs, truth).relative;
      const ordered = outputs.every(
        ([one], index) => one === Math.fround(inOrder(model.plan, rows[index]!)),
      );
      expect(relative, `ONNX Runtime is ${own} from the truth`).toBeLessThan(
        ordered ? 1e-6 : own + 3e-6,
      );
      expect(absolute / Math.max(...outputs.flat())).toBeLessThan(1e-6);
      // What doubles would give: no arithmetic with 32 bits is nearer to them than this.
      expect(distanceOf(results, truth).relative).toBeLessThan(3e-6);
    },
  );

  test("of the flow in bytes are within 3.1 m3/s of floats on all days, and flip 3 decisions of 29,617", async () => {
    const exact = await loadModel(modelOf("flow"));
    const floats = rows.map((row) => exact.run(row).outputs);
    for (const arithmetic of ["int8", "integer"] as const) {
      const coarse = await loadModel(modelOf("flow", arithmetic));
      const bytes = rows.map((row) => coarse.run(row).outputs);
      expect(distanceOf(bytes, floats).absolute).toBeLessThan(3.1);
      expect(flips(bytes, floats, floodFlow)).toBe(3);
    }
  });

  test.skipIf(noPython)(
    "of the evening are near ONNX Runtime's on all days; bytes flip 24 of 29,613 decisions",
    async () => {
      expect(all.length).toBeGreaterThan(29_600);
      const outputs = await runRuntime(python!, join(examples, "evening.onnx"), all);
      const judged = JSON.parse(readFileSync(join(examples, "judgement.json"), "utf8")) as {
        evening: { threshold: number };
      };
      const { threshold } = judged.evening;
      const exact = await loadModel(modelOf("evening"));
      const results = all.map((row) => exact.run(row).outputs);
      // In relation to 1, which is what the output is at a flood; near zero what is left of the sums has no more digits.
      expect(distanceOf(results, outputs).absolute).toBeLessThan(3e-6);
      // A day that lies on the threshold may fall on either side.
      expect(flips(results, outputs, threshold)).toBeLessThanOrEqual(1);
      const coarse = await loadModel(modelOf("evening", "int8"));
      const rounded = all.map((row) => coarse.run(row).outputs);
      expect(distanceOf(rounded, results).absolute).toBeLessThan(0.08);
      expect(flips(rounded, results, threshold)).toBe(24);
    },
  );

  test.skipIf(noMachine !== "")(
    "are the same to the bit on the emulated chip, for a year",
    async () => {
      const year = all.slice(-366);
      for (const arithmetic of ["f32", "int8"] as const) {
        const { module, run } = await loadModel(modelOf("evening", arithmetic));
        const invoke = (
          name: string,
          values: Parameters<typeof f32>[] | ReturnType<typeof f32>[],
        ) =>
          ({
            do: "invoke",
            instance: "model",
            name,
            values: values as ReturnType<typeof f32>[],
          }) as const;
        const outcomes = await executeOnChip(
          [
            { do: "instantiate", name: "model", module },
            ...year.flatMap((row) => [
              ...row.map((value, place) => invoke("put", [i32(place), f32(Math.fround(value))])),
              invoke("compute", []),
              invoke("result", [i32(0)]),
            ]),
          ],
          1 << 30,
        );
        const results = outcomes
          .filter(({ values }) => values.length === 1)
          .map(({ values }) => values[0]!.value);
        expect(results).toHaveLength(366);
        expect(results).toEqual(year.map((row) => run(row).outputs[0]));
        const fuels = outcomes
          .slice(1)
          .filter((_, index) => index % 12 === 10)
          .map(({ fuel }) => fuel);
        expect(fuels).toEqual(year.map((row) => run(row).fuel));
      }
    },
  );
});
