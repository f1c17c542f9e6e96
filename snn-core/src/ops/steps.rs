//! Some of the steps of a tensor.

use crate::op::{Backward, Op, Saved};
use crate::scalar::Scalar;
use crate::tensor::Tensor;

/// Takes `n` steps, from number `first` on.
///
/// Input: `x` of shape `[T, …]` with `first + n ≤ T`; output `[n, …]`. Backward: `gy` in its place, zeros before and behind.
/// Saved: nothing.
#[derive(Clone, Copy, Debug)]
pub struct Steps {
    /// The first step that is taken.
    pub first: usize,
    /// How many are.
    pub n: usize,
}

impl Steps {
    /// Their places, and how many numbers there are before and behind them.
    fn places<S: Scalar>(self, x: &Tensor<S>) -> (std::ops::Range<usize>, [usize; 2]) {
        let Self { first, n } = self;
        let n_steps = x.shape().first().copied().unwrap_or(0);
        assert!(first + n <= n_steps, "steps: {n} from {first} on of {:?}", x.shape());
        let step = x.len().checked_div(n_steps).unwrap_or(0);
        (first * step..(first + n) * step, [first * step, (n_steps - first - n) * step])
    }
}

impl<S: Scalar> Op<S> for Steps {
    fn name(&self) -> &'static str {
        "steps"
    }

    fn forward(&self, x: &[&Tensor<S>], _saved: &mut Saved<S>) -> Tensor<S> {
        let (places, _) = self.places(x[0]);
        let shape = [&[self.n], &x[0].shape()[1..]].concat();
        Tensor::new(&shape, x[0].as_slice()[places].to_vec())
    }

    fn backward(&self, ctx: &Backward<'_, S>) -> Vec<Option<Tensor<S>>> {
        let (_, [before, behind]) = self.places(ctx.x[0]);
        let all = || {
            let mut all = Vec::with_capacity(ctx.x[0].len());
            all.resize(before, S::ZERO);
            all.extend_from_slice(ctx.gy.as_slice());
            all.resize(all.len() + behind, S::ZERO);
            Tensor::new(ctx.x[0].shape(), all)
        };
        vec![ctx.grad(0, all)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{backward, forward};

    #[test]
    fn steps_are_taken_and_gradients_put_in_their_place() {
        let x = Tensor::new(&[4, 1, 2], (0..8).map(f64::from).collect());
        let op = Steps { first: 1, n: 2 };
        let y = forward(&op, &[&x]);
        assert_eq!(y, Tensor::new(&[2, 1, 2], vec![2.0, 3.0, 4.0, 5.0]));
        let gx = Tensor::new(&[4, 1, 2], vec![0.0, 0.0, 2.0, 3.0, 4.0, 5.0, 0.0, 0.0]);
        assert_eq!(backward(&op, &[&x], &y), [gx]);
    }

    #[test]
    #[should_panic(expected = "steps: 2 from 3 on of [4, 1]")]
    fn steps_that_are_not_there_are_refused() {
        forward(&Steps { first: 3, n: 2 }, &[&Tensor::<f64>::zeros(&[4, 1])]);
    }
}
