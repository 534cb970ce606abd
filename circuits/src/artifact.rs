//! Artifacts: what is written to files and sent to others.
//!
//! Every artifact starts with magic, kind and format version; then comes bincode with a size limit. Decoding accepts
//! exactly the bytes that encoding gives.

use crate::error::CircuitError;
use crate::lower::Modes;
use crate::model::{LayerList, Range};
use bincode::{Decode, Encode};
use blake2b_simd::Params;

/// Version of the protocol and of all formats.
pub const VERSION: u32 = 3;

const MAGIC: &[u8; 8] = b"PROVENN\0";

/// Largest proof or opening that is read, in bytes.
pub const MAX_PROOF_BYTES: usize = 1 << 26;
/// Largest verifying key that is read, in bytes.
pub const MAX_KEY_BYTES: usize = 1 << 27;
/// Largest proving key that is read, in bytes.
pub const MAX_PROVING_KEY_BYTES: usize = 1 << 31;
/// Longest application context, in bytes.
pub const MAX_CONTEXT_BYTES: usize = 1 << 16;

/// What an artifact is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A proving key (private).
    ProvingKey,
    /// A verifying key.
    VerifyingKey,
    /// A proof.
    Proof,
    /// An opening of a committed input or output (private).
    Opening,
}

impl Kind {
    const ALL: [Kind; 4] = [Kind::ProvingKey, Kind::VerifyingKey, Kind::Proof, Kind::Opening];

    fn tag(self) -> u32 {
        match self {
            Kind::ProvingKey => 1,
            Kind::VerifyingKey => 2,
            Kind::Proof => 3,
            Kind::Opening => 4,
        }
    }

    /// Name for people.
    pub fn name(self) -> &'static str {
        match self {
            Kind::ProvingKey => "proving key",
            Kind::VerifyingKey => "verifying key",
            Kind::Proof => "proof",
            Kind::Opening => "opening",
        }
    }
}

/// Why bytes are not the artifact that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArtifactError {
    /// The bytes do not start as any artifact does.
    #[error("not a Provenn artifact: the first eight bytes are not PROVENN and zero")]
    Magic,
    /// The artifact is of another kind.
    #[error("this is {}, expected {}", with_article(actual), with_article(expected))]
    Kind {
        /// Kind asked for.
        expected: &'static str,
        /// Kind found.
        actual: String,
    },
    /// The artifact has another format version.
    #[error("format version {actual}, this program reads version {expected}")]
    Version {
        /// Version of this program.
        expected: u32,
        /// Version found.
        actual: u32,
    },
    /// The artifact is larger than any valid one.
    #[error("{actual} bytes are too many for a {kind}, the limit is {limit}")]
    TooLarge {
        /// Kind asked for.
        kind: &'static str,
        /// Bytes allowed.
        limit: usize,
        /// Bytes found.
        actual: usize,
    },
    /// The artifact ends too early.
    #[error("the {kind} is truncated after {actual} bytes")]
    Truncated {
        /// Kind asked for.
        kind: &'static str,
        /// Bytes found.
        actual: usize,
    },
    /// Bytes follow the artifact.
    #[error("{extra} bytes follow the end of the {kind}")]
    Trailing {
        /// Kind asked for.
        kind: &'static str,
        /// Bytes after its end.
        extra: usize,
    },
    /// The content cannot be decoded, or is not what encoding it gives.
    #[error("the {kind} is malformed: {reason}")]
    Malformed {
        /// Kind asked for.
        kind: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The layer list of a key is not valid.
    #[error("the key's layer list is not valid: {0}")]
    Layers(#[from] CircuitError),
}

fn with_article(name: &str) -> String {
    format!("{} {name}", if name.starts_with('o') { "an" } else { "a" })
}

const HEADER: usize = 16;

/// Kind and format version of an artifact's header.
///
/// # Errors
/// [`ArtifactError::Magic`], [`ArtifactError::Truncated`], or [`ArtifactError::Kind`] for a kind that does not exist.
pub fn identify(bytes: &[u8]) -> Result<(Kind, u32), ArtifactError> {
    if !bytes.starts_with(MAGIC) {
        return Err(ArtifactError::Magic);
    }
    let word = |at: usize| -> Result<u32, ArtifactError> {
        let bytes: [u8; 4] = bytes
            .get(at..at + 4)
            .and_then(|b| b.try_into().ok())
            .ok_or(ArtifactError::Truncated { kind: "artifact", actual: bytes.len() })?;
        Ok(u32::from_le_bytes(bytes))
    };
    let (tag, version) = (word(8)?, word(12)?);
    let kind = Kind::ALL.into_iter().find(|kind| kind.tag() == tag).ok_or_else(|| ArtifactError::Kind {
        expected: "known artifact",
        actual: format!("file of unknown kind {tag}"),
    })?;
    Ok((kind, version))
}

fn config<const LIMIT: usize>() -> impl bincode::config::Config {
    bincode::config::standard().with_fixed_int_encoding().with_limit::<LIMIT>()
}

/// Encodes an artifact of a kind.
///
/// # Errors
/// [`ArtifactError::TooLarge`] if its content exceeds the kind's limit.
pub fn encode<T: Encode>(kind: Kind, content: &T) -> Result<Vec<u8>, ArtifactError> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&kind.tag().to_le_bytes());
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend(canonical(content));
    check_size(kind, bytes.len())?;
    Ok(bytes)
}

