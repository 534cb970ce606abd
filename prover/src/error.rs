//! What can go wrong while committing or proving.

use provenn_algebra::transcript::TranscriptError;
use provenn_circuits::artifact::{ArtifactError, ModelId};
use provenn_circuits::{CircuitError, Modes};

/// Why a model could not be committed or an inference not be proved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProverError {
    /// The layer list is not valid.
    #[error(transparent)]
    Circuit(#[from] CircuitError),
    /// An artifact cannot be read or written.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// A parameter tensor or an input has the wrong number of entries.
    #[error("{what} has {actual} entries, expected {expected}")]
    Length {
        /// The tensor.
        what: String,
        /// Entries expected.
        expected: usize,
        /// Entries found.
        actual: usize,
    },
    /// An entry is outside its declared range.
    #[error("{what}[{index}] is {value}, outside {lo} to {hi}")]
    OutOfRange {
        /// The tensor.
        what: String,
        /// The entry's row-major index.
        index: usize,
        /// Its value.
        value: i64,
        /// Smallest allowed value.
        lo: i64,
        /// Largest allowed value.
        hi: i64,
    },
    /// An intermediate value left its range. A committed model's parameters are checked to make this impossible; the value
    /// is secret and not named.
    #[error("{what}[{index}] left its range")]
    Witness {
        /// The tensor.
        what: String,
        /// The entry's row-major index.
        index: usize,
    },
    /// The proving key's parts do not fit together.
    #[error("the proving key is inconsistent: {reason}")]
    Key {
        /// What does not fit.
        reason: String,
    },
    /// The application context is too long.
    #[error("the context has {actual} bytes, the limit is {limit}")]
    Context {
        /// Bytes allowed.
        limit: usize,
        /// Bytes found.
        actual: usize,
    },
    /// The prepared material was made for another key.
    #[error("the material was prepared for model {actual}, the key is of model {expected}")]
    PreparedModel {
        /// The key's model.
        expected: ModelId,
        /// The model that it was made for.
        actual: ModelId,
    },
    /// The prepared material was made for another choice of what is public.
    #[error("the material was prepared for {actual:?}, the proof is of {expected:?}")]
    PreparedModes {
        /// The proof's modes.
        expected: Modes,
        /// The modes that it was made for.
        actual: Modes,
    },
    /// The prepared material was made by another process, of which this one is a fork.
    #[error("the material was prepared by process {actual}, this is process {expected}")]
    PreparedProcess {
        /// This process.
        expected: u32,
        /// The process that made it.
        actual: u32,
    },
    /// An event of negligible probability, such as a zero denominator: proving again uses fresh randomness.
    #[error("an event of negligible probability ({what}): prove again")]
    Unlucky {
        /// What happened.
        what: &'static str,
    },
    /// The operating system gave no randomness.
    #[error("the operating system gave no randomness: {reason}")]
    Randomness {
        /// Its reason.
        reason: String,
    },
    /// The hidden products do not fit the halo2 circuit of the key.
    #[error("the halo2 proof failed: {reason}")]
    Halo2 {
        /// What failed.
        reason: String,
    },
}

impl From<TranscriptError> for ProverError {
    fn from(_: TranscriptError) -> Self {
        ProverError::Unlucky { what: "a commitment was the identity" }
    }
}
