//! Functions inside a requantization: ranges of clamps, tables of curves.
//!
//! A curve is looked up at the rounded quotient, which then has a scale of its own, finer than that of the result:
//! the table's `2^(bits + 1)` rows cover the calibrated extent with a quarter of headroom, less what lies where the curve is
//! constant to a quarter of a result's step. `bits` is the smallest of 8 to 12 for which one step of the argument changes the
//! result by at most half a step.

use super::calibrate::Extent;
use super::scales::{dyadic, rounded};
use crate::scale::scale_to_f64;
use provenn_circuits::functions::{Curve, Sampled};
use provenn_circuits::model::Range;

/// Bits that a fused curve's table may have.
const TABLE_BITS: std::ops::RangeInclusive<u8> = 8..=12;
/// Headroom of the argument over its calibrated extent.
const ARGUMENT_HEADROOM: f64 = 1.25;
/// Bits with which a curve is explored.
const FINE_BITS: u8 = 12;
/// Scales that a table takes.
const SCALES: (f64, f64) = (1e-11, 1e11);

/// The dyadic scale nearest to `value` that a table takes.
pub(super) fn table_scale(value: f64) -> f64 {
    rounded(value.clamp(SCALES.0, SCALES.1))
}

/// Scale and bits of a curve's argument.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Argument {
    pub(super) scale: f64,
    pub(super) bits: u8,
}

impl Argument {
    /// For an argument of this extent and a result of this scale and range. The scale is at least `smallest`.
    pub(super) fn of(curve: Curve, argument: Extent, scale: f64, range: Range, smallest: f64) -> Argument {
        let reach = argument.magnitude() * ARGUMENT_HEADROOM;
        let half = 1i64 << FINE_BITS;
        let fine = table_scale(reach / half as f64);
        let most = Range::signed(15);
        // A quarter of a step, or as fine as the largest result allows.
        let largest = range.lo.unsigned_abs().max(range.hi.unsigned_abs()) as f64;
        let part = f64::max(0.25, largest / most.hi as f64);
        let output = dyadic(table_scale(scale * part));
        let steps = Sampled { curve, input: dyadic(fine), output, bits: FINE_BITS }.column(most);
        let index = |x: f64| ((x * ARGUMENT_HEADROOM / fine).round() as i64).clamp(-half, half - 1) + half;
        let (lo, hi) = (index(argument.lo.min(0.0)) as usize, index(argument.hi.max(0.0)) as usize);
        let inner = &steps[lo..=hi];
        let constant = |steps: &mut dyn Iterator<Item = &i64>, end: i64| {
            steps.take_while(|step| (**step - end).abs() <= 1).count() as i64
        };
        let first = lo as i64 + constant(&mut inner.iter(), inner[0]) - half;
        let last = hi as i64 - constant(&mut inner.iter().rev(), inner[inner.len() - 1]) - half;
        let reach = first.abs().max(last.abs()).clamp(1, half) as f64 * fine;
        let slope =
            inner.windows(2).map(|pair| (pair[1] - pair[0]).abs()).max().unwrap_or(0) as f64 * part / fine;
        let step = |bits: u8| reach / ((1i64 << bits) - 1) as f64;
        let bits = TABLE_BITS.clone().find(|&bits| step(bits) * slope <= 0.5).unwrap_or(*TABLE_BITS.end());
        Argument { scale: table_scale(step(bits).max(smallest)), bits }
    }
}

/// Scale and range of a curve's result, `bits` wide, for a result of this extent; or the range for a given scale.
pub(super) fn result(extent: Extent, bits: u8, headroom: f64, scale: Option<f64>) -> (f64, Range) {
    let steps = (1i64 << bits) - 1;
    let (lo, hi) = (extent.lo.min(0.0) * headroom, extent.hi.max(0.0) * headroom);
    let width = if hi > lo { hi - lo } else { 1.0 };
    let scale = scale.unwrap_or_else(|| table_scale(width / steps as f64));
    let first = ((lo / scale).floor() as i64).clamp(-(steps + 1).min(1 << 13), 0);
    (scale, Range::new(first, (first + steps).clamp(0, (1 << 13) - 1)))
}

/// The extent of a curve over an extent of its argument.
pub(super) fn curve_extent(curve: Curve, argument: Extent) -> Extent {
    let half = 1i64 << 10;
    let input = dyadic(table_scale(argument.magnitude() / half as f64));
    let index = |x: f64| (x / scale_to_f64(input)).round() as i64;
    let (lo, hi) = (index(argument.lo), index(argument.hi).max(index(argument.lo)));
    let range = Range::signed(15);
    // The finest step with which the largest value still fits.
    let mut extent = Extent { lo: 0.0, hi: 0.0 };
    for exponent in -24..=24 {
        let output = dyadic(2f64.powi(exponent));
        let sampled = Sampled { curve, input, output, bits: 10 };
        let values: Vec<i64> = (lo..=hi).map(|q| sampled.value(q, range)).collect();
        let (least, most) = values.iter().fold((i64::MAX, i64::MIN), |(a, b), &v| (a.min(v), b.max(v)));
        let scale = scale_to_f64(output);
        extent = Extent { lo: least as f64 * scale, hi: most as f64 * scale };
        if range.lo < least && most < range.hi {
            break;
        }
    }
    extent
}

/// The part of `range` between `lo` and `hi`, in steps of `scale`; at least one value.
pub(super) fn clamped(range: Range, scale: f64, lo: f32, hi: f32) -> Range {
    let steps = |x: f32| range.clamp((f64::from(x) / scale).round() as i64);
    let (lo, hi) = (steps(lo), steps(hi));
    Range::new(lo.min(hi), hi)
}

/// Signed range of `bits` bits without its most negative value.
pub(super) fn symmetric(bits: u8) -> Range {
    let hi = Range::signed(bits.into()).hi;
    Range::new(-hi, hi)
}
