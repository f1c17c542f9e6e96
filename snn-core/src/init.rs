//! Seeded initial values of parameters.

use crate::tensor::Tensor;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal, StandardUniform};

/// A distribution of initial values.
///
/// `fan_in` is the number of synapses that reach an output unit, `fan_out` the number that leave an input unit; a zero
/// counts as one.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Init {
    /// Uniform within `±1/√fan_in`: `PyTorch`'s default for the weights and biases of linear and convolutional layers.
    KaimingUniform,
    /// Normal with standard deviation `√(2/fan_in)` (He et al., "Delving deep into rectifiers", 2015,
    /// arXiv:1502.01852, eq. 10).
    KaimingNormal,
    /// Uniform within `±√(6/(fan_in + fan_out))` (Glorot and Bengio, "Understanding the difficulty of training deep
    /// feedforward neural networks", 2010, eq. 16).
    XavierUniform,
    /// Normal with mean zero.
    Normal {
        /// Standard deviation.
        std_dev: f32,
    },
    /// Uniform within `±bound`.
    Uniform {
        /// Greatest magnitude.
        bound: f32,
    },
    /// All zero; draws nothing.
    Zeros,
}

impl Init {
    /// A tensor of the given shape, drawn in row-major order.
    ///
    /// ```
    /// use snn_core::{init::Init, rng::rng};
    ///
    /// let weight = Init::KaimingUniform.fill(&[100, 10], 100, 10, &mut rng(7, "fc1.weight"));
    /// assert!(weight.as_slice().iter().all(|w| w.abs() <= 0.1));
    /// ```
    #[must_use]
    pub fn fill(&self, shape: &[usize], fan_in: usize, fan_out: usize, rng: &mut ChaCha8Rng) -> Tensor<f32> {
        let n = shape.iter().product();
        let [inputs, all] = [fan_in, fan_in + fan_out].map(|n| n.max(1) as f32);
        let values = match *self {
            Self::KaimingUniform => uniform(1.0 / inputs.sqrt(), n, rng),
            Self::KaimingNormal => normal((2.0 / inputs).sqrt(), n, rng),
            Self::XavierUniform => uniform((6.0 / all).sqrt(), n, rng),
            Self::Normal { std_dev } => normal(std_dev, n, rng),
            Self::Uniform { bound } => uniform(bound, n, rng),
            Self::Zeros => vec![0.0; n],
        };
        Tensor::new(shape, values)
    }
}

fn uniform(bound: f32, n: usize, rng: &mut ChaCha8Rng) -> Vec<f32> {
    let draws = StandardUniform.sample_iter(rng).take(n);
    draws.map(|u: f32| bound * (2.0 * u - 1.0)).collect()
}

fn normal(std_dev: f32, n: usize, rng: &mut ChaCha8Rng) -> Vec<f32> {
    let draws = StandardNormal.sample_iter(rng).take(n);
    draws.map(|z: f32| std_dev * z).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::rng;
    use snn_testkit::assert_close;

    fn draw(init: Init, n: usize) -> Vec<f32> {
        init.fill(&[n], 50, 25, &mut rng(7, "init")).into_vec()
    }

    /// Mean and standard deviation.
    fn moments(values: &[f32]) -> [f64; 2] {
        let n = values.len() as f64;
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
        let variance = values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n;
        [mean, variance.sqrt()]
    }

    #[test]
    fn spread_follows_the_fans() {
        let third = 3.0_f64.sqrt();
        let cases = [
            (Init::KaimingUniform, 1.0 / 50.0_f64.sqrt() / third),
            (Init::KaimingNormal, 0.2),
            (Init::XavierUniform, 0.08_f64.sqrt() / third),
            (Init::Normal { std_dev: 0.5 }, 0.5),
            (Init::Uniform { bound: 0.3 }, 0.3 / third),
        ];
        for (init, want) in cases {
            let [mean, std_dev] = moments(&draw(init, 20_000));
            assert!(mean.abs() < 0.03 * want, "{init:?}: mean {mean}");
            assert_close(&format!("{init:?}"), &[std_dev], &[want], 0.02, 0.0);
        }
        assert_eq!(draw(Init::Zeros, 3), [0.0; 3]);
    }

    #[test]
    fn uniform_values_stay_within_the_bound() {
        assert!(draw(Init::Uniform { bound: 0.3 }, 10_000).iter().all(|v| v.abs() <= 0.3));
    }

    /// Pins the values that a seed stands for, which a new version of the generators could change.
    #[test]
    fn a_seed_keeps_its_values() {
        assert_eq!(draw(Init::Uniform { bound: 1.0 }, 3), UNIFORM);
        assert_eq!(draw(Init::Normal { std_dev: 1.0 }, 3), NORMAL);
    }

    const UNIFORM: [f32; 3] = [0.035_883_07, -0.246_417_28, -0.437_181_7];
    const NORMAL: [f32; 3] = [-0.351_841_42, -0.922_605_8, -0.607_983_47];
}
