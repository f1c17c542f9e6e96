//! Checks for authors of ops and neurons: gradients and Hessian products against differences in `f64`, symmetry of the
//! surrogate Hessian.
//!
//! [`cases`] lists every op and neuron of the workspace's core; a test compares it with the source, so that a new one
//! without a check fails.

mod cases;

pub use cases::cases;

use snn_core::op::{Backward, Op, Saved};
use snn_core::rng::counter_uniform;
use snn_core::{Dual, Scalar, Tensor};

/// A dual number in one direction, in double precision.
pub type Dual64 = Dual<f64, 1>;

/// An op at a setting, in both scalar types that checks need, with inputs to try it on.
#[derive(Debug)]
pub struct OpCase {
    /// Name of the op's type, and what distinguishes this setting.
    pub name: String,
    /// The op on real numbers.
    pub real: Box<dyn Op<f64>>,
    /// The op on dual numbers.
    pub dual: Box<dyn Op<Dual64>>,
    /// The inputs.
    pub inputs: Vec<Tensor<f64>>,
    /// What may be compared with differences.
    pub smoothness: Smoothness,
}

/// Whether an op's derivatives are those of its forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Smoothness {
    /// Derivatives are those of the forward: differences of values and of gradients must agree with them.
    Smooth,
    /// Derivatives are surrogates: only the symmetry of the second one can be checked.
    Surrogate,
}

/// A check that failed.
#[derive(Debug, thiserror::Error)]
#[error("{case}: {quantity} of input {input} along direction {direction}: {got:e}, expected {want:e}")]
pub struct CheckError {
    /// The case.
    pub case: String,
    /// What was compared.
    pub quantity: &'static str,
    /// The input that was varied.
    pub input: usize,
    /// Number of the random direction.
    pub direction: u64,
    /// What the op said.
    pub got: f64,
    /// What it should have said.
    pub want: f64,
}

const STEP: f64 = 1e-6;
const TOLERANCE: f64 = 2e-6;
const DIRECTIONS: u64 = 4;

impl OpCase {
    /// All checks that apply.
    ///
    /// # Errors
    /// The first comparison that fails.
    pub fn check(&self) -> Result<(), CheckError> {
        if self.smoothness == Smoothness::Smooth {
            self.check_gradient()?;
            self.check_hessian_product()?;
        }
        self.check_symmetry()
    }

    /// The backward against central differences of the forward.
    ///
    /// # Errors
    /// The first comparison that fails.
    pub fn check_gradient(&self) -> Result<(), CheckError> {
        let gradient = gradient(self.real.as_ref(), &self.inputs);
        self.each_direction("gradient", |input, v| {
            let value = |h: f64| weighted_output(self.real.as_ref(), &shifted(&self.inputs, input, v, h));
            let want = (value(STEP) - value(-STEP)) / (2.0 * STEP);
            (inner(&gradient[input], v), want)
        })
    }

    /// The tangent of the backward on dual numbers against central differences of the backward.
    ///
    /// # Errors
    /// The first comparison that fails.
    pub fn check_hessian_product(&self) -> Result<(), CheckError> {
        for other in 0..self.inputs.len() {
            let u = direction(&self.inputs[other], 99);
            self.each_direction("Hessian product", |input, v| {
                let product = self.hessian_product(input, v);
                let at = |h: f64| gradient(self.real.as_ref(), &shifted(&self.inputs, input, v, h));
                let want = (inner(&at(STEP)[other], &u) - inner(&at(-STEP)[other], &u)) / (2.0 * STEP);
                (inner(&product[other], &u), want)
            })?;
        }
        Ok(())
    }

    /// `uᵀ·H·v = vᵀ·H·u`, which holds for derivatives that belong to one 2-jet.
    ///
    /// # Errors
    /// The first comparison that fails.
    pub fn check_symmetry(&self) -> Result<(), CheckError> {
        for other in 0..self.inputs.len() {
            let u = direction(&self.inputs[other], 77);
            let hu = self.hessian_product(other, &u);
            self.each_direction("symmetry", |input, v| {
                (inner(&self.hessian_product(input, v)[other], &u), inner(&hu[input], v))
            })?;
        }
        Ok(())
    }

    /// The product of the Hessian of the weighted output with the direction `v` of one input, for each input.
    fn hessian_product(&self, input: usize, v: &Tensor<f64>) -> Vec<Tensor<f64>> {
        let dual: Vec<Tensor<Dual64>> = (0..self.inputs.len())
            .map(|i| {
                let x = &self.inputs[i];
                if i == input { x.zip(v, |x, v| Dual64::variable(x, [v])) } else { x.cast() }
            })
            .collect();
        gradient(self.dual.as_ref(), &dual).iter().map(|g| g.map(|g| g.tangent(0))).collect()
    }

    fn each_direction(
        &self,
        quantity: &'static str,
        compare: impl Fn(usize, &Tensor<f64>) -> (f64, f64),
    ) -> Result<(), CheckError> {
        for input in 0..self.inputs.len() {
            for seed in 0..DIRECTIONS {
                let (got, want) = compare(input, &direction(&self.inputs[input], seed));
                if (got - want).abs() > TOLERANCE * (1.0 + want.abs()) {
                    let case = self.name.clone();
                    return Err(CheckError { case, quantity, input, direction: seed, got, want });
                }
            }
        }
        Ok(())
    }
}

/// Fixed pseudo-random numbers in (−1, 1), as cotangents and directions.
fn noise(shape: &[usize], seed: u64) -> Tensor<f64> {
    let n: usize = shape.iter().product();
    Tensor::new(shape, (0..n as u64).map(|i| f64::from(counter_uniform(seed, i)) * 2.0 - 1.0).collect())
}

fn direction(x: &Tensor<f64>, seed: u64) -> Tensor<f64> {
    noise(x.shape(), 1000 + seed)
}

fn inner(a: &Tensor<f64>, b: &Tensor<f64>) -> f64 {
    crate::grads::dot(a, b)
}

fn shifted(inputs: &[Tensor<f64>], input: usize, v: &Tensor<f64>, h: f64) -> Vec<Tensor<f64>> {
    let mut inputs = inputs.to_vec();
    inputs[input] = inputs[input].zip(v, |x, v| x + h * v);
    inputs
}

/// A fixed random combination of the outputs, the scalar whose derivatives are checked. Quadratic in the outputs, so that
/// also linear ops have a Hessian to check.
fn weighted_output(op: &dyn Op<f64>, inputs: &[Tensor<f64>]) -> f64 {
    let y = op.forward(&inputs.iter().collect::<Vec<_>>(), &mut Saved::discarding());
    let weights = noise(y.shape(), 5);
    y.as_slice().iter().zip(weights.as_slice()).map(|(y, w)| w * (y + 0.5 * y * y)).sum()
}

/// Gradient of [`weighted_output`] by every input.
fn gradient<S: Scalar>(op: &dyn Op<S>, inputs: &[Tensor<S>]) -> Vec<Tensor<S>> {
    let x: Vec<&Tensor<S>> = inputs.iter().collect();
    let mut saved = Saved::keeping();
    let y = op.forward(&x, &mut saved);
    let gy = y.zip(&noise(y.shape(), 5), |y, w| S::from_f64(w) * (S::ONE + y));
    let need = vec![true; x.len()];
    let grads = op.backward(&Backward { x: &x, y: &y, saved: &saved, gy: &gy, need: &need });
    grads.into_iter().zip(&x).map(|(g, x)| g.unwrap_or_else(|| Tensor::zeros(x.shape()))).collect()
}

#[cfg(test)]
mod tests;
