//! Prophesee's EVT 3.0 (`.raw`): 16-bit words that each change a part of the state from which events are made.
//!
//! Header lines (`% evt 3.0`, often `% geometry WxH` or `% format EVT3;height=H;width=W`), then little-endian
//! words. Bits 12..15 are the type:
//!
//! | type | meaning | other bits |
//! |---|---|---|
//! | 0 | `ADDR_Y` | 0..10 y; 11 which of two synchronized cameras, not looked at |
//! | 2 | `ADDR_X`: an event | 0..10 x, 11 polarity (1 is ON) |
//! | 3 | `VECT_BASE_X` | 0..10 x, 11 polarity of the vectors that follow |
//! | 4, 5 | `VECT_12`, `VECT_8`: events | which of the 12 or 8 pixels from the base on; it moves behind them |
//! | 6, 8 | `TIME_LOW`, `TIME_HIGH` | low and high 12 bits of the time in us |
//! | 7, 10, 14, 15 | continued, trigger, other | skipped and counted, as are types that are not documented |
//!
//! The origin is top-left.
//!
//! # Traps
//!
//! - **Time.** The 24 bits wrap each 16.8 s. `TIME_LOW` wraps each 4,096 us, and a `TIME_HIGH` that is one higher
//!   announces it: whoever counts wraps of `TIME_LOW` as well (as one widely used reader does) is ahead by 4,096
//!   us more after each. Cameras also repeat `TIME_HIGH`, followed by a `TIME_LOW` that is up to some 15 us
//!   *before* the last one, which is no wrap. Here a `TIME_HIGH` that steps back by up to a quarter of its range
//!   (4.2 s) is taken at its word and all others as steps forward. After a new `TIME_HIGH` the low bits count as 0
//!   until their own word comes.
//! - Events before the first `TIME_HIGH`, `ADDR_Y` or (vectors) `VECT_BASE_X` lack that part; their words are
//!   skipped and counted.
//! - Older cameras write no size of the sensor; [`Decode::sensor`](super::decode::Decode::sensor) is then `None`.
//!
//! # References
//!
//! Prophesee, "EVT 3.0 format", <https://docs.prophesee.ai/stable/data/encoding_formats/evt3.html>.

use super::any::Spec;
use super::decode::{self, Damage, Recording};
use super::prophesee::clock::unwrap_high;
use super::prophesee::header::{self, Head, raw_text};
use super::prophesee::pixels::{EVT_PIXELS, bits, check_pixel, push_vector};
use super::prophesee::raw::{Raw, Words};
use crate::error::FormatError;
use crate::event::{Event, EventStream, SensorSize};

/// Bytes of one word.
pub const WORD_BYTES: usize = 2;
const ADDR_Y: u16 = 0;
const ADDR_X: u16 = 2;
const VECT_BASE_X: u16 = 3;
const VECT_12: u16 = 4;
const VECT_8: u16 = 5;
const TIME_LOW: u16 = 6;
const TIME_HIGH: u16 = 8;
/// Bits of `TIME_LOW` and of `TIME_HIGH`.
const TIME_BITS: u32 = 12;
/// Largest step of `TIME_HIGH` that is written, back or forward: a quarter of its range.
const MAX_STEP: u32 = 1 << (TIME_BITS - 2);
/// What the header must say.
const ENCODING: (&str, &str) = ("3.0", "EVT3");

pub(super) const SPEC: Spec = Spec {
    name: "evt3",
    endings: &[],
    endings_written: &["raw"],
    begins: |head| header::names(head, ENCODING),
    decoder: |_| Box::new(Evt3::new()),
    encode: Some(encode),
};

