//! Products of sparse rows with a dense matrix: each active input adds one row of weights.

use super::gemm::{Gemm, GemmOperand, Into};
use super::par;
use crate::scalar::Real;
use crate::vectorized;

/// Above this share of nonzero inputs a dense matrix product is faster than adding rows.
const DENSE_ABOVE: f64 = 0.25;

/// Rows that one task works on.
const ROWS: usize = 256;

/// `y = x · w + b` with `size = [in, out]`: `x` `[rows, in]`, `w` `[in, out]`, `b` `[out]` or empty.
pub fn forward<R: Real>(size: [usize; 2], x: &[R], w: &[R], b: &[R]) -> Vec<R> {
    let [n_in, n_out] = size;
    let mut y = vec![R::ZERO; x.len() / n_in * n_out];
    par::for_row_chunks(&mut y, n_out, ROWS, |first, y| {
        let rows = y.len() / n_out;
        let x = &x[first * n_in..(first + rows) * n_in];
        if !b.is_empty() {
            y.chunks_mut(n_out).for_each(|row| row.copy_from_slice(b));
        }
        if is_sparse(x) {
            add_active_rows(size, x, w, y);
        } else {
            let shape = Gemm { m: rows, k: n_in, n: n_out, into: Into::Add };
            R::gemm(shape, GemmOperand::Rows(x), GemmOperand::Rows(w), y);
        }
    });
    y
}

/// `gw = xᵀ · gy`.
pub fn weight_grad<R: Real>(size: [usize; 2], x: &[R], gy: &[R]) -> Vec<R> {
    let [n_in, n_out] = size;
    let mut grad = vec![R::ZERO; n_in * n_out];
    if is_sparse(x) {
        scatter_rows(size, x, gy, &mut grad);
    } else {
        let shape = Gemm { m: n_in, k: x.len() / n_in, n: n_out, into: Into::Overwrite };
        R::gemm(shape, GemmOperand::Transposed(x), GemmOperand::Rows(gy), &mut grad);
    }
    grad
}

/// `gx = gy · wᵀ`.
pub fn input_grad<R: Real>(size: [usize; 2], w: &[R], gy: &[R]) -> Vec<R> {
    let [n_in, n_out] = size;
    let mut gx = vec![R::ZERO; gy.len() / n_out * n_in];
    par::for_row_chunks(&mut gx, n_in, ROWS, |first, gx| {
        let rows = gx.len() / n_in;
        let gy = &gy[first * n_out..(first + rows) * n_out];
        let shape = Gemm { m: rows, k: n_out, n: n_in, into: Into::Overwrite };
        R::gemm(shape, GemmOperand::Rows(gy), GemmOperand::Transposed(w), gx);
    });
    gx
}

#[allow(clippy::cast_precision_loss, reason = "a share against a threshold")]
fn is_sparse<R: Real>(x: &[R]) -> bool {
    let active = x.iter().filter(|v| !v.is_zero()).count();
    active as f64 <= x.len() as f64 * DENSE_ABOVE
}

vectorized! {
    fn add_active_rows[R: Real](size: [usize; 2], x: &[R], w: &[R], y: &mut [R]) {
        let [n_in, n_out] = size;
        for (x, y) in x.chunks(n_in).zip(y.chunks_mut(n_out)) {
            for (&x, w) in x.iter().zip(w.chunks(n_out)).filter(|(x, _)| !x.is_zero()) {
                y.iter_mut().zip(w).for_each(|(y, &w)| *y += x * w);
            }
        }
    }
}

vectorized! {
    fn scatter_rows[R: Real](size: [usize; 2], x: &[R], gy: &[R], grad: &mut [R]) {
        let [n_in, n_out] = size;
        for (x, gy) in x.chunks(n_in).zip(gy.chunks(n_out)) {
            for (&x, grad) in x.iter().zip(grad.chunks_mut(n_out)).filter(|(x, _)| !x.is_zero()) {
                grad.iter_mut().zip(gy).for_each(|(g, &y)| *g += x * y);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn numbers(n: usize, seed: u64, density: f32) -> Vec<f64> {
        let draw = |i: u64| crate::rng::counter_uniform(seed, i);
        (0..n as u64)
            .map(|i| if draw(2 * i) < density { f64::from(draw(2 * i + 1)) - 0.5 } else { 0.0 })
            .collect()
    }

    proptest! {
        #[test]
        fn both_paths_equal_three_loops(
            rows in 1usize..6, n_in in 1usize..9, n_out in 1usize..9, dense: bool, seed: u64,
        ) {
            let x = numbers(rows * n_in, seed, if dense { 1.0 } else { 0.1 });
            let (w, b, gy) = (numbers(n_in * n_out, seed ^ 1, 1.0), numbers(n_out, seed ^ 2, 1.0), numbers(rows * n_out, seed ^ 3, 1.0));
            let size = [n_in, n_out];
            let (y, gw, gx) = (forward(size, &x, &w, &b), weight_grad(size, &x, &gy), input_grad(size, &w, &gy));
            let at = |v: &[f64], i: usize| v[i];
            for r in 0..rows {
                for o in 0..n_out {
                    let want = b[o] + (0..n_in).map(|i| x[r * n_in + i] * w[i * n_out + o]).sum::<f64>();
                    prop_assert!((at(&y, r * n_out + o) - want).abs() < 1e-12);
                }
                for i in 0..n_in {
                    let want: f64 = (0..n_out).map(|o| gy[r * n_out + o] * w[i * n_out + o]).sum();
                    prop_assert!((at(&gx, r * n_in + i) - want).abs() < 1e-12);
                }
            }
            for i in 0..n_in {
                for o in 0..n_out {
                    let want: f64 = (0..rows).map(|r| x[r * n_in + i] * gy[r * n_out + o]).sum();
                    prop_assert!((at(&gw, i * n_out + o) - want).abs() < 1e-12);
                }
            }
        }
    }
}
