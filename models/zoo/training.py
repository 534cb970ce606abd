"""What the PyTorch training scripts of the zoo share: the digits, the training loop, and the files they write."""

import json

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import numpy_helper, shape_inference
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch.nn import functional as F

SEED = 7
CALIBRATION_SAMPLES = 200
HELD_OUT_SAMPLES = 300


def split(x, y):
    """x_train, x_test, y_train, y_test: stratified, the same every time."""
    return train_test_split(x, y, test_size=HELD_OUT_SAMPLES, random_state=SEED, stratify=y)


def upscaled_digits(size):
    """The 1,797 digits of scikit-learn, bilinear from 8x8 to N x 1 x size x size, in [0, 1]; and their labels."""
    digits = load_digits()
    grey = torch.from_numpy(digits.images / 16).float().unsqueeze(1)
    x = F.interpolate(grey, size=(size, size), mode="bilinear", align_corners=False)
    return x.numpy(), digits.target.astype(np.int64)


def as_pixels(x, bits=8):
    """Values in [0, 1] as the levels of an image with so many bits a channel: k / 255 for 8 bits."""
    highest = 2**bits - 1
    return (np.rint(x * highest) / highest).astype(np.float32)


def fit(model, x, y, epochs, batch=32, rate=3e-3, max_shift=0):
    """Trains with Adam under a one-cycle schedule; each batch of images is moved by up to `max_shift` pixels."""
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=1e-2)
    steps = -(-len(x) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, epochs=epochs, steps_per_epoch=steps)
    model.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(batch):
            part = x[rows]
            if max_shift:
                shift = torch.randint(-max_shift, max_shift + 1, (2,)).tolist()
                part = part.roll(shift, dims=(2, 3))
            loss = F.cross_entropy(model(part), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def export(model, x, path, opset, symbolic_batch=False):
    """Writes the ONNX file of a model in eval mode; `PRESERVE` keeps the BatchNormalization nodes unfolded."""
    torch.onnx.export(
        model,
        (torch.from_numpy(x[:1]),),
        str(path),
        input_names=["input"],
        output_names=["output"],
        dynamic_axes={"input": {0: "batch"}, "output": {0: "batch"}} if symbolic_batch else None,
        opset_version=opset,
        training=torch.onnx.TrainingMode.PRESERVE,
        do_constant_folding=False,
        dynamo=False,
    )
    onnx.checker.check_model(onnx.load(path), full_check=True)


def macs(path):
    """Multiplications of the Conv and Gemm nodes for one sample."""
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    graph = shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    weights = {w.name: numpy_helper.to_array(w) for w in graph.initializer}
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in graph.value_info}
    total = 0
    for node in graph.node:
        if node.op_type == "Conv":
            total += weights[node.input[1]].size * int(np.prod(shapes[node.output[0]][2:]))
        elif node.op_type == "Gemm":
            total += weights[node.input[1]].size
    return total


def save(model, folder, data, opset, symbolic_batch=False):
    """Writes the ONNX file and the data into `folder` and prints what the ONNX file does on the held-out samples."""
    x_train, x_test, y_train, y_test = data
    path = folder / f"{folder.name}.onnx"
    export(model, x_train, path, opset, symbolic_batch)
    calibration = slice(CALIBRATION_SAMPLES)
    np.savez_compressed(folder / "samples.npz", x=x_train[calibration], y=y_train[calibration])
    np.savez_compressed(folder / "test.npz", x=x_test, y=y_test)
    # The shortest decimals that read back as the same float32 values.
    sample = {"input_data": [[float(str(v)) for v in x_test[0].ravel()]]}
    (folder / "input.json").write_text(json.dumps(sample) + "\n")

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    labels = [session.run(None, {"input": x[None]})[0].argmax() for x in x_test]
    parameters = sum(p.numel() for p in model.parameters())
    operators = sorted({node.op_type for node in onnx.load(path).graph.node})
    print(f"{folder.name}: {parameters:,} parameters, {macs(path):,} MACs, operators {', '.join(operators)}")
    print(f"held-out accuracy {np.mean(labels == y_test):.4f} on {len(y_test)} samples")


def start():
    """Makes what follows deterministic."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(SEED)
