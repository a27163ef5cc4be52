// Hostile ONNX files: each is refused with its reason, or is a network; none takes much memory, and none ends the program.
import { describe, expect, test } from "vitest";
import { UserError } from "../../host/lib/errors.ts";
import { compileModel, mostBytes } from "../../host/model/model.ts";
import { randomBelow } from "../harness/random.ts";
import { dense, encode, port, tensor, type Node, type Parts } from "./onnx.ts";

const small = (): Parts => dense([3, 4, 1], 3);

/** What is said against a model; an error of another kind is a fault of ours. */
function refusal(bytes: Uint8Array): string | undefined {
  try {
    compileModel(bytes);
    return undefined;
  } catch (error) {
    if (error instanceof UserError) return error.message;
    throw error;
  }
}

const changed = (change: (parts: Parts) => void, parts = small()) => {
  change(parts);
  return encode(parts);
};
/** One operation on x, which has 4 elements. */
const single = (node: Partial<Node>, constants: object[] = [], dims = [1, 4]) =>
  encode({
    nodes: [{ operator: "Relu", inputs: ["x"], outputs: ["y"], name: "odd", ...node }],
    constants,
    inputs: [port("x", dims)],
    outputs: [port("y", [1, 4])],
  });
const int = (name: string, i: number) => ({ name, i });
const ints = (name: string, list: number[]) => ({ name, ints: list });

