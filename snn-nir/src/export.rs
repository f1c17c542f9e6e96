//! From a network to a graph.

mod neuron;
mod weights;

use crate::error::ExportError;
use crate::graph::{Graph, Metadata, Node};
use crate::note::Note;
use crate::primitive::Primitive;
use crate::sim;
use snn_core::layer::{Layer, Sequential};
use snn_core::ops::{Pool2d, PoolKind};
use std::collections::BTreeMap;

/// What [`export`] is told beside the network.
#[derive(Clone, Debug, PartialEq)]
pub struct ExportOptions {
    /// Time step in seconds: time constants are Δt/(1 − β). snnTorch's importer has 10⁻⁴ built in, the default here.
    pub dt: f64,
    /// What is done with neurons whose spikes do not set the membrane to a value.
    pub soft_reset: SoftReset,
    /// How weights are written that are quantized.
    pub weights: WeightFormat,
    /// How weights are quantized, by parameter name; the network holds their levels.
    pub quant: BTreeMap<String, TensorQuant>,
    /// How membranes are quantized, by layer name.
    pub states: BTreeMap<String, StateQuant>,
}

impl Default for ExportOptions {
    fn default() -> Self {
        Self {
            dt: 1e-4,
            soft_reset: SoftReset::Refuse,
            weights: WeightFormat::Levels,
            quant: BTreeMap::new(),
            states: BTreeMap::new(),
        }
    }
}

/// What is done with neurons that NIR does not have, since a spike subtracts from their membrane or leaves it alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SoftReset {
    /// The export fails.
    Refuse,
    /// They are written all the same, with the reset in metadata and a [`Note::Reset`]. Other programs will reset them to
    /// zero; [`import()`](crate::import()) with [`MetadataUse::Ignore`](crate::MetadataUse::Ignore) gives that network, on
    /// which the loss can be measured.
    WriteAsHard,
}

/// How quantized weights are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightFormat {
    /// Their levels, in `float32`.
    Levels,
    /// Their codes minus the zero point, in `int8` or `int16`; the scale becomes the resistance of the neurons behind.
    Codes,
}

/// How a weight tensor is quantized: its levels are `scale · (code − zero_point)`.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorQuant {
    /// Name of the scheme, such as `uniform`.
    pub scheme: String,
    /// Width of a code.
    pub bits: u32,
    /// One for the tensor, or one for each output channel.
    pub scales: Vec<f32>,
    /// As many as scales.
    pub zero_points: Vec<i32>,
    /// One for each weight, in the order of the parameter.
    pub codes: Vec<i32>,
}

/// How a membrane is quantized.
#[derive(Clone, Debug, PartialEq)]
pub struct StateQuant {
    /// Name of the scheme, such as `fixed_point`.
    pub scheme: String,
    /// Width of a code.
    pub bits: u32,
    /// Its levels.
    pub levels: MembraneLevels,
    /// Where in the step it acts: `before_spike` or `on_store`.
    pub placement: String,
}

/// The levels of a membrane.
#[derive(Clone, Debug, PartialEq)]
pub enum MembraneLevels {
    /// Evenly spaced, this far apart.
    Even(f64),
    /// Listed, in rising order.
    Listed(Vec<f32>),
}

/// A network as a graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Exported {
    /// The graph.
    pub graph: Graph,
    /// All that it does not say, or says only up to rounding.
    pub notes: Vec<Note>,
}

/// The network as a graph: a chain of nodes named after the layers, between `input` and `output`.
///
/// Leaky neurons become `LIF` with R = 1: with β, gain g and threshold θ, τ = Δt/(1 − β) and v_threshold = θ·(1 − β)/g.
/// That is the same neuron with its membrane in another unit, and what both snnTorch, which reads R, and Norse, which does
/// not, run rightly. Without leak they become `IF`. Neurons with a synaptic current become `CubaLIF` with R = τ_mem/Δt
/// and w_in = τ_syn/Δt. Batch normalization with running statistics is folded into the weights before it; dropout, which
/// inference does not have, is left out. Parameters of neurons are `float64`, so that decays come back as they were.
///
/// # Errors
/// [`ExportError`] for what NIR cannot say, naming the layer.
pub fn export(net: &Sequential, options: &ExportOptions) -> Result<Exported, ExportError> {
    if !(options.dt.is_finite() && options.dt > 0.0) {
        let layer = "input".to_owned();
        return Err(ExportError::Parameter { layer, field: "dt", value: options.dt, expected: "positive" });
    }
    let mut chain = Chain::new(net.input_features(), options);
    net.layers().iter().try_for_each(|layer| chain.layer(layer))?;
    chain.finish()
}

