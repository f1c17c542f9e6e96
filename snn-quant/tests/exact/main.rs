//! Exact networks: the same as the integer engine, trainable, or refused with the reason.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "helpers of tests fail by panic; integers are compared exactly"
)]

mod draw;
mod gradients;
mod refused;
mod same;
mod take_over;
