//! What every data set offers, and a wrapper that keeps one in memory.

use std::fmt;
use std::sync::Arc;

use rayon::prelude::*;

use crate::error::DataError;
use crate::event::{EventStream, SensorSize};
use crate::transform::{Chain, Framer, SampleKey, Transform};

/// A labeled collection of event recordings with random access.
///
/// `events(i)` is a pure function of `i`: reading a sample twice, or from several threads, gives the same events.
/// `label`, `sample_name` and `events` take `i < len()`; `events` reports a larger index as
/// [`DataError::BadIndex`], the other two panic.
pub trait Dataset: Send + Sync {
    /// Number of samples.
    fn len(&self) -> usize;

    /// Whether there are no samples.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of classes; labels are below it.
    fn n_classes(&self) -> usize;

    /// Size of the sensor that saw (or is said to have seen) all samples.
    fn sensor(&self) -> SensorSize;

    /// Class of sample `i`.
    fn label(&self, i: usize) -> usize;

    /// Path of sample `i` relative to the data set's folder, with `/`; unique, also where no file exists.
    fn sample_name(&self, i: usize) -> &str;

    /// Reads (or makes) the events of sample `i`.
    ///
    /// # Errors
    ///
    /// What reading the sample's file reports, or [`DataError::BadIndex`].
    fn events(&self, i: usize) -> Result<EventStream, DataError>;

    /// Writes the frames of sample `i` into `frames`, row-major in the order of [`Framer::shape`]: what
    /// [`Framer::fill`] makes of its events, by a shorter way where there is one.
    ///
    /// # Errors
    ///
    /// As [`Dataset::events`]; `frames` may hold anything then.
    ///
    /// # Panics
    ///
    /// Unless `frames` has [`Framer::n_values`] values.
    fn fill_frames(&self, i: usize, framer: &Framer, frames: &mut [u8]) -> Result<(), DataError> {
        framer.fill(&self.events(i)?, frames);
        Ok(())
    }

    /// The labels of all samples.
    fn labels(&self) -> Vec<usize> {
        (0..self.len()).map(|i| self.label(i)).collect()
    }
}

/// A pointer to a data set is one.
macro_rules! through_pointers {
    ($($pointer:ty),*) => {$(
        impl Dataset for $pointer {
            fn len(&self) -> usize {
                (**self).len()
            }

            fn n_classes(&self) -> usize {
                (**self).n_classes()
            }

            fn sensor(&self) -> SensorSize {
                (**self).sensor()
            }

            fn label(&self, i: usize) -> usize {
                (**self).label(i)
            }

            fn sample_name(&self, i: usize) -> &str {
                (**self).sample_name(i)
            }

            fn events(&self, i: usize) -> Result<EventStream, DataError> {
                (**self).events(i)
            }

            fn fill_frames(&self, i: usize, framer: &Framer, frames: &mut [u8]) -> Result<(), DataError> {
                (**self).fill_frames(i, framer, frames)
            }
        }
    )*};
}

through_pointers!(&dyn Dataset, Box<dyn Dataset + '_>, Arc<dyn Dataset + '_>);

/// Some samples of a data set, in the order of their indices.
pub struct Subset<'a> {
    dataset: Box<dyn Dataset + 'a>,
    indices: Vec<usize>,
}

impl<'a> Subset<'a> {
    /// The samples `indices` of `dataset`; sample `k` of the result is `indices[k]`.
    ///
    /// # Errors
    ///
    /// [`DataError::BadIndex`].
    pub fn new(dataset: impl Dataset + 'a, indices: Vec<usize>) -> Result<Self, DataError> {
        indices.iter().try_for_each(|&i| check_index(i, dataset.len()))?;
        Ok(Self { dataset: Box::new(dataset), indices })
    }
}

impl fmt::Debug for Subset<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subset").field("n_samples", &self.indices.len()).finish_non_exhaustive()
    }
}

impl Dataset for Subset<'_> {
    fn len(&self) -> usize {
        self.indices.len()
    }

    fn n_classes(&self) -> usize {
        self.dataset.n_classes()
    }

    fn sensor(&self) -> SensorSize {
        self.dataset.sensor()
    }

    fn label(&self, i: usize) -> usize {
        self.dataset.label(self.indices[i])
    }

    fn sample_name(&self, i: usize) -> &str {
        self.dataset.sample_name(self.indices[i])
    }

    fn events(&self, i: usize) -> Result<EventStream, DataError> {
        check_index(i, self.len())?;
        self.dataset.events(self.indices[i])
    }

    fn fill_frames(&self, i: usize, framer: &Framer, frames: &mut [u8]) -> Result<(), DataError> {
        check_index(i, self.len())?;
        self.dataset.fill_frames(self.indices[i], framer, frames)
    }
}

