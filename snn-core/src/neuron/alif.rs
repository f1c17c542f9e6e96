//! Adaptive LIF: each spike raises the threshold for a while.

use super::Dynamics;
use super::firing::Firing;
use crate::scalar::Scalar;

/// Adaptive LIF: `U[t] = β·U[t−1] + I[t]`, which fires against `θ + κ·A[t]`, with `A[t+1] = ρ·A[t] + S[t]`.
///
/// States: membrane, adaptation. The reset takes place in the step of the spike, whatever `firing.reset_time` says (the
/// threshold of a stored membrane would no longer be known), and subtracts the base threshold θ. The spike that feeds the
/// adaptation has the surrogate's derivative; that of the reset follows `firing.reset_grad`.
///
/// # References
/// Bellec, Salaj, Subramoney, Legenstein, Maass, "Long short-term memory and learning-to-learn in networks of spiking
/// neurons", 2018 (arXiv:1803.09574), section 2, in discrete time and with `A` in units of spikes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Alif {
    /// Decay of the membrane per step.
    pub beta: f32,
    /// Decay of the adaptation per step, ρ.
    pub rho: f32,
    /// Rise of the threshold by a spike, κ.
    pub kappa: f32,
    /// Base threshold, reset and surrogate.
    pub firing: Firing,
}

impl Alif {
    #[inline(always)]
    fn constant<S: Scalar>(v: f32) -> S {
        S::from_f64(f64::from(v))
    }

    #[inline(always)]
    fn threshold<S: Scalar>(&self, adaptation: S) -> S {
        Self::constant::<S>(self.firing.threshold) + Self::constant::<S>(self.kappa) * adaptation
    }
}

impl Dynamics<2> for Alif {
    fn name(&self) -> &'static str {
        "alif"
    }

    #[inline(always)]
    fn integrate<S: Scalar>(&self, state: &mut [S; 2], cur: S) {
        state[0] = Self::constant::<S>(self.beta) * state[0] + cur;
    }

    #[inline(always)]
    fn integrate_backward<S: Scalar>(&self, _before: &[S; 2], g: &mut [S; 2]) -> S {
        let g_cur = g[0];
        g[0] *= Self::constant(self.beta);
        g_cur
    }

    #[inline(always)]
    fn fire<S: Scalar>(&self, state: &mut [S; 2]) -> S {
        let [mem, adaptation] = *state;
        let spk = self.firing.spike_over(mem, self.threshold(adaptation));
        *state = [mem - self.firing.reset_term(spk, mem), Self::constant::<S>(self.rho) * adaptation + spk];
        spk
    }

    #[inline(always)]
    fn fire_backward<S: Scalar>(&self, before: &[S; 2], g_out: S, g: &mut [S; 2]) {
        let [mem, adaptation] = *before;
        let threshold = self.threshold(adaptation);
        let spk = self.firing.spike_over(mem, threshold);
        let (by_spk, by_mem) = self.firing.reset_partials(spk, mem);
        let g_over = (g_out + g[1] - g[0] * by_spk) * self.firing.surrogate.grad(mem - threshold);
        g[1] = g[1] * Self::constant(self.rho) - g_over * Self::constant(self.kappa);
        g[0] = g[0] * (S::ONE - by_mem) + g_over;
    }
}
