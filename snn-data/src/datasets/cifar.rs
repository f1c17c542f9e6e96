//! CIFAR-10 and CIFAR-100, binary version: labeled color images of 32x32 pixels.
//!
//! A file is records without a header: one label (CIFAR-10), or a coarse and a fine one (CIFAR-100), each a byte,
//! then the 1,024 values of red, those of green and those of blue, each row by row from the top. CIFAR-10 has
//! `data_batch_1.bin` to `data_batch_5.bin` and `test_batch.bin`, CIFAR-100 has `train.bin` and `test.bin`: 50,000
//! images for training and 10,000 for testing. The other versions (Python pickles, Matlab) are not read.
//!
//! # Gray values
//!
//! The simulated event camera sees gray. [`Cifar::image`] takes the luma of ITU-R BT.601 of the stored
//! (gamma-corrected) values, `0.299 R + 0.587 G + 0.114 B`, divided by 255, which is what Pillow (mode `L`) and
//! torchvision mean by gray, but for their rounding to 8 bits.
//!
//! No copy of the data sets was at hand: this was tested on files made after their description.
//!
//! # References
//!
//! Krizhevsky, "Learning multiple layers of features from tiny images", 2009,
//! <https://www.cs.toronto.edu/~kriz/cifar.html>; ITU-R BT.601-7, section 2.5.1.

use std::path::{Path, PathBuf};

use crate::dataset::Part;
use crate::error::{DataError, FormatError};
use crate::format::read_file;
use crate::image::GrayImage;

/// Rows and columns of an image.
pub const SIZE: usize = 32;
/// Pixels of an image.
const N_PIXELS: usize = SIZE * SIZE;
/// Classes of the coarse labels of CIFAR-100.
pub const N_COARSE: usize = 20;

/// Which of the two data sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// 10 classes.
    Cifar10,
    /// 100 classes, and 20 coarse ones of 5 classes each.
    Cifar100,
}

impl Kind {
    /// Number of classes.
    pub const fn n_classes(self) -> usize {
        match self {
            Self::Cifar10 => 10,
            Self::Cifar100 => 100,
        }
    }

    const fn label_bytes(self) -> usize {
        match self {
            Self::Cifar10 => 1,
            Self::Cifar100 => 2,
        }
    }

    /// Folder of the published archive, and the files of a part.
    const fn files(self, part: Part) -> (&'static str, &'static [&'static str]) {
        match (self, part) {
            (Self::Cifar10, Part::Train) => (
                "cifar-10-batches-bin",
                &[
                    "data_batch_1.bin",
                    "data_batch_2.bin",
                    "data_batch_3.bin",
                    "data_batch_4.bin",
                    "data_batch_5.bin",
                ],
            ),
            (Self::Cifar10, Part::Test) => ("cifar-10-batches-bin", &["test_batch.bin"]),
            (Self::Cifar100, Part::Train) => ("cifar-100-binary", &["train.bin"]),
            (Self::Cifar100, Part::Test) => ("cifar-100-binary", &["test.bin"]),
        }
    }
}

/// Number of images that a part of either whole data set has.
pub const fn expected_len(part: Part) -> usize {
    match part {
        Part::Train => 50_000,
        Part::Test => 10_000,
    }
}

/// Labeled color images, all in memory.
///
/// # Examples
///
/// ```no_run
/// use snn_data::Part;
/// use snn_data::datasets::cifar::{Cifar, Kind};
/// use snn_data::simulator::{Simulator, SimulatorConfig};
///
/// let images = Cifar::open("data/cifar", Kind::Cifar10, Part::Train)?;
/// let events = Simulator::new(&SimulatorConfig::default())?.record(&images.image(0), 7, 0);
/// println!("class {}, {} events", images.label(0), events.len());
/// # Ok::<(), snn_data::DataError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Cifar {
    kind: Kind,
    labels: Vec<u8>,
    /// Empty for CIFAR-10.
    coarse_labels: Vec<u8>,
    pixels: Vec<u8>,
}

