//! Training with a progress bar, a checkpoint after each epoch, and Ctrl-C.
//!
//! A checkpoint is one `.npz`: `param/<name>`, `optimizer/<name>`, `progress/{epoch, steps, seed}` and the records of the
//! epochs done, `history/<field>`. A training that goes on from one ends in the same bytes as one never interrupted.

use crate::config::TrainConfig;
use crate::report::EpochPoint;
use crate::run_dir::RunFile;
use crate::{interrupt, progress};
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};
use snn_autodiff::fit::{EpochSummary, Event, FitError, Progress, Task, evaluate, fit_together};
use snn_autodiff::optim::{Adam, Schedule, State};
use snn_autodiff::ranks::{Alone, Ranks};
use snn_autodiff::{BatchSource, FitConfig};
use snn_core::io::{self, Array, Arrays, Data};
use snn_core::layer::{Layer, NeuronKind, Sequential};
use snn_core::loss::Loss;
use snn_core::{CheckpointError, Module};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The learning rate falls to this share of its start.
const LAST_RATE: f64 = 0.01;

/// What a network is trained on, and how.
pub struct Training<'a> {
    /// Word before the progress bar.
    pub name: &'a str,
    /// To learn from.
    pub train: &'a dyn BatchSource,
    /// To evaluate on after each epoch, if at all.
    pub val: Option<&'a dyn BatchSource>,
    /// What to minimize; see [`loss_of`].
    pub loss: Loss,
    /// Epochs, learning rate, clipping.
    pub config: &'a TrainConfig,
    /// Seed of dropout and stochastic rounding.
    pub seed: u64,
    /// File that is replaced after each epoch, and gone on from if it is there.
    pub checkpoint: Option<&'a Path>,
}

impl std::fmt::Debug for Training<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Training")
            .field("name", &self.name)
            .field("loss", &self.loss)
            .field("config", &self.config)
            .field("seed", &self.seed)
            .field("checkpoint", &self.checkpoint)
            .finish_non_exhaustive()
    }
}

/// An epoch in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Number of the epoch, from 0.
    pub epoch: u64,
    /// Mean loss per training sample while it was learning.
    pub loss: f64,
    /// Share of training samples predicted right while it was learning.
    pub train_accuracy: f64,
    /// Mean loss per validation sample after the epoch.
    pub val_loss: Option<f64>,
    /// Share of validation samples predicted right after the epoch.
    pub val_accuracy: Option<f64>,
    /// Wall-clock seconds, validation included.
    pub seconds: f64,
}

impl From<&EpochRecord> for EpochPoint {
    fn from(record: &EpochRecord) -> Self {
        Self {
            epoch: u32::try_from(record.epoch).unwrap_or(u32::MAX),
            train_loss: record.loss,
            train_accuracy: Some(record.train_accuracy),
            val_loss: record.val_loss,
            val_accuracy: record.val_accuracy,
        }
    }
}

