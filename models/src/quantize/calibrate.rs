//! Calibration: the extent of every channel of every layer's float output over the samples.

use super::Floats;
use super::functions::curve_extent;
use super::scales::Channels;
use crate::error::ModelError;
use crate::float::{FloatFunction, FloatOp};
use crate::simplify::Step;
use rayon::prelude::*;

/// Smallest and largest value seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Extent {
    pub(super) lo: f64,
    pub(super) hi: f64,
}

impl Extent {
    const NOTHING: Extent = Extent { lo: f64::INFINITY, hi: f64::NEG_INFINITY };

    fn include(&mut self, value: f32) {
        self.lo = self.lo.min(value.into());
        self.hi = self.hi.max(value.into());
    }

    pub(super) fn union(self, other: Extent) -> Extent {
        Extent { lo: self.lo.min(other.lo), hi: self.hi.max(other.hi) }
    }

    /// Largest absolute value.
    pub(super) fn magnitude(self) -> f64 {
        self.lo.abs().max(self.hi.abs())
    }

    fn clamp(self, lo: f64, hi: f64) -> Extent {
        // Not `f64::clamp`, which does not take every pair of ends.
        Extent { lo: self.lo.max(lo).min(hi), hi: self.hi.max(lo).min(hi) }
    }

    fn times(self, factor: f64) -> Extent {
        let (a, b) = (self.lo * factor, self.hi * factor);
        Extent { lo: a.min(b), hi: a.max(b) }
    }

    fn plus(self, other: Extent) -> Extent {
        Extent { lo: self.lo + other.lo, hi: self.hi + other.hi }
    }
}

/// Extents over all calibration samples.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Calibration {
    /// The channels of every value of the simplified graph; the input is value 0.
    pub(super) channels: Vec<Channels>,
    /// One extent a channel, for every value.
    pub(super) extents: Vec<Vec<Extent>>,
}

impl Calibration {
    /// Runs the float model on every sample.
    pub(super) fn new(model: &Floats, steps: &[Step], samples: &[Vec<f32>]) -> Result<Self, ModelError> {
        if samples.is_empty() {
            return Err(ModelError::NoSamples);
        }
        let mut channels = vec![Channels::ONE];
        for step in steps {
            let operand = step.inputs[0];
            let shape = operand.checked_sub(1).map_or(model.input_shape, |i| &steps[i].shape);
            channels.push(Channels::of(step, channels[operand], shape));
        }
        let empty = || channels.iter().map(|c| vec![Extent::NOTHING; c.count]).collect::<Vec<_>>();
        let seen = samples
            .par_iter()
            .enumerate()
            .try_fold(empty, |mut extents, (index, input)| {
                let values = (model.run)(index, input)?;
                input.iter().for_each(|&x| extents[0][0].include(x));
                for (value, step) in steps.iter().enumerate() {
                    let Some(floats) = step.source.and_then(|source| values[source].as_ref()) else {
                        continue;
                    };
                    let own = &mut extents[value + 1];
                    let planes = floats.chunks(channels[value + 1].inner.max(1));
                    for (plane, channel) in planes.zip((0..own.len()).cycle()) {
                        plane.iter().for_each(|&x| own[channel].include(x));
                    }
                }
                Ok::<_, ModelError>(extents)
            })
            .try_reduce(empty, |mut a, b| {
                let pairs = a.iter_mut().flatten().zip(b.iter().flatten());
                pairs.for_each(|(a, b)| *a = a.union(*b));
                Ok(a)
            })?;
        let mut calibration = Calibration { channels, extents: seen };
        for (index, step) in steps.iter().enumerate() {
            if calibration.extents[index + 1].contains(&Extent::NOTHING) {
                let operand = step.inputs[0].checked_sub(1).map_or(model.input_shape, |i| &steps[i].shape);
                let len = |shape: &[usize]| shape.iter().product::<usize>();
                calibration.derive(index + 1, step, len(operand) as f64 / len(&step.shape) as f64);
            }
        }
        Ok(calibration)
    }

    /// The extent of a whole value.
    pub(super) fn whole(&self, value: usize) -> Extent {
        self.extents[value].iter().copied().fold(Extent::NOTHING, Extent::union)
    }

    /// Extents of a value that the float model does not show, from those of its operands, the first of which has `shrinks`
    /// times as many entries.
    fn derive(&mut self, value: usize, step: &Step, shrinks: f64) {
        let operands: Vec<Extent> = step.inputs.iter().map(|&input| self.whole(input)).collect();
        let first = operands[0];
        let each = |map: &dyn Fn(Extent) -> Extent| match self.extents[step.inputs[0]].len() {
            len if len == self.extents[value].len() => {
                self.extents[step.inputs[0]].iter().map(|&extent| map(extent)).collect()
            }
            _ => vec![map(first); self.extents[value].len()],
        };
        let all = |extent: Extent| vec![extent; self.extents[value].len()];
        let constants = |constants: &Option<Vec<f32>>, default: f64| match constants {
            None => Extent { lo: default, hi: default },
            Some(constants) => constants.iter().fold(Extent::NOTHING, |mut extent, &c| {
                extent.include(c);
                extent
            }),
        };
        let product = |a: Extent, b: Extent| a.times(b.lo).union(a.times(b.hi));
        let derived = match &step.op {
            FloatOp::Reshape | FloatOp::MaxPool { .. } => each(&|extent| extent),
            FloatOp::Function(FloatFunction::Relu) => each(&|extent| extent.clamp(0.0, f64::INFINITY)),
            FloatOp::Function(FloatFunction::Clip { lo, hi }) => {
                each(&|extent| extent.clamp((*lo).into(), (*hi).into()))
            }
            FloatOp::Function(FloatFunction::Curve(curve)) => each(&|extent| curve_extent(*curve, extent)),
            FloatOp::Quantize { scale, range } => {
                each(&|extent| extent.clamp(range.lo as f64 * scale, range.hi as f64 * scale))
            }
            FloatOp::Arrange { fill, .. } => {
                all(operands.iter().fold(Extent { lo: *fill, hi: *fill }, |a, &b| a.union(b)))
            }
            FloatOp::Combine { coefficients, offset } => {
                let start = Extent { lo: *offset, hi: *offset };
                let terms = operands.iter().zip(coefficients);
                all(terms.fold(start, |sum, (operand, &c)| sum.plus(operand.times(c))))
            }
            FloatOp::Product => all(product(first, operands[1])),
            FloatOp::Affine { weight, bias, .. } => {
                all(product(first, constants(weight, 1.0)).plus(constants(bias, 0.0)))
            }
            FloatOp::AveragePool { .. } => each(&|extent| extent.union(Extent { lo: 0.0, hi: 0.0 })),
            FloatOp::Reduce { mean: true, .. } => each(&|extent| extent),
            FloatOp::Reduce { .. } => each(&|extent| extent.times(shrinks)),
            FloatOp::Conv { weight, bias, .. } | FloatOp::Gemm { weight, bias, .. } => {
                let rows = self.extents[value].len();
                let magnitude = first.magnitude();
                let bounds =
                    weight.chunks((weight.len() / rows.max(1)).max(1)).enumerate().map(|(o, row)| {
                        let bias = bias.as_ref().map_or(0.0, |bias| bias[o].abs().into());
                        let bound = row.iter().map(|&w| f64::from(w.abs()) * magnitude).sum::<f64>() + bias;
                        Extent { lo: -bound, hi: bound }
                    });
                bounds.collect()
            }
        };
        self.extents[value] = derived;
    }
}
