//! Prophesee's `.dat` files of decoded events: N-Cars, GEN1 and 1 Mpx automotive detection.
//!
//! Header lines (`% Version 2`, often `% Width` and `% Height`), one byte with the kind of events (0x00 or 0x0C:
//! pixels), one with their size (8), then events of two little-endian 32-bit words: the time in us, and x (bits
//! 0..13), y (bits 14..27), polarity (bits 28..31; 1 is ON). The origin is top-left.
//!
//! # Traps
//!
//! - N-Cars files do not name the sensor, and recordings differ in size; [`Decode::sensor`] is then `None`.
//! - Files before version 2 (also those without a `% Version` line) have another layout and are refused.
//! - Files of trigger events (kind 0x0E) share the name and the word size. They are refused.
//! - A time beyond 2^32 us (71 minutes) does not fit into the format: the clock of longer recordings wraps.
//!
//! # References
//!
//! Prophesee, "DAT file format", <https://docs.prophesee.ai/stable/data/file_formats/dat.html>; Sironi et al.,
//! "HATS", 2018, doi:10.1109/CVPR.2018.00186 (N-Cars); de Tournemire et al., 2020, arXiv:2001.08499 (GEN1).

use std::fmt::Write as _;

use super::any::Spec;
use super::decode::{self, Damage, Decode, Recording, for_each_word};
use super::prophesee::header::{Head, Header, finish, pass};
use super::prophesee::pixels::{bits, check_pixel};
use crate::error::FormatError;
use crate::event::{Event, EventStream, SensorSize};

/// Bytes of one event.
pub const EVENT_BYTES: usize = 8;
/// Kind of events that is written: CD (contrast detection).
const CD: u8 = 0x0C;
/// Kind of events of older files.
const EVENT_2D: u8 = 0x00;
/// Coordinates have 14 bits.
const MASK: u16 = (1 << 14) - 1;

pub(super) const SPEC: Spec = Spec {
    name: "dat",
    endings: &["dat"],
    endings_written: &["dat"],
    begins: |_| false,
    decoder: |_| Box::new(Dat::new()),
    encode: Some(encode),
};

/// Decodes the bytes of a recording.
///
/// # Errors
///
/// [`FormatError::Empty`], [`FormatError::BadHeaderLine`], [`FormatError::TooLong`] and [`FormatError::BadHeader`]
/// for the header; [`FormatError::Truncated`], [`FormatError::BadWord`], [`FormatError::OutsideSensor`] where the
/// header names the sensor.
///
/// # Examples
///
/// ```
/// use snn_data::event::SensorSize;
/// use snn_data::format::dat::decode;
///
/// // ON event at (3, 5), 1000 us.
/// let mut bytes = b"% Version 2\n% Width 304\n% Height 240\n\x0C\x08".to_vec();
/// bytes.extend([0xE8, 0x03, 0, 0, 0x03, 0x40, 0x01, 0x10]);
/// let recording = decode(&bytes)?;
/// assert_eq!(recording.sensor, Some(SensorSize::new(304, 240)));
/// let event = recording.events.iter().next().unwrap();
/// assert_eq!((event.x, event.y, event.on, event.t), (3, 5, true, 1000));
/// # Ok::<(), snn_data::error::FormatError>(())
/// ```
pub fn decode(bytes: &[u8]) -> Result<Recording, FormatError> {
    decode::decode(Dat::new(), bytes, Damage::Refuse)
}

/// The format's state machine.
#[derive(Debug, Clone, Default)]
pub struct Dat {
    head: Option<Head>,
}

impl Dat {
    /// A decoder at the beginning of a file.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Decode for Dat {
    fn feed(&mut self, bytes: &[u8], offset: usize, events: &mut EventStream) -> Result<usize, FormatError> {
        let Some(start) = pass(&mut self.head, bytes, read_head)? else { return Ok(0) };
        let words = bytes.get(start..).unwrap_or_default();
        events.reserve(words.len() / EVENT_BYTES);
        let sensor = self.sensor();
        let taken = for_each_word(words, offset + start, |word: [u8; EVENT_BYTES], offset| {
            let event = decode_word(word, offset)?;
            if let Some(sensor) = sensor {
                sensor.check(event.x, event.y, offset)?;
            }
            events.push(event);
            Ok(())
        })?;
        Ok(start + taken)
    }

