//! `.npz` archives: a column of events in each array, or all in one.

use std::io::{Cursor, Read};

use zip::ZipArchive;

use super::header::{Header, number_of};
use super::{Clock, NpyEvents, NpyOptions, Place, Word};
use crate::error::FormatError;
use crate::event::Event;
use crate::format::decode::{self, Damage, Recording};
use crate::num::wide;

/// How an archive with at least one file begins.
pub(super) const ARCHIVE_MAGIC: &[u8] = b"PK\x03\x04";
/// Archives may expand to this many bytes per byte, ...
const MAX_EXPANSION: u64 = 256;
/// ... plus this many.
const FREE_EXPANSION: u64 = 1 << 20;
/// What an archive should hold.
pub(super) const ARRAYS: &str = "x, p, t and mostly y, or a single array of events";

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

pub(super) fn decode_archive(bytes: &[u8], options: &NpyOptions) -> Result<Recording, FormatError> {
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