/// Why a training ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The user asked for it; the epoch at hand is lost.
    #[error("interrupted in epoch {epoch}; {}", next(checkpoint.as_deref()))]
    Interrupted {
        /// The epoch at hand, from 0.
        epoch: u64,
        /// What to go on from.
        checkpoint: Option<PathBuf>,
    },
    /// The loss or the data.
    #[error(transparent)]
    Fit(#[from] FitError),
    /// The checkpoint cannot be written, or is not one of this training.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

impl TrainError {
    /// True if numbers stopped being finite.
    #[must_use]
    pub fn is_divergence(&self) -> bool {
        matches!(self, Self::Fit(FitError::Diverged { .. } | FitError::NonFinite { .. }))
    }
}

fn next(checkpoint: Option<&Path>) -> String {
    match checkpoint {
        Some(path) => {
            format!("run the same command again to resume from the last full epoch ({})", path.display())
        }
        None => "nothing was saved".to_owned(),
    }
}

/// Trains `net` by Adam with clipped gradients and a learning rate that falls along half a cosine to 1 %.
///
/// `observe` is told of each epoch, first of those that a checkpoint holds already; so is the caller, by the result.
/// Checkpoints are written before.
///
/// # Errors
/// [`TrainError::Interrupted`] after Ctrl-C, at the end of a batch; [`TrainError::Fit`] for a loss that is not finite or
/// data that cannot be read; [`TrainError::Checkpoint`] for a checkpoint that cannot be written, or that belongs to
/// another network or seed (`net` is then unchanged).
pub fn train<M: Module + Sync>(
    net: &mut M,
    training: &Training<'_>,
    observe: &mut dyn FnMut(&EpochRecord),
) -> Result<Vec<EpochRecord>, TrainError> {
    train_together(net, training, &Alone, observe)
}

/// [`train`] in several processes, each with the same network and training: all learn from a share of each batch, and end
/// with the same bytes as one alone would. Rank 0 writes the checkpoints.
///
/// # Errors
/// As [`train`]; and [`FitError::WholeBatch`] of networks with batch normalization.
pub fn train_together<M: Module + Sync>(
    net: &mut M,
    training: &Training<'_>,
    ranks: &dyn Ranks,
    observe: &mut dyn FnMut(&EpochRecord),
) -> Result<Vec<EpochRecord>, TrainError> {
    let mut watcher = Watcher::new(training, ranks, observe);
    let mut progress = watcher.resume(net)?;
    let config = fit_config(training);
    let (data, loss, optimizer) = (training.train, &training.loss, &Adam::default());
    let task = Task { data, loss, optimizer, config: &config };
    let watch = &mut |event: &Event, net: &M, progress: &Progress| watcher.watch(event, net, progress);
    let outcome = fit_together(net, &task, ranks, &mut progress, watch);
    watcher.finish(outcome)
}

/// The loss that fits the end of a network: spikes are counted, membranes and currents averaged over time.
#[must_use]
pub fn loss_of(net: &Sequential) -> Loss {
    match net.layers().last() {
        Some(Layer::Neuron(neurons)) if !matches!(neurons.kind, NeuronKind::Li(_)) => Loss::CrossEntropyCount,
        _ => Loss::CrossEntropyMean,
    }
}

/// The network that training starts from: with the parameters that the configuration names in place of drawn ones.
///
/// # Errors
/// [`CheckpointError`] for a file that is not there or is another network's; it is named.
pub fn start(mut net: Sequential, config: &TrainConfig) -> Result<Sequential, CheckpointError> {
    if let Some(path) = &config.start {
        let file = if path.is_dir() { path.join(RunFile::Model.name()) } else { path.clone() };
        io::load_params(&mut net, &file)?;
    }
    Ok(net)
}

/// The parameters in a training checkpoint.
///
/// # Errors
/// [`CheckpointError`], naming the file and what is wrong with it.
pub fn checkpoint_params(path: &Path) -> Result<Arrays, CheckpointError> {
    Ok(Checkpoint::read(path)?.params)
}

fn fit_config(training: &Training<'_>) -> FitConfig {
    let TrainConfig { epochs, learning_rate, clip_norm, segment_steps, .. } = *training.config;
    #[allow(clippy::cast_precision_loss, reason = "a number of epochs")]
    let schedule = Schedule::Cosine { epochs: epochs as f64, floor: LAST_RATE };
    FitConfig {
        epochs,
        learning_rate,
        schedule,
        clip_norm: Some(clip_norm),
        segment_steps,
        seed: training.seed,
        ..FitConfig::default()
    }
}

/// Turns the events of a training into records, checkpoints and a bar.
struct Watcher<'a> {
    training: &'a Training<'a>,
    /// Whether this process writes.
    is_first: bool,
    observe: &'a mut dyn FnMut(&EpochRecord),
    bar: ProgressBar,
    records: Vec<EpochRecord>,
    epoch_start: Instant,
    failure: Option<TrainError>,
}

impl<'a> Watcher<'a> {
    fn new(training: &'a Training<'a>, ranks: &dyn Ranks, observe: &'a mut dyn FnMut(&EpochRecord)) -> Self {
        let n_batches = training.train.batches(0).size_hint().0;
        let n = usize::try_from(training.config.epochs).unwrap_or(usize::MAX).saturating_mul(n_batches);
        let bar = progress::bar(training.name, n);
        let is_first = ranks.rank() == 0;
        Self {
            training,
            is_first,
            observe,
            bar,
            records: Vec::new(),
            epoch_start: Instant::now(),
            failure: None,
        }
    }

