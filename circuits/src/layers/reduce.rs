//! Sums over axes.

use super::{Kind, Operand, Requantize, broadcast, extents, finish, public_output_range};
use crate::circuit::{AxisMap, Expr};
use crate::error::CircuitError;
use crate::lower::{Builder, Value};
use crate::model::{Range, ValueSpec};
use bincode::{Decode, Encode};

/// A multiple of the sum over axes: `acc = multiplier * sum`.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Reduce {
    /// The axes that are summed, strictly increasing.
    pub axes: Vec<u32>,
    /// Shape of the output: the operand's, the summed axes of length 1 or left out.
    pub shape: Vec<u32>,
    /// Times the sum, 1 to `2^40`.
    pub multiplier: i64,
    /// Requantization of the accumulator; `None` gives the accumulator itself.
    pub requantize: Option<Requantize>,
}

impl Reduce {
    fn is_summed(&self, axis: usize) -> bool {
        self.axes.iter().any(|&summed| summed as usize == axis)
    }

    /// The operand's shape with the summed axes of length 1.
    fn kept(&self, input: &[usize]) -> Vec<usize> {
        input.iter().enumerate().map(|(axis, &d)| if self.is_summed(axis) { 1 } else { d }).collect()
    }
}

impl Kind for Reduce {
    fn name(&self) -> &'static str {
        "Reduce"
    }

    fn output(&self, node: usize, inputs: &[&ValueSpec]) -> Result<ValueSpec, CircuitError> {
        let limit = |what, value, lo, hi| CircuitError::limit(Some(node), what, value, lo, hi);
        let input = inputs[0];
        limit("summed axes", self.axes.len() as i64, 1, input.shape.len() as i64)?;
        let mut next = 0;
        for &axis in &self.axes {
            limit("summed axis", axis.into(), next, input.shape.len() as i64 - 1)?;
            next = i64::from(axis) + 1;
        }
        limit("multiplier of a sum", self.multiplier, 1, 1 << 40)?;
        let shape = extents(&self.shape);
        let left: Vec<usize> = input
            .shape
            .iter()
            .enumerate()
            .filter(|(axis, _)| !self.is_summed(*axis))
            .map(|(_, &d)| d)
            .collect();
        if shape != left && shape != self.kept(&input.shape) {
            let expected = format!("{left:?}, or the same with axes of length 1 at {:?}", self.axes);
            return Err(CircuitError::Shape { node: Some(node), shape, expected });
        }
        let range = public_output_range(node, self.worst_case(inputs, &[]), self.requantize.as_ref())?;
        Ok(ValueSpec { shape, range })
    }

    fn requantize(&self) -> Option<&Requantize> {
        self.requantize.as_ref()
    }

    fn worst_case(&self, inputs: &[&ValueSpec], _parameters: &[&[i64]]) -> Option<Range> {
        let input = inputs[0];
        let summed = input.shape.iter().enumerate().filter(|(axis, _)| self.is_summed(*axis));
        let terms = summed.map(|(_, &d)| d as i64).product::<i64>().checked_mul(self.multiplier)?;
        Some(Range::new(input.range.lo.checked_mul(terms)?, input.range.hi.checked_mul(terms)?))
    }

    fn evaluate(&self, inputs: &[Operand<'_>], output: &ValueSpec, _parameters: &[&[i64]]) -> Vec<i64> {
        let from = &inputs[0].spec.shape;
        let mut sums = vec![0; output.len()];
        let positions = broadcast::positions(&self.kept(from), from);
        positions.into_iter().zip(inputs[0].values).for_each(|(at, x)| sums[at] += self.multiplier * x);
        finish(sums, self.requantize.as_ref())
    }

    /// Constraint: `acc = multiplier * sum`; the sum is a view.
    fn lower(&self, builder: &mut Builder<'_>, node: usize, inputs: &[Value], output: &ValueSpec) -> Value {
        let shape = &inputs[0].shape;
        let kept = output.shape.len() == shape.len();
        let (mut next, mut sums) = (0, vec![]);
        let maps = (0..shape.len())
            .map(|axis| {
                let index = if self.is_summed(axis) {
                    sums.push(shape[axis]);
                    next += usize::from(kept);
                    output.shape.len() + sums.len() - 1
                } else {
                    next += 1;
                    next - 1
                };
                AxisMap::index(index)
            })
            .collect();
        let view = builder.view(&inputs[0], maps, &output.shape, sums);
        builder.linear(node, output, self.requantize.as_ref(), Expr::view(self.multiplier, view))
    }
}
