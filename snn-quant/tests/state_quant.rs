//! Membrane levels, and neurons on them, against snnTorch.

#![allow(clippy::float_cmp, reason = "equal to snnTorch in every bit")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;
use snn_core::Tensor;
use snn_core::neuron::{CubaLif, Lif, NeuronOp, Scan};
use snn_core::op::{Backward, Saved};
use snn_quant::{BitWidth, LevelSpec, Spacing, StateQuantMap, StateSpec, Variant};
use snn_testkit::{Golden, assert_close};
use std::sync::Arc;

const SPACINGS: [(&str, Spacing); 3] = [
    ("uniform", Spacing::Uniform),
    ("threshold_centered", Spacing::ThresholdCentered),
    ("zero_centered", Spacing::ZeroCentered),
];

fn spacing(name: &str) -> Spacing {
    SPACINGS.iter().find(|(of, _)| *of == name).unwrap_or_else(|| panic!("no spacing {name}")).1
}

fn spec(bits: u32, spacing: Spacing) -> LevelSpec {
    LevelSpec { spacing, ..LevelSpec::new(BitWidth::new(bits).unwrap()) }
}

fn f32s(golden: &Golden, key: &str) -> Vec<f32> {
    tensor(golden, key).into_vec()
}

fn tensor(golden: &Golden, key: &str) -> Tensor<f32> {
    let (shape, values) = golden.get_f64(key);
    Tensor::new(&shape, values).cast()
}

#[test]
fn tables_equal_the_library_in_every_bit() {
    let golden = Golden::open("state_quant");
    let cases: Vec<&str> = golden.cases().into_iter().filter(|case| case.starts_with("table/")).collect();
    assert_eq!(cases.len(), 20);
    for case in cases {
        let parts: Vec<&str> = case.split('/').collect();
        let number = |i: usize| parts[i].parse::<f64>().unwrap();
        let tables = (1..=8).flat_map(|bits| {
            let (threshold, lower_limit, upper_limit) = (number(2), number(3), number(4));
            let multiplier = parts[5].parse().ok();
            let spec = spec(bits, spacing(parts[1]));
            let spec = LevelSpec { threshold, lower_limit, upper_limit, multiplier, ..spec };
            spec.table().unwrap().levels().to_vec()
        });
        assert_eq!(tables.collect::<Vec<_>>(), f32s(&golden, &format!("{case}/levels")), "{case}");
    }
}

#[test]
fn values_take_the_levels_that_the_library_gives_them() {
    let golden = Golden::open("state_quant");
    for (name, spacing) in SPACINGS {
        for bits in [1, 2, 4, 8] {
            let mut x = f32s(&golden, &format!("values/{name}/{bits}/x"));
            spec(bits, spacing).table().unwrap().quantize(&mut x);
            assert_eq!(x, f32s(&golden, &format!("values/{name}/{bits}/y")), "{name} {bits}");
        }
    }
}

/// The neuron of a case, with its inputs.
fn neuron(golden: &Golden, kind: &str) -> (Box<dyn NeuronOp<f32>>, Vec<Tensor<f32>>) {
    let x = tensor(golden, "x");
    let lif = Lif::snntorch(0.875);
    let cuba = CubaLif { alpha: 0.75, beta: 0.875, firing: lif.firing };
    match kind {
        "leaky" => (Box::new(Scan::new(lif)), vec![x]),
        "synaptic" => (Box::new(Scan::new(cuba)), vec![x]),
        _ => {
            let weight = Tensor::from_array(tensor(golden, "recurrent_w").to_array().reversed_axes());
            (Box::new(Scan::new(lif).recurrent()), vec![x, weight, tensor(golden, "recurrent_b")])
        }
    }
}

/// Checks a case; returns its number of spikes.
fn check(golden: &Golden, kind: &str, case: &str, spec: &StateSpec) -> f32 {
    let levels = Arc::new(spec.found_levels().unwrap());
    let (scan, inputs) = neuron(golden, kind);
    let scan = scan.with_state_map(Arc::new(StateQuantMap::new(spec, levels.clone(), None)));
    let x: Vec<&Tensor<f32>> = inputs.iter().collect();

    let run = scan.trajectory(&x);
    assert_eq!(run.spikes.as_slice(), f32s(golden, &format!("{case}/spk")), "{case}");
    for (state, array) in run.states.iter().zip(["mem", "syn"]) {
        let stored: Vec<f32> = state.as_slice().iter().map(|&u| levels.nearest(u)).collect();
        assert_eq!(stored, f32s(golden, &format!("{case}/{array}")), "{case}/{array}");
    }

    let mut saved = Saved::keeping();
    let y = scan.forward(&x, &mut saved);
    let gy = tensor(golden, "g_spk");
    let ctx = Backward { x: &x, y: &y, saved: &saved, gy: &gy, need: &vec![true; x.len()] };
    let gx = scan.backward(&ctx).swap_remove(0).unwrap();
    let want = golden.get_f64(&format!("{case}/gx_spk")).1;
    let greatest = want.iter().fold(0.0_f64, |m, g| m.max(g.abs()));
    assert_close(case, gx.as_slice(), &want, 0.0, 1e-5 * greatest);
    y.as_slice().iter().sum()
}

