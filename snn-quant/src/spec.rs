//! How one tensor or one membrane is quantized: the entries of a plan.
//!
//! A new quantizer is one file and one variant here.

use crate::state_quant::StateLevels;
use crate::uniform::{self, ClipGrad, UniformSpec};
use crate::{BitWidth, FixedPointSpec, LevelSpec, Observer, QuantError, QuantParams, Rounding};
use serde::{Deserialize, Serialize};

/// How a weight tensor is quantized.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "scheme", rename_all = "snake_case")]
pub enum QuantSpec {
    /// Evenly spaced levels with a scale that the values or training decide.
    Uniform(UniformSpec),
    /// Fixed point, with a range that does not depend on the values (unless it is calibrated).
    FixedPoint(FixedPointSpec),
}

impl QuantSpec {
    /// Uniform with the defaults of [`UniformSpec::new`].
    pub fn uniform(bits: BitWidth) -> Self {
        QuantSpec::Uniform(UniformSpec::new(bits))
    }

    /// The width of the codes.
    pub fn bits(&self) -> BitWidth {
        match self {
            QuantSpec::Uniform(spec) => spec.bits,
            QuantSpec::FixedPoint(spec) => spec.bits,
        }
    }

    /// The same scheme at another width.
    pub fn at(self, bits: BitWidth) -> Self {
        match self {
            QuantSpec::Uniform(spec) => QuantSpec::Uniform(spec.at(bits)),
            QuantSpec::FixedPoint(spec) => QuantSpec::FixedPoint(FixedPointSpec { bits, ..spec }),
        }
    }

    /// How values between levels are rounded.
    pub fn rounding(&self) -> Rounding {
        match self {
            QuantSpec::Uniform(_) => Rounding::Nearest,
            QuantSpec::FixedPoint(spec) => spec.rounding,
        }
    }

    /// The gradient where values are clipped.
    pub fn clip_grad(&self) -> ClipGrad {
        match self {
            QuantSpec::Uniform(spec) => spec.effective_clip_grad(),
            QuantSpec::FixedPoint(spec) => spec.clip_grad,
        }
    }

    /// Whether the fields are in range and fit each other.
    ///
    /// # Errors
    /// What [`UniformSpec::check`] and [`FixedPointSpec::check`] find.
    pub fn check(&self) -> Result<(), QuantError> {
        match self {
            QuantSpec::Uniform(spec) => spec.check(),
            QuantSpec::FixedPoint(spec) => spec.check(),
        }
    }

    /// The grids for a tensor with these values; a fixed-point range that is to be calibrated, is so on them.
    ///
    /// # Shapes
    /// As [`uniform::params`].
    ///
    /// # Errors
    /// As [`uniform::params`] and [`FixedPointSpec::calibrated`].
    pub fn params(&self, w: &[f32], shape: &[usize]) -> Result<QuantParams, QuantError> {
        match self {
            QuantSpec::Uniform(spec) => uniform::params(w, shape, spec),
            QuantSpec::FixedPoint(spec) => {
                uniform::check_values(w, shape)?;
                let mut observer = Observer::new();
                observer.observe(w)?;
                Ok(spec.calibrated(&observer)?.format()?.params())
            }
        }
    }
}

/// Where in a neuron's time step its membrane is quantized.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Placement {
    /// After integration, so that the spike is decided on the quantized membrane (snnTorch, Lui & Neftci).
    #[default]
    BeforeSpike,
    /// After the reset, when the membrane is stored for the next step (MINT, SpQuant-SNN).
    OnStore,
}

/// Which state variables of a neuron are quantized.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Variables {
    /// The membrane and, where it has them, synaptic currents and filters.
    #[default]
    All,
    /// The membrane alone.
    Membrane,
}

/// How a neuron layer's membrane is quantized.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateSpec {
    /// Where in the time step.
    #[serde(default)]
    pub placement: Placement,
    /// Which state variables.
    #[serde(default)]
    pub variables: Variables,
    /// To which levels.
    pub quantizer: StateQuantizer,
}

/// The levels of a membrane.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "scheme", rename_all = "snake_case")]
pub enum StateQuantizer {
    /// Fixed point.
    FixedPoint(FixedPointSpec),
    /// A table of levels.
    Levels(LevelSpec),
}

impl From<StateQuantizer> for StateSpec {
    /// All state variables, before the spike.
    fn from(quantizer: StateQuantizer) -> Self {
        StateSpec { placement: Placement::default(), variables: Variables::default(), quantizer }
    }
}

impl StateSpec {
    /// `Q0.(b-1)` before the spike.
    pub fn fixed_point(bits: BitWidth) -> Self {
        StateQuantizer::FixedPoint(FixedPointSpec::new(bits)).into()
    }

