//! How a network is quantized, in a sweep.

use super::{ConfigError, require};
use serde::{Deserialize, Serialize};
use snn_quant::uniform::{ClipGrad, Mapping};
use snn_quant::{Spacing, Variant};

/// The width that stands for float.
pub const FLOAT_BITS: u32 = 32;

/// How the network is quantized, from the float network of the same seed; by default not at all.
///
/// Weights have levels for each output channel, with scales of least squared error after training and learned ones in
/// training. All weights have one width, and all membranes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QuantConfig {
    /// Width of the weights, 1 to 16, or 32 for float.
    pub weight_bits: u32,
    /// Codes of the weights: symmetric, or all of two's complement, as in LSQ; at 2 bits three levels or four.
    #[serde(skip_serializing_if = "super::is_default")]
    pub weight_mapping: Mapping,
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
    /// In training, the gradient of membranes outside of the levels: it passes, as in snnTorch, or is masked. Where ends are
    /// learned it is masked in any case, as in LSQ.
    #[serde(skip_serializing_if = "super::is_default")]
    pub clip_grad: ClipGrad,
    /// Epochs of training from the float network, quantized; 0 quantizes after training. A network with nothing
    /// quantized is trained on all the same: the float twin.
    pub epochs: u64,
    /// Learning rate at the start of that training.
    pub learning_rate: f64,
    /// Whether that training sees samples as they are, rather than varied at random as `data` says for the float network.
    #[serde(skip_serializing_if = "super::is_default")]
    pub plain_samples: bool,
    /// Training batches that batch normalization measures its statistics on, once a network is quantized and trained; 0, as
    /// by default, keeps the averages of training.
    #[serde(skip_serializing_if = "is_zero")]
    pub norm_batches: usize,
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
    /// Where training moves them, from the limits; where levels crowd, it moves their multiplier too.
    Learned,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it")]
fn is_zero(n: &usize) -> bool {
    *n == 0
}

impl Default for QuantConfig {
    fn default() -> Self {
        Self {
            weight_bits: FLOAT_BITS,
            weight_mapping: Mapping::default(),
            state_bits: FLOAT_BITS,
            spacing: Spacing::default(),
            variant: Variant::default(),
            state_range: StateRange::default(),
            lower_limit: 0.0,
            upper_limit: 0.2,
            clip_grad: ClipGrad::default(),
            epochs: 0,
            learning_rate: 2e-4,
            plain_samples: false,
            norm_batches: 0,
        }
    }
}

impl QuantConfig {
    /// The same meaning in its plainest form: fields that decide nothing are at their defaults.
    #[must_use]
    pub fn plain(&self) -> Self {
        let default = Self::default();
        if self.weight_bits == FLOAT_BITS && self.state_bits == FLOAT_BITS && self.epochs == 0 {
            return default;
        }
        let mut plain = self.clone();
        if plain.weight_bits == FLOAT_BITS {
            plain.weight_mapping = default.weight_mapping;
        }
        if plain.epochs == 0 {
            plain.learning_rate = default.learning_rate;
            plain.clip_grad = default.clip_grad;
            plain.plain_samples = default.plain_samples;
            if plain.state_range == StateRange::Learned {
                plain.state_range = StateRange::Declared;
            }
        }
        if plain.state_range == StateRange::Learned {
            plain.clip_grad = default.clip_grad;
        }
        if plain.state_range == StateRange::Calibrated {
            plain.lower_limit = default.lower_limit;
        }
        if plain.state_bits == FLOAT_BITS {
            let Self {
                weight_bits, weight_mapping, epochs, learning_rate, plain_samples, norm_batches, ..
            } = plain;
            let of_training = Self { epochs, learning_rate, plain_samples, norm_batches, ..default };
            plain = Self { weight_bits, weight_mapping, ..of_training };
        }
        plain
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let width = |bits, most| (1..=most).contains(&bits) || bits == FLOAT_BITS;
        require(width(self.weight_bits, 16), "quant.weight_bits", self.weight_bits, "1 to 16, or 32")?;
        let two_or_more = self.weight_mapping == Mapping::Symmetric || self.weight_bits > 1;
        require(two_or_more, "quant.weight_bits", self.weight_bits, "at least 2 in two's complement")?;
        let has_no_zero_point = self.weight_mapping != Mapping::Affine;
        let expected = "\"symmetric\" or \"twos_complement\", since learned scales have no zero point";
        require(has_no_zero_point, "quant.weight_mapping", "\"affine\"", expected)?;
        require(width(self.state_bits, 8), "quant.state_bits", self.state_bits, "1 to 8, or 32")?;
        require(self.lower_limit >= -1.0, "quant.lower_limit", self.lower_limit, "at least -1")?;
        require(self.upper_limit >= 0.0, "quant.upper_limit", self.upper_limit, "at least 0")?;
        let is_learned = self.state_range == StateRange::Learned;
        let room = self.lower_limit > -1.0 && self.upper_limit > 0.0;
        let both_sides = "above -1, and quant.upper_limit above 0, to be learned";
        require(!is_learned || room, "quant.lower_limit", self.lower_limit, both_sides)?;
        let rate = self.learning_rate > 0.0 && self.learning_rate.is_finite();
        require(rate, "quant.learning_rate", self.learning_rate, "above 0")
    }
}
