//! From spikes to sums of weights.

use crate::counters;
use crate::model::{Conv, Layer, Pool, PoolKind, Shape, Synapses};
use crate::num::{count, index};
use crate::weights::{Sum, Weights};

/// The sums of the weights that the spikes meet, for each neuron: those that come in, and the neurons' own of the step
/// before.
pub(super) fn accumulate<'c, S: Sum>(
    layer: &Layer<'_>,
    [source, before]: [&[u8]; 2],
    scratch: &mut [u8],
    currents: &'c mut [S],
) -> &'c mut [S] {
    let (sums, rest) = currents.split_at_mut(layer.currents.n());
    sums.fill(S::default());
    let frame = match layer.gather {
        None => source,
        Some(pool) => {
            let gathered = &mut scratch[..layer.gathered.n()];
            pool_spikes(pool, layer.input, layer.gathered, source, gathered);
            gathered
        }
    };
    match layer.synapses {
        Synapses::Dense(weights) => add_dense(weights, frame, sums),
        Synapses::Conv(conv, weights) => add_conv(layer, conv, weights, frame, sums),
        Synapses::Sum(pool, weight) => add_windows(layer, pool, weight, frame, sums),
    }
    let sums = match layer.pool {
        None => sums,
        Some(pool) => {
            let pooled = &mut rest[..layer.neurons.n()];
            pool_currents(pool, layer.currents, layer.neurons, sums, pooled);
            pooled
        }
    };
    if let Some(weights) = layer.recurrent {
        add_dense(weights, before, sums);
    }
    sums
}

/// Calls `f(place, value)` for every value that is not zero; eight zeros at a time cost one comparison.
#[inline]
pub(super) fn for_each_event(frame: &[u8], mut f: impl FnMut(usize, u8)) {
    let (words, rest) = frame.as_chunks::<8>();
    for (k, word) in words.iter().enumerate() {
        let mut left = u64::from_le_bytes(*word);
        while left != 0 {
            let at = left.trailing_zeros() / 8;
            f(8 * k + index(at), word[index(at)]);
            left &= !(0xff << (8 * at));
        }
    }
    for (k, &value) in rest.iter().enumerate().filter(|&(_, &value)| value != 0) {
        f(8 * words.len() + k, value);
    }
}

/// Adds the rows of a dense layer, four at a time. Rows of one or two bits that came once are summed by counting bits.
fn add_dense<S: Sum>(weights: Weights<'_>, frame: &[u8], sums: &mut [S]) {
    let n = sums.len();
    let counts = weights.bits() <= 2 && n * usize::from(weights.bits()) >= 64;
    let most = if counts { counters::MAX_ROWS } else { 4 };
    let mut rows = [0; counters::MAX_ROWS];
    let mut n_rows = 0;
    for_each_event(frame, |place, value| {
        if value > 1 {
            return weights.add(place * n, value.into(), sums);
        }
        rows[n_rows] = count(place);
        n_rows += 1;
        if n_rows == most {
            add_rows(weights, &rows[..n_rows], sums);
            n_rows = 0;
        }
    });
    add_rows(weights, &rows[..n_rows], sums);
}

fn add_rows<S: Sum>(weights: Weights<'_>, rows: &[u32], sums: &mut [S]) {
    if rows.len() >= counters::MIN_ROWS {
        return counters::add_rows(weights.packed(), weights.bits(), rows, sums);
    }
    let (fours, rest) = rows.as_chunks::<4>();
    fours.iter().for_each(|four| weights.add_four(four.map(|row| index(row) * sums.len()), sums));
    rest.iter().for_each(|&row| weights.add(index(row) * sums.len(), 1, sums));
}

/// Adds, for each event, the part of the kernel that reaches outputs from its place.
fn add_conv<S: Sum>(layer: &Layer<'_>, conv: Conv, weights: Weights<'_>, frame: &[u8], sums: &mut [S]) {
    let (channels, width) = (index(layer.gathered.channels), index(layer.gathered.width));
    let group_in = channels / index(conv.groups);
    for_each_event(frame, |place, value| {
        let (pixel, c) = (place / channels, place % channels);
        let event =
            ConvEvent { y: pixel / width, x: pixel % width, c, group: c / group_in, value: value.into() };
        event.add(layer, conv, weights, sums);
    });
}

/// An event on its way through a convolution.
struct ConvEvent {
    y: usize,
    x: usize,
    c: usize,
    group: usize,
    value: i32,
}

