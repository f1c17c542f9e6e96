//! Step sequences and gradients of every neuron preset.
//!
//! Gradients of spikes come from the backward of the op, in f64 and f32. Ops do not return membranes, so gradients of
//! membranes come from a run on dual numbers, which checks the forward derivatives; those of spikes are checked that way
//! too.

use snn_core::layer::NeuronKind;
use snn_core::neuron::{
    Alif, CubaLif, Decolle, Dynamics, Firing, Li, Lif, NeuronOp, Reset, ResetGrad, ResetTime, Trajectory,
};
use snn_core::op::{Backward, Op, Saved};
use snn_core::ops::Linear;
use snn_core::{Dual, Scalar, Tensor};
use snn_testkit::{Golden, assert_close};

const ALPHA: f32 = 0.75;
const BETA: f32 = 0.875;

/// snnTorch's zero reset of neurons with a synaptic current or recurrence drops the current that arrives after a spike.
/// No preset does that: here a zero reset clears the membrane alone, as snnTorch's `Leaky` does.
const KNOWN_DIFFERENCES: [&str; 2] = ["rleaky/zero", "synaptic/zero"];

/// The gain of the file's synaptic filters, where those of [`Decolle`] have unit gain.
const DECOLLE_GAIN: f64 = 1024.0;

fn firing(reset: &str, time: ResetTime, grad: &str) -> Firing {
    let reset = match reset {
        "subtract" | "soft" => Reset::Subtract,
        "zero" | "hard" => Reset::Zero,
        "none" => Reset::None,
        _ => panic!("no reset {reset}"),
    };
    let reset_grad = match grad {
        "detached" => ResetGrad::Detached,
        "through" => ResetGrad::Through,
        "constant" => ResetGrad::FrozenTerm,
        _ => panic!("no reset gradient {grad}"),
    };
    Firing { reset, reset_time: time, reset_grad, ..Firing::default() }
}

/// `preset` with reset and reset gradient as a case says.
fn with_reset(preset: Lif, reset: &str, grad: &str) -> NeuronKind {
    let Firing { reset, reset_grad, .. } = firing(reset, preset.firing.reset_time, grad);
    Lif { firing: Firing { reset, reset_grad, ..preset.firing }, ..preset }.into()
}

/// The neuron that a case of the file pins.
fn neuron(case: &str) -> NeuronKind {
    use ResetTime::{NextStep, SameStep};
    let lif = |firing| Lif { firing, ..Lif::snntorch(BETA) }.into();
    let cuba =
        |reset| CubaLif { alpha: ALPHA, beta: BETA, firing: firing(reset, NextStep, "detached") }.into();
    match case.split('/').collect::<Vec<_>>()[..] {
        ["leaky", reset, "delayed"] => with_reset(Lif::snntorch(BETA), reset, "detached"),
        ["leaky", reset, "immediate"] => lif(firing(reset, SameStep, "through")),
        ["lif", reset, "delayed", grad] => lif(firing(reset, NextStep, grad)),
        ["lif", reset, "immediate", grad] => lif(firing(reset, SameStep, grad)),
        ["if", reset] => with_reset(Lif::integrate_and_fire(), reset, "detached"),
        ["sj_if", reset, grad] => {
            with_reset(Lif { beta: 1.0, gain: 1.0, ..Lif::spikingjelly(2.0) }, reset, grad)
        }
        ["sj_lif", reset, grad, "decay_input"] => with_reset(Lif::spikingjelly(2.0), reset, grad),
        ["sj_lif", reset, grad, "whole_input"] => {
            with_reset(Lif { gain: 1.0, ..Lif::spikingjelly(2.0) }, reset, grad)
        }
        ["norse_lifbox", reset] => with_reset(Lif::norse(0.5), reset, "through"),
        ["synaptic" | "cuba" | "rsynaptic", reset] => cuba(reset),
        ["rleaky" | "rlif", reset] => with_reset(Lif::snntorch(BETA), reset, "detached"),
        ["rlif", reset, grad] => lif(firing(reset, NextStep, grad)),
        ["alif", reset, grad] => {
            Alif { beta: BETA, rho: 0.9375, kappa: 0.25, firing: firing(reset, SameStep, grad) }.into()
        }
        ["li"] => Li { beta: BETA }.into(),
        ["lui_neftci", "four_variables"] => neuron("lui_neftci/constant"),
        ["lui_neftci", grad] => with_reset(Lif::lui_neftci(BETA), "zero", grad),
        ["decolle", grad] => decolle(firing("none", NextStep, grad).reset_grad).into(),
        _ => panic!("no neuron for case {case}"),
    }
}

