//! Quantization: scales from calibration, integer weights, one public shift a layer.
//!
//! A value `v` of the float model is the integer `q` with `v ~ S * q`. The input and the output have one scale
//! each, which are public. A hidden activation has one scale per channel, absorbed into the integer weights on
//! both sides of it: `w_q = round(w * S_in * 2^s / S_out)`, `b_q = round(b * 2^s / S_out)`, so that of all scales
//! only the shift `s` is public. A channel's scale is
//!
//! ```text
//! S_out = max(largest calibrated |v| of the channel, that of the layer / 8) / largest integer
//! ```
//!
//! raised, where it must be, until weights and biases fit their bits without a shift. If the channels do not
//! line up with the inputs of the next layer, all share the largest. `s` is the largest shift, 0 to 40, with
//! which they fit. A model that ends in a fully connected layer gives the accumulator itself, whose scale is the
//! smallest power of two with which they fit; one that ends in a rectifier gives `output_bits` with 25 % of
//! headroom over the calibrated maximum.
//!
//! All arithmetic is `f64` in a fixed order: the same model and samples give the same integers.

mod calibrate;
mod gemm;

use crate::error::ModelError;
use crate::executor::{Executor, argmax, dequantize_output, quantize_input};
use crate::float::{FloatLayer, FloatModel, FloatOp};
use crate::scale::{power_of_two, scale_from_f64, scale_to_f64};
use calibrate::{Calibration, Extent};
use gemm::RealGemm;
use provenn_circuits::layers::{Activation, Function, Gemm, Layer, Requantize, Reshape};
use provenn_circuits::model::{LayerList, Node, Range, Scale, TableBits};
use provenn_circuits::system::choose_tables;
use rayon::prelude::*;

/// Weight bits that the automatic choice tries, in order.
const WEIGHT_BITS: [u8; 5] = [8, 10, 12, 14, 16];
/// Calibration samples that the automatic choice compares on, spread evenly.
const SEARCH_SAMPLES: usize = 32;
/// A quiet channel's scale is at least that of the layer's loudest divided by this.
const CHANNEL_SPREAD: f64 = 8.0;
/// Headroom of a requantized output over its calibrated maximum.
const OUTPUT_HEADROOM: f64 = 1.25;

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
    /// `None` takes the smallest of 8, 10, 12, 14 and 16 that loses nothing measurable on at most 32 of the
    /// calibration samples: its top-1 agreement with the float model is not below that of any other, and its mean
    /// absolute output error is at most 1.1 times that of 16 bits.
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
    /// The layers; node `i` reads the output of node `i - 1`.
    pub layers: LayerList,
    /// Parameter tensors in the order of [`LayerList::parameters`].
    pub parameters: Vec<Vec<i64>>,
    /// Name of each node: that of the ONNX node it comes from.
    pub layer_names: Vec<String>,
    /// Real value of one step of each node's output, secret for hidden layers: entry `e` has scale
    /// `scales[node][e % scales[node].len()]`.
    pub scales: Vec<Vec<f64>>,
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
    options.check()?;
    let calibration = Calibration::new(model, samples)?;
    let mut quantized = match options.weight_bits {
        Some(bits) => with_weight_bits(model, &calibration, options, bits)?,
        None => search(model, &calibration, samples, options)?,
    };
    quantized.layers = choose_tables(&quantized.layers)?;
    Ok(quantized)
}

