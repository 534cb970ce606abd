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
use ff::Field;
use std::collections::VecDeque;
use std::ops::Range;

/// Nodes of the smallest level that is kept in lanes: its halves are then two blocks each.
const SMALLEST: usize = 4 * LANES;

/// Nanoseconds for one block of a level, to decide about threads: parents, and a round with its binding.
const PARENT: usize = 100;
const ROUND: usize = 400;

/// The kernels of a value that was made for one of two kinds of lanes.
#[derive(Debug)]
enum On<P, V> {
    Portable(P),
    Vector(V),
}

macro_rules! on {
    ($value:expr, $inner:ident => $body:expr) => {
        match $value {
            On::Portable($inner) => $body,
            On::Vector($inner) => $body,
        }
    };
}

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
        let threads = threads_for(rows * (1 + columns.len()) * PARENT / LANES);
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

    /// The leaves of a level of `2^variables` nodes.
    fn level(&self, variables: usize) -> Level<L> {
        let len = self.numerators.len();
        assert!(len <= 1 << variables, "{len} leaves in a level of 2^{variables}");
        if 1usize << variables < SMALLEST {
            let get = |entries: &[u32], missing: Fp| {
                let own = entries.iter().map(|&entry| self.dictionary[entry as usize].get());
                let mut values: Vec<Fp> = own.collect();
                values.resize(1 << variables, missing);
                values
            };
            return Level::Few { p: get(&self.numerators, Fp::ZERO), q: get(&self.denominators, Fp::ONE) };
        }
        let blocks = len.div_ceil(LANES);
        let mut level = Blocks::new(blocks);
        let threads = threads_for(blocks * PARENT);
        let (mut p, mut q) = (&mut level.p[..], &mut level.q[..]);
        let pieces = ranges(blocks, blocks.div_ceil(pieces_for(threads)));
        let tasks = pieces
            .into_iter()
            .map(|piece| (piece.start, split_off(&mut p, piece.len()), split_off(&mut q, piece.len())))
            .collect();
        map_owned(tasks, threads, |(start, p, q): (usize, &mut [L], &mut [L])| {
            L::enter(
                #[inline(always)]
                || {
                    gather(&self.dictionary, &self.numerators, Leaves::ZERO, start * LANES, p);
                    gather(&self.dictionary, &self.denominators, Leaves::ONE, start * LANES, q);
                },
            );
        });
        Level::Many(level)
    }
}

/// The first `len` entries of a slice, which is left without them; fewer where it is shorter.
fn split_off<'a, T>(slice: &mut &'a mut [T], len: usize) -> &'a mut [T] {
    let len = len.min(slice.len());
    let (first, rest) = std::mem::take(slice).split_at_mut(len);
    *slice = rest;
    first
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

/// Looks up the entries from number `first` on.
#[inline(always)]
fn gather<L: Lanes>(dictionary: &[L::Word], entries: &[u32], missing: u32, first: usize, out: &mut [L]) {
    for (block, out) in out.iter_mut().enumerate() {
        let start = first + block * LANES;
        let mut own = [missing; LANES];
        let entries = &entries[start..entries.len().min(start + LANES)];
        own[..entries.len()].copy_from_slice(entries);
        let [a, b, c, d, e, f, g, h] = own;
        *out = L::load([
            &dictionary[a as usize],
            &dictionary[b as usize],
            &dictionary[c as usize],
            &dictionary[d as usize],
            &dictionary[e as usize],
            &dictionary[f as usize],
            &dictionary[g as usize],
            &dictionary[h as usize],
        ]);
    }
}

/// Numerators and denominators of one level.
#[derive(Debug)]
enum Level<L> {
    /// A small level.
    Few { p: Vec<Fp>, q: Vec<Fp> },
    /// A level of at least [`SMALLEST`] nodes.
    Many(Blocks<L>),
}

/// The first nodes of a level, eight to a block. The others are 0 / 1.
#[derive(Debug)]
struct Blocks<L> {
    p: Vec<L>,
    q: Vec<L>,
}