#[test]
fn neurons_on_levels_step_and_learn_as_in_the_library() {
    let golden = Golden::open("state_quant");
    let mut n_spikes = 0.0;
    for kind in ["leaky", "synaptic", "rleaky"] {
        for (name, spacing) in SPACINGS {
            for bits in [2, 4] {
                let spec = StateSpec::levels(spec(bits, spacing));
                n_spikes += check(&golden, kind, &format!("{kind}/{name}/{bits}"), &spec);
            }
        }
    }
    assert!(n_spikes > 100.0, "{n_spikes} spikes tell little");
}

/// The definition: the first of the levels at the smallest distance.
fn first_nearest(levels: &[f32], x: f32) -> f32 {
    levels.iter().copied().min_by(|a, b| (a - x).abs().total_cmp(&(b - x).abs())).unwrap()
}

fn any_spec() -> impl Strategy<Value = LevelSpec> {
    let limits = (0.2_f64..6.0, -1.0_f64..0.6, 0.0_f64..0.6);
    let multiplier = prop_oneof![Just(None), (0.05_f64..1.2).prop_map(Some)];
    let fields = (1_u32..=8, 0_usize..3, any::<bool>(), limits, multiplier);
    fields.prop_map(|(bits, s, is_exact, (threshold, lower_limit, upper_limit), multiplier)| {
        let variant = if is_exact { Variant::ZeroExact } else { Variant::SnntorchCompat };
        let spec = spec(bits, SPACINGS[s].1);
        LevelSpec { variant, threshold, lower_limit, upper_limit, multiplier, ..spec }
    })
}

proptest! {
    #[test]
    fn the_fast_search_takes_the_first_of_the_nearest_levels(
        spec in any_spec(), draws in prop::collection::vec(-2.0_f64..2.0, 50),
    ) {
        let table = spec.table().unwrap();
        let draws: Vec<f64> = draws.iter().map(|u| u * spec.threshold).collect();
        let mut x = Tensor::new(&[50], draws).cast::<f32>().into_vec();
        x.extend(table.boundaries());
        x.extend(table.boundaries().iter().map(|b| b.next_up()));
        let one_by_one: Vec<f32> = x.iter().map(|&x| table.nearest(x)).collect();
        let mut at_once = x.clone();
        table.quantize(&mut at_once);
        prop_assert_eq!(&at_once, &one_by_one);
        for (x, level) in x.into_iter().zip(at_once) {
            let first = first_nearest(table.levels(), x);
            prop_assert_eq!((level - x).abs(), (first - x).abs());
            // Where levels crowd more than `f32` can tell from afar, any of the crowd is as near.
            prop_assert!(level >= first && f64::from(level - first) <= 1e-6 * spec.threshold);
        }
    }

    #[test]
    fn levels_rise_and_zero_is_one_of_them_where_it_should_be(spec in any_spec()) {
        let table = spec.table().unwrap();
        prop_assert_eq!(table.levels().len(), 1 << spec.bits.get());
        prop_assert!(table.levels().is_sorted(), "{:?}", table.levels());
        if spec.variant == Variant::ZeroExact {
            let code = table.zero_code().unwrap();
            prop_assert_eq!(table.levels()[code], 0.0);
            prop_assert_eq!(table.nearest(0.0), 0.0);
        }
    }

    #[test]
    fn integer_membranes_take_the_same_codes(
        spec in any_spec(), unit in 1e-3_f64..0.2, u in -4000_i64..4000,
    ) {
        let table = spec.table().unwrap();
        let code = table.integer_boundaries(unit).iter().filter(|&&b| u > b).count();
        let exact = table.boundaries().iter().filter(|&&b| u as f64 * unit > f64::from(b)).count();
        prop_assert_eq!(code, exact);
        for (level, &value) in table.integer_levels(unit).iter().zip(table.levels()) {
            prop_assert!((*level as f64 * unit - f64::from(value)).abs() <= unit * 0.5 + 1e-9);
        }
    }
}

#[test]
fn the_published_tables() {
    let close = |got: &[f32], want: &[f64]| assert_close("levels", got, want, 0.0, 1e-6);
    let table = |bits, spacing| spec(bits, spacing).table().unwrap().levels().to_vec();
    close(&table(2, Spacing::Uniform), &[-1.0, -0.266_667, 0.466_667, 1.2]);
    close(&table(2, Spacing::ThresholdCentered), &[-1.0, 0.801_802, 0.981_982, 1.2]);
    close(&table(2, Spacing::ZeroCentered), &[-1.0, 0.010_811, 0.118_919, 1.2]);
    close(&table(1, Spacing::ZeroCentered), &[0.057_143, 1.2]);
    let exact = |spacing| LevelSpec { variant: Variant::ZeroExact, ..spec(2, spacing) }.table().unwrap();
    close(exact(Spacing::Uniform).levels(), &[-0.733_333, 0.0, 0.733_333, 1.466_667]);
    close(exact(Spacing::ThresholdCentered).levels(), &[-1.0, 0.0, 0.981_982, 1.2]);
    close(exact(Spacing::ZeroCentered).levels(), &[-1.0, 0.0, 0.118_919, 1.2]);
}
