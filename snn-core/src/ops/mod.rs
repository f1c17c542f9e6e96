//! Ops: one file each, with the forward, the backward and a test.
//!
//! An op's documentation states its inputs with their shapes, the forward formula, the backward formula and what is
//! saved.

mod add;
mod batch_norm;
mod concat;
mod conv2d;
mod conv2d_max_pool;
mod conv_stats;
mod detach;
mod dropout;
mod linear;
mod mean_time;
mod mul;
mod pool;
mod reshape;
mod scale;
mod steps;
mod still;

#[cfg(test)]
pub(crate) mod testing;

pub use add::{Add, AddBias};
pub use batch_norm::{BatchNorm, BatchStats, Norm, Normalize};
pub(crate) use batch_norm::{Inputs as NormInputs, factors};
pub use concat::Concat;
pub use conv_stats::ConvStats;
pub use conv2d::Conv2d;
pub use conv2d_max_pool::Conv2dMaxPool;
pub use detach::Detach;
pub use dropout::Dropout;
pub use linear::Linear;
pub use mean_time::MeanTime;
pub use mul::Mul;
pub use pool::{Pool2d, PoolKind};
pub use reshape::Reshape;
pub use scale::Scale;
pub use steps::Steps;

use crate::kernels::sums;
use crate::scalar::Scalar;
use crate::tensor::Tensor;

/// Sums all axes but the last, of size `n`.
pub(crate) fn sum_to_last_axis<S: Scalar>(x: &Tensor<S>, n: usize) -> Tensor<S> {
    let mut sum = vec![S::ZERO; n];
    if n > 0 {
        sums::add_rows(&mut sum, x.as_slice());
    }
    Tensor::new(&[n], sum)
}
