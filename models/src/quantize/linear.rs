//! Sums of products: real factors and scales become integer factors and one public shift.
//!
//! A convolution, a fully connected layer, a sum with coefficients, a product, a mean: each is, for every output
//! channel (*row*), `sum weight * operand + bias`. With operands in steps of `S_in` and accumulators in steps of
//! `S_out / 2^shift`, the integers are
//!
//! ```text
//! w_q = round(w * S_in * 2^shift / S_out)        b_q = round(b * 2^shift / S_out)
//! ```

use crate::scale::power_of_two;
use rayon::prelude::*;

/// Largest bias, in bits with the sign, and the largest shift of a layer.
const BIAS_BITS: u32 = 40;
const MAX_SHIFT: i32 = 40;
/// Bits of a quotient's worst case that are kept free below the 40 of a domain.
const DOMAIN_BITS: i32 = 38;
/// Bits of an accumulator's worst case: a quotient times `2^shift` has at most 60.
const ACCUMULATOR_BITS: i32 = 58;

/// Real factors, row by row.
#[derive(Debug, Clone)]
pub(super) enum Factors<'a> {
    Single(&'a [f32]),
    Double(Vec<f64>),
}

impl Factors<'_> {
    pub(super) fn len(&self) -> usize {
        match self {
            Factors::Single(factors) => factors.len(),
            Factors::Double(factors) => factors.len(),
        }
    }

    fn at(&self, index: usize) -> f64 {
        match self {
            Factors::Single(factors) => factors[index].into(),
            Factors::Double(factors) => factors[index],
        }
    }
}

/// What a row's factors are multiplied with, channel by channel.
#[derive(Debug, Clone)]
pub(super) struct Inputs {
    /// Real value of one step of each channel.
    pub(super) scales: Vec<f64>,
    /// Largest absolute real value of each channel.
    pub(super) largest: Vec<f64>,
    /// Groups of channels and, in as many, of rows: a row reads the channels of its group.
    pub(super) groups: usize,
    /// Factors of one channel that follow each other.
    pub(super) kernel: usize,
}

/// A layer in floats, with the scales of what it reads.
#[derive(Debug, Clone)]
pub(super) struct RealLayer<'a> {
    pub(super) factors: Factors<'a>,
    /// Number of rows.
    pub(super) rows: usize,
    pub(super) bias: Option<Vec<f64>>,
    pub(super) inputs: Inputs,
    /// Factors are integers of this many bits with the sign.
    pub(super) bits: u8,
}

/// The layer in integers.
pub(super) struct IntegerLayer {
    pub(super) factors: Vec<i64>,
    pub(super) bias: Option<Vec<i64>>,
}

impl IntegerLayer {
    /// Bits of the biases: enough, rounded up to a multiple of 4 so that they tell little about the norm.
    pub(super) fn bias_bits(&self) -> Option<u8> {
        self.bias.as_ref().map(|bias| {
            let largest = bias.iter().map(|b| b.unsigned_abs()).max().unwrap_or(0);
            let bits = u64::BITS - largest.leading_zeros() + 1;
            bits.next_multiple_of(4) as u8
        })
    }
}

impl RealLayer<'_> {
    fn row_len(&self) -> usize {
        self.factors.len() / self.rows
    }

    /// Index and real value of every factor of a row, with the channel that it multiplies.
    fn row(&self, row: usize) -> impl Iterator<Item = (f64, usize)> {
        let Inputs { scales, groups, kernel, .. } = &self.inputs;
        let first_channel = row / (self.rows / groups) * (scales.len() / groups);
        let start = row * self.row_len();
        (0..self.row_len()).map(move |k| (self.factors.at(start + k), first_channel + k / kernel))
    }

    fn bias_at(&self, row: usize) -> f64 {
        self.bias.as_ref().map_or(0.0, |bias| bias[row])
    }

    fn largest_factor(&self) -> f64 {
        ((1i64 << (self.bits - 1)) - 1) as f64
    }

    /// What decides the scales of a row.
    pub(super) fn row_facts(&self) -> Vec<Row> {
        (0..self.rows)
            .into_par_iter()
            .map(|row| {
                let bias = self.bias_at(row).abs();
                let start = Row { step: 0.0, bound: bias, bias };
                self.row(row).fold(start, |facts, (w, channel)| Row {
                    step: f64::max(facts.step, (w * self.inputs.scales[channel]).abs()),
                    bound: facts.bound + (w * self.inputs.largest[channel]).abs(),
                    bias,
                })
            })
            .collect()
    }

    /// The smallest output scale with which a row's factors, bias and worst case fit their bits.
    pub(super) fn smallest_scale(&self, row: &Row) -> f64 {
        let smallest = (row.step / self.largest_factor())
            .max(row.bias / 2f64.powi(BIAS_BITS as i32 - 2))
            .max(row.bound / 2f64.powi(DOMAIN_BITS));
        // More than scales lose by their own rounding.
        smallest * (1.0 + 1e-6)
    }

    /// Whether factors, biases and accumulators fit when accumulators have the scales `scales / 2^shift`.
    fn fits(&self, rows: &[Row], scales: &[f64], shift: i32) -> bool {
        let factor = power_of_two(shift);
        let largest_bias = 2f64.powi(BIAS_BITS as i32 - 1) - 1.0;
        rows.iter().zip(scales.iter().cycle()).all(|(row, scale)| {
            (row.step / scale * factor).round() <= self.largest_factor()
                && (row.bias / scale * factor).round() <= largest_bias
                && row.bound / scale * factor < 2f64.powi(ACCUMULATOR_BITS)
        })
    }

    /// The largest shift, 0 to 40, with which everything fits; `None` if not even 0 is.
    pub(super) fn shift(&self, rows: &[Row], scales: &[f64]) -> Option<i32> {
        (0..=MAX_SHIFT).rev().find(|&shift| self.fits(rows, scales, shift))
    }

    /// The exponent of the smallest power of two that can be the scale of all accumulators; 0 if all factors
    /// and biases are 0.
    pub(super) fn accumulator_exponent(&self, rows: &[Row]) -> i32 {
        let smallest = rows.iter().map(|row| self.smallest_scale(row)).fold(0.0, f64::max);
        if smallest == 0.0 {
            return 0;
        }
        // `log2` is only a start: the loops below decide, with exact comparisons.
        let mut exponent = smallest.log2().ceil() as i32 + 1;
        let fits = |exponent: i32| self.fits(rows, &[1.0], -exponent);
        while !fits(exponent) {
            exponent += 1;
        }
        while fits(exponent - 1) {
            exponent -= 1;
        }
        exponent
    }

    /// Rounds the factors so that accumulators have the scales `scales / 2^shift`, one a row or one for all.
    pub(super) fn quantize(&self, scales: &[f64], shift: i32) -> IntegerLayer {
        let unit = |row: usize| power_of_two(shift) / scales[row % scales.len()];
        let factors = (0..self.rows)
            .into_par_iter()
            .flat_map_iter(|row| {
                let unit = unit(row);
                self.row(row).map(move |(w, channel)| (w * self.inputs.scales[channel] * unit).round() as i64)
            })
            .collect();
        let bias = self.bias.as_ref().map(|bias| {
            bias.iter().enumerate().map(|(row, &b)| (b * unit(row)).round() as i64).collect::<Vec<i64>>()
        });
        IntegerLayer { factors, bias }
    }
}

/// What decides the scale of one row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    /// Largest `|w * S_in|`: what one input step can do to the output.
    pub(super) step: f64,
    /// Largest absolute output over all inputs in range.
    pub(super) bound: f64,
    bias: f64,
}
