//! Small integers times field elements, with delayed reduction.
//!
//! A product of a field element and an integer is a few limbs long, so sums of such products are
//! kept as plain integers and reduced once at the end. Integers are made non-negative first, by an
//! offset that is taken off again from the result.

#[cfg(target_arch = "x86_64")]
mod ifma;
mod integers;
mod portable;

use crate::Fp;
use crate::backend::{Backend, backend};
use crate::parallel::{map_on, pieces_for, ranges, threads_for};
use ff::{Field, FromUniformBytes, PrimeField};
use pasta_curves::deferred::DeferredField;
use std::ops::Range;

pub use integers::{row_products, row_products_on};

/// Summands between two reductions: what both kernels' columns have room for.
const STRETCH: usize = 1 << 11;

/// Columns of a matrix that one thread folds together, at most: their sums stay in the second-level
/// cache while the matrix is read nearly in order.
const STRIP: usize = 1024;

/// Strips are of whole blocks of this many columns, but for the last.
const STRIP_UNIT: usize = 32;

/// Kernels that can run here.
#[derive(Clone, Copy)]
enum Kernels {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Ifma(ifma::Ifma),
}

impl Kernels {
    /// The wanted ones where the processor has them, else the portable ones.
    fn new(wanted: Backend) -> Kernels {
        match wanted {
            #[cfg(target_arch = "x86_64")]
            Backend::Ifma => ifma::Ifma::detect().map_or(Kernels::Portable, Kernels::Ifma),
            _ => Kernels::Portable,
        }
    }

    /// Threads for so many products, of which one takes 1.5 or 0.3 nanoseconds.
    fn threads(self, products: usize) -> usize {
        threads_for(match self {
            Kernels::Portable => products / 2 * 3,
            #[cfg(target_arch = "x86_64")]
            Kernels::Ifma(_) => products / 10 * 3,
        })
    }
}

/// Signed integers in which values may be stored.
pub trait Integer: Copy + Default + Into<i64> + Send + Sync {}

impl Integer for i16 {}
impl Integer for i32 {}
impl Integer for i64 {}

/// The field element of a signed integer.
pub fn from_i64(v: i64) -> Fp {
    let magnitude = Fp::from(v.unsigned_abs());
    if v < 0 { -magnitude } else { magnitude }
}

/// A slice of field elements, prepared once for many products with small integers.
#[derive(Debug, Clone)]
pub struct Coefficients {
    /// Canonical 64-bit words: all lowest ones, then all second ones, and so on.
    words: [Vec<u64>; 4],
    /// Sums of the coefficients of each stretch of `STRETCH`.
    sums: Vec<Fp>,
}

impl Coefficients {
    /// Prepares `coefficients`.
    pub fn new(coefficients: &[Fp]) -> Self {
        let mut words: [Vec<u64>; 4] = std::array::from_fn(|_| Vec::with_capacity(coefficients.len()));
        for c in coefficients {
            for (words, bytes) in words.iter_mut().zip(c.to_repr().as_chunks::<8>().0) {
                words.push(u64::from_le_bytes(*bytes));
            }
        }
        let sums = coefficients.chunks(STRETCH).map(|stretch| stretch.iter().sum()).collect();
        Coefficients { words, sums }
    }

    /// Number of coefficients.
    pub fn len(&self) -> usize {
        self.words[0].len()
    }

    /// Whether there is no coefficient.
    pub fn is_empty(&self) -> bool {
        self.words[0].is_empty()
    }

    /// The stretch that starts at `start`.
    fn stretch(&self, start: usize) -> Stretch<'_> {
        let end = (start + STRETCH).min(self.len());
        Stretch {
            words: std::array::from_fn(|k| &self.words[k][start..end]),
            sum: &self.sums[start / STRETCH],
        }
    }
}

/// At most `STRETCH` coefficients, by words, and their sum.
struct Stretch<'a> {
    words: [&'a [u64]; 4],
    sum: &'a Fp,
}

