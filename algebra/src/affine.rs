//! Sums of many points in affine coordinates, with shared inversions.
//!
//! An affine addition needs one inversion. Inverting many elements together (Montgomery's trick,
//! Math. Comp. 48 (1987), section 10.3.1) costs three multiplications each, so a batched affine
//! addition takes 5 multiplications and a squaring: about half of a mixed Jacobian addition. With
//! vector instructions eight additions are done at once, each in a lane.

mod lanes;
mod single;

#[cfg(target_arch = "x86_64")]
use crate::lanes::ifma::{Ifma, Packed};
use crate::lanes::{LANES, Lanes, Portable, Word};
use crate::roots::Roots;
use crate::{EqAffine, Fq};
use ff::{Field as _, WithSmallOrderMulGroup};
#[cfg(test)]
use group::CurveAffine as _;
use lanes::LaneBatch;
use pasta_curves::arithmetic::{Coordinates, CurveAffine};
use single::SingleBatch;
use std::sync::OnceLock;

/// A point in affine coordinates, in storage form; `(0, 0)` stands for the identity.
///
/// The curve has odd order, so no point of it has `y = 0` and `y` alone tells the identity.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Point<W> {
    pub(crate) x: W,
    pub(crate) y: W,
}

impl<W: Word<Element = Fq>> Point<W> {
    #[inline(always)]
    pub(crate) fn is_identity(&self) -> bool {
        self.y.is_default()
    }

    #[inline(always)]
    pub(crate) fn negated_if(self, negate: bool) -> Self {
        Point { x: self.x, y: self.y.negated_if(negate) }
    }

    pub(crate) fn to_affine(self) -> EqAffine {
        EqAffine::from_xy_unchecked(self.x.get(), self.y.get())
    }

    #[cfg(test)]
    pub(crate) fn to_curve(self) -> crate::Eq {
        self.to_affine().to_curve()
    }
}

/// The coordinates of a point, both 0 for the identity.
fn coordinates(point: &EqAffine) -> [Fq; 2] {
    let coordinates: Option<Coordinates<EqAffine>> = point.coordinates().into();
    coordinates.map_or([Fq::ZERO; 2], |c| [*c.x(), *c.y()])
}

/// Lanes for coordinates of points, with what is precomputed and measured for them.
pub(crate) trait PointLanes: Lanes<Element = Fq> {
    /// Nanoseconds of one batched addition, to decide about threads.
    const ADDITION: usize;

    /// Pairs that share one inversion: it costs a few per cent of the batch, and the working set stays in the cache.
    const BATCH: usize;

    /// Pairs up to which a batch is added one by one, because lanes would take longer.
    const FEW: usize;

    /// Nanoseconds to decode a point, to decide about threads.
    const ROOT: usize;

    /// Square roots that are computed one by one.
    const FEW_ROOTS: usize;

    /// Where the table of the blinding generator is kept.
    fn blinding_table() -> &'static OnceLock<Vec<Point<Self::Word>>>;

    /// Where the tables of square roots are kept.
    fn roots() -> &'static OnceLock<Roots<Self::Word>>;
}

impl PointLanes for Portable<Fq> {
    const ADDITION: usize = 140;
    const BATCH: usize = 256;
    const FEW: usize = 256;
    const ROOT: usize = 5000;
    const FEW_ROOTS: usize = LANES - 1;

    fn blinding_table() -> &'static OnceLock<Vec<Point<Fq>>> {
        static TABLE: OnceLock<Vec<Point<Fq>>> = OnceLock::new();
        &TABLE
    }

    fn roots() -> &'static OnceLock<Roots<Fq>> {
        static ROOTS: OnceLock<Roots<Fq>> = OnceLock::new();
        &ROOTS
    }
}

#[cfg(target_arch = "x86_64")]
impl PointLanes for Ifma<Fq> {
    const ADDITION: usize = 40;
    const BATCH: usize = 1024;
    const FEW: usize = 1;
    const ROOT: usize = 1300;
    const FEW_ROOTS: usize = 2;

    fn blinding_table() -> &'static OnceLock<Vec<Point<Packed<Fq>>>> {
        static TABLE: OnceLock<Vec<Point<Packed<Fq>>>> = OnceLock::new();
        &TABLE
    }

    fn roots() -> &'static OnceLock<Roots<Packed<Fq>>> {
        static ROOTS: OnceLock<Roots<Packed<Fq>>> = OnceLock::new();
        &ROOTS
    }
}

/// Points in storage form.
pub(crate) fn stored<L: PointLanes>(points: &[EqAffine]) -> Vec<Point<L::Word>> {
    let mut stored = vec![Point::default(); points.len()];
    L::enter(
        #[inline(always)]
        || store::<L>(points, &mut stored),
    );
    stored
}

