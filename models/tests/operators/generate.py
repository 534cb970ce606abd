"""Writes operators.npz: small graphs, inputs, and the outputs that ONNX Runtime computes in floats.

    pip install onnx==1.23.* onnxruntime==1.31.*
    python generate.py

NAME/model   bytes of the ONNX file: `x` to `y`, one operator or a few
NAME/x       inputs, one a row, in steps of 1/512 (2047 and -2047 steps, or 4095 of those that are not negative, are
             among them, so that 12 bits hold them exactly)
NAME/y       outputs, one a row
NAME/exact   whether the graph only moves entries, so that outputs are exact too

The session has ORT_DISABLE_ALL, so every operator is computed as it is written. Weights and inputs are pseudo-random, from a
seed that is the graph's name.
"""

import zlib
from pathlib import Path

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

MOVEMENTS = set(
    "Concat DepthToSpace Expand Flatten Gather GlobalMaxPool MaxPool Pad ReduceMax Relu Reshape Resize Slice SpaceToDepth Split"
    " Squeeze Tile Transpose Unsqueeze Upsample".split()
)
HERE = Path(__file__).resolve().parent
SAMPLES = 4
CASES = {}


def tensor(name, values, kind=np.float32):
    return numpy_helper.from_array(np.asarray(values, dtype=kind), name)


