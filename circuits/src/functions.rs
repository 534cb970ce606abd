//! Non-linear functions that become look-up tables, by integer arithmetic alone.
//!
//! Prover and verifier must build the same table, to the last bit, on every platform. So nothing here is a
//! float of the machine or a libm: a curve is evaluated on reals of 62 significant bits and an exponent,
//! from the series named at each function.
//!
//! By the error terms of the series a value is off by less than `2^-46` of itself before it is rounded, so a table entry
//! within `+-2^14` is the nearest integer whenever the true value is not within `2^-32` of a tie; the tests compare with
//! 64-bit floats, to `10^-6` of a step. `LeakyRelu`, `HardSigmoid`, `HardSwish`, `Abs`, `Even`, `Sqrt` and the positive half
//! of `Elu` are exact, and their ties go up, those of `Even` to the even step.
//!
//! Sources: M. Abramowitz and I. A. Stegun, *Handbook of Mathematical Functions* (A&S); NIST *Digital Library
//! of Mathematical Functions* (DLMF); W. J. Cody and W. Waite, *Software Manual for the Elementary
//! Functions*, 1980.

use crate::error::CircuitError;
use crate::model::{Range, Scale};
use bincode::{Decode, Encode};
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::ops::{Add, Div, Mul, Neg, Sub};

/// A real number `mantissa * 2^exponent`, exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
pub struct Dyadic {
    /// Mantissa, not zero.
    pub mantissa: i32,
    /// Power of two, -64 to 16.
    pub exponent: i32,
}

/// Functions of one real variable, each an operator of ONNX.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
pub enum Curve {
    /// `LeakyRelu`: `x` if `x >= 0`, else `alpha x`.
    LeakyRelu {
        /// Slope below zero.
        alpha: Dyadic,
    },
    /// `HardSigmoid`: `clamp(alpha x + beta, 0, 1)`.
    HardSigmoid {
        /// Slope.
        alpha: Dyadic,
        /// Value at zero.
        beta: Dyadic,
    },
    /// `HardSwish`: `x clamp(x / 6 + 1 / 2, 0, 1)`.
    HardSwish,
    /// `Sigmoid`: `1 / (1 + e^-x)`.
    Sigmoid,
    /// `Tanh`: `(e^x - e^-x) / (e^x + e^-x)`.
    Tanh,
    /// `Elu`: `x` if `x >= 0`, else `alpha (e^x - 1)`.
    Elu {
        /// Minus the limit at minus infinity.
        alpha: Dyadic,
    },
    /// `Softplus`: `ln(1 + e^x)`.
    Softplus,
    /// `Gelu`: `x / 2 (1 + erf(x / sqrt 2))`.
    Gelu,
    /// `Gelu` with `approximate = "tanh"`: `x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))`.
    GeluTanh,
    /// `Swish` with `alpha = 1`, that is `Mul` of `x` and `Sigmoid`: `x / (1 + e^-x)`.
    Silu,
    /// `Erf`: `2 / sqrt(pi)` times the integral of `e^-t^2` from 0 to `x`.
    Erf,
    /// `Exp`: `e^x`.
    Exp,
    /// `Sqrt`, zero below zero: `sqrt(max(x, 0))`.
    Sqrt,
    /// `Abs`: `|x|`.
    Abs,
    /// `x`, and alone of all curves with ties to the even step, as `QuantizeLinear` rounds.
    Even,
}

impl Curve {
    /// Name for people.
    pub fn name(&self) -> &'static str {
        match self {
            Curve::LeakyRelu { .. } => "leaky relu",
            Curve::HardSigmoid { .. } => "hard sigmoid",
            Curve::HardSwish => "hard swish",
            Curve::Sigmoid => "sigmoid",
            Curve::Tanh => "tanh",
            Curve::Elu { .. } => "elu",
            Curve::Softplus => "softplus",
            Curve::Gelu => "gelu",
            Curve::GeluTanh => "gelu by tanh",
            Curve::Silu => "silu",
            Curve::Erf => "erf",
            Curve::Exp => "exp",
            Curve::Sqrt => "square root",
            Curve::Abs => "absolute value",
            Curve::Even => "identity, halves to even",
        }
    }
}

/// A curve sampled on integers: `q -> round(curve(q * input) / output)` for `q` in `[-2^bits, 2^bits)`, to
/// the nearest integer, ties up, except of [`Curve::Even`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Sampled {
    /// The function.
    pub curve: Curve,
    /// Real value of one step of the argument.
    pub input: Scale,
    /// Real value of one step of the result.
    pub output: Scale,
    /// Bits of the domain, 1 to 13.
    pub bits: u8,
}

