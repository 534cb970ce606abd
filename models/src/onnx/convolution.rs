//! Convolutions, and transposed ones as convolutions of an input with zeros between its entries.

use super::constant::Constant;
use super::importer::{Importer, Value, check_shape};
use super::movement::{Placement, arrange};
use super::node::Node;
use super::window;
use crate::error::ModelError;
use crate::float::FloatOp;
use provenn_circuits::layers::Window;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::{AttributeProto, NodeProto};

/// What `Conv` and `ConvTranspose` have in common.
struct Kernel {
    groups: usize,
    weight: Vec<f32>,
    /// Weights as the file has them: the first two axes, then the kernel.
    shape: Vec<usize>,
    bias: Option<Vec<f32>>,
}

impl Kernel {
    fn lengths(&self) -> &[usize] {
        &self.shape[2..]
    }
}

/// `Conv` with constant weights.
pub(super) fn conv(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    node.check_attributes(&[&window::ATTRIBUTES[..], &["group"]].concat())?;
    node.check_operands(3)?;
    let value = importer.value(node, 0)?;
    let kernel = kernel(importer, node, &value, |shape, groups| [shape[0], shape[1].saturating_mul(groups)])?;
    let outputs = kernel.shape[0];
    let spatial = window::spatial(node, &value.shape)?;
    let sliding = window::read(node, spatial, kernel.lengths(), false)?;
    let shape = [&[value.shape[0], outputs], &sliding.output[..]].concat();
    let Kernel { groups, weight, bias, .. } = kernel;
    let op = FloatOp::Conv { groups, outputs, window: sliding.window, weight, bias };
    importer.output(node, op, vec![value.id], shape)
}

/// Reads weights and bias; `channels` gives output and input channels from the weights' shape and the number of groups.
fn kernel(
    importer: &Importer,
    node: Node,
    value: &Value,
    channels: impl Fn(&[usize], usize) -> [usize; 2],
) -> Result<Kernel, ModelError> {
    window::spatial(node, &value.shape)?;
    let weight = importer.constant(node, 1)?;
    let groups = node.int("group", 1)?;
    let bad_groups = |expected: String| node.attribute_error("group", groups, expected);
    let groups = usize::try_from(groups)
        .ok()
        .filter(|&groups| groups > 0)
        .ok_or_else(|| bad_groups("at least 1".to_owned()))?;
    if weight.shape.len() != value.shape.len() || weight.shape.contains(&0) {
        let expected = format!("weights {} with {} axes, none empty", weight.name, value.shape.len());
        return Err(node.shape_error(&weight.shape, expected));
    }
    let [outputs, inputs] = channels(&weight.shape, groups);
    if !value.shape[1].is_multiple_of(groups) || !outputs.is_multiple_of(groups) {
        let expected = format!("a divisor of {} channels and {outputs} outputs", value.shape[1]);
        return Err(bad_groups(expected));
    }
    if inputs != value.shape[1] {
        let expected = format!("weights {} for {} channels in {groups} groups", weight.name, value.shape[1]);
        return Err(node.shape_error(&weight.shape, expected));
    }
    window::check_kernel_shape(node, &weight.shape[2..])?;
    let bias =
        importer.optional_constant(node, 2)?.map(|bias| read_bias(node, &bias, outputs)).transpose()?;
    Ok(Kernel { groups, weight: weight.floats()?.to_vec(), shape: weight.shape.clone(), bias })
}

fn read_bias(node: Node, bias: &Constant, outputs: usize) -> Result<Vec<f32>, ModelError> {
    if bias.shape != [outputs] {
        return Err(node.shape_error(&bias.shape, format!("a bias {} of {outputs} entries", bias.name)));
    }
    Ok(bias.floats()?.to_vec())
}

/// `ConvTranspose` with constant weights: zeros between the input's entries, then a convolution with the kernel reversed and
/// its channels exchanged.
pub(super) fn conv_transpose(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    node.check_attributes(&[&window::ATTRIBUTES[..], &["group", "output_padding", "output_shape"]].concat())?;
    node.check_operands(3)?;
    let value = importer.value(node, 0)?;
    let kernel = kernel(importer, node, &value, |shape, groups| [shape[1].saturating_mul(groups), shape[0]])?;
    let plan = Transposed::read(node, window::spatial(node, &value.shape)?, kernel.lengths())?;
    if node.ints("output_shape")?.is_some() {
        importer.rewrite(vec![plan.padded(node)]);
    }
    let spread = spread(importer, node, value, &plan)?;
    let outputs = kernel.shape[1] * kernel.groups;
    let shape = [&[spread.shape[0], outputs], &plan.output[..]].concat();
    check_shape(node, &shape)?;
    let weight = reversed(&kernel);
    let Kernel { groups, bias, .. } = kernel;
    let window = plan.window();
    importer.output(node, FloatOp::Conv { groups, outputs, window, weight, bias }, vec![spread.id], shape)
}

/// The spatial axes of a transposed convolution.
struct Transposed {
    kernel: Vec<usize>,
    strides: Vec<i64>,
    dilations: Vec<i64>,
    /// Padding of the input with zeros between its entries, where each entry is followed by `stride - 1` of them; negative
    /// where some of them are cut off.
    pads: Vec<[i64; 2]>,
    output: Vec<usize>,
}

