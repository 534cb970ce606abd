//! Eight lanes in five vector registers: AVX-512 with 52-bit multiply-add.
//!
//! # Representation
//! An element `x` is held as `x 2^260 mod p`, in Montgomery form, as five limbs of 52 bits. The integer in the limbs is not the
//! least one: **every value is below `B = 2^255 + 2^209`**, a little more than `2p`, and **every limb is below `2^52`**. All
//! operations take such values and give such values; `p = 2^254 + t` with `t < 2^126`.
//!
//! # Safety
//! The `unsafe` blocks call intrinsics that need AVX-512 F, DQ, VL and IFMA, on values in registers, or load and store whole
//! fixed-size arrays. [`enabled`] is the only way in, and it checks the processor. No intrinsic has other preconditions.
//!
//! Source of the multiplication: P. Montgomery, "Modular multiplication without trial division", Math. Comp. 44 (1985), by
//! columns of products as in S. Gueron, V. Krasnov, "Accelerating big integer arithmetic using Intel IFMA extensions", ARITH
//! 2016.
#![allow(unsafe_code)]

use super::{Field, LANES, Lanes, Word};
use crate::backend::{Backend, best};
use std::arch::x86_64::*;
use std::marker::PhantomData;

const LIMB_COUNT: usize = 5;
const BITS: u32 = 52;
const MASK: u64 = (1 << BITS) - 1;

/// The words of `B`.
const BOUND: [u64; 4] = [0, 0, 0, (1 << 63) + (1 << 17)];

/// Calls a function in a context that has the vector instructions enabled, so that what is inlined into it may use them.
///
/// # Panics
/// If the processor does not have them.
#[inline]
pub(crate) fn enabled<R>(f: impl FnOnce() -> R) -> R {
    assert_eq!(best(), Backend::Ifma, "vector kernels on a processor that has them");
    // SAFETY: the processor has the features of `with_features`, as just asserted.
    unsafe { with_features(f) }
}

#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn with_features<R>(f: impl FnOnce() -> R) -> R {
    f()
}

/// Eight elements; limb `i` of all lanes in register `i`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ifma<F>([__m512i; LIMB_COUNT], PhantomData<F>);

/// One element as four 64-bit words of the same integer: below `B`, so it fits.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C, align(32))]
pub(crate) struct Packed<F>([u64; 4], PhantomData<F>);

/// Columns of products: the integer is `sum_i columns[i] 2^(52 i)`.
///
/// A product of two values adds to each column at most five low and five high halves of products of limbs, each below `2^52`:
/// less than `10 * 2^52`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Columns([__m512i; 2 * LIMB_COUNT]);

// The methods are called from code with the features enabled (see `Lanes`), so each of these is one instruction.

#[inline(always)]
fn set(value: u64) -> __m512i {
    // SAFETY: see the module.
    unsafe { _mm512_set1_epi64(value as i64) }
}

/// One element's limbs in every lane. No iterator and no closure: they might not be inlined.
#[inline(always)]
fn broadcast([l0, l1, l2, l3, l4]: [u64; LIMB_COUNT]) -> [__m512i; LIMB_COUNT] {
    [set(l0), set(l1), set(l2), set(l3), set(l4)]
}

#[inline(always)]
fn plus(a: __m512i, b: __m512i) -> __m512i {
    // SAFETY: see the module.
    unsafe { _mm512_add_epi64(a, b) }
}

#[inline(always)]
fn minus(a: __m512i, b: __m512i) -> __m512i {
    // SAFETY: see the module.
    unsafe { _mm512_sub_epi64(a, b) }
}

#[inline(always)]
fn and(a: __m512i, b: __m512i) -> __m512i {
    // SAFETY: see the module.
    unsafe { _mm512_and_si512(a, b) }
}

/// `sum` plus the low 52 bits of the product of the low 52 bits of `a` and `b`.
#[inline(always)]
fn low(sum: __m512i, a: __m512i, b: __m512i) -> __m512i {
    // SAFETY: see the module.
    unsafe { _mm512_madd52lo_epu64(sum, a, b) }
}

