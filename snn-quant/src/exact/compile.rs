//! From a network and a plan to integers: what is computed, or why it cannot be.

mod bounds;
mod membrane;

use super::codes::WeightCodes;
use super::error::{ExactError, Inexact};
use super::parts::Part;
use super::scan::{IntChannel, IntNeurons};
use super::spec::ExactSpec;
use crate::num::{exp2, to_f32};
use crate::uniform::{Mapping, ScaleRule};
use crate::{CodeSet, FakeQuant, Grid, QuantParams, QuantPlan, QuantSpec};
use membrane::Kept;
use snn_core::layer::{Layer, NeuronKind, NeuronLayer, Sequential};
use snn_core::module::Param;
use snn_core::neuron::{self, Firing, Li, SpikeForward};
use snn_core::ops::{Pool2d, PoolKind};
use snn_int::neuron as int;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The largest magnitude whose neighbors `f32` holds exactly.
const EXACT: f64 = 16_777_216.0;

/// Weights, what they feed, and the neurons behind them.
#[derive(Debug, Clone)]
pub(super) struct Stage {
    /// The name of the neuron layer, or of the weights' layer where there are no neurons.
    pub(super) name: String,
    /// The op that reads the weights, by the name of their parameter.
    pub(super) codes: WeightCodes,
    /// The same of recurrent weights.
    pub(super) recurrent: Option<WeightCodes>,
    pub(super) neurons: Arc<IntNeurons>,
    /// Places in the list of layers: spikes' pool, weights, currents' pool, neurons.
    pub(super) gather: Option<usize>,
    pub(super) synapses: usize,
    pub(super) pool: Option<usize>,
    pub(super) layer: Option<usize>,
}

/// The layers of a stage as they are found.
#[derive(Debug, Clone, Copy, Default)]
struct Found {
    gather: Option<usize>,
    synapses: Option<usize>,
    pool: Option<usize>,
    layer: Option<usize>,
}

/// How strictly to look: weights that are still being trained may grow back into bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bounds {
    Checked,
    Open,
}

/// The stages of a network under a plan, whose learned scales are given by tensor.
pub(super) fn compile(
    net: &Sequential,
    plan: &QuantPlan,
    learned: &BTreeMap<String, Param>,
    bounds: Bounds,
) -> Result<Vec<Stage>, ExactError> {
    let spec = plan.exact.ok_or(ExactError::NoSection)?;
    let mut max_input = f64::from(spec.input_max);
    let mut stages = Vec::new();
    for found in stages_of(net)? {
        let compiler = Compiler { net, plan, learned, spec, found, max_input, bounds };
        stages.push(compiler.stage()?);
        max_input = 1.0;
    }
    Ok(stages)
}

/// Divides the layers into stages.
fn stages_of(net: &Sequential) -> Result<Vec<Found>, ExactError> {
    let mut stages = Vec::new();
    let mut found = Found::default();
    for (i, layer) in net.layers().iter().enumerate() {
        let refuse = |reason| Err(ExactError::layer(&name_of(layer), reason));
        match layer {
            Layer::Flatten(_) | Layer::Dropout { .. } => {}
            Layer::BatchNorm(_) => return refuse(Inexact::BatchNorm),
            Layer::Pool(_) => {
                let place = if found.synapses.is_some() { &mut found.pool } else { &mut found.gather };
                if place.replace(i).is_some() {
                    return refuse(Inexact::TwoPools);
                }
            }
            Layer::Linear(_) | Layer::Conv2d(_) => {
                if found.synapses.replace(i).is_some() {
                    return refuse(Inexact::NoNeuronBetween);
                }
            }
            Layer::Neuron(_) => {
                if found.synapses.is_none() {
                    return refuse(Inexact::NoWeightsBefore);
                }
                stages.push(Found { layer: Some(i), ..std::mem::take(&mut found) });
            }
        }
    }
    match found {
        Found { synapses: Some(_), .. } => stages.push(found),
        Found { gather: Some(i), .. } => {
            return Err(ExactError::layer(&name_of(&net.layers()[i]), Inexact::NoWeightsBehind));
        }
        _ => {}
    }
    Ok(stages)
}

fn name_of(layer: &Layer) -> String {
    layer.name().unwrap_or("pool").to_owned()
}

struct Compiler<'a> {
    net: &'a Sequential,
    plan: &'a QuantPlan,
    learned: &'a BTreeMap<String, Param>,
    spec: ExactSpec,
    found: Found,
    max_input: f64,
    bounds: Bounds,
}

