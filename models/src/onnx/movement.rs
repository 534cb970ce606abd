//! Operators that put entries elsewhere: the same plan moves a value by a layer and a constant at once.

use super::constant::{Constant, Entries, entries_of, strides};
use super::folding::Fold;
use super::importer::{Importer, Known, Value, check_shape};
use super::node::Node;
use crate::error::ModelError;
use crate::float::FloatOp;
use provenn_circuits::layers::{Arrange, AxisSource};
use provenn_circuits::model::MAX_ENTRIES;
use std::rc::Rc;
use tract_onnx::pb::NodeProto;

/// Most operands of one arrangement.
const MAX_PIECES: usize = 64;

/// Where an axis of an operand reads from: see [`AxisSource`].
#[derive(Clone, Debug, PartialEq)]
struct Source {
    axis: Option<usize>,
    offset: i64,
    stride: i64,
    repeat: bool,
}

impl Source {
    fn along(axis: usize) -> Self {
        Source { axis: Some(axis), offset: 0, stride: 1, repeat: false }
    }
}

/// An arrangement with lengths of any size: see [`Arrange`].
#[derive(Clone, Debug)]
pub(super) struct Placement {
    shape: Vec<usize>,
    periods: Vec<usize>,
    pieces: Vec<Vec<Source>>,
}

/// The constants among a node's operands.
type Constants<'a> = &'a dyn Fn(usize) -> Result<Option<Rc<Constant>>, ModelError>;
/// What a node does with the entries of its first operand, of the shape given; the number fills what is not covered.
type Plan = fn(Node, &[usize], Constants) -> Result<Placement, ModelError>;

impl Placement {
    /// Every entry where it is.
    pub(super) fn identity(shape: &[usize]) -> Self {
        Placement {
            shape: shape.to_vec(),
            periods: vec![1; shape.len()],
            pieces: vec![(0..shape.len()).map(Source::along).collect()],
        }
    }

    /// Output position `o` of an axis reads `offset + stride * o`.
    pub(super) fn slice(&mut self, axis: usize, offset: i64, stride: i64, length: usize) {
        self.stretch(axis, offset, stride, 1, length);
    }

    /// Output position `o` of an axis reads `offset + stride * floor(o / period)`.
    pub(super) fn stretch(&mut self, axis: usize, offset: i64, stride: i64, period: usize, length: usize) {
        self.shape[axis] = length;
        self.periods[axis] = period;
        self.pieces[0][axis] = Source { axis: Some(axis), offset, stride, repeat: period > 1 };
    }

    /// Every entry of an axis is the first of `period` ones, the others are filled.
    pub(super) fn insert(&mut self, axis: usize, period: usize, length: usize) {
        self.stretch(axis, 0, 1, period, length);
        self.pieces[0][axis].repeat = false;
    }

    fn is_identity(&self, operand: &[usize]) -> bool {
        self.shape == operand
            && self.pieces.len() == 1
            && self.pieces[0].iter().enumerate().all(|(axis, source)| {
                // An axis of length 1 can only read its only position, where it is covered at all.
                *source == Source::along(axis) || (operand[axis] == 1 && source.axis.is_none())
            })
    }

    /// The arrangement in the numbers that a layer has.
    fn layer(&self, node: Node) -> Result<Arrange, ModelError> {
        let error = || node.shape_error(&self.shape, format!("lengths and positions up to {MAX_ENTRIES}"));
        let length = |&length: &usize| u32::try_from(length).map_err(|_| error());
        let number = |number: i64| i32::try_from(number).map_err(|_| error());
        let source = |source: &Source| {
            Ok(AxisSource {
                axis: source.axis.map(|axis| axis as u32),
                offset: number(source.offset)?,
                stride: number(source.stride)?,
                repeat: source.repeat,
            })
        };
        Ok(Arrange {
            shape: self.shape.iter().map(length).collect::<Result<_, _>>()?,
            periods: self.periods.iter().map(length).collect::<Result<_, _>>()?,
            pieces: self
                .pieces
                .iter()
                .map(|piece| piece.iter().map(source).collect::<Result<_, ModelError>>())
                .collect::<Result<_, _>>()?,
            fill: 0,
        })
    }

