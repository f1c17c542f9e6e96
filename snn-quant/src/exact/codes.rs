//! The op that reads a weight tensor as its integer codes.

use crate::QuantParams;
use crate::uniform::ClipGrad;
use snn_core::op::{Backward, Op, Saved};
use snn_core::{Real, Scalar, Tensor};

/// The codes of a tensor, as numbers that happen to be integers.
///
/// Input: `w` of any shape. Output: the code of each value. Backward: straight through, `gw = gy / scale` (zero where
/// clipped if asked for); the scale is a constant. Saved: nothing. Values that are not finite give NaN.
#[derive(Debug, Clone)]
pub(super) struct WeightCodes {
    pub(super) params: QuantParams,
    pub(super) clip_grad: ClipGrad,
}

impl WeightCodes {
    fn slopes(&self, w: &[f32]) -> Vec<f32> {
        let ones = vec![1.0; w.len()];
        let mask = crate::ste_backward(w, &self.params, &ones, self.clip_grad);
        let scales = self.params.map(w, |grid, _| grid.scale());
        mask.iter().zip(scales).map(|(m, s)| m / s).collect()
    }
}

impl<S: Scalar> Op<S> for WeightCodes {
    fn name(&self) -> &'static str {
        "weight_codes"
    }

    fn forward(&self, x: &[&Tensor<S>], _saved: &mut Saved<S>) -> Tensor<S> {
        let w = to_f32(x[0]);
        let codes =
            self.params.map(&w, |grid, &v| if v.is_finite() { grid.code(v) as f32 } else { f32::NAN });
        let jets = x[0].as_slice().iter().zip(codes.iter().zip(self.slopes(&w)));
        Tensor::new(x[0].shape(), jets.map(|(w, (&code, slope))| w.jet(real(code), real(slope))).collect())
    }

    fn backward(&self, ctx: &Backward<'_, S>) -> Vec<Option<Tensor<S>>> {
        vec![ctx.grad(0, || {
            let slopes = self.slopes(&to_f32(ctx.x[0]));
            let products =
                ctx.gy.as_slice().iter().zip(slopes).map(|(&g, slope)| g * S::constant(real(slope)));
            Tensor::new(ctx.gy.shape(), products.collect())
        })]
    }
}

pub(super) fn real<R: Real>(v: f32) -> R {
    R::of_f64(f64::from(v))
}

fn to_f32<S: Scalar>(x: &Tensor<S>) -> Vec<f32> {
    x.as_slice().iter().map(|x| crate::num::to_f32(x.to_f64())).collect()
}
