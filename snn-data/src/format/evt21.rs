//! Prophesee's EVT 2.1 (`.raw`): 64-bit words, each with up to 32 events of one polarity in a row of pixels.
//!
//! Header lines (`% evt 2.1`, `% format EVT21;height=H;width=W`), then little-endian words. Bits 60..63 are the
//! type:
//!
//! | type | meaning | other bits |
//! |---|---|---|
//! | 0, 1 | OFF, ON events | 54..59 low 6 bits of the time, 43..53 x, 32..42 y, 0..31 which of x .. x+31 |
//! | 8 | `TIME_HIGH` | 32..59 high 28 bits of the time in us |
//! | 10, 14, 15 | trigger, other, continued | skipped and counted, as are types that are not documented |
//!
//! The upper half of a word is thus one of EVT 2.0. What is said there of the clock holds here too; see
//! [`super::evt2`]. The origin is top-left.
//!
//! # Traps
//!
//! - **Swapped halves.** Sensors of the IMX636 family send the upper 32 bits of a word first, each half
//!   little-endian: the "legacy" byte order. Newer headers say so (`;endianness=legacy`, or a line `% endianness
//!   legacy`), which is obeyed; older files of these cameras do not, and have to be read with [`Evt21::legacy`].
//!   Read in the wrong order, a file gives few events, an absurd clock and a large
//!   [`Decode::n_skipped`](super::decode::Decode::n_skipped).
//! - The mask may reach beyond the right edge; only a set bit there is an error.
//!
//! This decoder follows the documentation; it has **not been checked against a recording of a camera**.
//!
//! # References
//!
//! Prophesee, "EVT 2.1 format", <https://docs.prophesee.ai/stable/data/encoding_formats/evt21.html>, which also
//! describes the two byte orders; the positions of the fields are those of OpenEB.

use super::any::Spec;
use super::decode::{self, Damage, Recording};
use super::prophesee::clock::Clock;
use super::prophesee::header::{self, Head};
use super::prophesee::pixels::{EVT_PIXELS, bits, push_vector};
use super::prophesee::raw::{Raw, Words};
use crate::error::FormatError;
use crate::event::{Event, EventStream};

/// Bytes of one word.
pub const WORD_BYTES: usize = 8;
/// What the header must say.
const ENCODING: (&str, &str) = ("2.1", "EVT21");

pub(super) const SPEC: Spec = Spec {
    name: "evt21",
    endings: &[],
    endings_written: &[],
    begins: |head| header::names(head, ENCODING),
    decoder: |_| Box::new(Evt21::new()),
    encode: None,
};

/// Decodes the bytes of a recording; its header has to name the byte order unless that is little-endian.
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
/// use snn_data::format::evt21::decode;
///
/// // TIME_HIGH 16, ON events at (32, 5) and (34, 5), 2 us after.
/// let mut bytes = b"% evt 2.1\n% end\n".to_vec();
/// bytes.extend((0x8000_0010_u64 << 32).to_le_bytes());
/// bytes.extend(((1_u64 << 28 | 2 << 22 | 32 << 11 | 5) << 32 | 0b101).to_le_bytes());
/// let events = decode(&bytes)?.events;
/// assert_eq!((events.x(), events.t()), (&[32, 34][..], &[16 * 64 + 2; 2][..]));
/// # Ok::<(), snn_data::error::FormatError>(())
/// ```
pub fn decode(bytes: &[u8]) -> Result<Recording, FormatError> {
    decode::decode(Evt21::new(), bytes, Damage::Refuse)
}

/// The format's state machine, in the byte order that the header names; little-endian if it names none.
pub type Evt21 = Raw<Evt21Words, WORD_BYTES>;

impl Evt21 {
    /// A decoder at the beginning of a file with swapped halves, whatever its header says.
    pub fn legacy() -> Self {
        let mut decoder = Self::new();
        decoder.words.is_legacy = true;
        decoder
    }
}

/// What the words do.
#[derive(Debug, Clone, Default)]
pub struct Evt21Words {
    is_legacy: bool,
    clock: Clock,
    n_skipped: usize,
}

impl Words<WORD_BYTES> for Evt21Words {
    const ENCODING: (&'static str, &'static str) = ENCODING;
    const LINE: &'static str = "% evt 2.1";

