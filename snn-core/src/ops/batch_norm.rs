//! Batch normalization: the statistics of a batch, and the normalization by them or by given ones.
//!
//! Training feeds the statistics of a batch to [`BatchNorm`], whose gradient is that through both; inference feeds running
//! statistics to [`Normalize`]. Statistics run over time, samples and space of each channel.
//!
//! # References
//! Ioffe, Szegedy, "Batch normalization: accelerating deep network training by reducing internal covariate shift", 2015
//! (arXiv:1502.03167), algorithm 1; statistics over time and batch as in Zheng et al., "Going deeper with
//! directly-trained larger spiking neural networks", 2020 (arXiv:2011.05280; tdBN), whose factor `α·θ` is a matter of
//! the gain's initial value.

use crate::kernels::channels::{self, Factors, Runs};
use crate::kernels::par::{build_from_zeros, for_row_chunks, map_chunks};
use crate::kernels::sums;
use crate::op::{Backward, Op, Saved};
use crate::scalar::Scalar;
use crate::tensor::Tensor;

/// Frames per parallel task; fixed, so that sums do not depend on the number of threads.
const FRAMES_PER_TASK: usize = 32;

/// How `[T, B, C, space…]` lies in memory: `T·B` frames of `C` channels of `space` entries.
#[derive(Clone, Copy)]
struct Layout {
    frames: usize,
    channels: usize,
    space: usize,
}

impl Layout {
    fn of(op: &str, shape: &[usize]) -> Self {
        assert!(shape.len() >= 3, "{op}: input of shape {shape:?}, expected [T, B, C, …]");
        let layout =
            Self { frames: shape[0] * shape[1], channels: shape[2], space: shape[3..].iter().product() };
        assert!(layout.frames * layout.space > 0, "{op}: nothing to normalize in shape {shape:?}");
        layout
    }

    fn frame_len(self) -> usize {
        self.channels * self.space
    }

    /// Entries per channel.
    fn n(self) -> f64 {
        (self.frames * self.space) as f64
    }

    /// Numbers from this place on.
    fn runs(self, first: usize) -> Runs {
        Runs { channels: self.channels, space: self.space, first }
    }

    /// Mean and biased variance of each channel, in one pass over memory.
    ///
    /// A run of `space` entries has its own mean `m`, and all runs are of one length, so that
    /// `Σ (x − μ)² = Σ over runs of (Σ (x − m)² + space · (m − μ)²)`.
    fn moments<S: Scalar>(self, x: &[S]) -> [Vec<S>; 2] {
        let parts = map_chunks(self.frames, FRAMES_PER_TASK, |frames| {
            let mut parts = [(); 2].map(|()| vec![S::ZERO; frames.len() * self.channels]);
            let [means, squares] = &mut parts;
            let at = frames.start * self.frame_len()..frames.end * self.frame_len();
            channels::moments(self.runs(at.start), &x[at], means, squares);
            parts
        });
        let means = || parts.iter().flat_map(|[means, _]| means.chunks(self.channels));
        let [per_frame, per_entry] = [self.frames as f64, self.n()].map(|n| S::from_f64(1.0 / n));
        let distances = |mean: &[S], f: fn(S) -> S| {
            let mut sum = vec![S::ZERO; self.channels];
            for row in means() {
                sum.iter_mut().zip(row.iter().zip(mean)).for_each(|(sum, (&m, &mean))| *sum += f(m - mean));
            }
            sum
        };
        let mut mean = vec![S::ZERO; self.channels];
        // The second round adds what the first lost by rounding.
        for _ in 0..2 {
            let rest = distances(&mean, |d| d);
            mean.iter_mut().zip(rest).for_each(|(mean, rest)| *mean += rest * per_frame);
        }
        let between = distances(&mean, |d| d * d);
        let mut within = vec![S::ZERO; self.channels];
        parts.iter().for_each(|[_, squares]| sums::add_rows(&mut within, squares));
        let variance = within.into_iter().zip(between).map(|(w, b)| w * per_entry + b * per_frame);
        let variance = variance.collect();
        [mean, variance]
    }
}

