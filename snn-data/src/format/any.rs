//! A file of events in any of the formats: which one it is, reading and writing.

use std::fs::File;
use std::io::Read;
use std::path::Path;

#[cfg(feature = "aedat4")]
use super::aedat4;
use super::decode::{self, Damage, Decode, Recording};
#[cfg(feature = "npy")]
use super::npy_events;
#[cfg(feature = "npy")]
use super::read_file;
use super::{aedat2, aedat31, dat, es, evt2, evt3, evt21, nmnist_bin, write_file};
use crate::error::{DataError, FormatError};
use crate::event::{EventStream, SensorSize};
use crate::num::index;

/// Bytes that are looked at to find the format.
const HEAD: u64 = 1 << 12;
/// The first bytes of an HDF5 file.
const HDF5: &[u8] = b"\x89HDF\r\n\x1a\n";

/// A format of event files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventFormat {
    /// 40-bit events; see [`nmnist_bin`].
    Bin40,
    /// Prophesee DAT; see [`dat`].
    Dat,
    /// Prophesee EVT 2.0; see [`evt2`].
    Evt2,
    /// Prophesee EVT 2.1; see [`evt21`].
    Evt21,
    /// Prophesee EVT 3.0; see [`evt3`].
    Evt3,
    /// Event Stream; see [`es`].
    Es,
    /// AEDAT 2.0; see [`aedat2`].
    Aedat2,
    /// AEDAT 3.1; see [`aedat31`].
    Aedat31,
    /// AEDAT 4; see [`aedat4`].
    #[cfg(feature = "aedat4")]
    Aedat4,
    /// NumPy's `.npy` and `.npz`, with the default options; see [`npy_events`].
    #[cfg(feature = "npy")]
    Npy,
}

/// Writes events of a sensor.
pub(super) type Encode = fn(&EventStream, Option<SensorSize>) -> Result<Vec<u8>, FormatError>;

/// What the module of a format says of it.
pub(super) struct Spec {
    /// Its short name.
    pub(super) name: &'static str,
    /// Endings of files, in lower case, that tell the format by themselves.
    pub(super) endings: &'static [&'static str],
    /// Endings of new files that are written in it.
    pub(super) endings_written: &'static [&'static str],
    /// Whether a file that begins like this is of the format.
    pub(super) begins: fn(&[u8]) -> bool,
    /// Its state machine, for a sensor that the file may not name.
    pub(super) decoder: fn(Option<SensorSize>) -> Box<dyn Decode>,
    /// Its writer, if it has one.
    pub(super) encode: Option<Encode>,
}

impl EventFormat {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::Bin40,
        Self::Dat,
        Self::Evt2,
        Self::Evt21,
        Self::Evt3,
        Self::Es,
        Self::Aedat2,
        Self::Aedat31,
        #[cfg(feature = "aedat4")]
        Self::Aedat4,
        #[cfg(feature = "npy")]
        Self::Npy,
    ];

    fn spec(self) -> &'static Spec {
        match self {
            Self::Bin40 => &nmnist_bin::SPEC,
            Self::Dat => &dat::SPEC,
            Self::Evt2 => &evt2::SPEC,
            Self::Evt21 => &evt21::SPEC,
            Self::Evt3 => &evt3::SPEC,
            Self::Es => &es::SPEC,
            Self::Aedat2 => &aedat2::SPEC,
            Self::Aedat31 => &aedat31::SPEC,
            #[cfg(feature = "aedat4")]
            Self::Aedat4 => &aedat4::SPEC,
            #[cfg(feature = "npy")]
            Self::Npy => &npy_events::SPEC,
        }
    }

    /// Its short name: "bin", "dat", "evt2", ...
    pub fn name(self) -> &'static str {
        self.spec().name
    }

    /// The format of a short name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::find(|spec| spec.name == name)
    }

    fn find(is_it: impl Fn(&Spec) -> bool) -> Option<Self> {
        Self::ALL.iter().copied().find(|format| is_it(format.spec()))
    }

    /// The format of a file by its first bytes, or else by its name.
    ///
    /// ```
    /// use snn_data::format::any::EventFormat;
    /// use std::path::Path;
    ///
    /// let by_content = EventFormat::detect(Path::new("clip.raw"), b"% evt 3.0\n% end\n");
    /// assert_eq!(by_content, Some(EventFormat::Evt3));
    /// assert_eq!(EventFormat::detect(Path::new("00001.bin"), &[3, 5, 0x80]), Some(EventFormat::Bin40));
    /// ```
    pub fn detect(path: &Path, head: &[u8]) -> Option<Self> {
        let head = &head[..head.len().min(index(HEAD))];
        let ending = ending_of(path);
        Self::find(|spec| (spec.begins)(head)).or_else(|| Self::find(|spec| spec.endings.contains(&&*ending)))
    }

    /// The format that a new file of this name is written in: `.bin`, `.bs2`, `.dat`, `.raw` for EVT 3.0, or
    /// `.aedat` for AEDAT 3.1.
    pub fn of_new_file(path: &Path) -> Option<Self> {
        let ending = ending_of(path);
        Self::find(|spec| spec.endings_written.contains(&&*ending))
    }

    /// Its state machine; `sensor` is for formats that do not name it, and tells cameras apart in AEDAT 2.0.
    /// Archives of NumPy are no streams: [`read`] reads them.
    pub fn decoder(self, sensor: Option<SensorSize>) -> Box<dyn Decode> {
        (self.spec().decoder)(sensor)
    }
}

