//! `.raw` files: a header, then words of one size; what the words do is a format's own.

use super::header::{Head, finish, pass, raw_head};
use crate::error::FormatError;
use crate::event::{EventStream, SensorSize};
use crate::format::decode::{Decode, for_each_word};

/// An encoding of events in words of `N` bytes.
pub trait Words<const N: usize>: Default + Send {
    /// Its version and name, of which the header must say one.
    const ENCODING: (&'static str, &'static str);
    /// The line of the header that says so.
    const LINE: &'static str;

    /// Takes one word, and appends its events.
    ///
    /// # Errors
    ///
    /// [`FormatError::OutsideSensor`] and [`FormatError::TimeOverflow`], with the word's offset.
    fn word(
        &mut self,
        word: [u8; N],
        head: &Head,
        offset: usize,
        events: &mut EventStream,
    ) -> Result<(), FormatError>;

    /// Time of the camera's clock at `t = 0`, in us.
    fn origin_us(&self) -> i64 {
        0
    }

    /// Words so far that gave no event and no time.
    fn n_skipped(&self) -> usize;
}

/// The state machine of `.raw` files with words of `N` bytes.
#[derive(Debug, Clone, Default)]
pub struct Raw<W, const N: usize> {
    head: Option<Head>,
    pub(in crate::format) words: W,
}

impl<W: Words<N>, const N: usize> Raw<W, N> {
    /// A decoder at the beginning of a file.
    pub fn new() -> Self {
        Self { head: None, words: W::default() }
    }
}

impl<W: Words<N>, const N: usize> Decode for Raw<W, N> {
    fn feed(&mut self, bytes: &[u8], offset: usize, events: &mut EventStream) -> Result<usize, FormatError> {
        let start = pass(&mut self.head, bytes, read_head::<W, N>)?;
        let (Some(start), Some(head)) = (start, &self.head) else { return Ok(0) };
        let bytes = bytes.get(start..).unwrap_or_default();
        events.reserve(bytes.len() / N);
        let words = &mut self.words;
        let taken =
            for_each_word(bytes, offset + start, |word, offset| words.word(word, head, offset, events))?;
        Ok(start + taken)
    }

    fn finish(&self, rest: &[u8], offset: usize) -> Result<(), FormatError> {
        finish(self.head.as_ref(), rest, offset, read_head::<W, N>, N as u64)
    }

    fn sensor(&self) -> Option<SensorSize> {
        self.head.as_ref()?.sensor
    }

    fn origin_us(&self) -> i64 {
        self.words.origin_us()
    }

    fn n_skipped(&self) -> usize {
        self.words.n_skipped()
    }
}

fn read_head<W: Words<N>, const N: usize>(bytes: &[u8], is_over: bool) -> Result<Option<Head>, FormatError> {
    raw_head(bytes, is_over, W::ENCODING, W::LINE)
}
