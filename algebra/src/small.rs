//! Small integers times field elements, with delayed reduction.
//!
//! A product of a field element and an integer is a few limbs long, so sums of such products are
//! kept as plain integers and reduced once at the end. Integers are made non-negative first, by an
//! offset that is taken off again from the result.

use crate::Fp;
use crate::parallel::{map, ranges, threads_for};
use ff::{Field, FromUniformBytes, PrimeField};
use pasta_curves::deferred::DeferredField;
use std::ops::Range;

/// Values in `-2^20..2^20` are narrow: plus `2^20` they have 21 bits.
const NARROW_OFFSET: i64 = 1 << 20;

/// Summands between two reductions of a narrow sum.
///
/// A narrow sum is kept in eight 64-bit columns of weight `2^(32k)`: coefficients are taken apart into
/// 32-bit limbs, a limb times a 21-bit value is below `2^53`, and `2^11` of them are at most `2^64 -
/// 2^11 * (2^32 + 2^21 - 1) < 2^64`. So no column overflows.
const NARROW_SUMMANDS: usize = 1 << 11;

/// Offset of wide values: any `i64` plus `2^63` is a `u64`.
///
/// A wide sum is one integer of six 64-bit limbs. A coefficient is below `2^255`, a value below
/// `2^64` and a slice has fewer than `2^63` entries, so a sum is below `2^382`.
const WIDE_OFFSET: u64 = 1 << 63;

/// Columns of a matrix that one thread folds together, at most: their sums stay in the second-level
/// cache while the matrix is read nearly in order.
const STRIP: usize = 1024;

/// Rows and columns of a matrix that are transposed together: a tile stays in the first-level cache.
const TILE_ROWS: usize = 64;
const TILE_COLUMNS: usize = 32;

/// Picoseconds of one small product, to decide about threads.
const PRODUCT_PS: usize = 1500;

/// The field element of a signed integer.
pub fn from_i64(v: i64) -> Fp {
    let magnitude = Fp::from(v.unsigned_abs());
    if v < 0 { -magnitude } else { magnitude }
}

/// A slice of field elements, prepared once for many products with small integers.
#[derive(Debug, Clone)]
pub struct Coefficients {
    /// Canonical 64-bit limbs: all lowest ones, then all second ones, and so on.
    limbs: [Vec<u64>; 4],
    /// Sums of the coefficients of each stretch of `NARROW_SUMMANDS`.
    sums: Vec<Fp>,
}

impl Coefficients {
    /// Prepares `coefficients`.
    pub fn new(coefficients: &[Fp]) -> Self {
        let mut limbs: [Vec<u64>; 4] = std::array::from_fn(|_| Vec::with_capacity(coefficients.len()));
        for c in coefficients {
            for (limbs, bytes) in limbs.iter_mut().zip(c.to_repr().as_chunks::<8>().0) {
                limbs.push(u64::from_le_bytes(*bytes));
            }
        }
        let sums = coefficients.chunks(NARROW_SUMMANDS).map(|stretch| stretch.iter().sum()).collect();
        Coefficients { limbs, sums }
    }

    /// Number of coefficients.
    pub fn len(&self) -> usize {
        self.limbs[0].len()
    }

    /// Whether there is no coefficient.
    pub fn is_empty(&self) -> bool {
        self.limbs[0].is_empty()
    }

    /// The stretch that starts at `start`.
    fn stretch(&self, start: usize) -> Stretch<'_> {
        let end = (start + NARROW_SUMMANDS).min(self.len());
        Stretch {
            limbs: std::array::from_fn(|k| &self.limbs[k][start..end]),
            sum: &self.sums[start / NARROW_SUMMANDS],
        }
    }
}

/// At most `NARROW_SUMMANDS` coefficients, by limbs, and their sum.
struct Stretch<'a> {
    limbs: [&'a [u64]; 4],
    sum: &'a Fp,
}

const LOW: u64 = u32::MAX as u64;

