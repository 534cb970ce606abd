//! Arithmetic of constants, among them the shapes that exporters compute in the graph.

use super::constant::{Constant, Entries, boolean};
use super::movement::{broadcast, check_folded};
use super::node::Node;
use crate::error::ModelError;
use provenn_circuits::model::MAX_ENTRIES;
use std::rc::Rc;
use tract_onnx::pb::tensor_proto::DataType;

/// Most entries of all constants together that a graph may compute.
pub(super) const MAX_FOLDED: usize = 2 * MAX_ENTRIES;
/// Most entries of a constant that is made from a few numbers.
const MAX_FILLED: usize = 1 << 22;

/// A node all of whose operands are constants.
pub(super) struct Fold<'a> {
    pub(super) node: Node<'a>,
    pub(super) operands: Vec<Option<Rc<Constant>>>,
}

impl Fold<'_> {
    /// An operand that the operator cannot do without.
    pub(super) fn constant(&self, index: usize) -> Result<&Constant, ModelError> {
        let operand = self.operands.get(index).and_then(Option::as_deref);
        operand.ok_or_else(|| self.node.operand_error(index, "missing", "a tensor"))
    }

    fn result(&self, shape: Vec<usize>, entries: Entries) -> Result<Vec<Constant>, ModelError> {
        Ok(vec![Constant { name: self.node.output()?.to_owned(), shape, entries }])
    }

    fn type_error(&self, index: usize) -> Result<Vec<Constant>, ModelError> {
        let constant = self.constant(index)?;
        let actual = format!("{} of type {}", constant.name, constant.element().as_str_name());
        Err(self.node.operand_error(
            index,
            &actual,
            "a type that the operator has, the same for all operands",
        ))
    }

    fn overflow(&self) -> ModelError {
        self.node.unsupported("its integers are not in the range of their type")
    }
}

/// A shape, and for each of its entries the indices of two operands' entries.
type Paired = (Vec<usize>, Vec<(usize, usize)>);

/// The first two operands, broadcast to one shape.
fn paired(fold: &Fold) -> Result<Paired, ModelError> {
    let (a, b) = (fold.constant(0)?, fold.constant(1)?);
    let shape = broadcast(&a.shape, &b.shape).ok_or_else(|| {
        fold.node.shape_error(&b.shape, format!("a shape that broadcasts with {:?}", a.shape))
    })?;
    let len = filled(fold.node, &shape, a.len().max(b.len()))?;
    let pairs = (0..len).map(|index| (source(&a.shape, &shape, index), source(&b.shape, &shape, index)));
    Ok((shape.clone(), pairs.collect()))
}

/// Index of the entry of an operand that is broadcast to `shape` at `index`.
fn source(operand: &[usize], shape: &[usize], mut index: usize) -> usize {
    let (mut result, mut stride) = (0, 1);
    for (&length, &own) in shape.iter().rev().zip(operand.iter().rev()) {
        if own != 1 {
            result += index % length * stride;
        }
        stride *= own;
        index /= length;
    }
    result
}

/// Number of entries of a result, which may be larger than the operands only to some degree.
fn filled(node: Node, shape: &[usize], operands: usize) -> Result<usize, ModelError> {
    let len = check_folded(node, shape)?;
    if len > operands.max(MAX_FILLED) {
        return Err(node.shape_error(shape, format!("at most {MAX_FILLED} entries of a computed constant")));
    }
    Ok(len)
}

