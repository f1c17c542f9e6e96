//! AEDAT 2.0 (`.aedat`), the files of jAER: DVS128 (CIFAR10-DVS, MNIST-DVS) and DAVIS recordings.
//!
//! Header lines that begin with `#`, the first of them `#!AER-DAT2.0`, then events of 8 bytes: address and
//! time in us, both 32 bits, big-endian. What the bits of an address mean depends on the camera, which the
//! format does not name; jAER writes it as a comment, `# AEChip:`.
//!
//! | camera | column | row | polarity | no events |
//! |---|---|---|---|---|
//! | DVS128 | bits 1..7 | bits 8..14 | bit 0, **0 is ON** | bit 15 or 31: synchronization, special |
//! | DAVIS | bits 12..21 | bits 22..30 | bit 11, 1 is ON | bit 31: image, inertial; bit 10: external input |
//!
//! Words that are no events are skipped and counted.
//!
//! # Conventions
//!
//! jAER counts columns from the other side than the address does and rows from the bottom. Tools disagree about
//! what to make of that, so the caller chooses a [`Convention`]; the default is jAER's picture with the origin
//! turned to the top left.
//!
//! # Traps
//!
//! - The polarity of DVS128 is inverted. iniVation's description of the format says that 1 is ON; jAER's
//!   code, which wrote the files, takes 0 for ON, and this module follows it.
//! - The first byte of an event may be `#` (row 140 or 141 of a DAVIS), and nothing marks the end of the
//!   header but a line `#End Of ASCII Header` in newer files. A line is part of the header only if it has no
//!   control characters and ends as the first line does, in `\r\n` or `\n`. Events cannot be mistaken for
//!   that, because the lowest byte of their address is 0; the one exception is a file with `\n` whose first
//!   event has the bytes `#\n`.
//! - A DVS128 address with one of the bits 16..30, and a DAVIS event with one of the bits 0..9, is an error:
//!   a file of another camera, or of a tool that wrote something else.
//! - Times have 32 bits and run from the camera's start. Some tools write them as signed numbers; they are
//!   read as unsigned ones, so that the clock goes on through 2^31 us. Where it wraps (71 minutes) the file
//!   is an error, [`FormatError::TimeOverflow`]: a wrap is a step back by more than 2^31 us, smaller ones are
//!   kept as they are.
//!
//! # References
//!
//! iniVation, "AEDAT 2.0",
//! <https://docs.inivation.com/software/software-advanced-usage/file-formats/aedat-2.0.html>; the extractors
//! of jAER's chip classes `DVS128` and `DavisBaseCamera`, <https://github.com/SensorsINI/jaer>.

use super::aedat_header::{Line, bad_line, cut_header, version_line};
use super::any::Spec;
use super::decode::{self, Damage, Decode, Recording, for_each_word, nothing_left};
use crate::error::FormatError;
use crate::event::{Event, EventStream, SensorSize};

/// Bytes of one event.
pub const EVENT_BYTES: usize = 8;
const VERSION: &[u8] = b"#!AER-DAT2.0";
const CHIP: &[u8] = b"# AEChip:";
const END_OF_HEADER: &[u8] = b"End Of ASCII Header";
/// A step back by more than this is a wrap of the clock, in us.
const WRAP_US: u32 = 1 << 31;

/// The camera, which decides what the bits of an address mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Camera {
    /// DVS128: 128x128.
    Dvs128,
    /// DAVIS240 A, B and C: 240x180.
    Davis240,
    /// DAVIS346: 346x260.
    Davis346,
}

impl Camera {
    /// Size of its sensor.
    pub const fn sensor(self) -> SensorSize {
        match self {
            Self::Dvs128 => SensorSize::new(128, 128),
            Self::Davis240 => SensorSize::new(240, 180),
            Self::Davis346 => SensorSize::new(346, 260),
        }
    }

    /// The camera with a sensor of this size.
    pub fn of_sensor(sensor: SensorSize) -> Option<Self> {
        [Self::Dvs128, Self::Davis240, Self::Davis346].into_iter().find(|camera| camera.sensor() == sensor)
    }

    /// The camera of one of jAER's classes, such as `eu.seebetter.ini.chips.davis.DAVIS240C`.
    fn of_class(class: &[u8]) -> Option<Self> {
        let name = class.rsplit(|&byte| byte == b'.').next()?.trim_ascii().to_ascii_lowercase();
        match name.as_slice() {
            b"dvs128" => Some(Self::Dvs128),
            name if name.starts_with(b"davis240") => Some(Self::Davis240),
            name if name.starts_with(b"davis346") => Some(Self::Davis346),
            _ => None,
        }
    }