    fn word(
        &mut self,
        word: [u8; WORD_BYTES],
        head: &Head,
        offset: usize,
        events: &mut EventStream,
    ) -> Result<(), FormatError> {
        let [a, b, c, d, e, f, g, h] = word;
        let (first, second) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
        let is_legacy = self.is_legacy || head.is_legacy;
        let (upper, mask) = if is_legacy { (first, second) } else { (second, first) };
        let kind = upper >> 28;
        match (kind, self.clock.time(upper >> 22 & 0x3F, offset)) {
            (8, _) => self.clock.set_high(upper & 0x0FFF_FFFF),
            (0 | 1, Some(t)) => {
                let (x, y, on) = (bits(upper, 11, 0x7FF), bits(upper, 0, 0x7FF), kind == 1);
                let sensor = head.sensor.unwrap_or(EVT_PIXELS);
                push_vector(events, Event { x, y, on, t: t? }, mask, sensor, offset)?;
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::SensorSize;

    const HIGH: u64 = 0x8000_0001 << 32;
    const CD: u64 = (2 << 22 | 32 << 11 | 5) << 32;
    const ON: u64 = 1 << 60;

    fn file(header: &str, words: &[u64]) -> Vec<u8> {
        header.bytes().chain(words.iter().flat_map(|word| word.to_le_bytes())).collect()
    }

    fn swapped(header: &str, words: &[u64]) -> Vec<u8> {
        file(header, &words.iter().map(|word| word.rotate_left(32)).collect::<Vec<_>>())
    }

    #[test]
    fn fields_lie_where_the_specification_says() {
        let words = [HIGH, CD | ON | 0x8000_0001, CD];
        let recording = decode(&file("% evt 2.1\n", &words)).unwrap();
        let expected = [Event { x: 32, y: 5, on: true, t: 66 }, Event { x: 63, y: 5, on: true, t: 66 }];
        assert!(recording.events.iter().eq(expected));
        assert_eq!((recording.sensor, recording.origin_us, recording.n_skipped), (None, 0, 0));
    }

    #[test]
    fn halves_are_swapped_where_the_header_or_the_caller_says_so() {
        let words = [HIGH, CD | ON | 0x8000_0001, CD | 0xFF];
        let straight = decode(&file("% evt 2.1\n", &words)).unwrap().events;
        assert_eq!(straight.len(), 10);
        let named = swapped("% evt 2.1\n% format EVT21;height=9;width=90;endianness=legacy\n", &words);
        let recording = decode(&named).unwrap();
        assert_eq!((recording.events, recording.sensor), (straight.clone(), Some(SensorSize::new(90, 9))));
        let line = swapped("% evt 2.1\n% endianness legacy\n% end\n", &words);
        assert_eq!(decode(&line).unwrap().events, straight);
        let unnamed = swapped("% evt 2.1\n% end\n", &words);
        assert_eq!(decode::decode(Evt21::legacy(), &unnamed, Damage::Refuse).unwrap().events, straight);
    }

    #[test]
    fn events_without_time_and_other_words_are_skipped_and_counted() {
        let words = [CD | 3, HIGH, 0xA << 60, 0xE << 60, 0xF << 60, 3 << 60, CD | 1];
        let recording = decode(&file("% evt 2.1\n", &words)).unwrap();
        assert_eq!((recording.events.len(), recording.n_skipped), (1, 5));
    }

    #[test]
    fn bad_bytes_are_named() {
        let message = |bytes: &[u8]| decode(bytes).unwrap_err().to_string();
        assert_eq!(message(b""), "the file is empty, expected at least 10 bytes");
        let line = "header line at byte offset 0: \"% evt 2.0\", expected % evt 2.1";
        assert_eq!(message(b"% evt 2.0\n"), line);
        let partial = "truncated in word at byte offset 10: expected 8 bytes, found 3";
        assert_eq!(message(b"% evt 2.1\n\x01\x02\x03"), partial);
        let outside = "event at byte offset 34: (x, y) = (40, 5) lies outside the 40x9 sensor";
        let words = [HIGH, CD | 0x1FF];
        assert!(message(&file("% evt 2.1\n% geometry 40x9\n", &words)).starts_with(outside));
        let late = "event at byte offset 26: its time is beyond 2^32 us";
        assert_eq!(message(&file("% evt 2.1\n", &[HIGH, HIGH | 1 << 58, CD | 1])), late);
    }

    #[test]
    fn it_may_be_cut_anywhere() {
        let words = [CD | 1, HIGH, CD | 0xF0, 0xA << 60, CD | ON | 3];
        let header = "% evt 2.1\n% format EVT21;height=9;width=90\n% end\n";
        decode::testing::check_decoder(Evt21::new, &file(header, &words));
        decode::testing::check_decoder(Evt21::legacy, &swapped(header, &words));
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_fail(words in prop::collection::vec(any::<u64>(), 0..50), tail in 0usize..8) {
            let mut bytes = file("% evt 2.1\n% geometry 2048x2000\n", &words);
            bytes.truncate(bytes.len() - tail);
            for decoder in [Evt21::new(), Evt21::legacy()] {
                let recording = decode::decode(decoder, &bytes, Damage::Keep).unwrap();
                prop_assert!(recording.events.len() <= 32 * words.len());
                prop_assert!(recording.events.iter().all(|e| e.x < 2048 && e.y < 2000));
            }
        }
    }
}
