//! The prover's side of the look-ups: leaves, the tree of fractions, and the rounds of each layer.

use crate::error::ProverError;
use crate::hooks::Hooks;
use crate::watch::{Watch, Work};
use crate::witness::Witness;
use ff::Field;
use provenn_algebra::Fp;
use provenn_algebra::fractions::{Layer, Leaves, Tree};
use provenn_circuits::circuit::{Circuit, Expr, Lookup};
use provenn_circuits::reduction::{BlockKind, LeafPlan, Subject};
use rayon::prelude::*;
use std::borrow::Cow;
use tracing::debug_span;
use tracing::span::EnteredSpan;

/// The tree of fractions and the state of the layer in progress.
pub(crate) struct LookupProver {
    tree: Tree,
    /// The children of the root, until they are sent.
    root: Option<[Fp; 4]>,
    rounds: Option<Rounds>,
}

/// The rounds of one layer.
struct Rounds {
    _span: EnteredSpan,
    layer: Layer,
    claim: Fp,
    /// The coordinates of the layer's point, first round first, each with `1 / (1 - r)`.
    point: std::vec::IntoIter<(Fp, Fp)>,
    /// The coordinate of the round in progress, and its `h1`, `h2`.
    message: (Fp, Fp, Fp),
}

impl LookupProver {
    /// Builds the leaves and the tree.
    pub(crate) fn new(
        circuit: &Circuit,
        plan: &LeafPlan,
        values: &Witness<'_>,
        (beta, gamma): (Fp, Fp),
        hooks: &mut impl Hooks,
        watch: &mut Watch<'_>,
    ) -> Result<LookupProver, ProverError> {
        let mut leaves = debug_span!("leaves", count = plan.len)
            .in_scope(|| leaves(circuit, plan, values, (beta, gamma), watch));
        hooks.leaves(&mut leaves, plan);
        let mut tree = debug_span!("tree").in_scope(|| Tree::new(leaves, plan.variables));
        let root = tree.root();
        let [_, _, q0, q1] = root;
        if bool::from((q0 * q1).is_zero()) {
            return Err(ProverError::Unlucky { what: "a look-up denominator was zero" });
        }
        Ok(LookupProver { tree, root: Some(root), rounds: None })
    }

    /// Starts the sum-check of the next layer. `claim` is the value of `P + lambda Q` at `point`.
    pub(crate) fn begin_layer(&mut self, point: &[Fp], lambda: Fp, claim: Fp) -> Result<(), ProverError> {
        let inverse = |r: &Fp| Option::from((Fp::ONE - r).invert()).map(|inverse| (*r, inverse));
        let inverses: Option<Vec<(Fp, Fp)>> = point.iter().map(inverse).collect();
        let inverses = inverses.ok_or(ProverError::Unlucky { what: "a challenge was 1" })?;
        let _span = debug_span!("rounds", variables = point.len()).entered();
        let layer = self.tree.layer(point, &lambda);
        let message = (Fp::ZERO, Fp::ZERO, Fp::ZERO);
        self.rounds = Some(Rounds { _span, layer, claim, point: inverses.into_iter(), message });
        Ok(())
    }

    /// The next round's `h1`, `h2`.
    pub(crate) fn round(&mut self) -> (Fp, Fp) {
        self.rounds.as_mut().expect("a round belongs to a layer").round()
    }

    /// Binds the round's variable.
    pub(crate) fn bind(&mut self, rho: Fp) {
        if let Some(rounds) = &mut self.rounds {
            rounds.bind(rho);
        }
    }

    /// `p0, p1, q0, q1`: of the root's children, or at the end of a layer.
    pub(crate) fn gate(&mut self) -> [Fp; 4] {
        match (self.root.take(), self.rounds.take()) {
            (Some(root), _) => root,
            (None, Some(rounds)) => rounds.layer.end(),
            (None, None) => unreachable!("a gate ends the root or a layer"),
        }
    }
}

