//! A plain folder of event files by class: `<class>/<file>`, in any format of [`any`].
//!
//! The names of the class folders, sorted byte by byte, become the labels 0, 1, ...; their files, sorted the same
//! way, the samples. Files of different formats may lie side by side.
//!
//! # What is a recording
//!
//! A file whose name or first bytes tell a format of events. Everything else is left out, and
//! [`EventFolder::remarks`] says what and why: hidden files (such as the `._` files of macOS), files of unknown
//! formats, files beside the class folders, folders within them. A class folder without recordings is an error,
//! since its label would have no samples.
//!
//! # References
//!
//! The layout is that of `ImageFolder` of torchvision and of most published data sets.

use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::files::{SampleFiles, listed_in};
use crate::dataset::Dataset;
use crate::error::DataError;
use crate::event::{EventStream, SensorSize};
use crate::format::any::{self, EventFormat, ReadOptions};
use crate::format::{nmnist_bin, read_file};
use crate::transform::Framer;

/// Bytes of a file that are looked at when its name does not tell its format.
const HEAD: u64 = 1 << 12;

/// Recordings by class folder. Files are read on demand.
///
/// # Examples
///
/// ```no_run
/// use snn_data::datasets::folder::EventFolder;
/// use snn_data::{Dataset, SensorSize};
///
/// let data = EventFolder::open("data/mine", Some(SensorSize::new(346, 260)))?;
/// data.remarks().iter().for_each(|remark| println!("{remark}"));
/// println!("{}: {}", data.sample_name(0), data.names()[data.label(0)]);
/// # Ok::<(), snn_data::DataError>(())
/// ```
#[derive(Debug, Clone)]
pub struct EventFolder {
    files: SampleFiles,
    classes: Vec<String>,
    sensor: SensorSize,
    remarks: Vec<Remark>,
}

/// Something about a folder that its users should know. Prints as a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remark {
    /// A file or folder that is no part of the data set.
    LeftOut {
        /// Where it lies.
        path: PathBuf,
        /// Why it was left out.
        reason: Reason,
    },
    /// The number of samples or classes is not that of the whole data set.
    Count {
        /// Which data set.
        data_set: &'static str,
        /// What was counted.
        of: &'static str,
        /// How many were found.
        found: usize,
        /// How many the whole data set has.
        expected: usize,
    },
}

/// Why a file or folder is no part of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// Its name begins with a dot.
    Hidden,
    /// Neither its name nor its first bytes tell a format of events.
    UnknownFormat,
    /// A file that lies beside the class folders.
    NotInAClass,
    /// A folder within a class folder.
    Nested,
    /// Its name is not UTF-8.
    BadName,
    /// A folder that is none of the data set's classes, or that was not asked for.
    NotAClass,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hidden => "a hidden file",
            Self::UnknownFormat => "neither its name nor its first bytes tell a format of events",
            Self::NotInAClass => "not in a class folder",
            Self::Nested => "a folder within a class folder",
            Self::BadName => "its name is not UTF-8",
            Self::NotAClass => "not a class that is read",
        })
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LeftOut { path, reason } => write!(f, "{} is left out: {reason}", path.display()),
            Self::Count { data_set, of, found, expected } => {
                write!(f, "{data_set}: {found} {of}, the whole data set has {expected}")
            }
        }
    }
}

/// Which folders are classes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Classes {
    /// All.
    All,
    /// All but this one.
    AllBut(&'static str),
    /// These, in the order of their labels; each must be there.
    These(&'static [&'static str]),
}

impl EventFolder {
    /// Finds the recordings in the class folders in `root`.
    ///
    /// `sensor` is the size of the sensor: events outside of it are then an error of [`Dataset::events`]. Without
    /// it all recordings are read once, in parallel, to find the smallest size that holds what each names or,
    /// where it names none, shows; otherwise none is.
    ///
    /// # Errors
    ///
    /// [`DataError::MissingFolder`], [`DataError::NoRecordings`] without class folders or for one without
    /// recordings, [`DataError::Io`] where the operating system refuses; without `sensor` also what reading a
    /// recording reports.
    pub fn open(root: impl AsRef<Path>, sensor: Option<SensorSize>) -> Result<Self, DataError> {
        Self::open_part(root.as_ref(), "", Classes::All, sensor)
    }

