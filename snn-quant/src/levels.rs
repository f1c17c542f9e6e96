//! Tables of membrane levels that need not be evenly spaced: uniform, crowded around the threshold, crowded around zero.
//!
//! Each comes in two variants. The tables of snnTorch have no level at zero (nor at the threshold), so that a membrane
//! without input does not rest: `Q(0)` is 0.80 with two bits around the threshold. [`Variant::ZeroExact`] is the smallest
//! change that mends it.
//!
//! # References
//! Venkatesh, Marinescu, Eshraghian, "SQUAT: Stateful Quantization-Aware Training in Recurrent Spiking Neural Networks",
//! 2024, arXiv 2404.19668; the tables are defined by `state_quant` in snnTorch 1.0. Deviation: a membrane so far outside
//! of the range that `f32` cannot tell its distances to the levels apart saturates here, and gives an arbitrary level
//! there.

use crate::learned_levels::Learn;
use crate::num::{count, to_f32, to_i64, to_index};
use crate::uniform::{ClipGrad, ScaleRule};
use crate::{BitWidth, Observer, QuantError};
use serde::{Deserialize, Serialize};
use snn_core::kernels::levels::Search;

/// Where levels crowd.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spacing {
    /// Nowhere: evenly spaced.
    #[default]
    Uniform,
    /// Around the threshold: steps shrink towards it by the multiplier.
    #[serde(alias = "threshold_centred", alias = "threshold-centered", alias = "threshold-centred")]
    ThresholdCentered,
    /// Around zero.
    #[serde(alias = "zero_centred", alias = "zero-centered", alias = "zero-centred")]
    ZeroCentered,
}

/// Whose table it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Variant {
    /// snnTorch's, level for level.
    #[default]
    #[serde(alias = "snntorch-compat")]
    SnntorchCompat,
    /// With 0 among the levels. Evenly spaced levels keep their step and are shifted by less than half of it, so that
    /// each is a whole number of steps; of the others the one nearest to 0 is moved there.
    #[serde(alias = "zero-exact")]
    ZeroExact,
}

/// A table of levels, as a plan describes it.
///
/// # Examples
/// ```
/// use snn_quant::{BitWidth, LevelSpec, Spacing, Variant};
///
/// let spec = LevelSpec { spacing: Spacing::ThresholdCentered, ..LevelSpec::new(BitWidth::new(2)?) };
/// let table = spec.table()?;
/// assert_eq!(table.levels(), [-1.0, 0.8018018, 0.981982, 1.2]);
/// assert_eq!(table.nearest(0.0), 0.8018018); // a membrane at rest
/// let table = LevelSpec { variant: Variant::ZeroExact, ..spec }.table()?;
/// assert_eq!(table.nearest(0.0), 0.0);
/// # Ok::<(), snn_quant::QuantError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LevelSpec {
    /// The width of the codes, 1 to 8: there are `2^bits` levels.
    pub bits: BitWidth,
    /// Where levels crowd.
    #[serde(default)]
    pub spacing: Spacing,
    /// Whose table.
    #[serde(default)]
    pub variant: Variant,
    /// Firing threshold θ of the neurons, above 0.
    #[serde(default = "default_threshold")]
    pub threshold: f64,
    /// The lowest level is `-θ (1 + lower_limit)`; at least -1.
    #[serde(default)]
    pub lower_limit: f64,
    /// The highest level is `θ (1 + upper_limit)`; at least 0. With 0 no level lies above the threshold.
    #[serde(default = "default_upper_limit")]
    pub upper_limit: f64,
    /// Ratio of neighboring steps where levels crowd, above 0; by default snnTorch's for the width, 0.05 at one bit to
    /// 0.95 at eight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multiplier: Option<f64>,
    /// Finds the limits from observed membranes; `upper_limit` then says what the highest level reaches at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibrate: Option<ScaleRule>,
    /// What training moves, from where limits and multiplier say; nothing by default, as in snnTorch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learn: Option<Learn>,
    /// The gradient of membranes outside of the levels: snnTorch's passes. Where levels are learned it is masked, as in LSQ.
    #[serde(default)]
    pub clip_grad: ClipGrad,
}

