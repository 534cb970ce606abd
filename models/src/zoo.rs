//! Small real models that travel with the program. Their training scripts and data are in `models/zoo`.

/// A bundled model: the same files that a user would bring.
#[derive(Debug, Clone, Copy)]
pub struct ZooModel {
    /// Its name.
    pub name: &'static str,
    /// The ONNX file, for [`crate::import`].
    pub onnx: &'static [u8],
    /// Calibration samples `x` with labels `y`, for [`crate::Dataset::from_npz_bytes`].
    pub samples_npz: &'static [u8],
    /// Held-out samples `x` with labels `y`.
    pub test_npz: &'static [u8],
    /// One held-out sample, for [`crate::Dataset::from_json_bytes`].
    pub input_json: &'static [u8],
}

macro_rules! zoo_model {
    ($name:literal) => {
        ZooModel {
            name: $name,
            onnx: include_bytes!(concat!("../zoo/", $name, "/", $name, ".onnx")),
            samples_npz: include_bytes!(concat!("../zoo/", $name, "/samples.npz")),
            test_npz: include_bytes!(concat!("../zoo/", $name, "/test.npz")),
            input_json: include_bytes!(concat!("../zoo/", $name, "/input.json")),
        }
    };
}

/// A 64-32-10 perceptron on the 8x8 handwritten digits of scikit-learn.
pub fn digits_mlp() -> ZooModel {
    zoo_model!("digits-mlp")
}

/// LeNet-5 with max-pooling on the digits upscaled to 28x28.
pub fn lenet5() -> ZooModel {
    zoo_model!("lenet5")
}

/// A residual network with batch normalization and stride on coloured digits of 3x32x32.
pub fn resnet_digits() -> ZooModel {
    zoo_model!("resnet-digits")
}

/// A depthwise-separable network with ReLU6 on digits of 32x32.
pub fn mobilenet_digits() -> ZooModel {
    zoo_model!("mobilenet-digits")
}

/// A 1-D convolution network on synthetic control charts of length 128.
pub fn conv1d_timeseries() -> ZooModel {
    zoo_model!("conv1d-timeseries")
}

/// All of them, the smallest first.
pub fn all() -> [ZooModel; 5] {
    [digits_mlp(), conv1d_timeseries(), lenet5(), mobilenet_digits(), resnet_digits()]
}
