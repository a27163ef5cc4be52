// ONNX files: the part of the format that dense and convolutional networks use, read as hostile input.
//
// The protocol buffers are decoded by protobufjs, with the messages below: fields by their numbers in onnx.proto (IR version 3
// to 13). Subgraphs, functions, sparse and quantised tensors are not among them; operators that need those are refused by name.
// A file has at most `mostBytes`, and so what is decoded is bounded whatever its lengths say.
import protobuf from "protobufjs";
import { UserError } from "../lib/errors.ts";
import { oneLine } from "../lib/text.ts";

/** What a file may have: a package has at most 16 KiB on a node, and a weight at most 8 bytes here. */
export const mostBytes = 512 * 1024;
/** Elements of one tensor. */
export const mostElements = 1 << 16;
/** Versions of the operators of ONNX (`opset_import` of the domain "") whose meaning is implemented. */
export const opsets = { least: 7, most: 25 } as const;

/** Numbers with a shape; whole numbers are those of int64 tensors. */
export interface Tensor {
  dims: number[];
  kind: "f32" | "i64";
  data: number[];
}

export interface Attribute {
  f?: number;
  i?: number;
  s?: string;
  floats: number[];
  ints: number[];
  t?: Tensor;
}

/** An operation of the graph. */
export interface GraphNode {
  /** Its name; without one, its number. */
  name: string;
  operator: string;
  inputs: string[];
  outputs: string[];
  attributes: Map<string, Attribute>;
}

/** A value that comes in or goes out. Unknown dimensions, which are those of a batch, are 0. */
export interface Port {
  name: string;
  dims: number[];
}

export interface Graph {
  name: string;
  opset: number;
  nodes: GraphNode[];
  constants: Map<string, Tensor>;
  inputs: Port[];
  outputs: Port[];
  /** `metadata_props`: what a training script says of its model. */
  metadata: Map<string, string>;
}

/** A model that is not taken. */
export function refuse(
  what: string,
  advice = "docs/model.md says which networks are taken, and how to export one",
): UserError {
  return new UserError(`the model is refused: ${what}`, advice, "usage");
}

const field = (id: number, type: string) => ({ id, type });
const many = (id: number, type: string) => ({ id, type, rule: "repeated" });
/** The messages as they are read; tests write models with them. */
export const schema = protobuf.Root.fromJSON({
  nested: {
    Model: {
      fields: {
        irVersion: field(1, "int64"),
        graph: field(7, "Graph"),
        opsets: many(8, "Opset"),
        metadata: many(14, "Entry"),
      },
    },
    Opset: { fields: { domain: field(1, "string"), version: field(2, "int64") } },
    Entry: { fields: { key: field(1, "string"), value: field(2, "string") } },
    Graph: {
      fields: {
        nodes: many(1, "Operation"),
        name: field(2, "string"),
        constants: many(5, "Tensor"),
        inputs: many(11, "Value"),
        outputs: many(12, "Value"),
        sparse: many(15, "bytes"),
      },
    },
    Operation: {
      fields: {
        inputs: many(1, "string"),
        outputs: many(2, "string"),
        name: field(3, "string"),
        operator: field(4, "string"),
        attributes: many(5, "Attribute"),
        domain: field(7, "string"),
      },
    },
    Attribute: {
      fields: {
        name: field(1, "string"),
        f: field(2, "float"),
        i: field(3, "int64"),
        s: field(4, "bytes"),
        t: field(5, "Tensor"),
        floats: many(7, "float"),
        ints: many(8, "int64"),
      },
    },
    Tensor: {
      fields: {
        dims: many(1, "int64"),
        type: field(2, "int32"),
        floats: many(4, "float"),
        longs: many(7, "int64"),
        name: field(8, "string"),
        raw: field(9, "bytes"),
        location: field(14, "int32"),
      },
    },
    Value: { fields: { name: field(1, "string"), type: field(2, "Type") } },
    Type: { fields: { tensor: field(1, "TensorType") } },
    TensorType: { fields: { element: field(1, "int32"), shape: field(2, "Shape") } },
    Shape: { fields: { dims: many(1, "Dimension") } },
    Dimension: { fields: { value: field(1, "int64"), parameter: field(2, "string") } },
  },
});

interface RawTensor {
  dims: number[];
  type: number;
  floats: number[];
  longs: number[];
  name: string;
  raw: Uint8Array;
  location: number;
}
interface RawValue {
  name: string;
  type: { tensor: { element: number; shape: { dims: { value: number }[] } | null } | null } | null;
}
interface RawAttribute {
  name: string;
  f: number;
  i: number;
  s: Uint8Array;
  t: RawTensor | null;
  floats: number[];
  ints: number[];
}
interface RawModel {
  irVersion: number;
  opsets: { domain: string; version: number }[];
  metadata: { key: string; value: string }[];
  graph: {
    name: string;
    nodes: {
      inputs: string[];
      outputs: string[];
      name: string;
      operator: string;
      domain: string;
      attributes: RawAttribute[];
    }[];
    constants: RawTensor[];
    inputs: RawValue[];
    outputs: RawValue[];
    sparse: Uint8Array[];
  } | null;
}

/** Element types of TensorProto. */
const float = 1;
const int64 = 7;

/** A name of a file as it is shown. */
export const shown = (text: string) => oneLine(text).slice(0, 60) || "(no name)";

