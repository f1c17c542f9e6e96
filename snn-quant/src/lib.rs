//! Quantizers, quantization plans and quantized execution for spiking neural networks.
#![forbid(unsafe_code)]

mod bits;
mod error;
mod error_table;
mod fixed_point;
mod gradient;
mod grid;
mod histogram;
mod num;
mod observer;
mod pack;
mod plan;
mod rounding;
mod size;
mod spec;
pub mod uniform;

pub use bits::BitWidth;
pub use error::QuantError;
pub use error_table::{ErrorTable, TensorError, Weights, error_table};
pub use fixed_point::{Calibrate, FixedPoint, FixedPointSpec, IntBits};
pub use gradient::{lsq_scale_backward, ste_backward};
pub use grid::{CodeSet, Grid, QuantParams};
pub use observer::Observer;
pub use pack::{pack, unpack};
pub use plan::{PlanError, QuantPlan};
pub use rounding::{DrawPosition, Rounding};
pub use size::{PlanSize, TensorSize, plan_size};
pub use spec::{Placement, QuantSpec, StateQuantizer, StateSpec};
