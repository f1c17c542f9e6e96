//! From a configuration to batches: opening recordings, splitting them, feeding the training loop.

use crate::config::{DataConfig, EvaluateOn, ImageCoding};
use crate::progress;
use sha2::{Digest, Sha256};
use snn_autodiff::fit::{Batch, BatchIter, BatchSource};
use snn_core::Tensor;
use snn_data::batch::{BatchConfig, Batches, CachedFrames, Coding, EventFrames, ImageFrames, Order};
use snn_data::cache::FrameCache;
use snn_data::datasets::cifar::SIZE as CIFAR_SIZE;
use snn_data::datasets::glyphs::{Glyphs, GlyphsConfig};
use snn_data::datasets::idx_images::IdxImages;
use snn_data::datasets::images::Images;
use snn_data::datasets::kind::{self, DataSetKind, Share};
use snn_data::datasets::nmnist::{NMnist, Selection};
use snn_data::datasets::simulated::SimulatedImages;
use snn_data::datasets::{dvs_gesture, ncaltech101, ncars, shd};
use snn_data::format::nmnist_bin::NMNIST_SENSOR;
use snn_data::simulator::SimulatorConfig;
use snn_data::split::{TrainVal, hold_out, read_split_file, stratified_folds, train_val};
use snn_data::transform::{Augment, Chain, Resize, TimeOrigin, TimeWindow, ToFrames, Transform};
use snn_data::{DataError, Dataset, Part, Preloaded, SensorSize, Subset, Transformed};
use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// How training recordings are varied: with few of them a network learns them by heart long before it generalizes.
const AUGMENT: Augment = Augment {
    max_shift: 3,
    max_rotation_deg: 15.0,
    max_scaling: 0.15,
    max_shear: 0.1,
    max_warp: 1.5,
    max_drop: 0.3,
};
/// Rows and columns of the images of MNIST and Fashion-MNIST.
const MNIST_SIZE: usize = 28;
/// Time that SHD and SSC are binned over, as in the authors' own loader.
const SHD_WINDOW_US: u32 = 1_400_000;

/// Samples, divided.
#[derive(Debug)]
pub struct Splits {
    /// To learn from.
    pub train: Samples,
    /// Not learned from.
    pub test: Samples,
}

/// What frames are made of.
pub enum Samples {
    /// Recordings.
    Events(Box<dyn Dataset>),
    /// Those images of a set that have these indices.
    Images(Arc<dyn Images>, Vec<usize>),
}

impl Samples {
    /// Number of samples.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Events(data) => data.len(),
            Self::Images(_, indices) => indices.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What sample `i` is called.
    ///
    /// # Panics
    /// If there is no sample `i`.
    #[must_use]
    pub fn name(&self, i: usize) -> String {
        match self {
            Self::Events(data) => data.sample_name(i).to_owned(),
            Self::Images(_, indices) => format!("image {}", indices[i]),
        }
    }

    /// Number of classes.
    #[must_use]
    pub fn n_classes(&self) -> usize {
        match self {
            Self::Events(data) => data.n_classes(),
            Self::Images(images, _) => images.n_classes(),
        }
    }
}

impl std::fmt::Debug for Samples {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Samples").field("n", &self.len()).finish_non_exhaustive()
    }
}

/// Finds out what lies in the folder, where the configuration does not say, and its sensor where only reading tells.
///
/// # Errors
/// [`DataError`] from reading the recordings of a plain folder, which has no sensor of its own.
pub fn look(config: &mut DataConfig) -> Result<(), DataError> {
    let Some(path) = config.path.clone() else { return Ok(()) };
    let kind = config.kind.or_else(|| DataSetKind::detect(&path));
    config.kind = kind.filter(|&kind| kind != DataSetKind::NMnist);
    if config.kind == Some(DataSetKind::Events) && config.sensor.is_none() {
        let sensor = recordings(DataSetKind::Events, &path, Share::Whole)?.sensor();
        config.sensor = Some([sensor.width, sensor.height]);
    }
    Ok(())
}

