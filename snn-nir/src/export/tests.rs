#![allow(clippy::float_cmp, reason = "spikes are 0 or 1")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "codes are small whole numbers"
)]

use super::*;
use crate::convention::{Convention, MetadataUse};
use crate::import::import;
use proptest::prelude::*;
use snn_core::layer::{Builder, Conv2dConfig};
use snn_core::module::Role;
use snn_core::neuron::{Alif, CubaLif, Firing, Li, Lif, Reset, ResetTime, SpikeWhen};
use snn_core::rng::rng;
use snn_core::{Eager, Exec, Module, Pass, Tensor};

fn hard() -> Firing {
    Firing { reset: Reset::Zero, reset_time: ResetTime::SameStep, threshold: 0.5, ..Firing::default() }
}

fn lif(beta: f32, gain: f32) -> Lif {
    Lif { beta, gain, firing: hard() }
}

fn dense(kind: impl Into<snn_core::layer::NeuronKind>) -> Sequential {
    Sequential::input(&[6]).linear("fc", 5).neuron("out", kind).init(2).unwrap()
}

fn images() -> Builder {
    Sequential::input(&[2, 8, 8])
}

fn run(net: &Sequential) -> Vec<f32> {
    let shape = [&[30, 2], net.input_features()].concat();
    let mut random = rng(4, "x");
    let x = (0..shape.iter().product())
        .map(|_| f32::from(u8::from(rand::RngExt::random_bool(&mut random, 0.4))) * 2.0)
        .collect();
    let mut e = Eager::<f32>::new();
    let x = e.input(&Tensor::new(&shape, x));
    net.forward(&mut e, &x, &Pass::inference()).into_vec()
}

fn differences(a: &Sequential, b: &Sequential) -> usize {
    let (a, b) = (run(a), run(b));
    assert!(a.contains(&0.0) && a.iter().any(|&y| y != 0.0), "spikes, and not only spikes");
    a.iter().zip(&b).filter(|(a, b)| a != b).count()
}

#[test]
fn networks_come_back_as_they_were() {
    let net = images()
        .conv2d("conv", Conv2dConfig::new(4, 3).padding(1).without_bias())
        .avg_pool(2)
        .neuron("a", lif(0.9, 1.0))
        .conv2d(
            "conv2",
            Conv2dConfig { groups: 2, kernel: [3, 1], dilation: [1, 2], ..Conv2dConfig::new(6, 3) },
        )
        .neuron("b", lif(1.0, 0.3))
        .sum_pool(2)
        .flatten()
        .linear("fc1", 7)
        .recurrent("c", lif(0.3, 0.7))
        .linear_without_bias("fc2", 5)
        .neuron("d", CubaLif { alpha: 0.37, beta: 0.81, firing: hard() })
        .linear("fc3", 4)
        .neuron("e", Li { beta: 0.6 })
        .init(1)
        .unwrap();
    let exported = export(&net, &ExportOptions::default()).unwrap();
    let notes = ["grouped", "non-square"].map(|what| Note::TypeCheck { layer: "conv2".to_owned(), what });
    assert_eq!(exported.notes, notes);
    let bytes = crate::to_bytes(&exported.graph).unwrap();
    let imported = import(&crate::from_bytes(bytes).unwrap(), &Convention::euler(0.5)).unwrap();
    assert_eq!(imported.net, net);
    assert_eq!(imported.notes, []);
}

proptest! {
    #[test]
    fn neurons_come_back_as_they_were(
        beta in 0.0..=1.0_f32,
        gain in 0.01..4.0_f32,
        threshold in -1.0..3.0_f32,
        dt in 1e-6..1.0_f64,
    ) {
        let net = dense(Lif { beta, gain, firing: Firing { threshold, ..hard() } });
        let graph = export(&net, &ExportOptions { dt, ..ExportOptions::default() }).unwrap().graph;
        prop_assert_eq!(import(&graph, &Convention::snntorch()).unwrap().net, net);
    }

    /// Without metadata potentials have another unit, and rounding another outcome: the spikes are the same all the same,
    /// but where the membrane all but touches the threshold.
    #[test]
    fn files_run_without_their_metadata(beta in 0.0..=1.0_f32, gain in 0.5..2.0_f32, recurrent in any::<bool>()) {
        let input = Sequential::input(&[6]).linear("fc", 5);
        let net = if recurrent { input.recurrent("out", lif(beta, gain)) } else { input.neuron("out", lif(beta, gain)) };
        let net = net.init(2).unwrap();
        let graph = export(&net, &ExportOptions::default()).unwrap().graph;
        let convention = Convention { metadata: MetadataUse::Ignore, ..Convention::snntorch() };
        let imported = import(&graph, &convention).unwrap().net;
        prop_assert!(differences(&net, &imported) <= 1);
    }
}

/// A network as other programs run its file.
fn as_others_run_it(graph: &Graph) -> Sequential {
    let others = Convention { metadata: MetadataUse::Ignore, ..Convention::snntorch() };
    import(graph, &others).unwrap().net
}

