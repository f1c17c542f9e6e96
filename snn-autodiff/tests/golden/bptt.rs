//! Gradients of whole networks by backpropagation through time, in f64 and f32.

use snn_autodiff::fit::Progress;
use snn_autodiff::optim::Sgd;
use snn_autodiff::{Batch, FitConfig, Grads, Tape, Var, fit};
use snn_core::layer::{Builder, Conv2dConfig, NeuronKind, Sequential};
use snn_core::loss::Loss;
use snn_core::metrics::Recorder;
use snn_core::neuron::{CubaLif, Firing, Li, Lif, Reset};
use snn_core::surrogate::Surrogate;
use snn_core::{Exec, Module, Param, Pass, Role, Scalar, Tensor};
use snn_testkit::{Golden, assert_close};
use std::ops::ControlFlow;

/// A network of the file.
struct Net {
    builder: Builder,
    loss: Loss,
    /// What keys of its inputs and parameters start with; inputs of feed-forward networks have no prefix.
    prefix: &'static str,
    inputs: [&'static str; 2],
    /// Name of each parameter, here and in the file.
    params: &'static [(&'static str, &'static str)],
}

const CONV: &[(&str, &str)] = &[
    ("conv1.weight", "w0"),
    ("conv1.bias", "b0"),
    ("conv2.weight", "w1"),
    ("conv2.bias", "b1"),
    ("fc.weight", "w2"),
    ("fc.bias", "b2"),
];
const NORM: &[(&str, &str)] = &[
    ("conv1.weight", "w0"),
    ("norm.gamma", "gamma"),
    ("norm.beta", "shift"),
    ("fc.weight", "w1"),
    ("fc.bias", "b1"),
];
const POOLED: &[(&str, &str)] =
    &[("conv1.weight", "w0"), ("conv1.bias", "b0"), ("fc.weight", "w1"), ("fc.bias", "b1")];
const RECURRENT: &[(&str, &str)] = &[
    ("fc1.weight", "w_in"),
    ("fc1.bias", "b_in"),
    ("hidden.recurrent", "w_rec"),
    ("hidden.recurrent_bias", "b_rec"),
    ("fc2.weight", "w_out"),
    ("fc2.bias", "b_out"),
];

fn loss(name: &str) -> Loss {
    match name {
        "ce_count" => Loss::CrossEntropyCount,
        "ce_rate" => Loss::CrossEntropyMean,
        "ce_per_step" => Loss::CrossEntropyRate,
        "mse_count" => Loss::MseCount { correct_rate: 0.75, incorrect_rate: 0.125 },
        _ => panic!("no loss {name}"),
    }
}

fn lif(reset: &str) -> Lif {
    let reset = match reset {
        "subtract" => Reset::Subtract,
        "zero" => Reset::Zero,
        "none" => Reset::None,
        _ => panic!("no reset {reset}"),
    };
    Lif { firing: Firing { reset, ..Firing::default() }, ..Lif::snntorch(0.75) }
}

fn feed_forward(builder: Builder, prefix: &'static str, params: &'static [(&str, &str)], loss: Loss) -> Net {
    Net { builder, loss, prefix, inputs: ["x", "y"], params }
}

fn conv(lif: Lif, loss: Loss) -> Net {
    let builder = Sequential::input(&[2, 10, 10])
        .conv2d("conv1", Conv2dConfig::new(4, 3))
        .max_pool(2)
        .neuron("lif1", lif)
        .conv2d("conv2", Conv2dConfig::new(6, 3))
        .neuron("lif2", lif)
        .flatten()
        .linear("fc", 5)
        .neuron("out", lif);
    feed_forward(builder, "conv", CONV, loss)
}

fn norm(lif: Lif, loss: Loss) -> Net {
    let builder = Sequential::input(&[2, 10, 10])
        .conv2d("conv1", Conv2dConfig::new(4, 3).without_bias())
        .batch_norm("norm")
        .neuron("lif1", lif)
        .avg_pool(2)
        .flatten()
        .linear("fc", 5)
        .neuron("out", lif);
    feed_forward(builder, "norm", NORM, loss)
}

fn pooled_spikes(lif: Lif, loss: Loss) -> Net {
    let builder = Sequential::input(&[2, 10, 10])
        .conv2d("conv1", Conv2dConfig::new(4, 3))
        .neuron("lif1", lif)
        .max_pool(2)
        .flatten()
        .linear("fc", 5)
        .neuron("out", lif);
    feed_forward(builder, "pooled_spikes", POOLED, loss)
}

fn recurrent(readout: &str) -> Net {
    let firing = Firing { surrogate: Surrogate::FastSigmoid { slope: 10.0 }, ..Firing::default() };
    let (out, loss): (NeuronKind, Loss) = match readout {
        "synaptic" => (CubaLif { alpha: 0.5, beta: 0.75, firing }.into(), Loss::CrossEntropyCount),
        "li" => (Li { beta: 0.875 }.into(), Loss::CrossEntropyMean),
        _ => panic!("no readout {readout}"),
    };
    let builder = Sequential::input(&[12])
        .linear("fc1", 10)
        .recurrent("hidden", Lif { firing, ..Lif::snntorch(0.75) })
        .linear("fc2", 4)
        .neuron("out", out);
    Net { builder, loss, prefix: "recurrent", inputs: ["recurrent_x", "recurrent_y"], params: RECURRENT }
}

/// The network of a case of the file.
fn net(case: &str) -> Net {
    match case.split('/').collect::<Vec<_>>()[..] {
        ["conv", reset, name] => conv(lif(reset), loss(name)),
        ["norm", reset, name] => norm(lif(reset), loss(name)),
        ["pooled_spikes", reset, name] => pooled_spikes(lif(reset), loss(name)),
        ["recurrent", readout] => recurrent(readout),
        _ => panic!("no network for case {case}"),
    }
}

/// A network of a file with the parameters and data that the file has for it.
struct Case<'a> {
    golden: &'a Golden,
    name: &'a str,
    net: Sequential,
    params: &'static [(&'static str, &'static str)],
    loss: Loss,
    batch: Batch,
}

