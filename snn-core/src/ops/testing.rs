//! Running an op in its unit test.

use crate::op::{Backward, Op, Saved};
use crate::scalar::Scalar;
use crate::tensor::Tensor;

/// The op's value.
pub(crate) fn forward<S: Scalar>(op: &dyn Op<S>, x: &[&Tensor<S>]) -> Tensor<S> {
    op.forward(x, &mut Saved::discarding())
}

/// The gradients of all inputs, given that of the output.
pub(crate) fn backward<S: Scalar>(op: &dyn Op<S>, x: &[&Tensor<S>], gy: &Tensor<S>) -> Vec<Tensor<S>> {
    let mut saved = Saved::keeping();
    let y = op.forward(x, &mut saved);
    let need = vec![true; x.len()];
    let grads = op.backward(&Backward { x, y: &y, saved: &saved, gy, need: &need });
    grads.into_iter().flatten().collect()
}
