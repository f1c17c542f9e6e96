//! What a run is: data, network, training, as one TOML file.
//!
//! Every field has a default, so that an empty file describes a run on the built-in data.

use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

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
}

/// Where recordings come from and how they become frames.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataConfig {
    /// A folder in the layout of N-MNIST; without one, the built-in simulated glyphs.
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
    /// Whether training recordings are shifted, turned and thinned at random.
    pub augment: bool,
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
}

impl Config {
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
        require(train.clip_norm > 0.0, "train.clip_norm", train.clip_norm, "above 0")
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