/// The same settings for another folder, of whatever lies there.
///
/// # Errors
/// As [`look`].
pub fn elsewhere(config: &DataConfig, path: &Path) -> Result<DataConfig, DataError> {
    let mut other = DataConfig { path: Some(path.to_owned()), kind: None, sensor: None, ..config.clone() };
    look(&mut other)?;
    Ok(other)
}

/// Opens what the configuration names, and divides it: by lists where there are any, else by the data set's own division
/// into training and test (N-MNIST excepted, whose test part is not touched), else by the validation share. Of a data set
/// with a test part that is evaluated on [`EvaluateOn::Validation`], only the training part is opened. `seed` decides
/// the validation share where the configuration has no seed for it.
///
/// # Errors
/// [`DataError`], naming the folder, list or file.
pub fn open(config: &DataConfig, seed: u64) -> Result<Splits, DataError> {
    let seed = config.split_seed.unwrap_or(seed);
    match (&config.path, config.kind) {
        (None, _) => divide(glyphs(config)?, config, seed),
        (Some(path), Some(kind)) if kind.is_images() => open_images(config, kind, path, seed),
        (Some(path), kind) => open_recordings(config, kind.unwrap_or(DataSetKind::NMnist), path, seed),
    }
}

fn open_recordings(
    config: &DataConfig,
    kind: DataSetKind,
    path: &Path,
    seed: u64,
) -> Result<Splits, DataError> {
    let part = |part| recordings(kind, path, Share::Part(part));
    let samples = |of| Ok::<_, DataError>(Samples::Events(loaded(part(of)?, config)?));
    match (&config.train_split, &config.test_split) {
        (Some(train), Some(test)) => {
            Ok(Splits { train: listed(config, train)?, test: listed(config, test)? })
        }
        (Some(only), None) | (None, Some(only)) => divide(subset(kind, path, only)?, config, seed),
        (None, None) if kind.has_parts() && kind != DataSetKind::NMnist => match config.evaluate_on {
            EvaluateOn::Test => Ok(Splits { train: samples(Part::Train)?, test: samples(Part::Test)? }),
            EvaluateOn::Validation => divide(part(Part::Train)?, config, seed),
        },
        (None, None) => divide(recordings(kind, path, Share::Whole)?, config, seed),
    }
}

/// The samples that a list names, relative to the folder of the configuration.
///
/// # Errors
/// [`DataError`], naming the list and the line.
pub fn listed(config: &DataConfig, list: &Path) -> Result<Samples, DataError> {
    let path = config.path.as_deref().unwrap_or(Path::new("."));
    let kind = config.kind.unwrap_or(DataSetKind::NMnist);
    Ok(Samples::Events(loaded(subset(kind, path, list)?, config)?))
}

fn subset(kind: DataSetKind, path: &Path, list: &Path) -> Result<Box<dyn Dataset>, DataError> {
    if kind == DataSetKind::NMnist {
        return Ok(Box::new(NMnist::open(path, &Selection::SplitFile(list.to_owned()))?));
    }
    let all = recordings(kind, path, Share::Whole)?;
    let by_name: HashMap<&str, usize> = (0..all.len()).map(|i| (all.sample_name(i), i)).collect();
    let entries = read_split_file(list)?;
    let indices: Result<Vec<usize>, DataError> = entries
        .iter()
        .map(|entry| by_name.get(&*entry.name).copied().ok_or_else(|| entry.missing(list)))
        .collect();
    let indices = indices?;
    Ok(Box::new(Subset::new(all, indices)?))
}

/// Recordings of a data set; images are none.
fn recordings(kind: DataSetKind, path: &Path, share: Share) -> Result<Box<dyn Dataset>, DataError> {
    match kind.open(path, share)?.samples {
        kind::Samples::Events(data) => Ok(data),
        kind::Samples::Images(_) => Err(DataError::NoRecordings {
            path: path.to_owned(),
            expected: "recordings, only images; lists are for recordings",
        }),
    }
}

