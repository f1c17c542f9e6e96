//! Two-dimensional convolution.

use crate::codes::Weights;
use crate::kernels::conv::{self, Conv};
use crate::kernels::pattern::Pattern;
use crate::kernels::{par, sums};
use crate::op::{Backward, Op, Saved, SynOps};
use crate::ops::still::Still;
use crate::scalar::Scalar;
use crate::tensor::Tensor;

/// Frames whose gradients one task adds up.
const FRAMES: usize = 64;

/// Convolution (cross-correlation, as in every framework) of each frame.
///
/// Inputs: `x` `[T, B, C_in, H, W]`, `w` `[C_out, C_in/groups, kh, kw]`, and `b` `[C_out]` if there is a bias. Output:
/// `y[o, p] = b[o] + Σ w[o, c, k] · x[c, stride·p + dilation·k − padding]`, `[T, B, C_out, H', W']`. Backward: the
/// transposed convolution of `gy` for `x`, its correlation with `x` for `w`, its sum for `b`. Saved: which inputs are not
/// zero, if they are real numbers.
///
/// Input that is equal in all steps is convolved once.
#[derive(Clone, Debug)]
pub struct Conv2d {
    pub(crate) conv: Conv,
}

impl Conv2d {
    /// A convolution of these sizes; of clones of one [`Conv`] all share its tables.
    #[must_use]
    pub fn new(conv: impl Into<Conv>) -> Self {
        Self { conv: conv.into() }
    }

    /// Which numbers of `x` are not zero, a row for each channel of each frame, if they are real and steps differ.
    pub(crate) fn moving<S: Scalar>(&self, x: &Tensor<S>) -> Option<Pattern> {
        let moves = S::IS_REAL && Still::of(x).once(x.as_slice()).len() == x.len();
        moves.then(|| Pattern::of(x.as_slice(), self.conv.shape().plane()))
    }

    pub(crate) fn check<S: Scalar>(&self, x: &[&Tensor<S>]) {
        let s = self.conv.shape();
        let [h, w] = s.input;
        let fits = x[0].shape().len() == 5 && x[0].shape()[2..] == [s.c_in, h, w];
        assert!(fits, "conv2d: input {:?} for {s:?}", x[0].shape());
        let weight = [s.c_out, s.c_in / s.groups, s.kernel[0], s.kernel[1]];
        assert_eq!(x[1].shape(), weight, "conv2d: weight for {s:?}");
    }
}

impl<S: Scalar> Op<S> for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn forward(&self, x: &[&Tensor<S>], saved: &mut Saved<S>) -> Tensor<S> {
        self.check(x);
        let shape = self.conv.shape();
        let [h, w] = shape.output();
        let bias = x.get(2).map_or(&[][..], |b| b.as_slice());
        let still = Still::of(x[0]);
        let once = still.once(x[0].as_slice());
        let pattern = S::IS_REAL.then(|| Pattern::of(once, shape.plane()));
        // Tangents are no whole numbers.
        let codes = x[1].codes().filter(|_| S::IS_REAL);
        let y = S::bilinear(once, x[1].as_slice(), bias, &|x, w, b| {
            conv::forward(&self.conv, &shape.frames(x, pattern.as_ref()), Weights::new(w, codes), b)
        });
        saved.put_pattern(pattern);
        Tensor::new(&[x[0].shape()[0], x[0].shape()[1], shape.c_out, h, w], still.repeat(y))
    }

    fn backward(&self, ctx: &Backward<'_, S>) -> Vec<Option<Tensor<S>>> {
        let (x, w, gy) = (ctx.x[0], ctx.x[1], ctx.gy.as_slice());
        let mut grads = vec![
            ctx.grad(0, || {
                let gx = S::bilinear(w.as_slice(), gy, &[], &|w, gy, _| conv::input_grad(&self.conv, w, gy));
                Tensor::new(x.shape(), gx)
            }),
            ctx.grad(1, || {
                let still = Still::of(x);
                let (x, gy) = (still.once(x.as_slice()), still.sum(gy));
                let gw = S::bilinear(x, &gy, &[], &|x, gy, _| {
                    let x = self.conv.shape().frames(x, ctx.saved.pattern());
                    conv::weight_grad(&self.conv, &x, gy)
                });
                Tensor::new(w.shape(), gw)
            }),
        ];
        if ctx.x.len() > 2 {
            let [h, w] = self.conv.shape().output();
            grads.push(ctx.grad(2, || bias_grad(gy, self.conv.shape().c_out, h * w)));
        }
        grads
    }

    fn synops(&self, x: &[&Tensor<S>]) -> SynOps {
        let (effective, dense) = conv::synops(&self.conv, x[0].as_slice());
        SynOps { effective, dense }
    }
}

/// Sum of each channel of `[F, C, plane]`.
pub(super) fn bias_grad<S: Scalar>(gy: &[S], channels: usize, plane: usize) -> Tensor<S> {
    let len = channels * plane;
    let parts = par::map_chunks(gy.len() / len.max(1), FRAMES, |frames| {
        let mut sums = vec![[S::ZERO; sums::LANES]; channels];
        sums::add_planes(&mut sums, &gy[frames.start * len..frames.end * len], plane);
        sums
    });
    let of = |c: usize| parts.iter().flat_map(|sums| sums[c]).fold(S::ZERO, |sum, v| sum + v);
    Tensor::new(&[channels], (0..channels).map(of).collect())
}
