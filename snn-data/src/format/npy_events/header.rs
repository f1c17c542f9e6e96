//! Headers of `.npy` arrays.

use npyz::{DType, Endianness, NpyHeader, TypeChar, TypeStr};

use crate::error::FormatError;
use crate::format::number::{Kind, Number};
use crate::num::{index, wide};

pub(super) const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// Bytes of a header without text.
const SHORTEST_HEADER: usize = 10;
/// Most bytes of a header's text; real ones have some hundred.
const MAX_HEADER: usize = 1 << 12;
/// Deepest brackets within brackets: a dictionary of a list of tuples with a tuple.
const MAX_DEPTH: usize = 4;

/// The header of an array.
pub(super) struct Header {
    pub(super) npy: NpyHeader,
    /// Bytes before the text, and of all.
    text: usize,
    pub(super) len: usize,
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
    pub(super) fn incomplete(bytes: &[u8]) -> FormatError {
        if bytes.is_empty() {
            return FormatError::Empty { expected: SHORTEST_HEADER };
        }
        let expected = wide(Self::announced(bytes).unwrap_or(SHORTEST_HEADER));
        FormatError::Truncated { field: "header", offset: 0, expected, found: bytes.len() }
    }

    /// The header at the front of `bytes`; `None` when they are only its beginning.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<Self>, FormatError> {
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
    pub(super) fn n_rows(&self, axes: &[u64], expected: &'static str) -> Result<usize, FormatError> {
        match self.npy.shape().split_first() {
            Some((&n, others)) if others == axes => {
                let found =
                    || FormatError::BadHeader { field: "shape", offset: self.text, found: n, expected };
                usize::try_from(n).map_err(|_| found())
            }
            _ => Err(bad_line(self.text, format!("shape {:?}", self.npy.shape()).as_bytes(), expected)),
        }
    }

    pub(super) fn bad_type(&self, expected: &'static str) -> FormatError {
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
pub(super) fn number_of(dtype: &DType) -> Option<Number> {
    let DType::Plain(name) = dtype else { return None };
    let kind = match name.type_char() {
        TypeChar::Int => Kind::Signed,
        TypeChar::Uint | TypeChar::Bool => Kind::Unsigned,
        TypeChar::Float => Kind::Float,
        _ => return None,
    };
    Number::new(kind, TypeStr::num_bytes(name)?, name.endianness() == Endianness::Big)
}