/// Mean and biased variance of each channel over time, samples and space.
///
/// Input: `x` of shape `[T, B, C, …]`; output `[2, C]`: row 0 the mean `μ = Σ x / n`, row 1 the variance
/// `v = Σ (x − μ)² / n`. Backward: `gx = (gμ + 2·(x − μ)·gv) / n`. Saved: nothing.
#[derive(Clone, Copy, Debug)]
pub struct BatchStats;

impl<S: Scalar> Op<S> for BatchStats {
    fn name(&self) -> &'static str {
        "batch_stats"
    }

    fn forward(&self, x: &[&Tensor<S>], _saved: &mut Saved<S>) -> Tensor<S> {
        let layout = Layout::of("batch_stats", x[0].shape());
        Tensor::new(&[2, layout.channels], layout.moments(x[0].as_slice()).concat())
    }

    fn backward(&self, ctx: &Backward<'_, S>) -> Vec<Option<Tensor<S>>> {
        let gx = || {
            let layout = Layout::of("batch_stats", ctx.x[0].shape());
            let (x, mean, len) = (ctx.x[0].as_slice(), ctx.y.as_slice(), layout.frame_len());
            let (g_mean, g_variance) = ctx.gy.as_slice().split_at(layout.channels);
            let (inverse, two) = (S::from_f64(1.0 / layout.n()), S::from_f64(2.0));
            let of = |c: usize| {
                let (mean, g_mean, g_variance) = (mean[c], g_mean[c], g_variance[c]);
                move |v| (g_mean + two * (v - mean) * g_variance) * inverse
            };
            let write = |frame: usize, gx: &mut [S]| {
                channels::map(layout.runs(frame * len), &x[frame * len..][..len], &of, gx);
            };
            Tensor::new(ctx.x[0].shape(), build_from_zeros(layout.frames, len, FRAMES_PER_TASK, write))
        };
        vec![ctx.grad(0, gx)]
    }
}

/// `y = γ·(x − μ)/√(v + ε) + β` for each channel.
///
/// Inputs: `x` of shape `[T, B, C, …]`, statistics `[2, C]` (`μ`, then `v`), gain `γ` `[C]`, shift `β` `[C]`. Backward,
/// with `r = 1/√(v + ε)`, `x̂ = (x − μ)·r` and sums over the entries of a channel: `gx = gy·γ·r`, `gμ = −γ·r·Σ gy`,
/// `gv = −γ·r²/2·Σ gy·x̂`, `gγ = Σ gy·x̂`, `gβ = Σ gy`. Saved: nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Normalize {
    /// Added to the variance; 1e-5 is usual.
    pub epsilon: f32,
}

impl<S: Scalar> Op<S> for Normalize {
    fn name(&self) -> &'static str {
        "normalize"
    }

    fn forward(&self, x: &[&Tensor<S>], _saved: &mut Saved<S>) -> Tensor<S> {
        Norm::Given(*self).forward(x)
    }

    fn backward(&self, ctx: &Backward<'_, S>) -> Vec<Option<Tensor<S>>> {
        Norm::Given(*self).backward(ctx)
    }
}

/// [`Normalize`] by the statistics of `x` itself.
///
/// Inputs: as of [`Normalize`], with the output of [`BatchStats`] on `x` as statistics: their tangents are taken as they come,
/// and their gradient is part of that of `x`, so that they have none of their own. Backward, with means over the `n` entries
/// of a channel: `gx = γ·r·(gy − mean(gy) − x̂·mean(gy·x̂))`, `gγ = Σ gy·x̂`, `gβ = Σ gy`. Saved: nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchNorm {
    /// Added to the variance; 1e-5 is usual.
    pub epsilon: f32,
}

impl<S: Scalar> Op<S> for BatchNorm {
    fn name(&self) -> &'static str {
        "batch_norm"
    }

    fn forward(&self, x: &[&Tensor<S>], _saved: &mut Saved<S>) -> Tensor<S> {
        Norm::Own(*self).forward(x)
    }

    fn backward(&self, ctx: &Backward<'_, S>) -> Vec<Option<Tensor<S>>> {
        Norm::Own(*self).backward(ctx)
    }
}

