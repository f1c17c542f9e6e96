//! Batch normalization, as two ops: the statistics of a batch, and the normalization by given statistics.
//!
//! Training composes them, and the gradient through both is the usual one of batch normalization; inference feeds
//! running statistics to [`Normalize`] alone. Statistics run over time, samples and space of each channel.
//!
//! # References
//! Ioffe, Szegedy, "Batch normalization: accelerating deep network training by reducing internal covariate shift", 2015
//! (arXiv:1502.03167), algorithm 1; statistics over time and batch as in Zheng et al., "Going deeper with
//! directly-trained larger spiking neural networks", 2020 (arXiv:2011.05280; tdBN), whose factor `α·θ` is a matter of
//! the gain's initial value.

use crate::kernels::channels::{self, Runs};
use crate::kernels::par::{for_row_chunks, map_chunks};
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

    fn runs(self) -> Runs {
        Runs { channels: self.channels, space: self.space }
    }

    /// The sum over each channel `c` of `of(c)` of the entries of two tensors.
    fn channel_sums<S: Scalar, G: Fn(S, S) -> S>(
        self,
        x: [&[S]; 2],
        of: impl Fn(usize) -> G + Sync,
    ) -> Vec<S> {
        let parts = map_chunks(self.frames, FRAMES_PER_TASK, |frames| {
            let mut sums = vec![S::ZERO; self.channels];
            let at = frames.start * self.frame_len()..frames.end * self.frame_len();
            channels::add_sums(self.runs(), x.map(|x| &x[at.clone()]), &of, &mut sums);
            sums
        });
        let mut total = vec![S::ZERO; self.channels];
        for part in parts {
            total.iter_mut().zip(part).for_each(|(t, p)| *t += p);
        }
        total
    }

    /// The tensor whose entries in channel `c` are `of(c)` of those of two tensors.
    fn build<S: Scalar, G: Fn(S, S) -> S>(
        self,
        shape: &[usize],
        x: [&[S]; 2],
        of: impl Fn(usize) -> G + Sync,
    ) -> Tensor<S> {
        let mut out = Tensor::zeros(shape);
        for_row_chunks(out.as_mut_slice(), self.frame_len(), FRAMES_PER_TASK, |first, out| {
            let at = first * self.frame_len()..first * self.frame_len() + out.len();
            channels::map(self.runs(), x.map(|x| &x[at.clone()]), &of, out);
        });
        out
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
        let (x, inverse) = (x[0].as_slice(), S::from_f64(1.0 / layout.n()));
        let sums = layout.channel_sums([x, x], |_| |v, _| v);
        let mean: Vec<S> = sums.iter().map(|&s| s * inverse).collect();
        let squares = layout.channel_sums([x, x], |c| {
            let mean = mean[c];
            move |v, _| (v - mean) * (v - mean)
        });
        let variance = squares.iter().map(|&s| s * inverse);
        Tensor::new(&[2, layout.channels], mean.iter().copied().chain(variance).collect())
    }

    fn backward(&self, ctx: &Backward<'_, S>) -> Vec<Option<Tensor<S>>> {
        let gx = || {
            let layout = Layout::of("batch_stats", ctx.x[0].shape());
            let (x, mean) = (ctx.x[0].as_slice(), ctx.y.as_slice());
            let (g_mean, g_variance) = ctx.gy.as_slice().split_at(layout.channels);
            let (inverse, two) = (S::from_f64(1.0 / layout.n()), S::from_f64(2.0));
            layout.build(ctx.x[0].shape(), [x, x], |c| {
                let (mean, g_mean, g_variance) = (mean[c], g_mean[c], g_variance[c]);
                move |v, _| (g_mean + two * (v - mean) * g_variance) * inverse
            })
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

impl Normalize {
    /// `1/√(v + ε)` of each channel.
    fn inverse_std_dev<S: Scalar>(self, variance: &[S]) -> Vec<S> {
        let epsilon = S::from_f64(f64::from(self.epsilon));
        variance.iter().map(|&v| S::ONE / (v + epsilon).sqrt()).collect()
    }
}

/// The inputs of a call to [`Normalize`], checked.
struct Inputs<'a, S> {
    layout: Layout,
    x: &'a [S],
    mean: &'a [S],
    variance: &'a [S],
    gain: &'a [S],
    shift: &'a [S],
}

impl<'a, S: Scalar> Inputs<'a, S> {
    fn of(x: &[&'a Tensor<S>]) -> Self {
        let layout = Layout::of("normalize", x[0].shape());
        let c = layout.channels;
        let fits = x[1].shape() == [2, c] && x[2].shape() == [c] && x[3].shape() == [c];
        assert!(fits, "normalize: shapes {:?}", x.iter().map(|t| t.shape()).collect::<Vec<_>>());
        let (mean, variance) = x[1].as_slice().split_at(c);
        let [x, gain, shift] = [x[0], x[2], x[3]].map(Tensor::as_slice);
        Self { layout, x, mean, variance, gain, shift }
    }
}

impl<S: Scalar> Op<S> for Normalize {
    fn name(&self) -> &'static str {
        "normalize"
    }

    fn forward(&self, x: &[&Tensor<S>], _saved: &mut Saved<S>) -> Tensor<S> {
        let a = Inputs::of(x);
        let r = self.inverse_std_dev(a.variance);
        let slope: Vec<S> = a.gain.iter().zip(&r).map(|(&g, &r)| g * r).collect();
        a.layout.build(x[0].shape(), [a.x, a.x], |c| {
            let (mean, slope, shift) = (a.mean[c], slope[c], a.shift[c]);
            move |v, _| (v - mean) * slope + shift
        })
    }

    fn backward(&self, ctx: &Backward<'_, S>) -> Vec<Option<Tensor<S>>> {
        let a = Inputs::of(ctx.x);
        let (gy, n) = (ctx.gy.as_slice(), a.layout.channels);
        let r = self.inverse_std_dev(a.variance);
        let slope: Vec<S> = a.gain.iter().zip(&r).map(|(&g, &r)| g * r).collect();
        let scaled = |c: usize| {
            let slope = slope[c];
            move |g, _| g * slope
        };
        let gx = ctx.grad(0, || a.layout.build(ctx.x[0].shape(), [gy, gy], scaled));
        if !ctx.need[1..].contains(&true) {
            return vec![gx, None, None, None];
        }
        let g_shift = a.layout.channel_sums([gy, gy], |_| |g, _| g);
        let g_gain = a.layout.channel_sums([gy, a.x], |c| {
            let (mean, r) = (a.mean[c], r[c]);
            move |g, v| g * (v - mean) * r
        });
        let g_stats = || {
            let half = S::from_f64(0.5);
            let g_mean = (0..n).map(|c| -(slope[c] * g_shift[c]));
            let g_variance = (0..n).map(|c| -(half * slope[c] * r[c] * g_gain[c]));
            Tensor::new(&[2, n], g_mean.chain(g_variance).collect())
        };
        let g_stats = ctx.grad(1, g_stats);
        let vector = |v: Vec<S>| Tensor::new(&[n], v);
        vec![gx, g_stats, ctx.grad(2, || vector(g_gain)), ctx.grad(3, || vector(g_shift))]
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
    fn the_gradient_through_both_ops_is_that_of_batch_norm() {
        let x = input();
        let gy = Tensor::new(&[2, 1, 2, 2], vec![0.3, -1.0, 0.7, 0.2, 1.1, 0.4, -0.6, 0.9]);
        let (gain, shift) = (Tensor::new(&[2], vec![1.5, 0.5]), Tensor::zeros(&[2]));
        let stats = forward(&BatchStats, &[&x]);
        let direct = backward(&Normalize { epsilon: 1e-5 }, &[&x, &stats, &gain, &shift], &gy);
        let mut got = backward(&BatchStats, &[&x], &direct[1])[0].clone();
        got.add_assign(&direct[0]);
        // Ioffe and Szegedy: gx = γ·r·(gy − mean(gy) − x̂·mean(gy·x̂))
        let layout = Layout::of("test", x.shape());
        let epsilon = f64::from(1e-5_f32);
        let r = |c: usize| 1.0 / (stats.as_slice()[2 + c] + epsilon).sqrt();
        let hat = &|c: usize, v: f64| (v - stats.as_slice()[c]) * r(c);
        let both = [gy.as_slice(), x.as_slice()];
        let mean_g = layout.channel_sums(both, |_| |g, _| g / 4.0);
        let mean_gh = layout.channel_sums(both, |c| move |g, v| g * hat(c, v) / 4.0);
        let want = layout.build(x.shape(), both, |c| {
            let (slope, mean_g, mean_gh) = (gain.as_slice()[c] * r(c), mean_g[c], mean_gh[c]);
            move |g, v| slope * (g - mean_g - hat(c, v) * mean_gh)
        });
        assert_close("gx", got.as_slice(), want.as_slice(), 1e-12, 1e-12);
    }
}
