//! A cell of a sweep: one configuration from data to accuracy.
//!
//! The float network of a configuration is trained once and kept in the sweep's folder, so that all that are quantized from
//! it start at the same weights.

use crate::activity::stuck_layers;
use crate::config::{Config, FLOAT_BITS, StateRange, TrainConfig};
use crate::data::{self, Frames, Splits};
use crate::model::{self, neuron_names, state_bytes};
use crate::run_dir::RunDirError;
use crate::training::{self, TrainError, Training};
use anyhow::{Context, anyhow};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use snn_autodiff::fit::{BatchSource, evaluate, measure_statistics};
use snn_core::layer::Sequential;
use snn_core::loss::Loss;
use snn_core::{Module, Tensor, io};
use snn_quant::uniform::{Granularity, ScaleRule, UniformSpec};
use snn_quant::{
    BitWidth, Learn, LevelSpec, QuantPlan, QuantSpec, Quantized, Spacing, StateSpec, calibrate, plan_size,
    weight_shapes,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Training batches that membranes are calibrated on.
const CALIBRATION_BATCHES: usize = 8;
/// Share of the membranes, in percent, that a calibrated range holds.
const CALIBRATED_SHARE: f64 = 99.9;

/// How a configuration ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum End {
    /// With a network.
    Measured(Outcome),
    /// In numbers that are not finite: there is no network, and no accuracy.
    Diverged(Divergence),
}

/// A training that ran into numbers that are not finite.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Divergence {
    /// What is not finite, and since when.
    pub diverged: String,
    /// Wall-clock seconds.
    pub seconds: f64,
}

/// What came of a configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Share of the samples evaluated on that were predicted right.
    pub accuracy: f64,
    /// Samples evaluated on.
    pub n_test: usize,
    /// Samples learned from.
    pub n_train: usize,
    /// Mean loss of the last epoch, if this cell was trained.
    pub train_loss: Option<f64>,
    /// Spikes per neuron and step.
    pub spike_rate: f64,
    /// Effective synaptic operations per sample.
    pub synops: f64,
    /// Bytes of all parameters.
    pub parameter_bytes: u64,
    /// Bytes of all parameters in float.
    pub float_parameter_bytes: u64,
    /// Bytes of the neurons' state for one sample.
    pub state_bytes: u64,
    /// The same in float.
    pub float_state_bytes: u64,
    /// Neuron layers that never spike, or at every step.
    pub stuck: Vec<String>,
    /// Wall-clock seconds, without those of a float network that was there already.
    pub seconds: f64,
}

impl End {
    /// What was measured; nothing if training diverged.
    #[must_use]
    pub fn measured(&self) -> Option<&Outcome> {
        match self {
            Self::Measured(outcome) => Some(outcome),
            Self::Diverged(_) => None,
        }
    }

    /// Why there is no network, if training diverged.
    #[must_use]
    pub fn divergence(&self) -> Option<&Divergence> {
        match self {
            Self::Measured(_) => None,
            Self::Diverged(divergence) => Some(divergence),
        }
    }

    /// Wall-clock seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        match self {
            Self::Measured(outcome) => outcome.seconds,
            Self::Diverged(divergence) => divergence.seconds,
        }
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Measured(outcome) => write!(f, "accuracy {}", outcome.accuracy),
            Self::Diverged(_) => f.write_str("no accuracy, since training diverged,"),
        }
    }
}

/// A configuration and the folder that its networks are kept in.
#[derive(Debug, Clone)]
pub struct Experiment {
    config: Config,
    folder: PathBuf,
}

