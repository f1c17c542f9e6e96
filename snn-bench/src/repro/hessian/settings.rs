//! What is run: the full reproduction, or a quick one on built-in data.

use crate::config::{DataConfig, NetConfig, NeuronPreset, TrainConfig};
use serde::Serialize;
use std::path::PathBuf;

/// Arguments of `repro hessian`.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct HessianArgs {
    /// A small network on the built-in simulated glyphs, one seed: a few minutes.
    #[arg(long)]
    pub quick: bool,
    /// Folder of N-MNIST recordings. Lists `splits/dev_train.txt` and `splits/dev_val.txt` in it are used if present.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Number of seeds (3, or 1 with --quick).
    #[arg(long, value_name = "N")]
    pub seeds: Option<u64>,
    /// Folds of all recordings that the claims are cross-validated on (5 where there are lists, else none).
    #[arg(long, value_name = "N")]
    pub folds: Option<usize>,
    /// Folder of the run and its report.
    #[arg(short, long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

impl HessianArgs {
    /// Where the run goes: as asked, or `runs/hessian[-quick]`.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        let name = if self.quick { "runs/hessian-quick" } else { "runs/hessian" };
        self.out.clone().unwrap_or_else(|| PathBuf::from(name))
    }
}

/// All that decides a result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Settings {
    /// The first seed, by which the run directory names the run.
    pub seed: u64,
    /// All seeds.
    pub seeds: Vec<u64>,
    /// Folds that all recordings are divided into for the claims; fewer than 2 for none.
    pub folds: usize,
    /// Mean widths of the plans that are cross-validated.
    pub fold_mean_bits: Vec<u32>,
    /// Recordings.
    pub data: DataConfig,
    /// The network.
    pub net: NetConfig,
    /// Training in full precision.
    pub train: TrainConfig,
    /// Quantization-aware training from there, and of the float twin.
    pub qat: TrainConfig,
    /// The same with one layer quantized.
    pub layer_qat: TrainConfig,
    /// Training in full precision with the four-state neuron.
    pub four_state: TrainConfig,
    /// Training with local losses.
    pub local: TrainConfig,
    /// Widths that single layers are quantized to.
    pub layer_widths: Vec<u32>,
    /// Widths that allocation may choose from.
    pub widths: Vec<u32>,
    /// Mean widths that bits are allocated for.
    pub mean_bits: Vec<u32>,
    /// Width of membranes in allocated plans.
    pub state_bits: u32,
    /// Most probes of a trace.
    pub max_probes: usize,
    /// Standard error, relative to the trace, at which probing stops.
    pub rel_std_err: f64,
    /// Training batches that traces are measured on.
    pub trace_batches: usize,
}

impl Settings {
    /// The settings that the arguments ask for.
    #[must_use]
    pub fn new(args: &HessianArgs) -> Self {
        let base = if args.quick { Self::quick() } else { Self::full() };
        let n_seeds = args.seeds.unwrap_or(base.seeds.len() as u64).max(1);
        let data = match &args.data {
            Some(path) => base.data.on_recordings(path),
            None => base.data.clone(),
        };
        let default_folds = if data.test_split.is_some() { 5 } else { 0 };
        Self { seeds: (1..=n_seeds).collect(), folds: args.folds.unwrap_or(default_folds), data, ..base }
    }

    /// The network of Lui and Neftci on N-MNIST: the first convolution pooled as theirs is, the others strided as in
    /// their variant without pooling.
    fn full() -> Self {
        Self {
            seed: 1,
            seeds: vec![1, 2, 3],
            folds: 0,
            fold_mean_bits: vec![4],
            data: DataConfig { n_steps: 16, batch_size: 16, ..DataConfig::default() },
            net: net("64C7p3-P2-LIF-128C7s2p3-LIF-128C7s2p3-LIF-D0.4-10", 0.8, -0.25),
            train: epochs(80, 1.5e-3),
            qat: epochs(6, 4e-4),
            layer_qat: epochs(1, 4e-4),
            four_state: epochs(20, 1.5e-3),
            local: epochs(40, 2e-4),
            layer_widths: vec![8, 4, 3, 2],
            widths: vec![1, 2, 3, 4, 5, 6, 8, 10, 12, 16],
            mean_bits: vec![8, 4, 3, 2],
            state_bits: 8,
            max_probes: 32,
            rel_std_err: 0.05,
            trace_batches: 8,
        }
    }

