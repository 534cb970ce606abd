//! Calibration: the extent of every channel of every layer's float output over the samples.

use crate::error::ModelError;
use crate::float::FloatModel;
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

    fn union(self, other: Extent) -> Extent {
        Extent { lo: self.lo.min(other.lo), hi: self.hi.max(other.hi) }
    }

    /// Largest absolute value.
    pub(super) fn magnitude(self) -> f64 {
        self.lo.abs().max(self.hi.abs())
    }
}

/// Extents over all calibration samples.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Calibration {
    pub(super) input: Extent,
    /// One extent a channel, that is an index of the last axis, for each layer.
    pub(super) layers: Vec<Vec<Extent>>,
}

impl Calibration {
    /// Runs the float model on every sample.
    pub(super) fn new(model: &FloatModel, samples: &[Vec<f32>]) -> Result<Self, ModelError> {
        if samples.is_empty() {
            return Err(ModelError::NoSamples);
        }
        let empty = || Calibration {
            input: Extent::NOTHING,
            layers: model
                .layers
                .iter()
                .map(|layer| vec![Extent::NOTHING; layer.shape.last().copied().unwrap_or(1)])
                .collect(),
        };
        samples
            .par_iter()
            .enumerate()
            .try_fold(empty, |mut extents, (index, input)| {
                let values = model.activations(index, input)?;
                input.iter().for_each(|&x| extents.input.include(x));
                for (channels, value) in extents.layers.iter_mut().zip(&values) {
                    for row in value.chunks(channels.len()) {
                        channels.iter_mut().zip(row).for_each(|(channel, &x)| channel.include(x));
                    }
                }
                Ok(extents)
            })
            .try_reduce(empty, |a, b| Ok(a.union(b)))
    }

    fn union(mut self, other: Calibration) -> Calibration {
        self.input = self.input.union(other.input);
        for (layer, other) in self.layers.iter_mut().zip(other.layers) {
            layer.iter_mut().zip(other).for_each(|(a, b)| *a = a.union(b));
        }
        self
    }
}
