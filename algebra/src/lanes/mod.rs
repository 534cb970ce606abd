//! Eight elements of a Pasta field at once.
//!
//! Kernels are written once, over [`Lanes`], and compiled twice: over [`Portable`], and over [`Ifma`](ifma::Ifma) in a
//! function that has AVX-512 enabled. So both compute the same values in the same order, by construction; what differs is
//! tested lane by lane here.

#[cfg(target_arch = "x86_64")]
pub(crate) mod ifma;
#[cfg(feature = "measurement")]
pub mod measure;
mod portable;
#[cfg(test)]
mod tests;

pub(crate) use portable::Portable;

/// The vector lanes, where this architecture has some; else the portable ones again.
#[cfg(target_arch = "x86_64")]
pub(crate) type Vector<F> = ifma::Ifma<F>;
#[cfg(not(target_arch = "x86_64"))]
pub(crate) type Vector<F> = Portable<F>;

use ff::PrimeField;
use pasta_curves::arithmetic::VartimeField;
use pasta_curves::deferred::DeferredField;
use std::fmt::Debug;

/// Elements in one [`Lanes`].
pub(crate) const LANES: usize = 8;

/// A field with kernels.
pub(crate) trait Field:
    PrimeField<Repr = [u8; 32]> + VartimeField + DeferredField + Send + Sync + 'static
{
    /// The modulus, 52 bits to a limb. Limb 3 is 0 and limb 4 is `2^46` for both fields.
    const LIMBS: [u64; 5];
    /// `-1 / p` modulo `2^52`.
    const NEGATED_INVERSE: u64;
    /// `2^520` modulo `p`, by 52-bit limbs: takes canonical integers to Montgomery form.
    const RADIX_SQUARED: [u64; 5];

    /// The product by the compiled multiplication: unlike the assembly behind `*` it is inlined and passes its operands in
    /// registers, which saves a fifth of a batched addition of points (measured).
    fn times(&self, other: &Self) -> Self;
}

/// Eight field elements in a hidden representation.
///
/// Operations are methods that a kernel calls in straight lines; all of them are inlined.
///
/// # Safety of implementations
/// The functions that make [`Ifma`](ifma::Ifma) lanes from something else must only be called inside of [`Lanes::enter`] or
/// [`dispatch!`](crate::lanes::dispatch), which check that the processor has the instructions; whoever holds lanes then has a
/// processor that does. All other code should run there too, for speed: outside, every operation is a call.
pub(crate) trait Lanes: Copy + Debug + Send + Sync + 'static {
    /// The field.
    type Element: Field;
    /// One element, in a form that is quick to move into a lane and out again.
    type Word: Word<Element = Self::Element>;
    /// A sum of products, not yet reduced: at most [`Lanes::SUMMANDS`] of them.
    type Sum: Copy;

    /// Products that one [`Lanes::Sum`] can take.
    const SUMMANDS: usize;
    /// About how many times as long as vector ones these lanes take (measured), to decide about threads.
    const COST: usize;

    /// Calls a kernel in a context in which the operations of these lanes are inlined: the way in for code that is generic over
    /// the lanes, inside of a task of a thread.
    ///
    /// # Panics
    /// If the processor lacks the instructions.
    fn enter<R>(kernel: impl FnOnce() -> R) -> R;
    fn splat(word: &Self::Word) -> Self;
    /// The lanes of these elements, as by [`Word::new`] but quicker.
    fn convert(elements: [&Self::Element; LANES]) -> Self;
    fn load(words: [&Self::Word; LANES]) -> Self;
    fn store(self, words: &mut [Self::Word; LANES]);
    /// Integers as field elements.
    fn integers(values: &[i64; LANES]) -> Self;
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    fn square(self) -> Self;
    /// `a b + c d`, reduced once.
    fn mul_add(a: Self, b: Self, c: Self, d: Self) -> Self;
    fn no_sum() -> Self::Sum;
    /// Adds `a b` to a sum.
    fn accumulate(sum: &mut Self::Sum, a: Self, b: Self);
    /// The value of a sum.
    fn reduce(sum: Self::Sum) -> Self;
    /// The lanes of `chosen` where a bit is set, of `other` elsewhere.
    fn select(mask: u8, chosen: Self, other: Self) -> Self;
    /// One bit per lane, set where the lane is the zero that [`Word::new`] makes.
    fn defaults(self) -> u8;
    /// One bit per lane, set at least where `self` and `other` are equal; where it is set they nearly always are.
    fn may_equal(self, other: Self) -> u8;

    #[inline(always)]
    fn zero() -> Self {
        Self::splat(&Self::Word::default())
    }

    /// The sum of all lanes.
    #[inline(always)]
    fn sum_of_lanes(self) -> Self::Word {
        let mut words = [Self::Word::default(); LANES];
        let mut sum = self;
        for distance in [4, 2, 1] {
            sum.store(&mut words);
            let [a, b, c, d, e, f, g, h] = &words;
            let rotated = match distance {
                4 => [e, f, g, h, a, b, c, d],
                2 => [c, d, a, b, g, h, e, f],
                _ => [b, a, d, c, f, e, h, g],
            };
            sum = sum.add(Self::load(rotated));
        }
        sum.store(&mut words);
        words[0]
    }

    #[inline(always)]
    fn double(self) -> Self {
        self.add(self)
    }
}

