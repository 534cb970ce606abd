//! Multi-scalar multiplication over bases that are used again and again.
//!
//! The method of Brickell, Gordon, McCurley and Wilson ("Fast exponentiation with precomputation", EUROCRYPT 1992)
//! with the buckets of [`msm`](crate::msm::msm): once the multiples `2^(8 i) P` of every base are known, the digits of all
//! windows have the same weights, so that one set of buckets serves all of them and no doublings are left. The
//! endomorphism of the curve halves the multiples to compute. Against a table of all digits' multiples (128 times as
//! large) this costs the weighing of the buckets, about a fifth of a sum of 32 terms; it takes 2 KiB and some 20
//! microseconds per base, which the first few sums pay back.

use crate::affine::Point;
use crate::buckets::{Job, bucket_sums, recode};
use crate::msm::split;
use crate::parallel::{map, pieces_for, ranges, threads_for};
use crate::{Eq, EqAffine, Fp, Fq};
use ff::{Field, WithSmallOrderMulGroup};
use group::{CurveAffine, Group};
use pasta_curves::arithmetic::CurveExt;

/// Bits of a digit.
const WIDTH: u32 = 8;

/// Digits of a half-length scalar: they hold its sign too.
const DIGITS: usize = 16;

/// Multiples kept of every base: for each digit of either half of a scalar.
const MULTIPLES: usize = 2 * DIGITS;

/// Nanoseconds to compute the multiples of a base, to decide about threads.
const PREPARE: usize = 20_000;

/// Nanoseconds of a sum, not counting its terms, and of one term.
const SUM: usize = 40_000;
const TERM: usize = 3000;

/// Sums whose additions share inversions; more would not stay in the second-level cache.
const TOGETHER: usize = 8;

/// Bases with what is precomputed from them.
pub struct FixedBases {
    /// Per base `2^(8 i) P` for all digits, then their images under the endomorphism.
    multiples: Vec<Point>,
}

impl std::fmt::Debug for FixedBases {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FixedBases {{ len: {} }}", self.len())
    }
}

impl FixedBases {
    /// Precomputes the multiples of these bases.
    pub fn new(bases: &[EqAffine]) -> Self {
        let threads = threads_for(bases.len() * PREPARE);
        let pieces = ranges(bases.len(), bases.len().div_ceil(threads).min(64));
        let multiples = map(&pieces, threads, |piece| multiples(&bases[piece.clone()])).concat();
        FixedBases { multiples }
    }

    /// Number of bases.
    pub fn len(&self) -> usize {
        self.multiples.len() / MULTIPLES
    }

    /// Whether there is no base.
    pub fn is_empty(&self) -> bool {
        self.multiples.is_empty()
    }

    /// `sum_i scalars[i] * bases[first + i]`, in variable time.
    ///
    /// # Panics
    /// If there are not as many bases.
    pub fn sum(&self, first: usize, scalars: &[Fp]) -> EqAffine {
        self.sums(&[(first, scalars)])[0]
    }

