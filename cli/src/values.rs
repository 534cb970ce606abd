//! Integers and what they stand for.

use provenn_circuits::LayerList;
use provenn_circuits::model::Scale;
use provenn_models::executor::{HeadOutput, apply_head};
use provenn_models::scale::scale_to_f64;

/// A tensor of a statement: the integers that a proof is about, and the real numbers that they stand for.
#[derive(Debug, Clone, PartialEq)]
pub struct Values {
    /// The integers, row-major.
    pub integers: Vec<i64>,
    /// Each integer times its scale.
    pub reals: Vec<f64>,
}

impl Values {
    /// An input of the model.
    pub fn input(layers: &LayerList, integers: Vec<i64>) -> Self {
        Self::scaled(layers.input_scale, integers)
    }

    /// An output of the model.
    pub fn output(layers: &LayerList, integers: Vec<i64>) -> Self {
        Self::scaled(layers.output_scale, integers)
    }

    fn scaled(scale: Scale, integers: Vec<i64>) -> Self {
        let scale = scale_to_f64(scale);
        Values { reals: integers.iter().map(|&v| v as f64 * scale).collect(), integers }
    }

    /// What the model's unproved head makes of these values, which must be an output of the model.
    pub fn head(&self, layers: &LayerList) -> HeadOutput {
        let columns =
            layers.values().ok().and_then(|values| values.last()?.shape.last().copied()).unwrap_or(1);
        apply_head(layers.head, columns, &self.reals)
    }
}
