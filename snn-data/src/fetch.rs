//! Data sets from where they are published: downloading, checking, unpacking (feature `fetch`).
//!
//! [`catalog`] lists the data sets with their files, hashes, licence and citation; [`fetch`] gets the files of
//! one. Data sets whose host asks for a form or a browser have [`Access::ByHand`]: steps for people.
//!
//! # Nothing half-written is taken for data
//!
//! - All unfinished work lies in the folder `.fetch` beside the data, which one process at a time works in. A file
//!   is received as `.fetch/<name>.part` and leaves that name only when its hash is right.
//! - An interrupted download goes on where it ended, by a range request. A server that ignores the range, or gives
//!   another one, sends the file from the beginning. Every file of the catalog has a published hash; where bytes
//!   of an earlier run turn out to be of another file, it is fetched once more from the beginning.
//! - An archive is unpacked to `.fetch/<name>.unpacking`, renamed to `.unpacked` when it is whole, and then its
//!   folders and files are moved to their place one by one. Whatever moment the process dies at, the next run goes
//!   on from there.
//! - Names in archives that lead out of the folder, links and devices are refused; so are archives that
//!   expand to more than 200 times their size (plus 16 MiB).
//! - Files and folders that are there already are never overwritten.
//!
//! Most published hashes are MD5: they guard against damage, not against an attacker, for which HTTPS has to do.
//!
//! # Examples
//!
//! ```no_run
//! use snn_data::fetch::{Access, FetchConfig, catalog, fetch};
//! use std::ops::ControlFlow;
//! use std::path::Path;
//!
//! let source = catalog::find("shd").expect("SHD is in the catalog");
//! println!("{}\n{}", source.license, source.citation);
//! if let Access::Files(files) = source.access {
//!     fetch(files, Path::new("data/shd"), &FetchConfig::default(), &mut |_| ControlFlow::Continue(()))?;
//! }
//! # Ok::<(), snn_data::fetch::FetchError>(())
//! ```

pub mod catalog;

mod archive;
mod digest;
mod download;
mod place;

use std::fs::{self, File, TryLockError};
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;
use ureq::{Agent, Proxy};

pub use archive::Unpack;
pub use digest::Digest;

/// Folder of unfinished downloads, in the folder of the data.
const WORK: &str = ".fetch";

/// A published data set.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Source {
    /// Its short name.
    pub name: &'static str,
    /// Its full name.
    pub title: &'static str,
    /// Terms of use, as the publisher states them.
    pub license: &'static str,
    /// What to cite.
    pub citation: &'static str,
    /// Page of the data set.
    pub homepage: &'static str,
    /// How to get it.
    pub access: Access,
}

/// How to get a data set.
#[derive(Debug, Clone, Copy)]
pub enum Access {
    /// These files, by [`fetch`].
    Files(&'static [RemoteFile<'static>]),
    /// These steps, by people.
    ByHand(&'static [&'static str]),
}

/// A file on the net.
#[derive(Debug, Clone, Copy)]
pub struct RemoteFile<'a> {
    /// Its name in the folder of the data.
    pub name: &'a str,
    /// Where it is; all of these hold the same bytes.
    pub urls: &'a [&'a str],
    /// Its length, where it is published.
    pub n_bytes: Option<u64>,
    /// Its published hash.
    pub digest: Digest<'a>,
    /// What is done with it.
    pub unpack: Unpack,
}

/// Settings of [`fetch`].
#[derive(Debug, Clone)]
pub struct FetchConfig {
    /// Failures in a row, without a byte gained, after which a file is given up. Default: 5.
    pub max_failures: u32,
    /// Pause after the first failure; it doubles with each. Default: 1 s.
    pub pause: Duration,
    /// Longest silence of a server. Default: 60 s.
    pub timeout: Duration,
    /// Address of an HTTP proxy. Environment variables are not looked at. Default: none.
    pub proxy: Option<String>,
}

impl Default for FetchConfig {
    fn default() -> Self {
        let (pause, timeout) = (Duration::from_secs(1), Duration::from_secs(60));
        Self { max_failures: 5, pause, timeout, proxy: None }
    }
}

impl FetchConfig {
    fn agent(&self) -> Result<Agent, FetchError> {
        let proxy = self.proxy.as_deref().map(Proxy::new).transpose();
        let proxy = proxy.map_err(|cause| FetchError::BadProxy { cause: cause.into() })?;
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .user_agent(concat!("snn-data/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity")
            .proxy(proxy)
            .timeout_connect(Some(self.timeout))
            .timeout_recv_response(Some(self.timeout))
            .timeout_per_read(Some(self.timeout));
        Ok(config.build().into())
    }
}

/// What [`fetch`] is doing, for progress bars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// Name of the file.
    pub file: &'a str,
    /// What is done with it.
    pub stage: Stage,
    /// Bytes done.
    pub done: u64,
    /// Bytes in all, where that is known.
    pub total: Option<u64>,
}

