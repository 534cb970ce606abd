//! Fully connected layers: `y = requantize(x W^T + bias)` over the last axis of `x`.

use super::{
    Kind, Operand, Requantize, check_bits, finish, output_range, parameter_specs, rows_worst_case,
    sum_of_products,
};
use crate::circuit::{AxisMap, Contract, Expr, TensorId, View};
use crate::error::CircuitError;
use crate::lower::{Builder, Value, whole};
use crate::model::{ParameterSpec, Range, ValueSpec};
use bincode::{Decode, Encode};

/// A fully connected layer.
///
/// The input's last axis has `inputs` entries; the other axes are rows. Weights are `[outputs, inputs]`,
/// biases `[outputs]`, added to the accumulator.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Gemm {
    /// Length of the contracted axis.
    pub inputs: u32,
    /// Length of the output's last axis.
    pub outputs: u32,
    /// Weights are signed integers of this many bits, 2 to 24.
    pub weight_bits: u8,
    /// Biases are signed integers of this many bits, 2 to 40; `None` if there are none.
    pub bias_bits: Option<u8>,
    /// Requantization of the accumulator; `None` gives the accumulator itself.
    pub requantize: Option<Requantize>,
}

impl Gemm {
    /// Range of the accumulator over all inputs in `input` and all weights and biases of the declared bits.
    pub fn accumulator(&self, input: Range) -> Option<Range> {
        sum_of_products(self.inputs.into(), self.weight_bits, self.bias_bits, input)
    }

    /// The tensor that holds the operand, and how its axes divide into rows and contracted indices.
    fn operand(&self, builder: &mut Builder<'_>, input: &Value) -> (TensorId, Vec<usize>, Vec<usize>) {
        let inputs = self.inputs as usize;
        let axes = &builder.circuit.tensors[input.tensor].shape;
        if let Some(first) = (0..=axes.len()).rev().find(|&p| axes[p..].iter().product::<usize>() == inputs) {
            return (input.tensor, axes[..first].to_vec(), axes[first..].to_vec());
        }
        let rows = input.shape.iter().product::<usize>() / inputs;
        let tensor = builder.reshaped(input.tensor, &[rows, inputs]);
        (tensor, vec![rows], vec![inputs])
    }
}