    /// All three convolutions strided, with an eighth of the channels, on the built-in data.
    fn quick() -> Self {
        Self {
            seeds: vec![1],
            data: DataConfig { n_steps: 6, n_glyphs: 1500, batch_size: 32, ..DataConfig::default() },
            net: net("8C7s2p3-LIF-16C7s2p3-LIF-16C7s2p3-LIF-10", 0.6, -0.4),
            train: epochs(12, 3e-3),
            qat: epochs(3, 1e-3),
            layer_qat: epochs(1, 1e-3),
            four_state: epochs(12, 3e-3),
            local: epochs(6, 4e-4),
            max_probes: 32,
            trace_batches: 4,
            ..Self::full()
        }
    }

    /// The settings that results of one seed depend on: neither the other seeds, the folds, nor how the networks are
    /// trained that it is compared with.
    #[must_use]
    pub fn for_one_seed(&self) -> Self {
        Self { folds: 0, ..self.for_one_fold() }
    }

    /// The settings that results of one fold depend on: not the seeds.
    #[must_use]
    pub fn for_one_fold(&self) -> Self {
        let (four_state, local) = (TrainConfig::default(), TrainConfig::default());
        Self { seeds: Vec::new(), four_state, local, ..self.clone() }
    }

    /// The same network with the four-state neuron, whose two filters in a row need shorter memories.
    #[must_use]
    pub fn four_state_net(&self) -> NetConfig {
        NetConfig { neuron: NeuronPreset::Decolle, beta: 0.6, weight_gain: 4.0, ..self.net.clone() }
    }

    /// The convolutions with weights so small that all membranes stay where the boxcar lets gradients through, as in the
    /// authors' code: with threshold 0 and reset to 0 spikes do not depend on the scale of the membrane, so the scale only
    /// decides which neurons learn. A local loss has no other way around a neuron that does not.
    #[must_use]
    pub fn local_net(&self) -> NetConfig {
        const SCALE: f32 = 1.0 / 30.0;
        let (weight_gain, initial_bias) = (self.net.weight_gain * SCALE, self.net.initial_bias * SCALE);
        let layers = up_to_last_neuron(&self.net.layers).to_owned();
        NetConfig { layers, weight_gain, initial_bias, ..self.net.clone() }
    }

    /// Recordings as they are, for local losses: a fixed random readout has weights of its own for each pixel, and what
    /// they learn of one position says nothing about the next.
    #[must_use]
    pub fn local_data(&self) -> DataConfig {
        DataConfig { augment: false, ..self.data.clone() }
    }

    /// True if the recordings are simulated.
    #[must_use]
    pub fn is_simulated(&self) -> bool {
        self.data.path.is_none()
    }
}

/// A network in short notation without what follows its last neuron layer.
fn up_to_last_neuron(layers: &str) -> &str {
    const NEURON: &str = "LIF";
    layers.rfind(NEURON).map_or(layers, |at| &layers[..at + NEURON.len()])
}

/// Decay and bias belong together: without input a membrane rests at `bias / (1 - beta)`, here about 1 below threshold.
fn net(layers: &str, beta: f32, initial_bias: f32) -> NetConfig {
    NetConfig {
        layers: layers.to_owned(),
        neuron: NeuronPreset::LuiNeftci,
        beta,
        weight_gain: 3.0,
        initial_bias,
    }
}

fn epochs(epochs: u64, learning_rate: f64) -> TrainConfig {
    TrainConfig { epochs, learning_rate, ..TrainConfig::default() }
}
