//! Results of the parts of a reproduction, kept so that an interrupted one goes on where it was.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{RunDirError, write_atomic};

/// Stored results of one configuration: a JSON file a cell, under a folder.
///
/// A cell is a piece of a reproduction worth keeping on its own: one seed, one plan, one fold.
#[derive(Debug, Clone)]
pub struct Cells {
    folder: PathBuf,
    config_hash: String,
}

#[derive(Serialize, Deserialize)]
struct Cell<T> {
    key: String,
    config_hash: String,
    value: T,
}

impl Cells {
    /// The cells in `folder` that belong to `config`, and to this version of the project.
    ///
    /// # Errors
    ///
    /// [`RunDirError::Io`] when the folder cannot be made, [`RunDirError::Json`] when `config` has no
    /// JSON form.
    pub fn open(folder: &Path, config: &impl Serialize) -> Result<Self, RunDirError> {
        std::fs::create_dir_all(folder)
            .map_err(|source| RunDirError::Io { path: folder.to_owned(), source })?;
        let config_hash = config_hash(config).map_err(|source| RunDirError::Json {
            path: folder.to_owned(),
            line: None,
            source,
        })?;
        Ok(Self { folder: folder.to_owned(), config_hash })
    }

    /// The stored value of `key`, or else what `compute` returns, stored before it is returned.
    ///
    /// A stored value counts only when it was made with the same configuration and still has the shape
    /// of `T`; otherwise it is computed anew. Numbers in it must be finite, as JSON has no others.
    ///
    /// # Errors
    ///
    /// The error of `compute`, or a [`RunDirError`]: [`RunDirError::CellKey`] for a key that is no plain
    /// file name, [`RunDirError::Io`] when the cell cannot be written.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use snn_bench::run_dir::{Cells, RunDirError};
    ///
    /// let folder = tempfile::tempdir()?;
    /// let cells = Cells::open(folder.path(), &("lif", 20))?;
    /// let accuracy = cells.cell("seed0.ptq4", || Ok::<_, RunDirError>(0.97))?;
    /// let again = cells.cell("seed0.ptq4", || -> Result<f64, RunDirError> { unreachable!() })?;
    /// assert_eq!(accuracy, again);
    /// # Ok(())
    /// # }
    /// ```
    pub fn cell<T, E>(&self, key: &str, compute: impl FnOnce() -> Result<T, E>) -> Result<T, E>
    where
        T: Serialize + DeserializeOwned,
        E: From<RunDirError>,
    {
        let path = self.path(key)?;
        if let Some(value) = self.stored(&path, key) {
            return Ok(value);
        }
        let value = compute()?;
        let cell = Cell { key: key.to_owned(), config_hash: self.config_hash.clone(), value };
        store(&path, &cell)?;
        Ok(cell.value)
    }

    /// The stored value of `key`, if there is one as [`cell`](Self::cell) counts them.
    ///
    /// # Errors
    ///
    /// [`RunDirError::CellKey`] for a key that is no plain file name.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, RunDirError> {
        Ok(self.stored(&self.path(key)?, key))
    }

    /// Whether `key` has a file with this configuration, whatever the shape of its value.
    #[must_use]
    pub fn contains(&self, key: &str) -> bool {
        self.path(key).is_ok_and(|path| self.stored::<serde_json::Value>(&path, key).is_some())
    }

    fn path(&self, key: &str) -> Result<PathBuf, RunDirError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if key.is_empty() || key.len() > 200 || key.starts_with('.') || !key.chars().all(plain) {
            return Err(RunDirError::CellKey { key: key.to_owned() });
        }
        Ok(self.folder.join(format!("{key}.json")))
    }

    fn stored<T: DeserializeOwned>(&self, path: &Path, key: &str) -> Option<T> {
        let bytes = std::fs::read(path).ok()?;
        let cell: Cell<T> = serde_json::from_slice(&bytes).ok()?;
        (cell.config_hash == self.config_hash && cell.key == key).then_some(cell.value)
    }
}

fn store<T: Serialize>(path: &Path, cell: &Cell<T>) -> Result<(), RunDirError> {
    let text = serde_json::to_vec_pretty(cell).map_err(|source| RunDirError::Json {
        path: path.to_owned(),
        line: None,
        source,
    })?;
    write_atomic(path, |file| file.write_all(&text))
}

/// SHA-256 of the project's version and the configuration, its keys sorted, in hexadecimal.
fn config_hash(config: &impl Serialize) -> Result<String, serde_json::Error> {
    let canonical = serde_json::to_value(config)?.to_string();
    let digest =
        Sha256::new().chain_update(env!("CARGO_PKG_VERSION")).chain_update([0]).chain_update(canonical);
    Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Computed = Result<f64, RunDirError>;

    fn fails() -> Computed {
        panic!("computed although stored")
    }

    #[test]
    fn computes_once() {
        let folder = tempfile::tempdir().unwrap();
        let cells = Cells::open(folder.path(), &1).unwrap();
        let value = 0.1 + 0.2;
        assert_eq!(cells.cell("a", || Computed::Ok(value)).unwrap().to_bits(), value.to_bits());
        assert!(cells.contains("a"));
        assert_eq!(cells.cell("a", fails).unwrap().to_bits(), value.to_bits());
    }

    #[test]
    fn another_config_computes_anew() {
        let folder = tempfile::tempdir().unwrap();
        Cells::open(folder.path(), &1).unwrap().cell("a", || Computed::Ok(1.0)).unwrap();
        let other = Cells::open(folder.path(), &2).unwrap();
        assert!(!other.contains("a"));
        assert_eq!(other.cell("a", || Computed::Ok(2.0)).unwrap().to_bits(), 2.0_f64.to_bits());
    }

    #[test]
    fn torn_or_reshaped_cells_are_computed_anew() {
        let folder = tempfile::tempdir().unwrap();
        let cells = Cells::open(folder.path(), &1).unwrap();
        cells.cell("a", || Ok::<_, RunDirError>("text".to_owned())).unwrap();
        assert_eq!(cells.cell("a", || Computed::Ok(3.0)).unwrap().to_bits(), 3.0_f64.to_bits());
        std::fs::write(folder.path().join("a.json"), "{\"key\":").unwrap();
        assert_eq!(cells.cell("a", || Computed::Ok(4.0)).unwrap().to_bits(), 4.0_f64.to_bits());
    }

    #[test]
    fn a_failed_computation_stores_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let cells = Cells::open(folder.path(), &1).unwrap();
        let failed = cells.cell("a", || Computed::Err(RunDirError::NoSeed));
        assert!(matches!(failed, Err(RunDirError::NoSeed)));
        assert!(!cells.contains("a"));
    }

    #[test]
    fn keys_are_plain_file_names() {
        let folder = tempfile::tempdir().unwrap();
        let cells = Cells::open(folder.path(), &1).unwrap();
        for key in ["", "../a", "a/b", ".hidden", "a b"] {
            assert!(matches!(cells.cell(key, fails), Err(RunDirError::CellKey { .. })), "{key:?}");
        }
    }
}
