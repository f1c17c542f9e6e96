//! The ways to quantize that are compared.

use crate::config::{Config, FLOAT_BITS, QuantConfig, StateRange};
use serde::Serialize;
use snn_quant::{Spacing, Variant};

/// The keys in which cells differ.
pub(super) const KEYS: [&str; 6] = [
    "quant.epochs",
    "quant.state_range",
    "quant.variant",
    "quant.spacing",
    "quant.weight_bits",
    "quant.state_bits",
];

/// The spacings that are compared.
const SPACINGS: [Spacing; 2] = [Spacing::Uniform, Spacing::ThresholdCentered];

/// What is quantized.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Weights, the paper's QAT.
    Weights,
    /// Membranes, the paper's SQUAT.
    States,
    /// Both.
    Both,
}

/// A way to quantize, at any width.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Scheme {
    /// What is quantized.
    pub part: Part,
    /// Where levels of membranes crowd.
    pub spacing: Spacing,
    /// Whether 0 is one of them.
    pub variant: Variant,
    /// Whether and for how long the network is trained quantized.
    pub regime: Regime,
}

/// How long a network is trained quantized.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Regime {
    /// Not at all; the levels of membranes end where calibration says.
    PostTraining,
    /// As long as the settings of the data set say, with levels between snnTorch's limits or, where those do not train,
    /// calibrated ones.
    Trained,
    /// [`LONGER`] times as long, with levels whose ends are learned; then statistics of batch normalization are measured
    /// anew.
    Longer,
}

/// Factor of the epochs of [`Regime::Longer`].
pub(super) const LONGER: u64 = 6;

/// Training batches that statistics are measured on after [`Regime::Longer`].
const NORM_BATCHES: usize = 100;

/// Name of what is tuned for one width.
pub(super) const TUNED_NAME: &str =
    "both, uniform, zero-exact, learned ends, weights in two's complement, images as they are";

impl Regime {
    /// Epochs, where the settings of the data set say `epochs`.
    pub(super) fn epochs(self, epochs: u64) -> u64 {
        match self {
            Self::PostTraining => 0,
            Self::Trained => epochs,
            Self::Longer => LONGER * epochs,
        }
    }

    /// Training batches that statistics are measured on.
    pub(super) fn norm_batches(self) -> usize {
        if self == Self::Longer { NORM_BATCHES } else { 0 }
    }
}

impl Scheme {
    /// All that are compared at a width: each part, spacing and variant, trained quantized, and post-training.
    pub fn all() -> impl Iterator<Item = Self> {
        [Regime::Trained, Regime::PostTraining].into_iter().flat_map(|regime| {
            let tables = [Part::States, Part::Both].into_iter().flat_map(move |part| {
                SPACINGS.into_iter().flat_map(move |spacing| {
                    let variants = [Variant::SnntorchCompat, Variant::ZeroExact];
                    variants.map(move |variant| Self { part, spacing, variant, regime })
                })
            });
            std::iter::once(Self::weights(regime)).chain(tables)
        })
    }

    /// Weights only.
    #[must_use]
    pub fn weights(regime: Regime) -> Self {
        let (spacing, variant) = (Spacing::Uniform, Variant::SnntorchCompat);
        Self { part: Part::Weights, spacing, variant, regime }
    }

    /// What our targets are set on: both, on even levels with a zero and learned ends, trained longer.
    #[must_use]
    pub fn ours() -> Self {
        let (spacing, variant) = (Spacing::Uniform, Variant::ZeroExact);
        Self { part: Part::Both, spacing, variant, regime: Regime::Longer }
    }

    /// The settings of this scheme at a width; `trained` has epochs, rate and range of levels of training quantized.
    #[must_use]
    pub fn quant(self, bits: u32, trained: &QuantConfig) -> QuantConfig {
        let width = |is_quantized: bool| if is_quantized { bits } else { FLOAT_BITS };
        let quant = QuantConfig {
            weight_bits: width(self.part != Part::States),
            state_bits: width(self.part != Part::Weights),
            spacing: self.spacing,
            variant: self.variant,
            state_range: match self.regime {
                Regime::PostTraining => StateRange::Calibrated,
                Regime::Trained => trained.state_range,
                Regime::Longer => StateRange::Learned,
            },
            epochs: self.regime.epochs(trained.epochs),
            norm_batches: self.regime.norm_batches(),
            ..trained.clone()
        };
        quant.plain()
    }

    /// The cell of this scheme at a width.
    #[must_use]
    pub fn config(self, bits: u32, base: &Config, seed: u64) -> Config {
        Config { seed, quant: self.quant(bits, &base.quant), ..base.clone() }
    }

    /// Such as `both, uniform, zero-exact, trained`.
    #[must_use]
    pub fn name(self) -> String {
        let part = match self.part {
            Part::Weights => "weights only",
            Part::States => "membranes only",
            Part::Both => "both",
        };
        let spacing = match self.spacing {
            Spacing::Uniform => "uniform",
            Spacing::ThresholdCentered => "threshold-centered",
            Spacing::ZeroCentered => "zero-centered",
        };
        let variant = match self.variant {
            Variant::SnntorchCompat => "compat",
            Variant::ZeroExact => "zero-exact",
        };
        let how = match self.regime {
            Regime::PostTraining => "post-training",
            Regime::Trained => "trained",
            Regime::Longer => "learned ends, trained longer",
        };
        match self.part {
            Part::Weights => format!("{part}, {how}"),
            _ => format!("{part}, {spacing}, {variant}, {how}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nineteen_schemes_differ_at_every_width() {
        let trained = QuantConfig { epochs: 3, ..QuantConfig::default() };
        let all = || Scheme::all().chain([Scheme::ours()]);
        let quants: Vec<QuantConfig> = [8, 4, 2]
            .iter()
            .flat_map(|&bits| all().map(move |s| (s, bits)))
            .map(|(s, b)| s.quant(b, &trained))
            .collect();
        assert_eq!(quants.len(), 3 * 19);
        assert!(quants.iter().enumerate().all(|(i, quant)| !quants[..i].contains(quant)));
        let names: std::collections::BTreeSet<String> = all().map(Scheme::name).collect();
        assert_eq!(names.len(), 19);
    }
}
