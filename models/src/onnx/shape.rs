//! The same entries under another shape, and shapes as constants.

use super::constant::Constant;
use super::folding::Fold;
use super::importer::{Importer, Known};
use super::node::Node;
use crate::error::ModelError;
use std::rc::Rc;
use tract_onnx::pb::NodeProto;

/// The constants among a node's operands.
type Constants<'a> = &'a dyn Fn(usize) -> Result<Option<Rc<Constant>>, ModelError>;
/// The shape that a node gives to its first operand.
type Rule = fn(Node, &[usize], Constants) -> Result<Vec<usize>, ModelError>;

fn of_value(importer: &mut Importer, node: Node, rule: Rule) -> Result<(), ModelError> {
    // A shape that is no constant comes first: it is the reason why the model is dynamic.
    let shape = match importer.known(node, 0)? {
        Known::Value(value) => value.shape.clone(),
        _ => Vec::new(),
    };
    let value = importer.value(node, 0)?;
    let shape = rule(node, &shape, &|index| importer.optional_constant(node, index))?;
    let output = node.output()?;
    // The engine counts the axes of a Squeeze otherwise; a shape leaves nothing to count.
    let asked = Constant::of_integers("", shape.iter().map(|&length| length as i64).collect());
    let asked = importer.helper_constant(node, asked)?;
    importer.rewrite(vec![NodeProto {
        op_type: "Reshape".to_owned(),
        input: vec![node.needed(0)?.to_owned(), asked],
        output: vec![output.to_owned()],
        ..NodeProto::default()
    }]);
    let value = importer.reshaped(node, value, shape, Some(output))?;
    importer.give_value(output, value);
    Ok(())
}

fn of_constant(fold: &Fold, rule: Rule) -> Result<Vec<Constant>, ModelError> {
    let operand = fold.constant(0)?;
    let shape = rule(fold.node, &operand.shape, &|index| Ok(fold.operands.get(index).cloned().flatten()))?;
    Ok(vec![operand.reshaped(shape)])
}

/// `Reshape` of a value.
pub(super) fn reshape(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    of_value(importer, node, reshaped)
}

/// `Reshape` of a constant.
pub(super) fn fold_reshape(fold: &Fold) -> Result<Vec<Constant>, ModelError> {
    of_constant(fold, reshaped)
}

fn reshaped(node: Node, shape: &[usize], constants: Constants) -> Result<Vec<usize>, ModelError> {
    node.check_attributes(&["allowzero"])?;
    node.check_operands(2)?;
    let allow_zero = node.flag("allowzero", false)?;
    let asked = constants(1)?.ok_or_else(|| node.operand_error(1, "missing", "a shape"))?;
    let asked = asked.integers()?;
    let len: usize = shape.iter().product();
    let refused = || ModelError::Shape {
        place: format!("node {}", node.name()),
        expected: format!("{len} entries, as in {shape:?}"),
        actual: asked.to_vec(),
    };
    let mut result = Vec::with_capacity(asked.len());
    let mut inferred = None;
    for (axis, &length) in asked.iter().enumerate() {
        result.push(match length {
            -1 if inferred.is_none() => {
                inferred = Some(axis);
                1
            }
            0 if !allow_zero => *shape.get(axis).ok_or_else(refused)?,
            0.. => usize::try_from(length).map_err(|_| refused())?,
            _ => return Err(refused()),
        });
    }
    let known = result.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).ok_or_else(refused)?;
    if let Some(axis) = inferred {
        result[axis] = len.checked_div(known).ok_or_else(refused)?;
    }
    if result.iter().try_fold(1usize, |n, &d| n.checked_mul(d)) != Some(len) {
        return Err(refused());
    }
    Ok(result)
}

/// `Flatten` of a value.
pub(super) fn flatten(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    of_value(importer, node, flattened)
}

/// `Flatten` of a constant.
pub(super) fn fold_flatten(fold: &Fold) -> Result<Vec<Constant>, ModelError> {
    of_constant(fold, flattened)
}

fn flattened(node: Node, shape: &[usize], _: Constants) -> Result<Vec<usize>, ModelError> {
    node.check_attributes(&["axis"])?;
    node.check_operands(1)?;
    let axis = node.axis("axis", 1, shape.len(), shape.len())?;
    let (rows, columns) = shape.split_at(axis);
    Ok(vec![rows.iter().product(), columns.iter().product()])
}

