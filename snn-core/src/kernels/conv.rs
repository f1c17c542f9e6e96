//! Two-dimensional convolution of frames, by events where inputs are sparse and by matrix products where they are not.
//!
//! Frames are `[C, H, W]`. Inside, outputs are accumulated channels last (`[positions, C_out]`), so that each active
//! input adds whole rows of weights: work proportional to events, in contiguous vectors. Weights are packed as
//! `[groups][C_in/groups · kh · kw][C_out/groups]` once per call. Events are walked channel by channel over all frames
//! of a chunk, so that the weights of a channel stay in the first-level cache.

use super::gemm::{Gemm, GemmOperand, Into};
use super::par;
use crate::scalar::Scalar;
use crate::vectorized;

/// Above this share of nonzero inputs a dense matrix product is faster than adding rows.
const DENSE_ABOVE: f64 = 0.3;

/// Frames that one task works on.
const FRAMES: usize = 64;

/// Numbers that the row buffer of a dense product may hold.
const ROW_BUFFER: usize = 1 << 20;

/// Sizes of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvShape {
    /// Input channels.
    pub c_in: usize,
    /// Input height and width.
    pub input: [usize; 2],
    /// Output channels.
    pub c_out: usize,
    /// Kernel height and width.
    pub kernel: [usize; 2],
    /// Step between windows.
    pub stride: [usize; 2],
    /// Zeros around the input.
    pub padding: [usize; 2],
    /// Distance between the taps of a window.
    pub dilation: [usize; 2],
    /// Groups of channels that do not mix.
    pub groups: usize,
}

impl ConvShape {
    /// Height and width of the window with its dilation.
    #[must_use]
    pub fn window(&self) -> [usize; 2] {
        std::array::from_fn(|i| self.dilation[i] * (self.kernel[i] - 1) + 1)
    }

    /// Height and width of the output.
    ///
    /// # Panics
    /// If the window does not fit the padded input.
    #[must_use]
    pub fn output(&self) -> [usize; 2] {
        let window = self.window();
        std::array::from_fn(|i| (self.input[i] + 2 * self.padding[i] - window[i]) / self.stride[i] + 1)
    }

    fn in_len(&self) -> usize {
        self.c_in * self.input[0] * self.input[1]
    }

    fn positions(&self) -> usize {
        let [h, w] = self.output();
        h * w
    }

    fn out_len(&self) -> usize {
        self.c_out * self.positions()
    }

    fn group_in(&self) -> usize {
        self.c_in / self.groups
    }

    fn group_out(&self) -> usize {
        self.c_out / self.groups
    }

    /// Rows of the packed weights of one group.
    fn taps(&self) -> usize {
        self.group_in() * self.kernel[0] * self.kernel[1]
    }

    /// For each input coordinate along `axis`: the (tap, output coordinate) pairs that it takes part in.
    fn reach(&self, axis: usize) -> Vec<Vec<(usize, usize)>> {
        let n_out = self.output()[axis];
        let hit = |i: usize, tap: usize| {
            let shifted = (i + self.padding[axis]).checked_sub(tap * self.dilation[axis])?;
            let o = shifted / self.stride[axis];
            (shifted.is_multiple_of(self.stride[axis]) && o < n_out).then_some((tap, o))
        };
        (0..self.input[axis]).map(|i| (0..self.kernel[axis]).filter_map(|k| hit(i, k)).collect()).collect()
    }
}

/// `y[f] = w ⋆ x[f] + b` for each frame: `x` `[F, C_in, H, W]`, `w` `[C_out, C_in/groups, kh, kw]`, `b` `[C_out]` or empty.
pub fn forward<S: Scalar>(shape: &ConvShape, x: &[S], w: &[S], b: &[S]) -> Vec<S> {
    let packed = pack(shape, w);
    let mut y = vec![S::ZERO; x.len() / shape.in_len() * shape.out_len()];
    par::for_row_chunks(&mut y, shape.out_len(), FRAMES, |first, y| {
        let n_frames = y.len() / shape.out_len();
        let x = &x[first * shape.in_len()..(first + n_frames) * shape.in_len()];
        let mut rows = vec![S::ZERO; y.len()];
        if !b.is_empty() {
            rows.chunks_mut(shape.c_out).for_each(|row| row.copy_from_slice(b));
        }
        match Events::of_sparse(shape, x) {
            Some(events) => scatter(shape, &events, &packed, &mut rows),
            None => dense_forward(shape, x, &packed, &mut rows),
        }
        transpose_frames(&rows, shape.positions(), shape.c_out, y);
    });
    y
}