/// A data set whose recordings pass transforms without chance: the same in every epoch.
#[derive(Debug)]
pub struct Transformed<D> {
    dataset: D,
    transforms: Chain,
}

impl<D: Dataset> Transformed<D> {
    /// The recordings of `dataset` after `transforms`, which see the key of seed 0 and epoch 0.
    ///
    /// # Errors
    ///
    /// As [`Transform::validate`].
    pub fn new(dataset: D, transforms: Chain) -> Result<Self, DataError> {
        transforms.validate()?;
        Ok(Self { dataset, transforms })
    }
}

impl<D: Dataset> Dataset for Transformed<D> {
    fn len(&self) -> usize {
        self.dataset.len()
    }

    fn n_classes(&self) -> usize {
        self.dataset.n_classes()
    }

    fn sensor(&self) -> SensorSize {
        self.transforms.sensor(self.dataset.sensor())
    }

    fn label(&self, i: usize) -> usize {
        self.dataset.label(i)
    }

    fn sample_name(&self, i: usize) -> &str {
        self.dataset.sample_name(i)
    }

    fn events(&self, i: usize) -> Result<EventStream, DataError> {
        let events = self.dataset.events(i)?;
        let key = SampleKey { seed: 0, epoch: 0, sample: i };
        Ok(self.transforms.apply(&events, self.dataset.sensor(), key))
    }
}

/// Data sets of the same classes and sensor, one after the other.
pub struct Joined {
    parts: Vec<Box<dyn Dataset>>,
}

impl Joined {
    /// All samples of `parts`; none without parts.
    pub fn new(parts: Vec<Box<dyn Dataset>>) -> Option<Self> {
        (!parts.is_empty()).then_some(Self { parts })
    }

    /// The part that sample `i` belongs to, and its index there; the last part for an index beyond the end.
    fn locate(&self, mut i: usize) -> (&dyn Dataset, usize) {
        for part in &self.parts[..self.parts.len() - 1] {
            if i < part.len() {
                return (part, i);
            }
            i -= part.len();
        }
        (&self.parts[self.parts.len() - 1], i)
    }
}

impl fmt::Debug for Joined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Joined").field("n_parts", &self.parts.len()).finish_non_exhaustive()
    }
}

impl Dataset for Joined {
    fn len(&self) -> usize {
        self.parts.iter().map(Dataset::len).sum()
    }

    fn n_classes(&self) -> usize {
        self.parts.iter().map(Dataset::n_classes).max().unwrap_or(0)
    }

    fn sensor(&self) -> SensorSize {
        self.parts[0].sensor()
    }

    fn label(&self, i: usize) -> usize {
        let (part, i) = self.locate(i);
        part.label(i)
    }

    fn sample_name(&self, i: usize) -> &str {
        let (part, i) = self.locate(i);
        part.sample_name(i)
    }

    fn events(&self, i: usize) -> Result<EventStream, DataError> {
        check_index(i, self.len())?;
        let (part, i) = self.locate(i);
        part.events(i)
    }

    fn fill_frames(&self, i: usize, framer: &Framer, frames: &mut [u8]) -> Result<(), DataError> {
        check_index(i, self.len())?;
        let (part, i) = self.locate(i);
        part.fill_frames(i, framer, frames)
    }
}

/// A part of the standard division of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// Samples to learn from.
    Train,
    /// Samples to be read once, at the end.
    Test,
}

/// Refuses an index beyond the end of a data set.
pub(crate) fn check_index(index: usize, len: usize) -> Result<(), DataError> {
    if index < len { Ok(()) } else { Err(DataError::BadIndex { index, len }) }
}

/// A data set with all its recordings decoded in memory (9 bytes an event).
///
/// 800 N-MNIST recordings take about 30 MB; decoding them again in every epoch costs more than that.
#[derive(Debug, Clone)]
pub struct Preloaded {
    n_classes: usize,
    sensor: SensorSize,
    labels: Vec<usize>,
    names: Vec<String>,
    streams: Vec<EventStream>,
}

