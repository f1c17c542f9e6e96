//! Two-dimensional convolution of frames, by events where a factor is sparse, and by sums of many windows at once where it is
//! not.
//!
//! Frames are `[C, H, W]`. Inside, the side that is summed into is channels last (`[positions, C]`), and `Links` tell
//! which run of a kernel's numbers meets which run of such a frame. The event path adds a run of weights for each nonzero
//! number, work proportional to events in contiguous vectors; the dense path adds the products of many windows at once. Where
//! many events meet one place, the sums stay in registers meanwhile: a column of outputs slides down the frame, and going back
//! what a column of chosen gradients sends to the inputs does (`slide`), rows of a kernel's gradient are added up over all its
//! events (`events::gather_by_kernel_rows`), and where strides or sizes forbid sliding, a window's gradients are sorted by what
//! they chose (`Windows::scatter`).
//!
//! Where a convolution is followed by max-pooling, its frames are pooled while they are in cache and never stored
//! ([`forward_pooled`]), and going back only the number that a window chose is worked on. Where events are so few that the output
//! is computed faster than read, it need not be stored either ([`Banded`]).

mod banded;
mod codes;
mod dense;
mod events;
pub(super) mod layout;
mod links;
mod slide;
mod windows;

pub use banded::{Banded, Listed, Room};
pub use windows::Windows;

use super::aligned::Aligned;
use super::events::Events;
use super::number::Number;
use super::par;
use super::pattern::Pattern;
use super::spike_matmul::Sparse;
use crate::codes::Weights;
use crate::scalar::{Real, Scalar};
use codes::Scaling;
use dense::Dense;
use events::{Band, Scratch};
use layout::Rows;
use links::{Grid, KernelRows, Links};
use slide::{Chosen, Columns};
use std::mem::MaybeUninit;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// Above this share of nonzero numbers adding the products of all is faster than adding rows.
const DENSE_ABOVE: f64 = 0.3;

/// Most frames that one task works on.
const FRAMES: usize = 16;

/// Most frames whose weight gradients are summed before they meet those of other tasks.
const SUMMED: usize = 64;

/// Bytes of frames that a task works on, unless one frame has more: of large ones a batch may have few.
const TASK_BYTES: usize = 4 << 20;

/// Kernels of so many bytes stay in cache while frame after frame is worked on.
const KERNEL_BYTES: usize = 128 << 10;

/// Bytes of a band of rows, which stays in a second-level cache.
const BAND_BYTES: usize = 96 << 10;

/// Sizes of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvShape {
    /// Input channels.
    pub c_in: usize,
    /// Input height and width.
    pub input: [usize; 2],
    /// Output channels.
    pub c_out: usize,
    /// Kernel height and width.
    pub kernel: [usize; 2],
    /// Step between windows.
    pub stride: [usize; 2],
    /// Zeros around the input.
    pub padding: [usize; 2],
    /// Distance between the taps of a window.
    pub dilation: [usize; 2],
    /// Groups of channels that do not mix.
    pub groups: usize,
}

impl ConvShape {
    /// Height and width of the window with its dilation.
    #[must_use]
    pub fn window(&self) -> [usize; 2] {
        std::array::from_fn(|i| self.dilation[i] * (self.kernel[i] - 1) + 1)
    }

    /// Height and width of the output.
    ///
    /// # Panics
    /// If the window does not fit the padded input.
    #[must_use]
    pub fn output(&self) -> [usize; 2] {
        let window = self.window();
        std::array::from_fn(|i| (self.input[i] + 2 * self.padding[i] - window[i]) / self.stride[i] + 1)
    }

    /// `x` `[F, C_in, H, W]` with a row for each channel of each frame, whose pattern is found unless it is known.
    #[must_use]
    pub fn frames<'a, R: Real>(&self, x: &'a [R], known: Option<&'a Pattern>) -> Sparse<'a, R> {
        Sparse::new(x, self.plane(), known)
    }

    /// How many frames a task works on, at most so many.
    fn frames_a_task<S>(&self, most: usize) -> usize {
        let numbers = self.in_len().max(self.out_len());
        (TASK_BYTES / (numbers * size_of::<S>()).max(1)).clamp(1, most)
    }

