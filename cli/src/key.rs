//! Proving keys over real numbers.

use crate::error::Error;
use crate::values::Values;
use provenn_circuits::artifact::ModelId;
use provenn_circuits::system::KeyShape;
use provenn_circuits::{LayerList, Modes};
use provenn_models::ModelError;
use provenn_models::executor::{Executor, quantize_input};
use provenn_prover::{Costs, Phase, Prepared, ProveOptions};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// A committed model: what proves its inferences.
///
/// Private: whoever has it knows the weights.
pub struct ProvingKey {
    key: provenn_prover::ProvingKey,
    notes: Notes,
}

/// What a proving key records for its owner. Nothing of it is proved, or known to verifiers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Notes {
    /// Name of the file that the model was imported from.
    pub source: Option<String>,
    /// Name of each layer.
    pub layer_names: Vec<String>,
    /// The [`Fidelity`](crate::Fidelity) report, as JSON.
    pub fidelity: Option<serde_json::Value>,
}

/// A proof, and what only its maker knows.
#[derive(Debug, Clone, PartialEq)]
pub struct Proof {
    /// The proof artifact, for [`VerifyingKey::verify`](crate::VerifyingKey::verify).
    pub bytes: Vec<u8>,
    /// The output that it proves, public or not.
    pub output: Values,
    /// The opening artifact of a committed input or output. Private.
    pub opening: Option<Vec<u8>>,
}

impl ProvingKey {
    /// Commits to an integer model, `parameters` being the tensors of [`LayerList::parameters`].
    ///
    /// # Errors
    /// [`Error::Prover`] for a layer list that is not sound, or parameters that it does not declare.
    pub fn commit(
        layers: LayerList,
        parameters: Vec<Vec<i64>>,
        notes: &Notes,
        observe: &mut dyn FnMut(Phase),
    ) -> Result<ProvingKey, Error> {
        let bytes = serde_json::to_vec(notes).unwrap_or_default();
        let key = provenn_prover::ProvingKey::commit(layers, parameters, bytes, observe)?;
        Ok(ProvingKey { key, notes: notes.clone() })
    }

    /// Reads a proving key artifact.
    ///
    /// # Errors
    /// [`Error::Prover`] for bytes that are no proving key, or one whose parts do not fit together.
    pub fn from_bytes(bytes: &[u8]) -> Result<ProvingKey, Error> {
        let key = provenn_prover::ProvingKey::from_bytes(bytes)?;
        // Keys of other programs may hold other notes.
        let notes = serde_json::from_slice(key.notes()).unwrap_or_default();
        Ok(ProvingKey { key, notes })
    }

    /// The proving key artifact. Private.
    ///
    /// # Errors
    /// [`Error::Prover`] if it would exceed its size limit.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        Ok(self.key.to_bytes()?)
    }

    /// The verifying key artifact, for [`VerifyingKey::from_bytes`](crate::VerifyingKey::from_bytes).
    ///
    /// # Errors
    /// [`Error::Prover`] if it would exceed its size limit.
    pub fn verifying_key(&self) -> Result<Vec<u8>, Error> {
        Ok(self.key.verifying_key()?)
    }

    /// Builds what the first proof would build: tables of generators and halo2's keys. Optional.
    pub fn warm_up(&self) {
        self.key.warm_up();
    }

    /// One-time material for one later proof with these modes: all of the proof's randomness and the commitments to it.
    ///
    /// # Errors
    /// [`Error::Prover`] if the operating system gives no randomness.
    pub fn prepare(&self, modes: Modes) -> Result<Prepared, Error> {
        Ok(self.key.prepare(modes)?)
    }

    /// Proves one inference on real numbers, row-major, rounded to the input's scale and saturated to its range.
    ///
    /// # Errors
    /// [`Error::Model`] for an input of the wrong length or with an entry that is not finite.
    pub fn prove(&self, input: &[f32], options: ProveOptions<'_>) -> Result<Proof, Error> {
        self.prove_observed(input, options, &mut |_| {})
    }

    /// [`ProvingKey::prove`], telling `observe` what the prover is doing.
    ///
    /// # Errors
    /// As [`ProvingKey::prove`].
    pub fn prove_observed(
        &self,
        input: &[f32],
        options: ProveOptions<'_>,
        observe: &mut dyn FnMut(Phase),
    ) -> Result<Proof, Error> {
        let input = quantize_input(self.layers(), input)?;
        Ok(self.real(self.key.prove_observed(&input, options, observe)?))
    }

    /// [`ProvingKey::prove_observed`] with material from [`ProvingKey::prepare`], which is used up.
    ///
    /// # Errors
    /// As [`ProvingKey::prove`]; [`Error::Prover`] for material that was made for another key, for other modes, or before a
    /// fork.
    pub fn prove_prepared(
        &self,
        input: &[f32],
        options: ProveOptions<'_>,
        prepared: Prepared,
        observe: &mut dyn FnMut(Phase),
    ) -> Result<Proof, Error> {
        let input = quantize_input(self.layers(), input)?;
        Ok(self.real(self.key.prove_prepared(&input, options, prepared, observe)?))
    }

    /// [`ProvingKey::prove_observed`], with what each layer cost.
    ///
    /// # Errors
    /// As [`ProvingKey::prove`].
    pub fn prove_measured(
        &self,
        input: &[f32],
        options: ProveOptions<'_>,
        observe: &mut dyn FnMut(Phase),
    ) -> Result<(Proof, Costs), Error> {
        let input = quantize_input(self.layers(), input)?;
        let (proof, costs) = self.key.prove_measured(&input, options, observe)?;
        Ok((self.real(proof), costs))
    }

    fn real(&self, proof: provenn_prover::Proof) -> Proof {
        let output = Values::output(self.layers(), proof.output);
        Proof { bytes: proof.bytes, output, opening: proof.opening }
    }

    /// Runs the integer model on samples, without proofs: what the proofs would say.
    ///
    /// # Errors
    /// [`Error::Model`] as for [`ProvingKey::prove`].
    pub fn run(&self, samples: &[Vec<f32>]) -> Result<Vec<Values>, Error> {
        let executor = Executor::new(self.layers(), self.key.parameters())?;
        let run = |sample: &Vec<f32>| {
            let output = executor.run(&quantize_input(self.layers(), sample)?)?;
            Ok::<_, ModelError>(Values::output(self.layers(), output))
        };
        Ok(samples.par_iter().map(run).collect::<Result<_, _>>()?)
    }

    /// The model ID.
    pub fn model_id(&self) -> ModelId {
        self.key.model_id()
    }

    /// The layer list.
    pub fn layers(&self) -> &LayerList {
        self.key.layers()
    }

    /// The parameter tensors, in the order of [`LayerList::parameters`].
    pub fn parameters(&self) -> &[Vec<i64>] {
        self.key.parameters()
    }

    /// Number of entries of an input.
    pub fn input_len(&self) -> usize {
        self.layers().input_shape.iter().map(|&d| d as usize).product()
    }

    /// Circuits, layouts and sizes.
    pub fn shape(&self) -> &KeyShape {
        self.key.shape()
    }

    /// What the key records for its owner.
    pub fn notes(&self) -> &Notes {
        &self.notes
    }
}
