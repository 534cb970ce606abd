//! The prover's side of the bilinear sum-check.

use crate::lookup::suffix_tables;
use crate::witness::Witness;
use ff::Field;
use provenn_algebra::Fp;
use provenn_algebra::multilinear::bind_top;
use provenn_algebra::small::{Coefficients, fold_rows, from_i64};
use provenn_circuits::circuit::{Circuit, Expr, padded_positions};
use provenn_circuits::forms::{box_variables, box_vectors};
use provenn_circuits::reduction::{BilinearPoints, instance_variables};

/// One contract's operands, folded at its random point: `2^(batch + sum)` entries each, batch index high.
struct Instance {
    a: Vec<Fp>,
    c: Vec<Fp>,
    batch: usize,
    sum: usize,
    /// Coefficient in the phase over the batch variables, and in that over the summed ones.
    power: Fp,
    coefficient: Fp,
}

/// State of the bilinear sum-check.
pub(crate) struct ContractProver {
    instances: Vec<Instance>,
    /// Variables left in the phase in progress.
    left: usize,
    /// Tables of `eq` at the suffixes of the batch point; empty once the phase over the sums begins.
    suffixes: Vec<Vec<Fp>>,
    sum_variables: usize,
    next_gate: usize,
}

impl ContractProver {
    /// Folds the operands of every contract: the only pass over the weights in the sum-check.
    pub(crate) fn new(circuit: &Circuit, values: &Witness<'_>, points: &BilinearPoints) -> ContractProver {
        let instances: Vec<Instance> = circuit
            .contracts
            .iter()
            .enumerate()
            .map(|(l, contract)| {
                let (batch, sum) = instance_variables(contract);
                let (i, j) = &points.own[l];
                let operand = |expr: &Expr, own: &[usize], point: &[Fp]| {
                    fold(circuit, values, expr, [&contract.b, own, &contract.k], point)
                };
                Instance {
                    a: operand(&contract.a, &contract.i, i),
                    c: operand(&contract.c, &contract.j, j),
                    batch,
                    sum,
                    power: points.powers[l],
                    coefficient: points.coefficients[l],
                }
            })
            .collect();
        let sum_variables = instances.iter().map(|instance| instance.sum).max().unwrap_or(0);
        ContractProver {
            instances,
            left: points.batch.len(),
            suffixes: suffix_tables(&points.batch),
            sum_variables,
            next_gate: 0,
        }
    }

    /// The next round's `h1`, `h2`.
    pub(crate) fn round(&self) -> (Fp, Fp) {
        let batch_phase = !self.suffixes.is_empty();
        let (mut h0, mut at_one, mut h2) = (Fp::ZERO, Fp::ZERO, Fp::ZERO);
        for instance in self.active() {
            let half = instance.a.len() / 2;
            // Entries under one batch index share its weight.
            let run = if batch_phase { 1 << instance.sum } else { half.max(1) };
            let weight = |x: usize| {
                if batch_phase {
                    instance.power * self.suffixes[self.suffixes.len() - self.left][x / run]
                } else {
                    instance.coefficient
                }
            };
            let (low_a, high_a) = instance.a.split_at(half);
            let (low_c, high_c) = instance.c.split_at(half);
            for start in (0..half).step_by(run) {
                let (mut s0, mut s1, mut s2) = (Fp::ZERO, Fp::ZERO, Fp::ZERO);
                for x in start..start + run {
                    s0 += low_a[x] * low_c[x];
                    s1 += high_a[x] * high_c[x];
                    s2 += (high_a[x] - low_a[x]) * (high_c[x] - low_c[x]);
                }
                let weight = weight(start);
                h0 += weight * s0;
                at_one += weight * s1;
                h2 += weight * s2;
            }
        }
        (at_one - h0 - h2, h2)
    }

    /// Binds the round's variable.
    pub(crate) fn bind(&mut self, rho: Fp) {
        let left = self.left;
        let batch_phase = !self.suffixes.is_empty();
        for instance in &mut self.instances {
            let own = if batch_phase { instance.batch } else { instance.sum };
            if own >= left {
                bind_top(&mut instance.a, rho);
                bind_top(&mut instance.c, rho);
            }
        }
        self.left -= 1;
    }

    /// Passes from the batch variables to the summed ones.
    pub(crate) fn begin_sum_phase(&mut self) {
        self.suffixes.clear();
        self.left = self.sum_variables;
    }

    /// `p0, p1, q0, q1` of the next pair of contracts.
    pub(crate) fn gate(&mut self) -> [Fp; 4] {
        let mut operands =
            self.instances[self.next_gate..].iter().take(2).map(|i| (i.coefficient * i.a[0], i.c[0]));
        let zero = (Fp::ZERO, Fp::ZERO);
        let (p0, q1) = operands.next().unwrap_or(zero);
        let (p1, q0) = operands.next().unwrap_or(zero);
        self.next_gate += 2;
        [p0, p1, q0, q1]
    }

    /// Instances that depend on the variable of this round.
    fn active(&self) -> impl Iterator<Item = &Instance> {
        let batch_phase = !self.suffixes.is_empty();
        self.instances
            .iter()
            .filter(move |instance| (if batch_phase { instance.batch } else { instance.sum }) >= self.left)
    }
}

/// Folds an operand on `batch ++ own ++ sum` over its own indices, and pads what is left.
fn fold(
    circuit: &Circuit,
    values: &Witness<'_>,
    expr: &Expr,
    [batch, own, sum]: [&[usize]; 3],
    point: &[Fp],
) -> Vec<Fp> {
    let size = |extents: &[usize]| extents.iter().product::<usize>();
    let entries = expr.evaluate(&[batch, own, sum].concat(), &circuit.tensors, values);
    let weights = box_vectors(own, point).iter().fold(vec![Fp::ONE], |product, vector| {
        product.iter().flat_map(|p| vector.iter().map(move |e| *p * e)).collect()
    });
    let width = size(sum);
    let folded: Vec<Fp> = if own.iter().all(|&d| d == 1) {
        entries.iter().map(|&v| from_i64(v)).collect()
    } else {
        let coefficients = Coefficients::new(&weights);
        entries.chunks(size(own) * width).flat_map(|block| fold_rows(&coefficients, block, width)).collect()
    };
    let mut padded = vec![Fp::ZERO; 1 << (box_variables(batch) + box_variables(sum))];
    let sums = padded_positions(sum);
    for (b, row) in padded_positions(batch).into_iter().zip(folded.chunks(width)) {
        for (value, s) in row.iter().zip(&sums) {
            padded[(b << box_variables(sum)) + s] = *value;
        }
    }
    padded
}
