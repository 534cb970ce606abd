//! All bilinear constraints in one batched sum-check.
//!
//! Source: C. Lund, L. Fortnow, H. Karloff, N. Nisan, "Algebraic methods for interactive proof systems" (sum-check);
//! J. Thaler, "Time-optimal interactive proofs for circuit evaluation", section 5 (matrix products without a layer of
//! multiplication gates).
//!
//! `expr[b,i,j] = sum_k a[b,i,k] c[b,j,k]` at random `rho_b, rho_i, rho_j` is a sum over `b, k` of products of the
//! folded operands; the contracts are combined with powers of alpha and share one set of rounds.

use super::{Counter, Party, Plan, Subject};
use crate::circuit::{Circuit, Contract};
use crate::forms::{Affine, Form, box_variables, box_vectors};
use ff::{Field, PrimeField};
use provenn_algebra::Fp;

/// The random points of the bilinear sum-check.
#[derive(Debug, Clone)]
pub struct BilinearPoints {
    /// Batch point, shared: an instance with fewer batch variables uses the last of its coordinates.
    pub batch: Vec<Fp>,
    /// Per contract: the points of `i` and `j`.
    pub own: Vec<(Vec<Fp>, Vec<Fp>)>,
    /// Per contract: its power of alpha.
    pub powers: Vec<Fp>,
    /// Per contract: its coefficient `alpha^l 2^-(kappa - kappa_l)`; it is constant in the leading rounds that
    /// it has no variables for.
    pub coefficients: Vec<Fp>,
}

/// Batch and summed variables of one contract.
pub fn instance_variables(contract: &Contract) -> (usize, usize) {
    (box_variables(&contract.b), box_variables(&contract.k))
}

pub(super) fn variables_of(circuit: &Circuit) -> (usize, usize) {
    circuit.contracts.iter().map(instance_variables).fold((0, 0), |(b, k), (nb, nk)| (b.max(nb), k.max(nk)))
}

pub(super) fn reduce<P: Party>(
    circuit: &Circuit,
    plan: &Plan,
    party: &mut P,
    counter: &mut Counter,
) -> Result<(), P::Error> {
    let mut squeeze = |count: usize| -> Vec<Fp> { (0..count).map(|_| party.challenge()).collect() };
    let batch = squeeze(plan.batch_variables);
    let own: Vec<(Vec<Fp>, Vec<Fp>)> = circuit
        .contracts
        .iter()
        .map(|contract| (squeeze(box_variables(&contract.i)), squeeze(box_variables(&contract.j))))
        .collect();
    let alpha = party.challenge();
    let mut powers = Vec::with_capacity(own.len());
    let mut power = Fp::ONE;
    for _ in &own {
        powers.push(power);
        power *= alpha;
    }
    let coefficients = circuit
        .contracts
        .iter()
        .zip(&powers)
        .map(|(contract, power)| {
            let missing = plan.sum_variables - instance_variables(contract).1;
            *power * Fp::TWO_INV.pow_vartime([missing as u64])
        })
        .collect();
    let points = BilinearPoints { batch, own, powers, coefficients };
    party.begin_contracts(&points);

    // Tensor terms of S, and S as an affine form over the round messages; they meet at the end.
    let mut sum = Form::default();
    for (l, ((contract, power), (i, j))) in
        circuit.contracts.iter().zip(&points.powers).zip(&points.own).enumerate()
    {
        let point = [last(&points.batch, box_variables(&contract.b)), i, j].concat();
        sum.add_expr(*power, &contract.expr, &box_vectors(&contract.left_extents(), &point), circuit);
        party.claimed(Subject::Contract(l));
    }
    let mut claim = Affine::default();
    let mut bound_batch = Vec::with_capacity(plan.batch_variables);
    for &r in &points.batch {
        bound_batch.push(counter.round(party, &mut claim, r)?);
    }
    party.begin_sum_phase();
    let mut bound_sum = Vec::with_capacity(plan.sum_variables);
    let mut halved = Fp::ONE;
    for _ in 0..plan.sum_variables {
        halved *= Fp::TWO_INV;
        claim = claim.scale(Fp::TWO_INV);
        bound_sum.push(counter.round(party, &mut claim, Fp::TWO_INV)?);
    }
    for term in &mut sum.terms {
        term.coefficient *= halved;
    }
    sum.affine.constant *= halved;
    sum = sum.add_affine(Fp::ONE, &claim);

    party.begin_contract_gates();
    let mut operands = Vec::with_capacity(circuit.contracts.len());
    let mut empty = None;
    for first in (0..circuit.contracts.len()).step_by(2) {
        let gate = counter.gate(party)?;
        sum = sum.add_affine(-Fp::ONE, &Affine::slot(gate.t));
        operands.push((gate.p0, gate.q1));
        if first + 1 < circuit.contracts.len() {
            operands.push((gate.p1, gate.q0));
        } else {
            empty = Some((gate.p1, gate.q0));
        }
    }
    for (l, ((contract, (a, c)), (i, j))) in
        circuit.contracts.iter().zip(operands).zip(&points.own).enumerate()
    {
        let (nb, nk) = instance_variables(contract);
        let (b, k) = (last(&bound_batch, nb), last(&bound_sum, nk));
        let mut form = Form::from(Affine::default().plus(-Fp::ONE, a));
        let vectors = box_vectors(&contract.a_extents(), &[b, i, k].concat());
        form.add_expr(points.coefficients[l], &contract.a, &vectors, circuit);
        party.assert_zero(form);
        let mut form = Form::from(Affine::default().plus(-Fp::ONE, c));
        form.add_expr(
            Fp::ONE,
            &contract.c,
            &box_vectors(&contract.c_extents(), &[b, j, k].concat()),
            circuit,
        );
        party.assert_zero(form);
        party.claimed(Subject::Contract(l));
    }
    if let Some((p1, q0)) = empty {
        party.assert_zero(Affine::slot(p1).into());
        party.assert_zero(Affine::slot(q0).into());
    }
    party.assert_zero(sum);
    Ok(())
}

fn last(point: &[Fp], count: usize) -> &[Fp] {
    &point[point.len() - count..]
}
