//! Exact traces and the full curvature matrix, one basis vector after another, for small networks.

use crate::curvature::{Curvature, CurvatureError, Layout, Operator, at_least_one};
use crate::probe::ParamSet;
use crate::sensitivity::TensorTrace;
use snn_autodiff::BatchSource;
use snn_core::loss::Loss;
use snn_core::{Module, Tensor};
use std::collections::BTreeMap;
use std::ops::Range;

/// Basis vectors that share a pass over the data.
const LANES: usize = 4;

/// The most parameters of a [`CurvatureMatrix`]: 128 MiB of entries.
pub const MAX_MATRIX_PARAMS: usize = 4096;

/// What to compute exactly.
#[derive(Debug, Clone, PartialEq)]
pub struct ExactConfig {
    /// The matrix.
    pub curvature: Curvature,
    /// The parameters.
    pub params: ParamSet,
    /// Samples that one task runs at a time.
    pub micro_batch: usize,
}

impl Default for ExactConfig {
    /// The Hessian by the weights, 8 samples at a time.
    fn default() -> Self {
        Self { curvature: Curvature::Hessian, params: ParamSet::Weights, micro_batch: 8 }
    }
}

impl ExactConfig {
    fn operator<'a, M: Module>(
        &self,
        net: &'a M,
        loss: &'a Loss,
        data: &'a dyn BatchSource,
    ) -> Result<Operator<'a, M>, CurvatureError> {
        at_least_one("micro_batch", self.micro_batch)?;
        let layout = Layout::new(net, &self.params)?;
        Ok(Operator { net, loss, data, curvature: self.curvature, micro_batch: self.micro_batch, layout })
    }
}

/// The curvature of the mean loss as a full matrix.
#[derive(Debug, Clone, PartialEq)]
pub struct CurvatureMatrix {
    /// `[n, n]`, symmetric up to rounding.
    pub entries: Tensor<f64>,
    /// The rows and columns of each tensor, whose entries count in row-major order; tensors as the network has them.
    pub tensors: Vec<(String, Range<usize>)>,
}

/// The exact trace of each tensor's block of the curvature of the mean loss over `data`, in `f64`, with standard error
/// 0. It takes a product for each parameter, so it is for small networks and as a reference for [`crate::hutchinson`].
///
/// # Errors
/// [`CurvatureError`], as [`crate::hutchinson`].
///
/// # Panics
/// As [`crate::hutchinson`].
pub fn exact_traces<M: Module + Sync>(
    net: &M,
    loss: &Loss,
    data: &dyn BatchSource,
    config: &ExactConfig,
) -> Result<BTreeMap<String, TensorTrace>, CurvatureError> {
    let operator = config.operator(net, loss, data)?;
    let mut diagonal = Vec::with_capacity(operator.layout.len());
    for_each_column(&operator, |i, column| diagonal.push(column[i]))?;
    let trace = |(name, range): (&str, Range<usize>)| {
        let n_params = range.len() as u64;
        (name.to_owned(), TensorTrace { mean: diagonal[range].iter().sum(), std_err: 0.0, n_params })
    };
    Ok(operator.layout.tensors().map(trace).collect())
}

/// The whole curvature matrix of the mean loss over `data`, in `f64`.
///
/// # Errors
/// [`CurvatureError::TooManyParams`] for more than [`MAX_MATRIX_PARAMS`] parameters, and as [`crate::hutchinson`].
///
/// # Panics
/// As [`crate::hutchinson`].
pub fn curvature_matrix<M: Module + Sync>(
    net: &M,
    loss: &Loss,
    data: &dyn BatchSource,
    config: &ExactConfig,
) -> Result<CurvatureMatrix, CurvatureError> {
    let operator = config.operator(net, loss, data)?;
    let n = operator.layout.len();
    if n > MAX_MATRIX_PARAMS {
        return Err(CurvatureError::TooManyParams { n_params: n, limit: MAX_MATRIX_PARAMS });
    }
    let mut entries = vec![0.0; n * n];
    for_each_column(&operator, |j, column| {
        column.iter().enumerate().for_each(|(i, &h)| entries[i * n + j] = h);
    })?;
    let tensors = operator.layout.tensors().map(|(name, range)| (name.to_owned(), range)).collect();
    Ok(CurvatureMatrix { entries: Tensor::new(&[n, n], entries), tensors })
}

/// The product with each basis vector, in order.
fn for_each_column<M: Module + Sync>(
    operator: &Operator<'_, M>,
    mut see: impl FnMut(usize, &[f64]),
) -> Result<(), CurvatureError> {
    let n = operator.layout.len();
    for first in (0..n).step_by(LANES) {
        let basis: [Vec<f64>; LANES] =
            std::array::from_fn(|k| (0..n).map(|i| if i == first + k { 1.0 } else { 0.0 }).collect());
        let columns = operator.apply(&basis)?;
        (first..n).zip(&columns).for_each(|(i, column)| see(i, column));
    }
    Ok(())
}
