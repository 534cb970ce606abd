//! The float model: the layers that will be quantized, and an engine that runs the original graph.

use crate::error::ModelError;
use provenn_circuits::functions::Curve;
use provenn_circuits::layers::{Arrange, Window};
use provenn_circuits::model::{Head, Range};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::*;

/// What a float layer does. Constants are as in the file.
#[derive(Debug, Clone, PartialEq)]
pub enum FloatOp {
    /// Fully connected over the last axis: `y = x W^T + b`.
    Gemm {
        /// Length of the contracted axis.
        inputs: usize,
        /// Length of the output's last axis.
        outputs: usize,
        /// Weights `[outputs, inputs]`, row-major.
        weight: Vec<f32>,
        /// Biases `[outputs]`.
        bias: Option<Vec<f32>>,
    },
    /// Convolution over `[batch, channels, spatial..]`, 1 to 3 spatial axes.
    Conv {
        /// Groups of channels.
        groups: usize,
        /// Output channels.
        outputs: usize,
        /// Kernel, strides, dilations, padding.
        window: Window,
        /// Weights `[outputs, channels / groups, kernel..]`, row-major.
        weight: Vec<f32>,
        /// Biases `[outputs]`.
        bias: Option<Vec<f32>>,
    },
    /// `offset + sum coefficient * operand`, operands broadcast to one shape.
    Combine {
        /// One factor per operand.
        coefficients: Vec<f64>,
        /// Added to every entry.
        offset: f64,
    },
    /// Product of two operands, broadcast to one shape.
    Product,
    /// `weight * x + bias` with constants broadcast to the output's shape.
    Affine {
        /// Shape of the constants: as many axes as the output, each of its length or 1.
        shape: Vec<usize>,
        /// Factors; `None` for 1.
        weight: Option<Vec<f32>>,
        /// Summands; `None` for 0.
        bias: Option<Vec<f32>>,
    },
    /// Largest entry of each window of `[batch, channels, spatial..]`; padding is never the largest.
    MaxPool {
        /// Kernel, strides, dilations, padding.
        window: Window,
    },
    /// Mean of each window of `[batch, channels, spatial..]`; padding counts as 0.
    AveragePool {
        /// Kernel, strides, dilations, padding.
        window: Window,
        /// Per spatial axis: how far before and after the input window positions count for the divisor. `[0, 0]` counts
        /// the input's positions alone.
        include: Vec<[u32; 2]>,
    },
    /// Sum or mean over axes, in increasing order; the axes are gone or of length 1, as the layer's shape says.
    Reduce {
        /// The axes of the operand.
        axes: Vec<usize>,
        /// Mean instead of sum.
        mean: bool,
    },
    /// Entries in another arrangement (transposition, slice, concatenation, padding, upsampling).
    Arrange {
        /// Where entries go; its `fill` is 0.
        arrange: Arrange,
        /// Value of the entries that no operand covers.
        fill: f64,
    },
    /// A function of every entry.
    Function(FloatFunction),
    /// The same entries under another shape.
    Reshape,
    /// `QuantizeLinear` followed by `DequantizeLinear`: `scale * clamp(round(x / scale))`, with the model's own scale.
    Quantize {
        /// Real value of one step.
        scale: f64,
        /// Integers after subtraction of the zero point.
        range: Range,
    },
}

