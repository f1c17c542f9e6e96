//! The steps of continuous integration; `.ci/run` and the workflow run the same ones.

use std::process::Command;

use anyhow::{Context, bail, ensure};

use crate::workspace;

/// A command line and the environment variable it needs.
struct Step {
    env: Option<(&'static str, &'static str)>,
    command: &'static str,
}

const fn step(command: &'static str) -> Step {
    Step { env: None, command }
}

/// What must pass, in this order.
const STEPS: [Step; 5] = [
    step("cargo test --workspace"),
    step("cargo fmt --all -- --check"),
    step("cargo clippy --workspace --all-targets -- -D warnings"),
    Step { env: Some(("RUSTDOCFLAGS", "-D warnings")), command: "cargo doc --workspace --no-deps" },
    step("cargo run --release -p snn-bench -- repro hessian --quick"),
];

/// Steps that README.md must name as they are: its test command and its main command.
const DOCUMENTED: [&str; 2] =
    ["cargo test --workspace", "cargo run --release -p snn-bench -- repro hessian --quick"];

/// Runs all steps and stops at the first that fails.
pub(crate) fn run() -> anyhow::Result<()> {
    let readme = workspace::read("README.md")?;
    for command in DOCUMENTED {
        ensure!(readme.contains(command), "README.md does not contain `{command}`");
    }
    for step in &STEPS {
        println!("\n==> {}", step.command);
        run_step(step)?;
    }
    Ok(())
}

fn run_step(step: &Step) -> anyhow::Result<()> {
    let mut words = step.command.split_whitespace();
    let Some(program) = words.next() else { bail!("a step without a command") };
    let status = Command::new(program)
        .args(words)
        .envs(step.env)
        .current_dir(workspace::root())
        .status()
        .with_context(|| format!("cannot start {program}"))?;
    ensure!(status.success(), "`{}` failed: {status}", step.command);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where in `text` each step stands, as a line that runs it.
    fn places(text: &str) -> Vec<Option<usize>> {
        let runs = |line: &str, command: &str| {
            let line = line.trim();
            line.ends_with(command) && !line.starts_with('#') && !line.starts_with("documented")
        };
        let place = |step: &Step| text.lines().position(|line| runs(line, step.command));
        STEPS.iter().map(place).collect()
    }

    #[test]
    fn the_script_runs_the_same_steps_in_the_same_order() {
        let places = places(&workspace::read(".ci/run").unwrap());
        assert!(places.iter().all(Option::is_some), "{places:?}");
        assert!(places.is_sorted(), "{places:?}");
    }

    #[test]
    fn the_script_checks_what_is_documented() {
        let script = workspace::read(".ci/run").unwrap();
        for command in DOCUMENTED {
            assert!(script.contains(&format!("documented '{command}'")), "{command}");
        }
    }

    #[test]
    fn the_workflow_runs_the_same_steps() {
        let places = places(&workspace::read(".github/workflows/ci.yml").unwrap());
        assert!(places.iter().all(Option::is_some), "{places:?}");
    }

    #[test]
    fn a_failing_step_is_named() {
        let step = Step { env: None, command: "cargo no-such-verb" };
        let error = run_step(&step).unwrap_err().to_string();
        assert!(error.contains("cargo no-such-verb"), "{error}");
    }
}
