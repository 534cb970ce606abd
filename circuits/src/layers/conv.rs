//! Convolutions: `y = requantize(sum of weights times windows + bias)`, in groups of channels, over 1 to 3 spatial axes.

use super::window::{Run, Window};
use super::{
    Kind, Operand, Requantize, check_bits, finish, output_range, parameter_specs, rows_worst_case,
    sum_of_products,
};
use crate::circuit::{AxisMap, Contract, Expr, View};
use crate::error::CircuitError;
use crate::lower::{Builder, Value};
use crate::model::{ParameterSpec, Range, ValueSpec};
use bincode::{Decode, Encode};

/// A convolution.
///
/// The operand is `[batch, channels, spatial..]`, the output `[batch, outputs, spatial..]`. Weights are
/// `[outputs, channels / groups, kernel..]`, biases `[outputs]`; output channels of group `g` read input channels of group
/// `g`. Padding is 0. The window slides without being mirrored, as in ONNX.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Conv {
    /// Groups of channels; divides input and output channels.
    pub groups: u32,
    /// Channels of the output.
    pub outputs: u32,
    /// The window.
    pub window: Window,
    /// Channels that one output channel reads.
    pub channels: u32,
    /// Weights are signed integers of this many bits, 2 to 24.
    pub weight_bits: u8,
    /// Biases are signed integers of this many bits, 2 to 40; `None` if there are none.
    pub bias_bits: Option<u8>,
    /// Requantization of the accumulator; `None` gives the accumulator itself.
    pub requantize: Option<Requantize>,
}

impl Conv {
    /// Weights of one output channel.
    fn terms(&self) -> u64 {
        u64::from(self.channels).saturating_mul(self.window.positions())
    }

    /// Range of the accumulator over all inputs in `input` and all weights and biases of the declared bits.
    pub fn accumulator(&self, input: Range) -> Option<Range> {
        sum_of_products(self.terms(), self.weight_bits, self.bias_bits, input)
    }
}

