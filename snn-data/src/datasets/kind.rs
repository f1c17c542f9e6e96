//! Which data set lies in a folder, and opening it without knowing its type.

use std::fmt;
use std::fs;
use std::path::Path;

use super::cifar::{self, Cifar};
use super::cifar10_dvs::{self, Cifar10Dvs};
use super::dvs_gesture::DvsGesture;
#[cfg(feature = "npy")]
use super::dvs_gesture_tonic::{self, DvsGestureTonic};
use super::folder::EventFolder;
use super::idx_images::IdxImages;
use super::images::Images;
use super::ncaltech101::{self, Background};
use super::ncars;
use super::nmnist::{NMnist, Selection};
#[cfg(feature = "hdf5")]
use super::shd::{Shd, ShdFile};
use crate::dataset::{Dataset, Joined, Part};
use crate::error::DataError;

/// A data set that this crate reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DataSetKind {
    /// See [`super::nmnist`].
    NMnist,
    /// See [`super::ncaltech101`]; with the background as a class.
    NCaltech101,
    /// See [`super::ncars`].
    NCars,
    /// See [`super::cifar10_dvs`].
    Cifar10Dvs,
    /// See [`super::dvs_gesture`].
    DvsGesture,
    /// See [`super::dvs_gesture_tonic`].
    #[cfg(feature = "npy")]
    DvsGestureTonic,
    /// See [`super::shd`].
    #[cfg(feature = "hdf5")]
    Shd,
    /// See [`super::shd`].
    #[cfg(feature = "hdf5")]
    Ssc,
    /// Event files in folders by class, see [`super::folder`].
    Events,
    /// MNIST or Fashion-MNIST, see [`super::idx_images`].
    Mnist,
    /// See [`super::cifar`].
    Cifar10,
    /// See [`super::cifar`].
    Cifar100,
}

/// How much of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Share {
    /// All that lies there.
    Whole,
    /// A part of its own division; refused by data sets that have none.
    Part(Part),
}

/// An opened data set.
pub struct Opened {
    /// Its samples.
    pub samples: Samples,
    /// What its users should know: unusual numbers of samples, files left out, overlapping labels.
    pub remarks: Vec<String>,
}

/// Samples of either kind.
pub enum Samples {
    /// Recordings.
    Events(Box<dyn Dataset>),
    /// Images: those to learn from, then those to test on, where both were asked for.
    Images(Vec<Box<dyn Images>>),
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("samples", &self.samples).field("remarks", &self.remarks).finish()
    }
}

impl fmt::Debug for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n: usize = match self {
            Self::Events(data) => data.len(),
            Self::Images(parts) => parts.iter().map(|images| images.len()).sum(),
        };
        f.debug_struct("Samples").field("n", &n).finish_non_exhaustive()
    }
}

