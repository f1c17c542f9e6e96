//! N-MNIST: the MNIST digits seen by an event camera during three saccades.
//!
//! A recording is `<class>/NNNNN.bin`, where NNNNN is the 1-based index of the MNIST image; the standard folders
//! above the classes are `Train` (60,000 recordings) and `Test` (10,000). See [`nmnist_bin`] for the file format.
//!
//! # References
//!
//! Orchard, Jayawant, Cohen and Thakor, "Converting static image datasets to spiking neuromorphic datasets using
//! saccades", 2015, doi:10.3389/fnins.2015.00437.

use std::collections::HashSet;
use std::path::{Component, Path, PathBuf};

use super::files::{Sample, SampleFiles, listed_in, names_in};
use crate::dataset::{Dataset, Part};
use crate::error::{DataError, EntryProblem};
use crate::event::{EventStream, SensorSize};
use crate::format::nmnist_bin::{self, NMNIST_SENSOR};
use crate::split::{SplitEntry, read_split_file};
use crate::transform::Framer;

const N_CLASSES: usize = 10;

/// Which recordings below a folder belong to a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// All below the folder: those in `Train` and `Test`, or, without these folders, those of class folders that
    /// lie directly in it.
    Whole,
    /// All below `Train` or `Test`.
    Part(Part),
    /// Those that a split file lists; see [`read_split_file`].
    SplitFile(PathBuf),
    /// Those of a list of relative paths.
    Names(Vec<String>),
}

/// Recordings in the layout of N-MNIST, sorted by relative path. Files are read on demand.
///
/// # Examples
///
/// ```no_run
/// use snn_data::datasets::nmnist::{NMnist, Selection};
/// use snn_data::{Dataset, Part};
///
/// let train = NMnist::open("data/nmnist", &Selection::Part(Part::Train))?;
/// println!("{}: class {}, {} events", train.sample_name(0), train.label(0), train.events(0)?.len());
/// # Ok::<(), snn_data::DataError>(())
/// ```
#[derive(Debug, Clone)]
pub struct NMnist {
    files: SampleFiles,
}

