//! ONNX import: a file becomes a graph of float layers, or an error that names the node.
//!
//! Supported operators are those of [`OPERATORS`]. Nodes that the output does not depend on are ignored, and what depends on
//! constants and shapes alone is computed here: every shape is fixed. Nothing that depends on the input is merged, but for
//! functions that exporters write as several operators.

mod activation;
mod constant;
mod convolution;
mod elementwise;
mod folding;
mod graph;
mod head;
mod importer;
mod linear;
mod movement;
mod node;
mod operators;
mod pooling;
mod quantized;
mod recognise;
mod resize;
mod shape;
mod window;

pub use operators::{OPERATORS, Operator};

use crate::error::ModelError;
use crate::float::{FloatLayer, FloatModel};
use constant::Constant;
use graph::Live;
use importer::{Importer, Known, Outcome};
use node::Node;
use provenn_circuits::model::Head;
use tract_onnx::pb::{GraphProto, ModelProto, ValueInfoProto};
use tract_onnx::prelude::Framework;

/// Oldest and newest operator set read: the supported operators mean the same in all of them.
pub const OPSETS: (i64, i64) = (9, 24);

/// Imports an ONNX model from the bytes of its file.
///
/// A dynamic leading axis of the input becomes 1.
///
/// # Errors
/// A [`ModelError`] that names the node, operator, attribute or tensor that is not supported or not well formed.
pub fn import(bytes: &[u8]) -> Result<FloatModel, ModelError> {
    let model = read(bytes)?;
    let (graph, opset) = graph_of(&model)?;
    let live = Live::of(graph)?;
    let (input, shape) = graph::input(graph)?;
    let mut importer = Importer::new(&live, &input.name, shape.clone());
    read_initializers(&mut importer, graph, &live)?;
    for &index in &live.nodes {
        importer.node(Node { proto: &graph.node[index], opset })?;
    }
    let (value, head) = match importer.named(live.output) {
        Some(Known::Value(value)) => (value.id, Head::None),
        Some(Known::Ended(ended)) => (ended.value.id, ended.head),
        Some(Known::Codes(_)) => {
            let reason = "the model ends in QuantizeLinear, expected DequantizeLinear after it";
            return Err(ModelError::NotOnnx { reason: reason.to_owned() });
        }
        _ => (0, Head::None),
    };
    if value == 0 {
        return Err(ModelError::NoLayers);
    }
    let mut layers = std::mem::take(&mut importer.layers);
    recognise::functions(&mut layers);
    let layers = without_dead(layers, value);
    let tensors: Vec<&str> = layers.iter().filter_map(|layer| layer.tensor.as_deref()).collect();
    let engine = engine_graph(&model, input, importer, &tensors);
    FloatModel::new(&engine, input.name.clone(), shape, layers, head)
}

/// Whether a node can be imported.
#[derive(Debug)]
#[non_exhaustive]
pub enum Support {
    /// It can.
    Supported,
    /// The output does not depend on it.
    Unused,
    /// It cannot be said, for it reads what an unsupported node gives.
    Unreached,
    /// It cannot, for this reason.
    Refused(ModelError),
}

/// A node of a file, and whether it can be imported.
#[derive(Debug)]
pub struct NodeSupport {
    /// The node's name, or its operator and first output.
    pub name: String,
    /// Its operator, with the domain unless that is ONNX's own.
    pub operator: String,
    /// Whether it can be imported.
    pub support: Support,
}