/// The field element `sum_k columns[k] * 2^(k bits)`, for at most eight columns with weights up to `2^320`.
fn reduce(columns: &[u64], bits: usize) -> Fp {
    let mut words = [0u64; 8];
    for (k, &column) in columns.iter().enumerate() {
        let (word, shift) = (k * bits / 64, k * bits % 64);
        let shifted = u128::from(column) << shift;
        let (low, carry) = words[word].overflowing_add(shifted as u64);
        words[word] = low;
        // A high half of a product of 2^64 - 1 and 2^63 at most has room for the carry.
        let mut rest = (shifted >> 64) as u64 + u64::from(carry);
        for word in &mut words[word + 1..] {
            if rest == 0 {
                break;
            }
            let (sum, carry) = word.overflowing_add(rest);
            (*word, rest) = (sum, u64::from(carry));
        }
    }
    let mut bytes = [0; 64];
    for (bytes, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(words) {
        *bytes = word.to_le_bytes();
    }
    Fp::from_uniform_bytes(&bytes)
}

/// `sum_i coefficients[i] * values[i]`.
///
/// # Panics
/// If the lengths differ.
pub fn inner_product(coefficients: &Coefficients, values: &[i64]) -> Fp {
    inner_product_on(backend(), coefficients, values)
}

/// [`inner_product`] with chosen kernels; the portable ones, if the processor has no others.
///
/// # Panics
/// If the lengths differ.
pub fn inner_product_on(backend: Backend, coefficients: &Coefficients, values: &[i64]) -> Fp {
    assert_eq!(coefficients.len(), values.len(), "one coefficient per value");
    let kernels = Kernels::new(backend);
    let stretches = ranges(values.len(), STRETCH);
    let product = |range: &Range<usize>| {
        let (stretch, values) = (coefficients.stretch(range.start), &values[range.clone()]);
        match kernels {
            Kernels::Portable => portable::stretch_product(&stretch, values),
            #[cfg(target_arch = "x86_64")]
            Kernels::Ifma(ifma) => ifma.stretch_product(&stretch, values),
        }
    };
    map_on(&stretches, kernels.threads(values.len()), product).into_iter().sum()
}

/// Combines the rows of a matrix: `out[c] = sum_r coefficients[r] * values[r*width + c]`.
///
/// # Panics
/// If `values` is not `coefficients.len()` rows of `width` entries.
pub fn fold_rows<T: Integer>(coefficients: &Coefficients, values: &[T], width: usize) -> Vec<Fp> {
    fold_rows_on(backend(), coefficients, values, width)
}

/// [`fold_rows`] with chosen kernels; the portable ones, if the processor has no others.
///
/// # Panics
/// If `values` is not `coefficients.len()` rows of `width` entries.
pub fn fold_rows_on<T: Integer>(
    backend: Backend,
    coefficients: &Coefficients,
    values: &[T],
    width: usize,
) -> Vec<Fp> {
    assert_eq!(values.len(), coefficients.len() * width, "one row of the given width per coefficient");
    let kernels = Kernels::new(backend);
    let threads = kernels.threads(values.len());
    let strips = ranges(width, width.div_ceil(threads).next_multiple_of(STRIP_UNIT).min(STRIP));
    let stretches = ranges(coefficients.len(), STRETCH);
    let pieces: Vec<(&Range<usize>, &Range<usize>)> =
        strips.iter().flat_map(|strip| stretches.iter().map(move |rows| (strip, rows))).collect();
    let fold = |&(strip, rows): &(&Range<usize>, &Range<usize>)| {
        let stretch = coefficients.stretch(rows.start);
        let rows = &values[rows.start * width..rows.end * width];
        match kernels {
            Kernels::Portable => portable::fold_rows(&stretch, rows, width, strip),
            #[cfg(target_arch = "x86_64")]
            Kernels::Ifma(ifma) => ifma.fold_rows(&stretch, rows, width, strip),
        }
    };
    let mut out = vec![Fp::ZERO; width];
    for ((strip, _), part) in pieces.iter().zip(map_on(&pieces, threads, fold)) {
        for (out, part) in out[strip.start..strip.end].iter_mut().zip(part) {
            *out += part;
        }
    }
    out
}

/// Combines the columns of a matrix: `out[r] = sum_c coefficients[c] * values[r*width + c]`.
///
/// # Panics
/// If `width` is not the number of coefficients or `values` is not a whole number of rows.
pub fn fold_columns(coefficients: &Coefficients, values: &[i64], width: usize) -> Vec<Fp> {
    fold_columns_on(backend(), coefficients, values, width)
}

/// [`fold_columns`] with chosen kernels; the portable ones, if the processor has no others.
///
/// # Panics
/// If `width` is not the number of coefficients or `values` is not a whole number of rows.
pub fn fold_columns_on(
    backend: Backend,
    coefficients: &Coefficients,
    values: &[i64],
    width: usize,
) -> Vec<Fp> {
    assert_eq!(width, coefficients.len(), "one coefficient per column");
    if width == 0 {
        assert!(values.is_empty(), "a whole number of rows");
        return Vec::new();
    }
    assert_eq!(values.len() % width, 0, "a whole number of rows");
    let kernels = Kernels::new(backend);
    let threads = kernels.threads(values.len());
    let rows = values.len() / width;
    let pieces = ranges(rows, rows.div_ceil(pieces_for(threads)));
    let fold = |rows: &Range<usize>| {
        let rows = &values[rows.start * width..rows.end * width];
        match kernels {
            Kernels::Portable => portable::fold_columns(coefficients, rows),
            #[cfg(target_arch = "x86_64")]
            Kernels::Ifma(ifma) => ifma.fold_columns(coefficients, rows),
        }
    };
    map_on(&pieces, threads, fold).concat()
}

/// `sum_i a[i] * b[i]`.
///
/// # Panics
/// If the lengths differ.
pub fn inner_product_field(a: &[Fp], b: &[Fp]) -> Fp {
    assert_eq!(a.len(), b.len(), "vectors of equal length");
    let threads = threads_for(a.len() * 10);
    let pieces = ranges(a.len(), a.len().div_ceil(4 * threads));
    map_on(&pieces, threads, |range| {
        let mut total = <Fp as DeferredField>::Accumulator::default();
        for (x, y) in a[range.clone()].iter().zip(&b[range.clone()]) {
            Fp::mul_accumulate(&mut total, x, y);
        }
        Fp::reduce(total)
    })
    .into_iter()
    .sum()
}

/// `sum_i coefficients[i] * vectors[i]`, on the first `len` entries.
///
/// # Panics
/// If the numbers of coefficients and of vectors differ, or a vector has fewer than `len` entries.
pub fn combination(coefficients: &[Fp], vectors: &[Vec<Fp>], len: usize) -> Vec<Fp> {
    assert_eq!(coefficients.len(), vectors.len(), "one coefficient per vector");
    let threads = threads_for(coefficients.len() * len * 10);
    let pieces = ranges(len, len.div_ceil(pieces_for(threads)));
    map_on(&pieces, threads, |range| {
        let mut sums = vec![<Fp as DeferredField>::Accumulator::default(); range.len()];
        for (coefficient, vector) in coefficients.iter().zip(vectors) {
            for (sum, entry) in sums.iter_mut().zip(&vector[range.clone()]) {
                Fp::mul_accumulate(sum, coefficient, entry);
            }
        }
        sums.into_iter().map(Fp::reduce).collect::<Vec<_>>()
    })
    .concat()
}

#[cfg(test)]
mod tests;