    fn n_frames<S: Number>(&self, x: &Sparse<'_, S>) -> usize {
        x.pattern().n_rows() / self.c_in
    }

    /// Lists the events of some frames, those of a channel in a plane.
    fn list_events<S: Number>(&self, x: &Sparse<'_, S>, frames: &Range<usize>, events: &mut Events<S>) {
        events.list(x.numbers(), x.pattern(), frames.start * self.c_in..frames.end * self.c_in);
    }

    fn in_len(&self) -> usize {
        self.c_in * self.plane()
    }

    /// Pixels of an input frame.
    pub(crate) fn plane(&self) -> usize {
        self.input[0] * self.input[1]
    }

    fn positions(&self) -> usize {
        let [h, w] = self.output();
        h * w
    }

    fn out_len(&self) -> usize {
        self.c_out * self.positions()
    }

    /// Numbers of a pixel with `n` channels where vectors are added: whole registers, if little is lost by that.
    fn pixel(&self, n: usize) -> usize {
        match n {
            _ if self.groups > 1 || n <= 4 => n,
            5..=8 => 8,
            _ => n.next_multiple_of(16),
        }
    }

    fn group_in(&self) -> usize {
        self.c_in / self.groups
    }

    fn group_out(&self) -> usize {
        self.c_out / self.groups
    }

    /// Numbers of a kernel that meet one channel of a group.
    fn window_len(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Weights that a number of the output is computed with.
    fn taps(&self) -> usize {
        self.group_in() * self.window_len()
    }
}

/// A convolution: its sizes, and the tables that the kernels walk along, which are made when first needed and shared by
/// all clones.
#[derive(Clone, Debug)]
pub struct Conv {
    shape: ConvShape,
    tables: Arc<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    by_input: OnceLock<Links>,
    by_output: OnceLock<Links>,
    dense: OnceLock<Dense>,
}

impl PartialEq for Conv {
    fn eq(&self, other: &Self) -> bool {
        self.shape == other.shape
    }
}

impl From<ConvShape> for Conv {
    fn from(shape: ConvShape) -> Self {
        Self { shape, tables: Arc::default() }
    }
}

impl Conv {
    /// All sizes.
    #[must_use]
    pub fn shape(&self) -> &ConvShape {
        &self.shape
    }

    /// Numbers of an output pixel that the event path works on.
    fn pixel_out(&self) -> usize {
        self.shape.pixel(self.shape.c_out)
    }

    /// For the event path, from inputs to outputs.
    fn by_input(&self) -> &Links {
        let make = || Links::of_inputs(&self.shape, self.pixel_out() / self.shape.groups);
        self.tables.by_input.get_or_init(make)
    }

    /// For the event path, from outputs to inputs.
    fn by_output(&self) -> &Links {
        // Runs begin at whole registers in the kernel only: a frame has them added once for many kernels.
        let width = self.shape.group_in();
        let row = (self.shape.kernel[1] * width).next_multiple_of(16);
        let make = || Links::of_outputs(&self.shape, width, row);
        self.tables.by_output.get_or_init(make)
    }

    /// For the dense path.
    fn dense(&self) -> &Dense {
        self.tables.dense.get_or_init(|| Dense::new(&self.shape))
    }
}

/// `y[f] = w ⋆ x[f] + b` for each frame: `x` `[F, C_in, H, W]`, `w` `[C_out, C_in/groups, kh, kw]`, `b` `[C_out]` or empty.
/// `x` has a row for each channel of each frame. Of weights with codes and few spikes the sums are whole numbers.
pub fn forward<'a, R: Real>(conv: &Conv, x: &Sparse<'_, R>, w: impl Into<Weights<'a, R>>, b: &[R]) -> Vec<R> {
    let w = w.into();
    match codes::suited(conv, x.pattern(), w.codes) {
        Some((x, w)) => {
            let scaling = Scaling::of(conv, w, b);
            let product = Product::new(conv, Part::all(conv), &x, w.numbers(), &[]);
            product.frames(&x, |sums, room| scaling.apply(sums, room))
        }
        None => Product::new(conv, Part::all(conv), x, w.numbers, b).frames(x, |sums, _| sums),
    }
}