/// What a pool does to units: the factor of an average, and how many biases a sum adds up.
fn pool_factors(pool: Option<&Pool2d>) -> (f32, f32) {
    let Some(pool) = pool else { return (1.0, 1.0) };
    let area = to_f32(crate::num::count(pool.kernel[0] * pool.kernel[1]));
    match pool.kind {
        PoolKind::Average => (1.0 / area, 1.0),
        PoolKind::Sum => (1.0, area),
        PoolKind::Max => (1.0, 1.0),
    }
}

impl Compiler<'_> {
    fn layer(&self, at: Option<usize>) -> Option<&Layer> {
        at.map(|i| &self.net.layers()[i])
    }

    fn pool(&self, at: Option<usize>) -> Option<&Pool2d> {
        match self.layer(at) {
            Some(Layer::Pool(pool)) => Some(pool),
            _ => None,
        }
    }

    /// The weights of the stage and their bias.
    fn params(&self) -> Option<(&Param, Option<&Param>)> {
        match self.layer(self.found.synapses)? {
            Layer::Linear(l) => Some((&l.weight, l.bias.as_ref())),
            Layer::Conv2d(l) => Some((&l.weight, l.bias.as_ref())),
            _ => None,
        }
    }

    fn neuron_layer(&self) -> Option<&NeuronLayer> {
        match self.layer(self.found.layer) {
            Some(Layer::Neuron(layer)) => Some(layer),
            _ => None,
        }
    }

    fn name(&self) -> String {
        let layer = self.layer(self.found.layer).or(self.layer(self.found.synapses));
        layer.map(name_of).unwrap_or_default()
    }

    fn refuse<T>(&self, reason: Inexact) -> Result<T, ExactError> {
        Err(ExactError::layer(&self.name(), reason))
    }

    fn stage(&self) -> Result<Stage, ExactError> {
        let Some((weight, bias)) = self.params() else { return self.refuse(Inexact::NoWeightsBefore) };
        let codes = self.codes(weight)?;
        let (kind, gain) = self.kind()?;
        let (gather, pooled) =
            (pool_factors(self.pool(self.found.gather)).0, pool_factors(self.pool(self.found.pool)));
        let factor = gather * pooled.0 * gain;
        let scales: Vec<f32> = codes.params.grids().iter().map(|grid| grid.scale() * factor).collect();
        let recurrent = self.recurrent(&codes.params)?;
        let bias_gain = pooled.1 * gain;
        let biases = self.biases(bias, bias_gain);
        let n_channels = self.n_channels(weight);
        let reach = self.reach(weight, &codes.params, recurrent.as_ref())?;
        let kept = self.kept(&scales, &reach)?;
        let channels = self.channels(&kind, &scales, &kept, &biases, n_channels)?;
        let neuron = self.neuron(&kind, &kept);
        let levels = kept.table(channels[0].unit);
        let split = self.split(&neuron, &levels, &channels, &reach)?;
        let neurons = IntNeurons {
            neuron,
            levels: levels.iter().flat_map(|level| level.to_le_bytes()).collect(),
            channels,
            split,
            plane: self.plane(n_channels),
            bias_gain,
            has_bias: bias.is_some(),
            masks_clipped: kept.masks_clipped,
        };
        let Found { gather, pool, layer, .. } = self.found;
        let synapses = self.found.synapses.unwrap_or_default();
        Ok(Stage {
            name: self.name(),
            codes,
            recurrent,
            neurons: Arc::new(neurons),
            gather,
            synapses,
            pool,
            layer,
        })
    }

    /// The codes of a weight tensor, if its levels are integers times a scale; a learned scale is taken as it is.
    fn codes(&self, weight: &Param) -> Result<WeightCodes, ExactError> {
        let because = |reason| ExactError::tensor(&weight.name, reason);
        let refuse = |reason| Err(because(reason));
        let Some(spec) = self.plan.weights.get(&weight.name) else { return refuse(Inexact::FloatWeights) };
        if let Some(reason) = inexact_mapping(spec) {
            return refuse(reason);
        }
        let inputs: Vec<_> = [weight].into_iter().chain(self.learned.get(&weight.name)).collect();
        let inputs: Vec<_> = inputs.iter().map(|p| &p.value).collect();
        let (_, params) = FakeQuant { spec: spec.clone(), step: None }
            .params(&inputs)
            .map_err(|source| because(Inexact::Weights { source }))?;
        if self.found.layer.is_none() && params.grids().len() > 1 {
            return refuse(Inexact::ReadoutScales);
        }
        Ok(WeightCodes { params, clip_grad: spec.clip_grad(), part: Part::Whole })
    }

    /// Recurrent weights share the scale of the weights that feed the layer, so that both add up in one unit.
    fn recurrent(&self, feeding: &QuantParams) -> Result<Option<WeightCodes>, ExactError> {
        let Some([weight, _]) = self.neuron_layer().and_then(|layer| layer.recurrent.as_ref()) else {
            return Ok(None);
        };
        let Some(spec) = self.plan.weights.get(&weight.name) else {
            return Err(ExactError::tensor(&weight.name, Inexact::FloatWeights));
        };
        if matches!(spec, QuantSpec::Uniform(uniform) if uniform.scale == ScaleRule::Learned) {
            return Err(ExactError::tensor(&weight.name, Inexact::RecurrentScale));
        }
        if let Some(reason) = inexact_mapping(spec) {
            return Err(ExactError::tensor(&weight.name, reason));
        }
        let (gather, _) = pool_factors(self.pool(self.found.gather));
        let (pooled, _) = pool_factors(self.pool(self.found.pool));
        let codes = CodeSet::symmetric(spec.bits());
        let grids = feeding.grids().iter();
        let grids: Vec<Grid> =
            grids.map(|g| Grid::from_scale(g.scale() * gather * pooled, 0, codes)).collect();
        let run = if grids.len() == 1 { usize::MAX } else { 1 };
        let params = QuantParams::per_channel(spec.bits(), grids, run);
        Ok(Some(WeightCodes { params, clip_grad: spec.clip_grad(), part: Part::Whole }))
    }

    /// The neuron in float with the decays that its integers amount to, and the factor of its input.
    fn kind(&self) -> Result<(NeuronKind, f32), ExactError> {
        let Some(layer) = self.neuron_layer() else { return Ok((NeuronKind::Li(Li { beta: 0.0 }), 1.0)) };
        let beta = |beta: f32| self.spec.leak(beta).1;
        let (kind, gain, firing) = match layer.kind {
            NeuronKind::Lif(n) => {
                let exact = neuron::Lif { beta: beta(n.beta), gain: 1.0, ..n };
                (NeuronKind::Lif(exact), n.gain, Some(n.firing))
            }
            NeuronKind::Li(n) => (NeuronKind::Li(Li { beta: beta(n.beta) }), 1.0, None),
            NeuronKind::CubaLif(n) => {
                let exact = neuron::CubaLif { alpha: beta(n.alpha), beta: beta(n.beta), ..n };
                (NeuronKind::CubaLif(exact), 1.0, Some(n.firing))
            }
            other => return self.refuse(Inexact::Neuron { kind: other.name() }),
        };
        if firing.is_some_and(|firing| firing.forward == SpikeForward::Smooth) {
            return self.refuse(Inexact::SmoothSpikes);
        }
        if gain > 0.0 { Ok((kind, gain)) } else { self.refuse(Inexact::Gain { gain }) }
    }

    fn n_channels(&self, weight: &Param) -> usize {
        match self.layer(self.found.synapses) {
            Some(Layer::Conv2d(_)) => weight.value.shape()[0],
            _ => weight.value.shape()[1],
        }
    }

    /// Neurons of a channel.
    fn plane(&self, n_channels: usize) -> usize {
        match (self.neuron_layer(), self.layer(self.found.synapses)) {
            (Some(layer), _) => (layer.features.iter().product::<usize>() / n_channels).max(1),
            (None, Some(Layer::Conv2d(conv))) => {
                let [h, w] = conv.conv.shape().output();
                let side = |n: usize, a: usize| {
                    self.pool(self.found.pool).map_or(n, |p| (n - p.kernel[a]) / p.stride[a] + 1)
                };
                side(h, 0) * side(w, 1)
            }
            _ => 1,
        }
    }

    /// The constant drive of each channel, in real units of the membrane.
    fn biases(&self, bias: Option<&Param>, gain: f32) -> Vec<f32> {
        let own = bias.map(|p| p.value.as_slice());
        let recurrent = self.neuron_layer().and_then(|layer| layer.recurrent.as_ref());
        let recurrent = recurrent.map(|[_, bias]| bias.value.as_slice());
        let n = own.or(recurrent).map_or(0, <[f32]>::len);
        let at = |list: Option<&[f32]>, c: usize| list.map_or(0.0, |list| list[c]);
        (0..n).map(|c| gain * (at(own, c) + at(recurrent, c))).collect()
    }

    fn channels(
        &self,
        kind: &NeuronKind,
        scales: &[f32],
        kept: &Kept,
        biases: &[f32],
        n: usize,
    ) -> Result<Vec<IntChannel>, ExactError> {
        let is_shared = scales.len() == 1 && biases.is_empty();
        let channel = |c: usize| {
            let unit = scales[if scales.len() == 1 { 0 } else { c }] * exp2(kept.exponent.min(0));
            let whole = |real: f32| f64::from(real / unit).round_ties_even().clamp(-EXACT, EXACT);
            let threshold = kind.threshold().map_or(0.0, whole);
            if let Some(real) = kind.threshold().filter(|&real| real != 0.0) {
                self.check_threshold(real, [threshold, unit.into()], kept)?;
            }
            let bias = biases.get(c).map_or(0.0, |&b| whole(b));
            let numbers = int::Channel { threshold: to_int(threshold), bias: to_int(bias) };
            Ok(IntChannel { numbers, unit, kind: with_threshold(*kind, to_f32(threshold) * unit) })
        };
        (0..if is_shared { 1 } else { n }).map(channel).collect()
    }

    fn neuron(&self, kind: &NeuronKind, kept: &Kept) -> int::Neuron {
        let overflow = self.spec.overflow.into();
        let leak = |beta: f32| self.spec.leak(beta).0;
        let original = self.neuron_layer().map(|layer| layer.kind);
        let (leak_mem, current) = match original {
            Some(NeuronKind::Lif(n)) => (leak(n.beta), None),
            Some(NeuronKind::Li(n)) => (leak(n.beta), None),
            Some(NeuronKind::CubaLif(n)) => {
                let width = int::Width { bits: 24, overflow };
                (leak(n.beta), Some(int::Current { leak: leak(n.alpha), width }))
            }
            _ => (int::Leak::Scale(int::Scale { mul: 0, shift: 0, rounding: int::Rounding::Floor }), None),
        };
        int::Neuron {
            input: int::Scale::by(1 << (-kept.exponent.min(0))),
            current,
            leak: leak_mem,
            store: kept.store(overflow),
            placement: kept.placement,
            firing: firing_of(kind).map(int_firing),
        }
    }
}

