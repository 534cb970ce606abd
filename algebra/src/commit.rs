//! Column commitments `C = <w, G> + rho*H`.
//!
//! Small integers are committed by additions alone. Without a table they go through buckets, as in
//! [`msm`](crate::msm::msm), with as many bits as they have; with a table of small multiples of every generator (Brickell,
//! Gordon, McCurley, Wilson, "Fast exponentiation with precomputation", EUROCRYPT 1992) each non-zero
//! base-256 digit costs one addition and nothing is left to do with buckets. Field elements go through the buckets of
//! [`msm`](crate::msm::msm), or of [`FixedBases`](crate::fixed::FixedBases) once that pays. All additions
//! of many columns share their inversions.
//!
//! The time depends on the values: zero digits cost nothing. Provenn lists the latency of the prover
//! as leakage; who must not leak it has to pad the time of a whole proof.

use crate::affine::{Point, PointLanes, stored, sum_runs};
use crate::backend::{Backend, backend};
use crate::buckets::{Histogram, Job, bucket_sums, recode};
use crate::fixed::{self, FixedSums, Multiples};
use crate::generators::{Generators, blinding_generator, generators};
use crate::lanes::{Word, dispatch};
use crate::msm::{sums, weighted};
use crate::parallel::{map_on, once, pieces_for, ranges, threads_for};
use crate::{Eq, EqAffine, Fp, Fq};
use ff::{Field, PrimeField};
use group::{CurveAffine, Group};
use pasta_curves::arithmetic::CurveExt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bits of a digit looked up in a table of multiples.
const DIGIT: u32 = 8;

/// Multiples per base in a table: digits are at most this in absolute value.
const MULTIPLES: usize = 1 << (DIGIT - 1);

/// Columns of this length and more do without the table: buckets then cost at most a quarter more
/// additions, which is about what fetching points from a table beyond the caches costs (measured).
const TABLE_LIMIT: usize = 1 << (DIGIT + 2);

/// Digits of a field element, as looked up in the table of H.
const BLIND_DIGITS: usize = 32;

/// Digits whose points are summed together: they stay in the second-level cache.
const GROUP: usize = 1 << 13;

/// Up to here, less one, the sums of columns are put together in projective coordinates: their inversions have too few to share
/// them.
const FEW_COLUMNS: usize = 6;

/// Columns whose last steps share inversions.
const FINISH: usize = 128;

/// Commits to columns of at most `n` entries.
pub struct Committer {
    generators: Generators,
    tables: Box<dyn Commit>,
}

impl std::fmt::Debug for Committer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Committer {{ n: {} }}", self.n())
    }
}

/// [`Committer`] in any storage form; lengths are checked.
trait Commit: Send + Sync {
    fn prepare(&self);
    fn small(&self, columns: &[&[i64]], blinding: &[EqAffine]) -> Vec<EqAffine>;
    fn sums(&self, vectors: &[&[Fp]]) -> Vec<Eq>;
}

impl Committer {
    /// A committer for columns of up to `n` entries.
    pub fn new(n: usize) -> Self {
        Committer::on(backend(), n)
    }

    /// [`Committer::new`] with the kernels that are named.
    ///
    /// # Panics
    /// If the processor does not have them.
    pub fn on(backend: Backend, n: usize) -> Self {
        let generators = generators(n);
        let all = [&[generators.h, generators.u], &generators.g[..]].concat();
        let tables: Box<dyn Commit> = dispatch!(backend, Fq, L => Box::new(Tables::<L>::new(&all)));
        Committer { generators, tables }
    }

    /// The longest column.
    pub fn n(&self) -> usize {
        self.generators.g.len()
    }

    /// The generators it commits under.
    pub fn generators(&self) -> &Generators {
        &self.generators
    }

    /// Builds the tables now, which pays for a committer that is kept over many short columns.
    ///
    /// Takes some 40 microseconds (20 with vector kernels) and 10 KiB per generator. Without this call the tables are built
    /// as soon as they would have saved their own cost. Columns of 1024 entries and more have no use for them.
    pub fn prepare(&self) {
        self.tables.prepare();
    }

    /// Commits to columns of small integers; missing entries count as zero.
    ///
    /// Every `i64` is allowed; the cost grows with the length of the values.
    ///
    /// # Panics
    /// If there is not one blind per column, or a column has more than `n` entries.
    pub fn commit_small(&self, columns: &[&[i64]], blinds: &[Fp]) -> Vec<EqAffine> {
        self.commit_small_onto(columns, &blinding_points(blinds))
    }

