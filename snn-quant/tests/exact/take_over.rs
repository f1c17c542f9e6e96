//! What a network was trained to in float numbers with few levels, it is in integers.

use snn_core::exec::{Eager, Exec};
use snn_core::layer::{Conv2dConfig, Sequential};
use snn_core::neuron::{Lif, Reset};
use snn_core::rng::counter_uniform;
use snn_core::{Module, Pass, Tensor};
use snn_int::Model;
use snn_int::spec::SynapseSpec;
use snn_quant::exact::{Comparison, Exact, ExactSpec, Figure, Moved, Verifier, lower, take_over};
use snn_quant::{QuantPlan, Quantized};

/// The network under a plan, with its learned scales where training could have moved them.
fn trained(net: &Sequential, plan: &str, scale: impl Fn(&str, usize) -> f32) -> Quantized<Sequential> {
    let neurons = net.neurons().map(|layer| layer.name.clone()).collect();
    let plan = QuantPlan::from_toml(plan, "plan.toml").unwrap();
    let mut net = Quantized::new(net.clone(), &neurons, plan).unwrap();
    net.visit_params_mut(&mut |p| {
        if p.name.ends_with(".scale") {
            let values = (0..p.value.len()).map(|c| scale(&p.name, c)).collect();
            p.value = Tensor::new(p.value.shape(), values);
        }
    });
    net
}

fn in_integers(net: &Quantized<Sequential>) -> (Exact, Vec<Moved>) {
    let plan =
        QuantPlan { exact: Some(ExactSpec { input_max: 3, ..ExactSpec::default() }), ..net.plan().clone() };
    take_over(net, plan).unwrap()
}

fn frames(shape: &[usize]) -> Tensor<f32> {
    let n: usize = shape.iter().product();
    Tensor::new(shape, (0..n as u64).map(|i| (counter_uniform(3, i) * 4.0).floor()).collect())
}

fn output(net: &impl Module, x: &Tensor<f32>) -> Vec<f32> {
    let mut e = Eager::<f32>::new();
    let x = e.input(x);
    net.forward(&mut e, &x, &Pass::inference()).into_vec()
}

fn find<'a>(moved: &'a [Moved], name: &str, figure: Figure) -> &'a Moved {
    moved.iter().find(|moved| (moved.name.as_str(), moved.figure) == (name, figure)).unwrap()
}

#[test]
fn where_integers_move_nothing_the_network_stays_the_same() {
    let config = Conv2dConfig::new(4, 3).without_bias();
    let net = Sequential::input(&[2, 6, 6]).conv2d("conv", config).neuron("lif1", Lif::snntorch(1.0));
    let net = net.flatten().linear_without_bias("fc", 5).neuron("lif2", Lif::snntorch(1.0)).init(4).unwrap();
    let plan = "[weights]\n\
        \"conv.weight\" = { bits = 4, scale = \"learned\", granularity = \"per_channel\" }\n\
        \"fc.weight\" = { bits = 3, scale = \"learned\" }\n\
        [states.lif1]\nquantizer = { scheme = \"fixed_point\", bits = 8, int_bits = 2 }\n\
        [states.lif2]\nquantizer = { scheme = \"fixed_point\", bits = 6, int_bits = 2 }\n";
    // A step of lif1 is half a unit of its weights, one of lif2 two.
    let quantized = trained(&net, plan, |_, _| 1.0 / 16.0);
    let (exact, moved) = in_integers(&quantized);
    assert!(moved.iter().all(|moved| moved.most == 0.0), "{moved:?}");
    assert_eq!(moved.len(), 8, "scale, step, threshold and decay of two layers: {moved:?}");
    let x = frames(&[12, 3, 2, 6, 6]);
    let spikes = output(&quantized, &x);
    assert_eq!(spikes, output(&exact, &x));
    let n_spikes = spikes.iter().sum::<f32>();
    assert!(n_spikes > 20.0 && n_spikes < 160.0, "{n_spikes} spikes");
    let anew = Exact::new(net, exact.plan().clone()).unwrap();
    assert_ne!(spikes, output(&anew, &x), "scales that start anew give another network");
}

#[test]
fn learned_levels_are_taken_over_where_training_left_them() {
    let net = Sequential::input(&[20])
        .linear_without_bias("fc", 9)
        .neuron("lif", Lif::snntorch(1.0))
        .init(4)
        .unwrap();
    let plan = "[weights]\n\"fc.weight\" = { bits = 4, scale = \"learned\" }\n\
        [states.lif]\nquantizer = { scheme = \"levels\", bits = 3, variant = \"zero_exact\", learn = \"range\" }\n";
    let mut quantized = trained(&net, plan, |_, _| 1.0 / 16.0);
    // Eight levels from -1.5 to 2, half a threshold apart.
    quantized.visit_params_mut(&mut |p| {
        if p.name == "lif.levels" {
            p.value = Tensor::new(&[2], vec![1.5, 1.0]);
        }
    });
    let (exact, _) = in_integers(&quantized);
    let x = frames(&[15, 4, 20]);
    let spikes = output(&quantized, &x);
    assert_eq!(spikes, output(&exact, &x));
    let as_it_started = trained(&net, plan, |_, _| 1.0 / 16.0);
    assert_ne!(spikes, output(&as_it_started, &x), "levels that start anew give another network");
    let moving = QuantPlan { exact: Some(ExactSpec::default()), ..quantized.plan().clone() };
    let error = Exact::new(net, moving).unwrap_err().to_string();
    assert!(error.contains("lif") && error.contains("take that network over"), "{error}");
}

