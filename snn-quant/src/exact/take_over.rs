//! From a network that was trained quantized to an exact one: its scales are taken over, and what integers move is said.

use super::compile::{Bounds, Stage};
use super::{Exact, ExactError};
use crate::uniform::{self, Granularity, Mapping, ScaleFormat, ScaleRule, UniformSpec};
use crate::{QuantParams, QuantPlan, QuantSpec, Quantized, StateLevels, StateQuantizer};
use serde::Serialize;
use snn_core::layer::{Layer, NeuronKind, NeuronLayer, Sequential, batch_norm_gains, fold_batch_norm};
use snn_core::{Module, Param, Tensor};
use snn_int::neuron::Store;
use std::collections::BTreeMap;

/// Which number of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// The scale of a weight tensor.
    WeightScale,
    /// The step between the levels of a membrane in fixed point.
    MembraneStep,
    /// The levels of a membrane on a table.
    MembraneLevels,
    /// The firing threshold.
    Threshold,
    /// A decay, of the membrane or of the synaptic current.
    Decay,
}

/// A number of a quantized network and of the exact one that took it over.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Moved {
    /// The tensor or neuron layer.
    pub name: String,
    /// Which of its numbers.
    pub figure: Figure,
    /// The least and the greatest over its channels, quantized.
    pub quantized: [f32; 2],
    /// The same in integers, times their unit.
    pub exact: [f32; 2],
    /// The largest difference, as a share of the number that was quantized (of the threshold, for levels).
    pub most: f32,
}

impl Moved {
    /// Compares lists of which one may have a single entry for all channels.
    fn of(name: &str, figure: Figure, quantized: &[f32], exact: &[f32]) -> Self {
        let n = quantized.len().max(exact.len());
        let pairs = exact.iter().cycle().zip(quantized.iter().cycle()).take(n);
        let most = pairs.map(|(exact, quantized)| (exact / quantized - 1.0).abs()).fold(0.0, f32::max);
        Self { name: name.to_owned(), figure, quantized: ends(quantized), exact: ends(exact), most }
    }
}

fn ends(values: &[f32]) -> [f32; 2] {
    values.iter().fold([f32::INFINITY, f32::NEG_INFINITY], |[lo, hi], &v| [lo.min(v), hi.max(v)])
}

/// The network of `quantized` under an exact plan, with the weight scales that it has, and all numbers that were taken over,
/// moved or not.
///
/// A tensor keeps its codes wherever `plan` gives it the bits that it had: its scales, of batch normalization times the
/// factor that is folded into its channel, are learned scales of the exact network, unless the rule of the plan finds the
/// same by itself. Membranes keep their bits and reach at least as far, in steps of the weights' scale times a power of two.
///
/// What cannot be taken over starts anew, and the list says how far from before: scales of weights with other bits, those of
/// recurrent weights, which take the scale of the weights before them, and several scales where one is possible ([`one_scale`]):
/// that of least squared error from the levels that there were.
///
/// # Errors
/// [`ExactError`], as [`Exact::new`].
pub fn take_over(
    quantized: &Quantized<Sequential>,
    mut plan: QuantPlan,
) -> Result<(Exact, Vec<Moved>), ExactError> {
    quantized.settle(&mut plan);
    let gains = batch_norm_gains(quantized.net())?;
    let net = fold_batch_norm(quantized.net())?;
    let mut found = BTreeMap::new();
    for (name, params) in quantized.weight_params()? {
        let scales = scales_of(&params, gains.get(&name));
        found.insert(name, Found { params, scales });
    }
    let mut known = BTreeMap::new();
    let (recurrent, of_one) = (recurrent_weights(&net), one_scale(&net, &plan));
    net.visit_params(&mut |p| {
        let (Some(found), Some(QuantSpec::Uniform(spec))) =
            (found.get(&p.name), plan.weights.get_mut(&p.name))
        else {
            return;
        };
        let needs_one = of_one.contains_key(&p.name);
        let is_folded = gains.contains_key(&p.name);
        if recurrent.contains(&p.name) || !found.is_taken_by(spec, needs_one, is_folded) {
            return;
        }
        let scales = found.given(p, spec, needs_one);
        let granularity = if scales.len() > 1 { Granularity::PerChannel } else { Granularity::PerTensor };
        let (scale, scale_format) = (ScaleRule::Learned, ScaleFormat::Float);
        *spec = UniformSpec { scale, scale_format, granularity, ..*spec };
        known.insert(p.name.clone(), Tensor::new(&[scales.len()], scales));
    });
    let exact = Exact::with_scales(net, plan, &known)?;
    let moved = moved(quantized, &exact, &found)?;
    Ok((exact, moved))
}

