//! The 40-bit event layout of N-MNIST and N-Caltech101 (`.bin`, SLAYER's `.bs2`).
//!
//! Five bytes an event, no header: x, y, then one bit of polarity (1 is ON) and 23 bits of time in us, big-endian.
//! A row of 240 marks an overflow of the camera's 13-bit clock: it is no event, and 2^13 us are added to the time
//! of it and of all events that follow.
//!
//! # References
//!
//! Orchard, Jayawant, Cohen and Thakor, "Converting static image datasets to spiking neuromorphic datasets using
//! saccades", 2015, doi:10.3389/fnins.2015.00437; the overflow rule is that of the authors' own reader.

use std::path::Path;

use super::any::Spec;
use super::decode::{self, Damage, Decode, for_each_word, nothing_left};
use super::{read_file, write_file};
use crate::error::{DataError, FormatError};
use crate::event::{Event, EventStream, SensorSize};
use crate::transform::Framer;

/// Bytes of one event.
pub const EVENT_BYTES: usize = 5;
/// Size of N-MNIST's sensor.
pub const NMNIST_SENSOR: SensorSize = SensorSize::new(34, 34);
/// Row of an overflow marker.
const OVERFLOW_ROW: u8 = 240;
/// Time that an overflow marker adds, in us.
const OVERFLOW_US: u32 = 1 << 13;
/// Largest time that fits into an event, in us.
const MAX_US: u32 = (1 << 23) - 1;

/// Pixels that the layout can name.
const PIXELS: SensorSize = SensorSize::new(256, 240);

pub(super) const SPEC: Spec = Spec {
    name: "bin",
    endings: &["bin", "bs2"],
    endings_written: &["bin", "bs2"],
    begins: |_| false,
    decoder: |sensor| Box::new(Bin40::new(sensor.unwrap_or(PIXELS))),
    encode: Some(|events, _| encode(events)),
};

/// Decodes the bytes of a recording.
///
/// # Errors
///
/// [`FormatError::Empty`], [`FormatError::Truncated`], [`FormatError::OutsideSensor`] (not a recording of this
/// sensor), [`FormatError::TimeOverflow`].
///
/// # Examples
///
/// ```
/// use snn_data::format::nmnist_bin::{NMNIST_SENSOR, decode};
///
/// // ON event at (3, 5), 1000 us; overflow marker; OFF event at (4, 5), 10 us after the overflow.
/// let bytes = [3, 5, 0x80, 0x03, 0xE8, 0, 240, 0, 0, 0, 4, 5, 0, 0, 10];
/// let events = decode(&bytes, NMNIST_SENSOR)?;
/// assert_eq!(events.on(), [true, false]);
/// assert_eq!(events.t(), [1000, 8192 + 10]);
/// # Ok::<(), snn_data::error::FormatError>(())
/// ```
pub fn decode(bytes: &[u8], sensor: SensorSize) -> Result<EventStream, FormatError> {
    Ok(decode::decode(Bin40::new(sensor), bytes, Damage::Refuse)?.events)
}

/// The layout's state machine.
#[derive(Debug, Clone)]
pub struct Bin40 {
    sensor: SensorSize,
    overflow_us: u32,
}

impl Bin40 {
    /// For recordings of `sensor`, which the file does not name.
    pub fn new(sensor: SensorSize) -> Self {
        Self { sensor, overflow_us: 0 }
    }
}

impl Decode for Bin40 {
    fn feed(&mut self, bytes: &[u8], offset: usize, events: &mut EventStream) -> Result<usize, FormatError> {
        let (words, _) = bytes.as_chunks::<EVENT_BYTES>();
        let is_plain =
            |&[x, y, ..]: &[u8; EVENT_BYTES]| (y != OVERFLOW_ROW) & self.sensor.contains(x.into(), y.into());
        if self.overflow_us == 0 && words.iter().all(is_plain) {
            events.extend_columns(
                words.iter().map(|word| word[0].into()),
                words.iter().map(|word| word[1].into()),
                words.iter().map(|word| word[2] & 0x80 != 0),
                words.iter().map(|&word| decode_word(word).t),
            );
            return Ok(words.len() * EVENT_BYTES);
        }
        self.feed_slowly(bytes, offset, events)
    }

    fn finish(&self, rest: &[u8], offset: usize) -> Result<(), FormatError> {
        if offset == 0 && rest.is_empty() {
            return Err(FormatError::Empty { expected: EVENT_BYTES });
        }
        nothing_left(rest, offset, "event", EVENT_BYTES as u64)
    }
}