fn ending_of(path: &Path) -> String {
    path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase()).unwrap_or_default()
}

/// How [`read`] reads.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReadOptions {
    /// The format; by default found by [`EventFormat::detect`].
    pub format: Option<EventFormat>,
    /// Sensor size for formats that do not name it; see [`EventFormat::decoder`].
    pub sensor: Option<SensorSize>,
    /// What to do with a damaged file.
    pub damage: Damage,
}

/// Reads a file of events, piece by piece but for archives of NumPy.
///
/// HDF5 files, which hold the many recordings of SHD and SSC, are none; `datasets::shd` reads them (feature
/// `hdf5`).
///
/// # Errors
///
/// [`DataError::Io`]; [`DataError::UnknownFormat`], [`DataError::ManyRecordings`] for HDF5;
/// [`DataError::Malformed`] with offset and field, unless [`Damage::Keep`] was asked for.
pub fn read(path: &Path, options: &ReadOptions) -> Result<(EventFormat, Recording), DataError> {
    let (mut file, mut head) = (File::open(path).map_err(DataError::io("read", path))?, Vec::new());
    file.by_ref().take(HEAD).read_to_end(&mut head).map_err(DataError::io("read", path))?;
    let format = options.format.or_else(|| EventFormat::detect(path, &head));
    let format = format.ok_or_else(|| unknown(path, &head))?;
    #[cfg(feature = "npy")]
    if format == EventFormat::Npy && npy_events::is_archive(&head) {
        let decoded = npy_events::decode(&read_file(path)?, &npy_events::NpyOptions::default());
        return Ok((format, decoded.map_err(DataError::malformed(path))?));
    }
    let recording = decode::read(head.chain(file), format.decoder(options.sensor), options.damage);
    let recording = recording.map_err(|error| match error {
        DataError::Read(cause) => DataError::io("read", path)(cause),
        DataError::Stream(problem) => DataError::malformed(path)(problem),
        other => other,
    })?;
    Ok((format, recording))
}

/// Why a file that begins with `head` is not read.
fn unknown(path: &Path, head: &[u8]) -> DataError {
    let path = path.to_owned();
    if head.starts_with(HDF5) {
        DataError::ManyRecordings { path }
    } else {
        DataError::UnknownFormat { path }
    }
}

/// The bytes of a file of events; without a sensor, formats that name one get the smallest that holds all events.
///
/// # Errors
///
/// [`FormatError::Unwritable`] for events that do not fit, [`FormatError::ReadOnly`] for formats without a writer,
/// [`FormatError::NoCamera`] for AEDAT 2.0 without a sensor of one of its cameras.
pub fn encode(
    format: EventFormat,
    events: &EventStream,
    sensor: Option<SensorSize>,
) -> Result<Vec<u8>, FormatError> {
    let encode = format.spec().encode.ok_or(FormatError::ReadOnly { format: format.name() })?;
    encode(events, sensor)
}

/// Writes a file of events, through a temporary file beside it.
///
/// # Errors
///
/// [`DataError::Io`], or [`DataError::Malformed`] with what [`encode`] reports.
pub fn write(
    path: &Path,
    format: EventFormat,
    events: &EventStream,
    sensor: Option<SensorSize>,
) -> Result<(), DataError> {
    write_file(path, &encode(format, events, sensor).map_err(DataError::malformed(path))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;

    fn events() -> EventStream {
        (0..50).map(|k| Event { x: 3 * k, y: 2 * k, on: k % 3 == 0, t: 37 * u32::from(k) }).collect()
    }

    #[test]
    fn what_one_format_writes_it_reads_and_is_found_to_be() {
        let folder = tempfile::tempdir().unwrap();
        let sensor = Some(SensorSize::new(240, 180));
        for &format in EventFormat::ALL {
            assert_eq!(EventFormat::from_name(format.name()), Some(format));
            let extension = if format.name().starts_with("evt") { "raw" } else { format.name() };
            let path = folder.path().join(format!("{}.{extension}", format.name()));
            match write(&path, format, &events(), sensor) {
                Err(error) => assert!(error.to_string().contains("can be read but not written"), "{error}"),
                Ok(()) => {
                    let (found, recording) = read(&path, &ReadOptions::default()).unwrap();
                    assert_eq!((found, recording.events), (format, events()), "{}", format.name());
                }
            }
        }
    }

    #[test]
    fn a_file_of_no_known_format_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.txt");
        std::fs::write(&path, "% nothing").unwrap();
        let message = read(&path, &ReadOptions::default()).unwrap_err().to_string();
        assert!(
            message.contains("notes.txt: neither its first bytes nor its name tell a format"),
            "{message}"
        );
    }

    #[test]
    fn a_file_of_many_recordings_is_sent_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shd_train.h5");
        std::fs::write(&path, [HDF5, &[0; 40]].concat()).unwrap();
        let message = read(&path, &ReadOptions::default()).unwrap_err().to_string();
        assert!(message.ends_with("open the folder it lies in as data set shd or ssc"), "{message}");
    }

    #[test]
    fn damage_is_an_error_or_kept_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        std::fs::write(&path, [1, 2, 0, 0, 9, 4]).unwrap();
        assert!(read(&path, &ReadOptions::default()).is_err());
        let keep = ReadOptions { damage: Damage::Keep, ..ReadOptions::default() };
        let (_, recording) = read(&path, &keep).unwrap();
        assert_eq!(recording.events.len(), 1);
        assert_eq!(recording.damage.unwrap().offset(), Some(5));
    }
}
