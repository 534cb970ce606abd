//! Batched additions of eight pairs at once.

use super::{Pair, Point, PointLanes};
use crate::Fq;
use crate::lanes::{LANES, Lanes, Word};
use ff::Field;
use pasta_curves::arithmetic::VartimeField;

/// Groups of pairs that go through the stages of an addition together, each with its own chain of products: the
/// multiplications of one group wait for each other.
const STAGED: usize = 2;

/// The pairs of a group that are not sums of two points with different x, one bit per lane.
#[derive(Clone, Copy, Default)]
struct Cases {
    double: u8,
    /// The left point, because the right one is the identity.
    left: u8,
    right: u8,
    /// Opposite points.
    cancel: u8,
}

impl Cases {
    /// Lanes that need no denominator.
    #[inline(always)]
    fn fixed(self) -> u8 {
        self.left | self.right | self.cancel
    }
}

/// The operands of a group of pairs.
#[derive(Clone, Copy)]
struct Operands<L> {
    px: L,
    py: L,
    qx: L,
    qy: L,
}

impl<L: PointLanes> Operands<L> {
    /// Reads up to [`LANES`] pairs; the last one fills the lanes that are left.
    #[inline(always)]
    fn read(pairs: &[Pair], from: &[Point<L::Word>]) -> Self {
        let last = pairs[pairs.len() - 1];
        let mut points = [&from[last.left..last.left + 2]; LANES];
        for i in 0..pairs.len().min(LANES) {
            points[i] = &from[pairs[i].left..pairs[i].left + 2];
        }
        let [a, b, c, d, e, f, g, h] = points;
        Operands {
            px: L::load([&a[0].x, &b[0].x, &c[0].x, &d[0].x, &e[0].x, &f[0].x, &g[0].x, &h[0].x]),
            py: L::load([&a[0].y, &b[0].y, &c[0].y, &d[0].y, &e[0].y, &f[0].y, &g[0].y, &h[0].y]),
            qx: L::load([&a[1].x, &b[1].x, &c[1].x, &d[1].x, &e[1].x, &f[1].x, &g[1].x, &h[1].x]),
            qy: L::load([&a[1].y, &b[1].y, &c[1].y, &d[1].y, &e[1].y, &f[1].y, &g[1].y, &h[1].y]),
        }
    }

    /// The lanes that may be special: all that are, and hardly any other.
    #[inline(always)]
    fn suspects(&self) -> u8 {
        self.px.may_equal(self.qx) | self.py.defaults() | self.qy.defaults()
    }

    #[inline(always)]
    fn denominator(&self, cases: Cases) -> L {
        let difference = self.px.sub(self.qx);
        if cases.double | cases.fixed() == 0 {
            return difference;
        }
        let slope = L::select(cases.double, self.py.double(), difference);
        L::select(cases.fixed(), L::splat(&L::Word::new(&Fq::ONE)), slope)
    }

    #[inline(always)]
    fn numerator(&self, cases: Cases) -> L {
        let difference = self.py.sub(self.qy);
        if cases.double == 0 {
            return difference;
        }
        let square = self.px.square();
        L::select(cases.double, square.double().add(square), difference)
    }
}

/// Tells the cases of the suspects of a group.
#[inline(never)]
fn classify<W: Word<Element = Fq>>(pairs: &[Pair], from: &[Point<W>], suspects: u8) -> Cases {
    let mut cases = Cases::default();
    for lane in 0..LANES {
        if suspects >> lane & 1 == 1 {
            let left = pairs[lane.min(pairs.len() - 1)].left;
            let (p, q) = (&from[left], &from[left + 1]);
            let case = if p.is_identity() {
                &mut cases.right
            } else if q.is_identity() {
                &mut cases.left
            } else if !p.x.equals(&q.x) {
                continue;
            } else if p.y.equals(&q.y) {
                &mut cases.double
            } else {
                &mut cases.cancel
            };
            *case |= 1 << lane;
        }
    }
    cases
}

/// The working memory of batched additions, per group of [`LANES`] pairs.
pub(super) struct LaneBatch<L> {
    cases: Vec<Cases>,
    denominators: Vec<L>,
    prefixes: Vec<L>,
}

impl<L: PointLanes> LaneBatch<L> {
    pub(super) fn new() -> Self {
        LaneBatch { cases: Vec::new(), denominators: Vec::new(), prefixes: Vec::new() }
    }

    /// Adds the pairs, of which there are some, reading `from` and writing `to`.
    pub(super) fn add(&mut self, pairs: &[Pair], from: &[Point<L::Word>], to: &mut [Point<L::Word>]) {
        let groups = pairs.len().div_ceil(LANES);
        self.cases.clear();
        self.denominators.clear();
        self.prefixes.clear();
        self.cases.reserve(groups);
        self.denominators.reserve(groups);
        self.prefixes.reserve(groups);
        L::enter(
            #[inline(always)]
            || self.add_all(pairs, from, to),
        );
    }

