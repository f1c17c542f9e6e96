//! Neurons: from time constants, resistances and potentials to decays, gains and thresholds.

use super::order::Link;
use super::steps::{Steps, unsupported};
use crate::convention::{Convention, MetadataUse};
use crate::error::ImportError;
use crate::note::Note;
use crate::num::{is_same, to_f32, uniform};
use crate::primitive::Primitive;
use crate::sim::{self, Sim};
use snn_core::io::Array;
use snn_core::layer::NeuronKind;
use snn_core::neuron::{CubaLif, Firing, Li, Lif, Reset};

/// Decays this far outside of 0 to 1 are rounding.
const ROUNDING: f64 = 1e-12;

/// The membrane of a layer, one number for each neuron.
struct Membrane {
    /// Resistance, and all else that differs between neurons and multiplies their input.
    gains: Vec<f64>,
    /// What multiplies the input of all of them.
    drive: f64,
    thresholds: Vec<f64>,
}

impl Steps {
    pub(super) fn neuron(&mut self, link: &Link<'_>) -> Result<(), ImportError> {
        match &link.node.primitive {
            Primitive::Lif { tau, r, v_leak, v_threshold, v_reset } => {
                let gains = self.spread(&link.name, "r", r)?;
                let (beta, drive) = self.decay(link, "tau", tau)?;
                let thresholds = self.thresholds(link, Some(v_leak), v_threshold, v_reset.as_ref())?;
                self.lif(link, beta, &Membrane { gains, drive, thresholds })
            }
            Primitive::If { r, v_threshold, v_reset } => {
                let gains = self.spread(&link.name, "r", r)?;
                let thresholds = self.thresholds(link, None, v_threshold, v_reset.as_ref())?;
                let drive = self.integration(link);
                self.lif(link, 1.0, &Membrane { gains, drive, thresholds })
            }
            cuba @ Primitive::CubaLif { .. } => self.cuba_lif(link, cuba),
            Primitive::Li { tau, r, v_leak } => {
                let (beta, drive) = self.decay(link, "tau", tau)?;
                if !self.spread(&link.name, "v_leak", v_leak)?.iter().all(|&v| is_same(v, 0.0)) {
                    let reason = "must be 0 where there is no threshold to move it into".to_owned();
                    return Err(ImportError::Parameter { node: link.name.clone(), field: "v_leak", reason });
                }
                self.li(link, beta, drive, r)
            }
            Primitive::I { r } => self.li(link, 1.0, self.integration(link), r),
            Primitive::Threshold { threshold } => {
                let thresholds = self.spread(&link.name, "threshold", threshold)?;
                self.threshold(link, thresholds)
            }
            _ => unsupported(link, "there is no such layer here"),
        }
    }

    fn sim(&self, link: &Link<'_>) -> Sim {
        match self.convention.metadata {
            MetadataUse::Honor => sim::read(&link.node.metadata),
            MetadataUse::Ignore => Sim::default(),
        }
    }

    fn integration(&self, link: &Link<'_>) -> f64 {
        let integration = self.sim(link).integration.unwrap_or(self.convention.integration);
        Convention { integration, ..self.convention }.integration_gain()
    }

    fn lif(&mut self, link: &Link<'_>, beta: f64, membrane: &Membrane) -> Result<(), ImportError> {
        let unit = self.sim(link).unit.unwrap_or(1.0);
        let (gain, threshold) = match self.shared(membrane) {
            Some((gain, threshold)) => (gain * membrane.drive, threshold),
            None => (membrane.drive, self.share(link, membrane, 1.0)?),
        };
        let firing = self.firing(link, threshold * unit);
        self.finish(link, Lif { beta: to_f32(beta), gain: to_f32(gain * unit), firing })
    }

    /// Neurons with a synaptic current have no gain here: a shared one divides the threshold.
    fn cuba_lif(&mut self, link: &Link<'_>, cuba: &Primitive) -> Result<(), ImportError> {
        let Primitive::CubaLif { tau_syn, tau_mem, r, v_leak, v_threshold, v_reset, w_in } = cuba else {
            unreachable!("a neuron with a synaptic current")
        };
        let mut gains = self.spread(&link.name, "r", r)?;
        if let Some(w_in) = w_in {
            let w_in = self.spread(&link.name, "w_in", w_in)?;
            gains.iter_mut().zip(w_in).for_each(|(gain, w)| *gain *= w);
        }
        let (alpha, drive_syn) = self.decay(link, "tau_syn", tau_syn)?;
        let (beta, drive_mem) = self.decay(link, "tau_mem", tau_mem)?;
        let thresholds = self.thresholds(link, Some(v_leak), v_threshold, v_reset.as_ref())?;
        let membrane = Membrane { gains, drive: drive_syn * drive_mem, thresholds };
        let threshold = match self.shared(&membrane) {
            Some((gain, threshold)) if gain > 0.0 => threshold / (gain * membrane.drive),
            _ => self.share(link, &membrane, membrane.drive)?,
        };
        let firing = self.firing(link, threshold);
        self.finish(link, CubaLif { alpha: to_f32(alpha), beta: to_f32(beta), firing })
    }

    /// Leaky integrators have neither gain nor threshold here: weights take up both.
    fn li(&mut self, link: &Link<'_>, beta: f64, drive: f64, r: &Array) -> Result<(), ImportError> {
        let factors: Vec<f64> =
            self.spread(&link.name, "r", r)?.iter().map(|gain| settle(gain * drive)).collect();
        if uniform(&factors).is_none_or(|k| !is_same(k, 1.0)) {
            self.take_up(link, &factors)?;
        }
        self.finish(link, Li { beta: to_f32(beta) })
    }

