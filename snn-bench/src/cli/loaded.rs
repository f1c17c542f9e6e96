//! What a run holds, read back.

use super::network::Network;
use super::settings;
use anyhow::Context;
use snn_bench::config::{Config, DataConfig};
use snn_bench::data::{self, Splits};
use snn_bench::run_dir::{RunDir, RunDirError, RunFile};
use snn_bench::{model, training};
use snn_core::io;
use snn_core::layer::Sequential;
use snn_data::Preloaded;
use snn_data::datasets::nmnist::{NMnist, Selection};
use snn_quant::QuantPlan;
use std::path::{Path, PathBuf};

/// Which parameters of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Parameters {
    /// Those of the finished training.
    #[default]
    Model,
    /// Those of the last checkpoint.
    Checkpoint,
}

/// A run with its network.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) dir: RunDir,
    pub(super) config: Config,
    pub(super) net: Network,
}

impl Loaded {
    /// Opens a run directory, or the one that a `model.npz` lies in, with its own plan if it has one.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        Self::open_with(path, Parameters::Model, None)
    }

    /// The same with other parameters, and with another plan.
    pub(super) fn open_with(
        path: &Path,
        parameters: Parameters,
        plan: Option<QuantPlan>,
    ) -> anyhow::Result<Self> {
        let (folder, model) = locate(path);
        let dir = RunDir::open(&folder)?;
        let config = settings::of_run(&folder)?;
        let stored = dir.file(RunFile::Plan);
        let plan = match plan {
            None if stored.exists() => Some(QuantPlan::read(&stored)?),
            other => other,
        };
        let net = untrained(&config)?;
        let (arrays, from) = match parameters {
            Parameters::Model => (io::read(require(&dir, &model, RunFile::Model)?)?, model),
            Parameters::Checkpoint => {
                let from = dir.file(RunFile::Checkpoint);
                (training::checkpoint_params(require(&dir, &from, RunFile::Checkpoint)?)?, from)
            }
        };
        let net = Network::assemble(net, plan, arrays, &from)?;
        Ok(Self { dir, config, net })
    }

    /// The recordings of the run.
    pub(super) fn splits(&self) -> anyhow::Result<Splits> {
        Ok(data::open(&self.config.data, self.config.seed)?)
    }
}

/// The network of a configuration before training.
pub(super) fn untrained(config: &Config) -> anyhow::Result<Sequential> {
    let [_, c, h, w] = data::sample_shape(&config.data)?;
    model::build(&config.net, &[c, h, w], config.seed).context("net.layers")
}

/// The recordings that a split file lists, relative to the folder of `config`.
pub(super) fn listed(config: &DataConfig, list: &Path) -> anyhow::Result<Preloaded> {
    let folder = config.path.as_ref().context("--split needs a folder of recordings: give --data")?;
    Ok(Preloaded::load(&NMnist::open(folder, &Selection::SplitFile(list.to_owned()))?)?)
}

/// The run directory of a path and the parameter file in it.
fn locate(path: &Path) -> (PathBuf, PathBuf) {
    if !path.is_file() {
        return (path.to_owned(), path.join(RunFile::Model.name()));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    (folder.unwrap_or(Path::new(".")).to_owned(), path.to_owned())
}

fn require<'a>(dir: &RunDir, path: &'a Path, file: RunFile) -> Result<&'a Path, RunDirError> {
    if path.exists() { Ok(path) } else { Err(RunDirError::Missing { path: dir.path().to_owned(), file }) }
}
