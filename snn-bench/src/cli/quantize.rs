//! `quantize`: a trained network at the bits of a plan, as it is or trained on.

use super::loaded::Loaded;
use super::network::Network;
use super::output::Output;
use super::plans;
use super::train::{Fitting, Validation};
use anyhow::{Context, ensure};
use serde_json::json;
use snn_autodiff::BatchSource;
use snn_autodiff::Evaluation;
use snn_autodiff::ranks::Alone;
use snn_bench::activity::stuck_layers;
use snn_bench::config::Config;
use snn_bench::data::{Frames, Splits, Take};
use snn_bench::integer::{DefaultBits, Profile, complete};
use snn_bench::interrupt;
use snn_bench::model::neuron_names;
use snn_bench::run_dir::{RunDir, RunFile};
use snn_bench::table::{Column, Table, bytes};
use snn_core::layer::{Sequential, fold_batch_norm};
use snn_core::{Tensor, io};
use snn_quant::exact::Exact;
use snn_quant::{PlanSize, QuantPlan, Quantized, calibrate, weight_shapes};
use std::path::PathBuf;

/// Share of the run's learning rate at which a quantized network is trained on.
const RATE_SHARE: f64 = 0.1;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Run directory of the trained network.
    run: PathBuf,
    /// The plan; without one, all weights at `--bits`.
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// Bits of weights that the plan does not name; needs `--exact`, or no plan.
    #[arg(long, value_name = "N", default_value_t = 8)]
    bits: u32,
    /// Compute in integers only: the network that is trained is the integer model that `export` writes.
    #[arg(long)]
    exact: bool,
    /// Bits of membranes that the plan does not name, with `--exact`.
    #[arg(long, value_name = "N", default_value_t = 16)]
    membrane_bits: u32,
    /// Integers of a chip: loihi, xylo2, speck, or a file; implies `--exact`.
    #[arg(long, value_name = "NAME|FILE")]
    profile: Option<String>,
    /// Epochs of training with quantized weights; 0 quantizes as it is.
    #[arg(long, value_name = "N", default_value_t = 0)]
    epochs: u64,
    /// Learning rate of that training; a tenth of the run's by default.
    #[arg(long, value_name = "RATE")]
    learning_rate: Option<f64>,
    /// Batches of training recordings that calibrate the membranes.
    #[arg(long, value_name = "N", default_value_t = 8)]
    batches: usize,
    /// Run directory for the quantized network. An interrupted training in it goes on.
    #[arg(short, long, value_name = "RUN2")]
    out: PathBuf,
}

pub(super) fn run(args: &Args, output: Output) -> anyhow::Result<()> {
    let loaded = Loaded::open(&args.run)?;
    ensure!(
        loaded.net.plan().is_none(),
        "{} is quantized already; quantize the run that it was made from",
        args.run.display()
    );
    let plan = plan(args, loaded.net.float())?;
    let size = plans::size(&loaded.net, &plan).with_context(|| name(args))?;
    let config = config(args, &loaded.config)?;
    interrupt::listen()?;
    let splits = loaded.splits()?;
    let test = Frames::in_order(&splits.test, &config.data)?;
    let mut net = quantized(args, &loaded, plan, &splits)?;
    let dir = create(args, &config, &net)?;
    let before = loaded.net.evaluate(&test)?;
    if args.epochs > 0 {
        let (folder, validation) = (dir.path(), Validation::AtTheEnd);
        Fitting { splits: &splits, config: &config, folder, validation }.record(&mut net, &Alone, &dir)?;
    }
    io::save_params(&net, &dir.file(RunFile::Model))?;
    let after = net.evaluate(&test)?;
    print(args, &before, &after, &size, output)
}

/// What messages call the plan.
fn name(args: &Args) -> String {
    args.plan.as_ref().map_or_else(|| "the plan".to_owned(), |path| path.display().to_string())
}

