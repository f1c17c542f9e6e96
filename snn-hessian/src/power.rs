//! The eigenvalue of largest magnitude, by Lanczos iteration.

use crate::curvature::{Curvature, CurvatureError, Layout, Operator, at_least_one};
use crate::probe::{Distribution, ParamSet, probe};
use snn_autodiff::BatchSource;
use snn_core::Module;
use snn_core::loss::Loss;

/// Vectors of parameter space kept before a restart.
const MAX_BASIS: usize = 16;

/// How to find the top eigenvalue.
#[derive(Debug, Clone, PartialEq)]
pub struct PowerConfig {
    /// The matrix.
    pub curvature: Curvature,
    /// The parameters: all of a set for the whole matrix, one name for a tensor's block.
    pub params: ParamSet,
    /// The most products.
    pub max_iterations: usize,
    /// Stop when the residual is at most this share of the eigenvalue's magnitude.
    pub tolerance: f64,
    /// Seed of the start vector.
    pub seed: u64,
    /// Samples that one task runs at a time.
    pub micro_batch: usize,
}

impl Default for PowerConfig {
    /// The Hessian by the weights, at most 64 products, relative residual 1e-3, 8 samples at a time.
    fn default() -> Self {
        Self {
            curvature: Curvature::Hessian,
            params: ParamSet::Weights,
            max_iterations: 64,
            tolerance: 1e-3,
            seed: 0,
            micro_batch: 8,
        }
    }
}

/// An eigenvalue found by iteration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Eigenvalue {
    /// The value, with its sign.
    pub value: f64,
    /// `‖Hv − λv‖` for the unit vector `v` found: some eigenvalue lies within this distance of `value`. Compare it with
    /// the tolerance to see whether the iteration converged.
    pub residual: f64,
    /// Number of products.
    pub iterations: usize,
}

/// The eigenvalue of largest magnitude, with its sign, of the curvature of the mean loss over all samples of `data`
/// (epoch 0), in `f64`.
///
/// Plain power iteration stalls when the largest positive and negative eigenvalues are of nearly one magnitude, which
/// happens for Hessians away from a minimum. So this is the Lanczos iteration with full reorthogonalization, restarted
/// from the best vector when its basis is full; it keeps 17 vectors of the size of the parameters.
///
/// # Errors
/// [`CurvatureError`], as [`crate::hutchinson`].
///
/// # Panics
/// As [`crate::hutchinson`].
///
/// # References
/// Lanczos, "An iteration method for the solution of the eigenvalue problem of linear differential and integral
/// operators", 1950.
pub fn top_eigenvalue<M: Module + Sync>(
    net: &M,
    loss: &Loss,
    data: &dyn BatchSource,
    config: &PowerConfig,
) -> Result<Eigenvalue, CurvatureError> {
    let PowerConfig { curvature, max_iterations, tolerance, micro_batch, .. } = *config;
    at_least_one("micro_batch", micro_batch)?;
    at_least_one("max_iterations", max_iterations)?;
    if !(tolerance.is_finite() && tolerance >= 0.0) {
        let expected = "a finite number, 0 or more";
        return Err(CurvatureError::Config { field: "tolerance", value: tolerance, expected });
    }
    let layout = Layout::new(net, &config.params)?;
    let start = layout.flatten(&probe(&layout, Distribution::Gaussian, config.seed, 0));
    let operator = Operator { net, loss, data, curvature, micro_batch, layout };
    let multiply = |v: &[f64]| {
        let [product] = operator.apply(&[v.to_vec()])?;
        Ok(product)
    };
    lanczos(start, max_iterations, tolerance, multiply)
}