/// A stage of [`fetch`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It is received.
    Receiving,
    /// Its hash is computed.
    Checking,
    /// It is unpacked; bytes are those of the contents.
    Unpacking,
}

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Its name.
    pub name: String,
    /// Whether it, or what was in it, lay there before.
    pub was_there: bool,
    /// The files and folders that it gave, in the folder of the data.
    pub paths: Vec<PathBuf>,
}

/// Why a file could not be fetched.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The observer said so; the next [`fetch`] goes on where this one ended.
    #[error("interrupted; what was received is kept")]
    Interrupted,
    /// Another process is at it.
    #[error("another process is fetching into {}", folder.display())]
    Busy {
        /// The folder.
        folder: PathBuf,
    },
    /// The operating system refused.
    #[error("cannot {action} {}: {cause}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// File or folder.
        path: PathBuf,
        /// What the operating system reports.
        cause: io::Error,
    },
    /// The address of a proxy that cannot be used.
    #[error("cannot use the proxy: {cause}")]
    BadProxy {
        /// Why not.
        cause: Box<ureq::Error>,
    },
    /// The server could not be asked, or did not answer.
    #[error("{url}: {cause}")]
    Http {
        /// Address.
        url: String,
        /// What went wrong.
        cause: Box<ureq::Error>,
    },
    /// The connection ended too early, or gave no sense.
    #[error("{url}: the connection broke after {received} bytes: {cause}")]
    Broken {
        /// Address.
        url: String,
        /// Bytes of the file received so far.
        received: u64,
        /// What went wrong.
        cause: io::Error,
    },
    /// The server refused.
    #[error("{url}: the server answered {status}")]
    Status {
        /// Address.
        url: String,
        /// HTTP status.
        status: u16,
    },
    /// The server sent another part of the file than was asked for.
    #[error("{url}: asked for the bytes from {expected} on, the server sent \"{found}\"")]
    WrongRange {
        /// Address.
        url: String,
        /// First byte asked for.
        expected: u64,
        /// Header of the answer.
        found: String,
    },
    /// The file is longer or shorter than the published one.
    #[error("{url}: {found} bytes, the published file has {expected}")]
    WrongLength {
        /// Address.
        url: String,
        /// Length found.
        found: u64,
        /// Published length.
        expected: u64,
    },
    /// The file is not the published one.
    #[error("{}: its {kind} is {found}, that of the published file {expected}", path.display())]
    WrongHash {
        /// The file.
        path: PathBuf,
        /// Kind of hash.
        kind: &'static str,
        /// Hash found.
        found: String,
        /// Published hash.
        expected: String,
    },
    /// Something else has the name of a file or folder.
    #[error("{} is there already, and not from this download: move it away first", path.display())]
    InTheWay {
        /// The file or folder.
        path: PathBuf,
    },
    /// An archive that cannot be unpacked.
    #[error("{}: cannot be unpacked: {cause}", path.display())]
    BadArchive {
        /// The archive.
        path: PathBuf,
        /// What its reader reports.
        cause: io::Error,
    },
    /// An entry of an archive that is not to be unpacked.
    #[error("{}: entry \"{entry}\" {problem}", path.display())]
    BadEntry {
        /// The archive.
        path: PathBuf,
        /// Name of the entry.
        entry: String,
        /// Why it is refused.
        problem: &'static str,
    },
    /// An archive that expands beyond all measure.
    #[error("{}: expands to more than {limit} bytes", path.display())]
    TooLarge {
        /// The archive.
        path: PathBuf,
        /// Most bytes that are accepted.
        limit: u64,
    },
}

impl FetchError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self::Io { action, path: path.to_owned(), cause }
    }
}

/// Hears of progress, and says whether to go on.
pub type Observer<'a> = dyn FnMut(Progress<'_>) -> ControlFlow<()> + 'a;

/// Tells the observer, whose word to stop becomes an error.
fn tell(observe: &mut Observer<'_>, progress: Progress<'_>) -> Result<(), FetchError> {
    match observe(progress) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(FetchError::Interrupted),
    }
}

/// Fetches `files` into `folder`, and unpacks those that are archives; what is there already is checked, or known
/// to have been, and not fetched again.
///
/// # Errors
///
/// [`FetchError`] for the first file that cannot be had; those before it are in place.
pub fn fetch(
    files: &[RemoteFile<'_>],
    folder: &Path,
    config: &FetchConfig,
    observe: &mut Observer<'_>,
) -> Result<Vec<Fetched>, FetchError> {
    let agent = config.agent()?;
    let _lock = lock(folder)?;
    files.iter().map(|file| place::bring(&agent, file, folder, config, observe)).collect()
}

/// Keeps other processes out of the folder until the file is closed, however this process ends.
fn lock(folder: &Path) -> Result<File, FetchError> {
    let work = folder.join(WORK);
    fs::create_dir_all(&work).map_err(FetchError::io("create", &work))?;
    let path = work.join("lock");
    let file = File::create(&path).map_err(FetchError::io("create", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(FetchError::Busy { folder: folder.to_owned() }),
        Err(TryLockError::Error(cause)) => Err(FetchError::io("lock", &path)(cause)),
    }
}

#[cfg(test)]
mod tests;