/// The automatic choice of weight bits: see [`QuantizeOptions::weight_bits`].
fn search(
    model: &FloatModel,
    calibration: &Calibration,
    samples: &[Vec<f32>],
    options: &QuantizeOptions,
) -> Result<QuantizedModel, ModelError> {
    let count = samples.len().min(SEARCH_SAMPLES);
    let chosen: Vec<usize> = (0..count).map(|i| i * samples.len() / count).collect();
    let floats = chosen
        .par_iter()
        .map(|&index| Ok(model.activations(index, &samples[index])?.pop().unwrap_or_default()))
        .collect::<Result<Vec<_>, ModelError>>()?;
    let mut tried = Vec::with_capacity(WEIGHT_BITS.len());
    for bits in WEIGHT_BITS {
        let candidate = with_weight_bits(model, calibration, options, bits)?;
        let score = Score::new(&candidate, &chosen, samples, &floats)?;
        tried.push((score, candidate));
    }
    let best_agreement = tried.iter().map(|(score, _)| score.agreement).max().unwrap_or(0);
    let widest_error = tried.last().map_or(0.0, |(score, _)| score.mean_error);
    let last = tried.len() - 1;
    let good = |score: &Score| score.agreement == best_agreement && score.mean_error <= 1.1 * widest_error;
    let index = tried.iter().position(|(score, _)| good(score)).unwrap_or(last);
    Ok(tried.swap_remove(index).1)
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

/// What the layers after one ask of its output.
#[derive(Debug, Clone, Copy)]
struct Reader {
    /// Inputs of the next fully connected layer; `None` if the output is the model's.
    gemm_inputs: Option<usize>,
    /// Whether a rectifier of its own layer comes before that.
    rectified: bool,
}

impl Reader {
    fn of(rest: &[FloatLayer]) -> Self {
        let mut rectified = false;
        for layer in rest {
            match &layer.op {
                FloatOp::Gemm { inputs, .. } => return Reader { gemm_inputs: Some(*inputs), rectified },
                FloatOp::Relu => rectified = true,
                FloatOp::Reshape => {}
            }
        }
        Reader { gemm_inputs: None, rectified }
    }
}

/// A value between layers while the chain is quantized.
struct Value {
    range: Range,
    /// Entry `e` has scale `scales[e % scales.len()]`.
    scales: Vec<f64>,
}

fn with_weight_bits(
    model: &FloatModel,
    calibration: &Calibration,
    options: &QuantizeOptions,
    weight_bits: u8,
) -> Result<QuantizedModel, ModelError> {
    let input_range = match calibration.input.lo >= 0.0 {
        true => Range::unsigned(options.input_bits.into()),
        false => symmetric(options.input_bits),
    };
    let input_scale = dyadic(calibration.input.magnitude() / input_range.hi as f64);
    let mut value = Value { range: input_range, scales: vec![scale_to_f64(input_scale)] };
    let mut quantized = QuantizedModel {
        layers: LayerList {
            input_shape: axes(&model.input_shape),
            input_range,
            input_scale,
            nodes: Vec::with_capacity(model.layers.len()),
            output_scale: input_scale,
            head: model.head,
            tables: TableBits { limb: 8, direct: 12 },
        },
        parameters: Vec::new(),
        layer_names: model.layers.iter().map(|layer| layer.name.clone()).collect(),
        scales: Vec::with_capacity(model.layers.len()),
    };
    for (index, layer) in model.layers.iter().enumerate() {
        let quantized_layer = match &layer.op {
            FloatOp::Gemm { inputs, outputs, weight, bias, relu } => {
                let reader = Reader::of(&model.layers[index + 1..]);
                let real = RealGemm {
                    weight,
                    bias: bias.as_deref(),
                    input_scales: value.scales.iter().copied().cycle().take(*inputs).collect(),
                    input_range: value.range,
                    weight_bits,
                };
                let target = Target::of(&real, &calibration.layers[index], *relu, reader, options);
                let integer = real.quantize(&target.scales, target.shift);
                let mut gemm = Gemm {
                    inputs: *inputs as u32,
                    outputs: *outputs as u32,
                    weight_bits,
                    bias_bits: integer.bias_bits,
                    requantize: None,
                };
                let shift = target.shift as u8;
                let own: Vec<&[i64]> =
                    [&integer.weight[..]].into_iter().chain(integer.bias.as_deref()).collect();
                let domain = Requantize::domain_of(shift, gemm.worst_case(value.range, &own));
                let requantize = target.requantize.map(|(function, output)| Requantize {
                    shift,
                    function,
                    output,
                    domain,
                });
                gemm.requantize = requantize;
                quantized.parameters.push(integer.weight);
                quantized.parameters.extend(integer.bias);
                value = match requantize {
                    Some(requantize) => Value { range: requantize.output, scales: target.scales },
                    None => {
                        let factor = power_of_two(-target.shift);
                        let range = gemm.accumulator(value.range).unwrap_or(value.range);
                        Value { range, scales: target.scales.iter().map(|s| s * factor).collect() }
                    }
                };
                Layer::Gemm(gemm)
            }
            FloatOp::Relu => {
                let output = Range::new(0, value.range.hi);
                let domain = Requantize::domain_of(0, value.range);
                value.range = output;
                Layer::Activation(Activation {
                    requantize: Requantize { shift: 0, function: Function::Relu, output, domain },
                })
            }
            FloatOp::Reshape => Layer::Reshape(Reshape { shape: axes(&layer.shape) }),
        };
        quantized.layers.nodes.push(Node { layer: quantized_layer, inputs: vec![index as u32] });
        quantized.scales.push(value.scales.clone());
    }
    // Every path above gives the output one scale.
    quantized.layers.output_scale = dyadic(value.scales[0]);
    quantized.layers.values()?;
    Ok(quantized)
}

/// The output of a fully connected layer: accumulators have the scales `scales / 2^shift`.
struct Target {
    scales: Vec<f64>,
    shift: i32,
    /// `None` gives the accumulator itself.
    requantize: Option<(Function, Range)>,
}

impl Target {
    fn of(
        real: &RealGemm,
        channels: &[Extent],
        relu: bool,
        reader: Reader,
        options: &QuantizeOptions,
    ) -> Self {
        let steps = real.row_steps();
        let outputs = channels.len();
        let last = reader.gemm_inputs.is_none();
        if last && !relu && !reader.rectified {
            let scale = power_of_two(real.accumulator_exponent(&steps));
            return Target { scales: vec![scale; outputs], shift: 0, requantize: None };
        }
        let bits = if last { options.output_bits } else { options.activation_bits };
        let (function, range) = match (relu, reader.rectified) {
            (true, _) => (Function::Relu, Range::unsigned(bits.into())),
            (false, true) => (Function::Identity, symmetric(bits + 1)),
            (false, false) => (Function::Identity, symmetric(bits)),
        };
        let mut extents: Vec<f64> = channels
            .iter()
            .map(|channel| if relu { channel.hi.max(0.0) } else { channel.magnitude() })
            .collect();
        if extents.iter().all(|&extent| extent == 0.0) {
            // Calibration has not seen this layer do anything: allow for all that it could do.
            extents = real.row_bounds();
        }
        let loudest = extents.iter().copied().fold(0.0, f64::max);
        if loudest == 0.0 {
            extents.fill(1.0);
        }
        let headroom = if last { OUTPUT_HEADROOM } else { 1.0 };
        let mut scales: Vec<f64> = extents
            .iter()
            .zip(&steps)
            .enumerate()
            .map(|(row, (&extent, &step))| {
                let wanted = extent.max(loudest / CHANNEL_SPREAD) * headroom / range.hi as f64;
                wanted.max(real.smallest_scale(row, step)).max(f64::MIN_POSITIVE)
            })
            .collect();
        let aligned = reader.gemm_inputs.is_some_and(|inputs| inputs.is_multiple_of(outputs));
        if !aligned {
            let shared = scales.iter().copied().fold(0.0, f64::max);
            scales.fill(if last { scale_to_f64(dyadic(shared)) } else { shared });
        }
        Target { shift: real.shift(&steps, &scales), scales, requantize: Some((function, range)) }
    }
}

/// Signed range of `bits` bits without its most negative value.
fn symmetric(bits: u8) -> Range {
    let hi = Range::signed(bits.into()).hi;
    Range::new(-hi, hi)
}

/// The dyadic scale nearest to `value`; 1 if it is 0, as for a constant zero.
fn dyadic(value: f64) -> Scale {
    scale_from_f64(value).unwrap_or(Scale { mantissa: 1, exponent: 0 })
}

fn axes(shape: &[usize]) -> Vec<u32> {
    shape.iter().map(|&d| d as u32).collect()
}