/// The greatest number of each window of the output of [`forward`], `[F, C_out, H'/kh, W'/kw]`, and which number of its
/// window that is, for the functions that go back.
pub fn forward_pooled<'a, R: Real>(
    conv: &Conv,
    windows: &Windows,
    x: &Sparse<'_, R>,
    w: impl Into<Weights<'a, R>>,
    b: &[R],
) -> (Vec<R>, Vec<u8>) {
    let w = w.into();
    match codes::suited(conv, x.pattern(), w.codes) {
        // The greatest sum is that of the greatest number, since scales are positive.
        Some((x, w)) => {
            let scaling = Scaling::of(conv, w, b);
            let product = Product::new(conv, windows.part(), &x, w.numbers(), &[]);
            product.pooled_frames(windows, &x, |sums, room| scaling.apply(sums, room))
        }
        None => Product::new(conv, windows.part(), x, w.numbers, b).pooled_frames(windows, x, |best, _| best),
    }
}

/// The numbers that [`forward_pooled`] would give if its windows chose so.
pub fn forward_chosen<R: Real>(
    conv: &Conv,
    windows: &Windows,
    choices: &[u8],
    x: &Sparse<'_, R>,
    w: &[R],
    b: &[R],
) -> Vec<R> {
    let (shape, product) = (&conv.shape, Product::new(conv, windows.part(), x, w, b));
    let (len, stride) = (shape.c_out * windows.count(), conv.pixel_out());
    let write = |first: usize, y: &mut [MaybeUninit<R>]| {
        let mut chosen = Aligned::zeros(windows.count() * product.pixel);
        product.for_each_band(x, first..first + y.len() / len, |frame, rows| {
            let of = windows.in_rows(&rows.band);
            let chosen = &mut chosen[..of.len() * rows.pixel];
            let choices = &choices[((first + frame) * windows.count() + of.start) * stride..];
            windows.pick(&rows, &choices[..of.len() * stride], chosen);
            let y = &mut y[frame * len + of.start..(frame + 1) * len];
            layout::transpose_new(chosen, rows.pixel, [of.len(), shape.c_out], y, windows.count());
        });
    };
    // SAFETY: the bands of a frame have all its windows, which are written for all channels.
    unsafe { par::build_rows(shape.n_frames(x), len, shape.frames_a_task::<R>(FRAMES), write) }
}

/// The part of a convolution's output that is asked for.
#[derive(Clone, Copy, Debug)]
struct Part {
    /// Rows and columns, from the first on.
    size: [usize; 2],
    /// Rows that belong together.
    unit: usize,
}

impl Part {
    fn all(conv: &Conv) -> Self {
        Self { size: conv.shape.output(), unit: 1 }
    }

    /// Bands of rows, of about equal height, as high as fit so many bytes with so many numbers a row.
    fn bands<S>(self, row: usize, bytes: usize) -> impl Iterator<Item = Range<usize>> {
        let units = (bytes / (row * size_of::<S>() * self.unit)).max(1);
        let [h, all] = [self.size[0], self.size[0].div_ceil(self.unit)];
        let height = (all.div_ceil(all.div_ceil(units).max(1)) * self.unit).max(1);
        (0..h).step_by(height).map(move |first| first..(first + height).min(h))
    }
}

/// How the products of a convolution are added up.
enum Path<'a> {
    /// Kernel after kernel, along links from the input.
    Scatter(&'a Links),
    /// The same, band by band.
    ScatterToBands(&'a Links, &'a KernelRows),
    /// Column after column of the output.
    Slide(Columns),
    /// Many windows at once.
    Dense(&'a Dense),
}

/// A convolution of given weights, by the path that suits the input.
struct Product<'a, S> {
    shape: &'a ConvShape,
    path: Path<'a>,
    kernels: Aligned<S>,
    bands: Vec<Range<usize>>,
    /// Where the pixels of the output rows are.
    grid: Grid,
    /// Numbers of a pixel of the output rows.
    pixel: usize,
    /// What each pixel starts from.
    bias: Vec<S>,
}