impl Sampled {
    /// Checks that every parameter is in its domain: `bits` 1 to 13, mantissas not zero, exponents -64 to 32
    /// of the scales and -64 to 16 of the curve's parameters. Then no intermediate result overflows.
    ///
    /// # Errors
    /// [`CircuitError::Parameter`] with `node` and the parameter that is not.
    pub fn check(&self, node: usize) -> Result<(), CircuitError> {
        let limit = |what, value, lo, hi| CircuitError::limit(Some(node), what, value, lo, hi);
        let scale = |mantissa, exponent, of: Scale| {
            limit(mantissa, of.mantissa.into(), 1, u32::MAX.into())?;
            limit(exponent, of.exponent.into(), -64, 32)
        };
        let parameter = |mantissa, exponent, of: Dyadic| {
            limit(mantissa, of.mantissa.unsigned_abs().into(), 1, 1 << 31)?;
            limit(exponent, of.exponent.into(), -64, 16)
        };
        limit("function's table bits", self.bits.into(), 1, 13)?;
        scale("function's input mantissa", "function's input exponent", self.input)?;
        scale("function's output mantissa", "function's output exponent", self.output)?;
        match self.curve {
            Curve::LeakyRelu { alpha } | Curve::Elu { alpha } => {
                parameter("magnitude of alpha's mantissa", "exponent of alpha", alpha)
            }
            Curve::HardSigmoid { alpha, beta } => {
                parameter("magnitude of alpha's mantissa", "exponent of alpha", alpha)?;
                parameter("magnitude of beta's mantissa", "exponent of beta", beta)
            }
            _ => Ok(()),
        }
    }

    /// The value at `q`, which is saturated to the domain, saturated to `range`. Never panics if the
    /// parameters pass [`Sampled::check`] and `range`, within `+-2^14`, is not empty.
    pub fn value(&self, q: i64, range: Range) -> i64 {
        let half = 1i64 << self.bits;
        let n = q.clamp(-half, half - 1) * i64::from(self.input.mantissa);
        let (n, e, d) = self.curve.at(n.into(), self.input.exponent);
        let (e, d) = (e - self.output.exponent, d * i128::from(self.output.mantissa));
        let up = nearest(n, e, d);
        // Ties down are ties up of the negative; where the two differ, one of them is even.
        let steps = if self.curve == Curve::Even && up % 2 != 0 { -nearest(-n, e, d) } else { up };
        steps.clamp(range.lo.into(), range.hi.into()) as i64
    }

    /// The values at all `q` from `-2^bits` to `2^bits - 1`, saturated to `range`.
    pub fn column(&self, range: Range) -> Vec<i64> {
        let half = 1i64 << self.bits;
        (-half..half).map(|q| self.value(q, range)).collect()
    }

    /// What tables are ordered by; scales have no order of their own.
    fn key(&self) -> (Curve, [u32; 2], [i32; 2], u8) {
        let (input, output) = (self.input, self.output);
        (self.curve, [input.mantissa, output.mantissa], [input.exponent, output.exponent], self.bits)
    }
}

