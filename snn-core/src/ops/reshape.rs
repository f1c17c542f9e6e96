//! The same entries under another shape.

use crate::op::{Backward, Op, Saved};
use crate::scalar::Scalar;
use crate::tensor::Tensor;

/// Replaces the axes behind time and batch: `[T, B, …]` becomes `[T, B, features…]`. Backward: the inverse. Saved:
/// nothing.
#[derive(Clone, Debug)]
pub struct Reshape {
    /// The new axes behind time and batch.
    pub features: Vec<usize>,
}

impl<S: Scalar> Op<S> for Reshape {
    fn name(&self) -> &'static str {
        "reshape"
    }

    fn forward(&self, x: &[&Tensor<S>], _saved: &mut Saved<S>) -> Tensor<S> {
        let mut shape = x[0].shape()[..2].to_vec();
        shape.extend(&self.features);
        x[0].reshape(&shape)
    }

    fn backward(&self, ctx: &Backward<'_, S>) -> Vec<Option<Tensor<S>>> {
        vec![ctx.grad(0, || ctx.gy.reshape(ctx.x[0].shape()))]
    }
}
