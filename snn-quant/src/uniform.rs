//! Uniform quantizers for weights: evenly spaced levels at 1 to 16 bits, per tensor or per channel.
//!
//! The conventions are those of Brevitas: symmetric codes have the narrow range `±(2^(b-1) - 1)`, the scale
//! is `max|w| / (2^(b-1) - 1)` unless another rule is asked for, and rounding is half to even. A power-of-two
//! scale is `2^ceil(log2 max|w|) / 2^(b-1)`.
//!
//! # References
//! - Pappalardo et al., Brevitas, `Int8WeightPerTensorFloat` and `Int8WeightPerTensorFixedPoint`. Deviation:
//!   the scale is a constant in the backward pass (Brevitas also sends a gradient through `max|w|` to the
//!   largest weight).
//! - Esser, McKinstry, Bablani, Appuswamy, Modha, "Learned Step Size Quantization", 2020, arXiv 1902.08153
//!   ([`ScaleRule::Learned`]).

use crate::grid::squared_error;
use crate::num::{ceil_log2, count, exp2, to_f32, to_index, whole_to_i32};
use crate::{BitWidth, CodeSet, Grid, QuantError, QuantParams};
use serde::{Deserialize, Serialize};
use snn_core::kernels;

/// Whether the levels lie symmetrically around 0 or are shifted by a zero point.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mapping {
    /// Codes `±(2^(b-1) - 1)`, no zero point; `{-s, +s}` at 1 bit and ternary at 2 bits.
    #[default]
    Symmetric,
    /// All codes of two's complement, `-2^(b-1)..=2^(b-1) - 1`, no zero point; from 2 bits on. This is LSQ's code set for
    /// weights (section 2): at 2 bits four levels of the same bytes, where the symmetric codes have three.
    TwosComplement,
    /// Codes `0..=2^b - 1` with a zero point; 0 is always a level.
    Affine,
}

/// What shares a scale.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Granularity {
    /// The whole tensor.
    #[default]
    PerTensor,
    /// Each output channel; see [`channel_axis`].
    PerChannel,
}

/// How the range of the values becomes a scale.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScaleRule {
    /// The largest level is the largest absolute value (the levels span all values, if affine).
    #[default]
    AbsMax,
    /// This percentage of the values lies within the levels: of the absolute values if symmetric, cut equally
    /// from both tails if affine. In `(0, 100]`.
    Percentile(f64),
    /// The least squared error over the range shrunk to 1 %, 2 %, ... 100 % of itself; at 1 bit, where the
    /// best scale of a symmetric tensor is known, `mean|w|` (Rastegari et al., "XNOR-Net", 2016, equation 6).
    MseSearch,
    /// The scale is a parameter that training moves; it starts from `2 mean|w| / sqrt(q_max)` (LSQ, section
    /// 2.1). Symmetric only.
    Learned,
}

/// Which numbers a scale may be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScaleFormat {
    /// Any `f32`, 4 bytes when stored.
    #[default]
    Float,
    /// Powers of two, 1 byte when stored. The exponent is rounded up, so that nothing is clipped that the
    /// scale rule wanted covered.
    PowerOfTwo,
}

/// What the straight-through gradient does where values are clipped to the outermost levels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClipGrad {
    /// It passes everywhere.
    #[default]
    Pass,
    /// It is zero outside the levels (for a binary tensor outside `±scale`).
    Zero,
}

