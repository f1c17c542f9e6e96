//! Evenly spaced levels, and the channels of a tensor that each have their own.

use crate::num::{exp2, to_f32, whole_to_i32};
use crate::rounding::Draws;
use crate::uniform::channel_axis;
use crate::{BitWidth, DrawPosition, QuantError, Rounding};
use snn_core::Codes;
use snn_core::kernels::levels;

/// The integer codes that a width and a mapping allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeSet {
    /// All integers from `min` to `max`.
    Range {
        /// The smallest code.
        min: i32,
        /// The largest code.
        max: i32,
    },
    /// The two codes -1 and +1: a binary tensor, which has no zero.
    Sign,
}

impl CodeSet {
    /// Symmetric codes `±(2^(b-1) - 1)`, the narrow range of Brevitas; ternary at 2 bits, `{-1, +1}` at 1
    /// bit.
    pub fn symmetric(bits: BitWidth) -> Self {
        match bits.get() {
            1 => CodeSet::Sign,
            b => CodeSet::Range { min: 1 - (1 << (b - 1)), max: (1 << (b - 1)) - 1 },
        }
    }

    /// Unsigned codes `0..=2^b - 1`, for grids with a zero point.
    pub fn unsigned(bits: BitWidth) -> Self {
        CodeSet::Range { min: 0, max: (1 << bits.get()) - 1 }
    }

    /// All codes of two's complement, `-2^(b-1)..=2^(b-1) - 1`, for fixed point.
    pub fn twos_complement(bits: BitWidth) -> Self {
        let half = 1 << (bits.get() - 1);
        CodeSet::Range { min: -half, max: half - 1 }
    }

    /// The smallest code.
    pub fn min(self) -> i32 {
        match self {
            CodeSet::Range { min, .. } => min,
            CodeSet::Sign => -1,
        }
    }

    /// The largest code, `q_max` in formulas.
    pub fn max(self) -> i32 {
        match self {
            CodeSet::Range { max, .. } => max,
            CodeSet::Sign => 1,
        }
    }
}

/// Evenly spaced levels `scale · (code - zero_point)`.
///
/// All of a grid's functions are total: an infinite value saturates, and `NaN` stays `NaN` in
/// [`fake_quant`](Grid::fake_quant) so that a diverged run is seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Grid {
    scale: f32,
    zero_point: i32,
    codes: CodeSet,
}

impl Grid {
    /// A grid with the given distance between levels.
    ///
    /// # Errors
    /// [`QuantError::Scale`] unless `scale` is positive and finite; [`QuantError::ZeroPoint`] when
    /// `zero_point` is not a code of a range, or is not 0 for [`CodeSet::Sign`] and ranges that reach below
    /// 0.
    pub fn new(scale: f32, zero_point: i32, codes: CodeSet) -> Result<Self, QuantError> {
        if !(scale.is_finite() && scale > 0.0) {
            return Err(QuantError::Scale { channel: 0, scale });
        }
        let (min, max) = if codes.min() < 0 { (0, 0) } else { (codes.min(), codes.max()) };
        if !(min..=max).contains(&zero_point) {
            return Err(QuantError::ZeroPoint { zero_point, min, max });
        }
        Ok(Grid { scale, zero_point, codes })
    }

    /// A grid whose scale is raised to the smallest positive normal number if it is 0, which an all-zero
    /// tensor asks for; the caller vouches for the rest.
    pub(crate) fn from_scale(scale: f32, zero_point: i32, codes: CodeSet) -> Self {
        Grid { scale: scale.clamp(f32::MIN_POSITIVE, f32::MAX), zero_point, codes }
    }

    /// A grid with scale `2^exponent` and no zero point.
    pub(crate) fn power_of_two(exponent: i32, codes: CodeSet) -> Self {
        Self::from_scale(exp2(exponent), 0, codes)
    }

    /// The distance between levels; half of it for [`CodeSet::Sign`].
    pub fn scale(self) -> f32 {
        self.scale
    }

    /// The code of the level 0.
    pub fn zero_point(self) -> i32 {
        self.zero_point
    }

    /// The codes of the levels.
    pub fn codes(self) -> CodeSet {
        self.codes
    }

    /// The smallest level.
    pub fn min(self) -> f32 {
        self.value(self.codes.min())
    }

    /// The largest level.
    pub fn max(self) -> f32 {
        self.value(self.codes.max())
    }

    /// Whether `x` lies between the smallest and the largest level, where the gradient mask lets gradients
    /// pass.
    #[inline]
    pub fn contains(self, x: f32) -> bool {
        let (lo, hi) = self.whole_bounds();
        (lo..=hi).contains(&(x / self.scale))
    }