/// `sum` plus the high 52 bits of the product of the low 52 bits of `a` and `b`.
#[inline(always)]
fn high(sum: __m512i, a: __m512i, b: __m512i) -> __m512i {
    // SAFETY: see the module.
    unsafe { _mm512_madd52hi_epu64(sum, a, b) }
}

/// The quotient by `2^52`, rounded down, of signed numbers.
#[inline(always)]
fn carry(a: __m512i) -> __m512i {
    // SAFETY: see the module.
    unsafe { _mm512_srai_epi64::<BITS>(a) }
}

/// The multiple of `p` that is looked up per lane, by limbs other than limb 3, which is 0: `table[i & 7] * p`.
#[inline(always)]
fn multiple<F: Field>(index: __m512i, table: [i64; 8]) -> [__m512i; LIMB_COUNT] {
    #[inline(always)]
    fn limb<F: Field>(i: usize, index: __m512i, table: [i64; 8]) -> __m512i {
        let entries = table.map(|k| k * F::LIMBS[i] as i64);
        // SAFETY: the array has the size of a register; for the rest see the module.
        unsafe { _mm512_permutexvar_epi64(index, _mm512_loadu_si512(entries.as_ptr().cast())) }
    }
    let limb = |i| limb::<F>(i, index, table);
    [limb(0), limb(1), limb(2), set(0), limb(4)]
}

/// Takes carries through limbs that may be negative or exceed 52 bits, of a value that is in range.
#[inline(always)]
fn normalized(mut limbs: [__m512i; LIMB_COUNT]) -> [__m512i; LIMB_COUNT] {
    for i in 0..LIMB_COUNT - 1 {
        limbs[i + 1] = plus(limbs[i + 1], carry(limbs[i]));
        limbs[i] = and(limbs[i], set(MASK));
    }
    limbs
}

impl<F: Field> Ifma<F> {
    #[inline(always)]
    fn new(limbs: [__m512i; LIMB_COUNT]) -> Self {
        Ifma(limbs, PhantomData)
    }

    /// The columns of a product, added to `columns`.
    #[inline(always)]
    fn multiply(columns: &mut [__m512i; 2 * LIMB_COUNT], a: &Self, b: &Self) {
        for i in 0..LIMB_COUNT {
            for j in 0..LIMB_COUNT {
                columns[i + j] = low(columns[i + j], a.0[j], b.0[i]);
            }
            for j in 0..LIMB_COUNT {
                columns[i + j + 1] = high(columns[i + j + 1], a.0[j], b.0[i]);
            }
        }
    }

    /// Montgomery reduction: the value of the columns times `2^-260`.
    ///
    /// With columns below `2^63` nothing overflows: a reduction adds less than `9 * 2^52` and carries below `2^12` to a column.
    /// A value below `V` gives one below `V / 2^260 + p`. The result is below `B` if `V <= 60 p^2`, since then
    /// `V / 2^260 < 0.94 p + 1`.
    #[inline(always)]
    fn montgomery(mut columns: [__m512i; 2 * LIMB_COUNT]) -> Self {
        let [p0, p1, p2, _, p4] = broadcast(F::LIMBS);
        let inverse = set(F::NEGATED_INVERSE);
        let zero = set(0);
        for i in 0..LIMB_COUNT {
            let m = low(zero, columns[i], inverse);
            // The lowest 52 bits become 0; what is above goes to the next column. Columns are not negative.
            columns[i] = low(columns[i], m, p0);
            columns[i + 1] = plus(columns[i + 1], carry(columns[i]));
            columns[i + 1] = high(columns[i + 1], m, p0);
            columns[i + 1] = low(columns[i + 1], m, p1);
            columns[i + 2] = high(columns[i + 2], m, p1);
            columns[i + 2] = low(columns[i + 2], m, p2);
            columns[i + 3] = high(columns[i + 3], m, p2);
            columns[i + 4] = low(columns[i + 4], m, p4);
            columns[i + 5] = high(columns[i + 5], m, p4);
        }
        let [_, _, _, _, _, limbs @ ..] = columns;
        Self::new(normalized(limbs))
    }
}

