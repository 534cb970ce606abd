//! Quantization: scales from calibration, integer weights, one public shift a layer.
//!
//! A value `v` of the float model is the integer `q` with `v ~ S * q`. The steps from the float graph to the
//! integer one:
//!
//! 1. The graph is simplified (`crate::simplify`): constants go into the weights beside them.
//! 2. The float model runs on the samples; the extent of every channel of every value is what it shows
//!    (`calibrate`).
//! 3. Every layer that computes sums or products becomes one integer layer together with the function that alone reads
//!    it (`plan`): the accumulator is rounded once, to `activation_bits`, unsigned where it cannot be negative, else
//!    signed and symmetric. Poolings, reshapes and arrangements keep their operands' scale.
//! 4. The layers are built in order (`build`, `target`, `layer`, `linear`).
//!
//! **Scales.** The input and the output have one scale each, which are public. A hidden value has one scale per channel where
//! all that read it absorb the scales into weights of their own (convolutions and fully connected layers, also behind
//! poolings and reshapes):
//!
//! ```text
//! S_out = max(largest calibrated |v| of the channel, that of the layer / 8) / largest integer
//! ```
//!
//! raised, where it must be, until weights, biases and worst case fit their bits without a shift. Elsewhere all channels
//! share the largest, rounded to 24 bits. What is concatenated has one scale (`concat`). Sums, products and means take
//! operands of any scale: their public coefficients `round(c * S_in * 2^s / S_out)` have four bits more than the operands, so
//! that what they lose is less than a tenth of a step. The shift `s` is the largest, 0 to 40, with which everything fits.
//!
//! **Functions.** Rectifiers and clamps are part of the saturation. Other curves are tables (`functions`).
//!
//! **Output.** A model that ends in sums or products gives the accumulator itself, whose scale is the smallest power of two
//! with which weights fit; one that ends in a function gives `output_bits` with 25 % of headroom over the calibrated maximum.
//!
//! **Models that are quantized already** (`FloatOp::Quantize`) keep their own scales and integers, less the zero points, so
//! that padding and zero are 0. Halves are rounded up, except where they are exact and frequent, in means over a power of two of
//! entries: there they go to the even integer, as in ONNX. Weights, unless asked otherwise, and coefficients then have 24 bits with the sign, so that quotients agree with those of floats
//! to about `2^-14`.
//!
//! **Extreme inputs.** The domain of every requantization is the worst case over all inputs in range for these very weights,
//! not what calibration has seen. A layer whose worst case does not fit is refused by its name.
//!
//! All arithmetic is `f64` in a fixed order: the same model and samples give the same integers.

mod build;
mod calibrate;
mod concat;
mod functions;
mod layer;
mod linear;
mod plan;
mod scales;
mod target;
#[cfg(test)]
mod tests;

pub use scales::Scales;

use crate::error::ModelError;
use crate::executor::{Executor, argmax, dequantize_output, quantize_input};
use crate::float::{FloatLayer, FloatModel};
use crate::simplify::simplify;
use build::build;
use calibrate::Calibration;
use plan::Graph;
use provenn_circuits::model::{Head, LayerList};
use provenn_circuits::system::choose_tables;
use rayon::prelude::*;

/// Weight bits that the automatic choice tries, in order.
const WEIGHT_BITS: [u8; 5] = [8, 10, 12, 14, 16];
/// Calibration samples that the automatic choice compares on, spread evenly.
const SEARCH_SAMPLES: usize = 32;
/// Multiply-accumulate operations that the automatic choice spends on running candidates, unless four samples take more.
const SEARCH_MACS: u64 = 1 << 34;
/// Weight bits of a model that brings its own scales.
const OWN_SCALES_WEIGHT_BITS: u8 = 24;

/// Bits of the quantized model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuantizeOptions {
    /// Bits of the input, 2 to 12: unsigned if no calibration input is negative, else signed and symmetric.
    pub input_bits: u8,
    /// Bits of hidden activations, 2 to 12: unsigned after a rectifier, else signed and symmetric. An activation
    /// that only a rectifier reads has one more, for its sign.
    pub activation_bits: u8,
    /// Bits of a requantized output, 2 to 13.
    pub output_bits: u8,
    /// Bits of the weights with the sign, 2 to 16.
    ///
    /// `None` takes 24 for a model that brings its own scales, else the smallest of 8, 10, 12, 14 and 16 that loses nothing
    /// measurable on at most 32 of the calibration samples (fewer if the model is large): its top-1 agreement with the float model is not below that of any other, and its mean
    /// absolute output error is at most 1.25 times that of 16 bits.
    pub weight_bits: Option<u8>,
}

