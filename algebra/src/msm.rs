//! Multi-scalar multiplication.

use crate::affine::{Point, PointLanes, stored, with_images};
use crate::backend::{Backend, backend};
use crate::buckets::{Histogram, Job, bucket_sums, recode};
use crate::lanes::{Word, dispatch};
use crate::parallel::{map_on, pieces_for, threads_for};
use crate::{Eq, EqAffine, Fp, Fq};
use ff::{Field, PrimeField};
use group::Group;
use pasta_curves::glv::GlvParams;

/// Digits whose buckets are filled together: their points stay in the second-level cache.
const GROUP: usize = 1 << 14;

/// Nanoseconds to take one scalar apart, to decide about threads.
const TERM: usize = 200;

/// A signed integer below `2^127` in absolute value.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Half {
    pub(crate) negative: bool,
    pub(crate) magnitude: u128,
}

/// `sum_i scalars[i] * points[i]`, in variable time.
///
/// Pippenger's method over half-length scalars: every scalar is split with the curve's
/// endomorphism (Gallant, Lambert, Vanstone, CRYPTO 2001), which leaves the additions of points to
/// buckets as many as before and halves the buckets. Complete: identity points, equal and opposite
/// points and zero scalars are allowed.
///
/// # Panics
/// If the lengths differ.
pub fn msm(scalars: &[Fp], points: &[EqAffine]) -> Eq {
    msm_on(backend(), scalars, points)
}

/// [`msm`] with the kernels that are named.
///
/// # Panics
/// If the lengths differ, or the processor does not have the kernels.
pub fn msm_on(backend: Backend, scalars: &[Fp], points: &[EqAffine]) -> Eq {
    assert_eq!(scalars.len(), points.len(), "one scalar per point");
    dispatch!(backend, Fq, L => sums::<L>(&stored::<L>(points), &[scalars])[0])
}

