//! The statistics of a convolution's output, without the output.

use crate::kernels::conv::Banded;
use crate::kernels::par::map_chunks;
use crate::op::{Backward, Op, Saved};
use crate::ops::{BatchStats, Conv2d};
use crate::scalar::Scalar;
use crate::tensor::Tensor;

/// Frames per parallel task; fixed, so that sums do not depend on the number of threads.
const FRAMES: usize = 16;

/// [`BatchStats`] of the output of a [`Conv2d`], which is in memory only where its input has many nonzero numbers.
///
/// Inputs as of [`Conv2d`]; output `[2, C_out]`, mean and biased variance of each channel. Backward: that of [`BatchStats`], then
/// that of the convolution. Saved: nothing.
#[derive(Clone, Debug)]
pub struct ConvStats {
    conv2d: Conv2d,
}

impl ConvStats {
    /// Of the output of this convolution.
    #[must_use]
    pub fn new(conv2d: Conv2d) -> Self {
        Self { conv2d }
    }
}

/// Mean and variance of `w ⋆ x + b`, from sums of `w ⋆ x` and of its squares: of the few nonzero numbers of `x` it has few
/// that are not zero, so that little is lost by subtracting the square of the mean.
fn moments<S: Scalar>(of: &Banded<'_, S>, n_frames: usize, b: &[S], c_out: usize) -> Vec<S> {
    let parts = map_chunks(n_frames, FRAMES, |frames| {
        let (n, mut sums, mut room) = (frames.len(), vec![[0.0; 2]; c_out], of.room());
        let mut frames = of.list(frames);
        for (band, k) in (0..of.count()).flat_map(|band| (0..n).map(move |k| (band, k))) {
            of.convolve(band, (&mut frames, k), &mut room);
            of.add_moments(band, &mut room, &mut sums);
        }
        sums
    });
    let n = (n_frames * of.positions()) as f64;
    let mean_of = |c: usize, k: usize| parts.iter().map(|sums| sums[c][k]).sum::<f64>() / n;
    let bias = |c: usize| b.get(c).map_or(0.0, |b| b.to_f64());
    let means = (0..c_out).map(|c| S::from_f64(mean_of(c, 0) + bias(c)));
    let variance = |c: usize| (mean_of(c, 1) - mean_of(c, 0) * mean_of(c, 0)).max(0.0);
    means.chain((0..c_out).map(|c| S::from_f64(variance(c)))).collect()
}

impl<S: Scalar> Op<S> for ConvStats {
    fn name(&self) -> &'static str {
        "conv_stats"
    }

    fn forward(&self, x: &[&Tensor<S>], _saved: &mut Saved<S>) -> Tensor<S> {
        self.conv2d.check(x);
        let (conv, pattern) = (&self.conv2d.conv, self.conv2d.moving(x[0]));
        let numbers = [x[1].as_slice(), &[]];
        let of = pattern.as_ref().and_then(|p| Banded::new(conv, None, (x[0].as_slice(), p), numbers, 1));
        let Some(of) = of else {
            let y = self.conv2d.forward(x, &mut Saved::discarding());
            return BatchStats.forward(&[&y], &mut Saved::discarding());
        };
        let bias = x.get(2).map_or(&[][..], |b| b.as_slice());
        let (n_frames, channels) = (x[0].shape()[0] * x[0].shape()[1], conv.shape().c_out);
        assert!(n_frames > 0, "conv_stats: no frames in {:?}", x[0].shape());
        Tensor::new(&[2, channels], moments(&of, n_frames, bias, channels))
    }

    fn backward(&self, ctx: &Backward<'_, S>) -> Vec<Option<Tensor<S>>> {
        let mut saved = Saved::keeping();
        let y = self.conv2d.forward(ctx.x, &mut saved);
        let of_stats =
            Backward { x: &[&y], y: ctx.y, saved: &Saved::discarding(), gy: ctx.gy, need: &[true] };
        match &BatchStats.backward(&of_stats)[..] {
            [Some(gy)] => self.conv2d.backward(&Backward { y: &y, saved: &saved, gy, ..*ctx }),
            _ => vec![None; ctx.x.len()],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::conv::ConvShape;
    use crate::ops::testing::{backward, forward};
    use proptest::prelude::*;
    use snn_testkit::assert_close;

    fn numbers(shape: &[usize], seed: u64, density: f32) -> Tensor<f64> {
        let draw = |i: u64| f64::from(crate::rng::counter_uniform(seed, i)) - 0.3;
        let n = shape.iter().product::<usize>() as u64;
        let of = |i: u64| if crate::rng::counter_uniform(seed ^ 9, i) < density { draw(i) } else { 0.0 };
        Tensor::new(shape, (0..n).map(of).collect())
    }

    proptest! {
        #[test]
        fn they_are_those_of_the_output(
            size in [3_usize..70, 3_usize..20], channels in 1_usize..40, kernel in [1_usize..4, 1_usize..4], stride in 1_usize..3,
            density in prop::sample::select(vec![0.0, 0.1, 0.9]), n_steps in 1_usize..4, seed: u64,
        ) {
            let conv = ConvShape {
                c_in: 2, input: size, c_out: channels, kernel, stride: [stride; 2], padding: [1, 0], dilation: [1, 1], groups: 1,
            };
            let (op, x) = (Conv2d::new(conv), numbers(&[n_steps, 2, 2, size[0], size[1]], seed, density));
            let w = numbers(&[channels, 2, kernel[0], kernel[1]], seed ^ 1, 1.0);
            let b = numbers(&[channels], seed ^ 2, 1.0);
            for inputs in [&[&x, &w, &b][..], &[&x, &w]] {
                let y = forward(&op, inputs);
                let (stats, want) = (ConvStats::new(op.clone()), forward(&BatchStats, &[&y]));
                assert_close("statistics", forward(&stats, inputs).as_slice(), want.as_slice(), 1e-12, 1e-12);
                let g = numbers(&[2, channels], seed ^ 3, 1.0);
                let gy = &backward(&BatchStats, &[&y], &g)[0];
                for (got, want) in backward(&stats, inputs, &g).iter().zip(&backward(&op, inputs, gy)) {
                    assert_close("gradient", got.as_slice(), want.as_slice(), 1e-12, 1e-12);
                }
            }
        }
    }
}
