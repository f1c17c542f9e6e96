//! From a graph to a network.

mod neuron;
mod order;
mod steps;

use crate::convention::{Convention, MetadataUse};
use crate::error::ImportError;
use crate::graph::Graph;
use crate::note::Note;
use crate::sim;
use snn_core::layer::Sequential;

/// A graph as a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// The network; its layers are named after the nodes.
    pub net: Sequential,
    /// What it does only up to rounding, or otherwise than the file may have meant.
    pub notes: Vec<Note>,
}

/// The network that the graph describes under a convention.
///
/// Graphs are chains from one `Input` to one end, where recurrent weights (`Linear` or `Affine`, from a layer of neurons
/// to itself) may stand around neurons; subgraphs are taken apart. Parameters of neurons may be single numbers or one for
/// each neuron. Since layers here have one decay, gain and threshold, different gains and thresholds within a layer are
/// moved into the weights before it, which is exact but for rounding, and noted; different decays are refused.
/// Potentials are counted from `v_leak`, where neurons also start; a `v_reset` elsewhere is refused. `Scale` goes into the
/// weights before it, `Threshold` is a neuron without memory, a `Delay` of zero nothing. Integer weights take up the
/// resistance of the neurons behind them.
///
/// Gradients are not in NIR: surrogate and reset gradient of the network are the defaults.
///
/// # Errors
/// [`ImportError`], naming the node, for what no [`Sequential`] computes.
pub fn import(graph: &Graph, convention: &Convention) -> Result<Imported, ImportError> {
    let mut convention = *convention;
    if convention.metadata == MetadataUse::Honor {
        convention.dt = sim::dt(&graph.metadata).unwrap_or(convention.dt);
    }
    if !(convention.dt.is_finite() && convention.dt > 0.0) {
        let reason = format!("is {}, but must be positive", convention.dt);
        return Err(ImportError::Parameter { node: "graph".to_owned(), field: "dt", reason });
    }
    let chain = order::chain(graph)?;
    let mut steps = steps::Steps::new(&chain, convention)?;
    chain.iter().skip(1).try_for_each(|link| steps.link(link))?;
    steps.build()
}

#[cfg(test)]
mod tests;
