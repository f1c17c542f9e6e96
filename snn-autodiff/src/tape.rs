//! [`Tape`]: an interpreter that records what it computes, to walk back over it.

use crate::grads::Grads;
use snn_core::exec::{Exec, ParamReader};
use snn_core::op::{Backward, Op, Saved};
use snn_core::{Param, Scalar, Tensor};
use std::collections::BTreeMap;

/// Records the ops of one forward pass. The order of recording is the order of computation, so that the backward is one
/// loop in reverse.
///
/// On `f32` it trains, on `f64` it checks gradients, on dual numbers its backward yields Hessian-vector products.
///
/// ```
/// use snn_autodiff::Tape;
/// use snn_core::ops::Mul;
/// use snn_core::{Exec, Param, Role, Tensor};
///
/// let w = Param::new("w", Tensor::new(&[2], vec![3.0, -1.0]), Role::Bias);
/// let mut tape = Tape::<f64>::new();
/// let v = tape.param(&w);
/// let y = tape.apply(Box::new(Mul), &[&v, &v]); // w²
/// let grads = tape.backward_from(y, Tensor::full(&[2], 1.0));
/// assert_eq!(grads.get("w").map(Tensor::as_slice), Some(&[6.0, -2.0][..]));
/// ```
pub struct Tape<'a, S: Scalar> {
    nodes: Vec<Node<S>>,
    leaves: Vec<(String, Var)>,
    recorded: Vec<(String, Var)>,
    params: ParamReader<'a, S>,
    /// Found before, to be taken as they are.
    readings: Option<&'a BTreeMap<String, Tensor<S>>>,
    /// Found by this tape.
    read_through: Vec<(String, Var)>,
}

/// A value on a tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Var(usize);

impl Var {
    pub(crate) fn index(self) -> usize {
        self.0
    }
}

/// Calls the backward of an op: given its value, its inputs, the op and its context, the gradients of the inputs.
pub(crate) type StepBack<'f, S> =
    dyn FnMut(Var, &[Var], &dyn Op<S>, &Backward<'_, S>) -> Vec<Option<Tensor<S>>> + 'f;

struct Node<S: Scalar> {
    op: Option<Box<dyn Op<S>>>,
    inputs: Vec<Var>,
    value: Tensor<S>,
    saved: Saved<S>,
    /// Whether a trained parameter is among its ancestors.
    needs_grad: bool,
    /// Whether it is an input or computed from one: there is one for each sample then.
    of_samples: bool,
}

impl<S: Scalar> std::fmt::Debug for Tape<'_, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tape").field("nodes", &self.nodes.len()).finish_non_exhaustive()
    }
}

