//! Frames of images.

use std::borrow::Cow;
use std::fmt;

use super::FrameSource;
use super::shift::shift_at_random;
use crate::dataset::check_index;
use crate::datasets::images::Images;
use crate::error::DataError;
use crate::rng::{Purpose, stream};
use crate::transform::SampleKey;
use rand::RngExt;

/// How an image becomes time steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Coding {
    /// Its values, 0 to 1, in every step: "direct" or "constant current" coding, whose spikes the first layer
    /// makes.
    Constant,
    /// In each step each value is a spike, 1, with a probability of the value itself, drawn anew in each epoch;
    /// else 0. This is `spikegen.rate` of snnTorch and `PoissonEncoder` of SpikingJelly.
    Rate,
    /// The values, 0 to 1, of one row in each step, from the top: "row-sequential" input, for recurrent networks.
    Rows,
}

impl Coding {
    /// Shape `[T, C, H, W]` of the frames of an image of `[C, H, W]`; with [`Coding::Rows`] `[H, C, 1, W]`.
    ///
    /// # Errors
    ///
    /// [`DataError::BadSetting`] for no or more than 65,536 steps, and with [`Coding::Rows`] for another number of
    /// steps than the image has rows.
    pub fn frames_shape(
        self,
        [channels, height, width]: [usize; 3],
        n_steps: usize,
    ) -> Result<[usize; 4], DataError> {
        DataError::require("number of frames", n_steps as f64, 1.0..=65_536.0, "1 to 65536")?;
        if self != Self::Rows {
            return Ok([n_steps, channels, height, width]);
        }
        let rows = height as f64;
        DataError::require("number of frames", n_steps as f64, rows..=rows, "that of the rows of an image")?;
        Ok([height, channels, 1, width])
    }
}

/// Images as frames, as they are or varied.
///
/// # Examples
///
/// ```
/// use snn_data::Part;
/// use snn_data::batch::{BatchConfig, Batches, Coding, ImageFrames};
/// use snn_data::datasets::idx_images::IdxImages;
///
/// # fn read() -> Result<(), snn_data::DataError> {
/// let images = IdxImages::open("data/fashion-mnist", Part::Train)?;
/// let frames = ImageFrames::new(&images, 4, Coding::Constant)?.shifted(2).mirrored(true);
/// let first = Batches::new(frames, (0..10_000).collect(), BatchConfig::default())?;
/// # Ok(())
/// # }
/// ```
pub struct ImageFrames<'a> {
    images: &'a dyn Images,
    shape: [usize; 4],
    coding: Coding,
    max_shift: u16,
    mirror: bool,
}

impl<'a> ImageFrames<'a> {
    /// Frames of `images`, `[T, C, H, W]` or as [`Coding::frames_shape`] says.
    ///
    /// # Errors
    ///
    /// [`DataError::BadSetting`] as [`Coding::frames_shape`].
    pub fn new(images: &'a dyn Images, n_steps: usize, coding: Coding) -> Result<Self, DataError> {
        let shape = coding.frames_shape(images.shape(), n_steps)?;
        Ok(Self { images, shape, coding, max_shift: 0, mirror: false })
    }

    /// The same with each image shifted by up to `max_shift` pixels along each axis, either way, drawn anew in
    /// each epoch; black comes in.
    #[must_use]
    pub fn shifted(self, max_shift: u16) -> Self {
        Self { max_shift, ..self }
    }

    /// The same with each image mirrored, left and right, or not, drawn anew in each epoch.
    #[must_use]
    pub fn mirrored(self, mirror: bool) -> Self {
        Self { mirror, ..self }
    }

    /// The values of an image, varied as the key says.
    fn bytes(&self, key: SampleKey) -> Cow<'_, [u8]> {
        let mut bytes = Cow::Borrowed(self.images.bytes(key.sample));
        let [_, height, width] = self.images.shape();
        if self.mirror && stream(key.seed, Purpose::FrameMirror, key.epoch, key.sample).random_bool(0.5) {
            bytes.to_mut().chunks_exact_mut(width.max(1)).for_each(<[u8]>::reverse);
        }
        if self.max_shift > 0 {
            let mut rng = stream(key.seed, Purpose::FrameShift, key.epoch, key.sample);
            shift_at_random(bytes.to_mut(), [height, width], self.max_shift, &mut rng);
        }
        bytes
    }
}

impl fmt::Debug for ImageFrames<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImageFrames")
            .field("n_images", &self.images.len())
            .field("shape", &self.shape)
            .field("coding", &self.coding)
            .finish_non_exhaustive()
    }
}

