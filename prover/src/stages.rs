//! Single steps of a proof, for benchmarks: nothing here makes a proof that anybody accepts.

use crate::error::ProverError;
use crate::hidden::{Masks, ProverParty};
use crate::hooks::Honest;
use crate::key::ProvingKey;
use crate::prepared::{Purpose, fresh_rng, fresh_seed};
use crate::products::{ProductColumns, ProductRandomness, prove_products};
use crate::watch::Watch;
use crate::witness::{Witness, assign};
use provenn_algebra::Fp;
use provenn_algebra::transcript::ProverTranscript;
use provenn_circuits::Modes;
use provenn_circuits::forms::GATE_COLUMNS;
use provenn_circuits::products::{ProductKeys, usable_rows};
use provenn_circuits::system::System;

/// The reduction of one inference: all rounds of the look-ups and of the bilinear sum-check.
pub struct Reduction<'k> {
    system: &'k System,
    values: Witness<'k>,
    masks: Masks,
}

impl<'k> Reduction<'k> {
    /// Computes the witness of an inference.
    ///
    /// # Errors
    /// [`ProverError`] if the input is not what the model declares.
    pub fn new(key: &'k ProvingKey, input: &'k [i64]) -> Result<Reduction<'k>, ProverError> {
        let system = key.shape().inference(Modes::PUBLIC);
        let values = assign(
            &system.circuit,
            key.parameters(),
            Some(input),
            &mut Watch::new(&mut |_| {}),
            |_, _, _| {},
        )?;
        let masks = Masks::new(system, 1 << key.shape().k, &mut fresh_rng(&mut Honest, Purpose::Masks)?);
        Ok(Reduction { system, values, masks })
    }

    /// Leaves of the fraction tree: of all blocks, their padding included.
    pub fn leaves(&self) -> usize {
        self.system.counts().leaves
    }

    /// Runs every round with a transcript of its own; returns the number of forms that are left to open.
    ///
    /// # Errors
    /// [`ProverError::Unlucky`] with negligible probability.
    pub fn run(&self) -> Result<usize, ProverError> {
        let mut transcript = ProverTranscript::new();
        let (mut hooks, mut observe) = (Honest, |_| {});
        let mut watch = Watch::new(&mut observe);
        let mut party =
            ProverParty::new(self.system, &self.values, &self.masks, &mut transcript, &mut hooks, &mut watch);
        self.system.reduce(&mut party)?;
        let (_, _, forms) = party.finish();
        Ok(forms.len())
    }
}

/// Gate rows that fill a circuit of size `k`.
pub fn product_rows(k: u32) -> Vec<[Fp; GATE_COLUMNS]> {
    (0..usable_rows(k) as u64)
        .map(|r| [r, r + 1, r + 2, r + 3, r * (r + 3) + (r + 1) * (r + 2), (r + 2) * (r + 3)].map(Fp::from))
        .collect()
}

/// The halo2 proof of [`product_rows`]; returns its bytes.
///
/// # Errors
/// [`ProverError::Unlucky`] with negligible probability.
pub fn products(k: u32) -> Result<Vec<u8>, ProverError> {
    let mut transcript = ProverTranscript::new();
    let keys = ProductKeys::get(k);
    let randomness = ProductRandomness::from_seed(&*fresh_seed(&mut Honest, Purpose::Products)?, k);
    let points = randomness.commit(keys);
    let columns = ProductColumns::new(keys, &product_rows(k), &randomness)?;
    prove_products(keys, columns, randomness, points, &mut transcript)?;
    Ok(transcript.finish())
}
