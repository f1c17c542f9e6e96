//! The same network, read through a plan: [`QuantExec`] and [`Quantized`].

use crate::fake_quant::FakeQuant;
use crate::state_quant::FixedPointMap;
use crate::uniform::ScaleRule;
use crate::{Observer, PlanError, QuantPlan, QuantSpec};
use snn_core::exec::Exec;
use snn_core::metrics::Recorder;
use snn_core::neuron::NeuronOp;
use snn_core::op::Op;
use snn_core::{Module, Param, Pass, Role, Tensor};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Wraps an interpreter: weights are read through their fake quantizer, neurons run with their membrane quantizer.
///
/// Around a tape this is quantization-aware training, around an eager interpreter evaluation, around one on dual numbers
/// the curvature of the quantized network.
#[derive(Debug)]
pub struct QuantExec<'a, E> {
    inner: &'a mut E,
    plan: &'a QuantPlan,
    scales: &'a BTreeMap<String, Param>,
    noise: Option<u64>,
}

impl<E: Exec> Exec for QuantExec<'_, E> {
    type S = E::S;
    type Value = E::Value;

    fn input(&mut self, x: &Tensor<f32>) -> E::Value {
        self.inner.input(x)
    }

    fn param(&mut self, p: &Param) -> E::Value {
        let value = self.inner.param(p);
        let Some(spec) = self.plan.weights.get(&p.name) else { return value };
        let op = Box::new(FakeQuant { spec: spec.clone(), step: self.noise });
        match self.scales.get(&p.name) {
            Some(scale) => {
                let scale = self.inner.param(scale);
                self.inner.apply(op, &[&value, &scale])
            }
            None => self.inner.apply(op, &[&value]),
        }
    }

    fn apply(&mut self, op: Box<dyn Op<E::S>>, x: &[&E::Value]) -> E::Value {
        self.inner.apply(op, x)
    }

    fn neuron(&mut self, name: &str, scan: Box<dyn NeuronOp<E::S>>, x: &[&E::Value]) -> E::Value {
        let map = self.plan.states.get(name).and_then(|spec| FixedPointMap::new(spec, self.noise).ok());
        match map {
            Some(map) => self.inner.neuron(name, scan.with_state_map(Arc::new(map)), x),
            None => self.inner.neuron(name, scan, x),
        }
    }

    fn detach(&mut self, x: &E::Value) -> E::Value {
        self.inner.detach(x)
    }

    fn record(&mut self, name: &str, value: &E::Value) {
        self.inner.record(name, value);
    }
}

/// A network with its plan. It is a [`Module`] like the network itself: training it is quantization-aware training of
/// the full-precision weights, which stay in `net`.
///
/// Learned scales are parameters of their own, named `<tensor>.scale`.
#[derive(Debug, Clone)]
pub struct Quantized<M> {
    net: M,
    plan: QuantPlan,
    scales: BTreeMap<String, Param>,
}

impl<M: Module> Quantized<M> {
    /// Reads `net` through `plan`. Learned scales start at LSQ's value for the weights as they are.
    ///
    /// # Errors
    /// [`PlanError::Unknown`] for a tensor or neuron that the network does not have (`neurons` lists the latter),
    /// [`PlanError::Spec`] for a spec that does not fit its tensor, and for a membrane whose range is still to be
    /// calibrated.
    pub fn new(net: M, neurons: &BTreeSet<String>, plan: QuantPlan) -> Result<Self, PlanError> {
        plan.validate(&weight_shapes(&net), neurons)?;
        for (name, spec) in &plan.states {
            let error = |source| PlanError::Spec { section: "states", name: name.clone(), source };
            spec.format().map_err(error)?;
        }
        let scales = learned_scales(&net, &plan)?;
        Ok(Self { net, plan, scales })
    }

    /// The network in full precision.
    #[must_use]
    pub fn net(&self) -> &M {
        &self.net
    }

