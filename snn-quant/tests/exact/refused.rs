//! Plans that cannot be exact say so when they are made.

use snn_core::layer::{Conv2dConfig, Sequential};
use snn_core::neuron::{Decolle, Lif};
use snn_quant::exact::Exact;
use snn_quant::{BitWidth, QuantPlan, QuantSpec, weight_shapes};

const STATE: &str = "quantizer = { scheme = \"fixed_point\", bits = 8, int_bits = 1 }";

const TABLE: &str = "quantizer = { scheme = \"levels\", bits = 2 }";

/// A plan for all weights of `net` at `bits`, with these lines besides.
fn refusal(net: &Sequential, bits: u32, text: &str) -> String {
    let mut plan = QuantPlan::from_toml(text, "plan.toml").unwrap();
    for name in weight_shapes(net).into_keys() {
        plan.weights.entry(name).or_insert(QuantSpec::uniform(BitWidth::new(bits).unwrap()));
    }
    Exact::new(net.clone(), plan).unwrap_err().to_string()
}

fn dense() -> Sequential {
    Sequential::input(&[4]).linear("fc", 3).neuron("lif", Lif::snntorch(0.9)).init(1).unwrap()
}

/// Each network is refused under its plan, at 8 bits where the plan says nothing, with a message that holds the words.
fn are_refused<const N: usize>(cases: [(Sequential, String, &str); N]) {
    for (net, text, message) in cases {
        let found = refusal(&net, 8, &text);
        assert!(found.contains(message), "{found}\nexpected: {message}");
    }
}

fn on_grid() -> String {
    format!("[exact]\n[states.lif]\n{STATE}\n")
}

#[test]
fn what_is_wrong_with_weights_is_told() {
    let state = on_grid();
    are_refused([
        (dense(), String::new(), "the plan has no section [exact]"),
        (dense(), "[exact]".to_owned(), "`lif` cannot be exact: the plan leaves its membrane in float"),
        (
            dense(),
            format!("{state}[weights]\n\"fc.weight\" = {{ bits = 4, mapping = \"affine\" }}"),
            "`fc.weight` cannot be exact: mapping = \"affine\"",
        ),
        (
            dense(),
            format!("{state}[weights]\n\"fc.weight\" = {{ bits = 4, mapping = \"twos_complement\" }}"),
            "`fc.weight` cannot be exact: mapping = \"twos_complement\"",
        ),
        (
            Sequential::input(&[4]).linear("fc", 3).recurrent("lif", Lif::snntorch(0.9)).init(1).unwrap(),
            format!("{state}[weights]\n\"lif.recurrent\" = {{ bits = 4, scale = \"learned\" }}"),
            "`lif.recurrent` cannot be exact: recurrent weights take the scale of the weights before them",
        ),
        (
            Sequential::input(&[40_000]).linear("fc", 3).neuron("lif", Lif::snntorch(0.9)).init(1).unwrap(),
            state.clone(),
            "`lif` cannot be exact: the low part of channel 0 may reach ",
        ),
        (
            Sequential::input(&[2, 9, 9]).sum_pool(2).flatten().linear("fc", 3).init(1).unwrap(),
            state.clone(),
            "`fc` cannot be exact: pooled inputs reach 1020",
        ),
    ]);
}

#[test]
fn what_is_wrong_with_a_membrane_is_told() {
    let state = on_grid();
    are_refused([
        (
            dense(),
            format!(
                "[exact]\n[states.lif]\n{TABLE}\n[weights]\n\"fc.weight\" = {{ bits = 4, granularity = \"per_channel\" }}"
            ),
            "`lif` cannot be exact: its membrane is on one table of levels",
        ),
        (
            dense(),
            state.replace("int_bits = 1", "int_bits = { calibrate = \"abs_max\" }"),
            "`lif` cannot be exact: the range of its membrane is not calibrated",
        ),
        (
            dense(),
            state.replace("int_bits = 1", "int_bits = -3"),
            "`lif` cannot be exact: its threshold 1 is ",
        ),
        (
            Sequential::input(&[3000]).linear("fc", 3).neuron("lif", Lif::snntorch(0.9)).init(1).unwrap(),
            format!("[exact]\n[states.lif]\nplacement = \"on_store\"\n{STATE}\n"),
            "`lif` cannot be exact: the membrane of channel 0 may reach ",
        ),
    ]);
}

#[test]
fn what_is_wrong_with_the_order_of_layers_is_told() {
    let state = on_grid();
    are_refused([
        (
            Sequential::input(&[4]).linear("a", 3).linear("fc", 3).init(1).unwrap(),
            state.clone(),
            "`fc` cannot be exact: it follows other weights without a neuron",
        ),
        (
            Sequential::input(&[2, 6, 6]).max_pool(2).max_pool(2).init(1).unwrap(),
            state.clone(),
            "`pool` cannot be exact: two pools",
        ),
        (
            Sequential::input(&[4]).neuron("lif", Lif::snntorch(0.9)).init(1).unwrap(),
            state.clone(),
            "`lif` cannot be exact: no weights stand before its neurons",
        ),
        (
            Sequential::input(&[2, 6, 6])
                .conv2d("c", Conv2dConfig::new(2, 3))
                .batch_norm("bn")
                .init(1)
                .unwrap(),
            state.clone(),
            "`bn` cannot be exact: batch normalization must be folded",
        ),
        (
            Sequential::input(&[4])
                .linear("fc", 3)
                .neuron("lif", Decolle::lui_neftci(0.5, 0.5, 0.5))
                .init(1)
                .unwrap(),
            state.clone(),
            "`lif` cannot be exact: neuron `decolle` has no integer form",
        ),
    ]);
}

#[test]
fn a_readout_needs_one_scale() {
    let net = Sequential::input(&[4]).linear("fc", 3).init(1).unwrap();
    let text = "[exact]\n[weights]\n\"fc.weight\" = { bits = 4, granularity = \"per_channel\" }";
    assert!(
        refusal(&net, 4, text)
            .contains("`fc.weight` cannot be exact: outputs that are compared need one scale")
    );
}
