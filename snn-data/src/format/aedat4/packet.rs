//! Unpacking the bytes of a packet.

use std::borrow::Cow;
use std::io::Read;

use lz4_flex::frame::FrameDecoder;
use ruzstd::decoding::StreamingDecoder;

use crate::num::wide;

/// A packet may expand to this many bytes per byte (LZ4 cannot do more than 255), ...
const MAX_EXPANSION: u64 = 300;
/// ... plus this many.
const FREE_EXPANSION: u64 = 1 << 12;
/// Largest window of a Zstandard frame; levels up to 19 have no larger one.
const MAX_WINDOW: u64 = 1 << 23;
const ZSTD_MAGIC: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();

/// How packets are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Lz4,
    Zstd,
}

impl Compression {
    /// What the codes of the header mean; 2 and 4 are the same formats, compressed harder.
    pub(super) fn from_code(code: i32) -> Option<Self> {
        match code {
            0 => Some(Self::None),
            1 | 2 => Some(Self::Lz4),
            3 | 4 => Some(Self::Zstd),
            _ => None,
        }
    }
}

/// The content of a packet, or what is wrong with it.
pub(super) fn unpack(compression: Compression, bytes: &[u8]) -> Result<Cow<'_, [u8]>, &'static str> {
    let limit = wide(bytes.len()) * MAX_EXPANSION + FREE_EXPANSION;
    match compression {
        Compression::None => Ok(Cow::Borrowed(bytes)),
        Compression::Lz4 => read(FrameDecoder::new(bytes), limit, "not an LZ4 frame").map(Cow::Owned),
        Compression::Zstd => {
            let window = zstd_window(bytes).ok_or("not a Zstandard frame")?;
            if window > MAX_WINDOW {
                return Err("a Zstandard frame with a window of more than 8 MiB");
            }
            let decoder = StreamingDecoder::new(bytes).map_err(|_| "not a Zstandard frame")?;
            read(decoder, limit, "not a Zstandard frame").map(Cow::Owned)
        }
    }
}

fn read(from: impl Read, limit: u64, problem: &'static str) -> Result<Vec<u8>, &'static str> {
    let mut content = Vec::new();
    from.take(limit + 1).read_to_end(&mut content).map_err(|_| problem)?;
    if wide(content.len()) > limit { Err("expands to more than 300 times its size") } else { Ok(content) }
}

/// Bytes of the window that a frame asks for (RFC 8878, sections 3.1.1.1.1 and 3.1.1.1.2).
fn zstd_window(bytes: &[u8]) -> Option<u64> {
    let rest = bytes.strip_prefix(&ZSTD_MAGIC)?;
    let (&descriptor, rest) = rest.split_first()?;
    if descriptor & 0x20 == 0 {
        let &window = rest.first()?;
        let base = 1_u64 << (10 + (window >> 3));
        return Some(base + base / 8 * u64::from(window & 7));
    }
    // A single segment: the window is the content, whose size follows the number of the dictionary.
    let rest = rest.get([0, 1, 2, 4][usize::from(descriptor & 3)]..)?;
    Some(match descriptor >> 6 {
        0 => u64::from(*rest.first()?),
        1 => 256 + u64::from(u16::from_le_bytes(*rest.first_chunk()?)),
        2 => u64::from(u32::from_le_bytes(*rest.first_chunk()?)),
        _ => u64::from_le_bytes(*rest.first_chunk()?),
    })
}