    /// A neuron that forgets at once.
    fn threshold(&mut self, link: &Link<'_>, thresholds: Vec<f64>) -> Result<(), ImportError> {
        let membrane = Membrane { gains: vec![1.0; thresholds.len()], drive: 1.0, thresholds };
        let threshold = match self.shared(&membrane) {
            Some((_, threshold)) => threshold,
            None => self.share(link, &membrane, 1.0)?,
        };
        let firing = Firing { reset: Reset::None, ..self.firing(link, threshold) };
        self.finish(link, Lif { beta: 0.0, gain: 1.0, firing })
    }

    fn finish(&mut self, link: &Link<'_>, kind: impl Into<NeuronKind>) -> Result<(), ImportError> {
        self.push_recurrent(link)?;
        self.push_neuron(&link.name, kind.into());
        Ok(())
    }

    fn firing(&self, link: &Link<'_>, threshold: f64) -> Firing {
        let (sim, convention) = (self.sim(link), &self.convention);
        Firing {
            threshold: to_f32(threshold),
            spike_when: sim.spike_when.unwrap_or(convention.spike_when),
            reset: sim.reset.unwrap_or(convention.reset),
            reset_time: sim.reset_time.unwrap_or(convention.reset_time),
            ..Firing::default()
        }
    }

    /// The decay that all neurons of a layer share, and the drive of their input.
    fn decay(&self, link: &Link<'_>, field: &'static str, tau: &Array) -> Result<(f64, f64), ImportError> {
        let fail = |reason| Err(ImportError::Parameter { node: link.name.clone(), field, reason });
        let Some(tau) = uniform(&self.spread(&link.name, field, tau)?) else {
            return fail("differs between neurons, and layers here have one decay".to_owned());
        };
        let decay = self.convention.decay_of(tau);
        if tau <= 0.0 || !(-ROUNDING..=1.0).contains(&decay) {
            let dt = self.convention.dt;
            return fail(format!("is {tau}, which makes the decay per step of {dt} {decay}"));
        }
        Ok((decay.max(0.0), self.convention.drive_of(1.0, tau)))
    }

    /// Thresholds, counted from the leak potential.
    fn thresholds(
        &mut self,
        link: &Link<'_>,
        v_leak: Option<&Array>,
        v_threshold: &Array,
        v_reset: Option<&Array>,
    ) -> Result<Vec<f64>, ImportError> {
        let name = &link.name;
        let mut thresholds = self.spread(name, "v_threshold", v_threshold)?;
        let n = thresholds.len();
        let leak = v_leak.map_or(Ok(vec![0.0; n]), |v| self.spread(name, "v_leak", v))?;
        let reset = v_reset.map_or(Ok(vec![0.0; n]), |v| self.spread(name, "v_reset", v))?;
        let fail = |field, reason: &str| {
            Err(ImportError::Parameter { node: name.clone(), field, reason: reason.to_owned() })
        };
        let is_shifted = !leak.iter().all(|&v| is_same(v, 0.0));
        match self.firing(link, 0.0).reset {
            Reset::Zero if reset != leak => {
                return fail("v_reset", "is not v_leak, and layers here reset to where the membrane rests");
            }
            Reset::Subtract if is_shifted => return fail("v_leak", "must be 0 under a reset by subtraction"),
            _ => {}
        }
        if is_shifted {
            thresholds.iter_mut().zip(&leak).for_each(|(threshold, leak)| *threshold -= leak);
            self.notes.push(Note::Shifted { node: name.clone() });
        }
        Ok(thresholds)
    }

    /// Gain and threshold, if all neurons have the same; not where integer weights are to take up the gain.
    fn shared(&self, membrane: &Membrane) -> Option<(f64, f64)> {
        if self.reaches_codes() {
            return None;
        }
        Some((uniform(&membrane.gains)?, uniform(&membrane.thresholds)?))
    }

    /// Makes the neurons share a threshold, which it returns, and the gain 1: `gain·drive·I` against θ is
    /// `(gain·drive·θ₀/θ)·I` against θ₀, and the weights take up the factor.
    fn share(&mut self, link: &Link<'_>, membrane: &Membrane, drive: f64) -> Result<f64, ImportError> {
        let first = membrane.thresholds[0];
        let is_shared = uniform(&membrane.thresholds).is_some();
        let ratio = |threshold: f64| if is_shared { 1.0 } else { first / threshold };
        if !membrane.thresholds.iter().all(|&t| ratio(t).is_finite() && ratio(t) > 0.0) {
            let reason = "differs between neurons and is not of one sign".to_owned();
            return Err(ImportError::Parameter { node: link.name.clone(), field: "v_threshold", reason });
        }
        let factors: Vec<f64> = (membrane.gains.iter().zip(&membrane.thresholds))
            .map(|(gain, &threshold)| settle(gain * drive * ratio(threshold)))
            .collect();
        self.take_up(link, &factors)?;
        Ok(first)
    }

    fn take_up(&mut self, link: &Link<'_>, factors: &[f64]) -> Result<(), ImportError> {
        let are_codes = self.reaches_codes();
        let into = self.rescale(
            &link.name,
            factors,
            "differs from 1 or between neurons, and no weights come before",
        )?;
        self.recurrent_factors = Some(factors.to_vec());
        if !are_codes {
            self.notes.push(Note::Rescaled { node: link.name.clone(), into });
        }
        Ok(())
    }
}

/// The `f32` beside a value that differs from it by rounding in `f64` only: products that are one by algebra are one.
fn settle(value: f64) -> f64 {
    let near = f64::from(to_f32(value));
    if (value - near).abs() <= ROUNDING * value.abs() { near } else { value }
}
