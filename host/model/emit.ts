// From a plan to a source in AssemblyScript: constants in static memory, and a function that calls the kernels of assembly/model.ts.
import type { Binary, ConvStep, DenseStep, Operand, Plan, Step } from "./plan.ts";

/** How weights are kept and multiplied: 32-bit floats; bytes with a scale, multiplied as floats; bytes, multiplied as integers. */
export type Arithmetic = "f32" | "int8" | "integer";
export const arithmetics: readonly Arithmetic[] = ["f32", "int8", "integer"];

/** Weights as bytes: each is `scale` times its byte. */
export interface Quantised {
  scale: number;
  bytes: number[];
}

/** Rounds weights to bytes, symmetric around zero, with one scale for all. */
export function quantise(weights: readonly number[]): Quantised {
  const largest = weights.reduce((most, one) => Math.max(most, Math.abs(one)), 0);
  const scale = largest === 0 ? 1 : Math.fround(largest / 127);
  const bytes = weights.map((one) => Math.max(-127, Math.min(127, Math.round(one / scale))) || 0);
  return { scale, bytes };
}

/** The largest whole number an input may become, so that no sum of `count` products with bytes leaves 32 bits. */
export function integerRange(count: number): number {
  return Math.min(32767, Math.floor((2 ** 31 - 1) / (127 * count)));
}

/** The shortest decimal that is read back as the same 32-bit float. */
export function literal(value: number): string {
  const single = Math.fround(value);
  if (single === Number.NEGATIVE_INFINITY) return "-Infinity";
  let text = String(single);
  for (let digits = 1; digits <= 9; digits++) {
    const shorter = single.toPrecision(digits);
    if (Math.fround(Number(shorter)) === single) {
      text = String(Number(shorter));
      break;
    }
  }
  return Object.is(single, -0) ? "-0.0" : /[.e]/.test(text) ? text : `${text}.0`;
}

/** Where each value lies in the work area, in elements; values whose times do not meet share places. */
interface Layout {
  places: number[];
  total: number;
}

const fromsOf = (step: Step): Operand[] => ("from" in step ? [step.from] : [step.a, step.b]);

/** First fit over the times at which values are needed; what comes in and what goes out stays for good. */
export function layout({ steps, sizes, output }: Plan): Layout {
  const end = steps.length;
  const life = sizes.map(() => ({ from: end, to: -1 }));
  steps.forEach((step, time) => {
    life[step.to]!.from = Math.min(life[step.to]!.from, time);
    life[step.to]!.to = Math.max(life[step.to]!.to, time);
    for (const one of fromsOf(step)) if ("value" in one) life[one.value]!.to = time;
  });
  life[0] = { from: -1, to: end };
  life[output]!.to = end;
  const places = sizes.map(() => 0);
  const placed: number[] = [];
  const order = sizes.map((_, value) => value).filter((value) => life[value]!.to >= 0);
  order.sort((a, b) => life[a]!.from - life[b]!.from || a - b);
  for (const value of order) {
    const mine = life[value]!;
    const blocking = placed
      .filter((other) => life[other]!.from <= mine.to && mine.from <= life[other]!.to)
      .sort((a, b) => places[a]! - places[b]!);
    let at = 0;
    for (const other of blocking) {
      if (at + sizes[value]! <= places[other]!) break;
      at = Math.max(at, places[other]! + sizes[other]!);
    }
    places[value] = at;
    placed.push(value);
  }
  return {
    places,
    total: placed.reduce((most, one) => Math.max(most, places[one]! + sizes[one]!), 0),
  };
}

/** A name as a constant of the source has it. */
export const identifier = (name: string): string =>
  name.toUpperCase().replaceAll(/[^A-Z0-9]+/g, "_");

class Emitter {
  readonly constants = new Map<string, string>();
  readonly kernels = new Set<string>();
  readonly #places: number[];
  /** Elements that integers of a layer take at most, and zeros that stand for a missing bias. */
  room = 0;
  zeros = 0;
  readonly #arithmetic: Arithmetic;

  constructor(places: number[], arithmetic: Arithmetic) {
    this.#places = places;
    this.#arithmetic = arithmetic;
  }

