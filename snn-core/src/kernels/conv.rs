//! Two-dimensional convolution of frames, by events where a factor is sparse and by matrix products where it is not.
//!
//! Frames are `[C, H, W]`. Inside, the side that is summed into is channels last (`[positions, C]`), and `Links` tell
//! which run of a kernel's numbers meets which run of such a frame. The event path adds a run of weights for each nonzero
//! number, work proportional to events in contiguous vectors; the dense path copies the runs into one row a window.
//!
//! Where a convolution is followed by max-pooling, its frames are pooled while they are in cache and never stored
//! ([`forward_pooled`]), and going back only the number that a window chose is worked on.

mod aligned;
mod dense;
mod events;
mod layout;
mod links;
mod windows;

pub use windows::Windows;

use super::events::Events;
use super::par;
use crate::scalar::{Real, Scalar};
use crate::vectorized;
use aligned::Aligned;
use links::Links;
use std::sync::{Arc, OnceLock};

/// Above this share of nonzero numbers a dense matrix product is faster than adding rows.
const DENSE_ABOVE: f64 = 0.3;

/// Frames that one task works on.
const FRAMES: usize = 16;

/// Frames whose weight gradients are summed before they meet those of other threads.
const SUMMED: usize = 64;

/// Kernels of so many bytes stay in cache while frame after frame is worked on.
const KERNEL_BYTES: usize = 128 << 10;

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
        self.c_in * self.plane()
    }

    /// Pixels of an input frame.
    fn plane(&self) -> usize {
        self.input[0] * self.input[1]
    }

    fn positions(&self) -> usize {
        let [h, w] = self.output();
        h * w
    }

    fn out_len(&self) -> usize {
        self.c_out * self.positions()
    }

    /// Numbers of a pixel with `n` channels where vectors are added: whole registers, if little is lost by that.
    fn pixel(&self, n: usize) -> usize {
        match n {
            _ if self.groups > 1 || n <= 4 => n,
            5..=8 => 8,
            _ => n.next_multiple_of(16),
        }
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

/// A convolution: its sizes, and the tables that the kernels walk along, which are made when first needed and shared by
/// all clones.
#[derive(Clone, Debug)]
pub struct Conv {
    shape: ConvShape,
    tables: Arc<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    by_input: OnceLock<Links>,
    by_output: OnceLock<Links>,
    rows: OnceLock<Links>,
}

impl PartialEq for Conv {
    fn eq(&self, other: &Self) -> bool {
        self.shape == other.shape
    }
}

impl From<ConvShape> for Conv {
    fn from(shape: ConvShape) -> Self {
        Self { shape, tables: Arc::default() }
    }
}

impl Conv {
    /// All sizes.
    #[must_use]
    pub fn shape(&self) -> &ConvShape {
        &self.shape
    }

    /// Numbers of an output pixel that the event path works on.
    fn pixel_out(&self) -> usize {
        self.shape.pixel(self.shape.c_out)
    }

    /// For the event path, from inputs to outputs.
    fn by_input(&self) -> &Links {
        let make = || Links::of_inputs(&self.shape, self.pixel_out() / self.shape.groups);
        self.tables.by_input.get_or_init(make)
    }

    /// For the event path, from outputs to inputs.
    fn by_output(&self) -> &Links {
        let make = || Links::of_outputs(&self.shape, self.shape.pixel(self.shape.c_in) / self.shape.groups);
        self.tables.by_output.get_or_init(make)
    }

    /// For the dense path, from outputs to inputs.
    fn rows(&self) -> &Links {
        self.tables.rows.get_or_init(|| Links::of_outputs(&self.shape, self.shape.group_in()))
    }
}

/// `y[f] = w ⋆ x[f] + b` for each frame: `x` `[F, C_in, H, W]`, `w` `[C_out, C_in/groups, kh, kw]`, `b` `[C_out]` or empty.
pub fn forward<R: Real>(conv: &Conv, x: &[R], w: &[R], b: &[R]) -> Vec<R> {
    let (shape, product) = (&conv.shape, Product::new(conv, x, w, b));
    let mut y = vec![R::ZERO; x.len() / shape.in_len() * shape.out_len()];
    par::for_row_chunks(&mut y, shape.out_len(), FRAMES, |first, y| {
        let x = frames(x, shape.in_len(), first, y.len() / shape.out_len());
        product.for_each_frame(x, |frame, rows, pixel| {
            let y = &mut y[frame * shape.out_len()..][..shape.out_len()];
            layout::transpose(rows, pixel, [shape.positions(), shape.c_out], y, shape.positions());
        });
    });
    y
}

/// The greatest number of each window of the output of [`forward`], `[F, C_out, H'/kh, W'/kw]`, and which number of its
/// window that is, for the functions that go back.
pub fn forward_pooled<R: Real>(
    conv: &Conv,
    windows: &Windows,
    x: &[R],
    w: &[R],
    b: &[R],
) -> (Vec<R>, Vec<u8>) {
    let (shape, product) = (&conv.shape, Product::new(conv, x, w, b));
    let (n, len) = (x.len() / shape.in_len(), shape.c_out * windows.count());
    let choices_len = windows.count() * conv.pixel_out();
    let (mut y, mut choices) = (vec![R::ZERO; n * len], vec![0; n * choices_len]);
    par::for_row_chunks_2((&mut y, len), (&mut choices, choices_len), FRAMES, |first, y, choices| {
        let mut best = Aligned::zeros(choices_len);
        product.for_each_frame(frames(x, shape.in_len(), first, y.len() / len), |frame, rows, pixel| {
            windows.choose(rows, pixel, &mut best, &mut choices[frame * choices_len..][..choices_len]);
            let y = &mut y[frame * len..][..len];
            layout::transpose(&best, pixel, [windows.count(), shape.c_out], y, windows.count());
        });
    });
    (y, choices)
}

/// The numbers that [`forward_pooled`] would give if its windows chose so.
pub fn forward_chosen<R: Real>(
    conv: &Conv,
    windows: &Windows,
    choices: &[u8],
    x: &[R],
    w: &[R],
    b: &[R],
) -> Vec<R> {
    let (shape, product) = (&conv.shape, Product::new(conv, x, w, b));
    let (len, choices_len) = (shape.c_out * windows.count(), windows.count() * conv.pixel_out());
    let mut y = vec![R::ZERO; x.len() / shape.in_len() * len];
    par::for_row_chunks(&mut y, len, FRAMES, |first, y| {
        let mut chosen = Aligned::zeros(windows.count() * product.pixel);
        product.for_each_frame(frames(x, shape.in_len(), first, y.len() / len), |frame, rows, pixel| {
            windows.pick(rows, pixel, frames(choices, choices_len, first + frame, 1), &mut chosen);
            let y = &mut y[frame * len..][..len];
            layout::transpose(&chosen, pixel, [windows.count(), shape.c_out], y, windows.count());
        });
    });
    y
}

/// A convolution of given weights, by the path that suits the input.
struct Product<'a, R> {
    shape: &'a ConvShape,
    sparse: bool,
    links: &'a Links,
    kernels: Aligned<R>,
    /// Numbers of a pixel of the output rows.
    pixel: usize,
    /// What the output rows of a frame start from.
    bias: Vec<R>,
}