    /// [`FixedBases::sum`] for several vectors at once, which share inversions and threads.
    ///
    /// # Panics
    /// If there are not as many bases.
    pub fn sums(&self, vectors: &[(usize, &[Fp])]) -> Vec<EqAffine> {
        let longest = vectors.iter().map(|(first, scalars)| first + scalars.len()).max().unwrap_or(0);
        assert!(longest <= self.len(), "scalars up to {longest}, but only {} bases", self.len());
        let terms = vectors.iter().flat_map(|(_, v)| *v).filter(|s| !s.is_zero_vartime()).count();
        let threads = threads_for(vectors.len() * SUM + terms * TERM);
        // Fewer vectors than threads are cut in pieces.
        let cuts = if vectors.is_empty() { 1 } else { threads.div_ceil(vectors.len()) };
        let mut tasks = Vec::with_capacity(cuts * vectors.len());
        for (vector, (first, scalars)) in vectors.iter().enumerate() {
            for range in ranges(scalars.len(), scalars.len().div_ceil(cuts)) {
                tasks.push(Task { vector, first: first + range.start, scalars: &scalars[range] });
            }
        }
        let together = (tasks.len() / pieces_for(threads)).clamp(1, TOGETHER);
        let groups: Vec<&[Task<'_>]> = tasks.chunks(together).collect();
        let sums = map(&groups, threads, |group| self.bucket_sums(group));
        let mut totals = vec![Eq::identity(); vectors.len()];
        for (task, sum) in tasks.iter().zip(sums.into_iter().flatten()) {
            totals[task.vector] += sum;
        }
        let mut affine = vec![EqAffine::identity(); vectors.len()];
        Eq::batch_normalize_vartime(&totals, &mut affine);
        affine
    }

    /// The sums of tasks, one set of buckets each.
    fn bucket_sums(&self, tasks: &[Task<'_>]) -> Vec<Eq> {
        let mut digits = vec![0i16; tasks.iter().map(|task| task.scalars.len() * MULTIPLES).sum()];
        let scalars = tasks.iter().flat_map(|task| task.scalars);
        for (row, scalar) in digits.chunks_exact_mut(MULTIPLES).zip(scalars) {
            for (row, half) in row.chunks_exact_mut(DIGITS).zip(split(scalar)) {
                recode(half.magnitude, half.negative, &[WIDTH; DIGITS], |i, digit| row[i] = digit);
            }
        }
        let mut rest = digits.as_slice();
        let mut jobs = Vec::with_capacity(tasks.len());
        for task in tasks {
            let (digits, others) = rest.split_at(task.scalars.len() * MULTIPLES);
            rest = others;
            jobs.push(Job { digits, bases: &self.multiples[task.first * MULTIPLES..], width: WIDTH });
        }
        let bits = bucket_sums(&jobs);
        let sum = |bits: &[Point]| {
            bits.iter().rev().fold(Eq::identity(), |sum, bit| sum.double() + bit.to_affine())
        };
        bits.chunks_exact(WIDTH as usize).map(sum).collect()
    }
}

/// Part of a sum.
struct Task<'a> {
    vector: usize,
    /// The base of the first scalar.
    first: usize,
    scalars: &'a [Fp],
}

/// The rows of [`FixedBases`] of some bases.
fn multiples(bases: &[EqAffine]) -> Vec<Point> {
    let mut powers = Vec::with_capacity(bases.len() * DIGITS);
    for base in bases {
        let mut power = base.to_curve();
        powers.push(power);
        for _ in 1..DIGITS {
            for _ in 0..WIDTH {
                power = power.double();
            }
            powers.push(power);
        }
    }
    let mut affine = vec![EqAffine::identity(); powers.len()];
    Eq::batch_normalize_vartime(&powers, &mut affine);
    let rows = affine.chunks_exact(DIGITS).map(|row| row.iter().map(Point::new));
    rows.flat_map(|row| row.clone().chain(row.map(|p| Point { x: p.x * Fq::ZETA, y: p.y }))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generators::generators;
    use crate::msm::msm;
    use crate::parallel::on_one_and_two_threads;
    use group::Curve;
    use proptest::prelude::*;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    /// Sums over the first bases and over the last.
    fn check(bases: &[EqAffine], vectors: &[&[Fp]]) {
        let vectors: Vec<(usize, &[Fp])> =
            vectors.iter().flat_map(|v| [(0, *v), (bases.len() - v.len(), *v)]).collect();
        let [one, two] = on_one_and_two_threads(|| FixedBases::new(bases).sums(&vectors));
        let sum = |(first, v): &(usize, &[Fp])| msm(v, &bases[*first..first + v.len()]).to_affine();
        let expected: Vec<EqAffine> = vectors.iter().map(sum).collect();
        assert_eq!(one, expected);
        assert_eq!(one, two);
    }

    #[test]
    fn agrees_with_the_general_sum() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let bases = generators(300).g;
        let scalars: Vec<Fp> = (0..300).map(|_| Fp::random(&mut rng)).collect();
        check(&bases, &[]);
        check(&[], &[&[]]);
        check(&bases[..1], &[&scalars[..1], &[], &[Fp::ZERO], &[-Fp::ONE]]);
        for n in [2, 18, 33, 70, 300] {
            check(&bases[..n], &[&scalars[..n]]);
            check(&bases[..n], &[&scalars[..n], &scalars[1..n], &[Fp::ZERO], &scalars[2..n], &[]]);
        }
        let many: Vec<&[Fp]> = scalars.chunks(12).collect();
        check(&bases[..12], &many);
    }

    #[test]
    fn equal_opposite_and_identity_bases() {
        let mut rng = ChaCha20Rng::seed_from_u64(2);
        let p = generators(1).g[0];
        let s = Fp::random(&mut rng);
        let bases = [p, p, -p, EqAffine::identity()];
        check(&bases, &[&[s, s], &[s, Fp::ZERO, s], &[s, -s], &[s, s, s, s], &[Fp::ZERO; 3]]);
    }

    #[test]
    #[should_panic(expected = "scalars up to 3, but only 2 bases")]
    fn too_many_scalars() {
        FixedBases::new(&generators(2).g).sum(1, &[Fp::ONE; 2]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn agrees_with_the_general_sum_on_every_bit_pattern(
            limbs in prop::collection::vec(prop::array::uniform4(any::<u64>()), 0..40),
            shift in 0..64u32,
        ) {
            let bases = generators(40).g;
            let scalars: Vec<Fp> =
                limbs.iter().map(|l| Fp::from_raw(l.map(|limb| limb >> shift))).collect();
            check(&bases, &[&scalars]);
        }
    }
}
