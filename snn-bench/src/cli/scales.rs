//! What verbs that make plans ask about the scales of weights.

use clap::ValueEnum;
use snn_quant::uniform::{Granularity, ScaleRule, UniformSpec};
use snn_quant::{BitWidth, QuantSpec};

/// How scales of weights are found, and what shares one.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct ScaleArgs {
    /// How scales of weights are found; abs-max by default.
    #[arg(long, value_name = "RULE")]
    scale: Option<Rule>,
    /// What shares a scale; per-tensor by default.
    #[arg(long, value_name = "WHAT")]
    granularity: Option<Sharing>,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Rule {
    /// The largest level is the largest weight.
    #[default]
    AbsMax,
    /// The least squared error.
    MseSearch,
    /// Trained with the weights (LSQ).
    Learned,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Sharing {
    /// The weights of a tensor.
    #[default]
    PerTensor,
    /// The weights of an output channel.
    PerChannel,
}

impl ScaleArgs {
    /// Whether nothing is given.
    pub(super) fn is_empty(self) -> bool {
        self.scale.is_none() && self.granularity.is_none()
    }

    /// The entry of a plan, at any width.
    pub(super) fn template(self) -> UniformSpec {
        let scale = match self.scale.unwrap_or_default() {
            Rule::AbsMax => ScaleRule::AbsMax,
            Rule::MseSearch => ScaleRule::MseSearch,
            Rule::Learned => ScaleRule::Learned,
        };
        let granularity = match self.granularity.unwrap_or_default() {
            Sharing::PerTensor => Granularity::PerTensor,
            Sharing::PerChannel => Granularity::PerChannel,
        };
        UniformSpec { scale, granularity, ..UniformSpec::new(BitWidth::MIN) }
    }

    /// The same as an entry.
    pub(super) fn entry(self) -> QuantSpec {
        QuantSpec::Uniform(self.template())
    }

    /// The entry whose errors tell how many bits a tensor needs: of a learned scale, which training moves to where the loss
    /// is least, that of least squared error.
    pub(super) fn measured(self) -> UniformSpec {
        match self.template() {
            spec if spec.scale == ScaleRule::Learned => UniformSpec { scale: ScaleRule::MseSearch, ..spec },
            spec => spec,
        }
    }
}
