// Hostile ONNX files below and beside the graph: wire forms that no writer makes, numbers that leave their type, names that control a terminal.
import { describe, expect, test } from "vitest";
import { UserError } from "../../host/lib/errors.ts";
import { arithmetics, buildFilter, compileModel } from "../../host/model/model.ts";
import { dense, encode, port, tensor, type Parts } from "./onnx.ts";

const small = (change: (parts: Parts) => void = () => {}): Uint8Array => {
  const parts = dense([3, 4, 1], 3);
  change(parts);
  return encode(parts);
};

/** Why it is refused in every arithmetic; undefined where it is taken. An error of another kind is a fault of ours. */
function refusal(bytes: Uint8Array): string | undefined {
  const said = arithmetics.map((arithmetic) => {
    try {
      compileModel(bytes, { arithmetic });
      return undefined;
    } catch (error) {
      if (error instanceof UserError) return error.message;
      throw error;
    }
  });
  return said.find((one) => one !== undefined);
}

const varint = (value: bigint): number[] => {
  const bytes: number[] = [];
  for (let rest = BigInt.asUintN(64, value); ; rest >>= 7n) {
    bytes.push(Number(rest & 127n) | (rest > 127n ? 128 : 0));
    if (rest <= 127n) return bytes;
  }
};
/** A field of the outermost message behind the model. */
const behind = (...bytes: number[]) => Buffer.concat([small(), Buffer.from(bytes)]);

describe("on the wire", () => {
  test.each([
    // Field 50 is unknown: it is read over, as protocol buffers want it.
    ["an unknown field", [0x90, 0x03, 0x01], true],
    ["a number of ten bytes", [0x90, 0x03, ...Array.from({ length: 9 }, () => 0xff), 0x01], true],
    // protobufjs reads over what it does not know, however it is written.
    ["a number of eleven bytes", [0x90, 0x03, ...Array.from({ length: 10 }, () => 0xff), 1], true],
    ["a number that does not end", [0x90, 0x03, 0xff, 0xff], false],
    ["an unknown group", [0x93, 0x03, 0x94, 0x03], true],
    ["a group that does not end", [0x93, 0x03], false],
    ["the end of a group without its begin", [0x94, 0x03], false],
    ["a wire type that there is not", [0x96, 0x03], false],
    ["bytes that are longer than the file", [0x92, 0x03, ...varint(1n << 31n)], false],
    ["bytes of a negative length", [0x92, 0x03, ...varint(-1n)], false],
    ["the graph once more, as a number", [0x38, 0x01], true],
    ["the number of the field zero", [0x00, 0x01], false],
  ] as const)("%s", (_, bytes, taken) => {
    const said = refusal(behind(...bytes));
    if (taken) expect(said).toBeUndefined();
    else expect(said).toMatch(/the model is refused/);
  });

  test("groups and messages within each other are no end of the stack", () => {
    for (const depth of [10, 1_000, 100_000, 250_000]) {
      const groups = Buffer.alloc(2 * depth, Buffer.from([0x93, 0x03]));
      expect(refusal(Buffer.concat([small(), groups]))).toMatch(/refused/);
    }
    // A graph in a graph in a graph: attributes with tensors cannot hold one, so nothing is deep.
    let nested = Buffer.alloc(0);
    for (let level = 0; level < 5_000; level++)
      nested = Buffer.concat([Buffer.from([0x3a, ...varint(BigInt(nested.length))]), nested]);
    expect(refusal(nested)).toMatch(/refused/);
  });

  test("a second graph behind the first does not make one network of two", () => {
    // Fields that come twice are joined: what comes in is then there twice.
    expect(refusal(Buffer.concat([small(), small()]))).toMatch(/refused/);
  });
});

const zeros = (count: number) => Array.from({ length: count }, () => 0);
const gemm = (attributes: object[], weights: number[], bias: number[]): Uint8Array =>
  encode({
    nodes: [
      { operator: "Gemm", inputs: ["x", "w", "b"], outputs: ["y"], name: "layer", attributes },
    ],
    constants: [tensor("w", [4, 1], weights), tensor("b", [1], bias)],
    inputs: [port("x", [1, 4])],
    outputs: [port("y", [1, 1])],
  });

describe("numbers and names", () => {
  test.each<[string, () => Uint8Array]>([
    ["a weight that is not a number", () => gemm([], [1, NaN, 1, 1], [0])],
    ["a weight without end", () => gemm([], [1, -Infinity, 1, 1], [0])],
    ["a bias that is not a number", () => gemm([], [1, 1, 1, 1], [NaN])],
    ["a factor that is not a number", () => gemm([{ name: "alpha", f: NaN }], [1, 1, 1, 1], [0])],
    ["a factor without end", () => gemm([{ name: "beta", f: Infinity }], [1, 1, 1, 1], [1])],
    [
      "weights that leave their type by the factor",
      () => gemm([{ name: "alpha", f: 1e30 }], [1e30, 1, 1, 1], [0]),
    ],
    [
      "an attribute twice",
      () =>
        gemm(
          [
            { name: "alpha", f: 1 },
            { name: "alpha", f: 2 },
          ],
          [1, 1, 1, 1],
          [0],
        ),
    ],
    ["two inputs of one name", () => small((parts) => void parts.inputs.push(parts.inputs[0]!))],
    ["two outputs of one name", () => small((parts) => void parts.outputs.push(parts.outputs[0]!))],
    [
      "an input that a node makes too",
      () => small((parts) => void (parts.nodes[1]!.outputs = ["x"])),
    ],
    [
      "a constant that a node makes too",
      () => small((parts) => void (parts.nodes[0]!.outputs = ["b0"])),
    ],
    ["a node without outputs", () => small((parts) => void (parts.nodes[0]!.outputs = []))],
    ["a node without inputs", () => small((parts) => void (parts.nodes[0]!.inputs = []))],
    [
      "a node with a thousand inputs",
      () => small((parts) => void (parts.nodes[0]!.inputs = zeros(1000).map(() => "x"))),
    ],
    ["no nodes", () => small((parts) => void (parts.nodes = []))],
  ])("%s is refused", (_, make) => {
    expect(refusal(make())).toMatch(/the model is refused/);
  });

  test("names control no terminal, and are no code in the source", async () => {
    const evil = '\u001b[2J\u0007\u202e*/ evil(); /*\n"`${1}';
    const said = refusal(
      small((parts) => {
        parts.nodes[0]!.operator = evil;
        parts.nodes[0]!.name = evil;
      }),
    );
    // oxlint-disable-next-line no-control-regex
    expect(said).not.toMatch(/[\u0000-\u001f\u202e]/);
    // Values may be called as they like: they are numbers in the source.
    const model = compileModel(
      small((parts) => {
        for (const node of parts.nodes) {
          node.name = evil;
          node.inputs = node.inputs.map((one) => one + evil);
          node.outputs = node.outputs.map((one) => one + evil);
        }
        parts.constants = (parts.constants as { name: string }[]).map((one) => ({
          ...one,
          name: one.name + evil,
        }));
        for (const one of [...parts.inputs, ...parts.outputs] as { name: string }[])
          one.name += evil;
      }),
    );
    expect(model.source).not.toContain("evil");
    expect((await buildFilter(model)).module.length).toBeGreaterThan(100);
    for (const name of ["__proto__", "constructor", "toString", ""]) {
      const bytes = small((parts) => {
        parts.nodes.at(-1)!.outputs = [name];
        parts.outputs = [port(name, [0, 1])];
      });
      if (name === "") expect(refusal(bytes)).toMatch(/refused/);
      else expect(refusal(bytes), name).toBeUndefined();
    }
  });
});
