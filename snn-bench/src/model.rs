//! From a configuration to a network, and what plans and reports ask of it.

use crate::config::{NetConfig, NeuronPreset};
use snn_core::layer::{Layer, NeuronKind, NeuronLayer, Sequential, parse};
use snn_core::neuron::{Decolle, Lif};
use snn_core::{Module, ShapeError, Tensor};
use snn_quant::{QuantPlan, Variables};
use std::collections::{BTreeMap, BTreeSet};

/// Builds the network for frames `[C, H, W]` and draws its weights.
///
/// # Errors
/// [`ShapeError`], naming the item or layer that does not fit.
pub fn build(config: &NetConfig, frame: [usize; 3], seed: u64) -> Result<Sequential, ShapeError> {
    build_with(config, neuron(config), frame, seed)
}

/// The same with another neuron than the configuration names.
///
/// # Errors
/// As [`build`].
pub fn build_with(
    config: &NetConfig,
    neuron: NeuronKind,
    frame: [usize; 3],
    seed: u64,
) -> Result<Sequential, ShapeError> {
    let mut net = parse(&config.layers, &frame, neuron)?.init(seed)?;
    net.visit_params_mut(&mut |p| {
        if p.name.starts_with("conv") {
            p.value = if p.is_weight() {
                p.value.map(|w| w * config.weight_gain)
            } else {
                Tensor::full(p.value.shape(), config.initial_bias)
            };
        }
    });
    Ok(net)
}

/// The neuron of a configuration.
#[must_use]
pub fn neuron(config: &NetConfig) -> NeuronKind {
    let beta = config.beta;
    match config.neuron {
        NeuronPreset::Snntorch => Lif::snntorch(beta).into(),
        NeuronPreset::Spikingjelly => Lif::spikingjelly(1.0 / (1.0 - beta).max(1e-6)).into(),
        NeuronPreset::LuiNeftci => Lif::lui_neftci(beta).into(),
        NeuronPreset::Decolle => Decolle::lui_neftci(beta, beta, beta).into(),
    }
}

/// Bytes of the state of all neurons for one sample, which is working memory: codes at the plan's widths, without gaps in
/// each variable of each layer, and 4 bytes for each value that stays in float.
#[must_use]
pub fn state_bytes(net: &Sequential, plan: &QuantPlan) -> u64 {
    let of_layer = |layer: &NeuronLayer| {
        let n: u64 = layer.features.iter().map(|&n| n as u64).product();
        let spec = plan.states.get(&layer.name);
        let quantized = match spec.map(|spec| spec.variables) {
            Some(Variables::All) => layer.kind.n_quantized_states() as u64,
            Some(Variables::Membrane) => 1,
            None => 0,
        };
        let codes = spec.map_or(0, |spec| spec.bits().packed_bytes(n));
        quantized * codes + (layer.kind.n_states() as u64 - quantized) * 4 * n
    };
    net.neurons().map(of_layer).sum()
}

/// Names of the neuron layers.
#[must_use]
pub fn neuron_names(net: &Sequential) -> BTreeSet<String> {
    net.neurons().map(|layer| layer.name.clone()).collect()
}

/// For each neuron layer, the weight tensor that feeds it.
#[must_use]
pub fn feeding_weights(net: &Sequential) -> BTreeMap<String, String> {
    let mut last = None;
    let mut feeds = BTreeMap::new();
    for layer in net.layers() {
        match layer {
            Layer::Linear(l) => last = Some(l.weight.name.clone()),
            Layer::Conv2d(l) => last = Some(l.weight.name.clone()),
            Layer::Neuron(n) => feeds.extend(last.clone().map(|weight| (n.name.clone(), weight))),
            _ => {}
        }
    }
    feeds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_neuron_layer_knows_the_weights_before_it() {
        let net = build(&NetConfig::default(), [2, 32, 32], 1).unwrap();
        let feeds = feeding_weights(&net);
        assert_eq!(
            feeds.into_iter().collect::<Vec<_>>(),
            [("lif1".to_owned(), "conv1.weight".to_owned()), ("lif2".to_owned(), "conv2.weight".to_owned()),]
        );
    }
}