impl DataSetKind {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::NMnist,
        Self::NCaltech101,
        Self::NCars,
        Self::Cifar10Dvs,
        Self::DvsGesture,
        #[cfg(feature = "npy")]
        Self::DvsGestureTonic,
        #[cfg(feature = "hdf5")]
        Self::Shd,
        #[cfg(feature = "hdf5")]
        Self::Ssc,
        Self::Events,
        Self::Mnist,
        Self::Cifar10,
        Self::Cifar100,
    ];

    /// Its short name, which is also that of the list of published data sets.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NMnist => "nmnist",
            Self::NCaltech101 => "ncaltech101",
            Self::NCars => "ncars",
            Self::Cifar10Dvs => "cifar10-dvs",
            Self::DvsGesture => "dvs-gesture",
            #[cfg(feature = "npy")]
            Self::DvsGestureTonic => "dvs-gesture-tonic",
            #[cfg(feature = "hdf5")]
            Self::Shd => "shd",
            #[cfg(feature = "hdf5")]
            Self::Ssc => "ssc",
            Self::Events => "events",
            Self::Mnist => "mnist",
            Self::Cifar10 => "cifar10",
            Self::Cifar100 => "cifar100",
        }
    }

    /// The data set of a short name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// True for images, which are no recordings.
    pub const fn is_images(self) -> bool {
        matches!(self, Self::Mnist | Self::Cifar10 | Self::Cifar100)
    }

    /// True if its publishers divide it into a part to learn from and one to test on.
    pub const fn has_parts(self) -> bool {
        !matches!(self, Self::NCaltech101 | Self::Cifar10Dvs | Self::Events)
    }

    /// What lies in `folder`, by the names of files and folders in it; class folders of which nothing more is
    /// known are [`DataSetKind::Events`]. None if there is nothing that could be a data set.
    pub fn detect(folder: &Path) -> Option<Self> {
        let has = |name: &str| folder.join(name).exists();
        let has_gz = |name: &str| has(name) || has(&format!("{name}.gz"));
        let marks: [(Self, bool); 7] = [
            (Self::DvsGesture, has("trials_to_train.txt") || has("DvsGesture")),
            (Self::NCars, has("n-cars_train") || has("n-cars_test")),
            (Self::NCaltech101, has("Caltech101") || has(ncaltech101::BACKGROUND) || has("Faces_easy")),
            (Self::Mnist, has_gz("train-images-idx3-ubyte") || has_gz("train-images.idx3-ubyte")),
            (Self::Cifar10, has("cifar-10-batches-bin") || has("data_batch_1.bin")),
            (Self::Cifar100, has("cifar-100-binary") || has("fine_label_names.txt")),
            (Self::Cifar10Dvs, cifar10_dvs::CLASSES.iter().all(|class| has(class))),
        ];
        let found = marks.into_iter().find(|(_, is_it)| *is_it).map(|(kind, _)| kind);
        found.or_else(|| Self::detect_by_feature(folder)).or_else(|| by_class_folders(folder))
    }

    #[cfg(any(feature = "hdf5", feature = "npy"))]
    fn detect_by_feature(folder: &Path) -> Option<Self> {
        let has = |name: &str| folder.join(name).exists();
        #[cfg(feature = "npy")]
        if has("ibmGestureTrain") || has("ibmGestureTest") {
            return Some(Self::DvsGestureTonic);
        }
        #[cfg(feature = "hdf5")]
        for (kind, file) in [(Self::Shd, ShdFile::ShdTrain), (Self::Ssc, ShdFile::SscTrain)] {
            if has(&format!("{}.h5", file.stem())) {
                return Some(kind);
            }
        }
        None
    }

    #[cfg(not(any(feature = "hdf5", feature = "npy")))]
    fn detect_by_feature(_folder: &Path) -> Option<Self> {
        None
    }

    /// Opens the data set in `folder`.
    ///
    /// # Errors
    ///
    /// Those of the data set; [`DataError::NoParts`] for a part of one that has none.
    pub fn open(self, folder: &Path, share: Share) -> Result<Opened, DataError> {
        if let Share::Part(part) = share {
            return if self.has_parts() { self.open_part(folder, part) } else { Err(self.no_parts()) };
        }
        match self {
            Self::NMnist => Ok(Opened::events(NMnist::open(folder, &Selection::Whole)?, [])),
            Self::NCaltech101 => Ok(Opened::folder(ncaltech101::open(folder, Background::Keep)?)),
            Self::Events => Ok(Opened::folder(EventFolder::open(folder, None)?)),
            Self::Cifar10Dvs => {
                let data = Cifar10Dvs::open(folder, cifar10_dvs::Split::Whole)?;
                let remarks: Vec<String> = data.remarks().iter().map(ToString::to_string).collect();
                Ok(Opened::events(data, remarks))
            }
            _ => self.open_parts(folder),
        }
    }

    /// Both parts as one.
    fn open_parts(self, folder: &Path) -> Result<Opened, DataError> {
        let mut opened = Vec::new();
        let mut remarks = Vec::new();
        for part in [Part::Train, Part::Test] {
            let Opened { samples, remarks: of_part } = self.open_part(folder, part)?;
            opened.push(samples);
            remarks.extend(of_part);
        }
        #[cfg(feature = "hdf5")]
        if self == Self::Ssc {
            opened.insert(1, open_shd(folder, ShdFile::SscValid)?.samples);
        }
        let (mut recordings, mut images) = (Vec::new(), Vec::new());
        for samples in opened {
            match samples {
                Samples::Events(data) => recordings.push(data),
                Samples::Images(more) => images.extend(more),
            }
        }
        let samples = match Joined::new(recordings) {
            Some(joined) => Samples::Events(Box::new(joined)),
            None => Samples::Images(images),
        };
        Ok(Opened { samples, remarks })
    }

    fn open_part(self, folder: &Path, part: Part) -> Result<Opened, DataError> {
        match self {
            Self::NMnist => Ok(Opened::events(NMnist::open(folder, &Selection::Part(part))?, [])),
            Self::NCars => Ok(Opened::folder(ncars::open(folder, part)?)),
            Self::DvsGesture => {
                let data = DvsGesture::open(folder, part)?;
                let remarks: Vec<String> = data.remarks().iter().map(ToString::to_string).collect();
                Ok(Opened::events(data, remarks))
            }
            #[cfg(feature = "npy")]
            Self::DvsGestureTonic => {
                let data = DvsGestureTonic::open(folder, part)?;
                let remark = count_remark(data.len(), dvs_gesture_tonic::expected_len(part));
                Ok(Opened::events(data, remark))
            }
            #[cfg(feature = "hdf5")]
            Self::Shd => {
                open_shd(folder, [ShdFile::ShdTrain, ShdFile::ShdTest][usize::from(part == Part::Test)])
            }
            #[cfg(feature = "hdf5")]
            Self::Ssc => {
                open_shd(folder, [ShdFile::SscTrain, ShdFile::SscTest][usize::from(part == Part::Test)])
            }
            Self::Mnist => Ok(Opened::images(IdxImages::open(folder, part)?, None)),
            Self::Cifar10 => open_cifar(folder, cifar::Kind::Cifar10, part),
            Self::Cifar100 => open_cifar(folder, cifar::Kind::Cifar100, part),
            Self::NCaltech101 | Self::Cifar10Dvs | Self::Events => Err(self.no_parts()),
        }
    }

    fn no_parts(self) -> DataError {
        DataError::NoParts { data_set: self.name() }
    }
}

