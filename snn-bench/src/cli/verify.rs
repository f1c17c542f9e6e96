//! `verify`: whether the network that was trained is the integer model that runs; on all recordings where no list is given.

use super::Outcome;
use super::exact;
use super::loaded::Loaded;
use super::output::Output;
use super::recordings::Recordings;
use anyhow::Context;
use serde_json::json;
use snn_autodiff::BatchSource;
use snn_bench::data::{self, Frames, Samples};
use snn_bench::interrupt;
use snn_bench::progress;
use snn_bench::table::thousands;
use snn_int::Model;
use snn_quant::exact::{Compared, Comparison, Divergence, Quantity, Verifier};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Run directory of an exact network.
    run: PathBuf,
    #[command(flatten)]
    recordings: Recordings,
    /// Compare with this file instead of the model that `export` would write.
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
}

/// What was compared, or the first difference.
struct Verdict {
    compared: Compared,
    n_correct: usize,
    found: Option<Divergence>,
}

pub(super) fn run(args: &Args, output: Output) -> anyhow::Result<Outcome> {
    let mut loaded =
        Loaded::open(&args.run).with_context(|| format!("cannot verify {}", args.run.display()))?;
    args.recordings.apply(&mut loaded.config.data)?;
    let bytes = match &args.model {
        Some(path) => std::fs::read(path).with_context(|| path.display().to_string())?,
        None => exact::model(&loaded, &args.run)?.to_bytes()?,
    };
    let model = Model::from_bytes(&bytes).context("the integer model")?;
    let verifier = Verifier::new(exact::network(&loaded, &args.run)?, model)?;
    interrupt::listen()?;
    let all = || match loaded.config.data.is_coded_images() {
        true => Ok(loaded.splits()?.test),
        false => Ok(Samples::Events(Box::new(data::open_all(&loaded.config.data)?))),
    };
    let recordings = args.recordings.samples(&loaded.config.data, all)?;
    let verdict = compare(verifier, &recordings, &loaded)?;
    print(&verdict, &recordings, output)?;
    Ok(if verdict.found.is_none() { Outcome::Passed } else { Outcome::CheckFailed })
}

fn compare(mut verifier: Verifier<'_>, recordings: &Samples, loaded: &Loaded) -> anyhow::Result<Verdict> {
    let frames = Frames::in_order(recordings, &loaded.config.data)?;
    let bar = progress::bar("verify", frames.n_batches());
    let mut verdict = Verdict { compared: Compared::default(), n_correct: 0, found: None };
    for batch in frames.batches(0) {
        anyhow::ensure!(!interrupt::is_requested(), "interrupted");
        let batch = batch.map_err(|error| anyhow::anyhow!(error))?;
        match verifier.compare(&batch.x)? {
            Comparison::Equal { compared, classes } => {
                verdict.compared += compared;
                let correct = classes.iter().zip(&batch.labels).filter(|(class, label)| class == label);
                verdict.n_correct += correct.count();
            }
            Comparison::Different(found) => {
                let before = usize::try_from(verdict.compared.samples)?;
                verdict.found = Some(Divergence { sample: before + found.sample, ..found });
                break;
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(verdict)
}

fn print(verdict: &Verdict, recordings: &Samples, output: Output) -> anyhow::Result<()> {
    let Compared { samples, spikes, membranes, .. } = verdict.compared;
    let Some(found) = &verdict.found else {
        let accuracy = verdict.n_correct as f64 / (samples.max(1)) as f64;
        let object = json!({
            "exact": true, "samples": samples, "spikes": spikes, "membranes": membranes, "accuracy": accuracy,
        });
        let text = format!(
            "exact: {} recordings, {} spikes, {} membranes are equal; {:.2} % classified correctly",
            thousands(samples),
            thousands(spikes),
            thousands(membranes),
            100.0 * accuracy
        );
        return output.print(text, &object);
    };
    let quantity = match found.quantity {
        Quantity::Membrane => "membrane",
        Quantity::Spikes => "spikes",
    };
    let object = json!({
        "exact": false, "sample": recordings.name(found.sample), "layer": found.layer, "step": found.step,
        "neuron": found.neuron, "quantity": quantity, "trained": found.trained, "integer": found.integer,
    });
    let text = format!(
        "different: {}, layer {}, step {}, neuron {}: {quantity} {} in training, {} in the integer model",
        recordings.name(found.sample),
        found.layer,
        found.step,
        found.neuron,
        found.trained,
        found.integer
    );
    output.print(text, &object)
}