/// What a weight tensor of the quantized network has.
struct Found {
    params: QuantParams,
    /// The scales with what is folded into them.
    scales: Vec<f32>,
}

impl Found {
    /// Whether an exact network has these scales only if they are given to it.
    fn is_taken_by(&self, spec: &UniformSpec, needs_one: bool, is_folded: bool) -> bool {
        let fits = spec.bits == self.params.bits() && spec.mapping == Mapping::Symmetric;
        let is_joined = needs_one && self.scales.len() > 1;
        fits && (spec.scale == ScaleRule::Learned || is_folded || is_joined)
    }

    /// The scales that it is given: these, or where it needs one, the one whose levels are nearest to theirs.
    fn given(&self, weight: &Param, spec: &UniformSpec, needs_one: bool) -> Vec<f32> {
        if !needs_one || self.scales.len() == 1 {
            return self.scales.clone();
        }
        let own = UniformSpec { scale: ScaleRule::Learned, granularity: Granularity::PerChannel, ..*spec };
        let one = UniformSpec { scale: ScaleRule::MseSearch, granularity: Granularity::PerTensor, ..*spec };
        let shape = weight.value.shape();
        let levels = uniform::params_with_scales(&self.scales, shape, &own)
            .map(|params| params.fake_quant(weight.value.as_slice()));
        let found = levels.and_then(|levels| uniform::params(&levels, shape, &one));
        found.map_or_else(
            |_| self.scales.clone(),
            |params| params.grids().iter().map(|grid| grid.scale()).collect(),
        )
    }
}

/// Why a weight tensor of an exact network has one scale for all its channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OneScale {
    /// No neurons stand behind it, and its outputs are compared as they are.
    Readout,
    /// The membrane of the neurons behind it is on one table of levels.
    Table,
}

/// The weight tensors that need one scale in integers, and why.
#[must_use]
pub fn one_scale(net: &Sequential, plan: &QuantPlan) -> BTreeMap<String, OneScale> {
    let mut all = BTreeMap::new();
    let mut last = None;
    for layer in net.layers() {
        match layer {
            Layer::Conv2d(l) => last = Some(l.weight.name.clone()),
            Layer::Linear(l) => last = Some(l.weight.name.clone()),
            Layer::Neuron(neurons) => {
                let spec = plan.states.get(&neurons.name).map(|spec| &spec.quantizer);
                let is_table = matches!(spec, Some(StateQuantizer::Levels(_)));
                all.extend(last.take().filter(|_| is_table).map(|name| (name, OneScale::Table)));
            }
            _ => {}
        }
    }
    all.extend(last.map(|name| (name, OneScale::Readout)));
    all
}

fn scales_of(params: &QuantParams, gains: Option<&Vec<f32>>) -> Vec<f32> {
    let own: Vec<f32> = params.grids().iter().map(|grid| grid.scale()).collect();
    let Some(gains) = gains else { return own };
    gains.iter().enumerate().map(|(c, gain)| own[c % own.len()] * gain.abs()).collect()
}

fn recurrent_weights(net: &Sequential) -> Vec<String> {
    net.neurons()
        .filter_map(|layer| layer.recurrent.as_ref())
        .map(|[weight, _]| weight.name.clone())
        .collect()
}