/// A normalization, which may be worked on together with what stands behind it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Norm {
    /// By statistics of the batch.
    Own(BatchNorm),
    /// By statistics from elsewhere.
    Given(Normalize),
}

impl Norm {
    /// Inputs of the op: `x`, statistics, gain and shift.
    pub const N_INPUTS: usize = 4;

    /// As an op of its own.
    #[must_use]
    pub fn op<S: Scalar>(self) -> Box<dyn Op<S>> {
        match self {
            Self::Own(norm) => Box::new(norm),
            Self::Given(norm) => Box::new(norm),
        }
    }

    /// The inputs of a call, checked.
    pub(crate) fn inputs<'a, S: Scalar>(self, x: &[&'a Tensor<S>]) -> Inputs<'a, S> {
        let (op, epsilon) = match self {
            Self::Own(norm) => ("batch_norm", norm.epsilon),
            Self::Given(norm) => ("normalize", norm.epsilon),
        };
        Inputs::of(op, x, epsilon)
    }

    fn forward<S: Scalar>(self, x: &[&Tensor<S>]) -> Tensor<S> {
        let inputs = self.inputs(x);
        let (frames, len) = (inputs.layout.frames, inputs.layout.frame_len());
        let write = |frame: usize, out: &mut [S]| inputs.normalize(frame * len, out);
        Tensor::new(x[0].shape(), build_from_zeros(frames, len, FRAMES_PER_TASK, write))
    }

    fn backward<S: Scalar>(self, ctx: &Backward<'_, S>) -> Vec<Option<Tensor<S>>> {
        let inputs = self.inputs(ctx.x);
        let len = inputs.layout.frame_len();
        let n_summed = if self.takes_sums(ctx.need) { inputs.layout.frames } else { 0 };
        let parts = map_chunks(n_summed, FRAMES_PER_TASK, |frames| {
            let mut sums = inputs.no_sums();
            let at = frames.start * len..frames.end * len;
            inputs.add_sums(at.start, &ctx.gy.as_slice()[at], &mut sums);
            sums
        });
        self.grads(&inputs, &parts, ctx.gy.clone(), ctx.need)
    }

    /// Whether the gradients that are needed take the sums of [`Inputs::add_sums`].
    pub(crate) fn takes_sums(self, need: &[bool]) -> bool {
        matches!(self, Self::Own(_)) || need[1..Self::N_INPUTS].contains(&true)
    }

    /// The gradients of all inputs of which some are needed, given the parts of the sums, if it takes any, and the gradient of the
    /// output, in whose place that of `x` comes.
    pub(crate) fn grads<S: Scalar>(
        self,
        inputs: &Inputs<'_, S>,
        parts: &[Vec<[S; 2]>],
        mut g: Tensor<S>,
        need: &[bool],
    ) -> Vec<Option<Tensor<S>>> {
        let n = inputs.layout.channels;
        let sum = |k: usize| {
            let mut total = vec![S::ZERO; n];
            parts.iter().for_each(|part| total.iter_mut().zip(part).for_each(|(t, p)| *t += p[k]));
            total
        };
        let [g_gain, g_shift] = [sum(0), sum(1)];
        if need[0] {
            self.to_input_grad(inputs, [&g_gain, &g_shift], g.as_mut_slice());
        }
        let g_stats =
            (need[1] && matches!(self, Self::Given(_))).then(|| inputs.stats_grad(&g_gain, &g_shift));
        let vector = |v: Vec<S>| Tensor::new(&[n], v);
        vec![need[0].then_some(g), g_stats, need[2].then(|| vector(g_gain)), need[3].then(|| vector(g_shift))]
    }

    /// Turns the gradient of the output, of these sums, into that of `x`.
    fn to_input_grad<S: Scalar>(self, inputs: &Inputs<'_, S>, [g_gain, g_shift]: [&[S]; 2], g: &mut [S]) {
        let layout = inputs.layout;
        let inverse = match self {
            Self::Own(_) => S::from_f64(1.0 / layout.n()),
            Self::Given(_) => S::ZERO,
        };
        let of = |c: usize| {
            let (mean, slope, g_mean) = (inputs.of.mean[c], inputs.of.slope[c], g_shift[c] * inverse);
            let by_distance = inputs.r[c] * g_gain[c] * inverse;
            move |g, v| slope * (g - g_mean - (v - mean) * by_distance)
        };
        for_row_chunks(g, layout.frame_len(), FRAMES_PER_TASK, |frame, g| {
            let at = frame * layout.frame_len();
            channels::update(layout.runs(at), g, &inputs.x[at..at + g.len()], &of);
        });
    }
}

