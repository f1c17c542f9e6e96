//! The event path: work for nonzero numbers only.

use super::links::Links;
use crate::kernels::events::{BySite, Events};
use crate::scalar::Scalar;
use crate::vectorized;

/// Above this number of events a site, it pays to sort the events of a frame by site.
const SORT_ABOVE: usize = 2;

/// Adds to each frame of `rows` the kernels of the events, times their values.
///
/// `kernels` `[channels][kernel]`, `rows` `[F][frame]`; the planes of the events are those of channels.
pub(super) fn scatter<S: Scalar>(links: &Links, events: &Events<S>, kernels: &[S], rows: &mut [S]) {
    let n_frames = rows.len() / links.frame_len;
    if links.groups == 1 && events.len() >= SORT_ABOVE * links.sites() * n_frames {
        scatter_by_site(links, events, kernels, rows);
    } else {
        scatter_by_channel(links, events, kernels, rows);
    }
}

vectorized! {
    fn scatter_by_site[S: Scalar](lanes; links: &Links, events: &Events<S>, kernels: &[S], rows: &mut [S]) {
        let [stride, frame_stride] = links.strides;
        let mut by_site = BySite::new(links.sites());
        for (frame, rows) in rows.chunks_mut(links.frame_len).enumerate() {
            by_site.sort(events, frame * links.channels..(frame + 1) * links.channels, links.kernel_len);
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
                let (sites, values) = events.of_plane(frame * links.channels + channel);
                for (&site, &value) in sites.iter().zip(values) {
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
    /// Adds to each kernel what its events reach in `rows`, times their values.
    ///
    /// Shapes as in [`scatter`].
    pub(super) fn gather[S: Scalar](lanes; links: &Links, events: &Events<S>, rows: &[S], kernels: &mut [S]) {
        let [stride, frame_stride] = links.strides;
        for (frame, rows) in rows.chunks(links.frame_len).enumerate() {
            for (channel, kernel) in kernels.chunks_mut(links.kernel_len).enumerate() {
                let offset = links.group_offset(channel);
                let (sites, values) = events.of_plane(frame * links.channels + channel);
                for (&site, &value) in sites.iter().zip(values) {
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
