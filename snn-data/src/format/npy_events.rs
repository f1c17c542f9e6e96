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

use std::io::{Cursor, Read};

use npyz::{DType, Endianness, NpyHeader, Order, TypeChar, TypeStr};
use zip::ZipArchive;

use super::any::Spec;
use super::decode::{self, Damage, Decode, Origin, Recording};
use super::number::{Kind, Number, Value};
use crate::error::FormatError;
use crate::event::{Event, EventStream};
use crate::num::{index, wide};

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// How an archive with at least one file begins.
const ARCHIVE_MAGIC: &[u8] = b"PK\x03\x04";
/// Bytes of a header without text.
const SHORTEST_HEADER: usize = 10;
/// Most bytes of a header's text; real ones have some hundred.
const MAX_HEADER: usize = 1 << 12;
/// Deepest brackets within brackets: a dictionary of a list of tuples with a tuple.
const MAX_DEPTH: usize = 4;
/// Archives may expand to this many bytes per byte, ...
const MAX_EXPANSION: u64 = 256;
/// ... plus this many.
const FREE_EXPANSION: u64 = 1 << 20;
/// What an archive should hold.
const ARRAYS: &str = "x, p, t and mostly y, or a single array of events";
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

/// The header of an array.
struct Header {
    npy: NpyHeader,
    /// Bytes before the text, and of all.
    text: usize,
    len: usize,
}

impl Header {
    /// Bytes of the header at the front of `bytes`, if they say.
    fn announced(bytes: &[u8]) -> Option<usize> {
        match bytes.get(6..)? {
            [1, 0, low, high, ..] => Some(10 + usize::from(u16::from_le_bytes([*low, *high]))),
            [2 | 3, 0, a, b, c, d, ..] => Some(index(12 + u64::from(u32::from_le_bytes([*a, *b, *c, *d])))),
            _ => None,
        }
    }

    /// The error of a file that is over within its header.
    fn incomplete(bytes: &[u8]) -> FormatError {
        if bytes.is_empty() {
            return FormatError::Empty { expected: SHORTEST_HEADER };
        }
        let expected = wide(Self::announced(bytes).unwrap_or(SHORTEST_HEADER));
        FormatError::Truncated { field: "header", offset: 0, expected, found: bytes.len() }
    }

    /// The header at the front of `bytes`; `None` when they are only its beginning.
    fn parse(bytes: &[u8]) -> Result<Option<Self>, FormatError> {
        if !bytes.iter().zip(MAGIC).all(|(found, expected)| found == expected) {
            return Err(bad_line(0, bytes, "\\x93NUMPY, an array of NumPy"));
        }
        if let Some(&[version, minor]) = bytes.get(6..8)
            && !(matches!(version, 1..=3) && minor == 0)
        {
            let (found, expected) = (u64::from(version) << 8 | u64::from(minor), "0x100, 0x200 or 0x300");
            return Err(FormatError::BadWord { field: "version", offset: 6, found, expected });
        }
        let Some(len) = Self::announced(bytes) else { return Ok(None) };
        let text = if bytes.get(6) == Some(&1) { 10 } else { 12 };
        if len - text > MAX_HEADER {
            return Err(FormatError::TooLong { offset: 0, limit: MAX_HEADER });
        }
        let Some(whole) = bytes.get(..len) else { return Ok(None) };
        let line = whole.get(text..).unwrap_or_default();
        let npy = Some(whole).filter(|_| is_plain(line)).map(NpyHeader::from_reader).and_then(Result::ok);
        let expected = "a short dictionary of descr, fortran_order and shape";
        let npy = npy.ok_or_else(|| bad_line(text, line, expected))?;
        Ok(Some(Self { npy, text, len }))
    }

    /// Number of rows, and whether the array has `axes` with these lengths after the first.
    fn n_rows(&self, axes: &[u64], expected: &'static str) -> Result<usize, FormatError> {
        match self.npy.shape().split_first() {
            Some((&n, others)) if others == axes => {
                let found =
                    || FormatError::BadHeader { field: "shape", offset: self.text, found: n, expected };
                usize::try_from(n).map_err(|_| found())
            }
            _ => Err(bad_line(self.text, format!("shape {:?}", self.npy.shape()).as_bytes(), expected)),
        }
    }

