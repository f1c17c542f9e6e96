//! What a cell of a sweep learns from and is evaluated on: recordings or images.

use crate::config::{Coding, DataConfig, EvaluateOn};
use crate::data::{self, Frames, Splits};
use crate::images::{ImageBatches, Pass, shuffle};
use snn_autodiff::BatchSource;
use snn_core::rng::sub_seed;
use snn_data::datasets::idx_images::IdxImages;
use snn_data::split::train_val;
use snn_data::{DataError, Dataset, Part};
use std::path::Path;

/// Decides which images are held out and which are left out of a smaller set: the same for all seeds of a sweep, so that
/// they are compared on the same images.
const SPLIT_SEED: u64 = 0;

/// Opened data, divided into what is learned from and what is not.
#[derive(Debug)]
pub struct Sources {
    config: DataConfig,
    opened: Opened,
}

#[derive(Debug)]
enum Opened {
    Recordings(Splits),
    Images(ImageSets),
}

/// Images with the indices of those to learn from and of those to evaluate on.
#[derive(Debug)]
struct ImageSets {
    learned: IdxImages,
    train: Vec<usize>,
    /// `None` if those to evaluate on are among `learned`.
    others: Option<IdxImages>,
    test: Vec<usize>,
}

impl Sources {
    /// Opens what the configuration names: IDX images if the folder has them, else recordings.
    ///
    /// # Errors
    /// [`DataError`], naming the folder, list or file.
    pub fn open(config: &DataConfig, seed: u64) -> Result<Self, DataError> {
        let opened = match config.path.as_deref().filter(|path| IdxImages::is_in(path)) {
            Some(path) => Opened::Images(ImageSets::open(path, config)?),
            None => Opened::Recordings(data::open(config, seed)?),
        };
        Ok(Self { config: config.clone(), opened })
    }

    /// Samples to learn from, shuffled and varied anew in each epoch.
    ///
    /// # Errors
    /// What [`Frames::for_training`] refuses.
    pub fn training(&self, seed: u64) -> Result<Box<dyn BatchSource + '_>, DataError> {
        Ok(match &self.opened {
            Opened::Recordings(splits) => Box::new(Frames::for_training(&splits.train, &self.config, seed)?),
            Opened::Images(sets) => Box::new(sets.learned(&self.config, (Pass::Training, seed))),
        })
    }

    /// The same samples as they are, mixed: for calibration.
    ///
    /// # Errors
    /// What [`Frames::mixed`] refuses.
    pub fn calibration(&self, seed: u64) -> Result<Box<dyn BatchSource + '_>, DataError> {
        Ok(match &self.opened {
            Opened::Recordings(splits) => Box::new(Frames::mixed(&splits.train, &self.config, seed)?),
            Opened::Images(sets) => Box::new(sets.learned(&self.config, (Pass::Mixed, seed))),
        })
    }

    /// Samples to evaluate on, in order.
    ///
    /// # Errors
    /// What [`Frames::in_order`] refuses.
    pub fn test(&self) -> Result<Box<dyn BatchSource + '_>, DataError> {
        Ok(match &self.opened {
            Opened::Recordings(splits) => Box::new(Frames::in_order(&splits.test, &self.config)?),
            Opened::Images(sets) => {
                let images = sets.others.as_ref().unwrap_or(&sets.learned);
                Box::new(ImageBatches::new(images, &sets.test, &self.config, (Pass::InOrder, 0)))
            }
        })
    }

    /// Numbers of samples to learn from and to evaluate on.
    #[must_use]
    pub fn sizes(&self) -> [usize; 2] {
        match &self.opened {
            Opened::Recordings(splits) => [splits.train.len(), splits.test.len()],
            Opened::Images(sets) => [sets.train.len(), sets.test.len()],
        }
    }

    /// Shape of a sample in one step.
    ///
    /// # Errors
    /// As [`data::sample_shape`].
    pub fn features(&self) -> Result<Vec<usize>, DataError> {
        Ok(match &self.opened {
            Opened::Recordings(_) => data::sample_shape(&self.config)?[1..].to_vec(),
            Opened::Images(sets) => {
                let (height, width) = sets.learned.size();
                match self.config.coding {
                    Coding::Constant => vec![1, height, width],
                    Coding::Rows => vec![width],
                }
            }
        })
    }
}

impl ImageSets {
    fn open(path: &Path, config: &DataConfig) -> Result<Self, DataError> {
        let learned = IdxImages::open(path, Part::Train)?;
        let mut sets = match config.evaluate_on {
            EvaluateOn::Test => {
                let others = IdxImages::open(path, Part::Test)?;
                let (train, test) = ((0..learned.len()).collect(), (0..others.len()).collect());
                Self { learned, train, others: Some(others), test }
            }
            EvaluateOn::Validation => {
                let labels: Vec<usize> = (0..learned.len()).map(|i| learned.label(i)).collect();
                let split = train_val(&labels, config.val_fraction, SPLIT_SEED)?;
                Self { learned, train: split.train, others: None, test: split.val }
            }
        };
        if let Some(n) = config.n_train {
            shuffle(&mut sets.train, sub_seed(SPLIT_SEED, "smaller set"));
            sets.train.truncate(n);
        }
        sets.test.truncate(config.n_test.unwrap_or(usize::MAX));
        Ok(sets)
    }

    fn learned<'a>(&'a self, config: &'a DataConfig, pass: (Pass, u64)) -> ImageBatches<'a> {
        ImageBatches::new(&self.learned, &self.train, config, pass)
    }
}