impl<'a, S: Number> Product<'a, S> {
    fn new(conv: &'a Conv, part: Part, x: &Sparse<'_, S>, w: &[S], b: &[S]) -> Self {
        let (shape, n_nonzero, n_frames) = (&conv.shape, x.pattern().n_nonzero(), conv.shape.n_frames(x));
        let output = Grid::packed(shape.output());
        let (path, kernels, grid, pixel) = if !is_sparse(x) {
            (Path::Dense(conv.dense()), Dense::kernels(shape, w), output, conv.pixel_out())
        } else if slide::pays(shape, conv.pixel_out(), n_nonzero, n_frames) {
            (
                Path::Slide(Columns::new(shape, part.size, conv.pixel_out())),
                slide::kernels(shape, w, conv.pixel_out()),
                Grid::packed(part.size),
                conv.pixel_out(),
            )
        } else {
            let links = conv.by_input();
            let kernels = layout::by_input_channel(shape, w, links.width);
            let path = match &links.kernel_rows {
                Some(rows)
                    if frames_together(&kernels) == 1 && !events::are_many(links, n_nonzero, n_frames) =>
                {
                    Path::ScatterToBands(links, rows)
                }
                _ => Path::Scatter(links),
            };
            (path, kernels, links.grid, conv.pixel_out())
        };
        let bands = match path {
            Path::ScatterToBands(..) => part.bands::<S>(grid.pitch * pixel, BAND_BYTES).collect(),
            _ => std::iter::once(0..grid.size[0]).collect(),
        };
        let mut bias = vec![S::ZERO; pixel];
        bias[..b.len()].copy_from_slice(b);
        Self { shape, path, kernels, bands, grid, pixel, bias }
    }

    /// The output of all frames, channels first. `finish(sums, room)` tells what sums stand for.
    fn frames<R: Real>(
        &self,
        x: &Sparse<'_, S>,
        finish: impl for<'b> Fn(&'b [S], &'b mut Vec<R>) -> &'b [R] + Sync,
    ) -> Vec<R> {
        let (shape, len) = (self.shape, self.shape.out_len());
        let write = |first: usize, y: &mut [MaybeUninit<R>]| {
            let mut room = Vec::new();
            self.for_each_band(x, first..first + y.len() / len, |frame, rows| {
                let Rows { numbers, band, grid, pixel } = rows;
                let rows = Rows { numbers: finish(numbers, &mut room), band, grid, pixel };
                layout::channels_first(&rows, shape.c_out, &mut y[frame * len..][..len]);
            });
        };
        // SAFETY: the bands of a frame are all its rows, which are written with all their channels.
        unsafe { par::build_rows(shape.n_frames(x), len, shape.frames_a_task::<R>(FRAMES), write) }
    }

    /// The greatest number of each window of all frames, channels first, and which number of its window that is. `finish(sums,
    /// room)` tells what sums stand for: more for a greater sum.
    fn pooled_frames<R: Real>(
        &self,
        windows: &Windows,
        x: &Sparse<'_, S>,
        finish: impl for<'b> Fn(&'b [S], &'b mut Vec<R>) -> &'b [R] + Sync,
    ) -> (Vec<R>, Vec<u8>) {
        let (shape, stride) = (self.shape, self.pixel);
        let (n, len) = (shape.n_frames(x), shape.c_out * windows.count());
        let write = |first: usize, y: &mut [MaybeUninit<R>], choices: &mut [MaybeUninit<u8>]| {
            let (mut best, mut room) = (Aligned::zeros(windows.count() * self.pixel), Vec::new());
            self.for_each_band(x, first..first + y.len() / len, |frame, rows| {
                let of = windows.in_rows(&rows.band);
                let best = &mut best[..of.len() * rows.pixel];
                let chosen =
                    &mut choices[(frame * windows.count() + of.start) * stride..][..of.len() * stride];
                windows.choose(&rows, best, chosen);
                let (y, numbers) =
                    (&mut y[frame * len + of.start..(frame + 1) * len], finish(best, &mut room));
                layout::transpose_new(numbers, rows.pixel, [of.len(), shape.c_out], y, windows.count());
            });
        };
        // SAFETY: the bands of a frame have all its windows, whose numbers and choices are written for all channels.
        unsafe {
            par::build_rows_2(n, [len, windows.count() * stride], shape.frames_a_task::<R>(FRAMES), write)
        }
    }

