//! Events in NumPy's files: `.npy` arrays as Tonic saves them, `.npz` archives as SpikingJelly does.
//!
//! | file | what it holds |
//! |---|---|
//! | structured `.npy` | `[N]` records with fields `x`, `y`, `p`, `t` in any order, others ignored |
//! | plain `.npy` | `[N, 4]` numbers, row-major or not; [`NpyOptions::columns`] says which column is what |
//! | `.npz` | arrays `x`, `y`, `p`, `t` of `[N]` numbers, or a single array as above; compressed or not |
//!
//! Numbers are integers of 1 to 8 bytes, booleans, or floats of 2 to 8 bytes, of either byte order. Without `y`
//! (recordings of sound) all events lie in row 0. Polarity is 1 or true for ON, 0, -1 or false for OFF. The origin
//! is top-left if whoever saved the file kept it there: nothing in the file tells, and the sensor is not named
//! either.
//!
//! # Traps
//!
//! - Tonic's copy of DVS128 Gesture (plain, columns x, y, p, t) has its times in ms: ask for
//!   [`TimeUnit::Milliseconds`]. Most other files have us.
//! - `t, x, y, p` is as common an order of plain columns as Tonic's `x, y, p, t`, and no file says which it is. A
//!   wrong order mostly fails, since times are no polarities.
//! - Pickled arrays (of type object) are refused.
//! - Where the first event's time does not fit into 31 bits, [`Decode::origin_us`] is the multiple of 2^31 us
//!   before it. Events earlier than that, or 2^32 us (71 minutes) after it, are errors.
//! - Values in floats must be whole for x, y and p; times are rounded half to even to us.
//!
//! A `.npy` file is read as a stream, [`NpyEvents`]; an archive has its directory at its end and needs to be in
//! memory. An archive that expands to more than 256 bytes per byte, plus 1 MiB, is refused.
//!
//! # References
//!
//! NumPy, "NEP 1: a simple file format for NumPy arrays", <https://numpy.org/neps/nep-0001-npy-format.html>;
//! PKWARE, "APPNOTE.TXT: .ZIP file format specification"; Lenz et al., "Tonic", 2021, doi:10.5281/zenodo.5079802;
//! Fang et al., "SpikingJelly", 2023, doi:10.1126/sciadv.adi1480.

mod archive;
mod header;

use npyz::{DType, Order};

use super::any::Spec;
use super::decode::{self, Damage, Decode, Origin, Recording};
use super::number::{Number, Value};
use crate::error::FormatError;
use crate::event::{Event, EventStream};
use crate::num::wide;
use archive::{ARCHIVE_MAGIC, decode_archive};
use header::{Header, MAGIC, number_of};

/// Why a word is no time.
const TIMES: &str = "a time, at most 2^31 us before the first event";

pub(super) const SPEC: Spec = Spec {
    name: "npy",
    endings: &["npy", "npz"],
    endings_written: &[],
    begins: |head| head.starts_with(MAGIC),
    decoder: |_| Box::new(NpyEvents::new(NpyOptions::default())),
    encode: None,
};

/// What a column of a plain array holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Column {
    /// Pixel columns.
    X,
    /// Pixel rows.
    Y,
    /// Polarities.
    P,
    /// Times.
    T,
}

/// Unit of the times in a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum TimeUnit {
    /// us.
    #[default]
    Microseconds,
    /// ms.
    Milliseconds,
    /// s.
    Seconds,
}

impl TimeUnit {
    const fn us(self) -> u32 {
        match self {
            Self::Microseconds => 1,
            Self::Milliseconds => 1_000,
            Self::Seconds => 1_000_000,
        }
    }
}

/// What the files do not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NpyOptions {
    /// Order of the columns of plain arrays.
    pub columns: [Column; 4],
    /// Unit of the times.
    pub time: TimeUnit,
}

impl Default for NpyOptions {
    /// Tonic's columns x, y, p, t, and us.
    fn default() -> Self {
        Self { columns: [Column::X, Column::Y, Column::P, Column::T], time: TimeUnit::Microseconds }
    }
}

