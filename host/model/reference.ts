// A plan computed plainly in double precision: what the module's results are compared with where there is no ONNX runtime.
import type { Operand, Plan, Step } from "./plan.ts";

/** The outputs for one row of inputs. */
export function evaluate(plan: Plan, inputs: ArrayLike<number>): number[] {
  const values = plan.sizes.map((size) => new Float64Array(size));
  values[0]!.set(
    Array.from({ length: plan.sizes[0]! }, (_, place) => Math.fround(inputs[place] ?? 0)),
  );
  const read = (one: Operand, index: number): number =>
    "value" in one
      ? values[one.value]![one.offset + index]!
      : one.constant[one.constant.length === 1 ? 0 : index]!;
  for (const step of plan.steps) compute(step, values[step.to]!, read);
  return [...values[plan.output]!];
}

function compute(
  step: Step,
  to: Float64Array,
  read: (one: Operand, index: number) => number,
): void {
  const relu = (value: number, on: boolean) => (on ? Math.max(0, value) : value);
  switch (step.do) {
    case "dense":
      for (let o = 0; o < step.outputs; o++) {
        let sum = step.bias?.[o] ?? 0;
        for (let i = 0; i < step.inputs; i++)
          sum += step.weights[o * step.inputs + i]! * read(step.from, i);
        to[o] = relu(sum, step.relu);
      }
      return;
    case "conv":
      for (let o = 0; o < step.outputs; o++)
        for (let p = 0; p < step.places; p++) {
          let sum = step.bias?.[o] ?? 0;
          for (let c = 0; c < step.channels; c++)
            for (let k = 0; k < step.kernel; k++) {
              const at = step.first + p * step.stride + k * step.dilation;
              const weight = step.weights[(o * step.channels + c) * step.kernel + k]!;
              if (at >= 0 && at < step.length)
                sum += weight * read(step.from, c * step.length + at);
            }
          to[step.toOffset + o * step.places + p] = relu(sum, step.relu);
        }
      return;
    case "relu":
    case "sigmoid":
    case "tanh":
    case "log": {
      const of = {
        relu: (x: number) => Math.max(0, x),
        sigmoid: (x: number) => 1 / (1 + Math.exp(-x)),
        tanh: Math.tanh,
        log: Math.log,
      }[step.do];
      for (let i = 0; i < to.length; i++) to[i] = of(read(step.from, i));
      return;
    }
    default: {
      const of = {
        add: (a: number, b: number) => a + b,
        subtract: (a: number, b: number) => a - b,
        multiply: (a: number, b: number) => a * b,
        divide: (a: number, b: number) => a / b,
      }[step.do];
      for (let i = 0; i < to.length; i++) to[i] = of(read(step.a, i), read(step.b, i));
    }
  }
}
