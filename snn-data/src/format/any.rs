//! A file of events in any of the formats: which one it is, reading and writing.

use std::path::Path;

use super::decode::{Damage, Decode, Recording, decode};
use super::{aedat2, aedat31, dat, es, evt2, evt3, evt21, nmnist_bin, read_file, write_file};
use crate::error::{DataError, FormatError};
use crate::event::{EventStream, SensorSize};

/// Bytes that are looked at to find the format.
const HEAD: usize = 1 << 12;
/// Pixels that the 40-bit layout can name.
const BIN40_PIXELS: SensorSize = SensorSize::new(256, 240);

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
}

impl EventFormat {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::Bin40, Self::Dat, Self::Evt2, Self::Evt21, Self::Evt3, Self::Es, Self::Aedat2, Self::Aedat31];

    /// Its short name: "bin", "dat", "evt2", ...
    pub fn name(self) -> &'static str {
        match self {
            Self::Bin40 => "bin",
            Self::Dat => "dat",
            Self::Evt2 => "evt2",
            Self::Evt21 => "evt21",
            Self::Evt3 => "evt3",
            Self::Es => "es",
            Self::Aedat2 => "aedat2",
            Self::Aedat31 => "aedat31",
        }
    }

    /// The format of a short name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
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
        let head = &head[..head.len().min(HEAD)];
        Self::by_content(head).or_else(|| Self::by_name(path))
    }

    fn by_content(head: &[u8]) -> Option<Self> {
        let magics: [(&[u8], Self); 3] =
            [(es::MAGIC, Self::Es), (b"#!AER-DAT2.", Self::Aedat2), (b"#!AER-DAT3.", Self::Aedat31)];
        if let Some((_, format)) = magics.into_iter().find(|(magic, _)| head.starts_with(magic)) {
            return Some(format);
        }
        let names = [
            ("% evt 2.0", Self::Evt2),
            ("% evt 2.1", Self::Evt21),
            ("% evt 3.0", Self::Evt3),
            ("% format EVT21;", Self::Evt21),
            ("% format EVT2;", Self::Evt2),
            ("% format EVT3;", Self::Evt3),
        ];
        let is_in_head = |name: &str| head.windows(name.len()).any(|bytes| bytes == name.as_bytes());
        names
            .into_iter()
            .filter(|_| head.starts_with(b"%"))
            .find(|(name, _)| is_in_head(name))
            .map(|(_, format)| format)
    }

    fn by_name(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "bin" | "bs2" => Some(Self::Bin40),
            "dat" => Some(Self::Dat),
            "es" => Some(Self::Es),
            _ => None,
        }
    }

    /// The format that a new file of this name is written in: `.bin`, `.bs2`, `.dat`, `.raw` for EVT 3.0, or
    /// `.aedat` for AEDAT 3.1.
    pub fn of_new_file(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "raw" => Some(Self::Evt3),
            "aedat" => Some(Self::Aedat31),
            _ => Self::by_name(path),
        }
    }

    /// Its state machine; `sensor` is for formats that do not name it, and tells cameras apart in AEDAT 2.0.
    pub fn decoder(self, sensor: Option<SensorSize>) -> Box<dyn Decode> {
        match self {
            Self::Bin40 => Box::new(nmnist_bin::Bin40::new(sensor.unwrap_or(BIN40_PIXELS))),
            Self::Dat => Box::new(dat::Dat::new()),
            Self::Evt2 => Box::new(evt2::Evt2::new()),
            Self::Evt21 => Box::new(evt21::Evt21::new()),
            Self::Evt3 => Box::new(evt3::Evt3::new()),
            Self::Es => Box::new(es::Es::new()),
            Self::Aedat2 => Box::new(match sensor.and_then(aedat2::Camera::of_sensor) {
                Some(camera) => aedat2::Aedat2::new(camera, aedat2::Convention::default()),
                None => aedat2::Aedat2::auto(aedat2::Convention::default()),
            }),
            Self::Aedat31 => Box::new(aedat31::Aedat31::new()),
        }
    }
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

/// Reads a file of events.
///
/// # Errors
///
/// [`DataError::Io`]; [`DataError::UnknownFormat`]; [`DataError::Malformed`] with offset and field, unless
/// [`Damage::Keep`] was asked for.
pub fn read(path: &Path, options: &ReadOptions) -> Result<(EventFormat, Recording), DataError> {
    let bytes = read_file(path)?;
    let format = options.format.or_else(|| EventFormat::detect(path, &bytes));
    let format = format.ok_or_else(|| DataError::UnknownFormat { path: path.to_owned() })?;
    let recording = decode(format.decoder(options.sensor), &bytes, options.damage);
    Ok((format, recording.map_err(DataError::malformed(path))?))
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
    match format {
        EventFormat::Bin40 => nmnist_bin::encode(events),
        EventFormat::Dat => dat::encode(events, sensor),
        EventFormat::Evt2 => evt2::encode(events, sensor),
        EventFormat::Evt3 => evt3::encode(events, sensor),
        EventFormat::Aedat2 => aedat2::encode(events, camera_of(sensor)?, aedat2::Convention::default()),
        EventFormat::Aedat31 => aedat31::encode(events, sensor.unwrap_or_else(|| bounds(events))),
        EventFormat::Evt21 | EventFormat::Es => Err(FormatError::ReadOnly { format: format.name() }),
    }
}

fn camera_of(sensor: Option<SensorSize>) -> Result<aedat2::Camera, FormatError> {
    sensor.and_then(aedat2::Camera::of_sensor).ok_or(FormatError::NoCamera { sensor })
}

fn bounds(events: &EventStream) -> SensorSize {
    let side = |v: &[u16]| v.iter().max().map_or(1, |&max| max.saturating_add(1));
    SensorSize::new(side(events.x()), side(events.y()))
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
        for format in EventFormat::ALL {
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