#[inline(always)]
fn store<L: PointLanes>(points: &[EqAffine], stored: &mut [Point<L::Word>]) {
    for (points, stored) in points.chunks(LANES).zip(stored.chunks_mut(LANES)) {
        let mut xs = [Fq::ZERO; LANES];
        let mut ys = [Fq::ZERO; LANES];
        for (i, point) in points.iter().enumerate() {
            [xs[i], ys[i]] = coordinates(point);
        }
        write(stored, L::convert(xs.each_ref()), L::convert(ys.each_ref()));
    }
}

/// The images of points under the endomorphism `(x, y) -> (zeta x, y)`, behind each point its image.
pub(crate) fn with_images<L: PointLanes>(points: &[Point<L::Word>]) -> Vec<Point<L::Word>> {
    let mut images = points.to_vec();
    L::enter(
        #[inline(always)]
        || map_to_images::<L>(&mut images),
    );
    points.iter().zip(&images).flat_map(|(point, image)| [*point, *image]).collect()
}

#[inline(always)]
fn map_to_images<L: PointLanes>(points: &mut [Point<L::Word>]) {
    let zeta = L::splat(&L::Word::new(&Fq::ZETA));
    for points in points.chunks_mut(LANES) {
        let mut words = [L::Word::default(); LANES];
        for i in 0..points.len() {
            words[i] = points[i].x;
        }
        L::load(words.each_ref()).mul(zeta).store(&mut words);
        for i in 0..points.len() {
            points[i].x = words[i];
        }
    }
}

/// One addition to do: the points at `left` and `left + 1`, to be written to `out`.
#[derive(Clone, Copy)]
struct Pair {
    left: usize,
    out: usize,
}

/// Additions to do together.
struct Batch<L> {
    pairs: Vec<Pair>,
    /// Pairs up to which they are added one by one.
    few: usize,
    single: SingleBatch,
    lanes: LaneBatch<L>,
}

impl<L: PointLanes> Batch<L> {
    fn new(few: usize) -> Self {
        Batch { pairs: Vec::new(), few, single: SingleBatch::new(), lanes: LaneBatch::new() }
    }

    /// Does all additions noted in `pairs`, reading `from` and writing `to`.
    fn flush(&mut self, from: &[Point<L::Word>], to: &mut [Point<L::Word>]) {
        if self.pairs.is_empty() {
            return;
        }
        if self.pairs.len() <= self.few {
            self.single.add(&self.pairs, from, to);
        } else {
            self.lanes.add(&self.pairs, from, to);
        }
        self.pairs.clear();
    }
}

/// Sums consecutive runs of points, by a tree of batched additions.
///
/// `lengths` splits `points` into runs; returns one point per run, the identity for an empty one.
pub(crate) fn sum_runs<L: PointLanes>(points: Vec<Point<L::Word>>, lengths: Vec<u32>) -> Vec<Point<L::Word>> {
    sum_runs_with::<L>(points, lengths, L::FEW)
}

/// [`sum_runs`] with another value of [`PointLanes::FEW`].
fn sum_runs_with<L: PointLanes>(
    mut points: Vec<Point<L::Word>>,
    mut lengths: Vec<u32>,
    few: usize,
) -> Vec<Point<L::Word>> {
    debug_assert_eq!(points.len(), lengths.iter().map(|&l| l as usize).sum::<usize>());
    let mut longest = lengths.iter().copied().max().unwrap_or(0);
    let mut next = Vec::new();
    let mut batch = Batch::<L>::new(few);
    while longest > 1 {
        let total = lengths.iter().map(|l| l.div_ceil(2) as usize).sum();
        next.resize(total, Point::default());
        let (mut read, mut write) = (0, 0);
        for length in &mut lengths {
            for _ in 0..*length / 2 {
                batch.pairs.push(Pair { left: read, out: write });
                read += 2;
                write += 1;
                if batch.pairs.len() == L::BATCH {
                    batch.flush(&points, &mut next);
                }
            }
            if *length % 2 == 1 {
                next[write] = points[read];
                read += 1;
                write += 1;
            }
            *length = length.div_ceil(2);
        }
        batch.flush(&points, &mut next);
        std::mem::swap(&mut points, &mut next);
        longest = longest.div_ceil(2);
    }
    if lengths.contains(&0) {
        let mut entries = points.into_iter();
        return lengths
            .iter()
            .map(|&l| if l == 0 { None } else { entries.next() }.unwrap_or_default())
            .collect();
    }
    points
}

