//! `import`: an integer model from a description and integer weights, or from a NIR graph under a plan.

use super::exact;
use super::nir_file::{self, NirArgs};
use super::output::Output;
use super::plans::PlanArgs;
use anyhow::{Context, ensure};
use serde_json::json;
use snn_bench::integer::{Binning, import};
use snn_bench::table::bytes;
use snn_core::layer::{Sequential, fold_batch_norm};
use snn_int::model::n_weights;
use snn_int::spec::ModelSpec;
use snn_int::{Model, Sizes};
use snn_quant::exact::Exact;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Description in TOML: layers, integer weights, decays, thresholds, binning, profile; or a NIR graph (`.nir`), whose
    /// weights and membranes become integers by a plan.
    description: PathBuf,
    #[command(flatten)]
    nir: NirArgs,
    #[command(flatten)]
    plan: PlanArgs,
    /// For a NIR graph: bins of this many microseconds, a place counting once in each, instead of the frames that `train`
    /// makes.
    #[arg(long, value_name = "N")]
    bin_us: Option<u32>,
    /// Integer model to write.
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
}

pub(super) fn run(args: &Args, output: Output) -> anyhow::Result<()> {
    let name = || args.description.display().to_string();
    let (spec, notes) = if nir_file::is_nir(&args.description) {
        of_graph(args).with_context(name)?
    } else {
        let is_bare = args.nir.is_empty() && args.plan.is_empty() && args.bin_us.is_none();
        ensure!(
            is_bare,
            "{} says all of this by itself; plan, convention and bins are for NIR graphs",
            name()
        );
        (import(&args.description)?, Vec::new())
    };
    let file = spec.to_bytes().with_context(name)?;
    exact::write(&args.out, &file)?;
    let model = Model::from_bytes(&file).with_context(name)?;
    let memory = Sizes::of(&model).bytes();
    let object = json!({
        "out": args.out, "layers": model.n_layers(), "weights": n_weights(&model), "model_bytes": file.len(),
        "memory_bytes": memory, "notes": notes,
    });
    let notes: String = notes.iter().map(|note| format!("\nnote: {note}")).collect();
    let text = format!(
        "{}: {} layers, {} weights, {}; running it takes {} of memory{notes}",
        args.out.display(),
        model.n_layers(),
        n_weights(&model),
        bytes(file.len() as u64),
        bytes(memory as u64)
    );
    output.print(text, &object)
}

/// The integers of a graph under the plan of the arguments, and in words what is otherwise than graph or plan say.
fn of_graph(args: &Args) -> anyhow::Result<(ModelSpec, Vec<String>)> {
    let (net, config, mut notes) = args.nir.open(&args.description)?;
    let n_steps = config.data.n_steps;
    let binning = match args.bin_us {
        Some(bin_us) => Binning::Nearest { bin_us, n_steps, first_step: 0 },
        None => {
            nir_file::check_input(&net, &config)?;
            Binning::Frames { n_steps }
        }
    };
    binning.check()?;
    let (mut plan, more) = args.plan.exact(net.float(), None)?;
    notes.extend(more);
    notes.extend(args.plan.plan.is_none().then(|| ranges(net.float())).into_iter().flatten());
    if let (Some(exact), Some(_)) = (&mut plan.exact, args.bin_us) {
        exact.input_max = 1;
    }
    let net = Exact::new(fold_batch_norm(net.float())?, plan).with_context(|| args.plan.name())?;
    Ok((exact::lowered(&net, binning, args.plan.profile.clone())?, notes))
}

/// Membranes whose range nothing in the graph tells.
fn ranges(net: &Sequential) -> impl Iterator<Item = String> {
    let integrators = net.neurons().filter(|layer| layer.kind.threshold().is_none());
    integrators.map(|layer| {
        format!("{} integrates within ±4, below 12 bits ±2; a plan with int_bits moves that", layer.name)
    })
}
