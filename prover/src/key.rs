//! Proving keys: a model's weights with the blinds of their commitments.

use crate::columns::{ColumnSet, PackedSet};
use crate::costs::{Costs, Shared};
use crate::early::{Setting, execute};
use crate::error::ProverError;
use crate::hidden::random_vector;
use crate::hooks::{Honest, Hooks};
use crate::prepared::{Blinds, Material, Prepared, Purpose, Seeds, fresh_rng};
use crate::products::ProductTables;
use crate::prove::{Job, Phase, prove};
use crate::watch::{Watch, Work};
use crate::witness::check;
use bincode::{Decode, Encode};
use ff::PrimeField;
use provenn_algebra::Fp;
use provenn_algebra::commit::Committer;
use provenn_algebra::encoding::compress;
use provenn_circuits::artifact::{
    CommitmentFormat, Core, Kind, MAX_CONTEXT_BYTES, ModelId, OpeningContent, ProofContent, Statement,
    TensorOpening, VERSION, VerifyingKeyContent, decode, encode, values_to_bytes,
};
use provenn_circuits::circuit::{Role, TensorId, Visibility};
use provenn_circuits::layout::Group;
use provenn_circuits::products::ProductKeys;
use provenn_circuits::system::{KeyShape, System};
use provenn_circuits::{LayerList, Modes};
use tracing::info_span;
use zeroize::Zeroize;

/// Content of a proving key file.
#[derive(Encode, Decode)]
struct ProvingKeyContent {
    core: Core,
    key_proof: Vec<u8>,
    /// Parameter tensors, each entry in the least whole number of bytes that holds its bits, two's complement.
    parameters: Vec<Vec<u8>>,
    /// Blinds of the weight columns: canonical field elements.
    blinds: Vec<[u8; 32]>,
    notes: Vec<u8>,
}

/// A committed model: weights, the blinds of their commitments, and everything derived from the layer list.
///
/// Private: whoever has it knows the weights.
pub struct ProvingKey {
    core: Core,
    model_id: ModelId,
    key_proof: Vec<u8>,
    parameters: Vec<Vec<i64>>,
    notes: Vec<u8>,
    shape: KeyShape,
    weights: PackedSet,
    committer: Committer,
}

/// A proof, and what only its maker knows.
#[derive(Clone, PartialEq, Eq)]
pub struct Proof {
    /// The proof artifact.
    pub bytes: Vec<u8>,
    /// The output that it proves, public or not.
    pub output: Vec<i64>,
    /// The opening artifact of a committed input or output. Private.
    pub opening: Option<Vec<u8>>,
}

impl std::fmt::Debug for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proof").field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}

/// How an inference is proved.
#[derive(Debug, Clone, Copy)]
pub struct ProveOptions<'o> {
    /// Which of input and output are public.
    pub modes: Modes,
    /// Application context to which the proof is bound.
    pub context: &'o [u8],
}

impl Default for ProveOptions<'_> {
    fn default() -> Self {
        ProveOptions { modes: Modes::PUBLIC, context: b"" }
    }
}

impl ProvingKey {
    /// Commits to a model: fresh hiding commitments to its weights, and the proof that they are integers in range.
    ///
    /// `parameters` are the tensors of [`LayerList::parameters`], in that order. `notes` are kept in the key and mean
    /// nothing to the proof. `observe` is told what the prover is doing.
    ///
    /// # Errors
    /// [`ProverError::Circuit`] for a layer list that is not sound, [`ProverError::Length`] and
    /// [`ProverError::OutOfRange`] for parameters that are not what it declares.
    pub fn commit(
        layers: LayerList,
        parameters: Vec<Vec<i64>>,
        notes: Vec<u8>,
        observe: &mut dyn FnMut(Phase),
    ) -> Result<ProvingKey, ProverError> {
        Self::commit_with(layers, parameters, notes, &mut Honest, observe)
    }

