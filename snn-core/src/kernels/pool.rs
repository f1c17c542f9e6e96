//! Max-pooling of frames `[H, W]` in windows side by side.

use crate::scalar::Scalar;
use crate::vectorized;

/// Windows side by side in frames, of at most 256 numbers each; what is left over at the right and at the bottom of a frame
/// belongs to none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SideBySide {
    frame: [usize; 2],
    kernel: [usize; 2],
}

impl SideBySide {
    /// Windows of this height and width, if there are such.
    #[must_use]
    pub fn new(frame: [usize; 2], kernel: [usize; 2]) -> Option<Self> {
        let fits = (0..2).all(|a| (1..=frame[a]).contains(&kernel[a])) && kernel[0] * kernel[1] <= 256;
        fits.then_some(Self { frame, kernel })
    }

    /// Height and width of a frame.
    #[must_use]
    pub fn frame(self) -> [usize; 2] {
        self.frame
    }

    /// Height and width of a window.
    #[must_use]
    pub fn kernel(self) -> [usize; 2] {
        self.kernel
    }

    /// Windows from top to bottom and from left to right.
    #[must_use]
    pub fn output(self) -> [usize; 2] {
        [self.rows(), self.columns()]
    }

    /// Numbers of a frame.
    #[must_use]
    pub fn frame_len(self) -> usize {
        self.frame[0] * self.frame[1]
    }

    /// Windows of a frame.
    #[must_use]
    pub fn count(self) -> usize {
        self.rows() * self.columns()
    }

    /// Numbers that whole windows are made of wherever a multiple of so many begins, through all frames: rows of windows where
    /// these fill a frame, else frames.
    #[must_use]
    pub fn unit(self) -> usize {
        if self.fills_rows() { self.kernel[0] * self.frame[1] } else { self.frame_len() }
    }

    /// Windows of a [`unit`](Self::unit).
    #[must_use]
    pub fn per_unit(self) -> usize {
        if self.fills_rows() { self.columns() } else { self.count() }
    }

    fn fills_rows(self) -> bool {
        self.frame[0].is_multiple_of(self.kernel[0])
    }

    fn rows(self) -> usize {
        self.frame[0] / self.kernel[0]
    }

    fn columns(self) -> usize {
        self.frame[1] / self.kernel[1]
    }

    /// Where the windows of row `row` begin; rows of windows are counted through all frames.
    #[inline(always)]
    fn start(self, row: usize) -> usize {
        let (frame, y) = (row / self.rows(), row % self.rows());
        frame * self.frame_len() + y * self.kernel[0] * self.frame[1]
    }
}

vectorized! {
    /// The greatest number of each window of some frames, or units of these, by its value, the first of equals in row-major order, and its index
    /// in the window.
    ///
    /// # Panics
    /// If the slices do not hold the same windows.
    pub fn choose[S: Scalar](windows: SideBySide, x: &[S], best: &mut [S], choices: &mut [u8]) {
        let width = windows.columns();
        for (row, (best, choices)) in best.chunks_mut(width).zip(choices.chunks_mut(width)).enumerate() {
            let both = best.iter_mut().zip(choices);
            if windows.kernel == [2, 2] {
                let rows = &x[windows.start(row)..];
                let [upper, lower] = [&rows[..2 * width], &rows[windows.frame[1]..][..2 * width]];
                let (upper, lower) = (upper.as_chunks::<2>().0, lower.as_chunks::<2>().0);
                for (((best, choice), a), b) in both.zip(upper).zip(lower) {
                    (*best, *choice) = greatest([a[0], a[1], b[0], b[1]]);
                }
            } else {
                choose_any(windows, row, x, both);
            }
        }
    }
}

/// The first of the greatest numbers, and its index.
#[inline(always)]
fn greatest<S: Scalar>(x: [S; 4]) -> (S, u8) {
    let mut best = (x[0], 0);
    for (k, x) in (1..).zip(&x[1..]) {
        best = if x.value() > best.0.value() { (*x, k) } else { best };
    }
    best
}

/// A row of windows of any size.
#[inline(always)]
fn choose_any<'a, S: Scalar>(
    windows: SideBySide,
    row: usize,
    x: &[S],
    to: impl Iterator<Item = (&'a mut S, &'a mut u8)>,
) {
    let [kh, kw] = windows.kernel;
    let rows = &x[windows.start(row)..];
    for (column, (best, choice)) in to.enumerate() {
        let window = (0..kh).flat_map(|ky| &rows[ky * windows.frame[1] + column * kw..][..kw]);
        for (k, &x) in (0..=u8::MAX).zip(window) {
            if k == 0 || x.value() > best.value() {
                (*best, *choice) = (x, k);
            }
        }
    }
}

vectorized! {
    /// Writes the number of each window to the chosen place, and zeros elsewhere in the window. What belongs to no window stays
    /// as it is.
    ///
    /// # Panics
    /// If the slices do not hold the same windows.
    pub fn spread[S: Scalar](windows: SideBySide, best: &[S], choices: &[u8], to: &mut [S]) {
        let ([kh, kw], width) = (windows.kernel, windows.columns());
        for (row, (best, choices)) in best.chunks(width).zip(choices.chunks(width)).enumerate() {
            let rows = &mut to[windows.start(row)..];
            for ky in 0..kh {
                let to = &mut rows[ky * windows.frame[1]..][..kw * width];
                if kw == 2 {
                    let (left, right) = (low(2 * ky), low(2 * ky + 1));
                    for ((to, &best), &choice) in to.as_chunks_mut::<2>().0.iter_mut().zip(best).zip(choices) {
                        to[0] = if choice == left { best } else { S::ZERO };
                        to[1] = if choice == right { best } else { S::ZERO };
                    }
                } else {
                    for ((to, &best), &choice) in to.chunks_mut(kw).zip(best).zip(choices) {
                        for (kx, to) in to.iter_mut().enumerate() {
                            *to = if choice == low(ky * kw + kx) { best } else { S::ZERO };
                        }
                    }
                }
            }
        }
    }
}

/// An index in a window, as it is kept.
#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "windows have at most 256 numbers")]
fn low(k: usize) -> u8 {
    k as u8
}
