//! Sweeps from outside: resumed, divided, merged, killed.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panic")]

use assert_cmd::Command;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
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
    assert!(csv.starts_with("quant.state_bits,quant.variant,accuracy,sd,n,diverged,interval_95,"), "{csv}");
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
fn keys_of_cells_are_those_of_the_first_version() {
    // Settings that were added since, at their defaults, are not part of a key.
    let names =
        ["285a5281cbd77c7e", "2cc0e607b75fdf82", "68f48a4b2b6ad205", "830b156fd65bb58b", "bd7a017b5c030702"];
    let found = cells(whole());
    for name in names {
        assert!(found.contains_key(&format!("seed1.{name}.json")), "{:?}", found.keys());
    }
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
fn settings_of_quantized_training_reach_it() {
    let folder = tempfile::tempdir().unwrap();
    let grid = folder.path().join("grid.toml");
    let settings = "\"quant.weight_bits\" = [2]\n\"quant.state_bits\" = [2]\n\"quant.epochs\" = [1]\n\
                    \"quant.clip_grad\" = [\"pass\", \"zero\"]\n\"quant.plain_samples\" = [false, true]\n\
                    \"quant.weight_mapping\" = [\"symmetric\", \"twos_complement\"]\n";
    // A large rate, so that four batches move weights to other levels.
    let head = head().replace("seeds = [1, 2]", "seeds = [1]") + "\"quant.learning_rate\" = 0.05\n";
    fs::write(&grid, format!("{head}[[grid]]\n{settings}")).unwrap();
    let out = folder.path().join("out");
    // All start from one float network.
    assert_eq!(sweep(&[text(&grid), "-o", text(&out)])["done"], 1 + 8);
    let losses: BTreeSet<String> =
        found(&out).values().map(|cell| cell["value"]["outcome"]["train_loss"].to_string()).collect();
    assert_eq!(losses.len(), 1 + 8, "{losses:?}");
}

/// One learning rate trains, the other ends in numbers that are not finite.
const DIVERGING: &str = r#"
"quant.epochs" = 2
"quant.state_bits" = 4
[[grid]]
"quant.learning_rate" = [1e-3, 1e38]
"#;

/// All of [`GRID`] but what varies.
fn head() -> &'static str {
    GRID.split_once("[[grid]]").unwrap().0
}

#[test]
fn a_training_that_diverges_is_an_outcome_without_accuracy() {
    let folder = tempfile::tempdir().unwrap();
    let grid = folder.path().join("grid.toml");
    let out = folder.path().join("out");
    fs::write(&grid, head().to_owned() + DIVERGING).unwrap();
    let done = sweep(&[text(&grid), "-o", text(&out)]);
    assert_eq!([&done["done"], &done["cells"], &done["diverged"]], [6, 6, 2]);
    let row = &done["rows"][2];
    assert_eq!(row["values"][0], "100000000000000000000000000000000000000.0");
    assert_eq!((&row["mean"], &row["accuracies"]), (&Value::Null, &serde_json::json!([])));
    assert_eq!(row["diverged"], serde_json::json!([1, 2]));
    assert_eq!(done["rows"][1]["diverged"], serde_json::json!([]));
    let csv = fs::read_to_string(out.join("sweep.csv")).unwrap();
    assert!(csv.lines().last().unwrap().contains(".0,,,0,2,,,,,"), "{csv}");
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("6 of 6 cells are done; 2 diverged."));
    let why = |cell: &Value| cell["value"]["outcome"]["diverged"].as_str().map(str::to_owned);
    let reasons: Vec<String> = found(&out).values().filter_map(why).collect();
    assert!(reasons.len() == 2 && reasons.iter().all(|why| why.contains("finite")), "{reasons:?}");
    let left = |entry: fs::DirEntry| entry.file_name().to_string_lossy().contains("checkpoint");
    assert!(!fs::read_dir(out.join("networks")).unwrap().any(|entry| left(entry.unwrap())));

    let before = cells(&out);
    sweep(&[text(&grid), "-o", text(&out)]);
    assert!(cells(&out) == before, "a cell that diverged was run again");
    let merged = folder.path().join("merged");
    assert_eq!(sweep(&["merge", "-o", text(&merged), text(&out)])["diverged"], 2);
}

#[test]
fn what_would_start_from_a_float_network_that_diverged_is_not_run() {
    let folder = tempfile::tempdir().unwrap();
    let grid = folder.path().join("grid.toml");
    fs::write(
        &grid,
        GRID.replace("\"train.epochs\" = 1", "\"train.epochs\" = 2\n\"train.learning_rate\" = 1e38"),
    )
    .unwrap();
    let out = folder.path().join("out");
    let done = sweep(&[text(&grid), "-o", text(&out)]);
    assert_eq!([&done["done"], &done["diverged"]], [N_CELLS, N_CELLS]);
    let outcomes = found(&out);
    let starts = outcomes.values().filter(|cell| {
        let why = cell["value"]["outcome"]["diverged"].as_str().unwrap();
        why.starts_with("the float network that it starts from: ")
    });
    assert_eq!(starts.count(), N_CELLS - 2);
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
