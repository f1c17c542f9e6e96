//! Times one training step of the tutorial network: 2x34x34 spikes at 3 %, 12C5-P2-LIF-32C5-P2-LIF-10-LIF, T = 25,
//! batch 128, on as many threads as `RAYON_NUM_THREADS` says. Run with `--release`.

#![allow(clippy::print_stdout, reason = "an example prints")]

use snn_autodiff::fit::{Event, Progress};
use snn_autodiff::optim::Adam;
use snn_autodiff::{Batch, BatchIter, BatchSource, FitConfig, fit};
use snn_core::layer::parse;
use snn_core::loss::Loss;
use snn_core::neuron::Lif;
use snn_core::rng::counter_uniform;
use snn_core::{Module, Tensor};
use std::ops::ControlFlow;
use std::time::Instant;

const STEPS: usize = 9;

/// The same batch over and over.
struct Repeated(Batch);

impl BatchSource for Repeated {
    fn batches(&self, _epoch: u64) -> BatchIter<'_> {
        Box::new((0..STEPS).map(|_| Ok(self.0.clone())))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let shape = [25, 128, 2, 34, 34];
    let spike = |i| if counter_uniform(42, i) < 0.03 { 1.0 } else { 0.0 };
    let x = Tensor::new(&shape, (0..shape.iter().product::<usize>() as u64).map(spike).collect());
    let labels = (0..128).map(|i| i % 10).collect();

    let mut net = parse("12C5-P2-LIF-32C5-P2-LIF-10-LIF", &shape[2..], Lif::snntorch(0.5).into())?.init(1)?;
    // Weights of the peers' benchmark: gains that make the hidden layers fire at 6 to 7 %.
    for (name, gain) in [("conv1.weight", 3.3), ("conv2.weight", 2.2), ("fc1.weight", 8.0)] {
        net.visit_params_mut(&mut |p| {
            if p.name == name {
                p.value = p.value.map(|w| w * gain);
            }
        });
    }
    // A rate of zero keeps the weights, and so the firing rates, as they are.
    let config = FitConfig { epochs: 1, learning_rate: 0.0, micro_batch: Some(4), ..FitConfig::default() };
    let (mut last, mut times) = (Instant::now(), Vec::new());
    let data = Repeated(Batch { x, labels });
    let mut watch = |event: &Event, _: &_, _: &Progress| {
        if let Event::Batch { loss, .. } = event {
            times.push(last.elapsed().as_secs_f64() * 1e3);
            println!("{:7.1} ms, loss {loss:.4}", times[times.len() - 1]);
            last = Instant::now();
        }
        ControlFlow::Continue(())
    };
    fit(
        &mut net,
        &data,
        &Loss::CrossEntropyCount,
        &Adam::default(),
        &config,
        &mut Progress::default(),
        &mut watch,
    )?;
    times.remove(0);
    times.sort_by(f64::total_cmp);
    println!(
        "median {:.1} ms, best {:.1} ms on {} threads",
        times[times.len() / 2],
        times[0],
        rayon::current_num_threads()
    );
    Ok(())
}
