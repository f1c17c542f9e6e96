//! Reader of the reference arrays in `tests/golden/*.npz`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use npyz::{DType, NpyFile, Order, TypeChar};
use thiserror::Error;
use zip::ZipArchive;

use crate::data::workspace_root;

/// Why a golden file could not be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GoldenError {
    /// The file could not be opened or read.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not a zip archive, or a damaged one.
    #[error("{} is not a readable .npz archive", path.display())]
    Archive {
        /// The file.
        path: PathBuf,
        /// What the archive reader said.
        source: zip::result::ZipError,
    },
    /// An entry of the archive is not a readable `.npy` array.
    #[error("entry {entry} of {} is not a readable .npy array", path.display())]
    Array {
        /// The file.
        path: PathBuf,
        /// Name of the entry.
        entry: String,
        /// What the array reader said.
        source: std::io::Error,
    },
    /// An array is of a type or order that this reader does not handle.
    #[error("entry {entry} of {} has type {dtype}, expected C-order f4, f8, i1, i2, i4, i8, u1 or b1", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// Name of the entry.
        entry: String,
        /// The type as numpy writes it, with the order when it is Fortran's.
        dtype: String,
    },
}

/// Values of one array: floats in their own width, all integers and booleans widened.
#[derive(Debug, Clone, PartialEq)]
enum Values {
    F32(Vec<f32>),
    F64(Vec<f64>),
    Int(Vec<i64>),
}

#[derive(Debug, Clone, PartialEq)]
struct Array {
    shape: Vec<usize>,
    values: Values,
}

/// The arrays of one golden file, by key. Keys read `case/array`, for example `leaky_subtract/gx`.
///
/// # Examples
///
/// ```
/// use snn_testkit::Golden;
///
/// let golden = Golden::open("neurons");
/// let (shape, x) = golden.get_f64("x");
/// assert_eq!(x.len(), shape.iter().product());
/// ```
#[derive(Debug, Clone)]
pub struct Golden {
    path: PathBuf,
    arrays: BTreeMap<String, Array>,
}

impl Golden {
    /// Reads `tests/golden/<name>.npz` of the workspace.
    ///
    /// # Panics
    ///
    /// When [`Golden::read`] fails.
    #[must_use]
    #[track_caller]
    pub fn open(name: &str) -> Golden {
        let path = workspace_root().join("tests/golden").join(format!("{name}.npz"));
        match Golden::read(&path) {
            Ok(golden) => golden,
            Err(error) => panic!("{error}: {:?}", std::error::Error::source(&error)),
        }
    }

    /// Reads any `.npz` file, compressed or not.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, is no zip archive, or holds something else than C-order arrays of
    /// little-endian f4, f8, i1, i2, i4, i8, u1 or b1.
    pub fn read(path: &Path) -> Result<Golden, GoldenError> {
        let io = |source| GoldenError::Io { path: path.to_path_buf(), source };
        let archive = |source| GoldenError::Archive { path: path.to_path_buf(), source };
        let bytes = std::fs::read(path).map_err(io)?;
        let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(archive)?;
        let mut arrays = BTreeMap::new();
        for i in 0..zip.len() {
            let mut file = zip.by_index(i).map_err(archive)?;
            let entry = String::from_utf8_lossy(file.name_raw()).into_owned();
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).map_err(io)?;
            let array = read_array(&bytes, path, &entry)?;
            arrays.insert(entry.trim_end_matches(".npy").to_owned(), array);
        }
        Ok(Golden { path: path.to_path_buf(), arrays })
    }

    /// All keys, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.arrays.keys().map(String::as_str)
    }

    /// All cases, that is what stands before the last `/` of a key, sorted and each once. A test that runs over
    /// them and panics on a case it does not know cannot leave a new one unchecked.
    #[must_use]
    pub fn cases(&self) -> BTreeSet<&str> {
        self.keys().filter_map(|key| key.rsplit_once('/')).map(|(case, _)| case).collect()
    }

    /// Whether the file has an array of this key.
    #[must_use]
    pub fn contains(&self, key: &str) -> bool {
        self.arrays.contains_key(key)
    }

    /// Shape and row-major values of an array of any type, widened to f64.
    ///
    /// # Panics
    ///
    /// When there is no such key.
    #[must_use]
    #[track_caller]
    pub fn get_f64(&self, key: &str) -> (Vec<usize>, Vec<f64>) {
        let array = self.get(key);
        let values = match &array.values {
            Values::F32(v) => v.iter().copied().map(f64::from).collect(),
            Values::F64(v) => v.clone(),
            Values::Int(v) => v.iter().copied().map(int_to_f64).collect(),
        };
        (array.shape.clone(), values)
    }

    /// Shape and row-major values of an array of any type, rounded to f32 (exact for arrays stored as f32).
    ///
    /// # Panics
    ///
    /// When there is no such key.
    #[must_use]
    #[track_caller]
    pub fn get_f32(&self, key: &str) -> (Vec<usize>, Vec<f32>) {
        let array = self.get(key);
        let values = match &array.values {
            Values::F32(v) => v.clone(),
            Values::F64(v) => v.iter().copied().map(round_to_f32).collect(),
            Values::Int(v) => v.iter().copied().map(int_to_f64).map(round_to_f32).collect(),
        };
        (array.shape.clone(), values)
    }

    /// Shape and row-major values of an integer or boolean array.
    ///
    /// # Panics
    ///
    /// When there is no such key, or the array holds floats.
    #[must_use]
    #[track_caller]
    pub fn get_i64(&self, key: &str) -> (Vec<usize>, Vec<i64>) {
        let array = self.get(key);
        match &array.values {
            Values::Int(v) => (array.shape.clone(), v.clone()),
            Values::F32(_) | Values::F64(_) => panic!("{key} of {} holds floats", self.path.display()),
        }
    }

    /// The only value of an array with one element, as f64.
    ///
    /// # Panics
    ///
    /// When there is no such key, or the array has not exactly one element.
    #[must_use]
    #[track_caller]
    pub fn scalar(&self, key: &str) -> f64 {
        match self.get_f64(key) {
            (_, values) if values.len() == 1 => values[0],
            (shape, _) => {
                panic!("{key} of {} has shape {shape:?}, expected one element", self.path.display())
            }
        }
    }

    #[track_caller]
    fn get(&self, key: &str) -> &Array {
        match self.arrays.get(key) {
            Some(array) => array,
            None => panic!("{} has no array {key}", self.path.display()),
        }
    }
}