    pub(crate) fn commit_with(
        layers: LayerList,
        parameters: Vec<Vec<i64>>,
        notes: Vec<u8>,
        hooks: &mut impl Hooks,
        observe: &mut dyn FnMut(Phase),
    ) -> Result<ProvingKey, ProverError> {
        let shape = KeyShape::derive(&layers)?;
        check_parameters(&shape.key, &layers, &parameters)?;
        observe(Phase::Commitments);
        let committer = Committer::new(shape.n);
        let blinds = random_vector(&mut fresh_rng(hooks, Purpose::Weights)?, shape.key.layout.weights.len());
        let mut weights = lay_out_weights(&shape.key, &parameters, blinds);
        hooks.weights(&mut weights);
        let commitments = compress(&committer.commit_small(&weights.columns(), &weights.blinds));
        let core = Core { version: VERSION, layers, commitments };
        let model_id = core.model_id();
        let mut key = ProvingKey {
            core,
            model_id,
            key_proof: Vec::new(),
            parameters,
            notes,
            shape,
            weights: weights.pack(),
            committer,
        };
        key.key_proof = key.prove_key(hooks, observe)?;
        Ok(key)
    }

    fn prove_key(
        &self,
        hooks: &mut impl Hooks,
        observe: &mut dyn FnMut(Phase),
    ) -> Result<Vec<u8>, ProverError> {
        let system = &self.shape.key;
        let watch = &mut Watch::new(observe).within(info_span!("key proof"));
        let (values, material, early) =
            execute(&self.setting(system), &self.parameters, None, None, hooks, watch)?;
        let none = PackedSet::empty(system.layout.n);
        let job = Job {
            system,
            k: self.shape.k,
            committer: &self.committer,
            weights: &self.weights,
            input: &none,
            output: &none,
            statement: Statement::Key(self.model_id),
        };
        prove(&job, &values, material, early, hooks, watch)
    }

    fn setting<'k>(&'k self, system: &'k System) -> Setting<'k> {
        Setting { system, k: self.shape.k, committer: &self.committer }
    }

    /// Proves one inference on the integers `input`, row-major.
    ///
    /// # Errors
    /// [`ProverError::Length`] and [`ProverError::OutOfRange`] for an input that is not what the model declares. No
    /// valid input makes the prover fail, but for events of negligible probability ([`ProverError::Unlucky`]).
    pub fn prove(&self, input: &[i64], options: ProveOptions<'_>) -> Result<Proof, ProverError> {
        self.prove_observed(input, options, &mut |_| {})
    }

    /// [`ProvingKey::prove`], telling `observe` what the prover is doing.
    ///
    /// # Errors
    /// As [`ProvingKey::prove`].
    pub fn prove_observed(
        &self,
        input: &[i64],
        options: ProveOptions<'_>,
        observe: &mut dyn FnMut(Phase),
    ) -> Result<Proof, ProverError> {
        self.prove_with(input, options, None, &mut Honest, observe)
    }

    /// [`ProvingKey::prove_observed`], with what each layer cost. The proof is like any other, but for some bookkeeping.
    ///
    /// # Errors
    /// As [`ProvingKey::prove`].
    pub fn prove_measured(
        &self,
        input: &[i64],
        options: ProveOptions<'_>,
        observe: &mut dyn FnMut(Phase),
    ) -> Result<(Proof, Costs), ProverError> {
        let mut watch = Watch::measuring(observe).within(info_span!("prove"));
        let proof = self.prove_watched(input, options, None, &mut Honest, &mut watch)?;
        let laps = watch.into_laps().unwrap_or_default();
        let system = self.shape.inference(options.modes);
        Ok((proof, Costs::new(system, self.core.layers.nodes.len(), &laps)))
    }

    /// One-time material for one later proof with these modes: all of the proof's randomness and the commitments to it.
    ///
    /// # Errors
    /// [`ProverError::Randomness`] if the operating system gives none.
    pub fn prepare(&self, modes: Modes) -> Result<Prepared, ProverError> {
        self.prepare_with(modes, &mut Honest)
    }

    pub(crate) fn prepare_with(&self, modes: Modes, hooks: &mut impl Hooks) -> Result<Prepared, ProverError> {
        let system = self.shape.inference(modes);
        let material = Material::new(system, self.shape.k, &self.committer, Seeds::fresh(hooks)?);
        Ok(Prepared::new(self.model_id, modes, material))
    }

