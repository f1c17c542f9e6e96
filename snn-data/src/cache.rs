//! Frames on disk, made once: for data sets whose decoding costs more than reading them back.
//!
//! A cache is one file, `<name>-<settings>.frames`, named by a hash of the [`ToFrames`] settings and the version
//! of this crate. It begins with a hash of all recordings, so that one made from other recordings is noticed
//! ([`DataError::StaleCache`]) and never read. Frames of [`FrameValue::Binary`] take a bit a value, others a byte.
//! The file is mapped into memory.
//!
//! While it is made, it is called `.frames.part`, and a `.frames.lock` beside it is locked: a second process waits
//! and then finds it done; after a crash the samples that were finished are not made again. Cache files are not to
//! be edited.

mod file;
mod map;

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use ndarray::Array4;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::dataset::{Dataset, check_index};
use crate::error::DataError;
use crate::event::EventStream;
use crate::num::wide;
use crate::transform::{FrameValue, Framer, ToFrames};
use file::{HEADER_BYTES, Header, Lock, PartFile};
use map::Map;

/// Samples that are decoded together while a cache is made.
const CHUNK: usize = 256;

/// What a cache will be, before it is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachePlan {
    /// Its file.
    pub path: PathBuf,
    /// Number of samples.
    pub n_samples: usize,
    /// Bytes that the file takes.
    pub n_bytes: u64,
    /// True if it is there already.
    pub is_made: bool,
}

/// A cache file in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheFile {
    /// The file.
    pub path: PathBuf,
    /// Its length.
    pub n_bytes: u64,
    /// Shape `[T, 2, H, W]` and number of samples that its header names; none if it has none.
    pub content: Option<([usize; 4], usize)>,
    /// True if it is complete; otherwise a process is making it, or died while it did.
    pub is_complete: bool,
}

/// The caches in a folder, finished or not, sorted by name; none in a folder that is not there.
///
/// # Errors
///
/// [`DataError::Io`].
pub fn list(folder: &Path) -> Result<Vec<CacheFile>, DataError> {
    let mut found = Vec::new();
    for path in files_of(folder)? {
        let is_complete = path.extension().is_some_and(|end| end == "frames");
        if path.extension().is_some_and(|end| end == "lock") {
            continue;
        }
        let mut head = Vec::new();
        let file = File::open(&path).map_err(DataError::io("open", &path))?;
        let n_bytes = file.metadata().map_err(DataError::io("read", &path))?.len();
        file.take(wide(HEADER_BYTES)).read_to_end(&mut head).map_err(DataError::io("read", &path))?;
        let content = content_of(&head);
        found.push(CacheFile { path, n_bytes, content, is_complete });
    }
    Ok(found)
}

/// Shape `[T, 2, H, W]` and number of samples that the beginning of a cache file names; none if it is no such
/// file.
pub fn content_of(head: &[u8]) -> Option<([usize; 4], usize)> {
    Header::read(head).map(|header| (header.shape, header.n_samples))
}

/// Removes the caches in a folder, finished or not; returns how many there were and their bytes.
///
/// # Errors
///
/// [`DataError::Io`].
pub fn clear(folder: &Path) -> Result<(usize, u64), DataError> {
    let caches = list(folder)?;
    for path in files_of(folder)? {
        fs::remove_file(&path).map_err(DataError::io("remove", &path))?;
    }
    Ok((caches.len(), caches.iter().map(|cache| cache.n_bytes).sum()))
}

/// All files that caches are made of.
fn files_of(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(folder).map_err(DataError::io("list", folder))?;
    let names: Result<Vec<_>, _> = entries.map(|entry| entry.map(|entry| entry.file_name())).collect();
    let mut names = names.map_err(DataError::io("list", folder))?;
    names.sort_unstable();
    let endings = [".frames", ".frames.part", ".frames.lock"];
    let is_one = |name: &str| endings.iter().any(|end| name.ends_with(end));
    Ok(names.iter().filter(|name| name.to_str().is_some_and(is_one)).map(|name| folder.join(name)).collect())
}

