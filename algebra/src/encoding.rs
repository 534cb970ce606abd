//! Points as bytes.

use crate::affine::PointLanes;
use crate::backend::{Backend, backend};
use crate::lanes::{LANES, Word, dispatch};
use crate::parallel::{map_on, ranges, threads_for};
use crate::roots::{Roots, square_roots};
use crate::{EqAffine, Fq};
use ff::{Field, PrimeField};
use group::{CurveAffine as _, GroupEncoding};
use pasta_curves::arithmetic::CurveAffine;

/// Groups of [`LANES`] points whose square roots are computed together: the squarings of one wait for each other.
const STAGED: usize = 2;

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
    decompress_on(backend(), bytes)
}

/// [`decompress`] with the kernels that are named.
///
/// # Panics
/// If the processor does not have them.
pub fn decompress_on(backend: Backend, bytes: &[[u8; 32]]) -> Result<Vec<EqAffine>, EncodingError> {
    dispatch!(backend, Fq, L => decode_all::<L>(bytes))
}

fn decode_all<L: PointLanes>(bytes: &[[u8; 32]]) -> Result<Vec<EqAffine>, EncodingError> {
    let threads = threads_for(bytes.len() * L::ROOT);
    let size = bytes.len().div_ceil(4 * threads).next_multiple_of(STAGED * LANES);
    let pieces = ranges(bytes.len(), size);
    let decoded = map_on(&pieces, threads, |piece| {
        let mut points = Vec::with_capacity(piece.len());
        decode::<L>(&bytes[piece.clone()], piece.start, &mut points).map(|()| points)
    });
    let mut points = Vec::with_capacity(bytes.len());
    for piece in decoded {
        points.extend(piece?);
    }
    Ok(points)
}

/// Decodes the entries of which the first has this index.
fn decode<L: PointLanes>(
    bytes: &[[u8; 32]],
    first: usize,
    points: &mut Vec<EqAffine>,
) -> Result<(), EncodingError> {
    if bytes.len() <= L::FEW_ROOTS {
        for (offset, bytes) in bytes.iter().enumerate() {
            points.push(decode_one(bytes, first + offset)?);
        }
        return Ok(());
    }
    let roots = L::roots().get_or_init(Roots::new);
    let mut done = 0;
    while bytes.len() - done > L::FEW_ROOTS {
        let rest = &bytes[done..];
        let staged = rest.len() > LANES + L::FEW_ROOTS;
        let count = rest.len().min(if staged { STAGED * LANES } else { LANES });
        let mut group = [[0; 32]; STAGED * LANES];
        group[..count].copy_from_slice(&rest[..count]);
        let decoded = L::enter(
            #[inline(always)]
            || {
                if staged {
                    decode_group::<L, STAGED>(roots, &group)
                } else {
                    decode_group::<L, 1>(roots, &group)
                }
            },
        );
        for (offset, point) in decoded[..count].iter().enumerate() {
            let index = first + done + offset;
            points.push(match point {
                Some(point) => *point,
                None if group[offset] == [0; 32] => return Err(EncodingError::Identity { index }),
                None => return Err(EncodingError::NotAPoint { index }),
            });
        }
        done += count;
    }
    decode::<L>(&bytes[done..], first + done, points)
}

