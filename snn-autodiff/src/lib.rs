//! The tape, and what consumes gradients: optimizers, the training loop, curvature products and checks.
//!
//! | module | what |
//! |---|---|
//! | [`tape`] | [`Tape`]: records a forward pass, walks back over it |
//! | [`grads`] | [`Grads`]: tensors by parameter name |
//! | [`mod@hvp`] | exact Hessian and Gauss-Newton products |
//! | [`optim`] | SGD, Adam, AdamW, Adamax, schedules, clipping |
//! | [`mod@fit`] | training, evaluation, checkpoints that resume to the same bytes |
//! | [`mod@profile`] | time and products of each op in a training step |
//! | [`segments`] | activations of a segment of time steps at a time |
//! | [`ranks`] | training divided among processes, with the same bytes |
//! | [`check`] | gradient, Hessian-product and symmetry checks for authors of ops and neurons |

#![forbid(unsafe_code)]

pub mod check;
pub mod fit;
pub mod grads;
pub mod hvp;
pub mod optim;
pub mod profile;
pub mod ranks;
mod readings;
pub mod segments;
pub mod tape;

pub use fit::{Batch, BatchIter, BatchSource, Evaluation, FitConfig, evaluate, fit};
pub use grads::Grads;
pub use hvp::{Sample, ggn_vp, gradient, hvp};
pub use tape::{Tape, Var};
