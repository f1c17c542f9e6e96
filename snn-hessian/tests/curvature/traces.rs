//! Hutchinson's estimates against exact traces.

use crate::nets::{Batches, Case, case};
use snn_autodiff::Batch;
use snn_core::loss::Loss;
use snn_core::{Module, Tensor};
use snn_hessian::{
    Curvature, CurvatureError, Distribution, ExactConfig, ParamSet, StopReason, TraceConfig, TraceReport,
    curvature_matrix, exact_traces, hutchinson,
};
use snn_testkit::Golden;
use std::ops::ControlFlow;

const LOSS: Loss = Loss::CrossEntropyCount;
const CURVATURES: [Curvature; 2] = [Curvature::Hessian, Curvature::GaussNewton];
const DISTRIBUTIONS: [Distribution; 2] = [Distribution::Rademacher, Distribution::Gaussian];

fn dense() -> Case {
    case(&Golden::open("hessian"), "dense/atan_2/detached")
}

/// A fixed number of probes.
fn probes(n: usize) -> TraceConfig {
    TraceConfig { max_probes: n, min_probes: n.min(2), rel_std_err: 0.0, ..TraceConfig::default() }
}

fn run(case: &Case, data: &Batches, config: &TraceConfig) -> Result<TraceReport, CurvatureError> {
    hutchinson(&case.net, &LOSS, data, config, &mut |_| ControlFlow::Continue(()))
}

/// The samples in batches of different sizes.
fn uneven(case: &Case) -> Batches {
    let (shape, x) = (case.batch.x.shape(), case.batch.x.as_slice());
    let part = |samples: std::ops::Range<usize>| {
        let rows = x
            .chunks(shape[1] * shape[2])
            .flat_map(|step| &step[samples.start * shape[2]..samples.end * shape[2]]);
        let x = Tensor::new(&[shape[0], samples.len(), shape[2]], rows.copied().collect());
        Batch { x, labels: case.batch.labels[samples].to_vec() }
    };
    Batches(vec![part(0..3), part(3..4)])
}

#[test]
fn estimates_lie_within_four_standard_errors_of_exact_traces() {
    let case = dense();
    for curvature in CURVATURES {
        let exact = ExactConfig { curvature, ..ExactConfig::default() };
        let exact = exact_traces(&case.net, &LOSS, &case.data(), &exact).unwrap();
        assert_eq!(exact.keys().collect::<Vec<_>>(), ["0.weight", "1.weight"], "biases are left out");
        for distribution in DISTRIBUTIONS {
            let config = TraceConfig { curvature, distribution, seed: 11, ..probes(200) };
            let report = run(&case, &case.data(), &config).unwrap();
            for (name, trace) in &report.tensors {
                let distance = (trace.mean - exact[name].mean).abs();
                assert!(distance < 4.0 * trace.std_err, "{curvature:?} {distribution:?} {name}: {trace:?}");
                assert_eq!(trace.n_params, exact[name].n_params);
            }
            let sum: f64 = report.tensors.values().map(|t| t.mean).sum();
            assert!((report.total.mean - sum).abs() < 1e-9 * sum.abs());
        }
    }
}

#[test]
fn the_standard_error_is_that_of_theory_and_shrinks_with_probes() {
    let case = dense();
    let matrix = curvature_matrix(&case.net, &LOSS, &case.data(), &ExactConfig::default()).unwrap().entries;
    let n = matrix.shape()[0];
    let squares: f64 = matrix.as_slice().iter().map(|h| h * h).sum();
    let diagonal: f64 = (0..n).map(|i| matrix.as_slice()[i * (n + 1)].powi(2)).sum();
    for (distribution, variance) in DISTRIBUTIONS.into_iter().zip([2.0 * (squares - diagonal), 2.0 * squares])
    {
        for n_probes in [64, 1024] {
            let report = run(&case, &case.data(), &TraceConfig { distribution, ..probes(n_probes) }).unwrap();
            let ratio = report.total.std_err / (variance / n_probes as f64).sqrt();
            assert!((0.7..1.4).contains(&ratio), "{distribution:?}, {n_probes} probes: {ratio}");
        }
    }
}

#[test]
fn the_trace_is_that_of_the_mean_over_batches_of_any_size() {
    let case = dense();
    let config = ExactConfig::default();
    let whole = exact_traces(&case.net, &LOSS, &case.data(), &config).unwrap();
    let parts = exact_traces(&case.net, &LOSS, &uneven(&case), &config).unwrap();
    let sampled = [case.data(), uneven(&case)].map(|data| run(&case, &data, &probes(3)).unwrap());
    assert_eq!(sampled[1].n_samples, 4);
    for name in whole.keys() {
        assert!((whole[name].mean - parts[name].mean).abs() < 1e-12 * whole[name].mean.abs());
        let [a, b] = sampled.each_ref().map(|report| report.tensors[name].mean);
        assert!((a - b).abs() < 1e-4 * a.abs(), "{a} {b}");
    }
}

#[test]
fn threads_do_not_change_the_result() {
    let case = dense();
    let config = TraceConfig { micro_batch: 1, ..probes(5) };
    let with_threads = |n| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
        pool.install(|| run(&case, &uneven(&case), &config).unwrap())
    };
    assert_eq!(with_threads(1), with_threads(2));
}

