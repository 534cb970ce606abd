//! Reshape and flatten: the same entries, row-major, under another shape. Costs nothing to prove.

use crate::error::CircuitError;
use crate::model::{MAX_AXES, ValueSpec};
use bincode::{Decode, Encode};

/// The same entries under another shape.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Reshape {
    /// The new shape, with as many entries as the old one.
    pub shape: Vec<u32>,
}

impl Reshape {
    pub(super) fn output(&self, node: usize, input: &ValueSpec) -> Result<ValueSpec, CircuitError> {
        CircuitError::limit(Some(node), "number of axes", self.shape.len() as i64, 0, MAX_AXES as i64)?;
        let shape: Vec<usize> = self.shape.iter().map(|&d| d as usize).collect();
        let entries = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        if entries != Some(input.len()) {
            return Err(CircuitError::Shape {
                node: Some(node),
                shape,
                expected: format!("{} entries", input.len()),
            });
        }
        Ok(ValueSpec { shape, range: input.range })
    }
}
