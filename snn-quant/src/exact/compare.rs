//! Whether the trained network and the integer model are the same.

use super::{Exact, ExactError};
use snn_core::metrics::Recorder;
use snn_core::neuron::Trajectory;
use snn_core::{Exec, Module, Pass, Tensor};
use snn_int::{Engine, Model};

/// How much was found equal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compared {
    /// Samples.
    pub samples: u64,
    /// Outputs of neurons, spikes or not.
    pub outputs: u64,
    /// Spikes among them.
    pub spikes: u64,
    /// Membranes at the spike test.
    pub membranes: u64,
}

impl std::ops::AddAssign for Compared {
    fn add_assign(&mut self, other: Self) {
        self.samples += other.samples;
        self.outputs += other.outputs;
        self.spikes += other.spikes;
        self.membranes += other.membranes;
    }
}

/// What of a neuron differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// Its membrane at the spike test.
    Membrane,
    /// Its spikes in the step.
    Spikes,
}

/// The first difference between the two.
#[derive(Debug, Clone, PartialEq)]
pub struct Divergence {
    /// Index of the sample within the batch.
    pub sample: usize,
    /// The layer's name.
    pub layer: String,
    /// Time step, from 0.
    pub step: usize,
    /// Index of the neuron in the order channel, row, column.
    pub neuron: usize,
    /// What differs.
    pub quantity: Quantity,
    /// The value in the trained network.
    pub trained: f64,
    /// The value in the integer model.
    pub integer: f64,
}

/// The outcome of a comparison.
#[derive(Debug, Clone, PartialEq)]
pub enum Comparison {
    /// All is equal.
    Equal {
        /// How much.
        compared: Compared,
        /// For each sample, the output with the highest score.
        classes: Vec<usize>,
    },
    /// Something differs.
    Different(Divergence),
}

/// Compares a frozen exact network with an integer model.
#[derive(Debug)]
pub struct Verifier<'m> {
    net: Exact,
    names: Vec<String>,
    engine: Engine<'m>,
    input_max: u8,
}

impl<'m> Verifier<'m> {
    /// The network that was trained, and the model that is to be the same.
    ///
    /// # Errors
    /// [`ExactError`], where training has left what is exact.
    pub fn new(net: &Exact, model: Model<'m>) -> Result<Self, ExactError> {
        let net = net.frozen()?;
        let names = net.frozen.iter().flatten().map(|stage| stage.name.clone()).collect();
        Ok(Self { net, names, engine: Engine::new(model), input_max: model.input_max() })
    }

    /// Runs both on a batch of frames and compares every membrane and every spike.
    ///
    /// # Shapes
    /// `x` is `[T, B, features…]`.
    ///
    /// # Errors
    /// [`ExactError::Input`] for an input that is no whole number from 0 to the plan's largest.
    pub fn compare(&mut self, x: &Tensor<f32>) -> Result<Comparison, ExactError> {
        let frames = self.whole(x)?;
        let mut recorder = Recorder::new();
        let input = recorder.input(x);
        self.net.forward(&mut recorder, &input, &Pass::inference());
        let trained: Vec<&Trajectory<f32>> =
            self.names.iter().filter_map(|name| recorder.trajectories.get(name)).collect();
        let (n_steps, batch) = (x.shape()[0], x.shape()[1]);
        let n = frames.len() / (n_steps * batch).max(1);
        let (mut compared, mut classes) = (Compared::default(), Vec::with_capacity(batch));
        for sample in 0..batch {
            self.engine.reset();
            for step in 0..n_steps {
                let first = (step * batch + sample) * n;
                self.engine.set_frame(&frames[first..first + n])?;
                if let Some(found) = self.step(&trained, [sample, step, batch], &mut compared) {
                    return Ok(Comparison::Different(found));
                }
            }
            compared.samples += 1;
            classes.push(self.engine.class());
        }
        Ok(Comparison::Equal { compared, classes })
    }

    /// Steps the engine and compares all layers.
    #[allow(clippy::float_cmp, reason = "integers, which both types hold exactly, are compared")]
    fn step(
        &mut self,
        trained: &[&Trajectory<f32>],
        [sample, step, batch]: [usize; 3],
        compared: &mut Compared,
    ) -> Option<Divergence> {
        let mut found = None;
        let names = &self.names;
        self.engine.step_with(|seen| {
            let n = seen.layer.neurons.n();
            let at = (step * batch + sample) * n;
            let spiking = seen.layer.cell.neuron.firing.is_some();
            let of = trained[seen.number];
            let (membranes, outputs) = (of.states[0].as_slice(), of.spikes.as_slice());
            for neuron in 0..n {
                let place = seen.layer.neurons.place(neuron);
                let differ = |quantity, trained: f32, integer: f64| Divergence {
                    sample,
                    layer: names[seen.number].clone(),
                    step,
                    neuron,
                    quantity,
                    trained: trained.into(),
                    integer,
                };
                let (membrane, spikes) = (f64::from(seen.membranes[place]), f64::from(seen.spikes[place]));
                compared.membranes += 1;
                if f64::from(membranes[at + neuron]) != membrane && found.is_none() {
                    found = Some(differ(Quantity::Membrane, membranes[at + neuron], membrane));
                }
                if !spiking {
                    continue;
                }
                compared.outputs += 1;
                compared.spikes += u64::from(seen.spikes[place]);
                if f64::from(outputs[at + neuron]) != spikes && found.is_none() {
                    found = Some(differ(Quantity::Spikes, outputs[at + neuron], spikes));
                }
            }
        });
        found
    }

    fn whole(&self, x: &Tensor<f32>) -> Result<Vec<u8>, ExactError> {
        let largest = self.input_max;
        let whole = |(index, &value): (usize, &f32)| {
            if value.fract() == 0.0 && (0.0..=f32::from(largest)).contains(&value) {
                return Ok(byte(value));
            }
            Err(ExactError::Input { index, value, largest })
        };
        x.as_slice().iter().enumerate().map(whole).collect()
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and within a byte")]
fn byte(value: f32) -> u8 {
    value as u8
}