impl<F: Field> Lanes for Ifma<F> {
    type Element = F;
    type Word = Packed<F>;
    type Sum = Columns;

    /// Columns stay below `128 * 10 * 2^52 < 2^63`. A value is below `128 B^2 < 513 p^2`; [`Lanes::reduce`] says why that is
    /// allowed.
    const SUMMANDS: usize = 128;
    const COST: usize = 1;

    #[inline(always)]
    fn enter<R>(kernel: impl FnOnce() -> R) -> R {
        enabled(kernel)
    }

    /// A canonical integer `x` is the word of `x 2^-260`: one multiplication for all lanes.
    #[inline(always)]
    fn convert(elements: [&F; LANES]) -> Self {
        let mut words = [Packed::default(); LANES];
        for i in 0..LANES {
            words[i] = Packed(canonical(elements[i]), PhantomData);
        }
        Self::load(words.each_ref()).mul(Self::new(broadcast(F::RADIX_SQUARED)))
    }

    #[inline(always)]
    fn splat(word: &Packed<F>) -> Self {
        let [w0, w1, w2, w3] = word.0;
        let limbs = [
            w0 & MASK,
            (w0 >> 52 | w1 << 12) & MASK,
            (w1 >> 40 | w2 << 24) & MASK,
            (w2 >> 28 | w3 << 36) & MASK,
            w3 >> 16,
        ];
        Self::new(broadcast(limbs))
    }

    #[inline(always)]
    fn load(words: [&Packed<F>; LANES]) -> Self {
        Self::unpacked(transposed_words(words))
    }

    #[inline(always)]
    fn store(self, words: &mut [Packed<F>; LANES]) {
        let [w0, w1, w2, w3] = self.packed();
        // SAFETY: every word is 32 bytes long, half a register; for the rest see the module.
        #[inline(always)]
        unsafe fn put<F>(words: &mut [Packed<F>; LANES], lane: usize, rows: __m512i) {
            unsafe {
                _mm256_storeu_si256(words[lane].0.as_mut_ptr().cast(), _mm512_castsi512_si256(rows));
                let other = _mm512_extracti64x4_epi64::<1>(rows);
                _mm256_storeu_si256(words[lane + 2].0.as_mut_ptr().cast(), other);
            }
        }
        // SAFETY: see the module.
        unsafe {
            // Lanes 0 2 4 6, then 1 3 5 7, two words each.
            let (a0, a1) = (_mm512_unpacklo_epi64(w0, w1), _mm512_unpackhi_epi64(w0, w1));
            let (b0, b1) = (_mm512_unpacklo_epi64(w2, w3), _mm512_unpackhi_epi64(w2, w3));
            let first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
            let last = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
            put(words, 0, _mm512_permutex2var_epi64(a0, first, b0));
            put(words, 1, _mm512_permutex2var_epi64(a1, first, b1));
            put(words, 4, _mm512_permutex2var_epi64(a0, last, b0));
            put(words, 5, _mm512_permutex2var_epi64(a1, last, b1));
        }
    }

    /// The integer plus `2^63` is an unsigned word, two limbs; times `2^520 mod p < p` its reduction is below `B`.
    #[inline(always)]
    fn integers(values: &[i64; LANES]) -> Self {
        // SAFETY: the array has the size of a register; for the rest see the module.
        let words = unsafe { _mm512_loadu_si512(values.as_ptr().cast()) };
        let words = plus(words, set(1 << 63));
        // SAFETY: see the module.
        let high = unsafe { _mm512_srli_epi64::<BITS>(words) };
        let zero = set(0);
        let offset = Self::new([and(words, set(MASK)), high, zero, zero, zero]);
        let radix_squared = Self::new(broadcast(F::RADIX_SQUARED));
        let two_to_63 = Self::new([zero, set(1 << (63 - BITS)), zero, zero, zero]);
        offset.mul(radix_squared).sub(two_to_63.mul(radix_squared))
    }

