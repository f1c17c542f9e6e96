//! Hessian traces per layer and mixed-precision bit allocation for spiking neural networks.
//!
//! | function | what |
//! |---|---|
//! | [`hutchinson`] | traces per tensor with standard errors, from random probes |
//! | [`exact_traces`], [`curvature_matrix`] | the same exactly, and the whole matrix, of small networks |
//! | [`top_eigenvalue`] | the eigenvalue of largest magnitude |
//! | [`sensitivity`] | traces and quantization errors to what each bit width costs in loss |
//! | [`allocate`], [`pareto_front`] | the best bit widths under a budget |
//!
//! All of them speak of tensors by parameter name.

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