    /// A table of levels before the spike: SQUAT.
    pub fn levels(spec: LevelSpec) -> Self {
        StateQuantizer::Levels(spec).into()
    }

    /// The width of the codes.
    pub fn bits(&self) -> BitWidth {
        match &self.quantizer {
            StateQuantizer::FixedPoint(spec) => spec.bits,
            StateQuantizer::Levels(spec) => spec.bits,
        }
    }

    /// The same quantizer at another width.
    pub fn at(self, bits: BitWidth) -> Self {
        let quantizer = match self.quantizer {
            StateQuantizer::FixedPoint(spec) => StateQuantizer::FixedPoint(FixedPointSpec { bits, ..spec }),
            StateQuantizer::Levels(spec) => StateQuantizer::Levels(LevelSpec { bits, ..spec }),
        };
        StateSpec { quantizer, ..self }
    }

    /// Whether the fields are in range.
    ///
    /// # Errors
    /// What [`FixedPointSpec::check`] and [`LevelSpec::check`] find.
    pub fn check(&self) -> Result<(), QuantError> {
        match &self.quantizer {
            StateQuantizer::FixedPoint(spec) => spec.check(),
            StateQuantizer::Levels(spec) => spec.check(),
        }
    }

    /// The same specification with every range found from the membranes observed.
    ///
    /// # Errors
    /// What [`FixedPointSpec::calibrated`] and [`LevelSpec::calibrated`] refuse.
    pub fn calibrated(self, observer: &Observer) -> Result<Self, QuantError> {
        let quantizer = match self.quantizer {
            StateQuantizer::FixedPoint(spec) => StateQuantizer::FixedPoint(spec.calibrated(observer)?),
            StateQuantizer::Levels(spec) => StateQuantizer::Levels(spec.calibrated(observer)?),
        };
        Ok(StateSpec { quantizer, ..self })
    }

    /// The gradient where values are clipped.
    pub fn clip_grad(&self) -> ClipGrad {
        match &self.quantizer {
            StateQuantizer::FixedPoint(spec) => spec.clip_grad,
            StateQuantizer::Levels(spec) if spec.learn.is_some() => ClipGrad::Zero,
            StateQuantizer::Levels(spec) => spec.clip_grad,
        }
    }

    /// How values between levels are rounded.
    pub fn rounding(&self) -> Rounding {
        match &self.quantizer {
            StateQuantizer::FixedPoint(spec) => spec.rounding,
            StateQuantizer::Levels(_) => Rounding::Nearest,
        }
    }

    /// The table whose levels are learned, if they are.
    pub(crate) fn learned_levels(&self) -> Option<LevelSpec> {
        match self.quantizer {
            StateQuantizer::Levels(spec) => Some(spec).filter(|spec| spec.learn.is_some()),
            StateQuantizer::FixedPoint(_) => None,
        }
    }

    /// The levels, learned ones as they start.
    ///
    /// # Errors
    /// [`QuantError::NotCalibrated`] before calibration, and what [`check`](Self::check) finds.
    pub fn found_levels(&self) -> Result<StateLevels, QuantError> {
        Ok(match &self.quantizer {
            StateQuantizer::FixedPoint(spec) => StateLevels::Grid(spec.format()?.grid()),
            StateQuantizer::Levels(spec) => StateLevels::Table(spec.table()?),
        })
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "levels are compared exactly")]
mod tests {
    use super::*;
    use crate::uniform::ScaleRule;
    use crate::{Calibrate, IntBits};

    #[test]
    fn width_changes_keep_everything_else() {
        let (four, eight) = (BitWidth::new(4).unwrap(), BitWidth::new(8).unwrap());
        let weights = QuantSpec::FixedPoint(FixedPointSpec::lui_neftci(four, 3));
        assert_eq!(weights.at(eight), QuantSpec::FixedPoint(FixedPointSpec::lui_neftci(eight, 3)));
        let state = StateSpec { placement: Placement::OnStore, ..StateSpec::fixed_point(four) };
        let wider = state.at(eight);
        assert_eq!((wider.bits(), wider.placement), (eight, Placement::OnStore));
    }

    #[test]
    fn fixed_point_weights_calibrate_on_themselves() {
        let bits = BitWidth::new(8).unwrap();
        let w = [0.1, -0.2];
        let scale = |int_bits| {
            let spec = QuantSpec::FixedPoint(FixedPointSpec { int_bits, ..FixedPointSpec::new(bits) });
            spec.params(&w, &[2]).unwrap().grids()[0].scale()
        };
        assert_eq!(scale(IntBits::Fixed(0)), 2f32.powi(-7));
        assert_eq!(scale(IntBits::Calibrated(Calibrate { calibrate: ScaleRule::AbsMax })), 2f32.powi(-9));
    }
}