impl Opened {
    fn events(data: impl Dataset + 'static, remarks: impl IntoIterator<Item = String>) -> Self {
        Self { samples: Samples::Events(Box::new(data)), remarks: remarks.into_iter().collect() }
    }

    fn folder(data: EventFolder) -> Self {
        let remarks: Vec<String> = data.remarks().iter().map(ToString::to_string).collect();
        Self::events(data, remarks)
    }

    fn images(images: impl Images + 'static, remark: Option<String>) -> Self {
        Self { samples: Samples::Images(vec![Box::new(images)]), remarks: remark.into_iter().collect() }
    }
}

#[cfg(feature = "hdf5")]
fn open_shd(folder: &Path, file: ShdFile) -> Result<Opened, DataError> {
    let data = Shd::open(folder, file)?;
    let remarks: Vec<String> = data.remarks().iter().map(ToString::to_string).collect();
    Ok(Opened::events(data, remarks))
}

fn open_cifar(folder: &Path, kind: cifar::Kind, part: Part) -> Result<Opened, DataError> {
    let images = Cifar::open(folder, kind, part)?;
    let remark = count_remark(images.len(), cifar::expected_len(part));
    Ok(Opened::images(images, remark))
}

fn count_remark(found: usize, expected: usize) -> Option<String> {
    (found != expected).then(|| format!("{found} samples, the whole part has {expected}"))
}