fn decolle(reset_grad: ResetGrad) -> Decolle {
    let preset = Decolle::lui_neftci(BETA, 0.75, 0.5);
    Decolle { firing: Firing { reset_grad, ..preset.firing }, ..preset }
}

/// A case of the file.
struct Case<'a> {
    golden: &'a Golden,
    name: &'a str,
    kind: NeuronKind,
}

/// What gradients are taken of: a sequence times its cotangent, summed.
#[derive(Clone, Copy)]
enum Of {
    Spikes,
    Membrane,
}

impl<'a> Case<'a> {
    fn new(golden: &'a Golden, name: &'a str) -> Self {
        Self { golden, name, kind: neuron(name) }
    }

    fn family(&self) -> &'a str {
        self.name.split('/').next().unwrap()
    }

    fn is_recurrent(&self) -> bool {
        matches!(self.family(), "rleaky" | "rlif" | "rsynaptic")
    }

    fn want(&self, array: &str) -> Vec<f64> {
        self.golden.get_f64(&format!("{}/{array}", self.name)).1
    }

    fn tensor<S: Scalar>(&self, key: &str) -> Tensor<S> {
        let (shape, values) = self.golden.get_f64(key);
        Tensor::new(&shape, values).cast()
    }

    /// How much greater the current of the neuron is than the current of the file that gradients refer to.
    fn gain(&self) -> f64 {
        if self.family() == "decolle" { DECOLLE_GAIN } else { 1.0 }
    }

    /// The input current, of which `x_scale` is a part.
    fn current(&self) -> Tensor<f64> {
        let key = match self.family() {
            "lui_neftci" => "lui_neftci_x",
            "decolle" => "decolle_x",
            _ => "x",
        };
        let scale_key = format!("{}/x_scale", self.name);
        let scale = if self.golden.contains(&scale_key) { self.golden.scalar(&scale_key) } else { 1.0 };
        self.tensor::<f64>(key).map(|x| scale * self.gain() * x)
    }

    /// Inputs of the op: the current, and the recurrent weight (from, to) and bias if there are any.
    fn inputs(&self) -> Vec<Tensor<f64>> {
        if self.is_recurrent() {
            return vec![self.current(), transposed(&self.tensor("recurrent_w")), self.tensor("recurrent_b")];
        }
        vec![self.current()]
    }

    fn op<S: Scalar>(&self) -> Box<dyn NeuronOp<S>> {
        if self.is_recurrent() { self.kind.recurrent_scan() } else { self.kind.scan() }
    }

    /// Gradients of the output (the membrane for a leaky integrator) by the inputs of the op, from its backward.
    fn backward<S: Scalar>(&self) -> Vec<Tensor<f64>> {
        let cotangent = self.tensor(if self.name == "li" { "g_mem" } else { "g_spk" });
        let inputs: Vec<Tensor<S>> = self.inputs().iter().map(Tensor::cast).collect();
        let grads = backward(self.op().as_ref(), &inputs.iter().collect::<Vec<_>>(), &cotangent);
        grads.iter().map(Tensor::cast).collect()
    }

    /// Gradients by the inputs of the op, from runs on dual numbers.
    fn forward_mode(&self, of: Of) -> Vec<Tensor<f64>> {
        let inputs = self.inputs();
        let cotangent: Tensor<f64> = self.tensor(if matches!(of, Of::Spikes) { "g_spk" } else { "g_mem" });
        let directional = |dual: &[Tensor<Lanes>]| -> Vec<f64> {
            let run = self.op().trajectory(&dual.iter().collect::<Vec<_>>());
            let sequence =
                if matches!(of, Of::Spikes) { run.spikes } else { stored_membrane(self.kind, &run) };
            let pairs = sequence.as_slice().iter().zip(cotangent.as_slice());
            pairs.fold(vec![0.0; N_LANES], |mut sums, (v, g)| {
                sums.iter_mut().enumerate().for_each(|(lane, sum)| *sum += g * v.tangent(lane));
                sums
            })
        };
        (0..inputs.len()).map(|k| by_input(&inputs, k, &directional)).collect()
    }

    /// Gradient by the weights of the synapses in front of the neuron, in the file's layout.
    fn weight_grad(&self, grads: &[Tensor<f64>]) -> Vec<f64> {
        if self.is_recurrent() {
            return transposed(&grads[1]).into_vec();
        }
        self.synapse_grad(&grads[0])[1].clone().into_vec()
    }

    fn bias_grad(&self, grads: &[Tensor<f64>]) -> Vec<f64> {
        if self.is_recurrent() {
            return grads[2].as_slice().to_vec();
        }
        self.synapse_grad(&grads[0])[2].as_slice().to_vec()
    }

    /// Gradients by spikes, weight (as the file has it) and bias of `s_in · w + b`, given that of the current.
    fn synapse_grad(&self, g_cur: &Tensor<f64>) -> Vec<Tensor<f64>> {
        let [spikes, bias] = ["s_in", "b_in"].map(|key| self.tensor::<f64>(key));
        let weight = transposed(&self.tensor("w_in"));
        let g_cur = g_cur.map(|g: f64| self.gain() * g);
        let mut grads = backward(&Linear, &[&spikes, &weight, &bias], &g_cur);
        grads[1] = transposed(&grads[1]);
        grads
    }

    /// Gradients of spikes or membrane by the input current of the file.
    fn current_grad(&self, grads: &[Tensor<f64>]) -> Vec<f64> {
        grads[0].as_slice().iter().map(|g| self.gain() * g).collect()
    }
}