    /// Adds a multiple `-m p`, `m` in `0..=3`, that an estimate of the sum gives.
    ///
    /// Let `s` be the sum of the top limbs and `q = floor(s / 2^46)`. The lower limbs add less than `2 * 2^208`, so the sum is
    /// at least `q 2^254` and below `(q + 1) 2^254 + 2^209`. Taking off `m = max(q - 1, 0)` times `p` leaves it at least
    /// `2^254 - 3t >= 0` (for `q >= 1`), and below `2^255 + 2^209 = B`. Top limbs are at most `2^47 + 1`, so `q <= 4`.
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        let mut limbs = [set(0); LIMB_COUNT];
        for i in 0..LIMB_COUNT {
            limbs[i] = plus(self.0[i], other.0[i]);
        }
        // SAFETY: see the module.
        let quotient = unsafe { _mm512_srli_epi64::<46>(limbs[4]) };
        let multiple = multiple::<F>(quotient, [0, 0, -1, -2, -3, 0, 0, 0]);
        for i in [0, 1, 2, 4] {
            limbs[i] = plus(limbs[i], multiple[i]);
        }
        Self::new(normalized(limbs))
    }

    /// Adds a multiple `m p`, `m` in `-1..=4`, that an estimate of the difference gives.
    ///
    /// Let `s` be the difference of the top limbs and `q = floor(s / 2^46)`. The lower limbs change it by less than `2^208`
    /// either way, so the difference is above `q 2^254 - 2^208` and below `(q + 1) 2^254 + 2^208`. Adding `m = 1 - q` times `p`
    /// leaves it above `2^254 - 2^208 - t > 0` and below `2^255 + 2^208 + 4t < B`. Top limbs are at most `2^47 + 1`, so `q` is
    /// in `-3..=2`.
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        let mut limbs = [set(0); LIMB_COUNT];
        for i in 0..LIMB_COUNT {
            limbs[i] = minus(self.0[i], other.0[i]);
        }
        // SAFETY: see the module.
        let quotient = unsafe { _mm512_srai_epi64::<46>(limbs[4]) };
        // By `q` modulo 8: 0, 1, 2, then -3, -2, -1 at the end.
        let multiple = multiple::<F>(quotient, [1, 0, -1, 0, 0, 4, 3, 2]);
        for i in [0, 1, 2, 4] {
            limbs[i] = plus(limbs[i], multiple[i]);
        }
        Self::new(normalized(limbs))
    }

    /// A product is below `B^2 < 4.01 p^2`.
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        let mut columns = [set(0); 2 * LIMB_COUNT];
        Self::multiply(&mut columns, &self, &other);
        Self::montgomery(columns)
    }

    /// Products of different limbs are computed once and doubled: the columns are those of [`Ifma::mul`].
    #[inline(always)]
    fn square(self) -> Self {
        let mut columns = [set(0); 2 * LIMB_COUNT];
        for i in 0..LIMB_COUNT {
            for j in i + 1..LIMB_COUNT {
                columns[i + j] = low(columns[i + j], self.0[i], self.0[j]);
                columns[i + j + 1] = high(columns[i + j + 1], self.0[i], self.0[j]);
            }
        }
        for column in &mut columns[1..2 * LIMB_COUNT - 1] {
            *column = plus(*column, *column);
        }
        for i in 0..LIMB_COUNT {
            columns[2 * i] = low(columns[2 * i], self.0[i], self.0[i]);
            columns[2 * i + 1] = high(columns[2 * i + 1], self.0[i], self.0[i]);
        }
        Self::montgomery(columns)
    }

    /// Two products are below `2 B^2 < 8.01 p^2`.
    #[inline(always)]
    fn mul_add(a: Self, b: Self, c: Self, d: Self) -> Self {
        let mut columns = [set(0); 2 * LIMB_COUNT];
        Self::multiply(&mut columns, &a, &b);
        Self::multiply(&mut columns, &c, &d);
        Self::montgomery(columns)
    }

    #[inline(always)]
    fn no_sum() -> Columns {
        Columns([set(0); 2 * LIMB_COUNT])
    }

    #[inline(always)]
    fn accumulate(sum: &mut Columns, a: Self, b: Self) {
        Self::multiply(&mut sum.0, &a, &b);
    }

    /// The first reduction leaves a value below `513 p^2 / 2^260 + p < 9.1 p < 2^258`, more than `B` but in normal limbs. Times
    /// the word of 1, which is below `1.02 p`, that is less than `10 p^2`, and a second reduction brings it below `B`.
    #[inline(always)]
    fn reduce(sum: Columns) -> Self {
        Self::montgomery(sum.0).mul(Self::splat(&Packed::new(&F::ONE)))
    }

    #[inline(always)]
    fn select(mask: u8, chosen: Self, other: Self) -> Self {
        let mut limbs = other.0;
        for i in 0..LIMB_COUNT {
            // SAFETY: see the module.
            limbs[i] = unsafe { _mm512_mask_mov_epi64(limbs[i], mask, chosen.0[i]) };
        }
        Self::new(limbs)
    }

    #[inline(always)]
    fn defaults(self) -> u8 {
        let [l0, l1, l2, l3, l4] = self.0;
        // SAFETY: see the module.
        unsafe {
            let bits = _mm512_or_si512(_mm512_or_si512(l0, l1), _mm512_or_si512(_mm512_or_si512(l2, l3), l4));
            _mm512_testn_epi64_mask(bits, bits)
        }
    }

    /// Compares the lowest limbs of the difference, where it is 0 a multiple of `p` below `B < 3p`, with those of `0`, `p`, `2p`.
    #[inline(always)]
    fn may_equal(self, other: Self) -> u8 {
        let difference = self.sub(other).0[0];
        (0..3).fold(
            0,
            #[inline(always)]
            |bits, k| {
                // SAFETY: see the module.
                bits | unsafe { _mm512_cmpeq_epi64_mask(difference, set((k * F::LIMBS[0]) & MASK)) }
            },
        )
    }
}

