//! Mixtures of samples.

use ndarray::{ArrayD, ArrayViewD, Axis};
use rand::seq::SliceRandom;
use rand_distr::{Beta, Distribution};

use crate::error::DataError;
use crate::rng::{Purpose, stream};

/// Mixup of a batch: each sample becomes `λ·x + (1 − λ)·x'` with another one of the batch, and its label likewise.
///
/// # References
///
/// Zhang, Cisse, Dauphin and Lopez-Paz, "mixup: beyond empirical risk minimization", 2018 (arXiv:1710.09412).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mixup {
    /// `λ` is drawn from `Beta(alpha, alpha)`, once a batch.
    pub alpha: f32,
}

/// A batch of mixtures.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixed {
    /// `[T, B, …]`.
    pub frames: ArrayD<f32>,
    /// For each sample its own label, that of the other one, and the weight of its own.
    pub labels: Vec<(usize, usize, f32)>,
}

impl Mixup {
    /// Mixes the samples (axis 1) of `frames` `[T, B, …]`; the same seed, epoch and batch give the same mixtures.
    ///
    /// # Errors
    ///
    /// [`DataError::BadSetting`] for an `alpha` that is not above 0, and for frames whose samples are not as many
    /// as the labels.
    pub fn apply(
        &self,
        frames: &ArrayViewD<'_, f32>,
        labels: &[usize],
        [seed, epoch, batch]: [u64; 3],
    ) -> Result<Mixed, DataError> {
        let beta = Beta::new(self.alpha, self.alpha).ok();
        let bad_alpha = || DataError::BadSetting {
            setting: "alpha of mixup",
            value: self.alpha.into(),
            expected: "above 0",
        };
        let n_samples = frames.shape().get(1).copied().unwrap_or(0);
        let n = labels.len() as f64;
        DataError::require("number of samples", n_samples as f64, n..=n, "one for each label")?;
        let mut rng = stream(seed, Purpose::Mixup, crate::num::index(epoch), crate::num::index(batch));
        let lambda = beta.ok_or_else(bad_alpha)?.sample(&mut rng);
        let mut others: Vec<usize> = (0..labels.len()).collect();
        others.shuffle(&mut rng);
        let other = frames.select(Axis(1), &others);
        let mixed = &frames.mapv(|x| lambda * x) + &other.mapv(|x| (1.0 - lambda) * x);
        let labels = labels.iter().zip(&others).map(|(&own, &o)| (own, labels[o], lambda)).collect();
        Ok(Mixed { frames: mixed, labels })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_and_labels_are_mixed_in_the_same_proportion() {
        // Sample k holds the number k everywhere.
        let frames = ArrayD::from_shape_fn(vec![3, 4, 2], |at| at[1] as f32);
        let labels = [0, 1, 2, 3];
        let mixup = Mixup { alpha: 0.4 };
        let mixed = mixup.apply(&frames.view(), &labels, [7, 0, 1]).unwrap();
        for (k, &(own, other, weight)) in mixed.labels.iter().enumerate() {
            let want = weight * own as f32 + (1.0 - weight) * other as f32;
            assert!((mixed.frames[[2, k, 1]] - want).abs() < 1e-6);
            assert!((0.0..=1.0).contains(&weight));
        }
        assert_eq!(mixup.apply(&frames.view(), &labels, [7, 0, 1]).unwrap(), mixed);
        assert_ne!(mixup.apply(&frames.view(), &labels, [7, 0, 2]).unwrap(), mixed);
    }

    #[test]
    fn what_cannot_be_mixed_is_named() {
        let frames = ArrayD::zeros(vec![3, 4, 2]);
        let error = Mixup { alpha: 0.0 }.apply(&frames.view(), &[0; 4], [0; 3]).unwrap_err();
        assert_eq!(error.to_string(), "alpha of mixup is 0, expected above 0");
        let error = Mixup { alpha: 1.0 }.apply(&frames.view(), &[0; 3], [0; 3]).unwrap_err();
        assert_eq!(error.to_string(), "number of samples is 4, expected one for each label");
    }
}
