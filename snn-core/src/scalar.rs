//! The numbers that tensors hold: `f32`, `f64` and dual numbers over either.
//!
//! Every op is written once, generic in [`Scalar`]. Run on `f32` it trains and infers, on `f64` it is checked against
//! finite differences, on [`Dual`] it yields directional derivatives: a backward pass on dual numbers is a
//! Hessian-vector product (forward over reverse; Pearlmutter, "Fast exact multiplication by the Hessian", 1994).
//!
//! A spiking network is not differentiable, so its derivatives are defined by *2-jets*: each non-smooth function has a
//! value, a first derivative (the surrogate's) and a second one (the surrogate's own derivative). [`Scalar::jet`] is the
//! one primitive through which such a function enters; see `docs/curvature.md`.

mod dual;

pub use dual::Dual;

use crate::kernels::gemm::{self, Gemm, GemmOperand};
use std::fmt::Debug;
use std::mem::MaybeUninit;
use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub, SubAssign};

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
    impl<T: super::Real, const K: usize> Sealed for super::Dual<T, K> {}
}

/// A number that ops compute with. Sealed: implemented for `f32`, `f64` and [`Dual`].
pub trait Scalar:
    sealed::Sealed
    + Copy
    + Default
    + Debug
    + PartialEq
    + Send
    + Sync
    + 'static
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
{
    /// The real type of the value: the type itself for `f32` and `f64`.
    type Real: Real;

    /// Zero.
    const ZERO: Self;
    /// One.
    const ONE: Self;
    /// Whether this is a real number, without tangents.
    const IS_REAL: bool;

    /// The constant `v`: its tangents are zero.
    fn constant(v: Self::Real) -> Self;

    /// The value without its tangents.
    fn value(self) -> Self::Real;

    /// A function of `self` given by its value and slope at this point: tangents are multiplied by `slope`.
    ///
    /// This is how non-smooth functions enter: a spike is `u.jet(heaviside, surrogate')`, a rounding under the
    /// straight-through estimator `u.jet(rounded, 1)`.
    #[must_use]
    fn jet(self, value: Self::Real, slope: Self::Real) -> Self;

    /// True if the value and every tangent are zero, so that a product with it may be skipped.
    fn is_zero(self) -> bool;

    /// `map(a, b, c)` for a `map` of reals that is linear in `a` and in `b` apart from the added `c`: convolutions, matrix
    /// products, and their gradients.
    ///
    /// Tangents follow the product rule, `map(a', b, c') + map(a, b', [])`, so that every kernel is written for reals only;
    /// an empty `c` stands for zeros. Tangents of a lane that are all zero are skipped: without those of `a` it is
    /// `map(a, b', c')`. The first call of `map` gives the values. Lane by lane the result is the same for any number of lanes.
    fn bilinear(a: &[Self], b: &[Self], c: &[Self], map: &Bilinear<'_, Self::Real>) -> Vec<Self>;

    /// `c = a · b` or `c += a · b` for row-major matrices; see [`Gemm`].
    fn gemm(shape: Gemm, a: GemmOperand<'_, Self>, b: GemmOperand<'_, Self>, c: &mut [Self]);

    /// The constant `v`, rounded to this type.
    #[inline(always)]
    fn from_f64(v: f64) -> Self {
        Self::constant(Self::Real::of_f64(v))
    }

    /// The value as `f64`, without tangents.
    #[inline(always)]
    fn to_f64(self) -> f64 {
        self.value().as_f64()
    }

    /// The same value with zero tangents: no derivative flows through it.
    #[inline(always)]
    #[must_use]
    fn detach(self) -> Self {
        Self::constant(self.value())
    }

    /// `e` to the power `self`.
    #[inline]
    #[must_use]
    fn exp(self) -> Self {
        let e = self.value().exp_real();
        self.jet(e, e)
    }

    /// Natural logarithm.
    #[inline]
    #[must_use]
    fn ln(self) -> Self {
        let v = self.value();
        self.jet(v.ln_real(), Self::Real::ONE / v)
    }

    /// Square root. The slope at zero is infinite.
    #[inline]
    #[must_use]
    fn sqrt(self) -> Self {
        let root = self.value().sqrt_real();
        self.jet(root, Self::Real::of_f64(0.5) / root)
    }

    /// Absolute value; its slope at zero is taken as zero.
    #[inline(always)]
    #[must_use]
    fn abs(self) -> Self {
        let v = self.value();
        self.jet(v.abs_real(), v.sign())
    }

    /// The greater of `self` and `other` by value (`self` when equal).
    #[inline(always)]
    #[must_use]
    fn max(self, other: Self) -> Self {
        if other.value() > self.value() { other } else { self }
    }
}

/// A function of three slices of reals: linear in the first, and in the second, plus the third; see [`Scalar::bilinear`].
pub type Bilinear<'a, R> = dyn Fn(&[R], &[R], &[R]) -> Vec<R> + 'a;

/// A real number: `f32` or `f64`.
pub trait Real: Scalar<Real = Self> + PartialOrd {
    /// Rounds an `f64` to this type.
    fn of_f64(v: f64) -> Self;
    /// A whole number of 16 bits, exactly.
    fn of_i16(v: i16) -> Self;
    /// Widens to `f64`, exactly.
    fn as_f64(self) -> f64;
    /// -1, 0 or 1.
    #[must_use]
    fn sign(self) -> Self;
    /// `e` to the power `self`.
    #[must_use]
    fn exp_real(self) -> Self;
    /// Natural logarithm.
    #[must_use]
    fn ln_real(self) -> Self;
    /// Square root.
    #[must_use]
    fn sqrt_real(self) -> Self;
    /// Arc tangent.
    #[must_use]
    fn atan_real(self) -> Self;
    /// Absolute value.
    #[must_use]
    fn abs_real(self) -> Self;
    /// Nearest integer, ties to even (PyTorch's and NumPy's rule).
    #[must_use]
    fn round_ties_even_real(self) -> Self;
    /// Largest integer not above.
    #[must_use]
    fn floor_real(self) -> Self;
    /// `c = a · b` onto memory that holds nothing yet; see [`Gemm`].
    fn gemm_new(shape: Gemm, a: GemmOperand<'_, Self>, b: GemmOperand<'_, Self>, c: &mut [MaybeUninit<Self>]);
}

macro_rules! impl_real {
    ($t:ty, $gemm:path, $gemm_new:path) => {
        impl Real for $t {
            #[inline(always)]
            #[allow(clippy::cast_possible_truncation, reason = "rounding to the type is the purpose")]
            fn of_f64(v: f64) -> Self {
                v as $t
            }
            #[inline(always)]
            fn of_i16(v: i16) -> Self {
                Self::from(v)
            }
            #[inline(always)]
            fn as_f64(self) -> f64 {
                f64::from(self)
            }
            #[inline(always)]
            fn sign(self) -> Self {
                if self > 0.0 {
                    1.0
                } else if self < 0.0 {
                    -1.0
                } else {
                    0.0
                }
            }
            #[inline(always)]
            fn exp_real(self) -> Self {
                <$t>::exp(self)
            }
            #[inline(always)]
            fn ln_real(self) -> Self {
                <$t>::ln(self)
            }
            #[inline(always)]
            fn sqrt_real(self) -> Self {
                <$t>::sqrt(self)
            }
            #[inline(always)]
            fn atan_real(self) -> Self {
                <$t>::atan(self)
            }
            #[inline(always)]
            fn abs_real(self) -> Self {
                <$t>::abs(self)
            }
            #[inline(always)]
            fn round_ties_even_real(self) -> Self {
                <$t>::round_ties_even(self)
            }
            #[inline(always)]
            fn floor_real(self) -> Self {
                <$t>::floor(self)
            }
            fn gemm_new(
                shape: Gemm,
                a: GemmOperand<'_, Self>,
                b: GemmOperand<'_, Self>,
                c: &mut [MaybeUninit<Self>],
            ) {
                $gemm_new(shape, a, b, c);
            }
        }

        impl Scalar for $t {
            type Real = $t;
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const IS_REAL: bool = true;
            #[inline(always)]
            fn constant(v: $t) -> Self {
                v
            }
            #[inline(always)]
            fn value(self) -> $t {
                self
            }
            #[inline(always)]
            fn jet(self, value: $t, _slope: $t) -> Self {
                value
            }
            #[inline(always)]
            #[allow(clippy::float_cmp, reason = "an exact zero is what may be skipped")]
            fn is_zero(self) -> bool {
                self == 0.0
            }
            fn bilinear(a: &[$t], b: &[$t], c: &[$t], map: &Bilinear<'_, $t>) -> Vec<$t> {
                map(a, b, c)
            }
            fn gemm(shape: Gemm, a: GemmOperand<'_, Self>, b: GemmOperand<'_, Self>, c: &mut [Self]) {
                $gemm(shape, a, b, c);
            }
        }
    };
}

impl_real!(f32, gemm::sgemm, gemm::sgemm_new);
impl_real!(f64, gemm::dgemm, gemm::dgemm_new);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_of_a_dual_number_carry_their_derivative() {
        let x = Dual::<f64, 1>::variable(0.7, [1.0]);
        let cases = [
            (x.exp(), 0.7_f64.exp(), 0.7_f64.exp()),
            (x.ln(), 0.7_f64.ln(), 1.0 / 0.7),
            (x.sqrt(), 0.7_f64.sqrt(), 0.5 / 0.7_f64.sqrt()),
            ((-x).abs(), 0.7, 1.0),
            (x * x * x, 0.343, 3.0 * 0.49),
            (Dual::ONE / x, 1.0 / 0.7, -1.0 / 0.49),
        ];
        for (got, value, slope) in cases {
            assert!((got.value() - value).abs() < 1e-14 && (got.tangent(0) - slope).abs() < 1e-13, "{got:?}");
        }
    }

    #[test]
    fn detach_keeps_the_value_and_drops_the_tangent() {
        let x = Dual::<f32, 2>::variable(3.0, [1.0, -2.0]);
        assert_eq!(x.detach(), Dual::constant(3.0));
        assert!(!Dual::<f32, 2>::variable(0.0, [0.0, 1.0]).is_zero());
    }
}