fn default_threshold() -> f64 {
    1.0
}

fn default_upper_limit() -> f64 {
    0.2
}

impl LevelSpec {
    /// snnTorch's defaults: evenly spaced from -1 to 1.2.
    pub fn new(bits: BitWidth) -> Self {
        Self {
            bits,
            spacing: Spacing::default(),
            variant: Variant::default(),
            threshold: default_threshold(),
            lower_limit: 0.0,
            upper_limit: default_upper_limit(),
            multiplier: None,
            calibrate: None,
            learn: None,
            clip_grad: ClipGrad::default(),
        }
    }

    /// Whether the fields are in range.
    ///
    /// # Errors
    /// [`QuantError::LevelField`], and what a calibration rule refuses.
    pub fn check(&self) -> Result<(), QuantError> {
        require(self.bits.get() <= 8, "bits", f64::from(self.bits.get()), "1 to 8")?;
        let above_zero = |v: f64| v > 0.0 && v.is_finite();
        require(above_zero(self.threshold), "threshold", self.threshold, "above 0")?;
        let lower = self.lower_limit >= -1.0 && self.lower_limit.is_finite();
        require(lower, "lower_limit", self.lower_limit, "at least -1")?;
        let upper = self.upper_limit >= 0.0 && self.upper_limit.is_finite();
        require(upper, "upper_limit", self.upper_limit, "at least 0")?;
        require(self.multiplier.is_none_or(above_zero), "multiplier", self.multiplier(), "above 0")?;
        self.check_learned()?;
        match self.calibrate {
            Some(ScaleRule::Learned) => Err(QuantError::LearnedObserver),
            Some(rule) => rule.check(),
            None => Ok(()),
        }
    }

    /// The table.
    ///
    /// # Errors
    /// What [`check`](Self::check) finds, and [`QuantError::NotCalibrated`] where limits are still to be found.
    pub fn table(&self) -> Result<LevelTable, QuantError> {
        self.check()?;
        if self.calibrate.is_some() {
            return Err(QuantError::NotCalibrated);
        }
        Ok(LevelTable::new(self.levels(), self.spacing == Spacing::Uniform))
    }

    /// The same specification with its limits found from what was observed; unchanged if they are fixed.
    ///
    /// # Errors
    /// [`QuantError::NothingObserved`], and what [`check`](Self::check) finds.
    pub fn calibrated(self, observer: &Observer) -> Result<Self, QuantError> {
        self.check()?;
        let Some(rule) = self.calibrate else { return Ok(self) };
        let fixed = Self { calibrate: None, ..self };
        match rule {
            ScaleRule::AbsMax => Ok(fixed.covering(observer.range(100.0)?)),
            ScaleRule::Percentile(percent) => Ok(fixed.covering(observer.range(percent)?)),
            ScaleRule::MseSearch => {
                let (lo, hi) = observer.range(100.0)?;
                let shrunk = |percent: u32| {
                    let share = f64::from(percent) / 100.0;
                    fixed.covering((lo * share, hi * share))
                };
                let scored = (1..=100).rev().map(shrunk).map(|spec| {
                    let table = LevelTable::new(spec.levels(), spec.spacing == Spacing::Uniform);
                    (observer.squared_error(|x| table.nearest(x)), spec)
                });
                Ok(scored.min_by(|a, b| a.0.total_cmp(&b.0)).map_or(fixed, |(_, spec)| spec))
            }
            ScaleRule::Learned => Err(QuantError::LearnedObserver),
        }
    }