/// Tries to import every node, also after one that cannot be.
///
/// # Errors
/// A [`ModelError`] if the file is no ONNX model, or has not one input and one output.
pub fn support(bytes: &[u8]) -> Result<Vec<NodeSupport>, ModelError> {
    let model = read(bytes)?;
    let (graph, opset) = graph_of(&model)?;
    let live = Live::of(graph)?;
    let (input, shape) = graph::input(graph)?;
    let mut importer = Importer::new(&live, &input.name, shape);
    read_initializers(&mut importer, graph, &live)?;
    let mut report = Vec::with_capacity(graph.node.len());
    for (index, proto) in graph.node.iter().enumerate() {
        let node = Node { proto, opset };
        let support = if live.nodes.binary_search(&index).is_err() {
            Support::Unused
        } else {
            match importer.node(node) {
                Ok(Outcome::Imported) => Support::Supported,
                Ok(Outcome::Unreached) => {
                    importer.give_up(node);
                    Support::Unreached
                }
                Err(error) => {
                    importer.give_up(node);
                    Support::Refused(error)
                }
            }
        };
        report.push(NodeSupport { name: node.name(), operator: node.operator(), support });
    }
    Ok(report)
}

fn read(bytes: &[u8]) -> Result<ModelProto, ModelError> {
    let not_onnx = |reason: &str| ModelError::NotOnnx { reason: reason.to_owned() };
    if bytes.is_empty() {
        return Err(not_onnx("the file is empty"));
    }
    tract_onnx::onnx()
        .proto_model_for_read(&mut &bytes[..])
        .map_err(|_| not_onnx("the file is truncated, damaged, or of another format"))
}

/// The graph and its operator set.
fn graph_of(model: &ModelProto) -> Result<(&GraphProto, i64), ModelError> {
    let no_graph = || ModelError::NotOnnx { reason: "it has no graph".to_owned() };
    let graph = model.graph.as_ref().ok_or_else(no_graph)?;
    let opset = model
        .opset_import
        .iter()
        .find(|set| matches!(set.domain.as_str(), "" | "ai.onnx"))
        .map_or(0, |set| set.version);
    if !(OPSETS.0..=OPSETS.1).contains(&opset) {
        return Err(ModelError::Opset { actual: opset, lo: OPSETS.0, hi: OPSETS.1 });
    }
    Ok((graph, opset))
}

fn read_initializers(importer: &mut Importer, graph: &GraphProto, live: &Live) -> Result<(), ModelError> {
    for tensor in graph.initializer.iter().filter(|tensor| live.tensors.contains(tensor.name.as_str())) {
        importer.give_constant(&tensor.name, Constant::read(&tensor.name, tensor)?);
    }
    Ok(())
}

/// The layers that the output `value` depends on: its own is the last of them.
fn without_dead(layers: Vec<FloatLayer>, value: usize) -> Vec<FloatLayer> {
    let mut live = vec![false; layers.len() + 1];
    live[value] = true;
    for index in (0..value).rev() {
        if live[index + 1] {
            layers[index].inputs.iter().for_each(|&input| live[input] = true);
        }
    }
    let mut ids = vec![0; layers.len() + 1];
    let mut kept: Vec<FloatLayer> = Vec::with_capacity(layers.len());
    for (index, mut layer) in layers.into_iter().enumerate().filter(|(index, _)| live[index + 1]) {
        layer.inputs.iter_mut().for_each(|input| *input = ids[*input]);
        kept.push(layer);
        ids[index + 1] = kept.len();
    }
    kept
}

/// The model that the float engine runs to give `tensors`: no constants are left to compute.
fn engine_graph(
    model: &ModelProto,
    input: &ValueInfoProto,
    importer: Importer,
    tensors: &[&str],
) -> ModelProto {
    let (node, constants) = importer.engine_graph(tensors);
    let output =
        tensors.last().map(|&name| ValueInfoProto { name: name.to_owned(), ..ValueInfoProto::default() });
    ModelProto {
        ir_version: model.ir_version,
        opset_import: model.opset_import.clone(),
        graph: Some(GraphProto {
            node,
            initializer: constants.iter().map(|(name, constant)| constant.proto(name)).collect(),
            input: vec![input.clone()],
            output: output.into_iter().collect(),
            ..GraphProto::default()
        }),
        ..ModelProto::default()
    }
}
