//! Fully connected layers: `y = requantize(x W^T + bias)` over the last axis of `x`.

use super::Requantize;
use crate::circuit::{AxisMap, Contract, Expr, Source, Step, TensorId, View};
use crate::error::CircuitError;
use crate::lower::{Builder, Value, whole};
use crate::model::{ParameterKind, ParameterSpec, Range, ValueSpec};
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
    /// Weights are signed integers of this many bits, 2 to 16.
    pub weight_bits: u8,
    /// Biases are signed integers of this many bits, 2 to 40; `None` if there are none.
    pub bias_bits: Option<u8>,
    /// Requantization of the accumulator; `None` gives the accumulator itself.
    pub requantize: Option<Requantize>,
}

impl Gemm {
    /// Range of the accumulator over all inputs in `input` and all weights and biases of the declared bits.
    pub fn accumulator(&self, input: Range) -> Option<Range> {
        let weight = Range::signed(self.weight_bits.into());
        let (mut lo, mut hi) = (0i64, 0i64);
        for (w, x) in
            [(weight.lo, input.lo), (weight.lo, input.hi), (weight.hi, input.lo), (weight.hi, input.hi)]
        {
            let product = w.checked_mul(x)?;
            lo = lo.min(product);
            hi = hi.max(product);
        }
        let n = i64::from(self.inputs);
        let bias = self.bias_bits.map_or(Range::new(0, 0), |bits| Range::signed(bits.into()));
        Some(Range {
            lo: lo.checked_mul(n)?.checked_add(bias.lo)?,
            hi: hi.checked_mul(n)?.checked_add(bias.hi)?,
        })
    }

    /// Range of the accumulator over all inputs in `input`, for these very weights and biases: the worst case that
    /// [`Requantize::domain`] must hold.
    ///
    /// Exact for valid parameters; where invalid ones would overflow, the range ends at the ends of 64 bits.
    pub fn worst_case(&self, input: Range, parameters: &[&[i64]]) -> Range {
        let rows = parameters[0].chunks(self.inputs as usize).enumerate().map(|(output, weights)| {
            let bias = parameters.get(1).map_or(0, |bias| bias[output]);
            weights.iter().fold(Range::new(bias, bias), |sum, &w| {
                let (x, y) = (w.saturating_mul(input.lo), w.saturating_mul(input.hi));
                Range::new(sum.lo.saturating_add(x.min(y)), sum.hi.saturating_add(x.max(y)))
            })
        });
        rows.reduce(|a, b| a.union(&b)).unwrap_or(Range::new(0, 0))
    }

    pub(super) fn output(&self, node: usize, input: &ValueSpec) -> Result<ValueSpec, CircuitError> {
        let limit = |what, value, lo, hi| CircuitError::limit(Some(node), what, value, lo, hi);
        limit("weight bits", self.weight_bits.into(), 2, 16)?;
        if let Some(bits) = self.bias_bits {
            limit("bias bits", bits.into(), 2, 40)?;
        }
        limit("outputs", self.outputs.into(), 1, 1 << 24)?;
        let Some((&last, rows)) = input.shape.split_last().filter(|(last, _)| **last == self.inputs as usize)
        else {
            return Err(CircuitError::Shape {
                node: Some(node),
                shape: input.shape.clone(),
                expected: format!("a last axis of {}", self.inputs),
            });
        };
        debug_assert_eq!(last, self.inputs as usize);
        let mut shape = rows.to_vec();
        shape.push(self.outputs as usize);
        let accumulator =
            self.accumulator(input.range).filter(|acc| Range::signed(62).covers(acc)).ok_or_else(|| {
                CircuitError::Wraps { constraint: format!("layer {node}: accumulator"), bits: 63, limit: 62 }
            })?;
        let range = match &self.requantize {
            None => accumulator,
            Some(requantize) => {
                requantize.check(node)?;
                requantize.output
            }
        };
        Ok(ValueSpec { shape, range })
    }

    pub(super) fn parameters(&self, node: usize) -> Vec<ParameterSpec> {
        let (inputs, outputs) = (self.inputs as usize, self.outputs as usize);
        let mut parameters = vec![ParameterSpec {
            node,
            kind: ParameterKind::Weight,
            shape: vec![outputs, inputs],
            bits: self.weight_bits.into(),
        }];
        if let Some(bits) = self.bias_bits {
            parameters.push(ParameterSpec {
                node,
                kind: ParameterKind::Bias,
                shape: vec![outputs],
                bits: bits.into(),
            });
        }
        parameters
    }

