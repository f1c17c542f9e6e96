//! Quantizers, quantization plans and quantized execution for spiking neural networks.
//!
//! - [`uniform`] finds the scales of weight tensors, [`FixedPoint`] is the format of weights and membranes
//!   whose range does not depend on them, [`LevelSpec`] the tables of membrane levels that crowd somewhere, [`Observer`]
//!   finds ranges from a stream of values.
//! - [`Grid`] and [`QuantParams`] are what all of them end in: evenly spaced levels, per tensor or channel,
//!   with codes, values and fake quantization. [`ste_backward`] and [`lsq_scale_backward`] are their
//!   gradients.
//! - [`QuantPlan`] says which tensor and which membrane gets what, as data and as TOML; [`plan_size`] counts
//!   its bytes and [`error_table`] the squared errors that bit allocation needs.
//! - [`exact`] computes a network in integers while it is trained, and lowers it to a model of `snn-int`.
//!
//! Rounding is half to even everywhere, but where a specification asks for stochastic rounding, and in tables of levels,
//! where it is half down as in snnTorch.
//!
//! # Examples
//! ```
//! use snn_quant::{QuantPlan, plan_size};
//! use std::collections::BTreeMap;
//!
//! let plan = QuantPlan::from_toml("[weights]\n\"fc.weight\" = { bits = 4 }", "plan.toml")?;
//! let weights: Vec<f32> = (0..20).map(|i| i as f32 / 10.0 - 1.0).collect();
//! let params = plan.weights["fc.weight"].params(&weights, &[4, 5]).unwrap();
//! assert_eq!(params.codes(&weights)[0], -7);
//! let size = plan_size(&plan, &BTreeMap::from([("fc.weight".to_string(), vec![4, 5])]))?;
//! assert_eq!(size.bytes(), 10 + 4);
//! # Ok::<(), snn_quant::PlanError>(())
//! ```
#![forbid(unsafe_code)]

mod bits;
mod error;
mod error_table;
pub mod exact;
mod exec;
mod fake_quant;
mod fixed_point;
mod gradient;
mod grid;
mod histogram;
mod learned_levels;
mod levels;
mod num;
mod observer;
mod pack;
mod plan;
mod rounding;
mod size;
mod spec;
mod state_quant;
pub mod uniform;

pub use bits::BitWidth;
pub use error::QuantError;
pub use error_table::{ErrorTable, TensorError, Weights, error_table};
pub use exec::{QuantExec, Quantized, calibrate, weight_shapes};
pub use fake_quant::FakeQuant;
pub use fixed_point::{Calibrate, FixedPoint, FixedPointSpec, IntBits};
pub use gradient::{lsq_scale_backward, ste_backward};
pub use grid::{CodeSet, Grid, QuantParams};
pub use learned_levels::Learn;
pub use levels::{LevelSpec, LevelTable, Spacing, Variant};
pub use observer::Observer;
pub use pack::{pack, unpack};
pub use plan::{PlanError, QuantPlan};
pub use rounding::{DrawPosition, Rounding};
pub use size::{PlanSize, TensorSize, plan_size};
pub use spec::{Placement, QuantSpec, StateQuantizer, StateSpec, Variables};
pub use state_quant::{StateLevels, StateQuantMap};
