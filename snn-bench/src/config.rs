//! What a run is: data, network, training, as one TOML file.
//!
//! Every field has a default, so that an empty file describes a run on the built-in data.

use serde::{Deserialize, Serialize};
use snn_quant::{Spacing, Variant};
use std::path::{Path, PathBuf};

/// The width that stands for float.
pub const FLOAT_BITS: u32 = 32;

/// A run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Seed of initial weights, shuffling, augmentation, dropout and data splits.
    pub seed: u64,
    /// Recordings and their frames.
    pub data: DataConfig,
    /// The network.
    pub net: NetConfig,
    /// How it is trained.
    pub train: TrainConfig,
    /// How it is quantized, in a sweep.
    pub quant: QuantConfig,
}

/// Where recordings come from and how they become frames.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataConfig {
    /// A folder in the layout of N-MNIST, or (in a sweep) with the IDX files of MNIST or Fashion-MNIST; without one, the
    /// built-in simulated glyphs.
    pub path: Option<PathBuf>,
    /// List of the recordings to learn from, each relative to `path`; without one, all but the validation share.
    pub train_split: Option<PathBuf>,
    /// List of the recordings to test on; without one, the validation share.
    pub test_split: Option<PathBuf>,
    /// Share of the recordings that validates, where no list says otherwise.
    pub val_fraction: f64,
    /// Glyphs drawn, where there is no folder.
    pub n_glyphs: usize,
    /// Time bins of equal length over 300 ms.
    pub n_steps: usize,
    /// Samples in a batch.
    pub batch_size: usize,
    /// Whether training recordings are shifted, turned and thinned at random; images are shifted only.
    pub augment: bool,
    /// Whether training images are mirrored at random, left and right.
    pub mirror: bool,
    /// How images become currents over time.
    pub coding: Coding,
    /// Most images to learn from, the first of a shuffle that all seeds share.
    pub n_train: Option<usize>,
    /// Most images to evaluate on, the first ones.
    pub n_test: Option<usize>,
    /// What images are evaluated on.
    pub evaluate_on: EvaluateOn,
}

/// How images become currents over time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Coding {
    /// The whole image in every step: the first layer does the encoding.
    #[default]
    Constant,
    /// A row in every step, from the top.
    Rows,
}

/// What images are evaluated on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvaluateOn {
    /// The test images, once, after training on all training images.
    #[default]
    Test,
    /// The validation share of the training images, which are then not trained on: for choices.
    Validation,
}

impl DataConfig {
    /// The same settings on N-MNIST recordings in `path`, by its lists `splits/dev_train.txt` and `splits/dev_val.txt` where
    /// they are.
    #[must_use]
    pub fn on_recordings(&self, path: &Path) -> Self {
        let list = |name: &str| Some(path.join("splits").join(name)).filter(|list| list.is_file());
        Self {
            path: Some(path.to_owned()),
            train_split: list("dev_train.txt"),
            test_split: list("dev_val.txt"),
            ..self.clone()
        }
    }
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            path: None,
            train_split: None,
            test_split: None,
            val_fraction: 0.2,
            n_glyphs: 1500,
            n_steps: 10,
            batch_size: 32,
            augment: true,
            mirror: false,
            coding: Coding::default(),
            n_train: None,
            n_test: None,
            evaluate_on: EvaluateOn::default(),
        }
    }
}

/// The network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NetConfig {
    /// Short notation; see `snn_core::layer::parse`.
    pub layers: String,
    /// The neuron of all `LIF` items.
    pub neuron: NeuronPreset,
    /// Its decay per time step.
    pub beta: f32,
    /// Factor of the initial convolution weights, `U(±gain/√fan_in)`.
    pub weight_gain: f32,
    /// Initial bias of convolutions; below 0 it keeps neurons with threshold 0 at rest.
    pub initial_bias: f32,
}

impl Default for NetConfig {
    fn default() -> Self {
        Self {
            layers: "12C5-P2-LIF-32C5-P2-LIF-10".to_owned(),
            neuron: NeuronPreset::Snntorch,
            beta: 0.7,
            weight_gain: 2.0,
            initial_bias: 0.0,
        }
    }
}

