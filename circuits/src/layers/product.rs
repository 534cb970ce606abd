//! Products of two operands.

use super::{ACCUMULATOR, Kind, Operand, Requantize, broadcast, finish, product_range, public_output_range};
use crate::circuit::{AxisMap, Contract, Expr};
use crate::error::CircuitError;
use crate::lower::{Builder, Value};
use crate::model::{Range, ValueSpec};
use bincode::{Decode, Encode};

/// `acc = multiplier * x * y`, the operands broadcast to one shape.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Product {
    /// Times the product, within `2^32`, not 0. Public.
    pub multiplier: i64,
    /// Requantization of the accumulator; `None` gives the accumulator itself.
    pub requantize: Option<Requantize>,
}

impl Kind for Product {
    fn name(&self) -> &'static str {
        "Product"
    }

    fn operands(&self) -> (usize, usize) {
        (2, 2)
    }

    fn output(&self, node: usize, inputs: &[&ValueSpec]) -> Result<ValueSpec, CircuitError> {
        let (multiplier, most) = (self.multiplier.saturating_abs(), 1 << 32);
        CircuitError::limit(Some(node), "absolute value of the multiplier", multiplier, 1, most)?;
        let shape = broadcast::shape(node, inputs)?;
        let range = public_output_range(node, self.worst_case(inputs, &[]), self.requantize.as_ref())?;
        Ok(ValueSpec { shape, range })
    }

    fn requantize(&self) -> Option<&Requantize> {
        self.requantize.as_ref()
    }

    fn worst_case(&self, inputs: &[&ValueSpec], _parameters: &[&[i64]]) -> Option<Range> {
        // The constraint multiplies the first operand first.
        let multiple = product_range(Range::new(self.multiplier, self.multiplier), inputs[0].range);
        product_range(multiple.filter(|range| ACCUMULATOR.covers(range))?, inputs[1].range)
    }

    fn macs(&self, _inputs: &[&ValueSpec], output: &ValueSpec) -> u64 {
        output.len() as u64
    }

    fn evaluate(&self, inputs: &[Operand<'_>], output: &ValueSpec, _parameters: &[&[i64]]) -> Vec<i64> {
        let at = |operand: &Operand<'_>| broadcast::positions(&operand.spec.shape, &output.shape);
        let pairs = at(&inputs[0]).into_iter().zip(at(&inputs[1]));
        let acc = pairs.map(|(x, y)| self.multiplier * inputs[0].values[x] * inputs[1].values[y]).collect();
        finish(acc, self.requantize.as_ref())
    }

    /// Constraint: `acc[b, i, j] = multiplier * x[b, i] * y[b, j]`: `b` are the axes along which both operands vary, or none,
    /// `i` and `j` those along which only one does.
    fn lower(&self, builder: &mut Builder<'_>, node: usize, inputs: &[Value], output: &ValueSpec) -> Value {
        let axes = output.shape.len();
        let varies = |value: &Value, axis: usize| {
            (axis + value.shape.len()).checked_sub(axes).is_some_and(|own| value.shape[own] != 1)
        };
        let only = |x: bool, y: bool| -> Vec<usize> {
            (0..axes).filter(|&axis| (varies(&inputs[0], axis), varies(&inputs[1], axis)) == (x, y)).collect()
        };
        let (i, j) = (only(true, false), only(false, true));
        let b = [only(true, true), only(false, false)].concat();
        let extents = |axes: &[usize]| axes.iter().map(|&axis| output.shape[axis]).collect::<Vec<_>>();
        let place = |order: &[usize]| -> Vec<usize> {
            (0..axes).map(|axis| order.iter().position(|&a| a == axis).unwrap_or(0)).collect()
        };
        let mut operand = |value: &Value, own: &[usize]| {
            let order = [&b[..], own].concat();
            let maps = broadcast::maps(&value.shape, &output.shape, &place(&order));
            builder.view(value, maps, &extents(&order), vec![])
        };
        let (x, y) = (operand(&inputs[0], &i), operand(&inputs[1], &j));
        let to_left: Vec<AxisMap> =
            place(&[&b[..], &i, &j].concat()).into_iter().map(AxisMap::index).collect();
        let contract = Contract {
            b: extents(&b),
            i: extents(&i),
            j: extents(&j),
            k: vec![],
            expr: Expr::default(),
            a: Expr::view(self.multiplier, x),
            c: Expr::view(1, y),
        };
        builder.bilinear(node, output, self.requantize.as_ref(), None, contract, &to_left)
    }
}
