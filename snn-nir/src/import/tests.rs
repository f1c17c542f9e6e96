#![allow(clippy::float_cmp, reason = "what is exact is compared exactly")]
#![allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "small numbers")]

use super::*;
use crate::convention::{Convention, Decay, Drive, Integration};
use crate::field::Padding;
use crate::graph::Node;
use crate::num::array;
use crate::primitive::Primitive;
use snn_core::io::{Array, Data};
use snn_core::layer::{Layer, NeuronKind};
use snn_core::neuron::{Reset, SpikeWhen};
use snn_core::{Eager, Exec, Module, Pass, Tensor};

fn numbers(values: &[f64]) -> Array {
    array(&[values.len()], Data::F64(values.to_vec()))
}

fn scalar(value: f64) -> Array {
    array(&[], Data::F64(vec![value]))
}

fn matrix(n_out: usize, n_in: usize) -> Array {
    array(&[n_out, n_in], Data::F64((0..n_out * n_in).map(|i| (i * 5 % 7) as f64 / 4.0 - 0.5).collect()))
}

fn input(shape: &[usize]) -> Primitive {
    Primitive::Input { shape: shape.to_vec() }
}

fn affine(n_out: usize, n_in: usize) -> Primitive {
    Primitive::Affine { weight: matrix(n_out, n_in), bias: numbers(&vec![0.125; n_out]) }
}

fn lif(tau: f64, r: &[f64], v_leak: f64, v_threshold: &[f64], v_reset: f64) -> Primitive {
    Primitive::Lif {
        tau: scalar(tau),
        r: numbers(r),
        v_leak: scalar(v_leak),
        v_threshold: numbers(v_threshold),
        v_reset: Some(scalar(v_reset)),
    }
}

/// A chain of nodes called n0, n1, and so on.
fn chain(primitives: Vec<Primitive>) -> Graph {
    Graph::chain(primitives.into_iter().enumerate().map(|(i, p)| (format!("n{i}"), Node::from(p))).collect())
}

fn refusal(graph: &Graph) -> String {
    import(graph, &Convention::euler(1.0)).unwrap_err().to_string()
}

/// Output spikes of a network over a fixed input, `[T, features…]`.
fn run(net: &Sequential, n_steps: usize) -> Vec<f32> {
    let shape = [&[n_steps, 1], net.input_features()].concat();
    let mut e = Eager::<f32>::new();
    let x = (0..shape.iter().product()).map(|i: usize| f32::from(i * 7 % 11 < 5)).collect();
    let x = e.input(&Tensor::new(&shape, x));
    net.forward(&mut e, &x, &Pass::inference()).into_vec()
}

/// NIR's `LIF` in `f64` by forward Euler: the definition, to compare with.
fn reference(
    weight: &[f64],
    n_out: usize,
    tau: f64,
    r: &[f64],
    leak: f64,
    threshold: &[f64],
    n_steps: usize,
) -> Vec<f32> {
    let n_in = weight.len() / n_out;
    let mut v = vec![leak; n_out];
    let mut spikes = Vec::new();
    for t in 0..n_steps {
        for o in 0..n_out {
            let x = |i: usize| f64::from(u8::from((t * n_in + i) * 7 % 11 < 5));
            let current: f64 = (0..n_in).map(|i| weight[o * n_in + i] * x(i)).sum::<f64>() + 0.125;
            v[o] += (leak - v[o] + r[o] * current) / tau;
            let fires = v[o] > threshold[o];
            if fires {
                v[o] = leak;
            }
            spikes.push(f32::from(fires));
        }
    }
    spikes
}

#[test]
fn resistances_thresholds_and_leaks_of_any_value_are_the_same_network() {
    let weight = crate::num::to_f64(&matrix(3, 4));
    let cases: [(&[f64], f64, &[f64]); 4] = [
        (&[2.0, 2.0, 2.0], 0.0, &[1.0, 1.0, 1.0]),
        (&[2.0, 1.0, 3.5], 0.0, &[1.0, 1.0, 1.0]),
        (&[2.0, 2.0, 2.0], -65.0, &[-64.0, -64.0, -64.0]),
        (&[2.0, 1.0, 3.5], 0.25, &[1.0, 0.75, 2.0]),
    ];
    for (r, leak, threshold) in cases {
        let graph = chain(vec![input(&[4]), affine(3, 4), lif(8.0, r, leak, threshold, leak)]);
        let net = import(&graph, &Convention::euler(1.0)).unwrap().net;
        let expected = reference(&weight, 3, 8.0, r, leak, threshold, 200);
        assert!(expected.iter().sum::<f32>() > 20.0);
        assert_eq!(run(&net, 200), expected, "r {r:?}, leak {leak}, threshold {threshold:?}");
    }
}

