//! The product, entry by entry.

use crate::op::{Backward, Op, Saved};
use crate::scalar::Scalar;
use crate::tensor::Tensor;

/// `y = a · b`, entry by entry.
///
/// Inputs: `a`, `b` of one shape. Backward: `ga = gy · b`, `gb = gy · a`. Saved: nothing.
#[derive(Clone, Copy, Debug)]
pub struct Mul;

impl<S: Scalar> Op<S> for Mul {
    fn name(&self) -> &'static str {
        "mul"
    }

    fn forward(&self, x: &[&Tensor<S>], _saved: &mut Saved<S>) -> Tensor<S> {
        assert_eq!(x[0].shape(), x[1].shape(), "mul: shapes differ");
        x[0].zip(x[1], |a, b| a * b)
    }

    fn backward(&self, ctx: &Backward<'_, S>) -> Vec<Option<Tensor<S>>> {
        let times = |other: &Tensor<S>| ctx.gy.zip(other, |g, v| g * v);
        vec![ctx.grad(0, || times(ctx.x[1])), ctx.grad(1, || times(ctx.x[0]))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{backward, forward};

    #[test]
    fn each_factor_is_the_slope_of_the_other() {
        let (a, b) = (Tensor::new(&[2], vec![2.0, 3.0]), Tensor::new(&[2], vec![5.0, 7.0]));
        assert_eq!(forward(&Mul, &[&a, &b]).as_slice(), [10.0, 21.0]);
        let grads = backward(&Mul, &[&a, &b], &Tensor::new(&[2], vec![1.0, 10.0]));
        assert_eq!(grads, [Tensor::new(&[2], vec![5.0, 70.0]), Tensor::new(&[2], vec![2.0, 30.0])]);
    }
}
