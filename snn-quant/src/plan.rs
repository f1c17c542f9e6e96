//! Quantization plans: which tensor and which membrane is quantized how, as data and as a TOML file.
//!
//! ```toml
//! format = 1
//!
//! [weights."conv1.weight"]
//! scheme = "uniform"              # the default; or "fixed_point"
//! bits = 4                        # 1 to 16, the only field without a default
//! mapping = "symmetric"           # or "twos_complement", "affine"
//! granularity = "per_tensor"      # or "per_channel"
//! scale = "abs_max"               # or { percentile = 99.9 }, "mse_search", "learned"
//! scale_format = "float"          # or "power_of_two"
//! clip_grad = "pass"              # or "zero"
//!
//! [states.lif1]
//! placement = "before_spike"      # or "on_store"
//! quantizer = { scheme = "fixed_point", bits = 8, int_bits = 0, rounding = "nearest" }
//! ```
//!
//! Tensors and neurons that a plan does not name stay in float. A plan with a section `[exact]` names all of them, and is
//! computed in integers; see [`ExactSpec`].

use crate::exact::ExactSpec;
use crate::{BitWidth, QuantError, QuantSpec, StateSpec};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The version of the file format that this crate reads and writes.
const FORMAT: u32 = 1;

/// Which weight tensors and membranes of a network are quantized, and how.
///
/// # Examples
/// ```
/// use snn_quant::QuantPlan;
/// use std::collections::BTreeMap;
///
/// let bits = BTreeMap::from([("conv1.weight".to_string(), 8), ("fc.weight".to_string(), 3)]);
/// let plan = QuantPlan::from_bits(&bits)?;
/// assert_eq!(QuantPlan::from_toml(&plan.to_toml()?, "plan.toml")?, plan);
///
/// let wrong = "[weights]\n\"fc.weight\" = { bits = 17 }";
/// let error = QuantPlan::from_toml(wrong, "plan.toml").unwrap_err();
/// assert!(error.to_string().contains("plan.toml: weights.\"fc.weight\""));
/// # Ok::<(), snn_quant::PlanError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct QuantPlan {
    /// Weight tensors, by parameter name.
    pub weights: BTreeMap<String, QuantSpec>,
    /// Membranes, by the name of the neuron layer.
    pub states: BTreeMap<String, StateSpec>,
    /// That everything is computed in integers, and how; see [`exact`](crate::exact).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exact: Option<ExactSpec>,
}

/// A plan that cannot be read, written or applied.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The file cannot be read.
    #[error("{}: cannot read the plan: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file cannot be written; an older file of that name is untouched.
    #[error("{}: cannot write the plan: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The text is not TOML, or has unknown top-level fields.
    #[error("{file}: {source}")]
    Syntax {
        /// The file's name.
        file: String,
        /// Where and what, by line and column.
        source: Box<toml::de::Error>,
    },
    /// The file has a format version that this crate does not know.
    #[error("{file}: format = {found}, expected {FORMAT}")]
    Format {
        /// The file's name.
        file: String,
        /// The version found.
        found: u32,
    },
    /// An entry has a wrong or unknown field.
    #[error("{file}: {section}.\"{name}\": {}", one_line(source))]
    Entry {
        /// The file's name.
        file: String,
        /// `weights` or `states`.
        section: &'static str,
        /// The tensor or neuron of the entry.
        name: String,
        /// Which field, and what was expected.
        source: Box<toml::de::Error>,
    },
    /// An entry's fields do not fit each other or the tensor.
    #[error("{section}.\"{name}\": {source}")]
    Spec {
        /// `weights` or `states`.
        section: &'static str,
        /// The tensor or neuron of the entry.
        name: String,
        /// What is wrong.
        source: QuantError,
    },
    /// The plan names something that the network does not have.
    #[error("{section}.\"{name}\" is not in the network, which has: {}", known.join(", "))]
    Unknown {
        /// `weights` or `states`.
        section: &'static str,
        /// The name.
        name: String,
        /// The network's own names.
        known: Vec<String>,
    },
    /// The plan cannot be put into TOML.
    #[error("cannot express the plan in TOML: {source}")]
    Serialize {
        /// Why not.
        source: Box<toml::ser::Error>,
    },
}

