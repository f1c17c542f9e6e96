//! Stochastic gradient descent with momentum.

use super::{Optimizer, State};

/// Stochastic gradient descent: `v ← μ·v + g`, `w ← w − lr·v`, with `g` including `weight_decay·w` (PyTorch's form).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd {
    /// Momentum μ; 0 for none.
    pub momentum: f32,
    /// Which point the momentum looks at.
    pub variant: Momentum,
    /// Coefficient of the squared norm, added to the gradient.
    pub weight_decay: f32,
}

/// Variants of momentum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Momentum {
    /// `w ← w − lr·v`.
    Classic,
    /// `w ← w − lr·(g + μ·v)` (Nesterov).
    Nesterov,
}

impl Default for Sgd {
    fn default() -> Self {
        Self { momentum: 0.9, variant: Momentum::Classic, weight_decay: 0.0 }
    }
}

impl Optimizer for Sgd {
    fn update(&self, state: &mut State, name: &str, param: &mut [f32], grad: &[f32], lr: f32, _step: u64) {
        let velocity = state.vector(name, "velocity", param.len());
        for ((w, v), &g) in param.iter_mut().zip(velocity).zip(grad) {
            let g = g + self.weight_decay * *w;
            *v = self.momentum * *v + g;
            let direction = match self.variant {
                Momentum::Classic => *v,
                Momentum::Nesterov => g + self.momentum * *v,
            };
            *w -= lr * direction;
        }
    }
}
