//! The Fiat-Shamir transcript: one BLAKE2b-512 state for a whole proof.
//!
//! The same object serves Provenn's own messages and halo2's: it implements halo2's [`Transcript`]
//! traits with [`Challenge255`], under a personalisation of its own. Every message is absorbed with
//! a one-byte prefix for its type; a challenge is the hash of everything so far. Identity points are
//! refused, and so is every encoding that is not canonical.

use crate::encoding::{EncodingError, decompress};
use crate::{EqAffine, Fp};
use blake2b_simd::{Params, State};
use ff::{FromUniformBytes, PrimeField};
use group::GroupEncoding;
use halo2_proofs::transcript::{Challenge255, EncodedChallenge, Transcript, TranscriptRead, TranscriptWrite};
use pasta_curves::arithmetic::CurveAffine;
use std::io;

const PERSONALISATION: &[u8; 16] = b"Provenn-proof-v1";
const PREFIX_CHALLENGE: u8 = 0;
const PREFIX_POINT: u8 = 1;
const PREFIX_SCALAR: u8 = 2;
const PREFIX_BYTES: u8 = 3;

/// Why a message could not be read from a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TranscriptError {
    /// The proof ends before the message that is due.
    #[error("the proof ends at byte {at}, inside a message")]
    Truncated {
        /// Length of the proof, in bytes.
        at: usize,
    },
    /// The bytes are not the canonical encoding of a field element.
    #[error("bytes {at}..{} are not a canonical field element", at + 32)]
    Scalar {
        /// Offset of the encoding, in bytes.
        at: usize,
    },
    /// The bytes are not the canonical encoding of a point other than the identity.
    #[error("bytes {at}..{} are not a point of the curve other than the identity", at + 32)]
    Point {
        /// Offset of the encoding, in bytes.
        at: usize,
    },
}

impl From<TranscriptError> for io::Error {
    fn from(error: TranscriptError) -> Self {
        io::Error::other(error)
    }
}

#[derive(Clone)]
struct Hasher(State);

impl Hasher {
    fn new() -> Self {
        Hasher(Params::new().hash_length(64).personal(PERSONALISATION).to_state())
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0.update(&[PREFIX_BYTES]);
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    fn scalar(&mut self, scalar: &Fp) {
        self.0.update(&[PREFIX_SCALAR]);
        self.0.update(&scalar.to_repr());
    }

    /// Absorbs both coordinates; `None` for the identity, which has none.
    fn point(&mut self, point: &EqAffine) -> Option<()> {
        let coordinates = Option::from(point.coordinates())
            .map(|c: pasta_curves::arithmetic::Coordinates<EqAffine>| (c.x().to_repr(), c.y().to_repr()));
        let (x, y) = coordinates?;
        self.0.update(&[PREFIX_POINT]);
        self.0.update(&x);
        self.0.update(&y);
        Some(())
    }

    fn squeeze(&mut self) -> [u8; 64] {
        self.0.update(&[PREFIX_CHALLENGE]);
        *self.0.finalize().as_array()
    }
}

/// The prover's end: absorbs messages and appends them to the proof.
pub struct ProverTranscript {
    hasher: Hasher,
    proof: Vec<u8>,
}

/// The verifier's end: reads messages from the proof and absorbs them.
pub struct VerifierTranscript<'a> {
    hasher: Hasher,
    proof: &'a [u8],
    position: usize,
    points: Vec<EqAffine>,
    #[cfg(feature = "simulation")]
    challenges: usize,
    #[cfg(feature = "simulation")]
    programmed: Option<(usize, Fp)>,
}

impl Default for ProverTranscript {
    fn default() -> Self {
        Self::new()
    }
}

impl ProverTranscript {
    /// An empty transcript and proof.
    pub fn new() -> Self {
        ProverTranscript { hasher: Hasher::new(), proof: Vec::new() }
    }

    /// Absorbs bytes that both sides know, with their length.
    pub fn absorb(&mut self, bytes: &[u8]) {
        self.hasher.bytes(bytes);
    }

    /// A challenge that depends on everything absorbed so far.
    pub fn challenge(&mut self) -> Fp {
        Fp::from_uniform_bytes(&self.hasher.squeeze())
    }

    /// Appends a field element to the proof and absorbs it.
    pub fn scalar(&mut self, scalar: &Fp) {
        self.hasher.scalar(scalar);
        self.proof.extend_from_slice(&scalar.to_repr());
    }

    /// Appends a point to the proof and absorbs it.
    ///
    /// # Errors
    /// [`TranscriptError::Point`] for the identity, which an honest prover meets with negligible
    /// probability.
    pub fn point(&mut self, point: &EqAffine) -> Result<(), TranscriptError> {
        self.hasher.point(point).ok_or(TranscriptError::Point { at: self.proof.len() })?;
        self.proof.extend_from_slice(&point.to_bytes());
        Ok(())
    }