impl Default for QuantizeOptions {
    fn default() -> Self {
        QuantizeOptions { input_bits: 8, activation_bits: 8, output_bits: 12, weight_bits: None }
    }
}

impl QuantizeOptions {
    fn check(&self) -> Result<(), ModelError> {
        let limit = |option, actual, lo, hi| {
            if (lo..=hi).contains(&actual) {
                Ok(())
            } else {
                Err(ModelError::Option { option, actual, lo, hi })
            }
        };
        limit("input bits", self.input_bits, 2, 12)?;
        limit("activation bits", self.activation_bits, 2, 12)?;
        limit("output bits", self.output_bits, 2, 13)?;
        self.weight_bits.map_or(Ok(()), |bits| limit("weight bits", bits, 2, 16))
    }
}

/// A quantized model: the public layer list and the secret parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct QuantizedModel {
    /// The layers.
    pub layers: LayerList,
    /// Parameter tensors in the order of [`LayerList::parameters`].
    pub parameters: Vec<Vec<i64>>,
    /// Name of each node: that of the ONNX node it comes from.
    pub layer_names: Vec<String>,
    /// Real value of one step of each node's output, secret for hidden layers.
    pub scales: Vec<Scales>,
    /// For each node the layer of [`FloatModel::layers`] whose output it approximates, if there is one.
    pub sources: Vec<Option<usize>>,
}

/// Every layer's output on one sample, where the float model shows it.
type Run<'a> = dyn Fn(usize, &[f32]) -> Result<Vec<Option<Vec<f32>>>, ModelError> + Sync + 'a;

/// The float model, as quantization sees it.
struct Floats<'a> {
    input_shape: &'a [usize],
    layers: &'a [FloatLayer],
    head: Head,
    /// Runs a sample, given with its number.
    run: &'a Run<'a>,
}

/// Quantizes a model with the scales that the samples ask for.
///
/// # Errors
/// [`ModelError::NoSamples`], [`ModelError::Option`], what the float model says about a sample, or
/// [`ModelError::Circuit`] if the result is outside the limits of the proof system.
pub fn quantize(
    model: &FloatModel,
    samples: &[Vec<f32>],
    options: &QuantizeOptions,
) -> Result<QuantizedModel, ModelError> {
    quantize_observed(model, samples, options, &mut |_| {})
}

/// What quantization is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Running the float model on the samples.
    Calibration,
    /// Choosing the bits of the weights.
    Weights,
    /// Choosing the tables.
    Tables,
    /// Comparing both models: [`fidelity::measure`](crate::fidelity::measure), which is no part of [`quantize`].
    Fidelity,
}

impl Stage {
    /// All stages, in order.
    pub const ALL: [Stage; 4] = [Stage::Calibration, Stage::Weights, Stage::Tables, Stage::Fidelity];

    /// Name for people.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Calibration => "calibrating",
            Stage::Weights => "choosing weight bits",
            Stage::Tables => "choosing tables",
            Stage::Fidelity => "measuring fidelity",
        }
    }
}

/// [`quantize`], telling `observe` what it is doing.
///
/// # Errors
/// As [`quantize`].
pub fn quantize_observed(
    model: &FloatModel,
    samples: &[Vec<f32>],
    options: &QuantizeOptions,
    observe: &mut dyn FnMut(Stage),
) -> Result<QuantizedModel, ModelError> {
    let run = |index: usize, sample: &[f32]| model.activations(index, sample);
    let floats =
        Floats { input_shape: &model.input_shape, layers: &model.layers, head: model.head, run: &run };
    let mut quantized = quantize_floats(&floats, samples, options, observe)?;
    observe(Stage::Tables);
    quantized.layers = choose_tables(&quantized.layers)?;
    Ok(quantized)
}

