//! Batched additions, one after another.

use super::{Pair, Point};
use crate::Fq;
use crate::lanes::{Field as _, Word};
use ff::Field;
use pasta_curves::arithmetic::VartimeField;

/// Pairs of a batch that go through the stages of an addition together.
const STAGED: usize = 4;

/// How the sum of a pair is computed.
#[derive(Clone, Copy, PartialEq)]
enum Case {
    Add,
    Double,
    /// The left point, because the right one is the identity.
    Left,
    Right,
    /// Opposite points.
    Cancel,
}

/// The working memory of batched additions, per pair.
pub(super) struct SingleBatch {
    cases: Vec<Case>,
    denominators: Vec<Fq>,
    prefixes: Vec<Fq>,
}

impl SingleBatch {
    pub(super) fn new() -> Self {
        SingleBatch { cases: Vec::new(), denominators: Vec::new(), prefixes: Vec::new() }
    }

    /// Adds the pairs, reading `from` and writing `to`.
    pub(super) fn add<W: Word<Element = Fq>>(
        &mut self,
        all: &[Pair],
        from: &[Point<W>],
        to: &mut [Point<W>],
    ) {
        self.cases.clear();
        self.denominators.clear();
        self.prefixes.clear();
        // Two chains of products, for even and odd pairs: one alone would wait for each
        // multiplication to end before it can start the next.
        let mut product = [Fq::ONE; 2];
        for (i, pair) in all.iter().enumerate() {
            let (case, denominator) = classify(&from[pair.left], &from[pair.left + 1]);
            self.cases.push(case);
            self.denominators.push(denominator);
            self.prefixes.push(product[i & 1]);
            product[i & 1] = product[i & 1].times(&denominator);
        }
        // No denominator is zero: points with equal x, and points with y = 0, are other cases.
        let joint = (product[0] * product[1]).invert_vartime().unwrap_or(Fq::ZERO);
        let mut inverse = [joint * product[1], joint * product[0]];
        // Stage by stage for a few pairs at once: one pair's multiplications wait for each other, and
        // a processor looks ahead by not much more than one addition.
        let mut end = all.len();
        while end > 0 {
            let start = end.saturating_sub(STAGED);
            let pairs = &all[start..end];
            let mut slopes = [Fq::ZERO; STAGED];
            let mut xs = [Fq::ZERO; STAGED];
            for i in (start..end).rev() {
                slopes[i - start] = self.prefixes[i].times(&inverse[i & 1]);
                inverse[i & 1] = inverse[i & 1].times(&self.denominators[i]);
            }
            for ((pair, case), slope) in pairs.iter().zip(&self.cases[start..end]).zip(&mut slopes) {
                let (p, q) = (&from[pair.left], &from[pair.left + 1]);
                let rise = if *case == Case::Double {
                    let square = p.x.get().square();
                    square.double() + square
                } else {
                    q.y.get() - p.y.get()
                };
                *slope = slope.times(&rise);
            }
            for ((pair, slope), x) in pairs.iter().zip(&slopes).zip(&mut xs) {
                *x = slope.square() - from[pair.left].x.get() - from[pair.left + 1].x.get();
            }
            for (i, (pair, (slope, x))) in pairs.iter().zip(slopes.iter().zip(&xs)).enumerate() {
                let (p, q) = (&from[pair.left], &from[pair.left + 1]);
                to[pair.out] = match self.cases[start + i] {
                    Case::Add | Case::Double => {
                        let y = slope.times(&(p.x.get() - x)) - p.y.get();
                        Point { x: W::new(x), y: W::new(&y) }
                    }
                    Case::Left => *p,
                    Case::Right => *q,
                    Case::Cancel => Point::default(),
                };
            }
            end = start;
        }
    }
}

/// The case of a pair, and the denominator of its slope (1 where none is needed).
#[inline]
fn classify<W: Word<Element = Fq>>(p: &Point<W>, q: &Point<W>) -> (Case, Fq) {
    let difference = q.x.get() - p.x.get();
    if p.is_identity() {
        (Case::Right, Fq::ONE)
    } else if q.is_identity() {
        (Case::Left, Fq::ONE)
    } else if !difference.is_zero_vartime() {
        (Case::Add, difference)
    } else if p.y.equals(&q.y) {
        (Case::Double, p.y.get().double())
    } else {
        (Case::Cancel, Fq::ONE)
    }
}
