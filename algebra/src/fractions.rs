//! A binary tree of fractions, and the sum-checks over its layers.
//!
//! Source: S. Papini, U. Haböck, "Improving logarithmic derivative lookups using GKR" (2023), section 3; the weights
//! `eq(r, x)` stay outside of the round polynomial as in A. Gruen, "Some improvements for the PIOP for ZeroCheck" (2024),
//! section 3.
//!
//! A node is the sum of its two children, `(p0 q1 + p1 q0, q0 q1)`; the children of node `x` of a level of `2^j` nodes are the
//! nodes `x` and `x + 2^j` of the next. Leaves are given as numbers of entries of a dictionary, because most of them are rows of
//! a few tables. Leaves after the last are the fraction 0 / 1; they cost little.

use crate::Fp;
use crate::backend::{Backend, backend};
use crate::lanes::{LANES, Lanes, Portable, Vector, Word};
use crate::multilinear::{bind_top, suffix_tables};
use crate::parallel::{map_owned, pieces_for, ranges, threads_for};
use crate::rounds::{On, WeightedSums, Weights, blocks_of, elements, on, piece_len, split_off, total};
use ff::Field;
use std::collections::VecDeque;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Nodes of the smallest level that is kept in lanes: its halves are then two blocks each.
const SMALLEST: usize = 4 * LANES;

/// Nanoseconds for one block of a level in vector lanes, to decide about threads: parents, and a round with its binding.
const PARENT: usize = 100;
const ROUND: usize = 400;

/// The leaves of a tree.
#[derive(Debug)]
pub struct Leaves(On<LeavesOf<Portable<Fp>>, LeavesOf<Vector<Fp>>>);

impl Default for Leaves {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Debug)]
struct LeavesOf<L: Lanes> {
    dictionary: Vec<L::Word>,
    numerators: Vec<u32>,
    denominators: Vec<u32>,
}

impl Leaves {
    /// Entry of every dictionary: 0.
    pub const ZERO: u32 = 0;
    /// Entry of every dictionary: 1.
    pub const ONE: u32 = 1;

    /// No leaves yet, and a dictionary of 0 and 1.
    pub fn new() -> Self {
        Self::on(backend())
    }

    /// [`Leaves::new`] for a given backend, the portable one if the processor lacks it.
    pub fn on(backend: Backend) -> Self {
        Leaves(match backend.or_portable() {
            Backend::Portable => On::Portable(LeavesOf::new()),
            Backend::Ifma => On::Vector(LeavesOf::new()),
        })
    }

    /// Number of leaves.
    pub fn len(&self) -> usize {
        on!(&self.0, leaves => leaves.numerators.len())
    }

    /// Sets their number; new ones are 0 / 1.
    pub fn resize(&mut self, len: usize) {
        on!(&mut self.0, leaves => {
            leaves.numerators.resize(len, Leaves::ZERO);
            leaves.denominators.resize(len, Leaves::ONE);
        });
    }

    /// Whether there is no leaf.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds `value` to the dictionary; returns its entry.
    pub fn element(&mut self, value: &Fp) -> u32 {
        on!(&mut self.0, leaves => leaves.element(value))
    }

    /// Adds `constant + sum_i coefficients[i] * columns[i][row]` for every row to the dictionary; returns the entry of the first
    /// row, which the others follow.
    ///
    /// # Panics
    /// If the columns are not as many as the coefficients, or not equally long.
    pub fn rows(&mut self, constant: &Fp, coefficients: &[Fp], columns: &[&[i64]]) -> u32 {
        assert_eq!(coefficients.len(), columns.len(), "one coefficient per column");
        let rows = columns.first().map_or(0, |column| column.len());
        assert!(columns.iter().all(|column| column.len() == rows), "columns of equal length");
        on!(&mut self.0, leaves => leaves.rows(constant, coefficients, columns, rows))
    }

    /// The entries of all numerators and of all denominators, to be set.
    pub fn entries(&mut self) -> (&mut [u32], &mut [u32]) {
        on!(&mut self.0, leaves => (&mut leaves.numerators, &mut leaves.denominators))
    }

    /// Numerator and denominator of a leaf.
    ///
    /// # Panics
    /// If there is no such leaf, or it has no valid entries.
    pub fn get(&self, leaf: usize) -> (Fp, Fp) {
        on!(&self.0, leaves => {
            let [p, q] = [&leaves.numerators, &leaves.denominators]
                .map(|entries| leaves.dictionary[entries[leaf] as usize].get());
            (p, q)
        })
    }
}

