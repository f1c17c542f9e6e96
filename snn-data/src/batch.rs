//! Batches of frames `[T, B, C, H, W]`, from whatever has frames: see [`FrameSource`].
//!
//! | source | frames of |
//! |---|---|
//! | [`EventFrames`] | recordings, decoded and transformed anew in each epoch |
//! | `CachedFrames` (feature `cache`) | a frame cache; of the augmentations only shifts by whole pixels are possible |
//! | [`ImageFrames`] | images, shown in every step or row by row, or coded as rates of spikes; shifted and mirrored |

#[cfg(feature = "cache")]
mod cached;
mod events;
mod images;
mod shift;

use std::fmt;

use ndarray::Array5;
use rand::seq::SliceRandom;
use rayon::prelude::*;

use crate::dataset::check_index;
use crate::error::DataError;
use crate::rng::{Purpose, stream};
use crate::transform::SampleKey;

#[cfg(feature = "cache")]
pub use cached::CachedFrames;
pub use events::EventFrames;
pub use images::{Coding, ImageFrames};

/// Something that has labeled frames, all of one shape.
///
/// Frames are bytes with a common [`FrameSource::scale`]. What is random is drawn from the key: the same key gives
/// the same frames, on any thread.
pub trait FrameSource: Send + Sync {
    /// Number of samples.
    fn len(&self) -> usize;

    /// Whether there are no samples.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Class of sample `i`.
    fn label(&self, i: usize) -> usize;

    /// Shape `[T, C, H, W]` of the frames of a sample.
    fn shape(&self) -> [usize; 4];

    /// Value of a byte of 1.
    fn scale(&self) -> f32 {
        1.0
    }

    /// Writes the frames of sample `key.sample` into `frames`, row-major in the order of [`FrameSource::shape`].
    ///
    /// # Errors
    ///
    /// What reading the sample reports, or [`DataError::BadIndex`].
    ///
    /// # Panics
    ///
    /// Unless `frames` has the values of one sample.
    fn fill(&self, key: SampleKey, frames: &mut [u8]) -> Result<(), DataError>;
}

/// The order of samples in an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// That of the given indices.
    AsGiven,
    /// Shuffled anew in each epoch, from the seed.
    Shuffled,
}

/// Settings of [`Batches`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchConfig {
    /// Samples in a batch; the last batch of an epoch may be shorter. Default: 64.
    pub batch_size: usize,
    /// Default: as given.
    pub order: Order,
    /// Seed of shuffling and of what the source draws. Default: 0.
    pub seed: u64,
}

impl Default for BatchConfig {
    fn default() -> Self {
        Self { batch_size: 64, order: Order::AsGiven, seed: 0 }
    }
}

/// Some samples as frames.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Frames `[T, B, C, H, W]`; of events, channel 0 is OFF and channel 1 is ON.
    pub frames: Array5<f32>,
    /// Classes `[B]`.
    pub labels: Vec<usize>,
    /// Indices in the source `[B]`.
    pub indices: Vec<usize>,
}

/// Samples of a source, batch by batch.
///
/// Samples are made in parallel within a batch; the result depends on data, settings and epoch only, not on the
/// number of threads. Wrap a data set in [`Preloaded`](crate::Preloaded) where it fits into memory.
///
/// # Examples
///
/// ```
/// use snn_data::ToFrames;
/// use snn_data::batch::{BatchConfig, Batches, EventFrames, Order};
/// use snn_data::datasets::glyphs::{Glyphs, GlyphsConfig};
/// use snn_data::transform::Chain;
///
/// let glyphs = Glyphs::new(GlyphsConfig { n_samples: 10, ..GlyphsConfig::default() })?;
/// let frames = EventFrames::new(&glyphs, Chain::new(), &ToFrames::default())?;
/// let config = BatchConfig { batch_size: 4, order: Order::Shuffled, ..BatchConfig::default() };
/// let batches = Batches::new(frames, (0..10).collect(), config)?;
/// let sizes: Result<Vec<_>, _> = batches.epoch(0).map(|batch| batch.map(|b| b.labels.len())).collect();
/// assert_eq!(sizes?, [4, 4, 2]);
/// # Ok::<(), snn_data::DataError>(())
/// ```
pub struct Batches<'a> {
    source: Box<dyn FrameSource + 'a>,
    indices: Vec<usize>,
    config: BatchConfig,
}

