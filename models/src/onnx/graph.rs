//! The graph around the nodes: its input, and the part that the output depends on.

use super::constant::{element_type_expected, entries_of};
use super::node::Node;
use crate::error::ModelError;
use provenn_circuits::model::{MAX_AXES, MAX_ENTRIES};
use std::collections::{HashMap, HashSet};
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::Dimension;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Dim;
use tract_onnx::pb::type_proto::Value as Type;
use tract_onnx::pb::{GraphProto, ValueInfoProto};

/// The part of the graph that the output depends on.
pub(super) struct Live<'a> {
    pub(super) output: &'a str,
    /// Names of the tensors that are read, and of the output.
    pub(super) tensors: HashSet<&'a str>,
    /// Indices of the nodes, in file order.
    pub(super) nodes: Vec<usize>,
}

impl<'a> Live<'a> {
    pub(super) fn of(graph: &'a GraphProto) -> Result<Self, ModelError> {
        let [output] = graph.output.as_slice() else {
            return Err(count("outputs", graph.output.iter()));
        };
        let mut producers = HashMap::new();
        for (index, node) in graph.node.iter().enumerate() {
            for name in node.output.iter().filter(|name| !name.is_empty()) {
                if producers.insert(name.as_str(), index).is_some() {
                    let reason = format!("tensor {name} has another producer");
                    return Err(Node { proto: node, opset: 0 }.unsupported(reason));
                }
            }
        }
        let mut tensors = HashSet::new();
        let mut nodes = HashSet::new();
        let mut open = vec![output.name.as_str()];
        while let Some(tensor) = open.pop() {
            if !tensors.insert(tensor) {
                continue;
            }
            if let Some(&index) = producers.get(tensor)
                && nodes.insert(index)
            {
                open.extend(
                    graph.node[index].input.iter().filter(|name| !name.is_empty()).map(String::as_str),
                );
            }
        }
        let mut nodes: Vec<usize> = nodes.into_iter().collect();
        nodes.sort_unstable();
        Ok(Live { output: &output.name, tensors, nodes })
    }
}

fn count<'a>(what: &'static str, infos: impl Iterator<Item = &'a ValueInfoProto>) -> ModelError {
    let names: Vec<&str> = infos.map(|info| info.name.as_str()).collect();
    ModelError::Count { what, expected: 1, actual: names.len(), names: names.join(", ") }
}

/// Name and shape of the model's only input.
pub(super) fn input(graph: &GraphProto) -> Result<(&ValueInfoProto, Vec<usize>), ModelError> {
    let initialized: HashSet<&str> = graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
    let inputs: Vec<_> =
        graph.input.iter().filter(|info| !initialized.contains(info.name.as_str())).collect();
    let &[input] = inputs.as_slice() else {
        return Err(count("inputs", inputs.into_iter()));
    };
    let name = &input.name;
    let Some(Type::TensorType(tensor)) = input.r#type.as_ref().and_then(|t| t.value.as_ref()) else {
        return Err(ModelError::NotOnnx { reason: format!("input {name} has no tensor type") });
    };
    if tensor.elem_type != DataType::Float as i32 {
        let actual = DataType::try_from(tensor.elem_type)
            .map_or_else(|_| tensor.elem_type.to_string(), |t| t.as_str_name().to_owned());
        return Err(element_type_expected(name, &actual, "FLOAT"));
    }
    let Some(shape) = &tensor.shape else {
        return Err(ModelError::NotOnnx { reason: format!("input {name} has no shape: export it with one") });
    };
    let lengths = shape
        .dim
        .iter()
        .enumerate()
        .map(|(axis, dim)| axis_length(name, axis, dim))
        .collect::<Result<Vec<_>, _>>()?;
    if entries_of(&lengths).is_none() {
        return Err(ModelError::Shape {
            place: format!("input {name}"),
            expected: format!("at most {MAX_ENTRIES} entries in at most {MAX_AXES} axes"),
            actual: lengths.iter().map(|&d| i64::try_from(d).unwrap_or(i64::MAX)).collect(),
        });
    }
    Ok((input, lengths))
}

/// The length of an axis of the input: 1 for a leading axis that is dynamic.
fn axis_length(input: &str, axis: usize, dim: &Dimension) -> Result<usize, ModelError> {
    let fixed = match &dim.value {
        Some(Dim::DimValue(length)) => usize::try_from(*length).ok().filter(|&length| length > 0),
        _ => None,
    };
    let actual = match (&dim.value, fixed) {
        (_, Some(length)) => return Ok(length),
        _ if axis == 0 => return Ok(1),
        (Some(Dim::DimValue(length)), _) => length.to_string(),
        (Some(Dim::DimParam(symbol)), _) => symbol.clone(),
        (None, _) => "unknown".to_owned(),
    };
    Err(ModelError::DynamicAxis { input: input.to_owned(), axis, actual })
}