    /// The same table from `lo` to `hi`, but at least as high as it is.
    fn covering(self, (lo, hi): (f64, f64)) -> Self {
        Self {
            lower_limit: (-lo / self.threshold - 1.0).max(-1.0),
            upper_limit: (hi / self.threshold - 1.0).max(self.upper_limit),
            ..self
        }
    }

    pub(crate) fn multiplier(&self) -> f64 {
        /// snnTorch's, for 1 to 8 bits.
        const DEFAULTS: [f64; 8] = [0.05, 0.1, 0.3, 0.5, 0.7, 0.9, 0.925, 0.95];
        self.multiplier.unwrap_or(DEFAULTS[(self.bits.get() as usize - 1).min(7)])
    }

    /// The lowest and the highest level of snnTorch's table.
    pub(crate) fn range(&self) -> (f64, f64) {
        let theta = self.threshold;
        (-(theta + theta * self.lower_limit), theta + theta * self.upper_limit)
    }

    /// The rising levels.
    fn levels(&self) -> Vec<f32> {
        let n = 1_usize << self.bits.get();
        let (lo, hi) = self.range();
        match (self.spacing, self.variant) {
            (Spacing::Uniform, Variant::SnntorchCompat) => linspace(to_f32(lo), to_f32(hi), n),
            (Spacing::Uniform, Variant::ZeroExact) => shifted_to_zero(lo, hi, n),
            (Spacing::ThresholdCentered, variant) => self.crowded(self.threshold, variant),
            (Spacing::ZeroCentered, variant) => self.crowded(0.0, variant),
        }
    }

    /// How many of `n` levels lie below the center: their share of the range.
    pub(crate) fn n_below(&self, center: f64, n: usize) -> usize {
        let (lo, hi) = self.range();
        to_index((count(n) * ((center - lo) / (hi - lo))).floor()).min(n)
    }

    fn crowded(&self, center: f64, variant: Variant) -> Vec<f32> {
        let n = 1 << self.bits.get();
        let mut levels =
            crowded_around(center, self.range(), self.multiplier(), [self.n_below(center, n), n]);
        let nearest = (0..levels.len()).min_by(|&a, &b| levels[a].abs().total_cmp(&levels[b].abs()));
        if let (Variant::ZeroExact, Some(nearest)) = (variant, nearest) {
            levels[nearest] = 0.0;
        }
        levels
    }
}

fn require(holds: bool, field: &'static str, value: f64, expected: &'static str) -> Result<(), QuantError> {
    if holds { Ok(()) } else { Err(QuantError::LevelField { field, value, expected }) }
}

/// `n` even levels from `lo` to `hi`, rounded as PyTorch's `linspace` does: from both ends towards the middle, each with
/// one rounding.
fn linspace(lo: f32, hi: f32, n: usize) -> Vec<f32> {
    let whole = |i: usize| to_f32(count(i));
    let step = (hi - lo) / whole(n - 1);
    let level = |i: usize| match i < n / 2 {
        true => step.mul_add(whole(i), lo),
        false => (-step).mul_add(whole(n - 1 - i), hi),
    };
    (0..n).map(level).collect()
}

/// The same step, with the level nearest to 0 at 0.
fn shifted_to_zero(lo: f64, hi: f64, n: usize) -> Vec<f32> {
    let step = (hi - lo) / count(n - 1);
    let below = (-lo / step).round_ties_even();
    (0..n).map(|i| to_f32(step * (count(i) - below))).collect()
}

/// snnTorch's levels with steps that shrink towards `center` from both ends, `n_below` of `n` on the lower side, which starts
/// at `lo` and ends before the center; the upper side starts behind it and ends at `hi`.
fn crowded_around(center: f64, (lo, hi): (f64, f64), multiplier: f64, [n_below, n]: [usize; 2]) -> Vec<f32> {
    let (below, above) = (center - lo, hi - center);
    let power = |j: usize| multiplier.powf(count(j));
    let per_unit = |n: usize, width: f64| (0..n).rev().map(power).sum::<f64>() / width;
    let (room_below, room_above) = (per_unit(n_below, below), per_unit(n - n_below, above));
    let mut levels = Vec::with_capacity(n);
    let mut level = lo;
    for j in 0..n_below {
        levels.push(to_f32(level));
        level += power(j) / room_below;
    }
    level = center;
    for j in (0..n - n_below).rev() {
        level += power(j) / room_above;
        levels.push(to_f32(level));
    }
    // Rounded sums may pass the center by a hair.
    levels.sort_by(f32::total_cmp);
    levels
}

