//! What can go wrong, and where.
//!
//! Messages are complete by themselves (file, offset, field, what was expected), so a caller prints them with
//! `{}` and needs no chain of sources.

use std::io;
use std::ops::RangeBounds;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::event::SensorSize;

/// Bytes or values that do not follow a file format. Knows no path: see [`DataError::Malformed`].
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The file has no bytes at all.
    #[error("the file is empty, expected at least {expected} bytes")]
    Empty {
        /// Length of the smallest valid file.
        expected: usize,
    },
    /// An event lies outside the sensor.
    #[error(
        "event at byte offset {offset}: (x, y) = ({x}, {y}) lies outside the {sensor} sensor, not such a recording"
    )]
    OutsideSensor {
        /// Byte offset of the event.
        offset: usize,
        /// Column found.
        x: u16,
        /// Row found.
        y: u16,
        /// Sensor the file should come from.
        sensor: SensorSize,
    },
    /// A time beyond 2^32 us (71 minutes) from the start.
    #[error("event at byte offset {offset}: its time is beyond 2^32 us")]
    TimeOverflow {
        /// Byte offset of the event.
        offset: usize,
    },
    /// An event cannot be written in the format.
    #[error("event {index}: {field} = {value} cannot be written in this format, expected {expected}")]
    Unwritable {
        /// Index of the event in its stream.
        index: usize,
        /// Field that does not fit.
        field: &'static str,
        /// Value of the field.
        value: u32,
        /// Values that fit.
        expected: &'static str,
    },
    /// AEDAT 2.0 is written for a certain camera.
    #[error(
        "AEDAT 2.0 needs the sensor of a camera, 128x128, 240x180 or 346x260, got {}",
        sensor.map_or("none".to_owned(), |sensor| sensor.to_string())
    )]
    NoCamera {
        /// The sensor given.
        sensor: Option<SensorSize>,
    },
    /// The format can be read only.
    #[error("{format} files can be read but not written")]
    ReadOnly {
        /// Name of the format.
        format: &'static str,
    },
    /// A file ends before its header or the data that its header announces.
    #[error("truncated in {field} at byte offset {offset}: expected {expected} bytes, found {found}")]
    Truncated {
        /// Part of the file that is incomplete.
        field: &'static str,
        /// Byte offset at which this part starts.
        offset: usize,
        /// Bytes that this part should have.
        expected: u64,
        /// Bytes that it has.
        found: usize,
    },
    /// A file goes on after the data that its header announces.
    #[error("trailing bytes at offset {offset}: the header announces a shorter file")]
    TrailingBytes {
        /// Byte offset of the first byte too many.
        offset: usize,
    },
    /// A word has a value that the format does not know.
    #[error("{field} at byte offset {offset} is {found:#x}, expected {expected}")]
    BadWord {
        /// What the word stands for.
        field: &'static str,
        /// Byte offset of the word.
        offset: usize,
        /// Its value.
        found: u64,
        /// Values that the format knows.
        expected: &'static str,
    },
    /// The file does not begin as its format does, or a line of its header cannot be used.
    #[error("header line at byte offset {offset}: \"{found}\", expected {expected}")]
    BadHeaderLine {
        /// Byte offset of the line.
        offset: usize,
        /// The line, shortened.
        found: String,
        /// Lines that can be used.
        expected: &'static str,
    },
    /// A header or packet is longer than any sensible one.
    #[error("header or packet at byte offset {offset} is longer than {limit} bytes")]
    TooLong {
        /// Where it begins.
        offset: usize,
        /// Most bytes that are accepted.
        limit: usize,
    },
    /// A packet that cannot be unpacked, or is not what it should be.
    #[error("packet at byte offset {offset}: {problem}")]
    BadPacket {
        /// Byte offset of the packet.
        offset: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// The first four bytes are not those of the expected kind of IDX file.
    #[error("IDX magic number at byte offset 0: expected {expected:#010x} ({kind}), found {found:#010x}")]
    BadMagic {
        /// Kind of file that was expected.
        kind: &'static str,
        /// Magic number of that kind.
        expected: u32,
        /// Magic number found.
        found: u32,
    },
    /// A header field has a value that cannot be used.
    #[error("header field {field} at byte offset {offset} is {found}, expected {expected}")]
    BadHeader {
        /// Name of the field.
        field: &'static str,
        /// Byte offset of the field.
        offset: usize,
        /// Value found.
        found: u64,
        /// Values that can be used.
        expected: &'static str,
    },
    /// A container of arrays that cannot be opened or unpacked.
    #[error("not a readable {format} file: {cause}")]
    BadContainer {
        /// Format of the container.
        format: &'static str,
        /// What its reader reports.
        cause: io::Error,
    },
    /// A file lacks one of its arrays.
    #[error("no array {array}, expected {expected}")]
    MissingArray {
        /// Name of the array.
        array: &'static str,
        /// Arrays that the file should hold.
        expected: &'static str,
    },
    /// Arrays that belong together differ in length.
    #[error("array {array} has {found} entries, expected {expected}")]
    ArrayLength {
        /// Name of the array.
        array: String,
        /// Entries found.
        found: usize,
        /// Entries of the array that it belongs to.
        expected: usize,
    },
    /// An array within a file cannot be used.
    #[error("in array {array}: {problem}")]
    InArray {
        /// Name of the array.
        array: String,
        /// What is wrong; offsets count from the beginning of the array.
        problem: Box<Self>,
    },
    /// The header announces more data than a compressed file of this size may sensibly hold.
    #[error(
        "the header announces {announced} bytes from {compressed} compressed ones, more than a factor of {limit}"
    )]
    SuspiciousGzip {
        /// Bytes announced by the header.
        announced: u64,
        /// Length of the compressed file.
        compressed: usize,
        /// Largest ratio accepted.
        limit: u64,
    },
    /// The compressed data is damaged.
    #[error("gzip data is damaged after {decoded} decoded bytes: {cause}")]
    BadGzip {
        /// Bytes that could be decoded.
        decoded: usize,
        /// What the decoder reports.
        cause: io::Error,
    },
    /// A label is not a class number.
    #[error("label {index} at byte offset {offset} is {found}, expected a class below {n_classes}")]
    BadLabel {
        /// Index of the label.
        index: usize,
        /// Byte offset in the uncompressed file.
        offset: usize,
        /// Value found.
        found: u8,
        /// Number of classes.
        n_classes: usize,
    },
}