/// The plan of the arguments: a file, completed if it is to be exact.
fn plan(args: &Args, net: &Sequential) -> anyhow::Result<QuantPlan> {
    let mut plan = match &args.plan {
        Some(path) => QuantPlan::read(path)?,
        None => {
            let bits = weight_shapes(net).into_keys().map(|name| (name, args.bits)).collect();
            QuantPlan::from_bits(&bits)?
        }
    };
    let profile = args.profile.as_deref().map(Profile::open).transpose()?;
    if args.exact || profile.is_some() {
        let bits = DefaultBits { weights: args.bits, membranes: args.membrane_bits };
        complete(&mut plan, net, bits, profile.as_ref())?;
    }
    Ok(plan)
}

/// The run's configuration with the training of this verb.
fn config(args: &Args, config: &Config) -> anyhow::Result<Config> {
    let mut config = config.clone();
    if args.epochs > 0 {
        config.train.epochs = args.epochs;
        config.train.learning_rate = args.learning_rate.unwrap_or(RATE_SHARE * config.train.learning_rate);
    }
    config.check()?;
    Ok(config)
}

fn quantized(args: &Args, loaded: &Loaded, plan: QuantPlan, splits: &Splits) -> anyhow::Result<Network> {
    let is_exact = plan.exact.is_some();
    let net = if is_exact { &fold_batch_norm(loaded.net.float())? } else { loaded.net.float() };
    let neurons = neuron_names(net);
    let of_plan = || name(args);
    let plan = if plan.states.is_empty() {
        plan
    } else {
        let data = calibration_data(args, loaded, splits)?;
        calibrate(net, &neurons, &plan, data).with_context(of_plan)?
    };
    let net: Sequential = net.clone();
    if is_exact {
        return Ok(Network::Exact(Box::new(Exact::new(net, plan).with_context(of_plan)?)));
    }
    Ok(Network::Quantized(Quantized::new(net, &neurons, plan).with_context(of_plan)?))
}

fn calibration_data(args: &Args, loaded: &Loaded, splits: &Splits) -> anyhow::Result<Vec<Tensor<f32>>> {
    let frames = Frames::mixed(&splits.train, &loaded.config.data, loaded.config.seed)?;
    let batches = Take::new(&frames, args.batches);
    let frames: Result<Vec<_>, _> = batches.batches(0).map(|batch| batch.map(|batch| batch.x)).collect();
    frames.map_err(|error| anyhow::anyhow!(error))
}

/// Makes the run directory with the plan, or opens the one of an interrupted training by the same plan.
fn create(args: &Args, config: &Config, net: &Network) -> anyhow::Result<RunDir> {
    let folder = args.out.display();
    let (file, model) = (args.out.join(RunFile::Plan.name()), args.out.join(RunFile::Model.name()));
    ensure!(
        file.exists() || !model.exists(),
        "{folder} holds a run that is not quantized; choose another -o"
    );
    let dir = RunDir::create(&args.out, config)?;
    let plan = net.plan().context("the network has no plan")?;
    if file.exists() {
        let same = QuantPlan::read(&file)? == *plan;
        ensure!(same, "{folder} holds a run with another plan; choose another -o");
    }
    plan.write(&file)?;
    Ok(dir)
}

fn print(
    args: &Args,
    before: &Evaluation,
    after: &Evaluation,
    size: &PlanSize,
    output: Output,
) -> anyhow::Result<()> {
    let stuck = stuck_layers(after);
    let object = json!({
        "run": args.out,
        "accuracy_before": before.accuracy,
        "accuracy_after": after.accuracy,
        "n": after.n,
        "bytes": size.bytes(),
        "float_bytes": size.float_bytes(),
        "mean_bits": size.mean_bits(),
        "spike_rate": after.activity.spike_rate(),
        "synops": after.synops_per_sample(),
        "notes": stuck,
    });
    let columns = ["accuracy", "spike rate", "size"].map(Column::number);
    let mut table = Table::new([Column::text("network")].into_iter().chain(columns));
    for (name, evaluation, n_bytes) in
        [("float", before, size.float_bytes()), ("quantized", after, size.bytes())]
    {
        let accuracy = format!("{:.2} %", 100.0 * evaluation.accuracy);
        let rate = format!("{:.4}", evaluation.activity.spike_rate());
        table.row([name.to_owned(), accuracy, rate, bytes(n_bytes)]);
    }
    let notes: String = stuck.iter().map(|note| format!("\nnote: {note}")).collect();
    output.print(format!("{table}\n{size}{notes}\nrun: {}", args.out.display()), &object)
}
