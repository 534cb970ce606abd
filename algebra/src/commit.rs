//! Column commitments `C = <w, G> + rho*H`.
//!
//! Small integers are committed by additions alone. Without a table they go through buckets, as in
//! [`msm`], with as many bits as they have; with a table of small multiples of every generator (Brickell,
//! Gordon, McCurley, Wilson, "Fast exponentiation with precomputation", EUROCRYPT 1992) each non-zero
//! base-256 digit costs one addition and nothing is left to do with buckets. All additions
//! of many columns share their inversions.
//!
//! The time depends on the values: zero digits cost nothing. Provenn lists the latency of the prover
//! as leakage; who must not leak it has to pad the time of a whole proof.

use crate::affine::{Point, sum_runs};
use crate::buckets::{Histogram, Job, bucket_sums, recode};
use crate::fixed::FixedBases;
use crate::generators::{Generators, blinding_generator, generators};
use crate::msm::msm;
use crate::parallel::{map, pieces_for, ranges, threads_for};
use crate::{EqAffine, Fp};
use ff::{Field, PrimeField};
use group::{Curve, Group};
use std::ops::Range;
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

/// Columns whose last steps share inversions.
const FINISH: usize = 128;

/// Nanoseconds of one batched addition, to decide about threads.
const ADDITION: usize = 100;

/// Nanoseconds that fixed bases save per term of a sum of full scalars, and nanoseconds to compute one.
const TERM_SAVED: usize = 1500;
const FIX: usize = 20_000;

/// Commits to columns of at most `n` entries.
#[derive(Debug)]
pub struct Committer {
    generators: Generators,
    bases: Vec<Point>,
    /// H, U, and the generators.
    all: Vec<EqAffine>,
    /// The same with multiples, for sums of full scalars.
    fixed: OnceLock<FixedBases>,
    /// Nanoseconds that fixed bases would have saved so far.
    unfixed: AtomicUsize,
    /// Multiples `1..=MULTIPLES` of every generator.
    table: OnceLock<Vec<Point>>,
    /// Additions that the table would have saved so far.
    missed: AtomicUsize,
}

impl Committer {
    /// A committer for columns of up to `n` entries.
    pub fn new(n: usize) -> Self {
        let generators = generators(n);
        let bases = generators.g.iter().map(Point::new).collect();
        let all = [&[generators.h, generators.u], &generators.g[..]].concat();
        Committer {
            generators,
            bases,
            all,
            fixed: OnceLock::new(),
            unfixed: AtomicUsize::new(0),
            table: OnceLock::new(),
            missed: AtomicUsize::new(0),
        }
    }

    /// The longest column.
    pub fn n(&self) -> usize {
        self.bases.len()
    }

    /// The generators it commits under.
    pub fn generators(&self) -> &Generators {
        &self.generators
    }

    /// Builds the tables now, which pays for a committer that is kept over many short columns.
    ///
    /// Takes some 40 microseconds and 10 KiB per generator. Without this call the tables are built as
    /// soon as they would have saved their own cost. Columns of 1024 entries and more have no use for them.
    pub fn prepare(&self) {
        if self.n() < TABLE_LIMIT {
            self.table();
            self.fixed();
        }
        blinding_table();
    }

    fn fixed(&self) -> &FixedBases {
        self.fixed.get_or_init(|| FixedBases::new(&self.all))
    }

    /// `vector[0] H + vector[1] U + <vector[2..], G>` for each of some vectors, in variable time.
    ///
    /// The generators' multiples are computed by [`Committer::prepare`], or once they would have saved their own cost;
    /// from 1024 generators on, buckets do as well without (measured).
    ///
    /// # Panics
    /// If a vector has more than `n + 2` entries.
    pub fn sums(&self, vectors: &[&[Fp]]) -> Vec<EqAffine> {
        let longest = vectors.iter().map(|vector| vector.len()).max().unwrap_or(0);
        assert!(
            longest <= self.all.len(),
            "a vector of {longest} entries, but only {} generators",
            self.all.len()
        );
        if self.n() < TABLE_LIMIT {
            let terms: usize =
                vectors.iter().flat_map(|vector| *vector).filter(|s| !s.is_zero_vartime()).count();
            let saved = terms * TERM_SAVED;
            if self.fixed.get().is_some()
                || self.unfixed.fetch_add(saved, Ordering::Relaxed).saturating_add(saved)
                    >= FIX * self.all.len()
            {
                let vectors: Vec<(usize, &[Fp])> = vectors.iter().map(|vector| (0, *vector)).collect();
                return self.fixed().sums(&vectors);
            }
        }
        vectors.iter().map(|vector| msm(vector, &self.all[..vector.len()]).to_affine()).collect()
    }

