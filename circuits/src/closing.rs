//! The last steps as both sides see them: which combination of the columns is opened, and at what.
//!
//! All forms together claim `sum of terms + masks = target`, where a term is a linear form on a tensor's columns. A sum-check over the rows leaves a point `r`; then the
//! columns combine with the public coefficients of [`Opening`] (docs, "The protocol as built", section "Closing").

use crate::forms::{Combined, GATE_COLUMNS, TensorTerm};
use crate::layout::{Group, Layout, RowPoint};
use crate::system::System;
use ff::Field;
use provenn_algebra::Fp;
use provenn_algebra::multilinear::{eq_table, eq_table_scaled};

/// Entries of `y^` that are not halved any more: the messages of a further round would be as long as what it saves, but for
/// a few hundred bytes.
const SHORT: usize = 32;

/// Terms of all sums over the generators that halving may cost a prover.
const HALVING_TERMS: usize = 1536;

/// Rounds that halve the response `y^` of the opening, of `n` field elements; without rounds it is sent as it is.
///
/// A round from `m` to `m / 2` entries saves `16 m` bytes and costs two points, 64 bytes; `<y^, eq>` costs 32 more. The
/// verifier decompresses the points. The prover computes them as sums over the `n` original generators, `n` terms for
/// both, whatever `m` is. So the first rounds save most per term. A term takes 1.3 microseconds on two cores with vector kernels
/// (measured), so that all rounds together take two milliseconds at most; rows for which one round takes longer are sent as they
/// are.
pub fn halvings(n: usize) -> usize {
    let useful = (n / SHORT).max(1).ilog2() as usize;
    useful.min(HALVING_TERMS / n)
}

/// Coefficients of the blocks of `n / 2^rounds` consecutive generators in the folded ones, after rounds with these
/// challenges: a round adds challenge times its upper half to its lower half.
pub fn folded_blocks(challenges: &[Fp]) -> Vec<Fp> {
    challenges.iter().fold(vec![Fp::ONE], |blocks, u| blocks.iter().flat_map(|c| [*c, *c * u]).collect())
}

/// `eq(r, row)` for all rows, folded as the generators are: `eq` is a product over the bits of the row, so a round
/// multiplies what is left by `1 - r_i + u r_i`.
pub fn folded_rows(r: &[Fp], challenges: &[Fp]) -> Vec<Fp> {
    let scale = r.iter().zip(challenges).map(|(r, u)| Fp::ONE - r + *u * r).product();
    eq_table_scaled(&r[challenges.len()..], scale)
}

/// Public coefficients of the folded opening at a row point.
pub struct Opening {
    /// `eq(r, row)` for every row.
    pub eq: Vec<Fp>,
    /// Coefficients of the tensor columns in `Y`.
    pub columns: Vec<Fp>,
    /// Coefficients of the mask columns in `Y`.
    pub masks: Vec<Fp>,
    /// Coefficients of the gate mask columns in `Y_Mu`.
    pub gate_masks: [Fp; GATE_COLUMNS],
}

impl Opening {
    /// The coefficients of the combined claim at row point `r`.
    pub fn new(combined: &Combined, system: &System, r: &[Fp]) -> Opening {
        let (circuit, layout, n) = (&system.circuit, &system.layout, system.layout.n);
        let eq = eq_table(r);
        let mut columns = vec![Fp::ZERO; layout.columns()];
        let mut rows = RowPoint::new(r);
        for TensorTerm { coefficient, tensor, vectors } in &combined.terms {
            let shape = &circuit.tensors[*tensor].shape;
            layout.bind_rows(*tensor, shape, *coefficient, vectors, &mut rows, &mut columns);
        }
        let masks = (0..system.mask_columns)
            .map(|column| {
                let own = combined.rounds.iter().skip(column * n).take(n);
                own.zip(&eq).map(|(c, q)| *c * q).sum()
            })
            .collect();
        let gate_masks =
            std::array::from_fn(|column| combined.gates.iter().zip(&eq).map(|(c, q)| c[column] * q).sum());
        Opening { eq, columns, masks, gate_masks }
    }
}

/// The powers of zeta with which every column enters `Z`, so that the opening proves knowledge of each of them.
pub struct KnowledgePowers {
    /// Of the tensor columns, by column number.
    pub columns: Vec<Fp>,
    /// Of the mask columns.
    pub masks: Vec<Fp>,
    /// Of the gate mask columns.
    pub gate_masks: [Fp; GATE_COLUMNS],
}

impl KnowledgePowers {
    /// Order: weights, committed input, committed output, witness, masks; then the gate masks.
    pub fn new(layout: &Layout, mask_columns: usize, zeta: Fp) -> KnowledgePowers {
        let mut power = Fp::ONE;
        let mut next = || {
            let this = power;
            power *= zeta;
            this
        };
        let mut columns = vec![Fp::ZERO; layout.columns()];
        for group in [Group::Weight, Group::Input, Group::Output, Group::Witness] {
            for column in layout.group(group) {
                columns[column] = next();
            }
        }
        let masks = (0..mask_columns).map(|_| next()).collect();
        let gate_masks = std::array::from_fn(|_| next());
        KnowledgePowers { columns, masks, gate_masks }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::MIN_ROWS;
    use crate::system::MAX_ROWS;

    #[test]
    fn rows_are_halved_where_it_pays() {
        let rounds: Vec<usize> =
            (0..).map(|bits| MIN_ROWS << bits).take_while(|&n| n <= MAX_ROWS).map(halvings).collect();
        assert_eq!(rounds, [0, 1, 2, 3, 3, 1, 0, 0, 0]);
        for (bits, rounds) in rounds.into_iter().enumerate() {
            let n = MIN_ROWS << bits;
            assert!(n >> rounds >= SHORT);
            assert!(rounds == 0 || (n >> rounds) + 2 * rounds + 1 < n, "n = {n}: the proof gets smaller");
        }
    }

    #[test]
    fn folding_agrees_with_the_definition() {
        let r: Vec<Fp> = (0..5u64).map(|i| Fp::from(7 + 3 * i).square()).collect();
        let u: Vec<Fp> = (0..5u64).map(|i| Fp::from(11 + i).square()).collect();
        let values: Vec<Fp> = (0..32u64).map(|i| Fp::from(i * i + 5)).collect();
        let fold = |vector: Vec<Fp>, u: &Fp| -> Vec<Fp> {
            let (low, high) = vector.split_at(vector.len() / 2);
            low.iter().zip(high).map(|(low, high)| *low + *u * high).collect()
        };
        for rounds in 0..=5 {
            let u = &u[..rounds];
            assert_eq!(folded_rows(&r, u), u.iter().fold(eq_table(&r), fold));
            let blocks = folded_blocks(u);
            let len = 32 >> rounds;
            let by_blocks: Vec<Fp> = (0..len)
                .map(|i| blocks.iter().enumerate().map(|(block, c)| *c * values[block * len + i]).sum())
                .collect();
            assert_eq!(by_blocks, u.iter().fold(values.clone(), fold));
        }
    }
}
