//! The integer operations, each defined once. Everything that says "exact" means these functions.

use crate::num::{low_i32, saturating_i32};

/// How a division by a power of two is rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rounding {
    /// Toward zero: the magnitude is shifted (Loihi).
    TowardZero,
    /// Toward minus infinity: an arithmetic shift (most processors and FPGA designs).
    Floor,
    /// To the nearest; halves to the even neighbor.
    NearestEven,
}

impl Rounding {
    /// `x / 2^shift`, rounded; `shift` is at most 62.
    ///
    /// ```
    /// use snn_int::arith::Rounding::{Floor, NearestEven, TowardZero};
    /// assert_eq!([TowardZero, Floor, NearestEven].map(|r| r.shift_right(-7, 1)), [-3, -4, -4]);
    /// assert_eq!([TowardZero, Floor, NearestEven].map(|r| r.shift_right(5, 1)), [2, 2, 2]);
    /// ```
    #[inline]
    #[must_use]
    pub fn shift_right(self, x: i64, shift: u8) -> i64 {
        let floor = x >> shift;
        let rest = x - (floor << shift);
        match self {
            Self::Floor => floor,
            Self::TowardZero => floor + i64::from(x < 0 && rest != 0),
            Self::NearestEven => {
                let (twice, unit) = (rest << 1, 1 << shift);
                floor + i64::from(twice > unit || (twice == unit && floor & 1 == 1))
            }
        }
    }
}

/// What becomes of a result that does not fit its bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Overflow {
    /// The nearest number that fits.
    Saturate,
    /// The low bits, as two's complement.
    Wrap,
}

/// The bits in which a variable is kept, as two's complement, and what happens when they do not suffice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Width {
    /// 2 to 32.
    pub bits: u8,
    /// What becomes of a result that does not fit.
    pub overflow: Overflow,
}

impl Width {
    /// A saturating variable of this many bits.
    #[must_use]
    pub const fn saturating(bits: u8) -> Self {
        Self { bits, overflow: Overflow::Saturate }
    }

    /// A wrapping variable of this many bits.
    #[must_use]
    pub const fn wrapping(bits: u8) -> Self {
        Self { bits, overflow: Overflow::Wrap }
    }

    /// The smallest and the largest value.
    #[inline]
    #[must_use]
    pub const fn range(self) -> (i64, i64) {
        let half = 1_i64 << (self.bits - 1);
        (-half, half - 1)
    }

    /// `x` within these bits.
    #[inline]
    #[must_use]
    pub fn fit(self, x: i64) -> i32 {
        match self.overflow {
            Overflow::Saturate => {
                let (min, max) = self.range();
                low_i32(x.clamp(min, max))
            }
            Overflow::Wrap => {
                let unused = 32 - u32::from(self.bits);
                (low_i32(x) << unused) >> unused
            }
        }
    }

    /// Bytes of the narrowest integer that holds it: 1, 2 or 4.
    #[must_use]
    pub const fn n_bytes(self) -> usize {
        match self.bits {
            0..=8 => 1,
            9..=16 => 2,
            _ => 4,
        }
    }
}

/// Multiplication by `mul / 2^shift`: `round(x · mul / 2^shift)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Scale {
    /// The integer factor.
    pub mul: i32,
    /// The power of two that it is divided by, at most 31.
    pub shift: u8,
    /// How the quotient is rounded.
    pub rounding: Rounding,
}

impl Scale {
    /// Multiplication by an integer.
    #[must_use]
    pub const fn by(mul: i32) -> Self {
        Self { mul, shift: 0, rounding: Rounding::Floor }
    }

    /// The scaled value.
    #[inline]
    #[must_use]
    pub fn apply(self, x: i32) -> i64 {
        self.rounding.shift_right(i64::from(x) * i64::from(self.mul), self.shift)
    }
}

