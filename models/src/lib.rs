//! From an ONNX file and a few samples to a quantized model in integers, and how close the two are.
//!
//! ```text
//! bytes --onnx--> FloatModel --quantize(samples)--> QuantizedModel --executor--> integer outputs
//!                     \___________________ fidelity ___________________/
//! ```
//!
//! This is where floats end: the layer list and the parameters that leave this crate are integers.

pub mod data;
pub mod error;
pub mod executor;
pub mod fidelity;
pub mod float;
pub mod onnx;
pub mod quantize;
pub mod scale;
pub(crate) mod simplify;
pub mod zoo;

pub use data::Dataset;
pub use error::ModelError;
pub use fidelity::Fidelity;
pub use float::FloatModel;
pub use onnx::import;
pub use quantize::{QuantizeOptions, QuantizedModel, Stage, quantize, quantize_observed};
