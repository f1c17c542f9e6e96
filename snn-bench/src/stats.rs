//! Intervals and paired differences of small samples.

use crate::estimate::{Estimate, count};
use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};

/// Half width of the two-sided 95 % interval of a mean, `t₀.₉₇₅(n − 1) · s / √n`; `None` for fewer than two samples.
///
/// # Examples
/// ```
/// use snn_bench::stats::interval_95;
///
/// // t = 4.3027 with two degrees of freedom, s = 1.
/// assert!((interval_95(&[1.0, 2.0, 3.0]).unwrap() - 4.3027 / 3f64.sqrt()).abs() < 1e-4);
/// assert_eq!(interval_95(&[1.0]), None);
/// ```
#[must_use]
pub fn interval_95(samples: &[f64]) -> Option<f64> {
    let error = Estimate::mean_se(samples)?.err?;
    let student = StudentsT::new(0.0, 1.0, count(samples.len() - 1)).ok()?;
    Some(student.inverse_cdf(0.975) * error)
}

/// A difference over pairs, such as two networks of each seed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Paired {
    /// Mean of the differences.
    pub mean: f64,
    /// Half width of its 95 % interval by Student's t; none for one pair.
    pub interval_95: Option<f64>,
    /// Number of pairs.
    pub n: usize,
}

/// What a difference says about its sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sign {
    /// Above zero, interval and all.
    Positive,
    /// Below zero, interval and all.
    Negative,
    /// The interval holds zero.
    Open,
    /// One pair: there is no interval.
    OnePair,
}

impl Paired {
    /// The mean of `a − b` over pairs; `None` without pairs.
    ///
    /// # Panics
    /// If there are not as many of one as of the other.
    #[must_use]
    pub fn of(a: &[f64], b: &[f64]) -> Option<Self> {
        assert_eq!(a.len(), b.len(), "pairs");
        let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
        let Estimate { mean, n, .. } = Estimate::mean_sd(&differences)?;
        Some(Self { mean, interval_95: interval_95(&differences), n })
    }

    /// What it says about its sign.
    #[must_use]
    pub fn sign(self) -> Sign {
        match self.interval_95 {
            None => Sign::OnePair,
            Some(width) if self.mean - width > 0.0 => Sign::Positive,
            Some(width) if self.mean + width < 0.0 => Sign::Negative,
            Some(_) => Sign::Open,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_students() {
        // Two-sided 95 % quantiles of the t distribution with 1, 4 and 9 degrees of freedom.
        for (n, quantile) in [(2_u8, 12.706_205), (5, 2.776_445), (10, 2.262_157)] {
            let samples: Vec<f64> = (0..n).map(f64::from).collect();
            let error = Estimate::mean_se(&samples).unwrap().err.unwrap();
            assert!((interval_95(&samples).unwrap() / error - quantile).abs() < 1e-5, "{n}");
        }
    }

    #[test]
    fn signs_are_told_from_the_interval() {
        let sign = |a: &[f64], b: &[f64]| Paired::of(a, b).unwrap().sign();
        assert_eq!(sign(&[0.9, 0.91, 0.92], &[0.8, 0.81, 0.82]), Sign::Positive);
        assert_eq!(sign(&[0.8, 0.81, 0.82], &[0.9, 0.91, 0.92]), Sign::Negative);
        assert_eq!(sign(&[0.8, 0.9, 0.82], &[0.81, 0.85, 0.9]), Sign::Open);
        assert_eq!(sign(&[0.8], &[0.7]), Sign::OnePair);
        assert_eq!(Paired::of(&[], &[]), None);
    }
}
