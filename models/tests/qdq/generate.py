"""Writes the fixtures of this folder: models quantized by ONNX Runtime, inputs, and the integers that it computes.

    pip install onnx==1.23.* onnxruntime==1.31.* scikit-learn
    python generate.py

NAME.onnx  what `quantize_static` (QuantFormat.QDQ) writes, unedited, after `quant_pre_process` where noted in MODELS.
           The float models are built here (random convolutions, seed in MODELS, and a last layer fitted by logistic
           regression), or are those of the zoo.
NAME.npz   x          float32 inputs, one a row: the first samples of the calibration data, and some that were not in it
           calibrated how many of them, from the first, were calibration data
           graph      the integers before the last DequantizeLinear, from a session with ORT_DISABLE_ALL: every
                      operator in floats on dequantized values, then QuantizeLinear, as the graph says
           kernels    the same from a session with default optimizations: integer kernels (QLinearConv and others)
           scale, zero_point   of that tensor
           at/NODE    for every DequantizeLinear NODE of a value: the integers that it reads, less their zero point, on
                      the first TRACED inputs, from the session that gives `graph`

Seeds are fixed. Another machine or version can give other roundings of floats, so other fixtures.
"""

import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

HERE = Path(__file__).resolve().parent
ZOO = HERE.parent.parent / "zoo"
INPUTS = 120
TRACED = 6
OPSET = 13


class Graph:
    """A graph from `x` to `y` that grows node by node."""

    def __init__(self, seed, shape):
        self.random = np.random.default_rng(seed)
        self.shape = shape
        self.nodes, self.weights = [], []

    def weight(self, name, values):
        self.weights.append(numpy_helper.from_array(np.asarray(values, dtype=np.float32), name))
        return name

    def add(self, operator, inputs, **attributes):
        name = f"{operator.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def conv(self, x, channels, outputs, kernel, **attributes):
        """Filters of different loudness, so that scales of channels differ."""
        fan_in = channels * kernel * kernel // attributes.get("group", 1)
        shape = (outputs, channels // attributes.get("group", 1), kernel, kernel)
        loudness = self.random.uniform(0.3, 1.5, (outputs, 1, 1, 1))
        name = f"conv{len(self.nodes)}"
        w = self.random.normal(0, (2 / fan_in) ** 0.5, shape) * loudness
        b = self.random.normal(0, 0.1, outputs)
        inputs = [x, self.weight(f"{name}.weight", w), self.weight(f"{name}.bias", b)]
        return self.add("Conv", inputs, kernel_shape=[kernel, kernel], **attributes)

    def model(self, output):
        info = helper.make_tensor_value_info
        inputs = [info("x", TensorProto.FLOAT, ["batch", *self.shape])]
        outputs = [info(output, TensorProto.FLOAT, None)]
        graph = helper.make_graph(self.nodes, "fixture", inputs, outputs, self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
        return onnx.shape_inference.infer_shapes(model)

    def classifier(self, features, x, y):
        """A last layer that tells the classes apart, fitted to the features of the samples."""
        found = run(self.model(features), x)[0]
        fitted = LogisticRegression(max_iter=300, C=0.5).fit(found, y)
        weight = self.weight("head.weight", fitted.coef_)
        bias = self.weight("head.bias", fitted.intercept_)
        return self.model(self.add("Gemm", [features, weight, bias], transB=1))


def run(model, x, outputs=None, optimized=True):
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    if not optimized:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    # One sample at a time: some models have a fixed batch axis of 1.
    name = session.get_inputs()[0].name
    rows = [session.run(outputs, {name: sample[None]}) for sample in x]
    return [np.concatenate(column) for column in zip(*rows)]


def cnn(seed, pooled, x, y):
    graph = Graph(seed, (1, 8, 8))
    h = graph.add("Relu", [graph.conv("x", 1, 8, 3, pads=[1, 1, 1, 1])])
    h = graph.add("MaxPool", [h], kernel_shape=[2, 2], strides=[2, 2])
    h = graph.add("Relu", [graph.conv(h, 8, 16, 3, pads=[1, 1, 1, 1])])
    h = graph.add("GlobalAveragePool", [h]) if pooled else h
    return graph.classifier(graph.add("Flatten", [h]), x, y)


def residual(seed, x, y):
    graph = Graph(seed, (1, 8, 8))
    stem = graph.add("Relu", [graph.conv("x", 1, 8, 3, pads=[1, 1, 1, 1])])
    h = graph.add("Relu", [graph.conv(stem, 8, 8, 3, pads=[1, 1, 1, 1], strides=[2, 2])])
    h = graph.conv(h, 8, 12, 3, pads=[1, 1, 1, 1], group=4)
    shortcut = graph.conv(stem, 8, 12, 1, strides=[2, 2])
    h = graph.add("Relu", [graph.add("Add", [h, shortcut])])
    mean = graph.add("AveragePool", [h], kernel_shape=[2, 2], strides=[2, 2])
    most = graph.add("MaxPool", [h], kernel_shape=[2, 2], strides=[2, 2])
    gate = graph.add("Sigmoid", [graph.conv(h, 12, 6, 2, strides=[2, 2])])
    h = graph.add("Concat", [mean, most, gate], axis=1)
    return graph.classifier(graph.add("Flatten", [h]), x, y)


def digits():
    """The 8x8 digits of scikit-learn in a fixed random order, grey levels in [0, 1]; labels."""
    data = load_digits()
    order = np.random.default_rng(1).permutation(len(data.target))
    return (data.images[order, None] / 16).astype(np.float32), data.target[order]


def zoo(name):
    folder = ZOO / name
    model = onnx.load(folder / f"{name}.onnx")
    shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim][1:]
    load = lambda file: np.load(folder / file)["x"].astype(np.float32).reshape(-1, *shape)
    return model, load("samples.npz"), load("test.npz")


def from_digits(build):
    x, y = digits()
    return build(x[:1200], y[:1200]), x[:200], x[1400:]


UNSIGNED = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8, "per_channel": True}
SIGNED = {"activation_type": QuantType.QInt8, "weight_type": QuantType.QInt8, "per_channel": False}

