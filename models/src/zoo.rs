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

/// A 64-32-10 perceptron on the 8x8 handwritten digits of scikit-learn.
pub fn digits_mlp() -> ZooModel {
    ZooModel {
        name: "digits-mlp",
        onnx: include_bytes!("../zoo/digits-mlp/digits-mlp.onnx"),
        samples_npz: include_bytes!("../zoo/digits-mlp/samples.npz"),
        test_npz: include_bytes!("../zoo/digits-mlp/test.npz"),
        input_json: include_bytes!("../zoo/digits-mlp/input.json"),
    }
}