#[test]
fn soft_reset_is_refused_or_noted_and_the_loss_can_be_measured() {
    for (reset, does) in
        [(Reset::Subtract, "subtracts the threshold"), (Reset::None, "leaves the membrane alone")]
    {
        let net = dense(Lif { firing: Firing { reset, ..hard() }, ..lif(0.9, 1.0) });
        let error = export(&net, &ExportOptions::default()).unwrap_err().to_string();
        assert!(error.starts_with(&format!("layer `out`: a spike {does} here")), "{error}");
        let allowed = ExportOptions { soft_reset: SoftReset::WriteAsHard, ..ExportOptions::default() };
        let exported = export(&net, &allowed).unwrap();
        assert_eq!(exported.notes, [Note::Reset { layer: "out".to_owned(), does }]);
        assert_eq!(import(&exported.graph, &Convention::snntorch()).unwrap().net, net);
        assert!(differences(&net, &as_others_run_it(&exported.graph)) > 0);
    }
}

#[test]
fn a_hard_reset_in_the_next_step_is_the_same_network() {
    let net = dense(Lif { firing: Firing { reset_time: ResetTime::NextStep, ..hard() }, ..lif(0.875, 1.0) });
    let exported = export(&net, &ExportOptions::default()).unwrap();
    assert_eq!(exported.notes, []);
    assert_eq!(import(&exported.graph, &Convention::snntorch()).unwrap().net, net);
    assert_eq!(differences(&net, &as_others_run_it(&exported.graph)), 0);
}

#[test]
fn firing_at_the_threshold_is_noted() {
    let net = dense(Lif { firing: Firing { spike_when: SpikeWhen::AtOrAbove, ..hard() }, ..lif(0.5, 1.0) });
    let exported = export(&net, &ExportOptions::default()).unwrap();
    assert_eq!(exported.notes, [Note::SpikeAtThreshold { layer: "out".to_owned() }]);
    assert_eq!(import(&exported.graph, &Convention::snntorch()).unwrap().net, net);
}

#[test]
fn what_nir_cannot_say_is_refused_by_name() {
    let alif = Alif { beta: 0.9, rho: 0.9, kappa: 0.1, firing: hard() };
    let cuba = |alpha| CubaLif { alpha, beta: 0.5, firing: hard() };
    let norm = images().neuron("a", lif(0.9, 1.0)).batch_norm("bn").init(1).unwrap();
    let cases = [
        (dense(alif), "layer `out`: NIR has no neuron with an adaptive threshold"),
        (images().max_pool(2).init(1).unwrap(), "layer `pool1`: NIR has no maximum pooling"),
        (dense(lif(1.5, 1.0)), "layer `out`: beta is 1.5, but must be from 0 to 1 for NIR"),
        (dense(lif(0.5, 0.0)), "layer `out`: gain is 0, but must be positive for NIR"),
        (dense(cuba(1.0)), "layer `out`: alpha is 1, but must be from 0 to below 1 for NIR"),
        (norm, "layer `bn`: NIR has no batch normalization, except directly behind weights"),
        (
            Sequential::input(&[3]).neuron("input", lif(0.5, 1.0)).init(1).unwrap(),
            "two nodes would be named `input`",
        ),
    ];
    for (net, message) in cases {
        let error = export(&net, &ExportOptions::default()).unwrap_err().to_string();
        assert!(error.starts_with(message), "{error}");
    }
}

#[test]
fn batch_normalization_becomes_weights() {
    let builder = images().conv2d("conv", Conv2dConfig::new(4, 3).without_bias()).batch_norm("bn");
    let builder =
        builder.neuron("a", lif(0.9, 1.0)).flatten().dropout("drop", 0.5).linear("fc", 5).batch_norm("bn2");
    let mut net = builder.neuron("b", lif(0.8, 1.0)).init(1).unwrap();
    net.visit_params_mut(&mut |p| {
        if p.name.starts_with("bn") {
            let n = p.value.len();
            let values = (0..n).map(|i| 0.25 + i as f32 / n as f32).collect();
            p.value = Tensor::new(p.value.shape(), values);
        }
    });
    let exported = export(&net, &ExportOptions::default()).unwrap();
    let note = |layer: &str, into: &str| Note::NormFolded { layer: layer.to_owned(), into: into.to_owned() };
    assert_eq!(exported.notes, [note("bn", "conv"), note("bn2", "fc")]);
    let imported = import(&exported.graph, &Convention::snntorch()).unwrap().net;
    assert!(differences(&net, &imported) <= 1);
}

