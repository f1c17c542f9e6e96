//! Exact networks: computed in integers while they are trained, by the same functions that the integer engine runs.
//!
//! Under an exact plan every weight is an integer code and every membrane an integer, and the forward pass computes with
//! these integers, held in `f32`, which is exact below 2^24. Products with weights are ordinary products of such numbers;
//! neurons call [`snn_int::neuron::Cell`]. So the network that is trained is the network that [`lower`] turns into an
//! integer model, spike for spike and membrane for membrane.
//!
//! The unit of a layer's integers is the scale of its weights (per tensor, or per output channel): weights and membrane
//! share it, as in MINT, so that thresholds become integers. The membrane is kept in steps of that unit times a power of
//! two, the least with which its bits reach the range of the plan; thresholds and biases are rounded to the unit.
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
mod scan;
mod spec;

pub use compare::{Compared, Comparison, Divergence, Quantity, Verifier};
pub use error::{ExactError, Inexact};
pub use lower::lower;
pub use spec::{ExactSpec, LeakForm, LeakRounding, StateOverflow};

use crate::QuantPlan;
use compile::{Bounds, Stage, compile};
use snn_core::layer::{Layer, Sequential};
use snn_core::op::Op;
use snn_core::ops::{Conv2d, Linear, Pool2d, PoolKind, Scale};
use snn_core::{Exec, Module, Param, Pass};

/// A network under an exact plan. It is a [`Module`]: training it is quantization-aware training of the full-precision
/// parameters, evaluating it is integer inference.
///
/// Dropout is left out, since its factor is no integer; batch normalization must be folded before
/// ([`snn_core::layer::fold_batch_norm`]).
#[derive(Debug, Clone)]
pub struct Exact {
    net: Sequential,
    plan: QuantPlan,
    /// The integers of the parameters as they are, if these no longer change.
    frozen: Option<Vec<Stage>>,
}

impl Exact {
    /// Reads `net` through an exact plan.
    ///
    /// # Errors
    /// [`ExactError`], naming the layer and the reason, where integers cannot be exact.
    pub fn new(net: Sequential, plan: QuantPlan) -> Result<Self, ExactError> {
        compile(&net, &plan, Bounds::Checked)?;
        Ok(Self { net, plan, frozen: None })
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
        let stages = compile(&self.net, &self.plan, Bounds::Checked)?;
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
            None => compile(&self.net, &self.plan, bounds),
        }
    }

    fn run<E: Exec>(&self, e: &mut E, x: &E::Value, stages: &[Stage]) -> E::Value {
        let mut x = x.clone();
        let mut next = stages.iter();
        let mut stage: Option<&Stage> = None;
        for layer in self.net.layers() {
            x = match layer {
                Layer::Pool(pool) => e.apply(Box::new(in_integers(*pool)), &[&x]),
                Layer::Linear(l) => {
                    stage = next.next();
                    self.synapses(e, &x, stage, (&l.weight, Box::new(Linear)))
                }
                Layer::Conv2d(l) => {
                    stage = next.next();
                    self.synapses(e, &x, stage, (&l.weight, Box::new(Conv2d::new(l.conv.clone()))))
                }
                Layer::Neuron(_) => self.neurons(e, &x, stage.take()),
                Layer::Flatten(_) => layer.forward(e, &x, &Pass::inference()),
                Layer::Dropout { .. } | Layer::BatchNorm(_) => x,
            };
        }
        match stage {
            Some(readout) => self.neurons(e, &x, Some(readout)),
            None => x,
        }
    }

    fn synapses<E: Exec>(
        &self,
        e: &mut E,
        x: &E::Value,
        stage: Option<&Stage>,
        (weight, op): (&Param, Box<dyn Op<E::S>>),
    ) -> E::Value {
        let weight = e.param(weight);
        let codes = match stage {
            Some(stage) => e.apply(Box::new(stage.codes.clone()), &[&weight]),
            None => weight,
        };
        e.apply(op, &[x, &codes])
    }

    fn neurons<E: Exec>(&self, e: &mut E, x: &E::Value, stage: Option<&Stage>) -> E::Value {
        let Some((stage, scan)) = stage.and_then(|stage| Some((stage, stage.neurons.scan()?))) else {
            return x.clone();
        };
        let layers = self.net.layers();
        let bias = match &layers[stage.synapses] {
            Layer::Linear(l) => l.bias.as_ref(),
            Layer::Conv2d(l) => l.bias.as_ref(),
            _ => None,
        };
        let mut inputs = vec![x.clone()];
        inputs.extend(bias.map(|bias| e.param(bias)));
        if let (Some(codes), Some(Layer::Neuron(layer))) = (&stage.recurrent, stage.layer.map(|i| &layers[i]))
            && let Some([weight, bias]) = &layer.recurrent
        {
            let weight = e.param(weight);
            inputs.push(e.apply(Box::new(codes.clone()), &[&weight]));
            inputs.push(e.param(bias));
        }
        e.neuron(&stage.name, scan, &inputs.iter().collect::<Vec<_>>())
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
    }

    fn visit_params_mut(&mut self, f: &mut dyn FnMut(&mut Param)) {
        self.frozen = None;
        self.net.visit_params_mut(f);
    }
}