    /// Goes on from the checkpoint, if there is one.
    fn resume<M: Module>(&mut self, net: &mut M) -> Result<Progress, CheckpointError> {
        let Some(path) = self.training.checkpoint.filter(|path| path.exists()) else {
            return Ok(Progress::default());
        };
        let checkpoint = Checkpoint::read(path)?;
        checkpoint.require_seed(self.training.seed, path)?;
        io::set_params(net, &checkpoint.params, path)?;
        checkpoint.records.iter().for_each(|record| (self.observe)(record));
        let n_batches = self.training.train.batches(0).size_hint().0 as u64;
        self.bar.set_position(checkpoint.progress.epoch * n_batches);
        self.bar.reset_eta();
        self.records = checkpoint.records;
        Ok(checkpoint.progress)
    }

    fn watch<M: Module + Sync>(&mut self, event: &Event, net: &M, progress: &Progress) -> ControlFlow<()> {
        match event {
            Event::Batch { loss, .. } => {
                self.bar.set_message(format!("· loss {loss:.3}"));
                self.bar.inc(1);
                if interrupt::is_requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            }
            Event::Epoch(summary) => match self.end_epoch(summary, net, progress) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    self.failure = Some(error);
                    ControlFlow::Break(())
                }
            },
        }
    }

    fn end_epoch<M: Module + Sync>(
        &mut self,
        summary: &EpochSummary,
        net: &M,
        progress: &Progress,
    ) -> Result<(), TrainError> {
        let val = self.training.val.filter(|_| self.is_first);
        let val = val.map(|val| evaluate(net, val, &self.training.loss)).transpose()?;
        let record = EpochRecord {
            epoch: summary.epoch,
            loss: summary.loss,
            train_accuracy: summary.accuracy,
            val_loss: val.as_ref().map(|val| val.loss),
            val_accuracy: val.as_ref().map(|val| val.accuracy),
            seconds: self.epoch_start.elapsed().as_secs_f64(),
        };
        self.epoch_start = Instant::now();
        self.records.push(record);
        if let Some(path) = self.training.checkpoint.filter(|_| self.is_first) {
            Checkpoint::of(net, progress, self.training.seed, &self.records).write(path)?;
        }
        (self.observe)(&record);
        Ok(())
    }

    fn finish(self, outcome: Result<(), FitError>) -> Result<Vec<EpochRecord>, TrainError> {
        self.bar.finish_and_clear();
        match (outcome, self.failure) {
            (_, Some(failure)) => Err(failure),
            (Ok(()), None) => Ok(self.records),
            (Err(FitError::Stopped { epoch }), None) => {
                let saved = self.training.checkpoint.filter(|_| !self.records.is_empty());
                Err(TrainError::Interrupted { epoch, checkpoint: saved.map(Path::to_owned) })
            }
            (Err(error), None) => Err(error.into()),
        }
    }
}

const PARAM: &str = "param/";
const OPTIMIZER: &str = "optimizer/";
const EPOCH: &str = "progress/epoch";
const STEPS: &str = "progress/steps";
const SEED: &str = "progress/seed";

/// A training after a whole number of epochs.
struct Checkpoint {
    params: Arrays,
    progress: Progress,
    seed: u64,
    records: Vec<EpochRecord>,
}

impl Checkpoint {
    fn of(net: &impl Module, progress: &Progress, seed: u64, records: &[EpochRecord]) -> Self {
        Self { params: io::params(net), progress: progress.clone(), seed, records: records.to_vec() }
    }

