//! From a received file to data in its place, in steps of which each is done or not.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use ureq::Agent;

use super::archive::{Unpack, unpack};
use super::download::download;
use super::{FetchConfig, FetchError, Fetched, Observer, RemoteFile, WORK};
use crate::format::write_file;

/// The names under which a file's unfinished work lies.
struct Work {
    folder: PathBuf,
    name: String,
}

impl Work {
    fn path(&self, ending: &str) -> PathBuf {
        self.folder.join(format!("{}{ending}", self.name))
    }

    fn clear(&self, endings: &[&str]) -> Result<(), FetchError> {
        for path in endings.iter().map(|ending| self.path(ending)).filter(|path| path.exists()) {
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.map_err(FetchError::io("remove", &path))?;
        }
        Ok(())
    }
}

/// Fetches one file, and unpacks it if it is an archive.
pub(super) fn bring(
    agent: &Agent,
    file: &RemoteFile<'_>,
    folder: &Path,
    config: &FetchConfig,
    observe: &mut Observer<'_>,
) -> Result<Fetched, FetchError> {
    let work = Work { folder: folder.join(WORK), name: file.name.to_owned() };
    if file.unpack == Unpack::No {
        return bring_plain(agent, file, folder, &work, config, observe);
    }
    let fetched = |names: Vec<String>, was_there| {
        let paths = names.iter().map(|name| folder.join(name)).collect();
        Fetched { name: file.name.to_owned(), was_there, paths }
    };
    let done = work.path(".done");
    if done.exists() {
        if let Some(names) = read_done(&done, file, folder) {
            return Ok(fetched(names, true));
        }
        work.clear(&["", ".moving", ".unpacked", ".done"])?;
    }
    let unpacked = work.path(".unpacked");
    if !unpacked.is_dir() {
        bring_unpacked(agent, file, &work, config, observe)?;
    }
    let names = move_all(&unpacked, folder, &work.path(".moving"))?;
    write_list(&done, &format!("{}\n{}", file.digest.hex(), names.join("\n")))?;
    work.clear(&["", ".moving", ".unpacked"])?;
    Ok(fetched(names, false))
}

fn bring_plain(
    agent: &Agent,
    file: &RemoteFile<'_>,
    folder: &Path,
    work: &Work,
    config: &FetchConfig,
    observe: &mut Observer<'_>,
) -> Result<Fetched, FetchError> {
    let path = folder.join(file.name);
    let was_there = path.exists();
    if was_there {
        file.digest.check(&path, file.name, observe)?;
    } else {
        let part = work.path(".part");
        download(agent, file, &part, config, observe)?;
        fs::rename(&part, &path).map_err(FetchError::io("rename", &part))?;
    }
    Ok(Fetched { name: file.name.to_owned(), was_there, paths: vec![path] })
}

/// Fetches and unpacks an archive as far as the folder `.unpacked`.
fn bring_unpacked(
    agent: &Agent,
    file: &RemoteFile<'_>,
    work: &Work,
    config: &FetchConfig,
    observe: &mut Observer<'_>,
) -> Result<(), FetchError> {
    let archive = work.path("");
    // One that an earlier run left may be of an older list of files.
    if !archive.exists() || file.digest.check(&archive, file.name, observe).is_err() {
        let part = work.path(".part");
        download(agent, file, &part, config, observe)?;
        fs::rename(&part, &archive).map_err(FetchError::io("rename", &part))?;
    }
    work.clear(&[".unpacking"])?;
    let unpacking = work.path(".unpacking");
    unpack(&archive, file.unpack, &unpacking, observe)?;
    fs::rename(&unpacking, work.path(".unpacked")).map_err(FetchError::io("rename", &unpacking))
}

/// Moves what lies in `from` to `folder`; returns the names. The list of names is written before the first is
/// moved, so that a later run knows what was moved by an interrupted one.
fn move_all(from: &Path, folder: &Path, list: &Path) -> Result<Vec<String>, FetchError> {
    let names = match fs::read_to_string(list) {
        Ok(text) => text.lines().map(str::to_owned).collect(),
        Err(_) => names_in(from)?,
    };
    let left: Vec<&String> = names.iter().filter(|name| from.join(name).exists()).collect();
    if let Some(name) = left.iter().find(|name| folder.join(name).exists()) {
        return Err(FetchError::InTheWay { path: folder.join(name) });
    }
    write_list(list, &names.join("\n"))?;
    for name in left {
        let (from, to) = (from.join(name), folder.join(name));
        fs::rename(&from, &to).map_err(FetchError::io("move", &from))?;
    }
    Ok(names)
}

fn names_in(folder: &Path) -> Result<Vec<String>, FetchError> {
    let entries = fs::read_dir(folder).map_err(FetchError::io("list", folder))?;
    let names: Result<Vec<OsString>, _> = entries.map(|entry| entry.map(|entry| entry.file_name())).collect();
    let names = names.map_err(FetchError::io("list", folder))?;
    let mut names: Vec<String> = names.into_iter().map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    Ok(names)
}

/// Names that an archive with this hash gave, if all of them are still there.
fn read_done(path: &Path, file: &RemoteFile<'_>, folder: &Path) -> Option<Vec<String>> {
    let text = fs::read_to_string(path).ok()?;
    let names = text.strip_prefix(file.digest.hex())?.strip_prefix('\n')?;
    let names: Vec<String> = names.lines().map(str::to_owned).collect();
    names.iter().all(|name| folder.join(name).exists()).then_some(names)
}

fn write_list(path: &Path, text: &str) -> Result<(), FetchError> {
    let written = write_file(path, text.as_bytes());
    written.map_err(|cause| FetchError::io("write", path)(std::io::Error::other(cause)))
}
