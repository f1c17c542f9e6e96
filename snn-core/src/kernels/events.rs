//! Nonzero numbers as lists: where they are and what they are.

use crate::scalar::Scalar;
use crate::vectorized;
use std::ops::Range;

/// The nonzero numbers of planes of numbers, plane by plane.
pub(super) struct Events<S> {
    /// For each plane the index of its first event; one more entry at the end.
    starts: Vec<usize>,
    sites: Vec<u32>,
    values: Vec<S>,
}

impl<S: Scalar> Events<S> {
    /// Finds them in planes of `sites` numbers.
    ///
    /// # Panics
    /// If a plane has more numbers than `u32` counts.
    pub(super) fn of(x: &[S], sites: usize) -> Self {
        assert!(u32::try_from(sites).is_ok(), "events: {sites} sites");
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

    /// Number of events.
    pub(super) fn len(&self) -> usize {
        self.sites.len()
    }

    /// Sites and values of a plane.
    #[inline(always)]
    pub(super) fn of_plane(&self, plane: usize) -> (&[u32], &[S]) {
        let at = self.starts[plane]..self.starts[plane + 1];
        (&self.sites[at.clone()], &self.values[at])
    }

    /// Multiplies all sites: an index of a row becomes the index of its first number.
    ///
    /// # Panics
    /// In debug builds, if one is more than `u32` counts.
    #[allow(clippy::cast_possible_truncation, reason = "the callers check the largest product")]
    pub(super) fn scale_sites(&mut self, factor: usize) {
        self.sites.iter_mut().for_each(|site| *site *= factor as u32);
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

/// The events of some planes, site by site.
pub(super) struct BySite<S> {
    /// For each site the index of its first event; two more entries at the end.
    starts: Vec<u32>,
    /// What belongs to the plane of an event: `stride` times its number, counted from the first.
    origins: Vec<u32>,
    values: Vec<S>,
}

impl<S: Scalar> BySite<S> {
    /// Nothing yet.
    pub(super) fn new(n_sites: usize) -> Self {
        Self { starts: vec![0; n_sites + 2], origins: Vec::new(), values: Vec::new() }
    }

    /// Takes the events of `planes`; within a site they stay in the order of planes. Plane `k` of them has the origin
    /// `k · stride`.
    ///
    /// # Panics
    /// If an origin is more than `u32` counts.
    #[allow(clippy::cast_possible_truncation, reason = "checked first")]
    pub(super) fn sort(&mut self, events: &Events<S>, planes: Range<usize>, stride: usize) {
        assert!(
            u32::try_from(planes.len() * stride).is_ok(),
            "events of {} planes of {stride}",
            planes.len()
        );
        let all = events.starts[planes.start]..events.starts[planes.end];
        self.starts.fill(0);
        events.sites[all.clone()].iter().for_each(|&site| self.starts[site as usize + 2] += 1);
        for i in 2..self.starts.len() {
            self.starts[i] += self.starts[i - 1];
        }
        self.origins.resize(all.len(), 0);
        self.values.resize(all.len(), S::ZERO);
        for (k, plane) in planes.enumerate() {
            let (sites, values) = events.of_plane(plane);
            for (&site, &value) in sites.iter().zip(values) {
                let at = self.starts[site as usize + 1] as usize;
                self.starts[site as usize + 1] += 1;
                self.origins[at] = (k * stride) as u32;
                self.values[at] = value;
            }
        }
    }

    /// Values and origins of the events at a site.
    #[inline(always)]
    pub(super) fn of(&self, site: usize) -> (&[S], &[u32]) {
        let at = self.starts[site] as usize..self.starts[site + 1] as usize;
        (&self.values[at.clone()], &self.origins[at])
    }
}
