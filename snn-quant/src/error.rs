//! What can be wrong with a quantizer's specification or with the values it is given.

use thiserror::Error;

/// A specification or a tensor that cannot be quantized.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum QuantError {
    /// The bit width lies outside `1..=16`.
    #[error("bits = {bits} is out of range, expected 1 to 16")]
    BitWidth {
        /// The width asked for.
        bits: u32,
    },
    /// The percentile of a scale rule lies outside `(0, 100]`.
    #[error("percentile = {percentile} is out of range, expected more than 0 and at most 100")]
    Percentile {
        /// The percentile asked for.
        percentile: f64,
    },
    /// The number of integer bits of a fixed-point format is too far from zero for `f32`.
    #[error("int_bits = {int_bits} is out of range, expected -64 to 64")]
    IntBits {
        /// The number of integer bits asked for.
        int_bits: i32,
    },
    /// A field of a table of levels is out of range.
    #[error("{field} = {value} is out of range, expected {expected}")]
    LevelField {
        /// The field.
        field: &'static str,
        /// Its value.
        value: f64,
        /// What it may be.
        expected: &'static str,
    },
    /// The spacing of even levels was to be learned.
    #[error("even levels have no spacing to learn: learn = \"range\", or another spacing")]
    LearnedEvenSpacing,
    /// Levels were to be learned that do not start on both sides of 0 and of the threshold.
    #[error(
        "learned levels start below 0 and end above the threshold: lower_limit above -1, upper_limit above 0"
    )]
    LearnedRange,
    /// A learned scale was asked for with a zero point.
    #[error("scale = \"learned\" needs a mapping without zero point, found \"affine\"")]
    LearnedAffine,
    /// Two's complement at one bit: its two codes are -1 and 0.
    #[error("mapping = \"twos_complement\" needs at least 2 bits; take \"symmetric\"")]
    OneBitTwosComplement,
    /// A learned scale was asked for together with the power-of-two format.
    #[error("scale = \"learned\" needs scale_format = \"float\", found \"power_of_two\"")]
    LearnedPowerOfTwo,
    /// A learned scale was asked for where only a rule over observed values makes sense.
    #[error("scale = \"learned\" cannot be calibrated from observed values")]
    LearnedObserver,
    /// Nothing was observed, so there is no range to calibrate.
    #[error("no values were observed, expected at least one before calibration")]
    NothingObserved,
    /// The format still asks for calibration where a fixed one is needed.
    #[error("the range is not calibrated yet, expected a fixed one")]
    NotCalibrated,
    /// The number of values does not match the shape.
    #[error("shape {shape:?} holds {expected} values, found {found}")]
    Shape {
        /// The shape given.
        shape: Vec<usize>,
        /// The product of the shape.
        expected: usize,
        /// The number of values given.
        found: usize,
    },
    /// The tensor has no values, so it has no range.
    #[error("shape {shape:?} holds no values, expected at least one")]
    Empty {
        /// The shape given.
        shape: Vec<usize>,
    },
    /// A value is infinite or not a number.
    #[error("value {value} at index {index} is not finite")]
    NonFinite {
        /// The position in row-major order.
        index: usize,
        /// The value found there.
        value: f32,
    },
    /// A scale is not a positive finite number.
    #[error("scale {scale} of channel {channel} is not positive and finite")]
    Scale {
        /// The channel, 0 for a scale per tensor.
        channel: usize,
        /// The scale found.
        scale: f32,
    },
    /// The number of scales does not match the number of channels.
    #[error("expected {expected} scales, one per channel, found {found}")]
    ScaleCount {
        /// The number of channels.
        expected: usize,
        /// The number of scales given.
        found: usize,
    },
    /// A zero point that is not one of the grid's codes.
    #[error("zero point {zero_point} is not a code, expected {min} to {max}")]
    ZeroPoint {
        /// The zero point given.
        zero_point: i32,
        /// The smallest code.
        min: i32,
        /// The largest code.
        max: i32,
    },
    /// Packed codes end early or late.
    #[error("{n_codes} codes of {bits} bits take {expected} bytes, found {found}")]
    PackedLength {
        /// The number of codes asked for.
        n_codes: usize,
        /// Their width.
        bits: u32,
        /// The number of bytes they take.
        expected: u64,
        /// The number of bytes given.
        found: usize,
    },
    /// A code that the code set does not contain.
    #[error("code {code} at index {index} does not belong to the code set")]
    Code {
        /// The position of the code.
        index: usize,
        /// The code, or the packed bits, found there.
        code: i64,
    },
}
