"""Trains a depthwise-separable network on upscaled digits and writes its ONNX file and data beside this script.

Data: real. The 1,797 handwritten 8x8 digits that ship with scikit-learn (UCI Optical Recognition of Handwritten
Digits), upscaled to 1x32x32 (bilinear), 8-bit grey levels scaled to [0, 1].
Split: 1,497 training and 300 held-out samples, stratified, seed 7.
Architecture (after MobileNet v1): conv 8@3x3 with stride 2; six pairs of a 3x3 depthwise and a 1x1 convolution with
16, 32, 32, 64, 64 and 64 channels, the second and fourth with stride 2; mean over the image; 10. BatchNorm, ReLU6.

    pip install -r ../requirements.txt
    python train.py
"""

import sys
from pathlib import Path

from torch import nn

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from training import as_pixels, fit, save, split, start, upscaled_digits  # noqa: E402


def conv_bn(inputs, outputs, kernel, stride=1, groups=1):
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(outputs), nn.ReLU6()]


class MobileNet(nn.Module):
    def __init__(self):
        super().__init__()
        layers = conv_bn(1, 8, 3, stride=2)
        inputs = 8
        for outputs, stride in [(16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (64, 1)]:
            layers += conv_bn(inputs, inputs, 3, stride, groups=inputs) + conv_bn(inputs, outputs, 1)
            inputs = outputs
        self.features = nn.Sequential(*layers)
        self.fc = nn.Linear(inputs, 10)

    def forward(self, x):
        return self.fc(self.features(x).mean(dim=(2, 3)))


def main():
    start()
    x, y = upscaled_digits(32)
    data = x_train, _, y_train, _ = split(as_pixels(x), y)
    model = fit(MobileNet(), x_train, y_train, epochs=25, max_shift=2)
    save(model, HERE, data, opset=13)


if __name__ == "__main__":
    main()
