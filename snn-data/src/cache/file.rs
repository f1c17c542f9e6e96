//! The layout of a cache file, and the file while it is made.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::error::DataError;
use crate::num::{index, wide};

const MAGIC: [u8; 8] = *b"SNNFRM01";
/// Bytes before the first record: magic, hash, shape, packing, number of samples.
pub(super) const HEADER_BYTES: usize = 8 + 32 + 4 * 8 + 8 + 8;

/// What a cache holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) recordings: [u8; 32],
    pub(super) shape: [usize; 4],
    pub(super) is_packed: bool,
    pub(super) n_samples: usize,
}

impl Header {
    pub(super) fn n_values(&self) -> usize {
        self.shape.iter().product()
    }

    fn record_bytes(&self) -> usize {
        if self.is_packed { self.n_values().div_ceil(8) } else { self.n_values() }
    }

    pub(super) fn file_bytes(&self) -> u64 {
        self.bytes_up_to(self.n_samples)
    }

    fn bytes_up_to(&self, sample: usize) -> u64 {
        wide(HEADER_BYTES) + wide(sample) * wide(self.record_bytes())
    }

    /// Where the frames of a sample are.
    pub(super) fn record(&self, sample: usize) -> Range<usize> {
        index(self.bytes_up_to(sample))..index(self.bytes_up_to(sample + 1))
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = [&MAGIC[..], &self.recordings].concat();
        let packing = usize::from(self.is_packed);
        for number in self.shape.into_iter().chain([packing, self.n_samples]) {
            bytes.extend(wide(number).to_le_bytes());
        }
        bytes
    }

    /// The header at the front of a file, if it is one.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(&MAGIC)?;
        let (recordings, rest) = rest.split_first_chunk::<32>()?;
        let (numbers, _) = rest.split_first_chunk::<48>()?;
        let (numbers, _) = numbers.as_chunks::<8>();
        let [t, c, h, w, packing, n_samples] = <[usize; 6]>::try_from(
            numbers.iter().map(|bytes| index(u64::from_le_bytes(*bytes))).collect::<Vec<_>>(),
        )
        .ok()?;
        Some(Self { recordings: *recordings, shape: [t, c, h, w], is_packed: packing == 1, n_samples })
    }
}

/// Held by the one process that makes a cache. Waiting for it ends when that process does, however it ends.
pub(super) struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    pub(super) fn wait_for(target: &Path) -> Result<Self, DataError> {
        let path = target.with_extension("frames.lock");
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(DataError::io("create", folder))?;
        }
        let file = File::create(&path).map_err(DataError::io("create", &path))?;
        file.lock().map_err(DataError::io("lock", &path))?;
        Ok(Self { path, _file: file })
    }

    /// Removes the lock's file: the cache is there, and whoever waits will find it.
    pub(super) fn remove(self) {
        // A lock file that stays behind is no harm.
        let _ = fs::remove_file(&self.path);
    }
}

/// A cache while it is made, by the holder of its [`Lock`].
pub(super) struct PartFile {
    path: PathBuf,
    file: File,
    header: Header,
    n_done: usize,
}

impl PartFile {
    /// Goes on where the file ends; begins anew if it is not of this header.
    pub(super) fn open(target: &Path, header: &Header) -> Result<Self, DataError> {
        let path = target.with_extension("frames.part");
        let io = |action| DataError::io(action, &path);
        let mut options = OpenOptions::new();
        let file =
            options.read(true).write(true).create(true).truncate(false).open(&path).map_err(io("open"))?;
        let mut part = Self { path: path.clone(), file, header: header.clone(), n_done: 0 };
        part.n_done = part.finished_records()?;
        let end = if part.n_done == 0 { 0 } else { header.bytes_up_to(part.n_done) };
        part.file.set_len(end).map_err(io("shorten"))?;
        part.file.seek(SeekFrom::Start(end)).map_err(io("write"))?;
        if end == 0 {
            part.file.write_all(&header.to_bytes()).map_err(io("write"))?;
        }
        Ok(part)
    }

    /// Whole records that the file holds already.
    fn finished_records(&self) -> Result<usize, DataError> {
        let len = self.file.metadata().map_err(DataError::io("read", &self.path))?.len();
        let mut head = vec![0; HEADER_BYTES];
        let is_mine = std::io::Read::read_exact(&mut &self.file, &mut head).is_ok()
            && Header::read(&head).as_ref() == Some(&self.header);
        let records = len.saturating_sub(wide(HEADER_BYTES)) / wide(self.header.record_bytes().max(1));
        Ok(if is_mine { index(records).min(self.header.n_samples) } else { 0 })
    }

    pub(super) fn n_done(&self) -> usize {
        self.n_done
    }

    pub(super) fn append(&mut self, record: &[u8]) -> Result<(), DataError> {
        self.file.write_all(record).map_err(DataError::io("write", &self.path))?;
        self.n_done += 1;
        Ok(())
    }

    /// Gives the complete file its name.
    pub(super) fn finish(self, target: &Path) -> Result<(), DataError> {
        self.file.sync_all().map_err(DataError::io("write", &self.path))?;
        fs::rename(&self.path, target).map_err(DataError::io("rename", &self.path))
    }
}
