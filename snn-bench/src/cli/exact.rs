//! What verbs share about integer models: a run as one.

use super::loaded::Loaded;
use super::network::Network;
use anyhow::{Context, bail};
use snn_bench::integer::{Binning, Meta};
use snn_bench::table::{Column, Table};
use snn_core::io;
use snn_int::spec::ModelSpec;
use snn_quant::exact::{Exact, Figure, Moved, lower};
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
    let binning = Binning::Frames { n_steps: loaded.config.data.n_steps };
    lowered(network(loaded, run)?, binning, None).with_context(|| format!("cannot lower {}", run.display()))
}

/// An exact network as an integer model that says how recordings become its inputs.
pub(super) fn lowered(net: &Exact, binning: Binning, profile: Option<String>) -> anyhow::Result<ModelSpec> {
    let mut model = lower(net, "")?;
    let layers = model.layers.iter().map(|layer| layer.name.clone()).collect();
    model.meta = Meta { binning, layers, profile }.to_toml()?;
    Ok(model)
}

/// What a quantized run's numbers became in integers.
pub(super) fn taken_over(moved: &[Moved]) -> Table {
    let numbers = ["quantized", "in integers", "moved by at most"].map(Column::number);
    let mut table = Table::new(["taken over", "number"].map(Column::text).into_iter().chain(numbers));
    let range = |[least, most]: [f32; 2]| match least.to_bits() == most.to_bits() {
        true => format!("{least:.6}"),
        false => format!("{least:.6} to {most:.6}"),
    };
    for number in moved {
        let figure = match number.figure {
            Figure::WeightScale => "scale",
            Figure::MembraneStep => "step of the membrane",
            Figure::MembraneLevels => "levels of the membrane",
            Figure::Threshold => "threshold",
            Figure::Decay => "decay",
        };
        let most = format!("{:.3} %", 100.0 * number.most);
        table.row([
            number.name.clone(),
            figure.to_owned(),
            range(number.quantized),
            range(number.exact),
            most,
        ]);
    }
    table
}

/// Writes a file whole or not at all.
pub(super) fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    io::write_atomic(path, bytes).map_err(Into::into)
}
