//! The vector lanes against the arithmetic of `pasta_curves`, at every extreme of the representation.

use super::*;
use crate::{Fp, Fq};
use proptest::prelude::*;

/// All results of every operation on three operands per lane.
#[derive(Debug, PartialEq)]
struct Results<F> {
    add: [F; LANES],
    sub: [F; LANES],
    mul: [F; LANES],
    square: [F; LANES],
    double: [F; LANES],
    mul_add: [F; LANES],
    chain: [F; LANES],
    sum: [F; LANES],
    negated: [F; LANES],
    round_trip: [F; LANES],
    converted: [F; LANES],
    selected: [F; LANES],
}

fn get<L: Lanes>(lanes: L) -> [L::Element; LANES] {
    let mut words = [L::Word::default(); LANES];
    lanes.store(&mut words);
    words.map(|word| word.get())
}

#[inline(always)]
fn operations<L: Lanes>(
    a: &[L::Word; LANES],
    b: &[L::Word; LANES],
    c: &[L::Word; LANES],
) -> Results<L::Element> {
    let [x, y, z] = [a, b, c].map(
        #[inline(always)]
        |words| L::load(words.each_ref()),
    );
    let mut sum = L::no_sum();
    for _ in 0..128 {
        L::accumulate(&mut sum, x, y);
    }
    // Results of operations as operands, many times over: no bound may be exceeded on the way.
    let mut chain = x;
    for _ in 0..8 {
        chain = chain.sub(y).sub(z).add(x).add(chain).sub(chain.sub(z)).add(y.sub(x)).double();
        chain = L::mul_add(chain, x.sub(y), chain.double(), z.add(z)).sub(z.square());
    }
    Results {
        add: get(x.add(y)),
        sub: get(x.sub(y)),
        mul: get(x.mul(y)),
        square: get(x.square()),
        double: get(x.double()),
        mul_add: get(L::mul_add(x, y, y, z)),
        chain: get(chain),
        sum: get(L::reduce(sum)),
        negated: a.map(|word| word.negated_if(true).get()),
        round_trip: get(x),
        converted: get(L::convert(a.map(|word| word.get()).each_ref())),
        selected: get(L::select(0b0110_0101, x, y)),
    }
}

fn expected<F: Field>(a: &[F; LANES], b: &[F; LANES], c: &[F; LANES]) -> Results<F> {
    let each = |f: &dyn Fn(F, F, F) -> F| std::array::from_fn(|i| f(a[i], b[i], c[i]));
    Results {
        add: each(&|x, y, _| x + y),
        sub: each(&|x, y, _| x - y),
        mul: each(&|x, y, _| x * y),
        square: each(&|x, _, _| x * x),
        double: each(&|x, _, _| x + x),
        mul_add: each(&|x, y, z| x * y + y * z),
        chain: each(&|x, y, z| {
            let mut chain = x;
            for _ in 0..8 {
                chain = (chain - y - z + x + chain - (chain - z) + y - x).double();
                chain = chain * (x - y) + chain.double() * z.double() - z.square();
            }
            chain
        }),
        sum: each(&|x, y, _| x * y * F::from(128)),
        negated: each(&|x, _, _| -x),
        round_trip: each(&|x, _, _| x),
        converted: each(&|x, _, _| x),
        selected: std::array::from_fn(|i| if [0, 2, 5, 6].contains(&i) { a[i] } else { b[i] }),
    }
}

#[inline(always)]
fn check<L: Lanes>(operands: [[L::Word; LANES]; 3]) {
    let elements = operands.map(|words| words.map(|word| word.get()));
    let [a, b, c] = &operands;
    let [x, y, z] = &elements;
    assert_eq!(operations::<L>(a, b, c), expected(x, y, z));
    let (equal, defaults) = (equal::<L>(a, b), defaults::<L>(a));
    for i in 0..LANES {
        assert!(equal >> i & 1 == 1 || x[i] != y[i]);
        assert_eq!(defaults >> i & 1 == 1, a[i].is_default());
        assert_eq!(a[i].equals(&b[i]), x[i] == y[i]);
    }
}

#[inline(always)]
fn equal<L: Lanes>(a: &[L::Word; LANES], b: &[L::Word; LANES]) -> u8 {
    L::load(a.each_ref()).may_equal(L::load(b.each_ref()))
}

#[inline(always)]
fn defaults<L: Lanes>(a: &[L::Word; LANES]) -> u8 {
    L::load(a.each_ref()).defaults()
}

/// Checks all combinations of these words, in the lanes of many operations.
#[inline(always)]
fn check_combinations<L: Lanes>(words: &[L::Word]) {
    let mut operands = [[L::Word::default(); LANES]; 3];
    let mut lane = 0;
    for a in words {
        for b in words {
            for c in words {
                for (operand, word) in operands.iter_mut().zip([a, b, c]) {
                    operand[lane] = *word;
                }
                lane = (lane + 1) % LANES;
                if lane == 0 {
                    check::<L>(operands);
                }
            }
        }
    }
    check::<L>(operands);
}

