//! Frames of recordings.

use std::fmt;

use super::FrameSource;
use crate::dataset::Dataset;
use crate::error::DataError;
use crate::transform::{Chain, Framer, SampleKey, ToFrames, Transform};

/// Frames of the recordings of a data set, read and transformed whenever they are asked for.
///
/// # Examples
///
/// ```
/// use snn_data::batch::EventFrames;
/// use snn_data::datasets::glyphs::{Glyphs, GlyphsConfig};
/// use snn_data::transform::{Augment, Chain, Resize};
/// use snn_data::{SensorSize, ToFrames};
///
/// let glyphs = Glyphs::new(GlyphsConfig { n_samples: 3, ..GlyphsConfig::default() })?;
/// let chain = Chain::new().then(Resize { to: SensorSize::new(17, 17) }).then(Augment::default());
/// let frames = EventFrames::new(&glyphs, chain, &ToFrames::time_bins(8))?;
/// # Ok::<(), snn_data::DataError>(())
/// ```
pub struct EventFrames<'a> {
    dataset: &'a dyn Dataset,
    transforms: Chain,
    framer: Framer,
}

impl<'a> EventFrames<'a> {
    /// Frames of the recordings of `dataset` after `transforms`.
    ///
    /// # Errors
    ///
    /// [`DataError::BadSetting`] as [`Transform::validate`] and [`ToFrames::framer`].
    pub fn new(dataset: &'a dyn Dataset, transforms: Chain, frames: &ToFrames) -> Result<Self, DataError> {
        transforms.validate()?;
        let framer = frames.framer(transforms.sensor(dataset.sensor()))?;
        Ok(Self { dataset, transforms, framer })
    }
}

impl fmt::Debug for EventFrames<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (n_samples, transforms) = (self.dataset.len(), &self.transforms);
        f.debug_struct("EventFrames")
            .field("n_samples", &n_samples)
            .field("transforms", transforms)
            .field("framer", &self.framer)
            .finish_non_exhaustive()
    }
}

impl FrameSource for EventFrames<'_> {
    fn len(&self) -> usize {
        self.dataset.len()
    }

    fn label(&self, i: usize) -> usize {
        self.dataset.label(i)
    }

    fn shape(&self) -> [usize; 4] {
        self.framer.shape()
    }

    fn fill(&self, key: SampleKey, frames: &mut [u8]) -> Result<(), DataError> {
        if self.transforms.is_empty() {
            return self.dataset.fill_frames(key.sample, &self.framer, frames);
        }
        let events = self.dataset.events(key.sample)?;
        self.framer.fill(&self.transforms.apply(&events, self.dataset.sensor(), key), frames);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datasets::glyphs::{Glyphs, GlyphsConfig};
    use crate::event::SensorSize;
    use crate::transform::{Augment, Resize};

    fn glyphs() -> Glyphs {
        Glyphs::new(GlyphsConfig { n_samples: 2, ..GlyphsConfig::default() }).unwrap()
    }

    #[test]
    fn transforms_come_before_frames_and_set_their_size() {
        let (data, half) = (glyphs(), Resize { to: SensorSize::new(17, 17) });
        let to_frames = ToFrames::time_bins(3);
        let frames = EventFrames::new(&data, Chain::new().then(half), &to_frames).unwrap();
        assert_eq!((frames.len(), frames.shape()), (2, [3, 2, 17, 17]));
        let key = SampleKey { seed: 0, epoch: 0, sample: 1 };
        let mut found = vec![9; 3 * 2 * 17 * 17];
        frames.fill(key, &mut found).unwrap();
        let events = half.apply(&data.events(1).unwrap(), data.sensor(), key);
        assert_eq!(found, to_frames.frames(&events, half.to).unwrap().into_raw_vec_and_offset().0);
    }

    #[test]
    fn bad_settings_are_refused() {
        let data = glyphs();
        let error =
            |chain, n| EventFrames::new(&data, chain, &ToFrames::time_bins(n)).unwrap_err().to_string();
        assert_eq!(error(Chain::new(), 0), "number of frames is 0, expected 1 to 65536");
        let chain = Chain::new().then(Augment { max_drop: 1.5, ..Augment::default() });
        assert!(error(chain, 3).starts_with("largest probability of losing an event is 1.5"));
    }
}
