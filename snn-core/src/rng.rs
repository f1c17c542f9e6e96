//! Seeded generators: one seed for a run, sub-seeds derived by name, so that adding a use of randomness does not shift
//! the others.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// The generator of a run's part `name`: the same for the same seed and name, on every machine.
#[must_use]
pub fn rng(seed: u64, name: &str) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(sub_seed(seed, name))
}

/// A seed for the part `name` of a run: FNV-1a over the name, mixed with the seed by [`mix`].
#[must_use]
pub fn sub_seed(seed: u64, name: &str) -> u64 {
    let fnv = |h: u64, b: u8| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3);
    mix(seed ^ name.bytes().fold(0xcbf2_9ce4_8422_2325, fnv))
}

/// The finalizer of splitmix64: a bijection that spreads every input bit over the output.
#[inline]
#[must_use]
pub fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A uniform number in `[0, 1)` that depends only on the seed and the counter, for draws that must not depend on the
/// order of evaluation.
#[inline]
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "24 bits fit an f32 exactly")]
pub fn counter_uniform(seed: u64, counter: u64) -> f32 {
    (mix(seed ^ mix(counter)) >> 40) as f32 / 16_777_216.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    #[test]
    fn streams_are_fixed_and_differ_by_name() {
        assert_eq!(rng(7, "init").next_u64(), rng(7, "init").next_u64());
        assert_ne!(rng(7, "init").next_u64(), rng(7, "shuffle").next_u64());
        assert_ne!(rng(7, "init").next_u64(), rng(8, "init").next_u64());
    }

    #[test]
    fn counter_draws_are_uniform() {
        let n = 20_000;
        let mean = (0..n).map(|i| f64::from(counter_uniform(3, i))).sum::<f64>() / f64::from(20_000);
        assert!((mean - 0.5).abs() < 0.01, "mean {mean}");
    }
}