#[test]
fn what_was_rescaled_and_shifted_is_noted() {
    let graph = chain(vec![input(&[4]), affine(3, 4), lif(8.0, &[1.0, 2.0, 1.0], 0.25, &[1.0; 3], 0.25)]);
    let notes = import(&graph, &Convention::euler(1.0)).unwrap().notes;
    let rescaled = Note::Rescaled { node: "n2".to_owned(), into: "n1".to_owned() };
    assert_eq!(notes, [Note::Shifted { node: "n2".to_owned() }, rescaled]);
}

fn neuron(net: &Sequential) -> NeuronKind {
    net.neurons().next().unwrap().kind
}

#[test]
fn conventions_fill_in_what_files_leave_open() {
    let graph = chain(vec![input(&[2]), affine(2, 2), lif(4.0, &[3.0; 2], 0.0, &[1.0; 2], 0.0)]);
    let under = |convention: &Convention| match neuron(&import(&graph, convention).unwrap().net) {
        NeuronKind::Lif(lif) => lif,
        other => panic!("{other:?}"),
    };
    let euler = under(&Convention::euler(1.0));
    assert_eq!((euler.beta, euler.gain, euler.firing.reset), (0.75, 0.75, Reset::Zero));
    assert_eq!(euler.firing.spike_when, SpikeWhen::Above);
    let sinabs = under(&Convention::sinabs());
    assert_eq!((sinabs.beta, sinabs.gain), ((-0.25_f64).exp() as f32, 3.0));
    assert_eq!((sinabs.firing.reset, sinabs.firing.spike_when), (Reset::Subtract, SpikeWhen::AtOrAbove));
    let exact = Convention { decay: Decay::Exponential, drive: Drive::Exponential, ..Convention::euler(1.0) };
    assert_eq!(under(&exact).gain, (3.0 * (1.0 - (-0.25_f64).exp())) as f32);
}

#[test]
fn integrators_count_steps_or_seconds() {
    let integrator = || Primitive::If { r: scalar(2.0), v_threshold: scalar(1.0), v_reset: None };
    let graph = chain(vec![input(&[2]), affine(2, 2), integrator()]);
    for (integration, gain) in [(Integration::PerStep, 2.0), (Integration::Euler, 0.5)] {
        let convention = Convention { integration, ..Convention::euler(0.25) };
        let NeuronKind::Lif(lif) = neuron(&import(&graph, &convention).unwrap().net) else { panic!() };
        assert_eq!((lif.beta, lif.gain), (1.0, gain));
    }
}

#[test]
fn neurons_that_cannot_be_are_refused_with_the_reason() {
    let with = |neuron| chain(vec![input(&[4]), affine(3, 4), neuron]);
    let r = [1.0; 3];
    let taus = |values: &[f64]| Primitive::Li { tau: numbers(values), r: scalar(1.0), v_leak: scalar(0.0) };
    let cases = [
        (with(lif(8.0, &r, 0.0, &r, 0.5)), "node `n2`: v_reset is not v_leak"),
        (with(lif(0.5, &r, 0.0, &r, 0.0)), "node `n2`: tau is 0.5, which makes the decay per step of 1 -1"),
        (with(lif(-3.0, &r, 0.0, &r, 0.0)), "node `n2`: tau is -3"),
        (
            with(taus(&[2.0, 3.0, 4.0])),
            "node `n2`: tau differs between neurons, and layers here have one decay",
        ),
        (
            with(lif(8.0, &r, 0.0, &[1.0, -1.0, 1.0], 0.0)),
            "node `n2`: v_threshold differs between neurons and is not",
        ),
        (with(lif(8.0, &[f64::NAN; 3], 0.0, &r, 0.0)), "node `n2`: r holds NaN"),
        (
            with(lif(8.0, &[1.0; 2], 0.0, &r, 0.0)),
            "node `n2`: r has shape [2], but the input of shape [3] asks for one",
        ),
        (
            chain(vec![input(&[3]), lif(8.0, &[1.0, 2.0, 3.0], 0.0, &r, 0.0)]),
            "node `n1`: scale or resistance differs from 1 or between neurons, and no weights come before",
        ),
    ];
    for (graph, message) in cases {
        let found = refusal(&graph);
        assert!(found.starts_with(message), "{found}");
    }
}