/// All numbers of both networks, stage by stage.
fn moved(
    quantized: &Quantized<Sequential>,
    exact: &Exact,
    found: &BTreeMap<String, Found>,
) -> Result<Vec<Moved>, ExactError> {
    let mut all = Vec::new();
    for stage in exact.stages(Bounds::Checked)? {
        let layers = exact.net().layers();
        let mut weights = vec![(&layers[stage.synapses], &stage.codes)];
        weights.extend(stage.recurrent.iter().zip(stage.layer).map(|(codes, at)| (&layers[at], codes)));
        for (layer, codes) in weights {
            let Some((name, before)) = weight_of(layer).and_then(|name| Some((name, found.get(name)?)))
            else {
                continue;
            };
            let after: Vec<f32> = codes.params.grids().iter().map(|grid| grid.scale()).collect();
            all.push(Moved::of(name, Figure::WeightScale, &before.scales, &after));
        }
        if let Some(Layer::Neuron(layer)) = stage.layer.map(|at| &layers[at]) {
            all.extend(neurons_moved(quantized, &stage, layer));
        }
    }
    Ok(all)
}

fn weight_of(layer: &Layer) -> Option<&str> {
    match layer {
        Layer::Conv2d(l) => Some(&l.weight.name),
        Layer::Linear(l) => Some(&l.weight.name),
        Layer::Neuron(l) => l.recurrent.as_ref().map(|[weight, _]| weight.name.as_str()),
        _ => None,
    }
}

fn neurons_moved(quantized: &Quantized<Sequential>, stage: &Stage, layer: &NeuronLayer) -> Vec<Moved> {
    let (name, channels) = (&layer.name, &stage.neurons.channels);
    let mut all = Vec::new();
    let levels = quantized.settled_plan().states.get(name).and_then(|spec| spec.found_levels().ok());
    all.extend(levels.and_then(|levels| membrane_moved(name, &levels, stage)));
    if let Some(threshold) = layer.kind.threshold().filter(|&threshold| threshold != 0.0) {
        let after: Vec<f32> = channels.iter().filter_map(|channel| channel.kind.threshold()).collect();
        all.push(Moved::of(name, Figure::Threshold, &[threshold], &after));
    }
    let after = channels.first().map_or_else(Vec::new, |channel| decays(channel.kind));
    let pairs = decays(layer.kind).into_iter().zip(after);
    all.extend(pairs.map(|(before, after)| Moved::of(name, Figure::Decay, &[before], &[after])));
    all
}

fn membrane_moved(name: &str, levels: &StateLevels, stage: &Stage) -> Option<Moved> {
    let channels = &stage.neurons.channels;
    match (levels, stage.neurons.neuron.store) {
        (StateLevels::Grid(grid), Store::Shift { shift, .. }) => {
            let step = |unit: f32| unit * crate::num::exp2(shift.into());
            let after: Vec<f32> = channels.iter().map(|channel| step(channel.unit)).collect();
            Some(Moved::of(name, Figure::MembraneStep, &[grid.scale()], &after))
        }
        (StateLevels::Table(table), Store::Levels { .. }) => {
            let first = channels.first()?;
            let level = |level: i32| crate::num::to_f32(level.into()) * first.unit;
            let after = stage.neurons.cell().levels.iter().map(level);
            let after: Vec<f32> = after.take(table.levels().len()).collect();
            let threshold = first.kind.threshold().unwrap_or(1.0);
            let distances = table.levels().iter().zip(&after).map(|(before, after)| (before - after).abs());
            let most = distances.fold(0.0, f32::max) / threshold;
            let (quantized, exact) = (ends(table.levels()), ends(&after));
            Some(Moved { name: name.to_owned(), figure: Figure::MembraneLevels, quantized, exact, most })
        }
        _ => None,
    }
}

fn decays(kind: NeuronKind) -> Vec<f32> {
    match kind {
        NeuronKind::Lif(n) => vec![n.beta],
        NeuronKind::Li(n) => vec![n.beta],
        NeuronKind::CubaLif(n) => vec![n.beta, n.alpha],
        _ => Vec::new(),
    }
}
