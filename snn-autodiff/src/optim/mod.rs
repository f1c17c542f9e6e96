//! Optimizers, learning-rate schedules and gradient clipping.
//!
//! An optimizer updates one parameter at a time from its gradient, and keeps its state by parameter name, so that it can
//! be saved with a checkpoint and restored to the same bytes.

mod adam;
mod adamax;
mod clip;
mod schedule;
mod sgd;
mod state;

pub use adam::{Adam, Decay};
pub use adamax::Adamax;
pub use clip::clip_norm;
pub use schedule::Schedule;
pub use sgd::{Momentum, Sgd};
pub use state::State;

use crate::grads::Grads;
use snn_core::Module;

/// A rule that moves parameters along their gradients.
pub trait Optimizer: std::fmt::Debug + Send {
    /// Updates one parameter. `step` counts from 1.
    fn update(&self, state: &mut State, name: &str, param: &mut [f32], grad: &[f32], lr: f32, step: u64);
}

/// One step of `rule` on every trained parameter that has a gradient.
pub fn step(rule: &dyn Optimizer, state: &mut State, net: &mut impl Module, grads: &Grads, lr: f32) {
    let step = state.next_step();
    net.visit_params_mut(&mut |p| {
        if let (true, Some(grad)) = (p.is_trained(), grads.get(&p.name)) {
            rule.update(state, &p.name, p.value.as_mut_slice(), grad.as_slice(), lr, step);
        }
    });
}
