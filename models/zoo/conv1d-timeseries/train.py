"""Trains a 1-D convolution network on synthetic time series and writes its ONNX file and data beside this script.

Data: SYNTHETIC. Control charts of a process, 128 readings each, in the manner of the synthetic control charts of
Alcock and Manolopoulos (1999); the six classes are equally frequent. With t = 0..127 and noise e(t) uniform in
[-14, 14] (more than theirs, or the task would be too easy), a chart is y(t) = e(t) plus
    0 normal            nothing
    1 cyclic            a sin(2 pi t / T), a and T uniform in [10, 15]
    2 rising trend      g t, g uniform in [0.1, 0.25]
    3 falling trend     -g t
    4 upward shift      k from t0 on, k uniform in [7.5, 20], t0 uniform in [128/3, 256/3]
    5 downward shift    -k from t0 on
The input is y / 16, rounded to multiples of 1/64.
Split: 1,800 training and 300 held-out charts, stratified, seed 7.
Architecture: conv 16@7 stride 2, max-pool 2, conv 32@5 dilation 2, conv 32@3 stride 2, average pool 4, 32, 6; ReLU.
The batch axis of the ONNX file is symbolic.

    pip install -r ../requirements.txt
    python train.py
"""

import sys
from pathlib import Path

import numpy as np
from torch import nn

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from training import SEED, fit, save, split, start  # noqa: E402

LENGTH = 128
CHARTS_PER_CLASS = 350


def chart(label, random):
    t = np.arange(LENGTH)
    sign = -1 if label in (3, 5) else 1
    if label == 1:
        amplitude, period = random.uniform(10, 15, 2)
        pattern = amplitude * np.sin(2 * np.pi * t / period)
    elif label in (2, 3):
        pattern = sign * random.uniform(0.1, 0.25) * t
    elif label in (4, 5):
        pattern = sign * random.uniform(7.5, 20) * (t >= random.uniform(LENGTH / 3, 2 * LENGTH / 3))
    else:
        pattern = np.zeros(LENGTH)
    return pattern + random.uniform(-14, 14, LENGTH)


def charts():
    random = np.random.default_rng(SEED)
    y = np.repeat(np.arange(6), CHARTS_PER_CLASS)
    x = np.stack([chart(label, random) for label in y])[:, None, :]
    return (np.rint(x / 16 * 64) / 64).astype(np.float32), y


def network():
    return nn.Sequential(
        nn.Conv1d(1, 16, 7, stride=2, padding=3),
        nn.ReLU(),
        nn.MaxPool1d(2),
        nn.Conv1d(16, 32, 5, dilation=2, padding=4),
        nn.ReLU(),
        nn.Conv1d(32, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.AvgPool1d(4),
        nn.Flatten(),
        nn.Linear(128, 32),
        nn.ReLU(),
        nn.Linear(32, 6),
    )


def main():
    start()
    data = x_train, _, y_train, _ = split(*charts())
    model = fit(network(), x_train, y_train, epochs=20)
    save(model, HERE, data, opset=17, symbolic_batch=True)


if __name__ == "__main__":
    main()
