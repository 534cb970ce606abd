//! Tests of both kernels.

use super::*;
use crate::parallel::on_one_and_two_threads;
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

fn naive(coefficients: &[Fp], values: impl Iterator<Item = i64>) -> Fp {
    coefficients.iter().zip(values).map(|(c, v)| c * from_i64(v)).sum()
}

/// Both kernels; on a processor without vectors the portable ones run twice.
const BACKENDS: [Backend; 2] = [Backend::Portable, Backend::Ifma];

/// Checks all three functions on one matrix, with all kernels.
fn check(by_row: &[Fp], by_column: &[Fp], values: &[i64]) {
    let (height, width) = (by_row.len(), by_column.len());
    let rows: Vec<Fp> =
        (0..width).map(|c| naive(by_row, (0..height).map(|r| values[r * width + c]))).collect();
    let columns: Vec<Fp> = (0..if width == 0 { 0 } else { height })
        .map(|r| naive(by_column, values[r * width..].iter().copied()))
        .collect();
    let (by_row, by_column) = (Coefficients::new(by_row), Coefficients::new(by_column));
    for backend in BACKENDS {
        assert_eq!(fold_rows_on(backend, &by_row, values, width), rows);
        assert_eq!(fold_columns_on(backend, &by_column, values, width), columns);
        for (row, expected) in values.chunks(width.max(1)).zip(&columns) {
            assert_eq!(inner_product_on(backend, &by_column, row), *expected);
        }
    }
    assert_eq!(fold_rows(&by_row, values, width), rows);
    assert_eq!(fold_columns(&by_column, values, width), columns);
}

fn random(n: usize, seed: u64) -> Vec<Fp> {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    (0..n).map(|_| Fp::random(&mut rng)).collect()
}

#[test]
fn integers_embed() {
    assert_eq!(from_i64(i64::MIN) + Fp::from(1 << 63), Fp::ZERO);
    assert_eq!(from_i64(i64::MAX), Fp::from(i64::MAX as u64));
    assert_eq!(from_i64(-1) + Fp::ONE, Fp::ZERO);
}

#[test]
fn shapes() {
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    for (height, width) in [(0, 0), (0, 3), (3, 0), (1, 1), (1, 65), (7, 64), (65, 3), (33, 129)] {
        for bits in [1, 8, 21, 40, 64] {
            let values: Vec<i64> =
                (0..height * width).map(|_| rng.next_u64() as i64 >> (64 - bits)).collect();
            check(&random(height, 6), &random(width, 7), &values);
        }
    }
}

/// Coefficients whose limbs are as great as they can be, for limbs of any width: all bits but the highest two are ones.
fn greatest() -> Fp {
    let mut bytes = [255; 32];
    bytes[31] = 0x3f;
    Fp::from_repr(bytes).unwrap()
}

#[test]
fn extremes_in_every_stretch() {
    // More than two stretches of the greatest coefficients, and values at both ends of every class and just outside.
    let n = 2 * STRETCH + 5;
    let ends = [9, 15, 20, 21, 52, 64].map(|bits| i64::MAX >> (64 - bits));
    let values =
        ends.into_iter().flat_map(|v| [v.wrapping_add(1), v, -v, !v, v.wrapping_neg().wrapping_sub(2)]);
    for v in values.chain([0]) {
        for c in [-Fp::ONE, greatest()] {
            check(&vec![c; n], &[Fp::ONE], &vec![v; n]);
            check(&[Fp::ONE], &vec![c; n], &vec![v; n]);
        }
    }
}

#[test]
fn a_wider_value_anywhere_changes_the_class() {
    // One wide value among narrow ones, at the beginning, inside a block of rows, and in the last row and column.
    let (height, width) = (70, 37);
    let (by_row, by_column) = (vec![greatest(); height], vec![greatest(); width]);
    for wide in [255, 256, -257, 1 << 14, 1 << 19, -(1 << 20), (1 << 51) - 1, 1 << 51, i64::MIN] {
        for at in [0, 17 * width + 16, 40 * width + 36, height * width - 1] {
            let mut values: Vec<i64> = (0..(height * width) as i64).map(|i| i % 100 - 50).collect();
            values[at] = wide;
            check(&by_row, &by_column, &values);
            // Wider from block to block: all classes in one stretch.
            values[20 * width] = 1 << 12;
            values[60 * width + 1] = -(1 << 18);
            check(&by_row, &by_column, &values);
        }
    }
}