fn open_images(config: &DataConfig, kind: DataSetKind, path: &Path, seed: u64) -> Result<Splits, DataError> {
    let settings = &config.images;
    let learned = ImagePart::open(config, kind, path, Part::Train)?;
    let train = range(learned.len(), settings.first, settings.n)?;
    match config.evaluate_on {
        EvaluateOn::Test => {
            let tested = ImagePart::open(config, kind, path, Part::Test)?;
            let test = range(tested.len(), 0, settings.n_test)?;
            Ok(Splits {
                train: learned.samples(train.collect(), config)?,
                test: tested.samples(test.collect(), config)?,
            })
        }
        EvaluateOn::Validation => {
            let labels: Vec<usize> = train.clone().map(|i| learned.label(i)).collect();
            let split = train_val(&labels, config.val_fraction, seed)?;
            let of_part = |i: usize| train.start + i;
            let val = &split.val[range(split.val.len(), 0, settings.n_test)?];
            Ok(Splits {
                train: learned.samples(split.train.iter().copied().map(of_part).collect(), config)?,
                test: learned.samples(val.iter().copied().map(of_part).collect(), config)?,
            })
        }
    }
}

/// A part of a set of images, as they are or seen by the simulated camera.
enum ImagePart {
    Simulated(Arc<dyn Dataset>),
    Coded(Arc<dyn Images>),
}

impl ImagePart {
    fn open(config: &DataConfig, kind: DataSetKind, path: &Path, part: Part) -> Result<Self, DataError> {
        if config.images.coding == ImageCoding::Simulated {
            // The parts differ in their seeds, so that no noise of one is in the other.
            let seed = config.images.seed.wrapping_add(u64::from(part == Part::Test));
            let images = IdxImages::open(path, part)?;
            return Ok(Self::Simulated(Arc::new(SimulatedImages::new(
                images,
                &SimulatorConfig::default(),
                seed,
            )?)));
        }
        let images = match kind.open(path, Share::Part(part))?.samples {
            kind::Samples::Images(mut images) => images.pop(),
            kind::Samples::Events(_) => None,
        };
        let missing = || DataError::NoRecordings { path: path.to_owned(), expected: "images" };
        Ok(Self::Coded(images.ok_or_else(missing)?.into()))
    }

    fn len(&self) -> usize {
        match self {
            Self::Simulated(data) => data.len(),
            Self::Coded(images) => images.len(),
        }
    }

    fn label(&self, i: usize) -> usize {
        match self {
            Self::Simulated(data) => data.label(i),
            Self::Coded(images) => images.label(i),
        }
    }

    fn samples(&self, indices: Vec<usize>, config: &DataConfig) -> Result<Samples, DataError> {
        Ok(match self {
            Self::Simulated(data) => {
                let some = Subset::new(Arc::clone(data), indices)?;
                Samples::Events(loaded(Box::new(some), config)?)
            }
            Self::Coded(images) => Samples::Images(Arc::clone(images), indices),
        })
    }
}

/// `n` images from the first on, or all.
fn range(len: usize, first: usize, n: Option<usize>) -> Result<Range<usize>, DataError> {
    let end = n.map_or(len, |n| first.saturating_add(n));
    if first < end && end <= len {
        Ok(first..end)
    } else {
        Err(DataError::BadIndex { index: end.max(first), len })
    }
}

/// All recordings of the folder, or all glyphs, whatever lists say.
///
/// # Errors
/// [`DataError`], naming the folder or file.
pub fn open_all(config: &DataConfig) -> Result<Preloaded, DataError> {
    match &config.path {
        Some(path) => {
            let kind = config.kind.unwrap_or(DataSetKind::NMnist);
            Preloaded::load(&recordings(kind, path, Share::Whole)?)
        }
        None => Preloaded::load(&glyphs(config)?),
    }
}

/// Fold number `held_out` of `k` to test on, the others to learn from; `seed` decides the folds.
///
/// # Errors
/// [`DataError`] for fewer than two folds, no such fold, or a class with fewer recordings than folds.
pub fn fold(all: &Preloaded, k: usize, held_out: usize, seed: u64) -> Result<Splits, DataError> {
    let TrainVal { train, val } = hold_out(&stratified_folds(&all.labels(), k, seed)?, held_out)?;
    let side = |indices: &[usize]| {
        Ok::<_, DataError>(Samples::Events(Box::new(Preloaded::load_subset(all, indices)?)))
    };
    Ok(Splits { train: side(&train)?, test: side(&val)? })
}

