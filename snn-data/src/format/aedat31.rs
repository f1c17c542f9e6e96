//! AEDAT 3.1 (`.aedat`), the files of cAER and jAER: DVS128 Gesture as IBM ships it.
//!
//! Header lines from `#!AER-DAT3.1` to `#!END-HEADER`, then packets of events of one type, little-endian. A
//! packet begins with 28 bytes:
//!
//! | bytes | field | |
//! |---|---|---|
//! | 0..2 | `eventType` | 1 is polarity; 0 special, 2 frame, 3 inertial, ... |
//! | 2..4 | `eventSource` | number of the camera |
//! | 4..8 | `eventSize` | bytes of an event |
//! | 8..12 | `eventTSOffset` | where the time stands in an event |
//! | 12..16 | `eventTSOverflow` | how often the 31-bit clock has wrapped |
//! | 16..20 | `eventCapacity` | events that the packet has room for |
//! | 20..24 | `eventNumber` | events in it |
//! | 24..28 | `eventValid` | how many of them are valid |
//!
//! and has room for `eventCapacity` events of `eventSize` bytes. A polarity event is a word, bit 0 valid, bit
//! 1 polarity (1 is ON), bits 2..16 y, bits 17..31 x, then 31 bits of time in us; its full time is
//! `eventTSOverflow << 31 | time`. The origin is top-left.
//!
//! # Traps
//!
//! - Only the first `eventNumber` events of a packet are events, but all of its room is in the file.
//! - Events that are not valid are skipped, and so are packets of other types; [`Decode::n_skipped`] counts
//!   both. (`eventValid` itself is not looked at.) Tonic and SpikingJelly keep invalid events, and Tonic
//!   takes packets of any type for polarity events.
//! - The header ends at its last line, not at the first byte that is no `#`.
//! - Where the clock begins beyond 2^32 us (71 minutes), [`Decode::origin_us`] is the multiple of 2^31 us
//!   before the first event packet. A recording that goes on for 2^32 us after that is an error.
//! - AEDAT 3.0 has another origin and no end of its header, and is refused.
//!
//! No recording in this format was at hand: the module was tested on files written from the specification.
//! That IBM's packets have no unused room is an expectation, not something that the decoder needs.
//!
//! # References
//!
//! iniVation, "AEDAT 3.1",
//! <https://docs.inivation.com/software/software-advanced-usage/file-formats/aedat-3.1.html>; libcaer's
//! `events/common.h` and `events/polarity.h`.

use super::aedat_header::{Line, bad_line, cut_header, version_line};
use super::any::Spec;
use super::decode::{self, Damage, Decode, Recording};
use crate::error::FormatError;
use crate::event::{Event, EventStream, SensorSize};
use crate::num;

/// Bytes at the beginning of a packet.
pub const PACKET_HEADER_BYTES: usize = 28;
/// Bytes of a polarity event.
pub const EVENT_BYTES: usize = 8;
/// Most bytes that a packet may have room for; one that announces more is taken to be damaged.
pub const MAX_PACKET: usize = 1 << 28;
const VERSION: &[u8] = b"#!AER-DAT3.1";
const END_OF_HEADER: &[u8] = b"#!END-HEADER";
const FORMAT: &[u8] = b"#Format:";
const SOURCE: &[u8] = b"#Source ";
/// The numbers at the beginning of a packet, after its type and source.
const FIELDS: [&str; 6] =
    ["eventSize", "eventTSOffset", "eventTSOverflow", "eventCapacity", "eventNumber", "eventValid"];
const POLARITY: u16 = 1;
/// Bits of the time that an event has itself.
const TIME_BITS: u32 = 31;
/// Largest column and row.
const MAX_PIXEL: u16 = (1 << 15) - 1;
/// Events that are decoded at a time, so that they stay in the nearest cache.
const BLOCK: usize = 512;
/// Events of a packet that [`encode`] writes.
const WRITTEN: usize = 4096;

pub(super) const SPEC: Spec = Spec {
    name: "aedat31",
    endings: &[],
    endings_written: &["aedat"],
    begins: |head| head.starts_with(b"#!AER-DAT3."),
    decoder: |_| Box::new(Aedat31::new()),
    encode: Some(|events, sensor| encode(events, sensor.unwrap_or_else(|| events.bounds()))),
};

