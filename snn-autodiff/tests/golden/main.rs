//! Comparison with the reference arrays of `tests/golden`; `tools/golden/README.md` describes them.

mod bptt;
mod conv2d;
mod optim;
