//! From an exact network to an integer model.

use super::compile::{Bounds, Stage};
use super::{Exact, ExactError, in_integers};
use crate::QuantParams;
use snn_core::layer::Layer;
use snn_core::module::Param;
use snn_core::ops::{Pool2d, PoolKind};
use snn_int::Shape;
use snn_int::model::{Conv, Pool, PoolKind as IntPoolKind};
use snn_int::spec::{Codes, LayerSpec, ModelSpec, SynapseSpec};

/// The integer model of an exact network: the same integers, in the engine's layout. `meta` is stored with it.
///
/// # Errors
/// [`ExactError`], where training has left what is exact, or sizes are beyond the engine.
///
/// # Examples
/// ```
/// use snn_core::layer::Sequential;
/// use snn_core::neuron::Lif;
/// use snn_int::{Engine, Model};
/// use snn_quant::exact::{Exact, lower};
/// use snn_quant::QuantPlan;
///
/// let net = Sequential::input(&[4]).linear("fc", 2).neuron("lif", Lif::snntorch(0.9)).init(7)?;
/// let plan = QuantPlan::from_toml(
///     "[exact]\n\
///      [weights]\n\"fc.weight\" = { bits = 4 }\n\
///      [states.lif]\nquantizer = { scheme = \"fixed_point\", bits = 8, int_bits = 1 }",
///     "plan.toml",
/// )?;
/// let bytes = lower(&Exact::new(net, plan)?, "")?.to_bytes().unwrap();
/// let mut engine = Engine::new(Model::from_bytes(&bytes).unwrap());
/// engine.set_frame(&[1, 0, 0, 1]).unwrap();
/// engine.step();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn lower(net: &Exact, meta: &str) -> Result<ModelSpec, ExactError> {
    let stages = net.stages(Bounds::Checked)?;
    let layers = stages.iter().map(|stage| layer(net, stage)).collect::<Result<_, _>>()?;
    let input_max = net.plan.exact.ok_or(ExactError::NoSection)?.input_max;
    Ok(ModelSpec { input: shape(net.net.input_features()), input_max, layers, meta: meta.to_owned() })
}

/// The shape of features `[C, H, W]` or `[N]`.
fn shape(features: &[usize]) -> Shape {
    match *features {
        [c, h, w] => Shape { height: size(h), width: size(w), channels: size(c) },
        _ => Shape::flat(size(features.iter().product())),
    }
}

/// A size as the engine has it; what does not fit is refused there.
fn size(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn layer(net: &Exact, stage: &Stage) -> Result<LayerSpec, ExactError> {
    let layers = net.net.layers();
    let pool = |at: Option<usize>| match at.map(|i| &layers[i]) {
        Some(Layer::Pool(pool)) => Some(int_pool(in_integers(*pool))),
        _ => None,
    };
    let synapses = match &layers[stage.synapses] {
        Layer::Conv2d(l) => {
            let s = *l.conv.shape();
            let [kernel, stride, padding, dilation] =
                [s.kernel, s.stride, s.padding, s.dilation].map(|pair| pair.map(size));
            let conv =
                Conv { channels: size(s.c_out), kernel, stride, padding, dilation, groups: size(s.groups) };
            SynapseSpec::Conv { conv, weights: codes(&l.weight, &stage.codes.params)? }
        }
        Layer::Linear(l) => {
            let n_out = size(l.weight.value.shape()[1]);
            SynapseSpec::Dense { n_out, weights: codes(&l.weight, &stage.codes.params)? }
        }
        _ => return Err(ExactError::layer(&stage.name, super::Inexact::NoWeightsBefore)),
    };
    let recurrent = match (&stage.recurrent, stage.layer.map(|i| &layers[i])) {
        (Some(read), Some(Layer::Neuron(n))) => {
            n.recurrent.as_ref().map(|[weight, _]| codes(weight, &read.params)).transpose()?
        }
        _ => None,
    };
    let channels = &stage.neurons.channels;
    Ok(LayerSpec {
        name: stage.name.clone(),
        gather: pool(stage.gather),
        pool: pool(stage.pool),
        recurrent,
        thresholds: channels.iter().map(|c| c.numbers.threshold).collect(),
        biases: channels.iter().map(|c| c.numbers.bias).collect(),
        levels: stage.neurons.cell().levels.iter().collect(),
        ..LayerSpec::new(&stage.name, synapses, stage.neurons.neuron, 0)
    })
}

fn int_pool(pool: Pool2d) -> Pool {
    let kind = if pool.kind == PoolKind::Max { IntPoolKind::Max } else { IntPoolKind::Sum };
    Pool { kind, kernel: pool.kernel.map(size), stride: pool.stride.map(size) }
}

/// The codes in the fewest bits that hold all codes of the quantizer.
fn codes(weight: &Param, params: &QuantParams) -> Result<Codes, ExactError> {
    let range = params.grids().first().map(|grid| grid.codes());
    let bits = match range {
        Some(crate::CodeSet::Sign) => 1,
        _ => params.bits().get().max(2),
    };
    let values = params.codes(weight.value.as_slice()).into_iter().enumerate();
    let narrow = |(index, code): (usize, i32)| {
        let refused = snn_int::ModelError::Code { layer: 0, index, value: code, bits: 16 };
        i16::try_from(code).map_err(|_| ExactError::from(refused))
    };
    let bits = u8::try_from(bits).unwrap_or(16);
    Ok(Codes { bits, values: values.map(narrow).collect::<Result<_, _>>()? })
}
