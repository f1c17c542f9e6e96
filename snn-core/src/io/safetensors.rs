//! `.safetensors`: a JSON header with names, types, shapes and text metadata, then the data.

use super::{Array, Arrays, Data, format_error, read_bytes, with_entries, write_atomic};
use crate::error::CheckpointError;
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensorError, SafeTensors};
use std::collections::BTreeMap;
use std::path::Path;

/// Text by key, as a safetensors header carries it.
pub type Metadata = BTreeMap<String, String>;

/// What a file holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contents {
    /// The arrays.
    pub arrays: Arrays,
    /// The text metadata; empty if there is none.
    pub metadata: Metadata,
}

/// Reads all arrays and the metadata of a file.
///
/// # Errors
/// [`CheckpointError::Io`] if the file cannot be read, [`CheckpointError::Format`] if it is not of this format or holds
/// other types than those of [`Data`].
pub fn read(path: &Path) -> Result<Contents, CheckpointError> {
    from_bytes(&read_bytes(path)?, path)
}

/// Writes arrays and metadata; the same content gives the same bytes.
///
/// # Errors
/// [`CheckpointError::Io`] if the file cannot be written, [`CheckpointError::Format`] if the format cannot hold it.
pub fn write(path: &Path, arrays: &Arrays, metadata: &Metadata) -> Result<(), CheckpointError> {
    let bytes = to_bytes(arrays, metadata).map_err(|e| format_error(path, e.to_string()))?;
    write_atomic(path, &bytes)
}

/// The content of a file held in memory; `path` is for messages.
pub(super) fn from_bytes(bytes: &[u8], path: &Path) -> Result<Contents, CheckpointError> {
    let refuse = |e: SafeTensorError| format_error(path, format!("not a readable .safetensors file: {e}"));
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(refuse)?;
    let file = SafeTensors::deserialize(bytes).map_err(refuse)?;
    let mut arrays = Arrays::new();
    for (name, view) in file.iter() {
        let array = to_array(&view).ok_or_else(|| {
            let (dtype, shape) = (view.dtype(), view.shape());
            format_error(path, format!("tensor `{name}`: type {dtype} and shape {shape:?} are not supported"))
        })?;
        arrays.insert(name.to_owned(), array);
    }
    let metadata = header.metadata().iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
    Ok(Contents { arrays, metadata })
}

fn to_array(view: &TensorView<'_>) -> Option<Array> {
    let bytes = view.data();
    let data = match view.dtype() {
        Dtype::F32 => Data::F32(numbers(bytes, f32::from_le_bytes)),
        Dtype::F64 => Data::F64(numbers(bytes, f64::from_le_bytes)),
        Dtype::I8 => Data::I8(numbers(bytes, i8::from_le_bytes)),
        Dtype::I16 => Data::I16(numbers(bytes, i16::from_le_bytes)),
        Dtype::I32 => Data::I32(numbers(bytes, i32::from_le_bytes)),
        Dtype::I64 => Data::I64(numbers(bytes, i64::from_le_bytes)),
        Dtype::U8 => Data::U8(bytes.to_vec()),
        Dtype::U64 => Data::U64(numbers(bytes, u64::from_le_bytes)),
        _ => return None,
    };
    Array::new(view.shape(), data).ok()
}

fn numbers<T, const N: usize>(bytes: &[u8], from_le_bytes: fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|&b| from_le_bytes(b)).collect()
}

fn dtype(data: &Data) -> Dtype {
    match data {
        Data::F32(_) => Dtype::F32,
        Data::F64(_) => Dtype::F64,
        Data::I8(_) => Dtype::I8,
        Data::I16(_) => Dtype::I16,
        Data::I32(_) => Dtype::I32,
        Data::I64(_) => Dtype::I64,
        Data::U8(_) => Dtype::U8,
        Data::U64(_) => Dtype::U64,
    }
}

fn to_bytes(arrays: &Arrays, metadata: &Metadata) -> Result<Vec<u8>, SafeTensorError> {
    let little_endian = |data: &Data| -> Vec<u8> {
        with_entries!(data, v => v.iter().flat_map(|x| x.to_le_bytes()).collect())
    };
    let bytes: Vec<Vec<u8>> = arrays.values().map(|a| little_endian(&a.data)).collect();
    let views: Result<Vec<_>, _> = arrays
        .iter()
        .zip(&bytes)
        .map(|((name, array), bytes)| {
            TensorView::new(dtype(&array.data), array.shape.clone(), bytes).map(|view| (name, view))
        })
        .collect();
    with_metadata(safetensors::serialize(views?, None)?, metadata)
}

/// Puts metadata into the header of a file without any.
///
/// The library could write it too, but takes it as a hash map and writes it in whatever order that has, so that equal
/// content would give unequal bytes.
fn with_metadata(file: Vec<u8>, metadata: &Metadata) -> Result<Vec<u8>, SafeTensorError> {
    const LENGTH: usize = size_of::<u64>();
    if metadata.is_empty() {
        return Ok(file);
    }
    let (prefix, rest) = file.split_first_chunk::<LENGTH>().ok_or(SafeTensorError::HeaderTooSmall)?;
    let length = usize::try_from(u64::from_le_bytes(*prefix)).map_err(|_| SafeTensorError::HeaderTooLarge)?;
    let (header, data) = rest.split_at_checked(length).ok_or(SafeTensorError::InvalidHeaderLength)?;
    let tensors = header.trim_ascii().strip_prefix(b"{").ok_or(SafeTensorError::InvalidHeaderLength)?;
    let mut header = format!("{{\"__metadata__\":{}", serde_json::to_string(metadata)?).into_bytes();
    header.extend(if tensors == b"}" { b"".as_slice() } else { b"," });
    header.extend(tensors);
    header.resize(header.len().next_multiple_of(LENGTH), b' ');
    Ok([&(header.len() as u64).to_le_bytes(), header.as_slice(), data].concat())
}
