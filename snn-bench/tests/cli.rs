//! The program from outside: a whole job on a tiny data set, and what it says to bad input.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panic")]

use assert_cmd::Command;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

const NET: [&str; 4] =
    ["net.layers=3C5s2-P2-LIF-10", "data.n_steps=4", "data.batch_size=10", "train.epochs=1"];

fn program() -> Command {
    let mut command = Command::cargo_bin("snn-bench").unwrap();
    command.args(["--threads", "2"]);
    command
}

/// Runs a verb that must succeed, and reads its one line of JSON.
fn json(args: &[&str]) -> Value {
    let output = program().arg("--json").args(args).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{args:?}: {stderr}");
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(stdout.lines().count(), 1, "{stdout}");
    assert_eq!(stderr, "", "nothing is drawn where there is no terminal");
    serde_json::from_str(&stdout).unwrap()
}

/// Runs a verb that must be refused with exit code 2, a message that holds all of `words`, and no output.
fn refused(args: &[&str], words: &[&str]) {
    let output = program().args(args).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
    assert!(output.stdout.is_empty(), "{args:?}");
    for word in words {
        assert!(stderr.contains(word), "{args:?}: no {word:?} in: {stderr}");
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A folder with `data`, 30 + 20 simulated recordings, and `run`, a network trained on them and traced.
fn fixture() -> &'static Path {
    static FIXTURE: OnceLock<PathBuf> = OnceLock::new();
    FIXTURE.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli-fixture");
        let _ = fs::remove_dir_all(&folder);
        let data = folder.join("data");
        let made = json(&["data", "make", "-o", text(&data), "--n-train", "30", "--n-test", "20"]);
        assert_eq!((&made["n_train"], &made["n_test"]), (&30.into(), &20.into()));
        let run = folder.join("run");
        let trained = json(&strings(&train_args(&data, &run)));
        assert_eq!((&trained["n"], &trained["epochs"]), (&20.into(), &1.into()));
        json(&["trace", text(&run), "--probes", "4", "--batches", "1", "--curvature", "gauss-newton"]);
        folder
    })
}

fn train_args(data: &Path, run: &Path) -> Vec<String> {
    let splits =
        ["train", "test"].map(|part| format!("data.{part}_split={}/splits/{part}.txt", data.display()));
    let mut args = ["train", "-o", text(run), "--data", text(data)].map(str::to_owned).to_vec();
    for change in NET.map(str::to_owned).iter().chain(&splits) {
        args.extend(["--set".to_owned(), change.clone()]);
    }
    args
}

fn strings(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

/// A copy of the fixture's run that a test may spoil.
fn copy_of_run(folder: &Path) -> PathBuf {
    let copy = folder.join("run");
    fs::create_dir(&copy).unwrap();
    for entry in fs::read_dir(fixture().join("run")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, copy.join(path.file_name().unwrap())).unwrap();
    }
    copy
}

fn temporary() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn a_network_goes_from_recordings_to_a_report() {
    let folder = temporary();
    let run = copy_of_run(folder.path());
    let run = text(&run);
    let float = json(&["eval", run]);
    assert_eq!(float["n"], 20);
    assert!(float["synops"].as_f64().unwrap() > 0.0 && float["spike_rate"].is_f64());
    assert_eq!(json(&["eval", run, "--checkpoint", "latest"])["loss"], float["loss"]);

    let traced = json(&["trace", run, "--probes", "4", "--batches", "1"]);
    assert_eq!((&traced["curvature"], &traced["measurement"]["n_probes"]), (&"hessian".into(), &4.into()));
    assert!(traced["measurement"]["tensors"]["conv1.weight"]["std_err"].is_f64());

    let plan = folder.path().join("plan.toml");
    let plan = text(&plan);
    let allocated = json(&[
        "allocate",
        run,
        "--mean-bits",
        "4",
        "--curvature",
        "gauss-newton",
        "--membranes",
        "-o",
        plan,
    ]);
    assert!(allocated["mean_bits"].as_f64().unwrap() <= 4.0);
    let bytes = allocated["bytes"].as_u64().unwrap();
    assert!(bytes * 4 < allocated["float_bytes"].as_u64().unwrap());

    let ptq = folder.path().join("ptq");
    let quantized = json(&["quantize", run, "--plan", plan, "-o", text(&ptq)]);
    assert_eq!(quantized["accuracy_before"], float["accuracy"]);
    assert_eq!(quantized["bytes"], bytes);
    let again = json(&["eval", text(&ptq)]);
    assert_eq!((&again["quantized"], &again["accuracy"]), (&true.into(), &quantized["accuracy_after"]));

    let qat = folder.path().join("qat");
    json(&["quantize", run, "--plan", plan, "--epochs", "1", "-o", text(&qat)]);
    assert_ne!(fs::read(qat.join("model.npz")).unwrap(), fs::read(ptq.join("model.npz")).unwrap());

    let report = json(&["report", text(&qat), "-o", text(&folder.path().join("page"))]);
    let page = fs::read_to_string(report["report"].as_str().unwrap()).unwrap();
    assert!(
        page.contains("conv1.weight") && page.contains("<svg") && page.to_lowercase().contains("simulated")
    );
}