    /// [`Committer::commit_small`] with the [`blinding_points`] of the blinds, which may have been computed before the
    /// columns were known.
    ///
    /// # Panics
    /// If there is not one blinding point per column, or a column has more than `n` entries.
    pub fn commit_small_onto(&self, columns: &[&[i64]], blinding: &[EqAffine]) -> Vec<EqAffine> {
        assert_eq!(columns.len(), blinding.len(), "one blind per column");
        let longest = columns.iter().map(|c| c.len()).max().unwrap_or(0);
        assert!(longest <= self.n(), "a column of {longest} entries, but only {} generators", self.n());
        self.tables.small(columns, blinding)
    }

    /// Commits to one column of field elements.
    ///
    /// # Panics
    /// If the column has more than `n` entries.
    pub fn commit_field(&self, values: &[Fp], blind: &Fp) -> EqAffine {
        let longest = values.len();
        assert!(longest <= self.n(), "a column of {longest} entries, but only {} generators", self.n());
        self.sums(&[&[&[*blind, Fp::ZERO], values].concat()])[0]
    }

    /// `vector[0] H + vector[1] U + <vector[2..], G>` for each of some vectors, in variable time; they share inversions and
    /// threads.
    ///
    /// A committer that is kept computes doublings of its generators, 2 KiB for each, in [`Committer::prepare`] or as soon as
    /// they would have saved their own cost: sums of 256 terms then take two thirds of the time.
    ///
    /// # Panics
    /// If a vector has more than `n + 2` entries.
    pub fn sums(&self, vectors: &[&[Fp]]) -> Vec<EqAffine> {
        let longest = vectors.iter().map(|vector| vector.len()).max().unwrap_or(0);
        let most = self.n() + 2;
        assert!(longest <= most, "a vector of {longest} entries, but only {most} generators");
        let mut affine = vec![EqAffine::identity(); vectors.len()];
        Eq::batch_normalize_vartime(&self.tables.sums(vectors), &mut affine);
        affine
    }
}

/// The sums of points, one by one: `a[i] + b[i]`.
///
/// # Panics
/// If there are not as many of either.
pub fn add_points(a: &[EqAffine], b: &[EqAffine]) -> Vec<EqAffine> {
    add_points_on(backend(), a, b)
}

fn add_points_on(backend: Backend, a: &[EqAffine], b: &[EqAffine]) -> Vec<EqAffine> {
    assert_eq!(a.len(), b.len(), "as many points of either");
    dispatch!(backend, Fq, L => {
        let (a, b) = (stored::<L>(a), stored::<L>(b));
        let mut points = Vec::with_capacity(2 * a.len());
        let mut lengths = Vec::with_capacity(a.len());
        for (a, b) in a.into_iter().zip(b) {
            let before = points.len();
            points.extend([a, b].into_iter().filter(|point| !point.is_identity()));
            lengths.push((points.len() - before) as u32);
        }
        sum_runs::<L>(points, lengths).into_iter().map(Point::to_affine).collect()
    })
}

/// The points `rho*H` of some blinds: secret, as they reveal what the values contribute to a commitment.
pub fn blinding_points(blinds: &[Fp]) -> Vec<EqAffine> {
    blinding_points_on(backend(), blinds)
}

fn blinding_points_on(backend: Backend, blinds: &[Fp]) -> Vec<EqAffine> {
    dispatch!(backend, Fq, L => {
        let threads = threads_for(blinds.len() * BLIND_DIGITS * <L as PointLanes>::ADDITION);
        let pieces = ranges(blinds.len(), FINISH.min(blinds.len().div_ceil(pieces_for(threads))));
        map_on(&pieces, threads, |piece| blinding_sums::<L>(&blinds[piece.clone()])).concat()
    })
}

fn blinding_sums<L: PointLanes>(blinds: &[Fp]) -> Vec<EqAffine> {
    let mut terms = Vec::with_capacity(blinds.len() * BLIND_DIGITS);
    let mut lengths = Vec::with_capacity(blinds.len());
    for blind in blinds {
        let before = terms.len();
        terms.extend(blinding_terms::<L>(blind));
        lengths.push((terms.len() - before) as u32);
    }
    sum_runs::<L>(terms, lengths).into_iter().map(Point::to_affine).collect()
}