  constant(type: "f32" | "i8", values: readonly number[]): string {
    const list = type === "f32" ? values.map(literal).join(", ") : values.join(", ");
    const key = `memory.data<${type}>([${list}], ${type === "f32" ? 4 : 1})`;
    const name = this.constants.get(key) ?? `c${this.constants.size}`;
    this.constants.set(key, name);
    return name;
  }

  at(value: number, offset: number): string {
    const bytes = (this.#places[value]! + offset) * 4;
    return bytes === 0 ? "work" : `work + ${bytes}`;
  }

  operand(one: Operand): string {
    return "value" in one ? this.at(one.value, one.offset) : this.constant("f32", one.constant);
  }

  #bias(bias: number[] | undefined, count: number): string {
    if (bias !== undefined) return this.constant("f32", bias);
    this.zeros = Math.max(this.zeros, count);
    return "zeros";
  }

  #call(kernel: string, ...words: (string | number)[]): string {
    this.kernels.add(kernel);
    return `${kernel}(${words.join(", ")});`;
  }

  step(step: Step, size: number): string {
    switch (step.do) {
      case "dense":
        return this.#dense(step);
      case "conv":
        return this.#conv(step);
      case "add":
      case "subtract":
      case "multiply":
      case "divide":
        return this.#binary(step.do, this.at(step.to, 0), step.a, step.b, size);
      default:
        return this.#call(step.do, this.at(step.to, 0), this.operand(step.from), size);
    }
  }

  #dense({ to, from, weights, bias, inputs, outputs, relu }: DenseStep): string {
    const [where, what] = [this.at(to, 0), this.operand(from)];
    const floor = relu ? "0" : "-Infinity";
    if (this.#arithmetic === "f32") {
      const data = this.constant("f32", weights);
      return this.#call(
        "dense",
        where,
        what,
        data,
        this.#bias(bias, outputs),
        inputs,
        outputs,
        floor,
      );
    }
    const { scale, bytes } = quantise(weights);
    const data = this.constant("i8", bytes);
    const words = [
      where,
      what,
      data,
      this.#bias(bias, outputs),
      inputs,
      outputs,
      floor,
      literal(scale),
    ];
    if (this.#arithmetic === "int8") return this.#call("denseBytes", ...words);
    this.room = Math.max(this.room, inputs);
    return this.#call("denseIntegers", ...words, integerRange(inputs), "room");
  }

  #conv(step: ConvStep): string {
    const { channels, length, outputs, places, kernel, first, stride, dilation } = step;
    const small = this.#arithmetic === "f32" ? undefined : quantise(step.weights);
    const data = small ? this.constant("i8", small.bytes) : this.constant("f32", step.weights);
    const words: (string | number)[] = [this.at(step.to, step.toOffset), this.operand(step.from)];
    words.push(data, this.#bias(step.bias, outputs), channels, length, outputs, places, kernel);
    words.push(first, stride, dilation, step.relu ? "0" : "-Infinity");
    if (small) words.push(literal(small.scale));
    return this.#call(small ? "convBytes" : "conv", ...words);
  }

  #binary(op: Binary, to: string, a: Operand, b: Operand, size: number): string {
    const step = (one: Operand) => ("constant" in one && one.constant.length < size ? 0 : 4);
    if (op === "subtract" || op === "divide")
      return this.#call(op, to, this.operand(a), this.operand(b), size, step(a), step(b));
    // What commutes has the constant behind.
    const [first, second] = "constant" in a ? [b, a] : [a, b];
    return this.#call(op, to, this.operand(first), this.operand(second), size, step(second));
  }
}

export interface SourceOptions {
  /** What the model is called in the comment at the top. */
  title: string;
  arithmetic: Arithmetic;
}