impl Hash for Sampled {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl PartialOrd for Sampled {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Sampled {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl Curve {
    /// The value at `x = n 2^e`, `|n| < 2^46`, as numerator, exponent and denominator of
    /// `numerator 2^exponent / denominator`; the denominator is at most 6.
    fn at(self, n: i128, e: i32) -> (i128, i32, i128) {
        let x = Real::new(n, e);
        let y = match self {
            Curve::LeakyRelu { .. } | Curve::Elu { .. } if n >= 0 => return (n, e, 1),
            Curve::LeakyRelu { alpha } => return (n * i128::from(alpha.mantissa), e + alpha.exponent, 1),
            Curve::HardSigmoid { alpha, beta } => {
                // Rounding alpha x down to 72 fraction bits is exact: 0, 1, beta and the halves of output
                // steps, all it is compared with, are multiples of 2^-65. Beyond +-2^48 beta, below 2^47,
                // cannot matter.
                let product = scaled(n * i128::from(alpha.mantissa), e + alpha.exponent + 72);
                let sum =
                    product.clamp(-1 << 120, 1 << 120) + (i128::from(beta.mantissa) << (beta.exponent + 72));
                return (sum.clamp(0, 1 << 72), -72, 1);
            }
            Curve::HardSwish => {
                let (n, e) = (n << e.max(0), e.min(0));
                let three = 3i128 << -e;
                return match n {
                    _ if n <= -three => (0, 0, 1),
                    _ if n >= three => (n, e, 1),
                    _ => (n * (n + three), 2 * e, 6),
                };
            }
            Curve::Abs => return (n.abs(), e, 1),
            Curve::Even => return (n, e, 1),
            Curve::Sqrt => {
                // An even exponent and as many bits as fit. The integer root has 62 bits or more: below 2^14
                // output steps its unit divides half a step, so that rounding it down changes nothing.
                let n = n.max(0) as u128;
                let shift = n.leading_zeros() as i32 - 2;
                let shift = shift - ((e - shift) & 1);
                return ((n << shift).isqrt() as i128, (e - shift) / 2, 1);
            }
            Curve::Sigmoid => x.sigmoid(),
            Curve::Tanh => x.tanh(),
            Curve::Elu { alpha } => Real::new(alpha.mantissa.into(), alpha.exponent) * x.exp_m1(),
            // e^-|x| cannot overflow, and its logarithm is at most ln 2.
            Curve::Softplus => Real::new(n.max(0), e) + Real::new(-n.abs(), e).exp().ln_1p(),
            // x / 2 erfc(-x / sqrt 2) does not cancel at negative x.
            Curve::Gelu => x * HALF * (-x * SQRT_HALF).erfc(),
            // (1 + tanh u) / 2 = sigmoid(2 u) does not cancel either.
            Curve::GeluTanh => x * (x * (GELU_LINEAR + GELU_CUBIC * x * x)).sigmoid(),
            Curve::Silu => x * x.sigmoid(),
            Curve::Erf => x.erf(),
            Curve::Exp => x.exp(),
        };
        (y.m.into(), y.e, 1)
    }
}

/// `floor(n 2^e)`, saturated to `+-2^126` or beyond.
fn scaled(n: i128, e: i32) -> i128 {
    if e <= 0 {
        n >> (-e).min(127)
    } else if e < n.unsigned_abs().leading_zeros() as i32 {
        n << e
    } else {
        n.signum() << 126
    }
}

/// `n 2^e / d` to the nearest integer, ties up; saturated beyond `+-2^90` for `d` below `2^35`.
fn nearest(n: i128, e: i32, d: i128) -> i128 {
    // floor(v + 1/2) = floor((floor(2 v) + 1) / 2), and floors of quotients by integers nest exactly.
    let twice = if e >= 0 { scaled(n, e + 1).div_euclid(d) } else { scaled(n.div_euclid(d), e + 1) };
    (twice + 1) >> 1
}

/// A real number `m 2^e` of 62 significant bits: zero, or `2^61 <= |m| < 2^62`.
///
/// Every operation is off by less than a unit in the last place, and its rounding never reverses an order.
#[derive(Debug, Clone, Copy)]
struct Real {
    m: i64,
    e: i32,
}

const HALF: Real = Real { m: 1 << 61, e: -62 };
const ONE: Real = Real { m: 1 << 61, e: -61 };
const TWO: Real = Real { m: 1 << 61, e: -60 };
/// `sqrt(1/2)`: `round(2^62 sqrt(1/2))`.
const SQRT_HALF: Real = Real { m: 3_260_954_456_333_195_553, e: -62 };
/// `2 / sqrt(pi)`: `round(2^61 * 2 / sqrt(pi))`.
const TWO_OVER_SQRT_PI: Real = Real { m: 2_601_865_214_189_558_307, e: -61 };
/// `2 sqrt(2 / pi)`: `round(2^61 * 2 sqrt(2 / pi))`.
const GELU_LINEAR: Real = Real { m: 3_679_593_073_373_651_226, e: -61 };
/// `0.044715 * 2 sqrt(2 / pi)`: `round(2^65 * 0.08943 sqrt(2 / pi))`.
const GELU_CUBIC: Real = Real { m: 2_632_528_068_414_445_033, e: -65 };
/// `floor(2^112 ln 2)`.
const LN_2: i128 = 3_599_025_928_123_676_973_540_407_451_845_618;
/// `round(2^20 / ln 2)`.
const INVERSE_LN_2: i128 = 1_512_775;

/// `2^62 / (n + 1)!`: the series of `(e^r - 1) / r` (A&S 4.2.1). `|r| < 0.35` leaves less than `2^-67`.
const EXP: [i64; 15] = {
    let mut c = [1 << 62; 15];
    let mut n = 1;
    while n < c.len() {
        c[n] = c[n - 1] / (n as i64 + 1);
        n += 1;
    }
    c
};

/// `2^62 / (2 n + 1)`: the series of `artanh(u) / u` in `u^2` (A&S 4.6.33). `|u| <= 1/3` leaves `2^-65`.
const ARTANH: [i64; 19] = {
    let mut c = [0; 19];
    let mut n = 0;
    while n < c.len() {
        c[n] = (1 << 62) / (2 * n as i64 + 1);
        n += 1;
    }
    c
};

/// `2^57 * 8^n / (2 n + 1)!!`: the series of `sqrt(pi) / 2 e^(z^2) erf(z) / z` in `z^2 / 4` (A&S 7.1.6),
/// whose terms are all positive. `z^2 < 4` leaves less than `2^-65` of a sum below 32.
const ERF: [i64; 37] = {
    let mut c = [0; 37];
    let mut term = 1i128 << 100;
    let mut n = 0;
    while n < c.len() {
        c[n] = (term >> 43) as i64;
        n += 1;
        term = term * 8 / (2 * n as i128 + 1);
    }
    c
};

/// `sum c_n x^n` by Horner's rule, in the units of `c`; `x` has 62 fraction bits.
fn polynomial(c: &[i64], x: i128) -> i128 {
    let x = x as i64;
    let sum = c.iter().rev().fold(0, |sum, c| c + ((i128::from(sum) * i128::from(x)) >> 62) as i64);
    sum.into()
}

impl Real {
    /// `n 2^e`, rounded toward zero.
    fn new(n: i128, e: i32) -> Real {
        if n == 0 {
            // Below every other number, so that sums align to the other operand.
            return Real { m: 0, e: -(1 << 20) };
        }
        let size = n.unsigned_abs();
        let excess = 66 - size.leading_zeros() as i32;
        let m = if excess >= 0 { size >> excess } else { size << -excess } as i64;
        Real { m: if n < 0 { -m } else { m }, e: e + excess }
    }

