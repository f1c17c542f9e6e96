//! What all event formats share: a state machine that takes bytes as they come, and the two ways to drive one.

use std::io::{ErrorKind, Read};

use crate::error::{DataError, FormatError};
use crate::event::{EventStream, SensorSize};

/// Bytes asked of a reader at a time.
const CHUNK: usize = 1 << 16;
/// The same once a stream has turned out to have so many.
const LONG_CHUNK: usize = 1 << 18;
/// Most bytes that are held back for one header or packet; files that need more are taken to be damaged.
const MAX_HELD: usize = 1 << 28;

/// An event format's state machine: bytes in, events out.
///
/// The same machine serves files in memory ([`decode`]) and streams ([`EventReader`]).
pub trait Decode: Send {
    /// Takes the whole words or packets at the front of `bytes`, which begin `offset` bytes into the file, and
    /// appends their events. Returns the number of bytes taken; the others are offered again, with more behind
    /// them.
    ///
    /// # Errors
    ///
    /// What is wrong, with its offset. The events before it have been appended.
    fn feed(&mut self, bytes: &[u8], offset: usize, events: &mut EventStream) -> Result<usize, FormatError>;

    /// The file is over, and `rest`, `offset` bytes into it, was not taken.
    ///
    /// # Errors
    ///
    /// What is missing.
    fn finish(&self, rest: &[u8], offset: usize) -> Result<(), FormatError>;

    /// Size of the sensor, if the file has named it by now.
    fn sensor(&self) -> Option<SensorSize> {
        None
    }

    /// Time of the file's clock at `t = 0`, in us.
    fn origin_us(&self) -> i64 {
        0
    }

    /// Words, packets or records met so far that are no valid events of the sensor: triggers, images, inertial
    /// data, ...
    fn n_skipped(&self) -> usize {
        0
    }
}

impl<D: Decode + ?Sized> Decode for Box<D> {
    fn feed(&mut self, bytes: &[u8], offset: usize, events: &mut EventStream) -> Result<usize, FormatError> {
        (**self).feed(bytes, offset, events)
    }

    fn finish(&self, rest: &[u8], offset: usize) -> Result<(), FormatError> {
        (**self).finish(rest, offset)
    }

    fn sensor(&self) -> Option<SensorSize> {
        (**self).sensor()
    }

    fn origin_us(&self) -> i64 {
        (**self).origin_us()
    }

    fn n_skipped(&self) -> usize {
        (**self).n_skipped()
    }
}

/// Times of a clock that does not fit into 32 bits, counted from the multiple of 2^31 us before its first.
#[derive(Debug, Clone, Copy, Default)]
#[cfg(any(feature = "aedat4", feature = "npy"))]
pub(super) struct Origin(Option<i64>);

#[cfg(any(feature = "aedat4", feature = "npy"))]
impl Origin {
    /// Time since the origin; `None` before it.
    pub(super) fn since(&mut self, us: i64) -> Option<i64> {
        let origin = *self.0.get_or_insert(us >> 31 << 31);
        us.checked_sub(origin).filter(|&since| since >= 0)
    }

    /// The origin; 0 before there was a time.
    pub(super) fn us(self) -> i64 {
        self.0.unwrap_or(0)
    }
}

/// What a file of events holds.
#[derive(Debug, Default)]
pub struct Recording {
    /// The events, in the order of the file.
    pub events: EventStream,
    /// Size of the sensor, where the file names it.
    pub sensor: Option<SensorSize>,
    /// Time of the file's clock at `t = 0`, in us: 0 but for formats whose clock does not fit into 32 bits.
    pub origin_us: i64,
    /// Words, packets or records that are no valid events of the sensor: triggers, images, inertial data, ...
    pub n_skipped: usize,
    /// Why the file was not read to its end; only with [`Damage::Keep`].
    pub damage: Option<FormatError>,
}

impl Recording {
    fn of(decoder: &impl Decode, events: EventStream, damage: Option<FormatError>) -> Self {
        let (sensor, origin_us, n_skipped) = (decoder.sensor(), decoder.origin_us(), decoder.n_skipped());
        Self { events, sensor, origin_us, n_skipped, damage }
    }
}

/// What to do with a file that is cut short, or wrong from some offset on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Damage {
    /// An error, and no events.
    #[default]
    Refuse,
    /// The events before the damage, and the error as [`Recording::damage`].
    Keep,
}

