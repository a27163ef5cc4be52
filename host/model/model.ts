// From an ONNX file to a source or a module: what `wasmote model` does, as a function, and the report of what it costs.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { build, type Built } from "../lib/build/build.ts";
import { inspect, instantiate, type Instance } from "../lib/engine.ts";
import { channelFault, unitFault } from "../lib/names.ts";
import { generateKey, makePackage } from "../lib/package.ts";
import { runFuel } from "../lib/simulate.ts";
import { bareOf, filterOf, identifier, sourceOf, type Arithmetic } from "./emit.ts";
import { mostBytes, readOnnx, refuse } from "./onnx.ts";
import { planOf, type Channel, type Plan } from "./plan.ts";
import { temporaryFolder } from "../lib/temporary.ts";

export { arithmetics, type Arithmetic } from "./emit.ts";
export { supported, type Plan } from "./plan.ts";
export { mostBytes, opsets } from "./onnx.ts";

export interface ModelOptions {
  arithmetic?: Arithmetic;
  /** The name of the model; it is that of the source's file. */
  name?: string;
  /** Names of what comes in and goes out, in order, instead of those that the file gives. */
  inputs?: string[];
  outputs?: string[];
}

export interface Model {
  name: string;
  arithmetic: Arithmetic;
  plan: Plan;
  /** What a filter imports. */
  source: string;
  /** A filter that is the model and nothing besides. */
  filter: string;
}

/** Keys of `metadata_props` in which a training script names channels: `[{"name":"rain","unit":"mm"}]`. */
const metadataKeys = { inputs: "wasmote.inputs", outputs: "wasmote.outputs" } as const;

/** Reads a model and makes the sources; one that is not taken is a UserError. */
export function compileModel(bytes: Uint8Array, options: ModelOptions = {}): Model {
  const { arithmetic = "f32", name = "model" } = options;
  const graph = readOnnx(bytes);
  const channels = (what: "inputs" | "outputs", count: number): Channel[] => {
    const found =
      options[what]?.map((one): Channel => ({ name: one, unit: "" })) ??
      described(graph.metadata.get(metadataKeys[what]), metadataKeys[what]) ??
      Array.from({ length: count }, (_, place): Channel => ({
        name: `${what.slice(0, -1)}-${place}`,
        unit: "",
      }));
    if (found.length !== count)
      throw refuse(
        `${found.length} names are given for ${count} ${what}`,
        `name each: --${what} a,b,…`,
      );
    const seen = new Set<string>();
    for (const one of found) {
      const fault = channelFault(one.name) ?? unitFault(one.unit);
      if (fault !== undefined) throw refuse(`of its ${what}, ${fault}`);
      if (seen.has(identifier(one.name))) throw refuse(`two of its ${what} are called ${one.name}`);
      seen.add(identifier(one.name));
    }
    return found;
  };
  const plan = planOf(graph, channels);
  const source = sourceOf(plan, {
    title: `The network ${name}: ONNX, opset ${plan.opset}.`,
    arithmetic,
  });
  return { name, arithmetic, plan, source, filter: filterOf(plan, name) };
}

function described(text: string | undefined, key: string): Channel[] | undefined {
  if (text === undefined) return undefined;
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch {
    throw refuse(`its metadata ${key} is not JSON`);
  }
  if (!Array.isArray(list)) throw refuse(`its metadata ${key} is not a list`);
  return list.map((one: unknown) => {
    const { name, unit = "" } = (one ?? {}) as Partial<Channel>;
    if (typeof name !== "string" || typeof unit !== "string")
      throw refuse(`its metadata ${key} has an entry without a name`);
    return { name, unit };
  });
}

/** Builds the sources of a model in a folder of their own: as a filter, or with `run` exported for whoever feeds it from outside. */
async function built(model: Model, plain: boolean): Promise<Built> {
  using scratch = temporaryFolder("model");
  const folder = scratch.path;
  writeFileSync(join(folder, `${model.name}.ts`), model.source);
  const file = join(folder, `${model.name}-${plain ? "bare" : "filter"}.ts`);
  writeFileSync(file, plain ? bareOf(model.name) : model.filter);
  return await build(file, { plain });
}

