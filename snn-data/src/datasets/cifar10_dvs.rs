//! CIFAR10-DVS: 1,000 images of each class of CIFAR-10, moved in front of a DVS128 event camera.
//!
//! A recording is `<class>/cifar10_<class>_<number>.aedat`, number 0 to 999; see [`aedat2`] for the file
//! format. Files in other formats, such as Tonic's copy in AEDAT 4, are not these.
//!
//! # Splits
//!
//! The data set has no official split; papers take nine tenths of each class for training and the rest for
//! testing, but not the same ones. [`Split`] names which. Neither is random. Accuracies on
//! tenths drawn at random are not comparable to either.
//!
//! # Orientation
//!
//! The default is [`Convention::TopLeft`], jAER's picture. SpikingJelly's is the same mirrored at its
//! diagonal, see [`Cifar10Dvs::with_convention`]. No recording was at hand to see which of them is upright,
//! and all tests are on files made by [`aedat2::encode`].
//!
//! # References
//!
//! Li, Liu, Ji, Li and Shi, "CIFAR10-DVS: an event-stream dataset for object classification", 2017,
//! doi:10.3389/fnins.2017.00309.
//!
//! [`aedat2`]: crate::format::aedat2

use std::fmt;
use std::path::{Path, PathBuf};

use super::files::{SampleFiles, listed_in, names_in};
use crate::dataset::{Dataset, Part};
use crate::error::DataError;
use crate::event::{EventStream, SensorSize};
use crate::format::aedat2::{self, Camera, Convention};
use crate::format::read_file;

/// Names of the classes and of their folders, in the order of the labels.
pub const CLASSES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];
/// Recordings of a class in the whole data set.
pub const PER_CLASS: usize = 1_000;

/// Which recordings, of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Split {
    /// All of them.
    Whole,
    /// The first nine tenths of each class (rounded up) or the rest, with the recordings sorted **by name**:
    /// 0, 1, 10, 100, 101, ... This is what `split_to_train_test_set(0.9, ...)` of SpikingJelly gives.
    ByName(Part),
    /// The same with recordings sorted **by number**: in the whole data set 0 to 899 for training, 900 to 999
    /// for testing.
    ByNumber(Part),
}

/// A class with fewer or more recordings than in the whole data set. Prints as a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remark {
    /// The class.
    pub label: usize,
    /// Recordings found in its folder.
    pub found: usize,
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let class = CLASSES.get(self.label).copied().unwrap_or_default();
        write!(f, "CIFAR10-DVS, {class}: {} recordings, the whole data set has {PER_CLASS}", self.found)
    }
}

/// Recordings of CIFAR10-DVS, class by class, in the order of the split. Files are read on demand.
///
/// # Examples
///
/// ```no_run
/// use snn_data::datasets::cifar10_dvs::{Cifar10Dvs, Split};
/// use snn_data::{Dataset, Part};
///
/// let train = Cifar10Dvs::open("data/cifar10-dvs", Split::ByName(Part::Train))?;
/// println!("{}: class {}, {} events", train.sample_name(0), train.label(0), train.events(0)?.len());
/// # Ok::<(), snn_data::DataError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Cifar10Dvs {
    files: SampleFiles,
    convention: Convention,
    remarks: Vec<Remark>,
}

impl Cifar10Dvs {
    /// Finds the recordings of `split` in the class folders in `root`; reads none of them.
    ///
    /// # Errors
    ///
    /// [`DataError::MissingFolder`] unless all class folders are there, [`DataError::NoRecordings`] for one
    /// without recordings, [`DataError::Io`] where the operating system refuses.
    pub fn open(root: impl AsRef<Path>, split: Split) -> Result<Self, DataError> {
        let root = root.as_ref();
        let (mut samples, mut remarks) = (Vec::new(), Vec::new());
        for (label, class) in CLASSES.into_iter().enumerate() {
            let mut files = find_recordings(&root.join(class))?;
            let found = files.len();
            if found != PER_CLASS {
                remarks.push(Remark { label, found });
            }
            sort(&mut files, split);
            let files = part_of(&files, split).iter();
            samples.extend(files.map(|file| (format!("{class}/{file}"), label)));
        }
        Ok(Self { files: SampleFiles::new(root, samples), convention: Convention::default(), remarks })
    }

    /// The same recordings with their origin and polarity after `convention`.
    #[must_use]
    pub fn with_convention(self, convention: Convention) -> Self {
        Self { convention, ..self }
    }

    /// Classes with another number of recordings than in the whole data set.
    pub fn remarks(&self) -> &[Remark] {
        &self.remarks
    }

    /// Path of the file of sample `i`.
    ///
    /// # Panics
    ///
    /// When `i >= len()`.
    pub fn path(&self, i: usize) -> PathBuf {
        self.files.path(i)
    }
}

impl Dataset for Cifar10Dvs {
    listed_in!(files);

    fn n_classes(&self) -> usize {
        CLASSES.len()
    }

    fn sensor(&self) -> SensorSize {
        Camera::Dvs128.sensor()
    }

    fn events(&self, i: usize) -> Result<EventStream, DataError> {
        let path = self.files.checked_path(i)?;
        let recording = aedat2::decode(&read_file(&path)?, Some(Camera::Dvs128), self.convention);
        Ok(recording.map_err(DataError::malformed(&path))?.events)
    }
}

