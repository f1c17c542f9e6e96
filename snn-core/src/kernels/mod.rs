//! The numeric kernels: the only part of the workspace with `unsafe`.
//!
//! Each kernel is sequential and takes slices; [`par`] splits work over threads in chunks of a fixed size, so that
//! results do not depend on the number of threads.
//!
//! On x86-64 the kernels are compiled for several instruction sets and choose the widest that the CPU has ([`simd`]). All give the
//! same bits. With the environment variable `SNN_VECTORS=baseline` or `avx2` they choose among fewer.

#![allow(unsafe_code, reason = "matrix kernels of another crate and run-time dispatch on CPU features")]

mod aligned;
pub mod channels;
pub mod conv;
mod events;
pub mod gemm;
pub mod levels;
pub mod number;
pub mod panels;
pub mod par;
pub mod pattern;
pub mod planes;
pub mod pool;
pub mod scan;
pub mod simd;
pub mod spike_matmul;
pub mod sums;

/// Bytes that a second-level cache may still have.
pub(crate) const CACHE: usize = 1 << 21;

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::process::Command;

    /// The tests of kernels, ops and the stem, in a process that may use no more than the baseline or AVX2.
    #[test]
    fn all_tests_of_kernels_pass_with_narrower_vectors() {
        if std::env::var_os("SNN_VECTORS").is_some() {
            return;
        }
        for vectors in ["baseline", "avx2"] {
            let mut tests = Command::new(std::env::current_exe().unwrap());
            let output = tests
                .args(["kernels::", "ops::", "neuron::stem"])
                .env("SNN_VECTORS", vectors)
                .output()
                .unwrap();
            assert!(output.status.success(), "{vectors}:\n{}", String::from_utf8_lossy(&output.stdout));
        }
    }
}
