//! `repro`: the numbers of a paper, and ours.

use super::output::Output;
use clap::Subcommand;
use snn_bench::interrupt;
use snn_bench::repro::hessian::{self, HessianArgs};
use snn_bench::repro::squat::{self, SquatArgs};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Lui and Neftci, "Hessian Aware Quantization of Spiking Neural Networks", 2021.
    Hessian(HessianArgs),
    /// Venkatesh, Marinescu, Eshraghian, "SQUAT: Stateful Quantization-Aware Training in Recurrent Spiking Neural Networks",
    /// 2024.
    Squat(SquatArgs),
}

pub(super) fn run(verb: &Verb, output: Output) -> anyhow::Result<()> {
    interrupt::listen()?;
    match verb {
        Verb::Hessian(args) => run_hessian(args, output),
        Verb::Squat(args) => {
            let done = squat::run(args)?;
            output.print(format!("{}\nreport: {}", done.text(), done.page.display()), &done.to_json())
        }
    }
}

fn run_hessian(args: &HessianArgs, output: Output) -> anyhow::Result<()> {
    let done = hessian::run(args)?;
    let mut text = done.summary.table().to_string();
    if let Some(folds) = done.summary.fold_table() {
        text += &format!("\nCross-validated:\n{folds}");
    }
    text += &format!("\nreport: {}", done.page.display());
    output.print(text, &done.summary.to_json())
}
