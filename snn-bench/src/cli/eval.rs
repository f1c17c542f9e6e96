//! `eval`: what a trained network does on recordings.

use super::loaded::{Loaded, Parameters};
use super::output::Output;
use anyhow::{Context, ensure};
use clap::ValueEnum;
use serde_json::json;
use snn_autodiff::Evaluation;
use snn_bench::activity::stuck_layers;
use snn_bench::data::{self, Frames};
use snn_bench::interrupt;
use snn_bench::table::{Column, Table, thousands};
use snn_quant::QuantPlan;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Run directory, or a parameter file in one.
    run: PathBuf,
    /// Folder of recordings instead of the run's own; the same share of it, or the same lists, are tested on.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// List of the recordings to test on instead of the run's own.
    #[arg(long, value_name = "FILE")]
    split: Option<PathBuf>,
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
    let parameters = args.checkpoint.map_or(Parameters::Model, |Checkpoint::Latest| Parameters::Checkpoint);
    let plan = args.plan.as_deref().map(QuantPlan::read).transpose()?;
    let mut loaded = Loaded::open_with(&args.run, parameters, plan)
        .with_context(|| format!("cannot evaluate {}", args.run.display()))?;
    interrupt::listen()?;
    if let Some(folder) = &args.data {
        loaded.config.data = data::elsewhere(&loaded.config.data, folder)?;
    }
    let test = match &args.split {
        Some(list) => {
            ensure!(loaded.config.data.path.is_some(), "--split needs a folder of recordings: give --data");
            data::listed(&loaded.config.data, list)?
        }
        None => loaded.splits()?.test,
    };
    let evaluation = loaded.net.evaluate(&Frames::in_order(&test, &loaded.config.data)?)?;
    let object = json!({
        "accuracy": evaluation.accuracy,
        "n": evaluation.n,
        "loss": evaluation.loss,
        "spike_rate": evaluation.activity.spike_rate(),
        "synops": evaluation.synops_per_sample(),
        "layer_rates": rates(&evaluation).collect::<serde_json::Map<_, _>>(),
        "quantized": loaded.net.plan().is_some(),
    });
    output.print(table(&evaluation), &object)
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
