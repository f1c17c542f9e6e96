//! What all sets of labeled images offer.

use super::cifar::{Cifar, SIZE};
use super::idx_images::IdxImages;

/// Labeled images of one size, in memory. `label` and `bytes` panic for `i >= len()`.
pub trait Images: Send + Sync {
    /// Number of images.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of classes; labels are below it.
    fn n_classes(&self) -> usize;

    /// Class of image `i`.
    fn label(&self, i: usize) -> usize;

    /// Channels, rows and columns of an image.
    fn shape(&self) -> [usize; 3];

    /// Values of image `i`, row-major in the order of [`Images::shape`]; 255 is white.
    fn bytes(&self, i: usize) -> &[u8];
}

impl Images for IdxImages {
    fn len(&self) -> usize {
        Self::len(self)
    }

    fn n_classes(&self) -> usize {
        Self::n_classes(self)
    }

    fn label(&self, i: usize) -> usize {
        Self::label(self, i)
    }

    fn shape(&self) -> [usize; 3] {
        let (height, width) = self.size();
        [1, height, width]
    }

    fn bytes(&self, i: usize) -> &[u8] {
        self.pixels(i)
    }
}

impl Images for Cifar {
    fn len(&self) -> usize {
        Self::len(self)
    }

    fn n_classes(&self) -> usize {
        self.kind().n_classes()
    }

    fn label(&self, i: usize) -> usize {
        Self::label(self, i)
    }

    fn shape(&self) -> [usize; 3] {
        [3, SIZE, SIZE]
    }

    fn bytes(&self, i: usize) -> &[u8] {
        self.planes(i)
    }
}
