//! Convolution by events: each nonzero number adds the runs of its kernel to what it reaches.
//!
//! Frames are walked channel by channel, so that the kernel of a channel stays in the first-level cache.

use super::links::Links;
use crate::scalar::Scalar;
use crate::vectorized;

vectorized! {
    /// Adds to each frame of `rows` the kernels of the nonzero numbers of `x`, times these numbers.
    ///
    /// `x` `[F][channels][sites]`, `kernels` `[channels][kernel]`, `rows` `[F][frame]`.
    pub(super) fn scatter[S: Scalar](links: &Links, x: &[S], kernels: &[S], rows: &mut [S]) {
        let (sites, x_len) = (links.sites(), links.channels * links.sites());
        for (channel, kernel) in kernels.chunks(links.kernel_len).enumerate() {
            let offset = links.group_offset(channel);
            for (x, rows) in x.chunks(x_len).zip(rows.chunks_mut(links.frame_len)) {
                let plane = x[channel * sites..(channel + 1) * sites].iter().enumerate();
                for (site, &value) in plane.filter(|(_, v)| !v.is_zero()) {
                    for l in links.of(site) {
                        let at = offset + l.frame;
                        axpy(value, &kernel[l.kernel..l.kernel + l.len], &mut rows[at..at + l.len]);
                    }
                }
            }
        }
    }
}

vectorized! {
    /// Adds to each kernel what the nonzero numbers of `x` reach in `rows`, times these numbers.
    ///
    /// Shapes as in [`scatter`].
    pub(super) fn gather[S: Scalar](links: &Links, x: &[S], rows: &[S], kernels: &mut [S]) {
        let (sites, x_len) = (links.sites(), links.channels * links.sites());
        for (channel, kernel) in kernels.chunks_mut(links.kernel_len).enumerate() {
            let offset = links.group_offset(channel);
            for (x, rows) in x.chunks(x_len).zip(rows.chunks(links.frame_len)) {
                let plane = x[channel * sites..(channel + 1) * sites].iter().enumerate();
                for (site, &value) in plane.filter(|(_, v)| !v.is_zero()) {
                    for l in links.of(site) {
                        let at = offset + l.frame;
                        axpy(value, &rows[at..at + l.len], &mut kernel[l.kernel..l.kernel + l.len]);
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn axpy<S: Scalar>(a: S, x: &[S], y: &mut [S]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y += a * x;
    }
}