const refused: [string, RegExp, () => Uint8Array][] = [
  ["nothing", /no graph/, () => new Uint8Array()],
  ["text", /not an ONNX file|no graph/, () => Buffer.from("this is not a model at all")],
  ["a file that is too long", /at most/, () => new Uint8Array(mostBytes + 1)],
  [
    "a circle",
    /uses "b", which nothing before it makes/,
    () =>
      encode({
        nodes: [
          { operator: "Add", inputs: ["x", "b"], outputs: ["a"], name: "first" },
          { operator: "Relu", inputs: ["a"], outputs: ["b"], name: "second" },
        ],
        constants: [],
        inputs: [port("x", [1, 4])],
        outputs: [port("b", [1, 4])],
      }),
  ],
  ["a node that uses itself", /Relu \(node odd\) uses "y"/, () => single({ inputs: ["y"] })],
  [
    "a value that is made twice",
    /another one makes/,
    () => changed(({ nodes }) => void nodes.push(nodes[0]!)),
  ],
  [
    "an operator that is not known",
    /operator LSTM \(node memory\)/,
    () => single({ operator: "LSTM", name: "memory" }),
  ],
  [
    "an operator of another domain",
    /com\.example\.Relu of node odd/,
    () => single({ domain: "com.example" }),
  ],
  [
    "the name of a method as an operator",
    /operator constructor/,
    () => single({ operator: "constructor" }),
  ],
  ["operators that are too old", /version 6/, () => changed((parts) => (parts.opset = 6))],
  ["operators that are too new", /version 99/, () => changed((parts) => (parts.opset = 99))],
  [
    "huge dimensions of a constant",
    /shape \[9007199254740991, 1\]/,
    () =>
      changed(
        ({ constants }) => void constants.push(tensor("c", [Number.MAX_SAFE_INTEGER, 1], [])),
      ),
  ],
  [
    "dimensions whose product overflows",
    /elements/,
    () =>
      changed(
        ({ constants }) => void constants.push(tensor("c", [65536, 65536, 65536, 65536], [])),
      ),
  ],
  [
    "a dimension below zero",
    /shape \[-4\]/,
    () => changed(({ constants }) => void constants.push(tensor("c", [-4], [1]))),
  ],
  [
    "a dimension of zero",
    /shape \[0\]/,
    () => changed(({ constants }) => void constants.push(tensor("c", [0], []))),
  ],
  ["huge inputs", /the input "x" has the shape/, () => single({}, [], [1, 2 ** 40])],
  ["a batch", /only the first dimension may be open/, () => single({}, [], [7, 4])],
  [
    "too few elements",
    /has 3 of 4 elements/,
    () => changed(({ constants }) => void constants.push(tensor("c", [4], [1, 2, 3]))),
  ],
  [
    "elements of another length",
    /bytes for 2 elements/,
    () =>
      changed(
        ({ constants }) =>
          void constants.push({ name: "c", dims: [2], type: 1, raw: Buffer.alloc(7) }),
      ),
  ],
  [
    "weights that are doubles",
    /type 11/,
    () =>
      changed(
        ({ constants }) =>
          void constants.push({ name: "c", dims: [1], type: 11, raw: Buffer.alloc(8) }),
      ),
  ],
  [
    "weights that are whole numbers",
    /wrong way round/,
    () =>
      single({ operator: "MatMul", inputs: ["x", "w"] }, [
        { name: "w", dims: [4, 1], type: 7, longs: [1, 2, 3, 4] },
      ]),
  ],
  [
    "weights that are not numbers",
    /not a finite number/,
    () => changed(({ constants }) => void constants.push(tensor("c", [1], [Number.NaN]))),
  ],
  [
    "weights in another file",
    /in another file/,
    () =>
      changed(({ constants }) => void constants.push({ ...tensor("c", [1], [1]), location: 1 })),
  ],
  [
    "weights that come in",
    /not a constant/,
    () => single({ operator: "MatMul", inputs: ["x", "x"] }),
  ],
  [
    "weights of another shape",
    /Gemm \(node odd\) multiplies/,
    () => single({ operator: "Gemm", inputs: ["x", "w"] }, [tensor("w", [5, 1], [1, 2, 3, 4, 5])]),
  ],
  [
    "inputs that are whole numbers",
    /something else than a tensor of floats/,
    () => changed((parts) => (parts.inputs = [port("x", [1, 3], 7)])),
  ],
  [
    "an output that nothing makes",
    /nothing computes/,
    () => changed((parts) => (parts.outputs = [port("nowhere", [1, 1])])),
  ],
  [
    "an output that is the input",
    /nothing computes/,
    () => changed((parts) => (parts.outputs = [port("x", [1, 3])])),
  ],
  ["no outputs", /has 0 outputs/, () => changed((parts) => (parts.outputs = []))],
  ["no inputs", /has no input|which nothing/, () => changed((parts) => (parts.inputs = []))],
  [
    "a constant that does not spread",
    /Add \(node odd\) has a constant of the shape \[3\]/,
    () => single({ operator: "Add", inputs: ["x", "c"] }, [tensor("c", [3], [1, 2, 3])]),
  ],
  [
    "a shape of another size",
    /cannot make/,
    () =>
      single({ operator: "Reshape", inputs: ["x", "s"] }, [
        { name: "s", dims: [2], type: 7, longs: [3, -1] },
      ]),
  ],
  [
    "a shape of minus infinity",
    /cannot make/,
    () =>
      single({ operator: "Reshape", inputs: ["x", "s"] }, [
        { name: "s", dims: [2], type: 7, longs: [-1, -1] },
      ]),
  ],
  [
    "an axis beyond the last",
    /axis 9/,
    () => single({ operator: "Flatten", attributes: [int("axis", 9)] }),
  ],
  [
    "a permutation that moves",
    /moves elements/,
    () =>
      encode({
        nodes: [
          { operator: "Reshape", inputs: ["x", "s"], outputs: ["r"] },
          {
            operator: "Transpose",
            inputs: ["r"],
            outputs: ["y"],
            name: "odd",
            attributes: [ints("perm", [1, 0])],
          },
        ],
        constants: [{ name: "s", dims: [2], type: 7, longs: [2, 2] }],
        inputs: [port("x", [1, 4])],
        outputs: [port("y", [2, 2])],
      }),
  ],
  [
    "a permutation of other axes",
    /has perm/,
    () => single({ operator: "Transpose", attributes: [ints("perm", [0, 7])] }),
  ],
  [
    "huge padding",
    /Conv \(node odd\) has pads/,
    () =>
      single(
        { operator: "Conv", inputs: ["x", "w"], attributes: [ints("pads", [2 ** 31, 0])] },
        [tensor("w", [1, 1, 2], [1, 2])],
        [1, 1, 4],
      ),
  ],
  [
    "padding that makes a huge value",
    /places/,
    () =>
      single(
        { operator: "Conv", inputs: ["x", "w"], attributes: [ints("pads", [65536, 65536])] },
        [tensor("w", [1, 1, 2], [1, 2])],
        [1, 1, 4],
      ),
  ],
  [
    "a stride of zero",
    /does not fit/,
    () =>
      single(
        { operator: "Conv", inputs: ["x", "w"], attributes: [ints("strides", [0])] },
        [tensor("w", [1, 1, 2], [1, 2])],
        [1, 1, 4],
      ),
  ],
  [
    "a kernel longer than the signal",
    /places/,
    () =>
      single(
        { operator: "Conv", inputs: ["x", "w"] },
        [tensor("w", [1, 1, 5], [1, 2, 3, 4, 5])],
        [1, 1, 4],
      ),
  ],
  [
    "a convolution in two dimensions",
    /along one dimension/,
    () =>
      single(
        { operator: "Conv", inputs: ["x", "w"] },
        [tensor("w", [1, 1, 1, 1], [1])],
        [1, 1, 2, 2],
      ),
  ],
  [
    "more groups than outputs",
    /groups/,
    () =>
      single(
        { operator: "Conv", inputs: ["x", "w"], attributes: [int("group", 1e9)] },
        [tensor("w", [1, 1, 1], [1])],
        [1, 1, 4],
      ),
  ],
  [
    "more work than a run has",
    /products/,
    () => {
      // Each of a few thousand bytes, and together a second of a chip.
      const nodes: Node[] = Array.from({ length: 80 }, (_, index) => ({
        operator: "MatMul",
        inputs: [index === 0 ? "x" : `v${index}`, "w"],
        outputs: [`v${index + 1}`],
        name: `m${index}`,
      }));
      return encode({
        nodes,
        constants: [{ name: "w", dims: [256, 256], type: 1, raw: Buffer.alloc(256 * 256 * 4) }],
        inputs: [port("x", [1, 256])],
        outputs: [port("v80", [1, 256])],
      });
    },
  ],
  [
    "more steps than are taken",
    /more than 256 steps/,
    () => {
      const nodes: Node[] = Array.from({ length: 1000 }, (_, index) => ({
        operator: "Tanh",
        inputs: [index === 0 ? "x" : `v${index}`],
        outputs: [`v${index + 1}`],
      }));
      return encode({
        nodes,
        constants: [],
        inputs: [port("x", [1, 4])],
        outputs: [port("v1000", [1, 4])],
      });
    },
  ],
  [
    "names of inputs that are not JSON",
    /is not JSON/,
    () => changed((parts) => (parts.metadata = [{ key: "wasmote.inputs", value: "{" }])),
  ],
  [
    "a list of names that is none",
    /not a list/,
    () => changed((parts) => (parts.metadata = [{ key: "wasmote.inputs", value: "7" }])),
  ],
  [
    "a name with a quote",
    /is not a name/,
    () =>
      changed(
        (parts) =>
          (parts.metadata = [{ key: "wasmote.outputs", value: '[{"name":"a\\"; evil()"}]' }]),
      ),
  ],
  [
    "too few names",
    /1 names are given for 3/,
    () =>
      changed((parts) => (parts.metadata = [{ key: "wasmote.inputs", value: '[{"name":"a"}]' }])),
  ],
];

