//! Integer inference of spiking neural networks.
//!
//! No standard library, no floating point, no unsafe code. A model is a slice of bytes (the `.snni` file, which may lie in
//! flash), [`Model`] a checked view of it, [`Runner`] what runs it in memory that the caller lends or, with the feature
//! `alloc`, in memory of its own ([`Engine`]).
//!
//! - [`arith`] has every integer operation: rounding, overflow, leaks, scales. They stand here once; the trainer
//!   (`snn-quant`) calls the same functions.
//! - [`neuron`] has the time step of a neuron, made of them.
//! - [`weights`] has packed codes of 1 to 16 bits, [`model`] layers and the file format, [`runner`] the event-driven loop,
//!   [`spec`] what models are built from.
//!
//! Work is proportional to spikes: each nonzero input of a layer adds one row of weights. Engines lay weights out for speed, and
//! with the feature `simd` use the widest vectors of the machine that they run on; in lent memory, binary and ternary rows
//! are added with bit operations, 64 columns at a time.
//!
//! Frames are kept row, column, channel, so that what one event reaches lies side by side; what goes in and out by
//! index is channel, row, column, as everywhere else.
//!
//! # Examples
//! ```
//! # #[cfg(feature = "alloc")] {
//! use snn_int::neuron::{Neuron, Width};
//! use snn_int::spec::{Codes, LayerSpec, ModelSpec, SynapseSpec};
//! use snn_int::{Engine, Model, Shape};
//!
//! let weights = Codes { bits: 4, values: vec![3, -2, 5, 7] }; // [in, out]
//! let synapses = SynapseSpec::Dense { n_out: 2, weights };
//! let layer = LayerSpec::new("fc", synapses, Neuron::lif(Width::saturating(8)), 4);
//! let spec = ModelSpec { input: Shape::flat(2), input_max: 1, layers: vec![layer], meta: String::new() };
//! let bytes = spec.to_bytes()?;
//!
//! let mut engine = Engine::new(Model::from_bytes(&bytes)?);
//! for _ in 0..3 {
//!     engine.add_event(0, 0, 1)?; // row 0, column 0, channel 1
//!     engine.step();
//! }
//! assert_eq!(engine.scores(), [3, 3]); // spikes of each output
//! # }
//! # Ok::<(), snn_int::ModelError>(())
//! ```
#![no_std]
#![forbid(unsafe_code)]
#![deny(clippy::float_arithmetic)]

#[cfg(feature = "alloc")]
extern crate alloc;

pub mod arith;
mod bytes;
mod counters;
mod error;
mod lanes;
pub mod model;
pub mod neuron;
mod num;
pub mod runner;
mod simd;
#[cfg(feature = "alloc")]
pub mod spec;
pub mod weights;

pub use error::ModelError;
pub use model::{Model, Shape};
#[cfg(feature = "alloc")]
pub use runner::Engine;
pub use runner::{Buffers, Runner, Sizes};