impl FormatError {
    /// Byte offset of the problem, where it has one.
    pub fn offset(&self) -> Option<usize> {
        match *self {
            Self::Empty { .. } | Self::BadMagic { .. } => Some(0),
            Self::OutsideSensor { offset, .. }
            | Self::TimeOverflow { offset }
            | Self::Truncated { offset, .. }
            | Self::TrailingBytes { offset }
            | Self::BadWord { offset, .. }
            | Self::BadHeaderLine { offset, .. }
            | Self::TooLong { offset, .. }
            | Self::BadPacket { offset, .. }
            | Self::BadHeader { offset, .. }
            | Self::BadLabel { offset, .. } => Some(offset),
            Self::Unwritable { .. }
            | Self::NoCamera { .. }
            | Self::ReadOnly { .. }
            | Self::BadContainer { .. }
            | Self::MissingArray { .. }
            | Self::ArrayLength { .. }
            | Self::InArray { .. }
            | Self::SuspiciousGzip { .. }
            | Self::BadGzip { .. } => None,
        }
    }
}

/// Why a line of a split file (or a name of an explicit list) cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EntryProblem {
    /// Absolute, or with `..`, or with an empty part.
    #[error("expected a relative path below the data folder")]
    NotRelative,
    /// Not `<class>/<name>.bin` at the end.
    #[error("expected a path ending in <class 0..9>/<name>.bin")]
    NotASample,
    /// Not the name of a recording.
    #[error("expected the name of an .aedat file")]
    NotATrial,
    /// Not a line of a label file of DVS128 Gesture.
    #[error(
        "expected class,startTime_usec,endTime_usec, a class of 1..11 and an end up to 2^32 us after the start"
    )]
    NotAGesture,
    /// No such file.
    #[error("no such file below the data folder")]
    Missing,
    /// Listed twice.
    #[error("listed twice")]
    Duplicate,
}

