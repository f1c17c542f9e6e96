//! The ways to quantize that are compared.

use crate::config::{Config, FLOAT_BITS, QuantConfig, StateRange};
use serde::Serialize;
use snn_quant::{Spacing, Variant};

/// The keys in which cells differ.
pub(super) const KEYS: [&str; 5] =
    ["quant.epochs", "quant.variant", "quant.spacing", "quant.weight_bits", "quant.state_bits"];

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
    /// Whether the network is trained quantized; otherwise membranes are calibrated.
    pub is_trained: bool,
}

impl Scheme {
    /// All that are compared.
    pub fn all() -> impl Iterator<Item = Self> {
        [true, false].into_iter().flat_map(|is_trained| {
            let weights = Self {
                part: Part::Weights,
                spacing: Spacing::Uniform,
                variant: Variant::SnntorchCompat,
                is_trained,
            };
            let tables = [Part::States, Part::Both].into_iter().flat_map(move |part| {
                [Spacing::Uniform, Spacing::ThresholdCentered].into_iter().flat_map(move |spacing| {
                    let variants = [Variant::SnntorchCompat, Variant::ZeroExact];
                    variants.map(move |variant| Self { part, spacing, variant, is_trained })
                })
            });
            std::iter::once(weights).chain(tables)
        })
    }

    /// The settings of this scheme at a width; `trained` has epochs and rate of training quantized.
    #[must_use]
    pub fn quant(self, bits: u32, trained: &QuantConfig) -> QuantConfig {
        let width = |is_quantized: bool| if is_quantized { bits } else { FLOAT_BITS };
        let range = if self.is_trained { StateRange::Declared } else { StateRange::Calibrated };
        let quant = QuantConfig {
            weight_bits: width(self.part != Part::States),
            state_bits: width(self.part != Part::Weights),
            spacing: self.spacing,
            variant: self.variant,
            state_range: range,
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
        let how = if self.is_trained { "trained" } else { "post-training" };
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
    fn eighteen_schemes_differ_at_every_width() {
        let trained = QuantConfig { epochs: 3, ..QuantConfig::default() };
        let quants: Vec<QuantConfig> = [8, 4, 2]
            .iter()
            .flat_map(|&bits| Scheme::all().map(move |s| (s, bits)))
            .map(|(s, b)| s.quant(b, &trained))
            .collect();
        assert_eq!(quants.len(), 3 * 18);
        assert!(quants.iter().enumerate().all(|(i, quant)| !quants[..i].contains(quant)));
        let names: std::collections::BTreeSet<String> = Scheme::all().map(Scheme::name).collect();
        assert_eq!(names.len(), 18);
    }
}