/// Decodes a whole file.
///
/// # Errors
///
/// That of the decoder, unless `damage` says to keep what comes before it.
pub fn decode(mut decoder: impl Decode, bytes: &[u8], damage: Damage) -> Result<Recording, FormatError> {
    let mut events = EventStream::default();
    let result = decoder.feed(bytes, 0, &mut events).and_then(|taken| decoder.finish(&bytes[taken..], taken));
    let damage = match (result, damage) {
        (Err(error), Damage::Refuse) => return Err(error),
        (result, _) => result.err(),
    };
    Ok(Recording::of(&decoder, events, damage))
}

/// Decodes a stream to its end; of its bytes, only what the decoder holds back is kept in memory.
///
/// # Errors
///
/// [`DataError::Read`] for the source; [`DataError::Stream`] with that of the decoder, unless `damage` says to
/// keep what comes before it.
pub fn read(source: impl Read, decoder: impl Decode, damage: Damage) -> Result<Recording, DataError> {
    let mut reader = EventReader::new(source, decoder);
    let mut events = EventStream::default();
    let damage = loop {
        match reader.read_into(&mut events) {
            Ok(true) => {}
            Ok(false) => break None,
            Err(DataError::Stream(problem)) if damage == Damage::Keep => break Some(problem),
            Err(error) => return Err(error),
        }
    };
    Ok(Recording::of(&reader.decoder, events, damage))
}

/// Decodes a stream in bounded memory, a chunk of events at a time.
///
/// # Examples
///
/// ```
/// use snn_data::EventStream;
/// use snn_data::format::decode::EventReader;
/// use snn_data::format::nmnist_bin::{Bin40, NMNIST_SENSOR};
///
/// let file: &[u8] = &[3, 5, 0x80, 0x03, 0xE8, 4, 5, 0, 0x03, 0xE9];
/// let mut reader = EventReader::new(file, Bin40::new(NMNIST_SENSOR));
/// let mut events = EventStream::default();
/// while reader.read_into(&mut events)? {}
/// assert_eq!(events.t(), [1000, 1001]);
/// # Ok::<(), snn_data::DataError>(())
/// ```
#[derive(Debug)]
pub struct EventReader<R, D> {
    source: R,
    decoder: D,
    /// Begins with the bytes that were read but not taken yet.
    buffer: Vec<u8>,
    n_held: usize,
    /// How many bytes were taken.
    offset: usize,
    is_over: bool,
}

impl<R: Read, D: Decode> EventReader<R, D> {
    /// Reads `source` by the rules of `decoder`.
    pub fn new(source: R, decoder: D) -> Self {
        Self { source, decoder, buffer: Vec::new(), n_held: 0, offset: 0, is_over: false }
    }

    /// Appends some of the next events; `false` when the stream is over.
    ///
    /// # Errors
    ///
    /// [`DataError::Read`] for the source, [`DataError::Stream`] with the offset for its bytes. The events before
    /// it have been appended.
    pub fn read_into(&mut self, events: &mut EventStream) -> Result<bool, DataError> {
        if self.is_over {
            return Ok(false);
        }
        self.is_over = self.fill()? == 0;
        let held = self.buffer.get(..self.n_held).unwrap_or_default();
        let taken = self.decoder.feed(held, self.offset, events).map_err(DataError::Stream)?;
        self.buffer.copy_within(taken..self.n_held, 0);
        self.n_held -= taken;
        self.offset += taken;
        if self.is_over {
            let rest = self.buffer.get(..self.n_held).unwrap_or_default();
            self.decoder.finish(rest, self.offset).map_err(DataError::Stream)?;
        } else if self.n_held > MAX_HELD {
            let problem = FormatError::TooLong { offset: self.offset, limit: MAX_HELD };
            return Err(DataError::Stream(problem));
        }
        Ok(!self.is_over)
    }

    /// The decoder, which knows the sensor and what was skipped.
    pub fn decoder(&self) -> &D {
        &self.decoder
    }

    /// Reads once, behind what is held; the number of bytes.
    fn fill(&mut self) -> Result<usize, DataError> {
        let room = self.n_held + if self.offset < LONG_CHUNK { CHUNK } else { LONG_CHUNK };
        if self.buffer.len() < room {
            self.buffer.resize(room, 0);
        }
        loop {
            match self.source.read(&mut self.buffer[self.n_held..room]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => {
                    self.n_held = room.min(self.n_held + result.as_ref().map_or(0, |&n| n));
                    return result.map_err(DataError::Read);
                }
            }
        }
    }
}

