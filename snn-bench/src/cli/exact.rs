//! What verbs share about integer models: a run as one.

use super::loaded::Loaded;
use super::network::Network;
use anyhow::{Context, bail};
use snn_bench::integer::{Binning, Meta};
use snn_core::io;
use snn_int::spec::ModelSpec;
use snn_quant::exact::{Exact, lower};
use std::path::Path;

/// The exact network of a run.
pub(super) fn network<'a>(loaded: &'a Loaded, run: &Path) -> anyhow::Result<&'a Exact> {
    match &loaded.net {
        Network::Exact(net) => Ok(net),
        _ => bail!(
            "{} is not exact: its plan has no section [exact]; make an exact run with `quantize {} --exact -o NEW`",
            run.display(),
            run.display()
        ),
    }
}

/// The integer model of a run, with how its recordings become inputs.
pub(super) fn model(loaded: &Loaded, run: &Path) -> anyhow::Result<ModelSpec> {
    let net = network(loaded, run)?;
    let mut model = lower(net, "").with_context(|| format!("cannot lower {}", run.display()))?;
    let binning = Binning::Frames { n_steps: loaded.config.data.n_steps };
    let layers = model.layers.iter().map(|layer| layer.name.clone()).collect();
    model.meta = Meta { binning, layers, profile: None }.to_toml()?;
    Ok(model)
}

/// Writes a file whole or not at all.
pub(super) fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    io::write_atomic(path, bytes).map_err(Into::into)
}
