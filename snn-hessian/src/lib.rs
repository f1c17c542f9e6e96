//! Hessian traces per layer and mixed-precision bit allocation for spiking neural networks.
#![forbid(unsafe_code)]

mod allocate;
mod curvature;
mod error;
mod exact;
mod pareto;
mod power;
mod probe;
mod sensitivity;
mod trace;

pub use allocate::{Allocation, Budget, Constraints, allocate, allocate_greedy};
pub use curvature::{Curvature, CurvatureError};
pub use error::{AllocationError, SensitivityError};
pub use exact::{CurvatureMatrix, ExactConfig, MAX_MATRIX_PARAMS, curvature_matrix, exact_traces};
pub use pareto::{ParetoFront, pareto_front};
pub use power::{Eigenvalue, PowerConfig, top_eigenvalue};
pub use probe::{Distribution, ParamSet};
pub use sensitivity::{NegativeCurvature, SensitivityTable, TensorSensitivity, TensorTrace, sensitivity};
pub use trace::{StopReason, TraceConfig, TraceReport, hutchinson};
