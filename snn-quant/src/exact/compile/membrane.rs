//! How membranes are kept: in few bits of fixed point, or on a table of levels.

use super::bounds::Reach;
use super::{Bounds, Compiler, EXACT, low_u8, to_int};
use crate::exact::error::{ExactError, Inexact};
use crate::num::{ceil_log2, exp2, floor_log2, to_f32};
use crate::uniform::ClipGrad;
use crate::{FixedPointSpec, LevelSpec, LevelTable, StateQuantizer, StateSpec};
use snn_int::neuron as int;

/// Most left shifts that accumulated codes are given to refine a membrane.
const MAX_REFINE: i32 = 12;

/// Most bits that a membrane's step may be above that of the accumulated codes.
const MAX_COARSEN: i32 = 16;

/// Fewest units between neighboring levels of a table, as far as there is room.
const LEVEL_GAP: f64 = 4.0;

/// How a membrane is kept.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) form: Form,
    /// Its step is the unit of the accumulated codes times two to this.
    pub(super) exponent: i32,
    pub(super) placement: int::Placement,
    pub(super) masks_clipped: bool,
}

/// In which numbers.
#[derive(Debug, Clone)]
pub(super) enum Form {
    Bits(u8),
    Levels(u8, LevelTable),
}

impl Kept {
    /// The membrane of a readout without neurons: as it is summed.
    fn readout() -> Self {
        let placement = int::Placement::BeforeSpike;
        Self { form: Form::Bits(32), exponent: 0, placement, masks_clipped: false }
    }

    /// The same for the engine.
    pub(super) fn store(&self, overflow: int::Overflow) -> int::Store {
        match self.form {
            Form::Bits(bits) => int::Store::Shift {
                shift: low_u8(self.exponent.max(0).cast_unsigned()),
                rounding: int::Rounding::NearestEven,
                width: int::Width { bits, overflow },
            },
            Form::Levels(bits, _) => int::Store::Levels { bits },
        }
    }

    /// The levels as the nearest integers, then the largest integers that still take the level below each boundary.
    pub(super) fn table(&self, unit: f32) -> Vec<i32> {
        let Form::Levels(_, table) = &self.form else { return Vec::new() };
        let levels = table.integer_levels(unit.into()).into_iter();
        let entries = levels.chain(table.integer_boundaries(unit.into()));
        entries.map(|entry| to_int((entry as f64).clamp(-EXACT, EXACT))).collect()
    }

    /// The largest value, in units of the accumulated codes or, where these are refined, of the refined ones.
    fn largest(&self, unit: f64) -> f64 {
        match &self.form {
            Form::Bits(bits) => {
                (2_f64.powi(i32::from(*bits) - 1) - 1.0) * f64::from(exp2(self.exponent.max(0)))
            }
            Form::Levels(_, table) => {
                table.levels().last().map_or(0.0, |&level| (f64::from(level) / unit).round_ties_even())
            }
        }
    }
}

impl Compiler<'_> {
    /// How the membrane of the stage is kept.
    pub(super) fn kept(&self, scales: &[f32], reach: &[Reach]) -> Result<Kept, ExactError> {
        if self.found.layer.is_none() {
            return Ok(Kept::readout());
        }
        let Some(spec) = self.plan.states.get(&self.name()) else {
            return self.refuse(Inexact::FloatMembrane);
        };
        let smallest = scales.iter().copied().fold(f32::INFINITY, f32::min);
        let most = reach.iter().map(|reach| reach.whole).fold(1.0, f64::max);
        let room = floor_log2(to_f32(EXACT / 2.0 / most)).clamp(0, MAX_REFINE);
        match &spec.quantizer {
            StateQuantizer::FixedPoint(fixed) => self.fixed_point(spec, fixed, smallest, room),
            StateQuantizer::Levels(_) if scales.len() > 1 => self.refuse(Inexact::LevelScales),
            StateQuantizer::Levels(levels) => self.levels(spec, levels, smallest, room),
        }
    }

    /// In steps of the smallest scale times the least power of two with which its bits reach the range that the plan asks
    /// for.
    fn fixed_point(
        &self,
        spec: &StateSpec,
        fixed: &FixedPointSpec,
        smallest: f32,
        room: i32,
    ) -> Result<Kept, ExactError> {
        let Ok(format) = fixed.format() else { return self.refuse(Inexact::NotCalibrated) };
        let bits = spec.bits().get();
        if bits < 2 {
            return self.refuse(Inexact::OneBitMembrane);
        }
        let wanted = exp2(format.int_bits()) / exp2(bits.cast_signed() - 1);
        let exponent = ceil_log2(wanted / smallest).max(-room);
        let most = MAX_COARSEN.min(32 - bits.cast_signed());
        if exponent > most && self.bounds == Bounds::Checked {
            return self.refuse(Inexact::Coarse { exponent });
        }
        Ok(Kept {
            form: Form::Bits(low_u8(bits)),
            exponent: exponent.min(most),
            placement: placement(spec),
            masks_clipped: fixed.clip_grad == ClipGrad::Zero,
        })
    }

    /// In the scale, refined until neighboring levels are some units apart.
    fn levels(
        &self,
        spec: &StateSpec,
        levels: &LevelSpec,
        scale: f32,
        room: i32,
    ) -> Result<Kept, ExactError> {
        if levels.learn.is_some() {
            return self.refuse(Inexact::LearnedLevels);
        }
        let Ok(table) = levels.table() else { return self.refuse(Inexact::NotCalibrated) };
        let gaps = table.levels().windows(2).map(|pair| f64::from(pair[1]) - f64::from(pair[0]));
        let gap = gaps.filter(|&gap| gap > 0.0).fold(f64::INFINITY, f64::min);
        let exponent = -ceil_log2(to_f32(LEVEL_GAP * f64::from(scale) / gap)).clamp(0, room);
        Ok(Kept {
            form: Form::Levels(low_u8(levels.bits.get()), table),
            exponent,
            placement: placement(spec),
            masks_clipped: levels.clip_grad == ClipGrad::Zero,
        })
    }

    /// Whether the threshold, real and in integers of a unit, is one that the membrane can tell and reach.
    pub(super) fn check_threshold(
        &self,
        real: f32,
        [threshold, unit]: [f64; 2],
        kept: &Kept,
    ) -> Result<(), ExactError> {
        if self.bounds == Bounds::Open {
            return Ok(());
        }
        if threshold.abs() < 1.0 {
            return self.refuse(Inexact::FineThreshold { threshold: real });
        }
        let largest = kept.largest(unit);
        if threshold > largest && kept.placement == int::Placement::BeforeSpike {
            return self.refuse(Inexact::Unreachable { threshold: real, largest, integer: threshold });
        }
        Ok(())
    }
}

fn placement(spec: &StateSpec) -> int::Placement {
    match spec.placement {
        crate::Placement::BeforeSpike => int::Placement::BeforeSpike,
        crate::Placement::OnStore => int::Placement::OnStore,
    }
}