fn check_size(kind: Kind, actual: usize) -> Result<(), ArtifactError> {
    let limit = match kind {
        Kind::ProvingKey => MAX_PROVING_KEY_BYTES,
        Kind::VerifyingKey => MAX_KEY_BYTES,
        Kind::Proof | Kind::Opening => MAX_PROOF_BYTES,
    };
    if actual > limit {
        return Err(ArtifactError::TooLarge { kind: kind.name(), limit, actual });
    }
    Ok(())
}

/// The canonical encoding of a part of an artifact.
fn canonical<T: Encode>(part: &T) -> Vec<u8> {
    bincode::encode_to_vec(part, bincode::config::standard().with_fixed_int_encoding())
        .expect("derived encodings into a vector cannot fail")
}

/// Decodes an artifact of a kind. Borrows byte strings from `bytes` instead of allocating by their claimed lengths.
///
/// # Errors
/// [`ArtifactError`] for anything but the exact bytes that [`encode`] gives.
pub fn decode<'a, T>(kind: Kind, bytes: &'a [u8]) -> Result<T, ArtifactError>
where
    T: Encode + bincode::BorrowDecode<'a, ()>,
{
    let (actual, version) = identify(bytes)?;
    if actual != kind {
        return Err(ArtifactError::Kind { expected: kind.name(), actual: actual.name().to_string() });
    }
    if version != VERSION {
        return Err(ArtifactError::Version { expected: VERSION, actual: version });
    }
    check_size(kind, bytes.len())?;
    let body = &bytes[HEADER..];
    let decoded = match kind {
        Kind::ProvingKey => bincode::borrow_decode_from_slice(body, config::<MAX_PROVING_KEY_BYTES>()),
        Kind::VerifyingKey => bincode::borrow_decode_from_slice(body, config::<MAX_KEY_BYTES>()),
        Kind::Proof | Kind::Opening => bincode::borrow_decode_from_slice(body, config::<MAX_PROOF_BYTES>()),
    };
    let (content, read): (T, usize) = decoded.map_err(|error| match error {
        bincode::error::DecodeError::UnexpectedEnd { .. } => {
            ArtifactError::Truncated { kind: kind.name(), actual: bytes.len() }
        }
        error => ArtifactError::Malformed { kind: kind.name(), reason: error.to_string() },
    })?;
    if read < body.len() {
        return Err(ArtifactError::Trailing { kind: kind.name(), extra: body.len() - read });
    }
    if canonical(&content) != body {
        return Err(ArtifactError::Malformed {
            kind: kind.name(),
            reason: "the encoding is not canonical".to_string(),
        });
    }
    Ok(content)
}

/// The part of a verifying key that its model ID names.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Core {
    /// Format version.
    pub version: u32,
    /// The layer list.
    pub layers: LayerList,
    /// Compressed commitments to the weight columns.
    pub commitments: Vec<[u8; 32]>,
}

impl Core {
    /// The model ID: BLAKE2b-256 of the canonical encoding.
    pub fn model_id(&self) -> ModelId {
        let bytes = canonical(self);
        let hash = Params::new().hash_length(32).personal(b"Provenn-model-v1").hash(&bytes);
        let mut id = [0; 32];
        id.copy_from_slice(hash.as_bytes());
        ModelId(id)
    }
}

/// Content of a verifying key.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct VerifyingKeyContent {
    /// What the model ID names.
    pub core: Core,
    /// Proof that all weights are integers in range.
    pub key_proof: Vec<u8>,
}

