//! Requantization: an accumulator is rounded, passed through a function, and saturated.

use crate::error::CircuitError;
use crate::functions::Sampled;
use crate::model::Range;
use bincode::{Decode, Encode};

/// A function fused into a requantization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
pub enum Function {
    /// `f(y) = y`.
    Identity,
    /// `f(y) = max(y, 0)`.
    Relu,
    /// A real function of a real number, rounded to nearest; `y` is first saturated to the curve's domain.
    Table(Sampled),
}

impl Function {
    /// Name for people.
    pub fn name(&self) -> &'static str {
        match self {
            Function::Identity => "identity",
            Function::Relu => "relu",
            Function::Table(sampled) => sampled.curve.name(),
        }
    }

    /// The function's value, saturated to `output`.
    pub fn apply(&self, y: i64, output: Range) -> i64 {
        match self {
            Function::Identity => output.clamp(y),
            Function::Relu => output.clamp(y.max(0)),
            Function::Table(curve) => curve.value(Range::signed(u32::from(curve.bits) + 1).clamp(y), output),
        }
    }
}

/// `y = clamp(f(floor(acc / 2^shift + 1/2)))`: rounding half up, then the function, then saturation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Requantize {
    /// Power of two by which the accumulator is divided, 0 to 40.
    pub shift: u8,
    /// Function applied to the rounded quotient.
    pub function: Function,
    /// Range to which the result saturates, within 14 bits.
    pub output: Range,
    /// The rounded quotient lies in `[-2^domain, 2^domain)` for every valid input, 1 to 40: its worst case,
    /// rounded up to a power of two so that it does not leak the norms of the weights.
    pub domain: u8,
}

impl Requantize {
    /// The rounded quotient of an accumulator: `floor(acc / 2^shift + 1/2)`.
    pub fn quotient(&self, acc: i64) -> i64 {
        if self.shift == 0 { acc } else { acc.saturating_add(1 << (self.shift - 1)) >> self.shift }
    }

    /// The requantized value of an accumulator.
    pub fn apply(&self, acc: i64) -> i64 {
        self.function.apply(self.quotient(acc), self.output)
    }

    /// The requantized values of accumulators.
    pub fn apply_all(&self, accumulators: &[i64]) -> Vec<i64> {
        let Function::Table(curve) = self.function else {
            return accumulators.iter().map(|&acc| self.apply(acc)).collect();
        };
        let (domain, column) = (Range::signed(u32::from(curve.bits) + 1), curve.column(self.output));
        let value = |&acc: &i64| column[(domain.clamp(self.quotient(acc)) - domain.lo) as usize];
        accumulators.iter().map(value).collect()
    }

    /// Smallest `domain` that holds the quotients of every accumulator in `range`, and at most 62.
    pub fn domain_of(shift: u8, range: Range) -> u8 {
        let this = Requantize { shift, function: Function::Identity, output: range, domain: 0 };
        let (lo, hi) = (this.quotient(range.lo), this.quotient(range.hi));
        let mut bits = 1;
        while bits < 62 && (lo < -(1i64 << bits) || hi >= 1i64 << bits) {
            bits += 1;
        }
        bits
    }

    /// Checks that the domain has the bits that its worst case needs.
    pub(super) fn check_domain(&self, node: usize, needed: u8) -> Result<(), CircuitError> {
        let (domain, needed) = (self.domain.into(), needed.into());
        CircuitError::limit(Some(node), "requantization domain bits", domain, needed, needed.max(40))
    }

    /// Checks the parameters.
    ///
    /// # Errors
    /// [`CircuitError::Parameter`] naming the parameter that is out of its domain.
    pub fn check(&self, node: usize) -> Result<(), CircuitError> {
        let limit = |what, value, lo, hi| CircuitError::limit(Some(node), what, value, lo, hi);
        limit("requantization shift", self.shift.into(), 0, 40)?;
        limit("requantization domain bits", self.domain.into(), 1, 40)?;
        // The accumulator's coefficients and values stay within 62 bits.
        limit(
            "requantization shift plus domain bits",
            i64::from(self.shift) + i64::from(self.domain),
            1,
            60,
        )?;
        limit("requantization range start", self.output.lo, -(1 << 13), (1 << 13) - 1)?;
        limit("requantization range end", self.output.hi, self.output.lo, (1 << 13) - 1)?;
        match self.function {
            Function::Identity => Ok(()),
            Function::Relu => limit("requantization range start of a rectifier", self.output.lo, 0, 0),
            Function::Table(curve) => curve.check(node),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotients_are_rounded_half_up_on_both_sides_of_zero() {
        let requantize = |shift| Requantize {
            shift,
            function: Function::Identity,
            output: Range::new(-100, 100),
            domain: 10,
        };
        let quotients: Vec<i64> = (-4..=4).map(|acc| requantize(1).quotient(acc)).collect();
        assert_eq!(quotients, [-2, -1, -1, 0, 0, 1, 1, 2, 2]);
        assert_eq!(requantize(0).quotient(-7), -7);
        assert_eq!(requantize(3).apply(i64::from(i32::MAX)), 100);
        assert_eq!(requantize(3).apply(i64::from(i32::MIN)), -100);
    }

    #[test]
    fn the_domain_is_the_least_that_holds_the_worst_case() {
        assert_eq!(Requantize::domain_of(0, Range::new(-1, 1)), 1);
        assert_eq!(Requantize::domain_of(0, Range::new(-2, 1)), 1);
        assert_eq!(Requantize::domain_of(0, Range::new(-2, 2)), 2);
        assert_eq!(Requantize::domain_of(4, Range::new(-5, 127)), 4);
        assert_eq!(Requantize::domain_of(4, Range::new(-5, 119)), 3);
    }
}
