//! ONNX import: a file becomes a chain of float layers, or an error that names the node.
//!
//! Supported operators are those of [`OPERATORS`]. Nodes that the output does not depend on are ignored.

mod constant;
mod node;

use crate::error::ModelError;
use crate::float::{FloatLayer, FloatModel, FloatOp};
use constant::{Constant, element_type_expected, entries_of};
use node::Node;
use provenn_circuits::model::{Head, MAX_AXES, MAX_ENTRIES};
use std::collections::{HashMap, HashSet};
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Dim;
use tract_onnx::pb::type_proto::Value as Type;
use tract_onnx::pb::{GraphProto, ModelProto, ValueInfoProto};
use tract_onnx::prelude::Framework;

/// Oldest and newest operator set read: the supported operators mean the same in all of them.
pub const OPSETS: (i64, i64) = (9, 24);

/// Every operator that the importer reads, with its limits.
pub const OPERATORS: &[(&str, &str)] = &[
    ("Gemm", "transA = 0, constant weights and bias"),
    ("MatMul", "constant right operand with two axes"),
    ("Add", "a constant bias after Gemm or MatMul"),
    ("Relu", "anywhere"),
    ("Flatten", "anywhere"),
    ("Reshape", "constant shape"),
    ("Identity", "anywhere"),
    ("Dropout", "not in training mode"),
    ("Constant", "one FLOAT, DOUBLE, INT32 or INT64 tensor"),
    ("Transpose", "of a constant"),
    ("Cast", "of a constant"),
    ("Softmax", "last operator, over the last axis; not proved"),
    ("LogSoftmax", "last operator, over the last axis; not proved"),
    ("ArgMax", "last operator, over the last axis; not proved"),
];

/// Imports an ONNX model from the bytes of its file.
///
/// A dynamic leading axis of the input becomes 1.
///
/// # Errors
/// A [`ModelError`] that names the node, operator, attribute or tensor that is not supported or not well formed.
pub fn import(bytes: &[u8]) -> Result<FloatModel, ModelError> {
    let not_onnx = |reason: &str| ModelError::NotOnnx { reason: reason.to_owned() };
    if bytes.is_empty() {
        return Err(not_onnx("the file is empty"));
    }
    let model = tract_onnx::onnx()
        .proto_model_for_read(&mut &bytes[..])
        .map_err(|_| not_onnx("the file is truncated, damaged, or of another format"))?;
    let graph = model.graph.as_ref().ok_or_else(|| not_onnx("it has no graph"))?;
    let opset = model
        .opset_import
        .iter()
        .find(|set| matches!(set.domain.as_str(), "" | "ai.onnx"))
        .map_or(0, |set| set.version);
    if !(OPSETS.0..=OPSETS.1).contains(&opset) {
        return Err(ModelError::Opset { actual: opset, lo: OPSETS.0, hi: OPSETS.1 });
    }

    let live = Live::of(graph)?;
    let (input_name, input_shape) = input(graph)?;
    let mut importer = Importer {
        opset,
        constants: HashMap::new(),
        values: HashMap::from([(input_name.clone(), Value { shape: input_shape.clone(), layers: 0 })]),
        layers: Vec::new(),
        head: None,
    };
    for tensor in graph.initializer.iter().filter(|tensor| live.tensors.contains(tensor.name.as_str())) {
        importer.constants.insert(tensor.name.clone(), Constant::read(&tensor.name, tensor)?);
    }
    for &index in &live.nodes {
        importer.node(Node { proto: &graph.node[index] })?;
    }
    if importer.layers.is_empty() || !importer.values.contains_key(&live.output) {
        return Err(ModelError::NoLayers);
    }
    let head = importer.head.map_or(Head::None, |(head, _)| head);
    let pruned = live.prune(&model, graph, &input_name);
    FloatModel::new(&pruned, input_name, input_shape, importer.layers, head)
}

/// The part of the graph that the output depends on.
struct Live<'a> {
    output: String,
    /// Names of the tensors.
    tensors: HashSet<&'a str>,
    /// Indices of the nodes, in file order.
    nodes: Vec<usize>,
}