/// `Squeeze` of a value.
pub(super) fn squeeze(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    of_value(importer, node, squeezed)
}

/// `Squeeze` of a constant.
pub(super) fn fold_squeeze(fold: &Fold) -> Result<Vec<Constant>, ModelError> {
    of_constant(fold, squeezed)
}

fn squeezed(node: Node, shape: &[usize], constants: Constants) -> Result<Vec<usize>, ModelError> {
    let axes = match axes(node, constants)? {
        None => (0..shape.len()).filter(|&axis| shape[axis] == 1).collect(),
        Some(axes) => node.axes("axes", &axes, shape.len())?,
    };
    if let Some(axis) = axes.iter().find(|&&axis| shape[axis] != 1) {
        return Err(node.shape_error(shape, format!("length 1 along axis {axis}")));
    }
    Ok((0..shape.len()).filter(|axis| !axes.contains(axis)).map(|axis| shape[axis]).collect())
}

/// `Unsqueeze` of a value.
pub(super) fn unsqueeze(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    of_value(importer, node, unsqueezed)
}

/// `Unsqueeze` of a constant.
pub(super) fn fold_unsqueeze(fold: &Fold) -> Result<Vec<Constant>, ModelError> {
    of_constant(fold, unsqueezed)
}

fn unsqueezed(node: Node, shape: &[usize], constants: Constants) -> Result<Vec<usize>, ModelError> {
    let given = axes(node, constants)?.ok_or_else(|| node.unsupported("it has no axes"))?;
    let rank = shape.len() + given.len();
    let axes = node.axes("axes", &given, rank)?;
    let mut rest = shape.iter().copied();
    Ok((0..rank).map(|axis| if axes.contains(&axis) { 1 } else { rest.next().unwrap_or(1) }).collect())
}

/// Axes, an attribute before operator set 13 and an operand from then on.
fn axes(node: Node, constants: Constants) -> Result<Option<Vec<i64>>, ModelError> {
    if node.opset < 13 {
        node.check_attributes(&["axes"])?;
        node.check_operands(1)?;
        return Ok(node.ints("axes")?.map(<[i64]>::to_vec));
    }
    node.check_attributes(&[])?;
    node.check_operands(2)?;
    constants(1)?.map(|axes| axes.integers().map(<[i64]>::to_vec)).transpose()
}

/// `Shape` of a value, whose lengths are all known.
pub(super) fn shape(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    let lengths = lengths(node, &importer.value(node, 0)?.shape)?;
    importer.give_constant(node.output()?, lengths);
    Ok(())
}

/// `Shape` of a constant.
pub(super) fn fold_shape(fold: &Fold) -> Result<Vec<Constant>, ModelError> {
    Ok(vec![lengths(fold.node, &fold.constant(0)?.shape)?])
}

fn lengths(node: Node, shape: &[usize]) -> Result<Constant, ModelError> {
    node.check_attributes(&["end", "start"])?;
    node.check_operands(1)?;
    let rank = shape.len() as i64;
    let position = |name: &str, default| {
        let position = node.int(name, default)?;
        let counted = if position < 0 { position.saturating_add(rank) } else { position };
        Ok::<_, ModelError>(counted.clamp(0, rank) as usize)
    };
    let (start, end) = (position("start", 0)?, position("end", rank)?);
    let lengths = shape.get(start..end).unwrap_or_default().iter().map(|&length| length as i64).collect();
    Ok(Constant::of_integers(node.output()?, lengths))
}

/// `Size` of a value.
pub(super) fn size(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    let count = count(node, importer.value(node, 0)?.shape.iter().product())?;
    importer.give_constant(node.output()?, count);
    Ok(())
}

/// `Size` of a constant.
pub(super) fn fold_size(fold: &Fold) -> Result<Vec<Constant>, ModelError> {
    Ok(vec![count(fold.node, fold.constant(0)?.len())?])
}

fn count(node: Node, len: usize) -> Result<Constant, ModelError> {
    node.check_attributes(&[])?;
    node.check_operands(1)?;
    Ok(Constant::of_integers(node.output()?, vec![len as i64]).reshaped(Vec::new()))
}
