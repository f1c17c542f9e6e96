//! The event path: work for nonzero numbers only.

use super::layout::to_u32;
use super::links::{KernelRows, Links};
use crate::kernels::events::{self, BySite, Events};
use crate::kernels::number::Number;
use crate::kernels::simd;
use crate::vectorized;
use std::ops::Range;

/// Above this number of events a site, it pays to sort the events of a frame by site.
const SORT_ABOVE: usize = 2;

/// Whether it pays to sort so many events by site.
pub(super) fn are_many(links: &Links, n_events: usize, n_frames: usize) -> bool {
    links.groups == 1 && n_events >= SORT_ABOVE * links.sites() * n_frames
}

/// What is made anew frame after frame, in memory that is taken once.
#[derive(Debug, Default)]
pub(super) struct Scratch<S> {
    /// What is not zero; the planes are those of channels.
    pub(super) events: Events<S>,
    pub(super) by_site: BySite<S>,
    /// Where the kernels of events begin.
    starts: Vec<u32>,
    /// The events of each step of a column.
    pub(super) steps: Vec<Range<usize>>,
    /// Frames with zeros around them.
    pub(super) padded: Vec<S>,
}

/// Adds to each frame of `rows` the kernels of the events, times their values.
///
/// `kernels` `[channels][kernel]`, `rows` `[F][frame]`.
pub(super) fn scatter<S: Number>(links: &Links, scratch: &mut Scratch<S>, kernels: &[S], rows: &mut [S]) {
    if are_many(links, scratch.events.len(), rows.len() / links.frame_len) {
        scatter_by_site(links, scratch, kernels, rows);
    } else {
        scatter_by_channel(links, &scratch.events, kernels, rows);
    }
}

/// Rows of the output of each frame, with so many numbers a frame, one frame behind the other. Before and behind those of each
/// there are [`KernelRows::beyond`] more for what kernels reach beyond them.
#[derive(Clone, Debug)]
pub(super) struct Band<'a> {
    pub(super) links: &'a Links,
    pub(super) kernel_rows: &'a KernelRows,
    pub(super) rows: Range<usize>,
    pub(super) len: usize,
    /// The first of the frames, among those whose events are listed.
    pub(super) first: usize,
}

impl Band<'_> {
    /// Where a kernel meets each of some sites; of one that it meets in none of the rows, a number without a meaning.
    #[inline(always)]
    fn starts(&self, sites: &[u32], starts: &mut Vec<u32>) {
        let before = to_u32(self.rows.start * self.links.strides[1]);
        starts.clear();
        starts.extend(sites.iter().map(|&site| self.kernel_rows.starts[site as usize].wrapping_sub(before)));
    }

    /// Numbers of a frame with what is before and behind them.
    pub(super) fn frame_len(&self) -> usize {
        self.len + 2 * self.kernel_rows.beyond
    }
}

vectorized! {
    /// [`scatter`] for some rows of the output of each frame, which may stay in cache where whole frames do not.
    pub(super) fn scatter_to_band[S: Number](
        lanes; band: &Band<'_>, scratch: &mut Scratch<S>, kernels: &[S], rows: &mut [S],
    ) {
        let (links, Scratch { events, starts, .. }) = (band.links, scratch);
        let [len, stride] = links.strides;
        for (frame, rows) in rows.chunks_mut(band.frame_len()).enumerate() {
            for (channel, kernel) in kernels.chunks(links.kernel_len).enumerate() {
                let (sites, values) = events.of_plane((band.first + frame) * links.channels + channel);
                let n = kernel.len() / len;
                let met = events::among(lanes, sites, band.kernel_rows.sites(&band.rows, 0..n));
                band.starts(&sites[met.clone()], starts);
                let values = if values.is_empty() { &[] } else { &values[met] };
                lanes.add_to_many((values, starts), (kernel, len), (&mut *rows, stride), [n, len]);
            }
        }
    }
}

vectorized! {
    fn scatter_by_site[S: Number](lanes; links: &Links, scratch: &mut Scratch<S>, kernels: &[S], rows: &mut [S]) {
        let ([stride, frame_stride], Scratch { events, by_site, .. }) = (links.strides, scratch);
        for (frame, rows) in rows.chunks_mut(links.frame_len).enumerate() {
            let planes = frame * links.channels..(frame + 1) * links.channels;
            by_site.sort(events, (planes, links.sites()), |plane, _| plane * links.kernel_len);
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
    fn scatter_by_channel[S: Number](lanes; links: &Links, events: &Events<S>, kernels: &[S], rows: &mut [S]) {
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
    /// [`gather`] from some rows of the output of each frame, of which the other numbers are zero. As many rows of a kernel as
    /// have room are summed in registers.
    pub(super) fn gather_by_kernel_rows[S: Number](
        lanes; band: &Band<'_>, scratch: &mut Scratch<S>, rows: &[S], kernels: &mut [S],
    ) {
        let (links, Scratch { events, starts, .. }) = (band.links, scratch);
        let [len, stride] = links.strides;
        let (n, at_once) = (links.kernel_len / len, simd::rows_in_registers(len));
        for (frame, rows) in rows.chunks(band.frame_len()).enumerate() {
            for (channel, kernel) in kernels.chunks_mut(links.kernel_len).enumerate() {
                let (sites, values) = events.of_plane((band.first + frame) * links.channels + channel);
                let met = events::among(lanes, sites, band.kernel_rows.sites(&band.rows, 0..n));
                let values = if values.is_empty() { &[] } else { &values[met.clone()] };
                let sites = &sites[met];
                band.starts(sites, starts);
                for (row, to) in (0..n).step_by(at_once).zip(kernel.chunks_mut(at_once * len)) {
                    let some = row..(row + at_once).min(n);
                    let met = events::among(lanes, sites, band.kernel_rows.sites(&band.rows, some.clone()));
                    let values = if values.is_empty() { &[] } else { &values[met.clone()] };
                    let from = (&rows[row * stride..], stride);
                    lanes.add_many((values, &starts[met]), from, (to, len), [some.len(), len]);
                }
            }
        }
    }
}

vectorized! {
    /// Adds to each kernel what its events reach in `rows`, times their values.
    ///
    /// Shapes as in [`scatter`].
    pub(super) fn gather[S: Number](lanes; links: &Links, events: &Events<S>, rows: &[S], kernels: &mut [S]) {
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