/// The graph so far.
struct Chain<'a> {
    options: &'a ExportOptions,
    /// Shape of the output of the last node.
    features: Vec<usize>,
    nodes: Vec<(String, Node)>,
    /// Edges beside those along the chain, and the nodes that are only on them.
    loops: Vec<(String, Node)>,
    notes: Vec<Note>,
    /// The weights whose scale the next neurons take up, and the scale of each output channel.
    pending: Option<(String, Vec<f64>)>,
}

impl<'a> Chain<'a> {
    fn new(input: &[usize], options: &'a ExportOptions) -> Self {
        let node = Node::from(Primitive::Input { shape: input.to_vec() });
        Self {
            options,
            features: input.to_vec(),
            nodes: vec![("input".to_owned(), node)],
            loops: Vec::new(),
            notes: Vec::new(),
            pending: None,
        }
    }

    fn push(&mut self, name: &str, primitive: Primitive, metadata: Metadata) {
        self.nodes.push((name.to_owned(), Node { primitive, metadata }));
    }

    fn layer(&mut self, layer: &Layer) -> Result<(), ExportError> {
        match layer {
            Layer::Linear(layer) => self.linear(layer),
            Layer::Conv2d(layer) => self.conv2d(layer),
            Layer::BatchNorm(layer) => self.batch_norm(layer),
            Layer::Neuron(layer) => self.neuron(layer),
            Layer::Pool(pool) => self.pool(pool),
            Layer::Flatten(n) => {
                let name = self.unnamed("flatten");
                let input_type = Some(std::mem::replace(&mut self.features, vec![*n]));
                let flatten = Primitive::Flatten { start_dim: 0, end_dim: -1, input_type };
                self.push(&name, flatten, Metadata::new());
                Ok(())
            }
            Layer::Dropout { .. } => Ok(()),
        }
    }

    /// A name for a layer that has none: its kind, numbered.
    fn unnamed(&self, kind: &str) -> String {
        let is_kind = |name: &str| name.strip_prefix(kind).is_some_and(|n| n.parse::<usize>().is_ok());
        format!("{kind}{}", self.nodes.iter().filter(|(name, _)| is_kind(name)).count() + 1)
    }

    fn pool(&mut self, pool: &Pool2d) -> Result<(), ExportError> {
        let name = self.unnamed("pool");
        let (kernel_size, stride, padding) = (pool.kernel, pool.stride, [0; 2]);
        let primitive = match pool.kind {
            PoolKind::Average => Primitive::AvgPool2d { kernel_size, stride, padding },
            PoolKind::Sum => Primitive::SumPool2d { kernel_size, stride, padding },
            PoolKind::Max => return Err(ExportError::Unsupported { layer: name, what: "maximum pooling" }),
        };
        for i in 0..2 {
            self.features[i + 1] = (self.features[i + 1] - kernel_size[i]) / stride[i] + 1;
        }
        self.push(&name, primitive, Metadata::new());
        Ok(())
    }

    fn finish(mut self) -> Result<Exported, ExportError> {
        self.no_pending_scale()?;
        let output = Primitive::Output { shape: self.features.clone() };
        self.push("output", output, Metadata::new());
        let n = self.nodes.len() + self.loops.len();
        let mut graph = Graph::chain(self.nodes);
        for (around, node) in self.loops {
            let name = format!("{around}.w_rec");
            graph.edges.extend([(around.clone(), name.clone()), (name.clone(), around)]);
            graph.nodes.insert(name, node);
        }
        if graph.nodes.len() != n {
            let mut names: Vec<_> = graph.edges.iter().map(|(from, _)| from.clone()).collect();
            names.sort();
            let twice = names.windows(2).find(|pair| pair[0] == pair[1]);
            return Err(ExportError::Name {
                name: twice.map_or("output".to_owned(), |pair| pair[0].clone()),
            });
        }
        graph.metadata = sim::of_graph(self.options.dt);
        Ok(Exported { graph, notes: self.notes })
    }

    /// Codes are no weights without the neurons that take up their scale.
    fn no_pending_scale(&self) -> Result<(), ExportError> {
        match &self.pending {
            None => Ok(()),
            Some((layer, _)) => Err(ExportError::Quant {
                tensor: format!("{layer}.weight"),
                reason: "codes need neurons behind them, whose resistance takes up the scale",
            }),
        }
    }
}

#[cfg(test)]
mod tests;
