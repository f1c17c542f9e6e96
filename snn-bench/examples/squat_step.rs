//! Times training steps of one network in float and on membrane levels: 2x34x34 spikes at 3 %,
//! 12C5-P2-LIF-32C5-P2-LIF-10, T = 25, batch 32, on as many threads as `RAYON_NUM_THREADS` says. Run with `--release`.
//!
//! Variants take turns, so that what else the machine does hits them alike; the best of all rounds counts. The number of
//! rounds may be given as argument.

#![allow(clippy::print_stdout, reason = "an example prints")]

#[path = "shared/nmnist.rs"]
mod nmnist;

use snn_autodiff::fit::Progress;
use snn_autodiff::optim::Adam;
use snn_autodiff::{Batch, FitConfig, fit};
use snn_bench::model::neuron_names;
use snn_bench::table::{Column, Table};
use snn_core::Module;
use snn_core::layer::Sequential;
use snn_core::loss::Loss;
use snn_quant::{
    BitWidth, LevelSpec, QuantPlan, QuantSpec, Quantized, Spacing, StateSpec, Variant, weight_shapes,
};
use std::ops::ControlFlow;
use std::time::Instant;

/// All weights and all membranes at some width.
fn plan(
    net: &Sequential,
    weight_bits: Option<u32>,
    state: Option<(u32, Spacing, Variant)>,
) -> anyhow::Result<QuantPlan> {
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
fn step<M: Module + Sync>(net: &mut M, data: &Batch) -> anyhow::Result<f64> {
    let config = FitConfig { epochs: 1, learning_rate: 0.0, micro_batch: Some(4), ..FitConfig::default() };
    let (loss, adam) = (Loss::CrossEntropyMean, Adam::default());
    let (mut progress, start) = (Progress::default(), Instant::now());
    fit(net, data, &loss, &adam, &config, &mut progress, &mut |_, _, _| ControlFlow::Continue(()))?;
    Ok(start.elapsed().as_secs_f64() * 1e3)
}

fn main() -> anyhow::Result<()> {
    let rounds = std::env::args().nth(1).map_or(Ok(20), |text| text.parse())?;
    let data = nmnist::batch(25, 32, 0.03);
    let mut net = nmnist::network(12)?;
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