impl<'a> Case<'a> {
    fn new(golden: &'a Golden, name: &'a str) -> Self {
        let Net { builder, loss, prefix, inputs, params } = net(name);
        let mut net = builder.init(0).unwrap();
        net.visit_params_mut(&mut |p| {
            if let Some((_, key)) = params.iter().find(|(here, _)| *here == p.name) {
                let (shape, values) = golden.get_f32(&format!("{prefix}_{key}"));
                p.value = to_layout(p, Tensor::new(&shape, values));
            }
        });
        let labels = golden.get_i64(inputs[1]).1.iter().map(|&y| usize::try_from(y).unwrap()).collect();
        let (shape, x) = golden.get_f32(inputs[0]);
        Self { golden, name, net, params, loss, batch: Batch { x: Tensor::new(&shape, x), labels } }
    }

    fn want(&self, array: &str) -> Vec<f64> {
        self.golden.get_f64(&format!("{}/{array}", self.name)).1
    }

    fn check<S: Scalar>(&self, array: &str, got: &Tensor<S>, tolerance: f64) {
        let want = self.want(array);
        let greatest = want.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        let got: Tensor<f64> = got.cast();
        assert_close(&format!("{}/{array}", self.name), got.as_slice(), &want, 0.0, tolerance * greatest);
    }

    fn arrays(&self) -> Vec<&'a str> {
        let of_case = |key: &'a str| key.rsplit_once('/').filter(|(name, _)| *name == self.name);
        self.golden.keys().filter_map(of_case).map(|(_, array)| array).collect()
    }
}

/// An array of the file as parameter `p` has it: linear and recurrent weights are transposed there.
fn to_layout<S: Scalar>(p: &Param, array: Tensor<S>) -> Tensor<S> {
    match p.role {
        Role::Weight { channel_axis: 1 } => Tensor::from_array(array.to_array().reversed_axes()),
        _ => array,
    }
}

/// A training pass in the scalar type `S`. The input is read as a parameter, so that it has a gradient as well.
struct Run<S: Scalar> {
    loss: Tensor<S>,
    output: Tensor<S>,
    grads: Grads<S>,
}

