//! The op that reads a weight tensor through its quantizer.

use crate::uniform::ClipGrad;
use crate::{DrawPosition, Rounding};
use crate::{QuantError, QuantParams, QuantSpec, lsq_scale_backward, ste_backward, uniform};
use snn_core::op::{Backward, Op, Saved};
use snn_core::{Real, Scalar, Tensor};

/// A learned scale that training drives to zero or below counts as its magnitude, at least this.
const SMALLEST_SCALE: f32 = 1e-8;

/// Fake quantization of a tensor: each value becomes its level, as a float.
///
/// Inputs: `w` of any shape, and `scale` `[scales]` if the scale is learned. Output: the levels. The grid is found from the
/// values in every call and is a constant for the gradient; only a learned scale has one. Backward: the straight-through
/// estimator, `gw = gy` (zero where clipped if the spec masks), second derivative zero; LSQ's rule for the scale. Saved:
/// nothing.
///
/// Values that are not finite give NaN, so that a diverged run shows in its loss.
#[derive(Debug, Clone)]
pub struct FakeQuant {
    /// How.
    pub spec: QuantSpec,
    /// Seed of the pass, for stochastic rounding: in training that of the batch. `None` rounds to nearest.
    pub step: Option<u64>,
}

impl FakeQuant {
    /// The values without tangents, and their grids.
    pub(crate) fn params<S: Scalar>(
        &self,
        x: &[&Tensor<S>],
    ) -> Result<(Tensor<f32>, QuantParams), QuantError> {
        let w = x[0].cast::<f32>();
        let params = match (&self.spec, x.get(1)) {
            (QuantSpec::Uniform(spec), Some(scale)) => {
                let scale = scale.cast::<f32>();
                let positive: Vec<f32> =
                    scale.as_slice().iter().map(|s| s.abs().max(SMALLEST_SCALE)).collect();
                uniform::params_with_scales(&positive, x[0].shape(), spec)?
            }
            _ => self.spec.params(w.as_slice(), x[0].shape())?,
        };
        Ok((w, params))
    }

    fn levels(&self, w: Tensor<f32>, params: &QuantParams) -> Vec<f32> {
        match (self.spec.rounding(), self.step, params.grids()) {
            (rounding @ Rounding::Stochastic { .. }, Some(step), &[grid]) => {
                let mut w = w.into_vec();
                grid.round_slice(&mut w, rounding, DrawPosition { step, first_index: 0 });
                w
            }
            _ => params.fake_quant(w.as_slice()),
        }
    }

    /// The levels with their codes, if a product can add these up.
    fn levels_with_codes(&self, shape: &[usize], w: Tensor<f32>, params: &QuantParams) -> Tensor<f32> {
        let levels = self.levels(w, params);
        let codes = params.codes_of_levels(shape, &levels);
        let levels = Tensor::new(shape, levels);
        match codes {
            Some(codes) => levels.with_codes(codes),
            None => levels,
        }
    }

    /// The tangents of values times 1 where the gradient passes, 0 where it is masked.
    fn levels_with_tangents<S: Scalar>(&self, x: &Tensor<S>, w: Tensor<f32>, params: &QuantParams) -> Vec<S> {
        let ones = vec![1.0; w.len()];
        let slopes = ste_backward(w.as_slice(), params, &ones, self.spec.clip_grad());
        let levels = self.levels(w, params);
        let jets = x.as_slice().iter().zip(levels.iter().zip(&slopes));
        jets.map(|(w, (&level, &slope))| w.jet(real(level), real(slope))).collect()
    }
}

impl<S: Scalar> Op<S> for FakeQuant {
    fn name(&self) -> &'static str {
        "fake_quant"
    }

    fn forward(&self, x: &[&Tensor<S>], _saved: &mut Saved<S>) -> Tensor<S> {
        let Ok((w, params)) = self.params(x) else {
            return x[0].map(|_| S::from_f64(f64::NAN));
        };
        if S::IS_REAL {
            self.levels_with_codes(x[0].shape(), w, &params).cast()
        } else {
            Tensor::new(x[0].shape(), self.levels_with_tangents(x[0], w, &params))
        }
    }

    fn backward(&self, ctx: &Backward<'_, S>) -> Vec<Option<Tensor<S>>> {
        if ctx.x.len() == 1 && self.spec.clip_grad() == ClipGrad::Pass {
            return vec![ctx.grad(0, || ctx.gy.clone())];
        }
        let Ok((w, params)) = self.params(ctx.x) else {
            return vec![None; ctx.x.len()];
        };
        let mut grads = vec![ctx.grad(0, || {
            let gw = ste_backward(w.as_slice(), &params, ctx.gy.as_slice(), self.spec.clip_grad());
            Tensor::new(ctx.gy.shape(), gw)
        })];
        if ctx.x.len() > 1 {
            grads.push(ctx.grad(1, || {
                let by_scale = lsq_scale_backward(w.as_slice(), &params, ctx.gy.cast::<f32>().as_slice());
                Tensor::new(ctx.x[1].shape(), by_scale).cast()
            }));
        }
        grads
    }
}

