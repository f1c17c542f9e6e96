//! Pools of spikes and of currents.

use crate::model::{Pool, PoolKind, Shape};
use crate::num::index;
use crate::weights::Sum;

/// Calls `f(from, to)` for each place and each output of a window: the first of the channels of both.
#[inline(always)]
fn for_each_window(pool: Pool, input: Shape, output: Shape, mut f: impl FnMut(usize, usize)) {
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

/// Joins each output with the places of its window, channel by channel.
#[inline(always)]
pub(super) fn join_windows<A: Copy, B: Copy>(
    pool: Pool,
    [input, output]: [Shape; 2],
    from: &[A],
    to: &mut [B],
    join: impl Fn(B, A) -> B,
) {
    let channels = index(input.channels);
    for_each_window(
        pool,
        input,
        output,
        #[inline(always)]
        |i, o| {
            for (to, &from) in to[o..o + channels].iter_mut().zip(&from[i..i + channels]) {
                *to = join(*to, from);
            }
        },
    );
}

#[inline(always)]
pub(super) fn pool_spikes(pool: Pool, input: Shape, output: Shape, from: &[u8], to: &mut [u8]) {
    to.fill(0);
    match pool.kind {
        PoolKind::Max => join_windows(pool, [input, output], from, to, u8::max),
        PoolKind::Sum => join_windows(pool, [input, output], from, to, u8::saturating_add),
    }
}

/// Whether no place is in two windows.
#[inline(always)]
pub(super) fn is_disjoint(pool: Pool) -> bool {
    pool.kernel[0] <= pool.stride[0] && pool.kernel[1] <= pool.stride[1]
}

/// What changes nothing when it is joined.
#[inline(always)]
pub(super) fn least<S: Sum>(pool: Pool) -> S {
    match pool.kind {
        PoolKind::Max => S::LEAST,
        PoolKind::Sum => S::default(),
    }
}

#[inline(always)]
pub(super) fn pool_currents<S: Sum>(pool: Pool, shapes: [Shape; 2], from: &[S], to: &mut [S]) {
    to.fill(least(pool));
    match pool.kind {
        PoolKind::Max => join_windows(pool, shapes, from, to, S::max),
        PoolKind::Sum => join_windows(pool, shapes, from, to, S::plus),
    }
}
