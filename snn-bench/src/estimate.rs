//! A measured number with its uncertainty.

use serde::{Deserialize, Serialize};

/// A mean with the half width of its error bar.
///
/// What the error is (standard deviation over seeds, standard error over probes, …) is said where the
/// number is shown; see [`ErrorKind`](crate::report::ErrorKind).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// Half width of the error bar, not negative; `None` when it is not known, as for a single sample.
    pub err: Option<f64>,
    /// Number of samples behind the mean.
    pub n: usize,
}

impl Estimate {
    /// A number known without repetition.
    #[must_use]
    pub fn single(value: f64) -> Self {
        Self { mean: value, err: None, n: 1 }
    }

    /// Mean and sample standard deviation (divisor `n − 1`); `None` without samples.
    ///
    /// # Examples
    ///
    /// ```
    /// use snn_bench::estimate::Estimate;
    ///
    /// let accuracy = Estimate::mean_sd(&[1.0, 2.0, 3.0]).unwrap();
    /// assert_eq!((accuracy.mean, accuracy.err), (2.0, Some(1.0)));
    /// ```
    #[must_use]
    pub fn mean_sd(samples: &[f64]) -> Option<Self> {
        let n = samples.len();
        let mean = mean(samples)?;
        let squares: f64 = samples.iter().map(|x| (x - mean).powi(2)).sum();
        let err = (n > 1).then(|| (squares / count(n - 1)).sqrt());
        Some(Self { mean, err, n })
    }

    /// Mean and its standard error, the standard deviation over `√n`; `None` without samples.
    #[must_use]
    pub fn mean_se(samples: &[f64]) -> Option<Self> {
        let Self { mean, err, n } = Self::mean_sd(samples)?;
        Some(Self { mean, err: err.map(|sd| sd / count(n).sqrt()), n })
    }

    /// The same estimate in another unit, `factor` of which make one of the old.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        Self { mean: self.mean * factor, err: self.err.map(|err| err * factor.abs()), n: self.n }
    }

    /// Lower and upper end of the error bar; both the mean when there is none.
    #[must_use]
    pub fn ends(self) -> (f64, f64) {
        let err = self.err.filter(|err| err.is_finite()).unwrap_or(0.0);
        (self.mean - err, self.mean + err)
    }
}

/// Summed as differences to the first sample, so that equal samples have exactly their mean, and no spread.
fn mean(samples: &[f64]) -> Option<f64> {
    let &first = samples.first()?;
    Some(first + samples.iter().map(|x| x - first).sum::<f64>() / count(samples.len()))
}

/// A count as a real number; exact below 2⁵³.
pub(crate) fn count(n: usize) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_samples_have_no_spread() {
        let estimate = Estimate::mean_sd(&[0.95; 3]).unwrap();
        assert_eq!((estimate.mean, estimate.err), (0.95, Some(0.0)));
    }

    #[test]
    fn one_sample_has_no_error_bar() {
        assert_eq!(Estimate::mean_sd(&[2.0]), Some(Estimate::single(2.0)));
        assert_eq!(Estimate::mean_sd(&[]), None);
    }

    #[test]
    fn standard_error_shrinks_with_the_root_of_n() {
        let sd = Estimate::mean_sd(&[1.0, 3.0, 1.0, 3.0]).unwrap().err.unwrap();
        let se = Estimate::mean_se(&[1.0, 3.0, 1.0, 3.0]).unwrap().err.unwrap();
        assert!((sd / se - 2.0).abs() < 1e-12);
    }

    #[test]
    fn scaling_by_a_negative_factor_keeps_the_error_positive() {
        let scaled = Estimate { mean: 0.5, err: Some(0.1), n: 3 }.scaled(-100.0);
        assert_eq!((scaled.mean, scaled.err), (-50.0, Some(10.0)));
    }
}