    /// The constants in this arrangement; entries that none covers are those of `fill`, or 0.
    fn apply(
        &self,
        node: Node,
        operands: &[&Constant],
        fill: Option<&Constant>,
    ) -> Result<Constant, ModelError> {
        let len = check_folded(node, &self.shape)?;
        let mut all = Vec::with_capacity(operands.len());
        let mut sources = Vec::with_capacity(len);
        for index in 0..len {
            let mut place = vec![0; self.shape.len()];
            let mut rest = index;
            for axis in (0..self.shape.len()).rev() {
                place[axis] = rest % self.shape[axis];
                rest /= self.shape[axis];
            }
            let cover = |(piece, constant): (usize, &&Constant)| {
                Some((piece, self.source(piece, &constant.shape, &place)?))
            };
            sources.push(operands.iter().enumerate().find_map(cover));
        }
        let zero = Constant { name: String::new(), shape: vec![1], entries: zero_like(operands) };
        all.extend(operands.iter().map(|constant| &constant.entries));
        all.push(fill.map_or(&zero.entries, |fill| &fill.entries));
        let last = all.len() - 1;
        let at = |source: &Option<(usize, usize)>| source.unwrap_or((last, 0));
        let places: Vec<(usize, usize)> = sources.iter().map(at).collect();
        let entries = pick(&all, &places).ok_or_else(|| {
            node.unsupported("its constant operands have different element types, expected one type")
        })?;
        Ok(Constant { name: node.output()?.to_owned(), shape: self.shape.clone(), entries })
    }

    /// Index of the operand's entry at a place of the output, if the piece covers it.
    fn source(&self, piece: usize, operand: &[usize], place: &[usize]) -> Option<usize> {
        let mut index = 0;
        for ((source, &length), stride) in self.pieces[piece].iter().zip(operand).zip(strides(operand)) {
            let mut position = source.offset;
            if let Some(axis) = source.axis {
                let (quotient, rest) = (place[axis] / self.periods[axis], place[axis] % self.periods[axis]);
                if rest != 0 && !source.repeat {
                    return None;
                }
                position = source.stride.checked_mul(quotient as i64)?.checked_add(position)?;
            }
            let position = usize::try_from(position).ok().filter(|&position| position < length)?;
            index += position * stride;
        }
        Some(index)
    }
}

fn zero_like(operands: &[&Constant]) -> Entries {
    operands.first().map_or(Entries::Float(vec![0.0]), |constant| match &constant.entries {
        Entries::Float(_) => Entries::Float(vec![0.0]),
        Entries::Double(_) => Entries::Double(vec![0.0]),
        Entries::Int(element, _) => Entries::Int(*element, vec![0]),
    })
}

/// Entry `places[i].1` of list `places[i].0` for every `i`; `None` if the lists that are used have different types.
fn pick(lists: &[&Entries], places: &[(usize, usize)]) -> Option<Entries> {
    let first = lists.first()?;
    if lists.iter().any(|list| std::mem::discriminant(*list) != std::mem::discriminant(*first)) {
        return None;
    }
    Some(match first {
        Entries::Float(_) => Entries::Float(
            places
                .iter()
                .map(|&(list, i)| if let Entries::Float(v) = lists[list] { v[i] } else { 0.0 })
                .collect(),
        ),
        Entries::Double(_) => Entries::Double(
            places
                .iter()
                .map(|&(list, i)| if let Entries::Double(v) = lists[list] { v[i] } else { 0.0 })
                .collect(),
        ),
        Entries::Int(element, _) => Entries::Int(
            *element,
            places
                .iter()
                .map(|&(list, i)| if let Entries::Int(_, v) = lists[list] { v[i] } else { 0 })
                .collect(),
        ),
    })
}

/// Number of entries of a computed constant, which must be small or come from operands as large.
pub(super) fn check_folded(node: Node, shape: &[usize]) -> Result<usize, ModelError> {
    entries_of(shape).ok_or_else(|| node.shape_error(shape, format!("at most {MAX_ENTRIES} entries")))
}

/// Adds a layer that gives the values in this arrangement, or none if it is as they are.
pub(super) fn arrange(
    importer: &mut Importer,
    node: Node,
    values: &[Value],
    placement: Placement,
    fill: f64,
    tensor: Option<&str>,
) -> Result<Value, ModelError> {
    if let [value] = values
        && placement.is_identity(&value.shape)
    {
        return Ok(value.clone());
    }
    check_shape(node, &placement.shape)?;
    if values.len() > MAX_PIECES {
        return Err(
            node.unsupported(format!("it has {} operands, at most {MAX_PIECES} are read", values.len()))
        );
    }
    let arrange = placement.layer(node)?;
    let inputs = values.iter().map(|value| value.id).collect();
    importer.layer(node, FloatOp::Arrange { arrange, fill }, inputs, placement.shape, tensor)
}

/// The value with its axes permuted: axis `j` of the result is axis `perm[j]` of the value.
pub(super) fn transposition(
    importer: &mut Importer,
    node: Node,
    value: Value,
    perm: &[usize],
    tensor: Option<&str>,
) -> Result<Value, ModelError> {
    let long: Vec<usize> = perm.iter().copied().filter(|&axis| value.shape[axis] != 1).collect();
    if long.is_sorted() {
        let shape = perm.iter().map(|&axis| value.shape[axis]).collect();
        return importer.reshaped(node, value, shape, tensor);
    }
    let placement = permuted(&value.shape, perm);
    arrange(importer, node, &[value], placement, 0.0, tensor)
}

