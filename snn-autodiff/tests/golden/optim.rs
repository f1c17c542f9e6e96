//! Trajectories of the optimizers, schedules and gradient clipping.

use snn_autodiff::Grads;
use snn_autodiff::optim::{Adam, Adamax, Decay, Momentum, Optimizer, Schedule, Sgd, State, clip_norm, step};
use snn_core::layer::Sequential;
use snn_core::{Module, Tensor};
use snn_testkit::{Golden, assert_close};

/// The optimizer of a case of the file, with its learning rate.
fn optimizer(case: &str) -> (Box<dyn Optimizer>, f32) {
    let sgd = Sgd { momentum: 0.875, ..Sgd::default() };
    let adam = Adam::default();
    match case {
        "sgd" => (Box::new(Sgd { momentum: 0.0, ..sgd }), 0.125),
        "sgd_momentum" => (Box::new(sgd), 0.125),
        "sgd_nesterov" => (Box::new(Sgd { variant: Momentum::Nesterov, ..sgd }), 0.125),
        "sgd_momentum_decay" => (Box::new(Sgd { weight_decay: 0.0625, ..sgd }), 0.125),
        "adam" => (Box::new(adam), 0.015_625),
        "adam_decay" => {
            (Box::new(Adam { betas: [0.875, 0.9375], decay: Decay::L2(0.0625), ..adam }), 0.015_625)
        }
        "adamw" => (Box::new(Adam::with_decoupled_decay(0.0625)), 0.015_625),
        "adamax" => (Box::new(Adamax::default()), 0.015_625),
        "adamax_decolle" => (Box::new(Adamax { betas: [0.0, 0.9375], ..Adamax::default() }), 0.015_625),
        _ => panic!("no optimizer for case {case}"),
    }
}

/// A network with one parameter, of 7 numbers.
fn seven_weights(start: &[f32]) -> Sequential {
    let mut net = Sequential::input(&[7]).linear_without_bias("fc", 1).init(0).unwrap();
    net.visit_params_mut(&mut |p| p.value = Tensor::new(&[7, 1], start.to_vec()));
    net
}

fn weights(net: &Sequential) -> Vec<f32> {
    let mut weights = Vec::new();
    net.visit_params(&mut |p| weights.extend(p.value.as_slice()));
    weights
}

fn names<'a>(golden: &'a Golden, group: &str) -> Vec<&'a str> {
    let names: Vec<&str> = golden.keys().filter_map(|key| key.strip_prefix(group)).collect();
    assert!(!names.is_empty(), "no arrays of {group}");
    names
}

#[test]
fn optimizers_follow_the_reference() {
    let golden = Golden::open("losses_optim");
    let (start, grads) = (golden.get_f32("optim_start").1, golden.get_f32("optim_grads").1);
    for case in names(&golden, "optim/") {
        let (rule, learning_rate) = optimizer(case);
        let (mut net, mut state) = (seven_weights(&start), State::new());
        let mut got = start.clone();
        for grad in grads.chunks(7) {
            let mut grads = Grads::new();
            grads.insert("fc.weight", Tensor::new(&[7, 1], grad.to_vec()));
            step(rule.as_ref(), &mut state, &mut net, &grads, learning_rate);
            got.extend(weights(&net));
        }
        assert_close(case, &got, &golden.get_f64(&format!("optim/{case}")).1, 1e-6, 1e-6);
    }
}

#[test]
fn schedules_equal_the_reference() {
    let golden = Golden::open("losses_optim");
    for case in names(&golden, "schedule/") {
        let schedule = match case {
            "cosine" => Schedule::Cosine { epochs: 12.0, floor: 0.0625 },
            "step" => Schedule::Step { every: 4.0, factor: 0.5 },
            "warmup" => Schedule::WarmUp { epochs: 3.0, start: 0.25, then: Box::new(Schedule::Constant) },
            _ => panic!("no schedule for case {case}"),
        };
        let got: Vec<f64> = (0..12).map(|epoch| schedule.factor(f64::from(epoch))).collect();
        assert_close(case, &got, &golden.get_f64(&format!("schedule/{case}")).1, 1e-12, 0.0);
    }
}

fn gradients(golden: &Golden, folder: &str) -> Grads {
    let mut grads = Grads::new();
    for name in ["grad0", "grad1"] {
        let (shape, values) = golden.get_f32(&format!("clip/{folder}{name}"));
        grads.insert(name, Tensor::new(&shape, values));
    }
    grads
}

#[test]
fn clipping_equals_the_reference() {
    let golden = Golden::open("losses_optim");
    for (folder, bound) in [("bound_1.5/", 1.5), ("bound_100/", 100.0)] {
        let (mut got, want) = (gradients(&golden, ""), gradients(&golden, folder));
        let norm = clip_norm(&mut got, bound);
        assert_close("norm", &[norm], &[golden.scalar("clip/norm")], 1e-6, 0.0);
        for ((name, got), (_, want)) in got.iter().zip(want.iter()) {
            assert_close(&format!("{folder}{name}"), got.as_slice(), want.as_slice(), 1e-6, 0.0);
        }
    }
}