#[test]
fn primitives_without_a_layer_are_refused_by_name() {
    let n = || scalar(1.0);
    let cuba_li = Primitive::CubaLi { tau_syn: n(), tau_mem: n(), r: n(), v_leak: n(), w_in: None };
    let conv1d = Primitive::Conv1d {
        input_shape: Some([4]),
        weight: matrix(3, 4),
        stride: [1],
        padding: Padding::Valid,
        dilation: [1],
        groups: 1,
        bias: numbers(&[0.0; 3]),
    };
    for (primitive, name) in
        [(cuba_li, "CubaLI"), (conv1d, "Conv1d"), (Primitive::Delay { delay: n() }, "Delay")]
    {
        let found = refusal(&chain(vec![input(&[4]), primitive]));
        assert!(found.starts_with(&format!("node `n1`: {name} is not supported: ")), "{found}");
    }
}

#[test]
fn graphs_that_are_no_chains_are_refused_with_the_node() {
    let mut branch = chain(vec![input(&[2]), affine(2, 2), affine(2, 2)]);
    branch.edges.push(("n0".to_owned(), "n2".to_owned()));
    let mut ring = chain(vec![input(&[2]), affine(2, 2), affine(2, 2)]);
    ring.edges.push(("n2".to_owned(), "n1".to_owned()));
    let mut island = chain(vec![input(&[2]), affine(2, 2)]);
    island.nodes.insert("x".to_owned(), affine(2, 2).into());
    let cases = [
        (branch, "node `n0`: it leads to `n1` and `n2`"),
        (ring, "node `n1`: it has a second input, `n2`"),
        (island, "node `x`: it is not reached from the input"),
        (Graph::default(), "node `graph`: it has no `Input`"),
    ];
    for (graph, message) in cases {
        let found = refusal(&graph);
        assert!(found.starts_with(message), "{found}");
    }
}

/// Neurons with recurrent weights, as nodes of one graph and as a subgraph.
fn recurrent_graphs() -> [Graph; 2] {
    let neurons = || lif(4.0, &[1.0, 2.0], 0.0, &[0.5, 0.5], 0.0);
    let mut flat = chain(vec![input(&[3]), affine(2, 3), neurons(), Primitive::Output { shape: vec![2] }]);
    flat.nodes.insert("w".to_owned(), affine(2, 2).into());
    flat.edges.extend([("n2", "w"), ("w", "n2")].map(|(a, b)| (a.to_owned(), b.to_owned())));
    let mut inner = chain(vec![input(&[2]), neurons(), Primitive::Output { shape: vec![2] }]);
    inner.nodes.insert("w".to_owned(), affine(2, 2).into());
    inner.edges.extend([("n1", "w"), ("w", "n1")].map(|(a, b)| (a.to_owned(), b.to_owned())));
    let nested =
        chain(vec![input(&[3]), affine(2, 3), Primitive::Graph(inner), Primitive::Output { shape: vec![2] }]);
    [flat, nested]
}

#[test]
fn subgraphs_are_taken_apart() {
    let [flat, nested] = recurrent_graphs().map(|graph| import(&graph, &Convention::euler(1.0)).unwrap().net);
    assert!(nested.neurons().all(|n| n.name == "n2.n1" && n.recurrent.is_some()));
    let spikes = run(&flat, 100);
    assert!(spikes.iter().any(|&s| s > 0.0));
    assert_eq!(spikes, run(&nested, 100));
}