/// The sums of several vectors of scalars, each over the first of the points.
pub(crate) fn sums<L: PointLanes>(points: &[Point<L::Word>], vectors: &[&[Fp]]) -> Vec<Eq> {
    let terms: usize = vectors.iter().map(|vector| vector.len()).sum();
    let threads = threads_for(terms * TERM);
    debug_assert!(vectors.iter().all(|vector| vector.len() <= points.len()), "a point for every scalar");
    // Terms without a scalar are left out.
    let parts = map_on(vectors, threads, |vector| {
        let mut histogram = Histogram::new();
        let (mut bases, mut halves) = (Vec::new(), Vec::with_capacity(2 * vector.len()));
        for (scalar, point) in vector.iter().zip(points).filter(|(scalar, _)| !scalar.is_zero_vartime()) {
            bases.push(*point);
            for half in split(scalar) {
                histogram.add(half.magnitude);
                halves.push(half);
            }
        }
        (with_images::<L>(&bases), halves, histogram)
    });
    let histogram = parts.iter().fold(Histogram::new(), |all, (.., own)| all.merge(own.clone()));
    let (widths, cost) = histogram.choose_widths(vectors.len());
    if widths.is_empty() {
        return vec![Eq::identity(); vectors.len()];
    }
    // Of every vector, the windows one after another.
    let digits = map_on(&parts, threads, |(_, halves, _)| {
        let mut planes = vec![0i16; widths.len() * halves.len()];
        for (i, half) in halves.iter().enumerate() {
            recode(half.magnitude, half.negative, &widths, |window, digit| {
                planes[window * halves.len() + i] = digit
            });
        }
        planes
    });
    let mut jobs = Vec::with_capacity(widths.len() * vectors.len());
    for ((bases, halves, _), planes) in parts.iter().zip(&digits) {
        jobs.extend(widths.iter().enumerate().map(|(window, &width)| Job {
            digits: &planes[window * halves.len()..(window + 1) * halves.len()],
            bases,
            width,
        }));
    }
    let longest = parts.iter().map(|(_, halves, _)| halves.len()).max().unwrap_or(0).max(1);
    let threads = threads_for(cost * L::ADDITION);
    let per_group = (GROUP / longest).clamp(1, jobs.len().div_ceil(pieces_for(threads)));
    let groups: Vec<&[Job<'_, L::Word>]> = jobs.chunks(per_group).collect();
    let bits = map_on(&groups, threads, |group| bucket_sums::<L>(group)).concat();
    // One point per bit, low bits first.
    let bits: Vec<&[Point<L::Word>]> = bits.chunks_exact(widths.iter().sum::<u32>() as usize).collect();
    map_on(&bits, threads, |bits| weighted(bits))
}

/// `sum_b 2^b * bits[b]`.
pub(crate) fn weighted<W: Word<Element = Fq>>(bits: &[Point<W>]) -> Eq {
    bits.iter().rev().fold(Eq::identity(), |total, bit| {
        let total = total.double();
        if bit.is_identity() { total } else { total + bit.to_affine() }
    })
}

/// Splits `k` into `k_0 + lambda * k_1`, both below `2^127` in absolute value, where `lambda` is the
/// eigenvalue of the endomorphism `(x, y) -> (zeta*x, y)`.
///
/// Babai's rounding with the lattice basis of `pasta_curves::glv`.
pub(crate) fn split(k: &Fp) -> [Half; 2] {
    let repr = k.to_repr();
    let mut limbs = [0u64; 4];
    for (limb, bytes) in limbs.iter_mut().zip(repr.as_chunks::<8>().0) {
        *limb = u64::from_le_bytes(*bytes);
    }
    let c1 = round_product(&Eq::G1, &limbs);
    let c2 = round_product(&Eq::G2, &limbs);
    // Both halves are below 2^127 in absolute value, so their low 128 bits, as a signed integer, say
    // all: the products are taken modulo 2^128.
    let k = u128::from(limbs[0]) | u128::from(limbs[1]) << 64;
    let low = k.wrapping_sub(c1.wrapping_mul(Eq::V1A)).wrapping_sub(c2.wrapping_mul(Eq::V2A));
    let high = c1.wrapping_mul(Eq::V1B_NEG).wrapping_sub(c2.wrapping_mul(Eq::V2B));
    [low, high].map(|half| Half { negative: half >> 127 == 1, magnitude: (half as i128).unsigned_abs() })
}

/// `round(g * k / 2^384)`.
fn round_product(g: &[u64; 5], k: &[u64; 4]) -> u128 {
    let mut product = [0u64; 9];
    for (i, &a) in k.iter().enumerate() {
        let mut carry = 0;
        for (j, &b) in g.iter().enumerate() {
            let t = u128::from(a) * u128::from(b) + u128::from(product[i + j]) + u128::from(carry);
            product[i + j] = t as u64;
            carry = (t >> 64) as u64;
        }
        product[i + 5] = carry;
    }
    let rounding = u128::from(product[5] >> 63);
    (u128::from(product[6]) | u128::from(product[7]) << 64).wrapping_add(rounding)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::best;
    use crate::small::from_i64;
    use ff::{Field, FromUniformBytes, WithSmallOrderMulGroup};
    use group::{Curve, CurveAffine};
    use pasta_curves::arithmetic::CurveExt;
    use proptest::prelude::*;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    fn naive(scalars: &[Fp], points: &[EqAffine]) -> Eq {
        scalars.iter().zip(points).map(|(s, p)| p * s).sum()
    }

    /// The sum, which both sets of kernels agree on.
    fn msm(scalars: &[Fp], points: &[EqAffine]) -> Eq {
        let [portable, vector] = [Backend::Portable, best()].map(|b| msm_on(b, scalars, points));
        // Not only the same point: the same coordinates.
        assert_eq!(portable.jacobian_coordinates(), vector.jacobian_coordinates());
        portable
    }

    /// Multiples of one point, so that sums are easily equal or opposite.
    fn multiples(n: usize) -> Vec<EqAffine> {
        (0..n).map(|i| (Eq::generator() * Fp::from(3 * i as u64 + 1)).to_affine()).collect()
    }

    fn signed(half: &Half) -> Fp {
        let v = Fp::from_u128(half.magnitude);
        if half.negative { -v } else { v }
    }

    #[test]
    fn halves_recombine() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let mut scalars: Vec<Fp> = (0..2000).map(|_| Fp::random(&mut rng)).collect();
        scalars.extend([Fp::ZERO, Fp::ONE, -Fp::ONE, Fp::ZETA, -Fp::ZETA, Fp::TWO_INV, Fp::ROOT_OF_UNITY]);
        scalars.extend([from_i64(i64::MIN), from_i64(i64::MAX)]);
        for s in scalars {
            let [low, high] = split(&s);
            assert_eq!(signed(&low) + signed(&high) * Fp::ZETA, s);
            assert!(low.magnitude >> 127 == 0 && high.magnitude >> 127 == 0);
        }
        for v in [1i64, -1, 77, -128, i64::MIN] {
            let [low, high] = split(&from_i64(v));
            assert_eq!(low, Half { negative: v < 0, magnitude: v.unsigned_abs().into() });
            assert_eq!(high, Half::default());
        }
    }

    #[test]
    fn agrees_with_the_definition_at_all_lengths() {
        let mut rng = ChaCha20Rng::seed_from_u64(2);
        for n in [0, 1, 2, 3, 5, 8, 17, 33, 100, 255, 700] {
            let points = multiples(n);
            let scalars: Vec<Fp> = (0..n).map(|_| Fp::random(&mut rng)).collect();
            assert_eq!(msm(&scalars, &points), naive(&scalars, &points), "{n} points");
        }
    }

    #[test]
    fn equal_opposite_and_identity_points() {
        let mut rng = ChaCha20Rng::seed_from_u64(3);
        let p = multiples(2)[1];
        let s = Fp::random(&mut rng);
        assert_eq!(msm(&[s; 40], &[p; 40]), p * s * Fp::from(40));
        assert_eq!(msm(&[s, s], &[p, -p]), Eq::identity());
        assert_eq!(msm(&[s, -s, s, -s], &[p; 4]), Eq::identity());
        assert_eq!(msm(&[s; 3], &[EqAffine::identity(); 3]), Eq::identity());
        assert_eq!(msm(&[Fp::ZERO; 3], &[p; 3]), Eq::identity());
        assert_eq!(msm(&[s, s, Fp::ZERO], &[EqAffine::identity(), p, p]), p * s);
        let mixed = [p, -p, p, EqAffine::identity(), -p, p, p];
        assert_eq!(msm(&[s; 7], &mixed), p * s * Fp::from(2));
    }

    #[test]
    fn one_and_two_threads_agree() {
        let mut rng = ChaCha20Rng::seed_from_u64(4);
        let points = multiples(600);
        let scalars: Vec<Fp> = (0..600).map(|_| Fp::random(&mut rng)).collect();
        let [one, two] = crate::parallel::on_one_and_two_threads(|| msm(&scalars, &points));
        // Not only the same point: the same coordinates.
        assert_eq!(one.jacobian_coordinates(), two.jacobian_coordinates());
        assert_eq!(one, halo2_proofs::arithmetic::best_multiexp(&scalars, &points));
    }

    prop_compose! {
        fn scalar()(kind in 0..6, bytes in prop::array::uniform32(any::<u8>()), v in any::<i64>()) -> Fp {
            match kind {
                0 => Fp::ZERO,
                1 => from_i64(v % 3),
                2 => from_i64(v),
                3 => from_i64(v % 256),
                _ => {
                    let mut wide = [0; 64];
                    wide[..32].copy_from_slice(&bytes);
                    Fp::from_uniform_bytes(&wide)
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn agrees_with_the_definition(terms in prop::collection::vec((scalar(), 0i64..5), 0..60)) {
            let scalars: Vec<Fp> = terms.iter().map(|t| t.0).collect();
            let points: Vec<EqAffine> =
                terms.iter().map(|t| (Eq::generator() * from_i64(t.1 - 2)).to_affine()).collect();
            prop_assert_eq!(msm(&scalars, &points), naive(&scalars, &points));
        }
    }
}
