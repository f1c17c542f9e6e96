//! From a tree of values to HDF5.

use crate::error::FormatError;
use crate::graph::{Metadata, Value};
use hdf5_writer::{DatasetBuilder, FilterDescription, H5WriteElement, Hdf5Builder, WriteOptions};
use snn_core::io::{Array, Data};

/// Level of compression, as h5py's default.
const DEFLATE_LEVEL: u32 = 4;
/// HDF5's number of the deflate filter.
const DEFLATE: u16 = 1;

/// The bytes of a file with these entries.
pub(super) fn file(entries: &Metadata) -> Result<Vec<u8>, FormatError> {
    let mut builder = Hdf5Builder::new();
    put_entries(&mut builder, entries, "")?;
    let plan = builder.into_plan().map_err(unwritable("/"))?;
    plan.encode(WriteOptions::default()).map_err(unwritable("/"))
}

fn unwritable(object: &str) -> impl FnOnce(hdf5_writer::Error) -> FormatError {
    let object = object.to_owned();
    move |source| FormatError::Hdf5 { object, source: Box::new(source) }
}

fn put_entries(builder: &mut Hdf5Builder, entries: &Metadata, group: &str) -> Result<(), FormatError> {
    for (name, value) in entries {
        if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
            let object = if group.is_empty() { "/" } else { group };
            return Err(FormatError::Name { object: object.to_owned(), name: name.clone() });
        }
        let object = if group.is_empty() { name.clone() } else { format!("{group}/{name}") };
        let dataset = match value {
            Value::Group(inner) => {
                put_entries(builder, inner, &object)?;
                continue;
            }
            Value::Text(text) => DatasetBuilder::vlen_string_data(object.clone(), [], &[text]),
            // The ends of edges are the only texts that NIR has in two columns.
            Value::Texts(texts) if name == "edges" => {
                DatasetBuilder::vlen_string_data(object.clone(), [texts.len() as u64 / 2, 2], texts)
            }
            Value::Texts(texts) => {
                DatasetBuilder::vlen_string_data(object.clone(), [texts.len() as u64], texts)
            }
            Value::Array(array) => numbers(&object, array),
        };
        let dataset = dataset.map_err(unwritable(&format!("/{object}")))?;
        *builder = std::mem::take(builder).dataset(dataset);
    }
    Ok(())
}

fn numbers(object: &str, array: &Array) -> Result<DatasetBuilder, hdf5_writer::Error> {
    match array.data() {
        Data::F32(v) => dataset(object, array.shape(), v),
        Data::F64(v) => dataset(object, array.shape(), v),
        Data::I8(v) => dataset(object, array.shape(), v),
        Data::I16(v) => dataset(object, array.shape(), v),
        Data::I32(v) => dataset(object, array.shape(), v),
        Data::I64(v) => dataset(object, array.shape(), v),
        Data::U8(v) => dataset(object, array.shape(), v),
        Data::U64(v) => dataset(object, array.shape(), v),
    }
}

/// Arrays are compressed as one piece; single numbers and empty arrays cannot be.
fn dataset<T: H5WriteElement>(
    object: &str,
    shape: &[usize],
    values: &[T],
) -> Result<DatasetBuilder, hdf5_writer::Error> {
    let shape: Vec<u64> = shape.iter().map(|&n| n as u64).collect();
    let dataset = DatasetBuilder::typed_data(object, shape.clone(), values)?;
    if shape.is_empty() || values.is_empty() {
        return Ok(dataset);
    }
    let deflate = FilterDescription { id: DEFLATE, name: None, client_data: vec![DEFLATE_LEVEL] };
    Ok(dataset.chunked(shape).filter(deflate))
}