fn permuted(shape: &[usize], perm: &[usize]) -> Placement {
    let mut placement = Placement::identity(shape);
    for (to, &from) in perm.iter().enumerate() {
        placement.shape[to] = shape[from];
        placement.pieces[0][from] = Source::along(to);
    }
    placement
}

fn move_value(importer: &mut Importer, node: Node, plan: Plan) -> Result<(), ModelError> {
    let value = importer.value(node, 0)?;
    let placement = plan(node, &value.shape, &|index| importer.optional_constant(node, index))?;
    let output = node.output()?;
    let value = arrange(importer, node, &[value], placement, 0.0, Some(output))?;
    importer.give_value(output, value);
    Ok(())
}

fn move_constant(fold: &Fold, plan: Plan) -> Result<Vec<Constant>, ModelError> {
    let operand = fold.constant(0)?;
    let placement =
        plan(fold.node, &operand.shape, &|index| Ok(fold.operands.get(index).cloned().flatten()))?;
    Ok(vec![placement.apply(fold.node, &[operand], None)?])
}

/// `Transpose` of a value.
pub(super) fn transpose(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    let value = importer.value(node, 0)?;
    let perm = permutation(node, value.shape.len())?;
    let output = node.output()?;
    let value = transposition(importer, node, value, &perm, Some(output))?;
    importer.give_value(output, value);
    Ok(())
}

/// `Transpose` of a constant.
pub(super) fn fold_transpose(fold: &Fold) -> Result<Vec<Constant>, ModelError> {
    let operand = fold.constant(0)?;
    Ok(vec![operand.transpose(&permutation(fold.node, operand.shape.len())?)])
}

fn permutation(node: Node, rank: usize) -> Result<Vec<usize>, ModelError> {
    node.check_attributes(&["perm"])?;
    node.check_operands(1)?;
    let Some(given) = node.ints("perm")? else { return Ok((0..rank).rev().collect()) };
    let perm: Vec<usize> = given.iter().map(|&p| usize::try_from(p).unwrap_or(usize::MAX)).collect();
    let mut sorted = perm.clone();
    sorted.sort_unstable();
    if !sorted.into_iter().eq(0..rank) {
        let expected = format!("a permutation of the {rank} axes");
        return Err(node.attribute_error("perm", format!("{given:?}"), expected));
    }
    Ok(perm)
}

/// `Slice` of a value.
pub(super) fn slice(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    move_value(importer, node, plan_slice)?;
    let output = node.output()?;
    let Known::Value(value) = importer.known(node, 0)? else { return Ok(()) };
    let placement = plan_slice(node, &value.shape, &|index| importer.optional_constant(node, index))?;
    let reversed = |source: &Source| source.stride < 0;
    if placement.pieces[0].iter().any(reversed) {
        // The engine does not clamp the ends of a slice that goes backwards.
        let places = |axis: usize| {
            let Source { offset, stride, .. } = placement.pieces[0][axis];
            (0..placement.shape[axis] as i64).map(|place| (offset + stride * place) as usize).collect()
        };
        let reads: Vec<_> = (0..placement.shape.len()).map(|axis| (axis, places(axis))).collect();
        let nodes = importer.gathers(node, output, &reads)?;
        importer.rewrite(nodes);
    }
    Ok(())
}

/// `Slice` of a constant.
pub(super) fn fold_slice(fold: &Fold) -> Result<Vec<Constant>, ModelError> {
    move_constant(fold, plan_slice)
}

fn plan_slice(node: Node, shape: &[usize], constants: Constants) -> Result<Placement, ModelError> {
    let list = |index: usize| -> Result<Option<Vec<i64>>, ModelError> {
        constants(index)?.map(|list| list.integers().map(<[i64]>::to_vec)).transpose()
    };
    let (starts, ends, axes, steps) = if node.opset < 10 {
        node.check_attributes(&["axes", "ends", "starts"])?;
        node.check_operands(1)?;
        let list = |name: &str| Ok::<_, ModelError>(node.ints(name)?.map(<[i64]>::to_vec));
        (list("starts")?, list("ends")?, list("axes")?, None)
    } else {
        node.check_attributes(&[])?;
        node.check_operands(5)?;
        (list(1)?, list(2)?, list(3)?, list(4)?)
    };
    let (Some(starts), Some(ends)) = (starts, ends) else {
        return Err(node.unsupported("it has no starts or no ends"));
    };
    let axes = axes.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let axes = node.axes("axes", &axes, shape.len())?;
    let steps = steps.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
        return Err(node.unsupported("its starts, ends, axes and steps are not lists of one length"));
    }
    let mut placement = Placement::identity(shape);
    for (index, &axis) in axes.iter().enumerate() {
        let step = steps[index];
        if step == 0 || step == i64::MIN {
            return Err(node.attribute_error("steps", step, "a number not zero"));
        }
        let (start, count) = clamp(shape[axis] as i64, starts[index], ends[index], step);
        placement.slice(axis, start, step, count);
    }
    Ok(placement)
}

