//! Frames of a cache.

use super::FrameSource;
use super::shift::shift_at_random;
use crate::cache::FrameCache;
use crate::dataset::check_index;
use crate::error::DataError;
use crate::rng::{Purpose, stream};
use crate::transform::SampleKey;

/// Frames of a [`FrameCache`], as they are or shifted.
///
/// A cache holds frames, no events: what moves events by whole pixels can be done to its frames as well, and is
/// ([`CachedFrames::shifted`]). What needs events (rotations, scaling, time) cannot: do it before caching, the
/// same in every epoch, or train from recordings ([`EventFrames`](super::EventFrames)).
///
/// # Examples
///
/// ```
/// use snn_data::batch::{BatchConfig, Batches, CachedFrames};
/// use snn_data::cache::FrameCache;
/// use snn_data::datasets::glyphs::{Glyphs, GlyphsConfig};
/// use snn_data::{Dataset, ToFrames};
///
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path();
/// let glyphs = Glyphs::new(GlyphsConfig { n_samples: 20, ..GlyphsConfig::default() })?;
/// let cache = FrameCache::open_or_make(folder, "glyphs", &glyphs, &ToFrames::time_bins(5), &|_done| ())?;
/// let frames = CachedFrames::new(cache, glyphs.labels())?.shifted(2);
/// let batches = Batches::new(frames, (0..20).collect(), BatchConfig::default())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct CachedFrames {
    cache: FrameCache,
    labels: Vec<usize>,
    max_shift: u16,
}

impl CachedFrames {
    /// The frames of `cache`, of which sample `i` has `labels[i]`.
    ///
    /// # Errors
    ///
    /// [`DataError::BadSetting`] unless there is a label for each sample.
    pub fn new(cache: FrameCache, labels: Vec<usize>) -> Result<Self, DataError> {
        let n = cache.len() as f64;
        DataError::require(
            "number of labels",
            labels.len() as f64,
            n..=n,
            "that of the samples in the cache",
        )?;
        Ok(Self { cache, labels, max_shift: 0 })
    }

    /// The same with all frames of a sample shifted by up to `max_shift` pixels along each axis, either way, drawn
    /// anew in each epoch; what leaves the frame is lost, as events are that leave the sensor.
    #[must_use]
    pub fn shifted(self, max_shift: u16) -> Self {
        Self { max_shift, ..self }
    }
}

impl FrameSource for CachedFrames {
    fn len(&self) -> usize {
        self.cache.len()
    }

    fn label(&self, i: usize) -> usize {
        self.labels[i]
    }

    fn shape(&self) -> [usize; 4] {
        self.cache.shape()
    }

    fn fill(&self, key: SampleKey, frames: &mut [u8]) -> Result<(), DataError> {
        check_index(key.sample, self.len())?;
        self.cache.fill(key.sample, frames)?;
        if self.max_shift > 0 {
            let mut rng = stream(key.seed, Purpose::FrameShift, key.epoch, key.sample);
            let [_, _, height, width] = self.shape();
            shift_at_random(frames, [height, width], self.max_shift, &mut rng);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Dataset;
    use crate::datasets::glyphs::{Glyphs, GlyphsConfig};
    use crate::event::EventStream;
    use crate::num::offset_within;
    use crate::transform::ToFrames;

    #[test]
    fn shifting_frames_is_shifting_events() {
        let folder = tempfile::tempdir().unwrap();
        let data = Glyphs::new(GlyphsConfig { n_samples: 4, ..GlyphsConfig::default() }).unwrap();
        let to_frames = ToFrames::time_bins(3);
        let cache = FrameCache::open_or_make(folder.path(), "g", &data, &to_frames, &|_| ()).unwrap();
        let frames = CachedFrames::new(cache, data.labels()).unwrap().shifted(3);
        let mut offsets = Vec::new();
        for (sample, epoch) in [(0, 0), (0, 1), (3, 0)] {
            let key = SampleKey { seed: 5, epoch, sample };
            let mut found = vec![0; frames.shape().iter().product()];
            frames.fill(key, &mut found).unwrap();
            let events = data.events(sample).unwrap();
            let matching = (-3..=3).flat_map(|dx| (-3..=3).map(move |dy| (dx, dy))).find(|&(dx, dy)| {
                let moved: EventStream = events
                    .iter()
                    .filter_map(|e| {
                        let (x, y) = (offset_within(e.x, dx, 34)?, offset_within(e.y, dy, 34)?);
                        Some(crate::Event { x, y, ..e })
                    })
                    .collect();
                let want = to_frames.frames(&moved, data.sensor()).unwrap();
                want.as_slice() == Some(&found[..])
            });
            offsets.push(matching.expect("the frames of some shift"));
        }
        assert!(offsets.iter().any(|&offset| offset != offsets[0]), "{offsets:?}");
    }

    #[test]
    fn labels_belong_to_samples() {
        let folder = tempfile::tempdir().unwrap();
        let data = Glyphs::new(GlyphsConfig { n_samples: 4, ..GlyphsConfig::default() }).unwrap();
        let cache =
            FrameCache::open_or_make(folder.path(), "g", &data, &ToFrames::time_bins(1), &|_| ()).unwrap();
        let message = CachedFrames::new(cache, vec![1, 2]).unwrap_err().to_string();
        assert_eq!(message, "number of labels is 2, expected that of the samples in the cache");
    }
}
