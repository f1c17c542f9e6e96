//! A histogram of bounded size whose content does not depend on the order of the data.

use crate::num::{count, exp2, floor_log2, to_f32};

/// The number of bins on each side of zero.
const SIDE: i64 = 4096;

/// Counts of values in equal bins over `[-2^e, 2^e)`, where `e` is the smallest exponent that holds all
/// values.
///
/// When a larger value arrives, the range doubles and neighboring bins merge. Bin edges are powers of two
/// apart, so merged counts equal those that the larger range would have given from the start: neither the
/// order nor the splitting of the data changes the result. Zeros, which dominate sparse activity, are counted
/// apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Histogram {
    exponent: i32,
    bins: Vec<u64>,
    n_zeros: u64,
    n_values: u64,
}

/// A bin: its lower and upper edge and its count.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bin {
    pub(crate) lo: f64,
    pub(crate) hi: f64,
    pub(crate) n: u64,
}

impl Bin {
    /// The value that stands for the bin.
    pub(crate) fn center(self) -> f32 {
        to_f32((self.lo + self.hi) / 2.0)
    }
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Histogram { exponent: -120, bins: vec![0; 2 * side()], n_zeros: 0, n_values: 0 }
    }

    /// Adds finite values.
    pub(crate) fn add(&mut self, x: &[f32]) {
        let largest = x.iter().fold(0f32, |m, v| m.max(v.abs()));
        if largest > 0.0 {
            self.grow_to(floor_log2(largest) + 1);
        }
        let per_width = 1.0 / self.bin_width();
        for &v in x {
            if v == 0.0 {
                self.n_zeros += 1;
            } else {
                self.bins[bin_index((f64::from(v) * per_width).floor())] += 1;
            }
        }
        self.n_values += crate::num::len_u64(x.len());
    }

    /// Adds the counts of another histogram.
    pub(crate) fn merge(&mut self, other: &Histogram) {
        let mut other = other.clone();
        self.grow_to(other.exponent);
        other.grow_to(self.exponent);
        self.bins.iter_mut().zip(&other.bins).for_each(|(a, b)| *a += b);
        self.n_zeros += other.n_zeros;
        self.n_values += other.n_values;
    }

    /// The number of values seen.
    pub(crate) fn n_values(&self) -> u64 {
        self.n_values
    }

    /// The bins that are not empty, from below; zeros are a bin of no width.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Bin> {
        let width = self.bin_width();
        let bin = move |(i, &n): (usize, &u64)| {
            let lo = (count(i) - count(side())) * width;
            Bin { lo, hi: lo + width, n }
        };
        let (below, above) = self.bins.split_at(side());
        let above = above.iter().enumerate().map(move |(i, n)| (i + side(), n));
        let zeros = Bin { lo: 0.0, hi: 0.0, n: self.n_zeros };
        let all = below.iter().enumerate().map(bin).chain([zeros]).chain(above.map(bin));
        all.filter(|b| b.n > 0)
    }

    fn bin_width(&self) -> f64 {
        f64::from(exp2(self.exponent)) / count(side())
    }

    /// Doubles the range until it reaches `2^exponent`.
    fn grow_to(&mut self, exponent: i32) {
        let doublings = exponent - self.exponent;
        if doublings <= 0 {
            return;
        }
        let mut merged = vec![0; self.bins.len()];
        for (i, &n) in self.bins.iter().enumerate() {
            let signed = i64::try_from(i).unwrap_or(0) - SIDE;
            merged[signed_index(signed >> doublings.min(62))] += n;
        }
        self.bins = merged;
        self.exponent = exponent;
    }
}

/// The number of bins on each side, as a length.
fn side() -> usize {
    signed_index(0)
}

/// The position of the bin whose lower edge is `k` widths above zero.
fn signed_index(k: i64) -> usize {
    usize::try_from((k + SIDE).clamp(0, 2 * SIDE - 1)).unwrap_or(0)
}

/// The position of the bin of a value already divided by the width and rounded down.
#[allow(clippy::cast_possible_truncation, reason = "below 2^13, because the range was grown to hold it")]
fn bin_index(whole: f64) -> usize {
    signed_index(whole as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(batches: &[Vec<f32>]) -> Histogram {
        let mut h = Histogram::new();
        batches.iter().for_each(|b| h.add(b));
        h
    }

    #[test]
    fn bins_hold_their_values() {
        let x = vec![-1.0, -0.3, 0.0, 0.0, 1e-7, 0.5, 0.9999, 1.0];
        let h = of(std::slice::from_ref(&x));
        assert_eq!(h.iter().map(|b| b.n).sum::<u64>(), 8);
        for v in x {
            let v = f64::from(v);
            let holds = |b: &Bin| b.lo <= v && (v < b.hi || v == 0.0);
            assert!(h.iter().any(|b| holds(&b)), "no bin for {v}");
        }
    }

    #[test]
    fn extremes_do_not_break_it() {
        let h = of(&[vec![f32::MAX, f32::MIN, f32::MIN_POSITIVE, 1e-45, -1e-45, -0.0]]);
        assert_eq!(h.iter().map(|b| b.n).sum::<u64>(), 6);
    }

    proptest! {
        #[test]
        fn order_and_splits_do_not_matter(
            batches in prop::collection::vec(prop::collection::vec(-1e3f32..1e3, 0..20), 1..6),
        ) {
            let whole = of(&[batches.concat()]);
            let mut reversed = batches.clone();
            reversed.reverse();
            prop_assert_eq!(&of(&reversed), &whole);
            let mut merged = Histogram::new();
            batches.iter().for_each(|b| merged.merge(&of(std::slice::from_ref(b))));
            prop_assert_eq!(merged, whole);
        }
    }
}
