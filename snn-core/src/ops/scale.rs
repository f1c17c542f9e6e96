//! Multiplication by a fixed number.

use crate::op::{Backward, Op, Saved};
use crate::scalar::Scalar;
use crate::tensor::Tensor;

/// `y = factor · x`.
///
/// Input: `x` of any shape. Backward: `gx = factor · gy`. Saved: nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// The factor, a constant.
    pub factor: f32,
}

impl Scale {
    fn apply<S: Scalar>(self, x: &Tensor<S>) -> Tensor<S> {
        let factor = S::from_f64(f64::from(self.factor));
        x.map(|v| factor * v)
    }
}

impl<S: Scalar> Op<S> for Scale {
    fn name(&self) -> &'static str {
        "scale"
    }

    fn forward(&self, x: &[&Tensor<S>], _saved: &mut Saved<S>) -> Tensor<S> {
        self.apply(x[0])
    }

    fn backward(&self, ctx: &Backward<'_, S>) -> Vec<Option<Tensor<S>>> {
        vec![ctx.grad(0, || self.apply(ctx.gy))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{backward, forward};

    #[test]
    fn value_and_gradient_are_scaled() {
        let (op, x) = (Scale { factor: 0.5 }, Tensor::new(&[2], vec![2.0, -4.0]));
        assert_eq!(forward(&op, &[&x]).as_slice(), [1.0, -2.0]);
        assert_eq!(backward(&op, &[&x], &x), [Tensor::new(&[2], vec![1.0, -2.0])]);
    }
}
