//! Curvature products, traces and eigenvalues: against `PyTorch`'s double backward, and against each other.
#![allow(clippy::unwrap_used, reason = "tests")]

mod eigenvalue;
mod golden;
mod nets;
mod traces;