/// Applies a function to two operands of one type.
fn binary(
    fold: &Fold,
    single: fn(f32, f32) -> f32,
    double: fn(f64, f64) -> f64,
    integer: fn(i64, i64) -> Option<i64>,
) -> Result<Vec<Constant>, ModelError> {
    fold.node.check_attributes(&[])?;
    fold.node.check_operands(2)?;
    let (shape, pairs) = paired(fold)?;
    let entries = match (&fold.constant(0)?.entries, &fold.constant(1)?.entries) {
        (Entries::Float(a), Entries::Float(b)) => {
            Entries::Float(pairs.iter().map(|&(i, j)| single(a[i], b[j])).collect())
        }
        (Entries::Double(a), Entries::Double(b)) => {
            Entries::Double(pairs.iter().map(|&(i, j)| double(a[i], b[j])).collect())
        }
        (Entries::Int(element, a), Entries::Int(other, b)) if element == other => {
            let values = pairs.iter().map(|&(i, j)| integer(a[i], b[j])).collect::<Option<Vec<_>>>();
            Entries::Int(*element, values.ok_or_else(|| fold.overflow())?)
        }
        _ => return fold.type_error(1),
    };
    fold.result(shape, entries)
}

/// `Add`.
pub(super) fn add(fold: &Fold) -> Result<Vec<Constant>, ModelError> {
    binary(fold, |a, b| a + b, |a, b| a + b, i64::checked_add)
}

/// `Sub`.
pub(super) fn sub(fold: &Fold) -> Result<Vec<Constant>, ModelError> {
    binary(fold, |a, b| a - b, |a, b| a - b, i64::checked_sub)
}

/// `Mul`.
pub(super) fn mul(fold: &Fold) -> Result<Vec<Constant>, ModelError> {
    binary(fold, |a, b| a * b, |a, b| a * b, i64::checked_mul)
}

/// `Div`: of integers towards zero.
pub(super) fn div(fold: &Fold) -> Result<Vec<Constant>, ModelError> {
    binary(fold, |a, b| a / b, |a, b| a / b, i64::checked_div)
}

/// `Mod`: with the sign of the divisor.
pub(super) fn modulo(fold: &Fold) -> Result<Vec<Constant>, ModelError> {
    let floor = |a: i64, b: i64| {
        let rest = a.checked_rem(b)?;
        if rest != 0 && (rest < 0) != (b < 0) { rest.checked_add(b) } else { Some(rest) }
    };
    if !matches!(fold.constant(0)?.entries, Entries::Int(..)) {
        return fold.type_error(0);
    }
    binary(fold, |a, b| a % b, |a, b| a % b, floor)
}

/// `Min` of two operands.
pub(super) fn min(fold: &Fold) -> Result<Vec<Constant>, ModelError> {
    binary(fold, f32::min, f64::min, |a, b| Some(a.min(b)))
}

/// `Max` of two operands.
pub(super) fn max(fold: &Fold) -> Result<Vec<Constant>, ModelError> {
    binary(fold, f32::max, f64::max, |a, b| Some(a.max(b)))
}

/// `Pow`: of integers with exponents from 0 on; the result has the type of the base.
pub(super) fn pow(fold: &Fold) -> Result<Vec<Constant>, ModelError> {
    fold.node.check_attributes(&[])?;
    fold.node.check_operands(2)?;
    let (shape, pairs) = paired(fold)?;
    let exponents: Vec<f64> = match &fold.constant(1)?.entries {
        Entries::Float(v) => v.iter().map(|&x| x.into()).collect(),
        Entries::Double(v) => v.clone(),
        Entries::Int(_, v) => v.iter().map(|&x| x as f64).collect(),
    };
    let entries = match &fold.constant(0)?.entries {
        Entries::Float(a) => {
            Entries::Float(pairs.iter().map(|&(i, j)| f64::from(a[i]).powf(exponents[j]) as f32).collect())
        }
        Entries::Double(a) => Entries::Double(pairs.iter().map(|&(i, j)| a[i].powf(exponents[j])).collect()),
        Entries::Int(element, a) => {
            let power = |&(i, j): &(usize, usize)| {
                let exponent = exponents[j];
                let whole = (0.0..64.0).contains(&exponent) && exponent.fract() == 0.0;
                whole.then(|| a[i].checked_pow(exponent as u32)).flatten()
            };
            let values = pairs.iter().map(power).collect::<Option<Vec<_>>>();
            Entries::Int(*element, values.ok_or_else(|| fold.overflow())?)
        }
    };
    fold.result(shape, entries)
}

