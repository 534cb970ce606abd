//! Dyadic scales: what one integer step stands for, as an exact real number.

use provenn_circuits::Scale;

/// Bits of a scale's mantissa.
const MANTISSA_BITS: i32 = 24;

/// The dyadic scale nearest to `value`, with a mantissa of at most 24 bits and no trailing zeros.
///
/// `None` unless `value` is finite, positive, and not subnormal.
pub fn scale_from_f64(value: f64) -> Option<Scale> {
    if !value.is_normal() || value < 0.0 {
        return None;
    }
    let exponent = ((value.to_bits() >> 52) & 0x7ff) as i32 - 1023;
    let fraction = (value.to_bits() & ((1 << 52) - 1)) | (1 << 52);
    let dropped = 53 - MANTISSA_BITS;
    let mantissa = (fraction + (1 << (dropped - 1))) >> dropped;
    let zeros = mantissa.trailing_zeros();
    Some(Scale {
        mantissa: (mantissa >> zeros) as u32,
        exponent: exponent - (MANTISSA_BITS - 1) + zeros as i32,
    })
}

/// The real value of a scale; exact for every scale that [`scale_from_f64`] gives.
pub fn scale_to_f64(scale: Scale) -> f64 {
    f64::from(scale.mantissa) * power_of_two(scale.exponent)
}

/// `2^exponent`, exact where `f64` can hold it.
pub(crate) fn power_of_two(exponent: i32) -> f64 {
    // Two factors, for a subnormal or overflowing power must not be rounded twice.
    let half = exponent / 2;
    2f64.powi(half) * 2f64.powi(exponent - half)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn powers_of_two_have_mantissa_one() {
        for exponent in -1000..1000 {
            let scale = scale_from_f64(2f64.powi(exponent)).unwrap();
            assert_eq!((scale.mantissa, scale.exponent), (1, exponent));
            assert_eq!(scale_to_f64(scale), 2f64.powi(exponent));
        }
    }

    #[test]
    fn what_is_no_scale_is_refused() {
        for value in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-310] {
            assert_eq!(scale_from_f64(value), None);
        }
    }

    proptest! {
        #[test]
        fn rounding_is_exact_to_24_bits_and_idempotent(value in 1e-200f64..1e200) {
            let scale = scale_from_f64(value).unwrap();
            let rounded = scale_to_f64(scale);
            prop_assert!(((rounded - value) / value).abs() <= 2f64.powi(-24));
            prop_assert!(scale.mantissa % 2 == 1 && scale.mantissa < 1 << 24);
            prop_assert_eq!(scale_from_f64(rounded), Some(scale));
        }
    }
}
