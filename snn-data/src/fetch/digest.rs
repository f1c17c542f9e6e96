//! Hashes of files.

use std::fmt::Write;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use md5::Md5;
use sha2::Sha256;
use sha2::digest::{Digest as _, DynDigest};

use super::{FetchError, Observer, Progress, Stage, tell};
use crate::num::wide;

const CHUNK: usize = 1 << 20;

/// A published hash, in lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Digest<'a> {
    /// SHA-256.
    Sha256(&'a str),
    /// MD5: good against damage, not against attackers.
    Md5(&'a str),
}

impl<'a> Digest<'a> {
    /// What the hash is called.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Sha256(_) => "SHA-256",
            Self::Md5(_) => "MD5",
        }
    }

    /// Its digits.
    pub const fn hex(self) -> &'a str {
        match self {
            Self::Sha256(hex) | Self::Md5(hex) => hex,
        }
    }

    fn hasher(self) -> Box<dyn DynDigest> {
        match self {
            Self::Sha256(_) => Box::new(Sha256::new()),
            Self::Md5(_) => Box::new(Md5::new()),
        }
    }

    /// An error unless the file has this hash.
    pub(super) fn check(self, path: &Path, name: &str, observe: &mut Observer<'_>) -> Result<(), FetchError> {
        let found = self.of_file(path, name, observe)?;
        if found == self.hex() {
            return Ok(());
        }
        let (path, kind, expected) = (path.to_owned(), self.kind(), self.hex().to_owned());
        Err(FetchError::WrongHash { path, kind, found, expected })
    }

    fn of_file(self, path: &Path, name: &str, observe: &mut Observer<'_>) -> Result<String, FetchError> {
        let mut file = File::open(path).map_err(FetchError::io("read", path))?;
        let total = file.metadata().map_err(FetchError::io("read", path))?.len();
        let (mut hasher, mut buffer, mut done) = (self.hasher(), vec![0; CHUNK], 0);
        loop {
            let n = file.read(&mut buffer).map_err(FetchError::io("read", path))?;
            if n == 0 {
                break;
            }
            hasher.update(&buffer[..n]);
            done += wide(n);
            tell(observe, Progress { file: name, stage: Stage::Checking, done, total: Some(total) })?;
        }
        let mut hex = String::new();
        for byte in hasher.finalize() {
            // Writing to a string does not fail.
            let _ = write!(hex, "{byte:02x}");
        }
        Ok(hex)
    }
}
