//! Graphs that are quantized already: `QuantizeLinear` and `DequantizeLinear` around every value and constant.

use super::constant::{Constant, Entries, integer_range};
use super::folding::Fold;
use super::importer::{Importer, Known, Value};
use super::node::Node;
use crate::error::ModelError;
use crate::float::FloatOp;
use provenn_circuits::model::Range;
use tract_onnx::pb::NodeProto;
use tract_onnx::pb::tensor_proto::DataType;

/// The integers that `QuantizeLinear` gives for a value.
#[derive(Clone)]
pub(super) struct Codes {
    value: Value,
    /// The graph's name of the value.
    source: String,
    grid: Grid,
    /// What `DequantizeLinear` made of them, and the graph's name of it.
    decoded: Option<(Value, String)>,
}

/// Scale and zero point.
#[derive(Clone, PartialEq)]
struct Grid {
    element: DataType,
    scales: Vec<f32>,
    zeros: Vec<i64>,
    /// The axis along which scales differ.
    axis: Option<usize>,
}

impl Grid {
    /// Scale and zero point of entry `index` of a tensor.
    fn at(&self, shape: &[usize], index: usize) -> (f32, i64) {
        let channel = self.axis.map_or(0, |axis| {
            let inner: usize = shape[axis + 1..].iter().product();
            index / inner % shape[axis]
        });
        (self.scales[channel], self.zeros[channel])
    }
}

/// Reads scale and zero point; `element` is the integers' type if there is no zero point.
fn grid(
    node: Node,
    shape: &[usize],
    scale: &Constant,
    zero: Option<&Constant>,
    element: DataType,
) -> Result<Grid, ModelError> {
    node.check_attributes(&["axis", "block_size", "output_dtype", "precision", "saturate"])?;
    node.check_operands(3)?;
    if node.int("block_size", 0)? != 0 {
        return Err(node.attribute_error("block_size", node.int("block_size", 0)?, 0));
    }
    let scales = scale.floats()?.to_vec();
    if let Some(bad) = scales.iter().find(|&&scale| scale <= 0.0) {
        return Err(node.operand_error(1, &format!("{bad}"), "scales above 0"));
    }
    let zeros = match zero {
        None => vec![0; scales.len()],
        Some(zero) => zero.integers()?.to_vec(),
    };
    let element = zero.map_or(element, Constant::element);
    if integer_range(element).is_none() || matches!(element, DataType::Bool | DataType::Int64) {
        return Err(node.operand_error(2, element.as_str_name(), "an integer type of 8 to 32 bits"));
    }
    if zeros.len() != scales.len() {
        let actual = format!("a list of {} zero points", zeros.len());
        return Err(node.operand_error(2, &actual, &format!("{}, one for a scale", scales.len())));
    }
    let axis = match scales.len() {
        1 => None,
        count => {
            let axis = node.axis_below("axis", 1, shape.len())?;
            if shape[axis] != count {
                return Err(node.shape_error(&[count], format!("{} scales, as axis {axis} has", shape[axis])));
            }
            Some(axis)
        }
    };
    Ok(Grid { element, scales, zeros, axis })
}

/// The integers' type where no zero point has it.
fn output_type(node: Node) -> Result<DataType, ModelError> {
    match node.int("output_dtype", 0)? {
        0 => Ok(DataType::Uint8),
        other => {
            let element = i32::try_from(other).ok().and_then(|other| DataType::try_from(other).ok());
            element.ok_or_else(|| node.attribute_error("output_dtype", other, "an integer type"))
        }
    }
}

/// `QuantizeLinear` of a value, which is read by `DequantizeLinear` alone.
pub(super) fn quantize(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    if ended(importer, node)? {
        return Ok(());
    }
    let value = importer.value(node, 0)?;
    let scale = importer.constant(node, 1)?;
    let zero = importer.optional_constant(node, 2)?;
    let grid = grid(node, &value.shape, &scale, zero.as_deref(), output_type(node)?)?;
    if grid.scales.len() != 1 {
        return Err(node.operand_error(1, &format!("a list of {} scales", grid.scales.len()), "one scale"));
    }
    let source = node.needed(0)?.to_owned();
    importer.give(node.output()?, Known::Codes(Codes { value, source, grid, decoded: None }));
    Ok(())
}