#[test]
fn all_remainders() {
    let mut rng = ChaCha20Rng::seed_from_u64(21);
    for size in 0..=35 {
        for bits in [9, 15, 20, 52, 53] {
            for (height, width) in [(size, 3), (3, size), (size, size + 1)] {
                let values: Vec<i64> =
                    (0..height * width).map(|_| rng.next_u64() as i64 >> (64 - bits)).collect();
                check(&random(height, 22), &random(width, 23), &values);
            }
        }
    }
}

#[test]
fn narrow_types_give_the_same() {
    let mut rng = ChaCha20Rng::seed_from_u64(31);
    let (height, width) = (STRETCH + 19, 43);
    let coefficients = Coefficients::new(&random(height, 32));
    let narrow: Vec<i16> = (0..height * width).map(|_| rng.next_u64() as i16).collect();
    let middle: Vec<i32> = narrow.iter().map(|&v| v.into()).collect();
    let wide: Vec<i64> = narrow.iter().map(|&v| v.into()).collect();
    for backend in BACKENDS {
        let expected = fold_rows_on(backend, &coefficients, &wide, width);
        assert_eq!(fold_rows_on(backend, &coefficients, &narrow, width), expected);
        assert_eq!(fold_rows_on(backend, &coefficients, &middle, width), expected);
    }
}

#[test]
fn one_and_two_threads_agree() {
    let mut rng = ChaCha20Rng::seed_from_u64(9);
    let (height, width) = (401, 530);
    let values: Vec<i64> = (0..height * width).map(|_| rng.next_u64() as i64 >> 48).collect();
    let (by_row, by_column) = (random(height, 10), random(width, 11));
    let [one, two] = on_one_and_two_threads(|| {
        check(&by_row, &by_column, &values);
        let flat = inner_product(&Coefficients::new(&random(height * width, 12)), &values);
        let long = random(40_000, 13);
        (flat, inner_product_field(&long, &long))
    });
    assert_eq!(one, two);
    assert_eq!(one.1, random(40_000, 13).iter().map(Fp::square).sum::<Fp>());
    assert_eq!(one.0, naive(&random(height * width, 12), values.iter().copied()));
}

proptest! {
    #[test]
    fn products_agree_with_the_definition(
        terms in prop::collection::vec((any::<u64>(), prop_oneof![any::<i64>(), -300i64..300, Just(0)]), 0..40)
    ) {
        let coefficients: Vec<Fp> = terms.iter().map(|t| Fp::from(t.0).square().square()).collect();
        let values: Vec<i64> = terms.iter().map(|t| t.1).collect();
        let expected = naive(&coefficients, values.iter().copied());
        for backend in BACKENDS {
            prop_assert_eq!(inner_product_on(backend, &Coefficients::new(&coefficients), &values), expected);
        }
        let embedded: Vec<Fp> = values.iter().map(|&v| from_i64(v)).collect();
        prop_assert_eq!(inner_product_field(&coefficients, &embedded), expected);
    }
}

#[test]
fn combinations_agree_with_the_definition() {
    for (count, len) in [(0, 3), (1, 0), (3, 5), (70, 600)] {
        let coefficients = random(count, 41);
        let vectors: Vec<Vec<Fp>> = (0..count as u64).map(|i| random(len + 1, 42 + i)).collect();
        let expected: Vec<Fp> =
            (0..len).map(|at| coefficients.iter().zip(&vectors).map(|(c, v)| c * v[at]).sum()).collect();
        for combined in on_one_and_two_threads(|| combination(&coefficients, &vectors, len)) {
            assert_eq!(combined, expected);
        }
    }
}

#[test]
fn integer_products_agree_with_the_definition() {
    let mut rng = ChaCha20Rng::seed_from_u64(51);
    for terms in (1..=35).chain([1024]) {
        for bits in [1, 8, 14, 31, 64] {
            let mut integers = |count: usize| -> Vec<i64> {
                (0..count).map(|_| rng.next_u64() as i64 >> (64 - bits)).collect()
            };
            let (a, c) = (integers(terms), integers(5 * terms));
            let product = |row: &[i64]| {
                a.iter().zip(row).fold(0i64, |sum, (a, c)| sum.wrapping_add(a.wrapping_mul(*c)))
            };
            let expected: Vec<i64> = c.chunks(terms).map(product).collect();
            for backend in BACKENDS {
                let mut products = Vec::new();
                row_products_on(backend, &a, &c, &mut products);
                assert_eq!(products, expected);
            }
        }
    }
    for extreme in [i64::MIN, i64::MAX, -1] {
        let mut products = vec![7];
        row_products(&[extreme; 19], &[extreme; 38], &mut products);
        let square = extreme.wrapping_mul(extreme).wrapping_mul(19);
        assert_eq!(products, [7, square, square]);
    }
}
