//! Step sequences and gradients of every neuron preset.
//!
//! Gradients of spikes come from the backward of the op, in f64 and f32. Ops do not return membranes, so gradients of
//! membranes come from a run on dual numbers, which checks the forward derivatives; those of spikes are checked that way
//! too.

mod case;

use case::{Case, Of};
use snn_core::layer::NeuronKind;
use snn_core::neuron::{Dynamics, Trajectory};
use snn_core::{Scalar, Tensor};
use snn_testkit::{Golden, assert_close};

/// snnTorch's zero reset of neurons with a synaptic current or recurrence drops the current that arrives after a spike.
/// No preset does that: here a zero reset clears the membrane alone, as snnTorch's `Leaky` does.
const KNOWN_DIFFERENCES: [&str; 2] = ["rleaky/zero", "synaptic/zero"];

/// The membrane after a reset in the step of the spike, which the file has; a trajectory has it before.
fn stored_membrane<S: Scalar>(kind: NeuronKind, run: &Trajectory<S>) -> Tensor<S> {
    fn after<D: Dynamics<N>, S: Scalar, const N: usize>(neuron: D, run: &Trajectory<S>) -> Tensor<S> {
        let stored = |i| {
            let mut state: [S; N] = std::array::from_fn(|k| run.states[k].as_slice()[i]);
            neuron.fire(&mut state);
            state[0]
        };
        Tensor::new(run.spikes.shape(), (0..run.spikes.len()).map(stored).collect())
    }
    match kind {
        NeuronKind::Lif(neuron) => after(neuron, run),
        NeuronKind::Li(neuron) => after(neuron, run),
        NeuronKind::CubaLif(neuron) => after(neuron, run),
        NeuronKind::Alif(neuron) => after(neuron, run),
        NeuronKind::Decolle(neuron) => after(neuron, run),
        _ => panic!("no dynamics for {kind:?}"),
    }
}

/// The sequence of a run that the file has under the name `array`.
fn sequence(case: &Case<'_>, run: &Trajectory<f64>, array: &str) -> Tensor<f64> {
    match (array, case.kind) {
        ("spk", _) => run.spikes.clone(),
        ("mem", kind) => stored_membrane(kind, run),
        ("syn", NeuronKind::CubaLif(_)) | ("adapt", NeuronKind::Alif(_)) | ("p", NeuronKind::Decolle(_)) => {
            run.states[1].clone()
        }
        ("r", NeuronKind::Decolle(_)) => run.states[3].clone(),
        // τ_s·1024 here against 1/(1 − β) there: 64 times as great
        ("q", NeuronKind::Decolle(_)) => run.states[2].map(|q: f64| q / 64.0),
        _ => panic!("no sequence for {array} of {}", case.name),
    }
}

/// Whether an array of a case is left out, with the reason.
fn is_left_out(case: &Case<'_>, array: &str) -> bool {
    match (case.name, array) {
        // an input, and the f32 results of a library, which the test in f32 takes
        (_, "x_scale" | "library_gx_spk") => true,
        // the total current, not a state of a neuron without synaptic current
        ("rleaky/subtract" | "rlif/zero" | "rlif/subtract/through", "syn") => true,
        // variables of the four-variable form, which the one-state neuron does not have; its bias counts once a step
        ("lui_neftci/four_variables", "r" | "gb_spk") => true,
        _ => false,
    }
}

fn cases(golden: &Golden) -> Vec<Case<'_>> {
    let all = golden.cases();
    assert!(KNOWN_DIFFERENCES.iter().all(|known| all.contains(known)));
    all.into_iter()
        .filter(|name| !KNOWN_DIFFERENCES.contains(name))
        .map(|name| Case::new(golden, name))
        .collect()
}

fn arrays<'a>(golden: &'a Golden, case: &Case<'_>) -> Vec<&'a str> {
    let of_case = |key: &'a str| key.rsplit_once('/').filter(|(name, _)| *name == case.name);
    golden.keys().filter_map(of_case).map(|(_, array)| array).filter(|a| !is_left_out(case, a)).collect()
}

#[test]
fn sequences_equal_the_reference() {
    let golden = Golden::open("neurons");
    for case in cases(&golden) {
        let run = case.op::<f64>().trajectory(&case.inputs().iter().collect::<Vec<_>>());
        for array in arrays(&golden, &case).into_iter().filter(|array| !array.starts_with('g')) {
            let got = sequence(&case, &run, array);
            assert_close(&format!("{}/{array}", case.name), got.as_slice(), &case.want(array), 1e-10, 1e-12);
        }
    }
}

fn check_gradient(case: &Case<'_>, array: &str, grads: &[Tensor<f64>]) {
    let got = match array.split_once('_') {
        Some(("gx", _)) => case.current_grad(grads),
        Some(("gw", _)) => case.weight_grad(grads),
        Some(("gb", _)) => case.bias_grad(grads),
        _ => panic!("no gradient for {array} of {}", case.name),
    };
    assert_close(&format!("{}/{array}", case.name), &got, &case.want(array), 1e-10, 1e-12);
}

#[test]
fn backpropagation_through_time_equals_the_reference() {
    let golden = Golden::open("neurons");
    for case in cases(&golden) {
        let output = if case.name == "li" { "mem" } else { "spk" };
        let grads = case.backward::<f64>();
        for array in arrays(&golden, &case).into_iter().filter(|a| a.starts_with('g') && a.ends_with(output))
        {
            check_gradient(&case, array, &grads);
        }
    }
}

#[test]
fn forward_derivatives_equal_the_reference() {
    let golden = Golden::open("neurons");
    for case in cases(&golden) {
        let arrays = arrays(&golden, &case);
        for (of, output) in [(Of::Spikes, "spk"), (Of::Membrane, "mem")] {
            let gradients: Vec<_> =
                arrays.iter().filter(|a| a.starts_with('g') && a.ends_with(output)).collect();
            if gradients.is_empty() {
                continue;
            }
            let grads = case.forward_mode(of);
            gradients.iter().for_each(|array| check_gradient(&case, array, &grads));
        }
    }
}

#[test]
fn single_precision_equals_the_libraries() {
    let golden = Golden::open("neurons");
    for case in cases(&golden) {
        let inputs: Vec<Tensor<f32>> = case.inputs().iter().map(Tensor::cast).collect();
        let run = case.op::<f32>().trajectory(&inputs.iter().collect::<Vec<_>>());
        let of_case = arrays(&golden, &case);
        if of_case.contains(&"spk") {
            assert_close(case.name, run.spikes.as_slice(), &case.want("spk"), 0.0, 0.0);
        }
        let got = case.current_grad(&case.backward::<f32>());
        for array in ["gx_spk", "library_gx_spk"] {
            if golden.contains(&format!("{}/{array}", case.name)) {
                let want = case.want(array);
                let greatest = want.iter().fold(0.0_f64, |m, g| m.max(g.abs()));
                assert_close(&format!("{}/{array}", case.name), &got, &want, 0.0, 1e-5 * greatest);
            }
        }
    }
}