def case(name, shape, *nodes, opset=13, nonnegative=False, **constants):
    """A graph of nodes `"Operator x w -> y"`, each alone or with its attributes; constants are shapes of random floats, or
    arrays."""
    assert name not in CASES, name
    random = np.random.default_rng(zlib.crc32(name.encode()))
    protos = []
    for node in nodes:
        text, attributes = node if isinstance(node, tuple) else (node, {})
        left, right = text.split(" -> ")
        operator, *inputs = left.split(" ")
        inputs = ["" if name == "_" else name for name in inputs]
        protos.append(helper.make_node(operator, inputs, right.split(" "), **attributes))
    weights = []
    for key, value in constants.items():
        if isinstance(value, tuple):
            weights.append(tensor(key, random.uniform(-1, 1, value)))
        else:
            kind = np.int64 if np.asarray(value).dtype.kind == "i" else np.float32
            weights.append(tensor(key, value, kind))
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(protos, "case", [x], [y], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    low, high = (0, 4095) if nonnegative else (-2047, 2047)
    rows = random.integers(low, high, (SAMPLES, int(np.prod(shape))), endpoint=True)
    rows[0, 0], rows[-1, -1] = high, low
    CASES[name] = (model, shape, rows)


def convolutions():
    case("conv-1d", [1, 3, 17], ("Conv x w b -> y", {"strides": [2], "pads": [2, 1], "dilations": [2]}), w=(4, 3, 3), b=(4,))
    uneven = {"strides": [2, 1], "pads": [1, 0, 2, 1], "dilations": [1, 2], "kernel_shape": [3, 2]}
    case("conv-uneven", [1, 2, 5, 7], ("Conv x w -> y", uneven), w=(3, 2, 3, 2))
    case("conv-batch", [2, 3, 4, 5], "Conv x w b -> y", w=(2, 3, 3, 3), b=(2,))
    case("conv-groups", [1, 6, 5, 4], ("Conv x w b -> y", {"group": 2, "pads": [1, 1, 1, 1]}), w=(4, 3, 3, 3), b=(4,))
    case("conv-depthwise", [1, 3, 6, 5], ("Conv x w b -> y", {"group": 3, "strides": [2, 2]}), w=(3, 1, 3, 3), b=(3,))
    case("conv-depthwise-twice", [1, 3, 4, 5], ("Conv x w -> y", {"group": 3}), w=(6, 1, 2, 3))
    for mode in ("SAME_UPPER", "SAME_LOWER", "VALID"):
        for size in (7, 8):
            strides = {"auto_pad": mode, "strides": [2, 3]}
            case(f"conv-{mode}-{size}", [1, 2, size, size + 2], ("Conv x w b -> y", strides), w=(2, 2, 4, 3), b=(2,))
    case("conv-3d", [1, 2, 3, 4, 3], ("Conv x w -> y", {"pads": [1, 0, 0, 0, 1, 1]}), w=(2, 2, 2, 2, 2))
    case("conv-1x1", [1, 5, 3, 3], "Conv x w b -> y", w=(4, 5, 1, 1), b=(4,))
    case("conv-2d-relu-conv", [1, 2, 6, 6], "Conv x w b -> h", "Relu h -> r", "Conv r v -> y", w=(3, 2, 3, 3), b=(3,), v=(2, 3, 2, 2))
    case("transposed-1d", [1, 2, 5], ("ConvTranspose x w b -> y", {"strides": [2]}), w=(2, 3, 3), b=(3,))
    options = {"strides": [2, 3], "pads": [1, 0, 0, 1], "output_padding": [1, 2]}
    case("transposed-uneven", [1, 2, 3, 4], ("ConvTranspose x w -> y", options), w=(2, 3, 3, 2))
    case("transposed-groups", [1, 4, 3, 3], ("ConvTranspose x w b -> y", {"group": 2, "strides": [2, 2]}), w=(4, 3, 2, 2), b=(6,))
    case("transposed-dilated", [1, 2, 4, 3], ("ConvTranspose x w -> y", {"dilations": [2, 1], "strides": [1, 2]}), w=(2, 2, 3, 3))
    case("transposed-shape-longer", [1, 2, 3, 3], ("ConvTranspose x w b -> y", {"strides": [3, 2], "output_shape": [10, 8]}), w=(2, 2, 3, 3), b=(2,))
    case("transposed-shape-upper", [1, 1, 4], ("ConvTranspose x w -> y", {"strides": [2], "output_shape": [6], "auto_pad": "SAME_UPPER"}), w=(1, 1, 3))
    case("transposed-shape", [1, 2, 3, 3], ("ConvTranspose x w -> y", {"strides": [3, 2], "output_shape": [8, 6]}), w=(2, 2, 3, 3))
    for mode in ("SAME_UPPER", "SAME_LOWER", "VALID"):
        options = {"strides": [2, 2], "auto_pad": mode}
        case(f"transposed-{mode}", [1, 2, 3, 4], ("ConvTranspose x w -> y", options), w=(2, 2, 3, 3))


def pools():
    for size, kernel, stride, pads in ((9, 3, 2, [1, 0]), (8, 3, 3, [1, 1]), (7, 2, 2, [0, 1]), (10, 4, 3, [2, 1])):
        for ceil in (0, 1):
            options = {"kernel_shape": [kernel], "strides": [stride], "pads": pads, "ceil_mode": ceil}
            case(f"max-{size}-{ceil}", [1, 2, size], ("MaxPool x -> y", options))
            for include in (0, 1):
                counted = {**options, "count_include_pad": include}
                # From operator set 19 on, the divisor ends with the padding also where ceil_mode goes beyond it.
                case(f"average-{size}-{ceil}-{include}", [1, 2, size], ("AveragePool x -> y", counted), opset=19)
    both = {"kernel_shape": [3, 2], "strides": [1, 2], "pads": [1, 0, 1, 1]}
    case("max-2d", [1, 3, 5, 6], ("MaxPool x -> y", {**both, "dilations": [2, 1]}))
    case("average-2d", [2, 3, 5, 6], ("AveragePool x -> y", both))
    case("average-2d-include", [1, 3, 5, 6], ("AveragePool x -> y", {**both, "count_include_pad": 1}))
    case("average-dilated", [1, 2, 7, 7], ("AveragePool x -> y", {"kernel_shape": [2, 3], "dilations": [2, 2]}), opset=19)
    for mode in ("SAME_UPPER", "SAME_LOWER", "VALID"):
        options = {"kernel_shape": [3, 4], "strides": [2, 2], "auto_pad": mode}
        case(f"max-{mode}", [1, 2, 6, 7], ("MaxPool x -> y", options))
        case(f"average-{mode}", [1, 2, 6, 7], ("AveragePool x -> y", options))
        case(f"average-{mode}-include", [1, 2, 6, 7], ("AveragePool x -> y", {**options, "count_include_pad": 1}))
    case("max-3d", [1, 2, 3, 4, 5], ("MaxPool x -> y", {"kernel_shape": [2, 2, 3]}))
    case("average-3d", [1, 2, 3, 4, 5], ("AveragePool x -> y", {"kernel_shape": [2, 2, 3]}))
    case("average-nonnegative", [1, 2, 6], ("AveragePool x -> y", {"kernel_shape": [4]}), nonnegative=True)
    case("global-average", [1, 3, 5, 3], "GlobalAveragePool x -> y")
    case("global-average-1d", [2, 3, 7], "GlobalAveragePool x -> y")
    case("global-max", [1, 3, 5, 3], "GlobalMaxPool x -> y")


def reductions():
    case("mean-spatial", [1, 3, 4, 5], ("ReduceMean x -> y", {"axes": [2, 3], "keepdims": 0}))
    case("mean-negative-axis", [1, 3, 4, 5], ("ReduceMean x -> y", {"axes": [-1, 1]}))
    case("mean-all", [2, 3, 4], "ReduceMean x -> y")
    case("mean-operand", [2, 3, 4], ("ReduceMean x a -> y", {"keepdims": 0}), opset=18, a=[-2])
    case("mean-of-nothing", [2, 3], ("ReduceMean x a -> h", {"noop_with_empty_axes": 1}), "Relu h -> y", opset=18, a=np.zeros(0, np.int64))
    case("mean-empty-axes", [2, 3], "ReduceMean x a -> y", opset=18, a=np.zeros(0, np.int64))
    case("sum-attribute", [1, 3, 4], ("ReduceSum x -> y", {"axes": [1]}), opset=11)
    case("sum-operand", [1, 3, 4], ("ReduceSum x a -> y", {"keepdims": 0}), a=[0, -1])
    case("sum-nonnegative", [1, 3, 4], "ReduceSum x a -> y", a=[2], nonnegative=True)
    case("max-reduced", [2, 3, 4], ("ReduceMax x -> y", {"axes": [1], "keepdims": 0}))
    case("max-reduced-operand", [2, 3, 4], "ReduceMax x a -> y", opset=18, a=[-1, 0])


def elementwise():
    variance = np.linspace(0.2, 3, 3)
    case("batch-norm", [1, 3, 4, 2], ("BatchNormalization x s b m v -> y", {"epsilon": 1e-3}), s=(3,), b=(3,), m=(3,), v=variance)
    case("batch-norm-1d", [2, 3], "BatchNormalization x s b m v -> y", s=(3,), b=(3,), m=(3,), v=variance)
    case("conv-batch-norm", [1, 2, 4, 4], "Conv x w -> h", "BatchNormalization h s b m v -> y", w=(3, 2, 3, 3), s=(3,), b=(3,), m=(3,), v=variance)
    for operator in ("Add", "Sub", "Mul"):
        low = operator.lower()
        for index, shape in enumerate([(1,), (3, 1, 1), (1, 3, 1, 4), (4,), (1, 3, 5, 4), (2, 3, 5, 4), (), (2, 1, 1, 1, 1)]):
            case(f"{low}-constant-{index}", [1, 3, 5, 4], f"{operator} x c -> y", c=shape)
        case(f"constant-{low}", [2, 3, 4], f"{operator} c x -> y", c=(3, 1))
        case(f"{low}-itself", [2, 3], f"{operator} x x -> y")
        pooled = "GlobalAveragePool x -> g"
        case(f"{low}-broadcast", [1, 3, 4, 3], pooled, f"{operator} x g -> y")
        case(f"broadcast-{low}", [1, 3, 4, 3], pooled, f"{operator} g x -> y")
        case(f"{low}-rank", [3, 2, 3], ("ReduceSum x a -> s", {"keepdims": 0}), f"{operator} s x -> y", a=[0])
    case("div-constant", [2, 3], "Div x c -> y", c=np.asarray([0.5, -2, 3]))
    case("neg", [2, 3], "Neg x -> y")
    case("abs", [2, 3], "Abs x -> y")
    case("square", [2, 3], "Pow x c -> y", c=np.asarray(2.0))
    case("cube", [2, 3], "Pow x c -> y", c=np.asarray(3.0))
    case("sqrt", [2, 3], "Sqrt x -> y", nonnegative=True)
    case("exp", [2, 3], "Exp x -> y")
    case("max-number", [2, 3], "Max x c -> y", c=np.asarray(0.7))
    case("min-number", [2, 3], "Min c x -> y", c=np.asarray([-0.7]))
    case("mean-values", [1, 4, 3], "Relu x -> r", "GlobalMaxPool x -> g", "Mean x r g -> y")
    case("sum-values", [1, 4, 3], "Relu x -> r", "GlobalMaxPool x -> g", "Sum x r g x -> y")
    case("sums-of-sums", [1, 4], "Relu x -> r", "Sub x r -> a", "Add a c -> b", "Sub r b -> d", "Add d a -> y", c=(4,))
    case("squeeze-and-excite", [1, 3, 4, 4], "GlobalAveragePool x -> g", "Conv g w -> h", "Sigmoid h -> s", "Mul x s -> y", w=(3, 3, 1, 1))
    case("outer", [3, 4], ("ReduceMean x -> a", {"axes": [0]}), ("ReduceMean x -> b", {"axes": [1]}), "Mul a b -> y")


def movements():
    case("concat", [1, 2, 3], "Neg x -> n", ("Concat x n x -> y", {"axis": -1}))
    case("concat-scales", [1, 2, 3], "Mul x c -> m", "Sigmoid x -> s", ("Concat x m s -> y", {"axis": 1}), c=np.asarray(5.0))
    case("concat-constant", [1, 2, 3], ("Concat z x -> y", {"axis": 1}), z=np.zeros((1, 1, 3)))
    case("split", [1, 6, 2], ("Split x s -> a b c", {"axis": 1}), ("Concat c a b -> y", {"axis": 1}), s=[1, 2, 3])
    case("split-attribute", [1, 6, 2], ("Split x -> a b", {"axis": -2, "split": [2, 4]}), ("Concat b a -> y", {"axis": 1}), opset=11)
    case("split-equal", [1, 6, 2], ("Split x -> a b c", {"axis": 1}), "Sub a b -> d", "Add d c -> y")
    case("split-count", [1, 7, 2], ("Split x -> a b c", {"axis": 1, "num_outputs": 3}), ("Concat c b a -> y", {"axis": 1}), opset=18)
    case("split-part", [1, 6, 2], ("Split x -> a y c", {"axis": 1}))
    case("slice", [4, 5, 6], "Slice x s e a t -> y", s=[-1, 1, 5], e=[-100, 100, -7], a=[0, 1, 2], t=[-1, 3, -2])
    case("slice-no-axes", [4, 5], "Slice x s e -> y", s=[1, -3], e=[3, 9])
    case("slice-no-steps", [4, 5], "Slice x s e a -> y", s=[-2], e=[1 << 62], a=[-1])
    case("slice-attributes", [4, 5], ("Slice x -> y", {"starts": [1], "ends": [-1], "axes": [1]}), opset=9)
    case("slice-flip", [1, 2, 5], "Slice x s e a t -> y", s=[-1], e=[-(1 << 63)], a=[2], t=[-1])
    case("slice-before", [1, 7], "Slice x s e a t -> y", s=[-100], e=[4], a=[1], t=[2])
    case("slice-reversed", [1, 7], "Slice x s e a t -> y", s=[1 << 62], e=[-(1 << 62)], a=[1], t=[-1])
    case("pad", [1, 2, 3], "Pad x p v -> y", p=[0, 1, 2, 0, 0, 1], v=np.asarray(1.5))
    case("pad-negative", [1, 3, 5], "Pad x p -> y", p=[0, -1, 2, 0, 1, -3])
    case("pad-attributes", [1, 2, 3], ("Pad x -> y", {"pads": [0, 0, 1, 0, 0, 2], "value": -0.5}), opset=9)
    case("pad-axes", [2, 3, 4], "Pad x p v a -> y", opset=18, p=[1, 2, 0, 1], v=np.asarray(-1.0), a=[-1, 0])
    case("pad-conv", [1, 1, 4, 4], "Pad x p -> h", "Conv h w b -> y", p=[0, 0, 1, 2, 0, 0, 1, 0], w=(2, 1, 3, 3), b=(2,))
    below = {"kernel_shape": [3], "strides": [2]}
    case("pad-far-below", [1, 2, 8], "Relu x -> r", "Pad r p v -> h", ("MaxPool h -> y", below), p=[0, 0, 1, 0, 0, 1], v=np.asarray(-1e38))
    case("pad-below", [1, 2, 8], "Pad x p v -> h", ("MaxPool h -> y", below), p=[0, 0, 1, 0, 0, 2], v=np.asarray(-50.0))
    case("pad-above", [2, 4], "Sigmoid x -> s", "Pad s p v -> y", p=[0, 1, 2, 0], v=np.asarray(3.0))
    case("pad-far-above", [1, 2, 8], "Conv x w -> h", "Pad h p v -> q", "Conv q w -> y", p=[0, 0, 2, 0, 0, 2], v=np.asarray(60.0), w=(2, 2, 2))
    case("transpose", [2, 3, 4, 5], ("Transpose x -> y", {"perm": [2, 0, 3, 1]}))
    case("transpose-default", [2, 3, 4], "Transpose x -> y")
    case("reshape", [2, 3, 4], "Reshape x s -> y", s=[0, -1, 2])
    case("reshape-scalar", [1, 1], "Reshape x s -> y", s=np.zeros(0, np.int64))
    case("squeeze", [1, 3, 1, 2], "Squeeze x a -> y", a=[-2, 0])
    case("squeeze-all", [1, 3, 1, 2], "Squeeze x -> y")
    case("squeeze-attribute", [1, 3, 1, 2], ("Squeeze x -> y", {"axes": [2]}), opset=11)
    case("unsqueeze", [3, 2], "Unsqueeze x a -> y", a=[0, -1, 2])
    case("unsqueeze-attribute", [3, 2], ("Unsqueeze x -> y", {"axes": [1, 3]}), opset=11)
    case("flatten", [2, 3, 4], ("Flatten x -> y", {"axis": 2}))
    case("expand", [3, 1], "Expand x s -> y", s=[2, 1, 4])
    case("tile", [2, 3], "Tile x r -> y", r=[3, 2])
    case("gather", [2, 3, 4], ("Gather x i -> y", {"axis": 1}), i=[[2, -1], [0, 0]])
    case("gather-one", [2, 3, 4], ("Gather x i -> y", {"axis": -1}), i=np.asarray(-2))
    case("depth-to-space", [1, 8, 2, 3], ("DepthToSpace x -> y", {"blocksize": 2}))
    case("depth-to-space-crd", [1, 8, 2, 3], ("DepthToSpace x -> y", {"blocksize": 2, "mode": "CRD"}))
    case("space-to-depth", [1, 2, 4, 6], ("SpaceToDepth x -> y", {"blocksize": 2}))
    case("shuffle", [1, 6, 2, 2], "Reshape x s -> a", ("Transpose a -> b", {"perm": [0, 2, 1, 3, 4]}), "Reshape b t -> y", s=[1, 2, 3, 2, 2], t=[1, 6, 2, 2])
    ways = {
        "asymmetric": ["floor"],
        "half_pixel": ["round_prefer_floor", "round_prefer_ceil"],
        "pytorch_half_pixel": ["round_prefer_floor", "round_prefer_ceil"],
    }
    for mode, nearests in ways.items():
        for nearest in nearests:
            options = {"mode": "nearest", "coordinate_transformation_mode": mode, "nearest_mode": nearest}
            case(f"resize-up-{mode}-{nearest}", [1, 2, 4, 3], ("Resize x _ s -> y", options), s=np.asarray([1.0, 1, 2, 3]))
    for mode in ("asymmetric", "half_pixel", "align_corners"):
        for nearest in ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil"):
            options = {"mode": "nearest", "coordinate_transformation_mode": mode, "nearest_mode": nearest}
            case(f"resize-down-{mode}-{nearest}", [1, 2, 4, 8], ("Resize x _ s -> y", options), s=np.asarray([1.0, 1, 0.5, 0.25]))
    floor = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    case("resize-of-one", [1, 2, 1, 3], ("Resize x _ s -> y", floor), s=np.asarray([1.0, 1, 3, 2]))
    case("resize-sizes", [1, 2, 3, 4], ("Resize x _ _ s -> y", floor), s=[1, 2, 9, 8])
    case("resize-axes", [1, 2, 3, 4], ("Resize x _ s -> y", {**floor, "axes": [3, 2]}), opset=18, s=np.asarray([2.0, 3.0]))
    case("resize-old", [1, 2, 3, 4], ("Resize x s -> y", {"mode": "nearest"}), opset=10, s=np.asarray([1.0, 1, 2, 2]))
    case("upsample", [1, 2, 3, 4], ("Upsample x s -> y", {"mode": "nearest"}), opset=9, s=np.asarray([1.0, 1, 2, 3]))


def functions():
    for operator in ("Relu", "HardSwish", "Sigmoid", "Tanh", "Softplus", "Erf", "HardSigmoid", "Elu", "LeakyRelu"):
        low = operator.lower()
        opset = 14 if operator == "HardSwish" else 13
        case(low, [2, 5], f"{operator} x -> y", opset=opset)
        # Behind a convolution, where the function is part of the rounding.
        case(f"conv-{low}", [1, 2, 9], "Conv x w b -> h", f"{operator} h -> y", opset=opset, w=(3, 2, 2), b=(3,))
        # Between two, so that the function's result is not the output.
        case(f"conv-{low}-conv", [1, 2, 9], "Conv x w b -> h", f"{operator} h -> f", "Conv f v -> y", opset=opset, w=(3, 2, 2), b=(3,), v=(2, 3, 2))
    case("leakyrelu-alpha", [2, 5], ("LeakyRelu x -> y", {"alpha": 0.3}))
    case("elu-alpha", [2, 5], ("Elu x -> y", {"alpha": 0.6}))
    case("hardsigmoid-options", [2, 5], ("HardSigmoid x -> y", {"alpha": 0.35, "beta": 0.4}))
    for index, shape in enumerate([(1,), (3, 1), (1, 3, 1), (4,)]):
        case(f"prelu-{index}", [2, 3, 4], "PRelu x s -> y", s=shape)
    case("conv-prelu", [1, 2, 9], "Conv x w -> h", "PRelu h s -> y", w=(3, 2, 2), s=(3, 1))
    case("clip", [2, 5], "Clip x a b -> y", a=np.asarray(-1.2), b=np.asarray(2.3))
    case("clip-low", [2, 5], "Clip x a -> y", a=np.asarray(-1.2))
    case("clip-high", [2, 5], "Clip x _ b -> y", b=np.asarray(0.4))
    case("clip-attributes", [2, 5], ("Clip x -> y", {"min": 0.0, "max": 3.0}), opset=9)
    case("conv-clip", [1, 2, 9], "Conv x w b -> h", "Clip h l u -> y", w=(3, 2, 2), b=(3,), l=np.asarray(0.0), u=np.asarray(1.5))
    case("gelu", [2, 5], "Gelu x -> y", opset=20)
    case("gelu-tanh", [2, 5], ("Gelu x -> y", {"approximate": "tanh"}), opset=20)
    half, one, root = np.asarray(0.5), np.asarray(1.0), np.asarray(2**0.5)
    case("gelu-written-out", [2, 5], "Div x r -> a", "Erf a -> b", "Add b o -> c", "Mul x c -> d", "Mul d h -> y", r=root, o=one, h=half)
    case("silu-written-out", [1, 2, 7], "Conv x w -> a", "Sigmoid a -> b", "Mul a b -> y", w=(3, 2, 2))
    case("hardswish-written-out", [1, 2, 7], "Add x t -> a", "Clip a z s -> b", "Mul x b -> c", "Div c s -> y", t=np.asarray(3.0), z=np.asarray(0.0), s=np.asarray(6.0))
    case("mish-written-out", [2, 5], "Softplus x -> a", "Tanh a -> b", "Mul x b -> y")


def products():
    case("gemm", [3, 4], ("Gemm x w b -> y", {"transB": 1, "alpha": 0.5, "beta": -2.0}), w=(5, 4), b=(5,))
    case("gemm-plain", [1, 4], "Gemm x w -> y", w=(4, 5))
    case("gemm-number", [2, 4], "Gemm x w b -> y", w=(4, 5), b=())
    case("matmul", [2, 3, 4], "MatMul x w -> y", w=(4, 5))
    case("matmul-left", [4, 3], "MatMul w x -> y", w=(5, 4))
    case("matmul-vector", [4], "MatMul x w -> y", w=(4, 3))
    case("matmul-sum", [1, 4], "MatMul x w -> h", "Add b h -> y", w=(4, 3), b=(3,))
    case("two-layers", [1, 4], "Gemm x w b -> h", "Relu h -> r", "Gemm r v -> y", w=(4, 6), b=(6,), v=(6, 3))


def run(model, shape, rows):
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    inputs = (rows / 512).astype(np.float32).reshape(len(rows), *shape)
    return np.stack([session.run(None, {"x": sample})[0].reshape(-1) for sample in inputs])


if __name__ == "__main__":
    for group in (convolutions, pools, reductions, elementwise, movements, functions, products):
        group()
    arrays = {}
    for name, (model, shape, rows) in CASES.items():
        arrays[f"{name}/model"] = np.frombuffer(model.SerializeToString(), dtype=np.uint8)
        arrays[f"{name}/x"] = rows.astype(np.int16)
        arrays[f"{name}/y"] = run(model, shape, rows)
        arrays[f"{name}/exact"] = np.asarray([all(node.op_type in MOVEMENTS for node in model.graph.node)])
    path = HERE / "operators.npz"
    np.savez_compressed(path, **arrays)
    print(f"{len(CASES)} graphs, {path.stat().st_size} bytes")
