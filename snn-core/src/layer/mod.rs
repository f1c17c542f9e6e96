//! Layers: parameters with a forward in terms of ops, and [`Sequential`], a chain of them.

mod conv2d;
mod fold;
mod linear;
mod neuron;
mod norm;
mod notation;
mod sequential;

pub use conv2d::{Bias, Conv2dConfig, Conv2dLayer};
pub use fold::{FoldError, batch_norm_gains, fold_batch_norm};
pub use linear::LinearLayer;
pub use neuron::{NeuronKind, NeuronLayer};
pub use norm::BatchNormLayer;
pub use notation::parse;
pub use sequential::{Builder, Sequential};

use crate::exec::Exec;
use crate::module::{Param, Pass};
use crate::ops::{Dropout, Pool2d, Reshape};
use crate::rng;

/// A layer of a [`Sequential`]. Closed, so that configuration files, checkpoints and lowering treat every kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Layer {
    /// Fully connected.
    Linear(LinearLayer),
    /// Convolution.
    Conv2d(Conv2dLayer),
    /// Pooling of frames.
    Pool(Pool2d),
    /// Batch normalization over time and samples.
    BatchNorm(BatchNormLayer),
    /// Neurons.
    Neuron(NeuronLayer),
    /// All axes behind time and batch as one, of this size.
    Flatten(usize),
    /// Dropout with this probability; the name keys its random stream.
    Dropout {
        /// Unique name.
        name: String,
        /// Probability of dropping a value.
        probability: f32,
    },
}

impl Layer {
    /// Runs the layer on `x` of shape `[T, B, features…]`.
    pub fn forward<E: Exec>(&self, e: &mut E, x: &E::Value, pass: &Pass) -> E::Value {
        match self {
            Self::Linear(layer) => layer.forward(e, x),
            Self::Conv2d(layer) => layer.forward(e, x),
            Self::Pool(pool) => e.apply(Box::new(*pool), &[x]),
            Self::BatchNorm(layer) => layer.forward(e, x, pass),
            Self::Neuron(layer) => layer.forward(e, x),
            Self::Flatten(n) => e.apply(Box::new(Reshape { features: vec![*n] }), &[x]),
            Self::Dropout { name, probability } => match pass.noise {
                Some(seed) => {
                    let dropout = Dropout { probability: *probability, seed: rng::sub_seed(seed, name) };
                    e.apply(Box::new(dropout), &[x])
                }
                None => x.clone(),
            },
        }
    }

    /// The name under which parameters, plans and reports know the layer, if it has one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Linear(layer) => Some(&layer.name),
            Self::Conv2d(layer) => Some(&layer.name),
            Self::BatchNorm(layer) => Some(&layer.name),
            Self::Neuron(layer) => Some(&layer.name),
            Self::Dropout { name, .. } => Some(name),
            Self::Pool(_) | Self::Flatten(_) => None,
        }
    }

    fn params(&self) -> Vec<&Param> {
        match self {
            Self::Linear(l) => std::iter::once(&l.weight).chain(&l.bias).collect(),
            Self::Conv2d(l) => std::iter::once(&l.weight).chain(&l.bias).collect(),
            Self::BatchNorm(l) => vec![&l.gamma, &l.beta, &l.stats],
            Self::Neuron(l) => l.recurrent.iter().flatten().collect(),
            Self::Pool(_) | Self::Flatten(_) | Self::Dropout { .. } => Vec::new(),
        }
    }

    fn params_mut(&mut self) -> Vec<&mut Param> {
        match self {
            Self::Linear(l) => std::iter::once(&mut l.weight).chain(&mut l.bias).collect(),
            Self::Conv2d(l) => std::iter::once(&mut l.weight).chain(&mut l.bias).collect(),
            Self::BatchNorm(l) => vec![&mut l.gamma, &mut l.beta, &mut l.stats],
            Self::Neuron(l) => l.recurrent.iter_mut().flatten().collect(),
            Self::Pool(_) | Self::Flatten(_) | Self::Dropout { .. } => Vec::new(),
        }
    }
}
