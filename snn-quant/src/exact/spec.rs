//! What a plan says about integers.

use serde::{Deserialize, Serialize};
use snn_int::arith::{Leak, Overflow, Rounding, Scale, Tail};

/// That a network is to be computed in integers only, and in which: the section `[exact]` of a plan.
///
/// ```toml
/// [exact]
/// leak = { multiply_shift = 12 }   # round(v · m / 2^12), m = round(beta · 2^12); or "shift": v − round(v / 2^k)
/// rounding = "toward_zero"         # of leaks; or "floor", "nearest_even"
/// overflow = "saturate"            # of membranes; or "wrap"
/// input_max = 255                  # the largest input, 1 for binary frames
/// ```
///
/// The bits of weights and membranes are those of the plan's other sections, which must name all of them. A weight tensor
/// that is not named in an exact plan, or a membrane, is an error: nothing stays in float.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExactSpec {
    /// How decays become integers.
    pub leak: LeakForm,
    /// How leaks are rounded.
    pub rounding: LeakRounding,
    /// What happens to membranes and currents that do not fit their bits.
    pub overflow: StateOverflow,
    /// The largest input of the network, a count of events.
    pub input_max: u8,
}

impl Default for ExactSpec {
    fn default() -> Self {
        Self {
            leak: LeakForm::MultiplyShift(12),
            rounding: LeakRounding::TowardZero,
            overflow: StateOverflow::Saturate,
            input_max: u8::MAX,
        }
    }
}

/// How a decay becomes an integer operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeakForm {
    /// `round(v · m / 2^bits)` with `m = round(beta · 2^bits)`; at most 16 bits.
    MultiplyShift(u8),
    /// `v − round(v / 2^k)` with the `k` from 1 to 15 whose `1 − 2^−k` is nearest to the decay.
    Shift,
}

/// The rounding of a leak, as [`snn_int::arith::Rounding`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeakRounding {
    /// Toward zero.
    TowardZero,
    /// Toward minus infinity.
    Floor,
    /// To nearest, halves to even.
    NearestEven,
}

/// The overflow of a state, as [`snn_int::arith::Overflow`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StateOverflow {
    /// To the nearest number that fits.
    Saturate,
    /// To the low bits.
    Wrap,
}

impl From<LeakRounding> for Rounding {
    fn from(rounding: LeakRounding) -> Self {
        match rounding {
            LeakRounding::TowardZero => Self::TowardZero,
            LeakRounding::Floor => Self::Floor,
            LeakRounding::NearestEven => Self::NearestEven,
        }
    }
}

impl From<StateOverflow> for Overflow {
    fn from(overflow: StateOverflow) -> Self {
        match overflow {
            StateOverflow::Saturate => Self::Saturate,
            StateOverflow::Wrap => Self::Wrap,
        }
    }
}

impl ExactSpec {
    /// The integer leak of a decay in `[0, 1]`, and the decay that it amounts to.
    pub(super) fn leak(&self, beta: f32) -> (Leak, f32) {
        let rounding = self.rounding.into();
        if beta >= 1.0 {
            return (Leak::None, 1.0);
        }
        match self.leak {
            LeakForm::MultiplyShift(bits) => {
                let unit = f64::from(1_u32 << bits.min(16));
                let factor = (f64::from(beta) * unit).round_ties_even();
                let mul = crate::num::whole_to_i32(crate::num::to_f32(factor));
                (Leak::Scale(Scale { mul, shift: bits.min(16), rounding }), crate::num::to_f32(factor / unit))
            }
            LeakForm::Shift => {
                let left = |shift: u8| 1.0 - 0.5_f32.powi(shift.into());
                let error = |shift: &u8| (left(*shift) - beta).abs();
                let shift = (1..=15).min_by(|a, b| error(a).total_cmp(&error(b))).unwrap_or(1);
                (Leak::Shift { shift, rounding, tail: Tail::Hold }, left(shift))
            }
        }
    }
}
