//! The state of an import: what is known of every tensor so far, the layers, and the graph for the float engine.

use super::OPERATORS;
use super::constant::{Constant, entries_of};
use super::folding::{Fold, MAX_FOLDED};
use super::graph::Live;
use super::head::Ended;
use super::node::Node;
use super::quantized::Codes;
use crate::error::ModelError;
use crate::float::{FloatLayer, FloatOp};
use provenn_circuits::model::{MAX_AXES, MAX_ENTRIES};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::{AttributeProto, NodeProto};

/// A value that depends on the model's input.
#[derive(Debug, Clone)]
pub(super) struct Value {
    /// 0 for the model's input, `i + 1` for the output of layer `i`.
    pub(super) id: usize,
    pub(super) shape: Vec<usize>,
}

/// What a tensor is.
#[derive(Clone)]
pub(super) enum Known {
    Constant(Rc<Constant>),
    Value(Value),
    /// The integers that `QuantizeLinear` gives.
    Codes(Codes),
    /// What an unproved function at the end of the model gives.
    Ended(Ended),
    /// What a node gives that could not be imported.
    Unknown,
}

/// Whether a node was imported.
pub(super) enum Outcome {
    Imported,
    /// An operand is the output of a node that was not.
    Unreached,
}

pub(super) struct Importer<'a> {
    live: &'a Live<'a>,
    known: HashMap<String, Known>,
    pub(super) layers: Vec<FloatLayer>,
    /// The nodes that the float engine runs: those that give values, as they are in the file unless a handler has written
    /// others for them.
    engine: Vec<NodeProto>,
    rewritten: Option<Vec<NodeProto>>,
    /// Entries of all constants that were computed.
    folded: usize,
}

impl<'a> Importer<'a> {
    /// Starts with the model's input.
    pub(super) fn new(live: &'a Live<'a>, input: &str, shape: Vec<usize>) -> Self {
        let known = HashMap::from([(input.to_owned(), Known::Value(Value { id: 0, shape }))]);
        Importer { live, known, layers: Vec::new(), engine: Vec::new(), rewritten: None, folded: 0 }
    }