impl NMnist {
    /// Finds the recordings of `selection` below `root`; reads none of them.
    ///
    /// # Errors
    ///
    /// [`DataError::MissingFolder`], [`DataError::NoClassFolders`], [`DataError::EmptyClassFolder`] for whole
    /// folders; [`DataError::BadEntry`] with list and line for entries that are not relative paths of existing
    /// recordings or that occur twice, and [`DataError::EmptyList`]; [`DataError::Io`] where the operating system
    /// refuses.
    pub fn open(root: impl AsRef<Path>, selection: &Selection) -> Result<Self, DataError> {
        let root = root.as_ref();
        if !root.is_dir() {
            let expected = "a folder with Train and Test, or with class folders 0..9";
            return Err(DataError::MissingFolder { path: root.to_owned(), expected });
        }
        let mut samples = match selection {
            Selection::Whole => find_all(root)?,
            Selection::Part(part) => find_part(root, folder_of(*part))?,
            Selection::SplitFile(path) => check_entries(root, path, &read_split_file(path)?)?,
            Selection::Names(names) => check_entries(root, Path::new("list of samples"), &numbered(names))?,
        };
        samples.sort_unstable();
        Ok(Self { files: SampleFiles::new(root, samples) })
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

impl Dataset for NMnist {
    listed_in!(files);

    fn n_classes(&self) -> usize {
        N_CLASSES
    }

    fn sensor(&self) -> SensorSize {
        NMNIST_SENSOR
    }

    fn events(&self, i: usize) -> Result<EventStream, DataError> {
        nmnist_bin::read(&self.files.checked_path(i)?, NMNIST_SENSOR)
    }

    fn fill_frames(&self, i: usize, framer: &Framer, frames: &mut [u8]) -> Result<(), DataError> {
        nmnist_bin::read_frames(&self.files.checked_path(i)?, NMNIST_SENSOR, framer, frames)
    }
}

/// Folder of a part in the standard layout.
pub(crate) fn folder_of(part: Part) -> &'static str {
    match part {
        Part::Train => "Train",
        Part::Test => "Test",
    }
}

fn find_all(root: &Path) -> Result<Vec<Sample>, DataError> {
    let parts: Vec<&str> = [Part::Train, Part::Test].map(folder_of).into_iter().collect();
    let present: Vec<&str> = parts.into_iter().filter(|part| root.join(part).is_dir()).collect();
    if present.is_empty() {
        return find_classes(root, "");
    }
    let found: Vec<Vec<Sample>> =
        present.iter().map(|part| find_part(root, part)).collect::<Result<_, _>>()?;
    Ok(found.concat())
}

fn find_part(root: &Path, part: &str) -> Result<Vec<Sample>, DataError> {
    let path = root.join(part);
    if !path.is_dir() {
        return Err(DataError::MissingFolder {
            path,
            expected: "the recordings of this part, one folder a class",
        });
    }
    find_classes(&path, &format!("{part}/"))
}

/// The recordings of all class folders in `folder`; their names start with `prefix`.
fn find_classes(folder: &Path, prefix: &str) -> Result<Vec<Sample>, DataError> {
    let mut samples = Vec::new();
    let mut n_folders = 0;
    for (label, class) in (0..N_CLASSES).map(|label| (label, folder.join(label.to_string()))) {
        if class.is_dir() {
            n_folders += 1;
            samples.extend(find_recordings(&class, &format!("{prefix}{label}/"), label)?);
        }
    }
    if n_folders == 0 { Err(DataError::NoClassFolders { path: folder.to_owned() }) } else { Ok(samples) }
}

fn find_recordings(class: &Path, prefix: &str, label: usize) -> Result<Vec<Sample>, DataError> {
    let names = names_in(class)?.into_iter().filter(|name| name.ends_with(".bin"));
    let samples: Vec<Sample> = names.map(|name| (format!("{prefix}{name}"), label)).collect();
    if samples.is_empty() { Err(DataError::EmptyClassFolder { path: class.to_owned() }) } else { Ok(samples) }
}

fn numbered(names: &[String]) -> Vec<SplitEntry> {
    names.iter().zip(1..).map(|(name, line)| SplitEntry { name: name.clone(), line }).collect()
}

fn check_entries(root: &Path, list: &Path, entries: &[SplitEntry]) -> Result<Vec<Sample>, DataError> {
    if entries.is_empty() {
        return Err(DataError::EmptyList { list: list.to_owned() });
    }
    let mut seen = HashSet::new();
    let mut samples = Vec::with_capacity(entries.len());
    for SplitEntry { name, line } in entries {
        let unseen = |sample| if seen.insert(name) { Ok(sample) } else { Err(EntryProblem::Duplicate) };
        let bad_entry = |problem| {
            let (list, entry) = (list.to_owned(), name.clone());
            DataError::BadEntry { list, line: *line, entry, problem }
        };
        samples.push(check_entry(root, name).and_then(unseen).map_err(bad_entry)?);
    }
    Ok(samples)
}

fn check_entry(root: &Path, name: &str) -> Result<Sample, EntryProblem> {
    let path = Path::new(name);
    let normal = path.components().all(|part| matches!(part, Component::Normal(_)));
    if !normal || path.components().count() != name.split('/').count() {
        return Err(EntryProblem::NotRelative);
    }
    let class = path.parent().and_then(Path::file_name).and_then(|class| class.to_str());
    let label = (0..N_CLASSES).find(|label| class == Some(label.to_string().as_str()));
    let label = label.filter(|_| name.ends_with(".bin")).ok_or(EntryProblem::NotASample)?;
    if root.join(path).is_file() { Ok((name.to_owned(), label)) } else { Err(EntryProblem::Missing) }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    const EVENT: [u8; 5] = [1, 2, 0x80, 0, 9];

    fn folder(files: &[&str]) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, EVENT).unwrap();
        }
        folder
    }

    fn names(root: &TempDir, selection: &Selection) -> Vec<String> {
        let data = NMnist::open(root.path(), selection).unwrap();
        (0..data.len()).map(|i| data.sample_name(i).to_owned()).collect()
    }

    fn message(root: &Path, selection: &Selection) -> String {
        NMnist::open(root, selection).unwrap_err().to_string()
    }

    #[test]
    fn parts_are_found_and_sorted() {
        let root =
            folder(&["Train/5/00001.bin", "Train/0/00002.bin", "Test/7/00001.bin", "Train/0/._00002.bin"]);
        assert_eq!(names(&root, &Selection::Part(Part::Train)), ["Train/0/00002.bin", "Train/5/00001.bin"]);
        assert_eq!(names(&root, &Selection::Part(Part::Test)), ["Test/7/00001.bin"]);
        assert_eq!(names(&root, &Selection::Whole).len(), 3);
        let data = NMnist::open(root.path(), &Selection::Whole).unwrap();
        assert_eq!(data.labels(), [7, 0, 5]);
        assert_eq!(data.events(1).unwrap().t(), [9]);
    }

    #[test]
    fn class_folders_may_lie_directly_below() {
        let root = folder(&["3/00001.bin", "notes/readme.txt"]);
        assert_eq!(names(&root, &Selection::Whole), ["3/00001.bin"]);
    }

    #[test]
    fn bad_folders_are_named() {
        let root = folder(&["Train/0/readme.txt", "Test/x/1.bin"]);
        let path = |name: &str| root.path().join(name).display().to_string();
        let whole = message(&root.path().join("none"), &Selection::Whole);
        assert!(whole.starts_with(&format!("no folder {}: expected", path("none"))), "{whole}");
        let train = message(root.path(), &Selection::Part(Part::Train));
        assert_eq!(train, format!("class folder {} holds no .bin file", path("Train/0")));
        let test = message(root.path(), &Selection::Part(Part::Test));
        assert!(test.starts_with(&format!("{} holds no class folder", path("Test"))), "{test}");
    }

    #[test]
    fn split_files_are_checked_line_by_line() {
        let root = folder(&["Train/5/00001.bin", "Train/x/00001.bin"]);
        let split = root.path().join("split.txt");
        let problem = |text: &str| {
            fs::write(&split, text).unwrap();
            message(root.path(), &Selection::SplitFile(split.clone()))
                .replace(&split.display().to_string(), "split")
        };
        let missing = "split, line 2: \"Train/5/00009.bin\": no such file below the data folder";
        assert_eq!(problem("Train/5/00001.bin\nTrain/5/00009.bin\n"), missing);
        let twice = "split, line 3: \"Train/5/00001.bin\": listed twice";
        assert_eq!(problem("Train/5/00001.bin\n\nTrain/5/00001.bin\n"), twice);
        for name in ["../5/00001.bin", "/5/00001.bin", "Train//5/00001.bin", "./Train/5/00001.bin"] {
            assert!(problem(name).ends_with("expected a relative path below the data folder"), "{name}");
        }
        for name in ["Train/x/00001.bin", "Train/5/00001.txt", "00001.bin", "Train/5"] {
            assert!(problem(name).ends_with("expected a path ending in <class 0..9>/<name>.bin"), "{name}");
        }
        assert_eq!(problem("# nothing"), "split names no sample");
    }

    #[test]
    fn a_damaged_recording_is_named() {
        let root = folder(&["5/00001.bin"]);
        fs::write(root.path().join("5/00001.bin"), [1, 2, 3]).unwrap();
        let data = NMnist::open(root.path(), &Selection::Whole).unwrap();
        let message = data.events(0).unwrap_err().to_string();
        assert!(message.contains("00001.bin: truncated in event at byte offset 0"), "{message}");
        assert!(matches!(data.events(1), Err(DataError::BadIndex { index: 1, len: 1 })));
    }
}
