//! Adam and `AdamW`.

use super::{Optimizer, State};

/// Adam (Kingma and Ba 2015, arXiv:1412.6980, algorithm 1), and `AdamW` (Loshchilov and Hutter 2019, arXiv:1711.05101)
/// with decoupled decay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    /// Decay of the mean of gradients, and of that of their squares.
    pub betas: [f64; 2],
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Weight decay.
    pub decay: Decay,
}

/// How weights decay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Decay {
    /// `coefficient·w` is added to the gradient (Adam).
    L2(f32),
    /// `lr·coefficient·w` is taken from the weight (`AdamW`).
    Decoupled(f32),
}

impl Default for Adam {
    fn default() -> Self {
        Self { betas: [0.9, 0.999], epsilon: 1e-8, decay: Decay::L2(0.0) }
    }
}

impl Adam {
    /// `AdamW` with the usual betas.
    #[must_use]
    pub fn with_decoupled_decay(coefficient: f32) -> Self {
        Self { decay: Decay::Decoupled(coefficient), ..Self::default() }
    }
}

impl Optimizer for Adam {
    #[allow(clippy::cast_possible_truncation, reason = "constants of f32 arithmetic")]
    fn update(&self, state: &mut State, name: &str, param: &mut [f32], grad: &[f32], lr: f32, step: u64) {
        let [beta1, beta2] = self.betas;
        let step = i32::try_from(step).unwrap_or(i32::MAX);
        let corrected_lr = (f64::from(lr) / (1.0 - beta1.powi(step))) as f32;
        let root_correction = (1.0 - beta2.powi(step)).sqrt() as f32;
        let (b1, b2) = (beta1 as f32, beta2 as f32);
        let (c1, c2, epsilon) = ((1.0 - beta1) as f32, (1.0 - beta2) as f32, self.epsilon as f32);
        let (l2, shrink) = match self.decay {
            Decay::L2(coefficient) => (coefficient, 1.0),
            Decay::Decoupled(coefficient) => (0.0, 1.0 - lr * coefficient),
        };
        let [mean, square] = state.pair(name, ["mean", "square"], param.len());
        for (((w, m), v), &g) in param.iter_mut().zip(mean).zip(square).zip(grad) {
            let g = g + l2 * *w;
            *w *= shrink;
            *m = b1 * *m + c1 * g;
            *v = b2 * *v + c2 * g * g;
            *w -= corrected_lr * *m / (v.sqrt() / root_correction + epsilon);
        }
    }
}