/// Writes the coordinates of up to [`LANES`] points.
#[inline(always)]
fn write<L: Lanes>(points: &mut [Point<L::Word>], x: L, y: L) {
    let [mut x_words, mut y_words] = [[L::Word::default(); LANES]; 2];
    x.store(&mut x_words);
    y.store(&mut y_words);
    for i in 0..points.len() {
        points[i] = Point { x: x_words[i], y: y_words[i] };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Eq;
    use crate::backend::{Backend, best};
    use crate::lanes::dispatch;
    use group::{Curve, Group};
    use proptest::prelude::*;

    const BACKENDS: fn() -> [Backend; 2] = || [Backend::Portable, best()];

    /// Small multiples of the generator, those of negative numbers in other representations than those of their opposites.
    fn multiples(factors: &[i64]) -> Vec<EqAffine> {
        factors.iter().map(|&k| (Eq::generator() * crate::small::from_i64(k)).to_affine()).collect()
    }

    /// Sums runs of multiples of the generator with every set of kernels.
    fn check(runs: &[Vec<i64>]) {
        let factors = runs.concat();
        let lengths: Vec<u32> = runs.iter().map(|run| run.len() as u32).collect();
        let expected: Vec<i64> = runs.iter().map(|run| run.iter().sum()).collect();
        let (points, expected) = (multiples(&factors), multiples(&expected));
        for backend in BACKENDS() {
            for few in [0, 3, usize::MAX] {
                let sums: Vec<EqAffine> = dispatch!(backend, Fq, L => {
                    let sums = sum_runs_with::<L>(stored::<L>(&points), lengths.clone(), few);
                    sums.into_iter().map(Point::to_affine).collect()
                });
                assert_eq!(sums, expected, "{}, {few} pairs one by one", backend.name());
            }
        }
    }

    #[test]
    fn runs_of_all_lengths() {
        let run = |length: i64| (0..length).map(|i| 7 * i + length + 1).collect::<Vec<i64>>();
        check(&[]);
        for length in 0..=40 {
            check(&[run(length)]);
        }
        check(&(0..=40).map(run).collect::<Vec<_>>());
        check(&(0..=40).rev().map(run).collect::<Vec<_>>());
        // More than one batch of pairs.
        check(&[run(2 * 1024 + 21), vec![], run(3)]);
    }

    #[test]
    fn every_case_in_every_lane() {
        // More pairs than are added one by one, of which one after another is special.
        let ordinary: Vec<Vec<i64>> = (0..27).map(|i| vec![i + 1, 50 + i]).collect();
        for special in [[3, 3], [3, -3], [0, 5], [5, 0], [0, 0]] {
            for lane in 0..27 {
                let mut runs = ordinary.clone();
                runs[lane] = special.to_vec();
                check(&runs);
            }
            check(&vec![special.to_vec(); 27]);
        }
        // All cases next to each other.
        let cases = [[3, 3], [1, 2], [3, -3], [0, 5], [5, 0], [0, 0]];
        for shift in 0..cases.len() {
            check(&(0..40).map(|i| cases[(i + shift) % cases.len()].to_vec()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn equal_points_in_different_representations() {
        // Doubles 2P and P + P + ... along different ways, so that stored words of equal points differ.
        check(&[
            vec![1, 1, 1, 1, 2, 2, 2, 2],
            vec![4, 4, 1, 3, 5, -1, 2, 2],
            vec![9, -1, -4, -4, 3, -3, 1, -1],
        ]);
        check(&vec![vec![1, 3, 2, 2, -1, -3, -2, -2]; 20]);
        check(&vec![vec![1, 3, 2, 2, 1, 3, 0, 4]; 20]);
    }

    #[test]
    fn points_are_stored_and_mapped() {
        for count in [0, 1, 7, 8, 9, 16, 23] {
            let mut points = multiples(&(1..=count).collect::<Vec<i64>>());
            if let Some(point) = points.last_mut() {
                *point = EqAffine::default();
            }
            let zeta = crate::Fp::ZETA;
            for backend in BACKENDS() {
                let (same, images): (Vec<EqAffine>, Vec<EqAffine>) = dispatch!(backend, Fq, L => {
                    let stored = stored::<L>(&points);
                    let images = with_images::<L>(&stored);
                    assert_eq!(stored.iter().filter(|p| p.is_identity()).count(), usize::from(count > 0));
                    (
                        stored.into_iter().map(Point::to_affine).collect(),
                        images.into_iter().map(Point::to_affine).collect(),
                    )
                });
                assert_eq!(same, points);
                let expected: Vec<EqAffine> =
                    points.iter().flat_map(|p| [*p, (p.to_curve() * zeta).to_affine()]).collect();
                assert_eq!(images, expected);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_runs(runs in prop::collection::vec(prop::collection::vec(-3i64..4, 0..41), 0..12)) {
            check(&runs);
        }
    }
}