fn find_recordings(folder: &Path) -> Result<Vec<String>, DataError> {
    if !folder.is_dir() {
        let expected = "the recordings of this class, cifar10_<class>_<number>.aedat";
        return Err(DataError::MissingFolder { path: folder.to_owned(), expected });
    }
    let files: Vec<String> = names_in(folder)?.into_iter().filter(|name| name.ends_with(".aedat")).collect();
    let expected = ".aedat file";
    if files.is_empty() {
        Err(DataError::NoRecordings { path: folder.to_owned(), expected })
    } else {
        Ok(files)
    }
}

fn sort(files: &mut [String], split: Split) {
    match split {
        Split::Whole | Split::ByName(_) => files.sort_unstable(),
        Split::ByNumber(_) => files.sort_by_cached_key(|file| (number(file), file.clone())),
    }
}

/// The number at the end of a name; those without one come last.
fn number(file: &str) -> u64 {
    let digits = file.strip_suffix(".aedat").and_then(|stem| stem.rsplit('_').next());
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(u64::MAX)
}

fn part_of(files: &[String], split: Split) -> &[String] {
    let (train, test) = files.split_at(files.len() - files.len() / 10);
    match split {
        Split::Whole => files,
        Split::ByName(Part::Train) | Split::ByNumber(Part::Train) => train,
        Split::ByName(Part::Test) | Split::ByNumber(Part::Test) => test,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;
    use crate::event::Event;

    const EVENT: Event = Event { x: 5, y: 9, on: true, t: 3 };

    /// A folder of `n` recordings a class.
    fn folder(n: usize) -> TempDir {
        let root = tempfile::tempdir().unwrap();
        let bytes =
            aedat2::encode(&[EVENT].into_iter().collect(), Camera::Dvs128, Convention::TopLeft).unwrap();
        for class in CLASSES {
            let folder = root.path().join(class);
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("._cifar10_x_0.aedat"), "").unwrap();
            for number in 0..n {
                fs::write(folder.join(format!("cifar10_{class}_{number}.aedat")), &bytes).unwrap();
            }
        }
        root
    }

    /// Numbers of the recordings of class 3.
    fn cats(root: &TempDir, split: Split) -> Vec<u64> {
        let data = Cifar10Dvs::open(root.path(), split).unwrap();
        let cats = (0..data.len()).filter(|&i| data.label(i) == 3);
        cats.map(|i| number(data.sample_name(i).strip_prefix("cat/").unwrap())).collect()
    }

    #[test]
    fn splits_take_nine_tenths_of_each_class_by_name_or_by_number() {
        let root = folder(21);
        let by_name = [0, 1, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 2, 20, 3, 4, 5, 6, 7, 8, 9];
        assert_eq!(cats(&root, Split::Whole), by_name);
        assert_eq!(cats(&root, Split::ByName(Part::Train)), by_name[..19]);
        assert_eq!(cats(&root, Split::ByName(Part::Test)), by_name[19..]);
        assert!(cats(&root, Split::ByNumber(Part::Train)).into_iter().eq(0..19));
        assert_eq!(cats(&root, Split::ByNumber(Part::Test)), [19, 20]);
    }

    #[test]
    fn recordings_are_read_in_the_convention_asked_for() {
        let root = folder(1);
        let data = Cifar10Dvs::open(root.path(), Split::ByName(Part::Train)).unwrap();
        assert_eq!((data.len(), data.n_classes(), data.sensor()), (10, 10, SensorSize::new(128, 128)));
        assert_eq!((data.label(9), data.sample_name(9)), (9, "truck/cifar10_truck_0.aedat"));
        assert!(data.events(9).unwrap().iter().eq([EVENT]));
        assert_eq!(data.remarks().len(), 10);
        let remark = "CIFAR10-DVS, automobile: 1 recordings, the whole data set has 1000";
        assert_eq!(data.remarks()[1].to_string(), remark);
        let mirrored = data.with_convention(Convention::SpikingJelly);
        assert!(mirrored.events(0).unwrap().iter().eq([Event { x: 9, y: 5, ..EVENT }]));
        assert!(matches!(mirrored.events(10), Err(DataError::BadIndex { index: 10, len: 10 })));
    }

    #[test]
    fn bad_folders_and_files_are_named() {
        let root = folder(1);
        let message = |root: &Path| Cifar10Dvs::open(root, Split::Whole).unwrap_err().to_string();
        assert!(message(&root.path().join("none")).starts_with("no folder "));
        let path = root.path().join("dog/cifar10_dog_0.aedat");
        fs::write(&path, b"#!AER-DAT2.0\r\n\0\0\0").unwrap();
        let damaged = Cifar10Dvs::open(root.path(), Split::Whole).unwrap().events(5).unwrap_err().to_string();
        let expected = "cifar10_dog_0.aedat: truncated in event at byte offset 14: expected 8 bytes, found 3";
        assert!(damaged.ends_with(expected), "{damaged}");
        fs::remove_file(&path).unwrap();
        assert!(message(root.path()).ends_with("dog holds no .aedat file"));
        fs::remove_dir_all(root.path().join("dog")).unwrap();
        assert!(message(root.path()).contains("dog: expected the recordings of this class"));
    }
}
