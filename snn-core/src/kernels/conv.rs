//! Two-dimensional convolution of frames, by events where a factor is sparse and by matrix products where it is not.
//!
//! Frames are `[C, H, W]`. Inside, the side that is summed into is channels last (`[positions, C]`), and `Links` tell
//! which run of a kernel's numbers meets which run of such a frame. The event path adds a run of weights for each nonzero
//! number, work proportional to events in contiguous vectors; the dense path copies the runs into one row a window.

mod aligned;
mod dense;
mod events;
mod links;

use super::par;
use crate::scalar::{Real, Scalar};
use crate::vectorized;
use aligned::Aligned;
use links::Links;

/// Above this share of nonzero numbers a dense matrix product is faster than adding rows.
const DENSE_ABOVE: f64 = 0.3;

/// Frames that are worked on together: their rows stay in the second-level cache.
const BLOCK: usize = 16;

/// Frames whose weight gradients are summed before they meet those of other threads.
const FRAMES: usize = 64;

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

    /// Numbers of a kernel that meet one channel of a group.
    fn window_len(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Weights that a number of the output is computed with.
    fn taps(&self) -> usize {
        self.group_in() * self.window_len()
    }
}

/// `y[f] = w ⋆ x[f] + b` for each frame: `x` `[F, C_in, H, W]`, `w` `[C_out, C_in/groups, kh, kw]`, `b` `[C_out]` or empty.
pub fn forward<R: Real>(shape: &ConvShape, x: &[R], w: &[R], b: &[R]) -> Vec<R> {
    let run: &(dyn Fn(&[R], &mut [R]) + Sync) = if is_sparse(x) {
        let (links, kernels) = (Links::of_inputs(shape), by_input_channel(shape, w));
        &move |x, rows| events::scatter(&links, x, &kernels, rows)
    } else {
        let (links, kernels) = (Links::of_outputs(shape), taps_first(shape, w));
        &move |x, rows| dense::forward(shape, &links, x, &kernels, rows)
    };
    let mut y = vec![R::ZERO; x.len() / shape.in_len() * shape.out_len()];
    par::for_row_chunks(&mut y, shape.out_len(), BLOCK, |first, y| {
        let mut rows = Aligned::zeros(y.len());
        if !b.is_empty() {
            rows.chunks_mut(shape.c_out).for_each(|row| row.copy_from_slice(b));
        }
        run(frames(x, shape.in_len(), first, y.len() / shape.out_len()), &mut rows);
        transpose(&rows, shape.positions(), shape.c_out, y);
    });
    y
}

/// Gradient of the weights, given the inputs and the gradient of the output.
pub fn weight_grad<R: Real>(shape: &ConvShape, x: &[R], gy: &[R]) -> Vec<R> {
    let sparse = is_sparse(x);
    let links = if sparse { Links::of_inputs(shape) } else { Links::of_outputs(shape) };
    let parts = par::map_chunks(x.len() / shape.in_len(), FRAMES, |range| {
        let mut grad = Aligned::zeros(shape.c_out * shape.taps());
        for first in range.clone().step_by(BLOCK) {
            let n_frames = BLOCK.min(range.end - first);
            let x = frames(x, shape.in_len(), first, n_frames);
            let rows =
                transposed(frames(gy, shape.out_len(), first, n_frames), shape.c_out, shape.positions());
            if sparse {
                events::gather(&links, x, &rows, &mut grad);
            } else {
                dense::weight_grad(shape, &links, x, &rows, &mut grad);
            }
        }
        grad
    });
    let sum = sum_of(parts, shape.c_out * shape.taps());
    let mut gw = vec![R::ZERO; sum.len()];
    if sparse {
        let rows = reordered(&sum, shape.group_out(), &links::slots(shape));
        transpose(&rows, shape.taps(), shape.group_out(), &mut gw);
    } else {
        transpose(&sum, shape.window_len(), shape.group_in(), &mut gw);
    }
    gw
}

