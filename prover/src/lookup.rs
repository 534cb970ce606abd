//! The prover's side of the look-ups: leaves, the tree of fractions, and the rounds of each layer.

use crate::error::ProverError;
use crate::hooks::Hooks;
use crate::witness::Witness;
use ff::Field;
use provenn_algebra::Fp;
use provenn_algebra::multilinear::bind_top;
use provenn_algebra::small::from_i64;
use provenn_circuits::circuit::Circuit;
use provenn_circuits::reduction::{BlockKind, LeafPlan};
use rayon::prelude::*;
use std::borrow::Cow;

/// Below this many terms a round is not worth splitting over threads.
const PARALLEL: usize = 1 << 10;

/// Numerators and denominators of one level, `2^j` each.
struct Level {
    p: Vec<Fp>,
    q: Vec<Fp>,
}

/// The tree of fractions and the state of the layer in progress.
pub(crate) struct LookupProver {
    /// Levels below the root, nearest first; consumed from the front.
    levels: std::collections::VecDeque<Level>,
    layer: Option<Layer>,
}

/// The four halves of a level during the sum-check over their common index.
struct Layer {
    /// `p0`, `p1 + lambda q1`, `q0`, `q1`: the summand is `p0 q1 + q0 (p1 + lambda q1)`.
    p0: Vec<Fp>,
    p1: Vec<Fp>,
    q0: Vec<Fp>,
    q1: Vec<Fp>,
    lambda: Fp,
    claim: Fp,
    /// The layer's point, and the tables of `eq` at its suffixes, longest first.
    point: Vec<Fp>,
    suffixes: Vec<Vec<Fp>>,
    /// `1 / (1 - r)` for the coordinates of the point.
    inverses: Vec<Fp>,
    round: usize,
    /// `h1`, `h2` of the round in progress.
    message: (Fp, Fp),
}

impl LookupProver {
    /// Builds the leaves and the tree.
    pub(crate) fn new(
        circuit: &Circuit,
        plan: &LeafPlan,
        values: &Witness<'_>,
        (beta, gamma): (Fp, Fp),
        hooks: &mut impl Hooks,
    ) -> Result<LookupProver, ProverError> {
        let mut level = leaves(circuit, plan, values, beta, gamma);
        hooks.leaves(&mut level.p, &mut level.q, plan.len);
        let mut levels = std::collections::VecDeque::with_capacity(plan.variables);
        for _ in 1..plan.variables {
            let above = parent(&level);
            levels.push_front(level);
            level = above;
        }
        levels.push_front(level);
        let top = &levels[0];
        if bool::from((top.q[0] * top.q[1]).is_zero()) {
            return Err(ProverError::Unlucky { what: "a look-up denominator was zero" });
        }
        Ok(LookupProver { levels, layer: None })
    }

    /// Starts the sum-check of the next layer. `claim` is the value of `P + lambda Q` at `point`.
    pub(crate) fn begin_layer(&mut self, point: &[Fp], lambda: Fp, claim: Fp) -> Result<(), ProverError> {
        let Level { p: mut p0, q: mut q0 } =
            self.levels.pop_front().unwrap_or(Level { p: vec![], q: vec![] });
        let half = p0.len() / 2;
        let mut p1 = p0.split_off(half);
        let q1 = q0.split_off(half);
        p1.par_iter_mut().with_min_len(PARALLEL).zip(&q1).for_each(|(p, q)| *p += lambda * q);
        let mut inverses: Vec<Fp> = point.iter().map(|r| Fp::ONE - r).collect();
        if inverses.iter().any(|v| v.is_zero().into()) {
            return Err(ProverError::Unlucky { what: "a challenge was 1" });
        }
        for v in &mut inverses {
            *v = Option::from(v.invert()).unwrap_or(Fp::ZERO);
        }
        let suffixes = suffix_tables(point);
        let message = (Fp::ZERO, Fp::ZERO);
        let point = point.to_vec();
        self.layer =
            Some(Layer { p0, p1, q0, q1, lambda, claim, point, suffixes, inverses, round: 0, message });
        Ok(())
    }

    /// The next round's `h1`, `h2`.
    pub(crate) fn round(&mut self) -> (Fp, Fp) {
        let layer = self.layer.as_mut().expect("a round belongs to a layer");
        layer.message = layer.round();
        layer.message
    }

    /// Binds the round's variable.
    pub(crate) fn bind(&mut self, rho: Fp) {
        if let Some(layer) = &mut self.layer {
            layer.bind(rho);
        }
    }

    /// `p0, p1, q0, q1`: of the root's children, or at the end of a layer.
    pub(crate) fn gate(&mut self) -> [Fp; 4] {
        match self.layer.take() {
            Some(layer) => {
                let q1 = layer.q1[0];
                [layer.p0[0], layer.p1[0] - layer.lambda * q1, layer.q0[0], q1]
            }
            None => {
                let top = self.levels.pop_front().expect("the tree has a level below the root");
                [top.p[0], top.p[1], top.q[0], top.q[1]]
            }
        }
    }
}