    /// Calls `done(frame, rows)` with the output of each of some frames, counted from the first of these, which may come in
    /// bands.
    fn for_each_band(&self, x: &Sparse<'_, S>, of: Range<usize>, mut done: impl FnMut(usize, Rows<&[S]>)) {
        let height = self.bands.first().map_or(0, Range::len);
        let (len, step) = (self.grid.of_rows(height).len() * self.pixel, frames_together(&self.kernels));
        let beyond = match self.path {
            Path::ScatterToBands(_, kernel_rows) => kernel_rows.beyond,
            _ => 0,
        };
        let (frame_len, mut scratch) = (len + 2 * beyond, Scratch::default());
        let mut buffer = Aligned::zeros(step.min(of.len()) * frame_len);
        for first in of.clone().step_by(step) {
            let some = first..(first + step).min(of.end);
            let rows = &mut buffer[..some.len() * frame_len];
            let x = if matches!(self.path, Path::Dense(_)) {
                frames(x.numbers(), self.shape.in_len(), first, some.len())
            } else {
                self.shape.list_events(x, &some, &mut scratch.events);
                &[]
            };
            for band in &self.bands {
                if !matches!(self.path, Path::Slide(_)) {
                    let rows = rows.chunks_mut(frame_len).map(|rows| &mut rows[beyond..][..len]);
                    rows.for_each(|rows| layout::fill_pixels(&self.bias, rows));
                }
                self.add(x, &mut scratch, (band, len), rows);
                let grid = self.grid.of_rows(band.len());
                for (k, rows) in rows.chunks(frame_len).enumerate() {
                    let (numbers, band) = (&rows[beyond..][..len], band.clone());
                    done(first - of.start + k, Rows { numbers, band, grid, pixel: self.pixel });
                }
            }
        }
    }

    /// Adds the products of frames, which are listed or else in `x`, to a band of their rows, of so many numbers.
    fn add(&self, x: &[S], scratch: &mut Scratch<S>, (rows, len): (&Range<usize>, usize), to: &mut [S]) {
        match &self.path {
            Path::Scatter(links) => events::scatter(links, scratch, &self.kernels, to),
            Path::ScatterToBands(links, kernel_rows) => {
                let band = Band { links, kernel_rows, rows: rows.clone(), len, first: 0 };
                events::scatter_to_band(&band, scratch, &self.kernels, to);
            }
            Path::Slide(columns) => {
                slide::forward(self.shape, columns, scratch, &self.kernels, &self.bias, to);
            }
            Path::Dense(dense) => {
                dense.forward(self.shape, (x, &mut scratch.padded), &self.kernels, to, self.pixel);
            }
        }
    }
}

/// Gradient of the weights, given the inputs and the gradient of the output.
pub fn weight_grad<R: Real>(conv: &Conv, x: &Sparse<'_, R>, gy: &[R]) -> Vec<R> {
    weight_grad_of_rows(conv, Part::all(conv), x, 0, |frame, mut rows, _| {
        layout::channels_last(frames(gy, conv.shape.out_len(), frame, 1), conv.shape.c_out, &mut rows);
    })
}

/// Gradient of the weights, given the inputs and the gradient of the output of [`forward_pooled`].
pub fn weight_grad_pooled<R: Real>(
    conv: &Conv,
    windows: &Windows,
    choices: &[u8],
    x: &Sparse<'_, R>,
    gy: &[R],
) -> Vec<R> {
    let (c_out, n, stride) = (conv.shape.c_out, windows.count(), conv.pixel_out());
    weight_grad_of_rows(conv, windows.part(), x, n * stride, |frame, rows, best| {
        let of = windows.in_rows(&rows.band);
        let best = &mut best[..of.len() * rows.pixel];
        let gy = &frames(gy, c_out * n, frame, 1)[of.start..];
        layout::transpose(gy, n, [c_out, of.len()], best, rows.pixel);
        windows.spread(best, frames(choices, stride, frame * n + of.start, of.len()), rows);
    })
}