/// Applies a function to every float; `integer` is `None` for functions that integers do not have.
fn unary(
    fold: &Fold,
    double: fn(f64) -> f64,
    integer: Option<fn(i64) -> Option<i64>>,
) -> Result<Vec<Constant>, ModelError> {
    fold.node.check_attributes(&[])?;
    fold.node.check_operands(1)?;
    let operand = fold.constant(0)?;
    let entries = match (&operand.entries, integer) {
        (Entries::Float(v), _) => Entries::Float(v.iter().map(|&x| double(x.into()) as f32).collect()),
        (Entries::Double(v), _) => Entries::Double(v.iter().map(|&x| double(x)).collect()),
        (Entries::Int(element, v), Some(integer)) => {
            let values = v.iter().map(|&x| integer(x)).collect::<Option<Vec<_>>>();
            Entries::Int(*element, values.ok_or_else(|| fold.overflow())?)
        }
        _ => return fold.type_error(0),
    };
    fold.result(operand.shape.clone(), entries)
}

/// `Neg`.
pub(super) fn neg(fold: &Fold) -> Result<Vec<Constant>, ModelError> {
    unary(fold, |x| -x, Some(i64::checked_neg))
}

/// `Abs`.
pub(super) fn abs(fold: &Fold) -> Result<Vec<Constant>, ModelError> {
    unary(fold, f64::abs, Some(i64::checked_abs))
}

/// `Sqrt`.
pub(super) fn sqrt(fold: &Fold) -> Result<Vec<Constant>, ModelError> {
    unary(fold, f64::sqrt, None)
}

/// `Exp`.
pub(super) fn exp(fold: &Fold) -> Result<Vec<Constant>, ModelError> {
    unary(fold, f64::exp, None)
}

/// `Log`.
pub(super) fn log(fold: &Fold) -> Result<Vec<Constant>, ModelError> {
    unary(fold, f64::ln, None)
}

/// `Reciprocal`.
pub(super) fn reciprocal(fold: &Fold) -> Result<Vec<Constant>, ModelError> {
    unary(fold, f64::recip, None)
}

/// `Floor`.
pub(super) fn floor(fold: &Fold) -> Result<Vec<Constant>, ModelError> {
    unary(fold, f64::floor, None)
}

/// `Ceil`.
pub(super) fn ceil(fold: &Fold) -> Result<Vec<Constant>, ModelError> {
    unary(fold, f64::ceil, None)
}

/// `Round`: halves to the even neighbour.
pub(super) fn round(fold: &Fold) -> Result<Vec<Constant>, ModelError> {
    unary(fold, f64::round_ties_even, None)
}

/// `Not`.
pub(super) fn not(fold: &Fold) -> Result<Vec<Constant>, ModelError> {
    if fold.constant(0)?.element() != DataType::Bool {
        return fold.type_error(0);
    }
    unary(fold, |x| x, Some(|x| Some(1 - x)))
}

/// Compares two operands of one type.
fn compare(
    fold: &Fold,
    float: fn(f64, f64) -> bool,
    integer: fn(i64, i64) -> bool,
) -> Result<Vec<Constant>, ModelError> {
    fold.node.check_attributes(&[])?;
    fold.node.check_operands(2)?;
    let (shape, pairs) = paired(fold)?;
    let entries = match (&fold.constant(0)?.entries, &fold.constant(1)?.entries) {
        (Entries::Float(a), Entries::Float(b)) => {
            boolean(pairs.iter().map(|&(i, j)| float(a[i].into(), b[j].into())))
        }
        (Entries::Double(a), Entries::Double(b)) => boolean(pairs.iter().map(|&(i, j)| float(a[i], b[j]))),
        (Entries::Int(x, a), Entries::Int(y, b)) if x == y => {
            boolean(pairs.iter().map(|&(i, j)| integer(a[i], b[j])))
        }
        _ => return fold.type_error(1),
    };
    fold.result(shape, entries)
}

/// `Equal`.
pub(super) fn equal(fold: &Fold) -> Result<Vec<Constant>, ModelError> {
    compare(fold, |a, b| a == b, |a, b| a == b)
}

