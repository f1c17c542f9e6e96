//! From spikes to sums of weights.

use super::dense;
use super::pool::{join_windows, pool_currents, pool_spikes};
use super::rows::{Grid, Rows};
use super::scatter;
use crate::model::{Layer, Synapses};
use crate::num::index;
use crate::weights::Sum;

/// The sums of the weights that the spikes meet, for each neuron: those that come in, and the neurons' own of the step
/// before. `rows` are the codes of both, where they were laid out.
#[inline(always)]
pub(super) fn accumulate<'c, S: Sum>(
    layer: &Layer<'_>,
    [rows, own_rows]: [Option<Rows<'_>>; 2],
    [source, before]: [&[u8]; 2],
    scratch: &mut [u8],
    list: &mut [u32],
    currents: &'c mut [S],
) -> &'c mut [S] {
    let frame = match layer.gather {
        None => source,
        Some(pool) => {
            let gathered = &mut scratch[..layer.gathered.n()];
            pool_spikes(pool, layer.input, layer.gathered, source, gathered);
            gathered
        }
    };
    let (pooled, sums) = currents.split_at_mut(layer.pool.map_or(0, |_| layer.neurons.n()));
    let grid = add_synapses(layer, rows, frame, list, sums);
    let sums = match layer.pool {
        None => grid.compacted(sums),
        Some(pool) => {
            pool_currents(pool, grid, layer.neurons, sums, pooled);
            pooled
        }
    };
    match (layer.recurrent, own_rows) {
        (Some(_), Some(rows)) => dense::add_rows(rows, before, list, sums),
        (Some(weights), None) => dense::add_packed(weights, before, sums),
        (None, _) => {}
    }
    sums
}

/// Sets the sums of what comes in, and returns where they lie.
#[inline(always)]
fn add_synapses<S: Sum>(
    layer: &Layer<'_>,
    rows: Option<Rows<'_>>,
    frame: &[u8],
    list: &mut [u32],
    sums: &mut [S],
) -> Grid {
    let grid = Grid::of(layer, rows.is_some());
    let sums = &mut sums[..grid.n_sums()];
    sums.fill(S::default());
    match (layer.synapses, rows) {
        (Synapses::Dense(_), Some(rows)) => dense::add_rows(rows, frame, list, sums),
        (Synapses::Dense(weights), None) => dense::add_packed(weights, frame, sums),
        (Synapses::Conv(conv, _), Some(rows)) => scatter::add_rows(layer, conv, rows, frame, grid, sums),
        (Synapses::Conv(conv, weights), None) => scatter::add_packed(layer, conv, weights, frame, sums),
        (Synapses::Sum(pool, weight), _) => join_windows(
            pool,
            [layer.gathered, layer.currents],
            frame,
            sums,
            #[inline(always)]
            |sum: S, value: u8| sum.plus(S::low(weight.wrapping_mul(value.into()))),
        ),
    }
    grid
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