/// A model ID.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
pub struct ModelId(pub [u8; 32]);

impl std::fmt::Display for ModelId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for ModelId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ModelId({self})")
    }
}

impl std::str::FromStr for ModelId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.as_bytes();
        if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(format!(
                "a model ID has 64 hexadecimal digits, this has {} characters",
                text.chars().count()
            ));
        }
        let mut id = [0; 32];
        for (byte, pair) in id.iter_mut().zip(text.as_bytes().chunks(2)) {
            let nibble = |digit: u8| (digit as char).to_digit(16).unwrap_or(0) as u8;
            *byte = 16 * nibble(pair[0]) + nibble(pair[1]);
        }
        Ok(ModelId(id))
    }
}

/// What a commitment to an input or output is a commitment to.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct CommitmentFormat {
    /// Row length.
    pub n: u32,
    /// Shape, row-major.
    pub shape: Vec<u32>,
    /// Declared range of every entry.
    pub range: Range,
}

/// Wire form of a proof; byte strings are borrowed.
#[derive(Debug, Clone, PartialEq, Eq, Encode, bincode::BorrowDecode)]
pub struct ProofContent<'a> {
    /// The model it is about.
    pub model_id: ModelId,
    /// [`Modes::index`] of what is public.
    pub modes: u8,
    /// Application context.
    pub context: &'a [u8],
    /// Public input: [`values_to_bytes`]. Committed input: 32 bytes a column.
    pub input: &'a [u8],
    /// The same for the output.
    pub output: &'a [u8],
    /// The transcript's messages.
    pub messages: &'a [u8],
}

/// Bytes of a proof artifact whose context, input, output and messages have these lengths.
pub fn proof_bytes([context, input, output, messages]: [usize; 4]) -> usize {
    let [context, input, output, messages] = [context, input, output, messages].map(|len| vec![0; len]);
    let content = ProofContent {
        model_id: ModelId([0; 32]),
        modes: 0,
        context: &context,
        input: &input,
        output: &output,
        messages: &messages,
    };
    HEADER + canonical(&content).len()
}

/// Bytes of a verifying key artifact with so many commitments, and a key proof of so many bytes.
pub fn verifying_key_bytes(layers: &LayerList, commitments: usize, key_proof: usize) -> usize {
    let core = Core { version: VERSION, layers: layers.clone(), commitments: vec![[0; 32]; commitments] };
    HEADER + canonical(&VerifyingKeyContent { core, key_proof: vec![0; key_proof] }).len()
}

/// Content of an opening: the values behind an input or output commitment, and its blinds.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct OpeningContent {
    /// The committed input, if it is one.
    pub input: Option<TensorOpening>,
    /// The committed output, if it is one.
    pub output: Option<TensorOpening>,
}

/// The opening of one commitment.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct TensorOpening {
    /// What it opens.
    pub format: CommitmentFormat,
    /// The values, row-major.
    pub values: Vec<i64>,
    /// One blind per column: canonical field elements.
    pub blinds: Vec<[u8; 32]>,
}

impl std::fmt::Debug for TensorOpening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TensorOpening").field("format", &self.format).finish_non_exhaustive()
    }
}

/// What a transcript is about: absorbed before anything else.
#[derive(Debug, Clone, Copy)]
pub enum Statement<'a> {
    /// The weights behind a key are in range.
    Key(ModelId),
    /// An inference.
    Inference {
        /// The model.
        model_id: ModelId,
        /// Which of input and output are public.
        modes: Modes,
        /// Application context.
        context: &'a [u8],
        /// Format of the input.
        input_format: &'a CommitmentFormat,
        /// Values or points of the input, as in [`ProofContent::input`].
        input: &'a [u8],
        /// Format of the output.
        output_format: &'a CommitmentFormat,
        /// Values or points of the output, as in [`ProofContent::output`].
        output: &'a [u8],
    },
}

impl Statement<'_> {
    /// Passes everything that the statement depends on to `absorb`, which absorbs byte strings with their lengths.
    pub fn absorb(&self, mut absorb: impl FnMut(&[u8])) {
        absorb(&VERSION.to_le_bytes());
        match self {
            Statement::Key(model_id) => {
                absorb(b"key");
                absorb(&model_id.0);
            }
            Statement::Inference { model_id, modes, context, input_format, input, output_format, output } => {
                absorb(b"inference");
                absorb(&model_id.0);
                absorb(b"context");
                absorb(context);
                absorb(&[modes.index() as u8]);
                for (format, value) in [(input_format, input), (output_format, output)] {
                    absorb(&canonical(format));
                    absorb(value);
                }
            }
        }
    }
}

