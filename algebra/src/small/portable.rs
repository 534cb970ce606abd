//! The sums in plain Rust.

use super::{Coefficients, Integer, STRETCH, Stretch, reduce};
use crate::Fp;
use std::ops::Range;

/// Values in `-2^20..2^20` are narrow: plus `2^20` they have 21 bits.
const NARROW_OFFSET: i64 = 1 << 20;

// Why narrow sums are exact: a narrow sum is kept in eight 64-bit columns of weight `2^(32k)`: coefficients are taken apart into
// 32-bit limbs, a limb times a 21-bit value is below `2^53`, and `2^11` of them are at most `2^64 -
// 2^11 * (2^32 + 2^21 - 1) < 2^64`. So no column overflows in a stretch.
const _: () = assert!(STRETCH <= 1 << 11);

/// Offset of wide values: any `i64` plus `2^63` is a `u64`.
///
/// A wide sum is one integer of six 64-bit limbs. A coefficient is below `2^255`, a value below
/// `2^64` and a slice has fewer than `2^63` entries, so a sum is below `2^382`.
const WIDE_OFFSET: u64 = 1 << 63;

/// Rows and columns of a matrix that are transposed together: a tile stays in the first-level cache.
const TILE_ROWS: usize = 64;
const TILE_COLUMNS: usize = 32;

const LOW: u64 = u32::MAX as u64;

/// A sum of wide products: an integer of six limbs.
#[derive(Clone, Copy)]
struct Wide([u64; 6]);

impl Wide {
    const ZERO: Self = Wide([0; 6]);

    #[inline(always)]
    fn add(&mut self, limbs: [u64; 4], value: u64) {
        let mut carry = 0;
        for k in 0..4 {
            let t = u128::from(limbs[k]) * u128::from(value) + u128::from(self.0[k]) + u128::from(carry);
            self.0[k] = t as u64;
            carry = (t >> 64) as u64;
        }
        let (low, overflow) = self.0[4].overflowing_add(carry);
        self.0[4] = low;
        self.0[5] += u64::from(overflow);
    }

    fn reduce(&self) -> Fp {
        reduce(&self.0, 64)
    }
}

/// Whether all of a stretch of at most `STRETCH` values is narrow.
#[inline]
fn all_narrow(values: &[i64]) -> bool {
    // The union of the offset values' bits tells, and needs no branch per value.
    values.iter().fold(0, |bits, &v| bits | v.wrapping_add(NARROW_OFFSET) as u64) < 2 * NARROW_OFFSET as u64
}

#[inline]
fn wide(v: i64) -> u64 {
    v as u64 ^ WIDE_OFFSET
}

/// The sum over one stretch of coefficients.
pub(super) fn stretch_product(stretch: &Stretch<'_>, values: &[i64]) -> Fp {
    if all_narrow(values) {
        reduce(&narrow_product(stretch.words, values), 32) - stretch.sum * Fp::from(NARROW_OFFSET as u64)
    } else {
        let mut total = Wide::ZERO;
        let limbs = stretch.words.map(|limbs| &limbs[..values.len()]);
        for i in 0..values.len() {
            total.add(limbs.map(|limbs| limbs[i]), wide(values[i]));
        }
        total.reduce() - stretch.sum * Fp::from(WIDE_OFFSET)
    }
}

/// The columns of a narrow sum over as many coefficients as there are values.
#[inline(always)]
fn narrow_product(limbs: [&[u64]; 4], values: &[i64]) -> [u64; 8] {
    // Slices of the same length, which frees the loop of checks.
    let [l0, l1, l2, l3] = limbs.map(|limbs| &limbs[..values.len()]);
    let mut columns = [0; 8];
    for i in 0..values.len() {
        // This mask changes nothing. It tells the compiler that products are 32 by 32 bits, which
        // vector units have.
        let v = (values[i] + NARROW_OFFSET) as u64 & LOW;
        for (k, limb) in [l0[i], l1[i], l2[i], l3[i]].into_iter().enumerate() {
            columns[2 * k] += (limb & LOW) * v;
            columns[2 * k + 1] += (limb >> 32) * v;
        }
    }
    columns
}

/// The inner products of the rows of a matrix with the coefficients.
pub(super) fn fold_columns(coefficients: &Coefficients, rows: &[i64]) -> Vec<Fp> {
    let product = |row: &[i64]| {
        let stretches = row.chunks(STRETCH).enumerate();
        stretches.map(|(i, values)| stretch_product(&coefficients.stretch(i * STRETCH), values)).sum()
    };
    rows.chunks_exact(coefficients.len()).map(product).collect()
}

/// The fold of a strip of columns over one stretch of rows.
pub(super) fn fold_rows<T: Integer>(
    stretch: &Stretch<'_>,
    rows: &[T],
    width: usize,
    strip: &Range<usize>,
) -> Vec<Fp> {
    fold_narrow(stretch, rows, width, strip).unwrap_or_else(|| fold_wide(stretch, rows, width, strip))
}

/// The same, if all values are narrow.
fn fold_narrow<T: Integer>(
    stretch: &Stretch<'_>,
    rows: &[T],
    width: usize,
    strip: &Range<usize>,
) -> Option<Vec<Fp>> {
    let mut totals = vec![[0; 8]; strip.len()];
    let mut tile = [[0; TILE_ROWS]; TILE_COLUMNS];
    for (t, rows) in rows.chunks(TILE_ROWS * width).enumerate() {
        let height = rows.len() / width;
        let limbs = stretch.words.map(|limbs| &limbs[t * TILE_ROWS..t * TILE_ROWS + height]);
        for (block, totals) in totals.chunks_mut(TILE_COLUMNS).enumerate() {
            let first = strip.start + block * TILE_COLUMNS;
            let mut bits = 0;
            for (r, row) in rows.chunks_exact(width).enumerate() {
                for (column, &v) in tile.iter_mut().zip(&row[first..first + totals.len()]) {
                    let v: i64 = v.into();
                    bits |= v.wrapping_add(NARROW_OFFSET) as u64;
                    column[r] = v;
                }
            }
            if bits >= 2 * NARROW_OFFSET as u64 {
                return None;
            }
            for (total, column) in totals.iter_mut().zip(&tile) {
                for (total, sum) in total.iter_mut().zip(narrow_product(limbs, &column[..height])) {
                    *total += sum;
                }
            }
        }
    }
    let offset = stretch.sum * Fp::from(NARROW_OFFSET as u64);
    Some(totals.iter().map(|total| reduce(total, 32) - offset).collect())
}

/// The same, for any values.
fn fold_wide<T: Integer>(stretch: &Stretch<'_>, rows: &[T], width: usize, strip: &Range<usize>) -> Vec<Fp> {
    let mut totals = vec![Wide::ZERO; strip.len()];
    for (r, row) in rows.chunks_exact(width).enumerate() {
        let limbs = stretch.words.map(|limbs| limbs[r]);
        for (total, &v) in totals.iter_mut().zip(&row[strip.clone()]) {
            total.add(limbs, wide(v.into()));
        }
    }
    let offset = stretch.sum * Fp::from(WIDE_OFFSET);
    totals.iter().map(|total| total.reduce() - offset).collect()
}
