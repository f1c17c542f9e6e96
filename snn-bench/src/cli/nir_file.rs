//! NIR graphs of other programs, as networks to evaluate.

use super::network::Network;
use anyhow::{Context, bail, ensure};
use clap::ValueEnum;
use snn_bench::config::Config;
use snn_bench::data;
use snn_nir::Convention;
use std::path::Path;

/// What a NIR graph leaves open.
#[derive(Debug, clap::Args)]
pub(super) struct NirArgs {
    /// For a NIR graph: the program that wrote it, which decides what NIR leaves open.
    #[arg(long, value_name = "PROGRAM")]
    convention: Option<Program>,
    /// For a NIR graph: its time step, in seconds.
    #[arg(long, value_name = "SECONDS")]
    dt: Option<f64>,
    /// For a NIR graph: time bins of a recording.
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Program {
    /// snnTorch.
    Snntorch,
    /// Norse; needs `--dt`.
    Norse,
    /// SpikingJelly.
    Spikingjelly,
    /// Sinabs.
    Sinabs,
    /// Rockpool, from its source and not compared with it; needs `--dt`.
    Rockpool,
    /// None: forward Euler; needs `--dt`.
    Euler,
}

/// Whether the path is that of a NIR graph.
pub(super) fn is_nir(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "nir")
}

impl NirArgs {
    /// Whether nothing is given.
    pub(super) fn is_empty(&self) -> bool {
        self.convention.is_none() && self.dt.is_none() && self.steps.is_none()
    }

    fn convention(&self) -> anyhow::Result<Convention> {
        let Some(program) = self.convention else {
            bail!(
                "a NIR graph leaves decay, gain and spike test open; name the program that wrote it with --convention"
            );
        };
        let dt = || self.dt.context("this convention needs the time step: --dt SECONDS");
        let with_dt =
            |convention: Convention| Convention { dt: self.dt.unwrap_or(convention.dt), ..convention };
        Ok(match program {
            Program::Snntorch => with_dt(Convention::snntorch()),
            Program::Spikingjelly => with_dt(Convention::spikingjelly()),
            Program::Sinabs => with_dt(Convention::sinabs()),
            Program::Norse => Convention::norse(dt()?),
            Program::Rockpool => Convention::rockpool(dt()?),
            Program::Euler => Convention::euler(dt()?),
        })
    }

    /// The network of the graph, and a configuration with the time bins that it is to see. What it does otherwise than the
    /// file may have meant is returned in words.
    pub(super) fn open(&self, path: &Path) -> anyhow::Result<(Network, Config, Vec<String>)> {
        let context = || path.display().to_string();
        let convention = self.convention().with_context(context)?;
        let mut config = Config::default();
        config.data.n_steps = self.steps.context("a NIR graph says nothing of time bins: give --steps N")?;
        config.check()?;
        let graph = snn_nir::read(path).with_context(context)?;
        let imported = snn_nir::import(&graph, &convention).with_context(context)?;
        let notes = imported.notes.iter().map(ToString::to_string).collect();
        Ok((Network::Float(imported.net), config, notes))
    }
}

/// Whether frames of these recordings are what the network takes.
pub(super) fn check_input(net: &Network, config: &Config) -> anyhow::Result<()> {
    let [_, shape @ ..] = data::sample_shape(&config.data)?;
    let takes = net.float().input_features();
    ensure!(takes == shape, "the network takes frames of {takes:?}, recordings give {shape:?}");
    Ok(())
}
