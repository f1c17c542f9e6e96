//! Joining tensors along the last axis.

use crate::op::{Backward, Op, Saved};
use crate::scalar::Scalar;
use crate::tensor::Tensor;

/// Joins any number of tensors along their features.
///
/// Inputs: `xᵢ` of shape `[T, B, Nᵢ]`, at least one; output `[T, B, Σ Nᵢ]`, in the order of the inputs. Backward: each
/// input gets its slice of `gy`. Saved: nothing.
#[derive(Clone, Copy, Debug)]
pub struct Concat;

/// Number of features of `[T, B, N]`.
fn width<S: Scalar>(x: &Tensor<S>) -> usize {
    assert_eq!(x.shape().len(), 3, "concat: input of shape {:?}, expected [T, B, N]", x.shape());
    x.shape()[2]
}

impl<S: Scalar> Op<S> for Concat {
    fn name(&self) -> &'static str {
        "concat"
    }

    fn forward(&self, x: &[&Tensor<S>], _saved: &mut Saved<S>) -> Tensor<S> {
        let widths: Vec<usize> = x.iter().map(|x| width(x)).collect();
        let outer = &x[0].shape()[..2];
        for x in x {
            assert_eq!(outer, &x.shape()[..2], "concat: time or batch differ");
        }
        let n_rows = outer[0] * outer[1];
        let n: usize = widths.iter().sum();
        let mut y = Vec::with_capacity(n_rows * n);
        for r in 0..n_rows {
            for (x, w) in x.iter().zip(&widths) {
                y.extend_from_slice(&x.as_slice()[r * w..(r + 1) * w]);
            }
        }
        Tensor::new(&[outer[0], outer[1], n], y)
    }

    fn backward(&self, ctx: &Backward<'_, S>) -> Vec<Option<Tensor<S>>> {
        let n = width(ctx.gy);
        let mut start = 0;
        let mut slice_of = |i: usize, x: &Tensor<S>| {
            let columns = start..start + width(x);
            start = columns.end;
            ctx.grad(i, || {
                let rows = ctx.gy.as_slice().chunks(n.max(1));
                let entries = rows.flat_map(|row| row[columns.clone()].iter().copied());
                Tensor::new(x.shape(), entries.collect())
            })
        };
        ctx.x.iter().enumerate().map(|(i, x)| slice_of(i, x)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{backward, forward};

    #[test]
    fn rows_are_joined_and_gradients_split_again() {
        let a = Tensor::new(&[2, 1, 1], vec![1.0, 2.0]);
        let b = Tensor::new(&[2, 1, 2], vec![3.0, 4.0, 5.0, 6.0]);
        let y = forward(&Concat, &[&a, &b, &a]);
        assert_eq!(y, Tensor::new(&[2, 1, 4], vec![1.0, 3.0, 4.0, 1.0, 2.0, 5.0, 6.0, 2.0]));
        assert_eq!(backward(&Concat, &[&a, &b, &a], &y), [a.clone(), b, a]);
    }

    #[test]
    #[should_panic(expected = "concat: time or batch differ")]
    fn inputs_of_different_length_do_not_join() {
        forward(&Concat, &[&Tensor::<f64>::zeros(&[2, 1, 1]), &Tensor::zeros(&[1, 2, 1])]);
    }
}
