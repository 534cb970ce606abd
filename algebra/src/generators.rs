//! The generators of all tensor commitments.
//!
//! Nobody knows a relation between them: each is the hash of its own name to the curve.

use crate::EqAffine;
use group::Curve;
use pasta_curves::Eq;
use pasta_curves::arithmetic::CurveExt;

/// Domain string of the hash to the curve.
pub const DOMAIN: &str = "provenn-v1-generators";

/// The generators of a row of commitments.
#[derive(Debug, Clone)]
pub struct Generators {
    /// One generator per entry of a column.
    pub g: Vec<EqAffine>,
    /// The generator of the blinding term.
    pub h: EqAffine,
}

/// The first `n` generators, and H.
pub fn generators(n: usize) -> Generators {
    let hash = Eq::hash_to_curve(DOMAIN);
    let g = (0..n as u32)
        .map(|i| {
            let mut message = [b'g', 0, 0, 0, 0];
            message[1..].copy_from_slice(&i.to_le_bytes());
            hash(&message).to_affine()
        })
        .collect();
    Generators { g, h: hash(b"h").to_affine() }
}