    fn finish(&self, rest: &[u8], offset: usize) -> Result<(), FormatError> {
        finish(self.head.as_ref(), rest, offset, read_head, EVENT_BYTES as u64)
    }

    fn sensor(&self) -> Option<SensorSize> {
        self.head.as_ref()?.sensor
    }
}

fn read_head(bytes: &[u8], is_over: bool) -> Result<Option<Head>, FormatError> {
    if bytes.is_empty() && is_over {
        return Err(FormatError::Empty { expected: "% Version 2\n".len() + 2 });
    }
    let Some(header) = Header::parse(bytes, is_over)? else { return Ok(None) };
    header.require("Version", "2", "% Version 2")?;
    let (sensor, offset) = (header.sensor()?, header.len);
    let bad = |field, at, found: u8, expected| FormatError::BadHeader {
        field,
        offset: offset + at,
        found: found.into(),
        expected,
    };
    match bytes.get(offset..).unwrap_or_default() {
        [kind, ..] if ![EVENT_2D, CD].contains(kind) => {
            Err(bad("event type", 0, *kind, "0 or 12 (events of pixels)"))
        }
        [_, size, ..] if usize::from(*size) != EVENT_BYTES => Err(bad("event size", 1, *size, "8")),
        [_, _, ..] => Ok(Some(Head { len: offset + 2, sensor, is_legacy: false })),
        rest if is_over => {
            let field = "event type and size";
            Err(FormatError::Truncated { field, offset, expected: 2, found: rest.len() })
        }
        _ => Ok(None),
    }
}

fn decode_word([t0, t1, t2, t3, a, b, c, d]: [u8; EVENT_BYTES], offset: usize) -> Result<Event, FormatError> {
    let word = u32::from_le_bytes([a, b, c, d]);
    let on = match word >> 28 {
        0 => false,
        1 => true,
        found => {
            let (field, expected) = ("polarity", "0 or 1");
            return Err(FormatError::BadWord { field, offset, found: found.into(), expected });
        }
    };
    let t = u32::from_le_bytes([t0, t1, t2, t3]);
    Ok(Event { x: bits(word, 0, MASK), y: bits(word, 14, MASK), on, t })
}