impl<F: Field> Ifma<F> {
    /// From four registers of 64-bit words.
    #[inline(always)]
    pub(crate) fn unpacked([w0, w1, w2, w3]: [__m512i; 4]) -> Self {
        // SAFETY: see the module.
        unsafe {
            // The bits of two words that make up a limb.
            let mask = set(MASK);
            Self::new([
                and(w0, mask),
                and(_mm512_or_si512(_mm512_srli_epi64::<52>(w0), _mm512_slli_epi64::<12>(w1)), mask),
                and(_mm512_or_si512(_mm512_srli_epi64::<40>(w1), _mm512_slli_epi64::<24>(w2)), mask),
                and(_mm512_or_si512(_mm512_srli_epi64::<28>(w2), _mm512_slli_epi64::<36>(w3)), mask),
                _mm512_srli_epi64::<16>(w3),
            ])
        }
    }

    /// As four registers of 64-bit words: `B < 2^256`.
    #[inline(always)]
    pub(crate) fn packed(self) -> [__m512i; 4] {
        let [l0, l1, l2, l3, l4] = self.0;
        // SAFETY: see the module.
        unsafe {
            [
                _mm512_or_si512(l0, _mm512_slli_epi64::<52>(l1)),
                _mm512_or_si512(_mm512_srli_epi64::<12>(l1), _mm512_slli_epi64::<40>(l2)),
                _mm512_or_si512(_mm512_srli_epi64::<24>(l2), _mm512_slli_epi64::<28>(l3)),
                _mm512_or_si512(_mm512_srli_epi64::<36>(l3), _mm512_slli_epi64::<16>(l4)),
            ]
        }
    }
}