impl<'a> Live<'a> {
    fn of(graph: &'a GraphProto) -> Result<Self, ModelError> {
        let [output] = graph.output.as_slice() else {
            return Err(count("outputs", graph.output.iter()));
        };
        let mut producers = HashMap::new();
        for (index, node) in graph.node.iter().enumerate() {
            for name in node.output.iter().filter(|name| !name.is_empty()) {
                if producers.insert(name.as_str(), index).is_some() {
                    let reason = format!("tensor {name} has another producer");
                    return Err(Node { proto: node }.unsupported(reason));
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
        Ok(Live { output: output.name.clone(), tensors, nodes })
    }

    /// The model with nothing but the live part, for the float engine.
    fn prune(&self, model: &ModelProto, graph: &GraphProto, input: &str) -> ModelProto {
        let live = |name: &str| self.tensors.contains(name);
        ModelProto {
            ir_version: model.ir_version,
            opset_import: model.opset_import.clone(),
            graph: Some(GraphProto {
                node: self.nodes.iter().map(|&index| graph.node[index].clone()).collect(),
                initializer: graph.initializer.iter().filter(|tensor| live(&tensor.name)).cloned().collect(),
                input: graph.input.iter().filter(|info| info.name == input).cloned().collect(),
                output: graph.output.clone(),
                ..GraphProto::default()
            }),
            ..ModelProto::default()
        }
    }
}

fn count<'a>(what: &'static str, infos: impl Iterator<Item = &'a ValueInfoProto>) -> ModelError {
    let names: Vec<&str> = infos.map(|info| info.name.as_str()).collect();
    ModelError::Count { what, expected: 1, actual: names.len(), names: names.join(", ") }
}

/// Name and shape of the model's only input.
fn input(graph: &GraphProto) -> Result<(String, Vec<usize>), ModelError> {
    let initialized: HashSet<&str> = graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
    let inputs: Vec<_> =
        graph.input.iter().filter(|info| !initialized.contains(info.name.as_str())).collect();
    let [input] = inputs.as_slice() else {
        return Err(count("inputs", inputs.into_iter()));
    };
    let name = input.name.clone();
    let place = || format!("input {name}");
    let Some(Type::TensorType(tensor)) = input.r#type.as_ref().and_then(|t| t.value.as_ref()) else {
        return Err(ModelError::NotOnnx { reason: format!("input {name} has no tensor type") });
    };
    if tensor.elem_type != DataType::Float as i32 {
        let actual = DataType::try_from(tensor.elem_type)
            .map_or_else(|_| tensor.elem_type.to_string(), |t| t.as_str_name().to_owned());
        return Err(element_type_expected(&name, &actual, "FLOAT"));
    }
    let Some(shape) = &tensor.shape else {
        return Err(ModelError::NotOnnx { reason: format!("input {name} has no shape: export it with one") });
    };
    let mut lengths = Vec::with_capacity(shape.dim.len().min(MAX_AXES));
    for (axis, dim) in shape.dim.iter().enumerate() {
        let fixed = match &dim.value {
            Some(Dim::DimValue(length)) => usize::try_from(*length).ok().filter(|&length| length > 0),
            _ => None,
        };
        lengths.push(match fixed {
            Some(length) => length,
            None if axis == 0 => 1,
            None => {
                let actual = match &dim.value {
                    Some(Dim::DimValue(length)) => length.to_string(),
                    Some(Dim::DimParam(symbol)) => symbol.clone(),
                    None => "unknown".to_owned(),
                };
                return Err(ModelError::DynamicAxis { input: name, axis, actual });
            }
        });
    }
    if entries_of(&lengths).is_none() {
        return Err(ModelError::Shape {
            place: place(),
            expected: format!("at most {MAX_ENTRIES} entries in at most {MAX_AXES} axes"),
            actual: lengths.iter().map(|&d| d as i64).collect(),
        });
    }
    Ok((name, lengths))
}

/// A value that depends on the input: the output of the layer before `layers`.
#[derive(Clone)]
struct Value {
    shape: Vec<usize>,
    /// Number of layers up to and with the one that gives it.
    layers: usize,
}

struct Importer {
    opset: i64,
    constants: HashMap<String, Constant>,
    values: HashMap<String, Value>,
    layers: Vec<FloatLayer>,
    head: Option<(Head, String)>,
}

impl Importer {
    fn node(&mut self, node: Node) -> Result<(), ModelError> {
        let output = node.output()?;
        if !matches!(node.proto.domain.as_str(), "" | "ai.onnx") {
            return Err(node.unsupported("operators of other domains are not read"));
        }
        if let Some((_, head)) = &self.head {
            return Err(node.unsupported(format!("nothing may follow {head}, which ends the proved part")));
        }
        match node.proto.op_type.as_str() {
            "Gemm" => self.gemm(node, output),
            "MatMul" => self.mat_mul(node, output),
            "Add" => self.add(node, output),
            "Relu" => self.relu(node, output),
            "Flatten" => self.flatten(node, output),
            "Reshape" => self.reshape(node, output),
            "Identity" => {
                node.check_attributes(&[])?;
                self.alias(node, output)
            }
            "Dropout" => self.dropout(node, output),
            "Constant" => self.constant(node, output),
            "Transpose" => self.transpose(node, output),
            "Cast" => {
                node.check_attributes(&["to", "saturate"])?;
                let cast = self.constant_operand(node, 0)?.cast(node.int("to", 0)?)?;
                self.constants.insert(output.to_owned(), cast);
                Ok(())
            }
            "Softmax" => self.softmax(node, output, Head::Softmax),
            "LogSoftmax" => self.softmax(node, output, Head::LogSoftmax),
            "ArgMax" => self.arg_max(node, output),
            _ => {
                let names: Vec<&str> = OPERATORS.iter().map(|(name, _)| *name).collect();
                Err(node.unsupported(format!("supported are {}", names.join(", "))))
            }
        }
    }

