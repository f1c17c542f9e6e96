//! Batch normalization layer.

use crate::exec::Exec;
use crate::module::{Param, Pass, Statistics};
use crate::ops::{BatchNorm, BatchStats, Norm, Normalize};

/// Batch normalization over time, samples and space: `<name>.gamma`, `<name>.beta` `[C]`, and the running statistics
/// `<name>.stats` `[2, C]` (mean, variance).
///
/// A training pass uses the statistics of its batch and records them under `<name>.stats`, from which the training loop
/// updates the running ones.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchNormLayer {
    /// Unique name.
    pub name: String,
    /// Gain of each channel.
    pub gamma: Param,
    /// Offset of each channel.
    pub beta: Param,
    /// Running mean and variance of each channel.
    pub stats: Param,
}

impl BatchNormLayer {
    /// Added to the variance.
    pub const EPSILON: f32 = 1e-5;

    /// Normalizes `[T, B, C, …]`.
    pub fn forward<E: Exec>(&self, e: &mut E, x: &E::Value, pass: &Pass) -> E::Value {
        let (norm, others) = self.parts(e, x, pass);
        let [stats, gamma, beta] = &others;
        e.apply(norm.op(), &[x, stats, gamma, beta])
    }

    /// The normalization of `x`, and what it takes besides: statistics, gain and shift.
    pub(super) fn parts<E: Exec>(&self, e: &mut E, x: &E::Value, pass: &Pass) -> (Norm, [E::Value; 3]) {
        let epsilon = Self::EPSILON;
        let (stats, norm) = match pass.statistics {
            Statistics::Running => (e.param(&self.stats), Norm::Given(Normalize { epsilon })),
            Statistics::Batch => {
                let stats = e.apply(Box::new(BatchStats), &[x]);
                e.record(&self.stats.name, &stats);
                (stats, Norm::Own(BatchNorm { epsilon }))
            }
        };
        (norm, [stats, e.param(&self.gamma), e.param(&self.beta)])
    }
}
