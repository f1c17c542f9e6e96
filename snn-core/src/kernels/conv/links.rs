//! Which numbers of a kernel meet which numbers of a frame.

use super::ConvShape;
use std::cmp::Reverse;
use std::ops::Range;

/// Equal runs of numbers, a row below the other, of a kernel and of the channels-last frame that it meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Patch {
    /// Where the first run begins in the kernel, `[kh · kw][width]`.
    pub(super) kernel: u32,
    /// Where the first run begins in the frame, `[H · W][groups · width]`, for the first group.
    pub(super) frame: u32,
    /// Numbers of a run.
    pub(super) len: u32,
    /// Number of runs; in kernel and frame they begin [`Links::strides`] apart.
    pub(super) rows: u32,
}

impl Patch {
    /// Number and length of the runs.
    #[inline(always)]
    pub(super) fn size(self) -> [usize; 2] {
        [self.rows as usize, self.len as usize]
    }
}

/// For each site of one side of a convolution (a pixel of its input, or a position of its output) the patches where the
/// kernels of its channels meet the frame on the other side.
///
/// The taps of a kernel are one patch where strides allow it, which is what makes the inner loops long.
#[derive(Debug)]
pub(super) struct Links {
    /// Channels of the side that the sites are on.
    pub(super) channels: usize,
    /// Channels of a group on the other side.
    pub(super) width: usize,
    /// Groups of channels that do not mix.
    pub(super) groups: usize,
    /// Numbers of one kernel.
    pub(super) kernel_len: usize,
    /// Numbers of one frame on the other side.
    pub(super) frame_len: usize,
    /// Distance of a patch's runs in the kernel and in the frame.
    pub(super) strides: [usize; 2],
    /// For each site the index of its first patch; one more entry at the end.
    starts: Vec<u32>,
    patches: Vec<Patch>,
}

/// Along one axis, for each coordinate of a site: runs `(slot of the kernel, coordinate on the other side, length)` of taps
/// that it meets.
type Reach = Vec<Vec<(usize, usize, usize)>>;

#[allow(clippy::cast_possible_truncation, reason = "`Links::product` refuses larger frames and kernels")]
fn to_u32(i: usize) -> u32 {
    i as u32
}

/// Joins pairs of slot and coordinate into runs, in which slots follow each other and coordinates are `step` apart.
fn runs(pairs: impl Iterator<Item = (usize, usize)>, step: usize) -> Vec<(usize, usize, usize)> {
    let mut runs = Vec::<(usize, usize, usize)>::new();
    for (slot, at) in pairs {
        match runs.last_mut() {
            Some((s, a, n)) if *s + *n == slot && *a + *n * step == at => *n += 1,
            _ => runs.push((slot, at, 1)),
        }
    }
    runs
}

impl Links {
    /// From pixels of the input to outputs, with the taps of a kernel in [`tap_order`] and `width` numbers a tap.
    pub(super) fn of_inputs(shape: &ConvShape, width: usize) -> Self {
        // A step down the kernel is a step down the output, or several with dilation.
        let steps = [if shape.stride[0] == 1 { shape.dilation[0] } else { 1 }, 1];
        let reach = |axis: usize| {
            let order = axis_order(shape, axis);
            let meets = |i: usize| {
                let hit = |(slot, &tap): (usize, &usize)| Some((slot, output_of(shape, axis, i, tap)?));
                runs(order.iter().enumerate().filter_map(hit), steps[axis])
            };
            (0..shape.input[axis]).map(meets).collect()
        };
        Self::product(shape, [reach(0), reach(1)], shape.output(), [shape.c_in, width], steps[0])
    }

    /// From positions of the output to inputs, with the taps of a kernel in their own order and `width` numbers a tap.
    pub(super) fn of_outputs(shape: &ConvShape, width: usize) -> Self {
        let steps = [shape.dilation[0], 1];
        let reach = |axis: usize| {
            let meets = |o: usize| {
                let hit = |k: usize| Some((k, input_of(shape, axis, o, k)?));
                runs((0..shape.kernel[axis]).filter_map(hit), steps[axis])
            };
            (0..shape.output()[axis]).map(meets).collect()
        };
        Self::product(shape, [reach(0), reach(1)], shape.input, [shape.c_out, width], steps[0])
    }

