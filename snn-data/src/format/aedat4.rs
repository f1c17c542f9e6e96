//! AEDAT 4 (`.aedat4`): iniVation's DV software and `dv-processing` (feature `aedat4`).
//!
//! `#!AER-DAT4.0\r\n`, then a size-prefixed FlatBuffer `IOHE` with the kind of compression, the position of the
//! table at the end of the file (-1 without one), and an XML text that lists the streams. Then packets up to the
//! table: the number of the stream and the bytes that follow (each 32 bits, little-endian), and these bytes, each
//! packet a compressed (LZ4 frame, Zstandard frame, or not) size-prefixed FlatBuffer. Event packets have the
//! identifier `EVTS` and a vector of structs of 16 bytes:
//!
//! | bytes | value |
//! |---|---|
//! | 0..8 | time in us, signed; mostly since 1970 |
//! | 8..10, 10..12 | x, y, signed |
//! | 12 | polarity, 1 is ON |
//!
//! The origin is top-left. Of several streams of events the first is read; packets of others (frames, inertial
//! data, triggers) are skipped and counted, without unpacking them where the XML text says what they are.
//!
//! # Traps
//!
//! - Times need 51 bits: [`Decode::origin_us`] is the multiple of 2^31 us before the first, so that 36 minutes fit
//!   at least.
//! - A recording that was not closed has no table (position -1) and often ends within a packet: read it with
//!   [`Damage::Keep`](super::decode::Damage).
//! - The table's position may not be where packets end; it is obeyed.
//! - A packet may expand to 300 bytes a byte, plus 4 KiB, and a Zstandard window may have 8 MiB; more is refused.
//!
//! Tested on files that `dv-processing` 2.0.4 wrote, of each compression, and on bytes written after the
//! specification.
//!
//! # References
//!
//! iniVation, "AEDAT 4.0 file format",
//! <https://docs.inivation.com/software/software-advanced-usage/file-formats/aedat-4.0.html>; Google, "FlatBuffers
//! internals", <https://flatbuffers.dev/internals/>; RFC 8878 (Zstandard).

mod flatbuffer;
mod packet;

use roxmltree::{Document, Node, ParsingOptions};

use super::any::Spec;
use super::decode::{self, Damage, Decode, Origin, Recording, nothing_left};
use crate::error::FormatError;
use crate::event::{Event, EventStream, SensorSize};
use crate::num::{index, wide};
use flatbuffer::Table;
use packet::Compression;

const VERSION: &[u8; 14] = b"#!AER-DAT4.0\r\n";
/// Bytes before the header's FlatBuffer: the version and a length.
const PREFIX: usize = VERSION.len() + 4;
/// Most bytes of the header; real ones have a few thousand.
const MAX_HEADER: usize = 1 << 20;
/// Most nodes of the XML text.
const MAX_NODES: u32 = 1 << 14;
/// Bytes of a packet's header: stream and length.
const PACKET_HEADER: usize = 8;
const EVENT_BYTES: usize = 16;
/// Pixels that the 15-bit coordinates can name.
const PIXELS: SensorSize = SensorSize::new(1 << 15, 1 << 15);

pub(super) const SPEC: Spec = Spec {
    name: "aedat4",
    endings: &["aedat4"],
    endings_written: &[],
    begins: |head| head.starts_with(VERSION),
    decoder: |_| Box::new(Aedat4::new()),
    encode: None,
};

/// Decodes the bytes of a recording.
///
/// # Errors
///
/// [`FormatError::Empty`], [`FormatError::BadHeaderLine`], [`FormatError::BadWord`] and [`FormatError::TooLong`]
/// for the header; [`FormatError::Truncated`]; [`FormatError::BadPacket`] for a packet that cannot be unpacked or
/// is no FlatBuffer; [`FormatError::OutsideSensor`] and [`FormatError::TimeOverflow`] with the offset of the
/// packet.
///
/// # Examples
///
/// ```no_run
/// let bytes = std::fs::read("recording.aedat4")?;
/// let recording = snn_data::format::aedat4::decode(&bytes)?;
/// println!("{} events on {:?}", recording.events.len(), recording.sensor);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn decode(bytes: &[u8]) -> Result<Recording, FormatError> {
    decode::decode(Aedat4::new(), bytes, Damage::Refuse)
}

/// The format's state machine.
#[derive(Debug, Clone, Default)]
pub struct Aedat4 {
    header: Option<Header>,
    origin: Origin,
    n_skipped: usize,
}