impl Rounds {
    fn round(&mut self) -> (Fp, Fp) {
        let (r, inverse) = self.point.next().expect("a round for each coordinate");
        let (at_one, h2) = self.layer.sums();
        // claim = (1 - r) h(0) + r h(1).
        let h0 = (self.claim - r * at_one) * inverse;
        let h1 = at_one - h0 - h2;
        self.message = (r, h1, h2);
        (h1, h2)
    }

    fn bind(&mut self, rho: Fp) {
        let (r, h1, h2) = self.message;
        self.claim += (rho - r) * h1 + (rho.square() - r) * h2;
        self.layer.bind(&rho);
    }
}

pub(crate) fn leaves(
    circuit: &Circuit,
    plan: &LeafPlan,
    values: &Witness<'_>,
    (beta, gamma): (Fp, Fp),
    watch: &mut Watch<'_>,
) -> Leaves {
    let mut leaves = Leaves::new();
    leaves.resize(plan.len);
    let columns: Vec<Vec<Cow<'_, [i64]>>> = circuit
        .tables
        .iter()
        .enumerate()
        .map(|(table, t)| {
            let columns = (0..t.columns()).map(|column| circuit.column(table, column)).collect();
            watch.lap(|| Work::Subject(Subject::Table(table)));
            columns
        })
        .collect();
    let timer = watch.timer();
    let site = |l: usize| {
        let lookup = &circuit.lookups[l];
        let _span = debug_span!("read", layer = circuit.origins.lookup(l)).entered();
        timer.time(|| Site::new(circuit, lookup, plan.positions(l, &lookup.extents), &columns, values))
    };
    let (sites, times): (Vec<Site<'_>>, Vec<f64>) =
        (0..circuit.lookups.len()).into_par_iter().map(site).unzip();
    watch.lap(|| {
        Work::Subjects(times.into_iter().enumerate().map(|(l, time)| (Subject::Lookup(l), time)).collect())
    });

    let powers: Vec<Fp> = std::iter::successors(Some(-gamma), |power| Some(*power * gamma)).take(4).collect();
    // The entries of tuples' denominators.
    let denominators = |leaves: &mut Leaves, table: usize, columns: &[&[i64]]| {
        leaves.rows(&(beta - Fp::from(table as u64)), &powers[..columns.len()], columns)
    };
    let rows: Vec<u32> = columns
        .iter()
        .enumerate()
        .map(|(table, columns)| {
            let columns: Vec<&[i64]> = columns.iter().map(|column| &**column).collect();
            let first = denominators(&mut leaves, table, &columns);
            watch.lap(|| Work::Subject(Subject::Table(table)));
            first
        })
        .collect();
    for block in &plan.blocks {
        if let BlockKind::Table(table, multiplicities) = block.kind {
            let range = block.start..block.start + (1 << block.variables);
            let first = leaves.rows(&Fp::ZERO, &[-Fp::ONE], &[&values[multiplicities]]);
            let (p, q) = leaves.entries();
            for (row, (p, q)) in (0..).zip(p[range.clone()].iter_mut().zip(&mut q[range])) {
                (*p, *q) = (first + row, rows[table] + row);
            }
            watch.lap(|| Work::Subject(Subject::Table(table)));
        }
    }
    // What is not a row of a table: padding, and tuples of a prover that cheats.
    let others: Vec<(u32, Vec<(usize, u32)>)> = circuit
        .lookups
        .iter()
        .zip(&sites)
        .map(|(lookup, site)| {
            let padding = leaves.element(&(beta - Fp::from(lookup.table as u64)));
            let absent = site.rows.iter().enumerate().filter(|(_, row)| row.is_none());
            let entry = |(at, _): (usize, &Option<u32>)| {
                let tuple: Vec<&[i64]> = site.tuples.iter().map(|column| &column[at..=at]).collect();
                (site.leaves[at], denominators(&mut leaves, lookup.table, &tuple))
            };
            (padding, absent.map(entry).collect())
        })
        .collect();
    let (p, q) = leaves.entries();
    let mut rest = Block { start: 0, p, q };
    let mut blocks: Vec<Vec<Block<'_>>> = circuit.lookups.iter().map(|_| Vec::new()).collect();
    for block in &plan.blocks {
        let own = rest.split_off(1 << block.variables);
        if let BlockKind::Site(l) = block.kind {
            blocks[l].push(own);
        }
    }
    let set = |(l, mut blocks): (usize, Vec<Block<'_>>)| {
        let ((), time) = timer.time(|| sites[l].set(&mut blocks, rows[circuit.lookups[l].table], &others[l]));
        (Subject::Lookup(l), time)
    };
    let times = blocks.into_par_iter().enumerate().map(set).collect();
    watch.lap(|| Work::Subjects(times));
    leaves
}

/// Leaves of one block, or of all that follow.
struct Block<'l> {
    start: usize,
    p: &'l mut [u32],
    q: &'l mut [u32],
}

