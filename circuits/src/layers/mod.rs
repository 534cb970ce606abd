//! The layer kinds. One kind is one file: shape rule, integer semantics, constraints, tests.

mod gemm;
mod requantize;
mod reshape;

pub use gemm::Gemm;
pub use requantize::{Activation, Function, Requantize};
pub use reshape::Reshape;

use crate::error::CircuitError;
use crate::model::{ParameterSpec, ValueSpec};
use bincode::{Decode, Encode};

/// A layer of the list: the registry of layer kinds.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Layer {
    /// Fully connected: the input's last axis times a weight matrix, plus a bias, requantized.
    Gemm(Gemm),
    /// A requantized function of every entry.
    Activation(Activation),
    /// The same entries under another shape.
    Reshape(Reshape),
}

impl Layer {
    /// Name of the kind, as shown to people.
    pub fn kind(&self) -> &'static str {
        match self {
            Layer::Gemm(_) => "Gemm",
            Layer::Activation(_) => "Activation",
            Layer::Reshape(_) => "Reshape",
        }
    }

    /// Checks the layer's parameters and gives the shape and range of its output.
    ///
    /// # Errors
    /// [`CircuitError`] naming `node` and what does not fit.
    pub fn output(&self, node: usize, inputs: &[&ValueSpec]) -> Result<ValueSpec, CircuitError> {
        let [input] = inputs else {
            return Err(CircuitError::Parameter {
                node: Some(node),
                what: "number of operands",
                value: inputs.len() as i64,
                lo: 1,
                hi: 1,
            });
        };
        match self {
            Layer::Gemm(gemm) => gemm.output(node, input),
            Layer::Activation(activation) => activation.output(node, input),
            Layer::Reshape(reshape) => reshape.output(node, input),
        }
    }

    /// The parameter tensors of the layer.
    pub fn parameters(&self, node: usize) -> Vec<ParameterSpec> {
        match self {
            Layer::Gemm(gemm) => gemm.parameters(node),
            Layer::Activation(_) | Layer::Reshape(_) => Vec::new(),
        }
    }

    /// Checks what can only be checked with the parameters at hand: that every valid input stays in the layer's domains.
    ///
    /// # Errors
    /// [`CircuitError::Parameter`] naming `node` and the domain that is too small.
    pub fn check_parameters(
        &self,
        node: usize,
        inputs: &[&ValueSpec],
        parameters: &[&[i64]],
    ) -> Result<(), CircuitError> {
        let Layer::Gemm(gemm) = self else { return Ok(()) };
        let Some(requantize) = gemm.requantize else { return Ok(()) };
        let worst = gemm.worst_case(inputs[0].range, parameters);
        requantize.check_domain(node, Requantize::domain_of(requantize.shift, worst))
    }

    /// Multiply-accumulate operations of the layer.
    pub fn macs(&self, inputs: &[&ValueSpec]) -> u64 {
        match self {
            Layer::Gemm(gemm) => inputs.iter().map(|input| gemm.macs(input)).sum(),
            Layer::Activation(_) | Layer::Reshape(_) => 0,
        }
    }

    /// The integer semantics: the layer's output on `inputs`, with its parameter tensors in order.
    ///
    /// Operands and parameters must have the lengths and ranges of their specifications.
    pub fn evaluate(&self, inputs: &[&[i64]], parameters: &[&[i64]]) -> Vec<i64> {
        match self {
            Layer::Gemm(gemm) => gemm.evaluate(inputs[0], parameters),
            Layer::Activation(activation) => activation.evaluate(inputs[0]),
            Layer::Reshape(_) => inputs[0].to_vec(),
        }
    }
}