impl Cifar {
    /// Opens one part by its standard file names in `folder`, or in the folder that the published archive makes.
    ///
    /// # Errors
    ///
    /// As [`Cifar::read`].
    pub fn open(folder: impl AsRef<Path>, kind: Kind, part: Part) -> Result<Self, DataError> {
        let (below, files) = kind.files(part);
        let below = folder.as_ref().join(below);
        let folder = if below.is_dir() { below.as_path() } else { folder.as_ref() };
        let paths: Vec<PathBuf> = files.iter().map(|file| folder.join(file)).collect();
        Self::read(&paths, kind)
    }

    /// Reads files, one after the other.
    ///
    /// # Errors
    ///
    /// [`DataError::Io`], or [`DataError::Malformed`] with offset and field for a file that is empty, ends within
    /// a record, or has a label beyond the classes.
    pub fn read(paths: &[PathBuf], kind: Kind) -> Result<Self, DataError> {
        let mut images = Self { kind, labels: Vec::new(), coarse_labels: Vec::new(), pixels: Vec::new() };
        for path in paths {
            images.append(&read_file(path)?).map_err(DataError::malformed(path))?;
        }
        Ok(images)
    }

    /// Decodes the bytes of one file.
    ///
    /// # Errors
    ///
    /// [`FormatError::Empty`], [`FormatError::Truncated`], [`FormatError::BadLabel`].
    pub fn decode(bytes: &[u8], kind: Kind) -> Result<Self, FormatError> {
        let mut images = Self { kind, labels: Vec::new(), coarse_labels: Vec::new(), pixels: Vec::new() };
        images.append(bytes)?;
        Ok(images)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), FormatError> {
        let label_bytes = self.kind.label_bytes();
        let record_bytes = label_bytes + 3 * N_PIXELS;
        if bytes.is_empty() {
            return Err(FormatError::Empty { expected: record_bytes });
        }
        let records = bytes.chunks_exact(record_bytes);
        let n_left = records.remainder().len();
        if n_left > 0 {
            let (offset, expected) = (bytes.len() - n_left, crate::num::wide(record_bytes));
            return Err(FormatError::Truncated { field: "record", offset, expected, found: n_left });
        }
        for (index, record) in records.enumerate() {
            let (labels, pixels) = record.split_at(label_bytes);
            self.append_labels(labels, index, index * record_bytes)?;
            self.pixels.extend_from_slice(pixels);
        }
        Ok(())
    }