/** Inputs of a filter that is made for a model: a bit each says which have come. */
const mostSensors = 32;

/** The model as a module that a node takes: each input a sensor, each output an output. At most 32 inputs. */
export function buildFilter(model: Model): Promise<Built> {
  if (model.plan.inputs.length > mostSensors)
    throw refuse(
      `it has ${model.plan.inputs.length} inputs; as a filter of its own a model has at most ${mostSensors}`,
      "import its source in a filter that sets them",
    );
  return built(model, false);
}

/** A model that runs in this process, in the engine that nodes have. */
export interface Loaded {
  module: Uint8Array;
  /** Computes the outputs for inputs, and says what fuel it took. */
  run: (inputs: ArrayLike<number>) => { outputs: number[]; fuel: number };
}

/** Builds a model with its bare functions, and makes an instance of it. */
export async function loadModel(model: Model): Promise<Loaded> {
  const { module } = await built(model, true);
  const instance: Instance = instantiate(module, "wasmote", () => undefined);
  const call = (name: string | undefined, values: number[]) => {
    const ended = instance.call(name, values, Number.MAX_SAFE_INTEGER);
    if (ended.trap !== undefined) throw new Error(`the model trapped: ${ended.trap}`);
    return ended;
  };
  call(undefined, []);
  return {
    module,
    run(inputs) {
      for (let place = 0; place < model.plan.inputs.length; place++)
        call("put", [place, Math.fround(inputs[place] ?? 0)]);
      const { fuel = 0 } = call("compute", []);
      const outputs = model.plan.outputs.map((_, place) =>
        Number(call("result", [place]).values[0]),
      );
      return { outputs, fuel };
    },
  };
}

/** What a model costs as a filter of its own. */
export interface Cost {
  /** Bytes of the module, and of the signed package. */
  module: number;
  package: number;
  /** Bytes of RAM, and of branch table in flash. */
  ram: number;
  table: number;
  /** Weights and biases. */
  parameters: number;
  /** Multiplications of a run. */
  products: number;
}

export function costOf(model: Model, { module }: Built): Cost {
  const { footprint, table } = inspect(module);
  const { inputs, outputs, steps } = model.plan;
  const needs = {
    ram: footprint.total,
    table,
    fuel: runFuel,
    sensors: inputs.length,
    outputs: outputs.length,
  };
  const manifest = {
    vendor: "",
    class: "stm32f407",
    sequence: 1,
    name: model.name,
    version: "1.0.0",
    needs,
  };
  const layers = steps.filter((step) => step.do === "dense" || step.do === "conv");
  return {
    module: module.length,
    package: makePackage(module, manifest, generateKey()).length,
    ram: footprint.total,
    table,
    parameters: layers.reduce(
      (sum, { weights, bias }) => sum + weights.length + (bias?.length ?? 0),
      0,
    ),
    products: layers.reduce(
      (sum, step) => sum + step.weights.length * (step.do === "conv" ? step.places : 1),
      0,
    ),
  };
}

/** How far results are from others: the largest distance, and the largest in relation to the other's size. */
export interface Distance {
  absolute: number;
  relative: number;
  /** Of how many results. */
  count: number;
}

export function distanceOf(results: number[][], others: number[][]): Distance {
  const distance: Distance = { absolute: 0, relative: 0, count: 0 };
  results.forEach((row, index) =>
    row.forEach((one, place) => {
      const other = others[index]?.[place] ?? Number.NaN;
      const away = Object.is(one, other) ? 0 : Math.abs(one - other);
      const relative = away === 0 ? 0 : away / Math.abs(other);
      distance.count++;
      // What is no number is as far away as can be.
      if (!(away <= distance.absolute)) distance.absolute = Number.isNaN(away) ? Infinity : away;
      if (!(relative <= distance.relative))
        distance.relative = Number.isNaN(relative) ? Infinity : relative;
    }),
  );
  return distance;
}

export { mostBytes as mostModelBytes };