    fn class(self) -> &'static str {
        match self {
            Self::Dvs128 => "ch.unizh.ini.jaer.chip.retina.DVS128",
            Self::Davis240 => "eu.seebetter.ini.chips.davis.DAVIS240C",
            Self::Davis346 => "eu.seebetter.ini.chips.davis.Davis346B",
        }
    }
}

/// Where the origin lies, and which polarity is ON: what tools make of column `c`, row `r` and polarity bit
/// `p` of an address, on a sensor of `W`x`H` pixels.
///
/// | | DVS128 x, y, on | DAVIS x, y, on |
/// |---|---|---|
/// | `TopLeft` | `127 - c`, `127 - r`, `!p` | `W - 1 - c`, `H - 1 - r`, `p` |
/// | `Jaer` | `127 - c`, `r`, `!p` | `W - 1 - c`, `r`, `p` |
/// | `Tonic` | `r`, `c`, `p` | as `Jaer` |
/// | `SpikingJelly` | `127 - r`, `127 - c`, `!p` | as `Jaer` (it reads none) |
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Convention {
    /// What jAER shows, with rows counted from the top.
    #[default]
    TopLeft,
    /// jAER's numbers: rows are counted from the bottom.
    Jaer,
    /// Those of Tonic's `read_dvs_128` and `read_davis_346`.
    Tonic,
    /// Those of SpikingJelly's CIFAR10-DVS.
    SpikingJelly,
}

impl Convention {
    /// From column and row of an address to x and y, and back: it is its own inverse.
    fn turn(self, camera: Camera, column: u16, row: u16) -> (u16, u16) {
        let SensorSize { width, height } = camera.sensor();
        let (mirrored, upended) =
            (width.saturating_sub(1).saturating_sub(column), height.saturating_sub(1).saturating_sub(row));
        match (self, camera) {
            (Self::TopLeft, _) => (mirrored, upended),
            (Self::Tonic, Camera::Dvs128) => (row, column),
            (Self::SpikingJelly, Camera::Dvs128) => (upended, mirrored),
            (Self::Jaer | Self::Tonic | Self::SpikingJelly, _) => (mirrored, row),
        }
    }

    /// From the polarity bit to ON, and back.
    fn polarity(self, camera: Camera, bit: bool) -> bool {
        bit != (camera == Camera::Dvs128 && self != Self::Tonic)
    }
}

pub(super) const SPEC: Spec = Spec {
    name: "aedat2",
    endings: &[],
    endings_written: &[],
    begins: |head| head.starts_with(b"#!AER-DAT2."),
    decoder: |sensor| {
        Box::new(match sensor.and_then(Camera::of_sensor) {
            Some(camera) => Aedat2::new(camera, Convention::default()),
            None => Aedat2::auto(Convention::default()),
        })
    },
    encode: Some(|events, sensor| {
        let camera = sensor.and_then(Camera::of_sensor).ok_or(FormatError::NoCamera { sensor })?;
        encode(events, camera, Convention::default())
    }),
};

/// Decodes the bytes of a recording. Without a `camera`, the header must name one.
///
/// # Errors
///
/// [`FormatError::Empty`], [`FormatError::BadHeaderLine`] and [`FormatError::TooLong`] for the header;
/// [`FormatError::Truncated`], [`FormatError::OutsideSensor`], [`FormatError::BadWord`] and
/// [`FormatError::TimeOverflow`] for the events.
///
/// # Examples
///
/// ```
/// use snn_data::format::aedat2::{Camera, Convention, decode};
///
/// // Bit 0 is clear: ON; column 5 from the right, row 3 from the bottom; 1000 us.
/// let mut file = b"#!AER-DAT2.0\r\n# a comment\r\n".to_vec();
/// file.extend([0, 0, 3, 5 << 1, 0, 0, 0x03, 0xE8]);
/// let recording = decode(&file, Some(Camera::Dvs128), Convention::default())?;
/// let event = recording.events.iter().next().unwrap();
/// assert_eq!((event.x, event.y, event.on, event.t), (122, 124, true, 1000));
/// # Ok::<(), snn_data::error::FormatError>(())
/// ```
pub fn decode(
    bytes: &[u8],
    camera: Option<Camera>,
    convention: Convention,
) -> Result<Recording, FormatError> {
    let decoder = camera.map_or_else(|| Aedat2::auto(convention), |camera| Aedat2::new(camera, convention));
    decode::decode(decoder, bytes, Damage::Refuse)
}