/// Bytes of one public value of a range: those of the range's width.
fn value_bytes(range: Range) -> usize {
    let width = range.hi.wrapping_sub(range.lo) as u64;
    (u64::BITS - width.leading_zeros()).div_ceil(8).max(1) as usize
}

/// Length of the encoding of `count` public values of a range.
pub fn encoded_len(range: Range, count: usize) -> usize {
    value_bytes(range) * count
}

/// Public values as bytes: each less the range's smallest value, little-endian, in as many bytes as the range's width has, at
/// least one.
pub fn values_to_bytes(range: Range, values: &[i64]) -> Vec<u8> {
    let bytes = value_bytes(range);
    values.iter().flat_map(|v| v.wrapping_sub(range.lo).to_le_bytes().into_iter().take(bytes)).collect()
}

/// The values that such bytes encode. They may lie above the range: different bytes are different values.
pub fn values_from_bytes(range: Range, bytes: &[u8]) -> Vec<i64> {
    let value = |chunk: &[u8]| chunk.iter().rev().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
    bytes.chunks_exact(value_bytes(range)).map(|chunk| range.lo.wrapping_add(value(chunk) as i64)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_values_take_the_bytes_of_their_range() {
        for (lo, hi, bytes) in [(0, 255, 1), (-128, 127, 1), (0, 256, 2), (5, 5, 1), (-(1 << 40), 1 << 40, 6)]
        {
            let range = Range::new(lo, hi);
            let values = [lo, hi, lo + (hi - lo) / 3];
            let encoded = values_to_bytes(range, &values);
            assert_eq!(encoded.len(), 3 * bytes);
            assert_eq!(encoded.len(), encoded_len(range, 3));
            assert_eq!(values_from_bytes(range, &encoded), values);
        }
        let range = Range::signed(62);
        let above = values_from_bytes(range, &[0xff; 8]);
        assert_eq!(above, [range.lo - 1]);
    }

    fn proof() -> Vec<u8> {
        let content = ProofContent {
            model_id: ModelId([7; 32]),
            modes: 0,
            context: b"nonce",
            input: &[1; 16],
            output: &[2; 8],
            messages: &[3; 64],
        };
        encode(Kind::Proof, &content).expect("a small proof")
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let bytes = proof();
        let content: ProofContent<'_> = decode(Kind::Proof, &bytes).expect("just encoded");
        assert_eq!((content.context, content.messages.len()), (&b"nonce"[..], 64));
    }

    #[test]
    fn each_defect_has_its_own_error() {
        let bytes = proof();
        let decoded = |bytes: &[u8]| decode::<ProofContent<'_>>(Kind::Proof, bytes).map(|_| ()).unwrap_err();
        assert_eq!(decoded(b"PK\x03\x04 something else"), ArtifactError::Magic);
        assert!(matches!(decoded(&bytes[..12]), ArtifactError::Truncated { .. }));
        for cut in 16..bytes.len() {
            assert!(matches!(decoded(&bytes[..cut]), ArtifactError::Truncated { .. }), "{cut}");
        }
        assert_eq!(
            decoded(&[&bytes[..], &[0]].concat()),
            ArtifactError::Trailing { kind: "proof", extra: 1 }
        );
        let mut other = bytes.clone();
        other[12] = 9;
        assert_eq!(decoded(&other), ArtifactError::Version { expected: VERSION, actual: 9 });
        other[8] = 2;
        assert!(matches!(decoded(&other), ArtifactError::Kind { expected: "proof", .. }));
        other[8] = 77;
        assert!(matches!(decoded(&other), ArtifactError::Kind { .. }));
        // A claimed length beyond the limit allocates nothing.
        let mut huge = bytes.clone();
        huge[16 + 33..16 + 41].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(matches!(decoded(&huge), ArtifactError::Malformed { .. } | ArtifactError::Truncated { .. }));
    }

    #[test]
    fn model_ids_read_back_from_their_digits() {
        let id = ModelId(std::array::from_fn(|i| i as u8 * 7));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!("12".parse::<ModelId>().is_err());
        assert!("é".repeat(32).parse::<ModelId>().is_err());
    }
}
