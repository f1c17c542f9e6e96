//! Neuron layer.

use crate::exec::{Exec, Pooling};
use crate::module::Param;
use crate::neuron::{
    Alif, CubaLif, Decolle, Dynamics, Li, Lif, NeuronOp, Scan, lif_scan, recurrent_lif_scan,
};
use crate::ops::Pool2d;
use crate::scalar::Scalar;

/// Which neuron a layer is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum NeuronKind {
    /// Leaky integrate-and-fire (integrate-and-fire with `beta = 1`).
    Lif(Lif),
    /// Leaky integrator, without spikes.
    Li(Li),
    /// Current-based LIF.
    CubaLif(CubaLif),
    /// Adaptive LIF.
    Alif(Alif),
    /// The four-state neuron of DECOLLE.
    Decolle(Decolle),
}

macro_rules! each_kind {
    ($kind:expr, $neuron:ident => $body:expr) => {
        match $kind {
            NeuronKind::Lif($neuron) => $body,
            NeuronKind::Li($neuron) => $body,
            NeuronKind::CubaLif($neuron) => $body,
            NeuronKind::Alif($neuron) => $body,
            NeuronKind::Decolle($neuron) => $body,
        }
    };
}

macro_rules! kind_from {
    ($($neuron:ident),*) => {
        $(impl From<$neuron> for NeuronKind {
            fn from(neuron: $neuron) -> Self {
                Self::$neuron(neuron)
            }
        })*
    };
}

kind_from!(Lif, Li, CubaLif, Alif, Decolle);

impl NeuronKind {
    /// Short name, as in network descriptions.
    #[must_use]
    pub fn name(&self) -> &'static str {
        each_kind!(self, neuron => neuron.name())
    }

    /// The op that runs these neurons over time.
    #[must_use]
    pub fn scan<S: Scalar>(&self) -> Box<dyn NeuronOp<S>> {
        match *self {
            Self::Lif(neuron) => lif_scan(neuron),
            other => each_kind!(other, neuron => Box::new(Scan::new(neuron))),
        }
    }

    /// The op that runs them with all-to-all recurrence.
    #[must_use]
    pub fn recurrent_scan<S: Scalar>(&self) -> Box<dyn NeuronOp<S>> {
        match *self {
            Self::Lif(neuron) => recurrent_lif_scan(neuron),
            other => each_kind!(other, neuron => Box::new(Scan::new(neuron).recurrent())),
        }
    }

    /// Number of state variables a neuron has.
    #[must_use]
    pub fn n_states(&self) -> usize {
        fn count<D: Dynamics<N>, const N: usize>(_: &D) -> usize {
            N
        }
        each_kind!(self, neuron => count(neuron))
    }

    /// Number of those that a quantizer of all state variables acts on.
    #[must_use]
    pub fn n_quantized_states(&self) -> usize {
        each_kind!(self, neuron => neuron.quantized_states().len())
    }

    /// Firing threshold; `None` for neurons without spikes.
    #[must_use]
    pub fn threshold(&self) -> Option<f32> {
        match self {
            Self::Lif(n) => Some(n.firing.threshold),
            Self::CubaLif(n) => Some(n.firing.threshold),
            Self::Alif(n) => Some(n.firing.threshold),
            Self::Decolle(n) => Some(n.firing.threshold),
            Self::Li(_) => None,
        }
    }
}

/// A layer of neurons; with all-to-all recurrence it has the weight `<name>.recurrent` `[N, N]` (from, to) and the bias
/// `<name>.recurrent_bias` `[N]`.
#[derive(Clone, Debug, PartialEq)]
pub struct NeuronLayer {
    /// Unique name.
    pub name: String,
    /// The neuron.
    pub kind: NeuronKind,
    /// Axes behind time and batch.
    pub features: Vec<usize>,
    /// Recurrent weight and bias.
    pub recurrent: Option<[Param; 2]>,
}

impl NeuronLayer {
    /// Runs the neurons on the current `[T, B, features…]`.
    pub fn forward<E: Exec>(&self, e: &mut E, x: &E::Value) -> E::Value {
        match &self.recurrent {
            None => e.neuron(&self.name, self.kind.scan(), &[x]),
            Some([weight, bias]) => {
                let (weight, bias) = (e.param(weight), e.param(bias));
                e.neuron(&self.name, self.kind.recurrent_scan(), &[x, &weight, &bias])
            }
        }
    }

    /// Runs the neurons and pools their output, at once if that is possible.
    pub fn forward_pooled<E: Exec>(&self, e: &mut E, x: &E::Value, pool: &Pool2d) -> E::Value {
        let windows = match (&self.recurrent, &self.features[..]) {
            (None, &[_, h, w]) => pool.side_by_side([h, w]),
            _ => None,
        };
        if let Some(windows) = windows {
            return e.neuron_pooled(&self.name, self.kind.scan(), Pooling { pool: *pool, windows }, &[x]);
        }
        let spikes = self.forward(e, x);
        e.apply(Box::new(*pool), &[&spikes])
    }
}