    /// The code of the level nearest to `x`, ties to the even code; of 0 for a binary grid, +1; of `NaN`, 0.
    #[inline]
    pub fn code(self, x: f32) -> i32 {
        whole_to_i32(self.whole(x)) + self.zero_point
    }

    /// The level of a code.
    #[inline]
    pub fn value(self, code: i32) -> f32 {
        self.scale * to_f32(f64::from(code - self.zero_point))
    }

    /// The level nearest to `x`: `scale · (clamp(round(x / scale) + zero_point) - zero_point)`.
    #[inline]
    pub fn fake_quant(self, x: f32) -> f32 {
        self.scale * self.whole(x)
    }

    /// Replaces each value by a level, as `rounding` says; `at` tells stochastic rounding where `x` begins.
    ///
    /// # Examples
    /// ```
    /// use snn_quant::{BitWidth, DrawPosition, FixedPoint, Rounding};
    ///
    /// let grid = FixedPoint::q0(BitWidth::new(4)?).grid();
    /// let mut whole = vec![0.3f32; 64];
    /// let mut split = whole.clone();
    /// let rounding = Rounding::Stochastic { seed: 7 };
    /// grid.round_slice(&mut whole, rounding, DrawPosition { step: 2, first_index: 0 });
    /// let (front, back) = split.split_at_mut(20);
    /// grid.round_slice(back, rounding, DrawPosition { step: 2, first_index: 20 });
    /// grid.round_slice(front, rounding, DrawPosition { step: 2, first_index: 0 });
    /// assert_eq!(whole, split);
    /// # Ok::<(), snn_quant::QuantError>(())
    /// ```
    pub fn round_slice(self, x: &mut [f32], rounding: Rounding, at: DrawPosition) {
        match rounding {
            Rounding::Nearest => self.round_to_nearest(x),
            Rounding::Stochastic { seed } => {
                let mut draws = Draws::new(seed, at);
                x.iter_mut().for_each(|v| *v = self.scale * self.stochastic_whole(*v, draws.next_unit()));
            }
        }
    }

    /// [`fake_quant`](Self::fake_quant) of each value, in place.
    fn round_to_nearest(self, x: &mut [f32]) {
        match self.codes {
            CodeSet::Sign => x.iter_mut().for_each(|v| *v = self.fake_quant(*v)),
            CodeSet::Range { .. } => levels::to_multiples(self.scale, self.whole_bounds(), x),
        }
    }

    /// `code - zero_point` of the nearest level, as a float. Clamping before rounding is the same as after,
    /// because the bounds are whole, and keeps the argument of the rounding small.
    #[inline]
    pub(crate) fn whole(self, x: f32) -> f32 {
        match self.codes {
            CodeSet::Sign => (x + 0.0).signum(),
            CodeSet::Range { .. } => levels::nearest_whole(x / self.scale, self.whole_bounds()),
        }
    }

    /// `code - zero_point` of the level below plus one with the probability of the fraction: `floor(x + u)`,
    /// for a binary grid in steps of two.
    fn stochastic_whole(self, x: f32, unit: f64) -> f32 {
        let (lo, hi) = self.whole_bounds();
        let clamped = f64::from((x / self.scale).clamp(lo, hi));
        let whole = match self.codes {
            CodeSet::Sign => 2.0 * ((clamped + 1.0) / 2.0 + unit).floor() - 1.0,
            CodeSet::Range { .. } => (clamped + unit).floor(),
        };
        to_f32(whole.clamp(f64::from(lo), f64::from(hi)))
    }

    /// The bounds of `code - zero_point`.
    #[inline]
    fn whole_bounds(self) -> (f32, f32) {
        let whole = |code: i32| to_f32(f64::from(code - self.zero_point));
        (whole(self.codes.min()), whole(self.codes.max()))
    }
}

/// The grids of one tensor: one, or one per channel.
///
/// Made by [`uniform::params`](crate::uniform::params) and [`FixedPoint::params`](crate::FixedPoint::params).
///
/// # Shapes
/// The methods take the tensor's values in row-major order, as many as the shape given at construction holds.
/// With one grid per tensor any number of values will do, which is how membranes use it.
#[derive(Debug, Clone, PartialEq)]
pub struct QuantParams {
    bits: BitWidth,
    grids: Vec<Grid>,
    /// The number of neighboring values that share a channel.
    run: usize,
}

impl QuantParams {
    /// One grid for all values.
    pub fn per_tensor(bits: BitWidth, grid: Grid) -> Self {
        QuantParams { bits, grids: vec![grid], run: usize::MAX }
    }