    /// Finds the recordings of `classes` in the folder `part` of `root`, from which their names begin.
    pub(super) fn open_part(
        root: &Path,
        part: &str,
        classes: Classes,
        sensor: Option<SensorSize>,
    ) -> Result<Self, DataError> {
        let folder = if part.is_empty() { root.to_owned() } else { root.join(part) };
        let mut remarks = Vec::new();
        let classes = find_classes(&folder, classes, &mut remarks)?;
        let mut samples = Vec::new();
        for (label, class) in classes.iter().enumerate() {
            let files = find_recordings(&folder.join(class), &mut remarks)?;
            let prefix = if part.is_empty() { class.clone() } else { format!("{part}/{class}") };
            samples.extend(files.into_iter().map(|file| (format!("{prefix}/{file}"), label)));
        }
        let files = SampleFiles::new(root, samples);
        let sensor = sensor.map_or_else(|| largest_sensor(&files), Ok)?;
        Ok(Self { files, classes, sensor, remarks })
    }

    /// Names of the classes, in the order of labels.
    pub fn names(&self) -> &[String] {
        &self.classes
    }

    /// What was left out, and why.
    pub fn remarks(&self) -> &[Remark] {
        &self.remarks
    }

    /// Adds a remark unless as many were found as the whole data set has.
    pub(super) fn compare(
        &mut self,
        data_set: &'static str,
        of: &'static str,
        found: usize,
        expected: usize,
    ) {
        if found != expected {
            self.remarks.push(Remark::Count { data_set, of, found, expected });
        }
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

impl Dataset for EventFolder {
    listed_in!(files);

    fn n_classes(&self) -> usize {
        self.classes.len()
    }

    fn sensor(&self) -> SensorSize {
        self.sensor
    }

    fn events(&self, i: usize) -> Result<EventStream, DataError> {
        let (path, sensor) = (self.files.checked_path(i)?, self.sensor);
        let options = ReadOptions { sensor: Some(sensor), ..ReadOptions::default() };
        within(any::read(&path, &options)?.1.events, sensor, path)
    }

    fn fill_frames(&self, i: usize, framer: &Framer, frames: &mut [u8]) -> Result<(), DataError> {
        let path = self.files.checked_path(i)?;
        if EventFormat::of_new_file(&path) == Some(EventFormat::Bin40) {
            let bytes = read_file(&path)?;
            if EventFormat::detect(&path, &bytes) == Some(EventFormat::Bin40) {
                let straight = nmnist_bin::decode_frames(&bytes, self.sensor, framer, frames);
                return straight.map_err(DataError::malformed(&path));
            }
        }
        framer.fill(&self.events(i)?, frames);
        Ok(())
    }
}

/// The events of the file at `path`, or an error if one is outside of the sensor.
pub(super) fn within(
    events: EventStream,
    sensor: SensorSize,
    path: PathBuf,
) -> Result<EventStream, DataError> {
    let outside = events.iter().enumerate().find(|(_, event)| !sensor.contains(event.x, event.y));
    match outside {
        None => Ok(events),
        Some((index, event)) => Err(DataError::OutsideSensor { path, index, x: event.x, y: event.y, sensor }),
    }
}

/// The smallest size that holds all recordings.
fn largest_sensor(files: &SampleFiles) -> Result<SensorSize, DataError> {
    let sizes: Vec<_> = (0..files.len()).into_par_iter().map(|i| size_of(&files.path(i))).collect();
    sizes.into_iter().try_fold(SensorSize::new(1, 1), |largest, size| {
        let size = size?;
        Ok(SensorSize::new(largest.width.max(size.width), largest.height.max(size.height)))
    })
}

/// The size that a recording names, or the smallest that holds its events.
fn size_of(path: &Path) -> Result<SensorSize, DataError> {
    let recording = any::read(path, &ReadOptions::default())?.1;
    let extent = |values: &[u16]| values.iter().max().map_or(0, |max| max.saturating_add(1));
    let seen = || SensorSize::new(extent(recording.events.x()), extent(recording.events.y()));
    Ok(recording.sensor.unwrap_or_else(seen))
}

/// The class folders in `folder`, sorted; with what else lies there as remarks.
fn find_classes(
    folder: &Path,
    classes: Classes,
    remarks: &mut Vec<Remark>,
) -> Result<Vec<String>, DataError> {
    if !folder.is_dir() {
        let expected = "a folder for each class, with its recordings";
        return Err(DataError::MissingFolder { path: folder.to_owned(), expected });
    }
    let mut found = list(folder, remarks, |path, name| match classes {
        _ if !path.is_dir() => Ok(Some(Reason::NotInAClass)),
        Classes::AllBut(other) if name == other => Ok(Some(Reason::NotAClass)),
        Classes::These(names) if !names.contains(&name) => Ok(Some(Reason::NotAClass)),
        _ => Ok(None),
    })?;
    if let Classes::These(names) = classes {
        if let Some(missing) = names.iter().find(|name| !found.iter().any(|found| found == *name)) {
            let expected = "the recordings of this class";
            return Err(DataError::MissingFolder { path: folder.join(missing), expected });
        }
        found = names.iter().map(|&name| name.to_owned()).collect();
    }
    let expected = "class folder with files of events";
    if found.is_empty() {
        Err(DataError::NoRecordings { path: folder.to_owned(), expected })
    } else {
        Ok(found)
    }
}

/// Names of the recordings in a class folder, sorted; with what else lies there as remarks.
fn find_recordings(class: &Path, remarks: &mut Vec<Remark>) -> Result<Vec<String>, DataError> {
    let found = list(class, remarks, |path, _| match path {
        _ if path.is_dir() => Ok(Some(Reason::Nested)),
        _ if is_recording(path)? => Ok(None),
        _ => Ok(Some(Reason::UnknownFormat)),
    })?;
    let expected = "file of events";
    if found.is_empty() {
        Err(DataError::NoRecordings { path: class.to_owned(), expected })
    } else {
        Ok(found)
    }
}

fn is_recording(path: &Path) -> Result<bool, DataError> {
    if EventFormat::of_new_file(path).is_some() {
        return Ok(true);
    }
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(HEAD).read_to_end(&mut head));
    read.map_err(DataError::io("read", path))?;
    Ok(EventFormat::detect(path, &head).is_some())
}

/// Names of the entries of `folder` to which `judge` has no objection, sorted; the others become remarks.
fn list(
    folder: &Path,
    remarks: &mut Vec<Remark>,
    judge: impl Fn(&Path, &str) -> Result<Option<Reason>, DataError>,
) -> Result<Vec<String>, DataError> {
    let entries = fs::read_dir(folder).map_err(DataError::io("list", folder))?;
    let names: Result<Vec<_>, _> = entries.map(|entry| entry.map(|entry| entry.file_name())).collect();
    let mut names = names.map_err(DataError::io("list", folder))?;
    names.sort_unstable();
    let mut kept = Vec::new();
    for name in names {
        let path = folder.join(&name);
        let reason = match name.to_str() {
            None => Some(Reason::BadName),
            Some(name) if name.starts_with('.') => Some(Reason::Hidden),
            Some(name) => judge(&path, name)?,
        };
        match (reason, name.into_string()) {
            (None, Ok(name)) => kept.push(name),
            (reason, _) => {
                remarks.push(Remark::LeftOut { path, reason: reason.unwrap_or(Reason::BadName) });
            }
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::event::Event;
    use crate::transform::ToFrames;

    fn events(x: u16, y: u16) -> EventStream {
        [Event { x: 0, y: 0, on: false, t: 3 }, Event { x, y, on: true, t: 7 }].into_iter().collect()
    }

    /// Two classes, three formats (one of a name that does not tell it), and what is no recording.
    fn folder() -> TempDir {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, format, events: &EventStream, sensor| {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            any::write(&path, format, events, sensor).unwrap();
        };
        write("b/1.bin", EventFormat::Bin40, &events(20, 7), None);
        write("b/2.dat", EventFormat::Dat, &events(8, 30), None);
        write("B/recording", EventFormat::Evt3, &events(1, 1), Some(SensorSize::new(10, 40)));
        fs::create_dir(root.path().join("b/more")).unwrap();
        for name in ["b/._1.bin", "b/notes.txt", "readme.md", ".hidden"] {
            fs::write(root.path().join(name), "some text").unwrap();
        }
        root
    }

    #[test]
    fn recordings_are_found_by_class_and_name() {
        let root = folder();
        let data = EventFolder::open(root.path(), None).unwrap();
        assert_eq!((data.names(), data.n_classes()), (&["B".to_owned(), "b".to_owned()][..], 2));
        let names: Vec<&str> = (0..data.len()).map(|i| data.sample_name(i)).collect();
        assert_eq!((names, data.labels()), (vec!["B/recording", "b/1.bin", "b/2.dat"], vec![0, 1, 1]));
        assert_eq!(data.sensor(), SensorSize::new(21, 40));
        for (i, expected) in [events(1, 1), events(20, 7), events(8, 30)].into_iter().enumerate() {
            assert_eq!(data.events(i).unwrap(), expected);
            let framer = ToFrames::time_bins(2).framer(data.sensor()).unwrap();
            let mut frames = vec![9; framer.n_values()];
            data.fill_frames(i, &framer, &mut frames).unwrap();
            assert!(framer.frames(&expected).iter().eq(&frames));
        }
        assert!(matches!(data.events(3), Err(DataError::BadIndex { index: 3, len: 3 })));
    }

    #[test]
    fn what_is_left_out_is_reported() {
        let root = folder();
        let data = EventFolder::open(root.path(), Some(SensorSize::new(34, 34))).unwrap();
        let path = |name: &str| root.path().join(name).display().to_string();
        let remarks: Vec<String> = data.remarks().iter().map(Remark::to_string).collect();
        let expected = [
            format!("{} is left out: a hidden file", path(".hidden")),
            format!("{} is left out: not in a class folder", path("readme.md")),
            format!("{} is left out: a hidden file", path("b/._1.bin")),
            format!("{} is left out: a folder within a class folder", path("b/more")),
            format!(
                "{} is left out: neither its name nor its first bytes tell a format of events",
                path("b/notes.txt")
            ),
        ];
        assert_eq!(remarks, expected);
    }

    #[test]
    fn events_outside_the_sensor_are_an_error() {
        let root = folder();
        let message = |width, height, i| {
            let data = EventFolder::open(root.path(), Some(SensorSize::new(width, height))).unwrap();
            assert_eq!(data.sensor(), SensorSize::new(width, height));
            data.events(i).unwrap_err().to_string()
        };
        let bin = message(20, 40, 1);
        assert!(bin.contains("1.bin: event at byte offset 5: (x, y) = (20, 7) lies outside"), "{bin}");
        let dat = message(40, 20, 2);
        assert!(dat.ends_with("2.dat: event 1: (x, y) = (8, 30) lies outside the 40x20 sensor"), "{dat}");
    }

    #[test]
    fn bad_folders_and_files_are_named() {
        let root = folder();
        let path = |name: &str| root.path().join(name);
        let message = |root: &Path| EventFolder::open(root, None).unwrap_err().to_string();
        assert!(
            message(&path("none")).ends_with("none: expected a folder for each class, with its recordings")
        );
        assert!(message(&path("b/more")).ends_with("more holds no class folder with files of events"));
        fs::create_dir(path("empty")).unwrap();
        assert!(message(root.path()).ends_with("empty holds no file of events"));
        fs::remove_dir(path("empty")).unwrap();
        fs::write(path("b/1.bin"), [1, 2, 3]).unwrap();
        assert!(message(root.path()).contains("1.bin: truncated in event at byte offset 0"));
    }
}
