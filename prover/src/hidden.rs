//! Hidden messages: the masks, and the prover's end of the channel.

use crate::contract::ContractProver;
use crate::error::ProverError;
use crate::hooks::Hooks;
use crate::lookup::LookupProver;
use crate::prove::Phase;
use crate::watch::{Watch, Work};
use crate::witness::Witness;
use ff::Field;
use provenn_algebra::transcript::ProverTranscript;
use provenn_algebra::{EqAffine, Fp};
use provenn_circuits::forms::{Form, GATE_COLUMNS, Messages, Slot};
use provenn_circuits::products::UNUSABLE_ROWS;
use provenn_circuits::reduction::{BilinearPoints, Party, Subject};
use provenn_circuits::system::System;
use rand_core::CryptoRng;
use zeroize::{Zeroize, Zeroizing};

pub(crate) fn random_vector(rng: &mut impl CryptoRng, len: usize) -> Vec<Fp> {
    (0..len).map(|_| Fp::random(rng)).collect()
}

/// One-time masks of one proof, with their blinds. Never reused: a proof consumes them, and they are erased on drop.
pub(crate) struct Masks {
    /// Mask columns `M`, `n` entries each: one mask per round message, the rest random too.
    pub(crate) rounds: Vec<Vec<Fp>>,
    pub(crate) round_blinds: Vec<Fp>,
    /// Gate mask columns `Mu`, `N` entries each: random on gate rows and on the last rows, 0 elsewhere.
    pub(crate) gates: [Vec<Fp>; GATE_COLUMNS],
    pub(crate) gate_blinds: Vec<Fp>,
    /// Masks `R` of the row sum-check.
    pub(crate) rows: Vec<Fp>,
    pub(crate) row_blind: Fp,
}

impl Masks {
    pub(crate) fn new(system: &System, halo2_rows: usize, rng: &mut impl CryptoRng) -> Masks {
        let n = system.layout.n;
        let mut gate_column = || {
            let mut column = vec![Fp::ZERO; halo2_rows];
            for (row, mask) in column.iter_mut().enumerate() {
                if row < system.plan.gates || row >= halo2_rows - UNUSABLE_ROWS {
                    *mask = Fp::random(rng);
                }
            }
            column
        };
        let gates = std::array::from_fn(|_| gate_column());
        Masks {
            rounds: (0..system.mask_columns).map(|_| random_vector(rng, n)).collect(),
            round_blinds: random_vector(rng, system.mask_columns),
            gates,
            gate_blinds: random_vector(rng, GATE_COLUMNS),
            rows: random_vector(rng, 2 * system.layout.nu()),
            row_blind: Fp::random(rng),
        }
    }

    fn get(&self, slot: Slot) -> Fp {
        match slot {
            Slot::Round(i) => {
                let n = self.rounds[0].len();
                self.rounds[i / n][i % n]
            }
            Slot::Gate(row, column) => self.gates[column][row],
        }
    }
}

impl Drop for Masks {
    fn drop(&mut self) {
        self.rounds.zeroize();
        self.round_blinds.zeroize();
        self.gates.zeroize();
        self.gate_blinds.zeroize();
        self.rows.zeroize();
        self.row_blind.zeroize();
    }
}

/// Commitments to the mask columns, the gate mask columns, and the row masks.
pub(crate) struct MaskCommitments {
    pub(crate) rounds: Vec<EqAffine>,
    pub(crate) gates: Vec<EqAffine>,
    pub(crate) rows: EqAffine,
}

/// The prover's party: computes every message, masks it, and absorbs it.
pub(crate) struct ProverParty<'p, 'w, H> {
    transcript: &'p mut ProverTranscript,
    hooks: &'p mut H,
    watch: &'p mut Watch<'w>,
    system: &'p System,
    values: &'p Witness<'p>,
    masks: &'p Masks,
    /// What the verifier sees.
    masked: Messages,
    /// The gate rows that it hides.
    gates: Zeroizing<Vec<[Fp; GATE_COLUMNS]>>,
    forms: Vec<Form>,
    lookups: Option<LookupProver>,
    contracts: Option<ContractProver>,
    /// Numerator and denominator of the last gate of the tree at the challenge that followed it.
    last_gate: [Fp; 4],
    error: Option<ProverError>,
}

