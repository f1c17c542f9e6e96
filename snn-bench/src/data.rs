//! From a configuration to batches: opening recordings, splitting them, feeding the training loop.

use crate::config::DataConfig;
use snn_autodiff::fit::{Batch, BatchIter, BatchSource};
use snn_core::Tensor;
use snn_data::batch::{BatchConfig, Batches, Order};
use snn_data::datasets::glyphs::{Glyphs, GlyphsConfig};
use snn_data::datasets::nmnist::{NMnist, Selection};
use snn_data::format::nmnist_bin::NMNIST_SENSOR;
use snn_data::split::{TrainVal, hold_out, stratified_folds, train_val};
use snn_data::transform::{Augment, ToFrames};
use snn_data::{DataError, Dataset, Preloaded};
use std::path::Path;

/// How training recordings are varied: with few of them a network learns them by heart long before it generalizes.
const AUGMENT: Augment =
    Augment { max_shift: 3, max_rotation_deg: 15.0, max_scaling: 0.15, max_shear: 0.1, max_drop: 0.3 };

/// Recordings in memory, divided.
#[derive(Debug)]
pub struct Splits {
    /// To learn from.
    pub train: Preloaded,
    /// Not learned from.
    pub test: Preloaded,
}

/// Opens what the configuration names, and divides it.
///
/// # Errors
/// [`DataError`], naming the folder, list or file.
pub fn open(config: &DataConfig, seed: u64) -> Result<Splits, DataError> {
    let Some(path) = &config.path else {
        return divide(&glyphs(config)?, config.val_fraction, seed);
    };
    let listed = |list: &Path| Preloaded::load(&NMnist::open(path, &Selection::SplitFile(list.to_owned()))?);
    match (&config.train_split, &config.test_split) {
        (Some(train), Some(test)) => Ok(Splits { train: listed(train)?, test: listed(test)? }),
        (Some(only), None) | (None, Some(only)) => divide(&listed(only)?, config.val_fraction, seed),
        (None, None) => divide(&NMnist::open(path, &Selection::Whole)?, config.val_fraction, seed),
    }
}

/// All recordings of the folder, or all glyphs, whatever lists say.
///
/// # Errors
/// [`DataError`], naming the folder or file.
pub fn open_all(config: &DataConfig) -> Result<Preloaded, DataError> {
    match &config.path {
        Some(path) => Preloaded::load(&NMnist::open(path, &Selection::Whole)?),
        None => Preloaded::load(&glyphs(config)?),
    }
}

/// Fold number `held_out` of `k` to test on, the others to learn from; `seed` decides the folds.
///
/// # Errors
/// [`DataError`] for fewer than two folds, no such fold, or a class with fewer recordings than folds.
pub fn fold(all: &Preloaded, k: usize, held_out: usize, seed: u64) -> Result<Splits, DataError> {
    load(all, &hold_out(&stratified_folds(&all.labels(), k, seed)?, held_out)?)
}

fn glyphs(config: &DataConfig) -> Result<Glyphs, DataError> {
    Glyphs::new(GlyphsConfig { n_samples: config.n_glyphs, ..GlyphsConfig::default() })
}

fn divide(dataset: &dyn Dataset, val_fraction: f64, seed: u64) -> Result<Splits, DataError> {
    load(dataset, &train_val(&dataset.labels(), val_fraction, seed)?)
}

fn load(dataset: &dyn Dataset, split: &TrainVal) -> Result<Splits, DataError> {
    Ok(Splits {
        train: Preloaded::load_subset(dataset, &split.train)?,
        test: Preloaded::load_subset(dataset, &split.val)?,
    })
}

/// Shape `[T, C, H, W]` of the frames of one sample; opens none.
///
/// # Errors
/// [`DataError::BadSetting`] for a number of steps out of range.
pub fn sample_shape(config: &DataConfig) -> Result<[usize; 4], DataError> {
    Ok(batch_config(config).frames.framer(NMNIST_SENSOR)?.shape())
}

/// Frames of a data set as the training loop takes them.
pub struct Frames<'a> {
    batches: Batches<'a>,
}

impl std::fmt::Debug for Frames<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frames").field("n_samples", &self.batches.n_samples()).finish_non_exhaustive()
    }
}

impl<'a> Frames<'a> {
    /// All samples, shuffled and augmented anew in each epoch.
    ///
    /// # Errors
    /// What [`Batches::new`] refuses.
    pub fn for_training(data: &'a dyn Dataset, config: &DataConfig, seed: u64) -> Result<Self, DataError> {
        let augment = config.augment.then_some(AUGMENT);
        Self::new(data, BatchConfig { augment, order: Order::Shuffled, seed, ..batch_config(config) })
    }

    /// All samples in order, as they are.
    ///
    /// # Errors
    /// What [`Batches::new`] refuses.
    pub fn in_order(data: &'a dyn Dataset, config: &DataConfig) -> Result<Self, DataError> {
        Self::new(data, batch_config(config))
    }

    /// All samples as they are, in an order drawn once, so that the first batches hold all classes: for calibration and
    /// curvature.
    ///
    /// # Errors
    /// What [`Batches::new`] refuses.
    pub fn mixed(data: &'a dyn Dataset, config: &DataConfig, seed: u64) -> Result<Self, DataError> {
        Self::new(data, BatchConfig { order: Order::Shuffled, seed, ..batch_config(config) })
    }

    fn new(data: &'a dyn Dataset, batch: BatchConfig) -> Result<Self, DataError> {
        Ok(Self { batches: Batches::new(data, (0..data.len()).collect(), batch)? })
    }

    /// Number of batches in an epoch.
    #[must_use]
    pub fn n_batches(&self) -> usize {
        self.batches.n_batches()
    }

    /// Shape `[T, C, H, W]` of one sample.
    #[must_use]
    pub fn sample_shape(&self) -> [usize; 4] {
        self.batches.sample_shape()
    }
}

fn batch_config(config: &DataConfig) -> BatchConfig {
    BatchConfig {
        batch_size: config.batch_size,
        frames: ToFrames::lui_neftci(config.n_steps),
        ..BatchConfig::default()
    }
}

impl BatchSource for Frames<'_> {
    fn batches(&self, epoch: u64) -> BatchIter<'_> {
        let epoch = usize::try_from(epoch).unwrap_or(usize::MAX);
        let convert = |batch: snn_data::batch::Batch| Batch {
            x: Tensor::from_array(batch.frames.into_dyn()),
            labels: batch.labels,
        };
        Box::new(self.batches.epoch(epoch).map(move |batch| Ok(convert(batch?))))
    }
}

/// The first `n` batches of another source, for calibration and curvature.
pub struct Take<'a> {
    source: &'a dyn BatchSource,
    n: usize,
}

impl std::fmt::Debug for Take<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Take").field("n", &self.n).finish_non_exhaustive()
    }
}

impl<'a> Take<'a> {
    /// At most `n` batches of `source`.
    #[must_use]
    pub fn new(source: &'a dyn BatchSource, n: usize) -> Self {
        Self { source, n }
    }
}

impl BatchSource for Take<'_> {
    fn batches(&self, epoch: u64) -> BatchIter<'_> {
        Box::new(self.source.batches(epoch).take(self.n))
    }
}