    pub(super) fn macs(&self, input: &ValueSpec) -> u64 {
        input.len() as u64 * u64::from(self.outputs)
    }

    pub(super) fn evaluate(&self, input: &[i64], parameters: &[&[i64]]) -> Vec<i64> {
        let weights = parameters[0];
        let bias = parameters.get(1);
        input
            .chunks(self.inputs as usize)
            .flat_map(|row| {
                weights.chunks(self.inputs as usize).enumerate().map(move |(o, w)| {
                    let products: i64 = w.iter().zip(row).map(|(w, x)| w * x).sum();
                    let acc = products + bias.map_or(0, |bias| bias[o]);
                    self.requantize.map_or(acc, |requantize| requantize.apply(acc))
                })
            })
            .collect()
    }

    /// Constraints: `2^shift * quotient + remainder - half - bias[i] = sum_k weight[i, k] * x[j, k]`, and the
    /// requantization of what is on the left.
    pub(crate) fn lower(
        &self,
        builder: &mut Builder<'_>,
        node: usize,
        input: &Value,
        output: &ValueSpec,
    ) -> Value {
        let (tensor, rows, inner) = self.operand(builder, input);
        let parameters = builder.parameters[node].clone();
        let name = format!("layer {node}");
        let shape = [&rows[..], &[self.outputs as usize]].concat();
        let y = builder.declare(
            &format!("{name} output"),
            shape.clone(),
            builder.output_role(node),
            output.range,
        );

        // The value's box is j ++ i, the left side's is i ++ j.
        let to_left: Vec<usize> = (1..=rows.len()).chain([0]).collect();
        let from_left: Vec<usize> = [rows.len()].into_iter().chain(0..rows.len()).collect();
        let bias = match self.bias_bits {
            Some(_) => Expr::view(1, View::axes(parameters[1], &[rows.len()])),
            None => Expr::default(),
        };
        let contract = builder.circuit.contracts.len();
        let weights = View {
            tensor: parameters[0],
            axes: vec![AxisMap::index(0), AxisMap::split(&(1..=inner.len()).collect::<Vec<_>>(), &inner)],
        };
        let operand = if builder.circuit.tensors[tensor].shape.len() == rows.len() + inner.len() {
            whole(tensor, rows.len() + inner.len())
        } else {
            let indices: Vec<usize> = (0..rows.len() + inner.len()).collect();
            View { tensor, axes: vec![AxisMap::split(&indices, &[&rows[..], &inner].concat())] }
        };
        builder.circuit.contracts.push(Contract {
            b: vec![],
            i: vec![self.outputs as usize],
            j: rows,
            k: inner,
            expr: Expr::default(),
            a: Expr::view(1, weights),
            c: Expr::view(1, operand),
        });
        let source =
            Source { extents: shape.clone(), expr: bias.clone(), contract: Some((contract, from_left)) };
        let accumulator = match &self.requantize {
            Some(requantize) => builder.requantize(&name, requantize, source, y),
            None => {
                builder.circuit.steps.push(Step::Store { source, output: y });
                Expr::view(1, whole(y, shape.len()))
            }
        };
        builder.circuit.contracts[contract].expr = accumulator.add(-1, &bias).reindexed(&to_left);
        Value { tensor: y, shape: output.shape.clone() }
    }

    /// The tensor that holds the operand, and how its axes divide into rows and contracted indices.
    fn operand(&self, builder: &mut Builder<'_>, input: &Value) -> (TensorId, Vec<usize>, Vec<usize>) {
        let inputs = self.inputs as usize;
        let axes = &builder.circuit.tensors[input.tensor].shape;
        if let Some(first) = (0..=axes.len()).find(|&p| axes[p..].iter().product::<usize>() == inputs) {
            return (input.tensor, axes[..first].to_vec(), axes[first..].to_vec());
        }
        let rows = input.shape.iter().product::<usize>() / inputs;
        (builder.flattened(input), vec![rows], vec![inputs])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::Function;

    #[test]
    fn accumulators_round_half_up_and_saturate() {
        let requantize =
            Requantize { shift: 2, function: Function::Relu, output: Range::new(0, 3), domain: 4 };
        let gemm =
            Gemm { inputs: 2, outputs: 2, weight_bits: 4, bias_bits: Some(4), requantize: Some(requantize) };
        let (weights, bias) = ([1, -1, 2, 1], [0, 1]);
        let run = |x: [i64; 2]| gemm.evaluate(&x, &[&weights, &bias]);
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
        assert_eq!(gemm.evaluate(&[10, 10, 10], &[&[-8, -8, -8], &[-16]]), [-256]);
    }
}
