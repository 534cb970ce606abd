//! What can go wrong between a model file and an accepted proof.

use provenn_circuits::CircuitError;
use provenn_circuits::artifact::ArtifactError;
use provenn_models::ModelError;
use provenn_prover::ProverError;
use provenn_verifier::Rejection;

/// Why a model, an input, a key or a proof cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The model file, its data, or the quantization.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Committing or proving.
    #[error(transparent)]
    Prover(#[from] ProverError),
    /// A key, a proof or an opening is not accepted.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// Bytes are not the artifact that was expected.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// A layer list is not sound.
    #[error(transparent)]
    Circuit(#[from] CircuitError),
}
