//! Writes a network for other programs, and reads one of theirs.
//!
//! ```console
//! cargo run -p snn-nir --example share_network             # writes network.nir to the temporary folder
//! cargo run -p snn-nir --example share_network -- a.nir    # reads a file, as snnTorch would
//! ```

#![allow(clippy::print_stdout, reason = "an example prints its results")]

use snn_core::Module;
use snn_core::layer::{Conv2dConfig, Sequential};
use snn_core::neuron::{Firing, Lif, Reset, ResetTime};
use snn_nir::{Convention, ExportOptions, SoftReset, export, import, read, write};
use std::error::Error;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    match std::env::args().nth(1) {
        Some(path) => show(Path::new(&path)),
        None => share(),
    }
}

/// A network with a hard reset is what NIR describes; snnTorch's default reset is not.
fn share() -> Result<(), Box<dyn Error>> {
    let hard = Firing { reset: Reset::Zero, reset_time: ResetTime::SameStep, ..Firing::default() };
    let exported = export(&network(hard)?, &ExportOptions::default())?;
    let path: PathBuf = std::env::temp_dir().join("network.nir");
    write(&path, &exported.graph)?;
    println!("{}: nothing lost but {:?}", path.display(), exported.notes);

    let soft = network(Firing::default())?;
    if let Err(refusal) = export(&soft, &ExportOptions::default()) {
        println!("refused: {refusal}");
    }
    let allowed = ExportOptions { soft_reset: SoftReset::WriteAsHard, ..ExportOptions::default() };
    export(&soft, &allowed)?.notes.iter().for_each(|note| println!("lost: {note}"));
    show(&path)
}

fn network(firing: Firing) -> Result<Sequential, Box<dyn Error>> {
    let neuron = Lif { firing, ..Lif::snntorch(0.9) };
    let images = Sequential::input(&[2, 34, 34]).conv2d("conv1", Conv2dConfig::new(12, 5)).avg_pool(2);
    Ok(images.neuron("lif1", neuron).flatten().linear("fc", 10).neuron("lif2", neuron).init(1)?)
}

fn show(path: &Path) -> Result<(), Box<dyn Error>> {
    let graph = read(path)?;
    println!("{}: {} nodes, {} edges", path.display(), graph.nodes.len(), graph.edges.len());
    let imported = import(&graph, &Convention::snntorch())?;
    imported.notes.iter().for_each(|note| println!("note: {note}"));
    println!("{} layers, {} parameters", imported.net.layers().len(), imported.net.n_params());
    Ok(())
}
