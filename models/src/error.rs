//! What can be wrong with a model file, a data file, or a quantization request.

use provenn_circuits::CircuitError;

/// Why a model or its data cannot be used. Every message is one line that names the place.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The bytes are not an ONNX model.
    #[error("not an ONNX model: {reason}")]
    NotOnnx {
        /// What does not fit.
        reason: String,
    },
    /// The model's operator set is not one that the importer knows.
    #[error("operator set {actual} is not supported, supported are {lo} to {hi}: export the model again")]
    Opset {
        /// The version found; 0 if there is none.
        actual: i64,
        /// Oldest version supported.
        lo: i64,
        /// Newest version supported.
        hi: i64,
    },
    /// The model does not have exactly one input, or exactly one output.
    #[error("the model has {actual} {what} ({names}), expected exactly {expected}")]
    Count {
        /// `inputs` or `outputs`.
        what: &'static str,
        /// Number expected.
        expected: usize,
        /// Number found.
        actual: usize,
        /// Their names, separated by commas.
        names: String,
    },
    /// An operator is not supported, or not in this place.
    #[error("node {node}: operator {operator} is not supported: {reason}")]
    Operator {
        /// The node's name, or its operator and first output.
        node: String,
        /// The operator's type.
        operator: String,
        /// Why not, or what would be.
        reason: String,
    },
    /// An attribute of an operator has a value that is not supported.
    #[error("node {node}: attribute {attribute} of {operator} is {actual}, expected {expected}")]
    Attribute {
        /// The node's name, or its operator and first output.
        node: String,
        /// The operator's type.
        operator: String,
        /// The attribute.
        attribute: String,
        /// Its value.
        actual: String,
        /// The values supported.
        expected: String,
    },
    /// An operand of an operator is missing, or is a constant where a value is needed, or the reverse.
    #[error("node {node}: operand {index} of {operator} is {actual}, expected {expected}")]
    Operand {
        /// The node's name, or its operator and first output.
        node: String,
        /// The operator's type.
        operator: String,
        /// Which operand, counted from 0.
        index: usize,
        /// What was found.
        actual: String,
        /// What is supported.
        expected: String,
    },
    /// A tensor's shape does not fit.
    #[error("{place}: shape {actual:?} does not fit, expected {expected}")]
    Shape {
        /// The node or tensor.
        place: String,
        /// What would fit.
        expected: String,
        /// The shape found.
        actual: Vec<i64>,
    },
    /// An axis other than the leading one has no fixed length.
    #[error(
        "input {input}: axis {axis} has no fixed length ({actual}), only the leading axis may be dynamic: \
         export the model with fixed shapes"
    )]
    DynamicAxis {
        /// The input's name.
        input: String,
        /// The axis.
        axis: usize,
        /// What stands in place of a length.
        actual: String,
    },
    /// A tensor has an element type that is not supported.
    #[error("tensor {tensor}: element type {actual} is not supported, expected {expected}")]
    ElementType {
        /// The tensor.
        tensor: String,
        /// The type found.
        actual: String,
        /// The types supported.
        expected: &'static str,
    },
    /// A constant tensor is not well formed.
    #[error("tensor {tensor}: {reason}")]
    Tensor {
        /// The tensor.
        tensor: String,
        /// What does not fit.
        reason: String,
    },
    /// A weight is NaN or infinite.
    #[error("tensor {tensor}: entry {index} is {value}, every weight must be finite")]
    WeightNotFinite {
        /// The initializer or constant.
        tensor: String,
        /// Row-major index of the entry.
        index: usize,
        /// Its value.
        value: f64,
    },
    /// The output does not depend on the input through any layer.
    #[error("the model has no layer to prove between its input and its output")]
    NoLayers,
    /// The float engine could not load or run the model.
    #[error("the float model cannot be run: {reason}")]
    Float {
        /// The engine's reason, on one line.
        reason: String,
    },
    /// A float activation is NaN or infinite.
    #[error("layer {layer}: the float model gives {value} on sample {sample}, index {index}")]
    ActivationNotFinite {
        /// The layer's name.
        layer: String,
        /// The sample, counted from 0.
        sample: usize,
        /// Row-major index of the entry.
        index: usize,
        /// Its value.
        value: f32,
    },
    /// A file could not be read.
    #[error("cannot read {path}: {reason}")]
    Io {
        /// The file.
        path: String,
        /// The system's reason.
        reason: std::io::Error,
    },
    /// A data file has an extension that is not known.
    #[error("{path}: unknown data format, expected a name ending in .json, .npy or .npz")]
    DataFormat {
        /// The file.
        path: String,
    },
    /// A data file is not well formed.
    #[error("cannot read the data: {reason}")]
    Data {
        /// What does not fit.
        reason: String,
    },
    /// A sample has the wrong number of entries.
    #[error("sample {sample} has {actual} entries, expected {expected}")]
    SampleLength {
        /// The sample, counted from 0.
        sample: usize,
        /// Entries expected.
        expected: usize,
        /// Entries found.
        actual: usize,
    },
    /// An entry of a sample is not a finite number.
    #[error("sample {sample}, index {index} is {actual}, expected a finite number")]
    SampleValue {
        /// The sample, counted from 0.
        sample: usize,
        /// Index of the entry.
        index: usize,
        /// What was found.
        actual: String,
    },
    /// There are not as many labels as samples.
    #[error("there are {actual} labels, expected {expected}, one a sample")]
    LabelCount {
        /// Labels expected.
        expected: usize,
        /// Labels found.
        actual: usize,
    },
    /// A label is not an integer.
    #[error("label {index} is {actual}, expected an integer")]
    Label {
        /// The label's index.
        index: usize,
        /// What was found.
        actual: String,
    },
    /// There is nothing to calibrate on, or to measure with.
    #[error("there are no samples: at least one is needed")]
    NoSamples,
    /// An option of the quantization is outside its range.
    #[error("{option} is {actual}, allowed are {lo} to {hi}")]
    Option {
        /// The option.
        option: &'static str,
        /// Its value.
        actual: u8,
        /// Smallest value allowed.
        lo: u8,
        /// Largest value allowed.
        hi: u8,
    },
    /// A tensor given to the executor has the wrong number of entries.
    #[error("{what} has {actual} entries, expected {expected}")]
    Length {
        /// The tensor.
        what: String,
        /// Entries expected.
        expected: usize,
        /// Entries found.
        actual: usize,
    },
    /// An entry given to the executor is outside its declared range.
    #[error("{what}, index {index} is {actual}, expected {lo} to {hi}")]
    OutOfRange {
        /// The tensor.
        what: String,
        /// Index of the entry.
        index: usize,
        /// Its value.
        actual: i64,
        /// Smallest value allowed.
        lo: i64,
        /// Largest value allowed.
        hi: i64,
    },
    /// A layer cannot be quantized.
    #[error("layer {layer} cannot be quantized: {reason}")]
    Quantize {
        /// The layer's name.
        layer: String,
        /// Why not.
        reason: String,
    },
    /// A quantized layer is outside the limits of the proof system.
    #[error("layer {layer} is outside the limits of the proof system: {error}")]
    QuantizedLayer {
        /// The layer's name.
        layer: String,
        /// What does not fit.
        error: CircuitError,
    },
    /// The quantized layer list is outside the limits of the proof system.
    #[error("the quantized model is outside the limits of the proof system: {0}")]
    Circuit(#[from] CircuitError),
}