impl<'a> Batches<'a> {
    /// Batches of the samples `indices` of `source`.
    ///
    /// # Errors
    ///
    /// [`DataError::BadSetting`] for an empty batch; [`DataError::BadIndex`].
    pub fn new(
        source: impl FrameSource + 'a,
        indices: Vec<usize>,
        config: BatchConfig,
    ) -> Result<Self, DataError> {
        DataError::require("batch size", config.batch_size as f64, 1.0.., "at least 1")?;
        indices.iter().try_for_each(|&i| check_index(i, source.len()))?;
        Ok(Self { source: Box::new(source), indices, config })
    }

    /// Number of samples in an epoch.
    pub fn n_samples(&self) -> usize {
        self.indices.len()
    }

    /// Number of batches in an epoch.
    pub fn n_batches(&self) -> usize {
        self.indices.len().div_ceil(self.config.batch_size)
    }

    /// Shape `[T, C, H, W]` of one sample.
    pub fn sample_shape(&self) -> [usize; 4] {
        self.source.shape()
    }

    /// The sample indices of an epoch, in its order.
    pub fn epoch_order(&self, epoch: usize) -> Vec<usize> {
        let mut order = self.indices.clone();
        if self.config.order == Order::Shuffled {
            order.shuffle(&mut stream(self.config.seed, Purpose::Shuffle, epoch, 0));
        }
        order
    }

    /// The batches of an epoch, one after the other; an item is an error when one of its samples cannot be read.
    pub fn epoch(&self, epoch: usize) -> impl ExactSizeIterator<Item = Result<Batch, DataError>> + '_ {
        let order = self.epoch_order(epoch);
        (0..self.n_batches()).map(move |k| {
            let start = k * self.config.batch_size;
            let end = (start + self.config.batch_size).min(order.len());
            self.batch(&order[start..end], epoch)
        })
    }

    /// One batch of the samples `indices`, with what is random drawn for `epoch`.
    ///
    /// # Errors
    ///
    /// That of the first sample that cannot be read.
    pub fn batch(&self, indices: &[usize], epoch: usize) -> Result<Batch, DataError> {
        let samples: Vec<_> = indices.par_iter().map(|&i| self.sample(i, epoch)).collect();
        let samples: Vec<Vec<u8>> = samples.into_iter().collect::<Result<_, _>>()?;
        Ok(Batch {
            frames: self.stack(&samples),
            labels: indices.iter().map(|&i| self.source.label(i)).collect(),
            indices: indices.to_vec(),
        })
    }

    /// The frames of one sample, `[T, C, H, W]` row-major.
    fn sample(&self, i: usize, epoch: usize) -> Result<Vec<u8>, DataError> {
        let mut frames = vec![0; self.source.shape().iter().product()];
        self.source.fill(SampleKey { seed: self.config.seed, epoch, sample: i }, &mut frames)?;
        Ok(frames)
    }

    /// `[T, C, H, W]` of each sample to `[T, B, C, H, W]`.
    fn stack(&self, samples: &[Vec<u8>]) -> Array5<f32> {
        let [n_steps, n_channels, height, width] = self.source.shape();
        let mut frames = Array5::zeros([n_steps, samples.len(), n_channels, height, width]);
        let (n_values, scale) = (n_channels * height * width, self.source.scale());
        if let Some(values) = frames.as_slice_mut().filter(|values| !values.is_empty()) {
            values.par_chunks_mut(samples.len() * n_values).enumerate().for_each(|(t, step)| {
                for (target, sample) in step.chunks_mut(n_values).zip(samples) {
                    let source = &sample[t * n_values..(t + 1) * n_values];
                    target.iter_mut().zip(source).for_each(|(to, &from)| *to = scale * f32::from(from));
                }
            });
        }
        frames
    }
}

