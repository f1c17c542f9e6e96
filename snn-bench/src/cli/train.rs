//! `train`: a network from recordings, into a run directory.

use super::loaded::untrained;
use super::network::Network;
use super::output::Output;
use super::profile;
use super::settings;
use super::team::TeamArgs;
use anyhow::{Context, ensure};
use serde_json::json;
use snn_autodiff::fit::{activation_bytes, micro_batch};
use snn_autodiff::ranks::Ranks;
use snn_autodiff::segments::SegmentError;
use snn_bench::config::Config;
use snn_bench::data::{self, Frames, Splits};
use snn_bench::interrupt;
use snn_bench::run_dir::{RunDir, RunDirError, RunFile};
use snn_bench::table::{Column, Table, bytes, thousands};
use snn_bench::training::{self, EpochRecord, Training};
use snn_core::layer::{Layer, Sequential};
use snn_core::{Eager, Exec, Module, Pass, Tensor, io};
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Configuration file; without one the defaults, or those of the run in the output folder.
    config: Option<PathBuf>,
    /// Run directory; `runs/<name of the configuration file>` by default. A run that is in it goes on.
    #[arg(short, long, value_name = "RUN")]
    out: Option<PathBuf>,
    /// Change a setting, such as `train.epochs=5`; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Seed of everything random.
    #[arg(long)]
    seed: Option<u64>,
    /// Folder of a data set, of which kind is found by what lies there (or by `--set data.kind=NAME`); without one, the
    /// built-in simulated glyphs.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Evaluate on the test recordings after each epoch, not only at the end.
    #[arg(long)]
    eval_each_epoch: bool,
    #[command(flatten)]
    team: TeamArgs,
    /// Only print the network, its parameters and the memory that training takes.
    #[arg(long)]
    dry_run: bool,
    /// Only print what each op costs in forward and backward of the first batch: time, products, memory.
    #[arg(long, conflicts_with = "dry_run")]
    profile: bool,
    /// Plan through which the profiled network is read, as training under it does (`quantize --epochs`).
    #[arg(long, value_name = "PLAN", requires = "profile")]
    plan: Option<PathBuf>,
}

/// Checked arguments.
struct Job {
    config: Config,
    folder: PathBuf,
}

impl Job {
    fn new(args: &Args) -> anyhow::Result<Self> {
        let name = args.config.as_deref().and_then(Path::file_stem).unwrap_or("default".as_ref());
        let folder = args.out.clone().unwrap_or_else(|| Path::new("runs").join(name));
        let stored = folder.join(RunFile::Config.name());
        let file = args.config.clone().or_else(|| stored.exists().then_some(stored));
        let mut config = settings::read(file.as_deref(), &args.set)?;
        config.seed = args.seed.unwrap_or(config.seed);
        if let Some(folder) = &args.data {
            config.data.path = Some(folder.clone());
        }
        data::look(&mut config.data)?;
        config.check()?;
        config.check_variation()?;
        ensure!(
            !folder.join(RunFile::Plan.name()).exists(),
            "{} holds a quantized network; choose another folder with -o",
            folder.display()
        );
        Ok(Self { config: settings::with_absolute_paths(config)?, folder })
    }
}

