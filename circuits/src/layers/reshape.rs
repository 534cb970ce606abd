//! Reshape and flatten: the same entries, row-major, under another shape. Costs nothing to prove.

use super::{Kind, Operand, extents};
use crate::error::CircuitError;
use crate::lower::{Builder, Value};
use crate::model::{MAX_AXES, Range, ValueSpec};
use bincode::{Decode, Encode};

/// The same entries under another shape.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Reshape {
    /// The new shape, with as many entries as the old one.
    pub shape: Vec<u32>,
}

impl Kind for Reshape {
    fn name(&self) -> &'static str {
        "Reshape"
    }

    fn output(&self, node: usize, inputs: &[&ValueSpec]) -> Result<ValueSpec, CircuitError> {
        CircuitError::limit(Some(node), "number of axes", self.shape.len() as i64, 0, MAX_AXES as i64)?;
        let shape = extents(&self.shape);
        let entries = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        if entries != Some(inputs[0].len()) {
            let expected = format!("{} entries", inputs[0].len());
            return Err(CircuitError::Shape { node: Some(node), shape, expected });
        }
        Ok(ValueSpec { shape, range: inputs[0].range })
    }

    fn worst_case(&self, inputs: &[&ValueSpec], _parameters: &[&[i64]]) -> Option<Range> {
        Some(inputs[0].range)
    }

    fn evaluate(&self, inputs: &[Operand<'_>], _output: &ValueSpec, _parameters: &[&[i64]]) -> Vec<i64> {
        inputs[0].values.to_vec()
    }

    fn lower(&self, _builder: &mut Builder<'_>, _node: usize, inputs: &[Value], output: &ValueSpec) -> Value {
        Value { tensor: inputs[0].tensor, shape: output.shape.clone() }
    }
}
