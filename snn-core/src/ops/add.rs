//! Sums.

use super::sum_to_last_axis;
use crate::op::{Backward, Op, Saved};
use crate::scalar::Scalar;
use crate::tensor::Tensor;

/// `y = a + b`, entry by entry.
///
/// Inputs: `a`, `b` of one shape. Backward: `ga = gy`, `gb = gy`. Saved: nothing.
#[derive(Clone, Copy, Debug)]
pub struct Add;

impl<S: Scalar> Op<S> for Add {
    fn name(&self) -> &'static str {
        "add"
    }

    fn forward(&self, x: &[&Tensor<S>], _saved: &mut Saved<S>) -> Tensor<S> {
        assert_eq!(x[0].shape(), x[1].shape(), "add: shapes differ");
        x[0].zip(x[1], |a, b| a + b)
    }

    fn backward(&self, ctx: &Backward<'_, S>) -> Vec<Option<Tensor<S>>> {
        (0..2).map(|i| ctx.grad(i, || ctx.gy.clone())).collect()
    }
}

/// `y[…, n] = x[…, n] + b[n]`: a bias over the last axis.
///
/// Inputs: `x` of shape `[T, B, N]`, `b` of shape `[N]`. Backward: `gx = gy`, `gb[n] = Σ gy[…, n]`. Saved: nothing.
#[derive(Clone, Copy, Debug)]
pub struct AddBias;

impl<S: Scalar> Op<S> for AddBias {
    fn name(&self) -> &'static str {
        "add_bias"
    }

    fn forward(&self, x: &[&Tensor<S>], _saved: &mut Saved<S>) -> Tensor<S> {
        let (x, bias) = (x[0], x[1]);
        let (shape, n) = (x.shape(), bias.len());
        assert!(
            shape.last() == Some(&n) && bias.shape().len() == 1,
            "add_bias: x of shape {shape:?} and bias of shape {:?}",
            bias.shape()
        );
        let mut y = x.clone();
        for row in y.as_mut_slice().chunks_mut(n.max(1)) {
            row.iter_mut().zip(bias.as_slice()).for_each(|(v, &b)| *v += b);
        }
        y
    }

    fn backward(&self, ctx: &Backward<'_, S>) -> Vec<Option<Tensor<S>>> {
        vec![ctx.grad(0, || ctx.gy.clone()), ctx.grad(1, || sum_to_last_axis(ctx.gy, ctx.x[1].len()))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{backward, forward};

    #[test]
    fn add_adds_and_passes_the_gradient_to_both() {
        let (a, b) = (Tensor::new(&[2], vec![1.0, 2.0]), Tensor::new(&[2], vec![10.0, 20.0]));
        assert_eq!(forward(&Add, &[&a, &b]).as_slice(), [11.0, 22.0]);
        let gy = Tensor::new(&[2], vec![3.0, 4.0]);
        assert_eq!(backward(&Add, &[&a, &b], &gy), [gy.clone(), gy]);
    }

    #[test]
    fn a_bias_reaches_every_row_and_collects_their_gradients() {
        let x = Tensor::new(&[2, 1, 2], vec![1.0, 2.0, 3.0, 4.0]);
        let bias = Tensor::new(&[2], vec![10.0, 20.0]);
        assert_eq!(forward(&AddBias, &[&x, &bias]).as_slice(), [11.0, 22.0, 13.0, 24.0]);
        let grads = backward(&AddBias, &[&x, &bias], &x);
        assert_eq!(grads, [x, Tensor::new(&[2], vec![4.0, 6.0])]);
    }

    #[test]
    #[should_panic(expected = "add: shapes differ")]
    fn tensors_of_different_shapes_do_not_add() {
        forward(&Add, &[&Tensor::<f64>::zeros(&[2]), &Tensor::zeros(&[1, 2])]);
    }
}
