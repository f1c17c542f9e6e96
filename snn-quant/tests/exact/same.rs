//! The forward that is trained equals the integer engine.

use crate::draw::draw;
use snn_core::Tensor;
use snn_int::Model;
use snn_int::neuron::Store;
use snn_int::spec::{ModelSpec, SynapseSpec};
use snn_quant::exact::{Compared, Comparison, Exact, Verifier, lower};

fn compare(net: &Exact, spec: &ModelSpec, x: &Tensor<f32>) -> Comparison {
    let bytes = spec.to_bytes().unwrap();
    let mut verifier = Verifier::new(net, Model::from_bytes(&bytes).unwrap()).unwrap();
    verifier.compare(x).unwrap()
}

#[test]
fn random_networks_under_random_plans_are_exact() {
    const CASES: u64 = 11_000;
    let (mut all, mut n_exact, mut n_active, mut n_wide, mut n_tables) = (Compared::default(), 0, 0, 0, 0);
    for seed in 0.. {
        if n_exact == CASES {
            break;
        }
        let Some((net, x)) = draw(seed) else { continue };
        n_exact += 1;
        let spec = lower(&net, "").unwrap();
        n_wide += u64::from(is_wide(&spec));
        n_tables +=
            u64::from(spec.layers.iter().any(|layer| matches!(layer.neuron.store, Store::Levels { .. })));
        match compare(&net, &spec, &x) {
            Comparison::Equal { compared, .. } => {
                all.spikes += compared.spikes;
                all.membranes += compared.membranes;
                n_active += u64::from(compared.spikes > 0);
            }
            Comparison::Different(found) => panic!("seed {seed}: {found:?}\n{:?}", net.plan()),
        }
        assert!(seed < 3 * CASES, "most plans are refused: {n_exact} of {seed}");
    }
    println!("{CASES} networks, {n_active} spike, {n_wide} are wide, {n_tables} have tables: {all:?}");
    assert!(n_active > CASES / 2, "{n_active} of {CASES} networks spike");
    assert!(n_wide > CASES / 200 && n_tables > CASES / 20, "{n_wide} and {n_tables} of {CASES}");
}

/// Whether the sums of the first layer may exceed what `f32` holds exactly.
fn is_wide(spec: &ModelSpec) -> bool {
    let magnitude = |w: &i16| i64::from(*w).abs();
    let sums: Vec<i64> = match &spec.layers[0].synapses {
        SynapseSpec::Dense { n_out, weights } => {
            let n = *n_out as usize;
            (0..n).map(|o| weights.values.iter().skip(o).step_by(n).map(magnitude).sum()).collect()
        }
        SynapseSpec::Conv { conv, weights } => {
            let of_channel = weights.values.len() / conv.channels as usize;
            weights.values.chunks(of_channel).map(|codes| codes.iter().map(magnitude).sum()).collect()
        }
        SynapseSpec::Sum { .. } => return false,
    };
    sums.iter().any(|sum| sum * i64::from(spec.input_max) >= 1 << 24)
}

#[test]
fn a_changed_integer_is_found() {
    let mut found = 0;
    for seed in 0..60 {
        let Some((net, x)) = draw(seed) else { continue };
        let mut spec = lower(&net, "").unwrap();
        spec.layers[0].biases[0] += 1 << 12;
        if let Comparison::Different(divergence) = compare(&net, &spec, &x) {
            assert_eq!(divergence.layer, spec.layers[0].name);
            found += 1;
        }
    }
    assert!(found > 20, "{found}");
}
