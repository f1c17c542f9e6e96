//! The four-state neuron of DECOLLE, the original that Lui and Neftci simplify.

use super::Dynamics;
use super::firing::{Firing, Reset, ResetGrad};
use crate::scalar::Scalar;
use crate::surrogate::Surrogate;

/// LIF with two synaptic filters and a refractory state: with input current `I`,
/// `Q[t] = β·Q[t−1] + τ_s·I[t]`, `P[t] = α·P[t−1] + τ_m·Q[t−1]`, `R[t] = α_rp·R[t−1] − w_rp·S[t−1]`, `U = P + R`,
/// `S = U > θ`, with `τ_s = 1 − β` and `τ_m = 1 − α` so that both filters have unit gain.
///
/// In the paper `P` and `Q` filter the *inputs* of the weights; filtering is linear and so commutes with the weights,
/// which makes this form equal to the original for layers without bias. States: membrane `U`, and `P`, `Q`, `R`; a
/// quantizer acts on all four. `R` carries no gradient under [`ResetGrad::FrozenTerm`] and [`ResetGrad::Detached`].
///
/// # References
/// Kaiser, Mostafa, Neftci, "Synaptic plasticity dynamics for deep continuous local learning (DECOLLE)", 2020
/// (arXiv:1811.10766), eq. 2 to 4; Lui and Neftci 2021 (arXiv:2104.14117). Deviation: unit-gain filters, where DECOLLE
/// multiplies by `1/(1−β)` and `1/(1−α)`; the factor is absorbed by the weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decolle {
    /// Decay of the membrane filter per step.
    pub alpha: f32,
    /// Decay of the synaptic filter per step.
    pub beta: f32,
    /// Decay of the refractory state per step.
    pub alpha_rp: f32,
    /// Refractory kick of a spike.
    pub w_rp: f32,
    /// Threshold, spike test and surrogate; `reset` and `reset_time` are not used, since `R` is the reset.
    pub firing: Firing,
}

impl Decolle {
    /// The four-state neuron at the given decays, with threshold 0 and the boxcar surrogate of Lui and Neftci.
    #[must_use]
    pub fn lui_neftci(alpha: f32, beta: f32, alpha_rp: f32) -> Self {
        let firing = Firing {
            threshold: 0.0,
            reset: Reset::None,
            surrogate: Surrogate::Boxcar { width: 0.5 },
            ..Firing::default()
        };
        Self { alpha, beta, alpha_rp, w_rp: 1.0, firing }
    }

    #[inline(always)]
    fn refractory_spike<S: Scalar>(&self, mem: S) -> S {
        let spk = self.firing.spike(mem);
        if self.firing.reset_grad == ResetGrad::Through { spk } else { spk.detach() }
    }

    #[inline(always)]
    fn c<S: Scalar>(v: f32) -> S {
        S::from_f64(f64::from(v))
    }
}

impl Dynamics<4> for Decolle {
    fn name(&self) -> &'static str {
        "decolle"
    }

    fn quantized_states(&self) -> &'static [usize] {
        &[0, 1, 2, 3]
    }

    #[inline(always)]
    fn integrate<S: Scalar>(&self, state: &mut [S; 4], cur: S) {
        let [mem, p, q, r] = *state;
        let p = Self::c::<S>(self.alpha) * p + Self::c::<S>(1.0 - self.alpha) * q;
        let q = Self::c::<S>(self.beta) * q + Self::c::<S>(1.0 - self.beta) * cur;
        let r = Self::c::<S>(self.alpha_rp) * r - Self::c::<S>(self.w_rp) * self.refractory_spike(mem);
        *state = [p + r, p, q, r];
    }

    #[inline(always)]
    fn integrate_backward<S: Scalar>(&self, before: &[S; 4], g: &mut [S; 4]) -> S {
        let [g_mem, g_p, g_q, g_r] = *g;
        let (g_p, g_r) = (g_p + g_mem, g_r + g_mem);
        let through = if self.firing.reset_grad == ResetGrad::Through {
            -(g_r * Self::c(self.w_rp) * self.firing.slope(before[0]))
        } else {
            S::ZERO
        };
        *g = [
            through,
            Self::c::<S>(self.alpha) * g_p,
            Self::c::<S>(1.0 - self.alpha) * g_p + Self::c::<S>(self.beta) * g_q,
            Self::c::<S>(self.alpha_rp) * g_r,
        ];
        Self::c::<S>(1.0 - self.beta) * g_q
    }

    #[inline(always)]
    fn fire<S: Scalar>(&self, state: &mut [S; 4]) -> S {
        self.firing.spike(state[0])
    }

    #[inline(always)]
    fn fire_backward<S: Scalar>(&self, before: &[S; 4], g_out: S, g: &mut [S; 4]) {
        g[0] += g_out * self.firing.slope(before[0]);
    }
}
