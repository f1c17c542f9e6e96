//! Running an op in its unit test.

use crate::op::{Backward, Op, Saved};
use crate::tensor::Tensor;

/// The op's value.
pub(crate) fn forward(op: &dyn Op<f64>, x: &[&Tensor<f64>]) -> Tensor<f64> {
    op.forward(x, &mut Saved::discarding())
}

/// The gradients of all inputs, given that of the output.
pub(crate) fn backward(op: &dyn Op<f64>, x: &[&Tensor<f64>], gy: &Tensor<f64>) -> Vec<Tensor<f64>> {
    let mut saved = Saved::keeping();
    let y = op.forward(x, &mut saved);
    let need = vec![true; x.len()];
    let grads = op.backward(&Backward { x, y: &y, saved: &saved, gy, need: &need });
    grads.into_iter().flatten().collect()
}
