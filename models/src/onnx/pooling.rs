//! Pools, and reductions over axes.

use super::importer::{Importer, Value};
use super::movement::transposition;
use super::node::Node;
use super::window::{self, Sliding};
use crate::error::ModelError;
use crate::float::FloatOp;
use provenn_circuits::layers::Window;

/// The window of a pool, and the pool's shape.
fn pool(node: Node, value: &Value) -> Result<(Sliding, Vec<usize>), ModelError> {
    let spatial = window::spatial(node, &value.shape)?;
    let kernel = window::kernel_shape(node, spatial.len())?;
    let sliding = window::read(node, spatial, &kernel, node.flag("ceil_mode", false)?)?;
    window::check_covered(node, spatial, &sliding)?;
    let shape = [&value.shape[..2], &sliding.output[..]].concat();
    Ok((sliding, shape))
}

/// `MaxPool` without indices.
pub(super) fn max_pool(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    node.check_attributes(&[&window::ATTRIBUTES[..], &["ceil_mode", "storage_order"]].concat())?;
    node.check_operands(1)?;
    // The order is that of the indices, which are not given.
    node.flag("storage_order", false)?;
    let value = importer.value(node, 0)?;
    let (sliding, shape) = pool(node, &value)?;
    importer.output(node, FloatOp::MaxPool { window: sliding.window }, vec![value.id], shape)
}

/// `AveragePool` with every way to count padding.
pub(super) fn average_pool(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    node.check_attributes(&[&window::ATTRIBUTES[..], &["ceil_mode", "count_include_pad"]].concat())?;
    node.check_operands(1)?;
    let value = importer.value(node, 0)?;
    let include_pad = node.flag("count_include_pad", false)?;
    let (sliding, shape) = pool(node, &value)?;
    let include = if include_pad { sliding.pads } else { vec![[0, 0]; sliding.output.len()] };
    importer.output(node, FloatOp::AveragePool { window: sliding.window, include }, vec![value.id], shape)
}

/// `GlobalAveragePool`.
pub(super) fn global_average_pool(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    node.check_attributes(&[])?;
    node.check_operands(1)?;
    let value = importer.value(node, 0)?;
    let axes = global_axes(node, &value)?;
    mean_or_sum(importer, node, value, axes, true, true)
}

/// `GlobalMaxPool`.
pub(super) fn global_max_pool(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    node.check_attributes(&[])?;
    node.check_operands(1)?;
    let value = importer.value(node, 0)?;
    let axes = global_axes(node, &value)?;
    maximum(importer, node, value, axes, true)
}

fn global_axes(node: Node, value: &Value) -> Result<Vec<usize>, ModelError> {
    match value.shape.len() {
        rank @ 3.. => Ok((2..rank).collect()),
        _ => Err(node.shape_error(&value.shape, "a batch, channels and spatial axes")),
    }
}

/// `ReduceMean`.
pub(super) fn reduce_mean(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    let (value, axes, keep) = reduction(importer, node, 18)?;
    mean_or_sum(importer, node, value, axes, keep, true)
}

/// `ReduceSum`.
pub(super) fn reduce_sum(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    let (value, axes, keep) = reduction(importer, node, 13)?;
    mean_or_sum(importer, node, value, axes, keep, false)
}

/// `ReduceMax`.
pub(super) fn reduce_max(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    let (value, axes, keep) = reduction(importer, node, 18)?;
    maximum(importer, node, value, axes, keep)
}

/// The operand, the axes in increasing order, and whether they stay as axes of length 1. From operator set `operand` on the
/// axes are an operand.
fn reduction(importer: &Importer, node: Node, operand: i64) -> Result<(Value, Vec<usize>, bool), ModelError> {
    let value = importer.value(node, 0)?;
    let rank = value.shape.len();
    let keep = node.flag("keepdims", true)?;
    let (given, none_is_all) = if node.opset < operand {
        node.check_attributes(&["axes", "keepdims"])?;
        node.check_operands(1)?;
        (node.ints("axes")?.map(<[i64]>::to_vec), true)
    } else {
        node.check_attributes(&["keepdims", "noop_with_empty_axes"])?;
        node.check_operands(2)?;
        let axes = importer.optional_constant(node, 1)?;
        let axes = axes.map(|axes| axes.integers().map(<[i64]>::to_vec)).transpose()?;
        (axes, !node.flag("noop_with_empty_axes", false)?)
    };
    let mut axes = node.axes("axes", &given.unwrap_or_default(), rank)?;
    if axes.is_empty() && none_is_all {
        axes = (0..rank).collect();
    }
    axes.sort_unstable();
    Ok((value, axes, keep))
}

/// The shape without `axes`, or with length 1 along them.
fn reduced(shape: &[usize], axes: &[usize], keep: bool) -> Vec<usize> {
    let length = |axis: usize| if !axes.contains(&axis) { Some(shape[axis]) } else { keep.then_some(1) };
    (0..shape.len()).filter_map(length).collect()
}

fn mean_or_sum(
    importer: &mut Importer,
    node: Node,
    value: Value,
    axes: Vec<usize>,
    keep: bool,
    mean: bool,
) -> Result<(), ModelError> {
    let shape = reduced(&value.shape, &axes, keep);
    // A sum of one entry is that entry.
    if axes.iter().all(|&axis| value.shape[axis] == 1) {
        let output = node.output()?;
        let value = importer.reshaped(node, value, shape, Some(output))?;
        importer.give_value(output, value);
        return Ok(());
    }
    importer.output(node, FloatOp::Reduce { axes, mean }, vec![value.id], shape)
}

/// The largest entry over axes: a pool whose window is all of them.
fn maximum(
    importer: &mut Importer,
    node: Node,
    value: Value,
    axes: Vec<usize>,
    keep: bool,
) -> Result<(), ModelError> {
    let output = node.output()?;
    let shape = reduced(&value.shape, &axes, keep);
    if axes.iter().all(|&axis| value.shape[axis] == 1) {
        let value = importer.reshaped(node, value, shape, Some(output))?;
        importer.give_value(output, value);
        return Ok(());
    }
    let spatial = value.shape.len().saturating_sub(2);
    let is_pool = keep && (1..=3).contains(&spatial) && axes.iter().copied().eq(2..value.shape.len());
    if is_pool {
        let op = FloatOp::MaxPool { window: whole(&value.shape[2..]) };
        return importer.output(node, op, vec![value.id], shape);
    }
    // The axes become the last one of three.
    let kept = (0..value.shape.len()).filter(|axis| !axes.contains(axis));
    let perm: Vec<usize> = kept.chain(axes.iter().copied()).collect();
    let window: usize = axes.iter().map(|&axis| value.shape[axis]).product();
    let rows = value.shape.iter().product::<usize>() / window.max(1);
    let value = transposition(importer, node, value, &perm, None)?;
    let value = importer.reshaped(node, value, vec![1, rows, window], None)?;
    let op = FloatOp::MaxPool { window: whole(&[window]) };
    let value = importer.layer(node, op, vec![value.id], vec![1, rows, 1], None)?;
    let value = importer.reshaped(node, value, shape, Some(output))?;
    importer.give_value(output, value);
    Ok(())
}

/// The window that covers all of an input.
fn whole(lengths: &[usize]) -> Window {
    Window {
        // No length is above `MAX_ENTRIES`.
        kernel: lengths.iter().map(|&length| length as u32).collect(),
        strides: vec![1; lengths.len()],
        dilations: vec![1; lengths.len()],
        begin: vec![0; lengths.len()],
        end: vec![0; lengths.len()],
    }
}
