//! Several processes under `mpirun`, where it is installed: the same bytes as one process alone.

#![cfg(feature = "mpi")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests fail by panic, and say what they skip"
)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const NET: &str = r#"
    seed = 3
    [data]
    n_glyphs = 60
    n_steps = 4
    batch_size = 16
    [net]
    layers = "3C5s2-P2-LIF-D0.2-10"
    [train]
    epochs = 2
"#;

const GRID: &str = r#"
    seeds = [1, 2]
    config = "net.toml"
    [[grid]]
    "train.learning_rate" = [0.001, 0.003]
"#;

/// The program in `n` processes of one thread each, or alone for 0; `None` where there is no `mpirun`.
fn program(n: usize, folder: &Path, args: &[&str]) -> Option<Output> {
    let path = assert_cmd::cargo::cargo_bin("snn-bench");
    let mut command = if n == 0 { Command::new(&path) } else { Command::new("mpirun") };
    if n > 0 {
        command.args(["-n", &n.to_string()]).arg(&path).arg("--threads=1");
    }
    // Open MPI asks twice before it lets the root user of a container run, or more processes than cores.
    let permit =
        ["OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "OMPI_MCA_rmaps_base_oversubscribe"];
    let output = command.args(args).current_dir(folder).envs(permit.map(|name| (name, "1"))).output();
    match output {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            println!("skipped: no mpirun");
            None
        }
        output => Some(output.unwrap()),
    }
}

/// Runs what must succeed.
fn succeeds(n: usize, folder: &Path, args: &[&str]) -> Option<()> {
    let output = program(n, folder, args)?;
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    Some(())
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("net.toml"), NET).unwrap();
    fs::write(folder.path().join("grid.toml"), GRID).unwrap();
    folder
}

#[test]
fn a_network_trained_by_several_processes_is_the_same() {
    let folder = folder();
    let at = folder.path();
    succeeds(0, at, &["train", "net.toml", "-o", "alone"]).unwrap();
    let alone = fs::read(at.join("alone/model.npz")).unwrap();
    for n in [2, 3] {
        let run = format!("ranks{n}");
        if succeeds(n, at, &["train", "net.toml", "--mpi", "-o", &run]).is_some() {
            assert!(fs::read(at.join(run).join("model.npz")).unwrap() == alone, "{n} processes");
        }
    }
}

#[test]
fn a_sweep_is_divided_and_put_together() {
    let folder = folder();
    let at = folder.path();
    if succeeds(2, at, &["sweep", "grid.toml", "--mpi", "-o", "sweep"]).is_some() {
        assert_eq!(fs::read_dir(at.join("sweep/cells")).unwrap().count(), 4);
        assert!(at.join("sweep/report.html").exists());
    }
}

#[test]
fn a_failure_ends_all_processes() {
    let folder = folder();
    fs::write(folder.path().join("run"), "a file where the run should go").unwrap();
    if let Some(output) = program(2, folder.path(), &["train", "net.toml", "--mpi", "-o", "run/below"]) {
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains("run/below"));
    }
}
