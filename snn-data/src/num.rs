//! Named number conversions: the only casts of the crate.
//!
//! All of them saturate and map NaN to zero, so none can wrap or panic.

/// `floor(x)` as a signed pixel coordinate.
#[allow(clippy::cast_possible_truncation, reason = "float to int casts saturate")]
pub(crate) fn floor_i32(x: f32) -> i32 {
    x.floor() as i32
}

/// `x` rounded half to even, as a signed pixel coordinate.
#[allow(clippy::cast_possible_truncation, reason = "float to int casts saturate")]
pub(crate) fn round_i32(x: f32) -> i32 {
    x.round_ties_even() as i32
}

/// A time in us rounded down; negative times become 0.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "float to int casts saturate")]
pub(crate) fn floor_us(t: f64) -> u32 {
    t as u32
}

/// `x` rounded half to even as a count; negative values become 0.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "float to int casts saturate")]
pub(crate) fn round_count(x: f64) -> usize {
    x.round_ties_even() as usize
}

/// A coordinate moved by a signed offset, or `None` where it leaves `0..limit`.
pub(crate) fn offset_within(x: u16, by: i32, limit: u16) -> Option<u16> {
    coordinate_within(i32::from(x).saturating_add(by), limit)
}

/// A signed coordinate as a pixel of `0..limit`, or `None` outside.
pub(crate) fn coordinate_within(x: i32, limit: u16) -> Option<u16> {
    u16::try_from(x).ok().filter(|&x| x < limit)
}

/// A count as `u64`, for arithmetic that cannot overflow.
pub(crate) fn wide(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

/// A `u64` below a known `usize` bound, as an index; saturates.
pub(crate) fn index(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

/// A `u64` as `u32`; saturates.
pub(crate) fn narrow(n: u64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
