//! The text lines that AEDAT 2.0 and 3.1 begin with.

use crate::error::FormatError;

/// Longest line that is accepted.
const MAX_LINE: usize = 1 << 20;
/// Most bytes of a line that an error shows.
const SHOWN: usize = 60;

/// What lies at the beginning of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// A line with its `#`, without its end; it takes `len` bytes.
    Whole { text: &'a [u8], len: usize },
    /// A line as far as one can see; more bytes are needed.
    Partial,
    /// No line.
    Other,
}

impl<'a> Line<'a> {
    /// A line begins with `#`, has no control character but tabs, and ends in `\r\n` or `\n`.
    pub(super) fn at_start_of(bytes: &'a [u8], offset: usize) -> Result<Self, FormatError> {
        if bytes.first().is_some_and(|&byte| byte != b'#') {
            return Ok(Self::Other);
        }
        let Some(end) = bytes.iter().position(|&byte| byte.is_ascii_control() && byte != b'\t') else {
            return check_length(bytes, offset).map(|()| Self::Partial);
        };
        let (text, rest) = bytes.split_at(end);
        Ok(match rest {
            [b'\n', ..] => Self::Whole { text, len: end + 1 },
            [b'\r', b'\n', ..] => Self::Whole { text, len: end + 2 },
            [b'\r'] => Self::Partial,
            _ => Self::Other,
        })
    }
}

fn check_length(bytes: &[u8], offset: usize) -> Result<(), FormatError> {
    if bytes.len() > MAX_LINE {
        return Err(FormatError::TooLong { offset, limit: MAX_LINE });
    }
    Ok(())
}

/// The first line, which must be `version`: its length with and without its end, or `None` when more bytes
/// are needed.
pub(super) fn version_line(
    bytes: &[u8],
    version: &[u8],
    expected: &'static str,
) -> Result<Option<(usize, usize)>, FormatError> {
    let bad = || bad_line(bytes, 0, expected);
    if bytes.iter().zip(version).any(|(byte, wanted)| byte != wanted) {
        return Err(bad());
    }
    match Line::at_start_of(bytes, 0)? {
        Line::Whole { text, len } if text.trim_ascii_end() == version => Ok(Some((len, text.len()))),
        Line::Partial => Ok(None),
        _ => Err(bad()),
    }
}

/// The file ended within its header, with `rest` left.
pub(super) fn cut_header(rest: &[u8], offset: usize, expected: usize) -> FormatError {
    let found = rest.len();
    if offset + found == 0 {
        return FormatError::Empty { expected };
    }
    let expected = u64::try_from(expected.max(found + 1)).unwrap_or(u64::MAX);
    FormatError::Truncated { field: "header", offset, expected, found }
}

/// An error that shows the beginning of the line at the beginning of `bytes`.
pub(super) fn bad_line(bytes: &[u8], offset: usize, expected: &'static str) -> FormatError {
    let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let found = String::from_utf8_lossy(line.get(..SHOWN).unwrap_or(line)).trim_end().to_owned();
    FormatError::BadHeaderLine { offset, found, expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_other_bytes_are_told_apart() {
        let line = |bytes| Line::at_start_of(bytes, 0).unwrap();
        assert_eq!(line(b"#a\tb\r\n#"), Line::Whole { text: b"#a\tb", len: 6 });
        assert_eq!(line(b"#\n"), Line::Whole { text: b"#", len: 2 });
        assert_eq!(
            line("#M\u{fc}nchen\n".as_bytes()),
            Line::Whole { text: "#M\u{fc}nchen".as_bytes(), len: 10 }
        );
        for partial in [&b""[..], b"#", b"#ab", b"#ab\r"] {
            assert_eq!(line(partial), Line::Partial);
        }
        for other in [&b"a\n"[..], b"\0", b"#\0", b"#ab\ra\n", b"#a\x7f\n"] {
            assert_eq!(line(other), Line::Other);
        }
    }

    #[test]
    fn endless_lines_are_refused() {
        let error = Line::at_start_of(&[b'#'; MAX_LINE + 1], 5).unwrap_err();
        assert_eq!(error.to_string(), "header or packet at byte offset 5 is longer than 1048576 bytes");
    }
}
