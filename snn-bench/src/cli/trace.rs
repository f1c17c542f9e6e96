//! `trace`: curvature of each weight tensor, with its standard error.

use super::loaded::Loaded;
use super::output::Output;
use super::trace_file::{self, Kind, Measurement, Trace};
use anyhow::ensure;
use indicatif::ProgressBar;
use serde_json::json;
use snn_bench::data::{Frames, Take};
use snn_bench::estimate::Estimate;
use snn_bench::interrupt::{self, Interrupted};
use snn_bench::progress::{self, Watched};
use snn_bench::run_dir::RunFile;
use snn_bench::table::{Column, Table, plus_minus, thousands};
use snn_bench::training;
use snn_core::layer::{NeuronKind, Sequential};
use snn_core::neuron::Firing;
use snn_hessian::{Curvature, TraceConfig, TraceReport, hutchinson};
use std::ops::ControlFlow;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Run directory.
    run: PathBuf,
    /// Most Hutchinson probes, at least 2.
    #[arg(long, value_name = "N", default_value_t = 128)]
    probes: usize,
    /// Stop when every standard error is at most this share of its trace; 0 draws all probes.
    #[arg(long, value_name = "SHARE", default_value_t = 0.05)]
    rel_std_err: f64,
    /// The matrix whose trace is measured.
    #[arg(long, value_name = "KIND", default_value = "hessian")]
    curvature: Kind,
    /// Batches of training recordings to measure on.
    #[arg(long, value_name = "N", default_value_t = 8)]
    batches: usize,
    /// Seed of the probes; that of the run by default.
    #[arg(long)]
    seed: Option<u64>,
}

pub(super) fn run(args: &Args, output: Output) -> anyhow::Result<()> {
    ensure!(args.probes >= 2, "--probes is {}, but must be at least 2 for a standard error", args.probes);
    ensure!(args.batches >= 1, "--batches is 0, but must be at least 1");
    let loaded = Loaded::open(&args.run)?;
    let mut file = trace_file::read(&loaded.dir)?;
    interrupt::listen()?;
    let measurement = measure(args, &loaded)?;
    let object = json!({ "curvature": args.curvature, "measurement": measurement });
    let text = table(&measurement);
    file.insert(args.curvature, measurement);
    loaded.dir.write_json(RunFile::Trace, &file)?;
    output.print(text, &object)
}

fn measure(args: &Args, loaded: &Loaded) -> anyhow::Result<Measurement> {
    let splits = loaded.splits()?;
    let frames = Frames::mixed(&splits.train, &loaded.config.data, loaded.config.seed)?;
    let batches = Take::new(&frames, args.batches);
    let data = Watched::new(&batches, ProgressBar::hidden());
    let config = TraceConfig {
        curvature: args.curvature.into(),
        max_probes: args.probes,
        min_probes: TraceConfig::default().min_probes.min(args.probes),
        rel_std_err: args.rel_std_err,
        seed: args.seed.unwrap_or(loaded.config.seed),
        ..TraceConfig::default()
    };
    let loss = training::loss_of(loaded.net.float());
    let bar = progress::bar("trace", args.probes);
    let report = hutchinson(&loaded.net, &loss, &data, &config, &mut |_| {
        bar.inc(1);
        if interrupt::is_requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    bar.finish_and_clear();
    if interrupt::is_requested() {
        return Err(Interrupted.into());
    }
    Ok(measurement(&report, describe(config.curvature, loaded.net.float()), config.seed))
}

fn measurement(report: &TraceReport, convention: String, seed: u64) -> Measurement {
    Measurement {
        convention,
        n_samples: report.n_samples,
        n_probes: report.n_probes,
        seed,
        total: report.total.into(),
        tensors: report.tensors.iter().map(|(name, &trace)| (name.clone(), trace.into())).collect(),
    }
}

/// The curvature with surrogate and reset gradient of the first spiking layer; a configuration has one neuron.
fn describe(curvature: Curvature, net: &Sequential) -> String {
    let firing = net.neurons().find_map(|layer| firing(&layer.kind)).unwrap_or_default();
    curvature.describe(&firing)
}

fn firing(kind: &NeuronKind) -> Option<Firing> {
    match kind {
        NeuronKind::Lif(neuron) => Some(neuron.firing),
        NeuronKind::CubaLif(neuron) => Some(neuron.firing),
        NeuronKind::Alif(neuron) => Some(neuron.firing),
        NeuronKind::Decolle(neuron) => Some(neuron.firing),
        _ => None,
    }
}

fn table(measurement: &Measurement) -> String {
    let Measurement { convention, n_samples, n_probes, seed, total, tensors } = measurement;
    let columns = ["params", "trace ± s.e.", "trace / params"].map(Column::number);
    let mut table = Table::new([Column::text("tensor")].into_iter().chain(columns));
    for (name, trace) in tensors.iter().map(|(name, trace)| (name.as_str(), trace)).chain([("total", total)])
    {
        let Trace { mean, std_err, n_params } = *trace;
        let estimate = Estimate { mean, err: Some(std_err), n: *n_probes };
        let average = format!("{:.3e}", mean / n_params as f64);
        table.row([name.to_owned(), thousands(n_params), plus_minus(estimate), average]);
    }
    format!("curvature = {convention} · samples {n_samples} · probes {n_probes} · seed {seed}\n{table}")
}
