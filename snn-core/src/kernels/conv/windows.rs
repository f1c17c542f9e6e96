//! Max-pooling of channels-last frames, in windows side by side.

use super::layout::Rows;
use super::links::{Grid, Links};
use super::{ConvShape, Part};
use crate::kernels::number::Number;
use crate::kernels::simd::Taps;
use crate::scalar::Real;
use crate::vectorized;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Numbers that a window may have: their indices are bytes.
const MOST: usize = 256;

/// Windows side by side over the output of a convolution; what is left over at the edges belongs to none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Windows from top to bottom and from left to right.
    pub(super) size: [usize; 2],
    /// Height and width of a window.
    pub(super) kernel: [usize; 2],
    /// The output of the convolution.
    output: Grid,
}

impl Windows {
    /// Windows of this height and width on the output of a convolution.
    ///
    /// # Panics
    /// If a window has no or more than 256 numbers, or does not fit.
    #[must_use]
    pub fn new(shape: &ConvShape, kernel: [usize; 2]) -> Self {
        let [h, w] = shape.output();
        let fits =
            (1..=h).contains(&kernel[0]) && (1..=w).contains(&kernel[1]) && kernel[0] * kernel[1] <= MOST;
        assert!(fits, "windows of {kernel:?} on frames of {h} x {w}");
        Self { size: [h / kernel[0], w / kernel[1]], kernel, output: Grid::packed([h, w]) }
    }

    /// Number of windows.
    #[must_use]
    pub fn count(&self) -> usize {
        self.size[0] * self.size[1]
    }

    /// The windows that lie in rows of the output.
    pub(super) fn in_rows(&self, rows: &Range<usize>) -> Range<usize> {
        let above = |row: usize| (row / self.kernel[0]).min(self.size[0]) * self.size[1];
        above(rows.start)..above(rows.end)
    }

    /// The part of the output that windows cover.
    pub(super) fn part(&self) -> Part {
        Part { size: std::array::from_fn(|i| self.size[i] * self.kernel[i]), unit: self.kernel[0] }
    }

    /// For each row of the windows `of`: the index of its first one among them, and the pixel that this begins at, counted from
    /// that of the first row of windows.
    #[inline(always)]
    fn rows(&self, of: &Range<usize>, grid: Grid) -> impl Iterator<Item = (usize, usize)> {
        let height = self.kernel[0];
        (0..of.len()).step_by(self.size[1]).enumerate().map(move |(y, i)| (i, grid.row(y * height)))
    }

    /// Calls `visit(i, first)` for each of the windows `of`, the i-th of which begins at pixel `first`, counted from that of the
    /// first row of windows.
    #[inline(always)]
    fn for_each(&self, of: &Range<usize>, grid: Grid, mut visit: impl FnMut(usize, usize)) {
        for (i, row) in self.rows(of, grid) {
            for x in 0..self.size[1] {
                visit(i + x, row + x * self.kernel[1]);
            }
        }
    }

    /// Distance of each pixel of a window from its first, row by row, in numbers.
    #[inline(always)]
    fn taps<'a>(&self, grid: Grid, pixel: usize, room: &'a mut [usize; MOST]) -> &'a [usize] {
        let [kh, kw] = self.kernel;
        for (i, tap) in room[..kh * kw].iter_mut().enumerate() {
            *tap = (i / kw * grid.pitch + i % kw) * pixel;
        }
        &room[..kh * kw]
    }

    /// The greatest number of each window in `rows`, the first of equals, and its index in the window: `[windows][pixel]`, the
    /// latter with zeros up to their own stride.
    pub(super) fn choose<S: Number>(
        &self,
        rows: &Rows<&[S]>,
        best: &mut [S],
        choices: &mut [MaybeUninit<u8>],
    ) {
        choose(self, rows, best, choices);
    }

    /// The chosen number of each window in `rows`.
    pub(super) fn pick<R: Real>(&self, rows: &Rows<&[R]>, choices: &[u8], chosen: &mut [R]) {
        pick(self, rows, choices, chosen);
    }

    /// Puts each number of `best` `[windows][pixel]` where it was chosen, and zeros elsewhere in its window.
    pub(super) fn spread<S: Number>(&self, best: &[S], choices: &[u8], rows: Rows<&mut [S]>) {
        spread(self, best, choices, rows);
    }

    /// Adds to a frame `rows` the kernels of the chosen entries, times the numbers of `best` `[windows][pixel]`.
    ///
    /// `links` lead from positions to `rows`, `kernels` are `[channels][kernel]`.
    pub(super) fn scatter<R: Real>(
        &self,
        best: &[R],
        choices: &[u8],
        links: &Links,
        kernels: &[R],
        rows: &mut [R],
    ) {
        scatter(self, best, choices, links, kernels, rows);
    }
}

