"""Writes a network with random weights, for measurements: what a proof costs depends on the shape.

    pip install numpy onnx
    python3 benches/synthetic.py 784-128-10 mnist     # mnist.onnx, mnist.npz (calibration), mnist.json (one input)
    python3 benches/synthetic.py 3x32x32-32-32-p-64-64-p-128-p-10 vgg

The first number is the input's length, the last one the output's, with a perceptron's layers between. Or the input is an image:
then each number between is a 3x3 convolution to so many channels, p halves both sides, and the last layer is dense.
"""

import json
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Network:
    """Layers so far, and the shape of what they give."""

    def __init__(self, shape):
        self.rng = np.random.default_rng(1)
        self.nodes, self.initializers = [], []
        self.value, self.shape = "input", shape

    def add(self, kind, inputs, shape, **attributes):
        name = f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, [self.value, *inputs], [name], name, **attributes))
        self.value, self.shape = name, shape

    def parameters(self, shape):
        """A weight whose rows have unit variance after a rectifier, and a bias."""
        names = []
        for values in [
            self.rng.normal(0, (2 / np.prod(shape[1:])) ** 0.5, shape),
            self.rng.normal(0, 0.1, shape[0]),
        ]:
            names.append(f"p{len(self.initializers)}")
            self.initializers.append(numpy_helper.from_array(values.astype(np.float32), names[-1]))
        return names

    def gemm(self, width):
        if len(self.shape) > 1:
            self.add("Flatten", [], [int(np.prod(self.shape))])
        self.add("Gemm", self.parameters((width, self.shape[0])), [width], transB=1)

    def conv(self, channels):
        _, *sides = self.shape
        weights = self.parameters((channels, self.shape[0], 3, 3))
        self.add("Conv", weights, [channels, *sides], pads=[1, 1, 1, 1])

    def pool(self):
        channels, *sides = self.shape
        self.add("MaxPool", [], [channels, *(side // 2 for side in sides)], kernel_shape=[2, 2], strides=[2, 2])

    def relu(self):
        self.add("Relu", [], self.shape)


def main() -> None:
    first, *hidden, last = sys.argv[1].split("-")
    name = sys.argv[2]
    shape = [int(side) for side in first.split("x")]
    network = Network(shape)
    for layer in hidden:
        if layer == "p":
            network.pool()
            continue
        (network.conv if len(shape) > 1 else network.gemm)(int(layer))
        network.relu()
    network.gemm(int(last))
    network.nodes[-1].output[0] = "output"
    graph = helper.make_graph(
        network.nodes,
        name,
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, *shape])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, int(last)])],
        network.initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, f"{name}.onnx")
    samples = network.rng.uniform(0, 1, (64, int(np.prod(shape)))).astype(np.float32)
    np.savez(f"{name}.npz", x=samples)
    with open(f"{name}.json", "w", encoding="utf-8") as file:
        json.dump({"input_data": [samples[0].tolist()]}, file)


main()