fn lanczos<E>(
    mut start: Vec<f64>,
    max_iterations: usize,
    tolerance: f64,
    multiply: impl Fn(&[f64]) -> Result<Vec<f64>, E>,
) -> Result<Eigenvalue, E> {
    normalize(&mut start);
    let (mut basis, mut diagonal, mut off_diagonal) = (vec![start], Vec::new(), Vec::new());
    let mut iterations = 0;
    loop {
        let newest = &basis[basis.len() - 1];
        let mut next = multiply(newest)?;
        iterations += 1;
        diagonal.push(dot(newest, &next));
        let rounding = f64::EPSILON * norm(&next);
        orthogonalize(&mut next, &basis);
        let next_norm = normalize(&mut next);
        let (value, weights) = dominant(&diagonal, &off_diagonal);
        let residual = next_norm * weights[weights.len() - 1].abs();
        if residual <= tolerance * value.abs() || next_norm <= rounding || iterations == max_iterations {
            return Ok(Eigenvalue { value, residual, iterations });
        }
        if basis.len() == MAX_BASIS {
            basis = vec![combine(&basis, &weights)];
            diagonal.clear();
            off_diagonal.clear();
        } else {
            basis.push(next);
            off_diagonal.push(next_norm);
        }
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

/// Makes a vector one of length 1, unless it is zero. Returns the length that it had.
fn normalize(a: &mut [f64]) -> f64 {
    let length = norm(a);
    if length > 0.0 {
        a.iter_mut().for_each(|x| *x /= length);
    }
    length
}

fn subtract(a: &mut [f64], factor: f64, b: &[f64]) {
    a.iter_mut().zip(b).for_each(|(x, y)| *x -= factor * y);
}

/// Takes out of a vector what lies in the span of an orthonormal basis, twice, since once leaves rounding errors.
fn orthogonalize(a: &mut [f64], basis: &[Vec<f64>]) {
    for q in basis.iter().chain(basis) {
        subtract(a, dot(a, q), q);
    }
}

/// The unit vector of these weights over a basis.
fn combine(basis: &[Vec<f64>], weights: &[f64]) -> Vec<f64> {
    let mut sum = vec![0.0; basis[0].len()];
    for (q, &weight) in basis.iter().zip(weights) {
        subtract(&mut sum, -weight, q);
    }
    normalize(&mut sum);
    sum
}

/// The eigenvalue of largest magnitude of a symmetric tridiagonal matrix, and its unit eigenvector.
fn dominant(diagonal: &[f64], off_diagonal: &[f64]) -> (f64, Vec<f64>) {
    let n = diagonal.len();
    let mut a = vec![vec![0.0; n]; n];
    for i in 0..n {
        a[i][i] = diagonal[i];
    }
    for (i, &b) in off_diagonal.iter().enumerate() {
        (a[i][i + 1], a[i + 1][i]) = (b, b);
    }
    let vectors = diagonalize(&mut a);
    let top = (1..n).fold(0, |top, i| if a[i][i].abs() > a[top][top].abs() { i } else { top });
    (a[top][top], vectors.into_iter().map(|row| row[top]).collect())
}

/// Makes a small symmetric matrix diagonal by cyclic Jacobi rotations; returns the eigenvectors as columns.
fn diagonalize(a: &mut [Vec<f64>]) -> Vec<Vec<f64>> {
    const MAX_SWEEPS: usize = 30;
    let n = a.len();
    let unit = |i: usize| (0..n).map(|j| if i == j { 1.0 } else { 0.0 }).collect();
    let mut vectors: Vec<Vec<f64>> = (0..n).map(unit).collect();
    for _ in 0..MAX_SWEEPS {
        let mut has_rotated = false;
        for (p, q) in (0..n).flat_map(|q| (0..q).map(move |p| (p, q))) {
            if a[p][q].abs() > f64::EPSILON * f64::EPSILON * (a[p][p].abs() + a[q][q].abs()) {
                rotate(a, &mut vectors, p, q);
                has_rotated = true;
            }
        }
        if !has_rotated {
            break;
        }
    }
    vectors
}

/// The rotation of axes `p` and `q` that makes `a[p][q]` zero (Golub and Van Loan, "Matrix Computations", 8.5).
fn rotate(a: &mut [Vec<f64>], vectors: &mut [Vec<f64>], p: usize, q: usize) {
    let ratio = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
    let tan = 1.0_f64.copysign(ratio) / (ratio.abs() + ratio.hypot(1.0));
    let cos = 1.0 / tan.hypot(1.0);
    let sin = tan * cos;
    let turn = |x: f64, y: f64| (cos * x - sin * y, sin * x + cos * y);
    for row in a.iter_mut().chain(vectors) {
        (row[p], row[q]) = turn(row[p], row[q]);
    }
    for j in 0..a.len() {
        (a[p][j], a[q][j]) = turn(a[p][j], a[q][j]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    /// Lanczos on a diagonal matrix, from the vector of ones.
    fn top(spectrum: &[f64], max_iterations: usize, tolerance: f64) -> Eigenvalue {
        let multiply = |v: &[f64]| Ok::<_, Infallible>(v.iter().zip(spectrum).map(|(x, s)| x * s).collect());
        let Ok(top) = lanczos(vec![1.0; spectrum.len()], max_iterations, tolerance, multiply);
        top
    }

    #[test]
    fn the_largest_magnitude_wins_with_its_sign() {
        let tail = |i: i32| f64::from(i % 7) / 10.0;
        for pair in [[3.0, -2.9], [-3.0, 2.9]] {
            let spectrum: Vec<f64> = pair.into_iter().chain((0..200).map(tail)).collect();
            let found = top(&spectrum, 100, 1e-9);
            assert!((found.value - pair[0]).abs() < 1e-8 && found.residual < 1e-8, "{found:?}");
        }
    }

    #[test]
    fn a_dense_spectrum_is_found_over_restarts() {
        let spectrum: Vec<f64> = (0..400).map(|i| -f64::from(i) / 400.0).collect();
        let found = top(&spectrum, 400, 1e-6);
        assert!(found.iterations > MAX_BASIS, "{found:?}");
        assert!((found.value + 399.0 / 400.0).abs() < 1e-6, "{found:?}");
    }

    #[test]
    fn an_exhausted_space_ends_the_iteration() {
        assert_eq!(top(&[0.0; 5], 10, 0.0), Eigenvalue { value: 0.0, residual: 0.0, iterations: 1 });
        let found = top(&[2.0, -5.0, -5.0], 100, 0.0);
        assert!(found.iterations <= 3 && (found.value + 5.0).abs() < 1e-14, "{found:?}");
    }

    #[test]
    fn the_residual_is_honest_when_iterations_run_out() {
        let spectrum: Vec<f64> = (0..50).map(f64::from).collect();
        let found = top(&spectrum, 3, 1e-12);
        let nearest = spectrum.iter().map(|s| (s - found.value).abs()).fold(f64::INFINITY, f64::min);
        assert!(found.iterations == 3 && nearest <= found.residual && found.residual > 0.1, "{found:?}");
    }
}