    /// The proof bytes.
    pub fn finish(self) -> Vec<u8> {
        self.proof
    }
}

impl<'a> VerifierTranscript<'a> {
    /// A transcript that reads `proof` from its beginning.
    pub fn new(proof: &'a [u8]) -> Self {
        VerifierTranscript {
            hasher: Hasher::new(),
            proof,
            position: 0,
            points: Vec::new(),
            #[cfg(feature = "simulation")]
            challenges: 0,
            #[cfg(feature = "simulation")]
            programmed: None,
        }
    }

    /// Lets the random oracle answer challenge number `index` with `answer`, as a zero-knowledge simulator may. A
    /// verifier has no use for it: whoever programs the oracle can prove anything.
    #[cfg(feature = "simulation")]
    pub fn program(&mut self, index: usize, answer: Fp) {
        self.programmed = Some((index, answer));
    }

    /// Absorbs bytes that both sides know, with their length.
    pub fn absorb(&mut self, bytes: &[u8]) {
        self.hasher.bytes(bytes);
    }

    /// A challenge that depends on everything absorbed so far.
    pub fn challenge(&mut self) -> Fp {
        let squeezed = Fp::from_uniform_bytes(&self.hasher.squeeze());
        #[cfg(feature = "simulation")]
        {
            self.challenges += 1;
            if let Some((index, answer)) = self.programmed
                && index + 1 == self.challenges
            {
                return answer;
            }
        }
        squeezed
    }

    /// Reads and absorbs a field element.
    ///
    /// # Errors
    /// [`TranscriptError::Truncated`] or [`TranscriptError::Scalar`].
    pub fn scalar(&mut self) -> Result<Fp, TranscriptError> {
        let at = self.position;
        let repr = self.take()?;
        let scalar = Option::<Fp>::from(Fp::from_repr(repr)).ok_or(TranscriptError::Scalar { at })?;
        self.hasher.scalar(&scalar);
        Ok(scalar)
    }

    /// Reads and absorbs a point other than the identity.
    ///
    /// # Errors
    /// [`TranscriptError::Truncated`] or [`TranscriptError::Point`].
    pub fn point(&mut self) -> Result<EqAffine, TranscriptError> {
        let at = self.position;
        let repr = self.take()?;
        let point = Option::<EqAffine>::from(EqAffine::from_bytes(&repr))
            .filter(|point| point.to_bytes() == repr)
            .ok_or(TranscriptError::Point { at })?;
        self.hasher.point(&point).ok_or(TranscriptError::Point { at })?;
        Ok(point)
    }

    /// Reads and absorbs `count` points as [`VerifierTranscript::point`] does, one after the other, but decodes them together.
    ///
    /// # Errors
    /// As `count` calls of [`VerifierTranscript::point`]: that of the first bad point.
    pub fn points(&mut self, count: usize) -> Result<Vec<EqAffine>, TranscriptError> {
        let start = self.position;
        let (encoded, _) = self.proof[start..].as_chunks::<32>();
        let encoded = &encoded[..count.min(encoded.len())];
        let points = decompress(encoded).map_err(|error| match error {
            EncodingError::NotAPoint { index } | EncodingError::Identity { index } => {
                TranscriptError::Point { at: start + 32 * index }
            }
        })?;
        if points.len() < count {
            return Err(TranscriptError::Truncated { at: self.proof.len() });
        }
        self.position += 32 * count;
        for (index, point) in points.iter().enumerate() {
            self.hasher.point(point).ok_or(TranscriptError::Point { at: start + 32 * index })?;
        }
        Ok(points)
    }

    /// Points read through halo2's traits so far, in order: the first six are its advice columns.
    pub fn halo2_points(&self) -> &[EqAffine] {
        &self.points
    }

    /// Bytes of the proof that have not been read.
    pub fn remaining(&self) -> usize {
        self.proof.len() - self.position
    }

    fn take(&mut self) -> Result<[u8; 32], TranscriptError> {
        let bytes = self
            .proof
            .get(self.position..self.position + 32)
            .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok())
            .ok_or(TranscriptError::Truncated { at: self.proof.len() })?;
        self.position += 32;
        Ok(bytes)
    }
}

macro_rules! halo2_transcript {
    ($name:ty) => {
        impl Transcript<EqAffine, Challenge255<EqAffine>> for $name {
            fn squeeze_challenge(&mut self) -> Challenge255<EqAffine> {
                Challenge255::new(&self.hasher.squeeze())
            }

            fn common_point(&mut self, point: EqAffine) -> io::Result<()> {
                self.hasher.point(&point).ok_or_else(|| TranscriptError::Point { at: self.position() }.into())
            }

            fn common_scalar(&mut self, scalar: Fp) -> io::Result<()> {
                self.hasher.scalar(&scalar);
                Ok(())
            }
        }
    };
}

