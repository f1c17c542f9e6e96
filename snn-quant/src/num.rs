//! The numeric conversions of this crate, by name, so that no bare cast stands in a formula.

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
mod tests {
    use super::*;

    #[test]
    fn logarithms_are_exact_at_powers_of_two() {
        for e in [-149, -126, -10, -1, 0, 1, 7, 100] {
            let x = to_f32(2f64.powi(e));
            assert_eq!((floor_log2(x), ceil_log2(x)), (e, e), "at 2^{e}");
        }
        assert_eq!((floor_log2(0.75), ceil_log2(0.75)), (-1, 0));
        assert_eq!((floor_log2(5.0), ceil_log2(5.0)), (2, 3));
    }
}