impl Layer {
    fn round(&self) -> (Fp, Fp) {
        let half = self.p0.len() / 2;
        let eq = &self.suffixes[self.round];
        let term = |x: usize| {
            let (p0, p1, q0, q1) = (&self.p0, &self.p1, &self.q0, &self.q1);
            let at_one = p0[half + x] * q1[half + x] + q0[half + x] * p1[half + x];
            let d = |v: &[Fp]| v[half + x] - v[x];
            let leading = d(p0) * d(q1) + d(q0) * d(p1);
            (at_one * eq[x], leading * eq[x])
        };
        let add = |a: (Fp, Fp), b: (Fp, Fp)| (a.0 + b.0, a.1 + b.1);
        let zero = (Fp::ZERO, Fp::ZERO);
        let (at_one, h2) = if half < PARALLEL {
            (0..half).map(term).fold(zero, add)
        } else {
            let ranges: Vec<_> = (0..half).step_by(PARALLEL / 2).collect();
            ranges
                .into_par_iter()
                .map(|start| (start..half.min(start + PARALLEL / 2)).map(term).fold(zero, add))
                .reduce(|| zero, add)
        };
        // claim = (1 - r) h(0) + r h(1).
        let r = self.point[self.round];
        let h0 = (self.claim - r * at_one) * self.inverses[self.round];
        (at_one - h0 - h2, h2)
    }

    fn bind(&mut self, rho: Fp) {
        let r = self.point[self.round];
        let (h1, h2) = self.message;
        self.claim += (rho - r) * h1 + (rho.square() - r) * h2;
        self.round += 1;
        let vectors = [&mut self.p0, &mut self.p1, &mut self.q0, &mut self.q1];
        if vectors[0].len() < 2 * PARALLEL {
            for vector in vectors {
                bind_top(vector, rho);
            }
        } else {
            vectors.into_par_iter().for_each(|vector| {
                let half = vector.len() / 2;
                let (low, high) = vector.split_at_mut(half);
                low.par_iter_mut()
                    .with_min_len(PARALLEL)
                    .zip(&*high)
                    .for_each(|(l, h)| *l += rho * (*h - *l));
                vector.truncate(half);
            });
        }
    }
}

/// Tables of `eq(r_{i+1..}, x)` for `i = 0, 1, ..`, the longest first.
pub(crate) fn suffix_tables(point: &[Fp]) -> Vec<Vec<Fp>> {
    let mut tables = Vec::with_capacity(point.len());
    let mut table = vec![Fp::ONE];
    for &r in point.iter().skip(1).rev() {
        let high: Vec<Fp> = table.par_iter().with_min_len(PARALLEL).map(|e| *e * r).collect();
        let mut next: Vec<Fp> =
            table.par_iter().with_min_len(PARALLEL).zip(&high).map(|(e, h)| *e - h).collect();
        next.extend(high);
        tables.push(std::mem::replace(&mut table, next));
    }
    if !point.is_empty() {
        tables.push(table);
    }
    tables.reverse();
    tables
}

fn parent(level: &Level) -> Level {
    let half = level.p.len() / 2;
    let (p0, p1) = level.p.split_at(half);
    let (q0, q1) = level.q.split_at(half);
    let node = |x: usize| (p0[x] * q1[x] + p1[x] * q0[x], q0[x] * q1[x]);
    let (p, q) = (0..half).into_par_iter().with_min_len(PARALLEL).map(node).unzip();
    Level { p, q }
}

fn leaves(circuit: &Circuit, plan: &LeafPlan, values: &Witness<'_>, beta: Fp, gamma: Fp) -> Level {
    // Denominators of the rows of each table.
    let columns: Vec<Vec<Cow<'_, [i64]>>> = circuit
        .tables
        .iter()
        .enumerate()
        .map(|(table, t)| (0..t.columns()).map(|column| circuit.column(table, column)).collect())
        .collect();
    let powers: Vec<Fp> = std::iter::successors(Some(gamma), |power| Some(*power * gamma)).take(4).collect();
    let denominator = |table: usize, entries: &mut dyn Iterator<Item = i64>| {
        let start = beta - Fp::from(table as u64);
        entries.zip(&powers).fold(start, |sum, (entry, power)| sum - from_i64(entry) * power)
    };
    let rows: Vec<Vec<Fp>> = columns
        .iter()
        .enumerate()
        .map(|(table, columns)| {
            (0..circuit.tables[table].rows())
                .into_par_iter()
                .with_min_len(PARALLEL)
                .map(|row| denominator(table, &mut columns.iter().map(|column| column[row])))
                .collect()
        })
        .collect();

    let size = 1usize << plan.variables;
    let mut p = vec![Fp::ZERO; size];
    let mut q = vec![Fp::ONE; size];
    for block in &plan.blocks {
        let range = block.start..block.start + (1 << block.variables);
        let (p, q) = (&mut p[range.clone()], &mut q[range]);
        match block.kind {
            BlockKind::Table(table, multiplicities) => {
                q.fill(beta - Fp::from(table as u64));
                q[..rows[table].len()].copy_from_slice(&rows[table]);
                for (p, m) in p.iter_mut().zip(values[multiplicities].iter()) {
                    *p = if *m == 0 { Fp::ZERO } else { -from_i64(*m) };
                }
            }
            // The padding of a block; its entries follow.
            BlockKind::Site(l) => q.fill(beta - Fp::from(circuit.lookups[l].table as u64)),
        }
    }
    for (l, lookup) in circuit.lookups.iter().enumerate() {
        let table = lookup.table;
        let entries: Vec<_> = lookup
            .exprs
            .iter()
            .map(|expr| expr.evaluate(&lookup.extents, &circuit.tensors, values))
            .collect();
        for (at, leaf) in plan.positions(l, &lookup.extents).into_iter().enumerate() {
            p[leaf] = Fp::ONE;
            // Every honest tuple is a row of its table, whose denominator is known already.
            let row = circuit.tables[table].row_of(entries[0][at]).filter(|&row| {
                entries.iter().zip(&columns[table]).all(|(entries, column)| entries[at] == column[row])
            });
            q[leaf] = match row {
                Some(row) => rows[table][row],
                None => denominator(table, &mut entries.iter().map(|entries| entries[at])),
            };
        }
    }
    Level { p, q }
}