impl<'p, 'w, H: Hooks> ProverParty<'p, 'w, H> {
    pub(crate) fn new(
        system: &'p System,
        values: &'p Witness<'p>,
        masks: &'p Masks,
        transcript: &'p mut ProverTranscript,
        hooks: &'p mut H,
        watch: &'p mut Watch<'w>,
    ) -> Self {
        ProverParty {
            transcript,
            hooks,
            watch,
            system,
            values,
            masks,
            masked: Messages::default(),
            gates: Zeroizing::new(Vec::with_capacity(system.plan.gates)),
            forms: Vec::new(),
            lookups: None,
            contracts: None,
            last_gate: [Fp::ZERO; 4],
            error: None,
        }
    }

    /// The masked messages, the gate rows, and the asserted forms.
    pub(crate) fn finish(self) -> (Messages, Zeroizing<Vec<[Fp; GATE_COLUMNS]>>, Vec<Form>) {
        (self.masked, self.gates, self.forms)
    }

    fn send(&mut self, slot: Slot, value: Fp) -> Fp {
        let masked = value + self.masks.get(slot);
        self.transcript.scalar(&masked);
        masked
    }

    fn deferred(&mut self) -> Result<(), ProverError> {
        self.error.take().map_or(Ok(()), Err)
    }
}

impl<H: Hooks> Party for ProverParty<'_, '_, H> {
    type Error = ProverError;

    fn challenge(&mut self) -> Fp {
        self.transcript.challenge()
    }

    fn round(&mut self, first: usize) -> Result<(), ProverError> {
        self.deferred()?;
        let (h1, h2) = match (&self.contracts, &mut self.lookups) {
            (Some(contracts), _) => contracts.round(),
            (_, Some(lookups)) => lookups.round(),
            _ => (Fp::ZERO, Fp::ZERO),
        };
        for (offset, mut value) in [h1, h2].into_iter().enumerate() {
            let slot = Slot::Round(first + offset);
            self.hooks.message(slot, &mut value);
            let masked = self.send(slot, value);
            self.masked.rounds.push(masked);
        }
        Ok(())
    }

    fn bind(&mut self, r: Fp) {
        match (&mut self.contracts, &mut self.lookups) {
            (Some(contracts), _) => contracts.bind(r),
            (_, Some(lookups)) => lookups.bind(r),
            _ => {}
        }
    }

    fn gate(&mut self, row: usize) -> Result<(), ProverError> {
        self.deferred()?;
        let [p0, p1, q0, q1] = match (&mut self.contracts, &mut self.lookups) {
            (Some(contracts), _) => contracts.gate(),
            (_, Some(lookups)) => lookups.gate(),
            _ => [Fp::ZERO; 4],
        };
        let mut cells = [p0, p1, q0, q1, p0 * q1 + p1 * q0, q0 * q1];
        self.hooks.gate(row, &mut cells);
        self.last_gate = [p0, p1, q0, q1];
        let mut masked = [Fp::ZERO; GATE_COLUMNS];
        for (column, cell) in cells.iter().enumerate() {
            masked[column] = self.send(Slot::Gate(row, column), *cell);
        }
        self.masked.gates.push(masked);
        self.gates.push(cells);
        let work = if self.contracts.is_some() { Work::Rounds } else { Work::Tree };
        self.watch.lap(|| work);
        Ok(())
    }

    fn assert_zero(&mut self, form: Form) {
        self.forms.push(form);
    }

    fn begin_lookups(&mut self, beta: Fp, gamma: Fp) -> Result<(), ProverError> {
        self.watch.phase(Phase::Lookups);
        if let Some(plan) = &self.system.plan.leaves {
            let (circuit, challenges) = (&self.system.circuit, (beta, gamma));
            let prover = LookupProver::new(circuit, plan, self.values, challenges, self.hooks, self.watch)?;
            self.lookups = Some(prover);
        }
        Ok(())
    }

    fn begin_layer(&mut self, point: &[Fp], lambda: Fp) {
        let [p0, p1, q0, q1] = self.last_gate;
        let tau = point[0];
        let claim = p0 + tau * (p1 - p0) + lambda * (q0 + tau * (q1 - q0));
        if let Some(lookups) = &mut self.lookups {
            self.error = lookups.begin_layer(point, lambda, claim).err();
        }
    }

    fn begin_contracts(&mut self, points: &BilinearPoints) {
        self.watch.phase(Phase::Bilinear);
        self.lookups = None;
        self.contracts = Some(ContractProver::new(&self.system.circuit, self.values, points, self.watch));
    }

    fn claimed(&mut self, subject: Subject) {
        self.watch.lap(|| Work::Subject(subject));
    }

    fn begin_sum_phase(&mut self) {
        if let Some(contracts) = &mut self.contracts {
            contracts.begin_sum_phase();
        }
    }
}
