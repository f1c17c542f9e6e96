//! Pools of spikes and of currents.

use super::rows::Grid;
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

/// Pools the sums in `from`, of which nothing is kept.
#[inline(always)]
pub(super) fn pool_currents<S: Sum>(pool: Pool, grid: Grid, output: Shape, from: &mut [S], to: &mut [S]) {
    let from = &mut from[grid.start..];
    match pool.kind {
        PoolKind::Max => pool_with(pool, [grid.padded, output], from, to, S::LEAST, S::max),
        PoolKind::Sum => pool_with(pool, [grid.padded, output], from, to, S::default(), S::plus),
    }
}

/// Pools by `join`, of which `none` is the neutral element.
#[inline(always)]
fn pool_with<S: Sum>(
    pool: Pool,
    shapes: [Shape; 2],
    from: &mut [S],
    to: &mut [S],
    none: S,
    join: impl Fn(S, S) -> S,
) {
    if pool.kernel[0] <= pool.stride[0] && pool.kernel[1] <= pool.stride[1] {
        return pool_disjoint(pool, shapes, from, to, join);
    }
    to.fill(none);
    join_windows(pool, shapes, from, to, join);
}

/// Windows that share no place: first whole rows are joined, then what lies side by side in them.
#[inline(always)]
fn pool_disjoint<S: Sum>(
    pool: Pool,
    [input, output]: [Shape; 2],
    from: &mut [S],
    to: &mut [S],
    join: impl Fn(S, S) -> S,
) {
    let [kh, kw] = pool.kernel.map(index);
    let [down, right] = pool.stride.map(index);
    let channels = index(input.channels);
    let row = index(input.width) * channels;
    for (rows, to) in from.chunks_mut(down * row).zip(to.chunks_exact_mut(index(output.width) * channels)) {
        let (joined, others) = rows.split_at_mut(row);
        others.chunks_exact(row).take(kh - 1).for_each(|other| fold(joined, other, &join));
        for (window, to) in joined.chunks(right * channels).zip(to.chunks_exact_mut(channels)) {
            let (first, others) = window.split_at(channels);
            match others.chunks_exact(channels).next() {
                Some(second) if kw > 1 => {
                    let taps = first.iter().zip(second);
                    to.iter_mut().zip(taps).for_each(|(to, (&a, &b))| *to = join(a, b));
                }
                _ => to.copy_from_slice(first),
            }
            others.chunks_exact(channels).take(kw - 1).skip(1).for_each(|tap| fold(to, tap, &join));
        }
    }
}

/// Joins each of `to` with its counterpart.
#[inline(always)]
fn fold<S: Sum>(to: &mut [S], from: &[S], join: &impl Fn(S, S) -> S) {
    to.iter_mut().zip(from).for_each(|(to, &from)| *to = join(*to, from));
}