impl<S: Scalar> Default for Tape<'_, S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'a, S: Scalar> Tape<'a, S> {
    /// An empty tape that reads parameters as they are.
    #[must_use]
    pub fn new() -> Self {
        Self::with_params(Box::new(|p| p.value.cast()))
    }

    /// An empty tape that reads parameters through `params`: shifted ones for finite differences, dual ones for
    /// Hessian-vector products.
    #[must_use]
    pub fn with_params(params: ParamReader<'a, S>) -> Self {
        let (nodes, leaves, recorded, read_through) = Default::default();
        Self { nodes, leaves, recorded, params, readings: None, read_through }
    }

    /// An empty tape that takes what parameters are read as from `readings`, and keeps gradients by these values under
    /// the names of the parameters.
    pub(crate) fn reading(readings: &'a BTreeMap<String, Tensor<S>>) -> Self {
        Self { readings: Some(readings), ..Self::new() }
    }

    /// Names of the parameters that were read through ops, with what they were read as.
    pub(crate) fn read_through(&self) -> &[(String, Var)] {
        &self.read_through
    }

    /// The tensor behind a handle.
    #[must_use]
    pub fn value(&self, var: Var) -> &Tensor<S> {
        &self.nodes[var.0].value
    }

    /// Bytes of the inputs, of all values computed from them, and of what ops saved for their backward; parameters, and
    /// what is computed from them alone, do not count.
    #[must_use]
    pub fn activation_bytes(&self) -> usize {
        (0..self.nodes.len()).filter(|&i| self.nodes[i].of_samples).map(|i| self.bytes_of(Var(i))).sum()
    }

    /// Bytes of a value and of what its op saved.
    pub(crate) fn bytes_of(&self, var: Var) -> usize {
        let node = &self.nodes[var.0];
        node.value.len() * size_of::<S>() + node.saved.bytes()
    }

    /// What [`Exec::record`] was told, in order.
    pub fn recorded(&self) -> impl Iterator<Item = (&str, &Tensor<S>)> {
        self.recorded.iter().map(|(name, var)| (name.as_str(), self.value(*var)))
    }

    /// Gradients of the scalar `loss` by every trained parameter that was read.
    ///
    /// # Panics
    /// If `loss` does not have exactly one entry.
    #[must_use]
    pub fn backward(&self, loss: Var) -> Grads<S> {
        assert_eq!(self.value(loss).len(), 1, "backward: the loss has shape {:?}", self.value(loss).shape());
        self.backward_from(loss, Tensor::full(self.value(loss).shape(), S::ONE))
    }

    /// Gradients of `Σ seed · y` by every trained parameter that was read: a vector-Jacobian product.
    ///
    /// # Panics
    /// If `seed` does not have the shape of `y`.
    #[must_use]
    pub fn backward_from(&self, y: Var, seed: Tensor<S>) -> Grads<S> {
        self.backward_from_all(vec![(y, seed)])
    }

    /// [`Tape::backward_from`] for the sum over several values.
    pub(crate) fn backward_from_all(&self, seeds: Vec<(Var, Tensor<S>)>) -> Grads<S> {
        self.walk_back(seeds, &mut |_, _, op, ctx| op.backward(ctx))
    }

    /// [`Tape::backward_from_all`] with the backward of each op called by `step(value, inputs, op, context)`.
    pub(crate) fn walk_back(&self, seeds: Vec<(Var, Tensor<S>)>, step: &mut StepBack<'_, S>) -> Grads<S> {
        let mut slots: Vec<Option<Tensor<S>>> = self.nodes.iter().map(|_| None).collect();
        for (y, seed) in seeds {
            assert_eq!(self.value(y).shape(), seed.shape(), "backward_from: shape of the seed");
            slots[y.0] = Some(seed);
        }
        let mut grads = Grads::new();
        for i in (0..self.nodes.len()).rev().filter(|&i| self.nodes[i].needs_grad) {
            let node = &self.nodes[i];
            let Some(op) = &node.op else { continue };
            if let Some(gy) = slots[i].take() {
                let x: Vec<&Tensor<S>> = node.inputs.iter().map(|v| self.value(*v)).collect();
                let need: Vec<bool> = node.inputs.iter().map(|v| self.nodes[v.0].needs_grad).collect();
                let ctx = Backward { x: &x, y: &node.value, saved: &node.saved, gy: &gy, need: &need };
                let found = step(Var(i), &node.inputs, op.as_ref(), &ctx);
                self.add_into(&mut slots, &node.inputs, found);
            }
        }
        for (name, var) in &self.leaves {
            let grad = slots[var.0].take().unwrap_or_else(|| Tensor::zeros(self.value(*var).shape()));
            grads.add(name, grad);
        }
        grads
    }

    /// Adds gradients of the inputs of a node into their slots.
    fn add_into(&self, slots: &mut [Option<Tensor<S>>], inputs: &[Var], grads: Vec<Option<Tensor<S>>>) {
        for (input, grad) in inputs.iter().zip(grads) {
            if let (Some(grad), true) = (grad, self.nodes[input.0].needs_grad) {
                match &mut slots[input.0] {
                    Some(sum) => sum.add_assign(&grad),
                    slot => *slot = Some(grad),
                }
            }
        }
    }

    fn push(&mut self, node: Node<S>) -> Var {
        self.nodes.push(node);
        Var(self.nodes.len() - 1)
    }

    /// A leaf whose gradient, if wanted, is that of `p`.
    fn param_leaf(&mut self, p: &Param, value: Tensor<S>, needs_grad: bool) -> Var {
        let var = self.leaf(value, needs_grad, false);
        if needs_grad {
            self.leaves.push((p.name.clone(), var));
        }
        var
    }

    fn leaf(&mut self, value: Tensor<S>, needs_grad: bool, of_samples: bool) -> Var {
        let (inputs, saved) = (Vec::new(), Saved::discarding());
        self.push(Node { op: None, inputs, value, saved, needs_grad, of_samples })
    }
}

impl<S: Scalar> Exec for Tape<'_, S> {
    type S = S;
    type Value = Var;

    fn input(&mut self, x: &Tensor<f32>) -> Var {
        self.leaf(x.cast(), false, true)
    }

    fn param(&mut self, p: &Param) -> Var {
        self.param_leaf(p, (self.params)(p), p.is_trained())
    }

    fn param_through(&mut self, p: &Param, op: Box<dyn Op<S>>, others: &[&Param]) -> Var {
        let params = || [p].into_iter().chain(others.iter().copied());
        if let Some(value) = self.readings.and_then(|readings| readings.get(&p.name)) {
            return self.param_leaf(p, value.clone(), params().any(Param::is_trained));
        }
        let values: Vec<Var> = params().map(|p| self.param(p)).collect();
        let var = self.apply(op, &values.iter().collect::<Vec<_>>());
        self.read_through.push((p.name.clone(), var));
        var
    }

    fn apply(&mut self, op: Box<dyn Op<S>>, x: &[&Var]) -> Var {
        let inputs: Vec<Var> = x.iter().map(|v| **v).collect();
        let needs_grad = inputs.iter().any(|v| self.nodes[v.0].needs_grad);
        let of_samples = inputs.iter().any(|v| self.nodes[v.0].of_samples);
        let mut saved = if needs_grad { Saved::keeping() } else { Saved::discarding() };
        let values: Vec<&Tensor<S>> = inputs.iter().map(|v| self.value(*v)).collect();
        let value = op.forward(&values, &mut saved);
        self.push(Node { op: Some(op), inputs, value, saved, needs_grad, of_samples })
    }

    fn detach(&mut self, x: &Var) -> Var {
        let (value, of_samples) = (self.value(*x).map(S::detach), self.nodes[x.0].of_samples);
        self.leaf(value, false, of_samples)
    }

    fn record(&mut self, name: &str, value: &Var) {
        self.recorded.push((name.to_owned(), *value));
    }
}
