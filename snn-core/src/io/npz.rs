//! NumPy's `.npz`: a zip archive with one `.npy` array per entry.

use super::{Array, Arrays, Data, format_error, read_bytes, with_entries, write_atomic};
use crate::error::CheckpointError;
use npyz::{AutoSerialize, DType, NpyFile, Order, TypeChar, WriteOptions, WriterBuilder};
use std::fmt::Display;
use std::io::{Cursor, Read, Seek, Write};
use std::path::Path;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

/// All entries of an archive may expand to this many bytes per byte of the archive, …
const MAX_EXPANSION: u64 = 256;
/// … plus this many, so that small archives of zeros are fine.
const FREE_EXPANSION: u64 = 16 << 20;
/// Greatest length of an array's header. NumPy pads a header to 64 or 128 bytes.
const MAX_HEADER: usize = 1 << 12;

/// Reads all arrays of an archive, compressed or not.
///
/// An archive that expands to more than 256 bytes per byte, plus 16 MiB, is refused.
///
/// # Errors
/// [`CheckpointError::Io`] if the file cannot be read, [`CheckpointError::Format`] if it is no archive of row-major
/// arrays of the types of [`Data`].
pub fn read(path: &Path) -> Result<Arrays, CheckpointError> {
    from_bytes(&read_bytes(path)?, path)
}

/// Writes an archive without compression and with a fixed date, so that the same arrays give the same bytes.
///
/// # Errors
/// [`CheckpointError::Io`] if the file cannot be written, [`CheckpointError::Format`] if the format cannot hold it.
pub fn write(path: &Path, arrays: &Arrays) -> Result<(), CheckpointError> {
    let bytes = to_bytes(arrays).map_err(|e| format_error(path, e.to_string()))?;
    write_atomic(path, &bytes)
}

/// The arrays of an archive held in memory; `path` is for messages.
pub(super) fn from_bytes(bytes: &[u8], path: &Path) -> Result<Arrays, CheckpointError> {
    let refuse = |what: &dyn Display| format_error(path, format!("not a readable .npz archive: {what}"));
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|e| refuse(&e))?;
    let mut budget = (bytes.len() as u64).saturating_mul(MAX_EXPANSION).saturating_add(FREE_EXPANSION);
    let mut arrays = Arrays::new();
    for i in 0..archive.len() {
        let mut file = archive.by_index(i).map_err(|e| refuse(&e))?;
        let entry = String::from_utf8_lossy(file.name_raw()).into_owned();
        let mut npy = Vec::new();
        file.by_ref().take(budget + 1).read_to_end(&mut npy).map_err(|e| refuse(&e))?;
        budget = budget.checked_sub(npy.len() as u64).ok_or_else(|| refuse(&"it expands too far"))?;
        let array = read_array(&npy).map_err(|e| format_error(path, format!("entry `{entry}`: {e}")))?;
        let name = entry.strip_suffix(".npy").unwrap_or(&entry);
        if arrays.insert(name.to_owned(), array).is_some() {
            return Err(refuse(&format!("two entries are named `{entry}`")));
        }
    }
    Ok(arrays)
}

fn to_bytes(arrays: &Arrays) -> std::io::Result<Vec<u8>> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::DEFAULT)
        .unix_permissions(0o644);
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, array) in arrays {
        let is_large = array.data.len() as u64 > u64::from(u32::MAX) / 16;
        archive.start_file(format!("{name}.npy"), options.large_file(is_large))?;
        with_entries!(&array.data, v => write_array(&mut archive, &array.shape, v)?);
    }
    Ok(archive.finish()?.into_inner())
}

fn write_array<T: AutoSerialize + Copy>(
    archive: &mut ZipWriter<impl Write + Seek>,
    shape: &[usize],
    values: &[T],
) -> std::io::Result<()> {
    let shape: Vec<u64> = shape.iter().map(|&n| n as u64).collect();
    let mut npy = Vec::new();
    let mut writer = WriteOptions::new().default_dtype().shape(&shape).writer(&mut npy).begin_nd()?;
    writer.extend(values.iter().copied())?;
    writer.finish()?;
    archive.write_all(&npy)
}