/// Gradient of the weights, given the inputs and the gradient of the output.
pub fn weight_grad<S: Scalar>(shape: &ConvShape, x: &[S], gy: &[S]) -> Vec<S> {
    let n_frames = x.len() / shape.in_len();
    let parts = par::map_chunks(n_frames, FRAMES, |frames| {
        let x = &x[frames.start * shape.in_len()..frames.end * shape.in_len()];
        let rows = channels_last(shape, &gy[frames.start * shape.out_len()..frames.end * shape.out_len()]);
        let mut grad = vec![S::ZERO; shape.groups * shape.taps() * shape.group_out()];
        match Events::of_sparse(shape, x) {
            Some(events) => gather(shape, &events, &rows, &mut grad),
            None => dense_weight_grad(shape, x, &rows, &mut grad),
        }
        grad
    });
    let mut sum = vec![S::ZERO; shape.groups * shape.taps() * shape.group_out()];
    for part in &parts {
        sum.iter_mut().zip(part).for_each(|(s, &p)| *s += p);
    }
    unpack(shape, &sum)
}

/// Gradient of the inputs, given the weights and the gradient of the output.
pub fn input_grad<S: Scalar>(shape: &ConvShape, w: &[S], gy: &[S]) -> Vec<S> {
    let packed = pack(shape, w);
    let mut gx = vec![S::ZERO; gy.len() / shape.out_len() * shape.in_len()];
    par::for_row_chunks(&mut gx, shape.in_len(), FRAMES, |first, gx| {
        let n_frames = gx.len() / shape.in_len();
        let gy = &gy[first * shape.out_len()..(first + n_frames) * shape.out_len()];
        let rows = channels_last(shape, gy);
        dense_input_grad(shape, &packed, &rows, gx);
    });
    gx
}

/// Products of nonzero inputs with weights, and products of a dense engine.
pub fn synops<S: Scalar>(shape: &ConvShape, x: &[S]) -> (u64, u64) {
    let [rows, cols] = [shape.reach(0), shape.reach(1)];
    let [h, w] = shape.input;
    let fan_out: Vec<usize> =
        (0..h * w).map(|i| rows[i / w].len() * cols[i % w].len() * shape.group_out()).collect();
    let plane = h * w;
    let effective = x
        .chunks(plane)
        .map(|p| p.iter().zip(&fan_out).filter(|(v, _)| !v.is_zero()).map(|(_, &n)| n as u64).sum::<u64>());
    let dense = (x.len() / plane) as u64 * fan_out.iter().map(|&n| n as u64).sum::<u64>();
    (effective.sum(), dense)
}

/// The nonzero inputs of some frames, ordered by frame, channel, row and column.
struct Events<S> {
    /// For each frame and channel, where its events begin; one more entry at the end.
    starts: Vec<usize>,
    /// Row and column.
    sites: Vec<[usize; 2]>,
    values: Vec<S>,
}

impl<S: Scalar> Events<S> {
    /// The events of `x`, unless there are so many that a dense product is faster.
    fn of_sparse(shape: &ConvShape, x: &[S]) -> Option<Self> {
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a threshold"
        )]
        let limit = (x.len() as f64 * DENSE_ABOVE) as usize;
        if count_nonzero(x) > limit {
            return None;
        }
        let [h, w] = shape.input;
        let mut events = Self { starts: vec![0], sites: Vec::new(), values: Vec::new() };
        for plane in x.chunks(h * w) {
            for (i, &v) in plane.iter().enumerate().filter(|(_, v)| !v.is_zero()) {
                events.sites.push([i / w, i % w]);
                events.values.push(v);
            }
            events.starts.push(events.sites.len());
        }
        Some(events)
    }

    /// The events of a frame's channel.
    fn of(&self, frame: usize, channel: usize, n_channels: usize) -> impl Iterator<Item = ([usize; 2], S)> {
        let plane = frame * n_channels + channel;
        let range = self.starts[plane]..self.starts[plane + 1];
        self.sites[range.clone()].iter().copied().zip(self.values[range].iter().copied())
    }
}

vectorized! {
    fn count_nonzero[S: Scalar](x: &[S]) -> usize {
        x.iter().map(|v| usize::from(!v.is_zero())).sum()
    }
}

vectorized! {
    /// Adds to each output position in reach of an event its value times a row of weights.
    fn scatter[S: Scalar](shape: &ConvShape, events: &Events<S>, packed: &[S], rows: &mut [S]) {
        let [ys, xs] = [shape.reach(0), shape.reach(1)];
        let ([kh, kw], [_, out_w]) = (shape.kernel, shape.output());
        let (n, per_frame) = (shape.group_out(), shape.out_len());
        for channel in 0..shape.c_in {
            let (group, tap0) = (channel / shape.group_in(), channel * kh * kw);
            for (frame, rows) in rows.chunks_mut(per_frame).enumerate() {
                for ([y, x], value) in events.of(frame, channel, shape.c_in) {
                    for &(ky, oy) in &ys[y] {
                        for &(kx, ox) in &xs[x] {
                            let w = (tap0 + ky * kw + kx) * n;
                            let o = (oy * out_w + ox) * shape.c_out + group * n;
                            axpy(value, &packed[w..w + n], &mut rows[o..o + n]);
                        }
                    }
                }
            }
        }
    }
}

