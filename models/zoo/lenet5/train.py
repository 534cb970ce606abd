"""Trains LeNet-5 on upscaled handwritten digits and writes its ONNX file and data beside this script.

Data: real. The 1,797 handwritten 8x8 digits that ship with scikit-learn (UCI Optical Recognition of Handwritten
Digits), upscaled to 1x28x28 (bilinear), 8-bit grey levels scaled to [0, 1].
Split: 1,497 training and 300 held-out samples, stratified, seed 7.
Architecture: conv 6@5x5 pad 2, max-pool 2, conv 16@5x5, max-pool 2, 120, 84, 10; ReLU.

    pip install -r ../requirements.txt
    python train.py
"""

import sys
from pathlib import Path

from torch import nn

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from training import as_pixels, fit, save, split, start, upscaled_digits  # noqa: E402


def lenet5():
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, 10),
    )


def main():
    start()
    x, y = upscaled_digits(28)
    data = x_train, _, y_train, _ = split(as_pixels(x), y)
    model = fit(lenet5(), x_train, y_train, epochs=15, rate=2e-3, max_shift=1)
    save(model, HERE, data, opset=13)


if __name__ == "__main__":
    main()