    /// Patches of all pairs of a row and a column; `frame` is the height and width of the other side, `row_step` the
    /// rows of it between two runs of a patch.
    ///
    /// # Panics
    /// If kernels or frames have more numbers than `u32` counts.
    fn product(
        shape: &ConvShape,
        [ys, xs]: [Reach; 2],
        frame: [usize; 2],
        [channels, width]: [usize; 2],
        row_step: usize,
    ) -> Self {
        let pixel = shape.groups * width;
        let (kernel_len, frame_len) = (shape.window_len() * width, frame[0] * frame[1] * pixel);
        assert!(u32::try_from(kernel_len.max(frame_len)).is_ok(), "convolution too large: {shape:?}");
        let (mut starts, mut patches) = (vec![0], Vec::new());
        for (y, x) in ys.iter().flat_map(|y| xs.iter().map(move |x| (y, x))) {
            for &(ky, fy, rows) in y {
                for &(kx, fx, n) in x {
                    // Groups lie between the channels of a group in neighboring pixels.
                    let (len, pieces) = if shape.groups == 1 { (n * width, 1) } else { (width, n) };
                    patches.extend((0..pieces).map(|i| Patch {
                        kernel: to_u32((ky * shape.kernel[1] + kx + i) * width),
                        frame: to_u32((fy * frame[1] + fx + i) * pixel),
                        len: to_u32(len),
                        rows: to_u32(rows),
                    }));
                }
            }
            starts.push(to_u32(patches.len()));
        }
        let strides = [shape.kernel[1] * width, row_step * frame[1] * pixel];
        Self { channels, width, groups: shape.groups, kernel_len, frame_len, strides, starts, patches }
    }

    /// Number of sites.
    pub(super) fn sites(&self) -> usize {
        self.starts.len() - 1
    }

    /// The patches of a site.
    #[inline(always)]
    pub(super) fn of(&self, site: usize) -> &[Patch] {
        &self.patches[self.starts[site] as usize..self.starts[site + 1] as usize]
    }

    /// Taps that a site meets.
    pub(super) fn taps(&self, site: usize) -> usize {
        self.of(site).iter().map(|p| (p.len * p.rows) as usize / self.width).sum()
    }

    /// For each run of a patch: where its numbers are in the kernel, and in the frame for the group that begins at
    /// `offset` in each pixel.
    #[inline(always)]
    pub(super) fn runs(&self, patch: Patch, offset: usize) -> impl Iterator<Item = [Range<usize>; 2]> {
        let [kernel_stride, frame_stride] = self.strides;
        (0..patch.rows as usize).map(move |row| {
            let kernel = patch.kernel as usize + row * kernel_stride;
            let frame = offset + patch.frame as usize + row * frame_stride;
            [kernel..kernel + patch.len as usize, frame..frame + patch.len as usize]
        })
    }

    /// Where the group of a channel begins in each pixel of a frame.
    pub(super) fn group_offset(&self, channel: usize) -> usize {
        channel * self.groups / self.channels * self.width
    }
}

/// The taps of a kernel, those that meet the outputs of one input from left to right behind each other.
pub(super) fn tap_order(shape: &ConvShape) -> Vec<usize> {
    let [ys, xs] = [0, 1].map(|axis| axis_order(shape, axis));
    ys.iter().flat_map(|ky| xs.iter().map(move |kx| ky * shape.kernel[1] + kx)).collect()
}

/// Where each tap stands in [`tap_order`].
pub(super) fn slots(shape: &ConvShape) -> Vec<usize> {
    let mut slots = vec![0; shape.window_len()];
    for (slot, tap) in tap_order(shape).into_iter().enumerate() {
        slots[tap] = slot;
    }
    slots
}

fn axis_order(shape: &ConvShape, axis: usize) -> Vec<usize> {
    let mut taps: Vec<usize> = (0..shape.kernel[axis]).collect();
    taps.sort_by_key(|tap| (tap % shape.stride[axis], Reverse(*tap)));
    taps
}

/// The output coordinate at which input coordinate `i` is under `tap`.
fn output_of(shape: &ConvShape, axis: usize, i: usize, tap: usize) -> Option<usize> {
    let shifted = (i + shape.padding[axis]).checked_sub(tap * shape.dilation[axis])?;
    let o = shifted / shape.stride[axis];
    (shifted.is_multiple_of(shape.stride[axis]) && o < shape.output()[axis]).then_some(o)
}

/// The input coordinate under `tap` at output coordinate `o`.
fn input_of(shape: &ConvShape, axis: usize, o: usize, tap: usize) -> Option<usize> {
    let i = (o * shape.stride[axis] + tap * shape.dilation[axis]).checked_sub(shape.padding[axis])?;
    (i < shape.input[axis]).then_some(i)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_one_patch() {
        let shape = ConvShape {
            c_in: 3,
            input: [8, 8],
            c_out: 5,
            kernel: [7, 7],
            stride: [2, 2],
            padding: [3, 3],
            dilation: [1, 1],
            groups: 1,
        };
        // Pixel (3, 3) is under taps 0, 2, 4 and 6 of the windows at 3, 2, 1 and 0.
        let (inputs, outputs) = (Links::of_inputs(&shape, 5), Links::of_outputs(&shape, 3));
        assert_eq!(inputs.of(3 * 8 + 3).iter().map(|p| [p.len, p.rows]).collect::<Vec<_>>(), [[4 * 5, 4]]);
        // The window at (1, 1) begins at pixel -1.
        assert_eq!(outputs.of(5).iter().map(|p| [p.len, p.rows]).collect::<Vec<_>>(), [[6 * 3, 6]]);
    }
}
