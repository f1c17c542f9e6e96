//! Named arrays and network parameters in files: `.npz` ([`npz`]) and `.safetensors` ([`safetensors`]).
//!
//! [`save_params`] and [`load_params`] keep the parameters of a network; [`read()`] and [`write()`] any named arrays, such
//! as integer codes. Files are written beside their destination and renamed, so that a crash leaves the old file; the
//! same arrays give the same bytes. Readers take any bytes without panic.

pub mod npz;
pub mod safetensors;

use crate::error::{CheckpointError, ShapeError};
use crate::module::{Module, Param};
use crate::tensor::Tensor;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Arrays by name.
pub type Arrays = BTreeMap<String, Array>;

/// An array of one of the element types that checkpoints hold, in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    shape: Vec<usize>,
    data: Data,
}

/// The entries of an [`Array`].
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// Parameters.
    F32(Vec<f32>),
    /// Measurements in double precision.
    F64(Vec<f64>),
    /// Codes of up to 8 bits.
    I8(Vec<i8>),
    /// Codes of up to 16 bits.
    I16(Vec<i16>),
    /// Codes of up to 32 bits.
    I32(Vec<i32>),
    /// Labels and counts, as numpy writes integers by default.
    I64(Vec<i64>),
    /// Packed bits, pixels.
    U8(Vec<u8>),
    /// Seeds and counters.
    U64(Vec<u64>),
}

/// Evaluates `$body` with `$v` bound to the vector in `$data`, whatever its type.
macro_rules! with_entries {
    ($data:expr, $v:ident => $body:expr) => {
        match $data {
            crate::io::Data::F32($v) => $body,
            crate::io::Data::F64($v) => $body,
            crate::io::Data::I8($v) => $body,
            crate::io::Data::I16($v) => $body,
            crate::io::Data::I32($v) => $body,
            crate::io::Data::I64($v) => $body,
            crate::io::Data::U8($v) => $body,
            crate::io::Data::U64($v) => $body,
        }
    };
}
pub(crate) use with_entries;

impl Data {
    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        with_entries!(self, v => v.len())
    }

    /// True if there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Name of the element type, as numpy has it.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::F32(_) => "float32",
            Self::F64(_) => "float64",
            Self::I8(_) => "int8",
            Self::I16(_) => "int16",
            Self::I32(_) => "int32",
            Self::I64(_) => "int64",
            Self::U8(_) => "uint8",
            Self::U64(_) => "uint64",
        }
    }
}

impl Array {
    /// Takes `data` in row-major order as an array of the given shape.
    ///
    /// # Errors
    /// [`ShapeError::Length`] if the shape does not hold so many entries.
    pub fn new(shape: &[usize], data: Data) -> Result<Self, ShapeError> {
        let n = shape.iter().try_fold(1_usize, |n, &d| n.checked_mul(d));
        if n == Some(data.len()) {
            return Ok(Self { shape: shape.to_vec(), data });
        }
        Err(ShapeError::Length { shape: shape.to_vec(), len: data.len() })
    }

    /// Sizes of the axes.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The entries.
    #[must_use]
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// The array as a tensor, if its entries are `f32`.
    #[must_use]
    pub fn to_tensor(&self) -> Option<Tensor<f32>> {
        let Data::F32(values) = &self.data else { return None };
        Some(Tensor::new(&self.shape, values.clone()))
    }
}

impl From<&Tensor<f32>> for Array {
    fn from(tensor: &Tensor<f32>) -> Self {
        Self { shape: tensor.shape().to_vec(), data: Data::F32(tensor.as_slice().to_vec()) }
    }
}

/// File formats, by the ending of the name.
#[derive(Clone, Copy)]
enum Format {
    Npz,
    SafeTensors,
}

fn format_of(path: &Path) -> Result<Format, CheckpointError> {
    match path.extension().and_then(|e| e.to_str()) {
        Some("npz") => Ok(Format::Npz),
        Some("safetensors") => Ok(Format::SafeTensors),
        _ => Err(format_error(path, "unknown format, expected a name ending in .npz or .safetensors")),
    }
}