/// `DequantizeLinear` of what `QuantizeLinear` gives: both are one layer.
pub(super) fn dequantize(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    if ended(importer, node)? {
        return Ok(());
    }
    let name = node.needed(0)?;
    let Known::Codes(codes) = importer.known(node, 0)?.clone() else {
        let actual = format!("{name}, which depends on the input");
        return Err(node.operand_error(0, &actual, "a constant, or what QuantizeLinear gives"));
    };
    let scale = importer.constant(node, 1)?;
    let zero = importer.optional_constant(node, 2)?;
    let own = grid(node, &codes.value.shape, &scale, zero.as_deref(), codes.grid.element)?;
    if own != codes.grid {
        return Err(
            node.unsupported("its scale and zero point are not those of the QuantizeLinear before it")
        );
    }
    let output = node.output()?;
    if let Some((value, first)) = codes.decoded {
        importer.rewrite_as(node, &first)?;
        importer.give_value(output, value);
        return Ok(());
    }
    let (scale, zero) = (own.scales[0], own.zeros[0]);
    let (lo, hi) = integer_range(own.element).unwrap_or((0, 0));
    let range = Range { lo: lo - zero, hi: hi - zero };
    let nodes = rounding(importer, node, &codes.source, scale, range)?;
    importer.rewrite(nodes);
    let op = FloatOp::Quantize { scale: scale.into(), range };
    let value = importer.layer(node, op, vec![codes.value.id], codes.value.shape.clone(), Some(output))?;
    importer.give_value(output, value.clone());
    importer.give(name, Known::Codes(Codes { decoded: Some((value, output.to_owned())), ..codes }));
    Ok(())
}

/// Passes what ends the model on, for neither operator changes which entry is the largest but where entries are close.
fn ended(importer: &mut Importer, node: Node) -> Result<bool, ModelError> {
    let known = importer.known(node, 0)?.clone();
    let Known::Ended(ended) = &known else { return Ok(false) };
    let (scale, zero) = (importer.constant(node, 1)?, importer.optional_constant(node, 2)?);
    grid(node, &ended.value.shape, &scale, zero.as_deref(), output_type(node)?)?;
    importer.give(node.output()?, known);
    Ok(true)
}

/// The layer in floats, for the float engine: division, rounding, clipping and multiplication.
fn rounding(
    importer: &mut Importer,
    node: Node,
    source: &str,
    scale: f32,
    range: Range,
) -> Result<Vec<NodeProto>, ModelError> {
    let output = node.output()?;
    let mut constant = |value: f32| {
        let constant =
            Constant { name: String::new(), shape: Vec::new(), entries: Entries::Float(vec![value]) };
        importer.helper_constant(node, constant)
    };
    let names = [constant(scale)?, constant(range.lo as f32)?, constant(range.hi as f32)?];
    let part = |count: usize| format!("{}/part.{count}", names[0]);
    let step = |operator: &str, inputs: &[&str], output: &str| NodeProto {
        op_type: operator.to_owned(),
        name: output.to_owned(),
        input: inputs.iter().map(|&name| name.to_owned()).collect(),
        output: vec![output.to_owned()],
        ..NodeProto::default()
    };
    let (quotient, rounded, low, clipped) = (part(0), part(1), part(2), part(3));
    Ok(vec![
        step("Div", &[source, &names[0]], &quotient),
        step("Round", &[&quotient], &rounded),
        step("Max", &[&rounded, &names[1]], &low),
        step("Min", &[&low, &names[2]], &clipped),
        step("Mul", &[&clipped, &names[0]], output),
    ])
}

/// `QuantizeLinear` of a constant.
pub(super) fn fold_quantize(fold: &Fold) -> Result<Vec<Constant>, ModelError> {
    let (operand, scale) = (fold.constant(0)?, fold.constant(1)?);
    let zero = fold.operands.get(2).and_then(Option::as_deref);
    let grid = grid(fold.node, &operand.shape, scale, zero, output_type(fold.node)?)?;
    let (lo, hi) = integer_range(grid.element).unwrap_or((0, 0));
    let code = |(index, &x): (usize, &f32)| {
        let (scale, zero) = grid.at(&operand.shape, index);
        // Conversion of a float that is too large saturates.
        ((x / scale).round_ties_even() as i64).saturating_add(zero).clamp(lo, hi)
    };
    let entries = operand.floats()?.iter().enumerate().map(code).collect();
    let name = fold.node.output()?.to_owned();
    Ok(vec![Constant { name, shape: operand.shape.clone(), entries: Entries::Int(grid.element, entries) }])
}

/// `DequantizeLinear` of a constant.
pub(super) fn fold_dequantize(fold: &Fold) -> Result<Vec<Constant>, ModelError> {
    let (operand, scale) = (fold.constant(0)?, fold.constant(1)?);
    let zero = fold.operands.get(2).and_then(Option::as_deref);
    let grid = grid(fold.node, &operand.shape, scale, zero, operand.element())?;
    if grid.element != operand.element() {
        let actual = grid.element.as_str_name();
        return Err(fold.node.operand_error(
            2,
            actual,
            &format!("{}, as operand 0 has", operand.element().as_str_name()),
        ));
    }
    let real = |(index, &code): (usize, &i64)| {
        let (scale, zero) = grid.at(&operand.shape, index);
        code.saturating_sub(zero) as f32 * scale
    };
    let entries = operand.integers()?.iter().enumerate().map(real).collect();
    let name = fold.node.output()?.to_owned();
    Ok(vec![Constant { name, shape: operand.shape.clone(), entries: Entries::Float(entries) }])
}
