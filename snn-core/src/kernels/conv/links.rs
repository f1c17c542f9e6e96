//! Which numbers of a kernel meet which numbers of a frame.

use super::ConvShape;
use std::cmp::Reverse;

/// A run of a kernel's numbers and the run of a channels-last frame that it meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    /// Index in the kernel, `[kh · kw][width]`.
    pub(super) kernel: usize,
    /// Index in the frame, `[H · W][groups · width]`, of the first group.
    pub(super) frame: usize,
    /// Numbers of the run.
    pub(super) len: usize,
}

/// For each site of one side of a convolution (a pixel of its input, or a position of its output) the links between the
/// kernels of its channels and the frame on the other side.
///
/// A kernel row is one run where strides allow it, which is what makes the inner loops long.
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
    /// For each site the index of its first link; one more entry at the end.
    starts: Vec<usize>,
    links: Vec<Link>,
}

/// For each coordinate of a site along one axis: the (slot of the kernel, coordinate on the other side) that it meets.
type Reach = Vec<Vec<(usize, usize)>>;

impl Links {
    /// From pixels of the input to outputs, with the taps of a kernel in [`tap_order`].
    pub(super) fn of_inputs(shape: &ConvShape) -> Self {
        let reach = [0, 1].map(|axis| {
            let order = axis_order(shape, axis);
            let meets = |i: usize| {
                let hit = |(slot, &tap): (usize, &usize)| Some((slot, output_of(shape, axis, i, tap)?));
                order.iter().enumerate().filter_map(hit).collect()
            };
            (0..shape.input[axis]).map(meets).collect()
        });
        Self::product(shape, &reach, shape.output(), [shape.c_in, shape.group_out()])
    }

    /// From positions of the output to inputs, with the taps of a kernel in their own order.
    pub(super) fn of_outputs(shape: &ConvShape) -> Self {
        let reach = [0, 1].map(|axis| {
            let meets = |o: usize| {
                (0..shape.kernel[axis]).filter_map(|k| Some((k, input_of(shape, axis, o, k)?))).collect()
            };
            (0..shape.output()[axis]).map(meets).collect()
        });
        Self::product(shape, &reach, shape.input, [shape.c_out, shape.group_in()])
    }

    /// Links of all pairs of a row and a column; `frame` is the height and width of the other side.
    fn product(
        shape: &ConvShape,
        [ys, xs]: &[Reach; 2],
        frame: [usize; 2],
        [channels, width]: [usize; 2],
    ) -> Self {
        let pixel = shape.groups * width;
        let (mut starts, mut links) = (vec![0], Vec::<Link>::new());
        for (y, x) in ys.iter().flat_map(|y| xs.iter().map(move |x| (y, x))) {
            let first = links.len();
            for (&(ky, fy), &(kx, fx)) in y.iter().flat_map(|y| x.iter().map(move |x| (y, x))) {
                let kernel = (ky * shape.kernel[1] + kx) * width;
                let frame = (fy * frame[1] + fx) * pixel;
                match links[first..].last_mut() {
                    Some(l) if l.kernel + l.len == kernel && l.frame + l.len == frame => l.len += width,
                    _ => links.push(Link { kernel, frame, len: width }),
                }
            }
            starts.push(links.len());
        }
        let (kernel_len, frame_len) = (shape.window_len() * width, frame[0] * frame[1] * pixel);
        Self { channels, width, groups: shape.groups, kernel_len, frame_len, starts, links }
    }

    /// Number of sites.
    pub(super) fn sites(&self) -> usize {
        self.starts.len() - 1
    }

    /// The links of a site.
    #[inline(always)]
    pub(super) fn of(&self, site: usize) -> &[Link] {
        &self.links[self.starts[site]..self.starts[site + 1]]
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
    fn kernel_rows_are_one_run() {
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
        let (inputs, outputs) = (Links::of_inputs(&shape), Links::of_outputs(&shape));
        assert_eq!(inputs.of(3 * 8 + 3).iter().map(|l| l.len).collect::<Vec<_>>(), [4 * 5; 4]);
        // The window at (1, 1) begins at pixel -1.
        assert_eq!(outputs.of(5).iter().map(|l| l.len).collect::<Vec<_>>(), [6 * 3; 6]);
    }
}
