//! Small integers times field elements, with delayed reduction.

use crate::Fp;
use ff::Field;

/// The field element of a signed integer.
pub fn from_i64(v: i64) -> Fp {
    let magnitude = Fp::from(v.unsigned_abs());
    if v < 0 { -magnitude } else { magnitude }
}

/// A slice of field elements, prepared once for many products with small integers.
#[derive(Debug, Clone)]
pub struct Coefficients {
    values: Vec<Fp>,
}

impl Coefficients {
    /// Prepares `coefficients`.
    pub fn new(coefficients: &[Fp]) -> Self {
        Coefficients { values: coefficients.to_vec() }
    }

    /// Number of coefficients.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is no coefficient.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

/// `sum_i coefficients[i] * values[i]`.
///
/// # Panics
/// If the lengths differ.
pub fn inner_product(coefficients: &Coefficients, values: &[i64]) -> Fp {
    assert_eq!(coefficients.len(), values.len(), "one coefficient per value");
    coefficients.values.iter().zip(values).map(|(c, &v)| c * from_i64(v)).sum()
}

/// Combines the rows of a matrix: `out[c] = sum_r coefficients[r] * values[r*width + c]`.
///
/// # Panics
/// If `values` is not `coefficients.len()` rows of `width` entries.
pub fn fold_rows(coefficients: &Coefficients, values: &[i64], width: usize) -> Vec<Fp> {
    assert_eq!(values.len(), coefficients.len() * width, "rows of the given width");
    let mut out = vec![Fp::ZERO; width];
    for (r, c) in coefficients.values.iter().enumerate() {
        for (o, &v) in out.iter_mut().zip(&values[r * width..]) {
            *o += c * from_i64(v);
        }
    }
    out
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
    values.chunks_exact(width).map(|row| inner_product(coefficients, row)).collect()
}

/// `sum_i a[i] * b[i]`.
///
/// # Panics
/// If the lengths differ.
pub fn inner_product_field(a: &[Fp], b: &[Fp]) -> Fp {
    assert_eq!(a.len(), b.len(), "vectors of equal length");
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}
