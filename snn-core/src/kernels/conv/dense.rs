//! Convolution where about all numbers count: sums of many outputs at a time, which stay in registers while the taps of
//! their windows pass by ([`Products`]).
//!
//! Nothing is copied into rows first: around a frame there are zeros, and then the number that a window meets with a tap is
//! at the window's place plus the tap's.

use super::{ConvShape, layout};
use crate::kernels::aligned::Aligned;
use crate::kernels::number::Number;
use crate::kernels::simd::Products;
use crate::vectorized;
use std::borrow::Cow;

/// Frames with zeros around them.
#[derive(Clone, Copy, Debug)]
struct Padded {
    channels: usize,
    /// Height and width without zeros.
    inner: [usize; 2],
    /// Rows of zeros above, and columns on the left.
    lead: [usize; 2],
    /// Height and width with zeros.
    outer: [usize; 2],
}

impl Padded {
    /// Numbers of a channel.
    fn plane(&self) -> usize {
        self.outer[0] * self.outer[1]
    }

    /// Numbers of a frame.
    fn len(&self) -> usize {
        self.channels * self.plane()
    }

    /// Frames `[F][channels][inner]` with their zeros, in a room that only such frames have been in.
    fn of<'a, S: Number>(&self, x: &'a [S], room: &'a mut Vec<S>) -> &'a [S] {
        let [h, w] = self.inner;
        if self.inner == self.outer {
            return x;
        }
        let len = x.len() / (h * w) * self.plane();
        if room.len() < len {
            room.resize(len, S::ZERO);
        }
        // Where a length is known when compiling, a row is copied without a call.
        match w {
            8 => self.copy_rows(x, room, |from, to| to[..8].copy_from_slice(&from[..8])),
            16 => self.copy_rows(x, room, |from, to| to[..16].copy_from_slice(&from[..16])),
            32 => self.copy_rows(x, room, |from, to| to[..32].copy_from_slice(&from[..32])),
            _ => self.copy_rows(x, room, |from, to| to[..w].copy_from_slice(from)),
        }
        &room[..len]
    }

    /// Copies each row of `x` to its place by `copy`.
    fn copy_rows<S>(&self, x: &[S], room: &mut [S], copy: impl Fn(&[S], &mut [S])) {
        let ([h, w], [top, left]) = (self.inner, self.lead);
        for (from, to) in x.chunks(h * w).zip(room.chunks_mut(self.plane())) {
            let rows = to[top * self.outer[1]..].chunks_mut(self.outer[1]);
            from.chunks(w).zip(rows).for_each(|(from, to)| copy(from, &mut to[left..]));
        }
    }

    /// For each frame, one after the other, these places in it.
    fn of_frames<'a>(&self, places: &'a [usize], n_frames: usize) -> Cow<'a, [usize]> {
        if n_frames == 1 {
            return Cow::Borrowed(places);
        }
        (0..n_frames).flat_map(|f| places.iter().map(move |p| f * self.len() + p)).collect()
    }
}

/// Where outputs and taps meet the numbers of a frame.
#[derive(Debug)]
pub(super) struct Dense {
    input: Padded,
    /// Where the window of each output begins.
    windows: Vec<usize>,
    /// Where each tap of a group is from there, `[C_in/groups][kh][kw]`.
    taps: Vec<usize>,
    /// The gradient of the output.
    gradient: Padded,
    phases: Vec<Phase>,
}

/// The pixels of the input that the same taps of a window meet; with strides there are several such sets.
#[derive(Debug)]
struct Phase {
    /// The pixels.
    pixels: Vec<usize>,
    /// Where each of them is in the frame of the output's gradient.
    places: Vec<usize>,
    /// The taps, `[kh · kw]`.
    taps: Vec<usize>,
    /// Where the gradient of each tap of a group is from there, `[C_out/groups][taps]`.
    bases: Vec<usize>,
}

impl Dense {
    pub(super) fn new(shape: &ConvShape) -> Self {
        let padded = std::array::from_fn(|i| shape.input[i] + 2 * shape.padding[i]);
        let input = Padded { channels: shape.c_in, inner: shape.input, lead: shape.padding, outer: padded };
        let place = |y: usize, x: usize| y * padded[1] + x;
        let ([h, w], [kh, kw]) = (shape.output(), shape.kernel);
        let windows = grid([h, w]).map(|[y, x]| place(y * shape.stride[0], x * shape.stride[1])).collect();
        let tap = |[y, x]: [usize; 2]| place(y * shape.dilation[0], x * shape.dilation[1]);
        let of_channel = |c: usize| grid([kh, kw]).map(move |k| c * padded[0] * padded[1] + tap(k));
        let taps = (0..shape.group_in()).flat_map(of_channel).collect();
        let gradient = gradient(shape);
        let phases = grid(shape.stride).map(|phase| Phase::new(shape, &gradient, phase)).collect();
        Self { input, windows, taps, gradient, phases }
    }

