//! The training loop and evaluation.
//!
//! A batch is split into micro-batches of a fixed number of samples; each runs forward and backward on a tape of its
//! own, on any thread, and the gradients are added up in order. So results depend on the micro-batch size, never on the
//! number of threads, or of processes that train together ([`crate::ranks`]). Networks with batch normalization run a
//! batch as one.

use crate::grads::Grads;
use crate::optim::{self, Optimizer, Schedule, State, clip_norm};
use crate::ranks::{Alone, BatchSum, Ranks, share};
use crate::readings::Readings;
use crate::segments::{self, SegmentError};
use crate::tape::Tape;
use rayon::prelude::*;
use snn_core::loss::{self, Loss};
use snn_core::metrics::{Activity, Meter};
use snn_core::module::Statistics;
use snn_core::op::Op;
use snn_core::rng::sub_seed;
use snn_core::{Exec, Module, Pass, Role, Tensor};
use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};

/// Samples with their labels.
#[derive(Clone, Debug)]
pub struct Batch {
    /// `[T, B, features…]`.
    pub x: Tensor<f32>,
    /// One label for each of the `B` samples.
    pub labels: Vec<usize>,
}

/// A batch whose labels and samples differ in number, or without samples.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("batch of shape {shape:?} with {labels} labels")]
pub struct BadBatch {
    /// Shape of its samples.
    pub shape: Vec<usize>,
    /// Number of its labels.
    pub labels: usize,
}

impl Batch {
    /// Makes sure that there are samples, each with a label.
    ///
    /// # Errors
    /// [`BadBatch`] if not.
    pub fn check(&self) -> Result<(), BadBatch> {
        let shape = self.x.shape();
        if shape.len() >= 3 && shape[1] == self.labels.len() && !self.x.is_empty() {
            return Ok(());
        }
        Err(BadBatch { shape: shape.to_vec(), labels: self.labels.len() })
    }

    /// At most `size` of its samples, from number `first` on.
    ///
    /// # Panics
    /// If there is no sample `first`, or [`Batch::check`] fails.
    #[must_use]
    pub fn samples(&self, first: usize, size: usize) -> Self {
        self.cut(first, size, 0..self.x.shape()[0])
    }

    /// At most `size` of its samples, from number `first` on, and of these some time steps.
    fn cut(&self, first: usize, size: usize, steps: Range<usize>) -> Self {
        let (n_steps, n) = (self.x.shape()[0], self.labels.len());
        let last = first.saturating_add(size).min(n);
        if first == 0 && last == n && steps == (0..n_steps) {
            return self.clone();
        }
        let sample = self.x.len() / (n_steps * n);
        let mut x = Vec::with_capacity(steps.len() * (last - first) * sample);
        let of_steps = &self.x.as_slice()[steps.start * n * sample..steps.end * n * sample];
        for step in of_steps.chunks(n * sample) {
            x.extend_from_slice(&step[first * sample..last * sample]);
        }
        let mut shape = self.x.shape().to_vec();
        (shape[0], shape[1]) = (steps.len(), last - first);
        Self { x: Tensor::new(&shape, x), labels: self.labels[first..last].to_vec() }
    }
}

/// Why a data source could not deliver.
pub type DataError = Box<dyn std::error::Error + Send + Sync>;

/// Batches in order, or why there is no next one. Training asks for a batch while it learns from the one before, from
/// another thread.
pub type BatchIter<'a> = Box<dyn Iterator<Item = Result<Batch, DataError>> + Send + 'a>;

/// Where batches come from.
pub trait BatchSource: Sync {
    /// The batches of an epoch, in order: the same for the same epoch.
    fn batches(&self, epoch: u64) -> BatchIter<'_>;
}

/// An epoch of this batch alone.
impl BatchSource for Batch {
    fn batches(&self, _epoch: u64) -> BatchIter<'_> {
        Box::new(std::iter::once(Ok(self.clone())))
    }
}

