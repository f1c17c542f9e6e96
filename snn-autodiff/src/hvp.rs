//! Exact curvature products: the Hessian and the Gauss-Newton matrix times a vector.
//!
//! A Hessian-vector product is the training code run on dual numbers: parameters are read as `w + Σ εₖ vₖ`, and lane `k`
//! of the gradient is `H·vₖ` (forward over reverse; Pearlmutter 1994). With hard spikes this is the *surrogate Hessian*:
//! the Hessian of the network whose spikes are replaced by their 2-jets (value, σ′, σ″). It is symmetric, it is what
//! double backward gives in PyTorch when the surrogate is written in differentiable operations, and it is *not* what
//! finite differences of surrogate gradients converge to.

use crate::grads::Grads;
use crate::tape::Tape;
use snn_core::exec::Eager;
use snn_core::loss::Loss;
use snn_core::op::{Backward, Saved};
use snn_core::{Dual, Exec, Module, Param, Pass, Real, Scalar, Tensor};

/// A batch with its labels, and the number that its summed loss is divided by.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// `[T, B, features…]`.
    pub x: &'a Tensor<f32>,
    /// One label for each of the `B` samples.
    pub labels: &'a [usize],
    /// Number of samples that the loss is averaged over; `B` unless the batch is a part of a larger one.
    pub normalizer: usize,
}

/// Loss and gradient of a batch.
pub fn gradient<S: Scalar, M: Module>(
    net: &M,
    loss: &Loss,
    sample: Sample<'_>,
    pass: &Pass,
    mut tape: Tape<'_, S>,
) -> (S, Grads<S>) {
    let x = tape.input(sample.x);
    let y = net.forward(&mut tape, &x, pass);
    let loss = tape.apply(loss.op(sample.labels, sample.normalizer), &[&y]);
    (tape.value(loss).item(), tape.backward(loss))
}

/// `H·vₖ` for `K` directions at once, with the loss and its gradient as by-products of the same pass.
#[derive(Clone, Debug)]
pub struct Hvp<T, const K: usize> {
    /// The loss.
    pub loss: T,
    /// Its gradient.
    pub grads: Grads<T>,
    /// The products, one for each direction.
    pub products: [Grads<T>; K],
}

/// Products of the Hessian of the loss by the parameters with `K` directions. Parameters without a tensor in a
/// direction count as zero there.
///
/// `T` is the precision; `f64` for checks. The result of a lane does not depend on `K`.
///
/// # Panics
/// If a direction's tensor has another shape than its parameter.
pub fn hvp<T: Real, M: Module, const K: usize>(
    net: &M,
    loss: &Loss,
    sample: Sample<'_>,
    pass: &Pass,
    directions: &[Grads<T>; K],
) -> Hvp<T, K> {
    let tape = Tape::<Dual<T, K>>::with_params(Box::new(|p| dual_param(p, directions)));
    let (loss, grads) = gradient(net, loss, sample, pass, tape);
    Hvp {
        loss: loss.value(),
        products: std::array::from_fn(|k| grads.map(|g| g.tangent(k))),
        grads: grads.map(Scalar::value),
    }
}

/// Products of the generalized Gauss-Newton matrix `Jᵀ·H_L·J` with `K` directions, where `J` is the (surrogate) Jacobian
/// of the outputs and `H_L` the Hessian of the loss by the outputs. Positive semidefinite for convex losses.
///
/// A forward pass on dual numbers gives `J·v`, the backward of the loss on those gives `H_L·J·v`, and one backward over
/// the tape for each direction gives the product (Schraudolph 2002).
///
/// # Panics
/// If a direction's tensor has another shape than its parameter.
pub fn ggn_vp<T: Real, M: Module, const K: usize>(
    net: &M,
    loss: &Loss,
    sample: Sample<'_>,
    pass: &Pass,
    directions: &[Grads<T>; K],
) -> [Grads<T>; K] {
    let mut forward = Eager::<Dual<T, K>>::with_params(Box::new(|p| dual_param(p, directions)));
    let x = forward.input(sample.x);
    let y = net.forward(&mut forward, &x, pass);
    let op = loss.op::<Dual<T, K>>(sample.labels, sample.normalizer);
    let mut saved = Saved::keeping();
    let value = op.forward(&[&y], &mut saved);
    let gy = Tensor::full(value.shape(), Dual::ONE);
    let ctx = Backward { x: &[&y], y: &value, saved: &saved, gy: &gy, need: &[true] };
    let by_output = op.backward(&ctx).into_iter().flatten().next();
    let by_output = by_output.unwrap_or_else(|| Tensor::zeros(y.shape()));

    let mut tape = Tape::<T>::new();
    let x = tape.input(sample.x);
    let y = net.forward(&mut tape, &x, pass);
    std::array::from_fn(|k| tape.backward_from(y, by_output.map(|g| g.tangent(k))))
}

/// The parameter as `w + Σ εₖ vₖ`.
fn dual_param<T: Real, const K: usize>(p: &Param, directions: &[Grads<T>; K]) -> Tensor<Dual<T, K>> {
    let lanes: [Option<&[T]>; K] = std::array::from_fn(|k| {
        let direction = directions[k].get(&p.name)?;
        assert_eq!(direction.shape(), p.value.shape(), "direction for `{}`", p.name);
        Some(direction.as_slice())
    });
    let tangent = |k: usize, i: usize| lanes[k].map_or(T::ZERO, |d| d[i]);
    let entry = |(i, &w): (usize, &f32)| {
        Dual::variable(T::of_f64(f64::from(w)), std::array::from_fn(|k| tangent(k, i)))
    };
    Tensor::new(p.value.shape(), p.value.as_slice().iter().enumerate().map(entry).collect())
}
