//! How close the quantized model is to the float model.

use crate::data::Dataset;
use crate::error::ModelError;
use crate::executor::{Executor, argmax, dequantize_output, quantize_input};
use crate::float::FloatModel;
use crate::quantize::{QuantizedModel, output};
use provenn_circuits::model::Range;
use rayon::prelude::*;
use serde::Serialize;

/// The quantized model against the float model, on the same samples.
///
/// Outputs are those before the head. Errors are in the float model's units.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fidelity {
    /// Number of samples.
    pub samples: usize,
    /// Share of output rows whose largest entry is the same in both, 0 to 1.
    pub top1_agreement: f64,
    /// Share of samples that the float model classifies as labelled; `None` without labels, or if an output
    /// has several rows.
    pub float_accuracy: Option<f64>,
    /// Share of samples that the quantized model classifies as labelled; `None` as for the float model.
    pub integer_accuracy: Option<f64>,
    /// Mean absolute error of the outputs.
    pub mean_abs_error: f64,
    /// Largest absolute error of the outputs.
    pub max_abs_error: f64,
    /// Share of requantized activations that sit at the end of their range: the upper one, or the lower one
    /// of a signed range.
    pub saturated: f64,
    /// Drift of each integer layer whose output the float model shows, in order.
    pub layers: Vec<LayerDrift>,
}

/// Error of one layer's activations, accumulated over all layers up to it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerDrift {
    /// The layer's name.
    pub name: String,
    /// Mean absolute error.
    pub mean_abs_error: f64,
    /// Largest absolute error.
    pub max_abs_error: f64,
}

/// What one sample contributes.
#[derive(Clone, Default)]
struct Sample {
    rows: usize,
    agree: usize,
    float_class: usize,
    integer_class: usize,
    output: Errors,
    saturated: usize,
    requantized: usize,
    layers: Vec<Errors>,
}

#[derive(Clone, Copy, Default)]
struct Errors {
    count: usize,
    sum: f64,
    max: f64,
}

impl Errors {
    fn of(pairs: impl Iterator<Item = (f64, f64)>) -> Self {
        pairs.fold(Errors::default(), |errors, (a, b)| Errors {
            count: errors.count + 1,
            sum: errors.sum + (a - b).abs(),
            max: errors.max.max((a - b).abs()),
        })
    }

    fn merge(self, other: Errors) -> Self {
        Errors { count: self.count + other.count, sum: self.sum + other.sum, max: self.max.max(other.max) }
    }

    fn mean(self) -> f64 {
        self.sum / self.count.max(1) as f64
    }
}

/// Runs both models on every sample and compares them.
///
/// # Errors
/// [`ModelError::NoSamples`], or what either model says about a sample.
pub fn measure(
    float: &FloatModel,
    quantized: &QuantizedModel,
    data: &Dataset,
) -> Result<Fidelity, ModelError> {
    if data.samples.is_empty() {
        return Err(ModelError::NoSamples);
    }
    let executor = Executor::new(&quantized.layers, &quantized.parameters)?;
    let columns = float.output_shape().last().copied().unwrap_or(1);
    let samples = data
        .samples
        .par_iter()
        .enumerate()
        .map(|(index, input)| sample(float, quantized, &executor, columns, index, input))
        .collect::<Result<Vec<_>, _>>()?;

    let total = |part: fn(&Sample) -> usize| samples.iter().map(part).sum::<usize>();
    let share = |part: usize, whole: usize| part as f64 / whole.max(1) as f64;
    let output = samples.iter().map(|s| s.output).fold(Errors::default(), Errors::merge);
    let layers = compared(quantized)
        .enumerate()
        .map(|(index, (node, _))| {
            let errors = samples.iter().map(|s| s.layers[index]).fold(Errors::default(), Errors::merge);
            let name = quantized.layer_names[node].clone();
            LayerDrift { name, mean_abs_error: errors.mean(), max_abs_error: errors.max }
        })
        .collect();
    let labels = data.labels.as_ref().filter(|_| samples.iter().all(|s| s.rows == 1));
    let accuracy = |class: fn(&Sample) -> usize| {
        labels.map(|labels| {
            let right =
                samples.iter().zip(labels).filter(|(s, label)| i64::try_from(class(s)) == Ok(**label));
            share(right.count(), samples.len())
        })
    };
    Ok(Fidelity {
        samples: samples.len(),
        top1_agreement: share(total(|s| s.agree), total(|s| s.rows)),
        float_accuracy: accuracy(|s| s.float_class),
        integer_accuracy: accuracy(|s| s.integer_class),
        mean_abs_error: output.mean(),
        max_abs_error: output.max,
        saturated: share(total(|s| s.saturated), total(|s| s.requantized)),
        layers,
    })
}

fn sample(
    float: &FloatModel,
    quantized: &QuantizedModel,
    executor: &Executor,
    columns: usize,
    index: usize,
    input: &[f32],
) -> Result<Sample, ModelError> {
    let floats = float.activations(index, input)?;
    let integers = executor.run_traced(&quantize_input(&quantized.layers, input)?)?;
    let mut result = Sample::default();
    for (node, source) in compared(quantized) {
        let (Some(floats), integers, scales) = (&floats[source], &integers[node], &quantized.scales[node])
        else {
            // What one sample shows, all show.
            result.layers.push(Errors::default());
            continue;
        };
        let pairs = floats.iter().zip(integers).enumerate();
        result.layers.push(Errors::of(pairs.map(|(e, (&x, &q))| (f64::from(x), q as f64 * scales.at(e)))));
    }
    for (node, integers) in quantized.layers.nodes.iter().zip(&integers) {
        if let Some(Range { lo, hi }) = node.layer.requantize().map(|requantize| requantize.output) {
            result.requantized += integers.len();
            result.saturated += integers.iter().filter(|&&q| q == hi || (lo < 0 && q == lo)).count();
        }
    }
    let float = output(floats)?;
    if let Some(integer) = integers.last() {
        let real = dequantize_output(&quantized.layers, integer);
        result.output = Errors::of(float.iter().zip(real).map(|(&x, y)| (f64::from(x), y)));
        for (float, integer) in float.chunks(columns).zip(integer.chunks(columns)) {
            result.float_class = argmax(float);
            result.integer_class = argmax(integer);
            result.rows += 1;
            result.agree += usize::from(result.float_class == result.integer_class);
        }
    }
    Ok(result)
}

/// The nodes that have a layer of the float model to be compared with, and that layer.
fn compared(quantized: &QuantizedModel) -> impl Iterator<Item = (usize, usize)> {
    quantized.sources.iter().enumerate().filter_map(|(node, source)| Some((node, (*source)?)))
}