/// How a weight tensor is quantized uniformly.
///
/// # Examples
/// ```
/// use snn_quant::{BitWidth, uniform::{Granularity, ScaleRule, UniformSpec, params}};
///
/// let spec = UniformSpec {
///     granularity: Granularity::PerChannel,
///     scale: ScaleRule::MseSearch,
///     ..UniformSpec::new(BitWidth::new(4)?)
/// };
/// let weights = [0.1, -0.7, 0.2, 0.6, -0.3, 0.0];
/// let params = params(&weights, &[3, 2], &spec)?; // linear: [in, out], so two channels
/// assert_eq!(params.grids().len(), 2);
/// assert_eq!(params.dequantize(&params.codes(&weights)), params.fake_quant(&weights));
/// # Ok::<(), snn_quant::QuantError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UniformSpec {
    /// The width of the codes.
    pub bits: BitWidth,
    /// Symmetric or with a zero point.
    #[serde(default)]
    pub mapping: Mapping,
    /// Per tensor or per output channel.
    #[serde(default)]
    pub granularity: Granularity,
    /// How the scale is found.
    #[serde(default)]
    pub scale: ScaleRule,
    /// Float or power-of-two scales.
    #[serde(default)]
    pub scale_format: ScaleFormat,
    /// The gradient where values are clipped; [`ScaleRule::Learned`] always masks it.
    #[serde(default)]
    pub clip_grad: ClipGrad,
}

impl UniformSpec {
    /// Symmetric, per tensor, absmax scale, gradient passing everywhere: the Brevitas default at `bits`.
    pub fn new(bits: BitWidth) -> Self {
        UniformSpec {
            bits,
            mapping: Mapping::default(),
            granularity: Granularity::default(),
            scale: ScaleRule::default(),
            scale_format: ScaleFormat::default(),
            clip_grad: ClipGrad::default(),
        }
    }

    /// The same specification at another width.
    pub fn at(self, bits: BitWidth) -> Self {
        UniformSpec { bits, ..self }
    }

    /// Whether the fields fit each other.
    ///
    /// # Errors
    /// [`QuantError::Percentile`], [`QuantError::LearnedAffine`], [`QuantError::LearnedPowerOfTwo`] or
    /// [`QuantError::OneBitTwosComplement`].
    pub fn check(&self) -> Result<(), QuantError> {
        if self.mapping == Mapping::TwosComplement && self.bits.get() == 1 {
            return Err(QuantError::OneBitTwosComplement);
        }
        match self.scale {
            ScaleRule::Learned if self.mapping == Mapping::Affine => Err(QuantError::LearnedAffine),
            ScaleRule::Learned if self.scale_format == ScaleFormat::PowerOfTwo => {
                Err(QuantError::LearnedPowerOfTwo)
            }
            rule => rule.check(),
        }
    }

    /// The gradient rule that applies: LSQ is defined with the mask (its equation 5), whatever the field
    /// says.
    pub fn effective_clip_grad(&self) -> ClipGrad {
        if self.scale == ScaleRule::Learned { ClipGrad::Zero } else { self.clip_grad }
    }

    /// The codes of the specification.
    pub fn codes(&self) -> CodeSet {
        match self.mapping {
            Mapping::Symmetric => CodeSet::symmetric(self.bits),
            Mapping::TwosComplement => CodeSet::twos_complement(self.bits),
            Mapping::Affine => CodeSet::unsigned(self.bits),
        }
    }

    /// The grid whose levels cover `range`.
    pub(crate) fn grid_for(&self, range: ValueRange) -> Grid {
        match self.mapping {
            Mapping::Symmetric => self.symmetric_grid(range.abs_max()),
            Mapping::TwosComplement => self.twos_complement_grid(range),
            Mapping::Affine => self.affine_grid(range),
        }
    }

    fn symmetric_grid(&self, bound: f32) -> Grid {
        let codes = self.codes();
        match self.scale_format {
            ScaleFormat::PowerOfTwo if bound > 0.0 => {
                Grid::power_of_two(ceil_log2(bound) - self.bits.n_magnitude(), codes)
            }
            _ => Grid::from_scale(bound / to_f32(f64::from(codes.max())), 0, codes),
        }
    }

    /// The levels end at the range on the side that needs more.
    fn twos_complement_grid(&self, range: ValueRange) -> Grid {
        let codes = self.codes();
        match self.scale_format {
            ScaleFormat::PowerOfTwo => self.symmetric_grid(range.abs_max()),
            ScaleFormat::Float => {
                let [below, above] = [codes.min(), codes.max()].map(|code| to_f32(f64::from(code)));
                Grid::from_scale((range.lo / below).max(range.hi / above), 0, codes)
            }
        }
    }

