//! All look-ups of the model in one LogUp-GKR argument.
//!
//! Source: U. Haböck, "Multivariate lookups based on logarithmic derivatives" (LogUp), and S. Papini, U. Haböck,
//! "Improving logarithmic derivative lookups using GKR", section 3 (the tree of fractions).
//!
//! Leaves. A look-up site's fraction is `1 / (beta - id - sum gamma^i expr_i)` on its box, which may be cut into several blocks, a table's is
//! `-multiplicity / (beta - id - sum gamma^i column_i)`; the fractions of all leaves sum to 0. Denominators are
//! non-zero polynomials in beta on the whole aligned block, numerators are 0 in padding.

use super::leaves::{Block, BlockKind, LeafPlan, Part, Site};
use super::{Counter, Party, Subject};
use crate::circuit::Circuit;
use crate::forms::{Affine, Form, TensorTerm};
use ff::Field;
use provenn_algebra::Fp;
use provenn_algebra::multilinear::{eq_at, eq_prefix, prefix_moments, variables};

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
    let (numerators, denominators) =
        leaf_forms(circuit, leaves, &point, (beta, gamma), |subject| party.claimed(subject));
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
///
/// `claimed` is told when the part of each table and of each look-up is made.
fn leaf_forms(
    circuit: &Circuit,
    leaves: &LeafPlan,
    point: &[Fp],
    (beta, gamma): (Fp, Fp),
    mut claimed: impl FnMut(Subject),
) -> (Form, Form) {
    let (mut numerators, mut denominators) = (Form::default(), Form::default());
    for block in &leaves.blocks {
        let (high, low) = point.split_at(leaves.variables - block.variables);
        let weight = eq_at(high, block.start >> block.variables);
        let table = match block.kind {
            BlockKind::Site(l) => circuit.lookups[l].table,
            BlockKind::Table(table, _) => table,
        };
        denominators.affine.constant += weight * (beta - Fp::from(table as u64));
        if let BlockKind::Table(_, multiplicities) = block.kind {
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
        claimed(match block.kind {
            BlockKind::Site(l) => Subject::Lookup(l),
            BlockKind::Table(table, _) => Subject::Table(table),
        });
    }
    for (l, (lookup, site)) in circuit.lookups.iter().zip(&leaves.sites).enumerate() {
        for part in &site.parts {
            let (weight, vectors) = part_vectors(leaves, site, part, &lookup.extents, point);
            numerators.affine.constant +=
                vectors.iter().fold(weight, |mass, vector| mass * vector.iter().sum::<Fp>());
            let mut power = gamma;
            for expr in &lookup.exprs {
                denominators.add_expr(-weight * power, expr, &vectors, circuit);
                power *= gamma;
            }
        }
        claimed(Subject::Lookup(l));
    }
    denominators.affine.constant += Fp::ONE - prefix_moments(point, leaves.len).0;
    (numerators, denominators)
}

/// A factor and one vector per axis of a site's box, whose product is, at every entry of the part, the equality of `point`
/// and the entry's leaf, and 0 at all others.
fn part_vectors(
    leaves: &LeafPlan,
    site: &Site,
    part: &Part,
    extents: &[usize],
    point: &[Fp],
) -> (Fp, Vec<Vec<Fp>>) {
    let is_major = |axis: usize| site.major == Some(axis);
    let minor: usize = (0..extents.len())
        .filter(|&axis| !is_major(axis))
        .map(|axis| variables(part.ranges[axis].len()))
        .sum();
    let (above, mut rest) = point.split_at(leaves.variables - minor);
    let mut vectors: Vec<Vec<Fp>> = extents.iter().map(|&extent| vec![Fp::ZERO; extent]).collect();
    for (axis, range) in part.ranges.iter().enumerate().filter(|&(axis, _)| !is_major(axis)) {
        let (own, tail) = rest.split_at(variables(range.len()));
        rest = tail;
        vectors[axis][range.clone()].copy_from_slice(&eq_prefix(own, range.len()));
    }
    let mut factor = Fp::ONE;
    for (piece, &block) in site.pieces.iter().zip(&part.blocks) {
        let Block { variables, start, .. } = leaves.blocks[block];
        let (high, own) = above.split_at(leaves.variables - variables);
        let weight = eq_at(high, start >> variables);
        match site.major {
            None => factor = weight,
            Some(axis) => {
                for (slot, e) in vectors[axis][piece.clone()].iter_mut().zip(eq_prefix(own, piece.len())) {
                    *slot = weight * e;
                }
            }
        }
    }
    (factor, vectors)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::circuit::{AxisMap, Expr, Lookup, Role, Tensor, Values, View, product_form};
    use crate::model::Range;
    use crate::tables::Table;
    use proptest::prelude::*;
    use provenn_algebra::multilinear::eq_table;
    use provenn_algebra::small::from_i64;
    use std::borrow::Cow;

    /// For each box a tensor that is read as it is, one that is read with a stride, an offset and a summed index, and ones;
    /// and a look-up in each of two tables.
    fn circuit(boxes: &[Vec<usize>]) -> Circuit {
        let tensor =
            |shape: Vec<usize>, role| Tensor { name: "t".into(), shape, role, range: Range::new(0, 9) };
        let tables = vec![Table::Range { bits: 3 }, Table::Saturate { split: 2, bits: 1 }];
        let mut tensors: Vec<Tensor> = tables
            .iter()
            .enumerate()
            .map(|(table, rows)| tensor(vec![rows.rows()], Role::Multiplicity(table)))
            .collect();
        let mut lookups = Vec::new();
        for extents in boxes {
            let axes: Vec<usize> = (0..extents.len()).collect();
            let plain = View::axes(tensors.len(), &axes);
            tensors.push(tensor(extents.clone(), Role::Witness));
            let mut strided =
                View::new(tensors.len(), axes.iter().map(|&axis| AxisMap::index(axis)).collect());
            for map in &mut strided.axes {
                (map.offset, map.terms[0].1) = (-1, 2);
            }
            if let Some(map) = strided.axes.last_mut() {
                map.terms.push((axes.len(), 1));
                strided.sums = vec![3];
            }
            tensors.push(tensor(extents.iter().map(|d| 2 * d).collect(), Role::Witness));
            let ones = View::axes(tensors.len(), &axes);
            tensors.push(tensor(extents.iter().map(|d| d.div_ceil(2)).collect(), Role::Ones));
            let first = Expr::view(3, plain.clone()).offset(5);
            let second = Expr::view(-1, strided).plus(2, plain).plus(7, ones);
            let third = Expr::default().offset(-4);
            lookups.push(Lookup { extents: extents.clone(), exprs: vec![first.clone()], table: 0 });
            lookups.push(Lookup { extents: extents.clone(), exprs: vec![first, second, third], table: 1 });
        }
        Circuit { tensors, lookups, tables, ..Circuit::default() }
    }

    /// Numerators and denominators of all leaves, by their definition.
    fn explicit(
        circuit: &Circuit,
        plan: &LeafPlan,
        values: &Values<'_>,
        beta: Fp,
        gamma: Fp,
    ) -> (Vec<Fp>, Vec<Fp>) {
        let mut p = vec![Fp::ZERO; 1 << plan.variables];
        let mut q = vec![Fp::ONE; 1 << plan.variables];
        let denominator = |table: usize, tuple: &[i64]| {
            let mut sum = beta - Fp::from(table as u64);
            let mut power = gamma;
            for &x in tuple {
                sum -= power * from_i64(x);
                power *= gamma;
            }
            sum
        };
        for block in &plan.blocks {
            for leaf in 0..1 << block.variables {
                let at = block.start + leaf;
                match block.kind {
                    BlockKind::Site(l) => q[at] = denominator(circuit.lookups[l].table, &[]),
                    BlockKind::Table(table, multiplicities) => {
                        let row: Vec<i64> = (0..circuit.tables[table].columns())
                            .map(|column| circuit.tables[table].column(column)[leaf])
                            .collect();
                        p[at] = -from_i64(values[multiplicities][leaf]);
                        q[at] = denominator(table, &row);
                    }
                }
            }
        }
        for (l, lookup) in circuit.lookups.iter().enumerate() {
            let columns: Vec<_> =
                lookup.exprs.iter().map(|e| e.evaluate(&lookup.extents, &circuit.tensors, values)).collect();
            for (at, leaf) in plan.positions(l, &lookup.extents).into_iter().enumerate() {
                let tuple: Vec<i64> = columns.iter().map(|column| column[at]).collect();
                p[leaf] = Fp::ONE;
                q[leaf] = denominator(lookup.table, &tuple);
            }
        }
        (p, q)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn the_leaves_forms_are_their_extensions(
            boxes in prop::collection::vec(prop::collection::vec(prop_oneof![1usize..8, 1usize..29], 0..4), 1..3),
            seed in any::<u64>(),
        ) {
            // One box more that is large enough to be cut along several axes.
            let boxes = [&boxes[..], &[vec![18, 28, 33], vec![]]].concat();
            let circuit = circuit(&boxes);
            let plan = LeafPlan::new(&circuit, true).expect("there are look-ups");
            prop_assert!(plan.sites[2 * boxes.len() - 4].parts.len() >= 4);
            let mut state = seed;
            let mut random = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                state >> 33
            };
            let values: Vec<Cow<'_, [i64]>> = circuit.tensors.iter().map(|tensor| {
                let entry = |_| if tensor.role == Role::Ones { 1 } else { (random() % 10) as i64 };
                Cow::Owned((0..tensor.len()).map(entry).collect())
            }).collect();
            let mut challenge = || Fp::from(random()).square() + Fp::from(random());
            let (beta, gamma) = (challenge(), challenge());
            let point: Vec<Fp> = (0..plan.variables).map(|_| challenge()).collect();
            let (p, q) = explicit(&circuit, &plan, &values, beta, gamma);
            let eq = eq_table(&point);
            let direct = |leaves: &[Fp]| leaves.iter().zip(&eq).map(|(leaf, e)| *leaf * e).sum::<Fp>();
            let value = |form: &Form| {
                prop_assert!(form.affine.slots.is_empty());
                let term = |t: &TensorTerm| t.coefficient * product_form(&values[t.tensor], &t.vectors);
                Ok(form.affine.constant + form.terms.iter().map(term).sum::<Fp>())
            };
            let (numerators, denominators) = leaf_forms(&circuit, &plan, &point, (beta, gamma), |_| ());
            prop_assert_eq!(value(&numerators)?, direct(&p));
            prop_assert_eq!(value(&denominators)?, direct(&q));
        }
    }
}