/// Decodes the bytes of a recording.
///
/// # Errors
///
/// [`FormatError::Empty`], [`FormatError::BadHeaderLine`] and [`FormatError::TooLong`] for the header;
/// [`FormatError::BadHeader`] and [`FormatError::TooLong`] for packets; [`FormatError::Truncated`],
/// [`FormatError::BadWord`] (a negative time), [`FormatError::TimeOverflow`], and
/// [`FormatError::OutsideSensor`] where the header names a camera.
///
/// # Examples
///
/// ```
/// use snn_data::format::aedat31::decode;
///
/// let mut file = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DVS128\r\n#!END-HEADER\r\n".to_vec();
/// file.extend([1, 0, 1, 0]); // polarity events of camera 1
/// [8, 4, 0, 1, 1, 1].map(|field: u32| file.extend(field.to_le_bytes()));
/// file.extend((3_u32 << 17 | 5 << 2 | 0b11).to_le_bytes()); // ON event at (3, 5)
/// file.extend(1000_u32.to_le_bytes());
/// let event = decode(&file)?.events.iter().next().unwrap();
/// assert_eq!((event.x, event.y, event.on, event.t), (3, 5, true, 1000));
/// # Ok::<(), snn_data::error::FormatError>(())
/// ```
pub fn decode(bytes: &[u8]) -> Result<Recording, FormatError> {
    decode::decode(Aedat31::new(), bytes, Damage::Refuse)
}

/// The format's state machine.
#[derive(Debug, Clone)]
pub struct Aedat31 {
    state: State,
    sensor: Option<SensorSize>,
    /// Whether the caller named the sensor.
    is_named: bool,
    n_sources: usize,
    origin_us: Option<u64>,
    n_skipped: usize,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Version,
    Header,
    /// At the beginning of a packet.
    Packet,
    /// In a packet of polarity events.
    Events(Packet),
    /// In bytes that are passed over: this many are left.
    Skip(u64),
}

/// What is left of a packet of polarity events.
#[derive(Debug, Clone, Copy)]
struct Packet {
    n_events: usize,
    event_size: usize,
    time_at: usize,
    /// Time from the recording's origin that belongs to an event's time of 0, in us.
    base_us: u64,
    /// Bytes after the events.
    unused: u64,
}

impl Packet {
    fn n_bytes(self) -> u64 {
        num::wide(self.n_events) * num::wide(self.event_size) + self.unused
    }
}

/// The fields at the beginning of a packet.
#[derive(Debug, Clone, Copy)]
struct Fields {
    is_polarity: bool,
    size: u32,
    time_at: u32,
    overflow: u32,
    capacity: u32,
    number: u32,
}

impl Fields {
    /// Reads them, and refuses negative numbers and packets with more events than room.
    fn read(header: &[u8; PACKET_HEADER_BYTES], offset: usize) -> Result<Self, FormatError> {
        let [kind_low, kind_high, _, _, words @ ..] = header;
        let mut values = [0; FIELDS.len()];
        for (k, (value, word)) in values.iter_mut().zip(words.as_chunks().0).enumerate() {
            *value = u32::from_le_bytes(*word);
            if *value >> TIME_BITS != 0 {
                return Err(bad_field(offset, k, *value, "a number below 2^31"));
            }
        }
        let is_polarity = u16::from_le_bytes([*kind_low, *kind_high]) == POLARITY;
        let [size, time_at, overflow, capacity, number, _] = values;
        let fields = Self { is_polarity, size, time_at, overflow, capacity, number };
        if number > capacity {
            return Err(bad_field(offset, 4, number, "at most eventCapacity"));
        }
        if fields.room() > num::wide(MAX_PACKET) {
            return Err(FormatError::TooLong { offset, limit: MAX_PACKET });
        }
        Ok(fields)
    }

    /// Bytes of the packet after its header.
    fn room(self) -> u64 {
        u64::from(self.capacity) * u64::from(self.size)
    }
}

/// An error in field `k` of the packet at `offset`.
fn bad_field(offset: usize, k: usize, found: u32, expected: &'static str) -> FormatError {
    let field = FIELDS.get(k).copied().unwrap_or_default();
    FormatError::BadHeader { field, offset: offset + 4 + 4 * k, found: found.into(), expected }
}

impl Default for Aedat31 {
    fn default() -> Self {
        Self::new()
    }
}