impl<L: Lanes<Element = Fp>> LeavesOf<L> {
    fn new() -> Self {
        LeavesOf {
            dictionary: vec![L::Word::default(), L::Word::new(&Fp::ONE)],
            numerators: Vec::new(),
            denominators: Vec::new(),
        }
    }

    fn next_entry(&self) -> u32 {
        u32::try_from(self.dictionary.len()).expect("a dictionary has fewer than 2^32 entries")
    }

    fn element(&mut self, value: &Fp) -> u32 {
        let entry = self.next_entry();
        self.dictionary.push(L::Word::new(value));
        entry
    }

    fn rows(&mut self, constant: &Fp, coefficients: &[Fp], columns: &[&[i64]], rows: usize) -> u32 {
        let first = self.next_entry();
        let constant = L::Word::new(constant);
        let coefficients: Vec<L::Word> = coefficients.iter().map(L::Word::new).collect();
        let threads = threads_for(rows * (1 + columns.len()) * PARENT * L::COST / LANES);
        let start = self.dictionary.len();
        self.dictionary.resize(start + rows.next_multiple_of(LANES), L::Word::default());
        let (mut blocks, _) = self.dictionary[start..].as_chunks_mut::<LANES>();
        let pieces = ranges(blocks.len(), blocks.len().div_ceil(pieces_for(threads)));
        let tasks =
            pieces.into_iter().map(|piece| (piece.start, split_off(&mut blocks, piece.len()))).collect();
        map_owned(tasks, threads, |(start, blocks): (usize, &mut [_])| {
            L::enter(
                #[inline(always)]
                || combine_rows::<L>(&constant, &coefficients, columns, start * LANES, blocks),
            );
        });
        self.dictionary.truncate(start + rows);
        first
    }

    /// All leaves of a level of `2^variables`, one by one.
    fn few(&self, variables: usize) -> Level<L> {
        let get = |entries: &[u32], missing: Fp| {
            let own = entries.iter().map(|&entry| self.dictionary[entry as usize].get());
            let mut values: Vec<Fp> = own.collect();
            values.resize(1 << variables, missing);
            values
        };
        Level::Few { p: get(&self.numerators, Fp::ZERO), q: get(&self.denominators, Fp::ONE) }
    }

    /// Both halves of the leaves, `blocks` each.
    fn halves(&self, blocks: usize) -> Halves<L> {
        let second = self.numerators.len().div_ceil(LANES).saturating_sub(blocks);
        let threads = threads_for((blocks + second) * PARENT * L::COST / 2);
        Halves::new(
            blocks,
            second,
            threads,
            #[inline(always)]
            |x| self.leaf(x),
        )
    }
}

/// The nodes of a level, eight to a block.
trait Nodes<L>: Sync {
    /// The parents of block `x` and the block that is half a level after it.
    fn parent(&self, x: usize, half: usize) -> (L, L);
}

#[inline(always)]
fn sum<L: Lanes>((p0, q0): (L, L), (p1, q1): (L, L)) -> (L, L) {
    (L::mul_add(p0, q1, p1, q0), q0.mul(q1))
}

impl<L: Lanes<Element = Fp>> LeavesOf<L> {
    /// Numerators and denominators of block `x`.
    #[inline(always)]
    fn leaf(&self, x: usize) -> (L, L) {
        (gather(&self.dictionary, &self.numerators, Leaves::ZERO, x * LANES), self.denominator(x))
    }

    #[inline(always)]
    fn denominator(&self, x: usize) -> L {
        gather(&self.dictionary, &self.denominators, Leaves::ONE, x * LANES)
    }

    /// Whether all numerators of block `x` are 1, as those of look-ups are.
    #[inline(always)]
    fn is_one(&self, x: usize) -> bool {
        let end = (x + 1) * LANES;
        end <= self.numerators.len() && self.numerators[x * LANES..end] == [Leaves::ONE; LANES]
    }
}

impl<L: Lanes<Element = Fp>> Nodes<L> for LeavesOf<L> {
    #[inline(always)]
    fn parent(&self, x: usize, half: usize) -> (L, L) {
        if (x + half) * LANES >= self.numerators.len() {
            self.leaf(x)
        } else if self.is_one(x) && self.is_one(x + half) {
            let (q0, q1) = (self.denominator(x), self.denominator(x + half));
            (q0.add(q1), q0.mul(q1))
        } else {
            sum(self.leaf(x), self.leaf(x + half))
        }
    }
}

