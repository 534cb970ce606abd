//! All look-ups of the model in one LogUp-GKR argument.
//!
//! Source: U. Haböck, "Multivariate lookups based on logarithmic derivatives" (LogUp), and S. Papini, U. Haböck,
//! "Improving logarithmic derivative lookups using GKR", section 3 (the tree of fractions).
//!
//! Leaves. A look-up site's fraction is `1 / (beta - id - sum gamma^i expr_i)` on its box, a table's is
//! `-multiplicity / (beta - id - sum gamma^i column_i)`; the fractions of all leaves sum to 0. Denominators are
//! non-zero polynomials in beta on the whole aligned block, numerators are 0 in padding.

use super::{Counter, Party};
use crate::circuit::{Circuit, Role, TensorId};
use crate::forms::{Affine, Form, TensorTerm, box_variables, box_vectors};
use ff::Field;
use provenn_algebra::Fp;
use provenn_algebra::multilinear::{eq_at, eq_prefix, prefix_moments, variables};

/// What a block of leaves belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockKind {
    /// A look-up, by index.
    Site(usize),
    /// A table, by index, and the tensor of its multiplicities.
    Table(usize, TensorId),
}

/// An aligned block of `2^variables` leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// What it belongs to.
    pub kind: BlockKind,
    /// Its size, as a power of two.
    pub variables: usize,
    /// Index of its first leaf, a multiple of its size.
    pub start: usize,
}

/// The arrangement of the leaves: blocks by size descending, gaps at the end.
#[derive(Debug, Clone)]
pub struct LeafPlan {
    /// The blocks, in leaf order.
    pub blocks: Vec<Block>,
    /// There are `2^variables` leaves.
    pub variables: usize,
}

impl LeafPlan {
    /// The leaves of a circuit, `None` if it has no look-ups.
    pub fn new(circuit: &Circuit) -> Option<LeafPlan> {
        let sites = circuit.lookups.iter().enumerate();
        let mut blocks: Vec<Block> = sites
            .map(|(l, lookup)| Block {
                kind: BlockKind::Site(l),
                variables: box_variables(&lookup.extents),
                start: 0,
            })
            .collect();
        for (id, tensor) in circuit.tensors.iter().enumerate() {
            if let Role::Multiplicity(table) = tensor.role {
                let variables = variables(circuit.tables[table].rows());
                blocks.push(Block { kind: BlockKind::Table(table, id), variables, start: 0 });
            }
        }
        blocks.sort_by_key(|block| std::cmp::Reverse(block.variables));
        let mut next = 0;
        for block in &mut blocks {
            block.start = next;
            next += 1 << block.variables;
        }
        // A tree has at least one level; a single leaf gets a gap beside it.
        (next > 0).then(|| LeafPlan { blocks, variables: variables(next).max(1) })
    }
}

pub(super) fn reduce<P: Party>(
    circuit: &Circuit,
    leaves: &LeafPlan,
    party: &mut P,
    counter: &mut Counter,
) -> Result<(), P::Error> {
    let beta = party.challenge();
    let gamma = party.challenge();
    party.begin_lookups(beta, gamma)?;
    let root = counter.gate(party)?;
    party.assert_zero(Affine::slot(root.t).into());
    let (mut point, mut numerator, mut denominator) = descend(party, &root, vec![]);
    for _ in 1..leaves.variables {
        let lambda = party.challenge();
        party.begin_layer(&point, lambda);
        let mut claim = numerator.add(lambda, &denominator);
        let mut bound = Vec::with_capacity(point.len() + 1);
        for &r in &point {
            bound.push(counter.round(party, &mut claim, r)?);
        }
        let gate = counter.gate(party)?;
        party.assert_zero(claim.plus(-Fp::ONE, gate.t).plus(-lambda, gate.w).into());
        (point, numerator, denominator) = descend(party, &gate, bound);
    }
    let (numerators, denominators) = leaf_forms(circuit, leaves, &point, beta, gamma);
    party.assert_zero(numerators.add_affine(-Fp::ONE, &numerator));
    party.assert_zero(denominators.add_affine(-Fp::ONE, &denominator));
    Ok(())
}

/// From the halves at a point to one claim a level below, at `(tau, point)`.
fn descend<P: Party>(party: &mut P, gate: &super::Gate, mut bound: Vec<Fp>) -> (Vec<Fp>, Affine, Affine) {
    let tau = party.challenge();
    bound.insert(0, tau);
    let numerator = Affine::default().plus(Fp::ONE - tau, gate.p0).plus(tau, gate.p1);
    let denominator = Affine::default().plus(Fp::ONE - tau, gate.q0).plus(tau, gate.q1);
    (bound, numerator, denominator)
}

/// The multilinear extensions of the leaves' numerators and denominators at `point`, as forms on tensors.
fn leaf_forms(circuit: &Circuit, leaves: &LeafPlan, point: &[Fp], beta: Fp, gamma: Fp) -> (Form, Form) {
    let (mut numerators, mut denominators) = (Form::default(), Form::default());
    let mut gaps = Fp::ONE;
    for block in &leaves.blocks {
        let (high, low) = point.split_at(leaves.variables - block.variables);
        let weight = eq_at(high, block.start >> block.variables);
        gaps -= weight;
        let table = match block.kind {
            BlockKind::Site(l) => circuit.lookups[l].table,
            BlockKind::Table(table, _) => table,
        };
        denominators.affine.constant += weight * (beta - Fp::from(table as u64));
        match block.kind {
            BlockKind::Site(l) => {
                let lookup = &circuit.lookups[l];
                let mut rest = low;
                let mut indicator = weight;
                for &extent in &lookup.extents {
                    let (own, tail) = rest.split_at(variables(extent));
                    rest = tail;
                    indicator *= prefix_moments(own, extent).0;
                }
                numerators.affine.constant += indicator;
                let vectors = box_vectors(&lookup.extents, low);
                let mut power = gamma;
                for expr in &lookup.exprs {
                    denominators.add_expr(-weight * power, expr, &vectors, circuit);
                    power *= gamma;
                }
            }
            BlockKind::Table(_, multiplicities) => {
                let rows = circuit.tables[table].rows();
                numerators.terms.push(TensorTerm {
                    coefficient: -weight,
                    tensor: multiplicities,
                    vectors: vec![eq_prefix(low, rows)],
                });
                let mut power = gamma;
                for column in 0..circuit.tables[table].columns() {
                    let extension = circuit.column_extension(table, column, low);
                    denominators.affine.constant -= weight * power * extension;
                    power *= gamma;
                }
            }
        }
    }
    denominators.affine.constant += gaps;
    (numerators, denominators)
}