    fn read(path: &Path) -> Result<Self, CheckpointError> {
        let arrays = io::read(path)?;
        let optimizer = under(OPTIMIZER, &arrays).into_iter();
        let optimizer = optimizer.filter_map(|(name, array)| Some((name, array.to_tensor()?))).collect();
        let [epoch, steps, seed] = [EPOCH, STEPS, SEED].map(|name| counter(&arrays, name, path));
        let progress = Progress { epoch: epoch?, optimizer: State::from_tensors(steps?, &optimizer) };
        let records = history::read(&arrays).ok_or_else(|| refuse(path, "`history/*` is missing or torn"))?;
        if records.len() as u64 != progress.epoch {
            return Err(refuse(path, "`history/*` and `progress/epoch` differ in epochs"));
        }
        Ok(Self { params: under(PARAM, &arrays), progress, seed: seed?, records })
    }

    fn write(&self, path: &Path) -> Result<(), CheckpointError> {
        let mut arrays = history::to_arrays(&self.records);
        let params = self.params.iter().map(|(name, array)| (format!("{PARAM}{name}"), array.clone()));
        let optimizer = self.progress.optimizer.to_tensors();
        let optimizer = optimizer.iter().map(|(name, t)| (format!("{OPTIMIZER}{name}"), Array::from(t)));
        arrays.extend(params.chain(optimizer));
        let steps = self.progress.optimizer.steps();
        for (name, value) in [(EPOCH, self.progress.epoch), (STEPS, steps), (SEED, self.seed)] {
            arrays.extend(column(Data::U64(vec![value])).map(|array| (name.to_owned(), array)));
        }
        io::write(path, &arrays)
    }

    fn require_seed(&self, seed: u64, path: &Path) -> Result<(), CheckpointError> {
        if self.seed == seed {
            return Ok(());
        }
        Err(refuse(path, format!("`{SEED}` is {}, expected {seed}", self.seed)))
    }
}

/// Arrays whose names begin with `prefix`, without it.
fn under(prefix: &str, arrays: &Arrays) -> Arrays {
    let named =
        |(name, array): (&String, &Array)| Some((name.strip_prefix(prefix)?.to_owned(), array.clone()));
    arrays.iter().filter_map(named).collect()
}

fn counter(arrays: &Arrays, name: &str, path: &Path) -> Result<u64, CheckpointError> {
    match arrays.get(name).map(Array::data) {
        Some(Data::U64(values)) if values.len() == 1 => Ok(values[0]),
        _ => Err(refuse(path, format!("not a training checkpoint: expected one uint64 in `{name}`"))),
    }
}

fn column(data: Data) -> Option<Array> {
    Array::new(&[data.len()], data).ok()
}

fn refuse(path: &Path, what: impl Into<String>) -> CheckpointError {
    CheckpointError::Format { path: path.to_owned(), what: what.into() }
}

/// Epoch records as columns; NaN stands for a number that was not measured.
mod history {
    use super::{Array, Arrays, Data, EpochRecord, column};

    const COLUMNS: [&str; 5] = ["loss", "train_accuracy", "val_loss", "val_accuracy", "seconds"];

    fn row(record: &EpochRecord) -> [f64; 5] {
        let EpochRecord { loss, train_accuracy, val_loss, val_accuracy, seconds, .. } = *record;
        [loss, train_accuracy, val_loss.unwrap_or(f64::NAN), val_accuracy.unwrap_or(f64::NAN), seconds]
    }

    pub(super) fn to_arrays(records: &[EpochRecord]) -> Arrays {
        let values = |c: usize| Data::F64(records.iter().map(|record| row(record)[c]).collect());
        let named = |(c, name): (usize, &str)| Some((format!("history/{name}"), column(values(c))?));
        COLUMNS.into_iter().enumerate().filter_map(named).collect()
    }

