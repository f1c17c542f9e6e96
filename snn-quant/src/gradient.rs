//! Gradients through quantizers: the straight-through estimator and the learned step size.

use crate::num::{count, to_f32};
use crate::uniform::ClipGrad;
use crate::{CodeSet, Grid, QuantParams};
use snn_core::Scalar;

/// The straight-through gradient of `fake_quant` with respect to the values: `gy`, zero where values were
/// clipped if `clip_grad` says so.
///
/// # Shapes
/// `x` and `gy` are alike, in row-major order; so is the result.
///
/// # References
/// Bengio, Léonard, Courville, "Estimating or Propagating Gradients Through Stochastic Neurons for
/// Conditional Computation", 2013, arXiv 1308.3432. With [`ClipGrad::Zero`]: Esser et al., "Learned Step Size
/// Quantization", 2020, equation 5. The bounds themselves pass, and they are compared before rounding: a
/// value up to half a step beyond the last level counts as clipped.
pub fn ste_backward<S: Scalar>(x: &[f32], params: &QuantParams, gy: &[S], clip_grad: ClipGrad) -> Vec<S> {
    match clip_grad {
        ClipGrad::Pass => gy.to_vec(),
        ClipGrad::Zero => {
            let pass = params.map(x, |grid, &v| grid.contains(v));
            gy.iter().zip(pass).map(|(&g, pass)| if pass { g } else { S::ZERO }).collect()
        }
    }
}

/// The gradient of `fake_quant` with respect to each scale, for
/// [`ScaleRule::Learned`](crate::uniform::ScaleRule).
///
/// For a value `v` it is `round(v/s) - v/s` inside the levels and the outermost code outside, times `gy`,
/// summed and multiplied by `1 / sqrt(N q_max)`, with `N` the number of values that share the scale. On a
/// binary grid, where nothing is rounded, it is the sign of `v`.
///
/// # Shapes
/// `x` and `gy` are alike; the result has one gradient per grid of `params`.
///
/// # References
/// Esser et al., "Learned Step Size Quantization", 2020, arXiv 1902.08153, equation 3 and section 2.2
/// (gradient scale). Deviation: per channel, `N` counts the channel's values, not the layer's.
pub fn lsq_scale_backward(x: &[f32], params: &QuantParams, gy: &[f32]) -> Vec<f32> {
    let mut sums = vec![(0.0, 0usize); params.grids().len()];
    for ((channel, grid, run), (_, _, g_run)) in params.runs(x).zip(params.runs(gy)) {
        let (sum, n) = &mut sums[channel];
        let products = run.iter().zip(g_run).map(|(&v, &g)| f64::from(scale_slope(grid, v)) * f64::from(g));
        *sum += products.sum::<f64>();
        *n += run.len();
    }
    let scaled = |((sum, n), grid): ((f64, usize), &Grid)| {
        to_f32(sum / (count(n.max(1)) * f64::from(grid.codes().max())).sqrt())
    };
    sums.into_iter().zip(params.grids()).map(scaled).collect()
}

/// `d fake_quant(v) / d scale` with the rounding passed straight through.
fn scale_slope(grid: Grid, v: f32) -> f32 {
    let rounds = grid.contains(v) && grid.codes() != CodeSet::Sign;
    if rounds { grid.whole(v) - v / grid.scale() } else { grid.whole(v) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BitWidth;
    use crate::uniform::{Granularity, UniformSpec, params_with_scales};

    fn params(scales: &[f32], bits: u32) -> QuantParams {
        let granularity = if scales.len() > 1 { Granularity::PerChannel } else { Granularity::PerTensor };
        let spec = UniformSpec { granularity, ..UniformSpec::new(BitWidth::new(bits).unwrap()) };
        params_with_scales(scales, &[3, scales.len()], &spec).unwrap()
    }

    #[test]
    fn the_mask_zeroes_gradients_outside_the_levels() {
        let p = params(&[0.5], 3); // levels from -1.5 to 1.5
        let x = [-1.6, -1.5, 0.2, 1.5, 1.7];
        let gy = [1.0, 2.0, 3.0, 4.0, 5.0];
        assert_eq!(ste_backward(&x, &p, &gy, ClipGrad::Pass), gy);
        assert_eq!(ste_backward(&x, &p, &gy, ClipGrad::Zero), [0.0, 2.0, 3.0, 4.0, 0.0]);
    }

    #[test]
    fn the_scale_gradient_is_equation_3_of_lsq() {
        let p = params(&[0.5], 3); // q_max = 3
        let cases = [(0.3f32, 1.0 - 0.6), (-0.3, -1.0 + 0.6), (0.1, -0.2), (9.0, 3.0), (-9.0, -3.0)];
        for (v, slope) in cases {
            let gradient = lsq_scale_backward(&[v], &p, &[2.0])[0];
            assert!((f64::from(gradient) - 2.0 * slope / 3f64.sqrt()).abs() < 1e-6, "at {v}: {gradient}");
        }
        let x: Vec<f32> = cases.iter().map(|c| c.0).collect();
        let all = lsq_scale_backward(&x, &p, &[1.0; 5])[0];
        assert!((all + 0.2 / 15f32.sqrt()).abs() < 1e-6, "sum {all}");
    }

    #[test]
    fn scale_gradients_of_channels_do_not_mix() {
        let p = params(&[0.5, 0.25], 3);
        let x = [9.0, 0.0, 9.0, 0.0, 9.0, 0.0];
        let g = lsq_scale_backward(&x, &p, &[1.0; 6]);
        assert!((g[0] - 9.0 / 9f32.sqrt()).abs() < 1e-6);
        assert!(g[1].abs() < 1e-9);
    }

    #[test]
    fn a_binary_scale_moves_with_the_signs() {
        let p = params(&[0.5], 1);
        let g = lsq_scale_backward(&[0.1, -3.0], &p, &[1.0, 4.0])[0];
        assert!((g - (1.0 - 4.0) / 2f32.sqrt()).abs() < 1e-6);
    }

    #[test]
    fn descending_the_scale_gradient_lowers_the_error() {
        let w: Vec<f32> = (0..300).map(|i| ((i * 37 % 101) as f32 / 50.0 - 1.0).powi(3)).collect();
        let mut scale = 0.6;
        let error = |scale: f32| params(&[scale], 3).squared_error(&w);
        let before = error(scale);
        for _ in 0..200 {
            let p = params(&[scale], 3);
            let gy: Vec<f32> = p.fake_quant(&w).iter().zip(&w).map(|(q, w)| 2.0 * (q - w)).collect();
            scale -= 0.001 * lsq_scale_backward(&w, &p, &gy)[0];
        }
        assert!(error(scale) < 0.65 * before, "{before} -> {}", error(scale));
    }
}
