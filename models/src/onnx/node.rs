//! One node of a graph: its name in messages, its operands and attributes, read strictly.

use crate::error::ModelError;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::{AttributeProto, NodeProto};

/// A node of the graph.
#[derive(Clone, Copy)]
pub(super) struct Node<'a> {
    pub(super) proto: &'a NodeProto,
}

impl<'a> Node<'a> {
    /// The node's name, or its operator and first output if it has none.
    pub(super) fn name(&self) -> String {
        if !self.proto.name.is_empty() {
            return self.proto.name.clone();
        }
        format!("{} -> {}", self.proto.op_type, self.proto.output.first().map_or("", String::as_str))
    }

    /// The operator's type, with its domain unless that is ONNX's own.
    pub(super) fn operator(&self) -> String {
        if matches!(self.proto.domain.as_str(), "" | "ai.onnx") {
            self.proto.op_type.clone()
        } else {
            format!("{}.{}", self.proto.domain, self.proto.op_type)
        }
    }

    /// Name of the first output.
    pub(super) fn output(&self) -> Result<&'a str, ModelError> {
        match self.proto.output.first() {
            Some(name) if !name.is_empty() => Ok(name),
            _ => Err(self.unsupported("it has no output")),
        }
    }

    pub(super) fn unsupported(&self, reason: impl Into<String>) -> ModelError {
        ModelError::Operator { node: self.name(), operator: self.operator(), reason: reason.into() }
    }

    pub(super) fn attribute_error(
        &self,
        attribute: &str,
        actual: impl ToString,
        expected: impl ToString,
    ) -> ModelError {
        ModelError::Attribute {
            node: self.name(),
            operator: self.operator(),
            attribute: attribute.to_owned(),
            actual: actual.to_string(),
            expected: expected.to_string(),
        }
    }

    pub(super) fn operand_error(&self, index: usize, actual: &str, expected: &str) -> ModelError {
        ModelError::Operand {
            node: self.name(),
            operator: self.operator(),
            index,
            actual: actual.to_owned(),
            expected: expected.to_owned(),
        }
    }

    pub(super) fn shape_error(&self, actual: &[usize], expected: impl Into<String>) -> ModelError {
        ModelError::Shape {
            place: format!("node {}", self.name()),
            expected: expected.into(),
            actual: actual.iter().map(|&d| d as i64).collect(),
        }
    }

    /// Refuses every attribute that is not in `known`.
    pub(super) fn check_attributes(&self, known: &[&str]) -> Result<(), ModelError> {
        match self.proto.attribute.iter().find(|a| !known.contains(&a.name.as_str())) {
            None => Ok(()),
            Some(attribute) => Err(self.attribute_error(&attribute.name, "set", "no such attribute")),
        }
    }

    fn attribute(&self, name: &str, kind: AttributeType) -> Result<Option<&'a AttributeProto>, ModelError> {
        let Some(attribute) = self.proto.attribute.iter().find(|a| a.name == name) else {
            return Ok(None);
        };
        // Old exporters leave the type out.
        if attribute.r#type == kind as i32 || attribute.r#type == 0 {
            return Ok(Some(attribute));
        }
        let actual = AttributeType::try_from(attribute.r#type)
            .map_or_else(|_| attribute.r#type.to_string(), |t| t.as_str_name().to_owned());
        Err(self.attribute_error(name, format!("of type {actual}"), format!("type {}", kind.as_str_name())))
    }

    pub(super) fn int(&self, name: &str, default: i64) -> Result<i64, ModelError> {
        Ok(self.attribute(name, AttributeType::Int)?.map_or(default, |a| a.i))
    }

    pub(super) fn ints(&self, name: &str) -> Result<Option<&'a [i64]>, ModelError> {
        Ok(self.attribute(name, AttributeType::Ints)?.map(|a| a.ints.as_slice()))
    }

    pub(super) fn tensor(&self, name: &str) -> Result<Option<&'a AttributeProto>, ModelError> {
        self.attribute(name, AttributeType::Tensor)
    }

    /// A finite float attribute.
    pub(super) fn float(&self, name: &str, default: f32) -> Result<f32, ModelError> {
        let value = self.attribute(name, AttributeType::Float)?.map_or(default, |a| a.f);
        if value.is_finite() { Ok(value) } else { Err(self.attribute_error(name, value, "a finite number")) }
    }

    /// A Boolean attribute: 0 or 1.
    pub(super) fn flag(&self, name: &str, default: bool) -> Result<bool, ModelError> {
        match self.int(name, default.into())? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(self.attribute_error(name, other, "0 or 1")),
        }
    }

    /// An axis in `0..=end`, negative ones counted from `rank`.
    pub(super) fn axis(
        &self,
        name: &str,
        default: i64,
        rank: usize,
        end: usize,
    ) -> Result<usize, ModelError> {
        let axis = self.int(name, default)?;
        let signed = rank as i64;
        let counted = if axis < 0 { axis.checked_add(signed) } else { Some(axis) };
        counted
            .and_then(|a| usize::try_from(a).ok())
            .filter(|&a| a <= end)
            .ok_or_else(|| self.attribute_error(name, axis, format!("{} to {end}", -signed)))
    }
}
