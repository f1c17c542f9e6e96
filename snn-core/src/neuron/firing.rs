//! The threshold unit that all spiking neurons share: when a spike is fired, how the membrane is reset, and which
//! derivative each has.

use crate::scalar::{Real, Scalar};
use crate::surrogate::Surrogate;

/// Threshold, spike test, reset and surrogate gradient of a neuron.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Firing {
    /// Firing threshold θ.
    pub threshold: f32,
    /// The spike test.
    pub spike_when: SpikeWhen,
    /// What a spike does to the membrane.
    pub reset: Reset,
    /// When it does so.
    pub reset_time: ResetTime,
    /// Which derivative the reset has.
    pub reset_grad: ResetGrad,
    /// Stands in for the derivative of the spike.
    pub surrogate: Surrogate,
    /// A hard step, or the surrogate's primitive for checks against finite differences.
    pub forward: SpikeForward,
}

/// The spike test. With integer membranes `mem == threshold` is common, so it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpikeWhen {
    /// `mem > threshold` (snnTorch, Norse, Loihi).
    Above,
    /// `mem >= threshold` (SpikingJelly, lava-dl).
    AtOrAbove,
}

/// What a spike does to the membrane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// Subtracts the threshold (soft reset).
    Subtract,
    /// Sets the membrane to zero (hard reset).
    Zero,
    /// Nothing.
    None,
}

/// When the reset takes place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetTime {
    /// In the next step, from the stored membrane: a zero reset before the leak, a subtraction after it (snnTorch).
    NextStep,
    /// In the step of the spike, before the state is stored (SpikingJelly, Norse).
    SameStep,
}

/// Which derivative the reset has. It changes gradients and curvature, so it stands beside every Hessian number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetGrad {
    /// The spike in the reset is a constant (snnTorch).
    Detached,
    /// The spike in the reset has the surrogate's derivative.
    Through,
    /// The whole reset term is a constant, so that ∂mem/∂weight is the leaky sum of past inputs: the eligibility trace
    /// of DECOLLE (Kaiser, Mostafa, Neftci 2020), whose refractory state is detached.
    FrozenTerm,
}

/// The forward of the spike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpikeForward {
    /// A step: 0 or 1.
    Hard,
    /// The smooth primitive of the surrogate. Not a spiking network: for checking derivatives.
    Smooth,
}

impl Default for Firing {
    /// snnTorch's `Leaky`: θ = 1, `mem > θ`, delayed subtractive reset with detached spike, arc-tangent surrogate.
    fn default() -> Self {
        Self {
            threshold: 1.0,
            spike_when: SpikeWhen::Above,
            reset: Reset::Subtract,
            reset_time: ResetTime::NextStep,
            reset_grad: ResetGrad::Detached,
            surrogate: Surrogate::default(),
            forward: SpikeForward::Hard,
        }
    }
}

impl Firing {
    #[inline(always)]
    fn theta<S: Scalar>(&self) -> S {
        S::from_f64(f64::from(self.threshold))
    }

    /// The spike of a membrane potential: 0 or 1, with the surrogate's slope.
    #[inline(always)]
    pub fn spike<S: Scalar>(&self, mem: S) -> S {
        self.spike_over(mem, self.theta())
    }

    /// The spike against a threshold that may vary (adaptive neurons).
    #[inline(always)]
    pub fn spike_over<S: Scalar>(&self, mem: S, threshold: S) -> S {
        let over = mem - threshold;
        let u = over.value();
        let value = match self.forward {
            SpikeForward::Hard => {
                let fires = match self.spike_when {
                    SpikeWhen::Above => u > S::Real::ZERO,
                    SpikeWhen::AtOrAbove => u >= S::Real::ZERO,
                };
                if fires { S::Real::ONE } else { S::Real::ZERO }
            }
            SpikeForward::Smooth => S::Real::of_f64(self.surrogate.primitive(u.as_f64())),
        };
        over.jet(value, self.surrogate.grad(u))
    }