impl Aedat31 {
    /// For recordings of the camera that the header names as `#Source`. With an unknown camera, or cameras of
    /// different size, any column and row is accepted.
    pub fn new() -> Self {
        Self {
            state: State::Version,
            sensor: None,
            is_named: false,
            n_sources: 0,
            origin_us: None,
            n_skipped: 0,
        }
    }

    /// For recordings of `sensor`, whatever their headers say.
    pub fn for_sensor(sensor: SensorSize) -> Self {
        Self { sensor: Some(sensor), is_named: true, ..Self::new() }
    }

    /// Takes a header line: the bytes that it has, or `None` when more are needed.
    fn line(&mut self, bytes: &[u8], offset: usize) -> Result<Option<usize>, FormatError> {
        let (text, len) = match Line::at_start_of(bytes, offset)? {
            Line::Whole { text, len } => (text, len),
            Line::Partial => return Ok(None),
            Line::Other => {
                let expected = "lines of text that begin with #, up to #!END-HEADER";
                return Err(bad_line(bytes, offset, expected));
            }
        };
        if text.trim_ascii_end() == END_OF_HEADER {
            self.state = State::Packet;
        } else if let Some(format) = text.strip_prefix(FORMAT) {
            if format.trim_ascii() != b"RAW" {
                return Err(bad_line(text, offset, "#Format: RAW"));
            }
        } else if let (false, Some(source)) = (self.is_named, text.strip_prefix(SOURCE)) {
            let sensor = sensor_of(source);
            self.sensor = if self.n_sources == 0 || self.sensor == sensor { sensor } else { None };
            self.n_sources += 1;
        }
        Ok(Some(len))
    }

    /// What follows the header of a packet.
    fn packet(&mut self, header: &[u8; PACKET_HEADER_BYTES], offset: usize) -> Result<State, FormatError> {
        let fields = Fields::read(header, offset)?;
        if !fields.is_polarity {
            self.n_skipped += 1;
            return Ok(State::Skip(fields.room()));
        }
        let Fields { size, time_at, overflow, number, .. } = fields;
        if num::index(size.into()) < EVENT_BYTES {
            return Err(bad_field(offset, 0, size, "at least 8, for polarity events"));
        }
        if time_at > size - 4 {
            return Err(bad_field(offset, 1, time_at, "a time within the event"));
        }
        let goes_back =
            || bad_field(offset, 2, overflow, "a clock that does not go back before the first packet");
        let base_us = self.base_us(overflow).ok_or_else(goes_back)?;
        Ok(State::Events(Packet {
            n_events: num::index(number.into()),
            event_size: num::index(size.into()),
            time_at: num::index(time_at.into()),
            base_us,
            unused: fields.room() - u64::from(number) * u64::from(size),
        }))
    }

    fn base_us(&mut self, overflow: u32) -> Option<u64> {
        let base = u64::from(overflow) << TIME_BITS;
        let origin = *self.origin_us.get_or_insert(if overflow > 1 { base } else { 0 });
        base.checked_sub(origin)
    }

    /// Takes the whole events of a packet at the front of `bytes`.
    fn events(
        &mut self,
        packet: Packet,
        bytes: &[u8],
        offset: usize,
        events: &mut EventStream,
    ) -> Result<usize, FormatError> {
        let n = packet.n_events.min(bytes.len() / packet.event_size);
        let n_bytes = n * packet.event_size;
        let bytes = bytes.get(..n_bytes).unwrap_or_default();
        let is_plain = (packet.event_size, packet.time_at, packet.base_us) == (EVENT_BYTES, 4, 0);
        let n_taken =
            if is_plain { extend(events, bytes.as_chunks().0, self.sensor) * EVENT_BYTES } else { 0 };
        let (bytes, offset) = (bytes.get(n_taken..).unwrap_or_default(), offset + n_taken);
        let mut each = |data: [u8; 4], time: [u8; 4], k: usize| {
            let offset = offset + k * packet.event_size;
            let (data, time) = (u32::from_le_bytes(data), u32::from_le_bytes(time));
            match read_event(data, time, packet.base_us, offset)? {
                Some(event) => {
                    self.sensor.map_or(Ok(()), |sensor| sensor.check(event.x, event.y, offset))?;
                    events.push(event);
                }
                None => self.n_skipped += 1,
            }
            Ok(())
        };
        if (packet.event_size, packet.time_at) == (EVENT_BYTES, 4) {
            for (k, &[a, b, c, d, time @ ..]) in bytes.as_chunks::<EVENT_BYTES>().0.iter().enumerate() {
                each([a, b, c, d], time, k)?;
            }
        } else {
            for (k, event) in bytes.chunks_exact(packet.event_size).enumerate() {
                let at = |k: usize| event.get(k..).and_then(|rest| rest.first_chunk().copied());
                each(at(0).unwrap_or_default(), at(packet.time_at).unwrap_or_default(), k)?;
            }
        }
        Ok(n_bytes)
    }

