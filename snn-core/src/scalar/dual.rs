//! Dual numbers: a value and `K` directional derivatives.

use super::{Bilinear, Real, Scalar};
use crate::kernels::gemm::{self, Gemm, GemmOperand};
use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub, SubAssign};

/// `v + Σ εₖ dₖ` with `εᵢ εⱼ = 0`: a value and its derivatives in `K` directions, carried together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dual<T, const K: usize> {
    v: T,
    d: [T; K],
}

impl<T: Real, const K: usize> Dual<T, K> {
    /// A number with the given tangents.
    #[must_use]
    pub fn variable(v: T, tangents: [T; K]) -> Self {
        Self { v, d: tangents }
    }

    /// The derivative in direction `lane`.
    ///
    /// # Panics
    /// If `lane >= K`.
    #[inline]
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
            let left = (a.is_lane(lane) || c.is_lane(lane))
                .then(|| map(&a.tangents[lane], &b.values, &c.tangents[lane]));
            let right = b.is_lane(lane).then(|| map(&a.values, &b.tangents[lane], &[]));
            match (left, right) {
                (Some(mut sum), Some(right)) => {
                    sum.iter_mut().zip(right).for_each(|(s, r)| *s += r);
                    sum
                }
                (Some(one), None) | (None, Some(one)) => one,
                (None, None) => vec![T::ZERO; value.len()],
            }
        };
        let tangents: [Vec<T>; K] = std::array::from_fn(tangent);
        let number = |(i, &v): (usize, &T)| Self { v, d: std::array::from_fn(|lane| tangents[lane][i]) };
        value.iter().enumerate().map(number).collect()
    }

    fn gemm(shape: Gemm, a: GemmOperand<'_, Self>, b: GemmOperand<'_, Self>, c: &mut [Self]) {
        gemm::dual_gemm(shape, a, b, c);
    }
}

/// Dual numbers taken apart: values together, and the tangents of each lane together.
struct Planes<T, const K: usize> {
    values: Vec<T>,
    tangents: [Vec<T>; K],
}

impl<T: Real, const K: usize> Planes<T, K> {
    fn of(x: &[Dual<T, K>]) -> Self {
        let plane = |lane: usize| x.iter().map(|x| x.d[lane]).collect();
        Self { values: x.iter().map(|x| x.v).collect(), tangents: std::array::from_fn(plane) }
    }

    /// True if a tangent of the lane is not zero.
    fn is_lane(&self, lane: usize) -> bool {
        self.tangents[lane].iter().any(|t| !t.is_zero())
    }
}
