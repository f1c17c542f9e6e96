//! Local losses with fixed readouts (DECOLLE).

use snn_core::exec::Exec;
use snn_core::init::Init;
use snn_core::layer::{Layer, Sequential};
use snn_core::ops::{Concat, Dropout, Linear, Reshape};
use snn_core::rng::{rng, sub_seed};
use snn_core::{Module, Param, Pass, Role};

/// Probability of dropping a spike on its way to a readout.
const DROPOUT: f32 = 0.5;
/// Readout weights are `U(±AMPLITUDE/√fan_in)`.
const AMPLITUDE: f32 = 0.5;

/// A network whose every neuron layer has a fixed random readout, and no gradient from the layers above.
///
/// Output: the readouts side by side, `[T, B, layers · classes]`, for a loss that adds them up. With neurons whose reset
/// term is constant for the gradient, the gradient of a layer's weights is the sum over time of its local error times the
/// eligibility trace, as in DECOLLE.
///
/// # References
/// Kaiser, Mostafa, Neftci, "Synaptic plasticity dynamics for deep continuous local learning (DECOLLE)", 2020
/// (arXiv:1811.10766); settings of Lui and Neftci 2021. Deviation: weights change once a batch, not at every time step.
#[derive(Debug, Clone)]
pub struct LocalReadouts {
    net: Sequential,
    readouts: Vec<Param>,
}

impl LocalReadouts {
    /// Puts a readout of `n_classes` behind each neuron layer of `net`.
    #[must_use]
    pub fn new(net: Sequential, n_classes: usize, seed: u64) -> Self {
        let readout = |(name, n_in): (String, usize)| {
            let bound = AMPLITUDE / (n_in as f32).sqrt();
            let name = format!("{name}.readout");
            let init = Init::Uniform { bound };
            let value = init.fill(&[n_in, n_classes], n_in, n_classes, &mut rng(seed, &name));
            Param::new(name, value, Role::Buffer)
        };
        let sizes = net.neurons().map(|layer| (layer.name.clone(), layer.features.iter().product()));
        let readouts = sizes.map(readout).collect();
        Self { net, readouts }
    }

    /// Number of readouts.
    #[must_use]
    pub fn n_readouts(&self) -> usize {
        self.readouts.len()
    }

    fn read<E: Exec>(e: &mut E, spikes: &E::Value, readout: &Param, pass: &Pass) -> E::Value {
        let n_in = readout.value.shape()[0];
        let flat = e.apply(Box::new(Reshape { features: vec![n_in] }), &[spikes]);
        let weight = e.param(readout);
        match pass.noise {
            Some(seed) => {
                let seed = sub_seed(seed, &readout.name);
                let kept = e.apply(Box::new(Dropout { probability: DROPOUT, seed }), &[&flat]);
                e.apply(Box::new(Linear), &[&kept, &weight])
            }
            None => e.apply(Box::new(Linear), &[&flat, &weight]),
        }
    }
}

impl Module for LocalReadouts {
    fn forward<E: Exec>(&self, e: &mut E, x: &E::Value, pass: &Pass) -> E::Value {
        let mut readouts = self.readouts.iter();
        let mut outputs = Vec::new();
        let mut x = x.clone();
        for layer in self.net.layers() {
            x = layer.forward(e, &x, pass);
            if !matches!(layer, Layer::Neuron(_)) {
                continue;
            }
            if let Some(readout) = readouts.next() {
                outputs.push(Self::read(e, &x, readout, pass));
                x = e.detach(&x);
            }
        }
        e.apply(Box::new(Concat), &outputs.iter().collect::<Vec<_>>())
    }

    fn visit_params(&self, f: &mut dyn FnMut(&Param)) {
        self.net.visit_params(f);
        self.readouts.iter().for_each(f);
    }

    fn visit_params_mut(&mut self, f: &mut dyn FnMut(&mut Param)) {
        self.net.visit_params_mut(f);
        self.readouts.iter_mut().for_each(f);
    }

    fn needs_whole_batch(&self) -> bool {
        self.net.needs_whole_batch()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use snn_autodiff::{Grads, Sample, Tape, gradient};
    use snn_core::Tensor;
    use snn_core::loss::Loss;
    use snn_core::neuron::{Lif, ResetGrad};
    use snn_core::rng::counter_uniform;

    fn net() -> LocalReadouts {
        let mut lif = Lif::lui_neftci(0.7);
        lif.firing.reset_grad = ResetGrad::FrozenTerm;
        let net =
            Sequential::input(&[6]).linear("fc1", 5).neuron("lif1", lif).linear("fc2", 4).neuron("lif2", lif);
        LocalReadouts::new(net.init(3).unwrap(), 2, 3)
    }

    fn grads(net: &LocalReadouts) -> Grads<f64> {
        let draw = |i| if counter_uniform(4, i) < 0.5 { 1.0 } else { 0.0 };
        let x = Tensor::new(&[5, 3, 6], (0..90).map(draw).collect());
        let sample = Sample { x: &x, labels: &[0, 1, 1], normalizer: 3 };
        let loss = Loss::SmoothL1 { burn_in: 1, n_classes: 2 };
        gradient(net, &loss, sample, &Pass::inference(), Tape::new()).1
    }

    #[test]
    fn a_layer_learns_from_its_own_readout_only() {
        let net = net();
        let mut other = net.clone();
        other.visit_params_mut(&mut |p| {
            if p.name.starts_with("fc2") || p.name.starts_with("lif2") {
                p.value = p.value.map(|w| 1.0 - w);
            }
        });
        let (a, b) = (grads(&net), grads(&other));
        assert!(a.get("fc1.weight").unwrap().as_slice().iter().any(|&g| g != 0.0));
        assert_eq!(a.get("fc1.weight"), b.get("fc1.weight"));
        assert_ne!(a.get("fc2.weight"), b.get("fc2.weight"));
    }

    #[test]
    fn readouts_are_fixed() {
        assert!(grads(&net()).get("lif1.readout").is_none());
    }
}