/// The field element `sum_k columns[k] * 2^(32k)`.
fn reduce_narrow(columns: &[u64; 8]) -> Fp {
    let mut bytes = [0; 64];
    let mut carry = 0;
    for (bytes, &column) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(columns) {
        let total = u128::from(column) + carry;
        *bytes = (total as u32).to_le_bytes();
        carry = total >> 32;
    }
    bytes[32..40].copy_from_slice(&(carry as u64).to_le_bytes());
    Fp::from_uniform_bytes(&bytes)
}

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
        let mut bytes = [0; 64];
        for (bytes, limb) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(&self.0) {
            *bytes = limb.to_le_bytes();
        }
        Fp::from_uniform_bytes(&bytes)
    }
}

/// Whether all of a stretch of at most `NARROW_SUMMANDS` values is narrow.
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
fn stretch_product(stretch: &Stretch<'_>, values: &[i64]) -> Fp {
    if all_narrow(values) {
        reduce_narrow(&narrow_product(stretch.limbs, values)) - stretch.sum * Fp::from(NARROW_OFFSET as u64)
    } else {
        let mut total = Wide::ZERO;
        let limbs = stretch.limbs.map(|limbs| &limbs[..values.len()]);
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

/// One inner product, on one thread.
fn product(coefficients: &Coefficients, values: &[i64]) -> Fp {
    let stretches = values.chunks(NARROW_SUMMANDS).enumerate();
    stretches.map(|(i, values)| stretch_product(&coefficients.stretch(i * NARROW_SUMMANDS), values)).sum()
}

/// `sum_i coefficients[i] * values[i]`.
///
/// # Panics
/// If the lengths differ.
pub fn inner_product(coefficients: &Coefficients, values: &[i64]) -> Fp {
    assert_eq!(coefficients.len(), values.len(), "one coefficient per value");
    let threads = threads_for(values.len() * PRODUCT_PS / 1000);
    let stretches = ranges(values.len(), NARROW_SUMMANDS);
    map(&stretches, threads, |range| {
        stretch_product(&coefficients.stretch(range.start), &values[range.clone()])
    })
    .into_iter()
    .sum()
}

/// Combines the rows of a matrix: `out[c] = sum_r coefficients[r] * values[r*width + c]`.
///
/// # Panics
/// If `values` is not `coefficients.len()` rows of `width` entries.
pub fn fold_rows(coefficients: &Coefficients, values: &[i64], width: usize) -> Vec<Fp> {
    assert_eq!(values.len(), coefficients.len() * width, "one row of the given width per coefficient");
    let threads = threads_for(values.len() * PRODUCT_PS / 1000);
    let strips = ranges(width, width.div_ceil(threads).next_multiple_of(TILE_COLUMNS).min(STRIP));
    let folded = map(&strips, threads, |strip| {
        let mut out = vec![Fp::ZERO; strip.len()];
        for (i, rows) in values.chunks(NARROW_SUMMANDS * width).enumerate() {
            let stretch = coefficients.stretch(i * NARROW_SUMMANDS);
            if !fold_narrow(&stretch, rows, width, strip, &mut out) {
                fold_wide(&stretch, rows, width, strip, &mut out);
            }
        }
        out
    });
    folded.concat()
}

/// Adds the fold of one strip of columns to `out`, if all its values are narrow; else returns false.
fn fold_narrow(
    stretch: &Stretch<'_>,
    rows: &[i64],
    width: usize,
    strip: &Range<usize>,
    out: &mut [Fp],
) -> bool {
    let mut totals = vec![[0; 8]; strip.len()];
    let mut tile = [[0; TILE_ROWS]; TILE_COLUMNS];
    for (t, rows) in rows.chunks(TILE_ROWS * width).enumerate() {
        let height = rows.len() / width;
        let limbs = stretch.limbs.map(|limbs| &limbs[t * TILE_ROWS..t * TILE_ROWS + height]);
        for (block, totals) in totals.chunks_mut(TILE_COLUMNS).enumerate() {
            let first = strip.start + block * TILE_COLUMNS;
            let mut bits = 0;
            for (r, row) in rows.chunks_exact(width).enumerate() {
                for (column, &v) in tile.iter_mut().zip(&row[first..first + totals.len()]) {
                    bits |= v.wrapping_add(NARROW_OFFSET) as u64;
                    column[r] = v;
                }
            }
            if bits >= 2 * NARROW_OFFSET as u64 {
                return false;
            }
            for (total, column) in totals.iter_mut().zip(&tile) {
                for (total, sum) in total.iter_mut().zip(narrow_product(limbs, &column[..height])) {
                    *total += sum;
                }
            }
        }
    }
    let offset = stretch.sum * Fp::from(NARROW_OFFSET as u64);
    for (out, total) in out.iter_mut().zip(&totals) {
        *out += reduce_narrow(total) - offset;
    }
    true
}

/// Adds the fold of one strip of columns to `out`.
fn fold_wide(stretch: &Stretch<'_>, rows: &[i64], width: usize, strip: &Range<usize>, out: &mut [Fp]) {
    let mut totals = vec![Wide::ZERO; strip.len()];
    for (r, row) in rows.chunks_exact(width).enumerate() {
        let limbs = stretch.limbs.map(|limbs| limbs[r]);
        for (total, &v) in totals.iter_mut().zip(&row[strip.clone()]) {
            total.add(limbs, wide(v));
        }
    }
    let offset = stretch.sum * Fp::from(WIDE_OFFSET);
    for (out, total) in out.iter_mut().zip(&totals) {
        *out += total.reduce() - offset;
    }
}

/// Combines the columns of a matrix: `out[r] = sum_c coefficients[c] * values[r*width + c]`.
///
/// # Panics
/// If `width` is not the number of coefficients or `values` is not a whole number of rows.
pub fn fold_columns(coefficients: &Coefficients, values: &[i64], width: usize) -> Vec<Fp> {
    assert_eq!(width, coefficients.len(), "one coefficient per column");
    if width == 0 {
        assert!(values.is_empty(), "a whole number of rows");
        return Vec::new();
    }
    assert_eq!(values.len() % width, 0, "a whole number of rows");
    let threads = threads_for(values.len() * PRODUCT_PS / 1000);
    let rows = values.len() / width;
    let pieces = ranges(rows, rows.div_ceil(8 * threads));
    map(&pieces, threads, |rows| {
        let rows = values[rows.start * width..rows.end * width].chunks_exact(width);
        rows.map(|row| product(coefficients, row)).collect::<Vec<_>>()
    })
    .concat()
}

/// `sum_i a[i] * b[i]`.
///
/// # Panics
/// If the lengths differ.
pub fn inner_product_field(a: &[Fp], b: &[Fp]) -> Fp {
    assert_eq!(a.len(), b.len(), "vectors of equal length");
    let threads = threads_for(a.len() * 10);
    let pieces = ranges(a.len(), a.len().div_ceil(4 * threads));
    map(&pieces, threads, |range| {
        let mut total = <Fp as DeferredField>::Accumulator::default();
        for (x, y) in a[range.clone()].iter().zip(&b[range.clone()]) {
            Fp::mul_accumulate(&mut total, x, y);
        }
        Fp::reduce(total)
    })
    .into_iter()
    .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parallel::on_one_and_two_threads;
    use proptest::prelude::*;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};

    fn naive(coefficients: &[Fp], values: impl Iterator<Item = i64>) -> Fp {
        coefficients.iter().zip(values).map(|(c, v)| c * from_i64(v)).sum()
    }

    /// Checks all three functions on one matrix.
    fn check(by_row: &[Fp], by_column: &[Fp], values: &[i64]) {
        let (height, width) = (by_row.len(), by_column.len());
        let folded = fold_rows(&Coefficients::new(by_row), values, width);
        let expected: Vec<Fp> =
            (0..width).map(|c| naive(by_row, (0..height).map(|r| values[r * width + c]))).collect();
        assert_eq!(folded, expected);
        let coefficients = Coefficients::new(by_column);
        let folded = fold_columns(&coefficients, values, width);
        if width > 0 {
            let expected: Vec<Fp> =
                (0..height).map(|r| naive(by_column, values[r * width..].iter().copied())).collect();
            assert_eq!(folded, expected);
            for (row, expected) in values.chunks(width).zip(expected) {
                assert_eq!(inner_product(&coefficients, row), expected);
            }
        }
    }

    fn random(n: usize, seed: u64) -> Vec<Fp> {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        (0..n).map(|_| Fp::random(&mut rng)).collect()
    }

    #[test]
    fn integers_embed() {
        assert_eq!(from_i64(i64::MIN) + Fp::from(1 << 63), Fp::ZERO);
        assert_eq!(from_i64(i64::MAX), Fp::from(i64::MAX as u64));
        assert_eq!(from_i64(-1) + Fp::ONE, Fp::ZERO);
    }

    #[test]
    fn shapes() {
        let mut rng = ChaCha20Rng::seed_from_u64(5);
        for (height, width) in [(0, 0), (0, 3), (3, 0), (1, 1), (1, 65), (7, 64), (65, 3), (33, 129)] {
            for bits in [1, 8, 21, 40, 64] {
                let values: Vec<i64> =
                    (0..height * width).map(|_| rng.next_u64() as i64 >> (64 - bits)).collect();
                check(&random(height, 6), &random(width, 7), &values);
            }
        }
    }

    #[test]
    fn extremes_in_every_stretch() {
        // More than two stretches of the greatest coefficients and the greatest and least values.
        let n = 2 * NARROW_SUMMANDS + 5;
        let coefficients = vec![-Fp::ONE; n];
        for v in [i64::MIN, i64::MAX, NARROW_OFFSET - 1, NARROW_OFFSET, -NARROW_OFFSET, -NARROW_OFFSET - 1, 0]
        {
            check(&coefficients, &[Fp::ONE], &vec![v; n]);
            check(&[Fp::ONE], &coefficients, &vec![v; n]);
        }
        // Seven limbs at their maximum and the eighth at its: the bound of the columns is met.
        let mut bytes = [255; 32];
        bytes[31] = 0x3f;
        let almost = Fp::from_repr(bytes).unwrap();
        check(&vec![almost; n], &[Fp::ONE], &vec![NARROW_OFFSET - 1; n]);
    }

    #[test]
    fn one_and_two_threads_agree() {
        let mut rng = ChaCha20Rng::seed_from_u64(9);
        let (height, width) = (401, 530);
        let values: Vec<i64> = (0..height * width).map(|_| rng.next_u64() as i64 >> 48).collect();
        let (by_row, by_column) = (random(height, 10), random(width, 11));
        let [one, two] = on_one_and_two_threads(|| {
            check(&by_row, &by_column, &values);
            let flat = inner_product(&Coefficients::new(&random(height * width, 12)), &values);
            let long = random(40_000, 13);
            (flat, inner_product_field(&long, &long))
        });
        assert_eq!(one, two);
        assert_eq!(one.1, random(40_000, 13).iter().map(Fp::square).sum::<Fp>());
        assert_eq!(one.0, naive(&random(height * width, 12), values.iter().copied()));
    }

    proptest! {
        #[test]
        fn products_agree_with_the_definition(
            terms in prop::collection::vec((any::<u64>(), prop_oneof![any::<i64>(), -300i64..300, Just(0)]), 0..40)
        ) {
            let coefficients: Vec<Fp> = terms.iter().map(|t| Fp::from(t.0).square().square()).collect();
            let values: Vec<i64> = terms.iter().map(|t| t.1).collect();
            let expected = naive(&coefficients, values.iter().copied());
            prop_assert_eq!(inner_product(&Coefficients::new(&coefficients), &values), expected);
            let embedded: Vec<Fp> = values.iter().map(|&v| from_i64(v)).collect();
            prop_assert_eq!(inner_product_field(&coefficients, &embedded), expected);
        }
    }
}