vectorized! {
    fn choose[S: Number](
        lanes; windows: &Windows, rows: &Rows<&[S]>, best: &mut [S], choices: &mut [MaybeUninit<u8>],
    ) {
        let (of, pixel) = (windows.in_rows(&rows.band), rows.pixel);
        let mut room = [0; MOST];
        let (stride, taps) =
            (choices.len() / of.len().max(1), windows.taps(rows.grid, pixel, &mut room));
        let (n, at) = (windows.size[1], Taps { of_first: taps, step: windows.kernel[1] * pixel, pixel });
        for (i, first) in windows.rows(&of, rows.grid) {
            let choices = (&mut choices[i * stride..][..n * stride], stride);
            lanes.choose(&rows.numbers[first * pixel..], &at, &mut best[i * pixel..][..n * pixel], choices);
        }
    }
}

vectorized! {
    fn pick[R: Real](lanes; windows: &Windows, rows: &Rows<&[R]>, choices: &[u8], chosen: &mut [R]) {
        let (of, pixel) = (windows.in_rows(&rows.band), rows.pixel);
        let mut room = [0; MOST];
        let (stride, taps) =
            (choices.len() / of.len().max(1), windows.taps(rows.grid, pixel, &mut room));
        windows.for_each(&of, rows.grid, #[inline(always)] |i, first| {
            let (chosen, choices) = (&mut chosen[i * pixel..][..pixel], &choices[i * stride..][..pixel]);
            lanes.pick(&rows.numbers[first * pixel..], choices, taps, chosen);
        });
    }
}

vectorized! {
    fn spread[S: Number](lanes; windows: &Windows, best: &[S], choices: &[u8], rows: Rows<&mut [S]>) {
        let (of, pixel) = (windows.in_rows(&rows.band), rows.pixel);
        let mut room = [0; MOST];
        let (stride, taps) =
            (choices.len() / of.len().max(1), windows.taps(rows.grid, pixel, &mut room));
        let (n, at) = (windows.size[1], Taps { of_first: taps, step: windows.kernel[1] * pixel, pixel });
        for (i, first) in windows.rows(&of, rows.grid) {
            let choices = (&choices[i * stride..][..n * stride], stride);
            lanes.spread(&best[i * pixel..][..n * pixel], choices, &at, &mut rows.numbers[first * pixel..]);
        }
    }
}

vectorized! {
    fn scatter[R: Real](
        lanes; windows: &Windows, best: &[R], choices: &[u8], links: &Links, kernels: &[R], rows: &mut [R],
    ) {
        let (pixel, n) = (best.len() / windows.count(), links.channels / links.groups);
        let (mut starts, mut values) = (Vec::new(), Vec::new());
        let mut room = [0; MOST];
        let taps = windows.taps(windows.output, 1, &mut room);
        windows.for_each(&(0..windows.count()), windows.output, #[inline(always)] |i, first| {
            for group in 0..links.groups {
                let own = i * pixel + group * n..i * pixel + (group + 1) * n;
                let (best, choices) = (&best[own.clone()], &choices[own]);
                let kernels = &kernels[group * n * links.kernel_len..];
                for (k, &tap) in (0..=u8::MAX).zip(taps) {
                    starts.clear();
                    values.clear();
                    lanes.append_chosen(best, choices, k, links.kernel_len, &mut starts, &mut values);
                    for p in if starts.is_empty() { &[] } else { links.of(first + tap) } {
                        let (kernel, frame) = (p.kernel as usize, group * links.width + p.frame as usize);
                        let [kernel_stride, stride] = links.strides;
                        let kernels = (&kernels[kernel..], kernel_stride);
                        lanes.add_many((&values, &starts), kernels, (&mut rows[frame..], stride), p.size());
                    }
                }
            }
        });
    }
}
