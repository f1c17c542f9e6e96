//! Integer models around recordings: plans that are exact, chip profiles, models from files, C sources.

mod binning;
mod c_source;
mod import;
mod plan;
mod profile;

pub use binning::{Binning, BinningError, Bins};
pub use c_source::{CSources, c_sources};
pub use import::{ImportError, import};
pub use plan::{DefaultBits, complete};
pub use profile::{Finding, Profile, ProfileError, check};

use serde::{Deserialize, Serialize};

/// What an integer model says about itself, as TOML in the text that the file format leaves to its writer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    /// How events become inputs.
    pub binning: Binning,
    /// Names of the layers.
    #[serde(default)]
    pub layers: Vec<String>,
    /// Name of the profile that it was made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
}

impl Meta {
    /// The text.
    ///
    /// # Errors
    /// What TOML cannot express; nothing in practice.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(self)
    }

    /// The description in a model's text.
    ///
    /// # Errors
    /// Where the text is no TOML of this form.
    pub fn of(model: &snn_int::Model<'_>) -> Result<Self, toml::de::Error> {
        toml::from_str(model.meta())
    }
}
