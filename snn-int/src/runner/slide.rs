//! From spikes to sums of weights where a kernel slides down a column of outputs: the sums that a spike reaches lie in
//! registers, and each leaves them when no further spike can reach it.
//!
//! A block of sums is 64 channels of a column, or two columns of up to 32 channels, or four of up to 16. What the spikes of a
//! row add is looked up among rows of codes that hold, for each place of the window and each channel, all taps of the
//! kernel's column, for all outputs of the block.

use super::events::Events;
use super::outputs::Outputs;
use super::pool::{is_disjoint, least, pool_currents};
use super::rows::{BLOCK, Block, add_row};
#[cfg(feature = "alloc")]
use crate::model::Conv;
use crate::model::{Layer, Pool, PoolKind, Shape};
#[cfg(feature = "alloc")]
use crate::num::count;
use crate::num::index;
use crate::weights::Sum;
#[cfg(feature = "alloc")]
use crate::weights::Weights;
#[cfg(feature = "alloc")]
use alloc::vec::Vec;

/// Most taps whose sums are kept in registers.
const MAX_TAPS: usize = 7;

/// Fewest sums that a column takes of a block.
const LEAST_LANES: usize = 16;

/// How a convolution slides. Lengths along a row are in inputs, channel by channel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slide {
    input: Shape,
    /// Columns of outputs in a block.
    columns: usize,
    /// Taps of a column of the kernel that one row of inputs meets: the blocks of a row of codes.
    pub(super) taps: usize,
    /// Rows of inputs from one row of outputs to the next.
    stride: usize,
    /// Rows above the input.
    above: usize,
    /// Inputs of a row.
    row: usize,
    /// Zeros before a row.
    before: usize,
    /// From the first input that a group of columns sees in a row to the first that the next one does.
    step: usize,
    /// Inputs of a row that a group of columns sees.
    n_places: usize,
    /// Groups of columns that are needed.
    n_groups: usize,
    /// Rows of outputs that are needed.
    height: usize,
    /// What the outputs are joined by.
    pool: Pool,
    /// Outputs, joined.
    output: Shape,
}

impl Slide {
    /// How this convolution slides, if it can: of weights of up to 8 bits, without groups and dilation, with strides no longer than
    /// the kernel, and where rows do not take far more memory than the model says.
    #[cfg(feature = "alloc")]
    pub(super) fn of(layer: &Layer<'_>, conv: Conv, weights: Weights<'_>) -> Option<Self> {
        let input = layer.gathered;
        let [kh, kw] = conv.kernel.map(index);
        let [down, right] = conv.stride.map(index);
        let [channels, n_out] = [input.channels, conv.channels].map(index);
        let is_plain = conv.groups == 1 && conv.dilation == [1, 1] && weights.bits() <= 8;
        if !is_plain || down > kh || right > kw {
            return None;
        }
        let columns = BLOCK / n_out.next_power_of_two().clamp(LEAST_LANES, BLOCK);
        let (pool, output) = match layer.pool {
            Some(pool) if is_disjoint(pool) => (pool, layer.neurons),
            _ => (Pool { kind: PoolKind::Max, kernel: [1, 1], stride: [1, 1] }, layer.currents),
        };
        let needed = |all: u32, pooled: u32, stride: u32| index(all.min(pooled.saturating_mul(stride)));
        let slide = Self {
            input,
            columns,
            taps: kh.div_ceil(down),
            stride: down,
            above: index(conv.padding[0]),
            row: index(input.width) * channels,
            before: index(conv.padding[1]) * channels,
            step: columns * right * channels,
            n_places: (kw + (columns - 1) * right) * channels,
            n_groups: needed(layer.currents.width, output.width, pool.stride[1]).div_ceil(columns),
            height: needed(layer.currents.height, output.height, pool.stride[0]),
            pool,
            output,
        };
        let codes = [BLOCK, slide.taps, n_out.div_ceil(BLOCK), down, slide.n_places];
        let n_codes: u64 = codes.into_iter().map(|n| u64::from(count(n))).product();
        let n_weights = u64::from(count(conv.n_weights(input.channels)));
        (slide.taps <= MAX_TAPS && n_codes <= 16 * n_weights + (1 << 16)).then_some(slide)
    }

    /// Sums of a row of outputs, and as many behind it as those of its last output may reach too far.
    fn pitch(&self) -> usize {
        Shape { height: 1, ..self.output }.n() + BLOCK
    }

    /// Sums that it needs room for.
    #[cfg(feature = "alloc")]
    pub(super) fn n_sums(&self, neurons: Shape) -> usize {
        let height = index(self.output.height);
        let later = if self.output == neurons { 0 } else { neurons.n() };
        height * self.pitch() + later.max(height * BLOCK)
    }

