//! Fixed-point numbers `Qm.n`: two's complement codes whose step is a power of two.
//!
//! With no integer bits this is the format of Lui & Neftci for weights and membranes alike: `b` bits cover
//! `[-1, 1 - 2^-(b-1)]` in steps of `2^-(b-1)`.
//!
//! # References
//! Lui, Neftci, "Hessian Aware Quantization of Spiking Neural Networks", 2021, arXiv 2104.14117: word lengths
//! 4, 8, 16 with 3, 7, 15 fraction bits, clamped, stochastic rounding in the forward pass, gradients zero
//! outside the range. Deviation: whether a gradient passes is decided before rounding, see
//! [`ste_backward`](crate::ste_backward).

use crate::num::ceil_log2;
use crate::uniform::{ClipGrad, ScaleRule};
use crate::{BitWidth, CodeSet, Grid, QuantError, QuantParams, Rounding};
use serde::{Deserialize, Serialize};

/// A fixed-point format: one sign bit, `int_bits` integer bits and `bits - 1 - int_bits` fraction bits.
///
/// `int_bits` may be negative (all values are small) or exceed `bits - 1` (steps above 1); the step is
/// `2^(int_bits - (bits - 1))` and the range `[-2^int_bits, 2^int_bits - step]`.
///
/// # Examples
/// ```
/// use snn_quant::{BitWidth, FixedPoint};
///
/// let q = FixedPoint::q0(BitWidth::new(4)?);
/// assert_eq!((q.min(), q.max(), q.step()), (-1.0, 0.875, 0.125));
/// assert_eq!(q.grid().fake_quant(0.3), 0.25);
/// # Ok::<(), snn_quant::QuantError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FixedPoint {
    bits: BitWidth,
    int_bits: i32,
}

impl FixedPoint {
    /// The largest number of integer bits, and the largest of negative ones.
    const MAX_INT_BITS: i32 = 64;

    /// `Q0.(b-1)`: the range `[-1, 1 - 2^-(b-1)]`.
    pub fn q0(bits: BitWidth) -> Self {
        FixedPoint { bits, int_bits: 0 }
    }

    /// `Qm.n` with `m = int_bits` and `n = bits - 1 - int_bits`.
    ///
    /// # Errors
    /// [`QuantError::IntBits`] unless `int_bits` lies in `-64..=64`.
    pub fn new(bits: BitWidth, int_bits: i32) -> Result<Self, QuantError> {
        if int_bits.abs() <= Self::MAX_INT_BITS {
            Ok(FixedPoint { bits, int_bits })
        } else {
            Err(QuantError::IntBits { int_bits })
        }
    }

    /// The format with the fewest integer bits whose range reaches `±max_abs`. (The value `max_abs` itself is
    /// clipped by one step if it is a power of two, as in Brevitas.) `Q0` for 0.
    ///
    /// # Errors
    /// [`QuantError::IntBits`] when `max_abs` is beyond `2^64` or below `2^-64`.
    pub fn covering(bits: BitWidth, max_abs: f32) -> Result<Self, QuantError> {
        let positive = max_abs.is_finite() && max_abs > 0.0;
        Self::new(bits, if positive { ceil_log2(max_abs) } else { 0 })
    }

    /// The width of the codes.
    pub fn bits(self) -> BitWidth {
        self.bits
    }

    /// The number of integer bits, the exponent of the range.
    pub fn int_bits(self) -> i32 {
        self.int_bits
    }

    /// The distance between levels.
    pub fn step(self) -> f32 {
        self.grid().scale()
    }

    /// The smallest level, `-2^int_bits`.
    pub fn min(self) -> f32 {
        self.grid().min()
    }

    /// The largest level, `2^int_bits - step`.
    pub fn max(self) -> f32 {
        self.grid().max()
    }

    /// The levels as a grid.
    pub fn grid(self) -> Grid {
        Grid::power_of_two(self.int_bits - self.bits.n_magnitude(), CodeSet::twos_complement(self.bits))
    }

    /// The levels as the parameters of a tensor.
    pub fn params(self) -> QuantParams {
        QuantParams::per_tensor(self.bits, self.grid())
    }
}

/// How many integer bits a format has, or how they are to be found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a whole number such as 0, or { calibrate = \"abs_max\" }")]
pub enum IntBits {
    /// This many.
    Fixed(i32),
    /// Found from observed values.
    Calibrated(Calibrate),
}

/// The rule by which a range is found from observed values.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibrate {
    /// The rule; [`ScaleRule::Learned`] is not one.
    pub calibrate: ScaleRule,
}

impl Default for IntBits {
    fn default() -> Self {
        IntBits::Fixed(0)
    }
}

/// How a weight tensor or a membrane is quantized to fixed point.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FixedPointSpec {
    /// The width of the codes.
    pub bits: BitWidth,
    /// The exponent of the range, 0 for `[-1, 1)`.
    #[serde(default)]
    pub int_bits: IntBits,
    /// How values between levels are rounded.
    #[serde(default)]
    pub rounding: Rounding,
    /// The gradient where values are clipped.
    #[serde(default)]
    pub clip_grad: ClipGrad,
}

impl FixedPointSpec {
    /// `Q0.(b-1)`, rounded to nearest, gradient passing everywhere.
    pub fn new(bits: BitWidth) -> Self {
        FixedPointSpec {
            bits,
            int_bits: IntBits::default(),
            rounding: Rounding::default(),
            clip_grad: ClipGrad::default(),
        }
    }

