//! Leaky integrator: a readout without spikes.

use super::Dynamics;
use crate::scalar::Scalar;

/// Leaky integrator: `U[t] = β·U[t−1] + I[t]`; its output is the membrane potential itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Li {
    /// Decay of the membrane per step.
    pub beta: f32,
}

impl Dynamics<1> for Li {
    fn name(&self) -> &'static str {
        "li"
    }

    #[inline(always)]
    fn integrate<S: Scalar>(&self, state: &mut [S; 1], cur: S) {
        state[0] = S::from_f64(f64::from(self.beta)) * state[0] + cur;
    }

    #[inline(always)]
    fn integrate_backward<S: Scalar>(&self, _before: &[S; 1], g: &mut [S; 1]) -> S {
        let g_cur = g[0];
        g[0] *= S::from_f64(f64::from(self.beta));
        g_cur
    }

    #[inline(always)]
    fn fire<S: Scalar>(&self, state: &mut [S; 1]) -> S {
        state[0]
    }

    #[inline(always)]
    fn fire_backward<S: Scalar>(&self, _before: &[S; 1], g_out: S, g: &mut [S; 1]) {
        g[0] += g_out;
    }
}