impl<'l> Block<'l> {
    /// The first `len` leaves, which are taken from the block.
    fn split_off(&mut self, len: usize) -> Block<'l> {
        let (p, later_p) = std::mem::take(&mut self.p).split_at_mut(len);
        let (q, later_q) = std::mem::take(&mut self.q).split_at_mut(len);
        let first = Block { start: self.start, p, q };
        *self = Block { start: self.start + len, p: later_p, q: later_q };
        first
    }

    fn set(&mut self, leaf: usize, denominator: u32) {
        (self.p[leaf - self.start], self.q[leaf - self.start]) = (Leaves::ONE, denominator);
    }
}

/// The tuples that are looked up at one site, in the order of its box.
struct Site<'v> {
    /// By column.
    tuples: Vec<Cow<'v, [i64]>>,
    /// Their rows in the table. Every honest tuple is in it.
    rows: Vec<Option<u32>>,
    /// Their leaves.
    leaves: Vec<usize>,
}

impl<'v> Site<'v> {
    fn new(
        circuit: &Circuit,
        lookup: &Lookup,
        leaves: Vec<usize>,
        columns: &[Vec<Cow<'_, [i64]>>],
        values: &'v Witness<'_>,
    ) -> Self {
        let evaluate = |expr: &Expr| expr.evaluate(&lookup.extents, &circuit.tensors, values);
        let tuples: Vec<Cow<'v, [i64]>> = lookup.exprs.iter().map(evaluate).collect();
        let (table, columns) = (&circuit.tables[lookup.table], &columns[lookup.table]);
        let row = |at: usize| {
            let row = table.row_of(tuples[0][at])?;
            let equal = tuples.iter().zip(columns).all(|(tuple, column)| tuple[at] == column[row]);
            equal.then_some(row as u32)
        };
        let rows = (0..tuples[0].len()).map(row).collect();
        Site { tuples, rows, leaves }
    }

    /// Sets the leaves of this site's blocks, which are in order: its tuples are rows of the table, which begins at entry `first` of
    /// the dictionary, or other entries, which are given with their leaves; what is left is padding.
    fn set(&self, blocks: &mut [Block<'_>], first: u32, (padding, others): &(u32, Vec<(usize, u32)>)) {
        for block in &mut *blocks {
            block.q.fill(*padding);
        }
        let mut at = 0;
        let mut set = |leaf: usize, denominator: u32| {
            // Consecutive tuples are mostly in one block.
            if !(blocks[at].start..blocks[at].start + blocks[at].p.len()).contains(&leaf) {
                at = blocks.partition_point(|block| block.start <= leaf) - 1;
            }
            blocks[at].set(leaf, denominator);
        };
        for (&leaf, row) in self.leaves.iter().zip(&self.rows) {
            if let Some(row) = row {
                set(leaf, first + row);
            }
        }
        others.iter().for_each(|&(leaf, entry)| set(leaf, entry));
    }
}