#[inline(always)]
fn combine_rows<L: Lanes<Element = Fp>>(
    constant: &L::Word,
    coefficients: &[L::Word],
    columns: &[&[i64]],
    first: usize,
    blocks: &mut [[L::Word; LANES]],
) {
    for (block, out) in blocks.iter_mut().enumerate() {
        let row = first + block * LANES;
        let mut sum = L::splat(constant);
        for (coefficient, column) in coefficients.iter().zip(columns) {
            let mut values = [0; LANES];
            let column = &column[row..column.len().min(row + LANES)];
            values[..column.len()].copy_from_slice(column);
            sum = sum.add(L::integers(&values).mul(L::splat(coefficient)));
        }
        sum.store(out);
    }
}

/// Looks up eight entries from number `first` on.
#[inline(always)]
fn gather<L: Lanes>(dictionary: &[L::Word], entries: &[u32], missing: u32, first: usize) -> L {
    let mut own = [missing; LANES];
    let entries = &entries[first.min(entries.len())..entries.len().min(first + LANES)];
    own[..entries.len()].copy_from_slice(entries);
    let [a, b, c, d, e, f, g, h] = own;
    L::load([
        &dictionary[a as usize],
        &dictionary[b as usize],
        &dictionary[c as usize],
        &dictionary[d as usize],
        &dictionary[e as usize],
        &dictionary[f as usize],
        &dictionary[g as usize],
        &dictionary[h as usize],
    ])
}

/// Numerators and denominators of one level.
#[derive(Debug)]
enum Level<L> {
    /// A small level.
    Few { p: Vec<Fp>, q: Vec<Fp> },
    /// A level of at least [`SMALLEST`] nodes.
    Many(Halves<L>),
}

/// The two halves of a level, eight nodes to a block.
#[derive(Debug)]
struct Halves<L> {
    /// Numerators and denominators of the first half, then of the second. The second half may be shorter, if what is missing
    /// is 0 / 1.
    vectors: [Vec<L>; 4],
    /// Blocks of a whole half.
    blocks: usize,
}

impl<L: Lanes<Element = Fp>> Halves<L> {
    /// Halves of `blocks` and of `second` blocks; `node` gives numerators and denominators of a block, counted through both.
    ///
    /// Memory that is filled here first is first touched here: that is most of the time, and is what threads share.
    fn new(
        blocks: usize,
        second: usize,
        threads: usize,
        node: impl Fn(usize) -> (L, L) + Send + Sync,
    ) -> Self {
        let lens = [blocks, blocks, second, second];
        let mut vectors = lens.map(Vec::with_capacity);
        let piece_len = (blocks + second).div_ceil(pieces_for(threads));
        let mut tasks = Vec::new();
        for (first, (vectors, len)) in
            vectors.as_chunks_mut::<2>().0.iter_mut().zip([blocks, second]).enumerate()
        {
            let [p, q] = vectors.each_mut().map(|vector| &mut vector.spare_capacity_mut()[..len]);
            let (mut p, mut q) = (p, q);
            for piece in ranges(len, piece_len) {
                let start = first * blocks + piece.start;
                tasks.push((start, split_off(&mut p, piece.len()), split_off(&mut q, piece.len())));
            }
        }
        map_owned(tasks, threads, |(start, p, q): (usize, &mut [MaybeUninit<L>], &mut [MaybeUninit<L>])| {
            L::enter(
                #[inline(always)]
                || {
                    for (x, (p, q)) in p.iter_mut().zip(q).enumerate() {
                        let (numerator, denominator) = node(start + x);
                        p.write(numerator);
                        q.write(denominator);
                    }
                },
            );
        });
        for (vector, len) in vectors.iter_mut().zip(lens) {
            // SAFETY: the vector was made with this capacity. The pieces cover its first `len` slots, and every task has written
            // both slots of each index of its piece, as `map_owned` has returned.
            #[allow(unsafe_code)]
            unsafe {
                vector.set_len(len);
            }
        }
        Halves { vectors, blocks }
    }
}

impl<L: Lanes<Element = Fp>> Nodes<L> for Halves<L> {
    #[inline(always)]
    fn parent(&self, x: usize, _half: usize) -> (L, L) {
        let [p0, q0, p1, q1] = &self.vectors;
        sum((p0[x], q0[x]), (p1[x], q1[x]))
    }
}