/// One field element as [`Lanes`] store it. The default is zero, and the only representation of zero that is made by
/// [`Word::new`].
pub(crate) trait Word: Copy + Debug + Default + Send + Sync + 'static {
    type Element: Field;

    fn new(element: &Self::Element) -> Self;
    fn get(&self) -> Self::Element;
    fn negated_if(&self, negate: bool) -> Self;
    /// Whether this is the zero that [`Word::new`] makes. Another representation of zero is not recognised.
    fn is_default(&self) -> bool;
    /// Whether both are the same element.
    fn equals(&self, other: &Self) -> bool;
    /// All words of this element.
    fn representations(&self) -> Vec<Self>;
    /// Some 64 bits of the word.
    fn key(&self) -> u64;
}

/// Calls a generic kernel for the backend of this process, or for one that is named.
///
/// `dispatch!(backend, F, L => expression)` evaluates the expression with the type `L` bound to the lanes of the backend. For the
/// vector backend the expression is compiled with AVX-512 enabled.
macro_rules! dispatch {
    ($backend:expr, $field:ty, $lanes:ident => $body:expr) => {
        match $backend {
            #[cfg(target_arch = "x86_64")]
            crate::backend::Backend::Ifma => {
                type $lanes = crate::lanes::ifma::Ifma<$field>;
                crate::lanes::ifma::enabled(
                    #[inline(always)]
                    || $body,
                )
            }
            _ => {
                type $lanes = crate::lanes::Portable<$field>;
                $body
            }
        }
    };
}
pub(crate) use dispatch;

impl Field for crate::Fp {
    const LIMBS: [u64; 5] = [0xd_30ed_0000_0001, 0xf_c094_cf91_b992, 0x22_4698, 0, 0x4000_0000_0000];
    const NEGATED_INVERSE: u64 = 0xd_30ec_ffff_ffff;
    const RADIX_SQUARED: [u64; 5] =
        [0x4_a0bf_0000_0edb, 0x1_db5c_0e68_f556, 0x9_5d18_d2de_d9a1, 0x1_4779_7a99_bc3c, 0x2d41_af7b_9cb7];

    #[inline(always)]
    fn times(&self, other: &Self) -> Self {
        self.mul(other)
    }
}

impl Field for crate::Fq {
    const LIMBS: [u64; 5] = [0x6_eb21_0000_0001, 0xf_c099_4a8d_d8c4, 0x22_4698, 0, 0x4000_0000_0000];
    const NEGATED_INVERSE: u64 = 0x6_eb20_ffff_ffff;
    const RADIX_SQUARED: [u64; 5] =
        [0x9_033b_0000_0edb, 0x1_bb79_a7bf_7503, 0xc_f590_62c7_0f21, 0xa_97fa_e231_004c, 0x2d41_af7c_cfda];

    #[inline(always)]
    fn times(&self, other: &Self) -> Self {
        self.mul(other)
    }
}
