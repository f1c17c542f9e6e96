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
use snn_core::{Module, Role};

/// A rule that moves parameters along their gradients.
pub trait Optimizer: std::fmt::Debug + Send {
    /// Updates one parameter. `step` counts from 1.
    fn update(&self, state: &mut State, name: &str, param: &mut [f32], grad: &[f32], lr: f32, step: u64);
}

/// One step of `rule` on every trained parameter that has a gradient.
///
/// Step sizes of quantizers are optimized in their logarithm, so that they stay above 0 and a step of an optimizer that
/// normalizes gradients is relative to them (Jain et al., "Trained Quantization Thresholds", 2020, arXiv:1903.08066).
/// They do not decay.
pub fn step(rule: &dyn Optimizer, state: &mut State, net: &mut impl Module, grads: &Grads, lr: f32) {
    let step = state.next_step();
    net.visit_params_mut(&mut |p| {
        let (true, Some(grad)) = (p.is_trained(), grads.get(&p.name)) else { return };
        let (value, grad) = (p.value.as_mut_slice(), grad.as_slice());
        if p.role != Role::StepSize {
            return rule.update(state, &p.name, value, grad, lr, step);
        }
        let grad: Vec<f32> = value.iter().zip(grad).map(|(size, g)| size * g).collect();
        let mut change = vec![0.0; value.len()];
        rule.update(state, &p.name, &mut change, &grad, lr, step);
        value.iter_mut().zip(change).for_each(|(size, change)| *size *= change.exp());
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use snn_core::{Exec, Param, Pass, Tensor};

    #[derive(Clone)]
    struct OneParam(Param);

    impl Module for OneParam {
        fn forward<E: Exec>(&self, e: &mut E, _x: &E::Value, _pass: &Pass) -> E::Value {
            e.param(&self.0)
        }

        fn visit_params(&self, f: &mut dyn FnMut(&Param)) {
            f(&self.0);
        }

        fn visit_params_mut(&mut self, f: &mut dyn FnMut(&mut Param)) {
            f(&mut self.0);
        }
    }

    /// After one step of Adam with decay, from 0.02 and 2.
    fn after_a_step(role: Role) -> Vec<f32> {
        let mut net = OneParam(Param::new("p", Tensor::new(&[2], vec![0.02, 2.0]), role));
        let mut grads = Grads::new();
        grads.insert("p", Tensor::new(&[2], vec![3.0, 3.0]));
        step(&Adam::with_decoupled_decay(0.5), &mut State::new(), &mut net, &grads, 0.1);
        net.0.value.as_slice().to_vec()
    }

    #[test]
    fn step_sizes_change_by_a_share_and_do_not_decay() {
        let share = (-0.1_f32).exp();
        snn_testkit::assert_close(
            "step sizes",
            &after_a_step(Role::StepSize),
            &[0.02 * share, 2.0 * share],
            1e-6,
            1e-6,
        );
        let decayed = 1.0 - 0.1 * 0.5;
        let want = [0.02 * decayed - 0.1, 2.0 * decayed - 0.1];
        snn_testkit::assert_close("others", &after_a_step(Role::Scale), &want, 1e-6, 1e-6);
    }
}
