//! A convolution of sparse frames that is computed band by band whenever a band is needed, and never is in memory as a whole.

use super::events::{self, Band, Scratch};
use super::layout::{self, Rows};
use super::links::{Grid, KernelRows, Links};
use super::windows::Windows;
use super::{Conv, ConvShape, KERNEL_BYTES, Part, has_few};
use crate::kernels::aligned::Aligned;
use crate::kernels::channels;
use crate::kernels::pattern::Pattern;
use crate::scalar::Scalar;
use std::ops::Range;

/// Bytes of what is kept of a band, which stays in a second-level cache.
const KEPT_BYTES: usize = 512 << 10;

/// Frames of few nonzero numbers, and what they are convolved with.
#[allow(missing_debug_implementations, reason = "as large as the frames")]
pub struct Banded<'a, S> {
    shape: &'a ConvShape,
    links: &'a Links,
    kernel_rows: &'a KernelRows,
    windows: Option<Windows>,
    x: &'a [S],
    pattern: &'a Pattern,
    kernels: Aligned<S>,
    /// What each pixel starts from.
    bias: Vec<S>,
    bands: Vec<Range<usize>>,
}

/// The events of some of the frames.
#[derive(Debug)]
pub struct Listed<S>(Scratch<S>);

/// Room for a band, and for what kernels reach beyond it.
#[allow(missing_debug_implementations, reason = "as large as a band")]
pub struct Room<S> {
    numbers: Aligned<S>,
    beyond: usize,
}

impl<S: Scalar> Room<S> {
    /// The first `n` numbers of a band.
    #[must_use]
    pub fn first(&mut self, n: usize) -> &mut [S] {
        &mut self.numbers[self.beyond..][..n]
    }

    /// Makes all zero that is behind the first `n` numbers.
    pub fn clear_behind(&mut self, n: usize) {
        self.numbers[self.beyond + n..].fill(S::ZERO);
    }
}

impl Conv {
    /// Whether it can be computed band by band, if frames have few nonzero numbers.
    #[must_use]
    pub fn has_bands(&self) -> bool {
        self.by_input().kernel_rows.is_some()
    }
}

impl<'a, S: Scalar> Banded<'a, S> {
    /// Of `x` `[F, C_in, H, W]` with this pattern, whose rows are channels of frames, and of `w` and `b` as of
    /// [`forward`](super::forward), if that suits them. Max-pooling has windows of this height and width. Of each band a caller
    /// keeps so many sets of numbers at a time.
    #[must_use]
    pub fn new(
        conv: &'a Conv,
        pooled: Option<[usize; 2]>,
        (x, pattern): (&'a [S], &'a Pattern),
        [w, b]: [&[S]; 2],
        kept: usize,
    ) -> Option<Self> {
        let (shape, links, pixel) = (&conv.shape, conv.by_input(), conv.pixel_out());
        let kernel_rows = links.kernel_rows.as_ref()?;
        if !has_few(pattern) || size_of_val(w) > KERNEL_BYTES {
            return None;
        }
        let part = Part { size: shape.output(), unit: pooled.map_or(1, |[height, _]| height) };
        let bands = part.bands::<S>(links.grid.pitch * pixel, KEPT_BYTES / kept.max(1)).collect();
        let mut bias = vec![S::ZERO; pixel];
        bias[..b.len()].copy_from_slice(b);
        let (windows, kernels) =
            (pooled.map(|size| Windows::new(shape, size)), layout::by_input_channel(shape, w, links.width));
        Some(Self { shape, links, kernel_rows, windows, x, pattern, kernels, bias, bands })
    }

    /// Number of bands.
    #[must_use]
    pub fn count(&self) -> usize {
        self.bands.len()
    }

    /// Places of a channel in a frame of the output.
    #[must_use]
    pub fn positions(&self) -> usize {
        self.shape.positions()
    }

    /// Numbers of a pixel: channels last, and behind them zeros.
    #[must_use]
    pub fn pixel(&self) -> usize {
        self.bias.len()
    }

    /// Numbers of a band, of which some belong to no pixel.
    #[must_use]
    pub fn len(&self, band: usize) -> usize {
        self.grid(band).len() * self.pixel()
    }

    fn grid(&self, band: usize) -> Grid {
        self.links.grid.of_rows(self.bands[band].len())
    }

    /// Where in a band the numbers of pixels are: a run for each row.
    pub fn runs(&self, band: usize) -> impl Iterator<Item = Range<usize>> {
        let (grid, pixel) = (self.grid(band), self.pixel());
        (0..grid.size[0]).map(move |y| grid.row(y) * pixel..(grid.row(y) + grid.size[1]) * pixel)
    }

    /// Room for any band.
    #[must_use]
    pub fn room(&self) -> Room<S> {
        let len = if self.bands.is_empty() { 0 } else { self.len(0) };
        let beyond = self.kernel_rows.beyond;
        Room { numbers: Aligned::zeros(len + 2 * beyond), beyond }
    }

    /// Lists the events of these frames.
    #[must_use]
    pub fn list(&self, frames: impl Iterator<Item = usize>) -> Listed<S> {
        let (mut scratch, n) = (Scratch::default(), self.shape.c_in);
        scratch.events.list(self.x, self.pattern, frames.flat_map(|frame| frame * n..(frame + 1) * n));
        Listed(scratch)
    }

