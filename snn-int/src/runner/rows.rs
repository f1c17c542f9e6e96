//! Codes as engines in memory of their own read them: one in a byte, in rows of whole vector registers.

use crate::model::{Conv, Layer, Shape, Synapses};
use crate::num::index;
#[cfg(feature = "alloc")]
use crate::num::{count, low_u8};
use crate::weights::Weights;
#[cfg(feature = "alloc")]
use alloc::vec::Vec;

/// Rows of convolutions are filled up with zeros to a multiple of this.
pub(super) const BLOCK: usize = 32;

/// Codes in rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows<'a> {
    codes: &'a [u8],
    len: usize,
}

impl<'a> Rows<'a> {
    /// Row `i` with the zeros behind it.
    #[inline(always)]
    pub(super) fn row(self, i: usize) -> &'a [u8] {
        self.codes.get(i * self.len..(i + 1) * self.len).unwrap_or_default()
    }

    /// Every `step`th row from row `first`.
    #[inline(always)]
    pub(super) fn every(self, first: usize, step: usize) -> impl Iterator<Item = &'a [u8]> {
        let codes = self.codes.get(first * self.len..).unwrap_or_default();
        codes.chunks(step * self.len).filter_map(
            #[inline(always)]
            move |rows| rows.get(..self.len),
        )
    }
}

/// How the codes of a tensor of up to 8 bits lie in rows.
///
/// A dense layer has a row for each input. A convolution without groups and dilation has one for each input channel `c`,
/// kernel row `ky` and residue `r` below its horizontal stride `s`, number `(c · kh + ky) · s + r`: from the last to the
/// first of the taps `r`, `r + s`, `r + 2s` … of that kernel row, which reach neighboring outputs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    n: usize,
    /// Codes of a row and the zeros behind them.
    len: usize,
    /// Where they begin among all codes; `None` for those that are read where the model has them.
    start: Option<usize>,
}

/// Taps of a kernel row that reach outputs from one place.
fn n_taps(conv: Conv) -> u32 {
    conv.kernel[1].div_ceil(conv.stride[1])
}

impl Layout {
    /// Lays out the codes of the synapses behind those in `all`; `None` for synapses that have no such form.
    #[cfg(feature = "alloc")]
    pub(super) fn of_synapses(layer: &Layer<'_>, all: &mut Vec<u8>) -> Option<Self> {
        match layer.synapses {
            Synapses::Dense(weights) => Self::dense(weights, layer.gathered.n(), layer.currents.n(), all),
            Synapses::Conv(conv, weights) if has_rows(layer, conv, weights) => {
                Some(Self::conv(conv, weights, layer.gathered.channels, all))
            }
            _ => None,
        }
    }

    /// The same for the weights between neurons.
    #[cfg(feature = "alloc")]
    pub(super) fn of_recurrent(layer: &Layer<'_>, all: &mut Vec<u8>) -> Option<Self> {
        let n = layer.neurons.n();
        layer.recurrent.and_then(|weights| Self::dense(weights, n, n, all))
    }

    #[cfg(feature = "alloc")]
    fn dense(weights: Weights<'_>, n: usize, len: usize, all: &mut Vec<u8>) -> Option<Self> {
        let start = match weights.bits() {
            8 => None,
            1..8 => Some(all.len()),
            _ => return None,
        };
        if start.is_some() {
            all.extend((0..n * len).map(|i| byte_of(weights, i)));
        }
        Some(Self { n, len, start })
    }

    #[cfg(feature = "alloc")]
    fn conv(conv: Conv, weights: Weights<'_>, channels: u32, all: &mut Vec<u8>) -> Self {
        let [kw, stride, n_out] = [conv.kernel[1], conv.stride[1], conv.channels].map(index);
        let n_kernel_rows = index(channels * conv.kernel[0]);
        let start = all.len();
        let len = index(row_len(conv));
        for (row, residue) in
            (0..n_kernel_rows).flat_map(|row| (0..stride).map(move |residue| (row, residue)))
        {
            let end = all.len() + len;
            for kx in (0..index(n_taps(conv))).rev().map(|tap| residue + tap * stride) {
                // Kernel rows lie from the last tap to the first in the model.
                let from = (kx < kw).then(|| (row * kw + kw - 1 - kx) * n_out);
                all.extend((0..n_out).map(|i| from.map_or(0, |from| byte_of(weights, from + i))));
            }
            all.resize(end, 0);
        }
        Self { n: n_kernel_rows * stride, len, start: Some(start) }
    }

