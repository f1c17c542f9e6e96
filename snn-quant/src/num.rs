//! The numeric conversions of this crate, by name, so that no bare cast stands in a formula.

/// Rounds half to even, for `|x| <= 2^22`: adding and subtracting `1.5 * 2^23` leaves no fraction bits.
///
/// It is `f32::round_ties_even` without a call into the C library on targets that lack a rounding
/// instruction, so that loops over tensors vectorize everywhere; and it never returns `-0.0`.
#[inline]
pub(crate) fn round_half_even(x: f32) -> f32 {
    const NO_FRACTION: f32 = 12_582_912.0;
    (x + NO_FRACTION) - NO_FRACTION
}

/// The integer of a float that already is a whole number within `i32` (a rounded and clamped code).
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "whole and clamped by the caller")]
pub(crate) fn whole_to_i32(x: f32) -> i32 {
    x as i32
}

/// The nearest `f32`.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "rounding to the nearest f32 is what is wanted")]
pub(crate) fn to_f32(x: f64) -> f32 {
    x as f32
}

/// The count as a float; exact up to 2^53.
#[inline]
pub(crate) fn count(n: usize) -> f64 {
    n as f64
}

/// The nearest index to a non-negative float; 0 for anything below.
#[inline]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
pub(crate) fn to_index(x: f64) -> usize {
    x as usize
}

/// The integer of a float that already is a whole number; saturates.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "whole, and the cast saturates")]
pub(crate) fn to_i64(x: f64) -> i64 {
    x as i64
}

/// The number of values as `u64`, the type of all byte counts.
#[inline]
pub(crate) fn len_u64(n: usize) -> u64 {
    n as u64
}

/// `2^exponent` for exponents within the normal range of `f32`.
#[inline]
pub(crate) fn exp2(exponent: i32) -> f32 {
    to_f32(2f64.powi(exponent))
}

/// The exponent `floor(log2 x)` of a positive finite number, exactly.
pub(crate) fn floor_log2(x: f32) -> i32 {
    exponent_field(x)
}

/// The exponent `ceil(log2 x)` of a positive finite number, exactly.
pub(crate) fn ceil_log2(x: f32) -> i32 {
    let mantissa = f64::from(x).to_bits() & ((1 << 52) - 1);
    exponent_field(x) + i32::from(mantissa != 0)
}

/// Reads the exponent through `f64`, in which every positive `f32` is normal.
#[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "the field has 11 bits")]
fn exponent_field(x: f32) -> i32 {
    ((f64::from(x).to_bits() >> 52) & 0x7ff) as i32 - 1023
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "both round to the same whole number")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn logarithms_are_exact_at_powers_of_two() {
        for e in [-149, -126, -10, -1, 0, 1, 7, 100] {
            let x = to_f32(2f64.powi(e));
            assert_eq!((floor_log2(x), ceil_log2(x)), (e, e), "at 2^{e}");
        }
        assert_eq!((floor_log2(0.75), ceil_log2(0.75)), (-1, 0));
        assert_eq!((floor_log2(5.0), ceil_log2(5.0)), (2, 3));
    }

    proptest! {
        #[test]
        fn rounds_like_round_ties_even(x in -4.0e6f32..4.0e6, half in -70_000i32..70_000) {
            prop_assert_eq!(round_half_even(x), x.round_ties_even());
            let tie = half as f32 + 0.5;
            prop_assert_eq!(round_half_even(tie), tie.round_ties_even());
        }
    }
}
