"""Writes a multilayer perceptron with random weights, for measurements: what a proof costs depends on the shape.

    pip install numpy onnx
    python3 benches/synthetic.py 784-128-10 mnist     # mnist.onnx, mnist.npz (calibration), mnist.json (one input)
"""

import json
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def main() -> None:
    widths = [int(width) for width in sys.argv[1].split("-")]
    name = sys.argv[2]
    rng = np.random.default_rng(1)
    nodes, initializers, value = [], [], "input"
    for layer, (inputs, outputs) in enumerate(zip(widths, widths[1:])):
        weight = rng.normal(0, (2 / inputs) ** 0.5, (outputs, inputs)).astype(np.float32)
        bias = rng.normal(0, 0.1, outputs).astype(np.float32)
        initializers += [numpy_helper.from_array(weight, f"w{layer}"), numpy_helper.from_array(bias, f"b{layer}")]
        last = layer == len(widths) - 2
        result = "output" if last else f"gemm{layer}"
        nodes.append(helper.make_node("Gemm", [value, f"w{layer}", f"b{layer}"], [result], f"gemm{layer}", transB=1))
        if not last:
            nodes.append(helper.make_node("Relu", [result], [f"relu{layer}"], f"relu{layer}"))
            value = f"relu{layer}"
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, widths[0]])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, widths[-1]])],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, f"{name}.onnx")
    samples = rng.uniform(0, 1, (64, widths[0])).astype(np.float32)
    np.savez(f"{name}.npz", x=samples)
    with open(f"{name}.json", "w", encoding="utf-8") as file:
        json.dump({"input_data": [samples[0].tolist()]}, file)


main()
