//! Unpacking archives whose entries are not trusted.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Component, Path, PathBuf};

use flate2::read::MultiGzDecoder;
use tar::EntryType;
use zip::ZipArchive;

use super::{FetchError, Observer, Progress, Stage, tell};
use crate::num::wide;

/// Archives may expand to this many bytes per byte, ...
const MAX_EXPANSION: u64 = 200;
/// ... plus this many.
const FREE_EXPANSION: u64 = 1 << 24;
const CHUNK: usize = 1 << 17;
const OUTSIDE: &str = "has a name that leads out of the folder";

/// What is done with a file after it was fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unpack {
    /// It stays as it is.
    No,
    /// It is a zip archive.
    Zip,
    /// It is a tar archive, compressed by gzip.
    TarGz,
}

/// Unpacks the archive at `path` into the folder `to`, which is made.
pub(super) fn unpack(
    path: &Path,
    kind: Unpack,
    to: &Path,
    observe: &mut Observer<'_>,
) -> Result<(), FetchError> {
    let file = File::open(path).map_err(FetchError::io("read", path))?;
    let len = file.metadata().map_err(FetchError::io("read", path))?.len();
    fs::create_dir_all(to).map_err(FetchError::io("create", to))?;
    let limit = len.saturating_mul(MAX_EXPANSION).saturating_add(FREE_EXPANSION);
    let mut target = Target { archive: path, folder: to, limit, written: 0, observe };
    match kind {
        Unpack::No => Ok(()),
        Unpack::Zip => target.unpack_zip(BufReader::new(file)),
        Unpack::TarGz => target.unpack_tar(MultiGzDecoder::new(BufReader::new(file))),
    }
}

/// Where an archive is unpacked to.
struct Target<'a, 'o> {
    archive: &'a Path,
    folder: &'a Path,
    limit: u64,
    written: u64,
    observe: &'a mut Observer<'o>,
}

impl Target<'_, '_> {
    fn unpack_zip(&mut self, file: BufReader<File>) -> Result<(), FetchError> {
        let mut archive = ZipArchive::new(file).map_err(|cause| self.bad(cause.into()))?;
        for k in 0..archive.len() {
            let mut entry = archive.by_index(k).map_err(|cause| self.bad(cause.into()))?;
            let name = entry.name().map_err(|cause| self.bad(cause.into()))?.into_owned();
            if entry.is_symlink() {
                return Err(self.refuse(&name, "is a link"));
            }
            let Some(path) = self.path_of(&name, Path::new(&name))? else { continue };
            if entry.is_dir() {
                fs::create_dir_all(&path).map_err(FetchError::io("create", &path))?;
            } else {
                self.write(&name, &path, &mut entry)?;
            }
        }
        Ok(())
    }

    fn unpack_tar(&mut self, bytes: impl Read) -> Result<(), FetchError> {
        let mut archive = tar::Archive::new(bytes);
        for entry in archive.entries().map_err(|cause| self.bad(cause))? {
            let mut entry = entry.map_err(|cause| self.bad(cause))?;
            let inner = entry.path().map_err(|cause| self.bad(cause))?.into_owned();
            let name = inner.display().to_string();
            let kind = entry.header().entry_type();
            if kind == EntryType::XGlobalHeader {
                continue;
            }
            let Some(path) = self.path_of(&name, &inner)? else { continue };
            match kind {
                EntryType::Directory => fs::create_dir_all(&path).map_err(FetchError::io("create", &path))?,
                EntryType::Regular | EntryType::Continuous => self.write(&name, &path, &mut entry)?,
                _ => return Err(self.refuse(&name, "is a link or a device")),
            }
        }
        Ok(())
    }

    /// Where an entry goes; none for what macOS leaves in archives.
    fn path_of(&self, name: &str, inner: &Path) -> Result<Option<PathBuf>, FetchError> {
        let mut path = self.folder.to_owned();
        // On Unix a backslash is a letter, elsewhere it parts folders: archives mean the latter.
        if name.contains('\\') {
            return Err(self.refuse(name, "has a backslash in its name"));
        }
        for component in inner.components() {
            match component {
                Component::CurDir => {}
                Component::Normal(part) if part == "__MACOSX" || part == ".DS_Store" => return Ok(None),
                Component::Normal(part) => path.push(part),
                Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                    return Err(self.refuse(name, OUTSIDE));
                }
            }
        }
        Ok(Some(path))
    }

    fn write(&mut self, name: &str, path: &Path, from: &mut impl Read) -> Result<(), FetchError> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(FetchError::io("create", folder))?;
        }
        let file = match File::create_new(path) {
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {
                return Err(self.refuse(name, "has the name of another entry"));
            }
            other => other.map_err(FetchError::io("write", path))?,
        };
        let (mut file, mut buffer) = (BufWriter::new(file), vec![0; CHUNK]);
        loop {
            let n = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => n,
                Err(cause) => return Err(self.bad(cause)),
            };
            self.count(n)?;
            file.write_all(&buffer[..n]).map_err(FetchError::io("write", path))?;
        }
        file.flush().map_err(FetchError::io("write", path))
    }

    fn count(&mut self, n: usize) -> Result<(), FetchError> {
        self.written += wide(n);
        if self.written > self.limit {
            return Err(FetchError::TooLarge { path: self.archive.to_owned(), limit: self.limit });
        }
        let name = self.archive.file_name().unwrap_or_default().to_string_lossy();
        let progress = Progress { file: &name, stage: Stage::Unpacking, done: self.written, total: None };
        tell(self.observe, progress)
    }

    fn bad(&self, cause: io::Error) -> FetchError {
        FetchError::BadArchive { path: self.archive.to_owned(), cause }
    }

    fn refuse(&self, entry: &str, problem: &'static str) -> FetchError {
        FetchError::BadEntry { path: self.archive.to_owned(), entry: entry.to_owned(), problem }
    }
}
