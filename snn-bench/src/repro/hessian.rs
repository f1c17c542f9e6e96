//! Lui and Neftci, "Hessian Aware Quantization of Spiking Neural Networks", 2021 (arXiv:2104.14117), and what follows
//! from it: traces, sensitivities, bits allocated from them, and the networks trained at those bits.
//!
//! For each seed: a float network is trained; the Hessian and Gauss-Newton traces of its layers are measured; each layer
//! is quantized alone, to compare the loss of accuracy with the sensitivity; then all layers together, by the paper's
//! (8, 8, 16) bits and by allocation at several mean widths, post-training and trained. The four-state neuron and local
//! learning (DECOLLE) are trained in full precision for comparison. The claims are also cross-validated over folds of all
//! recordings. Every result is a cell on disk, so that an
//! interrupted run goes on where it was.

mod decolle;
mod report;
mod settings;
mod summary;
mod trial;

pub use decolle::LocalReadouts;
pub use settings::{HessianArgs, Settings};
pub use summary::Summary;

use crate::data;
use crate::run_dir::RunDir;
use anyhow::Context;
use std::path::PathBuf;
use trial::{FoldResult, SeedResult, Trial};

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
    let (seeds, n_samples) = measure_seeds(&settings, &dir)?;
    let folds = cross_validate(&settings, &dir)?;
    let summary = Summary::new(&settings, n_samples, seeds, &folds);
    let page = crate::report::write(&report::page(&settings, &summary, args), &folder)?;
    Ok(Reproduction { summary, page })
}

/// All measurements of each seed, and the numbers of training and of test recordings.
fn measure_seeds(settings: &Settings, dir: &RunDir) -> anyhow::Result<(Vec<SeedResult>, [usize; 2])> {
    let cells = dir.cells(&settings.for_one_seed())?;
    let (mut results, mut n_samples) = (Vec::new(), [0, 0]);
    for &seed in &settings.seeds {
        let splits = data::open(&settings.data, seed).context("opening the recordings")?;
        n_samples = [splits.train.len(), splits.test.len()];
        let trial = Trial::new(settings, format!("seed{seed}"), seed, &splits, dir, &cells)?;
        results.push(trial.measure().with_context(|| format!("seed {seed}"))?);
    }
    Ok((results, n_samples))
}

/// The claims, with each fold of all recordings held out in turn; each fold has its own initialization.
fn cross_validate(settings: &Settings, dir: &RunDir) -> anyhow::Result<Vec<FoldResult>> {
    if settings.folds < 2 {
        return Ok(Vec::new());
    }
    let cells = dir.cells(&settings.for_one_fold())?;
    let all = data::open_all(&settings.data).context("opening the recordings")?;
    let measure = |fold: usize| {
        let splits = data::fold(&all, settings.folds, fold, settings.seed)?;
        let name = format!("fold{}", fold + 1);
        let trial = Trial::new(settings, name, fold as u64 + 1, &splits, dir, &cells)?;
        trial.cross_validate().with_context(|| format!("fold {}", fold + 1))
    };
    (0..settings.folds).map(measure).collect()
}
