//! [`Op`]: a function of tensors with its backward rule.

use crate::kernels::pattern::Pattern;
use crate::scalar::Scalar;
use crate::tensor::Tensor;
use std::fmt::Debug;

/// A pure function of tensors, with its backward rule beside it.
///
/// Both are generic in the scalar, which is all that second derivatives need: on dual numbers the backward of an op is
/// differentiated by the number type. Randomness comes in through a field of the op (a seed), never from outside.
///
/// Inside an op a wrong shape is a bug of the caller: ops panic with their name and the shapes. Layers check shapes
/// once, when a network is built.
pub trait Op<S: Scalar>: Debug + Send + Sync {
    /// Short name for messages and profiles.
    fn name(&self) -> &'static str;

    /// The value. What the backward needs besides inputs and output is put into `saved`.
    ///
    /// # Panics
    /// If the inputs do not have the shapes that the op documents.
    fn forward(&self, x: &[&Tensor<S>], saved: &mut Saved<S>) -> Tensor<S>;

    /// The gradient of each input for which `ctx.need` asks, given that of the output.
    fn backward(&self, ctx: &Backward<'_, S>) -> Vec<Option<Tensor<S>>>;

    /// Synaptic operations of this call, for ops with synapses.
    fn synops(&self, _x: &[&Tensor<S>]) -> SynOps {
        SynOps::default()
    }
}

/// What [`Op::backward`] is given.
#[derive(Debug)]
pub struct Backward<'a, S> {
    /// The inputs of the forward call.
    pub x: &'a [&'a Tensor<S>],
    /// Its output.
    pub y: &'a Tensor<S>,
    /// What it saved.
    pub saved: &'a Saved<S>,
    /// Gradient of the loss by the output.
    pub gy: &'a Tensor<S>,
    /// For each input, whether its gradient is wanted.
    pub need: &'a [bool],
}

impl<S: Scalar> Backward<'_, S> {
    /// `f()` if the gradient of input `i` is wanted.
    pub fn grad(&self, i: usize, f: impl FnOnce() -> Tensor<S>) -> Option<Tensor<S>> {
        self.need[i].then(f)
    }
}

/// Tensors and indices that a forward call keeps for its backward. Under inference it keeps nothing.
#[derive(Debug, Default)]
pub struct Saved<S> {
    keep: bool,
    tensors: Vec<Tensor<S>>,
    indices: Vec<u32>,
    small_indices: Vec<u8>,
    pattern: Option<Pattern>,
}

impl<S: Scalar> Saved<S> {
    /// Keeps what it is given.
    #[must_use]
    pub fn keeping() -> Self {
        Self { keep: true, ..Self::discarding() }
    }

    /// Keeps nothing.
    #[must_use]
    pub fn discarding() -> Self {
        let (tensors, indices, small_indices) = Default::default();
        Self { keep: false, tensors, indices, small_indices, pattern: None }
    }

    /// True if there will be a backward call: an op may skip computing what it would only save.
    #[must_use]
    pub fn is_keeping(&self) -> bool {
        self.keep
    }

    /// Keeps a tensor.
    pub fn put(&mut self, tensor: Tensor<S>) {
        if self.keep {
            self.tensors.push(tensor);
        }
    }

    /// Keeps a list of indices.
    pub fn put_indices(&mut self, indices: Vec<u32>) {
        if self.keep {
            self.indices = indices;
        }
    }

    /// Keeps a list of small indices.
    pub fn put_small_indices(&mut self, indices: Vec<u8>) {
        if self.keep {
            self.small_indices = indices;
        }
    }

    /// Keeps which numbers of a matrix are not zero.
    pub fn put_pattern(&mut self, pattern: Option<Pattern>) {
        if self.keep {
            self.pattern = pattern;
        }
    }

    /// Bytes of what is kept.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let numbers: usize = self.tensors.iter().map(Tensor::len).sum();
        let indices = self.indices.len() * size_of::<u32>() + self.small_indices.len();
        numbers * size_of::<S>() + indices + self.pattern.as_ref().map_or(0, Pattern::bytes)
    }

    /// The `i`-th kept tensor.
    ///
    /// # Panics
    /// If fewer were kept: the forward call ran without saving.
    #[must_use]
    pub fn tensor(&self, i: usize) -> &Tensor<S> {
        &self.tensors[i]
    }

    /// The kept indices.
    #[must_use]
    pub fn indices(&self) -> &[u32] {
        &self.indices
    }

    /// The kept small indices.
    #[must_use]
    pub fn small_indices(&self) -> &[u8] {
        &self.small_indices
    }

    /// The kept pattern.
    #[must_use]
    pub fn pattern(&self) -> Option<&Pattern> {
        self.pattern.as_ref()
    }
}

/// Synaptic operations, for all samples and time steps of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SynOps {
    /// Products with a nonzero input: what an event-driven engine does.
    pub effective: u64,
    /// Products of a dense engine.
    pub dense: u64,
}

impl std::ops::AddAssign for SynOps {
    fn add_assign(&mut self, o: Self) {
        self.effective += o.effective;
        self.dense += o.dense;
    }
}
