//! Leaky integrate-and-fire, and its presets named after what they reproduce.

use super::Dynamics;
use super::firing::{Firing, Reset, ResetGrad, ResetTime, SpikeWhen};
use crate::scalar::Scalar;
use crate::surrogate::Surrogate;

/// Leaky integrate-and-fire: `U[t] = β·U[t−1] + gain·I[t]` with the reset of its [`Firing`].
///
/// With `beta = 1` it is the integrate-and-fire neuron ([`Lif::integrate_and_fire`]).
///
/// ```
/// use snn_core::neuron::{Lif, Scan};
/// use snn_core::Tensor;
///
/// let neuron = Scan::new(Lif::snntorch(0.5));
/// let cur = Tensor::new(&[4, 1, 1], vec![0.8_f32, 0.8, 0.8, 0.0]); // [T, B, N]
/// let run = neuron.run(&cur, None);
/// assert_eq!(run.spikes.as_slice(), [0.0, 1.0, 0.0, 0.0]);
/// let mem = run.states[0].as_slice();
/// assert_eq!(mem[..2], [0.8, 1.2]);
/// assert!((mem[2] - 0.4).abs() < 1e-6); // reset one step late: 0.5·1.2 + 0.8 − 1
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lif {
    /// Decay of the membrane per step, β = exp(−Δt/τ).
    pub beta: f32,
    /// Factor of the input current.
    pub gain: f32,
    /// Threshold, reset and surrogate.
    pub firing: Firing,
}

impl Default for Lif {
    fn default() -> Self {
        Self::snntorch(0.9)
    }
}

impl Lif {
    /// snnTorch's `Leaky(beta)`: subtractive reset one step late, detached; spike if above 1; arc-tangent surrogate.
    #[must_use]
    pub fn snntorch(beta: f32) -> Self {
        Self { beta, gain: 1.0, firing: Firing::default() }
    }

    /// `SpikingJelly`'s `LIFNode(tau, decay_input=True, v_reset=0)`: `U = U + (I − U)/τ`, spike if at or above 1, hard
    /// reset in the same step, differentiated through; arc-tangent surrogate.
    #[must_use]
    pub fn spikingjelly(tau: f32) -> Self {
        let firing = Firing {
            spike_when: SpikeWhen::AtOrAbove,
            reset: Reset::Zero,
            reset_time: ResetTime::SameStep,
            reset_grad: ResetGrad::Through,
            ..Firing::default()
        };
        Self { beta: 1.0 - 1.0 / tau, gain: 1.0 / tau, firing }
    }

    /// Norse's `LIFBoxCell`: `U = U + Δt/τ·(I − U)`, spike if above 1, reset to zero in the same step, differentiated
    /// through; `SuperSpike` surrogate of slope 1, which is what its backward computes.
    #[must_use]
    pub fn norse(dt_over_tau: f32) -> Self {
        let firing = Firing {
            reset: Reset::Zero,
            reset_time: ResetTime::SameStep,
            reset_grad: ResetGrad::Through,
            surrogate: Surrogate::FastSigmoid { slope: 1.0 },
            ..Firing::default()
        };
        Self { beta: 1.0 - dt_over_tau, gain: dt_over_tau, firing }
    }

    /// The one-state neuron of Lui and Neftci 2021 (arXiv:2104.14117): `U[t] = α·U[t−1]·(1 − S[t−1]) + I[t]`, spike if
    /// above 0, boxcar surrogate of half width 0.5.
    ///
    /// Algebraically the same as the paper's `P`, `R`, `U`, `S` recursion, with one state variable instead of four. The
    /// paper detaches `R`; for that learning rule set `firing.reset_grad` to [`ResetGrad::FrozenTerm`]. Here the default
    /// is [`ResetGrad::Detached`], which is plain backpropagation through time with a detached reset.
    #[must_use]
    pub fn lui_neftci(alpha: f32) -> Self {
        let firing = Firing {
            threshold: 0.0,
            reset: Reset::Zero,
            surrogate: Surrogate::Boxcar { width: 0.5 },
            ..Firing::default()
        };
        Self { beta: alpha, gain: 1.0, firing }
    }

    /// Integrate-and-fire: no leak, otherwise [`Lif::snntorch`].
    #[must_use]
    pub fn integrate_and_fire() -> Self {
        Self::snntorch(1.0)
    }

    #[inline(always)]
    fn constants<S: Scalar>(&self) -> (S, S) {
        (S::from_f64(f64::from(self.beta)), S::from_f64(f64::from(self.gain)))
    }
}

impl Dynamics<1> for Lif {
    fn name(&self) -> &'static str {
        "lif"
    }

    #[inline(always)]
    fn integrate<S: Scalar>(&self, state: &mut [S; 1], cur: S) {
        let (beta, gain) = self.constants::<S>();
        state[0] = self.firing.carry(state[0], beta) + gain * cur;
    }

    #[inline(always)]
    fn integrate_backward<S: Scalar>(&self, before: &[S; 1], g: &mut [S; 1]) -> S {
        let (beta, gain) = self.constants::<S>();
        let g_cur = g[0] * gain;
        g[0] = self.firing.carry_backward(before[0], beta, g[0]);
        g_cur
    }

    #[inline(always)]
    fn fire<S: Scalar>(&self, state: &mut [S; 1]) -> S {
        let (spk, mem) = self.firing.emit(state[0]);
        state[0] = mem;
        spk
    }

    #[inline(always)]
    fn fire_backward<S: Scalar>(&self, before: &[S; 1], g_out: S, g: &mut [S; 1]) {
        g[0] = self.firing.emit_backward(before[0], g_out, g[0]);
    }
}