/// `Greater`.
pub(super) fn greater(fold: &Fold) -> Result<Vec<Constant>, ModelError> {
    compare(fold, |a, b| a > b, |a, b| a > b)
}

/// `Less`.
pub(super) fn less(fold: &Fold) -> Result<Vec<Constant>, ModelError> {
    compare(fold, |a, b| a < b, |a, b| a < b)
}

/// `Where`.
pub(super) fn choose(fold: &Fold) -> Result<Vec<Constant>, ModelError> {
    fold.node.check_attributes(&[])?;
    fold.node.check_operands(3)?;
    let (condition, a, b) = (fold.constant(0)?, fold.constant(1)?, fold.constant(2)?);
    if condition.element() != DataType::Bool {
        return fold.type_error(0);
    }
    let shape = broadcast(&a.shape, &b.shape).and_then(|shape| broadcast(&shape, &condition.shape));
    let shape = shape
        .ok_or_else(|| fold.node.shape_error(&condition.shape, "operands that broadcast to one shape"))?;
    let len = filled(fold.node, &shape, a.len().max(b.len()).max(condition.len()))?;
    let chosen = condition.integers()?;
    let first = |index: usize| chosen[source(&condition.shape, &shape, index)] != 0;
    let (from_a, from_b) = (|i: usize| source(&a.shape, &shape, i), |i: usize| source(&b.shape, &shape, i));
    let entries = match (&a.entries, &b.entries) {
        (Entries::Float(x), Entries::Float(y)) => {
            Entries::Float((0..len).map(|i| if first(i) { x[from_a(i)] } else { y[from_b(i)] }).collect())
        }
        (Entries::Double(x), Entries::Double(y)) => {
            Entries::Double((0..len).map(|i| if first(i) { x[from_a(i)] } else { y[from_b(i)] }).collect())
        }
        (Entries::Int(element, x), Entries::Int(other, y)) if element == other => Entries::Int(
            *element,
            (0..len).map(|i| if first(i) { x[from_a(i)] } else { y[from_b(i)] }).collect(),
        ),
        _ => return fold.type_error(2),
    };
    fold.result(shape, entries)
}

/// `Constant` in every form that has numbers.
pub(super) fn constant(fold: &Fold) -> Result<Vec<Constant>, ModelError> {
    let node = fold.node;
    node.check_attributes(&["value", "value_float", "value_floats", "value_int", "value_ints"])?;
    let output = node.output()?;
    let [attribute] = node.proto.attribute.as_slice() else {
        return Err(node.attribute_error("value", "missing", "one value"));
    };
    let int = |values: &[i64]| Entries::Int(DataType::Int64, values.to_vec());
    let one = |name: &str| node.attribute_error(name, "missing", "a value");
    match attribute.name.as_str() {
        "value" => {
            let tensor = node.tensor("value")?.and_then(|attribute| attribute.t.as_ref());
            let tensor = tensor.ok_or_else(|| node.attribute_error("value", "missing", "a tensor"))?;
            Ok(vec![Constant::read(output, tensor)?])
        }
        "value_float" => {
            let value = node.set_float("value_float")?.ok_or_else(|| one("value_float"))?;
            fold.result(Vec::new(), Entries::Float(vec![value]))
        }
        "value_floats" => {
            let values = node.floats("value_floats")?.unwrap_or_default();
            fold.result(vec![values.len()], Entries::Float(values.to_vec()))
        }
        "value_int" => {
            let value = node.set_int("value_int")?.ok_or_else(|| one("value_int"))?;
            fold.result(Vec::new(), int(&[value]))
        }
        _ => {
            let values = node.ints("value_ints")?.unwrap_or_default();
            fold.result(vec![values.len()], int(values))
        }
    }
}

