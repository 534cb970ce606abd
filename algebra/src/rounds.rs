//! What the sum-checks over blocks of eight entries share.

use crate::Fp;
use crate::lanes::{LANES, Lanes, Word};
use crate::multilinear::suffix_tables;
use crate::parallel::pieces_for;

/// Variables in a table of weights, at most, and its blocks: it stays in the first-level cache.
const LOW: usize = 8;
pub(crate) const SEGMENT: usize = (1 << LOW) / LANES;

/// The kernels of a value that was made for one of two kinds of lanes.
#[derive(Debug)]
pub(crate) enum On<P, V> {
    Portable(P),
    Vector(V),
}

macro_rules! on {
    ($value:expr, $inner:ident => $body:expr) => {
        match $value {
            $crate::rounds::On::Portable($inner) => $body,
            $crate::rounds::On::Vector($inner) => $body,
        }
    };
}

pub(crate) use on;

/// The first `len` entries of a slice, which is left without them; fewer where it is shorter.
pub(crate) fn split_off<'a, T>(slice: &mut &'a mut [T], len: usize) -> &'a mut [T] {
    let len = len.min(slice.len());
    let (first, rest) = std::mem::take(slice).split_at_mut(len);
    *slice = rest;
    first
}

/// The elements in these blocks.
pub(crate) fn elements<L: Lanes<Element = Fp>>(blocks: &[L]) -> Vec<Fp> {
    let mut words = vec![[L::Word::default(); LANES]; blocks.len()];
    L::enter(
        #[inline(always)]
        || {
            for (block, words) in blocks.iter().zip(&mut words) {
                block.store(words);
            }
        },
    );
    words.as_flattened().iter().map(L::Word::get).collect()
}

/// These elements, eight to a block.
pub(crate) fn blocks_of<L: Lanes<Element = Fp>>(elements: &[Fp]) -> Vec<L> {
    let mut blocks = Vec::with_capacity(elements.len() / LANES);
    L::enter(
        #[inline(always)]
        || {
            for elements in elements.as_chunks::<LANES>().0 {
                blocks.push(L::convert(elements.each_ref()));
            }
        },
    );
    blocks
}

/// Blocks of a task of a round: whole segments of the table of weights.
pub(crate) fn piece_len(blocks: usize, threads: usize) -> usize {
    blocks.div_ceil(pieces_for(threads)).next_multiple_of(SEGMENT)
}

/// `eq` at the suffixes of a point: a table of the last variables and another of those before them, so that neither is
/// long.
#[derive(Debug)]
pub(crate) struct Weights<L: Lanes> {
    /// `eq` at the last variables, up to [`LOW`] of them, shortest first, from one block on. Used from the end once `high` is
    /// used up.
    low: Vec<Vec<L>>,
    /// `eq` at the variables before the last [`LOW`], shortest first, from one variable on. Used from the end.
    high: Vec<Vec<L::Word>>,
    /// For the rounds that are not done in blocks.
    pub(crate) few: Vec<Vec<Fp>>,
}

impl<L: Lanes<Element = Fp>> Weights<L> {
    /// Those of the rounds of a point of at least four variables, the first over its first variable.
    pub(crate) fn new(point: &[Fp]) -> Self {
        let mut few = suffix_tables(&point[point.len().saturating_sub(LOW + 1)..]);
        let low = few.split_off(LANES.trailing_zeros() as usize);
        let high = suffix_tables(&point[..point.len().saturating_sub(LOW)]);
        let words = |table: &Vec<Fp>| table.iter().map(L::Word::new).collect();
        Weights {
            low: low.iter().map(|table| blocks_of(table)).collect(),
            high: high.iter().skip(1).map(words).collect(),
            few,
        }
    }

    /// Passes to the next round.
    pub(crate) fn pop(&mut self) {
        if self.high.pop().is_none() {
            self.low.pop();
        }
    }

    /// The table of the last variables in this round.
    #[inline(always)]
    fn low(&self) -> &[L] {
        &self.low[self.low.len() - 1]
    }
}

/// Two weighted sums of a round, per lane.
pub(crate) struct WeightedSums<'w, L: Lanes> {
    weights: &'w Weights<L>,
    /// Index of the next block.
    next: usize,
    /// Of the segment in progress.
    sums: [L::Sum; 2],
    /// Of the segments that are over.
    total: [L; 2],
}

impl<'w, L: Lanes<Element = Fp>> WeightedSums<'w, L> {
    /// Sums of the blocks from number `start` on.
    #[inline(always)]
    pub(crate) fn new(weights: &'w Weights<L>, start: usize) -> Self {
        const { assert!(SEGMENT <= L::SUMMANDS) };
        WeightedSums { weights, next: start, sums: [L::no_sum(); 2], total: [L::zero(); 2] }
    }

    /// Adds the terms of the next eight indices.
    #[inline(always)]
    pub(crate) fn add(&mut self, terms: [L; 2]) {
        let eq = self.weights.low()[self.next % SEGMENT];
        let [first, second] = terms;
        L::accumulate(&mut self.sums[0], first, eq);
        L::accumulate(&mut self.sums[1], second, eq);
        self.next += 1;
        if self.next.is_multiple_of(SEGMENT) {
            self.close(self.next - 1);
        }
    }

    /// Ends the segment of block `last`.
    #[inline(always)]
    fn close(&mut self, last: usize) {
        for i in 0..2 {
            let mut sum = L::reduce(self.sums[i]);
            if let Some(high) = self.weights.high.last() {
                sum = sum.mul(L::splat(&high[last / SEGMENT]));
            }
            self.total[i] = self.total[i].add(sum);
            self.sums[i] = L::no_sum();
        }
    }

    #[inline(always)]
    pub(crate) fn finish(mut self) -> [L; 2] {
        if !self.next.is_multiple_of(SEGMENT) {
            self.close(self.next - 1);
        }
        self.total
    }
}

/// The sums over all lanes of all tasks.
pub(crate) fn total<L: Lanes<Element = Fp>>(sums: &[[L; 2]]) -> (Fp, Fp) {
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
