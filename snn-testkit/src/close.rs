//! Comparison of numbers under a relative and an absolute tolerance.

use thiserror::Error;

/// Why two sequences of numbers are not close.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum Mismatch {
    /// The sequences have different lengths.
    #[error("got {got} elements, want {want}")]
    Length {
        /// Number of elements that the code under test returned.
        got: usize,
        /// Number of elements expected.
        want: usize,
    },
    /// Some elements differ by more than the tolerance; the fields describe the worst of them.
    #[error(
        "element {index} is {got:e}, want {want:e} (difference {difference:e}, allowed {allowed:e}); \
         {n_bad} of {n} elements out of tolerance"
    )]
    Values {
        /// Flat index of the worst element.
        index: usize,
        /// Its value from the code under test.
        got: f64,
        /// Its expected value.
        want: f64,
        /// Absolute difference of the two.
        difference: f64,
        /// Difference that the tolerance allows here, `atol + rtol * |want|`.
        allowed: f64,
        /// Number of elements out of tolerance.
        n_bad: usize,
        /// Number of elements compared.
        n: usize,
    },
}

/// Checks that `|got - want| <= atol + rtol * |want|` for each element.
///
/// An element where either side is NaN is out of tolerance; equal infinities are close.
///
/// # Examples
///
/// ```
/// use snn_testkit::check_close;
///
/// assert!(check_close(&[1.0_f32, 2.0], &[1.0, 2.001], 1e-3, 0.0).is_ok());
/// assert!(check_close(&[f64::NAN], &[f64::NAN], 1.0, 1.0).is_err());
/// ```
///
/// # Errors
///
/// [`Mismatch::Length`] when the lengths differ, [`Mismatch::Values`] with the worst element otherwise.
pub fn check_close<G, W>(got: &[G], want: &[W], rtol: f64, atol: f64) -> Result<(), Mismatch>
where
    G: Copy + Into<f64>,
    W: Copy + Into<f64>,
{
    if got.len() != want.len() {
        return Err(Mismatch::Length { got: got.len(), want: want.len() });
    }
    let pairs = || got.iter().zip(want).map(|(&g, &w)| (g.into(), w.into()));
    let excess = |(g, w): (f64, f64)| excess(g, w, atol + rtol * w.abs());
    let n_bad = pairs().filter(|&pair| excess(pair) > 1.0).count();
    let worst = pairs().enumerate().max_by(|a, b| excess(a.1).total_cmp(&excess(b.1)));
    match worst {
        Some((index, (got, want))) if n_bad > 0 => Err(Mismatch::Values {
            index,
            got,
            want,
            difference: (got - want).abs(),
            allowed: atol + rtol * want.abs(),
            n_bad,
            n: pairs().len(),
        }),
        _ => Ok(()),
    }
}

/// Asserts that `|got - want| <= atol + rtol * |want|` for each element, as [`check_close`] does.
///
/// # Panics
///
/// When the lengths differ or an element is out of tolerance. The message starts with `name` and gives the index
/// and both values of the worst element.
#[track_caller]
pub fn assert_close<G, W>(name: &str, got: &[G], want: &[W], rtol: f64, atol: f64)
where
    G: Copy + Into<f64>,
    W: Copy + Into<f64>,
{
    if let Err(mismatch) = check_close(got, want, rtol, atol) {
        panic!("{name}: {mismatch}");
    }
}

/// Difference in units of what is allowed: above 1 is out of tolerance.
#[allow(clippy::float_cmp, reason = "equal values, infinities included, are close under any tolerance")]
fn excess(got: f64, want: f64, allowed: f64) -> f64 {
    let difference = (got - want).abs();
    if got == want {
        0.0
    } else if difference.is_nan() || allowed.is_nan() || difference.is_infinite() {
        f64::INFINITY
    } else {
        difference / allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_the_worst_element() {
        let mismatch = check_close(&[1.0, 2.5, 3.1], &[1.0, 2.0, 3.0], 0.0, 0.05).unwrap_err();
        let Mismatch::Values { index, n_bad, n, .. } = mismatch else { panic!("{mismatch}") };
        assert_eq!((index, n_bad, n), (1, 2, 3));
    }

    #[test]
    fn special_values() {
        let cases = [
            (f64::NAN, f64::NAN, false),
            (f64::NAN, 0.0, false),
            (0.0, f64::NAN, false),
            (f64::INFINITY, f64::INFINITY, true),
            (f64::INFINITY, f64::NEG_INFINITY, false),
            (1.0, f64::INFINITY, false),
            (0.0, -0.0, true),
        ];
        for (got, want, close) in cases {
            assert_eq!(check_close(&[got], &[want], 1e-3, 1e-3).is_ok(), close, "{got} {want}");
        }
    }

    #[test]
    fn zero_tolerance_means_equal() {
        assert!(check_close(&[0.1_f32], &[0.1_f32], 0.0, 0.0).is_ok());
        assert!(check_close(&[0.1_f32], &[0.1_f64], 0.0, 0.0).is_err());
    }

    #[test]
    #[should_panic(expected = "membrane: got 1 elements, want 2")]
    fn length_mismatch_panics_with_the_name() {
        assert_close("membrane", &[1.0], &[1.0, 2.0], 0.1, 0.1);
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(
            pairs in prop::collection::vec((-10.0..10.0_f64, -10.0..10.0_f64), 0..20),
            rtol in 0.0..1.0_f64,
            atol in 1e-6..5.0_f64,
        ) {
            let (got, want): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
            let by_definition = pairs.iter().all(|(g, w)| (g - w).abs() <= atol + rtol * w.abs());
            prop_assert_eq!(check_close(&got, &want, rtol, atol).is_ok(), by_definition);
        }
    }
}