impl Kind for Gemm {
    fn name(&self) -> &'static str {
        "Gemm"
    }

    fn output(&self, node: usize, inputs: &[&ValueSpec]) -> Result<ValueSpec, CircuitError> {
        let input = inputs[0];
        check_bits(node, Some(self.weight_bits), self.bias_bits)?;
        CircuitError::limit(Some(node), "outputs", self.outputs.into(), 1, 1 << 24)?;
        let Some((_, rows)) = input.shape.split_last().filter(|(last, _)| **last == self.inputs as usize)
        else {
            let expected = format!("a last axis of {}", self.inputs);
            return Err(CircuitError::Shape { node: Some(node), shape: input.shape.clone(), expected });
        };
        let range = output_range(node, self.accumulator(input.range), self.requantize.as_ref())?;
        Ok(ValueSpec { shape: [rows, &[self.outputs as usize]].concat(), range })
    }

    fn parameters(&self, node: usize) -> Vec<ParameterSpec> {
        let (inputs, outputs) = (self.inputs as usize, self.outputs as usize);
        let bias = self.bias_bits.map(|bits| (vec![outputs], bits));
        parameter_specs(node, Some((vec![outputs, inputs], self.weight_bits)), bias)
    }

    fn requantize(&self) -> Option<&Requantize> {
        self.requantize.as_ref()
    }

    fn worst_case(&self, inputs: &[&ValueSpec], parameters: &[&[i64]]) -> Option<Range> {
        let bias = parameters.get(1).copied();
        rows_worst_case(self.outputs as usize, parameters[0], bias, inputs[0].range, false)
    }

    fn macs(&self, inputs: &[&ValueSpec], _output: &ValueSpec) -> u64 {
        inputs[0].len() as u64 * u64::from(self.outputs)
    }

    fn evaluate(&self, inputs: &[Operand<'_>], _output: &ValueSpec, parameters: &[&[i64]]) -> Vec<i64> {
        let (width, bias) = (self.inputs as usize, parameters.get(1));
        let dot = |row: &[i64], (o, weights): (usize, &[i64])| {
            let products: i64 = weights.iter().zip(row).map(|(w, x)| w * x).sum();
            products + bias.map_or(0, |bias| bias[o])
        };
        let rows = inputs[0].values.chunks(width);
        let outputs = |row| parameters[0].chunks(width).enumerate().map(move |weights| dot(row, weights));
        finish(rows.flat_map(outputs).collect(), self.requantize.as_ref())
    }

    /// Constraints: `acc - bias[i] = sum_k weight[i, k] * x[j, k]`, and the requantization of `acc`.
    fn lower(&self, builder: &mut Builder<'_>, node: usize, inputs: &[Value], output: &ValueSpec) -> Value {
        let (tensor, rows, inner) = self.operand(builder, &inputs[0]);
        let parameters = builder.parameters[node].clone();
        // The value's box is rows ++ outputs, the left side's is outputs ++ rows.
        let stored = ValueSpec { shape: [&rows[..], &[self.outputs as usize]].concat(), range: output.range };
        let to_left: Vec<AxisMap> = (1..=rows.len()).chain([0]).map(AxisMap::index).collect();
        let bias = self.bias_bits.map(|_| View::axes(parameters[1], &[rows.len()]));
        let contracted = AxisMap::split(&(1..=inner.len()).collect::<Vec<_>>(), &inner);
        let weights = View::new(parameters[0], vec![AxisMap::index(0), contracted]);
        let operand = whole(tensor, rows.len() + inner.len());
        let contract = Contract {
            b: vec![],
            i: vec![self.outputs as usize],
            j: rows,
            k: inner,
            expr: Expr::default(),
            a: Expr::view(1, weights),
            c: Expr::view(1, operand),
        };
        let value = builder.bilinear(node, &stored, self.requantize.as_ref(), bias, contract, &to_left);
        Value { tensor: value.tensor, shape: output.shape.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::Function;

    fn evaluate(gemm: &Gemm, values: &[i64], parameters: &[&[i64]]) -> Vec<i64> {
        let spec = ValueSpec { shape: vec![values.len()], range: Range::new(-10, 10) };
        gemm.evaluate(&[Operand { spec: &spec, values }], &spec, parameters)
    }

    #[test]
    fn accumulators_round_half_up_and_saturate() {
        let requantize =
            Requantize { shift: 2, function: Function::Relu, output: Range::new(0, 3), domain: 4 };
        let gemm =
            Gemm { inputs: 2, outputs: 2, weight_bits: 4, bias_bits: Some(4), requantize: Some(requantize) };
        let (weights, bias) = ([1, -1, 2, 1], [0, 1]);
        let run = |x: [i64; 2]| evaluate(&gemm, &x, &[&weights, &bias]);
        // Accumulators 1 and 6: 0.25 rounds to 0, 1.5 rounds up to 2.
        assert_eq!(run([2, 1]), [0, 2]);
        // Accumulators 2 and 15: 0.5 rounds up to 1, 3.75 rounds to 4 and saturates at 3.
        assert_eq!(run([5, 3]).to_vec(), [1, 3]);
        // A negative accumulator is rectified.
        assert_eq!(run([0, 3])[0], 0);
    }

    #[test]
    fn accumulator_ranges_hold_at_the_extremes() {
        let gemm = Gemm { inputs: 3, outputs: 1, weight_bits: 4, bias_bits: Some(5), requantize: None };
        assert_eq!(gemm.accumulator(Range::new(0, 10)), Some(Range::new(-8 * 30 - 16, 7 * 30 + 15)));
        assert_eq!(gemm.accumulator(Range::new(-10, 2)), Some(Range::new(-70 * 3 - 16, 80 * 3 + 15)));
        assert_eq!(evaluate(&gemm, &[10, 10, 10], &[&[-8, -8, -8], &[-16]]), [-256]);
    }
}
