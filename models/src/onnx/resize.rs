//! Upsampling to the nearest entry: `Upsample` and `Resize`.

use super::importer::Importer;
use super::movement::{Placement, arrange};
use super::node::Node;
use super::window::length;
use crate::error::ModelError;

/// How an output position is mapped to the input.
struct Mapping<'a> {
    transformation: &'a str,
    nearest: &'a str,
}

/// `Upsample` of operator set 9.
pub(super) fn upsample(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    node.check_attributes(&["mode"])?;
    node.check_operands(2)?;
    resized(importer, node, Mapping { transformation: "asymmetric", nearest: "floor" }, Some(1), None, None)
}

/// `Resize` with `mode = nearest`.
pub(super) fn resize(importer: &mut Importer, node: Node) -> Result<(), ModelError> {
    if node.opset < 11 {
        node.check_attributes(&["mode"])?;
        node.check_operands(2)?;
        let mapping = Mapping { transformation: "asymmetric", nearest: "floor" };
        return resized(importer, node, mapping, Some(1), None, None);
    }
    let mut attributes = vec![
        "coordinate_transformation_mode",
        "cubic_coeff_a",
        "exclude_outside",
        "extrapolation_value",
        "mode",
        "nearest_mode",
    ];
    if node.opset >= 18 {
        attributes.extend(["antialias", "axes", "keep_aspect_ratio_policy"]);
    }
    node.check_attributes(&attributes)?;
    node.check_operands(4)?;
    let policy = node.text("keep_aspect_ratio_policy", "stretch")?;
    if policy != "stretch" {
        return Err(node.attribute_error("keep_aspect_ratio_policy", policy, "stretch"));
    }
    if node.flag("antialias", false)? {
        return Err(node.attribute_error("antialias", 1, 0));
    }
    let mapping = Mapping {
        transformation: node.text("coordinate_transformation_mode", "half_pixel")?,
        nearest: node.text("nearest_mode", "round_prefer_floor")?,
    };
    // Either is left out, or is an empty list.
    let given = |index: usize| -> Result<Option<usize>, ModelError> {
        Ok(importer.optional_constant(node, index)?.filter(|list| list.len() > 0).map(|_| index))
    };
    let (scales, sizes) = (given(2)?, given(3)?);
    resized(importer, node, mapping, scales, sizes, node.ints("axes")?)
}

/// Resizes by the operand `scales` or to the operand `sizes`, of which one must be there.
fn resized(
    importer: &mut Importer,
    node: Node,
    mapping: Mapping,
    scales: Option<usize>,
    sizes: Option<usize>,
    axes: Option<&[i64]>,
) -> Result<(), ModelError> {
    let value = importer.value(node, 0)?;
    let rank = value.shape.len();
    let axes = match axes {
        None => (0..rank).collect(),
        Some(axes) => node.axes("axes", axes, rank)?,
    };
    // Length and scale of the output along every axis.
    let targets: Vec<(usize, f64)> = match (scales, sizes) {
        (Some(index), None) => {
            let scales = importer.constant(node, index)?;
            let inputs = axes.iter().map(|&axis| value.shape[axis]);
            let target = |(input, &scale): (usize, &f32)| {
                let scale = f64::from(scale);
                Ok((length(node, (input as f64 * scale).floor() as i64)?, scale))
            };
            inputs.zip(scales.floats()?).map(target).collect::<Result<_, ModelError>>()?
        }
        (None, Some(index)) => {
            let sizes = importer.constant(node, index)?;
            let inputs = axes.iter().map(|&axis| value.shape[axis]);
            let target = |(input, &size): (usize, &i64)| {
                let size = length(node, size)?;
                Ok((size, size as f64 / input as f64))
            };
            inputs.zip(sizes.integers()?).map(target).collect::<Result<_, ModelError>>()?
        }
        _ => return Err(node.unsupported("it needs either scales or sizes")),
    };
    if targets.len() != axes.len() {
        return Err(
            node.unsupported(format!("its scales or sizes are not {} numbers, one for an axis", axes.len()))
        );
    }
    let mut placement = Placement::identity(&value.shape);
    let mut reads = Vec::new();
    for (&axis, (output, scale)) in axes.iter().zip(targets) {
        let input = value.shape[axis];
        if input == output && scale == 1.0 {
            continue;
        }
        let mode = node.text("mode", "nearest")?;
        if mode != "nearest" {
            return Err(node.attribute_error("mode", mode, "nearest"));
        }
        let places = (0..output)
            .map(|place| mapping.source(node, place, input, output, scale))
            .collect::<Result<Vec<_>, _>>()?;
        let (offset, stride, period) = regular(&places, input).ok_or_else(|| {
            let actual = format!("{}, which reads axis {axis} at uneven places", mapping.transformation);
            let expected = format!("places that a whole factor from {input} to {output} has");
            node.attribute_error("coordinate_transformation_mode", actual, expected)
        })?;
        placement.stretch(axis, offset, stride, period, output);
        reads.push((axis, places));
    }
    let name = node.output()?;
    // The engine has other defaults for what these versions leave open.
    if reads.is_empty() {
        importer.rewrite_as(node, node.needed(0)?)?;
    } else if node.opset < 13 {
        let nodes = importer.gathers(node, name, &reads)?;
        importer.rewrite(nodes);
    }
    let value = arrange(importer, node, &[value], placement, 0.0, Some(name))?;
    importer.give_value(name, value);
    Ok(())
}

