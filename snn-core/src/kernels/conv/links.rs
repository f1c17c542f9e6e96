//! Which numbers of a kernel meet which numbers of a frame.

use super::ConvShape;
use super::layout::to_u32;
use std::cmp::Reverse;
use std::ops::Range;

/// Equal runs of numbers, a row below the other, of a kernel and of the channels-last frame that it meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Patch {
    /// Where the first run begins in the kernel, `[kh][kw][width]`.
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
    /// Where the pixels of the other side are in its frame.
    pub(super) grid: Grid,
    /// Numbers of one frame on the other side.
    pub(super) frame_len: usize,
    /// Distance of a patch's runs in the kernel and in the frame.
    pub(super) strides: [usize; 2],
    /// Rows of kernels, if each has the length of a run and is met by sites that follow each other, as without strides.
    pub(super) kernel_rows: Option<KernelRows>,
    /// For each site the index of its first patch; one more entry at the end.
    starts: Vec<u32>,
    patches: Vec<Patch>,
}

/// How rows of kernels meet rows of the output.
#[derive(Debug)]
pub(super) struct KernelRows {
    /// For each site where the first row of a kernel meets a frame with [`Self::beyond`] numbers before it: what a row further
    /// down meets is a stride behind.
    pub(super) starts: Vec<u32>,
    /// Numbers of as many rows as a kernel has beside one: what it may reach beyond a frame, above and below.
    pub(super) beyond: usize,
    /// The row of the output that the first row of a kernel meets at the first site; it may lie before the frame.
    top: isize,
    /// Height and width of the input.
    size: [usize; 2],
}

impl KernelRows {
    /// The sites that meet one of the rows `band` of the output with one of the rows `kernel` of kernels.
    #[inline(always)]
    pub(super) fn sites(&self, band: &Range<usize>, kernel: Range<usize>) -> Range<u32> {
        let [h, w] = self.size;
        // An input row further down meets an output row further down.
        let y = |row: usize, kernel_row: usize| {
            let y = row.cast_signed() - kernel_row.cast_signed() - self.top;
            to_u32(usize::try_from(y).unwrap_or(0).min(h) * w)
        };
        y(band.start + 1, kernel.end)..y(band.end, kernel.start)
    }
}

/// Where the pixels of a channels-last frame are: those of a row behind each other, and around the rows room for what kernels
/// reach beyond them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grid {
    /// Height and width.
    pub(super) size: [usize; 2],
    /// Pixels before the first row.
    pub(super) lead: usize,
    /// Pixels from one row to the next.
    pub(super) pitch: usize,
}

impl Grid {
    /// Rows without anything between them.
    pub(super) fn packed(size: [usize; 2]) -> Self {
        Self { size, lead: 0, pitch: size[1] }
    }

    /// Rows with room for so many pixels on either side; what is right of a row is left of the next.
    pub(super) fn with_margin(size: [usize; 2], margin: usize) -> Self {
        Self { size, lead: margin, pitch: size[1] + margin }
    }

    /// Pixels with those between rows.
    pub(super) fn len(&self) -> usize {
        self.lead + self.size[0] * self.pitch
    }

    /// The grid of so many rows.
    pub(super) fn of_rows(self, rows: usize) -> Self {
        Self { size: [rows, self.size[1]], ..self }
    }

    /// The first pixel of a row.
    pub(super) fn row(&self, y: usize) -> usize {
        self.lead + y * self.pitch
    }
}

