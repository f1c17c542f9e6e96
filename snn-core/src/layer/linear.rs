//! Fully connected layer.

use crate::exec::Exec;
use crate::module::Param;
use crate::ops::Linear;

/// Fully connected layer: weight `<name>.weight` `[in, out]`, bias `<name>.bias` `[out]`.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearLayer {
    /// Unique name.
    pub name: String,
    /// `[in, out]`.
    pub weight: Param,
    /// `[out]`.
    pub bias: Option<Param>,
}

impl LinearLayer {
    /// `x · w + b` on the last axis.
    pub fn forward<E: Exec>(&self, e: &mut E, x: &E::Value) -> E::Value {
        let weight = e.param(&self.weight);
        match &self.bias {
            Some(bias) => {
                let bias = e.param(bias);
                e.apply(Box::new(Linear), &[x, &weight, &bias])
            }
            None => e.apply(Box::new(Linear), &[x, &weight]),
        }
    }
}