impl Preloaded {
    /// Decodes all samples of `dataset`, in parallel.
    ///
    /// # Errors
    ///
    /// That of the first sample that cannot be read.
    pub fn load(dataset: &dyn Dataset) -> Result<Self, DataError> {
        let indices: Vec<usize> = (0..dataset.len()).collect();
        Self::load_subset(dataset, &indices)
    }

    /// Decodes the samples `indices` of `dataset`, in parallel; sample `k` of the result is `indices[k]`.
    ///
    /// # Errors
    ///
    /// That of the first sample that cannot be read, or [`DataError::BadIndex`].
    pub fn load_subset(dataset: &dyn Dataset, indices: &[usize]) -> Result<Self, DataError> {
        indices.iter().try_for_each(|&i| check_index(i, dataset.len()))?;
        let decoded: Vec<_> = indices.par_iter().map(|&i| dataset.events(i)).collect();
        Ok(Self {
            n_classes: dataset.n_classes(),
            sensor: dataset.sensor(),
            labels: indices.iter().map(|&i| dataset.label(i)).collect(),
            names: indices.iter().map(|&i| dataset.sample_name(i).to_owned()).collect(),
            streams: decoded.into_iter().collect::<Result<_, _>>()?,
        })
    }

    /// The events of sample `i`, without a copy.
    ///
    /// # Panics
    ///
    /// When `i >= len()`.
    pub fn stream(&self, i: usize) -> &EventStream {
        &self.streams[i]
    }
}

impl Dataset for Preloaded {
    fn len(&self) -> usize {
        self.streams.len()
    }

    fn n_classes(&self) -> usize {
        self.n_classes
    }

    fn sensor(&self) -> SensorSize {
        self.sensor
    }

    fn label(&self, i: usize) -> usize {
        self.labels[i]
    }

    fn sample_name(&self, i: usize) -> &str {
        &self.names[i]
    }

    fn events(&self, i: usize) -> Result<EventStream, DataError> {
        check_index(i, self.len())?;
        Ok(self.streams[i].clone())
    }

    fn fill_frames(&self, i: usize, framer: &Framer, frames: &mut [u8]) -> Result<(), DataError> {
        check_index(i, self.len())?;
        framer.fill(&self.streams[i], frames);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datasets::glyphs::{Glyphs, GlyphsConfig};

    #[test]
    fn preloading_keeps_everything() {
        let glyphs = Glyphs::new(GlyphsConfig { n_samples: 12, ..GlyphsConfig::default() }).unwrap();
        let loaded = Preloaded::load_subset(&glyphs, &[7, 3]).unwrap();
        assert_eq!((loaded.len(), loaded.n_classes(), loaded.sensor()), (2, 10, glyphs.sensor()));
        for (k, i) in [7, 3].into_iter().enumerate() {
            assert_eq!(loaded.label(k), glyphs.label(i));
            assert_eq!(loaded.sample_name(k), glyphs.sample_name(i));
            assert_eq!(loaded.events(k).unwrap(), glyphs.events(i).unwrap());
        }
    }

    #[test]
    fn subsets_and_joins_count_through() {
        let glyphs =
            |seed| Glyphs::new(GlyphsConfig { n_samples: 4, seed, ..GlyphsConfig::default() }).unwrap();
        let joined = Joined::new(vec![Box::new(glyphs(1)), Box::new(glyphs(2))]).unwrap();
        assert_eq!(joined.len(), 8);
        let subset = Subset::new(joined, vec![5, 0]).unwrap();
        assert_eq!(subset.events(0).unwrap(), glyphs(2).events(1).unwrap());
        assert_eq!(subset.events(1).unwrap(), glyphs(1).events(0).unwrap());
        assert_eq!(subset.label(0), glyphs(2).label(1));
        assert!(subset.events(2).is_err());
        assert!(Subset::new(glyphs(1), vec![4]).is_err());
        assert!(Joined::new(Vec::new()).is_none());
    }

    #[test]
    fn an_index_beyond_the_end_is_an_error() {
        let glyphs = Glyphs::new(GlyphsConfig { n_samples: 2, ..GlyphsConfig::default() }).unwrap();
        let error = Preloaded::load_subset(&glyphs, &[0, 2]).unwrap_err();
        assert_eq!(error.to_string(), "sample index 2 is out of range, the data set has 2 samples");
    }
}
