//! Fully connected layers: `Gemm` and `MatMul`.

use super::constant::Constant;
use super::importer::Importer;
use super::movement::transposition;
use super::node::Node;
use crate::error::ModelError;
use crate::float::FloatOp;
use tract_onnx::pb::AttributeProto;
use tract_onnx::pb::attribute_proto::AttributeType;

/// `Gemm`: `alpha x W + beta b`, or `alpha x W^T + beta b`.
pub(super) fn gemm(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    node.check_attributes(&["alpha", "beta", "transA", "transB"])?;
    node.check_operands(3)?;
    let (alpha, beta) = (node.float("alpha", 1.0)?, node.float("beta", 1.0)?);
    if node.flag("transA", false)? {
        return Err(node.attribute_error("transA", 1, 0));
    }
    let transposed = node.flag("transB", false)?;
    let value = importer.value(node, 0)?;
    if value.shape.len() != 2 {
        return Err(node.shape_error(&value.shape, "a left operand with two axes"));
    }
    let constant = importer.constant(node, 1)?;
    let (inputs, outputs, mut weight) = oriented(node, &constant, transposed)?;
    let shape = rows(node, &value.shape, inputs, outputs, &constant.name)?;
    scale(node, "alpha", &mut weight, alpha)?;
    let bias = match importer.optional_constant(node, 2)? {
        None => None,
        Some(bias) => {
            let mut bias = broadcast_bias(node, &bias, &shape, outputs)?;
            scale(node, "beta", &mut bias, beta)?;
            Some(bias)
        }
    };
    importer.output(node, FloatOp::Gemm { inputs, outputs, weight, bias }, vec![value.id], shape)
}

/// `MatMul` with a constant operand on one side.
pub(super) fn mat_mul(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    node.check_attributes(&[])?;
    node.check_operands(2)?;
    if importer.constant(node, 0).is_ok() {
        return constant_on_the_left(importer, node);
    }
    let value = importer.value(node, 0)?;
    let constant = importer.constant(node, 1)?;
    let (inputs, outputs, weight) = oriented(node, &constant, false)?;
    let shape = rows(node, &value.shape, inputs, outputs, &constant.name)?;
    importer.output(node, FloatOp::Gemm { inputs, outputs, weight, bias: None }, vec![value.id], shape)
}

/// `A x` as `(x^T A^T)^T`: the last two axes of `x` change places before and after.
fn constant_on_the_left(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    let constant = importer.constant(node, 0)?;
    let value = importer.value(node, 1)?;
    let rank = value.shape.len();
    if rank < 2 {
        return Err(node.shape_error(&value.shape, "a right operand with at least two axes"));
    }
    let (inputs, outputs, weight) = oriented(node, &constant, true)?;
    let mut perm: Vec<usize> = (0..rank).collect();
    perm.swap(rank - 2, rank - 1);
    let swapped = transposition(importer, node, value, &perm, None)?;
    let shape = rows(node, &swapped.shape, inputs, outputs, &constant.name)?;
    let output = node.output()?;
    let attribute = AttributeProto {
        name: "perm".to_owned(),
        r#type: AttributeType::Ints as i32,
        ints: perm.iter().map(|&p| p as i64).collect(),
        ..AttributeProto::default()
    };
    let helper = importer.helper(node, "Transpose", &[output], vec![attribute])?;
    let op = FloatOp::Gemm { inputs, outputs, weight, bias: None };
    let product = importer.layer(node, op, vec![swapped.id], shape, Some(&helper))?;
    let value = transposition(importer, node, product, &perm, Some(output))?;
    importer.give_value(output, value);
    Ok(())
}

/// Length of the contracted axis, number of outputs, and the weights as `[outputs, inputs]`.
fn oriented(node: Node, weight: &Constant, transposed: bool) -> Result<(usize, usize, Vec<f32>), ModelError> {
    let &[rows, columns] = weight.shape.as_slice() else {
        return Err(node.shape_error(&weight.shape, format!("weights {} with two axes", weight.name)));
    };
    let (inputs, outputs) = if transposed { (columns, rows) } else { (rows, columns) };
    if outputs == 0 {
        return Err(node.shape_error(&weight.shape, format!("weights {} that are not empty", weight.name)));
    }
    // First, so that a message has the index in the file.
    let entries = weight.floats()?;
    let entries = if transposed { entries.to_vec() } else { weight.transpose(&[1, 0]).floats()?.to_vec() };
    Ok((inputs, outputs, entries))
}

/// The output's shape: `shape` with `outputs` in place of its last axis, which must be `inputs`.
fn rows(
    node: Node,
    shape: &[usize],
    inputs: usize,
    outputs: usize,
    weight: &str,
) -> Result<Vec<usize>, ModelError> {
    let Some((_, rows)) = shape.split_last().filter(|(last, _)| **last == inputs) else {
        return Err(node.shape_error(shape, format!("a last axis of {inputs}, as in weights {weight}")));
    };
    Ok(rows.iter().copied().chain([outputs]).collect())
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