    pub(super) fn read(arrays: &Arrays) -> Option<Vec<EpochRecord>> {
        let values = |name: &str| match arrays.get(&format!("history/{name}")).map(Array::data) {
            Some(Data::F64(values)) => Some(values),
            _ => None,
        };
        let [loss, train, val_loss, val, seconds] = COLUMNS.map(values);
        let (loss, train, val_loss, val, seconds) = (loss?, train?, val_loss?, val?, seconds?);
        let measured = |value: f64| (!value.is_nan()).then_some(value);
        let record = |i: usize| {
            Some(EpochRecord {
                epoch: i as u64,
                loss: *loss.get(i)?,
                train_accuracy: *train.get(i)?,
                val_loss: measured(*val_loss.get(i)?),
                val_accuracy: measured(*val.get(i)?),
                seconds: *seconds.get(i)?,
            })
        };
        (0..loss.len()).map(record).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use snn_autodiff::BatchIter;
    use snn_autodiff::{Batch, fit};
    use snn_core::Tensor;
    use snn_core::encode::rate;
    use snn_core::neuron::Lif;
    use snn_quant::uniform::{ScaleRule, UniformSpec};
    use snn_quant::{
        BitWidth, FixedPointSpec, Learn, LevelSpec, Placement, QuantPlan, QuantSpec, Quantized,
        StateQuantizer, StateSpec,
    };

    struct Noise;

    impl BatchSource for Noise {
        fn batches(&self, epoch: u64) -> BatchIter<'_> {
            let batch = move |i| Batch {
                x: rate(&Tensor::full(&[4, 6], 0.5), 5, epoch * 10 + i),
                labels: vec![0, 1, 2, 0],
            };
            Box::new((0..3).map(move |i| Ok(batch(i))))
        }
    }

    fn net() -> Sequential {
        let lif = Lif::snntorch(0.8);
        Sequential::input(&[6]).linear("fc1", 5).neuron("lif1", lif).linear("fc2", 3).init(3).unwrap()
    }

    fn training<'a>(config: &'a TrainConfig, checkpoint: Option<&'a Path>) -> Training<'a> {
        let loss = Loss::CrossEntropyMean;
        Training { name: "train", train: &Noise, val: Some(&Noise), loss, config, seed: 7, checkpoint }
    }

    fn config() -> TrainConfig {
        TrainConfig { epochs: 4, ..TrainConfig::default() }
    }

    /// Leaves the checkpoint of a training that got as far as `n` epochs.
    fn first_epochs(n: usize, path: &Path) {
        let config = config();
        let mut seen = 0;
        let _ = train(&mut net(), &training(&config, Some(path)), &mut |_| {
            seen += 1;
            if seen == n {
                std::fs::copy(path, path.with_extension("kept.npz")).unwrap();
            }
        });
        std::fs::rename(path.with_extension("kept.npz"), path).unwrap();
    }

