//! Sums of vectors.

use crate::scalar::Scalar;
use crate::vectorized;

/// Partial sums of [`add_planes`], which vectorize.
pub const LANES: usize = 16;

vectorized! {
    /// Adds the numbers of plane after plane to the sums of their channels, the i-th of a plane to the sum `i % LANES`.
    ///
    /// # Panics
    /// If a plane is empty.
    pub fn add_planes[S: Scalar](sums: &mut [[S; LANES]], x: &[S], plane: usize) {
        for frame in x.chunks(sums.len() * plane) {
            for (sum, x) in sums.iter_mut().zip(frame.chunks(plane)) {
                let (blocks, rest) = x.as_chunks::<LANES>();
                let mut lanes = *sum;
                for block in blocks {
                    for i in 0..LANES {
                        lanes[i] += block[i];
                    }
                }
                *sum = lanes;
                sum.iter_mut().zip(rest).for_each(|(sum, &x)| *sum += x);
            }
        }
    }
}

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