    fn bad_type(&self, expected: &'static str) -> FormatError {
        bad_line(self.text, self.npy.dtype().descr().as_bytes(), expected)
    }
}

/// An error about a line of a header.
fn bad_line(offset: usize, line: &[u8], expected: &'static str) -> FormatError {
    let line = String::from_utf8_lossy(line.get(..120).unwrap_or(line));
    let found = line.trim_end().replace(char::is_control, "?");
    FormatError::BadHeaderLine { offset, found, expected }
}

/// Whether a header is of the plain kind that NumPy writes. What parses it takes any Python literal, recurses, and
/// multiplies sizes unchecked: so brackets must be shallow, and all integers decimal with a product (without
/// zeros) of at most 2^63.
fn is_plain(text: &[u8]) -> bool {
    let mut depth = 0usize;
    let mut product = Some(1u64);
    let mut rest = text;
    while let Some((&c, tail)) = rest.split_first() {
        rest = tail;
        match c {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b'0'..=b'9' => {
                let n = tail.iter().position(|b| !b.is_ascii_digit()).unwrap_or(tail.len());
                let (digits, after) = tail.split_at(n);
                let value = digits.iter().try_fold(u64::from(c - b'0'), |value, digit| {
                    value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
                });
                product = product.zip(value).and_then(|(p, v)| p.checked_mul(v.max(1)));
                let runs_on = after.first().is_some_and(|b| b.is_ascii_alphabetic() || b"_.".contains(b));
                if runs_on || product.is_none_or(|product| product > 1 << 63) {
                    return false;
                }
                rest = after;
            }
            _ => {}
        }
        if depth > MAX_DEPTH {
            return false;
        }
    }
    true
}

/// How numbers of a type are stored; `None` for a type that is not read.
fn number_of(dtype: &DType) -> Option<Number> {
    let DType::Plain(name) = dtype else { return None };
    let kind = match name.type_char() {
        TypeChar::Int => Kind::Signed,
        TypeChar::Uint | TypeChar::Bool => Kind::Unsigned,
        TypeChar::Float => Kind::Float,
        _ => return None,
    };
    Number::new(kind, TypeStr::num_bytes(name)?, name.endianness() == Endianness::Big)
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

/// An array of an archive.
struct Member {
    name: String,
    bytes: Vec<u8>,
}

impl Member {
    fn problem(&self, problem: FormatError) -> FormatError {
        FormatError::InArray { array: self.name.clone(), problem: Box::new(problem) }
    }

    /// The words of an array of one axis.
    fn words(&self) -> Result<Words<'_>, FormatError> {
        let read = || {
            let header = Header::parse(&self.bytes)?.ok_or_else(|| Header::incomplete(&self.bytes))?;
            let number = number_of(&header.npy.dtype()).ok_or_else(|| header.bad_type("numbers"))?;
            let n = header.n_rows(&[], "one axis")?;
            let (data, expected) =
                (self.bytes.get(header.len..).unwrap_or_default(), n.saturating_mul(number.size()));
            let (offset, found) = (header.len, data.len());
            if found < expected {
                return Err(FormatError::Truncated {
                    field: "values",
                    offset,
                    expected: wide(expected),
                    found,
                });
            } else if found > expected {
                return Err(FormatError::TrailingBytes { offset: offset + expected });
            }
            Ok(Words { data, n, offset, place: Place { start: 0, stride: number.size(), number } })
        };
        read().map_err(|problem| self.problem(problem))
    }
}

/// The values of an array of one axis.
struct Words<'a> {
    data: &'a [u8],
    n: usize,
    offset: usize,
    place: Place,
}

impl<'a> Words<'a> {
    fn iter(&self) -> impl Iterator<Item = Word<'a>> + '_ {
        (0..self.n).map_while(|k| self.place.word(self.data, k, self.offset))
    }
}

