//! A run directory: everything that a run needs to be read, resumed and believed.
//!
//! | file | what it holds |
//! |---|---|
//! | `config.toml` | the whole configuration, with the `seed` |
//! | `environment.json` | [`Environment`]s the run was worked on in, oldest first |
//! | `metrics.jsonl` | one JSON object a line, appended |
//! | `checkpoint.npz` | state of an unfinished training |
//! | `model.npz` | the trained parameters |
//! | `plan.toml` | bits of each tensor |
//! | `trace.json` | curvature of each tensor |
//! | `cells/<key>.json` | results of the parts of a reproduction ([`Cells`]) |
//! | `report.html`, `report/` | the report page, and the data and drawing of each figure |
//!
//! Files are written to a temporary file in the same folder and renamed ([`write_atomic`]): a full
//! disk or a killed process leaves the old file. Only `metrics.jsonl` is appended to; a line torn
//! by a kill is dropped when the run goes on.

mod atomic;
mod cells;
mod environment;
mod metrics;

use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use atomic::write_atomic;
pub use cells::Cells;
pub use environment::Environment;

const LOCK: &str = ".lock";

/// A file with a fixed name and meaning in a run directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunFile {
    /// `config.toml`
    Config,
    /// `environment.json`
    Environment,
    /// `metrics.jsonl`
    Metrics,
    /// `checkpoint.npz`
    Checkpoint,
    /// `model.npz`
    Model,
    /// `plan.toml`
    Plan,
    /// `trace.json`
    Trace,
}

impl RunFile {
    /// The file's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Config => "config.toml",
            Self::Environment => "environment.json",
            Self::Metrics => "metrics.jsonl",
            Self::Checkpoint => "checkpoint.npz",
            Self::Model => "model.npz",
            Self::Plan => "plan.toml",
            Self::Trace => "trace.json",
        }
    }
}

/// Why a run directory could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunDirError {
    /// The system refused to read or write.
    #[error("{path}: cannot read or write")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The folder lacks a file that is asked for.
    #[error("{path} has no {}", file.name())]
    Missing {
        /// The run directory.
        path: PathBuf,
        /// The file that is not there.
        file: RunFile,
    },
    /// The folder is there, holds files, and is no run directory.
    #[error("{path} is not empty and has no config.toml; choose a new folder for the run")]
    NotARun {
        /// The folder.
        path: PathBuf,
    },
    /// The folder holds a run with another configuration.
    #[error(
        "{path} holds a run with another configuration: `{key}` is {stored} there and {given} here; \
         choose another folder, or the same settings to resume"
    )]
    ConfigDiffers {
        /// The run directory.
        path: PathBuf,
        /// The first key that differs, dotted.
        key: String,
        /// Its value in the folder's `config.toml`.
        stored: String,
        /// Its value in the given configuration.
        given: String,
    },
    /// Another process is writing to this run.
    #[error("{path} is being written by another process")]
    Locked {
        /// The run directory.
        path: PathBuf,
    },
    /// The configuration has no `seed`.
    #[error("the configuration has no integer `seed`")]
    NoSeed,
    /// A `config.toml` is no valid TOML.
    #[error("{path}: invalid TOML")]
    Toml {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: toml::de::Error,
    },
    /// The given configuration has no TOML form.
    #[error("the configuration cannot be written as TOML")]
    ConfigForm(#[from] toml::ser::Error),
    /// A JSON file, or a line of one, does not have the expected form.
    #[error("{path}{}: invalid JSON", line.map(|n| format!(", line {n}")).unwrap_or_default())]
    Json {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1, in a file of many objects.
        line: Option<usize>,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A cell key that is no plain file name.
    #[error("cell key {key:?}: expected letters, digits, `.`, `-` and `_`, not starting with `.`")]
    CellKey {
        /// The key.
        key: String,
    },
}

/// A run directory that is known to hold a run.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    config: toml::Table,
    /// Held while this process may write; released by the system when the process ends, however it ends.
    _lock: Option<File>,
}