fn real<R: Real>(v: f32) -> R {
    R::of_f64(f64::from(v))
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "levels are compared exactly")]
mod tests {
    use super::*;
    use crate::uniform::{Granularity, UniformSpec};
    use crate::{BitWidth, FixedPointSpec};
    use snn_core::Dual;

    fn spec(clip_grad: ClipGrad) -> QuantSpec {
        QuantSpec::FixedPoint(FixedPointSpec { clip_grad, ..FixedPointSpec::new(BitWidth::new(3).unwrap()) })
    }

    #[test]
    fn the_tangent_and_the_gradient_share_one_mask() {
        let w = Tensor::new(
            &[3],
            vec![0.3, 1.4, -0.6].into_iter().map(|v| Dual::<f64, 1>::variable(v, [2.0])).collect(),
        );
        for (clip_grad, slopes) in [(ClipGrad::Pass, [1.0; 3]), (ClipGrad::Zero, [1.0, 0.0, 1.0])] {
            let op = FakeQuant { spec: spec(clip_grad), step: None };
            let mut saved = Saved::keeping();
            let y = op.forward(&[&w], &mut saved);
            let values: Vec<f64> = y.as_slice().iter().map(|y| y.value()).collect();
            assert_eq!(values, [0.25, 0.75, -0.5]);
            let gy = Tensor::full(&[3], Dual::constant(1.0));
            let ctx = Backward { x: &[&w], y: &y, saved: &saved, gy: &gy, need: &[true] };
            let gx = op.backward(&ctx)[0].clone().unwrap();
            for (i, slope) in slopes.into_iter().enumerate() {
                assert_eq!((y.as_slice()[i].tangent(0), gx.as_slice()[i].value()), (2.0 * slope, slope));
            }
        }
    }

    #[test]
    fn stochastic_rounding_changes_from_step_to_step_but_not_at_inference() {
        let w = Tensor::full(&[64], 0.3_f32);
        let run = |step| {
            let spec = QuantSpec::FixedPoint(FixedPointSpec::lui_neftci(BitWidth::new(3).unwrap(), 5));
            FakeQuant { spec, step }.forward(&[&w], &mut Saved::discarding())
        };
        assert_eq!(run(Some(1)), run(Some(1)));
        assert_ne!(run(Some(1)), run(Some(2)));
        assert_eq!(run(None), Tensor::full(&[64], 0.25));
    }

    #[test]
    fn levels_are_their_codes_times_their_scales() {
        let w: Vec<f32> = (0..24_u8).map(|i| f32::from(i) * 0.11 - 1.3).collect();
        let uniform = |bits: u32, granularity: Granularity| {
            QuantSpec::Uniform(UniformSpec { granularity, ..UniformSpec::new(BitWidth::new(bits).unwrap()) })
        };
        let all = [1, 2, 4, 8].into_iter().flat_map(|bits| {
            let fixed = QuantSpec::FixedPoint(FixedPointSpec::new(BitWidth::new(bits).unwrap()));
            [uniform(bits, Granularity::PerTensor), uniform(bits, Granularity::PerChannel), fixed]
        });
        for (spec, shape) in all.flat_map(|spec| [(spec.clone(), vec![8, 3]), (spec, vec![3, 2, 2, 2])]) {
            let x = Tensor::new(&shape, w.clone());
            let y = FakeQuant { spec: spec.clone(), step: None }.forward(&[&x], &mut Saved::discarding());
            let codes = y.codes().unwrap();
            let channel = |i: usize| if shape.len() == 2 { i % 3 } else { i / 8 };
            let made = codes
                .numbers()
                .iter()
                .enumerate()
                .map(|(i, &code)| f32::from(code) * codes.scale(channel(i)));
            assert_eq!(made.collect::<Vec<_>>(), y.as_slice(), "{spec:?} {shape:?}");
        }
        let x = Tensor::new(&[8, 3], w);
        let wide = FakeQuant { spec: uniform(9, Granularity::PerTensor), step: None };
        assert_eq!(wide.forward(&[&x], &mut Saved::discarding()).codes(), None);
    }

    #[test]
    fn weights_that_are_not_finite_show_as_nan() {
        let w = Tensor::new(&[2], vec![f32::INFINITY, 0.0]);
        let y = FakeQuant { spec: spec(ClipGrad::Pass), step: None }.forward(&[&w], &mut Saved::discarding());
        assert!(y.as_slice()[1].is_nan());
    }
}