#[test]
fn the_same_training_ends_in_the_same_bytes_for_any_number_of_threads() {
    let folder = temporary();
    let run = folder.path().join("again");
    let args = train_args(&fixture().join("data"), &run);
    let one = Command::cargo_bin("snn-bench").unwrap().args(["--threads", "1"]).args(args).output().unwrap();
    assert!(one.status.success());
    let model = |run: &Path| fs::read(run.join("model.npz")).unwrap();
    assert!(model(&run) == model(&fixture().join("run")), "the parameters differ");
    assert_eq!(fs::read_to_string(run.join("metrics.jsonl")).unwrap().lines().count(), 1);
}

#[test]
fn a_profile_tells_time_and_products_of_each_op() {
    let sets = NET.iter().flat_map(|set| ["--set", set]);
    let args: Vec<&str> = ["train", "--profile"].into_iter().chain(sets).collect();
    let profile = json(&args);
    let ops = profile["ops"].as_array().unwrap();
    let names: Vec<&str> = ops.iter().map(|op| op["op"].as_str().unwrap()).collect();
    assert_eq!(names, ["conv2d_max_pool", "lif", "reshape", "linear", "loss"]);
    assert_eq!((&profile["samples"], &profile["steps"]), (&10.into(), &4.into()));
    let conv = &ops[0];
    assert_eq!(conv["layer"], "conv1");
    assert!(
        conv["forward"]["ms"].as_f64().unwrap() > 0.0 && conv["param_grad"]["ms"].as_f64().unwrap() > 0.0
    );
    let products = |phase: &str, of: &str| conv[phase][of].as_u64().unwrap();
    assert!((1..products("forward", "dense_products")).contains(&products("forward", "products")));
    // Nobody asks for the gradient of the recordings.
    assert_eq!((products("input_grad", "products"), conv["input_grad"]["ms"].as_f64()), (0, Some(0.0)));
    assert!(!Path::new("runs/default").exists(), "a profile writes nothing");
}

#[test]
fn a_profile_under_a_plan_has_its_quantizers() {
    let folder = temporary();
    let plan = folder.path().join("plan.toml");
    fs::write(&plan, "format = 1\n[weights.\"conv1.weight\"]\nbits = 4\n").unwrap();
    let sets = NET.iter().flat_map(|set| ["--set", set]);
    let args: Vec<&str> = ["train", "--profile", "--plan", text(&plan)].into_iter().chain(sets).collect();
    let profile = json(&args);
    let ops = profile["ops"].as_array().unwrap();
    let names: Vec<&str> = ops.iter().map(|op| op["op"].as_str().unwrap()).collect();
    assert_eq!(names, ["fake_quant", "conv2d_max_pool", "lif", "reshape", "linear", "loss"]);
    assert_eq!(ops[0]["layer"], "conv1");
    refused(&["train", "--plan", text(&plan)], &["--profile"]);
    fs::write(&plan, "format = 1\n[weights.\"conv9.weight\"]\nbits = 4\n").unwrap();
    refused(&args, &["plan.toml", "conv9.weight"]);
}

#[test]
fn people_read_tables() {
    let folder = temporary();
    let run = copy_of_run(folder.path());
    let output = program().args(["trace", text(&run), "--probes", "2", "--batches", "1"]).output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let header = stdout.lines().next().unwrap();
    assert!(header.starts_with("curvature = surrogate Hessian (atan"), "{header}");
    assert!(header.ends_with("reset detached) · samples 10 · probes 2 · seed 0"), "{header}");
    let output = program().args(["eval", text(&run)]).output().unwrap();
    assert!(String::from_utf8(output.stdout).unwrap().contains("accuracy"));
    let output =
        program().args(["train", "--dry-run", "--set", "net.layers=8C5-P2-LIF-10"]).output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(stdout.contains("input [2, 32, 32]") && stdout.contains("[8, 28, 28]"), "{stdout}");
    let n_params = 8 * 2 * 25 + 8 + 8 * 14 * 14 * 10 + 10;
    assert!(stdout.replace(',', "").contains(&format!("{n_params} parameters")), "{stdout}");
}

#[test]
fn data_sets_are_listed_and_fetched_by_hand_where_they_must_be() {
    let list = json(&["data", "fetch", "--list"]);
    let names: Vec<&str> =
        list["data_sets"].as_array().unwrap().iter().map(|set| set["name"].as_str().unwrap()).collect();
    assert!(["nmnist", "shd", "dvs-gesture"].iter().all(|name| names.contains(name)), "{names:?}");
    let by_hand = program().args(["--json", "data", "fetch", "dvs-gesture"]).output().unwrap();
    assert_eq!(by_hand.status.code(), Some(1), "the data is not there");
    let by_hand: Value = serde_json::from_slice(&by_hand.stdout).unwrap();
    assert!(by_hand["steps"].as_array().unwrap().len() > 2);
    assert_eq!(by_hand["data_set"]["license"], "CC BY 4.0");
    refused(&["data", "fetch", "cats"], &["no data set \"cats\"", "nmnist"]);
}