    fn table(&self) -> &[Point] {
        self.table.get_or_init(|| multiples(&self.bases))
    }

    /// Whether to use the table for work that costs so many additions with and without it.
    fn worth_table(&self, with: usize, without: usize) -> bool {
        let saved = without.saturating_sub(with + with / 4);
        if saved == 0 || self.n() >= TABLE_LIMIT {
            return false;
        }
        // Building once the savings missed reach the cost is never worse than twice the best
        // decision in hindsight.
        self.table.get().is_some()
            || self.missed.fetch_add(saved, Ordering::Relaxed).saturating_add(saved) >= MULTIPLES * self.n()
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

        let entries: usize = columns.iter().map(|c| c.len()).sum();
        let pieces = ranges(columns.len(), FINISH);
        let histogram = map(&pieces, threads_for(2 * entries), |piece| {
            let mut histogram = Histogram::new();
            let values = columns[piece.clone()].iter().copied().flatten();
            values.for_each(|v| histogram.add(v.unsigned_abs().into()));
            histogram
        })
        .into_iter()
        .fold(Histogram::new(), Histogram::merge);
        let (mut widths, without) = histogram.choose_widths(columns.len());
        let planes = vec![DIGIT; histogram.bits().div_ceil(DIGIT) as usize];
        let with = histogram.digits(&planes);
        let use_table = self.worth_table(with, without);
        if use_table {
            widths = planes;
        }

        let cost = if use_table { with } else { without } + columns.len();
        let threads = threads_for(cost * ADDITION);
        let columns_at_once =
            (GROUP / longest.max(1)).clamp(1, columns.len().div_ceil(pieces_for(threads)).max(1));
        let groups = ranges(columns.len(), columns_at_once);
        // One point per bit of every column, low bits first.
        let bits = map(&groups, threads, |group| {
            let columns = &columns[group.clone()];
            if use_table { self.look_up(columns, &widths) } else { self.fill_buckets(columns, &widths) }
        })
        .concat();
        let per_column = widths.iter().map(|&w| w as usize).sum();
        let pieces = ranges(columns.len(), FINISH.min(columns.len().div_ceil(pieces_for(threads))));
        map(&pieces, threads, |piece| finish(&bits, per_column, piece.clone(), blinding)).concat()
    }

    /// Sums per bit by buckets.
    fn fill_buckets(&self, columns: &[&[i64]], widths: &[u32]) -> Vec<Point> {
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
                bases: &self.bases,
                width,
            }));
        }
        bucket_sums(&jobs)
    }

    /// Sums per digit by the table; the points of the bits between are the identity.
    fn look_up(&self, columns: &[&[i64]], widths: &[u32]) -> Vec<Point> {
        let table = self.table();
        let planes = widths.len();
        let mut lengths = vec![0u32; columns.len() * planes];
        for (column, lengths) in columns.iter().zip(lengths.chunks_exact_mut(planes.max(1))) {
            for &v in *column {
                recode(v.unsigned_abs().into(), v < 0, widths, |plane, digit| {
                    lengths[plane] += u32::from(digit != 0);
                });
            }
        }
        let mut cursors: Vec<usize> = lengths
            .iter()
            .scan(0, |next, &length| {
                let cursor = *next;
                *next += length as usize;
                Some(cursor)
            })
            .collect();
        let mut points = vec![Point::IDENTITY; lengths.iter().map(|&l| l as usize).sum()];
        // Generator by generator, so that a generator's multiples are fetched into the cache once
        // for all columns.
        for (j, multiples) in table.chunks_exact(MULTIPLES).enumerate() {
            for (column, cursors) in columns.iter().zip(cursors.chunks_exact_mut(planes.max(1))) {
                let v = column.get(j).copied().unwrap_or(0);
                recode(v.unsigned_abs().into(), v < 0, widths, |plane, digit| {
                    if let Some(point) = pick(multiples, digit) {
                        points[cursors[plane]] = point;
                        cursors[plane] += 1;
                    }
                });
            }
        }
        let sums = sum_runs(points, lengths);
        let mut bits = vec![Point::IDENTITY; sums.len() * DIGIT as usize];
        for (bits, sum) in bits.chunks_exact_mut(DIGIT as usize).zip(sums) {
            bits[0] = sum;
        }
        bits
    }

    /// Commits to one column of field elements.
    ///
    /// # Panics
    /// If the column has more than `n` entries.
    pub fn commit_field(&self, values: &[Fp], blind: &Fp) -> EqAffine {
        assert!(
            values.len() <= self.n(),
            "a column of {} entries, but only {} generators",
            values.len(),
            self.n()
        );
        self.sums(&[&[&[*blind, Fp::ZERO], values].concat()])[0]
    }
}

