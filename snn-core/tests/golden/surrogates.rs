//! Forward, first and second derivative and integral of each surrogate.

use snn_core::neuron::{Firing, SpikeWhen};
use snn_core::surrogate::Surrogate;
use snn_core::{Dual, Scalar};
use snn_testkit::{Golden, assert_close};

/// The surrogate that a case of the file stands for.
fn surrogate(case: &str) -> Surrogate {
    match case {
        "atan_1" => Surrogate::Atan { alpha: 1.0 },
        "atan_2" => Surrogate::Atan { alpha: 2.0 },
        "fast_sigmoid_1" => Surrogate::FastSigmoid { slope: 1.0 },
        "fast_sigmoid_10" => Surrogate::FastSigmoid { slope: 10.0 },
        "fast_sigmoid_25" => Surrogate::FastSigmoid { slope: 25.0 },
        "sigmoid_4" => Surrogate::Sigmoid { slope: 4.0 },
        "sigmoid_25" => Surrogate::Sigmoid { slope: 25.0 },
        "triangular_1" => Surrogate::Triangular { width: 1.0 },
        "triangular_half" => Surrogate::Triangular { width: 0.5 },
        "boxcar_half" => Surrogate::Boxcar { width: 0.5 },
        "boxcar_2" => Surrogate::Boxcar { width: 2.0 },
        "gaussian_half" => Surrogate::Gaussian { std_dev: 0.5 },
        "straight_through" => Surrogate::StraightThrough,
        _ => panic!("no surrogate for case {case}"),
    }
}

fn second_derivative(surrogate: Surrogate, u: f64) -> f64 {
    surrogate.grad(Dual::<f64, 1>::variable(u, [1.0])).tangent(0)
}

/// What the surrogate of a case gives for an array of the file, with the relative tolerance.
fn computed(surrogate: Surrogate, array: &str, u: &[f64]) -> (Vec<f64>, f64) {
    let over_grid = |f: &dyn Fn(f64) -> f64| u.iter().map(|&u| f(u)).collect();
    match array {
        "grad" => (over_grid(&|u| surrogate.grad(u)), 1e-12),
        "grad2" => (over_grid(&|u| second_derivative(surrogate, u)), 1e-11),
        "integral" => (over_grid(&|u| surrogate.primitive(u) - surrogate.primitive(0.0)), 1e-12),
        "library_grad" => (over_grid(&|u| surrogate.grad(f32::from_f64(u)).to_f64()), 2e-4),
        _ => panic!("unknown array {array}"),
    }
}

#[test]
fn surrogates_equal_the_reference() {
    let golden = Golden::open("surrogates");
    let u = golden.get_f64("u").1;
    for (key, case, array) in golden.keys().filter_map(|k| k.split_once('/').map(|(c, a)| (k, c, a))) {
        let (got, rtol) = computed(surrogate(case), array, &u);
        assert_close(key, &got, &golden.get_f64(key).1, rtol, 1e-12);
    }
}

#[test]
fn spike_tests_differ_at_the_threshold_only() {
    let golden = Golden::open("surrogates");
    let u = golden.get_f64("u").1;
    for (key, spike_when) in [("above", SpikeWhen::Above), ("at_or_above", SpikeWhen::AtOrAbove)] {
        let firing = Firing { threshold: 0.0, spike_when, ..Firing::default() };
        let spikes: Vec<f64> = u.iter().map(|&u| firing.spike(u)).collect();
        assert_eq!(spikes, golden.get_f64(key).1, "{key}");
    }
}