/// How to train.
#[derive(Clone, Debug, PartialEq)]
pub struct FitConfig {
    /// Passes over the data, counted from the very first, also when a run goes on.
    pub epochs: u64,
    /// Learning rate before the schedule.
    pub learning_rate: f64,
    /// Factor of the learning rate over epochs.
    pub schedule: Schedule,
    /// Largest norm of the gradients of a batch.
    pub clip_norm: Option<f64>,
    /// Samples that one task runs at a time, or as many as [`micro_batch`] finds good. It decides the order of summation,
    /// so it belongs to the result.
    pub micro_batch: Option<usize>,
    /// Time steps, at least one, whose activations are in memory at a time; all of them without it. Forward runs twice then, but
    /// gradients are those of all time steps: see [`crate::segments`]. It decides the order of summation, so it belongs to the
    /// result.
    pub segment_steps: Option<usize>,
    /// Share of the batch statistics in an update of the running ones. The variance is the biased one, where PyTorch
    /// takes `n/(n − 1)` of it.
    pub norm_momentum: f32,
    /// Seed of dropout.
    pub seed: u64,
}

impl Default for FitConfig {
    fn default() -> Self {
        Self {
            epochs: 20,
            learning_rate: 1e-3,
            schedule: Schedule::Constant,
            clip_norm: None,
            micro_batch: None,
            segment_steps: None,
            norm_momentum: 0.1,
            seed: 0,
        }
    }
}

impl FitConfig {
    /// Time steps of a segment, if a batch has more of them.
    fn segment_of(&self, batch: &Batch) -> Option<usize> {
        self.segment_steps.map(|steps| steps.max(1)).filter(|&steps| steps < batch.x.shape()[0])
    }
}

/// How far a run has come: with the parameters, all that a checkpoint must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// Epochs done.
    pub epoch: u64,
    /// The optimizer's memory.
    pub optimizer: State,
}

/// What [`fit`] tells its watcher.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A batch was learned.
    Batch {
        /// Number of the epoch, from 0.
        epoch: u64,
        /// Number of the batch, from 0.
        batch: u64,
        /// Mean loss of the batch.
        loss: f64,
    },
    /// An epoch is over; parameters and progress may be saved now.
    Epoch(EpochSummary),
}

/// An epoch in numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct EpochSummary {
    /// Number of the epoch, from 0.
    pub epoch: u64,
    /// Loss per sample, mean over the epoch while it was learning.
    pub loss: f64,
    /// Share of samples predicted right while it was learning.
    pub accuracy: f64,
    /// Samples seen.
    pub n: usize,
    /// Learning rate of the last batch.
    pub learning_rate: f64,
}

/// Why training or evaluation ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FitError {
    /// The watcher asked for it. The epoch at hand is lost; go on from the last saved one.
    #[error("stopped in epoch {epoch}")]
    Stopped {
        /// The epoch at hand.
        epoch: u64,
    },
    /// The loss is not a finite number any more.
    #[error("loss is {loss} in epoch {epoch}, batch {batch}: lower the learning rate or clip gradients")]
    Diverged {
        /// The epoch.
        epoch: u64,
        /// The batch.
        batch: u64,
        /// The loss.
        loss: f64,
    },
    /// A parameter is not a finite number any more. The loss of a spiking network does not show it, since a membrane that
    /// is not a number never fires.
    #[error(
        "`{name}` is not finite after epoch {epoch}, batch {batch}: lower the learning rate or clip gradients"
    )]
    NonFinite {
        /// The epoch.
        epoch: u64,
        /// The batch.
        batch: u64,
        /// The first such parameter.
        name: String,
    },
    /// A batch whose labels and samples differ in number, or without samples.
    #[error(transparent)]
    Batch(#[from] BadBatch),
    /// A label that the network has no output for.
    #[error("label {label}, but the network tells {n_classes} classes apart")]
    Label {
        /// The label.
        label: usize,
        /// Number of classes.
        n_classes: usize,
    },
    /// Several processes cannot divide the batches of a network with batch normalization.
    #[error("batch normalization needs whole batches, which several processes cannot divide")]
    WholeBatch,
    /// The network does not run in segments of time steps.
    #[error(transparent)]
    Segments(#[from] SegmentError),
    /// The data source failed.
    #[error("data: {0}")]
    Data(#[source] DataError),
}

/// What to train a network on, and how.
#[derive(Clone, Copy)]
pub struct Task<'a> {
    /// To learn from.
    pub data: &'a dyn BatchSource,
    /// What to minimize.
    pub loss: &'a Loss,
    /// By which rule.
    pub optimizer: &'a dyn Optimizer,
    /// Epochs, learning rate and the like.
    pub config: &'a FitConfig,
}

impl std::fmt::Debug for Task<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Task").field("loss", self.loss).field("config", self.config).finish_non_exhaustive()
    }
}