fn decode_archive(bytes: &[u8], options: &NpyOptions) -> Result<Recording, FormatError> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(bad_archive)?;
    let mut budget = wide(bytes.len()).saturating_mul(MAX_EXPANSION).saturating_add(FREE_EXPANSION);
    if archive.index_for_name("t.npy").is_none() && archive.len() == 1 {
        let member = unpack(&mut archive, 0, &mut budget, bytes.len())?;
        let recording = decode::decode(NpyEvents::new(*options), &member.bytes, Damage::Refuse);
        return recording.map_err(|problem| member.problem(problem));
    }
    let mut find = |entry: &str| {
        let index = archive.index_for_name(entry);
        index.map(|index| unpack(&mut archive, index, &mut budget, bytes.len())).transpose()
    };
    let missing = |array| FormatError::MissingArray { array, expected: ARRAYS };
    let t = find("t.npy")?.ok_or_else(|| missing("t"))?;
    let x = find("x.npy")?.ok_or_else(|| missing("x"))?;
    let p = find("p.npy")?.ok_or_else(|| missing("p"))?;
    let y = find("y.npy")?;
    from_columns([&t, &x, &p], y.as_ref(), Clock::new(options.time))
}

fn bad_archive(cause: impl Into<std::io::Error>) -> FormatError {
    FormatError::BadContainer { format: ".npz", cause: cause.into() }
}

/// Unpacks an array, and takes its bytes from the `budget` of the archive's `compressed` ones.
fn unpack(
    archive: &mut ZipArchive<Cursor<&[u8]>>,
    index: usize,
    budget: &mut u64,
    compressed: usize,
) -> Result<Member, FormatError> {
    let entry = archive.by_index(index).map_err(bad_archive)?;
    let name = String::from_utf8_lossy(entry.name_raw()).into_owned();
    let mut bytes = Vec::new();
    entry.take(budget.saturating_add(1)).read_to_end(&mut bytes).map_err(bad_archive)?;
    let announced = wide(bytes.len());
    let too_far = FormatError::SuspiciousGzip { announced, compressed, limit: MAX_EXPANSION };
    *budget = budget.checked_sub(announced).ok_or(too_far)?;
    Ok(Member { name, bytes })
}

