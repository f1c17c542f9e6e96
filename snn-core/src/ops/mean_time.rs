//! The mean over time.

use crate::op::{Backward, Op, Saved};
use crate::scalar::Scalar;
use crate::tensor::Tensor;

/// `y = 1/T · Σ_t x[t]`: firing rates from spikes, a static readout from membranes.
///
/// Input: `x` of shape `[T, B, …]` with `T ≥ 1`; output `[B, …]`. Backward: `gx[t] = gy / T` for each `t`. Saved:
/// nothing.
#[derive(Clone, Copy, Debug)]
pub struct MeanTime;

/// `1/T` as a constant.
fn inverse<S: Scalar>(n_steps: usize) -> S {
    S::from_f64(1.0 / n_steps as f64)
}

impl<S: Scalar> Op<S> for MeanTime {
    fn name(&self) -> &'static str {
        "mean_time"
    }

    fn forward(&self, x: &[&Tensor<S>], _saved: &mut Saved<S>) -> Tensor<S> {
        let shape = x[0].shape();
        assert!(shape.first().is_some_and(|&t| t > 0), "mean_time: no time steps in shape {shape:?}");
        let mut mean = vec![S::ZERO; shape[1..].iter().product()];
        for step in x[0].as_slice().chunks(mean.len().max(1)) {
            mean.iter_mut().zip(step).for_each(|(m, &v)| *m += v);
        }
        let inverse = inverse(shape[0]);
        mean.iter_mut().for_each(|m: &mut S| *m *= inverse);
        Tensor::new(&shape[1..], mean)
    }

    fn backward(&self, ctx: &Backward<'_, S>) -> Vec<Option<Tensor<S>>> {
        let spread = || {
            let shape = ctx.x[0].shape();
            let inverse = inverse(shape[0]);
            let step: Vec<S> = ctx.gy.as_slice().iter().map(|&g| g * inverse).collect();
            Tensor::new(shape, step.repeat(shape[0]))
        };
        vec![ctx.grad(0, spread)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{backward, forward};

    #[test]
    fn the_mean_runs_over_time_and_its_gradient_spreads() {
        let x = Tensor::new(&[2, 1, 2], vec![1.0, 2.0, 5.0, 4.0]);
        let y = forward(&MeanTime, &[&x]);
        assert_eq!(y, Tensor::new(&[1, 2], vec![3.0, 3.0]));
        let grads = backward(&MeanTime, &[&x], &Tensor::new(&[1, 2], vec![2.0, 4.0]));
        assert_eq!(grads, [Tensor::new(&[2, 1, 2], vec![1.0, 2.0, 1.0, 2.0])]);
    }
}