fn run<S: Scalar>(case: &Case<'_>) -> Run<S> {
    let mut tape = Tape::<S>::new();
    let x: Var = tape.param(&Param::new("x", case.batch.x.clone(), Role::Bias));
    let y = case.net.forward(&mut tape, &x, &Pass::training(0));
    let labels = &case.batch.labels;
    let loss = tape.apply(case.loss.op(labels, labels.len()), &[&y]);
    Run { loss: tape.value(loss).clone(), output: tape.value(y).clone(), grads: tape.backward(loss) }
}

/// The gradient that the file has under the name `array`, in the file's layout.
fn gradient<S: Scalar>(case: &Case<'_>, grads: &Grads<S>, array: &str) -> Tensor<S> {
    let here = case.params.iter().find(|(_, key)| *key == array).map_or(array, |(here, _)| here);
    let mut gradient = grads.get(here).unwrap().clone();
    case.net.visit_params(&mut |p| {
        if p.name == here {
            gradient = to_layout(p, gradient.clone());
        }
    });
    gradient
}

/// What [`Recorder`] sees of a neuron layer, in f32: spikes (`None`) or a state.
fn recorded(case: &Case<'_>, layer: &str, state: Option<usize>) -> Tensor<f32> {
    let mut recorder = Recorder::new();
    let x = recorder.input(&case.batch.x);
    case.net.forward(&mut recorder, &x, &Pass::training(0));
    let trajectory = &recorder.trajectories[layer];
    state.map_or(&trajectory.spikes, |k| &trajectory.states[k]).clone()
}

/// Running mean and variance after a batch, with a momentum of 1/8.
fn running_statistics(case: &Case<'_>) -> [Tensor<f32>; 2] {
    let config = FitConfig { epochs: 1, learning_rate: 0.0, norm_momentum: 0.125, ..FitConfig::default() };
    let mut net = case.net.clone();
    let (sgd, mut progress) = (Sgd::default(), Progress::default());
    let go_on = &mut |_: &_, _: &_, _: &_| ControlFlow::Continue(());
    fit(&mut net, &case.batch, &case.loss, &sgd, &config, &mut progress, go_on).unwrap();
    let mut statistics = Tensor::zeros(&[0]);
    net.visit_params(&mut |p| {
        if p.name == "norm.stats" {
            statistics = p.value.clone();
        }
    });
    let (mean, variance) = statistics.as_slice().split_at(statistics.len() / 2);
    [mean, variance].map(|v| Tensor::new(&[v.len()], v.to_vec()))
}

/// The file's running variance as [`FitConfig::norm_momentum`] defines it: of the biased variance of the batch.
fn biased(running: f64) -> f64 {
    let n = 1536.0; // T·B·H·W = 8·3·8·8
    0.875 + (running - 0.875) * (n - 1.0) / n
}

/// Compares every array of a case; those that only an interpreter in f32 shows have the tolerance of f32.
fn check_case<S: Scalar>(case: &Case<'_>, tolerance: f64) {
    const F32: f64 = 1e-5;
    let run = run::<S>(case);
    for array in case.arrays() {
        match array {
            "loss" => case.check(array, &run.loss, tolerance),
            "spk" => case.check(array, &run.output, 0.0),
            "out" => case.check(array, &run.output, tolerance),
            "mem" => case.check(array, &recorded(case, "out", Some(0)), F32),
            "hidden" => case.check(array, &recorded(case, "hidden", None), 0.0),
            "running_mean" => case.check(array, &running_statistics(case)[0], F32),
            "running_var" => {
                let want: Vec<f64> = case.want(array).into_iter().map(biased).collect();
                assert_close(array, running_statistics(case)[1].as_slice(), &want, 1e-6, 0.0);
            }
            _ => {
                let name = array.strip_prefix("g_").unwrap_or_else(|| panic!("unknown array {array}"));
                case.check(array, &gradient(case, &run.grads, name), tolerance);
            }
        }
    }
}

fn check_file<S: Scalar>(file: &str, tolerance: f64) {
    let golden = Golden::open(file);
    let networks = golden.cases().into_iter().filter(|case| !case.starts_with("conv2d/"));
    networks.for_each(|name| check_case::<S>(&Case::new(&golden, name), tolerance));
}

#[test]
fn gradients_equal_the_reference_in_double_precision() {
    check_file::<f64>("bptt_f64", 1e-10);
}

#[test]
fn gradients_equal_the_reference_in_single_precision() {
    check_file::<f32>("bptt_f32", 1e-4);
}
