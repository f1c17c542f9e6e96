//! Gradients, Hessians and Gauss-Newton matrices by `PyTorch`'s double backward, in `f64`.

use crate::nets::{Case, case};
use snn_autodiff::{Grads, Sample, Tape, ggn_vp, gradient, hvp};
use snn_core::loss::Loss;
use snn_core::{Module, Pass, Tensor};
use snn_hessian::{Curvature, ExactConfig, ParamSet, curvature_matrix, exact_traces};
use snn_testkit::{Golden, assert_close};

const LOSS: Loss = Loss::CrossEntropyCount;
const BOTH: [(Curvature, &str); 2] =
    [(Curvature::Hessian, "hessian"), (Curvature::GaussNewton, "gauss_newton")];

/// Relative 1e-10, and as much of the greatest entry for those that cancel.
#[track_caller]
fn assert_equal(name: &str, got: &[f64], want: &[f64]) {
    let greatest = want.iter().fold(0.0, |m: f64, x| m.max(x.abs()));
    assert_close(name, got, want, 1e-10, 1e-12 * greatest);
}

fn config(curvature: Curvature) -> ExactConfig {
    ExactConfig { curvature, params: ParamSet::Trained, micro_batch: 3 }
}

impl Case {
    fn sample(&self) -> Sample<'_> {
        Sample { x: &self.batch.x, labels: &self.batch.labels, normalizer: self.batch.labels.len() }
    }

    /// Tensors of all parameters as one vector in the order of the file.
    fn in_file_order(&self, tensors: &Grads<f64>) -> Vec<f64> {
        let mut ours = Vec::new();
        self.net.visit_params(&mut |p| ours.extend_from_slice(tensors.get(&p.name).unwrap().as_slice()));
        let mut theirs = vec![0.0; ours.len()];
        self.places.iter().zip(ours).for_each(|(&place, x)| theirs[place] = x);
        theirs
    }

    /// A vector in the order of the file as tensors.
    fn to_tensors(&self, theirs: &[f64]) -> Grads<f64> {
        let mut places = self.places.iter();
        let mut tensors = Grads::new();
        self.net.visit_params(&mut |p| {
            let entries = places.by_ref().take(p.value.len()).map(|&place| theirs[place]).collect();
            tensors.insert(p.name.as_str(), Tensor::new(p.value.shape(), entries));
        });
        tensors
    }
}

#[test]
fn loss_and_gradient() {
    let golden = Golden::open("hessian");
    for name in golden.cases() {
        let case = case(&golden, name);
        let (loss, grads) = gradient(&case.net, &LOSS, case.sample(), &Pass::inference(), Tape::<f64>::new());
        assert_equal(name, &[loss], &[golden.scalar(&format!("{name}/loss"))]);
        let (_, want) = golden.get_f64(&format!("{name}/gradient"));
        assert_equal(name, &case.in_file_order(&grads), &want);
    }
}

#[test]
fn traces_of_each_tensor() {
    let golden = Golden::open("hessian");
    for name in golden.cases() {
        let case = case(&golden, name);
        for (curvature, key) in
            [(Curvature::Hessian, "trace"), (Curvature::GaussNewton, "gauss_newton_trace")]
        {
            let traces = exact_traces(&case.net, &LOSS, &case.data(), &config(curvature)).unwrap();
            let got = ["0.weight", "0.bias", "1.weight", "1.bias"].map(|tensor| traces[tensor].mean);
            let (_, want) = golden.get_f64(&format!("{name}/{key}"));
            assert_equal(&format!("{name}/{key}"), &got, &want);
        }
    }
}

#[test]
fn full_matrices() {
    let golden = Golden::open("hessian");
    let mut n_checked = 0;
    for (name, (curvature, key)) in golden.cases().into_iter().flat_map(|name| BOTH.map(|kind| (name, kind)))
    {
        let key = format!("{name}/{key}");
        if golden.contains(&key) {
            let case = case(&golden, name);
            let matrix = curvature_matrix(&case.net, &LOSS, &case.data(), &config(curvature)).unwrap();
            assert_equal(&key, &lower_triangle(&case, &matrix.entries), &golden.get_f64(&key).1);
            n_checked += 1;
        }
    }
    assert_eq!(n_checked, 6, "four Hessians and two Gauss-Newton matrices");
}

/// Rows `(i, 0..=i)` one after another, in the order of the file.
fn lower_triangle(case: &Case, matrix: &Tensor<f64>) -> Vec<f64> {
    let n = case.places.len();
    let mut ours = vec![0; n];
    case.places.iter().enumerate().for_each(|(i, &place)| ours[place] = i);
    let pairs = (0..n).flat_map(|i| (0..=i).map(move |j| (i, j)));
    pairs.map(|(i, j)| matrix.as_slice()[ours[i] * n + ours[j]]).collect()
}

#[test]
fn products_with_probes() {
    let golden = Golden::open("hessian");
    let (_, probes) = golden.get_f64("conv_probes");
    for name in ["conv/atan_2/detached", "conv/sigmoid_5/detached"] {
        let case = case(&golden, name);
        let n = case.places.len();
        let directions: [Grads<f64>; 4] = std::array::from_fn(|k| case.to_tensors(&probes[k * n..][..n]));
        let (sample, pass) = (case.sample(), Pass::inference());
        let flat = |products: [Grads<f64>; 4]| products.iter().flat_map(|p| case.in_file_order(p)).collect();
        let hv: Vec<f64> = flat(hvp(&case.net, &LOSS, sample, &pass, &directions).products);
        let gv: Vec<f64> = flat(ggn_vp(&case.net, &LOSS, sample, &pass, &directions));
        assert_equal(name, &hv, &golden.get_f64(&format!("{name}/hv")).1);
        assert_equal(name, &gv, &golden.get_f64(&format!("{name}/gauss_newton_v")).1);
    }
}
