//! Linear combinations with public coefficients: sums, differences, multiples.

use super::{Kind, MAX_OPERANDS, Operand, Requantize, broadcast, finish, public_output_range};
use crate::circuit::Expr;
use crate::error::CircuitError;
use crate::lower::{Builder, Value};
use crate::model::{Range, ValueSpec};
use bincode::{Decode, Encode};

/// `acc = offset + sum coefficient * operand`, the operands broadcast to one shape.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Combine {
    /// One factor per operand, within `2^32`. Public.
    pub coefficients: Vec<i64>,
    /// Added to every entry, within `2^40`. Public.
    pub offset: i64,
    /// Requantization of the accumulator; `None` gives the accumulator itself.
    pub requantize: Option<Requantize>,
}

impl Kind for Combine {
    fn name(&self) -> &'static str {
        "Combine"
    }

    fn operands(&self) -> (usize, usize) {
        (1, MAX_OPERANDS)
    }

    fn output(&self, node: usize, inputs: &[&ValueSpec]) -> Result<ValueSpec, CircuitError> {
        let limit = |what, value, lo, hi| CircuitError::limit(Some(node), what, value, lo, hi);
        let count = inputs.len() as i64;
        limit("number of coefficients", self.coefficients.len() as i64, count, count)?;
        self.coefficients.iter().try_for_each(|&c| limit("coefficient", c, -(1 << 32), 1 << 32))?;
        limit("offset", self.offset, -(1 << 40), 1 << 40)?;
        let shape = broadcast::shape(node, inputs)?;
        let range = public_output_range(node, self.worst_case(inputs, &[]), self.requantize.as_ref())?;
        Ok(ValueSpec { shape, range })
    }

    fn requantize(&self) -> Option<&Requantize> {
        self.requantize.as_ref()
    }

    fn worst_case(&self, inputs: &[&ValueSpec], _parameters: &[&[i64]]) -> Option<Range> {
        let start = Range::new(self.offset, self.offset);
        self.coefficients.iter().zip(inputs).try_fold(start, |sum, (&c, input)| {
            let (x, y) = (c.checked_mul(input.range.lo)?, c.checked_mul(input.range.hi)?);
            Some(Range::new(sum.lo.checked_add(x.min(y))?, sum.hi.checked_add(x.max(y))?))
        })
    }

    fn evaluate(&self, inputs: &[Operand<'_>], output: &ValueSpec, _parameters: &[&[i64]]) -> Vec<i64> {
        let mut accumulators = vec![self.offset; output.len()];
        for (operand, c) in inputs.iter().zip(&self.coefficients) {
            let positions = broadcast::positions(&operand.spec.shape, &output.shape);
            accumulators.iter_mut().zip(positions).for_each(|(acc, at)| *acc += c * operand.values[at]);
        }
        finish(accumulators, self.requantize.as_ref())
    }

    /// Constraint: `acc = offset + sum coefficient * x`.
    fn lower(&self, builder: &mut Builder<'_>, node: usize, inputs: &[Value], output: &ValueSpec) -> Value {
        let all: Vec<usize> = (0..output.shape.len()).collect();
        let start = Expr::default().offset(self.offset);
        let expr = inputs.iter().zip(&self.coefficients).fold(start, |expr, (input, &c)| {
            let maps = broadcast::maps(&input.shape, &output.shape, &all);
            let view = builder.view(input, maps, &output.shape, vec![]);
            expr.plus(c, view)
        });
        builder.linear(node, output, self.requantize.as_ref(), expr)
    }
}
