//! Event Stream 2 (`.es`) of DVS events, as the tools of Neuromorphic Systems (formerly Neuromorphic Paris) write
//! it.
//!
//! | bytes | content |
//! |---|---|
//! | 0..11 | `Event Stream` |
//! | 12..14 | version: 2.0.0 |
//! | 15 | type of stream: 1 is DVS |
//! | 16..19 | width and height of the sensor, little-endian |
//!
//! Then, in any order: an overflow byte 0xFF, which adds 127 us to the clock; a reset byte 0xFE, which means
//! nothing; or five bytes of an event: in the first, 7 bits of time in us since the event before (less than 127)
//! and in bit 0 the polarity (1 is ON), then x and y, 16 bits each, little-endian.
//!
//! # Traps
//!
//! - **Origin.** The specification is silent, but the authors' tools count rows **from the bottom**. Rows are
//!   counted from the top here, as everywhere in this crate: `y` is `height - 1 - stored`.
//!   [`Es::with_stored_rows`] leaves them as they are, as most other readers do.
//! - Bytes are only overflows and resets between events; within one they are coordinates. Resets are there to find
//!   the beginning of an event again after lost bytes: here lost bytes are an error.
//! - Streams of other types (generic, ATIS, displays, colors) and of version 1 have other layouts and are refused.
//!
//! # References
//!
//! A. Marcireau, "Event Stream", version 2.0, <https://github.com/neuromorphic-paris/event_stream>.

use super::any::Spec;
use super::decode::{self, Damage, Decode, Recording, nothing_left};
use crate::error::FormatError;
use crate::event::{Event, EventStream, SensorSize};

/// Bytes of the header.
pub const HEADER_BYTES: usize = 20;
/// Bytes of one event.
pub const EVENT_BYTES: usize = 5;
pub(super) const MAGIC: &[u8; 12] = b"Event Stream";
const RESET: u8 = 0xFE;
const OVERFLOW: u8 = 0xFF;
/// Time that an overflow byte adds, in us.
const OVERFLOW_US: u64 = 127;
const DVS: u8 = 1;

pub(super) const SPEC: Spec = Spec {
    name: "es",
    endings: &["es"],
    endings_written: &[],
    begins: |head| head.starts_with(MAGIC),
    decoder: |_| Box::new(Es::new()),
    encode: None,
};

/// Decodes the bytes of a recording; rows are counted from the top.
///
/// # Errors
///
/// [`FormatError::Empty`], [`FormatError::BadHeaderLine`] and [`FormatError::BadHeader`] for the header;
/// [`FormatError::Truncated`], [`FormatError::OutsideSensor`], [`FormatError::TimeOverflow`].
///
/// # Examples
///
/// ```
/// use snn_data::format::es::decode;
///
/// // Sensor of 320x240 pixels; overflow; ON event at (3, 5) from the bottom, 127 + 2 us.
/// let mut bytes = b"Event Stream\x02\x00\x00\x01\x40\x01\xF0\x00".to_vec();
/// bytes.extend([0xFF, 2 << 1 | 1, 3, 0, 5, 0]);
/// let event = decode(&bytes)?.events.iter().next().unwrap();
/// assert_eq!((event.x, event.y, event.on, event.t), (3, 239 - 5, true, 129));
/// # Ok::<(), snn_data::error::FormatError>(())
/// ```
pub fn decode(bytes: &[u8]) -> Result<Recording, FormatError> {
    decode::decode(Es::new(), bytes, Damage::Refuse)
}

/// The format's state machine.
#[derive(Debug, Clone, Default)]
pub struct Es {
    sensor: Option<SensorSize>,
    t: u64,
    keeps_rows: bool,
}

impl Es {
    /// A decoder at the beginning of a file; rows are counted from the top.
    pub fn new() -> Self {
        Self::default()
    }

    /// A decoder at the beginning of a file; rows stay as they are stored.
    pub fn with_stored_rows() -> Self {
        Self { keeps_rows: true, ..Self::default() }
    }

    fn event(
        &mut self,
        [first, x0, x1, y0, y1]: [u8; EVENT_BYTES],
        sensor: SensorSize,
        offset: usize,
    ) -> Result<Event, FormatError> {
        let (x, stored) = (u16::from_le_bytes([x0, x1]), u16::from_le_bytes([y0, y1]));
        sensor.check(x, stored, offset)?;
        self.t += u64::from(first >> 1);
        let t = u32::try_from(self.t).map_err(|_| FormatError::TimeOverflow { offset })?;
        let y = if self.keeps_rows { stored } else { sensor.height - 1 - stored };
        Ok(Event { x, y, on: first & 1 == 1, t })
    }
}

impl Decode for Es {
    fn feed(&mut self, bytes: &[u8], offset: usize, events: &mut EventStream) -> Result<usize, FormatError> {
        let (sensor, start) = match self.sensor {
            Some(sensor) => (sensor, 0),
            None => match read_header(bytes)? {
                Some(sensor) => (*self.sensor.insert(sensor), HEADER_BYTES),
                None => return Ok(0),
            },
        };
        let mut rest = bytes.get(start..).unwrap_or_default();
        events.reserve(rest.len() / EVENT_BYTES);
        loop {
            rest = match rest {
                [OVERFLOW, rest @ ..] => {
                    self.t += OVERFLOW_US;
                    rest
                }
                [RESET, rest @ ..] => rest,
                _ => {
                    let taken = bytes.len() - rest.len();
                    let Some((event, rest)) = rest.split_first_chunk() else { return Ok(taken) };
                    events.push(self.event(*event, sensor, offset + taken)?);
                    rest
                }
            };
        }
    }