#[test]
fn each_probe_has_a_gauss_newton_trace_that_is_not_negative() {
    for name in ["dense/sigmoid_5/detached", "conv/atan_2/detached"] {
        let case = case(&Golden::open("hessian"), name);
        let config = TraceConfig { curvature: Curvature::GaussNewton, ..probes(30) };
        let mut previous = 0.0;
        hutchinson(&case.net, &LOSS, &case.data(), &config, &mut |report| {
            let sum = report.total.mean * report.n_probes as f64;
            assert!(sum - previous > -1e-4 * sum, "v·Gv = {}", sum - previous);
            previous = sum;
            ControlFlow::Continue(())
        })
        .unwrap();
    }
}

#[test]
fn the_stop_rule_looks_at_every_standard_error() {
    let case = dense();
    let config =
        TraceConfig { curvature: Curvature::GaussNewton, rel_std_err: 0.1, ..TraceConfig::default() };
    let config = TraceConfig { max_probes: 4000, min_probes: 2, ..config };
    let report = run(&case, &case.data(), &config).unwrap();
    assert_eq!(report.stop, Some(StopReason::Converged));
    assert!(report.tensors.values().chain([&report.total]).all(|t| t.std_err <= 0.1 * t.mean.abs()));
    let stop = |min_probes, max_probes, rel_std_err| {
        let config = TraceConfig { min_probes, max_probes, rel_std_err, ..config.clone() };
        let report = run(&case, &case.data(), &config).unwrap();
        (report.n_probes, report.stop.unwrap())
    };
    assert_eq!(stop(report.n_probes, 4000, 0.1).0, report.n_probes);
    assert_eq!(stop(7, 50, 1e9), (7, StopReason::Converged), "not before the least number");
    assert_eq!(stop(0, 50, 1e9), (2, StopReason::Converged), "one probe has no standard error");
    assert_eq!(stop(2, 5, 1e-9), (5, StopReason::MaxProbes));
    assert_eq!(stop(1, 1, 0.1), (1, StopReason::MaxProbes));
}

#[test]
fn the_observer_sees_every_probe_and_may_stop() {
    let case = dense();
    let mut seen = Vec::new();
    let report = hutchinson(&case.net, &LOSS, &case.data(), &probes(50), &mut |report| {
        seen.push(report.n_probes);
        if report.n_probes == 6 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let report = report.unwrap();
    assert_eq!((report.n_probes, report.stop), (6, Some(StopReason::Observer)));
    assert_eq!(seen, [1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_set_of_parameters_restricts_the_curvature() {
    let case = dense();
    let names = |params| {
        let report = run(&case, &case.data(), &TraceConfig { params, ..probes(2) }).unwrap();
        report.tensors.into_keys().collect::<Vec<_>>()
    };
    assert_eq!(names(ParamSet::Trained), ["0.bias", "0.weight", "1.bias", "1.weight"]);
    assert_eq!(names(ParamSet::Named(vec!["1.bias".to_owned()])), ["1.bias"]);
}

#[test]
fn wrong_settings_and_data_are_refused() {
    let case = dense();
    let message = |config: &TraceConfig| run(&case, &case.data(), config).unwrap_err().to_string();
    let named = ParamSet::Named(vec!["2.weight".to_owned()]);
    let cases = [
        (TraceConfig { micro_batch: 0, ..probes(2) }, "micro_batch is 0, but must be at least 1"),
        (probes(0), "max_probes is 0, but must be at least 1"),
        (TraceConfig { min_probes: 3, ..probes(2) }, "min_probes is 3, but must be at most max_probes"),
        (
            TraceConfig { rel_std_err: f64::NAN, ..probes(2) },
            "rel_std_err is NaN, but must be a finite number, 0 or more",
        ),
        (
            TraceConfig { params: named, ..probes(2) },
            "the network has no parameter `2.weight` that is trained",
        ),
    ];
    for (config, want) in cases {
        assert_eq!(message(&config), want);
    }
    let nothing = run(&case, &Batches(Vec::new()), &probes(2)).unwrap_err();
    assert_eq!(nothing.to_string(), "the data source has no samples");
    let mut short = case.batch.clone();
    short.labels.pop();
    let short = run(&case, &Batches(vec![short]), &probes(2)).unwrap_err();
    assert_eq!(short.to_string(), "batch of shape [6, 4, 6] with 3 labels");
}

#[test]
fn what_is_not_finite_names_its_tensor() {
    let mut case = dense();
    case.net.visit_params_mut(&mut |p| {
        if p.name == "1.weight" {
            p.value = p.value.map(|_| f32::NAN);
        }
    });
    let sampled = run(&case, &case.data(), &probes(2)).unwrap_err();
    let exact = exact_traces(&case.net, &LOSS, &case.data(), &ExactConfig::default()).unwrap_err();
    for error in [sampled, exact] {
        assert!(matches!(&error, CurvatureError::NonFinite { value, .. } if value.is_nan()), "{error}");
        assert!(error.to_string().contains(".weight` is NaN"), "{error}");
    }
}