/// Generators with what is precomputed from them.
struct Tables<L: PointLanes> {
    /// H, U, and the generators of entries.
    bases: Vec<Point<L::Word>>,
    /// Multiples `1..=MULTIPLES` of every generator.
    table: OnceLock<Vec<Point<L::Word>>>,
    /// Additions that the table would have saved so far.
    missed: AtomicUsize,
    /// For sums of field elements.
    doublings: OnceLock<Multiples<L>>,
    /// Additions that the doublings would have saved so far.
    missed_doublings: AtomicUsize,
}

impl<L: PointLanes> Tables<L> {
    fn new(bases: &[EqAffine]) -> Self {
        Tables {
            bases: stored::<L>(bases),
            table: OnceLock::new(),
            missed: AtomicUsize::new(0),
            doublings: OnceLock::new(),
            missed_doublings: AtomicUsize::new(0),
        }
    }

    fn generators(&self) -> &[Point<L::Word>] {
        &self.bases[2..]
    }

    fn n(&self) -> usize {
        self.generators().len()
    }

    fn table(&self) -> &[Point<L::Word>] {
        once::<Vec<_>>(&self.table, || multiples::<L>(self.generators()))
    }

    /// Whether to use the table for work that costs so many additions with and without it.
    fn worth_table(&self, with: usize, without: usize) -> bool {
        let saved = without.saturating_sub(with + with / 4);
        if saved == 0 || self.n() >= TABLE_LIMIT {
            return false;
        }
        self.table.get().is_some() || missed(&self.missed, saved, MULTIPLES * self.n())
    }

    /// Sums per bit by buckets.
    fn fill_buckets(&self, columns: &[&[i64]], widths: &[u32]) -> Vec<Point<L::Word>> {
        let mut digits = vec![0i16; columns.iter().map(|c| c.len() * widths.len()).sum()];
        let mut rest = digits.as_mut_slice();
        let mut jobs = Vec::with_capacity(columns.len() * widths.len());
        for column in columns {
            let planes = rest.split_off_mut(..column.len() * widths.len()).expect("digits of all columns");
            for (i, &v) in column.iter().enumerate() {
                recode(v.unsigned_abs().into(), v < 0, widths, |window, digit| {
                    planes[window * column.len() + i] = digit;
                });
            }
            let planes = &*planes;
            jobs.extend(widths.iter().enumerate().map(|(window, &width)| Job {
                digits: &planes[window * column.len()..(window + 1) * column.len()],
                bases: self.generators(),
                width,
            }));
        }
        bucket_sums::<L>(&jobs)
    }

    /// Sums per digit by the table; the points of the bits between are the identity.
    fn look_up(&self, columns: &[&[i64]], planes: usize) -> Vec<Point<L::Word>> {
        // Generator by generator, so that a generator's multiples are fetched into the cache once for all columns.
        let longest = columns.iter().map(|c| c.len()).max().unwrap_or(0);
        let runs = columns.len() * planes;
        let widths = vec![DIGIT; planes];
        let mut digits = vec![0i16; longest * runs];
        let mut lengths = vec![0u32; runs];
        for (c, column) in columns.iter().enumerate() {
            for (j, v) in column.iter().enumerate() {
                recode(v.unsigned_abs().into(), *v < 0, &widths, |plane, digit| {
                    digits[j * runs + c * planes + plane] = digit;
                    lengths[c * planes + plane] += u32::from(digit != 0);
                });
            }
        }
        let mut points = vec![Point::default(); lengths.iter().map(|&l| l as usize).sum()];
        let mut next = 0;
        let mut cursors = Vec::with_capacity(runs);
        for &length in &lengths {
            cursors.push(next);
            next += length as usize;
        }
        for (digits, multiples) in digits.chunks_exact(runs.max(1)).zip(self.table().chunks_exact(MULTIPLES))
        {
            for (digit, cursor) in digits.iter().zip(&mut cursors) {
                if let Some(point) = pick(multiples, *digit) {
                    points[*cursor] = point;
                    *cursor += 1;
                }
            }
        }
        let sums = sum_runs::<L>(points, lengths);
        let mut bits = vec![Point::default(); sums.len() * DIGIT as usize];
        for (bits, sum) in bits.chunks_exact_mut(DIGIT as usize).zip(sums) {
            bits[0] = sum;
        }
        bits
    }

    fn doublings(&self) -> &Multiples<L> {
        once(&self.doublings, || Multiples::new(&self.bases))
    }

