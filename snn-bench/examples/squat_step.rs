//! Times training steps of one network in float and on membrane levels: 2x34x34 spikes at 3 %,
//! 12C5-P2-LIF-32C5-P2-LIF-10, T = 25, batch 32, on as many threads as `RAYON_NUM_THREADS` says. Run with `--release`.
//!
//! Variants take turns, so that what else the machine does hits them alike; the best of all rounds counts. The number of
//! rounds may be given as argument.

#![allow(clippy::print_stdout, reason = "an example prints")]

use snn_autodiff::fit::Progress;
use snn_autodiff::optim::Adam;
use snn_autodiff::{Batch, BatchIter, BatchSource, FitConfig, fit};
use snn_bench::model::neuron_names;
use snn_bench::table::{Column, Table};
use snn_core::layer::{Sequential, parse};
use snn_core::loss::Loss;
use snn_core::neuron::Lif;
use snn_core::rng::counter_uniform;
use snn_core::{Module, Tensor};
use snn_quant::{
    BitWidth, LevelSpec, QuantPlan, QuantSpec, Quantized, Spacing, StateSpec, Variant, weight_shapes,
};
use std::ops::ControlFlow;
use std::time::Instant;

/// That of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// One batch.
struct Once(Batch);

impl BatchSource for Once {
    fn batches(&self, _epoch: u64) -> BatchIter<'_> {
        Box::new(std::iter::once(Ok(self.0.clone())))
    }
}

type Failed = Box<dyn std::error::Error>;

fn network() -> Result<Sequential, Failed> {
    let mut net = parse("12C5-P2-LIF-32C5-P2-LIF-10", &[2, 34, 34], Lif::snntorch(0.5).into())?.init(1)?;
    // Gains that make the hidden layers fire at 6 to 7 %.
    for (name, gain) in [("conv1.weight", 3.3), ("conv2.weight", 2.2)] {
        net.visit_params_mut(&mut |p| {
            if p.name == name {
                p.value = p.value.map(|w| w * gain);
            }
        });
    }
    Ok(net)
}

/// All weights and all membranes at some width.
fn plan(
    net: &Sequential,
    weight_bits: Option<u32>,
    state: Option<(u32, Spacing, Variant)>,
) -> Result<QuantPlan, Failed> {
    let mut plan = QuantPlan::default();
    if let Some(bits) = weight_bits {
        let spec = QuantSpec::uniform(BitWidth::new(bits)?);
        plan.weights = weight_shapes(net).into_keys().map(|name| (name, spec.clone())).collect();
    }
    if let Some((bits, spacing, variant)) = state {
        let spec = StateSpec::levels(LevelSpec { spacing, variant, ..LevelSpec::new(BitWidth::new(bits)?) });
        plan.states = neuron_names(net).into_iter().map(|name| (name, spec.clone())).collect();
    }
    Ok(plan)
}

/// Milliseconds of one step; a rate of zero keeps the weights, and so the firing rates, as they are.
fn step<M: Module + Sync>(net: &mut M, data: &Once) -> Result<f64, Failed> {
    let config = FitConfig { epochs: 1, learning_rate: 0.0, micro_batch: Some(4), ..FitConfig::default() };
    let (loss, adam) = (Loss::CrossEntropyMean, Adam::default());
    let (mut progress, start) = (Progress::default(), Instant::now());
    fit(net, data, &loss, &adam, &config, &mut progress, &mut |_, _, _| ControlFlow::Continue(()))?;
    Ok(start.elapsed().as_secs_f64() * 1e3)
}

fn main() -> Result<(), Failed> {
    let rounds = std::env::args().nth(1).map_or(Ok(20), |text| text.parse())?;
    let shape = [25, 32, 2, 34, 34];
    let spike = |i| if counter_uniform(42, i) < 0.03 { 1.0 } else { 0.0 };
    let x = Tensor::new(&shape, (0..shape.iter().product::<usize>() as u64).map(spike).collect());
    let data = Once(Batch { x, labels: (0..32).map(|i| i % 10).collect() });

    let mut net = network()?;
    let compat = |bits, spacing| Some((bits, spacing, Variant::SnntorchCompat));
    let variants = [
        ("4-bit weights", Some(4), None),
        ("4-bit membranes, uniform", None, compat(4, Spacing::Uniform)),
        ("4-bit both, uniform", Some(4), compat(4, Spacing::Uniform)),
        ("4-bit both, threshold-centered", Some(4), compat(4, Spacing::ThresholdCentered)),
        ("4-bit both, zero-exact", Some(4), Some((4, Spacing::ThresholdCentered, Variant::ZeroExact))),
        ("8-bit both, uniform", Some(8), compat(8, Spacing::Uniform)),
        ("8-bit both, threshold-centered", Some(8), compat(8, Spacing::ThresholdCentered)),
    ];
    let mut quantized = Vec::new();
    for (name, weights, state) in variants {
        let plan = plan(&net, weights, state)?;
        quantized.push((name, Quantized::new(net.clone(), &neuron_names(&net), plan)?, f64::INFINITY));
    }
    let mut float = f64::INFINITY;
    for _ in 0..rounds {
        float = step(&mut net, &data)?.min(float);
        for (_, net, best) in &mut quantized {
            *best = step(net, &data)?.min(*best);
        }
    }
    let mut table = Table::new([Column::text("step"), Column::number("ms"), Column::number("to float")]);
    table.row(["float", &format!("{float:.1}"), "1.00"]);
    for (name, _, best) in quantized {
        table.row([name, &format!("{best:.1}"), &format!("{:.2}", best / float)]);
    }
    println!("best of {rounds} rounds, {} threads\n{table}", rayon::current_num_threads());
    Ok(())
}