/** Reads a file; one that is not taken is a UserError that says why. */
export function readOnnx(bytes: Uint8Array): Graph {
  if (bytes.length > mostBytes)
    throw refuse(`it has ${bytes.length} bytes, and at most ${mostBytes} are read`);
  const model = decode(bytes);
  const opset = model.opsets.find(({ domain }) => domain === "" || domain === "ai.onnx")?.version;
  if (model.graph === null || opset === undefined)
    throw refuse(
      "it has no graph and operator set: it is not an ONNX model, or only a part of one",
    );
  if (!(opset >= opsets.least && opset <= opsets.most))
    throw refuse(
      `its operators are of version ${opset}; ${opsets.least} to ${opsets.most} are known`,
      `export it with opset ${Math.min(opsets.most, 17)}`,
    );
  const { graph } = model;
  if (graph.sparse.length > 0) throw refuse("it has sparse constants");
  const constants = new Map<string, Tensor>();
  for (const one of graph.constants) {
    if (constants.has(one.name)) throw refuse(`two constants are called ${shown(one.name)}`);
    constants.set(one.name, tensorOf(one, `the constant ${shown(one.name)}`));
  }
  const nodes = graph.nodes.map((node, index): GraphNode => {
    const name = node.name === "" ? `number ${index + 1}` : shown(node.name);
    if (node.domain !== "" && node.domain !== "ai.onnx")
      throw refuse(`the operator ${shown(node.domain)}.${shown(node.operator)} of node ${name}`);
    const seen = new Set<string>();
    for (const { name: one } of node.attributes) {
      if (seen.has(one))
        throw refuse(`${shown(node.operator)} (node ${name}) has two attributes ${shown(one)}`);
      seen.add(one);
    }
    const attributes = new Map(
      node.attributes.map((one): [string, Attribute] => [
        one.name,
        {
          f: one.f,
          i: one.i,
          s: Buffer.from(one.s).toString("latin1"),
          floats: one.floats,
          ints: one.ints,
          ...(one.t === null ? {} : { t: tensorOf(one.t, `the constant in node ${name}`) }),
        },
      ]),
    );
    const { inputs, outputs } = node;
    return { name, operator: shown(node.operator), inputs, outputs, attributes };
  });
  return {
    name: graph.name,
    opset,
    nodes,
    constants,
    // Before IR version 4, constants were listed among the inputs too.
    inputs: graph.inputs.filter(({ name }) => !constants.has(name)).map((one) => portOf(one)),
    outputs: graph.outputs.map((one) => portOf(one)),
    metadata: new Map(model.metadata.map(({ key, value }) => [key, value])),
  };
}

function decode(bytes: Uint8Array): RawModel {
  try {
    const type = schema.lookupType("Model");
    const message = type.decode(bytes);
    return type.toObject(message, {
      longs: Number,
      arrays: true,
      defaults: true,
      bytes: Uint8Array as never,
    }) as RawModel;
  } catch (error) {
    throw refuse(`it is not an ONNX file, or a damaged one: ${oneLine((error as Error).message)}`);
  }
}

/** How many elements a shape has; undefined where that is more than is taken, or no number. */
export function countOf(dims: readonly number[]): number | undefined {
  let count = 1;
  for (const one of dims) {
    if (!(Number.isSafeInteger(one) && one >= 1)) return undefined;
    count *= one;
    if (count > mostElements) return undefined;
  }
  return count;
}

function tensorOf(raw: RawTensor, what: string): Tensor {
  const count = countOf(raw.dims);
  if (raw.dims.length > 8 || count === undefined)
    throw refuse(
      `${what} has the shape [${raw.dims.slice(0, 9).join(", ")}]; it may have ${mostElements} elements`,
    );
  if (raw.type !== float && raw.type !== int64)
    throw refuse(
      `${what} has elements of type ${raw.type}; float (1) is taken, int64 (7) for shapes`,
    );
  if (raw.location !== 0) throw refuse(`${what} is in another file`);
  const kind = raw.type === float ? "f32" : "i64";
  const size = kind === "f32" ? 4 : 8;
  let data = kind === "f32" ? raw.floats : raw.longs;
  if (raw.raw.length > 0) {
    if (raw.raw.length !== count * size || data.length > 0)
      throw refuse(`${what} has ${raw.raw.length} bytes for ${count} elements`);
    const view = new DataView(raw.raw.buffer, raw.raw.byteOffset, raw.raw.length);
    data = Array.from({ length: count }, (_, index) =>
      kind === "f32" ? view.getFloat32(index * 4, true) : Number(view.getBigInt64(index * 8, true)),
    );
  }
  if (data.length !== count) throw refuse(`${what} has ${data.length} of ${count} elements`);
  if (!data.every((one) => Number.isFinite(one)))
    throw refuse(`${what} has an element that is not a finite number`);
  return { dims: raw.dims, kind, data };
}

function portOf({ name, type }: RawValue): Port {
  const tensor = type?.tensor;
  if (tensor === null || tensor === undefined || tensor.element !== float)
    throw refuse(`${shown(name)} comes in or goes out as something else than a tensor of floats`);
  const dims = tensor.shape?.dims.map(({ value }) => value) ?? [];
  if (dims.length > 8) throw refuse(`${shown(name)} has ${dims.length} dimensions`);
  return { name, dims };
}