impl Kind for Conv {
    fn name(&self) -> &'static str {
        "Conv"
    }

    fn output(&self, node: usize, inputs: &[&ValueSpec]) -> Result<ValueSpec, CircuitError> {
        let input = inputs[0];
        let limit = |what, value: u32, lo, hi| CircuitError::limit(Some(node), what, value.into(), lo, hi);
        check_bits(node, Some(self.weight_bits), self.bias_bits)?;
        limit("outputs", self.outputs, 1, 1 << 24)?;
        limit("groups", self.groups, 1, self.outputs.into())?;
        limit("outputs that do not fill the groups", self.outputs % self.groups, 0, 0)?;
        limit("channels of a group", self.channels, 1, 1 << 24)?;
        let spatial = self.window.output(node, input)?;
        let channels = u64::from(self.channels) * u64::from(self.groups);
        if input.shape[1] as u64 != channels {
            let expected = format!("{channels} channels on axis 1");
            return Err(CircuitError::Shape { node: Some(node), shape: input.shape.clone(), expected });
        }
        let range = output_range(node, self.accumulator(input.range), self.requantize.as_ref())?;
        let shape = [&[input.shape[0], self.outputs as usize], &spatial[..]].concat();
        Ok(ValueSpec { shape, range })
    }

    fn parameters(&self, node: usize) -> Vec<ParameterSpec> {
        let outputs = self.outputs as usize;
        let weight = [&[outputs, self.channels as usize], &self.window.extents()[..]].concat();
        parameter_specs(
            node,
            Some((weight, self.weight_bits)),
            self.bias_bits.map(|bits| (vec![outputs], bits)),
        )
    }

    fn requantize(&self) -> Option<&Requantize> {
        self.requantize.as_ref()
    }

    fn worst_case(&self, inputs: &[&ValueSpec], parameters: &[&[i64]]) -> Option<Range> {
        let bias = parameters.get(1).copied();
        rows_worst_case(self.outputs as usize, parameters[0], bias, inputs[0].range, self.window.is_padded())
    }

    fn macs(&self, _inputs: &[&ValueSpec], output: &ValueSpec) -> u64 {
        (output.len() as u64).saturating_mul(self.terms())
    }

    fn evaluate(&self, inputs: &[Operand<'_>], output: &ValueSpec, parameters: &[&[i64]]) -> Vec<i64> {
        let size = |extents: &[usize]| extents.iter().product::<usize>();
        let (from, to) = (&inputs[0].spec.shape[2..], &output.shape[2..]);
        let runs = self.window.runs(from, to);
        let (channels, per_group) = (self.channels as usize, (self.outputs / self.groups) as usize);
        let planes: Vec<&[i64]> = inputs[0].values.chunks(size(from)).collect();
        let mut accumulators = vec![0; output.len()];
        for (plane, acc) in accumulators.chunks_mut(size(to)).enumerate() {
            let (batch, o) = (plane / self.outputs as usize, plane % self.outputs as usize);
            acc.fill(parameters.get(1).map_or(0, |bias| bias[o]));
            let first = batch * channels * self.groups as usize + o / per_group * channels;
            let weights = parameters[0][o * channels * runs.len()..].chunks(runs.len());
            for (input, weights) in planes[first..first + channels].iter().zip(weights) {
                for (runs, &weight) in runs.iter().zip(weights) {
                    for Run { output, count, input: start, step } in runs {
                        let acc = &mut acc[*output..output + count];
                        if *step == 1 {
                            let read = &input[*start as usize..*start as usize + count];
                            acc.iter_mut().zip(read).for_each(|(acc, x)| *acc += weight * x);
                        } else {
                            let read = (0..).map(|t| input[(start + step * t) as usize]);
                            acc.iter_mut().zip(read).for_each(|(acc, x)| *acc += weight * x);
                        }
                    }
                }
            }
        }
        finish(accumulators, self.requantize.as_ref())
    }

    /// Constraints: `acc - bias[g, i] = sum_k weight[g, i, k] * x[j, window(k)]`, batch index `g` over groups, and the
    /// requantization of `acc`. The windows are a view; there is no matrix of them.
    fn lower(&self, builder: &mut Builder<'_>, node: usize, inputs: &[Value], output: &ValueSpec) -> Value {
        let (groups, per_group) = (self.groups as usize, (self.outputs / self.groups) as usize);
        // The output's channels are split into groups and channels of a group; where either is one, the other is the axis.
        let (b, i) = match (groups, per_group) {
            (1, _) => (vec![], vec![per_group]),
            (_, 1) => (vec![groups], vec![]),
            _ => (vec![groups], vec![per_group]),
        };
        let j = [&[output.shape[0]], &output.shape[2..]].concat();
        let k = [&[self.channels as usize], &self.window.extents()[..]].concat();
        let channel_axes = b.len() + i.len();
        let spatial = self.window.axes();
        // On b ++ i ++ k and b ++ j ++ k.
        let outputs = AxisMap::split(&(0..channel_axes).collect::<Vec<_>>(), &[&b[..], &i].concat());
        let weights = (0..k.len()).map(|t| AxisMap::index(channel_axes + t));
        let weights =
            View::new(builder.parameters[node][0], [outputs.clone()].into_iter().chain(weights).collect());
        let first_k = b.len() + j.len();
        let mut channel = AxisMap::index(first_k);
        if !b.is_empty() {
            channel.terms.insert(0, (0, self.channels.into()));
        }
        let axes = (0..spatial).map(|axis| self.window.map(axis, b.len() + 1 + axis, first_k + 1 + axis));
        let axes = [AxisMap::index(b.len()), channel].into_iter().chain(axes).collect();
        let operand = builder.view(&inputs[0], axes, &[&b[..], &j, &k].concat(), vec![]);
        // The output's axes [batch, outputs, spatial..] on the left side b ++ i ++ j.
        let to_left: Vec<AxisMap> = [AxisMap::index(channel_axes), outputs]
            .into_iter()
            .chain((0..spatial).map(|axis| AxisMap::index(channel_axes + 1 + axis)))
            .collect();
        let bias = self.bias_bits.map(|_| View::axes(builder.parameters[node][1], &[1]));
        let contract = Contract {
            b,
            i,
            j,
            k,
            expr: Expr::default(),
            a: Expr::view(1, weights),
            c: Expr::view(1, operand),
        };
        builder.bilinear(node, output, self.requantize.as_ref(), bias, contract, &to_left)
    }
}
