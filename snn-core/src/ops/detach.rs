//! The same values as constants.

use crate::op::{Backward, Op, Saved};
use crate::scalar::Scalar;
use crate::tensor::Tensor;

/// `y = x` without derivatives: no gradient flows back, and tangents of dual numbers are dropped.
#[derive(Clone, Copy, Debug)]
pub struct Detach;

impl<S: Scalar> Op<S> for Detach {
    fn name(&self) -> &'static str {
        "detach"
    }

    fn forward(&self, x: &[&Tensor<S>], _saved: &mut Saved<S>) -> Tensor<S> {
        x[0].map(S::detach)
    }

    fn backward(&self, _ctx: &Backward<'_, S>) -> Vec<Option<Tensor<S>>> {
        vec![None]
    }
}
