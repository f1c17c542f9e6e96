//! What a network does: on one recording, as figures of a report, and what is wrong with it on all.

use crate::report::{Membrane, Raster};
use snn_autodiff::Evaluation;
use snn_core::exec::Exec;
use snn_core::layer::Sequential;
use snn_core::metrics::{Recorder, SpikeCount};
use snn_core::neuron::Trajectory;
use snn_core::{Module, Pass, Tensor};
use snn_quant::{QuantPlan, StateLevels, StateSpec};
use std::collections::BTreeMap;

/// Most neurons that a raster shows.
const RASTER_NEURONS: usize = 256;
/// Most levels that a membrane figure shows; more would be a gray area.
const SHOWN_LEVELS: usize = 64;

/// Runs `net` on frames `[T, B, C, H, W]` and tells what each neuron layer did.
pub fn trajectories(net: &impl Module, frames: &Tensor<f32>) -> BTreeMap<String, Trajectory<f32>> {
    let mut recorder = Recorder::new();
    let x = recorder.input(frames);
    net.forward(&mut recorder, &x, &Pass::inference());
    recorder.trajectories
}

/// Spikes of the first sample in a layer, of its first neurons if it has many.
#[must_use]
pub fn raster(layer: &str, trajectory: &Trajectory<f32>, step_ms: f64) -> Raster {
    let size = Size::of(trajectory);
    let shown = size.neurons.min(RASTER_NEURONS);
    let spikes = (0..size.steps).flat_map(|t| (0..shown).map(move |n| (t, n)));
    let fired = |&(t, n): &(usize, usize)| trajectory.spikes.as_slice()[size.at(t, n)] > 0.0;
    let name = match size.neurons > shown {
        true => format!("{layer}, the first {shown} of {} neurons, one test recording", size.neurons),
        false => format!("{layer}, one test recording"),
    };
    let spikes = spikes.filter(fired).collect();
    Raster { name, n_neurons: shown, n_steps: size.steps, step_ms: Some(step_ms), spikes }
}

/// The membrane of the busiest neuron of the first sample in a layer, in full precision and through a plan.
#[must_use]
pub fn membrane(
    layer: &str,
    threshold: f64,
    float: &Trajectory<f32>,
    quantized: Option<(&Trajectory<f32>, &StateSpec)>,
) -> Membrane {
    let size = Size::of(float);
    let count = |n: usize| (0..size.steps).filter(|&t| float.spikes.as_slice()[size.at(t, n)] > 0.0).count();
    let busiest = (0..size.neurons).max_by_key(|&n| (count(n), size.neurons - n)).unwrap_or(0);
    let mem = |of: &Trajectory<f32>| -> Vec<f64> {
        (0..size.steps).map(|t| f64::from(of.states[0].as_slice()[size.at(t, busiest)])).collect()
    };
    let found = quantized.and_then(|(_, spec)| spec.found_levels().ok());
    let levels = found.as_ref().map(StateLevels::values).filter(|l| l.len() <= SHOWN_LEVELS);
    let rounded = |of: &Trajectory<f32>| {
        let level = |u: f32| f64::from(found.as_ref().map_or(u, |levels| levels.nearest(u)));
        (0..size.steps).map(|t| level(of.states[0].as_slice()[size.at(t, busiest)])).collect()
    };
    Membrane {
        name: format!("{layer}, neuron {busiest}, one test recording"),
        mem: mem(float),
        mem_quantized: quantized.map(|(of, _)| rounded(of)).unwrap_or_default(),
        threshold,
        levels: levels.unwrap_or_default().into_iter().map(f64::from).collect(),
        spikes: (0..size.steps).filter(|&t| float.spikes.as_slice()[size.at(t, busiest)] > 0.0).collect(),
    }
}

/// A raster and a membrane of the last neuron layer of `net`, with the membrane of `quantized` beside it.
pub fn figures(
    net: &Sequential,
    quantized: Option<(&impl Module, &QuantPlan)>,
    frames: &Tensor<f32>,
    step_ms: f64,
) -> Option<(Raster, Membrane)> {
    let layer = net.neurons().last()?;
    let float = trajectories(net, frames).remove(&layer.name)?;
    let other = quantized.and_then(|(net, plan)| {
        Some((trajectories(net, frames).remove(&layer.name)?, plan.states.get(&layer.name)?))
    });
    let threshold = f64::from(layer.kind.threshold()?);
    let other = other.as_ref().map(|(trajectory, spec)| (trajectory, *spec));
    Some((raster(&layer.name, &float, step_ms), membrane(&layer.name, threshold, &float, other)))
}

/// Neuron layers that never spike, or at every step, each with what that means.
#[must_use]
pub fn stuck_layers(evaluation: &Evaluation) -> Vec<String> {
    let note = |(name, count): (&String, &SpikeCount)| match count.spikes {
        0 => Some(format!("{name} never spikes")),
        n if n == count.outputs => Some(format!("all neurons of {name} spike at every step")),
        _ => None,
    };
    evaluation.activity.spikes.iter().filter_map(note).collect()
}

/// Steps, samples and neurons of a trajectory.
#[derive(Clone, Copy)]
struct Size {
    steps: usize,
    batch: usize,
    neurons: usize,
}

impl Size {
    fn of(trajectory: &Trajectory<f32>) -> Self {
        let shape = trajectory.spikes.shape();
        Self { steps: shape[0], batch: shape[1], neurons: shape[2..].iter().product() }
    }

    /// Index of a neuron of the first sample at a step.
    fn at(self, step: usize, neuron: usize) -> usize {
        step * self.batch * self.neurons + neuron
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use snn_core::neuron::{Lif, Scan};

    #[test]
    fn the_first_sample_of_a_batch_is_shown() {
        let cur = Tensor::new(&[2, 2, 2], vec![0.5_f32, 2.0, 9.0, 9.0, 0.2, 2.0, 9.0, 9.0]);
        let run = Scan::new(Lif::snntorch(0.5)).run(&cur, None);
        let raster = raster("lif", &run, 10.0);
        assert_eq!((raster.n_neurons, raster.spikes), (2, vec![(0, 1), (1, 1)]));
        let membrane = membrane("lif", 1.0, &run, None);
        assert_eq!((membrane.mem, membrane.spikes), (vec![2.0, 2.0], vec![0, 1]));
    }
}