/// Along one axis, for each coordinate of a site: runs `(slot of the kernel, coordinate on the other side, length)` of taps
/// that it meets.
type Reach = Vec<Vec<(usize, usize, usize)>>;

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
    ///
    /// Where that costs little, the outputs of a row have a margin for the taps that reach beyond them, so that all runs are
    /// of one length.
    pub(super) fn of_inputs(shape: &ConvShape, width: usize) -> Self {
        // A step down the kernel is a step down the output, or several with dilation.
        let steps = [if shape.stride[0] == 1 { shape.dilation[0] } else { 1 }, 1];
        let (output, margin) = (shape.output(), margin(shape));
        let reach = |axis: usize, margin: usize| {
            let order = axis_order(shape, axis);
            let meets = |i: usize| {
                let hit = |(slot, &tap): (usize, &usize)| {
                    let o = output_of(shape, axis, i, tap)? + margin.cast_signed();
                    let end = output[axis] + 2 * margin;
                    Some((slot, usize::try_from(o).ok().filter(|o| *o < end)?))
                };
                runs(order.iter().enumerate().filter_map(hit), steps[axis])
            };
            (0..shape.input[axis]).map(meets).collect()
        };
        let grid = Grid::with_margin(output, margin);
        let sizes = [shape.c_in, width, shape.kernel[1] * width];
        let mut links = Self::product(shape, [reach(0, 0), reach(1, margin)], grid, sizes, steps[0]);
        links.kernel_rows = links.find_kernel_rows(shape);
        links
    }

    /// From positions of the output to inputs, with the taps of a kernel in their own order, `width` numbers a tap and `row`
    /// from one row of a kernel to the next.
    pub(super) fn of_outputs(shape: &ConvShape, width: usize, row: usize) -> Self {
        let steps = [shape.dilation[0], 1];
        let reach = |axis: usize| {
            let meets = |o: usize| {
                let hit = |k: usize| Some((k, input_of(shape, axis, o, k)?));
                runs((0..shape.kernel[axis]).filter_map(hit), steps[axis])
            };
            (0..shape.output()[axis]).map(meets).collect()
        };
        let grid = Grid::packed(shape.input);
        Self::product(shape, [reach(0), reach(1)], grid, [shape.c_out, width, row], steps[0])
    }

    /// Patches of all pairs of a row and a column; `row_step` are the rows of the grid between two runs of a patch, columns are
    /// counted from the margin's first.
    ///
    /// # Panics
    /// If kernels or frames have more numbers than `u32` counts.
    fn product(
        shape: &ConvShape,
        [ys, xs]: [Reach; 2],
        grid: Grid,
        [channels, width, row]: [usize; 3],
        row_step: usize,
    ) -> Self {
        let pixel = shape.groups * width;
        let (kernel_len, frame_len) = (shape.kernel[0] * row, grid.len() * pixel);
        assert!(u32::try_from(kernel_len.max(frame_len)).is_ok(), "convolution too large: {shape:?}");
        let (mut starts, mut patches) = (vec![0], Vec::new());
        for (y, x) in ys.iter().flat_map(|y| xs.iter().map(move |x| (y, x))) {
            for &(ky, fy, rows) in y {
                for &(kx, fx, n) in x {
                    // Groups lie between the channels of a group in neighboring pixels.
                    let (len, pieces) = if shape.groups == 1 { (n * width, 1) } else { (width, n) };
                    patches.extend((0..pieces).map(|i| Patch {
                        kernel: to_u32(ky * row + (kx + i) * width),
                        frame: to_u32((fy * grid.pitch + fx + i) * pixel),
                        len: to_u32(len),
                        rows: to_u32(rows),
                    }));
                }
            }
            starts.push(to_u32(patches.len()));
        }
        let strides = [row, row_step * grid.pitch * pixel];
        let groups = shape.groups;
        Self {
            channels,
            width,
            groups,
            kernel_len,
            grid,
            frame_len,
            strides,
            kernel_rows: None,
            starts,
            patches,
        }
    }

    /// [`Self::kernel_rows`], if each site has one patch, all runs are as long as a row of a kernel, and rows of kernels meet
    /// rows of the output one by one.
    fn find_kernel_rows(&self, shape: &ConvShape) -> Option<KernelRows> {
        let whole = |site: usize| matches!(self.of(site), [p] if p.len as usize == self.strides[0]);
        let plain = self.groups == 1 && shape.stride[0] == 1 && shape.dilation[0] == 1;
        if !plain || !(0..self.sites()).all(whole) {
            return None;
        }
        let [len, frame_stride] = self.strides.map(to_u32);
        let beyond = (shape.kernel[0] - 1) * self.strides[1];
        u32::try_from(2 * beyond + self.frame_len).ok()?;
        let start = |site: usize| {
            let patch = self.of(site)[0];
            to_u32(beyond) + patch.frame - patch.kernel / len * frame_stride
        };
        let first = self.of(0)[0];
        let top = (first.frame / frame_stride).cast_signed() - (first.kernel / len).cast_signed();
        Some(KernelRows {
            starts: (0..self.sites()).map(start).collect(),
            beyond,
            top: top as isize,
            size: shape.input,
        })
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

/// The output coordinate at which input coordinate `i` is under `tap`, also outside of the output.
fn output_of(shape: &ConvShape, axis: usize, i: usize, tap: usize) -> Option<isize> {
    let shifted = (i + shape.padding[axis]).cast_signed() - (tap * shape.dilation[axis]).cast_signed();
    let stride = shape.stride[axis].cast_signed();
    (shifted % stride == 0).then_some(shifted / stride)
}

/// How far kernels reach beyond the rows of the output on either side, if there are no strides and a margin of that width adds
/// less than a half; else none.
fn margin(shape: &ConvShape) -> usize {
    let width = shape.output()[1];
    let taps = (0..shape.input[1]).flat_map(|i| (0..shape.kernel[1]).map(move |tap| (i, tap)));
    let beyond = |o: isize| (-o).max(o + 1 - width.cast_signed()).max(0).unsigned_abs();
    let margin = taps.filter_map(|(i, tap)| output_of(shape, 1, i, tap)).map(beyond).max().unwrap_or(0);
    let plain = shape.stride == [1, 1] && shape.dilation[1] == 1;
    if plain && 2 * margin <= width { margin } else { 0 }
}

/// Outputs that each pixel of the input meets, in one channel.
pub(super) fn fan_out(shape: &ConvShape) -> Vec<u64> {
    let along = |axis: usize| -> Vec<u64> {
        let inside = |i: usize, tap: usize| {
            output_of(shape, axis, i, tap)
                .is_some_and(|o| (0..shape.output()[axis].cast_signed()).contains(&o))
        };
        (0..shape.input[axis])
            .map(|i| (0..shape.kernel[axis]).filter(|tap| inside(i, *tap)).count() as u64)
            .collect()
    };
    let [ys, xs] = [along(0), along(1)];
    ys.iter().flat_map(|y| xs.iter().map(move |x| y * x)).collect()
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
        let (inputs, outputs) = (Links::of_inputs(&shape, 5), Links::of_outputs(&shape, 3, 21));
        assert_eq!(inputs.of(3 * 8 + 3).iter().map(|p| [p.len, p.rows]).collect::<Vec<_>>(), [[4 * 5, 4]]);
        // The window at (1, 1) begins at pixel -1.
        assert_eq!(outputs.of(5).iter().map(|p| [p.len, p.rows]).collect::<Vec<_>>(), [[6 * 3, 6]]);
    }
}
