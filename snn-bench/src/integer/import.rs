//! Integer networks from a description and weights: what others publish, run as it is.
//!
//! ```toml
//! profile = "loihi"
//! input = [2, 34, 34]                    # channels, rows, columns; or [n]
//! binning = { kind = "nearest", bin_us = 1000, n_steps = 300, first_step = 1 }
//! weights = "weights.npz"                # for layers that name arrays in it
//!
//! [[layers]]
//! kind = "sum_pool"                      # a layer of its own, with one weight
//! kernel = 2
//! weight = 40
//!
//! [[layers]]
//! kind = "conv2d"
//! weight = "conv1"                       # an array of the npz, or a text file of integers: [out, in, kh, kw]
//! channels = 8
//! kernel = 3
//! padding = 1
//!
//! [[layers]]
//! kind = "dense"
//! weight = "fc.txt"                      # [out, in], the input flattened channel, row, column
//! n_out = 10
//! threshold = 80
//! current_decay = 1024
//! voltage_decay = 128
//! delay = 1                              # or a list, one for each neuron
//! ```
//!
//! With the profile `loihi`, the neuron is [`Neuron::loihi`] in 32 bits: for each step
//! `u = (u · (4096 − current_decay)) >> 12 + 64 · Σ w s`, `v = (v · (4096 − voltage_decay)) >> 12 + u`, both shifts on
//! magnitudes, a spike if `v > 64 · threshold`, which sets `v` to 0, and spikes that arrive a step later.

use super::{Binning, BinningError, Meta};
use serde::Deserialize;
use snn_core::error::CheckpointError;
use snn_core::io::{self, Array, Arrays, Data};
use snn_int::model::{Conv, Pool, PoolKind};
use snn_int::neuron::{Current, Neuron, Rounding, Store, Width};
use snn_int::spec::{Codes, LayerSpec, ModelSpec, SynapseSpec, delay};
use snn_int::{ModelError, Shape};
use std::path::{Path, PathBuf};

