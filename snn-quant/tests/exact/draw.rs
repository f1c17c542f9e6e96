//! Random networks with random exact plans.

use snn_core::layer::{Builder, Conv2dConfig, NeuronKind, Sequential, fold_batch_norm};
use snn_core::neuron::{CubaLif, Firing, Li, Lif, Reset, ResetTime, SpikeWhen};
use snn_core::rng::counter_uniform;
use snn_core::{Module, Tensor};
use snn_quant::exact::{Exact, ExactSpec, LeakForm, LeakRounding, StateOverflow};
use snn_quant::uniform::{ClipGrad, Granularity, ScaleFormat, ScaleRule, UniformSpec};
use snn_quant::{
    BitWidth, FixedPointSpec, IntBits, LevelSpec, Placement, QuantPlan, QuantSpec, Spacing, StateQuantizer,
    StateSpec, Variant, weight_shapes,
};

/// A seeded stream of choices.
pub(crate) struct Draw {
    seed: u64,
    n: u64,
}

impl Draw {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, n: 0 }
    }

    pub(crate) fn unit(&mut self) -> f64 {
        self.n += 1;
        counter_uniform(self.seed, self.n).into()
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and not negative")]
    pub(crate) fn below(&mut self, n: usize) -> usize {
        ((self.unit() * n as f64) as usize).min(n - 1)
    }

    fn is(&mut self, one_in: usize) -> bool {
        self.below(one_in) == 0
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

fn draw_firing(d: &mut Draw) -> Firing {
    Firing {
        threshold: d.of(&[1.0, 1.0, 0.6, 0.0]),
        spike_when: d.of(&[SpikeWhen::Above, SpikeWhen::AtOrAbove]),
        reset: d.of(&[Reset::Subtract, Reset::Zero, Reset::None]),
        reset_time: d.of(&[ResetTime::NextStep, ResetTime::SameStep]),
        ..Firing::default()
    }
}

fn draw_neuron(d: &mut Draw) -> NeuronKind {
    let betas = [1.0, 0.97, 0.9, 0.7, 0.5, 0.31];
    let (beta, alpha, firing) = (d.of(&betas), d.of(&betas), draw_firing(d));
    if d.is(4) {
        CubaLif { alpha, beta, firing }.into()
    } else {
        Lif { beta, gain: d.of(&[1.0, 1.0, 0.4]), firing }.into()
    }
}

fn image_layers(d: &mut Draw, mut net: Builder) -> Builder {
    if d.is(5) {
        net = net.sum_pool(2);
    }
    for number in 0..1 + d.below(2) {
        let mut config = Conv2dConfig::new(d.of(&[2, 4]), d.of(&[1, 2, 3]));
        config.padding = [d.below(2) + config.kernel[0] / 2, d.below(2) + config.kernel[1] / 2];
        config.stride = [1 + d.below(2), 1 + d.below(2)];
        config.groups = if d.is(4) { 2 } else { 1 };
        net = net.conv2d(&format!("conv{number}"), if d.is(3) { config.without_bias() } else { config });
        if d.is(3) {
            net = net.batch_norm(&format!("bn{number}"));
        }
        net = match d.below(5) {
            0 => net.max_pool(2),
            1 => net.avg_pool(2),
            2 => net.sum_pool(2),
            _ => net,
        };
        net = net.neuron(&format!("lif{number}"), draw_neuron(d));
    }
    net.flatten()
}

fn draw_network(d: &mut Draw, seed: u64) -> Option<Sequential> {
    let mut net = if d.is(2) {
        let (height, more) = (7 + d.below(4), d.below(3));
        image_layers(d, Sequential::input(&[2, height, height + more]))
    } else {
        Sequential::input(&[1 + d.below(30)])
    };
    if d.is(2) {
        net = net.linear("hidden", 1 + d.below(20));
        let neuron = draw_neuron(d);
        net = if d.is(2) { net.recurrent("rlif", neuron) } else { net.neuron("mid", neuron) };
    }
    net = if d.is(3) { net.linear_without_bias("fc", 5) } else { net.linear("fc", 5) };
    net = match d.below(4) {
        0 => net,
        1 => net.neuron("li", Li { beta: 0.9 }),
        _ => net.neuron("last", draw_neuron(d)),
    };
    let mut net = net.init(seed).ok()?; // a window may not fit
    let gain = d.of(&[1.0, 3.0]);
    net.visit_params_mut(&mut |p| {
        if p.is_weight() {
            p.value = p.value.map(|w| gain * w);
        } else if p.name.starts_with("bn") {
            let shift = |(i, v): (usize, &f32)| v + (0.13 * i as f32) % 0.7;
            p.value =
                Tensor::new(p.value.shape(), p.value.as_slice().iter().enumerate().map(shift).collect());
        }
    });
    Some(fold_batch_norm(&net).unwrap())
}

fn draw_weight_spec(d: &mut Draw, is_readout: bool) -> QuantSpec {
    let bits = BitWidth::new(d.of(&[1, 2, 2, 3, 4, 5, 8, 8, 16, 16])).unwrap();
    if bits.get() > 1 && d.is(5) {
        let fixed = FixedPointSpec { int_bits: IntBits::Fixed(d.of(&[0, 1])), ..FixedPointSpec::new(bits) };
        return QuantSpec::FixedPoint(fixed);
    }
    let granularity = if is_readout {
        Granularity::PerTensor
    } else {
        d.of(&[Granularity::PerTensor, Granularity::PerChannel])
    };
    let scale = d.of(&[ScaleRule::AbsMax, ScaleRule::Percentile(97.0), ScaleRule::Learned]);
    let is_learned = scale == ScaleRule::Learned;
    QuantSpec::Uniform(UniformSpec {
        granularity,
        scale,
        scale_format: if is_learned {
            ScaleFormat::Float
        } else {
            d.of(&[ScaleFormat::Float, ScaleFormat::PowerOfTwo])
        },
        clip_grad: d.of(&[ClipGrad::Pass, ClipGrad::Zero]),
        ..UniformSpec::new(bits)
    })
}

fn draw_membrane(d: &mut Draw, kind: NeuronKind) -> StateSpec {
    let clip_grad = d.of(&[ClipGrad::Pass, ClipGrad::Zero]);
    let quantizer = if d.is(4) {
        StateQuantizer::Levels(LevelSpec {
            spacing: d.of(&[Spacing::Uniform, Spacing::ThresholdCentered, Spacing::ZeroCentered]),
            variant: d.of(&[Variant::SnntorchCompat, Variant::ZeroExact]),
            threshold: kind.threshold().filter(|&t| t > 0.0).unwrap_or(1.0).into(),
            clip_grad,
            ..LevelSpec::new(BitWidth::new(d.of(&[1, 2, 3, 4, 8])).unwrap())
        })
    } else {
        let bits = BitWidth::new(d.of(&[2, 3, 4, 8, 16, 16])).unwrap();
        let int_bits = IntBits::Fixed(d.of(&[1, 2, 3]));
        StateQuantizer::FixedPoint(FixedPointSpec { int_bits, clip_grad, ..FixedPointSpec::new(bits) })
    };
    StateSpec { placement: d.of(&[Placement::BeforeSpike, Placement::OnStore]), ..quantizer.into() }
}

fn draw_plan(d: &mut Draw, net: &Sequential, input_max: u8) -> QuantPlan {
    let ends_in_weights = net.neurons().all(|n| !["last", "li"].contains(&n.name.as_str()));
    let mut plan = QuantPlan {
        exact: Some(ExactSpec {
            leak: d.of(&[LeakForm::MultiplyShift(12), LeakForm::MultiplyShift(5), LeakForm::Shift]),
            rounding: d.of(&[LeakRounding::TowardZero, LeakRounding::Floor, LeakRounding::NearestEven]),
            overflow: d.of(&[StateOverflow::Saturate, StateOverflow::Saturate, StateOverflow::Wrap]),
            input_max,
        }),
        ..QuantPlan::default()
    };
    for name in weight_shapes(net).keys() {
        plan.weights.insert(name.clone(), draw_weight_spec(d, ends_in_weights && name == "fc.weight"));
    }
    for layer in net.neurons() {
        plan.states.insert(layer.name.clone(), draw_membrane(d, layer.kind));
    }
    plan
}

/// A network that can be exact, and frames for it; `None` where the plan was refused.
pub(crate) fn draw(seed: u64) -> Option<(Exact, Tensor<f32>)> {
    let d = &mut Draw::new(seed);
    let input_max = d.of(&[1, 1, 3, 255, 255]);
    let net = draw_network(d, seed)?;
    let plan = draw_plan(d, &net, input_max);
    let (n_steps, batch) = (2 + d.below(6), 1 + d.below(2));
    let shape = [&[n_steps, batch], net.input_features()].concat();
    let one_in = d.of(&[1, 2, 5]);
    let value = |d: &mut Draw| if d.is(one_in) { 1 + d.below(input_max.into()) } else { 0 };
    let values = (0..shape.iter().product()).map(|_| value(d) as f32).collect();
    let net = Exact::new(net, plan).ok()?;
    Some((net, Tensor::new(&shape, values)))
}
