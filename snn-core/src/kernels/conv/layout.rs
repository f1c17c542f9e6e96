//! Orders of numbers in memory: channels first or last, and kernels as the paths read them.

use super::ConvShape;
use super::links::{self, Grid};
use crate::kernels::aligned::Aligned;
use crate::kernels::number::Number;
use crate::vectorized;
use std::mem::MaybeUninit;
use std::ops::Range;

/// An index of a frame or of kernels.
#[allow(clippy::cast_possible_truncation, reason = "`Links::product` refuses larger frames and kernels")]
pub(super) fn to_u32(i: usize) -> u32 {
    i as u32
}

/// Rows of the output of a frame, or of its gradient, channels last; between them there may be pixels that mean nothing.
#[derive(Clone, Debug)]
pub(super) struct Rows<N> {
    pub(super) numbers: N,
    /// Which rows of the output these are.
    pub(super) band: Range<usize>,
    /// Where their pixels are.
    pub(super) grid: Grid,
    /// Numbers of a pixel; those behind the channels are zero.
    pub(super) pixel: usize,
}

/// Writes rows to `to` `[channels][positions]`.
pub(super) fn channels_first<S: Number>(from: &Rows<&[S]>, channels: usize, to: &mut [MaybeUninit<S>]) {
    let (w, pixel, positions) = (from.grid.size[1], from.pixel, to.len() / channels);
    if from.grid == Grid::packed(from.grid.size) {
        let size = [from.band.len() * w, channels];
        return transpose_new(from.numbers, pixel, size, &mut to[from.band.start * w..], positions);
    }
    for (i, y) in from.band.clone().enumerate() {
        transpose_new(
            &from.numbers[from.grid.row(i) * pixel..],
            pixel,
            [w, channels],
            &mut to[y * w..],
            positions,
        );
    }
}

/// Takes rows from `[channels][positions]`.
pub(super) fn channels_last<S: Number>(from: &[S], channels: usize, to: &mut Rows<&mut [S]>) {
    let (w, pixel, positions) = (to.grid.size[1], to.pixel, from.len() / channels);
    for (i, y) in to.band.clone().enumerate() {
        transpose(&from[y * w..], positions, [channels, w], &mut to.numbers[to.grid.row(i) * pixel..], pixel);
    }
}

/// Weights as `[C_in][kh · kw in the order of the links][width]`, the kernels of [`links::Links::of_inputs`].
pub(super) fn by_input_channel<S: Number>(shape: &ConvShape, w: &[S], width: usize) -> Aligned<S> {
    let (n, taps) = (shape.group_out(), shape.taps());
    let mut rows = Aligned::zeros(w.len());
    for (from, to) in w.chunks(n * taps).zip(rows.chunks_mut(n * taps)) {
        transpose(from, taps, [n, taps], to, n);
    }
    reordered(&rows, n, width, &links::tap_order(shape))
}

/// The inverse of [`by_input_channel`].
pub(super) fn of_input_channels<S: Number>(shape: &ConvShape, kernels: &[S], width: usize) -> Vec<S> {
    let (n, taps) = (shape.group_out(), shape.taps());
    let rows = reordered(kernels, width, n, &links::slots(shape));
    let mut w = vec![S::ZERO; rows.len()];
    for (from, to) in rows.chunks(n * taps).zip(w.chunks_mut(n * taps)) {
        transpose(from, n, [taps, n], to, taps);
    }
    w
}

/// Weights as `[C_out][kh][kw][width]`, the kernels of [`links::Links::of_outputs`], with `row` numbers from one row of a
/// kernel to the next.
pub(super) fn taps_first<S: Number>(shape: &ConvShape, w: &[S], width: usize, row: usize) -> Aligned<S> {
    let (n, [kh, kw]) = (shape.group_in(), shape.kernel);
    let mut kernels = Aligned::zeros(shape.c_out * kh * row);
    for (from, to) in w.chunks(n * kh * kw).zip(kernels.chunks_mut(kh * row)) {
        for (ky, to) in to.chunks_mut(row).enumerate() {
            transpose(&from[ky * kw..], kh * kw, [n, kw], to, width);
        }
    }
    kernels
}

/// In each kernel `[kh · kw][from_width]` puts row `order[i]` at `i`, cut or filled up with zeros to `to_width`.
fn reordered<S: Number>(kernels: &[S], from_width: usize, to_width: usize, order: &[usize]) -> Aligned<S> {
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
    /// Makes all pixels equal to this one.
    pub(super) fn fill_pixels[S: Number](pixel: &[S], rows: &mut [S]) {
        let (blocks, rest) = pixel.as_chunks::<16>();
        if !rest.is_empty() {
            return rows.chunks_exact_mut(pixel.len()).for_each(|row| row.copy_from_slice(pixel));
        }
        let (rows, _) = rows.as_chunks_mut::<16>();
        // Block by block: a copy of pixel after pixel becomes a call for each.
        for (k, &block) in blocks.iter().enumerate() {
            rows.iter_mut().skip(k).step_by(blocks.len()).for_each(|row| *row = block);
        }
    }
}

/// `to[c][r] = from[r][c]` for a `rows × cols` matrix; consecutive rows begin `from_width` and `to_width` numbers apart.
pub(in crate::kernels) fn transpose<S: Number>(
    from: &[S],
    from_width: usize,
    size: [usize; 2],
    to: &mut [S],
    to_width: usize,
) {
    transpose_new(from, from_width, size, as_unwritten(to), to_width);
}

/// Numbers that will be written over.
pub(super) fn as_unwritten<T: Copy>(to: &mut [T]) -> &mut [MaybeUninit<T>] {
    // SAFETY: the crate's kernels write nothing but values of the type to such a slice, so that it has values as before.
    unsafe { &mut *(std::ptr::from_mut(to) as *mut [MaybeUninit<T>]) }
}

vectorized! {
    /// [`transpose`] to where there may not have been numbers before.
    pub(super) fn transpose_new[S: Number](
        lanes; from: &[S], from_width: usize, size: [usize; 2], to: &mut [MaybeUninit<S>], to_width: usize,
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