/// Gradient of the inputs, given the weights and the gradient of the output.
pub fn input_grad<R: Real>(shape: &ConvShape, w: &[R], gy: &[R]) -> Vec<R> {
    let (sparse, links, kernels) = (is_sparse(gy), Links::of_outputs(shape), taps_first(shape, w));
    let mut gx = vec![R::ZERO; gy.len() / shape.out_len() * shape.in_len()];
    par::for_row_chunks(&mut gx, shape.in_len(), BLOCK, |first, gx| {
        let gy = frames(gy, shape.out_len(), first, gx.len() / shape.in_len());
        let mut rows = Aligned::zeros(gx.len());
        if sparse {
            events::scatter(&links, gy, &kernels, &mut rows);
        } else {
            dense::input_grad(shape, &links, gy, &kernels, &mut rows);
        }
        transpose(&rows, shape.input[0] * shape.input[1], shape.c_in, gx);
    });
    gx
}

/// Products of nonzero inputs with weights, and products of a dense engine.
pub fn synops<S: Scalar>(shape: &ConvShape, x: &[S]) -> (u64, u64) {
    let links = Links::of_inputs(shape);
    let plane = shape.input[0] * shape.input[1];
    let fan_out: Vec<u64> = (0..plane).map(|i| links.of(i).iter().map(|l| l.len as u64).sum()).collect();
    let effective = x
        .chunks(plane)
        .map(|p| p.iter().zip(&fan_out).filter(|(v, _)| !v.is_zero()).map(|(_, &n)| n).sum::<u64>());
    let dense = (x.len() / plane) as u64 * fan_out.iter().sum::<u64>();
    (effective.sum(), dense)
}

fn frames<S>(x: &[S], len: usize, first: usize, n: usize) -> &[S] {
    &x[first * len..(first + n) * len]
}

#[allow(clippy::cast_precision_loss, reason = "a share against a threshold")]
fn is_sparse<S: Scalar>(x: &[S]) -> bool {
    count_nonzero(x) as f64 <= x.len() as f64 * DENSE_ABOVE
}

vectorized! {
    fn count_nonzero[S: Scalar](x: &[S]) -> usize {
        x.iter().map(|v| usize::from(!v.is_zero())).sum()
    }
}

fn sum_of<S: Scalar>(parts: Vec<Aligned<S>>, len: usize) -> Aligned<S> {
    let add = |mut sum: Aligned<S>, part: Aligned<S>| {
        sum.iter_mut().zip(part.iter()).for_each(|(s, &p)| *s += p);
        sum
    };
    parts.into_iter().reduce(add).unwrap_or_else(|| Aligned::zeros(len))
}

/// Weights as `[C_out][kh · kw][C_in/groups]`, the kernels of [`Links::of_outputs`].
fn taps_first<S: Scalar>(shape: &ConvShape, w: &[S]) -> Aligned<S> {
    transposed(w, shape.group_in(), shape.window_len())
}

/// Weights as `[C_in][kh · kw in the order of the links][C_out/groups]`, the kernels of [`Links::of_inputs`].
fn by_input_channel<S: Scalar>(shape: &ConvShape, w: &[S]) -> Aligned<S> {
    let rows = transposed(w, shape.group_out(), shape.taps());
    reordered(&rows, shape.group_out(), &links::tap_order(shape))
}

/// In each kernel `[kh · kw][n]` puts row `order[i]` at `i`.
fn reordered<S: Scalar>(kernels: &[S], n: usize, order: &[usize]) -> Aligned<S> {
    let mut to = Aligned::zeros(kernels.len());
    for (to, from) in to.chunks_mut(order.len() * n).zip(kernels.chunks(order.len() * n)) {
        for (to, &i) in to.chunks_mut(n).zip(order) {
            to.copy_from_slice(&from[i * n..(i + 1) * n]);
        }
    }
    to
}

fn transposed<S: Scalar>(from: &[S], rows: usize, cols: usize) -> Aligned<S> {
    let mut to = Aligned::zeros(from.len());
    transpose(from, rows, cols, &mut to);
    to
}

vectorized! {
    /// Transposes each consecutive `rows × cols` matrix.
    fn transpose[S: Scalar](from: &[S], rows: usize, cols: usize, to: &mut [S]) {
        const TILE: usize = 16;
        for (from, to) in from.chunks(rows * cols).zip(to.chunks_mut(rows * cols)) {
            for c0 in (0..cols).step_by(TILE) {
                let c1 = (c0 + TILE).min(cols);
                for r0 in (0..rows).step_by(TILE) {
                    let r1 = (r0 + TILE).min(rows);
                    for c in c0..c1 {
                        let column = from[r0 * cols + c..].iter().step_by(cols);
                        to[c * rows + r0..c * rows + r1].iter_mut().zip(column).for_each(|(to, &from)| *to = from);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