    fn operand_name<'a>(&self, node: Node<'a>, index: usize) -> Option<&'a str> {
        node.proto.input.get(index).map(String::as_str).filter(|name| !name.is_empty())
    }

    fn operand<'a>(&self, node: Node<'a>, index: usize) -> Result<&'a str, ModelError> {
        self.operand_name(node, index).ok_or_else(|| node.operand_error(index, "missing", "a tensor"))
    }

    fn missing(&self, node: Node, index: usize, name: &str) -> ModelError {
        node.operand_error(index, &format!("{name}, which nothing before it gives"), "a tensor given before")
    }

    /// The operand that depends on the input. It must be the newest value: layers form a chain.
    fn value(&self, node: Node, index: usize) -> Result<Value, ModelError> {
        let name = self.operand(node, index)?;
        if self.constants.contains_key(name) {
            return Err(node.operand_error(
                index,
                &format!("the constant {name}"),
                "a value that depends on the input",
            ));
        }
        let value = self.values.get(name).ok_or_else(|| self.missing(node, index, name))?;
        if value.layers != self.layers.len() {
            return Err(node.unsupported(format!(
                "it reads {name}, which is not the value just computed; only chains of layers are supported"
            )));
        }
        Ok(value.clone())
    }

    fn constant_operand(&self, node: Node, index: usize) -> Result<&Constant, ModelError> {
        let name = self.operand(node, index)?;
        if self.values.contains_key(name) {
            return Err(node.operand_error(
                index,
                &format!("{name}, which depends on the input"),
                "a constant",
            ));
        }
        self.constants.get(name).ok_or_else(|| self.missing(node, index, name))
    }

    fn push(&mut self, node: Node, output: &str, op: FloatOp, shape: Vec<usize>) -> Result<(), ModelError> {
        if entries_of(&shape).is_none() || shape.contains(&0) {
            let expected = format!("1 to {MAX_ENTRIES} entries in at most {MAX_AXES} axes");
            return Err(node.shape_error(&shape, expected));
        }
        self.layers.push(FloatLayer {
            name: node.name(),
            op,
            shape: shape.clone(),
            tensor: output.to_owned(),
        });
        self.values.insert(output.to_owned(), Value { shape, layers: self.layers.len() });
        Ok(())
    }

    fn alias(&mut self, node: Node, output: &str) -> Result<(), ModelError> {
        let name = self.operand(node, 0)?;
        if let Some(constant) = self.constants.get(name).cloned() {
            self.constants.insert(output.to_owned(), constant);
        } else {
            let value = self.values.get(name).cloned().ok_or_else(|| self.missing(node, 0, name))?;
            self.values.insert(output.to_owned(), value);
        }
        Ok(())
    }

    fn gemm(&mut self, node: Node, output: &str) -> Result<(), ModelError> {
        node.check_attributes(&["alpha", "beta", "transA", "transB"])?;
        let (alpha, beta) = (node.float("alpha", 1.0)?, node.float("beta", 1.0)?);
        if node.flag("transA", false)? {
            return Err(node.attribute_error("transA", 1, 0));
        }
        let trans_b = node.flag("transB", false)?;
        let value = self.value(node, 0)?;
        if value.shape.len() != 2 {
            return Err(node.shape_error(&value.shape, "a left operand with two axes"));
        }
        let bias = self.operand_name(node, 2).map(|_| self.constant_operand(node, 2)).transpose()?;
        let mut layer = fully_connected(node, &value.shape, self.constant_operand(node, 1)?, trans_b)?;
        if let FloatOp::Gemm { weight, bias: slot, outputs, .. } = &mut layer.0 {
            scale(node, "alpha", weight, alpha)?;
            if let Some(bias) = bias {
                let mut bias = broadcast_bias(node, bias, &layer.1, *outputs)?;
                scale(node, "beta", &mut bias, beta)?;
                *slot = Some(bias);
            }
        }
        self.push(node, output, layer.0, layer.1)
    }

    fn mat_mul(&mut self, node: Node, output: &str) -> Result<(), ModelError> {
        node.check_attributes(&[])?;
        let value = self.value(node, 0)?;
        let (op, shape) = fully_connected(node, &value.shape, self.constant_operand(node, 1)?, false)?;
        self.push(node, output, op, shape)
    }

    fn add(&mut self, node: Node, output: &str) -> Result<(), ModelError> {
        node.check_attributes(&[])?;
        let constant_first = self.operand_name(node, 0).is_some_and(|name| self.constants.contains_key(name));
        let (value, constant) = if constant_first { (1, 0) } else { (0, 1) };
        let value = self.value(node, value)?;
        let addend = self.constant_operand(node, constant)?;
        let Some(FloatLayer { op: FloatOp::Gemm { outputs, relu: false, .. }, shape, .. }) =
            self.layers.last()
        else {
            return Err(node.unsupported("a constant can be added only right after Gemm or MatMul"));
        };
        let addend = broadcast_bias(node, addend, shape, *outputs)?;
        if let Some(FloatLayer { op: FloatOp::Gemm { bias, .. }, tensor, .. }) = self.layers.last_mut() {
            match bias {
                None => *bias = Some(addend),
                Some(bias) => bias.iter_mut().zip(addend).for_each(|(b, a)| *b += a),
            }
            *tensor = output.to_owned();
        }
        self.fused(output, value);
        Ok(())
    }

    fn relu(&mut self, node: Node, output: &str) -> Result<(), ModelError> {
        node.check_attributes(&[])?;
        let value = self.value(node, 0)?;
        // Reshapes keep the sign, and a rectifier of a rectified value is that value.
        let source = self.layers.iter().rev().find(|layer| layer.op != FloatOp::Reshape);
        if matches!(source.map(|layer| &layer.op), Some(FloatOp::Relu | FloatOp::Gemm { relu: true, .. })) {
            self.values.insert(output.to_owned(), value);
            return Ok(());
        }
        if let Some(FloatLayer { op: FloatOp::Gemm { relu, .. }, tensor, .. }) = self.layers.last_mut() {
            *relu = true;
            *tensor = output.to_owned();
            self.fused(output, value);
            return Ok(());
        }
        self.push(node, output, FloatOp::Relu, value.shape)
    }

    /// `output` is now what the last layer gives, and no value from before it can be read any more.
    fn fused(&mut self, output: &str, value: Value) {
        let layers = self.layers.len();
        self.values.retain(|_, other| other.layers != layers);
        self.values.insert(output.to_owned(), value);
    }

    fn flatten(&mut self, node: Node, output: &str) -> Result<(), ModelError> {
        node.check_attributes(&["axis"])?;
        let value = self.value(node, 0)?;
        let rank = value.shape.len();
        let axis = node.axis("axis", 1, rank, rank)?;
        let (rows, columns) = value.shape.split_at(axis);
        let shape = vec![rows.iter().product(), columns.iter().product()];
        self.reshape_to(node, output, value, shape)
    }

    fn reshape(&mut self, node: Node, output: &str) -> Result<(), ModelError> {
        node.check_attributes(&["allowzero"])?;
        let allow_zero = node.flag("allowzero", false)?;
        let asked = self.constant_operand(node, 1)?.clone();
        let asked = asked.integers()?;
        if self.operand_name(node, 0).is_some_and(|name| self.constants.contains_key(name)) {
            return Err(node.operand_error(0, "a constant", "a value that depends on the input"));
        }
        let value = self.value(node, 0)?;
        let len: usize = value.shape.iter().product();
        let refused = || ModelError::Shape {
            place: format!("node {}", node.name()),
            expected: format!("{len} entries, as in {:?}", value.shape),
            actual: asked.to_vec(),
        };
        let mut shape = Vec::with_capacity(asked.len().min(MAX_AXES));
        let mut inferred = None;
        for (axis, &length) in asked.iter().enumerate() {
            shape.push(match length {
                -1 if inferred.is_none() => {
                    inferred = Some(axis);
                    1
                }
                0 if !allow_zero => *value.shape.get(axis).ok_or_else(refused)?,
                1.. => usize::try_from(length).map_err(|_| refused())?,
                _ => return Err(refused()),
            });
        }
        let known = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).ok_or_else(refused)?;
        if let Some(axis) = inferred {
            shape[axis] = len / known;
        }
        if shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)) != Some(len) {
            return Err(refused());
        }
        self.reshape_to(node, output, value.clone(), shape)
    }

    fn reshape_to(
        &mut self,
        node: Node,
        output: &str,
        value: Value,
        shape: Vec<usize>,
    ) -> Result<(), ModelError> {
        if shape == value.shape {
            self.values.insert(output.to_owned(), value);
            return Ok(());
        }
        self.push(node, output, FloatOp::Reshape, shape)
    }

    fn dropout(&mut self, node: Node, output: &str) -> Result<(), ModelError> {
        node.check_attributes(&["ratio", "seed"])?;
        if let Some(name) = self.operand_name(node, 2) {
            let off = self.constants.get(name).is_some_and(
                |training| matches!(&training.entries, constant::Entries::Int(v) if v.iter().all(|&x| x == 0)),
            );
            if !off {
                return Err(node.operand_error(2, "training mode", "no training mode"));
            }
        }
        self.alias(node, output)
    }

    fn constant(&mut self, node: Node, output: &str) -> Result<(), ModelError> {
        node.check_attributes(&["value"])?;
        let tensor = node.tensor("value")?.and_then(|attribute| attribute.t.as_ref());
        let tensor = tensor.ok_or_else(|| node.attribute_error("value", "missing", "a tensor"))?;
        self.constants.insert(output.to_owned(), Constant::read(output, tensor)?);
        Ok(())
    }

    fn transpose(&mut self, node: Node, output: &str) -> Result<(), ModelError> {
        node.check_attributes(&["perm"])?;
        let constant = self.constant_operand(node, 0)?;
        let rank = constant.shape.len();
        let perm: Vec<usize> = match node.ints("perm")? {
            None => (0..rank).rev().collect(),
            Some(perm) => perm.iter().map(|&p| usize::try_from(p).unwrap_or(usize::MAX)).collect(),
        };
        let mut sorted = perm.clone();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..rank) {
            let expected = format!("a permutation of the {rank} axes");
            return Err(node.attribute_error(
                "perm",
                format!("{:?}", node.ints("perm")?.unwrap_or(&[])),
                expected,
            ));
        }
        let transposed = constant.transpose(&perm);
        self.constants.insert(output.to_owned(), transposed);
        Ok(())
    }

    fn softmax(&mut self, node: Node, output: &str, head: Head) -> Result<(), ModelError> {
        node.check_attributes(&["axis"])?;
        let value = self.value(node, 0)?;
        // Before operator set 13 the axes from `axis` on were one; both agree on the last axis.
        let default = if self.opset < 13 { 1 } else { -1 };
        self.head(node, output, value, head, default)
    }

    fn arg_max(&mut self, node: Node, output: &str) -> Result<(), ModelError> {
        node.check_attributes(&["axis", "keepdims", "select_last_index"])?;
        node.flag("keepdims", true)?;
        if node.flag("select_last_index", false)? {
            return Err(node.attribute_error("select_last_index", 1, 0));
        }
        let value = self.value(node, 0)?;
        self.head(node, output, value, Head::ArgMax, 0)
    }

    fn head(
        &mut self,
        node: Node,
        output: &str,
        value: Value,
        head: Head,
        default_axis: i64,
    ) -> Result<(), ModelError> {
        let rank = value.shape.len();
        let axis = node.axis("axis", default_axis, rank, rank.saturating_sub(1))?;
        if axis + 1 != rank {
            return Err(node.attribute_error("axis", axis, format!("{}, the last one", rank as i64 - 1)));
        }
        self.head = Some((head, node.name()));
        self.values.insert(output.to_owned(), value);
        Ok(())
    }
}

