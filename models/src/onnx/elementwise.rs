//! Sums and products: of values with values, and of values with constants.

use super::constant::{Constant, Entries};
use super::importer::{Importer, Known, Value};
use super::movement::broadcast;
use super::node::Node;
use crate::error::ModelError;
use crate::float::{FloatFunction, FloatOp};
use std::rc::Rc;
use tract_onnx::pb::NodeProto;

/// The operands of an operator with two of them, of which one at least is a value.
enum Pair {
    Values(Value, Value),
    ValueConstant(Value, Rc<Constant>),
    ConstantValue(Rc<Constant>, Value),
}

fn pair(importer: &Importer, node: Node) -> Result<Pair, ModelError> {
    node.check_attributes(&[])?;
    node.check_operands(2)?;
    match (importer.known(node, 0)?, importer.known(node, 1)?) {
        (Known::Constant(constant), _) => Ok(Pair::ConstantValue(constant.clone(), importer.value(node, 1)?)),
        (_, Known::Constant(constant)) => Ok(Pair::ValueConstant(importer.value(node, 0)?, constant.clone())),
        _ => Ok(Pair::Values(importer.value(node, 0)?, importer.value(node, 1)?)),
    }
}

/// `Add`.
pub(super) fn add(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    match pair(importer, node)? {
        Pair::Values(a, b) => combine(importer, node, &[a, b], vec![1.0, 1.0], node.output()?),
        Pair::ValueConstant(value, constant) | Pair::ConstantValue(constant, value) => {
            let bias = constant.floats()?.to_vec();
            affine(importer, node, value, &constant.shape, None, Some(bias))
        }
    }
}

/// `Sub`.
pub(super) fn sub(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    match pair(importer, node)? {
        Pair::Values(a, b) => combine(importer, node, &[a, b], vec![1.0, -1.0], node.output()?),
        Pair::ValueConstant(value, constant) => {
            let bias = constant.floats()?.iter().map(|x| -x).collect();
            affine(importer, node, value, &constant.shape, None, Some(bias))
        }
        Pair::ConstantValue(constant, value) => {
            let bias = constant.floats()?.to_vec();
            affine(importer, node, value, &constant.shape, Some(vec![-1.0; bias.len()]), Some(bias))
        }
    }
}

/// `Mul`.
pub(super) fn mul(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    match pair(importer, node)? {
        Pair::Values(a, b) => product(importer, node, &a, &b, node.output()?),
        Pair::ValueConstant(value, constant) | Pair::ConstantValue(constant, value) => {
            let weight = constant.floats()?.to_vec();
            affine(importer, node, value, &constant.shape, Some(weight), None)
        }
    }
}

/// `Div` by a constant: the product with its reciprocal.
pub(super) fn div(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    node.check_attributes(&[])?;
    node.check_operands(2)?;
    let constant = importer.constant(node, 1)?;
    let value = importer.value(node, 0)?;
    let reciprocals: Vec<f32> = constant.floats()?.iter().map(|&x| (1.0 / f64::from(x)) as f32).collect();
    if let Some(index) = reciprocals.iter().position(|x| !x.is_finite()) {
        let actual = format!("{}, whose entry {index} has no reciprocal", constant.name);
        return Err(node.operand_error(1, &actual, "a divisor not zero"));
    }
    affine(importer, node, value, &constant.shape, Some(reciprocals), None)
}

/// `Neg`.
pub(super) fn neg(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    node.check_attributes(&[])?;
    node.check_operands(1)?;
    let value = importer.value(node, 0)?;
    combine(importer, node, &[value], vec![-1.0], node.output()?)
}

/// `Sum` of any number of operands.
pub(super) fn sum(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    weighted(importer, node, 1.0)
}

/// `Mean` of any number of operands.
pub(super) fn mean(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    weighted(importer, node, 1.0 / node.proto.input.len().max(1) as f64)
}

fn weighted(importer: &mut Importer, node: Node, factor: f64) -> Result<(), ModelError> {
    node.check_attributes(&[])?;
    let values = (0..node.proto.input.len())
        .map(|index| importer.value(node, index))
        .collect::<Result<Vec<_>, _>>()?;
    if let [value] = values.as_slice() {
        importer.give_value(node.output()?, value.clone());
        return Ok(());
    }
    let coefficients = vec![factor; values.len()];
    combine(importer, node, &values, coefficients, node.output()?)
}

