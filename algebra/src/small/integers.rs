//! Inner products of small integers.

use super::Kernels;
use crate::backend::{Backend, backend};

/// Appends the inner products of `a` with all rows of `c`, modulo `2^64`: exact wherever the true ones are `i64`s.
///
/// # Panics
/// If `a` is empty or `c` is not a whole number of rows of that length.
#[inline]
pub fn row_products(a: &[i64], c: &[i64], out: &mut Vec<i64>) {
    row_products_on(backend(), a, c, out)
}

/// [`row_products`] with chosen kernels; the portable ones, if the processor has no others.
///
/// # Panics
/// If `a` is empty or `c` is not a whole number of rows of that length.
#[inline]
pub fn row_products_on(backend: Backend, a: &[i64], c: &[i64], out: &mut Vec<i64>) {
    assert!(!a.is_empty() && c.len().is_multiple_of(a.len()), "a whole number of rows");
    if a.len() < 8 {
        // Not one whole vector.
        return row_products_of(a, c, out);
    }
    match Kernels::new(backend) {
        Kernels::Portable => row_products_of(a, c, out),
        #[cfg(target_arch = "x86_64")]
        Kernels::Ifma(ifma) => ifma.row_products(a, c, out),
    }
}

/// The products, for whatever instructions its caller may use: the compiler makes vectors of it.
#[inline(always)]
pub(super) fn row_products_of(a: &[i64], c: &[i64], out: &mut Vec<i64>) {
    for row in c.chunks_exact(a.len()) {
        // Sums of every eighth product: they do not wait for each other.
        let (a, a_rest) = a.as_chunks::<8>();
        let (row, row_rest) = row.as_chunks::<8>();
        let mut sums = [0i64; 8];
        for (a, c) in a.iter().zip(row) {
            for lane in 0..8 {
                sums[lane] = sums[lane].wrapping_add(a[lane].wrapping_mul(c[lane]));
            }
        }
        let rest = a_rest.iter().zip(row_rest).map(|(a, c)| a.wrapping_mul(*c));
        out.push(sums.into_iter().chain(rest).fold(0, i64::wrapping_add));
    }
}
