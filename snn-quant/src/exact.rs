//! Exact networks: computed in integers while they are trained, by the same functions that the integer engine runs.
//!
//! Under an exact plan every weight is an integer code and every membrane an integer, and the forward pass computes with
//! these integers, held in `f32`, which is exact below 2^24. Products with weights are ordinary products of such numbers;
//! where their sums may exceed that bound, codes are divided into a low and a high part, whose products stay below it.
//! Neurons call [`snn_int::neuron::Cell`]. So the network that is trained is the network that [`lower`] turns into an
//! integer model, spike for spike and membrane for membrane.
//!
//! The unit of a layer's integers is the scale of its weights (per tensor, or per output channel): weights and membrane
//! share it, as in MINT, so that thresholds become integers. The membrane is kept in steps of that unit times a power of
//! two, the least with which its bits reach the range of the plan; thresholds and biases are rounded to the unit. A
//! membrane on a table of levels has its levels rounded to the unit, which is refined until they are far enough apart.
//! A learned scale is the unit as it is: training moves it, and what is rounded to it follows.
//!
//! # References
//! Yin, Li, Moitra, Panda, "MINT: Multiplier-less Integer Quantization for Energy Efficient Spiking Neural Networks", 2024,
//! arXiv 2305.09850, section 3: one scale for weights and membrane, which drops out of the comparison with the threshold.
//! Deviation: scales may be per channel, and the membrane may be coarser than the weights by a power of two.

mod codes;
mod compare;
mod compile;
mod error;
mod lower;
mod parts;
mod scan;
mod spec;
mod take_over;

pub use compare::{Compared, Comparison, Divergence, Quantity, Verifier};
pub use error::{ExactError, Inexact};
pub use lower::lower;
pub use spec::{ExactSpec, LeakForm, LeakRounding, StateOverflow};
pub use take_over::{Figure, Moved, OneScale, one_scale, take_over};

use crate::QuantPlan;
use crate::exec::learned_scales;
use compile::{Bounds, Stage, compile};
use parts::{HighProduct, Sums};
use snn_core::exec::Neurons;
use snn_core::layer::{Layer, Sequential};
use snn_core::op::Op;
use snn_core::ops::{Conv2d, Linear, Pool2d, PoolKind, Scale};
use snn_core::{Exec, Module, Param, Pass, Tensor};
use std::collections::BTreeMap;

/// A network under an exact plan. It is a [`Module`]: training it is quantization-aware training of the full-precision
/// parameters, evaluating it is integer inference.
///
/// Dropout is left out, since its factor is no integer; batch normalization must be folded before
/// ([`snn_core::layer::fold_batch_norm`]). Learned scales are parameters of their own, named `<tensor>.scale`.
#[derive(Debug, Clone)]
pub struct Exact {
    net: Sequential,
    plan: QuantPlan,
    scales: BTreeMap<String, Param>,
    /// The integers of the parameters as they are, if these no longer change.
    frozen: Option<Vec<Stage>>,
}

impl Exact {
    /// Reads `net` through an exact plan.
    ///
    /// # Errors
    /// [`ExactError`], naming the layer and the reason, where integers cannot be exact.
    pub fn new(net: Sequential, plan: QuantPlan) -> Result<Self, ExactError> {
        Self::with_scales(net, plan, &BTreeMap::new())
    }

    /// The same with learned scales that are known, `[1]` or `[channels]` by the name of their tensor; the others start at
    /// LSQ's value.
    ///
    /// # Errors
    /// As [`new`](Self::new), and [`QuantError::ScaleCount`](crate::QuantError::ScaleCount) for another number of scales.
    pub fn with_scales(
        net: Sequential,
        plan: QuantPlan,
        known: &BTreeMap<String, Tensor<f32>>,
    ) -> Result<Self, ExactError> {
        let error = |(name, source): (String, _)| ExactError::tensor(&name, Inexact::Weights { source });
        let mut scales = learned_scales(&net, &plan).map_err(error)?;
        for (name, scale) in &mut scales {
            known.get(name).into_iter().for_each(|known| scale.value = known.clone());
        }
        let net = Self { net, plan, scales, frozen: None };
        net.compiled(Bounds::Checked)?;
        Ok(net)
    }