    /// Rounded down to `fraction` fraction bits, saturated to `+-2^8`. Beyond, exponentials no longer change
    /// any table: `e^256 > 2^369`, while arguments, parameters and output steps lie between `2^-64` and
    /// `2^78`.
    fn fixed(self, fraction: i32) -> i128 {
        scaled(self.m.into(), self.e + fraction).clamp(-256 << fraction, 256 << fraction)
    }

    /// Whether it is closer to zero than `2^exponent`.
    fn below(self, exponent: i32) -> bool {
        self.e + 62 <= exponent
    }

    /// `e^x = 2^k e^r` with `r = x - k ln 2` (Cody and Waite, chapter 6): `ln 2` has 112 fraction bits, so
    /// that no bit of `r` is lost, and `k` may be off by `2^-12` before it is rounded.
    fn exp(self) -> Real {
        let x = self.fixed(112);
        let k = ((x >> 80) * INVERSE_LN_2 + (1 << 51)) >> 52;
        let r = (x - k * LN_2) >> 50;
        Real::new((1 << 62) + ((r * polynomial(&EXP, r)) >> 62), k as i32 - 62)
    }

    /// `e^x - 1`, without cancellation near zero.
    fn exp_m1(self) -> Real {
        if self.below(-2) {
            self * Real::new(polynomial(&EXP, self.fixed(62)), -62)
        } else {
            self.exp() - ONE
        }
    }

    /// `ln(1 + y) = 2 artanh(y / (2 + y))` (A&S 4.1.27) for `0 <= y <= 1`.
    fn ln_1p(self) -> Real {
        let u = self / (TWO + self);
        TWO * u * Real::new(polynomial(&ARTANH, (u * u).fixed(62)), -62)
    }

    /// `1 / (1 + e^-x)`.
    fn sigmoid(self) -> Real {
        ONE / (ONE + (-self).exp())
    }

    /// With `u = 1 - e^(-2 |x|)`, `tanh |x| = u / (2 - u)`, which rises with `u` in this arithmetic too.
    fn tanh(self) -> Real {
        let size = if self.m < 0 { self } else { -self };
        let u = -(TWO * size).exp_m1();
        let y = u / (TWO - u);
        if self.m < 0 { -y } else { y }
    }

    /// The error function: the series of [`ERF`] below 2, the complement of [`Real::erfc`] beyond.
    fn erf(self) -> Real {
        let square = self * self;
        if square.below(2) {
            // z^2 / 4 with 62 fraction bits is z^2 with 60.
            let sum = Real::new(polynomial(&ERF, square.fixed(60)), -57);
            self * TWO_OVER_SQRT_PI * (-square).exp() * sum
        } else if self.m < 0 {
            (-self).erfc() - ONE
        } else {
            ONE - self.erfc()
        }
    }

