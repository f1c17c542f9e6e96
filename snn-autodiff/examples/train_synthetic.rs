//! Trains a small network on rate-coded patterns.

#![allow(clippy::print_stdout, reason = "an example prints its results")]

use snn_autodiff::fit::{Event, Progress};
use snn_autodiff::optim::Adam;
use snn_autodiff::{Batch, BatchIter, BatchSource, FitConfig, evaluate, fit};
use snn_core::layer::Sequential;
use snn_core::loss::Loss;
use snn_core::neuron::Lif;
use snn_core::rng::{counter_uniform, mix};
use snn_core::{Tensor, encode};
use std::ops::ControlFlow;

const N_CLASSES: usize = 4;
const N_INPUTS: usize = 32;
const N_STEPS: usize = 16;
const BATCH: usize = 32;

/// Each class is a random pattern of firing rates; each sample draws its own spikes from it.
struct RandomPatterns;

impl BatchSource for RandomPatterns {
    fn batches(&self, epoch: u64) -> BatchIter<'_> {
        let batch = |seed: u64| {
            let labels: Vec<usize> = (0..BATCH).map(|i| i % N_CLASSES).collect();
            let entries = labels.iter().flat_map(|&label| label * N_INPUTS..(label + 1) * N_INPUTS);
            let rates = entries.map(|i| 0.5 * counter_uniform(3, i as u64)).collect();
            let x = encode::rate(&Tensor::new(&[BATCH, N_INPUTS], rates), N_STEPS, seed);
            Ok(Batch { x, labels })
        };
        Box::new((0..8).map(move |i| batch(mix(8 * epoch + i))))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut net = Sequential::input(&[N_INPUTS])
        .linear("fc1", 24)
        .neuron("lif1", Lif::snntorch(0.9))
        .linear("fc2", N_CLASSES)
        .neuron("lif2", Lif::snntorch(0.9))
        .init(7)?;
    let config = FitConfig { epochs: 10, learning_rate: 5e-3, ..FitConfig::default() };
    let watch = &mut |event: &Event, _: &Sequential, _: &Progress| {
        if let Event::Epoch(e) = event {
            println!("epoch {:2}: loss {:.3}, accuracy {:.1} %", e.epoch, e.loss, 100.0 * e.accuracy);
        }
        ControlFlow::Continue(())
    };
    let (loss, mut progress) = (Loss::CrossEntropyCount, Progress::default());
    fit(&mut net, &RandomPatterns, &loss, &Adam::default(), &config, &mut progress, watch)?;

    let result = evaluate(&net, &RandomPatterns, &loss)?;
    println!("{:.1} % right, {:.0} synops per sample", 100.0 * result.accuracy, result.synops_per_sample());
    println!("{:.3} spikes per neuron and step", result.activity.spike_rate());
    Ok(())
}
