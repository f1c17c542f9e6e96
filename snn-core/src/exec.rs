//! [`Exec`]: how a network is interpreted.
//!
//! A network is described once, as calls of these methods. [`Eager`] computes values (inference); a tape records them
//! for gradients; the same calls on dual numbers give Hessian-vector products; wrappers read weights and membranes
//! through quantizers or count what is done.

use crate::kernels::pool::SideBySide;
use crate::module::Param;
use crate::neuron::{Around, NeuronOp, StateMap};
use crate::op::{Op, Saved};
use crate::ops::{Conv2d, Detach, Norm, Pool2d};
use crate::scalar::Scalar;
use crate::tensor::Tensor;
use std::marker::PhantomData;
use std::sync::Arc;

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

    /// Runs the neuron layer `name` with what stands around it. Interpreters that treat membranes (quantizers, recorders)
    /// override this.
    fn neuron(&mut self, name: &str, neurons: Neurons<Self::S>, x: &[&Self::Value]) -> Self::Value {
        let _ = name;
        neurons.apply(self, x)
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

/// A layer of neurons, with what can be worked on together with it.
///
/// Inputs: those of the convolution, if there is one, or the current; of the normalization, if there is one, those behind the
/// first; then what else the neurons take.
#[derive(Debug)]
pub struct Neurons<S: Scalar> {
    /// The neurons.
    pub scan: Box<dyn NeuronOp<S>>,
    /// The convolution that the current comes from, and how many inputs it has.
    pub conv2d: Option<(Conv2d, usize)>,
    /// Normalization of the current.
    pub norm: Option<Norm>,
    /// Max-pooling of the output, as an op of its own and as windows side by side.
    pub pool: Option<(Pool2d, SideBySide)>,
}

impl<S: Scalar> Neurons<S> {
    /// These neurons alone.
    #[must_use]
    pub fn alone(scan: Box<dyn NeuronOp<S>>) -> Self {
        Self { scan, conv2d: None, norm: None, pool: None }
    }

    /// The same neurons with their state passed through `map` in every step.
    #[must_use]
    pub fn with_state_map(self, map: Arc<dyn StateMap<S>>) -> Self {
        Self { scan: self.scan.with_state_map(map), ..self }
    }

    /// Applies all of it, as one op if that is possible.
    pub fn apply<E: Exec<S = S> + ?Sized>(self, e: &mut E, x: &[&E::Value]) -> E::Value {
        let around = Around { norm: self.norm, windows: self.pool.map(|(_, windows)| windows) };
        let all = match &self.conv2d {
            None => self.scan.with_around(around),
            Some((conv2d, _)) => self.scan.with_stem(conv2d, around),
        };
        if let Some(all) = all {
            return e.apply(all, x);
        }
        if self.conv2d.is_some() {
            return self.behind_conv2d(e, x, Self::apply);
        }
        self.apply_apart(e, x, |e, scan, x| e.apply(scan, x))
    }

    /// Applies the convolution, if there is one, and calls `rest` with what is left and its inputs.
    fn behind_conv2d<E: Exec<S = S> + ?Sized>(
        mut self,
        e: &mut E,
        x: &[&E::Value],
        rest: impl FnOnce(Self, &mut E, &[&E::Value]) -> E::Value,
    ) -> E::Value {
        let Some((conv2d, n_inputs)) = self.conv2d.take() else { return rest(self, e, x) };
        let (of_conv, others) = x.split_at(n_inputs);
        let cur = e.apply(Box::new(conv2d), of_conv);
        rest(self, e, &[&[&cur], others].concat())
    }

    /// Applies one after the other, and the neurons by `run`: for interpreters that want to see their output.
    pub fn apply_apart<E: Exec<S = S> + ?Sized>(
        self,
        e: &mut E,
        x: &[&E::Value],
        run: impl FnOnce(&mut E, Box<dyn NeuronOp<S>>, &[&E::Value]) -> E::Value,
    ) -> E::Value {
        self.behind_conv2d(e, x, |this, e, x| {
            let spikes = match this.norm {
                None => run(e, this.scan, x),
                Some(norm) => {
                    let (normalized, others) = x.split_at(Norm::N_INPUTS);
                    let cur = e.apply(norm.op(), normalized);
                    run(e, this.scan, &[&[&cur], others].concat())
                }
            };
            match this.pool {
                None => spikes,
                Some((pool, _)) => e.apply(Box::new(pool), &[&spikes]),
            }
        })
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
}