/// A convolution with batch normalization, of which one channel is turned over, recurrent neurons and a readout.
fn folded_and_recurrent() -> Sequential {
    let zero = |beta| {
        let mut lif = Lif::snntorch(beta);
        lif.firing.reset = Reset::Zero;
        lif
    };
    let net = Sequential::input(&[2, 6, 6]).conv2d("conv", Conv2dConfig::new(3, 3)).batch_norm("bn");
    let net = net.neuron("lif1", zero(0.77)).flatten().linear("hidden", 6).recurrent("rlif", zero(0.9));
    let mut net = net.linear("fc", 4).init(6).unwrap();
    net.visit_params_mut(&mut |p| {
        if p.name == "bn.weight" || p.name == "bn.gamma" {
            p.value = Tensor::new(&[3], vec![0.8, -1.3, 0.4]);
        }
    });
    net
}

const FOLDED: &str = "[weights]\n\
    \"conv.weight\" = { bits = 4, scale = \"learned\" }\n\
    \"hidden.weight\" = { bits = 5, granularity = \"per_channel\" }\n\
    \"rlif.recurrent\" = { bits = 5 }\n\
    \"fc.weight\" = { bits = 8 }\n\
    [states.lif1]\nquantizer = { scheme = \"fixed_point\", bits = 8, int_bits = 1 }\n\
    [states.rlif]\nquantizer = { scheme = \"levels\", bits = 4, variant = \"zero_exact\" }\n";

#[test]
fn codes_stay_where_batch_normalization_is_folded_and_the_rest_says_how_far_it_went() {
    let net = folded_and_recurrent();
    let quantized = trained(&net, FOLDED, |_, _| 0.06);
    let before = quantized.weight_params().unwrap();
    let (exact, moved) = in_integers(&quantized);
    let spec = lower(&exact, "").unwrap();
    let SynapseSpec::Conv { weights, .. } = &spec.layers[0].synapses else { panic!("a convolution") };
    let mut codes = Vec::new();
    net.visit_params(&mut |p| {
        if p.name == "conv.weight" {
            codes = before["conv.weight"].codes(p.value.as_slice());
        }
    });
    let turned: Vec<i32> = codes.iter().enumerate().map(|(i, c)| if i / 18 == 1 { -c } else { *c }).collect();
    let found: Vec<i32> = weights.values.iter().map(|&code| code.into()).collect();
    assert_eq!(found, turned);
    assert_eq!(find(&moved, "conv.weight", Figure::WeightScale).most, 0.0);
    let before_the_table = find(&moved, "hidden.weight", Figure::WeightScale);
    assert!(before_the_table.exact[0] == before_the_table.exact[1] && before_the_table.most > 0.0);
    let recurrent = find(&moved, "rlif.recurrent", Figure::WeightScale);
    assert_eq!(recurrent.exact, find(&moved, "hidden.weight", Figure::WeightScale).exact);
    assert!(recurrent.most > 0.0);
    let threshold = find(&moved, "lif1", Figure::Threshold);
    assert!(threshold.quantized == [1.0; 2] && threshold.most > 0.0 && threshold.most < 0.1, "{threshold:?}");
    assert!(find(&moved, "lif1", Figure::Decay).most < 1e-3);
    assert!(find(&moved, "rlif", Figure::MembraneLevels).most < 0.1);
    let bytes = spec.to_bytes().unwrap();
    let mut verifier = Verifier::new(&exact, Model::from_bytes(&bytes).unwrap()).unwrap();
    match verifier.compare(&frames(&[9, 4, 2, 6, 6])).unwrap() {
        Comparison::Equal { compared, .. } => assert!(compared.spikes > 50, "{compared:?}"),
        Comparison::Different(found) => panic!("{found:?}"),
    }
}

#[test]
fn several_scales_where_one_is_possible_become_the_nearest_one() {
    let net = Sequential::input(&[20]).linear("fc", 4).init(8).unwrap();
    let plan =
        "[weights]\n\"fc.weight\" = { bits = 8, scale = \"learned\", granularity = \"per_channel\" }\n";
    let quantized = trained(&net, plan, |_, c| 0.002 + 0.0004 * c as f32);
    let one = plan.replace(", granularity = \"per_channel\"", "");
    let mut plan = QuantPlan::from_toml(&one, "plan.toml").unwrap();
    plan.exact = Some(ExactSpec { input_max: 1, ..ExactSpec::default() });
    let (exact, moved) = take_over(&quantized, plan).unwrap();
    let scale = &moved[0];
    assert!(
        (scale.quantized[0] - 0.002).abs() < 1e-6 && (scale.quantized[1] - 0.0032).abs() < 1e-6,
        "{scale:?}"
    );
    assert!(scale.exact[0] == scale.exact[1] && scale.exact[0] < 0.0033 && scale.most > 0.1, "{scale:?}");
    let x = frames(&[5, 2, 20]).map(|v| v.min(1.0));
    for (want, got) in output(&quantized, &x).iter().zip(&output(&exact, &x)) {
        assert!(
            (want - got).abs() < 20.0 * scale.exact[0],
            "{want} {got}: half a step from each of 20 inputs, and bias"
        );
    }
}