const N_LANES: usize = 16;
type Lanes = Dual<f64, N_LANES>;

/// Gradient by input `k` of what `directional` differentiates, as many entries at a time as there are lanes.
fn by_input(
    inputs: &[Tensor<f64>],
    k: usize,
    directional: &dyn Fn(&[Tensor<Lanes>]) -> Vec<f64>,
) -> Tensor<f64> {
    let mut dual: Vec<Tensor<Lanes>> = inputs.iter().map(Tensor::cast).collect();
    let mut grad = Vec::new();
    for first in (0..inputs[k].len()).step_by(N_LANES) {
        let mut seeded = inputs[k].cast::<Lanes>();
        let entries = seeded.as_mut_slice()[first..].iter_mut().take(N_LANES);
        for (lane, entry) in entries.enumerate() {
            let mut tangents = [0.0; N_LANES];
            tangents[lane] = 1.0;
            *entry = Dual::variable(entry.value(), tangents);
        }
        dual[k] = seeded;
        grad.extend(directional(&dual));
    }
    grad.truncate(inputs[k].len());
    Tensor::new(inputs[k].shape(), grad)
}

fn backward<S: Scalar>(op: &(impl Op<S> + ?Sized), x: &[&Tensor<S>], gy: &Tensor<S>) -> Vec<Tensor<S>> {
    let mut saved = Saved::keeping();
    let y = op.forward(x, &mut saved);
    let need = vec![true; x.len()];
    let grads = op.backward(&Backward { x, y: &y, saved: &saved, gy, need: &need });
    grads.into_iter().flatten().collect()
}

fn transposed(w: &Tensor<f64>) -> Tensor<f64> {
    Tensor::from_array(w.to_array().reversed_axes())
}

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
