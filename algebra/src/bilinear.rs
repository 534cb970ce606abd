//! The sum-check over a sum of products of two vectors each, over batch variables with the weights `eq` and then over summed ones.
//!
//! Source: J. Thaler, "Time-optimal interactive proofs for circuit evaluation" (2013), section 5; the weights stay outside of the
//! round polynomial as in A. Gruen, "Some improvements for the PIOP for ZeroCheck" (2024), section 3. Where both vectors are small
//! integers, so are the products of the first round: S. Bagad, Y. Domb, J. Thaler, "The sum-check protocol over fields of small
//! characteristic" (2024), section 4.

use crate::Fp;
use crate::backend::{Backend, backend};
use crate::lanes::{LANES, Lanes, Portable, Vector, Word};
use crate::multilinear::{bind_top, eq_table, suffix_tables};
use crate::parallel::{map_on, map_owned, pieces_for, ranges, threads_for};
use crate::rounds::{On, WeightedSums, Weights, blocks_of, elements, on, piece_len, total};
use crate::small::{Coefficients, fold_columns_on, from_i64};
use ff::Field;
use std::ops::Range;

/// Entries of the shortest vectors that are kept in lanes.
const SMALLEST: usize = 4 * LANES;

/// Variables whose weights the integers of a first round are summed with at once.
const LOW: usize = 10;

/// The products of a first round are those of integers where their magnitudes' product is at most this, none counted as less than 1:
/// then differences of entries and four times that are `i64`s.
const MOST: u128 = 1 << 60;

/// Nanoseconds for one block of a pair of vectors in vector lanes, to decide about threads: a round, and its binding; the same
/// where the entries are integers.
const ROUND: usize = 100;
const BIND: usize = 60;
const INTEGERS: usize = 30;
const BIND_INTEGERS: usize = 150;

/// One vector of a pair: `2^(batch + sum)` entries, index of the batch high.
#[derive(Debug, Clone)]
pub enum Operand {
    /// Field elements.
    Field(Vec<Fp>),
    /// Integers.
    Integers(Vec<i64>),
}

impl Operand {
    fn len(&self) -> usize {
        match self {
            Operand::Field(entries) => entries.len(),
            Operand::Integers(entries) => entries.len(),
        }
    }

    fn into_elements(self) -> Vec<Fp> {
        match self {
            Operand::Field(entries) => entries,
            Operand::Integers(entries) => entries.into_iter().map(from_i64).collect(),
        }
    }

    fn into_blocks<L: Lanes<Element = Fp>>(self) -> Vec<L> {
        match self {
            Operand::Field(entries) => blocks_of(&entries),
            Operand::Integers(entries) => {
                let mut blocks = Vec::with_capacity(entries.len() / LANES);
                L::enter(
                    #[inline(always)]
                    || {
                        for entries in entries.as_chunks::<LANES>().0 {
                            blocks.push(L::integers(entries));
                        }
                    },
                );
                blocks
            }
        }
    }
}

/// One product: `sum_b eq(batch point, b) sum_k a(b, k) c(b, k)`, times a coefficient.
#[derive(Debug, Clone)]
pub struct Summand {
    /// One vector.
    pub a: Operand,
    /// The other.
    pub c: Operand,
    /// Batch variables: the last of all batch variables.
    pub batch: usize,
    /// Summed variables: the last of all summed variables.
    pub sum: usize,
    /// Coefficient in the phase over the batch variables, and in that over the summed ones.
    pub coefficients: [Fp; 2],
}

/// The sum-check over a sum of [`Summand`]s, in progress.
#[derive(Debug)]
pub struct Bilinear(On<Rounds<Portable<Fp>>, Rounds<Vector<Fp>>>);

impl Bilinear {
    /// The sum-check that binds the batch variables, as many as `batch_point` has, and then the summed ones.
    ///
    /// # Panics
    /// If a vector does not have `2^(batch + sum)` entries, or has more batch variables than the point.
    pub fn new(summands: Vec<Summand>, batch_point: &[Fp]) -> Self {
        Self::on(backend(), summands, batch_point)
    }

