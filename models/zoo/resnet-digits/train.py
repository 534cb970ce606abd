"""Trains a residual network on coloured digits and writes its ONNX file and data beside this script.

Data: real digits, synthetic colours. The 1,797 handwritten 8x8 digits that ship with scikit-learn (UCI Optical
Recognition of Handwritten Digits), upscaled to 32x32 (bilinear); each is drawn in a random ink on a random paper
(both RGB, with a fixed seed) as a 3x32x32 image, 5 bits a channel (15-bit colour, which keeps the files small),
scaled to [0, 1]. The class is the digit.
Split: 1,497 training and 300 held-out samples, stratified, seed 7.
Architecture: conv 8@3x3; three stages of two basic blocks with 8, 16 and 32 channels, the first block of each with
stride 2 and a 1x1 convolution as shortcut, the second with the identity; global average pool; 10. BatchNorm, ReLU.

    pip install -r ../requirements.txt
    python train.py
"""

import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from training import SEED, as_pixels, fit, save, split, start, upscaled_digits  # noqa: E402

MIN_CONTRAST = 0.35


def conv_bn(inputs, outputs, kernel, stride=1):
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = conv_bn(inputs, outputs, 3, stride)
        self.conv2 = conv_bn(outputs, outputs, 3)
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else conv_bn(inputs, outputs, 1, stride)

    def forward(self, x):
        inner = torch.relu(self.conv1(x))
        return torch.relu(self.conv2(inner) + self.shortcut(x))


def resnet():
    layers = [conv_bn(3, 8, 3), nn.ReLU()]
    inputs = 8
    for outputs in (8, 16, 32):
        layers += [Block(inputs, outputs, stride=2), Block(outputs, outputs, stride=1)]
        inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10))


def coloured(x):
    """Each grey image as ink on paper, two random colours whose mean levels differ by `MIN_CONTRAST` or more."""
    random = np.random.default_rng(SEED)
    images = []
    for grey in x:
        ink, paper = random.random((2, 3))
        while abs(ink.mean() - paper.mean()) < MIN_CONTRAST:
            ink, paper = random.random((2, 3))
        images.append(paper[:, None, None] + (ink - paper)[:, None, None] * grey)
    return np.stack(images)


def main():
    start()
    x, y = upscaled_digits(32)
    data = x_train, _, y_train, _ = split(as_pixels(coloured(x), bits=5), y)
    model = fit(resnet(), x_train, y_train, epochs=20, rate=1e-2, max_shift=2)
    save(model, HERE, data, opset=17)


if __name__ == "__main__":
    main()