/// Which neuron, named after what it reproduces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum NeuronPreset {
    /// snnTorch's `Leaky`: threshold 1, delayed subtractive reset.
    Snntorch,
    /// `SpikingJelly`'s `LIFNode`: threshold 1, hard reset, input scaled.
    Spikingjelly,
    /// The one-state neuron of Lui and Neftci: threshold 0, hard reset, boxcar surrogate.
    LuiNeftci,
    /// The four-state neuron of DECOLLE that it simplifies.
    Decolle,
}

/// How the network is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Passes over the training recordings.
    pub epochs: u64,
    /// Learning rate of Adam at the start; it falls to a hundredth along half a cosine.
    pub learning_rate: f64,
    /// Largest norm of a batch's gradients.
    pub clip_norm: f64,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self { epochs: 20, learning_rate: 2e-3, clip_norm: 5.0 }
    }
}

/// How the network is quantized, from the float network of the same seed; by default not at all.
///
/// Weights have symmetric levels for each output channel, with scales of least squared error after training and learned
/// ones in training. All weights have one width, and all membranes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QuantConfig {
    /// Width of the weights, 1 to 16, or 32 for float.
    pub weight_bits: u32,
    /// Width of the membranes, 1 to 8, or 32 for float.
    pub state_bits: u32,
    /// Where the levels of membranes crowd.
    pub spacing: Spacing,
    /// Whose table of levels.
    pub variant: Variant,
    /// Where the levels of membranes end.
    pub state_range: StateRange,
    /// With declared ends: how far below the negative threshold the lowest level lies, as a share of it.
    pub lower_limit: f64,
    /// How far above the threshold the highest level lies, as a share of it; with calibrated ends, at least.
    pub upper_limit: f64,
    /// Epochs of training from the float network, quantized; 0 quantizes after training. A network with nothing
    /// quantized is trained on all the same: the float twin.
    pub epochs: u64,
    /// Learning rate at the start of that training.
    pub learning_rate: f64,
}

/// Where the levels of membranes end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StateRange {
    /// Where the limits say.
    #[default]
    Declared,
    /// Around 99.9 % of the membranes of some training samples.
    Calibrated,
}

impl Default for QuantConfig {
    fn default() -> Self {
        Self {
            weight_bits: FLOAT_BITS,
            state_bits: FLOAT_BITS,
            spacing: Spacing::default(),
            variant: Variant::default(),
            state_range: StateRange::default(),
            lower_limit: 0.0,
            upper_limit: 0.2,
            epochs: 0,
            learning_rate: 2e-4,
        }
    }
}

impl QuantConfig {
    /// The same meaning in its plainest form: fields that decide nothing are at their defaults.
    #[must_use]
    pub fn plain(&self) -> Self {
        let default = Self::default();
        let mut plain = self.clone();
        if plain.epochs == 0 {
            plain.learning_rate = default.learning_rate;
        }
        if plain.state_range == StateRange::Calibrated {
            plain.lower_limit = default.lower_limit;
        }
        if plain.state_bits == FLOAT_BITS {
            let Self { weight_bits, epochs, learning_rate, .. } = plain;
            plain = Self { weight_bits, epochs, learning_rate, ..default };
        }
        plain
    }

    fn check(&self) -> Result<(), ConfigError> {
        let width = |bits, most| (1..=most).contains(&bits) || bits == FLOAT_BITS;
        require(width(self.weight_bits, 16), "quant.weight_bits", self.weight_bits, "1 to 16, or 32")?;
        require(width(self.state_bits, 8), "quant.state_bits", self.state_bits, "1 to 8, or 32")?;
        require(self.lower_limit >= -1.0, "quant.lower_limit", self.lower_limit, "at least -1")?;
        require(self.upper_limit >= 0.0, "quant.upper_limit", self.upper_limit, "at least 0")?;
        let rate = self.learning_rate > 0.0 && self.learning_rate.is_finite();
        require(rate, "quant.learning_rate", self.learning_rate, "above 0")
    }
}