/// Elements whose canonical or Montgomery forms are extreme.
fn extremes<F: Field>() -> Vec<F> {
    let small = [0, 1, 2, 3, u64::MAX].map(F::from);
    small.into_iter().flat_map(|x| [x, -x, F::TWO_INV + x]).collect()
}

#[test]
fn portable_lanes_are_the_field() {
    check_combinations::<Portable<Fp>>(&extremes());
    check_combinations::<Portable<Fq>>(&extremes());
}

#[cfg(target_arch = "x86_64")]
mod vector {
    use super::*;
    use crate::backend::{Backend, best};
    use crate::lanes::ifma::{Ifma, Packed, enabled};
    use ff::PrimeField;

    /// Every integer below `B` is a representation. These are at the ends of limbs, of words, of the modulus' multiples and
    /// of the range.
    fn representations<F: Field>() -> Vec<Packed<F>> {
        let top = |high: u64, low: u64| [low, 0, 0, high];
        let full = [u64::MAX, u64::MAX, u64::MAX];
        let mut words = vec![
            [0; 4],
            [1, 0, 0, 0],
            [(1 << 52) - 1, 0, 0, 0],
            [1 << 52, 0, 0, 0],
            [full[0], full[1], full[2], 0],
            // 2^254 - 1, 2^255 - 1, 2^255 and B - 1.
            [full[0], full[1], full[2], (1 << 62) - 1],
            [full[0], full[1], full[2], (1 << 63) - 1],
            top(1 << 63, 0),
            [full[0], full[1], full[2], (1 << 63) + (1 << 17) - 1],
            // Limbs of all ones and of zeros in turn.
            [(1 << 52) - 1, !0 << 40, (1 << 28) - 1, (1 << 63) - (1 << 16)],
        ];
        for k in 1..=2 {
            let multiple = Packed::<F>::multiple_of_modulus(k);
            let mut neighbour = multiple;
            neighbour[0] += 1;
            words.push(neighbour);
            neighbour[0] -= 2;
            words.push(neighbour);
            words.push(multiple);
        }
        words.into_iter().map(Packed::from_words).collect()
    }

    fn check_extremes<F: Field>() {
        if best() != Backend::Ifma {
            return;
        }
        let mut words = representations::<F>();
        words.extend(extremes::<F>().iter().map(Packed::new));
        enabled(
            #[inline(always)]
            || check_combinations::<Ifma<F>>(&words),
        );
    }

    #[test]
    fn extremes_of_fp() {
        check_extremes::<Fp>();
    }

    #[test]
    fn extremes_of_fq() {
        check_extremes::<Fq>();
    }

    #[test]
    fn unequal_lanes_are_told_apart() {
        if best() == Backend::Ifma {
            let word = |i: u64| Packed::new(&(Fp::from(i) * Fp::TWO_INV));
            let (a, b) = ([3, 1, 4, 1, 5, 9, 2, 6].map(word), [3, 1, 3, 1, 6, 9, 5, 6].map(word));
            assert_eq!(
                enabled(
                    #[inline(always)]
                    || equal::<Ifma<Fp>>(&a, &b)
                ),
                0b1010_1011
            );
        }
    }

    #[test]
    fn all_words_of_an_element_are_known() {
        fn check<F: Field>() {
            let words = representations::<F>();
            for word in &words {
                let all = word.representations();
                assert!(all.len() >= 2 && all.iter().all(|other| other.get() == word.get()));
                // Those with the same value are among them, once.
                let same = words.iter().filter(|other| other.get() == word.get());
                for other in same.chain([&Packed::new(&word.get()), word]) {
                    assert_eq!(all.iter().filter(|w| w.words() == other.words()).count(), 1);
                    assert_eq!(all.iter().filter(|w| w.key() == other.key()).count(), 1);
                }
            }
        }
        check::<Fp>();
        check::<Fq>();
    }

    #[test]
    fn words_convert_back() {
        for element in extremes::<Fq>() {
            let word = Packed::new(&element);
            assert_eq!(word.get(), element);
            assert_eq!(word.is_default(), element == Fq::from(0));
        }
    }

    fn representation<F: Field>() -> impl Strategy<Value = Packed<F>> {
        // Below 2^255 + 2^209: uniform words, or words of few distinct bits.
        let word =
            || prop_oneof![any::<u64>(), Just(0), Just(u64::MAX), (0..64u32).prop_map(|s| u64::MAX << s)];
        (word(), word(), word(), word()).prop_map(|(a, b, c, d)| Packed::from_words([a, b, c, d >> 1]))
    }

    fn operands<F: Field>(words: &[Packed<F>]) -> [[Packed<F>; LANES]; 3] {
        std::array::from_fn(|operand| std::array::from_fn(|lane| words[LANES * operand + lane]))
    }

    proptest! {
        #[test]
        fn random_representations(
            // On the heap: arrays of strategies are too large for the stack of a test.
            fp in prop::collection::vec(representation::<Fp>(), 3 * LANES),
            fq in prop::collection::vec(representation::<Fq>(), 3 * LANES),
        ) {
            if best() == Backend::Ifma {
                enabled(#[inline(always)] || check::<Ifma<Fp>>(operands(&fp)));
                enabled(#[inline(always)] || check::<Ifma<Fq>>(operands(&fq)));
            }
        }
    }
}
