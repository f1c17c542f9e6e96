//! `repro`: the numbers of a paper, and ours.

use super::output::Output;
use clap::Subcommand;
use snn_bench::interrupt;
use snn_bench::repro::hessian::{self, HessianArgs};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Lui and Neftci, "Hessian Aware Quantization of Spiking Neural Networks", 2021.
    Hessian(HessianArgs),
}

pub(super) fn run(verb: &Verb, output: Output) -> anyhow::Result<()> {
    let Verb::Hessian(args) = verb;
    interrupt::listen()?;
    let done = hessian::run(args)?;
    let mut text = done.summary.table().to_string();
    if let Some(folds) = done.summary.fold_table() {
        text += &format!("\nCross-validated:\n{folds}");
    }
    text += &format!("\nreport: {}", done.page.display());
    output.print(text, &done.summary.to_json())
}