/// A file as it is read: entries stay raw until each can be read under its own name.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPlan {
    #[serde(default = "current_format")]
    format: u32,
    #[serde(default)]
    weights: BTreeMap<String, toml::Table>,
    #[serde(default)]
    states: BTreeMap<String, toml::Table>,
    exact: Option<ExactSpec>,
}

/// A plan as it is written.
#[derive(Serialize)]
struct PlanFile<'a> {
    format: u32,
    #[serde(flatten)]
    plan: &'a QuantPlan,
}

fn current_format() -> u32 {
    FORMAT
}

impl QuantPlan {
    /// The plan of an allocation, tensor name to bits: uniform, symmetric, per tensor, absmax.
    ///
    /// # Errors
    /// [`PlanError::Spec`], naming the tensor, for bits outside `1..=16`.
    pub fn from_bits(bits: &BTreeMap<String, u32>) -> Result<Self, PlanError> {
        let template = QuantSpec::uniform(BitWidth::MIN);
        Self::from_bits_with(bits, &template)
    }

    /// The plan of an allocation, with the scheme of `template` at each tensor's width.
    ///
    /// # Errors
    /// [`PlanError::Spec`], naming the tensor, for bits outside `1..=16`.
    pub fn from_bits_with(bits: &BTreeMap<String, u32>, template: &QuantSpec) -> Result<Self, PlanError> {
        let entry = |(name, &bits): (&String, &u32)| {
            let width = BitWidth::new(bits).map_err(|source| spec_error("weights", name, source))?;
            Ok((name.clone(), template.clone().at(width)))
        };
        let weights = bits.iter().map(entry).collect::<Result<_, PlanError>>()?;
        Ok(QuantPlan { weights, ..Self::default() })
    }