    fn append_labels(&mut self, labels: &[u8], index: usize, offset: usize) -> Result<(), FormatError> {
        let check = |found: u8, offset, n_classes| {
            if usize::from(found) < n_classes {
                return Ok(found);
            }
            Err(FormatError::BadLabel { index, offset, found, n_classes })
        };
        let (&fine, coarse) = labels.split_last().ok_or(FormatError::Empty { expected: 1 })?;
        for &coarse in coarse {
            self.coarse_labels.push(check(coarse, offset, N_COARSE)?);
        }
        self.labels.push(check(fine, offset + coarse.len(), self.kind.n_classes())?);
        Ok(())
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Which of the two data sets.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Class of image `i`; of CIFAR-100 the fine one.
    ///
    /// # Panics
    ///
    /// When `i >= len()`.
    pub fn label(&self, i: usize) -> usize {
        self.labels[i].into()
    }

    /// Coarse class of image `i`; `None` for CIFAR-10 and beyond the last image.
    pub fn coarse_label(&self, i: usize) -> Option<usize> {
        self.coarse_labels.get(i).map(|&label| label.into())
    }

    /// Red, green and blue values of image `i`, `[3, 32, 32]`, row-major.
    ///
    /// # Panics
    ///
    /// When `i >= len()`.
    pub fn planes(&self, i: usize) -> &[u8] {
        &self.pixels[i * 3 * N_PIXELS..(i + 1) * 3 * N_PIXELS]
    }

    /// Image `i` as gray values 0 to 1; see the [module](self) for how.
    ///
    /// # Panics
    ///
    /// When `i >= len()`.
    pub fn image(&self, i: usize) -> GrayImage {
        let (red, others) = self.planes(i).split_at(N_PIXELS);
        let (green, blue) = others.split_at(N_PIXELS);
        let luma = |((&r, &g), &b): ((&u8, &u8), &u8)| {
            (0.299 * f32::from(r) + 0.587 * f32::from(g) + 0.114 * f32::from(b)) / 255.0
        };
        GrayImage::from_pixels(SIZE, red.iter().zip(green).zip(blue).map(luma).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;

    /// A record whose planes are all of one value.
    fn record(labels: &[u8], planes: [u8; 3]) -> Vec<u8> {
        let planes = planes.iter().flat_map(|&value| [value; N_PIXELS]);
        labels.iter().copied().chain(planes).collect()
    }

    #[test]
    fn batches_are_read_in_order() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("cifar-10-batches-bin");
        fs::create_dir(&folder).unwrap();
        for k in 1..=5 {
            let bytes = [record(&[k], [k, 0, 0]), record(&[9], [0, k, 255])].concat();
            fs::write(folder.join(format!("data_batch_{k}.bin")), bytes).unwrap();
        }
        let images = Cifar::open(root.path(), Kind::Cifar10, Part::Train).unwrap();
        let labels: Vec<usize> = (0..images.len()).map(|i| images.label(i)).collect();
        assert_eq!((labels, images.coarse_label(0)), (vec![1, 9, 2, 9, 3, 9, 4, 9, 5, 9], None));
        assert_eq!(images.planes(7), &record(&[], [0, 4, 255])[..]);
        let missing = Cifar::open(&folder, Kind::Cifar10, Part::Test).unwrap_err().to_string();
        assert!(missing.starts_with("cannot read ") && missing.contains("test_batch.bin"), "{missing}");
    }

    #[test]
    fn rows_and_planes_keep_their_place() {
        let mut bytes = record(&[3], [0; 3]);
        // Row 2, column 5 of green.
        bytes[1 + N_PIXELS + 2 * SIZE + 5] = 255;
        let image = Cifar::decode(&bytes, Kind::Cifar10).unwrap().image(0);
        assert_eq!((image.width(), image.height()), (SIZE, SIZE));
        let bright = image.pixels().iter().position(|&v| v > 0.0);
        assert_eq!((bright, image.pixels()[2 * SIZE + 5]), (Some(2 * SIZE + 5), 0.587));
        let white = Cifar::decode(&record(&[0], [255; 3]), Kind::Cifar10).unwrap().image(0);
        assert!(white.pixels().iter().all(|&v| (v - 1.0).abs() < 1e-6));
    }

    #[test]
    fn fine_and_coarse_labels_are_kept_apart() {
        let images = Cifar::decode(&record(&[19, 99], [1, 2, 3]), Kind::Cifar100).unwrap();
        assert_eq!((images.coarse_label(0), images.label(0), images.len()), (Some(19), 99, 1));
        assert_eq!(images.planes(0)[..1], [1]);
    }

    #[test]
    fn bad_bytes_are_named() {
        let message = |bytes: &[u8], kind| Cifar::decode(bytes, kind).unwrap_err().to_string();
        assert_eq!(message(&[], Kind::Cifar10), "the file is empty, expected at least 3073 bytes");
        let two = record(&[1], [0; 3]).repeat(2);
        let truncated = "truncated in record at byte offset 3073: expected 3073 bytes, found 3072";
        assert_eq!(message(&two[..two.len() - 1], Kind::Cifar10), truncated);
        let bad = [record(&[1], [0; 3]), record(&[10], [0; 3])].concat();
        let label = "label 1 at byte offset 3073 is 10, expected a class below 10";
        assert_eq!(message(&bad, Kind::Cifar10), label);
        let coarse = "label 0 at byte offset 0 is 20, expected a class below 20";
        assert_eq!(message(&record(&[20, 5], [0; 3]), Kind::Cifar100), coarse);
        let fine = "label 0 at byte offset 1 is 100, expected a class below 100";
        assert_eq!(message(&record(&[5, 100], [0; 3]), Kind::Cifar100), fine);
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_fail(bytes in prop::collection::vec(any::<u8>(), 0..7_000), hundred: bool) {
            let kind = if hundred { Kind::Cifar100 } else { Kind::Cifar10 };
            if let Ok(images) = Cifar::decode(&bytes, kind) {
                prop_assert!(images.len() * 3_073 <= bytes.len());
                prop_assert!((0..images.len()).all(|i| images.label(i) < kind.n_classes()));
            }
        }
    }
}
