//! The interactive reduction: from a circuit to linear forms over hidden messages and committed tensors.
//!
//! [`reduce`] is the one description of what is sent, squeezed and asserted, in which order. The prover and the
//! verifier both run it and differ in their [`Party`]: the prover's computes each message, masks it and absorbs it; the
//! verifier's reads it. Here the reductions read as ordinary, non-hiding interactive proofs; hiding is the party's
//! business alone (docs, "The protocol as built", section "Hidden messages").

mod contract;
mod leaves;
mod linear;
mod lookup;

pub use contract::{BilinearPoints, instance_variables};
pub use leaves::{Block, BlockKind, LeafPlan, Part, Site, readings};

use crate::circuit::Circuit;
use crate::forms::{Affine, Form, GATE_COLUMNS, Slot};
use provenn_algebra::Fp;

/// One side of the interactive reduction.
///
/// The methods without default are the channel; the others tell a prover which computation comes next.
pub trait Party {
    /// Why the party gives up.
    type Error;

    /// Squeezes a challenge.
    fn challenge(&mut self) -> Fp;

    /// Sends the two messages of a sum-check round: the round polynomial is `h0 + h1 X + h2 X^2`; `h1` goes to
    /// slot `first`, `h2` to the next. `h0` is implied by the claim.
    ///
    /// # Errors
    /// The party's own.
    fn round(&mut self, first: usize) -> Result<(), Self::Error>;

    /// Sends gate row `row`: `p0, p1, q0, q1` and the products `t = p0 q1 + p1 q0`, `w = q0 q1`.
    ///
    /// # Errors
    /// The party's own.
    fn gate(&mut self, row: usize) -> Result<(), Self::Error>;

    /// Asserts that a form is zero.
    fn assert_zero(&mut self, form: Form);

    /// The variable of the last round is bound to `r`.
    fn bind(&mut self, _r: Fp) {}

    /// The look-ups begin: challenges of the leaves.
    ///
    /// # Errors
    /// The party's own.
    fn begin_lookups(&mut self, _beta: Fp, _gamma: Fp) -> Result<(), Self::Error> {
        Ok(())
    }

    /// A layer of the fraction tree begins: the claim is at `point`, the numerators' and the denominators' claims
    /// are combined with `lambda`.
    fn begin_layer(&mut self, _point: &[Fp], _lambda: Fp) {}

    /// The bilinear sum-check begins.
    fn begin_contracts(&mut self, _points: &BilinearPoints) {}

    /// The phase over the batch variables is over, that over the summed variables begins.
    fn begin_sum_phase(&mut self) {}

    /// What the claims say of a table or of a constraint has been made: since the last call, or since the last message.
    fn claimed(&mut self, _subject: Subject) {}

    /// The sum-check is over; contract gate rows follow.
    fn begin_contract_gates(&mut self) {}
}

/// What a claim is about, by index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// A table.
    Table(usize),
    /// A look-up.
    Lookup(usize),
    /// A linear constraint.
    Linear(usize),
    /// A bilinear constraint.
    Contract(usize),
}

/// What a circuit's reduction sends, in numbers.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The leaves of the fraction tree, `None` without look-ups.
    pub leaves: Option<LeafPlan>,
    /// Batch variables of the bilinear sum-check.
    pub batch_variables: usize,
    /// Summed variables of the bilinear sum-check.
    pub sum_variables: usize,
    /// Round messages, two per sum-check round.
    pub rounds: usize,
    /// Gate rows.
    pub gates: usize,
}

impl Plan {
    /// The plan of a circuit. Without `cutting` every box of look-ups is one block of leaves.
    pub fn new(circuit: &Circuit, cutting: bool) -> Plan {
        let leaves = LeafPlan::new(circuit, cutting);
        let layers = leaves.as_ref().map_or(0, |leaves| leaves.variables);
        let (batch_variables, sum_variables) = contract::variables_of(circuit);
        Plan {
            leaves,
            batch_variables,
            sum_variables,
            rounds: layers * layers.saturating_sub(1) + 2 * (batch_variables + sum_variables),
            gates: layers + circuit.contracts.len().div_ceil(2),
        }
    }
}

/// Runs the whole reduction of a circuit with a party.
///
/// # Errors
/// The first error of the party.
pub fn reduce<P: Party>(circuit: &Circuit, plan: &Plan, party: &mut P) -> Result<(), P::Error> {
    let mut counter = Counter::default();
    if let Some(leaves) = &plan.leaves {
        lookup::reduce(circuit, leaves, party, &mut counter)?;
    }
    linear::reduce(circuit, party);
    if !circuit.contracts.is_empty() {
        contract::reduce(circuit, plan, party, &mut counter)?;
    }
    debug_assert_eq!((counter.rounds, counter.gates), (plan.rounds, plan.gates));
    Ok(())
}

/// Slots used so far.
#[derive(Default)]
struct Counter {
    rounds: usize,
    gates: usize,
}

/// The slots of one gate row.
struct Gate {
    p0: Slot,
    p1: Slot,
    q0: Slot,
    q1: Slot,
    t: Slot,
    w: Slot,
}

impl Counter {
    fn gate<P: Party>(&mut self, party: &mut P) -> Result<Gate, P::Error> {
        let row = self.gates;
        self.gates += 1;
        party.gate(row)?;
        let [p0, p1, q0, q1, t, w]: [Slot; GATE_COLUMNS] =
            std::array::from_fn(|column| Slot::Gate(row, column));
        Ok(Gate { p0, p1, q0, q1, t, w })
    }

    /// A round over a variable weighted by `eq(r, X)`, whose factor is not part of the round polynomial:
    /// `S = h0 + r (h1 + h2)`, so `h(rho) = S + (rho - r) h1 + (rho^2 - r) h2`. A plain sum over the cube is the case
    /// `r = 1/2` after the claim is halved. Returns the challenge.
    fn round<P: Party>(&mut self, party: &mut P, claim: &mut Affine, r: Fp) -> Result<Fp, P::Error> {
        let first = self.rounds;
        self.rounds += 2;
        party.round(first)?;
        let rho = party.challenge();
        party.bind(rho);
        let taken = std::mem::take(claim);
        *claim = taken.plus(rho - r, Slot::Round(first)).plus(rho * rho - r, Slot::Round(first + 1));
        Ok(rho)
    }
}
