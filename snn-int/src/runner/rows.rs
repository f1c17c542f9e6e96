//! Codes as engines in memory of their own read them: one in a byte, in blocks of a whole vector register.

use super::slide::Slide;
#[cfg(feature = "alloc")]
use crate::model::{Layer, Synapses};
#[cfg(feature = "alloc")]
use crate::num::low_u8;
#[cfg(feature = "alloc")]
use crate::weights::Weights;
use crate::weights::{Sum, byte};
#[cfg(feature = "alloc")]
use alloc::vec::Vec;

/// Codes of a block.
pub(super) const BLOCK: usize = 64;

/// Codes that are added at once.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(super) struct Block([u8; BLOCK]);

/// Adds `factor` times the codes of blocks, or once if that is known.
///
/// Each block is summed in a copy, so that the compiler need not care what overlaps: it keeps them in vector registers.
#[inline(always)]
pub(super) fn add_row<S: Sum, const N: usize, const ONCE: bool>(
    row: &[Block; N],
    factor: S,
    sums: &mut [[S; BLOCK]; N],
) {
    for (sums, codes) in sums.iter_mut().zip(row) {
        let mut block = *sums;
        for (sum, &code) in block.iter_mut().zip(&codes.0) {
            *sum = sum.plus(if ONCE { byte(code) } else { factor.times(byte(code)) });
        }
        *sums = block;
    }
}

/// How the codes of a tensor of up to 8 bits lie in rows: a dense layer has one for each input, with zeros behind the last
/// output, a convolution those of its [`Slide`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// The first block among all.
    start: usize,
    /// Blocks of all rows.
    n: usize,
    /// Blocks of a row.
    len: usize,
    /// How a convolution slides.
    pub(super) slide: Option<Slide>,
}

/// Codes in rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows<'a> {
    /// One row behind the other.
    pub(super) blocks: &'a [Block],
    /// Blocks of a row.
    pub(super) len: usize,
    /// How a convolution slides.
    pub(super) slide: Option<&'a Slide>,
}

impl Layout {
    /// The rows, among all blocks.
    #[inline(always)]
    pub(super) fn rows<'a>(&'a self, all: &'a [Block]) -> Rows<'a> {
        let &Self { start, n, len, ref slide } = self;
        Rows { blocks: all.get(start..start + n).unwrap_or_default(), len, slide: slide.as_ref() }
    }
}

#[cfg(feature = "alloc")]
impl Layout {
    /// Lays out the codes of the synapses behind those in `all`; `None` for synapses that have no such form.
    pub(super) fn of_synapses(layer: &Layer<'_>, all: &mut Vec<Block>) -> Option<Self> {
        match layer.synapses {
            Synapses::Dense(weights) => Self::dense(weights, layer.gathered.n(), layer.currents.n(), all),
            Synapses::Conv(conv, weights) => {
                let slide = Slide::of(layer, conv, weights)?;
                let layout = Self::behind(all, slide.taps, |all| slide.lay_out(conv, weights, all));
                Some(Self { slide: Some(slide), ..layout })
            }
            Synapses::Sum(..) => None,
        }
    }

    /// Lays out the weights between the neurons of a layer.
    pub(super) fn of_recurrent(layer: &Layer<'_>, all: &mut Vec<Block>) -> Option<Self> {
        let n = layer.neurons.n();
        layer.recurrent.and_then(|weights| Self::dense(weights, n, n, all))
    }

    fn dense(weights: Weights<'_>, n: usize, n_out: usize, all: &mut Vec<Block>) -> Option<Self> {
        let len = n_out.div_ceil(BLOCK);
        (weights.bits() <= 8).then(|| {
            Self::behind(all, len, |all| {
                for (row, block) in (0..n).flat_map(|row| (0..len).map(move |block| (row, block))) {
                    let code = |lane: usize| {
                        let o = block * BLOCK + lane;
                        (o < n_out).then_some(row * n_out + o)
                    };
                    all.push(Block::of(weights, code));
                }
            })
        })
    }

    fn behind(all: &mut Vec<Block>, len: usize, lay_out: impl FnOnce(&mut Vec<Block>)) -> Self {
        let start = all.len();
        lay_out(all);
        Self { start, n: all.len() - start, len, slide: None }
    }
}

#[cfg(feature = "alloc")]
impl Block {
    /// The codes whose numbers the lanes have, 0 where they have none.
    pub(super) fn of(weights: Weights<'_>, number: impl Fn(usize) -> Option<usize>) -> Self {
        let code = |lane| number(lane).map_or(0, |i| low_u8(weights.code(i).cast_unsigned()));
        Self(core::array::from_fn(code))
    }
}
