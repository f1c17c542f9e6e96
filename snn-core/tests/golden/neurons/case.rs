//! The cases of the file: which neuron each pins, its inputs, and its gradients.

use super::stored_membrane;
use snn_core::layer::NeuronKind;
use snn_core::neuron::{Alif, CubaLif, Decolle, Firing, Li, Lif, NeuronOp, Reset, ResetGrad, ResetTime};
use snn_core::op::{Backward, Op, Saved};
use snn_core::ops::Linear;
use snn_core::{Dual, Scalar, Tensor};
use snn_testkit::Golden;

const ALPHA: f32 = 0.75;
const BETA: f32 = 0.875;

/// The gain of the file's synaptic filters, where those of [`Decolle`] have unit gain.
const DECOLLE_GAIN: f64 = 1024.0;

fn reset(name: &str) -> Reset {
    match name {
        "subtract" | "soft" => Reset::Subtract,
        "zero" | "hard" => Reset::Zero,
        "none" => Reset::None,
        _ => panic!("no reset {name}"),
    }
}

fn reset_grad(name: &str) -> ResetGrad {
    match name {
        "detached" => ResetGrad::Detached,
        "through" => ResetGrad::Through,
        "constant" => ResetGrad::FrozenTerm,
        _ => panic!("no reset gradient {name}"),
    }
}

fn firing(name: &str, reset_time: ResetTime, grad: &str) -> Firing {
    Firing { reset: reset(name), reset_time, reset_grad: reset_grad(grad), ..Firing::default() }
}

/// `preset` with reset and reset gradient as a case says.
fn with_reset(preset: Lif, name: &str, grad: &str) -> NeuronKind {
    let firing = Firing { reset: reset(name), reset_grad: reset_grad(grad), ..preset.firing };
    Lif { firing, ..preset }.into()
}

fn decolle(grad: &str) -> NeuronKind {
    let preset = Decolle::lui_neftci(BETA, 0.75, 0.5);
    Decolle { firing: Firing { reset_grad: reset_grad(grad), ..preset.firing }, ..preset }.into()
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
        ["decolle", grad] => decolle(grad),
        _ => panic!("no neuron for case {case}"),
    }
}

/// A case of the file.
pub(super) struct Case<'a> {
    pub(super) name: &'a str,
    pub(super) kind: NeuronKind,
    golden: &'a Golden,
}

/// What gradients are taken of: a sequence times its cotangent, summed.
#[derive(Clone, Copy)]
pub(super) enum Of {
    Spikes,
    Membrane,
}

impl<'a> Case<'a> {
    pub(super) fn new(golden: &'a Golden, name: &'a str) -> Self {
        Self { name, kind: neuron(name), golden }
    }

    fn family(&self) -> &'a str {
        self.name.split('/').next().unwrap()
    }

    fn is_recurrent(&self) -> bool {
        matches!(self.family(), "rleaky" | "rlif" | "rsynaptic")
    }

    pub(super) fn want(&self, array: &str) -> Vec<f64> {
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
    pub(super) fn inputs(&self) -> Vec<Tensor<f64>> {
        if self.is_recurrent() {
            return vec![self.current(), transposed(&self.tensor("recurrent_w")), self.tensor("recurrent_b")];
        }
        vec![self.current()]
    }

    pub(super) fn op<S: Scalar>(&self) -> Box<dyn NeuronOp<S>> {
        if self.is_recurrent() { self.kind.recurrent_scan() } else { self.kind.scan() }
    }

    /// Gradients of the output (the membrane for a leaky integrator) by the inputs of the op, from its backward.
    pub(super) fn backward<S: Scalar>(&self) -> Vec<Tensor<f64>> {
        let cotangent = self.tensor(if self.name == "li" { "g_mem" } else { "g_spk" });
        let inputs: Vec<Tensor<S>> = self.inputs().iter().map(Tensor::cast).collect();
        let grads = backward(self.op().as_ref(), &inputs.iter().collect::<Vec<_>>(), &cotangent);
        grads.iter().map(Tensor::cast).collect()
    }

    /// Gradients by the inputs of the op, from runs on dual numbers.
    pub(super) fn forward_mode(&self, of: Of) -> Vec<Tensor<f64>> {
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
    pub(super) fn weight_grad(&self, grads: &[Tensor<f64>]) -> Vec<f64> {
        if self.is_recurrent() {
            return transposed(&grads[1]).into_vec();
        }
        self.synapse_grad(&grads[0])[1].clone().into_vec()
    }

    pub(super) fn bias_grad(&self, grads: &[Tensor<f64>]) -> Vec<f64> {
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
    pub(super) fn current_grad(&self, grads: &[Tensor<f64>]) -> Vec<f64> {
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