impl RunDir {
    /// Makes the run directory at `path`, or resumes the run in it if its configuration is the same.
    ///
    /// `config` must have an integer key `seed`. The environment of this process is recorded, and the
    /// folder is locked against a second writer until the value is dropped.
    ///
    /// # Errors
    ///
    /// [`RunDirError::ConfigDiffers`] naming the first key that differs from the existing run,
    /// [`RunDirError::NotARun`] for a folder with other files in it, [`RunDirError::Locked`] when
    /// another process writes to it, [`RunDirError::NoSeed`], [`RunDirError::ConfigForm`] and
    /// [`RunDirError::Io`].
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use snn_bench::run_dir::RunDir;
    ///
    /// let folder = tempfile::tempdir()?;
    /// let config: toml::Table = "seed = 7\nepochs = 5".parse()?;
    /// let run = RunDir::create(&folder.path().join("small"), &config)?;
    /// assert_eq!(run.seed()?, 7);
    /// # Ok(())
    /// # }
    /// ```
    pub fn create(path: &Path, config: &impl Serialize) -> Result<Self, RunDirError> {
        let config = toml::Table::try_from(config)?;
        seed_of(&config)?;
        std::fs::create_dir_all(path).map_err(|source| RunDirError::Io { path: path.to_owned(), source })?;
        let is_new = is_new_run(path)?;
        let lock = lock(path)?;
        let run = Self { path: path.to_owned(), config, _lock: Some(lock) };
        if is_new {
            let text = toml::to_string_pretty(&run.config)?;
            run.write(RunFile::Config, text.as_bytes())?;
        } else {
            run.require_same_config()?;
        }
        run.record_environment()?;
        Ok(run)
    }

    /// Opens an existing run, to read it or to add a result to it.
    ///
    /// # Errors
    ///
    /// [`RunDirError::Io`] when `path` does not exist, [`RunDirError::Missing`] when it has no
    /// `config.toml`, [`RunDirError::Toml`] when that file is damaged.
    pub fn open(path: &Path) -> Result<Self, RunDirError> {
        std::fs::read_dir(path).map_err(|source| RunDirError::Io { path: path.to_owned(), source })?;
        let config = read_config(path)?;
        Ok(Self { path: path.to_owned(), config, _lock: None })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Path of one of its files, there or not.
    #[must_use]
    pub fn file(&self, file: RunFile) -> PathBuf {
        self.path.join(file.name())
    }

    /// The run's configuration as a TOML table.
    #[must_use]
    pub fn config(&self) -> &toml::Table {
        &self.config
    }

    /// The run's seed.
    ///
    /// # Errors
    ///
    /// [`RunDirError::NoSeed`] when `config.toml` was edited and has none.
    pub fn seed(&self) -> Result<u64, RunDirError> {
        seed_of(&self.config)
    }

    /// Environments the run was worked on in, oldest first; one unless it was resumed elsewhere.
    ///
    /// # Errors
    ///
    /// [`RunDirError::Io`] and [`RunDirError::Json`].
    pub fn environments(&self) -> Result<Vec<Environment>, RunDirError> {
        if !self.file(RunFile::Environment).exists() {
            return Ok(Vec::new());
        }
        self.read_json(RunFile::Environment)
    }

    /// Replaces a file, atomically.
    ///
    /// # Errors
    ///
    /// [`RunDirError::Io`]; the old file is then still there.
    pub fn write(&self, file: RunFile, bytes: &[u8]) -> Result<(), RunDirError> {
        self.write_with(file, |writer| writer.write_all(bytes))
    }

    /// Replaces a file by what `fill` writes, atomically ([`write_atomic`]).
    ///
    /// # Errors
    ///
    /// [`RunDirError::Io`]; the old file is then still there.
    pub fn write_with(
        &self,
        file: RunFile,
        fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), RunDirError> {
        write_atomic(&self.file(file), fill)
    }

    /// Replaces a file by `value` as indented JSON, atomically.
    ///
    /// # Errors
    ///
    /// [`RunDirError::Json`] when `value` has no JSON form, [`RunDirError::Io`].
    pub fn write_json(&self, file: RunFile, value: &impl Serialize) -> Result<(), RunDirError> {
        let mut text = serde_json::to_vec_pretty(value).map_err(|source| self.json_error(file, source))?;
        text.push(b'\n');
        self.write(file, &text)
    }

    /// Bytes of a file.
    ///
    /// # Errors
    ///
    /// [`RunDirError::Missing`] when the run has no such file (yet), [`RunDirError::Io`].
    pub fn read(&self, file: RunFile) -> Result<Vec<u8>, RunDirError> {
        let path = self.file(file);
        match std::fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(RunDirError::Missing { path: self.path.clone(), file })
            }
            other => other.map_err(|source| RunDirError::Io { path, source }),
        }
    }

    /// A JSON file as a `T`.
    ///
    /// # Errors
    ///
    /// As [`RunDir::read`], and [`RunDirError::Json`] when the content has another form.
    pub fn read_json<T: DeserializeOwned>(&self, file: RunFile) -> Result<T, RunDirError> {
        serde_json::from_slice(&self.read(file)?).map_err(|source| self.json_error(file, source))
    }

    /// Appends one record to `metrics.jsonl`; a torn last line is removed first.
    ///
    /// # Errors
    ///
    /// [`RunDirError::Json`] when `record` has no JSON form, [`RunDirError::Io`].
    pub fn append_metrics(&self, record: &impl Serialize) -> Result<(), RunDirError> {
        metrics::append(&self.file(RunFile::Metrics), record)
    }

    /// The records of `metrics.jsonl`, without a torn last line; none when there is no such file yet.
    ///
    /// # Errors
    ///
    /// [`RunDirError::Json`] naming the line that is no `T`, [`RunDirError::Io`].
    pub fn metrics<T: DeserializeOwned>(&self) -> Result<Vec<T>, RunDirError> {
        metrics::read(&self.file(RunFile::Metrics))
    }

    /// Drops all but the first `n_records` records: those after the checkpoint a run resumes from.
    ///
    /// # Errors
    ///
    /// [`RunDirError::Io`].
    pub fn keep_metrics(&self, n_records: usize) -> Result<(), RunDirError> {
        metrics::keep(&self.file(RunFile::Metrics), n_records)
    }

    /// The run's cells made with `config`, which may be a part of the run's own configuration.
    ///
    /// # Errors
    ///
    /// As [`Cells::open`].
    pub fn cells(&self, config: &impl Serialize) -> Result<Cells, RunDirError> {
        Cells::open(&self.path.join("cells"), config)
    }

    fn require_same_config(&self) -> Result<(), RunDirError> {
        match first_difference("", &read_config(&self.path)?, &self.config) {
            None => Ok(()),
            Some((key, stored, given)) => {
                Err(RunDirError::ConfigDiffers { path: self.path.clone(), key, stored, given })
            }
        }
    }

    fn record_environment(&self) -> Result<(), RunDirError> {
        let mut environments = self.environments()?;
        let current = Environment::current();
        if environments.last() == Some(&current) {
            return Ok(());
        }
        environments.push(current);
        self.write_json(RunFile::Environment, &environments)
    }

    fn json_error(&self, file: RunFile, source: serde_json::Error) -> RunDirError {
        RunDirError::Json { path: self.file(file), line: None, source }
    }
}