    fn band(&self, band: usize, first: usize) -> Band<'_> {
        let (links, kernel_rows, rows) = (self.links, self.kernel_rows, self.bands[band].clone());
        Band { links, kernel_rows, rows, len: self.len(band), first }
    }

    /// Convolves a band of a listed frame. Numbers between pixels have no meaning.
    pub fn convolve(&self, band: usize, (frames, k): (&mut Listed<S>, usize), room: &mut Room<S>) {
        let (of, len) = (self.band(band, k), self.len(band));
        layout::fill_pixels(&self.bias, room.first(len));
        events::scatter_to_band(
            &of,
            &mut frames.0,
            &self.kernels,
            &mut room.numbers[..len + 2 * self.kernel_rows.beyond],
        );
    }

    /// No gradient of the weights yet.
    #[must_use]
    pub fn no_grad(&self) -> Vec<S> {
        vec![S::ZERO; self.kernels.len()]
    }

    /// Adds to the gradient of the weights, in an order of its own, the products of a band of a listed frame with a gradient of
    /// the output, which is zero between pixels and beyond the band.
    pub fn add_weight_grad(
        &self,
        band: usize,
        (frames, k): (&mut Listed<S>, usize),
        room: &Room<S>,
        grad: &mut [S],
    ) {
        let of = self.band(band, k);
        let numbers = &room.numbers[..of.frame_len()];
        events::gather_by_kernel_rows(&of, &mut frames.0, numbers, grad);
    }

    /// A gradient of the weights as `[C_out, C_in, kh, kw]`.
    #[must_use]
    pub fn weights(&self, grad: &[S]) -> Vec<S> {
        layout::of_input_channels(self.shape, grad, self.links.width)
    }

    /// Adds to `sums` `[C_in, kh, kw]` what each tap meets at all positions of `n` listed frames.
    pub fn add_taps(&self, frames: &Listed<S>, n: usize, sums: &mut [S]) {
        let (shape, size) = (self.shape, self.shape.output());
        let meets = |axis: usize, at: usize| {
            (0..shape.kernel[axis]).filter(move |&tap| {
                (at + shape.padding[axis]).checked_sub(tap).is_some_and(|output| output < size[axis])
            })
        };
        for frame in 0..n {
            for (c, sums) in sums.chunks_mut(shape.window_len()).enumerate() {
                for (site, value) in frames.0.events.pairs(frame * shape.c_in + c) {
                    let [y, x] = [site as usize / shape.input[1], site as usize % shape.input[1]];
                    for row in meets(0, y) {
                        meets(1, x).for_each(|tap| sums[row * shape.kernel[1] + tap] += value);
                    }
                }
            }
        }
    }

    /// How many numbers a band chooses among its own, if it is pooled.
    #[must_use]
    pub fn n_choices(&self, band: usize) -> usize {
        self.windows.as_ref().map_or(0, |w| w.in_rows(&self.bands[band]).len() * self.pixel())
    }

    /// Numbers of an output frame of a channel.
    fn plane(&self) -> usize {
        self.windows.as_ref().map_or_else(|| self.positions(), Windows::count)
    }

    /// Room for what a band chooses.
    #[must_use]
    pub fn best(&self) -> Vec<S> {
        vec![S::ZERO; (0..self.count()).map(|band| self.n_choices(band)).max().unwrap_or(0)]
    }

    /// Writes what lies in `rows`, pooled, to the band's place in a frame `[C_out, H', W']`, and what its windows chose.
    pub fn put(&self, band: usize, rows: &[S], best: &mut [S], choices: &mut [u8], frame: &mut [S]) {
        let (channels, plane) = (self.shape.c_out, self.plane());
        let rows = Rows {
            numbers: rows,
            band: self.bands[band].clone(),
            grid: self.grid(band),
            pixel: self.pixel(),
        };
        let Some(windows) = &self.windows else {
            return layout::channels_first(&rows, channels, layout::as_unwritten(frame));
        };
        let of = windows.in_rows(&rows.band);
        let best = &mut best[..of.len() * rows.pixel];
        windows.choose(&rows, best, layout::as_unwritten(choices));
        layout::transpose(best, rows.pixel, [of.len(), channels], &mut frame[of.start..], plane);
    }

    /// The way back of [`put`](Self::put): writes to `rows` the gradient by what lay there. Numbers of no window stay as they are.
    pub fn take(&self, band: usize, frame: &[S], best: &mut [S], choices: &[u8], rows: &mut [S]) {
        let (channels, plane) = (self.shape.c_out, self.plane());
        let mut rows = Rows {
            numbers: rows,
            band: self.bands[band].clone(),
            grid: self.grid(band),
            pixel: self.pixel(),
        };
        let Some(windows) = &self.windows else {
            return layout::channels_last(frame, channels, &mut rows);
        };
        let of = windows.in_rows(&rows.band);
        let best = &mut best[..of.len() * rows.pixel];
        layout::transpose(&frame[of.start..], plane, [channels, of.len()], best, rows.pixel);
        windows.spread(best, choices, rows);
    }

    /// Adds for each channel the sum and the sum of squares of a band of a listed frame.
    pub fn add_moments(&self, band: usize, room: &mut Room<S>, sums: &mut [[f64; 2]]) {
        let len = self.len(band);
        let mut found = vec![[S::ZERO; 2]; self.pixel()];
        for run in self.runs(band) {
            channels::add_pixels(&room.first(len)[run], &mut found);
        }
        for (sum, found) in sums.iter_mut().zip(found) {
            (0..2).for_each(|k| sum[k] += found[k].to_f64());
        }
    }
}
