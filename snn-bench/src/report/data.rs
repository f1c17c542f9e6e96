//! What a report says: plain data, every part of it optional.

use serde::{Deserialize, Serialize};

use crate::estimate::Estimate;
use crate::run_dir::Environment;
use crate::table::Column;

/// All that a report page shows. A section without data does not appear.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReportData {
    /// Title, claims and provenance.
    pub header: Header,
    /// Loss and accuracy over the epochs.
    pub training: Option<Training>,
    /// Curvature of each layer.
    pub trace: Option<Traces>,
    /// Accuracy of quantized networks against their bits.
    pub accuracy_vs_bits: Vec<AccuracyVsBits>,
    /// Accuracy over two settings.
    pub heat_maps: Vec<HeatMap>,
    /// The levels that membranes can take.
    pub levels: Option<Levels>,
    /// What one quantized layer costs, against what its sensitivity foretells.
    pub sensitivity: Option<Sensitivity>,
    /// Accuracy against size.
    pub pareto: Option<Pareto>,
    /// Spikes of single samples.
    pub rasters: Vec<Raster>,
    /// Membrane potentials of single neurons.
    pub membranes: Vec<Membrane>,
    /// Mean firing rate of each layer.
    pub firing_rates: Option<FiringRates>,
    /// Tables, such as plans with their bits and bytes.
    pub tables: Vec<TableData>,
}

/// What the report is about and where its numbers come from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Header {
    /// Title of the page.
    pub title: String,
    /// A sentence or two under the title.
    pub summary: String,
    /// The claims, with what was found.
    pub claims: Vec<Claim>,
    /// The command line that made the numbers.
    pub command: String,
    /// Seeds of the runs.
    pub seeds: Vec<u64>,
    /// Name of the data set, with its split.
    pub dataset: String,
    /// Whether its samples were recorded or simulated.
    pub source: Option<DataSource>,
    /// Program, compiler and machine.
    pub environment: Option<Environment>,
    /// What a reader must know to read the numbers right.
    pub notes: Vec<String>,
}

/// Where samples come from; shown as a badge at the top.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DataSource {
    /// Recordings of a real sensor.
    Recorded,
    /// Made by a program.
    Simulated,
    /// Recordings, with simulated samples among the training data.
    Mixed,
}

/// A claim and what was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// The quantity.
    pub what: String,
    /// What the paper states; empty when nothing.
    pub paper: String,
    /// What was to be reached; empty when nothing.
    pub target: String,
    /// What was measured.
    pub ours: String,
    /// How the two compare.
    pub outcome: Outcome,
}

/// How a measured number compares with its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The target was reached.
    Met,
    /// The target was not reached.
    Missed,
    /// There was no target.
    Reported,
}

/// What the error bars of a figure are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// One sample standard deviation.
    StdDev,
    /// One standard error of the mean.
    StdErr,
}

/// What stands behind the numbers of a figure; every caption says it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// Number of samples (recordings, images) that each number was measured on.
    pub n_samples: usize,
    /// Seeds that the numbers are means over.
    pub seeds: Vec<u64>,
    /// What the error bars are.
    pub error: ErrorKind,
}

/// Training of one or more networks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// The trainings; those of one name are one colour.
    pub runs: Vec<TrainingRun>,
    /// Number of samples trained on.
    pub n_train: usize,
    /// Number of samples validated on.
    pub n_val: usize,
}

/// A training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingRun {
    /// What was trained.
    pub name: String,
    /// With which seed.
    pub seed: u64,
    /// One entry an epoch.
    pub epochs: Vec<EpochPoint>,
}

/// State at the end of an epoch. Accuracies are fractions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EpochPoint {
    /// The epoch, from 0.
    pub epoch: u32,
    /// Mean training loss.
    pub train_loss: f64,
    /// Training accuracy.
    pub train_accuracy: Option<f64>,
    /// Mean validation loss.
    pub val_loss: Option<f64>,
    /// Validation accuracy.
    pub val_accuracy: Option<f64>,
}

/// Curvature of each layer at the trained point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Traces {
    /// The layers, from the input up.
    pub layers: Vec<LayerTrace>,
    /// Number of Hutchinson probes.
    pub n_probes: usize,
    /// What stands behind the numbers.
    pub sampling: Sampling,
    /// Surrogate, reset gradient and normalization, such as `atan α = 2, reset detached, not divided by
    /// the number of parameters`.
    pub convention: String,
}

/// Curvature of a layer and the bits chosen for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerTrace {
    /// Name of the tensor.
    pub name: String,
    /// Number of its parameters.
    pub n_params: usize,
    /// Trace of the Hessian block.
    pub hessian: Option<Estimate>,
    /// Trace of the Gauss-Newton block.
    pub gauss_newton: Option<Estimate>,
    /// Bits allocated to it.
    pub bits: Option<u32>,
}