/// A function of every entry.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FloatFunction {
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, lo), hi)`; either end may be infinite.
    Clip {
        /// Smallest result.
        lo: f32,
        /// Largest result.
        hi: f32,
    },
    /// A function computed by table.
    Curve(Curve),
}

/// One layer of the graph.
#[derive(Debug, Clone, PartialEq)]
pub struct FloatLayer {
    /// Name of the node it comes from.
    pub name: String,
    /// What it does.
    pub op: FloatOp,
    /// The values it reads: 0 is the model's input, `i + 1` the output of layer `i`. Every layer stands after what it reads.
    pub inputs: Vec<usize>,
    /// Shape of its output.
    pub shape: Vec<usize>,
    /// The graph's tensor that is its output; `None` for a layer that is only a part of a node, or whose output the graph does not
    /// have. Only layers that cannot change the set of values (Arrange, Reshape, MaxPool, Relu, Clip) may have none.
    pub(crate) tensor: Option<String>,
}

/// An imported model: a graph of layers in floats, and the original graph to compare with.
#[derive(Debug, Clone)]
pub struct FloatModel {
    /// Name of the graph's input.
    pub input_name: String,
    /// Shape of the input; a dynamic leading axis is 1.
    pub input_shape: Vec<usize>,
    /// The layers in order, at least one.
    pub layers: Vec<FloatLayer>,
    /// What follows the last layer.
    pub head: Head,
    engine: Engine,
}

impl FloatModel {
    /// Builds the engine for `graph`, which gives the outputs of `layers` when run by tract.
    pub(crate) fn new(
        graph: &ModelProto,
        input_name: String,
        input_shape: Vec<usize>,
        layers: Vec<FloatLayer>,
        head: Head,
    ) -> Result<Self, ModelError> {
        let engine = Engine::new(graph, &input_shape, &layers)?;
        Ok(FloatModel { input_name, input_shape, layers, head, engine })
    }

    /// Number of entries of the input.
    pub fn input_len(&self) -> usize {
        self.input_shape.iter().product()
    }

    /// Shape of the last layer's output, before the head.
    pub fn output_shape(&self) -> &[usize] {
        self.layers.last().map_or(&self.input_shape, |layer| &layer.shape)
    }

    /// Runs the original graph on one sample and gives the output of every layer, row-major; `None` for layers whose output
    /// the graph does not have, of which the last layer is none.
    ///
    /// # Errors
    /// [`ModelError::SampleLength`], [`ModelError::ActivationNotFinite`], which both call the sample `sample`,
    /// and [`ModelError::Float`] if the engine fails.
    pub fn activations(&self, sample: usize, input: &[f32]) -> Result<Vec<Option<Vec<f32>>>, ModelError> {
        if input.len() != self.input_len() {
            return Err(ModelError::SampleLength { sample, expected: self.input_len(), actual: input.len() });
        }
        if let Some(index) = input.iter().position(|x| !x.is_finite()) {
            return Err(ModelError::SampleValue { sample, index, actual: input[index].to_string() });
        }
        let values = self.engine.run(&self.input_shape, input)?;
        let named = self.layers.iter().filter(|layer| layer.tensor.is_some());
        for (layer, value) in named.zip(&values) {
            let expected: usize = layer.shape.iter().product();
            if value.len() != expected {
                return Err(ModelError::Length {
                    what: format!("the float engine's output of layer {}", layer.name),
                    expected,
                    actual: value.len(),
                });
            }
            if let Some(index) = value.iter().position(|x| !x.is_finite()) {
                let layer = layer.name.clone();
                return Err(ModelError::ActivationNotFinite { layer, sample, index, value: value[index] });
            }
        }
        let mut values = values.into_iter();
        Ok(self.layers.iter().map(|layer| layer.tensor.as_ref().and_then(|_| values.next())).collect())
    }
}

/// tract's plan for the graph, with every layer's tensor selected.
#[derive(Debug, Clone)]
struct Engine {
    plan: Arc<TypedRunnableModel>,
}

impl Engine {
    fn new(graph: &ModelProto, input_shape: &[usize], layers: &[FloatLayer]) -> Result<Self, ModelError> {
        guarded(|| {
            let framework = tract_onnx::onnx().with_ignore_output_shapes(true).with_ignore_value_info(true);
            let parsed = framework.parse(graph, None)?;
            let mut model = parsed.model;
            model.set_input_fact(0, InferenceFact::dt_shape(f32::datum_type(), input_shape))?;
            let outlets = layers
                .iter()
                .filter_map(|layer| layer.tensor.as_ref())
                .map(|tensor| {
                    let outlet = parsed.outlets_by_name.get(tensor).copied();
                    outlet.ok_or_else(|| TractError::msg(format!("tensor {tensor} is missing")))
                })
                .collect::<TractResult<Vec<_>>>()?;
            model.select_output_outlets(&outlets)?;
            // Optimization fails on some graphs that the engine runs as they are.
            let optimized = model.clone().into_optimized().or_else(|_| model.into_typed())?;
            Ok(Engine { plan: optimized.into_runnable()? })
        })
    }

    fn run(&self, shape: &[usize], input: &[f32]) -> Result<Vec<Vec<f32>>, ModelError> {
        guarded(|| {
            let input = Tensor::from_shape(shape, input)?;
            self.plan
                .run(tvec!(input.into()))?
                .iter()
                .map(|value| Ok(value.to_plain_array_view::<f32>()?.iter().copied().collect()))
                .collect()
        })
    }
}

/// Runs the engine; a panic inside of it is an error like any other.
fn guarded<T>(run: impl FnOnce() -> TractResult<T>) -> Result<T, ModelError> {
    let one_line = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(ModelError::Float { reason: one_line(format!("{error:#}")) }),
        Err(_) => Err(ModelError::Float { reason: "the float engine stopped on this graph".to_owned() }),
    }
}