#[test]
fn training_from_a_cache_is_training_from_recordings() {
    let data = fixture().join("data");
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let cache = format!("data.cache={}", at("cache").display());
    let train = |run: &Path, more: &[&str]| {
        let mut args = train_args(&data, run);
        args.extend(["--set", "data.augment=false"].iter().chain(more).map(|arg| (*arg).to_owned()));
        json(&strings(&args))
    };
    let plain = train(&at("plain"), &[]);
    let cached = train(&at("cached"), &["--set", &cache]);
    assert_eq!((&cached["train_loss"], &cached["accuracy"]), (&plain["train_loss"], &plain["accuracy"]));
    let model = |run: &str| fs::read(at(run).join("model.npz")).unwrap();
    assert_eq!(model("plain"), model("cached"), "the same bytes");
    let shifted = train(&at("shifted"), &["--set", &cache, "--set", "data.max_shift=2"]);
    assert_ne!(shifted["train_loss"], plain["train_loss"]);
    let listed = json(&["data", "cache", "list", text(&at("cache"))]);
    let caches = listed["caches"].as_array().unwrap();
    assert_eq!(caches.iter().map(|cache| cache["n_samples"].as_u64().unwrap()).sum::<u64>(), 50);
    let cleared = json(&["data", "cache", "clear", text(&at("cache"))]);
    assert_eq!(cleared["n_caches"], 2);
    let mut args = train_args(&data, &at("refused"));
    args.extend(["--set".to_owned(), cache]);
    refused(&strings(&args), &["data.augment is true, but must be false with data.cache"]);
}

#[test]
fn caches_are_announced_made_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let (data, cache) = (folder.path().join("data"), folder.path().join("cache"));
    json(&["data", "make", "-o", text(&data), "--n-train", "30", "--n-test", "10"]);
    let with = |verb: &[&str]| {
        let common = ["--data", text(&data), "--cache", text(&cache), "--set", "data.n_steps=4"];
        let args: Vec<String> =
            ["data", "cache"].iter().chain(verb).chain(&common).map(|arg| (*arg).to_owned()).collect();
        program().arg("--json").args(args).output().unwrap()
    };
    let read = |output: &std::process::Output| serde_json::from_slice::<Value>(&output.stdout).unwrap();
    let planned = read(&with(&["build", "--dry-run"]));
    assert!(!cache.exists());
    let made = read(&with(&["build"]));
    for (plan, cache) in planned["caches"].as_array().unwrap().iter().zip(made["caches"].as_array().unwrap())
    {
        assert_eq!((&plan["state"], &cache["state"]), (&"not made".into(), &"made".into()));
        let n_bytes = fs::metadata(cache["path"].as_str().unwrap()).unwrap().len();
        assert_eq!(plan["n_bytes"], n_bytes);
    }
    assert_eq!(with(&["check"]).status.code(), Some(0));
    let recording = fs::read_dir(data.join("Train/3")).unwrap().next().unwrap().unwrap().path();
    fs::write(recording, [5, 5, 0x80, 0, 9]).unwrap();
    let stale = with(&["check"]);
    assert_eq!(stale.status.code(), Some(1));
    assert!(read(&stale).to_string().contains("was made from other recordings"));
}

/// A file of `n` images of 28x28 and one of their labels, in the format of MNIST.
fn write_mnist(folder: &Path, part: &str, n: u32) {
    fs::create_dir_all(folder).unwrap();
    let head = |magic: u32, sizes: &[u32]| -> Vec<u8> {
        [magic].iter().chain(sizes).flat_map(|number| number.to_be_bytes()).collect()
    };
    let pixel = |i: u32, k: u32| if k / 28 / 3 == i % 10 { 200 } else { 0 };
    let mut images = head(0x803, &[n, 28, 28]);
    images.extend((0..n).flat_map(|i| (0..28 * 28).map(move |k| pixel(i, k))));
    fs::write(folder.join(format!("{part}-images-idx3-ubyte")), images).unwrap();
    let mut labels = head(0x801, &[n]);
    labels.extend((0..n).map(|i| u8::try_from(i % 10).unwrap()));
    fs::write(folder.join(format!("{part}-labels-idx1-ubyte")), labels).unwrap();
}

