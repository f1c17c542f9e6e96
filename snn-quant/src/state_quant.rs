//! Membrane quantizers as state maps of a neuron scan.

use crate::uniform::ClipGrad;
use crate::{DrawPosition, Grid, QuantError, Rounding, StateQuantizer, StateSpec};
use snn_core::neuron::{self, Site, StateMap};
use snn_core::{Real, Scalar};

/// Quantizes a membrane to fixed point in every time step, with a straight-through gradient.
#[derive(Debug, Clone)]
pub struct FixedPointMap {
    grid: Grid,
    placement: neuron::Placement,
    clip_grad: ClipGrad,
    rounding: Rounding,
    /// Step of the run, for stochastic rounding; `None` rounds to nearest.
    step: Option<u64>,
}

impl FixedPointMap {
    /// The map of a specification whose range is known; `step` numbers the pass for stochastic rounding.
    ///
    /// # Errors
    /// [`QuantError::NotCalibrated`] before calibration.
    pub fn new(spec: &StateSpec, step: Option<u64>) -> Result<Self, QuantError> {
        let StateQuantizer::FixedPoint(fixed) = &spec.quantizer;
        Ok(Self {
            grid: spec.format()?.grid(),
            placement: spec.placement.into(),
            clip_grad: fixed.clip_grad,
            rounding: fixed.rounding,
            step,
        })
    }

    fn round(&self, site: Site, values: &mut [f32]) {
        match self.step {
            None => self.grid.round_slice(values, Rounding::Nearest, DrawPosition::default()),
            Some(step) => {
                // One stream for each pass, state variable and time step.
                let part = snn_core::rng::mix(site.step as u64 ^ (site.state as u64) << 32);
                let at = DrawPosition { step: step ^ part, first_index: site.offset as u64 };
                self.grid.round_slice(values, self.rounding, at);
            }
        }
    }

    fn slope(&self, v: f32) -> f32 {
        if self.clip_grad == ClipGrad::Pass || self.grid.contains(v) { 1.0 } else { 0.0 }
    }
}

impl<S: Scalar> StateMap<S> for FixedPointMap {
    fn placement(&self) -> neuron::Placement {
        self.placement
    }

    fn apply(&self, site: Site, state: &mut [S]) {
        let mut levels: Vec<f32> = state.iter().map(|&u| value(u)).collect();
        self.round(site, &mut levels);
        for (u, level) in state.iter_mut().zip(levels) {
            *u = u.jet(real(level), real(self.slope(value(*u))));
        }
    }

    fn backward(&self, _site: Site, before: &[S], g: &mut [S]) {
        if self.clip_grad == ClipGrad::Pass {
            return;
        }
        for (g, &u) in g.iter_mut().zip(before) {
            *g *= S::constant(real(self.slope(value(u))));
        }
    }
}

impl From<crate::Placement> for neuron::Placement {
    fn from(placement: crate::Placement) -> Self {
        match placement {
            crate::Placement::BeforeSpike => Self::BeforeSpike,
            crate::Placement::OnStore => Self::OnStore,
        }
    }
}

fn value<S: Scalar>(u: S) -> f32 {
    f32::of_f64(u.to_f64())
}

fn real<R: Real>(v: f32) -> R {
    R::of_f64(f64::from(v))
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "levels are compared exactly")]
mod tests {
    use super::*;
    use crate::{BitWidth, FixedPointSpec};
    use snn_core::Tensor;
    use snn_core::neuron::{Lif, Scan};

    fn map(clip_grad: ClipGrad) -> FixedPointMap {
        let fixed = FixedPointSpec { clip_grad, ..FixedPointSpec::new(BitWidth::new(4).unwrap()) };
        let spec =
            StateSpec { quantizer: StateQuantizer::FixedPoint(fixed), ..StateSpec::fixed_point(fixed.bits) };
        FixedPointMap::new(&spec, None).unwrap()
    }

    #[test]
    fn every_stored_membrane_is_a_level_and_a_resting_one_stays_at_rest() {
        let grid = map(ClipGrad::Pass).grid;
        let scan = Box::new(Scan::<_, f32, 1>::new(Lif { beta: 0.9, ..Lif::lui_neftci(0.9) }));
        let scan = neuron::NeuronOp::with_state_map(scan, std::sync::Arc::new(map(ClipGrad::Pass)));
        let input: Vec<f32> = (0..60).map(|i| if i < 40 { 0.0 } else { -0.21 }).collect();
        let run = scan.trajectory(&[&Tensor::new(&[60, 1, 1], input)]);
        assert!(run.states[0].as_slice()[..40].iter().all(|&u| u == 0.0));
        let last = run.last.variables[0][0];
        assert_eq!(grid.fake_quant(last), last);
        assert_eq!(last, -1.0);
    }

    #[test]
    fn the_mask_stops_gradients_of_saturated_membranes() {
        let site = Site { state: 0, step: 0, offset: 0 };
        for (clip_grad, want) in [(ClipGrad::Pass, [1.0, 1.0]), (ClipGrad::Zero, [1.0, 0.0])] {
            let mut g = [1.0_f32; 2];
            StateMap::<f32>::backward(&map(clip_grad), site, &[0.4, 1.3], &mut g);
            assert_eq!(g, want);
        }
    }
}