/// Offers each whole `N`-byte word of `bytes` with its offset; returns the number of bytes taken.
pub(in crate::format) fn for_each_word<const N: usize>(
    bytes: &[u8],
    offset: usize,
    mut each: impl FnMut([u8; N], usize) -> Result<(), FormatError>,
) -> Result<usize, FormatError> {
    let (words, _) = bytes.as_chunks::<N>();
    for (k, word) in words.iter().enumerate() {
        each(*word, offset + k * N)?;
    }
    Ok(words.len() * N)
}

/// An error if bytes are left of a part of `expected` bytes.
pub(in crate::format) fn nothing_left(
    rest: &[u8],
    offset: usize,
    field: &'static str,
    expected: u64,
) -> Result<(), FormatError> {
    if rest.is_empty() {
        return Ok(());
    }
    Err(FormatError::Truncated { field, offset, expected, found: rest.len() })
}

/// Tests for formats: what every decoder must do with the bytes of one good file.
#[cfg(test)]
pub(super) mod testing {
    use super::*;

    /// A file decodes to the same whatever the pieces it arrives in; cut anywhere it is an error at an offset
    /// within the file, or the beginning of a whole file; and with [`Damage::Keep`] the events before the cut are
    /// there.
    pub(in super::super) fn check_decoder<D: Decode>(new: impl Fn() -> D, file: &[u8]) {
        let whole = decode(new(), file, Damage::Refuse).unwrap();
        for piece in [1, 2, 3, 7, 64] {
            assert_eq!(in_pieces(new(), file, piece), whole.events, "in pieces of {piece}");
        }
        for len in 0..file.len() {
            let cut = &file[..len];
            let kept = decode(new(), cut, Damage::Keep).unwrap();
            let n = kept.events.len();
            assert!(n <= whole.events.len(), "cut at {len}");
            assert!(kept.events.iter().eq(whole.events.iter().take(n)), "cut at {len}");
            match decode(new(), cut, Damage::Refuse) {
                Ok(recording) => assert_eq!(recording.events.len(), n),
                Err(error) => assert!(error.offset().is_some_and(|o| o <= len), "cut at {len}: {error}"),
            }
        }
    }

    fn in_pieces(mut decoder: impl Decode, file: &[u8], piece: usize) -> EventStream {
        let (mut events, mut held, mut offset) = (EventStream::default(), Vec::new(), 0);
        for bytes in file.chunks(piece) {
            held.extend_from_slice(bytes);
            let taken = decoder.feed(&held, offset, &mut events).unwrap();
            held.drain(..taken);
            offset += taken;
        }
        decoder.finish(&held, offset).unwrap();
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::nmnist_bin::{Bin40, NMNIST_SENSOR};

    /// Gives one byte at a time, and is interrupted now and then.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
            self.1 += 1;
            if self.1.is_multiple_of(3) {
                return Err(ErrorKind::Interrupted.into());
            }
            let n = self.0.len().min(1);
            to[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    #[test]
    fn a_slow_stream_reads_as_the_file() {
        let file: Vec<u8> = (0..30).flat_map(|k| [k, 33 - k, 0x80, 1, k]).collect();
        let mut reader = EventReader::new(Slow(&file, 0), Bin40::new(NMNIST_SENSOR));
        let mut events = EventStream::default();
        while reader.read_into(&mut events).unwrap() {}
        assert!(!reader.read_into(&mut events).unwrap());
        let whole = decode(Bin40::new(NMNIST_SENSOR), &file, Damage::Refuse).unwrap();
        assert_eq!(events, whole.events);
    }

    #[test]
    fn a_stream_that_ends_within_an_event_is_an_error_after_its_events() {
        let mut reader = EventReader::new(&[1, 1, 0, 0, 0, 3, 3][..], Bin40::new(NMNIST_SENSOR));
        let mut events = EventStream::default();
        let error = loop {
            match reader.read_into(&mut events) {
                Ok(true) => {}
                Ok(false) => panic!("no error"),
                Err(error) => break error,
            }
        };
        assert_eq!(error.to_string(), "truncated in event at byte offset 5: expected 5 bytes, found 2");
        assert_eq!(events.len(), 1);
    }
}