/// Accuracies, as fractions, of quantized networks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AccuracyVsBits {
    /// Title of the figure.
    pub title: String,
    /// What the bits are of, such as `mean bits per weight`.
    pub bits_of: String,
    /// Accuracy of the float network.
    pub float: Option<Estimate>,
    /// A line each.
    pub series: Vec<BitSeries>,
    /// What stands behind the numbers.
    pub sampling: Sampling,
}

/// Accuracies of one way to quantize.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BitSeries {
    /// Such as `PTQ, allocated`.
    pub name: String,
    /// Bits, and accuracy, in rising order of bits.
    pub points: Vec<BitPoint>,
}

/// Accuracy of one plan.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BitPoint {
    /// The bits.
    pub bits: f64,
    /// Accuracy, a fraction.
    pub accuracy: Estimate,
}

/// Accuracies, as fractions, over two settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeatMap {
    /// Title of the figure.
    pub title: String,
    /// The setting that differs between columns.
    pub x: String,
    /// The setting that differs between rows.
    pub y: String,
    /// Values of the columns.
    pub columns: Vec<String>,
    /// Values of the rows, from below.
    pub rows: Vec<String>,
    /// For each row, the accuracy in each column; none where nothing was run.
    pub accuracies: Vec<Vec<Option<Estimate>>>,
    /// What stands behind the numbers.
    pub sampling: Sampling,
}

/// Tables of membrane levels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Levels {
    /// Firing threshold.
    pub threshold: f64,
    /// The tables, a line each.
    pub tables: Vec<LevelLine>,
}

/// A table of levels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LevelLine {
    /// Such as `uniform, zero-exact`.
    pub name: String,
    /// The levels, rising.
    pub levels: Vec<f64>,
}

/// One layer quantized at a time, the others float.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sensitivity {
    /// A figure each.
    pub series: Vec<SensitivitySeries>,
    /// The measure on the horizontal axis, such as `Ω = tr(H)/n · ‖Q(w) − w‖²`.
    pub measure: String,
    /// What stands behind the numbers.
    pub sampling: Sampling,
}

/// One way to quantize the layers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SensitivitySeries {
    /// Such as `PTQ`.
    pub name: String,
    /// Spearman's rank correlation of the two axes.
    pub rank_correlation: Option<f64>,
    /// A point for each layer and bit width.
    pub points: Vec<SensitivityPoint>,
}

/// One layer at one bit width.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SensitivityPoint {
    /// Name of the tensor.
    pub layer: String,
    /// Its bits.
    pub bits: u32,
    /// What the sensitivity measure says.
    pub omega: f64,
    /// Float accuracy minus accuracy with this layer quantized, a fraction.
    pub drop: Estimate,
}

/// Accuracy against size of whole networks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pareto {
    /// The networks.
    pub points: Vec<ParetoPoint>,
    /// What stands behind the numbers.
    pub sampling: Sampling,
}

/// A network of a certain size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ParetoPoint {
    /// A word beside the point.
    pub label: String,
    /// Points of one kind share colour and mark.
    pub kind: String,
    /// Exact size.
    pub bytes: u64,
    /// Accuracy, a fraction.
    pub accuracy: Estimate,
}

/// Spikes of a layer over time, for one sample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Raster {
    /// The layer and the sample.
    pub name: String,
    /// Number of neurons.
    pub n_neurons: usize,
    /// Number of time steps.
    pub n_steps: usize,
    /// Length of a step in milliseconds, when it has one.
    pub step_ms: Option<f64>,
    /// Time step and neuron of each spike, both from 0.
    pub spikes: Vec<(usize, usize)>,
}

/// Membrane potential of a neuron over time, for one sample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Membrane {
    /// The neuron and the sample.
    pub name: String,
    /// Potential after each step's input, before its reset.
    pub mem: Vec<f64>,
    /// The same in the quantized network; empty when there is none.
    pub mem_quantized: Vec<f64>,
    /// Firing threshold.
    pub threshold: f64,
    /// The values that the quantized potential can take; empty when it is not quantized.
    pub levels: Vec<f64>,
    /// Steps at which the neuron spiked.
    pub spikes: Vec<usize>,
}

/// Firing rates of the layers, in spikes per neuron and time step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FiringRates {
    /// Names of the layers, from the input up.
    pub layers: Vec<String>,
    /// A colour each.
    pub series: Vec<RateSeries>,
    /// What stands behind the numbers.
    pub sampling: Sampling,
}

/// Firing rates of a network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RateSeries {
    /// Such as `float`.
    pub name: String,
    /// One for each layer.
    pub rates: Vec<Estimate>,
}

/// A table of the page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableData {
    /// Its title.
    pub title: String,
    /// What it shows.
    pub caption: String,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its rows, a text for each column.
    pub rows: Vec<Vec<String>>,
}