fn from_columns(
    [t, x, p]: [&Member; 3],
    y: Option<&Member>,
    mut clock: Clock,
) -> Result<Recording, FormatError> {
    let (times, columns, polarities) = (t.words()?, x.words()?, p.words()?);
    let rows = y.map(Member::words).transpose()?;
    let others = [(x, columns.n), (p, polarities.n)].into_iter().chain(y.zip(rows.as_ref().map(|y| y.n)));
    for (member, found) in others {
        if found != times.n {
            let (array, expected) = (member.name.clone(), times.n);
            return Err(FormatError::ArrayLength { array, found, expected });
        }
    }
    let time = |word: Word<'_>| clock.read(&word).map_err(|problem| t.problem(problem));
    let in_x = |word: Word<'_>| word.coordinate("x").map_err(|problem| x.problem(problem));
    let in_p = |word: Word<'_>| word.polarity().map_err(|problem| p.problem(problem));
    let ts = times.iter().map(time).collect::<Result<Vec<_>, _>>()?;
    let xs = columns.iter().map(in_x).collect::<Result<Vec<_>, _>>()?;
    let ons = polarities.iter().map(in_p).collect::<Result<Vec<_>, _>>()?;
    let ys = match y.zip(rows) {
        None => vec![0; times.n],
        Some((y, rows)) => {
            let in_y = |word: Word<'_>| word.coordinate("y").map_err(|problem| y.problem(problem));
            rows.iter().map(in_y).collect::<Result<Vec<_>, _>>()?
        }
    };
    let events = xs.into_iter().zip(ys).zip(ons).zip(ts).map(|(((x, y), on), t)| Event { x, y, on, t });
    let events = events.collect();
    Ok(Recording { events, origin_us: clock.origin.us(), ..Recording::default() })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;
    use zip::write::SimpleFileOptions;
    use zip::{CompressionMethod, ZipWriter};

    use super::*;

    fn npy(descr: &str, order: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let text = format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}");
        let text = format!("{text:<117}\n");
        let len = u16::try_from(text.len()).unwrap().to_le_bytes();
        [MAGIC, &[1, 0][..], &len, text.as_bytes(), data].concat()
    }

    fn zip(members: &[(&str, Vec<u8>)], method: CompressionMethod) -> Vec<u8> {
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in members {
            let options = SimpleFileOptions::default().compression_method(method);
            archive.start_file(*name, options).unwrap();
            archive.write_all(bytes).unwrap();
        }
        archive.finish().unwrap().into_inner()
    }

    fn read(bytes: &[u8]) -> Recording {
        decode(bytes, &NpyOptions::default()).unwrap()
    }

    fn message(bytes: &[u8]) -> String {
        decode(bytes, &NpyOptions::default()).unwrap_err().to_string()
    }

    fn tuples(recording: &Recording) -> Vec<(u16, u16, bool, u32)> {
        recording.events.iter().map(|e| (e.x, e.y, e.on, e.t)).collect()
    }

    const EXPECTED: [(u16, u16, bool, u32); 2] = [(3, 258, true, 7), (4, 5, false, 70_000)];

    /// The two events as records of padded fields, some of them big-endian.
    fn structured() -> Vec<u8> {
        let descr =
            "[('t', '<i8'), ('x', '>i2'), ('', '|V3'), ('p', '|b1'), ('y', '<u4'), ('more', '<f4', (2,))]";
        let row = |t: i64, x: i16, p, y: u32| {
            [&t.to_le_bytes()[..], &x.to_be_bytes(), &[9; 3], &[p], &y.to_le_bytes(), &[0xFF; 8]].concat()
        };
        npy(descr, "False", "(2,)", &[row(7, 3, 1, 258), row(70_000, 4, 0, 5)].concat())
    }

    /// The two events as an archive of columns.
    fn columns(method: CompressionMethod) -> Vec<u8> {
        let i8s = |a: i64, b: i64| [a.to_le_bytes(), b.to_le_bytes()].concat();
        let one = |descr, data: &[u8]| npy(descr, "False", "(2,)", data);
        let arrays = [
            ("t.npy", one("'<i8'", &i8s(7, 70_000))),
            ("x.npy", one("'<u2'", &[3, 0, 4, 0])),
            ("y.npy", one("'>i2'", &[1, 2, 0, 5])),
            ("p.npy", one("'|b1'", &[1, 0])),
        ];
        zip(&arrays, method)
    }

    #[test]
    fn fields_are_found_by_name() {
        assert_eq!(tuples(&read(&structured())), EXPECTED);
        assert_eq!(read(&structured()).sensor, None);
        let sound =
            npy("[('t', '<u4'), ('x', '|u1'), ('p', '|i1')]", "False", "(1,)", &[1, 2, 0, 0, 200, 0xFF]);
        assert_eq!(tuples(&read(&sound)), [(200, 0, false, 513)]);
        assert!(
            read(&npy("[('t', '<u4'), ('x', '|u1'), ('p', '|i1')]", "False", "(0,)", &[])).events.is_empty()
        );
    }

    #[test]
    fn columns_are_found_by_order() {
        let rows = [[3.0, 258.0, 1.0, 7.0], [4.0, 5.0, 0.0, 70_000.0f64]];
        let bytes =
            |rows: &[[f64; 4]]| rows.iter().flatten().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        let by_rows = npy("'<f8'", "False", "(2, 4)", &bytes(&rows));
        assert_eq!(tuples(&read(&by_rows)), EXPECTED);
        let columns: Vec<u8> = (0..4).flat_map(|k| rows.map(|row| row[k].to_le_bytes()).concat()).collect();
        let by_columns = npy("'<f8'", "True", "(2, 4)", &columns);
        assert_eq!(tuples(&read(&by_columns)), EXPECTED);
        let first_t = NpyOptions {
            columns: [Column::T, Column::X, Column::Y, Column::P],
            time: TimeUnit::Milliseconds,
        };
        let rows = bytes(&[[0.0015, 3.0, 4.0, -1.0], [2.0025, 3.0, 4.0, 1.0]]);
        let recording = decode(&npy("'<f8'", "False", "(2, 4)", &rows), &first_t).unwrap();
        assert_eq!(tuples(&recording), [(3, 4, false, 2), (3, 4, true, 2_002)]);
    }

    #[test]
    fn archives_are_read_packed_or_not() {
        for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
            assert_eq!(tuples(&read(&columns(method))), EXPECTED);
            assert_eq!(tuples(&read(&zip(&[("events.npy", structured())], method))), EXPECTED);
        }
    }

    #[test]
    fn large_times_move_the_origin() {
        let times = |t: &[i64]| {
            let row = |t: &i64| [&t.to_le_bytes()[..], &[0, 0]].concat();
            let shape = format!("({},)", t.len());
            let data: Vec<u8> = t.iter().flat_map(row).collect();
            npy("[('t', '<i8'), ('x', '|u1'), ('p', '|u1')]", "False", &shape, &data)
        };
        let origin = |t: &[i64]| {
            let recording = read(&times(t));
            (recording.origin_us, recording.events.t().to_vec())
        };
        assert_eq!(origin(&[(1 << 31) - 1, u32::MAX.into()]), (0, vec![(1 << 31) - 1, u32::MAX]));
        assert_eq!(origin(&[(5 << 31) + 9, 5 << 31]), (5 << 31, vec![9, 0]));
        assert_eq!(origin(&[-1, 1]), (-1 << 31, vec![(1 << 31) - 1, (1 << 31) + 1]));
        let start = times(&[]).len();
        let late = format!("event at byte offset {}: its time is beyond 2^32 us", start + 10);
        assert_eq!(message(&times(&[0, 1 << 32])), late);
        let early = format!("t at byte offset {} is 0xffffffffffffffff, expected a time, at", start + 10);
        assert!(message(&times(&[0, -1])).starts_with(&early), "{}", message(&times(&[0, -1])));
    }

    #[test]
    fn it_may_be_cut_anywhere() {
        let new = || NpyEvents::new(NpyOptions::default());
        decode::testing::check_decoder(new, &structured());
        decode::testing::check_decoder(new, &npy("'|u1'", "True", "(2, 4)", &[1, 2, 3, 4, 1, 0, 7, 8]));
    }

    #[test]
    fn bad_headers_are_named() {
        assert_eq!(message(&[]), "the file is empty, expected at least 10 bytes");
        let magic = "header line at byte offset 0: \"text\", expected \\x93NUMPY, an array of NumPy";
        assert_eq!(message(b"text"), magic);
        let version = "version at byte offset 6 is 0x400, expected 0x100, 0x200 or 0x300";
        assert_eq!(message(b"\x93NUMPY\x04\x00\x04\x00{  }"), version);
        assert_eq!(
            message(b"\x93NUMPY\x01\x00\xFF\x00{"),
            "truncated in header at byte offset 0: expected 265 bytes, found 11"
        );
        assert!(message(b"\x93NUMPY\x01\x00\xFF\xFF").contains("at byte offset 0 is longer than 4096 bytes"));
        let ends = |descr, shape, end: &str| {
            let message = message(&npy(descr, "False", shape, &[0; 8]));
            assert!(
                message.starts_with("header line at byte offset 10: ") && message.ends_with(end),
                "{message}"
            );
        };
        ends("'|u1'", "(2,)", "\"shape [2]\", expected events in rows of 4 numbers");
        ends("'|u1'", "(2, 3)", "\"shape [2, 3]\", expected events in rows of 4 numbers");
        ends("'|O'", "(2, 4)", "\"'|O'\", expected numbers, or records of numbers");
        let fields = "expected numbers in fields x, p, t and mostly y";
        ends("[('t', '<i4'), ('x', '<u2'), ('y', '<u2')]", "(1,)", fields);
        ends("[('t', '<i4'), ('x', '|S2'), ('p', '<u2')]", "(1,)", fields);
        ends("[('t', '<i4'), ('x', '|u1'), ('p', '|b1'), ('y', '|O')]", "(1,)", fields);
        let dictionary = "expected a short dictionary of descr, fortran_order and shape";
        ends("'|u1'", "(99999999999, 4, 99999999999)", dictionary);
        ends("[[[[[[]]]]]]", "(2,)", dictionary);
        ends("'|u1'", "(1e9, 4)", dictionary);
        let twice = NpyOptions { columns: [Column::X; 4], ..NpyOptions::default() };
        let error = decode(&npy("'|u1'", "False", "(2, 4)", &[0; 8]), &twice).unwrap_err().to_string();
        assert!(error.ends_with("expected columns x, y, p and t, each once"), "{error}");
    }

    #[test]
    fn bad_values_are_named() {
        let plain = |data: &[u8]| npy("'<f4'", "False", "(1, 4)", data);
        let row = |row: [f32; 4]| message(&plain(&row.map(f32::to_le_bytes).concat()));
        let start = plain(&[]).len();
        let x = format!("x at byte offset {start} is 0x3fc00000, expected a whole number of 0..65535");
        assert_eq!(row([1.5, 0.0, 0.0, 0.0]), x);
        assert!(row([0.0, 65_536.0, 0.0, 0.0]).starts_with(&format!("y at byte offset {}", start + 4)));
        let p = format!("p at byte offset {} is 0x40000000, expected 0 or 1, or -1 or 1", start + 8);
        assert_eq!(row([0.0, 0.0, 2.0, 0.0]), p);
        assert!(row([0.0, 0.0, 1.0, f32::NAN]).starts_with(&format!("t at byte offset {}", start + 12)));
        let truncated = format!("truncated in events at byte offset {start}: expected 16 bytes, found 15");
        assert_eq!(message(&plain(&[0; 15])), truncated);
        let trailing =
            format!("trailing bytes at offset {}: the header announces a shorter file", start + 16);
        assert_eq!(message(&plain(&[0; 17])), trailing);
    }

    #[test]
    fn bad_archives_are_named() {
        let stored = |members: &[(&str, Vec<u8>)]| message(&zip(members, CompressionMethod::Stored));
        let bytes = |n: usize, value| npy("'|u1'", "False", &format!("({n},)"), &vec![value; n]);
        assert!(message(b"PK\x03\x04").starts_with("not a readable .npz file: "));
        let two = [("t.npy", bytes(2, 0)), ("x.npy", bytes(2, 0))];
        assert_eq!(stored(&two), format!("no array p, expected {ARRAYS}"));
        let uneven = [two[0].clone(), two[1].clone(), ("p.npy", bytes(3, 0))];
        assert_eq!(stored(&uneven), "array p.npy has 3 entries, expected 2");
        let value = [two[0].clone(), two[1].clone(), ("p.npy", bytes(2, 2))];
        assert_eq!(
            stored(&value),
            "in array p.npy: p at byte offset 128 is 0x2, expected 0 or 1, or -1 or 1"
        );
        let short = [two[0].clone(), two[1].clone(), ("p.npy", bytes(2, 0)[..129].to_vec())];
        let truncated = "in array p.npy: truncated in values at byte offset 128: expected 2 bytes, found 1";
        assert_eq!(stored(&short), truncated);
        let bomb = zip(&[("t.npy", bytes(1 << 24, 0))], CompressionMethod::Deflated);
        assert!(message(&bomb).contains("more than a factor of 256"), "{}", message(&bomb));
    }

    const LETTERS: &[u8] = b"{}[](),:' 0189'descrshapefu|<>ixyptVOb";

    proptest! {
        #[test]
        fn any_bytes_decode_or_fail(
            text in prop::collection::vec(prop::sample::select(LETTERS), 0..60),
            place in 10usize..90,
            data in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            for file in [structured(), columns(CompressionMethod::Stored), columns(CompressionMethod::Deflated)] {
                for (at, with) in [(place, &text), (place * 7 % file.len(), &data)] {
                    let mut bytes = file.clone();
                    bytes.iter_mut().skip(at).zip(with).for_each(|(byte, &new)| *byte = new);
                    if let Ok(recording) = decode(&bytes, &NpyOptions::default()) {
                        prop_assert!(recording.events.len() <= bytes.len());
                    }
                }
            }
            let _ = decode(&data, &NpyOptions::default());
        }
    }
}