/// Trains from where `progress` stands to `config.epochs`, telling `watch` of each batch and epoch.
///
/// Save the parameters and `progress` when an epoch is over: a run that goes on from there ends in the same bytes as one
/// that was never interrupted, since all randomness depends on seed, epoch and batch only.
///
/// # Errors
/// [`FitError`]: stopped by the watcher, diverged, a bad batch, or the data source failed.
pub fn fit<M: Module + Sync>(
    net: &mut M,
    data: &dyn BatchSource,
    loss: &Loss,
    optimizer: &dyn Optimizer,
    config: &FitConfig,
    progress: &mut Progress,
    watch: &mut dyn FnMut(&Event, &M, &Progress) -> ControlFlow<()>,
) -> Result<(), FitError> {
    fit_together(net, &Task { data, loss, optimizer, config }, &Alone, progress, watch)
}

/// [`fit`] in several processes: each calls it with the same network, task and progress, and all end with the same bytes
/// as one alone would.
///
/// All see all batches and learn from their share; `watch` is told everywhere, and that of rank 0 decides whether to go on.
///
/// # Errors
/// As [`fit`], and [`FitError::WholeBatch`]. After an error in one process (data that it cannot read) the others wait for
/// it, so the caller has to end them.
pub fn fit_together<M: Module + Sync>(
    net: &mut M,
    task: &Task<'_>,
    ranks: &dyn Ranks,
    progress: &mut Progress,
    watch: &mut dyn FnMut(&Event, &M, &Progress) -> ControlFlow<()>,
) -> Result<(), FitError> {
    if ranks.size() > 1 && net.needs_whole_batch() {
        return Err(FitError::WholeBatch);
    }
    if task.config.segment_steps.is_some() && net.needs_whole_batch() {
        return Err(SegmentError::WholeBatch.into());
    }
    let mut config = task.config.clone();
    while progress.epoch < config.epochs {
        let epoch = progress.epoch;
        let mut batches = task.data.batches(epoch);
        let n_batches = count_hint(batches.size_hint());
        let mut totals = Totals::default();
        let mut learning_rate = config.learning_rate;
        let mut next = batches.next();
        for i in 0.. {
            let Some(batch) = next else { break };
            let batch = batch.map_err(FitError::Data)?;
            batch.check()?;
            let segment = config.segment_of(&batch).unwrap_or(batch.x.shape()[0]);
            config.micro_batch.get_or_insert_with(|| {
                fitting_micro_batch(net, &batch.cut(0, batch.labels.len(), 0..segment))
            });
            learning_rate =
                config.learning_rate * config.schedule.factor(epoch as f64 + i as f64 / n_batches);
            let task = Task { config: &config, ..*task };
            let (following, done) = while_fetching(&mut batches, || {
                learn(net, &batch, &task, ranks, progress, (i, learning_rate))
            });
            next = following;
            let done = done?;
            totals.add(&done);
            let event = Event::Batch { epoch, batch: i, loss: done.loss };
            if ranks.follow_first(watch(&event, net, progress).is_break()) {
                return Err(FitError::Stopped { epoch });
            }
        }
        progress.epoch += 1;
        let event = Event::Epoch(totals.summary(epoch, learning_rate));
        if ranks.follow_first(watch(&event, net, progress).is_break()) {
            return Err(FitError::Stopped { epoch: progress.epoch });
        }
    }
    Ok(())
}

