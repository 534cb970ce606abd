//! Points as bytes.

use crate::EqAffine;
use group::{CurveAffine, GroupEncoding};

/// Why bytes are not a list of points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodingError {
    /// An entry is not the canonical encoding of a point of the curve.
    #[error("entry {index} is not the canonical encoding of a point of the curve")]
    NotAPoint {
        /// Position of the entry.
        index: usize,
    },
    /// An entry is the identity, which no honest party sends.
    #[error("entry {index} is the identity")]
    Identity {
        /// Position of the entry.
        index: usize,
    },
}

/// Decodes points, refusing the identity and every encoding that is not canonical.
pub fn decompress(bytes: &[[u8; 32]]) -> Result<Vec<EqAffine>, EncodingError> {
    bytes
        .iter()
        .enumerate()
        .map(|(index, encoding)| {
            let point: Option<EqAffine> = EqAffine::from_bytes(encoding).into();
            let point = point.ok_or(EncodingError::NotAPoint { index })?;
            if bool::from(point.is_identity()) {
                return Err(EncodingError::Identity { index });
            }
            Ok(point)
        })
        .collect()
}

/// Encodes points, 32 bytes each.
pub fn compress(points: &[EqAffine]) -> Vec<[u8; 32]> {
    points.iter().map(EqAffine::to_bytes).collect()
}
