//! What NIR files leave open, and how the programs that write them fill it in.

use snn_core::neuron::{Reset, ResetTime, SpikeWhen};

/// How the differential equations of a graph become time steps.
///
/// With β the decay of the membrane per step and g its input gain, a neuron computes `v = β·v + g·I`, then spikes, then
/// resets; a synapse has α and a gain of its own. Integrators (`IF`, `I`) have no τ to compare the step with. The constructors are named after programs; what they say about them was found by running the versions in
/// `tools/nir/requirements*.txt`, except where noted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Convention {
    /// Time step in seconds, or in whatever unit the file's time constants have.
    pub dt: f64,
    /// The decay per step.
    pub decay: Decay,
    /// The gain of inputs.
    pub drive: Drive,
    /// The gain of integrators.
    pub integration: Integration,
    /// The spike test; NIR says above.
    pub spike_when: SpikeWhen,
    /// What a spike does; NIR says that it sets the membrane to `v_reset`, for which [`Reset::Zero`] stands here.
    pub reset: Reset,
    /// When it does so. Spikes do not depend on it under [`Reset::Zero`].
    pub reset_time: ResetTime,
    /// Whether `sim` metadata, as [`export()`](crate::export()) writes them, go before the fields above.
    pub metadata: MetadataUse,
}

/// The decay of a state with time constant τ in a step of Δt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decay {
    /// Forward Euler, 1 − Δt/τ.
    Euler,
    /// The exact solution without input, exp(−Δt/τ).
    Exponential,
}

/// What a state with time constant τ gets of an input I with resistance R in a step of Δt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drive {
    /// Forward Euler, R·Δt/τ·I.
    Euler,
    /// The exact solution for constant input, R·(1 − exp(−Δt/τ))·I.
    Exponential,
    /// R·I.
    Unscaled,
}

/// What an integrator with resistance R gets of an input I in a step of Δt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Integration {
    /// R·I: the step is the unit of time.
    PerStep,
    /// Forward Euler, R·Δt·I.
    Euler,
}

/// What is done with metadata that this crate writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetadataUse {
    /// Where a node says how it was simulated, so it is.
    Honor,
    /// They are passed over, as other programs do.
    Ignore,
}

impl Convention {
    /// NIR's equations by forward Euler with the step `dt` in seconds.
    #[must_use]
    pub fn euler(dt: f64) -> Self {
        Self {
            dt,
            decay: Decay::Euler,
            drive: Drive::Euler,
            integration: Integration::Euler,
            spike_when: SpikeWhen::Above,
            reset: Reset::Zero,
            reset_time: ResetTime::SameStep,
            metadata: MetadataUse::Honor,
        }
    }

    /// snnTorch: forward Euler with the step 10⁻⁴ s that its exporter and importer have built in.
    ///
    /// Its files do not say how spikes reset. This is the hard reset of `reset_mechanism="zero"`; for its default, set
    /// `reset` to [`Reset::Subtract`], and for `reset_delay=False`, `reset_time` to [`ResetTime::SameStep`].
    #[must_use]
    pub fn snntorch() -> Self {
        Self { reset_time: ResetTime::NextStep, integration: Integration::PerStep, ..Self::euler(1e-4) }
    }

    /// Norse, whose exporter was called with `dt` (10⁻³ if not given): its files hold Δt·τ instead of τ, so that
    /// the step to use is Δt².
    #[must_use]
    pub fn norse(dt: f64) -> Self {
        Self { integration: Integration::PerStep, ..Self::euler(dt * dt) }
    }

    /// Sinabs with `SingleSpike` and `norm_input=False`: time constants in steps, exponential decay, unscaled inputs, a spike
    /// at or above the threshold, which it subtracts. Its `MultiSpike` has no counterpart here.
    #[must_use]
    pub fn sinabs() -> Self {
        Self {
            decay: Decay::Exponential,
            drive: Drive::Unscaled,
            integration: Integration::PerStep,
            spike_when: SpikeWhen::AtOrAbove,
            reset: Reset::Subtract,
            ..Self::euler(1.0)
        }
    }

    /// `SpikingJelly`: forward Euler with the step 10⁻⁴ s of its exporter, a spike at or above the threshold.
    #[must_use]
    pub fn spikingjelly() -> Self {
        Self { spike_when: SpikeWhen::AtOrAbove, ..Self::euler(1e-4) }
    }

    /// Rockpool with step `dt` (from its source, not run): exponential decay, a spike at or above the threshold, which it
    /// subtracts. It writes R such that R·Δt/τ is the decay: inputs decay in the step in which they come.
    #[must_use]
    pub fn rockpool(dt: f64) -> Self {
        Self {
            decay: Decay::Exponential,
            spike_when: SpikeWhen::AtOrAbove,
            reset: Reset::Subtract,
            ..Self::euler(dt)
        }
    }

    pub(crate) fn decay_of(&self, tau: f64) -> f64 {
        match self.decay {
            Decay::Euler => 1.0 - self.dt / tau,
            Decay::Exponential => (-self.dt / tau).exp(),
        }
    }

    pub(crate) fn integration_gain(&self) -> f64 {
        match self.integration {
            Integration::PerStep => 1.0,
            Integration::Euler => self.dt,
        }
    }

    pub(crate) fn drive_of(&self, r: f64, tau: f64) -> f64 {
        match self.drive {
            Drive::Euler => r * (self.dt / tau),
            Drive::Exponential => r * -(-self.dt / tau).exp_m1(),
            Drive::Unscaled => r,
        }
    }
}