/// The output that a tap of the kernel reaches from an input, if there is one.
#[inline]
fn reached(at: usize, padding: u32, tap: usize, dilation: u32, stride: u32, end: u32) -> Option<usize> {
    let from = (at + index(padding)).checked_sub(tap * index(dilation))?;
    let stride = index(stride);
    let out = if stride == 1 { from } else { from / stride };
    (out < index(end) && out * stride == from).then_some(out)
}

impl ConvEvent {
    #[inline]
    fn add<S: Sum>(&self, layer: &Layer<'_>, conv: Conv, weights: Weights<'_>, sums: &mut [S]) {
        let out = layer.currents;
        let [kh, kw] = conv.kernel.map(index);
        let [channels, width] = [index(out.channels), index(out.width)];
        let is_run = conv.stride[1] == 1 && conv.dilation[1] == 1 && conv.groups == 1;
        for ky in 0..kh {
            let row = reached(self.y, conv.padding[0], ky, conv.dilation[0], conv.stride[0], out.height);
            let Some(oy) = row else { continue };
            let first = (self.c * kh + ky) * kw;
            if is_run {
                self.add_run(conv, width, [first, oy], channels, weights, sums);
                continue;
            }
            let group = channels / index(conv.groups);
            for kx in 0..kw {
                let column =
                    reached(self.x, conv.padding[1], kx, conv.dilation[1], conv.stride[1], out.width);
                let Some(ox) = column else { continue };
                let at = (oy * width + ox) * channels + self.group * group;
                weights.add((first + kw - 1 - kx) * group, self.value, &mut sums[at..at + group]);
            }
        }
    }

    /// With stride 1 the outputs that a row of the kernel reaches lie side by side.
    #[inline]
    fn add_run<S: Sum>(
        &self,
        conv: Conv,
        width: usize,
        [first, oy]: [usize; 2],
        channels: usize,
        weights: Weights<'_>,
        sums: &mut [S],
    ) {
        let kw = index(conv.kernel[1]);
        let right = self.x + index(conv.padding[1]); // the output that the first tap reaches
        let skipped = (kw - 1).saturating_sub(right); // outputs left of the frame
        let left = (right + skipped + 1).saturating_sub(kw);
        let end = (right + 1).min(width);
        if left < end {
            let sums = &mut sums[(oy * width + left) * channels..(oy * width + end) * channels];
            weights.add((first + skipped) * channels, self.value, sums);
        }
    }
}

/// Calls `f(from, to)` for each place and each output of a window: the first of the channels of both.
fn for_each_tap(pool: Pool, input: Shape, output: Shape, mut f: impl FnMut(usize, usize)) {
    let [kh, kw] = pool.kernel.map(index);
    let [sh, sw] = pool.stride.map(index);
    let channels = index(input.channels);
    for oy in 0..index(output.height) {
        for ox in 0..index(output.width) {
            let to = (oy * index(output.width) + ox) * channels;
            for ky in 0..kh {
                for kx in 0..kw {
                    f(((oy * sh + ky) * index(input.width) + ox * sw + kx) * channels, to);
                }
            }
        }
    }
}

fn pool_spikes(pool: Pool, input: Shape, output: Shape, from: &[u8], to: &mut [u8]) {
    let channels = index(input.channels);
    to.fill(0);
    for_each_tap(pool, input, output, |i, o| {
        for (to, &from) in to[o..o + channels].iter_mut().zip(&from[i..i + channels]) {
            *to = match pool.kind {
                PoolKind::Max => from.max(*to),
                PoolKind::Sum => from.saturating_add(*to),
            };
        }
    });
}

fn pool_currents<S: Sum>(pool: Pool, input: Shape, output: Shape, from: &[S], to: &mut [S]) {
    let channels = index(input.channels);
    to.fill(if pool.kind == PoolKind::Max { S::LEAST } else { S::default() });
    for_each_tap(pool, input, output, |i, o| {
        let pairs = to[o..o + channels].iter_mut().zip(&from[i..i + channels]);
        match pool.kind {
            PoolKind::Max => pairs.for_each(|(to, &from)| *to = from.max(*to)),
            PoolKind::Sum => pairs.for_each(|(to, &from)| *to = to.plus(from)),
        }
    });
}

fn add_windows<S: Sum>(layer: &Layer<'_>, pool: Pool, weight: i32, frame: &[u8], sums: &mut [S]) {
    let channels = index(layer.gathered.channels);
    for_each_tap(pool, layer.gathered, layer.currents, |i, o| {
        for (sum, &value) in sums[o..o + channels].iter_mut().zip(&frame[i..i + channels]) {
            *sum = sum.plus(S::low(weight.wrapping_mul(value.into())));
        }
    });
}