impl<L: Lanes<Element = Fp>> Blocks<L> {
    fn new(blocks: usize) -> Self {
        Blocks { p: vec![L::zero(); blocks], q: vec![L::zero(); blocks] }
    }
}

/// A tree of fractions, from the level below its root on.
#[derive(Debug)]
pub struct Tree(On<TreeOf<Portable<Fp>>, TreeOf<Vector<Fp>>>);

#[derive(Debug)]
struct TreeOf<L> {
    /// Level `j` has `2^j` nodes; from level 1 on.
    levels: VecDeque<Level<L>>,
}

impl Tree {
    /// The tree of `2^variables` leaves, at least two.
    ///
    /// # Panics
    /// If there are more leaves than that, or one has an entry that is not in the dictionary.
    pub fn new(leaves: Leaves, variables: usize) -> Self {
        Tree(match leaves.0 {
            On::Portable(leaves) => On::Portable(TreeOf::new(&leaves, variables)),
            On::Vector(leaves) => On::Vector(TreeOf::new(&leaves, variables)),
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
    fn new(leaves: &LeavesOf<L>, variables: usize) -> Self {
        assert!(variables >= 1, "a tree has at least two leaves");
        let mut levels = VecDeque::with_capacity(variables);
        let mut level = leaves.level(variables);
        for below in (2..=variables).rev() {
            let above = level.parents(1 << below);
            levels.push_front(level);
            level = above;
        }
        levels.push_front(level);
        TreeOf { levels }
    }

    fn root(&mut self) -> [Fp; 4] {
        match self.levels.pop_front() {
            Some(Level::Few { p, q }) => [p[0], p[1], q[0], q[1]],
            _ => panic!("the tree has a level below the root"),
        }
    }

    fn layer(&mut self, point: &[Fp], lambda: &Fp) -> LayerOf<L> {
        match self.levels.pop_front().expect("the tree has a next level") {
            Level::Few { p, q } => {
                assert_eq!(p.len(), 2 << point.len(), "one variable per halving of the level above");
                LayerOf::Few(Few::new(p, q, point, lambda))
            }
            Level::Many(level) => {
                assert!(
                    level.p.len() * LANES <= 2 << point.len(),
                    "one variable per halving of the level above"
                );
                LayerOf::Many(Many::new(level, point, lambda))
            }
        }
    }
}

impl<L: Lanes<Element = Fp>> Level<L> {
    /// The level above this one, which has `nodes` nodes.
    fn parents(&self, nodes: usize) -> Level<L> {
        let half = nodes / 2;
        match self {
            Level::Few { p, q } => {
                let ((p0, p1), (q0, q1)) = (p.split_at(half), q.split_at(half));
                Level::Few {
                    p: (0..half).map(|x| p0[x] * q1[x] + p1[x] * q0[x]).collect(),
                    q: (0..half).map(|x| q0[x] * q1[x]).collect(),
                }
            }
            Level::Many(level) => {
                let above = level.parents(half / LANES);
                if half < SMALLEST {
                    Level::Few { p: elements(&above.p, half, Fp::ZERO), q: elements(&above.q, half, Fp::ONE) }
                } else {
                    Level::Many(above)
                }
            }
        }
    }
}

impl<L: Lanes<Element = Fp>> Blocks<L> {
    /// The level above, of `half` blocks.
    fn parents(&self, half: usize) -> Blocks<L> {
        let mut above = Blocks::new(half.min(self.p.len()));
        let threads = threads_for(above.p.len() * PARENT);
        let pieces = ranges(above.p.len(), above.p.len().div_ceil(pieces_for(threads)));
        let (mut p, mut q) = (&mut above.p[..], &mut above.q[..]);
        let tasks = pieces
            .into_iter()
            .map(|piece| (piece.start, split_off(&mut p, piece.len()), split_off(&mut q, piece.len())))
            .collect();
        map_owned(tasks, threads, |(start, p, q): (usize, &mut [L], &mut [L])| {
            L::enter(
                #[inline(always)]
                || self.parents_of(start, half, p, q),
            );
        });
        above
    }

    #[inline(always)]
    fn parents_of(&self, start: usize, half: usize, p: &mut [L], q: &mut [L]) {
        for x in 0..p.len() {
            let (p0, q0) = (self.p[start + x], self.q[start + x]);
            let other = start + x + half;
            if other < self.p.len() {
                let (p1, q1) = (self.p[other], self.q[other]);
                p[x] = L::mul_add(p0, q1, p1, q0);
                q[x] = q0.mul(q1);
            } else {
                (p[x], q[x]) = (p0, q0);
            }
        }
    }
}

/// The first `len` elements in these blocks; `missing` where there are fewer.
fn elements<L: Lanes<Element = Fp>>(blocks: &[L], len: usize, missing: Fp) -> Vec<Fp> {
    let mut words = vec![[L::Word::default(); LANES]; blocks.len()];
    L::enter(
        #[inline(always)]
        || {
            for (block, words) in blocks.iter().zip(&mut words) {
                block.store(words);
            }
        },
    );
    let mut elements: Vec<Fp> = words.as_flattened().iter().take(len).map(L::Word::get).collect();
    elements.resize(len, missing);
    elements
}

/// A layer in progress: one round after the other.
#[derive(Debug)]
pub struct Layer(On<LayerOf<Portable<Fp>>, LayerOf<Vector<Fp>>>);

#[derive(Debug)]
enum LayerOf<L> {
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
struct Many<L> {
    /// `p0` and `q0`, whole, and `p1 + lambda q1` and `q1`, as far as they are not constant.
    vectors: [Vec<L>; 4],
    /// Vectors of the round before, to be overwritten.
    spare: [Vec<L>; 4],
    /// Blocks of a whole vector.
    blocks: usize,
    lambda: Fp,
    /// What follows in each vector: nothing in the first two, `lambda` and 1 in the others.
    tails: [L; 4],
    /// Tables of `eq` at the suffixes of the point, longest last, of whole blocks; used from the end.
    eq: Vec<Vec<L>>,
    /// The shorter tables.
    small_eq: Vec<Vec<Fp>>,
    /// Of the round in progress.
    sums: (Fp, Fp),
}

impl<L: Lanes<Element = Fp>> Many<L> {
    fn new(Blocks { mut p, mut q }: Blocks<L>, point: &[Fp], lambda: &Fp) -> Self {
        let blocks = (1 << point.len()) / LANES;
        let one = L::enter(
            #[inline(always)]
            || L::splat(&L::Word::new(&Fp::ONE)),
        );
        let tail = L::enter(
            #[inline(always)]
            || L::splat(&L::Word::new(lambda)),
        );
        if p.len() < blocks {
            p.resize(blocks, L::zero());
            q.resize(blocks, one);
        }
        let (mut p1, q1) = (p.split_off(blocks), q.split_off(blocks));
        let threads = threads_for(p1.len() * PARENT);
        let pieces = ranges(p1.len(), p1.len().div_ceil(pieces_for(threads)));
        let mut rest = &mut p1[..];
        let tasks = pieces.into_iter().map(|piece| (split_off(&mut rest, piece.len()), &q1[piece])).collect();
        map_owned(tasks, threads, |(p, q): (&mut [L], &[L])| {
            L::enter(
                #[inline(always)]
                || {
                    for x in 0..p.len() {
                        p[x] = p[x].add(tail.mul(q[x]));
                    }
                },
            );
        });
        let covered = point.len().saturating_sub(1 + LANES.trailing_zeros() as usize);
        let small_eq = suffix_tables(&point[covered..]);
        let eq = suffixes(&small_eq[small_eq.len() - 1], point);
        let mut layer = Many {
            vectors: [p, q, p1, q1],
            spare: Default::default(),
            blocks,
            lambda: *lambda,
            tails: [one, one, tail, one],
            eq,
            small_eq,
            sums: (Fp::ZERO, Fp::ZERO),
        };
        layer.sums = layer.first_sums();
        layer
    }

    fn first_sums(&self) -> (Fp, Fp) {
        let half = self.blocks / 2;
        let threads = threads_for(half * ROUND);
        let pieces = ranges(half, half.div_ceil(pieces_for(threads)));
        let sums = map_owned(pieces, threads, |range| {
            L::enter(
                #[inline(always)]
                || self.sums_of(range),
            )
        });
        total(&sums)
    }

    #[inline(always)]
    fn sums_of(&self, range: Range<usize>) -> [L; 2] {
        let half = self.blocks / 2;
        let eq = &self.eq[self.eq.len() - 1];
        let mut sums = Sums::new();
        for x in range {
            let low = [self.at(0, x), self.at(1, x), self.at(2, x), self.at(3, x)];
            let y = x + half;
            let high = [self.at(0, y), self.at(1, y), self.at(2, y), self.at(3, y)];
            sums.add(&low, &high, eq[x]);
        }
        sums.finish()
    }

    /// Block `x` of a vector.
    #[inline(always)]
    fn at(&self, vector: usize, x: usize) -> L {
        let values = &self.vectors[vector];
        if x < values.len() { values[x] } else { self.tails[vector] }
    }

    /// Binds the top variable and sums for the next round.
    fn bind(&mut self, rho: &Fp) {
        let half = self.blocks / 2;
        self.eq.pop();
        let mut bound = std::mem::take(&mut self.spare);
        for (bound, vector) in bound.iter_mut().zip(&self.vectors) {
            bound.resize(half.min(vector.len()), self.tails[0]);
            bound.truncate(half.min(vector.len()));
        }
        let quarter = half / 2;
        let threads = threads_for(quarter * ROUND);
        let [mut a, mut b, mut c, mut d] = bound.each_mut().map(|vector| {
            let at = quarter.min(vector.len());
            vector.split_at_mut(at)
        });
        let mut tasks = Vec::new();
        for range in ranges(quarter, quarter.div_ceil(pieces_for(threads))) {
            let len = range.len();
            let out = [&mut a, &mut b, &mut c, &mut d]
                .map(|(low, high)| (split_off(low, len), split_off(high, len)));
            tasks.push((range, out));
        }
        let challenge = [L::Word::new(&(Fp::ONE - rho)), L::Word::new(rho)];
        let this = &*self;
        let sums = map_owned(tasks, threads, |(range, out)| {
            L::enter(
                #[inline(always)]
                || this.bind_range(&challenge, range, out),
            )
        });
        self.spare = std::mem::replace(&mut self.vectors, bound);
        self.blocks = half;
        self.sums = total(&sums);
    }

    #[inline(always)]
    fn bind_range(
        &self,
        challenge: &[L::Word; 2],
        range: Range<usize>,
        mut out: [(&mut [L], &mut [L]); 4],
    ) -> [L; 2] {
        let quarter = self.blocks / 4;
        let eq = &self.eq[self.eq.len() - 1];
        let challenge = [L::splat(&challenge[0]), L::splat(&challenge[1])];
        let mut sums = Sums::new();
        for (at, x) in range.enumerate() {
            let mut low = self.tails;
            let mut high = self.tails;
            for vector in 0..4 {
                let (outs_low, outs_high) = &mut out[vector];
                if at < outs_low.len() {
                    low[vector] = self.bound(vector, x, &challenge);
                    outs_low[at] = low[vector];
                }
                if at < outs_high.len() {
                    high[vector] = self.bound(vector, x + quarter, &challenge);
                    outs_high[at] = high[vector];
                }
            }
            sums.add(&low, &high, eq[x]);
        }
        sums.finish()
    }

    /// Block `x` of a vector with the top variable bound.
    #[inline(always)]
    fn bound(&self, vector: usize, x: usize, challenge: &[L; 2]) -> L {
        L::mul_add(self.vectors[vector][x], challenge[0], self.at(vector, x + self.blocks / 2), challenge[1])
    }

    /// Binds the top variable of two blocks; what is left is small.
    fn last(&mut self, rho: &Fp) -> Few {
        let tails = [Fp::ZERO, Fp::ONE, self.lambda, Fp::ONE];
        let mut index = 0;
        let [p0, q0, p1, q1] = self.vectors.each_ref().map(|vector| {
            let mut elements = elements(vector, 2 * LANES, tails[index]);
            index += 1;
            bind_top(&mut elements, *rho);
            elements
        });
        let mut eq = std::mem::take(&mut self.small_eq);
        // The longest belongs to the round that is over.
        eq.pop();
        Few { vectors: [p0, p1, q0, q1], lambda: self.lambda, eq }
    }
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

    /// Adds the terms of eight indices; vectors in the order `p0`, `q0`, `p1 + lambda q1`, `q1`.
    #[inline(always)]
    fn add(&mut self, low: &[L; 4], high: &[L; 4], eq: L) {
        if self.summands == L::SUMMANDS {
            self.flush();
        }
        self.summands += 1;
        let [p0, q0, p1, q1] = *high;
        L::accumulate(&mut self.sums[0], L::mul_add(p0, q1, q0, p1), eq);
        let (p0, q0, p1, q1) = (p0.sub(low[0]), q0.sub(low[1]), p1.sub(low[2]), q1.sub(low[3]));
        L::accumulate(&mut self.sums[1], L::mul_add(p0, q1, q0, p1), eq);
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

/// The sums over all lanes of all tasks.
fn total<L: Lanes<Element = Fp>>(sums: &[[L; 2]]) -> (Fp, Fp) {
    let mut words = [L::Word::default(); 2];
    L::enter(
        #[inline(always)]
        || {
            for i in 0..2 {
                let mut total = L::zero();
                for sum in sums {
                    total = total.add(sum[i]);
                }
                words[i] = total.sum_of_lanes();
            }
        },
    );
    (words[0].get(), words[1].get())
}

/// Tables of `eq` at the suffixes of a point without its first coordinate, of a block and more, shortest first; `block` is the
/// first of them.
fn suffixes<L: Lanes<Element = Fp>>(block: &[Fp], point: &[Fp]) -> Vec<Vec<L>> {
    let words: Vec<L::Word> = block.iter().map(L::Word::new).collect();
    let (words, _) = words.as_chunks::<LANES>();
    let mut tables: Vec<Vec<L>> = Vec::with_capacity(point.len());
    let mut table = vec![L::zero(); 1];
    L::enter(
        #[inline(always)]
        || table[0] = L::load(words[0].each_ref()),
    );
    let covered = LANES.trailing_zeros() as usize;
    for r in point.iter().skip(1).rev().skip(covered) {
        let r = L::Word::new(r);
        let mut next = vec![L::zero(); 2 * table.len()];
        let threads = threads_for(table.len() * PARENT / 2);
        let (mut low, mut high) = next.split_at_mut(table.len());
        let pieces = ranges(table.len(), table.len().div_ceil(pieces_for(threads)));
        let tasks = pieces
            .into_iter()
            .map(|piece| {
                let len = piece.len();
                (&table[piece], split_off(&mut low, len), split_off(&mut high, len))
            })
            .collect();
        map_owned(tasks, threads, |(table, low, high): (&[L], &mut [L], &mut [L])| {
            L::enter(
                #[inline(always)]
                || {
                    let r = L::splat(&r);
                    for x in 0..table.len() {
                        high[x] = table[x].mul(r);
                        low[x] = table[x].sub(high[x]);
                    }
                },
            );
        });
        tables.push(std::mem::replace(&mut table, next));
    }
    tables.push(table);
    tables
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
        for entry in p {
            *entry = rng.next_u32() % (last + 1);
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
