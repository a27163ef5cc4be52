"""Makes networks of random shapes and computes them with ONNX Runtime: networks.py FOLDER SEED COUNT.

Each network is FOLDER/N.onnx; FOLDER/expected.json has rows of inputs and the outputs for each.
"""

import json
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

folder, seed, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
random = np.random.default_rng(seed)


class Builder:
    def __init__(self, opset):
        self.opset = opset
        self.nodes, self.constants, self.number = [], [], 0

    def constant(self, values, kind=np.float32):
        self.number += 1
        name = f"c{self.number}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, kind), name))
        return name

    def node(self, operator, inputs, **attributes):
        self.number += 1
        name = f"v{self.number}"
        self.nodes.append(helper.make_node(operator, inputs, [name], f"n{self.number}", **attributes))
        return name

    def normal(self, *shape):
        return random.normal(0, 1 / np.sqrt(max(shape[-1], 1)), shape)


def activation(b, value):
    kind = random.choice(["Relu", "Sigmoid", "Tanh", "none"])
    return value if kind == "none" else b.node(kind, [value])


def scaling(b, value, shape):
    operator = random.choice(["Add", "Sub", "Mul", "Div"])
    # A number, a row, or all of it; away from zero, as a divisor is.
    size = [[], [shape[-1]], shape][random.integers(3)]
    other = b.constant(random.uniform(0.5, 2, size) * random.choice([-1, 1]))
    # A constant before: Sub and Div are another thing then. Nothing is divided by a value that may be near zero.
    before = operator != "Div" and random.random() < 0.3
    return b.node(operator, [other, value] if before else [value, other])


def dense(b, value, inputs, outputs):
    weights, bias = b.normal(inputs, outputs), random.normal(0, 0.3, outputs)
    if random.random() < 0.5:
        swapped = bool(random.random() < 0.5)
        alpha, beta = ((1.0, 1.0) if random.random() < 0.7 else (0.5, 2.0))
        given = [value, b.constant(weights.T if swapped else weights)]
        # Until version 11 a Gemm has to have all three.
        if b.opset < 11 or random.random() < 0.8:
            given.append(b.constant(bias if random.random() < 0.8 else bias[:1]))
        return b.node("Gemm", given, transB=int(swapped), alpha=alpha, beta=beta)
    made = b.node("MatMul", [value, b.constant(weights)])
    if random.random() < 0.2:
        return made
    other = b.constant(bias)
    return b.node("Add", [made, other] if random.random() < 0.5 else [other, made])


def convolutions(b, value, size):
    """The row as a signal, one or two convolutions, and a row again."""
    channels = int(random.choice([one for one in (1, 2, 3, 4) if size % one == 0]))
    length = size // channels
    value = b.node("Reshape", [value, b.constant([-1, channels, length] if random.random() < 0.5 else [1, channels, length], np.int64)])
    for _ in range(random.integers(1, 3)):
        groups = channels if random.random() < 0.3 else 1
        outputs = groups * int(random.integers(1, 4))
        kernel = int(random.integers(1, min(4, length) + 1))
        dilation = int(random.integers(1, 3)) if (kernel - 1) * 2 < length else 1
        stride = int(random.integers(1, 3))
        pads = [int(random.integers(0, 3)), int(random.integers(0, 3))]
        given = [value, b.constant(b.normal(outputs, channels // groups, kernel))]
        if random.random() < 0.7:
            given.append(b.constant(random.normal(0, 0.3, outputs)))
        value = b.node("Conv", given, kernel_shape=[kernel], pads=pads, strides=[stride], dilations=[dilation], group=groups)
        channels, length = outputs, (length + sum(pads) - dilation * (kernel - 1) - 1) // stride + 1
        value = activation(b, value)
    return b.node("Flatten", [value]), channels * length


def network(path):
    opset = int(random.choice([9, 11, 13, 17, 21]))
    b = Builder(opset)
    inputs = int(random.integers(1, 17))
    value, size = "x", inputs
    if random.random() < 0.3:
        value = b.node("Log", [b.node("Add", [value, b.constant([10.0])])])
    if random.random() < 0.4:
        value, size = convolutions(b, value, size)
    for _ in range(random.integers(1, 4)):
        if random.random() < 0.4:
            value = scaling(b, value, [1, size])
        if random.random() < 0.2:
            # Two ways that meet again.
            value = b.node("Add", [activation(b, value), value])
        outputs = int(random.integers(1, 25))
        value, size = dense(b, value, size, outputs), outputs
        value = activation(b, value)
    if random.random() < 0.3:
        value = scaling(b, value, [1, size])
    # What ends here is named as an output; no activation may be the input itself.
    value = b.node("Mul", [value, b.constant([1.5])])
    graph = helper.make_graph(
        b.nodes,
        "random",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, inputs])],
        [helper.make_tensor_value_info(value, TensorProto.FLOAT, [None, size])],
        b.constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=4 if opset < 11 else 8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    rows = random.normal(0, 2, (8, inputs)).astype(np.float32)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    answers = [session.run(None, {"x": row[None, :]})[0].reshape(-1).tolist() for row in rows]
    return {"rows": rows.tolist(), "outputs": answers}


expected = [network(f"{folder}/{number}.onnx") for number in range(count)]
with open(f"{folder}/expected.json", "w", encoding="utf-8") as file:
    json.dump(expected, file)