/// First position and number of positions of a slice of an axis.
fn clamp(length: i64, start: i64, end: i64, step: i64) -> (i64, usize) {
    let counted = |position: i64| if position < 0 { position.saturating_add(length) } else { position };
    let (start, span) = if step > 0 {
        let (start, end) = (counted(start).clamp(0, length), counted(end).clamp(0, length));
        (start, end - start)
    } else {
        let (start, end) = (counted(start).clamp(0, (length - 1).max(0)), counted(end).clamp(-1, length - 1));
        (start, start - end)
    };
    let step = step.unsigned_abs();
    let count = (span.max(0) as u64).div_ceil(step);
    (start, usize::try_from(count).unwrap_or(0))
}

/// `Pad` of a value with a constant.
pub(super) fn pad(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    let value = importer.value(node, 0)?;
    let padding = Padding::read(node, &value.shape, &|index| importer.optional_constant(node, index))?;
    let fill = if node.opset < 11 {
        node.float("value", 0.0)?
    } else {
        match importer.optional_constant(node, 2)? {
            None => 0.0,
            Some(fill) => {
                fill.floats()?;
                fill.scalar()?
            }
        }
    };
    let output = node.output()?;
    let placement = padding.placement(node, &value.shape)?;
    if padding.ends.iter().flatten().any(|&end| end < 0) {
        let nodes = padding.cropped(importer, node, &value.shape)?;
        importer.rewrite(nodes);
    }
    let value = arrange(importer, node, &[value], placement, fill.into(), Some(output))?;
    importer.give_value(output, value);
    Ok(())
}

/// `Pad` of a constant.
pub(super) fn fold_pad(fold: &Fold) -> Result<Vec<Constant>, ModelError> {
    let operand = fold.constant(0)?;
    let constants = |index: usize| Ok(fold.operands.get(index).cloned().flatten());
    let placement =
        Padding::read(fold.node, &operand.shape, &constants)?.placement(fold.node, &operand.shape)?;
    let fill = if fold.node.opset < 11 {
        let value = fold.node.float("value", 0.0)?;
        Some(Rc::new(Constant { name: String::new(), shape: vec![1], entries: Entries::Float(vec![value]) }))
    } else {
        fold.operands.get(2).cloned().flatten().filter(|fill| fill.len() == 1)
    };
    Ok(vec![placement.apply(fold.node, &[operand], fill.as_deref())?])
}

/// What a `Pad` puts before and after every axis; negative numbers cut off.
struct Padding {
    ends: Vec<[i64; 2]>,
}

impl Padding {
    fn read(node: Node, shape: &[usize], constants: Constants) -> Result<Self, ModelError> {
        let rank = shape.len();
        let mode = node.text("mode", "constant")?;
        if mode != "constant" {
            return Err(node.attribute_error("mode", mode, "constant"));
        }
        let (pads, axes) = if node.opset < 11 {
            node.check_attributes(&["mode", "pads", "value"])?;
            node.check_operands(1)?;
            (node.ints("pads")?.map(<[i64]>::to_vec), None)
        } else {
            node.check_attributes(&["mode"])?;
            node.check_operands(if node.opset < 18 { 3 } else { 4 })?;
            let list = |index| -> Result<Option<Vec<i64>>, ModelError> {
                constants(index)?.map(|list| list.integers().map(<[i64]>::to_vec)).transpose()
            };
            (list(1)?, list(3)?)
        };
        let axes = match axes {
            None => (0..rank).collect(),
            Some(axes) => node.axes("axes", &axes, rank)?,
        };
        let pads = pads.filter(|pads| pads.len() == 2 * axes.len()).ok_or_else(|| {
            node.unsupported(format!("its pads are not {} numbers, two for each axis", 2 * axes.len()))
        })?;
        let mut ends = vec![[0, 0]; rank];
        for (index, &axis) in axes.iter().enumerate() {
            ends[axis] = [pads[index], pads[axes.len() + index]];
        }
        let limit = MAX_ENTRIES as i64;
        // More cannot be cut off than there is, on each side and on both.
        let fits = |(&length, end): (&usize, &[i64; 2])| {
            let length = length as i64;
            end.iter().all(|end| (-length..=limit).contains(end))
                && length + end[0].min(0) + end[1].min(0) >= 0
        };
        if !shape.iter().zip(&ends).all(fits) {
            return Err(node.attribute_error(
                "pads",
                format!("{pads:?}"),
                format!("numbers that leave lengths up to {limit}"),
            ));
        }
        Ok(Padding { ends })
    }

