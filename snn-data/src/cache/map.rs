//! A file mapped into memory: the only unsafe code of this crate.
#![allow(unsafe_code, reason = "a memory map; see `Map::open`")]

use std::fs::File;
use std::path::Path;

use memmap2::Mmap;

use crate::error::DataError;

/// The bytes of a file.
#[derive(Debug)]
pub(super) struct Map(Mmap);

impl Map {
    pub(super) fn open(path: &Path) -> Result<Self, DataError> {
        let file = File::open(path).map_err(DataError::io("open", path))?;
        // SAFETY: the file takes its name only when it is complete and is never written afterwards by this crate, so that
        // the bytes behind the slice do not change. Whoever truncates a cache in use breaks the rule that cache files are
        // not edited, stated in the module's documentation; the values are plain bytes, any of which is valid.
        unsafe { Mmap::map(&file) }.map(Self).map_err(DataError::io("map", path))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}
