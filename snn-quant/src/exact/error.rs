//! Why a network cannot be computed in integers exactly.

use crate::{PlanError, QuantError};
use snn_core::layer::FoldError;
use thiserror::Error;

/// A network and a plan that cannot be exact, or a model that cannot be made of them.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExactError {
    /// The plan has no section `[exact]`.
    #[error("the plan has no section [exact]")]
    NoSection,
    /// A layer or a tensor stands in the way.
    #[error("`{name}` cannot be exact: {reason}")]
    Layer {
        /// The layer or tensor.
        name: String,
        /// Why.
        reason: Inexact,
    },
    /// Batch normalization cannot be folded.
    #[error("batch normalization cannot be folded: {source}")]
    Fold {
        /// Why not.
        #[from]
        source: FoldError,
    },
    /// The quantized network that is taken over has weights without levels.
    #[error("the quantized network has no levels to take over: {source}")]
    TakeOver {
        /// Why not.
        #[from]
        source: PlanError,
    },
    /// The integers do not make a model.
    #[error("no integer model can be made: {source}")]
    Model {
        /// Why not.
        #[from]
        source: snn_int::ModelError,
    },
    /// An input is no count, or larger than the plan says.
    #[error("input {value} at index {index} is not a whole number from 0 to {largest}")]
    Input {
        /// Where, in row-major order.
        index: usize,
        /// The value.
        value: f32,
        /// The largest that the plan allows.
        largest: u8,
    },
}

impl ExactError {
    pub(super) fn layer(name: &str, reason: Inexact) -> Self {
        Self::Layer { name: name.to_owned(), reason }
    }

    pub(super) fn tensor(name: &str, reason: Inexact) -> Self {
        Self::layer(name, reason)
    }
}

/// Why a layer cannot be exact.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum Inexact {
    /// Batch normalization that was not folded.
    #[error("batch normalization must be folded into weights and biases first")]
    BatchNorm,
    /// Two pools in a row.
    #[error("two pools follow each other, one is expected")]
    TwoPools,
    /// Two weight layers in a row.
    #[error("it follows other weights without a neuron between them")]
    NoNeuronBetween,
    /// Neurons that no weights feed.
    #[error("no weights stand before its neurons")]
    NoWeightsBefore,
    /// A pool at the end.
    #[error("no weights stand behind it")]
    NoWeightsBehind,
    /// Weights that the plan does not name.
    #[error("the plan leaves these weights in float; name them in [weights]")]
    FloatWeights,
    /// A membrane that the plan does not name.
    #[error("the plan leaves its membrane in float; name it in [states]")]
    FloatMembrane,
    /// A membrane on a table of levels behind weights of several scales.
    #[error(
        "its membrane is on one table of levels, but its weights have a scale for each channel; take granularity = \"per_tensor\""
    )]
    LevelScales,
    /// A membrane without a range.
    #[error("the range of its membrane is not calibrated yet")]
    NotCalibrated,
    /// Levels of membranes that training moves are no integers; take over the network that has learned them.
    #[error(
        "levels that are learned are no integers while they move; train them first, and take that network over"
    )]
    LearnedLevels,
    /// A zero point.
    #[error(
        "mapping = \"affine\" has a zero point, which would add a term for every spike; take \"symmetric\""
    )]
    Affine,
    /// Weights in all codes of two's complement.
    #[error(
        "mapping = \"twos_complement\" has no code for its lowest level negated, which a negative factor of batch \
         normalization asks for; take \"symmetric\""
    )]
    TwosComplement,
    /// A learned scale of recurrent weights.
    #[error("recurrent weights take the scale of the weights before them; leave out scale = \"learned\"")]
    RecurrentScale,
    /// A readout with several scales.
    #[error("outputs that are compared need one scale; take granularity = \"per_tensor\"")]
    ReadoutScales,
    /// The weights have no levels.
    #[error("{source}")]
    Weights {
        /// Why not.
        source: QuantError,
    },
    /// A neuron without an integer form.
    #[error("neuron `{kind}` has no integer form; LIF, LI and current-based LIF have one")]
    Neuron {
        /// Its name.
        kind: &'static str,
    },
    /// Smooth spikes.
    #[error("its spikes are smooth, which only checks of derivatives need")]
    SmoothSpikes,
    /// An input factor that is not positive.
    #[error("the factor of its input is {gain}, expected a positive number")]
    Gain {
        /// The factor.
        gain: f32,
    },
    /// One bit.
    #[error("a membrane needs at least 2 bits")]
    OneBitMembrane,
    /// Pooled counts beyond a byte.
    #[error(
        "pooled inputs reach {largest}, at most 255 is possible; lower exact.input_max if inputs are smaller"
    )]
    PooledInput {
        /// The largest sum.
        largest: f64,
    },
    /// A membrane much coarser than the weights.
    #[error(
        "one step of its membrane is 2^{exponent} steps of its weights, at most 2^16 and 32 bits in all are possible"
    )]
    Coarse {
        /// The exponent.
        exponent: i32,
    },
    /// A threshold that rounds to 0.
    #[error("its threshold {threshold} is less than one step of its weights; give them more bits")]
    FineThreshold {
        /// The threshold.
        threshold: f32,
    },
    /// A threshold beyond the membrane.
    #[error(
        "its threshold {threshold} is {integer} steps, but the membrane ends at {largest}; raise int_bits, or upper_limit"
    )]
    Unreachable {
        /// The threshold.
        threshold: f32,
        /// The threshold in integer units.
        integer: f64,
        /// The largest value of the membrane.
        largest: f64,
    },
    /// Numbers beyond what is exact.
    #[error(
        "{what} of channel {channel} may reach {largest}, below {limit} all is exact; fewer bits, or a smaller exact.input_max"
    )]
    TooLarge {
        /// What is large.
        what: &'static str,
        /// The channel.
        channel: usize,
        /// The largest magnitude.
        largest: f64,
        /// Where exactness ends.
        limit: f64,
    },
}
