//! Current-based LIF: a synaptic current in front of the membrane.

use super::Dynamics;
use super::firing::Firing;
use crate::scalar::Scalar;

/// Current-based LIF, snnTorch's `Synaptic`: `I_syn[t] = α·I_syn[t−1] + I[t]`, `U[t] = β·U[t−1] + I_syn[t]` with the reset
/// of its [`Firing`]. States: membrane, synaptic current. A membrane quantizer acts on both, as SQUAT does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CubaLif {
    /// Decay of the synaptic current per step.
    pub alpha: f32,
    /// Decay of the membrane per step.
    pub beta: f32,
    /// Threshold, reset and surrogate.
    pub firing: Firing,
}

impl CubaLif {
    #[inline(always)]
    fn constants<S: Scalar>(&self) -> (S, S) {
        (S::from_f64(f64::from(self.alpha)), S::from_f64(f64::from(self.beta)))
    }
}

impl Dynamics<2> for CubaLif {
    fn name(&self) -> &'static str {
        "cuba-lif"
    }

    fn quantized_states(&self) -> &'static [usize] {
        &[0, 1]
    }

    #[inline(always)]
    fn integrate<S: Scalar>(&self, state: &mut [S; 2], cur: S) {
        let (alpha, beta) = self.constants::<S>();
        state[1] = alpha * state[1] + cur;
        state[0] = self.firing.carry(state[0], beta) + state[1];
    }

    #[inline(always)]
    fn integrate_backward<S: Scalar>(&self, before: &[S; 2], g: &mut [S; 2]) -> S {
        let (alpha, beta) = self.constants::<S>();
        let g_syn = g[1] + g[0];
        g[0] = self.firing.carry_backward(before[0], beta, g[0]);
        g[1] = alpha * g_syn;
        g_syn
    }

    #[inline(always)]
    fn fire<S: Scalar>(&self, state: &mut [S; 2]) -> S {
        let (spk, mem) = self.firing.emit(state[0]);
        state[0] = mem;
        spk
    }

    #[inline(always)]
    fn fire_backward<S: Scalar>(&self, before: &[S; 2], g_out: S, g: &mut [S; 2]) {
        g[0] = self.firing.emit_backward(before[0], g_out, g[0]);
    }
}
