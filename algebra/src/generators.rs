//! The generators of all tensor commitments.
//!
//! Nobody knows a relation between them: each is the hash of its own name to the curve. The first
//! ones are embedded, because deriving takes some 15 microseconds each; a test derives them again.

use crate::parallel::{map_on, ranges, threads_for};
use crate::{Eq, EqAffine, Fq};
use ff::PrimeField;
use group::Curve;
use pasta_curves::arithmetic::CurveExt;
use std::sync::{Mutex, OnceLock, PoisonError};

/// Domain string of the hash to the curve.
pub const DOMAIN: &str = "provenn-v1-generators";

/// Number of generators that are embedded.
pub const EMBEDDED: usize = 4096;

/// The first [`EMBEDDED`] generators: x then y, 32 bytes little-endian each. Written by the example
/// `embed_generators`.
static BYTES: &[u8; 64 * EMBEDDED] = include_bytes!("generators.bin");

/// The generators of a row of commitments.
#[derive(Debug, Clone)]
pub struct Generators {
    /// One generator per entry of a column.
    pub g: Vec<EqAffine>,
    /// The generator of the blinding term.
    pub h: EqAffine,
    /// The generator of inner products.
    pub u: EqAffine,
}

/// The first `n` generators, H and U.
///
/// Generator `i` is the hash of `b"g" || i` (32 bits, little-endian) to the curve in the domain
/// [`DOMAIN`], H that of `b"h"` and U that of `b"u"`. Beyond [`EMBEDDED`] they are derived when first asked for.
///
/// # Panics
/// If `n` exceeds `2^32`.
pub fn generators(n: usize) -> Generators {
    static DERIVED: Mutex<Vec<EqAffine>> = Mutex::new(Vec::new());

    let embedded = embedded();
    let mut g = embedded[..n.min(EMBEDDED)].to_vec();
    if n > EMBEDDED {
        // Entries are only ever appended whole, so they are good even if another thread panicked.
        let mut derived = DERIVED.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = derive(EMBEDDED + derived.len()..n);
        derived.extend(missing);
        g.extend_from_slice(&derived[..n - EMBEDDED]);
    }
    Generators { g, h: blinding_generator(), u: inner_product_generator() }
}

/// The generator H of blinding terms.
pub(crate) fn blinding_generator() -> EqAffine {
    static H: OnceLock<EqAffine> = OnceLock::new();

    *H.get_or_init(|| Eq::hash_to_curve(DOMAIN)(b"h").to_affine())
}

/// The generator U of inner products.
fn inner_product_generator() -> EqAffine {
    static U: OnceLock<EqAffine> = OnceLock::new();

    *U.get_or_init(|| Eq::hash_to_curve(DOMAIN)(b"u").to_affine())
}

/// The embedded generators, decoded once.
fn embedded() -> &'static [EqAffine] {
    static DECODED: OnceLock<Vec<EqAffine>> = OnceLock::new();

    DECODED.get_or_init(|| {
        let (pairs, _) = BYTES.as_chunks::<64>();
        pairs
            .iter()
            .map(|pair| {
                let (coordinates, _) = pair.as_chunks::<32>();
                let [x, y] = [0, 1]
                    .map(|i| Fq::from_repr(coordinates[i]).expect("embedded coordinates are canonical"));
                EqAffine::from_xy_unchecked(x, y)
            })
            .collect()
    })
}

/// Derives the generators of a range of indices, from their definition.
///
/// # Panics
/// If an index exceeds 32 bits.
pub fn derive(indices: std::ops::Range<usize>) -> Vec<EqAffine> {
    let pieces = ranges(indices.len(), 64);
    let threads = threads_for(indices.len() * 15_000);
    map_on(&pieces, threads, |piece| {
        let hash = Eq::hash_to_curve(DOMAIN);
        let points: Vec<Eq> = piece
            .clone()
            .map(|i| {
                let index = u32::try_from(indices.start + i).expect("generator indices have 32 bits");
                let mut message = [b'g', 0, 0, 0, 0];
                message[1..].copy_from_slice(&index.to_le_bytes());
                hash(&message)
            })
            .collect();
        let mut affine = vec![EqAffine::default(); points.len()];
        Eq::batch_normalize(&points, &mut affine);
        affine
    })
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use group::CurveAffine as _;
    use pasta_curves::arithmetic::CurveAffine as _;

    #[test]
    fn embedded_generators_are_the_derived_ones() {
        assert_eq!(generators(EMBEDDED).g, derive(0..EMBEDDED));
    }

    #[test]
    fn definition() {
        let hash = Eq::hash_to_curve("provenn-v1-generators");
        let both = generators(3);
        assert_eq!(both.g.len(), 3);
        assert_eq!(both.g[2], hash(&[b'g', 2, 0, 0, 0]).to_affine());
        assert_eq!(both.h, hash(b"h").to_affine());
        assert_eq!(both.u, hash(b"u").to_affine());
    }

    #[test]
    fn prefixes_agree_beyond_the_embedded_ones() {
        let long = generators(EMBEDDED + 70);
        let short = generators(EMBEDDED + 3);
        assert_eq!(long.g[..EMBEDDED + 3], short.g);
        assert_eq!(long.g[EMBEDDED..], derive(EMBEDDED..EMBEDDED + 70));
        assert!(generators(0).g.is_empty());
    }

    #[test]
    fn generators_are_distinct_points_of_the_curve() {
        let all = generators(EMBEDDED);
        let mut encodings = crate::encoding::compress(&all.g);
        encodings.extend(crate::encoding::compress(&[all.h, all.u]));
        encodings.sort_unstable();
        encodings.dedup();
        assert_eq!(encodings.len(), EMBEDDED + 2);
        assert!(all.g.iter().chain([&all.h, &all.u]).all(|p| bool::from(p.is_on_curve() & !p.is_identity())));
    }
}