pub(super) fn run(args: &Args, output: Output) -> anyhow::Result<()> {
    let job = Job::new(args)?;
    let net = training::start(untrained(&job.config)?, &job.config.train)?;
    ensure!(
        job.config.train.segment_steps.is_none() || !net.needs_whole_batch(),
        "train.segment_steps: {}",
        SegmentError::WholeBatch
    );
    if args.dry_run {
        return describe(&net, &job.config, output);
    }
    if args.profile {
        return profile::run(&net, args.plan.as_deref(), &job.config, output);
    }
    interrupt::listen()?;
    let splits = data::open(&job.config.data, job.config.seed)?;
    let (n_outputs, n_classes) = (n_outputs(&net), splits.train.n_classes());
    ensure!(
        n_outputs >= n_classes,
        "net.layers has {n_outputs} outputs, the data set has {n_classes} classes"
    );
    let mut net = Network::Float(net);
    let validation = if args.eval_each_epoch { Validation::EachEpoch } else { Validation::AtTheEnd };
    let fitting = Fitting { splits: &splits, config: &job.config, folder: &job.folder, validation };
    let team = args.team.join()?;
    if team.is_first() {
        let dir = RunDir::create(&job.folder, &job.config)?;
        let records = fitting.record(&mut net, team.ranks(), &dir)?;
        io::save_params(&net, &dir.file(RunFile::Model))?;
        print(&net, &fitting, &records, output)?;
    } else {
        fitting.learn(&mut net, team.ranks(), &mut |_| ())?;
    }
    team.leave();
    Ok(())
}

fn print(
    net: &Network,
    fitting: &Fitting<'_>,
    records: &[EpochRecord],
    output: Output,
) -> anyhow::Result<()> {
    let test = Frames::in_order(&fitting.splits.test, &fitting.config.data)?;
    let evaluation = net.evaluate(&test)?;
    let text = format!(
        "{}: {:.2} % of {} test recordings right after {} epochs",
        fitting.folder.display(),
        100.0 * evaluation.accuracy,
        evaluation.n,
        records.len(),
    );
    let object = json!({
        "run": fitting.folder,
        "accuracy": evaluation.accuracy,
        "n": evaluation.n,
        "epochs": records.len(),
        "train_loss": records.last().map(|record| record.loss),
        "n_params": net.n_params(),
        "n_train": fitting.splits.train.len(),
    });
    output.print(text, &object)
}

/// When the test recordings are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Validation {
    EachEpoch,
    AtTheEnd,
}

/// A training of a run.
pub(super) struct Fitting<'a> {
    pub(super) splits: &'a Splits,
    pub(super) config: &'a Config,
    /// The run directory.
    pub(super) folder: &'a Path,
    pub(super) validation: Validation,
}

impl Fitting<'_> {
    /// Trains with the checkpoint of the run, which goes on where it is.
    pub(super) fn learn(
        &self,
        net: &mut Network,
        ranks: &dyn Ranks,
        observe: &mut dyn FnMut(&EpochRecord),
    ) -> anyhow::Result<Vec<EpochRecord>> {
        let train = Frames::for_training(&self.splits.train, &self.config.data, self.config.seed)?;
        let test = Frames::in_order(&self.splits.test, &self.config.data)?;
        let training = Training {
            name: "train",
            train: &train,
            val: (self.validation == Validation::EachEpoch).then_some(&test),
            loss: training::loss_of(net.float()),
            config: &self.config.train,
            seed: self.config.seed,
            checkpoint: Some(&self.folder.join(RunFile::Checkpoint.name())),
        };
        Ok(training::train_together(net, &training, ranks, observe)?)
    }

    /// The same, with the metrics of the run.
    pub(super) fn record(
        &self,
        net: &mut Network,
        ranks: &dyn Ranks,
        dir: &RunDir,
    ) -> anyhow::Result<Vec<EpochRecord>> {
        // The checkpoint holds the records of the epochs done, which are told again.
        dir.keep_metrics(0)?;
        let mut written: Result<(), RunDirError> = Ok(());
        let records = self.learn(net, ranks, &mut |record| {
            let append = || dir.append_metrics(record);
            written = std::mem::replace(&mut written, Ok(())).and_then(|()| append());
        })?;
        written?;
        Ok(records)
    }
}

/// A layer with the shape behind it.
struct LayerRow {
    name: String,
    shape: Vec<usize>,
    n_params: usize,
}

