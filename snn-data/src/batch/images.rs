//! Frames of images.

use std::fmt;
use std::ops::Range;

use super::FrameSource;
use crate::dataset::check_index;
use crate::datasets::images::Images;
use crate::error::DataError;
use crate::rng::{Purpose, stream};
use crate::transform::SampleKey;
use rand::RngExt;

/// How an image becomes time steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Coding {
    /// Its values, 0 to 1, in every step: "direct" or "constant current" coding, whose spikes the first layer makes.
    Constant,
    /// In each step each value is a spike, 1, with a probability of the value itself, drawn anew in each epoch; else 0.
    /// This is `spikegen.rate` of snnTorch and `PoissonEncoder` of SpikingJelly.
    Rate,
}

/// Images as frames `[T, C, H, W]`.
pub struct ImageFrames<'a> {
    images: &'a dyn Images,
    range: Range<usize>,
    n_steps: usize,
    coding: Coding,
}

impl<'a> ImageFrames<'a> {
    /// Frames of the images of `range`, of which the first is sample 0.
    ///
    /// # Errors
    ///
    /// [`DataError::BadSetting`] for no or more than 65,536 steps; [`DataError::BadIndex`] for a range beyond the end.
    pub fn new(
        images: &'a dyn Images,
        range: Range<usize>,
        n_steps: usize,
        coding: Coding,
    ) -> Result<Self, DataError> {
        DataError::require("number of frames", n_steps as f64, 1.0..=65_536.0, "1 to 65536")?;
        if range.end > images.len() {
            return Err(DataError::BadIndex { index: range.end, len: images.len() });
        }
        Ok(Self { images, range, n_steps, coding })
    }
}

impl fmt::Debug for ImageFrames<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImageFrames")
            .field("range", &self.range)
            .field("n_steps", &self.n_steps)
            .field("coding", &self.coding)
            .finish_non_exhaustive()
    }
}

impl FrameSource for ImageFrames<'_> {
    fn len(&self) -> usize {
        self.range.len()
    }

    fn label(&self, i: usize) -> usize {
        self.images.label(self.range.start + i)
    }

    fn shape(&self) -> [usize; 4] {
        let [channels, height, width] = self.images.shape();
        [self.n_steps, channels, height, width]
    }

    fn scale(&self) -> f32 {
        match self.coding {
            Coding::Constant => 1.0 / 255.0,
            Coding::Rate => 1.0,
        }
    }

    fn fill(&self, key: SampleKey, frames: &mut [u8]) -> Result<(), DataError> {
        check_index(key.sample, self.len())?;
        let bytes = self.images.bytes(self.range.start + key.sample);
        assert_eq!(frames.len(), self.n_steps * bytes.len(), "frames buffer for shape {:?}", self.shape());
        let mut rng = stream(key.seed, Purpose::RateCoding, key.epoch, key.sample);
        for step in frames.chunks_exact_mut(bytes.len().max(1)) {
            match self.coding {
                Coding::Constant => step.copy_from_slice(bytes),
                // A byte below the drawn one of 0..255 is no spike: 0 never is one, 255 always.
                Coding::Rate => step.iter_mut().zip(bytes).for_each(|(spike, &byte)| {
                    *spike = u8::from(rng.random_range(0..255_u8) < byte);
                }),
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

    fn batch(range: Range<usize>, n_steps: usize, coding: Coding, epoch: usize) -> crate::Batch {
        let frames = ImageFrames::new(&Pair, range, n_steps, coding).unwrap();
        let indices = (0..frames.len()).collect();
        Batches::new(frames, indices, BatchConfig::default()).unwrap().epoch(epoch).next().unwrap().unwrap()
    }

    #[test]
    fn constant_coding_shows_the_values_in_every_step() {
        let found = batch(0..1, 2, Coding::Constant, 0).frames;
        assert_eq!(found.dim(), (2, 1, 1, 1, 3));
        let want = [0.0, 1.0, 0.2, 0.0, 1.0, 0.2];
        assert!(found.iter().zip(want).all(|(v, want)| (v - want).abs() < 1e-6), "{found}");
        assert_eq!(batch(1..2, 1, Coding::Constant, 0).labels, [1]);
    }

    #[test]
    fn rates_are_the_values() {
        let n = 20_000;
        let found = batch(0..1, n, Coding::Rate, 0).frames;
        let mean = |k: usize| found.iter().skip(k).step_by(3).sum::<f32>() / n as f32;
        assert!(found.iter().all(|v| [0.0, 1.0].contains(v)));
        // Five standard errors of a share of 0.2.
        assert!((mean(0), mean(1)) == (0.0, 1.0) && (mean(2) - 0.2).abs() < 0.014, "{}", mean(2));
        assert_ne!(found, batch(0..1, n, Coding::Rate, 1).frames);
        assert_eq!(found, batch(0..1, n, Coding::Rate, 0).frames);
    }

    #[test]
    fn ranges_stay_within_the_images() {
        assert!(matches!(
            ImageFrames::new(&Pair, 1..3, 1, Coding::Rate),
            Err(DataError::BadIndex { index: 3, len: 2 })
        ));
    }
}
