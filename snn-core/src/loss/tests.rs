use super::*;
use crate::scalar::Dual;
use proptest::prelude::*;
use snn_testkit::{Golden, assert_close};

const ALL: [Loss; 6] = [
    Loss::CrossEntropyCount,
    Loss::CrossEntropyRate,
    Loss::CrossEntropyMean,
    Loss::PerStep { lambda: 0.05, target: 1.0 },
    Loss::MseCount { correct_rate: 0.8, incorrect_rate: 0.2 },
    Loss::SmoothL1 { burn_in: 1, n_classes: 3 },
];

fn value<S: Scalar>(loss: Loss, o: &Tensor<S>, labels: &[usize], normalizer: usize) -> S {
    loss.op::<S>(labels, normalizer).forward(&[o], &mut Saved::discarding()).item()
}

fn gradient<S: Scalar>(loss: Loss, o: &Tensor<S>, labels: &[usize], normalizer: usize) -> Vec<S> {
    let op = loss.op::<S>(labels, normalizer);
    let mut saved = Saved::keeping();
    let y = op.forward(&[o], &mut saved);
    let gy = Tensor::scalar(S::ONE);
    let grads = op.backward(&Backward { x: &[o], y: &y, saved: &saved, gy: &gy, need: &[true] });
    grads[0].as_ref().unwrap().as_slice().to_vec()
}

/// Three steps, two samples, six units.
fn outputs() -> Tensor<f64> {
    let draw = |i| 3.0 * f64::from(crate::rng::counter_uniform(5, i)) - 1.0;
    Tensor::new(&[3, 2, 6], (0..36).map(draw).collect())
}

/// The loss that a case of the reference file stands for.
fn reference_loss(case: &str) -> Loss {
    match case.split('/').next() {
        Some("ce_count") => Loss::CrossEntropyCount,
        Some("ce_rate") => Loss::CrossEntropyMean,
        Some("ce_per_step") => Loss::CrossEntropyRate,
        Some("tet") => Loss::PerStep { lambda: 0.0625, target: 1.0 },
        Some("mse_count") => Loss::MseCount { correct_rate: 0.75, incorrect_rate: 0.125 },
        Some("smooth_l1") => Loss::SmoothL1 { burn_in: 0, n_classes: 6 },
        _ => panic!("no loss for case {case}"),
    }
}

#[test]
fn losses_and_gradients_equal_the_reference() {
    let golden = Golden::open("losses_optim");
    let labels: Vec<usize> = golden.get_i64("y").1.iter().map(|&y| usize::try_from(y).unwrap()).collect();
    let cases: Vec<&str> =
        golden.cases().into_iter().filter(|c| golden.contains(&format!("{c}/loss"))).collect();
    assert_eq!(cases.len(), 12, "{cases:?}");
    for case in cases {
        let (shape, values) = golden.get_f64(case.rsplit('/').next().unwrap());
        let (loss, o) = (reference_loss(case), Tensor::new(&shape, values));
        let want = golden.scalar(&format!("{case}/loss"));
        assert_close(case, &[value(loss, &o, &labels, labels.len())], &[want], 1e-12, 0.0);
        let want = golden.get_f64(&format!("{case}/grad")).1;
        assert_close(case, &gradient(loss, &o, &labels, labels.len()), &want, 1e-11, 1e-15);
    }
}

fn softmax_loss(z: [f64; 2], label: usize) -> f64 {
    (z[0].exp() + z[1].exp()).ln() - z[label]
}

#[test]
fn each_loss_follows_its_formula() {
    // two steps, one sample, two units, label 1
    let o = Tensor::new(&[2, 1, 2], vec![1.0, 0.0, 1.0, 2.5]);
    let steps = (softmax_loss([1.0, 0.0], 1) + softmax_loss([1.0, 2.5], 1)) / 2.0;
    let squares = (0.0 + 1.0 + 0.0 + 2.25) / 4.0;
    let cases = [
        (Loss::CrossEntropyCount, softmax_loss([2.0, 2.5], 1)),
        (Loss::CrossEntropyMean, softmax_loss([1.0, 1.25], 1)),
        (Loss::CrossEntropyRate, steps),
        (Loss::PerStep { lambda: 0.25, target: 1.0 }, 0.75 * steps + 0.25 * squares),
        // targets ⌊0.9·2⌋ = 1 and ⌊0.4·2⌋ = 0
        (Loss::MseCount { correct_rate: 0.9, incorrect_rate: 0.4 }, (4.0 + 1.5 * 1.5) / 2.0 / 2.0),
        (Loss::SmoothL1 { burn_in: 0, n_classes: 2 }, ((0.5 + 0.5) / 2.0 + (0.5 + 1.0) / 2.0) / 2.0),
        (Loss::SmoothL1 { burn_in: 1, n_classes: 2 }, (0.5 + 1.0) / 2.0),
    ];
    for (loss, want) in cases {
        assert_close(&format!("{loss:?}"), &[value(loss, &o, &[1], 1)], &[want], 1e-14, 0.0);
    }
}

