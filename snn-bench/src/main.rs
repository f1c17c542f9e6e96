//! The `snn-bench` program.

#![forbid(unsafe_code)]

fn main() {}
