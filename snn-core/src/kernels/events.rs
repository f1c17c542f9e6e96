//! Nonzero numbers as lists: where they are and what they are.

use super::pattern::{BITS, Pattern};
use super::simd::Lanes;
use crate::kernels::number::Number;
use crate::vectorized;
use std::ops::Range;

/// The nonzero numbers of planes of numbers, plane by plane.
#[derive(Debug, Default)]
pub(super) struct Events<S> {
    /// For each plane the index of its first event; one more entry at the end.
    starts: Vec<usize>,
    /// Where they are, and behind the last some that mean nothing.
    sites: Vec<u32>,
    /// None if all are one.
    values: Vec<S>,
}

impl<S: Number> Events<S> {
    /// Becomes those of some rows of a matrix, each of which is a plane, in the memory that it has. Values that are all one, as of
    /// spikes, are not kept.
    ///
    /// # Panics
    /// If a plane has more numbers than `u32` counts.
    pub(super) fn list(&mut self, x: &[S], pattern: &Pattern, planes: impl Iterator<Item = usize>) {
        list(x, pattern, planes, self);
    }

    /// Number of events.
    pub(super) fn len(&self) -> usize {
        self.starts.last().copied().unwrap_or(0)
    }

    /// Sites and values of a plane.
    #[inline(always)]
    pub(super) fn of_plane(&self, plane: usize) -> (&[u32], &[S]) {
        self.of_planes(plane..plane + 1)
    }

    /// Site and value of each event of a plane.
    #[inline(always)]
    pub(super) fn pairs(&self, plane: usize) -> impl Iterator<Item = (u32, S)> {
        let (sites, values) = self.of_plane(plane);
        sites.iter().enumerate().map(|(i, &site)| (site, if values.is_empty() { S::ONE } else { values[i] }))
    }

    /// Sites and values of planes that follow each other; no values stand for ones.
    #[inline(always)]
    pub(super) fn of_planes(&self, planes: Range<usize>) -> (&[u32], &[S]) {
        let at = self.starts[planes.start]..self.starts[planes.end];
        (&self.sites[at.clone()], if self.values.is_empty() { &[] } else { &self.values[at] })
    }
}

/// Where those of a range are among rising sites, of which there are few.
#[inline(always)]
pub(super) fn among(lanes: impl Lanes, sites: &[u32], range: Range<u32>) -> Range<usize> {
    let start = lanes.count_below(sites, range.start);
    start..lanes.count_below(sites, range.end).max(start)
}

vectorized! {
    #[allow(clippy::cast_possible_truncation, reason = "checked")]
    fn list[S: Number, P: Iterator<Item = usize>](lanes; x: &[S], pattern: &Pattern, planes: P, listed: &mut Events<S>) {
        let n_sites = pattern.n_cols();
        assert!(u32::try_from(n_sites).is_ok(), "events: {n_sites} sites");
        let (row, mut n) = (pattern.row_words() * BITS, 0);
        let Events { starts, sites, values } = listed;
        starts.clear();
        values.clear();
        starts.push(0);
        for plane in planes {
            if sites.len() < n + row {
                sites.resize(2 * n + row, 0);
            }
            let first = n;
            for (k, &word) in pattern.row(plane).iter().enumerate() {
                n += lanes.write_sites(word, [(k * BITS) as u32, 1], &mut sites[n..]);
            }
            if !pattern.are_ones() {
                let x = &x[plane * n_sites..][..n_sites];
                values.extend(sites[first..n].iter().map(|&site| x[site as usize]));
            }
            starts.push(n);
        }
    }
}

/// The events of some planes, site by site.
#[derive(Debug, Default)]
pub(super) struct BySite<S> {
    /// For each site the index of its first event; two more entries at the end.
    starts: Vec<u32>,
    /// What belongs to the plane and the site of an event.
    origins: Vec<u32>,
    values: Vec<S>,
}

impl<S: Number> BySite<S> {
    /// Takes the events of `planes` of so many sites; within a site they stay in the order of planes. An event at `site` of the
    /// k-th of them has the origin `origin(k, site)`.
    ///
    /// # Panics
    /// In debug builds, if an origin is more than `u32` counts.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "the callers check the largest origin")]
    pub(super) fn sort(
        &mut self,
        events: &Events<S>,
        (planes, n_sites): (Range<usize>, usize),
        origin: impl Fn(usize, usize) -> usize,
    ) {
        let all = events.starts[planes.start]..events.starts[planes.end];
        self.starts.clear();
        self.starts.resize(n_sites + 2, 0);
        events.sites[all.clone()].iter().for_each(|&site| self.starts[site as usize + 2] += 1);
        for i in 2..self.starts.len() {
            self.starts[i] += self.starts[i - 1];
        }
        self.origins.resize(all.len(), 0);
        self.values.resize(if events.values.is_empty() { 0 } else { all.len() }, S::ZERO);
        for (k, plane) in planes.enumerate() {
            let (sites, values) = events.of_plane(plane);
            for (i, &site) in sites.iter().enumerate() {
                let at = self.starts[site as usize + 1] as usize;
                self.starts[site as usize + 1] += 1;
                debug_assert!(u32::try_from(origin(k, site as usize)).is_ok());
                self.origins[at] = origin(k, site as usize) as u32;
                if let Some(&value) = values.get(i) {
                    self.values[at] = value;
                }
            }
        }
    }

    /// Values and origins of all events, site by site; no values stand for ones.
    pub(super) fn all(&self) -> (&[S], &[u32]) {
        (&self.values, &self.origins)
    }

    /// Where the events of sites that follow each other are among all.
    #[inline(always)]
    pub(super) fn range(&self, sites: Range<usize>) -> Range<usize> {
        self.starts[sites.start] as usize..self.starts[sites.end] as usize
    }

    /// Values and origins of the events at a site; no values stand for ones.
    #[inline(always)]
    pub(super) fn of(&self, site: usize) -> (&[S], &[u32]) {
        let at = self.range(site..site + 1);
        let values = if self.values.is_empty() { &[] } else { &self.values[at.clone()] };
        (values, &self.origins[at])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_kept_unless_all_are_one() {
        let x = [0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0_f32];
        let of = |x: &[f32]| {
            let mut events = Events::default();
            for _ in 0..2 {
                events.list(x, &Pattern::of(x, 5), 0..2);
            }
            events
        };
        let (ones, twos) = (of(&x), of(&x.map(|v| 2.0 * v)));
        assert_eq!(ones.of_planes(0..2), (&[1, 2, 4, 4][..], &[][..]));
        assert_eq!(twos.of_plane(1), (&[4][..], &[2.0][..]));
        let mut by_site = BySite::default();
        by_site.sort(&ones, (0..2, 5), |plane, _| 10 * plane);
        assert_eq!(by_site.of(4), (&[][..], &[0, 10][..]));
        by_site.sort(&twos, (0..2, 5), |plane, _| 10 * plane);
        assert_eq!(by_site.of(4), (&[2.0; 2][..], &[0, 10][..]));
    }
}