/// The quantized model, its tables not yet chosen.
fn quantize_floats(
    model: &Floats,
    samples: &[Vec<f32>],
    options: &QuantizeOptions,
    observe: &mut dyn FnMut(Stage),
) -> Result<QuantizedModel, ModelError> {
    options.check()?;
    observe(Stage::Calibration);
    let steps = simplify(model.input_shape, model.layers);
    let calibration = Calibration::new(model, &steps, samples)?;
    observe(Stage::Weights);
    let graph = Graph::new(model.input_shape, &steps);
    let candidate = |bits: u8| build(model, &graph, &calibration, options, bits);
    match options.weight_bits {
        Some(bits) => candidate(bits),
        None if graph.has_own_scales() => candidate(OWN_SCALES_WEIGHT_BITS),
        None => search(model, samples, &candidate),
    }
}

/// The automatic choice of weight bits: see [`QuantizeOptions::weight_bits`].
fn search(
    model: &Floats,
    samples: &[Vec<f32>],
    candidate: &dyn Fn(u8) -> Result<QuantizedModel, ModelError>,
) -> Result<QuantizedModel, ModelError> {
    let candidates = WEIGHT_BITS.iter().map(|&bits| candidate(bits)).collect::<Result<Vec<_>, _>>()?;
    let macs = candidates[0].layers.macs()?.max(1) * WEIGHT_BITS.len() as u64;
    let affordable = usize::try_from(SEARCH_MACS / macs).unwrap_or(SEARCH_SAMPLES).clamp(4, SEARCH_SAMPLES);
    let count = samples.len().min(affordable);
    let chosen: Vec<usize> = (0..count).map(|i| i * samples.len() / count).collect();
    let floats = chosen
        .par_iter()
        .map(|&index| output((model.run)(index, &samples[index])?))
        .collect::<Result<Vec<_>, ModelError>>()?;
    let mut tried = Vec::with_capacity(WEIGHT_BITS.len());
    for candidate in candidates {
        tried.push((Score::new(&candidate, &chosen, samples, &floats)?, candidate));
    }
    let best_agreement = tried.iter().map(|(score, _)| score.agreement).max().unwrap_or(0);
    let widest_error = tried.last().map_or(0.0, |(score, _)| score.mean_error);
    let last = tried.len() - 1;
    let good = |score: &Score| score.agreement == best_agreement && score.mean_error <= 1.25 * widest_error;
    let index = tried.iter().position(|(score, _)| good(score)).unwrap_or(last);
    Ok(tried.swap_remove(index).1)
}

fn refused(layer: &str, reason: String) -> ModelError {
    ModelError::Quantize { layer: layer.to_owned(), reason }
}

/// The model's output among those of all layers.
pub(crate) fn output(mut values: Vec<Option<Vec<f32>>>) -> Result<Vec<f32>, ModelError> {
    let missing = || ModelError::Float { reason: "it does not show the model's output".to_owned() };
    values.pop().flatten().ok_or_else(missing)
}

/// How close a candidate is to the float model.
struct Score {
    /// Rows with the same largest entry.
    agreement: usize,
    mean_error: f64,
}

impl Score {
    fn new(
        candidate: &QuantizedModel,
        chosen: &[usize],
        samples: &[Vec<f32>],
        floats: &[Vec<f32>],
    ) -> Result<Self, ModelError> {
        let layers = &candidate.layers;
        let columns = layers.values()?.last().and_then(|v| v.shape.last().copied()).unwrap_or(1);
        let executor = Executor::new(layers, &candidate.parameters)?;
        let each = chosen
            .par_iter()
            .zip(floats)
            .map(|(&index, float)| {
                let output = executor.run(&quantize_input(layers, &samples[index])?)?;
                let real = dequantize_output(layers, &output);
                let error: f64 = float.iter().zip(&real).map(|(&x, y)| (f64::from(x) - y).abs()).sum();
                let rows = float.chunks(columns).zip(output.chunks(columns));
                let agreement = rows.filter(|(float, integer)| argmax(float) == argmax(integer)).count();
                Ok((agreement, error / output.len() as f64))
            })
            .collect::<Result<Vec<_>, ModelError>>()?;
        Ok(Score {
            agreement: each.iter().map(|(agreement, _)| agreement).sum(),
            mean_error: each.iter().map(|(_, error)| error).sum::<f64>() / each.len().max(1) as f64,
        })
    }
}
