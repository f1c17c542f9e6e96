//! `verify` on real recordings, for each kind of network that is to be exact.
//!
//! With `SNN_VERIFY=all` each network is compared on all recordings of the folder, else on a few.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests fail by panic, and say what was found"
)]

use assert_cmd::Command;
use serde_json::Value;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// A network, what is said about its integers, and whether they are trained.
struct Case {
    layers: &'static str,
    set: &'static [&'static str],
    plan: &'static str,
    quantize: &'static [&'static str],
}

const LARGE: &str = "64C7s2p3-LIF-128C7s2p3-LIF-128C7s2p3-LIF-10";
const LUI_NEFTCI: &[&str] = &["net.neuron=lui-neftci", "net.weight_gain=3.0", "net.initial_bias=-0.25"];

const TABLES: &str = "[states.lif1]\nquantizer = { scheme = \"levels\", bits = 3, variant = \"zero_exact\" }\n\
    [states.lif2]\nquantizer = { scheme = \"levels\", bits = 2, spacing = \"threshold_centered\", upper_limit = 0.5 }\n";

const LEARNED: &str = "[weights.\"conv1.weight\"]\nbits = 4\nscheme = \"uniform\"\nscale = \"learned\"\n\
    granularity = \"per_channel\"\n\
    [weights.\"conv2.weight\"]\nbits = 3\nscheme = \"uniform\"\nscale = \"learned\"\n";

const WIDE: &str = "[weights.\"conv3.weight\"]\nscheme = \"uniform\"\nbits = 16\n";

const TRAINED: &[&str] = &["--bits", "4", "--epochs", "1"];

/// A folder for the test with lists of some recordings to learn from and to compare on.
struct Fixture {
    folder: tempfile::TempDir,
    data: PathBuf,
}

impl Fixture {
    fn new() -> Option<Self> {
        let data = snn_testkit::data_dir().map(|folder| folder.join("nmnist")).filter(|data| data.is_dir());
        let Some(data) = data else {
            snn_testkit::skip("needs the recordings of N-MNIST");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let all = fs::read_to_string(data.join("splits/dev_train.txt")).unwrap();
        let mut lists = [String::new(), String::new()];
        for (i, line) in all.lines().enumerate().filter(|(i, _)| i % 10 < 2) {
            let _ = writeln!(lists[i % 10], "{line}");
        }
        fs::write(folder.path().join("learn.txt"), &lists[0]).unwrap();
        let few: Vec<&str> = lists[1].lines().step_by(7).collect();
        fs::write(folder.path().join("few.txt"), few.join("\n")).unwrap();
        Some(Self { folder, data })
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// Runs a verb that must succeed, and reads its one line of JSON.
    fn json(args: &[String]) -> Value {
        let mut program = Command::cargo_bin("snn-bench").unwrap();
        let output = program.args(["--json", "--threads", "2"]).args(args).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{args:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_str(&said).unwrap()
    }

    fn train(&self, case: &Case) {
        let list = |part: &str, file: &str| format!("data.{part}_split={}", self.path(file));
        let mut settings = vec![
            format!("net.layers={}", case.layers),
            "data.n_steps=4".to_owned(),
            "data.batch_size=10".to_owned(),
            "train.epochs=1".to_owned(),
            list("train", "learn.txt"),
            list("test", "few.txt"),
        ];
        settings.extend(case.set.iter().map(|&set| set.to_owned()));
        let mut args = vec!["train".to_owned(), "-o".to_owned(), self.path("run")];
        args.extend(["--data".to_owned(), self.data.to_str().unwrap().to_owned()]);
        args.extend(settings.into_iter().flat_map(|set| ["--set".to_owned(), set]));
        Self::json(&args);
    }

    /// Trains, quantizes, compares.
    fn holds(&self, case: &Case) {
        self.train(case);
        let mut args: Vec<String> =
            ["quantize", &self.path("run"), "--exact", "-o", &self.path("exact")].map(str::to_owned).into();
        if !case.plan.is_empty() {
            fs::write(self.path("plan.toml"), case.plan).unwrap();
            args.extend(["--plan".to_owned(), self.path("plan.toml")]);
        }
        args.extend(case.quantize.iter().map(|&arg| arg.to_owned()));
        Self::json(&args);
        let mut args = vec!["verify".to_owned(), self.path("exact")];
        if std::env::var_os("SNN_VERIFY").is_none_or(|which| which != "all") {
            args.extend(["--split".to_owned(), self.path("few.txt")]);
        }
        let found = Self::json(&args);
        assert_eq!(found["exact"], true, "{}: {found}", case.layers);
        assert!(found["spikes"].as_u64().unwrap() > 0, "{}: {found}", case.layers);
        println!("{} {:?}: {found}", case.layers, case.quantize);
        for run in ["run", "exact"] {
            fs::remove_dir_all(Path::new(&self.path(run))).unwrap();
        }
    }
}

#[test]
fn small_networks_are_exact_on_recordings() {
    let Some(fixture) = Fixture::new() else { return };
    let small = "12C5s2-LIF-32C5s2-LIF-10-LIF";
    for case in [
        Case {
            layers: small,
            set: &[],
            plan: "",
            quantize: &["--bits", "2", "--membrane-bits", "2", "--epochs", "1"],
        },
        Case { layers: small, set: &[], plan: "", quantize: &["--bits", "1", "--epochs", "1"] },
        Case { layers: small, set: &[], plan: TABLES, quantize: TRAINED },
        Case { layers: small, set: &[], plan: LEARNED, quantize: TRAINED },
        Case { layers: "12C5-BN-P2-LIF-32C5-BN-AP2-LIF-10-BN-LIF", set: &[], plan: "", quantize: TRAINED },
        Case { layers: "64-RLIF-10-LIF", set: &[], plan: "", quantize: TRAINED },
    ] {
        fixture.holds(&case);
    }
}

#[test]
fn sums_beyond_f32_are_exact_on_recordings() {
    let Some(fixture) = Fixture::new() else { return };
    let quantize = &["--bits", "8", "--batches", "1"];
    fixture.holds(&Case { layers: LARGE, set: LUI_NEFTCI, plan: WIDE, quantize });
}