#[test]
fn scales_thresholds_and_delays_of_nothing_are_taken_up() {
    let scale = Primitive::Scale { scale: numbers(&[2.0, 0.5]) };
    let threshold = Primitive::Threshold { threshold: scalar(0.75) };
    let delay = Primitive::Delay { delay: scalar(0.0) };
    let graph = chain(vec![input(&[3]), affine(2, 3), scale, delay, threshold]);
    let net = import(&graph, &Convention::euler(1.0)).unwrap().net;
    let weight = crate::num::to_f64(&matrix(2, 3));
    for (t, spikes) in run(&net, 20).chunks(2).enumerate() {
        for (o, factor) in [2.0, 0.5].into_iter().enumerate() {
            let x = |i: usize| f64::from(u8::from((t * 3 + i) * 7 % 11 < 5));
            let y = factor * ((0..3).map(|i| weight[o * 3 + i] * x(i)).sum::<f64>() + 0.125);
            assert_eq!(spikes[o] > 0.0, y > 0.75);
        }
    }
}

#[test]
fn a_batch_axis_of_the_input_is_left_out() {
    let imported = import(&chain(vec![input(&[1, 3]), affine(2, 3)]), &Convention::euler(1.0)).unwrap();
    assert_eq!(imported.net.input_features(), [3]);
    assert_eq!(imported.notes, [Note::BatchAxis { node: "n0".to_owned() }]);
}

fn conv(padding: Padding<2>, stride: [usize; 2]) -> Primitive {
    let weight = array(&[3, 2, 3, 3], Data::F32(vec![0.5; 54]));
    let (dilation, bias) = ([1, 1], array(&[3], Data::F32(vec![0.0; 3])));
    Primitive::Conv2d { input_shape: None, weight, stride, padding, dilation, groups: 1, bias }
}

#[test]
fn paddings_pools_and_flattening_are_checked() {
    let pool = |padding| Primitive::SumPool2d { kernel_size: [2, 2], stride: [1, 2], padding };
    let flatten = |start_dim| Primitive::Flatten { start_dim, end_dim: -1, input_type: None };
    let same = conv(Padding::Same, [1, 1]);
    let graph = chain(vec![input(&[2, 6, 6]), same, pool([0, 0]), flatten(0), affine(2, 45)]);
    let net = import(&graph, &Convention::euler(1.0)).unwrap().net;
    assert!(
        matches!(&net.layers()[0], Layer::Conv2d(c) if c.conv.shape().padding == [1, 1] && c.bias.is_none())
    );
    let cases = [
        (vec![input(&[2, 6, 6]), conv(Padding::Same, [2, 2])], "node `n1`: padding `same` needs stride 1"),
        (vec![input(&[2, 6, 6]), pool([1, 1])], "node `n1`: padding is [1, 1], but pools here have none"),
        (
            vec![input(&[2, 6, 6]), flatten(1)],
            "node `n1`: start_dim to 2 of features [2, 6, 6] is not all of them",
        ),
        (vec![input(&[2, 2, 2]), conv(Padding::Valid, [1, 1])], "the graph's layers do not fit together"),
        (vec![input(&[6]), conv(Padding::Valid, [1, 1])], "node `n1`: weight has shape [3, 2, 3, 3]"),
        (vec![input(&[5]), affine(2, 3)], "node `n1`: weight has shape [2, 3], but the input of shape [5]"),
    ];
    for (primitives, message) in cases {
        let found = refusal(&chain(primitives));
        assert!(found.starts_with(message), "{found}");
    }
}

#[test]
fn sizes_that_no_memory_holds_are_refused() {
    let huge = || Primitive::Threshold { threshold: scalar(1.0) };
    let wide =
        Primitive::SumPool2d { kernel_size: [1, usize::MAX], stride: [usize::MAX, 1], padding: [0, 0] };
    let cases = [
        (vec![input(&[usize::MAX, 3]), huge()], "node `n0`: shape leads to features"),
        (vec![input(&[1 << 20, 1 << 20]), huge()], "node `n0`: shape leads to features"),
        (
            vec![input(&[2, 6, 6]), conv(Padding::Zeros([usize::MAX; 2]), [1, 1])],
            "node `n1`: stride is [1, 1], padding",
        ),
        (
            vec![input(&[2, 6, 6]), conv(Padding::Zeros([60_000; 2]), [1, 1])],
            "node `n1`: shape leads to features",
        ),
        (vec![input(&[2, 6, 6]), conv(Padding::Valid, [usize::MAX, 1])], "node `n1`: stride is"),
        (vec![input(&[2, 6, 6]), wide, huge()], "the graph's layers do not fit together"),
    ];
    for (primitives, message) in cases {
        let found = refusal(&chain(primitives));
        assert!(found.starts_with(message), "{found}");
    }
}
