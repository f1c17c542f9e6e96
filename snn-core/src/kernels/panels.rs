//! Products with a matrix that many others are multiplied by, one after the other: it is laid out once, in panels of columns
//! that lie together, where a general matrix product would bring it into its own order each time.

use super::conv::layout::transpose;
use super::simd::Products;
use crate::scalar::Scalar;
use crate::vectorized;

/// Columns of a panel: two registers of 16.
const PANEL: usize = 32;

/// The panels of the transpose of a matrix `[n, k]`: `[⌈n / 32⌉][k][32]`, with zeros behind the last column.
///
/// # Panics
/// If the matrix does not have this size.
#[must_use]
pub fn of_transposed<S: Scalar>([n, k]: [usize; 2], matrix: &[S]) -> Vec<S> {
    assert_eq!(matrix.len(), n * k, "panels of a matrix {n}x{k}");
    let mut panels = vec![S::ZERO; n.div_ceil(PANEL) * k * PANEL];
    let rows_of = PANEL * k.max(1);
    for (rows, panel) in matrix.chunks(rows_of).zip(panels.chunks_mut(rows_of)) {
        transpose(rows, k, [rows.len() / k.max(1), k], panel, PANEL);
    }
    panels
}

/// `c + x · m`, where the matrix `m` of `size = [k, n]` is given as its panels, `x` is `[rows, k]`, and `c` is `[rows, n]` or
/// empty. Each number of the result has a sum of its own, in which products are added in order and fused.
///
/// # Panics
/// If the sizes differ.
#[must_use]
pub fn product<S: Scalar>([k, n]: [usize; 2], x: &[S], panels: &[S], c: &[S]) -> Vec<S> {
    let mut y = if c.is_empty() { vec![S::ZERO; x.len() / k.max(1) * n] } else { c.to_vec() };
    add([k, n], x, panels, &mut y);
    y
}

/// [`product`], added to `y` `[rows, n]`.
///
/// # Panics
/// If the sizes differ.
pub fn add<S: Scalar>([k, n]: [usize; 2], x: &[S], panels: &[S], y: &mut [S]) {
    assert_eq!(panels.len(), n.div_ceil(PANEL) * k * PANEL, "panels of a matrix {k}x{n}");
    let n_rows = x.len() / k.max(1);
    assert_eq!([x.len(), y.len()], [n_rows * k, n_rows * n], "product with a matrix {k}x{n}");
    if n_rows > 0 {
        add_panels([k, n], x, panels, y);
    }
}

vectorized! {
    /// Panel by panel.
    fn add_panels[S: Scalar](lanes; size: [usize; 2], x: &[S], panels: &[S], y: &mut [S]) {
        let [k, n] = size;
        let offsets: Vec<usize> = (0..x.len()).step_by(k.max(1)).collect();
        let bases: Vec<usize> = (0..k).collect();
        for (first, rows) in (0..n).step_by(PANEL).zip(panels.chunks(k * PANEL)) {
            let width = PANEL.min(n - first);
            let products = Products { x, offsets: &offsets, bases: &bases, rows, stride: PANEL, width };
            lanes.add_products(&products, (&mut y[first..], n));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::gemm::{Gemm, GemmOperand, Into, dgemm};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_the_product(m in 0_usize..20, k in 1_usize..40, n in 1_usize..70, seed: u64) {
            let numbers = |len: usize, stream: u64| -> Vec<f64> {
                (0..len as u64).map(|i| f64::from(crate::rng::counter_uniform(seed ^ stream, i)) - 0.5).collect()
            };
            let (x, matrix, c) = (numbers(m * k, 0), numbers(n * k, 1), numbers(m * n, 2));
            let y = product([k, n], &x, &of_transposed([n, k], &matrix), &c);
            let mut want = c;
            let shape = Gemm { m, k, n, into: Into::Add };
            dgemm(shape, GemmOperand::Rows(&x), GemmOperand::Transposed(&matrix), &mut want);
            for (y, want) in y.iter().zip(&want) {
                prop_assert!((y - want).abs() < 1e-13, "{y} is not {want}");
            }
            prop_assert_eq!(y.len(), want.len());
        }
    }
}