#[test]
fn the_backward_is_the_derivative_of_the_forward() {
    let o = outputs();
    for loss in ALL {
        let got = gradient(loss, &o, &[2, 0], 4);
        let slope = |i: usize| {
            let mut dual = o.map(Dual::<f64, 1>::constant);
            dual.as_mut_slice()[i] = Dual::variable(o.as_slice()[i], [1.0]);
            value(loss, &dual, &[2, 0], 4).tangent(0)
        };
        let want: Vec<f64> = (0..o.len()).map(slope).collect();
        assert_close(&format!("{loss:?}"), &got, &want, 1e-12, 1e-14);
    }
}

#[test]
fn the_tangent_of_the_backward_is_the_derivative_of_the_gradient() {
    let o = outputs();
    let h = 1e-6;
    let shifted = |by: f64| o.map(|v: f64| v + by * (v * 7.0).sin());
    for loss in ALL {
        let dual = o.map(|v| Dual::<f64, 1>::variable(v, [(v * 7.0).sin()]));
        let got: Vec<f64> = gradient(loss, &dual, &[2, 0], 4).iter().map(|g| g.tangent(0)).collect();
        let [up, down] = [h, -h].map(|h| gradient(loss, &shifted(h), &[2, 0], 4));
        let want: Vec<f64> = up.iter().zip(&down).map(|(a, b)| (a - b) / (2.0 * h)).collect();
        assert_close(&format!("{loss:?}"), &got, &want, 1e-6, 1e-8);
    }
}

#[test]
fn great_outputs_do_not_overflow() {
    let o = Tensor::new(&[1, 1, 2], vec![1e30_f32, -1e30]);
    assert_close("loss", &[value(Loss::CrossEntropyCount, &o, &[0], 1)], &[0.0], 0.0, 0.0);
    assert_eq!(gradient(Loss::CrossEntropyCount, &o, &[0], 1), [0.0, 0.0]);
}

#[test]
#[should_panic(expected = "loss: label Some(6) of 6 classes")]
fn a_label_beyond_the_classes_is_refused() {
    value(Loss::CrossEntropyCount, &outputs(), &[0, 6], 2);
}

#[test]
fn predictions_take_the_greatest_count_and_the_first_of_equals() {
    // two steps, two samples, three units
    let o = Tensor::new(&[2, 2, 3], vec![0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0]);
    let predictions = predict(&o, &Loss::CrossEntropyCount);
    assert_eq!(predictions, [1, 0]);
    assert_close("accuracy", &[accuracy(&predictions, &[1, 2]), accuracy(&[], &[])], &[0.5, 0.0], 0.0, 0.0);
}

#[test]
fn readouts_vote_at_each_step() {
    // three steps, one sample, two readouts of two classes: the second votes 1, 0, 1 with its greatest sum at 0
    let o = Tensor::new(&[3, 1, 4], vec![1.0, 0.0, 0.0, 0.1, 1.0, 0.0, 9.0, 0.0, 1.0, 0.0, 0.0, 0.1]);
    assert_eq!(predict_readout(&o, 2, 0), [0]);
    assert_eq!(predict_readout(&o, 2, 1), [1]);
    assert_eq!(predict(&o, &Loss::SmoothL1 { burn_in: 0, n_classes: 2 }), [1]);
}

proptest! {
    #[test]
    fn micro_batches_add_up_to_the_batch(entries in prop::collection::vec(-2.0..2.0_f64, 36)) {
        let whole = Tensor::new(&[3, 2, 6], entries);
        let sample = |b: usize| {
            let rows = whole.as_slice().chunks(12).flat_map(|step| &step[b * 6..(b + 1) * 6]);
            Tensor::new(&[3, 1, 6], rows.copied().collect())
        };
        for loss in ALL {
            let parts = value(loss, &sample(0), &[1], 2) + value(loss, &sample(1), &[2], 2);
            assert_close("loss", &[value(loss, &whole, &[1, 2], 2)], &[parts], 1e-12, 1e-12);
        }
    }
}
