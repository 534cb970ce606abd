"""Trains the digits MLP (64-32-10) and writes its ONNX file and data beside this script.

    pip install numpy==2.4.6 scikit-learn==1.9.1 onnx==1.23.2
    python train.py
"""

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

SEED = 7
CALIBRATION_SAMPLES = 200
HERE = Path(__file__).parent


def save_model(mlp, path):
    names = ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"]
    arrays = [mlp.coefs_[0].T, mlp.intercepts_[0], mlp.coefs_[1].T, mlp.intercepts_[1]]
    initializers = [
        numpy_helper.from_array(np.ascontiguousarray(array, dtype=np.float32), name)
        for name, array in zip(names, arrays)
    ]
    nodes = [
        helper.make_node("Gemm", ["input", *names[:2]], ["hidden"], name="fc1", transB=1),
        helper.make_node("Relu", ["hidden"], ["activation"], name="relu1"),
        helper.make_node("Gemm", ["activation", *names[2:]], ["output"], name="fc2", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "digits-mlp",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 64])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 10])],
        initializers,
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7, producer_name="provenn-zoo"
    )
    onnx.checker.check_model(model)
    onnx.save(model, path)


def main():
    digits = load_digits()
    x = (digits.data / 16).astype(np.float32)
    y = digits.target.astype(np.int64)
    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.25, random_state=SEED, stratify=y)
    mlp = MLPClassifier((32,), alpha=1e-3, max_iter=1000, random_state=SEED).fit(x_train, y_train)

    save_model(mlp, HERE / "digits-mlp.onnx")
    calibration = slice(CALIBRATION_SAMPLES)
    np.savez_compressed(HERE / "samples.npz", x=x_train[calibration], y=y_train[calibration])
    np.savez_compressed(HERE / "test.npz", x=x_test, y=y_test)
    sample = {"input_data": [[float(v) for v in x_test[0]]]}
    (HERE / "input.json").write_text(json.dumps(sample) + "\n")
    print(f"held-out accuracy {mlp.score(x_test, y_test):.4f} on {len(y_test)} samples")


if __name__ == "__main__":
    main()