    /// Whether to use the doublings for so many columns and terms.
    fn worth_doublings(&self, columns: usize, terms: usize) -> bool {
        let without = Histogram::full_halves(2 * terms).choose_widths(columns).1;
        let saved = without.saturating_sub(fixed::cost(columns, terms));
        saved > 0
            && (self.doublings.get().is_some()
                || missed(&self.missed_doublings, saved, fixed::PREPARE * self.bases.len()))
    }
}

impl<L: PointLanes> Commit for Tables<L> {
    fn prepare(&self) {
        if self.n() < TABLE_LIMIT {
            self.table();
            self.doublings();
        }
        blinding_table::<L>();
    }

    fn small(&self, columns: &[&[i64]], blinding: &[EqAffine]) -> Vec<EqAffine> {
        let longest = columns.iter().map(|c| c.len()).max().unwrap_or(0);
        let entries: usize = columns.iter().map(|c| c.len()).sum();
        let pieces = ranges(columns.len(), FINISH);
        let histogram = map_on(&pieces, threads_for(2 * entries), |piece| {
            let mut histogram = Histogram::new();
            let values = columns[piece.clone()].iter().copied().flatten();
            values.for_each(|v| histogram.add(v.unsigned_abs().into()));
            histogram
        })
        .into_iter()
        .fold(Histogram::new(), Histogram::merge);
        let (widths, without) = histogram.choose_widths(columns.len());
        let planes = histogram.bits().div_ceil(DIGIT) as usize;
        let with = histogram.digits(&vec![DIGIT; planes]);
        let use_table = self.worth_table(with, without);
        if use_table {
            // Here, not by each of the tasks below at once.
            self.table();
        }

        let cost = if use_table { with } else { without } + columns.len();
        let threads = threads_for(cost * L::ADDITION);
        let columns_at_once =
            (GROUP / longest.max(1)).clamp(1, columns.len().div_ceil(pieces_for(threads)).max(1));
        let groups = ranges(columns.len(), columns_at_once);
        // One point per bit of every column, low bits first.
        let bits = map_on(&groups, threads, |group| {
            let columns = &columns[group.clone()];
            if use_table { self.look_up(columns, planes) } else { self.fill_buckets(columns, &widths) }
        })
        .concat();
        let per_column =
            if use_table { planes * DIGIT as usize } else { widths.iter().map(|&w| w as usize).sum() };
        let pieces = ranges(columns.len(), FINISH.min(columns.len().div_ceil(pieces_for(threads))));
        map_on(&pieces, threads, |piece| {
            let bits = &bits[piece.start * per_column..piece.end * per_column];
            finish::<L>(bits, &blinding[piece.clone()])
        })
        .concat()
    }

    fn sums(&self, vectors: &[&[Fp]]) -> Vec<Eq> {
        let terms = vectors.iter().map(|vector| vector.len()).sum();
        if self.worth_doublings(vectors.len(), terms) {
            let vectors: Vec<(usize, &[Fp])> = vectors.iter().map(|vector| (0, *vector)).collect();
            self.doublings().sums(&vectors)
        } else {
            sums::<L>(&self.bases, vectors)
        }
    }
}

/// Notes additions that a table would have saved. Returns whether they reach its cost: building it then is never worse than
/// twice the best decision in hindsight.
fn missed(so_far: &AtomicUsize, saved: usize, cost: usize) -> bool {
    so_far.fetch_add(saved, Ordering::Relaxed).saturating_add(saved) >= cost
}

/// Puts the bits of columns together, low bits first, and adds the blinding points.
fn finish<L: PointLanes>(bits: &[Point<L::Word>], blinding: &[EqAffine]) -> Vec<EqAffine> {
    let columns = blinding.len();
    let per_column = bits.len() / columns.max(1);
    let mut affine = vec![EqAffine::identity(); columns];
    if columns < FEW_COLUMNS {
        let total = |c: usize| weighted(&bits[c * per_column..][..per_column]) + blinding[c];
        let totals: Vec<Eq> = (0..columns).map(total).collect();
        Eq::batch_normalize_vartime(&totals, &mut affine);
        return affine;
    }
    let mut totals = vec![Point::default(); columns];
    let blinding = stored::<L>(blinding);
    for bit in (0..per_column).rev() {
        let mut points = Vec::with_capacity(4 * columns);
        let mut lengths = Vec::with_capacity(columns);
        for (column, &total) in totals.iter().enumerate() {
            let next = bits[column * per_column + bit];
            let last = if bit == 0 { blinding[column] } else { Point::default() };
            let before = points.len();
            points.extend([total, total, next, last].iter().filter(|p| !p.is_identity()));
            lengths.push((points.len() - before) as u32);
        }
        totals = sum_runs::<L>(points, lengths);
    }
    let totals = if per_column == 0 { blinding } else { totals };
    totals.into_iter().map(Point::to_affine).collect()
}