impl Transposed {
    fn read(node: Node, input: &[usize], kernel: &[usize]) -> Result<Self, ModelError> {
        let axes = input.len();
        let strides = window::numbers(node, "strides", node.ints("strides")?, axes, 1)?;
        let dilations = window::numbers(node, "dilations", node.ints("dilations")?, axes, 1)?;
        let extra = window::numbers(node, "output_padding", node.ints("output_padding")?, axes, 0)?;
        let mut pads = window::numbers(node, "pads", node.ints("pads")?, 2 * axes, 0)?;
        let auto = node.text("auto_pad", "NOTSET")?;
        if !matches!(auto, "" | "NOTSET" | "VALID" | "SAME_UPPER" | "SAME_LOWER") {
            return Err(node.attribute_error("auto_pad", auto, "NOTSET, VALID, SAME_UPPER or SAME_LOWER"));
        }
        let asked = node.ints("output_shape")?.map(|shape| {
            // Some exporters give the batch and the channels too.
            let spatial = if shape.len() == axes + 2 { &shape[2..] } else { shape };
            window::numbers(node, "output_shape", Some(spatial), axes, 1)
        });
        let asked = asked.transpose()?;
        let mut output = Vec::with_capacity(axes);
        for axis in 0..axes {
            let extent = (kernel[axis] as i64 - 1) * dilations[axis] + 1;
            let full = strides[axis] * (input[axis] as i64 - 1) + extra[axis] + extent;
            let target = match &asked {
                Some(asked) => Some(asked[axis]),
                None if auto.starts_with("SAME") => Some(input[axis] as i64 * strides[axis]),
                None => None,
            };
            if let Some(target) = target {
                let total = full - target;
                if total < 0 && asked.is_none() {
                    return Err(node.attribute_error("auto_pad", auto, "a kernel as long as the strides"));
                }
                // As the operator says: the odd one goes to the end for SAME_UPPER alone. What is missing is put there.
                let half = total / 2;
                (pads[axis], pads[axes + axis]) = match auto {
                    _ if total < 0 => (0, total),
                    "SAME_UPPER" => (half, total - half),
                    _ => (total - half, half),
                };
            }
            output.push(window::length(node, full - pads[axis] - pads[axes + axis])?);
        }
        let pads = (0..axes)
            .map(|axis| {
                let reach = (kernel[axis] as i64 - 1) * dilations[axis];
                [reach - pads[axis], reach - pads[axes + axis] + extra[axis] - (strides[axis] - 1)]
            })
            .collect();
        Ok(Transposed { kernel: kernel.to_vec(), strides, dilations, pads, output })
    }

    /// The node with padding in place of a shape, which the engine does not read.
    fn padded(&self, node: Node) -> NodeProto {
        let axes = || self.pads.iter().enumerate();
        let reach = |axis: usize| (self.kernel[axis] as i64 - 1) * self.dilations[axis];
        let begin = axes().map(|(axis, pad)| reach(axis) - pad[0]);
        // Padding that is missing at the end is what the operator calls output padding.
        let ends: Vec<i64> =
            axes().map(|(axis, pad)| reach(axis) - pad[1] - (self.strides[axis] - 1)).collect();
        let attribute = |name: &str, ints: Vec<i64>| AttributeProto {
            name: name.to_owned(),
            r#type: AttributeType::Ints as i32,
            ints,
            ..AttributeProto::default()
        };
        let mut proto = node.proto.clone();
        let replaced = ["auto_pad", "output_padding", "output_shape", "pads"];
        proto.attribute.retain(|attribute| !replaced.contains(&attribute.name.as_str()));
        let pads = begin.chain(ends.iter().map(|&end| end.max(0))).collect();
        proto.attribute.push(attribute("pads", pads));
        proto.attribute.push(attribute("output_padding", ends.iter().map(|&end| (-end).max(0)).collect()));
        proto
    }

    fn window(&self) -> Window {
        let pad = |side: usize| self.pads.iter().map(|pad| pad[side].max(0) as u32).collect();
        Window {
            kernel: self.kernel.iter().map(|&k| k as u32).collect(),
            strides: vec![1; self.kernel.len()],
            dilations: self.dilations.iter().map(|&d| d as u32).collect(),
            begin: pad(0),
            end: pad(1),
        }
    }
}

/// The input with `stride - 1` zeros after every entry, and cut where the padding is negative.
fn spread(importer: &mut Importer, node: Node, value: Value, plan: &Transposed) -> Result<Value, ModelError> {
    let mut spread = value;
    if plan.strides.iter().any(|&stride| stride != 1) {
        let mut placement = Placement::identity(&spread.shape);
        for (axis, &stride) in plan.strides.iter().enumerate() {
            let length = (spread.shape[axis + 2] as i64).checked_mul(stride).unwrap_or(i64::MAX);
            placement.insert(axis + 2, window::length(node, stride)?, window::length(node, length)?);
        }
        spread = arrange(importer, node, &[spread], placement, 0.0, None)?;
    }
    if plan.pads.iter().flatten().any(|&pad| pad < 0) {
        let mut placement = Placement::identity(&spread.shape);
        for (axis, &[begin, end]) in plan.pads.iter().enumerate() {
            let (begin, end) = ((-begin).max(0), (-end).max(0));
            let length = window::length(node, spread.shape[axis + 2] as i64 - begin - end)?;
            placement.slice(axis + 2, begin, 1, length);
        }
        spread = arrange(importer, node, &[spread], placement, 0.0, None)?;
    }
    Ok(spread)
}

/// Weights `[inputs, outputs / groups, kernel..]` as `[outputs, inputs / groups, kernel..]`, the kernel back to front.
fn reversed(kernel: &Kernel) -> Vec<f32> {
    let [inputs, outputs] = [kernel.shape[0] / kernel.groups, kernel.shape[1]];
    let size: usize = kernel.lengths().iter().product();
    let mut weight = Vec::with_capacity(kernel.weight.len());
    for group in 0..kernel.groups {
        for output in 0..outputs {
            for input in 0..inputs {
                let start = ((group * inputs + input) * outputs + output) * size;
                weight.extend(kernel.weight[start..start + size].iter().rev());
            }
        }
    }
    weight
}