fn glyphs(config: &DataConfig) -> Result<Box<dyn Dataset>, DataError> {
    Ok(Box::new(Glyphs::new(GlyphsConfig { n_samples: config.n_glyphs, ..GlyphsConfig::default() })?))
}

/// Divides by the validation share.
fn divide(data: Box<dyn Dataset>, config: &DataConfig, seed: u64) -> Result<Splits, DataError> {
    let TrainVal { train, val } = train_val(&data.labels(), config.val_fraction, seed)?;
    let data: Arc<dyn Dataset> = data.into();
    let side = |indices| {
        let some = Subset::new(Arc::clone(&data), indices)?;
        Ok::<_, DataError>(Samples::Events(loaded(Box::new(some), config)?))
    };
    Ok(Splits { train: side(train)?, test: side(val)? })
}

/// Recordings in memory, or read whenever they are needed, as the configuration says.
fn loaded(data: Box<dyn Dataset>, config: &DataConfig) -> Result<Box<dyn Dataset>, DataError> {
    let is_needed_once = config.cache.is_some();
    if config.preload && !is_needed_once { Ok(Box::new(Preloaded::load(&data)?)) } else { Ok(data) }
}

/// How recordings of a data set become frames: N-MNIST, simulated or not, as Lui and Neftci do, over 300 ms; SHD and SSC over
/// the first 1.4 s; others from their first to their last event. `window_ms` overrides the time.
#[must_use]
pub fn to_frames(config: &DataConfig) -> ToFrames {
    let n = config.n_steps;
    let frames = match config.kind {
        None | Some(DataSetKind::NMnist | DataSetKind::Mnist) => ToFrames::lui_neftci(n),
        Some(DataSetKind::Shd | DataSetKind::Ssc) => {
            ToFrames { window: TimeWindow::Fixed { us: SHD_WINDOW_US }, ..ToFrames::time_bins(n) }
        }
        Some(_) => {
            let (origin, window) = (TimeOrigin::FirstEvent, TimeWindow::Recording);
            ToFrames { origin, window, ..ToFrames::time_bins(n) }
        }
    };
    // A crop for one size of sensor does not fit another.
    let frames = if config.downsample > 1 { ToFrames { crop: None, ..frames } } else { frames };
    let window = config.window_ms.map(|ms| TimeWindow::Fixed { us: ms.saturating_mul(1_000) });
    ToFrames { window: window.unwrap_or(frames.window), ..frames }
}

/// Length of a time step in ms, for `samples` of which the first is taken where each has its own; 1 for images.
#[must_use]
pub fn step_ms(config: &DataConfig, samples: &Samples) -> f64 {
    let Samples::Events(data) = samples else { return 1.0 };
    let us = match to_frames(config).window {
        TimeWindow::Fixed { us } => us,
        TimeWindow::Recording => data.events(0).map_or(0, |events| events.duration_us()),
    };
    f64::from(us) / 1e3 / config.n_steps as f64
}

fn sensor(config: &DataConfig) -> SensorSize {
    match (config.sensor, config.kind) {
        (Some([width, height]), _) => SensorSize::new(width, height),
        (_, Some(DataSetKind::NCaltech101)) => ncaltech101::SENSOR,
        (_, Some(DataSetKind::NCars)) => ncars::SENSOR,
        (_, Some(DataSetKind::Cifar10Dvs | DataSetKind::DvsGesture | DataSetKind::DvsGestureTonic)) => {
            dvs_gesture::SENSOR
        }
        (_, Some(DataSetKind::Shd | DataSetKind::Ssc)) => shd::SENSOR,
        _ => NMNIST_SENSOR,
    }
}