/// The points of canonical encodings other than the identity's.
#[inline(always)]
fn decode_group<L: PointLanes, const N: usize>(
    roots: &Roots<L::Word>,
    bytes: &[[u8; 32]; STAGED * LANES],
) -> [Option<EqAffine>; STAGED * LANES] {
    let five = L::splat(&L::Word::new(&EqAffine::b()));
    let mut xs = [Fq::ZERO; STAGED * LANES];
    let mut canonical = [false; STAGED * LANES];
    for i in 0..N * LANES {
        let mut repr = bytes[i];
        repr[31] &= 0x7f;
        if let Some(x) = Fq::from_repr_vartime(repr) {
            (xs[i], canonical[i]) = (x, true);
        }
    }
    let mut squares = [five; N];
    for group in 0..N {
        let x = L::convert(lane_references(&xs, group));
        squares[group] = x.square().mul(x).add(five);
    }
    let (ys, are_roots) = square_roots::<L, N>(roots, squares);
    let mut points = [None; STAGED * LANES];
    for group in 0..N {
        let mut words = [L::Word::default(); LANES];
        ys[group].store(&mut words);
        for lane in 0..LANES {
            let i = group * LANES + lane;
            // With x = 0 there is no point: the identity's encoding is refused like others.
            if canonical[i] && are_roots[group] >> lane & 1 == 1 {
                let y = words[lane].get();
                let negate = bool::from(y.is_odd()) != (bytes[i][31] >> 7 == 1);
                points[i] = Some(EqAffine::from_xy_unchecked(xs[i], if negate { -y } else { y }));
            }
        }
    }
    points
}

/// The elements of a group.
#[inline(always)]
fn lane_references(elements: &[Fq; STAGED * LANES], group: usize) -> [&Fq; LANES] {
    let mut references = [&elements[0]; LANES];
    for lane in 0..LANES {
        references[lane] = &elements[group * LANES + lane];
    }
    references
}

fn decode_one(bytes: &[u8; 32], index: usize) -> Result<EqAffine, EncodingError> {
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
    use crate::backend::best;
    use crate::generators::generators;
    use crate::parallel::on_one_and_two_threads;
    use group::{Curve, Group};
    use proptest::prelude::*;

    /// What both sets of kernels, and `pasta_curves`, decode.
    fn decompress(bytes: &[[u8; 32]]) -> Result<Vec<EqAffine>, EncodingError> {
        let expected: Result<Vec<EqAffine>, EncodingError> =
            bytes.iter().enumerate().map(|(index, bytes)| decode_one(bytes, index)).collect();
        for backend in [Backend::Portable, best()] {
            assert_eq!(decompress_on(backend, bytes), expected, "{}", backend.name());
        }
        expected
    }

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

    #[test]
    fn every_count_and_every_position() {
        let good = compress(&generators(40).g);
        // x = 0 is of no point, whatever the sign; without one it encodes the identity.
        let mut no_point = [0; 32];
        no_point[31] = 0x80;
        let bad = [[0; 32], [0xff; 32], no_point];
        for count in 0..=good.len() {
            assert_eq!(decompress(&good[..count]).map(|points| points.len()), Ok(count));
        }
        for index in 0..good.len() {
            for entry in bad {
                let mut bytes = good.clone();
                bytes[index] = entry;
                assert!(decompress(&bytes).is_err());
                bytes[good.len() - 1] = [0xff; 32];
                assert!(decompress(&bytes).is_err());
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_bytes(mut bytes in prop::collection::vec(prop::array::uniform32(any::<u8>()), 0..40), small in any::<bool>()) {
            // Canonical coordinates, half of them of points; and all bytes alone, as only the first error is named.
            for bytes in &mut bytes {
                if small {
                    bytes[31] &= 0xbf;
                }
                let _ = decompress(&[*bytes]);
            }
            let _ = decompress(&bytes);
            bytes.retain(|bytes| decode_one(bytes, 0).is_ok());
            prop_assert_eq!(decompress(&bytes).map(|points| compress(&points)), Ok(bytes));
        }

        #[test]
        fn any_points(scalars in prop::collection::vec(any::<[u64; 4]>(), 0..40)) {
            let points: Vec<EqAffine> = scalars
                .iter()
                .map(|&limbs| (crate::Eq::generator() * crate::Fp::from_raw(limbs)).to_affine())
                .filter(|point| !bool::from(point.is_identity()))
                .collect();
            prop_assert_eq!(decompress(&compress(&points)), Ok(points));
        }
    }
}