/// Decodes the bytes of a recording.
///
/// # Errors
///
/// [`FormatError::Empty`], [`FormatError::BadHeaderLine`] and [`FormatError::TooLong`] for the header;
/// [`FormatError::Truncated`], [`FormatError::TimeOverflow`], [`FormatError::OutsideSensor`] (where the header
/// names no sensor, of 2048x2048 pixels).
///
/// # Examples
///
/// ```
/// use snn_data::format::evt3::decode;
///
/// // TIME_HIGH 1, TIME_LOW 2, y = 5, ON event at x = 3, vector of OFF events from x = 8 on.
/// let mut bytes = b"% evt 3.0\n% end\n".to_vec();
/// for word in [0x8001_u16, 0x6002, 0x0005, 0x2803, 0x3008, 0x5081] {
///     bytes.extend(word.to_le_bytes());
/// }
/// let events = decode(&bytes)?.events;
/// assert_eq!(events.x(), [3, 8, 15]);
/// assert_eq!(events.on(), [true, false, false]);
/// assert_eq!(events.t(), [4096 + 2; 3]);
/// # Ok::<(), snn_data::error::FormatError>(())
/// ```
pub fn decode(bytes: &[u8]) -> Result<Recording, FormatError> {
    decode::decode(Evt3::new(), bytes, Damage::Refuse)
}

/// The format's state machine.
pub type Evt3 = Raw<Evt3Words, WORD_BYTES>;

/// What the words do.
#[derive(Debug, Clone, Default)]
pub struct Evt3Words {
    high: Option<u64>,
    low: u16,
    y: Option<u16>,
    /// Column and polarity of the next vector.
    base: Option<(u16, bool)>,
    n_skipped: usize,
}

/// Where the events of a word go.
struct Out<'a> {
    events: &'a mut EventStream,
    sensor: SensorSize,
    offset: usize,
}

impl Words<WORD_BYTES> for Evt3Words {
    const ENCODING: (&'static str, &'static str) = ENCODING;
    const LINE: &'static str = "% evt 3.0";

    fn word(
        &mut self,
        word: [u8; WORD_BYTES],
        head: &Head,
        offset: usize,
        events: &mut EventStream,
    ) -> Result<(), FormatError> {
        let word = u16::from_le_bytes(word);
        let mut out = Out { events, sensor: head.sensor.unwrap_or(EVT_PIXELS), offset };
        let value = word & 0xFFF;
        let (x, on) = (value & 0x7FF, value >> 11 == 1);
        match word >> 12 {
            ADDR_Y => self.y = Some(x),
            ADDR_X => self.push(Some((x, on)), 1, &mut out)?,
            VECT_BASE_X => self.base = Some((x, on)),
            VECT_12 => self.vector(value, 12, &mut out)?,
            VECT_8 => self.vector(value & 0xFF, 8, &mut out)?,
            TIME_LOW => self.low = value,
            TIME_HIGH => {
                let high = unwrap_high(self.high, value.into(), TIME_BITS);
                if self.high.replace(high) != Some(high) {
                    self.low = 0;
                }
            }
            _ => self.n_skipped += 1,
        }
        Ok(())
    }

    fn n_skipped(&self) -> usize {
        self.n_skipped
    }
}

impl Evt3Words {
    fn vector(&mut self, mask: u16, len: u16, out: &mut Out<'_>) -> Result<(), FormatError> {
        let base = self.base;
        self.base = base.map(|(x, on)| (x.saturating_add(len), on));
        self.push(base, mask, out)
    }

    /// Appends the events of `mask` from column and polarity `at` on; counts them as skipped while their time or
    /// row is not known.
    fn push(&mut self, at: Option<(u16, bool)>, mask: u16, out: &mut Out<'_>) -> Result<(), FormatError> {
        let (Some((x, on)), Some(y), Some(high)) = (at, self.y, self.high) else {
            self.n_skipped += 1;
            return Ok(());
        };
        let t = u32::try_from(high << TIME_BITS | u64::from(self.low));
        let t = t.map_err(|_| FormatError::TimeOverflow { offset: out.offset })?;
        push_vector(out.events, Event { x, y, on, t }, mask.into(), out.sensor, out.offset)
    }
}