/// The format's state machine.
#[derive(Debug, Clone)]
pub struct Aedat2 {
    camera: Option<Camera>,
    convention: Convention,
    in_header: bool,
    /// Bytes that end a line: 1 or 2, and 0 before the first line.
    line_end: usize,
    last_us: u32,
    n_skipped: usize,
}

impl Aedat2 {
    /// For recordings of `camera`, whatever their headers say.
    pub fn new(camera: Camera, convention: Convention) -> Self {
        Self { camera: Some(camera), ..Self::auto(convention) }
    }

    /// For recordings of the camera that a line `# AEChip:` of their header names; it is an error if none
    /// does.
    pub fn auto(convention: Convention) -> Self {
        Self { camera: None, convention, in_header: true, line_end: 0, last_us: 0, n_skipped: 0 }
    }

    /// The camera, if it is known by now.
    pub fn camera(&self) -> Option<Camera> {
        self.camera
    }

    /// Takes a header line: the bytes that it has, or `None` when more are needed.
    fn line(&mut self, bytes: &[u8], offset: usize) -> Result<Option<usize>, FormatError> {
        if self.line_end == 0 {
            let line = version_line(bytes, VERSION, "#!AER-DAT2.0")?;
            self.line_end = line.map_or(0, |(len, text)| len - text);
            return Ok(line.map(|(len, _)| len));
        }
        match Line::at_start_of(bytes, offset)? {
            Line::Whole { text, len } if len - text.len() == self.line_end => {
                let words = text.trim_ascii_start().strip_prefix(b"#").unwrap_or_default().trim_ascii();
                self.in_header = !words.eq_ignore_ascii_case(END_OF_HEADER);
                self.find_camera(text, offset).map(|()| Some(len))
            }
            Line::Partial => Ok(None),
            Line::Whole { .. } | Line::Other => {
                self.in_header = false;
                Ok(Some(0))
            }
        }
    }

    fn find_camera(&mut self, line: &[u8], offset: usize) -> Result<(), FormatError> {
        if let (None, Some(class)) = (self.camera, line.strip_prefix(CHIP)) {
            let unknown =
                || bad_line(line, offset, "DVS128, DAVIS240 or DAVIS346, or that the caller names it");
            self.camera = Some(Camera::of_class(class).ok_or_else(unknown)?);
        }
        Ok(())
    }

    fn word(
        &mut self,
        word: [u8; EVENT_BYTES],
        camera: Camera,
        offset: usize,
    ) -> Result<Option<Event>, FormatError> {
        let [a, b, c, d, time @ ..] = word;
        let (address, t) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes(time));
        let Some((column, row, bit)) = read_address(address, camera, offset)? else {
            self.n_skipped += 1;
            return Ok(None);
        };
        camera.sensor().check(column, row, offset)?;
        if self.last_us.saturating_sub(t) > WRAP_US {
            return Err(FormatError::TimeOverflow { offset });
        }
        self.last_us = t;
        let (x, y) = self.convention.turn(camera, column, row);
        Ok(Some(Event { x, y, on: self.convention.polarity(camera, bit), t }))
    }
}

impl Decode for Aedat2 {
    fn feed(&mut self, bytes: &[u8], offset: usize, events: &mut EventStream) -> Result<usize, FormatError> {
        let mut start = 0;
        while self.in_header {
            let rest = bytes.get(start..).unwrap_or_default();
            let Some(len) = self.line(rest, offset + start)? else { return Ok(start) };
            start += len;
        }
        let words = bytes.get(start..).unwrap_or_default();
        let Some(camera) = self.camera else {
            let expected =
                "a line \"# AEChip: \" before the first event, or that the caller names the camera";
            return Err(bad_line(&[], offset + start, expected));
        };
        events.reserve(words.len() / EVENT_BYTES);
        let taken = for_each_word(words, offset + start, |word, offset| {
            if let Some(event) = self.word(word, camera, offset)? {
                events.push(event);
            }
            Ok(())
        })?;
        Ok(start + taken)
    }

