//! Sums of many points in affine coordinates, with shared inversions.
//!
//! An affine addition needs one inversion. Inverting many elements together (Montgomery's trick,
//! Math. Comp. 48 (1987), section 10.3.1) costs three multiplications each, so a batched affine
//! addition takes 5 multiplications and a squaring: about half of a mixed Jacobian addition.

use crate::{Eq, EqAffine, Fq};
use ff::Field;
use group::CurveAffine as _;
use pasta_curves::arithmetic::{CurveAffine, VartimeField};

/// A point in affine coordinates; `(0, 0)` stands for the identity.
///
/// The curve has odd order, so no point of it has `y = 0` and `y` alone tells the identity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Point {
    pub(crate) x: Fq,
    pub(crate) y: Fq,
}

impl Point {
    pub(crate) const IDENTITY: Point = Point { x: Fq::ZERO, y: Fq::ZERO };

    pub(crate) fn new(point: &EqAffine) -> Self {
        let coordinates = Option::from(point.coordinates());
        coordinates.map_or(Self::IDENTITY, |c: pasta_curves::arithmetic::Coordinates<EqAffine>| Point {
            x: *c.x(),
            y: *c.y(),
        })
    }

    #[inline]
    pub(crate) fn is_identity(&self) -> bool {
        self.y.is_zero_vartime()
    }

    #[inline]
    pub(crate) fn negated_if(self, negate: bool) -> Self {
        Point { x: self.x, y: if negate { -self.y } else { self.y } }
    }

    pub(crate) fn to_affine(self) -> EqAffine {
        EqAffine::from_xy_unchecked(self.x, self.y)
    }

    pub(crate) fn to_curve(self) -> Eq {
        self.to_affine().to_curve()
    }
}

/// Pairs that share one inversion. The working set of a batch stays in the first-level cache, and
/// the inversion costs a few per cent of the batch.
const BATCH: usize = 256;

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

/// One addition to do: the points at `left` and `left + 1`, to be written to `out`.
#[derive(Clone, Copy)]
struct Pair {
    left: usize,
    out: usize,
}

/// The working memory of batched additions.
struct Batch {
    pairs: Vec<Pair>,
    cases: Vec<Case>,
    denominators: Vec<Fq>,
    prefixes: Vec<Fq>,
}

impl Batch {
    fn new() -> Self {
        Batch {
            pairs: Vec::with_capacity(BATCH),
            cases: Vec::with_capacity(BATCH),
            denominators: Vec::with_capacity(BATCH),
            prefixes: Vec::with_capacity(BATCH),
        }
    }

    /// Does all additions noted in `pairs`, reading `from` and writing `to`.
    fn flush(&mut self, from: &[Point], to: &mut [Point]) {
        if self.pairs.is_empty() {
            return;
        }
        self.cases.clear();
        self.denominators.clear();
        self.prefixes.clear();
        // `mul` is the compiled multiplication: unlike the assembly behind `*` it is inlined here and
        // passes its operands in registers, which saves a fifth of an addition (measured).
        // Two chains of products, for even and odd pairs: one alone would wait for each
        // multiplication to end before it can start the next.
        let mut product = [Fq::ONE; 2];
        for (i, pair) in self.pairs.iter().enumerate() {
            let (p, q) = (&from[pair.left], &from[pair.left + 1]);
            let (case, denominator) = classify(p, q);
            self.cases.push(case);
            self.denominators.push(denominator);
            self.prefixes.push(product[i & 1]);
            product[i & 1] = product[i & 1].mul(&denominator);
        }
        let joint = (product[0] * product[1]).invert_vartime().unwrap_or(Fq::ZERO);
        let mut inverse = [joint * product[1], joint * product[0]];
        // Stage by stage for a few pairs at once: one pair's multiplications wait for each other, and
        // a processor looks ahead by not much more than one addition.
        let mut end = self.pairs.len();
        while end > 0 {
            let start = end.saturating_sub(STAGED);
            let pairs = &self.pairs[start..end];
            let mut slopes = [Fq::ZERO; STAGED];
            let mut xs = [Fq::ZERO; STAGED];
            for i in (start..end).rev() {
                slopes[i - start] = self.prefixes[i].mul(&inverse[i & 1]);
                inverse[i & 1] = inverse[i & 1].mul(&self.denominators[i]);
            }
            for ((pair, case), slope) in pairs.iter().zip(&self.cases[start..end]).zip(&mut slopes) {
                let (p, q) = (&from[pair.left], &from[pair.left + 1]);
                let rise = if *case == Case::Double {
                    let square = p.x.square();
                    square.double() + square
                } else {
                    q.y - p.y
                };
                *slope = slope.mul(&rise);
            }
            for ((pair, slope), x) in pairs.iter().zip(&slopes).zip(&mut xs) {
                *x = slope.square() - from[pair.left].x - from[pair.left + 1].x;
            }
            for (i, (pair, (&slope, &x))) in pairs.iter().zip(slopes.iter().zip(&xs)).enumerate() {
                let (p, q) = (&from[pair.left], &from[pair.left + 1]);
                to[pair.out] = match self.cases[start + i] {
                    Case::Add | Case::Double => Point { x, y: slope.mul(&(p.x - x)) - p.y },
                    Case::Left => *p,
                    Case::Right => *q,
                    Case::Cancel => Point::IDENTITY,
                };
            }
            end = start;
        }
        self.pairs.clear();
    }
}

/// The case of a pair, and the denominator of its slope (1 where none is needed).
#[inline]
fn classify(p: &Point, q: &Point) -> (Case, Fq) {
    let difference = q.x - p.x;
    if p.is_identity() {
        (Case::Right, Fq::ONE)
    } else if q.is_identity() {
        (Case::Left, Fq::ONE)
    } else if !difference.is_zero_vartime() {
        (Case::Add, difference)
    } else if p.y == q.y {
        (Case::Double, p.y.double())
    } else {
        (Case::Cancel, Fq::ONE)
    }
}

/// Sums consecutive runs of points, by a tree of batched additions.
///
/// `lengths` splits `points` into runs; returns one point per run, the identity for an empty one.
pub(crate) fn sum_runs(mut points: Vec<Point>, mut lengths: Vec<u32>) -> Vec<Point> {
    debug_assert_eq!(points.len(), lengths.iter().map(|&l| l as usize).sum::<usize>());
    let mut longest = lengths.iter().copied().max().unwrap_or(0);
    let mut next = Vec::new();
    let mut batch = Batch::new();
    while longest > 1 {
        let total = lengths.iter().map(|l| l.div_ceil(2) as usize).sum();
        next.clear();
        next.resize(total, Point::IDENTITY);
        let (mut read, mut write) = (0, 0);
        for length in &mut lengths {
            for _ in 0..*length / 2 {
                batch.pairs.push(Pair { left: read, out: write });
                read += 2;
                write += 1;
                if batch.pairs.len() == BATCH {
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
            .map(|&l| if l == 0 { None } else { entries.next() }.unwrap_or(Point::IDENTITY))
            .collect();
    }
    points
}