/// `fill(frame, rows, room)` writes the gradient of some rows of a frame over that of others. It has room for so many numbers,
/// which are zero or as it left them.
fn weight_grad_of_rows<R: Real>(
    conv: &Conv,
    part: Part,
    x: &Sparse<'_, R>,
    room: usize,
    fill: impl Fn(usize, Rows<&mut [R]>, &mut [R]) + Sync,
) -> Vec<R> {
    let (shape, output) = (&conv.shape, Grid::packed(conv.shape.output()));
    let (n_frames, at_once) = (shape.n_frames(x), shape.frames_a_task::<R>(SUMMED));
    if !is_sparse(x) {
        let pixel = conv.pixel_out();
        let size = [shape.positions() * pixel, Dense::grad_len(shape)];
        let sum = sum_over_frames([n_frames, at_once], room, size, |of, [rows, room], scratch, grad| {
            for (k, numbers) in rows.chunks_mut(size[0]).enumerate() {
                fill(of.start + k, Rows { numbers, band: 0..output.size[0], grid: output, pixel }, room);
            }
            let x = frames(x.numbers(), shape.in_len(), of.start, of.len());
            conv.dense().weight_grad(shape, (x, &mut scratch.padded), rows, grad, pixel);
        });
        return Dense::weights(shape, &sum);
    }
    let (links, pixel, n) = (conv.by_input(), conv.pixel_out(), shape.c_in * conv.by_input().kernel_len);
    let sum = if let Some(kernel_rows) = &links.kernel_rows {
        let bands: Vec<Range<usize>> = part.bands::<R>(links.grid.pitch * pixel, BAND_BYTES).collect();
        let (beyond, height) = (kernel_rows.beyond, bands.first().map_or(0, Range::len));
        let len = links.grid.of_rows(height).len() * pixel;
        let frame_len = len + 2 * beyond;
        sum_over_frames([n_frames, at_once], room, [frame_len, n], |of, [rows, room], scratch, grad| {
            shape.list_events(x, &of, &mut scratch.events);
            for band in &bands {
                let grid = links.grid.of_rows(band.len());
                // Margins stay zero, and below a band of fewer rows there are others of the one above.
                for (k, rows) in rows.chunks_mut(frame_len).enumerate() {
                    let numbers = &mut rows[beyond..][..len];
                    numbers[grid.len() * pixel..].fill(R::ZERO);
                    fill(of.start + k, Rows { numbers, band: band.clone(), grid, pixel }, room);
                }
                let band = Band { links, kernel_rows, rows: band.clone(), len, first: 0 };
                events::gather_by_kernel_rows(&band, scratch, rows, grad);
            }
        })
    } else {
        let (len, band) = (links.frame_len, 0..output.size[0]);
        sum_over_frames([n_frames, at_once], room, [len, n], |of, [rows, room], scratch, grad| {
            shape.list_events(x, &of, &mut scratch.events);
            for (k, numbers) in rows.chunks_mut(len).enumerate() {
                fill(of.start + k, Rows { numbers, band: band.clone(), grid: links.grid, pixel }, room);
            }
            events::gather(links, &scratch.events, rows, grad);
        })
    };
    layout::of_input_channels(shape, &sum, links.width)
}

/// The sum of what `add(frames, [rows, room], scratch, sum)` adds for some frames at a time, on all threads, of which a task has
/// `at_once`. `size` is that of the rows of a frame, which `add` finds as it left them or zero, like the room of that many numbers,
/// and that of the sum.
fn sum_over_frames<R: Real>(
    [n_frames, at_once]: [usize; 2],
    room: usize,
    [len, n]: [usize; 2],
    add: impl Fn(Range<usize>, [&mut [R]; 2], &mut Scratch<R>, &mut [R]) + Sync,
) -> Aligned<R> {
    let parts = par::map_chunks(n_frames, at_once, |range| {
        let mut sum = Aligned::zeros(n);
        let step = frames_together(&sum);
        let (mut rows, mut room) = (Aligned::zeros(step.min(range.len()) * len), Aligned::zeros(room));
        let mut scratch = Scratch::default();
        for first in range.clone().step_by(step) {
            let some = first..(first + step).min(range.end);
            let rows = &mut rows[..some.len() * len];
            add(some, [rows, &mut room], &mut scratch, &mut sum);
        }
        sum
    });
    sum_of(parts, n)
}

