//! Random probe vectors, and the set of parameters that they run over.

use crate::curvature::Layout;
use rand::Rng;
use rand_distr::{Distribution as _, StandardNormal};
use snn_autodiff::Grads;
use snn_core::rng::rng;
use snn_core::{Param, Real};

/// The distribution of the entries of a probe `v`: independent, mean 0, variance 1, so that `E[v·Hv] = tr H`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Distribution {
    /// −1 or 1. The variance of `v·Hv` is `2·Σ_{i≠j} H_ij²`, the least of all distributions: the diagonal adds nothing.
    #[default]
    Rademacher,
    /// Normal. The variance of `v·Hv` is `2·Σ_ij H_ij²`.
    Gaussian,
}

/// Which parameters the curvature is taken by. The others are constants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ParamSet {
    /// The synaptic weights: those that quantization plans are about, without biases as in Lui and Neftci 2021.
    #[default]
    Weights,
    /// Everything that is trained by gradients.
    Trained,
    /// The parameters of these names, such as one layer's weight for its block of the curvature.
    Named(Vec<String>),
}

impl ParamSet {
    /// Whether the set holds a parameter.
    #[must_use]
    pub fn contains(&self, param: &Param) -> bool {
        match self {
            Self::Weights => param.is_weight(),
            Self::Trained => param.is_trained(),
            Self::Named(names) => names.contains(&param.name),
        }
    }
}

/// The probe of a number. An entry depends on the seed, that number, the name of its tensor and its index there only:
/// probes stay the same when layers are added, and do not depend on how many are drawn at a time.
pub(crate) fn probe<T: Real>(
    layout: &Layout,
    distribution: Distribution,
    seed: u64,
    number: u64,
) -> Grads<T> {
    layout.tensors_from(|name, len| entries(name, len, distribution, seed, number))
}

fn entries<T: Real>(name: &str, len: usize, distribution: Distribution, seed: u64, number: u64) -> Vec<T> {
    let mut rng = rng(seed, name);
    rng.set_stream(number);
    let mut word = 0;
    let mut sign = |i: usize| {
        word = if i.is_multiple_of(64) { rng.next_u64() } else { word >> 1 };
        if word & 1 == 0 { T::ONE } else { -T::ONE }
    };
    match distribution {
        Distribution::Rademacher => (0..len).map(&mut sign).collect(),
        Distribution::Gaussian => (0..len).map(|_| T::of_f64(StandardNormal.sample(&mut rng))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [Distribution; 2] = [Distribution::Rademacher, Distribution::Gaussian];

    #[test]
    fn an_entry_depends_on_seed_number_name_and_index_only() {
        for distribution in BOTH {
            let draw = |name: &str, len, seed, number| entries::<f64>(name, len, distribution, seed, number);
            let one = draw("fc.weight", 200, 1, 3);
            assert_eq!(one[..70], draw("fc.weight", 70, 1, 3));
            for other in
                [draw("fc.bias", 200, 1, 3), draw("fc.weight", 200, 2, 3), draw("fc.weight", 200, 1, 4)]
            {
                assert_ne!(one, other);
            }
        }
    }

    #[test]
    fn entries_have_mean_0_and_variance_1() {
        for distribution in BOTH {
            let v = entries::<f64>("w", 40_000, distribution, 5, 0);
            let mean = |f: &dyn Fn(f64) -> f64| v.iter().map(|&x| f(x)).sum::<f64>() / 40_000.0;
            assert!(mean(&|x| x).abs() < 0.02, "{distribution:?}");
            assert!((mean(&|x| x * x) - 1.0).abs() < 0.03, "{distribution:?}");
        }
        let signs = entries::<f32>("w", 1000, Distribution::Rademacher, 5, 0);
        assert!(signs.iter().all(|x| [-1.0, 1.0].contains(x)));
    }
}
