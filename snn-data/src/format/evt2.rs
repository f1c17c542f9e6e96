//! Prophesee's EVT 2.0 (`.raw`): 32-bit words, one event each.
//!
//! Header lines (`% evt 2.0`, often `% geometry WxH` or `% format EVT2;height=H;width=W`), then little-endian
//! words. Bits 28..31 are the type:
//!
//! | type | meaning | other bits |
//! |---|---|---|
//! | 0, 1 | OFF, ON event | 22..27 low 6 bits of the time, 11..21 x, 0..10 y |
//! | 8 | `TIME_HIGH` | 0..27 high 28 bits of the time in us |
//! | 10, 14, 15 | trigger, other, continued | skipped and counted, as are types that are not documented |
//!
//! The origin is top-left.
//!
//! # Traps
//!
//! - Events before the first `TIME_HIGH` have no known time; they are skipped and counted.
//! - The clock has 34 bits and starts with the camera, not with the recording. Where it begins beyond 2^31 us (36
//!   minutes), [`Decode::origin_us`](super::decode::Decode::origin_us) is the last multiple of 2^31 us before, so
//!   that at least another 36 minutes fit into `t`.
//! - The clock wraps at 2^34 us (4.8 hours). A `TIME_HIGH` that steps back by up to a quarter of its range is
//!   taken at its word (jitter, or a clock that was reset); a larger step back is a wrap.
//! - Older cameras write no size of the sensor; [`Decode::sensor`](super::decode::Decode::sensor) is then `None`.
//!
//! # References
//!
//! Prophesee, "EVT 2.0 format", <https://docs.prophesee.ai/stable/data/encoding_formats/evt2.html>.

use super::any::Spec;
use super::decode::{self, Damage, Recording};
use super::prophesee::clock::{Clock, LOW_BITS};
use super::prophesee::header::{self, Head, raw_text};
use super::prophesee::pixels::{EVT_PIXELS, bits, check_pixel};
use super::prophesee::raw::{Raw, Words};
use crate::error::FormatError;
use crate::event::{Event, EventStream, SensorSize};

/// Bytes of one word.
pub const WORD_BYTES: usize = 4;
const TIME_HIGH: u32 = 8;
/// What the header must say.
const ENCODING: (&str, &str) = ("2.0", "EVT2");

pub(super) const SPEC: Spec = Spec {
    name: "evt2",
    endings: &[],
    endings_written: &[],
    begins: |head| header::names(head, ENCODING),
    decoder: |_| Box::new(Evt2::new()),
    encode: Some(encode),
};

/// Decodes the bytes of a recording.
///
/// # Errors
///
/// [`FormatError::Empty`], [`FormatError::BadHeaderLine`] and [`FormatError::TooLong`] for the header;
/// [`FormatError::Truncated`], [`FormatError::TimeOverflow`], [`FormatError::OutsideSensor`] where the header
/// names the sensor.
///
/// # Examples
///
/// ```
/// use snn_data::format::evt2::decode;
///
/// // TIME_HIGH 16, ON event at (3, 5), 2 us after.
/// let mut bytes = b"% evt 2.0\n% end\n".to_vec();
/// bytes.extend(0x8000_0010_u32.to_le_bytes());
/// bytes.extend((1_u32 << 28 | 2 << 22 | 3 << 11 | 5).to_le_bytes());
/// let event = decode(&bytes)?.events.iter().next().unwrap();
/// assert_eq!((event.x, event.y, event.on, event.t), (3, 5, true, 16 * 64 + 2));
/// # Ok::<(), snn_data::error::FormatError>(())
/// ```
pub fn decode(bytes: &[u8]) -> Result<Recording, FormatError> {
    decode::decode(Evt2::new(), bytes, Damage::Refuse)
}

/// The format's state machine.
pub type Evt2 = Raw<Evt2Words, WORD_BYTES>;

/// What the words do.
#[derive(Debug, Clone, Default)]
pub struct Evt2Words {
    clock: Clock,
    n_skipped: usize,
}

impl Words<WORD_BYTES> for Evt2Words {
    const ENCODING: (&'static str, &'static str) = ENCODING;
    const LINE: &'static str = "% evt 2.0";

    fn word(
        &mut self,
        word: [u8; WORD_BYTES],
        head: &Head,
        offset: usize,
        events: &mut EventStream,
    ) -> Result<(), FormatError> {
        let word = u32::from_le_bytes(word);
        let kind = word >> 28;
        match (kind, self.clock.time(word >> 22 & 0x3F, offset)) {
            (TIME_HIGH, _) => self.clock.set_high(word & 0x0FFF_FFFF),
            (0 | 1, Some(t)) => {
                let (x, y) = (bits(word, 11, 0x7FF), bits(word, 0, 0x7FF));
                head.sensor.unwrap_or(EVT_PIXELS).check(x, y, offset)?;
                events.push(Event { x, y, on: kind == 1, t: t? });
            }
            _ => self.n_skipped += 1,
        }
        Ok(())
    }

    fn origin_us(&self) -> i64 {
        self.clock.origin_us()
    }

    fn n_skipped(&self) -> usize {
        self.n_skipped
    }
}