    /// Takes what can be taken in the present state: the number of bytes, or `None` when more are needed.
    fn step(
        &mut self,
        bytes: &[u8],
        offset: usize,
        events: &mut EventStream,
    ) -> Result<Option<usize>, FormatError> {
        match self.state {
            State::Version => {
                let line = version_line(bytes, VERSION, "#!AER-DAT3.1")?;
                self.state = if line.is_some() { State::Header } else { State::Version };
                Ok(line.map(|(len, _)| len))
            }
            State::Header => self.line(bytes, offset),
            State::Packet => {
                let Some(header) = bytes.first_chunk() else { return Ok(None) };
                self.state = self.packet(header, offset)?;
                Ok(Some(PACKET_HEADER_BYTES))
            }
            State::Events(packet) => {
                let taken = self.events(packet, bytes, offset, events)?;
                let n_events = packet.n_events - taken / packet.event_size;
                self.state = match n_events {
                    0 => State::Skip(packet.unused),
                    _ => State::Events(Packet { n_events, ..packet }),
                };
                Ok((taken > 0 || n_events == 0).then_some(taken))
            }
            State::Skip(left) => {
                let taken = num::index(left).min(bytes.len());
                let left = left - num::wide(taken);
                self.state = if left == 0 { State::Packet } else { State::Skip(left) };
                Ok((taken > 0 || left == 0).then_some(taken))
            }
        }
    }
}

impl Decode for Aedat31 {
    fn feed(&mut self, bytes: &[u8], offset: usize, events: &mut EventStream) -> Result<usize, FormatError> {
        events.reserve(bytes.len() / EVENT_BYTES);
        let mut taken = 0;
        while let Some(n) = self.step(bytes.get(taken..).unwrap_or_default(), offset + taken, events)? {
            taken += n;
        }
        Ok(taken)
    }

    fn finish(&self, rest: &[u8], offset: usize) -> Result<(), FormatError> {
        let (field, expected) = match self.state {
            State::Version => return Err(cut_header(rest, offset, VERSION.len() + 1)),
            State::Header => return Err(cut_header(rest, offset, END_OF_HEADER.len() + 1)),
            State::Packet if rest.is_empty() => return Ok(()),
            State::Packet => ("packet header", num::wide(PACKET_HEADER_BYTES)),
            State::Events(packet) => ("packet", packet.n_bytes()),
            State::Skip(left) => ("packet", left),
        };
        Err(FormatError::Truncated { field, offset, expected, found: rest.len() })
    }

    fn sensor(&self) -> Option<SensorSize> {
        self.sensor
    }

    fn origin_us(&self) -> i64 {
        i64::try_from(self.origin_us.unwrap_or(0)).unwrap_or(i64::MAX)
    }

    fn n_skipped(&self) -> usize {
        self.n_skipped
    }
}

/// `None` for an event that is not valid.
fn read_event(data: u32, time: u32, base_us: u64, offset: usize) -> Result<Option<Event>, FormatError> {
    if data & 1 == 0 {
        return Ok(None);
    }
    if time >> TIME_BITS != 0 {
        let expected = "a time below 2^31";
        return Err(FormatError::BadWord { field: "time", offset, found: time.into(), expected });
    }
    let t = u32::try_from(base_us + u64::from(time)).map_err(|_| FormatError::TimeOverflow { offset })?;
    Ok(Some(Event { x: pixel(data, 17), y: pixel(data, 2), on: data & 2 != 0, t }))
}