/// What a state variable loses in a time step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Leak {
    /// Nothing.
    None,
    /// `v − round(v / 2^shift)`.
    Shift {
        /// The power of two, at most 31.
        shift: u8,
        /// How the part that is lost is rounded.
        rounding: Rounding,
        /// What happens where that part is 0.
        tail: Tail,
    },
    /// Multiplied: `round(v · mul / 2^shift)` (Loihi: `4096 − decay` and 12).
    Scale(Scale),
    /// This much, toward zero and not beyond.
    Constant(i32),
}

/// What a shift leak does to values so small that the part to lose is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tail {
    /// Nothing: they stay.
    Hold,
    /// They move by one toward zero (Xylo).
    Linear,
}

impl Leak {
    /// The value that is left.
    #[inline]
    #[must_use]
    pub fn apply(self, v: i32) -> i64 {
        let x = i64::from(v);
        match self {
            Self::None => x,
            Self::Shift { shift, rounding, tail } => {
                let lost = rounding.shift_right(x, shift);
                if lost == 0 && tail == Tail::Linear { x - x.signum() } else { x - lost }
            }
            Self::Scale(scale) => scale.apply(v),
            Self::Constant(step) => {
                let step = i64::from(step);
                if x > 0 { (x - step).max(0) } else { (x + step).min(0) }
            }
        }
    }
}

/// A value within 32 bits, saturating: what a membrane is compared as before it is stored.
#[inline]
pub(crate) fn within_i32(x: i64) -> i32 {
    saturating_i32(x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rounding_is_that_of_the_quotient(x in -(1_i64 << 40)..(1 << 40), shift in 0_u8..32) {
            let unit = 1_i128 << shift;
            let x128 = i128::from(x);
            prop_assert_eq!(i128::from(Rounding::TowardZero.shift_right(x, shift)), x128 / unit);
            prop_assert_eq!(i128::from(Rounding::Floor.shift_right(x, shift)), x128.div_euclid(unit));
            let near = i128::from(Rounding::NearestEven.shift_right(x, shift));
            let twice = (2 * (x128 - near * unit)).abs();
            prop_assert!(twice < unit || (twice == unit && near % 2 == 0), "{near}");
        }

        #[test]
        fn what_fits_stays_and_the_rest_lands_inside(x in any::<i32>(), bits in 2_u8..=32) {
            for width in [Width::saturating(bits), Width::wrapping(bits)] {
                let (min, max) = width.range();
                let fitted = i64::from(width.fit(i64::from(x)));
                prop_assert!((min..=max).contains(&fitted));
                if (min..=max).contains(&i64::from(x)) {
                    prop_assert_eq!(fitted, i64::from(x));
                } else if width.overflow == Overflow::Wrap {
                    prop_assert_eq!((fitted - i64::from(x)).rem_euclid(1 << bits), 0);
                } else {
                    prop_assert_eq!(fitted, if x < 0 { min } else { max });
                }
            }
        }

        #[test]
        fn leaks_never_grow_a_value_nor_change_its_sign(v in -70_000_i32..70_000, shift in 0_u8..16) {
            for rounding in [Rounding::TowardZero, Rounding::Floor, Rounding::NearestEven] {
                let mul = Scale { mul: (1 << shift) - 1, shift, rounding };
                for leak in [
                    Leak::Shift { shift, rounding: Rounding::TowardZero, tail: Tail::Linear },
                    Leak::Scale(mul),
                    Leak::Constant(3),
                ] {
                    let left = leak.apply(v);
                    prop_assert!(left.abs() <= i64::from(v).abs() && left * i64::from(v) >= 0, "{leak:?}: {left}");
                }
            }
        }
    }

    #[test]
    fn a_linear_tail_reaches_rest_and_a_held_one_does_not() {
        let leak = |tail| Leak::Shift { shift: 3, rounding: Rounding::TowardZero, tail };
        let end = |tail| (0..60).fold(-50_i32, |v, _| low_i32(leak(tail).apply(v)));
        assert_eq!((end(Tail::Linear), end(Tail::Hold)), (0, -7));
    }
}
