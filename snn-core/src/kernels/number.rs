//! What event-driven products are made of.

use crate::scalar::Scalar;
use std::fmt::Debug;

/// A number that kernels add up for each event: any scalar, or a whole number of 16 bits, in which the codes of weights add
/// up exactly.
pub trait Number: Copy + Default + Debug + PartialEq + Send + Sync + 'static {
    /// Zero.
    const ZERO: Self;
    /// One.
    const ONE: Self;

    /// Adds `a · x`. Whole numbers wrap around: where sums have a meaning they fit, and elsewhere, as beyond the edges of a frame,
    /// nobody reads them.
    fn add_product(&mut self, a: Self, x: Self);

    /// Whether it is greater, by value.
    fn exceeds(self, other: Self) -> bool;
}

impl<S: Scalar> Number for S {
    const ZERO: Self = <S as Scalar>::ZERO;
    const ONE: Self = <S as Scalar>::ONE;

    #[inline(always)]
    fn add_product(&mut self, a: Self, x: Self) {
        *self += a * x;
    }

    #[inline(always)]
    fn exceeds(self, other: Self) -> bool {
        self.value() > other.value()
    }
}

impl Number for i16 {
    const ZERO: Self = 0;
    const ONE: Self = 1;

    #[inline(always)]
    fn add_product(&mut self, a: Self, x: Self) {
        *self = self.wrapping_add(a.wrapping_mul(x));
    }

    #[inline(always)]
    fn exceeds(self, other: Self) -> bool {
        self > other
    }
}
