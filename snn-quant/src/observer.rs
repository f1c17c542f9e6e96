//! Calibration: the range of values that are only seen as a stream, such as membranes over a data set.

use crate::histogram::{Bin, Histogram};
use crate::num::to_f32;
use crate::uniform::{Mapping, ScaleRule, UniformSpec, ValueRange, check_finite};
use crate::{BitWidth, FixedPoint, Grid, QuantError};

/// Watches values go by and then answers with a range, by any [`ScaleRule`] that does not learn.
///
/// Memory is bounded: the extremes are exact, everything else comes from a histogram of 8192 bins, whose
/// width lies between 1/4096 and 1/8192 of the largest magnitude (so percentiles and squared errors are good
/// to that resolution). The answer depends neither on the order of the data nor on how it was split over
/// observers that are [merged](Observer::merge) later.
///
/// # Examples
/// ```
/// use snn_quant::{BitWidth, Observer, uniform::{ScaleRule, UniformSpec}};
///
/// let mut observer = Observer::new();
/// for batch in [[0.1, -0.4], [0.8, 0.3]] {
///     observer.observe(&batch)?;
/// }
/// let grid = observer.grid(&UniformSpec::new(BitWidth::new(8)?))?;
/// assert_eq!(grid.max(), 0.8);
/// assert_eq!(observer.fixed_point(BitWidth::new(8)?, ScaleRule::AbsMax)?.int_bits(), 0);
/// # Ok::<(), snn_quant::QuantError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Observer {
    min: f32,
    max: f32,
    histogram: Histogram,
}

impl Default for Observer {
    fn default() -> Self {
        Self::new()
    }
}

impl Observer {
    /// An observer that has seen nothing.
    pub fn new() -> Self {
        Observer { min: f32::INFINITY, max: f32::NEG_INFINITY, histogram: Histogram::new() }
    }

    /// Takes in values, all of them or none.
    ///
    /// # Errors
    /// [`QuantError::NonFinite`]; nothing is taken in then.
    pub fn observe(&mut self, x: &[f32]) -> Result<(), QuantError> {
        check_finite(x)?;
        for &v in x {
            self.min = self.min.min(v);
            self.max = self.max.max(v);
        }
        self.histogram.add(x);
        Ok(())
    }

    /// Takes in what another observer has seen.
    pub fn merge(&mut self, other: &Observer) {
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.histogram.merge(&other.histogram);
    }

    /// The number of values seen.
    pub fn n_values(&self) -> u64 {
        self.histogram.n_values()
    }

    /// The smallest and the largest value seen.
    pub fn min_max(&self) -> Option<(f32, f32)> {
        (self.n_values() > 0).then_some((self.min, self.max))
    }

    /// The grid that `spec` asks for, with one scale for everything seen (its granularity is not looked at).
    ///
    /// # Errors
    /// [`QuantError::NothingObserved`], [`QuantError::LearnedObserver`], and what [`UniformSpec::check`]
    /// finds.
    pub fn grid(&self, spec: &UniformSpec) -> Result<Grid, QuantError> {
        spec.check()?;
        let full = self.full_range()?;
        match spec.scale {
            ScaleRule::AbsMax => Ok(spec.grid_for(full)),
            ScaleRule::Percentile(p) => Ok(spec.grid_for(self.percentile_range(p, spec.mapping)?)),
            ScaleRule::MseSearch => {
                Ok(spec.search(full, |grid, _| self.squared_error(|x| grid.fake_quant(x))))
            }
            ScaleRule::Learned => Err(QuantError::LearnedObserver),
        }
    }

