//! Scales and ranges of what is requantized.

use super::calibrate::{Calibration, Extent};
use super::concat::{Classes, Origin};
use super::functions::{Argument, clamped, result, symmetric};
use super::layer::{Value, pooled};
use super::linear::{RealLayer, Row};
use super::plan::{Block, Graph};
use super::scales::{Scales, dyadic, rounded};
use super::{QuantizeOptions, refused};
use crate::error::ModelError;
use crate::float::{FloatFunction, FloatOp};
use crate::scale::{power_of_two, scale_from_f64, scale_to_f64};
use provenn_circuits::functions::Sampled;
use provenn_circuits::layers::Function;
use provenn_circuits::model::Range;

/// A quiet channel's scale is at least that of the layer's loudest divided by this.
const CHANNEL_SPREAD: f64 = 8.0;
/// Headroom of a requantized output over its calibrated maximum.
const OUTPUT_HEADROOM: f64 = 1.25;
/// Why no shift fits.
pub(super) const TOO_LARGE: &str = "its weights are too large for the scale of its output";

/// What a block's accumulator becomes.
pub(super) struct Target {
    /// Scales of the rounded quotients, or of the raw accumulators, in the order of the layer's rows, or one for all.
    pub(super) quotients: Vec<f64>,
    pub(super) shift: i32,
    /// `None` gives the accumulator itself.
    pub(super) requantize: Option<(Function, Range)>,
    /// Scales of the output.
    pub(super) output: Scales,
}

/// A scale that the model itself gives.
pub(super) fn own_scale(name: &str, scale: f64) -> Result<f64, ModelError> {
    match scale_from_f64(scale) {
        Some(scale) => Ok(scale_to_f64(scale)),
        None => Err(refused(name, format!("its scale is {scale}"))),
    }
}

/// The range that a block's output should have.
struct Wish {
    bits: u8,
    range: Range,
    headroom: f64,
}

/// Decides scales and ranges.
pub(super) struct Targets<'a> {
    graph: &'a Graph<'a>,
    calibration: &'a Calibration,
    options: &'a QuantizeOptions,
    classes: Classes,
}

impl<'a> Targets<'a> {
    pub(super) fn new(
        graph: &'a Graph<'a>,
        calibration: &'a Calibration,
        options: &'a QuantizeOptions,
        input_scale: f64,
    ) -> Self {
        let targets = Targets { graph, calibration, options, classes: Classes::default() };
        let classes = Classes::new(graph, |value| match value {
            0 => Some(Origin::Fixed(input_scale)),
            value => targets.origin(value - 1),
        });
        Targets { classes, ..targets }
    }

    /// The scale that a concatenation asks for.
    pub(super) fn common(&self, value: usize) -> Option<f64> {
        self.classes.target.get(value).copied().flatten()
    }

    /// How the output of a step comes by its scale; `None` for what keeps its operands' scale.
    fn origin(&self, index: usize) -> Option<Origin> {
        let Some(block) = &self.graph.blocks[index] else {
            // Inside of a block, or its end.
            let block = self.graph.blocks[self.graph.ends[index]?].as_ref()?;
            return Some(self.block_origin(block));
        };
        let op = &self.graph.steps[index].op;
        let rounds = op.accumulates()
            || block.quantize.is_some()
            || matches!(op, FloatOp::Function(FloatFunction::Curve(_)));
        rounds.then(|| self.block_origin(block))
    }

    fn block_origin(&self, block: &Block) -> Origin {
        if let Some((scale, _)) = block.quantize {
            return Origin::Fixed(scale);
        }
        let wish = self.wish(block, false);
        let extent = self.calibration.whole(block.applied + 1);
        let scale = match block.function {
            Some(FloatFunction::Curve(_)) => result(extent, wish.bits, wish.headroom, None).0,
            _ => {
                let extent = if wish.range.lo == 0 { extent.hi.max(0.0) } else { extent.magnitude() };
                extent * wish.headroom / wish.range.hi as f64
            }
        };
        Origin::Free(if scale > 0.0 { rounded(scale) } else { 0.0 })
    }

    fn wish(&self, block: &Block, nonnegative: bool) -> Wish {
        let last = self.graph.reaches_output(block.last + 1);
        let bits = if last { self.options.output_bits } else { self.options.activation_bits };
        let rectified = match block.function {
            Some(FloatFunction::Relu) => true,
            Some(FloatFunction::Clip { lo, .. }) => lo >= 0.0,
            Some(FloatFunction::Curve(_)) => self.calibration.whole(block.applied + 1).lo >= 0.0,
            None => nonnegative,
        };
        let range = if rectified { Range::unsigned(bits.into()) } else { symmetric(bits) };
        Wish { bits, range, headroom: if last { OUTPUT_HEADROOM } else { 1.0 } }
    }

    /// Scale and range of a curve's result.
    pub(super) fn curve_result(&self, block: &Block) -> Result<(f64, Range), ModelError> {
        if let Some((scale, range)) = block.quantize {
            return Ok((own_scale(self.graph.name(block), scale)?, range));
        }
        let wish = self.wish(block, false);
        let extent = self.calibration.whole(block.applied + 1);
        Ok(result(extent, wish.bits, wish.headroom, self.common(block.last + 1)))
    }

