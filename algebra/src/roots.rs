//! Square roots of eight elements at once.
//!
//! Let `p - 1 = 2^32 t` with odd `t`. For `v = u^((t-1)/2)`, `(u v)^2 = u b` with `b = u v^2 = u^t`, which has an order of at
//! most `2^32`. So `b = w^k` for the root of unity `w`, and if `u` is a square then `k` is even and `u v w^(-k/2)` is a root. The
//! exponent `k` is found from tables, eight bits at a time (P. Sarkar, "Computing square roots faster than the
//! Tonelli-Shanks/Bernstein algorithm", Advances in Mathematics of Communications 18 (2024)).

use crate::affine::PointLanes;
use crate::lanes::{LANES, Lanes, Word};
use ff::{Field, PrimeField};

/// Bits of the exponent `k`, which are found [`STEP`] at a time.
const TWO_ADICITY: usize = 32;
const STEP: usize = 8;
const STEPS: usize = TWO_ADICITY / STEP;

/// Bits of the exponent `(t-1)/2` that cost one multiplication.
const WINDOW: usize = 4;

/// What is precomputed for square roots, for one storage form.
#[derive(Debug)]
pub(crate) struct Roots<W> {
    /// `w^(-2^(8 j) i)` at `[j][i]`.
    powers: Vec<Vec<W>>,
    /// Keys of all words of `w^(2^24 i)`, with `i`: a hash table with linear probing. An empty slot has a number that is out of
    /// range.
    logarithms: Vec<(u64, u16)>,
    /// The exponent `(t-1)/2` by windows, highest first, without the leading zeros.
    exponent: Vec<u8>,
}

/// Slots of the table of logarithms: most of them stay empty.
const SLOTS: usize = 1 << 12;

const EMPTY: u16 = u16::MAX;

fn slot(key: u64) -> usize {
    // Fibonacci hashing.
    (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - SLOTS.ilog2())) as usize
}

impl<W: Word> Roots<W> {
    pub(crate) fn new() -> Self {
        let root = W::Element::ROOT_OF_UNITY;
        let mut generator = W::Element::ROOT_OF_UNITY_INV;
        let mut powers = Vec::with_capacity(STEPS);
        for _ in 0..STEPS {
            let elements = std::iter::successors(Some(W::Element::ONE), |power| Some(*power * generator));
            powers.push(elements.take(1 << STEP).map(|power| W::new(&power)).collect());
            generator = generator.pow_vartime([1 << STEP]);
        }
        let last = root.pow_vartime([1u64 << (TWO_ADICITY - STEP)]);
        let mut logarithms = vec![(0, EMPTY); SLOTS];
        let mut power = W::Element::ONE;
        for i in 0..1 << STEP {
            for word in W::new(&power).representations() {
                let mut slot = slot(word.key());
                while logarithms[slot].1 != EMPTY {
                    slot = (slot + 1) % SLOTS;
                }
                logarithms[slot] = (word.key(), i);
            }
            power *= last;
        }
        Roots { powers, logarithms, exponent: exponent::<W::Element>() }
    }

    /// The `i` with `w^(2^24 i)` equal to the word; any number if there is none.
    #[inline(always)]
    fn logarithm(&self, word: &W) -> usize {
        let key = word.key();
        let mut slot = slot(key);
        loop {
            let (known, i) = self.logarithms[slot];
            if i == EMPTY {
                return 0;
            }
            if known == key {
                return usize::from(i);
            }
            slot = (slot + 1) % SLOTS;
        }
    }
}

/// `(t-1)/2`, which is the modulus without its low 33 bits, by windows.
fn exponent<F: PrimeField<Repr = [u8; 32]>>() -> Vec<u8> {
    let mut bytes = (-F::ONE).to_repr().to_vec();
    // Off with 32 bits, and then one more.
    bytes.drain(..TWO_ADICITY / 8);
    bytes.push(0);
    let halves: Vec<u8> = bytes.windows(2).map(|pair| pair[0] >> 1 | pair[1] << 7).collect();
    let windows = halves.iter().rev().flat_map(|byte| [byte >> WINDOW, byte & ((1 << WINDOW) - 1)]);
    windows.skip_while(|&digit| digit == 0).collect()
}

/// Square roots of elements, in groups that go through the stages together; and one bit per lane, set where it is a root.
///
/// A lane whose element has no root has any value.
#[inline(always)]
pub(crate) fn square_roots<L: PointLanes, const N: usize>(
    roots: &Roots<L::Word>,
    squares: [L; N],
) -> ([L; N], [u8; N]) {
    let halves = powers::<L, N>(squares, &roots.exponent);
    let mut candidates = squares;
    let mut masks = [0; N];
    for i in 0..N {
        candidates[i] = squares[i].mul(halves[i]);
        candidates[i] = corrected(roots, candidates[i], candidates[i].mul(halves[i]));
        masks[i] = equal(candidates[i].square(), squares[i]);
    }
    (candidates, masks)
}

/// One bit per lane, set where both are the same element.
#[inline(always)]
fn equal<L: Lanes>(a: L, b: L) -> u8 {
    let mut mask = a.may_equal(b);
    if mask != 0 {
        let [mut a_words, mut b_words] = [[L::Word::default(); LANES]; 2];
        a.store(&mut a_words);
        b.store(&mut b_words);
        for i in 0..LANES {
            mask &= !(u8::from(!a_words[i].equals(&b_words[i])) << i);
        }
    }
    mask
}

