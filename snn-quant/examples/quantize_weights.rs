//! Quantizes the weights of a small network as a plan says, and shows what it costs in error and bytes.
//!
//! Run it with `cargo run -p snn-quant --example quantize_weights`.
#![allow(clippy::print_stdout, reason = "an example shows its results")]

use snn_quant::uniform::{Granularity, ScaleRule, UniformSpec};
use snn_quant::{BitWidth, QuantPlan, QuantSpec, StateSpec, Weights, error_table, pack, plan_size};
use std::collections::BTreeMap;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let conv: Vec<f32> = (0..12 * 2 * 5 * 5).map(|i| (i as f32 * 1.7).sin() * 0.3).collect();
    let fc: Vec<f32> = (0..800 * 10).map(|i| (i as f32 * 0.9).sin().powi(3) * 0.1).collect();
    let tensors = [
        ("conv1.weight", Weights { values: &conv, shape: &[12, 2, 5, 5] }),
        ("fc.weight", Weights { values: &fc, shape: &[800, 10] }),
    ];

    // How far is each tensor from itself at 2, 4 and 8 bits?
    let template = UniformSpec {
        granularity: Granularity::PerChannel,
        scale: ScaleRule::MseSearch,
        ..UniformSpec::new(BitWidth::MAX)
    };
    let widths = [BitWidth::new(2)?, BitWidth::new(4)?, BitWidth::new(8)?];
    for (name, row) in error_table(tensors, &widths, &template)?.rows() {
        println!("{name:14} squared error by bits: {row:.5?}");
    }

    // A plan: 4 bits for one tensor, 2 for the other, membranes at the bits of their layer.
    let bits = BTreeMap::from([("conv1.weight".to_string(), 4), ("fc.weight".to_string(), 2)]);
    let layers = BTreeMap::from([("lif1".to_string(), "conv1.weight".to_string())]);
    let plan = QuantPlan::from_bits_with(&bits, &QuantSpec::Uniform(template))?
        .with_states_at_layer_bits(&layers, &StateSpec::fixed_point(BitWidth::MIN));
    println!("\n{}", plan.to_toml()?);

    let shapes = tensors.map(|(name, w)| (name.to_string(), w.shape.to_vec())).into();
    let size = plan_size(&plan, &shapes)?;
    println!("{size}\nsaved: {:.1} % of the float bytes", 100.0 * size.saved());

    // From floats to packed codes and back.
    let params = plan.weights["fc.weight"].params(&fc, &[800, 10])?;
    let codes = params.codes(&fc);
    let bytes = pack(&codes, params.grids()[0].codes(), params.bits())?;
    println!("fc.weight: {} bytes, first codes {:?}", bytes.len(), &codes[..5]);
    assert_eq!(params.dequantize(&codes), params.fake_quant(&fc));
    Ok(())
}