    fn affine_grid(&self, range: ValueRange) -> Grid {
        let codes = self.codes();
        let exact = to_f32((f64::from(range.hi) - f64::from(range.lo)) / f64::from(codes.max()));
        let scale = match self.scale_format {
            ScaleFormat::PowerOfTwo if exact > 0.0 => exp2(ceil_log2(exact)),
            _ => exact.max(f32::MIN_POSITIVE),
        };
        let zero = (-range.lo / scale).round_ties_even().clamp(0.0, to_f32(f64::from(codes.max())));
        Grid::from_scale(scale, whole_to_i32(zero), codes)
    }

    /// The grid of least error among those of the shrunk ranges, the widest of equals; `error` may stop early
    /// once it has passed the limit that it is given.
    pub(crate) fn search(&self, full: ValueRange, error: impl Fn(Grid, f64) -> f64) -> Grid {
        let mut best = self.grid_for(full);
        let mut best_error = error(best, f64::INFINITY);
        for percent in (1..100).rev() {
            let grid = self.grid_for(full.shrunk(f64::from(percent) / 100.0));
            let found = error(grid, best_error);
            if found < best_error {
                (best, best_error) = (grid, found);
            }
        }
        best
    }
}

impl ScaleRule {
    /// Whether the rule's own number is in range.
    pub(crate) fn check(self) -> Result<(), QuantError> {
        match self {
            ScaleRule::Percentile(p) if !(p > 0.0 && p <= 100.0) => {
                Err(QuantError::Percentile { percentile: p })
            }
            _ => Ok(()),
        }
    }
}

/// The axis of the output channels: 1 for linear weights `[in, out]`, 0 for convolutions `[out, in, kh, kw]`
/// and for vectors.
pub fn channel_axis(rank: usize) -> usize {
    usize::from(rank == 2)
}

/// The number of scales that a tensor of this shape has.
pub fn n_scales(shape: &[usize], granularity: Granularity) -> usize {
    match granularity {
        Granularity::PerTensor => 1,
        Granularity::PerChannel => shape.get(channel_axis(shape.len())).copied().unwrap_or(1),
    }
}

/// The grids of a weight tensor, found from its values.
///
/// # Shapes
/// `w` holds the values of a tensor of `shape` in row-major order. Any rank; a channel is an index of
/// [`channel_axis`].
///
/// # Errors
/// [`QuantError::Shape`] and [`QuantError::Empty`] for values that do not fit the shape,
/// [`QuantError::NonFinite`], and what [`UniformSpec::check`] finds.
pub fn params(w: &[f32], shape: &[usize], spec: &UniformSpec) -> Result<QuantParams, QuantError> {
    spec.check()?;
    check_values(w, shape)?;
    let grids = match spec.granularity {
        Granularity::PerTensor => vec![channel_grid(w, spec)],
        Granularity::PerChannel => (0..n_scales(shape, spec.granularity))
            .map(|c| channel_grid(&channel(w, shape, c), spec))
            .collect(),
    };
    Ok(with_grids(grids, shape, spec))
}

/// The grids of a weight tensor whose scales are parameters of their own ([`ScaleRule::Learned`]).
///
/// # Errors
/// [`QuantError::ScaleCount`] unless there is one scale per channel, [`QuantError::Scale`] for one that is
/// not positive and finite, and what [`UniformSpec::check`] finds.
pub fn params_with_scales(
    scales: &[f32],
    shape: &[usize],
    spec: &UniformSpec,
) -> Result<QuantParams, QuantError> {
    spec.check()?;
    let expected = n_scales(shape, spec.granularity);
    if scales.len() != expected {
        return Err(QuantError::ScaleCount { expected, found: scales.len() });
    }
    let grid = |(channel, &scale): (usize, &f32)| {
        Grid::new(scale, 0, spec.codes()).map_err(|_| QuantError::Scale { channel, scale })
    };
    let grids = scales.iter().enumerate().map(grid).collect::<Result<Vec<_>, _>>()?;
    Ok(with_grids(grids, shape, spec))
}

