//! Products of sparse rows with a dense matrix: each active input adds one row of weights.
//!
//! Outputs are worked on in strips that stay in vector registers, while the rows of weights (or, for the gradient of the
//! weights, of gradients) that meet them are added one after the other: those of a tile, most of which stays in the
//! first-level cache, for all outputs of the strip, then those of the next.

use super::events::{BySite, Events};
use super::gemm::{Gemm, GemmOperand, Into};
use super::par;
use crate::scalar::Real;
use crate::vectorized;
use std::sync::OnceLock;

/// Above this share of nonzero inputs a dense matrix product is faster than adding rows.
const DENSE_ABOVE: f64 = 0.25;

/// Rows that one task works on.
const ROWS: usize = 256;

/// Outputs of a strip: eight registers of 16.
const STRIP: usize = 128;

/// Rows of a tile: a strip of them is 64 kB.
const TILE: usize = 128;

/// Additions to an output, on average, for which it pays to load and store it.
const AT_ONCE: usize = 8;

/// Bytes of a cache line.
const LINE: usize = 64;

/// `y = x · w + b` with `size = [in, out]`: `x` `[rows, in]`, `w` `[in, out]`, `b` `[out]` or empty.
pub fn forward<R: Real>(size: [usize; 2], x: &[R], w: &[R], b: &[R]) -> Vec<R> {
    let [n_in, n_out] = size;
    let n_rows = x.len() / n_in;
    let mut y = if b.is_empty() { vec![R::ZERO; n_rows * n_out] } else { b.repeat(n_rows) };
    let strips = OnceLock::new();
    par::for_row_chunks(&mut y, n_out, ROWS, |first, y| {
        let rows = y.len() / n_out;
        let x = &x[first * n_in..(first + rows) * n_in];
        match sparse(x, [n_in, TILE], w.len()) {
            Some(mut active) => {
                let strips =
                    pays(n_in, n_out, active.len()).then(|| strips.get_or_init(|| Strips::of(w, n_out)));
                let matrix = strips.map_or(Matrix::Rows(w, n_out), |strips| Matrix::Strips(strips));
                active.scale_sites(matrix.stride());
                add_active_rows(size, &active, matrix, y);
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
    match sparse(x, [n_in; 2], gy.len()) {
        Some(active) => add_gradients_of_tiles(size, &active, gy, &mut grad),
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

/// The active inputs of parts of each row (`size = [row, part]`), if these are few, and the matrix that they choose rows of has
/// no more than `u32` numbers.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a number of numbers"
)]
fn sparse<R: Real>(x: &[R], size: [usize; 2], matrix: usize) -> Option<Events<R>> {
    let most = (x.len() as f64 * DENSE_ABOVE) as usize;
    u32::try_from(matrix.max(size[0])).ok()?;
    Events::of_parts(x, size, most)
}

/// Whether copying `n` rows of `n_out` numbers to [`Strips`] costs less than it saves when `n_added` of them are added.
fn pays(n: usize, n_out: usize, n_added: usize) -> bool {
    n_out >= STRIP && n_added >= 4 * n
}

/// How many of `n` groups of `size` rows are worked on at once, if `n_added` rows are added to each of `n_sums` sums in all.
fn at_once(n: usize, n_added: usize, n_sums: usize) -> usize {
    (AT_ONCE * n * n_sums).div_ceil(n_added.max(1)).clamp(1, n.max(1))
}

/// A matrix cut into strips of [`STRIP`] columns, each row of which begins at a cache line and is followed by the next: loads
/// cross no lines, and the rows of a tile lie on few pages.
struct Strips<R> {
    numbers: Vec<R>,
    /// The first number at the beginning of a line.
    start: usize,
    n_rows: usize,
}

impl<R: Real> Strips<R> {
    fn of(matrix: &[R], n_cols: usize) -> Self {
        let mut strips = Self { numbers: Vec::new(), start: 0, n_rows: 0 };
        strips.fill(matrix, n_cols);
        strips
    }

    /// Takes another matrix.
    fn fill(&mut self, matrix: &[R], n_cols: usize) {
        self.n_rows = matrix.len() / n_cols;
        let n = n_cols.div_ceil(STRIP) * self.n_rows * STRIP + LINE;
        if self.numbers.len() < n {
            self.numbers = vec![R::ZERO; n];
            self.start = self.numbers.as_ptr().align_offset(LINE).min(LINE);
        }
        let strips = self.numbers[self.start..].chunks_mut((self.n_rows * STRIP).max(1));
        for (strip, first) in strips.zip((0..n_cols).step_by(STRIP)) {
            let n = STRIP.min(n_cols - first);
            for (to, from) in strip.chunks_exact_mut(STRIP).zip(matrix.chunks_exact(n_cols)) {
                to[..n].copy_from_slice(&from[first..first + n]);
            }
        }
    }
}

/// What rows are read from.
#[derive(Clone, Copy)]
enum Matrix<'m, R> {
    /// Row by row, with so many columns.
    Rows(&'m [R], usize),
    Strips(&'m Strips<R>),
}

impl<'m, R: Real> Matrix<'m, R> {
    /// From one row to the next.
    fn stride(self) -> usize {
        match self {
            Self::Rows(_, n_cols) => n_cols,
            Self::Strips(_) => STRIP,
        }
    }

    /// The rows of the columns from `first`, the beginning of a strip.
    #[inline(always)]
    fn columns(self, first: usize) -> (&'m [R], usize) {
        match self {
            Self::Rows(numbers, n_cols) => (&numbers[first..], n_cols),
            Self::Strips(strips) => (&strips.numbers[strips.start + first * strips.n_rows..], STRIP),
        }
    }
}

vectorized! {
    /// Adds to each row of `y` the rows of `w` that begin where the events of its parts say.
    fn add_active_rows[R: Real](
        lanes; size: [usize; 2], active: &Events<R>, w: Matrix<'_, R>, y: &mut [R],
    ) {
        let [n_in, n_out] = size;
        let n_parts = n_in.div_ceil(TILE);
        let tile = match w {
            Matrix::Rows(..) => n_parts,
            Matrix::Strips(_) => at_once(n_parts, active.len(), y.len() / n_out),
        };
        for first in (0..n_out).step_by(STRIP) {
            let (n, w) = (STRIP.min(n_out - first), w.columns(first));
            for part in (0..n_parts).step_by(tile) {
                let parts = part..(part + tile).min(n_parts);
                for (row, y) in y.chunks_mut(n_out).enumerate() {
                    let (starts, values) = active.of_planes(row * n_parts + parts.start..row * n_parts + parts.end);
                    lanes.add_many((values, starts), w, (&mut y[first..first + n], n), [1, n]);
                }
            }
        }
    }
}

/// Adds to the gradient of each input's weights the rows of `gy` in which it was active, tile by tile.
fn add_gradients_of_tiles<R: Real>([n_in, n_out]: [usize; 2], active: &Events<R>, gy: &[R], grad: &mut [R]) {
    let n_rows = gy.len() / n_out;
    let mut strips = pays(n_rows, n_out, active.len()).then(|| Strips::of(&[], n_out));
    let tile = match strips {
        None => n_rows,
        Some(_) => TILE * at_once(n_rows.div_ceil(TILE), active.len(), n_in),
    };
    let mut by_input = BySite::new(n_in);
    for (k, gy) in gy.chunks(tile * n_out).enumerate() {
        let matrix = match &mut strips {
            Some(strips) => {
                strips.fill(gy, n_out);
                Matrix::Strips(strips)
            }
            None => Matrix::Rows(gy, n_out),
        };
        by_input.sort(active, k * tile..(k * tile + gy.len() / n_out), matrix.stride());
        add_gradients(n_out, &by_input, matrix, grad);
    }
}

vectorized! {
    fn add_gradients[R: Real](lanes; n_out: usize, active: &BySite<R>, gy: Matrix<'_, R>, grad: &mut [R]) {
        for first in (0..n_out).step_by(STRIP) {
            let (n, gy) = (STRIP.min(n_out - first), gy.columns(first));
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
        let size @ [n_in, n_out] = [2 * TILE + 7, STRIP + 5];
        for (n_rows, are_ones) in [(2, false), (12, true), (300, false), (300, true)] {
            let x: Vec<f32> = numbers(n_rows * n_in, 1, 0.15);
            let x: Vec<f32> = if are_ones { x.iter().map(|x| x.abs().ceil()).collect() } else { x };
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