    /// [`Bilinear::new`] for a given backend, the portable one if the processor lacks it.
    ///
    /// # Panics
    /// As [`Bilinear::new`].
    pub fn on(backend: Backend, summands: Vec<Summand>, batch_point: &[Fp]) -> Self {
        for summand in &summands {
            let len = 1 << (summand.batch + summand.sum);
            assert_eq!((summand.a.len(), summand.c.len()), (len, len), "entries of both vectors");
            assert!(summand.batch <= batch_point.len(), "a coordinate for each batch variable");
        }
        Bilinear(match backend.or_portable() {
            Backend::Portable => On::Portable(Rounds::new(Backend::Portable, summands, batch_point)),
            Backend::Ifma => On::Vector(Rounds::new(Backend::Ifma, summands, batch_point)),
        })
    }

    /// Of the polynomial `h(X)` of this round: the coefficients of `X` and of `X^2`. In the phase over the batch variables, the
    /// weights are `eq` at the later variables only.
    pub fn sums(&self) -> (Fp, Fp) {
        on!(&self.0, rounds => rounds.sums())
    }

    /// Binds the round's variable, the most significant that is left in the phase.
    ///
    /// # Panics
    /// If none is left.
    pub fn bind(&mut self, rho: &Fp) {
        on!(&mut self.0, rounds => rounds.bind(rho));
    }

    /// Passes from the batch variables to the summed ones.
    ///
    /// # Panics
    /// If a batch variable is left, or it has been done.
    pub fn begin_sum_phase(&mut self) {
        on!(&mut self.0, rounds => rounds.begin_sum_phase());
    }

    /// What is left of both vectors of each summand.
    ///
    /// # Panics
    /// Before the last round.
    pub fn ends(&self) -> Vec<(Fp, Fp)> {
        on!(&self.0, rounds => rounds.products.iter().map(Product::ends).collect())
    }
}

#[derive(Debug)]
struct Rounds<L: Lanes> {
    backend: Backend,
    products: Vec<Product<L>>,
    batch_phase: bool,
    /// Variables left in the phase.
    left: usize,
    sum_variables: usize,
    /// For products in lanes without summed variables, with the most batch variables of any.
    weights: Option<(usize, Weights<L>)>,
    /// For the other products: tables of `eq` at the suffixes of the batch point, shortest first.
    suffixes: Vec<Vec<Fp>>,
}

#[derive(Debug)]
struct Product<L> {
    /// Both vectors, in the same form.
    a: Entries<L>,
    c: Entries<L>,
    batch: usize,
    sum: usize,
    coefficients: [Fp; 2],
    /// For integers: `eq` at the last variables, and at those before them but the first.
    first_round: Option<(Coefficients, Vec<Fp>)>,
}

#[derive(Debug)]
enum Entries<L> {
    /// Before the first round.
    Integers(Vec<i64>),
    /// At least two blocks.
    Blocks(Vec<L>),
    Elements(Vec<Fp>),
}

