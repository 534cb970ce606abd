//! Functions of every entry, and operators that leave values as they are.

use super::constant::Constant;
use super::folding::Fold;
use super::importer::{Importer, Known};
use super::node::Node;
use crate::error::ModelError;
use crate::float::{FloatFunction, FloatOp};
use provenn_circuits::functions::{Curve, Dyadic};
use tract_onnx::pb::AttributeProto;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;

fn function(importer: &mut Importer, node: Node, function: FloatFunction) -> Result<(), ModelError> {
    let value = importer.value(node, 0)?;
    importer.output(node, FloatOp::Function(function), vec![value.id], value.shape)
}

fn curve(importer: &mut Importer, node: Node, curve: Curve) -> Result<(), ModelError> {
    function(importer, node, FloatFunction::Curve(curve))
}

/// A function without attributes.
fn plain(importer: &mut Importer, node: Node, curve: Curve) -> Result<(), ModelError> {
    node.check_attributes(&[])?;
    node.check_operands(1)?;
    self::curve(importer, node, curve)
}

/// `Relu`.
pub(super) fn relu(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    node.check_attributes(&[])?;
    node.check_operands(1)?;
    function(importer, node, FloatFunction::Relu)
}

/// `Sigmoid`.
pub(super) fn sigmoid(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    plain(importer, node, Curve::Sigmoid)
}

/// `Tanh`.
pub(super) fn tanh(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    plain(importer, node, Curve::Tanh)
}

/// `Softplus`.
pub(super) fn softplus(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    plain(importer, node, Curve::Softplus)
}

/// `Erf`.
pub(super) fn erf(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    plain(importer, node, Curve::Erf)
}

/// `Exp`.
pub(super) fn exp(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    plain(importer, node, Curve::Exp)
}

/// `Sqrt`.
pub(super) fn sqrt(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    plain(importer, node, Curve::Sqrt)
}

/// `Abs`.
pub(super) fn abs(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    plain(importer, node, Curve::Abs)
}

/// `HardSwish`.
pub(super) fn hard_swish(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    plain(importer, node, Curve::HardSwish)
}

/// `LeakyRelu`.
pub(super) fn leaky_relu(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    node.check_attributes(&["alpha"])?;
    node.check_operands(1)?;
    match parameter(node, "alpha", 0.01)? {
        None => function(importer, node, FloatFunction::Relu),
        Some(alpha) => curve(importer, node, Curve::LeakyRelu { alpha }),
    }
}

/// `Elu`.
pub(super) fn elu(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    node.check_attributes(&["alpha"])?;
    node.check_operands(1)?;
    match parameter(node, "alpha", 1.0)? {
        None => function(importer, node, FloatFunction::Relu),
        Some(alpha) => curve(importer, node, Curve::Elu { alpha }),
    }
}

/// `Selu`: a multiple of `Elu`.
pub(super) fn selu(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    node.check_attributes(&["alpha", "gamma"])?;
    node.check_operands(1)?;
    let value = importer.value(node, 0)?;
    let gamma = node.float("gamma", 1.050_701)?;
    let alpha = parameter(node, "alpha", 1.673_263_2)?;
    let alpha = alpha.ok_or_else(|| node.attribute_error("alpha", 0, "a number not zero"))?;
    let attribute = AttributeProto {
        name: "alpha".to_owned(),
        r#type: AttributeType::Float as i32,
        f: node.float("alpha", 1.673_263_2)?,
        ..AttributeProto::default()
    };
    let elu = importer.helper(node, "Elu", &[node.needed(0)?], vec![attribute])?;
    let op = FloatOp::Function(FloatFunction::Curve(Curve::Elu { alpha }));
    let elu = importer.layer(node, op, vec![value.id], value.shape, Some(&elu))?;
    let op = FloatOp::Combine { coefficients: vec![gamma.into()], offset: 0.0 };
    importer.output(node, op, vec![elu.id], elu.shape)
}