#[derive(Debug, Clone)]
struct Header {
    compression: Compression,
    /// Where packets end.
    table: Option<u64>,
    /// What the XML text says of each stream.
    streams: Vec<Stream>,
    /// The stream that is read, once one is known to be of events.
    stream: Option<u32>,
    sensor: Option<SensorSize>,
}

#[derive(Debug, Clone)]
struct Stream {
    number: u32,
    is_events: bool,
    sensor: Option<SensorSize>,
}

impl Aedat4 {
    /// A decoder at the beginning of a file.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes whole packets; returns their bytes.
    fn packets(
        &mut self,
        header: &mut Header,
        bytes: &[u8],
        offset: usize,
        events: &mut EventStream,
    ) -> Result<usize, FormatError> {
        let mut taken = 0;
        loop {
            let (rest, offset) = (&bytes[taken..], offset + taken);
            if header.is_at_table(offset) {
                return Ok(bytes.len());
            }
            let Some((number, body)) = packet_in(rest, offset)? else { return Ok(taken) };
            self.packet(header, number, body, offset, events)?;
            taken += PACKET_HEADER + body.len();
        }
    }

    fn packet(
        &mut self,
        header: &mut Header,
        number: u32,
        body: &[u8],
        offset: usize,
        events: &mut EventStream,
    ) -> Result<(), FormatError> {
        let is_other = header.stream.is_some_and(|stream| stream != number)
            || header.streams.iter().any(|stream| stream.number == number && !stream.is_events);
        if is_other {
            self.n_skipped += 1;
            return Ok(());
        }
        let bad = |problem| FormatError::BadPacket { offset, problem };
        let buffer = packet::unpack(header.compression, body).map_err(bad)?;
        let (table, identifier) = Table::size_prefixed(&buffer).ok_or(bad("not a FlatBuffer"))?;
        if identifier != *b"EVTS" {
            self.n_skipped += 1;
            return Ok(());
        }
        header.stream = Some(number);
        let elements = table.structs(0, EVENT_BYTES).ok_or(bad("its vector of events leads out of it"))?;
        self.push(elements, header.sensor, offset, events)
    }

    fn push(
        &mut self,
        elements: &[u8],
        sensor: Option<SensorSize>,
        offset: usize,
        events: &mut EventStream,
    ) -> Result<(), FormatError> {
        let (elements, _) = elements.as_chunks::<EVENT_BYTES>();
        events.reserve(elements.len());
        for element in elements {
            let [a, b, c, d, e, f, g, h, x0, x1, y0, y1, on, ..] = *element;
            let us = i64::from_le_bytes([a, b, c, d, e, f, g, h]);
            let (x, y) = (u16::from_le_bytes([x0, x1]), u16::from_le_bytes([y0, y1]));
            sensor.unwrap_or(PIXELS).check(x, y, offset)?;
            let t = self.origin.since(us).and_then(|since| u32::try_from(since).ok());
            events.push(Event { x, y, on: on != 0, t: t.ok_or(FormatError::TimeOverflow { offset })? });
        }
        Ok(())
    }
}

impl Decode for Aedat4 {
    fn feed(&mut self, bytes: &[u8], offset: usize, events: &mut EventStream) -> Result<usize, FormatError> {
        let (mut header, start) = match self.header.take() {
            Some(header) => (header, 0),
            None => match read_header(bytes)? {
                Some((header, len)) => (header, len),
                None => return Ok(0),
            },
        };
        let taken = self.packets(&mut header, &bytes[start..], offset + start, events);
        self.header = Some(header);
        Ok(start + taken?)
    }

    fn finish(&self, rest: &[u8], offset: usize) -> Result<(), FormatError> {
        if self.header.is_none() {
            return Err(incomplete_header(rest));
        }
        let expected =
            announced(rest).map_or(PACKET_HEADER as u64, |(_, len)| wide(PACKET_HEADER) + u64::from(len));
        nothing_left(rest, offset, "packet", expected)
    }

    fn sensor(&self) -> Option<SensorSize> {
        self.header.as_ref()?.sensor
    }

    fn origin_us(&self) -> i64 {
        self.origin.us()
    }

    fn n_skipped(&self) -> usize {
        self.n_skipped
    }
}

impl Header {
    fn is_at_table(&self, offset: usize) -> bool {
        self.table.is_some_and(|table| wide(offset) >= table)
    }
}

/// Stream and length of the packet at the front of `bytes`.
fn announced(bytes: &[u8]) -> Option<(u32, u32)> {
    let [a, b, c, d, e, f, g, h] = *bytes.first_chunk::<PACKET_HEADER>()?;
    Some((u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h])))
}