    /// The network in full precision.
    #[must_use]
    pub fn net(&self) -> &Sequential {
        &self.net
    }

    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &QuantPlan {
        &self.plan
    }

    /// The same network with its integers found once: for evaluation.
    ///
    /// # Errors
    /// [`ExactError`], where training has left what is exact.
    pub fn frozen(&self) -> Result<Self, ExactError> {
        let stages = self.compiled(Bounds::Checked)?;
        Ok(Self { frozen: Some(stages), ..self.clone() })
    }

    /// For each stage the real value of the integer 1, for the layer or for each of its channels.
    ///
    /// # Errors
    /// [`ExactError`], where training has left what is exact.
    pub fn units(&self) -> Result<Vec<Vec<f32>>, ExactError> {
        let of = |stage: &Stage| stage.neurons.channels.iter().map(|channel| channel.unit).collect();
        Ok(self.stages(Bounds::Checked)?.iter().map(of).collect())
    }

    /// The stages of the parameters as they are.
    fn stages(&self, bounds: Bounds) -> Result<Vec<Stage>, ExactError> {
        match &self.frozen {
            Some(stages) => Ok(stages.clone()),
            None => self.compiled(bounds),
        }
    }

    fn compiled(&self, bounds: Bounds) -> Result<Vec<Stage>, ExactError> {
        compile(&self.net, &self.plan, &self.scales, bounds)
    }

    fn run<E: Exec>(&self, e: &mut E, x: &E::Value, stages: &[Stage]) -> E::Value {
        let mut x = Sums::whole(x.clone());
        let mut next = stages.iter();
        let mut stage: Option<&Stage> = None;
        for layer in self.net.layers() {
            x = match layer {
                Layer::Pool(pool) => x.pool(e, in_integers(*pool)),
                Layer::Linear(l) => {
                    stage = next.next();
                    self.synapses(e, &x.low, stage, (&l.weight, &|| Box::new(Linear)))
                }
                Layer::Conv2d(l) => {
                    stage = next.next();
                    let product = || -> Box<dyn Op<E::S>> { Box::new(Conv2d::new(l.conv.clone())) };
                    self.synapses(e, &x.low, stage, (&l.weight, &product))
                }
                Layer::Neuron(_) => Sums::whole(self.neurons(e, &x, stage.take())),
                Layer::Flatten(_) => x.map(|part| layer.forward(e, part, &Pass::inference())),
                Layer::Dropout { .. } | Layer::BatchNorm(_) => x,
            };
        }
        match stage {
            Some(readout) => self.neurons(e, &x, Some(readout)),
            None => x.low,
        }
    }

    /// The sums of codes, in two parts where the stage needs them.
    fn synapses<E: Exec>(
        &self,
        e: &mut E,
        x: &E::Value,
        stage: Option<&Stage>,
        (weight, product): (&Param, &dyn Fn() -> Box<dyn Op<E::S>>),
    ) -> Sums<E::Value> {
        let mut inputs = vec![e.param(weight)];
        inputs.extend(self.scales.get(&weight.name).map(|scale| e.param(scale)));
        let inputs: Vec<&E::Value> = inputs.iter().collect();
        let Some(stage) = stage else { return Sums::whole(e.apply(product(), &[x, inputs[0]])) };
        let Some(split) = stage.neurons.split else {
            let codes = e.apply(Box::new(stage.codes.clone()), &inputs);
            return Sums::whole(e.apply(product(), &[x, &codes]));
        };
        let [low, high] = stage.codes.parts(split).map(|part| e.apply(Box::new(part), &inputs));
        let low = e.apply(product(), &[x, &low]);
        let high = e.apply(Box::new(HighProduct(product())), &[x, &high]);
        Sums { low, high: Some((split, high)) }
    }