/** The source that a filter imports. */
export function sourceOf(plan: Plan, { title, arithmetic }: SourceOptions): string {
  const { places, total } = layout(plan);
  const emitter = new Emitter(places, arithmetic);
  const calls = plan.steps.map((step) => emitter.step(step, plan.sizes[step.to]!));
  const list = (channels: Plan["inputs"]) =>
    channels.map(({ name, unit }) => `${name}${unit === "" ? "" : ` (${unit})`}`).join(", ");
  const names = (prefix: string, channels: Plan["inputs"]) =>
    channels.map(
      ({ name }, place) =>
        `// @ts-ignore: decorator\n@inline export const ${prefix}_${identifier(name)}: i32 = ${place};`,
    );
  const { inputs, outputs } = plan;
  const parameters = inputs.map((_, place) => `x${place}: f32`).join(", ");
  const whole =
    inputs.length <= 8 && outputs.length === 1
      ? `\n/** The output for these inputs: ${list(inputs)}. */\nexport function predict(${parameters}): f32 {\n${inputs
          .map((_, place) => `  set(${place}, x${place});\n`)
          .join("")}  run();\n  return get(0);\n}\n`
      : "";
  const constants = [...emitter.constants].map(([value, name]) => `const ${name} = ${value};`);
  if (emitter.zeros > 0) constants.push(`const zeros = memory.data(${emitter.zeros * 4}, 4);`);
  if (emitter.room > 0) constants.push(`const room = memory.data(${emitter.room * 4}, 4);`);
  return `// ${title}
//
// Made by \`wasmote model\`: change the model and make it anew. Weights: ${describeArithmetic[arithmetic]}.
// Inputs: ${list(inputs)}.
// Outputs: ${list(outputs)}.
import { ${[...emitter.kernels].sort().join(", ")} } from "wasmote/assembly/model";

${constants.join("\n")}
/** What is computed with: inputs at the beginning, ${total} floats in all. */
const work = memory.data(${total * 4}, 4);

${[...names("IN", inputs), ...names("OUT", outputs)].join("\n")}

/** Sets an input; it stays until it is set again. */
// @ts-ignore: decorator
@inline export function set(input: i32, value: f32): void {
  store<f32>(work + (<usize>input << 2), value);
}

/** An output, as the last run left it. */
// @ts-ignore: decorator
@inline export function get(output: i32): f32 {
  return load<f32>(work + ${places[plan.output]! * 4} + (<usize>output << 2));
}

/** Computes the outputs from the inputs. */
export function run(): void {
${calls.map((call) => `  ${call}`).join("\n")}
}
${whole}`;
}

export const describeArithmetic: Record<Arithmetic, string> = {
  f32: "32-bit floats",
  int8: "bytes, multiplied as floats",
  integer: "bytes, multiplied as integers",
};

/** A filter that is the model and nothing besides: its inputs are sensors, its outputs are published with each sample. */
export function filterOf(plan: Plan, model: string): string {
  const quoted = JSON.stringify;
  const sensors = plan.inputs.map(
    ({ name }, place) => `const in${place} = sensor(${quoted(name)});`,
  );
  const outs = plan.outputs.map(
    ({ name, unit }, place) =>
      `const out${place} = output(${quoted(name)}${unit === "" ? "" : `, ${quoted(unit)}`});`,
  );
  const handlers = plan.inputs.map(
    (_, place) => `in${place}.onSample((value) => take(${place}, value));`,
  );
  return `// The model as a filter: computes when each of its inputs has a value, with every sample.
//
// Made by \`wasmote model\`.
import { output, sensor } from "wasmote";
import { get, run, set } from ${quoted(`./${model}`)};

${sensors.join("\n")}
${outs.join("\n")}
/** The inputs that have no value yet, a bit each. */
let missing: u32 = ${2 ** plan.inputs.length - 1};

${handlers.join("\n")}

function take(place: i32, value: f32): void {
  set(place, value);
  missing &= ~(1 << place);
  if (missing !== 0) return;
  run();
${plan.outputs.map((_, place) => `  out${place}.publish(get(${place}));`).join("\n")}
}
`;
}

/** What is exported for whoever feeds a model from outside, without a node. */
export function bareOf(model: string): string {
  return `// The functions of the model, exported.
import { get, run, set } from ${JSON.stringify(`./${model}`)};

export function put(input: i32, value: f32): void {
  set(input, value);
}
export function compute(): void {
  run();
}
export function result(output: i32): f32 {
  return get(output);
}
`;
}
