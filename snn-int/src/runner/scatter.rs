//! From spikes to sums of weights, spike by spike: each adds the part of the kernel that reaches outputs from its place.

use super::synapses::for_each_event;
use crate::model::{Conv, Layer, Shape};
use crate::num::{count, index};
use crate::weights::{Sum, Weights};

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