    /// One grid for each channel, in runs of `run` neighboring values.
    pub(crate) fn per_channel(bits: BitWidth, grids: Vec<Grid>, run: usize) -> Self {
        QuantParams { bits, grids, run }
    }

    /// The width of the codes.
    pub fn bits(&self) -> BitWidth {
        self.bits
    }

    /// The grids, one per channel.
    pub fn grids(&self) -> &[Grid] {
        &self.grids
    }

    /// The integer code of each value, rounded half to even.
    pub fn codes(&self, w: &[f32]) -> Vec<i32> {
        self.map(w, |grid, &x| grid.code(x))
    }

    /// The value of each code.
    pub fn dequantize(&self, codes: &[i32]) -> Vec<f32> {
        self.map(codes, |grid, &code| grid.value(code))
    }

    /// The level nearest to each value: what `dequantize(codes(w))` returns, in one pass.
    pub fn fake_quant(&self, w: &[f32]) -> Vec<f32> {
        let mut x = w.to_vec();
        match self.shared_ends() {
            Some(ends) if self.run == 1 => {
                let scales: Vec<f32> = self.grids.iter().map(|grid| grid.scale).collect();
                levels::to_multiples_by_column(&scales, ends, &mut x);
            }
            _ => {
                let channels = self.grids.iter().cycle();
                x.chunks_mut(self.run).zip(channels).for_each(|(run, grid)| grid.round_to_nearest(run));
            }
        }
        x
    }

    /// The codes of levels of weights of this shape, counted from the zero point, if their sums fit whole numbers of 16 bits.
    pub(crate) fn codes_of_levels(&self, shape: &[usize], levels: &[f32]) -> Option<Codes> {
        /// Sums of more bits seldom fit.
        const MOST_BITS: u32 = 8;
        if self.bits.get() > MOST_BITS {
            return None;
        }
        let scales: Vec<f32> = self.grids.iter().map(|grid| grid.scale).collect();
        let mut codes = vec![0; levels.len()];
        if self.run == 1 {
            levels::how_many_by_column(&scales, levels, &mut codes);
        } else {
            for (to, (_, grid, run)) in codes.chunks_mut(self.run).zip(self.runs(levels)) {
                levels::how_many(grid.scale, run, to);
            }
        }
        Codes::new(shape, channel_axis(shape.len()), codes, scales)
    }

    /// The bounds of `code - zero_point`, if all grids have the same, and whole steps between their levels.
    fn shared_ends(&self) -> Option<(f32, f32)> {
        let mut all = self.grids.iter();
        let first = all.next().filter(|grid| grid.codes != CodeSet::Sign)?;
        let are_alike = all.all(|grid| (grid.codes, grid.zero_point) == (first.codes, first.zero_point));
        are_alike.then(|| first.whole_bounds())
    }

    /// The sum of squared differences between the values and their levels, `‖Q(w) - w‖²`.
    pub fn squared_error(&self, w: &[f32]) -> f64 {
        self.runs(w).map(|(_, grid, run)| squared_error(grid, run, f64::INFINITY)).sum()
    }

    /// Applies `f` to each value with its channel's grid.
    pub(crate) fn map<A, B>(&self, values: &[A], f: impl Fn(Grid, &A) -> B) -> Vec<B> {
        let mut out = Vec::with_capacity(values.len());
        for block in values.chunks(self.run.saturating_mul(self.grids.len())) {
            for (run, &grid) in block.chunks(self.run).zip(&self.grids) {
                out.extend(run.iter().map(|v| f(grid, v)));
            }
        }
        out
    }

    /// The runs of neighboring values that share a channel: the channel, its grid and the values.
    pub(crate) fn runs<'a, A>(&'a self, values: &'a [A]) -> impl Iterator<Item = (usize, Grid, &'a [A])> {
        let channels = self.grids.iter().copied().enumerate().cycle();
        channels.zip(values.chunks(self.run)).map(|((channel, grid), run)| (channel, grid, run))
    }
}