/// Encodes a recording, without vectors; the header names `sensor` when there is one.
///
/// Gaps of more than 4.2 s (also that before the first event) are bridged by more words of `TIME_HIGH`, so that no
/// wrap is missed.
///
/// # Errors
///
/// [`FormatError::Unwritable`] for a pixel outside of the sensor, or beyond 11 bits, and for a time more than 4.1
/// s below that of the event before it.
pub fn encode(events: &EventStream, sensor: Option<SensorSize>) -> Result<Vec<u8>, FormatError> {
    let mut writer =
        Writer { bytes: raw_text(ENCODING.0, ENCODING.1, sensor).into_bytes(), ..Writer::default() };
    writer.bytes.reserve(events.len() * 2 * WORD_BYTES);
    for (index, event) in events.iter().enumerate() {
        check_pixel(index, event, sensor, EVT_PIXELS, "pixels of the sensor, below 2048")?;
        writer.time(index, event.t)?;
        if writer.y.replace(event.y) != Some(event.y) {
            writer.put(ADDR_Y, event.y);
        }
        writer.put(ADDR_X, event.x | u16::from(event.on) << 11);
    }
    Ok(writer.bytes)
}

/// The words so far, and the state that they leave a decoder in.
#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    high: Option<u32>,
    low: Option<u16>,
    y: Option<u16>,
}

impl Writer {
    fn put(&mut self, kind: u16, value: u16) {
        self.bytes.extend((kind << 12 | value).to_le_bytes());
    }

    fn time(&mut self, index: usize, t: u32) -> Result<(), FormatError> {
        let high = t >> TIME_BITS;
        let mut last = self.high.unwrap_or(0);
        if last.saturating_sub(high) > MAX_STEP {
            let expected = "times that fall by less than 4.1 s";
            return Err(FormatError::Unwritable { index, field: "t", value: t, expected });
        }
        while high.saturating_sub(last) > MAX_STEP {
            last += MAX_STEP;
            self.put(TIME_HIGH, low_bits(last));
        }
        if self.high.replace(high) != Some(high) {
            self.put(TIME_HIGH, low_bits(high));
            self.low = None;
        }
        let low = low_bits(t);
        if self.low.replace(low) != Some(low) {
            self.put(TIME_LOW, low);
        }
        Ok(())
    }
}

