//! Lui and Neftci, "Hessian Aware Quantization of Spiking Neural Networks", 2021 (arXiv:2104.14117), and what follows
//! from it: traces, sensitivities, bits allocated from them, and the networks trained at those bits.
//!
//! For each seed: a float network is trained; the Hessian and Gauss-Newton traces of its layers are measured; each layer
//! is quantized alone, to compare the loss of accuracy with the sensitivity; then all layers together, by the paper's
//! (8, 8, 16) bits and by allocation at several mean widths, post-training and trained. The four-state neuron and local
//! learning (DECOLLE) are trained in full precision for comparison. Every result is a cell on disk, so that an
//! interrupted run goes on where it was.

mod decolle;
mod report;
mod seed_run;
mod settings;
mod stats;
mod summary;

pub use decolle::LocalReadouts;
pub use settings::{HessianArgs, Settings};
pub use stats::spearman;
pub use summary::Summary;

use crate::data;
use crate::run_dir::RunDir;
use anyhow::Context;
use seed_run::SeedRun;
use snn_data::Dataset;
use std::path::PathBuf;

/// A finished reproduction.
#[derive(Debug)]
pub struct Reproduction {
    /// Its numbers.
    pub summary: Summary,
    /// Its report page.
    pub page: PathBuf,
}

/// Runs the reproduction, or what is missing of it, and writes the report.
///
/// # Errors
/// Data that cannot be read, a folder that holds another run, an interrupt, a full disk.
pub fn run(args: &HessianArgs) -> anyhow::Result<Reproduction> {
    let settings = Settings::new(args);
    let folder = args.folder();
    let dir = RunDir::create(&folder, &settings)?;
    let mut results = Vec::new();
    let mut n_samples = [0, 0];
    for &seed in &settings.seeds {
        let splits = data::open(&settings.data, seed).context("opening the recordings")?;
        n_samples = [splits.train.len(), splits.test.len()];
        let cells = dir.cells(&settings.for_one_seed())?;
        let run = SeedRun::new(&settings, seed, &splits, &cells, dir.path())?;
        results.push(run.measure().with_context(|| format!("seed {seed}"))?);
    }
    let summary = Summary::new(&settings, n_samples, results);
    let page = crate::report::write(&report::page(&settings, &summary, args), &folder)?;
    Ok(Reproduction { summary, page })
}
