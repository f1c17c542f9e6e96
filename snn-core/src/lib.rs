//! Tensors, spiking neuron dynamics, ops and layers: the pure-CPU core that training, quantization, curvature and
//! inference share.
//!
//! | module | what |
//! |---|---|
//! | [`scalar`] | `f32`, `f64`, dual numbers: what tensors hold |
//! | [`tensor`] | contiguous row-major tensors with shared storage |
//! | [`codes`] | the whole numbers that weights on a grid are |
//! | [`op`], [`ops`] | functions of tensors with their backward rule, one file each |
//! | [`neuron`] | neuron dynamics, scanned over time with hand-written backpropagation through time |
//! | [`surrogate`] | surrogate gradients of the spike |
//! | [`exec`] | the trait through which a network is interpreted, and [`exec::Eager`] inference |
//! | [`layer`] | layers with parameters, and [`layer::Sequential`] |
//! | [`loss`] | losses and predictions from output spikes |
//! | [`encode`], [`init`] | spike encoders, seeded initializers |
//! | [`metrics`] | firing rates, synaptic operations |
//! | [`io`] | checkpoints as `.npz` and safetensors |
//!
//! Time is the outermost axis of every activation: `[T, B, features…]`, images `[T, B, C, H, W]`. Linear weights are
//! `[in, out]`, convolution weights `[out, in / groups, kh, kw]`.
//!
//! This crate knows no tape, no quantizer and no data set.

pub mod codes;
pub mod encode;
pub mod error;
pub mod exec;
pub mod init;
pub mod io;
pub mod kernels;
pub mod layer;
pub mod loss;
pub mod metrics;
pub mod module;
pub mod neuron;
pub mod op;
pub mod ops;
pub mod rng;
pub mod scalar;
pub mod surrogate;
pub mod tensor;

pub use codes::Codes;
pub use error::{CheckpointError, ShapeError};
pub use exec::{Eager, Exec};
pub use module::{Module, Param, Pass, Role};
pub use scalar::{Dual, Real, Scalar};
pub use tensor::Tensor;
