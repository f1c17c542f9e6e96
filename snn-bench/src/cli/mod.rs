//! The command line: one file for each verb.
//!
//! Each verb has its raw arguments as clap reads them, and turns them into checked settings before it does anything.

mod allocate;
mod data;
mod eval;
mod exact;
mod export;
mod fit;
mod import;
mod levels;
mod loaded;
mod network;
mod nir_file;
mod output;
mod plans;
mod profile;
mod quantize;
mod recordings;
mod report;
mod repro;
mod run;
mod scales;
mod settings;
mod sweep;
mod team;
mod trace;
mod trace_file;
mod train;
mod verify;

use anyhow::Context;
use clap::{Parser, Subcommand};
use output::Output;
use snn_bench::interrupt;
use std::io::Write;
use std::num::NonZeroUsize;
use std::process::ExitCode;

/// Train spiking networks, measure their curvature, quantize them, and report.
#[derive(Debug, Parser)]
#[command(name = "snn-bench", version, max_term_width = 110)]
struct Cli {
    /// Print one JSON object a line instead of tables.
    #[arg(long, global = true)]
    json: bool,
    /// Worker threads; all cores by default. Results do not depend on it.
    #[arg(long, global = true, value_name = "N")]
    threads: Option<NonZeroUsize>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Look at recordings, check them, or make simulated ones.
    #[command(subcommand)]
    Data(data::Verb),
    /// Train a network into a run directory, or resume an interrupted training.
    Train(train::Args),
    /// Accuracy, spike rate and synaptic operations of a trained network.
    Eval(eval::Args),
    /// Measure the curvature of each weight tensor.
    Trace(trace::Args),
    /// Choose the bits of each weight tensor within a budget.
    Allocate(allocate::Args),
    /// Quantize a network by a plan, after or in training.
    Quantize(quantize::Args),
    /// Whether an exact network and its integer model are the same, spike for spike and membrane for membrane.
    Verify(verify::Args),
    /// Write an exact network as an integer model, as C, or as arrays.
    Export(export::Args),
    /// Make an integer model from a description and integer weights.
    Import(import::Args),
    /// Run an integer model on recordings.
    Run(run::Args),
    /// What of a network does not fit a chip.
    Fit(fit::Args),
    /// Print the levels that a quantized membrane can take.
    Levels(levels::Args),
    /// Run a grid of configurations over seeds, on all cores, resumable and divisible.
    Sweep(sweep::Args),
    /// Write the report page of a run.
    Report(report::Args),
    /// Reproduce the numbers of a paper.
    #[command(subcommand)]
    Repro(repro::Verb),
}

/// How a verb ended that did its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Passed,
    CheckFailed,
}

/// Runs the program. Exit codes: 0 done, 1 a check failed, 2 wrong usage or input, 130 interrupted.
pub(crate) fn main() -> ExitCode {
    let outcome = run(&Cli::parse());
    let code = match &outcome {
        Ok(Outcome::Passed) => 0,
        Ok(Outcome::CheckFailed) => 1,
        Err(error) => {
            // There is nowhere left to report a closed standard error to.
            let _ = writeln!(std::io::stderr(), "{}", describe(error));
            let code = if interrupt::is_requested() { interrupt::EXIT_CODE } else { 2 };
            team::abort(code);
            code
        }
    };
    ExitCode::from(code)
}

fn run(cli: &Cli) -> anyhow::Result<Outcome> {
    if let Some(n) = cli.threads {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n.get());
        pool.build_global().with_context(|| format!("cannot start {n} threads"))?;
    }
    let output = Output { json: cli.json };
    let done = match &cli.verb {
        Verb::Data(verb) => return data::run(verb, output),
        Verb::Verify(args) => return verify::run(args, output),
        Verb::Fit(args) => return fit::run(args, output),
        Verb::Export(args) => export::run(args, output),
        Verb::Import(args) => import::run(args, output),
        Verb::Run(args) => run::run(args, output),
        Verb::Sweep(args) => return sweep::run(args, output),
        Verb::Levels(args) => levels::run(args, output),
        Verb::Train(args) => train::run(args, output),
        Verb::Eval(args) => eval::run(args, output),
        Verb::Trace(args) => trace::run(args, output),
        Verb::Allocate(args) => allocate::run(args, output),
        Verb::Quantize(args) => quantize::run(args, output),
        Verb::Report(args) => report::run(args, output),
        Verb::Repro(verb) => repro::run(verb, output),
    };
    done.map(|()| Outcome::Passed)
}

/// An error and its causes, without what a line above says already.
fn describe(error: &anyhow::Error) -> String {
    let mut text = String::from("error: ");
    for (i, cause) in error.chain().enumerate() {
        let cause = cause.to_string();
        let cause = cause.trim();
        if i > 0 && text.contains(cause) {
            continue;
        }
        text.push_str(if i > 0 { "\n  caused by: " } else { "" });
        text.push_str(cause);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn causes_are_told_once() {
        let error = anyhow::anyhow!("disk full").context("a.npz: disk full").context("cannot save");
        assert_eq!(describe(&error), "error: cannot save\n  caused by: a.npz: disk full");
    }
}
