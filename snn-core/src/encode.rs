//! Static data as spikes or currents over time.
//!
//! Each encoder takes intensities `[B, features…]` and gives `[T, B, features…]`.

use crate::rng::counter_uniform;
use crate::tensor::Tensor;

/// The same current at each of `n_steps` steps: the first layer of the network does the encoding.
///
/// # Shapes
/// `[B, features…]` to `[T, B, features…]`.
#[must_use]
pub fn constant(x: &Tensor<f32>, n_steps: usize) -> Tensor<f32> {
    Tensor::new(&with_time(x, n_steps), x.as_slice().repeat(n_steps))
}

/// Spikes at random: at each step, each entry spikes with its intensity as probability. Intensities at or below 0 never
/// spike, at or above 1 always.
///
/// A draw depends only on the seed, the position of the entry in `[B, features…]` and the step: neither on threads nor
/// on the number of steps or samples drawn with it.
///
/// # Shapes
/// `[B, features…]` to `[T, B, features…]`.
#[must_use]
pub fn rate(x: &Tensor<f32>, n_steps: usize, seed: u64) -> Tensor<f32> {
    let spike = |step: u64, i: u64, p: f32| f32::from(counter_uniform(seed, (i << 24) | step) < p);
    let steps = (0..n_steps as u64).flat_map(|t| (0..).zip(x.as_slice()).map(move |(i, &p)| spike(t, i, p)));
    Tensor::new(&with_time(x, n_steps), steps.collect())
}

/// How an intensity becomes the time of its spike; see [`latency`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Latency {
    /// `τ·(1 − x)` steps. With `τ = T − 1` intensities of `[0, 1]` fill the window; snnTorch's `linear=True,
    /// normalize=True`.
    Linear {
        /// Time τ in steps.
        tau: f32,
    },
    /// `τ·ln(x/(x − θ))` steps, with `θ` the threshold of [`latency`]: when an RC neuron of time constant `τ` that is
    /// charged by `x` reaches it.
    Logarithmic {
        /// Time constant τ in steps.
        tau: f32,
    },
}

/// One spike per entry, the earlier the greater its intensity, at the step nearest to the time that `code` gives (ties
/// to even). Intensities below `threshold`, and times outside of `0..n_steps`, give no spike.
///
/// # Shapes
/// `[B, features…]` to `[T, B, features…]`.
///
/// # References
/// The formulas of `snntorch.spikegen.latency` with `clip=True`. Deviations: a time beyond the window gives no spike,
/// where snnTorch then also deletes all other spikes of the last step; there is no normalization by the greatest
/// time of a batch, which would make the code of a sample depend on the others.
#[must_use]
pub fn latency(x: &Tensor<f32>, n_steps: usize, code: Latency, threshold: f32) -> Tensor<f32> {
    let time = |x: f32| match code {
        Latency::Linear { tau } => tau * (1.0 - x),
        Latency::Logarithmic { tau } => tau * (x / (x - threshold).max(EPSILON)).ln(),
    };
    let steps: Vec<Option<f32>> =
        x.as_slice().iter().map(|&x| (x >= threshold).then(|| time(x).round_ties_even())).collect();
    let spike = |t: usize, step: &Option<f32>| f32::from(step.is_some_and(|s| (s - t as f32).abs() < 0.5));
    let spikes = (0..n_steps).flat_map(|t| steps.iter().map(move |step| spike(t, step)));
    Tensor::new(&with_time(x, n_steps), spikes.collect())
}

/// The least excess over the threshold, as in snnTorch, so that the time at the threshold is finite.
const EPSILON: f32 = 1e-7;

fn with_time(x: &Tensor<f32>, n_steps: usize) -> Vec<usize> {
    [&[n_steps], x.shape()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: &[f32]) -> Tensor<f32> {
        Tensor::new(&[1, values.len()], values.to_vec())
    }

    /// The step of each entry's only spike.
    fn spike_times(spikes: &Tensor<f32>) -> Vec<Option<usize>> {
        let n = spikes.shape()[2];
        let times = |i: usize| -> Vec<usize> {
            let column = spikes.as_slice().iter().skip(i).step_by(n);
            column.enumerate().filter_map(|(t, &s)| (s > 0.0).then_some(t)).collect()
        };
        let only = |times: Vec<usize>| {
            assert!(times.len() <= 1, "{times:?}");
            times.first().copied()
        };
        (0..n).map(|i| only(times(i))).collect()
    }

    #[test]
    fn a_constant_current_repeats() {
        let y = constant(&row(&[0.5, 2.0]), 2);
        assert_eq!(y, Tensor::new(&[2, 1, 2], vec![0.5, 2.0, 0.5, 2.0]));
    }

    #[test]
    fn spikes_come_at_the_rate_of_the_intensity() {
        let y = rate(&row(&[0.0, 0.25, 1.0, -1.0, 7.0]), 8_000, 3);
        let count = |i: usize| y.as_slice().iter().skip(i).step_by(5).filter(|&&s| s > 0.0).count();
        assert_eq!([0, 2, 3, 4].map(count), [0, 8_000, 0, 8_000]);
        assert!((1_880..2_120).contains(&count(1)), "{}", count(1));
    }

    #[test]
    fn spikes_depend_on_seed_place_and_step_alone() {
        let x = Tensor::full(&[2, 20], 0.5);
        let whole = rate(&x, 10, 3);
        let first = rate(&row(&[0.5; 20]), 4, 3);
        for (long, short) in whole.as_slice().chunks(40).zip(first.as_slice().chunks(20)) {
            assert_eq!(&long[..20], short);
        }
        assert_ne!(whole, rate(&x, 10, 4));
    }

    #[test]
    fn latencies_follow_their_code() {
        let linear = latency(&row(&[1.0, 0.5, 0.02, 0.005]), 5, Latency::Linear { tau: 4.0 }, 0.01);
        assert_eq!(spike_times(&linear), [Some(0), Some(2), Some(4), None]);
        // 5·ln(1/0.8) = 1.12, 5·ln(0.3/0.1) = 5.49, 5·ln(0.21/0.01) = 15.2
        let code = Latency::Logarithmic { tau: 5.0 };
        let logarithmic = latency(&row(&[1.0, 0.3, 0.21, 0.2, 0.1]), 8, code, 0.2);
        assert_eq!(spike_times(&logarithmic), [Some(1), Some(5), None, None, None]);
    }
}