/// What is done to events before anything else.
fn downsampling(config: &DataConfig, from: SensorSize) -> Chain {
    let side = |n: u16| n.div_ceil(config.downsample);
    let to = SensorSize::new(side(from.width), side(from.height));
    if config.downsample > 1 { Chain::new().then(Resize { to }) } else { Chain::new() }
}

fn coding(config: &DataConfig) -> Coding {
    match config.images.coding {
        ImageCoding::Constant | ImageCoding::Simulated => Coding::Constant,
        ImageCoding::Rate => Coding::Rate,
        ImageCoding::Rows => Coding::Rows,
    }
}

/// Shape `[T, C, H, W]` of the frames of one sample; opens none.
///
/// # Errors
/// [`DataError::BadSetting`] for a number of steps out of range, or not that of the rows of an image shown row by row.
pub fn sample_shape(config: &DataConfig) -> Result<[usize; 4], DataError> {
    if config.is_coded_images() {
        let is_gray = config.kind == Some(DataSetKind::Mnist);
        let (channels, size) = if is_gray { (1, MNIST_SIZE) } else { (3, CIFAR_SIZE) };
        return coding(config).frames_shape([channels, size, size], config.n_steps);
    }
    let sensor = sensor(config);
    let sensor = downsampling(config, sensor).sensor(sensor);
    Ok(to_frames(config).framer(sensor)?.shape())
}

/// How samples are varied in training; by default not at all.
#[derive(Debug, Clone, Copy, Default)]
struct Variation {
    augment: Option<Augment>,
    max_shift: u16,
    mirror: bool,
}

/// Frames of samples as the training loop takes them.
pub struct Frames<'a> {
    batches: Batches<'a>,
}

impl std::fmt::Debug for Frames<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frames").field("n_samples", &self.batches.n_samples()).finish_non_exhaustive()
    }
}

impl<'a> Frames<'a> {
    /// All samples, shuffled and varied anew in each epoch.
    ///
    /// # Errors
    /// [`DataError`] from making or opening a cache, and for settings out of range.
    pub fn for_training(samples: &'a Samples, config: &DataConfig, seed: u64) -> Result<Self, DataError> {
        let order = BatchConfig { batch_size: config.batch_size, order: Order::Shuffled, seed };
        let augment = config.augment.then_some(AUGMENT);
        let varied = Variation { augment, max_shift: config.max_shift, mirror: config.images.mirror };
        Self::new(samples, config, order, varied)
    }

    /// All samples in order, as they are.
    ///
    /// # Errors
    /// As [`Frames::for_training`].
    pub fn in_order(samples: &'a Samples, config: &DataConfig) -> Result<Self, DataError> {
        let order = BatchConfig { batch_size: config.batch_size, ..BatchConfig::default() };
        Self::new(samples, config, order, Variation::default())
    }

    /// All samples as they are, in an order drawn once, so that the first batches hold all classes: for calibration and
    /// curvature.
    ///
    /// # Errors
    /// As [`Frames::for_training`].
    pub fn mixed(samples: &'a Samples, config: &DataConfig, seed: u64) -> Result<Self, DataError> {
        let order = BatchConfig { batch_size: config.batch_size, order: Order::Shuffled, seed };
        Self::new(samples, config, order, Variation::default())
    }

