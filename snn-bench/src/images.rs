//! Labeled images as currents over time, for the training loop.

use crate::config::{Coding, DataConfig};
use snn_autodiff::fit::{Batch, BatchIter, BatchSource};
use snn_core::Tensor;
use snn_core::rng::{counter_uniform, sub_seed};
use snn_data::datasets::idx_images::IdxImages;

/// Largest random shift of a training image, in pixels along each axis.
const MAX_SHIFT: i32 = 2;

/// In what order images come, and whether they are varied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// In order, as they are.
    InOrder,
    /// In an order drawn once, as they are: the first batches hold all classes.
    Mixed,
    /// Shuffled and varied anew in each epoch.
    Training,
}

/// Some images of a set, batch by batch.
///
/// # Shapes
/// Constant: `[T, B, 1, H, W]`. Rows: `[H, B, W]`. Gray values are 0 to 1.
#[derive(Debug)]
pub struct ImageBatches<'a> {
    images: &'a IdxImages,
    indices: &'a [usize],
    config: &'a DataConfig,
    pass: Pass,
    seed: u64,
}

impl<'a> ImageBatches<'a> {
    /// The images `indices` of a set.
    ///
    /// # Panics
    /// In use, for an index that the set does not have.
    #[must_use]
    pub fn new(
        images: &'a IdxImages,
        indices: &'a [usize],
        config: &'a DataConfig,
        (pass, seed): (Pass, u64),
    ) -> Self {
        Self { images, indices, config, pass, seed }
    }

    fn order(&self, epoch: u64) -> Vec<usize> {
        let mut order = self.indices.to_vec();
        match self.pass {
            Pass::InOrder => {}
            Pass::Mixed => shuffle(&mut order, sub_seed(self.seed, "mixed images")),
            Pass::Training => shuffle(&mut order, sub_seed(self.seed, &format!("epoch {epoch}"))),
        }
        order
    }

    fn batch(&self, indices: &[usize], epoch: u64) -> Batch {
        let (height, width) = self.images.size();
        let pixels: Vec<f32> = indices.iter().flat_map(|&i| self.pixels(i, epoch)).collect();
        let n = indices.len();
        let x = match self.config.coding {
            Coding::Constant => {
                let n_steps = self.config.n_steps;
                Tensor::new(&[n_steps, n, 1, height, width], pixels.repeat(n_steps))
            }
            Coding::Rows => {
                let row = |t: usize, b: usize| &pixels[(b * height + t) * width..][..width];
                let rows = (0..height).flat_map(|t| (0..n).flat_map(move |b| row(t, b)));
                Tensor::new(&[height, n, width], rows.copied().collect())
            }
        };
        Batch { x, labels: indices.iter().map(|&i| self.images.label(i)).collect() }
    }

    /// The gray values of an image, varied if it is trained on.
    fn pixels(&self, i: usize, epoch: u64) -> Vec<f32> {
        let gray: Vec<f32> = self.images.pixels(i).iter().map(|&v| f32::from(v) / 255.0).collect();
        if self.pass != Pass::Training {
            return gray;
        }
        let draws = sub_seed(self.seed, &format!("image {i} in epoch {epoch}"));
        let shift = |k| if self.config.augment { uniform_shift(counter_uniform(draws, k)) } else { 0 };
        let mirrored = self.config.mirror && counter_uniform(draws, 2) < 0.5;
        moved(&gray, self.images.size(), [shift(0), shift(1)], mirrored)
    }
}

impl BatchSource for ImageBatches<'_> {
    fn batches(&self, epoch: u64) -> BatchIter<'_> {
        let order = self.order(epoch);
        let size = self.config.batch_size;
        let batch =
            move |k: usize| Ok(self.batch(&order[k * size..((k + 1) * size).min(order.len())], epoch));
        Box::new((0..self.indices.len().div_ceil(size)).map(batch))
    }
}

/// A uniform whole number from `-MAX_SHIFT` to `MAX_SHIFT`.
#[allow(clippy::cast_possible_truncation, reason = "a small whole number")]
fn uniform_shift(unit: f32) -> i32 {
    (f64::from(unit) * f64::from(2 * MAX_SHIFT + 1)).floor() as i32 - MAX_SHIFT
}

