// From the graph of a model to a plan: steps over values whose sizes are known, in an order that is fixed.
//
// Operators of ONNX that are taken: MatMul, Gemm (dense layers), Conv along one dimension, Add, Sub, Mul, Div, Relu, Sigmoid, Tanh,
// Log, and what only changes the shape: Flatten, Reshape, Squeeze, Unsqueeze, Identity, Dropout, Transpose where no element moves,
// Cast to float. One example is computed at a time: a batch has one row. The rest is refused by operator and node.
import {
  countOf,
  mostElements,
  refuse,
  shown,
  type Attribute,
  type Graph,
  type GraphNode,
  type Tensor,
} from "./onnx.ts";

/** Where numbers are: a value, from an element of it on, or constants. */
export type Operand = { value: number; offset: number } | { constant: number[] };

export type Binary = "add" | "subtract" | "multiply" | "divide";
export type Unary = "relu" | "sigmoid" | "tanh" | "log";

export interface DenseStep {
  do: "dense";
  to: number;
  from: Operand;
  /** `[outputs][inputs]`. */
  weights: number[];
  bias: number[] | undefined;
  inputs: number;
  outputs: number;
  relu: boolean;
}

export interface ConvStep {
  do: "conv";
  to: number;
  /** Of the result, the element at which this group begins. */
  toOffset: number;
  from: Operand;
  /** `[outputs][channels][kernel]`. */
  weights: number[];
  bias: number[] | undefined;
  channels: number;
  length: number;
  outputs: number;
  places: number;
  kernel: number;
  first: number;
  stride: number;
  dilation: number;
  relu: boolean;
}

export interface BinaryStep {
  do: Binary;
  to: number;
  /** As long as the result, or one number for all of it. */
  a: Operand;
  b: Operand;
}

export interface UnaryStep {
  do: Unary;
  to: number;
  from: Operand;
}

export type Step = DenseStep | ConvStep | BinaryStep | UnaryStep;

/** An element of what comes in or goes out. */
export interface Channel {
  name: string;
  unit: string;
}

export interface Plan {
  opset: number;
  steps: Step[];
  /** Elements of each value; the first is what comes in. */
  sizes: number[];
  /** The value that goes out. */
  output: number;
  inputs: Channel[];
  outputs: Channel[];
  /** The tensors that come in, with the elements of each. */
  ports: { name: string; dims: number[]; count: number }[];
  outputPort: string;
}

/** Steps of a plan, and multiplications of a run: far beyond what a node does in one run. */
const mostSteps = 256;
const mostProducts = 4_000_000;

/** A name of the graph while it is read. */
type Known =
  | { is: "constant"; tensor: Tensor }
  | { is: "value"; value: number; offset: number; dims: number[] };
type KnownValue = Extract<Known, { is: "value" }>;

class Planner {
  readonly steps: Step[] = [];
  readonly sizes: number[] = [];
  readonly known = new Map<string, Known>();
  /** How often each name is used, as an input or as what goes out. */
  readonly uses = new Map<string, number>();
  /** The step that makes a value, where nothing else has looked at the value yet. */
  readonly #fresh = new Map<number, Step>();
  products = 0;
  #node!: GraphNode;
  #opset: number;

  constructor({ opset }: Graph) {
    this.#opset = opset;
  }

  fault(what: string): Error {
    const { operator, name } = this.#node;
    return refuse(`${operator} (node ${name}) ${what}`);
  }

  value(count: number): number {
    this.sizes.push(count);
    return this.sizes.length - 1;
  }

  take(node: GraphNode): void {
    this.#node = node;
    const work = operators[node.operator];
    if (work === undefined)
      throw refuse(
        `the operator ${node.operator} (node ${node.name}) is not supported`,
        `supported: ${Object.keys(operators).sort().join(", ")}`,
      );
    if (node.outputs.filter((name) => name !== "").length !== 1 && node.operator !== "Dropout")
      throw this.fault(`has ${node.outputs.length} outputs`);
    const output = node.outputs[0] ?? "";
    if (output === "" || this.known.has(output))
      throw this.fault("makes a value that another one makes, or none");
    this.known.set(output, work(this, node));
    if (this.steps.length > mostSteps) throw refuse(`it has more than ${mostSteps} steps`);
    if (this.products > mostProducts)
      throw this.fault(`makes more than ${mostProducts} products a run`);
  }

  input(index: number): Known {
    const name = this.#node.inputs[index] ?? "";
    const found = this.known.get(name);
    if (found !== undefined) return found;
    if (name === "") throw this.fault(`has no input number ${index + 1}`);
    throw this.fault(`uses "${shown(name)}", which nothing before it makes`);
  }