impl Mapping<'_> {
    /// The input position that an output position reads.
    fn source(
        &self,
        node: Node,
        place: usize,
        input: usize,
        output: usize,
        scale: f64,
    ) -> Result<usize, ModelError> {
        let (place, last) = (place as f64, input as f64 - 1.0);
        let position = match self.transformation {
            "asymmetric" => place / scale,
            "half_pixel" => (place + 0.5) / scale - 0.5,
            "pytorch_half_pixel" if output == 1 => 0.0,
            "pytorch_half_pixel" => (place + 0.5) / scale - 0.5,
            "half_pixel_symmetric" => {
                // The scale that the rounded length has, around the same middle.
                let adjusted = output as f64 / (input as f64 * scale);
                let offset = input as f64 / 2.0 * (1.0 - adjusted);
                offset + (place + 0.5) / scale - 0.5
            }
            "align_corners" if output == 1 => 0.0,
            "align_corners" => place * last / (output as f64 - 1.0),
            "tf_half_pixel_for_nn" => (place + 0.5) / scale,
            other => {
                let expected =
                    "asymmetric, half_pixel, pytorch_half_pixel, half_pixel_symmetric or align_corners";
                return Err(node.attribute_error("coordinate_transformation_mode", other, expected));
            }
        };
        let nearest = match self.nearest {
            "floor" => position.floor(),
            "ceil" => position.ceil(),
            "round_prefer_floor" => (position - 0.5).ceil(),
            "round_prefer_ceil" => (position + 0.5).floor(),
            other => {
                let expected = "floor, ceil, round_prefer_floor or round_prefer_ceil";
                return Err(node.attribute_error("nearest_mode", other, expected));
            }
        };
        Ok(nearest.clamp(0.0, last) as usize)
    }
}

/// Offset, stride and period of places `offset + stride * floor(o / period)`, if they are of this form.
fn regular(places: &[usize], input: usize) -> Option<(i64, i64, usize)> {
    let form = |period: usize| {
        let offset = *places.first()? as i64;
        let stride = places.get(period).map_or(1, |&place| place as i64 - offset);
        let fits = |(o, &place): (usize, &usize)| place as i64 == offset + stride * (o / period) as i64;
        // All from one place is a long period, not a stride of 0.
        (stride != 0 && places.iter().enumerate().all(fits)).then_some((offset, stride, period))
    };
    let factor = places.len() / input.max(1);
    let whole = factor > 1 && places.len().is_multiple_of(factor);
    form(1).or_else(|| whole.then(|| form(factor)).flatten())
}
