//! Eight lanes as eight elements of `pasta_curves`.

use super::{Field, LANES, Lanes, Word};

/// Eight elements, one after another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Portable<F>([F; LANES]);

impl<F: Field> Portable<F> {
    #[inline(always)]
    fn map(self, other: Self, f: impl Fn(&F, &F) -> F) -> Self {
        Portable(std::array::from_fn(
            #[inline(always)]
            |i| f(&self.0[i], &other.0[i]),
        ))
    }
}

impl<F: Field> Lanes for Portable<F> {
    type Element = F;
    type Word = F;
    type Sum = [F::Accumulator; LANES];

    /// Any number: `DeferredField` does not overflow before `2^63` products.
    const SUMMANDS: usize = usize::MAX;
    const COST: usize = 4;

    #[inline(always)]
    fn enter<R>(kernel: impl FnOnce() -> R) -> R {
        kernel()
    }

    #[inline(always)]
    fn convert(elements: [&F; LANES]) -> Self {
        Self::load(elements)
    }

    #[inline(always)]
    fn splat(word: &F) -> Self {
        Portable([*word; LANES])
    }

    #[inline(always)]
    fn load(words: [&F; LANES]) -> Self {
        Portable(words.map(|word| *word))
    }

    #[inline(always)]
    fn store(self, words: &mut [F; LANES]) {
        *words = self.0;
    }

    #[inline(always)]
    fn integers(values: &[i64; LANES]) -> Self {
        Portable(values.map(|value| {
            let magnitude = F::from(value.unsigned_abs());
            if value < 0 { -magnitude } else { magnitude }
        }))
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.map(other, |a, b| *a + b)
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.map(other, |a, b| *a - b)
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.map(other, F::times)
    }

    #[inline(always)]
    fn square(self) -> Self {
        Portable(self.0.map(|a| a.square()))
    }

    #[inline(always)]
    fn mul_add(a: Self, b: Self, c: Self, d: Self) -> Self {
        a.mul(b).add(c.mul(d))
    }

    #[inline(always)]
    fn no_sum() -> Self::Sum {
        [F::Accumulator::default(); LANES]
    }

    #[inline(always)]
    fn accumulate(sum: &mut Self::Sum, a: Self, b: Self) {
        for i in 0..LANES {
            F::mul_accumulate(&mut sum[i], &a.0[i], &b.0[i]);
        }
    }

    #[inline(always)]
    fn reduce(sum: Self::Sum) -> Self {
        Portable(sum.map(F::reduce))
    }

    #[inline(always)]
    fn select(mask: u8, chosen: Self, other: Self) -> Self {
        Portable(std::array::from_fn(
            #[inline(always)]
            |i| if mask >> i & 1 == 1 { chosen.0[i] } else { other.0[i] },
        ))
    }

    #[inline(always)]
    fn defaults(self) -> u8 {
        (0..LANES).fold(0, |bits, i| bits | u8::from(self.0[i].is_zero_vartime()) << i)
    }

    #[inline(always)]
    fn may_equal(self, other: Self) -> u8 {
        (0..LANES).fold(0, |bits, i| bits | u8::from(self.0[i] == other.0[i]) << i)
    }
}

impl<F: Field> Word for F {
    type Element = F;

    #[inline(always)]
    fn new(element: &F) -> F {
        *element
    }

    #[inline(always)]
    fn get(&self) -> F {
        *self
    }

    #[inline(always)]
    fn negated_if(&self, negate: bool) -> F {
        if negate { -*self } else { *self }
    }

    #[inline(always)]
    fn is_default(&self) -> bool {
        self.is_zero_vartime()
    }

    #[inline(always)]
    fn equals(&self, other: &Self) -> bool {
        self == other
    }

    fn representations(&self) -> Vec<Self> {
        vec![*self]
    }

    /// The lowest bits of the canonical integer.
    #[inline(always)]
    fn key(&self) -> u64 {
        let repr = self.to_repr();
        u64::from_le_bytes(repr.as_chunks::<8>().0[0])
    }
}