    /// [`ProvingKey::prove_observed`] with material from [`ProvingKey::prepare`], which saves the time to make it now. The
    /// proof is like any other. The material is used up, even if the proof fails.
    ///
    /// ```
    /// # use provenn_prover::{ProveOptions, ProverError, ProvingKey};
    /// fn answer(key: &ProvingKey, input: &[i64]) -> Result<Vec<u8>, ProverError> {
    ///     let options = ProveOptions::default();
    ///     let prepared = key.prepare(options.modes)?;
    ///     // Later, when the input is there.
    ///     Ok(key.prove_prepared(input, options, prepared, &mut |_| {})?.bytes)
    /// }
    /// ```
    ///
    /// Two proofs cannot use the same material:
    ///
    /// ```compile_fail,E0382
    /// # use provenn_prover::{ProveOptions, ProverError, ProvingKey};
    /// fn answer(key: &ProvingKey, input: &[i64]) -> Result<Vec<u8>, ProverError> {
    ///     let options = ProveOptions::default();
    ///     let prepared = key.prepare(options.modes)?;
    ///     key.prove_prepared(input, options, prepared, &mut |_| {})?;
    ///     Ok(key.prove_prepared(input, options, prepared, &mut |_| {})?.bytes)
    /// }
    /// ```
    ///
    /// nor copies of it:
    ///
    /// ```compile_fail,E0599
    /// # use provenn_prover::{Prepared, ProveOptions, ProverError, ProvingKey};
    /// fn twice(prepared: Prepared) -> [Prepared; 2] {
    ///     [prepared.clone(), prepared]
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`ProvingKey::prove`]; [`ProverError::PreparedModel`], [`ProverError::PreparedModes`] and
    /// [`ProverError::PreparedProcess`] for material that was made for another key, for other modes, or before a fork.
    pub fn prove_prepared(
        &self,
        input: &[i64],
        options: ProveOptions<'_>,
        prepared: Prepared,
        observe: &mut dyn FnMut(Phase),
    ) -> Result<Proof, ProverError> {
        self.prove_with(input, options, Some(prepared), &mut Honest, observe)
    }

    pub(crate) fn prove_with(
        &self,
        input: &[i64],
        options: ProveOptions<'_>,
        prepared: Option<Prepared>,
        hooks: &mut impl Hooks,
        observe: &mut dyn FnMut(Phase),
    ) -> Result<Proof, ProverError> {
        let watch = &mut Watch::new(observe).within(info_span!("prove"));
        self.prove_watched(input, options, prepared, hooks, watch)
    }

    pub(crate) fn prove_watched(
        &self,
        input: &[i64],
        options: ProveOptions<'_>,
        prepared: Option<Prepared>,
        hooks: &mut impl Hooks,
        watch: &mut Watch<'_>,
    ) -> Result<Proof, ProverError> {
        let prepared =
            prepared.map(|prepared| prepared.material(self.model_id, options.modes)).transpose()?;
        if options.context.len() > MAX_CONTEXT_BYTES {
            return Err(ProverError::Context { limit: MAX_CONTEXT_BYTES, actual: options.context.len() });
        }
        let system = self.shape.inference(options.modes);
        let parameters = hooks.parameters(&self.parameters);
        let (values, mut material, early) =
            execute(&self.setting(system), &parameters, Some(input), prepared, hooks, watch)?;
        let mut shown = |id: Option<TensorId>, group: Group, blinds: &mut Blinds| -> Shown {
            let scalars = std::mem::take(&mut blinds.scalars);
            let columns = ColumnSet::lay_out(&system.circuit, &system.layout, group, &values, scalars, watch);
            let bytes = if columns.blinds.is_empty() {
                id.map_or(Vec::new(), |id| values_to_bytes(system.circuit.tensors[id].range, &values[id]))
            } else {
                compress(&blinds.commit(&self.committer, &columns.columns())).concat()
            };
            let shown = Shown { columns: columns.pack(), bytes, format: system.format(id) };
            watch.lap(|| id.map_or(Work::Shared(Shared::Statement), Work::Tensor));
            shown
        };
        let (input_id, output_id) = (system.circuit.input(), system.circuit.output());
        let shown_input = shown(input_id, Group::Input, &mut material.input);
        let shown_output = shown(output_id, Group::Output, &mut material.output);
        let output = output_id.map_or(Vec::new(), |id| values[id].to_vec());
        let opening = self.opening(options.modes, (&shown_input, input), (&shown_output, &output))?;
        let job = Job {
            system,
            k: self.shape.k,
            committer: &self.committer,
            weights: &self.weights,
            input: &shown_input.columns,
            output: &shown_output.columns,
            statement: Statement::Inference {
                model_id: self.model_id,
                modes: options.modes,
                context: options.context,
                input_format: &shown_input.format,
                input: &shown_input.bytes,
                output_format: &shown_output.format,
                output: &shown_output.bytes,
            },
        };
        let messages = prove(&job, &values, material, early, hooks, watch)?;
        let content = ProofContent {
            model_id: self.model_id,
            modes: options.modes.index() as u8,
            context: options.context,
            input: &shown_input.bytes,
            output: &shown_output.bytes,
            messages: &messages,
        };
        let bytes = encode(Kind::Proof, &content)?;
        watch.lap(|| Work::Shared(Shared::Encoding));
        Ok(Proof { bytes, output, opening })
    }

    fn opening(
        &self,
        modes: Modes,
        input: (&Shown, &[i64]),
        output: (&Shown, &[i64]),
    ) -> Result<Option<Vec<u8>>, ProverError> {
        if modes == Modes::PUBLIC {
            return Ok(None);
        }
        let open = |visibility: Visibility, (shown, values): (&Shown, &[i64])| {
            (visibility == Visibility::Committed).then(|| TensorOpening {
                format: shown.format.clone(),
                values: values.to_vec(),
                blinds: shown.columns.blinds.iter().map(|blind| blind.to_repr()).collect(),
            })
        };
        let content = OpeningContent { input: open(modes.input, input), output: open(modes.output, output) };
        Ok(Some(encode(Kind::Opening, &content)?))
    }

    /// Builds what the first proof would build: tables of generators and halo2's keys. Optional.
    pub fn warm_up(&self) {
        self.committer.prepare();
        ProductTables::get(ProductKeys::get(self.shape.k));
    }

    /// The model ID.
    pub fn model_id(&self) -> ModelId {
        self.model_id
    }

    /// The layer list.
    pub fn layers(&self) -> &LayerList {
        &self.core.layers
    }

    /// The parameter tensors.
    pub fn parameters(&self) -> &[Vec<i64>] {
        &self.parameters
    }

    /// The notes given at commit time.
    pub fn notes(&self) -> &[u8] {
        &self.notes
    }

    /// Circuits, layouts and sizes.
    pub fn shape(&self) -> &KeyShape {
        &self.shape
    }

    /// The verifying key artifact.
    ///
    /// # Errors
    /// [`ProverError::Artifact`] if it would exceed its size limit.
    pub fn verifying_key(&self) -> Result<Vec<u8>, ProverError> {
        let content = VerifyingKeyContent { core: self.core.clone(), key_proof: self.key_proof.clone() };
        Ok(encode(Kind::VerifyingKey, &content)?)
    }

    /// The proving key artifact.
    ///
    /// # Errors
    /// [`ProverError::Artifact`] if it would exceed its size limit.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ProverError> {
        let specs = self.core.layers.parameters();
        let content = ProvingKeyContent {
            core: self.core.clone(),
            key_proof: self.key_proof.clone(),
            parameters: specs.iter().zip(&self.parameters).map(|(spec, p)| pack(p, spec.bits)).collect(),
            blinds: self.weights.blinds.iter().map(|blind| blind.to_repr()).collect(),
            notes: self.notes.clone(),
        };
        Ok(encode(Kind::ProvingKey, &content)?)
    }

    /// Bytes of every proving key artifact of a shape, with notes of so many bytes; `layers` is the list that the shape was
    /// derived from.
    pub fn artifact_bytes(layers: &LayerList, shape: &KeyShape, notes: usize) -> usize {
        let parameters: usize =
            layers.parameters().iter().map(|spec| LENGTH + spec.len() * entry_bytes(spec.bits)).sum();
        let empty = ProvingKeyContent {
            core: Core { version: VERSION, layers: layers.clone(), commitments: vec![] },
            key_proof: vec![],
            parameters: vec![],
            blinds: vec![],
            notes: vec![],
        };
        let columns = 2 * 32 * shape.key.layout.weights.len();
        let empty = encode(Kind::ProvingKey, &empty).map_or(0, |bytes| bytes.len());
        empty + columns + shape.key.message_bytes(shape.k) + parameters + notes
    }

    /// Reads a proving key artifact.
    ///
    /// The key proof in it is not checked: it is for the verifier.
    ///
    /// # Errors
    /// [`ProverError::Artifact`] for bytes that are no proving key, [`ProverError::Circuit`], [`ProverError::Length`] and
    /// [`ProverError::Key`] for one whose parts do not fit together.
    pub fn from_bytes(bytes: &[u8]) -> Result<ProvingKey, ProverError> {
        let content: ProvingKeyContent = decode(Kind::ProvingKey, bytes)?;
        let shape = KeyShape::derive(&content.core.layers)?;
        let specs = content.core.layers.parameters();
        if specs.len() != content.parameters.len() {
            return Err(ProverError::Key {
                reason: format!("{} parameter tensors, expected {}", content.parameters.len(), specs.len()),
            });
        }
        let parameters: Option<Vec<Vec<i64>>> =
            specs.iter().zip(&content.parameters).map(|(spec, packed)| unpack(packed, spec.bits)).collect();
        let parameters = parameters.ok_or_else(|| ProverError::Key {
            reason: "a parameter tensor ends inside an entry".to_string(),
        })?;
        check_parameters(&shape.key, &content.core.layers, &parameters)?;
        let blinds: Option<Vec<Fp>> =
            content.blinds.iter().map(|repr| Option::from(Fp::from_repr(*repr))).collect();
        let blinds = blinds
            .filter(|blinds| blinds.len() == shape.key.layout.weights.len())
            .ok_or_else(|| ProverError::Key { reason: "the blinds do not fit the layer list".to_string() })?;
        let weights = lay_out_weights(&shape.key, &parameters, blinds).pack();
        let committer = Committer::new(shape.n);
        Ok(ProvingKey {
            model_id: content.core.model_id(),
            core: content.core,
            key_proof: content.key_proof,
            parameters,
            notes: content.notes,
            shape,
            weights,
            committer,
        })
    }
}

