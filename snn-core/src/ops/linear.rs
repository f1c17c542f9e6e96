//! Fully connected product.

use crate::codes::Weights;
use crate::kernels::pattern::Pattern;
use crate::kernels::spike_matmul::{self, Sparse};
use crate::op::{Backward, Op, Saved, SynOps};
use crate::ops::still::Still;
use crate::scalar::Scalar;
use crate::tensor::Tensor;

/// Matrix product on the last axis.
///
/// Inputs: `x` `[…, in]`, `w` `[in, out]`, and `b` `[out]` if there is a bias. Output: `y = x · w + b`, `[…, out]`. Backward:
/// `gx = gy · wᵀ`, `gw = xᵀ · gy`, `gb = Σ gy`. Saved: which inputs are not
/// zero, if they are real numbers.
///
/// Input that is equal along the first axis, as in all time steps, is multiplied once.
#[derive(Clone, Copy, Debug)]
pub struct Linear;

impl<S: Scalar> Op<S> for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn forward(&self, x: &[&Tensor<S>], saved: &mut Saved<S>) -> Tensor<S> {
        let [n_in, n_out] = sizes(x);
        let bias = x.get(2).map_or(&[][..], |b| b.as_slice());
        let still = Still::of(x[0]);
        let once = still.once(x[0].as_slice());
        let pattern = S::IS_REAL.then(|| Pattern::of(once, n_in));
        // Tangents are no whole numbers.
        let codes = x[1].codes().filter(|_| S::IS_REAL);
        let y = S::bilinear(once, x[1].as_slice(), bias, &|x, w, b| {
            let (x, w) = (&Sparse::new(x, n_in, pattern.as_ref()), Weights::new(w, codes));
            spike_matmul::forward([n_in, n_out], x, w, b)
        });
        saved.put_pattern(pattern);
        let mut shape = x[0].shape().to_vec();
        shape.pop();
        shape.push(n_out);
        Tensor::new(&shape, still.repeat(y))
    }

    fn backward(&self, ctx: &Backward<'_, S>) -> Vec<Option<Tensor<S>>> {
        let size = sizes(ctx.x);
        let (x, w, gy) = (ctx.x[0], ctx.x[1], ctx.gy.as_slice());
        let mut grads = vec![
            ctx.grad(0, || {
                let gx =
                    S::bilinear(w.as_slice(), gy, &[], &|w, gy, _| spike_matmul::input_grad(size, w, gy));
                Tensor::new(x.shape(), gx)
            }),
            ctx.grad(1, || {
                let still = Still::of(x);
                let (x, gy) = (still.once(x.as_slice()), still.sum(gy));
                let gw = S::bilinear(x, &gy, &[], &|x, gy, _| {
                    spike_matmul::weight_grad(size, &Sparse::new(x, size[0], ctx.saved.pattern()), gy)
                });
                Tensor::new(w.shape(), gw)
            }),
        ];
        if ctx.x.len() > 2 {
            grads.push(ctx.grad(2, || super::sum_to_last_axis(ctx.gy, size[1])));
        }
        grads
    }

    fn synops(&self, x: &[&Tensor<S>]) -> SynOps {
        let n_out = x[1].shape()[1] as u64;
        let active = x[0].as_slice().iter().filter(|v| !v.is_zero()).count() as u64;
        SynOps { effective: active * n_out, dense: x[0].len() as u64 * n_out }
    }
}

fn sizes<S: Scalar>(x: &[&Tensor<S>]) -> [usize; 2] {
    match (x[0].shape().last(), x[1].shape()) {
        (Some(&n), &[n_in, n_out]) if n == n_in => [n_in, n_out],
        (_, w) => panic!("linear: input {:?} and weight {w:?}", x[0].shape()),
    }
}
