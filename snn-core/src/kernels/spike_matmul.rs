//! Products of sparse rows with a dense matrix: each active input adds one row of weights.
//!
//! Outputs are worked on in strips that stay in vector registers, while the rows of weights (or, for the gradient of the
//! weights, of gradients) that meet them are added one after the other.

use super::events::{BySite, Events};
use super::gemm::{Gemm, GemmOperand, Into};
use super::par;
use crate::scalar::Real;
use crate::vectorized;

/// Above this share of nonzero inputs a dense matrix product is faster than adding rows.
const DENSE_ABOVE: f64 = 0.25;

/// Rows that one task works on.
const ROWS: usize = 256;

/// Outputs of a strip: eight registers of 16.
const STRIP: usize = 128;

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
        match sparse(x, n_in, w.len()) {
            Some(mut active) => {
                active.scale_sites(n_out);
                add_active_rows(n_out, &active, w, y);
            }
            None => {
                let shape = Gemm { m: rows, k: n_in, n: n_out, into: Into::Add };
                R::gemm(shape, GemmOperand::Rows(x), GemmOperand::Rows(w), y);
            }
        }
    });
    y
}

/// `gw = xᵀ · gy`.
pub fn weight_grad<R: Real>(size: [usize; 2], x: &[R], gy: &[R]) -> Vec<R> {
    let [n_in, n_out] = size;
    let mut grad = vec![R::ZERO; n_in * n_out];
    match sparse(x, n_in, gy.len()) {
        Some(active) => {
            let mut by_input = BySite::new(n_in);
            by_input.sort(&active, 0..x.len() / n_in, n_out);
            add_gradients(n_out, &by_input, gy, &mut grad);
        }
        None => {
            let shape = Gemm { m: n_in, k: x.len() / n_in, n: n_out, into: Into::Overwrite };
            R::gemm(shape, GemmOperand::Transposed(x), GemmOperand::Rows(gy), &mut grad);
        }
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

/// The active inputs of each row, if these are few, and the matrix that they choose rows of has no more than `u32` numbers.
#[allow(clippy::cast_precision_loss, reason = "a share against a threshold")]
fn sparse<R: Real>(x: &[R], n_in: usize, matrix: usize) -> Option<Events<R>> {
    let most = x.len() as f64 * DENSE_ABOVE;
    let active = x.iter().filter(|v| !v.is_zero()).count();
    (active as f64 <= most && u32::try_from(matrix.max(n_in)).is_ok()).then(|| Events::of(x, n_in))
}

vectorized! {
    /// Adds to each row of `y` the rows of `w` that begin where the events of its plane say.
    fn add_active_rows[R: Real](lanes; n_out: usize, active: &Events<R>, w: &[R], y: &mut [R]) {
        for first in (0..n_out).step_by(STRIP) {
            let n = STRIP.min(n_out - first);
            for (row, y) in y.chunks_mut(n_out).enumerate() {
                let (starts, values) = active.of_plane(row);
                lanes.add_many((values, starts), (&w[first..], n_out), (&mut y[first..first + n], n), [1, n]);
            }
        }
    }
}

vectorized! {
    /// Adds to the gradient of each input's weights the rows of `gy` in which it was active.
    fn add_gradients[R: Real](lanes; n_out: usize, active: &BySite<R>, gy: &[R], grad: &mut [R]) {
        for first in (0..n_out).step_by(STRIP) {
            let n = STRIP.min(n_out - first);
            for (input, grad) in grad.chunks_mut(n_out).enumerate() {
                lanes.add_many(active.of(input), (&gy[first..], n_out), (&mut grad[first..first + n], n), [1, n]);
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
