//! Where the time of a proof goes: to each layer by phase, and to what is no layer's.
//!
//! The proof is cut into laps that follow each other without a gap, so what is attributed adds up to the whole. Most laps
//! are work for one constraint or one tensor, and belong to the layer that it was made for
//! ([`provenn_circuits::origins`]). Laps over several layers at once are divided:
//!
//! | work | divided by |
//! |---|---|
//! | masks and commitments to the witness, as far as they take longer than the model | the measured time of each |
//! | reading look-up sites and setting their leaves, on all threads | the measured time of each |
//! | folding the columns of the claims' pieces, on all threads | the measured time of each piece |
//! | commitments to the witness | additions: non-zero base-256 digits of each tensor's values, and what each column needs besides |
//! | the tree of fractions and its rounds | leaves: of each look-up, padding included; of each table |
//! | the rounds of the bilinear sum-check | entries of the folded operands |
//! | combining the claims, their pieces, the opening's coefficients | entries of the vectors that each term is made of |
//! | packing columns; row rounds, `Y` and `Z` | columns, or rows of pieces; the masks' belong to no layer |
//!
//! What a column costs is divided among its tensors by their entries, and what a table costs among the layers by their
//! look-ups in it.

use crate::prove::Phase;
use crate::watch::{Digits, Lap, Work};
use provenn_circuits::circuit::{Role, TensorId};
use provenn_circuits::reduction::{BlockKind, Subject, instance_variables};
use provenn_circuits::system::System;
use std::ops::Range;

/// What belongs to no layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shared {
    /// The statement: checking, encoding and hashing input and output, and what a committed input takes.
    Statement,
    /// Blinds, masks and one-time vectors, and the commitments to them.
    Masks,
    /// The part of the opening that does not grow with any layer: masks, halving, answers.
    Opening,
    /// The halo2 proof of the hidden products.
    Products,
    /// The artifact.
    Encoding,
}

impl Shared {
    /// All of them.
    pub const ALL: [Shared; 5] =
        [Shared::Statement, Shared::Masks, Shared::Opening, Shared::Products, Shared::Encoding];

    /// Name for people.
    pub fn name(self) -> &'static str {
        match self {
            Shared::Statement => "statement",
            Shared::Masks => "masks",
            Shared::Opening => "shared opening",
            Shared::Products => "halo2 proof",
            Shared::Encoding => "encoding",
        }
    }
}

/// Nanoseconds of one proof. With several threads it is elapsed time that is divided, not the threads' own.
#[derive(Debug, Clone, PartialEq)]
pub struct Costs {
    layers: Vec<[f64; Phase::ALL.len()]>,
    shared: [f64; Shared::ALL.len()],
    total: f64,
}

impl Costs {
    /// The whole proof, from its start to its end. All other times add up to it.
    pub fn total(&self) -> f64 {
        self.total
    }

    /// Number of layers.
    pub fn layers(&self) -> usize {
        self.layers.len()
    }

    /// All time of one layer; 0 if there is no such layer.
    pub fn layer(&self, node: usize) -> f64 {
        self.layers.get(node).map_or(0.0, |phases| phases.iter().sum())
    }

    /// The time of one layer in one phase; 0 if there is no such layer.
    pub fn layer_phase(&self, node: usize, phase: Phase) -> f64 {
        self.layers.get(node).map_or(0.0, |phases| phases[phase as usize])
    }

    /// The time of what belongs to no layer.
    pub fn shared(&self, part: Shared) -> f64 {
        self.shared[part as usize]
    }

    /// Divides the laps of a proof of a model of so many layers.
    pub(crate) fn new(system: &System, layers: usize, laps: &[Lap]) -> Costs {
        let owners = Owners::new(system);
        let mut costs = Costs {
            layers: vec![[0.0; Phase::ALL.len()]; layers],
            shared: [0.0; Shared::ALL.len()],
            total: laps.iter().map(|lap| lap.nanoseconds).sum(),
        };
        for lap in laps {
            let shares = owners.shares(&lap.work);
            let whole: f64 = shares.iter().map(|(_, weight)| weight).sum();
            // Work of which there was none, for anybody.
            let (shares, whole) =
                if whole > 0.0 { (shares, whole) } else { (vec![(Owner::nobody(lap.phase), 1.0)], 1.0) };
            for (owner, weight) in shares {
                let time = lap.nanoseconds * weight / whole;
                match owner {
                    Owner::Layer(node) => costs.layers[node][lap.phase as usize] += time,
                    Owner::Shared(part) => costs.shared[part as usize] += time,
                }
            }
        }
        costs
    }
}

/// Whom time belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Layer(usize),
    Shared(Shared),
}

impl Owner {
    /// Who has the time of a phase that is for no layer.
    fn nobody(phase: Phase) -> Owner {
        Owner::Shared(if phase == Phase::Opening { Shared::Opening } else { Shared::Statement })
    }
}

impl From<Option<usize>> for Owner {
    /// What is made for no layer is there for the input.
    fn from(node: Option<usize>) -> Owner {
        node.map_or(Owner::Shared(Shared::Statement), Owner::Layer)
    }
}

/// Owners with weights; what they have together is divided in proportion.
type Shares = Vec<(Owner, f64)>;

