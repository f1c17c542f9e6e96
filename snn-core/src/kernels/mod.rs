//! The numeric kernels: the only part of the workspace with `unsafe`.
//!
//! Each kernel is sequential and takes slices; [`par`] splits work over threads in chunks of a fixed size, so that
//! results do not depend on the number of threads.

#![allow(unsafe_code, reason = "matrix kernels of another crate and run-time dispatch on CPU features")]

pub mod channels;
pub mod conv;
mod events;
pub mod gemm;
pub mod levels;
pub mod par;
pub mod scan;
pub mod simd;
pub mod spike_matmul;