/// Encodes a recording; the header names `sensor` when there is one.
///
/// # Errors
///
/// [`FormatError::Unwritable`] for a pixel outside of the sensor, or beyond 14 bits.
pub fn encode(events: &EventStream, sensor: Option<SensorSize>) -> Result<Vec<u8>, FormatError> {
    let mut header = String::from("% Data file containing CD events\n% Version 2\n");
    if let Some(SensorSize { width, height }) = sensor {
        // Writing to a string cannot fail.
        let _ = write!(header, "% Width {width}\n% Height {height}\n");
    }
    let mut bytes = header.into_bytes();
    bytes.reserve(2 + events.len() * EVENT_BYTES);
    bytes.extend([CD, 8]);
    for (index, event) in events.iter().enumerate() {
        let limit = SensorSize::new(MASK + 1, MASK + 1);
        check_pixel(index, event, sensor, limit, "pixels of the sensor, below 16384")?;
        let word = u32::from(event.x) | u32::from(event.y) << 14 | u32::from(event.on) << 28;
        bytes.extend(event.t.to_le_bytes());
        bytes.extend(word.to_le_bytes());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEADER: &[u8] = b"% Data file containing CD events\n% Version 2\n% Date 2020-09-14 14:18:29\n";

    fn file(lines: &str, kind: u8, words: &[u32]) -> Vec<u8> {
        let words = words.iter().flat_map(|word| word.to_le_bytes());
        [HEADER, lines.as_bytes(), &[kind, 8]].concat().into_iter().chain(words).collect()
    }

    fn message(bytes: &[u8]) -> String {
        decode(bytes).unwrap_err().to_string()
    }

    #[test]
    fn fields_lie_where_the_specification_says() {
        let words = [u32::MAX, 0x0FFF_FFFF, 7, 0x1000_0000 | 5 << 14 | 3];
        let recording = decode(&file("", 0, &words)).unwrap();
        let expected =
            [Event { x: 16_383, y: 16_383, on: false, t: u32::MAX }, Event { x: 3, y: 5, on: true, t: 7 }];
        assert!(recording.events.iter().eq(expected));
        assert_eq!((recording.sensor, recording.origin_us, recording.n_skipped), (None, 0, 0));
    }

    #[test]
    fn bad_bytes_are_named() {
        assert_eq!(message(b""), "the file is empty, expected at least 14 bytes");
        let version = "header line at byte offset 0: \"% Date\", expected % Version 2";
        assert_eq!(message(b"% Date\n\x0C\x08"), version);
        let version = "header line at byte offset 0: \"% Version 1\", expected % Version 2";
        assert_eq!(message(b"% Version 1\n\x0C\x08"), version);
        let kind = "header field event type at byte offset 12 is 14, expected 0 or 12 (events of pixels)";
        assert_eq!(message(b"% Version 2\n\x0E\x08"), kind);
        let size = "header field event size at byte offset 13 is 16, expected 8";
        assert_eq!(message(b"% Version 2\n\x0C\x10"), size);
        let cut = "truncated in event type and size at byte offset 12: expected 2 bytes, found 1";
        assert_eq!(message(b"% Version 2\n\x0C"), cut);
        let polarity = "polarity at byte offset 74 is 0x2, expected 0 or 1";
        assert_eq!(message(&file("", 12, &[0, 0x2000_0000])), polarity);
        let outside = "event at byte offset 95: (x, y) = (9, 1) lies outside the 9x8 sensor";
        assert!(message(&file("% Width 9\n% Height 8\n", 12, &[0, 9 | 1 << 14])).starts_with(outside));
        let partial = "truncated in word at byte offset 74: expected 8 bytes, found 4";
        assert_eq!(message(&file("", 12, &[0])), partial);
    }

    #[test]
    fn it_may_be_cut_anywhere() {
        let words = [5, 0, 7, 0x1000_0000 | 5 << 14 | 3];
        decode::testing::check_decoder(Dat::new, &file("% Width 9\n% Height 8\n", 12, &words));
        decode::testing::check_decoder(Dat::new, &file("", 0, &[]));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let message = |x, y, sensor| {
            let events: EventStream = [Event { x, y, on: true, t: 0 }].into_iter().collect();
            encode(&events, sensor).unwrap_err().to_string()
        };
        let end = "cannot be written in this format, expected pixels of the sensor, below 16384";
        assert_eq!(message(16_384, 0, None), format!("event 0: x = 16384 {end}"));
        assert_eq!(message(0, 9, Some(SensorSize::new(9, 9))), format!("event 0: y = 9 {end}"));
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_fail(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
            if let Ok(recording) = decode(&[HEADER, &[CD, 8], &bytes].concat()) {
                prop_assert_eq!(recording.events.len(), bytes.len() / EVENT_BYTES);
            }
        }

        #[test]
        fn writing_then_reading_gives_the_events_back(
            raw in prop::collection::vec((0u16..16_384, 0u16..16_384, any::<bool>(), any::<u32>()), 0..50),
            named: bool,
        ) {
            let events: EventStream = raw.into_iter().map(|(x, y, on, t)| Event { x, y, on, t }).collect();
            let sensor = named.then_some(SensorSize::new(16_384, 16_384));
            let recording = decode(&encode(&events, sensor).unwrap()).unwrap();
            prop_assert_eq!((recording.events, recording.sensor), (events, sensor));
        }
    }
}
