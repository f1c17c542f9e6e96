//! The event path: work for nonzero numbers only.

use super::links::Links;
use crate::scalar::Scalar;
use crate::vectorized;

/// The nonzero numbers of some frames `[F][channels][sites]`, plane by plane.
pub(super) struct Events<S> {
    /// For each plane the index of its first event; one more entry at the end.
    starts: Vec<usize>,
    sites: Vec<u32>,
    values: Vec<S>,
}

impl<S: Scalar> Events<S> {
    /// Finds them in planes of `sites` numbers.
    pub(super) fn of(x: &[S], sites: usize) -> Self {
        let mut found = Self::with_capacity(x.len() / 8);
        find(x, sites, &mut found);
        found
    }

    /// None yet, with room for so many.
    pub(super) fn with_capacity(n: usize) -> Self {
        Self { starts: vec![0], sites: Vec::with_capacity(n), values: Vec::with_capacity(n) }
    }

    /// Adds an event to the plane at hand.
    #[inline(always)]
    pub(super) fn push(&mut self, site: u32, value: S) {
        self.sites.push(site);
        self.values.push(value);
    }

    /// What is added from now on belongs to the next plane.
    #[inline(always)]
    pub(super) fn end_plane(&mut self) {
        self.starts.push(self.sites.len());
    }

    #[inline(always)]
    fn of_plane(&self, plane: usize) -> impl Iterator<Item = (usize, S)> {
        let at = self.starts[plane]..self.starts[plane + 1];
        self.sites[at.clone()].iter().map(|&site| site as usize).zip(self.values[at].iter().copied())
    }
}

/// Above this number of events a site, it pays to sort the events of a frame by site.
const SORT_ABOVE: usize = 2;

/// The events of a frame, site by site.
struct BySite<S> {
    /// For each site the index of its first event; one more entry at the end.
    starts: Vec<u32>,
    /// Where the kernels of their channels begin.
    kernels: Vec<u32>,
    values: Vec<S>,
}

impl<S: Scalar> BySite<S> {
    fn new(links: &Links) -> Self {
        Self { starts: vec![0; links.sites() + 2], kernels: Vec::new(), values: Vec::new() }
    }

    /// Takes the events of a frame; within a site they stay in the order of channels.
    #[allow(
        clippy::cast_possible_truncation,
        reason = "`Links` refuses kernels and frames of more numbers than u32 counts"
    )]
    fn sort(&mut self, links: &Links, events: &Events<S>, frame: usize) {
        let planes = frame * links.channels..(frame + 1) * links.channels;
        let all = events.starts[planes.start]..events.starts[planes.end];
        self.starts.fill(0);
        events.sites[all.clone()].iter().for_each(|&site| self.starts[site as usize + 2] += 1);
        for i in 2..self.starts.len() {
            self.starts[i] += self.starts[i - 1];
        }
        self.kernels.resize(all.len(), 0);
        self.values.resize(all.len(), S::ZERO);
        for (channel, plane) in planes.enumerate() {
            for (site, value) in events.of_plane(plane) {
                let at = self.starts[site + 1] as usize;
                self.starts[site + 1] += 1;
                self.kernels[at] = (channel * links.kernel_len) as u32;
                self.values[at] = value;
            }
        }
    }

    #[inline(always)]
    fn of(&self, site: usize) -> (&[S], &[u32]) {
        let at = self.starts[site] as usize..self.starts[site + 1] as usize;
        (&self.values[at.clone()], &self.kernels[at])
    }
}

/// Adds to each frame of `rows` the kernels of the events, times their values.
///
/// `kernels` `[channels][kernel]`, `rows` `[F][frame]`.
pub(super) fn scatter<S: Scalar>(links: &Links, events: &Events<S>, kernels: &[S], rows: &mut [S]) {
    let n_frames = rows.len() / links.frame_len;
    if links.groups == 1 && events.sites.len() >= SORT_ABOVE * links.sites() * n_frames {
        scatter_by_site(links, events, kernels, rows);
    } else {
        scatter_by_channel(links, events, kernels, rows);
    }
}

vectorized! {
    fn scatter_by_site[S: Scalar](lanes; links: &Links, events: &Events<S>, kernels: &[S], rows: &mut [S]) {
        let [stride, frame_stride] = links.strides;
        let mut by_site = BySite::new(links);
        for (frame, rows) in rows.chunks_mut(links.frame_len).enumerate() {
            by_site.sort(links, events, frame);
            for site in 0..links.sites() {
                let of_site = by_site.of(site);
                if of_site.0.is_empty() {
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
    fn find[S: Scalar](lanes; x: &[S], sites: usize, found: &mut Events<S>) {
        for plane in x.chunks(sites) {
            lanes.append_nonzero(plane, 0, &mut found.sites, &mut found.values);
            found.end_plane();
        }
    }
}

vectorized! {
    fn scatter_by_channel[S: Scalar](lanes; links: &Links, events: &Events<S>, kernels: &[S], rows: &mut [S]) {
        let [stride, frame_stride] = links.strides;
        for (frame, rows) in rows.chunks_mut(links.frame_len).enumerate() {
            for (channel, kernel) in kernels.chunks(links.kernel_len).enumerate() {
                let offset = links.group_offset(channel);
                for (site, value) in events.of_plane(frame * links.channels + channel) {
                    for p in links.of(site) {
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
                for (site, value) in events.of_plane(frame * links.channels + channel) {
                    for p in links.of(site) {
                        let frame = &rows[offset + p.frame as usize..];
                        lanes.add_rows(value, (frame, frame_stride), (&mut kernel[p.kernel as usize..], stride), p.size());
                    }
                }
            }
        }
    }
}