/// Bytes of activations that are worked on at a time. Where this was measured a second-level cache has a third of it, but what
/// misses that costs less than to begin anew for each sample.
const WORK_BYTES: usize = 3 << 20;

/// Passes over the activations that cost as much as reading the parameters and adding up gradients of as many bytes.
const PASSES: usize = 6;

/// Most samples of a micro-batch that is not asked for: larger ones gain nothing and leave threads without work.
const MAX_MICRO_BATCH: usize = 32;

/// The number of samples of a batch of `n` that training runs at a time where it is free to choose: as many as have few
/// megabytes of activations, or more where a sample's work is small beside adding up the gradients of all parameters, and such
/// that the parts come in pairs of about equal size.
#[must_use]
pub fn micro_batch(n_params: usize, bytes_per_sample: usize, n: usize) -> usize {
    let amortized = n_params.saturating_mul(PASSES * size_of::<f32>());
    let size = (WORK_BYTES.max(amortized) / bytes_per_sample.max(1)).clamp(1, MAX_MICRO_BATCH);
    in_pairs(n, size)
}

/// [`micro_batch`] for a network and a batch.
///
/// # Panics
/// If the batch does not fit the network.
#[must_use]
pub fn fitting_micro_batch<M: Module>(net: &M, batch: &Batch) -> usize {
    let mut n_params = 0;
    net.visit_params(&mut |p| n_params += p.value.len());
    micro_batch(n_params, activation_bytes(net, &batch.samples(0, 1).x), batch.labels.len())
}

/// About `size`, such that `n` samples are an even number of micro-batches of nearly equal size: two threads, or four,
/// end together. It may not depend on the number of threads, as it decides the order of summation.
fn in_pairs(n: usize, size: usize) -> usize {
    let pairs = (n + size) / (2 * size);
    n.div_ceil(2 * pairs.max(1))
}

/// Bytes of the activations of a training pass over `x` `[T, B, features…]`, with what is saved for the way back.
///
/// # Panics
/// If `x` does not fit the network.
#[must_use]
pub fn activation_bytes<M: Module>(net: &M, x: &Tensor<f32>) -> usize {
    let mut tape = Tape::<f32>::new();
    let x = tape.input(x);
    net.forward(&mut tape, &x, &Pass::training(0));
    tape.activation_bytes()
}

