//! One fully connected layer: real weights and scales become integer weights and one public shift.

use crate::scale::power_of_two;
use provenn_circuits::model::Range;
use rayon::prelude::*;

/// Largest bias, in bits with the sign, and the largest shift of a layer.
const BIAS_BITS: u32 = 40;
const MAX_SHIFT: i32 = 40;

/// A fully connected layer in floats, with the scale of every entry that a row of its input has.
pub(super) struct RealGemm<'a> {
    /// `[outputs, inputs]`.
    pub(super) weight: &'a [f32],
    /// `[outputs]`.
    pub(super) bias: Option<&'a [f32]>,
    /// Real value of one step of each input of a row.
    pub(super) input_scales: Vec<f64>,
    /// Range of every input.
    pub(super) input_range: Range,
    /// Weights are integers of this many bits with the sign.
    pub(super) weight_bits: u8,
}

/// The layer in integers.
pub(super) struct IntegerGemm {
    pub(super) weight: Vec<i64>,
    pub(super) bias: Option<Vec<i64>>,
    /// Bits of the biases: enough, rounded up to a multiple of 4 so that they tell little about the norm.
    pub(super) bias_bits: Option<u8>,
}

impl RealGemm<'_> {
    fn rows(&self) -> impl IndexedParallelIterator<Item = &[f32]> {
        self.weight.par_chunks(self.input_scales.len())
    }

    fn bias_at(&self, row: usize) -> f64 {
        self.bias.map_or(0.0, |bias| bias[row].into())
    }

    fn largest_weight(&self) -> f64 {
        ((1i64 << (self.weight_bits - 1)) - 1) as f64
    }

    /// Largest `|w * S_in|` of each row: what one input step can do to the output.
    pub(super) fn row_steps(&self) -> Vec<f64> {
        self.rows()
            .map(|row| {
                row.iter()
                    .zip(&self.input_scales)
                    .fold(0.0, |max, (&w, s)| f64::max(max, (f64::from(w) * s).abs()))
            })
            .collect()
    }

    /// Largest absolute output of each row over all inputs in range.
    pub(super) fn row_bounds(&self) -> Vec<f64> {
        let input = self.input_range.lo.unsigned_abs().max(self.input_range.hi.unsigned_abs()) as f64;
        self.rows()
            .enumerate()
            .map(|(i, row)| {
                let weights: f64 =
                    row.iter().zip(&self.input_scales).map(|(&w, s)| (f64::from(w) * s).abs()).sum();
                weights * input + self.bias_at(i).abs()
            })
            .collect()
    }

    /// The smallest output scale with which a row's weights and bias fit their bits.
    pub(super) fn smallest_scale(&self, row: usize, step: f64) -> f64 {
        (step / self.largest_weight()).max(self.bias_at(row).abs() / 2f64.powi(BIAS_BITS as i32 - 2))
    }

    /// Whether weights and biases fit when accumulators have the scales `output_scales / 2^shift`.
    fn fits(&self, steps: &[f64], output_scales: &[f64], shift: i32) -> bool {
        let factor = power_of_two(shift);
        let largest_bias = 2f64.powi(BIAS_BITS as i32 - 1) - 1.0;
        steps.iter().zip(output_scales).enumerate().all(|(row, (step, scale))| {
            (step / scale * factor).round() <= self.largest_weight()
                && (self.bias_at(row) / scale * factor).abs().round() <= largest_bias
        })
    }

    /// The largest shift, 0 to 40, with which all weights and biases fit; 0 if none does.
    pub(super) fn shift(&self, steps: &[f64], output_scales: &[f64]) -> i32 {
        (0..=MAX_SHIFT).rev().find(|&shift| self.fits(steps, output_scales, shift)).unwrap_or(0)
    }

    /// The exponent of the smallest power of two that can be the scale of all accumulators; 0 if all weights
    /// and biases are 0.
    pub(super) fn accumulator_exponent(&self, steps: &[f64]) -> i32 {
        let smallest = (0..steps.len()).map(|row| self.smallest_scale(row, steps[row])).fold(0.0, f64::max);
        if smallest == 0.0 {
            return 0;
        }
        // `log2` is only a start: the loops below decide, with exact comparisons.
        let mut exponent = smallest.log2().ceil() as i32 + 1;
        let ones = vec![1.0; steps.len()];
        let fits = |exponent: i32| self.fits(steps, &ones, -exponent);
        while !fits(exponent) {
            exponent += 1;
        }
        while fits(exponent - 1) {
            exponent -= 1;
        }
        exponent
    }

    /// Rounds the parameters so that accumulators have the scales `output_scales / 2^shift`.
    pub(super) fn quantize(&self, output_scales: &[f64], shift: i32) -> IntegerGemm {
        let factor = power_of_two(shift);
        let weight = self
            .rows()
            .zip(output_scales)
            .flat_map_iter(|(row, scale)| {
                let factor = factor / scale;
                row.iter()
                    .zip(&self.input_scales)
                    .map(move |(&w, s)| (f64::from(w) * s * factor).round() as i64)
            })
            .collect();
        let bias = self.bias.map(|bias| {
            let scaled = bias.iter().zip(output_scales).map(|(&b, scale)| f64::from(b) / scale * factor);
            scaled.map(|b| b.round() as i64).collect::<Vec<i64>>()
        });
        let bias_bits = bias.as_ref().map(|bias| {
            let largest = bias.iter().map(|b| b.unsigned_abs()).max().unwrap_or(0);
            let bits = u64::BITS - largest.leading_zeros() + 1;
            bits.next_multiple_of(4) as u8
        });
        IntegerGemm { weight, bias, bias_bits }
    }
}
