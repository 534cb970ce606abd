//! One node of a graph: its name in messages, its operands and attributes, read strictly.

use crate::error::ModelError;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::{AttributeProto, NodeProto};

/// A node of the graph, read under an operator set.
#[derive(Clone, Copy)]
pub(super) struct Node<'a> {
    pub(super) proto: &'a NodeProto,
    pub(super) opset: i64,
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
        if self.is_standard() {
            self.proto.op_type.clone()
        } else {
            format!("{}.{}", self.proto.domain, self.proto.op_type)
        }
    }

    /// Whether the operator is one of ONNX's own domain.
    pub(super) fn is_standard(&self) -> bool {
        matches!(self.proto.domain.as_str(), "" | "ai.onnx")
    }

    /// Name of the first output.
    pub(super) fn output(&self) -> Result<&'a str, ModelError> {
        match self.proto.output.first() {
            Some(name) if !name.is_empty() => Ok(name),
            _ => Err(self.unsupported("it has no output")),
        }
    }

    /// Name of an operand; `None` for one that is left out.
    pub(super) fn operand(&self, index: usize) -> Option<&'a str> {
        self.proto.input.get(index).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// Name of an operand that the operator cannot do without.
    pub(super) fn needed(&self, index: usize) -> Result<&'a str, ModelError> {
        self.operand(index).ok_or_else(|| self.operand_error(index, "missing", "a tensor"))
    }

    /// Refuses more operands than the operator has.
    pub(super) fn check_operands(&self, most: usize) -> Result<(), ModelError> {
        match (most..self.proto.input.len()).find(|&index| self.operand(index).is_some()) {
            None => Ok(()),
            Some(index) => Err(self.operand_error(index, "set", &format!("at most {most} operands"))),
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
            actual: actual.iter().map(|&d| i64::try_from(d).unwrap_or(i64::MAX)).collect(),
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

    /// An integer attribute, if it is set.
    pub(super) fn set_int(&self, name: &str) -> Result<Option<i64>, ModelError> {
        Ok(self.attribute(name, AttributeType::Int)?.map(|a| a.i))
    }

    pub(super) fn int(&self, name: &str, default: i64) -> Result<i64, ModelError> {
        Ok(self.set_int(name)?.unwrap_or(default))
    }

    pub(super) fn ints(&self, name: &str) -> Result<Option<&'a [i64]>, ModelError> {
        Ok(self.attribute(name, AttributeType::Ints)?.map(|a| a.ints.as_slice()))
    }

    pub(super) fn floats(&self, name: &str) -> Result<Option<&'a [f32]>, ModelError> {
        Ok(self.attribute(name, AttributeType::Floats)?.map(|a| a.floats.as_slice()))
    }

    pub(super) fn tensor(&self, name: &str) -> Result<Option<&'a AttributeProto>, ModelError> {
        self.attribute(name, AttributeType::Tensor)
    }

    /// A float attribute, if it is set.
    pub(super) fn set_float(&self, name: &str) -> Result<Option<f32>, ModelError> {
        Ok(self.attribute(name, AttributeType::Float)?.map(|a| a.f))
    }

    /// A finite float attribute.
    pub(super) fn float(&self, name: &str, default: f32) -> Result<f32, ModelError> {
        let value = self.set_float(name)?.unwrap_or(default);
        if value.is_finite() { Ok(value) } else { Err(self.attribute_error(name, value, "a finite number")) }
    }

    /// A text attribute.
    pub(super) fn text(&self, name: &str, default: &'a str) -> Result<&'a str, ModelError> {
        match self.attribute(name, AttributeType::String)? {
            None => Ok(default),
            Some(attribute) => std::str::from_utf8(&attribute.s)
                .map_err(|_| self.attribute_error(name, "not text", "text in UTF-8")),
        }
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
        counted(axis, rank)
            .filter(|&a| a <= end)
            .ok_or_else(|| self.attribute_error(name, axis, format!("{} to {end}", -(rank as i64))))
    }

    /// An axis of a tensor of `rank` axes.
    pub(super) fn axis_below(&self, name: &str, default: i64, rank: usize) -> Result<usize, ModelError> {
        if rank == 0 {
            return Err(self.shape_error(&[], "at least one axis"));
        }
        self.axis(name, default, rank, rank - 1)
    }

    /// Axes given as numbers, each of them once; `what` is what messages call the list.
    pub(super) fn axes(&self, what: &str, axes: &[i64], rank: usize) -> Result<Vec<usize>, ModelError> {
        let error = || {
            let expected = format!("different axes from {} to {}", -(rank as i64), rank as i64 - 1);
            self.attribute_error(what, format!("{axes:?}"), expected)
        };
        let mut found = Vec::with_capacity(axes.len().min(rank));
        for &axis in axes {
            let axis = counted(axis, rank).filter(|&a| a < rank && !found.contains(&a)).ok_or_else(error)?;
            found.push(axis);
        }
        Ok(found)
    }
}

/// An axis counted from the front, where negative ones are counted from the end.
fn counted(axis: i64, rank: usize) -> Option<usize> {
    let axis = if axis < 0 { axis.checked_add(i64::try_from(rank).ok()?)? } else { axis };
    usize::try_from(axis).ok()
}
