//! Sliding windows: kernel, strides, dilations and padding of convolutions and pools.

use super::constant::entries_of;
use super::node::Node;
use crate::error::ModelError;
use provenn_circuits::layers::Window;
use provenn_circuits::model::{MAX_ENTRIES, Range};

/// Attributes of every operator with a window.
pub(super) const ATTRIBUTES: [&str; 5] = ["auto_pad", "dilations", "kernel_shape", "pads", "strides"];
/// Numbers that an attribute of a window may hold: sums and products of them fit 64 bits.
const STEPS: Range = Range { lo: 1, hi: i32::MAX as i64 };

/// A window over an input, with what it gives.
pub(super) struct Sliding {
    pub(super) window: Window,
    /// Spatial lengths of the output.
    pub(super) output: Vec<usize>,
    /// Padding that the model names: that of the window has more at the end where a last window goes over it.
    pub(super) pads: Vec<[u32; 2]>,
}

/// One spatial axis.
struct Axis {
    input: i64,
    kernel: i64,
    stride: i64,
    dilation: i64,
}

impl Axis {
    /// Input positions from the first to the last of a window.
    fn extent(&self) -> i64 {
        (self.kernel - 1) * self.dilation + 1
    }
}

/// The spatial axes of a `[batch, channels, spatial..]` value of 1 to 3 of them.
pub(super) fn spatial<'a>(node: Node, shape: &'a [usize]) -> Result<&'a [usize], ModelError> {
    match shape {
        [_, _, spatial @ ..] if (1..=3).contains(&spatial.len()) => Ok(spatial),
        _ => Err(node.shape_error(shape, "a batch, channels and 1 to 3 spatial axes")),
    }
}

/// Reads the window over `input`; `ceil` keeps a last window that goes over the end.
pub(super) fn read(node: Node, input: &[usize], kernel: &[usize], ceil: bool) -> Result<Sliding, ModelError> {
    let axes = axes(node, input, kernel)?;
    let pads = padding(node, &axes)?;
    let same = matches!(node.text("auto_pad", "NOTSET")?, "SAME_UPPER" | "SAME_LOWER");
    let mut sliding = Sliding {
        window: Window {
            kernel: axes.iter().map(|axis| axis.kernel as u32).collect(),
            strides: axes.iter().map(|axis| axis.stride as u32).collect(),
            dilations: axes.iter().map(|axis| axis.dilation as u32).collect(),
            begin: pads.iter().map(|pad| pad[0] as u32).collect(),
            end: Vec::with_capacity(axes.len()),
        },
        output: Vec::with_capacity(axes.len()),
        pads: pads.iter().map(|pad| pad.map(|p| p as u32)).collect(),
    };
    for (axis, &[begin, end]) in axes.iter().zip(&pads) {
        let free = axis.input + begin + end - axis.extent();
        if free < 0 {
            let expected = format!("at most {}, the padded input's length", axis.input + begin + end);
            return Err(node.attribute_error("kernel_shape", axis.extent(), expected));
        }
        let mut output = free / axis.stride + 1;
        // A window that would start behind the input and its first padding is no window.
        if ceil && !same && free % axis.stride != 0 && output * axis.stride < axis.input + begin {
            output += 1;
        }
        let end = end.max((output - 1) * axis.stride + axis.extent() - axis.input - begin);
        let end = u32::try_from(end).map_err(|_| node.attribute_error("pads", end, STEPS.hi))?;
        sliding.window.end.push(end);
        sliding.output.push(length(node, output)?);
    }
    check_size(node, input, &sliding.window)?;
    Ok(sliding)
}

/// Refuses windows of which one lies in the padding alone.
pub(super) fn check_covered(node: Node, input: &[usize], sliding: &Sliding) -> Result<(), ModelError> {
    let window = &sliding.window;
    for (axis, (&input, &output)) in input.iter().zip(&sliding.output).enumerate() {
        let (input, begin) = (input as i64, i64::from(window.begin[axis]));
        let (stride, dilation) = (i64::from(window.strides[axis]), i64::from(window.dilations[axis]));
        let kernel = i64::from(window.kernel[axis]);
        let covers = |o: usize| {
            let first = o as i64 * stride - begin;
            let position = if first < 0 { (-first + dilation - 1) / dilation } else { 0 };
            position < kernel && first + position * dilation < input
        };
        if let Some(o) = (0..output).find(|&o| !covers(o)) {
            let actual = format!("{:?}", sliding.pads);
            let expected = format!("less padding: window {o} of spatial axis {axis} has no input");
            return Err(node.attribute_error("pads", actual, expected));
        }
    }
    Ok(())
}

