//! `import`: an integer model from a description and weights.

use super::exact;
use super::output::Output;
use anyhow::Context;
use serde_json::json;
use snn_bench::integer::import;
use snn_bench::table::bytes;
use snn_int::model::n_weights;
use snn_int::{Model, Sizes};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Description: layers, weights, decays, thresholds, binning, profile.
    description: PathBuf,
    /// Integer model to write.
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
}

pub(super) fn run(args: &Args, output: Output) -> anyhow::Result<()> {
    let name = || args.description.display().to_string();
    let spec = import(&args.description)?;
    let file = spec.to_bytes().with_context(name)?;
    exact::write(&args.out, &file)?;
    let model = Model::from_bytes(&file).with_context(name)?;
    let memory = Sizes::of(&model).bytes();
    let object = json!({
        "out": args.out, "layers": model.n_layers(), "weights": n_weights(&model), "model_bytes": file.len(),
        "memory_bytes": memory,
    });
    let text = format!(
        "{}: {} layers, {} weights, {}; running it takes {} of memory",
        args.out.display(),
        model.n_layers(),
        n_weights(&model),
        bytes(file.len() as u64),
        bytes(memory as u64)
    );
    output.print(text, &object)
}
