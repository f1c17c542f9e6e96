//! Gradient clipping.

use crate::grads::Grads;

/// Scales all gradients together so that their norm is at most `max_norm`, and returns the norm before.
pub fn clip_norm(grads: &mut Grads, max_norm: f64) -> f64 {
    let norm = grads.norm();
    if norm > max_norm {
        #[allow(clippy::cast_possible_truncation, reason = "a factor of f32 gradients")]
        grads.scale((max_norm / (norm + 1e-6)) as f32);
    }
    norm
}
