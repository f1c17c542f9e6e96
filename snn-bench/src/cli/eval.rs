//! `eval`: what a trained network, or a NIR graph, does on recordings.

use super::loaded::{Loaded, Parameters};
use super::network::Network;
use super::nir_file;
use super::output::Output;
use super::recordings::Recordings;
use anyhow::{Context, ensure};
use clap::ValueEnum;
use serde_json::json;
use snn_autodiff::Evaluation;
use snn_bench::activity::stuck_layers;
use snn_bench::config::Config;
use snn_bench::data::{self, Frames};
use snn_bench::interrupt;
use snn_bench::table::{Column, Table, thousands};
use snn_quant::QuantPlan;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Run directory, a parameter file in one, or a NIR graph (`.nir`).
    run: PathBuf,
    #[command(flatten)]
    recordings: Recordings,
    #[command(flatten)]
    nir: nir_file::NirArgs,
    /// Read the network through this plan instead of the run's own.
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// Take the parameters of a training checkpoint instead of the finished ones.
    #[arg(long, value_name = "WHICH")]
    checkpoint: Option<Checkpoint>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Checkpoint {
    /// The one written last.
    Latest,
}

pub(super) fn run(args: &Args, output: Output) -> anyhow::Result<()> {
    let Subject { net, mut config, notes } =
        subject(args).with_context(|| format!("cannot evaluate {}", args.run.display()))?;
    interrupt::listen()?;
    args.recordings.apply(&mut config.data)?;
    if nir_file::is_nir(&args.run) {
        nir_file::check_input(&net, &config)?;
    }
    let own = || Ok(data::open(&config.data, config.seed)?.test);
    let test = args.recordings.samples(&config.data, own)?;
    let evaluation = net.evaluate(&Frames::in_order(&test, &config.data)?)?;
    let object = json!({
        "accuracy": evaluation.accuracy,
        "n": evaluation.n,
        "loss": evaluation.loss,
        "spike_rate": evaluation.activity.spike_rate(),
        "synops": evaluation.synops_per_sample(),
        "layer_rates": rates(&evaluation).collect::<serde_json::Map<_, _>>(),
        "quantized": net.plan().is_some(),
        "notes": notes,
    });
    let notes: String = notes.iter().map(|note| format!("\nnote: {note}")).collect();
    output.print(format!("{}{notes}", table(&evaluation)), &object)
}

/// What is evaluated.
struct Subject {
    net: Network,
    config: Config,
    notes: Vec<String>,
}

fn subject(args: &Args) -> anyhow::Result<Subject> {
    if nir_file::is_nir(&args.run) {
        ensure!(
            args.plan.is_none() && args.checkpoint.is_none(),
            "a NIR graph has no plan and no checkpoint"
        );
        let (net, config, notes) = args.nir.open(&args.run)?;
        return Ok(Subject { net, config, notes });
    }
    ensure!(args.nir.is_empty(), "--convention, --dt and --steps are for NIR graphs (.nir)");
    let parameters = args.checkpoint.map_or(Parameters::Model, |Checkpoint::Latest| Parameters::Checkpoint);
    let plan = args.plan.as_deref().map(QuantPlan::read).transpose()?;
    let Loaded { net, config, .. } = Loaded::open_with(&args.run, parameters, plan)?;
    Ok(Subject { net, config, notes: Vec::new() })
}

fn rates(evaluation: &Evaluation) -> impl Iterator<Item = (String, serde_json::Value)> {
    evaluation.activity.spikes.iter().map(|(name, count)| (name.clone(), count.rate().into()))
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rounded count, for show")]
fn table(evaluation: &Evaluation) -> String {
    let mut table = Table::new([Column::text("measure"), Column::number("value")]);
    table.row(["accuracy".to_owned(), format!("{:.2} %", 100.0 * evaluation.accuracy)]);
    table.row(["recordings".to_owned(), thousands(evaluation.n as u64)]);
    table.row(["loss".to_owned(), format!("{:.4}", evaluation.loss)]);
    table.row(["spikes per neuron and step".to_owned(), format!("{:.4}", evaluation.activity.spike_rate())]);
    for (name, count) in &evaluation.activity.spikes {
        table.row([format!("  {name}"), format!("{:.4}", count.rate())]);
    }
    let synops = evaluation.synops_per_sample().round() as u64;
    table.row(["synaptic operations per sample".to_owned(), thousands(synops)]);
    let notes: String = stuck_layers(evaluation).iter().map(|note| format!("\nnote: {note}")).collect();
    format!("{table}{notes}")
}