/// Lays the grids out over the tensor.
fn with_grids(grids: Vec<Grid>, shape: &[usize], spec: &UniformSpec) -> QuantParams {
    match (spec.granularity, grids.first()) {
        (Granularity::PerTensor, Some(&grid)) => QuantParams::per_tensor(spec.bits, grid),
        _ => QuantParams::per_channel(spec.bits, grids, channel_run(shape)),
    }
}

/// How many neighboring values share a channel.
fn channel_run(shape: &[usize]) -> usize {
    shape.iter().skip(channel_axis(shape.len()) + 1).product::<usize>().max(1)
}

/// The values of one channel, in order.
fn channel(w: &[f32], shape: &[usize], channel: usize) -> Vec<f32> {
    let runs = w.chunks(channel_run(shape)).skip(channel);
    runs.step_by(n_scales(shape, Granularity::PerChannel)).flatten().copied().collect()
}

/// The grid for values that share a scale.
fn channel_grid(w: &[f32], spec: &UniformSpec) -> Grid {
    let full = ValueRange::of(w);
    match spec.scale {
        ScaleRule::AbsMax => spec.grid_for(full),
        ScaleRule::Percentile(p) => spec.grid_for(percentile_range(w, p, spec.mapping)),
        ScaleRule::MseSearch if spec.codes() == CodeSet::Sign && spec.scale_format == ScaleFormat::Float => {
            spec.grid_for(ValueRange::symmetric(mean_abs(w)))
        }
        ScaleRule::MseSearch => spec.search(full, |grid, limit| squared_error(grid, w, limit)),
        ScaleRule::Learned => {
            let q_max = f64::from(spec.codes().max());
            Grid::from_scale(to_f32(2.0 * f64::from(mean_abs(w)) / q_max.sqrt()), 0, spec.codes())
        }
    }
}

fn mean_abs(w: &[f32]) -> f32 {
    to_f32(w.iter().map(|&v| f64::from(v).abs()).sum::<f64>() / count(w.len()))
}

/// The range that holds `percent` of the values.
fn percentile_range(w: &[f32], percent: f64, mapping: Mapping) -> ValueRange {
    match mapping {
        Mapping::Symmetric | Mapping::TwosComplement => {
            let mut magnitudes: Vec<f32> = w.iter().map(|v| v.abs()).collect();
            magnitudes.sort_by(f32::total_cmp);
            ValueRange::symmetric(percentile(&magnitudes, percent))
        }
        Mapping::Affine => {
            let mut sorted = w.to_vec();
            sorted.sort_by(f32::total_cmp);
            let tail = (100.0 - percent) / 2.0;
            ValueRange::new(percentile(&sorted, tail), percentile(&sorted, 100.0 - tail))
        }
    }
}

/// The percentile of sorted values, with linear interpolation between neighbors (as NumPy does).
fn percentile(sorted: &[f32], percent: f64) -> f32 {
    let last = sorted.len().saturating_sub(1);
    let position = (percent / 100.0 * count(last)).clamp(0.0, count(last));
    let below = to_index(position.floor()).min(last);
    let (a, b) = (f64::from(sorted[below]), f64::from(sorted[(below + 1).min(last)]));
    to_f32(a + (b - a) * (position - count(below)))
}

/// The values must be finite, as many as the shape holds, and at least one.
pub(crate) fn check_values(w: &[f32], shape: &[usize]) -> Result<(), QuantError> {
    let expected = shape.iter().product();
    if w.len() != expected {
        return Err(QuantError::Shape { shape: shape.to_vec(), expected, found: w.len() });
    }
    if w.is_empty() {
        return Err(QuantError::Empty { shape: shape.to_vec() });
    }
    check_finite(w)
}

