//! The event path where many events meet one output: the sums of a column of outputs slide down the frame in registers.

use super::events::Scratch;
use super::layout::Rows;
use super::{ConvShape, Windows, layout};
use crate::kernels::aligned::Aligned;
use crate::kernels::number::Number;
use crate::kernels::simd::{Slide, slides};
use crate::scalar::Real;
use crate::vectorized;
use std::ops::Range;

/// Events for each pixel of a frame from which on it pays to sort them.
const EVENTS: f64 = 0.5;

/// Whether this path is faster than adding kernel after kernel for frames of so many nonzero numbers.
///
/// The choice, which decides the order of summation, is the same with any instruction set.
#[allow(clippy::cast_precision_loss, reason = "an average against a threshold")]
pub(super) fn pays(shape: &ConvShape, pixel: usize, n_nonzero: usize, n_frames: usize) -> bool {
    let numbers =
        (shape.c_in * shape.kernel[1] + shape.input[1] + shape.padding[1]) * shape.kernel[0] * pixel;
    fits(shape, pixel)
        && u32::try_from(numbers).is_ok()
        && n_nonzero as f64 >= EVENTS * (n_frames * shape.plane()) as f64
}

/// Whether sums of `width` numbers for each row of a kernel can slide: without strides, dilation or groups, in the registers of
/// AVX-512.
pub(super) fn fits(shape: &ConvShape, width: usize) -> bool {
    let plain = shape.stride == [1, 1] && shape.dilation == [1, 1] && shape.groups == 1;
    plain && slides(shape.kernel[0], width)
}

/// Weights as `[C_in][kw][kh, from the last to the first][pixel]`.
pub(super) fn kernels<S: Number>(shape: &ConvShape, w: &[S], pixel: usize) -> Aligned<S> {
    let ([kh, kw], taps) = (shape.kernel, shape.taps());
    let mut kernels = Aligned::zeros(shape.c_in * kh * kw * pixel);
    for (i, to) in kernels.chunks_mut(pixel).enumerate() {
        let [c, kx, ky] = [i / (kh * kw), i / kh % kw, kh - 1 - i % kh];
        let of_tap = w[(c * kh + ky) * kw + kx..].iter().step_by(taps);
        to.iter_mut().zip(of_tap).for_each(|(to, &w)| *to = w);
    }
    kernels
}

/// What windows chose in a column of them, in memory that is taken once.
#[derive(Debug, Default)]
pub(super) struct Chosen<R> {
    starts: Vec<u32>,
    values: Vec<R>,
    /// For each entry of each window the end of what was chosen there; the first entry is zero.
    ends: Vec<usize>,
    steps: Vec<Range<usize>>,
    zeros: Vec<R>,
}

/// The columns of an output.
pub(super) struct Columns {
    /// Height and number.
    size: [usize; 2],
    /// For each pixel of the input, where the kernels of its column begin beside those of the first column of the output.
    origins: Vec<usize>,
    /// For each column the pixels that it meets at each step down the padded input.
    met: Vec<Vec<Range<usize>>>,
}

impl Columns {
    /// The first ones, of `size = [height, number]`, with so many numbers a pixel.
    pub(super) fn new(shape: &ConvShape, size: [usize; 2], pixel: usize) -> Self {
        let right = |site: usize| (site % shape.input[1] + shape.padding[1]) * shape.kernel[0] * pixel;
        let met = (0..size[1]).map(|x| met(shape, size[0], x).collect()).collect();
        Self { size, origins: (0..shape.plane()).map(right).collect(), met }
    }
}