    /// The network in full precision, without its plan.
    #[must_use]
    pub fn into_net(self) -> M {
        self.net
    }

    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &QuantPlan {
        &self.plan
    }
}

impl<M: Module> Module for Quantized<M> {
    fn forward<E: Exec>(&self, e: &mut E, x: &E::Value, pass: &Pass) -> E::Value {
        let mut exec = QuantExec { inner: e, plan: &self.plan, scales: &self.scales, noise: pass.noise };
        self.net.forward(&mut exec, x, pass)
    }

    fn visit_params(&self, f: &mut dyn FnMut(&Param)) {
        self.net.visit_params(f);
        self.scales.values().for_each(f);
    }

    fn visit_params_mut(&mut self, f: &mut dyn FnMut(&mut Param)) {
        self.net.visit_params_mut(f);
        self.scales.values_mut().for_each(f);
    }

    fn needs_whole_batch(&self) -> bool {
        self.net.needs_whole_batch()
    }
}

/// Names and shapes of the weight tensors, which plans are about.
pub fn weight_shapes(net: &impl Module) -> BTreeMap<String, Vec<usize>> {
    let mut shapes = BTreeMap::new();
    net.visit_params(&mut |p| {
        if p.is_weight() {
            shapes.insert(p.name.clone(), p.value.shape().to_vec());
        }
    });
    shapes
}

fn learned_scales(net: &impl Module, plan: &QuantPlan) -> Result<BTreeMap<String, Param>, PlanError> {
    let mut scales = BTreeMap::new();
    let mut failed = None;
    net.visit_params(&mut |p| match plan.weights.get(&p.name) {
        Some(spec @ QuantSpec::Uniform(uniform)) if uniform.scale == ScaleRule::Learned => {
            match spec.params(p.value.as_slice(), p.value.shape()) {
                Ok(params) => {
                    let values: Vec<f32> = params.grids().iter().map(|grid| grid.scale()).collect();
                    let value = Tensor::new(&[values.len()], values);
                    scales
                        .insert(p.name.clone(), Param::new(format!("{}.scale", p.name), value, Role::Scale));
                }
                Err(source) => {
                    failed = Some(PlanError::Spec { section: "weights", name: p.name.clone(), source });
                }
            }
        }
        _ => {}
    });
    failed.map_or(Ok(scales), Err)
}

/// The plan with every membrane range that is to be calibrated found from runs of the network on `data`, each
/// `[T, B, features…]`, with the plan's weights quantized and membranes in full precision.
///
/// # Errors
/// [`PlanError::Spec`] for a membrane that was never seen or not finite, and what [`Quantized::new`] refuses.
pub fn calibrate<M: Module + Clone>(
    net: &M,
    neurons: &BTreeSet<String>,
    plan: &QuantPlan,
    data: impl IntoIterator<Item = Tensor<f32>>,
) -> Result<QuantPlan, PlanError> {
    let weights_only = QuantPlan { weights: plan.weights.clone(), states: BTreeMap::new() };
    let quantized = Quantized::new(net.clone(), neurons, weights_only)?;
    let mut observers: BTreeMap<&String, Observer> =
        plan.states.keys().map(|k| (k, Observer::new())).collect();
    let error = |name: &String, source| PlanError::Spec { section: "states", name: name.clone(), source };
    for x in data {
        let mut recorder = Recorder::new();
        let x = recorder.input(&x);
        quantized.forward(&mut recorder, &x, &Pass::inference());
        for (name, observer) in &mut observers {
            let states = recorder.trajectories.get(*name).map(|t| t.states.as_slice()).unwrap_or_default();
            for state in states {
                observer.observe(state.as_slice()).map_err(|source| error(name, source))?;
            }
        }
    }
    let mut plan = plan.clone();
    for (name, spec) in &mut plan.states {
        if let Some(observer) = observers.get(name) {
            *spec = spec.clone().calibrated(observer).map_err(|source| error(name, source))?;
        }
    }
    Ok(plan)
}
