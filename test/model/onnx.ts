// ONNX files for tests, written with the messages that the reader knows.
import { schema } from "../../host/model/onnx.ts";

export interface Node {
  operator: string;
  inputs: string[];
  outputs: string[];
  name?: string;
  domain?: string;
  attributes?: object[];
}

export interface Parts {
  opset?: number;
  nodes: Node[];
  constants: object[];
  inputs: object[];
  outputs: object[];
  metadata?: { key: string; value: string }[];
}

export const tensor = (name: string, dims: number[], floats: number[]) => ({
  name,
  dims,
  type: 1,
  floats,
});
export const port = (name: string, dims: number[], element = 1) => ({
  name,
  type: { tensor: { element, shape: { dims: dims.map((value) => ({ value })) } } },
});

/** Dense layers with the rectifier between them, with weights from a seed. */
export function dense(sizes: number[], seed: number): Parts {
  const next = () => ((seed = (seed * 1103515245 + 12345) % 2 ** 31), seed / 2 ** 30 - 1);
  const nodes: Node[] = [];
  const constants: object[] = [];
  let value = "x";
  sizes.slice(1).forEach((outputs, index) => {
    const inputs = sizes[index]!;
    constants.push(
      tensor(
        `w${index}`,
        [inputs, outputs],
        Array.from({ length: inputs * outputs }, () => next() / Math.sqrt(inputs)),
      ),
    );
    constants.push(tensor(`b${index}`, [outputs], Array.from({ length: outputs }, next)));
    nodes.push({
      operator: "MatMul",
      inputs: [value, `w${index}`],
      outputs: [`m${index}`],
      name: `multiply${index}`,
    });
    nodes.push({
      operator: "Add",
      inputs: [`m${index}`, `b${index}`],
      outputs: [`a${index}`],
      name: `add${index}`,
    });
    value = `a${index}`;
    if (index === sizes.length - 2) return;
    nodes.push({ operator: "Relu", inputs: [value], outputs: [`r${index}`], name: `relu${index}` });
    value = `r${index}`;
  });
  return {
    nodes,
    constants,
    inputs: [port("x", [0, sizes[0]!])],
    outputs: [port(value, [0, sizes.at(-1)!])],
  };
}

export function encode({ opset = 17, metadata = [], ...graph }: Parts): Uint8Array {
  const type = schema.lookupType("Model");
  return type
    .encode(
      type.fromObject({
        irVersion: 8,
        opsets: [{ domain: "", version: opset }],
        metadata,
        graph: { name: "test", ...graph },
      }),
    )
    .finish();
}