/// Why weights with this mapping have no exact network.
fn inexact_mapping(spec: &QuantSpec) -> Option<Inexact> {
    match spec {
        QuantSpec::Uniform(uniform) => match uniform.mapping {
            Mapping::Symmetric => None,
            Mapping::TwosComplement => Some(Inexact::TwosComplement),
            Mapping::Affine => Some(Inexact::Affine),
        },
        QuantSpec::FixedPoint(_) => None,
    }
}

fn firing_of(kind: &NeuronKind) -> Option<Firing> {
    match kind {
        NeuronKind::Lif(n) => Some(n.firing),
        NeuronKind::CubaLif(n) => Some(n.firing),
        _ => None,
    }
}

fn with_threshold(kind: NeuronKind, threshold: f32) -> NeuronKind {
    match kind {
        NeuronKind::Lif(n) => NeuronKind::Lif(neuron::Lif { firing: Firing { threshold, ..n.firing }, ..n }),
        NeuronKind::CubaLif(n) => {
            NeuronKind::CubaLif(neuron::CubaLif { firing: Firing { threshold, ..n.firing }, ..n })
        }
        other => other,
    }
}

fn int_firing(firing: Firing) -> int::Firing {
    int::Firing {
        when: match firing.spike_when {
            neuron::SpikeWhen::Above => int::SpikeWhen::Above,
            neuron::SpikeWhen::AtOrAbove => int::SpikeWhen::AtOrAbove,
        },
        reset: match firing.reset {
            neuron::Reset::Subtract => int::Reset::Subtract,
            neuron::Reset::Zero => int::Reset::Value(0),
            neuron::Reset::None => int::Reset::None,
        },
        reset_time: match firing.reset_time {
            neuron::ResetTime::NextStep => int::ResetTime::NextStep,
            neuron::ResetTime::SameStep => int::ResetTime::SameStep,
        },
        max_spikes: 1,
    }
}

#[allow(clippy::cast_possible_truncation, reason = "whole and within 2^24")]
fn to_int(x: f64) -> i32 {
    x as i32
}

#[allow(clippy::cast_possible_truncation, reason = "bits and shifts are below 32")]
fn low_u8(x: u32) -> u8 {
    x as u8
}
