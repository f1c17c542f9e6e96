//! From spikes to sums of weights.

use super::dense;
use super::events::Room;
use super::outputs::Outputs;
use super::pool::{join_windows, pool_currents, pool_spikes};
use super::rows::Rows;
use super::scatter;
use crate::model::{Layer, Synapses};
use crate::num::index;
use crate::simd::Widest;
use crate::weights::Sum;

/// The spikes that a layer meets, and where they are prepared.
pub(super) struct Spikes<'a> {
    /// Those that come in.
    pub(super) source: &'a [u8],
    /// The layer's own of the step before.
    pub(super) before: &'a [u8],
    /// Room for pooled ones.
    pub(super) gathered: &'a mut [u8],
    /// Room for a list of their places.
    pub(super) room: Room<'a>,
}

/// The sums of the weights that the spikes meet, for each neuron: those that come in, and the neurons' own of the step
/// before. `rows` are the codes of both, where they were laid out; `narrow` is room for sums that fit 16 bits.
pub(super) fn accumulate<'c>(
    widest: Widest,
    layer: &Layer<'_>,
    rows: [Option<Rows<'_>>; 2],
    spikes: Spikes<'_>,
    narrow: Option<&mut [i16]>,
    currents: &'c mut [i32],
) -> &'c mut [i32] {
    widest.run(
        (spikes, narrow, currents),
        #[inline(always)]
        move |(spikes, narrow, currents)| match narrow {
            Some(narrow) => sums(layer, rows, spikes, narrow).widened(currents),
            None => sums(layer, rows, spikes, currents).compacted(),
        },
    )
}

#[inline(always)]
fn sums<'c, S: Sum>(
    layer: &Layer<'_>,
    [rows, own_rows]: [Option<Rows<'_>>; 2],
    Spikes { source, before, gathered, mut room }: Spikes<'_>,
    currents: &'c mut [S],
) -> Outputs<'c, S> {
    let frame = match layer.gather {
        None => source,
        Some(pool) => {
            let gathered = &mut gathered[..layer.gathered.n()];
            pool_spikes(pool, layer.input, layer.gathered, source, gathered);
            gathered
        }
    };
    let outputs = match rows {
        Some(Rows { slide: Some(slide), blocks, .. }) => {
            slide.add(layer, blocks, frame, room.words, currents)
        }
        _ => Outputs::compact(add_synapses(layer, rows, frame, &mut room, currents)),
    };
    let Some(weights) = layer.recurrent else { return outputs };
    let sums = outputs.compacted();
    match own_rows {
        Some(rows) => dense::add_rows(rows, before, &mut room, sums),
        None => dense::add_packed(weights, before, sums),
    }
    Outputs::compact(sums)
}

/// The sums of what comes in, output by output, then pooled.
#[inline(always)]
fn add_synapses<'c, S: Sum>(
    layer: &Layer<'_>,
    rows: Option<Rows<'_>>,
    frame: &[u8],
    room: &mut Room<'_>,
    currents: &'c mut [S],
) -> &'c mut [S] {
    let (pooled, sums) = currents.split_at_mut(layer.pool.map_or(0, |_| layer.neurons.n()));
    let sums = &mut sums[..layer.currents.n()];
    sums.fill(S::default());
    match (layer.synapses, rows) {
        (Synapses::Dense(_), Some(rows)) => dense::add_rows(rows, frame, room, sums),
        (Synapses::Dense(weights), None) => dense::add_packed(weights, frame, sums),
        (Synapses::Conv(conv, weights), _) => scatter::add_packed(layer, conv, weights, frame, sums),
        (Synapses::Sum(pool, weight), _) => join_windows(
            pool,
            [layer.gathered, layer.currents],
            frame,
            sums,
            #[inline(always)]
            |sum: S, value: u8| sum.plus(S::low(weight.wrapping_mul(value.into()))),
        ),
    }
    match layer.pool {
        None => sums,
        Some(pool) => {
            pool_currents(pool, [layer.currents, layer.neurons], sums, pooled);
            pooled
        }
    }
}

/// Calls `f(place, value)` for every value that is not zero; eight zeros at a time cost one comparison.
#[inline(always)]
pub(super) fn for_each_event(frame: &[u8], mut f: impl FnMut(usize, u8)) {
    for (k, eight) in frame.chunks(8).enumerate() {
        let mut left = match *eight {
            [a, b, c, d, e, f, g, h] => u64::from_le_bytes([a, b, c, d, e, f, g, h]),
            _ => eight.iter().rev().fold(0, |word, &value| word << 8 | u64::from(value)),
        };
        while left != 0 {
            let at = left.trailing_zeros() / 8;
            let [value, ..] = (left >> (8 * at)).to_le_bytes();
            f(8 * k + index(at), value);
            left &= !(0xff << (8 * at));
        }
    }
}