/// Rising levels and the boundaries between them.
///
/// A membrane takes the nearest level; of two equally near ones, the lower. Distances are compared as `f32` computes them,
/// which is what snnTorch does. The integer code of a level is its number from below, [`LevelTable::code`]; hardware finds
/// it by comparing the membrane, an integer too, with [`LevelTable::integer_boundaries`].
#[derive(Debug, Clone, PartialEq)]
pub struct LevelTable {
    levels: Vec<f32>,
    boundaries: Vec<f32>,
    search: Search,
    is_even: bool,
}

impl LevelTable {
    /// A table of 2 to 256 rising levels; equal neighbors may occur.
    fn new(levels: Vec<f32>, is_even: bool) -> Self {
        let boundaries: Vec<f32> = levels.windows(2).map(|pair| boundary(pair[0], pair[1])).collect();
        let search = Search::new(&levels, &boundaries, is_even);
        Self { levels, boundaries, search, is_even }
    }

    /// The levels, rising; a level's index is its code. In narrow tables of many bits some are equal in `f32`.
    #[must_use]
    pub fn levels(&self) -> &[f32] {
        &self.levels
    }

    /// Between each two levels, the largest membrane that takes the lower one.
    #[must_use]
    pub fn boundaries(&self) -> &[f32] {
        &self.boundaries
    }

    /// The number of the level that `x` takes: the count of boundaries below it.
    #[must_use]
    pub fn code(&self, x: f32) -> usize {
        self.boundaries.partition_point(|&boundary| x > boundary)
    }

    /// The level that `x` takes.
    #[must_use]
    pub fn nearest(&self, x: f32) -> f32 {
        if x.is_nan() { x } else { self.levels[self.code(x)] }
    }

    /// The code of the level 0, if there is one.
    #[must_use]
    #[allow(clippy::float_cmp, reason = "an exact zero is what is asked for")]
    pub fn zero_code(&self) -> Option<usize> {
        self.levels.iter().position(|&level| level == 0.0)
    }

    /// Replaces each value by the level that it takes, as [`nearest`](Self::nearest) does; NaN stays NaN.
    pub fn quantize(&self, x: &mut [f32]) {
        self.search.quantize(x);
    }

    /// Whether the levels are evenly spaced by their specification.
    pub(crate) fn is_even(&self) -> bool {
        self.is_even
    }

    /// Whether `x` lies between the lowest and the highest level.
    #[must_use]
    pub fn contains(&self, x: f32) -> bool {
        let (lowest, highest) = self.ends();
        lowest <= x && x <= highest
    }

    /// The lowest and the highest level.
    pub(crate) fn ends(&self) -> (f32, f32) {
        (self.levels[0], self.levels[self.levels.len() - 1])
    }

    /// The boundaries for membranes that are integers times `unit`: the code of the integer `u` is the count of
    /// boundaries below `u`.
    ///
    /// # Panics
    /// Unless `unit` is above 0.
    #[must_use]
    pub fn integer_boundaries(&self, unit: f64) -> Vec<i64> {
        assert!(unit > 0.0, "unit {unit}");
        self.boundaries.iter().map(|&b| to_i64((f64::from(b) / unit).floor())).collect()
    }