    /// The rows of codes: for each block of channels, residue of a row below the stride, and place in the window.
    #[cfg(feature = "alloc")]
    pub(super) fn lay_out(&self, conv: Conv, weights: Weights<'_>, all: &mut Vec<Block>) {
        let [kh, kw] = conv.kernel.map(index);
        let [channels, n_out] = [self.input.channels, conv.channels].map(index);
        let right = index(conv.stride[1]);
        let rows = (0..n_out.div_ceil(BLOCK))
            .flat_map(|block| (0..self.stride).map(move |residue| (block, residue)));
        for (block, residue) in rows {
            for (place, tap) in (0..self.n_places).flat_map(|place| (0..self.taps).map(move |t| (place, t))) {
                let (x, c) = (place / channels, place % channels);
                let ky = residue + (self.taps - 1 - tap) * self.stride;
                let number = |lane: usize| {
                    let lanes = BLOCK / self.columns;
                    let (column, o) = (lane / lanes, block * BLOCK + lane % lanes);
                    let kx = x.checked_sub(column * right).filter(|&kx| kx < kw)?;
                    (o < n_out && ky < kh).then(|| ((c * kh + ky) * kw + kw - 1 - kx) * n_out + o)
                };
                all.push(Block::of(weights, number));
            }
        }
    }

