//! MNIST and Fashion-MNIST: labeled gray images in IDX files.
//!
//! # References
//!
//! LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", 1998,
//! doi:10.1109/5.726791. Xiao, Rasul and Vollgraf, "Fashion-MNIST", 2017, arXiv:1708.07747.

use std::path::{Path, PathBuf};

use crate::dataset::Part;
use crate::error::{DataError, FormatError};
use crate::format::idx::{self, Images};
use crate::image::GrayImage;

const N_CLASSES: usize = 10;
/// Length of the header of a label file.
const LABEL_OFFSET: usize = 8;

/// Labeled images of 10 classes, all in memory.
#[derive(Debug, Clone)]
pub struct IdxImages {
    images: Images,
    labels: Vec<u8>,
}

impl IdxImages {
    /// Opens one part of MNIST or Fashion-MNIST by its standard file names (`train-images-idx3-ubyte`, ..., also
    /// with a dot before `idx`, each with or without `.gz`).
    ///
    /// # Errors
    ///
    /// [`DataError::MissingFile`], and those of [`IdxImages::read`].
    pub fn open(folder: impl AsRef<Path>, part: Part) -> Result<Self, DataError> {
        let folder = folder.as_ref();
        let (images, labels) = match part {
            Part::Train => (
                ["train-images-idx3-ubyte", "train-images.idx3-ubyte"],
                ["train-labels-idx1-ubyte", "train-labels.idx1-ubyte"],
            ),
            Part::Test => (
                ["t10k-images-idx3-ubyte", "t10k-images.idx3-ubyte"],
                ["t10k-labels-idx1-ubyte", "t10k-labels.idx1-ubyte"],
            ),
        };
        Self::read(&find(folder, &images)?, &find(folder, &labels)?)
    }

    /// Reads an image and a label file, compressed or not.
    ///
    /// # Errors
    ///
    /// [`DataError::Io`], [`DataError::Malformed`] (also for a label above 9), [`DataError::CountMismatch`].
    pub fn read(image_file: &Path, label_file: &Path) -> Result<Self, DataError> {
        let images = idx::read_images(image_file)?;
        let labels = idx::read_labels(label_file)?;
        if images.n_images != labels.len() {
            return Err(DataError::CountMismatch {
                images: image_file.to_owned(),
                labels: label_file.to_owned(),
                n_images: images.n_images,
                n_labels: labels.len(),
            });
        }
        check_labels(&labels).map_err(DataError::malformed(label_file))?;
        Ok(Self { images, labels })
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Number of classes.
    pub fn n_classes(&self) -> usize {
        N_CLASSES
    }

    /// Rows and columns of an image.
    pub fn size(&self) -> (usize, usize) {
        (self.images.n_rows, self.images.n_columns)
    }

    /// Class of image `i`.
    ///
    /// # Panics
    ///
    /// When `i >= len()`.
    pub fn label(&self, i: usize) -> usize {
        self.labels[i].into()
    }

    /// Gray values of image `i`, row-major.
    ///
    /// # Panics
    ///
    /// When `i >= len()`.
    pub fn pixels(&self, i: usize) -> &[u8] {
        let n = self.images.n_rows * self.images.n_columns;
        &self.images.pixels[i * n..(i + 1) * n]
    }

    /// Image `i` with gray values 0 to 1.
    ///
    /// # Panics
    ///
    /// When `i >= len()`.
    pub fn image(&self, i: usize) -> GrayImage {
        let pixels = self.pixels(i).iter().map(|&v| f32::from(v) / 255.0).collect();
        GrayImage::from_pixels(self.images.n_columns, pixels)
    }
}

/// The first file of `names`, with or without `.gz`, that exists in `folder`.
fn find(folder: &Path, names: &[&'static str]) -> Result<PathBuf, DataError> {
    let candidates = names.iter().flat_map(|name| [folder.join(name), folder.join(format!("{name}.gz"))]);
    let missing = || DataError::MissingFile { folder: folder.to_owned(), names: names.to_vec() };
    candidates.into_iter().find(|path| path.is_file()).ok_or_else(missing)
}

fn check_labels(labels: &[u8]) -> Result<(), FormatError> {
    match labels.iter().position(|&label| usize::from(label) >= N_CLASSES) {
        None => Ok(()),
        Some(index) => {
            let (offset, found) = (LABEL_OFFSET + index, labels[index]);
            Err(FormatError::BadLabel { index, offset, found, n_classes: N_CLASSES })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn write(folder: &Path, n_images: u8, labels: &[u8]) {
        let mut images = vec![0, 0, 8, 3, 0, 0, 0, n_images, 0, 0, 0, 1, 0, 0, 0, 2];
        images.extend((0..n_images).flat_map(|i| [i, 255]));
        fs::write(folder.join("train-images-idx3-ubyte"), images).unwrap();
        let mut bytes = vec![0, 0, 8, 1, 0, 0, 0, u8::try_from(labels.len()).unwrap()];
        bytes.extend_from_slice(labels);
        fs::write(folder.join("train-labels.idx1-ubyte"), bytes).unwrap();
    }

    #[test]
    fn images_and_labels_are_read() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), 2, &[4, 9]);
        let data = IdxImages::open(folder.path(), Part::Train).unwrap();
        assert_eq!((data.len(), data.size(), data.label(1)), (2, (1, 2), 9));
        assert_eq!(data.pixels(1), [1, 255]);
        assert_eq!(data.image(1).pixels(), [1.0 / 255.0, 1.0]);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let message = || IdxImages::open(folder.path(), Part::Train).unwrap_err().to_string();
        assert!(message().starts_with("no file train-images-idx3-ubyte or train-images.idx3-ubyte (with or"));
        write(folder.path(), 2, &[4]);
        assert!(message().contains("holds 2 images but"), "{}", message());
        write(folder.path(), 2, &[4, 10]);
        assert!(message().ends_with("label 1 at byte offset 9 is 10, expected a class below 10"));
    }
}
