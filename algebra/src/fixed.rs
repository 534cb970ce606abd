//! Multi-scalar multiplication over bases that are used again and again.
//!
//! The method of Brickell, Gordon, McCurley and Wilson ("Fast exponentiation with precomputation", EUROCRYPT 1992)
//! with the buckets of [`msm`](crate::msm::msm): once the multiples `2^(8 i) P` of every base are known, the digits of all
//! windows have the same weights, so that one set of buckets serves all of them and no doublings are left. The
//! endomorphism of the curve halves the multiples to compute. Against a table of all digits' multiples (128 times as
//! large) this costs the weighing of the buckets, about a fifth of a sum of 32 terms; it takes 2 KiB and some 20
//! microseconds (13 with vector kernels) per base, which the first few sums pay back.

use crate::affine::{Point, PointLanes, stored, sum_runs, with_images};
use crate::backend::{Backend, backend};
use crate::buckets::{Job, bucket_sums, recode};
use crate::lanes::dispatch;
use crate::msm::{split, weighted};
use crate::parallel::{map_on, pieces_for, ranges, threads_for};
use crate::{Eq, EqAffine, Fp, Fq};
use ff::Field;
use group::{CurveAffine, Group};
use pasta_curves::arithmetic::CurveExt;

/// Bits of a digit.
const WIDTH: u32 = 8;

/// Digits of a half-length scalar: they hold its sign too.
const DIGITS: usize = 16;

/// Multiples kept of every base: for each digit of either half of a scalar.
const MULTIPLES: usize = 2 * DIGITS;

/// Additions that the multiples of a base, a sum without its terms, and one term cost, to decide about threads.
pub(crate) const PREPARE: usize = (DIGITS - 1) * WIDTH as usize;
const SUM: usize = 1 << WIDTH;
const TERM: usize = MULTIPLES;

/// Bases whose doublings share inversions.
const TOGETHER_PREPARED: usize = 256;

/// Sums whose additions share inversions; more would not stay in the second-level cache.
const TOGETHER: usize = 8;

/// Bases with what is precomputed from them.
pub struct FixedBases {
    len: usize,
    multiples: Box<dyn FixedSums>,
}

impl std::fmt::Debug for FixedBases {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FixedBases {{ len: {} }}", self.len())
    }
}

impl FixedBases {
    /// Precomputes the multiples of these bases.
    pub fn new(bases: &[EqAffine]) -> Self {
        FixedBases::on(backend(), bases)
    }

    /// [`FixedBases::new`] with the kernels that are named.
    ///
    /// # Panics
    /// If the processor does not have them.
    pub fn on(backend: Backend, bases: &[EqAffine]) -> Self {
        let multiples: Box<dyn FixedSums> = dispatch!(backend, Fq, L => {
            Box::new(Multiples::<L>::new(&stored::<L>(bases)))
        });
        FixedBases { len: bases.len(), multiples }
    }

    /// Number of bases.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no base.
    pub fn is_empty(&self) -> bool {
        self.len == 0
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
        let mut affine = vec![EqAffine::identity(); vectors.len()];
        Eq::batch_normalize_vartime(&self.multiples.sums(vectors), &mut affine);
        affine
    }
}

/// Additions that sums cost.
pub(crate) fn cost(vectors: usize, terms: usize) -> usize {
    vectors * SUM + terms * TERM
}

/// The multiples of [`FixedBases`], in any storage form.
pub(crate) trait FixedSums: Send + Sync {
    fn sums(&self, vectors: &[(usize, &[Fp])]) -> Vec<Eq>;
}

/// Per base `2^(8 i) P` for all digits, each followed by its image under the endomorphism.
pub(crate) struct Multiples<L: PointLanes>(Vec<Point<L::Word>>);

impl<L: PointLanes> Multiples<L> {
    pub(crate) fn new(bases: &[Point<L::Word>]) -> Self {
        let threads = threads_for(bases.len() * PREPARE * L::ADDITION);
        let pieces = ranges(bases.len(), bases.len().div_ceil(threads).min(TOGETHER_PREPARED));
        Multiples(map_on(&pieces, threads, |piece| multiples::<L>(&bases[piece.clone()])).concat())
    }

    /// The sums of tasks, one set of buckets each.
    fn bucket_sums(&self, tasks: &[Task<'_>]) -> Vec<Eq> {
        let mut digits = vec![0i16; tasks.iter().map(|task| task.scalars.len() * MULTIPLES).sum()];
        let scalars = tasks.iter().flat_map(|task| task.scalars);
        for (row, scalar) in digits.chunks_exact_mut(MULTIPLES).zip(scalars) {
            for (image, half) in split(scalar).into_iter().enumerate() {
                recode(half.magnitude, half.negative, &[WIDTH; DIGITS], |i, digit| {
                    row[2 * i + image] = digit
                });
            }
        }
        let mut rest = digits.as_slice();
        let mut jobs = Vec::with_capacity(tasks.len());
        for task in tasks {
            let (digits, others) = rest.split_at(task.scalars.len() * MULTIPLES);
            rest = others;
            jobs.push(Job { digits, bases: &self.0[task.first * MULTIPLES..], width: WIDTH });
        }
        bucket_sums::<L>(&jobs).chunks_exact(WIDTH as usize).map(weighted).collect()
    }
}

impl<L: PointLanes> FixedSums for Multiples<L> {
    fn sums(&self, vectors: &[(usize, &[Fp])]) -> Vec<Eq> {
        let terms = vectors.iter().flat_map(|(_, v)| *v).filter(|s| !s.is_zero_vartime()).count();
        let threads = threads_for(cost(vectors.len(), terms) * L::ADDITION);
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
        let sums = map_on(&groups, threads, |group| self.bucket_sums(group));
        let mut totals = vec![Eq::identity(); vectors.len()];
        for (task, sum) in tasks.iter().zip(sums.into_iter().flatten()) {
            totals[task.vector] += sum;
        }
        totals
    }
}

/// Part of a sum.
struct Task<'a> {
    vector: usize,
    /// The base of the first scalar.
    first: usize,
    scalars: &'a [Fp],
}

/// The rows of [`Multiples`] of some bases.
fn multiples<L: PointLanes>(bases: &[Point<L::Word>]) -> Vec<Point<L::Word>> {
    let mut rows = vec![Point::default(); bases.len() * DIGITS];
    let mut powers = bases.to_vec();
    for digit in 0..DIGITS {
        for (row, power) in rows.chunks_exact_mut(DIGITS).zip(&powers) {
            row[digit] = *power;
        }
        if digit + 1 < DIGITS {
            for _ in 0..WIDTH {
                let pairs = powers.iter().flat_map(|power| [*power; 2]).collect();
                powers = sum_runs::<L>(pairs, vec![2; powers.len()]);
            }
        }
    }
    with_images::<L>(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::best;
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
        let sums = |backend| on_one_and_two_threads(|| FixedBases::on(backend, bases).sums(&vectors));
        let ([one, two], [vector, _]) = (sums(Backend::Portable), sums(best()));
        let sum = |(first, v): &(usize, &[Fp])| msm(v, &bases[*first..first + v.len()]).to_affine();
        let expected: Vec<EqAffine> = vectors.iter().map(sum).collect();
        assert_eq!(one, expected);
        assert_eq!(one, two);
        assert_eq!(one, vector);
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