    /// What the accumulators become. `channels` is the operand whose channels keep their scales, up to a factor.
    pub(super) fn target(
        &self,
        block: &Block,
        real: &RealLayer,
        rows: &[Row],
        channels: Option<&Value>,
        nonnegative: bool,
    ) -> Result<Target, ModelError> {
        let name = self.graph.name(block);
        let smallest = rows.iter().map(|row| real.smallest_scale(row)).fold(0.0, f64::max);
        let shift = |quotients: &[f64]| {
            real.shift(rows, quotients).ok_or_else(|| refused(name, TOO_LARGE.to_owned()))
        };
        if let Some(FloatFunction::Curve(curve)) = block.function {
            let (scale, output) = self.curve_result(block)?;
            let value = match block.core == block.applied {
                true => self.graph.steps[block.core].inputs[0],
                false => block.core + 1,
            };
            let argument = Argument::of(curve, self.calibration.whole(value), scale, output, smallest);
            let function = Function::Table(Sampled {
                curve,
                input: dyadic(argument.scale),
                output: dyadic(scale),
                bits: argument.bits,
            });
            let quotients = vec![argument.scale];
            let shift = shift(&quotients)?;
            return Ok(Target {
                shift,
                quotients,
                requantize: Some((function, output)),
                output: Scales::one(scale),
            });
        }
        let clamp = self.graph.steps[block.applied].op.clamp().filter(|_| block.function.is_some());
        let finish = |range: Range, scale: f64| {
            let Some((lo, hi)) = clamp else { return (Function::Identity, range) };
            let output = clamped(range, scale, lo, hi);
            (if lo == 0.0 && output.lo == 0 { Function::Relu } else { Function::Identity }, output)
        };
        if let Some((scale, range)) = block.quantize {
            let scale = own_scale(name, scale)?;
            let quotients = vec![scale];
            let (shift, requantize) = (shift(&quotients)?, Some(finish(range, scale)));
            return Ok(Target { shift, quotients, requantize, output: Scales::one(scale) });
        }
        if clamp.is_none() && channels.is_none() && self.graph.is_output(block.last + 1) {
            let scale = power_of_two(real.accumulator_exponent(rows));
            return Ok(Target {
                quotients: vec![scale],
                shift: 0,
                requantize: None,
                output: Scales::one(scale),
            });
        }
        let wish = self.wish(block, nonnegative);
        let magnitude = |extent: &Extent| match wish.range.lo >= 0 {
            true => extent.hi.max(0.0),
            false => extent.magnitude(),
        };
        let mut extents: Vec<f64> =
            self.calibration.extents[block.applied + 1].iter().map(magnitude).collect();
        if let Some(operand) = channels {
            return self.channel_target(block, &wish, operand, &extents, smallest, shift);
        }
        if extents.len() != rows.len() {
            let loudest = extents.iter().copied().fold(0.0, f64::max);
            extents = vec![loudest; rows.len()];
        }
        if extents.iter().all(|&extent| extent == 0.0) {
            // Calibration has not seen this layer do anything: allow for all that it could do.
            extents = rows.iter().map(|row| row.bound).collect();
        }
        let loudest = extents.iter().copied().fold(0.0, f64::max);
        if loudest == 0.0 {
            extents.fill(1.0);
        }
        let wanted = |extent: f64, row: &Row| {
            let wanted = extent.max(loudest / CHANNEL_SPREAD) * wish.headroom / wish.range.hi as f64;
            wanted.max(real.smallest_scale(row)).max(f64::MIN_POSITIVE)
        };
        let quotients: Vec<f64> =
            extents.iter().zip(rows).map(|(&extent, row)| wanted(extent, row)).collect();
        let own = self.calibration.channels[block.core + 1];
        let upper = clamp.map_or(f64::INFINITY, |(_, hi)| f64::from(hi) * (1.0 + 1e-6));
        let per_channel = own.count == rows.len()
            && rows.len() > 1
            && !matches!(self.graph.steps[block.core].op, FloatOp::Affine { weight: None, .. })
            && clamp.is_none_or(|(lo, _)| lo == 0.0)
            && quotients.iter().all(|scale| scale * wish.range.hi as f64 <= upper)
            && self.common(block.last + 1).is_none()
            && self.graph.absorbs(block.last + 1, own);
        if per_channel {
            let function = if clamp.is_some() { Function::Relu } else { Function::Identity };
            let output = Scales { values: quotients.clone(), inner: own.inner };
            return Ok(Target {
                shift: shift(&quotients)?,
                quotients,
                requantize: Some((function, wish.range)),
                output,
            });
        }
        let shared = quotients.iter().copied().fold(0.0, f64::max);
        let common = self.common(block.last + 1).map_or(shared, |common| common.max(smallest));
        let scale = rounded(common);
        Ok(Target {
            shift: shift(&[scale])?,
            quotients: vec![scale],
            requantize: Some(finish(wish.range, scale)),
            output: Scales::one(scale),
        })
    }

    /// A sum over spatial axes of a value whose channels have their own scales: they keep them, up to a common factor.
    fn channel_target(
        &self,
        block: &Block,
        wish: &Wish,
        operand: &Value,
        extents: &[f64],
        smallest: f64,
        shift: impl Fn(&[f64]) -> Result<i32, ModelError>,
    ) -> Result<Target, ModelError> {
        let Scales { values, inner } = pooled(operand, &self.graph.steps[block.core].shape);
        let wanted = values.iter().zip(extents.iter().cycle()).map(|(scale, extent)| extent / scale);
        let wanted = wanted.fold(0.0, f64::max) / wish.range.hi as f64;
        let factor = if wanted > 0.0 { wanted } else { 1.0 }.max(smallest);
        let function = if block.function.is_some() { Function::Relu } else { Function::Identity };
        Ok(Target {
            shift: shift(&[factor])?,
            quotients: vec![factor],
            requantize: Some((function, wish.range)),
            output: Scales { values: values.iter().map(|scale| scale * factor).collect(), inner },
        })
    }
}
