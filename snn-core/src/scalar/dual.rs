//! Dual numbers: a value and `K` directional derivatives.

use super::{Bilinear, Real, Scalar};
use crate::kernels::gemm::{self, Gemm, GemmOperand};
use crate::kernels::planes::Planes;
use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub, SubAssign};

/// `v + Σ εₖ dₖ` with `εᵢ εⱼ = 0`: a value and its derivatives in `K` directions, carried together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dual<T, const K: usize> {
    v: T,
    d: [T; K],
}

impl<T: Real, const K: usize> Dual<T, K> {
    /// A number with the given tangents.
    #[inline(always)]
    #[must_use]
    pub fn variable(v: T, tangents: [T; K]) -> Self {
        Self { v, d: tangents }
    }

    /// The derivative in direction `lane`.
    ///
    /// # Panics
    /// If `lane >= K`.
    #[inline(always)]
    #[must_use]
    pub fn tangent(self, lane: usize) -> T {
        self.d[lane]
    }

    #[inline(always)]
    fn zip(self, o: Self, v: T, f: impl Fn(T, T) -> T) -> Self {
        Self { v, d: std::array::from_fn(|k| f(self.d[k], o.d[k])) }
    }
}

impl<T: Real, const K: usize> Default for Dual<T, K> {
    fn default() -> Self {
        Self::ZERO
    }
}

impl<T: Real, const K: usize> Add for Dual<T, K> {
    type Output = Self;
    #[inline(always)]
    fn add(self, o: Self) -> Self {
        self.zip(o, self.v + o.v, |a, b| a + b)
    }
}

impl<T: Real, const K: usize> Sub for Dual<T, K> {
    type Output = Self;
    #[inline(always)]
    fn sub(self, o: Self) -> Self {
        self.zip(o, self.v - o.v, |a, b| a - b)
    }
}

impl<T: Real, const K: usize> Mul for Dual<T, K> {
    type Output = Self;
    #[allow(clippy::suspicious_arithmetic_impl, reason = "the product rule")]
    #[inline(always)]
    fn mul(self, o: Self) -> Self {
        self.zip(o, self.v * o.v, |a, b| a * o.v + self.v * b)
    }
}

impl<T: Real, const K: usize> Div for Dual<T, K> {
    type Output = Self;
    #[allow(clippy::suspicious_arithmetic_impl, reason = "the quotient rule")]
    #[inline(always)]
    fn div(self, o: Self) -> Self {
        let q = self.v / o.v;
        self.zip(o, q, |a, b| (a - q * b) / o.v)
    }
}

impl<T: Real, const K: usize> Neg for Dual<T, K> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Self { v: -self.v, d: self.d.map(|a| -a) }
    }
}

impl<T: Real, const K: usize> AddAssign for Dual<T, K> {
    #[inline(always)]
    fn add_assign(&mut self, o: Self) {
        *self = *self + o;
    }
}

impl<T: Real, const K: usize> SubAssign for Dual<T, K> {
    #[inline(always)]
    fn sub_assign(&mut self, o: Self) {
        *self = *self - o;
    }
}

impl<T: Real, const K: usize> MulAssign for Dual<T, K> {
    #[inline(always)]
    fn mul_assign(&mut self, o: Self) {
        *self = *self * o;
    }
}

impl<T: Real, const K: usize> Scalar for Dual<T, K> {
    type Real = T;
    const ZERO: Self = Self { v: T::ZERO, d: [T::ZERO; K] };
    const ONE: Self = Self { v: T::ONE, d: [T::ZERO; K] };
    const IS_REAL: bool = false;

    #[inline(always)]
    fn constant(v: T) -> Self {
        Self { v, d: [T::ZERO; K] }
    }

    #[inline(always)]
    fn value(self) -> T {
        self.v
    }

    #[inline(always)]
    fn jet(self, value: T, slope: T) -> Self {
        Self { v: value, d: self.d.map(|t| t * slope) }
    }

    #[inline(always)]
    fn is_zero(self) -> bool {
        self.v.is_zero() && self.d.iter().all(|t| t.is_zero())
    }

    fn bilinear(a: &[Self], b: &[Self], c: &[Self], map: &Bilinear<'_, T>) -> Vec<Self> {
        let (a, b, c) = (Planes::of(a), Planes::of(b), Planes::of(c));
        let value = map(&a.values, &b.values, &c.values);
        let tangent = |lane: usize| {
            let [a_lane, b_lane, c_lane] = [&a, &b, &c].map(|x| &x.tangents[lane][..]);
            let by_b = |c: &[T]| map(&a.values, b_lane, c);
            match (a_lane, b_lane, c_lane) {
                ([], [], []) => [vec![], vec![]],
                ([], [], _) => [map(&vec![T::ZERO; a.values.len()], &b.values, c_lane), vec![]],
                ([], ..) => [by_b(c_lane), vec![]],
                (_, [], _) => [map(a_lane, &b.values, c_lane), vec![]],
                _ => [map(a_lane, &b.values, c_lane), by_b(&[])],
            }
        };
        let tangents = std::array::from_fn(tangent);
        Planes::join(&value, &tangents)
    }

    fn gemm(shape: Gemm, a: GemmOperand<'_, Self>, b: GemmOperand<'_, Self>, c: &mut [Self]) {
        gemm::dual_gemm(shape, a, b, c);
    }
}