/// The points `rho*H` of some blinds: secret, as they reveal what the values contribute to a commitment.
pub fn blinding_points(blinds: &[Fp]) -> Vec<EqAffine> {
    let threads = threads_for(blinds.len() * BLIND_DIGITS * ADDITION);
    let pieces = ranges(blinds.len(), FINISH.min(blinds.len().div_ceil(pieces_for(threads))));
    map(&pieces, threads, |piece| {
        let mut points = Vec::with_capacity(piece.len() * BLIND_DIGITS);
        let mut lengths = Vec::with_capacity(piece.len());
        for blind in &blinds[piece.clone()] {
            let before = points.len();
            points.extend(blinding_terms(blind));
            lengths.push((points.len() - before) as u32);
        }
        sum_runs(points, lengths).into_iter().map(Point::to_affine).collect::<Vec<_>>()
    })
    .concat()
}

/// Puts the bits of some columns together and adds the blinding points.
fn finish(bits: &[Point], per_column: usize, columns: Range<usize>, blinding: &[EqAffine]) -> Vec<EqAffine> {
    let mut totals = vec![Point::IDENTITY; columns.len()];
    for bit in (0..per_column).rev() {
        let mut points = Vec::with_capacity(3 * columns.len());
        let mut lengths = Vec::with_capacity(columns.len());
        for (column, &total) in columns.clone().zip(&totals) {
            let next = bits[column * per_column + bit];
            let before = points.len();
            points.extend([total, total, next].iter().filter(|p| !p.is_identity()));
            lengths.push((points.len() - before) as u32);
        }
        totals = sum_runs(points, lengths);
    }
    let points = totals.iter().zip(&blinding[columns.clone()]);
    let points = points.flat_map(|(total, blinding)| [*total, Point::new(blinding)]).collect();
    let lengths = vec![2; columns.len()];
    sum_runs(points, lengths).into_iter().map(Point::to_affine).collect()
}

/// The multiple of a signed digit, if it is not zero.
fn pick(multiples: &[Point], digit: i16) -> Option<Point> {
    let index = usize::from(digit.unsigned_abs()).checked_sub(1)?;
    Some(multiples[index].negated_if(digit < 0))
}