/// `Pow` with a small whole exponent: repeated products.
pub(super) fn pow(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    node.check_attributes(&[])?;
    node.check_operands(2)?;
    let value = importer.value(node, 0)?;
    let exponent = importer.constant(node, 1)?;
    let exponent = match &exponent.entries {
        Entries::Int(..) => exponent.integer()? as f64,
        _ => exponent.scalar()?.into(),
    };
    let output = node.output()?;
    if exponent == 1.0 {
        importer.give_value(output, value);
        return Ok(());
    }
    if exponent == 2.0 {
        return product(importer, node, &value, &value, output);
    }
    if exponent == 3.0 {
        let operand = node.needed(0)?;
        let square = importer.helper(node, "Mul", &[operand, operand], Vec::new())?;
        let shape = value.shape.clone();
        let inputs = vec![value.id, value.id];
        let square = importer.layer(node, FloatOp::Product, inputs, shape, Some(&square))?;
        return product(importer, node, &square, &value, output);
    }
    Err(node.operand_error(1, &exponent.to_string(), "the exponent 1, 2 or 3"))
}

/// `PRelu` with a constant slope: `slope x + (1 - slope) max(x, 0)`.
pub(super) fn prelu(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    node.check_attributes(&[])?;
    node.check_operands(2)?;
    let value = importer.value(node, 0)?;
    let slope = importer.constant(node, 1)?;
    if broadcast(&value.shape, &slope.shape).as_ref() != Some(&value.shape) {
        return Err(node
            .shape_error(&slope.shape, format!("a slope {} that expands to {:?}", slope.name, value.shape)));
    }
    let below = slope.floats()?.to_vec();
    let above: Vec<f32> = below.iter().map(|slope| 1.0 - slope).collect();
    let (operand, slope_name) = (node.needed(0)?, node.needed(1)?);
    let rest = Constant { entries: Entries::Float(above.clone()), ..(*slope).clone() };
    let rest = importer.helper_constant(node, rest)?;
    let positive = importer.helper(node, "Relu", &[operand], Vec::new())?;
    let names = [
        importer.helper(node, "Mul", &[operand, slope_name], Vec::new())?,
        importer.helper(node, "Mul", &[&positive, &rest], Vec::new())?,
    ];
    let relu = FloatOp::Function(FloatFunction::Relu);
    let positive = importer.layer(node, relu, vec![value.id], value.shape.clone(), Some(&positive))?;
    let parts = [
        scaled(importer, node, &value, &slope.shape, below, &names[0])?,
        scaled(importer, node, &positive, &slope.shape, above, &names[1])?,
    ];
    combine(importer, node, &parts, vec![1.0, 1.0], node.output()?)
}

fn scaled(
    importer: &mut Importer,
    node: Node,
    value: &Value,
    shape: &[usize],
    weight: Vec<f32>,
    tensor: &str,
) -> Result<Value, ModelError> {
    let op = FloatOp::Affine { shape: padded(shape, value.shape.len()), weight: Some(weight), bias: None };
    importer.layer(node, op, vec![value.id], value.shape.clone(), Some(tensor))
}

/// `BatchNormalization` of inference: an affine function of every channel.
pub(super) fn batch_normalization(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    node.check_attributes(&["epsilon", "momentum", "spatial", "training_mode"])?;
    node.check_operands(5)?;
    if node.flag("training_mode", false)? {
        return Err(node.attribute_error("training_mode", 1, 0));
    }
    if !node.flag("spatial", true)? {
        return Err(node.attribute_error("spatial", 0, 1));
    }
    let value = importer.value(node, 0)?;
    let Some(&channels) = value.shape.get(1) else {
        return Err(node.shape_error(&value.shape, "a batch and channels"));
    };
    let epsilon = f64::from(node.float("epsilon", 1e-5)?);
    let mut lists = Vec::with_capacity(4);
    for index in 1..5 {
        let constant = importer.constant(node, index)?;
        if constant.shape != [channels] {
            return Err(node.shape_error(&constant.shape, format!("{channels} entries in {}", constant.name)));
        }
        lists.push(constant.floats()?.iter().map(|&x| f64::from(x)).collect::<Vec<_>>());
    }
    let mut weight = Vec::with_capacity(channels);
    let mut bias = Vec::with_capacity(channels);
    for channel in 0..channels {
        let [scale, offset, mean, variance] = [0, 1, 2, 3].map(|list: usize| lists[list][channel]);
        let factor = scale / (variance + epsilon).sqrt();
        let (factor, rest) = (factor as f32, (offset - mean * factor) as f32);
        if !factor.is_finite() || !rest.is_finite() {
            let actual = format!("{variance} in channel {channel}");
            return Err(node.operand_error(4, &actual, "a variance above minus epsilon"));
        }
        weight.push(factor);
        bias.push(rest);
    }
    let mut shape = vec![1; value.shape.len()];
    shape[1] = channels;
    let op = FloatOp::Affine { shape, weight: Some(weight), bias: Some(bias) };
    importer.output(node, op, vec![value.id], value.shape)
}

