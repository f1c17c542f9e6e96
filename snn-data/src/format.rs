//! File formats: bytes to values and back. Nothing here panics on any bytes.

pub mod aedat2;
pub mod aedat31;
#[cfg(feature = "aedat4")]
pub mod aedat4;
pub mod any;
pub mod dat;
pub mod decode;
pub mod es;
pub mod evt2;
pub mod evt21;
pub mod evt3;
pub mod idx;
pub mod nmnist_bin;
#[cfg(feature = "npy")]
pub mod npy_events;

mod aedat_header;
#[cfg(any(feature = "hdf5", feature = "npy"))]
pub(crate) mod number;
pub mod prophesee;

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::DataError;

/// Reads a whole file.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>, DataError> {
    fs::read(path).map_err(DataError::io("read", path))
}

/// Writes a file so that it is either complete or not there: a temporary file beside it, then a rename.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), DataError> {
    let part = temporary_path(path);
    let written = fs::write(&part, bytes).and_then(|()| fs::rename(&part, path));
    written.map_err(|cause| {
        // The write has failed already; a temporary file that cannot be removed either changes nothing.
        let _ = fs::remove_file(&part);
        DataError::io("write", path)(cause)
    })
}

fn temporary_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    path.with_file_name(name)
}