    /// Imports a node.
    pub(super) fn node(&mut self, node: Node) -> Result<Outcome, ModelError> {
        let name = node.operator();
        let Some(operator) = OPERATORS.iter().find(|operator| operator.name == name) else {
            let reason = if node.is_standard() {
                advice(&name)
            } else {
                "operators of its domain are not read".to_owned()
            };
            return Err(node.unsupported(reason));
        };
        node.output()?;
        let mut constant = true;
        for (index, name) in node.proto.input.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
            match self.known(node, index)? {
                Known::Constant(_) => (),
                Known::Unknown => return Ok(Outcome::Unreached),
                Known::Ended(ended) if !operator.may_end => return Err(ended.refusal(node)),
                Known::Codes(_) if operator.name != "DequantizeLinear" => {
                    let actual = format!("{name}, which QuantizeLinear gives");
                    return Err(node.operand_error(index, &actual, "DequantizeLinear right after it"));
                }
                _ => constant = false,
            }
        }
        if !operator.many {
            self.check_outputs(node)?;
        }
        match (operator.fold, operator.layers) {
            (Some(fold), _) if constant => self.fold(node, fold)?,
            (_, Some(layers)) => layers(self, node)?,
            _ => {
                let value = (0..node.proto.input.len()).find(|&index| self.value(node, index).is_ok());
                self.constant(node, value.unwrap_or(0))?;
            }
        }
        self.keep_for_engine(node, operator.many);
        Ok(Outcome::Imported)
    }

    /// Refuses a node of whose outputs more than the first one is read.
    fn check_outputs(&self, node: Node) -> Result<(), ModelError> {
        let read = |name: &&String| !name.is_empty() && self.live.tensors.contains(name.as_str());
        match node.proto.output.iter().skip(1).find(read) {
            None => Ok(()),
            Some(name) => {
                Err(node.unsupported(format!("only its first output can be read, {name} is read too")))
            }
        }
    }

    /// Whether a tensor is read, or the model's output.
    pub(super) fn is_read(&self, name: &str) -> bool {
        self.live.tensors.contains(name)
    }

    /// Marks what a node gives as unknown.
    pub(super) fn give_up(&mut self, node: Node) {
        for name in &node.proto.output {
            self.known.insert(name.clone(), Known::Unknown);
        }
        self.rewritten = None;
    }

    fn fold(
        &mut self,
        node: Node,
        fold: fn(&Fold) -> Result<Vec<Constant>, ModelError>,
    ) -> Result<(), ModelError> {
        let operands = (0..node.proto.input.len())
            .map(|index| self.optional_constant(node, index))
            .collect::<Result<Vec<_>, _>>()?;
        let results = fold(&Fold { node, operands })?;
        for (name, constant) in node.proto.output.iter().zip(results) {
            self.folded = self.folded.saturating_add(constant.len());
            if self.folded > MAX_FOLDED {
                return Err(node.unsupported(format!(
                    "the constants that the graph computes have more than {MAX_FOLDED} entries"
                )));
            }
            self.give_constant(name, constant);
        }
        Ok(())
    }

    fn keep_for_engine(&mut self, node: Node, many: bool) {
        let rewritten = self.rewritten.take();
        if !node.proto.output.iter().any(|name| matches!(self.known.get(name), Some(Known::Value(_)))) {
            return;
        }
        let own = || {
            let mut own = node.proto.clone();
            if !many {
                // Nothing reads the others, and the engine may not know them.
                own.output.truncate(1);
            }
            vec![own]
        };
        let nodes = rewritten.unwrap_or_else(own);
        self.engine.extend(nodes);
    }

    /// What the float engine runs in place of this node.
    pub(super) fn rewrite(&mut self, nodes: Vec<NodeProto>) {
        self.rewritten = Some(nodes);
    }

    /// Has the float engine give another tensor in place of this node.
    pub(super) fn rewrite_as(&mut self, node: Node, source: &str) -> Result<(), ModelError> {
        let output = node.output()?.to_owned();
        self.rewrite(vec![NodeProto {
            op_type: "Identity".to_owned(),
            name: output.clone(),
            input: vec![source.to_owned()],
            output: vec![output],
            ..NodeProto::default()
        }]);
        Ok(())
    }

    /// Nodes for the float engine that read the first operand at these positions of these axes, as tensor `output`.
    pub(super) fn gathers(
        &mut self,
        node: Node,
        output: &str,
        reads: &[(usize, Vec<usize>)],
    ) -> Result<Vec<NodeProto>, ModelError> {
        let mut operand = node.needed(0)?.to_owned();
        let mut nodes = Vec::with_capacity(reads.len());
        for (count, (axis, places)) in reads.iter().enumerate() {
            let indices = Constant::of_integers("", places.iter().map(|&place| place as i64).collect());
            let indices = self.helper_constant(node, indices)?;
            let name = if count + 1 == reads.len() { output.to_owned() } else { format!("{indices}/part") };
            let axis = AttributeProto {
                name: "axis".to_owned(),
                r#type: AttributeType::Int as i32,
                i: *axis as i64,
                ..AttributeProto::default()
            };
            nodes.push(NodeProto {
                op_type: "Gather".to_owned(),
                name: name.clone(),
                input: vec![operand, indices],
                output: vec![name.clone()],
                attribute: vec![axis],
                ..NodeProto::default()
            });
            operand = name;
        }
        Ok(nodes)
    }

    /// Has the float engine run another node after this one, and gives the name of its output.
    pub(super) fn helper(
        &mut self,
        node: Node,
        operator: &str,
        inputs: &[&str],
        attribute: Vec<AttributeProto>,
    ) -> Result<String, ModelError> {
        let output = self.free_name(node, operator)?;
        let helper = NodeProto {
            op_type: operator.to_owned(),
            name: output.clone(),
            input: inputs.iter().map(|&name| name.to_owned()).collect(),
            output: vec![output.clone()],
            attribute,
            ..NodeProto::default()
        };
        self.rewritten.get_or_insert_with(|| vec![node.proto.clone()]).push(helper);
        Ok(output)
    }

    /// A constant that only the float engine reads.
    pub(super) fn helper_constant(&mut self, node: Node, constant: Constant) -> Result<String, ModelError> {
        let name = self.free_name(node, "constant")?;
        self.give_constant(&name, constant);
        Ok(name)
    }

    /// A tensor name that starts like the node's output and is not in use.
    fn free_name(&self, node: Node, what: &str) -> Result<String, ModelError> {
        let first = node.output()?;
        let taken = |name: &String| {
            self.known.contains_key(name)
                || self.live.tensors.contains(name.as_str())
                || self.rewritten.iter().flatten().any(|node| node.output.contains(name))
        };
        let name =
            (0..=self.known.len()).map(|count| format!("{first}/{what}.{count}")).find(|name| !taken(name));
        Ok(name.unwrap_or_default())
    }

    pub(super) fn known(&self, node: Node, index: usize) -> Result<&Known, ModelError> {
        let name = node.needed(index)?;
        self.known.get(name).ok_or_else(|| {
            let actual = format!("{name}, which nothing before it gives");
            node.operand_error(index, &actual, "a tensor given before")
        })
    }

    /// What a tensor is, by name.
    pub(super) fn named(&self, name: &str) -> Option<&Known> {
        self.known.get(name)
    }

    /// The operand as a value that depends on the input.
    pub(super) fn value(&self, node: Node, index: usize) -> Result<Value, ModelError> {
        match self.known(node, index)? {
            Known::Value(value) => Ok(value.clone()),
            _ => {
                let actual = format!("the constant {}", node.needed(index)?);
                Err(node.operand_error(index, &actual, "a value that depends on the input"))
            }
        }
    }

    /// The operand as a constant.
    pub(super) fn constant(&self, node: Node, index: usize) -> Result<Rc<Constant>, ModelError> {
        match self.known(node, index)? {
            Known::Constant(constant) => Ok(constant.clone()),
            _ => {
                let actual = format!("{}, which depends on the input", node.needed(index)?);
                Err(node.operand_error(index, &actual, "a constant"))
            }
        }
    }

    /// The operand as a constant, if it is there.
    pub(super) fn optional_constant(
        &self,
        node: Node,
        index: usize,
    ) -> Result<Option<Rc<Constant>>, ModelError> {
        node.operand(index).map(|_| self.constant(node, index)).transpose()
    }

    /// Adds a layer and gives its output, which is the graph's tensor `tensor`.
    pub(super) fn layer(
        &mut self,
        node: Node,
        op: FloatOp,
        inputs: Vec<usize>,
        shape: Vec<usize>,
        tensor: Option<&str>,
    ) -> Result<Value, ModelError> {
        check_shape(node, &shape)?;
        let tensor = tensor.map(str::to_owned);
        self.layers.push(FloatLayer { name: node.name(), op, inputs, shape: shape.clone(), tensor });
        Ok(Value { id: self.layers.len(), shape })
    }

    /// Adds the layer that gives the node's first output.
    pub(super) fn output(
        &mut self,
        node: Node,
        op: FloatOp,
        inputs: Vec<usize>,
        shape: Vec<usize>,
    ) -> Result<(), ModelError> {
        let output = node.output()?;
        let value = self.layer(node, op, inputs, shape, Some(output))?;
        self.give_value(output, value);
        Ok(())
    }

    /// Says that a tensor is a value, which may have other names too.
    pub(super) fn give_value(&mut self, output: &str, value: Value) {
        let layer = value.id.checked_sub(1).and_then(|index| self.layers.get_mut(index));
        if let Some(FloatLayer { tensor: tensor @ None, .. }) = layer {
            *tensor = Some(output.to_owned());
        }
        self.give(output, Known::Value(value));
    }

    /// Says that a tensor is a constant.
    pub(super) fn give_constant(&mut self, output: &str, constant: Constant) {
        self.give(output, Known::Constant(Rc::new(constant)));
    }

    pub(super) fn give(&mut self, output: &str, known: Known) {
        if !output.is_empty() {
            self.known.insert(output.to_owned(), known);
        }
    }

    /// The value under another shape with as many entries; `tensor` is the graph's name of it, if it has one.
    pub(super) fn reshaped(
        &mut self,
        node: Node,
        value: Value,
        shape: Vec<usize>,
        tensor: Option<&str>,
    ) -> Result<Value, ModelError> {
        if shape == value.shape {
            return Ok(value);
        }
        self.layer(node, FloatOp::Reshape, vec![value.id], shape, tensor)
    }

    /// Nodes and constants for the float engine to give these tensors, in the order of the file.
    pub(super) fn engine_graph(self, tensors: &[&str]) -> (Vec<NodeProto>, Vec<(String, Rc<Constant>)>) {
        let mut needed: HashSet<String> = tensors.iter().map(|&name| name.to_owned()).collect();
        let mut nodes = Vec::new();
        for mut node in self.engine.into_iter().rev() {
            if node.output.iter().any(|name| needed.contains(name)) {
                needed.extend(node.input.iter().cloned());
                // The engine does not tell nodes' names from tensors' names, and a file may use one for both.
                node.name = node.output.iter().find(|name| !name.is_empty()).cloned().unwrap_or_default();
                nodes.push(node);
            }
        }
        nodes.reverse();
        let mut constants: Vec<_> = needed
            .into_iter()
            .filter_map(|name| match self.known.get(&name) {
                Some(Known::Constant(constant)) => Some((name, constant.clone())),
                _ => None,
            })
            .collect();
        constants.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        (nodes, constants)
    }
}

/// Refuses shapes outside the limits of the proof system.
pub(super) fn check_shape(node: Node, shape: &[usize]) -> Result<(), ModelError> {
    if entries_of(shape).is_none() || shape.contains(&0) {
        let expected = format!("1 to {MAX_ENTRIES} entries in at most {MAX_AXES} axes");
        return Err(node.shape_error(shape, expected));
    }
    Ok(())
}

/// What to do about an operator that is not read.
fn advice(operator: &str) -> String {
    if operator.starts_with("QLinear") || operator.ends_with("Integer") || operator == "DynamicQuantizeLinear"
    {
        return "quantize the model statically, in the format with QuantizeLinear and DequantizeLinear"
            .to_owned();
    }
    if matches!(operator, "If" | "Loop" | "Scan") {
        return "export the model with fixed shapes and without control flow".to_owned();
    }
    "export the model without it, or end the model before it (docs/src/operators.md lists what is read)"
        .to_owned()
}