    #[test]
    fn a_resumed_training_ends_in_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.npz");
        let config = config();
        let mut whole = net();
        let records = train(&mut whole, &training(&config, None), &mut |_| {}).unwrap();
        first_epochs(2, &path);
        let (mut resumed, mut seen) = (net(), Vec::new());
        let again =
            train(&mut resumed, &training(&config, Some(&path)), &mut |r| seen.push(r.epoch)).unwrap();
        assert_eq!(io::params(&resumed), io::params(&whole));
        assert_eq!(seen, [0, 1, 2, 3]);
        let losses =
            |records: &[EpochRecord]| records.iter().map(|r| (r.loss, r.val_accuracy)).collect::<Vec<_>>();
        assert_eq!(losses(&again), losses(&records));
        assert_eq!(checkpoint_params(&path).unwrap(), io::params(&whole));
    }

    /// Parameters of a network that was trained under a plan.
    fn trained(plan: &QuantPlan, config: &FitConfig) -> Vec<f32> {
        let mut net = Quantized::new(net(), &["lif1".to_owned()].into(), plan.clone()).unwrap();
        let (loss, mut progress) = (Loss::CrossEntropyMean, Progress::default());
        let go_on = &mut |_: &Event, _: &_, _: &_| ControlFlow::Continue(());
        fit(&mut net, &Noise, &loss, &Adam::default(), config, &mut progress, go_on).unwrap();
        let mut all = Vec::new();
        net.visit_params(&mut |p| all.extend_from_slice(p.value.as_slice()));
        all
    }

    /// Scales and draws are those of the batch, whatever part of it is at hand.
    #[test]
    fn weights_are_quantized_once_for_all_parts_of_a_batch() {
        let bits = BitWidth::new(3).unwrap();
        let learned = UniformSpec { scale: ScaleRule::Learned, ..UniformSpec::new(bits) };
        let drawn = QuantSpec::FixedPoint(FixedPointSpec::lui_neftci(bits, 5));
        for spec in [QuantSpec::Uniform(learned), drawn] {
            let plan = QuantPlan::same_for_all(["fc1.weight", "fc2.weight"], &spec);
            let [whole, parts] = [4, 1].map(|size| {
                trained(&plan, &FitConfig { epochs: 4, micro_batch: Some(size), ..FitConfig::default() })
            });
            snn_testkit::assert_close("parameters", &parts, &whole, 1e-4, 1e-4);
        }
    }

    /// Draws of membranes are those of their time step in the whole run, and those of weights of the batch.
    #[test]
    fn quantized_networks_train_in_segments_as_on_all_steps_at_once() {
        let bits = BitWidth::new(4).unwrap();
        let drawn = FixedPointSpec::lui_neftci(bits, 5);
        let learned = LevelSpec { learn: Some(Learn::Range), ..LevelSpec::new(bits) };
        let weights = QuantPlan::same_for_all(["fc1.weight", "fc2.weight"], &QuantSpec::FixedPoint(drawn));
        for quantizer in [StateQuantizer::FixedPoint(drawn), StateQuantizer::Levels(learned)] {
            for placement in [Placement::BeforeSpike, Placement::OnStore] {
                let mut plan = weights.clone();
                let spec = StateSpec { placement, ..quantizer.clone().into() };
                plan.states.insert("lif1".to_owned(), spec);
                let in_segments = |segment_steps: Option<usize>| {
                    let config = FitConfig { epochs: 2, micro_batch: Some(2), ..FitConfig::default() };
                    trained(&plan, &FitConfig { segment_steps, ..config })
                };
                let whole = in_segments(None);
                for steps in [1, 2, 5] {
                    let got = in_segments(Some(steps));
                    snn_testkit::assert_close("parameters", &got, &whole, 1e-4, 1e-4);
                }
            }
        }
    }

    #[test]
    fn a_checkpoint_of_another_network_or_seed_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.npz");
        let config = config();
        first_epochs(1, &path);
        let other = Training { seed: 8, ..training(&config, Some(&path)) };
        let error = train(&mut net(), &other, &mut |_| {}).unwrap_err().to_string();
        assert!(error.contains("checkpoint.npz: `progress/seed` is 7, expected 8"), "{error}");
        let mut larger = Sequential::input(&[6]).linear("fc1", 9).init(3).unwrap();
        let error = train(&mut larger, &training(&config, Some(&path)), &mut |_| {}).unwrap_err().to_string();
        assert!(error.contains("checkpoint.npz: tensor `fc1"), "{error}");
        snn_core::io::save_params(&net(), &path).unwrap();
        let error = train(&mut net(), &training(&config, Some(&path)), &mut |_| {}).unwrap_err().to_string();
        assert!(error.contains("not a training checkpoint"), "{error}");
    }

    #[test]
    fn training_starts_from_the_parameters_of_a_run_or_of_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(RunFile::Model.name());
        let mut trained = net();
        train(&mut trained, &training(&config(), None), &mut |_| {}).unwrap();
        io::save_params(&trained, &file).unwrap();
        let from = |path: &Path| TrainConfig { start: Some(path.to_owned()), ..config() };
        for path in [folder.path(), &file] {
            let started = start(net(), &from(path)).unwrap();
            assert_eq!(io::params(&started), io::params(&trained));
        }
        let larger = Sequential::input(&[6]).linear("fc1", 9).init(3).unwrap();
        let error = start(larger, &from(&file)).unwrap_err().to_string();
        assert!(error.contains("model.npz: tensor `fc1"), "{error}");
        let error = start(net(), &from(&folder.path().join("nowhere"))).unwrap_err().to_string();
        assert!(error.contains("nowhere"), "{error}");
    }

    #[test]
    fn the_loss_follows_the_last_layer() {
        assert_eq!(loss_of(&net()), Loss::CrossEntropyMean);
        let spiking = Sequential::input(&[6]).linear("fc", 3).neuron("lif", Lif::snntorch(0.5));
        assert_eq!(loss_of(&spiking.init(1).unwrap()), Loss::CrossEntropyCount);
    }
}
