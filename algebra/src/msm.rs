//! Multi-scalar multiplication.

use crate::{Eq, EqAffine, Fp};

/// `sum_i scalars[i] * points[i]`, in variable time.
///
/// # Panics
/// If the lengths differ.
pub fn msm(scalars: &[Fp], points: &[EqAffine]) -> Eq {
    halo2_proofs::arithmetic::best_multiexp(scalars, points)
}
