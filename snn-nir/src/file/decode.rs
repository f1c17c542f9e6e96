//! From HDF5 to a tree of values.

use crate::error::FormatError;
use crate::graph::{Metadata, Value};
use hdf5_reader::group::Group;
use hdf5_reader::{Dataset, Datatype, Hdf5File, OpenOptions};
use snn_core::io::{Array, Data};
use std::panic::{self, AssertUnwindSafe};

/// Groups within groups, at most: more than any network has, less than any stack holds.
const MAX_DEPTH: usize = 32;
/// Groups and arrays, at most. Links may lead in circles, so the size of the file is no bound.
const MAX_OBJECTS: usize = 1 << 20;
/// All arrays together may expand to this many bytes per byte of the file: as much as its compression can do, …
const MAX_EXPANSION: usize = 1100;
/// … plus this many.
const FREE_BYTES: usize = 1 << 20;
/// Greatest header of an object, in bytes.
const MAX_HEADER: usize = 1 << 20;

/// The entries of the group `/node`.
pub(super) fn node_entries(bytes: Vec<u8>) -> Result<Metadata, FormatError> {
    let limit = bytes.len().saturating_mul(MAX_EXPANSION).saturating_add(FREE_BYTES);
    let options = OpenOptions::default()
        .with_max_read_bytes(limit)
        .with_max_chunk_bytes(limit)
        .with_max_object_header_bytes(MAX_HEADER)
        .with_chunk_cache_bytes(0);
    guarded(|| {
        let file = Hdf5File::from_vec_with_options(bytes, options).map_err(unreadable("/"))?;
        let node = file.group("node").map_err(unreadable("/node"))?;
        let mut budget = Budget { objects: MAX_OBJECTS, bytes: limit, limit };
        budget.entries(&node, "/node", 0)
    })
}

/// What `read` returns, or an error where the HDF5 library panics: version 0.12.1 multiplies sizes from the file without a
/// check, which panics in builds that check overflow. Nothing outlives the panic that could be seen half-changed.
fn guarded<T>(read: impl FnOnce() -> Result<T, FormatError>) -> Result<T, FormatError> {
    let broken =
        || FormatError::Hdf5 { object: "/".to_owned(), source: "the reader gave up on its sizes".into() };
    panic::catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err(broken()))
}

fn unreadable(object: &str) -> impl FnOnce(hdf5_reader::error::Error) -> FormatError {
    let object = object.to_owned();
    move |source| FormatError::Hdf5 { object, source: Box::new(source) }
}

/// What may still be read.
struct Budget {
    objects: usize,
    bytes: usize,
    limit: usize,
}

impl Budget {
    fn entries(&mut self, group: &Group, object: &str, depth: usize) -> Result<Metadata, FormatError> {
        let too_much = |what, limit| FormatError::Limit { object: object.to_owned(), what, limit };
        if depth >= MAX_DEPTH {
            return Err(too_much("levels of groups", MAX_DEPTH));
        }
        let (groups, datasets) = group.members().map_err(unreadable(object))?;
        let n = groups.len() + datasets.len();
        self.objects = self.objects.checked_sub(n).ok_or_else(|| too_much("objects", MAX_OBJECTS))?;
        let mut entries = Metadata::new();
        for dataset in &datasets {
            let name = last_part(dataset.name());
            entries.insert(name.to_owned(), self.value(dataset, &format!("{object}/{name}"))?);
        }
        for group in &groups {
            let name = last_part(group.name());
            let value = self.entries(group, &format!("{object}/{name}"), depth + 1)?;
            entries.insert(name.to_owned(), value.into());
        }
        Ok(entries)
    }

    fn value(&mut self, dataset: &Dataset, object: &str) -> Result<Value, FormatError> {
        let size = dataset.raw_byte_len().map_err(unreadable(object))?;
        self.bytes = self.bytes.checked_sub(size).ok_or_else(|| FormatError::Limit {
            object: object.to_owned(),
            what: "bytes of arrays",
            limit: self.limit,
        })?;
        if is_text(dataset.dtype()) {
            let mut texts = dataset.read_strings().map_err(unreadable(object))?;
            let is_single = dataset.shape().is_empty() && texts.len() == 1;
            return Ok(if is_single { Value::Text(texts.remove(0)) } else { Value::Texts(texts) });
        }
        array(dataset, object).map(Value::Array)
    }
}

fn last_part(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

fn is_text(datatype: &Datatype) -> bool {
    use hdf5_reader::VarLenKind::String as Text;
    matches!(datatype, Datatype::String { .. } | Datatype::VarLen { kind: Text, .. })
}

fn array(dataset: &Dataset, object: &str) -> Result<Array, FormatError> {
    let unknown =
        || FormatError::Entries { object: object.to_owned(), found: format!("{:?}", dataset.dtype()) };
    let element = match dataset.dtype() {
        // Python's booleans.
        Datatype::Enum { base, .. } => base,
        plain => plain,
    };
    let read = decoder(element).ok_or_else(unknown)?;
    let bytes = dataset.read_native_bytes().map_err(unreadable(object))?;
    let shape: Option<Vec<usize>> = dataset.shape().iter().map(|&n| usize::try_from(n).ok()).collect();
    let data = read(&bytes);
    let n = data.len();
    let found = || format!("{n} entries for the shape {:?}", dataset.shape());
    shape
        .and_then(|shape| Array::new(&shape, data).ok())
        .ok_or_else(|| FormatError::Entries { object: object.to_owned(), found: found() })
}

/// What turns native bytes into entries of this type, with 16- and 32-bit unsigned numbers widened.
fn decoder(element: &Datatype) -> Option<fn(&[u8]) -> Data> {
    macro_rules! of {
        ($number:ty => $variant:ident) => {
            |bytes: &[u8]| {
                let (numbers, _) = bytes.as_chunks();
                Data::$variant(numbers.iter().map(|&b| <$number>::from_ne_bytes(b).into()).collect())
            }
        };
    }
    Some(match element {
        Datatype::FloatingPoint { size: 4, .. } => of!(f32 => F32),
        Datatype::FloatingPoint { size: 8, .. } => of!(f64 => F64),
        Datatype::FixedPoint { size: 1, signed: true, .. } => of!(i8 => I8),
        Datatype::FixedPoint { size: 2, signed: true, .. } => of!(i16 => I16),
        Datatype::FixedPoint { size: 4, signed: true, .. } => of!(i32 => I32),
        Datatype::FixedPoint { size: 8, signed: true, .. } => of!(i64 => I64),
        Datatype::FixedPoint { size: 1, signed: false, .. } => of!(u8 => U8),
        Datatype::FixedPoint { size: 2, signed: false, .. } => of!(u16 => I32),
        Datatype::FixedPoint { size: 4, signed: false, .. } => of!(u32 => I64),
        Datatype::FixedPoint { size: 8, signed: false, .. } => of!(u64 => U64),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_the_hdf5_library_is_an_error() {
        let sizes = [usize::MAX, 2];
        let read = || Ok(sizes.iter().copied().reduce(|a, b| a.checked_mul(b).expect("as the library does")));
        assert!(matches!(guarded(read), Err(FormatError::Hdf5 { object, .. }) if object == "/"));
        assert!(matches!(guarded(|| Ok(1)), Ok(1)));
    }
}