    /// The sums of the weights that the spikes of `frame` meet, pooled.
    #[inline(always)]
    pub(super) fn add<'c, S: Sum>(
        &self,
        layer: &Layer<'_>,
        rows: &[Block],
        frame: &[u8],
        words: &mut [u64],
        sums: &'c mut [S],
    ) -> Outputs<'c, S> {
        let events = Events::of(frame, words);
        let height = index(self.output.height);
        let (outputs, later) = sums.split_at_mut(height * self.pitch());
        let column = &mut later.as_chunks_mut::<BLOCK>().0[..height];
        if events.came_once {
            self.slide::<S, true>(rows, events, column, outputs);
        } else {
            self.slide::<S, false>(rows, events, column, outputs);
        }
        let outputs = Outputs { sums: outputs, row: self.pitch() - BLOCK, pitch: self.pitch(), height };
        match layer.pool {
            Some(pool) if !is_disjoint(pool) => {
                let later = &mut later[..layer.neurons.n()];
                pool_currents(pool, [self.output, layer.neurons], outputs.compacted(), later);
                Outputs::compact(later)
            }
            _ => outputs,
        }
    }

    #[inline(always)]
    fn slide<S: Sum, const ONCE: bool>(
        &self,
        rows: &[Block],
        events: Events<'_>,
        column: &mut [[S; BLOCK]],
        outputs: &mut [S],
    ) {
        match self.taps {
            1 => self.slide_taps::<S, 1, ONCE>(rows, events, column, outputs),
            2 => self.slide_taps::<S, 2, ONCE>(rows, events, column, outputs),
            3 => self.slide_taps::<S, 3, ONCE>(rows, events, column, outputs),
            4 => self.slide_taps::<S, 4, ONCE>(rows, events, column, outputs),
            5 => self.slide_taps::<S, 5, ONCE>(rows, events, column, outputs),
            6 => self.slide_taps::<S, 6, ONCE>(rows, events, column, outputs),
            _ => self.slide_taps::<S, MAX_TAPS, ONCE>(rows, events, column, outputs),
        }
    }

    /// All blocks of channels, all groups of columns.
    #[inline(always)]
    fn slide_taps<S: Sum, const TAPS: usize, const ONCE: bool>(
        &self,
        rows: &[Block],
        events: Events<'_>,
        column: &mut [[S; BLOCK]],
        outputs: &mut [S],
    ) {
        let rows = rows.as_chunks::<TAPS>().0;
        // The last block first: what its outputs reach too far is overwritten by those of the first.
        for (block, rows) in rows.chunks_exact(self.stride * self.n_places).enumerate().rev() {
            for group in 0..self.n_groups {
                self.slide_down::<S, TAPS, ONCE>(rows, events, group, column);
                self.join(block, group, column, outputs);
            }
        }
    }

    /// The sums of a group of columns, those of a window's rows joined.
    #[inline(always)]
    fn slide_down<S: Sum, const TAPS: usize, const ONCE: bool>(
        &self,
        rows: &[[Block; TAPS]],
        events: Events<'_>,
        group: usize,
        column: &mut [[S; BLOCK]],
    ) {
        let [kernel, down] = [self.pool.kernel[0], self.pool.stride[0]].map(index);
        let view = self.view(group);
        let mut sums = [[S::default(); BLOCK]; TAPS];
        for bottom in 0..TAPS - 1 {
            self.add_inputs::<S, TAPS, ONCE>(rows, events, view, bottom, &mut sums);
            sums = moved_on(&sums);
        }
        for (y, joined) in column.iter_mut().enumerate() {
            let mut all = [least(self.pool); BLOCK];
            for row in y * down..((y + 1) * down).min(self.height) {
                self.add_inputs::<S, TAPS, ONCE>(rows, events, view, row + TAPS - 1, &mut sums);
                if row - y * down < kernel {
                    join_all(self.pool.kind, &mut all, &sums[0]);
                }
                sums = moved_on(&sums);
            }
            *joined = all;
        }
    }

    /// What a group of columns sees of a row.
    #[inline(always)]
    fn view(&self, group: usize) -> View {
        let seen = group * self.step;
        let inside = |place: usize| place.saturating_sub(self.before).min(self.row);
        View { first: seen.wrapping_sub(self.before), from: inside(seen), to: inside(seen + self.n_places) }
    }

    /// Adds what a group of columns sees in the rows of inputs that the output whose last row is `bottom` meets last.
    #[inline(always)]
    fn add_inputs<S: Sum, const TAPS: usize, const ONCE: bool>(
        &self,
        rows: &[[Block; TAPS]],
        events: Events<'_>,
        View { first, from, to }: View,
        bottom: usize,
        sums: &mut [[S; BLOCK]; TAPS],
    ) {
        for residue in 0..self.stride {
            let y = (bottom * self.stride + residue).wrapping_sub(self.above);
            if y < index(self.input.height) {
                let start = y * self.row;
                let rows = &rows[residue * self.n_places..][..self.n_places];
                let first = start.wrapping_add(first);
                events.for_each_between(
                    start + from,
                    start + to,
                    #[inline(always)]
                    |place| {
                        if let Some(row) = rows.get(place.wrapping_sub(first)) {
                            let factor = if ONCE { S::from(1) } else { S::low(events.value(place).into()) };
                            add_row::<S, TAPS, ONCE>(row, factor, sums);
                        }
                    },
                );
            }
        }
    }

    /// Joins the sums of a group of columns with the outputs whose windows they lie in. Lanes beyond the last channel end up where
    /// those of the next output come.
    #[inline(always)]
    fn join<S: Sum>(&self, block: usize, group: usize, column: &[[S; BLOCK]], outputs: &mut [S]) {
        match self.columns {
            1 => self.join_lanes::<S, BLOCK>(block, group, column, outputs),
            2 => self.join_lanes::<S, { BLOCK / 2 }>(block, group, column, outputs),
            _ => self.join_lanes::<S, LEAST_LANES>(block, group, column, outputs),
        }
    }

    #[inline(always)]
    fn join_lanes<S: Sum, const LANES: usize>(
        &self,
        block: usize,
        group: usize,
        column: &[[S; BLOCK]],
        outputs: &mut [S],
    ) {
        let [kernel, right] = [self.pool.kernel[1], self.pool.stride[1]].map(index);
        for part in 0..self.columns {
            let x = group * self.columns + part;
            let (window, nth) = (x / right, x % right);
            if nth >= kernel || window >= index(self.output.width) {
                continue;
            }
            let first = window * index(self.output.channels) + block * BLOCK;
            for (row, outputs) in column.iter().zip(outputs.chunks_exact_mut(self.pitch())) {
                let Some(to) = outputs.get_mut(first..first + LANES) else { continue };
                let Some(to) = to.first_chunk_mut::<LANES>() else { continue };
                let Some(from) = row.as_chunks::<LANES>().0.get(part) else { continue };
                if nth == 0 {
                    *to = *from;
                } else {
                    join_all(self.pool.kind, to, from);
                }
            }
        }
    }
}

/// The part of a row that a group of columns sees, in places of the row.
#[derive(Clone, Copy)]
struct View {
    /// Where it begins, in the margin too.
    first: usize,
    /// Its bounds in the row.
    from: usize,
    to: usize,
}

/// The sums one row on: the first is left behind.
#[inline(always)]
fn moved_on<S: Sum, const TAPS: usize>(sums: &[[S; BLOCK]; TAPS]) -> [[S; BLOCK]; TAPS] {
    let mut next = [[S::default(); BLOCK]; TAPS];
    next[..TAPS - 1].copy_from_slice(&sums[1..]);
    next
}

/// Joins sums one by one.
#[inline(always)]
fn join_all<S: Sum, const N: usize>(kind: PoolKind, to: &mut [S; N], from: &[S; N]) {
    let mut joined = *to;
    match kind {
        PoolKind::Max => {
            for (to, &from) in joined.iter_mut().zip(from) {
                *to = S::max(*to, from);
            }
        }
        PoolKind::Sum => {
            for (to, &from) in joined.iter_mut().zip(from) {
                *to = to.plus(from);
            }
        }
    }
    *to = joined;
}