/// What normalizes `c` channels, and their `1/√(v + ε)`, from statistics, gain and shift.
pub(crate) fn factors<S: Scalar>(op: &str, c: usize, x: &[&Tensor<S>], epsilon: f32) -> (Factors<S>, Vec<S>) {
    let fits = x[0].shape() == [2, c] && x[1].shape() == [c] && x[2].shape() == [c];
    assert!(fits, "{op}: shapes {:?}", x.iter().map(|t| t.shape()).collect::<Vec<_>>());
    let (mean, variance) = x[0].as_slice().split_at(c);
    let epsilon = S::from_f64(f64::from(epsilon));
    let r: Vec<S> = variance.iter().map(|&v| S::ONE / (v + epsilon).sqrt()).collect();
    let slope = x[1].as_slice().iter().zip(&r).map(|(&gain, &r)| gain * r).collect();
    (Factors { mean: mean.to_vec(), slope, shift: x[2].as_slice().to_vec() }, r)
}

/// The inputs of a call to a [`Norm`], checked.
pub(crate) struct Inputs<'a, S> {
    layout: Layout,
    x: &'a [S],
    of: Factors<S>,
    /// `1/√(v + ε)` of each channel.
    r: Vec<S>,
}

impl<'a, S: Scalar> Inputs<'a, S> {
    fn of(op: &str, x: &[&'a Tensor<S>], epsilon: f32) -> Self {
        let layout = Layout::of(op, x[0].shape());
        let (of, r) = factors(op, layout.channels, &x[1..], epsilon);
        Self { layout, x: x[0].as_slice(), of, r }
    }

    /// Writes the output from place `first` on: `γ·(x − μ)/√(v + ε) + β`.
    pub(crate) fn normalize(&self, first: usize, to: &mut [S]) {
        let of = |c: usize| {
            let (mean, slope, shift) = (self.of.mean[c], self.of.slope[c], self.of.shift[c]);
            move |v| (v - mean) * slope + shift
        };
        channels::map(self.layout.runs(first), &self.x[first..first + to.len()], &of, to);
    }

    /// What [`add_sums`](Self::add_sums) begins with.
    pub(crate) fn no_sums(&self) -> Vec<[S; 2]> {
        vec![[S::ZERO; 2]; self.layout.channels]
    }

    /// Adds to `sums[c]` the `gy·x̂` and the `gy` of the places of channel `c` from `first` on: the gradients by gain and shift.
    pub(crate) fn add_sums(&self, first: usize, gy: &[S], sums: &mut [[S; 2]]) {
        let of = |c: usize| {
            let (mean, r) = (self.of.mean[c], self.r[c]);
            (move |g, v| g * (v - mean) * r, |g, _| g)
        };
        channels::add_sums(self.layout.runs(first), [gy, &self.x[first..first + gy.len()]], &of, sums);
    }

    /// The gradient of the statistics, where they are no part of `x`.
    fn stats_grad(&self, g_gain: &[S], g_shift: &[S]) -> Tensor<S> {
        let (n, half) = (self.layout.channels, S::from_f64(0.5));
        let g_mean = (0..n).map(|c| -(self.of.slope[c] * g_shift[c]));
        let g_variance = (0..n).map(|c| -(half * self.of.slope[c] * self.r[c] * g_gain[c]));
        Tensor::new(&[2, n], g_mean.chain(g_variance).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{backward, forward};
    use snn_testkit::assert_close;

    /// Two channels over two steps, one sample, two places.
    fn input() -> Tensor<f64> {
        Tensor::new(&[2, 1, 2, 2], vec![1.0, 3.0, 10.0, 10.0, 5.0, 7.0, 10.0, 14.0])
    }

    #[test]
    fn statistics_run_over_time_samples_and_space() {
        let stats = forward(&BatchStats, &[&input()]);
        assert_eq!(stats, Tensor::new(&[2, 2], vec![4.0, 11.0, 5.0, 3.0]));
    }

    #[test]
    fn gradients_of_mean_and_variance() {
        let gy = Tensor::new(&[2, 2], vec![4.0, 0.0, 0.0, 2.0]);
        let gx = &backward(&BatchStats, &[&input()], &gy)[0];
        assert_eq!(gx.as_slice(), [1.0, 1.0, -1.0, -1.0, 1.0, 1.0, -1.0, 3.0]);
    }

    #[test]
    fn normalizing_uses_the_statistics_given() {
        let stats = Tensor::new(&[2, 2], vec![1.0, 10.0, 4.0, 16.0]);
        let (gain, shift) = (Tensor::new(&[2], vec![2.0, 1.0]), Tensor::new(&[2], vec![0.5, 0.0]));
        let inputs = [&input(), &stats, &gain, &shift];
        let op = Normalize { epsilon: 0.0 };
        assert_eq!(forward(&op, &inputs).as_slice(), [0.5, 2.5, 0.0, 0.0, 4.5, 6.5, 0.0, 1.0]);
        let grads = backward(&op, &inputs, &Tensor::full(&[2, 1, 2, 2], 1.0));
        assert_eq!(grads[0].as_slice(), [1.0, 1.0, 0.25, 0.25, 1.0, 1.0, 0.25, 0.25]);
        assert_eq!(grads[1].as_slice(), [-4.0, -1.0, -1.5, -0.03125]);
        assert_eq!([grads[2].as_slice(), grads[3].as_slice()], [[6.0, 1.0], [4.0, 4.0]]);
    }

    #[test]
    fn the_gradient_of_batch_norm_is_that_through_statistics_and_normalization() {
        let x = input();
        let gy = Tensor::new(&[2, 1, 2, 2], vec![0.3, -1.0, 0.7, 0.2, 1.1, 0.4, -0.6, 0.9]);
        let (gain, shift) = (Tensor::new(&[2], vec![1.5, 0.5]), Tensor::new(&[2], vec![0.1, -0.2]));
        let stats = forward(&BatchStats, &[&x]);
        let inputs = [&x, &stats, &gain, &shift];
        let (whole, epsilon) = (BatchNorm { epsilon: 1e-5 }, 1e-5);
        assert_eq!(forward(&whole, &inputs), forward(&Normalize { epsilon }, &inputs));
        let direct = backward(&Normalize { epsilon }, &inputs, &gy);
        let mut gx = backward(&BatchStats, &[&x], &direct[1])[0].clone();
        gx.add_assign(&direct[0]);
        let got = backward(&whole, &inputs, &gy);
        for (got, want) in got.iter().zip([&gx, &direct[2], &direct[3]]) {
            assert_close("gradient", got.as_slice(), want.as_slice(), 1e-12, 1e-12);
        }
    }

    #[test]
    fn statistics_are_exact_far_from_zero() {
        let at = |i: u64| 1e5 + 2.0 * (i % 2) as f32;
        for shape in [[40, 2, 1, 37], [40, 74, 1, 1]] {
            let n: usize = shape.iter().product();
            let x = Tensor::<f32>::new(&shape, (0..n as u64).map(at).collect());
            let stats = forward(&BatchStats, &[&x]);
            assert_close("mean", &stats.as_slice()[..1], &[1e5 + 1.0], 1e-6, 0.0);
            assert_close("variance", &stats.as_slice()[1..], &[1.0], 0.02, 0.0);
        }
    }
}