    fn finish(&self, rest: &[u8], offset: usize) -> Result<(), FormatError> {
        if !self.in_header {
            return nothing_left(rest, offset, "event", EVENT_BYTES as u64);
        }
        if self.line_end > 0 && rest.is_empty() {
            return Ok(());
        }
        let version = if self.line_end == 0 { VERSION.len() + 1 } else { 0 };
        Err(cut_header(rest, offset, version))
    }

    fn sensor(&self) -> Option<SensorSize> {
        self.camera.map(Camera::sensor)
    }

    fn n_skipped(&self) -> usize {
        self.n_skipped
    }
}

/// Column, row and polarity bit; `None` for words that are no events.
fn read_address(
    address: u32,
    camera: Camera,
    offset: usize,
) -> Result<Option<(u16, u16, bool)>, FormatError> {
    let bits = |shift: u32, n: u32| u16::try_from(address >> shift & ((1 << n) - 1)).unwrap_or(u16::MAX);
    let (other, unused, expected) = match camera {
        Camera::Dvs128 => (0x8000_8000, 0x7FFF_0000, "bits 16..30 to be 0, as DVS128 has them"),
        Camera::Davis240 | Camera::Davis346 => (0x8000_0400, 0x3FF, "bits 0..9 to be 0, as a DAVIS has them"),
    };
    if address & other != 0 {
        return Ok(None);
    }
    if address & unused != 0 {
        return Err(FormatError::BadWord { field: "address", offset, found: address.into(), expected });
    }
    Ok(Some(match camera {
        Camera::Dvs128 => (bits(1, 7), bits(8, 7), address & 1 != 0),
        Camera::Davis240 | Camera::Davis346 => (bits(12, 10), bits(22, 9), address >> 11 & 1 != 0),
    }))
}

fn write_address(camera: Camera, column: u16, row: u16, bit: bool) -> u32 {
    let (column, row, bit) = (u32::from(column), u32::from(row), u32::from(bit));
    match camera {
        Camera::Dvs128 => row << 8 | column << 1 | bit,
        Camera::Davis240 | Camera::Davis346 => row << 22 | column << 12 | bit << 11,
    }
}

/// Encodes a recording of `camera` whose events are in `convention`.
///
/// # Errors
///
/// [`FormatError::Unwritable`] for an event outside of the sensor, and for a time more than 2^31 us before
/// that of the event before it.
pub fn encode(events: &EventStream, camera: Camera, convention: Convention) -> Result<Vec<u8>, FormatError> {
    let mut bytes = header(camera).into_bytes();
    bytes.reserve(events.len() * EVENT_BYTES);
    let sensor = camera.sensor();
    let mut last_us = 0;
    for (index, event) in events.iter().enumerate() {
        let unwritable = |field, value, expected| FormatError::Unwritable { index, field, value, expected };
        if event.x >= sensor.width {
            return Err(unwritable("x", event.x.into(), "columns of the sensor"));
        }
        if event.y >= sensor.height {
            return Err(unwritable("y", event.y.into(), "rows of the sensor"));
        }
        if event.t < last_us && last_us - event.t > WRAP_US {
            return Err(unwritable("t", event.t, "no step back by more than 2^31 us"));
        }
        last_us = event.t;
        let (column, row) = convention.turn(camera, event.x, event.y);
        let address = write_address(camera, column, row, convention.polarity(camera, event.on));
        bytes.extend(address.to_be_bytes());
        bytes.extend(event.t.to_be_bytes());
    }
    Ok(bytes)
}

