//! Batch normalization layer.

use super::neuron::Before;
use crate::exec::Exec;
use crate::module::{Param, Pass, Statistics};
use crate::ops::{BatchNorm, BatchStats, Conv2d, ConvStats, Norm, Normalize};

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
        let Before { norm, inputs, .. } = self.before(e, x, pass);
        match norm {
            Some(norm) => e.apply(norm.op(), &inputs.iter().collect::<Vec<_>>()),
            None => x.clone(),
        }
    }

    /// The normalization of `x` before neurons.
    pub(super) fn before<E: Exec>(&self, e: &mut E, x: &E::Value, pass: &Pass) -> Before<E::Value> {
        let stats = |e: &mut E| e.apply(Box::new(BatchStats), &[x]);
        let (norm, others) = self.parts(e, stats, pass);
        Before { conv2d: None, norm: Some(norm), inputs: [x.clone()].into_iter().chain(others).collect() }
    }

    /// The normalization of the output of a convolution of these inputs, with that, before neurons.
    pub(super) fn before_with_conv<E: Exec>(
        &self,
        e: &mut E,
        (conv2d, mut inputs): (Conv2d, Vec<E::Value>),
        pass: &Pass,
    ) -> Before<E::Value> {
        let op = Box::new(ConvStats::new(conv2d.clone()));
        let stats = |e: &mut E| e.apply(op, &inputs.iter().collect::<Vec<_>>());
        let (norm, others) = self.parts(e, stats, pass);
        let n_inputs = inputs.len();
        inputs.extend(others);
        Before { conv2d: Some((conv2d, n_inputs)), norm: Some(norm), inputs }
    }

    /// The normalization, and what it takes beside what it normalizes: statistics, in a training pass those of the batch, gain and
    /// shift.
    fn parts<E: Exec>(
        &self,
        e: &mut E,
        of_batch: impl FnOnce(&mut E) -> E::Value,
        pass: &Pass,
    ) -> (Norm, [E::Value; 3]) {
        let epsilon = Self::EPSILON;
        let (stats, norm) = match pass.statistics {
            Statistics::Running => (e.param(&self.stats), Norm::Given(Normalize { epsilon })),
            Statistics::Batch => {
                let stats = of_batch(e);
                e.record(&self.stats.name, &stats);
                (stats, Norm::Own(BatchNorm { epsilon }))
            }
        };
        (norm, [stats, e.param(&self.gamma), e.param(&self.beta)])
    }
}
