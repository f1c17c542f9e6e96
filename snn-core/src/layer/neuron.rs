//! Neuron layer.

use crate::exec::{Exec, Neurons};
use crate::module::Param;
use crate::neuron::{
    Alif, CubaLif, Decolle, Dynamics, Li, Lif, NeuronOp, Scan, lif_scan, recurrent_lif_scan,
};
use crate::ops::{Conv2d, Norm, Pool2d};
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

/// What stands before a layer of neurons, with the inputs of all of it.
pub(super) struct Before<V> {
    /// As in [`Neurons::conv2d`].
    pub(super) conv2d: Option<(Conv2d, usize)>,
    /// As in [`Neurons::norm`].
    pub(super) norm: Option<Norm>,
    /// Those of the convolution, or the current; then statistics, gain and shift of the normalization.
    pub(super) inputs: Vec<V>,
}

impl<V> Before<V> {
    /// Nothing but the current.
    pub(super) fn nothing(cur: V) -> Self {
        Self { conv2d: None, norm: None, inputs: vec![cur] }
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
        self.forward_between(e, Before::nothing(x.clone()), None)
    }

    /// Runs the neurons with what stands before them and pools their output, at once as far as that is possible.
    pub(super) fn forward_between<E: Exec>(
        &self,
        e: &mut E,
        before: Before<E::Value>,
        pool: Option<&Pool2d>,
    ) -> E::Value {
        let recurrent = self.recurrent.as_ref().map(|params| params.each_ref().map(|p| e.param(p)));
        let scan = if recurrent.is_some() { self.kind.recurrent_scan() } else { self.kind.scan() };
        let inputs = before.inputs.iter().chain(recurrent.iter().flatten());
        let at_once = pool.and_then(|pool| match self.features[..] {
            [_, h, w] => pool.side_by_side([h, w]).map(|windows| (*pool, windows)),
            _ => None,
        });
        let neurons = Neurons { scan, conv2d: before.conv2d, norm: before.norm, pool: at_once };
        let y = e.neuron(&self.name, neurons, &inputs.collect::<Vec<_>>());
        match pool {
            Some(pool) if at_once.is_none() => e.apply(Box::new(*pool), &[&y]),
            _ => y,
        }
    }
}