    fn finish(&self, rest: &[u8], offset: usize) -> Result<(), FormatError> {
        if self.sensor.is_some() {
            return nothing_left(rest, offset, "event", EVENT_BYTES as u64);
        }
        if rest.is_empty() {
            return Err(FormatError::Empty { expected: HEADER_BYTES });
        }
        nothing_left(rest, offset, "header", HEADER_BYTES as u64)
    }

    fn sensor(&self) -> Option<SensorSize> {
        self.sensor
    }
}

/// The sensor of the header at the front of `bytes`, or `None` when they are only its beginning.
fn read_header(bytes: &[u8]) -> Result<Option<SensorSize>, FormatError> {
    let magic = bytes.get(..MAGIC.len()).unwrap_or(bytes);
    if !MAGIC.starts_with(magic) {
        let found = String::from_utf8_lossy(magic).escape_debug().collect();
        return Err(FormatError::BadHeaderLine { offset: 0, found, expected: "Event Stream" });
    }
    let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
    let [.., major, _, _, kind, w0, w1, h0, h1] = *header;
    let bad = |field, offset, found: u8, expected| {
        Err(FormatError::BadHeader { field, offset, found: found.into(), expected })
    };
    if major != 2 {
        return bad("major version", 12, major, "2");
    }
    if kind != DVS {
        return bad("stream type", 15, kind, "1 (DVS events)");
    }
    Ok(Some(SensorSize::new(u16::from_le_bytes([w0, w1]), u16::from_le_bytes([h0, h1]))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(bytes: &[u8]) -> Vec<u8> {
        [&b"Event Stream\x02\x00\x00\x01\x2C\x01\x0A\x00"[..], bytes].concat()
    }

    fn message(bytes: &[u8]) -> String {
        decode(bytes).unwrap_err().to_string()
    }

    #[test]
    fn fields_lie_where_the_specification_says() {
        let bytes =
            file(&[0xFC, 0x2B, 0x01, 0x09, 0x00, 0xFF, 0xFF, 0xFE, 0x07, 0xFE, 0, 0, 0, 0x02, 0, 0, 0, 0]);
        let expected = [
            Event { x: 299, y: 0, on: false, t: 126 },
            Event { x: 254, y: 9, on: true, t: 126 + 254 + 3 },
            Event { x: 0, y: 9, on: false, t: 126 + 254 + 4 },
        ];
        let recording = decode(&bytes).unwrap();
        assert!(recording.events.iter().eq(expected));
        assert_eq!(recording.sensor, Some(SensorSize::new(300, 10)));
        let stored = decode::decode(Es::with_stored_rows(), &bytes, Damage::Refuse).unwrap();
        assert_eq!(stored.events.y(), [9, 0, 0]);
    }

    #[test]
    fn bad_bytes_are_named() {
        assert_eq!(message(b""), "the file is empty, expected at least 20 bytes");
        let magic = "header line at byte offset 0: \"Event\\n\", expected Event Stream";
        assert_eq!(message(b"Event\n"), magic);
        let cut = "truncated in header at byte offset 0: expected 20 bytes, found 13";
        assert_eq!(message(&file(&[])[..13]), cut);
        let mut other = file(&[]);
        other[12] = 1;
        assert_eq!(message(&other), "header field major version at byte offset 12 is 1, expected 2");
        other[12..16].copy_from_slice(&[2, 0, 0, 2]);
        assert_eq!(
            message(&other),
            "header field stream type at byte offset 15 is 2, expected 1 (DVS events)"
        );
        let outside = "event at byte offset 21: (x, y) = (1, 10) lies outside the 300x10 sensor";
        assert!(message(&file(&[0xFF, 0, 1, 0, 10, 0])).starts_with(outside));
        let partial = "truncated in event at byte offset 22: expected 5 bytes, found 4";
        assert_eq!(message(&file(&[0xFF, 0xFE, 0, 1, 0, 0])), partial);
    }

    #[test]
    fn a_clock_beyond_32_bits_is_an_error() {
        let n = usize::try_from(u32::MAX).unwrap() / 127;
        let mut decoder = Es::new();
        let mut events = EventStream::default();
        decoder.feed(&file(&[]), 0, &mut events).unwrap();
        decoder.t = 127 * n as u64;
        decoder.feed(&[0x02, 0, 0, 0, 0], 20, &mut events).unwrap();
        let error = decoder.feed(&[0xFF, 0x02, 0, 0, 0, 0], 25, &mut events).unwrap_err();
        assert_eq!(error.to_string(), "event at byte offset 26: its time is beyond 2^32 us");
    }

    #[test]
    fn it_may_be_cut_anywhere() {
        let bytes = file(&[0xFC, 0x2B, 0x01, 0x09, 0x00, 0xFF, 0xFE, 0x07, 0xFF, 0, 0xFF - 0xFA, 0, 0xFF]);
        decode::testing::check_decoder(Es::new, &bytes);
        decode::testing::check_decoder(Es::with_stored_rows, &file(&[]));
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_fail(bytes in prop::collection::vec(any::<u8>(), 0..200), small: bool) {
            let _ = decode(&bytes);
            // High bytes of coordinates that are mostly 0 let most events be within the sensor.
            let bytes: Vec<u8> = if small { bytes.iter().map(|b| b % 10).collect() } else { bytes };
            let recording = decode::decode(Es::new(), &file(&bytes), Damage::Keep).unwrap();
            prop_assert!(recording.events.len() <= bytes.len() / EVENT_BYTES);
            prop_assert!(recording.events.iter().all(|e| e.x < 300 && e.y < 10));
        }
    }
}
