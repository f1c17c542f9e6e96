//! IDX files of unsigned bytes (MNIST, Fashion-MNIST), gzip-compressed or not.
//!
//! Big-endian magic number `0x0000_08_nn` (08: unsigned bytes, nn: number of dimensions), one `u32` for each
//! dimension, then the bytes. Compression is recognized by its first two bytes, not by the file's name.
//!
//! # References
//!
//! LeCun, Cortes and Burges, "The MNIST database of handwritten digits", section "the IDX file format".

use std::io::Read;
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::read_file;
use crate::error::{DataError, FormatError};
use crate::num::{index, wide};

/// Largest accepted ratio of announced to compressed bytes (MNIST's files have a ratio of about 5).
const MAX_GZIP_RATIO: u64 = 100;
const GZIP_MAGIC: [u8; 2] = [0x1F, 0x8B];

/// The images of an IDX file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    /// Number of images.
    pub n_images: usize,
    /// Rows of an image.
    pub n_rows: usize,
    /// Columns of an image.
    pub n_columns: usize,
    /// Gray values `[n_images, n_rows, n_columns]`, row-major.
    pub pixels: Vec<u8>,
}

/// Decodes an image file (three dimensions).
///
/// # Errors
///
/// A [`FormatError`] that names the header field or offset; the size that a header announces is compared with the
/// file's length before any memory is taken for it.
pub fn decode_images(bytes: &[u8]) -> Result<Images, FormatError> {
    let ([n_images, n_rows, n_columns], pixels) = decode(bytes, "images")?;
    for (field, offset, found) in [("rows", 8, n_rows), ("columns", 12, n_columns)] {
        if found == 0 {
            return Err(FormatError::BadHeader { field, offset, found: 0, expected: "at least 1" });
        }
    }
    Ok(Images { n_images, n_rows, n_columns, pixels })
}

/// Decodes a label file (one dimension).
///
/// # Errors
///
/// As [`decode_images`].
pub fn decode_labels(bytes: &[u8]) -> Result<Vec<u8>, FormatError> {
    decode::<1>(bytes, "labels").map(|(_, labels)| labels)
}

/// Reads an image file, compressed or not.
///
/// # Errors
///
/// [`DataError::Io`], or [`DataError::Malformed`] with what [`decode_images`] reports.
pub fn read_images(path: &Path) -> Result<Images, DataError> {
    decode_images(&read_file(path)?).map_err(DataError::malformed(path))
}

/// Reads a label file, compressed or not.
///
/// # Errors
///
/// [`DataError::Io`], or [`DataError::Malformed`] with what [`decode_labels`] reports.
pub fn read_labels(path: &Path) -> Result<Vec<u8>, DataError> {
    decode_labels(&read_file(path)?).map_err(DataError::malformed(path))
}

fn decode<const N: usize>(bytes: &[u8], kind: &'static str) -> Result<([usize; N], Vec<u8>), FormatError> {
    if bytes.is_empty() {
        return Err(FormatError::Empty { expected: 4 + 4 * N });
    }
    if bytes.starts_with(&GZIP_MAGIC) {
        read_idx(&mut MultiGzDecoder::new(bytes), kind, Some(bytes.len()))
    } else {
        read_idx(&mut &*bytes, kind, None)
    }
}

/// Reads header and data; `compressed` is the length of the file when it is compressed.
fn read_idx<const N: usize>(
    source: &mut dyn Read,
    kind: &'static str,
    compressed: Option<usize>,
) -> Result<([usize; N], Vec<u8>), FormatError> {
    let dims = read_header::<N>(source, kind)?;
    let start = 4 + 4 * N;
    let announced = dims.iter().try_fold(1u64, |n, &d| n.checked_mul(d.into())).unwrap_or(u64::MAX);
    if let Some(compressed) = compressed.filter(|&len| announced > MAX_GZIP_RATIO * wide(len)) {
        return Err(FormatError::SuspiciousGzip { announced, compressed, limit: MAX_GZIP_RATIO });
    }
    let data = read_up_to(source, announced.saturating_add(1), start)?;
    match wide(data.len()) {
        found if found < announced => {
            Err(FormatError::Truncated { field: kind, offset: start, expected: announced, found: data.len() })
        }
        found if found > announced => Err(FormatError::TrailingBytes { offset: start + data.len() - 1 }),
        _ => Ok((dims.map(|d| index(d.into())), data)),
    }
}

