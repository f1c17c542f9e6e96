//! What can be wrong with a sensitivity table, a budget or its constraints.

use thiserror::Error;

/// Traces and quantization errors that cannot become a sensitivity table.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum SensitivityError {
    /// The error table has a tensor whose curvature was not measured.
    #[error("tensor \"{tensor}\" has quantization errors but no trace")]
    MissingTrace {
        /// The tensor.
        tensor: String,
    },
    /// The tensor has no widths to choose from.
    #[error("tensor \"{tensor}\" has no bit widths, expected at least one")]
    NoWidths {
        /// The tensor.
        tensor: String,
    },
    /// A width lies outside `1..=16`.
    #[error("tensor \"{tensor}\": bits = {bits} is out of range, expected 1 to 16")]
    BitWidth {
        /// The tensor.
        tensor: String,
        /// The width.
        bits: u32,
    },
    /// The tensor has no parameters, or all together have more than 2^53.
    #[error("tensor \"{tensor}\": n_params = {n_params}, expected at least 1 and a total of at most 2^53")]
    ParamCount {
        /// The tensor.
        tensor: String,
        /// Its number of parameters.
        n_params: u64,
    },
    /// A trace or its standard error is not a number that can be used.
    #[error("tensor \"{tensor}\": trace {mean} with standard error {std_err} is not finite")]
    NonFiniteTrace {
        /// The tensor.
        tensor: String,
        /// The trace.
        mean: f64,
        /// Its standard error.
        std_err: f64,
    },
    /// A squared error is negative or not finite.
    #[error("tensor \"{tensor}\": squared error {error} at {bits} bits, expected a finite number, 0 or more")]
    SquaredError {
        /// The tensor.
        tensor: String,
        /// The width.
        bits: u32,
        /// The squared error.
        error: f64,
    },
    /// A sensitivity is negative or not finite.
    #[error("tensor \"{tensor}\": sensitivity {omega} at {bits} bits, expected a finite number, 0 or more")]
    Omega {
        /// The tensor.
        tensor: String,
        /// The width.
        bits: u32,
        /// The sensitivity.
        omega: f64,
    },
    /// The trace is negative, so coarser bits would count as a gain.
    #[error(
        "tensor \"{tensor}\": trace {mean} (standard error {std_err}) is negative; measure at a minimum, \
         use the Gauss-Newton trace, or say how to treat it"
    )]
    NegativeCurvature {
        /// The tensor.
        tensor: String,
        /// The trace.
        mean: f64,
        /// Its standard error.
        std_err: f64,
    },
}

/// A budget and constraints that no plan meets, or that contradict each other.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum AllocationError {
    /// Even the narrowest plan exceeds the budget in bytes.
    #[error("budget of {budget} bytes is too small, the smallest plan takes {minimum}")]
    BytesTooSmall {
        /// The budget.
        budget: u64,
        /// The bytes of the narrowest plan.
        minimum: u64,
    },
    /// Even the narrowest plan exceeds the budget in mean bits.
    #[error("budget of {budget} mean bits is too small, the smallest plan takes {minimum}")]
    MeanBitsTooSmall {
        /// The budget.
        budget: f64,
        /// The mean bits of the narrowest plan.
        minimum: f64,
    },
    /// The budget in mean bits is not a number.
    #[error("budget of {budget} mean bits is not finite")]
    MeanBitsNotFinite {
        /// The budget.
        budget: f64,
    },
    /// A constraint names a tensor that the table does not have.
    #[error("tensor \"{tensor}\" of the constraints is not in the sensitivity table")]
    UnknownTensor {
        /// The name.
        tensor: String,
    },
    /// A tensor belongs to two tied groups.
    #[error("tensor \"{tensor}\" is tied twice, expected it in one group")]
    TiedTwice {
        /// The tensor.
        tensor: String,
    },
    /// Two tensors of a tied group are fixed to different widths.
    #[error("tensor \"{tensor}\" is fixed to {bits} bits and tied to one that is fixed to {other}")]
    FixedApart {
        /// The tensor.
        tensor: String,
        /// The bits that it is fixed to.
        bits: u32,
        /// The bits that the other is fixed to.
        other: u32,
    },
    /// No width is allowed, known for all tensors of the group, and equal to what is fixed.
    #[error("tensor \"{tensor}\" (with those tied to it) has no allowed bit width in the sensitivity table")]
    NoWidth {
        /// The first tensor of the group.
        tensor: String,
    },
    /// The table has no tensors.
    #[error("the sensitivity table has no tensors, expected at least one")]
    Empty,
}