    fn placement(&self, node: Node, shape: &[usize]) -> Result<Placement, ModelError> {
        let mut placement = Placement::identity(shape);
        for (axis, &[begin, end]) in self.ends.iter().enumerate() {
            let length = usize::try_from(shape[axis] as i64 + begin + end)
                .map_err(|_| node.attribute_error("pads", begin, "numbers that leave a length"))?;
            placement.slice(axis, -begin, 1, length);
        }
        Ok(placement)
    }

    /// The operator for the float engine, which cuts nothing off by padding.
    fn cropped(
        &self,
        importer: &mut Importer,
        node: Node,
        shape: &[usize],
    ) -> Result<Vec<NodeProto>, ModelError> {
        let reads: Vec<_> = shape
            .iter()
            .zip(&self.ends)
            .enumerate()
            .filter(|(_, (_, end))| end.iter().any(|&end| end < 0))
            .map(|(axis, (&length, end))| {
                let [begin, end] = end.map(|end| end.min(0).unsigned_abs() as usize);
                (axis, (begin..length - end).collect())
            })
            .collect();
        let rest: Vec<i64> =
            [0, 1].iter().flat_map(|&side| self.ends.iter().map(move |end| end[side].max(0))).collect();
        let mut pad = node.proto.clone();
        let pads = Constant::of_integers("", rest.clone());
        let pads = importer.helper_constant(node, pads)?;
        let cut = format!("{pads}/cut");
        let mut nodes = importer.gathers(node, &cut, &reads)?;
        pad.input[0] = cut;
        if node.opset < 11 {
            pad.attribute
                .iter_mut()
                .filter(|attribute| attribute.name == "pads")
                .for_each(|pads| pads.ints = rest.clone());
        } else {
            pad.input[1] = pads;
            pad.input.truncate(3);
        }
        nodes.push(pad);
        Ok(nodes)
    }
}

/// `Expand` of a value.
pub(super) fn expand(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    move_value(importer, node, plan_expand)
}

/// `Expand` of a constant.
pub(super) fn fold_expand(fold: &Fold) -> Result<Vec<Constant>, ModelError> {
    move_constant(fold, plan_expand)
}

fn plan_expand(node: Node, shape: &[usize], constants: Constants) -> Result<Placement, ModelError> {
    node.check_attributes(&[])?;
    node.check_operands(2)?;
    let asked = constants(1)?.ok_or_else(|| node.operand_error(1, "missing", "a shape"))?;
    let lengths = asked.integers()?.iter().map(|&length| usize::try_from(length).ok());
    let lengths = lengths.collect::<Option<Vec<_>>>();
    let target = lengths.and_then(|lengths| broadcast(shape, &lengths)).ok_or_else(|| {
        node.shape_error(shape, format!("a shape that expands to {:?}", asked.integers().unwrap_or_default()))
    })?;
    Ok(expanded(shape, target))
}

/// The arrangement that repeats axes of length 1 up to a shape that they broadcast to.
fn expanded(shape: &[usize], target: Vec<usize>) -> Placement {
    let first = target.len() - shape.len();
    let sources = shape.iter().enumerate().map(|(axis, &length)| {
        let to = axis + first;
        if length == target[to] { Source::along(to) } else { Source { axis: None, ..Source::along(to) } }
    });
    Placement { periods: vec![1; target.len()], pieces: vec![sources.collect()], shape: target }
}

/// The shape that two shapes broadcast to.
pub(super) fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let length =
        |shape: &[usize], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |axis| shape[axis]);
    (0..rank)
        .map(|axis| match (length(a, axis), length(b, axis)) {
            (x, y) if x == y => Some(x),
            (1, y) => Some(y),
            (x, 1) => Some(x),
            _ => None,
        })
        .collect()
}

/// `Tile` of a value.
pub(super) fn tile(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    node.check_attributes(&[])?;
    node.check_operands(2)?;
    let mut value = importer.value(node, 0)?;
    let repeats = repeats(node, &value.shape, &*importer.constant(node, 1)?)?;
    for (axis, &count) in repeats.iter().enumerate().filter(|(_, count)| **count != 1) {
        let placement = tiled(node, &value.shape, axis, count)?;
        let operands = vec![value; placement.pieces.len()];
        value = arrange(importer, node, &operands, placement, 0.0, None)?;
    }
    importer.give_value(node.output()?, value);
    Ok(())
}

/// `Tile` of a constant.
pub(super) fn fold_tile(fold: &Fold) -> Result<Vec<Constant>, ModelError> {
    fold.node.check_attributes(&[])?;
    fold.node.check_operands(2)?;
    let mut constant = fold.constant(0)?.clone();
    let repeats = repeats(fold.node, &constant.shape, fold.constant(1)?)?;
    for (axis, &count) in repeats.iter().enumerate().filter(|(_, count)| **count != 1) {
        let placement = tiled(fold.node, &constant.shape, axis, count)?;
        constant = placement.apply(fold.node, &vec![&constant; placement.pieces.len()], None)?;
    }
    Ok(vec![constant])
}