fn low_bits(value: u32) -> u16 {
    bits(value, 0, 0xFFF)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(header: &str, words: &[u16]) -> Vec<u8> {
        header.bytes().chain(words.iter().flat_map(|word| word.to_le_bytes())).collect()
    }

    fn read(words: &[u16]) -> Recording {
        decode(&file("% evt 3.0\n", words)).unwrap()
    }

    #[test]
    fn fields_lie_where_the_specification_says() {
        let words = [0x8001, 0x6FFF, 0x0FFF, 0x27FF, 0x0002, 0x2803, 0x3810, 0x4801, 0x5080, 0x5001];
        let events = read(&words).events;
        assert_eq!(events.x(), [2047, 3, 16, 27, 35, 36]);
        assert_eq!(events.y(), [2047, 2, 2, 2, 2, 2]);
        assert_eq!(events.on(), [false, true, true, true, true, true]);
        assert_eq!(events.t(), [8191; 6]);
    }

    #[test]
    fn incomplete_events_and_other_words_are_skipped_and_counted() {
        let words = [0x0001, 0x2001, 0x8001, 0x4001, 0xA001, 0x7001, 0xE001, 0xF001, 0x1000, 0x2001];
        let recording = read(&words);
        assert_eq!((recording.events.t(), recording.n_skipped), (&[4096][..], 7));
        assert_eq!(read(&[0x8001, 0x2001]).n_skipped, 1);
    }

    #[test]
    fn time_wraps_at_time_high_only() {
        // A wrap of TIME_LOW with its TIME_HIGH; a repetition with a TIME_LOW a little earlier; one without.
        let words = [
            0, 0x8001, 0x6FFF, 0x2000, 0x8002, 0x2000, 0x6005, 0x2000, 0x8002, 0x6003, 0x2000, 0x8002, 0x2000,
        ];
        assert_eq!(read(&words).events.t(), [8191, 8192, 8197, 8195, 8195]);
        // The 24 bits wrap, then TIME_HIGH jitters back over the wrap and forth.
        let words = [0, 0x8FFF, 0x2000, 0x8000, 0x2000, 0x8FFF, 0x2000, 0x8001, 0x2000];
        let wrap = 1 << 24;
        assert_eq!(read(&words).events.t(), [wrap - 4096, wrap, wrap - 4096, wrap + 4096]);
    }

    #[test]
    fn bad_bytes_are_named() {
        let message = |bytes: &[u8]| decode(bytes).unwrap_err().to_string();
        assert_eq!(message(b""), "the file is empty, expected at least 10 bytes");
        let line = "header line at byte offset 0: \"% evt 2.0\", expected % evt 3.0";
        assert_eq!(message(b"% evt 2.0\n"), line);
        let partial = "truncated in word at byte offset 12: expected 2 bytes, found 1";
        assert_eq!(message(b"% evt 3.0\n\x01\x02\x03"), partial);
        let outside = "event at byte offset 32: (x, y) = (16, 0) lies outside the 16x9 sensor";
        let words = [0, 0x8000, 0x3009, 0x4080];
        assert!(message(&file("% evt 3.0\n% geometry 16x9\n", &words)).starts_with(outside));
        let outside = "event at byte offset 18: (x, y) = (2060, 0) lies outside the 2048x2048 sensor";
        assert!(message(&file("% evt 3.0\n", &[0, 0x8000, 0x37FF, 0x4001, 0x4002])).starts_with(outside));
        let wraps = [0x8000, 0x8800].repeat(257);
        let late = "event at byte offset 1040: its time is beyond 2^32 us";
        assert_eq!(message(&file("% evt 3.0\n", &[&[0], &wraps[..], &[0x2000]].concat())), late);
    }

    #[test]
    fn it_may_be_cut_anywhere() {
        let words = [0x2025, 0x8001, 0x6002, 0x0003, 0x2004, 0x3005, 0x4FFF, 0xA000, 0x50FF, 0x8002, 0x2805];
        decode::testing::check_decoder(Evt3::new, &file("% evt 3.0\n% geometry 90x9\n% end\n", &words));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let message = |events: &[(u16, u32)]| {
            let events: EventStream = events.iter().map(|&(x, t)| Event { x, y: 0, on: true, t }).collect();
            encode(&events, None).unwrap_err().to_string()
        };
        let end = "cannot be written in this format, expected";
        assert_eq!(
            message(&[(2048, 0)]),
            format!("event 0: x = 2048 {end} pixels of the sensor, below 2048")
        );
        let falls = format!("event 1: t = 5 {end} times that fall by less than 4.1 s");
        assert_eq!(message(&[(0, 5_000_000), (0, 5)]), falls);
    }

    #[test]
    fn only_what_changes_is_written() {
        let event = |x, t| Event { x, y: 7, on: true, t };
        let events: EventStream =
            [event(1, 5), event(2, 5), event(3, 6), event(3, 4096 + 6)].into_iter().collect();
        let words = [0x8000, 0x6005, 0x0007, 0x2801, 0x2802, 0x6006, 0x2803, 0x8001, 0x6006, 0x2803];
        assert_eq!(encode(&events, None).unwrap(), file("% evt 3.0\n% end\n", &words));
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_fail(words in prop::collection::vec(any::<u16>(), 0..200), tail in 0usize..2) {
            let mut bytes = file("% evt 3.0\n% geometry 2048x2000\n", &words);
            bytes.truncate(bytes.len() - tail);
            let recording = decode::decode(Evt3::new(), &bytes, Damage::Keep).unwrap();
            prop_assert!(recording.events.len() <= 12 * words.len());
            prop_assert!(recording.events.iter().all(|e| e.x < 2048 && e.y < 2000));
        }

        #[test]
        fn writing_then_reading_gives_the_events_back(
            raw in prop::collection::vec((0u16..2048, 0u16..2048, any::<bool>(), any::<u32>()), 0..50),
            back in prop::collection::vec(0u32..4_000_000, 50),
            named: bool,
        ) {
            let mut times: Vec<u32> = raw.iter().map(|event| event.3).collect();
            times.sort_unstable();
            // Every other time is a little earlier than the one before it.
            for k in (1..times.len()).step_by(2) {
                times[k] = times[k - 1].saturating_sub(back[k]);
            }
            let events: EventStream =
                raw.iter().zip(times).map(|(&(x, y, on, _), t)| Event { x, y, on, t }).collect();
            let sensor = named.then_some(EVT_PIXELS);
            let recording = decode(&encode(&events, sensor).unwrap()).unwrap();
            prop_assert_eq!(recording.n_skipped, 0);
            prop_assert_eq!((recording.events, recording.sensor), (events, sensor));
        }
    }
}