    #[inline(always)]
    fn add_all(&mut self, all: &[Pair], from: &[Point<L::Word>], to: &mut [Point<L::Word>]) {
        let mut products = [L::splat(&L::Word::new(&Fq::ONE)); STAGED];
        for (group, pairs) in all.chunks(LANES).enumerate() {
            let operands = Operands::<L>::read(pairs, from);
            let suspects = operands.suspects();
            let cases = if suspects == 0 { Cases::default() } else { classify(pairs, from, suspects) };
            let denominator = operands.denominator(cases);
            let product = &mut products[group % STAGED];
            self.cases.push(cases);
            self.denominators.push(denominator);
            self.prefixes.push(*product);
            *product = product.mul(denominator);
        }
        let joint = inverse(products[0].mul(products[1]));
        let mut inverses = [joint.mul(products[1]), joint.mul(products[0])];
        let groups = self.cases.len();
        if groups % STAGED == 1 {
            self.finish::<1>(&all[(groups - 1) * LANES..], groups - 1, &mut inverses, from, to);
        }
        for step in (0..groups / STAGED).rev() {
            let first = STAGED * step;
            let pairs = &all[first * LANES..all.len().min((first + STAGED) * LANES)];
            self.finish::<STAGED>(pairs, first, &mut inverses, from, to);
        }
    }

    /// The second half of the additions of `N` groups, the first of them at this even position.
    #[inline(always)]
    fn finish<const N: usize>(
        &self,
        pairs: &[Pair],
        first: usize,
        inverses: &mut [L; STAGED],
        from: &[Point<L::Word>],
        to: &mut [Point<L::Word>],
    ) {
        let cases = &self.cases[first..first + N];
        let mut slopes = [inverses[0]; N];
        for i in 0..N {
            slopes[i] = self.prefixes[first + i].mul(inverses[i]);
            inverses[i] = inverses[i].mul(self.denominators[first + i]);
        }
        let mut operands = [Operands { px: slopes[0], py: slopes[0], qx: slopes[0], qy: slopes[0] }; N];
        for i in 0..N {
            operands[i] = Operands::read(&pairs[i * LANES..], from);
            slopes[i] = slopes[i].mul(operands[i].numerator(cases[i]));
        }
        let mut xs = slopes;
        for i in 0..N {
            xs[i] = slopes[i].square().sub(operands[i].px).sub(operands[i].qx);
        }
        for i in 0..N {
            let Operands { px, py, qx, qy } = operands[i];
            let mut x = xs[i];
            let mut y = slopes[i].mul(px.sub(x)).sub(py);
            if cases[i].fixed() != 0 {
                x = L::select(cases[i].left, px, L::select(cases[i].right, qx, x));
                y = L::select(cases[i].left, py, L::select(cases[i].right, qy, y));
                x = L::select(cases[i].cancel, L::zero(), x);
                y = L::select(cases[i].cancel, L::zero(), y);
            }
            let [mut x_words, mut y_words] = [[L::Word::default(); LANES]; 2];
            x.store(&mut x_words);
            y.store(&mut y_words);
            let pairs = &pairs[i * LANES..];
            if pairs.len() >= LANES {
                for lane in 0..LANES {
                    to[pairs[lane].out] = Point { x: x_words[lane], y: y_words[lane] };
                }
            } else {
                for lane in 0..pairs.len() {
                    to[pairs[lane].out] = Point { x: x_words[lane], y: y_words[lane] };
                }
            }
        }
    }
}

/// The lanes moved down by `N`, cyclically.
#[inline(always)]
fn rotated<L: Lanes, const N: usize>(lanes: L) -> L {
    let mut words = [L::Word::default(); LANES];
    lanes.store(&mut words);
    let [a, b, c, d, e, f, g, h] = &words;
    match N {
        1 => L::load([b, c, d, e, f, g, h, a]),
        2 => L::load([c, d, e, f, g, h, a, b]),
        _ => L::load([e, f, g, h, a, b, c, d]),
    }
}

/// The inverses of all lanes, none of which is zero, with one inversion.
#[inline(always)]
fn inverse<L: PointLanes>(lanes: L) -> L {
    // Products of two lanes, of four, and of the other seven.
    let opposite = rotated::<L, 4>(lanes);
    let twos = lanes.mul(opposite);
    let two = rotated::<L, 2>(twos);
    let fours = twos.mul(two);
    let four = rotated::<L, 1>(fours);
    let others = opposite.mul(two).mul(four);
    let mut totals = [L::Word::default(); LANES];
    fours.mul(four).store(&mut totals);
    // No denominator is zero: points with equal x, and points with y = 0, are other cases.
    let inverse = totals[0].get().invert_vartime().unwrap_or(Fq::ZERO);
    others.mul(L::splat(&L::Word::new(&inverse)))
}
