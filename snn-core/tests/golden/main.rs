//! Comparison with the reference arrays of `tests/golden`; `tools/golden/README.md` describes them.
//!
//! Losses are compared in their unit test, whole networks and optimizers in `snn-autodiff`.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod neurons;
mod surrogates;
