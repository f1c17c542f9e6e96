//! Trains a small spiking network on random spikes and prints the Hessian trace of each layer with its standard error.
//!
//! Run it with `cargo run --release -p snn-hessian --example hvp`.
#![allow(clippy::print_stdout, reason = "an example shows its results")]

use snn_autodiff::fit::Progress;
use snn_autodiff::optim::Adam;
use snn_autodiff::{Batch, BatchIter, BatchSource, FitConfig, fit};
use snn_core::Tensor;
use snn_core::encode::rate;
use snn_core::layer::Sequential;
use snn_core::loss::Loss;
use snn_core::neuron::Lif;
use snn_hessian::{Curvature, TraceConfig, hutchinson};
use std::ops::ControlFlow;

/// One batch of 24 samples: class `c` spikes more often in its own third of 30 inputs.
struct RandomSpikes;

impl BatchSource for RandomSpikes {
    fn batches(&self, _epoch: u64) -> BatchIter<'_> {
        let labels: Vec<usize> = (0..24).map(|i| i % 3).collect();
        let probability = |class: usize| (0..30).map(move |i| if i / 10 == class { 0.4 } else { 0.2 });
        let rates = labels.iter().flat_map(|&class| probability(class)).collect();
        let x = rate(&Tensor::new(&[24, 30], rates), 12, 7); // [T, B, N]
        Box::new(std::iter::once(Ok(Batch { x, labels })))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let lif = Lif::snntorch(0.9);
    let loss = Loss::CrossEntropyCount;
    let net = Sequential::input(&[30]).linear("fc1", 20).neuron("lif1", lif);
    let mut net = net.linear("fc2", 3).neuron("lif2", lif).init(7)?;

    let config = FitConfig { epochs: 100, learning_rate: 5e-3, ..FitConfig::default() };
    let (adam, mut progress) = (Adam::default(), Progress::default());
    fit(&mut net, &RandomSpikes, &loss, &adam, &config, &mut progress, &mut |_, _, _| {
        ControlFlow::Continue(())
    })?;

    for curvature in [Curvature::Hessian, Curvature::GaussNewton] {
        let config = TraceConfig { curvature, ..TraceConfig::default() };
        let report = hutchinson(&net, &loss, &RandomSpikes, &config, &mut |_| ControlFlow::Continue(()))?;
        println!("curvature = {}", curvature.describe(&lif.firing));
        println!("{:<12} {:>8} {:>11} {:>10}", "tensor", "weights", "trace", "std. err.");
        for (name, t) in &report.tensors {
            println!("{name:<12} {:>8} {:>11.4} {:>10.4}", t.n_params, t.mean, t.std_err);
        }
        println!("{} probes\n", report.n_probes);
    }
    Ok(())
}