impl<'a, R: Real> Product<'a, R> {
    fn new(conv: &'a Conv, x: &[R], w: &[R], b: &[R]) -> Self {
        let (shape, sparse) = (&conv.shape, is_sparse(x));
        let (pixel, links, kernels) = if sparse {
            let links = conv.by_input();
            (conv.pixel_out(), links, layout::by_input_channel(shape, w, links.width))
        } else {
            (shape.c_out, conv.rows(), layout::taps_first(shape, w, shape.group_in()))
        };
        let mut bias = vec![R::ZERO; shape.positions() * pixel];
        bias.chunks_mut(pixel).for_each(|to| to[..b.len()].copy_from_slice(b));
        Self { shape, sparse, links, kernels, pixel, bias }
    }

    /// Calls `done(frame, rows, pixel)` with the output of each frame, `[positions][pixel]`.
    fn for_each_frame(&self, x: &[R], mut done: impl FnMut(usize, &[R], usize)) {
        let (len, step) = (self.bias.len(), frames_together(&self.kernels));
        let mut rows = Aligned::zeros(step.min(x.len() / self.shape.in_len()) * len);
        for (i, x) in x.chunks(step * self.shape.in_len()).enumerate() {
            let rows = &mut rows[..x.len() / self.shape.in_len() * len];
            rows.chunks_mut(len).for_each(|rows| rows.copy_from_slice(&self.bias));
            if self.sparse {
                events::scatter(self.links, &Events::of(x, self.links.sites()), &self.kernels, rows);
            } else {
                dense::forward(self.shape, self.links, x, &self.kernels, rows);
            }
            rows.chunks(len).enumerate().for_each(|(k, rows)| done(i * step + k, rows, self.pixel));
        }
    }
}