    /// Numbers from one row of kernels to the next.
    fn stride(n: usize) -> usize {
        n.next_multiple_of(16)
    }

    /// Weights as [`Self::forward`] reads them: `[groups][C_in/groups · kh · kw][C_out/groups, filled up]`.
    pub(super) fn kernels<S: Number>(shape: &ConvShape, w: &[S]) -> Aligned<S> {
        let (n, taps, stride) = (shape.group_out(), shape.taps(), Self::stride(shape.group_out()));
        let mut kernels = Aligned::zeros(shape.groups * taps * stride);
        for (from, to) in w.chunks(n * taps).zip(kernels.chunks_mut(taps * stride)) {
            layout::transpose(from, taps, [n, taps], to, stride);
        }
        kernels
    }

    /// Numbers of the sum of [`Self::weight_grad`].
    pub(super) fn grad_len(shape: &ConvShape) -> usize {
        shape.groups * shape.taps() * Self::stride(shape.group_out())
    }

    /// The inverse of [`Self::kernels`].
    pub(super) fn weights<S: Number>(shape: &ConvShape, kernels: &[S]) -> Vec<S> {
        let (n, taps, stride) = (shape.group_out(), shape.taps(), Self::stride(shape.group_out()));
        let mut w = vec![S::ZERO; shape.c_out * taps];
        for (from, to) in kernels.chunks(taps * stride).zip(w.chunks_mut(n * taps)) {
            layout::transpose(from, stride, [taps, n], to, taps);
        }
        w
    }

    /// Adds the convolution of `x` `[F][C_in][H · W]` to `rows` `[F · positions][pixel]`.
    pub(super) fn forward<S: Number>(
        &self,
        shape: &ConvShape,
        (x, room): (&[S], &mut Vec<S>),
        kernels: &[S],
        rows: &mut [S],
        pixel: usize,
    ) {
        let (n, stride) = (shape.group_out(), Self::stride(shape.group_out()));
        let offsets = self.input.of_frames(&self.windows, x.len() / shape.in_len());
        let x = self.input.of(x, room);
        for (group, rows_of) in kernels.chunks(self.taps.len() * stride).enumerate() {
            let x = &x[group * shape.group_in() * self.input.plane()..];
            let products =
                Products { x, offsets: &offsets, bases: &self.taps, rows: rows_of, stride, width: n };
            add(&products, &mut rows[group * n..], pixel);
        }
    }

    /// Adds the gradient of [`Self::kernels`] to `grad`: `x` `[F][C_in][H · W]`, `rows` `[F · positions][pixel]`.
    pub(super) fn weight_grad<S: Number>(
        &self,
        shape: &ConvShape,
        (x, room): (&[S], &mut Vec<S>),
        rows: &[S],
        grad: &mut [S],
        pixel: usize,
    ) {
        let (n, stride) = (shape.group_out(), Self::stride(shape.group_out()));
        let bases = self.input.of_frames(&self.windows, x.len() / shape.in_len());
        let x = self.input.of(x, room);
        for (group, grad) in grad.chunks_mut(self.taps.len() * stride).enumerate() {
            let (x, rows) = (&x[group * shape.group_in() * self.input.plane()..], &rows[group * n..]);
            let products = Products { x, offsets: &self.taps, bases: &bases, rows, stride: pixel, width: n };
            add(&products, grad, stride);
        }
    }

    /// Weights as [`Self::input_grad`] reads them: for each phase
    /// `[groups][C_out/groups][taps of the phase][C_in/groups, filled up]`.
    pub(super) fn kernels_back<S: Number>(&self, shape: &ConvShape, w: &[S]) -> Vec<Aligned<S>> {
        let (stride, window) = (Self::stride(shape.group_in()), shape.window_len());
        let all = layout::taps_first(shape, w, stride, shape.kernel[1] * stride);
        let of_phase = |phase: &Phase| {
            let mut kernels = Aligned::zeros(shape.c_out * phase.taps.len() * stride);
            let taps = (0..shape.c_out).flat_map(|c| phase.taps.iter().map(move |tap| c * window + tap));
            for (to, tap) in kernels.chunks_mut(stride).zip(taps) {
                to.copy_from_slice(&all[tap * stride..][..stride]);
            }
            kernels
        };
        self.phases.iter().map(of_phase).collect()
    }

