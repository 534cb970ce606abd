//! Why a key, a proof or an opening is not accepted.

use provenn_algebra::encoding::EncodingError;
use provenn_algebra::transcript::TranscriptError;
use provenn_circuits::CircuitError;
use provenn_circuits::artifact::{ArtifactError, ModelId};

/// Which tensor of the statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The input.
    Input,
    /// The output.
    Output,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Part::Input => "input",
            Part::Output => "output",
        })
    }
}

/// Why the verifier refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// The bytes are not the artifact that was expected.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The key's layer list does not give a sound circuit.
    #[error("the key's layer list is not sound: {0}")]
    Circuit(#[from] CircuitError),
    /// The key has the wrong number of weight commitments.
    #[error("the key has {actual} weight commitments, its layer list needs {expected}")]
    Commitments {
        /// Commitments needed.
        expected: usize,
        /// Commitments found.
        actual: usize,
    },
    /// A commitment is not a point of the curve.
    #[error("{what}: {source}")]
    Point {
        /// Which commitments.
        what: String,
        /// What is wrong.
        source: EncodingError,
    },
    /// The key proof is false: the committed weights are not integers in their declared ranges.
    #[error("the key proof is false: {0}")]
    KeyProof(Box<Rejection>),
    /// The proof is about another model.
    #[error("the proof is about model {actual}, the key is of model {expected}")]
    Model {
        /// The key's model.
        expected: ModelId,
        /// The proof's model.
        actual: ModelId,
    },
    /// The proof is bound to another application context.
    #[error("the proof is bound to the context {actual:?}, expected {expected:?}")]
    Context {
        /// Context expected.
        expected: String,
        /// The proof's context.
        actual: String,
    },
    /// The proof says that something else than input and output is public.
    #[error("the proof's visibility byte is {actual}, allowed are 0 to 3")]
    Modes {
        /// Byte found.
        actual: u8,
    },
    /// The statement has the wrong size.
    #[error("the {part} has {actual} bytes, expected {expected}")]
    Length {
        /// Which tensor.
        part: Part,
        /// Bytes expected.
        expected: usize,
        /// Bytes found.
        actual: usize,
    },
    /// A public value is outside its declared range.
    #[error("{part}[{index}] is {value}, declared are {lo} to {hi}")]
    OutOfRange {
        /// Which tensor.
        part: Part,
        /// Row-major index.
        index: usize,
        /// Its value.
        value: i64,
        /// Smallest declared value.
        lo: i64,
        /// Largest declared value.
        hi: i64,
    },
    /// A message is malformed.
    #[error("the proof's messages are malformed: {0}")]
    Message(#[from] TranscriptError),
    /// Bytes follow the last message.
    #[error("{extra} bytes follow the proof's last message")]
    Trailing {
        /// Bytes after the last message.
        extra: usize,
    },
    /// The opened values do not satisfy the combined claim: some step of the inference is false.
    #[error("the opened combination of the commitments does not have the claimed value")]
    FalseClaim,
    /// halo2's proof of the hidden products cannot be read or fails before its last equation.
    #[error("the halo2 proof is not valid: {reason}")]
    Products {
        /// halo2's reason.
        reason: String,
    },
    /// The one equation over the group is false: a commitment is not opened to what the proof says, or a hidden
    /// product is wrong.
    #[error("the commitments do not open to the values in the proof")]
    FalseOpening,
    /// An opening is for a tensor that the proof shows in the clear.
    #[error("the proof's {part} is public: there is nothing to open")]
    NothingToOpen {
        /// Which tensor.
        part: Part,
    },
    /// An opening lacks the tensor that was asked for.
    #[error("the opening has no {part}")]
    NotInOpening {
        /// Which tensor.
        part: Part,
    },
    /// An opening has another format than the commitment.
    #[error("the opening of the {part} has the format {actual}, the commitment has {expected}")]
    Format {
        /// Which tensor.
        part: Part,
        /// Format of the commitment.
        expected: String,
        /// Format of the opening.
        actual: String,
    },
    /// The opened values are not those behind the commitment.
    #[error("the {part} commitment does not open to these values")]
    WrongOpening {
        /// Which tensor.
        part: Part,
    },
}
