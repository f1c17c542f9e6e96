//! What verbs share about recordings that are not the run's own.

use anyhow::ensure;
use snn_bench::config::DataConfig;
use snn_bench::data::{self, Samples};
use std::path::PathBuf;

/// Recordings instead of the run's own.
#[derive(Debug, clap::Args)]
pub(super) struct Recordings {
    /// Folder of recordings instead of the run's own; the same share of it, or the same lists, are looked at.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// List of the recordings to look at instead of the run's own.
    #[arg(long, value_name = "FILE")]
    split: Option<PathBuf>,
}

impl Recordings {
    /// Points the configuration to the folder, if there is one.
    pub(super) fn apply(&self, config: &mut DataConfig) -> anyhow::Result<()> {
        if let Some(folder) = &self.data {
            *config = data::elsewhere(config, folder)?;
        }
        Ok(())
    }

    /// The recordings of the list, or without one those that `otherwise` opens.
    pub(super) fn samples(
        &self,
        config: &DataConfig,
        otherwise: impl FnOnce() -> anyhow::Result<Samples>,
    ) -> anyhow::Result<Samples> {
        let Some(list) = &self.split else { return otherwise() };
        ensure!(config.path.is_some(), "--split needs a folder of recordings: give --data");
        Ok(data::listed(config, list)?)
    }
}
