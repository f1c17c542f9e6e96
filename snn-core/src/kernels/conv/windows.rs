//! Max-pooling of channels-last frames, in windows side by side.

use super::ConvShape;
use crate::kernels::events::Events;
use crate::scalar::Real;
use crate::vectorized;

/// Windows side by side over the output of a convolution; what is left over at the edges belongs to none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Position of each window's first number.
    first: Vec<u32>,
    /// Distance of each number of a window from its first, row by row.
    taps: Vec<u32>,
}

impl Windows {
    /// Windows of this height and width on the output of a convolution.
    ///
    /// # Panics
    /// If a window has no or more than 256 numbers, or does not fit.
    #[must_use]
    #[allow(
        clippy::cast_possible_truncation,
        reason = "`Links` refuses frames of more numbers than u32 counts"
    )]
    pub fn new(shape: &ConvShape, kernel: [usize; 2]) -> Self {
        let [h, w] = shape.output();
        let fits =
            (1..=h).contains(&kernel[0]) && (1..=w).contains(&kernel[1]) && kernel[0] * kernel[1] <= 256;
        assert!(fits, "windows of {kernel:?} on frames of {h} x {w}");
        let grid = |n: [usize; 2], step: [usize; 2]| {
            (0..n[0])
                .flat_map(move |y| (0..n[1]).map(move |x| (y * step[0] * w + x * step[1]) as u32))
                .collect()
        };
        Self { first: grid([h / kernel[0], w / kernel[1]], kernel), taps: grid(kernel, [1, 1]) }
    }

    /// Number of windows.
    #[must_use]
    pub fn count(&self) -> usize {
        self.first.len()
    }

    /// Where the pixels of a window begin, counted from its first.
    fn offsets(&self, pixel: usize) -> Vec<usize> {
        self.taps.iter().map(|&tap| tap as usize * pixel).collect()
    }

    /// The greatest number of each window of `rows` `[positions][pixel]`, the first of equals, and its index in the window.
    pub(super) fn choose<R: Real>(&self, rows: &[R], pixel: usize, best: &mut [R], choices: &mut [u8]) {
        choose(self, rows, pixel, best, choices);
    }

    /// The chosen number of each window of `rows` `[positions][pixel]`.
    pub(super) fn pick<R: Real>(&self, rows: &[R], pixel: usize, choices: &[u8], chosen: &mut [R]) {
        let (stride, taps) = (choices.len() / self.count(), self.offsets(pixel));
        let windows = self.first.iter().zip(chosen.chunks_mut(pixel)).zip(choices.chunks(stride));
        for ((&first, chosen), choices) in windows {
            let rows = &rows[first as usize * pixel..];
            for (channel, (chosen, &choice)) in chosen.iter_mut().zip(choices).enumerate() {
                *chosen = rows[taps[usize::from(choice)] + channel];
            }
        }
    }

    /// Puts each number of `best` `[windows][pixel]` where it was chosen, and zeros elsewhere in its window.
    pub(super) fn spread<R: Real>(&self, best: &[R], pixel: usize, choices: &[u8], rows: &mut [R]) {
        spread(self, best, pixel, choices, rows);
    }

    /// The nonzero numbers of `gy` `[F][C][windows]` as events at the chosen positions.
    pub(super) fn events<'a, R: Real>(
        &self,
        gy: &[R],
        n_channels: usize,
        choices: impl Fn(usize) -> &'a [u8],
    ) -> Events<R> {
        let n = self.count();
        let mut events = Events::with_capacity(gy.len());
        for (frame, gy) in gy.chunks(n_channels * n).enumerate() {
            let choices = choices(frame);
            for (channel, gy) in gy.chunks(n).enumerate() {
                let chosen = choices[channel..].iter().step_by(choices.len() / n);
                for ((&g, &first), &tap) in gy.iter().zip(&self.first).zip(chosen) {
                    if !g.is_zero() {
                        events.push(first + self.taps[usize::from(tap)], g);
                    }
                }
                events.end_plane();
            }
        }
        events
    }
}

vectorized! {
    fn choose[R: Real](lanes; windows: &Windows, rows: &[R], pixel: usize, best: &mut [R], choices: &mut [u8]) {
        let (stride, taps) = (choices.len() / windows.count(), windows.offsets(pixel));
        for ((&first, best), choices) in windows.first.iter().zip(best.chunks_mut(pixel)).zip(choices.chunks_mut(stride)) {
            lanes.choose(&rows[first as usize * pixel..], &taps, best, &mut choices[..pixel]);
        }
    }
}

vectorized! {
    fn spread[R: Real](lanes; windows: &Windows, best: &[R], pixel: usize, choices: &[u8], rows: &mut [R]) {
        let (stride, taps) = (choices.len() / windows.count(), windows.offsets(pixel));
        for ((&first, best), choices) in windows.first.iter().zip(best.chunks(pixel)).zip(choices.chunks(stride)) {
            lanes.spread(best, &choices[..pixel], &taps, &mut rows[first as usize * pixel..]);
        }
    }
}