fn seed_of(config: &toml::Table) -> Result<u64, RunDirError> {
    let seed = config.get("seed").and_then(toml::Value::as_integer);
    seed.and_then(|seed| u64::try_from(seed).ok()).ok_or(RunDirError::NoSeed)
}

/// Whether `path` is free for a new run; hidden files, such as a lock left alone, do not count.
fn is_new_run(path: &Path) -> Result<bool, RunDirError> {
    if path.join(RunFile::Config.name()).exists() {
        return Ok(false);
    }
    let entries =
        std::fs::read_dir(path).map_err(|source| RunDirError::Io { path: path.to_owned(), source })?;
    let holds_files = entries.flatten().any(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."));
    if holds_files { Err(RunDirError::NotARun { path: path.to_owned() }) } else { Ok(true) }
}

fn lock(path: &Path) -> Result<File, RunDirError> {
    let io = |source| RunDirError::Io { path: path.join(LOCK), source };
    let file = File::create(path.join(LOCK)).map_err(io)?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(RunDirError::Locked { path: path.to_owned() }),
        Err(TryLockError::Error(error)) if error.kind() != io::ErrorKind::Unsupported => Err(io(error)),
        _ => Ok(file),
    }
}

fn read_config(path: &Path) -> Result<toml::Table, RunDirError> {
    let file = path.join(RunFile::Config.name());
    let text = match std::fs::read_to_string(&file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(RunDirError::Missing { path: path.to_owned(), file: RunFile::Config });
        }
        other => other.map_err(|source| RunDirError::Io { path: file.clone(), source })?,
    };
    text.parse().map_err(|source| RunDirError::Toml { path: file, source })
}

