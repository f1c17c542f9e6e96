//! Adamax.

use super::{Optimizer, State};

/// Adamax, Adam with the infinity norm (Kingma and Ba 2015, arXiv:1412.6980, algorithm 2). DECOLLE uses betas
/// `[0, 0.95]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adamax {
    /// Decay of the mean of gradients, and of their running maximum.
    pub betas: [f64; 2],
    /// Added to the gradient before the maximum (PyTorch's form).
    pub epsilon: f64,
}

impl Default for Adamax {
    fn default() -> Self {
        Self { betas: [0.9, 0.999], epsilon: 1e-8 }
    }
}

impl Optimizer for Adamax {
    #[allow(clippy::cast_possible_truncation, reason = "constants of f32 arithmetic")]
    fn update(&self, state: &mut State, name: &str, param: &mut [f32], grad: &[f32], lr: f32, step: u64) {
        let [beta1, beta2] = self.betas;
        let step = i32::try_from(step).unwrap_or(i32::MAX);
        let corrected_lr = (f64::from(lr) / (1.0 - beta1.powi(step))) as f32;
        let (b1, c1) = (beta1 as f32, (1.0 - beta1) as f32);
        let (b2, epsilon) = (beta2 as f32, self.epsilon as f32);
        let [mean, norm] = state.pair(name, ["mean", "norm"], param.len());
        for (((w, m), u), &g) in param.iter_mut().zip(mean).zip(norm).zip(grad) {
            *m = b1 * *m + c1 * g;
            *u = (b2 * *u).max(g.abs() + epsilon);
            *w -= corrected_lr * *m / *u;
        }
    }
}
