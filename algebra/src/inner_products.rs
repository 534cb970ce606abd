//! The sum-check over a sum of inner products of vectors of one length, and what is left of the vectors at its end.
//!
//! Eight pairs of vectors lie side by side in the lanes, so that all rounds down to the last are the same loop.

use crate::Fp;
use crate::backend::{Backend, backend};
use crate::lanes::{LANES, Lanes, Portable, Vector, Word};
use crate::parallel::{map_owned, pieces_for, threads_for};
use crate::rounds::{On, on, total};
use ff::Field;
use std::ops::Range;

/// Nanoseconds for one index of eight pairs in vector lanes, to decide about threads: to read it, and to bind it and sum.
const READ: usize = 200;
const ROUND: usize = 80;

/// The first entries of a vector; the others are 0.
#[derive(Debug, Clone, Copy)]
pub enum Entries<'a> {
    /// Field elements.
    Field(&'a [Fp]),
    /// Integers.
    Wide(&'a [i64]),
    /// Integers of 16 bits.
    Narrow(&'a [i16]),
}

impl Entries<'_> {
    fn len(&self) -> usize {
        match self {
            Entries::Field(entries) => entries.len(),
            Entries::Wide(entries) => entries.len(),
            Entries::Narrow(entries) => entries.len(),
        }
    }
}

/// Two vectors whose inner product is a summand.
#[derive(Debug, Clone, Copy)]
pub struct Pair<'a> {
    /// One vector.
    pub x: Entries<'a>,
    /// The part of the other that is not 0.
    pub u: &'a [Fp],
    /// Index of the first entry of that part.
    pub first: usize,
}

/// The sum-check over `sum_i sum_t x_i(t) u_i(t)`, in progress.
#[derive(Debug)]
pub struct InnerProducts {
    /// Variables that are left.
    variables: usize,
    rounds: On<Rounds<Portable<Fp>>, Rounds<Vector<Fp>>>,
}