fn repeats(node: Node, shape: &[usize], repeats: &Constant) -> Result<Vec<usize>, ModelError> {
    let given = repeats.integers()?;
    let counts = given.iter().map(|&count| usize::try_from(count).ok().filter(|&count| count > 0));
    counts.collect::<Option<Vec<_>>>().filter(|counts| counts.len() == shape.len()).ok_or_else(|| {
        node.unsupported(format!("its repeats are {given:?}, expected {} numbers from 1 on", shape.len()))
    })
}

/// `count` copies along an axis.
fn tiled(node: Node, shape: &[usize], axis: usize, count: usize) -> Result<Placement, ModelError> {
    let mut target = shape.to_vec();
    target[axis] = target[axis].saturating_mul(count);
    check_folded(node, &target)?;
    if shape[axis] == 1 {
        return Ok(expanded(shape, target));
    }
    if count > MAX_PIECES {
        return Err(
            node.unsupported(format!("it repeats an axis {count} times, at most {MAX_PIECES} are read"))
        );
    }
    let mut placement = Placement::identity(&target);
    placement.pieces = (0..count).map(|copy| shifted(shape.len(), axis, copy * shape[axis])).collect();
    Ok(placement)
}

/// Sources that put an operand at a position of an axis.
fn shifted(rank: usize, axis: usize, start: usize) -> Vec<Source> {
    let mut sources: Vec<Source> = (0..rank).map(Source::along).collect();
    sources[axis].offset = -(start as i64);
    sources
}

/// `Concat` of values; a constant among them must be one number throughout.
pub(super) fn concat(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    let mut shapes = Vec::new();
    let mut values = Vec::new();
    let mut places = Vec::new();
    let mut fill = None;
    for index in 0..node.proto.input.len() {
        match importer.known(node, index)? {
            Known::Constant(constant) => {
                let entries = constant.floats()?;
                let own = entries.first().copied();
                if entries.iter().any(|&x| Some(x) != own) || (fill.is_some() && own.is_some() && own != fill)
                {
                    let actual = format!("the constant {}", constant.name);
                    return Err(node.operand_error(index, &actual, "a value, or one number throughout"));
                }
                fill = own.or(fill);
                shapes.push(constant.shape.clone());
            }
            _ => {
                let value = importer.value(node, index)?;
                places.push(index);
                shapes.push(value.shape.clone());
                values.push(value);
            }
        }
    }
    let mut placement = plan_concat(node, &shapes)?;
    placement.pieces = places.iter().map(|&index| placement.pieces[index].clone()).collect();
    let output = node.output()?;
    let value = arrange(importer, node, &values, placement, fill.unwrap_or(0.0).into(), Some(output))?;
    importer.give_value(output, value);
    Ok(())
}

/// `Concat` of constants.
pub(super) fn fold_concat(fold: &Fold) -> Result<Vec<Constant>, ModelError> {
    let operands =
        (0..fold.operands.len()).map(|index| fold.constant(index)).collect::<Result<Vec<_>, _>>()?;
    let shapes: Vec<_> = operands.iter().map(|constant| constant.shape.clone()).collect();
    Ok(vec![plan_concat(fold.node, &shapes)?.apply(fold.node, &operands, None)?])
}

fn plan_concat(node: Node, shapes: &[Vec<usize>]) -> Result<Placement, ModelError> {
    node.check_attributes(&["axis"])?;
    let first = shapes.first().ok_or_else(|| node.operand_error(0, "missing", "a tensor"))?;
    if node.set_int("axis")?.is_none() {
        return Err(node.attribute_error("axis", "missing", "an axis"));
    }
    let axis = node.axis_below("axis", 0, first.len())?;
    let mut length = 0usize;
    let mut pieces = Vec::with_capacity(shapes.len());
    for shape in shapes {
        let fits = shape.len() == first.len()
            && shape.iter().zip(first).enumerate().all(|(a, (x, y))| a == axis || x == y);
        if !fits {
            return Err(node.shape_error(shape, format!("{first:?} but for axis {axis}")));
        }
        pieces.push(shifted(shape.len(), axis, length));
        length = length.saturating_add(shape[axis]);
    }
    let mut target = first.clone();
    target[axis] = length;
    check_folded(node, &target)?;
    Ok(Placement { periods: vec![1; target.len()], pieces, shape: target })
}

/// `Split` of a value.
pub(super) fn split(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    let value = importer.value(node, 0)?;
    let sizes = importer.optional_constant(node, 1)?;
    let (axis, parts) = parts(node, &value.shape, sizes.as_deref())?;
    let mut start = 0;
    for (output, &length) in node.proto.output.iter().zip(&parts) {
        if importer.is_read(output) {
            let mut placement = Placement::identity(&value.shape);
            placement.slice(axis, start as i64, 1, length);
            let part = arrange(importer, node, std::slice::from_ref(&value), placement, 0.0, Some(output))?;
            importer.give_value(output, part);
        }
        start += length;
    }
    Ok(())
}

