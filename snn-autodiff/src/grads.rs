//! [`Grads`]: tensors keyed by parameter name.

use snn_core::{Scalar, Tensor};
use std::collections::BTreeMap;

/// A tensor for each parameter, by name: gradients, directions, Hessian-vector products. A vector space.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Grads<S = f32> {
    tensors: BTreeMap<String, Tensor<S>>,
}

impl<S: Scalar> Grads<S> {
    /// No tensors.
    #[must_use]
    pub fn new() -> Self {
        Self { tensors: BTreeMap::new() }
    }

    /// The tensor of a parameter.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Tensor<S>> {
        self.tensors.get(name)
    }

    /// Names and tensors, ordered by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor<S>)> {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// Sets the tensor of a parameter.
    pub fn insert(&mut self, name: impl Into<String>, tensor: Tensor<S>) {
        self.tensors.insert(name.into(), tensor);
    }

    /// Takes the tensor of a parameter out.
    pub(crate) fn take(&mut self, name: &str) -> Option<Tensor<S>> {
        self.tensors.remove(name)
    }

    /// Adds to the tensor of a parameter.
    ///
    /// # Panics
    /// If it is there with another shape.
    pub fn add(&mut self, name: &str, tensor: Tensor<S>) {
        match self.tensors.get_mut(name) {
            Some(sum) => sum.add_assign(&tensor),
            None => self.insert(name, tensor),
        }
    }

    /// Adds all tensors of another set.
    ///
    /// # Panics
    /// If a tensor is in both with different shapes.
    pub fn add_all(&mut self, other: Self) {
        for (name, tensor) in other.tensors {
            self.add(&name, tensor);
        }
    }

    /// Each tensor through `f`.
    #[must_use]
    pub fn map<R: Scalar>(&self, f: impl Fn(S) -> R) -> Grads<R> {
        Grads { tensors: self.tensors.iter().map(|(name, t)| (name.clone(), t.map(&f))).collect() }
    }

    /// Inner product over the parameters that are in both, summed in `f64`.
    #[must_use]
    pub fn dot(&self, other: &Self) -> f64 {
        let common = self.iter().filter_map(|(name, a)| other.get(name).map(|b| dot(a, b)));
        common.sum()
    }

    /// Euclidean norm over all tensors, summed in `f64`.
    #[must_use]
    pub fn norm(&self) -> f64 {
        self.dot(self).sqrt()
    }

    /// Multiplies everything by `factor`.
    pub fn scale(&mut self, factor: S) {
        for tensor in self.tensors.values_mut() {
            tensor.as_mut_slice().iter_mut().for_each(|x| *x *= factor);
        }
    }
}

/// Inner product of two tensors of one shape, summed in `f64`.
///
/// # Panics
/// If the numbers of entries differ.
#[must_use]
pub fn dot<S: Scalar>(a: &Tensor<S>, b: &Tensor<S>) -> f64 {
    assert_eq!(a.len(), b.len(), "dot: numbers of entries differ");
    a.as_slice().iter().zip(b.as_slice()).map(|(x, y)| x.to_f64() * y.to_f64()).sum()
}
