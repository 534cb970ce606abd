//! What may follow the proved part: a softmax, or the index of the largest entry.

use super::importer::{Importer, Known, Value};
use super::node::Node;
use crate::error::ModelError;
use provenn_circuits::model::Head;

/// What a function at the end gives.
#[derive(Clone)]
pub(super) struct Ended {
    pub(super) head: Head,
    /// The value before the function, without axes of length 1 behind the classes.
    pub(super) value: Value,
    /// Number of axes in the file.
    rank: usize,
    /// The node's name.
    name: String,
}

impl Ended {
    /// Why a node cannot read it.
    pub(super) fn refusal(&self, node: Node) -> ModelError {
        node.unsupported(format!("nothing may follow {}, which ends the proved part", self.name))
    }
}

/// `Softmax` at the end.
pub(super) fn softmax(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    node.check_attributes(&["axis"])?;
    normalized(importer, node, Head::Softmax)
}

/// `LogSoftmax` at the end.
pub(super) fn log_softmax(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    node.check_attributes(&["axis"])?;
    normalized(importer, node, Head::LogSoftmax)
}

fn normalized(importer: &mut Importer, node: Node, head: Head) -> Result<(), ModelError> {
    node.check_operands(1)?;
    let value = importer.value(node, 0)?;
    let rank = value.shape.len();
    // Before operator set 13 the axes from `axis` on were one; both agree on the last axis that is longer than 1.
    let default = if node.opset < 13 { 1 } else { -1 };
    end(importer, node, value, rank, head, default)
}

/// `ArgMax` at the end, of a value or of its softmax.
pub(super) fn arg_max(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    node.check_attributes(&["axis", "keepdims", "select_last_index"])?;
    node.check_operands(1)?;
    node.flag("keepdims", true)?;
    if node.flag("select_last_index", false)? {
        return Err(node.attribute_error("select_last_index", 1, 0));
    }
    let (value, rank) = match importer.known(node, 0)?.clone() {
        Known::Ended(Ended { head: Head::Softmax | Head::LogSoftmax, value, rank, .. }) => (value, rank),
        Known::Ended(ended) => return Err(ended.refusal(node)),
        _ => {
            let value = importer.value(node, 0)?;
            let rank = value.shape.len();
            (value, rank)
        }
    };
    end(importer, node, value, rank, Head::ArgMax, 0)
}

fn end(
    importer: &mut Importer,
    node: Node,
    value: Value,
    rank: usize,
    head: Head,
    default_axis: i64,
) -> Result<(), ModelError> {
    let axis = node.axis("axis", default_axis, rank, rank.saturating_sub(1))?;
    if value.shape.iter().skip(axis + 1).any(|&length| length != 1) {
        return Err(node.attribute_error("axis", axis, format!("{}, the last one", rank as i64 - 1)));
    }
    // Axes of length 1 behind the classes say nothing.
    let shape = value.shape[..rank.min(axis + 1)].to_vec();
    let value = importer.reshaped(node, value, shape, Some(node.needed(0)?))?;
    importer.give(node.output()?, Known::Ended(Ended { head, value, rank, name: node.name() }));
    Ok(())
}