    /// The fixed-point format of `bits` bits whose range `rule` finds: it covers the largest magnitude or the
    /// percentile of magnitudes, or it has the least squared error of all formats that clip.
    ///
    /// # Errors
    /// As [`grid`](Observer::grid), and [`QuantError::IntBits`] for values beyond `2^64` or all below
    /// `2^-64`.
    pub fn fixed_point(&self, bits: BitWidth, rule: ScaleRule) -> Result<FixedPoint, QuantError> {
        rule.check()?;
        let full = self.full_range()?;
        let covering = FixedPoint::covering(bits, full.abs_max())?;
        match rule {
            ScaleRule::AbsMax => Ok(covering),
            ScaleRule::Percentile(p) => {
                FixedPoint::covering(bits, self.percentile_range(p, Mapping::Symmetric)?.abs_max())
            }
            ScaleRule::MseSearch => Ok(self.best_fixed_point(covering)),
            ScaleRule::Learned => Err(QuantError::LearnedObserver),
        }
    }

    /// The format of least error among `widest` and those with up to 16 integer bits fewer.
    fn best_fixed_point(&self, widest: FixedPoint) -> FixedPoint {
        let narrower = |less| FixedPoint::new(widest.bits(), widest.int_bits() - less).ok();
        let candidates = (0..=16).filter_map(narrower);
        let scored = candidates.map(|format| (self.squared_error(|x| format.grid().fake_quant(x)), format));
        scored.min_by(|a, b| a.0.total_cmp(&b.0)).map_or(widest, |(_, format)| format)
    }

    fn full_range(&self) -> Result<ValueRange, QuantError> {
        let (min, max) = self.min_max().ok_or(QuantError::NothingObserved)?;
        Ok(ValueRange::new(min, max))
    }

    /// `Σ (Q(x) - x)²` over everything seen, each value taken at the center of its bin.
    pub(crate) fn squared_error(&self, quantize: impl Fn(f32) -> f32) -> f64 {
        let bin_error = |b: Bin| f64::from(quantize(b.center()) - b.center()).powi(2) * b.n as f64;
        self.histogram.iter().map(bin_error).sum()
    }

    /// The range that holds `percent` of what was seen, cut equally from both tails.
    pub(crate) fn range(&self, percent: f64) -> Result<(f64, f64), QuantError> {
        let range = self.percentile_range(percent, Mapping::Affine)?;
        Ok((f64::from(range.lo), f64::from(range.hi)))
    }

    /// The range that holds `percent` of what was seen.
    fn percentile_range(&self, percent: f64, mapping: Mapping) -> Result<ValueRange, QuantError> {
        let full = self.full_range()?;
        let fraction = percent / 100.0;
        Ok(match mapping {
            Mapping::Symmetric | Mapping::TwosComplement => {
                let bound = quantile(&self.magnitudes(), fraction);
                ValueRange::symmetric(bound.min(full.abs_max()))
            }
            Mapping::Affine => {
                let bins: Vec<Bin> = self.histogram.iter().collect();
                let tail = (1.0 - fraction) / 2.0;
                let (lo, hi) = (quantile(&bins, tail), quantile(&bins, 1.0 - tail));
                ValueRange::new(lo.max(self.min), hi.min(self.max))
            }
        })
    }

    /// The bins of the absolute values, from below.
    fn magnitudes(&self) -> Vec<Bin> {
        let fold = |b: Bin| if b.lo < 0.0 { Bin { lo: -b.hi, hi: -b.lo, n: b.n } } else { b };
        let mut bins: Vec<Bin> = self.histogram.iter().map(fold).collect();
        bins.sort_by(|a, b| a.lo.total_cmp(&b.lo).then(a.hi.total_cmp(&b.hi)));
        bins
    }
}

/// The value below which `fraction` of the sorted bins' counts lie, interpolated within the bin.
fn quantile(bins: &[Bin], fraction: f64) -> f32 {
    let total: u64 = bins.iter().map(|b| b.n).sum();
    let mut left = fraction.clamp(0.0, 1.0) * total as f64;
    for b in bins {
        let n = b.n as f64;
        if left <= n {
            return to_f32(b.lo + (b.hi - b.lo) * left / n);
        }
        left -= n;
    }
    bins.last().map_or(0.0, |b| to_f32(b.hi))
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "levels are compared exactly")]
mod tests {
    use super::*;
    use crate::uniform::{ScaleFormat, params};
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn spec(bits: u32, scale: ScaleRule) -> UniformSpec {
        UniformSpec { scale, ..UniformSpec::new(BitWidth::new(bits).unwrap()) }
    }