fn header(camera: Camera) -> String {
    let lines = [
        "#!AER-DAT2.0",
        "# This is a raw AE data file - do not edit",
        "# Data format is int32 address, int32 timestamp (8 bytes total), repeated for each event",
        "# Timestamps tick is 1 us",
        &format!("# AEChip: {}", camera.class()),
        "#End Of ASCII Header",
        "",
    ];
    lines.join("\r\n")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEADER: &[u8] = b"#!AER-DAT2.0\r\n# AEChip: x.y.DVS128\r\n";
    const ALL: [Convention; 4] =
        [Convention::TopLeft, Convention::Jaer, Convention::Tonic, Convention::SpikingJelly];

    fn file(header: &[u8], words: &[(u32, u32)]) -> Vec<u8> {
        let words = words.iter().flat_map(|(address, t)| [address.to_be_bytes(), t.to_be_bytes()].concat());
        header.iter().copied().chain(words).collect()
    }

    fn read(file: &[u8], camera: Camera) -> Vec<(u16, u16, bool, u32)> {
        let recording = decode(file, Some(camera), Convention::TopLeft).unwrap();
        recording.events.iter().map(|e| (e.x, e.y, e.on, e.t)).collect()
    }

    fn message(file: &[u8]) -> String {
        decode(file, None, Convention::TopLeft).unwrap_err().to_string()
    }

    #[test]
    fn dvs128_addresses_are_read_in_every_convention() {
        let file = file(HEADER, &[(9 << 8 | 5 << 1, 7), (0x8000, 8), (0x8000_0000, 8), (9 << 8 | 1, 9)]);
        let read = |convention| {
            let recording = decode(&file, None, convention).unwrap();
            assert_eq!((recording.n_skipped, recording.sensor), (2, Some(SensorSize::new(128, 128))));
            recording.events.iter().map(|e| (e.x, e.y, e.on, e.t)).collect::<Vec<_>>()
        };
        assert_eq!(read(Convention::TopLeft), [(122, 118, true, 7), (127, 118, false, 9)]);
        assert_eq!(read(Convention::Jaer), [(122, 9, true, 7), (127, 9, false, 9)]);
        assert_eq!(read(Convention::Tonic), [(9, 5, false, 7), (9, 0, true, 9)]);
        assert_eq!(read(Convention::SpikingJelly), [(118, 122, true, 7), (118, 127, false, 9)]);
    }

    #[test]
    fn davis_addresses_are_read_and_other_words_skipped() {
        let on = 3 << 22 | 5 << 12 | 1 << 11;
        let words = [(on, 1), (0x8000_0000, 2), (0x8000_0C00, 3), (0x402, 4), (on ^ 1 << 11, 5)];
        let header = b"#!AER-DAT2.0\n# AEChip: eu.seebetter.ini.chips.davis.Davis346red\n";
        let recording = decode(&file(header, &words), None, Convention::TopLeft).unwrap();
        assert_eq!(recording.n_skipped, 3);
        assert_eq!(recording.sensor, Some(SensorSize::new(346, 260)));
        let events: Vec<_> = recording.events.iter().map(|e| (e.x, e.y, e.on, e.t)).collect();
        assert_eq!(events, [(340, 256, true, 1), (340, 256, false, 5)]);
        for convention in [Convention::Jaer, Convention::Tonic, Convention::SpikingJelly] {
            let recording = decode(&file(header, &words), Some(Camera::Davis240), convention).unwrap();
            assert_eq!((recording.events.x()[0], recording.events.y()[0]), (234, 3));
            assert_eq!(recording.events.on(), [true, false]);
        }
    }

    #[test]
    fn an_event_that_begins_as_a_line_is_an_event() {
        let row_140 = 0x2300_A800;
        for header in
            [&b"#!AER-DAT2.0\r\n"[..], b"#!AER-DAT2.0\n#\n", b"#!AER-DAT2.0\n#End Of ASCII Header\n"]
        {
            let file = file(header, &[(row_140, 0x230A_0D0A)]);
            assert_eq!(read(&file, Camera::Davis240), [(229, 39, true, 0x230A_0D0A)]);
        }
        let like_a_line = file(b"#!AER-DAT2.0\r\n", &[(0x230A_0800, 1)]);
        assert_eq!(read(&like_a_line, Camera::Davis240), [(79, 39, true, 1)]);
    }

    #[test]
    fn a_header_may_be_all() {
        for header in [HEADER, b"#!AER-DAT2.0\n"] {
            assert!(decode(header, None, Convention::TopLeft).unwrap().events.is_empty());
        }
    }

    #[test]
    fn bad_headers_are_named() {
        assert_eq!(message(b""), "the file is empty, expected at least 13 bytes");
        assert_eq!(message(b"#!AER"), "truncated in header at byte offset 0: expected 13 bytes, found 5");
        let cut = "truncated in header at byte offset 14: expected 3 bytes, found 2";
        assert_eq!(message(b"#!AER-DAT2.0\r\n#a"), cut);
        let version = "header line at byte offset 0: \"#!AER-DAT3.1\", expected #!AER-DAT2.0";
        assert_eq!(message(b"#!AER-DAT3.1\r\n"), version);
        assert!(message(b"#!AER-DAT2.01\r\n").starts_with("header line at byte offset 0"));
        let chip = "header line at byte offset 14: \"# AEChip: x.Tmpdiff128\", expected DVS128, DAVIS240";
        assert!(message(b"#!AER-DAT2.0\r\n# AEChip: x.Tmpdiff128\r\n").starts_with(chip));
        let none = "header line at byte offset 14: \"\", expected a line \"# AEChip: \" before";
        assert!(message(&file(b"#!AER-DAT2.0\r\n", &[(0, 0)])).starts_with(none));
    }

    #[test]
    fn bad_events_are_named() {
        let partial = [HEADER, &[0; 9]].concat();
        assert_eq!(message(&partial), "truncated in event at byte offset 44: expected 8 bytes, found 1");
        let stray = message(&file(HEADER, &[(0x0001_0002, 0)]));
        assert!(
            stray.starts_with("address at byte offset 36 is 0x10002, expected bits 16..30 to be 0"),
            "{stray}"
        );
        let davis = |address| {
            let file = file(HEADER, &[(address, 0)]);
            decode(&file, Some(Camera::Davis240), Convention::TopLeft).unwrap_err().to_string()
        };
        assert!(davis(1).starts_with("address at byte offset 36 is 0x1, expected bits 0..9 to be 0"));
        let outside = "event at byte offset 36: (x, y) = (240, 1) lies outside the 240x180 sensor";
        assert!(davis(1 << 22 | 240 << 12).starts_with(outside));
    }

    #[test]
    fn a_wrapped_clock_is_an_error_and_a_smaller_step_back_is_not() {
        let times = |t: &[u32]| t.iter().map(|&t| (0, t)).collect::<Vec<_>>();
        let steps = file(HEADER, &times(&[5, 1 << 31, 0, u32::MAX, 1 << 31]));
        assert_eq!(read(&steps, Camera::Dvs128).len(), 5);
        let wrap = message(&file(HEADER, &times(&[u32::MAX, 3])));
        assert_eq!(wrap, "event at byte offset 44: its time is beyond 2^32 us");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let field = |x, y, t: &[u32]| {
            let events: EventStream = t.iter().map(|&t| Event { x, y, on: true, t }).collect();
            match encode(&events, Camera::Davis240, Convention::TopLeft).unwrap_err() {
                FormatError::Unwritable { field, .. } => field,
                other => panic!("{other}"),
            }
        };
        assert_eq!((field(240, 0, &[0]), field(0, 180, &[0])), ("x", "y"));
        assert_eq!(field(0, 0, &[u32::MAX, 3]), "t");
    }

    #[test]
    fn it_may_be_cut_anywhere() {
        let dvs = file(HEADER, &[(9 << 8 | 5 << 1, 7), (0x8000, 8), (3, 9)]);
        decode::testing::check_decoder(|| Aedat2::auto(Convention::TopLeft), &dvs);
        let davis = file(b"#!AER-DAT2.0\n# \n", &[(0x2300_A800, 1), (0x8000_0C00, 1), (0x2301_0800, 2)]);
        decode::testing::check_decoder(|| Aedat2::new(Camera::Davis240, Convention::Jaer), &davis);
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_fail(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            header in prop::sample::select(vec![&b""[..], b"#!AER-DAT2.0\n", HEADER]),
            auto in any::<bool>(),
        ) {
            let file = [header, &bytes].concat();
            let camera = (!auto).then_some(Camera::Davis240);
            if let Ok(recording) = decode(&file, camera, Convention::TopLeft) {
                prop_assert!(recording.events.len() <= bytes.len() / EVENT_BYTES);
                let Some(sensor) = recording.sensor else { return Ok(()) };
                prop_assert!(recording.events.iter().all(|e| sensor.contains(e.x, e.y)));
            }
        }

        #[test]
        fn writing_then_reading_gives_the_events_back(
            events in prop::collection::vec((0u16..128, 0u16..128, any::<bool>(), 0u32..1 << 31), 0..50),
            camera in prop::sample::select(vec![Camera::Dvs128, Camera::Davis240, Camera::Davis346]),
            convention in prop::sample::select(ALL.to_vec()),
        ) {
            let events: EventStream = events.into_iter().map(|(x, y, on, t)| Event { x, y, on, t }).collect();
            let file = encode(&events, camera, convention).unwrap();
            for named in [None, Some(camera)] {
                let recording = decode(&file, named, convention).unwrap();
                prop_assert_eq!(&recording.events, &events);
                prop_assert_eq!((recording.n_skipped, recording.sensor), (0, Some(camera.sensor())));
            }
        }
    }
}