/// `Split` of a constant.
pub(super) fn fold_split(fold: &Fold) -> Result<Vec<Constant>, ModelError> {
    let operand = fold.constant(0)?;
    let (axis, parts) = parts(fold.node, &operand.shape, fold.operands.get(1).and_then(Option::as_deref))?;
    let mut start = 0;
    let mut results = Vec::with_capacity(parts.len());
    for &length in &parts {
        let mut placement = Placement::identity(&operand.shape);
        placement.slice(axis, start as i64, 1, length);
        results.push(placement.apply(fold.node, &[operand], None)?);
        start += length;
    }
    Ok(results)
}

/// The axis that is split, and the lengths of the parts.
fn parts(node: Node, shape: &[usize], sizes: Option<&Constant>) -> Result<(usize, Vec<usize>), ModelError> {
    let attributes: &[&str] = match node.opset {
        ..13 => &["axis", "split"],
        13..18 => &["axis"],
        _ => &["axis", "num_outputs"],
    };
    node.check_attributes(attributes)?;
    node.check_operands(if node.opset < 13 { 1 } else { 2 })?;
    let axis = node.axis_below("axis", 0, shape.len())?;
    let (length, outputs) = (shape[axis], node.proto.output.len());
    let given =
        if node.opset < 13 { node.ints("split")? } else { sizes.map(Constant::integers).transpose()? };
    let Some(given) = given else {
        let count = node.int("num_outputs", outputs as i64)?;
        if count != outputs as i64 {
            return Err(node.attribute_error("num_outputs", count, format!("{outputs}, as there are")));
        }
        // Only from operator set 18 on may the last part be shorter.
        if node.opset < 18 && !length.is_multiple_of(outputs) {
            return Err(node.shape_error(shape, format!("axis {axis} in {outputs} equal parts")));
        }
        let part = length.div_ceil(outputs);
        let parts = (0..outputs).map(|index| part.min(length.saturating_sub(index * part))).collect();
        return Ok((axis, parts));
    };
    let parts = given.iter().map(|&part| usize::try_from(part).ok()).collect::<Option<Vec<_>>>();
    let fits = |parts: &Vec<usize>| {
        parts.len() == outputs
            && parts.iter().try_fold(0usize, |sum, &part| sum.checked_add(part)) == Some(length)
    };
    let parts = parts.filter(fits).ok_or_else(|| {
        let expected = format!("{outputs} lengths with sum {length}");
        node.attribute_error("split", format!("{given:?}"), expected)
    })?;
    Ok((axis, parts))
}

/// `Gather` from a value with constant indices.
pub(super) fn gather(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    let value = importer.value(node, 0)?;
    let indices = importer.constant(node, 1)?;
    let (axis, positions) = gathered(node, &value.shape, &indices)?;
    let shape = [&value.shape[..axis], &indices.shape[..], &value.shape[axis + 1..]].concat();
    check_shape(node, &shape)?;
    let placement = taken(&value.shape, axis, &positions, indices.shape.is_empty());
    let operands = vec![value; placement.pieces.len()];
    let output = node.output()?;
    let value = arrange(importer, node, &operands, placement, 0.0, Some(output))?;
    let value = importer.reshaped(node, value, shape, Some(output))?;
    importer.give_value(output, value);
    Ok(())
}

/// The positions of an axis in this order; without the axis if it is only one and `scalar`.
fn taken(shape: &[usize], axis: usize, positions: &[usize], scalar: bool) -> Placement {
    let mut placement = Placement::identity(shape);
    if scalar {
        placement.shape.remove(axis);
        placement.periods.remove(axis);
        let position = positions.first().map_or(0, |&position| position as i64);
        for (from, source) in placement.pieces[0].iter_mut().enumerate() {
            match from.cmp(&axis) {
                std::cmp::Ordering::Less => (),
                std::cmp::Ordering::Equal => {
                    *source = Source { axis: None, offset: position, ..source.clone() }
                }
                std::cmp::Ordering::Greater => *source = Source::along(from - 1),
            }
        }
        return placement;
    }
    let step = |pair: &[usize]| pair[1] as i64 - pair[0] as i64;
    let stride = positions.windows(2).next().map_or(1, step);
    let start = positions.first().map_or(0, |&position| position as i64);
    if stride != 0 && positions.windows(2).all(|pair| step(pair) == stride) {
        placement.slice(axis, start, stride, positions.len());
        return placement;
    }
    // One piece for every position: with steps of the whole axis all other positions are outside of it.
    let stride = shape[axis] as i64;
    placement.shape[axis] = positions.len();
    let piece = |(to, &from): (usize, &usize)| {
        let mut sources = placement.pieces[0].clone();
        sources[axis].offset = from as i64 - stride * to as i64;
        sources[axis].stride = stride;
        sources
    };
    placement.pieces = positions.iter().enumerate().map(piece).collect();
    placement
}