/// `Scaler` of scikit-learn's standardization: `(x - offset) * scale` along the last axis.
pub(super) fn scaler(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    node.check_attributes(&["offset", "scale"])?;
    node.check_operands(1)?;
    let value = importer.value(node, 0)?;
    let Some(&features) = value.shape.last() else {
        return Err(node.shape_error(&value.shape, "at least one axis"));
    };
    let list = |name: &str| {
        let list = node.floats(name)?.ok_or_else(|| node.attribute_error(name, "missing", "numbers"))?;
        let fits = (list.len() == 1 || list.len() == features) && list.iter().all(|x| x.is_finite());
        let error =
            || node.attribute_error(name, format!("{list:?}"), format!("1 or {features} finite numbers"));
        if fits { Ok((0..features).map(|i| list[i % list.len()]).collect::<Vec<_>>()) } else { Err(error()) }
    };
    let (offset, scale) = (list("offset")?, list("scale")?);
    let products = scale.iter().zip(&offset).map(|(&s, &o)| (-f64::from(s) * f64::from(o)) as f32);
    let mut shape = vec![1; value.shape.len()];
    shape[value.shape.len() - 1] = features;
    let constant = |entries: Vec<f32>| Constant {
        name: String::new(),
        shape: shape.clone(),
        entries: Entries::Float(entries),
    };
    let bias: Vec<f32> = products.collect();
    let named = constant(bias.clone());
    named.floats()?;
    // The engine does not know the operator.
    let [scale_name, bias_name] =
        [importer.helper_constant(node, constant(scale.clone()))?, importer.helper_constant(node, named)?];
    let part = format!("{bias_name}/part");
    let step = |operator: &str, inputs: [&str; 2], output: &str| NodeProto {
        op_type: operator.to_owned(),
        name: output.to_owned(),
        input: inputs.map(str::to_owned).to_vec(),
        output: vec![output.to_owned()],
        ..NodeProto::default()
    };
    let (operand, output) = (node.needed(0)?, node.output()?);
    importer
        .rewrite(vec![step("Mul", [operand, &scale_name], &part), step("Add", [&part, &bias_name], output)]);
    let op = FloatOp::Affine { shape, weight: Some(scale), bias: Some(bias) };
    importer.output(node, op, vec![value.id], value.shape)
}

/// `sum coefficient * value`, values broadcast to one shape.
fn combine(
    importer: &mut Importer,
    node: Node,
    values: &[Value],
    coefficients: Vec<f64>,
    output: &str,
) -> Result<(), ModelError> {
    let mut shape = Vec::new();
    for value in values {
        shape = broadcast_shape(node, &shape, &value.shape)?;
    }
    let inputs = values.iter().map(|value| value.id).collect();
    let value =
        importer.layer(node, FloatOp::Combine { coefficients, offset: 0.0 }, inputs, shape, Some(output))?;
    importer.give_value(output, value);
    Ok(())
}

fn product(
    importer: &mut Importer,
    node: Node,
    a: &Value,
    b: &Value,
    output: &str,
) -> Result<(), ModelError> {
    let shape = broadcast_shape(node, &a.shape, &b.shape)?;
    let value = importer.layer(node, FloatOp::Product, vec![a.id, b.id], shape, Some(output))?;
    importer.give_value(output, value);
    Ok(())
}

/// `weight * value + bias` with constants of `shape`.
fn affine(
    importer: &mut Importer,
    node: Node,
    value: Value,
    shape: &[usize],
    weight: Option<Vec<f32>>,
    bias: Option<Vec<f32>>,
) -> Result<(), ModelError> {
    let output = broadcast_shape(node, &value.shape, shape)?;
    // The layer has constants and operand with as many axes as the output.
    let padded_value = padded(&value.shape, output.len());
    let value = importer.reshaped(node, value, padded_value, None)?;
    let op = FloatOp::Affine { shape: padded(shape, output.len()), weight, bias };
    importer.output(node, op, vec![value.id], output)
}

/// The shape with axes of length 1 before it.
fn padded(shape: &[usize], rank: usize) -> Vec<usize> {
    std::iter::repeat_n(1, rank.saturating_sub(shape.len())).chain(shape.iter().copied()).collect()
}

fn broadcast_shape(node: Node, a: &[usize], b: &[usize]) -> Result<Vec<usize>, ModelError> {
    broadcast(a, b).ok_or_else(|| node.shape_error(b, format!("a shape that broadcasts with {a:?}")))
}
