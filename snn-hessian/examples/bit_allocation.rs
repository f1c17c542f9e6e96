//! Chooses the bits of three layers under a budget from their curvature and quantization errors.
//!
//! Run it with `cargo run -p snn-hessian --example bit_allocation`.
#![allow(clippy::print_stdout, reason = "an example shows its results")]

use snn_hessian::{
    Budget, Constraints, NegativeCurvature, TensorTrace, allocate, allocate_greedy, pareto_front, sensitivity,
};
use std::collections::BTreeMap;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Name, number of weights, Hessian trace with its standard error, mean squared weight. In a real run the
    // traces come from Hutchinson's estimator and the errors from the quantizer.
    let layers = [
        ("conv1.weight", 6_272, 310.0, 12.0, 0.02),
        ("conv2.weight", 401_408, 95.0, 4.0, 0.003),
        ("conv3.weight", 802_816, 1_240.0, 31.0, 0.001),
    ];
    let mut traces = BTreeMap::new();
    let mut errors = BTreeMap::new();
    for (name, n_params, mean, std_err, square) in layers {
        traces.insert(name.to_string(), TensorTrace { mean, std_err, n_params });
        let error = |bits: u32| square * n_params as f64 * 0.25f64.powi(bits.cast_signed());
        errors.insert(name.to_string(), [2, 3, 4, 6, 8].map(|bits| (bits, error(bits))).into());
    }
    let table = sensitivity(&traces, &errors, NegativeCurvature::Refuse)?;

    let constraints = Constraints::default();
    let exact = allocate(&table, Budget::MeanBits(3.0), &constraints)?;
    let greedy = allocate_greedy(&table, Budget::MeanBits(3.0), &constraints)?;
    println!("exact : {:?}  omega {:.4}  {} bytes", exact.bits, exact.omega, exact.bytes);
    println!("greedy: {:?}  omega {:.4}  {} bytes", greedy.bits, greedy.omega, greedy.bytes);

    let front = pareto_front(&table, &constraints, 10)?;
    println!("\n     bytes      omega  bits");
    for point in &front.points {
        println!("{:>10} {:>10.4}  {:?}", point.bytes, point.omega, point.bits.values().collect::<Vec<_>>());
    }
    Ok(())
}