/// The values must be finite.
pub(crate) fn check_finite(w: &[f32]) -> Result<(), QuantError> {
    if kernels::levels::all_finite(w) {
        return Ok(());
    }
    let wrong = w.iter().enumerate().find(|(_, v)| !v.is_finite());
    wrong.map_or(Ok(()), |(index, &value)| Err(QuantError::NonFinite { index, value }))
}

/// A range of values; it always contains 0, so that 0 is a level.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ValueRange {
    pub(crate) lo: f32,
    pub(crate) hi: f32,
}

impl ValueRange {
    pub(crate) fn new(lo: f32, hi: f32) -> Self {
        ValueRange { lo: lo.min(0.0), hi: hi.max(0.0) }
    }

    pub(crate) fn symmetric(bound: f32) -> Self {
        ValueRange { lo: -bound, hi: bound }
    }

    fn of(w: &[f32]) -> Self {
        let (lo, hi) = kernels::levels::extremes(w);
        ValueRange { lo, hi }
    }

    pub(crate) fn abs_max(self) -> f32 {
        self.hi.max(-self.lo)
    }

    fn shrunk(self, factor: f64) -> Self {
        let shrink = |x: f32| to_f32(f64::from(x) * factor);
        ValueRange { lo: shrink(self.lo), hi: shrink(self.hi) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn spec(bits: u32) -> UniformSpec {
        UniformSpec::new(BitWidth::new(bits).unwrap())
    }

    fn scales(p: &QuantParams) -> Vec<f32> {
        p.grids().iter().map(|g| g.scale()).collect()
    }

    const W: [f32; 6] = [0.1, -0.7, 0.2, 0.35, -0.3, 0.0];

    #[test]
    fn absmax_is_the_narrow_range_of_brevitas() {
        for (bits, scale) in [(1, 0.7), (2, 0.7), (3, 0.7 / 3.0), (8, 0.7f32 / 127.0)] {
            assert_eq!(scales(&params(&W, &[6], &spec(bits)).unwrap()), [scale], "at {bits} bits");
        }
        let ternary = params(&W, &[6], &spec(2)).unwrap();
        assert_eq!(ternary.codes(&W), [0, -1, 0, 0, 0, 0]);
        let binary = params(&W, &[6], &spec(1)).unwrap();
        assert_eq!(binary.fake_quant(&W), [0.7, -0.7, 0.7, 0.7, -0.7, 0.7]);
    }

    #[test]
    fn power_of_two_scales_round_the_exponent_up() {
        let spec = UniformSpec { scale_format: ScaleFormat::PowerOfTwo, ..spec(4) };
        assert_eq!(scales(&params(&W, &[6], &spec).unwrap()), [1.0 / 8.0]);
        assert_eq!(scales(&params(&[0.5, -0.25], &[2], &spec).unwrap()), [0.5 / 8.0]);
        let affine = UniformSpec { mapping: Mapping::Affine, ..spec };
        // The span 1.05 over 15 steps is 0.07, the next power of two 1/8.
        assert_eq!(scales(&params(&W, &[6], &affine).unwrap()), [1.0 / 8.0]);
    }

    #[test]
    fn affine_grids_span_the_values_and_keep_zero() {
        let affine = UniformSpec { mapping: Mapping::Affine, ..spec(8) };
        let p = params(&W, &[6], &affine).unwrap();
        let grid = p.grids()[0];
        assert!((grid.scale() - 1.05 / 255.0).abs() < 1e-8);
        assert_eq!(grid.zero_point(), 170);
        assert_eq!(p.fake_quant(&[0.0]), [0.0]);
        let positive = params(&[0.2, 1.0], &[2], &affine).unwrap().grids()[0];
        assert_eq!((positive.zero_point(), positive.min()), (0, 0.0));
    }

    #[test]
    fn channels_are_columns_of_linear_and_blocks_of_conv_weights() {
        let per_channel = UniformSpec { granularity: Granularity::PerChannel, ..spec(2) };
        let linear = params(&W, &[3, 2], &per_channel).unwrap();
        assert_eq!(scales(&linear), [0.3, 0.7]);
        assert_eq!(linear.codes(&W), [0, -1, 1, 0, -1, 0]);
        let conv = params(&W, &[3, 2, 1, 1], &per_channel).unwrap();
        assert_eq!(scales(&conv), [0.7, 0.35, 0.3]);
        assert_eq!(conv.codes(&W), [0, -1, 1, 1, -1, 0]);
    }

    #[test]
    fn percentiles_interpolate_like_numpy() {
        let sorted = [0.0, 1.0, 2.0, 4.0];
        for (p, expected) in [(0.0, 0.0), (50.0, 1.5), (100.0, 4.0), (90.0, 3.4)] {
            assert!((percentile(&sorted, p) - expected).abs() < 1e-6, "percentile {p}");
        }
        let clipped = UniformSpec { scale: ScaleRule::Percentile(50.0), ..spec(2) };
        // |W| sorted: 0, 0.1, 0.2, 0.3, 0.35, 0.7.
        assert_eq!(scales(&params(&W, &[6], &clipped).unwrap()), [0.25]);
    }

    #[test]
    fn a_binary_mse_scale_is_the_mean_magnitude() {
        let search = UniformSpec { scale: ScaleRule::MseSearch, ..spec(1) };
        let p = params(&W, &[6], &search).unwrap();
        assert!((p.grids()[0].scale() - 1.65 / 6.0).abs() < 1e-7);
        for scale in [0.2, 0.25, 0.3, 0.5] {
            let other = params_with_scales(&[scale], &[6], &spec(1)).unwrap();
            assert!(p.squared_error(&W) < other.squared_error(&W));
        }
    }

    #[test]
    fn learned_scales_start_as_lsq_says() {
        let learned = UniformSpec { scale: ScaleRule::Learned, ..spec(3) };
        let scale = scales(&params(&W, &[6], &learned).unwrap())[0];
        assert!((f64::from(scale) - 2.0 * (1.65 / 6.0) / 3f64.sqrt()).abs() < 1e-7);
        assert_eq!(learned.effective_clip_grad(), ClipGrad::Zero);
    }

    #[test]
    fn bad_specifications_and_values_are_refused() {
        let refuse = |w: &[f32], shape: &[usize], s: UniformSpec| params(w, shape, &s).unwrap_err();
        let affine = UniformSpec { mapping: Mapping::Affine, scale: ScaleRule::Learned, ..spec(4) };
        assert_eq!(refuse(&W, &[6], affine), QuantError::LearnedAffine);
        let power = ScaleFormat::PowerOfTwo;
        let power = UniformSpec { scale_format: power, scale: ScaleRule::Learned, ..spec(4) };
        assert_eq!(refuse(&W, &[6], power), QuantError::LearnedPowerOfTwo);
        for p in [0.0, -1.0, 100.1, f64::NAN] {
            let spec = UniformSpec { scale: ScaleRule::Percentile(p), ..spec(4) };
            assert!(matches!(refuse(&W, &[6], spec), QuantError::Percentile { .. }));
        }
        assert!(matches!(refuse(&W, &[5], spec(4)), QuantError::Shape { expected: 5, found: 6, .. }));
        assert!(matches!(refuse(&[], &[0, 3], spec(4)), QuantError::Empty { .. }));
        assert!(matches!(refuse(&[1.0, f32::NAN], &[2], spec(4)), QuantError::NonFinite { index: 1, .. }));
        let per_channel = UniformSpec { granularity: Granularity::PerChannel, ..spec(4) };
        let few = params_with_scales(&[1.0], &[3, 2], &per_channel);
        assert_eq!(few, Err(QuantError::ScaleCount { expected: 2, found: 1 }));
        let no_values = params_with_scales(&[1.0, 1.0], &[2, 0, 3, 3], &per_channel).unwrap();
        assert!(no_values.codes(&[]).is_empty());
        let negative = params_with_scales(&[-1.0], &[6], &spec(4));
        assert_eq!(negative, Err(QuantError::Scale { channel: 0, scale: -1.0 }));
    }

    #[test]
    fn an_all_zero_tensor_stays_zero() {
        for bits in 2..=16 {
            for mapping in [Mapping::Symmetric, Mapping::Affine] {
                let p = params(&[0.0; 4], &[4], &UniformSpec { mapping, ..spec(bits) }).unwrap();
                assert_eq!(p.fake_quant(&[0.0; 4]), [0.0; 4]);
            }
        }
    }

    #[test]
    fn twos_complement_has_four_levels_at_two_bits() {
        let two = UniformSpec { mapping: Mapping::TwosComplement, ..spec(2) };
        // The lowest value, -0.7, is two steps below 0; the highest, 0.35, one above.
        let p = params(&W, &[6], &two).unwrap();
        assert_eq!((scales(&p), p.codes(&W)), (vec![0.35], vec![0, -2, 1, 1, -1, 0]));
        let learned = UniformSpec { scale: ScaleRule::Learned, ..two };
        let p = params_with_scales(&[0.2], &[6], &learned).unwrap();
        assert_eq!(p.codes(&W), [0, -2, 1, 1, -2, 0]);
        let one = UniformSpec { bits: BitWidth::new(1).unwrap(), ..two };
        assert_eq!(params(&W, &[6], &one).unwrap_err(), QuantError::OneBitTwosComplement);
    }

    fn any_spec() -> impl Strategy<Value = UniformSpec> {
        let rules = prop_oneof![
            Just(ScaleRule::AbsMax),
            (50.0f64..100.0).prop_map(ScaleRule::Percentile),
            Just(ScaleRule::MseSearch),
        ];
        let mappings = [Mapping::Symmetric, Mapping::TwosComplement, Mapping::Affine];
        (1u32..=16, 0..3usize, any::<bool>(), any::<bool>(), rules).prop_map(move |(b, m, c, p, scale)| {
            UniformSpec {
                mapping: if b == 1 && m == 1 { Mapping::Symmetric } else { mappings[m] },
                granularity: if c { Granularity::PerChannel } else { Granularity::PerTensor },
                scale_format: if p { ScaleFormat::PowerOfTwo } else { ScaleFormat::Float },
                scale,
                ..spec(b)
            }
        })
    }

    proptest! {
        #[test]
        fn codes_fit_and_round_trip(spec in any_spec(), w in prop::collection::vec(-3.0f32..3.0, 12)) {
            let p = params(&w, &[2, 3, 2, 1], &spec).unwrap();
            let codes = p.codes(&w);
            prop_assert!(codes.iter().all(|c| (spec.codes().min()..=spec.codes().max()).contains(c)));
            prop_assert_eq!(p.dequantize(&codes), p.fake_quant(&w));
        }

        #[test]
        fn mse_search_is_never_worse_than_absmax(
            spec in any_spec(), w in prop::collection::vec(-3.0f32..3.0, 12),
        ) {
            let error = |scale| {
                params(&w, &[3, 4], &UniformSpec { scale, ..spec }).unwrap().squared_error(&w)
            };
            prop_assert!(error(ScaleRule::MseSearch) <= error(ScaleRule::AbsMax) * (1.0 + 1e-6));
        }

        #[test]
        fn absmax_clips_nothing(b in 2u32..=16, w in prop::collection::vec(-3.0f32..3.0, 1..20)) {
            let p = params(&w, &[w.len()], &spec(b)).unwrap();
            for (x, q) in w.iter().zip(p.fake_quant(&w)) {
                prop_assert!((x - q).abs() <= 0.5001 * p.grids()[0].scale() + 1e-6);
            }
        }
    }
}
