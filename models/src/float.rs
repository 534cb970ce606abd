//! The float model: the layers that will be quantized, and an engine that runs the original graph.

use crate::error::ModelError;
use provenn_circuits::model::Head;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::*;

/// What a float layer does. Weights are as in the file, their scaling factors multiplied in.
#[derive(Debug, Clone, PartialEq)]
pub enum FloatOp {
    /// Fully connected over the last axis.
    Gemm {
        /// Length of the contracted axis.
        inputs: usize,
        /// Length of the output's last axis.
        outputs: usize,
        /// Weights `[outputs, inputs]`, row-major.
        weight: Vec<f32>,
        /// Biases `[outputs]`.
        bias: Option<Vec<f32>>,
        /// Whether a rectifier follows and is part of the layer.
        relu: bool,
    },
    /// A rectifier that follows no fully connected layer.
    Relu,
    /// The same entries under another shape.
    Reshape,
}

/// One layer; it reads the output of the layer before it, the first one the model's input.
#[derive(Debug, Clone, PartialEq)]
pub struct FloatLayer {
    /// Name of the node it comes from.
    pub name: String,
    /// What it does.
    pub op: FloatOp,
    /// Shape of its output.
    pub shape: Vec<usize>,
    /// The graph's tensor that is its output.
    pub(crate) tensor: String,
}

/// An imported model: a chain of layers in floats, and the original graph to compare with.
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

    /// Runs the original graph on one sample and gives every layer's output, row-major.
    ///
    /// # Errors
    /// [`ModelError::SampleLength`], [`ModelError::ActivationNotFinite`], which both call the sample `sample`,
    /// and [`ModelError::Float`] if the engine fails.
    pub fn activations(&self, sample: usize, input: &[f32]) -> Result<Vec<Vec<f32>>, ModelError> {
        if input.len() != self.input_len() {
            return Err(ModelError::SampleLength { sample, expected: self.input_len(), actual: input.len() });
        }
        if let Some(index) = input.iter().position(|x| !x.is_finite()) {
            return Err(ModelError::SampleValue { sample, index, actual: input[index].to_string() });
        }
        let values = self.engine.run(&self.input_shape, input)?;
        for (layer, value) in self.layers.iter().zip(&values) {
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
        Ok(values)
    }
}

/// tract's plan for the graph, with every layer's output selected.
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
                .map(|layer| {
                    let outlet = parsed.outlets_by_name.get(&layer.tensor).copied();
                    outlet.ok_or_else(|| TractError::msg(format!("tensor {} is missing", layer.tensor)))
                })
                .collect::<TractResult<Vec<_>>>()?;
            model.select_output_outlets(&outlets)?;
            Ok(Engine { plan: model.into_optimized()?.into_runnable()? })
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