/// Word `i` of all lanes in register `i`.
#[inline(always)]
fn transposed_words<F>(words: [&Packed<F>; LANES]) -> [__m512i; 4] {
    // SAFETY: every word is 32 bytes long, half a register; for the rest see the module.
    #[inline(always)]
    unsafe fn pair<F>(words: &[&Packed<F>; LANES], lane: usize) -> __m512i {
        unsafe {
            let row = _mm256_loadu_si256(words[lane].0.as_ptr().cast());
            let other = _mm256_loadu_si256(words[lane + 4].0.as_ptr().cast());
            _mm512_inserti64x4::<1>(_mm512_castsi256_si512(row), other)
        }
    }
    // SAFETY: see the module.
    unsafe {
        // Rows of two words each: w0 w1 w2 w3 of a lane, then of the fourth after it.
        let [r0, r1] = [pair(&words, 0), pair(&words, 1)];
        let [r2, r3] = [pair(&words, 2), pair(&words, 3)];
        // In each 128-bit block: the same word of two lanes.
        let (a0, a1) = (_mm512_unpacklo_epi64(r0, r1), _mm512_unpackhi_epi64(r0, r1));
        let (b0, b1) = (_mm512_unpacklo_epi64(r2, r3), _mm512_unpackhi_epi64(r2, r3));
        // Blocks of a0: words 0 of lanes 0 1, words 2 of lanes 0 1, words 0 of lanes 4 5, words 2 of lanes 4 5.
        let low = _mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13);
        let high = _mm512_setr_epi64(2, 3, 10, 11, 6, 7, 14, 15);
        [
            _mm512_permutex2var_epi64(a0, low, b0),
            _mm512_permutex2var_epi64(a1, low, b1),
            _mm512_permutex2var_epi64(a0, high, b0),
            _mm512_permutex2var_epi64(a1, high, b1),
        ]
    }
}