impl Bin40 {
    /// Event by event: with overflow rows, and up to the first that is wrong.
    fn feed_slowly(
        &mut self,
        bytes: &[u8],
        offset: usize,
        events: &mut EventStream,
    ) -> Result<usize, FormatError> {
        events.reserve(bytes.len() / EVENT_BYTES);
        for_each_word(bytes, offset, |word: [u8; EVENT_BYTES], offset| {
            let overflow = || FormatError::TimeOverflow { offset };
            if word[1] == OVERFLOW_ROW {
                self.overflow_us = self.overflow_us.checked_add(OVERFLOW_US).ok_or_else(overflow)?;
                return Ok(());
            }
            let event = decode_word(word);
            self.sensor.check(event.x, event.y, offset)?;
            let t = event.t.checked_add(self.overflow_us).ok_or_else(overflow)?;
            events.push(Event { t, ..event });
            Ok(())
        })
    }
}

fn decode_word([x, row, high, mid, low]: [u8; EVENT_BYTES]) -> Event {
    let word = u32::from_be_bytes([row, high, mid, low]);
    let [y, ..] = word.to_be_bytes();
    Event { x: x.into(), y: y.into(), on: word & (MAX_US + 1) != 0, t: word & MAX_US }
}

/// Encodes a recording; times beyond 2^23 us are written with overflow markers.
///
/// # Errors
///
/// [`FormatError::Unwritable`] for a column above 255, a row above 239, and a time below that of an event before
/// it which needed overflow markers.
pub fn encode(events: &EventStream) -> Result<Vec<u8>, FormatError> {
    let mut bytes = Vec::with_capacity(events.len() * EVENT_BYTES);
    let mut overflow_us = 0u32;
    for (index, event) in events.iter().enumerate() {
        let unwritable = |field, value, expected| FormatError::Unwritable { index, field, value, expected };
        let x = u8::try_from(event.x).map_err(|_| unwritable("x", event.x.into(), "0..255"))?;
        let y = u8::try_from(event.y).ok().filter(|&y| y < OVERFLOW_ROW);
        let y = y.ok_or_else(|| unwritable("y", event.y.into(), "0..239"))?;
        while event.t.saturating_sub(overflow_us) > MAX_US {
            bytes.extend_from_slice(&[0, OVERFLOW_ROW, 0, 0, 0]);
            overflow_us += OVERFLOW_US;
        }
        let t = event.t.checked_sub(overflow_us);
        let t = t.ok_or_else(|| unwritable("t", event.t, "times that do not decrease"))?;
        let [_, high, mid, low] = t.to_be_bytes();
        bytes.extend_from_slice(&[x, y, high | (u8::from(event.on) << 7), mid, low]);
    }
    Ok(bytes)
}

/// Reads the recording in `path`.
///
/// # Errors
///
/// [`DataError::Io`], or [`DataError::Malformed`] with what [`decode()`] reports.
pub fn read(path: &Path, sensor: SensorSize) -> Result<EventStream, DataError> {
    decode(&read_file(path)?, sensor).map_err(DataError::malformed(path))
}

/// Decodes the bytes of a recording straight into frames, without an event stream in between: what [`decode()`]
/// and [`Framer::fill`] give, several times faster.
///
/// # Shapes
///
/// `frames` is row-major in the order of [`Framer::shape`].
///
/// # Errors
///
/// As [`decode()`]; `frames` may hold anything then.
///
/// # Panics
///
/// Unless `frames` has [`Framer::n_values`] values.
pub fn decode_frames(
    bytes: &[u8],
    sensor: SensorSize,
    framer: &Framer,
    frames: &mut [u8],
) -> Result<(), FormatError> {
    let (words, rest) = bytes.as_chunks();
    // Overflow rows lie outside of these sensors. Whatever lies outside needs another look.
    let is_plain = framer.sensor() == sensor && sensor.height <= OVERFLOW_ROW.into();
    let is_whole = rest.is_empty() && !words.is_empty();
    if is_plain && is_whole && framer.fill_from(words.iter().map(|&word| decode_word(word)), frames) == 0 {
        return Ok(());
    }
    framer.fill(&decode(bytes, sensor)?, frames);
    Ok(())
}

/// Reads a recording straight into frames, as [`decode_frames`] does.
///
/// # Errors
///
/// [`DataError::Io`], or [`DataError::Malformed`] with what [`decode()`] reports.
///
/// # Panics
///
/// Unless `frames` has [`Framer::n_values`] values.
pub fn read_frames(
    path: &Path,
    sensor: SensorSize,
    framer: &Framer,
    frames: &mut [u8],
) -> Result<(), DataError> {
    decode_frames(&read_file(path)?, sensor, framer, frames).map_err(DataError::malformed(path))
}