vectorized! {
    /// Writes these columns of the convolution of the events of each frame to `rows` `[F][positions][pixel]`; all begin with
    /// `bias` `[pixel]`.
    pub(super) fn forward[S: Number](
        lanes; shape: &ConvShape, columns: &Columns, scratch: &mut Scratch<S>, kernels: &[S], bias: &[S], rows: &mut [S],
    ) {
        let ([h, w], [kh, kw], pixel) = (columns.size, shape.kernel, bias.len());
        let Scratch { events, by_site, steps, .. } = scratch;
        for (frame, rows) in rows.chunks_mut(h * w * pixel).enumerate() {
            let planes = frame * shape.c_in..(frame + 1) * shape.c_in;
            by_site.sort(events, (planes, shape.plane()), |plane, site| plane * kh * kw * pixel + columns.origins[site]);
            let (values, starts) = by_site.all();
            for (x, met) in columns.met.iter().enumerate() {
                steps.clear();
                steps.extend(met.iter().map(|sites| by_site.range(sites.clone())));
                let back = layout::to_u32(x * kh * pixel);
                let (steps, skipped) = (&*steps, kh - 1);
                let slide =
                    Slide { kernels, starts, values, back, steps, taps: kh, skipped, adds: false, bias };
                lanes.slide(&slide, (&mut rows[x * pixel..], w * pixel));
            }
        }
    }
}

vectorized! {
    /// Adds to the rows of an input frame the kernels of the entries that windows chose, times their numbers:
    /// `chosen` `[windows][pixel]` and the choices.
    ///
    /// `kernels` `[C_out][kh][kw · C_in and zeros up to whole registers]`; the grid of the rows has margins for what reaches into
    /// the padding.
    pub(super) fn backward[R: Real](
        lanes; shape: &ConvShape, windows: &Windows, chosen: (&[R], &[u8]), kernels: &[R], room: &mut Chosen<R>, rows: Rows<&mut [R]>,
    ) {
        let ([down, across], [kh, kw]) = (windows.size, windows.kernel);
        let (taps, n, pixel) = (shape.kernel[0], kh * kw, chosen.0.len() / windows.count());
        let (kernel_len, to_next_row) = (kernels.len() / shape.c_out, rows.grid.pitch * rows.pixel);
        let Chosen { starts, values, ends, steps, zeros } = room;
        zeros.resize(kernel_len / taps, R::ZERO);
        for x in 0..across {
            starts.clear();
            values.clear();
            ends.clear();
            ends.push(0);
            for window in (x..windows.count()).step_by(across) {
                let at = window * pixel..(window + 1) * pixel;
                let (best, choices) = (&chosen.0[at.clone()], &chosen.1[at]);
                for k in (0..=u8::MAX).take(n) {
                    lanes.append_chosen(best, choices, k, kernel_len, starts, values);
                    ends.push(starts.len());
                }
            }
            for column in 0..kw {
                let of_row = |row: usize| row / kh * n + row % kh * kw + column;
                steps.clear();
                steps.extend((0..down * kh).map(|row| ends[of_row(row)]..ends[of_row(row) + 1]));
                // Behind the last row of the output the sums of as many rows of the input as a kernel has are complete.
                steps.resize(shape.input[0] + shape.padding[0], 0..0);
                let (starts, values, steps, bias, skipped) = (&*starts, &*values, &*steps, &*zeros, shape.padding[0]);
                let slide = Slide { kernels, starts, values, back: 0, steps, taps, skipped, adds: true, bias };
                lanes.slide(&slide, (&mut rows.numbers[(x * kw + column) * rows.pixel..], to_next_row));
            }
        }
    }
}

/// For each row of the padded input the pixels that meet column `x` of the output, which has `height` rows.
fn met(shape: &ConvShape, height: usize, x: usize) -> impl Iterator<Item = Range<usize>> {
    let ([h, w], [kh, kw], [py, px]) = (shape.input, shape.kernel, shape.padding);
    let columns = x.saturating_sub(px)..(x + kw).saturating_sub(px).min(w);
    (0..height + kh - 1).map(move |row| match row.checked_sub(py) {
        Some(y) if y < h => y * w + columns.start.min(columns.end)..y * w + columns.end,
        _ => 0..0,
    })
}