    /// The plan that gives each of the named tensors the same specification.
    pub fn same_for_all<'a>(tensors: impl IntoIterator<Item = &'a str>, spec: &QuantSpec) -> Self {
        let weights = tensors.into_iter().map(|name| (name.to_owned(), spec.clone())).collect();
        QuantPlan { weights, ..Self::default() }
    }

    /// The plan with each neuron's membrane at the bits of the weight tensor that feeds it, as in Lui &
    /// Neftci.
    ///
    /// `layers` maps neuron names to tensor names; the other fields come from `template`. Neurons whose
    /// tensor the plan does not quantize keep a float membrane.
    #[must_use]
    pub fn with_states_at_layer_bits(
        mut self,
        layers: &BTreeMap<String, String>,
        template: &StateSpec,
    ) -> Self {
        for (neuron, tensor) in layers {
            if let Some(spec) = self.weights.get(tensor) {
                self.states.insert(neuron.clone(), template.clone().at(spec.bits()));
            }
        }
        self
    }

    /// The widths, tensor name to bits: the inverse of [`from_bits`](Self::from_bits).
    pub fn bits(&self) -> BTreeMap<String, u32> {
        self.weights.iter().map(|(name, spec)| (name.clone(), spec.bits().get())).collect()
    }

    /// Whether every entry fits a network with these weight tensors (name to shape) and neurons.
    ///
    /// # Errors
    /// [`PlanError::Unknown`] for a name that is not there, [`PlanError::Spec`] for fields that do not fit
    /// each other.
    pub fn validate(
        &self,
        tensors: &BTreeMap<String, Vec<usize>>,
        neurons: &BTreeSet<String>,
    ) -> Result<(), PlanError> {
        if let Some(name) = self.weights.keys().find(|name| !tensors.contains_key(*name)) {
            return Err(unknown("weights", name, tensors.keys()));
        }
        if let Some(name) = self.states.keys().find(|name| !neurons.contains(*name)) {
            return Err(unknown("states", name, neurons.iter()));
        }
        self.check()
    }

    /// Whether each entry's fields fit each other.
    fn check(&self) -> Result<(), PlanError> {
        for (name, spec) in &self.weights {
            spec.check().map_err(|source| spec_error("weights", name, source))?;
        }
        for (name, spec) in &self.states {
            spec.check().map_err(|source| spec_error("states", name, source))?;
        }
        Ok(())
    }

    /// The plan in a TOML text; `file` is the name that errors give it.
    ///
    /// # Errors
    /// [`PlanError::Syntax`], [`PlanError::Format`], [`PlanError::Entry`] or [`PlanError::Spec`].
    pub fn from_toml(text: &str, file: &str) -> Result<Self, PlanError> {
        let syntax = |source| PlanError::Syntax { file: file.to_owned(), source: Box::new(source) };
        let raw: RawPlan = toml::from_str(text).map_err(syntax)?;
        if raw.format != FORMAT {
            return Err(PlanError::Format { file: file.to_owned(), found: raw.format });
        }
        let mut weights = raw.weights;
        weights.values_mut().for_each(default_scheme);
        let plan = QuantPlan {
            weights: entries(weights, "weights", file)?,
            states: entries(raw.states, "states", file)?,
            exact: raw.exact,
        };
        plan.check()?;
        Ok(plan)
    }

    /// The plan as TOML, tensors in the order of their names.
    ///
    /// # Errors
    /// [`PlanError::Serialize`], when a number has no TOML form (a seed above `i64::MAX`).
    pub fn to_toml(&self) -> Result<String, PlanError> {
        let file = PlanFile { format: FORMAT, plan: self };
        toml::to_string(&file).map_err(|source| PlanError::Serialize { source: Box::new(source) })
    }

    /// The plan in a file.
    ///
    /// # Errors
    /// [`PlanError::Read`], and those of [`from_toml`](Self::from_toml).
    pub fn read(path: &Path) -> Result<Self, PlanError> {
        let text =
            fs::read_to_string(path).map_err(|source| PlanError::Read { path: path.to_owned(), source })?;
        Self::from_toml(&text, &path.display().to_string())
    }

    /// Writes the plan to a file: first to a temporary one beside it, which then takes its place.
    ///
    /// # Errors
    /// [`PlanError::Write`] or [`PlanError::Serialize`]; an older file is untouched then.
    pub fn write(&self, path: &Path) -> Result<(), PlanError> {
        let text = self.to_toml()?;
        replace_file(path, text.as_bytes())
            .map_err(|source| PlanError::Write { path: path.to_owned(), source })
    }
}

/// Entries without a scheme are uniform.
fn default_scheme(entry: &mut toml::Table) {
    entry.entry("scheme").or_insert_with(|| "uniform".into());
}

/// Reads each entry under its own name.
fn entries<T: DeserializeOwned>(
    raw: BTreeMap<String, toml::Table>,
    section: &'static str,
    file: &str,
) -> Result<BTreeMap<String, T>, PlanError> {
    let entry = |(name, table): (String, toml::Table)| match table.try_into() {
        Ok(spec) => Ok((name, spec)),
        Err(source) => {
            Err(PlanError::Entry { file: file.to_owned(), section, name, source: Box::new(source) })
        }
    };
    raw.into_iter().map(entry).collect()
}

/// A TOML error's message without its line breaks.
fn one_line(error: &toml::de::Error) -> String {
    error.to_string().trim_end().replace('\n', " ")
}

fn spec_error(section: &'static str, name: &str, source: QuantError) -> PlanError {
    PlanError::Spec { section, name: name.to_owned(), source }
}

fn unknown<'a>(section: &'static str, name: &str, known: impl Iterator<Item = &'a String>) -> PlanError {
    PlanError::Unknown { section, name: name.to_owned(), known: known.cloned().collect() }
}

/// Puts `bytes` into a temporary file beside `path` and renames it; removes it again if that fails.
fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    let write = || {
        let mut file = fs::File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().inspect_err(|_| drop(fs::remove_file(&temporary)))
}

#[cfg(test)]
mod tests;