describe("a model is refused", () => {
  test("the one they are made from is taken", () =>
    expect(refusal(encode(small()))).toBeUndefined());
  test.each(refused)("with %s", (_, reason, make) => {
    expect(refusal(make())).toMatch(reason);
  });
});

test("a model that is cut off anywhere is refused, or says the same as the whole", () => {
  const whole = encode(small());
  for (let length = 0; length < whole.length; length++) {
    const said = refusal(whole.subarray(0, length));
    // Behind the graph there is the set of operators: without it nothing is taken.
    expect(said, `${length} bytes`).toBeDefined();
  }
});

test("changed bytes are refused or make another network, within bounded memory", () => {
  const whole = encode(dense([3, 8, 1], 5));
  const below = randomBelow(1919);
  const before = process.memoryUsage();
  let taken = 0;
  for (let round = 0; round < 4000; round++) {
    const bytes = Uint8Array.from(whole);
    for (let change = below(4); change >= 0; change--) bytes[below(bytes.length)] = below(256);
    if (refusal(bytes) === undefined) taken++;
  }
  expect(taken).toBeGreaterThan(100);
  expect(taken).toBeLessThan(4000);
  const after = process.memoryUsage();
  expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(64 << 20);
  expect(after.heapUsed - before.heapUsed).toBeLessThan(512 << 20);
});

test("a file that is all small parts takes memory in relation to its size", () => {
  // A list of empty operations: two bytes each.
  const nodes = Buffer.alloc(500_000, Buffer.from([0x0a, 0x00]));
  const length = nodes.length;
  const head = Buffer.from([0x3a, (length & 127) | 128, ((length >> 7) & 127) | 128, length >> 14]);
  const before = process.memoryUsage().heapUsed;
  expect(
    refusal(Buffer.concat([Buffer.from([0x42, 0x02, 0x10, 0x11]), head, nodes])),
  ).toBeDefined();
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(700 << 20);
});
