//! The curvature of the mean loss over a data set, as a linear operator on parameter space.
//!
//! It is that of the network as it infers: running statistics in batch normalization, no dropout. Samples are then
//! independent, and the products of micro-batches add up.

use crate::probe::ParamSet;
use rayon::prelude::*;
use snn_autodiff::fit::{BadBatch, DataError};
use snn_autodiff::{Batch, BatchSource, Grads, Sample, ggn_vp, hvp};
use snn_core::loss::Loss;
use snn_core::neuron::{Firing, ResetGrad};
use snn_core::surrogate::Surrogate;
use snn_core::{Module, Pass, Real, Tensor};
use std::collections::BTreeSet;
use std::ops::Range;

/// Which matrix stands for the curvature of the loss.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Curvature {
    /// The surrogate Hessian: that of the network whose spikes are replaced by their 2-jets (value, σ′, σ″). Symmetric;
    /// indefinite away from a minimum, so traces may be negative.
    #[default]
    Hessian,
    /// The generalized Gauss-Newton matrix `Jᵀ·H_L·J` with the surrogate Jacobian `J` of the outputs. Positive
    /// semidefinite for convex losses (Schraudolph, "Fast curvature matrix-vector products for second-order gradient
    /// descent", 2002).
    GaussNewton,
}

impl Curvature {
    /// The curvature with the conventions that its numbers depend on, to stand beside every one of them.
    ///
    /// ```
    /// use snn_core::neuron::Firing;
    /// use snn_hessian::Curvature;
    /// let text = Curvature::Hessian.describe(&Firing::default());
    /// assert_eq!(text, "surrogate Hessian (atan α=2, reset detached)");
    /// ```
    #[must_use]
    pub fn describe(self, firing: &Firing) -> String {
        let matrix = match self {
            Self::Hessian => "surrogate Hessian",
            Self::GaussNewton => "surrogate Gauss-Newton",
        };
        let reset = match firing.reset_grad {
            ResetGrad::Detached => "reset detached",
            ResetGrad::Through => "reset differentiated",
            ResetGrad::FrozenTerm => "reset term constant",
        };
        format!("{matrix} ({}, {reset})", describe_surrogate(firing.surrogate))
    }
}

fn describe_surrogate(surrogate: Surrogate) -> String {
    match surrogate {
        Surrogate::Atan { alpha } => format!("atan α={alpha}"),
        Surrogate::FastSigmoid { slope } => format!("fast sigmoid k={slope}"),
        Surrogate::Sigmoid { slope } => format!("sigmoid k={slope}"),
        Surrogate::Triangular { width } => format!("triangular w={width}"),
        Surrogate::Boxcar { width } => format!("boxcar w={width}"),
        Surrogate::Gaussian { std_dev } => format!("gaussian s={std_dev}"),
        other => format!("{other:?}"),
    }
}

/// Why curvature could not be measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CurvatureError {
    /// A setting outside its range.
    #[error("{field} is {value}, but must be {expected}")]
    Config {
        /// The field.
        field: &'static str,
        /// Its value.
        value: f64,
        /// What it must be.
        expected: &'static str,
    },
    /// A parameter that the network does not have, or does not train.
    #[error("the network has no parameter `{name}` that is trained")]
    UnknownParam {
        /// The name asked for.
        name: String,
    },
    /// No parameter to take the curvature by.
    #[error("the network has no parameters in the set that the curvature is taken by")]
    NoParams,
    /// More parameters than the full matrix is made for.
    #[error("the full matrix of {n_params} parameters was asked for, at most {limit} are allowed")]
    TooManyParams {
        /// The parameters.
        n_params: usize,
        /// The most allowed.
        limit: usize,
    },
    /// The data source has no samples.
    #[error("the data source has no samples")]
    NoData,
    /// A batch whose labels and samples differ in number, or without samples.
    #[error(transparent)]
    Batch(#[from] BadBatch),
    /// A product of the curvature with a vector is not finite, for parameters, data or a loss that are not, or too
    /// large for `f32`.
    #[error("curvature by `{tensor}` is {value}, expected a finite number")]
    NonFinite {
        /// The tensor.
        tensor: String,
        /// What was found.
        value: f64,
    },
    /// The data source failed.
    #[error("data: {0}")]
    Data(#[source] DataError),
}

/// A tensor's place in the vector of all parameters of a set.
#[derive(Debug, Clone, PartialEq)]
struct Place {
    name: String,
    shape: Vec<usize>,
    range: Range<usize>,
}

/// The order of parameter space: tensors in the network's order, each row-major.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Layout {
    places: Vec<Place>,
}

impl Layout {
    pub(crate) fn new<M: Module>(net: &M, params: &ParamSet) -> Result<Self, CurvatureError> {
        let mut places: Vec<Place> = Vec::new();
        net.visit_params(&mut |p| {
            if p.is_trained() && params.contains(p) && !p.value.is_empty() {
                let start = places.last().map_or(0, |place| place.range.end);
                let range = start..start + p.value.len();
                places.push(Place { name: p.name.clone(), shape: p.value.shape().to_vec(), range });
            }
        });
        if let ParamSet::Named(names) = params {
            let known: BTreeSet<&str> = places.iter().map(|place| place.name.as_str()).collect();
            if let Some(name) = names.iter().find(|name| !known.contains(name.as_str())) {
                return Err(CurvatureError::UnknownParam { name: name.clone() });
            }
        }
        if places.is_empty() { Err(CurvatureError::NoParams) } else { Ok(Self { places }) }
    }

