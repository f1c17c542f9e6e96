//! The `%` lines at the beginning of Prophesee's files.
//!
//! A line is `% keyword value`. The header ends with the line `% end`, or without it before the first bytes that
//! are no such line. So that a first word which happens to look like `% ` is not taken for a line, a line has to
//! be text: UTF-8 without control characters.
//!
//! # References
//!
//! Prophesee, "RAW file format" and "DAT file format",
//! <https://docs.prophesee.ai/stable/data/file_formats/raw.html>,
//! <https://docs.prophesee.ai/stable/data/file_formats/dat.html>.

use std::fmt::Write as _;

use crate::error::FormatError;
use crate::event::SensorSize;
use crate::format::decode::nothing_left;

/// Most bytes of a header; real ones have some hundred.
const MAX_HEADER: usize = 1 << 16;

/// What a decoder keeps of a header.
#[derive(Debug, Clone)]
pub struct Head {
    /// Bytes of the header.
    pub(in crate::format) len: usize,
    pub(in crate::format) sensor: Option<SensorSize>,
    /// Words come with their halves swapped; see [`super::super::evt21`].
    pub(in crate::format) is_legacy: bool,
}

/// Reads the header at the front of the bytes; `None` when they may be only its beginning. The flag says that the
/// file is over.
pub(in crate::format) type ReadHead = fn(&[u8], bool) -> Result<Option<Head>, FormatError>;

/// Reads the header unless that was done; returns its length (then 0), or `None` while it is incomplete.
pub(in crate::format) fn pass(
    head: &mut Option<Head>,
    bytes: &[u8],
    read: ReadHead,
) -> Result<Option<usize>, FormatError> {
    if head.is_some() {
        return Ok(Some(0));
    }
    *head = read(bytes, false)?;
    Ok(head.as_ref().map(|head| head.len))
}

/// An error unless `rest`, with which the file ends, is empty, or the header of a file without events.
pub(in crate::format) fn finish(
    head: Option<&Head>,
    rest: &[u8],
    offset: usize,
    read: ReadHead,
    word_bytes: u64,
) -> Result<(), FormatError> {
    let start = if head.is_some() { 0 } else { read(rest, true)?.map_or(0, |head| head.len) };
    nothing_left(rest.get(start..).unwrap_or_default(), offset + start, "word", word_bytes)
}

/// Reads the header of a `.raw` file, which must name the encoding as `% evt <version>` or `% format <name>;...`.
pub(in crate::format) fn raw_head(
    bytes: &[u8],
    is_over: bool,
    (version, name): (&str, &str),
    expected: &'static str,
) -> Result<Option<Head>, FormatError> {
    if bytes.is_empty() && is_over {
        return Err(FormatError::Empty { expected: expected.len() + 1 });
    }
    let Some(header) = Header::parse(bytes, is_over)? else { return Ok(None) };
    match (header.find("format"), header.find("evt")) {
        (Some(line), _) if line.value.split(';').next() == Some(name) => {}
        (None, Some(line)) if line.value == version => {}
        (Some(line), _) | (None, Some(line)) => return Err(line.refuse(expected)),
        (None, None) => return Err(header.missing(expected)),
    }
    let (sensor, is_legacy) = (header.sensor()?, header.is_legacy()?);
    Ok(Some(Head { len: header.len, sensor, is_legacy }))
}

/// Whether a file that begins like this names the encoding.
pub(in crate::format) fn names(head: &[u8], (version, name): (&str, &str)) -> bool {
    let lines = [format!("% evt {version}"), format!("% format {name};")];
    let is_in_head = |line: &String| head.windows(line.len()).any(|bytes| bytes == line.as_bytes());
    head.starts_with(b"%") && lines.iter().any(is_in_head)
}

/// The lines of a `.raw` header for events of `sensor`.
pub(in crate::format) fn raw_text(version: &str, name: &str, sensor: Option<SensorSize>) -> String {
    let mut text = format!("% evt {version}\n");
    if let Some(SensorSize { width, height }) = sensor {
        // Writing to a string cannot fail.
        let _ = write!(text, "% format {name};height={height};width={width}\n% geometry {width}x{height}\n");
    }
    text + "% end\n"
}

/// The line `% keyword value`.
struct Line<'a> {
    offset: usize,
    keyword: &'a str,
    value: &'a str,
}

impl<'a> Line<'a> {
    fn new(offset: usize, text: &'a str) -> Self {
        let (keyword, value) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        Self { offset, keyword, value: value.trim() }
    }

    fn refuse(&self, expected: &'static str) -> FormatError {
        let found = format!("% {} {}", self.keyword, self.value);
        FormatError::BadHeaderLine { offset: self.offset, found: shortened(found.as_bytes()), expected }
    }

