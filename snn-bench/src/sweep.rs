//! A grid of configurations over seeds, cell by cell.
//!
//! ```text
//! <folder>/grid.toml        what is run
//! <folder>/cells/<key>.json one finished cell: its configuration and what came of it
//! <folder>/claims/<key>     locked while some process works on the cell
//! <folder>/networks/        float networks that cells start from; checkpoints of unfinished cells
//! <folder>/sweep.csv, sweep.json, report.html
//! ```
//!
//! A cell is stored whole or not at all, and a stored one is never run again. A training that diverges is an outcome too: it is
//! stored, without an accuracy, and so are the cells that would start from its network. Several processes, on one machine or on
//! several that share the folder, divide the work by file locks, which the system releases when a process ends, however
//! it ends. A killed cell goes on from the last full epoch of its training.

mod grid;
mod page;
mod run;
mod summary;

pub use grid::{Grid, Values};
pub use run::{Job, Shard, merge, run};
pub use summary::{Row, Summary};

use crate::config::{Config, ConfigError};
use crate::experiment::End;
use crate::run_dir::RunDirError;
use serde::{Deserialize, Serialize};
use snn_data::DataError;
use std::path::PathBuf;

/// A finished cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// What was run, in its plainest form.
    pub config: Config,
    /// What came of it: an accuracy, or a training that diverged.
    pub outcome: End,
}

/// Why a sweep cannot be read, run or merged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SweepError {
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The grid is not TOML, or has unknown or wrong fields.
    #[error("{}: {source}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and what.
        source: Box<toml::de::Error>,
    },
    /// A grid without seeds or with an axis without values.
    #[error("{what} has no values")]
    Empty {
        /// The axis.
        what: String,
    },
    /// A seed among the settings.
    #[error("`seed` cannot be set for cells: `seeds` lists theirs")]
    Seed,
    /// A setting of a cell.
    #[error("{cell}: {source}")]
    Setting {
        /// The settings of the cell.
        cell: String,
        /// What is wrong with them.
        source: ConfigError,
    },
    /// Settings of a cell that are no configuration.
    #[error("{cell}: {source}")]
    Config {
        /// The settings of the cell.
        cell: String,
        /// Which field, and what was expected.
        source: Box<toml::de::Error>,
    },
    /// A folder that a cell names, of whose recordings the sensor cannot be found out.
    #[error("{cell}: {source}")]
    Data {
        /// The settings of the cell.
        cell: String,
        /// Why not.
        source: DataError,
    },
    /// The configuration of a cell has no TOML form.
    #[error(transparent)]
    Form(#[from] toml::ser::Error),
    /// The folder holds another grid.
    #[error("{} holds another grid; choose another folder", path.display())]
    OtherGrid {
        /// The file of that grid.
        path: PathBuf,
    },
    /// A shard that does not exist.
    #[error("shard {text:?}: expected I/N with I from 1 to N")]
    Shard {
        /// What was asked for.
        text: String,
    },
    /// Two folders hold different outcomes of one cell.
    #[error("{key}: {found} in {} and {kept} in the folder merged into", folder.display())]
    Differs {
        /// The cell.
        key: String,
        /// The other folder.
        folder: PathBuf,
        /// What came of it there.
        found: Box<End>,
        /// What came of it here.
        kept: Box<End>,
    },
    /// A cell cannot be stored.
    #[error(transparent)]
    RunDir(#[from] RunDirError),
    /// A cell failed.
    #[error("cell {key}: {source:#}")]
    Cell {
        /// The cell.
        key: String,
        /// Why.
        source: anyhow::Error,
    },
}
