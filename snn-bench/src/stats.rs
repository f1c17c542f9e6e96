//! Intervals and paired differences of small samples, and rank correlation.

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

/// Spearman's rank correlation; ties share their mean rank. `None` for fewer than two pairs or a constant side.
#[must_use]
pub fn spearman(pairs: &[(f64, f64)]) -> Option<f64> {
    let (x, y): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    pearson(&ranks(&x), &ranks(&y))
}

fn ranks(values: &[f64]) -> Vec<f64> {
    let below = |v: f64| values.iter().filter(|&&w| w < v).count() as f64;
    let equal = |v: f64| values.iter().filter(|&&w| w.total_cmp(&v).is_eq()).count() as f64;
    values.iter().map(|&v| below(v) + (equal(v) - 1.0) / 2.0).collect()
}

fn pearson(x: &[f64], y: &[f64]) -> Option<f64> {
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len().max(1) as f64;
    let (mx, my) = (mean(x), mean(y));
    let moment = |f: &dyn Fn(f64, f64) -> f64| x.iter().zip(y).map(|(&a, &b)| f(a - mx, b - my)).sum::<f64>();
    let (xy, xx, yy) = (moment(&|a, b| a * b), moment(&|a, _| a * a), moment(&|_, b| b * b));
    (xx > 0.0 && yy > 0.0).then(|| xy / (xx * yy).sqrt())
}

/// Mean and standard error of `a − b` over paired samples, each right (1) or wrong (0).
#[must_use]
pub fn paired_difference(a: &[bool], b: &[bool]) -> Option<Estimate> {
    let difference = |(&a, &b): (&bool, &bool)| f64::from(u8::from(a)) - f64::from(u8::from(b));
    Estimate::mean_se(&a.iter().zip(b).map(difference).collect::<Vec<_>>())
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

    #[test]
    fn spearman_sees_order_only_and_shares_ranks() {
        let rises = [(1.0, 1.0), (2.0, 8.0), (3.0, 27.0), (4.0, 64.0)];
        assert!((spearman(&rises).unwrap() - 1.0).abs() < 1e-12);
        let falls = rises.map(|(x, y)| (x, -y));
        assert!((spearman(&falls).unwrap() + 1.0).abs() < 1e-12);
        // Ranks 0, 1.5, 1.5, 3 against 0, 1, 2, 3.
        let ties = [(1.0, 1.0), (2.0, 2.0), (2.0, 3.0), (3.0, 4.0)];
        assert!((spearman(&ties).unwrap() - 0.948_683_298).abs() < 1e-8);
        assert_eq!(spearman(&[(1.0, 2.0)]), None);
        assert_eq!(spearman(&[(1.0, 2.0), (1.0, 3.0)]), None);
    }

    #[test]
    fn a_paired_difference_forgets_common_mistakes() {
        let (a, b) = ([true, true, false, false], [true, false, false, false]);
        let difference = paired_difference(&a, &b).unwrap();
        assert!((difference.mean - 0.25).abs() < 1e-12);
    }
}