/// Appends events whose times are those of the words, up to the first [`BLOCK`] in which one needs a look of its own;
/// returns how many.
fn extend(events: &mut EventStream, words: &[[u8; EVENT_BYTES]], sensor: Option<SensorSize>) -> usize {
    // Columns that are made of words without the times in between are made twice as fast.
    let mut data = [0; BLOCK];
    let mut on = [false; BLOCK];
    for (k, words) in words.chunks(BLOCK).enumerate() {
        if !split(words, sensor, &mut data) {
            return k * BLOCK;
        }
        // In sixteens, which fill a vector of bytes.
        for (on, data) in on.as_chunks_mut::<16>().0.iter_mut().zip(data.as_chunks::<16>().0) {
            *on = data.map(|data| data & 2 != 0);
        }
        let data = || data.iter().copied().take(words.len());
        events.extend_columns(
            data().map(|data| pixel(data, 17)),
            data().map(|data| pixel(data, 2)),
            on.iter().copied().take(words.len()),
            words.iter().map(|&word| time_of(word)),
        );
    }
    words.len()
}

/// Puts what is not the time of each word into `data`; whether all events are valid ones of the sensor.
fn split(words: &[[u8; EVENT_BYTES]], sensor: Option<SensorSize>, data: &mut [u32; BLOCK]) -> bool {
    let (mut all, mut any) = (u64::MAX, 0);
    for (data, &word) in data.iter_mut().zip(words) {
        *data = data_of(word);
        let word = u64::from_le_bytes(word);
        (all, any) = (all & word, any | word);
    }
    let is_inside = |sensor: SensorSize, data| sensor.contains(pixel(data, 17), pixel(data, 2));
    // The bits that any event has make up no less than its largest column and row.
    let are_inside = |sensor| {
        is_inside(sensor, data_of(any.to_le_bytes()))
            || data.iter().take(words.len()).all(|&data| is_inside(sensor, data))
    };
    all & 1 == 1 && any >> 63 == 0 && sensor.is_none_or(are_inside)
}

fn data_of([a, b, c, d, ..]: [u8; EVENT_BYTES]) -> u32 {
    u32::from_le_bytes([a, b, c, d])
}

fn time_of([.., a, b, c, d]: [u8; EVENT_BYTES]) -> u32 {
    u32::from_le_bytes([a, b, c, d])
}

fn pixel(data: u32, shift: u32) -> u16 {
    u16::try_from(data >> shift & u32::from(MAX_PIXEL)).unwrap_or(MAX_PIXEL)
}

/// Size of the sensor of a source line's `<number>: <camera>`.
fn sensor_of(source: &[u8]) -> Option<SensorSize> {
    let name = source.splitn(2, |&byte| byte == b':').nth(1)?.trim_ascii();
    CAMERAS.iter().find(|(camera, _)| name.starts_with(camera.as_bytes())).map(|&(_, sensor)| sensor)
}

/// Beginnings of names of cameras, and their sizes. The first of a size is the one that is written.
const CAMERAS: [(&str, SensorSize); 4] = [
    ("DVS128", SensorSize::new(128, 128)),
    ("DAVIS240", SensorSize::new(240, 180)),
    ("DAVIS346", SensorSize::new(346, 260)),
    ("DAVIS640", SensorSize::new(640, 480)),
];

/// Encodes a recording of `sensor`. The header names the camera that has this size, if there is one.
///
/// # Errors
///
/// [`FormatError::Unwritable`] for an event outside of the sensor or of the 32,768x32,768 pixels of the
/// format.
pub fn encode(events: &EventStream, sensor: SensorSize) -> Result<Vec<u8>, FormatError> {
    let n_packets = events.len() / WRITTEN + 2;
    let mut bytes = header(sensor).into_bytes();
    bytes.reserve(events.len() * EVENT_BYTES + n_packets * PACKET_HEADER_BYTES);
    let mut packet: Vec<u8> = Vec::new();
    let mut overflow = 0;
    for (index, event) in events.iter().enumerate() {
        if overflow != event.t >> TIME_BITS || packet.len() == WRITTEN * EVENT_BYTES {
            write_packet(&mut bytes, &mut packet, overflow);
            overflow = event.t >> TIME_BITS;
        }
        let unwritable = |field, value: u16, expected| {
            Err(FormatError::Unwritable { index, field, value: value.into(), expected })
        };
        if event.x >= sensor.width.min(MAX_PIXEL + 1) {
            return unwritable("x", event.x, "columns of the sensor");
        }
        if event.y >= sensor.height.min(MAX_PIXEL + 1) {
            return unwritable("y", event.y, "rows of the sensor");
        }
        let data = u32::from(event.x) << 17 | u32::from(event.y) << 2 | u32::from(event.on) << 1 | 1;
        packet.extend(data.to_le_bytes());
        packet.extend((event.t & (u32::MAX >> 1)).to_le_bytes());
    }
    write_packet(&mut bytes, &mut packet, overflow);
    Ok(bytes)
}