    fn seen(x: &[f32]) -> Observer {
        let mut o = Observer::new();
        o.observe(x).unwrap();
        o
    }

    /// A bell-shaped sample with an outlier.
    fn bell() -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut x: Vec<f32> =
            (0..4000).map(|_| (0..6).map(|_| rng.random::<f32>()).sum::<f32>() - 3.0).collect();
        x.push(8.0);
        x
    }

    #[test]
    fn absmax_agrees_exactly_with_the_whole_tensor() {
        let x = bell();
        for mapping in [Mapping::Symmetric, Mapping::Affine] {
            let spec = UniformSpec { mapping, ..spec(4, ScaleRule::AbsMax) };
            assert_eq!(seen(&x).grid(&spec).unwrap(), params(&x, &[x.len()], &spec).unwrap().grids()[0]);
        }
    }

    #[test]
    fn percentiles_and_mse_agree_to_the_bin_width() {
        let x = bell();
        for rule in [ScaleRule::Percentile(99.0), ScaleRule::Percentile(60.0), ScaleRule::MseSearch] {
            for mapping in [Mapping::Symmetric, Mapping::Affine] {
                let spec = UniformSpec { mapping, ..spec(3, rule) };
                let streamed = f64::from(seen(&x).grid(&spec).unwrap().scale());
                let whole = f64::from(params(&x, &[x.len()], &spec).unwrap().grids()[0].scale());
                assert!((streamed / whole - 1.0).abs() < 0.02, "{rule:?} {mapping:?}: {streamed} {whole}");
            }
        }
    }

    #[test]
    fn fixed_point_ranges_follow_the_rule() {
        let o = seen(&bell());
        let int_bits = |rule| o.fixed_point(BitWidth::new(4).unwrap(), rule).unwrap().int_bits();
        assert_eq!(int_bits(ScaleRule::AbsMax), 3);
        assert_eq!(int_bits(ScaleRule::Percentile(99.0)), 1);
        assert_eq!(int_bits(ScaleRule::MseSearch), 1);
    }

    #[test]
    fn mostly_zero_data_keeps_its_zeros() {
        let mut x = vec![0.0; 1000];
        x.extend([1.0; 10]);
        let o = seen(&x);
        assert_eq!(o.grid(&spec(8, ScaleRule::Percentile(90.0))).unwrap().max(), 127.0 * f32::MIN_POSITIVE);
        let power =
            UniformSpec { scale_format: ScaleFormat::PowerOfTwo, ..spec(8, ScaleRule::Percentile(90.0)) };
        assert_eq!(o.grid(&power).unwrap().scale(), f32::MIN_POSITIVE);
    }

    #[test]
    fn refusals_are_typed() {
        let empty = Observer::new();
        assert_eq!(empty.grid(&spec(8, ScaleRule::AbsMax)), Err(QuantError::NothingObserved));
        assert_eq!(empty.min_max(), None);
        let o = seen(&[1.0]);
        assert_eq!(o.grid(&spec(8, ScaleRule::Learned)), Err(QuantError::LearnedObserver));
        let mut o = seen(&[1.0]);
        assert!(matches!(o.observe(&[0.5, f32::INFINITY]), Err(QuantError::NonFinite { index: 1, .. })));
        assert_eq!(o, seen(&[1.0]));
    }

    proptest! {
        #[test]
        fn splits_and_order_do_not_matter(
            x in prop::collection::vec(-10.0f32..10.0, 2..60), cut: prop::sample::Index,
        ) {
            let (a, b) = x.split_at(cut.index(x.len()));
            let mut streamed = seen(b);
            streamed.observe(a).unwrap();
            let mut merged = seen(a);
            merged.merge(&seen(b));
            prop_assert_eq!(&streamed, &seen(&x));
            prop_assert_eq!(&merged, &seen(&x));
        }
    }
}