/// The packet at the front of `bytes`, if it is whole.
fn packet_in(bytes: &[u8], offset: usize) -> Result<Option<(u32, &[u8])>, FormatError> {
    let Some((number, len)) = announced(bytes) else { return Ok(None) };
    if len > i32::MAX.unsigned_abs() {
        let (field, found, expected) = ("packet length", u64::from(len), "below 2^31");
        return Err(FormatError::BadWord { field, offset: offset + 4, found, expected });
    }
    let end = PACKET_HEADER.saturating_add(index(len.into()));
    Ok(bytes.get(PACKET_HEADER..end).map(|body| (number, body)))
}

/// The header at the front of `bytes` and its length; `None` while it is not whole.
fn read_header(bytes: &[u8]) -> Result<Option<(Header, usize)>, FormatError> {
    if bytes.iter().zip(VERSION).any(|(found, expected)| found != expected) {
        let line = bytes.get(..VERSION.len()).unwrap_or(bytes);
        let found = String::from_utf8_lossy(line).escape_debug().collect();
        return Err(FormatError::BadHeaderLine { offset: 0, found, expected: "#!AER-DAT4.0" });
    }
    let Some(len) = header_len(bytes) else { return Ok(None) };
    if len > MAX_HEADER {
        return Err(FormatError::TooLong { offset: VERSION.len(), limit: MAX_HEADER });
    }
    let Some(buffer) = bytes.get(VERSION.len()..len) else { return Ok(None) };
    let bad = |problem| FormatError::BadPacket { offset: VERSION.len(), problem };
    let (table, identifier) = Table::size_prefixed(buffer).ok_or(bad("not a FlatBuffer"))?;
    if identifier != *b"IOHE" {
        return Err(bad("not a header"));
    }
    let compression = table.i32(0).unwrap_or(0);
    let compression = Compression::from_code(compression).ok_or(bad("compressed in an unknown way"))?;
    let streams = table.text(2).map_or_else(Vec::new, streams_in);
    let first = streams.iter().find(|stream| stream.is_events);
    let (stream, sensor) = (first.map(|stream| stream.number), first.and_then(|stream| stream.sensor));
    let position = u64::try_from(table.i64(1).unwrap_or(-1)).ok().filter(|&position| position > 0);
    Ok(Some((Header { compression, table: position, streams, stream, sensor }, len)))
}

/// Bytes of version and header, once they say.
fn header_len(bytes: &[u8]) -> Option<usize> {
    let [a, b, c, d] = *bytes.get(VERSION.len()..)?.first_chunk::<4>()?;
    Some(PREFIX.saturating_add(index(u32::from_le_bytes([a, b, c, d]).into())))
}

fn incomplete_header(rest: &[u8]) -> FormatError {
    if rest.is_empty() {
        return FormatError::Empty { expected: PREFIX };
    }
    let expected = wide(header_len(rest).unwrap_or(PREFIX));
    FormatError::Truncated { field: "header", offset: 0, expected, found: rest.len() }
}

/// The streams that an XML text lists; none if it makes no sense, since packets also say what they are.
fn streams_in(text: &str) -> Vec<Stream> {
    let options = ParsingOptions { nodes_limit: MAX_NODES, ..ParsingOptions::default() };
    let Ok(document) = Document::parse_with_options(text.trim(), options) else { return Vec::new() };
    let is_list = |node: &Node<'_, '_>| node.attribute("name") == Some("outInfo");
    let Some(list) = document.descendants().find(is_list) else { return Vec::new() };
    let mut streams: Vec<Stream> = list.children().filter_map(stream_of).collect();
    streams.sort_by_key(|stream| stream.number);
    streams
}

fn stream_of(node: Node<'_, '_>) -> Option<Stream> {
    let number = node.attribute("name")?.parse().ok()?;
    let kind = value_of(node, "typeIdentifier")?;
    let info = node.children().find(|child| child.attribute("name") == Some("info"));
    let size = |key| value_of(info?, key)?.parse::<u16>().ok().filter(|&size| size > 0);
    let sensor = size("sizeX").zip(size("sizeY")).map(|(width, height)| SensorSize::new(width, height));
    Some(Stream { number, is_events: kind == "EVTS", sensor })
}

fn value_of<'a>(node: Node<'a, '_>, key: &str) -> Option<&'a str> {
    node.children().find(|child| child.attribute("key") == Some(key))?.text().map(str::trim)
}

#[cfg(test)]
mod tests;