    /// The rows, among all codes or in the model.
    #[inline(always)]
    pub(super) fn rows<'a>(self, weights: Weights<'a>, all: &'a [u8]) -> Rows<'a> {
        let codes = match self.start {
            None => weights.packed(),
            Some(start) => all.get(start..start + self.n * self.len).unwrap_or_default(),
        };
        Rows { codes, len: self.len }
    }
}

/// Whether a convolution is laid out: not where that would take much more memory than the model says.
#[cfg(feature = "alloc")]
fn has_rows(layer: &Layer<'_>, conv: Conv, weights: Weights<'_>) -> bool {
    let is_plain = conv.groups == 1 && conv.dilation == [1, 1] && conv.stride[1] <= conv.kernel[1];
    let product = |sizes: [u32; 3]| sizes.into_iter().map(u64::from).product::<u64>();
    let Shape { height, width, channels } = layer.currents;
    let margins = product([height, n_taps(conv) - 1, channels]);
    let codes = product([layer.gathered.channels * conv.kernel[0], conv.stride[1], row_len(conv)]);
    let weights_are_few = codes <= 16 * u64::from(count(conv.n_weights(layer.gathered.channels))) + (1 << 16);
    let margins_are_few = margins <= 3 * product([height, width, channels]) + (1 << 16);
    is_plain && weights.bits() <= 8 && weights_are_few && margins_are_few
}

/// Codes of a row, with the zeros behind them.
#[cfg(feature = "alloc")]
fn row_len(conv: Conv) -> u32 {
    (n_taps(conv) * conv.channels).next_multiple_of(count(BLOCK))
}

#[cfg(feature = "alloc")]
fn byte_of(weights: Weights<'_>, i: usize) -> u8 {
    low_u8(weights.code(i).cast_unsigned())
}

/// Where the sums of a layer lie: rows of pixels that may have pixels between them that count for nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    /// The first sum.
    pub(super) start: usize,
    /// Height, pixels from row to row, and channels.
    pub(super) padded: Shape,
    /// Pixels of a row that count.
    width: usize,
    /// Sums behind the last.
    spare: usize,
}

impl Grid {
    /// Where the sums of a layer lie, whose weights are laid out in rows or not: those of convolutions with rows have margins, all
    /// others lie one behind the other.
    #[inline(always)]
    pub(super) fn of(layer: &Layer<'_>, has_rows: bool) -> Self {
        let shape = layer.currents;
        match layer.synapses {
            Synapses::Conv(conv, _) if has_rows => Self::with_margins(shape, conv),
            _ => Self { start: 0, padded: shape, width: index(shape.width), spare: 0 },
        }
    }

    /// Rows with room for the outputs that the taps of a kernel row would reach beside the frame: before the first row and
    /// behind each.
    #[inline(always)]
    fn with_margins(shape: Shape, conv: Conv) -> Self {
        let margin = n_taps(conv) - 1;
        let padded = Shape { width: shape.width + margin, ..shape };
        Self { start: index(margin * shape.channels), padded, width: index(shape.width), spare: BLOCK }
    }

    /// Sums that there must be room for, so that a row of weights may be added anywhere.
    #[inline(always)]
    pub(super) fn n_sums(self) -> usize {
        self.start + self.padded.n() + self.spare
    }

    /// Moves the sums to where they lie one behind the other.
    #[inline(always)]
    pub(super) fn compacted<S: Copy>(self, sums: &mut [S]) -> &mut [S] {
        let [row, padded] =
            [self.width, index(self.padded.width)].map(|width| width * index(self.padded.channels));
        let height = index(self.padded.height);
        if row < padded {
            for y in 0..height {
                let from = self.start + y * padded;
                sums.copy_within(from..from + row, y * row);
            }
        }
        &mut sums[..height * row]
    }
}