fn describe(net: &Sequential, config: &Config, output: Output) -> anyhow::Result<()> {
    let rows = layer_rows(net);
    let memory = memory_estimate(net, config)?;
    let mut table = Table::new([Column::text("layer"), Column::text("output"), Column::number("params")]);
    for row in &rows {
        table.row([row.name.clone(), format!("{:?}", row.shape), thousands(row.n_params as u64)]);
    }
    let layer = |row: &LayerRow| json!({ "name": row.name, "shape": row.shape, "n_params": row.n_params });
    let object = json!({
        "n_params": net.n_params(),
        "input": net.input_features(),
        "layers": rows.iter().map(layer).collect::<Vec<_>>(),
        "memory_bytes": memory,
    });
    let n_params = thousands(net.n_params() as u64);
    let text = format!(
        "input {:?}, {} steps\n{table}\n{n_params} parameters, about {} of memory in training",
        net.input_features(),
        config.data.n_steps,
        bytes(memory),
    );
    output.print(text, &object)
}

/// Values that the network gives at each step.
fn n_outputs(net: &Sequential) -> usize {
    layer_rows(net).last().map_or(0, |row| row.shape.iter().product())
}

fn layer_rows(net: &Sequential) -> Vec<LayerRow> {
    let mut exec = Eager::<f32>::new();
    let mut x = exec.input(&Tensor::zeros(&[&[1, 1], net.input_features()].concat()));
    let mut rows = Vec::new();
    for layer in net.layers() {
        x = layer.forward(&mut exec, &x, &Pass::inference());
        let name = layer.name().unwrap_or(if matches!(layer, Layer::Pool(_)) { "pool" } else { "flatten" });
        let mut n_params = 0;
        let prefix = format!("{name}.");
        net.visit_params(&mut |p| n_params += if p.name.starts_with(&prefix) { p.value.len() } else { 0 });
        rows.push(LayerRow { name: name.to_owned(), shape: x.shape()[2..].to_vec(), n_params });
    }
    rows
}

/// Bytes of parameters with their gradients and Adam's two means, and for each thread the activations of a micro-batch, of a
/// segment of its steps if it runs in segments, with what is saved for and made by the backward pass.
fn memory_estimate(net: &Sequential, config: &Config) -> anyhow::Result<u64> {
    let step = Tensor::zeros(&[&[1, 1], net.input_features()].concat());
    let (n_threads, n_steps) = (rayon::current_num_threads(), config.data.n_steps);
    let of_params = net.n_params().checked_mul(4 * (4 + n_threads));
    let segment_steps = config.train.segment_steps.filter(|&steps| steps < n_steps);
    let forward = activation_bytes(net, &step).checked_mul(segment_steps.unwrap_or(n_steps));
    let of_segments = segment_steps.map_or(Some(0), |steps| bytes_of_segments(net, steps, n_steps));
    let n_samples =
        micro_batch(net.n_params(), forward.unwrap_or(usize::MAX), config.data.batch_size) * n_threads;
    let of_sample = forward.and_then(|bytes| bytes.checked_mul(2)?.checked_add(of_segments?));
    let total =
        of_params.zip(of_sample.and_then(|b| b.checked_mul(n_samples))).and_then(|(a, b)| a.checked_add(b));
    total.map(|bytes| bytes as u64).context("the network is too large")
}

/// Bytes that segments take for each sample beside their activations: the states at the start of each, and the outputs of
/// neurons once more, with their gradients, since neurons hand on outputs and state in one piece.
fn bytes_of_segments(net: &Sequential, segment_steps: usize, n_steps: usize) -> Option<usize> {
    let (mut state, mut outputs) = (0, 0);
    for layer in net.neurons() {
        let n: usize = layer.features.iter().product();
        state += n * (layer.kind.n_states() + usize::from(layer.recurrent.is_some()));
        outputs += n;
    }
    let of_states = state.checked_mul(n_steps.div_ceil(segment_steps))?;
    of_states.checked_add(outputs.checked_mul(2 * segment_steps)?)?.checked_mul(size_of::<f32>())
}
