//! Functions that exporters write as several operators: they become one layer each.

use crate::float::{FloatFunction, FloatLayer, FloatOp};
use provenn_circuits::functions::Curve;

/// How far a constant may be from the number that it stands for, relatively.
const TOLERANCE: f64 = 1e-4;

/// Replaces every layer that ends a known pattern by the function of the pattern's operand. What led to it is left where it
/// is, and dead unless others read it.
pub(super) fn functions(layers: &mut [FloatLayer]) {
    for index in 0..layers.len() {
        let Some((curve, operand)) = Pattern { layers }.function(index + 1) else { continue };
        layers[index].op = FloatOp::Function(FloatFunction::Curve(curve));
        layers[index].inputs = vec![operand];
    }
}

struct Pattern<'a> {
    layers: &'a [FloatLayer],
}

impl Pattern<'_> {
    /// The function that a value is of another value.
    fn function(&self, value: usize) -> Option<(Curve, usize)> {
        let unscaled = |factor: f64| self.scaled(value, factor).and_then(|inner| self.product(inner));
        if let Some(pair) = self.product(value) {
            if let Some(x) = either(pair, |x, y| self.is_curve(y, x, |c| c == Curve::Sigmoid)) {
                return Some((Curve::Silu, x));
            }
            if let Some(x) = either(pair, |x, y| self.is_curve(y, x, is_hard_sigmoid) || self.is_sixth(y, x))
            {
                return Some((Curve::HardSwish, x));
            }
            let gelu = |a: usize, b: usize| {
                if let Some(x) = self.scaled(a, 0.5).filter(|&x| self.is_one_plus_erf(b, x)) {
                    return Some(x);
                }
                self.scaled(b, 0.5).filter(|&inner| self.is_one_plus_erf(inner, a)).map(|_| a)
            };
            return gelu(pair.0, pair.1).or_else(|| gelu(pair.1, pair.0)).map(|x| (Curve::Gelu, x));
        }
        if let Some(x) = unscaled(0.5).and_then(|pair| either(pair, |x, y| self.is_one_plus_erf(y, x))) {
            return Some((Curve::Gelu, x));
        }
        let x = unscaled(1.0 / 6.0).and_then(|pair| either(pair, |x, y| self.is_clipped(y, x)))?;
        Some((Curve::HardSwish, x))
    }

    fn layer(&self, value: usize) -> Option<&FloatLayer> {
        self.layers.get(value.checked_sub(1)?)
    }

    /// The two factors of a product of one shape.
    fn product(&self, value: usize) -> Option<(usize, usize)> {
        let layer = self.layer(value)?;
        match (&layer.op, layer.inputs.as_slice()) {
            (FloatOp::Product, &[a, b]) => Some((a, b)),
            _ => None,
        }
    }

    /// The operand of `factor x + offset` with the same numbers for all entries.
    fn line(&self, value: usize, factor: f64, offset: f64) -> Option<usize> {
        let layer = self.layer(value)?;
        let FloatOp::Affine { shape, weight, bias } = &layer.op else { return None };
        let all = |list: &Option<Vec<f32>>, none: f64, expected: f64| {
            let near = |x: f64| (x - expected).abs() <= TOLERANCE * expected.abs();
            list.as_ref().map_or(near(none), |list| list.iter().all(|&x| near(x.into())))
        };
        let fits =
            shape.iter().all(|&length| length == 1) && all(weight, 1.0, factor) && all(bias, 0.0, offset);
        layer.inputs.first().copied().filter(|_| fits)
    }

    fn scaled(&self, value: usize, factor: f64) -> Option<usize> {
        self.line(value, factor, 0.0)
    }

    /// Whether `value` is a curve of `operand`.
    fn is_curve(&self, value: usize, operand: usize, expected: impl Fn(Curve) -> bool) -> bool {
        self.layer(value).is_some_and(|layer| match layer.op {
            FloatOp::Function(FloatFunction::Curve(curve)) => expected(curve) && layer.inputs == [operand],
            _ => false,
        })
    }

    /// Whether `value` is `1 + erf(x / sqrt 2)`.
    fn is_one_plus_erf(&self, value: usize, x: usize) -> bool {
        let erf = self.line(value, 1.0, 1.0).and_then(|erf| self.layer(erf));
        erf.is_some_and(|erf| match (&erf.op, erf.inputs.as_slice()) {
            (FloatOp::Function(FloatFunction::Curve(Curve::Erf)), &[argument]) => {
                self.scaled(argument, std::f64::consts::FRAC_1_SQRT_2) == Some(x)
            }
            _ => false,
        })
    }

    /// Whether `value` is `clamp(x + 3, 0, 6)`.
    fn is_clipped(&self, value: usize, x: usize) -> bool {
        self.layer(value).is_some_and(|layer| match (&layer.op, layer.inputs.as_slice()) {
            (FloatOp::Function(FloatFunction::Clip { lo: 0.0, hi: 6.0 }), &[sum]) => {
                self.line(sum, 1.0, 3.0) == Some(x)
            }
            _ => false,
        })
    }

    /// Whether `value` is `clamp(x + 3, 0, 6) / 6`.
    fn is_sixth(&self, value: usize, x: usize) -> bool {
        self.scaled(value, 1.0 / 6.0).is_some_and(|clipped| self.is_clipped(clipped, x))
    }
}

/// The factor that `matches` takes as the first one.
fn either(pair: (usize, usize), matches: impl Fn(usize, usize) -> bool) -> Option<usize> {
    if matches(pair.0, pair.1) {
        return Some(pair.0);
    }
    matches(pair.1, pair.0).then_some(pair.1)
}

/// Whether a curve is `clamp(x / 6 + 1 / 2, 0, 1)`.
fn is_hard_sigmoid(curve: Curve) -> bool {
    let Curve::HardSigmoid { alpha, beta } = curve else { return false };
    let near = |mantissa: i32, exponent: i32, expected: f64| {
        (f64::from(mantissa) * 2f64.powi(exponent) - expected).abs() <= TOLERANCE * expected
    };
    near(alpha.mantissa, alpha.exponent, 1.0 / 6.0) && near(beta.mantissa, beta.exponent, 0.5)
}
