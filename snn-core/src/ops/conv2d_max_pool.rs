//! Two-dimensional convolution with max-pooling behind it, as one.

use crate::codes::Weights;
use crate::kernels::conv::{self, Conv, Windows};
use crate::kernels::pattern::Pattern;
use crate::op::{Backward, Op, Saved, SynOps};
use crate::ops::still::Still;
use crate::ops::{Conv2d, Pool2d};
use crate::scalar::Scalar;
use crate::tensor::Tensor;
use std::cell::RefCell;

/// [`Conv2d`] and a max-[`Pool2d`] with windows side by side: the same numbers, but frames are pooled while they are in
/// cache, and the backward works on the chosen entries only.
///
/// Inputs as of [`Conv2d`]; output `[T, B, C_out, H'/kh, W'/kw]`. Backward: that of the pooling, then that of the
/// convolution. Saved: for each window the index of its greatest entry, and which inputs are not zero, if they are real numbers.
/// Input that is equal in all steps is convolved once.
#[derive(Clone, Debug)]
pub struct Conv2dMaxPool {
    conv2d: Conv2d,
    pool: Pool2d,
    windows: Windows,
}

impl Conv2dMaxPool {
    /// The two as one, if `pool` can be fused: a maximum over windows side by side that fit the convolution's output.
    #[must_use]
    pub fn fuse(conv: &Conv, pool: &Pool2d) -> Option<Self> {
        pool.side_by_side(conv.shape().output()).map(|_| Self {
            conv2d: Conv2d::new(conv.clone()),
            pool: *pool,
            windows: Windows::new(conv.shape(), pool.kernel),
        })
    }

    fn conv(&self) -> &Conv {
        &self.conv2d.conv
    }

    /// Height and width of the output.
    fn output(&self) -> [usize; 2] {
        let frame = self.conv().shape().output();
        std::array::from_fn(|i| frame[i] / self.pool.kernel[i])
    }
}

