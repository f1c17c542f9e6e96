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
    /// Where the levels of membranes end.
    pub range: StateRange,
    /// Whether the network is trained quantized.
    pub is_trained: bool,
}

impl Scheme {
    /// All that are compared: each part, spacing and variant, trained between snnTorch's limits and post-training with
    /// calibrated ones; and zero-exact networks trained with calibrated limits.
    pub fn all() -> impl Iterator<Item = Self> {
        let compared = [true, false].into_iter().flat_map(|is_trained| {
            let range = if is_trained { StateRange::Declared } else { StateRange::Calibrated };
            let tables = [Part::States, Part::Both].into_iter().flat_map(move |part| {
                SPACINGS.into_iter().flat_map(move |spacing| {
                    let variants = [Variant::SnntorchCompat, Variant::ZeroExact];
                    variants.map(move |variant| Self { part, spacing, variant, range, is_trained })
                })
            });
            std::iter::once(Self::weights(is_trained)).chain(tables)
        });
        compared.chain(SPACINGS.map(Self::ours))
    }

    /// Weights only.
    #[must_use]
    pub fn weights(is_trained: bool) -> Self {
        let (spacing, variant) = (Spacing::Uniform, Variant::SnntorchCompat);
        Self { part: Part::Weights, spacing, variant, range: StateRange::Declared, is_trained }
    }

    /// Both, trained on a table with a zero and with calibrated limits.
    #[must_use]
    pub fn ours(spacing: Spacing) -> Self {
        let (variant, range) = (Variant::ZeroExact, StateRange::Calibrated);
        Self { part: Part::Both, spacing, variant, range, is_trained: true }
    }

    /// The settings of this scheme at a width; `trained` has epochs and rate of training quantized.
    #[must_use]
    pub fn quant(self, bits: u32, trained: &QuantConfig) -> QuantConfig {
        let width = |is_quantized: bool| if is_quantized { bits } else { FLOAT_BITS };
        let quant = QuantConfig {
            weight_bits: width(self.part != Part::States),
            state_bits: width(self.part != Part::Weights),
            spacing: self.spacing,
            variant: self.variant,
            state_range: self.range,
            epochs: if self.is_trained { trained.epochs } else { 0 },
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
        let how = match (self.is_trained, self.range) {
            (true, StateRange::Declared) => "trained",
            (true, StateRange::Calibrated) => "trained, calibrated",
            (false, _) => "post-training",
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
    fn twenty_schemes_differ_at_every_width() {
        let trained = QuantConfig { epochs: 3, ..QuantConfig::default() };
        let quants: Vec<QuantConfig> = [8, 4, 2]
            .iter()
            .flat_map(|&bits| Scheme::all().map(move |s| (s, bits)))
            .map(|(s, b)| s.quant(b, &trained))
            .collect();
        assert_eq!(quants.len(), 3 * 20);
        assert!(quants.iter().enumerate().all(|(i, quant)| !quants[..i].contains(quant)));
        let names: std::collections::BTreeSet<String> = Scheme::all().map(Scheme::name).collect();
        assert_eq!(names.len(), 20);
    }
}