/// The multiple of a signed digit, if it is not zero.
#[inline]
fn pick<W: Word<Element = Fq>>(multiples: &[Point<W>], digit: i16) -> Option<Point<W>> {
    let index = usize::from(digit.unsigned_abs()).checked_sub(1)?;
    Some(multiples[index].negated_if(digit < 0))
}

/// Points whose sum is `blind * H`.
fn blinding_terms<L: PointLanes>(blind: &Fp) -> impl Iterator<Item = Point<L::Word>> {
    let mut carry = 0;
    blind.to_repr().into_iter().zip(blinding_table::<L>().chunks_exact(MULTIPLES)).filter_map(
        move |(byte, multiples)| {
            // The highest byte is at most 0x40, so no carry is left.
            let mut digit = i16::from(byte) + carry;
            carry = i16::from(digit > MULTIPLES as i16);
            digit -= carry << DIGIT;
            pick(multiples, digit)
        },
    )
}

/// Multiples `1..=MULTIPLES` of `256^i * H`, for every digit `i` of a field element.
fn blinding_table<L: PointLanes>() -> &'static [Point<L::Word>] {
    once::<Vec<_>>(L::blinding_table(), || {
        let mut powers = vec![blinding_generator().to_curve()];
        for digit in 1..BLIND_DIGITS {
            powers.push((0..DIGIT).fold(powers[digit - 1], |power, _| power.double()));
        }
        let mut bases = vec![EqAffine::identity(); BLIND_DIGITS];
        Eq::batch_normalize_vartime(&powers, &mut bases);
        multiples::<L>(&stored::<L>(&bases))
    })
}