    fn neurons<E: Exec>(&self, e: &mut E, x: &Sums<E::Value>, stage: Option<&Stage>) -> E::Value {
        let Some((stage, scan)) = stage.and_then(|stage| Some((stage, stage.neurons.scan()?))) else {
            return x.low.clone();
        };
        let layers = self.net.layers();
        let bias = match &layers[stage.synapses] {
            Layer::Linear(l) => l.bias.as_ref(),
            Layer::Conv2d(l) => l.bias.as_ref(),
            _ => None,
        };
        let mut inputs = vec![x.low.clone()];
        inputs.extend(x.high.iter().map(|(_, high)| high.clone()));
        inputs.extend(bias.map(|bias| e.param(bias)));
        if let (Some(codes), Some(Layer::Neuron(layer))) = (&stage.recurrent, stage.layer.map(|i| &layers[i]))
            && let Some([weight, bias]) = &layer.recurrent
        {
            let weight = e.param(weight);
            inputs.push(e.apply(Box::new(codes.clone()), &[&weight]));
            inputs.push(e.param(bias));
        }
        e.neuron(&stage.name, Neurons::alone(scan), &inputs.iter().collect::<Vec<_>>())
    }
}

/// An average is a sum, whose factor went into the unit.
fn in_integers(pool: Pool2d) -> Pool2d {
    let kind = if pool.kind == PoolKind::Average { PoolKind::Sum } else { pool.kind };
    Pool2d { kind, ..pool }
}

impl Module for Exact {
    /// Weights that have no integers, because they are not finite, give an output that is not a number.
    fn forward<E: Exec>(&self, e: &mut E, x: &E::Value, _pass: &Pass) -> E::Value {
        match self.stages(Bounds::Open) {
            Ok(stages) => self.run(e, x, &stages),
            Err(_) => {
                let x = self.net.forward(e, x, &Pass::inference());
                e.apply(Box::new(Scale { factor: f32::NAN }), &[&x])
            }
        }
    }

    fn visit_params(&self, f: &mut dyn FnMut(&Param)) {
        self.net.visit_params(f);
        self.scales.values().for_each(f);
    }

    fn visit_params_mut(&mut self, f: &mut dyn FnMut(&mut Param)) {
        self.frozen = None;
        self.net.visit_params_mut(f);
        self.scales.values_mut().for_each(f);
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "integers and constants are compared exactly")]
mod tests {
    use super::*;
    use snn_core::exec::Eager;
    use snn_core::layer::Conv2dConfig;
    use snn_core::neuron::Lif;
    use snn_core::rng::counter_uniform;
    use snn_core::{Dual, Scalar};
    use std::sync::Arc;

    type Tangent = Dual<f64, 1>;

    fn net(input_max: u8, scale: &str) -> Exact {
        let net = Sequential::input(&[2, 6, 6]).conv2d("conv", Conv2dConfig::new(3, 3)).max_pool(2);
        let net = net.neuron("lif1", Lif::snntorch(0.7)).flatten().linear("fc", 4);
        let net = net.neuron("lif2", Lif::snntorch(0.7)).init(2).unwrap();
        let mut text = format!("[exact]\ninput_max = {input_max}\n");
        for name in ["conv", "fc"] {
            text.push_str(&format!("[weights.\"{name}.weight\"]\nbits = 16\nscale = \"{scale}\"\n"));
        }
        for name in ["lif1", "lif2"] {
            text.push_str(&format!(
                "[states.{name}]\nquantizer = {{ scheme = \"fixed_point\", bits = 16, int_bits = 3 }}\n"
            ));
        }
        Exact::new(net, QuantPlan::from_toml(&text, "plan.toml").unwrap()).unwrap()
    }