impl Experiment {
    /// A configuration in its plainest form, see [`QuantConfig::plain`](crate::config::QuantConfig::plain).
    #[must_use]
    pub fn new(config: Config, folder: &Path) -> Self {
        let quant = config.quant.plain();
        Self { config: Config { quant, ..config }, folder: folder.to_owned() }
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The name that the configuration has in file names: its seed and a part of its hash.
    ///
    /// # Errors
    /// [`RunDirError::Json`] for a number that is not finite.
    pub fn key(&self) -> Result<String, RunDirError> {
        let json = |source| RunDirError::Json { path: self.folder.clone(), line: None, source };
        let text = serde_json::to_value(&self.config).map_err(json)?.to_string();
        let digest: String = Sha256::digest(text).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Ok(format!("seed{}.{digest}", self.config.seed))
    }

    /// The float network that this one starts from, if it is another.
    #[must_use]
    pub fn float(&self) -> Option<Self> {
        let float = self.config.float();
        (float != self.config).then(|| Self { config: float, folder: self.folder.clone() })
    }

    /// Trains, quantizes and evaluates. The float network must be there if this one starts from it.
    ///
    /// # Errors
    /// Data or files that cannot be read or written, an interrupt.
    pub fn run(&self) -> anyhow::Result<End> {
        let start = Instant::now();
        let outcome = self.measure();
        let seconds = start.elapsed().as_secs_f64();
        match outcome {
            Ok(outcome) => Ok(End::Measured(Outcome { seconds, ..outcome })),
            Err(error) if error.downcast_ref().is_some_and(TrainError::is_divergence) => {
                Ok(End::Diverged(Divergence { diverged: error.to_string(), seconds }))
            }
            Err(error) => Err(error),
        }
    }

    fn measure(&self) -> anyhow::Result<Outcome> {
        let splits = data::open(&self.config.data, self.config.seed).context("opening the data")?;
        let [_, c, h, w] = data::sample_shape(&self.config.data)?;
        let net = model::build(&self.config.net, [c, h, w], self.config.seed)?;
        match self.float() {
            None => self.train_float(net, &splits),
            Some(float) => self.quantize(float.load(net)?, &splits),
        }
    }

    fn train_float(&self, net: Sequential, splits: &Splits) -> anyhow::Result<Outcome> {
        let mut net = training::start(net, &self.config.train)?;
        let varied = Frames::for_training(&splits.train, &self.config.data, self.config.seed)?;
        let of = (&varied, training::loss_of(&net));
        let loss = self.learn(&mut net, of, &self.config.train)?;
        io::save_params(&net, &self.model_file()?)?;
        self.outcome(&net, (&net, &QuantPlan::default()), splits, loss)
    }

    fn load(&self, mut net: Sequential) -> anyhow::Result<Sequential> {
        io::load_params(&mut net, &self.model_file()?).context("the float network of this cell")?;
        Ok(net)
    }

    fn quantize(&self, net: Sequential, splits: &Splits) -> anyhow::Result<Outcome> {
        let neurons = neuron_names(&net);
        let plan = calibrate(&net, &neurons, &self.plan(&net)?, self.calibration(splits)?)?;
        let mut quantized = Quantized::new(net, &neurons, plan)?;
        let (quant, data, seed) = (&self.config.quant, &self.config.data, self.config.seed);
        let as_they_are = Frames::mixed(&splits.train, data, seed)?;
        let varied = Frames::for_training(&splits.train, data, seed)?;
        let samples = if quant.plain_samples { &as_they_are } else { &varied };
        let of = (samples, training::loss_of(quantized.net()));
        let config = TrainConfig {
            epochs: quant.epochs,
            learning_rate: quant.learning_rate,
            ..self.config.train.clone()
        };
        let loss = if quant.epochs > 0 { self.learn(&mut quantized, of, &config)? } else { None };
        if quant.norm_batches > 0 {
            measure_statistics(&mut quantized, &as_they_are, quant.norm_batches)?;
        }
        self.outcome(&quantized.baked(), (quantized.net(), quantized.plan()), splits, loss)
    }

    /// Trains with a checkpoint; returns the mean loss of the last epoch.
    fn learn<M: Module + Sync>(
        &self,
        net: &mut M,
        (train, loss): (&Frames<'_>, Loss),
        config: &TrainConfig,
    ) -> anyhow::Result<Option<f64>> {
        let key = self.key()?;
        let checkpoint = self.file("checkpoint.npz")?;
        let seed = self.config.seed;
        let training =
            Training { name: &key, train, val: None, loss, config, seed, checkpoint: Some(&checkpoint) };
        let records = training::train(net, &training, &mut |_| ())?;
        Ok(records.last().map(|record| record.loss))
    }

    fn outcome(
        &self,
        run: &(impl Module + Sync),
        (net, plan): (&Sequential, &QuantPlan),
        splits: &Splits,
        train_loss: Option<f64>,
    ) -> anyhow::Result<Outcome> {
        let test = Frames::in_order(&splits.test, &self.config.data)?;
        let evaluation = evaluate(run, &test, &training::loss_of(net))?;
        let size = plan_size(plan, &param_shapes(net))?;
        Ok(Outcome {
            accuracy: evaluation.accuracy,
            n_test: splits.test.len(),
            n_train: splits.train.len(),
            train_loss,
            spike_rate: evaluation.activity.spike_rate(),
            synops: evaluation.synops_per_sample(),
            parameter_bytes: size.bytes(),
            float_parameter_bytes: size.float_bytes(),
            state_bytes: state_bytes(net, plan),
            float_state_bytes: state_bytes(net, &QuantPlan::default()),
            stuck: stuck_layers(&evaluation),
            seconds: 0.0,
        })
    }

    /// The same width for all weights, and the same table for all membranes.
    fn plan(&self, net: &Sequential) -> anyhow::Result<QuantPlan> {
        let quant = &self.config.quant;
        let mut plan = QuantPlan::default();
        if quant.weight_bits != FLOAT_BITS {
            let scale = if quant.epochs > 0 { ScaleRule::Learned } else { ScaleRule::MseSearch };
            let spec = UniformSpec::new(BitWidth::new(quant.weight_bits)?);
            let (mapping, granularity) = (quant.weight_mapping, Granularity::PerChannel);
            let spec = QuantSpec::Uniform(UniformSpec { mapping, granularity, scale, ..spec });
            plan.weights = weight_shapes(net).into_keys().map(|name| (name, spec.clone())).collect();
        }
        if quant.state_bits != FLOAT_BITS {
            for layer in net.neurons() {
                let threshold =
                    layer.kind.threshold().context("neurons without a threshold have no levels")?;
                let spec = self.levels(f64::from(threshold))?;
                plan.states.insert(layer.name.clone(), StateSpec::levels(spec));
            }
        }
        Ok(plan)
    }

    fn levels(&self, threshold: f64) -> anyhow::Result<LevelSpec> {
        let quant = &self.config.quant;
        let is = |range| quant.state_range == range;
        let calibrate = is(StateRange::Calibrated).then_some(ScaleRule::Percentile(CALIBRATED_SHARE));
        let learn = match quant.spacing {
            Spacing::Uniform => Learn::Range,
            Spacing::ThresholdCentered | Spacing::ZeroCentered => Learn::RangeAndSpacing,
        };
        Ok(LevelSpec {
            spacing: quant.spacing,
            variant: quant.variant,
            threshold,
            lower_limit: quant.lower_limit,
            upper_limit: quant.upper_limit,
            calibrate,
            learn: is(StateRange::Learned).then_some(learn),
            clip_grad: quant.clip_grad,
            ..LevelSpec::new(BitWidth::new(quant.state_bits)?)
        })
    }

    /// Inputs that ranges of membranes are found on; none where there is nothing to find.
    fn calibration(&self, splits: &Splits) -> anyhow::Result<Vec<Tensor<f32>>> {
        let quant = &self.config.quant;
        if quant.state_bits == FLOAT_BITS || quant.state_range != StateRange::Calibrated {
            return Ok(Vec::new());
        }
        let frames = Frames::mixed(&splits.train, &self.config.data, self.config.seed)?;
        let batches = frames.batches(0).take(CALIBRATION_BATCHES);
        let inputs: Result<Vec<_>, _> = batches.map(|batch| batch.map(|batch| batch.x)).collect();
        inputs.map_err(|error| anyhow!(error))
    }

    fn model_file(&self) -> anyhow::Result<PathBuf> {
        self.file("npz")
    }

    fn file(&self, ending: &str) -> anyhow::Result<PathBuf> {
        let folder = self.folder.join("networks");
        std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        Ok(folder.join(format!("{}.{ending}", self.key()?)))
    }

    /// Removes the checkpoint of a cell whose outcome is stored.
    ///
    /// # Errors
    /// A checkpoint that cannot be removed.
    pub fn clean_up(&self) -> anyhow::Result<()> {
        let path = self.file("checkpoint.npz")?;
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| path.display().to_string())
            }
            _ => Ok(()),
        }
    }
}

/// Names and shapes of all parameters.
fn param_shapes(net: &Sequential) -> BTreeMap<String, Vec<usize>> {
    let mut shapes = BTreeMap::new();
    net.visit_params(&mut |p| {
        shapes.insert(p.name.clone(), p.value.shape().to_vec());
    });
    shapes
}
