//! Points as bytes.

use crate::EqAffine;
use crate::parallel::{map, ranges, threads_for};
use group::{CurveAffine, GroupEncoding};

/// Nanoseconds to decode a point: a square root.
const DECODE: usize = 5000;

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
///
/// Of several bad entries the error names the first.
pub fn decompress(bytes: &[[u8; 32]]) -> Result<Vec<EqAffine>, EncodingError> {
    let threads = threads_for(bytes.len() * DECODE);
    let pieces = ranges(bytes.len(), bytes.len().div_ceil(4 * threads));
    let decoded = map(&pieces, threads, |piece| {
        piece.clone().map(|index| decode(&bytes[index], index)).collect::<Result<Vec<_>, _>>()
    });
    let mut points = Vec::with_capacity(bytes.len());
    for piece in decoded {
        points.extend(piece?);
    }
    Ok(points)
}

fn decode(bytes: &[u8; 32], index: usize) -> Result<EqAffine, EncodingError> {
    let point: Option<EqAffine> = EqAffine::from_bytes(bytes).into();
    let point = point.filter(|point| point.to_bytes() == *bytes).ok_or(EncodingError::NotAPoint { index })?;
    if bool::from(point.is_identity()) { Err(EncodingError::Identity { index }) } else { Ok(point) }
}

/// Encodes points: 32 bytes each, x little-endian with the parity of y in the highest bit.
pub fn compress(points: &[EqAffine]) -> Vec<[u8; 32]> {
    points.iter().map(EqAffine::to_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generators::generators;
    use crate::parallel::on_one_and_two_threads;

    #[test]
    fn round_trip() {
        let mut points = generators(300).g;
        for p in points.iter_mut().step_by(2) {
            *p = -*p;
        }
        let bytes = compress(&points);
        let [one, two] = on_one_and_two_threads(|| decompress(&bytes));
        assert_eq!(one.as_deref(), Ok(&points[..]));
        assert_eq!(one, two);
        assert_eq!(decompress(&[]), Ok(Vec::new()));
    }

    #[test]
    fn bad_entries_are_named() {
        let mut bytes = compress(&generators(200).g);
        bytes[150] = [0; 32];
        assert_eq!(decompress(&bytes), Err(EncodingError::Identity { index: 150 }));
        // The sign of the identity is not free.
        bytes[149] = [0; 32];
        bytes[149][31] = 0x80;
        assert_eq!(decompress(&bytes), Err(EncodingError::NotAPoint { index: 149 }));
        // x not reduced.
        bytes[148] = [0xff; 32];
        assert_eq!(decompress(&bytes), Err(EncodingError::NotAPoint { index: 148 }));
        // A coordinate plus the modulus, where that still fits: it would encode a point twice.
        let mut twin = bytes[0];
        let modulus = "0100000021eb468cdda89409fc98462200000000000000000000000000000040";
        let mut carry = 0;
        for (i, byte) in twin.iter_mut().enumerate() {
            let m = u16::from(u8::from_str_radix(&modulus[2 * i..2 * i + 2], 16).unwrap());
            let x = u16::from(*byte) & if i == 31 { 0x7f } else { 0xff };
            let total = x + m + carry;
            *byte = total as u8;
            carry = total >> 8;
        }
        assert_eq!(twin[31] >> 7, 0);
        bytes[147] = twin;
        assert_eq!(decompress(&bytes), Err(EncodingError::NotAPoint { index: 147 }));
        // x of no point: about half of all are.
        let no_point = (1..20u8).map(|x| {
            let mut encoding = [0; 32];
            encoding[0] = x;
            encoding
        });
        assert!(no_point.filter(|e| decompress(&[*e]).is_err()).count() > 2);
        let [one, two] = on_one_and_two_threads(|| decompress(&bytes));
        assert_eq!(one, two);
    }
}