/// Decodes the bytes of a recording, `.npy` or `.npz`.
///
/// # Errors
///
/// [`FormatError::Empty`]; [`FormatError::BadHeaderLine`], [`FormatError::BadHeader`] and [`FormatError::TooLong`]
/// for an array's header; [`FormatError::BadWord`] and [`FormatError::TimeOverflow`] for its values;
/// [`FormatError::Truncated`] and [`FormatError::TrailingBytes`]. For archives also [`FormatError::BadContainer`],
/// [`FormatError::SuspiciousGzip`], [`FormatError::MissingArray`] and [`FormatError::ArrayLength`], with the
/// others within [`FormatError::InArray`].
///
/// # Examples
///
/// ```
/// use snn_data::format::npy_events::{NpyOptions, decode};
///
/// // An event of fields t (u4), x, y (u1) and p (bool): ON at (3, 5), 1000 us.
/// let header = "{'descr': [('t', '<u4'), ('x', '|u1'), ('y', '|u1'), ('p', '|b1')], \
///               'fortran_order': False, 'shape': (1,)}\n";
/// let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
/// bytes.extend(u16::try_from(header.len()).unwrap().to_le_bytes());
/// bytes.extend(header.bytes().chain([0xE8, 3, 0, 0, 3, 5, 1]));
/// let events = decode(&bytes, &NpyOptions::default())?.events;
/// assert_eq!((events.x(), events.y(), events.on(), events.t()), (&[3][..], &[5][..], &[true][..], &[1000][..]));
/// # Ok::<(), snn_data::error::FormatError>(())
/// ```
pub fn decode(bytes: &[u8], options: &NpyOptions) -> Result<Recording, FormatError> {
    if is_archive(bytes) {
        decode_archive(bytes, options)
    } else {
        decode::decode(NpyEvents::new(*options), bytes, Damage::Refuse)
    }
}

/// Whether a file is an archive (`.npz`), by its first bytes.
pub fn is_archive(bytes: &[u8]) -> bool {
    bytes.starts_with(ARCHIVE_MAGIC)
}

/// The state machine of `.npy` files.
#[derive(Debug, Clone)]
pub struct NpyEvents {
    options: NpyOptions,
    rows: Option<Rows>,
    n_done: usize,
    clock: Clock,
}

impl NpyEvents {
    /// A decoder at the beginning of a file.
    pub fn new(options: NpyOptions) -> Self {
        Self { options, rows: None, n_done: 0, clock: Clock::new(options.time) }
    }
}

impl Decode for NpyEvents {
    fn feed(&mut self, bytes: &[u8], offset: usize, events: &mut EventStream) -> Result<usize, FormatError> {
        let (rows, start) = match self.rows {
            Some(rows) => (rows, 0),
            None => match Header::parse(bytes)? {
                None => return Ok(0),
                Some(header) => (Rows::of(&header, &self.options)?, header.len),
            },
        };
        self.rows = Some(rows);
        let (data, offset) = (bytes.get(start..).unwrap_or_default(), offset + start);
        let n_left = rows.n - self.n_done;
        // Without row-major order no event is whole before all are.
        let n = match (data.len() / rows.bytes).min(n_left) {
            n if n < n_left && !rows.is_row_major => 0,
            n => n,
        };
        events.reserve(n);
        for k in 0..n {
            events.push(rows.event(data, k, offset, &mut self.clock)?);
        }
        self.n_done += n;
        let taken = n * rows.bytes;
        if self.n_done == rows.n && data.len() > taken {
            return Err(FormatError::TrailingBytes { offset: offset + taken });
        }
        Ok(start + taken)
    }

    fn finish(&self, rest: &[u8], offset: usize) -> Result<(), FormatError> {
        let expected = match &self.rows {
            Some(rows) => wide((rows.n - self.n_done).saturating_mul(rows.bytes)),
            None => return Err(Header::incomplete(rest)),
        };
        if expected == 0 {
            return Ok(());
        }
        Err(FormatError::Truncated { field: "events", offset, expected, found: rest.len() })
    }

    fn origin_us(&self) -> i64 {
        self.clock.origin.us()
    }
}

/// A stored number, with its place for messages.
#[derive(Clone, Copy)]
struct Word<'a> {
    bytes: &'a [u8],
    number: Number,
    offset: usize,
}

impl Word<'_> {
    fn value(&self) -> Option<Value> {
        self.number.value(self.bytes)
    }

    fn bad(&self, field: &'static str, expected: &'static str) -> FormatError {
        FormatError::BadWord { field, offset: self.offset, found: self.number.bits(self.bytes), expected }
    }

    fn coordinate(&self, field: &'static str) -> Result<u16, FormatError> {
        let value = self.value().and_then(Value::integer).and_then(|value| u16::try_from(value).ok());
        value.ok_or_else(|| self.bad(field, "a whole number of 0..65535"))
    }

    fn polarity(&self) -> Result<bool, FormatError> {
        match self.value().and_then(Value::integer) {
            Some(1) => Ok(true),
            Some(0 | -1) => Ok(false),
            _ => Err(self.bad("p", "0 or 1, or -1 or 1")),
        }
    }
}