#[test]
fn images_are_trained_on_in_each_coding() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("images");
    write_mnist(&data, "train", 60);
    write_mnist(&data, "t10k", 20);
    assert_eq!(json(&["data", "stats", "--data", text(&data)])["n_samples"], 80);
    for (coding, layers) in [("constant", "LIF-10"), ("rate", "LIF-10"), ("simulated", "LIF-10")] {
        let run = folder.path().join(coding);
        let layers = format!("net.layers=4C5s2-{layers}");
        let coding = format!("data.images.coding={coding}");
        let sets = [&layers, &coding, "data.images.first=20", "data.images.n=30", "data.n_steps=4"];
        let more = ["data.augment=false", "train.epochs=1"];
        let mut args = vec!["train", "-o", text(&run), "--data", text(&data)];
        sets.iter().chain(&more).for_each(|set| args.extend(["--set", *set]));
        let trained = json(&args);
        assert_eq!((&trained["n_train"], &trained["n"]), (&30.into(), &20.into()), "{coding}");
        assert_eq!(json(&["eval", text(&run)])["accuracy"], trained["accuracy"], "{coding}");
    }
    // A network that learned simulated events is tested on recordings.
    let run = folder.path().join("simulated");
    let recordings = fixture().join("data");
    let list = recordings.join("splits/test.txt");
    assert_eq!(json(&["eval", text(&run), "--data", text(&recordings), "--split", text(&list)])["n"], 20);
    let never = folder.path().join("no");
    let beyond = ["data.images.first=60", "data.augment=false"].map(|set| ["--set", set]).concat();
    let args = [&["train", "-o", text(&never), "--data", text(&data)], &beyond[..]].concat();
    refused(&args, &["sample index 60 is out of range"]);
}