/// A network that cannot be imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The description is not TOML of this form.
    #[error("{}: {source}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and what.
        source: Box<toml::de::Error>,
    },
    /// The arrays cannot be read.
    #[error(transparent)]
    Arrays(#[from] CheckpointError),
    /// A profile whose neurons cannot be imported.
    #[error("profile = \"{found}\", expected \"loihi\"")]
    Profile {
        /// The name found.
        found: String,
    },
    /// The binning makes no sense.
    #[error(transparent)]
    Binning(#[from] BinningError),
    /// A layer's weights.
    #[error("layer {layer}: weights {name}: {reason}")]
    Weights {
        /// Number of the layer, from 0.
        layer: usize,
        /// The array or file.
        name: String,
        /// What is wrong.
        reason: WeightsError,
    },
    /// A number out of range.
    #[error("layer {layer}: {field} is {value}, expected {expected}")]
    Field {
        /// Number of the layer, from 0.
        layer: usize,
        /// The field.
        field: &'static str,
        /// Its value.
        value: i64,
        /// What it must be.
        expected: &'static str,
    },
    /// The layers do not make a model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The meta data cannot be written.
    #[error(transparent)]
    Meta(#[from] toml::ser::Error),
}

/// What is wrong with weights.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// There is no such array or file.
    #[error("neither an array of the npz file nor a text file beside the description")]
    Missing,
    /// An array of another type than integers.
    #[error("an array of {found}, expected integers")]
    NotIntegers {
        /// The type found.
        found: &'static str,
    },
    /// A word of a text file.
    #[error("`{word}` is no integer")]
    Word {
        /// The word.
        word: String,
    },
    /// A weight out of range.
    #[error("weight {value} at index {index} is out of range, expected -32768 to 32767")]
    Range {
        /// Where.
        index: usize,
        /// The weight.
        value: i64,
    },
    /// A wrong number of weights.
    #[error("{found} weights, expected {expected}")]
    Count {
        /// The number found.
        found: usize,
        /// The number expected.
        expected: usize,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    profile: String,
    input: Vec<u32>,
    #[serde(default = "one")]
    input_max: u8,
    binning: Binning,
    weights: Option<PathBuf>,
    /// For all layers that do not say otherwise.
    #[serde(default)]
    neuron: NeuronFields,
    layers: Vec<LayerFields>,
}

fn one() -> u8 {
    1
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct NeuronFields {
    threshold: Option<i32>,
    current_decay: Option<u16>,
    voltage_decay: Option<u16>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LayerFields {
    kind: Kind,
    name: Option<String>,
    weight: Weight,
    n_out: Option<u32>,
    channels: Option<u32>,
    kernel: Option<Pair>,
    stride: Option<Pair>,
    padding: Option<Pair>,
    dilation: Option<Pair>,
    groups: Option<u32>,
    threshold: Option<i32>,
    current_decay: Option<u16>,
    voltage_decay: Option<u16>,
    delay: Option<Delay>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Dense,
    #[serde(rename = "conv2d")]
    Conv2d,
    SumPool,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Weight {
    One(i32),
    Named(String),
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Pair {
    Same(u32),
    Both([u32; 2]),
}

impl Pair {
    fn get(self) -> [u32; 2] {
        match self {
            Self::Same(side) => [side; 2],
            Self::Both(pair) => pair,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Delay {
    All(u32),
    Each(Vec<u32>),
}

/// The integer model that a description lists.
///
/// # Errors
/// [`ImportError`], naming the file, the layer and the field.
pub fn import(path: &Path) -> Result<ModelSpec, ImportError> {
    let read = |source| ImportError::Read { path: path.to_owned(), source };
    let text = std::fs::read_to_string(path).map_err(read)?;
    let syntax = |source| ImportError::Syntax { path: path.to_owned(), source: Box::new(source) };
    let description: Description = toml::from_str(&text).map_err(syntax)?;
    if description.profile != "loihi" {
        return Err(ImportError::Profile { found: description.profile });
    }
    description.binning.check()?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let arrays = match &description.weights {
        Some(file) => io::read(&folder.join(file))?,
        None => Arrays::new(),
    };
    let input = input_shape(&description.input)?;
    let importer = Importer { description: &description, folder, arrays };
    importer.model(input)
}

/// Loihi's neuron in 32 bits, as published integer networks compute it; the chip has 24.
fn loihi(current_decay: u16, voltage_decay: u16, factor: i32) -> Neuron {
    let mut neuron = Neuron::loihi(current_decay, voltage_decay);
    let width = Width::wrapping(32);
    neuron.input.mul *= factor;
    neuron.current = neuron.current.map(|current| Current { width, ..current });
    neuron.store = Store::Shift { shift: 0, rounding: Rounding::Floor, width };
    neuron
}

fn input_shape(input: &[u32]) -> Result<Shape, ImportError> {
    match *input {
        [n] => Ok(Shape::flat(n)),
        [channels, height, width] => Ok(Shape { height, width, channels }),
        _ => Err(ImportError::Field {
            layer: 0,
            field: "the number of sides of the input",
            value: i64::try_from(input.len()).unwrap_or(i64::MAX),
            expected: "1 (a vector) or 3 (channels, rows, columns)",
        }),
    }
}

struct Importer<'a> {
    description: &'a Description,
    folder: &'a Path,
    arrays: Arrays,
}

impl Importer<'_> {
    fn model(&self, input: Shape) -> Result<ModelSpec, ImportError> {
        let mut shape = input;
        let mut layers = Vec::new();
        for (number, fields) in self.description.layers.iter().enumerate() {
            layers.push(self.layer(fields, number, &mut shape)?);
        }
        let meta = Meta {
            binning: self.description.binning,
            layers: layers.iter().map(|layer| layer.name.clone()).collect(),
            profile: Some(self.description.profile.clone()),
        };
        let meta = meta.to_toml()?;
        Ok(ModelSpec { input, input_max: self.description.input_max, layers, meta })
    }

    fn layer(
        &self,
        fields: &LayerFields,
        number: usize,
        shape: &mut Shape,
    ) -> Result<LayerSpec, ImportError> {
        let common = self.description.neuron;
        let required = |value: Option<i32>, field| {
            let missing = ImportError::Field {
                layer: number,
                field,
                value: -1,
                expected: "a number, here or in [neuron]",
            };
            value.ok_or(missing)
        };
        let threshold = required(fields.threshold.or(common.threshold), "threshold")?;
        let decay = |own: Option<u16>, shared: Option<u16>, field| {
            let value = required(own.or(shared).map(i32::from), field)?;
            let fail =
                || ImportError::Field { layer: number, field, value: value.into(), expected: "0 to 4096" };
            u16::try_from(value).ok().filter(|&d| d <= 4096).ok_or_else(fail)
        };
        let current = decay(fields.current_decay, common.current_decay, "current_decay")?;
        let voltage = decay(fields.voltage_decay, common.voltage_decay, "voltage_decay")?;
        let (mut synapses, factor) = self.synapses(fields, number, shape)?;
        halve(&mut synapses, factor);
        let neuron = loihi(current, voltage, factor);
        let threshold = threshold.checked_mul(64).ok_or(ImportError::Field {
            layer: number,
            field: "threshold",
            value: threshold.into(),
            expected: "a number whose 64-fold fits 32 bits",
        })?;
        let name = fields.name.clone().unwrap_or_else(|| format!("layer{number}"));
        let delays = match fields.delay.as_ref().unwrap_or(&Delay::All(1)) {
            Delay::All(steps) => vec![delay(*steps)?],
            Delay::Each(steps) => steps.iter().map(|&steps| delay(steps)).collect::<Result<_, _>>()?,
        };
        Ok(LayerSpec { delays, ..LayerSpec::new(&name, synapses, neuron, threshold) })
    }

    /// The synapses, and 2 if all weights are even and only their halves fit a byte.
    fn synapses(
        &self,
        fields: &LayerFields,
        number: usize,
        shape: &mut Shape,
    ) -> Result<(SynapseSpec, i32), ImportError> {
        let required = |value: Option<u32>, field| {
            value.ok_or(ImportError::Field { layer: number, field, value: -1, expected: "a number" })
        };
        let pair = |pair: Option<Pair>, default: u32| pair.map_or([default; 2], Pair::get);
        let spec = match fields.kind {
            Kind::Dense => {
                let n_out = required(fields.n_out, "n_out")?;
                let (n_in, n) = (shape.n(), n_out as usize);
                let usual = self.weights(&fields.weight, number, n_in * n)?;
                let values = (0..n_in * n).map(|k| usual[k % n * n_in + k / n]).collect();
                *shape = Shape::flat(n_out);
                SynapseSpec::Dense { n_out, weights: Codes { bits: 16, values } }
            }
            Kind::Conv2d => {
                let channels = required(fields.channels, "channels")?;
                let kernel = pair(fields.kernel, 0);
                let groups = fields.groups.unwrap_or(1).max(1);
                let conv = Conv {
                    channels,
                    kernel,
                    stride: pair(fields.stride, 1),
                    padding: pair(fields.padding, 0),
                    dilation: pair(fields.dilation, 1),
                    groups,
                };
                let n =
                    channels as usize * (shape.channels / groups) as usize * (kernel[0] * kernel[1]) as usize;
                let values = self.weights(&fields.weight, number, n)?;
                *shape = conv.output_shape(*shape, number)?;
                SynapseSpec::Conv { conv, weights: Codes { bits: 16, values } }
            }
            Kind::SumPool => {
                let kernel = pair(fields.kernel, 2);
                let stride = fields.stride.map_or(kernel, Pair::get);
                let pool = Pool { kind: PoolKind::Sum, kernel, stride };
                let Weight::One(weight) = fields.weight else {
                    let expected = "one integer, as the weight of a sum pool";
                    return Err(ImportError::Field { layer: number, field: "weight", value: -1, expected });
                };
                *shape = pool.output_shape(*shape, number)?;
                return Ok((SynapseSpec::Sum { pool, weight }, 1));
            }
        };
        let factor = factor_of(&spec);
        Ok((spec, factor))
    }

    fn weights(&self, weight: &Weight, layer: usize, expected: usize) -> Result<Vec<i16>, ImportError> {
        let name = match weight {
            Weight::Named(name) => name.clone(),
            Weight::One(value) => value.to_string(),
        };
        let fail = |reason| ImportError::Weights { layer, name: name.clone(), reason };
        let values = match self.arrays.get(&name) {
            Some(array) => integers(array).map_err(fail)?,
            None => {
                let text = std::fs::read_to_string(self.folder.join(&name));
                text_integers(&text.map_err(|_| fail(WeightsError::Missing))?).map_err(fail)?
            }
        };
        if values.len() != expected {
            return Err(fail(WeightsError::Count { found: values.len(), expected }));
        }
        let narrow = |(index, &value): (usize, &i64)| {
            i16::try_from(value).map_err(|_| fail(WeightsError::Range { index, value }))
        };
        values.iter().enumerate().map(narrow).collect()
    }
}

fn integers(array: &Array) -> Result<Vec<i64>, WeightsError> {
    match array.data() {
        Data::I8(v) => Ok(v.iter().map(|&x| x.into()).collect()),
        Data::I16(v) => Ok(v.iter().map(|&x| x.into()).collect()),
        Data::I32(v) => Ok(v.iter().map(|&x| x.into()).collect()),
        Data::I64(v) => Ok(v.clone()),
        Data::U8(v) => Ok(v.iter().map(|&x| x.into()).collect()),
        _ => Err(WeightsError::NotIntegers { found: array.data().type_name() }),
    }
}

/// Integers separated by blanks, commas or line ends; `#` begins a comment.
fn text_integers(text: &str) -> Result<Vec<i64>, WeightsError> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    let words = lines.flat_map(|line| line.split([' ', '\t', ',', ';'])).filter(|word| !word.is_empty());
    words.map(|word| word.parse().map_err(|_| WeightsError::Word { word: word.to_owned() })).collect()
}

fn codes(synapses: &mut SynapseSpec) -> Option<&mut Codes> {
    match synapses {
        SynapseSpec::Dense { weights, .. } | SynapseSpec::Conv { weights, .. } => Some(weights),
        SynapseSpec::Sum { .. } => None,
    }
}

/// 2 where all weights are even, as on Loihi in mixed mode, so that 8 bits hold −256 to 254.
fn factor_of(synapses: &SynapseSpec) -> i32 {
    let values = match synapses {
        SynapseSpec::Dense { weights, .. } | SynapseSpec::Conv { weights, .. } => &weights.values,
        SynapseSpec::Sum { .. } => return 1,
    };
    if values.iter().all(|v| v % 2 == 0) { 2 } else { 1 }
}

/// Divides the weights by the factor and stores them in 8 bits if these suffice.
fn halve(synapses: &mut SynapseSpec, factor: i32) {
    let Some(codes) = codes(synapses) else { return };
    if factor == 2 {
        codes.values.iter_mut().for_each(|v| *v /= 2);
    }
    if codes.values.iter().all(|&v| i8::try_from(v).is_ok()) {
        codes.bits = 8;
    }
}