    /// The levels as the nearest integers times `unit`, ties to even: what integer neurons store for each code.
    ///
    /// # Panics
    /// Unless `unit` is above 0.
    #[must_use]
    pub fn integer_levels(&self, unit: f64) -> Vec<i64> {
        assert!(unit > 0.0, "unit {unit}");
        self.levels.iter().map(|&l| to_i64((f64::from(l) / unit).round_ties_even())).collect()
    }
}

/// The largest number that is not nearer to `hi` than to `lo`, distances rounded to `f32`.
fn boundary(lo: f32, hi: f32) -> f32 {
    let is_lower = |x: f32| x - lo <= hi - x;
    let (mut below, mut above) = (ordered(lo), ordered(hi));
    while below < above {
        let middle = below + (above - below + 1) / 2;
        if is_lower(unordered(middle)) { below = middle } else { above = middle - 1 }
    }
    unordered(below)
}

/// The number's place among all `f32`: a bijection that keeps order (with -0 just below 0).
fn ordered(x: f32) -> i64 {
    let bits = i64::from(x.to_bits());
    if bits >= 1 << 31 { (1 << 31) - 1 - bits } else { bits }
}

fn unordered(place: i64) -> f32 {
    let bits = if place < 0 { (1 << 31) - 1 - place } else { place };
    f32::from_bits(u32::try_from(bits).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(bits: u32) -> LevelSpec {
        LevelSpec::new(BitWidth::new(bits).unwrap())
    }

    #[test]
    fn fields_out_of_range_are_named() {
        let refused = |spec: LevelSpec| spec.table().unwrap_err().to_string();
        assert_eq!(refused(spec(9)), "bits = 9 is out of range, expected 1 to 8");
        let four = spec(4);
        assert!(refused(LevelSpec { threshold: 0.0, ..four }).starts_with("threshold = 0"));
        assert!(refused(LevelSpec { lower_limit: -1.5, ..four }).starts_with("lower_limit = -1.5"));
        assert!(refused(LevelSpec { upper_limit: f64::NAN, ..four }).starts_with("upper_limit = NaN"));
        assert!(refused(LevelSpec { multiplier: Some(0.0), ..four }).starts_with("multiplier = 0"));
        let open = LevelSpec { calibrate: Some(ScaleRule::AbsMax), ..four };
        assert_eq!(open.table(), Err(QuantError::NotCalibrated));
    }

    #[test]
    fn calibration_finds_the_limits_and_leaves_room_above_the_threshold() {
        let mut observer = Observer::new();
        observer.observe(&[-0.5, 0.1, 3.0]).unwrap();
        let open = |rule| LevelSpec { threshold: 2.0, calibrate: Some(rule), ..spec(4) };
        let found = open(ScaleRule::AbsMax).calibrated(&observer).unwrap();
        assert_eq!((found.lower_limit, found.upper_limit, found.calibrate), (-0.75, 0.5, None));
        assert_eq!(found.calibrated(&observer).unwrap(), found);

        let mut quiet = Observer::new();
        quiet.observe(&[0.1, 0.2]).unwrap();
        let found = open(ScaleRule::AbsMax).calibrated(&quiet).unwrap();
        assert_eq!((found.lower_limit, found.upper_limit), (-1.0, 0.2));
        let empty = Observer::new();
        assert_eq!(open(ScaleRule::MseSearch).calibrated(&empty), Err(QuantError::NothingObserved));
    }

    #[test]
    fn a_search_for_the_least_error_beats_the_full_range() {
        let mut observer = Observer::new();
        let bell = (0..2000_u16).map(|i| ((f32::from(i % 101) - 50.0) / 50.0).powi(3));
        observer.observe(&bell.chain([30.0]).collect::<Vec<_>>()).unwrap();
        let error = |rule| {
            let open = LevelSpec { calibrate: Some(rule), ..spec(3) };
            let table = open.calibrated(&observer).unwrap().table().unwrap();
            observer.squared_error(|x| table.nearest(x))
        };
        assert!(error(ScaleRule::MseSearch) < 0.9 * error(ScaleRule::AbsMax));
    }
}