halo2_transcript!(ProverTranscript);
halo2_transcript!(VerifierTranscript<'_>);

impl ProverTranscript {
    fn position(&self) -> usize {
        self.proof.len()
    }
}

impl VerifierTranscript<'_> {
    fn position(&self) -> usize {
        self.position
    }
}

impl TranscriptWrite<EqAffine, Challenge255<EqAffine>> for ProverTranscript {
    fn write_point(&mut self, point: EqAffine) -> io::Result<()> {
        Ok(self.point(&point)?)
    }

    fn write_scalar(&mut self, scalar: Fp) -> io::Result<()> {
        self.scalar(&scalar);
        Ok(())
    }
}

impl TranscriptRead<EqAffine, Challenge255<EqAffine>> for VerifierTranscript<'_> {
    fn read_point(&mut self) -> io::Result<EqAffine> {
        let point = self.point()?;
        self.points.push(point);
        Ok(point)
    }

    fn read_scalar(&mut self) -> io::Result<Fp> {
        Ok(self.scalar()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Eq;
    use ff::Field;
    use group::{Curve, Group};

    #[test]
    fn both_ends_squeeze_the_same_challenges() {
        let mut prover = ProverTranscript::new();
        prover.absorb(b"statement");
        prover.scalar(&Fp::from(5));
        let g = Eq::generator().to_affine();
        prover.point(&g).expect("the generator is not the identity");
        let challenge = prover.challenge();
        let proof = prover.finish();
        let mut verifier = VerifierTranscript::new(&proof);
        verifier.absorb(b"statement");
        assert_eq!(verifier.scalar(), Ok(Fp::from(5)));
        assert_eq!(verifier.point(), Ok(g));
        assert_eq!(verifier.challenge(), challenge);
        assert_ne!(verifier.challenge(), challenge);
        assert_eq!(verifier.remaining(), 0);
        assert_eq!(verifier.scalar(), Err(TranscriptError::Truncated { at: 64 }));
    }

    #[test]
    fn points_are_read_together_as_they_are_one_by_one() {
        let g = Eq::generator();
        let mut prover = ProverTranscript::new();
        for i in 1..60 {
            prover.point(&(g * Fp::from(i)).to_affine()).expect("not the identity");
        }
        let proof = prover.finish();
        // What both ways give, and the challenge that follows.
        let check = |proof: &[u8], count: usize| {
            let mut single = VerifierTranscript::new(proof);
            let mut batch = VerifierTranscript::new(proof);
            let points: Result<Vec<_>, _> = (0..count).map(|_| single.point()).collect();
            assert_eq!(batch.points(count), points);
            if points.is_ok() {
                assert_eq!(batch.challenge(), single.challenge());
                assert_eq!(batch.remaining(), single.remaining());
            }
            points.map(|points| points.len())
        };
        for count in [0, 1, 7, 59] {
            assert_eq!(check(&proof, count), Ok(count));
        }
        assert_eq!(check(&proof, 60), Err(TranscriptError::Truncated { at: 59 * 32 }));
        assert_eq!(check(&proof[..100], 4), Err(TranscriptError::Truncated { at: 100 }));
        // A bad point before the end comes first, and of several the first.
        for (bad, byte) in [([0; 32], 40), ([0xff; 32], 40)] {
            let mut proof = proof.clone();
            for at in [byte, byte + 5] {
                proof[32 * at..32 * at + 32].copy_from_slice(&bad);
            }
            assert_eq!(check(&proof, 40), Ok(40));
            assert_eq!(check(&proof, 59), Err(TranscriptError::Point { at: 32 * 40 }));
            assert_eq!(check(&proof, usize::MAX), Err(TranscriptError::Point { at: 32 * 40 }));
        }
    }

    #[test]
    fn the_length_of_absorbed_bytes_matters() {
        let (mut a, mut b) = (ProverTranscript::new(), ProverTranscript::new());
        a.absorb(b"ab");
        a.absorb(b"c");
        b.absorb(b"a");
        b.absorb(b"bc");
        assert_ne!(a.challenge(), b.challenge());
    }

    #[test]
    fn identity_and_non_canonical_encodings_are_refused() {
        assert!(ProverTranscript::new().point(&EqAffine::from(Eq::identity())).is_err());
        let zeros = [0u8; 32];
        assert_eq!(VerifierTranscript::new(&zeros).point(), Err(TranscriptError::Point { at: 0 }));
        let mut modulus = (-Fp::ONE).to_repr();
        modulus[0] += 1;
        assert_eq!(VerifierTranscript::new(&modulus).scalar(), Err(TranscriptError::Scalar { at: 0 }));
        assert_eq!(VerifierTranscript::new(&[0xff; 32]).point(), Err(TranscriptError::Point { at: 0 }));
    }
}