/// `Σ (Q(x) - x)²`, or any number above `limit` as soon as the sum has passed it.
pub(crate) fn squared_error(grid: Grid, x: &[f32], limit: f64) -> f64 {
    let mut sum = 0.0;
    for block in x.chunks(4096) {
        sum += block.iter().map(|&v| f64::from(grid.fake_quant(v) - v).powi(2)).sum::<f64>();
        if sum > limit {
            break;
        }
    }
    sum
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "levels are compared exactly")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bits(b: u32) -> BitWidth {
        BitWidth::new(b).unwrap()
    }

    #[test]
    fn code_sets_have_the_declared_ends() {
        let ends = |codes: CodeSet| (codes.min(), codes.max());
        assert_eq!(ends(CodeSet::symmetric(bits(1))), (-1, 1));
        assert_eq!(ends(CodeSet::symmetric(bits(2))), (-1, 1));
        assert_eq!(ends(CodeSet::symmetric(bits(8))), (-127, 127));
        assert_eq!(ends(CodeSet::unsigned(bits(4))), (0, 15));
        assert_eq!(ends(CodeSet::twos_complement(bits(16))), (-32768, 32767));
    }

    #[test]
    fn ties_go_to_the_even_code() {
        let grid = Grid::new(1.0, 0, CodeSet::symmetric(bits(4))).unwrap();
        let codes: Vec<i32> = [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 100.0].map(|x| grid.code(x)).to_vec();
        assert_eq!(codes, [-2, -2, 0, 0, 2, 2, 7]);
    }

    #[test]
    fn a_binary_grid_has_no_zero_and_calls_it_plus_one() {
        let grid = Grid::new(0.5, 0, CodeSet::Sign).unwrap();
        let values: Vec<f32> = [-3.0, -0.0, 0.0, 0.1].map(|x| grid.fake_quant(x)).to_vec();
        assert_eq!(values, [-0.5, 0.5, 0.5, 0.5]);
    }

    #[test]
    fn values_that_are_not_finite_saturate_or_stay() {
        let grid = Grid::new(0.1, 0, CodeSet::symmetric(bits(3))).unwrap();
        assert_eq!(grid.fake_quant(f32::INFINITY), grid.max());
        assert_eq!(grid.fake_quant(f32::NEG_INFINITY), grid.min());
        assert!(grid.fake_quant(f32::NAN).is_nan());
        assert!(!grid.contains(f32::NAN));
    }

    #[test]
    fn bad_grids_are_refused() {
        let codes = CodeSet::unsigned(bits(2));
        assert!(matches!(Grid::new(0.0, 0, codes), Err(QuantError::Scale { .. })));
        assert!(matches!(Grid::new(f32::NAN, 0, codes), Err(QuantError::Scale { .. })));
        assert!(matches!(Grid::new(1.0, 4, codes), Err(QuantError::ZeroPoint { .. })));
        assert!(matches!(Grid::new(1.0, 1, CodeSet::Sign), Err(QuantError::ZeroPoint { .. })));
    }

    #[test]
    fn stochastic_rounding_is_unbiased_and_stays_on_neighboring_levels() {
        let at = DrawPosition { step: 1, first_index: 0 };
        for codes in [CodeSet::twos_complement(bits(4)), CodeSet::Sign] {
            let grid = Grid::new(0.25, 0, codes).unwrap();
            let (target, n) = (0.18f32, 40_000usize);
            let mut x = vec![target; n];
            grid.round_slice(&mut x, Rounding::Stochastic { seed: 5 }, at);
            let mean = x.iter().map(|&v| f64::from(v)).sum::<f64>() / n as f64;
            assert!((mean - f64::from(target)).abs() < 4.0 * 0.25 / (n as f64).sqrt(), "mean {mean}");
            assert!(x.iter().all(|&v| v == grid.fake_quant(v)), "every result is a level");
        }
    }

    fn any_grid() -> impl Strategy<Value = Grid> {
        (1u32..=16, 0u32..3, 1e-4f32..10.0, 0i32..=0xffff).prop_map(|(b, kind, scale, position)| {
            let bits = BitWidth::new(b).unwrap();
            let codes = match kind {
                0 => CodeSet::symmetric(bits),
                1 => CodeSet::unsigned(bits),
                _ => CodeSet::twos_complement(bits),
            };
            let zero = if kind == 1 { position % (codes.max() + 1) } else { 0 };
            Grid::new(scale, zero, codes).unwrap()
        })
    }

    proptest! {
        #[test]
        fn fake_quant_is_dequantized_codes_idempotent_and_near(grid in any_grid(), x in -50.0f32..50.0) {
            let q = grid.fake_quant(x);
            prop_assert_eq!(q.to_bits(), grid.value(grid.code(x)).to_bits());
            prop_assert_eq!(grid.fake_quant(q), q);
            if grid.contains(x) && grid.codes() != CodeSet::Sign {
                prop_assert!((q - x).abs() <= 0.5 * grid.scale() * 1.0001 + x.abs() * 1e-6);
            }
        }

        #[test]
        fn fake_quant_is_monotone(grid in any_grid(), a in -50.0f32..50.0, b in -50.0f32..50.0) {
            let (low, high) = if a <= b { (a, b) } else { (b, a) };
            prop_assert!(grid.fake_quant(low) <= grid.fake_quant(high));
        }
    }
}
