//! Comparison with the reference arrays of `tests/golden`; `tools/golden/README.md` describes them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod bptt;
mod conv2d;
mod optim;