/// Everything that the functions of this crate report.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DataError {
    /// The operating system refused.
    #[error("cannot {action} {}: {cause}", path.display())]
    Io {
        /// What was tried: "read", "write", ...
        action: &'static str,
        /// File or folder.
        path: PathBuf,
        /// What the operating system reports.
        cause: io::Error,
    },
    /// A stream of bytes could not be read.
    #[error("cannot read: {0}")]
    Read(io::Error),
    /// A stream of bytes does not follow its format.
    #[error(transparent)]
    Stream(FormatError),
    /// A file does not follow its format.
    #[error("{}: {problem}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where in the file.
        problem: FormatError,
    },
    /// A file of events whose format is not known.
    #[error("{}: neither its first bytes nor its name tell a format of events", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
    /// A file with the recordings of a whole data set, where one recording was asked for.
    #[error("{}: an HDF5 file holds many recordings: open the folder it lies in as data set shd or ssc", path.display())]
    ManyRecordings {
        /// The file.
        path: PathBuf,
    },
    /// A folder that should be there is not.
    #[error("no folder {}: expected {expected}", path.display())]
    MissingFolder {
        /// The folder.
        path: PathBuf,
        /// What should lie there.
        expected: &'static str,
    },
    /// None of the files that were looked for exists.
    #[error("no file {} (with or without .gz) in {}", names.join(" or "), folder.display())]
    MissingFile {
        /// Folder that was searched.
        folder: PathBuf,
        /// Names tried.
        names: Vec<&'static str>,
    },
    /// A folder holds no class folders.
    #[error("{} holds no class folder, expected 0, 1, .. 9 with one .bin file a sample", path.display())]
    NoClassFolders {
        /// The folder.
        path: PathBuf,
    },
    /// A class folder holds no recordings.
    #[error("class folder {} holds no .bin file", path.display())]
    EmptyClassFolder {
        /// The folder.
        path: PathBuf,
    },
    /// A folder holds none of the files that should lie there.
    #[error("{} holds no {expected}", path.display())]
    NoRecordings {
        /// The folder.
        path: PathBuf,
        /// What should lie there.
        expected: &'static str,
    },
    /// A part was asked for of a data set that its publishers do not divide.
    #[error("the data set {data_set} has no division into training and test")]
    NoParts {
        /// Name of the data set.
        data_set: &'static str,
    },
    /// An event lies outside the sensor of a data set.
    #[error("{}: event {index}: (x, y) = ({x}, {y}) lies outside the {sensor} sensor", path.display())]
    OutsideSensor {
        /// The file.
        path: PathBuf,
        /// Index of the event.
        index: usize,
        /// Column found.
        x: u16,
        /// Row found.
        y: u16,
        /// Sensor of the data set.
        sensor: SensorSize,
    },
    /// A list of samples has no entries.
    #[error("{} names no sample", list.display())]
    EmptyList {
        /// Split file, or the word for an explicit list.
        list: PathBuf,
    },
    /// An entry of a list of samples cannot be used.
    #[error("{}, line {line}: \"{entry}\": {problem}", list.display())]
    BadEntry {
        /// Split file, or the word for an explicit list.
        list: PathBuf,
        /// 1-based line (or position in an explicit list).
        line: usize,
        /// The entry.
        entry: String,
        /// Why it cannot be used.
        problem: EntryProblem,
    },
    /// Images and labels do not belong together.
    #[error("{} holds {n_images} images but {} holds {n_labels} labels", images.display(), labels.display())]
    CountMismatch {
        /// Image file.
        images: PathBuf,
        /// Label file.
        labels: PathBuf,
        /// Images found.
        n_images: usize,
        /// Labels found.
        n_labels: usize,
    },
    /// Columns of an event stream differ in length.
    #[error("event columns differ in length: x {x}, y {y}, on {on}, t {t}")]
    ColumnLengths {
        /// Length of `x`.
        x: usize,
        /// Length of `y`.
        y: usize,
        /// Length of `on`.
        on: usize,
        /// Length of `t`.
        t: usize,
    },
    /// A setting is out of its range.
    #[error("{setting} is {value}, expected {expected}")]
    BadSetting {
        /// Name of the setting.
        setting: &'static str,
        /// Value given.
        value: f64,
        /// Values that can be used.
        expected: &'static str,
    },
    /// A sample index beyond the end of a data set.
    #[error("sample index {index} is out of range, the data set has {len} samples")]
    BadIndex {
        /// Index given.
        index: usize,
        /// Number of samples.
        len: usize,
    },
    /// A class is too small to be split as asked.
    #[error("class {class} has {found} samples, expected at least {expected} to split it")]
    ClassTooSmall {
        /// The class.
        class: usize,
        /// Samples it has.
        found: usize,
        /// Samples it needs.
        expected: usize,
    },
    /// A cache that cannot be used.
    #[error(
        "{} was made from other recordings, or is damaged: remove it to have it made anew", path.display()
    )]
    StaleCache {
        /// The cache.
        path: PathBuf,
    },
    /// Something would be overwritten.
    #[error("{} exists already and is not overwritten", path.display())]
    AlreadyExists {
        /// File or folder.
        path: PathBuf,
    },
}

impl DataError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self::Io { action, path: path.to_owned(), cause }
    }

    pub(crate) fn malformed(path: &Path) -> impl FnOnce(FormatError) -> Self {
        move |problem| Self::Malformed { path: path.to_owned(), problem }
    }

    /// Refuses a setting whose value lies outside `range`; NaN lies outside of any.
    pub(crate) fn require(
        setting: &'static str,
        value: f64,
        range: impl RangeBounds<f64>,
        expected: &'static str,
    ) -> Result<(), Self> {
        if range.contains(&value) { Ok(()) } else { Err(Self::BadSetting { setting, value, expected }) }
    }
}
