//! `quantize`: a trained network at the bits of a plan, as it is or trained on.

use super::exact;
use super::loaded::Loaded;
use super::network::Network;
use super::output::Output;
use super::plans::{self, PlanArgs};
use super::train::{Fitting, Validation};
use anyhow::{Context, bail, ensure};
use serde_json::json;
use snn_autodiff::BatchSource;
use snn_autodiff::Evaluation;
use snn_autodiff::ranks::Alone;
use snn_bench::activity::stuck_layers;
use snn_bench::config::Config;
use snn_bench::data::{Frames, Splits, Take};
use snn_bench::interrupt;
use snn_bench::model::neuron_names;
use snn_bench::run_dir::{RunDir, RunFile};
use snn_bench::table::{Column, Table, bytes};
use snn_core::layer::{Sequential, fold_batch_norm};
use snn_core::{Tensor, io};
use snn_quant::exact::{Exact, Moved, take_over};
use snn_quant::{PlanSize, QuantPlan, Quantized, calibrate};
use std::path::PathBuf;

/// Share of the run's learning rate at which a quantized network is trained on.
const RATE_SHARE: f64 = 0.1;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Run directory of the trained network; with `--exact` also of one that was trained quantized, whose plan and scales
    /// are then taken over.
    run: PathBuf,
    #[command(flatten)]
    plan: PlanArgs,
    /// Compute in integers only: the network that is trained is the integer model that `export` writes; `--profile` implies
    /// it.
    #[arg(long)]
    exact: bool,
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

impl Args {
    fn is_exact(&self) -> bool {
        self.exact || self.plan.profile.is_some()
    }
}

/// A network under its plan before it is trained on.
struct Made {
    net: Network,
    /// What the plan could not have as it was asked for.
    notes: Vec<String>,
    /// What a quantized run's numbers became.
    moved: Vec<Moved>,
}

/// Both networks on the test recordings.
struct Scores {
    before: Evaluation,
    after: Evaluation,
    /// Sizes of the network before, if it was quantized, and after.
    sizes: (Option<PlanSize>, PlanSize),
}

pub(super) fn run(args: &Args, output: Output) -> anyhow::Result<()> {
    let loaded = Loaded::open(&args.run)?;
    check_run(args, &loaded.net)?;
    let (plan, notes) = plan(args, &loaded.net)?;
    plans::size(&loaded.net, &plan).with_context(|| args.plan.name())?;
    let config = config(args, &loaded.config)?;
    interrupt::listen()?;
    let splits = loaded.splits()?;
    let test = Frames::in_order(&splits.test, &config.data)?;
    let (net, moved) = under(args, &loaded, plan, &splits)?;
    let mut made = Made { net, notes, moved };
    let dir = create(args, &config, &made.net)?;
    let before = loaded.net.evaluate(&test)?;
    if args.epochs > 0 {
        let (folder, validation) = (dir.path(), Validation::AtTheEnd);
        let fitting = Fitting { splits: &splits, config: &config, folder, validation };
        fitting.record(&mut made.net, &Alone, &dir)?;
    }
    io::save_params(&made.net, &dir.file(RunFile::Model))?;
    let after = made.net.evaluate(&test)?;
    let size = |net: &Network| net.plan().map(|plan| plans::size(net, plan)).transpose();
    let sizes = (size(&loaded.net)?, size(&made.net)?.context("the network has no plan")?);
    print(args, &Scores { before, after, sizes }, &made, output)
}

/// Which runs can be quantized, and how.
fn check_run(args: &Args, net: &Network) -> anyhow::Result<()> {
    let run = args.run.display();
    match net {
        Network::Float(_) => Ok(()),
        Network::Quantized(_) if !args.is_exact() => bail!(
            "{run} is quantized already; take its scales over into integers with --exact, or quantize the run that it was \
             made from"
        ),
        Network::Quantized(_) => {
            ensure!(
                args.plan.plan.is_none(),
                "{run} is quantized already, and --exact takes its own plan over; leave out --plan, or quantize the run \
                 that it was made from"
            );
            Ok(())
        }
        Network::Exact(_) => bail!("{run} is exact already; quantize the run that it was made from"),
    }
}

/// The plan of the arguments or of the run, and in words what it could not have.
fn plan(args: &Args, net: &Network) -> anyhow::Result<(QuantPlan, Vec<String>)> {
    if args.is_exact() {
        return args.plan.exact(net.float(), net.plan());
    }
    Ok((args.plan.plan(net.float(), net.plan())?, Vec::new()))
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

/// The network under its plan, a float one calibrated, a quantized one taken over; and what that moved.
fn under(
    args: &Args,
    loaded: &Loaded,
    plan: QuantPlan,
    splits: &Splits,
) -> anyhow::Result<(Network, Vec<Moved>)> {
    let Network::Quantized(net) = &loaded.net else {
        return Ok((quantized(args, loaded, plan, splits).with_context(|| args.plan.name())?, Vec::new()));
    };
    let (net, moved) = take_over(net, plan).with_context(|| args.run.display().to_string())?;
    Ok((Network::Exact(Box::new(net)), moved))
}

fn quantized(args: &Args, loaded: &Loaded, plan: QuantPlan, splits: &Splits) -> anyhow::Result<Network> {
    let is_exact = plan.exact.is_some();
    let net = if is_exact { &fold_batch_norm(loaded.net.float())? } else { loaded.net.float() };
    let neurons = neuron_names(net);
    let plan = if plan.states.is_empty() {
        plan
    } else {
        calibrate(net, &neurons, &plan, calibration_data(args, loaded, splits)?)?
    };
    let net: Sequential = net.clone();
    if is_exact {
        return Ok(Network::Exact(Box::new(Exact::new(net, plan)?)));
    }
    Ok(Network::Quantized(Quantized::new(net, &neurons, plan)?))
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

fn print(args: &Args, scores: &Scores, made: &Made, output: Output) -> anyhow::Result<()> {
    let Scores { before, after, sizes: (earlier, size) } = scores;
    let notes = [&made.notes[..], &stuck_layers(after)].concat();
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
        "taken_over": made.moved,
        "notes": notes,
    });
    let columns = ["accuracy", "spike rate", "size"].map(Column::number);
    let mut table = Table::new([Column::text("network")].into_iter().chain(columns));
    let (name, n_bytes) =
        earlier.as_ref().map_or(("float", size.float_bytes()), |of| ("quantized", of.bytes()));
    let now = if made.net.plan().is_some_and(|plan| plan.exact.is_some()) { "exact" } else { "quantized" };
    for (name, evaluation, n_bytes) in [(name, before, n_bytes), (now, after, size.bytes())] {
        let accuracy = format!("{:.2} %", 100.0 * evaluation.accuracy);
        let rate = format!("{:.4}", evaluation.activity.spike_rate());
        table.row([name.to_owned(), accuracy, rate, bytes(n_bytes)]);
    }
    let notes: String = notes.iter().map(|note| format!("\nnote: {note}")).collect();
    let moved =
        if made.moved.is_empty() { String::new() } else { format!("\n{}", exact::taken_over(&made.moved)) };
    output.print(format!("{table}\n{size}{moved}{notes}\nrun: {}", args.out.display()), &object)
}