/// `HardSigmoid`.
pub(super) fn hard_sigmoid(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    node.check_attributes(&["alpha", "beta"])?;
    node.check_operands(1)?;
    let not_zero = |name: &str, default| {
        let parameter = parameter(node, name, default)?;
        parameter.ok_or_else(|| node.attribute_error(name, 0, "a number not zero"))
    };
    let (alpha, beta) = (not_zero("alpha", 0.2)?, not_zero("beta", 0.5)?);
    curve(importer, node, Curve::HardSigmoid { alpha, beta })
}

/// `Gelu` in both forms.
pub(super) fn gelu(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    node.check_attributes(&["approximate"])?;
    node.check_operands(1)?;
    match node.text("approximate", "none")? {
        "none" => curve(importer, node, Curve::Gelu),
        "tanh" => curve(importer, node, Curve::GeluTanh),
        other => Err(node.attribute_error("approximate", other, "none or tanh")),
    }
}

/// `Swish` with `alpha` 1.
pub(super) fn swish(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    node.check_attributes(&["alpha"])?;
    node.check_operands(1)?;
    match node.float("alpha", 1.0)? {
        1.0 => curve(importer, node, Curve::Silu),
        other => Err(node.attribute_error("alpha", other, 1)),
    }
}

/// A float attribute as an exact number; `None` for 0.
fn parameter(node: Node, name: &str, default: f32) -> Result<Option<Dyadic>, ModelError> {
    let value = node.float(name, default)?;
    if value == 0.0 {
        return Ok(None);
    }
    if !(1e-12..=1e9).contains(&value.abs()) {
        return Err(node.attribute_error(name, value, "0, or a magnitude from 1e-12 to 1e9"));
    }
    let bits = value.to_bits();
    // The domain holds no subnormal numbers: 24 bits of mantissa.
    let magnitude = (bits & 0x7f_ffff | 0x80_0000) as i32;
    let zeros = magnitude.trailing_zeros();
    let mantissa = magnitude >> zeros;
    let exponent = (bits >> 23 & 0xff) as i32 - 150 + zeros as i32;
    Ok(Some(Dyadic { mantissa: if value < 0.0 { -mantissa } else { mantissa }, exponent }))
}

/// `Clip` between two numbers, of which each may be missing.
pub(super) fn clip(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    let ends = if node.opset < 11 {
        node.check_attributes(&["max", "min"])?;
        node.check_operands(1)?;
        [node.set_float("min")?, node.set_float("max")?]
    } else {
        node.check_attributes(&[])?;
        node.check_operands(3)?;
        let end = |index| importer.optional_constant(node, index)?.map(|end| end.scalar()).transpose();
        [end(1)?, end(2)?]
    };
    clamp(importer, node, ends[0], ends[1])
}

fn clamp(importer: &mut Importer, node: Node, lo: Option<f32>, hi: Option<f32>) -> Result<(), ModelError> {
    // The largest numbers that there are stand for no end.
    let lo = lo.map_or(f32::NEG_INFINITY, |lo| if lo == f32::MIN { f32::NEG_INFINITY } else { lo });
    let hi = hi.map_or(f32::INFINITY, |hi| if hi == f32::MAX { f32::INFINITY } else { hi });
    if lo.is_nan() || hi.is_nan() || lo > hi || lo == f32::INFINITY || hi == f32::NEG_INFINITY {
        return Err(
            node.unsupported(format!("it clips to {lo} to {hi}, expected a range with numbers in it"))
        );
    }
    if lo == f32::NEG_INFINITY && hi == f32::INFINITY {
        let value = importer.value(node, 0)?;
        importer.give_value(node.output()?, value);
        return Ok(());
    }
    if lo == 0.0 && hi == f32::INFINITY {
        return function(importer, node, FloatFunction::Relu);
    }
    function(importer, node, FloatFunction::Clip { lo, hi })
}

/// `Max` of a value and a number.
pub(super) fn max(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    let end = bound(importer, node)?;
    clamp_value(importer, node, Some(end), None)
}

/// `Min` of a value and a number.
pub(super) fn min(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    let end = bound(importer, node)?;
    clamp_value(importer, node, None, Some(end))
}