impl Drop for ProvingKey {
    fn drop(&mut self) {
        self.parameters.zeroize();
    }
}

/// A tensor of the statement: its columns if it is committed, and its bytes in the proof.
struct Shown {
    columns: PackedSet,
    bytes: Vec<u8>,
    format: CommitmentFormat,
}

fn lay_out_weights(system: &System, parameters: &[Vec<i64>], blinds: Vec<Fp>) -> ColumnSet {
    let values = system
        .circuit
        .tensors
        .iter()
        .map(|tensor| match tensor.role {
            Role::Weight(index) => parameters[index].as_slice().into(),
            _ => [].as_slice().into(),
        })
        .collect();
    ColumnSet::lay_out(
        &system.circuit,
        &system.layout,
        Group::Weight,
        &values,
        blinds,
        &mut Watch::new(&mut |_| {}),
    )
}

fn check_parameters(system: &System, layers: &LayerList, parameters: &[Vec<i64>]) -> Result<(), ProverError> {
    let expected = layers.parameters().len();
    if parameters.len() != expected {
        return Err(ProverError::Length {
            what: "the list of parameter tensors".to_string(),
            expected,
            actual: parameters.len(),
        });
    }
    system.circuit.tensors.iter().try_for_each(|tensor| match tensor.role {
        Role::Weight(index) => check(tensor, &parameters[index]),
        _ => Ok(()),
    })?;
    Ok(layers.check_parameters(parameters)?)
}

/// Bytes before a byte string that tell its length.
const LENGTH: usize = 8;

/// Bytes of a packed entry of so many bits.
fn entry_bytes(bits: u32) -> usize {
    bits.div_ceil(8) as usize
}

fn pack(values: &[i64], bits: u32) -> Vec<u8> {
    let width = entry_bytes(bits);
    values.iter().flat_map(|v| v.to_le_bytes().into_iter().take(width)).collect()
}

fn unpack(packed: &[u8], bits: u32) -> Option<Vec<i64>> {
    let width = entry_bytes(bits);
    let whole = packed.len().is_multiple_of(width);
    let entries = packed
        .chunks_exact(width)
        .map(|chunk| {
            // Sign extension of the last byte.
            let fill = if chunk.last().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 };
            let mut bytes = [fill; 8];
            bytes[..chunk.len()].copy_from_slice(chunk);
            i64::from_le_bytes(bytes)
        })
        .collect();
    whole.then_some(entries)
}