    fn number(&self, text: &str) -> Result<u16, FormatError> {
        text.trim().parse().map_err(|_| self.refuse("the sensor's size, numbers of 0..65535"))
    }

    /// The value of `key` in `name;key=value;key=value`.
    fn option(&self, key: &str) -> Option<&'a str> {
        self.value
            .split(';')
            .filter_map(|part| part.split_once('='))
            .find_map(|(k, v)| (k == key).then_some(v))
    }
}

/// The first line of `bytes`, as an error message shows it.
fn shortened(bytes: &[u8]) -> String {
    let line = bytes.split(|&b| b == b'\n').next().unwrap_or_default();
    let text = String::from_utf8_lossy(line.get(..60).unwrap_or(line));
    text.escape_debug().collect()
}

/// The header of a file.
pub(in crate::format) struct Header<'a> {
    bytes: &'a [u8],
    lines: Vec<Line<'a>>,
    pub(in crate::format) len: usize,
}

impl<'a> Header<'a> {
    /// The lines at the front of `bytes`; `None` when more may follow.
    pub(in crate::format) fn parse(bytes: &'a [u8], is_over: bool) -> Result<Option<Self>, FormatError> {
        let mut header = Self { bytes, lines: Vec::new(), len: 0 };
        loop {
            if header.len > MAX_HEADER {
                return Err(FormatError::TooLong { offset: 0, limit: MAX_HEADER });
            }
            match next_line(bytes.get(header.len..).unwrap_or_default(), header.len, is_over)? {
                Next::Line(line, len) => {
                    let is_end = line.keyword == "end" && line.value.is_empty();
                    header.lines.push(line);
                    header.len += len;
                    if is_end {
                        return Ok(Some(header));
                    }
                }
                Next::Data => return Ok(Some(header)),
                Next::More if bytes.len() > MAX_HEADER => {
                    return Err(FormatError::TooLong { offset: 0, limit: MAX_HEADER });
                }
                Next::More => return Ok(None),
            }
        }
    }

    fn find(&self, keyword: &str) -> Option<&Line<'a>> {
        self.lines.iter().find(|line| line.keyword.eq_ignore_ascii_case(keyword))
    }

    fn missing(&self, expected: &'static str) -> FormatError {
        FormatError::BadHeaderLine { offset: 0, found: shortened(self.bytes), expected }
    }

    /// An error unless there is the line `% keyword value`.
    pub(in crate::format) fn require(
        &self,
        keyword: &str,
        value: &str,
        expected: &'static str,
    ) -> Result<(), FormatError> {
        let line = self.find(keyword).ok_or_else(|| self.missing(expected))?;
        if line.value == value { Ok(()) } else { Err(line.refuse(expected)) }
    }

    /// The sensor's size, from `format ..;height=H;width=W`, `geometry WxH`, or `Width W` and `Height H`.
    pub(in crate::format) fn sensor(&self) -> Result<Option<SensorSize>, FormatError> {
        if let Some(line) = self.find("format")
            && let (Some(width), Some(height)) = (line.option("width"), line.option("height"))
        {
            return Ok(Some(SensorSize::new(line.number(width)?, line.number(height)?)));
        }
        if let Some(line) = self.find("geometry") {
            let (width, height) =
                line.value.split_once('x').ok_or_else(|| line.refuse("% geometry <width>x<height>"))?;
            return Ok(Some(SensorSize::new(line.number(width)?, line.number(height)?)));
        }
        let (Some(width), Some(height)) = (self.find("Width"), self.find("Height")) else { return Ok(None) };
        Ok(Some(SensorSize::new(width.number(width.value)?, height.number(height.value)?)))
    }

    fn is_legacy(&self) -> Result<bool, FormatError> {
        let option = self.find("format").and_then(|line| Some((line, line.option("endianness")?)));
        match option.or_else(|| self.find("endianness").map(|line| (line, line.value))) {
            None | Some((_, "little")) => Ok(false),
            Some((_, "legacy")) => Ok(true),
            Some((line, _)) => Err(line.refuse("the endianness little or legacy")),
        }
    }
}

enum Next<'a> {
    /// A line, and its length with the line break.
    Line(Line<'a>, usize),
    /// No line: the header is over.
    Data,
    /// Perhaps the beginning of a line.
    More,
}