/// The level above one whose halves have `half` blocks.
fn parents<L: Lanes<Element = Fp>>(nodes: &impl Nodes<L>, half: usize) -> Halves<L> {
    Halves::new(
        half / 2,
        half / 2,
        threads_for(half * PARENT * L::COST),
        #[inline(always)]
        |x| nodes.parent(x, half),
    )
}

/// A tree of fractions, from the level below its root on.
#[derive(Debug)]
pub struct Tree(On<TreeOf<Portable<Fp>>, TreeOf<Vector<Fp>>>);

#[derive(Debug)]
struct TreeOf<L: Lanes> {
    /// Level `j` has `2^j` nodes; from level 1 on, without the leaves.
    levels: VecDeque<Level<L>>,
    /// The last level, looked up again when its turn comes: that takes less time than to keep it.
    leaves: Option<LeavesOf<L>>,
}

impl Tree {
    /// The tree of `2^variables` leaves, at least two.
    ///
    /// # Panics
    /// If there are more leaves than that, or one has an entry that is not in the dictionary.
    pub fn new(leaves: Leaves, variables: usize) -> Self {
        Tree(match leaves.0 {
            On::Portable(leaves) => On::Portable(TreeOf::new(leaves, variables)),
            On::Vector(leaves) => On::Vector(TreeOf::new(leaves, variables)),
        })
    }

    /// The children of the root: `p0, p1, q0, q1`. The level is used up.
    ///
    /// # Panics
    /// If it has been used up before.
    pub fn root(&mut self) -> [Fp; 4] {
        on!(&mut self.0, tree => tree.root())
    }

    /// The sum-check over the next level, which is used up: over `x` of `eq(point, x) (p0 q1 + q0 (p1 + lambda q1))`, at the
    /// children `p0 / q0` and `p1 / q1` of node `x`. `point` has as many variables as the level above.
    ///
    /// # Panics
    /// If no level is left or `point` has another number of variables.
    pub fn layer(&mut self, point: &[Fp], lambda: &Fp) -> Layer {
        Layer(match &mut self.0 {
            On::Portable(tree) => On::Portable(tree.layer(point, lambda)),
            On::Vector(tree) => On::Vector(tree.layer(point, lambda)),
        })
    }
}

impl<L: Lanes<Element = Fp>> TreeOf<L> {
    fn new(leaves: LeavesOf<L>, variables: usize) -> Self {
        assert!(variables >= 1, "a tree has at least two leaves");
        let len = leaves.numerators.len();
        assert!(len <= 1 << variables, "{len} leaves in a level of 2^{variables}");
        let mut levels = VecDeque::with_capacity(variables);
        let (kept, mut next) = if 1usize << variables < SMALLEST {
            (None, leaves.few(variables))
        } else {
            let half = (1 << variables) / (2 * LANES);
            let above = parents(&leaves, half).level();
            (Some(leaves), above)
        };
        let own = if kept.is_some() { variables - 1 } else { variables };
        for _ in 1..own {
            let above = next.parents();
            levels.push_front(next);
            next = above;
        }
        levels.push_front(next);
        TreeOf { levels, leaves: kept }
    }

    fn root(&mut self) -> [Fp; 4] {
        match self.levels.pop_front() {
            Some(Level::Few { p, q }) => [p[0], p[1], q[0], q[1]],
            _ => panic!("the tree has a level below the root"),
        }
    }

    fn layer(&mut self, point: &[Fp], lambda: &Fp) -> LayerOf<L> {
        let half = 1 << point.len();
        let level = self.levels.pop_front().unwrap_or_else(|| {
            let leaves = self.leaves.take().expect("the tree has a next level");
            Level::Many(leaves.halves(half / LANES))
        });
        match level {
            Level::Few { p, q } => {
                assert_eq!(p.len(), 2 * half, "one variable per halving of the level above");
                LayerOf::Few(Few::new(p, q, point, lambda))
            }
            Level::Many(halves) => {
                assert_eq!(halves.blocks * LANES, half, "one variable per halving of the level above");
                LayerOf::Many(Many::new(halves, point, lambda))
            }
        }
    }
}

impl<L: Lanes<Element = Fp>> Level<L> {
    /// The level above this one.
    fn parents(&self) -> Level<L> {
        match self {
            Level::Few { p, q } => {
                let half = p.len() / 2;
                let ((p0, p1), (q0, q1)) = (p.split_at(half), q.split_at(half));
                Level::Few {
                    p: (0..half).map(|x| p0[x] * q1[x] + p1[x] * q0[x]).collect(),
                    q: (0..half).map(|x| q0[x] * q1[x]).collect(),
                }
            }
            Level::Many(halves) => parents(halves, halves.blocks).level(),
        }
    }
}

