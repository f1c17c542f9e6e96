//! The top eigenvalue against plain power iteration on the golden matrices.

use crate::nets::case;
use snn_core::layer::Sequential;
use snn_core::loss::Loss;
use snn_hessian::{
    Curvature, CurvatureError, ExactConfig, MAX_MATRIX_PARAMS, ParamSet, PowerConfig, curvature_matrix,
    top_eigenvalue,
};
use snn_testkit::Golden;

const LOSS: Loss = Loss::CrossEntropyCount;

/// The eigenvalue of largest magnitude of a symmetric matrix by plain power iteration.
fn power_iteration(matrix: &[Vec<f64>]) -> f64 {
    let multiply = |v: &[f64]| -> Vec<f64> {
        matrix.iter().map(|row| row.iter().zip(v).map(|(a, b)| a * b).sum()).collect()
    };
    let mut v: Vec<f64> = (0..matrix.len()).map(|i| 1.0 + (i % 3) as f64).collect();
    let mut quotient = 0.0;
    for _ in 0..20_000 {
        let norm = v.iter().map(|x| x * x).sum::<f64>().sqrt();
        v.iter_mut().for_each(|x| *x /= norm);
        let next = multiply(&v);
        quotient = v.iter().zip(&next).map(|(a, b)| a * b).sum();
        v = next;
    }
    quotient
}

fn symmetric(triangle: &[f64]) -> Vec<Vec<f64>> {
    let at = |i: usize, j: usize| triangle[i * (i + 1) / 2 + j];
    let n = (0..).find(|n| n * (n + 1) / 2 >= triangle.len()).unwrap();
    (0..n).map(|i| (0..n).map(|j| at(i.max(j), i.min(j))).collect()).collect()
}

fn config(curvature: Curvature, params: ParamSet) -> PowerConfig {
    PowerConfig { curvature, params, max_iterations: 500, tolerance: 1e-10, ..PowerConfig::default() }
}

#[test]
fn the_whole_matrix() {
    let golden = Golden::open("hessian");
    for name in golden.cases() {
        for (curvature, key) in [(Curvature::Hessian, "hessian"), (Curvature::GaussNewton, "gauss_newton")] {
            let key = format!("{name}/{key}");
            if !golden.contains(&key) {
                continue;
            }
            let case = case(&golden, name);
            let want = power_iteration(&symmetric(&golden.get_f64(&key).1));
            let config = config(curvature, ParamSet::Trained);
            let top = top_eigenvalue(&case.net, &LOSS, &case.data(), &config).unwrap();
            assert!((top.value - want).abs() < 1e-8 * want.abs(), "{key}: {top:?}, want {want}");
            assert!(top.residual <= 1e-10 * top.value.abs(), "{key}: {top:?}");
        }
    }
}

#[test]
fn the_block_of_one_tensor_and_any_seed() {
    let golden = Golden::open("hessian");
    let case = case(&golden, "dense/atan_2/through");
    for name in ["0.weight", "1.weight", "1.bias"] {
        let params = ParamSet::Named(vec![name.to_owned()]);
        let exact = ExactConfig { params: params.clone(), ..ExactConfig::default() };
        let matrix = curvature_matrix(&case.net, &LOSS, &case.data(), &exact).unwrap();
        assert_eq!(matrix.tensors, [(name.to_owned(), 0..matrix.entries.shape()[0])]);
        let rows: Vec<Vec<f64>> =
            matrix.entries.as_slice().chunks(matrix.entries.shape()[0]).map(<[f64]>::to_vec).collect();
        let want = power_iteration(&rows);
        for seed in 0..3 {
            let config = PowerConfig { seed, ..config(Curvature::Hessian, params.clone()) };
            let top = top_eigenvalue(&case.net, &LOSS, &case.data(), &config).unwrap();
            assert!(
                (top.value - want).abs() < 1e-8 * want.abs(),
                "{name}, seed {seed}: {top:?}, want {want}"
            );
        }
    }
}

#[test]
fn settings_out_of_range_are_refused() {
    let case = case(&Golden::open("hessian"), "dense/atan_2/detached");
    let refused = |config: PowerConfig| {
        top_eigenvalue(&case.net, &LOSS, &case.data(), &config).unwrap_err().to_string()
    };
    assert_eq!(
        refused(PowerConfig { max_iterations: 0, ..PowerConfig::default() }),
        "max_iterations is 0, but must be at least 1"
    );
    assert!(
        refused(PowerConfig { tolerance: -1.0, ..PowerConfig::default() }).starts_with("tolerance is -1")
    );
}

#[test]
fn a_large_matrix_is_refused() {
    let net = Sequential::input(&[MAX_MATRIX_PARAMS]).linear("fc", 2).init(1).unwrap();
    let data = crate::nets::Batches(Vec::new());
    let error = curvature_matrix(&net, &LOSS, &data, &ExactConfig::default()).unwrap_err();
    assert!(matches!(error, CurvatureError::TooManyParams { n_params: 8192, limit: MAX_MATRIX_PARAMS }));
}
