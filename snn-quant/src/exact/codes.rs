//! The op that reads a weight tensor as its integer codes.

use super::parts::{Part, Split};
use crate::uniform::ClipGrad;
use crate::{QuantParams, lsq_scale_backward};
use snn_core::op::{Backward, Op, Saved};
use snn_core::{Real, Scalar, Tensor};

/// The codes of a tensor, as numbers that happen to be integers.
///
/// Inputs: `w` of any shape, and `scale` `[scales]` if it is learned. Output: the code of each value, or a part of it.
/// Backward: straight through, `gw = gy / scale` (zero where clipped if asked for); a learned scale has LSQ's gradient for
/// the level `scale · code`, as [`crate::FakeQuant`], other scales are constants. High parts have no gradient: that of the
/// low part is that of the whole. Saved: nothing. Values that are not finite give NaN.
#[derive(Debug, Clone)]
pub(super) struct WeightCodes {
    pub(super) params: QuantParams,
    pub(super) clip_grad: ClipGrad,
    pub(super) part: Part,
}

impl WeightCodes {
    /// The same codes, low and high part.
    pub(super) fn parts(&self, split: Split) -> [Self; 2] {
        [Part::Low(split), Part::High(split)].map(|part| Self { part, ..self.clone() })
    }

    fn slopes(&self, w: &[f32]) -> Vec<f32> {
        if matches!(self.part, Part::High(_)) {
            return vec![0.0; w.len()];
        }
        let ones = vec![1.0; w.len()];
        let mask = crate::ste_backward(w, &self.params, &ones, self.clip_grad);
        mask.iter().zip(self.scales(w)).map(|(m, s)| m / s).collect()
    }

    /// The scale of each value.
    fn scales(&self, w: &[f32]) -> Vec<f32> {
        self.params.map(w, |grid, _| grid.scale())
    }

    /// LSQ's gradient by the scales: a gradient by a code, divided by its scale, is one by its level.
    fn by_scale<S: Scalar>(&self, w: &[f32], gy: &Tensor<S>) -> Vec<S> {
        if matches!(self.part, Part::High(_)) {
            return vec![S::ZERO; self.params.grids().len()];
        }
        let by_level: Vec<f32> = to_f32(gy).iter().zip(self.scales(w)).map(|(g, s)| g / s).collect();
        let grads = lsq_scale_backward(w, &self.params, &by_level);
        grads.into_iter().map(|g| S::constant(real(g))).collect()
    }
}

impl<S: Scalar> Op<S> for WeightCodes {
    fn name(&self) -> &'static str {
        "weight_codes"
    }

    fn forward(&self, x: &[&Tensor<S>], _saved: &mut Saved<S>) -> Tensor<S> {
        let w = to_f32(x[0]);
        let code = |grid: crate::Grid, &v: &f32| {
            if v.is_finite() { self.part.of(grid.code(v)) as f32 } else { f32::NAN }
        };
        let codes = self.params.map(&w, code);
        let jets = x[0].as_slice().iter().zip(codes.iter().zip(self.slopes(&w)));
        Tensor::new(x[0].shape(), jets.map(|(w, (&code, slope))| w.jet(real(code), real(slope))).collect())
    }

    fn backward(&self, ctx: &Backward<'_, S>) -> Vec<Option<Tensor<S>>> {
        let w = to_f32(ctx.x[0]);
        let mut grads = vec![ctx.grad(0, || {
            let slopes = self.slopes(&w);
            let products =
                ctx.gy.as_slice().iter().zip(slopes).map(|(&g, slope)| g * S::constant(real(slope)));
            Tensor::new(ctx.gy.shape(), products.collect())
        })];
        if let Some(scale) = ctx.x.get(1) {
            grads.push(ctx.grad(1, || Tensor::new(scale.shape(), self.by_scale(&w, ctx.gy))));
        }
        grads
    }
}

pub(super) fn real<R: Real>(v: f32) -> R {
    R::of_f64(f64::from(v))
}

fn to_f32<S: Scalar>(x: &Tensor<S>) -> Vec<f32> {
    x.as_slice().iter().map(|x| crate::num::to_f32(x.to_f64())).collect()
}