# Name: (the float model, calibration samples, others), options of quantize_static, whether quant_pre_process comes first.
MODELS = {
    "cnn-channels": (lambda: from_digits(lambda x, y: cnn(2, True, x, y)), UNSIGNED, False),
    "cnn-flatten": (lambda: from_digits(lambda x, y: cnn(3, False, x, y)), UNSIGNED, False),
    "cnn-signed": (lambda: from_digits(lambda x, y: cnn(4, True, x, y)), SIGNED, False),
    "residual": (lambda: from_digits(lambda x, y: residual(5, x, y)), UNSIGNED, False),
    "residual-signed": (lambda: from_digits(lambda x, y: residual(6, x, y)), SIGNED, False),
    "lenet5": (lambda: zoo("lenet5"), UNSIGNED, False),
    "resnet-digits": (lambda: zoo("resnet-digits"), UNSIGNED, True),
    "mobilenet-digits": (lambda: zoo("mobilenet-digits"), UNSIGNED, True),
    "conv1d-timeseries": (lambda: zoo("conv1d-timeseries"), SIGNED, False),
}


class Reader(CalibrationDataReader):
    def __init__(self, name, x):
        self.rows = iter([{name: sample[None]} for sample in x])

    def get_next(self):
        return next(self.rows, None)


def quantized(model, x, options, prepare):
    with tempfile.TemporaryDirectory() as folder:
        path, result = f"{folder}/float.onnx", f"{folder}/quantized.onnx"
        onnx.save(model, path)
        if prepare:
            quant_pre_process(path, path)
        reader = Reader(model.graph.input[0].name, x)
        quantize_static(path, result, reader, quant_format=QuantFormat.QDQ, **options)
        return onnx.load(result)


def with_outputs(model, names):
    """The model with these tensors as its outputs."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    del changed.graph.output[:]
    changed.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    return changed


def values_of(model):
    """The DequantizeLinear nodes that do not read constants."""
    constants = {tensor.name for tensor in model.graph.initializer}
    decoding = [node for node in model.graph.node if node.op_type == "DequantizeLinear"]
    return [node for node in decoding if node.input[0] not in constants]


def write(name):
    source, options, prepare = MODELS[name]
    model, samples, others = source()
    model = quantized(model, samples, options, prepare)
    half = INPUTS // 2
    x = np.concatenate([samples[:half], others[: INPUTS - half]])
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    output = model.graph.output[0].name
    nodes = {node.name: node for node in values_of(model)}
    (last,) = (node for node in nodes.values() if node.output[0] == output)
    tensors = [node.input[0] for node in nodes.values()]
    traced = run(with_outputs(model, tensors), x, tensors, optimized=False)
    kernels = run(with_outputs(model, [last.input[0]]), x, [last.input[0]])[0]
    zero = lambda node: constants[node.input[2]].astype(np.int32)
    arrays = {
        "x": x,
        "calibrated": np.asarray([half]),
        "graph": traced[tensors.index(last.input[0])].astype(np.int16),
        "kernels": kernels.astype(np.int16),
        "scale": constants[last.input[1]].reshape(1),
        "zero_point": zero(last).astype(np.int16).reshape(1),
    }
    for node, codes in zip(nodes.values(), traced):
        arrays[f"at/{node.name}"] = (codes[:TRACED].astype(np.int32) - zero(node)).astype(np.int16)
    onnx.save(model, HERE / f"{name}.onnx")
    np.savez_compressed(HERE / f"{name}.npz", **arrays)
    difference = np.abs(arrays["graph"] - arrays["kernels"])
    sizes = [(HERE / f"{name}.{end}").stat().st_size for end in ("onnx", "npz")]
    print(f"{name}: {sizes} bytes, kernels as the graph: {(difference == 0).mean():.4f}, up to {difference.max()}")


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    for wanted in sys.argv[1:] or MODELS:
        write(wanted)