/// Turns the times of a file into times from an origin that the first event sets.
#[derive(Debug, Clone)]
struct Clock {
    factor: u32,
    origin: Origin,
}

impl Clock {
    fn new(unit: TimeUnit) -> Self {
        Self { factor: unit.us(), origin: Origin::default() }
    }

    fn read(&mut self, word: &Word<'_>) -> Result<u32, FormatError> {
        let value = word.value().and_then(|value| value.rounded_times(self.factor));
        let value = value.ok_or_else(|| word.bad("t", TIMES))?;
        let since = self.origin.since(value).ok_or_else(|| word.bad("t", TIMES))?;
        u32::try_from(since).map_err(|_| FormatError::TimeOverflow { offset: word.offset })
    }
}

/// Where a value of row `k` lies: at `start + k * stride` of the data.
#[derive(Debug, Clone, Copy)]
struct Place {
    start: usize,
    stride: usize,
    number: Number,
}

impl Place {
    fn word<'a>(&self, data: &'a [u8], k: usize, offset: usize) -> Option<Word<'a>> {
        let at = self.start.checked_add(k.checked_mul(self.stride)?)?;
        let bytes = data.get(at..at.checked_add(self.number.size())?)?;
        Some(Word { bytes, number: self.number, offset: offset + at })
    }
}

/// Where the values of the events of an array lie.
#[derive(Debug, Clone, Copy)]
struct Rows {
    n: usize,
    bytes: usize,
    is_row_major: bool,
    x: Place,
    y: Option<Place>,
    p: Place,
    t: Place,
}

impl Rows {
    fn of(header: &Header, options: &NpyOptions) -> Result<Self, FormatError> {
        match header.npy.dtype() {
            DType::Record(fields) => Self::of_fields(header, &fields),
            _ => Self::of_columns(header, options),
        }
    }

    fn of_fields(header: &Header, fields: &[npyz::Field]) -> Result<Self, FormatError> {
        let n = header.n_rows(&[], "one axis of events")?;
        let expected = "numbers in fields x, p, t and mostly y";
        let bytes = header.npy.dtype().num_bytes().ok_or_else(|| header.bad_type(expected))?;
        let place = |name: &str| {
            let k = fields.iter().position(|field| field.name == name)?;
            let (before, rest) = fields.split_at(k);
            let start = before.iter().filter_map(|field| field.dtype.num_bytes()).sum();
            let number = rest.first().and_then(|field| number_of(&field.dtype));
            Some(number.map(|number| Place { start, stride: bytes, number }))
        };
        let required = |name| place(name).flatten().ok_or_else(|| header.bad_type(expected));
        let y = place("y").map(|_| required("y")).transpose()?;
        Ok(Self { n, bytes, is_row_major: true, x: required("x")?, y, p: required("p")?, t: required("t")? })
    }

    fn of_columns(header: &Header, options: &NpyOptions) -> Result<Self, FormatError> {
        let expected = "numbers, or records of numbers";
        let number = number_of(&header.npy.dtype()).ok_or_else(|| header.bad_type(expected))?;
        let n = header.n_rows(&[4], "events in rows of 4 numbers")?;
        let is_row_major = header.npy.order() == Order::C;
        let column = |wanted| {
            let k = options.columns.iter().position(|&column| column == wanted);
            let k = k.ok_or_else(|| header.bad_type("columns x, y, p and t, each once"))?;
            let (start, stride) = if is_row_major { (k, 4) } else { (k.saturating_mul(n), 1) };
            Ok(Place { start: start.saturating_mul(number.size()), stride: stride * number.size(), number })
        };
        let (x, y, p, t) = (column(Column::X)?, column(Column::Y)?, column(Column::P)?, column(Column::T)?);
        Ok(Self { n, bytes: 4 * number.size(), is_row_major, x, y: Some(y), p, t })
    }

    /// Event `k` of `data`, which holds it.
    fn event(&self, data: &[u8], k: usize, offset: usize, clock: &mut Clock) -> Result<Event, FormatError> {
        let word = |place: &Place| {
            let (expected, found) = (wide(self.bytes), data.len());
            place.word(data, k, offset).ok_or(FormatError::Truncated {
                field: "events",
                offset,
                expected,
                found,
            })
        };
        let y = self.y.as_ref().map_or(Ok(0), |y| word(y)?.coordinate("y"))?;
        let (x, on) = (word(&self.x)?.coordinate("x")?, word(&self.p)?.polarity()?);
        Ok(Event { x, y, on, t: clock.read(&word(&self.t)?)? })
    }
}

#[cfg(test)]
mod tests;