vectorized! {
    /// Adds to each row of the weight gradient in reach of an event its value times the output gradient there.
    fn gather[S: Scalar](shape: &ConvShape, events: &Events<S>, rows: &[S], grad: &mut [S]) {
        let [ys, xs] = [shape.reach(0), shape.reach(1)];
        let ([kh, kw], [_, out_w]) = (shape.kernel, shape.output());
        let (n, per_frame) = (shape.group_out(), shape.out_len());
        for channel in 0..shape.c_in {
            let (group, tap0) = (channel / shape.group_in(), channel * kh * kw);
            for (frame, rows) in rows.chunks(per_frame).enumerate() {
                for ([y, x], value) in events.of(frame, channel, shape.c_in) {
                    for &(ky, oy) in &ys[y] {
                        for &(kx, ox) in &xs[x] {
                            let w = (tap0 + ky * kw + kx) * n;
                            let o = (oy * out_w + ox) * shape.c_out + group * n;
                            axpy(value, &rows[o..o + n], &mut grad[w..w + n]);
                        }
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn axpy<S: Scalar>(a: S, x: &[S], y: &mut [S]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y += a * x;
    }
}

/// Frames whose im2row rows fit the buffer together.
fn frames_per_product(shape: &ConvShape) -> usize {
    (ROW_BUFFER / (shape.positions() * shape.taps()).max(1)).max(1)
}

fn dense_forward<S: Scalar>(shape: &ConvShape, x: &[S], packed: &[S], rows: &mut [S]) {
    let (step, n) = (frames_per_product(shape), shape.group_out());
    let group_weights = shape.taps() * n;
    for (x, rows) in x.chunks(step * shape.in_len()).zip(rows.chunks_mut(step * shape.out_len())) {
        for group in 0..shape.groups {
            let patches = im2row(shape, x, group);
            let m = rows.len() / shape.c_out;
            let gemm = Gemm { m, k: shape.taps(), n, into: Into::Overwrite };
            let weights = &packed[group * group_weights..(group + 1) * group_weights];
            let mut part = vec![S::ZERO; m * n];
            S::gemm(gemm, GemmOperand::Rows(&patches), GemmOperand::Rows(weights), &mut part);
            add_columns(&part, n, rows, shape.c_out, group * n);
        }
    }
}

fn dense_weight_grad<S: Scalar>(shape: &ConvShape, x: &[S], rows: &[S], grad: &mut [S]) {
    let (step, n) = (frames_per_product(shape), shape.group_out());
    for (x, rows) in x.chunks(step * shape.in_len()).zip(rows.chunks(step * shape.out_len())) {
        for (group, grad) in grad.chunks_mut(shape.taps() * n).enumerate() {
            let patches = im2row(shape, x, group);
            let columns = take_columns(rows, shape.c_out, group * n, n);
            let gemm = Gemm { m: shape.taps(), k: columns.len() / n, n, into: Into::Add };
            S::gemm(gemm, GemmOperand::Transposed(&patches), GemmOperand::Rows(&columns), grad);
        }
    }
}

/// Only positions with a nonzero output gradient are multiplied.
fn dense_input_grad<S: Scalar>(shape: &ConvShape, packed: &[S], rows: &[S], gx: &mut [S]) {
    let (step, n) = (frames_per_product(shape), shape.group_out());
    let group_weights = shape.taps() * n;
    for (rows, gx) in rows.chunks(step * shape.out_len()).zip(gx.chunks_mut(step * shape.in_len())) {
        for group in 0..shape.groups {
            let (active, columns) = active_rows(rows, shape.c_out, group * n, n);
            let gemm = Gemm { m: active.len(), k: n, n: shape.taps(), into: Into::Overwrite };
            let weights = &packed[group * group_weights..(group + 1) * group_weights];
            let mut patches = vec![S::ZERO; active.len() * shape.taps()];
            S::gemm(gemm, GemmOperand::Rows(&columns), GemmOperand::Transposed(weights), &mut patches);
            row2im(shape, &active, &patches, group, gx);
        }
    }
}

/// Each output position's receptive field in the channels of a group as one row, `[F · positions, taps]`.
fn im2row<S: Scalar>(shape: &ConvShape, x: &[S], group: usize) -> Vec<S> {
    let n_frames = x.len() / shape.in_len();
    let mut rows = vec![S::ZERO; n_frames * shape.positions() * shape.taps()];
    for (position, row) in rows.chunks_mut(shape.taps()).enumerate() {
        let frame = position / shape.positions();
        let x = &x[frame * shape.in_len()..(frame + 1) * shape.in_len()];
        for_each_tap(shape, position % shape.positions(), group, |tap, run, at| {
            for i in 0..run {
                row[tap + i] = x[at + i * shape.dilation[1]];
            }
        });
    }
    rows
}

/// Adds rows of receptive fields back onto the frames they came from.
fn row2im<S: Scalar>(shape: &ConvShape, active: &[usize], rows: &[S], group: usize, gx: &mut [S]) {
    for (&position, row) in active.iter().zip(rows.chunks(shape.taps())) {
        let frame = position / shape.positions();
        let gx = &mut gx[frame * shape.in_len()..(frame + 1) * shape.in_len()];
        for_each_tap(shape, position % shape.positions(), group, |tap, run, at| {
            for i in 0..run {
                gx[at + i * shape.dilation[1]] += row[tap + i];
            }
        });
    }
}

/// Calls `f(first tap, number of taps, index of the first input)` for each kernel row of a window, without its padding.
#[inline(always)]
fn for_each_tap(shape: &ConvShape, position: usize, group: usize, mut f: impl FnMut(usize, usize, usize)) {
    let ([h, w], [kh, kw], [dy, dx]) = (shape.input, shape.kernel, shape.dilation);
    let out_w = shape.output()[1];
    let [y0, x0] = [position / out_w * shape.stride[0], position % out_w * shape.stride[1]];
    // Taps of a kernel row whose column lies inside the frame.
    let first = shape.padding[1].saturating_sub(x0).div_ceil(dx).min(kw);
    let last = (w + shape.padding[1]).saturating_sub(x0).div_ceil(dx).min(kw);
    for c in 0..shape.group_in() {
        let plane = (group * shape.group_in() + c) * h * w;
        for ky in 0..kh {
            let y = y0 + ky * dy;
            if y < shape.padding[0] || y >= h + shape.padding[0] || first >= last {
                continue;
            }
            let at = plane + (y - shape.padding[0]) * w + (x0 + first * dx - shape.padding[1]);
            f((c * kh + ky) * kw + first, last - first, at);
        }
    }
}

/// `[C_out, C_in/groups · kh · kw]` as `[groups][taps][C_out/groups]`.
fn pack<S: Scalar>(shape: &ConvShape, w: &[S]) -> Vec<S> {
    let mut packed = vec![S::ZERO; w.len()];
    transpose_frames(w, shape.group_out(), shape.taps(), &mut packed);
    packed
}

fn unpack<S: Scalar>(shape: &ConvShape, packed: &[S]) -> Vec<S> {
    let mut w = vec![S::ZERO; packed.len()];
    transpose_frames(packed, shape.taps(), shape.group_out(), &mut w);
    w
}

fn channels_last<S: Scalar>(shape: &ConvShape, y: &[S]) -> Vec<S> {
    let mut rows = vec![S::ZERO; y.len()];
    transpose_frames(y, shape.c_out, shape.positions(), &mut rows);
    rows
}

/// Transposes each consecutive `rows × cols` matrix.
fn transpose_frames<S: Scalar>(from: &[S], rows: usize, cols: usize, to: &mut [S]) {
    const TILE: usize = 16;
    for (from, to) in from.chunks(rows * cols).zip(to.chunks_mut(rows * cols)) {
        for r0 in (0..rows).step_by(TILE) {
            for c0 in (0..cols).step_by(TILE) {
                for r in r0..(r0 + TILE).min(rows) {
                    for c in c0..(c0 + TILE).min(cols) {
                        to[c * rows + r] = from[r * cols + c];
                    }
                }
            }
        }
    }
}

fn add_columns<S: Scalar>(part: &[S], n: usize, rows: &mut [S], width: usize, first: usize) {
    for (part, row) in part.chunks(n).zip(rows.chunks_mut(width)) {
        row[first..first + n].iter_mut().zip(part).for_each(|(r, &p)| *r += p);
    }
}

fn take_columns<S: Scalar>(rows: &[S], width: usize, first: usize, n: usize) -> Vec<S> {
    rows.chunks(width).flat_map(|row| row[first..first + n].iter().copied()).collect()
}

/// Numbers and columns of the rows that are not all zero.
fn active_rows<S: Scalar>(rows: &[S], width: usize, first: usize, n: usize) -> (Vec<usize>, Vec<S>) {
    let (mut active, mut columns) = (Vec::new(), Vec::new());
    for (i, row) in rows.chunks(width).enumerate() {
        let part = &row[first..first + n];
        if part.iter().any(|v| !v.is_zero()) {
            active.push(i);
            columns.extend_from_slice(part);
        }
    }
    (active, columns)
}

#[cfg(test)]
mod tests;
