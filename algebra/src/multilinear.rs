//! Multilinear extensions over the Boolean cube.
//!
//! Throughout Provenn the first coordinate of a point belongs to the *most* significant bit of an
//! index, and is bound first.

use crate::Fp;
use ff::Field;

/// Number of variables of an axis of length `len`: `ceil(log2(len))`, 0 for lengths 0 and 1.
pub fn variables(len: usize) -> usize {
    len.next_power_of_two().trailing_zeros() as usize
}

/// All values of `eq(point, x)` for `x` in `{0,1}^m`, index order, each times `scale`.
pub fn eq_table_scaled(point: &[Fp], scale: Fp) -> Vec<Fp> {
    let mut table = Vec::with_capacity(1 << point.len());
    table.push(scale);
    for &r in point {
        // Existing entries are prefixes; the new coordinate is the next less significant bit.
        let len = table.len();
        table.resize(2 * len, Fp::ZERO);
        for i in (0..len).rev() {
            let high = table[i] * r;
            table[2 * i] = table[i] - high;
            table[2 * i + 1] = high;
        }
    }
    table
}

/// All values of `eq(point, x)` for `x` in `{0,1}^m`, index order.
pub fn eq_table(point: &[Fp]) -> Vec<Fp> {
    eq_table_scaled(point, Fp::ONE)
}

/// The tables of `eq` at the suffixes of a point without its first coordinate, shortest first: `eq(point[m..], x)`,
/// `eq(point[m-1..], x)`, .., `eq(point[1..], x)`, as the rounds of a sum-check need them from the last to the first.
pub fn suffix_tables(point: &[Fp]) -> Vec<Vec<Fp>> {
    let mut tables: Vec<Vec<Fp>> = Vec::with_capacity(point.len());
    for start in (1..=point.len()).rev() {
        let table = match tables.last() {
            None => vec![Fp::ONE],
            Some(shorter) => {
                let high = shorter.iter().map(|e| *e * point[start]);
                let mut table: Vec<Fp> = shorter.iter().zip(high.clone()).map(|(e, h)| *e - h).collect();
                table.extend(high);
                table
            }
        };
        tables.push(table);
    }
    tables
}

/// The first `len` entries of [`eq_table`], without computing the others' subtrees.
///
/// # Panics
/// If `len > 2^point.len()`.
pub fn eq_prefix(point: &[Fp], len: usize) -> Vec<Fp> {
    assert!(len <= 1usize << point.len(), "prefix of {len} entries exceeds 2^{}", point.len());
    let mut table = vec![Fp::ONE];
    for (depth, &r) in point.iter().enumerate() {
        let below = point.len() - depth - 1;
        // Entries of this level that have a descendant below `len`.
        let keep = len.div_ceil(1 << below).max(1);
        let mut next = Vec::with_capacity(2 * table.len());
        for &e in &table {
            let high = e * r;
            next.push(e - high);
            next.push(high);
        }
        next.truncate(keep);
        table = next;
    }
    table.truncate(len);
    table
}

/// `eq(point, bits of index)` at one index.
pub fn eq_at(point: &[Fp], index: usize) -> Fp {
    let m = point.len();
    point.iter().enumerate().fold(Fp::ONE, |acc, (i, r)| {
        if (index >> (m - 1 - i)) & 1 == 1 { acc * r } else { acc * (Fp::ONE - r) }
    })
}

/// `eq(a, b)` at two points of the same number of variables.
pub fn eq_points(a: &[Fp], b: &[Fp]) -> Fp {
    a.iter().zip(b).fold(Fp::ONE, |acc, (x, y)| {
        let xy = *x * y;
        acc * (xy + xy + Fp::ONE - x - y)
    })
}

/// Moments of a prefix of the cube: `(sum_{t < bound} eq(point, t), sum_{t < bound} eq(point, t)*t)`.
///
/// Runs in `O(m)`: the closed form behind box indicators and piecewise-linear table columns.
/// A `bound` above `2^m` counts as `2^m`.
pub fn prefix_moments(point: &[Fp], bound: usize) -> (Fp, Fp) {
    let m = point.len();
    // Mean of the full subtree below each depth: sum of r_i 2^(m-1-i) over the remaining variables.
    let mut full = vec![Fp::ZERO; m + 1];
    let mut weight = Fp::ONE;
    for i in (0..m).rev() {
        full[i] = full[i + 1] + point[i] * weight;
        weight = weight.double();
    }
    if bound >= 1usize << m {
        return (Fp::ONE, full[0]);
    }
    let (mut mass, mut moment) = (Fp::ZERO, Fp::ZERO);
    let mut path = Fp::ONE;
    let mut base = 0u64;
    for i in 0..m {
        let half = 1usize << (m - 1 - i);
        if (bound >> (m - 1 - i)) & 1 == 1 {
            // The whole left subtree lies below the bound.
            let left = path * (Fp::ONE - point[i]);
            mass += left;
            moment += left * (Fp::from(base) + full[i + 1]);
            path *= point[i];
            base += half as u64;
        } else {
            path *= Fp::ONE - point[i];
        }
    }
    (mass, moment)
}

/// Binds the most significant variable of `values` to `r`, in place: the vector halves.
pub fn bind_top(values: &mut Vec<Fp>, r: Fp) {
    let half = values.len() / 2;
    let (low, high) = values.split_at_mut(half);
    for (l, h) in low.iter_mut().zip(high) {
        *l += r * (*h - *l);
    }
    values.truncate(half);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(m: usize) -> Vec<Fp> {
        (0..m).map(|i| Fp::from(7 + 13 * i as u64).square() + Fp::from(3)).collect()
    }

    #[test]
    fn eq_tables_agree_with_the_definition() {
        for m in 0..6 {
            let r = point(m);
            let table = eq_table(&r);
            for (x, e) in table.iter().enumerate() {
                assert_eq!(*e, eq_at(&r, x));
            }
            let suffixes: Vec<Vec<Fp>> = (1..=m).rev().map(|start| eq_table(&r[start..])).collect();
            assert_eq!(suffix_tables(&r), suffixes);
            for len in 0..=1 << m {
                assert_eq!(eq_prefix(&r, len), table[..len]);
            }
            assert_eq!(
                eq_points(&r, &point(m + 1)[1..]),
                eq_table(&point(m + 1)[1..]).iter().zip(&table).map(|(a, b)| *a * b).sum::<Fp>()
            );
        }
    }

    #[test]
    fn prefix_moments_agree_with_the_sums() {
        for m in 0..6 {
            let r = point(m);
            let table = eq_table(&r);
            for bound in 0..=(1 << m) + 1 {
                let end = bound.min(1 << m);
                let mass: Fp = table[..end].iter().sum();
                let moment: Fp = table[..end].iter().enumerate().map(|(t, e)| *e * Fp::from(t as u64)).sum();
                assert_eq!(prefix_moments(&r, bound), (mass, moment), "m {m} bound {bound}");
            }
        }
    }

    #[test]
    fn binding_every_variable_evaluates_the_extension() {
        let r = point(4);
        let values: Vec<Fp> = (0..16).map(|i| Fp::from(i * i + 1)).collect();
        let mut folded = values.clone();
        for &x in &r {
            bind_top(&mut folded, x);
        }
        assert_eq!(folded[0], values.iter().zip(eq_table(&r)).map(|(v, e)| *v * e).sum::<Fp>());
    }
}