/// Gradient of the weights, given the inputs and the gradient of the output.
pub fn weight_grad<R: Real>(conv: &Conv, x: &[R], gy: &[R]) -> Vec<R> {
    let (shape, positions) = (&conv.shape, conv.shape.positions());
    weight_grad_of_rows(conv, x, |frame, rows, pixel| {
        let gy = frames(gy, shape.out_len(), frame, 1);
        layout::transpose(gy, positions, [shape.c_out, positions], rows, pixel);
    })
}

/// Gradient of the weights, given the inputs and the gradient of the output of [`forward_pooled`].
pub fn weight_grad_pooled<R: Real>(
    conv: &Conv,
    windows: &Windows,
    choices: &[u8],
    x: &[R],
    gy: &[R],
) -> Vec<R> {
    let (shape, n) = (&conv.shape, windows.count());
    weight_grad_of_rows(conv, x, |frame, rows, pixel| {
        let mut best = Aligned::zeros(n * pixel);
        layout::transpose(frames(gy, shape.c_out * n, frame, 1), n, [shape.c_out, n], &mut best, pixel);
        windows.spread(&best, pixel, frames(choices, n * conv.pixel_out(), frame, 1), rows);
    })
}

/// `fill(frame, rows, pixel)` writes a frame's gradient of the output, `[positions][pixel]`, over that of another frame.
fn weight_grad_of_rows<R: Real>(
    conv: &Conv,
    x: &[R],
    fill: impl Fn(usize, &mut [R], usize) + Sync,
) -> Vec<R> {
    let (shape, sparse) = (&conv.shape, is_sparse(x));
    let (pixel, links) =
        if sparse { (conv.pixel_out(), conv.by_input()) } else { (shape.c_out, conv.rows()) };
    let len = shape.positions() * pixel;
    let n_weights = if sparse { shape.c_in * links.kernel_len } else { shape.c_out * shape.taps() };
    let parts = par::map_chunks(x.len() / shape.in_len(), SUMMED, |range| {
        let mut grad = Aligned::zeros(n_weights);
        let step = frames_together(&grad);
        let mut rows = Aligned::zeros(step.min(range.len()) * len);
        for first in range.clone().step_by(step) {
            let n_frames = step.min(range.end - first);
            let (x, rows) = (frames(x, shape.in_len(), first, n_frames), &mut rows[..n_frames * len]);
            rows.chunks_mut(len).enumerate().for_each(|(k, rows)| fill(first + k, rows, pixel));
            if sparse {
                events::gather(links, &Events::of(x, links.sites()), rows, &mut grad);
            } else {
                dense::weight_grad(shape, links, x, rows, &mut grad);
            }
        }
        grad
    });
    let sum = sum_of(parts, n_weights);
    if sparse {
        layout::of_input_channels(shape, &sum, links.width)
    } else {
        layout::of_taps_first(shape, &sum)
    }
}