    fn new(
        samples: &'a Samples,
        config: &DataConfig,
        order: BatchConfig,
        varied: Variation,
    ) -> Result<Self, DataError> {
        let batches = match (samples, &config.cache) {
            (Samples::Images(images, indices), _) => {
                let frames = ImageFrames::new(&**images, config.n_steps, coding(config))?;
                let frames = frames.shifted(varied.max_shift).mirrored(varied.mirror);
                Batches::new(frames, indices.clone(), order)
            }
            (Samples::Events(data), Some(folder)) => {
                let cached = CachedFrames::new(cache(&**data, config, folder)?, data.labels())?;
                Batches::new(cached.shifted(varied.max_shift), (0..data.len()).collect(), order)
            }
            (Samples::Events(data), None) => {
                let chain = downsampling(config, data.sensor());
                let chain = varied.augment.into_iter().fold(chain, Chain::then);
                let frames = EventFrames::new(&**data, chain, &to_frames(config))?;
                Batches::new(frames, (0..data.len()).collect(), order)
            }
        };
        Ok(Self { batches: batches? })
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

/// Opens the cache of `data` in `folder`, after making it if it is missing.
fn cache(data: &dyn Dataset, config: &DataConfig, folder: &Path) -> Result<FrameCache, DataError> {
    let data = before_frames(data, config)?;
    let bar = progress::bar("cache", data.len());
    let observe = |n: usize| bar.inc(n as u64);
    let made = FrameCache::open_or_make(folder, &cache_name(&data), &data, &to_frames(config), &observe);
    bar.finish_and_clear();
    made
}

/// The recordings that frames are cached of.
///
/// # Errors
/// [`DataError::BadSetting`].
pub fn before_frames<'a>(
    data: &'a dyn Dataset,
    config: &DataConfig,
) -> Result<Transformed<&'a dyn Dataset>, DataError> {
    Transformed::new(data, downsampling(config, data.sensor()))
}

/// Names a cache by the names of its samples, so that those of different divisions lie side by side.
#[must_use]
pub fn cache_name(data: &dyn Dataset) -> String {
    let mut hash = Sha256::new();
    for i in 0..data.len() {
        hash.update(data.sample_name(i));
        hash.update([0]);
    }
    hash.finalize().iter().take(4).map(|byte| format!("{byte:02x}")).collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ImageConfig;

    /// 40 training and 20 test images of 2 by 2 pixels in ten classes.
    fn write_images(folder: &Path) {
        for (part, n) in [("train", 40_u8), ("t10k", 20)] {
            let mut images = vec![0, 0, 8, 3, 0, 0, 0, n, 0, 0, 0, 2, 0, 0, 0, 2];
            images.extend((0..n).flat_map(|i| [i; 4]));
            let mut labels = vec![0, 0, 8, 1, 0, 0, 0, n];
            labels.extend((0..n).map(|i| i % 10));
            for (name, bytes) in [("images-idx3", images), ("labels-idx1", labels)] {
                std::fs::write(folder.join(format!("{part}-{name}-ubyte")), bytes).unwrap();
            }
        }
    }

    fn indices(samples: &Samples) -> Vec<usize> {
        match samples {
            Samples::Images(_, indices) => indices.clone(),
            Samples::Events(_) => panic!("images were asked for"),
        }
    }

    #[test]
    fn validation_images_are_of_the_training_part_and_the_test_part_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        write_images(folder.path());
        let images = ImageConfig { first: 10, n: Some(20), ..ImageConfig::default() };
        let mut config = DataConfig {
            path: Some(folder.path().to_owned()),
            images,
            val_fraction: 0.5,
            ..DataConfig::default()
        };
        look(&mut config).unwrap();
        let test = open(&config, 1).unwrap();
        assert_eq!(indices(&test.train), (10..30).collect::<Vec<_>>());
        assert_eq!(indices(&test.test), (0..20).collect::<Vec<_>>());

        std::fs::remove_file(folder.path().join("t10k-images-idx3-ubyte")).unwrap();
        config.evaluate_on = EvaluateOn::Validation;
        let held_out = |config: &DataConfig, seed| {
            let splits = open(config, seed).unwrap();
            let (train, val) = (indices(&splits.train), indices(&splits.test));
            let mut both = [&train[..], &val[..]].concat();
            both.sort_unstable();
            assert_eq!(both, (10..30).collect::<Vec<_>>());
            let mut classes: Vec<usize> = val.iter().map(|i| i % 10).collect();
            classes.sort_unstable();
            assert_eq!(classes, (0..10).collect::<Vec<_>>());
            val
        };
        assert_ne!(held_out(&config, 1), held_out(&config, 2));
        let shared = DataConfig { split_seed: Some(5), ..config.clone() };
        assert_eq!(held_out(&shared, 1), held_out(&shared, 2));
        config.images.n_test = Some(3);
        assert_eq!(indices(&open(&config, 1).unwrap().test).len(), 3);
    }
}
