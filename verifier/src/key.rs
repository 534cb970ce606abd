//! Verifying keys: derived from the layer list, not believed.

use crate::error::Rejection;
use crate::verify::verify_system;
use provenn_algebra::EqAffine;
use provenn_algebra::encoding::decompress;
use provenn_algebra::generators::{Generators, generators};
use provenn_algebra::transcript::VerifierTranscript;
use provenn_circuits::LayerList;
use provenn_circuits::artifact::{
    ArtifactError, Kind, ModelId, Statement, VERSION, VerifyingKeyContent, decode,
};
use provenn_circuits::products::ProductKeys;
use provenn_circuits::system::KeyShape;

/// A verifying key whose layer list, commitments and key proof have been checked.
pub struct VerifyingKey {
    pub(crate) layers: LayerList,
    pub(crate) model_id: ModelId,
    pub(crate) shape: KeyShape,
    pub(crate) weights: Vec<EqAffine>,
    pub(crate) generators: Generators,
    pub(crate) products: &'static ProductKeys,
}

impl std::fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifyingKey").field("model_id", &self.model_id).finish_non_exhaustive()
    }
}

impl VerifyingKey {
    /// Reads and checks a verifying key: format, layer list, ranges, commitments, and the key proof.
    ///
    /// # Errors
    /// [`Rejection`] naming the first thing that is wrong.
    pub fn from_bytes(bytes: &[u8]) -> Result<VerifyingKey, Rejection> {
        let content: VerifyingKeyContent = decode(Kind::VerifyingKey, bytes)?;
        if content.core.version != VERSION {
            return Err(ArtifactError::Version { expected: VERSION, actual: content.core.version }.into());
        }
        let shape = KeyShape::derive(&content.core.layers)?;
        let (expected, actual) = (shape.key.layout.weights.len(), content.core.commitments.len());
        if expected != actual {
            return Err(Rejection::Commitments { expected, actual });
        }
        let weights = decompress(&content.core.commitments)
            .map_err(|source| Rejection::Point { what: "weight commitments".to_string(), source })?;
        let key = VerifyingKey {
            model_id: content.core.model_id(),
            generators: generators(shape.n),
            products: ProductKeys::get(shape.k),
            layers: content.core.layers,
            shape,
            weights,
        };
        let mut transcript = VerifierTranscript::new(&content.key_proof);
        Statement::Key(key.model_id).absorb(|bytes| transcript.absorb(bytes));
        verify_system(&key, &key.shape.key, &[], &[], &mut transcript, &mut |_| {})
            .map_err(|rejection| Rejection::KeyProof(Box::new(rejection)))?;
        Ok(key)
    }

    /// The model ID that a verifying key claims, before anything but its encoding is checked: cheap, to refuse a key that is
    /// not the expected one before any work is spent on it.
    ///
    /// # Errors
    /// [`Rejection::Artifact`] for bytes that are no verifying key.
    pub fn claimed_model_id(bytes: &[u8]) -> Result<ModelId, Rejection> {
        let content: VerifyingKeyContent = decode(Kind::VerifyingKey, bytes)?;
        Ok(content.core.model_id())
    }

    /// The model ID.
    pub fn model_id(&self) -> ModelId {
        self.model_id
    }

    /// The layer list.
    pub fn layers(&self) -> &LayerList {
        &self.layers
    }

    /// Circuits, layouts and sizes.
    pub fn shape(&self) -> &KeyShape {
        &self.shape
    }
}