    /// `1 - erf`: the complement of the series below 2, which loses 8 bits of 62, and beyond the continued
    /// fraction `2 z e^(-z^2) / sqrt(pi) / (2 z^2 + 1 - 1*2 / (2 z^2 + 5 - 3*4 / (2 z^2 + 9 - ...)))` (DLMF
    /// 7.9.2).
    fn erfc(self) -> Real {
        let square = self * self;
        if square.below(2) || self.m < 0 {
            return ONE - self.erf();
        }
        // 2 z^2 with 51 fraction bits. As many levels as leave less than 2^-50, found by experiment.
        let v = square.fixed(52);
        let levels = 4 + 168 / (v >> 51);
        let rest = |t: i128, k: i128| v + ((4 * k - 3) << 51) - ((2 * k * (2 * k - 1)) << 102) / t;
        let t = (1..=levels).rev().fold(v + ((4 * levels + 1) << 51), rest);
        self * TWO_OVER_SQRT_PI * (-square).exp() / Real::new(t, -51)
    }
}

impl Neg for Real {
    type Output = Real;
    fn neg(self) -> Real {
        Real { m: -self.m, e: self.e }
    }
}

impl Add for Real {
    type Output = Real;
    fn add(self, other: Real) -> Real {
        let (high, low) = if self.e >= other.e { (self, other) } else { (other, self) };
        Real::new((i128::from(high.m) << 62) + scaled(i128::from(low.m) << 62, low.e - high.e), high.e - 62)
    }
}

impl Sub for Real {
    type Output = Real;
    fn sub(self, other: Real) -> Real {
        self + -other
    }
}

impl Mul for Real {
    type Output = Real;
    fn mul(self, other: Real) -> Real {
        Real::new(i128::from(self.m) * i128::from(other.m), self.e + other.e)
    }
}

impl Div for Real {
    type Output = Real;
    /// The divisor is not zero.
    fn div(self, other: Real) -> Real {
        Real::new((i128::from(self.m) << 63) / i128::from(other.m), self.e - other.e - 63)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::f64::consts::PI;

    const WIDE: Range = Range::signed(15);

    fn dyadic(mantissa: i32, exponent: i32) -> Dyadic {
        Dyadic { mantissa, exponent }
    }

    fn scale(mantissa: u32, exponent: i32) -> Scale {
        Scale { mantissa, exponent }
    }

    fn curves(alpha: Dyadic, beta: Dyadic) -> Vec<Curve> {
        use Curve::*;
        let (leaky, elu, hard) = (LeakyRelu { alpha }, Elu { alpha }, HardSigmoid { alpha, beta });
        let (smooth, rest) =
            ([Sigmoid, Tanh, Softplus, Erf, Exp], [Gelu, GeluTanh, Silu, Sqrt, Abs, Even, HardSwish]);
        [leaky, elu, hard].into_iter().chain(smooth).chain(rest).collect()
    }

    fn float(mantissa: impl Into<f64>, exponent: i32) -> f64 {
        mantissa.into() * 2f64.powi(exponent)
    }

    /// Other formulas than the module's: the alternating series (A&S 7.1.5), and the integral A&S 7.4.11 by
    /// the trapezoidal rule, whose error falls exponentially.
    fn erf(z: f64) -> f64 {
        if z.abs() >= 2.0 {
            return z.signum() * (1.0 - erfc(z.abs()));
        }
        let (mut sum, mut term) = (0.0, z);
        for n in 0..60 {
            sum += term / f64::from(2 * n + 1);
            term *= -z * z / f64::from(n + 1);
        }
        sum * 2.0 / PI.sqrt()
    }

    fn erfc(z: f64) -> f64 {
        if z < 2.0 {
            return 1.0 - erf(z);
        }
        let term = |k: i32| (-(z * z) - f64::from(k * k) / 16.0).exp() / (z * z + f64::from(k * k) / 16.0);
        (term(0) / 2.0 + (1..32).map(term).sum::<f64>()) * z / (2.0 * PI)
    }

    fn reference(curve: Curve, x: f64) -> f64 {
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        match curve {
            Curve::LeakyRelu { alpha } => x.max(0.0) + float(alpha.mantissa, alpha.exponent) * x.min(0.0),
            Curve::HardSigmoid { alpha, beta } => {
                let beta = float(beta.mantissa, beta.exponent);
                (float(alpha.mantissa, alpha.exponent) * x + beta).clamp(0.0, 1.0)
            }
            Curve::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
            Curve::Sigmoid => sigmoid(x),
            Curve::Tanh => x.tanh(),
            Curve::Elu { alpha } => x.max(0.0) + float(alpha.mantissa, alpha.exponent) * x.min(0.0).exp_m1(),
            Curve::Softplus => x.max(0.0) + (-x.abs()).exp().ln_1p(),
            Curve::Gelu => x / 2.0 * erfc(-x / 2f64.sqrt()),
            Curve::GeluTanh => x * sigmoid((8.0 / PI).sqrt() * (x + 0.044715 * x * x * x)),
            Curve::Silu => x * sigmoid(x),
            Curve::Erf => erf(x),
            Curve::Exp => x.exp(),
            Curve::Sqrt => x.max(0.0).sqrt(),
            Curve::Abs => x.abs(),
            Curve::Even => x,
        }
    }

    fn sampled(curve: Curve, input: Scale, output: Scale, bits: u8) -> Sampled {
        let sampled = Sampled { curve, input, output, bits };
        assert_eq!(sampled.check(0), Ok(()));
        sampled
    }

    fn compare(sampled: Sampled) {
        let column = sampled.column(WIDE);
        assert_eq!(column.len(), 2 << sampled.bits);
        for (q, &got) in (-(1i32 << sampled.bits)..).zip(&column) {
            let x = float(q, sampled.input.exponent) * f64::from(sampled.input.mantissa);
            let y = reference(sampled.curve, x) / float(sampled.output.mantissa, sampled.output.exponent);
            let y = y.clamp(-20000.0, 20000.0) + 0.5;
            let expected = WIDE.clamp(y.floor() as i64);
            assert!((got - expected).abs() <= 1, "{sampled:?} at {q}: {got}, not {expected}");
            assert!(got == expected || (y - y.round()).abs() < 1e-6, "{sampled:?} at {q}: {got}, not {y}");
        }
    }

    proptest! {
        #[test]
        fn curves_agree_with_floats(
            mantissas in prop::array::uniform2(1u32..1 << 24),
            exponents in prop_oneof![[-36..-16, -36..-16], [-64..32, -64..32]],
            alpha in (any::<i32>().prop_filter("zero", |m| *m != 0), -64i32..=16),
            beta in (any::<i32>().prop_filter("zero", |m| *m != 0), -34i32..=-28),
            bits in 1u8..=9,
        ) {
            let (input, output) = (scale(mantissas[0], exponents[0]), scale(mantissas[1], exponents[1]));
            // The float's beta must not cancel beyond its 53 bits: alpha of ordinary size.
            for curve in curves(dyadic(alpha.0, alpha.1.clamp(-36, -28)), dyadic(beta.0, beta.1)) {
                compare(sampled(curve, input, output, bits));
            }
            compare(sampled(Curve::LeakyRelu { alpha: dyadic(alpha.0, alpha.1) }, input, output, bits));
            compare(sampled(Curve::Elu { alpha: dyadic(alpha.0, alpha.1) }, input, output, bits));
        }
    }

    #[test]
    fn largest_tables_agree_with_floats() {
        for curve in curves(dyadic(13_421_773, -26), dyadic(1, -1)) {
            for (input, output) in [(-10, -8), (-8, -13), (-5, 3), (-6, -30), (-9, -64), (-13, -13)] {
                compare(sampled(curve, scale(1, input), scale(1, output), 13));
            }
        }
    }

    #[test]
    fn extreme_parameters_neither_panic_nor_leave_the_range() {
        let scales = [scale(1, -64), scale(u32::MAX, -64), scale(3, 0), scale(1, 32), scale(u32::MAX, 32)];
        let parameters = [i32::MIN, -1, 1, i32::MAX].map(|m| [-64, -31, 16].map(|e| dyadic(m, e))).concat();
        for (&alpha, &beta) in parameters.iter().flat_map(|a| parameters.iter().map(move |b| (a, b))) {
            for curve in curves(alpha, beta) {
                for (input, output) in scales.iter().flat_map(|&i| scales.map(|o| (i, o))) {
                    let sampled = sampled(curve, input, output, 13);
                    for q in [i64::MIN, -8192, -8191, -4096, -1, 0, 1, 4096, 8190, 8191, i64::MAX] {
                        assert!((-3..=200).contains(&sampled.value(q, Range::new(-3, 200))));
                    }
                    assert_eq!(sampled.value(i64::MIN, WIDE), sampled.value(-8192, WIDE));
                    assert_eq!(sampled.value(i64::MAX, WIDE), sampled.value(8191, WIDE));
                }
            }
        }
    }

    #[test]
    fn monotone_curves_have_monotone_columns() {
        for curve in [Curve::Sigmoid, Curve::Tanh, Curve::Exp, Curve::Softplus, Curve::Erf, Curve::Sqrt] {
            // The last ones put a tie at the limit 1, the value at zero, or a change of formula.
            for (input, output) in
                [(-10, -13), (-6, -40), (-8, -20), (0, -3), (-5, 1), (-4, 0), (-64, 1), (-12, 1)]
            {
                let column = sampled(curve, scale(1, input), scale(1, output), 13).column(WIDE);
                assert!(column.is_sorted(), "{curve:?} {input} {output}");
            }
        }
    }

    #[test]
    fn symmetries() {
        let (input, output) = (scale(5, -12), scale(1, -12));
        let column = |curve| sampled(curve, input, output, 13).column(WIDE);
        let (sigmoid, tanh, erf) = (column(Curve::Sigmoid), column(Curve::Tanh), column(Curve::Erf));
        let (silu, gelu) = (column(Curve::Silu), column(Curve::Gelu));
        for i in 1..1 << 13 {
            let (up, down, x) = (8192 + i, 8192 - i, 5 * i as i64);
            assert_eq!(sigmoid[up] + sigmoid[down], 4096);
            assert_eq!((tanh[up], erf[up]), (-tanh[down], -erf[down]));
            // f(x) - f(-x) = x, here without rounding.
            if x < WIDE.hi {
                assert_eq!((silu[up] - silu[down], gelu[up] - gelu[down]), (x, x));
            }
        }
        assert_eq!((sigmoid[8192], tanh[8192], erf[8192], gelu[8192]), (2048, 0, 0, 0));
    }

    #[test]
    fn exact_curves_round_ties_up() {
        let column = |curve, input, output| sampled(curve, input, output, 2).column(WIDE);
        let (half, one, two, three) = (scale(1, -1), scale(1, 0), scale(1, 1), scale(3, 0));
        assert_eq!(column(Curve::Abs, one, two), [2, 2, 1, 1, 0, 1, 1, 2]);
        assert_eq!(column(Curve::Even, one, two), [-2, -2, -1, 0, 0, 0, 1, 2]);
        assert_eq!(column(Curve::LeakyRelu { alpha: dyadic(1, -1) }, one, one), [-2, -1, -1, 0, 0, 1, 2, 3]);
        assert_eq!(column(Curve::LeakyRelu { alpha: dyadic(-3, -1) }, one, three), [2, 2, 1, 1, 0, 0, 1, 1]);
        // x / 4 + 1 / 2, in steps of 1/2: 0, 1/2, 1, 3/2, 2, 2, ...
        let hard = Curve::HardSigmoid { alpha: dyadic(1, -2), beta: dyadic(1, -1) };
        assert_eq!(column(hard, one, half), [0, 0, 0, 1, 1, 2, 2, 2]);
        // The smallest slope is felt by a tie, below and above; so is a large one against a large beta.
        let tie = |m| Curve::HardSigmoid { alpha: dyadic(m, -64), beta: dyadic(1, -2) };
        assert_eq!(column(tie(1), scale(1, -64), half), [0, 0, 0, 0, 1, 1, 1, 1]);
        assert_eq!(column(tie(-1), scale(1, -64), half), [1, 1, 1, 1, 1, 0, 0, 0]);
        let tiny = Curve::HardSigmoid { alpha: dyadic(1, -64), beta: dyadic(1, -64) };
        assert_eq!(column(tiny, one, scale(1, -64)), [0, 0, 0, 0, 1, 2, 3, 4]);
        let cancel = Curve::HardSigmoid { alpha: dyadic(1 << 30, 16), beta: dyadic(-(1 << 30), 16) };
        assert_eq!(column(cancel, one, half), [0, 0, 0, 0, 0, 0, 2, 2]);
        // x (x + 3) / 6 = -1/3, -3/8, -1/3, -5/24, 0, 7/24, 2/3, 9/8 at halves; ties in steps of 3/4.
        assert_eq!(column(Curve::HardSwish, half, scale(1, -3)), [-3, -3, -3, -2, 0, 2, 5, 9]);
        assert_eq!(column(Curve::HardSwish, half, scale(3, -2)), [0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(column(Curve::HardSwish, one, one), [0, 0, 0, 0, 0, 1, 2, 3]);
        assert_eq!(column(Curve::HardSwish, scale(1, 32), scale(1, 32)), [0, 0, 0, 0, 0, 1, 2, 3]);
        assert_eq!(sampled(Curve::Sqrt, scale(9, -2), three, 1).column(WIDE), [0, 0, 0, 1]);
        assert_eq!((column(Curve::Exp, one, two)[4], column(Curve::Sigmoid, one, one)[4]), (1, 1));
    }

    /// `floor(2^61 y / 2^floor(log2 |y|))` by multiple-precision arithmetic of 400 bits.
    #[test]
    fn values_have_46_correct_bits() {
        let close = |y: Real, m: i64, e: i32| {
            let error = y - Real::new(m.into(), e);
            assert!(error.m == 0 || error.below(y.e + 62 - 46), "{y:?}, not {m} 2^{e}");
        };
        close(Real::new(1, 0).exp(), 3_133_965_575_612_453_542, -60);
        close(Real::new(711, -11).exp(), 3_262_893_273_592_318_090, -61);
        close(Real::new(-777, -2).exp(), 3_895_430_025_059_620_640, -342);
        close(Real::new(-1, -2).exp_m1(), -4_080_405_343_986_755_772, -64);
        close(Real::new(1, 0).ln_1p(), 3_196_577_161_300_663_914, -62);
        close(Real::new(1, -20).tanh(), 4_611_686_018_425_989_802, -82);
        close(Real::new(-100, 0).sigmoid(), 3_825_876_232_577_136_990, -206);
        close(Real::new(3, -2).erf(), 3_279_626_492_645_785_304, -62);
        close(Real::new(127, -6).erfc(), 2_957_933_316_625_814_514, -69);
        close(Real::new(2, 0).erfc(), 2_761_247_361_280_560_410, -69);
        close(Real::new(3, 0).erfc(), 3_338_221_523_713_676_311, -77);
        close(Real::new(12, 0).erfc(), 4_116_822_473_671_884_422, -274);
    }

    #[test]
    fn parameters_out_of_their_domain_are_refused() {
        let (one, alpha) = (scale(1, 0), dyadic(1, 0));
        let refused = |sampled: Sampled, part: &str| {
            let Err(CircuitError::Parameter { node: Some(7), what, .. }) = sampled.check(7) else {
                panic!("{part}")
            };
            assert!(what.contains(part), "{what}");
        };
        let good = sampled(Curve::Elu { alpha }, one, one, 13);
        refused(Sampled { bits: 0, ..good }, "bits");
        refused(Sampled { bits: 14, ..good }, "bits");
        refused(Sampled { input: scale(0, 0), ..good }, "input mantissa");
        refused(Sampled { output: scale(0, 0), ..good }, "output mantissa");
        for exponent in [i32::MIN, -65, 33, i32::MAX] {
            refused(Sampled { input: scale(1, exponent), ..good }, "input exponent");
            refused(Sampled { output: scale(1, exponent), ..good }, "output exponent");
        }
        for (bad, part) in
            [(dyadic(0, 0), "mantissa"), (dyadic(1, -65), "exponent"), (dyadic(1, 17), "exponent")]
        {
            for curve in [Curve::LeakyRelu { alpha: bad }, Curve::Elu { alpha: bad }] {
                refused(Sampled { curve, ..good }, part);
            }
            refused(Sampled { curve: Curve::HardSigmoid { alpha: bad, beta: alpha }, ..good }, "alpha");
            refused(Sampled { curve: Curve::HardSigmoid { alpha, beta: bad }, ..good }, "beta");
        }
    }

    #[test]
    fn columns_are_values_and_order_is_by_every_field() {
        let range = Range::new(-100, 90);
        let first = sampled(Curve::Silu, scale(3, -5), scale(1, -4), 8);
        for (q, value) in (-256..256).zip(first.column(range)) {
            assert_eq!(value, first.value(q, range));
            assert!(range.contains(value));
        }
        let second = Sampled { output: scale(1, -3), ..first };
        assert_eq!((first.cmp(&first), first.cmp(&second)), (Ordering::Equal, Ordering::Less));
        assert_eq!(first.partial_cmp(&Sampled { bits: 7, ..first }), Some(Ordering::Greater));
        assert_eq!(std::collections::HashSet::from([first, second, first]).len(), 2);
    }
}