    /// Adds the gradient of the inputs to the zeros of `rows` `[F · H · W][C_in]`: `gy` `[F][C_out][positions]`.
    pub(super) fn input_grad<S: Number>(
        &self,
        shape: &ConvShape,
        (gy, room): (&[S], &mut Vec<S>),
        kernels: &[Aligned<S>],
        rows: &mut [S],
    ) {
        let n_frames = gy.len() / shape.out_len();
        let gy = self.gradient.of(gy, room);
        if let ([phase], [kernels]) = (&self.phases[..], kernels) {
            // Without strides a phase has all pixels, in their order.
            return self.add_phase(shape, phase, (gy, n_frames), kernels, rows);
        }
        for (phase, kernels) in self.phases.iter().zip(kernels) {
            let mut part = Aligned::zeros(n_frames * phase.pixels.len() * shape.c_in);
            self.add_phase(shape, phase, (gy, n_frames), kernels, &mut part);
            let pixels = (0..n_frames).flat_map(|f| phase.pixels.iter().map(move |p| f * shape.plane() + p));
            for (pixel, from) in pixels.zip(part.chunks(shape.c_in)) {
                rows[pixel * shape.c_in..][..shape.c_in].copy_from_slice(from);
            }
        }
    }

    /// Adds the gradient of the pixels of a phase to `rows` `[F · pixels][C_in]`: `gy` is padded.
    fn add_phase<S: Number>(
        &self,
        shape: &ConvShape,
        phase: &Phase,
        (gy, n_frames): (&[S], usize),
        kernels: &[S],
        rows: &mut [S],
    ) {
        let (n, stride) = (shape.group_in(), Self::stride(shape.group_in()));
        let offsets = self.gradient.of_frames(&phase.places, n_frames);
        let len = phase.bases.len() * stride;
        for group in 0..shape.groups {
            let x = &gy[group * shape.group_out() * self.gradient.plane()..];
            let kernels = &kernels[group * len..][..len];
            let products =
                Products { x, offsets: &offsets, bases: &phase.bases, rows: kernels, stride, width: n };
            add(&products, &mut rows[group * n..], shape.c_in);
        }
    }
}

/// The gradient of the output with room for what windows reach beyond it.
fn gradient(shape: &ConvShape) -> Padded {
    let inner = shape.output();
    let lead = std::array::from_fn(|i| (shape.window()[i] - 1) / shape.stride[i]);
    let last = |i: usize| (shape.input[i] - 1 + shape.padding[i]) / shape.stride[i];
    let outer = std::array::from_fn(|i| lead[i] + inner[i].max(last(i) + 1));
    Padded { channels: shape.c_out, inner, lead, outer }
}

impl Phase {
    /// The pixels whose distance from the first window's begin leaves this rest when divided by the stride.
    fn new(shape: &ConvShape, gradient: &Padded, rest: [usize; 2]) -> Self {
        // An output at `o` meets pixel `p` with tap `k` if `s·o + d·k = p + padding`: both sides leave the same rest, and
        // `o` is the difference of the quotients.
        let quotient = |axis: usize, at: usize| {
            (at % shape.stride[axis] == rest[axis]).then_some(at / shape.stride[axis])
        };
        let both = |[y, x]: [usize; 2]| Some([quotient(0, y)?, quotient(1, x)?]);
        let place = |[y, x]: [usize; 2]| y * gradient.outer[1] + x;
        let (mut pixels, mut places) = (Vec::new(), Vec::new());
        for (pixel, [y, x]) in grid(shape.input).enumerate() {
            if let Some([y, x]) = both([y + shape.padding[0], x + shape.padding[1]]) {
                pixels.push(pixel);
                places.push(place([y, x]));
            }
        }
        let (mut taps, mut back) = (Vec::new(), Vec::new());
        for (tap, [y, x]) in grid(shape.kernel).enumerate() {
            if let Some([y, x]) = both([y * shape.dilation[0], x * shape.dilation[1]]) {
                taps.push(tap);
                back.push(place([gradient.lead[0] - y, gradient.lead[1] - x]));
            }
        }
        let of_channel = |c: usize| back.iter().map(move |b| c * gradient.plane() + b);
        let bases = (0..shape.group_out()).flat_map(of_channel).collect();
        Self { pixels, places, taps, bases }
    }
}

/// All rows and columns, row by row.
fn grid([rows, columns]: [usize; 2]) -> impl Iterator<Item = [usize; 2]> {
    (0..rows).flat_map(move |y| (0..columns).map(move |x| [y, x]))
}

vectorized! {
    /// Adds products to `to`, whose rows are `stride` apart.
    fn add[S: Number](lanes; products: &Products<'_, S>, to: &mut [S], stride: usize) {
        lanes.add_products(products, (to, stride));
    }
}