/// Shares scaled to a sum of `whole`; none if they are nothing.
fn scaled(shares: &[(Owner, f64)], whole: f64) -> impl Iterator<Item = (Owner, f64)> {
    let sum: f64 = shares.iter().map(|(_, weight)| weight).sum();
    let factor = if sum > 0.0 { whole / sum } else { 0.0 };
    shares.iter().map(move |&(owner, weight)| (owner, weight * factor))
}

/// Who owns what in a circuit.
struct Owners<'s> {
    system: &'s System,
    /// Look-ups in each table.
    tables: Vec<Shares>,
    /// Entries of the tensors in each column.
    columns: Vec<Shares>,
}

impl<'s> Owners<'s> {
    fn new(system: &'s System) -> Owners<'s> {
        let circuit = &system.circuit;
        let mut tables = vec![Shares::new(); circuit.tables.len()];
        for (index, lookup) in circuit.lookups.iter().enumerate() {
            let entries: usize = lookup.extents.iter().product();
            tables[lookup.table].push((circuit.origins.lookup(index).into(), entries as f64));
        }
        let mut owners = Owners { system, tables, columns: Vec::new() };
        let mut columns = vec![Shares::new(); system.layout.columns()];
        for (id, tensor) in circuit.tensors.iter().enumerate() {
            let range = owners.columns_of(id);
            let each = tensor.len() as f64 / range.len().max(1) as f64;
            for column in &mut columns[range] {
                column.extend(owners.tensor(id, each));
            }
        }
        owners.columns = columns;
        owners
    }

    fn columns_of(&self, id: TensorId) -> Range<usize> {
        self.system.layout.columns_of(id, &self.system.circuit.tensors[id].shape)
    }

    fn table(&self, table: usize, weight: f64) -> Shares {
        scaled(&self.tables[table], weight).collect()
    }

    fn tensor(&self, id: TensorId, weight: f64) -> Shares {
        match self.system.circuit.tensors[id].role {
            Role::Multiplicity(table) => self.table(table, weight),
            _ => vec![(self.system.circuit.origins.tensor(id).into(), weight)],
        }
    }

    fn subject(&self, subject: Subject, weight: f64) -> Shares {
        let origins = &self.system.circuit.origins;
        let owner: Owner = match subject {
            Subject::Table(table) => return self.table(table, weight),
            Subject::Lookup(index) => origins.lookup(index).into(),
            Subject::Linear(index) => origins.linear(index).into(),
            Subject::Contract(index) => origins.contract(index).into(),
        };
        vec![(owner, weight)]
    }

    fn columns(&self, range: Range<usize>, weight: f64) -> impl Iterator<Item = (Owner, f64)> {
        let each = weight / range.len().max(1) as f64;
        self.columns[range].iter().flat_map(move |column| scaled(column, each))
    }

    fn shares(&self, work: &Work) -> Shares {
        let System { circuit, plan, .. } = self.system;
        match work {
            Work::Shared(part) => vec![(Owner::Shared(*part), 1.0)],
            Work::Step(index) => vec![(circuit.origins.step(*index).into(), 1.0)],
            Work::Tensor(id) => self.tensor(*id, 1.0),
            Work::Subject(subject) => self.subject(*subject, 1.0),
            Work::Subjects(times) => {
                times.iter().flat_map(|&(subject, time)| self.subject(subject, time)).collect()
            }
            Work::Tree => {
                let blocks = plan.leaves.iter().flat_map(|leaves| &leaves.blocks);
                let shares = blocks.flat_map(|block| {
                    let subject = match block.kind {
                        BlockKind::Site(index) => Subject::Lookup(index),
                        BlockKind::Table(table, _) => Subject::Table(table),
                    };
                    self.subject(subject, (1u64 << block.variables) as f64)
                });
                shares.collect()
            }
            Work::Commitments(digits) => self.commitments(digits),
            Work::Columns(ranges, rest) => {
                let columns = ranges.iter().flat_map(|(range, weight)| self.columns(range.clone(), *weight));
                columns.chain([(Owner::Shared(Shared::Opening), *rest)]).collect()
            }
            Work::Rounds => {
                let contracts = circuit.contracts.iter().enumerate();
                let shares = contracts.flat_map(|(index, contract)| {
                    let (batch, sum) = instance_variables(contract);
                    self.subject(Subject::Contract(index), (1u64 << (batch + sum)) as f64)
                });
                shares.collect()
            }
            Work::Together(parts) => {
                let shares = parts.iter().map(|(work, time)| (self.shares(work), *time));
                shares.flat_map(|(shares, time)| scaled(&shares, time).collect::<Shares>()).collect()
            }
            Work::Terms(terms) => terms.iter().flat_map(|&(id, weight)| self.tensor(id, weight)).collect(),
        }
    }

    /// Additions of the commitments to the witness, as `provenn_algebra::commit` makes them with a table of multiples: one per
    /// non-zero digit; per column, the doublings that put its digits together, and its blind.
    fn commitments(&self, digits: &[Digits]) -> Shares {
        let longest = digits.iter().map(|digits| digits.longest).max().unwrap_or(0);
        let columns = self.system.layout.witness.clone();
        let rest = (8 * longest.saturating_sub(1) + 1) as usize * columns.len();
        let own = digits.iter().enumerate().flat_map(|(id, own)| self.tensor(id, own.nonzero as f64));
        own.chain(self.columns(columns, rest as f64)).collect()
    }
}
