//! Automation of the workspace: `cargo xtask check-deps`, `cargo xtask ci`, `cargo xtask size`.
//!
//! Exit code 0 when all is well, 1 when a check failed, 2 for a wrong command line.

#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for developers, who read its output"
)]

mod ci;
mod graph;
mod size;
mod workspace;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask <verb>

  check-deps   compare the crates' dependencies with the drawn graph, and their manifests with the rules
  ci           run all that .ci/run runs
  size         lines of each crate, and functions that are too long
";

fn main() -> ExitCode {
    let verbs: Vec<String> = std::env::args().skip(1).collect();
    let result = match verbs.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["check-deps"] => graph::check_deps(),
        ["ci"] => ci::run(),
        ["size"] => size::report(),
        ["--help" | "-h" | "help"] => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