/// `Gather` from a constant with constant indices.
pub(super) fn fold_gather(fold: &Fold) -> Result<Vec<Constant>, ModelError> {
    let (operand, indices) = (fold.constant(0)?, fold.constant(1)?);
    let (axis, positions) = gathered(fold.node, &operand.shape, indices)?;
    let shape = [&operand.shape[..axis], &indices.shape[..], &operand.shape[axis + 1..]].concat();
    let len = check_folded(fold.node, &shape)?;
    let inner: usize = operand.shape[axis + 1..].iter().product();
    let source = |index: usize| {
        let (outer, rest) = (index / (inner * positions.len()), index % (inner * positions.len()));
        (outer * operand.shape[axis] + positions[rest / inner]) * inner + rest % inner
    };
    Ok(vec![operand.gather(shape, len, source)])
}

/// The axis and the positions that a `Gather` reads.
fn gathered(node: Node, shape: &[usize], indices: &Constant) -> Result<(usize, Vec<usize>), ModelError> {
    node.check_attributes(&["axis"])?;
    node.check_operands(2)?;
    let axis = node.axis_below("axis", 0, shape.len())?;
    let length = shape[axis] as i64;
    let position = |&index: &i64| {
        let counted = if index < 0 { index.checked_add(length)? } else { index };
        usize::try_from(counted).ok().filter(|&position| position < shape[axis])
    };
    let positions =
        indices.integers()?.iter().map(position).collect::<Option<Vec<_>>>().ok_or_else(|| {
            let actual = format!("{}, of which an index is outside axis {axis}", indices.name);
            node.operand_error(1, &actual, &format!("indices from {} to {}", -length, length - 1))
        })?;
    Ok((axis, positions))
}

/// `DepthToSpace`: channels become blocks of space.
pub(super) fn depth_to_space(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    node.check_attributes(&["blocksize", "mode"])?;
    node.check_operands(1)?;
    let value = importer.value(node, 0)?;
    let (block, [n, c, h, w]) = blocks(node, &value.shape)?;
    if !c.is_multiple_of(block * block) {
        return Err(node.attribute_error(
            "blocksize",
            block,
            format!("a number whose square divides {c} channels"),
        ));
    }
    let depth = c / (block * block);
    let (split, perm) = match node.text("mode", "DCR")? {
        "DCR" => ([n, block, block, depth, h, w], [0, 3, 4, 1, 5, 2]),
        "CRD" => ([n, depth, block, block, h, w], [0, 1, 4, 2, 5, 3]),
        other => return Err(node.attribute_error("mode", other, "DCR or CRD")),
    };
    let value = importer.reshaped(node, value, split.to_vec(), None)?;
    let value = transposition(importer, node, value, &perm, None)?;
    let output = node.output()?;
    let value = importer.reshaped(node, value, vec![n, depth, h * block, w * block], Some(output))?;
    importer.give_value(output, value);
    Ok(())
}

/// `SpaceToDepth`: blocks of space become channels.
pub(super) fn space_to_depth(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    node.check_attributes(&["blocksize"])?;
    node.check_operands(1)?;
    let value = importer.value(node, 0)?;
    let (block, [n, c, h, w]) = blocks(node, &value.shape)?;
    if !h.is_multiple_of(block) || !w.is_multiple_of(block) {
        return Err(node.attribute_error("blocksize", block, format!("a divisor of {h} and {w}")));
    }
    let (rows, columns) = (h / block, w / block);
    let value = importer.reshaped(node, value, vec![n, c, rows, block, columns, block], None)?;
    let value = transposition(importer, node, value, &[0, 3, 5, 1, 2, 4], None)?;
    let output = node.output()?;
    let value = importer.reshaped(node, value, vec![n, c * block * block, rows, columns], Some(output))?;
    importer.give_value(output, value);
    Ok(())
}

/// The attribute `blocksize` and the four lengths.
fn blocks(node: Node, shape: &[usize]) -> Result<(usize, [usize; 4]), ModelError> {
    let lengths = <[usize; 4]>::try_from(shape)
        .map_err(|_| node.shape_error(shape, "a batch, channels, rows and columns"))?;
    let block = node.int("blocksize", 0)?;
    let block = usize::try_from(block).ok().filter(|block| (1..=1 << 12).contains(block));
    let block = block.ok_or_else(|| {
        node.attribute_error("blocksize", node.int("blocksize", 0).unwrap_or(0), "1 to 4096")
    })?;
    Ok((block, lengths))
}