fn read_header<const N: usize>(source: &mut dyn Read, kind: &'static str) -> Result<[u32; N], FormatError> {
    let length = 4 + 4 * N;
    let header = read_up_to(source, wide(length), 0)?;
    let (words, _) = header.as_chunks::<4>();
    let expected = 0x0000_0800 | u32::try_from(N).unwrap_or(u32::MAX);
    if let Some(&magic) = words.first()
        && u32::from_be_bytes(magic) != expected
    {
        return Err(FormatError::BadMagic { kind, expected, found: u32::from_be_bytes(magic) });
    }
    if header.len() < length {
        let expected = wide(length);
        return Err(FormatError::Truncated { field: "header", offset: 0, expected, found: header.len() });
    }
    Ok(std::array::from_fn(|k| u32::from_be_bytes(words[k + 1])))
}

/// Reads at most `limit` bytes; memory grows with the bytes that really come.
fn read_up_to(source: &mut dyn Read, limit: u64, before: usize) -> Result<Vec<u8>, FormatError> {
    let mut data = Vec::new();
    match source.take(limit).read_to_end(&mut data) {
        Ok(_) => Ok(data),
        Err(cause) => Err(FormatError::BadGzip { decoded: before + data.len(), cause }),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;

    fn idx(dims: &[u32], data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, 8, u8::try_from(dims.len()).unwrap()];
        dims.iter().for_each(|d| bytes.extend_from_slice(&d.to_be_bytes()));
        bytes.extend_from_slice(data);
        bytes
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn plain_and_compressed_files_decode_alike() {
        let bytes = idx(&[2, 1, 3], &[1, 2, 3, 4, 5, 6]);
        let images = decode_images(&bytes).unwrap();
        assert_eq!((images.n_images, images.n_rows, images.n_columns), (2, 1, 3));
        assert_eq!(images.pixels, [1, 2, 3, 4, 5, 6]);
        assert_eq!(decode_images(&gzip(&bytes)).unwrap(), images);
    }

    #[test]
    fn bad_files_are_named() {
        let message = |bytes: &[u8]| decode_images(bytes).unwrap_err().to_string();
        assert_eq!(message(&[]), "the file is empty, expected at least 16 bytes");
        assert_eq!(message(&[0, 0]), "truncated in header at byte offset 0: expected 16 bytes, found 2");
        let magic = "IDX magic number at byte offset 0: expected 0x00000803 (images), found 0x00000801";
        assert_eq!(message(&idx(&[4], &[0; 4])), magic);
        let short = "truncated in images at byte offset 16: expected 6 bytes, found 5";
        assert_eq!(message(&idx(&[2, 1, 3], &[0; 5])), short);
        let long = "trailing bytes at offset 22: the header announces a shorter file";
        assert_eq!(message(&idx(&[2, 1, 3], &[0; 9])), long);
        let flat = "header field rows at byte offset 8 is 0, expected at least 1";
        assert_eq!(message(&idx(&[2, 0, 3], &[])), flat);
    }

    #[test]
    fn an_absurd_header_takes_no_memory() {
        let error = decode_images(&idx(&[u32::MAX; 3], &[0; 8])).unwrap_err();
        assert!(matches!(error, FormatError::Truncated { expected: u64::MAX, found: 8, .. }));
    }

    #[test]
    fn a_gzip_bomb_is_refused_before_it_is_decoded() {
        let bomb = gzip(&idx(&[1000, 100, 100], &vec![0; 10_000_000]));
        assert!(matches!(
            decode_images(&bomb),
            Err(FormatError::SuspiciousGzip { announced: 10_000_000, .. })
        ));
    }

    #[test]
    fn damaged_gzip_data_is_an_error() {
        let mut bytes = gzip(&idx(&[2, 1, 3], &[1, 2, 3, 4, 5, 6]));
        bytes.truncate(bytes.len() - 12);
        assert!(matches!(decode_images(&bytes), Err(FormatError::BadGzip { .. })));
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_fail(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = decode_images(&bytes);
            let _ = decode_labels(&[&[0, 0, 8, 1], &bytes[..]].concat());
            let _ = decode_images(&[&GZIP_MAGIC, &bytes[..]].concat());
            let _ = decode_images(&gzip(&bytes));
        }

        #[test]
        fn labels_come_back(labels in prop::collection::vec(any::<u8>(), 0..100)) {
            let bytes = idx(&[u32::try_from(labels.len()).unwrap()], &labels);
            prop_assert_eq!(decode_labels(&bytes).unwrap(), labels);
        }
    }
}
