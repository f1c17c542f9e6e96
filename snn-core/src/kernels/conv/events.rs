//! The event path: work for nonzero numbers only.

use super::layout::to_u32;
use super::links::{KernelRows, Links};
use crate::kernels::events::{self, BySite, Events};
use crate::scalar::Scalar;
use crate::vectorized;
use std::ops::Range;

/// Above this number of events a site, it pays to sort the events of a frame by site.
const SORT_ABOVE: usize = 2;

/// Whether it pays to sort so many events by site.
pub(super) fn are_many(links: &Links, n_events: usize, n_frames: usize) -> bool {
    links.groups == 1 && n_events >= SORT_ABOVE * links.sites() * n_frames
}

/// Adds to each frame of `rows` the kernels of the events, times their values.
///
/// `kernels` `[channels][kernel]`, `rows` `[F][frame]`; the planes of the events are those of channels.
pub(super) fn scatter<S: Scalar>(links: &Links, events: &Events<S>, kernels: &[S], rows: &mut [S]) {
    if are_many(links, events.len(), rows.len() / links.frame_len) {
        scatter_by_site(links, events, kernels, rows);
    } else {
        scatter_by_channel(links, events, kernels, rows);
    }
}

/// Rows of the output of each frame, with so many numbers a frame, one frame behind the other.
#[derive(Clone, Debug)]
pub(super) struct Band {
    pub(super) rows: Range<usize>,
    pub(super) len: usize,
}

vectorized! {
    /// [`scatter`] for some rows of the output, which may stay in the first-level cache where whole frames do not.
    pub(super) fn scatter_to_band[S: Scalar](
        lanes; links: &Links, kernel_rows: &KernelRows, band: &Band, events: &Events<S>, kernels: &[S], rows: &mut [S],
    ) {
        let [len, stride] = links.strides;
        let (height, above) = (band.rows.len(), to_u32(band.rows.start));
        let before = to_u32(kernel_rows.above + band.rows.start * stride);
        for (frame, rows) in rows.chunks_mut(band.len).enumerate() {
            for (channel, kernel) in kernels.chunks(links.kernel_len).enumerate() {
                let met = kernel_rows.sites(&band.rows, 0..links.kernel_len / len);
                for (site, value) in events.pairs_at(lanes, frame * links.channels + channel, met) {
                    let first = kernel_rows.first[site as usize] - above.cast_signed();
                    let skipped = usize::try_from(-first).unwrap_or(0);
                    let n = (links.kernel_len / len).min(height.saturating_add_signed(-(first as isize))) - skipped;
                    let start = (kernel_rows.starts[site as usize] + to_u32(skipped * stride) - before) as usize;
                    lanes.add_rows(value, (&kernel[skipped * len..], len), (&mut rows[start..], stride), [n, len]);
                }
            }
        }
    }
}

vectorized! {
    fn scatter_by_site[S: Scalar](lanes; links: &Links, events: &Events<S>, kernels: &[S], rows: &mut [S]) {
        let [stride, frame_stride] = links.strides;
        let mut by_site = BySite::new(links.sites());
        for (frame, rows) in rows.chunks_mut(links.frame_len).enumerate() {
            let planes = frame * links.channels..(frame + 1) * links.channels;
            by_site.sort(events, planes, |plane, _| plane * links.kernel_len);
            for site in 0..links.sites() {
                let of_site = by_site.of(site);
                if of_site.1.is_empty() {
                    continue;
                }
                for p in links.of(site) {
                    let to = (&mut rows[p.frame as usize..], frame_stride);
                    lanes.add_many(of_site, (&kernels[p.kernel as usize..], stride), to, p.size());
                }
            }
        }
    }
}

vectorized! {
    fn scatter_by_channel[S: Scalar](lanes; links: &Links, events: &Events<S>, kernels: &[S], rows: &mut [S]) {
        let [stride, frame_stride] = links.strides;
        for (frame, rows) in rows.chunks_mut(links.frame_len).enumerate() {
            for (channel, kernel) in kernels.chunks(links.kernel_len).enumerate() {
                let offset = links.group_offset(channel);
                for (site, value) in events.pairs(frame * links.channels + channel) {
                    for p in links.of(site as usize) {
                        let frame = &mut rows[offset + p.frame as usize..];
                        lanes.add_rows(value, (&kernel[p.kernel as usize..], stride), (frame, frame_stride), p.size());
                    }
                }
            }
        }
    }
}

vectorized! {
    /// [`gather`] from some rows of the output of each frame, with [`KernelRows::above`] numbers before them; a row of a kernel
    /// is summed in registers.
    pub(super) fn gather_by_kernel_row[S: Scalar](
        lanes; links: &Links, kernel_rows: &KernelRows, band: &Band, events: &Events<S>, rows: &[S], kernels: &mut [S],
    ) {
        let ([len, stride], mut starts) = (links.strides, Vec::new());
        let before = to_u32(band.rows.start * stride);
        for (frame, rows) in rows.chunks(kernel_rows.above + band.len).enumerate() {
            for (channel, kernel) in kernels.chunks_mut(links.kernel_len).enumerate() {
                let (sites, values) = events.of_plane(frame * links.channels + channel);
                starts.clear();
                // Of a site that none of the rows meets, this may be a number without a meaning.
                starts.extend(sites.iter().map(|&site| kernel_rows.starts[site as usize].wrapping_sub(before)));
                for (row, to) in kernel.chunks_mut(len).enumerate() {
                    let met = events::among(lanes, sites, kernel_rows.sites(&band.rows, row..row + 1));
                    let values = if values.is_empty() { &[] } else { &values[met.clone()] };
                    lanes.add_many((values, &starts[met]), (&rows[row * stride..], len), (to, len), [1, len]);
                }
            }
        }
    }
}

vectorized! {
    /// Adds to each kernel what its events reach in `rows`, times their values.
    ///
    /// Shapes as in [`scatter`].
    pub(super) fn gather[S: Scalar](lanes; links: &Links, events: &Events<S>, rows: &[S], kernels: &mut [S]) {
        let [stride, frame_stride] = links.strides;
        for (frame, rows) in rows.chunks(links.frame_len).enumerate() {
            for (channel, kernel) in kernels.chunks_mut(links.kernel_len).enumerate() {
                let offset = links.group_offset(channel);
                for (site, value) in events.pairs(frame * links.channels + channel) {
                    for p in links.of(site as usize) {
                        let frame = &rows[offset + p.frame as usize..];
                        let kernel = (&mut kernel[p.kernel as usize..], stride);
                        lanes.add_rows(value, (frame, frame_stride), kernel, p.size());
                    }
                }
            }
        }
    }
}