/// N-MNIST where class folders are digits with `.bin` files only (or none yet), or lie in `Train` and `Test`;
/// otherwise, where there are folders at all, event files by class.
fn by_class_folders(folder: &Path) -> Option<DataSetKind> {
    if folder.join("Train").is_dir() || folder.join("Test").is_dir() {
        return Some(DataSetKind::NMnist);
    }
    let folders: Vec<_> = fs::read_dir(folder)
        .ok()?
        .flatten()
        .filter(|entry| entry.path().is_dir() && !entry.file_name().to_string_lossy().starts_with('.'))
        .collect();
    let is_digit = |name: &str| name.len() == 1 && name.bytes().all(|byte| byte.is_ascii_digit());
    let digits: Vec<_> =
        folders.iter().filter(|entry| is_digit(&entry.file_name().to_string_lossy())).collect();
    let is_nmnist = !digits.is_empty() && digits.iter().all(|entry| holds_bin_only(&entry.path()));
    match folders.is_empty() {
        true => None,
        false if is_nmnist => Some(DataSetKind::NMnist),
        false => Some(DataSetKind::Events),
    }
}

fn holds_bin_only(folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return false };
    entries.flatten().take(100).all(|entry| entry.path().extension().is_some_and(|end| end == "bin"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with(names: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for name in names {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            if name.ends_with('/') {
                fs::create_dir_all(path).unwrap();
            } else {
                fs::write(path, [1, 2, 0x80, 0, 5]).unwrap();
            }
        }
        root
    }

    #[test]
    fn data_sets_are_found_by_what_lies_there() {
        let cases: &[(&[&str], Option<&str>)] = &[
            (&["Train/0/1.bin"], Some("nmnist")),
            (&["3/1.bin", "splits/train.txt"], Some("nmnist")),
            (&["0/"], Some("nmnist")),
            (&["0/a.raw", "1/b.raw"], Some("events")),
            (&["cat/a.bin", "dog/b.dat"], Some("events")),
            (&["DvsGesture/trials_to_train.txt"], Some("dvs-gesture")),
            (&["trials_to_train.txt"], Some("dvs-gesture")),
            (&["Caltech101/ant/1.bin"], Some("ncaltech101")),
            (&["n-cars_test/cars/1.dat"], Some("ncars")),
            (&["train-images-idx3-ubyte.gz"], Some("mnist")),
            (&["cifar-10-batches-bin/data_batch_1.bin"], Some("cifar10")),
            (&["notes.txt"], None),
            (&[".hidden/"], None),
        ];
        for (names, expected) in cases {
            let root = folder_with(names);
            assert_eq!(DataSetKind::detect(root.path()).map(DataSetKind::name), *expected, "{names:?}");
        }
        assert_eq!(DataSetKind::detect(Path::new("nowhere/at/all")), None);
    }

    #[test]
    fn names_and_kinds_belong_together() {
        for &kind in DataSetKind::ALL {
            assert_eq!(DataSetKind::from_name(kind.name()), Some(kind));
        }
    }

    #[test]
    fn parts_are_opened_alone_or_joined() {
        let root = folder_with(&["Train/1/1.bin", "Train/2/2.bin", "Test/1/3.bin"]);
        let len = |share| match DataSetKind::NMnist.open(root.path(), share).unwrap().samples {
            Samples::Events(data) => data.len(),
            Samples::Images(_) => 0,
        };
        assert_eq!([Share::Whole, Share::Part(Part::Train), Share::Part(Part::Test)].map(len), [3, 2, 1]);
        let root = folder_with(&["cat/1.bin"]);
        let error = DataSetKind::Events.open(root.path(), Share::Part(Part::Test)).err().unwrap();
        assert_eq!(error.to_string(), "the data set events has no division into training and test");
    }
}