    /// Output and tangents, all weights moving in a random direction.
    fn run(net: &Exact, stages: &[Stage], x: &Tensor<f32>) -> Vec<Tangent> {
        let read = |p: &Param| {
            let along = |(i, &w): (usize, &f32)| {
                let moves = counter_uniform(p.value.len() as u64, i as u64) - 0.5;
                Tangent::variable(w.into(), [if p.is_weight() { moves.into() } else { 0.0 }])
            };
            Tensor::new(p.value.shape(), p.value.as_slice().iter().enumerate().map(along).collect())
        };
        let mut e = Eager::<Tangent>::with_params(Box::new(read));
        let x = e.input(x);
        net.run(&mut e, &x, stages).as_slice().to_vec()
    }

    #[test]
    fn sums_in_two_parts_are_the_sums() {
        let net = net(3, "learned");
        let narrow = net.stages(Bounds::Checked).unwrap();
        assert!(narrow.iter().all(|stage| stage.neurons.split.is_none()), "sums of small inputs stay whole");
        let mut wide = narrow.clone();
        for stage in &mut wide {
            let split = parts::Split::of(stage.codes.params.bits());
            Arc::make_mut(&mut stage.neurons).split = Some(split);
        }
        let draw = |i| (4.0 * counter_uniform(9, i)).floor();
        let x = Tensor::new(&[6, 2, 2, 6, 6], (0..864).map(draw).collect());
        let (want, got) = (run(&net, &narrow, &x), run(&net, &wide, &x));
        for (want, got) in want.iter().zip(&got) {
            assert_eq!(want.value(), got.value());
            let (want, got) = (want.tangent(0), got.tangent(0));
            assert!((want - got).abs() < 1e-9 * want.abs().max(1.0), "{want} {got}");
        }
        assert!(want.iter().any(|y| y.value() > 0.0) && want.iter().any(|y| y.tangent(0).abs() > 1e-3));
    }

    #[test]
    fn large_inputs_divide_the_sums() {
        let split = |stages: Vec<Stage>| -> Vec<bool> {
            stages.iter().map(|stage| stage.neurons.split.is_some()).collect()
        };
        assert_eq!(split(net(255, "abs_max").stages(Bounds::Checked).unwrap()), [true, false]);
    }

    #[test]
    fn learned_scales_are_parameters_and_units() {
        let mut net = net(1, "learned");
        net.visit_params_mut(&mut |p| {
            if p.name.ends_with(".scale") {
                p.value = p.value.map(|_| 0.01);
            }
        });
        let stages = net.stages(Bounds::Open).unwrap();
        assert!(stages.iter().all(|stage| stage.codes.params.grids()[0].scale() == 0.01));
        let codes = &stages[0].codes;
        let w = Tensor::new(&[3, 2, 3, 3], (0..54).map(|i| f64::from(i) * 0.013 - 0.3).collect());
        let gy = Tensor::new(w.shape(), (0..54).map(|i| f64::from(i % 7) - 2.0).collect());
        let scale = Tensor::new(&[1], vec![0.01]);
        let x = [&w, &scale];
        let y = codes.forward(&x, &mut snn_core::op::Saved::keeping());
        let saved = snn_core::op::Saved::keeping();
        let ctx = snn_core::op::Backward { x: &x, y: &y, saved: &saved, gy: &gy, need: &[true; 2] };
        let by_scale = codes.backward(&ctx)[1].clone().unwrap().as_slice()[0];
        let of = |((w, g), code): ((&f64, &f64), &f64)| (code - w / 0.01) * g / 0.01;
        let sum: f64 = w.as_slice().iter().zip(gy.as_slice()).zip(y.as_slice()).map(of).sum();
        let want = sum / (54.0 * 32767.0_f64).sqrt();
        assert!((by_scale - want).abs() < 1e-3 * want.abs(), "{by_scale} {want}");
    }
}