/// Encodes a recording; the header names `sensor` when there is one.
///
/// Times may be in any order. A recording that starts beyond 2^31 us begins with a `TIME_HIGH` of 0, so that it is
/// read back with the same times.
///
/// # Errors
///
/// [`FormatError::Unwritable`] for a pixel outside of the sensor, or beyond 11 bits.
pub fn encode(events: &EventStream, sensor: Option<SensorSize>) -> Result<Vec<u8>, FormatError> {
    let mut bytes = raw_text(ENCODING.0, ENCODING.1, sensor).into_bytes();
    bytes.reserve(events.len() * WORD_BYTES);
    let mut put = |word: u32| bytes.extend(word.to_le_bytes());
    let mut written = None;
    for (index, event) in events.iter().enumerate() {
        check_pixel(index, event, sensor, EVT_PIXELS, "pixels of the sensor, below 2048")?;
        let high = event.t >> LOW_BITS;
        if written.is_none() && event.t >> 31 == 1 {
            put(TIME_HIGH << 28);
        }
        if written != Some(high) {
            put(TIME_HIGH << 28 | high);
            written = Some(high);
        }
        let (x, y, low) = (u32::from(event.x), u32::from(event.y), event.t & 0x3F);
        put(u32::from(event.on) << 28 | low << 22 | x << 11 | y);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(header: &str, words: &[u32]) -> Vec<u8> {
        header.bytes().chain(words.iter().flat_map(|word| word.to_le_bytes())).collect()
    }

    fn read(words: &[u32]) -> Recording {
        decode(&file("% evt 2.0\n", words)).unwrap()
    }

    fn high(value: u32) -> u32 {
        0x8000_0000 | value
    }

    #[test]
    fn fields_lie_where_the_specification_says() {
        let recording = read(&[high(1), 0x0FFF_FFFF, 0x1040_1802, high(0x0100_0000), 0]);
        let expected = [
            Event { x: 2047, y: 2047, on: false, t: 64 + 63 },
            Event { x: 3, y: 2, on: true, t: 64 + 1 },
            Event { x: 0, y: 0, on: false, t: 1 << 30 },
        ];
        assert!(recording.events.iter().eq(expected));
        assert_eq!((recording.sensor, recording.origin_us, recording.n_skipped), (None, 0, 0));
    }

    #[test]
    fn events_without_time_and_other_words_are_skipped_and_counted() {
        let recording =
            read(&[0, 0x1000_0000, high(1), 0xA000_0001, 0xE000_0014, 0xF000_0000, 0x2000_0000, 0]);
        assert_eq!((recording.events.len(), recording.n_skipped), (1, 6));
    }

    #[test]
    fn the_clock_may_start_late_wrap_and_jitter() {
        let last = (1 << 28) - 1;
        let recording = read(&[high(last), 0, high(0), 0, high(last), 0, high(2), 0]);
        assert_eq!(recording.origin_us, 7 << 31);
        let wrap = 1 << 31;
        assert_eq!(recording.events.t(), [wrap - 64, wrap, wrap - 64, wrap + 128]);
        assert_eq!(read(&[high(3), 0, high(1), 0]).events.t(), [192, 64]);
        assert_eq!(read(&[high((1 << 25) - 1), 0]).origin_us, 0);
        assert_eq!(read(&[high(1 << 25), 0]).origin_us, 1 << 31);
    }

    #[test]
    fn bad_bytes_are_named() {
        let message = |bytes: &[u8]| decode(bytes).unwrap_err().to_string();
        assert_eq!(message(b""), "the file is empty, expected at least 10 bytes");
        let line = "header line at byte offset 0: \"% evt 3.0\", expected % evt 2.0";
        assert_eq!(message(b"% evt 3.0\n"), line);
        let partial = "truncated in word at byte offset 14: expected 4 bytes, found 1";
        assert_eq!(message(&[&file("% evt 2.0\n", &[high(0)])[..], &[0]].concat()), partial);
        let outside = "event at byte offset 29: (x, y) = (9, 1) lies outside the 9x9 sensor";
        let words = [high(0), 9 << 11 | 1];
        assert!(message(&file("% evt 2.0\n% geometry 9x9\n", &words)[..]).starts_with(outside));
        let late = "event at byte offset 22: its time is beyond 2^32 us";
        assert_eq!(message(&file("% evt 2.0\n", &[high(0), high(1 << 26), 0xE000_0000, 0])), late);
    }

    #[test]
    fn it_may_be_cut_anywhere() {
        let header = "% evt 2.0\n% format EVT2;height=9;width=9\n% end\n";
        let file = file(header, &[5, high(0x0002_2025), 5 << 11, 0xA000_0000, 1 << 28, high(1), 7]);
        decode::testing::check_decoder(Evt2::new, &file);
        assert_eq!(decode(&file).unwrap().sensor, Some(SensorSize::new(9, 9)));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let events: EventStream = [Event { x: 0, y: 2048, on: true, t: 0 }].into_iter().collect();
        let expected =
            "event 0: y = 2048 cannot be written in this format, expected pixels of the sensor, below 2048";
        assert_eq!(encode(&events, None).unwrap_err().to_string(), expected);
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_fail(words in prop::collection::vec(any::<u32>(), 0..50), tail in 0usize..4) {
            let mut bytes = file("% evt 2.0\n% geometry 2048x2000\n", &words);
            bytes.truncate(bytes.len() - tail.min(bytes.len()));
            let recording = decode::decode(Evt2::new(), &bytes, Damage::Keep).unwrap();
            prop_assert!(recording.events.len() + recording.n_skipped <= words.len());
            prop_assert!(recording.events.y().iter().all(|&y| y < 2000));
        }

        #[test]
        fn writing_then_reading_gives_the_events_back(
            raw in prop::collection::vec((0u16..2048, 0u16..2048, any::<bool>(), any::<u32>()), 0..50),
            named: bool,
        ) {
            let events: EventStream = raw.into_iter().map(|(x, y, on, t)| Event { x, y, on, t }).collect();
            let sensor = named.then_some(EVT_PIXELS);
            let recording = decode(&encode(&events, sensor).unwrap()).unwrap();
            prop_assert_eq!((recording.origin_us, recording.n_skipped), (0, 0));
            prop_assert_eq!((recording.events, recording.sensor), (events, sensor));
        }
    }
}
