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

/// Bytes of a cache line.
const LINE: usize = 64;

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
                let mut strip = Strip::for_rows(n_in, n_out, active.len());
                active.scale_sites(strip.as_ref().map_or(n_out, |_| STRIP));
                add_active_rows(n_out, &active, w, strip.as_mut(), y);
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
            let rows = x.len() / n_in;
            let mut strip = Strip::for_rows(rows, n_out, active.len());
            let mut by_input = BySite::new(n_in);
            by_input.sort(&active, 0..rows, strip.as_ref().map_or(n_out, |_| STRIP));
            add_gradients(n_out, &by_input, gy, strip.as_mut(), &mut grad);
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

/// Columns of a matrix, copied to where each row begins at a cache line and the next row follows it: loads cross no lines, and
/// the rows lie on few pages.
struct Strip<R> {
    numbers: Vec<R>,
    /// The first number at the beginning of a line.
    start: usize,
}

impl<R: Real> Strip<R> {
    /// Room for a strip of `n` rows of `n_out` numbers, of which `n_added` are to be added; `None` where copying them costs more
    /// than it saves.
    fn for_rows(n: usize, n_out: usize, n_added: usize) -> Option<Self> {
        let fits = u32::try_from(n * STRIP).is_ok();
        if !fits || n_out < STRIP || n_added < 4 * n {
            return None;
        }
        let numbers = vec![R::ZERO; n * STRIP + LINE];
        let start = numbers.as_ptr().align_offset(LINE).min(LINE);
        Some(Self { numbers, start })
    }

    /// Takes the columns from `first` of a matrix with `n_cols`.
    #[inline(always)]
    fn fill(&mut self, matrix: &[R], n_cols: usize, first: usize) -> &[R] {
        let n = STRIP.min(n_cols - first);
        let rows = self.numbers[self.start..].chunks_exact_mut(STRIP);
        for (to, from) in rows.zip(matrix.chunks_exact(n_cols)) {
            to[..n].copy_from_slice(&from[first..first + n]);
        }
        &self.numbers[self.start..]
    }
}

/// What rows of columns from `first` are read from, and how far they are apart there.
#[inline(always)]
fn columns<'m, R: Real>(
    matrix: &'m [R],
    n_cols: usize,
    first: usize,
    strip: Option<&'m mut Strip<R>>,
) -> (&'m [R], usize) {
    match strip {
        Some(strip) => (strip.fill(matrix, n_cols, first), STRIP),
        None => (&matrix[first..], n_cols),
    }
}

vectorized! {
    /// Adds to each row of `y` the rows of `w` that begin where the events of its plane say.
    fn add_active_rows[R: Real](
        lanes; n_out: usize, active: &Events<R>, w: &[R], strip: Option<&mut Strip<R>>, y: &mut [R],
    ) {
        let mut strip = strip;
        for first in (0..n_out).step_by(STRIP) {
            let n = STRIP.min(n_out - first);
            let w = columns(w, n_out, first, strip.as_deref_mut());
            for (row, y) in y.chunks_mut(n_out).enumerate() {
                let (starts, values) = active.of_plane(row);
                lanes.add_many((values, starts), w, (&mut y[first..first + n], n), [1, n]);
            }
        }
    }
}

vectorized! {
    /// Adds to the gradient of each input's weights the rows of `gy` in which it was active.
    fn add_gradients[R: Real](
        lanes; n_out: usize, active: &BySite<R>, gy: &[R], strip: Option<&mut Strip<R>>, grad: &mut [R],
    ) {
        let mut strip = strip;
        for first in (0..n_out).step_by(STRIP) {
            let n = STRIP.min(n_out - first);
            let gy = columns(gy, n_out, first, strip.as_deref_mut());
            for (input, grad) in grad.chunks_mut(n_out).enumerate() {
                lanes.add_many(active.of(input), gy, (&mut grad[first..first + n], n), [1, n]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn numbers<T: From<f32>>(n: usize, seed: u64, density: f32) -> Vec<T> {
        let draw = |i: u64| crate::rng::counter_uniform(seed, i);
        (0..n as u64)
            .map(|i| T::from(if draw(2 * i) < density { draw(2 * i + 1) - 0.5 } else { 0.0 }))
            .collect()
    }

    #[test]
    fn columns_copied_to_lines_give_the_same_bits() {
        let size @ [n_in, n_out] = [7, STRIP + 5];
        for n_rows in [12, 300] {
            let x: Vec<f32> = numbers(n_rows * n_in, 1, 0.15);
            let (w, gy): (Vec<f32>, Vec<f32>) =
                (numbers(n_in * n_out, 2, 1.0), numbers(n_rows * n_out, 3, 1.0));
            let (mut y, mut gw) = (vec![0.0_f32; n_rows * n_out], vec![0.0_f32; n_in * n_out]);
            for r in 0..n_rows {
                for (i, &x) in x[r * n_in..][..n_in].iter().enumerate().filter(|(_, x)| **x != 0.0) {
                    for o in 0..n_out {
                        y[r * n_out + o] += x * w[i * n_out + o];
                        gw[i * n_out + o] += x * gy[r * n_out + o];
                    }
                }
            }
            assert_eq!(forward(size, &x, &w, &[]), y);
            assert_eq!(weight_grad(size, &x, &gy), gw);
        }
    }

    proptest! {
        #[test]
        fn both_paths_equal_three_loops(
            rows in 1usize..6, n_in in 1usize..9, n_out in 1usize..9, dense: bool, seed: u64,
        ) {
            let x: Vec<f64> = numbers(rows * n_in, seed, if dense { 1.0 } else { 0.1 });
            let (w, b, gy): (Vec<f64>, Vec<f64>, Vec<f64>) = (numbers(n_in * n_out, seed ^ 1, 1.0), numbers(n_out, seed ^ 2, 1.0), numbers(rows * n_out, seed ^ 3, 1.0));
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