/// Frames of all samples of a data set, in a file.
///
/// # Examples
///
/// ```
/// use snn_data::cache::FrameCache;
/// use snn_data::datasets::glyphs::{Glyphs, GlyphsConfig};
/// use snn_data::{Dataset, ToFrames};
///
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path();
/// let glyphs = Glyphs::new(GlyphsConfig { n_samples: 20, ..GlyphsConfig::default() })?;
/// let frames = ToFrames::time_bins(5);
/// println!("{} bytes", FrameCache::plan(folder, "glyphs", &glyphs, &frames)?.n_bytes);
/// let cache = FrameCache::open_or_make(folder, "glyphs", &glyphs, &frames, &|_done| ())?;
/// assert_eq!(cache.frames(3)?, frames.frames(&glyphs.events(3)?, glyphs.sensor())?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct FrameCache {
    path: PathBuf,
    map: Map,
    header: Header,
}

impl FrameCache {
    /// Says what would be made, and makes nothing.
    ///
    /// # Errors
    ///
    /// What [`ToFrames::framer`] refuses.
    pub fn plan(
        folder: &Path,
        name: &str,
        dataset: &dyn Dataset,
        frames: &ToFrames,
    ) -> Result<CachePlan, DataError> {
        let framer = frames.framer(dataset.sensor())?;
        let header = Header::new([0; 32], &framer, frames.value, dataset.len());
        let path = path_of(folder, name, dataset, frames);
        let is_made = path.is_file();
        Ok(CachePlan { path, n_samples: dataset.len(), n_bytes: header.file_bytes(), is_made })
    }

    /// Opens the cache, after making what is missing of it; `observe` hears of samples done, on any thread.
    ///
    /// All recordings are read once, to tell whether an existing cache is of them.
    ///
    /// # Errors
    ///
    /// [`DataError::StaleCache`] for a cache of other recordings; [`DataError::Io`]; that of the first sample that
    /// cannot be read; what [`ToFrames::framer`] refuses.
    pub fn open_or_make(
        folder: &Path,
        name: &str,
        dataset: &dyn Dataset,
        frames: &ToFrames,
        observe: &(dyn Fn(usize) + Sync),
    ) -> Result<Self, DataError> {
        let framer = frames.framer(dataset.sensor())?;
        let path = path_of(folder, name, dataset, frames);
        let header = Header::new(hash_of_recordings(dataset)?, &framer, frames.value, dataset.len());
        if !path.is_file() {
            make(&path, &header, dataset, &framer, observe)?;
        }
        Self::open(&path, &header)
    }

    /// Compares the frames of every sample with those that `dataset` gives; the first that differ are an error.
    /// `observe` hears of samples done, on any thread.
    ///
    /// # Errors
    ///
    /// [`DataError::StaleCache`]; that of the first sample that cannot be read; what [`ToFrames::framer`] refuses.
    pub fn check(
        &self,
        dataset: &dyn Dataset,
        frames: &ToFrames,
        observe: &(dyn Fn(usize) + Sync),
    ) -> Result<(), DataError> {
        let framer = frames.framer(dataset.sensor())?;
        let stale = || DataError::StaleCache { path: self.path.clone() };
        if (dataset.len(), framer.shape()) != (self.len(), self.shape()) {
            return Err(stale());
        }
        (0..self.len()).into_par_iter().try_for_each(|i| {
            let (mut made, mut found) = (vec![0; framer.n_values()], vec![0; framer.n_values()]);
            framer.fill(&dataset.events(i)?, &mut made);
            self.fill(i, &mut found)?;
            observe(1);
            if made == found { Ok(()) } else { Err(stale()) }
        })
    }

    fn open(path: &Path, expected: &Header) -> Result<Self, DataError> {
        let map = Map::open(path)?;
        let found = Header::read(map.bytes());
        if found.as_ref() != Some(expected) || wide(map.bytes().len()) != expected.file_bytes() {
            return Err(DataError::StaleCache { path: path.to_owned() });
        }
        Ok(Self { path: path.to_owned(), map, header: expected.clone() })
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.header.n_samples
    }

    /// True if there is no sample.
    pub fn is_empty(&self) -> bool {
        self.header.n_samples == 0
    }

    /// Shape `[T, 2, H, W]` of the frames of a sample.
    pub fn shape(&self) -> [usize; 4] {
        self.header.shape
    }

    /// Frames of sample `i`.
    ///
    /// # Shapes
    ///
    /// [`FrameCache::shape`].
    ///
    /// # Errors
    ///
    /// [`DataError::BadIndex`].
    pub fn frames(&self, i: usize) -> Result<Array4<u8>, DataError> {
        let mut frames = Array4::zeros(self.shape());
        if let Some(values) = frames.as_slice_mut() {
            self.fill(i, values)?;
        }
        Ok(frames)
    }

