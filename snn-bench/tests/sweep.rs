//! Sweeps from outside: resumed, divided, merged, killed.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panic")]

use assert_cmd::Command;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;

const GRID: &str = r#"
seeds = [1, 2]
[set]
"data.n_glyphs" = 40
"data.n_steps" = 3
"data.batch_size" = 10
"net.layers" = "3C5s2-P2-LIF-10"
"train.epochs" = 1
[[grid]]
"quant.state_bits" = [4, 2]
"quant.variant" = ["snntorch_compat", "zero_exact"]
"#;

/// Four combinations and the float network, with two seeds each.
const N_CELLS: usize = 10;

fn program(args: &[&str]) -> Command {
    let mut command = Command::cargo_bin("snn-bench").unwrap();
    command.args(["--threads", "2", "--json"]).args(args);
    command
}

/// Runs `sweep` with these arguments and reads its object.
fn sweep(args: &[&str]) -> Value {
    let output = program(&["sweep"]).args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn grid_file() -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sweep-grid.toml");
    fs::write(&path, GRID).unwrap();
    path
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Fails without printing all of both.
#[track_caller]
fn assert_same(folder: &Path, other: &Path) {
    let [a, b] = [folder, other].map(found);
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    for (name, cell) in &a {
        assert!(*cell == b[name], "{name} differs");
    }
}

/// The files of the cells, by name; a killed process may leave a temporary one beside them.
fn cells(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let Ok(entries) = fs::read_dir(folder.join("cells")) else { return BTreeMap::new() };
    let files = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"));
    files
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(path).unwrap()))
        .collect()
}

/// What was found, without what depends on the clock.
fn found(folder: &Path) -> BTreeMap<String, Value> {
    let value = |bytes: &Vec<u8>| {
        let mut cell: Value = serde_json::from_slice(bytes).unwrap();
        cell["value"]["outcome"]["seconds"].take();
        cell
    };
    cells(folder).iter().map(|(name, bytes)| (name.clone(), value(bytes))).collect()
}

/// A sweep that one process ran from beginning to end.
fn whole() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sweep-whole");
        let _ = fs::remove_dir_all(&folder);
        let done = sweep(&[text(&grid_file()), "-o", text(&folder)]);
        assert_eq!((&done["done"], &done["cells"]), (&N_CELLS.into(), &N_CELLS.into()));
        folder
    })
}

#[test]
fn a_sweep_writes_rows_with_intervals_and_a_report() {
    let folder = whole();
    let csv = fs::read_to_string(folder.join("sweep.csv")).unwrap();
    assert_eq!(csv.lines().count(), 1 + N_CELLS / 2, "{csv}");
    assert!(csv.starts_with("quant.state_bits,quant.variant,accuracy,sd,n,interval_95,"), "{csv}");
    let summary: Value = serde_json::from_slice(&fs::read(folder.join("sweep.json")).unwrap()).unwrap();
    let row = &summary["rows"][0];
    let [sd, interval] = ["sd", "interval_95"].map(|field| row[field].as_f64().unwrap());
    // Two seeds: t = 12.706 with one degree of freedom, over the root of two.
    assert!((interval - 12.706_205 * sd / 2f64.sqrt()).abs() < 1e-5);
    let page = fs::read_to_string(folder.join("report.html")).unwrap();
    assert!(page.contains("Accuracy against bits per membrane"));
    assert!(folder.join("report/accuracy-over-quant-variant-and-quant-state-bits.csv").exists());
}

#[test]
fn a_stored_cell_is_not_run_again_and_a_lost_one_is() {
    let folder = tempfile::tempdir().unwrap();
    let grid = grid_file();
    sweep(&[text(&grid), "-o", text(folder.path())]);
    let before = cells(folder.path());
    let lost = before.keys().next_back().unwrap();
    fs::remove_file(folder.path().join("cells").join(lost)).unwrap();
    sweep(&[text(&grid), "-o", text(folder.path())]);
    for (name, bytes) in cells(folder.path()) {
        // Seconds of wall-clock time differ in a cell that was run twice.
        assert_eq!(bytes == before[&name], name != *lost, "{name}");
    }
    assert_same(folder.path(), whole());
}

#[test]
fn shards_merge_to_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    let grid = grid_file();
    let shards: Vec<PathBuf> = (1..=3).map(|i| folder.path().join(format!("shard{i}"))).collect();
    for (i, shard) in shards.iter().enumerate() {
        sweep(&[text(&grid), "-o", text(shard), "--shard", &format!("{}/3", i + 1)]);
        assert!(cells(shard).len() < N_CELLS);
    }
    let merged = folder.path().join("merged");
    let folders: Vec<&str> = shards.iter().map(|shard| text(shard)).collect();
    let done = sweep(&[&["merge", "-o", text(&merged)], &folders[..]].concat());
    assert_eq!(done["done"], N_CELLS);
    assert_same(&merged, whole());
}

#[test]
fn processes_that_share_a_folder_divide_the_cells() {
    let folder = tempfile::tempdir().unwrap();
    let grid = grid_file();
    let spawn = || {
        let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("snn-bench"));
        command.args(["--threads", "1", "--json", "sweep", text(&grid), "-o", text(folder.path())]);
        command.stdout(Stdio::null()).spawn().unwrap()
    };
    for mut process in [spawn(), spawn()] {
        assert!(process.wait().unwrap().success());
    }
    assert_same(folder.path(), whole());
}

#[test]
fn a_killed_sweep_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let grid = grid_file();
    let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("snn-bench"));
    command.args(["--threads", "1", "sweep", text(&grid), "-o", text(folder.path())]);
    let mut process = command.stdout(Stdio::null()).spawn().unwrap();
    while cells(folder.path()).is_empty() && process.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    process.kill().unwrap();
    process.wait().unwrap();
    let before = cells(folder.path());
    assert!(!before.is_empty());
    sweep(&[text(&grid), "-o", text(folder.path())]);
    let after = cells(folder.path());
    assert!(before.iter().all(|(name, bytes)| after[name] == *bytes), "a stored cell was run again");
    assert_same(folder.path(), whole());
}

#[test]
fn another_grid_in_the_folder_and_impossible_shards_are_refused() {
    let refused = |args: &[&str], word: &str| {
        let output = program(&["sweep"]).args(args).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && stderr.contains(word), "{args:?}: {stderr}");
    };
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other.toml");
    fs::write(&other, GRID.replace("seeds = [1, 2]", "seeds = [1]")).unwrap();
    refused(&[text(&other), "-o", text(whole())], "holds another grid");
    refused(&[text(&other), "--shard", "3/2"], "expected I/N");
    fs::write(&other, "seeds = [1]\n[[grid]]\n\"quant.state_bits\" = [9]").unwrap();
    refused(&[text(&other)], "quant.state_bits is 9");
}
