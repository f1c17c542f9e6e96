//! Orders of numbers in memory: channels first or last, and kernels as the paths read them.

use super::links;
use super::{ConvShape, aligned::Aligned};
use crate::scalar::Scalar;
use crate::vectorized;

/// Weights as `[C_in][kh · kw in the order of the links][width]`, the kernels of [`links::Links::of_inputs`].
pub(super) fn by_input_channel<S: Scalar>(shape: &ConvShape, w: &[S], width: usize) -> Aligned<S> {
    let (n, taps) = (shape.group_out(), shape.taps());
    let mut rows = Aligned::zeros(w.len());
    for (from, to) in w.chunks(n * taps).zip(rows.chunks_mut(n * taps)) {
        transpose(from, taps, [n, taps], to, n);
    }
    reordered(&rows, n, width, &links::tap_order(shape))
}

/// The inverse of [`by_input_channel`].
pub(super) fn of_input_channels<S: Scalar>(shape: &ConvShape, kernels: &[S], width: usize) -> Vec<S> {
    let (n, taps) = (shape.group_out(), shape.taps());
    let rows = reordered(kernels, width, n, &links::slots(shape));
    let mut w = vec![S::ZERO; rows.len()];
    for (from, to) in rows.chunks(n * taps).zip(w.chunks_mut(n * taps)) {
        transpose(from, n, [taps, n], to, taps);
    }
    w
}

/// Weights as `[C_out][kh · kw][width]`, the kernels of [`links::Links::of_outputs`].
pub(super) fn taps_first<S: Scalar>(shape: &ConvShape, w: &[S], width: usize) -> Aligned<S> {
    let (n, taps) = (shape.group_in(), shape.window_len());
    let mut kernels = Aligned::zeros(w.len() / n * width);
    for (from, to) in w.chunks(n * taps).zip(kernels.chunks_mut(width * taps)) {
        transpose(from, taps, [n, taps], to, width);
    }
    kernels
}

/// The inverse of [`taps_first`] without padding.
pub(super) fn of_taps_first<S: Scalar>(shape: &ConvShape, kernels: &[S]) -> Vec<S> {
    let (n, taps) = (shape.group_in(), shape.window_len());
    let mut w = vec![S::ZERO; kernels.len()];
    for (from, to) in kernels.chunks(n * taps).zip(w.chunks_mut(n * taps)) {
        transpose(from, n, [taps, n], to, taps);
    }
    w
}

/// In each kernel `[kh · kw][from_width]` puts row `order[i]` at `i`, cut or filled up with zeros to `to_width`.
fn reordered<S: Scalar>(kernels: &[S], from_width: usize, to_width: usize, order: &[usize]) -> Aligned<S> {
    let mut to = Aligned::zeros(kernels.len() / from_width * to_width);
    let width = from_width.min(to_width);
    let pairs = to.chunks_mut(order.len() * to_width).zip(kernels.chunks(order.len() * from_width));
    for (to, from) in pairs {
        for (to, &i) in to.chunks_mut(to_width).zip(order) {
            to[..width].copy_from_slice(&from[i * from_width..][..width]);
        }
    }
    to
}

vectorized! {
    /// `to[c][r] = from[r][c]` for a `rows × cols` matrix; consecutive rows begin `from_width` and `to_width` numbers apart.
    pub(super) fn transpose[S: Scalar](
        lanes; from: &[S], from_width: usize, size: [usize; 2], to: &mut [S], to_width: usize,
    ) {
        const TILE: usize = 16;
        let [rows, cols] = size;
        // Along rows in blocks: what is read comes from few pages, what is written stays in cache.
        for block in (0..cols).step_by(16 * TILE) {
            for r in (0..rows).step_by(TILE) {
                for c in (block..cols.min(block + 16 * TILE)).step_by(TILE) {
                    let tile = [TILE.min(rows - r), TILE.min(cols - c)];
                    let (from, to) = (&from[r * from_width + c..], &mut to[c * to_width + r..]);
                    lanes.transpose_tile((from, from_width), tile, (to, to_width));
                }
            }
        }
    }
}
