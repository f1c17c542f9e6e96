//! What every data set offers, and a wrapper that keeps one in memory.

use rayon::prelude::*;

use crate::error::DataError;
use crate::event::{EventStream, SensorSize};

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

    /// The labels of all samples.
    fn labels(&self) -> Vec<usize> {
        (0..self.len()).map(|i| self.label(i)).collect()
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
    fn an_index_beyond_the_end_is_an_error() {
        let glyphs = Glyphs::new(GlyphsConfig { n_samples: 2, ..GlyphsConfig::default() }).unwrap();
        let error = Preloaded::load_subset(&glyphs, &[0, 2]).unwrap_err();
        assert_eq!(error.to_string(), "sample index 2 is out of range, the data set has 2 samples");
    }
}
