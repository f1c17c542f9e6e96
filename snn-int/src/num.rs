//! The numeric conversions of this crate, by name.

/// The index as `usize`, which has at least 32 bits on every target that this crate is for.
#[inline]
pub(crate) const fn index(n: u32) -> usize {
    n as usize
}

/// The low 32 bits, as two's complement: what wrapping arithmetic keeps.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "dropping the high bits is what is wanted")]
pub(crate) const fn low_i32(x: i64) -> i32 {
    x as i32
}

/// The low 16 bits.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "dropping the high bits is what is wanted")]
pub(crate) const fn low_i16(x: i32) -> i16 {
    x as i16
}

/// The low byte.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "dropping the high bits is what is wanted")]
pub(crate) const fn low_u8(x: u32) -> u8 {
    x as u8
}

/// The nearest `i32`.
#[inline]
pub(crate) fn saturating_i32(x: i64) -> i32 {
    low_i32(x.clamp(i64::from(i32::MIN), i64::from(i32::MAX)))
}

/// A count below 2^32 as `u32`.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "models are checked to have fewer than 2^24 of anything")]
pub(crate) const fn count(n: usize) -> u32 {
    n as u32
}
