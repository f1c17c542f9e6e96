//! What a run of a network does: firing rates, synaptic operations, trajectories of membranes.

use crate::exec::{Eager, Exec, Neurons};
use crate::module::Param;
use crate::neuron::Trajectory;
use crate::op::{Op, SynOps};
use crate::tensor::Tensor;
use std::collections::BTreeMap;

/// Spikes of a neuron layer, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpikeCount {
    /// Nonzero outputs.
    pub spikes: u64,
    /// Outputs: neurons times steps times samples.
    pub outputs: u64,
}

impl SpikeCount {
    /// Spikes per neuron and step; 0 if nothing ran.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "a ratio")]
    pub fn rate(&self) -> f64 {
        if self.outputs == 0 { 0.0 } else { self.spikes as f64 / self.outputs as f64 }
    }
}

impl std::ops::AddAssign for SpikeCount {
    fn add_assign(&mut self, o: Self) {
        self.spikes += o.spikes;
        self.outputs += o.outputs;
    }
}

/// What runs of a network did, counted over all samples and steps.
///
/// A synaptic operation is a product of a nonzero input with a weight, biases not counted (`NeuroBench` counts the same:
/// its effective ACs and MACs together). Divide by the samples for the usual figure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// Synaptic operations of all layers.
    pub synops: SynOps,
    /// Spikes of each neuron layer by name.
    pub spikes: BTreeMap<String, SpikeCount>,
}

impl Activity {
    /// Adds what another run did.
    pub fn merge(&mut self, other: &Self) {
        self.synops += other.synops;
        for (name, &count) in &other.spikes {
            *self.spikes.entry(name.clone()).or_default() += count;
        }
    }

    /// Spikes per neuron and step over all layers.
    #[must_use]
    pub fn spike_rate(&self) -> f64 {
        let mut all = SpikeCount::default();
        self.spikes.values().for_each(|&count| all += count);
        all.rate()
    }
}

/// Inference that counts what it does.
#[derive(Debug, Default)]
pub struct Meter {
    eager: Eager<'static, f32>,
    /// What was done so far.
    pub activity: Activity,
}

impl Meter {
    /// Nothing counted yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Exec for Meter {
    type S = f32;
    type Value = Tensor<f32>;

    fn input(&mut self, x: &Tensor<f32>) -> Tensor<f32> {
        x.clone()
    }

    fn param(&mut self, p: &Param) -> Tensor<f32> {
        self.eager.param(p)
    }

    fn apply(&mut self, op: Box<dyn Op<f32>>, x: &[&Tensor<f32>]) -> Tensor<f32> {
        self.activity.synops += op.synops(x);
        self.eager.apply(op, x)
    }

    fn neuron(&mut self, name: &str, neurons: Neurons<f32>, x: &[&Tensor<f32>]) -> Tensor<f32> {
        neurons.apply_apart(self, x, |meter, scan, x| {
            let spikes = meter.apply(scan, x);
            let active = spikes.as_slice().iter().filter(|&&s| s != 0.0).count();
            let count = SpikeCount { spikes: active as u64, outputs: spikes.len() as u64 };
            *meter.activity.spikes.entry(name.to_owned()).or_default() += count;
            spikes
        })
    }
}

/// Inference that keeps the trajectory of every neuron layer: for rasters, membrane plots and calibration.
#[derive(Debug, Default)]
pub struct Recorder {
    eager: Eager<'static, f32>,
    /// What each neuron layer did, by name.
    pub trajectories: BTreeMap<String, Trajectory<f32>>,
}

impl Recorder {
    /// Nothing recorded yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Exec for Recorder {
    type S = f32;
    type Value = Tensor<f32>;

    fn input(&mut self, x: &Tensor<f32>) -> Tensor<f32> {
        x.clone()
    }

    fn param(&mut self, p: &Param) -> Tensor<f32> {
        self.eager.param(p)
    }

    fn apply(&mut self, op: Box<dyn Op<f32>>, x: &[&Tensor<f32>]) -> Tensor<f32> {
        self.eager.apply(op, x)
    }

    fn neuron(&mut self, name: &str, neurons: Neurons<f32>, x: &[&Tensor<f32>]) -> Tensor<f32> {
        neurons.apply_apart(self, x, |recorder, scan, x| {
            let trajectory = scan.trajectory(x);
            let spikes = trajectory.spikes.clone();
            recorder.trajectories.insert(name.to_owned(), trajectory);
            spikes
        })
    }
}
