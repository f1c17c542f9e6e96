//! Nonzero numbers as lists: where they are and what they are.

use crate::scalar::Scalar;
use crate::vectorized;
use std::ops::Range;

/// The nonzero numbers of planes of numbers, plane by plane.
pub(super) struct Events<S> {
    /// For each plane the index of its first event; one more entry at the end.
    starts: Vec<usize>,
    sites: Vec<u32>,
    /// None if all are one.
    values: Vec<S>,
}

impl<S: Scalar> Events<S> {
    /// Finds them in planes of `sites` numbers.
    ///
    /// # Panics
    /// If a plane has more numbers than `u32` counts.
    pub(super) fn of(x: &[S], sites: usize) -> Self {
        let mut found = Self::with_capacity(x.len() / 8);
        find(x, [sites; 2], usize::MAX, &mut found);
        found
    }

    /// Finds them in rows of `row` numbers if there are at most `most`. Each `part` numbers of a row are a plane; sites are
    /// counted from the beginning of the row. Values that are all one, as of spikes, are not kept.
    ///
    /// # Panics
    /// If a row has more numbers than `u32` counts.
    pub(super) fn of_parts(x: &[S], [row, part]: [usize; 2], most: usize) -> Option<Self> {
        let mut found = Self::with_capacity(most / 2);
        let are_few = find(x, [row, part], most, &mut found);
        if found.values.iter().fold(true, |are_ones, &v| are_ones & (v == S::ONE)) {
            found.values = Vec::new();
        }
        are_few.then_some(found)
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
        self.of_planes(plane..plane + 1)
    }

    /// Sites and values of planes that follow each other; no values stand for ones.
    #[inline(always)]
    pub(super) fn of_planes(&self, planes: Range<usize>) -> (&[u32], &[S]) {
        let at = self.starts[planes.start]..self.starts[planes.end];
        (&self.sites[at.clone()], if self.values.is_empty() { &[] } else { &self.values[at] })
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
    /// Whether there are at most `most`; if not, not all are found.
    #[allow(clippy::cast_possible_truncation, reason = "checked first")]
    fn find[S: Scalar](lanes; x: &[S], size: [usize; 2], most: usize, found: &mut Events<S>) -> bool {
        let [row, part] = size;
        assert!(u32::try_from(row).is_ok(), "events: {row} sites");
        for row in x.chunks(row) {
            for (k, plane) in row.chunks(part).enumerate() {
                lanes.append_nonzero(plane, (k * part) as u32, &mut found.sites, &mut found.values);
                found.end_plane();
            }
            if found.len() > most {
                return false;
            }
        }
        true
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
        self.values.resize(if events.values.is_empty() { 0 } else { all.len() }, S::ZERO);
        for (k, plane) in planes.enumerate() {
            let (sites, values) = events.of_plane(plane);
            for (i, &site) in sites.iter().enumerate() {
                let at = self.starts[site as usize + 1] as usize;
                self.starts[site as usize + 1] += 1;
                self.origins[at] = (k * stride) as u32;
                if let Some(&value) = values.get(i) {
                    self.values[at] = value;
                }
            }
        }
    }

    /// Values and origins of the events at a site; no values stand for ones.
    #[inline(always)]
    pub(super) fn of(&self, site: usize) -> (&[S], &[u32]) {
        let at = self.starts[site] as usize..self.starts[site + 1] as usize;
        let values = if self.values.is_empty() { &[] } else { &self.values[at.clone()] };
        (values, &self.origins[at])
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn parts_of_rows_are_planes_and_ones_are_not_kept() {
        let x = [0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0_f32];
        let events = Events::of_parts(&x, [5, 2], 4).unwrap();
        assert_eq!([0, 1, 2, 3, 4, 5].map(|plane| events.of_plane(plane).0.len()), [1, 1, 1, 0, 0, 1]);
        assert_eq!(events.of_planes(1..3), (&[2, 4][..], &[][..]));
        let mut by_site = BySite::new(5);
        by_site.sort(&Events::of_parts(&x, [5; 2], 4).unwrap(), 0..2, 10);
        assert_eq!(by_site.of(4), (&[][..], &[0, 10][..]));
        assert_eq!(
            Events::of_parts(&x.map(|v| 2.0 * v), [5, 2], 4).unwrap().of_plane(5),
            (&[4][..], &[2.0][..])
        );
    }

    #[test]
    fn more_than_were_asked_for_are_refused() {
        let x = [0.0, 1.0, 1.0, 0.0, 1.0, 0.0];
        assert!(Events::of_parts(&x, [3; 2], 2).is_none() && Events::of_parts(&x, [3; 2], 3).is_some());
    }
}