/// Does `work` while another thread gets the next batch; at most one batch is ahead.
fn while_fetching<R>(
    batches: &mut BatchIter<'_>,
    work: impl FnOnce() -> R,
) -> (Option<Result<Batch, DataError>>, R) {
    std::thread::scope(|scope| {
        let fetching = scope.spawn(|| batches.next());
        let done = work();
        match fetching.join() {
            Ok(next) => (next, done),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

#[allow(clippy::cast_precision_loss, reason = "a number of batches")]
fn count_hint(hint: (usize, Option<usize>)) -> f64 {
    hint.1.unwrap_or(hint.0).max(1) as f64
}

#[derive(Clone, Debug, Default)]
struct Totals {
    loss: f64,
    correct: usize,
    n: usize,
}

impl Totals {
    #[allow(clippy::cast_precision_loss, reason = "a number of samples")]
    fn add(&mut self, batch: &Self) {
        self.loss += batch.loss * batch.n as f64;
        self.correct += batch.correct;
        self.n += batch.n;
    }

    #[allow(clippy::cast_precision_loss, reason = "a number of samples")]
    fn summary(&self, epoch: u64, learning_rate: f64) -> EpochSummary {
        let n = self.n.max(1) as f64;
        EpochSummary {
            epoch,
            loss: self.loss / n,
            accuracy: self.correct as f64 / n,
            n: self.n,
            learning_rate,
        }
    }
}

/// What a micro-batch gives.
pub(crate) struct Part {
    pub(crate) loss: f64,
    pub(crate) correct: usize,
    pub(crate) grads: Grads,
    /// Batch statistics, by the name of their running twin.
    pub(crate) statistics: Vec<(String, Tensor<f32>)>,
}

/// Some samples of a batch, to learn from.
pub(crate) struct MicroBatch<'a> {
    pub(crate) batch: &'a Batch,
    /// Number of the first sample, and how many there are at most.
    pub(crate) first: usize,
    pub(crate) size: usize,
    pub(crate) loss: &'a Loss,
    pub(crate) pass: Pass,
    /// What parameters are read as, by their names.
    pub(crate) readings: &'a BTreeMap<String, Tensor<f32>>,
}

impl MicroBatch<'_> {
    /// The samples, some time steps of them.
    pub(crate) fn samples(&self, steps: Range<usize>) -> Batch {
        self.batch.cut(self.first, self.size, steps)
    }

    pub(crate) fn n_steps(&self) -> usize {
        self.batch.x.shape()[0]
    }

    pub(crate) fn labels(&self) -> &[usize] {
        let labels = &self.batch.labels[self.first..];
        &labels[..self.size.min(labels.len())]
    }

    /// Their part of the mean over the whole batch.
    pub(crate) fn loss_op(&self) -> Box<dyn Op<f32>> {
        self.loss.op(self.labels(), self.batch.labels.len())
    }
}

/// One optimizer step on a batch; returns its loss and hits.
fn learn<M: Module + Sync>(
    net: &mut M,
    batch: &Batch,
    task: &Task<'_>,
    ranks: &dyn Ranks,
    progress: &mut Progress,
    (index, learning_rate): (u64, f64),
) -> Result<Totals, FitError> {
    let (config, loss, n) = (task.config, task.loss, batch.labels.len());
    let size = if net.needs_whole_batch() { n } else { config.micro_batch.unwrap_or(n).clamp(1, n) };
    let segment = config.segment_of(batch);
    let seed = sub_seed(config.seed, &format!("dropout/{}/{index}", progress.epoch));
    let shared: &M = net;
    let readings = Readings::of(shared, &Pass::training(seed));
    let values = readings.values();
    let parts: Result<Vec<Part>, FitError> = share(ranks, n.div_ceil(size))
        .into_par_iter()
        .map(|i| {
            let pass = Pass::training(sub_seed(seed, &i.to_string()));
            let micro = MicroBatch { batch, first: i * size, size, loss, pass, readings: &values };
            match segment {
                Some(steps) => segments::run_part(shared, &micro, steps),
                None => run_part(shared, &micro),
            }
        })
        .collect();
    let parts = parts?;
    let mut sum = BatchSum::of_ranks_before(ranks, net);
    for part in parts {
        sum.loss += part.loss;
        sum.correct += part.correct;
        sum.grads.add_all(part.grads);
        update_statistics(net, part.statistics, config.norm_momentum);
    }
    let BatchSum { loss, correct, mut grads } = sum.of_all_ranks(ranks, net);
    readings.into_gradients(&mut grads);
    if !loss.is_finite() {
        return Err(FitError::Diverged { epoch: progress.epoch, batch: index, loss });
    }
    if let Some(max_norm) = config.clip_norm {
        clip_norm(&mut grads, max_norm);
    }
    #[allow(clippy::cast_possible_truncation, reason = "training is in f32")]
    optim::step(task.optimizer, &mut progress.optimizer, net, &grads, learning_rate as f32);
    check_finite(net, progress.epoch, index)?;
    Ok(Totals { loss, correct, n })
}

fn check_finite<M: Module>(net: &M, epoch: u64, batch: u64) -> Result<(), FitError> {
    let mut first = None;
    net.visit_params(&mut |p| {
        if first.is_none() && !p.value.as_slice().iter().all(|v| v.is_finite()) {
            first = Some(p.name.clone());
        }
    });
    first.map_or(Ok(()), |name| Err(FitError::NonFinite { epoch, batch, name }))
}

pub(crate) fn run_part<M: Module>(net: &M, micro: &MicroBatch<'_>) -> Result<Part, FitError> {
    let mut tape = Tape::reading(micro.readings);
    let x = tape.input(&micro.samples(0..micro.n_steps()).x);
    let y = net.forward(&mut tape, &x, &micro.pass);
    check_labels(micro.loss, tape.value(y), micro.labels())?;
    let value = tape.apply(micro.loss_op(), &[&y]);
    let predicted = loss::predict(tape.value(y), micro.loss);
    Ok(Part {
        loss: f64::from(tape.value(value).item()),
        correct: hits(&predicted, micro.labels()),
        statistics: recorded(&tape),
        grads: tape.backward(value),
    })
}

pub(crate) fn check_labels(loss: &Loss, outputs: &Tensor<f32>, labels: &[usize]) -> Result<(), FitError> {
    let n_classes = loss.n_classes(outputs.shape().last().copied().unwrap_or(0));
    match labels.iter().find(|&&label| label >= n_classes) {
        Some(&label) => Err(FitError::Label { label, n_classes }),
        None => Ok(()),
    }
}

pub(crate) fn hits(predicted: &[usize], labels: &[usize]) -> usize {
    predicted.iter().zip(labels).filter(|(p, l)| p == l).count()
}

/// Measures the running statistics of batch normalization anew: they become the mean, over the first `n_batches` of epoch 0,
/// of the statistics of a batch in the network as it is. Networks without batch normalization are left alone.
///
/// Rounding weights shifts what neurons receive, and quantized training lets weights jump between levels up to its last
/// step, so that averages over the course of training are those of networks that are no more (Nagel, Fournarakis,
/// Bondarenko, Blankevoort, "Overcoming Oscillations in Quantization-Aware Training", 2022, arXiv 2203.11086).
///
/// # Errors
/// [`FitError::Data`] if the data source fails, [`FitError::Batch`] for a batch that is not one.
pub fn measure_statistics<M: Module>(
    net: &mut M,
    data: &dyn BatchSource,
    n_batches: usize,
) -> Result<(), FitError> {
    if !net.needs_whole_batch() {
        return Ok(());
    }
    let pass = Pass { noise: None, statistics: Statistics::Batch };
    let values = Readings::of(net, &pass).values();
    for (i, batch) in data.batches(0).take(n_batches).enumerate() {
        let batch = batch.map_err(FitError::Data)?;
        batch.check()?;
        let mut tape = Tape::reading(&values);
        let x = tape.input(&batch.x);
        net.forward(&mut tape, &x, &pass);
        let statistics = recorded(&tape);
        #[allow(clippy::cast_precision_loss, reason = "a number of batches")]
        update_statistics(net, statistics, 1.0 / (i + 1) as f32);
    }
    Ok(())
}

/// What layers recorded, by name.
fn recorded(tape: &Tape<'_, f32>) -> Vec<(String, Tensor<f32>)> {
    tape.recorded().map(|(name, t)| (name.to_owned(), t.clone())).collect()
}

fn update_statistics<M: Module>(net: &mut M, statistics: Vec<(String, Tensor<f32>)>, momentum: f32) {
    for (name, batch) in statistics {
        net.visit_params_mut(&mut |p| {
            if p.role == Role::Buffer && p.name == name {
                let blend = |running: f32, now: f32| running + momentum * (now - running);
                p.value = p.value.zip(&batch, blend);
            }
        });
    }
}

/// What a network does on a data set.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// Share of samples predicted right.
    pub accuracy: f64,
    /// Mean loss per sample.
    pub loss: f64,
    /// Samples.
    pub n: usize,
    /// For each sample in order, whether it was predicted right: for paired comparisons.
    pub hits: Vec<bool>,
    /// Spikes and synaptic operations of the whole data set.
    pub activity: Activity,
}

impl Evaluation {
    /// Effective synaptic operations per sample.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "a mean")]
    pub fn synops_per_sample(&self) -> f64 {
        self.activity.synops.effective as f64 / self.n.max(1) as f64
    }
}

/// Samples that one evaluation task runs at a time.
const EVALUATION_CHUNK: usize = 16;

/// Runs a network over the data of epoch 0 without learning.
///
/// # Errors
/// [`FitError::Data`] if the data source fails, [`FitError::Batch`] for a batch that is not one.
pub fn evaluate<M: Module + Sync>(
    net: &M,
    data: &dyn BatchSource,
    loss: &Loss,
) -> Result<Evaluation, FitError> {
    let mut all =
        Evaluation { accuracy: 0.0, loss: 0.0, n: 0, hits: Vec::new(), activity: Activity::default() };
    for batch in data.batches(0) {
        let batch = batch.map_err(FitError::Data)?;
        batch.check()?;
        let n = batch.labels.len();
        let parts: Result<Vec<Evaluation>, FitError> = (0..n.div_ceil(EVALUATION_CHUNK))
            .into_par_iter()
            .map(|i| evaluate_part(net, &batch.samples(i * EVALUATION_CHUNK, EVALUATION_CHUNK), loss))
            .collect();
        for part in parts? {
            all.loss += part.loss;
            all.n += part.n;
            all.hits.extend(part.hits);
            all.activity.merge(&part.activity);
        }
    }
    let n = all.n.max(1) as f64;
    all.loss /= n;
    all.accuracy = all.hits.iter().filter(|&&hit| hit).count() as f64 / n;
    Ok(all)
}

/// The loss of the result is the sum over the samples.
fn evaluate_part<M: Module>(net: &M, batch: &Batch, loss: &Loss) -> Result<Evaluation, FitError> {
    let mut meter = Meter::new();
    let x = meter.input(&batch.x);
    let y = net.forward(&mut meter, &x, &Pass::inference());
    check_labels(loss, &y, &batch.labels)?;
    let value = meter.apply(loss.op(&batch.labels, 1), &[&y]);
    let hits = loss::predict(&y, loss).iter().zip(&batch.labels).map(|(p, l)| p == l).collect();
    let activity = meter.activity;
    Ok(Evaluation { accuracy: 0.0, loss: f64::from(value.item()), n: batch.labels.len(), hits, activity })
}

#[cfg(test)]
mod tests {
    use super::{activation_bytes, in_pairs};
    use snn_core::Tensor;
    use snn_core::layer::parse;
    use snn_core::neuron::Lif;

    #[test]
    fn parameters_are_no_activations() {
        let net = parse("64-LIF-3-LIF", &[128], Lif::snntorch(0.9).into()).unwrap().init(1).unwrap();
        let bytes = |n| activation_bytes(&net, &Tensor::zeros(&[2, n, 128]));
        assert_eq!(bytes(6), 3 * bytes(2));
    }

    #[test]
    fn micro_batches_come_in_pairs_of_about_the_size() {
        assert_eq!([in_pairs(16, 7), in_pairs(16, 32), in_pairs(128, 8), in_pairs(10, 3)], [8, 8, 8, 3]);
        assert_eq!([in_pairs(1, 4), in_pairs(2, 4), in_pairs(3, 1)], [1, 1, 1]);
    }
}