/// Powers with a fixed exponent, by windows.
#[inline(always)]
fn powers<L: Lanes, const N: usize>(bases: [L; N], exponent: &[u8]) -> [L; N] {
    // Entry 0 stands for no multiplication.
    let mut table = [bases; 1 << WINDOW];
    for k in 2..1 << WINDOW {
        for i in 0..N {
            table[k][i] = table[k - 1][i].mul(bases[i]);
        }
    }
    let mut values = table[usize::from(exponent[0])];
    for &digit in &exponent[1..] {
        for _ in 0..WINDOW {
            for i in 0..N {
                values[i] = values[i].square();
            }
        }
        if digit != 0 {
            for i in 0..N {
                values[i] = values[i].mul(table[usize::from(digit)][i]);
            }
        }
    }
    values
}

/// The candidates times `w^(-k/2)`, for `b = w^k`.
#[inline(always)]
fn corrected<L: PointLanes>(roots: &Roots<L::Word>, candidates: L, b: L) -> L {
    // b to the powers 1, 2^8, 2^16, 2^24.
    let mut residues = [b; STEPS];
    for j in 1..STEPS {
        residues[j] = residues[j - 1];
        for _ in 0..STEP {
            residues[j] = residues[j].square();
        }
    }
    let mut exponents = [0u32; LANES];
    for step in 0..STEPS {
        // The powers of w that make up the bits found so far, off from this residue.
        let mut residue = residues[STEPS - 1 - step];
        for known in 0..step {
            residue = residue.mul(power(roots, STEPS - 1 - step + known, &exponents, STEP * known));
        }
        let mut words = [L::Word::default(); LANES];
        residue.store(&mut words);
        for lane in 0..LANES {
            exponents[lane] |= (roots.logarithm(&words[lane]) as u32) << (STEP * step);
        }
    }
    let mut corrected = candidates;
    for j in 0..STEPS {
        corrected = corrected.mul(power(roots, j, &exponents, STEP * j + 1));
    }
    corrected
}

/// Per lane the power `w^(-2^(8 row) i)`, `i` the eight bits of its exponent from `shift` up.
#[inline(always)]
fn power<L: PointLanes>(roots: &Roots<L::Word>, row: usize, exponents: &[u32; LANES], shift: usize) -> L {
    let row = &roots.powers[row];
    let mut words = [&row[0]; LANES];
    for lane in 0..LANES {
        words[lane] = &row[(exponents[lane] >> shift) as usize & ((1 << STEP) - 1)];
    }
    L::load(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Fq;
    use crate::backend::{Backend, best};
    use crate::lanes::dispatch;

    #[test]
    fn the_exponent() {
        // p = 2^32 t + 1.
        let x = Fq::from(7);
        let half = exponent::<Fq>().iter().fold(Fq::ONE, |power, &digit| {
            power.pow_vartime([1 << WINDOW]) * x.pow_vartime([u64::from(digit)])
        });
        let t = half.square() * x;
        assert_eq!((0..TWO_ADICITY).fold(t, |power, _| power.square()), Fq::ONE);
        assert_eq!(
            half,
            x.pow_vartime([
                0x04ca_546e_c623_7590,
                0x0000_0000_1123_4c7e,
                0x0000_0000_0000_0000,
                0x0000_0000_2000_0000
            ])
        );
    }

    #[inline(always)]
    fn roots_of<L: PointLanes>(tables: &Roots<L::Word>, squares: &[Fq; 16]) -> [Option<Fq>; 16] {
        let mut lanes = [L::zero(); 2];
        let mut words = [[L::Word::default(); LANES]; 2];
        for i in 0..16 {
            words[i / LANES][i % LANES] = L::Word::new(&squares[i]);
        }
        for i in 0..2 {
            lanes[i] = L::load(words[i].each_ref());
        }
        let (roots, masks) = square_roots::<L, 2>(tables, lanes);
        for i in 0..2 {
            roots[i].store(&mut words[i]);
        }
        std::array::from_fn(|i| {
            (masks[i / LANES] >> (i % LANES) & 1 == 1).then(|| words[i / LANES][i % LANES].get())
        })
    }

    #[test]
    fn roots_of_every_two_power_order() {
        // Elements of order 2^s times squares, one to a lane in turn; 0 and 1 too.
        let mut elements = vec![Fq::ZERO, Fq::ONE, -Fq::ONE, Fq::from(5), Fq::TWO_INV];
        let mut root = Fq::ROOT_OF_UNITY;
        for i in 0..u64::from(Fq::S) {
            elements.extend([root, root * Fq::from(3 * i + 2).square(), root.invert().unwrap()]);
            root = root.square();
        }
        let mut power = Fq::ONE;
        for i in 0..600 {
            power *= Fq::ROOT_OF_UNITY.pow_vartime([0x0123_4567 * i + 1]);
            elements.push(power * Fq::from(i + 1).square());
        }
        elements.resize(elements.len().next_multiple_of(16), Fq::ONE);
        for backend in [Backend::Portable, best()] {
            for elements in elements.as_chunks::<16>().0 {
                let roots = dispatch!(backend, Fq, L => {
                    let tables = L::roots().get_or_init(Roots::new);
                    L::enter(#[inline(always)] || roots_of::<L>(tables, elements))
                });
                for (element, root) in elements.iter().zip(roots) {
                    assert_eq!(root.is_some(), bool::from(element.sqrt().is_some()));
                    assert!(root.is_none_or(|root| root.square() == *element));
                }
            }
        }
    }
}