/// Writes a recording to `path`, through a temporary file beside it.
///
/// # Errors
///
/// [`DataError::Io`], or [`DataError::Malformed`] with what [`encode`] reports.
pub fn write(path: &Path, events: &EventStream) -> Result<(), DataError> {
    write_file(path, &encode(events).map_err(DataError::malformed(path))?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::transform::{TimeOrigin, TimeWindow, ToFrames};

    fn message(bytes: &[u8]) -> String {
        decode(bytes, NMNIST_SENSOR).unwrap_err().to_string()
    }

    #[test]
    fn bad_bytes_are_named() {
        assert_eq!(message(&[]), "the file is empty, expected at least 5 bytes");
        let partial = "truncated in event at byte offset 5: expected 5 bytes, found 2";
        assert_eq!(message(&[0; 7]), partial);
        let outside = "event at byte offset 5: (x, y) = (3, 34) lies outside the 34x34 sensor";
        assert!(message(&[1, 1, 0, 0, 0, 3, 34, 0, 0, 0]).starts_with(outside));
    }

    #[test]
    fn it_may_be_cut_anywhere() {
        let file = [[1, 2, 0x80, 0, 7], [9, 240, 0, 0, 0], [33, 0, 0, 1, 0]].concat();
        decode::testing::check_decoder(|| Bin40::new(NMNIST_SENSOR), &file);
    }

    #[test]
    fn overflow_markers_add_up() {
        let marker = [9, 240, 0x80, 1, 2];
        let event = [1, 2, 0x80, 0, 7];
        let bytes = [event, marker, marker, event].concat();
        let events = decode(&bytes, NMNIST_SENSOR).unwrap();
        assert_eq!(events.t(), [7, 7 + 2 * 8192]);
    }

    #[test]
    fn too_many_overflow_markers_are_an_error() {
        let bytes = [0, 240, 0, 0, 0].repeat(1 << 19);
        assert!(matches!(decode(&bytes, NMNIST_SENSOR), Err(FormatError::TimeOverflow { .. })));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let stream =
            |x, y, t: &[u32]| -> EventStream { t.iter().map(|&t| Event { x, y, on: true, t }).collect() };
        let field = |events: &EventStream| match encode(events).unwrap_err() {
            FormatError::Unwritable { field, .. } => field,
            other => panic!("{other}"),
        };
        assert_eq!(field(&stream(256, 0, &[0])), "x");
        assert_eq!(field(&stream(0, 240, &[0])), "y");
        assert_eq!(field(&stream(0, 0, &[1 << 24, 5])), "t");
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_fail(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(events) = decode(&bytes, NMNIST_SENSOR) {
                prop_assert!(events.len() <= bytes.len() / EVENT_BYTES);
                prop_assert!(events.iter().all(|e| NMNIST_SENSOR.contains(e.x, e.y)));
            }
        }

        #[test]
        fn frames_are_those_of_the_events(
            words in prop::collection::vec(([0u8..36, 0u8..36], any::<bool>(), 0u32..900), 0..60),
            markers in prop::collection::vec(any::<prop::sample::Index>(), 0..3),
            n_cut in prop_oneof![9 => Just(0usize), 1 => 1usize..5],
            (has_noise, is_sorted, from_first) in (any::<bool>(), any::<bool>(), any::<bool>()),
            width in prop_oneof![4 => Just(34u16), 1 => Just(30)],
        ) {
            let mut words = words;
            if is_sorted {
                words.sort_by_key(|word| word.2);
            }
            let word = |([x, y], on, t): ([u8; 2], bool, u32)| {
                let [_, high, mid, low] = (u32::from(on) << 23 | t).to_be_bytes();
                let limit = if has_noise { 36 } else { 30 };
                [x % limit, y % limit, high, mid, low]
            };
            let mut words: Vec<_> = words.into_iter().map(word).collect();
            if has_noise && !words.is_empty() {
                markers.iter().for_each(|at| words.insert(at.index(words.len()), [0, OVERFLOW_ROW, 0, 0, 0]));
            }
            let bytes = words.concat();
            let bytes = &bytes[..bytes.len().saturating_sub(n_cut)];
            let origin = if from_first { TimeOrigin::FirstEvent } else { TimeOrigin::Clock };
            let settings = ToFrames { origin, window: TimeWindow::Recording, ..ToFrames::time_bins(7) };
            let framer = settings.framer(SensorSize::new(width, 34)).unwrap();
            let mut frames = vec![9; framer.n_values()];
            match decode(bytes, NMNIST_SENSOR) {
                Ok(events) => {
                    decode_frames(bytes, NMNIST_SENSOR, &framer, &mut frames).unwrap();
                    prop_assert_eq!(frames, framer.frames(&events).into_raw_vec_and_offset().0);
                }
                Err(error) => {
                    let found = decode_frames(bytes, NMNIST_SENSOR, &framer, &mut frames).unwrap_err();
                    prop_assert_eq!(found.to_string(), error.to_string());
                }
            }
        }

        #[test]
        fn writing_then_reading_gives_the_events_back(
            mut times in prop::collection::vec(0u32..40_000_000, 1..50),
            x in 0u16..34,
            y in 0u16..34,
        ) {
            times.sort_unstable();
            let events: EventStream = times.iter().map(|&t| Event { x, y, on: t % 2 == 0, t }).collect();
            prop_assert_eq!(decode(&encode(&events).unwrap(), NMNIST_SENSOR).unwrap(), events);
        }
    }
}