fn read_array(bytes: &[u8], path: &Path, entry: &str) -> Result<Array, GoldenError> {
    let damaged = |source| GoldenError::Array { path: path.to_path_buf(), entry: entry.to_owned(), source };
    let npy = NpyFile::new(bytes).map_err(damaged)?;
    let shape = npy.shape().iter().map(|&n| usize::try_from(n).unwrap_or(usize::MAX)).collect();
    let Some(kind) = scalar_kind(&npy) else {
        let order = if npy.order() == Order::Fortran { " in Fortran order" } else { "" };
        return Err(GoldenError::Unsupported {
            path: path.to_path_buf(),
            entry: entry.to_owned(),
            dtype: format!("{}{order}", npy.dtype().descr()),
        });
    };
    Ok(Array { shape, values: read_values(npy, kind).map_err(damaged)? })
}

/// Type letter and bytes per element, when this reader handles the array.
fn scalar_kind<R: Read>(npy: &NpyFile<R>) -> Option<(TypeChar, u64)> {
    let DType::Plain(ty) = npy.dtype() else { return None };
    let kind = (ty.type_char(), ty.size_field());
    let known = matches!(
        kind,
        (TypeChar::Float, 4 | 8) | (TypeChar::Int, 1 | 2 | 4 | 8) | (TypeChar::Uint | TypeChar::Bool, 1)
    );
    (known && npy.order() == Order::C).then_some(kind)
}

fn read_values(npy: NpyFile<&[u8]>, kind: (TypeChar, u64)) -> std::io::Result<Values> {
    Ok(match kind {
        (TypeChar::Float, 4) => Values::F32(npy.into_vec()?),
        (TypeChar::Float, _) => Values::F64(npy.into_vec()?),
        (TypeChar::Uint, _) => widen::<u8>(npy.into_vec()?),
        (TypeChar::Bool, _) => widen::<bool>(npy.into_vec()?),
        (_, 1) => widen::<i8>(npy.into_vec()?),
        (_, 2) => widen::<i16>(npy.into_vec()?),
        (_, 4) => widen::<i32>(npy.into_vec()?),
        _ => Values::Int(npy.into_vec()?),
    })
}

fn widen<T: Into<i64>>(values: Vec<T>) -> Values {
    Values::Int(values.into_iter().map(Into::into).collect())
}

/// Exact below 2^53, which golden integers (labels, counts, indices) are far from.
fn int_to_f64(value: i64) -> f64 {
    value as f64
}

#[allow(clippy::cast_possible_truncation, reason = "rounding to the nearest f32 is what is asked for")]
fn round_to_f32(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests;