  has(index: number): boolean {
    return (this.#node.inputs[index] ?? "") !== "";
  }

  moving(index: number): KnownValue {
    const found = this.input(index);
    if (found.is === "value") return found;
    throw this.fault(`has a constant as input number ${index + 1}`);
  }

  constant(index: number, kind: Tensor["kind"]): Tensor {
    const found = this.input(index);
    if (found.is !== "constant")
      throw this.fault(`has an input number ${index + 1} that is not a constant`);
    if (found.tensor.kind !== kind)
      throw this.fault(`has whole numbers and floats the wrong way round in input ${index + 1}`);
    return found.tensor;
  }

  whole(name: string, other: number): number {
    return this.#node.attributes.get(name)?.i ?? other;
  }

  attribute(name: string): Attribute | undefined {
    return this.#node.attributes.get(name);
  }

  /** Whole numbers that are an attribute in old versions of an operator, and an input from `version` on. */
  list(name: string, index: number, version: number): number[] | undefined {
    if (this.#opset < version) return this.attribute(name)?.ints;
    return this.has(index) ? this.constant(index, "i64").data : undefined;
  }

  /** Adds a step whose result has this shape. */
  add(step: Step, dims: number[]): KnownValue {
    this.steps.push(step);
    this.#fresh.set(step.to, step);
    return { is: "value", value: step.to, offset: 0, dims };
  }

  /** The step that made the input, where this is all that uses it: what follows may become a part of the step. */
  maker(index: number): Step | undefined {
    const name = this.#node.inputs[index] ?? "";
    const found = this.known.get(name);
    if (found?.is !== "value" || (this.uses.get(name) ?? 0) !== 1) return undefined;
    // Conv in groups has several steps, and a view may have another shape: only what was made last, and whole.
    const step = this.#fresh.get(found.value);
    return this.steps.at(-1) === step ? step : undefined;
  }
}

const operand = ({ value, offset }: KnownValue): Operand => ({ value, offset });
const product = (dims: readonly number[]) => dims.reduce((all, one) => all * one, 1);

/** Adds ONNX's broadcasting of a constant to a shape: the elements, or one number for all. */
function spread(plan: Planner, { dims, data }: Tensor, to: number[]): number[] {
  if (data.length === 1 && dims.length <= to.length) return data;
  const padded = [
    ...Array.from({ length: Math.max(0, to.length - dims.length) }, () => 1),
    ...dims,
  ];
  if (padded.length > to.length || padded.some((one, axis) => one !== 1 && one !== to[axis]))
    throw plan.fault(
      `has a constant of the shape [${dims.join(", ")}] for a value of [${to.join(", ")}]`,
    );
  const all: number[] = [];
  const total = product(to);
  for (let index = 0; index < total; index++) {
    let rest = index;
    let at = 0;
    let step = 1;
    for (let axis = to.length - 1; axis >= 0; axis--) {
      const place = rest % to[axis]!;
      rest = Math.floor(rest / to[axis]!);
      if (padded[axis] !== 1) at += place * step;
      step *= padded[axis]!;
    }
    all.push(data[at]!);
  }
  return all;
}

function binary(op: Binary) {
  return (plan: Planner): Known => {
    const [left, right] = [plan.input(0), plan.input(1)];
    if (left.is === "constant" && right.is === "constant")
      throw plan.fault("has two constants; fold them where the model is exported");
    const shape = left.is === "value" ? left : (right as KnownValue);
    const part = (one: Known): Operand => {
      if (one.is === "constant") {
        if (one.tensor.kind !== "f32") throw plan.fault("computes with whole numbers");
        return { constant: spread(plan, one.tensor, shape.dims) };
      }
      if (product(one.dims) !== product(shape.dims) || one.dims.join() !== shape.dims.join())
        throw plan.fault(
          `joins values of the shapes [${one.dims.join(", ")}] and [${shape.dims.join(", ")}]`,
        );
      return operand(one);
    };
    const a = part(left);
    const b = part(right);
    // The sum behind a product without one is its bias, bit for bit.
    const moving = left.is === "value" ? 0 : 1;
    const constant = "constant" in a ? a.constant : "constant" in b ? b.constant : undefined;
    const maker = constant === undefined ? undefined : plan.maker(moving);
    if (
      op === "add" &&
      constant &&
      maker?.do === "dense" &&
      maker.bias === undefined &&
      !maker.relu
    ) {
      maker.bias = Array.from(
        { length: maker.outputs },
        (_, index) => constant[index] ?? constant[0]!,
      );
      return { ...shape };
    }
    const to = plan.value(product(shape.dims));
    return plan.add({ do: op, to, a, b }, shape.dims);
  };
}

function unary(op: Unary) {
  return (plan: Planner): Known => {
    const from = plan.moving(0);
    if (op === "relu") {
      const maker = plan.maker(0);
      if (
        (maker?.do === "dense" || (maker?.do === "conv" && maker.toOffset === 0)) &&
        !maker.relu
      ) {
        maker.relu = true;
        return { ...from };
      }
    }
    const to = plan.value(product(from.dims));
    return plan.add({ do: op, to, from: operand(from) }, from.dims);
  };
}

/** A dense layer; weights are `[outputs][inputs]`. */
function dense(
  plan: Planner,
  weights: number[],
  inputs: number,
  outputs: number,
  bias?: number[],
): Known {
  const from = plan.moving(0);
  const rows = product(from.dims.slice(0, -1));
  if (rows !== 1 || from.dims.at(-1) !== inputs)
    throw plan.fault(
      `multiplies a value of the shape [${from.dims.join(", ")}] with ${inputs} by ${outputs} weights; one row of ${inputs} is taken`,
    );
  plan.products += inputs * outputs;
  const to = plan.value(outputs);
  return plan.add(
    { do: "dense", to, from: operand(from), weights, bias, inputs, outputs, relu: false },
    [...from.dims.slice(0, -1), outputs],
  );
}

function transposed(data: number[], rows: number, columns: number): number[] {
  return Array.from({ length: rows * columns }, (_, index) => {
    const [column, row] = [Math.floor(index / rows), index % rows];
    return data[row * columns + column]!;
  });
}

function matMul(plan: Planner): Known {
  const { dims, data } = plan.constant(1, "f32");
  const [inputs = 0, outputs = 0] = dims;
  if (dims.length !== 2) throw plan.fault(`has weights of ${dims.length} dimensions, and takes 2`);
  return dense(plan, transposed(data, inputs, outputs), inputs, outputs);
}

function gemm(plan: Planner): Known {
  const { dims, data } = plan.constant(1, "f32");
  if (dims.length !== 2) throw plan.fault(`has weights of ${dims.length} dimensions, and takes 2`);
  if (plan.whole("transA", 0) !== 0) throw plan.fault("has transA, which is not supported");
  const swapped = plan.whole("transB", 0) !== 0;
  const [inputs = 0, outputs = 0] = swapped ? dims.toReversed() : dims;
  const times = (name: string, list: number[]) => {
    const factor = plan.attribute(name)?.f ?? 1;
    if (!Number.isFinite(factor)) throw plan.fault(`has ${name} = ${factor}`);
    return factor === 1 ? list : list.map((one) => Math.fround(one * factor));
  };
  const weights = times("alpha", swapped ? data : transposed(data, inputs, outputs));
  let bias: number[] | undefined;
  if (plan.has(2)) {
    const spreadBias = spread(plan, plan.constant(2, "f32"), [1, outputs]);
    bias = times(
      "beta",
      Array.from({ length: outputs }, (_, i) => spreadBias[i] ?? spreadBias[0]!),
    );
  }
  return dense(plan, weights, inputs, outputs, bias);
}

function conv(plan: Planner): Known {
  const from = plan.moving(0);
  const { dims, data } = plan.constant(1, "f32");
  const [batch = 0, allChannels = 0, length = 0] = from.dims;
  const [allOutputs = 0, channels = 0, kernel = 0] = dims;
  if (from.dims.length !== 3 || dims.length !== 3 || batch !== 1)
    throw plan.fault(
      "is not along one dimension: the value is [1, channels, length], weights [outputs, channels, kernel]",
    );
  const pad = plan.attribute("auto_pad")?.s ?? "NOTSET";
  if (pad !== "NOTSET" && pad !== "VALID" && pad !== "") throw plan.fault(`has auto_pad ${pad}`);
  const list = (name: string, otherwise: number[]) => {
    const given = plan.attribute(name)?.ints ?? [];
    const found = given.length > 0 ? given : otherwise;
    if (
      found.length !== otherwise.length ||
      !found.every((one) => Number.isSafeInteger(one) && one >= 0 && one <= mostElements)
    )
      throw plan.fault(`has ${name} [${found.slice(0, 8).join(", ")}]`);
    return found;
  };
  const groups = plan.whole("group", 1);
  const [stride = 1] = list("strides", [1]);
  const [dilation = 1] = list("dilations", [1]);
  const [before = 0, after = 0] = pad === "VALID" ? [0, 0] : list("pads", [0, 0]);
  const [shape = kernel] = list("kernel_shape", [kernel]);
  if (!(groups >= 1 && groups <= 64 && Number.isInteger(groups)))
    throw plan.fault(`has ${groups} groups; 1 to 64 are taken`);
  if (
    stride < 1 ||
    dilation < 1 ||
    shape !== kernel ||
    channels * groups !== allChannels ||
    allOutputs % groups !== 0
  )
    throw plan.fault(
      `does not fit: weights [${dims.join(", ")}], value [${from.dims.join(", ")}], ${groups} groups`,
    );
  const places = Math.floor((length + before + after - dilation * (kernel - 1) - 1) / stride) + 1;
  const count = countOf([allOutputs, places]);
  if (count === undefined) throw plan.fault(`has ${places} places for its kernel`);
  const bias = plan.has(2) ? plan.constant(2, "f32").data : undefined;
  if (bias !== undefined && bias.length !== allOutputs)
    throw plan.fault(`has ${bias.length} biases for ${allOutputs} outputs`);
  plan.products += allOutputs * channels * kernel * places;
  const to = plan.value(count);
  const outputs = allOutputs / groups;
  let made: Known | undefined;
  for (let group = 0; group < groups; group++) {
    const size = outputs * channels * kernel;
    const step: ConvStep = {
      do: "conv",
      to,
      toOffset: group * outputs * places,
      from: { value: from.value, offset: from.offset + group * channels * length },
      weights: data.slice(group * size, (group + 1) * size),
      bias: bias?.slice(group * outputs, (group + 1) * outputs),
      channels,
      length,
      outputs,
      places,
      kernel,
      first: -before,
      stride,
      dilation,
      relu: false,
    };
    made = plan.add(step, [1, allOutputs, places]);
  }
  return made!;
}

/** The same elements in another shape. */
function view(dimsOf: (plan: Planner, dims: number[]) => number[]) {
  return (plan: Planner): Known => {
    const from = plan.input(0);
    if (from.is === "constant")
      throw plan.fault("changes the shape of a constant; fold it where the model is exported");
    const dims = dimsOf(plan, from.dims);
    if (product(dims) !== product(from.dims) || countOf(dims) === undefined)
      throw plan.fault(`cannot make [${dims.join(", ")}] of [${from.dims.join(", ")}]`);
    return { ...from, dims };
  };
}

/** An axis, which may be counted from the end. */
function axisOf(plan: Planner, axis: number, rank: number): number {
  const found = axis < 0 ? axis + rank : axis;
  if (!(Number.isInteger(found) && found >= 0 && found < rank))
    throw plan.fault(`has axis ${axis} of ${rank}`);
  return found;
}

function reshaped(plan: Planner, dims: number[]): number[] {
  const wanted = plan.constant(1, "i64").data;
  if (wanted.length > 8) throw plan.fault(`makes ${wanted.length} dimensions`);
  const keep = plan.whole("allowzero", 0) === 0;
  const made = wanted.map((one, axis) => (one === 0 && keep ? (dims[axis] ?? 0) : one));
  const rest = product(dims) / product(made.filter((one) => one !== -1));
  return made.map((one) => (one === -1 ? rest : one));
}

const views = {
  Identity: view((_, dims) => dims),
  Flatten: view((plan, dims) => {
    const given = plan.whole("axis", 1);
    const axis = given === dims.length ? given : axisOf(plan, given, dims.length);
    return [product(dims.slice(0, axis)), product(dims.slice(axis))];
  }),
  Reshape: view(reshaped),
  Squeeze: view((plan, dims) => {
    const axes = plan.list("axes", 1, 13)?.map((axis) => axisOf(plan, axis, dims.length));
    if (axes?.some((axis) => dims[axis] !== 1))
      throw plan.fault("takes out a dimension that is not 1");
    return dims.filter((one, axis) => (axes ? !axes.includes(axis) : one !== 1));
  }),
  Unsqueeze: view((plan, dims) => {
    const given = plan.list("axes", 1, 13) ?? [];
    const rank = dims.length + given.length;
    if (rank > 8) throw plan.fault(`makes ${rank} dimensions`);
    const axes = new Set(given.map((axis) => axisOf(plan, axis, rank)));
    if (axes.size !== given.length) throw plan.fault("has an axis twice");
    const rest = [...dims];
    return Array.from({ length: rank }, (_, axis) => (axes.has(axis) ? 1 : rest.shift()!));
  }),
  Transpose: view((plan, dims) => {
    const given = plan.attribute("perm")?.ints ?? [];
    const order = given.length > 0 ? given : dims.map((_, axis) => dims.length - 1 - axis);
    if (
      order.length !== dims.length ||
      new Set(order).size !== order.length ||
      order.some((axis) => dims[axis] === undefined)
    )
      throw plan.fault(`has perm [${order.slice(0, 8).join(", ")}]`);
    const wide = order.filter((axis) => dims[axis] !== 1);
    if (wide.some((axis, index) => index > 0 && axis < wide[index - 1]!))
      throw plan.fault("moves elements, which is not supported");
    return order.map((axis) => dims[axis]!);
  }),
  Cast: view((plan, dims) => {
    if (plan.whole("to", 0) !== 1) throw plan.fault("makes something else than floats");
    return dims;
  }),
  Dropout: view((plan, dims) => {
    if (plan.has(2)) throw plan.fault("has a training mode");
    return dims;
  }),
};

function constantNode(plan: Planner): Known {
  const tensor = plan.attribute("value")?.t;
  if (tensor === undefined) throw plan.fault("has no tensor as its value");
  return { is: "constant", tensor };
}

/** What each operator becomes. */
const operators: Record<string, ((plan: Planner, node: GraphNode) => Known) | undefined> = {
  __proto__: null as never,
  MatMul: matMul,
  Gemm: gemm,
  Conv: conv,
  Add: binary("add"),
  Sub: binary("subtract"),
  Mul: binary("multiply"),
  Div: binary("divide"),
  Relu: unary("relu"),
  Sigmoid: unary("sigmoid"),
  Tanh: unary("tanh"),
  Log: unary("log"),
  Constant: constantNode,
  ...views,
};

/** Names of operators that are taken. */
export const supported = Object.keys(operators).sort();

/** Constants of a step: each was finite, and what several make together is to be, too. */
function numbersOf(step: Step): (readonly number[])[] {
  if (step.do === "dense" || step.do === "conv") return [step.weights, step.bias ?? []];
  return ("from" in step ? [step.from] : [step.a, step.b]).map((one) =>
    "constant" in one ? one.constant : [],
  );
}

/** Makes the plan of a graph; `channels` gives names to what comes in and goes out. */
export function planOf(
  graph: Graph,
  channels: (what: "inputs" | "outputs", count: number) => Channel[],
): Plan {
  const plan = new Planner(graph);
  for (const node of graph.nodes)
    for (const name of node.inputs) plan.uses.set(name, (plan.uses.get(name) ?? 0) + 1);
  for (const { name } of graph.outputs) plan.uses.set(name, (plan.uses.get(name) ?? 0) + 1);
  for (const [name, tensor] of graph.constants) plan.known.set(name, { is: "constant", tensor });
  const input = plan.value(0);
  const ports: Plan["ports"] = [];
  for (const { name, dims: given } of graph.inputs) {
    // What is unknown is the number of examples, and one is computed at a time.
    const dims = given.map((one, axis) => (one === 0 && axis === 0 ? 1 : one));
    const count = countOf(dims);
    if (count === undefined || (dims.length > 1 && dims[0] !== 1))
      throw refuse(
        `the input "${shown(name)}" has the shape [${given.join(", ")}]; only the first dimension may be open, and is 1`,
      );
    if (plan.known.has(name)) throw refuse(`two inputs are called "${shown(name)}"`);
    plan.known.set(name, { is: "value", value: input, offset: plan.sizes[input]!, dims });
    plan.sizes[input]! += count;
    ports.push({ name, dims, count });
  }
  if (ports.length === 0 || plan.sizes[input]! > mostElements)
    throw refuse("it has no input, or too large ones");
  for (const node of graph.nodes) plan.take(node);
  const [port, other] = graph.outputs;
  if (port === undefined || other !== undefined)
    throw refuse(
      `it has ${graph.outputs.length} outputs; one tensor goes out`,
      "export the model with one of them",
    );
  const out = plan.known.get(port.name);
  if (out?.is !== "value" || out.value === input)
    throw refuse(`nothing computes its output "${shown(port.name)}"`);
  const count = product(out.dims);
  for (const step of plan.steps)
    for (const numbers of numbersOf(step))
      if (!numbers.every((one) => Number.isFinite(Math.fround(one))))
        throw refuse(`what it multiplies or adds leaves 32 bits, put together (${step.do})`);
  return {
    opset: graph.opset,
    steps: plan.steps,
    sizes: plan.sizes,
    output: out.value,
    inputs: channels("inputs", plan.sizes[input]!),
    outputs: channels("outputs", count),
    ports,
    outputPort: port.name,
  };
}
