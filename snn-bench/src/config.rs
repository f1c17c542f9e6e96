//! What a run is: data, network, training, as one TOML file.
//!
//! Every field has a default, so that an empty file describes a run on the built-in data.

mod quant;

pub use quant::{FLOAT_BITS, QuantConfig, StateRange};

use serde::{Deserialize, Serialize};
use snn_data::datasets::kind::DataSetKind;
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
    /// How it is quantized, in a sweep.
    #[serde(skip_serializing_if = "is_default")]
    pub quant: QuantConfig,
}

/// Where recordings come from and how they become frames.
///
/// Fields that were added to the first version are written only where they are not the default, so that runs keep the
/// configuration (and its hash) that they were made with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataConfig {
    /// Folder of a data set; without one, the built-in simulated glyphs.
    pub path: Option<PathBuf>,
    /// Which data set lies in `path`; N-MNIST without it. `train` looks, and writes it down.
    #[serde(with = "kind_name", skip_serializing_if = "Option::is_none")]
    pub kind: Option<DataSetKind>,
    /// Width and height of the sensor, for data sets that do not state them. `train` looks, and writes it down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sensor: Option<[u16; 2]>,
    /// Where `path` holds images: which of them, and how they become time steps.
    #[serde(skip_serializing_if = "is_default")]
    pub images: ImageConfig,
    /// Folder of frames on disk, made when it is missing; needs `augment = false`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<PathBuf>,
    /// Most pixels that cached training frames and training images are shifted by at random, along each axis.
    #[serde(skip_serializing_if = "is_default")]
    pub max_shift: u16,
    /// Time that the bins divide, in ms; without it that of the data set, see `snn_bench::data::to_frames`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_ms: Option<u32>,
    /// Pixels along each axis that become one.
    #[serde(skip_serializing_if = "is_one")]
    pub downsample: u16,
    /// Whether recordings are decoded into memory once (9 bytes an event), not again in every epoch.
    #[serde(skip_serializing_if = "is_true")]
    pub preload: bool,
    /// List of the recordings to learn from, each relative to `path`; without one, all but the validation share.
    pub train_split: Option<PathBuf>,
    /// List of the recordings to test on; without one, the validation share.
    pub test_split: Option<PathBuf>,
    /// Share of the samples that validates, where no list says otherwise.
    pub val_fraction: f64,
    /// Seed of the validation share; that of the run without it. In a sweep one for all makes seeds comparable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split_seed: Option<u64>,
    /// What is evaluated on where the data set has a part to test on.
    #[serde(skip_serializing_if = "is_default")]
    pub evaluate_on: EvaluateOn,
    /// Glyphs drawn, where there is no folder.
    pub n_glyphs: usize,
    /// Time bins of equal length, for N-MNIST over 300 ms.
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
            kind: None,
            sensor: None,
            images: ImageConfig::default(),
            cache: None,
            max_shift: 0,
            window_ms: None,
            downsample: 1,
            preload: true,
            train_split: None,
            test_split: None,
            val_fraction: 0.2,
            split_seed: None,
            evaluate_on: EvaluateOn::default(),
            n_glyphs: 1500,
            n_steps: 10,
            batch_size: 32,
            augment: true,
        }
    }
}

/// What is evaluated on where the data set has a part to test on. N-MNIST, whose part to test on is not touched, and data sets
/// without one are evaluated on the validation share.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvaluateOn {
    /// That part, after training on all of the other.
    #[default]
    Test,
    /// The validation share of the part to learn from, which is then not learned from: for choices.
    Validation,
}

/// Which images, and how they become time steps.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImageConfig {
    /// How an image becomes time steps.
    pub coding: ImageCoding,
    /// Index of the first image to learn from.
    pub first: usize,
    /// Number of images to learn from, validation share included; all from the first on without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n: Option<usize>,
    /// Number of images to evaluate on, the first ones; all without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_test: Option<usize>,
    /// Seed of the simulated camera's noise and shake.
    pub seed: u64,
    /// Whether training images are mirrored at random, left and right.
    #[serde(skip_serializing_if = "is_default")]
    pub mirror: bool,
}

/// How an image becomes time steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImageCoding {
    /// Its gray or color values in every step.
    #[default]
    Constant,
    /// Spikes at random, at the rate of the values.
    Rate,
    /// The gray or color values of one row in each step, from the top; `n_steps` must be the number of rows.
    Rows,
    /// Events of the simulated event camera, in the layout of N-MNIST.
    Simulated,
}

/// Data sets by their names.
mod kind_name {
    use super::DataSetKind;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[allow(clippy::ref_option, reason = "what serde calls it with")]
    pub(super) fn serialize<S: Serializer>(kind: &Option<DataSetKind>, to: S) -> Result<S::Ok, S::Error> {
        match kind {
            Some(kind) => to.serialize_str(kind.name()),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Option<DataSetKind>, D::Error> {
        let name = String::deserialize(from)?;
        let names = || DataSetKind::ALL.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ");
        let unknown = || D::Error::custom(format!("no data set \"{name}\"; there are {}", names()));
        DataSetKind::from_name(&name).map(Some).ok_or_else(unknown)
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "what serde calls it with")]
fn is_one(value: &u16) -> bool {
    *value == 1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "what serde calls it with")]
fn is_true(value: &bool) -> bool {
    *value
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
    /// Run, or file of parameters, of the same network that training starts from; random weights without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<PathBuf>,
    /// Time steps whose activations are in memory at a time, for long recordings: forward runs twice then. All of them without
    /// it. Gradients are the same but for the order of sums.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segment_steps: Option<usize>,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self { epochs: 20, learning_rate: 2e-3, clip_norm: 5.0, start: None, segment_steps: None }
    }
}