    /// `Q0.(b-1)` as Lui & Neftci train it: stochastic rounding, gradient masked.
    pub fn lui_neftci(bits: BitWidth, seed: u64) -> Self {
        FixedPointSpec {
            rounding: Rounding::Stochastic { seed },
            clip_grad: ClipGrad::Zero,
            ..Self::new(bits)
        }
    }

    /// Whether the fields are in range.
    ///
    /// # Errors
    /// [`QuantError::IntBits`], [`QuantError::Percentile`] or [`QuantError::LearnedObserver`].
    pub fn check(&self) -> Result<(), QuantError> {
        match self.int_bits {
            IntBits::Fixed(int_bits) => FixedPoint::new(self.bits, int_bits).map(|_| ()),
            IntBits::Calibrated(Calibrate { calibrate: ScaleRule::Learned }) => {
                Err(QuantError::LearnedObserver)
            }
            IntBits::Calibrated(Calibrate { calibrate }) => calibrate.check(),
        }
    }

    /// The format, where it is fixed.
    ///
    /// # Errors
    /// [`QuantError::NotCalibrated`] where it is still to be found, [`QuantError::IntBits`] out of range.
    pub fn format(&self) -> Result<FixedPoint, QuantError> {
        match self.int_bits {
            IntBits::Fixed(int_bits) => FixedPoint::new(self.bits, int_bits),
            IntBits::Calibrated(_) => Err(QuantError::NotCalibrated),
        }
    }

    /// The same specification with its integer bits found from what was observed; unchanged if they are
    /// fixed.
    ///
    /// # Errors
    /// What [`Observer::fixed_point`](crate::Observer::fixed_point) refuses.
    pub fn calibrated(self, observer: &crate::Observer) -> Result<Self, QuantError> {
        match self.int_bits {
            IntBits::Fixed(_) => Ok(self),
            IntBits::Calibrated(Calibrate { calibrate }) => {
                let format = observer.fixed_point(self.bits, calibrate)?;
                Ok(FixedPointSpec { int_bits: IntBits::Fixed(format.int_bits()), ..self })
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "levels are compared exactly")]
mod tests {
    use super::*;
    use crate::{DrawPosition, Observer};
    use proptest::prelude::*;

    fn bits(b: u32) -> BitWidth {
        BitWidth::new(b).unwrap()
    }

    #[test]
    fn q0_is_the_format_of_lui_and_neftci() {
        for (b, fraction) in [(4, 3), (8, 7), (16, 15)] {
            let q = FixedPoint::q0(bits(b));
            let step = 2f32.powi(-fraction);
            assert_eq!((q.min(), q.max(), q.step()), (-1.0, 1.0 - step, step));
        }
        let one_bit = FixedPoint::q0(bits(1));
        assert_eq!((one_bit.min(), one_bit.max()), (-1.0, 0.0));
    }

    #[test]
    fn int_bits_move_the_range() {
        let wide = FixedPoint::new(bits(8), 2).unwrap();
        assert_eq!((wide.min(), wide.step()), (-4.0, 1.0 / 32.0));
        let narrow = FixedPoint::new(bits(8), -3).unwrap();
        assert_eq!((narrow.min(), narrow.step()), (-0.125, 1.0 / 1024.0));
        for int_bits in [-65, 65, i32::MAX, i32::MIN + 1] {
            assert_eq!(FixedPoint::new(bits(8), int_bits), Err(QuantError::IntBits { int_bits }));
        }
    }

    #[test]
    fn covering_reaches_the_largest_value() {
        let int_bits = |max| FixedPoint::covering(bits(8), max).unwrap().int_bits();
        assert_eq!([0.0, 1.0, 1.1, 0.5, 0.3, 100.0].map(int_bits), [0, 0, 1, -1, -1, 7]);
    }

    #[test]
    fn calibration_fixes_the_format() {
        let mut observer = Observer::new();
        observer.observe(&[0.1, -2.5, 1.0]).unwrap();
        let rule = Calibrate { calibrate: ScaleRule::AbsMax };
        let spec = FixedPointSpec { int_bits: IntBits::Calibrated(rule), ..FixedPointSpec::new(bits(8)) };
        assert_eq!(spec.format(), Err(QuantError::NotCalibrated));
        assert_eq!(spec.calibrated(&observer).unwrap().format().unwrap().int_bits(), 2);
        let fixed = FixedPointSpec::new(bits(8));
        assert_eq!(fixed.calibrated(&observer).unwrap(), fixed);
    }

    proptest! {
        #[test]
        fn stochastic_rounding_picks_a_neighbor_and_keeps_levels(
            (b, int_bits) in (1u32..=16, -8i32..8),
            x in -3.0f32..3.0,
            (seed, step, first_index) in (any::<u64>(), any::<u64>(), 0u64..1 << 40),
        ) {
            let grid = FixedPoint::new(bits(b), int_bits).unwrap().grid();
            let mut values = [x, grid.fake_quant(x)];
            let at = DrawPosition { step, first_index };
            grid.round_slice(&mut values, Rounding::Stochastic { seed }, at);
            prop_assert_eq!(values[1], grid.fake_quant(x), "a level stays");
            prop_assert_eq!(grid.fake_quant(values[0]), values[0], "the result is a level");
            let clipped = x.clamp(grid.min(), grid.max());
            prop_assert!((values[0] - clipped).abs() < grid.scale() || values[0] == clipped);
        }
    }
}
