//! Sums of vectors.

use crate::scalar::Scalar;
use crate::vectorized;

vectorized! {
    /// `to += x`, number by number; the shorter one counts.
    pub fn add[S: Scalar](to: &mut [S], x: &[S]) {
        to.iter_mut().zip(x).for_each(|(to, &x)| *to += x);
    }
}

vectorized! {
    /// Adds each row of `x` to `to`.
    ///
    /// # Panics
    /// If `to` is empty.
    pub fn add_rows[S: Scalar](to: &mut [S], x: &[S]) {
        for row in x.chunks(to.len()) {
            to.iter_mut().zip(row).for_each(|(to, &x)| *to += x);
        }
    }
}