/// The canonical integer of an element, by 64-bit words.
fn canonical<F: Field>(element: &F) -> [u64; 4] {
    let repr = element.to_repr();
    let mut words = [0u64; 4];
    for (word, bytes) in words.iter_mut().zip(repr.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    words
}

/// `a - b` and whether it is negative.
#[inline(always)]
fn subtract(a: [u64; 4], b: [u64; 4]) -> ([u64; 4], bool) {
    let mut borrow = false;
    let difference = std::array::from_fn(|i| {
        let (d, first) = a[i].overflowing_sub(b[i]);
        let (d, second) = d.overflowing_sub(u64::from(borrow));
        borrow = first | second;
        d
    });
    (difference, borrow)
}

/// `a + b`, which is below `2^256`.
fn sum(a: [u64; 4], b: [u64; 4]) -> [u64; 4] {
    let mut carry = false;
    std::array::from_fn(|i| {
        let (s, first) = a[i].overflowing_add(b[i]);
        let (s, second) = s.overflowing_add(u64::from(carry));
        carry = first | second;
        s
    })
}

/// The words of `k p`, `k <= 3`.
const fn modulus_words<F: Field>(k: u64) -> [u64; 4] {
    let m = F::LIMBS;
    let limbs = [k * m[0], k * m[1], k * m[2], k * m[3], k * m[4]];
    // Limbs are below 2^54: carries first.
    let l1 = limbs[1] + (limbs[0] >> 52);
    let l2 = limbs[2] + (l1 >> 52);
    [limbs[0] & MASK | l1 << 52, (l1 & MASK) >> 12 | l2 << 40, l2 >> 24 | limbs[3] << 28, limbs[4] << 16]
}

#[cfg(test)]
impl<F: Field> Packed<F> {
    /// The representation with these words, below `B`.
    pub(super) fn from_words(words: [u64; 4]) -> Self {
        Packed(words, PhantomData)
    }

    pub(super) fn words(&self) -> [u64; 4] {
        self.0
    }

    pub(super) fn multiple_of_modulus(k: u64) -> [u64; 4] {
        modulus_words::<F>(k)
    }
}

impl<F: Field> Word for Packed<F> {
    type Element = F;

    /// One Montgomery multiplication on one lane.
    fn new(element: &F) -> Self {
        Packed(scalar::product::<F>(scalar::limbs(canonical(element)), F::RADIX_SQUARED), PhantomData)
    }

    fn get(&self) -> F {
        let mut words = scalar::product::<F>(scalar::limbs(self.0), [1, 0, 0, 0, 0]);
        // A reduced product by 1 is at most p.
        let (reduced, negative) = subtract(words, const { modulus_words::<F>(1) });
        if !negative {
            words = reduced;
        }
        let mut repr = [0; 32];
        for (bytes, word) in repr.as_chunks_mut::<8>().0.iter_mut().zip(words) {
            *bytes = word.to_le_bytes();
        }
        F::from_repr_vartime(repr).expect("reduced words are canonical")
    }

    /// `2p - x`, or `3p - x` where that is negative: below `B` in both cases. Zero stays as it is. Without a branch on the sign,
    /// which is a coin toss for digits.
    #[inline(always)]
    fn negated_if(&self, negate: bool) -> Self {
        if self.is_default() {
            return *self;
        }
        let (mut words, negative) = subtract(const { modulus_words::<F>(2) }, self.0);
        if negative {
            words = subtract(const { modulus_words::<F>(3) }, self.0).0;
        }
        let mask = u64::from(negate).wrapping_neg();
        for (word, unchanged) in words.iter_mut().zip(self.0) {
            *word = *word & mask | unchanged & !mask;
        }
        Packed(words, PhantomData)
    }

    #[inline]
    fn is_default(&self) -> bool {
        self.0[0] | self.0[1] | self.0[2] | self.0[3] == 0
    }

    /// The difference of equal elements is a multiple of `p`, and less than `B < 3p`.
    #[inline]
    fn equals(&self, other: &Self) -> bool {
        let (mut difference, negative) = subtract(self.0, other.0);
        if negative {
            difference = subtract(other.0, self.0).0;
        }
        difference == [0; 4]
            || difference == const { modulus_words::<F>(1) }
            || difference == const { modulus_words::<F>(2) }
    }

    fn representations(&self) -> Vec<Self> {
        let multiples = const { [modulus_words::<F>(0), modulus_words::<F>(1), modulus_words::<F>(2)] };
        let mut least = self.0;
        while let (reduced, false) = subtract(least, multiples[1]) {
            least = reduced;
        }
        let words = multiples.iter().map(|multiple| sum(least, *multiple));
        words.filter(|words| subtract(*words, BOUND).1).map(|words| Packed(words, PhantomData)).collect()
    }

    #[inline]
    fn key(&self) -> u64 {
        self.0[0]
    }
}

/// The same arithmetic on one lane with ordinary instructions, to convert single elements.
mod scalar {
    use super::{BITS, Field, LIMB_COUNT, MASK};

    /// 64-bit words as limbs.
    pub(super) fn limbs([w0, w1, w2, w3]: [u64; 4]) -> [u64; LIMB_COUNT] {
        [
            w0 & MASK,
            (w0 >> 52 | w1 << 12) & MASK,
            (w1 >> 40 | w2 << 24) & MASK,
            (w2 >> 28 | w3 << 36) & MASK,
            w3 >> 16,
        ]
    }

    /// The Montgomery product `a b 2^-260`, at most `a b / 2^260 + p`, as words.
    pub(super) fn product<F: Field>(a: [u64; LIMB_COUNT], b: [u64; LIMB_COUNT]) -> [u64; 4] {
        let mut columns = [0u128; 2 * LIMB_COUNT];
        for i in 0..LIMB_COUNT {
            for j in 0..LIMB_COUNT {
                columns[i + j] += u128::from(a[j]) * u128::from(b[i]);
            }
        }
        for i in 0..LIMB_COUNT {
            let m = (columns[i] as u64).wrapping_mul(F::NEGATED_INVERSE) & MASK;
            for (j, limb) in F::LIMBS.into_iter().enumerate() {
                columns[i + j] += u128::from(m) * u128::from(limb);
            }
            columns[i + 1] += columns[i] >> BITS;
        }
        let mut limbs = [0u64; LIMB_COUNT];
        let mut carry = 0;
        for (limb, column) in limbs.iter_mut().zip(&columns[LIMB_COUNT..]) {
            let total = column + carry;
            *limb = total as u64 & MASK;
            carry = total >> BITS;
        }
        [
            limbs[0] | limbs[1] << 52,
            limbs[1] >> 12 | limbs[2] << 40,
            limbs[2] >> 24 | limbs[3] << 28,
            limbs[3] >> 36 | limbs[4] << 16,
        ]
    }
}