/// Reads all arrays of a file; its name ends in `.npz` or `.safetensors`.
///
/// # Errors
/// [`CheckpointError::Io`], or [`CheckpointError::Format`] for anything that is not such a file.
pub fn read(path: &Path) -> Result<Arrays, CheckpointError> {
    match format_of(path)? {
        Format::Npz => npz::read(path),
        Format::SafeTensors => Ok(safetensors::read(path)?.arrays),
    }
}

/// Writes arrays to a file; its name ends in `.npz` or `.safetensors`.
///
/// # Errors
/// [`CheckpointError::Io`], or [`CheckpointError::Format`] for another ending.
pub fn write(path: &Path, arrays: &Arrays) -> Result<(), CheckpointError> {
    match format_of(path)? {
        Format::Npz => npz::write(path, arrays),
        Format::SafeTensors => safetensors::write(path, arrays, &BTreeMap::new()),
    }
}

/// All parameters of a network, buffers included, by name.
#[must_use]
pub fn params(module: &impl Module) -> Arrays {
    let mut arrays = Arrays::new();
    module.visit_params(&mut |p| {
        arrays.insert(p.name.clone(), Array::from(&p.value));
    });
    arrays
}

/// Sets all parameters of a network to arrays that were read from `path`, which errors name.
///
/// # Errors
/// If a parameter is missing, unknown, of another shape or not `float32`; the network is then unchanged.
pub fn set_params(module: &mut impl Module, arrays: &Arrays, path: &Path) -> Result<(), CheckpointError> {
    let mut values = BTreeMap::new();
    let mut outcome = Ok(());
    module.visit_params(&mut |p| {
        if outcome.is_ok() {
            outcome = value_of(p, arrays, path).map(|value| {
                values.insert(p.name.clone(), value);
            });
        }
    });
    outcome?;
    if let Some(name) = arrays.keys().find(|name| !values.contains_key(*name)) {
        return Err(CheckpointError::Unknown { path: path.to_path_buf(), name: name.clone() });
    }
    module.visit_params_mut(&mut |p| {
        if let Some(value) = values.remove(&p.name) {
            p.value = value;
        }
    });
    Ok(())
}

/// The value in `arrays` for parameter `p`.
fn value_of(p: &Param, arrays: &Arrays, path: &Path) -> Result<Tensor<f32>, CheckpointError> {
    let name = p.name.clone();
    let Some(array) = arrays.get(&name) else {
        return Err(CheckpointError::Missing { path: path.to_path_buf(), name });
    };
    if array.shape() != p.value.shape() {
        let [found, expected] = [array.shape(), p.value.shape()].map(<[usize]>::to_vec);
        return Err(CheckpointError::Shape { path: path.to_path_buf(), name, found, expected });
    }
    let found = array.data().type_name();
    array
        .to_tensor()
        .ok_or_else(|| format_error(path, format!("tensor `{name}` holds {found}, expected float32")))
}

/// Writes all parameters of a network, buffers included.
///
/// # Errors
/// As [`write()`].
pub fn save_params(module: &impl Module, path: &Path) -> Result<(), CheckpointError> {
    write(path, &params(module))
}

/// Reads all parameters of a network, buffers included.
///
/// # Errors
/// As [`read()`] and [`set_params`]; the network is then unchanged.
pub fn load_params(module: &mut impl Module, path: &Path) -> Result<(), CheckpointError> {
    set_params(module, &read(path)?, path)
}

/// Writes a file so that a crash leaves either the old or the new one: to a temporary file in the same folder, which is
/// flushed to disk and renamed.
///
/// # Errors
/// [`CheckpointError::Io`], naming `path`; the temporary file is then removed.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), CheckpointError> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    let write = || {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    write().map_err(|source| {
        // the first error is the one to report
        let _ = std::fs::remove_file(&temporary);
        CheckpointError::Io { path: path.to_path_buf(), source }
    })
}

fn read_bytes(path: &Path) -> Result<Vec<u8>, CheckpointError> {
    std::fs::read(path).map_err(|source| CheckpointError::Io { path: PathBuf::from(path), source })
}

fn format_error(path: &Path, what: impl Into<String>) -> CheckpointError {
    CheckpointError::Format { path: path.to_path_buf(), what: what.into() }
}

#[cfg(test)]
mod tests;
