//! Rank correlation and paired differences.

use crate::estimate::Estimate;

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
pub(super) fn paired_difference(a: &[bool], b: &[bool]) -> Option<Estimate> {
    let difference = |(&a, &b): (&bool, &bool)| f64::from(u8::from(a)) - f64::from(u8::from(b));
    Estimate::mean_se(&a.iter().zip(b).map(difference).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

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