impl<L: Lanes<Element = Fp>> Halves<L> {
    /// In the form for its size. Halves of odd numbers of blocks do not occur: a smaller level is not made of blocks.
    fn level(self) -> Level<L> {
        if 2 * self.blocks * LANES >= SMALLEST {
            return Level::Many(self);
        }
        let [p0, q0, p1, q1] = self.vectors.each_ref().map(|blocks| elements(blocks));
        Level::Few { p: [p0, p1].concat(), q: [q0, q1].concat() }
    }
}

/// A layer in progress: one round after the other.
#[derive(Debug)]
pub struct Layer(On<LayerOf<Portable<Fp>>, LayerOf<Vector<Fp>>>);

#[derive(Debug)]
enum LayerOf<L: Lanes> {
    Few(Few),
    Many(Many<L>),
}

impl Layer {
    /// Of the polynomial `h(X)` of this round: `h(1)`, and the coefficient of `X^2`.
    ///
    /// The summands with the round's variable at `X`, times `eq` at the later variables only.
    pub fn sums(&self) -> (Fp, Fp) {
        on!(&self.0, layer => match layer {
            LayerOf::Few(few) => few.sums(),
            LayerOf::Many(many) => many.sums,
        })
    }

    /// Binds the round's variable.
    pub fn bind(&mut self, rho: &Fp) {
        on!(&mut self.0, layer => {
            match layer {
                LayerOf::Few(few) => few.bind(rho),
                LayerOf::Many(many) if many.blocks > 2 => many.bind(rho),
                LayerOf::Many(many) => *layer = LayerOf::Few(many.last(rho)),
            }
        });
    }

    /// `p0, p1, q0, q1` at the bound point.
    ///
    /// # Panics
    /// Before the last round.
    pub fn end(&self) -> [Fp; 4] {
        on!(&self.0, layer => match layer {
            LayerOf::Few(few) => few.end(),
            LayerOf::Many(_) => panic!("rounds are left"),
        })
    }
}

/// A small layer, element by element.
#[derive(Debug)]
struct Few {
    /// `p0`, `p1 + lambda q1`, `q0`, `q1`.
    vectors: [Vec<Fp>; 4],
    lambda: Fp,
    /// Tables of `eq` at the suffixes of the point, longest last; used from the end.
    eq: Vec<Vec<Fp>>,
}

impl Few {
    fn new(mut p0: Vec<Fp>, mut q0: Vec<Fp>, point: &[Fp], lambda: &Fp) -> Self {
        let half = p0.len() / 2;
        let (mut p1, q1) = (p0.split_off(half), q0.split_off(half));
        for (p, q) in p1.iter_mut().zip(&q1) {
            *p += lambda * q;
        }
        Few { vectors: [p0, p1, q0, q1], lambda: *lambda, eq: suffix_tables(point) }
    }

    fn sums(&self) -> (Fp, Fp) {
        let [p0, p1, q0, q1] = &self.vectors;
        let half = p0.len() / 2;
        let eq = self.eq.last().map_or(&[][..], |eq| eq);
        let mut sums = (Fp::ZERO, Fp::ZERO);
        for (x, eq) in eq.iter().enumerate() {
            let d = |v: &[Fp]| v[half + x] - v[x];
            sums.0 += (p0[half + x] * q1[half + x] + q0[half + x] * p1[half + x]) * eq;
            sums.1 += (d(p0) * d(q1) + d(q0) * d(p1)) * eq;
        }
        sums
    }

    fn bind(&mut self, rho: &Fp) {
        for vector in &mut self.vectors {
            bind_top(vector, *rho);
        }
        self.eq.pop();
    }

    fn end(&self) -> [Fp; 4] {
        let [p0, p1, q0, q1] = self.vectors.each_ref().map(|vector| vector[0]);
        [p0, p1 - self.lambda * q1, q0, q1]
    }
}

/// A layer in blocks, at least two to a vector.
#[derive(Debug)]
struct Many<L: Lanes> {
    /// `p0`, `q0`, and `p1 + lambda q1`, `q1` as far as they are not constant.
    vectors: [Vec<L>; 4],
    /// Blocks of a whole vector.
    blocks: usize,
    lambda: Fp,
    /// What follows in a vector: `lambda` and 1 in the last two.
    tails: [L; 4],
    weights: Weights<L>,
    /// Of the round in progress.
    sums: (Fp, Fp),
}