/// Points whose sum is `blind * H`.
fn blinding_terms(blind: &Fp) -> impl Iterator<Item = Point> {
    let mut carry = 0;
    blind.to_repr().into_iter().zip(blinding_table().chunks_exact(MULTIPLES)).filter_map(
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
fn blinding_table() -> &'static [Point] {
    static TABLE: OnceLock<Vec<Point>> = OnceLock::new();

    TABLE.get_or_init(|| {
        let mut bases = vec![Point::new(&blinding_generator())];
        for _ in 1..BLIND_DIGITS {
            let mut power = bases[bases.len() - 1].to_curve();
            for _ in 0..DIGIT {
                power = power.double();
            }
            bases.push(Point::new(&power.to_affine()));
        }
        multiples(&bases)
    })
}

/// Multiples `1..=MULTIPLES` of every base.
fn multiples(bases: &[Point]) -> Vec<Point> {
    let threads = threads_for(bases.len() * MULTIPLES * ADDITION);
    map(&ranges(bases.len(), 32), threads, |range| {
        let mut table = vec![Point::IDENTITY; range.len() * MULTIPLES];
        for (multiples, base) in table.chunks_exact_mut(MULTIPLES).zip(&bases[range.clone()]) {
            multiples[0] = *base;
        }
        let mut known = 1;
        while known < MULTIPLES {
            let mut pairs = Vec::with_capacity(2 * known * range.len());
            for multiples in table.chunks_exact(MULTIPLES) {
                pairs.extend(multiples[..known].iter().flat_map(|&m| [m, multiples[known - 1]]));
            }
            let sums = sum_runs(pairs, vec![2; known * range.len()]);
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
    use crate::parallel::on_one_and_two_threads;
    use crate::small::from_i64;
    use group::CurveAffine as _;
    use pasta_curves::Eq;
    use proptest::prelude::*;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};

    fn naive(committer: &Committer, column: &[i64], blind: &Fp) -> EqAffine {
        let terms = column.iter().zip(&committer.generators.g).map(|(&v, g)| g * from_i64(v));
        (terms.sum::<Eq>() + committer.generators.h * blind).to_affine()
    }

    /// Commits with and without the table, and by the general way.
    fn check(n: usize, columns: &[&[i64]], blinds: &[Fp]) {
        let plain = Committer::new(n);
        let prepared = Committer::new(n);
        prepared.prepare();
        let commitments = plain.commit_small(columns, blinds);
        assert_eq!(prepared.commit_small(columns, blinds), commitments);
        for ((column, blind), commitment) in columns.iter().zip(blinds).zip(commitments) {
            let values: Vec<Fp> = column.iter().map(|&v| from_i64(v)).collect();
            assert_eq!(plain.commit_field(&values, blind), commitment);
            if column.len() < 40 {
                assert_eq!(naive(&plain, column, blind), commitment);
            }
        }
        let widths = vec![DIGIT; 9];
        let looked_up = prepared.look_up(columns, &widths);
        let finished = finish(&looked_up, 72, 0..columns.len(), &blinding_points(blinds));
        assert_eq!(finished, plain.commit_small(columns, blinds), "the table, whatever it costs");
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
        let committer = Committer::new(16);
        let column = [100i64; 16];
        let mut first = None;
        for _ in 0..200 {
            let commitment = committer.commit_small(&[&column], &[Fp::ONE]);
            assert_eq!(*first.get_or_insert(commitment.clone()), commitment);
        }
        assert!(committer.table.get().is_some());
        let once = Committer::new(16);
        once.commit_small(&[&column], &[Fp::ONE]);
        assert!(once.table.get().is_none());
    }

    #[test]
    fn sums_agree_with_the_definition_with_and_without_fixed_bases() {
        for n in [0, 1, 30, TABLE_LIMIT] {
            let plain = Committer::new(n);
            let prepared = Committer::new(n);
            prepared.prepare();
            let Generators { g, h, u } = generators(n);
            let scalars = random_blinds(n + 2);
            let sparse: Vec<Fp> =
                scalars.iter().enumerate().map(|(i, s)| if i % 3 == 1 { *s } else { Fp::ZERO }).collect();
            let vectors = [&scalars[..], &sparse, &scalars[..1], &[Fp::ZERO; 2], &[]];
            let sums = plain.sums(&vectors);
            assert_eq!(prepared.sums(&vectors), sums, "n = {n}");
            for (vector, sum) in vectors.iter().zip(sums) {
                let expected: Eq = vector.iter().zip([h, u].iter().chain(&g)).map(|(s, p)| *p * s).sum();
                assert_eq!(sum, expected.to_affine(), "n = {n}");
            }
        }
        let committer = Committer::new(16);
        let vector = random_blinds(18);
        let first = committer.sums(&[&vector]);
        assert!(committer.fixed.get().is_none());
        for _ in 0..20 {
            assert_eq!(committer.sums(&[&vector]), first);
        }
        assert!(committer.fixed.get().is_some());
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
            let sum: Eq = blinding_terms(&blind).map(Point::to_curve).sum();
            assert_eq!(sum, h * blind);
        }
        assert_eq!(blinding_terms(&Fp::ZERO).count(), 0);
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