/// How the indices of a round in lanes are weighted.
enum Weighting<'w, L: Lanes> {
    /// Each by its own.
    Each(&'w Weights<L>),
    /// Runs of so many blocks by one.
    Runs(usize, &'w [Fp]),
    /// By 1.
    Same,
}

/// A part of a round over one product; ranges are of rows, and of blocks.
enum Task<'t, L: Lanes> {
    Integers([&'t [i64]; 2], &'t (Coefficients, Vec<Fp>), Range<usize>),
    Blocks([&'t [L]; 2], Weighting<'t, L>, Range<usize>),
    /// With the entries that share a weight, and the weights.
    Elements([&'t [Fp]; 2], usize, &'t [Fp]),
}

impl<L: Lanes<Element = Fp>> Rounds<L> {
    fn new(backend: Backend, summands: Vec<Summand>, batch_point: &[Fp]) -> Self {
        let products: Vec<Product<L>> =
            summands.into_iter().map(|summand| Product::new(summand, batch_point)).collect();
        let longest = |each: bool| {
            let own = products.iter().filter(|product| product.in_lanes() && product.sum == 0);
            let others = products.iter().filter(|product| !product.in_lanes() || product.sum > 0);
            if each { own.map(|p| p.batch).max() } else { others.map(|p| p.batch).max() }
        };
        let last = |variables: usize| &batch_point[batch_point.len() - variables..];
        let weights = longest(true).map(|variables| (variables, Weights::new(last(variables))));
        // In the end, all products are less than a block.
        let fewest = LANES.trailing_zeros() as usize;
        let others = longest(false).unwrap_or(0).max(fewest).min(batch_point.len());
        let sum_variables = products.iter().map(|product| product.sum).max().unwrap_or(0);
        Rounds {
            backend,
            products,
            batch_phase: true,
            left: batch_point.len(),
            sum_variables,
            weights,
            suffixes: suffix_tables(last(others)),
        }
    }

    fn begin_sum_phase(&mut self) {
        assert!(self.batch_phase && self.left == 0, "the batch variables come first");
        (self.batch_phase, self.left) = (false, self.sum_variables);
    }

    /// Whether a product depends on the variable of this round.
    fn is_active(&self, product: &Product<L>) -> bool {
        self.left <= if self.batch_phase { product.batch } else { product.sum }
    }

    fn sums(&self) -> (Fp, Fp) {
        if self.left == 0 {
            return (Fp::ZERO, Fp::ZERO);
        }
        let active = || self.products.iter().filter(|product| self.is_active(product));
        let threads = threads_for(active().map(|product| product.a.cost([ROUND, INTEGERS])).sum());
        let tasks: Vec<(Fp, Task<'_, L>)> =
            active().flat_map(|product| self.tasks(product, threads)).collect();
        let sums = map_on(&tasks, threads, |(coefficient, task)| {
            let (h1, h2) = task.run(self.backend);
            (*coefficient * h1, *coefficient * h2)
        });
        sums.into_iter().fold((Fp::ZERO, Fp::ZERO), |(h1, h2), (own1, own2)| (h1 + own1, h2 + own2))
    }

    /// The parts of this round over one product, with its coefficient.
    fn tasks<'t>(&'t self, product: &'t Product<L>, threads: usize) -> Vec<(Fp, Task<'t, L>)> {
        let tasks: Vec<Task<'t, L>> = match (&product.a, &product.c, &product.first_round) {
            (Entries::Integers(a), Entries::Integers(c), Some(weights)) => {
                let rows = weights.1.len();
                let piece = |rows| Task::Integers([a, c], weights, rows);
                ranges(rows, rows.div_ceil(pieces_for(threads)).min(ROWS)).into_iter().map(piece).collect()
            }
            (Entries::Blocks(a), Entries::Blocks(c), _) => {
                let half = a.len() / 2;
                let weighting = || match &self.weights {
                    _ if !self.batch_phase => Weighting::Same,
                    Some((_, weights)) if product.sum == 0 => Weighting::Each(weights),
                    _ => Weighting::Runs((1 << product.sum) / LANES, &self.suffixes[self.left - 1]),
                };
                let piece = |range| Task::Blocks([a, c], weighting(), range);
                ranges(half, piece_len(half, threads)).into_iter().map(piece).collect()
            }
            (Entries::Elements(a), Entries::Elements(c), _) => {
                let (run, weights) = match self.batch_phase {
                    true => (1 << product.sum, &self.suffixes[self.left - 1][..]),
                    false => (a.len(), &[Fp::ONE][..]),
                };
                vec![Task::Elements([a, c], run, weights)]
            }
            _ => unreachable!("both vectors of a product are in the same form"),
        };
        let coefficient = product.coefficients[usize::from(!self.batch_phase)];
        tasks.into_iter().map(|task| (coefficient, task)).collect()
    }

    fn bind(&mut self, rho: &Fp) {
        let left = self.left.checked_sub(1).expect("a variable is left");
        let active: Vec<bool> = self.products.iter().map(|product| self.is_active(product)).collect();
        let bound = self.products.iter_mut().zip(active).filter(|(_, active)| *active);
        let vectors: Vec<&mut Entries<L>> =
            bound.flat_map(|(product, _)| [&mut product.a, &mut product.c]).collect();
        let threads = threads_for(vectors.iter().map(|vector| vector.cost([BIND, BIND_INTEGERS])).sum());
        map_owned(vectors, threads, |vector| vector.bind(rho));
        if let Some((variables, weights)) = &mut self.weights
            && self.batch_phase
            && self.left <= *variables
        {
            weights.pop();
        }
        self.left = left;
    }
}

impl<L: Lanes<Element = Fp>> Product<L> {
    fn new(summand: Summand, batch_point: &[Fp]) -> Self {
        let Summand { a, c, batch, sum, coefficients } = summand;
        let magnitude = |entries: &[i64]| {
            entries.iter().map(|v| v.unsigned_abs()).max().map_or(1, |most| u128::from(most.max(1)))
        };
        // The entries under one batch index are whole blocks, or one, or all.
        let in_lanes = a.len() >= SMALLEST && (sum == 0 || batch == 0 || 1 << sum >= LANES);
        let mut first_round = None;
        let (a, c) = match (a, c) {
            (Operand::Integers(a), Operand::Integers(c))
                if in_lanes && sum == 0 && magnitude(&a) * magnitude(&c) <= MOST =>
            {
                let point = &batch_point[batch_point.len() - batch + 1..];
                let (high, low) = point.split_at(point.len().saturating_sub(LOW));
                first_round = Some((Coefficients::new(&eq_table(low)), eq_table(high)));
                (Entries::Integers(a), Entries::Integers(c))
            }
            (a, c) if in_lanes => (Entries::Blocks(a.into_blocks()), Entries::Blocks(c.into_blocks())),
            (a, c) => (Entries::Elements(a.into_elements()), Entries::Elements(c.into_elements())),
        };
        Product { a, c, batch, sum, coefficients, first_round }
    }

    fn in_lanes(&self) -> bool {
        !matches!(self.a, Entries::Elements(_))
    }

    fn ends(&self) -> (Fp, Fp) {
        match (&self.a, &self.c) {
            (Entries::Elements(a), Entries::Elements(c)) if a.len() == 1 => (a[0], c[0]),
            _ => panic!("rounds are left"),
        }
    }
}

impl<L: Lanes<Element = Fp>> Entries<L> {
    /// Nanoseconds for a vector, given those for a block in vector lanes and for one of integers.
    fn cost(&self, [blocks, integers]: [usize; 2]) -> usize {
        match self {
            Entries::Integers(entries) => entries.len() / LANES * integers,
            Entries::Blocks(entries) => entries.len() * blocks * L::COST,
            Entries::Elements(entries) => entries.len() * blocks / LANES * Portable::<Fp>::COST,
        }
    }

    fn bind(&mut self, rho: &Fp) {
        let challenge = [L::Word::new(&(Fp::ONE - rho)), L::Word::new(rho)];
        match self {
            Entries::Integers(entries) => {
                let (low, high) = entries.split_at(entries.len() / 2);
                let (low, high) = (low.as_chunks::<LANES>().0, high.as_chunks::<LANES>().0);
                let mut blocks = Vec::with_capacity(low.len());
                L::enter(
                    #[inline(always)]
                    || {
                        let [zero, one] = challenge.each_ref().map(L::splat);
                        for (low, high) in low.iter().zip(high) {
                            blocks.push(L::mul_add(L::integers(low), zero, L::integers(high), one));
                        }
                    },
                );
                *self = Entries::Blocks(blocks);
            }
            Entries::Blocks(blocks) => {
                let half = blocks.len() / 2;
                let (low, high) = blocks.split_at_mut(half);
                L::enter(
                    #[inline(always)]
                    || {
                        let [zero, one] = challenge.each_ref().map(L::splat);
                        for (low, high) in low.iter_mut().zip(high) {
                            *low = L::mul_add(*low, zero, *high, one);
                        }
                    },
                );
                blocks.truncate(half);
                if half == 1 {
                    *self = Entries::Elements(elements(blocks));
                }
            }
            Entries::Elements(entries) => bind_top(entries, *rho),
        }
    }
}

impl<L: Lanes<Element = Fp>> Task<'_, L> {
    /// The coefficients of `X` and `X^2`.
    fn run(&self, backend: Backend) -> (Fp, Fp) {
        match self {
            Task::Integers(vectors, weights, rows) => integer_sums(backend, vectors, weights, rows),
            Task::Blocks([a, c], weighting, range) => {
                let half = a.len() / 2;
                let pairs = [a.split_at(half), c.split_at(half)];
                let sums = L::enter(
                    #[inline(always)]
                    || block_sums(&pairs, weighting, range.clone()),
                );
                total(&[sums])
            }
            Task::Elements([a, c], run, weights) => {
                let half = a.len() / 2;
                let mut sums = (Fp::ZERO, Fp::ZERO);
                for (start, weight) in (0..half).step_by(*run).zip(*weights) {
                    let mut own = (Fp::ZERO, Fp::ZERO);
                    for x in start..half.min(start + run) {
                        let [a1, c1] = [a[half + x] - a[x], c[half + x] - c[x]];
                        own.0 += a[x] * c1 + a1 * c[x];
                        own.1 += a1 * c1;
                    }
                    sums.0 += weight * own.0;
                    sums.1 += weight * own.1;
                }
                sums
            }
        }
    }
}

/// Rows of a first round whose products are there at once.
const ROWS: usize = 16;

/// The sums over some rows of a first round, whose products are integers.
fn integer_sums(
    backend: Backend,
    [a, c]: &[&[i64]; 2],
    (low, high): &(Coefficients, Vec<Fp>),
    rows: &Range<usize>,
) -> (Fp, Fp) {
    let (half, width) = (a.len() / 2, low.len());
    let mut products = Vec::with_capacity(2 * rows.len() * width);
    for row in rows.clone() {
        let range = row * width..(row + 1) * width;
        let (a0, a1) = (&a[range.clone()], &a[half..][range.clone()]);
        let (c0, c1) = (&c[range.clone()], &c[half..][range.clone()]);
        products.extend((0..width).map(|x| a0[x] * (c1[x] - c0[x]) + (a1[x] - a0[x]) * c0[x]));
        products.extend((0..width).map(|x| (a1[x] - a0[x]) * (c1[x] - c0[x])));
    }
    let sums = fold_columns_on(backend, low, &products, width);
    let mut total = (Fp::ZERO, Fp::ZERO);
    for (weight, [h1, h2]) in high[rows.clone()].iter().zip(sums.as_chunks::<2>().0) {
        total.0 += *weight * h1;
        total.1 += *weight * h2;
    }
    total
}

#[inline(always)]
fn block_sums<L: Lanes<Element = Fp>>(
    [(a0, a1), (c0, c1)]: &[(&[L], &[L]); 2],
    weighting: &Weighting<'_, L>,
    range: Range<usize>,
) -> [L; 2] {
    let mut sums = [L::zero(); 2];
    match weighting {
        Weighting::Each(weights) => {
            let mut sums = WeightedSums::new(weights, range.start);
            for x in range {
                let (a, c) = (a1[x].sub(a0[x]), c1[x].sub(c0[x]));
                sums.add([L::mul_add(a0[x], c, a, c0[x]), a.mul(c)]);
            }
            return sums.finish();
        }
        Weighting::Runs(run, weights) => {
            let mut start = range.start;
            while start < range.end {
                let end = range.end.min((start / run + 1) * run);
                let weight = L::splat(&L::Word::new(&weights[start / run]));
                let own = run_sums([(&a0[start..end], &a1[start..end]), (&c0[start..end], &c1[start..end])]);
                for i in 0..2 {
                    sums[i] = sums[i].add(own[i].mul(weight));
                }
                start = end;
            }
        }
        Weighting::Same => {
            let (start, end) = (range.start, range.end);
            sums = run_sums([(&a0[start..end], &a1[start..end]), (&c0[start..end], &c1[start..end])]);
        }
    }
    sums
}

/// The sums over blocks that have the weight 1.
#[inline(always)]
fn run_sums<L: Lanes<Element = Fp>>([(a0, a1), (c0, c1)]: [(&[L], &[L]); 2]) -> [L; 2] {
    let mut sums = [L::zero(); 2];
    // Each index adds two products to the first sum.
    for start in (0..a0.len()).step_by(L::SUMMANDS / 2) {
        let mut own = [L::no_sum(); 2];
        for x in start..a0.len().min(start + L::SUMMANDS / 2) {
            let (a, c) = (a1[x].sub(a0[x]), c1[x].sub(c0[x]));
            L::accumulate(&mut own[0], a0[x], c);
            L::accumulate(&mut own[0], a, c0[x]);
            L::accumulate(&mut own[1], a, c);
        }
        for i in 0..2 {
            sums[i] = sums[i].add(L::reduce(own[i]));
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::best;
    use crate::parallel::on_one_and_two_threads;
    use ff::PrimeField;
    use proptest::prelude::*;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};

    /// Variables of a summand, and for both vectors whether they are integers, of so many bits, or field elements.
    type Shape = (usize, usize, [Option<u32>; 2]);

    /// Stands for the bits of zeros.
    const ZEROS: u32 = u32::MAX;

    fn summands(shapes: &[Shape], seed: u64) -> Vec<Summand> {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        shapes
            .iter()
            .map(|&(batch, sum, bits)| {
                let [a, c] = bits.map(|bits| match bits {
                    Some(ZEROS) => Operand::Integers(vec![0; 1 << (batch + sum)]),
                    // The least and the greatest are there, too.
                    Some(bits) => Operand::Integers(
                        (0..1usize << (batch + sum))
                            .map(|x| match x % 5 {
                                0 => i64::MIN >> (63 - bits),
                                1 => !(i64::MIN >> (63 - bits)),
                                _ => rng.next_u64() as i64 >> (63 - bits),
                            })
                            .collect(),
                    ),
                    None => Operand::Field((0..1 << (batch + sum)).map(|_| Fp::random(&mut rng)).collect()),
                });
                let coefficients = [Fp::random(&mut rng), Fp::random(&mut rng)];
                Summand { a, c, batch, sum, coefficients }
            })
            .collect()
    }

    fn point(count: usize, seed: u64) -> Vec<Fp> {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        (0..count).map(|_| Fp::random(&mut rng)).collect()
    }

    /// All messages, and what is left.
    type Run = (Vec<(Fp, Fp)>, Vec<(Fp, Fp)>);

    fn variables(shapes: &[Shape]) -> (usize, usize) {
        shapes.iter().fold((0, 0), |(batch, sum), shape| (batch.max(shape.0), sum.max(shape.1)))
    }

    fn run(backend: Backend, shapes: &[Shape]) -> Run {
        let (batch, sum) = variables(shapes);
        let mut rounds = Bilinear::on(backend, summands(shapes, 1), &point(batch, 2));
        let mut messages = Vec::new();
        for rho in point(batch, 3) {
            messages.push(rounds.sums());
            rounds.bind(&rho);
        }
        rounds.begin_sum_phase();
        for rho in point(sum, 4) {
            messages.push(rounds.sums());
            rounds.bind(&rho);
        }
        (messages, rounds.ends())
    }

    /// The same by the definition: the round polynomial at 0, 1 and 2.
    fn expected(shapes: &[Shape]) -> Run {
        let (batch_variables, sum_variables) = variables(shapes);
        let batch_point = point(batch_variables, 2);
        let summands = summands(shapes, 1);
        let mut vectors: Vec<[Vec<Fp>; 2]> =
            summands.iter().map(|s| [s.a.clone().into_elements(), s.c.clone().into_elements()]).collect();
        let mut messages = Vec::new();
        let challenges = [point(batch_variables, 3), point(sum_variables, 4)];
        for (phase, challenges) in challenges.iter().enumerate() {
            for (round, rho) in challenges.iter().enumerate() {
                let left = challenges.len() - round;
                let mut h = [Fp::ZERO; 3];
                for (summand, vectors) in summands.iter().zip(&mut vectors) {
                    if [summand.batch, summand.sum][phase] < left {
                        continue;
                    }
                    let half = vectors[0].len() / 2;
                    // At the variables after this round's.
                    let later = if phase == 0 { batch_variables + 1 - left } else { batch_variables };
                    let eq = eq_table(&batch_point[later..]);
                    for (at, h) in h.iter_mut().enumerate() {
                        for x in 0..half {
                            let weight = if phase == 0 { eq[x >> summand.sum] } else { Fp::ONE };
                            let [a, c] =
                                vectors.each_ref().map(|v| v[x] + Fp::from(at as u64) * (v[half + x] - v[x]));
                            *h += summand.coefficients[phase] * weight * a * c;
                        }
                    }
                    vectors.iter_mut().for_each(|vector| bind_top(vector, *rho));
                }
                let h2 = (h[2] - h[1].double() + h[0]) * Fp::TWO_INV;
                messages.push((h[1] - h[0] - h2, h2));
            }
        }
        (messages, vectors.iter().map(|[a, c]| (a[0], c[0])).collect())
    }

    fn check(shapes: &[Shape]) {
        let expected = expected(shapes);
        for backend in [Backend::Portable, best()] {
            assert_eq!(run(backend, shapes), expected, "{shapes:?}, {backend:?}");
        }
    }

    #[test]
    fn rounds_are_those_of_the_definition() {
        check(&[]);
        check(&[(0, 0, [None; 2])]);
        // Every number of batch variables on which the form of the vectors changes, and of summed ones; integers whose products
        // are as large as they may be, and larger.
        for batch in 0..=12 {
            check(&[(batch, 0, [Some(1), Some(14)])]);
            check(&[(batch, 0, [Some(30), Some(30)])]);
            check(&[(batch, 0, [Some(31), Some(30)])]);
            check(&[(batch, 0, [Some(63), Some(63)])]);
            check(&[(batch, 0, [Some(3), None])]);
            // Zeros times anything.
            check(&[(batch, 0, [Some(ZEROS), Some(63)])]);
        }
        for batch in 0..4 {
            for sum in 0..9 {
                check(&[(batch, sum, [None; 2])]);
                check(&[(batch, sum, [Some(8), Some(8)])]);
            }
        }
        check(&[
            (6, 0, [Some(1), Some(9)]),
            (3, 5, [None; 2]),
            (11, 0, [Some(9), Some(1)]),
            (0, 7, [None; 2]),
        ]);
        check(&[(2, 2, [None; 2]), (9, 0, [None; 2]), (4, 1, [Some(4), None])]);
    }

    #[test]
    #[should_panic(expected = "a variable is left")]
    fn too_many_rounds() {
        let mut rounds = Bilinear::new(summands(&[(1, 0, [None; 2])], 1), &point(1, 2));
        for rho in point(2, 3) {
            rounds.bind(&rho);
        }
    }

    #[test]
    #[should_panic(expected = "the batch variables come first")]
    fn a_phase_too_early() {
        Bilinear::new(summands(&[(1, 1, [None; 2])], 1), &point(1, 2)).begin_sum_phase();
    }

    #[test]
    fn one_and_two_threads_agree() {
        let shapes =
            [(15, 0, [Some(1), Some(13)]), (14, 0, [None; 2]), (2, 13, [None; 2]), (0, 14, [None; 2])];
        let [one, two] = on_one_and_two_threads(|| run(best(), &shapes));
        assert_eq!(one, two);
        let [one, two] = on_one_and_two_threads(|| run(Backend::Portable, &shapes));
        assert_eq!(one, two);
        assert_eq!(one, run(best(), &shapes));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn any_summands(shapes in prop::collection::vec(
            (0usize..8, 0usize..5, [prop::option::of(0u32..64), prop::option::of(0u32..64)]),
            0..5,
        )) {
            check(&shapes);
        }
    }
}