/// Where a task finds and leaves the blocks of one vector in a round: those of the first quarter and, to be bound with them,
/// of the third; of the second and of the fourth.
struct Quarters<'v, L> {
    low: &'v mut [L],
    low_other: &'v [L],
    high: &'v mut [L],
    high_other: &'v [L],
}

impl<L: Lanes<Element = Fp>> Many<L> {
    fn new(halves: Halves<L>, point: &[Fp], lambda: &Fp) -> Self {
        let [one, tail] = [Fp::ONE, *lambda].map(|element| blocks_of(&[element; LANES])[0]);
        let mut layer = Many {
            vectors: halves.vectors,
            blocks: halves.blocks,
            lambda: *lambda,
            tails: [one, one, tail, one],
            weights: Weights::new(point),
            sums: (Fp::ZERO, Fp::ZERO),
        };
        layer.sums = layer.combine();
        layer
    }

    /// Adds `lambda q1` to `p1`, and sums for the first round.
    fn combine(&mut self) -> (Fp, Fp) {
        let half = self.blocks / 2;
        let threads = threads_for(half * ROUND * L::COST);
        let [p0, q0, p1, q1] = &mut self.vectors;
        let (p0, q0, q1) = (&*p0, &*q0, &*q1);
        let own = half.min(p1.len());
        let (mut low, mut high) = p1.split_at_mut(own);
        let mut tasks = Vec::new();
        for range in ranges(half, piece_len(half, threads)) {
            let p1 = (split_off(&mut low, range.len()), split_off(&mut high, range.len()));
            tasks.push((range, p1));
        }
        let (tails, weights) = (&self.tails, &self.weights);
        let sums = map_owned(tasks, threads, |(range, (low, high)): (Range<usize>, (&mut [L], &mut [L]))| {
            L::enter(
                #[inline(always)]
                || {
                    let [_, _, lambda, one] = *tails;
                    let mut sums = WeightedSums::new(weights, range.start);
                    for (at, x) in range.enumerate() {
                        let mut lows = [p0[x], q0[x], lambda, one];
                        let mut highs = [p0[half + x], q0[half + x], lambda, one];
                        if at < low.len() {
                            lows[3] = q1[x];
                            lows[2] = low[at].add(lambda.mul(q1[x]));
                            low[at] = lows[2];
                        }
                        if at < high.len() {
                            highs[3] = q1[half + x];
                            highs[2] = high[at].add(lambda.mul(q1[half + x]));
                            high[at] = highs[2];
                        }
                        sums.add(terms(&lows, &highs));
                    }
                    sums.finish()
                },
            )
        });
        total(&sums)
    }

    /// Binds the top variable and sums for the next round.
    fn bind(&mut self, rho: &Fp) {
        let half = self.blocks / 2;
        let quarter = half / 2;
        self.weights.pop();
        let threads = threads_for(quarter * ROUND * L::COST);
        let [mut a, mut b, mut c, mut d] = self.vectors.each_mut().map(|vector| {
            let len = vector.len();
            let (low, high) = vector.split_at_mut(half.min(len));
            let (low, second) = low.split_at_mut(quarter.min(len));
            let (low_other, high_other) = high.split_at(quarter.min(high.len()));
            Quarters { low, low_other, high: second, high_other }
        });
        let mut tasks = Vec::new();
        for range in ranges(quarter, piece_len(quarter, threads)) {
            let quarters = [&mut a, &mut b, &mut c, &mut d].map(|quarters| quarters.split_off(range.len()));
            tasks.push((range.start, range.len(), quarters));
        }
        let challenge = [L::Word::new(&(Fp::ONE - rho)), L::Word::new(rho)];
        let (tails, weights) = (&self.tails, &self.weights);
        let sums = map_owned(tasks, threads, |(start, len, quarters)| {
            L::enter(
                #[inline(always)]
                || bind_quarters(&challenge, tails, weights, start, len, quarters),
            )
        });
        for vector in &mut self.vectors {
            vector.truncate(half);
        }
        self.blocks = half;
        self.sums = total(&sums);
    }

    /// Binds the top variable of two blocks; what is left is small.
    fn last(&mut self, rho: &Fp) -> Few {
        let [mut p0, mut q0, mut p1, mut q1] = self.vectors.each_ref().map(|vector| elements(vector));
        p1.resize(2 * LANES, self.lambda);
        q1.resize(2 * LANES, Fp::ONE);
        for vector in [&mut p0, &mut q0, &mut p1, &mut q1] {
            bind_top(vector, *rho);
        }
        let eq = std::mem::take(&mut self.weights.few);
        Few { vectors: [p0, p1, q0, q1], lambda: self.lambda, eq }
    }
}