    /// Writes the frames of sample `i` into `frames`, row-major.
    ///
    /// # Errors
    ///
    /// [`DataError::BadIndex`].
    ///
    /// # Panics
    ///
    /// Unless `frames` has the values of one sample.
    pub fn fill(&self, i: usize, frames: &mut [u8]) -> Result<(), DataError> {
        check_index(i, self.len())?;
        assert_eq!(frames.len(), self.header.n_values(), "frames buffer for shape {:?}", self.shape());
        let record = self.map.bytes().get(self.header.record(i)).unwrap_or_default();
        if self.header.is_packed {
            unpack(record, frames);
        } else {
            frames.copy_from_slice(record);
        }
        Ok(())
    }
}

fn path_of(folder: &Path, name: &str, dataset: &dyn Dataset, frames: &ToFrames) -> PathBuf {
    let settings = format!("{} {} {frames:?}", env!("CARGO_PKG_VERSION"), dataset.sensor());
    let digest = Sha256::digest(settings);
    let short: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    folder.join(format!("{name}-{short}.frames"))
}

/// A hash of names, labels and events of all samples, in order.
fn hash_of_recordings(dataset: &dyn Dataset) -> Result<[u8; 32], DataError> {
    let hash_of = |i: usize| -> Result<[u8; 32], DataError> {
        let mut hash = Sha256::new();
        hash.update(dataset.sample_name(i));
        hash.update(wide(dataset.label(i)).to_le_bytes());
        hash_events(&mut hash, &dataset.events(i)?);
        Ok(hash.finalize().into())
    };
    let hashes: Vec<_> = (0..dataset.len()).into_par_iter().map(hash_of).collect();
    let mut all = Sha256::new();
    for hash in hashes {
        all.update(hash?);
    }
    Ok(all.finalize().into())
}

fn hash_events(hash: &mut Sha256, events: &EventStream) {
    let mut bytes = Vec::with_capacity(9 * events.len());
    for event in events.iter() {
        bytes.extend(event.x.to_le_bytes());
        bytes.extend(event.y.to_le_bytes());
        bytes.push(event.on.into());
        bytes.extend(event.t.to_le_bytes());
    }
    hash.update(bytes);
}

fn make(
    path: &Path,
    header: &Header,
    dataset: &dyn Dataset,
    framer: &Framer,
    observe: &(dyn Fn(usize) + Sync),
) -> Result<(), DataError> {
    let lock = Lock::wait_for(path)?;
    // Another process may have made it while this one waited.
    if path.is_file() {
        return Ok(());
    }
    let mut part = PartFile::open(path, header)?;
    let record = |i: usize| -> Result<Vec<u8>, DataError> {
        let mut frames = vec![0; header.n_values()];
        dataset.fill_frames(i, framer, &mut frames)?;
        observe(1);
        Ok(if header.is_packed { pack(&frames) } else { frames })
    };
    observe(part.n_done());
    while part.n_done() < header.n_samples {
        let end = (part.n_done() + CHUNK).min(header.n_samples);
        let records: Vec<_> = (part.n_done()..end).into_par_iter().map(record).collect();
        for record in records {
            part.append(&record?)?;
        }
    }
    part.finish(path)?;
    lock.remove();
    Ok(())
}

/// Eight values of 0 or 1 a byte, the first in the lowest bit.
fn pack(values: &[u8]) -> Vec<u8> {
    let byte = |bits: &[u8]| bits.iter().rev().fold(0, |byte, &bit| byte << 1 | bit);
    values.chunks(8).map(byte).collect()
}

fn unpack(packed: &[u8], values: &mut [u8]) {
    for (bits, &byte) in values.chunks_mut(8).zip(packed) {
        bits.iter_mut().zip(0..).for_each(|(bit, k)| *bit = byte >> k & 1);
    }
}

impl Header {
    fn new(recordings: [u8; 32], framer: &Framer, value: FrameValue, n_samples: usize) -> Self {
        Self { recordings, shape: framer.shape(), is_packed: value == FrameValue::Binary, n_samples }
    }
}

#[cfg(test)]
mod tests;
