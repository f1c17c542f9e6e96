//! Files that are either the old ones or the new ones, never half of each.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

use super::RunDirError;

/// Replaces the file at `path` by what `fill` writes, or leaves it as it was.
///
/// The bytes go to a temporary file in the same folder, are flushed to the disk, and take the final
/// name in one step. A full disk, an error of `fill` or a killed process leaves the old file.
///
/// # Errors
///
/// [`RunDirError::Io`] naming `path` when the folder cannot be written, the disk is full or `fill` fails.
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use snn_bench::run_dir::write_atomic;
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("plan.toml");
/// write_atomic(&path, |file| file.write_all(b"mean_bits = 4\n"))?;
/// assert_eq!(std::fs::read_to_string(&path)?, "mean_bits = 4\n");
/// # Ok(())
/// # }
/// ```
pub fn write_atomic(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), RunDirError> {
    replace(path, fill).map_err(|source| RunDirError::Io { path: path.to_owned(), source })
}

fn replace(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let folder = folder_of(path);
    let temporary = temporary_in(&folder)?;
    let mut writer = BufWriter::new(temporary.as_file());
    fill(&mut writer)?;
    writer.flush()?;
    drop(writer);
    temporary.as_file().sync_all()?;
    temporary.persist(path).map_err(|error| error.error)?;
    sync_folder(&folder)
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn temporary_in(folder: &Path) -> io::Result<NamedTempFile> {
    let mut builder = Builder::new();
    builder.prefix(".snn-").suffix(".tmp");
    readable_by_umask(&mut builder);
    builder.tempfile_in(folder)
}

/// Temporary files are private by default; results are to be as readable as any other new file.
#[cfg(unix)]
fn readable_by_umask(builder: &mut Builder<'_, '_>) {
    use std::os::unix::fs::PermissionsExt;
    builder.permissions(std::fs::Permissions::from_mode(0o666));
}

#[cfg(not(unix))]
fn readable_by_umask(_builder: &mut Builder<'_, '_>) {}

/// Makes the new name itself durable; only Unix lets a folder be opened for that.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn replaces_the_whole_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        write_atomic(&path, |file| file.write_all(b"a long first version")).unwrap();
        write_atomic(&path, |file| file.write_all(b"short")).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"short");
    }

    #[test]
    fn failed_write_leaves_the_old_file_and_no_litter() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        write_atomic(&path, |file| file.write_all(b"old")).unwrap();
        let error = write_atomic(&path, |file| {
            file.write_all(b"half of the new")?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        })
        .unwrap_err();
        assert!(error.to_string().contains("a.txt"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["a.txt"]);
    }

    #[test]
    fn missing_folder_is_an_error_naming_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nowhere").join("a.txt");
        let error = write_atomic(&path, |file| file.write_all(b"x")).unwrap_err();
        assert!(error.to_string().contains("nowhere"), "{error}");
    }
}