/// `ConstantOfShape`.
pub(super) fn constant_of_shape(fold: &Fold) -> Result<Vec<Constant>, ModelError> {
    fold.node.check_attributes(&["value"])?;
    fold.node.check_operands(1)?;
    let lengths = fold.constant(0)?.integers()?;
    let shape = lengths.iter().map(|&length| usize::try_from(length).ok()).collect::<Option<Vec<_>>>();
    let shape =
        shape.ok_or_else(|| fold.node.operand_error(0, &format!("{lengths:?}"), "lengths from 0 on"))?;
    let len = filled(fold.node, &shape, 0)?;
    let value = match fold.node.tensor("value")?.and_then(|attribute| attribute.t.as_ref()) {
        None => Entries::Float(vec![0.0]),
        Some(tensor) => Constant::read(fold.node.output()?, tensor)?.entries,
    };
    let value = Constant { name: fold.node.output()?.to_owned(), shape: vec![1], entries: value };
    if value.len() != 1 {
        return Err(fold.node.attribute_error("value", format!("{} entries", value.len()), "one entry"));
    }
    Ok(vec![value.gather(shape, len, |_| 0)])
}

/// `Range`.
pub(super) fn range(fold: &Fold) -> Result<Vec<Constant>, ModelError> {
    fold.node.check_attributes(&[])?;
    fold.node.check_operands(3)?;
    let operands = [fold.constant(0)?, fold.constant(1)?, fold.constant(2)?];
    let numbers: Vec<f64> = operands
        .iter()
        .map(|operand| match &operand.entries {
            Entries::Int(..) => Ok(operand.integer()? as f64),
            Entries::Float(_) => Ok(operand.scalar()?.into()),
            Entries::Double(v) if v.len() == 1 => Ok(v[0]),
            Entries::Double(_) => Err(fold.node.unsupported("its operands are not single numbers")),
        })
        .collect::<Result<_, ModelError>>()?;
    let count = ((numbers[1] - numbers[0]) / numbers[2]).ceil().max(0.0);
    if count.is_nan() || count > MAX_FILLED as f64 {
        return Err(fold
            .node
            .unsupported(format!("its range has {count} numbers, at most {MAX_FILLED} are read")));
    }
    let len = count as usize;
    let entries = match &operands[0].entries {
        Entries::Int(element, _) => {
            let (start, step) = (operands[0].integer()?, operands[2].integer()?);
            let at = |index: usize| step.checked_mul(index as i64)?.checked_add(start);
            let values = (0..len).map(at).collect::<Option<Vec<_>>>();
            Entries::Int(*element, values.ok_or_else(|| fold.overflow())?)
        }
        Entries::Float(_) => {
            Entries::Float((0..len).map(|i| (numbers[0] + numbers[2] * i as f64) as f32).collect())
        }
        Entries::Double(_) => Entries::Double((0..len).map(|i| numbers[0] + numbers[2] * i as f64).collect()),
    };
    fold.result(vec![len], entries)
}

/// `ReduceProd` of all entries, as shapes are multiplied.
pub(super) fn reduce_prod(fold: &Fold) -> Result<Vec<Constant>, ModelError> {
    let node = fold.node;
    node.check_attributes(&["axes", "keepdims", "noop_with_empty_axes"])?;
    node.check_operands(2)?;
    let operand = fold.constant(0)?;
    let axes = match fold.operands.get(1).and_then(Option::as_deref) {
        Some(axes) => Some(axes.integers()?),
        None => node.ints("axes")?,
    };
    let axes = node.axes("axes", axes.unwrap_or_default(), operand.shape.len())?;
    if operand.shape.len() > 1 || node.flag("noop_with_empty_axes", false)? && axes.is_empty() {
        return Err(node.shape_error(&operand.shape, "a list of integers"));
    }
    let Entries::Int(element, values) = &operand.entries else { return fold.type_error(0) };
    let product = values.iter().try_fold(1i64, |product, &x| product.checked_mul(x));
    let product = product.ok_or_else(|| fold.overflow())?;
    let shape = if node.flag("keepdims", true)? { vec![1; operand.shape.len()] } else { Vec::new() };
    fold.result(shape, Entries::Int(*element, vec![product]))
}