impl DataConfig {
    /// True for images that become time steps without events.
    #[must_use]
    pub fn is_coded_images(&self) -> bool {
        self.kind.is_some_and(DataSetKind::is_images) && self.images.coding != ImageCoding::Simulated
    }

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
    /// A dotted key with something before a dot that is no section.
    #[error("{key}: `{section}` is no section")]
    Section {
        /// The key.
        key: String,
        /// The part of it that is no section.
        section: String,
    },
}

/// Puts a value under a dotted key, such as `train.epochs`. Sections that hold nothing but defaults may be missing in the
/// table; whether there is such a key shows when the table is read as a [`Config`].
///
/// # Errors
/// [`ConfigError::Section`] for a part before a dot that is a value.
pub fn set(table: &mut toml::Table, key: &str, value: toml::Value) -> Result<(), ConfigError> {
    let mut parts: Vec<&str> = key.split('.').collect();
    let last = parts.pop().unwrap_or_default();
    let mut table = table;
    for part in parts {
        let section = table.entry(part).or_insert_with(|| toml::Table::new().into());
        let no_section = || ConfigError::Section { key: key.to_owned(), section: part.to_owned() };
        table = section.as_table_mut().ok_or_else(no_section)?;
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

    /// All settings as a table, also those that a file leaves out because they are at their defaults; options that are not
    /// set are missing.
    ///
    /// # Errors
    /// For a number that TOML cannot hold, such as a seed above 2⁶³.
    pub fn table(&self) -> Result<toml::Table, toml::ser::Error> {
        let mut table = toml::Table::try_from(self)?;
        let DataConfig { images, max_shift, downsample, preload, evaluate_on, .. } = &self.data;
        let mut all_of_images = toml::Table::try_from(images)?;
        all_of_images.insert("mirror".to_owned(), images.mirror.into());
        let mut data = toml::Table::try_from(&self.data)?;
        data.insert("images".to_owned(), all_of_images.into());
        data.insert("max_shift".to_owned(), i64::from(*max_shift).into());
        data.insert("downsample".to_owned(), i64::from(*downsample).into());
        data.insert("preload".to_owned(), (*preload).into());
        data.insert("evaluate_on".to_owned(), toml::Value::try_from(evaluate_on)?);
        table.insert("data".to_owned(), data.into());
        let mut quant = toml::Table::try_from(&self.quant)?;
        quant.insert("clip_grad".to_owned(), toml::Value::try_from(self.quant.clip_grad)?);
        quant.insert("weight_mapping".to_owned(), toml::Value::try_from(self.quant.weight_mapping)?);
        quant.insert("plain_samples".to_owned(), self.quant.plain_samples.into());
        quant.insert("norm_batches".to_owned(), toml::Value::try_from(self.quant.norm_batches)?);
        table.insert("quant".to_owned(), quant.into());
        Ok(table)
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

    /// Whether training samples can be varied as asked, once [`data::look`](crate::data::look) knows what they are.
    ///
    /// # Errors
    /// [`ConfigError::Value`] for shifts or mirroring of events, which are done to frames in a cache and to images only.
    pub fn check_variation(&self) -> Result<(), ConfigError> {
        let (data, is_images) = (&self.data, self.data.is_coded_images());
        let of_events = "0 for events that are not cached; see data.augment";
        let shifts_frames = data.max_shift == 0 || data.cache.is_some() || is_images;
        require(shifts_frames, "data.max_shift", data.max_shift, of_events)?;
        let mirrors_images = !data.images.mirror || is_images;
        require(mirrors_images, "data.images.mirror", data.images.mirror, "false for events")
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
        require((1..=128).contains(&data.downsample), "data.downsample", data.downsample, "1 to 128")?;
        let augments_events = !(data.augment && data.cache.is_some());
        let of_cache =
            "false with data.cache: cached frames can be shifted (data.max_shift), not turned or thinned";
        require(augments_events, "data.augment", data.augment, of_cache)?;
        let is_images = data.is_coded_images();
        let of_images =
            "false for images, which can be shifted (data.max_shift) and mirrored (data.images.mirror)";
        require(!(data.augment && is_images), "data.augment", data.augment, of_images)?;
        require((0.0..=1.0).contains(&net.beta), "net.beta", net.beta, "0 to 1")?;
        require(net.weight_gain.is_finite(), "net.weight_gain", net.weight_gain, "finite")?;
        let rate = train.learning_rate > 0.0 && train.learning_rate.is_finite();
        require(rate, "train.learning_rate", train.learning_rate, "above 0")?;
        require(train.clip_norm > 0.0, "train.clip_norm", train.clip_norm, "above 0")?;
        let segment_steps = train.segment_steps.unwrap_or(usize::MAX);
        require(segment_steps > 0, "train.segment_steps", segment_steps, "at least 1")?;
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
    use snn_quant::uniform::{ClipGrad, Mapping};

    #[test]
    fn an_empty_file_is_the_default_and_the_default_survives_a_file() {
        let text = toml::to_string(&Config::default()).unwrap();
        assert_eq!(toml::from_str::<Config>(&text).unwrap(), Config::default());
        assert_eq!(toml::from_str::<Config>("").unwrap(), Config::default());
        Config::default().check().unwrap();
        let left_out =
            ["kind", "downsample", "images", "split_seed", "evaluate_on", "quant", "segment_steps"];
        assert!(left_out.iter().all(|field| !text.contains(field)), "{text}");
    }

    #[test]
    fn what_differs_from_the_default_survives_a_file() {
        let config = unlike_the_default();
        assert_eq!(toml::from_str::<Config>(&toml::to_string(&config).unwrap()).unwrap(), config);
    }

    #[test]
    fn the_table_has_what_files_leave_out() {
        let options = ["kind", "sensor", "cache", "window_ms", "split_seed", "n", "start", "segment_steps"];
        let table = Config::default().table().unwrap();
        let written = toml::Table::try_from(unlike_the_default()).unwrap();
        let all = |table: &toml::Table, of: &[&str]| {
            let section = of.iter().try_fold(table, |table, part| table.get(*part)?.as_table()).unwrap();
            section.keys().cloned().collect::<Vec<String>>()
        };
        for section in [&[][..], &["data"], &["data", "images"], &["train"], &["quant"]] {
            let expected = all(&written, section).into_iter().filter(|key| !options.contains(&key.as_str()));
            assert_eq!(all(&table, section), expected.collect::<Vec<_>>(), "{section:?}");
        }
        assert_eq!(table.try_into::<Config>().unwrap(), Config::default());
    }

    #[test]
    fn values_are_set_where_sections_are_missing() {
        let mut table = toml::Table::new();
        set(&mut table, "data.images.mirror", true.into()).unwrap();
        assert_eq!(
            toml::to_string(&table).unwrap().replace(char::is_whitespace, ""),
            "[data.images]mirror=true"
        );
        let error = set(&mut table, "data.images.mirror.x", true.into()).unwrap_err().to_string();
        assert_eq!(error, "data.images.mirror.x: `mirror` is no section");
    }

    /// A value in every field that is not always written.
    fn unlike_the_default() -> Config {
        let images = ImageConfig {
            coding: ImageCoding::Simulated,
            first: 1000,
            n: Some(5),
            n_test: None,
            seed: 3,
            mirror: true,
        };
        let data = DataConfig {
            kind: Some(DataSetKind::Mnist),
            sensor: Some([34, 34]),
            images,
            cache: Some("c".into()),
            max_shift: 2,
            window_ms: Some(50),
            downsample: 2,
            preload: false,
            split_seed: Some(4),
            evaluate_on: EvaluateOn::Validation,
            ..DataConfig::default()
        };
        let quant = QuantConfig {
            state_bits: 4,
            clip_grad: ClipGrad::Zero,
            weight_mapping: Mapping::TwosComplement,
            norm_batches: 10,
            plain_samples: true,
            ..QuantConfig::default()
        };
        let train = TrainConfig {
            start: Some("runs/first".into()),
            segment_steps: Some(25),
            ..TrainConfig::default()
        };
        Config { data, train, quant, ..Config::default() }
    }

    #[test]
    fn events_are_neither_shifted_nor_mirrored() {
        let error =
            |text: &str| toml::from_str::<Config>(text).unwrap().check_variation().map_err(|e| e.to_string());
        let shifted = error("[data]\nmax_shift = 2").unwrap_err();
        assert_eq!(
            shifted,
            "data.max_shift is 2, but must be 0 for events that are not cached; see data.augment"
        );
        let mirrored = error("[data.images]\nmirror = true").unwrap_err();
        assert_eq!(mirrored, "data.images.mirror is true, but must be false for events");
        error("[data]\nkind = \"mnist\"\nmax_shift = 2\n[data.images]\nmirror = true").unwrap();
        error("[data]\ncache = \"c\"\nmax_shift = 2").unwrap();
    }

    #[test]
    fn unknown_fields_and_wrong_values_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.toml");
        for (text, message) in [
            ("[train]\nepoch = 3", "unknown field `epoch`"),
            ("[data]\nn_steps = 0", "data.n_steps is 0, but must be 1 to 1000"),
            ("[train]\nsegment_steps = 0", "train.segment_steps is 0, but must be at least 1"),
            ("seed = -1", "run.toml"),
            ("[data]\nkind = \"cats\"", "no data set \"cats\"; there are nmnist, "),
            ("[data]\ncache = \"c\"", "data.augment is true, but must be false with data.cache"),
            ("[data]\nkind = \"mnist\"", "data.augment is true, but must be false for images"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = Config::read(&path).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
