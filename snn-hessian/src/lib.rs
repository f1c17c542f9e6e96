//! Hessian traces per layer and mixed-precision bit allocation for spiking neural networks.
#![forbid(unsafe_code)]

mod allocate;
mod error;
mod pareto;
mod sensitivity;

pub use allocate::{Allocation, Budget, Constraints, allocate, allocate_greedy};
pub use error::{AllocationError, SensitivityError};
pub use pareto::{ParetoFront, pareto_front};
pub use sensitivity::{NegativeCurvature, SensitivityTable, TensorSensitivity, TensorTrace, sensitivity};