/// Gradient of the inputs, given the weights and the gradient of the output.
pub fn input_grad<R: Real>(conv: &Conv, w: &[R], gy: &[R]) -> Vec<R> {
    let shape = &conv.shape;
    if is_sparse(gy) {
        let events = |gy: &[R], _: usize| Events::of(gy, shape.positions());
        return input_grad_of_events(conv, w, gy, shape.out_len(), events);
    }
    let kernels = layout::taps_first(shape, w, shape.group_in());
    let mut gx = vec![R::ZERO; gy.len() / shape.out_len() * shape.in_len()];
    par::for_row_chunks(&mut gx, shape.in_len(), FRAMES, |first, gx| {
        let gy = frames(gy, shape.out_len(), first, gx.len() / shape.in_len());
        let mut rows = Aligned::zeros(gx.len());
        dense::input_grad(shape, conv.rows(), gy, &kernels, &mut rows);
        for (rows, gx) in rows.chunks(shape.in_len()).zip(gx.chunks_mut(shape.in_len())) {
            layout::transpose(rows, shape.c_in, [shape.plane(), shape.c_in], gx, shape.plane());
        }
    });
    gx
}

/// Gradient of the inputs, given the weights and the gradient of the output of [`forward_pooled`].
pub fn input_grad_pooled<R: Real>(
    conv: &Conv,
    windows: &Windows,
    choices: &[u8],
    w: &[R],
    gy: &[R],
) -> Vec<R> {
    let (c_out, choices_len) = (conv.shape.c_out, windows.count() * conv.pixel_out());
    input_grad_of_events(conv, w, gy, c_out * windows.count(), |gy, first| {
        windows.events(gy, c_out, |frame| frames(choices, choices_len, first + frame, 1))
    })
}

/// `events(gy, first)` finds the nonzero gradients of the convolution's output in frames from `first` on.
fn input_grad_of_events<R: Real>(
    conv: &Conv,
    w: &[R],
    gy: &[R],
    gy_len: usize,
    events: impl Fn(&[R], usize) -> Events<R> + Sync,
) -> Vec<R> {
    let (shape, links) = (&conv.shape, conv.by_output());
    let (pixel, len) = (shape.pixel(shape.c_in), links.frame_len);
    let kernels = layout::taps_first(shape, w, links.width);
    let mut gx = vec![R::ZERO; gy.len() / gy_len * shape.in_len()];
    par::for_row_chunks(&mut gx, shape.in_len(), FRAMES, |first, gx| {
        let step = frames_together(&kernels);
        let mut rows = Aligned::zeros(step.min(gx.len() / shape.in_len()) * len);
        for (i, gx) in gx.chunks_mut(step * shape.in_len()).enumerate() {
            let n_frames = gx.len() / shape.in_len();
            let (first, rows) = (first + i * step, &mut rows[..n_frames * len]);
            rows.fill(R::ZERO);
            events::scatter(links, &events(frames(gy, gy_len, first, n_frames), first), &kernels, rows);
            for (rows, gx) in rows.chunks(len).zip(gx.chunks_mut(shape.in_len())) {
                layout::transpose(rows, pixel, [shape.plane(), shape.c_in], gx, shape.plane());
            }
        }
    });
    gx
}

/// Products of nonzero inputs with weights, and products of a dense engine.
pub fn synops<S: Scalar>(conv: &Conv, x: &[S]) -> (u64, u64) {
    let (shape, links, plane) = (&conv.shape, conv.by_input(), conv.shape.plane());
    let fan_out: Vec<u64> = (0..plane).map(|i| (links.taps(i) * shape.group_out()) as u64).collect();
    let effective = x
        .chunks(plane)
        .map(|p| p.iter().zip(&fan_out).filter(|(v, _)| !v.is_zero()).map(|(_, &n)| n).sum::<u64>());
    let dense = (x.len() / plane) as u64 * fan_out.iter().sum::<u64>();
    (effective.sum(), dense)
}

fn frames<S>(x: &[S], len: usize, first: usize, n: usize) -> &[S] {
    &x[first * len..(first + n) * len]
}

/// Frames that are worked on together: one where all kernels stay in the first-level caches; else some, so that the
/// kernel of a channel is fetched once for all of them.
fn frames_together<S>(kernels: &[S]) -> usize {
    if size_of_val(kernels) <= KERNEL_BYTES { 1 } else { FRAMES }
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

#[cfg(test)]
mod tests;