impl InnerProducts {
    /// The sum-check over vectors of `2^variables` entries.
    ///
    /// # Panics
    /// If a vector is longer.
    pub fn new(pairs: &[Pair<'_>], variables: usize) -> Self {
        Self::on(backend(), pairs, variables)
    }

    /// [`InnerProducts::new`] for a given backend, the portable one if the processor lacks it.
    ///
    /// # Panics
    /// If a vector is longer than `2^variables`.
    pub fn on(backend: Backend, pairs: &[Pair<'_>], variables: usize) -> Self {
        let longest = pairs.iter().map(|pair| pair.x.len().max(pair.first + pair.u.len())).max().unwrap_or(0);
        assert!(longest <= 1 << variables, "{longest} entries of 2^{variables}");
        let rounds = match backend.or_portable() {
            Backend::Portable => On::Portable(Rounds::new(pairs, 1 << variables)),
            Backend::Ifma => On::Vector(Rounds::new(pairs, 1 << variables)),
        };
        InnerProducts { variables, rounds }
    }

    /// Of the polynomial `h(X)` of this round: `h(0)`, and the coefficient of `X^2`. Both are 0 once every variable is bound.
    pub fn sums(&self) -> (Fp, Fp) {
        on!(&self.rounds, rounds => rounds.sums)
    }

    /// Binds the round's variable, the most significant that is left.
    ///
    /// # Panics
    /// If none is left.
    pub fn bind(&mut self, rho: &Fp) {
        self.variables = self.variables.checked_sub(1).expect("a variable is left");
        on!(&mut self.rounds, rounds => rounds.bind(rho));
    }

    /// The second vector of every pair, at the bound point.
    ///
    /// # Panics
    /// Before the last round.
    pub fn ends(&self) -> Vec<Fp> {
        assert_eq!(self.variables, 0, "variables are left");
        on!(&self.rounds, rounds => rounds.ends())
    }
}

/// One index of eight pairs.
#[derive(Debug, Clone, Copy)]
struct Entry<L> {
    x: L,
    u: L,
}

#[derive(Debug)]
struct Rounds<L: Lanes<Element = Fp>> {
    pairs: usize,
    /// Per eight pairs [`Rounds::chunks`] vectors: the indices that are left, dealt out in turn. So each is bound by itself.
    entries: Vec<Vec<Entry<L>>>,
    chunks: usize,
    sums: (Fp, Fp),
}

/// Both sums of a round, per lane.
struct Sums<L: Lanes> {
    reduced: [L; 2],
    sums: [L::Sum; 2],
    summands: usize,
}

impl<L: Lanes> Sums<L> {
    #[inline(always)]
    fn new() -> Self {
        Sums { reduced: [L::zero(); 2], sums: [L::no_sum(); 2], summands: 0 }
    }

    #[inline(always)]
    fn add(&mut self, low: &Entry<L>, high: &Entry<L>) {
        if self.summands == L::SUMMANDS {
            self.flush();
        }
        self.summands += 1;
        L::accumulate(&mut self.sums[0], low.x, low.u);
        L::accumulate(&mut self.sums[1], high.x.sub(low.x), high.u.sub(low.u));
    }

    #[inline(always)]
    fn flush(&mut self) {
        for i in 0..2 {
            self.reduced[i] = self.reduced[i].add(L::reduce(self.sums[i]));
            self.sums[i] = L::no_sum();
        }
        self.summands = 0;
    }

    #[inline(always)]
    fn finish(mut self) -> [L; 2] {
        self.flush();
        self.reduced
    }
}

/// Eight pairs that are read together, with pairs of nothing after the last.
struct Reader<'a> {
    pairs: [Pair<'a>; LANES],
    /// Where some `x` is, and some `u`.
    x: Range<usize>,
    u: Range<usize>,
}

impl<'a> Reader<'a> {
    fn new(chunk: &[Pair<'a>]) -> Self {
        let mut pairs = [Pair { x: Entries::Narrow(&[]), u: &[], first: 0 }; LANES];
        pairs[..chunk.len()].copy_from_slice(chunk);
        let x = chunk.iter().map(|pair| pair.x.len()).max().unwrap_or(0);
        let start = chunk.iter().map(|pair| pair.first).min().unwrap_or(0);
        let end = chunk.iter().map(|pair| pair.first + pair.u.len()).max().unwrap_or(0);
        Reader { pairs, x: 0..x, u: start..end }
    }

    /// The entries at one index.
    #[inline(always)]
    fn read<L: Lanes<Element = Fp>>(&self, zero: &Fp, index: usize) -> Entry<L> {
        let mut entry = Entry { x: L::zero(), u: L::zero() };
        if self.x.start <= index && index < self.x.end {
            let mut integers = [0; LANES];
            let mut elements = [zero; LANES];
            let mut mask = 0;
            for lane in 0..LANES {
                match self.pairs[lane].x {
                    Entries::Field(entries) => {
                        mask |= 1 << lane;
                        if index < entries.len() {
                            elements[lane] = &entries[index];
                        }
                    }
                    Entries::Wide(entries) if index < entries.len() => integers[lane] = entries[index],
                    Entries::Narrow(entries) if index < entries.len() => {
                        integers[lane] = entries[index] as i64;
                    }
                    Entries::Wide(_) | Entries::Narrow(_) => {}
                }
            }
            entry.x = match mask {
                0 => L::integers(&integers),
                u8::MAX => L::convert(elements),
                mask => L::select(mask, L::convert(elements), L::integers(&integers)),
            };
        }
        if self.u.start <= index && index < self.u.end {
            let mut elements = [zero; LANES];
            for lane in 0..LANES {
                let Pair { u, first, .. } = self.pairs[lane];
                if first <= index && index - first < u.len() {
                    elements[lane] = &u[index - first];
                }
            }
            entry.u = L::convert(elements);
        }
        entry
    }
}

impl<L: Lanes<Element = Fp>> Drop for Rounds<L> {
    fn drop(&mut self) {
        self.erase();
    }
}

impl<L: Lanes<Element = Fp>> Rounds<L> {
    fn new(pairs: &[Pair<'_>], len: usize) -> Self {
        let groups = pairs.len().div_ceil(LANES);
        let threads = threads_for(groups * len * READ * L::COST);
        let wanted = (2 * pieces_for(threads)).div_ceil(groups.max(1)).next_power_of_two();
        let chunks = if threads > 1 { wanted.min(len) } else { 1 };
        let readers: Vec<Reader<'_>> = pairs.chunks(LANES).map(Reader::new).collect();
        let tasks = readers.iter().flat_map(|reader| (0..chunks).map(move |first| (reader, first))).collect();
        let read = map_owned(tasks, threads, |(reader, first): (&Reader<'_>, usize)| {
            let mut entries = vec![Entry { x: L::zero(), u: L::zero() }; len / chunks];
            let sums = L::enter(
                #[inline(always)]
                || read_all(reader, first, chunks, &mut entries),
            );
            (entries, sums)
        });
        let (entries, sums): (Vec<_>, Vec<_>) = read.into_iter().unzip();
        let mut this = Rounds { pairs: pairs.len(), entries, chunks, sums: total(&sums) };
        this.merge();
        this
    }

    /// Overwrites the first vectors, which may be secret, as far as they are left; binding overwrites the rest.
    fn erase(&mut self) {
        let zero = L::zero();
        self.entries.iter_mut().flatten().for_each(|entry| entry.x = zero);
        std::hint::black_box(&self.entries);
    }

    fn left(&self) -> usize {
        self.entries.first().map_or(1, Vec::len)
    }

    /// Puts chunks of a single index together; that may be the first time that two indices of theirs form a round.
    fn merge(&mut self) {
        if self.chunks == 1 || self.left() > 1 {
            return;
        }
        let merged = self.entries.chunks_exact(self.chunks).map(<[_]>::concat).collect();
        self.erase();
        self.entries = merged;
        self.chunks = 1;
        let mut sums = [L::zero(); 2];
        L::enter(
            #[inline(always)]
            || sums = sums_of(&self.entries),
        );
        self.sums = total(&[sums]);
    }

    fn bind(&mut self, rho: &Fp) {
        let half = self.left() / 2;
        let threads = threads_for(self.entries.len() * half * ROUND * L::COST);
        let word = L::Word::new(rho);
        let at_once = self.entries.len().div_ceil(2 * pieces_for(threads)).max(1);
        let tasks = self.entries.chunks_mut(at_once).collect();
        let sums = map_owned(tasks, threads, |chunks: &mut [Vec<Entry<L>>]| {
            let sums = L::enter(
                #[inline(always)]
                || bind_all(&word, half, chunks),
            );
            chunks.iter_mut().for_each(|chunk| chunk.truncate(half));
            sums
        });
        self.sums = total(&sums);
        self.merge();
    }

    fn ends(&self) -> Vec<Fp> {
        let mut words = vec![[L::Word::default(); LANES]; self.entries.len()];
        L::enter(
            #[inline(always)]
            || {
                for (entries, words) in self.entries.iter().zip(&mut words) {
                    entries[0].u.store(words);
                }
            },
        );
        words.as_flattened().iter().take(self.pairs).map(L::Word::get).collect()
    }
}

/// Reads every so many indices from one on; returns the sums of the first round. A single entry has no round.
#[inline(always)]
fn read_all<L: Lanes<Element = Fp>>(
    reader: &Reader<'_>,
    first: usize,
    step: usize,
    entries: &mut [Entry<L>],
) -> [L; 2] {
    let zero = Fp::ZERO;
    let mut sums = Sums::new();
    let half = entries.len() / 2;
    for i in 0..entries.len() - half {
        entries[i] = reader.read(&zero, first + i * step);
        if i < half {
            entries[i + half] = reader.read(&zero, first + (i + half) * step);
            sums.add(&entries[i], &entries[i + half]);
        }
    }
    sums.finish()
}

#[inline(always)]
fn sums_of<L: Lanes>(chunks: &[Vec<Entry<L>>]) -> [L; 2] {
    let mut sums = Sums::new();
    for entries in chunks {
        let half = entries.len() / 2;
        for i in 0..half {
            sums.add(&entries[i], &entries[i + half]);
        }
    }
    sums.finish()
}

/// Binds the most significant variable of `2 half` indices; returns the sums of the next round.
#[inline(always)]
fn bind_all<L: Lanes>(rho: &L::Word, half: usize, chunks: &mut [Vec<Entry<L>>]) -> [L; 2] {
    let rho = L::splat(rho);
    let (quarter, zero) = (half / 2, L::zero());
    let mut sums = Sums::new();
    for entries in chunks {
        for i in 0..half - quarter {
            entries[i] = bound(&entries[i], &entries[i + half], rho);
            if i < quarter {
                entries[i + quarter] = bound(&entries[i + quarter], &entries[i + quarter + half], rho);
                sums.add(&entries[i], &entries[i + quarter]);
            }
        }
        for i in half..2 * half {
            entries[i].x = zero;
        }
    }
    sums.finish()
}

#[inline(always)]
fn bound<L: Lanes>(low: &Entry<L>, high: &Entry<L>, rho: L) -> Entry<L> {
    Entry { x: low.x.add(high.x.sub(low.x).mul(rho)), u: low.u.add(high.u.sub(low.u).mul(rho)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::best;
    use crate::multilinear::bind_top;
    use crate::parallel::on_one_and_two_threads;
    use crate::small::from_i64;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};

    /// Vectors of which a part is given.
    struct Case {
        field: Vec<Fp>,
        wide: Vec<i64>,
        narrow: Vec<i16>,
        kind: usize,
        u: Vec<Fp>,
        first: usize,
    }

    impl Case {
        fn pair(&self) -> Pair<'_> {
            let x = match self.kind {
                0 => Entries::Field(&self.field),
                1 => Entries::Wide(&self.wide),
                _ => Entries::Narrow(&self.narrow),
            };
            Pair { x, u: &self.u, first: self.first }
        }

        /// Both vectors in full.
        fn vectors(&self, len: usize) -> (Vec<Fp>, Vec<Fp>) {
            let mut x: Vec<Fp> = match self.kind {
                0 => self.field.clone(),
                1 => self.wide.iter().map(|&v| from_i64(v)).collect(),
                _ => self.narrow.iter().map(|&v| from_i64(v.into())).collect(),
            };
            x.resize(len, Fp::ZERO);
            let mut u = vec![Fp::ZERO; len];
            u[self.first..self.first + self.u.len()].copy_from_slice(&self.u);
            (x, u)
        }
    }

    /// Pairs of all kinds; some are whole, the others have vectors of which a part is 0.
    fn cases(count: usize, len: usize, mixed: bool) -> Vec<Case> {
        let mut rng = ChaCha20Rng::seed_from_u64((count * len) as u64);
        (0..count)
            .map(|i| {
                let mut below = |bound: usize| rng.next_u32() as usize % bound;
                let whole = i % 2 == 0;
                let entries = if whole { len } else { below(len + 1) };
                let first = if whole { 0 } else { below(len + 1) };
                let end = if whole { len } else { first + below(len - first + 1) };
                let kind = if mixed { below(3) } else { i / LANES % 3 };
                let ends = [i64::MIN, i64::MAX, -1];
                Case {
                    field: (0..entries).map(|_| Fp::random(&mut rng)).collect(),
                    wide: (0..entries)
                        .map(|j| ends.get(j).copied().unwrap_or(rng.next_u64() as i64))
                        .collect(),
                    narrow: (0..entries)
                        .map(|j| [i16::MIN, i16::MAX].get(j).copied().unwrap_or(rng.next_u32() as i16))
                        .collect(),
                    kind,
                    u: (first..end).map(|_| Fp::random(&mut rng)).collect(),
                    first,
                }
            })
            .collect()
    }

    /// The sums of all rounds, and the ends.
    type Run = (Vec<(Fp, Fp)>, Vec<Fp>);

    fn challenges(variables: usize) -> Vec<Fp> {
        (0..variables as u64).map(|i| Fp::from(3 + i).invert().unwrap()).collect()
    }

    fn run(backend: Backend, cases: &[Case], variables: usize) -> Run {
        let pairs: Vec<Pair<'_>> = cases.iter().map(Case::pair).collect();
        let mut rounds = InnerProducts::on(backend, &pairs, variables);
        let mut sums = vec![rounds.sums()];
        for rho in challenges(variables) {
            rounds.bind(&rho);
            sums.push(rounds.sums());
        }
        (sums, rounds.ends())
    }

    /// The same by the definitions.
    fn expected(cases: &[Case], variables: usize) -> Run {
        let mut vectors: Vec<(Vec<Fp>, Vec<Fp>)> =
            cases.iter().map(|case| case.vectors(1 << variables)).collect();
        let round = |vectors: &[(Vec<Fp>, Vec<Fp>)]| {
            let mut sums = (Fp::ZERO, Fp::ZERO);
            for (x, u) in vectors {
                let half = x.len() / 2;
                for t in 0..half {
                    sums.0 += x[t] * u[t];
                    sums.1 += (x[t + half] - x[t]) * (u[t + half] - u[t]);
                }
            }
            sums
        };
        let mut sums = vec![round(&vectors)];
        for rho in challenges(variables) {
            for (x, u) in &mut vectors {
                bind_top(x, rho);
                bind_top(u, rho);
            }
            sums.push(round(&vectors));
        }
        (sums, vectors.iter().map(|(_, u)| u[0]).collect())
    }

    #[test]
    fn rounds_are_those_of_the_definition() {
        for variables in [0, 1, 2, 3, 5, 9] {
            for count in [0, 1, 7, 8, 9, 27] {
                for mixed in [false, true] {
                    let cases = cases(count, 1 << variables, mixed);
                    let expected = expected(&cases, variables);
                    for backend in [Backend::Portable, best()] {
                        assert_eq!(
                            run(backend, &cases, variables),
                            expected,
                            "{count} of 2^{variables}, {backend:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn one_and_two_threads_agree() {
        let cases = cases(41, 1 << 9, true);
        let [one, two] = on_one_and_two_threads(|| run(best(), &cases, 9));
        assert_eq!(one, two);
        assert_eq!(one, expected(&cases, 9));
    }

    #[test]
    #[should_panic(expected = "5 entries of 2^2")]
    fn too_many_entries() {
        InnerProducts::new(&[Pair { x: Entries::Narrow(&[]), u: &[Fp::ONE; 3], first: 2 }], 2);
    }
}
