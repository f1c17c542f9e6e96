//! Batch normalization layer.

use crate::exec::Exec;
use crate::module::{Param, Pass, Statistics};
use crate::op::Op;
use crate::ops::{BatchNorm, BatchStats, Normalize};

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
        let epsilon = Self::EPSILON;
        let (stats, op): (_, Box<dyn Op<E::S>>) = match pass.statistics {
            Statistics::Running => (e.param(&self.stats), Box::new(Normalize { epsilon })),
            Statistics::Batch => {
                let stats = e.apply(Box::new(BatchStats), &[x]);
                e.record(&self.stats.name, &stats);
                (stats, Box::new(BatchNorm { epsilon }))
            }
        };
        let (gamma, beta) = (e.param(&self.gamma), e.param(&self.beta));
        e.apply(op, &[x, &stats, &gamma, &beta])
    }
}
