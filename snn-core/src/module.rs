//! [`Module`]: something with parameters and a forward; [`Param`]: a named parameter.

use crate::exec::Exec;
use crate::tensor::Tensor;

/// A named tensor of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// Unique within the network, such as `conv1.weight`: the key in checkpoints, plans and reports.
    pub name: String,
    /// The value, in full precision.
    pub value: Tensor<f32>,
    /// What it is for.
    pub role: Role,
}

/// What a parameter is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Synaptic weights; `channel_axis` runs over output channels.
    Weight {
        /// The axis of the output channels: 0 for convolutions, 1 for linear layers.
        channel_axis: usize,
    },
    /// An additive constant for each channel.
    Bias,
    /// A trained scalar or vector of another kind, such as normalization gains.
    Scale,
    /// Learned steps between the levels of a quantizer: above 0, and optimized in their logarithm.
    StepSize,
    /// Not trained by gradients: running statistics, fixed readouts.
    Buffer,
}

impl Param {
    /// A parameter of the given value.
    #[must_use]
    pub fn new(name: impl Into<String>, value: Tensor<f32>, role: Role) -> Self {
        Self { name: name.into(), value, role }
    }

    /// True if gradients are wanted for it.
    #[must_use]
    pub fn is_trained(&self) -> bool {
        self.role != Role::Buffer
    }

    /// True for synaptic weights, which quantization plans and Hessian traces are about.
    #[must_use]
    pub fn is_weight(&self) -> bool {
        matches!(self.role, Role::Weight { .. })
    }
}

/// What differs between the passes of one network. There is no training flag on layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass {
    /// Seed of this pass's random draws: dropout masks, stochastic rounding. `None` switches dropout off and rounds to
    /// nearest.
    pub noise: Option<u64>,
    /// Which statistics batch normalization uses.
    pub statistics: Statistics,
}

/// Which mean and variance batch normalization uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistics {
    /// Those of the batch at hand, over time and samples.
    Batch,
    /// The running averages.
    Running,
}

impl Pass {
    /// No random draws, running statistics.
    #[must_use]
    pub fn inference() -> Self {
        Self { noise: None, statistics: Statistics::Running }
    }

    /// Random draws from `seed`, statistics of the batch.
    #[must_use]
    pub fn training(seed: u64) -> Self {
        Self { noise: Some(seed), statistics: Statistics::Batch }
    }
}

/// A network, or a part of one: parameters and a forward.
pub trait Module {
    /// Runs the network on `x` of shape `[T, B, features…]`.
    fn forward<E: Exec>(&self, e: &mut E, x: &E::Value, pass: &Pass) -> E::Value;

    /// Reads each parameter that the network reads through ops of parameters alone, as [`forward`](Self::forward) does;
    /// nothing by default.
    fn read_params<E: Exec>(&self, e: &mut E, pass: &Pass) {
        let _ = (e, pass);
    }

    /// Shows every parameter, in a fixed order.
    fn visit_params(&self, f: &mut dyn FnMut(&Param));

    /// Lends every parameter, in the same order.
    fn visit_params_mut(&mut self, f: &mut dyn FnMut(&mut Param));

    /// True if some layer computes statistics over the batch, so that samples are not independent while training.
    fn needs_whole_batch(&self) -> bool {
        false
    }

    /// Number of trained numbers.
    fn n_params(&self) -> usize {
        let mut n = 0;
        self.visit_params(&mut |p| n += if p.is_trained() { p.value.len() } else { 0 });
        n
    }
}
