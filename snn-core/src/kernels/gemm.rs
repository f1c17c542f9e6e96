//! Dense matrix products on `matrixmultiply`, for reals and for dual numbers.

use crate::scalar::{Dual, Real, Scalar};
use std::mem::MaybeUninit;

/// Sizes of a product `c (+)= a · b` with `a: [m, k]`, `b: [k, n]`, `c: [m, n]`, all row-major.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gemm {
    /// Rows of `a` and `c`.
    pub m: usize,
    /// Columns of `a`, rows of `b`.
    pub k: usize,
    /// Columns of `b` and `c`.
    pub n: usize,
    /// What happens to the old content of `c`.
    pub into: Into,
}

/// What a product does with the old content of its output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Into {
    /// `c = a · b`
    Overwrite,
    /// `c += a · b`
    Add,
}

/// An operand of a product: a row-major matrix or the transpose of one.
#[derive(Clone, Copy, Debug)]
pub enum GemmOperand<'a, S> {
    /// The slice holds the operand row by row.
    Rows(&'a [S]),
    /// The slice holds the operand's transpose row by row.
    Transposed(&'a [S]),
}

impl<'a, S> GemmOperand<'a, S> {
    fn slice(self) -> &'a [S] {
        match self {
            Self::Rows(s) | Self::Transposed(s) => s,
        }
    }

    fn with<'b, T>(self, slice: &'b [T]) -> GemmOperand<'b, T> {
        match self {
            Self::Rows(_) => GemmOperand::Rows(slice),
            Self::Transposed(_) => GemmOperand::Transposed(slice),
        }
    }

    /// Row and column stride of the operand as a `rows × cols` matrix.
    fn strides(self, rows: usize, cols: usize) -> (isize, isize) {
        match self {
            Self::Rows(_) => (cols.cast_signed(), 1),
            Self::Transposed(_) => (1, rows.cast_signed()),
        }
    }
}

impl Gemm {
    fn check(self, a: usize, b: usize, c: usize) {
        assert!(
            a == self.m * self.k && b == self.k * self.n && c == self.m * self.n,
            "gemm {}x{}x{}: operands hold {a}, {b} and {c} numbers",
            self.m,
            self.k,
            self.n
        );
    }
}

macro_rules! real_gemm {
    ($t:ty, $name:ident, $new:ident, $onto:ident) => {
        #[doc = concat!("`", stringify!($t), "` matrix product.")]
        ///
        /// # Panics
        /// If a slice does not have the size that `shape` says.
        pub fn $name(shape: Gemm, a: GemmOperand<'_, $t>, b: GemmOperand<'_, $t>, c: &mut [$t]) {
            // SAFETY: the slice holds so many numbers.
            unsafe { $onto(shape, a, b, (c.as_mut_ptr(), c.len())) };
        }

        #[doc = concat!("[`", stringify!($name), "`] onto memory that holds nothing yet: all of it is overwritten.")]
        ///
        /// # Panics
        /// If a slice does not have the size that `shape` says.
        pub fn $new(shape: Gemm, a: GemmOperand<'_, $t>, b: GemmOperand<'_, $t>, c: &mut [MaybeUninit<$t>]) {
            let shape = Gemm { into: Into::Overwrite, ..shape };
            // SAFETY: the slice has room for so many numbers, and none is needed.
            unsafe { $onto(shape, a, b, (c.as_mut_ptr().cast(), c.len())) };
        }

        /// # Safety
        /// `c` points to room for so many numbers that nobody else uses; they are there if the product is added to them.
        unsafe fn $onto(
            shape: Gemm, a: GemmOperand<'_, $t>, b: GemmOperand<'_, $t>, (c, len): (*mut $t, usize),
        ) {
            let Gemm { m, k, n, into } = shape;
            shape.check(a.slice().len(), b.slice().len(), len);
            let beta = if into == Into::Add { 1.0 } else { 0.0 };
            let ((rsa, csa), (rsb, csb)) = (a.strides(m, k), b.strides(k, n));
            // SAFETY: `check` made sure that each operand holds the matrix that its sizes and strides describe; `c` has room
            // for the product, overlaps neither operand, and is not read if `beta` is zero.
            unsafe {
                matrixmultiply::$name(
                    m, k, n, 1.0, a.slice().as_ptr(), rsa, csa, b.slice().as_ptr(), rsb, csb,
                    beta, c, n.cast_signed(), 1,
                );
            }
        }
    };
}

real_gemm!(f32, sgemm, sgemm_new, sgemm_onto);
real_gemm!(f64, dgemm, dgemm_new, dgemm_onto);

/// Matrix product of dual numbers: `1 + 2K` real products over the separated planes.
///
/// # Panics
/// If a slice does not have the size that `shape` says.
pub fn dual_gemm<T: Real, const K: usize>(
    shape: Gemm,
    a: GemmOperand<'_, Dual<T, K>>,
    b: GemmOperand<'_, Dual<T, K>>,
    c: &mut [Dual<T, K>],
) {
    shape.check(a.slice().len(), b.slice().len(), c.len());
    let overwrite = Gemm { into: Into::Overwrite, ..shape };
    let product = Scalar::bilinear(a.slice(), b.slice(), &[], &|a_plane, b_plane, _| {
        let mut plane = vec![T::ZERO; shape.m * shape.n];
        T::gemm(overwrite, a.with(a_plane), b.with(b_plane), &mut plane);
        plane
    });
    for (c, product) in c.iter_mut().zip(product) {
        *c = if shape.into == Into::Add { *c + product } else { product };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The slow twin: three loops.
    fn naive<S: Scalar>(shape: Gemm, a: &[S], b: &[S], c: &mut [S]) {
        for i in 0..shape.m {
            for j in 0..shape.n {
                let dot = (0..shape.k).fold(S::ZERO, |s, l| s + a[i * shape.k + l] * b[l * shape.n + j]);
                let old = if shape.into == Into::Add { c[i * shape.n + j] } else { S::ZERO };
                c[i * shape.n + j] = old + dot;
            }
        }
    }

    fn sample(n: usize, seed: u32) -> Vec<Dual<f64, 2>> {
        (0..n)
            .map(|i| f64::from((u32::try_from(i).unwrap_or(0) * 7 + seed) % 11) - 5.0)
            .map(|v| Dual::variable(v, [v * 0.5 - 1.0, 2.0 - v]))
            .collect()
    }

    fn transpose<S: Copy>(x: &[S], rows: usize, cols: usize) -> Vec<S> {
        (0..rows * cols).map(|i| x[(i % rows) * cols + i / rows]).collect()
    }

    #[test]
    fn dual_products_equal_the_naive_ones_for_every_orientation() {
        for into in [Into::Overwrite, Into::Add] {
            let shape = Gemm { m: 3, k: 5, n: 4, into };
            let (a, b, start) = (sample(15, 1), sample(20, 4), sample(12, 9));
            let mut want = start.clone();
            naive(shape, &a, &b, &mut want);
            let (at, bt) = (transpose(&a, 3, 5), transpose(&b, 5, 4));
            for a in [GemmOperand::Rows(&a[..]), GemmOperand::Transposed(&at[..])] {
                for b in [GemmOperand::Rows(&b[..]), GemmOperand::Transposed(&bt[..])] {
                    let mut c = start.clone();
                    Scalar::gemm(shape, a, b, &mut c);
                    assert_eq!(c, want);
                }
            }
        }
    }
}