/// The kernel's lengths as the attribute `kernel_shape` has them.
pub(super) fn kernel_shape(node: Node, axes: usize) -> Result<Vec<usize>, ModelError> {
    let Some(kernel) = node.ints("kernel_shape")? else {
        return Err(node.attribute_error("kernel_shape", "missing", format!("{axes} lengths")));
    };
    numbers(node, "kernel_shape", Some(kernel), axes, STEPS.lo)?
        .into_iter()
        .map(|length| self::length(node, length))
        .collect()
}

/// The attribute `kernel_shape` of an operator with weights must be what the weights have.
pub(super) fn check_kernel_shape(node: Node, kernel: &[usize]) -> Result<(), ModelError> {
    match node.ints("kernel_shape")? {
        Some(actual) if !actual.iter().copied().eq(kernel.iter().map(|&k| k as i64)) => {
            let expected = format!("{kernel:?}, as in the weights");
            Err(node.attribute_error("kernel_shape", format!("{actual:?}"), expected))
        }
        _ => Ok(()),
    }
}

/// One number per axis, the same `default` for all if there is no attribute; numbers from `least` on.
pub(super) fn numbers(
    node: Node,
    attribute: &str,
    values: Option<&[i64]>,
    axes: usize,
    least: i64,
) -> Result<Vec<i64>, ModelError> {
    let Some(values) = values else { return Ok(vec![least; axes]) };
    if values.len() != axes || values.iter().any(|value| !(least..=STEPS.hi).contains(value)) {
        let expected = format!("{axes} numbers from {least} to {}", STEPS.hi);
        return Err(node.attribute_error(attribute, format!("{values:?}"), expected));
    }
    Ok(values.to_vec())
}

fn axes(node: Node, input: &[usize], kernel: &[usize]) -> Result<Vec<Axis>, ModelError> {
    let strides = numbers(node, "strides", node.ints("strides")?, input.len(), STEPS.lo)?;
    let dilations = numbers(node, "dilations", node.ints("dilations")?, input.len(), STEPS.lo)?;
    let steps = strides.into_iter().zip(dilations);
    Ok(input
        .iter()
        .zip(kernel)
        .zip(steps)
        .map(|((&input, &kernel), (stride, dilation))| Axis {
            input: input as i64,
            kernel: kernel as i64,
            stride,
            dilation,
        })
        .collect())
}

/// Padding before and after every axis.
fn padding(node: Node, axes: &[Axis]) -> Result<Vec<[i64; 2]>, ModelError> {
    let pads = numbers(node, "pads", node.ints("pads")?, 2 * axes.len(), 0)?;
    let auto = node.text("auto_pad", "NOTSET")?;
    if !matches!(auto, "" | "NOTSET") && pads.iter().any(|&pad| pad != 0) {
        return Err(node.attribute_error(
            "pads",
            format!("{pads:?}"),
            format!("none beside auto_pad {auto}"),
        ));
    }
    let same = |axis: &Axis| {
        let output = (axis.input + axis.stride - 1) / axis.stride;
        ((output - 1) * axis.stride + axis.extent() - axis.input).max(0)
    };
    match auto {
        "" | "NOTSET" | "VALID" => {
            Ok((0..axes.len()).map(|axis| [pads[axis], pads[axes.len() + axis]]).collect())
        }
        "SAME_UPPER" => Ok(axes.iter().map(same).map(|all| [all / 2, all - all / 2]).collect()),
        "SAME_LOWER" => Ok(axes.iter().map(same).map(|all| [all - all / 2, all / 2]).collect()),
        other => Err(node.attribute_error("auto_pad", other, "NOTSET, VALID, SAME_UPPER or SAME_LOWER")),
    }
}

/// A length that a tensor can have.
pub(super) fn length(node: Node, length: i64) -> Result<usize, ModelError> {
    usize::try_from(length).ok().filter(|&length| (1..=MAX_ENTRIES).contains(&length)).ok_or_else(|| {
        ModelError::Shape {
            place: format!("node {}", node.name()),
            expected: format!("lengths from 1 to {MAX_ENTRIES}"),
            actual: vec![length],
        }
    })
}

/// The padded input and the window must be of sizes that tensors can have.
fn check_size(node: Node, input: &[usize], window: &Window) -> Result<(), ModelError> {
    let padded: Vec<usize> = input
        .iter()
        .zip(window.begin.iter().zip(&window.end))
        .map(|(&length, (&begin, &end))| length + begin as usize + end as usize)
        .collect();
    if entries_of(&padded).is_none() {
        return Err(node.shape_error(&padded, format!("a padded input of at most {MAX_ENTRIES} entries")));
    }
    Ok(())
}
