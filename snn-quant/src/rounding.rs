//! Rounding to a grid: to the nearest level, or stochastically with draws that only depend on where they are.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// How a value between two levels is rounded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Rounding {
    /// To the nearest level, ties to the even code.
    #[default]
    Nearest,
    /// Up with a probability equal to the distance from the level below, in steps; unbiased.
    ///
    /// # References
    /// Gupta, Agrawal, Gopalakrishnan, Narayanan, "Deep Learning with Limited Numerical Precision", 2015,
    /// arXiv 1502.02551, section 3.1.
    Stochastic {
        /// The seed of the draws.
        seed: u64,
    },
}

/// Where in a run a slice of values stands, so that its stochastic rounding depends on nothing else.
///
/// Two slices of the same tensor at the same step, rounded on different threads, get the draws that they
/// would get if the whole tensor were rounded at once: `first_index` is the position of the slice's first
/// value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DrawPosition {
    /// The step of the run: a training iteration, a time step, or both combined by the caller.
    pub step: u64,
    /// The row-major position of the first value of the slice in its tensor.
    pub first_index: u64,
}

/// Uniform draws from `[0, 1)`, one per index of a tensor at one step: counter-based, hence free to be split.
#[derive(Debug, Clone)]
pub(crate) struct Draws(ChaCha8Rng);

impl Draws {
    /// The draws of `seed` from `at` on.
    pub(crate) fn new(seed: u64, at: DrawPosition) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(at.step);
        rng.set_word_pos(u128::from(at.first_index));
        Draws(rng)
    }

    /// The next draw: 24 random bits, so that it is exact in `f32`.
    pub(crate) fn next_unit(&mut self) -> f64 {
        f64::from(self.0.next_u32() >> 8) / f64::from(1u32 << 24)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_depends_on_seed_step_and_index_only() {
        let draw = |seed, step, first_index| Draws::new(seed, DrawPosition { step, first_index }).next_unit();
        let mut sequence = Draws::new(7, DrawPosition { step: 3, first_index: 0 });
        for index in 0..100 {
            assert_eq!(sequence.next_unit().to_bits(), draw(7, 3, index).to_bits());
        }
        assert_ne!(draw(7, 3, 5).to_bits(), draw(8, 3, 5).to_bits());
        assert_ne!(draw(7, 3, 5).to_bits(), draw(7, 4, 5).to_bits());
    }

    #[test]
    fn draws_are_uniform() {
        let mut draws = Draws::new(1, DrawPosition::default());
        let n = 20_000;
        let values: Vec<f64> = (0..n).map(|_| draws.next_unit()).collect();
        let mean = values.iter().sum::<f64>() / f64::from(n);
        // Four standard errors of a uniform variable's mean.
        assert!((mean - 0.5).abs() < 4.0 * (1.0f64 / 12.0 / f64::from(n)).sqrt(), "mean {mean}");
        assert!(values.iter().all(|v| (0.0..1.0).contains(v)));
    }
}