/// The number among the two operands of `Max` or `Min`.
fn bound(importer: &Importer, node: Node) -> Result<f32, ModelError> {
    node.check_attributes(&[])?;
    node.check_operands(2)?;
    let index = usize::from(!matches!(importer.known(node, 0)?, Known::Constant(_)));
    let constant = importer.constant(node, index)?;
    if constant.len() != 1 || constant.shape.len() > importer.value(node, 1 - index)?.shape.len() {
        return Err(node.shape_error(&constant.shape, format!("one number in {}", constant.name)));
    }
    constant.scalar()
}

fn clamp_value(
    importer: &mut Importer,
    node: Node,
    lo: Option<f32>,
    hi: Option<f32>,
) -> Result<(), ModelError> {
    let index = usize::from(matches!(importer.known(node, 0)?, Known::Constant(_)));
    let value = importer.value(node, index)?;
    let ends = (lo.unwrap_or(f32::NEG_INFINITY), hi.unwrap_or(f32::INFINITY));
    let function = match ends {
        (lo, hi) if !lo.is_finite() && !hi.is_finite() => {
            return Err(node.operand_error(1 - index, &format!("{lo} and {hi}"), "a finite number"));
        }
        (0.0, f32::INFINITY) => FloatFunction::Relu,
        (lo, hi) => FloatFunction::Clip { lo, hi },
    };
    importer.output(node, FloatOp::Function(function), vec![value.id], value.shape)
}

/// `Identity`, of anything.
pub(super) fn identity(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    node.check_attributes(&[])?;
    node.check_operands(1)?;
    alias(importer, node)
}

fn alias(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    let known = importer.known(node, 0)?.clone();
    match known {
        Known::Value(value) => importer.give_value(node.output()?, value),
        known => importer.give(node.output()?, known),
    }
    Ok(())
}

/// `Identity` of a constant.
pub(super) fn fold_identity(fold: &Fold) -> Result<Vec<Constant>, ModelError> {
    fold.node.check_attributes(&[])?;
    fold.node.check_operands(1)?;
    Ok(vec![fold.constant(0)?.clone()])
}

/// `Dropout` of inference.
pub(super) fn dropout(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    check_dropout(node, importer.optional_constant(node, 2)?.as_deref())?;
    alias(importer, node)
}

/// `Dropout` of a constant.
pub(super) fn fold_dropout(fold: &Fold) -> Result<Vec<Constant>, ModelError> {
    check_dropout(fold.node, fold.operands.get(2).and_then(Option::as_deref))?;
    Ok(vec![fold.constant(0)?.clone()])
}

fn check_dropout(node: Node, training: Option<&Constant>) -> Result<(), ModelError> {
    node.check_attributes(&["ratio", "seed"])?;
    node.check_operands(3)?;
    let Some(training) = training else { return Ok(()) };
    if training.integers()?.iter().any(|&x| x != 0) {
        return Err(node.operand_error(2, "training mode", "no training mode"));
    }
    Ok(())
}

/// `Cast` of a value, which is FLOAT and stays so.
pub(super) fn cast(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    check_cast(node)?;
    let to = node.int("to", 0)?;
    // The class that ArgMax gives is a whole number in every type.
    if matches!(importer.known(node, 0)?, Known::Ended(..)) {
        return alias(importer, node);
    }
    if to != DataType::Float as i64 {
        let name = i32::try_from(to).ok().and_then(|to| DataType::try_from(to).ok());
        let actual = name.map_or_else(|| to.to_string(), |name| name.as_str_name().to_owned());
        return Err(node.attribute_error("to", actual, "FLOAT, which values are"));
    }
    alias(importer, node)
}

/// `Cast` of a constant.
pub(super) fn fold_cast(fold: &Fold) -> Result<Vec<Constant>, ModelError> {
    check_cast(fold.node)?;
    Ok(vec![fold.constant(0)?.cast(fold.node.int("to", 0)?)?])
}

fn check_cast(node: Node) -> Result<(), ModelError> {
    node.check_attributes(&["round_mode", "saturate", "to"])?;
    node.check_operands(1)
}
