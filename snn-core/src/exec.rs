//! [`Exec`]: how a network is interpreted.
//!
//! A network is described once, as calls of these methods. [`Eager`] computes values (inference); a tape records them
//! for gradients; the same calls on dual numbers give Hessian-vector products; wrappers read weights and membranes
//! through quantizers or count what is done.

use crate::kernels::pool::SideBySide;
use crate::module::Param;
use crate::neuron::NeuronOp;
use crate::op::{Op, Saved};
use crate::ops::{Detach, Pool2d};
use crate::scalar::Scalar;
use crate::tensor::Tensor;
use std::marker::PhantomData;

/// An interpreter of networks.
pub trait Exec {
    /// What its tensors hold.
    type S: Scalar;
    /// Its handle of a tensor.
    type Value: Clone;

    /// Takes data in, as a constant.
    fn input(&mut self, x: &Tensor<f32>) -> Self::Value;

    /// Reads a parameter.
    fn param(&mut self, p: &Param) -> Self::Value;

    /// Reads a parameter through an op of parameters alone, such as a quantizer: the value of `op` on `p` and `others`,
    /// which has the shape of `p` and is read in its place everywhere. Interpreters that run several passes on the same
    /// parameters compute it once ([`Module::read_params`](crate::Module::read_params)).
    fn param_through(&mut self, p: &Param, op: Box<dyn Op<Self::S>>, others: &[&Param]) -> Self::Value {
        let values: Vec<Self::Value> = [p].iter().chain(others).map(|p| self.param(p)).collect();
        self.apply(op, &values.iter().collect::<Vec<_>>())
    }

    /// Applies an op.
    fn apply(&mut self, op: Box<dyn Op<Self::S>>, x: &[&Self::Value]) -> Self::Value;

    /// Runs the neuron layer `name`. Interpreters that treat membranes (quantizers, recorders) override this.
    fn neuron(&mut self, name: &str, scan: Box<dyn NeuronOp<Self::S>>, x: &[&Self::Value]) -> Self::Value {
        let _ = name;
        self.apply(scan, x)
    }

    /// Runs the neuron layer `name` and pools its output. Interpreters that need not see the output itself override this
    /// with [`neuron_and_pool`].
    fn neuron_pooled(
        &mut self,
        name: &str,
        scan: Box<dyn NeuronOp<Self::S>>,
        pool: Pooling,
        x: &[&Self::Value],
    ) -> Self::Value {
        let spikes = self.neuron(name, scan, x);
        self.apply(Box::new(pool.pool), &[&spikes])
    }

    /// The same value, as a constant: no gradient flows through it.
    fn detach(&mut self, x: &Self::Value) -> Self::Value {
        self.apply(Box::new(Detach), &[x])
    }

    /// Names an intermediate value that somebody may want to see (batch statistics, for instance).
    fn record(&mut self, name: &str, value: &Self::Value) {
        let _ = (name, value);
    }
}

/// Max-pooling with windows side by side.
#[derive(Clone, Copy, Debug)]
pub struct Pooling {
    /// As an op of its own.
    pub pool: Pool2d,
    /// The windows.
    pub windows: SideBySide,
}

/// Applies neurons and the pooling of their output, as one op if that is possible.
pub fn neuron_and_pool<E: Exec>(
    e: &mut E,
    scan: Box<dyn NeuronOp<E::S>>,
    pool: Pooling,
    x: &[&E::Value],
) -> E::Value {
    match scan.with_max_pool(pool.windows) {
        Some(both) => e.apply(both, x),
        None => {
            let spikes = e.apply(scan, x);
            e.apply(Box::new(pool.pool), &[&spikes])
        }
    }
}

/// Inference: computes each value at once and keeps nothing.
///
/// On dual numbers this is forward-mode differentiation: give parameters tangents with [`Eager::with_params`].
pub struct Eager<'a, S = f32> {
    params: ParamReader<'a, S>,
    scalar: PhantomData<S>,
}

/// How an interpreter turns a parameter into a tensor of its scalar type.
pub type ParamReader<'a, S> = Box<dyn Fn(&Param) -> Tensor<S> + 'a>;

impl<S> std::fmt::Debug for Eager<'_, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Eager").finish_non_exhaustive()
    }
}

impl<'a, S: Scalar> Eager<'a, S> {
    /// Reads parameters as constants.
    #[must_use]
    pub fn new() -> Self {
        Self::with_params(Box::new(|p| p.value.cast()))
    }

    /// Reads parameters through `params`.
    #[must_use]
    pub fn with_params(params: ParamReader<'a, S>) -> Self {
        Self { params, scalar: PhantomData }
    }
}

impl<S: Scalar> Default for Eager<'_, S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Scalar> Exec for Eager<'_, S> {
    type S = S;
    type Value = Tensor<S>;

    fn input(&mut self, x: &Tensor<f32>) -> Tensor<S> {
        x.cast()
    }

    fn param(&mut self, p: &Param) -> Tensor<S> {
        (self.params)(p)
    }

    fn apply(&mut self, op: Box<dyn Op<S>>, x: &[&Tensor<S>]) -> Tensor<S> {
        op.forward(x, &mut Saved::discarding())
    }

    fn neuron_pooled(
        &mut self,
        _name: &str,
        scan: Box<dyn NeuronOp<S>>,
        pool: Pooling,
        x: &[&Tensor<S>],
    ) -> Tensor<S> {
        neuron_and_pool(self, scan, pool, x)
    }
}