/// First key, in alphabetical order, whose values differ: its dotted name and both values.
fn first_difference(
    prefix: &str,
    stored: &toml::Table,
    given: &toml::Table,
) -> Option<(String, String, String)> {
    let shown = |value: Option<&toml::Value>| value.map_or("absent".to_owned(), ToString::to_string);
    let mut keys: Vec<_> = stored.keys().chain(given.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    keys.into_iter().find_map(|key| match (stored.get(key), given.get(key)) {
        (a, b) if a == b => None,
        (Some(toml::Value::Table(a)), Some(toml::Value::Table(b))) => {
            first_difference(&format!("{prefix}{key}."), a, b)
        }
        (a, b) => Some((format!("{prefix}{key}"), shown(a), shown(b))),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Serialize)]
    struct Config {
        seed: u64,
        train: Train,
    }

    #[derive(Serialize)]
    struct Train {
        n_epochs: usize,
        lr: f64,
    }

    fn config(seed: u64, n_epochs: usize) -> Config {
        Config { seed, train: Train { n_epochs, lr: 0.1 } }
    }

    #[test]
    fn create_then_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("runs").join("a");
        let run = RunDir::create(&path, &config(7, 5)).unwrap();
        run.append_metrics(&json!({"epoch": 0})).unwrap();
        run.write(RunFile::Plan, b"x").unwrap();
        let opened = RunDir::open(&path).unwrap();
        assert_eq!(opened.seed().unwrap(), 7);
        assert_eq!(opened.config(), run.config());
        assert_eq!(opened.read(RunFile::Plan).unwrap(), b"x");
        assert_eq!(opened.metrics::<serde_json::Value>().unwrap().len(), 1);
        assert_eq!(opened.environments().unwrap(), [Environment::current()]);
    }

    #[test]
    fn the_same_config_resumes_and_another_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        drop(RunDir::create(folder.path(), &config(7, 5)).unwrap());
        let resumed = RunDir::create(folder.path(), &config(7, 5)).unwrap();
        assert_eq!(resumed.environments().unwrap().len(), 1);
        drop(resumed);
        let error = RunDir::create(folder.path(), &config(7, 10)).unwrap_err().to_string();
        assert!(error.contains("`train.n_epochs` is 5 there and 10 here"), "{error}");
        let error = RunDir::create(folder.path(), &config(8, 5)).unwrap_err().to_string();
        assert!(error.contains("`seed` is 7 there and 8 here"), "{error}");
        let stored = RunDir::open(folder.path()).unwrap();
        assert_eq!(stored.seed().unwrap(), 7);
    }

    #[test]
    fn a_second_writer_is_refused_while_readers_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let _first = RunDir::create(folder.path(), &config(7, 5)).unwrap();
        let second = RunDir::create(folder.path(), &config(7, 5));
        assert!(matches!(second, Err(RunDirError::Locked { .. })));
        assert!(RunDir::open(folder.path()).is_ok());
    }

    #[test]
    fn open_names_the_path_and_what_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let error = RunDir::open(folder.path()).unwrap_err();
        assert!(matches!(error, RunDirError::Missing { file: RunFile::Config, .. }));
        let text = error.to_string();
        assert!(text.contains("config.toml") && text.contains(&*folder.path().to_string_lossy()), "{text}");
        let error = RunDir::open(&folder.path().join("nowhere")).unwrap_err();
        assert!(error.to_string().contains("nowhere"), "{error}");
    }

    #[test]
    fn reading_a_result_that_is_not_there_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDir::create(folder.path(), &config(7, 5)).unwrap();
        let error = run.read_json::<serde_json::Value>(RunFile::Trace).unwrap_err();
        assert!(error.to_string().ends_with("has no trace.json"), "{error}");
    }

    #[test]
    fn a_folder_with_other_files_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("thesis.tex"), "x").unwrap();
        let error = RunDir::create(folder.path(), &config(7, 5)).unwrap_err();
        assert!(matches!(error, RunDirError::NotARun { .. }));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_seed_is_required() {
        let folder = tempfile::tempdir().unwrap();
        let result = RunDir::create(folder.path(), &Train { n_epochs: 1, lr: 0.1 });
        assert!(matches!(result, Err(RunDirError::NoSeed)));
    }

    #[test]
    fn a_damaged_config_is_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.toml"), "seed = ").unwrap();
        let error = RunDir::open(folder.path()).unwrap_err();
        assert!(matches!(error, RunDirError::Toml { .. }));
    }
}