/// Images of digits and the settings that show them row by row.
fn rows_of_images(folder: &Path) -> (PathBuf, [&'static str; 4]) {
    let data = folder.join("images");
    write_mnist(&data, "train", 60);
    write_mnist(&data, "t10k", 20);
    (data, ["data.images.coding=rows", "data.n_steps=28", "data.augment=false", "net.layers=8-RLIF-10"])
}

#[test]
fn rows_of_images_are_learned_and_validated() {
    let folder = tempfile::tempdir().unwrap();
    let (data, sets) = rows_of_images(folder.path());
    let run = folder.path().join("run");
    let more =
        ["data.evaluate_on=validation", "data.max_shift=2", "data.images.mirror=true", "train.epochs=1"];
    let sets: Vec<&str> = sets.iter().chain(&more).flat_map(|set| ["--set", *set]).collect();
    let args = [&["train", "-o", text(&run), "--data", text(&data)], &sets[..]].concat();
    let trained = json(&args);
    assert_eq!((&trained["n_train"], &trained["n"]), (&50.into(), &10.into()));
    assert_eq!(json(&["eval", text(&run)])["accuracy"], trained["accuracy"]);
    let never = folder.path().join("no");
    let args = [&["train", "-o", text(&never), "--data", text(&data)], &sets[..2]].concat();
    refused(&[&args[..], &["--set", "data.augment=false"]].concat(), &["number of frames is 10", "rows"]);
}

#[test]
fn a_sweep_over_images_names_also_what_is_default() {
    let folder = tempfile::tempdir().unwrap();
    let (data, sets) = rows_of_images(folder.path());
    let values = sets.map(|set| {
        let (key, value) = set.split_once('=').unwrap();
        let is_text = value.parse::<u32>().is_err() && value.parse::<bool>().is_err();
        if is_text { format!("\"{key}\" = \"{value}\"") } else { format!("\"{key}\" = {value}") }
    });
    let grid = format!(
        "seeds = [1]\n[set]\n{}\n\"data.path\" = {:?}\n\"train.epochs\" = 1\n[[grid]]\n\"data.max_shift\" = [0, 2]\n\
         \"data.evaluate_on\" = [\"test\", \"validation\"]",
        values.join("\n"),
        text(&data)
    );
    let (file, out) = (folder.path().join("grid.toml"), folder.path().join("out"));
    fs::write(&file, grid).unwrap();
    let rows = json(&["sweep", text(&file), "-o", text(&out)])["rows"].clone();
    let values: Vec<&Value> = rows.as_array().unwrap().iter().map(|row| &row["values"]).collect();
    let expected = [["test", "0"], ["test", "2"], ["validation", "0"], ["validation", "2"]];
    assert_eq!(values.len(), 4);
    assert!(
        expected.iter().all(|row| values.iter().any(|found| **found == serde_json::json!(row))),
        "{values:?}"
    );
}

#[test]
fn any_folder_of_event_files_is_trained_on() {
    let folder = tempfile::tempdir().unwrap();
    let (data, run) = (folder.path().join("events"), folder.path().join("run"));
    let made = fixture().join("data/Train");
    for (class, name) in [("3", "cat"), ("5", "dog")] {
        fs::create_dir_all(data.join(name)).unwrap();
        for (k, file) in fs::read_dir(made.join(class)).unwrap().enumerate() {
            let from = file.unwrap().path();
            json(&[
                "data",
                "convert",
                text(&from),
                text(&data.join(name).join(format!("{k}.dat"))),
                "--sensor",
                "34x34",
            ]);
        }
    }
    let mut args = vec!["train", "-o", text(&run), "--data", text(&data)];
    let sets = [
        "net.layers=4C5s2-LIF-2",
        "data.n_steps=4",
        "train.epochs=1",
        "data.downsample=2",
        "data.val_fraction=0.34",
    ];
    sets.iter().for_each(|set| args.extend(["--set", *set]));
    let trained = json(&args);
    assert_eq!(json(&["eval", text(&run)])["accuracy"], trained["accuracy"]);
    let config = fs::read_to_string(run.join("config.toml")).unwrap();
    assert!(config.contains("kind = \"events\"") && config.contains("sensor = ["), "{config}");
    args[2] = "elsewhere";
    args[6] = "net.layers=4C5s2-LIF-1";
    refused(&args, &["1 outputs, the data set has 2 classes"]);
}

#[test]
fn data_are_described_and_damaged_files_found() {
    let folder = temporary();
    let data = folder.path().join("data");
    json(&["data", "make", "-o", text(&data), "--n-train", "10", "--n-test", "10"]);
    let stats = json(&["data", "stats", "--data", text(&data)]);
    assert_eq!((&stats["n_samples"], stats["per_class"].as_array().unwrap().len()), (&20.into(), 10));
    assert_eq!(json(&["data", "check", "--data", text(&data)])["findings"], Value::Array(vec![]));
    let recording = data.join("Train/3/00004.bin");
    let mut bytes = fs::read(&recording).unwrap();
    bytes.truncate(bytes.len() - 2);
    fs::write(&recording, &bytes).unwrap();
    fs::write(data.join("Train/5/00006.bin"), []).unwrap();
    let check = program().args(["data", "check", "--data", text(&data)]).output().unwrap();
    let stdout = String::from_utf8(check.stdout).unwrap();
    assert_eq!(check.status.code(), Some(1), "{stdout}");
    assert!(stdout.contains("00004.bin") && stdout.contains("00006.bin"), "{stdout}");
    let run = folder.path().join("run");
    refused(&strings(&train_args(&data, &run)), &["00004.bin", "bytes"]);
    assert!(!run.exists(), "a run without data is not begun");
    refused(&["data", "make", "-o", text(&data)], &["is not empty"]);
    assert_eq!(fs::read(&recording).unwrap(), bytes);
}

#[test]
fn a_file_of_events_is_described_converted_and_shown() {
    let folder = temporary();
    let at = |name: &str| folder.path().join(name);
    // ON at (3, 5), 1000 us; OFF at (4, 5), 2000 us.
    fs::write(at("a.bin"), [3, 5, 0x80, 0x03, 0xE8, 4, 5, 0, 0x07, 0xD0]).unwrap();
    let described = json(&["data", "stats", text(&at("a.bin"))]);
    let numbers =
        ["events", "t_first_us", "t_last_us", "x_max", "y_max", "on"].map(|key| described[key].as_u64());
    assert_eq!(described["format"], "bin");
    assert_eq!(numbers, [2, 1000, 2000, 4, 5, 1].map(Some));
    for (to, format) in [("a.dat", "dat"), ("a.raw", "evt3"), ("a.aedat", "aedat31")] {
        json(&["data", "convert", text(&at("a.bin")), text(&at(to))]);
        let converted = json(&["data", "stats", text(&at(to))]);
        assert_eq!(
            (&converted["format"], &converted["t_last_us"]),
            (&format.into(), &described["t_last_us"])
        );
    }
    refused(&["data", "convert", text(&at("a.bin")), text(&at("a.dat"))], &["a.dat exists already"]);
    refused(&["data", "convert", text(&at("a.bin")), text(&at("a.txt"))], &["a.txt", "--to-format"]);
    json(&["data", "view", text(&at("a.bin")), "-o", text(&at("a.html")), "--frames", "4"]);
    assert!(fs::read_to_string(at("a.html")).unwrap().contains("<canvas"));
    // Cut short: an error with the offset, or what was before it.
    fs::write(at("cut.bin"), [3, 5, 0x80, 0x03, 0xE8, 4, 5]).unwrap();
    refused(&["data", "stats", text(&at("cut.bin"))], &["cut.bin", "byte offset 5"]);
    let kept = json(&["data", "stats", text(&at("cut.bin")), "--lenient"]);
    assert_eq!(kept["events"], 1);
    assert!(kept["damage"].as_str().unwrap().contains("byte offset 5"));
    fs::write(at("notes.txt"), "hello").unwrap();
    refused(&["data", "stats", text(&at("notes.txt"))], &["notes.txt", "format of events"]);
}

#[test]
fn missing_and_empty_folders_are_named() {
    let folder = temporary();
    let nowhere = folder.path().join("nowhere");
    let nowhere = text(&nowhere);
    refused(&["data", "stats", "--data", nowhere], &["nowhere"]);
    refused(&["train", "--data", nowhere, "-o", text(&folder.path().join("run"))], &["nowhere"]);
    refused(&["eval", nowhere], &["nowhere"]);
    refused(&["trace", nowhere], &["nowhere"]);
    refused(&["data", "make", "--from-images", nowhere, "-o", text(&folder.path().join("d"))], &["nowhere"]);
    fs::create_dir_all(folder.path().join("data/0")).unwrap();
    refused(
        &["data", "check", "--data", text(&folder.path().join("data"))],
        &["class folder", "0 holds no .bin"],
    );
    refused(&["data", "check"], &["--data"]);
    refused(&["eval", text(folder.path())], &["config.toml"]);
}

#[test]
fn wrong_settings_are_named() {
    let folder = temporary();
    let config = folder.path().join("small.toml");
    refused(&["train", text(&config)], &["small.toml"]);
    fs::write(&config, "[train]\nepoch = 3\n").unwrap();
    refused(&["train", text(&config)], &["small.toml", "unknown field `epoch`"]);
    fs::write(&config, "").unwrap();
    let dry = |change: &'static str| ["train", "--dry-run", "--set", change];
    refused(&dry("train.epoch=3"), &["--set", "unknown field `epoch`"]);
    refused(&dry("data.n_steps=0"), &["data.n_steps is 0"]);
    refused(&dry("train.segment_steps=0"), &["train.segment_steps is 0, but must be at least 1"]);
    refused(&dry("net.layers=12C5-XYZ"), &["net.layers", "XYZ", "item 2"]);
    refused(&dry("net.layers=12C50-10"), &["conv1"]);
    refused(&["--threads", "0", "data", "stats", "--glyphs"], &["--threads"]);
    refused(&["trace", text(&fixture().join("run")), "--probes", "1"], &["--probes"]);
}

#[test]
fn the_memory_that_is_told_is_that_of_a_segment() {
    let dry = |change: &str| {
        let set = ["data.n_steps=300", "net.layers=12C5-P2-LIF-32C5-P2-LIF-10-LIF", change];
        let set = set.iter().flat_map(|change| ["--set", change]);
        let args: Vec<&str> = ["train", "--dry-run"].into_iter().chain(set).collect();
        json(&args)["memory_bytes"].as_u64().unwrap()
    };
    let whole = dry("train.segment_steps=300");
    assert_eq!(whole, dry("data.batch_size=32"));
    assert!(3 * dry("train.segment_steps=25") < whole, "{whole}");
}

#[test]
fn plans_that_do_not_fit_are_refused_before_anything_is_written() {
    let folder = temporary();
    let (plan, out) = (folder.path().join("wrong.toml"), folder.path().join("out"));
    let run = fixture().join("run");
    let cases = [
        ("[weights]\n\"fc9.weight\" = { bits = 4 }", vec!["fc9.weight", "not in the network"]),
        ("[weights]\n\"fc1.weight\" = { bits = 0 }", vec!["wrong.toml", "fc1.weight", "0"]),
        ("[weights]\n\"fc1.weight\" = { bits = 17 }", vec!["wrong.toml", "fc1.weight", "17"]),
        ("[weights", vec!["wrong.toml"]),
    ];
    for (toml, words) in cases {
        fs::write(&plan, toml).unwrap();
        refused(&["quantize", text(&run), "--plan", text(&plan), "-o", text(&out)], &words);
        refused(&["eval", text(&run), "--plan", text(&plan)], &words);
        assert!(!out.exists());
    }
    refused(&["quantize", text(&run), "--plan", "missing.toml", "-o", text(&out)], &["missing.toml"]);
}

#[test]
fn allocations_that_make_no_sense_are_refused() {
    let folder = temporary();
    let run = copy_of_run(folder.path());
    let plan = folder.path().join("plan.toml");
    let (run, out) = (text(&run), text(&plan));
    let allocate = |more: &[&str], words: &[&str]| {
        refused(&[&["allocate", run, "-o", out, "--negative", "absolute"], more].concat(), words);
        assert!(!plan.exists());
    };
    allocate(&[], &["--mean-bits"]);
    allocate(&["--mean-bits", "4", "--widths", "0,4"], &["--widths"]);
    allocate(&["--mean-bits", "4", "--fixed", "fc1.weight=17"], &["fc1.weight", "17"]);
    allocate(&["--mean-bits", "4", "--fixed", "fc9.weight=4"], &["fc9.weight"]);
    allocate(&["--mean-bits", "4", "--tie", "fc1.weight,fc9.weight"], &["fc9.weight"]);
    allocate(&["--mean-bits", "0.5"], &["0.5"]);
    allocate(&["--bytes", "10"], &["--bytes is 10"]);
    allocate(&["--mean-bits", "4", "--curvature", "hessian"], &["trace.json"]);
    fs::write(out, "mine").unwrap();
    refused(&["allocate", run, "-o", out, "--mean-bits", "4"], &["plan.toml exists"]);
    assert_eq!(fs::read_to_string(out).unwrap(), "mine");
}

#[test]
fn parameters_of_another_network_are_refused_and_kept() {
    let folder = temporary();
    let run = copy_of_run(folder.path());
    let checkpoint = run.join("checkpoint.npz");
    let other = folder.path().join("other");
    let mut args = train_args(&fixture().join("data"), &other);
    args.extend(["--set".to_owned(), "net.layers=4C5s2-P2-LIF-10".to_owned()]);
    json(&strings(&args));
    fs::copy(other.join("checkpoint.npz"), &checkpoint).unwrap();
    fs::remove_file(run.join("model.npz")).unwrap();
    let before = fs::read(&checkpoint).unwrap();
    refused(
        &["train", "-o", text(&run)],
        &["checkpoint.npz", "conv1.weight", "[4, 2, 5, 5]", "[3, 2, 5, 5]"],
    );
    assert!(fs::read(&checkpoint).unwrap() == before && !run.join("model.npz").exists());
    refused(&["eval", text(&run)], &["model.npz"]);

    fs::copy(other.join("model.npz"), run.join("model.npz")).unwrap();
    refused(&["eval", text(&run)], &["model.npz", "conv1.weight", "[4, 2, 5, 5]", "[3, 2, 5, 5]"]);
    let model = fs::read(other.join("model.npz")).unwrap();
    fs::write(run.join("model.npz"), &model[..model.len() / 2]).unwrap();
    refused(&["eval", text(&run.join("model.npz"))], &["model.npz"]);
    fs::write(&checkpoint, &before[..100]).unwrap();
    refused(&["train", "-o", text(&run)], &["checkpoint.npz"]);
}

#[test]
fn a_folder_that_holds_something_else_is_left_alone() {
    let folder = temporary();
    fs::write(folder.path().join("thesis.tex"), "x").unwrap();
    refused(&strings(&train_args(&fixture().join("data"), folder.path())), &["not empty"]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let run = copy_of_run(folder.path());
    let mut args = train_args(&fixture().join("data"), &run);
    args.extend(["--seed".to_owned(), "5".to_owned()]);
    refused(&strings(&args), &["another configuration", "seed"]);
}

#[cfg(unix)]
#[test]
fn an_interrupted_training_can_be_resumed() {
    let folder = temporary();
    let run = folder.path().join("run");
    let mut args = train_args(&fixture().join("data"), &run);
    args.extend(["--set".to_owned(), "train.epochs=1000000".to_owned()]);
    let mut process = std::process::Command::new(env!("CARGO_BIN_EXE_snn-bench"));
    let child = process.args(&args).stderr(std::process::Stdio::piped()).spawn().unwrap();
    while !run.join("checkpoint.npz").exists() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let interrupt = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(interrupt.unwrap().success());
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(stderr.contains("run the same command again to resume"), "{stderr}");
    assert_eq!(json(&["eval", text(&run), "--checkpoint", "latest"])["n"], 20);
}

#[test]
fn levels_are_printed_in_rising_order() {
    let args = ["levels", "--bits", "2", "--spacing", "threshold-centred", "--threshold", "1"];
    let compat = json(&args);
    let levels: Vec<f32> = serde_json::from_value(compat["levels"].clone()).unwrap();
    assert_eq!(levels, [-1.0, 0.801_801_8, 0.981_982, 1.2]);
    let exact = json(&[&args[..], &["--variant", "zero-exact"]].concat());
    assert_eq!((&exact["levels"][1], &exact["zero_code"]), (&0.0.into(), &1.into()));
    let american = json(&["levels", "--bits", "2", "--spacing", "threshold-centered"]);
    assert_eq!(american, compat);

    let folder = tempfile::tempdir().unwrap();
    let table = program().args(args).args(["--report", text(folder.path())]).output().unwrap();
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.contains("a membrane at rest stands at 0.8018018"), "{table}");
    assert!(fs::read_to_string(folder.path().join("report/levels.svg")).unwrap().contains("<line"));
    refused(&["levels", "--bits", "9"], &["bits = 9"]);
    refused(&["levels", "--bits", "4", "--threshold", "0"], &["threshold = 0"]);
}

#[test]
fn an_exact_run_is_verified_exported_and_run() {
    let folder = temporary();
    let run = copy_of_run(folder.path());
    let exact = folder.path().join("exact");
    json(&["quantize", text(&run), "--exact", "--bits", "3", "--epochs", "1", "-o", text(&exact)]);
    let verified = json(&["verify", text(&exact)]);
    assert_eq!((&verified["exact"], &verified["samples"]), (&true.into(), &50.into()));
    assert!(verified["spikes"].as_u64().unwrap() > 0 && verified["membranes"].as_u64().unwrap() > 10_000);

    let model = folder.path().join("net.snni");
    let exported = json(&["export", text(&exact), "-o", text(&model)]);
    assert_eq!(exported["model_bytes"], fs::metadata(&model).unwrap().len());
    assert_eq!(json(&["verify", text(&exact), "--model", text(&model)])["exact"], true);

    let counts = folder.path().join("counts.csv");
    let data = fixture().join("data");
    let output =
        program().args(["--json", "run", text(&model), text(&data), "--counts", text(&counts)]).output();
    let lines = String::from_utf8(output.unwrap().stdout).unwrap();
    assert_eq!(lines.lines().count(), 50);
    let table = fs::read_to_string(&counts).unwrap();
    assert!(table.starts_with("recording,class,count_0,") && table.lines().count() == 51, "{table}");

    let arrays = folder.path().join("net.npz");
    json(&["export", text(&exact), "--format", "npz", "-o", text(&arrays)]);
    let codes = &snn_core::io::read(&arrays).unwrap()["fc1.weight.codes"];
    assert_eq!(codes.shape()[1], 10);
    json(&["export", text(&exact), "--format", "c", "-o", text(&folder.path().join("cnet"))]);
    assert!(folder.path().join("cnet/cnet_check.c").exists());
}

/// Allocates bits, trains quantized with learned scales, takes that over into integers, trains on in these, compares.
fn from_traces_to_integers(run: &Path, folder: &Path, budget: &[&str]) {
    let path = |name: &str| text(&folder.join(name)).to_owned();
    let [plan, qat, taken, exact] = ["plan.toml", "qat", "taken", "exact"].map(path);
    let learned = ["--scale", "learned", "--granularity", "per-channel", "--curvature", "gauss-newton"];
    json(&[&["allocate", text(run), "--force", "-o", &plan], &learned[..], budget].concat());
    json(&["quantize", text(run), "--plan", &plan, "--epochs", "1", "-o", &qat]);
    let into_integers = ["quantize", &qat, "--exact", "--membrane-bits", "8"];
    let found = json(&[&into_integers[..], &["-o", &taken]].concat());
    let scales = |run: &str| {
        snn_core::io::read(&Path::new(run).join("model.npz")).unwrap()["conv1.weight.scale"].clone()
    };
    assert_eq!(scales(&taken), scales(&qat), "the scales that were trained are the scales of the integers");
    let moved = |name: &str, figure: &str| {
        let moved = found["taken_over"].as_array().unwrap().iter();
        let mut of =
            moved.filter(|moved| (&moved["name"], &moved["figure"]) == (&name.into(), &figure.into()));
        of.next().unwrap()["most"].as_f64().unwrap()
    };
    assert!(moved("conv1.weight", "weight_scale") == 0.0, "{found}");
    assert!(moved("fc1.weight", "weight_scale") > 0.0, "ten scales become one: {found}");
    assert!(moved("lif1", "decay") < 1e-3, "{found}");
    json(&[&into_integers[..], &["--epochs", "1", "-o", &exact]].concat());
    for run in [&taken, &exact] {
        let verified = json(&["verify", run]);
        assert_eq!((&verified["exact"], &verified["samples"]), (&true.into(), &50.into()));
        assert!(verified["spikes"].as_u64().unwrap() > 0);
    }
    refused(&["quantize", &qat, "-o", &path("other")], &["quantized already", "--exact"]);
    refused(&["quantize", &qat, "--exact", "--plan", &plan, "-o", &path("other")], &["leave out --plan"]);
    refused(&["quantize", &exact, "--exact", "-o", &path("other")], &["exact already"]);
    for folder in [qat, taken, exact] {
        fs::remove_dir_all(folder).unwrap();
    }
}

#[test]
fn what_was_trained_quantized_becomes_integers_with_verbs_only() {
    let folder = temporary();
    let run = copy_of_run(folder.path());
    for mean in ["4", "3", "2"] {
        from_traces_to_integers(&run, folder.path(), &["--mean-bits", mean]);
    }
    let fixed = ["--fixed", "conv1.weight=8", "--fixed", "fc1.weight=16", "--mean-bits", "16", "--membranes"];
    from_traces_to_integers(&run, folder.path(), &fixed);
}

#[test]
fn a_model_that_is_another_is_told_apart() {
    let folder = temporary();
    let run = copy_of_run(folder.path());
    let (four, two) = (folder.path().join("four"), folder.path().join("two"));
    json(&["quantize", text(&run), "--exact", "--bits", "4", "-o", text(&four)]);
    json(&["quantize", text(&run), "--exact", "--bits", "2", "-o", text(&two)]);
    let model = folder.path().join("two.snni");
    json(&["export", text(&two), "-o", text(&model)]);
    let output = program().args(["--json", "verify", text(&four), "--model", text(&model)]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&found["exact"], &found["quantity"]), (&false.into(), &"membrane".into()));
    assert!(found["layer"].is_string() && found["trained"] != found["integer"]);
}

#[test]
fn what_is_not_exact_or_does_not_fit_is_said() {
    let run = fixture().join("run");
    refused(&["verify", text(&run)], &["is not exact", "--exact"]);
    refused(&["export", text(&run), "-o", "net.snni"], &["is not exact"]);
    refused(&["fit", text(&run), "--profile", "abacus"], &["abacus", "loihi"]);
    let output = program().args(["--json", "fit", text(&run), "--profile", "xylo2"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["fits"], false);
    assert!(found["findings"].to_string().contains("a convolution"));
}
