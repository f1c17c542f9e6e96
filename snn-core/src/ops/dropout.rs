//! Dropout with one mask for all time steps.

use crate::op::{Backward, Op, Saved};
use crate::rng::counter_uniform;
use crate::scalar::Scalar;
use crate::tensor::Tensor;

/// `y[t, b, …] = m[b, …] · x[t, b, …]` with `m = 1/(1 − p)` with probability `1 − p`, else 0.
///
/// Input: `x` of shape `[T, B, features…]`. Backward: `gx[t] = m · gy[t]`. Saved: nothing; the mask is drawn again.
///
/// A mask over `[B, features…]` is shared by all time steps, so that a silenced neuron is silent for the whole sample:
/// a mask per step would only thin its input current, which the membrane averages out. Entry `i` of the mask depends
/// on `seed` and `i` alone, hence not on `T` or on threads; a caller who splits a batch gives each part its own seed.
///
/// # References
/// Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", 2014; one mask over time:
/// Lee et al., "Enabling spike-based backpropagation for training deep neural network architectures", 2020
/// (arXiv:1903.06379).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// Probability `p` of an entry to be silenced, in `[0, 1)`.
    pub probability: f32,
    /// Seed of the mask.
    pub seed: u64,
}

impl Dropout {
    fn mask<S: Scalar>(self, n: usize) -> Vec<S> {
        let kept = S::from_f64(1.0 / (1.0 - f64::from(self.probability)));
        let draw = |i| if counter_uniform(self.seed, i) < self.probability { S::ZERO } else { kept };
        (0..n as u64).map(draw).collect()
    }

    fn apply<S: Scalar>(self, x: &Tensor<S>) -> Tensor<S> {
        let mask = self.mask::<S>(x.shape()[1..].iter().product());
        let mut y = x.clone();
        for step in y.as_mut_slice().chunks_mut(mask.len().max(1)) {
            step.iter_mut().zip(&mask).for_each(|(v, &m)| *v *= m);
        }
        y
    }
}

impl<S: Scalar> Op<S> for Dropout {
    fn name(&self) -> &'static str {
        "dropout"
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
    fn one_mask_serves_all_steps_and_the_gradient() {
        let op = Dropout { probability: 0.25, seed: 3 };
        let x = Tensor::full(&[3, 4, 50], 1.0);
        let y = forward(&op, &[&x]);
        let steps: Vec<&[f64]> = y.as_slice().chunks(200).collect();
        assert!(steps[0] == steps[1] && steps[0] == steps[2]);
        assert!(steps[0].iter().all(|&v| v.is_zero() || (v * 0.75 - 1.0).abs() < 1e-12));
        assert_eq!(backward(&op, &[&x], &x), [y]);
    }

    #[test]
    fn the_share_of_silenced_entries_is_the_probability() {
        let mask = Dropout { probability: 0.25, seed: 9 }.mask::<f32>(20_000);
        let silenced = mask.iter().filter(|m| m.is_zero()).count();
        assert!((4_800..5_200).contains(&silenced), "{silenced}");
    }

    #[test]
    fn seeds_differ_and_the_batch_size_does_not_matter() {
        let op = Dropout { probability: 0.5, seed: 1 };
        let other = Dropout { seed: 2, ..op };
        assert_ne!(op.mask::<f32>(64), other.mask::<f32>(64));
        assert_eq!(op.mask::<f32>(64)[..32], op.mask::<f32>(32));
    }
}