/// A fully connected layer over the last axis of `shape`, and the shape of its output.
fn fully_connected(
    node: Node,
    shape: &[usize],
    weight: &Constant,
    transposed: bool,
) -> Result<(FloatOp, Vec<usize>), ModelError> {
    let &[rows, columns] = weight.shape.as_slice() else {
        return Err(node.shape_error(&weight.shape, format!("weights {} with two axes", weight.name)));
    };
    let (inputs, outputs) = if transposed { (columns, rows) } else { (rows, columns) };
    let Some((_, rows)) = shape.split_last().filter(|(last, _)| **last == inputs) else {
        return Err(
            node.shape_error(shape, format!("a last axis of {inputs}, as in weights {}", weight.name))
        );
    };
    if outputs == 0 {
        return Err(node.shape_error(&weight.shape, format!("weights {} that are not empty", weight.name)));
    }
    let oriented =
        if transposed { weight.floats()?.to_vec() } else { weight.transpose(&[1, 0]).floats()?.to_vec() };
    let shape = rows.iter().copied().chain([outputs]).collect();
    Ok((FloatOp::Gemm { inputs, outputs, weight: oriented, bias: None, relu: false }, shape))
}

/// The constant as one entry an output; refused if it differs between rows or would add axes.
fn broadcast_bias(
    node: Node,
    constant: &Constant,
    shape: &[usize],
    outputs: usize,
) -> Result<Vec<f32>, ModelError> {
    let values = constant.floats()?;
    let last = constant.shape.last().copied().unwrap_or(1);
    let fits = constant.shape.len() <= shape.len() && values.len() == last && (last == 1 || last == outputs);
    if !fits {
        return Err(
            node.shape_error(&constant.shape, format!("a bias {} of {outputs} entries", constant.name))
        );
    }
    Ok(if last == 1 { vec![values[0]; outputs] } else { values.to_vec() })
}

/// Multiplies by an attribute; the products must be finite.
fn scale(node: Node, attribute: &str, values: &mut [f32], factor: f32) -> Result<(), ModelError> {
    if factor == 1.0 {
        return Ok(());
    }
    for value in values {
        *value *= factor;
        if !value.is_finite() {
            return Err(node.attribute_error(attribute, factor, "a factor that keeps the weights finite"));
        }
    }
    Ok(())
}
