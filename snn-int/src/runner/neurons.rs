//! The neurons of a layer in a step, the scores, and spikes on their way.

use super::synapses::for_each_event;
use crate::lanes::{Kept, Lanes, Neurons, Numbers};
use crate::model::Layer;
use crate::neuron::State;
use crate::num::{count, index};
use crate::simd::Widest;

pub(super) fn write_rest(layer: &Layer<'_>, states: &mut [u8]) {
    let neuron = layer.cell.neuron;
    let rest = layer.cell.rest().mem.to_le_bytes();
    let n_bytes = neuron.store.width().n_bytes();
    let (membranes, currents) = states.split_at_mut(n_bytes * layer.neurons.n());
    match (n_bytes, rest) {
        (1, [a, ..]) => membranes.fill(a),
        (2, [a, b, ..]) => membranes.as_chunks_mut().0.fill([a, b]),
        _ => membranes.as_chunks_mut().0.fill(rest),
    }
    currents.fill(0);
}

/// The neurons' step: `sums` become the membranes at the spike test. `lanes` are the neurons without branches, if they have such
/// a form, with the numbers of all layers.
pub(super) fn update(
    widest: Widest,
    layer: &Layer<'_>,
    lanes: Option<(&Lanes, &[Numbers])>,
    sums: &mut [i32],
    states: &mut [u8],
    emitted: &mut [u8],
) {
    let n_bytes = layer.cell.neuron.store.width().n_bytes();
    let (membranes, currents) = states.split_at_mut(n_bytes * sums.len());
    widest.run(
        (sums, (membranes, currents), emitted),
        #[inline(always)]
        |(sums, states, emitted)| match n_bytes {
            1 => update_as::<1>(layer, lanes, sums, states, emitted),
            2 => update_as::<2>(layer, lanes, sums, states, emitted),
            _ => update_as::<4>(layer, lanes, sums, states, emitted),
        },
    );
}

#[inline(always)]
fn update_as<const N: usize>(
    layer: &Layer<'_>,
    lanes: Option<(&Lanes, &[Numbers])>,
    sums: &mut [i32],
    (membranes, currents): (&mut [u8], &mut [u8]),
    emitted: &mut [u8],
) where
    [u8; N]: Kept,
{
    let channels = index(layer.neurons.channels);
    let membranes = membranes.as_chunks_mut::<N>().0;
    if let Some((lanes, numbers)) = lanes {
        return lanes.update(numbers, Neurons { sums, membranes, emitted });
    }
    let current_bytes = layer.cell.neuron.current.map_or(0, |current| current.width.n_bytes());
    for first in (0..sums.len()).step_by(channels) {
        for c in 0..channels {
            let i = first + c;
            let current = &mut currents[i * current_bytes..(i + 1) * current_bytes];
            let state = State { mem: membranes[i].wide(), cur: read(current) };
            let fired = layer.cell.step(state, sums[i], layer.channel(c));
            sums[i] = fired.mem;
            emitted[i] = fired.spikes;
            membranes[i] = Kept::low(fired.state.mem);
            current.copy_from_slice(&fired.state.cur.to_le_bytes()[..current_bytes]);
        }
    }
}

/// A current kept in 0, 1, 2 or 4 bytes.
#[inline(always)]
fn read(bytes: &[u8]) -> i32 {
    match *bytes {
        [] => 0,
        [a] => i8::from_le_bytes([a]).into(),
        [a, b] => i16::from_le_bytes([a, b]).into(),
        [a, b, c, d] => i32::from_le_bytes([a, b, c, d]),
        _ => 0,
    }
}

#[inline(always)]
pub(super) fn add_scores(layer: &Layer<'_>, membranes: &[i32], emitted: &[u8], scores: &mut [i64]) {
    let spikes = layer.cell.neuron.firing.is_some();
    for (i, score) in scores.iter_mut().enumerate() {
        let place = layer.neurons.place(i);
        *score += if spikes { i64::from(emitted[place]) } else { i64::from(membranes[place]) };
    }
}

/// Puts spikes on their way and returns those that arrive now. The frame of step `t` is number `t` modulo the number of
/// frames; the one that was read in the step before is emptied for the spikes that take longest.
#[inline(always)]
pub(super) fn delay<'r>(layer: &Layer<'_>, emitted: &[u8], ring: &'r mut [u8], time: u64) -> &'r [u8] {
    let n = emitted.len();
    let n_frames = u64::from(layer.max_delay()) + 1;
    let frame = |t: u64| index(count(usize::try_from(t % n_frames).unwrap_or(0))) * n;
    let read_before = frame(time + n_frames - 1);
    ring[read_before..read_before + n].fill(0);
    for_each_event(emitted, |i, value| {
        let steps = layer.delays[if layer.delays.len() == 1 { 0 } else { i }];
        ring[frame(time + u64::from(steps)) + i] = value;
    });
    let now = frame(time);
    &ring[now..now + n]
}
