//! From spikes to sums of weights, spike by spike: each adds the part of the kernel that reaches outputs from its place.

use super::rows::{BLOCK, Grid, Rows};
use super::synapses::for_each_event;
use crate::model::{Conv, Layer, Shape};
use crate::num::{count, index};
use crate::weights::{Sum, Weights, add_bytes, byte};

/// Adds rows of a convolution to sums with margins: the outputs that the taps of a row reach lie side by side, and those beside
/// the frame are summed for nothing.
#[inline(always)]
pub(super) fn add_rows<S: Sum>(
    layer: &Layer<'_>,
    conv: Conv,
    rows: Rows<'_>,
    frame: &[u8],
    grid: Grid,
    sums: &mut [S],
) {
    let (channels, width) = (layer.gathered.channels, layer.gathered.width);
    let [kh, height] = [conv.kernel[0], layer.currents.height].map(index);
    let [row, pixel] = [grid.padded.width * grid.padded.channels, grid.padded.channels].map(index);
    for_each_event(
        frame,
        #[inline(always)]
        |place, value| {
            let (at, c) = (count(place) / channels, count(place) % channels);
            let [y, x] = [at / width + conv.padding[0], at % width + conv.padding[1]];
            // The last outputs that it may reach, and the first taps that reach them.
            let [bottom, right] = [y / conv.stride[0], x / conv.stride[1]].map(index);
            let [first, residue] = [index(y % conv.stride[0]), index(x % conv.stride[1])];
            if right >= index(grid.padded.width) {
                return;
            }
            let up = (bottom + 1).saturating_sub(height); // rows of outputs above the bottom one
            let ky = first + up * index(conv.stride[0]);
            let [from_row, rows_on] =
                [index(c) * kh + ky, index(conv.stride[0])].map(|row| row * index(conv.stride[1]));
            let n_up = kh.saturating_sub(ky).div_ceil(index(conv.stride[0])).min(bottom + 1 - up);
            let mut at = (bottom - up) * row + right * pixel;
            for codes in rows.every(from_row + residue, rows_on).take(n_up) {
                if let Some(sums) = sums.get_mut(at..at + codes.len()) {
                    if value == 1 { add_once(codes, sums) } else { add_bytes(codes, value.into(), sums) }
                }
                at = at.wrapping_sub(row);
            }
        },
    );
}

/// Adds a row of whole blocks. A block is summed in a copy, so that the compiler need not care whether both overlap.
#[inline(always)]
fn add_once<S: Sum>(row: &[u8], sums: &mut [S]) {
    for (sums, codes) in sums.as_chunks_mut::<BLOCK>().0.iter_mut().zip(row.as_chunks::<BLOCK>().0) {
        let mut block = *sums;
        block.iter_mut().zip(*codes).for_each(|(sum, code)| *sum = sum.plus(byte(code)));
        *sums = block;
    }
}

/// Adds the weights of any convolution that the events of a frame meet, from where the model has them.
#[inline(always)]
pub(super) fn add_packed<S: Sum>(
    layer: &Layer<'_>,
    conv: Conv,
    weights: Weights<'_>,
    frame: &[u8],
    sums: &mut [S],
) {
    let (channels, width) = (layer.gathered.channels, layer.gathered.width);
    let group_in = channels / conv.groups;
    let is_run = conv.stride == [1, 1] && conv.dilation == [1, 1] && conv.groups == 1;
    for_each_event(
        frame,
        #[inline(always)]
        |place, value| {
            let (pixel, c) = (count(place) / channels, count(place) % channels);
            let event = Event {
                y: index(pixel / width),
                x: index(pixel % width),
                c: index(c),
                group: index(c / group_in),
                value: value.into(),
            };
            if is_run {
                event.add_runs(layer.currents, conv, weights, sums);
            } else {
                event.add_taps(layer.currents, conv, weights, sums);
            }
        },
    );
}

/// An event on its way through a convolution.
struct Event {
    y: usize,
    x: usize,
    c: usize,
    group: usize,
    value: i32,
}

/// The output that a tap of the kernel reaches from an input, if there is one.
#[inline(always)]
fn reached(at: usize, padding: u32, tap: usize, dilation: u32, stride: u32, end: u32) -> Option<usize> {
    let from = (at + index(padding)).checked_sub(tap * index(dilation))?;
    let stride = index(stride);
    let out = if stride == 1 { from } else { from / stride };
    (out < index(end) && out * stride == from).then_some(out)
}

impl Event {
    /// With stride 1 the outputs that a row of the kernel reaches lie side by side.
    #[inline(always)]
    fn add_runs<S: Sum>(&self, out: Shape, conv: Conv, weights: Weights<'_>, sums: &mut [S]) {
        let [kh, kw] = conv.kernel.map(index);
        let [height, width, channels] = [out.height, out.width, out.channels].map(index);
        let right = self.x + index(conv.padding[1]); // the output that the first tap of a row reaches
        let skipped = (kw - 1).saturating_sub(right); // outputs left of the frame
        let left = (right + skipped + 1).saturating_sub(kw);
        let n = (right + 1).min(width).saturating_sub(left) * channels;
        let bottom = self.y + index(conv.padding[0]); // the output that the first row of the kernel reaches
        for ky in (bottom + 1).saturating_sub(height)..kh.min(bottom + 1) {
            let at = ((bottom - ky) * width + left) * channels;
            let first = ((self.c * kh + ky) * kw + skipped) * channels;
            weights.add(first, self.value, &mut sums[at..at + n]);
        }
    }

    #[inline(always)]
    fn add_taps<S: Sum>(&self, out: Shape, conv: Conv, weights: Weights<'_>, sums: &mut [S]) {
        let [kh, kw] = conv.kernel.map(index);
        let [channels, width] = [index(out.channels), index(out.width)];
        let group = channels / index(conv.groups);
        for ky in 0..kh {
            let row = reached(self.y, conv.padding[0], ky, conv.dilation[0], conv.stride[0], out.height);
            let Some(oy) = row else { continue };
            let first = (self.c * kh + ky) * kw;
            for kx in 0..kw {
                let column =
                    reached(self.x, conv.padding[1], kx, conv.dilation[1], conv.stride[1], out.width);
                let Some(ox) = column else { continue };
                let at = (oy * width + ox) * channels + self.group * group;
                weights.add((first + kw - 1 - kx) * group, self.value, &mut sums[at..at + group]);
            }
        }
    }
}