/// What is wrong with one array.
#[derive(Debug, thiserror::Error)]
enum ArrayError {
    #[error("not a .npy array with a plain header")]
    Header,
    #[error("not a readable .npy array: {0}")]
    Npy(#[from] std::io::Error),
    #[error("holds {found}, expected row-major f4, f8, i1, i2, i4, i8, u1 or u8")]
    Type { found: String },
    #[error("shape {shape:?} does not fit the {bytes} bytes of data")]
    Length { shape: Vec<u64>, bytes: usize },
}

fn read_array(bytes: &[u8]) -> Result<Array, ArrayError> {
    let data = check_header(bytes).ok_or(ArrayError::Header)?;
    let npy = NpyFile::new(bytes)?;
    let (letter, size) = match npy.dtype() {
        DType::Plain(ty) if npy.order() == Order::C => (ty.type_char(), ty.size_field()),
        other => {
            return Err(ArrayError::Type { found: format!("{} in {:?} order", other.descr(), npy.order()) });
        }
    };
    let wrong_length = || ArrayError::Length { shape: npy.shape().to_vec(), bytes: data.len() };
    if npy.len().checked_mul(size) != Some(data.len() as u64) {
        return Err(wrong_length());
    }
    let shape: Result<Vec<usize>, _> = npy.shape().iter().map(|&n| usize::try_from(n)).collect();
    let shape = shape.map_err(|_| wrong_length())?;
    let data = match (letter, size) {
        (TypeChar::Float, 4) => Data::F32(npy.into_vec()?),
        (TypeChar::Float, 8) => Data::F64(npy.into_vec()?),
        (TypeChar::Int, 1) => Data::I8(npy.into_vec()?),
        (TypeChar::Int, 2) => Data::I16(npy.into_vec()?),
        (TypeChar::Int, 4) => Data::I32(npy.into_vec()?),
        (TypeChar::Int, 8) => Data::I64(npy.into_vec()?),
        (TypeChar::Uint, 1) => Data::U8(npy.into_vec()?),
        (TypeChar::Uint, 8) => Data::U64(npy.into_vec()?),
        _ => return Err(ArrayError::Type { found: npy.dtype().descr() }),
    };
    Array::new(&shape, data).map_err(|_| ArrayError::Header)
}

/// The data behind the header, if the header is of the plain kind that NumPy writes for numbers.
///
/// What `npyz` parses is a Python literal of any length, nesting and size, of which it multiplies the sizes of the axes
/// unchecked. So this looks first: a short header with one pair each of braces and parentheses, no list, and plain
/// integers whose product (without zeros) does not overflow.
fn check_header(bytes: &[u8]) -> Option<&[u8]> {
    let (prefix, rest) = bytes.split_at_checked(8)?;
    let (length, rest) = match prefix {
        [0x93, b'N', b'U', b'M', b'P', b'Y', 1, 0] => {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            (u32::from(u16::from_le_bytes(*length)), rest)
        }
        [0x93, b'N', b'U', b'M', b'P', b'Y', 2 | 3, 0] => {
            let (length, rest) = rest.split_first_chunk::<4>()?;
            (u32::from_le_bytes(*length), rest)
        }
        _ => return None,
    };
    let (header, data) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    let count = |c: u8| header.iter().filter(|&&b| b == c).count();
    let is_plain = header.len() <= MAX_HEADER && count(b'{') == 1 && count(b'(') == 1 && count(b'[') == 0;
    (is_plain && sizes_multiply(header)).then_some(data)
}

/// True if all digits in a header belong to decimal integers whose product, without zeros, is a `u64`.
fn sizes_multiply(header: &[u8]) -> bool {
    let mut product = Some(1_u64);
    let mut rest = header;
    while let Some(start) = rest.iter().position(u8::is_ascii_digit) {
        rest = &rest[start..];
        let end = rest.iter().position(|b| !b.is_ascii_digit()).unwrap_or(rest.len());
        let (digits, tail) = rest.split_at(end);
        let size = std::str::from_utf8(digits).ok().and_then(|d| d.parse::<u64>().ok());
        product = product.zip(size).and_then(|(p, s)| p.checked_mul(s.max(1)));
        let runs_on = tail.first().is_some_and(|&b| b.is_ascii_alphabetic() || b == b'_' || b == b'.');
        if product.is_none() || runs_on {
            return false;
        }
        rest = tail;
    }
    true
}
