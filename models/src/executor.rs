//! The integer reference executor: what a proof says about an input, computed without one.

use crate::error::ModelError;
use crate::scale::scale_to_f64;
use provenn_circuits::LayerList;
use provenn_circuits::layers::Operand;
use provenn_circuits::model::{Head, Range, ValueSpec};

/// Runs the quantized model and gives its output.
///
/// # Errors
/// [`ModelError::Length`] or [`ModelError::OutOfRange`] if the input or a parameter is not as declared, and
/// [`ModelError::Circuit`] if the layer list itself is not valid.
pub fn run(layers: &LayerList, parameters: &[Vec<i64>], input: &[i64]) -> Result<Vec<i64>, ModelError> {
    Executor::new(layers, parameters)?.run(input)
}

/// Runs the quantized model and gives every node's output, the model's output last.
///
/// # Errors
/// As [`run`].
pub fn run_traced(
    layers: &LayerList,
    parameters: &[Vec<i64>],
    input: &[i64],
) -> Result<Vec<Vec<i64>>, ModelError> {
    Executor::new(layers, parameters)?.run_traced(input)
}

/// A quantized model whose parameters have been checked once, to run on many inputs.
#[derive(Debug, Clone)]
pub struct Executor<'a> {
    layers: &'a LayerList,
    values: Vec<ValueSpec>,
    /// Parameter tensors of each node.
    parameters: Vec<Vec<&'a [i64]>>,
}

impl<'a> Executor<'a> {
    /// Checks the layer list and that `parameters` are as [`LayerList::parameters`] declares them.
    ///
    /// # Errors
    /// As [`run`].
    pub fn new(layers: &'a LayerList, parameters: &'a [Vec<i64>]) -> Result<Self, ModelError> {
        let values = layers.values()?;
        let specs = layers.parameters();
        check_length("the list of parameters", specs.len(), parameters.len())?;
        let mut by_node = vec![Vec::new(); layers.nodes.len()];
        for (spec, tensor) in specs.iter().zip(parameters) {
            let what = || format!("{:?} of layer {}", spec.kind, spec.node);
            check(what, spec.len(), Range::signed(spec.bits), tensor)?;
            by_node[spec.node].push(tensor.as_slice());
        }
        Ok(Executor { layers, values, parameters: by_node })
    }

    /// The model's output on `input`.
    ///
    /// # Errors
    /// [`ModelError::Length`] or [`ModelError::OutOfRange`] if the input is not as declared.
    pub fn run(&self, input: &[i64]) -> Result<Vec<i64>, ModelError> {
        Ok(self.run_traced(input)?.pop().unwrap_or_default())
    }

    /// Every node's output on `input`.
    ///
    /// # Errors
    /// As [`Executor::run`].
    pub fn run_traced(&self, input: &[i64]) -> Result<Vec<Vec<i64>>, ModelError> {
        check(|| "the input".to_owned(), self.values[0].len(), self.values[0].range, input)?;
        let mut outputs: Vec<Vec<i64>> = Vec::with_capacity(self.layers.nodes.len());
        for (index, (node, parameters)) in self.layers.nodes.iter().zip(&self.parameters).enumerate() {
            let operands: Vec<Operand> = node
                .inputs
                .iter()
                .map(|&value| Operand {
                    spec: &self.values[value as usize],
                    values: match value {
                        0 => input,
                        value => outputs[value as usize - 1].as_slice(),
                    },
                })
                .collect();
            outputs.push(node.layer.evaluate(&operands, &self.values[index + 1], parameters));
        }
        Ok(outputs)
    }
}

fn check_length(what: &str, expected: usize, actual: usize) -> Result<(), ModelError> {
    if actual == expected {
        Ok(())
    } else {
        Err(ModelError::Length { what: what.to_owned(), expected, actual })
    }
}

fn check(what: impl Fn() -> String, len: usize, range: Range, tensor: &[i64]) -> Result<(), ModelError> {
    check_length(&what(), len, tensor.len())?;
    match tensor.iter().position(|&value| !range.contains(value)) {
        None => Ok(()),
        Some(index) => {
            let Range { lo, hi } = range;
            Err(ModelError::OutOfRange { what: what(), index, actual: tensor[index], lo, hi })
        }
    }
}

/// The input in integers: each entry over the input's scale, rounded half away from zero, saturated to the
/// input's range.
///
/// # Errors
/// [`ModelError::SampleLength`] or [`ModelError::SampleValue`], both calling the sample number 0.
pub fn quantize_input(layers: &LayerList, input: &[f32]) -> Result<Vec<i64>, ModelError> {
    let expected: usize = layers.input_shape.iter().map(|&d| d as usize).product();
    if input.len() != expected {
        return Err(ModelError::SampleLength { sample: 0, expected, actual: input.len() });
    }
    crate::data::check_finite(0, input)?;
    let scale = scale_to_f64(layers.input_scale);
    Ok(input.iter().map(|&x| layers.input_range.clamp((f64::from(x) / scale).round() as i64)).collect())
}

/// The output in real numbers: each entry times the output's scale.
pub fn dequantize_output(layers: &LayerList, output: &[i64]) -> Vec<f64> {
    let scale = scale_to_f64(layers.output_scale);
    output.iter().map(|&y| y as f64 * scale).collect()
}

/// What a model gives after its unproved head.
#[derive(Debug, Clone, PartialEq)]
pub struct HeadOutput {
    /// The head's values: probabilities of a softmax, logarithms of a log-softmax, otherwise the output itself.
    pub values: Vec<f64>,
    /// Index of the largest output of each row, ties to the lowest.
    pub classes: Vec<usize>,
}

/// Applies the unproved head to an output, row by row over its last axis of `columns` entries.
///
/// The classes are those of the output itself, on which ties are exact. `columns` of 0 gives no rows.
pub fn apply_head(head: Head, columns: usize, output: &[f64]) -> HeadOutput {
    let rows = || output.chunks_exact(columns.max(1));
    let values = match head {
        Head::None | Head::ArgMax => output.to_vec(),
        Head::Softmax => rows().flat_map(|row| log_softmax(row).into_iter().map(f64::exp)).collect(),
        Head::LogSoftmax => rows().flat_map(log_softmax).collect(),
    };
    HeadOutput { values, classes: rows().map(argmax).collect() }
}

fn log_softmax(row: &[f64]) -> Vec<f64> {
    let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let log_sum = row.iter().map(|x| (x - max).exp()).sum::<f64>().ln();
    row.iter().map(|x| x - max - log_sum).collect()
}

/// Index of the largest entry, ties to the lowest index; 0 for none.
pub fn argmax<T: PartialOrd>(row: &[T]) -> usize {
    let mut best = 0;
    for (index, value) in row.iter().enumerate() {
        if *value > row[best] {
            best = index;
        }
    }
    best
}