    /// Names and ranges of the tensors.
    pub(crate) fn tensors(&self) -> impl ExactSizeIterator<Item = (&str, Range<usize>)> {
        self.places.iter().map(|place| (place.name.as_str(), place.range.clone()))
    }

    /// Number of parameters.
    pub(crate) fn len(&self) -> usize {
        self.places.last().map_or(0, |place| place.range.end)
    }

    /// A tensor for each parameter, from its name and number of entries.
    pub(crate) fn tensors_from<T: Real>(&self, entries: impl Fn(&str, usize) -> Vec<T>) -> Grads<T> {
        let mut tensors = Grads::new();
        for Place { name, shape, range } in &self.places {
            tensors.insert(name.as_str(), Tensor::new(shape, entries(name, range.len())));
        }
        tensors
    }

    /// A vector as tensors.
    pub(crate) fn unflatten(&self, vector: &[f64]) -> Grads<f64> {
        let mut tensors = Grads::new();
        for Place { name, shape, range } in &self.places {
            tensors.insert(name.as_str(), Tensor::new(shape, vector[range.clone()].to_vec()));
        }
        tensors
    }

    /// Tensors as a vector; zero where there is none.
    pub(crate) fn flatten(&self, tensors: &Grads<f64>) -> Vec<f64> {
        let entries = |place: &Place| match tensors.get(&place.name) {
            Some(tensor) => tensor.as_slice().to_vec(),
            None => vec![0.0; place.range.len()],
        };
        self.places.iter().flat_map(entries).collect()
    }
}

/// The curvature of the mean loss over all samples of a data source, by the parameters of a layout.
pub(crate) struct Operator<'a, M> {
    pub(crate) net: &'a M,
    pub(crate) loss: &'a Loss,
    pub(crate) data: &'a dyn BatchSource,
    pub(crate) curvature: Curvature,
    pub(crate) micro_batch: usize,
    pub(crate) layout: Layout,
}

impl<M: Module + Sync> Operator<'_, M> {
    /// Products of the curvature of the *summed* loss with `K` directions: `map` sees those of a micro-batch, on any
    /// thread, and `fold` what it makes of them, in the order of the data. Returns the number of samples.
    pub(crate) fn for_each_part<T: Real, R: Send, const K: usize>(
        &self,
        directions: &[Grads<T>; K],
        map: impl Fn(&[Grads<T>; K]) -> R + Sync,
        mut fold: impl FnMut(R),
    ) -> Result<usize, CurvatureError> {
        let mut n_samples = 0;
        for batch in self.data.batches(0) {
            let batch = batch.map_err(CurvatureError::Data)?;
            batch.check()?;
            let n = batch.labels.len();
            let parts: Vec<R> = (0..n.div_ceil(self.micro_batch))
                .into_par_iter()
                .map(|i| {
                    let part = batch.samples(i * self.micro_batch, self.micro_batch);
                    map(&self.products(&part, directions))
                })
                .collect();
            parts.into_iter().for_each(&mut fold);
            n_samples += n;
        }
        if n_samples == 0 { Err(CurvatureError::NoData) } else { Ok(n_samples) }
    }

    fn products<T: Real, const K: usize>(&self, part: &Batch, directions: &[Grads<T>; K]) -> [Grads<T>; K] {
        let sample = Sample { x: &part.x, labels: &part.labels, normalizer: 1 };
        let pass = Pass::inference();
        match self.curvature {
            Curvature::Hessian => hvp(self.net, self.loss, sample, &pass, directions).products,
            Curvature::GaussNewton => ggn_vp(self.net, self.loss, sample, &pass, directions),
        }
    }

    /// Products of the curvature of the mean loss with `K` vectors in the order of the layout.
    pub(crate) fn apply<const K: usize>(
        &self,
        vectors: &[Vec<f64>; K],
    ) -> Result<[Vec<f64>; K], CurvatureError> {
        let directions = std::array::from_fn(|k| self.layout.unflatten(&vectors[k]));
        let mut sums = std::array::from_fn(|_| vec![0.0; self.layout.len()]);
        let n_samples = self.for_each_part(
            &directions,
            |products: &[Grads<f64>; K]| products.each_ref().map(|p| self.layout.flatten(p)),
            |parts| sums.iter_mut().zip(&parts).for_each(|(sum, part)| add(sum, part)),
        )?;
        for sum in &mut sums {
            sum.iter_mut().for_each(|x| *x /= n_samples as f64);
            self.check_finite(sum)?;
        }
        Ok(sums)
    }

    fn check_finite(&self, vector: &[f64]) -> Result<(), CurvatureError> {
        for (name, range) in self.layout.tensors() {
            if let Some(&value) = vector[range].iter().find(|x| !x.is_finite()) {
                return Err(CurvatureError::NonFinite { tensor: name.to_owned(), value });
            }
        }
        Ok(())
    }
}

/// Checks a number of samples, probes or iterations.
pub(crate) fn at_least_one(field: &'static str, value: usize) -> Result<(), CurvatureError> {
    if value > 0 {
        return Ok(());
    }
    Err(CurvatureError::Config { field, value: 0.0, expected: "at least 1" })
}

fn add(sum: &mut [f64], part: &[f64]) {
    sum.iter_mut().zip(part).for_each(|(s, x)| *s += x);
}