/// Moves the events of `packet` to `bytes`, as a packet.
fn write_packet(bytes: &mut Vec<u8>, packet: &mut Vec<u8>, overflow: u32) {
    if packet.is_empty() {
        return;
    }
    let n = u32::try_from(packet.len() / EVENT_BYTES).unwrap_or(u32::MAX);
    bytes.extend([1, 0, 1, 0]);
    for field in [8, 4, overflow, n, n, n] {
        bytes.extend(field.to_le_bytes());
    }
    bytes.append(packet);
}

fn header(sensor: SensorSize) -> String {
    let camera = CAMERAS.iter().find(|&&(_, size)| size == sensor).map_or("Unknown", |&(name, _)| name);
    let lines = [
        "#!AER-DAT3.1",
        "#Format: RAW",
        &format!("#Source 1: {camera}"),
        "#Start-Time: 1970-01-01 00:00:00 (TZ+0000)",
        "#!END-HEADER",
        "",
    ];
    lines.join("\r\n")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEADER: &[u8] = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DVS128\r\n#!END-HEADER\r\n";
    const N: usize = HEADER.len();

    /// A packet with the given fields and bytes after its header.
    fn packet(kind: u16, fields: [u32; 6], body: &[u8]) -> Vec<u8> {
        let fields = fields.map(u32::to_le_bytes).concat();
        [&kind.to_le_bytes()[..], &[1, 0], &fields, body].concat()
    }

    fn event(x: u32, y: u32, low: u32, t: u32) -> Vec<u8> {
        [(x << 17 | y << 2 | low).to_le_bytes(), t.to_le_bytes()].concat()
    }

    /// A packet of one ON event at (3, 5) for each time.
    fn polarity(overflow: u32, times: &[u32]) -> Vec<u8> {
        let n = u32::try_from(times.len()).unwrap();
        let body: Vec<u8> = times.iter().flat_map(|&t| event(3, 5, 3, t)).collect();
        packet(POLARITY, [8, 4, overflow, n, n, n], &body)
    }

    fn file(packets: &[Vec<u8>]) -> Vec<u8> {
        [HEADER, &packets.concat()].concat()
    }

    fn message(packets: &[Vec<u8>]) -> String {
        decode(&file(packets)).unwrap_err().to_string()
    }

    /// Unused room, an invalid event, other types, an event that begins with `#`, larger events with the time
    /// elsewhere.
    fn example() -> Vec<u8> {
        let mixed =
            [event(3, 5, 3, 7), event(1, 1, 0, 8), event(127, 0, 1, 9), event(200, 200, 3, 10)].concat();
        let like_a_line = [event(0, 8, 3, 11), event(0, 9, 3, 12)].concat();
        let mut wide = [event(4, 6, 1, 1), 13_u32.to_le_bytes().to_vec()].concat();
        wide.extend([9; 12]);
        file(&[
            packet(0, [8, 4, 0, 1, 1, 1], b"#!special"[..8].as_ref()),
            packet(POLARITY, [8, 4, 0, 4, 3, 2], &mixed),
            packet(2, [5, 0, 0, 3, 1, 1], &[0xFF; 15]),
            packet(POLARITY, [8, 4, 0, 2, 2, 2], &like_a_line),
            packet(POLARITY, [8, 4, 0, 0, 0, 0], &[]),
            packet(POLARITY, [12, 8, 0, 2, 1, 1], &wide),
        ])
    }

    #[test]
    fn packets_are_read_by_their_headers() {
        let recording = decode(&example()).unwrap();
        let events: Vec<_> = recording.events.iter().map(|e| (e.x, e.y, e.on, e.t)).collect();
        let tail = [(0, 8, true, 11), (0, 9, true, 12), (4, 6, false, 13)];
        assert_eq!(events[..2], [(3, 5, true, 7), (127, 0, false, 9)]);
        assert_eq!(events[2..], tail);
        assert_eq!((recording.n_skipped, recording.sensor), (3, Some(SensorSize::new(128, 128))));
    }

    #[test]
    fn it_may_be_cut_anywhere() {
        decode::testing::check_decoder(Aedat31::new, &example());
    }

    #[test]
    fn events_that_need_a_look_stand_anywhere() {
        let words = || (0..2000).map(|k| event(k % 128, k % 100, 1 | k & 2, k));
        let read = |words: Vec<Vec<u8>>| {
            decode(&file(&[packet(POLARITY, [8, 4, 0, 2000, 2000, 0], &words.concat())]))
        };
        let all: Vec<Event> = read(words().collect()).unwrap().events.iter().collect();
        assert_eq!(all[1998], Event { x: 78, y: 98, on: true, t: 1998 });
        for at in [0, 1, 511, 512, 700, 1999] {
            let with =
                |word: Vec<u8>| read(words().take(at).chain([word]).chain(words().skip(at + 1)).collect());
            let recording = with(event(1, 1, 0, 9)).unwrap();
            assert!(recording.events.iter().eq(all[..at].iter().chain(&all[at + 1..]).copied()), "at {at}");
            assert_eq!(recording.n_skipped, 1);
            let outside = with(event(1, 128, 1, 9)).unwrap_err();
            assert!(matches!(outside, FormatError::OutsideSensor { y: 128, .. }), "{outside}");
            let late = with(event(1, 1, 1, 1 << 31)).unwrap_err();
            assert_eq!([outside.offset(), late.offset()], [Some(N + 28 + 8 * at); 2]);
        }
    }

    #[test]
    fn times_go_on_through_overflows() {
        let high = u32::MAX >> 1;
        let recording = decode(&file(&[polarity(0, &[high]), polarity(1, &[0, high])])).unwrap();
        assert_eq!((recording.events.t(), recording.origin_us), (&[high, 1 << 31, u32::MAX][..], 0));
        let recording = decode(&file(&[polarity(5, &[9]), polarity(6, &[8])])).unwrap();
        assert_eq!((recording.events.t(), recording.origin_us), (&[9, (1 << 31) + 8][..], 5 << 31));
        let late = message(&[polarity(1, &[0]), polarity(2, &[8])]);
        assert_eq!(late, format!("event at byte offset {}: its time is beyond 2^32 us", N + 36 + 28));
        let back = message(&[polarity(5, &[0]), polarity(4, &[8])]);
        let field =
            format!("header field eventTSOverflow at byte offset {} is 4, expected a clock", N + 36 + 12);
        assert!(back.starts_with(&field), "{back}");
    }

    #[test]
    fn sensors_are_known_by_name_or_by_the_caller() {
        let sensor = |sources: &str| {
            let file = format!("#!AER-DAT3.1\n{sources}#!END-HEADER\n");
            decode(file.as_bytes()).unwrap().sensor
        };
        let davis = Some(SensorSize::new(346, 260));
        assert_eq!(sensor("#Source 0: DAVIS346B\n#-Source 1: DVS128\n"), davis);
        assert_eq!(sensor("#Source 0: DAVIS346B\n#Source 1: DAVIS346C\n"), davis);
        assert_eq!(sensor("#Source 0: DAVIS346B\n#Source 1: DVS128\n"), None);
        assert_eq!(sensor("#Source 0: Other\n"), None);
        let file = file(&[polarity(0, &[1])]);
        let small = decode::decode(Aedat31::for_sensor(SensorSize::new(4, 5)), &file, Damage::Refuse);
        let outside = format!("event at byte offset {}: (x, y) = (3, 5) lies outside the 4x5 sensor", N + 28);
        assert!(small.unwrap_err().to_string().starts_with(&outside));
    }

    #[test]
    fn bad_headers_are_named() {
        let message = |bytes: &[u8]| decode(bytes).unwrap_err().to_string();
        assert_eq!(message(b""), "the file is empty, expected at least 13 bytes");
        let version = "header line at byte offset 0: \"#!AER-DAT3.0\", expected #!AER-DAT3.1";
        assert_eq!(message(b"#!AER-DAT3.0\r\n"), version);
        let cut = "truncated in header at byte offset 14: expected 13 bytes, found 2";
        assert_eq!(message(b"#!AER-DAT3.1\r\n#a"), cut);
        let format = "header line at byte offset 14: \"#Format: Compressed\", expected #Format: RAW";
        assert_eq!(message(b"#!AER-DAT3.1\r\n#Format: Compressed\r\n"), format);
        let other = "header line at byte offset 14: \"x\", expected lines of text that begin with #";
        assert!(message(b"#!AER-DAT3.1\r\nx\r\n").starts_with(other));
    }

    #[test]
    fn bad_packets_are_named() {
        let fields = |kind, fields| message(&[packet(kind, fields, &[0; 8])]);
        let field = |name, at: usize, found, expected| {
            format!("header field {name} at byte offset {} is {found}, expected {expected}", N + at)
        };
        let negative = fields(1, [8, 4, 0, 1 << 31, 1, 1]);
        assert_eq!(negative, field("eventCapacity", 16, 1_u32 << 31, "a number below 2^31"));
        let number = fields(3, [8, 4, 0, 1, 2, 2]);
        assert_eq!(number, field("eventNumber", 20, 2, "at most eventCapacity"));
        let small = fields(1, [7, 3, 0, 1, 1, 1]);
        assert_eq!(small, field("eventSize", 4, 7, "at least 8, for polarity events"));
        let time_at = fields(1, [8, 5, 0, 1, 1, 1]);
        assert_eq!(time_at, field("eventTSOffset", 8, 5, "a time within the event"));
        let long = fields(2, [u32::MAX >> 1, 4, 0, u32::MAX >> 1, 1, 1]);
        assert_eq!(long, format!("header or packet at byte offset {N} is longer than {MAX_PACKET} bytes"));
        let time = format!("time at byte offset {} is 0x80000000, expected a time below 2^31", N + 28);
        assert_eq!(message(&[polarity(0, &[1 << 31])]), time);
    }

    #[test]
    fn cut_packets_are_named() {
        let cut = |fields, body: &[u8]| message(&[packet(POLARITY, fields, body)]);
        let at = |offset: usize| format!("truncated in packet at byte offset {}: expected", N + offset);
        let head = format!("truncated in packet header at byte offset {N}: expected 28 bytes, found 3");
        assert_eq!(message(&[vec![1, 0, 1]]), head);
        let body = cut([8, 4, 0, 3, 2, 2], &[0; 11]);
        assert_eq!(body, format!("{} 16 bytes, found 3", at(36)));
        let unused = cut([8, 4, 0, 3, 1, 1], &[0; 11]);
        assert_eq!(unused, format!("{} 13 bytes, found 0", at(39)));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let field = |x, y| {
            let events: EventStream = [Event { x, y, on: true, t: 0 }].into_iter().collect();
            match encode(&events, SensorSize::new(u16::MAX, 10)).unwrap_err() {
                FormatError::Unwritable { field, .. } => field,
                other => panic!("{other}"),
            }
        };
        assert_eq!((field(1 << 15, 0), field(0, 10)), ("x", "y"));
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_fail(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            header in prop::sample::select(vec![&b""[..], b"#!AER-DAT3.1\n", HEADER]),
        ) {
            let file = [header, &bytes].concat();
            if let Ok(recording) = decode(&file) {
                prop_assert!(recording.events.len() <= bytes.len() / EVENT_BYTES);
            }
        }

        #[test]
        fn any_packets_decode_or_fail(
            packets in prop::collection::vec(
                (
                    (0u16..3, 0u32..20, 0u32..20, 0u32..3, 0u32..5, 0u32..5),
                    prop::collection::vec(any::<u8>(), 0..80),
                ),
                0..5,
            ),
        ) {
            let packets: Vec<_> = packets.into_iter()
                .map(|((kind, size, time_at, overflow, n, less), body)| {
                    packet(kind, [size, time_at, overflow, n, n.saturating_sub(less), 0], &body)
                })
                .collect();
            let file = file(&packets);
            if let Ok(recording) = decode(&file) {
                prop_assert!(recording.events.len() <= file.len() / EVENT_BYTES);
            }
        }

        #[test]
        fn writing_then_reading_gives_the_events_back(
            events in prop::collection::vec((0u16..128, 0u16..100, any::<bool>(), any::<u32>()), 0..50),
            copies in 1usize..200,
            height in prop::sample::select(vec![128u16, 100]),
        ) {
            let event = |&(x, y, on, t): &(u16, u16, bool, u32)| Event { x, y, on, t };
            let events: EventStream = events.iter().flat_map(|e| vec![event(e); copies]).collect();
            let recording = decode(&encode(&events, SensorSize::new(128, height)).unwrap()).unwrap();
            prop_assert_eq!(recording.events, events);
            prop_assert_eq!((recording.n_skipped, recording.origin_us), (0, 0));
        }
    }
}
