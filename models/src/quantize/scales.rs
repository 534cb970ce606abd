//! Which entries of a value share a scale.

use crate::float::FloatOp;
use crate::scale::{scale_from_f64, scale_to_f64};
use crate::simplify::Step;
use provenn_circuits::model::Scale;

/// Real value of one step of each entry: entry `e` has scale `values[e / inner % values.len()]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Scales {
    /// One scale per channel, or one for all.
    pub values: Vec<f64>,
    /// Entries of one channel that follow each other.
    pub inner: usize,
}

impl Scales {
    /// One scale for all entries.
    pub fn one(scale: f64) -> Self {
        Scales { values: vec![scale], inner: 1 }
    }

    /// The scale of an entry.
    pub fn at(&self, entry: usize) -> f64 {
        self.values[entry / self.inner % self.values.len()]
    }

    /// The largest scale: that of all entries, if they share one.
    pub(super) fn largest(&self) -> f64 {
        self.values.iter().copied().fold(0.0, f64::max)
    }

    pub(super) fn is_one(&self) -> bool {
        self.values.len() == 1
    }

    /// The scales of the channels of an operand with `channels` channels of `inner` entries.
    pub(super) fn of_channels(&self, channels: usize, inner: usize) -> Vec<f64> {
        (0..channels).map(|channel| self.at(channel * inner)).collect()
    }
}

/// The channels of a value: entry `e` belongs to channel `e / inner % count`. They survive a reshape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Channels {
    pub(super) count: usize,
    pub(super) inner: usize,
}

impl Channels {
    pub(super) const ONE: Channels = Channels { count: 1, inner: 1 };

    /// The channels of a step's output, given those of its first operand and that operand's shape.
    pub(super) fn of(step: &Step, operand: Channels, operand_shape: &[usize]) -> Channels {
        match &step.op {
            FloatOp::Conv { outputs, .. } => {
                Channels { count: *outputs, inner: step.shape.iter().skip(2).product() }
            }
            FloatOp::Gemm { outputs, .. } => Channels { count: *outputs, inner: 1 },
            FloatOp::Affine { shape, .. } => {
                let mut varying = shape.iter().enumerate().filter(|(_, d)| **d != 1);
                match (varying.next(), varying.next()) {
                    (Some((axis, &count)), None) => {
                        Channels { count, inner: step.shape[axis + 1..].iter().product() }
                    }
                    _ => Channels::ONE,
                }
            }
            FloatOp::Function(_) | FloatOp::Reshape | FloatOp::Quantize { .. } => operand,
            FloatOp::MaxPool { .. } | FloatOp::AveragePool { .. } | FloatOp::Reduce { .. } => {
                operand.pooled(step, operand_shape).unwrap_or(Channels::ONE)
            }
            FloatOp::Combine { .. } | FloatOp::Product | FloatOp::Arrange { .. } => Channels::ONE,
        }
    }

    /// Whether each of `channels` channels of `inner` entries each, one after the other, lies within one of these.
    pub(super) fn cover(self, channels: usize, inner: usize) -> bool {
        inner > 0
            && self.inner.is_multiple_of(inner)
            && (channels * inner).is_multiple_of(self.count * self.inner)
    }

    /// The channels after something that works on the spatial axes of `[batch, channels, spatial..]` alone; `None` if it
    /// mixes channels.
    pub(super) fn pooled(self, step: &Step, operand: &[usize]) -> Option<Channels> {
        if let FloatOp::Reduce { axes, .. } = &step.op
            && axes.iter().any(|&axis| axis < 2)
        {
            return None;
        }
        let channels = *operand.get(1)?;
        let before: usize = operand[2..].iter().product();
        let after = step.shape.iter().product::<usize>() / (operand[0] * channels);
        self.cover(channels, before)
            .then(|| Channels { count: self.count, inner: self.inner / before * after })
    }
}

/// The dyadic scale nearest to `value`; 1 if it is 0, as for a constant zero.
pub(super) fn dyadic(value: f64) -> Scale {
    scale_from_f64(value).unwrap_or(Scale { mantissa: 1, exponent: 0 })
}

/// `value` rounded to a dyadic scale.
pub(super) fn rounded(value: f64) -> f64 {
    scale_to_f64(dyadic(value))
}