/// A configuration file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// It cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It is not TOML, or has unknown or wrong fields.
    #[error("{}: {source}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and what.
        source: Box<toml::de::Error>,
    },
    /// A value outside its range.
    #[error("{field} is {value}, but must be {expected}")]
    Value {
        /// The field, with its section.
        field: &'static str,
        /// Its value.
        value: String,
        /// What it must be.
        expected: &'static str,
    },
    /// A dotted key that names no section.
    #[error("{key}: there is no section `{section}`")]
    Section {
        /// The key.
        key: String,
        /// The part of it that is no section.
        section: String,
    },
}

/// Puts a value under a dotted key, such as `train.epochs`.
///
/// # Errors
/// [`ConfigError::Section`] for a section that the table does not have. Whether it has the last part of the key shows
/// when the table is read as a [`Config`].
pub fn set(table: &mut toml::Table, key: &str, value: toml::Value) -> Result<(), ConfigError> {
    let mut parts: Vec<&str> = key.split('.').collect();
    let last = parts.pop().unwrap_or_default();
    let mut table = table;
    for part in parts {
        let section = table.get_mut(part).and_then(toml::Value::as_table_mut);
        let missing = || ConfigError::Section { key: key.to_owned(), section: part.to_owned() };
        table = section.ok_or_else(missing)?;
    }
    table.insert(last.to_owned(), value);
    Ok(())
}

impl Config {
    /// The float network that this configuration quantizes: the same without quantization.
    #[must_use]
    pub fn float(&self) -> Self {
        Self { quant: QuantConfig::default(), ..self.clone() }
    }

    /// Reads a configuration file.
    ///
    /// # Errors
    /// [`ConfigError`], naming the file and the place, or the field.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let read = |source| ConfigError::Read { path: path.to_owned(), source };
        let text = std::fs::read_to_string(path).map_err(read)?;
        let syntax = |source| ConfigError::Syntax { path: path.to_owned(), source: Box::new(source) };
        let config: Self = toml::from_str(&text).map_err(syntax)?;
        config.check()?;
        Ok(config)
    }

    /// Whether every value is in its range.
    ///
    /// # Errors
    /// [`ConfigError::Value`] for the first that is not.
    pub fn check(&self) -> Result<(), ConfigError> {
        let (data, net, train) = (&self.data, &self.net, &self.train);
        let fraction = data.val_fraction > 0.0 && data.val_fraction < 1.0;
        require(fraction, "data.val_fraction", data.val_fraction, "above 0 and below 1")?;
        require((1..=1000).contains(&data.n_steps), "data.n_steps", data.n_steps, "1 to 1000")?;
        require(data.batch_size > 0, "data.batch_size", data.batch_size, "at least 1")?;
        require(data.n_glyphs >= 20, "data.n_glyphs", data.n_glyphs, "at least 20")?;
        require((0.0..=1.0).contains(&net.beta), "net.beta", net.beta, "0 to 1")?;
        require(net.weight_gain.is_finite(), "net.weight_gain", net.weight_gain, "finite")?;
        let rate = train.learning_rate > 0.0 && train.learning_rate.is_finite();
        require(rate, "train.learning_rate", train.learning_rate, "above 0")?;
        require(train.clip_norm > 0.0, "train.clip_norm", train.clip_norm, "above 0")?;
        self.quant.check()
    }
}

fn require(
    holds: bool,
    field: &'static str,
    value: impl std::fmt::Display + Copy,
    expected: &'static str,
) -> Result<(), ConfigError> {
    if holds { Ok(()) } else { Err(ConfigError::Value { field, value: value.to_string(), expected }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_the_default_and_the_default_survives_a_file() {
        let text = toml::to_string(&Config::default()).unwrap();
        assert_eq!(toml::from_str::<Config>(&text).unwrap(), Config::default());
        assert_eq!(toml::from_str::<Config>("").unwrap(), Config::default());
        Config::default().check().unwrap();
    }

    #[test]
    fn unknown_fields_and_wrong_values_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.toml");
        for (text, message) in [
            ("[train]\nepoch = 3", "unknown field `epoch`"),
            ("[data]\nn_steps = 0", "data.n_steps is 0, but must be 1 to 1000"),
            ("seed = -1", "run.toml"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = Config::read(&path).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