/// Gradient of the inputs, given the weights and the gradient of the output.
pub fn input_grad<R: Real>(conv: &Conv, w: &[R], gy: &[R]) -> Vec<R> {
    let (shape, n_frames) = (&conv.shape, gy.len() / conv.shape.out_len());
    // Where the first frame is not sparse, no time is spent on the others.
    let first = Sparse::new(frames(gy, shape.out_len(), 0, n_frames.min(1)), shape.positions(), None);
    let known = is_sparse(&first).then(|| Sparse::new(gy, shape.positions(), None));
    if let Some(known) = known.filter(is_sparse) {
        let (links, at) = (conv.by_output(), (conv.by_output().grid, conv.by_output().frame_len));
        return input_grad_of_rows(
            conv,
            w,
            n_frames,
            at,
            Scratch::default,
            |first, kernels, rows, scratch| {
                let planes = first * shape.c_out..(first + rows.len() / links.frame_len) * shape.c_out;
                scratch.events.list(gy, known.pattern(), planes);
                events::scatter(links, scratch, kernels, rows);
            },
        );
    }
    let kernels = conv.dense().kernels_back(shape, w);
    let write = |first: usize, gx: &mut [MaybeUninit<R>]| {
        let step = kernels.iter().map(|kernels| frames_together(kernels)).max().unwrap_or(1);
        let mut rows = Aligned::zeros(step.min(gx.len() / shape.in_len()) * shape.in_len());
        let mut padded = Vec::new();
        for (i, gx) in gx.chunks_mut(step * shape.in_len()).enumerate() {
            let (rows, n) = (&mut rows[..gx.len()], gx.len() / shape.in_len());
            let gy = frames(gy, shape.out_len(), first + i * step, n);
            rows.fill(R::ZERO);
            conv.dense().input_grad(shape, (gy, &mut padded), &kernels, rows);
            for (rows, gx) in rows.chunks(shape.in_len()).zip(gx.chunks_mut(shape.in_len())) {
                layout::transpose_new(rows, shape.c_in, [shape.plane(), shape.c_in], gx, shape.plane());
            }
        }
    };
    // SAFETY: all pixels are written with all their channels.
    unsafe { par::build_rows(n_frames, shape.in_len(), shape.frames_a_task::<R>(FRAMES), write) }
}

/// Gradient of the inputs, given the weights and the gradient of the output of [`forward_pooled`].
pub fn input_grad_pooled<R: Real>(
    conv: &Conv,
    windows: &Windows,
    choices: &[u8],
    w: &[R],
    gy: &[R],
) -> Vec<R> {
    let (shape, n, pixel, links) = (&conv.shape, windows.count(), conv.pixel_out(), conv.by_output());
    let slides = slide::fits(shape, links.strides[0]);
    let (grid, len) = if slides {
        let grid = Grid::with_margin(shape.input, shape.padding[1]);
        // What a kernel adds to the last pixels ends with the zeros that fill its registers.
        (grid, grid.len() * shape.c_in + links.strides[0] - shape.kernel[1] * shape.c_in)
    } else {
        (links.grid, links.frame_len)
    };
    let room = || (Aligned::zeros(n * pixel), Chosen::default());
    let n_frames = gy.len() / (shape.c_out * n);
    input_grad_of_rows(conv, w, n_frames, (grid, len), room, |first, kernels, rows, (best, room)| {
        for (i, numbers) in rows.chunks_mut(len).enumerate() {
            let gy = frames(gy, shape.c_out * n, first + i, 1);
            layout::transpose(gy, n, [shape.c_out, n], best, pixel);
            let choices = frames(choices, n * pixel, first + i, 1);
            if slides {
                let rows = Rows { numbers, band: 0..shape.input[0], grid, pixel: shape.c_in };
                slide::backward(shape, windows, (best, choices), kernels, room, rows);
            } else {
                windows.scatter(best, choices, links, kernels, numbers);
            }
        }
    })
}

