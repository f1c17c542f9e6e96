//! Derivatives of exact networks: those of the float network, where integers are fine enough to be it.

use snn_core::exec::{Eager, Exec};
use snn_core::layer::Sequential;
use snn_core::neuron::{Firing, Lif, ResetGrad};
use snn_core::rng::counter_uniform;
use snn_core::{Dual, Module, Pass, Tensor};
use snn_quant::exact::Exact;
use snn_quant::{QuantPlan, Quantized};
use std::collections::BTreeSet;

type Tangent = Dual<f32, 1>;

const WEIGHTS: &str = "[weights]
    \"fc1.weight\" = { scheme = \"fixed_point\", bits = 8 }
    \"rlif.recurrent\" = { bits = 8 }
    \"fc2.weight\" = { scheme = \"fixed_point\", bits = 8 }\n";

const INTEGERS: &str = "[exact]
    [states.rlif]
    quantizer = { scheme = \"fixed_point\", bits = 16, int_bits = 3 }
    [states.lif]
    quantizer = { scheme = \"fixed_point\", bits = 16, int_bits = 3 }\n";

/// A decay of a half and five steps: with 5 bits below the weights' step nothing is ever rounded. Recurrent weights are 0,
/// where both scales agree.
fn net(reset_grad: ResetGrad) -> Sequential {
    let lif =
        Lif { beta: 0.5, gain: 1.0, firing: Firing { reset_grad, threshold: 0.5, ..Firing::default() } };
    let net = Sequential::input(&[6]).linear("fc1", 8).recurrent("rlif", lif).linear_without_bias("fc2", 4);
    let mut net = net.neuron("lif", lif).init(5).unwrap();
    net.visit_params_mut(&mut |p| {
        p.value = match p.name.as_str() {
            "rlif.recurrent" => p.value.map(|_| 0.0),
            "fc1.bias" | "rlif.recurrent_bias" => p.value.map(|b| (b * 128.0).round() / 128.0),
            _ => p.value.map(|w| 2.0 * w),
        }
    });
    net
}

/// Values and tangents of the output, all parameters moving in a random direction.
fn tangents(net: &impl Module, x: &Tensor<f32>) -> Vec<(f32, f32)> {
    let read = |p: &snn_core::Param| {
        let seed = p.name.bytes().fold(7, |h: u64, b| h.wrapping_mul(31) + u64::from(b));
        let jets = p
            .value
            .as_slice()
            .iter()
            .enumerate()
            .map(|(i, &w)| Tangent::variable(w, [counter_uniform(seed, i as u64) - 0.5]));
        Tensor::new(p.value.shape(), jets.collect())
    };
    let mut e = Eager::<Tangent>::with_params(Box::new(read));
    let x = e.input(x);
    let y = net.forward(&mut e, &x, &Pass::inference());
    y.as_slice().iter().map(|y| (y.value(), y.tangent(0))).collect()
}

use snn_core::Scalar;

#[test]
fn where_nothing_is_rounded_the_derivatives_are_those_of_the_float_network() {
    let draw = |i| f32::from(u8::from(counter_uniform(4, i) < 0.6));
    let x = Tensor::new(&[5, 2, 6], (0..60).map(draw).collect());
    for reset_grad in [ResetGrad::Detached, ResetGrad::Through, ResetGrad::FrozenTerm] {
        let net = net(reset_grad);
        let plan = |text: &str| QuantPlan::from_toml(text, "plan.toml").unwrap();
        let exact = Exact::new(net.clone(), plan(&format!("{WEIGHTS}{INTEGERS}"))).unwrap();
        let neurons = BTreeSet::from(["rlif".to_owned(), "lif".to_owned()]);
        let mut float = plan(WEIGHTS);
        float.weights.remove("rlif.recurrent");
        let float = Quantized::new(net, &neurons, float).unwrap();
        let (got, want) = (tangents(&exact, &x), tangents(&float, &x));
        let mut n_moving = 0;
        for (got, want) in got.iter().zip(&want) {
            assert_eq!(got.0.to_bits(), want.0.to_bits());
            assert!((got.1 - want.1).abs() < 1e-4 * want.1.abs().max(1.0), "{got:?} {want:?}");
            n_moving += usize::from(want.1.abs() > 1e-3);
        }
        assert!(n_moving > 20, "{n_moving} outputs have a derivative");
        assert!(want.iter().any(|y| y.0 > 0.0), "something fires");
    }
}