/// Quantizes all weights: symmetric codes per output channel, or codes from 0 with a zero point for the tensor.
fn quantize(net: &mut Sequential, symmetric: bool) -> BTreeMap<String, TensorQuant> {
    let mut quant = BTreeMap::new();
    net.visit_params_mut(&mut |p| {
        let Role::Weight { channel_axis } = p.role else { return };
        let channels = p.value.shape()[channel_axis];
        let run = if channel_axis == 0 { p.value.len() / channels } else { 1 };
        let (n, zero) = if symmetric { (channels, 0) } else { (1, 200) };
        let scales: Vec<f32> = (0..n).map(|c| 0.003 * (c + 1) as f32).collect();
        let scale = |i: usize| scales[i / run % channels % n];
        let values = p.value.as_slice().iter().enumerate();
        let codes: Vec<i32> = values.map(|(i, w)| (w / scale(i)).round_ties_even() as i32 + zero).collect();
        let levels = codes.iter().enumerate().map(|(i, q)| scale(i) * (q - zero) as f32).collect();
        p.value = Tensor::new(p.value.shape(), levels);
        let entry =
            TensorQuant { scheme: "uniform".to_owned(), bits: 8, scales, zero_points: vec![zero; n], codes };
        quant.insert(p.name.clone(), entry);
    });
    quant
}

#[test]
fn codes_are_integers_and_come_back_as_the_levels() {
    for symmetric in [true, false] {
        let builder = images().conv2d("conv", Conv2dConfig::new(4, 3)).avg_pool(2).neuron("a", lif(0.9, 0.5));
        let builder =
            builder.flatten().linear("fc", 5).neuron("b", CubaLif { alpha: 0.4, beta: 0.7, firing: hard() });
        let mut net = builder.linear_without_bias("fc2", 3).neuron("c", Li { beta: 0.9 }).init(7).unwrap();
        let quant = quantize(&mut net, symmetric);
        let options = ExportOptions { quant, weights: WeightFormat::Codes, ..ExportOptions::default() };
        let exported = export(&net, &options).unwrap();
        let types: Vec<_> = exported.graph.nodes.values().filter_map(weight_type).collect();
        assert!(types.iter().all(|t| ["int8", "int16"].contains(t)) && types.len() == 3, "{types:?}");
        assert_eq!(import(&exported.graph, &Convention::snntorch()).unwrap().net, net);
        // Others read the scale as resistance: the same network up to rounding.
        let others = as_others_run_it(&exported.graph);
        let close = run(&net).iter().zip(&run(&others)).all(|(a, b)| (a - b).abs() < 1e-4);
        assert!(close);
        let levels = export(&net, &ExportOptions { weights: WeightFormat::Levels, ..options }).unwrap();
        assert_eq!(import(&levels.graph, &Convention::snntorch()).unwrap().net, net);
    }
}

fn weight_type(node: &Node) -> Option<&'static str> {
    match &node.primitive {
        Primitive::Affine { weight, .. }
        | Primitive::Linear { weight }
        | Primitive::Conv2d { weight, .. } => Some(weight.data().type_name()),
        _ => None,
    }
}

#[test]
fn quantization_is_described() {
    let mut net = dense(lif(0.9, 1.0));
    let state = StateQuant {
        scheme: "fixed_point".to_owned(),
        bits: 6,
        levels: MembraneLevels::Even(0.125),
        placement: "on_store".to_owned(),
    };
    let quant = quantize(&mut net, true);
    let states = BTreeMap::from([("out".to_owned(), state)]);
    let exported = export(&net, &ExportOptions { quant, states, ..ExportOptions::default() }).unwrap();
    assert_eq!(exported.notes, [Note::StateQuant { layer: "out".to_owned() }]);
    let entry = |node: &str, key: &str| {
        crate::sim::group(&exported.graph.nodes[node].metadata, crate::sim::QUANT).unwrap()[key].clone()
    };
    assert_eq!(entry("fc", "weight_bits").number(), Some(8.0));
    assert_eq!(entry("fc", "scheme").text(), Some("uniform"));
    assert_eq!(entry("out", "state_scale").number(), Some(0.125));
    assert_eq!(crate::sim::dt(&exported.graph.metadata), Some(1e-4));
}

#[test]
fn codes_that_cannot_be_are_refused() {
    let as_codes = |net: &Sequential, quant| {
        let options = ExportOptions { quant, weights: WeightFormat::Codes, ..ExportOptions::default() };
        export(net, &options).unwrap_err().to_string()
    };
    let mut bare = Sequential::input(&[6]).linear("fc", 5).init(1).unwrap();
    let quant = quantize(&mut bare, true);
    let message = "tensor `fc.weight`: codes need neurons behind them, whose resistance takes up the scale";
    assert_eq!(as_codes(&bare, quant.clone()), message);
    let mut recurrent =
        Sequential::input(&[6]).linear("fc", 5).recurrent("r", lif(0.9, 1.0)).init(1).unwrap();
    let message = {
        let quant = quantize(&mut recurrent, true);
        as_codes(&recurrent, quant)
    };
    assert!(message.starts_with("tensor `fc.weight`: codes cannot feed recurrent neurons"), "{message}");
    let mut short = quant;
    short.get_mut("fc.weight").unwrap().codes.pop();
    assert_eq!(as_codes(&bare, short), "tensor `fc.weight`: it does not have as many codes as weights");
}