impl<'v, L> Quarters<'v, L> {
    /// The first `len` blocks of each.
    fn split_off(&mut self, len: usize) -> Quarters<'v, L> {
        let shared = |slice: &mut &'v [L]| {
            let (first, rest) = slice.split_at(len.min(slice.len()));
            *slice = rest;
            first
        };
        Quarters {
            low: split_off(&mut self.low, len),
            low_other: shared(&mut self.low_other),
            high: split_off(&mut self.high, len),
            high_other: shared(&mut self.high_other),
        }
    }
}

#[inline(always)]
fn bind_quarters<L: Lanes<Element = Fp>>(
    challenge: &[L::Word; 2],
    tails: &[L; 4],
    weights: &Weights<L>,
    start: usize,
    len: usize,
    mut quarters: [Quarters<'_, L>; 4],
) -> [L; 2] {
    let challenge = [L::splat(&challenge[0]), L::splat(&challenge[1])];
    let mut sums = WeightedSums::new(weights, start);
    for x in 0..len {
        let (mut lows, mut highs) = (*tails, *tails);
        for vector in 0..4 {
            let Quarters { low, low_other, high, high_other } = &mut quarters[vector];
            bind_block(low, low_other, x, &challenge, &mut lows[vector]);
            bind_block(high, high_other, x, &challenge, &mut highs[vector]);
        }
        sums.add(terms(&lows, &highs));
    }
    sums.finish()
}

/// Binds block `x` of `blocks` with that of `other`, in place. `value` is what is missing in either; it becomes the result.
#[inline(always)]
fn bind_block<L: Lanes>(blocks: &mut [L], other: &[L], x: usize, challenge: &[L; 2], value: &mut L) {
    if x < blocks.len() {
        let other = if x < other.len() { other[x] } else { *value };
        *value = L::mul_add(blocks[x], challenge[0], other, challenge[1]);
        blocks[x] = *value;
    }
}

/// The terms of eight indices; vectors in the order `p0`, `q0`, `p1 + lambda q1`, `q1`.
#[inline(always)]
fn terms<L: Lanes<Element = Fp>>(low: &[L; 4], high: &[L; 4]) -> [L; 2] {
    let [p0, q0, p1, q1] = *high;
    let at_one = L::mul_add(p0, q1, q0, p1);
    let (p0, q0, p1, q1) = (p0.sub(low[0]), q0.sub(low[1]), p1.sub(low[2]), q1.sub(low[3]));
    [at_one, L::mul_add(p0, q1, q0, p1)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::best;
    use crate::multilinear::eq_table;
    use crate::parallel::on_one_and_two_threads;
    use crate::small::from_i64;
    use ff::PrimeField;
    use proptest::prelude::*;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};

    /// Everything that a prover learns from a tree: the root's children, then for each layer all sums and the end.
    type Run = (Vec<[Fp; 4]>, Vec<(Fp, Fp)>);

    /// Leaves with random numerators in the first half of the dictionary and denominators in the second.
    fn leaves(backend: Backend, len: usize, seed: u64) -> Leaves {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let mut leaves = Leaves::on(backend);
        leaves.resize(len);
        let columns: Vec<Vec<i64>> = (0..3)
            .map(|i| {
                (0..19).map(|_| rng.next_u64() as i64 >> (20 * i)).chain([i64::MIN, i64::MAX, 0]).collect()
            })
            .collect();
        let columns: Vec<&[i64]> = columns.iter().map(Vec::as_slice).collect();
        let constants: Vec<Fp> = (0..5).map(|_| Fp::random(&mut rng)).collect();
        let first = leaves.rows(&constants[0], &constants[1..4], &columns);
        let last = leaves.element(&constants[4]);
        assert_eq!(last, first + 22);
        let (p, q) = leaves.entries();
        for (i, entry) in p.iter_mut().enumerate() {
            // Most are 1, as those of look-ups are.
            *entry = if i % 48 < 35 { Leaves::ONE } else { rng.next_u32() % (last + 1) };
        }
        for entry in q {
            *entry = first + rng.next_u32() % (last + 1 - first);
        }
        for row in 0..22 {
            let expected: Fp = columns.iter().zip(&constants[1..]).map(|(c, x)| from_i64(c[row]) * x).sum();
            let leaves = match &leaves.0 {
                On::Portable(leaves) => leaves.dictionary[first as usize + row].get(),
                On::Vector(leaves) => leaves.dictionary[first as usize + row].get(),
            };
            assert_eq!(leaves, constants[0] + expected);
        }
        leaves
    }

    fn challenges(count: usize, seed: u64) -> Vec<Fp> {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        (0..count).map(|_| Fp::random(&mut rng)).collect()
    }

    fn run(backend: Backend, len: usize, variables: usize) -> Run {
        let mut tree = Tree::new(leaves(backend, len, 1), variables);
        let (mut ends, mut sums) = (vec![tree.root()], Vec::new());
        for layer in 1..variables {
            let mut challenges = challenges(2 * layer + 1, layer as u64);
            let lambda = challenges.pop().expect("at least one");
            let (point, bound) = challenges.split_at(layer);
            let mut layer = tree.layer(point, &lambda);
            for rho in bound {
                sums.push(layer.sums());
                layer.bind(rho);
            }
            ends.push(layer.end());
        }
        (ends, sums)
    }

    /// The same by the definitions.
    fn expected(len: usize, variables: usize) -> Run {
        let leaves = leaves(Backend::Portable, len, 1);
        let get = |i: usize| if i < len { leaves.get(i) } else { (Fp::ZERO, Fp::ONE) };
        let (mut p, mut q): (Vec<Fp>, Vec<Fp>) = (0..1 << variables).map(get).unzip();
        let mut levels = vec![(p.clone(), q.clone())];
        while p.len() > 2 {
            let half = p.len() / 2;
            (p, q) = (0..half).map(|x| (p[x] * q[x + half] + p[x + half] * q[x], q[x] * q[x + half])).unzip();
            levels.push((p.clone(), q.clone()));
        }
        let (mut ends, mut sums) = (vec![[p[0], p[1], q[0], q[1]]], Vec::new());
        for (layer, (p, q)) in levels.into_iter().rev().enumerate().skip(1) {
            let mut challenges = challenges(2 * layer + 1, layer as u64);
            let lambda = challenges.pop().expect("at least one");
            let (point, bound) = challenges.split_at(layer);
            let half = p.len() / 2;
            let mut vectors: [Vec<Fp>; 4] =
                [p[..half].to_vec(), p[half..].to_vec(), q[..half].to_vec(), q[half..].to_vec()];
            for (round, rho) in bound.iter().enumerate() {
                let eq = eq_table(&point[round + 1..]);
                // The round polynomial at 0, 1 and 2.
                let [h0, h1, h2] = [0, 1, 2].map(|at| {
                    let at = Fp::from(at);
                    (0..eq.len())
                        .map(|x| {
                            let [p0, p1, q0, q1] =
                                vectors.each_ref().map(|v| v[x] + at * (v[x + eq.len()] - v[x]));
                            eq[x] * (p0 * q1 + q0 * (p1 + lambda * q1))
                        })
                        .sum::<Fp>()
                });
                sums.push((h1, (h2 - h1.double() + h0) * Fp::TWO_INV));
                for vector in &mut vectors {
                    bind_top(vector, *rho);
                }
            }
            ends.push(vectors.map(|vector| vector[0]));
        }
        (ends, sums)
    }

    #[test]
    fn trees_are_those_of_the_definition() {
        for variables in 1..10 {
            let size = 1usize << variables;
            for len in [0, 1, size / 2, size / 2 + 1, (size * 5 / 8 + 3).min(size), size - 1, size] {
                let expected = expected(len, variables);
                for backend in [Backend::Portable, best()] {
                    assert_eq!(run(backend, len, variables), expected, "{len} of 2^{variables}, {backend:?}");
                }
            }
        }
    }

    #[test]
    fn one_and_two_threads_agree() {
        for backend in [Backend::Portable, best()] {
            let [one, two] = on_one_and_two_threads(|| run(backend, 11_000, 14));
            assert_eq!(one, two);
        }
        assert_eq!(run(best(), 11_000, 14), run(Backend::Portable, 11_000, 14));
    }

    #[test]
    #[should_panic(expected = "9 leaves in a level of 2^3")]
    fn too_many_leaves() {
        let mut leaves = Leaves::new();
        leaves.resize(9);
        Tree::new(leaves, 3);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn random_lengths(len in 0usize..700) {
            let variables = crate::multilinear::variables(len).max(1);
            let expected = expected(len, variables);
            prop_assert_eq!(run(Backend::Portable, len, variables), expected.clone());
            prop_assert_eq!(run(best(), len, variables), expected);
        }
    }
}