impl fmt::Debug for Batches<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n_samples = self.n_samples();
        f.debug_struct("Batches")
            .field("n_samples", &n_samples)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Dataset;
    use crate::datasets::glyphs::{Glyphs, GlyphsConfig};
    use crate::transform::{Augment, Chain, ToFrames};

    fn glyphs() -> Glyphs {
        Glyphs::new(GlyphsConfig { n_samples: 23, ..GlyphsConfig::default() }).unwrap()
    }

    fn config() -> BatchConfig {
        BatchConfig { batch_size: 5, order: Order::Shuffled, seed: 3 }
    }

    fn augmented(data: &Glyphs) -> EventFrames<'_> {
        EventFrames::new(data, Chain::new().then(Augment::default()), &ToFrames::time_bins(4)).unwrap()
    }

    fn epoch(data: &Glyphs, epoch: usize) -> Vec<Batch> {
        let batches = Batches::new(augmented(data), (0..data.len()).collect(), config()).unwrap();
        batches.epoch(epoch).collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn every_sample_comes_once_and_the_last_batch_is_short() {
        let batches = epoch(&glyphs(), 0);
        let sizes: Vec<usize> = batches.iter().map(|batch| batch.labels.len()).collect();
        assert_eq!(sizes, [5, 5, 5, 5, 3]);
        assert_eq!(batches[4].frames.dim(), (4, 3, 2, 34, 34));
        let mut indices: Vec<usize> = batches.iter().flat_map(|batch| batch.indices.clone()).collect();
        assert_ne!(indices, (0..23).collect::<Vec<_>>());
        indices.sort_unstable();
        assert_eq!(indices, (0..23).collect::<Vec<_>>());
    }

    #[test]
    fn frames_are_those_of_the_samples() {
        let data = glyphs();
        let plain = BatchConfig { order: Order::AsGiven, ..config() };
        let to_frames = ToFrames::time_bins(4);
        let frames = EventFrames::new(&data, Chain::new(), &to_frames).unwrap();
        let batches = Batches::new(frames, vec![8, 2], plain).unwrap();
        let batch = batches.epoch(0).next().unwrap().unwrap();
        assert_eq!((&batch.labels[..], &batch.indices[..]), (&[8, 2][..], &[8, 2][..]));
        for (b, i) in [8, 2].into_iter().enumerate() {
            let frames = to_frames.frames(&data.events(i).unwrap(), data.sensor()).unwrap();
            assert_eq!(batch.frames.index_axis(ndarray::Axis(1), b), frames.mapv(f32::from));
        }
    }

    #[test]
    fn epochs_differ_and_repeat() {
        let data = glyphs();
        assert_eq!(epoch(&data, 1), epoch(&data, 1));
        assert_ne!(epoch(&data, 1)[0].indices, epoch(&data, 2)[0].indices);
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let data = glyphs();
        let on_threads = |n| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
            pool.install(|| epoch(&data, 0))
        };
        assert_eq!(on_threads(1), on_threads(3));
    }

    #[test]
    fn bad_requests_are_named() {
        let data = glyphs();
        let error =
            |indices, config| Batches::new(augmented(&data), indices, config).unwrap_err().to_string();
        let empty = BatchConfig { batch_size: 0, ..config() };
        assert_eq!(error(vec![0], empty), "batch size is 0, expected at least 1");
        assert_eq!(error(vec![23], config()), "sample index 23 is out of range, the data set has 23 samples");
        assert_eq!(Batches::new(augmented(&data), vec![], config()).unwrap().epoch(0).count(), 0);
    }
}