    /// The derivative of the spike by the membrane.
    #[inline(always)]
    pub fn slope<S: Scalar>(&self, mem: S) -> S {
        self.surrogate.grad(mem - self.theta())
    }

    /// The membrane that a leak of `beta` and a delayed reset leave of the stored one.
    #[inline(always)]
    pub fn carry<S: Scalar>(&self, mem: S, beta: S) -> S {
        let leaked = beta * mem;
        match self.reset_time {
            ResetTime::NextStep => leaked - self.reset_term(self.spike(mem), leaked),
            ResetTime::SameStep => leaked,
        }
    }

    /// Gradient by the stored membrane of [`Firing::carry`], whose result has gradient `g`.
    #[inline(always)]
    pub fn carry_backward<S: Scalar>(&self, mem: S, beta: S, g: S) -> S {
        match self.reset_time {
            ResetTime::NextStep => {
                let (by_spk, by_leaked) = self.reset_partials(self.spike(mem), beta * mem);
                let stays = beta * (S::ONE - by_leaked);
                if self.resets_through() { g * (stays - by_spk * self.slope(mem)) } else { g * stays }
            }
            ResetTime::SameStep => g * beta,
        }
    }

    /// Spike, and the membrane after a reset in the same step.
    #[inline(always)]
    pub fn emit<S: Scalar>(&self, mem: S) -> (S, S) {
        let spk = self.spike(mem);
        match self.reset_time {
            ResetTime::NextStep => (spk, mem),
            ResetTime::SameStep => (spk, mem - self.reset_term(spk, mem)),
        }
    }

    /// Gradient by the membrane of [`Firing::emit`], whose results have gradients `g_spk` and `g_mem`.
    #[inline(always)]
    pub fn emit_backward<S: Scalar>(&self, mem: S, g_spk: S, g_mem: S) -> S {
        match self.reset_time {
            ResetTime::NextStep => g_spk * self.slope(mem) + g_mem,
            ResetTime::SameStep => {
                let (by_spk, by_mem) = self.reset_partials(self.spike(mem), mem);
                let g_spk = if self.resets_through() { g_spk - g_mem * by_spk } else { g_spk };
                g_spk * self.slope(mem) + g_mem * (S::ONE - by_mem)
            }
        }
    }

    /// Whether the reset passes gradients to the spike: where it does not, slopes need not be found to be multiplied by zero.
    #[inline(always)]
    fn resets_through(&self) -> bool {
        self.reset_grad == ResetGrad::Through && self.reset != Reset::None
    }

    /// What a reset takes away: `θ·S`, `leaked·S` or nothing, where `S` is the spike and `leaked` the membrane that a zero
    /// reset clears.
    #[inline(always)]
    pub(super) fn reset_term<S: Scalar>(&self, spk: S, leaked: S) -> S {
        let spk = if self.reset_grad == ResetGrad::Through { spk } else { spk.detach() };
        let term = match self.reset {
            Reset::Subtract => self.theta::<S>() * spk,
            Reset::Zero => leaked * spk,
            Reset::None => S::ZERO,
        };
        if self.reset_grad == ResetGrad::FrozenTerm { term.detach() } else { term }
    }

    /// Derivatives of [`Firing::reset_term`] by the spike and by `leaked`.
    #[inline(always)]
    pub(super) fn reset_partials<S: Scalar>(&self, spk: S, leaked: S) -> (S, S) {
        match (self.reset_grad, self.reset) {
            (ResetGrad::FrozenTerm, _) | (_, Reset::None) | (ResetGrad::Detached, Reset::Subtract) => {
                (S::ZERO, S::ZERO)
            }
            (ResetGrad::Detached, Reset::Zero) => (S::ZERO, spk.detach()),
            (ResetGrad::Through, Reset::Subtract) => (self.theta(), S::ZERO),
            (ResetGrad::Through, Reset::Zero) => (leaked, spk),
        }
    }
}