fn next_line(bytes: &[u8], offset: usize, is_over: bool) -> Result<Next<'_>, FormatError> {
    let rest = match bytes {
        [] | [b'%'] if !is_over => return Ok(Next::More),
        [b'%', b' ', rest @ ..] => rest,
        _ => return Ok(Next::Data),
    };
    let end = rest.iter().position(|&b| b == b'\n');
    let line = end.and_then(|end| rest.get(..end)).unwrap_or(rest);
    if line.iter().any(|&b| b.is_ascii_control() && b != b'\t' && b != b'\r') {
        return Ok(Next::Data);
    }
    match (end, str::from_utf8(line)) {
        (Some(end), Ok(text)) => Ok(Next::Line(Line::new(offset, text), end + 3)),
        (Some(_), Err(_)) => Ok(Next::Data),
        (None, _) if is_over => {
            let expected = bytes.len() as u64 + 1;
            Err(FormatError::Truncated { field: "header line", offset, expected, found: bytes.len() })
        }
        (None, _) => Ok(Next::More),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn head(text: &str) -> Result<Option<Head>, FormatError> {
        raw_head(text.as_bytes(), true, ("2.0", "EVT2"), "% evt 2.0")
    }

    fn sensor(text: &str) -> Option<SensorSize> {
        head(text).unwrap().unwrap().sensor
    }

    fn message(text: &str) -> String {
        head(text).unwrap_err().to_string()
    }

    #[test]
    fn sizes_are_found_in_all_places() {
        let size = Some(SensorSize::new(640, 480));
        assert_eq!(sensor("% evt 2.0\n% geometry 640x480\n"), size);
        assert_eq!(sensor("% format EVT2;height=480;width=640\n% end\n"), size);
        assert_eq!(sensor("% evt 2.0\r\n% Width 640\r\n% Height 480\r\n"), size);
        assert_eq!(sensor("% evt 2.0\n% Width 640\n"), None);
        assert_eq!(sensor(&raw_text("2.0", "EVT2", size)), size);
        assert_eq!(sensor(&raw_text("2.0", "EVT2", None)), None);
    }

    #[test]
    fn a_header_ends_where_its_lines_end() {
        let len = |bytes: &[u8]| Header::parse(bytes, false).unwrap().map(|header| header.len);
        assert_eq!(len(b"% a 1\n% end\n% no line\n"), Some(12));
        assert_eq!(len(b"% a 1\n\x01"), Some(6));
        assert_eq!(len(b"% a 1\n%\x01"), Some(6));
        assert_eq!(len(b"% a 1\n% \x01\x01\n"), Some(6));
        assert_eq!(len(b"% a 1\n% \xFF\xFF\n"), Some(6));
        for open in [&b"% a 1\n"[..], b"% a 1\n%", b"% a 1\n% b", b""] {
            assert_eq!(len(open), None);
        }
    }

    #[test]
    fn unusable_headers_are_named() {
        assert_eq!(message(""), "the file is empty, expected at least 10 bytes");
        let found = |found: &str, expected: &str| {
            format!("header line at byte offset 0: \"{found}\", expected {expected}")
        };
        assert_eq!(message("RIFF\u{1}\nmore"), found("RIFF\\u{1}", "% evt 2.0"));
        assert_eq!(message("% Date x\n"), found("% Date x", "% evt 2.0"));
        assert_eq!(message("% evt 3.0\n"), found("% evt 3.0", "% evt 2.0"));
        assert_eq!(message("% format EVT3;height=1\n"), found("% format EVT3;height=1", "% evt 2.0"));
        let at_10 = |found: &str, expected: &str| {
            format!("header line at byte offset 10: \"{found}\", expected {expected}")
        };
        assert_eq!(
            message("% evt 2.0\n% geometry 640\n"),
            at_10("% geometry 640", "% geometry <width>x<height>")
        );
        assert_eq!(
            message("% evt 2.0\n% geometry 640x-1\n"),
            at_10("% geometry 640x-1", "the sensor's size, numbers of 0..65535")
        );
        assert_eq!(
            message("% evt 2.0\n% endianness big\n"),
            at_10("% endianness big", "the endianness little or legacy")
        );
        assert_eq!(
            message("% evt 2.0\n% geo"),
            "truncated in header line at byte offset 10: expected 6 bytes, found 5"
        );
    }

    #[test]
    fn endless_headers_are_refused() {
        let expected = "header or packet at byte offset 0 is longer than 65536 bytes";
        for text in ["% a 1\n".repeat(20_000), format!("% {}", "a".repeat(70_000))] {
            let error = raw_head(text.as_bytes(), false, ("2.0", "EVT2"), "% evt 2.0").unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(text in "(% [a-z]{0,8}[ =;x0-9]{0,8}\n){0,4}.{0,20}", is_over: bool) {
            if let Ok(Some(head)) = raw_head(text.as_bytes(), is_over, ("2.0", "EVT2"), "% evt 2.0") {
                prop_assert!(head.len <= text.len());
            }
        }
    }
}