impl FrameSource for ImageFrames<'_> {
    fn len(&self) -> usize {
        self.images.len()
    }

    fn label(&self, i: usize) -> usize {
        self.images.label(i)
    }

    fn shape(&self) -> [usize; 4] {
        self.shape
    }

    fn scale(&self) -> f32 {
        match self.coding {
            Coding::Constant | Coding::Rows => 1.0 / 255.0,
            Coding::Rate => 1.0,
        }
    }

    fn fill(&self, key: SampleKey, frames: &mut [u8]) -> Result<(), DataError> {
        check_index(key.sample, self.len())?;
        let n_values: usize = self.shape.iter().product();
        assert_eq!(frames.len(), n_values, "frames buffer for shape {:?}", self.shape);
        let bytes = self.bytes(key);
        let steps = frames.chunks_exact_mut((n_values / self.shape[0]).max(1));
        match self.coding {
            Coding::Constant => steps.for_each(|step| step.copy_from_slice(&bytes)),
            Coding::Rate => {
                let mut rng = stream(key.seed, Purpose::RateCoding, key.epoch, key.sample);
                // A byte below the drawn one of 0..255 is no spike: 0 never is one, 255 always.
                steps.flatten().zip(bytes.iter().cycle()).for_each(|(spike, &byte)| {
                    *spike = u8::from(rng.random_range(0..255_u8) < byte);
                });
            }
            Coding::Rows => {
                let [n_rows, _, _, width] = self.shape;
                let width = width.max(1);
                for (t, step) in steps.enumerate() {
                    let row = bytes.chunks_exact(width).skip(t).step_by(n_rows);
                    step.chunks_exact_mut(width).zip(row).for_each(|(to, from)| to.copy_from_slice(from));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{BatchConfig, Batches};

    /// Two images of 1x3 pixels.
    struct Pair;

    impl Images for Pair {
        fn len(&self) -> usize {
            2
        }
        fn n_classes(&self) -> usize {
            2
        }
        fn label(&self, i: usize) -> usize {
            i
        }
        fn shape(&self) -> [usize; 3] {
            [1, 1, 3]
        }
        fn bytes(&self, i: usize) -> &[u8] {
            [&[0, 255, 51], &[1, 2, 3]][i]
        }
    }

    /// The batch of `indices` in an epoch.
    fn batch(frames: ImageFrames<'_>, indices: &[usize], epoch: usize) -> crate::Batch {
        let batches = Batches::new(frames, indices.to_vec(), BatchConfig::default()).unwrap();
        batches.epoch(epoch).next().unwrap().unwrap()
    }

    fn bytes(frames: &ImageFrames<'_>, epoch: usize) -> Vec<u8> {
        let mut found = vec![9; frames.shape().iter().product()];
        frames.fill(SampleKey { seed: 0, epoch, sample: 0 }, &mut found).unwrap();
        found
    }

    #[test]
    fn constant_coding_shows_the_values_in_every_step() {
        let frames = || ImageFrames::new(&Pair, 2, Coding::Constant).unwrap();
        let found = batch(frames(), &[0], 0).frames;
        assert_eq!(found.dim(), (2, 1, 1, 1, 3));
        let want = [0.0, 1.0, 0.2, 0.0, 1.0, 0.2];
        assert!(found.iter().zip(want).all(|(v, want)| (v - want).abs() < 1e-6), "{found}");
        assert_eq!(batch(frames(), &[1], 0).labels, [1]);
    }

    #[test]
    fn rates_are_the_values() {
        let n = 20_000;
        let rate = |epoch| batch(ImageFrames::new(&Pair, n, Coding::Rate).unwrap(), &[0], epoch).frames;
        let found = rate(0);
        let mean = |k: usize| found.iter().skip(k).step_by(3).sum::<f32>() / n as f32;
        assert!(found.iter().all(|v| [0.0, 1.0].contains(v)));
        // Five standard errors of a share of 0.2.
        assert!((mean(0), mean(1)) == (0.0, 1.0) && (mean(2) - 0.2).abs() < 0.014, "{}", mean(2));
        assert_ne!(found, rate(1));
        assert_eq!(found, rate(0));
    }

    /// One image of 2 channels, 2 rows and 3 columns.
    struct Color;

    const COLOR: [u8; 12] = [1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16];

    impl Images for Color {
        fn len(&self) -> usize {
            1
        }
        fn n_classes(&self) -> usize {
            1
        }
        fn label(&self, _: usize) -> usize {
            0
        }
        fn shape(&self) -> [usize; 3] {
            [2, 2, 3]
        }
        fn bytes(&self, _: usize) -> &[u8] {
            &COLOR
        }
    }

    #[test]
    fn rows_are_steps() {
        let frames = ImageFrames::new(&Color, 2, Coding::Rows).unwrap();
        assert_eq!(bytes(&frames, 0), [1, 2, 3, 11, 12, 13, 4, 5, 6, 14, 15, 16]);
        assert_eq!(batch(frames, &[0], 0).frames.dim(), (2, 1, 2, 1, 3));
        let message = ImageFrames::new(&Color, 3, Coding::Rows).unwrap_err().to_string();
        assert_eq!(message, "number of frames is 3, expected that of the rows of an image");
    }

    #[test]
    fn images_are_mirrored_and_shifted_anew_in_each_epoch() {
        let plain = || ImageFrames::new(&Color, 1, Coding::Constant).unwrap();
        let frames = plain().mirrored(true);
        let mirrored: Vec<Vec<u8>> = (0..20).map(|epoch| bytes(&frames, epoch)).collect();
        let n_mirrored = mirrored.iter().filter(|image| **image != COLOR).count();
        assert!((1..20).contains(&n_mirrored), "{n_mirrored}");
        let other = [3, 2, 1, 6, 5, 4, 13, 12, 11, 16, 15, 14];
        assert!(mirrored.iter().all(|image| *image == COLOR || *image == other), "{mirrored:?}");
        assert_eq!(bytes(&frames, 7), mirrored[7]);

        let frames = plain().shifted(1);
        let shifted: Vec<Vec<u8>> = (0..200).map(|epoch| bytes(&frames, epoch)).collect();
        let distinct: std::collections::BTreeSet<&Vec<u8>> = shifted.iter().collect();
        // Up, down or not, left, right or not.
        assert_eq!(distinct.len(), 9, "{distinct:?}");
        assert!(distinct.contains(&COLOR.to_vec()));
        assert!(distinct.contains(&vec![0, 1, 2, 0, 4, 5, 0, 11, 12, 0, 14, 15]));
    }
}
