//! From spikes to sums of weights where each input meets each output: the rows of weights that the spikes meet are added.

use super::events::{Events, Room, unlisted};
use super::rows::{BLOCK, Rows, add_row};
use super::synapses::for_each_event;
use crate::counters;
use crate::num::{count, index};
use crate::weights::{Sum, Weights};

/// Blocks whose sums lie in registers together.
const TOGETHER: usize = 4;

/// Adds the rows that the spikes meet.
#[inline(always)]
pub(super) fn add_rows<S: Sum>(rows: Rows<'_>, frame: &[u8], room: &mut Room<'_>, sums: &mut [S]) {
    let events = Events::of(frame, room.words);
    let listed = events.list(room.places);
    if events.came_once {
        add_events::<S, true>(rows, listed, sums);
    } else {
        add_events::<S, false>(rows, listed, sums);
    }
}

#[inline(always)]
fn add_events<S: Sum, const ONCE: bool>(rows: Rows<'_>, events: &[u32], sums: &mut [S]) {
    let (many, rest) = sums.as_chunks_mut::<{ TOGETHER * BLOCK }>();
    let n_done = many.len() * TOGETHER;
    for (k, sums) in many.iter_mut().enumerate() {
        add_blocks::<S, TOGETHER, ONCE>(rows, k * TOGETHER, events, sums);
    }
    for (k, sums) in rest.chunks_mut(BLOCK).enumerate() {
        add_blocks::<S, 1, ONCE>(rows, n_done + k, events, sums);
    }
}

/// Adds `N` blocks of each row, from block `first`, to at most as many sums.
#[inline(always)]
fn add_blocks<S: Sum, const N: usize, const ONCE: bool>(
    rows: Rows<'_>,
    first: usize,
    events: &[u32],
    sums: &mut [S],
) {
    let mut blocks = [[S::default(); BLOCK]; N];
    for &event in events {
        let (place, value) = unlisted::<S, ONCE>(event);
        let Some(row) = rows.blocks.get(place * rows.len + first..) else { continue };
        let Some(row) = row.first_chunk::<N>() else { continue };
        add_row::<S, N, ONCE>(row, value, &mut blocks);
    }
    for (sums, block) in sums.chunks_mut(BLOCK).zip(blocks) {
        for (sum, more) in sums.iter_mut().zip(block) {
            *sum = sum.plus(more);
        }
    }
}

/// Adds the rows that the spikes meet from where the model has them, four at a time. Rows of one or two bits that came once are summed by counting bits.
#[inline(always)]
pub(super) fn add_packed<S: Sum>(weights: Weights<'_>, frame: &[u8], sums: &mut [S]) {
    let n = sums.len();
    let counts = weights.bits() <= 2 && n * usize::from(weights.bits()) >= 64;
    let most = if counts { counters::MAX_ROWS } else { 4 };
    let mut rows = [0; counters::MAX_ROWS];
    let mut n_rows = 0;
    for_each_event(
        frame,
        #[inline(always)]
        |place, value| {
            if value > 1 {
                return weights.add(place * n, value.into(), sums);
            }
            rows[n_rows] = count(place);
            n_rows += 1;
            if n_rows == most {
                add_packed_rows(weights, &rows[..n_rows], sums);
                n_rows = 0;
            }
        },
    );
    add_packed_rows(weights, &rows[..n_rows], sums);
}

#[inline(always)]
fn add_packed_rows<S: Sum>(weights: Weights<'_>, rows: &[u32], sums: &mut [S]) {
    if rows.len() >= counters::MIN_ROWS {
        return counters::add_rows(weights.packed(), weights.bits(), rows, sums);
    }
    let (fours, rest) = rows.as_chunks::<4>();
    fours.iter().for_each(|four| weights.add_four(four.map(|row| index(row) * sums.len()), sums));
    rest.iter().for_each(|&row| weights.add(index(row) * sums.len(), 1, sums));
}
