//! The same network, read through a plan: [`QuantExec`] and [`Quantized`].

use crate::fake_quant::FakeQuant;
use crate::learned_levels::LearnedMap;
use crate::state_quant::{StateLevels, StateQuantMap};
use crate::uniform::ScaleRule;
use crate::{Observer, PlanError, QuantError, QuantParams, QuantPlan, QuantSpec, StateQuantizer, StateSpec};
use snn_core::exec::{Eager, Exec, Neurons};
use snn_core::metrics::Recorder;
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
    levels: &'a BTreeMap<String, Arc<StateLevels>>,
    learned_levels: &'a BTreeMap<String, Param>,
    noise: Option<u64>,
}

impl<E: Exec> Exec for QuantExec<'_, E> {
    type S = E::S;
    type Value = E::Value;

    fn input(&mut self, x: &Tensor<f32>) -> E::Value {
        self.inner.input(x)
    }

    fn param(&mut self, p: &Param) -> E::Value {
        let Some(spec) = self.plan.weights.get(&p.name) else { return self.inner.param(p) };
        let op = Box::new(FakeQuant { spec: spec.clone(), step: self.noise });
        let scale = self.scales.get(&p.name);
        self.inner.param_through(p, op, scale.as_slice())
    }

    fn param_through(&mut self, p: &Param, op: Box<dyn Op<E::S>>, others: &[&Param]) -> E::Value {
        self.inner.param_through(p, op, others)
    }

    fn apply(&mut self, op: Box<dyn Op<E::S>>, x: &[&E::Value]) -> E::Value {
        self.inner.apply(op, x)
    }

    fn neuron(&mut self, name: &str, neurons: Neurons<E::S>, x: &[&E::Value]) -> E::Value {
        match (self.plan.states.get(name), self.levels.get(name)) {
            (Some(spec), Some(levels)) => {
                let map = StateQuantMap::new(spec, levels.clone(), self.noise);
                let Some((table, learned)) = spec.learned_levels().zip(self.learned_levels.get(name)) else {
                    return self.inner.neuron(name, neurons.with_state_map(Arc::new(map)), x);
                };
                let neurons = neurons.with_state_map(Arc::new(LearnedMap::new(map, table)));
                let learned = self.inner.param(learned);
                self.inner.neuron(name, neurons, &[x, &[&learned]].concat())
            }
            _ => self.inner.neuron(name, neurons, x),
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
/// Learned scales are parameters of their own, named `<tensor>.scale`, and so are learned levels, `<neuron>.levels`.
#[derive(Debug, Clone)]
pub struct Quantized<M> {
    net: M,
    plan: QuantPlan,
    scales: BTreeMap<String, Param>,
    /// Membrane levels, found once; learned ones as they start.
    levels: BTreeMap<String, Arc<StateLevels>>,
    learned_levels: BTreeMap<String, Param>,
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
        let levels = plan.states.iter().map(|(name, spec)| {
            let error = |source| PlanError::Spec { section: "states", name: name.clone(), source };
            Ok((name.clone(), Arc::new(spec.found_levels().map_err(error)?)))
        });
        let levels = levels.collect::<Result<_, PlanError>>()?;
        let error = |(name, source)| PlanError::Spec { section: "weights", name, source };
        let scales = learned_scales(&net, &plan).map_err(error)?;
        let learned =
            |(name, spec): (&String, &StateSpec)| Some((name.clone(), spec.learned_levels()?.learned(name)?));
        let learned_levels = plan.states.iter().filter_map(learned).collect();
        Ok(Self { net, plan, scales, levels, learned_levels })
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

    /// The plan, with learned levels as they started; see [`settled_plan`](Self::settled_plan).
    #[must_use]
    pub fn plan(&self) -> &QuantPlan {
        &self.plan
    }

    /// The grids of all weight tensors that the plan names, learned scales as they are.
    ///
    /// # Errors
    /// [`PlanError::Spec`] for weights that have no grid, since they are not finite.
    pub fn weight_params(&self) -> Result<BTreeMap<String, QuantParams>, PlanError> {
        let mut all = BTreeMap::new();
        let mut outcome = Ok(());
        self.net.visit_params(&mut |p| {
            let Some(spec) = self.plan.weights.get(&p.name) else { return };
            let op = FakeQuant { spec: spec.clone(), step: None };
            let inputs: Vec<_> =
                [&p.value].into_iter().chain(self.scales.get(&p.name).map(|s| &s.value)).collect();
            match op.params(&inputs) {
                Ok((_, params)) => drop(all.insert(p.name.clone(), params)),
                Err(source) => {
                    outcome = Err(PlanError::Spec { section: "weights", name: p.name.clone(), source });
                }
            }
        });
        outcome.map(|()| all)
    }

    /// The same network with its weights replaced by their levels once and for all, and a plan of membranes only: it
    /// infers the same, without finding scales in every pass.
    #[must_use]
    pub fn baked(&self) -> Self
    where
        M: Clone,
    {
        let mut net = self.net.clone();
        net.visit_params_mut(&mut |p| {
            p.value = self.exec(&mut Eager::<f32>::new(), &Pass::inference()).param(p);
        });
        let plan = QuantPlan { states: self.plan.states.clone(), ..QuantPlan::default() };
        let Self { levels, learned_levels, .. } = self.clone();
        Self { net, plan, scales: BTreeMap::new(), levels, learned_levels }
    }

    /// `e`, reading through the plan.
    fn exec<'a, E>(&'a self, e: &'a mut E, pass: &Pass) -> QuantExec<'a, E> {
        let Self { plan, scales, levels, learned_levels, .. } = self;
        QuantExec { inner: e, plan, scales, levels, learned_levels, noise: pass.noise }
    }

    /// The plan with learned levels of membranes as they are, which no longer move.
    #[must_use]
    pub fn settled_plan(&self) -> QuantPlan {
        let mut plan = self.plan.clone();
        self.settle(&mut plan);
        plan
    }

    /// Gives the neurons of `plan` whose levels are learned those of this network.
    pub(crate) fn settle(&self, plan: &mut QuantPlan) {
        for (name, spec) in &mut plan.states {
            if let Some((table, learned)) = spec.learned_levels().zip(self.learned_levels.get(name)) {
                spec.quantizer = StateQuantizer::Levels(table.settled(learned.value.as_slice()));
            }
        }
    }
}

impl<M: Module> Module for Quantized<M> {
    fn forward<E: Exec>(&self, e: &mut E, x: &E::Value, pass: &Pass) -> E::Value {
        self.net.forward(&mut self.exec(e, pass), x, pass)
    }

    fn read_params<E: Exec>(&self, e: &mut E, pass: &Pass) {
        let mut exec = self.exec(e, pass);
        self.net.visit_params(&mut |p| {
            if self.plan.weights.contains_key(&p.name) {
                exec.param(p);
            }
        });
    }

    fn visit_params(&self, f: &mut dyn FnMut(&Param)) {
        self.net.visit_params(f);
        self.scales.values().chain(self.learned_levels.values()).for_each(f);
    }

    fn visit_params_mut(&mut self, f: &mut dyn FnMut(&mut Param)) {
        self.net.visit_params_mut(f);
        self.scales.values_mut().chain(self.learned_levels.values_mut()).for_each(f);
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

/// The learned scales of a plan as parameters, at LSQ's value for the weights as they are; or the tensor that has none, and
/// why.
pub(crate) fn learned_scales(
    net: &impl Module,
    plan: &QuantPlan,
) -> Result<BTreeMap<String, Param>, (String, QuantError)> {
    let mut scales = BTreeMap::new();
    let mut failed = None;
    net.visit_params(&mut |p| match plan.weights.get(&p.name) {
        Some(spec @ QuantSpec::Uniform(uniform)) if uniform.scale == ScaleRule::Learned => {
            match spec.params(p.value.as_slice(), p.value.shape()) {
                Ok(params) => {
                    let values: Vec<f32> = params.grids().iter().map(|grid| grid.scale()).collect();
                    let value = Tensor::new(&[values.len()], values);
                    scales.insert(
                        p.name.clone(),
                        Param::new(format!("{}.scale", p.name), value, Role::StepSize),
                    );
                }
                Err(source) => failed = Some((p.name.clone(), source)),
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
    let weights_only = QuantPlan { weights: plan.weights.clone(), ..QuantPlan::default() };
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

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "levels are compared exactly")]
mod tests {
    use super::*;
    use crate::uniform::{Granularity, UniformSpec};
    use crate::{BitWidth, Calibrate, FixedPointSpec, IntBits, Learn, LevelSpec, StateQuantizer};
    use snn_core::exec::Eager;
    use snn_core::layer::Sequential;
    use snn_core::neuron::Lif;

    fn net() -> Sequential {
        let net = Sequential::input(&[6]).linear("fc1", 5).neuron("lif1", Lif::snntorch(0.8));
        net.linear("fc2", 3).neuron("lif2", Lif::snntorch(0.8)).init(3).unwrap()
    }

    fn neurons() -> BTreeSet<String> {
        ["lif1", "lif2"].map(str::to_owned).into()
    }

    fn input() -> Tensor<f32> {
        let draw = |i| if snn_core::rng::counter_uniform(4, i) < 0.5 { 3.0 } else { 0.0 };
        Tensor::new(&[7, 2, 6], (0..84).map(draw).collect())
    }

    fn plan(scale: ScaleRule) -> QuantPlan {
        let bits = BitWidth::new(3).unwrap();
        let spec = UniformSpec { scale, granularity: Granularity::PerChannel, ..UniformSpec::new(bits) };
        let mut plan = QuantPlan::same_for_all(["fc1.weight", "fc2.weight"], &QuantSpec::Uniform(spec));
        let int_bits = IntBits::Calibrated(Calibrate { calibrate: ScaleRule::AbsMax });
        let fixed = FixedPointSpec { int_bits, ..FixedPointSpec::new(BitWidth::new(6).unwrap()) };
        plan.states.insert("lif1".to_owned(), StateQuantizer::FixedPoint(fixed).into());
        plan
    }

    fn quantized(scale: ScaleRule) -> Quantized<Sequential> {
        let plan = calibrate(&net(), &neurons(), &plan(scale), [input()]).unwrap();
        Quantized::new(net(), &neurons(), plan).unwrap()
    }

    fn run(net: &impl Module, e: &mut impl Exec<S = f32, Value = Tensor<f32>>) -> Tensor<f32> {
        let x = e.input(&input());
        net.forward(e, &x, &Pass::inference())
    }

    #[test]
    fn a_baked_network_infers_the_same() {
        for scale in [ScaleRule::AbsMax, ScaleRule::MseSearch, ScaleRule::Learned] {
            let net = quantized(scale);
            let want = run(&net, &mut Eager::new());
            assert_eq!(run(&net.baked(), &mut Eager::new()), want);
            assert!(want.as_slice().iter().any(|&s| s > 0.0));
        }
    }

    #[test]
    fn grids_are_those_that_the_network_is_read_through() {
        for scale in [ScaleRule::AbsMax, ScaleRule::Learned] {
            let mut net = quantized(scale);
            net.visit_params_mut(&mut |p| {
                if p.role == Role::StepSize {
                    p.value = p.value.map(|s| s * 1.5);
                }
            });
            let (grids, baked) = (net.weight_params().unwrap(), net.baked());
            let mut levels = BTreeMap::new();
            baked.visit_params(&mut |p| drop(levels.insert(p.name.clone(), p.value.clone())));
            net.net().visit_params(&mut |p| {
                let Some(params) = grids.get(&p.name) else { return };
                let codes = params.codes(p.value.as_slice());
                assert_eq!(params.dequantize(&codes), levels[&p.name].as_slice(), "{}", p.name);
            });
            assert_eq!(grids.len(), 2);
        }
    }

    #[test]
    fn weights_and_membranes_take_few_values() {
        let net = quantized(ScaleRule::AbsMax);
        let mut codes = BTreeSet::new();
        net.baked().visit_params(&mut |p| {
            if p.name == "fc2.weight" {
                let column = p.value.as_slice().iter().step_by(3);
                codes.extend(column.map(|w| w.to_bits()));
            }
        });
        assert!(codes.len() <= 7, "3 bits have 7 symmetric levels, found {}", codes.len());
        let mut recorder = Recorder::new();
        run(&net, &mut recorder);
        let levels = net.plan().states["lif1"].found_levels().unwrap().values();
        let stored = &recorder.trajectories["lif1"].last.variables[0];
        assert!(stored.iter().all(|u| levels.contains(u)), "{stored:?}");
    }

    #[test]
    fn learned_scales_are_parameters() {
        let mut names = Vec::new();
        quantized(ScaleRule::Learned).visit_params(&mut |p| names.push((p.name.clone(), p.value.len())));
        assert!(names.contains(&("fc1.weight.scale".to_owned(), 5)), "{names:?}");
    }

    #[test]
    fn learned_levels_are_parameters_and_stay_where_they_are_baked() {
        let spec = LevelSpec { learn: Some(Learn::Range), ..LevelSpec::new(BitWidth::new(2).unwrap()) };
        let states = neurons().into_iter().map(|name| (name, StateSpec::levels(spec))).collect();
        let plan = QuantPlan { states, ..QuantPlan::default() };
        let mut net = Quantized::new(net(), &neurons(), plan).unwrap();
        let before = run(&net, &mut Eager::new());
        assert_eq!(before, run(&net.baked(), &mut Eager::new()));
        net.visit_params_mut(&mut |p| {
            if p.name == "lif1.levels" {
                assert_eq!((p.role, p.value.as_slice()), (Role::StepSize, &[1.0, 0.2][..]));
                p.value = Tensor::new(&[2], vec![0.5, 8.0]);
            }
        });
        let after = run(&net, &mut Eager::new());
        assert_ne!(after, before);
        assert_eq!(after, run(&net.baked(), &mut Eager::new()));
        let settled = net.settled_plan().states["lif1"].found_levels().unwrap().values();
        assert_eq!((settled[0], settled[3]), (-0.5, 9.0));
    }

    #[test]
    fn what_is_not_in_the_network_is_refused() {
        let mut wrong = plan(ScaleRule::AbsMax);
        wrong.weights.insert("fc9.weight".to_owned(), QuantSpec::uniform(BitWidth::MIN));
        let error = Quantized::new(net(), &neurons(), wrong).unwrap_err().to_string();
        assert!(error.contains("fc9.weight") && error.contains("fc1.weight"), "{error}");
        let uncalibrated =
            Quantized::new(net(), &neurons(), plan(ScaleRule::AbsMax)).unwrap_err().to_string();
        assert!(uncalibrated.contains("states.\"lif1\""), "{uncalibrated}");
    }
}