/// Multiples `1..=MULTIPLES` of every base.
fn multiples<L: PointLanes>(bases: &[Point<L::Word>]) -> Vec<Point<L::Word>> {
    let threads = threads_for(bases.len() * MULTIPLES * L::ADDITION);
    map_on(&ranges(bases.len(), 32), threads, |range| {
        let mut table = vec![Point::default(); range.len() * MULTIPLES];
        for (multiples, base) in table.chunks_exact_mut(MULTIPLES).zip(&bases[range.clone()]) {
            multiples[0] = *base;
        }
        let mut known = 1;
        while known < MULTIPLES {
            let mut pairs = Vec::with_capacity(2 * known * range.len());
            for multiples in table.chunks_exact(MULTIPLES) {
                pairs.extend(multiples[..known].iter().flat_map(|&m| [m, multiples[known - 1]]));
            }
            let sums = sum_runs::<L>(pairs, vec![2; known * range.len()]);
            for (multiples, sums) in table.chunks_exact_mut(MULTIPLES).zip(sums.chunks_exact(known)) {
                multiples[known..2 * known].copy_from_slice(sums);
            }
            known *= 2;
        }
        table
    })
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::best;
    use crate::lanes::Portable;
    use crate::parallel::on_one_and_two_threads;
    use crate::small::from_i64;
    use group::Curve;
    use proptest::prelude::*;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};

    #[test]
    fn points_are_added_one_by_one() {
        let p = |i: usize| generators(4).g[i];
        let none = EqAffine::identity();
        let pairs = [(p(0), p(1)), (p(0), p(0)), (p(0), -p(0)), (none, p(2)), (p(2), none), (none, none)];
        for count in 0..=4 * pairs.len() {
            let (a, b): (Vec<EqAffine>, Vec<EqAffine>) = pairs.iter().cycle().take(count).copied().unzip();
            let expected: Vec<EqAffine> = a.iter().zip(&b).map(|(a, b)| (*a + *b).to_affine()).collect();
            for backend in [Backend::Portable, best()] {
                assert_eq!(add_points_on(backend, &a, &b), expected, "{count} pairs, {backend:?}");
            }
        }
    }

    fn naive(committer: &Committer, column: &[i64], blind: &Fp) -> EqAffine {
        let terms = column.iter().zip(&committer.generators.g).map(|(&v, g)| g * from_i64(v));
        (terms.sum::<Eq>() + committer.generators.h * blind).to_affine()
    }

    /// Commits with and without the table, and by the general way, with both sets of kernels.
    fn check(n: usize, columns: &[&[i64]], blinds: &[Fp]) {
        let results = [Backend::Portable, best()].map(|backend| check_on(backend, n, columns, blinds));
        assert_eq!(results[0], results[1]);
    }

    fn check_on(backend: Backend, n: usize, columns: &[&[i64]], blinds: &[Fp]) -> Vec<EqAffine> {
        let plain = Committer::on(backend, n);
        let prepared = Committer::on(backend, n);
        prepared.prepare();
        let commitments = plain.commit_small(columns, blinds);
        assert_eq!(prepared.commit_small(columns, blinds), commitments);
        let fields: Vec<Vec<Fp>> =
            columns.iter().map(|column| column.iter().map(|&v| from_i64(v)).collect()).collect();
        let opened: Vec<Vec<Fp>> =
            fields.iter().zip(blinds).map(|(v, blind)| [&[*blind, Fp::ZERO], &v[..]].concat()).collect();
        assert_eq!(plain.sums(&opened.iter().map(Vec::as_slice).collect::<Vec<_>>()), commitments);
        for ((column, blind), commitment) in columns.iter().zip(blinds).zip(&commitments) {
            if column.len() < 40 {
                assert_eq!(naive(&plain, column, blind), *commitment);
            }
        }
        let looked_up = dispatch!(backend, Fq, L => {
            let bases = [&[plain.generators.h, plain.generators.u], &plain.generators.g[..]].concat();
            let tables = Tables::<L>::new(&bases);
            finish::<L>(&tables.look_up(columns, 9), &blinding_points_on(backend, blinds))
        });
        assert_eq!(looked_up, commitments, "the table, whatever it costs");
        commitments
    }

    fn random_blinds(n: usize) -> Vec<Fp> {
        let mut rng = ChaCha20Rng::seed_from_u64(21);
        (0..n).map(|_| Fp::random(&mut rng)).collect()
    }

    #[test]
    fn shapes_and_widths() {
        let mut rng = ChaCha20Rng::seed_from_u64(22);
        for (n, lengths) in [
            (1, vec![1]),
            (1, vec![0, 1, 1]),
            (5, vec![3, 0, 5]),
            (64, vec![64; 20]),
            (100, vec![100, 1, 99, 64]),
            (300, vec![300, 299]),
        ] {
            for bits in [1, 4, 8, 9, 12, 16, 33, 64] {
                let values: Vec<Vec<i64>> = lengths
                    .iter()
                    .map(|&l| (0..l).map(|_| rng.next_u64() as i64 >> (64 - bits)).collect())
                    .collect();
                let columns: Vec<&[i64]> = values.iter().map(Vec::as_slice).collect();
                check(n, &columns, &random_blinds(columns.len()));
            }
        }
    }

    #[test]
    fn extremes_and_zeros() {
        let edges =
            [i64::MIN, i64::MAX, i64::MIN + 1, -1, 0, 1, 127, 128, 129, -127, -128, -129, 255, -256, 32_768];
        check(16, &[&edges, &[0; 16], &[i64::MIN; 16], &[128; 7], &[]], &random_blinds(5));
        for edge in edges {
            check(3, &[&[edge], &[edge; 3], &[0, edge]], &[Fp::ZERO, Fp::ONE, -Fp::ONE]);
        }
    }

    #[test]
    fn nothing_and_the_identity() {
        let committer = Committer::new(4);
        assert_eq!(committer.commit_small(&[], &[]), []);
        assert_eq!(committer.commit_small(&[&[0, 0], &[]], &[Fp::ZERO; 2]), [EqAffine::default(); 2]);
        assert_eq!(committer.commit_field(&[], &Fp::ZERO), EqAffine::default());
        assert_eq!(committer.commit_small(&[&[]], &[Fp::ONE]), [committer.generators.h]);
        assert_eq!(Committer::new(0).commit_small(&[&[]], &[Fp::ONE]), [committer.generators.h]);
    }

    #[test]
    fn the_table_is_built_when_it_pays() {
        let new = || Tables::<Portable<Fq>>::new(&generators(18).g);
        let (kept, once) = (new(), new());
        let column = [100i64; 16];
        let blinding = blinding_points(&[Fp::ONE]);
        let mut first = None;
        for _ in 0..200 {
            let commitment = kept.small(&[&column], &blinding);
            assert_eq!(*first.get_or_insert(commitment.clone()), commitment);
        }
        assert!(kept.table.get().is_some() && kept.doublings.get().is_none());
        once.small(&[&column], &blinding);
        assert!(once.table.get().is_none());
    }

    #[test]
    fn sums_agree_with_the_definition_with_and_without_doublings() {
        for n in [0, 1, 30, 100] {
            let Generators { g, h, u } = generators(n);
            let scalars = random_blinds(n + 2);
            let sparse: Vec<Fp> =
                scalars.iter().enumerate().map(|(i, s)| if i % 3 == 1 { *s } else { Fp::ZERO }).collect();
            let vectors = [&scalars[..], &sparse, &scalars[..1], &[Fp::ZERO; 2], &[]];
            let expected = vectors
                .map(|vector| vector.iter().zip([h, u].iter().chain(&g)).map(|(s, p)| *p * s).sum::<Eq>());
            for backend in [Backend::Portable, best()] {
                dispatch!(backend, Fq, L => {
                    let kept = Tables::<L>::new(&[&[h, u], &g[..]].concat());
                    assert_eq!(kept.sums(&vectors), expected, "n = {n}");
                    for _ in 0..20 {
                        kept.sums(&vectors);
                    }
                    assert!(kept.doublings.get().is_some(), "n = {n}");
                    assert_eq!(kept.sums(&vectors), expected, "n = {n}");
                    kept.prepare();
                    assert_eq!(kept.sums(&vectors), expected, "n = {n}");
                });
            }
        }
    }

    #[test]
    #[should_panic(expected = "a vector of 5 entries, but only 4 generators")]
    fn sums_beyond_the_generators_are_refused() {
        Committer::new(2).sums(&[&[Fp::ZERO; 5]]);
    }

    #[test]
    fn commitments_onto_blinding_points_are_commitments() {
        let committer = Committer::new(4);
        let columns: [&[i64]; 3] = [&[1, -2, 3], &[], &[0, 300, 0, -4]];
        let blinds = [random_blinds(2), vec![Fp::ZERO]].concat();
        let points = blinding_points(&blinds);
        assert_eq!(points[2], EqAffine::identity());
        assert_eq!(committer.commit_small_onto(&columns, &points), committer.commit_small(&columns, &blinds));
        assert!(blinding_points(&[]).is_empty());
    }

    #[test]
    fn blinding_terms_add_up() {
        let h = blinding_generator();
        for blind in
            random_blinds(20).into_iter().chain([Fp::ZERO, Fp::ONE, -Fp::ONE, from_i64(128), from_i64(129)])
        {
            for backend in [Backend::Portable, best()] {
                let sum: Eq =
                    dispatch!(backend, Fq, L => blinding_terms::<L>(&blind).map(Point::to_curve).sum());
                assert_eq!(sum, h * blind);
            }
        }
        assert_eq!(blinding_terms::<Portable<Fq>>(&Fp::ZERO).count(), 0);
    }

    #[test]
    fn one_and_two_threads_agree() {
        let mut rng = ChaCha20Rng::seed_from_u64(23);
        let values: Vec<Vec<i64>> =
            (0..30).map(|_| (0..200).map(|_| rng.next_u64() as i64 >> 56).collect()).collect();
        let columns: Vec<&[i64]> = values.iter().map(Vec::as_slice).collect();
        let blinds = random_blinds(30);
        let [one, two] = on_one_and_two_threads(|| {
            let committer = Committer::new(200);
            let plain = committer.commit_small(&columns, &blinds);
            committer.prepare();
            (plain, committer.commit_small(&columns, &blinds))
        });
        assert_eq!(one, two);
        assert_eq!(one.0, one.1);
    }

    #[test]
    #[should_panic(expected = "a column of 3 entries, but only 2 generators")]
    fn columns_beyond_the_generators_are_refused() {
        Committer::new(2).commit_small(&[&[0; 3]], &[Fp::ZERO]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn commit_small_is_commit_field(
            values in prop::collection::vec(
                prop::collection::vec(prop_oneof![Just(0), -128i64..128, any::<i64>()], 0..24), 0..5)
        ) {
            let columns: Vec<&[i64]> = values.iter().map(Vec::as_slice).collect();
            check(24, &columns, &random_blinds(columns.len()));
        }
    }
}
