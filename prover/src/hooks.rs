//! Where a test's cheating prover steps in; the honest prover does nothing there.

use crate::columns::ColumnSet;
use crate::opening::OpeningMessages;
use crate::witness::Witness;
use provenn_algebra::{EqAffine, Fp};
use provenn_circuits::circuit::Circuit;
use provenn_circuits::forms::{Form, GATE_COLUMNS, Slot};

/// Deviations from the protocol, in the order in which a proof reaches them.
pub(crate) trait Hooks {
    /// After the witness is computed.
    fn witness(&mut self, _circuit: &Circuit, _values: &mut Witness<'_>) {}
    /// After the witness is laid out, before it is committed.
    fn columns(&mut self, _columns: &mut ColumnSet) {}
    /// The commitments of the witness columns, before they are absorbed.
    fn commitments(&mut self, _commitments: &mut Vec<EqAffine>) {}
    /// A round message before it is masked.
    fn message(&mut self, _slot: Slot, _value: &mut Fp) {}
    /// A gate row before it is masked.
    fn gate(&mut self, _row: usize, _cells: &mut [Fp; GATE_COLUMNS]) {}
    /// The asserted forms before they are combined.
    fn forms(&mut self, _forms: &mut Vec<Form>) {}
    /// The first messages of the opening, before the challenge that follows them.
    fn opening(&mut self, _opening: &mut OpeningMessages) {}
    /// The gate rows that halo2 is given.
    fn products(&mut self, _gates: &mut Vec<[Fp; GATE_COLUMNS]>) {}
}

/// The honest prover.
pub(crate) struct Honest;

impl Hooks for Honest {}