/// `fill(first, kernels, rows, room)` adds to the zeros of `rows` the gradient of the inputs in frames from `first` on, of `len`
/// numbers each, whose pixels are on the grid; it finds `room` as it left it, or new.
fn input_grad_of_rows<R: Real, W>(
    conv: &Conv,
    w: &[R],
    n_frames: usize,
    (grid, len): (Grid, usize),
    room: impl Fn() -> W + Sync,
    fill: impl Fn(usize, &[R], &mut [R], &mut W) + Sync,
) -> Vec<R> {
    let (shape, links) = (&conv.shape, conv.by_output());
    let (pixel, band) = (links.groups * links.width, 0..shape.input[0]);
    let kernels = layout::taps_first(shape, w, links.width, links.strides[0]);
    let write = |first: usize, gx: &mut [MaybeUninit<R>]| {
        let step = frames_together(&kernels);
        let (mut rows, mut room) = (Aligned::zeros(step.min(gx.len() / shape.in_len()) * len), room());
        for (i, gx) in gx.chunks_mut(step * shape.in_len()).enumerate() {
            let rows = &mut rows[..gx.len() / shape.in_len() * len];
            rows.fill(R::ZERO);
            fill(first + i * step, &kernels, rows, &mut room);
            for (numbers, gx) in rows.chunks(len).zip(gx.chunks_mut(shape.in_len())) {
                layout::channels_first(&Rows { numbers, band: band.clone(), grid, pixel }, shape.c_in, gx);
            }
        }
    };
    // SAFETY: all rows of a frame are written with all their channels.
    unsafe { par::build_rows(n_frames, shape.in_len(), shape.frames_a_task::<R>(FRAMES), write) }
}

/// Products of nonzero inputs with weights, and products of a dense engine.
pub fn synops<S: Scalar>(conv: &Conv, x: &[S]) -> (u64, u64) {
    let (shape, plane) = (&conv.shape, conv.shape.plane());
    let fan_out: Vec<u64> = links::fan_out(shape).iter().map(|n| n * shape.group_out() as u64).collect();
    let effective = x
        .chunks(plane)
        .map(|p| p.iter().zip(&fan_out).filter(|(v, _)| !v.is_zero()).map(|(_, &n)| n).sum::<u64>());
    let dense = (x.len() / plane) as u64 * fan_out.iter().sum::<u64>();
    (effective.sum(), dense)
}

fn frames<S>(x: &[S], len: usize, first: usize, n: usize) -> &[S] {
    &x[first * len..(first + n) * len]
}

/// Frames that are worked on together: one where all kernels stay in the first-level caches; else some, so that the
/// kernel of a channel is fetched once for all of them.
fn frames_together<S>(kernels: &[S]) -> usize {
    if size_of_val(kernels) <= KERNEL_BYTES { 1 } else { FRAMES }
}

fn is_sparse<S: Number>(x: &Sparse<'_, S>) -> bool {
    has_few(x.pattern())
}

/// Whether adding rows for each nonzero number is faster than the products of all.
#[allow(clippy::cast_precision_loss, reason = "a share against a threshold")]
fn has_few(x: &Pattern) -> bool {
    x.n_nonzero() as f64 <= (x.n_rows() * x.n_cols()) as f64 * DENSE_ABOVE
}

fn sum_of<S: Scalar>(parts: Vec<Aligned<S>>, len: usize) -> Aligned<S> {
    let add = |mut sum: Aligned<S>, part: Aligned<S>| {
        sum.iter_mut().zip(part.iter()).for_each(|(s, &p)| *s += p);
        sum
    };
    parts.into_iter().reduce(add).unwrap_or_else(|| Aligned::zeros(len))
}

#[cfg(test)]
mod tests;