/// An image moved down and right by `shift`, zeros behind it, and mirrored.
fn moved(gray: &[f32], (height, width): (usize, usize), shift: [i32; 2], mirrored: bool) -> Vec<f32> {
    let source = |at: usize, by: i32, size: usize| {
        let from = i32::try_from(at).unwrap_or(i32::MAX).checked_sub(by)?;
        usize::try_from(from).ok().filter(|&from| from < size)
    };
    let value = |y: usize, x: usize| {
        let x = if mirrored { width - 1 - x } else { x };
        let (y, x) = (source(y, shift[0], height)?, source(x, shift[1], width)?);
        Some(gray[y * width + x])
    };
    let places = (0..height).flat_map(|y| (0..width).map(move |x| (y, x)));
    places.map(|(y, x)| value(y, x).unwrap_or(0.0)).collect()
}

/// Fisher and Yates, by counter.
pub(crate) fn shuffle(order: &mut [usize], seed: u64) {
    for last in (1..order.len()).rev() {
        let draw = snn_core::rng::mix(seed ^ snn_core::rng::mix(last as u64));
        // The bias of the remainder is below 2^-40 for any list that fits into memory.
        let other = usize::try_from(draw % (last as u64 + 1)).unwrap_or(0);
        order.swap(last, other);
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "pixels are moved, not computed")]
mod tests {
    use super::*;
    use std::io::Write;
    use std::path::Path;

    /// Two images of 2 rows and 3 columns.
    pub(crate) fn idx(folder: &Path) -> IdxImages {
        let mut images = vec![0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3];
        images.extend([0, 51, 102, 153, 204, 255, 255, 204, 153, 102, 51, 0]);
        let labels = [0, 0, 8, 1, 0, 0, 0, 2, 7, 3];
        for (name, bytes) in [("images", &images[..]), ("labels", &labels)] {
            std::fs::File::create(folder.join(name)).unwrap().write_all(bytes).unwrap();
        }
        IdxImages::read(&folder.join("images"), &folder.join("labels")).unwrap()
    }

    fn first(images: &IdxImages, config: &DataConfig, pass: Pass) -> Batch {
        ImageBatches::new(images, &[0, 1], config, (pass, 5)).batches(0).next().unwrap().unwrap()
    }

    #[test]
    fn images_are_shown_in_every_step_or_row_by_row() {
        let folder = tempfile::tempdir().unwrap();
        let images = idx(folder.path());
        let config = DataConfig { n_steps: 3, batch_size: 2, ..DataConfig::default() };
        let constant = first(&images, &config, Pass::InOrder);
        assert_eq!((constant.x.shape(), &constant.labels[..]), (&[3, 2, 1, 2, 3][..], &[7, 3][..]));
        let gray = |values: &[u8]| values.iter().map(|&v| f32::from(v) / 255.0).collect::<Vec<_>>();
        assert_eq!(constant.x.as_slice()[12..18], gray(&[0, 51, 102, 153, 204, 255]));

        let rows = first(&images, &DataConfig { coding: Coding::Rows, ..config }, Pass::InOrder);
        assert_eq!(rows.x.shape(), [2, 2, 3]);
        let expected = gray(&[0, 51, 102, 255, 204, 153, 153, 204, 255, 102, 51, 0]);
        assert_eq!(rows.x.as_slice(), expected);
    }

    #[test]
    fn moved_images_leave_zeros_behind() {
        let gray = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        assert_eq!(moved(&gray, (2, 3), [0, 0], true), [3.0, 2.0, 1.0, 6.0, 5.0, 4.0]);
        assert_eq!(moved(&gray, (2, 3), [1, 0], false), [0.0, 0.0, 0.0, 1.0, 2.0, 3.0]);
        assert_eq!(moved(&gray, (2, 3), [0, -1], false), [2.0, 3.0, 0.0, 5.0, 6.0, 0.0]);
        let shifts: Vec<i32> = [0.0, 0.39, 0.5, 0.999].map(uniform_shift).to_vec();
        assert_eq!(shifts, [-2, -1, 0, 2]);
    }

    #[test]
    fn a_training_pass_differs_by_epoch_and_repeats_itself() {
        let folder = tempfile::tempdir().unwrap();
        let images = idx(folder.path());
        let config = DataConfig { batch_size: 2, n_steps: 1, mirror: true, ..DataConfig::default() };
        let source = ImageBatches::new(&images, &[0, 1], &config, (Pass::Training, 5));
        let epoch = |e| source.batches(e).next().unwrap().unwrap().x;
        assert_eq!(epoch(0), epoch(0));
        assert!((1..6).any(|e| epoch(e) != epoch(0)));
    }

    #[test]
    fn shuffling_keeps_every_index() {
        let mut order: Vec<usize> = (0..100).collect();
        shuffle(&mut order, 3);
        assert_ne!(order, (0..100).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..100).collect::<Vec<_>>());
    }
}
