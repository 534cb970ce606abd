//! Operator by operator: the integer model is as close to the float graph as its steps allow.
//!
//! Inputs are exact in the integers of the model, so that only the graph's own arithmetic is compared.

#[allow(dead_code, reason = "another test binary uses the rest")]
#[path = "../import/graphs.rs"]
mod graphs;
mod random;
mod runtime;

use provenn_models::executor::{Executor, dequantize_output, quantize_input};
use provenn_models::scale::scale_to_f64;
use provenn_models::{FloatModel, QuantizeOptions, QuantizedModel, quantize};

/// Inputs are multiples of this.
const STEP: f32 = 1.0 / 512.0;
/// Bits of everything are at their most, so that what is left is a mistake.
const OPTIONS: QuantizeOptions =
    QuantizeOptions { input_bits: 12, activation_bits: 12, output_bits: 13, weight_bits: Some(16) };

/// How outputs must compare.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Tolerance {
    /// Only floats round.
    Exact,
    /// This many steps.
    Steps(f64),
}

/// Quantizes on the inputs, runs the integer model on them, and compares with the expected outputs; the largest error in
/// steps, or what is wrong. A step is that of 12 bits for values up to `size`.
fn compare(
    float: &FloatModel,
    inputs: &[Vec<f32>],
    expected: &[Vec<f32>],
    size: f32,
    tolerance: Tolerance,
) -> Result<f64, String> {
    let quantized = quantize(float, inputs, &OPTIONS).map_err(|error| error.to_string())?;
    let layers = &quantized.layers;
    if scale_to_f64(layers.input_scale) != f64::from(STEP) {
        return Err(format!("the input's scale is {}", scale_to_f64(layers.input_scale)));
    }
    let executor = Executor::new(layers, &quantized.parameters).map_err(|error| error.to_string())?;
    let step = match tolerance {
        Tolerance::Exact => scale_to_f64(layers.output_scale),
        Tolerance::Steps(_) => scale_to_f64(layers.output_scale).max(f64::from(size) / 4095.0),
    };
    let mut worst = 0.0;
    for (sample, (input, expected)) in inputs.iter().zip(expected).enumerate() {
        let integers = quantize_input(layers, input).map_err(|error| error.to_string())?;
        let output = executor.run(&integers).map_err(|error| error.to_string())?;
        let output = dequantize_output(layers, &output);
        if output.len() != expected.len() {
            return Err(format!("{} outputs, expected {}", output.len(), expected.len()));
        }
        for (index, (&x, y)) in expected.iter().zip(output).enumerate() {
            let error = (f64::from(x) - y).abs() / step;
            worst = f64::max(worst, error);
            let allowed = match tolerance {
                Tolerance::Exact => 1e-3,
                Tolerance::Steps(steps) => steps,
            };
            if error > allowed {
                let kinds: Vec<_> = layers.nodes.iter().map(|node| node.layer.kind()).collect();
                return Err(format!(
                    "sample {sample}, output {index}: {y}, expected {x}, {error:.2} steps, {kinds:?}"
                ));
            }
        }
    }
    extremes_stay_in_range(&quantized).map(|()| worst)
}

/// The largest absolute value.
fn size<'a>(values: impl IntoIterator<Item = &'a Vec<f32>>) -> f32 {
    values.into_iter().flatten().fold(0.0, |size, value| size.max(value.abs()))
}

/// Values of every layer lie in their ranges when all inputs are smallest, largest, or one after the other.
fn extremes_stay_in_range(quantized: &QuantizedModel) -> Result<(), String> {
    let layers = &quantized.layers;
    let specs = layers.values().map_err(|error| error.to_string())?;
    let executor = Executor::new(layers, &quantized.parameters).map_err(|error| error.to_string())?;
    let ends = [specs[0].range.lo, specs[0].range.hi];
    for ends in [[ends[0], ends[0]], [ends[1], ends[1]], ends, [ends[1], ends[0]]] {
        let input: Vec<i64> = (0..specs[0].len()).map(|index| ends[index % 2]).collect();
        let values = executor.run_traced(&input).map_err(|error| error.to_string())?;
        for (node, (values, spec)) in values.iter().zip(&specs[1..]).enumerate() {
            if let Some(bad) = values.iter().find(|&&value| !spec.range.contains(value)) {
                let kind = layers.nodes[node].layer.kind();
                return Err(format!(
                    "inputs {ends:?}: {bad} in node {node}, {kind}, leaves {:?}",
                    spec.range
                ));
            }
        }
    }
    Ok(())
}
