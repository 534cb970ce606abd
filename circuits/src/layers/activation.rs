//! A requantized function of every entry.

use super::{Kind, Operand, Requantize, finish, public_output_range};
use crate::circuit::Expr;
use crate::error::CircuitError;
use crate::lower::{Builder, Value, whole};
use crate::model::{Range, ValueSpec};
use bincode::{Decode, Encode};

/// A requantized function of every entry: the accumulator is the entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Activation {
    /// The requantization.
    pub requantize: Requantize,
}

impl Kind for Activation {
    fn name(&self) -> &'static str {
        "Activation"
    }

    fn output(&self, node: usize, inputs: &[&ValueSpec]) -> Result<ValueSpec, CircuitError> {
        let range = public_output_range(node, Some(inputs[0].range), Some(&self.requantize))?;
        Ok(ValueSpec { shape: inputs[0].shape.clone(), range })
    }

    fn requantize(&self) -> Option<&Requantize> {
        Some(&self.requantize)
    }

    fn worst_case(&self, inputs: &[&ValueSpec], _parameters: &[&[i64]]) -> Option<Range> {
        Some(inputs[0].range)
    }

    fn evaluate(&self, inputs: &[Operand<'_>], _output: &ValueSpec, _parameters: &[&[i64]]) -> Vec<i64> {
        finish(inputs[0].values.to_vec(), Some(&self.requantize))
    }

    fn lower(&self, builder: &mut Builder<'_>, node: usize, inputs: &[Value], output: &ValueSpec) -> Value {
        // The operand's tensor may have another shape, of the same entries in the same order.
        let extents = builder.circuit.tensors[inputs[0].tensor].shape.clone();
        let expr = Expr::view(1, whole(inputs[0].tensor, extents.len()));
        let stored = ValueSpec { shape: extents, range: output.range };
        let tensor = builder.linear(node, &stored, Some(&self.requantize), expr).tensor;
        Value { tensor, shape: output.shape.clone() }
    }
}
