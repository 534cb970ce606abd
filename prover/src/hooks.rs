//! Where a test's cheating prover steps in; the honest prover does nothing there.

use crate::columns::ColumnSet;
use crate::hidden::Masks;
use crate::opening::{OpeningMessages, Response};
use crate::witness::Witness;
use provenn_algebra::fractions::Leaves;
use provenn_algebra::{EqAffine, Fp};
use provenn_circuits::circuit::Circuit;
use provenn_circuits::forms::{Form, GATE_COLUMNS, Slot};
use provenn_circuits::reduction::LeafPlan;
use std::borrow::Cow;

/// Deviations from the protocol, in the order in which a proof reaches them.
pub(crate) trait Hooks {
    /// The seed from which a test lets all randomness follow; `None` for fresh randomness.
    fn seed(&mut self) -> Option<[u8; 32]> {
        None
    }
    /// Whether what is computed is committed as it is, which allows to commit to it at once.
    fn commits_early(&self) -> bool {
        false
    }
    /// Before the weights are committed.
    fn weights(&mut self, _columns: &mut ColumnSet) {}
    /// The weights with which the model is run.
    fn parameters<'p>(&mut self, committed: &'p [Vec<i64>]) -> Cow<'p, [Vec<i64>]> {
        Cow::Borrowed(committed)
    }
    /// After the witness is computed, before the statement is fixed.
    fn witness(&mut self, _circuit: &Circuit, _values: &mut Witness<'_>) {}
    /// After the witness is laid out, before it is committed.
    fn columns(&mut self, _columns: &mut ColumnSet) {}
    /// The commitments of the witness columns, before they are absorbed.
    fn commitments(&mut self, _commitments: &mut [EqAffine]) {}
    /// The masks, after they are committed.
    fn masks(&mut self, _masks: &mut Masks) {}
    /// Whether the first challenge is squeezed before the last commitment is absorbed.
    fn early_challenge(&self) -> bool {
        false
    }
    /// The leaves, before the tree is built; there may be up to `2^variables`.
    fn leaves(&mut self, _leaves: &mut Leaves, _plan: &LeafPlan) {}
    /// A round message before it is masked.
    fn message(&mut self, _slot: Slot, _value: &mut Fp) {}
    /// A gate row before it is masked.
    fn gate(&mut self, _row: usize, _cells: &mut [Fp; GATE_COLUMNS]) {}
    /// The asserted forms before they are combined.
    fn forms(&mut self, _forms: &mut [Form]) {}
    /// The first messages of the opening, before the challenge that follows them.
    fn opening(&mut self, _opening: &mut OpeningMessages) {}
    /// The answer to the opening's challenge; `_eq` are the weights of the rows in the scalar equation.
    fn response(&mut self, _response: &mut Response, _eq: &[Fp]) {}
    /// The inner product that the halving of the response is about, before it is absorbed.
    fn response_value(&mut self, _value: &mut Fp) {}
    /// Both points of a halving round, before they are absorbed.
    fn halving(&mut self, _round: usize, _points: &mut [EqAffine]) {}
    /// What is left of the response after the halving rounds.
    fn short_response(&mut self, _response: &mut [Fp]) {}
    /// The gate rows that halo2 is given.
    fn products(&mut self, _gates: &mut [[Fp; GATE_COLUMNS]]) {}
}

/// The honest prover.
pub(crate) struct Honest;

impl Hooks for Honest {
    fn commits_early(&self) -> bool {
        true
    }
}
