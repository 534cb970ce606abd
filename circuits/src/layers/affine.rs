//! A secret factor and a secret summand for every entry, broadcast: batch normalization, constant operands.

use super::{
    Kind, Operand, Requantize, broadcast, check_bits, extents, finish, output_range, parameter_specs,
    product_range,
};
use crate::circuit::{AxisMap, Contract, Expr, View};
use crate::error::CircuitError;
use crate::lower::{Builder, Value};
use crate::model::{ParameterSpec, Range, ValueSpec};
use bincode::{Decode, Encode};

/// `acc = weight * x + bias`, or `acc = multiplier * x + bias`, with constants and operand broadcast to one shape.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Affine {
    /// Shape of weights and biases.
    pub shape: Vec<u32>,
    /// Weights are signed integers of this many bits, 2 to 24; `None` if there are none.
    pub weight_bits: Option<u8>,
    /// Public factor within `2^32` in place of weights; 0 if there are weights.
    pub multiplier: i64,
    /// Biases are signed integers of this many bits, 2 to 40; `None` if there are none.
    pub bias_bits: Option<u8>,
    /// Requantization of the accumulator; `None` gives the accumulator itself.
    pub requantize: Option<Requantize>,
}

impl Affine {
    fn constants(&self) -> ValueSpec {
        ValueSpec { shape: extents(&self.shape), range: Range::new(0, 0) }
    }

    /// Range of the accumulator over all inputs in `input` and all weights and biases of the declared bits.
    pub fn accumulator(&self, input: Range) -> Option<Range> {
        let factor = match self.weight_bits {
            Some(bits) => Range::signed(bits.into()),
            None => Range::new(self.multiplier, self.multiplier),
        };
        let product = product_range(factor, input)?;
        let bias = self.bias_bits.map_or(Range::new(0, 0), |bits| Range::signed(bits.into()));
        Some(Range::new(product.lo.checked_add(bias.lo)?, product.hi.checked_add(bias.hi)?))
    }

    /// The weight tensor, if there is one, and the bias tensor, if there is one.
    fn split<'p>(&self, parameters: &[&'p [i64]]) -> (Option<&'p [i64]>, Option<&'p [i64]>) {
        let weight = self.weight_bits.map(|_| parameters[0]);
        (weight, parameters.get(usize::from(weight.is_some())).copied())
    }
}

impl Kind for Affine {
    fn name(&self) -> &'static str {
        "Affine"
    }

    fn output(&self, node: usize, inputs: &[&ValueSpec]) -> Result<ValueSpec, CircuitError> {
        check_bits(node, self.weight_bits, self.bias_bits)?;
        let most = if self.weight_bits.is_some() { 0 } else { 1 << 32 };
        CircuitError::limit(Some(node), "multiplier", self.multiplier, -most, most)?;
        let given = i64::from(self.weight_bits.is_some()) + i64::from(self.bias_bits.is_some());
        CircuitError::limit(Some(node), "number of weight and bias tensors", given, 1, 2)?;
        let constants = self.constants();
        crate::model::check_shape(Some(node), &constants.shape)?;
        let shape = broadcast::shape(node, &[inputs[0], &constants])?;
        let range = output_range(node, self.accumulator(inputs[0].range), self.requantize.as_ref())?;
        Ok(ValueSpec { shape, range })
    }

    fn parameters(&self, node: usize) -> Vec<ParameterSpec> {
        let shape = || extents(&self.shape);
        let weight = self.weight_bits.map(|bits| (shape(), bits));
        parameter_specs(node, weight, self.bias_bits.map(|bits| (shape(), bits)))
    }

    fn requantize(&self) -> Option<&Requantize> {
        self.requantize.as_ref()
    }

    fn worst_case(&self, inputs: &[&ValueSpec], parameters: &[&[i64]]) -> Option<Range> {
        let (weight, bias) = self.split(parameters);
        let count = self.constants().len();
        (0..count)
            .map(|at| {
                let factor = weight.map_or(self.multiplier, |weight| weight[at]);
                let product = product_range(Range::new(factor, factor), inputs[0].range)?;
                let bias = bias.map_or(0, |bias| bias[at]);
                Some(Range::new(product.lo.checked_add(bias)?, product.hi.checked_add(bias)?))
            })
            .try_fold(None, |all: Option<Range>, own| {
                let own = own?;
                Some(Some(all.map_or(own, |all| all.union(&own))))
            })?
    }

    fn macs(&self, _inputs: &[&ValueSpec], output: &ValueSpec) -> u64 {
        self.weight_bits.map_or(0, |_| output.len() as u64)
    }

    fn evaluate(&self, inputs: &[Operand<'_>], output: &ValueSpec, parameters: &[&[i64]]) -> Vec<i64> {
        let (weight, bias) = self.split(parameters);
        let constants = broadcast::positions(&extents(&self.shape), &output.shape);
        let entries = broadcast::positions(&inputs[0].spec.shape, &output.shape);
        let accumulators = constants.into_iter().zip(entries).map(|(at, entry)| {
            let factor = weight.map_or(self.multiplier, |weight| weight[at]);
            factor * inputs[0].values[entry] + bias.map_or(0, |bias| bias[at])
        });
        finish(accumulators.collect(), self.requantize.as_ref())
    }

    /// Constraint: `acc[b, j] - bias[b] = weight[b] * x[b, j]`: `b` are the axes along which the weights vary, `j` the others.
    fn lower(&self, builder: &mut Builder<'_>, node: usize, inputs: &[Value], output: &ValueSpec) -> Value {
        let parameters = builder.parameters[node].clone();
        let shape = extents(&self.shape);
        let axes = output.shape.len();
        let all: Vec<usize> = (0..axes).collect();
        let bias = self.bias_bits.and(parameters.last().copied());
        let bias = bias.map(|bias| View::new(bias, broadcast::maps(&shape, &output.shape, &all)));
        if self.weight_bits.is_none() {
            let maps = broadcast::maps(&inputs[0].shape, &output.shape, &all);
            let view = builder.view(&inputs[0], maps, &output.shape, vec![]);
            let expr = Expr::view(self.multiplier, view);
            let expr = bias.into_iter().fold(expr, |expr, bias| expr.plus(1, bias));
            return builder.linear(node, output, self.requantize.as_ref(), expr);
        }
        let varies = |axis: usize| (axis + shape.len()).checked_sub(axes).is_some_and(|own| shape[own] != 1);
        let (b, j): (Vec<usize>, Vec<usize>) = all.iter().partition(|&&axis| varies(axis));
        let lengths = |axes: &[usize]| axes.iter().map(|&axis| output.shape[axis]).collect::<Vec<_>>();
        let order = [&b[..], &j].concat();
        let place: Vec<usize> =
            all.iter().map(|axis| order.iter().position(|a| a == axis).unwrap_or(0)).collect();
        let weight = View::new(parameters[0], broadcast::maps(&shape, &output.shape, &place));
        let maps = broadcast::maps(&inputs[0].shape, &output.shape, &place);
        let operand = builder.view(&inputs[0], maps, &lengths(&order), vec![]);
        let to_left: Vec<AxisMap> = place.into_iter().map(AxisMap::index).collect();
        let contract = Contract {
            b: lengths(&b),
            i: vec![],
            j: lengths(&j),
            k: vec![],
            expr: Expr::default(),
            a: Expr::view(1, weight),
            c: Expr::view(1, operand),
        };
        builder.bilinear(node, output, self.requantize.as_ref(), bias, contract, &to_left)
    }
}