impl<S: Scalar> Op<S> for Conv2dMaxPool {
    fn name(&self) -> &'static str {
        "conv2d_max_pool"
    }

    fn forward(&self, x: &[&Tensor<S>], saved: &mut Saved<S>) -> Tensor<S> {
        self.conv2d.check(x);
        let bias = x.get(2).map_or(&[][..], |b| b.as_slice());
        // Values come first, and tangents go where values chose.
        let choices = RefCell::new(Vec::new());
        let still = Still::of(x[0]);
        let (once, shape) = (still.once(x[0].as_slice()), self.conv().shape());
        let pattern = S::IS_REAL.then(|| Pattern::of(once, shape.plane()));
        // Tangents are no whole numbers.
        let codes = x[1].codes().filter(|_| S::IS_REAL);
        let y = S::bilinear(once, x[1].as_slice(), bias, &|x, w, b| {
            let x = &shape.frames(x, pattern.as_ref());
            let mut choices = choices.borrow_mut();
            if choices.is_empty() {
                let w = Weights::new(w, codes);
                let (y, chosen) = conv::forward_pooled(self.conv(), &self.windows, x, w, b);
                *choices = chosen;
                return y;
            }
            conv::forward_chosen(self.conv(), &self.windows, &choices, x, w, b)
        });
        saved.put_pattern(pattern);
        saved.put_small_indices(still.repeat(choices.into_inner()));
        let ([h, w], shape) = (self.output(), x[0].shape());
        Tensor::new(&[shape[0], shape[1], self.conv().shape().c_out, h, w], still.repeat(y))
    }

    fn backward(&self, ctx: &Backward<'_, S>) -> Vec<Option<Tensor<S>>> {
        let (x, w, gy) = (ctx.x[0], ctx.x[1], ctx.gy.as_slice());
        let (conv, windows, choices) = (self.conv(), &self.windows, ctx.saved.small_indices());
        let mut grads = vec![
            ctx.grad(0, || {
                let gx = S::bilinear(w.as_slice(), gy, &[], &|w, gy, _| {
                    conv::input_grad_pooled(conv, windows, choices, w, gy)
                });
                Tensor::new(x.shape(), gx)
            }),
            ctx.grad(1, || {
                let still = Still::of(x);
                let (x, gy, choices) = (still.once(x.as_slice()), still.sum(gy), still.once(choices));
                let gw = S::bilinear(x, &gy, &[], &|x, gy, _| {
                    let x = conv.shape().frames(x, ctx.saved.pattern());
                    conv::weight_grad_pooled(conv, windows, choices, &x, gy)
                });
                Tensor::new(w.shape(), gw)
            }),
        ];
        if ctx.x.len() > 2 {
            let (channels, plane) = (conv.shape().c_out, windows.count());
            grads.push(ctx.grad(2, || super::conv2d::bias_grad(gy, channels, plane)));
        }
        grads
    }

    fn synops(&self, x: &[&Tensor<S>]) -> SynOps {
        Op::<S>::synops(&self.conv2d, x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::conv::ConvShape;
    use crate::ops::PoolKind;
    use crate::ops::testing::{backward, forward};
    use crate::scalar::Dual;
    use proptest::prelude::*;

    fn numbers(shape: &[usize], seed: u64, density: f64) -> Tensor<f64> {
        let draw = |i: u64| f64::from(crate::rng::counter_uniform(seed, i));
        let n: usize = shape.iter().product();
        let number = |i: u64| if draw(2 * i) < density { draw(2 * i + 1) - 0.5 } else { 0.0 };
        Tensor::new(shape, (0..n as u64).map(number).collect())
    }

    fn conv(c_in: usize, c_out: usize, groups: usize, stride: usize) -> Conv {
        let (kernel, padding, dilation) = ([3, 2], [1, 0], [1, 1]);
        Conv::from(ConvShape {
            c_in,
            input: [7, 8],
            c_out,
            kernel,
            stride: [stride, 1],
            padding,
            dilation,
            groups,
        })
    }

    fn close(a: &Tensor<f64>, b: &Tensor<f64>) -> bool {
        a.shape() == b.shape() && a.as_slice().iter().zip(b.as_slice()).all(|(a, b)| (a - b).abs() < 1e-12)
    }

    proptest! {
        #[test]
        fn it_equals_the_two_ops(
            (c_in, c_out, groups) in prop::sample::select(vec![(1, 1, 1), (2, 3, 1), (4, 6, 2), (9, 17, 1), (3, 7, 1)]),
            stride in 1_usize..3, window in [1_usize..4, 1_usize..4],
            density in prop::sample::select(vec![0.1, 0.9]), seed: u64,
        ) {
            let conv = conv(c_in, c_out, groups, stride);
            let pool = Pool2d { kind: PoolKind::Max, kernel: window, stride: window };
            let fused = Conv2dMaxPool::fuse(&conv, &pool).unwrap();
            let x = numbers(&[2, 2, c_in, 7, 8], seed, density);
            let (w, b) = (numbers(&[c_out, c_in / groups, 3, 2], seed ^ 1, 1.0), numbers(&[c_out], seed ^ 2, 1.0));
            let frames = forward(&Conv2d::new(conv), &[&x, &w, &b]);
            let y = forward(&pool, &[&frames]);
            prop_assert!(close(&forward(&fused, &[&x, &w, &b]), &y));
            let gy = numbers(y.shape(), seed ^ 3, 0.8);
            let g_frames = backward(&pool, &[&frames], &gy).swap_remove(0);
            let want = backward(&fused.conv2d, &[&x, &w, &b], &g_frames);
            let got = backward(&fused, &[&x, &w, &b], &gy);
            prop_assert!(got.len() == 3 && got.iter().zip(&want).all(|(a, b)| close(a, b)));
        }
    }

    #[test]
    fn windows_that_overlap_or_do_not_fit_are_left_alone() {
        let fuse =
            |kind, kernel, stride| Conv2dMaxPool::fuse(&conv(1, 1, 1, 1), &Pool2d { kind, kernel, stride });
        assert!(fuse(PoolKind::Max, [2, 2], [2, 2]).is_some());
        assert!(fuse(PoolKind::Max, [2, 2], [1, 2]).is_none());
        assert!(fuse(PoolKind::Sum, [2, 2], [2, 2]).is_none());
        assert!(fuse(PoolKind::Max, [9, 2], [9, 2]).is_none());
    }

    /// Values and tangents, one after the other.
    fn parts(x: &Tensor<Dual<f64, 1>>) -> Tensor<f64> {
        let both = x.as_slice().iter().flat_map(|v| [v.value(), v.tangent(0)]).collect();
        Tensor::new(&[x.len(), 2], both)
    }

    #[test]
    fn dual_numbers_choose_by_their_value() {
        let conv = conv(3, 5, 1, 1);
        let pool = Pool2d { kind: PoolKind::Max, kernel: [2; 2], stride: [2; 2] };
        let fused = Conv2dMaxPool::fuse(&conv, &pool).unwrap();
        let dual = |shape: &[usize], seed: u64, density: f64| {
            let (v, d) = (numbers(shape, seed, density), numbers(shape, seed ^ 9, 1.0));
            let pairs = v.as_slice().iter().zip(d.as_slice());
            Tensor::new(shape, pairs.map(|(&v, &d)| Dual::<f64, 1>::variable(v, [d])).collect())
        };
        for density in [0.2, 0.9] {
            let (x, w, b) =
                (dual(&[2, 1, 3, 7, 8], 5, density), dual(&[5, 3, 3, 2], 6, 1.0), dual(&[5], 7, 1.0));
            let frames = forward(&Conv2d::new(conv.clone()), &[&x, &w, &b]);
            let y = forward(&pool, &[&frames]);
            assert!(close(&parts(&forward(&fused, &[&x, &w, &b])), &parts(&y)));
            let gy = dual(y.shape(), 8, 0.8);
            let g_frames = backward(&pool, &[&frames], &gy).swap_remove(0);
            let want = backward(&fused.conv2d, &[&x, &w, &b], &g_frames);
            let got = backward(&fused, &[&x, &w, &b], &gy);
            assert!(got.iter().zip(&want).all(|(a, b)| close(&parts(a), &parts(b))));
        }
    }
}
